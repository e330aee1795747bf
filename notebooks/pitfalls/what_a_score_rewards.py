# %% [markdown]
# # What a score rewards
#
# How to find out what a score of predicted cells asks for: score a constant and true cells.
#
# > **Learning goals**
# > - put a [floor](../../book/glossary.md#floor) and a constant [beside any score](#a-table-whose-right-answer-is-known), and read off what it
# >   asks for;
# > - [say why a score of many noisy genes can prefer one constant to true cells](#a-table-whose-right-answer-is-known);
# > - tell $W_2$, $W_2^2$ and the Sinkhorn divergence [apart by a known answer](#half-squared-squared-or-not);
# > - [let a check of the package refuse each mistake before a model is scored](#half-squared-squared-or-not).
# >
# > **Before**: [Counts of single cells](../foundations/counts_of_single_cells.ipynb).
# >
# > **Time**: 15 min to read, 1 min to run.

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
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from scstlib import audit
from scstlib.audit.experiments import over_seeds
from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.metrics.expression import (
    energy_distance,
    mean_error,
    mmd,
    sinkhorn,
    wasserstein,
)
from scstlib.pages import Claims, stored, table
from scstlib.plots import BLUE, GREEN, ORANGE, book_style

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# Your model scores 0.83. Is that good? The number alone cannot say. A score can be computed wrongly, which a test with a known answer finds. It can also be computed correctly but answer a different question from yours, which no test of the code finds. For this there is a simple method: *score things whose worth you know*. If the score ranks a prediction that you know to be poor above one that you know to be right, a model that is trained or chosen by it will learn to be poor.
#
# A simulated organism is good for this: its truth is known, and fresh cells can be drawn at will. Each section shows one mistake, its size over several seeds, how to see it, and a check of the package that *refuses* it, that is, reports a finding.
#
# ## A table whose right answer is known
#
# Four "predictions" of 200 cells at a held-out time are scored against 200 measured cells. There are three errors. The *mean error* compares the two mean profiles. The [Sinkhorn divergence](../../book/glossary.md#sinkhorn-divergence) is the least cost of moving one population onto the other, half the squared distance for each cell; it is computed in all genes and in ten principal components (PCs). The [energy distance](../../book/glossary.md#energy-distance) compares distances between the populations with those within.
# The best possible prediction is **fresh true cells**: other cells of the same time from the same organism. Their score is the floor. The worst prediction that still has the right mean is **one constant vector**, repeated 200 times: a population in which all cells are the same.

# %% tags=["hide-input"]
organism = simulate_organism(seed=seed, preset="small")
before, held_out, after = (float(organism.times[t]) for t in (5, 6, 7))
seeds = range(seed, seed + (20 if profile == "full" else 5))


def log_counts(sample):
    """log(1 + counts per 10,000), (cells, genes)."""
    counts = sample.X.toarray()
    total = counts.sum(axis=1, keepdims=True)
    return np.log1p(counts / total * 1e4)


def cells_at(time, draw):
    return organism.sample([time], 200, seed=draw)


measured, fresh = log_counts(cells_at(held_out, 1)), cells_at(held_out, 2)
earlier, later = (log_counts(cells_at(t, 3)) for t in (before, after))
near = np.vstack([earlier, later])
points = PCA(10, random_state=seed).fit(near).transform
way = (held_out - before) / (after - before)
middle = (1 - way) * earlier.mean(0) + way * later.mean(0)

# %%
predictions = {
    "fresh true cells": log_counts(fresh),
    "true cells without noise": np.log1p(fresh.layers["true_mean"]),
    "nearest time copied": earlier,
    "one constant vector": np.tile(middle, (200, 1)),
}
errors = {
    "mean error": mean_error,
    "divergence, genes": sinkhorn,
    "divergence, 10 PCs": lambda x, y: sinkhorn(points(x), points(y)),
    "energy distance, genes": energy_distance,
}

# %% tags=["hide-input"]
scored = {
    error: [score(cells, measured) for cells in predictions.values()]
    for error, score in errors.items()
}
scored = pd.DataFrame(scored, index=list(predictions))
table(scored, best=dict.fromkeys(errors, "min"))

