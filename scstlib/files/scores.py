"""Predictions in files against measurements in files, with the floor that measured data reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from scstlib.caller import warn_caller
from scstlib.files.cooler_maps import CoolerMaps, open_cooler
from scstlib.files.inputs import target_maps, usable_chromosomes
from scstlib.files.track_inputs import read_cells
from scstlib.leakage import bare_chromosome

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scstlib.preprocess.windows import Windows

PREDICTION, BULK = "prediction", "bulk"
SPLIT_HALF = "split half of the measured contacts"
KIND = "measured"  # Name of the cell type in windows that are scored.
CONTACT_METRICS = ["SCC", "SSIM", "GD", "MSE", "ins"]  # The others need a truth.
MAX_WINDOW = 64  # bins
LEAST_AGREEMENT = 0.1  # SCC of two halves. Below it, noise decides which pixels SCC compares.
NARROWEST_WINDOW = 7  # Structural similarity compares so many at once.


class _PredictedCells:
    """Cells of a file, drawn at random, instead of a model that predicts them."""

    fitted_on_: tuple[()] = ()  # The file does not say; its provenance is looked at instead.

    def __init__(self, cells: AnnData, time_key: str) -> None:
        self.cells, self.time = cells, cells.obs[time_key].to_numpy(dtype=float)

    def sample(
        self,
        times: Sequence[float],
        n_cells: int,
        seed: int = 0,
        noise: bool | Literal["depth"] = True,
    ) -> AnnData:
        rng = np.random.default_rng(seed)
        rows = np.flatnonzero(self.time == times[0])
        return self.cells[rng.choice(rows, n_cells, replace=len(rows) < n_cells)]


def score_expression(
    predicted: AnnData | str | Path,
    measured: AnnData | str | Path,
    time_key: str = "time",
    *,
    times: Sequence[float] | None = None,
    n_repeats: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Score predicted cells against measured ones, time by time, beside a split half.

    As :func:`scstlib.models.temporal.comparison.score_held_out_times`: predicted cells, and one
    half of the measured cells, as many of each, are compared with the other half. Values are log1p
    of counts per 10,000 where counts were measured.

    Parameters
    ----------
    predicted, measured
        Cells, or their ``.h5ad`` files, in one unit and with the predicted genes in both.
    time_key
        Column of ``obs`` of both.
    times
        Times that are scored; default: all that both have.
    n_repeats
        Number of random halves.
    seed
        Draws the halves and the predicted cells.

    Returns
    -------
    pandas.DataFrame
        Columns model ("prediction" or the split half), time, metric, member, repeat, value;
        smaller values are better.

    Raises
    ------
    FileNotFoundError, ValueError
        For a file that cannot be read, a missing column, gene or time, or two units.

    Warns
    -----
    UserWarning
        Of times that the model was fitted on, as far as the predicted file says, and of fewer
        predicted cells than half of the measured ones.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import score_expression
    >>> from scstlib.models.temporal.baselines import ConstantMean
    >>> cells = simulate_organism(0, "tiny").sample()
    >>> middle = cells.obs["time"] == 48
    >>> predicted = ConstantMean().fit(cells[~middle].copy()).sample([48.0], 40)
    >>> scores = score_expression(predicted, cells[middle].copy())
    >>> scores.groupby("model", sort=False)["value"].size()["prediction"]
    np.int64(9)
    """
    from scstlib.metrics.expression import energy_distance, mean_error, sinkhorn
    from scstlib.models.temporal.comparison import Metric, score_held_out_times
    from scstlib.preprocess.cells import CellReader

    given, truth = (
        read_cells(cells) if isinstance(cells, str | Path) else cells
        for cells in (predicted, measured)
    )
    missing = [gene for gene in given.var_names if gene not in truth.var_names]
    if missing:
        raise ValueError(f"the measured cells lack {len(missing)} genes, such as {missing[:3]}.")
    chosen = _common_times(given, truth, time_key, times)
    # A model is fitted on the counts of its own genes, whose sum is a cell's depth.
    truth = truth[truth.obs[time_key].isin(chosen), given.var_names].copy()
    given = given[given.obs[time_key].isin(chosen)].copy()
    _warn_of_few(given, truth, time_key)
    counted = "log1p_cp10k" in given.layers
    if not counted:
        reader = CellReader(given, time_key, min_times=1)
        counted = reader.holds_counts
        given.layers["log1p_cp10k"] = np.concatenate([part for _, part in reader.chunks()])
    if CellReader(truth, time_key, min_times=1).holds_counts != counted:
        kinds = ("values such as log counts", "counts")
        raise ValueError(
            f"the predicted cells hold {kinds[counted]}, the measured ones {kinds[not counted]}:"
            " give both in one unit."
        )
    metrics: dict[str, Metric] = {
        "energy distance": energy_distance,
        "Sinkhorn": sinkhorn,
        "mean error": mean_error,
    }
    return score_held_out_times(
        {PREDICTION: [_PredictedCells(given, time_key)]},
        truth,
        metrics,
        time_key=time_key,
        n_repeats=n_repeats,
        seed=seed,
    )


