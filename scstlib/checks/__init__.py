"""Feedback for the exercises of the book: a check answers a try with a reason or a hint.

Every check takes the answer first and then what the page has computed, works out from it what is
right, and returns a `Feedback`. It never raises, whatever the answer is, and it never gives the
answer away.
"""

from __future__ import annotations

from scstlib.checks.feedback import Feedback
from scstlib.checks.foundations import (
    balanced_by_hand,
    cells_for_half,
    depth_halved,
    genes_without_place,
    observed_over_expected,
    overlapping,
    standardised,
)
from scstlib.checks.projects import (
    cells_predicted,
    honest_accuracy,
    leaking_steps,
    mean_on_line,
    mended_accuracy,
    owners,
    specific_to_each,
    weight_on_line,
)

__all__ = [
    "Feedback",
    "balanced_by_hand",
    "cells_for_half",
    "cells_predicted",
    "depth_halved",
    "genes_without_place",
    "honest_accuracy",
    "leaking_steps",
    "mean_on_line",
    "mended_accuracy",
    "observed_over_expected",
    "overlapping",
    "owners",
    "specific_to_each",
    "standardised",
    "weight_on_line",
]
