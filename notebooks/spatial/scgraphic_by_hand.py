# %% [markdown]
# # scGrapHiC by hand
#
# The published model piece by piece, its limits one by one, and the default of the package.
#
# > **Learning goals**
# > - build the published scGrapHiC from windows, encodings, attention, a graph and convolutions, and check
# >   it against the package, number by number;
# > - show with a gradient, and with an exchanged input, whether a part of a network takes part;
# > - change one limit of the published model at a time and see what it did;
# > - build the default of the package: the bulk map taken apart, and what expression changes in it;
# > - say which scores a model can reach without looking at expression.
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb); [What a score
# > rewards](../pitfalls/what_a_score_rewards.ipynb) helps.
# >
# > **Time**: 45 min to read, 2 min to run.

# %% tags=["colab"]
# Google Colab only: install the book's package and keep the installed numpy and torch.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib.metadata import version

    keep = [f"{name}=={version(name)}" for name in ("numpy", "torch")]
    source = "scstlib @ git+https://github.com/scstlib/scstlib@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *keep, source], check=True)

# %% tags=["parameters"]
profile = "fast"
seed = 0

# %%
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from torch.nn import functional

from scstlib.datasets import simulate_organism
from scstlib.metrics.contacts import contrast_correlation, stratum_adjusted_correlation
from scstlib.models import PublishedScGrapHiC, ScGrapHiC
from scstlib.models.spatial.scgraphic.features import bulk_guide, view_bulk, with_neighbours
from scstlib.models.spatial.scgraphic.loss import count_loss
from scstlib.models.spatial.scgraphic.network import from_triangle
from scstlib.models.spatial.scgraphic.published_inputs import read_inputs
from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.plots import BLUE, GREY, ORANGE, book_style, contact_map
from scstlib.preprocess.contacts import (
    distance_means,
    laplacian_encodings,
    normalise_depth,
    smooth_eigenvalues,
)
from scstlib.preprocess.guides import bin_features, guide_tracks
from scstlib.preprocess.tracks import (
    TrackScaler,
    by_chromosome,
    expression_tracks,
    scale_per_window,
)
from scstlib.preprocess.windows import make_windows
from scstlib.splits import hold_out_chromosomes
from scstlib.training import seeded_weights

plt.rcParams.update(book_style())

# %% [markdown]
# ## The problem
#
# Expression is measured in single cells of every type. A deep contact map exists for one of them, or for a
# mixture: the [bulk](../../book/glossary.md#bulk). Wanted is the [contact map](../../book/glossary.md#contact-map)
# of each cell type. scGrapHiC ([Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223)) learns
# this from cell types in which both were measured, on [windows](../../book/glossary.md#window) along the diagonal.
#
# The cells here come from a simulated organism, whose expected contacts are known. The bulk is of stem cells; the
# targets are [pseudo-bulks](../../book/glossary.md#pseudo-bulk) of 200 cells of five types. Four chromosomes
# train and one is put aside. Windows have 64 bins of 50 kb on this page; the authors' have 128, which
# cost four times as much.

# %%
organism = simulate_organism(seed=seed, preset="small")
types = ["stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature"]
chromosomes = organism.chromosomes[:5]
test_chromosome = chromosomes[-1]
bin_size, n_cells, window = organism.settings.bin_size, 200, 64

cells = organism.sample(seed=seed, keep_truth=False)
labels = cells.obs["cell_type"].to_numpy()
sums = {kind: np.asarray(cells.X[labels == kind].sum(axis=0)).ravel() for kind in types}
expression = pd.DataFrame(sums, index=cells.var_names)
expression = expression / expression.sum() * 1e4  # counts per 10,000

table = organism.tracks()
bins = table[["chrom", "start", "end"]]
by_type = expression_tracks(expression, organism.genome.genes, bins)
shared = table[["ctcf_forward", "ctcf_reverse", "cpg"]].to_numpy()
tracks, names = guide_tracks(
    by_type, reference=types, bulk=by_type["stem"],
    shared=shared, shared_names=("CTCF +", "CTCF -", "CpG"),
)  # fmt: skip
print(", ".join(names))

# %%
bulk = organism.bulk("stem", seed=seed)


def windows_of(targets, chroms):
    """Windows of all training types on some chromosomes."""
    return make_windows(
        bulk, {kind: by_chromosome(tracks[kind], bins) for kind in types}, targets,
        bin_size=bin_size, bulk_cell_types=["stem"], window=window, stride=32,
        chromosomes=chroms, track_names=names,
    )  # fmt: skip


measured = {
    kind: organism.sample_contacts(kind, n_cells=n_cells, seed=seed, chroms=chromosomes)
    for kind in types
}
expected = {
    kind: {
        test_chromosome: n_cells * organism.expected_contacts(test_chromosome, kind, biased=True)
    }
    for kind in types
}
split = hold_out_chromosomes(windows_of(measured, chromosomes), [test_chromosome])
train, test = split.train, split.test
truth = windows_of(expected, [test_chromosome]).targets
print(f"{len(train)} training windows, {len(test)} test windows of {window} bins")

# %% tags=["hide-input"] caption="One test window of 3.2 Mb in a mature beta cell. *Bulk*: the map of stem cells that is known. *Target*: 200 cells, what a model is trained on. *Truth*: the expected contacts. *Difference*: truth of this type over the mean of the five types (log₂), which is what expression has to tell." alt="Four square heat maps. Bulk, target and truth all show a dark diagonal with squares; the target is speckled. The difference map is mostly white with a dark blue patch and paler ones around it." name="fig-space-problem"
is_type = (test.table["cell_type"] == "beta_mature").to_numpy()
place_of = test.table.groupby(["chrom", "start"]).ngroup().to_numpy()
mean_truth = np.stack([truth[place_of == place].mean(axis=0) for place in place_of])
contrast = np.abs(np.log2((truth + 1) / (mean_truth + 1))).mean(axis=(1, 2))
one = int(np.flatnonzero(is_type)[contrast[is_type].argmax()])
shown = {
    "bulk": test.bulk[one],
    "target": test.targets[one],
    "truth": truth[one],
    "difference": np.log2((truth[one] + 1) / (mean_truth[one] + 1)),
}
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.4))
start, end = test.table.loc[one, ["start", "end"]]
for ax, (name, values) in zip(axes.flat, shown.items(), strict=True):
    label = "log₂ ratio" if name == "difference" else "contacts"
    contact_map(ax, values, start=start, end=end, label=label, log=name != "difference")
    ax.set_title(name)
