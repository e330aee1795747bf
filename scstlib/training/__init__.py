"""The one training loop: device, precision, processes, seeds, checkpoints, early stopping."""

from scstlib.training.loop import (
    History,
    launch,
    minimise,
    parameter_dtype,
    resolve_device,
    seeded_weights,
    terms_of,
)

__all__ = [
    "History",
    "launch",
    "minimise",
    "parameter_dtype",
    "resolve_device",
    "seeded_weights",
    "terms_of",
]
