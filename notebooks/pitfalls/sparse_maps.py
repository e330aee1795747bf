# %% [markdown]
# # Sparse maps
#
# Contacts per pixel, balancing, smoothing and the depth of targets: how shallow contact maps mislead.
#
# > **Learning goals**
# > - [work out how many cells a pseudo-bulk needs for the bins you want](#how-many-cells-a-pseudo-bulk-needs);
# > - [keep the holes that balancing leaves out of every score](#balancing-leaves-holes);
# > - [say what smoothing does to a score and to its p-value](#smoothing-makes-everything-agree);
# > - [read the score of a spatial model beside the depth of its targets](#a-spatial-model-and-the-depth-of-its-targets).
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb),
# > [What a score of maps rewards](what_a_map_score_rewards.ipynb).
# >
# > **Time**: 12 min to read, 1 min to run.

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
import pandas as pd
from IPython.display import display

from scstlib import audit
from scstlib.experiments import maps as lab
from scstlib import checks
from scstlib.audit.experiments import Costs, by_seed, verdict
from scstlib.datasets import simulate_organism
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREEN, ORANGE, PURPLE, RED, book_style
from scstlib.preprocess.confounding import check_depths

plt.rcParams.update(book_style())
claim, costs = Claims(profile, seed), Costs()
few = range(seed, seed + (3 if profile == "fast" else 20))

# %% [markdown]
# "Are a hundred cells enough for a contact map?" Enough for what? A map is a table of counts, and a pixel without
# contacts is a zero like those of [Sparse counts](sparse_counts.ipynb): a small mean, counted. But maps have bins
# that can be made wider, holes left by balancing, and neighbours to smooth over, and each of the three misleads in
# its own way.
#
# ![At the top three contact maps of one cell type, from 1, 20 and 200 cells: the first has a few scattered pixels, the last a clear diagonal with domains. Below, the same 600 cells are shared out in two ways: among 3 cell types with 200 cells each, three clear maps; among 12 cell types with 50 cells each, twelve speckled maps.](../../book/_static/diagrams/pseudo_bulk_size.svg)
#
# *The contacts of cells add up to depth; for a given number of cells, more cell types mean shallower maps.*
#
# Maps come from the simulated organism, so the truth is known: the contacts that infinitely many cells would show.
# That contacts fall with distance is no finding, so every correlation on this page is between maps of
# [observed over expected](../../book/glossary.md#observed-over-expected), that is, maps divided by their mean at each
# distance, for bins 1 to 10 Mb apart. Each experiment is a function of `scstlib.experiments.maps`, here `lab`, and
# runs on three seeds; the text gives medians.
#
# ## How many cells a pseudo-bulk needs
#
# [Pseudo-bulks](../../book/glossary.md#pseudo-bulk) of 3 to 3,000 cells are compared with the truth, in bins of five sizes.

# %% tags=["hide-input"] caption="Agreement of a pseudo-bulk with the truth. *Top*: against the number of cells, one curve for each bin size, medians over three seeds. *Bottom*: the same values against the mean number of contacts of a pixel; they nearly fall on one curve. What counts is contacts, not cells." alt="Top: five S-shaped curves on a logarithmic axis from 3 to 3,000 cells, 1 Mb highest and 50 kb lowest. Bottom: dots of the five sizes on nearly one rising curve against contacts per pixel." name="fig-pseudo-bulk"
organism = simulate_organism(seed=seed, preset="small")
bin_mb = organism.settings.bin_size / 1e6
sizes = {"50 kb": 1, "100 kb": 2, "250 kb": 5, "500 kb": 10, "1 Mb": 20}
numbers = 3, 10, 30, 100, 300, 1000, 3000
settings = {"organism": organism, "factors": sizes}
runs = {
    n: by_seed(lab.agreement_by_bins, few, n_cells=n, **settings)
    for n in numbers
}  # fmt: skip
r = pd.DataFrame({n: rows.median() for n, rows in runs.items()}).T
pixel = lab.far(lab.true_map(organism), bin_mb).mean()  # one cell, 50 kb
fig, axes = plt.subplots(2, 1, figsize=(5.4, 6.4), sharey=True)
colors = BLUE, GREEN, ORANGE, PURPLE, RED
for name, color in zip(sizes, colors, strict=True):
    contacts = r.index * pixel * sizes[name] ** 2
    axes[0].plot(r[name], "o-", ms=4, color=color, label=name)
    axes[1].plot(contacts, r[name], "o", ms=4, color=color)
