# %% [markdown]
# # scGrapHiC, the package's
#
# What the default model does differently, why, and what each of its parts brings.
#
# > **Learning goals**
# > - [take a bulk map apart into distance, visibility and the rest](#the-bulk-map-taken-apart), and start a prediction from it;
# > - [say why the network reads every place twice](#pairs-of-bins-and-one-place-read-twice), and what is 0 by construction;
# > - [say what a loss on counts rewards](#a-loss-on-counts), and what one on how counts divide among cell types rewards;
# > - [tell which scores a model can reach without looking at expression](#what-each-part-brings).
# >
# > **Before**: [Limits of the published scGrapHiC](scgraphic_limits.ipynb); [What a score
# > rewards](../pitfalls/what_a_score_rewards.ipynb) helps.
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

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.models import ScGrapHiC
from scstlib.models.spatial import BulkRidge, BulkSmoothed, contact_scores, mean_at_places
from scstlib.models.spatial.scgraphic.features import bulk_guide, view_bulk, with_neighbours
from scstlib.models.spatial.scgraphic.network import from_triangle
from scstlib.pages import Claims, table
from scstlib.plots import book_style, contact_map
from scstlib.preprocess.guides import bin_features
from scstlib.preprocess.organism_windows import organism_windows
from scstlib.splits import hold_out_chromosomes
from scstlib.viewers import map_viewer

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## Start from what is known
#
# A model is given the bulk map and asked for the map of a cell type. The copied bulk is already a good answer. Why should a
# network have to find it again? The package's `ScGrapHiC` keeps the task of the published model but starts from the other end: the
# prediction *is* the bulk map without its noise, times a factor for each pixel. The network learns these factors, which all start
# at 1.
#
# ![Three blocks of logarithms, added up. Base: the bulk map equals the contacts expected from distance and visibility, times the rest, a speckled map, which is smoothed. Shift: two falling curves of contacts by distance, a solid one of the training maps and a dashed one of the bulk; the gap between them is one number a distance. Residual: one network with the bulk map is read twice, with the guide of the cell type and with the guide of the bulk's cells; the difference of the two is what the cell type adds, zero where both agree; a common part is added for all types. At the bottom: depth times the exponential of the sum gives the expected contacts, a symmetric map.](../../book/_static/diagrams/scgraphic_default.svg)
#
# *The prediction starts from the bulk map without its noise; the network adds only what the guide of the cell type says beyond that of the bulk's cells.*
#
# In logarithms, the expected number of contacts of bins $i$ and $j$ is a sum:
#
# $$\begin{aligned}\log \mu_{ij} = {}& \log \text{depth} + \text{base}_{ij} \\ &+ \text{shift}_{|i-j|} + \text{residual}_{ij} .\end{aligned}$$
#
# | part | as published | default |
# |---|---|---|
# | bulk map | encodings | the start of the prediction |
# | expression | scaled by window | log values and their differences from other cells |
# | pairs of bins | product | product, path between, distance, bulk map |
# | decoder | 14 convolutions, full resolution | small U-Net, half resolution |
# | trained on | smoothed map, squared error | counts of known depth, likelihood |
# | symmetric | after averaging | by construction |
#
# The data are five cell types of the simulated organism, in windows of 64 bins, with four chromosomes to train on and one held
# out. Targets are pseudo-bulks of 200 cells; the truth, the contacts to be expected, is used for scores only.

# %%
five = ["stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature"]
organism = simulate_organism(seed=seed, preset="small")
chroms = organism.chromosomes[:5]
settings = {"window": 64, "seed": seed}
windows, truth = organism_windows(organism, five, chroms, **settings)
split = hold_out_chromosomes(windows, test=chroms[4])
train, test = split.train, split.test
truth = truth[(windows.table["chrom"] == chroms[4]).to_numpy()]
model = ScGrapHiC(n_steps=200, crop=32, seed=seed).fit(train)

# %% [markdown]
# ## The bulk map, taken apart
#
# Most of a contact map comes from distance and [visibility](../../book/glossary.md#visibility): near bins meet often, and some
# bins are seen better than others. Both can be estimated from many pixels. What is left, observed over expected, is structure and
# noise. Where contacts are many, a single pixel tells something; where they are few, only an average does. So the ratio is
# averaged at four widths, and the network learns a mixture of the four that depends on the expected number of contacts. The
# mixture times the expected contacts is the *base*.

# %%
given = (test.bulk, test.mask, model.log_decay_)
view = view_bulk(*(torch.as_tensor(each) for each in given))
network = model.network_.eval()
with torch.no_grad():
    base = from_triangle(network.base(view), 64).numpy()