plt.show()

# %% [markdown]
# ## The published model, by hand
#
# ![A column of boxes from top to bottom. Tracks of the cell type (expression, CTCF, CpG) go into a convolution along the genome with four attention blocks and a sigmoid. Its features are joined with encodings. A graph convolution over the bulk map follows, whose outgoing arrow is crossed out: as published, its result is not used; a line leads around it. Then four attention blocks, the products of all pairs of bins, and seven residual blocks of convolutions with a last 7 by 7 convolution and a sigmoid, which give the predicted map. On the right the bulk map: it gives 16 positional encodings, which enter the first box and the joint, and a dashed arrow to the graph convolution as its edges.](../../book/_static/diagrams/scgraphic_published.svg)
#
# *Expression and the bulk map's encodings become features of bins, pairs of bins become pixels; the graph convolution is computed, but its result is not used.*
#
# The model is built below as the public code does it (`rsinghlab/scGrapHiC` at commit `8019e1f`), with the
# authors' sizes. Its weights are those of a model of the package that was trained for a few steps, so that
# the numbers can be compared. The by-hand model computes in double precision.

# %%
short = {"epochs": 1, "batch_size": 4}
some = train[np.random.default_rng(seed).permutation(len(train))[:120]]
as_published = PublishedScGrapHiC(**short, seed=seed).fit(some)
network = deepcopy(as_published.network_).double().eval()
W = dict(network.state_dict())
print(f"{sum(w.numel() for w in network.parameters()):,} parameters")

# %% [markdown]
# ### Maps on one scale
#
# Maps differ in [depth](../../book/glossary.md#depth), and their pixels span orders of magnitude. Each window is
# scaled to 25,000 reads, `log1p` is taken, and the result divided by its maximum, so that it lies in
# $[0, 1]$. Targets are then smoothed: of the eigenvalues $\lambda$ of the map, 0.25 is taken off in
# size, and those that are smaller vanish.

# %%


def scaled(counts):
    """Maps (n, bins, bins) on the scale of the model."""
    logs = np.log1p(counts * (25_000 / counts.sum(axis=(1, 2), keepdims=True)))
    return logs / logs.max(axis=(1, 2), keepdims=True)


def smoothed(maps):
    """Maps without their small eigenvalues, the large ones reduced by 0.25."""
    values, vectors = np.linalg.eigh(maps)
    values = np.sign(values) * np.maximum(np.abs(values) - 0.25, 0)
    return np.einsum("nik,nk,njk->nij", vectors, values, vectors)


bulk_maps, goal = scaled(test.bulk.astype(float)), smoothed(scaled(test.targets.astype(float)))
kept = (np.abs(np.linalg.eigvalsh(goal)) > 1e-9).sum(axis=1)
print(f"eigenvalues left: {np.median(kept):.0f} of {window} in the median target")

# %% [markdown]
# ### The bulk map as a graph
#
# Bins are nodes and contacts are the weights of edges. Where a bin lies in such a graph is told by eigenvectors
# of its Laplacian
#
# $$L = 1 - D^{-1/2} A D^{-1/2}, \qquad D_{ii} = \textstyle\sum_j A_{ij},$$
#
# with $A$ the scaled map without its diagonal. The eigenvectors of the smallest eigenvalues vary slowly: the first
# after the trivial one cuts the window in two. Sixteen of them, each divided by its largest entry and moved
# to $[0, 1]$, are the **positional encodings** of a bin.

# %%


def encode(maps, k=16):
    """Positional encodings (n, bins, k) of scaled maps."""
    graph = maps * (1 - np.eye(maps.shape[-1]))
    degree = graph.sum(axis=-1)
    scale = np.where(degree > 0, degree, np.inf) ** -0.5  # an empty bin has no place
    laplacian = np.eye(maps.shape[-1]) - graph * scale[:, :, None] * scale[:, None, :]
    vectors = np.linalg.eigh(laplacian + 2 * np.eye(maps.shape[-1]) * (degree == 0)[:, None])[1]
    vectors = vectors[:, :, 1 : k + 1]  # the first is the square root of the degree
    peak = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    return (vectors / peak + 1) / 2


encodings = encode(bulk_maps)

# %% caption="The first three encodings in two neighbouring windows, which share half of their bins. An eigenvector has no sign of its own, and none knows of the window next to it: in the shared bins the curves do not agree." alt="Three panels with one blue and one orange curve each. The curves overlap in the middle third, where they run at different heights or in opposite directions." name="fig-space-encodings"
first = np.flatnonzero(test.table["cell_type"] == types[0])
here, there = first[6:8]
fig, axes = plt.subplots(3, 1, figsize=(5.4, 4.0), sharex=True, sharey=True)
for k, ax in enumerate(axes):
    for row, color in [(here, BLUE), (there, ORANGE)]:
        middle = (test.table["start"][row] / bin_size + np.arange(window) + 0.5) * bin_size / 1e6
        ax.plot(middle, encodings[row, :, k], color=color)
    ax.set_ylabel(f"encoding {k + 1}")
axes[-1].set_xlabel("position (Mb)")
plt.show()

# %% tags=["hide-input"]
pairs = [(encodings[a, 32:], encodings[b, :32]) for a, b in pairwise(first)]
signs = np.array(
    [[np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)] for a, b in pairs]
)
Markdown(
    f"In the bins that two neighbouring windows share, the first encoding has a correlation below 0 in"
    f" {np.mean(signs[:, 0] < 0):.0%} of {len(pairs)} pairs of windows, and the second in"
    f" {np.mean(signs[:, 1] < 0):.0%}. The model cannot read them as a place on the genome."
)

# %% [markdown]
# ### Tracks
#
# Five [tracks](../../book/glossary.md#track) are read: expression and CTCF motifs of both strands, and CpG. Each is
# scaled to $[0, 1]$ in each window by itself.

# %%


def scaled_tracks(values):
    """Tracks (n, bins, tracks), each from 0 to 1 in each window."""
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return (values - low) / np.where(high > low, high - low, 1)


read = [names.index(name) for name in ("expression +", "expression -", "CTCF +", "CTCF -", "CpG")]
features = scaled_tracks(test.tracks[:, :, read].astype(float))

