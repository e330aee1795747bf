"""The network of the default scGrapHiC: bins along the genome, then pairs of bins.

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

from scstlib.models.contact_features import SMOOTHING, BulkView, distances

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

    def forward(self, features: Tensor, view: BulkView) -> Tensor:
        """Return the residual (n, bins, bins), symmetric up to rounding; 0 before training.

        Parameters
        ----------
        features : Tensor (n, bins, n_features)
        view : BulkView
        """
        bins = features.shape[1]
        more = -bins % MULTIPLE
        log_ratio = F.pad(view.log_ratio, (0, more, 0, more))
        log_expected = F.pad(view.log_expected, (0, more, 0, more))
        h = self.stem(F.pad(features, (0, 0, 0, more)).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        around = self.unet(self.pairs(h, log_ratio, log_expected))
        residual = F.pixel_shuffle(around, 2).squeeze(1) + self.pixels(h, log_ratio, log_expected)
        residual = (residual + residual.transpose(1, 2)) / 2
        return residual[:, :bins, :bins].float()

    def base(self, view: BulkView) -> Tensor:
        """Log of the smoothed bulk map (n, bins, bins): the fewer contacts, the wider."""
        about = torch.stack([view.log_expected, view.log_expected.clamp(min=0)], -1)
        weights = self.smoothing(about).softmax(-1).permute(0, 3, 1, 2)
        smooth = (weights * view.log_ratio).sum(1)
        return view.log_expected + (smooth + smooth.transpose(1, 2)) / 2


def distance_features(bins: int, device: torch.device) -> Tensor:
    """Smooth functions of |i - j|, (bins, bins, N_DISTANCE), for windows of any size."""
    d = distances(bins, device).float()
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
    """Pairs of double bins, (n, channels, bins / 2, bins / 2)."""

    def __init__(self, channels: int, pair_channels: int) -> None:
        super().__init__()
        self.product = nn.Linear(channels, pair_channels)
        self.of_product = nn.Linear(pair_channels, pair_channels)
        self.sum = nn.Linear(channels, pair_channels)
        self.steps = _steps(channels)
        self.of_steps = nn.Linear(2 * N_STEPS, pair_channels)
        self.of_distance = nn.Linear(N_DISTANCE, pair_channels)
        # Of the bulk: observed over expected, as it is and a little smoothed, and expected.
        self.of_bulk = nn.Conv2d(3 * 4, pair_channels, 1)

    def forward(self, h: Tensor, log_ratio: Tensor, log_expected: Tensor) -> Tensor:
        bins = h.shape[1]
        h = (h[:, ::2] + h[:, 1::2]) / 2
        factors, terms = self.product(h), self.sum(h)
        pairs = self.of_product(factors[:, :, None] * factors[:, None])
        pairs = pairs + terms[:, :, None] + terms[:, None]
        pairs = pairs + self.of_steps(_along_path(self.steps(h)))
        pairs = pairs + self.of_distance(distance_features(bins, h.device)[::2, ::2])
        maps = torch.cat([log_ratio[:, :2], log_expected[:, None] / 4], 1)
        return pairs.permute(0, 3, 1, 2) + self.of_bulk(F.pixel_unshuffle(maps, 2))


class Pixels(nn.Module):
    """A log ratio (n, bins, bins) from each pair of bins by itself."""

    def __init__(self, channels: int, hidden: int, n_factors: int = 8) -> None:
        super().__init__()
        self.factors = nn.Linear(channels, n_factors)
        self.steps = _steps(channels)
        n_pair = n_factors + 2 * N_STEPS + len(SMOOTHING) + 1 + N_DISTANCE
        self.layers = nn.Sequential(
            nn.Linear(n_pair, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.last = nn.Linear(hidden, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, h: Tensor, log_ratio: Tensor, log_expected: Tensor) -> Tensor:
        factors = self.factors(h)
        pairs = [
            factors[:, :, None] * factors[:, None],
            _along_path(self.steps(h)),
            log_ratio.permute(0, 2, 3, 1),
            log_expected[..., None] / 4,
            distance_features(h.shape[1], h.device).expand(len(h), -1, -1, -1),
        ]
        ratio: Tensor = self.last(self.layers(torch.cat(pairs, -1)))
        return ratio.squeeze(-1)


def _steps(channels: int) -> nn.Linear:
    """Layer whose output, made positive, is small at first: a path has many steps."""
    layer = nn.Linear(channels, N_STEPS)
    nn.init.constant_(layer.bias, -2.0)
    return layer


def _along_path(steps: Tensor) -> Tensor:
    """Sums of steps (n, bins, k), made positive, between two bins, and how little gets through.

    (n, bins, bins, 2 k).
    """
    path = F.softplus(steps).cumsum(1)
    between = (path[:, :, None] - path[:, None]).abs()
    return torch.cat([between / 8, (-between).exp()], -1)


class UNet(nn.Module):
    """Log ratios of the four pixels of each pair of double bins, (n, 4, pairs, pairs)."""

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
        self.last = nn.Conv2d(channels, 4, 1)
        nn.init.zeros_(self.last.weight)
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, pairs: Tensor) -> Tensor:
        fine = self.fine(F.gelu(pairs))
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
        return F.gelu(self.norm(self.convolve(maps)))
