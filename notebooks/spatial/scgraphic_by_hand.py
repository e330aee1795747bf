# %% [markdown]
# # scGrapHiC by hand
#
# The published network, built piece by piece and checked against the package's.
#
# > **Learning goals**
# > - [turn a contact map into a graph, and the bins' places in it into encodings](#the-bulk-map-as-a-graph);
# > - [write attention over bins](#bins-that-look-at-each-other), attention along a graph, and a decoder of pairs of bins;
# > - [check a network of your own against another](#the-same-numbers), number by number.
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb).
# >
# > **Time**: 19 min to read, 1 min to run.

# %% tags=["colab"]
# Google Colab only: install the book's package beside the numpy, pandas and torch that are there.
import importlib.metadata
import subprocess
import sys

if "google.colab" in sys.modules:
    keep = [f"{p}=={importlib.metadata.version(p)}" for p in ("numpy", "pandas", "torch")]
    source = "scstlib @ git+https://github.com/scstlib/scstlib@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *keep, source], check=True)
    print(importlib.import_module("scstlib.pages").runtime())

# %% tags=["parameters"]
profile = "fast"
seed = 0

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.models import PublishedScGrapHiC
from scstlib.models.spatial.scgraphic.published_inputs import published_tracks
from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.pages import Claims
from scstlib.plots import BLUE, ORANGE, book_style
from scstlib.preprocess.contacts import laplacian_encodings, normalise_depth
from scstlib.preprocess.organism_windows import organism_windows
from scstlib.preprocess.tracks import scale_per_window
from scstlib.splits import hold_out_chromosomes

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## A map that nobody measured
#
# You have single-cell expression of every cell type in a tissue, and one deep contact map of it: the
# [bulk](../../book/glossary.md#bulk). What does the [contact map](../../book/glossary.md#contact-map) of *one* cell
# type look like? Most of it you know already, because at any one place the maps of all cell types are alike. What is
# missing is the difference, and expression is what you have to guess it from.
#
# scGrapHiC ([Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223)) learns to guess it from cell types
# in which both were measured. It works on square [windows](../../book/glossary.md#window) along the diagonal.
#
# ![A column of boxes from top to bottom. Tracks of the cell type (expression, CTCF, CpG) go into a convolution along the genome with four attention blocks and a sigmoid. Its features are joined with encodings. A graph convolution over the bulk map follows, whose outgoing arrow is crossed out: as published, its result is not used; a line leads around it. Then four attention blocks, the products of all pairs of bins, and seven residual blocks of convolutions with a last 7 by 7 convolution and a sigmoid, which give the predicted map. On the right the bulk map: it gives 16 positional encodings, which enter the first box and the joint, and a dashed arrow to the graph convolution as its edges.](../../book/_static/diagrams/scgraphic_published.svg)
#
# *Expression and the bulk map's encodings become features of bins, pairs of bins become pixels; the graph convolution is computed, but its result is not used.*
#
# The cells come from a simulated organism, so the truth is known. The bulk map is of stem cells, and the model is
# trained on [pseudo-bulks](../../book/glossary.md#pseudo-bulk) of 200 cells each. Windows have 64 bins of 50 kb: half
# of the authors' 128, at a quarter of the cost.

# %%
types = ["stem", "beta_mature", "gamma_mature"]
organism = simulate_organism(seed=seed, preset="small")
chroms = organism.chromosomes[:3]
windows = organism_windows(organism, types, chroms, window=64, seed=seed)[0]
split = hold_out_chromosomes(windows, test=chroms[2])

# %% [markdown]
# ## The network, piece by piece
#
# The pieces follow the public code (`rsinghlab/scGrapHiC` at commit `8019e1f`) in the authors' sizes. Linear layers,
# convolutions and normalisations are PyTorch's; what is done with them is written out. Their weights come from the
# package's `PublishedScGrapHiC`, trained for a few steps so that none keeps its initial value. At the end, every piece
# is compared with the package's.

# %%
short = PublishedScGrapHiC(epochs=1, batch_size=4, seed=seed)
network = short.fit(split.train[::12]).network_.double().eval()
layers = dict(network.named_modules())
print(f"{sum(w.numel() for w in network.parameters()):,} weights")

