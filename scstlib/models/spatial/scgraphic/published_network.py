"""The networks of scGrapHiC, as published and with each of its observed limits open to be changed.

Murtaza, Butaney, Wagner, Singh 2024, Bioinformatics 40 (Suppl 1) i490,
https://doi.org/10.1093/bioinformatics/btae223; public code ``rsinghlab/scGrapHiC`` at commit
``8019e1f``, whose key names the modules carry. Tensors are (windows, bins, channels) up to the
decoder. :mod:`scstlib.models.spatial.scgraphic.published` trains them and predicts with them.

The graph layers, GATv2 and GraphNorm over whole maps, are there twice: the dense forms and those of
torch-geometric hold parameters of the same names and give the same values. The dense form is 3.5
times faster on full maps; with one pixel in ten, three times slower.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

NEGATIVE_SLOPE = 0.2  # Of GATv2's LeakyReLU.


class Attention(nn.Module):
    """Attention with one head: every bin looks at all bins of its window."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.fc_q, self.fc_k, self.fc_v, self.fc_o = (nn.Linear(width, width) for _ in range(4))
        self.dropout = dropout
        for layer in (self.fc_q, self.fc_k, self.fc_v, self.fc_o):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(
            self.fc_q(x), self.fc_k(x), self.fc_v(x), dropout_p=dropout
        )
        out: Tensor = self.fc_o(mixed)
        return out


class FeedForward(nn.Module):
    """Two linear layers, of each bin by itself."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.fc1, self.fc2):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.dropout(self.fc1(x).relu()))
        return out


class AttentionBlock(nn.Module):
    """Pre-norm transformer block: x + attention(LN x), then x + FFN(LN x)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attn = Attention(width, dropout)
        self.ffn = FeedForward(width, hidden, dropout)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attn(self.ln1(x)))
        out: Tensor = x + self.dropout(self.ffn(self.ln2(x)))
        return out


