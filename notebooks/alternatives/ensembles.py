# %% [markdown]
# # Ensembles and uncertainty
#
# Why several methods together are hard to beat, and how an interval is made to keep its promise.
#
# > **Learning goals**
# > - [say why the mean of several predictions is nearer to the truth than most of them](#why-a-mean-helps), and what it cannot mend;
# > - [combine methods by averaging and by stacking](#equal-weights-or-chosen-ones), with weights that saw no test cells;
# > - [calibrate an interval on left-out training data](#intervals-that-keep-their-promise), and test it on held-out data;
# > - [flag a time or a cell type that is so far from the training data that no interval can be trusted](#a-flag-for-what-is-too-far).
# >
# > **Before**: [How sure is a prediction?](../temporal/how_sure.ipynb).
# >
# > **Time**: 16 min to read, 1 min to run.

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
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from scstlib import checks
from scstlib.datasets import load, simulate_organism
from scstlib.metrics.expression import energy_distance, wasserstein
from scstlib.metrics.novelty import novelty, time_novelty
from scstlib.models.temporal import (
    DisplacementInterpolation,
    DisplacementTrees,
    Ensemble,
    GeneGaussianProcess,
    InterpolatedMean,
    score_held_out_times,
)
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, RED, book_style
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())
warnings.filterwarnings("ignore", message="time .* beyond the last training time")
claim = Claims(profile, seed)

# %% [markdown]
# Four methods predict the cells of a day that nobody measured, and give four answers. Which one do you report? You could pick the method that did best elsewhere. Or you could report the mean of all four, with their disagreement as a measure of your doubt. This page asks what the mean gains, what the disagreement is worth, and when neither helps.
#
# The data come from the simulated organism, whose truth is known at any time: 200 genes and 150 cells at each of 12 times. Every second time from the third on is held out, and so are the last two.


# %%
def organism_cells(times=None, **settings):
    """Cells with log-normalised values."""
    cells = organism.sample(times, keep_truth=False, **settings)
    counts = cells.X.toarray()
    depth = counts.sum(axis=1, keepdims=True)
    cells.X = np.log1p(1e4 * counts / depth).astype(np.float32)
    cells.uns["value_kind"] = "log1p counts per 10,000"
    return cells


settings = {"n_genes": 200, "n_cells": 150, "n_reference": 500}
organism = simulate_organism(seed, **settings)
split = hold_out_times(organism_cells(seed=1), pattern="hard")

# %% [markdown]
# ## Why a mean helps
#
# The four methods are cheap and make different mistakes. The first moves the cells of the nearest time so that their mean lies on a straight line. The second moves each cell towards its partner by [optimal transport](../../book/glossary.md#optimal-transport) (OT). The third, a Gaussian process, draws a smooth curve through the means of each gene. The fourth learns displacements with a random forest.

# %%
methods = {
    "mean moved": lambda n: InterpolatedMean(),
    "OT": lambda n: DisplacementInterpolation(6, seed=n, residuals=True),
    "Gaussian process": lambda n: GeneGaussianProcess(),
    "forest": lambda n: DisplacementTrees(n_trees=30, seed=n),
}
makers = list(methods.values())
average = Ensemble(makers, seed=seed).fit(split.train)

# %% tags=["hide-input"] caption="Left: errors of two methods in the predicted gene means, with a dot for each gene and held-out inner time. They tend to have the same sign, but differ in size. Right: root mean square error of each method and of the mean of the four." alt="A scatter plot of the errors of two methods, a tilted cloud around the origin, and five horizontal bars, the last one for the mean of the four." name="fig-errors"
inner = [t for t in np.unique(split.test.obs["time"]) if t < split.train.obs["time"].max()]


def means(cells, key="time"):
    """Mean of each gene at each time."""
    return cells.to_df().groupby(cells.obs[key].to_numpy()).mean()