# %% tags=["hide-input"] caption="The bulk map of one window, taken apart: what distance and visibility give; observed over expected as measured, and averaged with a width of 1.6 bins; and the base, which keeps the structure of the map and loses its speckle." alt="Four square heat maps. Expected is a smooth band along the diagonal with faint stripes. Observed over expected shows red squares on blue, speckled when measured and smooth when averaged. The base looks like a bulk map without speckles." name="fig-space-base"
mean_truth = mean_at_places(truth, test, test)
size = np.abs(np.log((truth + 1) / (mean_truth + 1))).mean(axis=(1, 2))
one = int((size * (test.table["cell_type"] == "beta_mature")).argmax())
place = dict(zip(("start", "end"), test.table.loc[one, ["start", "end"]], strict=True))
logs = view.maps[one].numpy()  # of the ratio at four widths, and of what is expected
seen = test.mask[one] & test.mask[one][:, None]
shown = {
    "expected": np.exp(logs[-1]) * seen, "observed / expected": logs[0] / np.log(2),
    "averaged": logs[2] / np.log(2), "base": np.exp(base[one]) * seen,
}  # fmt: skip
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.6), gridspec_kw={"hspace": 0.1})
for ax, (name, values) in zip(axes.flat, shown.items(), strict=True):
    log = name in ("expected", "base")
    label, limits = ("contacts", None) if log else ("log₂ ratio", (-3, 3))
    contact_map(ax, values, **place, log=log, label=label, limits=limits)
    ax.set_title(name)
plt.show()

# %% [markdown]
# The *shift* is one number for each distance: by how much the mean training map decays differently from the bulk map. Base and
# shift know nothing of the cell type.
#
# ## What expression says
#
# Expression $x$ enters as $\log(1 + x / f)$, where $f$ is a small share of the mean: twice the expression counts for as much in a low
# gene as in a high one, down to levels that are lost in counting noise. The logarithm comes before the two strands are summed;
# otherwise a high gene would hide a low one on the other strand. Beside the sum, the network gets its differences from the mean of
# the training types and from the cells of the bulk map, which say outright what is different in this cell type. Each of these is
# divided by its spread over the training windows, and given again as averages over bins around, of two widths.

# %% [markdown]
# ## Pairs of bins, and one place read twice
#
# ![At the top a genome with bins; two of them, i and j, are joined by an arc. Between them small bars, the steps, one of them tall: a boundary. Four boxes name the features of the pair: product of i and j, sum of steps between, distance, bulk map at the pair. Arrows lead to two readings. Left, a U-Net: squares of pairs at half, a quarter and an eighth of the resolution going down, and up again, with dashed arrows across at equal size, where both are added. Right, a box: each pair by itself, at full resolution. Both answers are added up and are zero before training.](../../book/_static/diagrams/pair_features.svg)
#
# *A pair is described by what its bins are and what lies between them; a U-Net sees what lies around it, and a second reading looks at each pair by itself.*
#
# Convolutions and attention work on the bins, as before. A pair of bins is then described by four things. One is the **product**
# of their features, as suits compartments: like meets like. Another is the **path** between them: the network gives each bin
# positive steps, and a pair sees their sum from one end to the other, because a boundary between two bins lowers their contacts
# wherever it lies. The others are the distance and the bulk map. A U-Net, convolutions that go to coarser maps and back, puts each
# pair beside its surroundings.
#
# The bulk map comes with a [guide](../../book/glossary.md#guide) too: the expression of its own cells. The network reads each
# place twice, with the guide $g$ of the cell type and with the guide $g_0$ of the bulk's cells, and gives two answers each time,
# $s$ and $c$:
#
# $$\text{residual} = s(g) - s(g_0) + c(g_0) .$$
#
# The difference $s(g) - s(g_0)$ is what the cell type adds. It is 0 where both guides agree, whatever the weights are: a region
# whose genes do not change keeps the contacts it has in all types, and this need not be learned. The answer $c$, the same for all
# cell types, takes noise out of the bulk map. Here is the whole prediction, put together from its parts:

# %%
names = test.track_names


def of_bins(tracks):
    """The guide, that of the neighbours, and the bulk's profile."""
    features = bin_features(tracks, names, model.floor_)[0] / model.scale_
    features = torch.as_tensor(features * test.mask[:, :, None])
    neighbours = with_neighbours(features)
    return torch.cat([neighbours, view.profile], dim=-1)


own, of_bulk = of_bins(test.tracks), of_bins(bulk_guide(test.tracks, names))
rows = torch.arange(len(test))  # every window brings its own bulk map here
with torch.no_grad():
    residual, common = (
        from_triangle(network(bins, of_bulk, view, rows), 64).numpy()
        for bins in (own, of_bulk)  # own guide, bulk's guide
    )