# %% tags=["hide-input"]
true, constant = scored.iloc[0], scored.iloc[-1]
genes, few, energy = list(errors)[1:]
claim(
    "All four are errors: low is good. In gene space the Sinkhorn"
    f" divergence gives {true[genes]:,.0f} to fresh true cells and"
    f" {constant[genes]:,.0f} to the constant: it prefers a population"
    " of identical cells to the truth. In ten principal components the"
    " same divergence puts the truth first, and so does the energy"
    " distance in all genes.",
    true[genes] > 1.3 * constant[genes],
    scored["mean error"].idxmax() == "true cells without noise",
    1.3 * true[few] < scored[few].iloc[1:].min(),
    1.3 * true[energy] < scored[energy].iloc[1:].min(),
)

# %% [markdown]
# The reason is noise in many genes. Two cells of one kind differ by counting noise in each of 1,200 genes, and no cell among 200 is near enough to be a good partner: even a fresh cell pays for its own noise and for that of its partner. A prediction without noise pays only once. This divergence in gene space is the score of the scNODE paper ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393)) and of later comparisons.
#
# The row without noise shows another trap: its mean error is the largest, because the logarithm of a mean is not the
# mean of logarithms. De-noised predictions and log counts of single cells are not in the same units.
#
# One draw of cells could be luck. So now each seed has its own organism, with the mean of its nearest earlier time as
# the constant.


# %% tags=["hide-input"]
def constant_minus_truth(draw):
    """Errors of one constant vector minus those of fresh true cells."""
    world = simulate_organism(seed=draw, preset="small")
    when = [world.times[t] for t in (6, 6, 5)]
    drawn = [world.sample([t], 200, seed=k) for k, t in enumerate(when)]
    goal, own, near = map(log_counts, drawn)
    flat = np.tile(near.mean(0), (200, 1))
    pcs = PCA(10, random_state=0).fit(near).transform
    in_pcs = partial(sinkhorn, y=pcs(goal))
    return {
        genes: sinkhorn(flat, goal) - sinkhorn(own, goal),
        few: in_pcs(pcs(flat)) - in_pcs(pcs(own)),
        energy: energy_distance(flat, goal) - energy_distance(own, goal),
    }


apart = over_seeds(constant_minus_truth, seeds)
table(apart.rename_axis("constant − truth"))

# %% tags=["hide-input"]
won = -apart.loc[genes]
claim(
    f"Below 0 the constant wins. Over {len(seeds)} organisms, the"
    f" divergence in gene space favours it by {won['mean']:.0f} (95%"
    f" interval {won['upper']:.0f} to {won['lower']:.0f}); the divergence"
    " in components and the energy distance favour the truth, with"
    " intervals above 0.",
    won["upper"] > 100,
    apart.loc[few, "lower"] > 0,
    apart.loc[energy, "lower"] > 0,
)

# %% [markdown]
# **How to see it**: score fresh true cells (on real data, one half of the cells) and a constant beside the model.
# **How to avoid it**: use a score that is lowest at the truth, such as the energy distance, or a few components.
# **What refuses it**: `audit.prefers_truth` tests whether a score ranks predictions that are known to be worse behind
# the truth.

# %%
names = ["nearest time copied", "one constant vector"]
worse = {name: predictions[name] for name in names}
for name in ("divergence, genes", "divergence, 10 PCs"):
    found = audit.prefers_truth(
        errors[name],
        truth=predictions["fresh true cells"],
        worse=worse,
        target=measured,
        higher_is_better=False,
    )
    print(f"{name}: {found}")

# %% [markdown]
# How much less noise than the truth does this score prefer? Pull fresh true cells towards their mean, step by step.

