"""Feedback for the exercises of the book: a check answers a try with a reason or a hint.

Every check takes the answer first and then what the page has computed, works out from it what is
right, and returns a `Feedback`. It never raises, whatever the answer is, and it never gives the
answer away.
"""

from __future__ import annotations

from scstlib.checks.alternatives import (
    best_weight,
    deciding_task,
    first_cut,
    gaussian_process_mean,
    mean_velocity,
    share_inside,
    sorted_pairs,
)
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
from scstlib.checks.pitfalls import (
    best_of,
    bias_of_logarithm,
    double_dip,
    folds_by_donor,
    more_cells,
    never_moving,
    pure,
    shared_parts,
    shifted_cloud,
    skill_of_relatives,
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
from scstlib.checks.spatial import (
    guide_exchanged,
    made_symmetric,
    moved_by_signs,
    sign_test,
)
from scstlib.checks.temporal import (
    euler_of_decay,
    extra_growth,
    factor_to_hold,
    flows_on_a_line,
    gradient_of,
    heights_of_curves,
    misjudged,
    not_beaten,
    quarter_turn,
    share_of_the_way,
)

__all__ = [
    "Feedback",
    "balanced_by_hand",
    "best_of",
    "best_weight",
    "bias_of_logarithm",
    "cells_for_half",
    "cells_predicted",
    "deciding_task",
    "depth_halved",
    "double_dip",
    "euler_of_decay",
    "extra_growth",
    "factor_to_hold",
    "first_cut",
    "flows_on_a_line",
    "folds_by_donor",
    "gaussian_process_mean",
    "genes_without_place",
    "gradient_of",
    "guide_exchanged",
    "heights_of_curves",
    "honest_accuracy",
    "leaking_steps",
    "made_symmetric",
    "mean_on_line",
    "mean_velocity",
    "mended_accuracy",
    "misjudged",
    "more_cells",
    "moved_by_signs",
    "never_moving",
    "not_beaten",
    "observed_over_expected",
    "overlapping",
    "owners",
    "pure",
    "quarter_turn",
    "share_inside",
    "share_of_the_way",
    "shared_parts",
    "shifted_cloud",
    "sign_test",
    "skill_of_relatives",
    "sorted_pairs",
    "specific_to_each",
    "standardised",
    "weight_on_line",
]
