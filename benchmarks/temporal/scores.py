"""How predictions of held-out times are scored; :mod:`.run` says what each is."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.record import Score
from benchmarks.temporal.truth import N_CELLS, N_TRUE, PER_CELL, SPLITS, Space, World, log_values
from scstlib.metrics.expression import (
    energy_distance,
    sinkhorn,
    variance_ratio,
    wasserstein,
    zero_fraction_error,
)
from scstlib.models import ScNODE
from scstlib.models.temporal import DisplacementInterpolation, TemporalModel, methods

SMALLEST_MEAN = 0.1  # Counts a cell of a gene that is more than zeros.
DEFAULT, PUBLISHED = "default", "published"
NEAREST, TRANSPORT_OWN = "nearest time copied", "OT displacement, rank of the default"
SEVERAL_SEEDS = ("scNODE", "scNODE as published")  # Of ``methods()``: DEFAULT and PUBLISHED here.
TRUE_MEASURED, TRUE_MEAN = "fresh true cells, measured", "fresh true cells, noise-free"
TRUE_AT_DEPTH = "fresh true cells, noise-free, at their depths"


def fitted_once(training: AnnData, default_rank: int) -> dict[str, TemporalModel]:
    """All other methods of the package, and displacement in as many components as the default."""
    models = {name: new(0) for name, new in methods().items() if name not in SEVERAL_SEEDS}
    models[TRANSPORT_OWN] = DisplacementInterpolation(n_components=default_rank)
    return {name: model.fit(training, "time") for name, model in models.items()}


def values_of(sampled: AnnData) -> np.ndarray:
    return np.asarray(sampled.layers["log1p_cp10k"], dtype=np.float64)


def log_rates(sampled: AnnData) -> np.ndarray:
    """log1p of predicted means per 10,000; components may have made some negative."""
    x = np.maximum(np.asarray(sampled.X, dtype=np.float64), 0)
    return np.log1p(x * (PER_CELL / x.sum(1, keepdims=True)))


def in_space(space: Space, true: np.ndarray, values: np.ndarray) -> float:
    return wasserstein(space.components.transform(values), space.points[true], squared=True)


class PlaceScores:
    """Where predicted cells lie: ``wt``, ``wt_rate``, ``pca`` and ``W`` of one split."""

    def __init__(self, world: World, split: str) -> None:
        self.world, self.split, self.held_out = world, split, SPLITS[split]
        self.cell_space: PCA = world.cell_space(split)
        self.measured = {
            index: log_values(world.measured.X[world.rows(world.measured, index)])
            for index in self.held_out
        }

    def of(
        self, row: str, model_seed: int, values: np.ndarray, rates: np.ndarray | None = None
    ) -> list[Score]:
        """Score values (held-out times * N_CELLS, genes), and log rates of the same cells."""
        found = []
        for place, index in enumerate(self.held_out):
            part = slice(place * N_CELLS, (place + 1) * N_CELLS)
            scores = self._of_time(index, values[part])
            if rates is not None:
                true = self.world.rows(self.world.fresh, index)
                scores["wt_rate"] = in_space(self.world.rates, true, rates[part])
            about = {"row": row, "model_seed": model_seed, "split": self.split, "index": index}
            found.append(about | scores)
        return found

    def _of_time(self, index: int, values: np.ndarray) -> dict[str, float]:
        true = self.world.rows(self.world.fresh, index)
        measured = self.measured[index]
        a, b = (self.cell_space.transform(cells) for cells in (values, measured))
        return {
            "wt": in_space(self.world.truth, true, values),
            "pca": wasserstein(a, b, squared=True),
            "W": sinkhorn(values, measured),
        }

    def floors(self) -> list[Score]:
        """Scores of true cells of another draw."""
        cells = self.world.floor
        cells = cells[np.isin(cells.obs["time"], self.world.times[list(self.held_out)])]
        mean, depth = cells.layers["true_mean"], cells.obs["depth"].to_numpy()
        counts = log_values(cells.X)
        expected = self.world.expected_log
        return [
            *self.of(TRUE_MEASURED, 0, counts, counts),
            *self.of(TRUE_MEAN, 0, expected(mean), np.log1p(mean)),
            *self.of(TRUE_AT_DEPTH, 0, expected(mean, depth)),
        ]

    def predictions(self, row: str, model: TemporalModel, model_seed: int) -> list[Score]:
        """Scores of a model; the default in its three ways of sampling."""
        times = [float(self.world.times[index]) for index in self.held_out]

        def sampled(noise: bool | Literal["depth"]) -> AnnData:
            return model.sample(times, N_CELLS, seed=model_seed, noise=noise)

        plain = sampled(False)
        if row != DEFAULT:
            return self.of(row, model_seed, values_of(plain), log_rates(plain))
        return [
            *self.of(f"{DEFAULT}, noise=False", model_seed, values_of(plain), log_rates(plain)),
            *self.of(f'{DEFAULT}, noise="depth"', model_seed, values_of(sampled("depth"))),
            *self.of(f"{DEFAULT}, noise=True", model_seed, values_of(sampled(True))),
        ]


def likeness(predicted: np.ndarray, measured: np.ndarray, mean: np.ndarray) -> dict[str, float]:
    """How like measured cells noisy cells are; ``mean`` counts tell genes with few counts."""
    ratio = variance_ratio(predicted, measured)
    varies, seen = np.isfinite(ratio), mean > SMALLEST_MEAN
    right = (ratio >= 0.8) & (ratio <= 1.25)
    return {
        "energy_distance": energy_distance(predicted, measured),
        "variance_right": float(right[varies].mean()),
        "variance_right_seen": float(right[varies & seen].mean()),
        "zero_fraction_error": zero_fraction_error(predicted, measured),
    }


def noise_scores(
    world: World, split: str, models: dict[str, TemporalModel], model_seed: int
) -> list[Score]:
    """Likeness of ``sample(noise=True)`` to measured cells; a floor with the first model seed."""
    found = []
    for index in SPLITS[split]:
        fresh = world.fresh.X[world.rows(world.fresh, index)]
        measured, mean = log_values(fresh), np.asarray(fresh.mean(0)).ravel()
        rows = {
            name: values_of(model.sample([float(world.times[index])], N_TRUE, seed=model_seed))
            for name, model in models.items()
        }
        if model_seed == 0:
            other = world.noise_floor
            rows[TRUE_MEASURED] = log_values(other.X[world.rows(other, index)])
        about = {"model_seed": model_seed, "split": split, "index": index}
        found += [
            {"row": row} | about | likeness(values, measured, mean) for row, values in rows.items()
        ]
    return found


def fate_errors(world: World, split: str, model: ScNODE, model_seed: int) -> list[Score]:
    """Largest error of a fate share at each held-out time, in three rows; see the benchmark."""
    training = world.training(split)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(model.encode(training), training.obs["fate"].astype(str))
    found = []
    for index in SPLITS[split]:
        time = float(world.times[index])
        true = world.organism.fate_shares(time)
        sampled = model.sample([time], N_TRUE, seed=model_seed, noise=False).obsm["latent"]
        cells = world.fresh[world.rows(world.fresh, index)]
        few = world.floor.obs["fate"][world.rows(world.floor, index)].astype(str)
        about = {"model_seed": model_seed, "split": split, "index": index}
        shares = {
            DEFAULT: assigned(classifier, sampled),
            f"{DEFAULT}, mean probabilities": probable(classifier, sampled),
            "measured cells, classified": assigned(classifier, model.encode(cells)),
            "measured cells, mean probabilities": probable(classifier, model.encode(cells)),
            "fates of 400 true cells": few.value_counts(normalize=True),
        }
        for row, share in shares.items():
            error = (share.reindex(true.index, fill_value=0.0) - true).abs()
            found.append({"row": row} | about | {"error": float(error.max())})
    return found


def assigned(classifier: Any, latent: np.ndarray) -> pd.Series:
    return pd.Series(classifier.predict(latent)).value_counts(normalize=True)


def probable(classifier: Any, latent: np.ndarray) -> pd.Series:
    return pd.Series(classifier.predict_proba(latent).mean(0), index=classifier.classes_)
