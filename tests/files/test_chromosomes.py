"""Maps of whole chromosomes by sample, and their scores."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from scstlib.files.chromosomes import chromosome_scores, join_samples

Maps = dict[tuple[str, str, str], np.ndarray]
BINS = 12


@pytest.fixture
def target() -> Maps:
    rng = np.random.default_rng(0)
    counts = {
        key: rng.poisson(20, (BINS, BINS)).astype(float)
        for key in product(("a", "b", "c"), ("A", "B"), ("chr1", "chr2"))
    }
    return {key: values + values.T for key, values in counts.items()}


@pytest.fixture
def usable() -> dict[str, np.ndarray]:
    return {"chr1": np.ones(BINS, bool), "chr2": np.arange(BINS) != 3}


def test_the_target_scores_one_at_any_depth(target: Maps, usable: dict[str, np.ndarray]) -> None:
    deeper = {key: 3 * values for key, values in target.items()}
    scores = chromosome_scores(deeper, target, usable, max_distance=8)
    assert len(scores) == len(target)
    np.testing.assert_allclose(scores["SCC"], 1)
    assert (scores["dC"] > 0.99).all()


def test_one_map_for_all_types_has_no_contrast(target: Maps, usable: dict[str, np.ndarray]) -> None:
    one = {(k, d, c): target["a", d, c] for k, d, c in target}
    scores = chromosome_scores(one, target, usable, max_distance=8)
    np.testing.assert_allclose(scores["dC"], 0, atol=1e-9)
    own = scores["cell_type"] == "a"
    assert scores.loc[own, "SCC"].min() > 0.99
    assert scores.loc[~own, "SCC"].max() < 0.9


@pytest.mark.parametrize("where", [(0, 0), (0, 11), (3, 5)])
def test_diagonal_far_pixels_and_masked_bins_do_not_count(
    target: Maps, usable: dict[str, np.ndarray], where: tuple[int, int]
) -> None:
    changed = {key: values.copy() for key, values in target.items()}
    for values in changed.values():
        values[where] = values[where[::-1]] = 1e6
    scores = chromosome_scores(changed, target, {"chr2": usable["chr2"]}, max_distance=8)
    np.testing.assert_allclose(scores["SCC"], 1)


def test_a_map_that_lacks_is_named(target: Maps, usable: dict[str, np.ndarray]) -> None:
    some = {key: values for key, values in target.items() if key != ("b", "B", "chr2")}
    with pytest.raises(ValueError, match=r"no map of \('b', 'B', 'chr2'\)"):
        chromosome_scores(some, target, usable, max_distance=8)


def test_windows_come_back_as_the_maps_they_were_cut_from(target: Maps) -> None:
    rows, windows = [], []
    for (kind, donor, chrom), values in target.items():
        for start in (0, 4):
            rows.append({"cell_type": kind, "donor": donor, "chrom": chrom, "start": 100 * start})
            windows.append(values[start : start + 8, start : start + 8])
    joined = join_samples(
        np.stack(windows), pd.DataFrame(rows), {"chr1": BINS, "chr2": BINS},
        bin_size=100, max_distance=4,
    )  # fmt: skip
    assert list(joined) == list(target)
    i, j = np.indices((BINS, BINS))
    for key, values in joined.items():
        np.testing.assert_allclose(values, np.where(abs(i - j) <= 4, target[key], 0), rtol=1e-6)
