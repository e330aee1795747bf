"""Small models, metrics and loaders with one planted fault each, and the check that finds it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import nn

from scstlib import audit
from scstlib.audit import Audit, Case, Claim


def rows(n: int = 12, d: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def batches(d: int = 4) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(rows(12, d, seed), rows(12, 1, seed + 10)) for seed in range(3)]


def flow(model: nn.Module, **how: object) -> Audit:
    """Gradient flow of a model of one input, with the squared error."""

    def loss_of(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    return audit.gradient_flow(model, loss_of, batches(), **how)


class Overwritten(nn.Module):
    """The output of ``graph`` is replaced before anything reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.graph, self.dense, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.graph(x)
        hidden = self.dense(x)
        return self.head(hidden.relu())


class Detached(nn.Module):
    """A branch whose gradient is cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.side = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x) + self.side(x).detach()


class Silenced(nn.Module):
    """A branch that is in the graph, multiplied by 0."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.side = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x) + 0 * self.side(x)


def dead_layer() -> tuple[Audit, str]:
    return flow(Overwritten()), "graph.weight"


def detached_branch() -> tuple[Audit, str]:
    return flow(Detached()), "side.weight"


def silenced_branch() -> tuple[Audit, str]:
    return flow(Silenced()), "side.weight"


def ignored_input() -> tuple[Audit, str]:
    def model(cells: torch.Tensor, graph: torch.Tensor) -> torch.Tensor:
        mixed = graph @ cells
        return cells.tanh() + 0 * mixed

    return audit.input_use(model, {"cells": rows(), "graph": rows(12, 12)}, seed=0), "graph"


def saturated_sigmoid() -> tuple[Audit, str]:
    model = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 1))
    with torch.no_grad():
        model[0].weight.mul_(1000)
    return audit.saturation(model, model, [x for x, _ in batches()]), "1"


def dead_units() -> tuple[Audit, str]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    return audit.saturation(model, model, [x for x, _ in batches()]), "1"


def upper_half(contacts: np.ndarray, other: np.ndarray) -> float:
    contacts[np.tril_indices(len(contacts))] = 0
    return float(np.abs(contacts - other).mean())


def metric_in_place() -> tuple[Audit, str]:
    return audit.leaves_inputs(upper_half, np.ones((4, 4)), np.eye(4)), "input 0"


def frame_in_place() -> tuple[Audit, str]:
    def normalise(adata: AnnData, settings: dict[str, list[int]]) -> None:
        adata.X = adata.X / adata.X.sum(1, keepdims=True)
        settings["done"] = [1]

    cells = AnnData(np.arange(1.0, 9.0).reshape(4, 2))
    return audit.leaves_inputs(normalise, cells, {"done": [0]}), "input 0.X"


def second_run_differs() -> tuple[Audit, str]:
    def share_below(contacts: np.ndarray) -> float:
        share = float(np.tril(contacts, -1).mean())
        contacts[np.tril_indices(len(contacts))] = 0
        return share

    return audit.is_idempotent(share_below, np.ones((4, 4))), "output"


class Counting:
    """A preprocessing step that learns a little at each call."""

    def __init__(self) -> None:
        self.mean = np.zeros(3)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean


def step_with_memory() -> tuple[Audit, str]:
    return audit.is_idempotent(Counting(), rows(d=3).numpy() + 1), "output"


def windows_of(chromosomes: list[str]) -> pd.DataFrame:
    starts = np.arange(3) * 10
    return pd.DataFrame(
        [(c, s, s + 20) for c in chromosomes for s in starts], columns=["chrom", "start", "end"]
    )


def validation_in_training() -> tuple[Audit, str]:
    train, validation = windows_of(["chr1", "chr2", "chr19"]), windows_of(["19"])
    return audit.split_overlap({"train": train, "validation": validation}), "train and validation"


def donors(order: np.ndarray, n: int = 30) -> AnnData:
    """Cells of three donors, some of them, by index."""
    rng = np.random.default_rng(0)
    donor = np.repeat(["a", "b", "c"], n // 3)
    obs = pd.DataFrame({"donor": donor}, index=[f"cell{i}" for i in range(n)])
    return AnnData(rng.poisson(5.0, (n, 8)).astype(np.float32), obs=obs)[order].copy()


def random_split_over_groups() -> tuple[Audit, str]:
    order = np.random.default_rng(0).permutation(30)
    parts = {"train": donors(order[:20]), "test": donors(order[20:])}
    return audit.split_overlap(parts, by="donor"), "train and test"


def renamed_copies() -> tuple[Audit, str]:
    train, test = donors(np.arange(20)), donors(np.arange(15, 30))
    test.obs_names = [f"other{i}" for i in range(15)]
    test.X[0] *= 1 + 1e-8
    return audit.split_overlap({"train": train, "test": test}), "train and test"


def batch_norm_in_training_mode() -> tuple[Audit, str]:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)).train()
    return audit.contract(model, [rows()], shape=(12, 1), by_sample=True), "output"


def reshape_instead_of_transpose() -> tuple[Audit, str]:
    def flattened(x: np.ndarray) -> np.ndarray:
        return x.transpose(1, 0, 2).reshape(len(x), -1)

    x = np.arange(60.0).reshape(5, 3, 4)
    return audit.contract(flattened, [x], by_sample=True), "output"


def lopsided_map() -> tuple[Audit, str]:
    return audit.contract(lambda x: np.cumsum(x, axis=1), [np.ones((2, 3, 3))], symmetric=True), (
        "output"
    )


class SharedSeed:
    """Seeds the global generator and keeps its scale with the class."""

    scale = 1.0

    def __init__(self, scale: float, seed: int) -> None:
        torch.manual_seed(seed)
        type(self).scale = scale

    def draw(self) -> torch.Tensor:
        return self.scale * torch.rand(5)


def shared_global_state() -> tuple[Audit, str]:
    found = audit.isolation(lambda: SharedSeed(1, 0), SharedSeed.draw, lambda: SharedSeed(2, 1))
    return found, "generator of torch"


def changed_setting() -> tuple[Audit, str]:
    def build() -> None:
        torch.set_default_dtype(torch.float64)

    try:
        return audit.isolation(build, lambda _: np.ones(2)), "torch default type"
    finally:
        torch.set_default_dtype(torch.float32)


def text_says_three_layers() -> tuple[Audit, str]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    table = [
        Claim("linear layers", 3, lambda m: audit.count_layers(m, "Linear")),
        Claim("activations", {"ReLU"}, audit.activations),
        Claim("parameters", 49, audit.count_parameters),
        Claim("loss", "MSE"),
    ]
    return audit.claims(model, table), "linear layers"


def off_by_one_window() -> tuple[Audit, str]:
    def starts(n_bins: int, window: int, stride: int) -> list[int]:
        return list(range(0, n_bins - window, stride))

    cases = [
        Case("two windows and a rest", starts, (11, 4, 6), [0, 6]),
        Case("the last full window", starts, (8, 4, 4), [0, 4]),
    ]
    return audit.known_answers(cases), "the last full window"


FAULTY = [
    dead_layer,
    detached_branch,
    silenced_branch,
    ignored_input,
    saturated_sigmoid,
    dead_units,
    metric_in_place,
    frame_in_place,
    second_run_differs,
    step_with_memory,
    validation_in_training,
    random_split_over_groups,
    renamed_copies,
    batch_norm_in_training_mode,
    reshape_instead_of_transpose,
    lopsided_map,
    shared_global_state,
    changed_setting,
    text_says_three_layers,
    off_by_one_window,
]
