# %% [markdown]
# # Sparse counts
#
# How zeros and depth mislead: dropout, unequal samples, halves of molecules, models of time.
#
# > **Learning goals**
# > - [say whether a zero is explained by counting](#zeros-counting-cell-types-dropout), cell types or dropout, and when nobody can tell;
# > - [read a result at a tenth of its depth](#two-decades-of-depth), and in two halves of its molecules, before you believe it;
# > - [compare groups of unequal depth without calling genes that do not differ](#unequal-depth-makes-differential-genes);
# > - [say what depth does to the score of a model of time](#a-model-of-time-a-hundred-times-as-shallow), and let a check refuse the comparison.
# >
# > **Before**: [Preprocessing expression](../foundations/preprocessing_expression.ipynb).
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

from scstlib.experiments import counts as lab
from scstlib import checks
from scstlib.audit.experiments import Costs, by_seed, verdict
from scstlib.datasets import load, simulate_organism
from scstlib.experiments.forecasts import time_model_at_depths
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, book_style
from scstlib.preprocess import confounding, counts

plt.rcParams.update(book_style())
claim, costs = Claims(profile, seed), Costs()
few = range(seed, seed + (3 if profile == "fast" else 20))
more = range(seed, seed + (5 if profile == "fast" else 20))

# %% [markdown]
# Most entries of a count matrix of single cells are zeros. Is a zero a gene that is off, a molecule that counting
# missed by chance, or a loss beyond chance, a *dropout*? Do two samples differ, or is one of them shallow? Is a model
# good, or are the data poor? This page makes each mistake on purpose, next to the same analysis without it. The cells
# are simulated, so the truth is known and what a mistake invents can be counted. Each experiment is a function of
# `scstlib.experiments.counts`, here `lab`, but for the last, and runs on three to five seeds. The text gives medians;
# the table at the end gives what each mistake adds, with an interval.
# [Invented genes](invented_genes.ipynb) continues from here.
#
# ## A coin for each molecule
#
# ![A table of one cell with four genes. Its molecules are drawn as marks: 4 of gene A, 0 of gene B, 3 of gene C, 8 of gene D. Each is either a filled blue circle or a hollow orange square, by chance. Two columns on the right count the circles, part 1, and the squares, part 2; 15 molecules become 7 and 8. Below, an arrow leads from part 1, find clusters, to part 2, test genes. A note says: independent if counts are Poisson.](../../book/_static/diagrams/count_splitting.svg)
#
# *A coin decides which part each molecule falls into; both parts are the same cells, and what is found in one can be tested in the other.*
#
# One tool serves the whole page. If you keep each molecule with a chance of, say, one in ten, you get what an
# experiment of a tenth of the depth would have seen. If you keep both parts, you have the same cells twice. So nobody
# needs to guess what a result is worth at a tenth of the depth. The output counts the molecules of all parts.

# %%
organism = simulate_organism(seed=seed, preset="small")
cells = organism.sample(n_cells=100, seed=seed)
tenth = counts.thin_counts(cells, fraction=0.1, seed=seed)
halves = counts.count_split(cells, seed=seed)
parts = cells, tenth, *halves
print("all, tenth, halves:", *(f"{part.X.sum():,.0f}" for part in parts))

# %% [markdown]
# ## Zeros: counting, cell types, dropout
#
# Some genes are zero more often than Poisson counts about one level would be
# ([Counts of single cells](../foundations/counts_of_single_cells.ipynb#zeros)). It is tempting to speak of *dropout*:
# molecules lost by some further process. `expected_zeros` asks more carefully: it knows the depth of every cell, and
# you can also give it the cell types (or stages) and a dispersion for each gene. The table gives the zeros as a share
# of all entries, then those beyond what is explained by Poisson counts, by Poisson counts with groups, and by both
# with dispersion, and last the dispersion itself. In the second row a true dropout is planted: where few molecules of a gene are expected, the gene
# is lost with a probability of 30%. The third row is real: 600 malaria parasites ([the data](../../book/data.md)).


# %% tags=["hide-input"]
def zeros(draw, dropout):
    last = organism.times[-1]
    late = organism.sample(last, 300, seed=draw, dropout=dropout)
    return lab.zeros_beyond_models(late, late.obs["cell_type"])


