# %% [markdown]
# # Limits of the published scGrapHiC
#
# Which parts of the network do their work, shown by changing one at a time.
#
# > **Learning goals**
# > - [show with a gradient](#the-graph-convolution-takes-no-part), and with an exchanged input, whether a part of a network has any effect;
# > - [see the head of a network](#the-head-saturates), its last layer, saturate, and say why the loss need not show it;
# > - [say why nothing can be predicted from a level that was scaled away](#tracks-lose-their-level).
# >
# > **Before**: [scGrapHiC by hand](scgraphic_by_hand.ipynb).
# >
# > **Time**: 18 min to read, 1 min to run.

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

# %%
from dataclasses import replace
from itertools import pairwise, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.models.spatial.scgraphic.published_inputs import published_tracks, read_inputs
from scstlib.models.spatial.scgraphic.published_network import ScGrapHiCNetwork
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, ORANGE, book_style
from scstlib.preprocess.contacts import normalise_depth, smooth_eigenvalues
from scstlib.preprocess.organism_windows import organism_windows
from scstlib.preprocess.tracks import TrackScaler, scale_per_window
from scstlib.training import seeded_weights

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## Does every part do something?
#
# A network can run, and its loss go down, while one part of it does nothing. No warning tells you: the other parts learn
# around the gap. Two questions find such a part. Does the gradient of the loss reach its weights? And does the output
# change when its input is exchanged?
#
# ![A column of boxes from top to bottom. Tracks of the cell type (expression, CTCF, CpG) go into a convolution along the genome with four attention blocks and a sigmoid. Its features are joined with encodings. A graph convolution over the bulk map follows, whose outgoing arrow is crossed out: as published, its result is not used; a line leads around it. Then four attention blocks, the products of all pairs of bins, and seven residual blocks of convolutions with a last 7 by 7 convolution and a sigmoid, which give the predicted map. On the right the bulk map: it gives 16 positional encodings, which enter the first box and the joint, and a dashed arrow to the graph convolution as its edges.](../../book/_static/diagrams/scgraphic_published.svg)
#
# *Expression and the bulk map's encodings become features of bins, pairs of bins become pixels; the graph convolution is computed, but its result is not used.*
#
# Each observation on this page is about the public code of scGrapHiC ([Murtaza et al.
# 2024](https://doi.org/10.1093/bioinformatics/btae223); `rsinghlab/scGrapHiC` at commit `8019e1f`). Where one thing can
# be mended alone, a setting of `PublishedScGrapHiC` does so and leaves the rest as it is.
#
# The windows are those of [scGrapHiC by hand](scgraphic_by_hand.ipynb): 64 bins of 50 kb of the simulated organism, with
# targets of 200 cells.

# %%
kinds = ["stem", "beta_mature", "gamma_mature"]
organism = simulate_organism(seed=seed, preset="small")
chroms = organism.chromosomes[:2]
windows = organism_windows(organism, kinds, chroms, window=64, seed=seed)[0]

# %% tags=["hide-input"]
read = read_inputs(windows, None, 16)
inputs = read._replace(
    features=torch.as_tensor(read.features, dtype=torch.float32),
    encodings=torch.as_tensor(read.encodings, dtype=torch.float32),
    bulk=torch.as_tensor(read.bulk, dtype=torch.float32),
)
scaled_targets = smooth_eigenvalues(normalise_depth(windows.targets))
wanted = torch.as_tensor(scaled_targets, dtype=torch.float32)

# %% [markdown]
# ## The graph convolution takes no part
#
# In the public code, the line after the graph convolution goes on with its *input* instead of its output
# (`GraphConvolution.forward` in `src/models/Encoder.py`). The setting `graph_fix` mends this. One pass forwards and one
# backwards show which weights the loss reaches:

# %%
nets = {}
for name in ("as published", "mended"):
    with seeded_weights(seed):  # the same first weights
        nets[name] = ScGrapHiCNetwork(5, graph_fix=name == "mended").eval()
given, goal = inputs.of(np.arange(4)), wanted[:4]
unreached = {}
for name, net in nets.items():
    (net(*given) - goal).square().mean().backward()
    weights = dict(net.named_parameters())
    unreached[name] = [w for w in weights if weights[w].grad is None]

# %% [markdown]
# Now the second question: how much does the prediction, a number between 0 and 1 for each pixel, change when the graph is
# exchanged for a random one, or taken away? The encodings stay as they are, and the largest change of a pixel counts.

# %%
generator = torch.Generator().manual_seed(seed)
noise = torch.rand(given[2].shape, generator=generator)
graphs = {"random": noise + noise.transpose(1, 2), "no": 0 * given[2]}
rows = {}
for name, net in nets.items():
    count = sum(net.get_parameter(w).numel() for w in unreached[name])
    rows[name] = {"weights not reached": count}
    for kind, graph in graphs.items():
        with torch.no_grad():
            change = net(*given[:2], graph) - net(*given)
        rows[name][f"change, {kind} graph"] = float(change.abs().max())
