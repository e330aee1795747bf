"""Loss and batches of the default scGrapHiC: counts whose depth is known, places with their types.

Contacts of a pixel are taken as negative binomial about their expected number. The likelihood of
all cell types of a place splits into that of their sum and that of how the sum divides among them;
the second is what is specific to a cell type, a small part of the whole, and is counted once more.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F


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


class PlaceBatches:
    """Rows of each step: several cell types of a few places.

    Parameters
    ----------
    table : DataFrame
        Of windows.
    size : int
        Windows a step.
    together : int
        Windows of one place in a step, if there are so many.
    seed : int
    """

    def __init__(self, table: pd.DataFrame, size: int, together: int, seed: int) -> None:
        self.place = table.groupby(["chrom", "start", "end"], sort=False).ngroup().to_numpy()
        self.size, self.together, self.seed = size, together, seed
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
