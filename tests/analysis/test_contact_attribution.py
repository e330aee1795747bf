from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from scstlib.analysis.contact_attribution import gene_effects, region_effect, relative_change
from scstlib.analysis.gene_switching import place_in_windows, switch_genes
from scstlib.datasets import simulate_organism
from scstlib.datasets.organism.chromatin import REST, chromatin_state, contact_map
from scstlib.datasets.organism.genome import gene_bins
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks
from scstlib.preprocess.windows import make_windows

BINS, SIZE = 24, 50_000
BIN_TABLE = pd.DataFrame(
    {"chrom": "chr1", "start": np.arange(BINS) * SIZE, "end": np.arange(1, BINS + 1) * SIZE}
)
GENES = pd.DataFrame(
    {
        "chrom": "chr1",
        "start": [3 * SIZE, 3 * SIZE + 9, 10 * SIZE, 20 * SIZE],
        "end": [3 * SIZE + 5, 3 * SIZE + 99, 12 * SIZE, 21 * SIZE],
        "strand": ["+", "+", "-", "+"],
    },
    index=["a", "b", "c", "d"],
)
EXPRESSION = pd.DataFrame(
    {"young": [1.0, 2.0, 3.0, 0.0], "old": [4.0, 2.0, 0.0, 1.0]}, index=GENES.index
)
CPG = 0.5 + 0.1 * np.sin(np.arange(BINS))


def windows_of(expression: pd.DataFrame, window: int = BINS, stride: int = BINS):
    tracks, names = guide_tracks(
        expression_tracks(expression, GENES, BIN_TABLE),
        reference=list(expression),
        shared=CPG[:, None],
        shared_names=["CpG"],
    )
    apart = np.abs(np.subtract.outer(np.arange(BINS), np.arange(BINS)))
    return make_windows(
        {"chr1": 100 / (1 + apart)},
        {kind: by_chromosome(t, BIN_TABLE) for kind, t in tracks.items()},
        None,
        bin_size=SIZE,
        bulk_cell_types=(),
        window=window,
        stride=stride,
        track_names=names,
    )


class Linear:
    """Each unit of expression in a bin adds ``kernel`` contacts around it; strands differ."""

    def pattern(self, bins: int, middle: int) -> np.ndarray:
        near = np.exp(-0.5 * ((np.arange(bins) - middle) / 2) ** 2)
        return np.outer(near, near)

    def predict(self, windows, depth: float = 1.0) -> np.ndarray:
        out = windows.bulk.astype(float)
        bins = out.shape[1]
        for b in range(bins):
            amount = windows.tracks[:, b, 0] - 0.5 * windows.tracks[:, b, 1]
            out = out + amount[:, None, None] * self.pattern(bins, b)
        return out.astype(np.float32)


class Product(Linear):
    """Expression counts only where two bins both have it."""

    def predict(self, windows, depth: float = 1.0) -> np.ndarray:
        level = windows.tracks[:, :, 0].astype(float)
        return windows.bulk * (1 + level[:, :, None] * level[:, None, :])


def test_effects_of_a_linear_model_are_exact_and_add_up():
    windows = windows_of(EXPRESSION)
    answer = gene_effects(Linear(), windows, EXPRESSION, GENES, insulation_window=5, batch=3)
    assert len(answer.table) == 8
    assert answer.changes.shape == (8, BINS, BINS)
    on = Linear().predict(windows).astype(float)
    for k, row in answer.table.iterrows():
        unit = 1.0 if GENES.loc[row["gene"], "strand"] == "+" else -0.5
        value = EXPRESSION.loc[row["gene"], row["cell_type"]]
        pattern = -unit * value * Linear().pattern(BINS, row["bin"])
        here = on[["young", "old"].index(row["cell_type"])]
        expected = relative_change((here + pattern)[None], here)[0]
        np.testing.assert_allclose(answer.changes[k], expected, atol=1e-5)
    joint = region_effect(Linear(), windows, EXPRESSION, GENES, ("chr1", 0, BINS * SIZE), "young")
    assert joint.genes == ("a", "b", "c", "d")
    assert joint.remainder < 1e-4
    np.testing.assert_allclose(joint.joint, joint.singles.sum(axis=0), atol=1e-4)