def _warn_of_few(predicted: AnnData, measured: AnnData, time_key: str) -> None:
    """Warn where predicted cells are drawn twice to be as many as half of the measured ones."""
    own, halves = predicted.obs[time_key].value_counts(), measured.obs[time_key].value_counts() // 2
    few = [time for time, n in own.items() if n < halves[time]]
    if few:
        warn_caller(
            f"at the times {sorted(few)} fewer cells are predicted than half of the measured ones"
            f" ({int(halves[few].max())} at most): some count twice, so predict more"
        )


def _common_times(
    predicted: AnnData, measured: AnnData, time_key: str, asked: Sequence[float] | None
) -> list[float]:
    """Times that are scored, with a warning of those that the model was fitted on."""
    from scstlib.preprocess.cells import measured_time

    own, true = (np.unique(measured_time(each, time_key, 1)) for each in (predicted, measured))
    both = np.intersect1d(own, true)
    wanted = both if asked is None else np.unique(np.asarray(asked, dtype=float))
    if not len(wanted) or not np.isin(wanted, both).all():
        raise ValueError(
            f"no cells of {'one time' if asked is None else list(map(float, wanted))} in both:"
            f" predicted are {own.tolist()}, measured {true.tolist()}."
        )
    fitted = predicted.uns.get("provenance", {}).get("training_times", ())
    if known := [float(time) for time in wanted if time in fitted]:
        warn_caller(f"the model was fitted on cells of the times {known}: these scores are no test")
    return list(map(float, wanted))