for ax, what in zip(axes, ["cells", "contacts of a pixel"], strict=True):
    ax.set(xscale="log", xlabel=what, ylabel="correlation with the truth")
axes[0].legend(loc="lower right", title="bins")
plt.show()

# %% tags=["hide-input"]
cells = {n: 10 ** np.interp(0.8, r[n], np.log10(r.index)) for n in sizes}
contacts = [cells[n] * pixel * sizes[n] ** 2 for n in sizes]
fewer = (cells["50 kb"] / cells["1 Mb"]) ** (np.log(2) / np.log(20))
costs.add("cells counted, whatever the bins", "r of 100 cells: 1 Mb, 50 kb",
          runs[100]["1 Mb"], runs[100]["50 kb"])  # fmt: skip
claim(f"A correlation of 0.8 needs about {cells['1 Mb']:.0f} cells in"
      f" bins of 1 Mb, {cells['250 kb']:.0f} in bins of 250 kb and"
      f" {cells['50 kb']:,.0f} in bins of 50 kb: bins twice as wide need"
      f" {fewer:.1f} times fewer. In contacts per pixel, this is"
      f" {min(contacts):.0f} to {max(contacts):.0f}. So count the"
      " contacts per pixel at the distance that you ask about, and"
      " choose bins and cells accordingly.",
      cells["1 Mb"] < 20, cells["50 kb"] > 500, 2 < fewer < 5,
      max(contacts) < 5 * min(contacts))  # fmt: skip

# %% [markdown]
# **The mistake** is to read "a hundred cells are enough" at one bin size and use it at another. **How to see it**: draw
# the pseudo-bulk twice, from different cells. **What refuses it**: `audit.known_answers`: with enough cells, two
# pseudo-bulks of one cell type have a known agreement of 1, here with a tolerance of 0.2.

# %%
two = [lab.pseudo_bulk(seed + k, organism, n_cells=100) for k in (0, 1)]
for name in ("50 kb", "1 Mb"):
    pair = [lab.ratios(counts, organism, sizes[name]) for counts in two]
    replicates = audit.Case(name, lab.correlation, pair, 1, tolerance=0.2)
    print(audit.known_answers([replicates]))

# %% [markdown]
# ## Balancing leaves holes
#
# [Balancing](../foundations/balancing.ipynb#is-a-balanced-map-right) gives no weight to bins that cannot be seen:
# their rows are NaN. Many tools cannot read NaN, and `np.nan_to_num` is quickly typed. Then the same rows are 0 in
# every map, which is a pattern that all maps share. Here a pseudo-bulk is compared with a map of *pure counting
# noise*: contacts that depend only on distance and [visibility](../../book/glossary.md#visibility), drawn at the same
# depth and balanced. The right answer is 0.

# %% tags=["hide-input"]
depths = {
    n: by_seed(lab.holes, few, organism=organism, n_cells=n)
    for n in (30, 300, 3000)
}  # fmt: skip
rows = {f"{n:,} cells": rows.median() for n, rows in depths.items()}
display(table(pd.DataFrame(rows).T.rename_axis(index="correlation")))
deep, visibility = depths[3000], organism.genome.chromosomes[0].visibility
masked = np.mean(visibility == 0)
costs.add("holes of balancing read as 0", "r with noise, 3,000 cells",
          deep["NaN as 0"], deep["NaN left out"])  # fmt: skip
claim(f"{masked:.1%} of the bins are masked, and at 3,000 cells these"
      f" alone make a correlation of {deep['NaN as 0'].median():.2f} with"
      " noise. The deeper the maps, the more the holes count, because"
      " the noise around them falls; in a shallow map they hide.",
      deep["NaN as 0"].min() > 0.08,
      deep["NaN left out"].abs().max() < 0.05,
      depths[30].abs().max().max() < 0.05)  # fmt: skip