# %% [markdown]
# ### Nodes that look at each other
#
# Tracks and encodings of a bin are joined and go through a convolution along the genome, 16 bins wide. Then
# four **attention blocks** let every bin look at all others: a bin asks with a query $q$, the others answer
# with keys $k$ and values $v$, and each takes the mean of the values, weighted by how well keys fit
# its query. A small network on each bin by itself follows. Both are added to what was there.

# %%


def linear(name, x):
    return x @ W[f"{name}.weight"].T + W[f"{name}.bias"]


def layer_norm(name, x):
    """Each bin to mean 0 and variance 1 over its channels."""
    spread = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return (x - x.mean(-1, keepdim=True)) / spread * W[f"{name}.weight"] + W[f"{name}.bias"]


def batch_norm(name, x):
    """Each channel (the second axis) by the mean and variance that training saw."""
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, var, weight, bias = (W[f"{name}.{p}"].view(-1, *[1] * (x.ndim - 2)) for p in parts)
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def attention_block(name, x):
    """Bins (n, bins, channels) that have looked at each other."""
    q, k, v = (linear(f"{name}.attn.fc_{part}", layer_norm(f"{name}.ln1", x)) for part in "qkv")
    weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
    x = x + linear(f"{name}.attn.fc_o", weights @ v)
    hidden = linear(f"{name}.ffn.fc1", layer_norm(f"{name}.ln2", x)).relu()
    return x + linear(f"{name}.ffn.fc2", hidden)


