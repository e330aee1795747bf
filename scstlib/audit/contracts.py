"""What an output must look like, and answers that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from scstlib.audit._values import (
    copied,
    fixed_randomness,
    is_tensor,
    largest_difference,
    leaves,
    numpy_of,
    restored,
    snapshot,
)
from scstlib.audit.findings import Audit, Finding, counted, shown


def contract(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    shape: Sequence[int | None] | None = None,
    dtype: str | None = None,
    bounds: tuple[float, float] | None = None,
    non_negative: bool = False,
    symmetric: bool = False,
    finite: bool = True,
    by_sample: bool = False,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> Audit:
    """Check one output against what is declared of it.

    Parameters
    ----------
    function : function
        Called as ``function(*inputs)``; returns one array or tensor.
    shape : sequence, optional
        None stands for any length.
    dtype : str, optional
        Such as "float32".
    bounds : pair, optional
        Smallest and largest value.
    non_negative, finite : bool
    symmetric : bool
        In the last two axes.
    by_sample : bool
        The result of a sample may depend neither on its place in the batch nor on its batch mates:
        finds batch norm and dropout in training mode, normalisation over the batch, and axes mixed
        up by a reshape. Samples are the first axis of every array input as long as the first
        one. A function that draws noise fails this; give it the noise as an input.
    tolerance : float
        Relative to the largest absolute value of the output.
    seed : int
        For the global generators at each call.

    Returns
    -------
    Audit
        One row for each declared property. The evidence is by how much it fails: a difference,
        or the share of values that do not keep it.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import contract
    >>> contract(np.cumsum, [np.ones(3)], shape=(None,), bounds=(0, 2)).findings[0].what
    'within (0, 2): share of values that are not'
    """

    def call(*given: Any) -> np.ndarray:
        with fixed_randomness(seed), restored(function):
            result = function(*copied(given))
        return np.array(numpy_of(result) if is_tensor(result) else result)

    output = call(*inputs)
    rows: list[Finding] = []

    def declare(what: str, holds: bool, evidence: float | str) -> None:
        rows.append(Finding("output", what, evidence, "holds" if holds else "finding"))

    def share(what: str, broken: np.ndarray) -> None:
        declare(f"{what}: share of values that are not", not broken.any(), float(broken.mean()))

    if shape is not None:
        declare(f"shape {_shape(shape)}", _fits(shape, output.shape), _shape(output.shape))
    if dtype is not None:
        declare(f"type {dtype}", output.dtype == np.dtype(dtype), str(output.dtype))
    if finite:
        share("finite", ~np.isfinite(output))
    if non_negative:
        share("non-negative", output < 0)
    if bounds is not None:
        share(f"within {bounds}", (output < bounds[0]) | (output > bounds[1]))
    scale = float(np.abs(output[np.isfinite(output)]).max(initial=0.0)) or 1.0
    if symmetric:
        apart = largest_difference(output, np.swapaxes(output, -1, -2)) / scale
        declare("symmetric: largest difference / largest value", apart <= tolerance, apart)
    if by_sample:
        turned, alone = _sample_by_sample(call, inputs, output, scale)
        declare("same in another order of the batch: difference", turned <= tolerance, turned)
        declare("same without batch mates: difference", alone <= tolerance, alone)
    return Audit("contract", counted(len(rows), "declared property"), tuple(rows))


def _fits(declared: Sequence[int | None], shape: tuple[int, ...]) -> bool:
    return len(declared) == len(shape) and all(
        want in (None, got) for want, got in zip(declared, shape, strict=True)
    )


def _shape(shape: Sequence[int | None]) -> str:
    return " × ".join("any" if length is None else str(length) for length in shape)


def _sample_by_sample(
    call: Callable[..., np.ndarray], inputs: Sequence[Any], output: np.ndarray, scale: float
) -> tuple[float, float]:
    """Largest difference, by the largest value, in reversed order and of samples alone."""
    n = len(inputs[0])

    def taken(rows: np.ndarray) -> list[Any]:
        return [
            each[rows] if hasattr(each, "shape") and each.shape[:1] == (n,) else each
            for each in inputs
        ]

    def difference(rows: np.ndarray) -> float:
        try:
            found = call(*taken(rows))
        except Exception:  # Whatever a batch of one breaks: it then cannot be predicted alone.
            return np.inf
        return largest_difference(found, output[rows]) / scale

    if output.shape[:1] != (n,):
        return np.inf, np.inf
    alone = [difference(np.array([i])) for i in {0, n // 2, n - 1}]
    return difference(np.arange(n)[::-1].copy()), max(alone)


class Case(NamedTuple):
    """A call whose answer is known.

    Attributes
    ----------
    name : str
    function : function
    inputs : tuple
        Called as ``function(*inputs)``.
    expected : object
        The answer; a type of exception if it must be refused.
    tolerance : float
        Absolute.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    expected: Any
    tolerance: float = 1e-9