# %% tags=["hide-input"] caption="Fresh true cells pulled towards their mean: at 0 the true cells, at 1 one constant vector. Each score is divided by its largest value; dots mark the minima. The energy distance is lowest at the true cells, the divergence in gene space far from them." alt="Three curves against the pull from 0 to 1. Energy distance rises all the way from 0. The divergence in ten components has its minimum near the left end, the divergence in gene space falls almost to the right end." name="fig-pull"
pulls, start = np.linspace(0, 1, 11), predictions["fresh true cells"]
pulled = [start + pull * (start.mean(0) - start) for pull in pulls]
lowest = dict.fromkeys([genes, few, energy])
fig, ax = plt.subplots()
for color, name in zip([ORANGE, GREEN, BLUE], lowest, strict=True):
    curve = np.array([errors[name](each, measured) for each in pulled])
    curve, lowest[name] = curve / curve.max(), pulls[curve.argmin()]
    ax.plot(pulls, curve, color=color, label=name)
    ax.plot(lowest[name], curve.min(), "o", color=color)
ax.set_xlabel("share of the way to the mean")
ax.set_ylabel("score / its largest value")
fig.legend(loc="outside upper center", ncols=2)
plt.show()

# %% tags=["hide-input"]
claim(
    "The divergence in gene space is lowest when cells have gone"
    f" {lowest[genes]:.0%} of the way to their mean. A score with such a"
    " minimum can rank methods of equal noise. It cannot serve as a loss,"
    " nor compare methods of different noise. Report separately *where* a"
    " prediction lies (de-noised, in components) and whether its cells"
    " *look* like measured cells (energy distance in all genes).",
    lowest[genes] > 0.5,
    lowest[energy] == 0,
)

# %% [markdown]
# ## A kernel narrower than a cell
#
# The maximum mean discrepancy (MMD) compares two populations by a kernel, a similarity of cells that falls with their distance. It is *proper*, that is, lowest at the truth on average, but it sees only as far as its kernel reaches. Here copied cells are spoilt: each gene gets noise of standard deviation 10.

# %%
noise = np.random.default_rng(seed).normal(0, 10, earlier.shape)
judged = predictions | {"copied, then spoilt": earlier + noise}
median = np.median(pdist(measured))
by_kernel = pd.DataFrame({
    f"MMD, width {width:.0f}": {
        name: mmd(x, measured, bandwidth=width)
        for name, x in judged.items()
    }
    for width in (1, median)
})  # fmt: skip
table(by_kernel, best=dict.fromkeys(by_kernel, "min"))

# %% tags=["hide-input"]
narrow, wide = by_kernel.to_numpy().T
pair = {"truth": judged["fresh true cells"], "worse": {"spoilt": earlier + noise}}
narrower = audit.prefers_truth(partial(mmd, bandwidth=1), **pair, target=measured, higher_is_better=False, margin=0.01)  # fmt: skip
claim(
    f"Two measured cells are about {median:.0f} apart, so to a kernel of width 1 all are strangers. Fresh true cells, copied cells and spoilt ones get the"
    f" same score, {narrow[0]:.2f}, which is 2 divided by the number of cells; only cells that resemble each other get more. With the median distance as the width, the truth comes first and spoilt cells are far behind.",
    np.ptp(narrow[[0, 2, 4]]) < 1e-6, narrow[3] > 10 * narrow[0], wide.argmin() == 0, wide[4] > 10 * wide[0], not narrower.passed,
)  # fmt: skip

# %% tags=["hide-input"]
rows = stored("benchmarks/results/sctimebench_rows.json")
real = pd.DataFrame(rows["scores"]).set_index(["set", "split", "row"])
mmds, losses = (real[f"{m}Loss"].unstack() for m in ("MMD", "WassersteinOT"))
last = losses.idxmax(axis=1) == "copied, then scattered"
first = mmds["copied, then scattered"] <= 1.001 * mmds.min(axis=1)
claim(
    "Width 1 is the default of scTimeBench 0.1.2 ([Osakwe et al. 2026](https://doi.org/10.64898/2026.03.16.712069); commit 1bbb78d, `ot_eval/mmd.py`, line 19). By the metrics of this package, cells"
    f" spoilt like these have the largest divergence of nine rows on {last.sum()} of {len(last)} tasks of six real series, and on {first.sum()} of them an MMD within 0.1% of the smallest. In its table of learned methods (`gex_pred.csv`), the method"
    f" with the largest divergence has the smallest MMD, to 0.1%, in {rows['published']['last_is_first']} of {rows['published']['blocks']} blocks.",
    last.all(), first.mean() > 0.7, rows["published"]["last_is_first"] > rows["published"]["blocks"] / 3,
)  # fmt: skip

