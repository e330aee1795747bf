# %% [markdown]
# # Contact maps with error bars
#
# A standard deviation for every pixel of a predicted map, and what it does not cover.
#
# > **Learning goals**
# > - [combine methods that predict contact maps](#three-methods-one-map), with weights chosen on validation chromosomes;
# > - [give an interval for a pixel](#how-often-is-the-truth-inside), or for any summary of a map, and test it on a truth;
# > - [say for which cell types an interval is too narrow](#how-often-is-the-truth-inside), and which data mend it;
# > - [flag a place whose tracks are unlike the training data](#a-flag-for-places).
# >
# > **Before**: [Ensembles and uncertainty](ensembles.ipynb) and [Evaluating contact maps](../spatial/evaluating_contact_maps.ipynb).
# >
# > **Time**: 9 min to read, 1 min to run.

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
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.metrics.contacts import insulation_score
from scstlib.models.spatial import (
    BulkRidge,
    BulkSmoothed,
    ContactEnsemble,
    ContactTrees,
    mean_at_places,
    mean_scores,
    score_windows,
)
from scstlib.pages import Claims, stored, table
from scstlib.plots import book_style, contact_map
from scstlib.preprocess.guides import guide_novelty
from scstlib.preprocess.organism_windows import organism_windows

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A predicted contact map looks the same where it is right and where it is a guess. Which boundary would you build an experiment on? This page gives a standard deviation for every pixel and an interval for every [insulation score](../../book/glossary.md#insulation-score). On the simulated organism, whose expected maps are known, it counts how often such intervals hold the truth.
#
# The task is that of [From single cells to windows](../foundations/cells_to_windows.ipynb): predict the map of a cell type from its expression and a bulk map of stem cells. Methods are trained on five cell types and five chromosomes. Two chromosomes are for *validation*, two for the test. Two more cell types are new to every method: `gamma_precursor` has close relatives among the training types ([near](../../book/glossary.md#near-and-far)), `alpha_mature` has none (far).

# %% [markdown]
# ## Three methods, one map
#
# The three methods are the smoothed bulk, ridge regression and boosted trees. `ContactEnsemble` fits them on the training chromosomes. On the validation chromosomes it chooses their weights and measures, at each distance, by how much their disagreement falls short of their errors: this *calibrates* the intervals. The counting noise of the targets is taken out of these errors, because the interval is for the expected map, not for counts.

# %% tags=["hide-input"]
kinds = ["stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature"]
NEAR, LAST = "gamma_precursor", "alpha_mature"
genome = simulate_organism(
    seed, n_genes=400, n_bins=192, n_chromosomes=9, n_cells=100, n_reference=500, contacts_per_cell=6000.0,
)  # fmt: skip
windows, expected = organism_windows(
    genome, [*kinds, NEAR, LAST], genome.chromosomes, reference=kinds, window=64, stride=64, seed=seed,
)  # fmt: skip
kind = windows.table["cell_type"].to_numpy()
place = windows.table["chrom"].map(list(genome.chromosomes).index).to_numpy()
known, validation, tested = np.isin(kind, kinds), (place == 5) | (place == 6), place > 6
for name in (*kinds, NEAR, LAST):  # The truth, at the depth of the bulk map.
    expected[kind == name] *= windows.bulk[kind == name].sum() / expected[kind == name].sum()

# %%
three = [
    lambda n: BulkSmoothed(),
    lambda n: BulkRidge(n_pixels=20_000, seed=n),
    lambda n: ContactTrees(n_pixels=20_000, max_iter=40, seed=n),
]
train = windows[known & (place < 5)]
maps = ContactEnsemble(three, stack=True)
maps.fit(train, validation=windows[known & validation])
one = np.flatnonzero(tested & (kind == "beta_mature"))[:1]
prediction = maps.predict(windows[one])[0]
deviation = maps.predict_std(windows[one])[0]

# %% tags=["hide-input"] caption="A window of a cell type on a test chromosome: the prediction, and its standard deviation in percent. Near the diagonal, where contacts are many, it is small." alt="Two square heat maps: a contact map with a dark diagonal, and a map that is dark along the diagonal and brighter away from it." name="fig-map"
start, end = windows.table.loc[one[0], ["start", "end"]]
relative = 100 * deviation / np.where(prediction > 0, prediction, np.nan)
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.6))
contact_map(axes[0], prediction, start=start, end=end)
contact_map(axes[1], relative, start=start, end=end, log=False, limits=(0, 100), cmap="viridis", label="standard deviation (%)")  # fmt: skip
axes[1].set_ylabel("")
plt.show()

