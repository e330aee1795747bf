"""In-silico perturbation: change genes in cells of one time, let them flow on, read their fates.

A flow knows where cells go from a place in latent space, not what a gene does. One assumption turns
the one into the other, and it is causal:

    *when a gene is changed, all that varies together with it among cells of about the same age
    follows, as if the gene were its cause.*

How the gene varies with the latent coordinates is a regression of its measured values on them, on
the training cells around the time of the perturbation. A cell is then moved by the smallest step in
latent space that gives the gene its new level, and the flow does the rest.

So the answer is *if this gene is a driver, then this way*, and no evidence that it is one. A gene
that merely marks a programme gets the answer of its driver: data without perturbations do not tell
the two apart. A gene that the latent space hardly knows still gets an answer, and a large one,
because cells must go far before such a gene has its new level; ``explained`` says how well it is
known. On the simulated organism the four regulators of the switches move fates in the true
direction, and regulators without any effect on fates seem to have effects as large.

Growth that differs between fates is not part of the answer: the same cells are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from scstlib.analysis.cells import Populations, decoded
from scstlib.analysis.trajectories import FateClassifier
from scstlib.preprocess.cells import CellReader

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scstlib.models.temporal.protocol import LatentFlow

#: Standard deviation of the window in time, in median intervals between measured times.
WINDOW = 1.7
#: Pull of the loadings of one time towards those of all times, in mean latent variances.
SHRINKAGE = 0.3
#: A gene whose level answers to the latent coordinates less than this cannot be moved (values per
#: standard deviation of the cells).
FAINTEST = 1e-6


@dataclass(frozen=True)
class GeneLevels:
    """Level of each gene as a linear function of the latent place, at one time.

    Attributes
    ----------
    centre : numpy.ndarray, shape (latent,)
        Mean place of the cells of this time.
    mean : numpy.ndarray, shape (n_changed,)
        Mean value of the genes at that time.
    loadings : numpy.ndarray, shape (latent, n_changed)
        Change of the values per unit of latent space.
    explained : numpy.ndarray, shape (n_changed,)
        Share of the variance between cells of one time that follows from their places, 0 to 1.
        Counting noise keeps it low for every gene; genes are to be compared with one another.
    log_counts : bool
        Whether values are log1p of counts per 10,000.
    """

    centre: np.ndarray
    mean: np.ndarray
    loadings: np.ndarray
    explained: np.ndarray
    log_counts: bool

    def at(self, latent: np.ndarray) -> np.ndarray:
        """Return the expected values (n, n_changed) of cells at ``latent`` (n, latent)."""
        expected: np.ndarray = self.mean + (latent - self.centre) @ self.loadings
        return expected

    def shift(self, change: np.ndarray) -> np.ndarray:
        """Return the smallest steps (n, latent) that ``change`` the values by (n, n_changed)."""
        return change @ np.linalg.pinv(self.loadings)


@dataclass(frozen=True)
class Perturbation:
    """What a perturbation does.

    Attributes
    ----------
    shares : pandas.DataFrame
        Rows ``unperturbed``, ``perturbed`` and ``change``; a column for each fate.
    explained : pandas.Series
        For each changed gene, see :attr:`GeneLevels.explained`.
    """

    shares: pd.DataFrame
    explained: pd.Series
    _decode: Callable[[], AnnData] = field(repr=False)

    @cached_property
    def cells(self) -> AnnData:
        """The cells at the time when fates are read, unperturbed and perturbed (``obs["arm"]``).

        With the name of the start cell in ``obs["cell"]``, ``obsm["latent"]`` and decoded values in
        ``X``. They are decoded when they are first asked for, by the model as it is then.
        """
        return self._decode()


def perturb(
    model: LatentFlow,
    adata: AnnData,
    factors: Mapping[str, float],
    time: float,
    until: float,
    classifier: FateClassifier,
    *,
    hold: bool = True,
    step: float | None = None,
    window: float = WINDOW,
    shrinkage: float = SHRINKAGE,
) -> Perturbation:
    """Multiply genes by factors from ``time`` on and compare the fates at ``until``.

    Parameters
    ----------
    model : LatentFlow
    adata : AnnData
        Training cells of several times. Those of ``time`` are perturbed; if none are measured
        then, those of the time before, after they have flown to ``time``.
    factors : mapping of str to float
        For each gene the factor on its level: 0 is a knock-out, 2 an over-expression. Counts are
        multiplied as counts per 10,000, other values as they are.
    time, until : float
        When genes are changed, and when fates are read.
    classifier : FateClassifier
        Of the same model.
    hold : bool
        Whether the change is kept up. A gene with a factor below 1 then never rises above the level
        that it was given at ``time``, and one with a factor above 1 never falls below it; levels
        are corrected after each ``step``. Otherwise cells are changed once and left alone.
    step : float, optional
        Time between two corrections; by default half the median interval between measured times.
    window, shrinkage : float
        See :func:`gene_levels`.

    Returns
    -------
    Perturbation

    Raises
    ------
    KeyError
        If a gene is not among the fitted ones.
    ValueError
        If a factor is negative, ``until`` is not after ``time``, no cell is measured at or before
        ``time``, or a gene does not vary with the latent place.
    """
    import pandas as pd

    _check(model, factors, time, until)
    cells = Populations(model, adata)
    start, names = cells.at(time), cells.names_at(time)
    levels = _gene_levels(model, adata, cells.latent, list(factors), time, window, shrinkage)
    factor = np.array(list(factors.values()))
    bound = _multiplied(levels.at(start), factor, levels.log_counts)
    if step is None:
        step = float(np.median(np.diff(cells.times))) / 2

    moved = start + levels.shift(_needed(levels.at(start), bound, factor))
    ends = {"unperturbed": model.flow(start, time, [until])[0]}
    if hold:
        grid = np.linspace(time, until, int(np.ceil((until - time) / step)) + 1)
        for now, later in pairwise(grid):
            moved = model.flow(moved, float(now), [float(later)])[0]
            moved = moved + levels.shift(_needed(levels.at(moved), bound, factor))
        ends["perturbed"] = moved
    else:
        ends["perturbed"] = model.flow(moved, time, [until])[0]

    shares = pd.DataFrame(
        {arm: classifier.probabilities(end).mean(axis=0) for arm, end in ends.items()},
        index=list(classifier.fates),
    ).T
    shares.loc["change"] = shares.loc["perturbed"] - shares.loc["unperturbed"]
    explained = pd.Series(levels.explained, index=list(factors), name="explained")
    return Perturbation(shares, explained, lambda: _arms(model, ends, names, until))


def _arms(
    model: LatentFlow, ends: Mapping[str, np.ndarray], names: np.ndarray, time: float
) -> AnnData:
    """Return the decoded cells of both arms, one after the other."""
    from anndata import concat

    arms = [
        decoded(model, end, {"arm": arm, "cell": names, model.time_key_: time}, names)
        for arm, end in ends.items()
    ]
    return concat(arms, keys=list(ends), index_unique="-")


def gene_levels(
    model: LatentFlow,
    adata: AnnData,
    genes: list[str],
    time: float,
    *,
    window: float = WINDOW,
    shrinkage: float = SHRINKAGE,
) -> GeneLevels:
    """Regress genes on latent coordinates, on the cells around ``time``.

    Only differences between cells of one time count, because what merely changes with time, or with
    the composition of the cells, is no answer to the gene. The loadings of a time are pulled
    towards those of all times, the more the fewer cells say something about a direction.

    Parameters
    ----------
    window : float
        Standard deviation of the weights in time, in median intervals between measured times.
    shrinkage : float
        Ridge on the difference to the loadings of all times, in mean latent variances.

    Raises
    ------
    KeyError
        If a gene is not among the fitted ones.
    ValueError
        If a gene does not vary with the latent place among these cells.
    """
    return _gene_levels(model, adata, model.encode(adata), genes, time, window, shrinkage)


def _gene_levels(
    model: LatentFlow,
    adata: AnnData,
    latent: np.ndarray,
    genes: list[str],
    time: float,
    window: float,
    shrinkage: float,
) -> GeneLevels:
    """Regress genes on the places ``latent`` (n, latent) of the cells of ``adata``."""
    cells = CellReader(adata, model.time_key_)
    columns = [_position(model, gene) for gene in genes]
    values = np.concatenate([chunk[:, columns] for _, chunk in cells.chunks()]).astype(float)
    centres = np.stack([latent[cells.time == t].mean(axis=0) for t in cells.times])
    means = np.stack([values[cells.time == t].mean(axis=0) for t in cells.times])
    of_time = np.searchsorted(cells.times, cells.time)
    z, x = latent - centres[of_time], values - means[of_time]

    width = window * float(np.median(np.diff(cells.times)))
    weight = np.exp(-0.5 * ((cells.time - time) / width) ** 2)
    # Far outside the measured times all weights underflow alike; then the nearest time counts.
    weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(z), 1 / len(z))
    everywhere = z.T @ z / len(z)
    ridge = np.trace(everywhere) / len(everywhere) * np.eye(len(everywhere))
    # A hair of the same ridge keeps the regression over all times solvable in an idle direction.
    overall = np.linalg.solve(everywhere + 1e-9 * ridge, z.T @ x / len(z))
    here = (z * weight[:, None]).T @ z
    cross = (z * weight[:, None]).T @ x
    loadings = overall + np.linalg.solve(
        here + max(shrinkage, 1e-9) * ridge, cross - here @ overall
    )
    for gene, loading in zip(genes, loadings.T, strict=True):
        if np.linalg.norm(loading) * np.sqrt(ridge[0, 0]) < FAINTEST:
            raise ValueError(
                f"gene {gene!r} does not vary with the latent place around time {time:g}, so that"
                " the flow cannot follow a change of it; choose a gene that is measured then."
            )
    at = [
        np.array([np.interp(time, cells.times, c) for c in table.T]) for table in (centres, means)
    ]
    followed, left = weight @ (z @ loadings) ** 2, weight @ (x - z @ loadings) ** 2
    return GeneLevels(at[0], at[1], loadings, followed / (followed + left), cells.holds_counts)


def _multiplied(level: np.ndarray, factor: np.ndarray, log_counts: bool) -> np.ndarray:
    """Return ``level`` (n, genes) times ``factor`` (genes,), on the scale on which it is meant."""
    if log_counts:
        changed: np.ndarray = np.log1p(np.expm1(np.maximum(level, 0.0)) * factor)
    else:
        changed = level * factor
    return changed


def _needed(level: np.ndarray, bound: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return the change (n, genes) that keeps lowered genes below and raised genes above bounds."""
    change = bound - level
    lacking = np.where(factor < 1, np.minimum(change, 0.0), np.maximum(change, 0.0))
    needed: np.ndarray = lacking * (factor != 1)
    return needed


def _position(model: LatentFlow, gene: str) -> int:
    if gene not in model.genes:
        raise KeyError(f"gene {gene!r} is not among the {len(model.genes)} fitted genes.")
    return model.genes.index(gene)


def _check(model: LatentFlow, factors: Mapping[str, float], time: float, until: float) -> None:
    if not factors:
        raise ValueError("no gene to change; give factors such as {'GATA1': 0}.")
    for gene, factor in factors.items():
        _position(model, gene)
        if not np.isfinite(factor) or factor < 0:
            raise ValueError(f"the factor of {gene!r} is {factor}; it must be 0 or more.")
    if not until > time:
        raise ValueError(f"fates are read at {until:g}, which is not after {time:g}.")
