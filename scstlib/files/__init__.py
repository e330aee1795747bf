"""From files to windows, and from fitted models to files.

>>> from scstlib.files import read_inputs, predict_contacts, predict_expression

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scstlib.files.costs import (
        Cost,
        contact_training_cost,
        expression_training_cost,
    )
    from scstlib.files.inputs import GenomeInputs, build_windows, read_inputs
    from scstlib.files.outputs import write_contact_map
    from scstlib.files.prediction import predict_contacts, predict_expression
    from scstlib.files.scores import score_contacts, score_expression

# Name → module that has it. Loaded on first use, so that importing this package stays fast.
_EXPORTS = {
    "Cost": "costs",
    "GenomeInputs": "inputs",
    "build_windows": "inputs",
    "contact_training_cost": "costs",
    "expression_training_cost": "costs",
    "predict_contacts": "prediction",
    "predict_expression": "prediction",
    "read_inputs": "inputs",
    "score_contacts": "scores",
    "score_expression": "scores",
    "write_contact_map": "outputs",
}

__all__ = [
    "Cost",
    "GenomeInputs",
    "build_windows",
    "contact_training_cost",
    "expression_training_cost",
    "predict_contacts",
    "predict_expression",
    "read_inputs",
    "score_contacts",
    "score_expression",
    "write_contact_map",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_EXPORTS)
