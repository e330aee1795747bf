"""Files whose digest is right and whose header claims what cannot be: one error, and at once.

Of one model that only keeps its cells, and of all that hold more. A header may ask for a network
that fills all memory or is never built, and what a model learned may be of another kind. Either the
file is refused with its name, or the model predicts.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from scstlib.models import load
from scstlib.models.files import ModelFile, read_model, write_model
from scstlib.models.loading import MODULES
from tests.conftest import series
from tests.models.spatial.spatial_data import spatial_windows

SECONDS = 2.0  # of the processor, for one file
ABSURD = 10**9
OTHERS: list[Any] = [None, {}, -1, "text", 1e300]
SMALL: dict[str, dict[str, Any]] = {
    "FlowMatching": {"n_components": 2, "hidden": [4], "matching_steps": 2},
    "LatentGaussianProcess": {"n_components": 2, "hidden": [4], "alignment_steps": 2},
    "CopyNearest": {},
    "PublishedScNODE": {
        "latent_dim": 2, "drift_hidden": [4], "encoder_hidden": [4], "decoder_hidden": [4],
        "pretrain_steps": 1, "joint_steps": 1, "batch_size": 4, "target_size": 4,
    },
    "ScNODE": {"latent_dim": 2, "drift_hidden": [4], "matching_steps": 2, "transport_steps": 2},
    "ScGrapHiC": {"channels": 4, "pair_channels": 4, "n_blocks": 1, "n_steps": 1, "batch_size": 2},
    "PublishedScGrapHiC": {
        "width": 4, "encodings": 2, "node_blocks": 1, "attention_blocks": 1, "residual_blocks": 1,
        "epochs": 1, "feature_scaling": "global",
    },
}  # fmt: skip
WINDOWS = spatial_windows(("chr1",), ("a", "b"))[0]


@pytest.fixture(scope="module", params=SMALL)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """What the file of a small fitted model holds."""
    from importlib import import_module

    name = request.param
    model = getattr(import_module(MODULES[name]), name)(**SMALL[name])
    path = tmp_path_factory.mktemp(name) / "model"
    if "ScGrapHiC" in name:
        model.fit(WINDOWS, device="cpu", progress=False).save(path)
    else:
        model.fit(series([0.0, 1.0, 3.0]))
        model.save(path)
    return read_model(path)


def predict(model: Any) -> None:
    if hasattr(model, "sample"):
        model.sample([1.5], 3)
    else:
        model.predict(WINDOWS[:1])


@pytest.fixture(autouse=True)
def at_once() -> Iterator[Callable[[], None]]:
    """Start the clock of one file; what takes longer ends in an error."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, late)
    yield lambda: signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def outcome(file: ModelFile, path: Path, predicts: bool) -> str:
    """Return "" if the model of a file is built, and predicts, and else what is said of it."""
    write_model(path, *file)
    try:
        model = load(path, "cpu")
    except ValueError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.startswith(f"{path} does not hold a {file.model} as this"), said
        return said
    if predicts:
        with contextlib.suppress(ValueError):  # Such as that the windows have other tracks.
            predict(model)
    return ""


def test_sizes_that_cannot_be_are_refused_at_once(
    file: ModelFile, tmp_path: Path, at_once: Callable[[], None]
) -> None:
    said = []
    for name, value in file.settings.items():
        if isinstance(value, (int, list)) and not isinstance(value, bool):
            absurd = [1] * 100_000 if isinstance(value, list) else ABSURD
            at_once()
            said.append(
                outcome(
                    file._replace(settings=file.settings | {name: absurd}), tmp_path / "m", False
                )
            )
    assert "" in said or not said, "a setting of training alone is no fault"
    assert any(said) == bool(SMALL[file.model]), said


def parts(learned: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where the parts of what was learned are, those of dictionaries too."""
    for name, value in learned.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *rest) for rest in parts(value))


def test_what_was_learned_is_refused_or_predicts(
    file: ModelFile, tmp_path: Path, at_once: Callable[[], None]
) -> None:
    refused = 0
    for *place, name in parts(file.learned):
        for other in OTHERS:
            learned = deepcopy(file.learned)
            part = learned
            for each in place:
                part = part[each]
            part[name] = other
            at_once()
            refused += bool(outcome(file._replace(learned=learned), tmp_path / "m", True))
    assert refused
