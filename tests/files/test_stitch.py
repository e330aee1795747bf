"""Overlap-add: what was cut is given back, no border shows, and masked bins stay empty."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from scstlib.files.stitch import BandedMap, predict_map, stitch, symmetric
from scstlib.preprocess.windows import make_windows, window_starts

WINDOW, STRIDE, N_BINS = 32, 16, 150
REACH = WINDOW - STRIDE


def random_map(seed=0, n_bins=N_BINS):
    counts = np.random.default_rng(seed).poisson(3, (n_bins, n_bins)).astype(np.float32)
    return np.triu(counts) + np.triu(counts, 1).T


def cut(matrix, starts, window=WINDOW):
    return np.stack([matrix[s : s + window, s : s + window] for s in starts])


def in_band(matrix, reach):
    i, j = np.indices(matrix.shape)
    return np.where(abs(i - j) <= reach, matrix, 0)


def starts_to_end(n_bins=N_BINS):
    return window_starts(n_bins, WINDOW, STRIDE, to_end=True)


def joined(maps, starts, reach=REACH, n_bins=N_BINS):
    band = BandedMap(n_bins, maps.shape[-1], reach)
    band.add(maps, starts)
    return band.upper()


def test_starts_reach_the_end():
    assert window_starts(150, 32, 16, to_end=True).tolist() == [*range(0, 113, 16), 118]
    assert window_starts(144, 32, 16, to_end=True)[-1] == 112
    assert window_starts(31, 32, 16, to_end=True).tolist() == []
    windows = make_windows(
        {"chr1": random_map()}, {"A": {"chr1": np.zeros((150, 1))}}, None,
        bin_size=10, bulk_cell_types=(), window=32, stride=16, to_end=True,
    )  # fmt: skip
    assert windows.table["end"].max() == 1500


def test_windows_of_one_map_give_it_back_exactly():
    # Fractions too: float32 values survive the weighted mean bit by bit.
    matrix = random_map() * np.float32(0.37)
    starts = starts_to_end()
    result = joined(cut(matrix, starts), starts)
    np.testing.assert_array_equal(symmetric(result).toarray(), in_band(matrix, REACH))
    assert result.dtype == np.float32
    # The whole of a single window, up to its corner.
    alone = joined(cut(matrix, [0]), np.array([0]), reach=WINDOW - 1)
    np.testing.assert_array_equal(
        symmetric(alone).toarray()[:WINDOW, :WINDOW], matrix[:WINDOW, :WINDOW]
    )


def test_symmetric_to_the_last_bit_and_stored_once():
    starts = starts_to_end()
    maps = np.random.default_rng(1).random((len(starts), WINDOW, WINDOW), dtype=np.float32)
    upper = joined(maps, starts)
    both = symmetric(upper).toarray()
    assert (both == both.T).all()
    assert (np.tril(upper.toarray(), -1) == 0).all()


def test_a_pixel_is_the_weighted_mean_of_its_windows():
    # Two windows of 4 bins, 2 apart. The diagonal pixel of bin 2 is the third of the first and the
    # first of the second window; sin²(π 2.5 / 4) and sin²(π 0.5 / 4).
    band = BandedMap(6, 4, 2)
    band.add(np.stack([np.full((4, 4), 1.0), np.full((4, 4), 5.0)]), np.array([0, 2]))
    a, b = np.sin(np.pi * 2.5 / 4) ** 2, np.sin(np.pi * 0.5 / 4) ** 2
    matrix = band.upper().toarray()
    assert matrix[2, 2] == pytest.approx((a * 1 + b * 5) / (a + b))
    assert matrix[0, 0] == 1
    assert matrix[5, 5] == 5


def test_no_seam_where_windows_disagree():
    """Steps across window borders are no larger than elsewhere; without the taper they are."""
    rng = np.random.default_rng(2)
    n_bins, window, stride = 1024, 64, 32
    starts = window_starts(n_bins, window, stride)
    # Each window is off by a smooth error of its own, of the size of the signal.
    x, y = np.indices((window, window)) / window
    waves = [np.cos(np.pi * k * x) * np.cos(np.pi * k * y) for k in (0, 1, 2)]
    maps = np.einsum("nk,kij->nij", rng.normal(size=(len(starts), 3)), np.array(waves)) + 5
    reach = 24  # at most three quarters of the band: at its rim one window is all there is

    def steps(matrix):
        diagonals = [np.diagonal(matrix, d) for d in range(reach)]
        step = [abs(np.diff(each)) for each in diagonals]
        border = np.concatenate([s[starts[1:] - 1] for s in step])
        # A window ends, too: its last pixel on a diagonal at distance d is window - 1 - d.
        ends = np.concatenate([s[starts[:-1] + window - 1 - d] for d, s in enumerate(step)])
        return np.concatenate([border, ends]), np.concatenate(step)

    tapered = joined(maps.astype(np.float32), starts, reach, n_bins).toarray()
    border, everywhere = steps(tapered)
    assert border.mean() <= everywhere.mean()
    assert border.max() <= everywhere.max()
    flat = BandedMap(n_bins, window, reach)
    flat.weight = (flat.weight > 0).astype(float)
    flat.add(maps, starts)
    border, everywhere = steps(flat.upper().toarray())
    assert border.mean() > 3 * everywhere.mean()


def test_masked_bins_are_empty_and_batches_change_nothing():
    bulk = random_map() + 1
    bulk[40:45] = bulk[:, 40:45] = 0
    windows = make_windows(
        {"chr1": bulk}, {"A": {"chr1": np.zeros((150, 1))}}, None,
        bin_size=10, bulk_cell_types=(), window=32, stride=16, to_end=True,
    )  # fmt: skip

    def predict(part):
        return part.bulk * 2 + 1  # not zero in masked bins

    one = predict_map(predict, windows, N_BINS, max_distance=REACH, batch_size=3)
    other = predict_map(predict, windows, N_BINS, max_distance=REACH, batch_size=100)
    matrix = symmetric(one).toarray()
    assert (matrix[40:45] == 0).all()
    np.testing.assert_array_equal(one.toarray(), other.toarray())
    usable = np.ones((150, 150), dtype=bool)
    usable[40:45] = usable[:, 40:45] = False
    np.testing.assert_array_equal(matrix, in_band(np.where(usable, bulk * 2 + 1, 0), REACH))


def test_stitch_takes_the_table_of_windows():
    maps = {"chr1": random_map(3), "chr2": random_map(4, 90)}
    tracks = {"A": {"chr1": np.zeros((150, 1)), "chr2": np.zeros((90, 1))}}
    windows = make_windows(
        maps, tracks, None, bin_size=50, bulk_cell_types=(), window=32, stride=16, to_end=True
    )
    sizes = {"chr1": 150, "chr2": 90}
    result = stitch(windows.bulk, windows.table, sizes, bin_size=50, max_distance=REACH)
    for chrom, matrix in maps.items():
        np.testing.assert_array_equal(symmetric(result[chrom]).toarray(), in_band(matrix, REACH))
    two = windows.table.assign(
        cell_type=["A", "B"] * (len(windows) // 2) + ["A"] * (len(windows) % 2)
    )
    with pytest.raises(ValueError, match="select one cell type"):
        stitch(windows.bulk, two, sizes, bin_size=50, max_distance=REACH)
    donors = windows.table.assign(donor=np.arange(len(windows)) % 2)
    with pytest.raises(ValueError, match="select one donor"):
        stitch(windows.bulk, donors, sizes, bin_size=50, max_distance=REACH)
    with pytest.raises(ValueError, match="no number of bins for 'chr2'"):
        stitch(windows.bulk, windows.table, {"chr1": 150}, bin_size=50, max_distance=REACH)


def test_memory_grows_with_the_band():
    tracemalloc.start()
    band = BandedMap(20_000, 32, 16)
    starts = window_starts(20_000, 32, 16)
    for first in range(0, len(starts), 50):
        some = starts[first : first + 50]
        band.add(np.ones((len(some), 32, 32), dtype=np.float32), some)
    result = band.upper()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sp.issparse(result)
    assert result.nnz == sum(20_000 - d for d in range(17))
    assert peak < 40e6  # dense and in one byte a pixel it would be 400 MB


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": np.full((1, 4, 4), np.nan)}, "NaN or infinity"),
        ({"maps": np.ones((1, 5, 5))}, "have shape"),
        ({"starts": np.array([7])}, "leaves the 10 bins"),
        ({"max_distance": 4}, "give 0 to 3 bins"),
        ({"n_bins": 3}, "does not fit into 3"),
    ],
)
def test_refused(change, message):
    given = {"n_bins": 10, "max_distance": 2, "maps": np.ones((1, 4, 4)), "starts": np.array([0])}
    given |= change
    with pytest.raises(ValueError, match=message):
        BandedMap(given["n_bins"], 4, given["max_distance"]).add(given["maps"], given["starts"])


def test_negative_predictions_and_mixed_windows_are_refused():
    tracks = {kind: {"chr1": np.zeros((150, 1))} for kind in "AB"}
    windows = make_windows(
        {"chr1": random_map()}, tracks, None, bin_size=10, bulk_cell_types=(), window=32, stride=16
    )
    with pytest.raises(ValueError, match="several cell_type"):
        predict_map(lambda w: w.bulk, windows, N_BINS, max_distance=4)
    one = windows[(windows.table["cell_type"] == "A").to_numpy()]
    with pytest.raises(ValueError, match="negative contact"):
        predict_map(lambda w: w.bulk - 5, one, N_BINS, max_distance=4)
    two = replace(one, table=one.table.assign(donor=np.arange(len(one)) % 2))
    with pytest.raises(ValueError, match="several donor"):
        predict_map(lambda w: w.bulk, two, N_BINS, max_distance=4)
    with pytest.raises(ValueError, match="leaves the 40 bins"):
        predict_map(lambda w: w.bulk, one, 40, max_distance=4)
    with pytest.raises(ValueError, match="no windows"):
        predict_map(lambda w: w.bulk, one[[]], N_BINS, max_distance=4)
