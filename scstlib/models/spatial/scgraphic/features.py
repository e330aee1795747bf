"""What the default scGrapHiC reads: tracks as features of bins, and the bulk map without its noise.

Nothing here is trained. Maps are torch tensors (n, bins, bins) of contacts, 0 in masked bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scstlib.preprocess.guides import BULK_EXPRESSION, EXPRESSION, REFERENCE_EXPRESSION

SMOOTHING = (0.0, 0.8, 1.6, 3.2)  # widths, in bins, at which observed over expected is averaged
EXPRESSION_FLOOR = 0.015  # of the mean expression of bins with any
PRIOR_CONTACTS = 1.0  # contacts as expected that are added to those that were seen
INSULATION_WINDOWS = (2, 4, 8, 16)
N_PROFILE = 2 + len(INSULATION_WINDOWS)
LOG_NEGLIGIBLE = -20.0  # of a weight in an average, relative to the largest
TRACK_WIDTHS = (2.0, 5.0)  # in bins, at which tracks are averaged as well


def expression_floor(tracks: np.ndarray, names: tuple[str, ...]) -> float:
    """Return the expression of a bin, both strands, that is taken for none, in the tracks' unit.

    A small share of the mean over bins with any: a gene that doubles counts for as much whether
    it is high or low, until its level is lost in counting noise.
    """
    place = {name: i for i, name in enumerate(names)}
    columns = [place[name] for name in EXPRESSION if name in place]
    total = np.asarray(tracks)[..., columns].sum(axis=-1)
    return EXPRESSION_FLOOR * float(total[total > 0].mean()) if (total > 0).any() else 1.0


def bulk_guide(tracks: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Return tracks (n, bins, tracks) with the expression of the bulk's cells as that of all.

    Without it that of the reference, without either none.
    """
    place = {name: i for i, name in enumerate(names)}
    out = np.array(tracks)
    for own, reference, bulk in zip(EXPRESSION, REFERENCE_EXPRESSION, BULK_EXPRESSION, strict=True):
        if own in place:
            other = place.get(bulk, place.get(reference))
            out[..., place[own]] = 0 if other is None else tracks[..., other]
    return out


def other_strand(names: tuple[str, ...]) -> list[int]:
    """Return where each feature stands on the other strand: ``+`` and ``-`` change places."""
    swapped = [
        name[:-1] + {"+": "-", "-": "+"}[name[-1]] if name.endswith((" +", " -")) else name
        for name in names
    ]
    return [names.index(name) if name in names else i for i, name in enumerate(swapped)]


def with_neighbours(tracks: Tensor) -> Tensor:
    """Return tracks (n, bins, k) with their averages at ``TRACK_WIDTHS``, (n, bins, k × 3)."""
    bins = tracks.shape[1]
    # An average has a smaller spread than the values: by about the root of its width.
    wide = [_blur(bins, w, tracks.device) @ tracks * w**0.5 for w in TRACK_WIDTHS]
    return torch.cat([tracks, *wide], -1)


def log_curve(means: np.ndarray) -> np.ndarray:
    """Return the log of means by distance; where there are none, of the nearest that has one."""
    known = np.flatnonzero(np.nan_to_num(means) > 0)
    logs: np.ndarray = np.interp(np.arange(len(means)), known, np.log(means[known]))
    return logs.astype(np.float32)