malaria = load("malaria_cell_atlas")
rows = np.random.default_rng(seed).choice(malaria.n_obs, 600, replace=False)
malaria = malaria[np.sort(rows)].copy()
real = lab.zeros_beyond_models(malaria, malaria.obs["stage_pred"])
none, lost = (by_seed(zeros, few, dropout=d) for d in (0, 0.3))
rows = {"no dropout": none.median(), "30% dropout": lost.median()}
display(table(pd.DataFrame(rows | {"malaria": real}).T))
naive, careful = none["beyond Poisson (%)"], none["and dispersion (%)"]
rise = (lost - none).median()
added, seen = rise["zeros (%)"], rise["and dispersion (%)"]
costs.add("surplus over Poisson read as dropout",
          "dropout where there is none (%)", naive, careful)  # fmt: skip
claim(f"Without any dropout, {naive.median():.1f}% of the entries are"
      " zeros beyond the Poisson line, because cells differ; types and"
      " dispersion explain nearly all of them. The true dropout adds"
      f" {added:.1f}% of zeros, and the careful model sees {seen:.1f}%:"
      " the rest hides in a larger dispersion. For the parasites,"
      f" {real['beyond Poisson (%)']:.1f}% shrink to"
      f" {real['and dispersion (%)']:.1f}%.",
      naive.min() > 2, careful.abs().max() < 0.3,
      added > 2, 0 < seen < 0.3 * added,
      real["beyond Poisson (%)"] > 2,
      0 < real["and dispersion (%)"] < 0.6)  # fmt: skip

# %% [markdown]
# There are two lessons. A surplus over Poisson is no evidence of dropout until differences between cells are in the
# model; counts from droplets show none beyond that ([Svensson 2020](https://doi.org/10.1038/s41587-019-0379-5)). And
# a moderate dropout and a larger dispersion make the same zeros: a fitted zero-inflated model gives *some* number,
# whichever is true. The protocol of the assay tells you more
# ([Jiang et al. 2022](https://doi.org/10.1186/s13059-022-02601-5)). **How to see it**: give `expected_zeros` the
# groups and watch the surplus go. **What refuses it**: nothing can; both make the same counts.
#
# ## Two decades of depth
#
# Cells of 5,500 counts are thinned to 550 and to 55, twice by a factor of ten. Four descriptions of the cells are used to find the 15 true
# neighbours of each cell, and two of them also to find the 200 genes that truly vary most: logarithms of counts
# scaled to 10,000 or to the median, Pearson residuals, and *count factors*, the components of a negative binomial
# that knows the depth ([Townes et al. 2019](https://doi.org/10.1186/s13059-019-1861-6)).

# %% tags=["hide-input"] caption="Share of true neighbours (top) and of truly variable genes (bottom) that is found as the depth falls; medians over three seeds. Dotted lines are chance. Count factors are somewhat ahead when counts are deep. At a hundredth of the depth the descriptions hardly differ, and little is left of the neighbours." alt="Two panels, from full depth to a hundredth. At the top four curves fall from between 20 and 35 percent and come together near 15. At the bottom two curves fall from about 65 to 40 percent and stay above the dotted line." name="fig-decades"
deep = simulate_organism(seed=seed, preset="small", depth=5500.0)
shares = 1, 0.1, 0.01
runs = by_seed(lab.found_at_depths, few, organism=deep, shares=shares)
found = {str(share): runs[share].median() for share in shares}
found = pd.DataFrame(found).T
fig, axes = plt.subplots(2, 1, figsize=(5.4, 6.2), sharex=True)
colors = [BLUE, ORANGE, GREEN, PURPLE, BLUE, ORANGE]
for name, color in zip(found, colors, strict=True):
    ax = axes[int(name.startswith("genes"))]
    label = name.removeprefix("genes: ")
    ax.plot(found[name], "o-", color=color, label=label)
chances, tops = [1500 / 299, 200 / 12], [65, 100]
for ax, chance, top in zip(axes, chances, tops, strict=True):
    ax.axhline(chance, color=GREY, ls=":")
    ax.set(ylim=(0, top))
    ax.legend(loc="upper right")
axes[0].set_ylabel("true neighbours found (%)")
axes[1].set_ylabel("true genes found (%)")
axes[1].set_xlabel("share of the depth")
plt.show()

