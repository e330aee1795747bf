"""The default scGrapHiC: the bulk map, smoothed, times what the guide says of the cell type.

Expected contacts are ``depth × exp(base + shift + residual)``:

1. base, the bulk map taken apart into distance, visibility and the rest, which is smoothed the
   more the fewer contacts it is made of (:mod:`scstlib.models.spatial.scgraphic.features`);
2. shift, one number a distance: where the training maps decay otherwise than the bulk;
3. residual, a network of the bins and their pairs
   (:mod:`scstlib.models.spatial.scgraphic.network`), zero before training; what it says of a cell
   type is the difference of its answers to the guides of the cell type and of the bulk's cells.

It is trained on counts, with the depth of each target known
(:mod:`scstlib.models.spatial.scgraphic.loss`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from scstlib.leakage import record_fit
from scstlib.models.files import SavedModel, check_shapes, load_weights, under
from scstlib.models.settings import (
    all_or_nothing,
    check_not_negative,
    check_positive,
    check_whole,
    explain_arguments,
)
from scstlib.models.spatial.protocol import (
    check_fitted,
    check_prediction,
    check_training,
    depths_of,
    digest,
    groups_of,
    in_contacts,
    reference_types,
)
from scstlib.models.spatial.scgraphic.features import (
    N_PROFILE,
    TRACK_WIDTHS,
    BulkView,
    bulk_guide,
    curve_map,
    expression_floor,
    log_curve,
    other_strand,
    smoothed_curve,
    view_bulk,
    with_neighbours,
)
from scstlib.models.spatial.scgraphic.loss import (
    PlaceBatches,
    contrast_loss,
    count_loss,
    places_of,
)
from scstlib.models.spatial.scgraphic.network import ContactNetwork, from_triangle, in_triangle
from scstlib.preprocess.contacts import contact_unit, distinct
from scstlib.preprocess.expected import distance_means
from scstlib.preprocess.guides import REFERENCE_EXPRESSION, bin_features
from scstlib.training import launch, minimise, resolve_device, seeded_weights

if TYPE_CHECKING:
    from scstlib.preprocess.windows import Windows

BLOCK = 8  # Windows predicted at once.
CHECKPOINT_EVERY = 50  # Steps: a few seconds.
LARGEST = 1e12  # Of a unit; predictions stay within single precision.
LEARNED = ("track_names", "feature_names", "bin_size", "unit", "floor", "reference_types")
LEARNED_ARRAYS = ("scale", "log_decay", "shift")


class ScGrapHiC(SavedModel):
    """scGrapHiC in the spatial protocol: a residual on the smoothed bulk map; see the module.

    The model as its authors published it is
    :class:`scstlib.models.spatial.scgraphic.published.PublishedScGrapHiC`.

    Parameters
    ----------
    channels : int, default 48
        Of bins along the genome; a multiple of 4.
    n_blocks : int, default 3
        Attention blocks on the bins.
    pair_channels : int, default 24
        Of pairs of bins at half resolution; a multiple of 4.
    dropout : float, default 0.1
        Share, in the attention blocks.
    dispersion : float, default 0.2
        Excess variance of contacts: variance = mean + dispersion × mean². The larger, the less
        the pixels near the diagonal, with many contacts, outweigh those far away.
    contrast_weight : float, default 2.0
        Weight of the loss on how the contacts of a pixel divide among the cell types of a place.
    n_steps : int, default 2000
        Of training.
    batch_size : int, default 8
        Windows a step.
    types_together : int, default 4
        Cell types of one place in a batch, for the loss on how they differ.
    crop : int, default 64
        Bins of each window, cut at random, that the first steps see: most of what is to be learned
        is near the diagonal. The others see whole windows.
    crop_steps : float, default 0.85
        Share of the steps that see ``crop`` bins.
    learning_rate : float, default 3e-3
        Of AdamW; it falls to 2% of that.
    weight_decay : float, default 0.02
        Of AdamW.
    max_gradient_norm : float, default 1.0
        Longer gradients are shortened to this.
    validate_every : int, default 100
        With validation windows: steps between two validations.
    patience : int, default 5
        Validations in a row that may be no better than the best before training stops.
    seed : int, default 0
        Draws weights, batches and dropout.

    Attributes
    ----------
    network_ : ContactNetwork
    unit_, floor_ : float
        What one contact counts in the bulk map, and the expression that is taken for none.
    log_decay_, shift_ : numpy.ndarray, shape (bins,)
        Log of the mean contacts of the bulk at each distance, and what the training maps add.
    losses_ : dict of numpy.ndarray
        ``"train"``, of each step; with validation windows ``"validation"``.
    track_names_ : tuple of str
    bin_size_ : int
        Of the training windows, in bp.
    reference_types_ : tuple of str or None
        Cell types whose mean expression is the reference, if the training windows say so; see
        :func:`scstlib.models.spatial.protocol.reference_types`.

    Raises
    ------
    ValueError
        For a setting out of range.

    References
    ----------
    Murtaza, Butaney, Wagner, Singh 2024, https://doi.org/10.1093/bioinformatics/btae223

    Examples
    --------
    >>> model = ScGrapHiC(n_steps=300, seed=1)
    >>> model
    ScGrapHiC(n_steps=300, seed=1)
    >>> model.fit(train, device="cpu").predict(test)  # doctest: +SKIP
    """

    @explain_arguments
    def __init__(
        self,
        *,
        channels: int = 48,
        n_blocks: int = 3,
        pair_channels: int = 24,
        dropout: float = 0.1,
        dispersion: float = 0.2,
        contrast_weight: float = 2.0,
        n_steps: int = 2000,
        batch_size: int = 8,
        types_together: int = 4,
        crop: int = 64,
        crop_steps: float = 0.85,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.02,
        max_gradient_norm: float = 1.0,
        validate_every: int = 100,
        patience: int = 5,
        seed: int = 0,
    ) -> None:
        self.channels, self.n_blocks, self.pair_channels = channels, n_blocks, pair_channels
        self.dropout, self.dispersion, self.contrast_weight = dropout, dispersion, contrast_weight
        self.n_steps, self.batch_size, self.types_together = n_steps, batch_size, types_together
        self.crop, self.crop_steps = crop, crop_steps
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.max_gradient_norm = max_gradient_norm
        self.validate_every, self.patience, self.seed = validate_every, patience, seed
        self._check_settings()

    def _check_settings(self) -> None:
        given = self.settings
        check_whole(given, "channels", "pair_channels", "n_steps", "batch_size")
        check_whole(given, "types_together", "crop", "validate_every", "patience")
        check_whole(given, "n_blocks", "seed", least=0)
        check_positive(given, "learning_rate", "max_gradient_norm")
        check_not_negative(given, "dispersion", "contrast_weight", "weight_decay")
        if not 0 <= self.crop_steps <= 1:
            raise ValueError(f"crop_steps must be between 0 and 1, not {self.crop_steps}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}.")
        for name in ("channels", "pair_channels"):
            if given[name] % 4:
                raise ValueError(f"{name} must be a multiple of 4, not {given[name]}.")

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
        check_training(windows, validation)
        fabric = launch(device, precision)
        self.track_names_, self.bin_size_ = tuple(windows.track_names), windows.bin_size
        self.reference_types_ = reference_types(windows)
        self.floor_ = expression_floor(windows.tracks, self.track_names_)
        features, self.feature_names_ = self._features(windows)
        spread = np.sqrt((features[windows.mask] ** 2).mean(axis=0))
        self.scale_ = np.where(spread > 0, spread, 1.0).astype(np.float32)
        self.unit_ = contact_unit(windows.bulk)
        self.log_decay_, self.shift_ = self._curves(windows)
        with seeded_weights(self.seed):
            network = self._new_network()
        self.network_ = network.to(fabric.device)
        record_fit(self, *(part for part in (windows, validation) if part is not None))
        history = minimise(
            _TrainingLoss(self, windows).of_step,
            network.parameters(),
            n_steps=self.n_steps,
            learning_rate=self.learning_rate,
            learning_rate_end=0.02 * self.learning_rate,
            weight_decay=self.weight_decay,
            max_gradient_norm=self.max_gradient_norm,
            fabric=fabric,
            checkpoint=checkpoint,
            checkpoint_every=CHECKPOINT_EVERY,
            run="" if checkpoint is None else f"{self.settings} {precision} {digest(windows)}",
            validate=None if validation is None else _TrainingLoss(self, validation).of_all,
            validate_every=self.validate_every,
            patience=self.patience,
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
        n_features = len(self.feature_names_) * (1 + len(TRACK_WIDTHS)) + N_PROFILE
        return ContactNetwork(
            n_features, self.channels, self.pair_channels, self.n_blocks, self.dropout
        )

    def _log_rate(self, windows: Windows, *, flip: bool = False) -> Tensor:
        """Log of the expected contacts, as deep as the bulk and in its contacts.

        Of the pixels of the upper triangle, (n, pixels). ``flip`` reads the genome from its other
        end: windows reversed, strands exchanged.
        """
        network = self.network_
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

    @property
    def window_(self) -> int:
        """Bins of the training windows."""
        check_fitted(self, "network_")
        return len(self.log_decay_)

    @explain_arguments
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
        check_fitted(self, "network_")
        reads_reference = REFERENCE_EXPRESSION[0] in self.track_names_
        check_prediction(
            windows,
            depth,
            bin_size=self.bin_size_,
            track_names=self.track_names_,
            reference=self.reference_types_ if reads_reference else None,
        )
        self.network_.eval()
        out = np.empty(windows.bulk.shape, dtype=np.float32)
        per_contact = np.float32(self.unit_ * depth)
        with torch.inference_mode():
            for start in range(0, len(windows), BLOCK):
                part = windows[start : start + BLOCK]
                usable = part.mask[:, :, None] & part.mask[:, None, :]
                maps = from_triangle(self._log_rate(part).exp(), usable.shape[-1])
                out[start : start + BLOCK] = maps.cpu().numpy() * usable
        return out * per_contact

    def _learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        check_fitted(self, "network_")
        learned = {name: getattr(self, f"{name}_") for name in LEARNED}
        tensors = {name: torch.as_tensor(getattr(self, f"{name}_")) for name in LEARNED_ARRAYS}
        weights = self.network_.state_dict()
        return learned, tensors | {f"network.{name}": value for name, value in weights.items()}

    def _restore(self, learned: dict[str, Any], tensors: dict[str, Tensor], device: str) -> None:
        for name in LEARNED:
            # JSON has lists in place of tuples; the first files know no reference.
            value = learned.get(name)
            setattr(self, f"{name}_", tuple(value) if isinstance(value, list) else value)
        for name in LEARNED_ARRAYS:
            setattr(self, f"{name}_", tensors[name].numpy())
        self._check_learned()
        network = self._new_network()
        load_weights(network, under("network", tensors), "channels, pair_channels and n_blocks")
        self.network_ = network.to(resolve_device(device)).eval()

    def _check_learned(self) -> None:
        """Refuse what a file cannot have from a fit."""
        lists = (self.track_names_, self.feature_names_, self.reference_types_ or ())
        if not all(isinstance(each, tuple) for each in lists) or not all(
            isinstance(name, str) for each in lists for name in each
        ):
            raise ValueError("track_names, feature_names and reference_types are lists of texts")
        known = {"bin_size": self.bin_size_, "unit": self.unit_, "floor": self.floor_}
        check_whole(known, "bin_size")
        check_positive(known, "unit", "floor")
        if max(self.unit_, self.floor_) > LARGEST:
            raise ValueError(f"a unit of {self.unit_:g} or a floor of {self.floor_:g} is too large")
        check_shapes(
            {
                "feature_names": (np.empty(len(self.feature_names_)), "features"),
                "scale": (self.scale_, "features"),
                "log_decay": (self.log_decay_, "bins"),
                "shift": (self.shift_, "bins"),
            }
        )


class _TrainingLoss:
    """Loss of a model on windows with targets."""

    def __init__(self, model: ScGrapHiC, windows: Windows) -> None:
        self.model, self.windows = model, windows
        self.counts = in_contacts(windows.targets)
        self.log_depth = np.log(depths_of(windows))
        self.batches = PlaceBatches(
            places_of(windows), model.batch_size, model.types_together, model.seed
        )

    def of_step(self, step: int) -> Tensor:
        seed = self.model.seed
        self.model.network_.train()
        flip = bool(np.random.default_rng([seed, 2, step]).integers(2))
        with seeded_weights(seed * 1_000_003 + step):  # Draws dropout.
            return self._of(self.batches(step), flip, self._crop(step))

    def _crop(self, step: int) -> slice:
        """Bins of the windows that a step sees."""
        model, bins = self.model, self.counts.shape[-1]
        size = min(model.crop, bins) if step < model.crop_steps * model.n_steps else bins
        first = int(np.random.default_rng([model.seed, 3, step]).integers(bins - size + 1))
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
        model, tensor = self.model, self.model._tensor
        windows = cropped(self.windows, rows, bins)
        log_mean = model._log_rate(windows, flip=flip)
        with torch.autocast(log_mean.device.type, enabled=False):
            log_mean = log_mean + tensor(self.log_depth[rows])[:, None]
            counts = tensor(self.counts[rows, bins, bins])
            usable = tensor(windows.mask[:, :, None] & windows.mask[:, None, :]).bool()
            if flip:
                counts, usable = counts.flip(1, 2), usable.flip(1, 2)
            counts, usable = in_triangle(counts), in_triangle(usable)
            loss = count_loss(counts, log_mean, usable, model.dispersion)
            if model.contrast_weight:
                place = torch.as_tensor(self.batches.place[rows], device=counts.device)
                contrast = contrast_loss(counts, log_mean, usable, place, model.dispersion)
                loss = loss + model.contrast_weight * contrast
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