shift = model.shift_[np.abs(np.subtract.outer(range(64), range(64)))]
usable = test.mask[:, :, None] & test.mask[:, None, :]
by_hand = np.exp(base + shift + residual) * usable

# %% tags=["hide-input"]
predicted = model.predict(test)
stem = (test.table["cell_type"] == "stem").to_numpy()
away = ~np.eye(64, dtype=bool)
specific = (residual - common)[..., away]
claim(
    f"By hand and by `predict` the maps are the same, and exactly symmetric. In the windows of stem cells, whose guide is"
    f" that of the bulk, the specific part is 0. Elsewhere its standard deviation is {specific[~stem].std():.2f} (log), against"
    f" {np.std((base + shift)[..., away]):.2f} for base and shift: a small correction of a large known part.",
    np.allclose(by_hand, predicted, rtol=1e-3),
    np.array_equal(predicted, predicted.swapaxes(1, 2)),
    np.allclose(specific[stem], 0, atol=1e-5),
    0.01 < specific[~stem].std() < 0.5 < np.std((base + shift)[..., away]),
)

# %% [markdown]
# ## A loss on counts
#
# A target of 200 cells is a map of small counts. The squared error of a smoothed map treats a pixel that was seen twice like one
# that was seen 500 times. The default takes the counts as they are. The depth of a target is known, so a prediction gives each
# pixel an expected count $m$, and the loss is the negative log-likelihood of a negative binomial with variance $m + \varphi m^2$.
#
# The likelihood of all cell types at a place splits in two (exactly, if counts are Poisson): that of the sum of their counts, and
# that of how the sum *divides* among them. The second does not change when a prediction is wrong in the same way for all types. It
# is a small part of the whole but the part that matters here, so it is added once more with a weight of its own (`contrast_weight`).
#
# ## What each part brings
#
# The table gives scores on the held-out chromosome. **SCC**, the [stratum-adjusted
# correlation](../../book/glossary.md#stratum-adjusted-correlation-scc), is agreement at each distance, with the measured target
# and with the truth. **dC**, the [contrast correlation](../../book/glossary.md#contrast-correlation-dc), is agreement of what is
# specific to the cell type: a map minus the mean over the types. The floor is the copied bulk; the ceiling is the truth itself, by
# definition 1 in the last two columns. *Base and shift* is the model without its residual; for *mean guide*, the fitted model is
# given the mean of the training types in place of each cell type's own expression. *Ridge* is a linear model: the smoothed bulk times a factor for each pixel.

# %%
mean_only = test.tracks.copy()
mean_only[:, :, :2] = mean_only[:, :, 2:4]  # the reference as its own
ridge = BulkRidge(n_pixels=60_000, seed=seed)
maps = {
    "floor: bulk copied": test.bulk,
    "bulk smoothed": BulkSmoothed().fit(train).predict(test),
    "bulk + ridge": ridge.fit(train).predict(test),
    "base and shift": np.exp(base + shift) * usable,
    "default, mean guide": model.predict(replace(test, tracks=mean_only)),
    "default": predicted,
    "ceiling: truth": truth,
}

# %% tags=["hide-input"]
scores = pd.DataFrame({
    name: contact_scores(
        found, test, truth=truth, reference=mean_truth,
        prediction_reference=mean_at_places(found, test, test),
    )[["SCC", "SCCt", "dC"]].mean()
    for name, found in maps.items()
}).T  # fmt: skip
found = scores.rename(columns={"SCC": "SCC, target", "SCCt": "SCC, truth"})
found.iloc[-1, 1:] = np.nan
table(found, best=dict.fromkeys(found, "max"), apart=("floor: bulk copied", "ceiling: truth"))

# %% tags=["hide-input"]
scc, dc = scores["SCCt"], scores["dC"]
claim(
    f"Base and shift alone reach an SCC with the truth of {scc['base and shift']:.3f}, above the copied bulk"
    f" ({scc['floor: bulk copied']:.3f}). They know no cell type, so their dC is 0. With expression the dC is"
    f" {dc['default']:.2f} and the SCC {scc['default']:.3f}. After so short a training the network knows about as much of the"
    f" cell type as ridge regression, whose dC is {dc['bulk + ridge']:.2f}. Given the mean expression, it falls to a dC of"
    f" {dc['default, mean guide']:.2f}, and its SCC is still {scc['default, mean guide']:.3f}: **a score can be high and"
    " say nothing about the cell type**.",
    abs(dc["default"] - dc["bulk + ridge"]) < 0.12,
    scc["base and shift"] > scc["floor: bulk copied"] + 0.005,
    abs(dc["base and shift"]) < 0.01,
    abs(dc["default, mean guide"]) < 0.01,
    dc["default"] > 0.15,
    scc["default, mean guide"] > scc["floor: bulk copied"],
)