# %% tags=["hide-input"]
log, best, genes = (found.iloc[:, i] for i in (0, 3, 4))
agree = [
    100 * lab.neighbours_of_halves(malaria, seed, share)
    for share in shares
]  # fmt: skip
claim(f"The logarithm finds {log['1']:.0f}% of the true neighbours at"
      f" full depth and {log['0.01']:.0f}% at a hundredth, count factors"
      f" {best['1']:.0f}% and {best['0.01']:.0f}%; of the genes,"
      f" {genes['1']:.0f}% are right, then {genes['0.01']:.0f}%."
      " Nothing on a plot of such cells says how deep they are. Real"
      " cells have no truth, but two halves of their molecules, which"
      f" should agree: halves of the parasites share {agree[0]:.0f}% of"
      f" their neighbours, at a tenth of the depth {agree[1]:.0f}%, at a"
      f" hundredth {agree[2]:.0f}%. What the halves do not share cannot"
      " be seen at this depth. But agreement is no proof: what they"
      " share may be depth itself.",
      best["1"] > log["1"], log["0.01"] < 0.8 * log["1"],
      genes["0.01"] < 0.8 * genes["1"],
      agree[0] > 1.5 * agree[1] > 3 * agree[2])  # fmt: skip

# %% [markdown]
# ## Unequal depth makes differential genes
#
# Take two samples of *one* population: all cells have the same true expression, so no gene differs. The second sample
# is a third as deep. Three tests compare them: one on logarithms of scaled counts; the same test after both samples
# are thinned to one depth; and one on the counts as shares of all counts, with the depth as exposure. Two fates that
# do differ, one of them made shallower, show what the remedies cost.

# %% tags=["hide-input"]
null, true = (
    by_seed(lab.called_at_unequal_depth, more, organism=organism,
               differ=differ) for differ in (False, True)
)  # fmt: skip
rows = {"none differs": null.median(), "two fates": true.median()}
rows = pd.DataFrame(rows)
display(table(rows.astype(int).rename_axis(index="genes called")))
log, thin, exposure = (null[name] for name in null)
costs.add("unequal depth, log counts", "false genes", log, exposure)
claim("Scaling makes the means of the *counts* equal; the mean of their"
      " logarithms still falls with depth, for every gene with zeros, and"
      f" {log.median():.0f} genes are called. Both remedies call next to"
      " none. Thinning throws molecules away, so it finds fewer genes"
      " between the fates than the test of shares. The logarithm calls"
      " most there, but this is no merit: it does so where nothing differs.",
      log.min() > 150, thin.max() < 20, exposure.max() < 20,
      rows.iloc[0, 0] > 0.4 * rows.iloc[0, 1],
      rows.iloc[2, 1] > 1.4 * rows.iloc[1, 1])  # fmt: skip

# %% [markdown]
# **How to see it**: plot depth for the groups that you compare. **What refuses it**: `check_depths`, before any test.
# It also refuses the times of the real series `semrau2017`, and rightly so: in a panel of few genes the total of a
# cell *is* expression, and without spike-ins or housekeeping genes nobody can tell it from depth.

# %%
a, b = (organism.identical_cells(200, seed=seed + k) for k in (0, 1))
unequal = [a, counts.thin_counts(b, fraction=1 / 3, seed=seed)]
for pair in (unequal, counts.thin_to_one_depth(unequal, seed=seed)):
    depth = np.hstack([part.X.sum(axis=1) for part in pair])
    which = np.repeat(["a", "b"], 200)
    print(verdict(confounding.check_depths, depth, which))

# %% tags=["hide-input"]
series = load("semrau2017")
depth = np.asarray(series.X.sum(axis=1)).ravel()
depth, hours = depth[depth > 0], series.obs["time"][depth > 0]
share = confounding.variance_explained(np.log(depth), hours)
print(f"semrau2017: time explains {share:.0%} of log depth")
print(verdict(confounding.check_depths, depth, hours))

# %% [markdown]
# ## A model of time, a hundred times as shallow
#
# The model of [scNODE, the package's](../temporal/scnode_package.ipynb) is fitted to a deep series with one inner
# time held out, and to the same series at a hundredth of its depth. It is scored in two ways. Anybody can compute the
# first: the [energy distance](../../book/glossary.md#energy-distance) to the held-out cells, which are as shallow as
# the training cells. The second is the distance to the true expression, which only a simulation knows.

# %% tags=["hide-input"]
settings = {"preset": "small", "n_genes": 150, "depth": 5500.0}
small = simulate_organism(seed=seed, **settings)
errors = by_seed(time_model_at_depths, few,
                 organism=small, shares=(1, 0.01))  # fmt: skip