def known_answers(cases: Iterable[Case]) -> Audit:
    """Check calls whose answers are known, by hand or because something must not matter.

    Returns
    -------
    Audit
        One row a case; the evidence is the largest absolute difference from the answer, infinite
        for another shape, or the name of the exception.

    Examples
    --------
    >>> from scstlib.audit import Case, known_answers
    >>> cases = [Case("of two", max, ([1, 2],), 2), Case("of none", max, ([],), ValueError)]
    >>> print(known_answers(cases))
    known answers: nothing found in 2 cases
    """
    rows = tuple(_answer(case) for case in cases)
    return Audit("known answers", counted(len(rows), "case"), rows)


def _answer(case: Case) -> Finding:
    refused = isinstance(case.expected, type) and issubclass(case.expected, BaseException)
    try:
        with fixed_randomness(0):
            answer = case.function(*copied(case.inputs))
    except Exception as error:
        name = type(error).__name__
        right = refused and isinstance(error, case.expected)
        what = "refused, as it must be" if right else "raises"
        return Finding(case.name, what, name, "holds" if right else "finding")
    if refused:
        return Finding(case.name, "is not refused; expected", case.expected.__name__)
    expected, found = snapshot(_as_float(case.expected)), snapshot(_as_float(answer))
    if set(expected) != set(found):
        return Finding(case.name, "differs in structure from the answer", np.inf)
    apart = max((largest_difference(expected[n], found[n]) for n in expected), default=0.0)
    if apart <= case.tolerance:
        return Finding(case.name, "is the right answer; off by", apart, "holds")
    return Finding(case.name, "is not the right answer; off by", apart)


def _as_float(value: Any) -> Any:
    """Numbers as floats, so that 1 is 1.0; the rest as it is."""
    arrays = dict(leaves(value))
    return {n: a.astype(float) if a.dtype.kind in "iuf" else a for n, a in arrays.items()}


def prefers_truth(
    score: Callable[[Any, Any], float],
    truth: Any,
    worse: Mapping[str, Any],
    target: Any,
    *,
    higher_is_better: bool,
    margin: float = 0.0,
) -> Audit:
    """Find predictions of little worth that a score puts level with the truth, or above it.

    Parameters
    ----------
    score : function
        Takes a prediction and the target, and returns a number.
    truth : object
        The best prediction there is: a fresh measurement of the target, or what lies behind it.
    worse : mapping
        Name → prediction that is known to be worse, such as one constant or a copy.
    target : object
        What predictions are scored against.
    higher_is_better : bool
    margin : float
        By how much a worse prediction has to score worse, relative to the score of the truth.

    Returns
    -------
    Audit
        One row for each worse prediction; the evidence is its score. A score that is not a number
        is open.

    Raises
    ------
    ValueError
        If there is nothing to compare the truth with, or its own score is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib.audit import prefers_truth
    >>> truth = np.array([1.0, 2.0, 4.0])
    >>> score = lambda prediction, target: np.corrcoef(prediction, target)[0, 1]
    >>> prefers_truth(score, truth, {"twice": 2 * truth}, truth, higher_is_better=True).passed
    False
    """
    best = float(score(copied(truth), copied(target)))
    if not worse or not np.isfinite(best):
        raise ValueError(f"the truth scores {best}, and {len(worse)} predictions are to be worse")
    rows = []
    for name, prediction in worse.items():
        found = float(score(copied(prediction), copied(target)))
        behind = best - found if higher_is_better else found - best
        scale = f"the truth scores {shown(best)}, this prediction"
        if np.isnan(found):
            rows.append(Finding(name, f"has no score; {scale}", found, "open"))
        elif behind > margin * abs(best):
            rows.append(Finding(name, f"scores worse than the truth; {scale}", found, "holds"))
        else:
            rows.append(Finding(name, f"scores no worse than the truth; {scale}", found))
    return Audit("prefers truth", counted(len(rows), "worse prediction"), tuple(rows))