# %% [markdown]
# ## Does the mean help?
#
# The table scores the methods, their average and their weighted mean (*stack*) on the test chromosomes, for the training types. SCCt is the [stratum-adjusted correlation](../../book/glossary.md#stratum-adjusted-correlation-scc) with the true map. [dC](../../book/glossary.md#contrast-correlation-dc) and dIns measure what is specific to a cell type, in pixels and in insulation. MSE is the mean squared error against the measured map; its floor is the MSE of the truth itself.

# %% tags=["hide-input"]
average = ContactEnsemble(three).fit(train, validation=windows[known & validation])
names = ("bulk smoothed", "ridge", "boosted trees")
models = dict(zip(names, maps.members_, strict=True)) | {"average": average, "stack": maps}
rows = known & tested
test = windows[rows]
scores = mean_scores(score_windows(models, test, truth=expected[rows], reference=mean_at_places(expected[rows], test, test), training=test))  # fmt: skip
scores = scores[["MSE", "SCCt", "dC", "dIns"]].rename_axis("method").assign(MSE=1e3 * scores["MSE"])
scores = scores.rename(columns={"MSE": "MSE (10⁻³)"})
table(
    scores, best={"MSE (10⁻³)": "min", "SCCt": "max", "dC": "max", "dIns": "max"}, apart=("truth",)
)

# %% tags=["hide-input"]
alone, both = scores.loc[list(names)].max(), scores.loc[["average", "stack"]].max()
claim(
    f"The means score about as well as the best method of each column, which nobody knows beforehand: the better of the two has an SCCt of {both['SCCt']:.3f} against"
    f" {alone['SCCt']:.3f}, a dC of {both['dC']:.2f} against {alone['dC']:.2f}, a dIns of {both['dIns']:.2f} against {alone['dIns']:.2f}. This holds although the smoothed"
    " bulk, which knows nothing about cell types, has a share in them.",
    both["SCCt"] > alone["SCCt"] - 0.015
    and min(both["dC"] / alone["dC"], both["dIns"] / alone["dIns"]) > 0.92,
)

# %% [markdown]
# ## How often is the truth inside?
#
# `interval` gives an interval for every pixel, or for any summary of a map, here the insulation score of every bin. The table gives the share of true values that 80% intervals hold on the test chromosomes, for the training types and for the two new ones. The ensemble of its first two columns is calibrated on validation windows of the training types, that of the last two on training types left out in turn: each is predicted by methods that have not learned from it, as they will not have learned from a new type.


# %%
def insulation(maps, windows):
    return insulation_score(maps, window=8)


on_new = ContactEnsemble(three, stack=True, leave_types_out=True)
on_new.fit(train, validation=windows[known & validation])
band = on_new.interval(windows[one], insulation, level=0.8)


# %% tags=["hide-input"]
def share_held(ensemble, rows, summary=None):
    """Share (%) of true numbers in 80% intervals."""
    some = windows[rows]
    found = ensemble.interval(some, summary, level=0.8)
    usable = some.mask[:, :, None] & some.mask[:, None, :]
    true = np.where(usable, expected[rows], np.nan)
    true = true if summary is None else summary(true, some)
    inside = (found.lower <= true) & (true <= found.upper)
    return 100 * inside[np.isfinite(true)].mean()


parts = {"training types": known, f"new, near ({NEAR})": kind == NEAR, f"new, far ({LAST})": kind == LAST}  # fmt: skip
map_coverage = pd.DataFrame({
    f"{what}, on {word} (%)": {name: share_held(ensemble, tested & rows, summary) for name, rows in parts.items()}
    for word, ensemble in (("training types", maps), ("types left out", on_new))
    for what, summary in (("pixels", None), ("insulation", insulation))
})  # fmt: skip
table(map_coverage.rename_axis("test chromosomes"))

# %% tags=["hide-input"]
first, second = map_coverage.iloc[:, :2], map_coverage.iloc[:, 2:]
claim(
    f"For the training types, 80% intervals hold {first.iloc[0, 0]:.0f}% of the pixels and {first.iloc[0, 1]:.0f}% of the insulation scores. For the far type they hold only"
    f" {first.iloc[2, 1]:.0f}% of the scores, and {second.iloc[2, 1]:.0f}% when types are left out.",
    first.iloc[0].between(68, 92).all(), first.iloc[2, 1] < first.iloc[0, 1] - 4, second.iloc[2, 1] > first.iloc[2, 1] + 2,
)  # fmt: skip

