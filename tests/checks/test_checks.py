"""Checks answer typical wrong tries with hints of their own, never raise, give nothing away."""

from __future__ import annotations

import doctest
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from scstlib import checks
from scstlib.checks.feedback import Feedback, check, judge_array, judge_number
from tests.checks.tries import alternatives, foundations, pitfalls, projects, spatial, temporal
from tests.checks.tries.one import Tries

STRANGE = ["0.5", b"x", [], {}, {1, 2}, object(), len, 1j, np.array(["a"]), [[1], [2, 3]], pd.NaT]
TRIES = [
    tries
    for part in (foundations, temporal, spatial, pitfalls, alternatives, projects)
    for tries in part.TRIES
]
CHECKS = sorted(set(checks.__all__) - {"Feedback"})


def test_every_check_is_tried() -> None:
    assert sorted({tries.check.__name__ for tries in TRIES}) == CHECKS


@pytest.mark.parametrize("tries", TRIES, ids=lambda tries: tries.check.__name__)
def test_right_answers_are_accepted_and_wrong_ones_get_their_hint(tries: Tries) -> None:
    for answer in tries.right:
        feedback = tries.check(answer, *tries.given)
        assert feedback.right, feedback
    assert len(tries.wrong) >= 3
    for hint, answer in tries.wrong.items():
        feedback = tries.check(answer, *tries.given)
        assert not feedback.right, hint
        assert hint in feedback.message, feedback


@pytest.mark.parametrize("tries", TRIES, ids=lambda tries: tries.check.__name__)
def test_no_value_raises_and_none_is_right_by_chance(tries: Tries) -> None:
    for answer in [*STRANGE, np.nan, np.inf, -1e9, True, np.full((2, 3), np.nan), pd.DataFrame()]:
        assert not tries.check(answer, *tries.given).right, answer
    for answer in (..., None):
        assert "nothing filled in yet" in tries.check(answer, *tries.given).message
    assert "of type object" in tries.check(object(), *tries.given).message
    assert re.search("of type str|is no name", tries.check("0.5", *tries.given).message)


@pytest.mark.parametrize("tries", TRIES, ids=lambda tries: tries.check.__name__)
def test_a_check_changes_nothing_that_it_is_given(tries: Tries) -> None:
    before = [repr(each) for each in (*tries.given, tries.right[0])]
    first = tries.check(tries.right[0], *tries.given)
    assert tries.check(tries.right[0], *tries.given) == first
    assert [repr(each) for each in (*tries.given, tries.right[0])] == before


@pytest.mark.parametrize("tries", TRIES, ids=lambda tries: tries.check.__name__)
def test_hints_do_not_name_the_number_that_is_asked_for(tries: Tries) -> None:
    answer = tries.right[0]
    if isinstance(answer, int | float) and not float(answer).is_integer():
        said = " ".join(tries.check(wrong, *tries.given).message for wrong in tries.wrong.values())
        numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", said)]
        assert all(abs(n - answer) > 0.005 * abs(answer) for n in numbers)


@pytest.mark.parametrize("name", CHECKS)
def test_examples_of_checks_show_a_right_and_a_wrong_answer(name: str) -> None:
    # The finder of modules passes by decorated functions.
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(checks, name), name)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert said == []
    wanted = "".join(example.want for example in test.examples)
    assert re.search("^(True$|Right: )", wanted, re.MULTILINE)
    assert "Not yet: " in wanted


def test_feedback_is_frozen_and_reads_well_in_both_forms() -> None:
    feedback = Feedback(False, "a < b: look at `axis`")
    assert repr(feedback) == "Not yet: a < b: look at `axis`"
    shown = feedback._repr_html_()
    assert "<strong>Not yet:</strong> a &lt; b: look at <code>axis</code>" in shown
    assert "<strong>Right:</strong>" in Feedback(True, "so")._repr_html_()
    with pytest.raises(AttributeError):
        feedback.right = True  # type: ignore[misc]


def test_an_error_of_the_comparison_becomes_a_hint_that_names_the_type() -> None:
    @check("a list of three")
    def three(answer: Any) -> Feedback:
        """Whether there are three."""
        return Feedback(len(answer) == 3, "")

    assert three([1, 2, 3]).right
    assert (
        three(3).message
        == "this check expects a list of three, and got something else, of type int"
    )
    assert three.__doc__ == "Whether there are three."


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (0.4, None),
        (np.float32(0.4), None),
        ([0.4], None),
        (torch.tensor(0.4, requires_grad=True), None),
        (0.403, None),
        (0.41, "look"),
        (40, "percentage"),
        (-0.4, "sign"),
        (2.5, "upside down"),
        (np.nan, "NaN"),
        ([0.4, 0.4], "one number"),
        (0.7, "trap"),
    ],
)
def test_numbers(answer: Any, hint: str | None) -> None:
    feedback = judge_number(answer, 0.4, "so", "look", traps=((0.7, "trap"),))
    assert feedback.right == (hint is None)
    assert (hint or "so") in feedback.message


GOAL = np.array([[1.0, 2.0, np.nan], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (GOAL, None),
        (GOAL * 1.005, None),
        (pd.DataFrame(GOAL), None),
        (torch.tensor(GOAL), None),
        (GOAL.T, "exchanged"),
        (GOAL.ravel(), "shape"),
        (GOAL * 1000, "same factor"),
        (np.nan_to_num(GOAL), "stay NaN"),
        (np.where(GOAL > 4, np.nan, GOAL), "2 values are NaN"),
        (np.where(GOAL > 5, 9, GOAL), "17% of the values differ: look"),
        (GOAL + 1, "trap"),
    ],
)
def test_arrays(answer: Any, hint: str | None) -> None:
    feedback = judge_array(answer, GOAL, "so", "look", traps=((GOAL + 1, "trap"),))
    assert feedback.right == (hint is None)
    assert (hint or "so") in feedback.message