class NodeProcessor(nn.Module):
    """Tracks and encodings of bins to node features in (0, 1)."""

    def __init__(
        self, n_inputs: int, width: int, n_blocks: int, conv_kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.feature_extractor = nn.Conv1d(n_inputs, width, conv_kernel)
        self.batch_norm_0 = nn.BatchNorm1d(width)
        self.encoder_blocks = nn.ModuleList(
            AttentionBlock(width, n_inputs, dropout) for _ in range(n_blocks)
        )

    def forward(self, features: Tensor, encodings: Tensor) -> Tensor:
        x = torch.cat([features, encodings], dim=-1).transpose(1, 2)
        kernel = self.feature_extractor.kernel_size[0]
        # As padding="same" does: with an even kernel one more on the right.
        x = self.feature_extractor(functional.pad(x, ((kernel - 1) // 2, kernel // 2)))
        x = self.batch_norm_0(functional.leaky_relu(x)).transpose(1, 2)
        for block in self.encoder_blocks:
            x = block(x)
        nodes: Tensor = x.sigmoid()
        return nodes


class DenseGATv2(nn.Module):
    """GATv2 with one head on a weighted graph given as a matrix.

    Bin i looks at its neighbours j, the non-zero pixels of row i, with weights
    softmax_j a · LeakyReLU(W_r x_i + W_l x_j + w_e bulk_ij). In place of the diagonal every bin has
    an edge to itself whose weight is the mean of its others, as torch-geometric sets it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lin_l, self.lin_r = nn.Linear(width, width), nn.Linear(width, width)
        self.lin_edge = nn.Linear(1, width, bias=False)
        self.att = nn.Parameter(torch.empty(1, 1, width))
        self.bias = nn.Parameter(torch.zeros(width))
        for weight in (self.lin_l.weight, self.lin_r.weight, self.lin_edge.weight, self.att):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, bulk: Tensor) -> Tensor:
        """Bins (n, bins, width) and symmetric maps (n, bins, bins) to (n, bins, width)."""
        diagonal = torch.eye(bulk.shape[-1], dtype=torch.bool, device=bulk.device)
        others = bulk.masked_fill(diagonal, 0)
        own = others.sum(-1) / (others != 0).sum(-1).clamp(min=1)
        weight = torch.where(diagonal, own[..., None], others)
        absent = (others == 0) & ~diagonal
        source, target = self.lin_l(x), self.lin_r(x)
        pair = target[:, :, None] + source[:, None] + self.lin_edge(weight[..., None])
        score = functional.leaky_relu(pair, NEGATIVE_SLOPE) @ self.att[0, 0]
        out: Tensor = score.masked_fill(absent, -torch.inf).softmax(-1) @ source + self.bias
        return out


class DenseGraphNorm(nn.Module):
    """GraphNorm: scale each channel by its mean and deviation over the bins of a window."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.mean_scale = (nn.Parameter(torch.ones(width)) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        apart = x - x.mean(1, keepdim=True) * self.mean_scale
        deviation = (apart.square().mean(1, keepdim=True) + self.eps).sqrt()
        return self.weight * apart / deviation + self.bias


def graph_layers(width: int, kind: str) -> tuple[nn.Module, nn.Module]:
    """GATv2 and GraphNorm, "dense" or of "torch_geometric"; for :func:`convolve`, :func:`scale`."""
    if kind == "dense":
        return DenseGATv2(width), DenseGraphNorm(width)
    with warnings.catch_warnings():
        # Its import compiles with torch.jit, of which newer torch says that it is going.
        warnings.simplefilter("ignore", DeprecationWarning)
        from torch_geometric.nn import GATv2Conv, GraphNorm

    return GATv2Conv(width, width, edge_dim=1), GraphNorm(width)


def convolve(gatv2: Any, x: Tensor, bulk: Tensor) -> Tensor:
    """Apply a GATv2 of either kind to bins (n, bins, width) and their maps (n, bins, bins)."""
    if isinstance(gatv2, DenseGATv2):
        out: Tensor = gatv2(x, bulk)
        return out
    window, row, column = bulk.nonzero(as_tuple=True)
    first = window * x.shape[1]
    edges = torch.stack([first + column, first + row])
    weights = bulk[window, row, column][:, None]
    out = gatv2(x.reshape(-1, x.shape[-1]), edges, edge_attr=weights)
    return out.view_as(x)


def scale(graph_norm: Any, x: Tensor) -> Tensor:
    """Apply a GraphNorm of either kind to bins (n, bins, width)."""
    if isinstance(graph_norm, DenseGraphNorm):
        out: Tensor = graph_norm(x)
        return out
    window = torch.arange(len(x), device=x.device).repeat_interleave(x.shape[1])
    out = graph_norm(x.reshape(-1, x.shape[-1]), window)
    return out.view_as(x)


class GraphBlock(nn.Module):
    """A graph convolution over the bulk map; as published its result is thrown away.

    ``src/models/Encoder.py`` of the public code overwrites the output of the convolution with its
    input. With ``fix`` it is used: x + GraphNorm(ReLU(Linear(GATv2(x)))).
    """

    def __init__(self, width: int, fix: bool, layers: str) -> None:
        super().__init__()
        self.fix = fix
        self.conv, self.bn = graph_layers(width, layers)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor, bulk: Tensor) -> Tensor:
        inner = self.linear(convolve(self.conv, x, bulk)).relu() if self.fix else x
        return x + scale(self.bn, inner)


class GraphEncoder(nn.Module):
    """Node features and encodings to node latents, with the bulk map as a graph."""

    def __init__(
        self,
        width: int,
        encodings: int,
        n_graph_blocks: int,
        n_blocks: int,
        dropout: float,
        fix: bool,
        layers: str,
    ) -> None:
        super().__init__()
        self.x_norm, self.pe_norm = nn.BatchNorm1d(width), nn.BatchNorm1d(encodings)
        self.node_emb = nn.Linear(width, width - encodings)
        self.pe_lin = nn.Linear(encodings, encodings)
        self.convs = nn.ModuleList(GraphBlock(width, fix, layers) for _ in range(n_graph_blocks))
        self.encoder_blocks = nn.ModuleList(
            AttentionBlock(width, width, dropout) for _ in range(n_blocks)
        )

    def forward(self, x: Tensor, encodings: Tensor, bulk: Tensor) -> Tensor:
        place = self.pe_norm(encodings.transpose(1, 2)).transpose(1, 2)
        x = self.x_norm(x.transpose(1, 2)).transpose(1, 2)
        x = torch.cat([self.node_emb(x), self.pe_lin(place)], dim=-1)
        for conv in self.convs:
            x = conv(x, bulk)
        for block in self.encoder_blocks:
            x = block(x)
        return x


class PairProduct(nn.Module):
    """Latents of two bins, multiplied channel by channel, then mixed by a 1×1 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 1)

    def forward(self, latent: Tensor) -> Tensor:
        z = latent.transpose(1, 2)
        return functional.leaky_relu(self.conv(z[..., :, None] * z[..., None, :]), 0.2)


class ResidualBlock(nn.Module):
    """x + BatchNorm(conv(swish(BatchNorm(conv(x))))), at full resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.silu(self.bn1(self.conv1(x)))
        out: Tensor = x + self.bn2(self.conv2(inner))
        return out


class Decoder(nn.Module):
    """Node latents (n, bins, width) to logits (n, bins, bins)."""

    def __init__(self, width: int, n_blocks: int, last_kernel: int) -> None:
        super().__init__()
        self.hidden = PairProduct(width)
        self.resblocks = nn.Sequential(*(ResidualBlock(width) for _ in range(n_blocks)))
        self.conv = nn.Conv2d(width, 1, last_kernel, padding=last_kernel // 2)
        with torch.no_grad():
            self.conv.weight.copy_((self.conv.weight + self.conv.weight.transpose(2, 3)) / 2)

    def forward(self, latent: Tensor) -> Tensor:
        out: Tensor = self.conv(self.resblocks(self.hidden(latent)))[:, 0]
        return out


class ScGrapHiCNetwork(nn.Module):
    """Node processor, graph encoder and decoder, under the key names of the authors' code.

    Parameters
    ----------
    n_tracks : int
        Of a bin, without its encodings.
    width, encodings, node_blocks, graph_blocks, attention_blocks, residual_blocks, conv_kernel,
    last_kernel : int
    dropout : float
    graph_fix, symmetrize : bool
    graph_layers : "dense" or "torch_geometric"
        As in :class:`scstlib.models.spatial.scgraphic.published.PublishedScGrapHiC`.
    """

    def __init__(
        self,
        n_tracks: int,
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
        symmetrize: bool = False,
        graph_layers: str = "dense",
    ) -> None:
        super().__init__()
        self.chipseq_processor = NodeProcessor(
            n_tracks + encodings, width, node_blocks, conv_kernel, dropout
        )
        self.graph_encoder = GraphEncoder(
            width, encodings, graph_blocks, attention_blocks, dropout, graph_fix, graph_layers
        )
        self.decoder = Decoder(width, residual_blocks, last_kernel)
        self.symmetrize = symmetrize

    def forward(self, features: Tensor, encodings: Tensor, bulk: Tensor) -> Tensor:
        """Normalised contacts in [0, 1], (n, bins, bins).

        Parameters
        ----------
        features : Tensor, shape (n, bins, tracks)
        encodings : Tensor, shape (n, bins, encodings)
        bulk : Tensor, shape (n, bins, bins)
            The normalised bulk map: the weights of the graph's edges; 0 is no edge.
        """
        nodes = self.chipseq_processor(features, encodings)
        maps: Tensor = self.decoder(self.graph_encoder(nodes, encodings, bulk)).sigmoid()
        return (maps + maps.transpose(1, 2)) / 2 if self.symmetrize else maps

    @torch.no_grad()
    def start_at(self, mean: float) -> None:
        """Mended head: before training every pixel is predicted as ``mean``, in (0, 1).

        The last convolution starts at 0, where its gradient points to what differs between
        pixels, not to the level that all of them share.
        """
        nn.init.zeros_(self.decoder.conv.weight)
        if self.decoder.conv.bias is not None:
            self.decoder.conv.bias.fill_(math.log(mean / (1 - mean)))
