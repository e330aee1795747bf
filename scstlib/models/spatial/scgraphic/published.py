"""scGrapHiC as published, and with each of its observed limits open to be changed.

Murtaza, Butaney, Wagner, Singh 2024, Bioinformatics 40 (Suppl 1) i490,
https://doi.org/10.1093/bioinformatics/btae223, as its public code does it
(``rsinghlab/scGrapHiC`` at commit ``8019e1f``). The networks are in
:mod:`scstlib.models.spatial.scgraphic.published_network`, the scale of the maps and the smoothing
of the targets in :mod:`scstlib.preprocess.contacts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from scstlib.leakage import record_fit
from scstlib.metrics.contacts import stratum_adjusted_correlation
from scstlib.models.files import SavedModel, load_weights, under
from scstlib.models.settings import (
    all_or_nothing,
    check_choices,
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
)
from scstlib.models.spatial.protocol import (
    check_fitted,
    check_prediction,
    check_training,
    check_windows,
    digest,
)
from scstlib.models.spatial.scgraphic.published_inputs import (
    READS,
    Batches,
    Inputs,
    published_tracks,
    read_inputs,
    targets_on_scale,
)
from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.preprocess.contacts import smooth_eigenvalues
from scstlib.preprocess.tracks import TrackScaler
from scstlib.training import launch, minimise, parameter_dtype, resolve_device, seeded_weights

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows

CHECKPOINT_EVERY = 20  # Steps: seconds at the published sizes.
BLOCK = 16  # Windows predicted at once; a layer of their pair features has 34 MB as published.
CHOICES = {
    "head_init": ("published", "mended"),
    "feature_scaling": ("window", "global"),
    "graph_layers": ("dense", "torch_geometric"),
}
LEARNED = ("track_names", "n_tracks", "bin_size")
FIRST_WEIGHT = "chipseq_processor.feature_extractor.weight"  # (width, tracks + encodings, kernel)
BLOCKS = ("node_blocks", "graph_blocks", "attention_blocks", "residual_blocks")
SIZES = ("width", "encodings", *BLOCKS, "conv_kernel", "last_kernel")


class PublishedScGrapHiC(SavedModel):
    """scGrapHiC as the authors' code trains it and predicts with it, unless a switch says so.

    It reads the expression of the cell type, CTCF and CpG; tracks whose names begin with "bulk "
    or "reference " are left out. Its network gives contacts on the scale of
    :func:`scstlib.preprocess.contacts.normalise_depth`; windows may have any size. The defaults are
    the authors'; with five tracks they make 196,949 parameters.

    Parameters
    ----------
    width : int, default 32
        Channels of every layer.
    encodings : int, default 16
        Positional encodings of a bin: eigenvectors of the bulk map's Laplacian.
    node_blocks : int, default 4
        Attention blocks before the graph.
    graph_blocks : int, default 1
        Graph convolutions.
    attention_blocks : int, default 4
        Attention blocks after the graph.
    residual_blocks : int, default 7
        Convolution blocks of the decoder.
    conv_kernel : int, default 16
        Width of the first convolution, along the genome, in bins.
    last_kernel : int, default 7
        Width of the last convolution, over the map, in bins; odd.
    dropout : float, default 0.1
        Share, in the attention blocks.
    graph_fix : bool, default False
        False, as published: the output of the graph convolution is overwritten with its input,
        so the bulk map enters through the encodings alone. True: it is used.
    head_init : "published" or "mended", default "published"
        "published": the last convolution starts at random weights and the sigmoid after it
        saturates in the first steps. "mended": it starts at the mean of the training targets.
    symmetrize : bool, default False
        False, as published: the network's map is not symmetric; ``predict`` averages its two
        triangles. True: the network averages them itself, in training too.
    feature_scaling : "window" or "global", default "window"
        "window", as published: every track to [0, 1] in each window by itself. "global": by the
        range of all training windows, which keeps the level.
    graph_layers : "dense" or "torch_geometric", default "dense"
        Two forms of the same graph layers; they give the same values.
    epochs : int, default 300
        Of training.
    batch_size : int, default 64
        Windows a step.
    learning_rate : float, default 1e-3
        Of AdamW.
    weight_decay : float, default 0.01
        Of AdamW.
    max_gradient_norm : float, default 0.1
        Longer gradients are shortened to this.
    validate_every : int, default 5
        With validation windows: epochs between two validations.
    patience : int, default 10
        Validations in a row that may be no better than the best before training stops.
    seed : int, default 0
        Draws weights, batches and dropout.

    Attributes
    ----------
    network_ : ScGrapHiCNetwork
    losses_ : dict of numpy.ndarray
        ``"train"``: mean squared error of each step; with validation windows ``"validation"``:
        minus their mean stratum-adjusted correlation.
    n_tracks_ : int
        That the network reads.
    track_names_ : tuple of str or None
    bin_size_ : int or None
        Of the training windows, in bp; None for weights that were loaded without windows.

    Raises
    ------
    ValueError
        For an unknown choice, a number out of range, or sizes that do not fit.

    References
    ----------
    https://doi.org/10.1093/bioinformatics/btae223

    Examples
    --------
    >>> PublishedScGrapHiC(graph_fix=True, epochs=20)
    PublishedScGrapHiC(graph_fix=True, epochs=20)
    """

    @explain_arguments
    def __init__(
        self,
        *,
        width: int = 32,
        encodings: int = 16,
        node_blocks: int = 4,
        graph_blocks: int = 1,
        attention_blocks: int = 4,
        residual_blocks: int = 7,
        conv_kernel: int = 16,
        last_kernel: int = 7,
        dropout: float = 0.1,
        graph_fix: bool = False,
        head_init: Literal["published", "mended"] = "published",
        symmetrize: bool = False,
        feature_scaling: Literal["window", "global"] = "window",
        graph_layers: Literal["dense", "torch_geometric"] = "dense",
        epochs: int = 300,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        max_gradient_norm: float = 0.1,
        validate_every: int = 5,
        patience: int = 10,
        seed: int = 0,
    ) -> None:
        self.width, self.encodings = width, encodings
        self.node_blocks, self.graph_blocks = node_blocks, graph_blocks
        self.attention_blocks, self.residual_blocks = attention_blocks, residual_blocks
        self.conv_kernel, self.last_kernel, self.dropout = conv_kernel, last_kernel, dropout
        self.graph_fix, self.head_init, self.symmetrize = graph_fix, head_init, symmetrize
        self.feature_scaling, self.graph_layers = feature_scaling, graph_layers
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.max_gradient_norm = max_gradient_norm
        self.validate_every, self.patience, self.seed = validate_every, patience, seed
        self._check_settings()

    def _check_settings(self) -> None:
        given = self.settings
        check_choices(given, CHOICES)
        check_whole(given, "width", "encodings", "conv_kernel", "last_kernel", "batch_size")
        check_whole(given, "validate_every", "patience")
        check_whole(given, *BLOCKS, "epochs", "seed", least=0)
        if not 0 < self.encodings < self.width:
            raise ValueError(
                f"encodings must lie between 0 and the width {self.width}, not {self.encodings}."
            )
        if self.last_kernel % 2 == 0:
            raise ValueError(f"last_kernel must be odd, not {self.last_kernel}.")
        check_positive(given, "learning_rate", "max_gradient_norm")
        check_not_negative(given, "weight_decay")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}.")

    @explain_arguments
    @all_or_nothing
    def fit(
        self,
        windows: Windows,
        *,
        validation: Windows | None = None,
        device: str = "auto",
        precision: str = "32-true",
        checkpoint: str | Path | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Minimise the squared error to the smoothed targets.

        Parameters
        ----------
        windows : Windows
            With targets.
        validation : Windows, optional
            With targets: the training stops where their stratum-adjusted correlation gets no
            better, and the best parameters are kept. They count as learned from.
        device, precision : str
            As for :func:`scstlib.training.launch`. Several processes all do the whole work.
        checkpoint : path, optional
            Where the run is kept, to go on from after a break.
        progress : bool, optional
            Show a bar; None: on a terminal.

        Raises
        ------
        ValueError
            For windows that :func:`scstlib.models.spatial.protocol.check_windows` refuses, or
            validation windows with other tracks or bins.
        """
        check_training(windows, validation)
        self._learn_tracks(windows)
        fabric = launch(device, precision)
        targets = smooth_eigenvalues(targets_on_scale(windows))
        with seeded_weights(self.seed):
            network = self._new_network()
        if self.head_init == "mended":
            network.start_at(float(np.clip(targets.mean(), 1e-3, 1 - 1e-3)))
        self.network_ = network.to(fabric.device, parameter_dtype(fabric))
        record_fit(self, *(part for part in (windows, validation) if part is not None))
        inputs, goal = self._inputs(windows), self._tensor(targets)
        batches = Batches(len(windows), self.batch_size, self.seed)

        def loss_of_step(step: int) -> Tensor:
            rows = batches(step)
            network.train()
            with seeded_weights(self.seed + 1 + step):  # Draws dropout.
                predicted = network(*inputs.of(rows))
            error: Tensor = (predicted.float() - goal[rows].float()).square().mean()
            return error

        history = minimise(
            loss_of_step,
            [*network.parameters(), *_running(network)],
            n_steps=self.epochs * batches.per_epoch,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            max_gradient_norm=self.max_gradient_norm,
            fabric=fabric,
            checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
            run="" if checkpoint is None else f"{self.settings} {precision} {digest(windows)}",
            validate=None if validation is None else self._validation(validation),
            validate_every=self.validate_every * batches.per_epoch,
            patience=self.patience,
            progress=progress,
            label="scGrapHiC",
        )
        # A checkpoint does not hold these counters, which no result depends on: they are set, so
        # that a run which goes on saves the file of an unbroken one.
        for name, buffer in network.named_buffers():
            if name.endswith("num_batches_tracked"):
                buffer.fill_(len(history.losses))
        self.losses_ = {"train": history.losses}
        if validation is not None:
            self.losses_["validation"] = history.validation_losses
        return self

    @explain_arguments
    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0.

        The mean of the two triangles of :meth:`raw_output`, taken back from the scale of
        ``normalise_depth`` with the maximum and the total of each window's bulk map: the model
        does not know those of the cell type.

        Parameters
        ----------
        depth : float
            Relative to the bulk map.

        Raises
        ------
        ValueError
            For windows that the model cannot read, or a depth that is not positive.
        """
        check_fitted(self, "network_")
        self._check(windows, depth)
        raw = self._run(self._inputs(windows))
        raw = (raw + raw.swapaxes(1, 2)) / 2
        bulk = windows.bulk.astype(np.float32)
        per_read = bulk.sum(axis=(1, 2), keepdims=True) / READS
        top = np.log1p(bulk.max(axis=(1, 2), keepdims=True) / np.where(per_read, per_read, 1))
        contacts: np.ndarray = np.expm1(raw * top) * per_read * depth
        contacts *= windows.mask[:, :, None] & windows.mask[:, None, :]
        return contacts.astype(np.float32, copy=False)

    def raw_output(self, windows: Windows) -> np.ndarray:
        """Return what the network gives: (n, bins, bins), float32, in [0, 1].

        On the scale of ``normalise_depth``, and not symmetric unless ``symmetrize`` is set.
        """
        check_fitted(self, "network_")
        self._check(windows)
        return self._run(self._inputs(windows))

    def _check(self, windows: Windows, depth: float = 1.0) -> None:
        check_prediction(windows, depth, bin_size=self.bin_size_, track_names=self.track_names_)
        read = published_tracks(windows).track_names
        if len(read) != self.n_tracks_:
            raise ValueError(
                f"the network reads {self.n_tracks_} tracks, these windows have {len(read)} that"
                f" it could read: {list(read)}."
            )

    @torch.no_grad()
    def _run(self, inputs: Inputs) -> np.ndarray:
        self.network_.eval()
        starts = range(0, len(inputs.features), BLOCK)
        blocks = [self.network_(*inputs.of(np.s_[at : at + BLOCK])).float().cpu() for at in starts]
        return torch.cat(blocks).numpy()

    def _validation(self, windows: Windows) -> Callable[[], float]:
        """Minus the stratum-adjusted correlation with the targets; a constant map counts as −1."""
        inputs, targets = self._inputs(windows), targets_on_scale(windows)

        def validate() -> float:
            maps = self._run(inputs)
            scc = stratum_adjusted_correlation(maps, targets, variant="published")
            return -float(np.nan_to_num(scc, nan=-1.0).mean())

        return validate

    def _learn_tracks(self, windows: Windows) -> None:
        """Names of the tracks, and the range of training where that is their scale."""
        chosen = published_tracks(windows)
        self.track_names_: tuple[str, ...] | None = tuple(windows.track_names)
        self.bin_size_: int | None = windows.bin_size
        self.n_tracks_ = len(chosen.track_names)
        self.scaler_: TrackScaler | None = None
        if self.feature_scaling == "global":
            self.scaler_ = TrackScaler("minmax").fit(chosen)

    def _inputs(self, windows: Windows) -> Inputs:
        read = read_inputs(windows, self.scaler_, self.encodings)
        features, encodings, bulk = (self._tensor(array) for array in read[:3])
        return Inputs(features, encodings, bulk, read.map_of)

    def _tensor(self, values: np.ndarray) -> Tensor:
        weight = next(self.network_.parameters())
        return torch.as_tensor(values, dtype=weight.dtype, device=weight.device)

    def _new_network(self) -> ScGrapHiCNetwork:
        return ScGrapHiCNetwork(
            self.n_tracks_,
            width=self.width,
            encodings=self.encodings,
            node_blocks=self.node_blocks,
            graph_blocks=self.graph_blocks,
            attention_blocks=self.attention_blocks,
            residual_blocks=self.residual_blocks,
            conv_kernel=self.conv_kernel,
            last_kernel=self.last_kernel,
            dropout=self.dropout,
            graph_fix=self.graph_fix,
            symmetrize=self.symmetrize,
            graph_layers=self.graph_layers,
        )

    def load_published(
        self,
        state_dict: Mapping[str, Tensor | np.ndarray],
        windows: Windows | None = None,
        device: str = "auto",
    ) -> Self:
        """Take the weights of the authors' code, by their key names.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or numpy.ndarray
            As ``torch.load(path, weights_only=True)`` gives it. It says how many tracks the
            network reads; the other sizes are the settings of this model.
        windows : Windows, optional
            What the weights were trained on. Without them the model predicts for windows with that
            many tracks, in the authors' order, and bins of any size; and the leak guard, which
            cannot know what the weights were trained on, refuses nothing.
        device : str
            Where it predicts: "auto", "cpu", "cuda", "cuda:1", "mps".

        Raises
        ------
        ValueError
            Naming keys that are missing or not known, or shapes that differ from the settings or
            the tracks; for ``feature_scaling="global"`` without windows.
        """
        if windows is not None:
            check_windows(windows)
            self._learn_tracks(windows)
        elif self.feature_scaling == "global":
            raise ValueError(
                'feature_scaling="global" scales tracks by the range of the training windows: give'
                ' load_published windows, or take feature_scaling="window".'
            )
        else:
            first = state_dict.get(FIRST_WEIGHT)
            self.n_tracks_ = 1 if first is None else max(1, first.shape[1] - self.encodings)
            self.track_names_ = self.bin_size_ = self.scaler_ = None
        network = self._new_network()
        load_weights(network, state_dict, f"{', '.join(SIZES)} and the tracks")
        self.network_ = network.to(resolve_device(device)).eval()
        record_fit(self, *(() if windows is None else (windows,)))
        return self

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        check_fitted(self, "network_")
        learned = {name: getattr(self, f"{name}_") for name in LEARNED}
        weights = self.network_.state_dict()
        tensors = {f"network.{name}": value for name, value in weights.items()}
        if self.scaler_ is not None:
            for name in ("offset", "scale"):
                tensors[f"scaler.{name}"] = torch.as_tensor(getattr(self.scaler_, f"{name}_"))
        return learned, tensors

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        names = learned["track_names"]
        if not all(isinstance(name, str) for name in names or ()):
            raise ValueError("track_names are texts")
        check_whole(learned, "n_tracks")
        if learned["bin_size"] is not None:
            check_whole(learned, "bin_size")
        self.track_names_ = None if names is None else tuple(names)
        self.n_tracks_, self.bin_size_ = learned["n_tracks"], learned["bin_size"]
        self.scaler_ = None
        scaler = under("scaler", tensors)
        if bool(scaler) != (self.feature_scaling == "global"):
            raise ValueError(
                f"with feature_scaling={self.feature_scaling!r} it holds scales {sorted(scaler)}"
            )
        for name, scale in scaler.items():
            if scale.shape != (self.n_tracks_,):
                raise ValueError(f"{name} is {tuple(scale.shape)}, not ({self.n_tracks_},)")
        if scaler:
            self.scaler_ = TrackScaler("minmax")
            for name in ("offset", "scale"):
                setattr(self.scaler_, f"{name}_", scaler[name].numpy())
        weights = under("network", tensors)
        network = self._new_network().to(weights["decoder.conv.weight"].dtype)
        load_weights(network, weights, f"{', '.join(SIZES)} and the tracks")
        self.network_ = network.to(resolve_device(device)).eval()


def _running(network: nn.Module) -> list[Any]:
    """Running means and variances: no gradient, but kept and restored with the parameters."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]