def node_features(tracks, encodings, blocks=4):
    """Convolution and attention: (n, bins, channels), in (0, 1)."""
    name = "chipseq_processor"
    kernel = W[f"{name}.feature_extractor.weight"]
    x = torch.cat([tracks, encodings], -1).transpose(1, 2)
    x = functional.pad(x, ((kernel.shape[-1] - 1) // 2, kernel.shape[-1] // 2))
    x = functional.leaky_relu(
        functional.conv1d(x, kernel, W[f"{name}.feature_extractor.bias"]), 0.01
    )
    x = batch_norm(f"{name}.batch_norm_0", x).transpose(1, 2)
    for i in range(blocks):
        x = attention_block(f"{name}.encoder_blocks.{i}", x)
    return x.sigmoid()


# %% [markdown]
# ### Nodes that look along the graph
#
# Node features and encodings are joined again, and a **graph convolution** follows (GATv2). It is attention too, but
# a bin $i$ looks only at bins $j$ with which it has contacts, and the number of contacts $A_{ij}$ enters the weight:
#
# $$\alpha_{ij} = \underset{j}{\text{softmax}}\; a^\top \text{LeakyReLU}(W_r x_i + W_l x_j + w_e A_{ij}),
# \qquad x_i' = \textstyle\sum_j \alpha_{ij} W_l x_j + b .$$
#
# The graph has no diagonal; each bin gets an edge to itself with the mean of its others. A linear layer,
# a ReLU and a normalisation of each channel over the window end the block, and its input is added.
#
# In the public code the line after the convolution puts the *input* in place of its output
# (`GraphConvolution.forward` in `src/models/Encoder.py`). So there is a switch here, too: `fix`.

# %%


def gatv2(name, x, bulk):
    """Attention along the edges of the bulk map."""
    eye = torch.eye(bulk.shape[-1], dtype=bool)
    others = bulk.masked_fill(eye, 0)
    own = others.sum(-1) / (others != 0).sum(-1).clamp(min=1)
    weight = torch.where(eye, own[..., None], others)
    source, target = linear(f"{name}.lin_l", x), linear(f"{name}.lin_r", x)
    edge = weight[..., None] * W[f"{name}.lin_edge.weight"][:, 0]
    score = functional.leaky_relu(target[:, :, None] + source[:, None] + edge, 0.2)
    score = (score * W[f"{name}.att"][0, 0]).sum(-1)
    score = score.masked_fill((others == 0) & ~eye, -torch.inf)
    return score.softmax(-1) @ source + W[f"{name}.bias"]


def graph_block(name, x, bulk, fix=False):
    """The input, plus the normalised convolution, or as published the normalised input."""
    inner = linear(f"{name}.linear", gatv2(f"{name}.conv", x, bulk)).relu() if fix else x
    inner = inner - inner.mean(1, keepdim=True) * W[f"{name}.bn.mean_scale"]
    inner = inner / (inner.square().mean(1, keepdim=True) + 1e-5).sqrt()
    return x + inner * W[f"{name}.bn.weight"] + W[f"{name}.bn.bias"]


def graph_encoder(nodes, encodings, bulk, fix=False, blocks=4):
    """Latents (n, bins, channels) of nodes."""
    name = "graph_encoder"
    nodes, place = (
        batch_norm(f"{name}.{norm}", x.transpose(1, 2)).transpose(1, 2)
        for norm, x in [("x_norm", nodes), ("pe_norm", encodings)]
    )
    x = torch.cat([linear(f"{name}.node_emb", nodes), linear(f"{name}.pe_lin", place)], -1)
    x = graph_block(f"{name}.convs.0", x, bulk, fix)
    for i in range(blocks):
        x = attention_block(f"{name}.encoder_blocks.{i}", x)
    return x


# %% [markdown]
# ### From nodes to pairs
#
# A contact belongs to two bins. The latents of both are multiplied, channel by channel. A 1×1 convolution, seven
# residual blocks of 3×3 convolutions and a 7×7 convolution turn the pairs into one number a pixel, and a sigmoid
# puts it into $[0, 1]$.

# %%


def convolution(name, x):
    """Convolution over the map that keeps its size."""
    kernel = W[f"{name}.weight"]
    return functional.conv2d(x, kernel, W[f"{name}.bias"], padding=kernel.shape[-1] // 2)


def decode(z, blocks=7):
    """Maps (n, bins, bins) of latents (n, bins, channels)."""
    z = z.transpose(1, 2)
    x = convolution("decoder.hidden.conv", z[:, :, :, None] * z[:, :, None, :])
    x = functional.leaky_relu(x, 0.2)
    for i in range(blocks):
        name = f"decoder.resblocks.{i}"
        inner = batch_norm(f"{name}.bn1", convolution(f"{name}.conv1", x))
        inner = convolution(f"{name}.conv2", inner * inner.sigmoid())
        x = x + batch_norm(f"{name}.bn2", inner)
    return convolution("decoder.conv", x)[:, 0].sigmoid()


# %% [markdown]
# ### The same numbers
#
# Everything by hand, against the package, on three windows. With the mended graph block, too.

# %%
few = slice(0, 3)
given = [torch.as_tensor(array[few]) for array in (features, encodings, bulk_maps)]
mended_network = ScGrapHiCNetwork(5, graph_fix=True).double().eval()
mended_network.load_state_dict(network.state_dict())
with torch.no_grad():
    nodes = node_features(given[0], given[1])
    latents = {fix: graph_encoder(nodes, *given[1:], fix=fix) for fix in (False, True)}
    compared = {
        "scaled maps": (bulk_maps, normalise_depth(test.bulk)),
        "smoothed targets": (goal, smooth_eigenvalues(normalise_depth(test.targets))),
        "scaled tracks": (features, scale_per_window(test.tracks[:, :, read])),
        "node features": (nodes, network.chipseq_processor(*given[:2])),
        "graph latents": (latents[False], network.graph_encoder(nodes, *given[1:])),
        "mended graph latents": (latents[True], mended_network.graph_encoder(nodes, *given[1:])),
        "predicted maps": (decode(latents[False]), network(*given)),
        "mended predicted maps": (decode(latents[True]), mended_network(*given)),
    }
differences = {
    name: float(np.abs(np.asarray(a) - np.asarray(b)).max()) for name, (a, b) in compared.items()
}
theirs = laplacian_encodings(bulk_maps, 16)
agree = [np.abs(each - theirs).max(axis=1) for each in (encodings, 1 - encodings)]
differences["encodings up to sign"] = float(np.minimum(*agree).max())
assert max(differences.values()) < 1e-6
print("largest difference below 1e-6:", ", ".join(differences))

# %% [markdown]
# The pieces are the package's. (The package itself is tested against the values of the authors' code.)
#
# ## One change at a time
#
# Each observation below belongs to the code at commit `8019e1f`, and each has a setting of
# `PublishedScGrapHiC` that changes it and leaves the rest alone.
#
# **The graph convolution takes no part** (`graph_fix`). A part of a network that has no influence on the output has no
# gradient either. One forward and one backward pass tell:

# %%


def parts_with_gradient(network):
    """Parameters with and without a gradient in the graph block and outside it."""
    network.zero_grad()
    (network(*given) - torch.as_tensor(goal[few])).square().mean().backward()
    rows = {}
    for name, weight in network.named_parameters():
        inside = name.startswith(("graph_encoder.convs.0.conv", "graph_encoder.convs.0.linear"))
        row = rows.setdefault("graph convolution" if inside else "all else", [0, 0])
        row[weight.grad is None] += weight.numel()
    return pd.DataFrame(rows, index=["with gradient", "without"]).T


gradients = {
    "as published": parts_with_gradient(network),
    "mended": parts_with_gradient(mended_network),
}
pd.concat(gradients, axis=1)

# %% [markdown]
# And the other way about: what does the prediction say when the graph is exchanged for a random one, or
# taken away? The encodings stay as they are.

# %%
generator = torch.Generator().manual_seed(seed)
random_graph = torch.rand(given[2].shape, generator=generator, dtype=torch.float64)
graphs = {"random": (random_graph + random_graph.transpose(1, 2)) / 2, "none": 0 * given[2]}
moved = {}
for name, net in [("as published", network), ("mended", mended_network)]:
    with torch.no_grad():
        maps = {graph: net(*given[:2], other) for graph, other in graphs.items()}
        as_it_is = net(*given)
    moved[name] = {graph: float((m - as_it_is).abs().max()) for graph, m in maps.items()}
pd.DataFrame(moved).T.map("{:.3g}".format).rename_axis(columns="largest change of a pixel")

# %% [markdown]
# As published, the bulk map enters through the encodings alone: sixteen smooth curves of a window. Its pixels
# never reach the decoder.
#
# **The head saturates** (`head_init`). Before training the sigmoid gives about one half, and nearly all pixels of a map
# are near 0. The first steps push all of them down together, through 1,568 weights of the last convolution at once,
# each of which AdamW moves by the learning rate whatever its gradient. Where the sigmoid is flat there is no gradient to
# come back with. The mended head starts at the mean of the targets, with the last convolution at 0.

# %%
inputs = read_inputs(some, None, 16)
tensors = [torch.as_tensor(array, dtype=torch.float32) for array in inputs[:3]]
inputs = inputs._replace(**dict(zip(("features", "encodings", "bulk"), tensors, strict=True)))
wanted = torch.as_tensor(smooth_eigenvalues(normalise_depth(some.targets)), dtype=torch.float32)


def first_steps(mended, draw, steps=13):
    """Share of pixels below 0.01 before each of the first steps."""
    network, rng, shares = ScGrapHiCNetwork(5), np.random.default_rng(draw), []
    if mended:
        network.start_at(float(wanted.mean()))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for rows in (rng.choice(len(some), 4, replace=False) for _ in range(steps)):
        maps = network(*inputs.of(rows))
        optimizer.zero_grad()
        (maps - wanted[rows]).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
        shares.append(float((maps < 0.01).float().mean()))
    return shares


heads = {}
for kind, s in product(("published", "mended"), (0, 1)):
    with seeded_weights(seed + s):
        heads[kind, s] = first_steps(kind == "mended", seed + s)

# %% tags=["hide-input"] caption="Share of pixels that the model predicts below 0.01, in the first steps of training; two seeds each. In the targets of these windows nearly no pixel is that low (grey)." alt="Four lines over 16 steps. Two orange lines jump to most of the pixels within a few steps and come down slowly; two blue ones stay near zero." name="fig-space-head"
fig, ax = plt.subplots(figsize=(5.4, 2.8))
for (kind, s), shares in heads.items():
    color = ORANGE if kind == "published" else BLUE
    ax.plot(shares, "o-", color=color, ms=3, lw=1, label=kind if s == 0 else None)
low = float((wanted < 0.01).float().mean())
ax.axhline(low, color=GREY, ls="--", lw=1, label="targets")
ax.set(xlabel="step", ylabel="share of pixels\nbelow 0.01", ylim=(-0.02, 1))
ax.legend(fontsize="small")
plt.show()

# %% tags=["hide-input"]
worst = {
    kind: [max(v) for (k, _), v in heads.items() if k == kind] for kind in ("published", "mended")
}
ends = {
    kind: [v[-1] for (k, _), v in heads.items() if k == kind] for kind in ("published", "mended")
}
Markdown(
    f"With the published head up to {max(worst['published']):.0%} of the pixels lie below 0.01 within the first"
    f" {len(heads['published', 0])} steps, and {min(ends['published']):.0%} and {max(ends['published']):.0%} still do before"
    f" the last of them; with the mended head never more than {max(worst['mended']):.0%}. In the targets it is {low:.0%}."
    " How fast the model comes back depends on the seed and on the windows: on longer windows, whose targets"
    " are emptier, it takes longer."
)

# %% [markdown]
# **Tracks lose their level** (`feature_scaling`). When each window is scaled by itself, a cell type in which every gene
# of a window is twice as active has the same features. What is left is the shape within the window. The global scaling
# takes the range of all training windows.

# %%
read_windows = replace(
    train, tracks=train.tracks[:, :, read], track_names=tuple(names[i] for i in read)
)
scaler = TrackScaler("minmax").fit(read_windows)
louder = replace(read_windows, tracks=2 * read_windows.tracks)
change = {
    "by window": scale_per_window(louder.tracks) - scale_per_window(read_windows.tracks),
    "global": scaler.transform(louder).tracks - scaler.transform(read_windows).tracks,
}
print({name: f"{np.abs(values[:, :, :2]).max():.2f}" for name, values in change.items()})

# %% tags=["hide-input"] caption="Expression of the + strand in one window in two cell types: as measured, scaled by window, and scaled by the range of all training windows. By window, both types reach 1, whatever their level." alt="Three panels of two step lines each. In the first and third a blue peak stands far above the orange ones; in the second both colours reach 1, at different bins." name="fig-space-scaling"
track = train.tracks[:, :, 0]
place = train.table.groupby(["chrom", "start"]).ngroup().to_numpy()
kinds = train.table["cell_type"].to_numpy()
two = ("stem", "gamma_mature")
by_kind = {kind: track[kinds == kind][np.argsort(place[kinds == kind])] for kind in two}
several = np.min([(values > 0.5).sum(axis=1) >= 3 for values in by_kind.values()], axis=0)
level = {kind: values.max(axis=1) for kind, values in by_kind.items()}
at = int((several * np.abs(np.log((level[two[1]] + 0.1) / (level[two[0]] + 0.1)))).argmax())
panels = {
    "counts\nper 10,000": track,
    "by window": scale_per_window(read_windows.tracks)[:, :, 0],
    "global": scaler.transform(read_windows).tracks[:, :, 0],
}
fig, axes = plt.subplots(3, 1, figsize=(5.4, 4.4), sharex=True)
for ax, (name, values) in zip(axes, panels.items(), strict=True):
    for kind, color in zip(two, (BLUE, ORANGE), strict=True):
        row = np.flatnonzero((kinds == kind) & (place == at))[0]
        ax.step(np.arange(window), values[row], color=color, where="mid", label=kind)
    ax.set_ylabel(name)
axes[0].legend(fontsize="small")
axes[-1].set_xlabel("bin of the window")
plt.show()

# %% [markdown]
# **The map is not symmetric** (`symmetrize`). A contact of $i$ with $j$ is one of $j$ with $i$, and the product of latents
# keeps that. A convolution does not, unless its kernel is equal to its own transpose. The public code makes it so for the
# last convolution, once, before training; the 3×3 ones are free. With the switch the two triangles are averaged, in training
# too. `predict` of the package averages them in any case, and `raw_output` gives the map as the network made it.

# %%
with seeded_weights(seed):
    fresh = ScGrapHiCNetwork(5).eval()
with torch.no_grad():
    asymmetry = {
        "before training": fresh(*(part.float() for part in given)),
        "after a few steps": network(*given),
    }
pd.Series(
    {name: float((maps - maps.transpose(1, 2)).abs().max()) for name, maps in asymmetry.items()},
    name="largest |map − transpose|",
).to_frame().round(3)

# %% [markdown]
# ### What it predicts
#
# The published model of this page against the truth of the test chromosome, with two scores:
#
# - **SCC**, the stratum-adjusted correlation ([Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)): agreement at each
#   distance, up to 2 Mb;
# - **dC**, the correlation of what is specific to the cell type: the map minus the mean of the training types. A copy of the
#   bulk map is the same for all types, and has none.

# %%


def scores(maps):
    """Median agreement of predicted contacts with the truth of the test windows."""
    on_scale = normalise_depth(np.asarray(maps, dtype=float))
    right, reference = normalise_depth(truth), normalise_depth(mean_truth)
    own_mean = np.stack([on_scale[place_of == p].mean(axis=0) for p in place_of])
    scc = stratum_adjusted_correlation(on_scale, right, max_distance=39)
    contrast = contrast_correlation(on_scale, right, reference, prediction_reference=own_mean)
    return {"SCC": np.median(scc), "dC": np.median(contrast)}


rows = {
    "bulk copied": scores(test.bulk),
    "target (200 cells)": scores(test.targets),
    "published, 30 steps": scores(as_published.predict(test)),
}
pd.DataFrame(rows).T.round(3)

# %% [markdown]
# With this little training neither bulk map nor expression is in the prediction yet, and the copied bulk map is far
# above it. The authors train for 300 epochs on longer windows. The question is rather why a model that is
# *given* the bulk map should have to find it again, through sixteen curves and a decoder.
#
# ## The default, piece by piece
#
# ![Three blocks of logarithms, added up. Base: the bulk map equals the contacts expected from distance and visibility, times the rest, a speckled map, which is smoothed. Shift: two falling curves of contacts by distance, a solid one of the training maps and a dashed one of the bulk; the gap between them is one number a distance. Residual: one network with the bulk map is read twice, with the guide of the cell type and with the guide of the bulk's cells; the difference of the two is what the cell type adds, zero where both agree; a common part is added for all types. At the bottom: depth times the exponential of the sum gives the expected contacts, a symmetric map.](../../book/_static/diagrams/scgraphic_default.svg)
#
# *The prediction starts from the bulk map without its noise; the network adds only what the guide of the cell type says beyond that of the bulk's cells.*
#
# The default of the package keeps the task and changes every part:
#
# | part | as published | default |
# |---|---|---|
# | bulk map | encodings | taken apart, and the start of the prediction |
# | the network gives | a map in $[0, 1]$ | the log of a factor on the bulk map, 0 before training |
# | expression | scaled by window | log values, and their differences from the training types and from the bulk's cells |
# | pairs of bins | product | product, path between the bins, distance, bulk map |
# | decoder | fourteen convolutions at full resolution | a small U-Net at half resolution, and pairs by themselves |
# | trained on | smoothed map, squared error | counts of known depth, likelihood |
# | symmetric | after averaging | by construction |
#
# Expected contacts are
#
# $$\mu_{ij} = \text{depth} \cdot e^{\,\text{base}_{ij} + \text{shift}_{|i-j|} + \text{residual}_{ij}} .$$
#
# One line fits it. The rest of this section makes the same prediction again, by hand.

# %%
model = ScGrapHiC(n_steps=300, seed=seed).fit(train)
print(f"{sum(w.numel() for w in model.network_.parameters()):,} parameters")

# %% [markdown]
# ### The bulk map, taken apart
#
# Most of a contact map is distance and [visibility](../../book/glossary.md#visibility): near bins meet, and some bins are
# seen better than others. Both can be estimated from many pixels. What is left, the ratio of observed to expected, is
# structure and noise. Where contacts are many, each pixel can speak for itself; where they are few, only an average can.
# So the ratio is averaged at four widths, and the network learns a mixture of the four that depends on the
# expected number of contacts. That is the *base*.

# %%
distance = np.abs(np.subtract.outer(np.arange(window), np.arange(window)))
log_decay = np.log(distance_means(train.bulk, train.mask))


def by_distance_and_visibility(maps, usable, log_decay):
    """Contacts (n, bins, bins) that distance and the visibility of two bins give."""
    decay = np.exp(log_decay)[distance] * usable[:, :, None] * usable[:, None, :]
    decay *= maps.sum(axis=(1, 2), keepdims=True) / decay.sum(axis=(1, 2), keepdims=True)
    seen = usable.astype(float)
    for _ in range(8):  # until each row sums to what was observed, about
        alone = seen * np.einsum("nij,nj->ni", decay, seen)
        seen = seen * np.sqrt((maps.sum(axis=2) + 1) / (alone + 1)) * usable
    return decay * seen[:, :, None] * seen[:, None, :]


apart = by_distance_and_visibility(test.bulk.astype(float), test.mask, log_decay)
with torch.no_grad():
    view = view_bulk(
        torch.as_tensor(test.bulk),
        torch.as_tensor(test.mask),
        torch.as_tensor(model.log_decay_),
    )
    base = from_triangle(model.network_.base(view), window).numpy()
usable = test.mask[:, :, None] & test.mask[:, None, :]
ratios, log_expected = view.maps[:, :-1].numpy(), view.maps[:, -1].numpy()
assert np.allclose(np.log(apart[usable]), log_expected[usable], atol=1e-3)

# %% caption="The bulk map of one test window: what distance and visibility give; observed over expected as measured, and averaged with a width of 1.6 bins; and the base, the mixture of all widths put back." alt="Four square heat maps. Expected is a smooth band along the diagonal with faint stripes. Observed over expected shows red squares on blue, speckled when measured and smooth when averaged. The base looks like the bulk map without speckles." name="fig-space-base"
shown = {
    "expected": apart[one],
    "observed / expected": ratios[one, 0] / np.log(2),
    "averaged": ratios[one, 2] / np.log(2),
    "base": np.exp(base[one]),
}
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.4))
for ax, (name, values) in zip(axes.flat, shown.items(), strict=True):
    counts = name in ("expected", "base")
    contact_map(
        ax, values, start=start, end=end, log=counts, limits=None if counts else (-3, 3),
        label="contacts" if counts else "log₂ ratio",
    )  # fmt: skip
    ax.set_title(name)
plt.show()

# %% [markdown]
# The *shift* is one number a distance: how the mean training map decays where the bulk map does not. Together they know
# nothing of the cell type.
#
# ### What expression says
#
# Expression $x$ enters as the sum over both strands of $\log(1 + x / f)$, where the floor $f$ is a small share of the mean: a
# gene that doubles counts for as much whether it is high or low, until its level is lost in counting noise. The logarithm
# comes before the sum, or a high gene would hide a low one on the other strand. Beside the sum stand its differences from the mean of the training types and from the cells of the bulk map, which say outright what
# is different in this cell type. All features are divided by their spread in the training windows, the same everywhere on the
# genome, and averaged over two widths besides.

# %%


def guide(values, floor):
    """Features (n, bins, features) of tracks: expression and its differences, then the others."""
    logs = []
    for who in ("", "reference ", "bulk "):
        both = [values[:, :, names.index(f"{who}expression {strand}")] for strand in "+-"]
        logs.append(sum(np.log1p(each / floor) for each in both))
    rest = [values[:, :, names.index(name)] for name in ("CTCF +", "CTCF -", "CpG")]
    return np.stack([logs[0], logs[0] - logs[1], logs[0] - logs[2], *rest], axis=-1)


features, feature_names = bin_features(test.tracks, names, model.floor_)
assert np.allclose(guide(test.tracks, model.floor_), features, atol=1e-4)
print(", ".join(feature_names))

# %% [markdown]
# ### Pairs of bins, twice
#
# Convolutions and attention work on the bins, as before, and on the profile of the bulk map: its visibility and insulation. Then
# each pair of bins gets
#
# - **products** of what both bins know, as for compartments: like meets like;
# - the **path** between them: each bin has positive steps, steps are summed along the genome, and a pair sees the sum from
#   one end to the other. A boundary between two bins lowers their contacts wherever it lies, which is what a domain is;
# - their **distance**, and the **bulk map**, taken apart.
#
# This is done at half resolution, where a small U-Net looks at the surroundings of a pair at three scales, and again at full
# resolution, each pair by itself. The last layers of both start at 0, so that before training the prediction is base and
# shift. Pixels are those of the upper triangle; the lower is its mirror image.
#
# ![At the top a genome with bins; two of them, i and j, are joined by an arc. Between them small bars, the steps, one of them tall: a boundary. Four boxes name the features of the pair: product of i and j, sum of steps between, distance, bulk map at the pair. Arrows lead to two readings. Left, a U-Net: squares of pairs at half, a quarter and an eighth of the resolution going down, and up again, with dashed arrows across at equal size, where both are added. Right, a box: each pair by itself, at full resolution. Both answers are added up and are zero before training.](../../book/_static/diagrams/pair_features.svg)
#
# *A pair is described by what its bins are and what lies between them; a U-Net sees what lies around it, and a second reading looks at each pair by itself.*
#
# ### One place, read twice
#
# The bulk map comes with a guide too: the expression of its own cells. The network reads each place twice, with the guide
# $g$ of the cell type and with the guide $g_0$ of the bulk's cells, and gives two answers to a guide, $s$ and $c$:
#
# $$\text{residual} = s(g) - s(g_0) + c(g_0) .$$
#
# The difference is what the cell type adds. It is 0 where the two guides agree, whatever the weights are: a region whose
# genes do not change keeps the bulk's contacts, and this need not be learned. The answer $c$ is the same for all cell types; it
# takes noise out of the bulk map. Here is the whole prediction, from its parts:

# %%


def of_bins(tracks):
    """What the network knows of bins: the guide, that of the neighbours, and the bulk's profile."""
    scaled = guide(tracks, model.floor_) / model.scale_ * test.mask[:, :, None]
    return torch.cat([with_neighbours(torch.as_tensor(scaled)), view.profile], dim=-1)


own, of_bulk = of_bins(test.tracks), of_bins(bulk_guide(test.tracks, names))
place = torch.arange(len(test))  # every window brings its own bulk map here
predicted = model.predict(test)
with torch.no_grad():
    fitted = model.network_.eval()
    residual, common = (
        from_triangle(fitted(given, of_bulk, view, place), window).numpy()
        for given in (own, of_bulk)
    )
stem = (test.table["cell_type"] == "stem").to_numpy()
assert np.allclose(residual[stem], common[stem])  # The bulk is of stem cells.
shift = model.shift_[distance]
by_hand = np.exp(base + shift + residual) * usable
assert np.allclose(by_hand, predicted, rtol=1e-3)
assert np.array_equal(predicted, predicted.swapaxes(1, 2))
sizes = {
    "base": base, "shift": shift, "residual, the same in all types": common,
    "residual, specific": residual - common,
}  # fmt: skip
pd.Series(
    {name: float(np.std(part[..., distance > 0])) for name, part in sizes.items()},
    name="spread over pixels (log)",
).to_frame().round(2)

# %% [markdown]
# ### A loss on counts
#
# A target of 200 cells is a map of small counts. The squared error of a smoothed map treats a pixel that was seen twice and
# one that was seen 500 times alike. The default takes the counts as they are. The depth of a target is known, so the expected
# count of a pixel is $\text{depth} \cdot \mu_{ij}$, and the loss is the negative log-likelihood of a negative binomial
# with the variance $m + \varphi m^2$.
#
# The likelihood of all cell types of a place splits in two: that of the sum of their counts, and that of how the sum *divides*
# among them. The second does not change when a prediction is wrong in the same way for all types. It is a small part of the
# whole, and the part that matters, so it is added with a weight of its own.

# %%


def loss_of_counts(counts, log_mean, dispersion):
    """Mean negative log-likelihood of a negative binomial."""
    logits = log_mean + np.log(dispersion)
    return (
        -torch.distributions.NegativeBinomial(1 / dispersion, logits=logits).log_prob(counts).mean()
    )


def loss_of_division(counts, log_mean):
    """Mean negative log-likelihood of how counts (types, pixels) divide among the types."""
    shares = log_mean.log_softmax(dim=0)
    return -(counts * shares).sum(dim=0).mean() / len(counts)


here = np.flatnonzero(place_of == place_of[one])  # all cell types of one place
seen = torch.as_tensor(test.targets[here][:, *np.triu_indices(window)])
log_mean = torch.as_tensor(np.log(np.maximum(by_hand[here][:, *np.triu_indices(window)], 1e-6)))
log_mean = (log_mean + seen.sum().log() - log_mean.exp().sum().log()).requires_grad_()
every = torch.ones_like(seen, dtype=bool)
slopes = [
    torch.autograd.grad(loss, log_mean)[0]
    for loss in (loss_of_counts(seen, log_mean, 0.2), count_loss(seen, log_mean, every, 0.2))
]
assert torch.allclose(*slopes, atol=1e-7)
worse = log_mean.detach() + 1.0  # the same error in every cell type
print(
    f"all counts:  {loss_of_counts(seen, log_mean.detach(), 0.2):.4f}, wrong by e: {loss_of_counts(seen, worse, 0.2):.4f}"
)
print(
    f"the division: {loss_of_division(seen, log_mean.detach()):.4f}, wrong by e: {loss_of_division(seen, worse):.4f}"
)

# %% [markdown]
# ### What each part brings
#
# The same scores on the test chromosome. *Base and shift* is the model with its residual left out. *Without expression* gives
# the fitted model the mean of the training types for every cell type's own expression.

# %%
plain = test.tracks.copy()
plain[:, :, :2] = plain[:, :, 2:4]  # "reference expression" in place of "expression"
without = model.predict(replace(test, tracks=plain))
rows["default: base and shift"] = scores(np.exp(base + shift) * usable)
rows["default: without expression"] = scores(without)
rows["default"] = scores(predicted)
pd.DataFrame(rows).T.round(3)

# %% tags=["hide-input"] caption="What is specific to a mature beta cell in the window of the first figure: map over the mean of the five types (log₂). *Truth*; *target*, 200 cells; *default*; *default* when it is given the mean expression instead. The lower colours span a quarter of the upper: after a short training, in the window where this type differs most, the prediction has some of the direction and little of the size." alt="Four square heat maps. Truth shows dark blue patches off the diagonal; the target is noise with the same patches in it; the default shows wide blue patches there and pale orange elsewhere; without expression the map is uniform." name="fig-space-contrast"


def log_contrast(maps):
    """log2 of a window's contacts over the mean of all cell types at its place."""
    mean = maps[here].mean(axis=0)
    return np.log2((maps[one] + 1) / (mean + 1))


share = test.targets.sum() / test.bulk.sum()  # as deep as the targets
shown = {
    "truth": truth, "target": test.targets,
    "default": predicted * share, "without expression": without * share,
}  # fmt: skip
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.4))
for ax, (name, maps) in zip(axes.flat, shown.items(), strict=True):
    contact_map(
        ax, log_contrast(maps), start=start, end=end, log=False, limits=(-1.5, 1.5) if name in ("truth", "target") else (-0.375, 0.375),
        label="log₂ ratio",
    )  # fmt: skip
    ax.set_title(name)