# %% [markdown]
# **How to see it**: score a map of noise. **Instead**, keep the mask and leave its bins out of every mean, loss and
# score, as `Windows.mask` and `contact_scores` do. `balance_matrix` warns when contacts are too few for it to
# converge, and models refuse NaN. **What refuses the 0**: again, a known answer.

# %%
pair = lab.balanced_pair(seed, organism, n_cells=3000)
for name, given in {"as 0": np.nan_to_num(pair), "left out": pair}.items():
    unrelated = audit.Case(name, lab.correlation, given, 0, tolerance=0.05)
    print(audit.known_answers([unrelated]))

# %% [markdown]
# ## Smoothing makes everything agree
#
# Shallow maps are often smoothed before they are looked at or scored: each pixel becomes the mean of a square around
# it. Windows of 6.4 Mb from pseudo-bulks of 100 cells are compared with a replicate of the same cell type and with
# stem cells. Windows of pure noise, whose expected contacts depend on distance alone, are compared with one another.
# For these the table shows the share of pairs with a significant correlation (p < 0.05), by a test that divides each
# pixel by its standard error and takes pixels to be independent. It should be 5%.

# %% tags=["hide-input"]
widths = {
    n: by_seed(lab.smoothing, few, organism=organism, width=n)
    for n in (1, 3, 9)
}  # fmt: skip
rows = {f"{n} × {n}": rows.median() for n, rows in widths.items()}
display(table(pd.DataFrame(rows).T.rename_axis(index="pixels averaged")))
raw, wide = widths[1], widths[9]
name = "noise called related (%)"
costs.add("smoothed pixels counted as many", name, wide[name], raw[name])
costs.add("smoothing read as agreement", "r with the wrong cell type",
          wide["r, stem cells"], raw["r, stem cells"])  # fmt: skip
claim("With 9 × 9 pixels the *wrong* cell type scores"
      f" {wide['r, stem cells'].median():.2f}, more than the right one"
      f" without smoothing ({raw['r, replicate'].median():.2f}), and"
      f" {wide[name].median():.0f}% of the pairs"
      " of noise are called related. Smoothing lets through what"
      " neighbouring pixels share, the wide pattern that cell types have"
      " in common, and leaves fewer independent values than pixels.",
      wide["r, stem cells"].min() > raw["r, replicate"].max() + 0.2,
      wide[name].min() > 40,
      raw[name].mean() < 15)  # fmt: skip

# %% [markdown]
# Smoothing in itself is not a mistake: the right cell type comes out ahead, and a model may smooth its input. **The
# mistake** is to compare scores across widths, or to count smoothed pixels as observations. **How to see it**: put
# the wrong cell type and a map of noise through the same steps. **Instead**, smooth the target and every competitor
# in the same way, state the width (SCC has one, [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)), and take
# intervals over chromosomes or donors. **What refuses it**: a known answer, that noise is called related in 5% of
# cases.

# %%
for width in (9, 1):
    called = lab.smoothing(seed, organism, width)[name]
    alarms = audit.Case(f"{width} bins", float, (called,), 5, tolerance=15)
    print(audit.known_answers([alarms]))

# %% [markdown]
# ## A spatial model and the depth of its targets
#
# A model of contact maps learns from pseudo-bulks and is scored on pseudo-bulks. Here each target sums 10 or 1,000
# cells. The model is ridge regression, one of the package's baselines, fitted on one chromosome and tested on
# another. The score is the [contrast correlation](../../book/glossary.md#contrast-correlation-dc), the agreement in
# what is specific to a cell type, once with the targets and once with the truth.

# %% tags=["hide-input"]
models = by_seed(
    lab.spatial_model, few, organism=organism, numbers=(10, 1000),
    cut=lab.window_maker(organism),
)  # fmt: skip
rows = {f"{n:,}": models[n].median() for n in (10, 1000)}
display(table(pd.DataFrame(rows).T.rename_axis(index="cells of a target")))
growth = models[1000] / models[10]
seen, ceiling, true = (growth[name] for name in growth)
costs.add("a spatial model scored on noisy targets",
          "score, 1,000 cells / 10 cells", seen, true)  # fmt: skip
