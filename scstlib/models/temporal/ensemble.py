"""Several fits of one temporal model, and how far they agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from scstlib.caller import said_once
from scstlib.leakage import record_fit
from scstlib.models.settings import check_whole, explain_arguments
from scstlib.models.temporal.protocol import TemporalModel, check_request
from scstlib.preprocess.cells import measured_time

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


class Ensemble:
    """Members that differ in their seeds and in the cells that they are fitted on.

    Parameters
    ----------
    new_member : function
        Takes the number of the member, from 0, and returns an unfitted model; use the number as
        its seed.
    n_members : int
    resample : bool
        Fit each member on cells drawn with replacement within each time (bootstrap): the members
        then differ as fits to other cells of the same experiment would. False: all members see
        the same cells and differ by their seeds only.
    seed : int
        Draws the cells.

    Attributes
    ----------
    members_ : list of fitted models

    Raises
    ------
    ValueError
        For fewer than 2 members.
    """

    @explain_arguments
    def __init__(
        self,
        new_member: Callable[[int], TemporalModel],
        n_members: int = 5,
        *,
        resample: bool = True,
        seed: int = 0,
    ) -> None:
        check_whole({"n_members": n_members}, "n_members", least=2)
        self.new_member = new_member
        self.n_members = n_members
        self.resample = resample
        self.seed = seed
        self.members_: list[TemporalModel] = []

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
            Training cells, in memory if they are resampled.
        time_key : str
            Column of ``adata.obs`` with the measured time.
        device, precision : str, optional
        progress : bool, optional
            Handed to the members' ``fit`` if given; not every model has them.

        Raises
        ------
        ValueError
            For input that the members refuse.
        """
        self.members_ = []
        time = measured_time(adata, time_key)
        options = {"device": device, "precision": precision, "progress": progress}
        given = {name: value for name, value in options.items() if value is not None}
        rng = np.random.default_rng(self.seed)
        members: list[Any] = []
        with said_once():
            for number in range(self.n_members):
                cells = _resampled(adata, time, rng) if self.resample else adata
                member: Any = self.new_member(number)
                members.append(member.fit(cells, time_key, **given))
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
        """Predict ``n_cells`` cells at each of ``times``, as many by each member as by any other.

        ``obs["member"]`` says by which.

        Raises
        ------
        ValueError
            If the ensemble is not fitted, ``n_cells`` is no whole number above 0, ``noise`` is
            something else, or a member does not reach a time.
        """
        import anndata

        requested = check_request(times, n_cells, noise)
        members = self._fitted()
        shares = np.diff(np.linspace(0, n_cells, len(members) + 1).astype(int))
        parts: list[AnnData] = []
        with said_once():
            for time in requested:
                for number, share in enumerate(shares):
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

        The interval is the mean over members plus and minus Student's t times their standard
        deviation. It holds what the members disagree about (seeds, and with resampling the choice
        of cells); what they all get wrong it does not see.

        Parameters
        ----------
        summary : function
            Takes the predicted cells of one time and returns a number, or numbers as an array or
            a named pandas.Series, such as ``lambda cells: cells.to_df().mean()``.
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
        from scipy.stats import t

        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}.")
        members = self._fitted()
        tables = []
        with said_once():
            for time in check_request(times, n_cells, noise):
                found = [
                    summary(member.sample([time], n_cells, seed + number, noise))
                    for number, member in enumerate(members)
                ]
                values = pd.DataFrame(
                    [each if isinstance(each, pd.Series) else np.atleast_1d(each) for each in found]
                )
                half = t.ppf((1 + level) / 2, len(members) - 1) * values.std(ddof=1)
                mean = values.mean()
                table = pd.DataFrame({"mean": mean, "lower": mean - half, "upper": mean + half})
                tables.append(table.rename_axis("name").reset_index().assign(time=time))
        columns = ["time", "name", "mean", "lower", "upper"]
        return pd.concat(tables, ignore_index=True)[columns]

    def _fitted(self) -> list[TemporalModel]:
        if not self.members_:
            raise ValueError("the ensemble is not fitted; call fit(adata, time_key) first.")
        return self.members_


def _resampled(adata: AnnData, time: np.ndarray, rng: np.random.Generator) -> AnnData:
    """Cells drawn with replacement within each time, as many as there are."""
    rows = [np.flatnonzero(time == value) for value in np.unique(time)]
    rows = [rng.choice(own, len(own)) for own in rows]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Observation names are not unique")
        cells = adata[np.concatenate(rows)].copy()
    cells.obs_names_make_unique()
    return cells
