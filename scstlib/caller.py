"""Warnings that point at the line outside the package, and are said once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = str(Path(__file__).parent / "_")[:-1]  # Ends with a separator.
# Texts by line. Python shows a warning once a line as well, but forgets that whenever a library
# changes the filters for a while, as pandas and torch do: in a loop it would come every time.
_SAID: set[tuple[str, str, int]] = set()


def warn_caller(message: str) -> None:
    """Warn at the line that called into the package, however deep inside it that happens.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as heard:
    ...     warnings.simplefilter("always")
    ...     warn_caller("the times lie far apart")
    >>> str(heard[0].message)
    'the times lie far apart'
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    place = (message, frame.f_code.co_filename, frame.f_lineno)
    if place in _SAID and _action(message) == "default":
        return
    _SAID.add(place)
    warnings.warn(message, stacklevel=level)


def _action(message: str) -> str:
    """What the filters say of a UserWarning."""
    for action, text, category, _, _ in warnings.filters:
        if issubclass(UserWarning, category) and (text is None or text.match(message)):
            return action
    return "default"


@contextmanager
def said_once() -> Iterator[None]:
    """Let what is said several times inside, by several models say, be said once, at the end."""
    heard: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as heard:
            yield
    finally:
        for each in {(str(w.message), w.category, w.filename, w.lineno): w for w in heard}.values():
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
