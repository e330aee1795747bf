"""Settings of the default scGrapHiC."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DefaultSettings:
    """Settings of :class:`scstlib.models.spatial.scgraphic.default.DefaultScGrapHiC`.

    Parameters
    ----------
    channels, n_blocks
        Of bins along the genome, and attention blocks on them.
    pair_channels
        Of pairs of bins at half resolution.
    dropout
        In the attention blocks.
    dispersion
        Excess variance of contacts: variance = mean + dispersion × mean². The larger, the less
        the pixels near the diagonal, with many contacts, outweigh those far away.
    contrast_weight
        Weight of the loss on how the contacts of a pixel divide among the cell types of a place.
    n_steps, batch_size, learning_rate, weight_decay, max_gradient_norm
        Of training; a step takes ``batch_size`` windows.
    types_together
        Cell types of one place in a batch, for the loss on how they differ.
    crop, crop_steps
        The first ``crop_steps`` of the steps (a share) see ``crop`` bins of each window, cut at
        random: most of what is to be learned is near the diagonal. The others see whole windows.
    validate_every, patience
        With validation windows: steps between validations, and how many may be no better.
    seed

    Raises
    ------
    ValueError
        For a number out of range.
    """

    channels: int = 48
    n_blocks: int = 3
    pair_channels: int = 24
    dropout: float = 0.1
    dispersion: float = 0.2
    contrast_weight: float = 2.0
    n_steps: int = 2000
    batch_size: int = 8
    types_together: int = 4
    crop: int = 64
    crop_steps: float = 0.85
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    max_gradient_norm: float = 1.0
    validate_every: int = 100
    patience: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "channels", "pair_channels", "n_steps", "batch_size", "types_together", "crop",
            "learning_rate", "max_gradient_norm", "validate_every", "patience",
        ):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}.")
        for name in ("n_blocks", "dispersion", "contrast_weight", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not 0 <= self.crop_steps <= 1:
            raise ValueError(f"crop_steps must be between 0 and 1, not {self.crop_steps}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}.")
        for name in ("channels", "pair_channels"):
            if getattr(self, name) % 4:
                raise ValueError(f"{name} must be a multiple of 4, not {getattr(self, name)}.")
