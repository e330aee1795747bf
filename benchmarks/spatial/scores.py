"""Models that are fitted and scored on the organism; :mod:`.run` says what each is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from benchmarks.record import Score
from benchmarks.spatial.informed import InformedByExpression
from benchmarks.spatial.truth import SpaceWorld
from benchmarks.timing import cpu_seconds
from scstlib.models import PublishedScGrapHiC, ScGrapHiC
from scstlib.models.spatial.baselines import MeanOfTypes
from scstlib.models.spatial.comparison import (
    CEILING,
    METRICS,
    PLACE,
    contact_scores,
    mean_scores,
    score_windows,
)
from scstlib.models.spatial.methods import REFERENCES, methods
from scstlib.models.spatial.protocol import SpatialModel
from scstlib.preprocess.expected import DistanceMeans
from scstlib.preprocess.windows import Windows

DEFAULT, PUBLISHED, TREES = "default", "published", "gradient boosting"
SMOOTHED = "bulk smoothed"
OTHER_TYPES = "mean of the training types"
INFORMED = "informed by expression"
# A new method is scored without a line here; scGrapHiC has stages of its own.
BASELINES = {
    name: make
    for name, make in methods().items()
    if name not in {*REFERENCES, "published scGrapHiC", "scGrapHiC"}
}
NO_EXPRESSION = "without expression"
WITHOUT = {
    NO_EXPRESSION: ("expression", "reference expression", "bulk expression"),
    "without bulk expression": ("bulk expression",),
    "without CTCF": ("CTCF",),
    "without CpG": ("CpG",),
}
NO_BULK = "without the bulk map"


class Remembering:
    """A fitted model that predicts a set of windows once: the parts share those of training types.

    All windows that it is asked for must come from one organism and be changed in one way.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.fitted_on_ = model, model.fitted_on_
        self.known: dict[str, np.ndarray] = {}

    def fit(self, windows: Windows) -> Self:
        raise ValueError("fit the model before it is remembered.")

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        key = windows.table[PLACE].to_csv()
        if key not in self.known:
            self.known[key] = self.model.predict(windows)
        return self.known[key] * np.float32(depth)


def scored(
    world: SpaceWorld,
    models: dict[str, SpatialModel],
    change: Callable[[Windows], Windows] = lambda windows: windows,
) -> list[Score]:
    """Mean scores of fitted models in each part; ``change`` alters the windows they read."""
    found: list[Score] = []
    remembering: dict[str, SpatialModel] = {row: Remembering(m) for row, m in models.items()}
    for name, part in world.parts.items():
        table = score_windows(
            remembering,
            change(part.windows),
            truth=part.truth,
            reference=part.reference,
            training=change(part.training),
        )
        means = mean_scores(table[table["model"] != CEILING])
        found += [
            {"row": row, "part": name} | values for row, values in means.to_dict("index").items()
        ]
    return found


def bounds(world: SpaceWorld) -> list[Score]:
    """The truth against noisy targets, and the mean targets of the training types."""
    found: list[Score] = []
    for name, part in world.parts.items():
        ceiling = contact_scores(
            part.truth, part.windows, truth=part.truth, reference=part.reference
        )
        mean = MeanOfTypes().fit(part.training)
        table = score_windows({}, part.windows, truth=part.truth, references={OTHER_TYPES: mean})
        means = mean_scores(table).loc[OTHER_TYPES].to_dict()
        found.append({"row": CEILING, "part": name} | _means(ceiling))
        found.append({"row": OTHER_TYPES, "part": name} | means)
    return found


def _means(table: pd.DataFrame) -> dict[str, float]:
    return {metric: float(table[metric].mean()) for metric in METRICS}


def baselines(world: SpaceWorld, names: Sequence[str] = ()) -> tuple[list[Score], list[Score]]:
    """Scores and CPU seconds of all that is compared with, or of some methods alone."""
    models = {name: BASELINES[name](0) for name in names or BASELINES}
    cost: list[Score] = [
        {"row": name, "seconds": cpu_seconds(lambda model=model: model.fit(world.train))}
        for name, model in models.items()
    ]
    return [*([] if names else bounds(world)), *scored(world, models)], cost


def informed(world: SpaceWorld) -> list[Score]:
    """Scores of the bound that knows the organism's equations."""
    return scored(world, {INFORMED: InformedByExpression(world).fit(world.train)})


def default(
    world: SpaceWorld, model_seed: int, device: str, **settings: Any
) -> tuple[list[Score], list[Score]]:
    """Scores and CPU seconds of the default."""
    model = ScGrapHiC(seed=model_seed, **settings)
    seconds = cpu_seconds(lambda: model.fit(world.train, progress=False, device=device))
    return scored(world, {DEFAULT: model}), [{"row": DEFAULT, "seconds": seconds}]


def ablation(
    world: SpaceWorld, row: str, model_seed: int, device: str, **settings: Any
) -> tuple[list[Score], list[Score]]:
    """Scores and CPU seconds of the default without one of its inputs, trained anew."""
    change = without_bulk(world.train) if row == NO_BULK else without(WITHOUT[row])
    model = ScGrapHiC(seed=model_seed, **settings)
    changed = change(world.train)
    seconds = cpu_seconds(lambda: model.fit(changed, progress=False, device=device))
    return scored(world, {row: model}, change), [{"row": row, "seconds": seconds}]


def without(tracks: tuple[str, ...]) -> Callable[[Windows], Windows]:
    """Leave out tracks by the first words of their names."""

    def change(windows: Windows) -> Windows:
        kept = [i for i, name in enumerate(windows.track_names) if name.rstrip(" +-") not in tracks]
        names = tuple(windows.track_names[i] for i in kept)
        return replace(windows, tracks=windows.tracks[..., kept], track_names=names)

    return change


def without_bulk(train: Windows) -> Callable[[Windows], Windows]:
    """Put the mean bulk contacts at each distance of the training windows in the bulk's place."""
    expected = DistanceMeans("bulk").fit(train).expected().astype(np.float32)

    def change(windows: Windows) -> Windows:
        usable = windows.mask[:, :, None] & windows.mask[:, None, :]
        return replace(windows, bulk=expected * usable)

    return change


def published(
    world: SpaceWorld, model_seed: int, device: str, checkpoint: Path, **options: Any
) -> tuple[list[Score], list[Score]]:
    """Scores and validation curve of the published scGrapHiC, its head mended.

    Batches of 8 windows, not 64: the steps that a CPU affords are few. The run goes on from the
    checkpoint if there is one.
    """
    model = PublishedScGrapHiC(
        head_init="mended", seed=model_seed, batch_size=8, validate_every=1, **options
    )
    model.fit(
        world.train,
        validation=world.validation.windows,
        checkpoint=checkpoint,
        device=device,
        progress=False,
    )
    steps = len(model.losses_["train"])
    curve = model.losses_["validation"]
    about: list[Score] = [
        {"row": PUBLISHED, "step": steps * (i + 1) // len(curve), "SCC": -float(value)}
        for i, value in enumerate(curve)
    ]
    return scored(world, {PUBLISHED: model}), about