truth = means(organism_cells(inner, n_cells=1000, seed=5))
off = {
    name: (means(model.sample(inner, 400, seed=seed)) - truth).to_numpy()
    for name, model in zip(methods, average.members_, strict=True)
}
mean_off = np.mean(list(off.values()), axis=0)
rms = {name: np.sqrt(np.mean(x**2)) for name, x in (off | {"mean of the four": mean_off}).items()}
fig, (left, right) = plt.subplots(1, 2, figsize=(5.4, 3.0), width_ratios=(1, 1.1))
left.plot(off["OT"].ravel(), off["Gaussian process"].ravel(), ".", ms=3, alpha=0.5)
left.set(xlabel="error of OT", ylabel="error of Gaussian process")
right.barh(list(rms), list(rms.values()), color=[BLUE] * 4 + [RED])
right.invert_yaxis()
right.set_xlabel("error (log units)")
plt.show()

# %% [markdown]
# Errors of the same sign remain in the mean; errors of opposite sign cancel. How much cancels can be written down. For predictions $p_k$ of $K$ methods, their mean $\bar p$ and the truth $y$,
#
# $$\begin{aligned}(\bar p - y)^2 = {} & \frac1K \sum_k (p_k - y)^2 \\ & - \frac1K \sum_k (p_k - \bar p)^2 .\end{aligned}$$
#
# The squared error of the mean is the mean squared error *minus the disagreement*. So it is never above the average of the methods, and the more they disagree, the further below it lies. Methods that err in different ways help more than methods that are all good in the same way. The mean cannot mend the errors that all methods share.

# %% tags=["hide-input"]
mean_error = np.mean([np.mean(x**2) for x in off.values()])
disagreement = np.mean([(x - mean_off) ** 2 for x in off.values()])
alike = np.corrcoef([x.ravel() for x in off.values()])[np.triu_indices(4, 1)]
claim(
    f"Here the mean squared error of the methods is {mean_error:.4f} and their disagreement {disagreement:.4f}; the difference,"
    f" {mean_error - disagreement:.4f}, is the squared error of the mean. The errors of any two methods have a correlation of {alike.min():.2f} to {alike.max():.2f},"
    " so a good part of the error is shared and remains.",
    np.isclose(np.mean(mean_off**2), mean_error - disagreement),
    alike.mean() > 0.3 and disagreement > 0.15 * mean_error,
)

# %% [markdown]
# To predict a population of cells, each method draws its share of them. This is a [linear pool](../../book/glossary.md#linear-pool).
#
# ## Equal weights or chosen ones?
#
# Why give a poor method a quarter of the cells? [Stacking](../../book/glossary.md#stacking) chooses the weights ([Breiman 1996](https://doi.org/10.1007/BF00117832)). Each inner training time is left out in turn, and all methods are fitted without it. The weights are those that bring the pool nearest to the left-out cells in [energy distance](../../book/glossary.md#energy-distance). Predictions beyond the last time have weights of their own, from leaving out the last training time. With so few times the weights would follow chance, so they are shrunk towards equal ones.

# %%
stack = Ensemble(makers, seed=seed, stack=True, calibrate=True)
stack.fit(split.train)
pd.DataFrame(stack.weights_, index=list(methods)).round(2)

# %% [markdown]
# No test cell had a say: the leak guard checks every left-out time inside `fit`, and the whole ensemble before it is scored. The rival is a single method: the one with the largest weight. The first table is for the organism, the second for the embryonic stem cells of [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4). [Place](../../book/glossary.md#place) and [likeness](../../book/glossary.md#likeness) are the scores of [Expression at unmeasured times](../temporal/unmeasured_times.ipynb); smaller is better. The [floor](../../book/glossary.md#floor), in italics, compares one half of the measured cells with the other.