# %% tags=["hide-input"] caption="What is specific to a mature beta cell in one window: map over the mean of the five types (log₂). The two predictions are drawn four times as strong as truth and target: after a short training they have some of the direction and little of the size." alt="Four square heat maps. Truth shows coloured patches along two edges of a square; the target is noise with the same patches in it; ridge regression and the default show wider patches of the same sign." name="fig-space-contrast"
here = test.table["start"] == test.table["start"][one]  # all types
share = test.targets.sum() / test.bulk.sum()  # as deep as the targets
shown = {"truth": (truth, 1.5), "target": (test.targets, 1.5)} | {n: (maps[n] * share, 0.375) for n in ("bulk + ridge", "default")}  # fmt: skip
(fig, axes), ratios = plt.subplots(2, 2, figsize=(5.4, 6.4)), {}
for ax, (name, (found, top)) in zip(axes.flat, shown.items(), strict=True):
    ratio = np.log2((found[one] + 1) / (found[here].mean(axis=0) + 1))
    contact_map(ax, ratio, **place, log=False, limits=(-top, top), label="log₂ ratio").axes.set_title(name)  # fmt: skip
    ratios[name if top == 1.5 else f"{name}, × 4"] = ratio * 1.5 / top
genes = organism.genome.genes.rename_axis("gene").reset_index().query("chrom == @chroms[4]")
guide = {name: test.tracks[one][:, k : k + 2].sum(axis=1) for name, k in {"expression": 0, "mean expression of the types": 2}.items()}  # fmt: skip
map_viewer(ratios, **place, label="log₂ ratio", log=False, limits=(-1.5, 1.5), genes=genes, tracks=guide, figure=fig)  # fmt: skip

# %% [markdown]
# This is one organism, one chromosome, one seed and one short training. [The
# benchmarks](../../book/reproducibility.md#contact-maps-of-cell-types) train on windows of 128 bins with the package's settings,
# on three organisms. There the default reaches a dC of 0.516, boosted trees on the same inputs 0.487 and ridge regression 0.351;
# its SCC with the targets is 0.769, that of the trees 0.774. **The network is no better than trees at the maps as a whole, and
# little better at what is specific.** A training step takes a tenth of the published network's time and an eighth of its memory.
#
# ## What it does not do
#
# - It cannot invent structure that neither map nor expression hints at. Where a cell type differs from the bulk for reasons that
#   expression does not show, it stays wrong.
# - Expression is a sign, not a cause. In the organism, activity of a region and its expression go together by construction.
# - A window knows its own bins only: contacts farther apart are not predicted.
# - The prediction is an expected map, not a sample: it lacks the noise of measured maps.
#
# ## Check yourself
#
# <details><summary>Why does the residual need no training to be 0 where no gene changes?</summary>
#
# It is the difference of two answers of one network. With the same guide both answers are the same number, for any weights.
#
# </details>
#
# <details><summary>A model has the best SCC of a table. Has it used expression?</summary>
#
# The SCC does not say. The bulk without its noise has a high SCC as well. Ask for dC, or exchange the expression.
#
# </details>
#
# <details><summary>Why is a path a better feature for a boundary than the two bins at its ends?</summary>
#
# A boundary lowers the contacts of all pairs on either side of it. It belongs to what is between two bins, not to one of them.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Start a model from what is known, and let it learn the rest.
# - Counts have a likelihood. The part of it that says how they divide among cell types is small, but it is what you ask for.
# - Score what is specific to the cell type: a model that never looks at expression can score high on all else.
#
# ## Exercises
#
# > **Exercise** Give the fitted model the expression of another cell type at the same place: predict mature beta cells from the expression (tracks 0 and 1)
# > of mature gamma cells. Is the prediction nearer to the map of gamma cells?

# %% tags=["solution"]
kinds = test.table["cell_type"].to_numpy()
beta, gamma = (test[kinds == kind] for kind in ("beta_mature", "gamma_mature"))
### BEGIN SOLUTION
beta.tracks[:, :, :2] = gamma.tracks[:, :, :2]
answer = model.predict(beta)
### END SOLUTION
checks.guide_exchanged(answer, predicted, kinds, "beta_mature", "gamma_mature")

# %% [markdown]
# > **Exercise** Leave out the loss on how counts divide: `ScGrapHiC(contrast_weight=0.0, n_steps=200, crop=32, seed=seed)`. Which
# > score changes?
#
# <details><summary>Solution</summary>
#
# Fit it on `train` and score it with `contact_scores` as above. The dC falls clearly; the SCC hardly moves. Nearly all of the
# likelihood is about what all cell types share, so a model that looks at nothing else loses little of it.
#
# </details>
#
# ## Further reading
#
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): how well measured maps reproduce, and how to score it.
