"""A false claim stops the page with the book's settings; tables have one style."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scstlib.pages import Claims, FalseClaimError, result_file, runtime, stored, table


def test_a_true_claim_is_shown_as_it_stands():
    assert Claims("fast", 0)("It **falls**.", 1 < 2, np.bool_(True)).data == "It **falls**."


def test_negative_numbers_have_a_minus_sign_and_other_hyphens_stay():
    sentence = "It is -0.2 (-0.3 to -0.1), in 10-20 cells of `chr1-2` ([all](a-1.ipynb))."
    shown = Claims("fast", 0)(sentence, True).data
    assert shown == "It is −0.2 (−0.3 to −0.1), in 10-20 cells of `chr1-2` ([all](a-1.ipynb))."


def test_a_false_claim_fails_with_the_settings_of_the_book():
    with pytest.raises(FalseClaimError, match=r"condition 2 of 2 is false: It falls\."):
        Claims("fast", 0)("It falls.", True, False)


@pytest.mark.parametrize(("profile", "seed"), [("full", 0), ("fast", 1)])
def test_a_false_claim_is_a_note_with_others(profile, seed):
    shown = Claims(profile, seed)("It falls.\nFar.", False).data
    assert shown.startswith("> **Note** With these settings")
    assert shown.endswith("It falls.\n> Far.")


def test_a_claim_needs_a_condition():
    with pytest.raises(ValueError, match="no condition"):
        Claims("full", 0)("It falls.")


def test_the_best_of_a_column_is_marked_as_it_is_shown():
    frame = pd.DataFrame({"error": [0.5001, 0.5002, 0.1]}, index=["a", "b", "floor"])
    lines = table(frame, best={"error": "min"}, apart=("floor",)).data.splitlines()
    assert lines[2:] == ["| a | **0.500** |", "| b | **0.500** |", "| *floor* | *0.100* |"]


def test_numbers_words_and_gaps():
    frame = pd.DataFrame(
        {"x": [-1234.5, np.nan, 0.0], "n": [-1000, 2, 3], "what": ["a|b", "", "c"]}
    )
    assert table(frame).data.splitlines() == [
        "|   | x | n | what |",
        "| :-- | --: | --: | :-- |",
        "| 0 | −1,234 | −1,000 | a\\|b |",
        "| 1 |  | 2 |  |",
        "| 2 | 0 | 3 | c |",
    ]


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (pd.DataFrame(np.zeros((1, 8))), {}, "8 columns"),
        (pd.DataFrame({"a": [1]}), {"best": {"b": "max"}}, "'b'"),
        (pd.DataFrame({"a": [1]}), {"apart": ("b",)}, "'b'"),
        (pd.concat({"u": pd.DataFrame({"a": [1]})}, axis=1), {}, "one level"),
    ],
)
def test_what_cannot_be_shown_well_is_refused(frame, options, message):
    with pytest.raises(ValueError, match=message):
        table(frame, **options)


def test_the_machine_is_named_with_or_without_a_gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no GPU and " in runtime()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T4")
    assert "a GPU, NVIDIA T4: models train on it" in runtime()


def test_what_a_benchmark_wrote_lies_in_the_package_or_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr("scstlib.pages.PACKAGE", tmp_path / "scstlib")
    (tmp_path / "scstlib").mkdir()
    (tmp_path / "results.json").write_text('{"scores": [{"row": "x", "W": 1.5}]}')
    assert stored("results.json") == {"scores": [{"row": "x", "W": 1.5}]}
    (tmp_path / "scstlib" / "results.json").write_text('{"scores": []}')
    assert stored("results.json") == {"scores": []}
    with pytest.raises(FileNotFoundError, match=r"no results in x\.csv: those of the book"):
        result_file("x.csv")
