"""The network of the default scGrapHiC: bins along the genome, then pairs of bins."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scstlib.models.contact_features import SMOOTHING, BulkView, distances


class ContactNetwork(nn.Module):
    """Log of the ratio between the map of a cell type and the bulk's expected contacts.

    Parameters
    ----------
    n_features : int
        Of bins.
    channels : int
        Of bins along the genome.
    pair_channels : int
        Of pairs of bins at half resolution.
    n_blocks : int
        Attention blocks.
    """

    def __init__(
        self,
        n_features: int,
        channels: int,
        pair_channels: int,
        n_blocks: int,
        dropout: float,
        n_factors: int = 8,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(n_features, channels, 15, padding=7), nn.GELU(),
            nn.Conv1d(channels, channels, 5, padding=2),
        )  # fmt: skip
        self.blocks = nn.ModuleList([Block(channels, dropout) for _ in range(n_blocks)])
        self.norm = nn.LayerNorm(channels)
        self.n_factors = n_factors
        # At full resolution: factors of bins, and steps whose sum along the path counts.
        self.factors = nn.Linear(channels, 2 * n_factors)
        self.factor_decay = nn.Linear(N_DISTANCE, 2 * n_factors)
        nn.init.zeros_(self.factor_decay.weight)
        nn.init.zeros_(self.factor_decay.bias)
        self.smoothing = nn.Linear(2, len(SMOOTHING))
        nn.init.zeros_(self.smoothing.weight)
        with torch.no_grad():
            self.smoothing.weight[:, 0] = torch.linspace(0.8, -0.8, len(SMOOTHING))
            self.smoothing.bias.copy_(torch.linspace(-1.5, 1.0, len(SMOOTHING)))
        self.pairs = Pairs(channels, pair_channels)
        self.unet = UNet(pair_channels)

    def forward(self, features: Tensor, view: BulkView) -> Tensor:
        bins = features.shape[1]
        rest = -bins % PAD
        if rest:
            features = F.pad(features, (0, 0, 0, rest))
        log_ratio = F.pad(view.log_ratio, (0, rest, 0, rest))
        log_expected = F.pad(view.log_expected, (0, rest, 0, rest))
        h = self.stem(features.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        out = self.unet(self.pairs(h, log_ratio, log_expected))
        out = F.pixel_shuffle(out, 2).squeeze(1)
        about = distance_features(h.shape[1], h.device)
        factors = self.factors(h)
        u, step = factors.split(self.n_factors, -1)
        path = step.cumsum(1)
        between = torch.tanh((path[:, :, None, :] - path[:, None, :, :]) / 4) ** 2
        both = torch.cat([u[:, :, None, :] * u[:, None, :, :], between], -1)
        out = out + (both * self.factor_decay(about)).sum(-1)
        out = (out + out.transpose(1, 2)) / 2
        return out[:, :bins, :bins].float()

    def base(self, view: BulkView) -> Tensor:
        """Log of the smoothed bulk map, (n, bins, bins): few contacts, wide smoothing."""
        about = torch.stack([view.log_expected, view.log_expected.clamp(min=0)], -1)
        weights = self.smoothing(about).softmax(-1)
        smooth = (weights.permute(0, 3, 1, 2) * view.log_ratio).sum(1)
        smooth = (smooth + smooth.transpose(1, 2)) / 2
        return view.log_expected + smooth


PAD = 8
N_DISTANCE = 6


def distance_features(bins: int, device: torch.device) -> Tensor:
    """Smooth functions of |i - j|, (bins, bins, N_DISTANCE)."""
    d = distances(bins, device).float()
    return torch.stack(
        [
            torch.ones_like(d),
            (1 + d).log() / 4,
            *(d / (d + s) for s in (2.0, 8.0, 32.0)),
            (-d / 4).exp(),
        ],
        -1,
    )


class Block(nn.Module):
    def __init__(self, channels: int, dropout: float, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.local = nn.Conv1d(channels, channels, 9, padding=4, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, h: Tensor) -> Tensor:
        n, bins, c = h.shape
        h = h + self.local(h.transpose(1, 2)).transpose(1, 2)
        q, k, v = (
            self.qkv(self.norm1(h))
            .view(n, bins, 3, self.heads, c // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        a = F.scaled_dot_product_attention(q, k, v)
        h = h + self.out(a.transpose(1, 2).reshape(n, bins, c))
        return h + self.mlp(self.norm2(h))


class Pairs(nn.Module):
    """Features of pairs of two-bin places, (n, channels, bins / 2, bins / 2)."""

    def __init__(self, channels: int, pair_channels: int) -> None:
        super().__init__()
        p = pair_channels
        self.product = nn.Linear(channels, p)
        self.product_out = nn.Linear(p, p)
        self.sum = nn.Linear(channels, p)
        self.step = nn.Linear(channels, 8)
        self.step_out = nn.Linear(16, p)
        self.distance = nn.Linear(N_DISTANCE, p)
        self.bulk = nn.Conv2d(12, p, 1)

    def forward(self, h: Tensor, log_ratio: Tensor, log_expected: Tensor) -> Tensor:
        h = (h[:, ::2] + h[:, 1::2]) / 2
        x = self.product(h)
        out = self.product_out(x[:, :, None] * x[:, None])
        s = self.sum(h)
        out = out + s[:, :, None] + s[:, None]
        path = F.softplus(self.step(h)).cumsum(1)
        between = (path[:, :, None] - path[:, None]).abs()
        out = out + self.step_out(torch.cat([between / 8, (-between).exp()], -1))
        out = out + self.distance(distance_features(2 * h.shape[1], h.device)[::2, ::2])
        maps = torch.cat([log_ratio[:, :2], log_expected[:, None] / 4], 1)
        return out.permute(0, 3, 1, 2) + self.bulk(F.pixel_unshuffle(maps, 2))


class UNet(nn.Module):
    def __init__(self, c: int, out: int = 4) -> None:
        super().__init__()
        w = 2 * c
        self.a = Conv(c, c)
        self.b = Conv(c, w)
        self.c = Conv(w, w)
        self.d = Conv(w, w)
        self.e = Conv(w, w)
        self.narrow = nn.Conv2d(w, c, 1)
        self.f = Conv(c, c)
        self.last = nn.Conv2d(c, out, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(F.gelu(x))
        b = self.b(F.avg_pool2d(a, 2))
        c = self.d(self.c(F.avg_pool2d(b, 2)))
        b = self.e(b + F.interpolate(c, scale_factor=2.0))
        a = self.f(a + F.interpolate(self.narrow(b), scale_factor=2.0))
        logs: Tensor = self.last(a)
        return logs


class Conv(nn.Module):
    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3, padding=1)
        self.norm = nn.GroupNorm(4, o)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.norm(self.conv(x)))