# %% [markdown]
# ### Maps and tracks on one scale
#
# Maps differ in [depth](../../book/glossary.md#depth), and their pixels span orders of magnitude. So each window is
# scaled to 25,000 reads, transformed by `log1p` and divided by its maximum. Targets are then smoothed by soft
# thresholding: each eigenvalue of the map moves 0.25 towards 0, and those closer to 0 than that vanish. The five
# [tracks](../../book/glossary.md#track) (expression and CTCF motifs on both strands, and CpG) are scaled to $[0, 1]$
# within each window.

# %%
test = split.test
bulk_maps = normalise_depth(test.bulk)
tracks = scale_per_window(published_tracks(test).tracks)

# %% [markdown]
# ### The bulk map as a graph
#
# Bins are nodes, contacts are weights of edges. Where in this graph does a bin lie? Think of curves along the window that
# change little between bins in contact: bins of one neighbourhood then have similar values. Such curves are the
# eigenvectors with small eigenvalues of the graph's Laplacian $L$,
#
# $$\begin{aligned}L &= I - D^{-1/2} A D^{-1/2},\\ D_{ii} &= \textstyle\sum_j A_{ij},\end{aligned}$$
#
# where $A$ is the scaled map without its diagonal. The first eigenvector after the trivial one cuts the window in two.
# Sixteen of them are the **positional encodings**, each divided by its largest entry and moved to $[0, 1]$.

# %%


def encode(maps, k=16):
    """Positional encodings (n, bins, k) of scaled maps."""
    eye = np.eye(maps.shape[-1])
    graph = maps * (1 - eye)
    degree = graph.sum(axis=-1)
    scale = np.where(degree > 0, degree, np.inf) ** -0.5
    laplacian = eye - graph * scale[:, :, None] * scale[:, None, :]
    laplacian += 2 * eye * (degree == 0)[:, None]  # an empty bin comes last
    vectors = np.linalg.eigh(laplacian)[1][:, :, 1 : k + 1]
    at = np.abs(vectors).argmax(axis=1)[:, None]
    return (vectors / np.take_along_axis(vectors, at, axis=1) + 1) / 2


# %% caption="The first two encodings in two neighbouring windows (blue, orange), which share a part of their bins. An encoding says where a bin lies in *its own* window: where the windows overlap, the two need not agree." alt="Two panels, one an encoding, from 0 to 1 against the position in Mb. In each a blue and an orange curve, flat in places with steps between, overlap in the middle third without agreeing." name="fig-space-encodings" tags=["hide-input"]
encodings = encode(bulk_maps)
stem = np.flatnonzero(test.table["cell_type"] == "stem")
fig, axes = plt.subplots(2, 1, figsize=(5.4, 3.6), sharex=True, sharey=True)
for k, ax in enumerate(axes):
    for row, color in zip(stem[6:8], (BLUE, ORANGE), strict=True):
        middle = test.table["start"][row] / 1e6 + (np.arange(64) + 0.5) / 20
        ax.plot(middle, encodings[row, :, k], color=color)
    ax.set_ylabel(f"encoding {k + 1}")
axes[1].set_xlabel("position (Mb)")
plt.show()

# %% [markdown]
# ### Bins that look at each other
#
# The tracks and encodings of each bin are joined and go through a convolution along the genome, 16 bins wide. Four
# **attention blocks** follow. In each, a bin asks with a query $q$, all bins answer with keys $k$ and values $v$, and
# the bin takes the mean of the values, weighted by how well each key fits its query. Then a small network works on each
# bin by itself. Each of the two results is added to what was there before.

# %%


def attention_block(name, x):
    """Bins (n, bins, channels) that have looked at each other."""
    known = layers[f"{name}.ln1"](x)
    q, k, v = (layers[f"{name}.attn.fc_{part}"](known) for part in "qkv")
    weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
    x = x + layers[f"{name}.attn.fc_o"](weights @ v)
    hidden = layers[f"{name}.ffn.fc1"](layers[f"{name}.ln2"](x)).relu()
    return x + layers[f"{name}.ffn.fc2"](hidden)


