"""The guide of a spatial model: tracks by cell type, with those of the bulk and of a reference.

What is specific to a cell type shows in its difference from others. So the expression of a cell
type comes with that of the cells in the bulk map and with the mean of the training types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

EXPRESSION = ("expression +", "expression -")
BULK_EXPRESSION = ("bulk expression +", "bulk expression -")
REFERENCE_EXPRESSION = ("reference expression +", "reference expression -")


def guide_tracks(
    expression: Mapping[str, np.ndarray],
    *,
    reference: Sequence[str],
    bulk: np.ndarray | None = None,
    shared: np.ndarray | None = None,
    shared_names: Sequence[str] = (),
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Join the tracks of every cell type.

    Parameters
    ----------
    expression
        Cell type → (bins, 2), + and − strand, as
        :func:`scstlib.preprocess.tracks.expression_tracks` returns; in one unit.
    reference
        Training cell types, whose mean expression is the reference. A held-out cell type must
        not be among them.
    bulk
        (bins, 2), expression of the cells in the bulk map, if it was measured.
    shared, shared_names
        (bins, tracks), the same in all cell types, such as CTCF and CpG, and their names.

    Returns
    -------
    dict, tuple
        Cell type → (bins, tracks), and the names of the tracks: ``expression ±``,
        ``reference expression ±``, ``bulk expression ±`` if given, then those of ``shared``.

    Raises
    ------
    ValueError
        If there is no reference, one is unknown, or names and tracks differ in number.
    """
    unknown = sorted(set(reference) - set(expression))
    if unknown or not reference:
        raise ValueError(f"reference cell types {unknown or 'missing'}; choose {list(expression)}")
    n_shared = 0 if shared is None else shared.shape[1]
    if len(shared_names) != n_shared:
        raise ValueError(f"{len(shared_names)} names for {n_shared} shared tracks")
    more = [np.mean([expression[name] for name in reference], axis=0)]
    names = [*EXPRESSION, *REFERENCE_EXPRESSION]
    if bulk is not None:
        more.append(bulk)
        names += BULK_EXPRESSION
    if shared is not None:
        more.append(shared)
    joined = {name: np.concatenate([own, *more], axis=1) for name, own in expression.items()}
    return joined, (*names, *shared_names)
