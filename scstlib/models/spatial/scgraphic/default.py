"""The default scGrapHiC: the bulk map, smoothed, times what the guide says of the cell type.

Expected contacts are ``depth × exp(base + shift + residual)``:

1. base, the bulk map taken apart into distance, visibility and the rest, which is smoothed the
   more the fewer contacts it is made of (:mod:`scstlib.models.spatial.scgraphic.features`);
2. shift, one number a distance: where the training maps decay otherwise than the bulk;
3. residual, a network of the bins and their pairs
   (:mod:`scstlib.models.spatial.scgraphic.network`), zero
   before training; what it says of a cell type is the difference of its answers to the guides of
   the cell type and of the bulk's cells.

It is trained on counts, with the depth of each target known
(:mod:`scstlib.models.spatial.scgraphic.loss`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.leakage import record_fit
from scstlib.models.files import write_model
from scstlib.models.spatial.protocol import check_tracks, check_windows, groups_of
from scstlib.models.spatial.scgraphic.default_settings import DefaultSettings
from scstlib.models.spatial.scgraphic.features import (
    N_PROFILE,
    TRACK_WIDTHS,
    BulkView,
    bulk_guide,
    curve_map,
    distinct,
    expression_floor,
    log_curve,
    other_strand,
    smoothed_curve,
    view_bulk,
    with_neighbours,
)
from scstlib.models.spatial.scgraphic.loss import PlaceBatches, contrast_loss, count_loss
from scstlib.models.spatial.scgraphic.network import ContactNetwork, from_triangle, in_triangle
from scstlib.models.spatial.scgraphic.published_inputs import digest
from scstlib.preprocess.contacts import contact_unit
from scstlib.preprocess.expected import distance_means
from scstlib.preprocess.guides import bin_features
from scstlib.training import launch, minimise, resolve_device, seeded_weights

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows

FILE_NAME = "ScGrapHiC"
BLOCK = 8  # Windows predicted at once.
CHECKPOINT_EVERY = 50  # Steps: a few seconds.


class DefaultScGrapHiC:
    """scGrapHiC as a residual on the bulk map; see the module.

    Parameters
    ----------
    **settings
        Of :class:`scstlib.models.spatial.scgraphic.default_settings.DefaultSettings`.

    Attributes
    ----------
    settings : DefaultSettings
    network_ : ContactNetwork
    unit_, floor_ : float
        What one contact counts in the bulk map, and the expression that is taken for none.
    log_decay_, shift_ : numpy.ndarray (bins,)
        Log of the mean contacts of the bulk at each distance, and what the training maps add.
    losses_ : dict of numpy.ndarray
        ``"train"``, of each step; with validation windows ``"validation"``.
    track_names_, bin_size_
        Of the training windows.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = DefaultSettings(**settings)

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
        """Learn decay and scales, then train the network on the counts of the targets.

        Parameters
        ----------
        windows : Windows
            With targets: raw counts, or balanced values.
        validation : Windows, optional
            With targets: training stops where their loss gets no better, and the best parameters
            are kept. They count as learned from.
        device, precision : str
            As for :func:`scstlib.training.launch`.
        checkpoint : path, optional
            Where the run is kept, to go on from after a break.
        progress : bool, optional
            Show a bar; None: on a terminal.

        Raises
        ------
        ValueError
            For windows that :func:`scstlib.models.spatial.protocol.check_windows` refuses, negative
            expression, or validation windows with other tracks or bins.
        """
        check_windows(windows, targets=True)
        fabric = launch(device, precision)
        self.track_names_, self.bin_size_ = tuple(windows.track_names), windows.bin_size
        if validation is not None:
            check_windows(validation, targets=True)
            check_tracks(validation, self.track_names_, self.bin_size_)
        self.floor_ = expression_floor(windows.tracks, self.track_names_)
        features, self.feature_names_ = self._features(windows)
        spread = np.sqrt((features[windows.mask] ** 2).mean(axis=0))
        self.scale_ = np.where(spread > 0, spread, 1.0).astype(np.float32)
        self.unit_ = contact_unit(windows.bulk)
        self.log_decay_, self.shift_ = self._curves(windows)
        with seeded_weights(self.settings.seed):
            network = self._new_network()
        self.network_ = network.to(fabric.device)
        record_fit(self, *(part for part in (windows, validation) if part is not None))
        of, loss = self.settings, _TrainingLoss(self, windows)
        history = minimise(
            loss.of_step,
            network.parameters(),
            n_steps=of.n_steps,
            learning_rate=of.learning_rate,
            learning_rate_end=0.02 * of.learning_rate,
            weight_decay=of.weight_decay,
            max_gradient_norm=of.max_gradient_norm,
            fabric=fabric,
            checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
            run="" if checkpoint is None else f"{of} {precision} {digest(windows)}",
            validate=None if validation is None else _TrainingLoss(self, validation).of_all,
            validate_every=of.validate_every,
            patience=of.patience,
            progress=progress,
            label="scGrapHiC",
        )
        self.losses_ = {"train": history.losses}
        if validation is not None:
            self.losses_["validation"] = history.validation_losses
        return self

    def _curves(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """Log decay of the bulk, and the mean over cell types of the targets' minus it."""
        bulk, targets = windows.bulk / self.unit_, in_contacts(windows.targets)
        group, depth = groups_of(windows), depths_of(windows)
        shifts = []
        for each in np.unique(group):
            rows = group == each
            own = log_curve(distance_means(targets[rows], windows.mask[rows]) / depth[rows][0])
            shifts.append(own - log_curve(distance_means(bulk[rows], windows.mask[rows])))
        return log_curve(distance_means(bulk, windows.mask)), smoothed_curve(
            np.mean(shifts, axis=0)
        )

    def _new_network(self) -> ContactNetwork:
        of = self.settings
        n_features = len(self.feature_names_) * (1 + len(TRACK_WIDTHS)) + N_PROFILE
        return ContactNetwork(n_features, of.channels, of.pair_channels, of.n_blocks, of.dropout)

    def log_rate(self, windows: Windows, *, flip: bool = False) -> Tensor:
        """Log of the expected contacts, as deep as the bulk and in its contacts.

        Of the pixels of the upper triangle, (n, pixels). ``flip`` reads the genome from its other
        end: windows reversed, strands exchanged.
        """
        network = self._fitted()
        reference = bulk_guide(windows.tracks, self.track_names_)
        first, group = distinct(windows.bulk, windows.mask, reference)
        places = replace(windows[first], tracks=reference[first])
        place = torch.as_tensor(group, device=next(network.parameters()).device)
        view = self._view(places, flip)
        own = torch.cat([self._guide(windows, flip), view.profile[place]], -1)
        bulk = torch.cat([self._guide(places, flip), view.profile], -1)
        residual = network(own, bulk, view, place)
        with torch.autocast(residual.device.type, enabled=False):
            shift = in_triangle(curve_map(self._tensor(self.shift_), windows.bulk.shape[-1]))
            rate: Tensor = (network.base(view) + shift)[place] + residual
            return rate

    def _features(self, windows: Windows) -> tuple[np.ndarray, tuple[str, ...]]:
        return bin_features(windows.tracks, self.track_names_, self.floor_)

    def _guide(self, windows: Windows, flip: bool) -> Tensor:
        """Scaled features of bins with those of their neighbours."""
        features, names = self._features(windows)
        tracks = self._tensor(features / self.scale_ * windows.mask[..., None])
        if flip:
            tracks = tracks.flip(1)[..., other_strand(names)]
        with torch.autocast(tracks.device.type, enabled=False):
            return with_neighbours(tracks)

    @torch.no_grad()
    def _view(self, windows: Windows, flip: bool) -> BulkView:
        bulk, mask = self._tensor(windows.bulk / self.unit_), self._tensor(windows.mask)
        if flip:
            bulk, mask = bulk.flip(1, 2), mask.flip(1)
        with torch.autocast(bulk.device.type, enabled=False):
            return view_bulk(bulk, mask.bool(), self._tensor(self.log_decay_))

    def _tensor(self, values: np.ndarray) -> Tensor:
        device = next(self.network_.parameters()).device
        return torch.as_tensor(values, dtype=torch.float32, device=device)

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0.

        Windows may have any number of bins.

        Parameters
        ----------
        depth : float
            Relative to the bulk map.

        Raises
        ------
        ValueError
            If the model is not fitted, it cannot read the windows, or the depth is not positive.
        """
        if not depth > 0:
            raise ValueError(f"depth must be positive, not {depth}.")
        network = self._fitted()
        check_windows(windows)
        check_tracks(windows, self.track_names_, self.bin_size_)
        network.eval()
        out = np.empty(windows.bulk.shape, dtype=np.float32)
        per_contact = np.float32(self.unit_ * depth)
        with torch.inference_mode():
            for start in range(0, len(windows), BLOCK):
                part = windows[start : start + BLOCK]
                usable = part.mask[:, :, None] & part.mask[:, None, :]
                maps = from_triangle(self.log_rate(part).exp(), usable.shape[-1])
                out[start : start + BLOCK] = maps.cpu().numpy() * usable
        return out * per_contact

    def _fitted(self) -> ContactNetwork:
        if not hasattr(self, "network_"):
            raise ValueError("this scGrapHiC is not fitted; call fit first.")
        return self.network_

    def save(self, path: str | Path) -> None:
        """Write weights and settings to one file, all or nothing.

        Raises
        ------
        ValueError
            If the model is not fitted.
        """
        tensors = {f"network.{name}": value for name, value in self._fitted().state_dict().items()}
        for name in ("scale", "log_decay", "shift"):
            tensors[name] = torch.as_tensor(getattr(self, f"{name}_"))
        settings = {
            "variant": "default",
            "model": asdict(self.settings),
            "track_names": self.track_names_,
            "feature_names": self.feature_names_,
            "bin_size": self.bin_size_,
            "unit": self.unit_,
            "floor": self.floor_,
        }
        write_model(path, FILE_NAME, settings, tensors)

    @classmethod
    def restore(
        cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str = "auto"
    ) -> Self:
        """Return the model of the settings and tensors of a model file."""
        model = cls(**settings["model"])
        model.track_names_ = tuple(settings["track_names"])
        model.feature_names_ = tuple(settings["feature_names"])
        for name in ("bin_size", "unit", "floor"):
            setattr(model, f"{name}_", settings[name])
        for name in ("scale", "log_decay", "shift"):
            setattr(model, f"{name}_", tensors[name].numpy())
        network = model._new_network()
        network.load_state_dict(
            {
                name.removeprefix("network."): value
                for name, value in tensors.items()
                if name.startswith("network.")
            }
        )
        model.network_ = network.to(resolve_device(device))
        return model


class _TrainingLoss:
    """Loss of a model on windows with targets."""

    def __init__(self, model: DefaultScGrapHiC, windows: Windows) -> None:
        of = model.settings
        self.model, self.windows = model, windows
        self.counts = in_contacts(windows.targets)
        self.log_depth = np.log(depths_of(windows))
        self.batches = PlaceBatches(windows.table, of.batch_size, of.types_together, of.seed)

    def of_step(self, step: int) -> Tensor:
        of = self.model.settings
        self.model.network_.train()
        flip = bool(np.random.default_rng([of.seed, 2, step]).integers(2))
        with seeded_weights(of.seed * 1_000_003 + step):  # Draws dropout.
            return self._of(self.batches(step), flip, self._crop(step))

    def _crop(self, step: int) -> slice:
        """Bins of the windows that a step sees."""
        bins, rng = (
            self.counts.shape[-1],
            np.random.default_rng([self.model.settings.seed, 3, step]),
        )
        of = self.model.settings
        size = min(of.crop, bins) if step < of.crop_steps * of.n_steps else bins
        first = int(rng.integers(bins - size + 1))
        return slice(first, first + size)

    @torch.no_grad()
    def of_all(self) -> float:
        self.model.network_.eval()
        starts = range(0, len(self.windows), BLOCK)
        order = np.argsort(self.batches.place, kind="stable")
        return float(
            np.mean([float(self._of(order[at : at + BLOCK], False, slice(None))) for at in starts])
        )

    def _of(self, rows: np.ndarray, flip: bool, bins: slice) -> Tensor:
        of, tensor = self.model.settings, self.model._tensor
        windows = cropped(self.windows, rows, bins)
        log_mean = self.model.log_rate(windows, flip=flip)
        with torch.autocast(log_mean.device.type, enabled=False):
            log_mean = log_mean + tensor(self.log_depth[rows])[:, None]
            counts = tensor(self.counts[rows, bins, bins])
            usable = tensor(windows.mask[:, :, None] & windows.mask[:, None, :]).bool()
            if flip:
                counts, usable = counts.flip(1, 2), usable.flip(1, 2)
            counts, usable = in_triangle(counts), in_triangle(usable)
            loss = count_loss(counts, log_mean, usable, of.dispersion)
            if of.contrast_weight:
                place = torch.as_tensor(self.batches.place[rows], device=counts.device)
                contrast = contrast_loss(counts, log_mean, usable, place, of.dispersion)
                loss = loss + of.contrast_weight * contrast
            return loss


def cropped(windows: Windows, rows: np.ndarray, bins: slice) -> Windows:
    """Some bins of some windows, without their targets; the table is left as it is."""
    return replace(
        windows,
        bulk=windows.bulk[rows, bins, bins],
        tracks=windows.tracks[rows, bins],
        mask=windows.mask[rows, bins],
        table=windows.table.iloc[rows],
        targets=None,
    )


def in_contacts(maps: np.ndarray | None) -> np.ndarray:
    """Maps in contacts: as they are if counts, else divided by the value of one contact."""
    if maps is None:
        raise ValueError("these windows have no targets; give make_windows targets.")
    return maps / np.float32(contact_unit(maps))


def depths_of(windows: Windows) -> np.ndarray:
    """Contacts of each target's sample relative to the bulk's at the same places, (n,)."""
    group = groups_of(windows)
    seen, bulk = (
        np.bincount(group, in_contacts(maps).sum(axis=(1, 2), dtype=float))
        for maps in (windows.targets, windows.bulk)
    )
    if not (seen > 0).all():
        empty = windows.table["cell_type"][group == int(np.argmin(seen))].iloc[0]
        raise ValueError(f"the targets of {empty} hold no contact: leave them out.")
    return (seen / bulk)[group]
