"""Choose among fitted models, and remember which data chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scstlib.leakage import fingerprint


def choose(
    candidates: Mapping[str, Any], score: Callable[[Any, Any], float], part: Any
) -> tuple[str, Any]:
    """Return the candidate with the highest score on a part of the data, and its name.

    The part is added to what the winner was fitted on, so that
    :func:`scstlib.leakage.check_evaluation` refuses to score the winner there again: the highest of
    several scores is too high on the data that chose it, whether the candidates differ in a
    setting, in the step at which training stopped, or in nothing but the seed.

    Parameters
    ----------
    candidates
        Name → fitted model, on which :func:`scstlib.leakage.record_fit` was called.
    score
        Takes a candidate and the part, and returns a number; high is good.
    part
        The data that choose: AnnData, a table of intervals or windows. Not the test part.

    Raises
    ------
    ValueError
        If there is no candidate, a candidate does not say what it was fitted on, or a score is
        not finite.
    """
    if not candidates:
        raise ValueError("there is no candidate to choose from")
    scores = {}
    for name, candidate in candidates.items():
        if getattr(candidate, "fitted_on_", None) is None:
            raise ValueError(
                f"candidate {name!r} does not say what it was fitted on: fit it first; "
                "its fit must call record_fit"
            )
        scores[name] = float(score(candidate, part))
        if not np.isfinite(scores[name]):
            raise ValueError(f"the score of candidate {name!r} is {scores[name]}: leave it out")
    best = max(scores, key=scores.__getitem__)
    winner = candidates[best]
    winner.fitted_on_ = (*winner.fitted_on_, fingerprint(part))
    return best, winner