# %% tags=["hide-input"]
many = pd.DataFrame(stored("benchmarks/results/map_coverage.json")["summary"])
many = many.set_index(["calibrated_on", "part", "what"])[["held", "lowest", "highest"]] * 100
same, other = many.loc["training types"]["held"], many.loc["training types left out in turn"]
low, high = other.loc["far", "insulation"][["lowest", "highest"]]
other = other["held"]
claim(
    f"One organism says little. Over six (benchmark `map_coverage`), 80% intervals hold {same['near', 'insulation']:.0f}% of the insulation scores of the near type and {same['far', 'insulation']:.0f}% of those of the far one when they are calibrated on the training types, and {other['near', 'insulation']:.0f}% and {other['far', 'insulation']:.0f}% when types are left out; of the pixels then {other['near', 'pixels']:.0f}% and {other['far', 'pixels']:.0f}%."
    f" These are means: from organism to organism, the share of the far type's scores goes from {low:.0f}% to {high:.0f}%. The calibration has four types to learn from (stem cells, the type of the bulk map, are never left out), and one new type may be odder than all of them.",
    other.between(72, 88).all(), (other[["near", "far"]] > same[["near", "far"]]).all(), low < 72,
)  # fmt: skip

# %% [markdown]
# ## A flag for places
#
# Where the tracks of a window are unlike those that the methods learned from, no calibration helps. `guide_novelty` compares the tracks of each bin with those of the most similar training bin on another chromosome. The mean of these distances over a window is divided by the 95% quantile of such means among training windows; a value above 1 is a flag. As a planted case, the expression of the test windows is multiplied by 20, as if normalisation had been forgotten.

# %%
own = np.arange(test.tracks.shape[-1]) < 2  # expression of the type itself
planted = replace(test, tracks=test.tracks * np.where(own, 20, 1))
usual = guide_novelty(test, train)
strange = guide_novelty(planted, train)

# %% tags=["hide-input"]
claim(
    f"The flag marks {100 * np.mean(usual > 1):.0f}% of the test windows and {100 * np.mean(strange > 1):.0f}% of the planted ones.",
    np.mean(usual > 1) < 0.3 and np.mean(strange > 1) > 0.7,
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>Why are the weights and the factors not chosen on the training windows?</summary>
#
# Trees fit their training windows better than they predict others. Chosen there, their weight would be too large and the standard deviation too small.
#
# </details>
#
# <details><summary>The interval is for the expected map. How wide is one for the counts of an experiment?</summary>
#
# Wider: a count varies about its expectation. Add the expected count to the variance.
#
# </details>
#
# <details><summary>A new cell type is flagged. May you leave training types out and go on?</summary>
#
# Only if they are as unlike each other as the new type is unlike them. Intervals hold for types as new as those used for calibration.
#
# </details>

# %% [markdown]
# ## Key points
#
# - A mean of methods is hard to beat on the map as a whole; choose its weights on validation chromosomes.
# - Validation windows say how large the errors are; the disagreement of the methods says where on the map they are.
# - An interval that holds for training types promises nothing for a new type. Calibrate on training types left out in turn, and flag inputs that are unlike all others.
#
# ## Exercises
#
# > **Exercise** What share of the known insulation scores of the window `one` lies in its interval `band`?

# %% tags=["solution"]
usable = windows[one].mask[:, :, None] & windows[one].mask[:, None, :]
true = insulation(np.where(usable, expected[one], np.nan), windows[one])
### BEGIN SOLUTION
known = np.isfinite(true)
answer = np.mean((band.lower[known] <= true[known]) & (true[known] <= band.upper[known]))
### END SOLUTION
checks.share_inside(answer, band.lower, band.upper, true, 0.8)

# %% [markdown]
# > **Exercise** Give the ensemble a summary of your own: the log of the mean contacts at least 20 bins apart, one number for each window. Do 80% intervals hold it?
#
# <details><summary>Solution</summary>
#
# ```python
# def far_contacts(maps, windows):
#     away = np.triu(np.ones(maps.shape[1:], bool), 20)
#     return np.log(np.nanmean(maps[:, away], axis=1))
#
#
# print(share_held(maps, known & tested, far_contacts))
# ```
#
# There are few windows, so the share itself is uncertain.
#
# </details>
#
# ## Further reading
#
# - [Lakshminarayanan et al. 2017](https://arxiv.org/abs/1612.01474): ensembles as a measure of doubt.
# - [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): why the mean of other cell types is hard to beat.
