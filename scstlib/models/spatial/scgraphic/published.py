"""scGrapHiC as published, and with each of its observed limits open to be changed.

Murtaza, Butaney, Wagner, Singh 2024, Bioinformatics 40 (Suppl 1) i490,
https://doi.org/10.1093/bioinformatics/btae223, as its public code does it
(``rsinghlab/scGrapHiC`` at commit ``8019e1f``). The networks are in
:mod:`scstlib.models.spatial.scgraphic.published_network`, the scale of the maps and the smoothing
of the targets in
:mod:`scstlib.preprocess.contacts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from scstlib.leakage import record_fit
from scstlib.metrics.contacts import stratum_adjusted_correlation
from scstlib.models.files import load_weights, write_model
from scstlib.models.spatial.protocol import check_tracks, check_windows
from scstlib.models.spatial.scgraphic.published_inputs import (
    READS,
    Batches,
    Inputs,
    digest,
    published_tracks,
    read_inputs,
    targets_on_scale,
)
from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.models.spatial.scgraphic.published_settings import PublishedSettings
from scstlib.preprocess.contacts import smooth_eigenvalues
from scstlib.preprocess.tracks import TrackScaler
from scstlib.training import launch, minimise, parameter_dtype, resolve_device, seeded_weights

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows

FILE_NAME = "ScGrapHiC"
CHECKPOINT_EVERY = 20  # Steps: seconds at the published sizes.
BLOCK = 16  # Windows predicted at once; a layer of their pair features has 34 MB as published.


class PublishedScGrapHiC:
    """scGrapHiC as the authors' code trains it and predicts with it, unless a switch says so.

    It reads the expression of the cell type, CTCF and CpG; tracks whose names begin with "bulk "
    or "reference " are left out. Its network gives contacts on the scale of
    :func:`scstlib.preprocess.contacts.normalise_depth`; windows may have any size.

    Parameters
    ----------
    **settings
        Of :class:`scstlib.models.spatial.scgraphic.published_settings.PublishedSettings`.

    Attributes
    ----------
    settings : PublishedSettings
    network_ : ScGrapHiCNetwork
    losses_ : dict of numpy.ndarray
        ``"train"``: mean squared error of each step; with validation windows ``"validation"``:
        minus their mean stratum-adjusted correlation.
    track_names_, bin_size_
        Of the training windows.

    References
    ----------
    https://doi.org/10.1093/bioinformatics/btae223
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = PublishedSettings(**settings)

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
            validation
            windows with other tracks or bins.
        """
        check_windows(windows, targets=True)
        self._learn_tracks(windows)
        if validation is not None:
            check_windows(validation, targets=True)
            check_tracks(validation, self.track_names_, self.bin_size_)
        of, fabric = self.settings, launch(device, precision)
        targets = smooth_eigenvalues(targets_on_scale(windows))
        with seeded_weights(of.seed):
            network = ScGrapHiCNetwork(self.n_tracks_, of)
        if of.head_init == "mended":
            network.start_at(float(np.clip(targets.mean(), 1e-3, 1 - 1e-3)))
        self.network_ = network.to(fabric.device, parameter_dtype(fabric))
        record_fit(self, *(part for part in (windows, validation) if part is not None))
        inputs, goal = self._inputs(windows), self._tensor(targets)
        batches = Batches(len(windows), of.batch_size, of.seed)

        def loss_of_step(step: int) -> Tensor:
            rows = batches(step)
            network.train()
            with seeded_weights(of.seed + 1 + step):  # Draws dropout.
                predicted = network(*inputs.of(rows))
            return (predicted.float() - goal[rows].float()).square().mean()

        history = minimise(
            loss_of_step,
            [*network.parameters(), *_running(network)],
            n_steps=of.epochs * batches.per_epoch,
            learning_rate=of.learning_rate,
            weight_decay=of.weight_decay,
            max_gradient_norm=of.max_gradient_norm,
            fabric=fabric,
            checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
            run="" if checkpoint is None else f"{of} {precision} {digest(windows)}",
            validate=None if validation is None else self._validation(validation),
            validate_every=of.validate_every * batches.per_epoch,
            patience=of.patience,
            progress=progress,
            label="scGrapHiC",
        )
        self.losses_ = {"train": history.losses}
        if validation is not None:
            self.losses_["validation"] = history.validation_losses
        return self

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
        if not depth > 0:
            raise ValueError(f"depth must be positive, not {depth}.")
        raw = self.raw_output(windows)
        raw = (raw + raw.swapaxes(1, 2)) / 2
        bulk = windows.bulk.astype(np.float32)
        per_read = bulk.sum(axis=(1, 2), keepdims=True) / READS
        top = np.log1p(bulk.max(axis=(1, 2), keepdims=True) / np.where(per_read, per_read, 1))
        contacts = np.expm1(raw * top) * per_read * depth
        contacts *= windows.mask[:, :, None] & windows.mask[:, None, :]
        return contacts.astype(np.float32, copy=False)

    def raw_output(self, windows: Windows) -> np.ndarray:
        """Return what the network gives: (n, bins, bins), float32, in [0, 1].

        On the scale of ``normalise_depth``, and not symmetric unless ``symmetrize`` is set.
        """
        network = self._fitted()
        check_windows(windows)
        check_tracks(windows, self.track_names_, self.bin_size_)
        return self._run(network, self._inputs(windows))

    @torch.no_grad()
    def _run(self, network: ScGrapHiCNetwork, inputs: Inputs) -> np.ndarray:
        network.eval()
        starts = range(0, len(inputs.features), BLOCK)
        blocks = [network(*inputs.of(np.s_[at : at + BLOCK])).float().cpu() for at in starts]
        return torch.cat(blocks).numpy()

    def _validation(self, windows: Windows) -> Any:
        """Minus the stratum-adjusted correlation with the targets; a constant map counts as −1."""
        network, inputs = self._fitted(), self._inputs(windows)
        targets = targets_on_scale(windows)

        def validate() -> float:
            maps = self._run(network, inputs)
            scc = stratum_adjusted_correlation(maps, targets, variant="published")
            return -float(np.nan_to_num(scc, nan=-1.0).mean())

        return validate

    def _learn_tracks(self, windows: Windows) -> None:
        """Names of the tracks, and the range of training where that is their scale."""
        chosen = published_tracks(windows)
        self.track_names_, self.bin_size_ = tuple(windows.track_names), windows.bin_size
        self.n_tracks_ = len(chosen.track_names)
        self.scaler_: TrackScaler | None = None
        if self.settings.feature_scaling == "global":
            self.scaler_ = TrackScaler("minmax").fit(chosen)

    def _inputs(self, windows: Windows) -> Inputs:
        read = read_inputs(windows, self.scaler_, self.settings.encodings)
        features, encodings, bulk = (self._tensor(array) for array in read[:3])
        return Inputs(features, encodings, bulk, read.map_of)

    def _tensor(self, values: np.ndarray) -> Tensor:
        weight = next(self._fitted().parameters())
        return torch.as_tensor(values, dtype=weight.dtype, device=weight.device)

    def _fitted(self) -> ScGrapHiCNetwork:
        if not hasattr(self, "network_"):
            raise ValueError("this scGrapHiC is not fitted; call fit first.")
        return self.network_

    def load_published(
        self, state_dict: Mapping[str, Tensor | np.ndarray], windows: Windows
    ) -> Self:
        """Take the weights of the authors' code, by their key names.

        Parameters
        ----------
        state_dict : mapping of str to Tensor or numpy.ndarray
            As ``torch.load(path, weights_only=True)`` gives it.
        windows : Windows
            What the weights were trained on: names of the tracks, size of the bins, and for
            ``feature_scaling="global"`` the range of the tracks.

        Raises
        ------
        ValueError
            Naming keys that are missing or not known, or shapes that differ from the settings or
            the tracks.
        """
        check_windows(windows)
        self._learn_tracks(windows)
        network = ScGrapHiCNetwork(self.n_tracks_, self.settings)
        sizes = "width, encodings, the numbers of blocks, conv_kernel, last_kernel and the tracks"
        load_weights(network, state_dict, sizes)
        self.network_ = network
        record_fit(self, windows)
        return self

    def save(self, path: str | Path) -> None:
        """Write weights and settings to one file, all or nothing.

        Raises
        ------
        ValueError
            If the model is not fitted.
        """
        tensors = {f"network.{name}": value for name, value in self._fitted().state_dict().items()}
        if self.scaler_ is not None:
            tensors["scaler.offset"] = torch.as_tensor(self.scaler_.offset_)
            tensors["scaler.scale"] = torch.as_tensor(self.scaler_.scale_)
        settings = {
            "variant": "published",
            "model": asdict(self.settings),
            "track_names": self.track_names_,
            "n_tracks": self.n_tracks_,
            "bin_size": self.bin_size_,
        }
        write_model(path, FILE_NAME, settings, tensors)

    @classmethod
    def restore(
        cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str = "auto"
    ) -> Self:
        """Return the model of the settings and tensors of a model file."""
        model = cls(**settings["model"])
        model.track_names_ = tuple(settings["track_names"])
        model.n_tracks_, model.bin_size_ = settings["n_tracks"], settings["bin_size"]
        model.scaler_ = None
        if "scaler.offset" in tensors:
            model.scaler_ = TrackScaler("minmax")
            model.scaler_.offset_ = tensors["scaler.offset"].numpy()
            model.scaler_.scale_ = tensors["scaler.scale"].numpy()
        weights = {
            name.removeprefix("network."): value
            for name, value in tensors.items()
            if name.startswith("network.")
        }
        network = ScGrapHiCNetwork(model.n_tracks_, model.settings)
        network.to(weights["decoder.conv.weight"].dtype).load_state_dict(weights)
        model.network_ = network.to(resolve_device(device))
        return model


def _running(network: nn.Module) -> list[Any]:
    """Running means and variances: no gradient, but kept and restored with the parameters."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]