# %% [markdown]
# ### Bins that look along the graph
#
# A **graph convolution** (GATv2) is attention too, but bin $i$ looks only at bins $j$ with which it has contacts, and
# their scaled number $A_{ij}$ enters the weight ($\sigma$ is a leaky ReLU):
#
# $$\begin{aligned}e_{ij} &= a^\top \sigma(W_r x_i + W_l x_j + w_e A_{ij}),\\ \alpha_{ij} &= \text{softmax}_j\, e_{ij},\\
# x_i' &= \textstyle\sum_j \alpha_{ij} W_l x_j + b .\end{aligned}$$
#
# In the public code, the line after the convolution goes on with its *input* instead of its output
# (`GraphConvolution.forward` in `src/models/Encoder.py`). The switch `fix` chooses between the two.

# %%


def gatv2(layer, x, bulk):
    """Attention along the edges of the bulk map."""
    eye = torch.eye(bulk.shape[-1], dtype=torch.bool)
    others = bulk.masked_fill(eye, 0)
    own = others.sum(-1) / (others != 0).sum(-1).clamp(min=1)
    edges = torch.where(eye, own[..., None], others)
    source, target = layer.lin_l(x), layer.lin_r(x)
    pairs = target[:, :, None] + source[:, None]
    pairs = pairs + layer.lin_edge(edges[..., None])
    score = (functional.leaky_relu(pairs, 0.2) * layer.att[0, 0]).sum(-1)
    score = score.masked_fill((others == 0) & ~eye, -torch.inf)
    return score.softmax(-1) @ source + layer.bias


def graph_block(name, x, bulk, fix=False):
    """The input and the normalised convolution; as published, itself."""
    inner, norm = x, layers[f"{name}.bn"]
    if fix:
        inner = gatv2(layers[f"{name}.conv"], x, bulk)
        inner = layers[f"{name}.linear"](inner).relu()
    inner = inner - inner.mean(1, keepdim=True) * norm.mean_scale
    inner = inner / (inner.square().mean(1, keepdim=True) + 1e-5).sqrt()
    return x + inner * norm.weight + norm.bias


# %% [markdown]
# ### From bins to pairs
#
# A contact belongs to two bins. After four more attention blocks each bin has a vector of numbers, its *latents*. Those
# of two bins are multiplied, number by number. A 1×1 convolution, seven residual blocks of 3×3 convolutions and a 7×7
# convolution turn each pair into one number, which a sigmoid brings into $[0, 1]$.

# %%


def decode(z, name="decoder"):
    """Maps (n, bins, bins) of latents (n, bins, channels)."""
    z = z.transpose(1, 2)
    x = layers[f"{name}.hidden.conv"](z[:, :, :, None] * z[:, :, None, :])
    x = functional.leaky_relu(x, 0.2)
    for i in range(7):
        conv1, bn1, conv2, bn2 = layers[f"{name}.resblocks.{i}"].children()
        inner = bn1(conv1(x))
        x = x + bn2(conv2(inner * inner.sigmoid()))
    return layers[f"{name}.conv"](x)[:, 0].sigmoid()


# %% [markdown]
# ### The same numbers
#
# The folded cell joins the pieces as in the diagram and compares them with the package's on three windows, once with
# the graph block as published and once with it mended:

# %% tags=["hide-input"]