table(pd.DataFrame(rows).T.astype({"weights not reached": int}))

# %% tags=["hide-input"]
inside = ("graph_encoder.convs.0.conv", "graph_encoder.convs.0.linear")
claim(
    f"As published, {rows['as published']['weights not reached']:,} weights have no gradient, all of them in the graph"
    " convolution and the linear layer after it, and the prediction is the same to the last bit for any graph. Mended,"
    " every weight is reached and the graph matters. So in the published network the bulk map enters through the encodings"
    " alone: sixteen curves along a window. Its pixels never reach the decoder.",
    all(w.startswith(inside) for w in unreached["as published"]),
    rows["as published"]["weights not reached"] > 0,
    rows["as published"]["change, random graph"] == rows["as published"]["change, no graph"] == 0,
    not unreached["mended"],
    min(rows["mended"][f"change, {kind} graph"] for kind in graphs) > 1e-5,
)

# %% [markdown]
# ## Encodings have no sign
#
# The encodings are eigenvectors, and an eigenvector times −1 is an eigenvector too. Nothing ties its sign in
# one window to its sign in the next. Do neighbouring windows agree where they overlap?

# %% tags=["hide-input"]
stem = np.flatnonzero(windows.table["cell_type"] == "stem")
chrom, code = windows.table["chrom"].to_numpy(), read.encodings[read.map_of]
agree = np.array([
    [np.corrcoef(code[a, 32:, k], code[b, :32, k])[0, 1] for k in range(2)]
    for a, b in pairwise(stem) if chrom[a] == chrom[b]
])  # fmt: skip
against = (agree < 0).mean(axis=0)
claim(
    "In the bins that two neighbouring windows share, the first encoding runs in opposite directions in"
    f" {against[0]:.0%} of {len(agree)} pairs of windows, the second in {against[1]:.0%}. The model cannot read an"
    " encoding as a place on the genome.",
    against.max() > 0.15,
)

# %% [markdown]
# ## The head saturates
#
# The head is the last convolution and the sigmoid after it. Before training, the predicted pixels spread over the whole
# range from 0 to 1, while those of the targets are mostly low. So the first steps push all pixels down together: the
# optimiser, AdamW, moves each of the 1,568 weights of the last convolution by about the learning rate, however small its
# gradient. Near 0 the sigmoid is flat, and hardly any gradient is left to bring a pixel back. The mended head
# (`head_init="mended"`) starts at the mean of the targets, with the last convolution at 0.

# %%


def first_steps(mended, draw, steps=6):
    """Share of pixels below 0.01 before each of the first steps."""
    network, rng = ScGrapHiCNetwork(5), np.random.default_rng(draw)
    if mended:
        network.start_at(float(wanted.mean()))
    optimizer, shares = torch.optim.AdamW(network.parameters(), lr=1e-3), []
    for _ in range(steps):
        some = rng.choice(len(wanted), 4, replace=False)
        maps = network(*inputs.of(some))
        optimizer.zero_grad()
        (maps - wanted[some]).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
        shares.append(float((maps < 0.01).float().mean()))
    return shares


heads = {}
for kind, s in product(("published", "mended"), (0, 1)):
    with seeded_weights(seed + s):
        heads[kind, s] = first_steps(kind == "mended", seed + s)

# %% tags=["hide-input"] caption="Share of pixels that are predicted below 0.01 in the first steps of training, two seeds each. The published head sends most pixels there at once; in the targets few are that low (dashed)." alt="Four lines over six steps and a dashed line near 0. Two orange lines jump to most of the pixels at the second step and fall back; two blue ones stay near the dashed line." name="fig-space-head"
fig, ax = plt.subplots(figsize=(5.4, 2.8))
for (kind, s), shares in heads.items():
    color = ORANGE if kind == "published" else BLUE
    label = f"{kind} head" if s == 0 else None
    ax.plot(shares, "o-", color=color, ms=3, lw=1, label=label)
low = float((wanted < 0.01).float().mean())
ax.axhline(low, color=GREY, ls="--", lw=1, label="targets")
ax.set(xlabel="step", ylabel="share of pixels\nbelow 0.01", ylim=(-0.02, 1))
ax.legend(fontsize="small")
plt.show()

# %% tags=["hide-input"]
highest = {key: max(shares) for key, shares in heads.items()}
published = [highest["published", s] for s in (0, 1)]
mended = [highest["mended", s] for s in (0, 1)]
claim(
    f"With the published head {min(published):.0%} and {max(published):.0%} of the pixels (two seeds) lie below 0.01 at the"
    f" worst step, with the mended head at most {max(mended):.0%}; in the targets it is {low:.0%}. How fast the model recovers"
    " depends on the seed and on the windows: on longer windows, whose targets are emptier, it takes longer.",
    min(published) > 0.4,
    max(mended) < min(published),
    low < 0.1,
)

