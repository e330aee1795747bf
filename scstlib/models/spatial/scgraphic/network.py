"""The network of the default scGrapHiC: bins along the genome, then pairs of bins.

It reads each place with the guide of the cell type and with that of the bulk's cells, and the
difference of what it makes of them is what the cell type adds to the bulk map: nothing, where both
guides agree. A second answer to the bulk's guide is the same for all cell types: the bulk map
without its noise.

Bins meet their neighbours by convolution and all others by attention. Pairs of bins are read twice
from the same bins: at half resolution by a small U-Net, which sees what lies around a pair, and at
full resolution each pair by itself. Both take products of bins, as compartments multiply; sums of
steps along the path between two bins, as borders on the way insulate; the distance; and the bulk
map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scstlib.models.spatial.scgraphic.features import SMOOTHING, BulkView, distances

MULTIPLE = 8  # The U-Net halves a window three times.
N_DISTANCE = 6
N_STEPS = 8


class ContactNetwork(nn.Module):
    """Log of what distinguishes a map from the smoothed bulk, and the smoothing of the bulk.

    Parameters
    ----------
    n_features : int
        Of bins.
    channels, n_blocks : int
        Of bins along the genome, and attention blocks on them.
    pair_channels : int
        Of pairs of bins.
    dropout : float
        In the attention blocks.
    """

    def __init__(
        self, n_features: int, channels: int, pair_channels: int, n_blocks: int, dropout: float
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(n_features, 2 * channels, 9, padding=4),
            nn.GLU(1),
            nn.Conv1d(channels, channels, 5, padding=2),
        )
        self.blocks = nn.ModuleList([Block(channels, dropout) for _ in range(n_blocks)])
        self.norm = nn.LayerNorm(channels)
        self.pairs = Pairs(channels, pair_channels)
        self.unet = UNet(pair_channels)
        self.pixels = Pixels(channels, pair_channels)
        self.smoothing = nn.Linear(2, len(SMOOTHING))
        with torch.no_grad():
            # At first: no smoothing where many contacts are expected, wide smoothing where few.
            self.smoothing.weight.zero_()
            self.smoothing.weight[:, 0] = torch.linspace(0.8, -0.8, len(SMOOTHING))
            self.smoothing.bias.copy_(torch.linspace(-1.5, 1.0, len(SMOOTHING)))

    def forward(self, own: Tensor, bulk: Tensor, view: BulkView, place: Tensor) -> Tensor:
        """Return the residual of pixels (n, pixels) of the upper triangle; 0 before training.

        Parameters
        ----------
        own : Tensor (n, bins, n_features)
            With the guide of the cell type of each window.
        bulk : Tensor (places, bins, n_features)
            The same with the guide of the bulk's cells.
        view : BulkView
            Of the bulk maps of the places.
        place : Tensor (n,)
            Of each window.
        """
        n, bins = own.shape[:2]
        h = torch.cat([self.along(own), self.along(bulk)])
        rows = torch.cat([place, torch.arange(len(bulk), device=place.device)])
        more = h.shape[1] - bins
        pairs = self.pairs(h) + self.pairs.bulk(F.pad(view.maps, (0, more, 0, more)))[rows]
        around = self.unet(pairs.permute(0, 3, 1, 2))
        around = F.pixel_shuffle(around, 2)[..., :bins, :bins]
        answers = in_triangle((around + around.mT) / 2)
        answers = answers + self.pixels(h[:, :bins], in_triangle(view.maps), rows)
        specific, common = answers.float().unbind(1)
        residual: Tensor = specific[:n] + (common[n:] - specific[n:])[place]
        return residual

    def along(self, features: Tensor) -> Tensor:
        """Bins (n, bins, channels) that know of all others, padded to a multiple."""
        more = -features.shape[1] % MULTIPLE
        h = self.stem(F.pad(features, (0, 0, 0, more)).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            h = block(h)
        known: Tensor = self.norm(h)
        return known

    def base(self, view: BulkView) -> Tensor:
        """Log of the smoothed bulk map in the upper triangle: the fewer contacts, the wider."""
        maps = in_triangle(view.maps)
        log_expected = maps[:, -1]
        about = torch.stack([log_expected, log_expected.clamp(min=0)], 1)
        weights = (self.smoothing.weight @ about + self.smoothing.bias[:, None]).softmax(1)
        return log_expected + (weights * maps[:, :-1]).sum(1)


def in_triangle(maps: Tensor) -> Tensor:
    """Pixels (..., pixels) of the upper triangle, with the diagonal, of maps (..., bins, bins)."""
    bins = maps.shape[-1]
    i, j = torch.triu_indices(bins, bins, device=maps.device)
    return maps.flatten(-2).index_select(-1, i * bins + j)


def from_triangle(pixels: Tensor, bins: int) -> Tensor:
    """Symmetric maps (..., bins, bins) of the pixels of the upper triangle."""
    i, j = torch.triu_indices(bins, bins, device=pixels.device)
    maps = pixels.new_empty((*pixels.shape[:-1], bins, bins))
    maps[..., i, j] = pixels
    maps[..., j, i] = pixels
    return maps


def distance_features(distance: Tensor) -> Tensor:
    """Smooth functions (..., N_DISTANCE) of distances in bins, for windows of any size."""
    d = distance.float()
    levels = [d / (d + half) for half in (2.0, 8.0, 32.0)]
    return torch.stack([torch.ones_like(d), (1 + d).log() / 4, *levels, (-d / 4).exp()], -1)


class Block(nn.Module):
    """Convolution of each channel, attention and a gated layer, each added to its input."""

    def __init__(self, channels: int, dropout: float, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.local = nn.Conv1d(channels, channels, 9, padding=4, groups=channels)
        self.norm_attention, self.norm_gate = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.to_heads = nn.Linear(channels, 3 * channels)
        self.from_heads = nn.Linear(channels, channels)
        self.gate = nn.Sequential(
            nn.Linear(channels, 4 * channels),
            nn.GLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, h: Tensor) -> Tensor:
        n, bins, channels = h.shape
        h = h + self.local(h.transpose(1, 2)).transpose(1, 2)
        heads = self.to_heads(self.norm_attention(h)).view(n, bins, 3, self.heads, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value)
        h = h + self.from_heads(found.transpose(1, 2).reshape(n, bins, channels))
        updated: Tensor = h + self.gate(self.norm_gate(h))
        return updated


class Pairs(nn.Module):
    """Pairs of double bins, (n, bins / 2, bins / 2, channels)."""

    def __init__(self, channels: int, pair_channels: int) -> None:
        super().__init__()
        self.product = nn.Linear(channels, pair_channels)
        self.of_product = nn.Linear(pair_channels, pair_channels)
        self.sum = nn.Linear(channels, pair_channels)
        self.steps = _steps(channels)
        self.of_steps = nn.Linear(2 * N_STEPS, pair_channels)
        self.of_distance = nn.Linear(N_DISTANCE, pair_channels)
        # Of the bulk: observed over expected, as it is and a little smoothed, and expected.
        self.of_bulk = nn.Linear(3 * 4, pair_channels)

    def forward(self, h: Tensor) -> Tensor:
        h = (h[:, ::2] + h[:, 1::2]) / 2
        bins = h.shape[1]
        factors, terms, path = self.product(h), self.sum(h), _path(self.steps(h))
        pairs = self.of_product(factors[:, :, None] * factors[:, None])
        pairs = pairs + terms[:, :, None] + terms[:, None]
        pairs = pairs + self.of_steps(_between((path[:, :, None] - path[:, None]).abs()))
        # Half the distance in double bins is that of their first bins.
        out: Tensor = pairs + self.of_distance(distance_features(2 * distances(bins, h.device)))
        return out

    def bulk(self, maps: Tensor) -> Tensor:
        """What the bulk maps of places add to their pairs."""
        maps = torch.cat([maps[:, :2], maps[:, -1:] / 4], 1)
        known: Tensor = self.of_bulk(F.pixel_unshuffle(maps, 2).permute(0, 2, 3, 1))
        return known


class Pixels(nn.Module):
    """Both answers (n, 2, pixels) from each pair of bins by itself, in the upper triangle."""

    def __init__(self, channels: int, hidden: int, n_factors: int = 8) -> None:
        super().__init__()
        self.factors = nn.Linear(channels, n_factors)
        self.steps = _steps(channels)
        # The first layer takes its inputs (products, steps, what is known of the place) in turn:
        # to join them would copy each of them for every pixel.
        self.parts = [n_factors, 2 * N_STEPS, len(SMOOTHING) + 1 + N_DISTANCE]
        self.first, self.second = nn.Linear(sum(self.parts), hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, h: Tensor, maps: Tensor, rows: Tensor) -> Tensor:
        bins = h.shape[1]
        i, j = torch.triu_indices(bins, bins, device=h.device)
        ends = torch.cat([self.factors(h), _path(self.steps(h))], -1)
        (factor, path), (other_factor, other_path) = (
            ends.index_select(1, at).split([self.parts[0], N_STEPS], -1) for at in (i, j)
        )
        distance = distance_features(j - i).mT.expand(len(maps), -1, -1)
        known = torch.cat([maps[:, :-1], maps[:, -1:] / 4, distance], 1)
        of_product, of_steps, of_place = self.first.weight.split(self.parts, 1)
        hidden = _add_linear(self.first.bias[:, None], of_place, known)[rows]
        hidden = _add_linear(hidden, of_product, (factor * other_factor).mT)
        hidden = _add_linear(hidden, of_steps, _between(other_path - path).mT)
        for layer in (self.second, self.last):
            hidden = F.relu(hidden, inplace=True)
            hidden = _add_linear(layer.bias[:, None], layer.weight, hidden)
        return hidden


def _add_linear(known: Tensor, weight: Tensor, values: Tensor) -> Tensor:
    """Return known + weight @ values (n, channels, pixels), without the product by itself."""
    return torch.baddbmm(known, weight.expand(len(values), -1, -1), values)


def _steps(channels: int) -> nn.Linear:
    """Layer whose output, made positive, is small at first: a path has many steps."""
    layer = nn.Linear(channels, N_STEPS)
    nn.init.constant_(layer.bias, -2.0)
    return layer


def _path(steps: Tensor) -> Tensor:
    """Sums of the steps (n, bins, k), made positive, from the first bin on."""
    return F.softplus(steps).cumsum(1)


def _between(path: Tensor) -> Tensor:
    """Sums of steps between two bins (..., k) and how little gets through, (..., 2 k)."""
    return torch.cat([path / 8, (-path).exp()], -1)


class UNet(nn.Module):
    """Both answers for the four pixels of each pair of double bins, (n, 8, pairs, pairs)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.fine, self.fine_again = (
            Convolution(channels, channels),
            Convolution(channels, channels),
        )
        self.middle, self.middle_again = Convolution(channels, wide), Convolution(wide, wide)
        self.coarse = nn.Sequential(Convolution(wide, wide), Convolution(wide, wide))
        self.narrow = nn.Conv2d(wide, channels, 1)
        self.last = nn.Conv2d(channels, 2 * 4, 1)
        nn.init.zeros_(self.last.weight)
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, pairs: Tensor) -> Tensor:
        fine = self.fine(F.relu(pairs, inplace=True))
        middle = self.middle(F.avg_pool2d(fine, 2))
        coarse = self.coarse(F.avg_pool2d(middle, 2))
        middle = self.middle_again(middle + F.interpolate(coarse, scale_factor=2.0))
        # Narrowed before it is spread out: a quarter of the work.
        fine = self.fine_again(fine + F.interpolate(self.narrow(middle), scale_factor=2.0))
        logs: Tensor = self.last(fine)
        return logs


class Convolution(nn.Module):
    """3 × 3 convolution, normalised over groups of channels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(channels, out, 3, padding=1)
        self.norm = nn.GroupNorm(4, out)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.norm(self.convolve(maps)), inplace=True)
