"""Settings of the published scGrapHiC, with a switch for each of its observed limits."""

from __future__ import annotations

from dataclasses import dataclass

CHOICES = {
    "head_init": ("published", "mended"),
    "feature_scaling": ("window", "global"),
    "graph_layers": ("dense", "torch_geometric"),
}


@dataclass(frozen=True)
class PublishedSettings:
    """Settings of :class:`scstlib.models.spatial.scgraphic.published.PublishedScGrapHiC`.

    The defaults are the authors'; with five tracks they make 196,949 parameters.

    Parameters
    ----------
    width : int
        Channels of every layer.
    encodings : int
        Positional encodings of a bin: eigenvectors of the bulk map's Laplacian.
    node_blocks, graph_blocks, attention_blocks, residual_blocks : int
        Attention blocks before the graph, graph convolutions, attention blocks after the graph,
        convolution blocks of the decoder.
    conv_kernel, last_kernel : int
        Width of the first convolution, along the genome, and of the last, over the map.
    dropout : float
        Of the attention blocks.
    graph_fix : bool
        False, as published: the output of the graph convolution is overwritten with its input,
        so the bulk map enters through the encodings alone. True: it is used.
    head_init : "published" or "mended"
        "published": the last convolution starts at random weights and the sigmoid after it
        saturates in the first steps. "mended": it starts at the mean of the training targets.
    symmetrize : bool
        False, as published: the network's map is not symmetric; ``predict`` averages its two
        triangles. True: the network averages them itself, in training too.
    feature_scaling : "window" or "global"
        "window", as published: every track to [0, 1] in each window by itself. "global": by the
        range of all training windows, which keeps the level.
    graph_layers : "dense" or "torch_geometric"
        Two forms of the same graph layers; they give the same values.
    epochs, batch_size : int
    learning_rate, weight_decay : float
        Of AdamW.
    max_gradient_norm : float
        Longer gradients are shortened to this.
    validate_every, patience : int
        With validation windows: epochs between two validations, and how many validations in a row
        may be no better than the best before the training stops.
    seed : int
        Draws weights, batches and dropout.

    Raises
    ------
    ValueError
        For a choice that there is not, or sizes that do not fit.
    """

    width: int = 32
    encodings: int = 16
    node_blocks: int = 4
    graph_blocks: int = 1
    attention_blocks: int = 4
    residual_blocks: int = 7
    conv_kernel: int = 16
    last_kernel: int = 7
    dropout: float = 0.1
    graph_fix: bool = False
    head_init: str = "published"
    symmetrize: bool = False
    feature_scaling: str = "window"
    graph_layers: str = "dense"
    epochs: int = 300
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    max_gradient_norm: float = 0.1
    validate_every: int = 5
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, not {getattr(self, name)!r}.")
        if not 0 < self.encodings < self.width:
            raise ValueError(
                f"encodings must lie between 0 and the width {self.width}, not {self.encodings}."
            )
        if self.last_kernel % 2 == 0:
            raise ValueError(f"last_kernel must be odd, not {self.last_kernel}.")
        for name in ("batch_size", "learning_rate", "max_gradient_norm", "validate_every",
                     "patience", "conv_kernel"):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}.")
        if self.epochs < 0:
            raise ValueError(f"epochs must not be negative, got {self.epochs}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}.")