full, faint = errors[1], errors[0.01]
rows = {"full depth": full.median(), "a hundredth": faint.median()}
display(table(pd.DataFrame(rows).T.rename_axis(index="errors")))
growth = faint / full
score, _, fresh, truth = (growth[name] for name in growth)
costs.add("a model scored on cells as shallow as its own",
          "growth of its error (times)", score, truth)  # fmt: skip
claim(f"At a hundredth of the depth the score is {score.median():.1f}"
      " times what it was, the distance to the truth"
      f" {truth.median():.1f} times: shallow cells look alike wherever"
      " they are, so shallow data are easy to match. The error of fresh"
      " cells, the floor, rose as well.",
      score.max() < 2.5, truth.min() > 3, fresh.min() > 1.2)  # fmt: skip

# %% [markdown]
# **How to see it**: score fresh cells along with the model. **Instead**, before you compare scores of two data sets
# of unequal depth, thin the deeper one. **What refuses it**: `check_depths` on the cells with which the two scores
# compare.
#
# ## What it cost
#
# Each row gives the median of a quantity with the mistake and without it, and the mean difference within a seed. The
# 95% interval is about new seeds, not about other data.

# %% tags=["hide-input"]
table(costs.table())

# %% [markdown]
# ## Check yourself
#
# <details><summary>A gene has twice as many zeros as Poisson counting allows. Is that dropout?</summary>
#
# Not yet. Give the model the cell types, then a dispersion. What is left may be dropout or a still larger dispersion, and
# the counts cannot say which.
#
# </details>
#
# <details><summary>You scale all cells to 10,000 counts. Does depth no longer matter to the comparison?</summary>
#
# It still does. The means of the counts are then equal, but not those of their logarithms: a shallow cell has more
# zeros, and no factor changes a zero.
#
# </details>
#
# <details><summary>Two halves of the molecules give the same neighbours. Are these real?</summary>
#
# Not necessarily. They may be cells of similar depth, or of one batch: whatever belongs to a cell is in both halves.
# Only counting noise is not.
#
# </details>
#
# <details><summary>A model has a smaller error on one series than on another. Is it better there?</summary>
#
# Look at the floor first, the error of fresh cells, and at the depths. At unequal depths the two errors are on two scales:
# thin the deeper series and score again.
#
# </details>
#
# ## Key points
#
# - A zero is first of all a count of a small mean: put depth, cell types and dispersion into the model before you say
#   dropout.
# - Thin before you trust: at a tenth of the depth, and in two halves of the molecules.
# - Compare groups at one depth or with depth in the model. The logarithm of scaled counts does neither.
# - Shallow data flatter a model. Report the floor with its score.

# %% [markdown]
# ## Exercises
#
# > **Exercise** A gene has on average one molecule in a cell, and 0.3 in a second sample, which is sequenced less deeply and does not differ otherwise. Scale its counts by 1 / 0.3. By how much does the mean of log(1 + x) differ, second minus first?

# %% tags=["solution"]
### BEGIN SOLUTION
rng = np.random.default_rng(seed)
first, second = rng.poisson(1.0, 200_000), rng.poisson(0.3, 200_000) / 0.3
answer = np.log1p(second).mean() - np.log1p(first).mean()
### END SOLUTION
checks.bias_of_logarithm(answer, 1.0, 0.3)

# %% [markdown]
# > **Exercise** Plant twice the dropout, 0.6. How much of what it adds does the careful model see?
#
# <details><summary>Solution</summary>
#
# With `by_seed(zeros, few, dropout=0.6)`, zeros rise by 5.5% of all entries, and the model sees 0.6%: a tenth, as
# with half the dropout. More dropout is not easier to recognise.
#
# </details>
#
# > **Exercise** Fit the model of time at a tenth of the depth: `shares=(1, 0.1)`. Does the score tell it from a
# > hundredth?
#
# <details><summary>Solution</summary>
#
# No. At a tenth of the depth the score is some 1.3 times what it is at full depth, and the distance to the truth 1.6
# times; at a hundredth they are 1.4 and 4.8 times. The score sees the first decade and hardly the second; the truth
# sees both.
#
# </details>
#
# ## Further reading
#
# - [Jiang et al. 2022](https://doi.org/10.1186/s13059-022-02601-5): zeros by protocol and by definition.
# - [Sarkar and Stephens 2021](https://doi.org/10.1038/s41588-021-00873-4): models of measurement apart from models of
#   expression.
# - [Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2): cells are not replicates.
