"""Warnings that point at the line of the caller, however deep in this package they arise."""

from __future__ import annotations

import sys
import warnings


def warn_caller(message: str) -> None:
    """Warn at the nearest line outside of ``scstlib``."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("scstlib."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