def node_features(tracks, encodings, name="chipseq_processor"):
    """Convolution and attention: (n, bins, channels), in (0, 1)."""
    convolution = layers[f"{name}.feature_extractor"]
    width = convolution.kernel_size[0]
    x = torch.cat([tracks, encodings], -1).transpose(1, 2)
    x = convolution(functional.pad(x, ((width - 1) // 2, width // 2)))
    x = layers[f"{name}.batch_norm_0"](functional.leaky_relu(x))
    x = x.transpose(1, 2)
    for i in range(4):
        x = attention_block(f"{name}.encoder_blocks.{i}", x)
    return x.sigmoid()


def graph_encoder(nodes, encodings, bulk, fix=False, name="graph_encoder"):
    """Latents (n, bins, channels): join, graph, attention."""
    nodes = layers[f"{name}.x_norm"](nodes.transpose(1, 2))
    places = layers[f"{name}.pe_norm"](encodings.transpose(1, 2))
    nodes = layers[f"{name}.node_emb"](nodes.transpose(1, 2))
    places = layers[f"{name}.pe_lin"](places.transpose(1, 2))
    x = torch.cat([nodes, places], -1)
    x = graph_block(f"{name}.convs.0", x, bulk, fix)
    for i in range(4):
        x = attention_block(f"{name}.encoder_blocks.{i}", x)
    return x


given = [torch.as_tensor(a[:3]).double() for a in (tracks, encodings, bulk_maps)]
mended = ScGrapHiCNetwork(5, graph_fix=True).double().eval()
mended.load_state_dict(network.state_dict())
with torch.no_grad():
    nodes = node_features(*given[:2])
    z, z_mended = (graph_encoder(nodes, *given[1:], fix=fix) for fix in (False, True))
    compared = {
        "features of bins": (nodes, network.chipseq_processor(*given[:2])),
        "latents of bins": (z, network.graph_encoder(nodes, *given[1:])),
        "latents, mended": (z_mended, mended.graph_encoder(nodes, *given[1:])),
        "predicted maps": (decode(z), network(*given)),
        "predicted maps, mended": (decode(z_mended), mended(*given)),
    }
off = {name: float((a - b).abs().max()) for name, (a, b) in compared.items()}
theirs = laplacian_encodings(bulk_maps, 16)
by_sign = [np.abs(each - theirs).max(axis=1) for each in (encodings, 1 - encodings)]
off["encodings up to their sign"] = float(np.minimum(*by_sign).max())
text = "Features, latents and predicted maps, published and mended, agree to six decimal places,"
claim(f"{text} and so do the encodings, up to their sign.", max(off.values()) < 1e-6)

# %% [markdown]
# The package, in turn, is tested against values of the authors' code. Which of the parts do their work, and what
# becomes of the prediction when one is changed, is the subject of [Limits of the published
# scGrapHiC](scgraphic_limits.ipynb).
#
# ## Check yourself
#
# <details><summary>Through which inputs does the prediction learn about the cell type?</summary>
#
# Through two of its five tracks: expression on the + and the − strand. CTCF motifs, CpG and everything made from the
# bulk map are the same for all cell types at a place.
#
# </details>
#
# <details><summary>Attention lets every bin look at all others. What could the graph convolution add?</summary>
#
# The number of contacts as a weight. Attention weighs a bin by what it *is*, the graph by how often it is *met*.
#
# </details>
#
# <details><summary>Why does the decoder multiply the latents of two bins?</summary>
#
# A product depends on both: two active bins give a large value, an active and an inactive bin a small one. It is also
# the same for (i, j) and (j, i), as a contact is.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Attention mixes the tracks with positional encodings of the bulk map; products of two bins become pixels.
# - A graph convolution is attention whose weights know the edges; as published, its output is not used.
# - Building a network by hand tests it and the package alike: one number that differs shows a fault in either.
#
# ## Exercises
#
# > **Exercise** The sign of an encoding is arbitrary: `1 - encodings` says the same of the bulk map. What does `network` predict from it? `given` holds tracks,
# > encodings and maps.

# %% tags=["solution"]
### BEGIN SOLUTION
with torch.no_grad():
    answer = network(given[0], 1 - given[1], given[2])
### END SOLUTION
checks.moved_by_signs(answer, network, given)

# %% [markdown]
# > **Exercise** Hide the number of contacts from both networks: give them `(given[2] > 0).double()` as a graph. How far
# > does each prediction move?
#
# <details><summary>Solution</summary>
#
# ```python
# for net in (network, mended):
#     moved = net(*given[:2], (given[2] > 0).double()) - net(*given)
#     print(float(moved.abs().max()))
# ```
#
# The mended prediction moves, the published one not at all: its graph leads nowhere.
#
# </details>
#
# ## Further reading
#
# - [Liu et al. 2023](https://doi.org/10.1126/science.adg3797): contacts and expression of the same single cells, on which scGrapHiC was trained.