plt.show()

# %% tags=["hide-input"]
Markdown(
    f"Base and shift alone reach an SCC of {rows['default: base and shift']['SCC']:.3f}, above the copied bulk map"
    f" ({rows['bulk copied']['SCC']:.3f}) and above the target of 200 cells itself"
    f" ({rows['target (200 cells)']['SCC']:.3f}), whose noise the score counts as error. They know no cell type, so their dC is"
    f" {rows['default: base and shift']['dC']:.2f}. With expression the dC is {rows['default']['dC']:.2f} and the SCC"
    f" {rows['default']['SCC']:.3f}. Without it the same model has a dC of {rows['default: without expression']['dC']:.2f} and"
    f" an SCC of {rows['default: without expression']['SCC']:.3f}: **a score can be high, and say nothing about the cell type**."
)

# %% [markdown]
# > **Note** One organism, one test chromosome, and far less training than the settings of the package ask for. How far
# > both get with more of it, beside other models and on cell types that were never trained on, is in
# > [Evaluating contact maps](evaluating_contact_maps.ipynb) and in [the
# > benchmarks](../../book/reproducibility.md#contact-maps-of-cell-types).
#
# ## The package in four lines
#
# Windows in, contacts out:

# %%
model = ScGrapHiC(n_steps=20, seed=seed).fit(train)  # windows with targets
contacts = model.predict(test)  # as deep as the bulk map,
shallow = model.predict(test, depth=0.1)  # or a tenth of it
print(contacts.shape, f"{shallow.sum() / contacts.sum():.2f}")

