"""Loss and batches of the default scGrapHiC: counts whose depth is known, places with their types.

Contacts of a pixel are taken as negative binomial about their expected number. The likelihood of
all cell types of a place splits into that of their sum and that of how the sum divides among them;
the second is what is specific to a cell type, a small part of the whole, and is counted once more.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows


def count_loss(counts: Tensor, log_mean: Tensor, usable: Tensor, dispersion: float) -> Tensor:
    """Negative log-likelihood a pixel, without its constant.

    Parameters
    ----------
    counts, log_mean : Tensor (n, pixels)
        Contacts seen, and the log of those expected.
    usable : Tensor (n, pixels)
        False for masked bins. The loss is 0 where no pixel is usable.
    dispersion : float
        Variance = mean + dispersion × mean²; 0: Poisson.
    """
    if dispersion:
        size = 1 / dispersion
        loss = (counts + size) * F.softplus(log_mean - np.log(size)) - counts * log_mean
    else:
        loss = log_mean.exp() - counts * log_mean
    # All windows of a step may lie in a gap of the assembly; the mean of nothing is NaN.
    return loss[usable].mean() if usable.any() else (loss * usable).sum()


def contrast_loss(
    counts: Tensor, log_mean: Tensor, usable: Tensor, place: Tensor, dispersion: float
) -> Tensor:
    """Negative log-likelihood a pixel of how its contacts divide among the windows of a place.

    Multinomial given their sum, which no error that is the same in all cell types changes.
    Each pixel weighs less by 1 + ``dispersion`` × the mean of its contacts.

    Parameters
    ----------
    place : Tensor (n,)
        Equal for windows of one place; a place with a single window does not count.
    """
    parts = []
    for each in place.unique():
        here = place == each
        if int(here.sum()) < 2:
            continue
        seen, expected = counts[here], log_mean[here].log_softmax(0)
        weight = usable[here].all(0) / (1 + dispersion * expected.detach().exp() * seen.sum(0))
        entropy = torch.special.entr(seen / seen.sum(0).clamp(min=1)).sum(0) * seen.sum(0)
        parts.append(((-(seen * expected).sum(0) - entropy) * weight.mean(0)).mean() / len(seen))
    return torch.stack(parts).mean() if parts else log_mean.new_zeros(())


def places_of(windows: Windows) -> np.ndarray:
    """Number of the place of each window, (n,): where it lies, and which bulk map it has there.

    Targets with the bulk maps of two donors do not share a place: how their contacts divide also
    says how the two bulk maps differ, noise and all, which is nothing of the cell type.
    """
    table = windows.table[["chrom", "start", "end"]]
    table = table.assign(bulk=[blake2b(bulk.tobytes()).digest() for bulk in windows.bulk])
    places: np.ndarray = table.groupby(list(table), sort=False).ngroup().to_numpy()
    return places


class PlaceBatches:
    """Rows of each step: several cell types of a few places.

    Parameters
    ----------
    place : numpy.ndarray (n,)
        Of each window, as :func:`places_of` numbers them.
    size : int
        Windows a step.
    together : int
        Windows of one place in a step, if there are so many.
    seed : int
    """

    def __init__(self, place: np.ndarray, size: int, together: int, seed: int) -> None:
        self.place, self.size, self.together, self.seed = place, size, together, seed
        self._rows = [np.flatnonzero(self.place == p) for p in range(self.place.max() + 1)]

    def __call__(self, step: int) -> np.ndarray:
        """Rows of a step, from its number alone: a run that goes on draws what an unbroken does."""
        n = max(1, self.size // min(self.together, max(map(len, self._rows))))
        per_epoch = -(-len(self._rows) // n)
        epoch, batch = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self._rows))
        rng = np.random.default_rng([self.seed, 1, step])
        places = order[batch * n : (batch + 1) * n]
        rows = [rng.permutation(self._rows[p])[: self.together] for p in places]
        return np.concatenate(rows)[: self.size]
