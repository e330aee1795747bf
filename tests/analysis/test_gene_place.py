from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scstlib.analysis.gene_place import (
    add_gene_places,
    gene_place,
    mean_contact,
    place_genes,
    start_bins,
)

BINS, SIZE = 80, 50_000
A_BLOCKS = np.where((np.arange(BINS) // 10) % 2 == 0, 1.0, -1.0)
GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr1", "chr2"],
        "start": [5 * SIZE, 20 * SIZE, 50 * SIZE, 0],
        "end": [6 * SIZE, 30 * SIZE, 51 * SIZE, 1000],
        "strand": ["+", "-", "+", "+"],
    },
    index=["forward", "reverse", "far", "elsewhere"],
)


def contacts(pattern: np.ndarray, border: int, loop: float = 1.0) -> np.ndarray:
    """Compartments, one border, and contact of bins 5 and 50 that is ``loop`` times as strong."""
    bins = np.arange(BINS)
    apart = np.abs(np.subtract.outer(bins, bins))
    across = np.abs(np.subtract.outer(bins >= border, bins >= border, dtype=int))
    out = 1000 / (1 + apart) * np.exp(0.1 * np.outer(pattern, pattern) - 0.7 * across)
    out *= 1 + 1e-3 * np.add.outer(np.sin(bins), np.sin(bins))
    out[4:7, 49:52] *= loop
    out[49:52, 4:7] *= loop
    return out


SWITCHED = np.where(np.arange(BINS) < 10, -A_BLOCKS, A_BLOCKS)
MAPS = {
    "early": {"chr1": contacts(A_BLOCKS, 32)},
    "late": {"chr1": contacts(SWITCHED, 40, loop=4.0)},
}
SETTINGS = {"bin_size": SIZE, "window": 5 * SIZE, "min_strength": 0.4}


def of(gene: str, **more) -> pd.DataFrame:
    return gene_place(MAPS, gene, GENES, {"chr1": A_BLOCKS}, **SETTINGS, **more)


def test_transcription_starts_at_the_end_of_a_reverse_gene():
    assert start_bins(GENES, SIZE).to_dict() == {
        "forward": 5, "reverse": 29, "far": 50, "elsewhere": 0
    }  # fmt: skip
    with pytest.raises(ValueError, match="strand"):
        start_bins(GENES.assign(strand="."), SIZE)


def test_a_gene_that_switches_and_its_boundary_that_moves():
    table = of("forward")
    assert table.index.tolist() == ["early", "late"]
    assert table.loc["early", "compartment"] > 0 > table.loc["late", "compartment"]
    assert table["compartment_change"].iloc[0] == 0 > table["compartment_change"].iloc[1]
    distance = of("reverse")["boundary_distance"] / SIZE
    assert abs(distance["early"] - 3) <= 1
    assert abs(distance["late"] - 11) <= 1


def test_a_partner_by_name_or_place_and_how_contact_changes():
    by_name, by_place = of("forward", partner="far"), of("forward", partner=50 * SIZE + 7)
    pd.testing.assert_frame_equal(by_name, by_place)
    assert 1.2 < by_name.loc["late", "contact_change"] < 2.2
    assert by_name.loc["early", "contact_change"] == 0


def test_contact_by_hand():
    flat = np.ones((6, 6))
    flat[0, 3] = flat[3, 0] = 4.0
    # Mean at distance 3: (4 + 1 + 1) / 3 = 2.
    assert mean_contact(flat, 0, 3, radius=0) == pytest.approx(2.0)
    assert mean_contact(flat, 1, 4, radius=0) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="not both"):
        mean_contact(flat, 0, 6)


def test_what_cannot_be_placed_is_refused():
    with pytest.raises(KeyError, match="nobody"):
        of("nobody")
    with pytest.raises(KeyError, match="nobody"):
        of("forward", partner="nobody")
    with pytest.raises(ValueError, match="on chr2, not on chr1"):
        of("forward", partner="elsewhere")
    far = GENES.assign(start=GENES["start"] + 100 * SIZE, end=GENES["end"] + 100 * SIZE)
    with pytest.raises(ValueError, match="beyond the map"):
        place_genes(MAPS, far, {"chr1": A_BLOCKS}, **SETTINGS)
    with pytest.raises(ValueError, match="no gene lies"):
        place_genes(MAPS, GENES[-1:], {"chr1": A_BLOCKS}, **SETTINGS)
    with pytest.raises(ValueError, match="'elsewhere' is on chr2, and the maps of 'early'"):
        of("elsewhere")
    twice = pd.concat([GENES, GENES.loc[["forward"]]])
    with pytest.raises(ValueError, match="'forward' occurs twice"):
        place_genes(MAPS, twice, {"chr1": A_BLOCKS}, **SETTINGS)
    with pytest.raises(ValueError, match="'forward' occurs twice"):
        gene_place(MAPS, "far", twice, {"chr1": A_BLOCKS}, partner="forward", **SETTINGS)


def test_a_chromosome_without_a_boundary_has_no_distance_to_one():
    small = {"now": {"chr1": contacts(A_BLOCKS, 32)[:7, :7]}}
    settings = SETTINGS | {"min_strength": None}
    table = gene_place(small, "forward", GENES, {"chr1": np.arange(7.0)}, **settings)
    assert table["boundary_distance"].isna().all()


def test_places_of_all_genes_go_into_var():
    places = place_genes(MAPS, GENES, {"chr1": A_BLOCKS}, **SETTINGS)
    assert len(places) == 6
    adata = AnnData(np.zeros((1, 4)), var=pd.DataFrame(index=GENES.index[::-1]))
    out = add_gene_places(adata, places)
    assert adata.var.columns.empty
    assert out.var["compartment:early"].isna().to_dict() == {
        "elsewhere": True, "far": False, "reverse": False, "forward": False
    }  # fmt: skip
    expected = of("forward").loc["late", "insulation"]
    assert out.var.loc["forward", "insulation:late"] == pytest.approx(expected)
