"""What a check answers, and how answers are compared with what is right."""

from __future__ import annotations

import functools
import html
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

import numpy as np
from numpy.typing import ArrayLike

LOGGER = logging.getLogger(__name__)
Given = ParamSpec("Given")
Trap = tuple[ArrayLike, str]  # a wrong answer, and the hint to whoever gives it
COLORS = {True: "#009e73", False: "#d55e00"}


@dataclass(frozen=True, repr=False)
class Feedback:
    """The answer of a check: whether a try is right, with the reason or with a hint.

    Parameters
    ----------
    right
        Whether the answer is accepted.
    message
        Why it is right, or what to look at. Names of code stand between backticks.

    Examples
    --------
    >>> from scstlib.checks import Feedback
    >>> Feedback(True, "each row has the same sum")
    Right: each row has the same sum
    >>> Feedback(False, "rows differ: look at `axis`")
    Not yet: rows differ: look at `axis`
    """

    right: bool
    message: str

    def __repr__(self) -> str:
        return f"{self._verdict}: {self.message}"

    def _repr_html_(self) -> str:
        message = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.message))
        style = f"border-left: 0.3em solid {COLORS[self.right]}; padding-left: 0.6em"
        return f'<div style="{style}"><strong>{self._verdict}:</strong> {message}</div>'

    @property
    def _verdict(self) -> str:
        return "Right" if self.right else "Not yet"


def check(
    expected: str,
) -> Callable[
    [Callable[Concatenate[Any, Given], Feedback]], Callable[Concatenate[Any, Given], Feedback]
]:
    """Let a comparison answer any value of a student's with a hint, and never raise.

    What a comparison raises is logged at the level of debugging, as the fault may be its own.

    Parameters
    ----------
    expected
        What the answer should be, in words that go on after "expects": "one number".
    """

    def decorate(
        compare: Callable[Concatenate[Any, Given], Feedback],
    ) -> Callable[Concatenate[Any, Given], Feedback]:
        @functools.wraps(compare)
        def answered(answer: Any, *given: Given.args, **named: Given.kwargs) -> Feedback:
            if answer is ... or answer is None:
                return Feedback(
                    False, f"nothing filled in yet: put {expected} in place of the dots"
                )
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    return compare(answer, *given, **named)
            except Exception:
                LOGGER.debug("%s could not compare", compare.__name__, exc_info=True)
                kind = type(answer).__name__
                return Feedback(
                    False, f"this check expects {expected}, and got something else, of type {kind}"
                )

        return answered

    return decorate


def array(answer: Any) -> np.ndarray:
    """An answer as an array of floats; text is no number.

    Raises
    ------
    TypeError
        For text, and for what cannot be made an array of numbers.
    """
    detached = answer.detach() if hasattr(answer, "detach") else answer
    dense = detached.toarray() if hasattr(detached, "toarray") else detached
    values = np.asarray(dense)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"numbers are expected, not {values.dtype}")
    return values.astype(float)


def judge_number(
    answer: Any,
    right: float,
    reason: str,
    look: str,
    *,
    traps: tuple[Trap, ...] = (),
    rtol: float = 0.01,
    atol: float = 0.0,
) -> Feedback:
    """Compare one number with the right one.

    Parameters
    ----------
    answer
        Anything that holds one number.
    right
        The right number.
    reason
        What is said of the right answer.
    look
        The hint where no other fits.
    traps
        Wrong numbers, each with its hint; the first that fits is given.
    rtol, atol
        Tolerance, relative to the number and in its unit.
    """
    if isinstance(answer, bool | np.bool_):
        raise TypeError("a number is expected, not True or False")
    values = array(answer)
    if values.size != 1:
        return Feedback(False, f"one number is expected, not {values.size}: {look}")
    value = float(values.reshape(()))

    def near(other: float) -> bool:
        return math.isclose(value, other, rel_tol=rtol, abs_tol=atol)

    if math.isnan(value):
        return Feedback(False, "the answer is NaN: look for missing values, or for 0 divided by 0")
    if near(right):
        return Feedback(True, reason)
    general = (
        (100 * right, "a hundred times too large: give a share between 0 and 1, not a percentage"),
        (-right, "the size fits and the sign does not: what is subtracted from what?"),
        (1 / right if right else math.nan, "upside down: what is divided by what?"),
    )
    for wrong, hint in (*traps, *general):
        if near(float(np.asarray(wrong))):
            return Feedback(False, hint)
    return Feedback(False, look)