def score_contacts(
    predicted: str | Path,
    measured: str | Path,
    bulk: str | Path,
    *,
    resolution: int | None = None,
    chromosomes: Sequence[str] | None = None,
    window: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Score a predicted contact map against a measured one, beside the bulk map and a split half.

    Contacts that were measured are split at random in two halves. The prediction, the bulk map and
    the first half are compared with the second, window by window along the diagonal, by
    :func:`scstlib.models.spatial.comparison.contact_scores`. Measured values that are no whole
    numbers cannot be split: all are compared with, and there is no floor.

    Parameters
    ----------
    predicted, measured, bulk
        Cooler files with bins of one size.
    resolution
        Bin size in bp; it can be left out if the bulk map has one, as a ``.cool`` file or
        ``bulk.mcool::resolutions/50000`` does.
    chromosomes
        Default: all with contacts in the three maps.
    window
        In bins; default: as far as the predicted map reaches, at most 64.
    seed
        Draws the halves.

    Returns
    -------
    pandas.DataFrame
        Columns model ("prediction", "bulk" or the split half), chrom, start, end and SCC, SSIM,
        GD (GenomeDISCO), MSE (on the scale of comparison) and ins (correlation of insulation), one
        row a window. Larger values are better but of MSE.

    Raises
    ------
    FileNotFoundError, ValueError
        For a file that cannot be read, bins or assemblies that differ, no chromosome that all
        have, or a window that is wider than the predicted map reaches.

    Warns
    -----
    UserWarning
        Of chromosomes that the model was fitted on or chosen by, as the predicted map's metadata
        say; and of a measured map so sparse that its halves hardly agree.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import score_contacts
    >>> with TemporaryDirectory() as folder:
    ...     simulate_organism(0, "tiny").write(folder)
    ...     scores = score_contacts(
    ...         f"{folder}/stem.cool", f"{folder}/bipotent.cool",
    ...         f"{folder}/bulk.mcool::resolutions/50000", window=32, chromosomes=["chr1"],
    ...     )
    >>> list(scores["model"].unique())
    ['prediction', 'bulk', 'split half of the measured contacts']
    """
    import pandas as pd

    from scstlib.models.spatial.comparison import MAX_DISTANCE, contact_scores

    resolution = int(open_cooler(bulk, resolution).binsize)
    window = _window(CoolerMaps(predicted, resolution), window)
    maps = CoolerMaps(bulk, resolution, reach=window)
    chosen = usable_chromosomes(maps, chromosomes)
    own, true = (
        target_maps(uri, maps, resolution, chosen, {"reach": window})
        for uri in (predicted, measured)
    )
    shared = _with_contacts((own, true), chosen, chromosomes)
    trained = own.metadata.get("training_chromosomes", ())
    fitted = {bare_chromosome(name) for name in trained}
    if known := [chrom for chrom in shared if bare_chromosome(chrom) in fitted]:
        warn_caller(f"the model was fitted on the chromosomes {known}: these scores are no test")
    windows, guesses = (_windows(maps, target, shared, window) for target in (true, own))
    rows = {PREDICTION: guesses.targets, BULK: windows.bulk}
    half = _half(windows, seed)
    if half is None:
        warn_caller(f"{measured} holds values that are no counts: there is no split half of them")
    else:
        rows[SPLIT_HALF] = half
        windows = replace(windows, targets=windows.targets - half)
    parts = []
    for name, contacts in rows.items():
        assert contacts is not None
        scores = contact_scores(contacts, windows, max_distance=min(MAX_DISTANCE, window - 1))
        parts.append(scores.assign(model=name))
    if half is not None:
        _warn_of_noise(float(parts[-1]["SCC"].mean()))
    return pd.concat(parts, ignore_index=True)[["model", "chrom", "start", "end", *CONTACT_METRICS]]


def _warn_of_noise(agreement: float) -> None:
    """Warn where the measured map is too sparse for its own halves to agree."""
    if agreement < LEAST_AGREEMENT:
        warn_caller(
            f"the two halves of the measured contacts hardly agree (SCC {agreement:.3f}): there are"
            " too few contacts for these scores to tell maps apart, unless in larger bins"
        )


def _window(predicted: CoolerMaps, asked: int | None) -> int:
    """Bins of a window, all of whose pixels are predicted."""
    if asked is not None and asked < NARROWEST_WINDOW:
        raise ValueError(f"window must be at least {NARROWEST_WINDOW} bins, not {asked}.")
    made = predicted.metadata.get("settings", {})
    if "window" not in made or "stride" not in made:
        return asked or MAX_WINDOW
    widest = int(made["window"]) - int(made["stride"]) + 1
    if asked is not None and asked > widest:
        raise ValueError(
            f"{predicted.uri} reaches {widest - 1} bins: give a window of at most {widest} bins,"
            f" not {asked}."
        )
    return asked or min(widest, MAX_WINDOW)


def _with_contacts(
    maps: Sequence[CoolerMaps], chromosomes: Sequence[str], asked: Sequence[str] | None
) -> list[str]:
    """Chromosomes on which all maps have contacts; refused by name if asked for."""
    problems = {c: text for each in maps for c in chromosomes if (text := each.problem(c))}
    chosen = [chrom for chrom in chromosomes if chrom not in problems]
    if problems and (asked is not None or not chosen):
        raise ValueError(next(iter(problems.values())) + ".")
    if problems:
        warn_caller(f"left out: {'; '.join(problems.values())}")
    return chosen


def _windows(
    bulk: CoolerMaps, target: CoolerMaps, chromosomes: Sequence[str], window: int
) -> Windows:
    from scstlib.preprocess.windows import make_windows

    nothing = {chrom: np.zeros((bulk.n_bins(chrom), 0)) for chrom in chromosomes}
    return make_windows(
        bulk, {KIND: nothing}, {KIND: target}, bin_size=bulk.bin_size, bulk_cell_types=(),
        window=window, stride=window, chromosomes=chromosomes, to_end=True,
    )  # fmt: skip


def _half(windows: Windows, seed: int) -> np.ndarray | None:
    """A random half of the contacts of each target; None if they are no counts."""
    from scstlib.preprocess.contacts import downsample

    targets = windows.targets
    if targets is None or (targets != np.rint(targets)).any():
        return None
    rng = np.random.default_rng(seed)
    return np.stack([downsample(target, seed=rng, fraction=0.5) for target in targets])
