"""The default scGrapHiC: what its predictions keep, and what it learns on a small organism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from scstlib.leakage import LeakageError, check_evaluation, choose
from scstlib.models import ScGrapHiC
from scstlib.models.spatial.scgraphic.features import _blur
from scstlib.models.spatial.scgraphic.loss import contrast_loss, places_of
from scstlib.preprocess.windows import Windows, join_windows

SMALL = {"channels": 8, "pair_channels": 8, "n_blocks": 1, "n_steps": 4, "batch_size": 4}
NAMES = (
    "expression +", "expression -", "reference expression +", "reference expression -",
    "bulk expression +", "bulk expression -", "CTCF +", "CTCF -", "CpG",
)  # fmt: skip


def windows_of(bins: int = 32, places: int = 3, seed: int = 0) -> Windows:
    """Random counts that fall with the distance; a masked bin; two cell types a place."""
    rng = np.random.default_rng(seed)
    distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
    n = 2 * places
    upper = np.triu(rng.poisson(60 / (1 + distance), (n, bins, bins)))
    bulk = (upper + np.swapaxes(np.triu(upper, 1), 1, 2)).astype(np.float32)
    bulk[1::2] = bulk[::2]
    upper = np.triu(rng.poisson(20 / (1 + distance), (n, bins, bins)))
    targets = (upper + np.swapaxes(np.triu(upper, 1), 1, 2)).astype(np.float32)
    mask = np.ones((n, bins), dtype=bool)
    mask[:, 5] = False
    for maps in (bulk, targets):
        maps *= mask[:, :, None] & mask[:, None, :]
    start = np.repeat(np.arange(places) * bins * 1000, 2)
    table = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + bins * 1000})
    table["cell_type"] = ["a", "b"] * places
    tracks = rng.gamma(1.0, 2.0, (n, bins, len(NAMES))).astype(np.float32)
    tracks[1::2, :, 2:] = tracks[::2, :, 2:]  # Only the expression is a cell type's own.
    return Windows(bulk, tracks, targets, table, 1000, mask, NAMES)


@pytest.fixture(scope="module")
def windows() -> Windows:
    return windows_of()


@pytest.fixture(scope="module")
def fitted(windows: Windows) -> ScGrapHiC:
    return ScGrapHiC(**SMALL).fit(windows, device="cpu")


def test_steps_on_windows_without_a_usable_bin_change_nothing(windows):
    empty = windows.table["start"].to_numpy() > 0
    gap = replace(
        windows,
        bulk=np.where(empty[:, None, None], 0, windows.bulk),
        targets=np.where(empty[:, None, None], 0, windows.targets),
        mask=windows.mask & ~empty[:, None],
    )
    model = ScGrapHiC(**SMALL | {"batch_size": 2, "n_steps": 8})
    model.fit(gap, validation=gap, device="cpu", progress=False)
    assert np.isfinite(model.losses_["train"]).all()
    assert (model.losses_["train"] == 0).any()


def test_a_chosen_model_remembers_what_chose_it(windows):
    models = {"a": ScGrapHiC(**SMALL).fit(windows, device="cpu", progress=False)}
    other = replace(windows, table=windows.table.assign(chrom="chr2"))
    _, winner = choose(models, lambda model, part: 0.0, other)
    with pytest.raises(LeakageError, match="chromosome"):
        check_evaluation(winner, other)


def test_a_model_that_cannot_be_written_leaves_nothing(fitted, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        fitted.save(tmp_path / "none" / "model.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="no regular file"):
        fitted.save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_maps_are_symmetric_to_the_last_bit_and_empty_where_masked(fitted, windows):
    maps = fitted.predict(windows)
    assert maps.dtype == np.float32
    assert np.array_equal(maps, np.swapaxes(maps, 1, 2))
    assert (maps[:, 5] == 0).all()
    assert (maps[:, 6, 7] > 0).all()


def test_before_training_the_prediction_is_the_smoothed_bulk(windows):
    # Targets equal to the bulk: no shift. A learning rate of nearly 0: no training.
    same = replace(windows, targets=windows.bulk.copy())
    model = ScGrapHiC(**SMALL | {"n_steps": 1, "learning_rate": 1e-12}).fit(same)
    maps = model.predict(same)
    assert np.allclose(maps[::2], maps[1::2], rtol=1e-5)  # Nothing but the bulk counts.
    assert maps.sum() == pytest.approx(same.bulk.sum(), rel=0.1)
    usable = np.triu_indices(32, 1)
    both = np.corrcoef(np.log1p(maps[0][usable]), np.log1p(same.bulk[0][usable]))[0, 1]
    assert both > 0.8


def test_depth_is_a_factor(fitted, windows):
    assert np.allclose(fitted.predict(windows, depth=2.0), 2 * fitted.predict(windows), rtol=1e-6)
    with pytest.raises(ValueError, match="depth must be a positive number"):
        fitted.predict(windows, depth=0)


@pytest.mark.parametrize("bins", [17, 30, 48])
def test_windows_of_any_size(fitted, bins):
    maps = fitted.predict(windows_of(bins))
    assert maps.shape == (6, bins, bins)
    assert np.isfinite(maps).all()
    assert np.array_equal(maps, np.swapaxes(maps, 1, 2))


def test_works_without_expression_and_without_any_track(windows):
    for keep in ([6, 7, 8], []):
        names = tuple(NAMES[i] for i in keep)
        fewer = replace(windows, tracks=windows.tracks[..., keep], track_names=names)
        maps = ScGrapHiC(**SMALL).fit(fewer).predict(fewer)
        assert np.isfinite(maps).all()
        assert np.allclose(maps[::2], maps[1::2], rtol=1e-4)  # Nothing tells the types apart.


def test_where_both_guides_agree_the_cell_type_adds_nothing(fitted, windows):
    alike = windows.tracks.copy()
    alike[:, :, :2] = alike[:, :, 4:6]  # The expression of the bulk's cells.
    same = fitted.predict(replace(windows, tracks=alike))
    assert np.allclose(same[::2], same[1::2], rtol=1e-5)
    own = fitted.predict(windows)
    assert not np.allclose(own[::2], own[1::2], rtol=1e-3)


def test_works_without_the_expression_of_the_bulk_or_of_the_training_types(windows):
    for keep in ([0, 1, 2, 3, 8], [0, 1, 4, 5], [0, 1, 8]):
        names = tuple(NAMES[i] for i in keep)
        fewer = replace(windows, tracks=windows.tracks[..., keep], track_names=names)
        maps = ScGrapHiC(**SMALL | {"n_steps": 20}).fit(fewer).predict(fewer)
        assert np.isfinite(maps).all()
        assert not np.allclose(maps[::2], maps[1::2], rtol=1e-3)


def test_a_cell_type_is_predicted_alike_alone_and_among_others(fitted, windows):
    alone = np.concatenate([fitted.predict(windows[i : i + 1]) for i in range(len(windows))])
    assert np.allclose(alone, fitted.predict(windows), rtol=1e-4)


def test_seeds_repeat_and_differ(windows, fitted):
    again = ScGrapHiC(**SMALL).fit(windows).predict(windows)
    assert np.array_equal(again, fitted.predict(windows))
    other = ScGrapHiC(**SMALL, seed=1).fit(windows).predict(windows)
    assert not np.array_equal(other, again)


def test_a_run_that_was_broken_off_ends_where_an_unbroken_one_does(windows, fitted, tmp_path):
    path = tmp_path / "run"
    rate, calls = ScGrapHiC._log_rate, []

    class Stops(ScGrapHiC):
        def _log_rate(self, *args, **how):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return rate(self, *args, **how)

    import scstlib.models.spatial.scgraphic.default as module

    before = module.CHECKPOINT_EVERY
    module.CHECKPOINT_EVERY = 1
    try:
        with pytest.raises(KeyboardInterrupt):
            Stops(**SMALL).fit(windows, checkpoint=path)
    finally:
        module.CHECKPOINT_EVERY = before
    resumed = ScGrapHiC(**SMALL).fit(windows, checkpoint=path)
    assert np.array_equal(resumed.predict(windows), fitted.predict(windows))


def test_validation_keeps_the_best(windows):
    model = ScGrapHiC(**SMALL | {"n_steps": 6, "validate_every": 2})
    model.fit(windows, validation=windows_of(seed=1))
    assert len(model.losses_["validation"]) == 3
    assert len(model.fitted_on_) == 2


def test_balanced_maps_are_read_in_contacts(windows, fitted):
    scaled = replace(windows, bulk=windows.bulk / 512, targets=windows.targets / 64)
    maps = ScGrapHiC(**SMALL).fit(scaled).predict(scaled)
    assert np.allclose(512 * maps, fitted.predict(windows), rtol=1e-3)


def test_bad_input_is_refused(windows, fitted):
    with pytest.raises(ValueError, match="not fitted"):
        ScGrapHiC().predict(windows)
    with pytest.raises(ValueError, match="no targets"):
        ScGrapHiC(**SMALL).fit(replace(windows, targets=None))
    negative = replace(windows, tracks=windows.tracks - 1)
    with pytest.raises(ValueError, match="goes down to"):
        ScGrapHiC(**SMALL).fit(negative)
    with pytest.raises(ValueError, match="was fitted on the tracks"):
        fitted.predict(replace(windows, track_names=NAMES[::-1]))
    with pytest.raises(ValueError, match="dropout"):
        ScGrapHiC(dropout=1.0)


def test_half_precision_gives_much_the_same(windows, fitted):
    half = ScGrapHiC(**SMALL).fit(windows, precision="bf16-mixed").predict(windows)
    assert np.corrcoef(half.ravel(), fitted.predict(windows).ravel())[0, 1] > 0.99


def test_a_deep_map_with_an_interpolated_pixel_is_still_of_counts(windows):
    deep = replace(windows, bulk=windows.bulk * 30, targets=windows.targets * 30)
    deep.bulk[:, 0, 0] += 0.5
    deep.targets[:, 0, 0] += 0.5
    model = ScGrapHiC(**SMALL).fit(deep, device="cpu")
    assert model.unit_ == 1


def test_where_donors_differ_in_their_masks_the_order_of_windows_does_not_matter():
    draws = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((2, 40), 5.0), generator=draws)
    logs = torch.randn(2, 40, generator=draws)
    usable = torch.ones(2, 40, dtype=torch.bool)
    usable[1, :20] = False
    place = torch.zeros(2, dtype=torch.long)
    turned = (x.flip(0) for x in (counts, logs, usable))
    loss = contrast_loss(counts, logs, usable, place, 0.2)
    assert loss > 0
    assert contrast_loss(*turned, place, 0.2) == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("width", [0.8, 1.6, 3.2])
def test_averages_are_of_gaussian_weights_without_subnormal_tails(width):
    weights = _blur(128, width, torch.device("cpu"))
    distance = torch.arange(128)[:, None] - torch.arange(128)
    exact = (-0.5 * (distance.double() / width) ** 2).exp()
    assert torch.allclose(weights.double(), exact / exact.sum(1, keepdim=True), atol=1e-7)
    assert not ((weights > 0) & (weights < torch.finfo(torch.float32).tiny)).any()


def test_cell_types_share_a_place_if_they_share_its_bulk_map():
    """How contacts divide between targets of two bulk maps tells how these differ, too."""
    one = windows_of()
    both = join_windows([one, replace(one, bulk=one.bulk + 1)])
    assert places_of(both).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