# %% [markdown]
# **How to avoid it**: take the width from the data, the same for all methods, and state it. **What refuses it**: `audit.prefers_truth` again, given the spoilt cells.
#
# ## Half squared, squared or not
#
# Move a population by a vector of length 3. The optimal transport moves every cell by 3, so $W_1=W_2=3$ and $W_2^2=9$. The Sinkhorn divergence with the cost $\tfrac12\lVert x-y\rVert^2$ is about half of the last. A column headed "Wasserstein distance" may contain any of these, so you can compare published numbers only if cost, blur, scaling, space and number of cells are the same.
#
# **How to see it**: give the function a pair whose answer is known. **How to avoid it**: state the formula with the number. **What refuses it**: `audit.known_answers`.

# %%
cloud = np.random.default_rng(seed).standard_normal((150, 5))
moved = cloud + np.array([3, 0, 0, 0, 0])
squared = partial(wasserstein, p=2, squared=True)
for distance in (squared, sinkhorn):
    print(f"{distance(cloud, moved):.2f}")
    case = audit.Case("a shift by 3", distance, (cloud, moved), 9.0, 0.1)
    print(audit.known_answers([case]))

# %% [markdown]
# ## Check yourself
#
# <details><summary>A model beats fresh true cells. Is the model good?</summary>
# Perhaps it is only less noisy. A score that a noise-free or constant prediction can win says
# little about cells. Look at the score of the constant.
# </details>
# <details><summary>Why does the divergence behave well in ten components but not in 1,200 genes?</summary>
# Noise adds up over dimensions. In a few components that collect what genes do together, most
# noise is averaged away, and neighbours of one kind lie near each other.
# </details>
# <details><summary>Two papers report Wasserstein distances of 4.5 and 3.0 for the same two populations. Can both be right?</summary>
# Yes: half of the squared distance is 4.5 where the distance is 3. Only the formula can tell.
# </details>

# %% [markdown]
# ## Key points
#
# - Score fresh true data and a constant before you score a model.
# - In many noisy dimensions, an optimal-transport score prefers too little scatter.
# - A kernel much narrower than the distance between two cells cannot tell right from wrong.
# - $W_1$, $W_2$, $W_2^2$ and the Sinkhorn divergence are four numbers. Say which, in which space, with
#   how many cells.
# - A known answer finds a score that is computed wrongly; a known order finds one that asks the wrong question.
#
# ## Exercises
#
# > **Exercise** Draw 400 cells in place of 200 in `cells_at` and in the constant. Which entries of the first table change, and in which direction?
#
# <details><summary>Solution</summary>
#
# The divergence of fresh true cells falls, because partners lie nearer, but only slowly: in 1,200 dimensions the nearest cell is hardly nearer. The divergence of the constant falls no more than that. The energy distance of fresh true cells halves, because it is a bias that falls as one over the number of cells.
#
# </details>
#
# > **Exercise** Move every cell of `cloud` by `shift = [3, 3, 0, 0, 0]`. Write down $W_1$, $W_2$, $W_2^2$ and the divergence, without computing them from
# > cells.

# %% tags=["solution"]
shift = [3, 3, 0, 0, 0]
### BEGIN SOLUTION
length = np.linalg.norm(shift)
answer = [length, length, length**2, length**2 / 2]
### END SOLUTION
checks.shifted_cloud(answer, shift)

# %% [markdown]
# ## Further reading
#
# - [What a score of maps rewards](what_a_map_score_rewards.ipynb): the same questions for contact maps.
# - [Gneiting and Raftery 2007](https://doi.org/10.1198/016214506000001437): proper scores.
# - [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): how an average over cell types
#   beats models in genomics.
