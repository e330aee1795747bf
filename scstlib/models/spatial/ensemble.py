"""Several fits of one spatial model, and standard deviations of their mean that are calibrated.

Members that see the same data agree in what all of them get wrong, so their spread is too small by
a factor. It is measured at each distance on windows that no member has seen: the squared error of
the mean, less the counting noise of the targets, over the squared spread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.settings import all_or_nothing, check_whole, explain_arguments
from scstlib.models.spatial.protocol import SpatialModel, check_fitted, check_windows, groups_of
from scstlib.preprocess.expected import distance_means

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows


class ContactEnsemble:
    """Members that differ in their seeds.

    Parameters
    ----------
    new_member : function
        Takes the number of the member, from 0, and returns an unfitted model; use the number as
        its seed.
    n_members : int

    Attributes
    ----------
    members_ : list of fitted models
    factor_ : numpy.ndarray (bins,)
        What the spread of the members is multiplied by at each distance.

    Raises
    ------
    ValueError
        For fewer than 2 members.
    """

    @explain_arguments
    def __init__(self, new_member: Callable[[int], SpatialModel], n_members: int = 5) -> None:
        check_whole({"n_members": n_members}, "n_members", least=2)
        self.new_member, self.n_members = new_member, n_members

    @explain_arguments
    @all_or_nothing
    def fit(
        self,
        windows: Windows,
        validation: Windows,
        *,
        device: str | None = None,
        precision: str | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Fit the members, then measure on other chromosomes how far their mean is off.

        Parameters
        ----------
        windows : Windows
            With targets.
        validation : Windows
            With targets of raw counts, from chromosomes that are not in ``windows``. Members do
            not see them.
        device, precision : str, optional
        progress : bool, optional
            Handed to the members' ``fit`` if given; not every model has them.

        Raises
        ------
        ValueError
            For windows that the members refuse, or validation windows on a training chromosome.
        """
        check_windows(validation, targets=True)
        shared = set(windows.table["chrom"]) & set(validation.table["chrom"])
        if shared:
            raise ValueError(f"validation windows lie on training chromosomes {sorted(shared)}.")
        options = {"device": device, "precision": precision, "progress": progress}
        given = {name: value for name, value in options.items() if value is not None}
        members: list[Any] = [self.new_member(number) for number in range(self.n_members)]
        self.members_: list[SpatialModel] = [each.fit(windows, **given) for each in members]
        self.factor_ = self._calibrated(validation)
        record_fit(self, windows, validation)
        return self

    @explain_arguments
    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the mean of the members' expected contacts (n, bins, bins)."""
        mean: np.ndarray = np.mean(self._predictions(windows, depth), axis=0)
        return mean

    def predict_std(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the standard deviation (n, bins, bins) of :meth:`predict`, in contacts.

        It is that of the expected contacts. Counts vary more: add the mean for their variance.
        Beyond the distances of the validation windows the factor is that of the last.
        """
        check_fitted(self, "factor_")
        bins = windows.bulk.shape[-1]
        distance = np.abs(np.subtract.outer(np.arange(bins), np.arange(bins)))
        factor = self.factor_[np.minimum(distance, len(self.factor_) - 1)]
        spread: np.ndarray = np.std(self._predictions(windows, depth), axis=0, ddof=1) * factor
        return spread.astype(np.float32)

    def _calibrated(self, windows: Windows) -> np.ndarray:
        predictions = self._predictions(windows, 1.0)
        mean, spread = np.mean(predictions, axis=0), np.std(predictions, axis=0, ddof=1)
        targets = windows.targets
        assert targets is not None
        # As deep as the targets, sample by sample: their depth is not what is uncertain.
        group = groups_of(windows)
        seen, expected = (np.bincount(group, m.sum(axis=(1, 2))) for m in (targets, mean))
        share = (seen / expected)[group, None, None]
        excess = (targets - share * mean) ** 2 - share * mean
        # Relative to the mean, so that no place counts for more than another.
        scale = np.where(mean > 0, share * mean, 1) ** 2
        usable = windows.mask[:, :, None] & windows.mask[:, None, :]
        excess, squared = (
            distance_means(np.where(usable, m / scale, np.nan), windows.mask)
            for m in (excess, (share * spread) ** 2)
        )
        pooled = [
            (np.nansum(excess[near]), np.nansum(squared[near]))
            for near in (slice(max(0, d - 1 - d // 5), d + 2 + d // 5) for d in range(len(excess)))
        ]
        return np.array([np.sqrt(max(e, 0) / s) if s > 0 else 1.0 for e, s in pooled])

    def _predictions(self, windows: Windows, depth: float) -> np.ndarray:
        check_fitted(self, "members_")
        return np.stack([member.predict(windows, depth) for member in self.members_])