# %% [markdown]
# A model is one file of numbers and settings:

# %%
with TemporaryDirectory() as folder:
    model.save(Path(folder) / "organism.scgraphic")
    loaded = ScGrapHiC.load(Path(folder) / "organism.scgraphic")
print("the loaded model predicts the same:", np.array_equal(loaded.predict(test), contacts))

# %% [markdown]
# What it costs, in numbers that do not depend on the machine, for a window of 128 bins:

# %%
values = {"published": 0, "default": 0}


def counting(variant):
    """A hook that adds up how many numbers the layers of a network give."""

    def hook(module, args, output):
        if not list(module.children()) and isinstance(output, torch.Tensor):
            values[variant] += output.numel()

    return hook


wide = replace(
    test[:1], bulk=np.tile(test.bulk[:1], (1, 2, 2)), tracks=np.tile(test.tracks[:1], (1, 2, 1)),
    targets=None, mask=np.tile(test.mask[:1], (1, 2)),
)  # fmt: skip
for variant, fitted in [("published", as_published), ("default", model)]:
    handles = [m.register_forward_hook(counting(variant)) for m in fitted.network_.modules()]
    fitted.predict(wide)
    for handle in handles:
        handle.remove()
learned = [sum(w.numel() for w in m.network_.parameters()) for m in (as_published, model)]
pd.DataFrame(
    {
        "numbers learned": [f"{n:,}" for n in learned],
        "numbers that its layers give": [f"{n:,}" for n in values.values()],
    },
    index=["as published", "default"],
)