# %% tags=["hide-input"]
def scored(stack, average, part):
    """Mean scores of the methods, of their average and of the stack."""
    pca = PCA(6, random_state=seed).fit(part.train.to_df().to_numpy())

    def place(x, y):
        return wasserstein(pca.transform(x), pca.transform(y), squared=True)

    rows = dict(zip(methods, stack.members_, strict=True)) | {"average": average, "stack": stack}
    scores = score_held_out_times(rows, part.test, {"place": place, "likeness": energy_distance}, n_repeats=2, seed=seed)  # fmt: skip
    late = scores["time"] > part.train.obs["time"].max()
    scores["score"] = scores["metric"] + np.where(late, ", outer", ", inner")
    scores = scores.groupby(["model", "score"], sort=False)["value"].mean().unstack()
    return scores[sorted(scores, key=lambda name: name.split(", ")[1])].rename_axis("method")


shown = scored(stack, average, split)
table(shown.rename_axis("organism"), best=dict.fromkeys(shown, "min"), apart=(shown.index[0],))

# %% tags=["hide-input"]
cells = load("semrau2017")
cells.X = cells.X.astype(np.float32).log1p()
cells.uns["value_kind"] = "log1p counts"
real = hold_out_times(cells, pattern="hard")
real_stack = Ensemble(makers, seed=seed, stack=True, calibrate=True).fit(real.train)
real_average = Ensemble(makers, seed=seed).fit(real.train)
real_shown = scored(real_stack, real_average, real)
table(real_shown.rename_axis("stem cells"), best=dict.fromkeys(real_shown, "min"), apart=(shown.index[0],))  # fmt: skip

# %% tags=["hide-input"]
single = [list(methods)[each.weights_["inner"].argmax()] for each in (stack, real_stack)]
chosen = f"*{single[0]}*, for both series" if len(set(single)) == 1 else "*{}* for the organism and *{}* for the stem cells".format(*single)  # fmt: skip
tables, own = pd.concat({"organism": shown, "stem cells": real_shown}, axis=1), list(methods)
better = (tables.loc["average"] < tables.loc[own].mean()).sum(), (tables.loc["stack"] < tables.loc["average"])  # fmt: skip
ratio = tables.loc[["average", "stack"]].min() / tables.loc[own].min()
claim(
    f"The method with the largest weight is {chosen}. The average of the predictions scores better than the methods do on average in {better[0]} of 8 columns,"
    f" and the stack better than the average in {better[1].sum()} of 8, among them all those beyond the last time, where the Gaussian process goes astray. But the average and the stack seldom beat the"
    f" best method of a column, which nobody knows beforehand: the better of the two has {ratio.mean():.2f} times its score (mean over the columns).",
    better[0] >= 5 and better[1].filter(like="outer").all(),
    0.9 < ratio.mean() < 1.3,
)

# %% [markdown]
# ## Intervals that keep their promise
#
# The disagreement of an ensemble gives too narrow an interval, as [How sure is a prediction?](../temporal/how_sure.ipynb) shows: it does not see what all members get wrong. Left-out times show it. For each gene and left-out time, take the distance from the members' mean to the measured mean, in units of a scale that joins the typical error at left-out times and the members' variance. The calibrated interval is wide enough to cover 80% of these distances, and it grows with what is unknown of a time, as a random walk through the measured times would have it: most halfway between two of them, and ever more beyond the last. The idea is that of split conformal prediction ([Lei et al. 2018](https://doi.org/10.1080/01621459.2017.1307116)); `calibrate=True` does it for any summary whose numbers have one unit.


# %%
def gene_means(cells):
    return cells.to_df().mean()


def held(ensemble, test, level=0.8):
    """Share (%) of measured gene means in the interval, by time."""
    times = np.unique(test.obs["time"])
    found = ensemble.interval(times, gene_means, level=level, n_cells=200)
    seen = means(test).stack().to_numpy()
    inside = (found["lower"] <= seen) & (seen <= found["upper"])
    return 100 * inside.groupby(found["time"]).mean()


