"""What a text says of a model, against the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scstlib.audit.findings import Audit, Finding, Verdict, counted, shown

if TYPE_CHECKING:
    import torch


class Claim(NamedTuple):
    """One sentence of a text that can be checked.

    Attributes
    ----------
    about : str
        Such as "learning rate".
    said : object
        What the text says: a number, a name, a set of names.
    read : function, optional
        Takes the object and returns what is there. None if nothing in the object tells.
    """

    about: str
    said: Any
    read: Callable[[Any], Any] | None = None


def claims(thing: Any, table: Iterable[Claim], *, tolerance: float = 1e-9) -> Audit:
    """Compare a text with an object: what holds, what does not, what could not be established.

    Parameters
    ----------
    thing : object
        A model, an optimizer, a dictionary of settings.
    table : iterable of Claim
    tolerance : float
        Relative, for numbers.

    Returns
    -------
    Audit
        One row a claim; the evidence is what the object says. A claim without ``read``, or whose
        ``read`` finds no such attribute, key or entry, is open.

    Examples
    --------
    >>> from scstlib.audit import Claim, claims
    >>> said = [Claim("rate", 1e-3, lambda s: s["rate"]), Claim("batch", 32, lambda s: s["batch"])]
    >>> [row.verdict for row in claims({"rate": 1e-3, "batch": 64}, said).rows]
    ['holds', 'finding']
    """
    rows = tuple(_claim(thing, claim, tolerance) for claim in table)
    return Audit("claims", counted(len(rows), "claim"), rows)


def _claim(thing: Any, claim: Claim, tolerance: float) -> Finding:
    said = f"text says {_text(claim.said)}"
    if claim.read is None:
        return Finding(claim.about, f"{said}; nothing to read it from", "", "open")
    try:
        found = claim.read(thing)
    except (AttributeError, KeyError, IndexError) as error:
        return Finding(claim.about, f"{said}; not found", type(error).__name__, "open")
    verdict: Verdict = "holds" if _equal(claim.said, found, tolerance) else "finding"
    return Finding(claim.about, f"{said}; the object", _text(found), verdict)


def _equal(said: Any, found: Any, tolerance: float) -> bool:
    if isinstance(said, (int, float)) and isinstance(found, (int, float)):
        return bool(np.isclose(said, found, rtol=tolerance, atol=0.0))
    if isinstance(said, (list, tuple)) and isinstance(found, (list, tuple)):
        return list(said) == list(found)
    return bool(said == found)


def _text(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(map(str, value))) or "none"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return shown(value)
    return str(value)


def count_parameters(model: torch.nn.Module) -> int:
    """Number of entries of all parameters that learn; shared ones count once.

    Examples
    --------
    >>> import torch
    >>> from scstlib.audit import count_parameters
    >>> count_parameters(torch.nn.Linear(3, 2))
    8
    """
    return sum(each.numel() for each in model.parameters() if each.requires_grad)


def count_layers(model: torch.nn.Module, kind: str) -> int:
    """Number of modules of a class, by its name, such as "Linear"; shared ones count once.

    Examples
    --------
    >>> import torch
    >>> from scstlib.audit import count_layers
    >>> count_layers(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()), "Linear")
    1
    """
    return sum(type(module).__name__ == kind for module in model.modules())


def activations(model: torch.nn.Module) -> set[str]:
    """Class names of the activations that are modules; functions are not seen."""
    return {
        type(module).__name__
        for module in model.modules()
        if type(module).__module__ == "torch.nn.modules.activation"
        and type(module).__name__ != "MultiheadAttention"
    }
