"""Contact maps of the simulated organism, and its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from scstlib.datasets.organism import Organism, read_organism, simulate_organism
from scstlib.datasets.organism.chromatin import distance_decay


@pytest.fixture(scope="module")
def organism() -> Organism:
    return simulate_organism(seed=0, preset="tiny")


@pytest.fixture(scope="module")
def wide() -> Organism:
    """An organism with chromosomes long enough for statistics over domains."""
    return simulate_organism(
        preset="tiny", n_genes=600, n_chromosomes=4, n_bins=320, contacts_per_cell=20_000
    )


def test_expected_contacts_are_symmetric_positive_and_add_up(organism: Organism) -> None:
    for name in (None, *organism.cell_types, *organism.fates):
        contacts = organism.expected_contacts("chr2", name)
        assert contacts.shape == (64, 64)
        np.testing.assert_array_equal(contacts, contacts.T)
        assert contacts.min() > 0
        # 2,000 contacts of a cell over three chromosomes.
        assert np.triu(contacts).sum() == pytest.approx(2_000 / 3, rel=1e-4)


def test_visibility_hides_bins_and_can_be_divided_out(organism: Organism) -> None:
    seen = organism.expected_contacts("chr1", "stem", biased=True)
    v = organism.genome.chromosomes[0].visibility
    assert (v == 0).sum() == 1
    assert (seen[v == 0] == 0).all()
    good = v > 0
    bare = (seen / np.outer(v, v).clip(1e-9))[np.ix_(good, good)]
    wanted = organism.expected_contacts("chr1", "stem")[np.ix_(good, good)]
    np.testing.assert_allclose(bare, wanted, rtol=1e-4)


def test_contacts_at_a_time_are_those_of_the_cells_there(organism: Organism) -> None:
    np.testing.assert_allclose(
        organism.expected_contacts("chr1", time=0.0),
        organism.expected_contacts("chr1", "stem", 0.0),
        rtol=1e-6,
    )
    shares = organism.fate_shares(96.0)
    present = [name for name in shares.index if shares[name] > 0]
    mixed = sum(shares[f] * organism.expected_contacts("chr1", f, 96.0) for f in present)
    np.testing.assert_allclose(organism.expected_contacts("chr1", time=96.0), mixed, rtol=1e-4)


def test_samples_are_poisson_about_what_is_expected(organism: Organism) -> None:
    n = 500
    expected = n * organism.expected_contacts("chr1", "stem", biased=True)
    draws = [organism.sample_contacts("stem", n_cells=n, seed=s, chroms=["chr1"])["chr1"]
             for s in range(20)]  # fmt: skip
    upper = np.triu_indices(64)
    assert all(np.array_equal(d, d.T) for d in draws)
    residual = np.array([(d - expected)[upper] for d in draws])
    use = expected[upper] > 5
    score = (residual[:, use] ** 2).mean(axis=0) / expected[upper][use]
    assert score.mean() == pytest.approx(1.0, abs=0.05)
    assert abs(residual.mean()) < 0.02 * expected[upper].mean()
    assert not np.array_equal(draws[0], draws[1])
    alone = organism.sample_contacts("stem", n_cells=n)["chr1"]
    np.testing.assert_array_equal(alone, draws[0])


def test_single_cells_add_up_to_the_population(organism: Organism) -> None:
    cells = organism.sample_cell_contacts("stem", n_cells=400)
    assert (cells["bin1"] <= cells["bin2"]).all()
    assert cells["cell"].nunique() == 400
    per_cell = cells.groupby("cell")["count"].sum()
    assert np.log(per_cell).std() == pytest.approx(0.45, abs=0.06)
    here = cells[cells["chrom"] == "chr1"]
    total = np.zeros((64, 64))
    np.add.at(total, (here["bin1"], here["bin2"]), here["count"])
    expected = np.triu(400 * organism.expected_contacts("chr1", "stem", biased=True))
    assert total.sum() == pytest.approx(expected.sum(), rel=0.1)
    use = expected > 20
    assert np.corrcoef(total[use], expected[use])[0, 1] > 0.99


def test_bulk_is_stem_or_mixture(organism: Organism) -> None:
    stem = organism.bulk("stem", depth=3e6)
    mixture = organism.bulk("mixture", depth=3e6)
    assert set(stem) == set(organism.chromosomes)
    for bulk, fate in ((stem, "stem"), (mixture, None)):
        expected = np.triu(organism.expected_contacts("chr3", fate, biased=True))
        total = np.triu(bulk["chr3"]).sum()
        assert total == pytest.approx(1_500 * expected.sum(), rel=0.01)
    assert not np.array_equal(stem["chr1"], mixture["chr1"])


def _enrichment(wide: Organism, pairs: list[tuple[int, int, int]], kind: str) -> float:
    """Mean log2 contact over that of pixels which lie 4 bins along the diagonal either way."""
    maps = [np.log2(wide.expected_contacts(c, kind)) for c in wide.chromosomes]
    out = []
    for k, i, j in pairs:
        if i >= 4 and j < 316:
            around = (maps[k][i - 4, j - 4] + maps[k][i + 4, j + 4]) / 2
            out.append(maps[k][i, j] - around)
    return float(np.mean(out))


def test_loops_stand_between_convergent_sites_only(wide: Organism) -> None:
    convergent, divergent = [], []
    for k, c in enumerate(wide.genome.chromosomes):
        for i, j in c.loops:
            assert c.ctcf_forward[i] > 0
            assert c.ctcf_reverse[j] > 0
            convergent.append((k, int(i), int(j)))
        looped = set(map(tuple, c.loops))
        for i in np.flatnonzero(c.ctcf_reverse > 0.3):
            for j in np.flatnonzero(c.ctcf_forward > 0.3):
                if 3 <= j - i < 40 and (i, j) not in looped:
                    divergent.append((k, int(i), int(j)))
    assert len(convergent) > 50
    assert _enrichment(wide, convergent, "stem") > 0.8
    assert _enrichment(wide, divergent, "stem") < 0.2


def test_domain_borders_insulate(wide: Organism) -> None:
    inside, across = [], []
    for c in wide.genome.chromosomes:
        contacts = np.log2(wide.expected_contacts(c.name, "stem"))
        i = np.arange(c.n_bins - 4)
        same = c.domain[i] == c.domain[i + 4]
        inside.append(contacts[i, i + 4][same])
        across.append(contacts[i, i + 4][~same])
    assert np.concatenate(inside).mean() > np.concatenate(across).mean() + 0.5


def test_tracks_correlate_with_what_they_mark(wide: Organism) -> None:
    tracks = wide.tracks()
    assert len(tracks) == 4 * 320
    compartment = np.concatenate([c.compartment for c in wide.genome.chromosomes])
    domain = np.concatenate([c.domain for c in wide.genome.chromosomes])
    assert spearmanr(tracks["cpg"], compartment)[0] > 0.3
    start = np.diff(domain, prepend=-1) != 0
    assert tracks["ctcf_forward"][start].mean() > 3 * tracks["ctcf_forward"][~start].mean()
    assert (tracks[["ctcf_forward", "ctcf_reverse", "cpg"]] >= 0).all().all()


def test_expression_tracks_hold_each_gene_once(organism: Organism) -> None:
    tracks = organism.tracks("stem")
    total = tracks[["expression_forward", "expression_reverse"]].sum()
    mean = organism.mean_expression(fate="stem")
    forward = (organism.genome.genes["strand"] == "+").to_numpy()
    assert total["expression_forward"] == pytest.approx(mean[forward].sum())
    assert total["expression_reverse"] == pytest.approx(mean[~forward].sum())


def test_private_part_alone_leaves_maps_apart_and_without_either_they_are_equal() -> None:
    def apart(**weights: float) -> float:
        organism = simulate_organism(preset="tiny", **weights)
        maps = [np.log(organism.expected_contacts("chr1", f"{f}_mature")) for f in organism.fates]
        return float(np.abs(maps[0] - maps[1]).max())

    assert apart(expression_weight=0.0, private_weight=0.0) < 1e-4
    # Loops are as occupied in both: what is left are the two parts, each on its own.
    assert apart(expression_weight=0.0) > 0.1
    assert apart(private_weight=0.0) > 0.1


def test_decay_is_between_the_slopes_of_real_maps() -> None:
    decay = distance_decay(400, 50_000)
    assert (np.diff(decay) < 0).all()
    slope = np.log(decay[200] / decay[2]) / np.log(100)
    assert -1.3 < slope < -0.5


def test_unknown_names_are_refused(organism: Organism) -> None:
    with pytest.raises(ValueError, match="unknown chromosome 'chrX'"):
        organism.expected_contacts("chrX")
    with pytest.raises(ValueError, match="unknown fate 'delta'"):
        organism.sample_contacts("delta")
    with pytest.raises(ValueError, match="n_cells is 0"):
        organism.sample_contacts("stem", n_cells=0)
    with pytest.raises(ValueError, match="unknown kind 'brain'"):
        organism.bulk("brain")
    with pytest.raises(ValueError, match="depth is -1"):
        organism.bulk(depth=-1)


def test_folder_reads_back_as_the_same_organism(tmp_path: Path) -> None:
    import anndata
    import cooler

    organism = simulate_organism(seed=3, preset="tiny", depth=200.0).perturb("TF_beta", 0.5, 20.0)
    organism.write(tmp_path, n_single_cells=2)
    again = read_organism(tmp_path)
    assert again == organism
    assert again != simulate_organism(seed=3, preset="tiny", depth=200.0)

    stored, made = anndata.read_h5ad(tmp_path / "cells.h5ad"), again.sample()
    assert (stored.X != made.X).nnz == 0
    pd.testing.assert_frame_equal(stored.obs, made.obs)
    pd.testing.assert_frame_equal(stored.var, made.var)
    np.testing.assert_array_equal(stored.obsm["true_state"], made.obsm["true_state"])
    np.testing.assert_array_equal(stored.layers["true_mean"], made.layers["true_mean"])

    bulk = again.bulk()
    for size, factor in ((50_000, 1), (100_000, 2)):
        clr = cooler.Cooler(f"{tmp_path}/bulk.mcool::/resolutions/{size}")
        found = np.triu(clr.matrix(balance=False).fetch("chr2"))
        n = 64 // factor
        wanted = np.triu(bulk["chr2"]).reshape(n, factor, n, factor).sum(axis=(1, 3))
        np.testing.assert_array_equal(found, wanted)
    clr = cooler.Cooler(f"{tmp_path}/gamma_mature.cool")
    found = clr.matrix(balance=False).fetch("chr1")
    np.testing.assert_array_equal(found, again.sample_contacts("gamma_mature")["chr1"])
    single = cooler.fileops.list_scool_cells(f"{tmp_path}/cells.scool")
    assert sorted(single) == ["/cells/cell0", "/cells/cell1"]
    table = again.sample_cell_contacts(n_cells=2)
    total = cooler.Cooler(f"{tmp_path}/cells.scool::/cells/cell1").pixels()[:]["count"].sum()
    assert total == table.loc[table["cell"] == 1, "count"].sum()

    tracks = pd.read_csv(tmp_path / "tracks.bed", sep="\t")
    np.testing.assert_allclose(tracks["cpg"], again.tracks()["cpg"])
    genes = pd.read_csv(tmp_path / "genes.bed", sep="\t")
    assert genes["name"].tolist() == again.genome.genes.index.tolist()


def test_damaged_folders_are_refused(tmp_path: Path, organism: Organism) -> None:
    with pytest.raises(FileNotFoundError, match="is missing; write it"):
        read_organism(tmp_path)
    path = tmp_path / "settings.json"
    path.write_text('{"format": 1, "seed"')
    with pytest.raises(ValueError, match="damaged"):
        read_organism(tmp_path)
    settings = {"format": 99, "perturbations": [], **dict.fromkeys(("seed", "preset"), 0)}
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="format 99"):
        read_organism(tmp_path)
    settings = {"format": 1, "perturbations": [], "seed": 0, "preset": "tiny", "n_bins": -4}
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="n_bins is -4"):
        read_organism(tmp_path)
