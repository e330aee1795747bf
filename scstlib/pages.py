"""What a page of the book says: sentences that are checked, tables of one style, the machine."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown

DEFAULT_SETTINGS = ("fast", 0)
PACKAGE = Path(__file__).resolve().parent
RESULTS = "benchmarks/results"
MINUS = re.compile(r"(?<![\w)\]}.-])-(?=\d)")  # before a number, and no range or part of a name


class FalseClaimError(AssertionError):
    """A sentence of a page does not agree with the results of the page."""


class Claims:
    """Sentences about results, each with the condition under which it is true.

    With the settings that the book is built with, a false claim is an error and the page fails.
    With others it becomes a note that says so, and the page goes on.

    Parameters
    ----------
    profile
        Of the page: ``"fast"`` or ``"full"``.
    seed
        Of the page.

    Examples
    --------
    >>> from scstlib.pages import Claims
    >>> error, error_of_copy = 0.2, 0.5
    >>> claim = Claims("fast", 0)
    >>> print(claim(f"The error falls to {error:.1f}.", error < error_of_copy).data)
    The error falls to 0.2.
    >>> print(Claims("full", 3)("The error rises.", error > error_of_copy).data)
    > **Note** With these settings the following does not hold: The error rises.
    """

    def __init__(self, profile: str, seed: int) -> None:
        self.strict = (profile, seed) == DEFAULT_SETTINGS

    def __call__(self, sentence: str, *conditions: bool | np.bool_) -> Markdown:
        """The sentence, for display.

        Parameters
        ----------
        sentence
            Markdown. The hyphen before a negative number is shown as a minus sign.
        *conditions
            What must be true, one or more. Leave a margin: a claim should hold for other seeds and
            on other processors.

        Raises
        ------
        FalseClaimError
            If a condition is false and the settings are those of the book.
        ValueError
            Without a condition.
        """
        from IPython.display import Markdown

        if not conditions:
            raise ValueError(f"no condition says when this is true: {sentence!r}")
        sentence = MINUS.sub("−", sentence)
        if all(conditions):
            return Markdown(sentence)
        which = ", ".join(str(i) for i, true in enumerate(conditions, start=1) if not true)
        if self.strict:
            raise FalseClaimError(f"condition {which} of {len(conditions)} is false: {sentence}")
        said = sentence.replace("\n", "\n> ")
        return Markdown(f"> **Note** With these settings the following does not hold: {said}")


def result_file(path: str) -> Path:
    """A file of results: in an installed package it lies inside, in a clone beside it.

    Parameters
    ----------
    path
        From the root of the repository, such as ``"benchmarks/results/compare.csv"``.

    Raises
    ------
    FileNotFoundError
        If no benchmark wrote it.

    Examples
    --------
    >>> from scstlib.pages import result_file
    >>> result_file("benchmarks/results/compare.csv").name
    'compare.csv'
    """
    found = [place / path for place in (PACKAGE, PACKAGE.parent) if (place / path).is_file()]
    if not found:
        raise FileNotFoundError(f"no results in {path}: those of the book are in {RESULTS}/")
    return found[0]


def stored(path: str) -> dict[str, object]:
    """What a benchmark wrote as JSON.

    Parameters
    ----------
    path
        As in :func:`result_file`.

    Examples
    --------
    >>> from scstlib.pages import stored
    >>> sorted(stored("benchmarks/results/ablation.json"))
    ['effects', 'provenance', 'scores']
    """
    found: dict[str, object] = json.loads(result_file(path).read_text(encoding="utf-8"))
    return found


def table(
    frame: pd.DataFrame,
    *,
    digits: int = 3,
    best: Mapping[str, Literal["max", "min"]] | None = None,
    apart: tuple[str, ...] = (),
) -> Markdown:
    """A table in the style of the book, for display.

    Numbers are aligned; the largest of a column has `digits` digits, and the others as many decimal
    places. The best value of a column is bold; rows that are no candidates, such as a floor, are
    in italics and are never the best.

    Parameters
    ----------
    frame
        Rows with one level of names, at most seven columns, the unit of a column in its name.
    digits
        Of the largest number in a column; whole numbers keep all of theirs.
    best
        Columns in which a value is marked, and whether the largest or the smallest is the best.
    apart
        Names of rows that are no candidates.

    Returns
    -------
    IPython.display.Markdown

    Raises
    ------
    ValueError
        For more than seven columns, several levels of names, or a name in `best` or `apart` that
        is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> from scstlib.pages import table
    >>> frame = pd.DataFrame({"SCC": [0.7714, 0.25], "cells": [1200, 30]}, index=["trees", "floor"])
    >>> print(table(frame, best={"SCC": "max"}, apart=("floor",)).data)
    |   | SCC | cells |
    | :-- | --: | --: |
    | trees | **0.771** | 1,200 |
    | *floor* | *0.250* | *30* |
    """
    from IPython.display import Markdown

    _check(frame, best or {}, apart)
    names = [str(name) for name in frame.index]
    candidates = [i for i, name in enumerate(names) if name not in apart]
    columns = []
    for column in frame.columns:
        places = _places(frame[column], digits)
        written = [_written(value, places) for value in frame[column]]
        if column in (best or {}) and candidates:
            shown = [float(written[i].replace(",", "").replace("−", "-")) for i in candidates]
            top = max(shown) if (best or {})[column] == "max" else min(shown)
            for i, value in zip(candidates, shown, strict=True):
                written[i] = f"**{written[i]}**" if value == top else written[i]
        columns.append(written)
    head = [_cell(frame.index.name or " "), *(_cell(column) for column in frame.columns)]
    lines = [head, [":--", *["--:" if _numeric(frame[c]) else ":--" for c in frame.columns]]]
    for i, name in enumerate(names):
        line = [_cell(name), *(column[i] for column in columns)]
        lines.append([f"*{value}*" if value else "" for value in line] if name in apart else line)
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def runtime() -> str:
    """What this machine offers, and how long a page takes on it; the set-up cell on Colab shows it.

    Returns
    -------
    str
        Versions that results depend on, the GPU or the number of CPU cores, and what the minutes
        in a page's learning box mean there.

    Examples
    --------
    >>> from scstlib.pages import runtime
    >>> print(runtime())  # doctest: +ELLIPSIS
    scstlib 0.1.0 with numpy ..., pandas ..., torch ...
    This machine has ...
    """
    import torch  # seconds: not paid by a page that only shows tables

    with_versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "torch"))
    said = f"scstlib {version('scstlib')} with {with_versions}.\nThis machine has "
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name(0)
        return f"{said}a GPU, {gpu}: models train on it. The minutes to run above are a CPU's."
    cores = os.cpu_count()
    return f"{said}no GPU and {cores} CPU cores: the page takes about the minutes to run above."


def _check(frame: pd.DataFrame, best: Mapping[str, str], apart: tuple[str, ...]) -> None:
    if frame.index.nlevels > 1 or frame.columns.nlevels > 1:
        raise ValueError("a table has one level of row names and one of column names")
    if frame.shape[1] > 7:
        raise ValueError(f"{frame.shape[1]} columns are hard to read: split the table, 7 at most")
    strangers = [c for c in best if c not in frame] + [r for r in apart if r not in frame.index]
    if strangers:
        raise ValueError(f"the table has no row or column {strangers[0]!r}")


def _numeric(values: pd.Series) -> bool:
    return values.dtype.kind in "iuf"


def _places(values: pd.Series, digits: int) -> int:
    """Decimal places that give the largest finite number of a column its digits."""
    numbers = [abs(float(v)) for v in values if isinstance(v, float | np.floating)]
    largest = max((number for number in numbers if 0 < number < math.inf), default=1.0)
    return min(max(0, digits - 1 - math.floor(math.log10(largest))), 2 * digits)


def _written(value: object, places: int) -> str:
    """A number with a true minus and groups of thousands; anything else as it is."""
    if isinstance(value, float | np.floating):
        number = float(value)
        text = "" if math.isnan(number) else f"{number:,.{places}f}".replace("inf", "∞")
    elif isinstance(value, int | np.integer) and not isinstance(value, bool):
        text = f"{int(value):,}"
    else:
        return _cell(value)
    return text.replace("-", "−")


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
