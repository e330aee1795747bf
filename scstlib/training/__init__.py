"""The one training loop: device, precision, processes, seeds, checkpoints, early stopping."""

from scstlib.training.loop import (
    History,
    checked_place,
    launch,
    minimise,
    parameter_dtype,
    resolve_device,
    seeded_weights,
    terms_of,
)

__all__ = [
    "History",
    "checked_place",
    "launch",
    "minimise",
    "parameter_dtype",
    "resolve_device",
    "seeded_weights",
    "terms_of",
]