def test_silent_genes_do_nothing_and_strong_ones_most():
    table = gene_effects(Linear(), windows_of(EXPRESSION), EXPRESSION, GENES, insulation_window=5)
    young = table.table[table.table["cell_type"] == "young"].set_index("gene")
    for column in ("map_change", "insulation_change", "compartment_change"):
        assert young.loc["d", column] == pytest.approx(0, abs=1e-9)
    assert young.loc["b", "map_change"] == pytest.approx(2 * young.loc["a", "map_change"], rel=1e-3)
    # a makes contacts that c, on the other strand, takes away.
    assert young.loc["a", "insulation_change"] < 0 < young.loc["c", "insulation_change"]


def test_the_level_of_another_cell_type_explains_the_difference():
    windows = windows_of(EXPRESSION)
    rows = (windows.table["cell_type"] == "old").to_numpy()
    answer = gene_effects(
        Linear(), windows[rows], EXPRESSION, GENES, level=EXPRESSION["young"], insulation_window=5
    )
    size = answer.table.set_index("gene")["map_change"]
    assert size["b"] == pytest.approx(0, abs=1e-6)
    assert size[["a", "c", "d"]].min() > 0.001
    young, old = Linear().predict(windows).astype(float)
    np.testing.assert_allclose(
        answer.changes.sum(axis=0), relative_change(young[None], old)[0], atol=1e-4
    )


def test_genes_that_work_together_leave_a_remainder():
    windows = windows_of(EXPRESSION)
    pair = region_effect(
        Product(), windows, EXPRESSION, GENES, ("chr1", 3 * SIZE, 4 * SIZE), "young"
    )
    assert pair.genes == ("a", "b")
    # Level 3 squared is 9: without a 4, without b 1, without both 0. Joint -9, singles -5 and -8.
    assert pair.remainder == pytest.approx(4 / 9, rel=1e-3)


def test_the_only_gene_of_a_bin_leaves_nothing_behind():
    # 0.1 and 1.7 have no exact single precision: the difference must not fall below 0.
    expression = EXPRESSION.assign(young=[0.1, 1.7, 0.3, 0.7])
    windows = windows_of(expression)[[0]]
    placed = place_in_windows(windows, expression, GENES)
    off = switch_genes(windows, 0, placed, [[0], [0, 1], [2], [3]])
    assert off.tracks.min() == 0
    left = off.tracks[[0, 1, 2, 3], placed["bin"].to_numpy(), placed["column"].to_numpy()]
    np.testing.assert_allclose(left, [1.7, 0, 0, 0], rtol=1e-6)


def test_a_gene_is_read_where_it_lies_nearest_the_middle():
    windows = windows_of(EXPRESSION[["young"]], window=12, stride=4)
    placed = place_in_windows(windows, EXPRESSION, GENES).set_index("gene")
    assert placed["window"].to_dict() == {"a": 0, "b": 0, "c": 1, "d": 3}
    assert placed["bin"].to_dict() == {"a": 3, "b": 3, "c": 7, "d": 8}