# %% [markdown]
# ## Tracks lose their level
#
# Each track is scaled to [0, 1] within each window. So a cell type in which every gene of a window is twice as active
# has the same features: the shape within the window is left, the level is gone, and nothing can be predicted from what
# was divided away. The setting `feature_scaling="global"` scales by the range of all training windows instead.

# %%
known = published_tracks(windows)
louder = replace(known, tracks=2 * known.tracks)
scaler = TrackScaler("minmax").fit(known)
ways = {
    "by window": lambda windows: scale_per_window(windows.tracks),
    "global": lambda windows: scaler.transform(windows).tracks,
}
change = {name: way(louder) - way(known) for name, way in ways.items()}
largest = {name: np.abs(c[:, :, :2]).max() for name, c in change.items()}

# %% tags=["hide-input"]
claim(
    "When expression doubles in every window, features that are scaled by window change by at most"
    f" {largest['by window']:.2f}. Those that are scaled globally change by up to {largest['global']:.2f}, the whole range of"
    " the training windows.",
    largest["by window"] < 1e-3,
    largest["global"] > 0.9,
)

# %% [markdown]
# ## The map is not symmetric
#
# A contact of $i$ with $j$ is one of $j$ with $i$, and the product of latents keeps that. A convolution does not,
# unless its kernel equals its own transpose. The public code gives the last convolution such a kernel, but only before
# training; the 3×3 ones are free from the start. With `symmetrize` the two triangles are averaged, in training too.
# `predict` averages them in any case, and `raw_output` gives the map as the network made it.

# %% tags=["hide-input"]
with torch.no_grad():
    maps = nets["as published"](*given)
    apart = float((maps - maps.transpose(1, 2)).abs().max())
    symmetric = ScGrapHiCNetwork(5, symmetrize=True).eval()
    averaged = symmetric(*given)
rest = float((averaged - averaged.transpose(1, 2)).abs().max())
claim(
    f"Before training, the two triangles of a predicted map differ by up to {apart:.3f}; with"
    f" `symmetrize`, by {rest:.0f}.",
    apart > 1e-3,
    rest == 0,
)

# %% [markdown]
# ## How far it gets
#
# A few steps say nothing about a trained model. [The
# benchmarks](../../book/reproducibility.md#contact-maps-of-cell-types) train the published model, its head mended, for
# as long as is practical without a GPU. Its score was still rising when training stopped, so they report how far it got,
# not how far it can get: a [stratum-adjusted correlation](../../book/glossary.md#stratum-adjusted-correlation-scc) of
# 0.573 with the measured maps. The copied bulk map has 0.739. Why, then, should a model that is *given* the bulk map
# have to find it again, through sixteen curves and a decoder? [scGrapHiC, the package's](scgraphic_package.ipynb)
# starts from it.
#
# ## Check yourself
#
# <details><summary>The loss of a network goes down. Does that show that all of its parts learn?</summary>
#
# No. The parts that are reached lower the loss by themselves. Only the gradient of each weight, or an exchanged input,
# shows whether a part has any effect.
#
# </details>
#
# <details><summary>Why does the loss not show that the head has saturated?</summary>
#
# Targets are low on average, so a map of zeros has a smaller squared error than the map of an untrained network. Look
# at what is predicted, not at the loss alone.
#
# </details>
#
# <details><summary>Would more training bring back the level of expression in the published model?</summary>
#
# No. It is divided away before the network sees it; two cell types that differ only in level have the same input.
#
# </details>

# %% [markdown]
# ## Key points
#
# - A part of a network has an effect if its weights have a gradient and the output changes with its input. A few lines
#   check each of the two.
# - The loss need not show that a head has saturated: look at what is predicted.
# - Scale by the range of all training windows, not by that of each window.
# - Change one thing at a time, from the same initial weights, or you will not know what made the difference.
#
# ## Exercises
#
# > **Exercise** `audit.gradient_flow` and `audit.input_use` of `scstlib` ask the two questions of any PyTorch model. Ask
# > them of `nets["mended"]`.
#
# <details><summary>Solution</summary>
#
# ```python
# from scstlib import audit
#
# net = nets["mended"]
# loss = lambda rows: (net(*inputs.of(rows)) - wanted[rows]).square().mean()
# print(audit.gradient_flow(net, loss, [np.arange(4), np.arange(8, 12)]).text)
# parts = dict(zip(("tracks", "encodings", "bulk"), given))
# print(audit.input_use(lambda **x: net(*x.values()).detach(), parts).text)
# ```
#
# No finding: every weight is reached, and every input matters.
#
# </details>
#
# > **Exercise** Make the first `maps` symmetric, so that each pair of bins has one value and no prediction is lost.

# %% tags=["solution"]
### BEGIN SOLUTION
answer = (maps + maps.transpose(1, 2)) / 2
### END SOLUTION
checks.made_symmetric(answer, maps)

# %% [markdown]
# ## Further reading
#
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): scGrapHiC.
# - [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117): the stratum-adjusted correlation.
