"""A small task on contact maps, for experiments on how models are tested.

For every pixel of a window, the task is to predict the log of its contacts over those of the bulk
map, from ten features. The copy of the bulk predicts 0. A fit takes a second, so that an experiment
can be repeated on many organisms.

>>> from scstlib.experiments.pixels import organism_pixels
>>> organism_pixels(seed=0).features.shape  # 3 types x 16 chromosomes x 3 windows
(144, 496, 10)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pandas as pd

from scstlib.leakage import record_fit
from scstlib.preprocess.guides import BULK_EXPRESSION, EXPRESSION, REFERENCE_EXPRESSION
from scstlib.preprocess.windows import Windows

if TYPE_CHECKING:
    import torch

    from scstlib.datasets.organism import Organism

#: Cell types of the task; their mean expression is the reference.
CELL_TYPES = ("bipotent", "beta_mature", "gamma_mature")
#: Tracks that all cell types share.
SHARED = ("CTCF +", "CTCF -", "CpG")
TRACKS = (*EXPRESSION, *REFERENCE_EXPRESSION, *BULK_EXPRESSION, *SHARED)
FEATURES = (
    "log bulk",
    "log distance",
    "gained expression at both ends",
    "its product",
    "gained expression between",
    "special expression between",
    "special expression at both ends",
    "CTCF sites that face each other",
    "CTCF sites between",
    "CpG at both ends",
)
PSEUDOCOUNT = 5
VALIDATE_EVERY = 25


@dataclass(frozen=True, eq=False, repr=False)
class PixelChanges:
    """Features and changes of the pixels of windows; the leak guard and the splits take it.

    ``pixels[rows]`` (slice, integers or booleans) is a new object with those windows.

    Attributes
    ----------
    table
        As that of the windows: ``chrom``, ``start``, ``end``, ``cell_type`` and more.
    features
        (windows, pixels above the diagonal, 10), float32; ``FEATURES`` names them.
    change
        (windows, pixels), log(target / bulk) with 5 added to both counts, at equal depth over all
        windows that :func:`pixel_changes` was given.
    """

    table: pd.DataFrame
    features: np.ndarray
    change: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"<PixelChanges: {len(self)} windows of {self.change.shape[1]} pixels>"

    def __getitem__(self, rows: Any) -> PixelChanges:
        rows = np.atleast_1d(np.arange(len(self))[rows])
        table = self.table.iloc[rows].reset_index(drop=True)
        return PixelChanges(table, self.features[rows], self.change[rows])

    @property
    def chromosomes(self) -> list[str]:
        """Names of the chromosomes in the order in which they come."""
        return list(dict.fromkeys(self.table["chrom"]))

    def on(self, chromosomes: Iterable[str]) -> PixelChanges:
        """Return the windows on these chromosomes."""
        return self[self.table["chrom"].isin(list(chromosomes)).to_numpy()]


@lru_cache(maxsize=16)
def small_genome(seed: int) -> Organism:
    """Simulate an organism with 16 chromosomes of 96 bins; it is kept and not made again."""
    from scstlib.datasets.organism import simulate_organism

    return simulate_organism(
        seed, n_genes=240, n_chromosomes=16, n_bins=96, n_reference=500, contacts_per_cell=5500.0
    )


def organism_windows(
    seed: int, stride: int = 32, cell_types: Sequence[str] = CELL_TYPES
) -> Windows:
    """Windows of 32 bins of a simulated organism; bulk is a deep map of its stem cells.

    Parameters
    ----------
    seed
        Of the organism and of its contacts (200 cells of each type).
    stride
        Bins from one window to the next: 32 and more do not overlap.
    cell_types
        Whose windows are wanted.

    Returns
    -------
    Windows
        With targets; tracks as :func:`pixel_changes` wants them.

    Examples
    --------
    >>> from scstlib.experiments.pixels import organism_windows
    >>> len(organism_windows(0)), len(organism_windows(0, stride=16))
    (144, 240)
    """
    from scstlib.preprocess.guides import guide_tracks
    from scstlib.preprocess.windows import make_windows

    organism, expression = small_genome(seed), ["expression_forward", "expression_reverse"]
    bins = organism.tracks()
    kinds = sorted({*cell_types, *CELL_TYPES, "stem"})
    own = {k: np.log1p(organism.tracks(k)[expression].to_numpy()) for k in kinds}
    shared = bins[["ctcf_forward", "ctcf_reverse", "cpg"]].to_numpy()
    guides, names = guide_tracks(
        own, reference=CELL_TYPES, bulk=own["stem"], shared=shared, shared_names=SHARED
    )
    rows = {c: (bins["chrom"] == c).to_numpy() for c in organism.chromosomes}
    tracks = {k: {c: guides[k][row] for c, row in rows.items()} for k in cell_types}
    targets = {k: organism.sample_contacts(k, n_cells=200, seed=seed) for k in cell_types}
    return make_windows(
        organism.bulk(),
        tracks,
        targets,
        bulk_cell_types=["stem"],
        bin_size=50_000,
        window=32,
        stride=stride,
        track_names=names,
    )


def pixel_changes(windows: Windows) -> PixelChanges:
    """Features and changes of all pixels above the diagonal.

    Parameters
    ----------
    windows
        With targets and nine tracks: log expression (own, reference, bulk; two strands each), CTCF
        of both strands, CpG.

    Raises
    ------
    ValueError
        If the targets or one of the tracks are missing.

    Examples
    --------
    >>> from scstlib.experiments.pixels import organism_windows, pixel_changes
    >>> pixel_changes(organism_windows(0)[:5])
    <PixelChanges: 5 windows of 496 pixels>
    """
    if windows.targets is None:
        raise ValueError("these windows have no targets, so the change from the bulk is not known")
    if tuple(windows.track_names) != TRACKS:
        raise ValueError(f"tracks are {windows.track_names}, not {TRACKS}")
    row, column = np.triu_indices(windows.bulk.shape[-1], 1)
    depth = windows.bulk.sum() / windows.targets.sum()
    bulk, target = windows.bulk[:, row, column], depth * windows.targets[:, row, column]
    change = np.log((target + PSEUDOCOUNT) / (bulk + PSEUDOCOUNT))
    return PixelChanges(windows.table, _features(windows.tracks, bulk, row, column), change)


@lru_cache(maxsize=32)
def organism_pixels(
    seed: int, stride: int = 32, cell_types: tuple[str, ...] = CELL_TYPES
) -> PixelChanges:
    """Pixels of :func:`organism_windows`; they are kept and not made again: do not change them.

    Examples
    --------
    >>> from scstlib.experiments.pixels import organism_pixels
    >>> organism_pixels(0)
    <PixelChanges: 144 windows of 496 pixels>
    """
    return pixel_changes(organism_windows(seed, stride, cell_types))


def organism_parts(seed: int, n_train: int = 2) -> tuple[PixelChanges, PixelChanges, PixelChanges]:
    """Training, validation and test pixels of one organism.

    The last six of the 16 chromosomes are the test part, the two before them the validation part.

    Parameters
    ----------
    seed
        Of the organism.
    n_train
        How many of the first eight chromosomes train.

    Examples
    --------
    >>> from scstlib.experiments.pixels import organism_parts
    >>> [len(part.chromosomes) for part in organism_parts(0)]
    [2, 2, 6]
    """
    from scstlib.splits import hold_out_chromosomes

    pixels = organism_pixels(seed)
    names = pixels.chromosomes
    split = hold_out_chromosomes(pixels, test=names[10:], validation=names[8:10])
    return split.train.on(names[:n_train]), split.validation, split.test


def _features(
    tracks: np.ndarray, bulk: np.ndarray, row: np.ndarray, column: np.ndarray
) -> np.ndarray:
    own, reference, stem = (tracks[..., k : k + 2].sum(axis=-1) for k in (0, 2, 4))
    forward, reverse, cpg = (tracks[..., k] for k in (6, 7, 8))
    gained, special = own - stem, own - reference

    def between(track: np.ndarray) -> np.ndarray:
        """Mean of a track over the bins from one end of a pixel to the other."""
        total = np.pad(track.cumsum(axis=1), ((0, 0), (1, 0)))
        mean: np.ndarray = (total[:, column + 1] - total[:, row]) / (column - row + 1)
        return mean

    a, b = gained[:, row], gained[:, column]
    columns = [np.log1p(bulk), np.zeros_like(a) + np.log(column - row)]
    columns += [a + b, a * b, between(gained), between(special)]
    columns += [special[:, row] + special[:, column], forward[:, row] + reverse[:, column]]
    columns += [between(forward + reverse), cpg[:, row] + cpg[:, column]]
    return np.stack(columns, axis=-1).astype(np.float32)


class PixelModel(Protocol):
    """Whatever predicts the change of pixels."""

    def predict(self, pixels: PixelChanges) -> np.ndarray:
        """Return the changes (windows, pixels)."""
        ...


def change_skill(model: PixelModel, pixels: PixelChanges) -> float:
    """Share of the squared change from the bulk map that a model explains.

    0 for the copy of the bulk, below 0 for worse, 1 for a perfect prediction.

    Examples
    --------
    >>> from scstlib.experiments import pixels as task
    >>> pixels = task.pixel_changes(task.organism_windows(0)[:5])
    >>> class Copy:
    ...     def predict(self, pixels):
    ...         return 0 * pixels.change
    >>> task.change_skill(Copy(), pixels)
    0.0
    """
    return _skill(model.predict(pixels), pixels.change)


def _skill(predicted: np.ndarray, change: np.ndarray) -> float:
    return 1 - float(((predicted - change) ** 2).mean() / (change**2).mean())


class PixelTrees:
    """A regression of scikit-learn on single pixels.

    Parameters
    ----------
    regression
        Anything with ``fit`` and ``predict``, such as ``ExtraTreesRegressor``.
    """

    def __init__(self, regression: Any) -> None:
        self.regression = regression

    def fit(self, pixels: PixelChanges) -> Self:
        """Fit the regression on all pixels."""
        x = pixels.features
        self.regression.fit(x.reshape(-1, x.shape[-1]), pixels.change.ravel())
        record_fit(self, pixels)
        return self

    def predict(self, pixels: PixelChanges) -> np.ndarray:
        """Return the predicted changes (windows, pixels)."""
        x = pixels.features
        flat: np.ndarray = self.regression.predict(x.reshape(-1, x.shape[-1]))
        return flat.reshape(x.shape[:2])


class PixelNetwork:
    """A network with two hidden layers on single pixels.

    Parameters
    ----------
    seed
        Of the first weights and of the pixels of each step.
    hidden
        Width of both hidden layers.
    decay
        Weight decay: this times the sum of squared weights is added to the loss.
    n_steps
        Steps of 512 pixels.

    Attributes
    ----------
    curves : numpy.ndarray, shape (n_steps / 25, parts)
        After ``fit`` with a validation part: skill after every 25th step, on the validation part
        and on each part of ``watch``.
    """

    def __init__(
        self, seed: int = 0, hidden: int = 32, decay: float = 0.0, n_steps: int = 300
    ) -> None:
        self.seed, self.hidden, self.decay, self.n_steps = seed, hidden, decay, n_steps

    def fit(
        self,
        pixels: PixelChanges,
        validation: PixelChanges | None = None,
        watch: Sequence[PixelChanges] = (),
    ) -> Self:
        """Train; with a validation part, keep the weights of the step that is best on it.

        The validation part counts as learned from. ``watch`` only notes and has no effect.
        """
        import torch

        from scstlib.training import minimise, seeded_weights

        x = pixels.features
        self.mean_, self.scale_ = x.mean((0, 1)), x.std((0, 1)) + 1e-6
        record_fit(self, *(part for part in (pixels, validation) if part is not None))
        rows, y = self._scaled(pixels).flatten(0, 1), torch.tensor(pixels.change).ravel()
        draws, act, n = torch.Generator().manual_seed(self.seed), torch.nn.SiLU, self.hidden
        with seeded_weights(self.seed):
            layers = [torch.nn.Linear(*size) for size in ((rows.shape[1], n), (n, n), (n, 1))]
            self.network_ = torch.nn.Sequential(layers[0], act(), layers[1], act(), layers[2])

        def loss(step: int) -> torch.Tensor:
            some = torch.randint(len(rows), (512,), generator=draws)
            error: torch.Tensor = (self.network_(rows[some])[:, 0] - y[some]).square().mean()
            if self.decay:
                error = error + self.decay * sum(each.weight.square().sum() for each in layers)
            return error

        noted: list[list[float]] = []
        parts = [*([] if validation is None else [validation]), *watch]
        seen = [(self._scaled(part), part.change) for part in parts]

        def validate() -> float:
            noted.append([_skill(self._changes(inputs), change) for inputs, change in seen])
            return -noted[-1][0]

        minimise(
            loss,
            self.network_.parameters(),
            n_steps=self.n_steps,
            learning_rate=1e-2,
            validate=None if validation is None else validate,
            validate_every=VALIDATE_EVERY,
            patience=self.n_steps,
            progress=False,
        )
        self.curves = np.array(noted)
        return self

    def predict(self, pixels: PixelChanges) -> np.ndarray:
        """Return the predicted changes (windows, pixels)."""
        return self._changes(self._scaled(pixels))

    def _changes(self, inputs: torch.Tensor) -> np.ndarray:
        import torch

        with torch.no_grad():
            found: np.ndarray = self.network_(inputs)[..., 0].numpy()
        return found

    def _scaled(self, pixels: PixelChanges) -> torch.Tensor:
        import torch

        return torch.tensor((pixels.features - self.mean_) / self.scale_)