def test_input_stays_as_it_is_and_masked_bins_are_nan():
    windows = windows_of(EXPRESSION)
    mask = windows.mask.copy()
    mask[:, 11] = False
    windows = replace(windows, mask=mask)
    before = windows.tracks.copy()
    answer = gene_effects(Linear(), windows, EXPRESSION, GENES, insulation_window=5)
    np.testing.assert_array_equal(windows.tracks, before)
    assert np.isnan(answer.changes[:, 11]).all()
    assert np.isfinite(answer.changes[:, 10, 12]).all()
    by_gene = answer.table.set_index("gene")
    assert by_gene.loc["c", "compartment_change"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expression": EXPRESSION * 10}, "does not add up"),
        ({"names": ["a", "unknown"]}, "unknown"),
        ({"level": pd.Series({"a": 1.0})}, "no level"),
        ({"phasing": "GC"}, "no track 'GC'"),
        ({"genes": GENES.assign(chrom="chr9")}, "in no window"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    settings = {"expression": EXPRESSION, "genes": GENES, **change}
    with pytest.raises(ValueError, match=message):
        gene_effects(Linear(), windows_of(EXPRESSION), insulation_window=5, **settings)


def test_regions_without_a_window_or_a_gene_are_refused():
    windows = windows_of(EXPRESSION, window=12, stride=4)
    with pytest.raises(ValueError, match="no window"):
        region_effect(Linear(), windows, EXPRESSION, GENES, ("chr1", 0, 13 * SIZE), "young")
    with pytest.raises(ValueError, match="no gene starts"):
        region_effect(Linear(), windows, EXPRESSION, GENES, ("chr1", 5 * SIZE, 6 * SIZE), "young")


def test_windows_of_several_donors_are_refused():
    windows = windows_of(EXPRESSION)
    windows = replace(windows, table=windows.table.assign(donor=["one", "two"]))
    with pytest.raises(ValueError, match="several donors"):
        gene_effects(Linear(), windows, EXPRESSION, GENES)
    with pytest.raises(ValueError, match="several donors"):
        region_effect(Linear(), windows, EXPRESSION, GENES, ("chr1", 0, 4 * SIZE), "young")


class OrganismMaps:
    """The organism's own folding, read off the transcriptional activity in the tracks."""

    def __init__(self, organism, kind: str) -> None:
        self.organism, self.chromosome = organism, organism.genome.chromosomes[0]
        self.group = organism._members(kind, None)[kind]

    def predict(self, windows, depth: float = 1.0) -> np.ndarray:
        bins = self.chromosome.n_bins
        lagged = np.full_like(self.group.lagged, REST)
        lagged[0, 0] += 1.0
        table = pd.DataFrame({
            "chrom": self.chromosome.name, "strand": "+", "start": np.arange(bins) * SIZE,
        }).assign(end=lambda t: t["start"] + 1)  # fmt: skip
        genome = replace(self.organism.genome, genes=table, half_life=np.zeros(bins, dtype=int))
        out = []
        for tracks in windows.tracks:
            weights = np.zeros((bins, len(self.group.levels)))
            weights[:, 0] = tracks[:, 0] + tracks[:, 1]
            state = chromatin_state(
                replace(genome, weights=weights), self.chromosome, self.group.levels, lagged
            )
            out.append(contact_map(self.chromosome, state, SIZE))
        return np.stack(out)


def test_genes_that_shape_the_organism_s_map_rank_high():
    organism = simulate_organism(seed=20, preset="tiny", n_bins=96, n_chromosomes=1)
    kind, chromosome, genome = "beta_mature", organism.genome.chromosomes[0], organism.genome
    model = OrganismMaps(organism, kind)
    rows, _ = gene_bins(genome, chromosome.name)
    lagged = model.group.lagged[genome.half_life]
    activity = pd.DataFrame({kind: (genome.weights * (lagged - REST)).sum(axis=1)},
                            index=genome.genes.index)  # fmt: skip
    bins = organism.tracks()[["chrom", "start", "end", "cpg"]]
    tracks, names = guide_tracks(
        expression_tracks(activity, genome.genes, bins),
        reference=[kind], shared=bins[["cpg"]].to_numpy(), shared_names=["CpG"],
    )  # fmt: skip
    windows = make_windows(
        organism.bulk("stem"), {kind: by_chromosome(tracks[kind], bins)}, None, bin_size=SIZE,
        bulk_cell_types=["stem"], window=96, track_names=names,
    )  # fmt: skip
    windows = replace(windows, mask=np.ones_like(windows.mask))
    answer = gene_effects(model, windows, activity, genome.genes)
    true_map = organism._map(chromosome, model.group)
    effects = {}
    for row in rows:
        weights = genome.weights.copy()
        weights[row] = 0
        state = chromatin_state(
            replace(genome, weights=weights), chromosome, model.group.levels, model.group.lagged
        )
        off = contact_map(chromosome, state, SIZE)
        effects[genome.genes.index[row]] = relative_change(off[None], true_map)[0]
    for name, change in zip(answer.table["gene"], answer.changes, strict=True):
        np.testing.assert_allclose(change, effects[name], atol=2e-3)
    size = {name: np.sqrt(np.nanmean(change**2)) for name, change in effects.items()}
    found = np.sqrt(np.nanmean(answer.changes**2, axis=(1, 2)))
    assert spearmanr(found, answer.table["gene"].map(size))[0] > 0.99