def judge_array(
    answer: Any,
    right: ArrayLike,
    reason: str,
    look: str,
    *,
    traps: tuple[Trap, ...] = (),
    rtol: float = 0.01,
    atol: float = 1e-9,
) -> Feedback:
    """Compare an array with the right one, entry by entry; NaN belongs where the right one has it.

    Parameters
    ----------
    answer
        Array, table or list of numbers.
    right
        The right array.
    reason, look, traps
        As in `judge_number`; a trap is an array, of any shape.
    rtol, atol
        Tolerance of each entry.
    """
    values, goal = array(answer), np.asarray(right, dtype=float)

    def near(other: ArrayLike) -> bool:
        wanted = np.asarray(other, dtype=float)
        same_shape = values.shape == wanted.shape
        return same_shape and np.allclose(values, wanted, rtol=rtol, atol=atol, equal_nan=True)

    if near(goal):
        return Feedback(True, reason)
    for wrong, hint in traps:
        if near(wrong):
            return Feedback(False, hint)
    if values.shape != goal.shape:
        turned = goal.ndim == 2 and values.shape == goal.T.shape
        why = "rows and columns are exchanged" if turned else "along which axis, and of what?"
        return Feedback(False, f"the shape is {values.shape}, and {goal.shape} is expected: {why}")
    missing, wanted = np.isnan(values), np.isnan(goal)
    if (missing & ~wanted).any():
        n = int((missing & ~wanted).sum())
        return Feedback(False, f"{n} values are NaN and should be numbers: where from?")
    if (wanted & ~missing).any():
        return Feedback(False, "a number stands where nothing is known: such entries stay NaN")
    if goal.ndim == 2 and goal.shape[0] == goal.shape[1] and near(goal.T):
        return Feedback(False, "rows and columns are exchanged")
    ratio = values[~wanted & (goal != 0)] / goal[~wanted & (goal != 0)]
    if ratio.size > 1 and np.allclose(ratio, ratio[0], rtol=rtol) and ratio[0] != 0:
        return Feedback(
            False, "all values are off by one and the same factor: look at units and at the divisor"
        )
    wrong_share = 1 - np.isclose(values, goal, rtol=rtol, atol=atol, equal_nan=True).mean()
    return Feedback(False, f"{max(wrong_share, 0.01):.0%} of the values differ: {look}")


def judge_names(
    answer: Any,
    right: Iterable[str],
    known: Iterable[str],
    reason: str,
    *,
    missing: str,
    extra: str,
) -> Feedback:
    """Compare a choice of names with the right one, whatever their order.

    Parameters
    ----------
    answer
        A name, or several in a list, set, index or array.
    right
        The right names.
    known
        All names that there are.
    reason
        What is said of the right answer.
    missing, extra
        The hint where right names are missing, and where wrong ones are given.

    Raises
    ------
    TypeError
        If the answer holds no text.
    """
    names = [answer] if isinstance(answer, str) else list(answer)
    if not all(isinstance(name, str) for name in names):
        raise TypeError("names are expected")
    chosen, wanted, there = set(names), set(right), set(known)
    if strangers := sorted(chosen - there):
        return Feedback(False, f"`{strangers[0]}` is no name that was given: check the spelling")
    if wrong := chosen - wanted:
        belongs = "does not belong here" if len(wrong) == 1 else "do not belong here"
        return Feedback(False, f"{len(wrong)} of these {belongs}: {extra}")
    if left := wanted - chosen:
        be = "is" if len(left) == 1 else "are"
        return Feedback(False, f"{len(left)} {be} missing: {missing}")
    return Feedback(True, reason)
