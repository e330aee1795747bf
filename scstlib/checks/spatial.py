"""Checks of the exercises in the part *Space*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scstlib.checks.feedback import Feedback, array, check, judge_array, judge_number


@check("predicted maps, as a tensor or an array")
def moved_by_signs(answer: Any, network: Callable[..., Any], given: Sequence[Any]) -> Feedback:
    """Whether these are the maps predicted from encodings whose signs were all turned over.

    Within 1%.

    Parameters
    ----------
    answer
        Maps (windows, bins, bins).
    network
        Network that takes tracks, encodings and bulk maps.
    given
        Tracks, encodings between 0 and 1, and bulk maps.

    Examples
    --------
    >>> import torch
    >>> from scstlib import checks
    >>> def network(tracks, encodings, maps):
    ...     return maps * encodings
    >>> given = [torch.ones(1), torch.tensor([0.2, 0.9]), torch.tensor([1.0, 2.0])]
    >>> checks.moved_by_signs(torch.tensor([0.8, 0.2]), network, given)
    Right: the same bulk map, and pixels move by up to 1.60: a network must learn every sign
    >>> checks.moved_by_signs(network(*given), network, given)
    Not yet: nothing moved: did you pass turned encodings in place of the encodings?
    """
    import torch

    tracks, encodings, maps = given
    with torch.no_grad():
        first, right = (array(network(tracks, e, maps)) for e in (encodings, 1 - encodings))
    return judge_array(
        answer,
        right,
        f"the same bulk map, and pixels move by up to {np.abs(right - first).max():.2f}: a network"
        " must learn every sign",
        "encodings lie between 0 and 1: what turns one over within this range?",
        traps=(
            (
                first,
                "nothing moved: did you pass turned encodings in place of the encodings?",
            ),
        ),
        atol=1e-6,
    )


@check("maps, as a tensor or an array")
def made_symmetric(answer: Any, maps: ArrayLike) -> Feedback:
    """Whether each pixel is the mean of the two pixels of its pair of bins, within 1%.

    Parameters
    ----------
    answer
        Maps (windows, bins, bins).
    maps
        Maps that are not symmetric (windows, bins, bins).

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> maps = np.array([[[1.0, 4.0], [2.0, 1.0]]])
    >>> checks.made_symmetric((maps + maps.transpose(0, 2, 1)) / 2, maps)
    Right: the two pixels of a pair differed by up to 2.00, and a pair of bins has one contact rate
    >>> checks.made_symmetric(maps + maps.transpose(0, 2, 1), maps)
    Not yet: this is the sum of both pixels: the level of the map has doubled
    """
    given = array(maps)
    other = given.transpose(0, 2, 1)
    upper = np.triu(given)
    traps = (
        (given + other, "this is the sum of both pixels: the level of the map has doubled"),
        (upper + upper.transpose(0, 2, 1), "the diagonal counts twice, and one half is not used"),
        (
            np.triu(given) + np.triu(given, 1).transpose(0, 2, 1),
            "one half is copied to the other: both halves were predicted, so use both",
        ),
        (other, "this is the map turned over: it is as lopsided as before"),
        (given, "these are the maps as they were"),
    )
    return judge_array(
        answer,
        (given + other) / 2,
        f"the two pixels of a pair differed by up to {np.abs(given - other).max():.2f}, and a pair"
        " of bins has one contact rate",
        "which two pixels belong to one pair of bins? Leave the axis of the windows alone",
        traps=traps,
    )


@check("predicted maps, as an array")
def guide_exchanged(
    answer: Any, predicted: ArrayLike, kinds: ArrayLike, kind: str, other: str
) -> Feedback:
    """Whether these are the maps that a model predicts with the expression of another cell type.

    Within 1%.

    Parameters
    ----------
    answer
        Maps (places, bins, bins) of `kind` with the expression of `other`.
    predicted
        Maps (windows, bins, bins) of all types; windows of each type come in one order of places.
    kinds
        Cell type of each window (windows,).
    kind, other
        Two of the types.

    Examples
    --------
    >>> import numpy as np
    >>> from scstlib import checks
    >>> predicted, kinds = np.array([[[1.0]], [[3.0]]]), np.array(["beta", "gamma"])
    >>> checks.guide_exchanged([[[3.0]]], predicted, kinds, "beta", "gamma").right
    True
    >>> checks.guide_exchanged([[[1.0]]], predicted, kinds, "beta", "gamma")
    Not yet: nothing changed: is own expression among the tracks that were exchanged?
    """
    maps, types = array(predicted), np.asarray(kinds)
    first, right = maps[types == kind], maps[types == other]
    share = np.abs(right - first).sum() / np.abs(first).sum()
    return judge_array(
        answer,
        right,
        f"it is the prediction for the other type, {share:.0%} away from the own one: expression"
        " is all that tells the types of a place apart",
        "exchange own expression (two strands) and nothing else, between windows of one place",
        traps=(
            (first, "nothing changed: is own expression among the tracks that were exchanged?"),
            ((first + right) / 2, "half of it was exchanged: take both strands"),
        ),
        atol=1e-6 * float(np.abs(right).max()),
    )


@check("one probability, between 0 and 1")
def sign_test(answer: Any, gains: ArrayLike) -> Feedback:
    """Whether this is the chance of so many gains above 0 if each were as likely below.

    One-sided, within 2%.

    Parameters
    ----------
    answer
        Probability.
    gains
        Gains, independent of each other; those of exactly 0 are left out.

    Examples
    --------
    >>> from scstlib import checks
    >>> checks.sign_test(0.1875, [0.1, 0.2, 0.1, 0.3, -0.1])
    Right: 4 of 5 gains are above 0, which chance alone brings about in 19% of all tries
    >>> checks.sign_test(0.15625, [0.1, 0.2, 0.1, 0.3, -0.1])
    Not yet: this is the chance of exactly so many: as many *or more* would surprise you as well
    """
    from scipy.stats import binom

    values = array(gains)
    values = values[values != 0]
    n, k = len(values), int((values > 0).sum())
    right = float(binom.sf(k - 1, n, 0.5))
    traps = (
        (
            binom.pmf(k, n, 0.5),
            "this is the chance of exactly so many: as many *or more* would surprise you as well",
        ),
        (binom.sf(k, n, 0.5), "this is the chance of more: as many belong to it"),
        (2 * right, "this asks for both sides: the question is about gains above 0 only"),
        (1 - right, "this is the chance of fewer: take the other tail"),
        (k / n, "this is the share of gains above 0: how likely is it by chance?"),
    )
    chance = f"{right:.2g}" if right < 0.01 else f"{right:.0%}"
    return judge_number(
        answer,
        right,
        f"{k} of {n} gains are above 0, which chance alone brings about in {chance} of all tries",
        "toss a coin for each chromosome: how often are there as many heads, or more?",
        traps=traps,
        rtol=0.02,
    )
