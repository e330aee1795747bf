"""Model files: what is written is read, and anything else is refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from scstlib.leakage import LeakageError, check_evaluation, record_fit
from scstlib.models import files, load
from scstlib.models.files import SavedModel, load_weights, read_model, under, write_model

BINS = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [0, 5], "end": [5, 9], "cell_type": "T"})


class Line(SavedModel):
    """The smallest model that can be saved."""

    def __init__(self, slope: float = 1.0, name: str = "line", sizes: tuple[int, ...] = ()) -> None:
        self.slope, self.name, self.sizes = slope, name, tuple(sizes)

    def fit(self, table: pd.DataFrame) -> Line:
        self.weights_, self.n_ = torch.arange(3.0), len(table)
        record_fit(self, table)
        return self

    def _learned(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        if not hasattr(self, "n_"):
            raise ValueError("this Line is not fitted; call fit first.")
        return {"n": self.n_}, {"weights": self.weights_}

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Any], device: str) -> None:
        self.n_, self.weights_ = learned["n"], tensors["weights"].to(device)


@pytest.fixture
def path(tmp_path) -> Path:
    """The file of a fitted line."""
    Line(slope=np.float64(2.5), sizes=(3, 4)).fit(BINS).save(tmp_path / "line")
    return tmp_path / "line"


def header_of(path: Path) -> dict[str, Any]:
    size = int.from_bytes(path.read_bytes()[:8], "little")
    return json.loads(json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]["scstlib"])


def rewrite(path: Path, **changes: Any) -> None:
    """Write the file again with another header, and with the digest that it had."""
    save_file(read_model(path).tensors, path, {"scstlib": json.dumps(header_of(path) | changes)})


def test_what_is_saved_is_read(path):
    line = Line.load(path, device="cpu")
    assert repr(line) == "Line(slope=2.5, sizes=(3, 4))"
    assert line.settings == {"slope": 2.5, "name": "line", "sizes": (3, 4)}
    assert line.n_ == 2
    assert line.weights_.tolist() == [0, 1, 2]


def test_a_loaded_model_is_not_scored_on_what_it_was_fitted_on(path):
    line = Line.load(path, device="cpu")
    check_evaluation(line, BINS.assign(chrom="chr2"))
    with pytest.raises(LeakageError, match=r"Line was fitted on .*chromosome"):
        check_evaluation(line, BINS)


def test_every_flipped_byte_is_refused(path):
    """In the header, in the record of the training data and in the weights."""
    right = path.read_bytes()
    assert len(right) < 4_000
    for place in range(len(right)):
        for flip in (0x01, 0x20, 0xFF):
            wrong = bytearray(right)
            wrong[place] ^= flip
            path.write_bytes(wrong)
            with pytest.raises(ValueError, match=str(path)):
                read_model(path)


def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(path):
    right = path.read_bytes()
    for size in (0, 1, 7, 8, 9, 100, len(right) // 2, len(right) - 1):
        path.write_bytes(right[:size])
        with pytest.raises(ValueError, match="cut short or not a model file"):
            read_model(path)


def test_a_file_of_a_newer_version_asks_for_a_newer_package(path):
    rewrite(path, file_version=3)
    with pytest.raises(ValueError, match=r"newer scstlib \(file version 3, this one reads 2\)"):
        read_model(path)


def test_what_is_no_model_is_refused(tmp_path):
    path = tmp_path / "other"
    save_file({"weights": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="holds no scstlib model"):
        read_model(path)
    save_file({"weights": torch.zeros(2)}, path, {"scstlib": "[1, 2]"})
    with pytest.raises(ValueError, match="holds no scstlib model"):
        read_model(path)
    save_file({"weights": torch.zeros(2)}, path, {"scstlib": '{"model": "Line"}'})
    with pytest.raises(ValueError, match="header is incomplete"):
        read_model(path)
    path.write_text("chrom\tstart\tend\n")
    with pytest.raises(ValueError, match="not a model file"):
        read_model(path)
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        read_model(tmp_path / "none")


HEADERS = {
    "null": (None, "holds no scstlib model"),
    "a list": ([1, 2], "holds no scstlib model"),
    "no model": ({"model": None}, "holds no scstlib model"),
    "a model that is a list": ({"model": ["Line"]}, "holds no scstlib model"),
    "no version": ({"file_version": None}, "header is incomplete"),
    "version true": ({"file_version": True}, "header is incomplete"),
    "version 2.0": ({"file_version": 2.0}, "header is incomplete"),
    "version 0": ({"file_version": 0}, "is of file version 0; the first one is 1"),
    "version -1": ({"file_version": -1}, "is of file version -1"),
    "no settings": ({"settings": None}, "header is incomplete"),
    "settings in a list": ({"settings": ["slope"]}, "header is incomplete"),
    "nothing learned": ({"learned": 3}, "header is incomplete"),
    "no digest": ({"digest": None}, "is damaged"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_is_wrong_is_one_error(case, path):
    change, said = HEADERS[case]
    header = header_of(path) | change if isinstance(change, dict) else change
    save_file(read_model(path).tensors, path, {"scstlib": json.dumps(header)})
    with pytest.raises(ValueError, match=f"{path} .*{said}"):
        read_model(path)


def test_a_header_that_is_deep_or_no_json_is_refused(path):
    for text in ("[" * 100_000, '{"model": "Line"', "Line"):
        save_file({"weights": torch.zeros(2)}, path, {"scstlib": text})
        with pytest.raises(ValueError, match="cut short or not a model file"):
            read_model(path)


PARTS = {"n": 2}, {"weights": torch.arange(3.0)}
# What is in the file, with a digest that fits, and what is said of it.
NOT_WHOLE = {
    "a setting of another type": ({"sizes": 3}, *PARTS, "not iterable"),
    "nothing learned": ({}, {}, PARTS[1], "it lacks 'n'"),
    "no weights": ({}, PARTS[0], {}, "it lacks 'weights'"),
    "a record that is none": ({}, *PARTS[:1], {**PARTS[1], "fitted_on": torch.zeros(9)}, "record"),
}


@pytest.mark.parametrize("case", NOT_WHOLE)
def test_a_file_that_does_not_hold_all_of_its_model_says_what_differs(case, tmp_path):
    settings, learned, tensors, said = NOT_WHOLE[case]
    write_model(tmp_path / "line", "Line", settings, learned, tensors)
    with pytest.raises(ValueError, match=f"line does not hold a Line .*{said}"):
        Line.load(tmp_path / "line", device="cpu")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_neither_written_nor_read(value, path, monkeypatch):
    weights = {"weights": torch.tensor([1.0, value, value])}
    with pytest.raises(ValueError, match="Line holds 2 NaN or infinite numbers in weights"):
        write_model(path, "Line", {}, {}, weights)
    monkeypatch.setattr(files, "_check_finite", lambda *_: None)
    write_model(path, "Line", {}, {}, weights)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=f"{path} holds 2 NaN or infinite numbers in weights"):
        read_model(path)


def test_a_device_that_is_not_there_is_no_fault_of_the_file(path):
    with pytest.raises(ValueError, match=r"^device must be .auto"):
        Line.load(path, device="gpu9")


FIRST = sorted(Path(__file__).parent.rglob("*version*.safetensors"))


@pytest.mark.parametrize("first", FIRST, ids=lambda path: path.stem)
def test_a_file_without_a_digest_in_which_something_is_missing_is_refused(first, tmp_path):
    """Members are dropped, renamed, reshaped and made NaN, one by one."""
    with safe_open(first, framework="pt") as file:
        about, names = file.metadata(), file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    path = tmp_path / "damaged"

    def refused(changed: dict[str, torch.Tensor]) -> None:
        save_file(changed, path, about)
        with pytest.raises(ValueError, match=str(path)):
            load(path, device="cpu")

    for name in names[:: max(1, len(names) // 12)]:
        rest = {each: value for each, value in tensors.items() if each != name}
        refused(rest)
        refused(rest | {f"{name}x": tensors[name]})
        if name.startswith(("network.", "drift.")):
            refused(rest | {name: tensors[name][..., None].clone()})
        if tensors[name].is_floating_point():
            refused(rest | {name: torch.full_like(tensors[name], np.nan)})
    header = json.loads(about["scstlib"])
    about = {"scstlib": json.dumps(header | {"settings": {"variant": "default", "model": 3}})}
    refused(tensors)
    assert len(FIRST) == 5


def test_the_file_of_another_class_is_refused(path):
    class Curve(Line):
        pass

    with pytest.raises(ValueError, match="holds Line, not Curve"):
        Curve.load(path)
    with pytest.raises(ValueError, match=r"holds 'Line'; known are .*ScGrapHiC"):
        load(path)


def test_settings_that_the_class_does_not_have_are_named(tmp_path):
    write_model(tmp_path / "line", "Line", {"slope": 1.0, "curve": 2.0}, {"n": 1}, {})
    with pytest.raises(ValueError, match=r"settings that Line does not know: \['curve'\]"):
        Line.load(tmp_path / "line")


def test_what_cannot_be_written_leaves_nothing_and_replaces_nothing(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not fitted"):
        Line().save(path)
    with pytest.raises(TypeError, match=r"cannot hold \{1\} of type set"):
        write_model(path, "Line", {"slope": {1}}, {}, {})
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Line().fit(BINS).save(path.parent / "none" / "line")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_record_that_unpacks_to_too_much_is_refused(path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_RECORD", 20)
    with pytest.raises(ValueError, match="cut short or too large"):
        Line.load(path, device="cpu")


def test_weights_that_do_not_fit_are_named():
    network = torch.nn.Linear(2, 3)
    right = {name: value.detach().numpy() + 1 for name, value in network.named_parameters()}
    load_weights(network, right, "width")
    assert torch.equal(network.bias, torch.as_tensor(right["bias"]))
    with pytest.raises(ValueError, match=r"lacks \['bias'\] and has \['other'\]"):
        load_weights(network, {"weight": right["weight"], "other": right["bias"]}, "width")
    with pytest.raises(ValueError, match=r"weight is \(3, 1\) .* \(3, 2\) here; .* set by width"):
        load_weights(network, right | {"weight": right["weight"][:, :1]}, "width")


def test_names_below_a_prefix_lose_it():
    assert under("a", {"a.b": 1, "ab.c": 2, "a": 3, "c.a.b": 4}) == {"b": 1}