# %% [markdown]
# What the layers give is what a step of training has to compute and to keep. The published decoder has 32 channels of
# 128 × 128 pixels in all but the last of its 30 layers.
#
# ### What the default does not do
#
# - **It cannot invent structure that neither map nor expression hint at.** The prediction starts at the bulk map. Where a cell
#   type differs from it for reasons that expression does not show, it stays wrong.
# - **Expression is a mark, not a cause.** The model learns what goes with a change of contacts in the training types. In the
#   organism, activity of a region and its expression go together by construction.
# - **A window knows its own bins only.** Contacts farther apart than a window are not predicted.
# - **An expected map is no sample.** It has no noise; compare it with measured maps on a scale on which their noise is known.
#
# ## Key points
#
# - A part of a network takes part if it has a gradient and if the output changes with its input. Both are one line of code.
# - A loss can go down while a head is saturated: look at what is predicted.
# - Scale by what training holds, not by each window; what is divided away cannot be predicted from.
# - Give a model what is known as a start, and let it learn what is added.
# - Counts have a likelihood. Its share that divides among cell types is small, and is what was asked for.
# - Look at what is specific to the cell type. A model that does not look at expression can score high on all else.
#
# ## Exercises
#
# > **Exercise** The sign of an encoding is arbitrary. Turn all of them over, `1 - encodings`, and predict with the published
# > network. Does the prediction stay?
#
# <details><summary>Solution</summary>
#
# ```python
# turned = [given[0], 1 - given[1], given[2]]
# with torch.no_grad():
#     maps = network(*given)
#     change = (network(*turned) - maps).abs()
# print(float(change.max()), float(maps.std()))
# ```
#
# It changes, by several times the spread of the pixels. Nothing in the input is different: the two sets of encodings
# say the same about the bulk map. The network would have to learn all combinations of signs, of which there are
# $2^{16}$. The default needs no encodings.
#
# </details>
#
# > **Exercise** Give the fitted default the expression of another cell type at the same place. Is the prediction nearer to the map of that
# > type?
#
# <details><summary>Solution</summary>
#
# ```python
# kinds = test.table["cell_type"].to_numpy()
# rows_of = {kind: np.flatnonzero(kinds == kind) for kind in types}
# beta, gamma = rows_of["beta_mature"], rows_of["gamma_mature"]
# swapped = test[beta]
# swapped.tracks[:, :, :2] = test.tracks[gamma][:, :, :2]
# print(np.array_equal(model.predict(swapped), model.predict(test[gamma])))
# ```
#
# It *is* the prediction for that type, to the last bit. Bulk map, CTCF, CpG and the reference are the same in all cell
# types of a place; own expression is all that tells them apart.
#
# </details>
#
# > **Exercise** Leave `contrast_weight` out: `ScGrapHiC(contrast_weight=0.0, n_steps=300, seed=seed)`. Which score changes?
#
# <details><summary>Solution</summary>
#
# ```python
# scores(ScGrapHiC(contrast_weight=0.0, n_steps=300, seed=seed).fit(train).predict(test))
# ```
#
# The dC falls clearly; the SCC hardly moves. Nearly all of the likelihood of the counts is about what all cell types
# share, so a model that looks at nothing else loses little of it.
#
# </details>
#
# ## Further reading
#
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): scGrapHiC.
# - [Liu et al. 2023](https://doi.org/10.1126/science.adg3797): contacts and expression of the same single cells.
# - [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117): the stratum-adjusted correlation.
# - [Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148): visibility, and what balancing takes out.
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): what measured maps agree on.