claim("With targets of a thousand cells the model seems"
      f" {seen.median():.1f} times as good as with ten. Against the truth"
      f" it is {true.median():.1f} times as good: most of the rise is due to the"
      " targets, because the truth itself scores only"
      f" {models[10].iloc[:, 1].median():.2f} against ten cells.",
      seen.min() > 2, true.max() < 2, seen.min() > 1.5 * true.max(),
      models[10].iloc[:, 1].max() < 0.5)  # fmt: skip

# %% [markdown]
# **How to see it**: report the ceiling with every score, or a replicate if there is no truth. **Instead**, compare
# cell types only after `downsample` has brought their targets to one depth. But do train on rare cell types: a
# regression averages over pixels, so shallow targets can teach more than they can test. **What refuses it**:
# `check_depths`.

# %%
for sizes in ((10, 1000), (100, 100)):
    maps = [lab.pseudo_bulk(seed, organism, n, kind)
            for n in sizes for kind in lab.TYPES]  # fmt: skip
    contacts = [counts.sum() for counts in maps]
    print(verdict(check_depths, contacts, np.repeat(["rare", "common"], 4)))

# %% [markdown]
# ## What it cost
#
# Each row gives the median of a quantity with the mistake and without it, and the mean difference within a seed. The
# 95% interval is about new seeds, not about other data.

# %% tags=["hide-input"]
table(costs.table())

# %% [markdown]
# ## Check yourself
#
# <details><summary>Forty cells gave good compartments at 1 Mb. Will they do for loops at 10 kb?</summary>
#
# Hardly. At the same distance, with bins a hundred times narrower, a pixel has ten thousand times fewer contacts. Count
# them.
#
# </details>
#
# <details><summary>Why do holes matter more in deep maps?</summary>
#
# Their pattern is the same at any depth, and the noise that hides it in shallow maps has fallen.
#
# </details>
#
# <details><summary>After smoothing your model scores 0.8 where it had 0.4. Is it better?</summary>
#
# Ask what the wrong cell type scores with the same smoothing. Only the distance between the two says anything.
#
# </details>
#
# <details><summary>A model has 0.2 on a rare cell type and 0.5 on a common one. Where is it better?</summary>
#
# Nobody can say before both targets have the same depth, or each score is given with its ceiling.
#
# </details>
#
# ## Key points
#
# - The contacts per pixel decide, not the cells: count them at the bins and distances that you ask about.
# - Masked bins are unknown, not empty. Leave them out of every score.
# - Smoothing raises all scores, including those of the wrong cell type and of noise.
# - A score rises with the depth of its target. Report the ceiling with it.

# %% [markdown]
# ## Exercises
#
# > **Exercise** By what factor must the number of cells of a pseudo-bulk grow to raise the correlation from 0.8 to 0.9? Give one factor for each bin width of `curves`, the columns of `r` (the upper panel of the figure) that exceed 0.9.

# %% tags=["solution"]
curves = r.loc[:, r.max() > 0.9]
### BEGIN SOLUTION
logs = np.log10(curves.index)
need = {goal: [np.interp(goal, curves[bins], logs) for bins in curves] for goal in (0.8, 0.9)}
answer = 10 ** np.subtract(need[0.9], need[0.8])
### END SOLUTION
checks.more_cells(answer, curves, 0.8, 0.9)

# %% [markdown]
# > **Exercise** Draw only 10 cells for both maps of `lab.balanced_pair`. Why does the audit now accept 0 for NaN?
#
# <details><summary>Solution</summary>
#
# The holes are still there, but counting noise is many times as large as their pattern and hides it. A test that a
# shallow map passes says little.
#
# </details>
#
# ## Further reading
#
# - [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117): a correlation by distance, with its own smoothing.
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): how reproducible maps are, by depth and resolution.
# - [Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148): balancing, and what it assumes.
