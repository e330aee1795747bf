"""Several fits of temporal models, what they say together, and how far they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from scstlib.caller import said_once
from scstlib.leakage import record_fit
from scstlib.models.settings import check_whole, explain_arguments
from scstlib.models.temporal.left_out import (
    KINDS,
    LeftOut,
    Settings,
    errors,
    kind_of,
    leave_times_out,
    resampled,
    shares_of_members,
    summarised,
    unknown,
)
from scstlib.models.temporal.protocol import TemporalModel, check_request
from scstlib.preprocess.cells import measured_time

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

NewMember = Callable[[int], TemporalModel]


class Ensemble:
    """Members that differ in their seeds, in the cells that they are fitted on, or in methods.

    Parameters
    ----------
    new_member : function or sequence of functions
        Takes the number of the member, from 0, and returns an unfitted model; use the number as
        its seed. Functions of several methods take turns.
    n_members : int, optional
        By default 5 of one function, and one of each of several.
    resample : bool
        Fit each member on cells drawn with replacement within each time (bootstrap): the members
        then differ as fits to other cells of the same experiment would. False: to the same cells.
    seed : int
        Draws the cells.
    stack : bool
        Give members the weights with which they predict left-out training times best, rather than
        equal ones. It takes a fit of all members without each of up to seven times.
    calibrate : bool
        Widen intervals, where they do not, until they hold as many numbers of the left-out
        training times as they should. It takes the same fits.

    Attributes
    ----------
    members_ : list of fitted models
    weights_ : dict of str to numpy.ndarray (n_members,)
        ``"inner"``: between training times; ``"outer"``: beyond the last.
    left_out_ : list of LeftOut
        The members fitted without a training time, with ``stack`` or ``calibrate``.

    Raises
    ------
    ValueError
        For fewer than 2 members.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.models.temporal import CopyNearest, Ensemble, InterpolatedMean
    >>> methods = [lambda n: CopyNearest(), lambda n: InterpolatedMean()]
    >>> ensemble = Ensemble(methods, stack=True).fit(simulate_organism(preset="tiny").sample())
    >>> ensemble.sample([36.0], 10).shape
    (10, 120)
    """

    @explain_arguments
    def __init__(
        self,
        new_member: NewMember | Sequence[NewMember],
        n_members: int | None = None,
        *,
        resample: bool = True,
        seed: int = 0,
        stack: bool = False,
        calibrate: bool = False,
    ) -> None:
        if n_members is None:
            n_members = 5 if callable(new_member) else len(new_member)
        check_whole({"n_members": n_members}, "n_members", least=2)
        self.new_member, self.n_members, self.seed = new_member, n_members, seed
        self.resample, self.stack, self.calibrate = resample, stack, calibrate
        self.members_: list[TemporalModel] = []
        self.left_out_: list[LeftOut] = []

    @explain_arguments
    def fit(
        self,
        adata: AnnData,
        time_key: str = "time",
        *,
        device: str | None = None,
        precision: str | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Fit all members.

        Parameters
        ----------
        adata : AnnData
            Training cells, in memory if they are resampled or times are left out.
        time_key : str
            Column of ``adata.obs`` with the measured time.
        device, precision, progress : optional
            Handed to the members' ``fit`` if given; not every model has them.

        Raises
        ------
        ValueError
            For input that the members refuse, or fewer than 3 times where times are left out.
        """
        self.members_, self.left_out_ = [], []
        self.times_ = np.unique(measured_time(adata, time_key))
        options = {"device": device, "precision": precision, "progress": progress}
        given = {name: value for name, value in options.items() if value is not None}
        new = [self.new_member] if callable(self.new_member) else self.new_member

        def fitted(cells: AnnData, rng: np.random.Generator) -> list[TemporalModel]:
            members = []
            for number in range(self.n_members):
                own = resampled(cells, time_key, rng) if self.resample else cells
                member: Any = new[number % len(new)](number)
                members.append(member.fit(own, time_key, **given))
            return members

        rng = np.random.default_rng(self.seed)
        with said_once():
            members = fitted(adata, rng)
            if self.stack or self.calibrate:
                self.left_out_ = leave_times_out(lambda cells: fitted(cells, rng), adata, time_key)
            self.weights_ = {kind: np.full(len(members), 1 / len(members)) for kind in KINDS}
            if self.stack:
                self.weights_ = shares_of_members(self.left_out_, self.seed)
        self.members_ = members
        record_fit(self, adata)
        return self

    @explain_arguments
    def sample(
        self,
        times: Sequence[float],
        n_cells: int,
        seed: int = 0,
        noise: bool | Literal["depth"] = True,
    ) -> AnnData:
        """Predict ``n_cells`` cells at each of ``times``; ``obs["member"]`` says by which member.

        Raises
        ------
        ValueError
            If the ensemble is not fitted, a member does not reach a time, or for a wrong argument.
        """
        import anndata

        requested, members = check_request(times, n_cells, noise), self._fitted()
        parts: list[AnnData] = []
        with said_once():
            for time in requested:
                for number, share in enumerate(self._cells_of_members(time, n_cells)):
                    if share:
                        part = members[number].sample([time], int(share), seed + number, noise)
                        part.obs["member"] = number
                        part.obs_names = [f"{len(parts)}-{name}" for name in part.obs_names]
                        parts.append(part)
        together = anndata.concat(parts)
        together.obs_names = np.arange(together.n_obs).astype(str)
        together.uns.update(parts[0].uns)
        return together

    def interval(
        self,
        times: Sequence[float],
        summary: Callable[[AnnData], Any],
        *,
        level: float = 0.9,
        n_cells: int = 400,
        seed: int = 0,
        noise: bool | Literal["depth"] = False,
    ) -> pd.DataFrame:
        """Return an interval for a summary of the population at each of ``times``.

        It is the mean over members plus and minus Student's t times their standard deviation. It
        holds what the members disagree about; what they all get wrong it does not see. With
        ``calibrate``, it is at least a multiple of a scale: the root of the members' variance and
        of the mean squared error of the number at left-out training times. The multiple is the one
        that would have held their numbers (as in locally weighted split conformal intervals,
        https://doi.org/10.1080/01621459.2017.1307116), times what is
        :func:`unknown <scstlib.models.temporal.left_out.unknown>` at the time over what was
        unknown at those, so that intervals widen with the distance to measured times.

        Parameters
        ----------
        summary : function
            Takes the predicted cells of one time and returns a number, or numbers as an array or
            a named pandas.Series, such as ``lambda cells: cells.to_df().mean()``. With
            ``calibrate`` all of one unit: errors are shared among them.
        level : float
            Between 0 and 1.
        n_cells : int
            Cells that each member predicts.

        Returns
        -------
        pandas.DataFrame
            Columns time, name, mean, lower, upper; one row a time and number.

        Raises
        ------
        ValueError
            If the ensemble is not fitted or ``level`` is not between 0 and 1.
        """
        import pandas as pd
        from scipy.stats import t as student

        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}.")
        members, requested = self._fitted(), check_request(times, n_cells, noise)
        settings = Settings(n_cells, seed, noise)
        tables = []
        with said_once():
            reach = float(student.ppf((1 + level) / 2, len(members) - 1))
            if self.calibrate:
                off = errors(self.left_out_, self.weights_, summary, level, settings)
            for time in requested:
                kind = kind_of(time, self.times_)
                found = summarised(members, self.weights_[kind], time, summary, settings)
                mean, half = found["mean"], reach * found["spread"]
                if self.calibrate:
                    distance = unknown(time, self.times_)
                    half = half.clip(lower=off[kind].half_widths(found["spread"], distance))
                table = pd.DataFrame({"mean": mean, "lower": mean - half, "upper": mean + half})
                tables.append(table.rename_axis("name").reset_index().assign(time=time))
        return pd.concat(tables, ignore_index=True)[["time", "name", "mean", "lower", "upper"]]

    def _cells_of_members(self, time: float, n_cells: int) -> np.ndarray:
        """How many of the cells of a time each member predicts, (n_members,)."""
        ends = np.linspace(0, n_cells, self.n_members + 1)
        if self.stack:
            weights = self.weights_[kind_of(time, self.times_)]
            ends[1:-1] = (n_cells * np.cumsum(weights)[:-1]).round(9)
        cells: np.ndarray = np.diff(ends.astype(int))
        return cells

    def _fitted(self) -> list[TemporalModel]:
        if not self.members_:
            raise ValueError("the ensemble is not fitted; call fit(adata, time_key) first.")
        return self.members_
