"""Tries at one exercise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scstlib import checks


@dataclass(frozen=True)
class Tries:
    """Answers to one exercise; ``wrong`` has a part of the hint, and the answer it is for."""

    check: Callable[..., checks.Feedback]
    given: tuple[Any, ...]
    right: tuple[Any, ...]
    wrong: dict[str, Any]
