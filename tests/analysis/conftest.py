"""Flows in a latent space whose answers are known by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

Velocity = Callable[[np.ndarray, float], np.ndarray]


class AnalyticFlow:
    """A latent flow with a given velocity; cells are ``level + latent @ decoder``."""

    def __init__(self, velocity: Velocity, decoder: np.ndarray, level: float = 0.0) -> None:
        self._velocity, self.decoder, self.level = velocity, decoder, level
        self.genes = tuple(f"gene{k}" for k in range(decoder.shape[1]))
        self.times_, self.time_key_ = np.empty(0), "time"

    def encode(self, adata: AnnData) -> np.ndarray:
        if tuple(adata.var_names) != self.genes:
            raise ValueError(f"genes {list(adata.var_names)} are not the fitted ones")
        return (np.asarray(adata.X, dtype=float) - self.level) @ np.linalg.pinv(self.decoder)

    def decode(self, latent: np.ndarray) -> np.ndarray:
        return self.level + latent @ self.decoder

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        return self._velocity(latent, time)

    def flow(self, latent: np.ndarray, start: float, times: np.ndarray) -> np.ndarray:
        out = []
        for time in times:
            z, n = np.array(latent, dtype=float), max(1, int(np.ceil(abs(time - start) / 0.05)))
            h = (time - start) / n
            for k in range(n):
                t = start + k * h
                a = self._velocity(z, t)
                b = self._velocity(z + h / 2 * a, t + h / 2)
                c = self._velocity(z + h / 2 * b, t + h / 2)
                d = self._velocity(z + h * c, t + h)
                z = z + h / 6 * (a + 2 * b + 2 * c + d)
            out.append(z)
        return np.stack(out)

    def cells(self, latent: np.ndarray, time: np.ndarray | float) -> AnnData:
        """Measured cells at these places and times."""
        obs = pd.DataFrame(
            {"time": np.broadcast_to(np.asarray(time, dtype=float), len(latent))},
            index=[f"cell{k}" for k in range(len(latent))],
        )
        adata = AnnData(self.decode(latent), obs=obs, var=pd.DataFrame(index=list(self.genes)))
        adata.uns["value_kind"] = "values"
        return adata

    def series(self, start: np.ndarray, times: list[float]) -> AnnData:
        """Cells of a population that begins at ``start`` at the first time, seen at each time."""
        self.times_ = np.array(times)
        paths = self.flow(start, times[0], self.times_)
        return self.cells(np.concatenate(paths), np.repeat(times, len(start)))


@pytest.fixture
def make_flow() -> type[AnalyticFlow]:
    return AnalyticFlow


@pytest.fixture
def rotation() -> AnalyticFlow:
    """A quarter turn per unit of time in the plane; genes are the coordinates and their sum."""
    turn = np.pi / 2 * np.array([[0.0, 1.0], [-1.0, 0.0]])
    return AnalyticFlow(lambda z, t: z @ turn, np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))


@pytest.fixture
def fork() -> AnalyticFlow:
    """Coordinate 0 falls to -1 or rises to 1; coordinate 1 rests. Genes: up, down, apart."""

    def velocity(z: np.ndarray, t: float) -> np.ndarray:
        return np.stack([z[:, 0] - z[:, 0] ** 3, np.zeros(len(z))], axis=1)

    return AnalyticFlow(velocity, np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]), level=3.0)
