"""Small models, metrics and loaders that look odd and are right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from scstlib import audit
from scstlib.audit import Audit, Case, Claim
from tests.audit.faulty import batches, donors, flow, rows, windows_of


class Embedded(nn.Module):
    """Words that no batch asks for have no gradient; gradients come sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(50, 4, sparse=True), nn.Linear(4, 1)

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return self.head(self.words(index))


def sparse_embedding() -> list[Audit]:
    model = Embedded()
    index = torch.tensor([0, 3, 3, 9])
    found = audit.gradient_flow(model, lambda b: model(b).square().mean(), [index, index + 1])
    return [found, audit.input_use(lambda i: model(i), [index])]


def frozen_embedding() -> list[Audit]:
    model = Embedded()
    model.words.requires_grad_(False)
    index = torch.tensor([0, 3, 3, 9])
    return [audit.gradient_flow(model, lambda b: model(b).mean(), [index, index], frozen=["words"])]


def dropout_in_evaluation() -> list[Audit]:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1)).eval()
    return [
        audit.is_idempotent(model, rows()),
        audit.contract(model, [rows()], shape=(None, 1), dtype="float32", by_sample=True),
        flow(model.train()),
    ]


def batch_norm_in_evaluation() -> list[Audit]:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))
    trained = flow(model.train())
    return [trained, audit.contract(model.eval(), [rows()], by_sample=True)]


class Residual(nn.Module):
    """The block's last layer starts at zero, so that at first it adds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = nn.Linear(4, 4), nn.Linear(4, 1)
        nn.init.zeros_(self.block.weight)
        nn.init.zeros_(self.block.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x + self.block(x))


def residual_connection() -> list[Audit]:
    model = Residual()
    return [flow(model), audit.leaves_inputs(model, rows())]


class Shared(nn.Module):
    """One layer is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.head = nn.Linear(4, 4), nn.Linear(4, 1)
        self.also = self.step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.also(self.step(x).tanh()).tanh())


def weight_sharing() -> list[Audit]:
    table = [
        Claim("parameters", 25, audit.count_parameters),
        Claim("linear layers", 2, lambda m: audit.count_layers(m, "Linear")),
    ]
    return [flow(Shared()), audit.claims(Shared(), table)]


def many_zeros_of_a_relu() -> list[Audit]:
    """Each unit fires for few samples, and for some."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.cat([torch.eye(4), -torch.eye(4)]))
        model[0].bias.fill_(-0.5)
    return [flow(model), audit.saturation(model, model, [x for x, _ in batches()])]


def confident_sigmoid() -> list[Audit]:
    """Some outputs near 0 and 1 are what a classifier is for."""
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    with torch.no_grad():
        model[0].weight.fill_(2.0)
    found = audit.saturation(model, model, [x for x, _ in batches()], bounds=(0, 1))
    return [found, audit.contract(model, [rows()], bounds=(0, 1), non_negative=True)]


def honest_split() -> list[Audit]:
    """Same starts on other chromosomes, same donors' names in the record of another column."""
    windows = {"train": windows_of(["chr1"]), "test": windows_of(["chr11"])}
    cells = {"train": donors(np.arange(20)), "test": donors(np.arange(20, 30))}
    lists = {"train": [1, 2], "validation": ["chr19"], "test": range(7, 9)}
    return [
        audit.split_overlap(windows),
        audit.split_overlap(cells, by="donor"),
        audit.split_overlap(lists),
        audit.split_overlap({"a": np.eye(3)[:2], "b": np.eye(3)[2:], "c": np.zeros((2, 3))}),
    ]


def own_generator() -> list[Audit]:
    """Draws at random, from a generator that is given to it."""

    def build() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    def use(generator: torch.Generator) -> torch.Tensor:
        return torch.rand(5, generator=generator)

    return [audit.isolation(build, use)]


def pure_metric() -> list[Audit]:
    def score(a: np.ndarray, b: np.ndarray) -> float:
        a = a.copy()
        a[np.tril_indices(len(a))] = 0
        return float(np.nanmean(np.abs(a - b)))

    noisy = rows(4, 4).numpy()
    noisy[0, 3] = np.nan
    cases = [
        Case("equal", score, (np.zeros((2, 2)), np.zeros((2, 2))), 0),
        Case("order does not matter", np.sort, (noisy[1],), np.sort(noisy[1][::-1])),
        Case("another size is refused", score, (np.eye(2), np.eye(3)), ValueError),
    ]
    return [
        audit.leaves_inputs(score, noisy, np.eye(4)),
        audit.is_idempotent(score, noisy, np.eye(4)),
        audit.known_answers(cases),
    ]


def window_and_its_input() -> list[Audit]:
    def starts(n_bins: int, window: int, stride: int) -> list[int]:
        return list(range(0, n_bins - window + 1, stride))

    cases = [
        Case("the last full window", starts, (8, 4, 4), [0, 4]),
        Case("none", starts, (3, 4, 1), []),
    ]
    smooth = audit.contract(
        lambda x: x + x.swapaxes(1, 2), [rows(9, 9).numpy()[None]], symmetric=True
    )
    return [audit.known_answers(cases), smooth]


def declared_extra_input() -> list[Audit]:
    """An input that one variant of a model does not read, and says so."""

    def model(cells: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        return cells.square()

    inputs = {"cells": rows(), "depth": rows(12, 1)}
    return [audit.input_use(model, inputs, unused=["depth"])]


SOUND: list[Callable[[], list[Audit]]] = [
    sparse_embedding,
    frozen_embedding,
    dropout_in_evaluation,
    batch_norm_in_evaluation,
    residual_connection,
    weight_sharing,
    many_zeros_of_a_relu,
    confident_sigmoid,
    honest_split,
    own_generator,
    pure_metric,
    window_and_its_input,
    declared_extra_input,
]