def smoothed_curve(curve: np.ndarray) -> np.ndarray:
    """Return the mean over distances within a tenth: the farther, the noisier a single one."""
    near = [curve[max(d - d // 10, 0) : d + d // 10 + 1].mean() for d in range(len(curve))]
    return np.array(near, dtype=np.float32)


def curve_map(curve: Tensor, bins: int) -> Tensor:
    """Return logs by distance as a map (bins, bins)."""
    return extended(curve, bins)[distances(bins, curve.device)]


def distances(bins: int, device: torch.device | None = None) -> Tensor:
    """Return |i - j|, (bins, bins)."""
    place = torch.arange(bins, device=device)
    return (place[:, None] - place[None, :]).abs()


def extended(by_distance: Tensor, bins: int) -> Tensor:
    """Return logs by distance, (bins,), for windows wider than those they were learned on.

    They go on along the line through the last point and that of half its distance, over the log
    of the distance.
    """
    known = len(by_distance)
    if bins <= known:
        return by_distance[:bins]
    last, half = known - 1, max((known - 1) // 2, 1)
    slope = (by_distance[last] - by_distance[half]) / np.log(max(last / half, 1.5))
    more = torch.arange(known, bins, device=by_distance.device) / max(last, 1)
    return torch.cat([by_distance, by_distance[last] + slope * more.log()])


@dataclass(frozen=True)
class BulkView:
    """The bulk map, taken apart.

    Attributes
    ----------
    maps
        (n, len(SMOOTHING) + 1, bins, bins), log of observed over expected contacts at each
        smoothing; last the log of those expected, which distance and visibility of the two bins
        give.
    profile
        (n, bins, features), visibility and insulation of bins.
    """

    maps: Tensor
    profile: Tensor


def view_bulk(bulk: Tensor, mask: Tensor, log_decay: Tensor) -> BulkView:
    """Take bulk maps apart into what distance and visibility give and the rest.

    Parameters
    ----------
    bulk : Tensor (n, bins, bins)
        In contacts.
    mask : Tensor (n, bins)
        True for usable bins.
    log_decay : Tensor (bins,)
        Log of the mean contacts at each distance.
    """
    bins = bulk.shape[-1]
    usable = mask.to(bulk.dtype)
    decay = curve_map(log_decay, bins).exp()
    decay = decay * usable[:, :, None] * usable[:, None, :]
    total, rows = bulk.sum((1, 2), keepdim=True), bulk.sum(2)
    decay = decay * (total / decay.sum((1, 2), keepdim=True).clamp(min=1e-6))
    seen = usable.clone()
    for _ in range(8):  # A few rounds: the rest of the unevenness stays in the ratio.
        alone = seen * torch.einsum("nij,nj->ni", decay, seen)
        seen = seen * ((rows + 1.0) / (alone + 1.0)).sqrt() * usable
    expected = decay * seen[:, :, None] * seen[:, None, :]
    ratios = []
    for width in SMOOTHING:
        over, under = (_blurred(maps, width) for maps in (bulk, expected))
        # A wide mean sees many pixels and needs less of a prior.
        prior = PRIOR_CONTACTS / max(1.0, 4 * np.pi * width**2)
        ratios.append(((over + prior) / (under + prior)).log())
    log_expected = torch.where(expected > 0, expected, torch.ones_like(expected)).log()
    profile = [usable, torch.where(mask, seen.clamp(min=1e-3).log(), 0 * seen)]
    across = [_across(maps, INSULATION_WINDOWS) for maps in (bulk, expected)]
    profile += [((over + 1) / (under + 1)).log() for over, under in zip(*across, strict=True)]
    return BulkView(torch.stack([*ratios, log_expected], 1), torch.stack(profile, -1))


def _blurred(maps: Tensor, width: float) -> Tensor:
    if width == 0:
        return maps
    blur = _blur(maps.shape[-1], width, maps.device)
    # Symmetric maps: blur @ maps is the transpose of maps @ blur.T, which is one product.
    return (maps @ blur.T).mT @ blur.T


def _blur(bins: int, width: float, device: torch.device) -> Tensor:
    """Matrix (bins, bins) that averages with a Gaussian; nothing is lost at the edges."""
    logs = -0.5 * (distances(bins, device) / width) ** 2
    # Tails would be subnormal numbers, which processors multiply many times more slowly.
    weights = logs.clamp(min=LOG_NEGLIGIBLE).exp() * (logs > LOG_NEGLIGIBLE)
    return weights / weights.sum(1, keepdim=True)


def _across(maps: Tensor, windows: tuple[int, ...]) -> list[Tensor]:
    """Contacts across each bin, (n, bins), within each window.

    Sums of pixels (i - a, i + b) with a, b from 0 to the window, not both 0.
    """
    bins = maps.shape[-1]
    # With sums over a rectangle from the corner, each square takes four look-ups.
    corner = torch.nn.functional.pad(maps.cumsum(1).cumsum(2), (1, 0, 1, 0))
    itself = torch.diagonal(maps, dim1=1, dim2=2)
    i = torch.arange(bins, device=maps.device)
    bottom, left, sums = i + 1, i, []
    for window in windows:
        top, right = (i - window).clamp(min=0), (i + window + 1).clamp(max=bins)
        total = corner[:, bottom, right] - corner[:, top, right]
        total = total - corner[:, bottom, left] + corner[:, top, left]
        sums.append((total - itself).clamp(min=0))
    return sums