# %% tags=["hide-input"]
coverage = {}
for name, ensemble, part in (("organism", stack, split), ("stem cells", real_stack, real)):
    for calibrate in (False, True):
        ensemble.calibrate = calibrate
        share = held(ensemble, part.test)
        late = share.index > part.train.obs["time"].max()
        column = "calibrated (%)" if calibrate else "as members disagree (%)"
        for kind, rows in (("inner", ~late), ("outer", late)):
            coverage.setdefault(f"{name}, {kind} times", {})[column] = share[rows].mean()
coverage = pd.DataFrame(coverage).T
table(coverage.rename_axis("held by 80% intervals"))

# %% tags=["hide-input"]
raw, calibrated = coverage.iloc[:, 0], coverage.iloc[:, 1]
claim(
    f"Intervals of 80% made from the disagreement alone hold {raw.min():.0f}% to {raw.max():.0f}% of the measured means. Calibrated ones hold"
    f" {calibrated.iloc[0]:.0f}% at inner times of the organism and {calibrated.iloc[2]:.0f}% at those of the stem cells. Beyond the last time, where a single left-out time must"
    f" suffice, they hold {calibrated.iloc[1]:.0f}% and {calibrated.iloc[3]:.0f}%.",
    raw.mean() < 72,
    calibrated.iloc[[0, 2]].between(65, 92).all() and (calibrated >= raw).all(),
)

# %% [markdown]
# ## How far from a measured time?
#
# Now three of the methods are trained on five irregularly spaced times of the organism and predict every third hour. `time_novelty` gives the distance to the nearest measured time, in units of the mean interval of the series. Above 1, no measured time is near.

# %%
few = organism.times[[0, 1, 2, 4, 7]]
ensemble = Ensemble(makers[:3], seed=seed, calibrate=True)
ensemble.fit(organism_cells(few, seed=1))
hours = np.arange(3.0, 97.0, 3.0)
distance = time_novelty(hours, few)

# %% tags=["hide-input"] caption="Predicted gene means of the organism against the distance to the nearest measured time: the error, and the half width of the calibrated 80% interval, both for the median gene. Dotted: a distance of one mean interval between times." alt="Two sets of dots against a distance of 0 to more than 2 intervals; the errors rise to the right, and so do the half widths." name="fig-distance"
found = ensemble.interval(hours, gene_means, level=0.8, n_cells=200).set_index("name")
found["error"] = found["mean"] - means(organism_cells(hours, n_cells=300, seed=5)).stack().to_numpy()  # fmt: skip
found["half width"] = (found["upper"] - found["lower"]) / 2
curve = found.abs().groupby("time")[["error", "half width"]].median().reset_index()
inside = (found["error"].abs() <= found["half width"]).groupby(found["time"]).mean().to_numpy()
fig, ax = plt.subplots(figsize=(5.4, 3.2))
ax.plot(distance, curve["error"], "o", color=RED, ms=5, label="error")
ax.plot(distance, curve["half width"], "o", color=BLUE, mfc="white", ms=5, label="half width")
ax.axvline(1, color=GREY, lw=0.8, ls=":")
ax.set(xlabel="distance (mean intervals)", ylabel="gene means (log units)", ylim=(0, None))
ax.legend()
plt.show()

# %% tags=["hide-input"]
late = distance > 1
claim(
    f"Up to a distance of one, half of the genes are off by more than {curve['error'][~late].mean():.2f}; beyond it, by more than {curve['error'][late].mean():.2f}. The 80% intervals"
    f" also become wider there, {curve['half width'][late].mean() / curve['half width'][~late].mean():.1f} times, and hold {100 * inside[~late].mean():.0f}% of the means near measured times and"
    f" {100 * inside[late].mean():.0f}% far from them. Beyond the last time they widen as the root of the elapsed time, to {curve['half width'].iloc[-1]:.2f} at 96 hours; the error there is {curve['error'].iloc[-1]:.2f}. One left-out time speaks for all that follow.",
    curve["error"][late].mean() > 1.3 * curve["error"][~late].mean(),
    curve["half width"].iloc[-1] == curve["half width"].max(),
)

