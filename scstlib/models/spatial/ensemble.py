"""Several fits of spatial models, and standard deviations of their mean that are calibrated.

Members that see the same data agree in what all of them get wrong, so their spread is too small by
a factor. It is measured on windows that no member has seen: the squared error of the mean, less the
counting noise of the targets, over the squared spread; of pixels at each distance. Errors in a cell
type that no member has seen are larger: they show in training types that are left out in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.settings import all_or_nothing, check_whole, explain_arguments
from scstlib.models.spatial.calibration import (
    Summary,
    Validation,
    by_distance,
    predictions_of,
    spread_about,
    summarise,
)
from scstlib.models.spatial.protocol import SpatialModel, check_fitted, check_windows

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows

NewMember = Callable[[int], SpatialModel]


class Interval(NamedTuple):
    """Arrays of one shape, (n, ...): a prediction and where the truth may lie."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class ContactEnsemble:
    """Members that differ in their seeds, the chromosomes that they are fitted on, or methods.

    Parameters
    ----------
    new_member : function or sequence of functions
        Takes the number of the member, from 0, and returns an unfitted model; use the number as
        its seed. Functions of several methods take turns.
    n_members : int, optional
        By default 5 of one function, and one of each of several.
    resample : bool
        Fit each member on chromosomes drawn with replacement, as many as there are (bootstrap).
    stack : bool
        Give members the weights with which their mean is nearest to the validation targets.
    leave_types_out : bool
        Weights and intervals for cell types that are not among the training types: each type is
        validated by members that are fitted without it (as the residuals of Barber and others
        2021, https://doi.org/10.1214/20-AOS1965). It takes a fit of all members for each type but
        that of the bulk map.
    seed : int
        Draws the chromosomes.

    Attributes
    ----------
    members_ : list of fitted models
    weights_ : numpy.ndarray (n_members,)
    factor_ : numpy.ndarray (bins,)
        What the spread of the members is multiplied by at each distance.
    error_ : numpy.ndarray (bins,)
        Relative error of the mean at each distance.

    Raises
    ------
    ValueError
        For fewer than 2 members.
    """

    @explain_arguments
    def __init__(
        self,
        new_member: NewMember | Sequence[NewMember],
        n_members: int | None = None,
        *,
        resample: bool = False,
        stack: bool = False,
        leave_types_out: bool = False,
        seed: int = 0,
    ) -> None:
        if n_members is None:
            n_members = 5 if callable(new_member) else len(new_member)
        check_whole({"n_members": n_members}, "n_members", least=2)
        self.new_member, self.n_members = new_member, n_members
        self.resample, self.stack, self.seed = resample, stack, seed
        self.leave_types_out = leave_types_out

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
            not see them. For intervals of new cell types, let some here be new too, or leave
            types out.
        device, precision, progress : optional
            Handed to the members' ``fit`` if given; not every model has them.

        Raises
        ------
        ValueError
            For windows that the members refuse, validation windows on a training chromosome, or
            no two training types where types are left out.
        """
        check_windows(validation, targets=True)
        if shared := set(windows.table["chrom"]) & set(validation.table["chrom"]):
            raise ValueError(f"validation windows lie on training chromosomes {sorted(shared)}.")
        options = {"device": device, "precision": precision, "progress": progress}
        given = {name: value for name, value in options.items() if value is not None}
        new = [self.new_member] if callable(self.new_member) else self.new_member
        rng = np.random.default_rng(self.seed)

        def fitted(part: Windows) -> list[SpatialModel]:
            members: list[Any] = [new[i % len(new)](i) for i in range(self.n_members)]
            return [
                m.fit(_resampled(part, rng) if self.resample else part, **given) for m in members
            ]

        if self.leave_types_out:
            self.validation_ = Validation.by_type(fitted, windows, validation)
        self.members_: list[SpatialModel] = fitted(windows)
        if not self.leave_types_out:
            self.validation_ = Validation(validation, predictions_of(self.members_, validation))
        equal = np.full(self.n_members, 1 / self.n_members)
        self.weights_ = self.validation_.weights() if self.stack else equal
        self.factor_, self.error_ = self.validation_.errors_by_distance(
            *self._mean_and_spread(self.validation_.predictions)
        )
        record_fit(self, windows, validation)
        return self

    @explain_arguments
    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the mean of the members' expected contacts (n, bins, bins)."""
        return self._mean(self._predictions(windows, depth))

    def predict_std(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return the standard deviation (n, bins, bins) of :meth:`predict`, in contacts.

        It is that of the expected contacts. Counts vary more: add the mean for their variance.
        Beyond the distances of the validation windows the factor is that of the last.
        """
        check_fitted(self, "factor_")
        return self._calibrated(self._predictions(windows, depth))

    @explain_arguments
    def interval(
        self,
        windows: Windows,
        summary: Summary | None = None,
        *,
        level: float = 0.9,
        depth: float = 1.0,
    ) -> Interval:
        """Return an interval for a summary of the expected contacts of each window.

        It is as wide as the errors on the validation windows where members spread alike; for
        windows that are less like the training windows, it may be too narrow.

        Parameters
        ----------
        windows : Windows
        summary : function, optional
            Takes contacts (n, bins, bins), NaN in masked bins, and their windows, and returns
            numbers (n, ...) of one kind, such as ``lambda maps, windows:
            insulation_score(maps, window=10)``. None: the contacts themselves.
        level : float
            Between 0 and 1.
        depth : float
            As for :meth:`predict`.

        Returns
        -------
        Interval
            Arrays ``mean``, ``lower`` and ``upper``, of the shape that the summary has.

        Raises
        ------
        ValueError
            If the ensemble is not fitted, ``level`` is not between 0 and 1, or a summary has no
            row for each window.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}.")
        check_fitted(self, "factor_")
        predictions = self._predictions(windows, depth)
        known = self.validation_
        if summary is None:
            mean, deviation = self._pixels(predictions)
            half = deviation * known.reach_of_pixels(*self._pixels(known.predictions), level)
            return Interval(mean, np.maximum(mean - half, 0), mean + half)
        errors = known.deviation_of(
            summary,
            self._mean(known.predictions),
            *self._of_summary(summary, known.predictions, known.windows),
        )
        mean, spread = self._of_summary(summary, predictions, windows)
        half = errors.half_width(spread, level)
        return Interval(mean, mean - half, mean + half)

    def _mean(self, predictions: np.ndarray) -> np.ndarray:
        """Of the members, weighted, (n, bins, bins)."""
        weighted: np.ndarray = np.tensordot(self.weights_.astype(np.float32), predictions, 1)
        return weighted if self.stack else np.asarray(np.mean(predictions, axis=0))

    def _mean_and_spread(self, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean, and spread about it without weights, both (n, bins, bins)."""
        mean = self._mean(predictions)
        spread = spread_about(mean, predictions)
        return mean, spread if self.stack else predictions.std(axis=0, ddof=1)

    def _calibrated(self, predictions: np.ndarray) -> np.ndarray:
        """Standard deviation of the mean, (n, bins, bins)."""
        spread = self._mean_and_spread(predictions)[1]
        std: np.ndarray = spread * by_distance(self.factor_, spread)
        return std.astype(np.float32)

    def _pixels(self, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation; half of its variance is the usual one of pixels at the distance."""
        mean = self._mean(predictions)
        usual = by_distance(self.error_, mean) * mean
        return mean, np.sqrt((self._calibrated(predictions) ** 2 + usual**2) / 2)

    def _of_summary(
        self, summary: Summary, predictions: np.ndarray, windows: Windows
    ) -> tuple[np.ndarray, np.ndarray]:
        """The summary of the mean contacts, and the spread of the members' about it."""
        centre = summarise(summary, self._mean(predictions), windows)
        found = np.stack([summarise(summary, each, windows) for each in predictions])
        return centre, spread_about(centre, found)

    def _predictions(self, windows: Windows, depth: float) -> np.ndarray:
        check_fitted(self, "members_")
        return predictions_of(self.members_, windows, depth)


def _resampled(windows: Windows, rng: np.random.Generator) -> Windows:
    """Windows of chromosomes drawn with replacement, as many as there are."""
    rows = windows.table.groupby("chrom", sort=False).indices
    if len(rows) < 2:
        raise ValueError(f"chromosomes are drawn anew, and there is one, {next(iter(rows))}.")
    drawn = rng.integers(len(rows), size=len(rows))
    return windows[np.concatenate([list(rows.values())[each] for each in drawn])]