# %% [markdown]
# ## A flag for what is too far
#
# No calibration helps with an input unlike anything seen in training. Time is one input; a cell type is another. `novelty` takes the distance of an input from the nearest training input and divides it by the 95% quantile of such distances among the training inputs (after [Ramaswamy et al. 2000](https://doi.org/10.1145/342009.335437)). A value above 1 is a flag. Here the inputs are expression profiles of cell types, and five types are the training data. Three profiles are tested: two new types, and one profile whose genes are shuffled.

# %%
cells = organism_cells(seed=2)
profiles = means(cells, "cell_type")
seen = ["stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature"]
rng = np.random.default_rng(seed)
profiles.loc["shuffled"] = rng.permutation(profiles.loc["stem"])
asked = ["gamma_precursor", "alpha_mature", "shuffled"]
flags = novelty(profiles.loc[asked], profiles.loc[seen])

# %% tags=["hide-input"]
claim(
    f"`gamma_precursor`, whose parent and daughter types are training types, has a novelty of {flags[0]:.2f}; `alpha_mature`, from another branch, {flags[1]:.2f}; and the"
    f" shuffled profile {flags[2]:.1f}. The flag knows no biology: it says how far away an input is, not what is different.",
    flags[0] < flags[1] < flags[2] and flags[2] > 1.5,
)

# %% [markdown]
# ## Where intervals fail
#
# - **Beyond the last time**, one left-out time is all there is to learn from, and it says nothing about later events.
# - **For a single number**, such as the share of one fate, four left-out times give only four errors, and the interval reaches as far as the largest.
# - **For a single gene** nothing is promised: a calibrated interval holds the promised share only on average over genes.
# - **In another cell type**, errors may have another size; see [Contact maps with error bars](uncertain_maps.ipynb).
#
# ## Check yourself
#
# <details><summary>Two methods have the same errors, gene by gene. What does their mean gain?</summary>
#
# Nothing. They never disagree, and the squared error of the mean is the mean squared error minus the disagreement.
#
# </details>
#
# <details><summary>A cell type has a novelty of 3, and its interval is narrow because the members agree. Which do you believe?</summary>
#
# The flag. The members agree because they learned from the same types, none of which is near.
#
# </details>
# <details><summary>Does the width of an interval grow with the error of a mistake that all members make?</summary>
# No. The width is the disagreement of the members, and a shared mistake moves all of them alike.
# </details>

# %% [markdown]
# ## Key points
#
# - The squared error of a mean is the mean squared error minus the disagreement: combine methods that err differently.
# - An average needs no choice. Stacking needs left-out times, and helps most where one method goes astray.
# - Disagreement alone gives too narrow an interval. Calibrate it on left-out training times, then test it on others.
# - An interval holds for inputs like those it was calibrated on. Flag the others.
#
# ## Exercises
#
# > **Exercise** OT is given the weight $w$ and the forest $1 - w$; `first` and `second` are their errors. Which $w$ makes the squared error of the weighted mean smallest on the held-out times, and why may you not report this error?

# %% tags=["solution"]
first, second = off["OT"].ravel(), off["forest"].ravel()
### BEGIN SOLUTION
a, b = np.mean(first**2), np.mean(second**2)
both = np.mean(first * second)
answer = (b - both) / (a + b - 2 * both)
### END SOLUTION
checks.best_weight(answer, first, second)

# %% [markdown]
# ## Further reading
#
# - [Lakshminarayanan et al. 2017](https://arxiv.org/abs/1612.01474): ensembles of networks as a measure of doubt.
# - [Lei et al. 2018](https://doi.org/10.1080/01621459.2017.1307116): intervals from left-out errors, whatever the method.
