# %% [markdown]
# # Leakage in space
#
# How a held-out place of the genome finds its way into a model of contact maps, and what refuses it.
#
# > **Learning goals**
# > - [say why windows are cut after the split](#windows-that-overlap), and why a new cell type must be tested on new chromosomes;
# > - [recognise a model that remembers places instead of predicting maps](#the-same-chromosome-in-another-cell-type);
# > - [say what training on more cell types is worth](#what-more-cell-types-are-worth), and what the same mistakes do to real maps.
# >
# > **Before**: [Tuning and overfitting](tuning_and_overfitting.ipynb) and [From single cells to windows](../foundations/cells_to_windows.ipynb).
# >
# > **Time**: 17 min to read, 1 min to run.

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
import warnings
from dataclasses import replace
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from scstlib import checks
from scstlib.audit.experiments import describe, illusion, measure, verdict, with_and_without
from scstlib.datasets import load
from scstlib.files.track_files import expression_by_type
from scstlib.leakage import assert_disjoint
from scstlib.models import PublishedScGrapHiC
from scstlib.experiments import pixels as task
from scstlib.experiments.pixels import organism_pixels as pixels_of
from scstlib.pages import Claims
from scstlib.plots import book_style, interval_rows
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks, interval_track
from scstlib.preprocess.windows import make_windows

plt.rcParams.update(book_style())
claim, found = Claims(profile, seed), {}
seeds = range(seed, seed + (10 if profile == "full" else 5))

# %% [markdown]
# Your model has never seen a map of this cell type, and draws it well. Is it good, or has it seen the place? A place on the genome looks much the same in all cells of a species: the same genes, the same CTCF sites, the same domains. A model that remembers what lies where need not understand anything, and it fails on the first chromosome that it has not met.
#
# So, first of all, hold out whole chromosomes. Leaks in genomics have been listed before ([Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9)); here they are measured.
#
# ![On the left five steps from top to bottom. On the right a tall striped box: the test part, chromosomes and cell types that are held out. Red arrows with a cross lead from it to four steps: the bulk map holds the test type; tracks are scaled by all windows; windows are cut before the split, so that they overlap; the model is trained on held-out places, the same chromosome in another cell type. A small box with the validation part stands beside the fifth step, stop training: a dark arrow to that step is allowed, a red arrow to the step train is not. Below, a dark arrow leads from the box score the maps to the test part: that is allowed.](../../book/_static/diagrams/leaks_in_space.svg)
#
# *Each crossed arrow carries something of a held-out part into the work that this part is to judge. So split chromosomes first; bulk, scales and windows come afterwards.*
#
# The task is the same as in [Tuning and overfitting](tuning_and_overfitting.ipynb): for every pixel of a cell type, predict the change from a bulk map, in simulated organisms with 16 chromosomes. The score is a [skill](../../book/glossary.md#skill): 0 for the bulk map itself, 1 for a perfect prediction. Each mistake is made on purpose. What it adds to the skill is the [illusion](../../book/glossary.md#illusion), given with the 95% interval of its mean over five organisms (three for side questions).
#
# ## Windows that overlap
#
# **The mistake.** Windows are cut with a stride of half their length, and then split at random. Many pixels of a test window then lie in a training window too, with the same
# counting noise. The model is a forest of trees whose leaves hold two pixels, so it can remember a lot.


# %%
def forest(seed, leaf=2):
    """Six randomised trees that grow until a leaf holds few pixels."""
    how = {"max_features": 0.5, "min_samples_leaf": leaf}
    return task.PixelTrees(ExtraTreesRegressor(6, random_state=seed, **how))


def overlapping(pixels, seed, mistake):
    """Three eighths are held out: of the chromosomes, or of all windows."""
    rng, names = np.random.default_rng(seed), pixels.chromosomes
    held = rng.permutation(names)[: len(names) * 3 // 8]
    test = pixels.table["chrom"].isin(held).to_numpy()
    test = rng.permutation(test) if mistake else test
    return pixels[~test], pixels[test]


def remembered(pixels, seed, mistake, leaf=2):
    """Skill of a forest."""
    train, test = overlapping(pixels, seed, mistake)
    return task.change_skill(forest(seed, leaf).fit(train), test)


# %% tags=["hide-input"]
small = measure(lambda s, m: remembered(pixels_of(s, 16), s, m), seeds)
large = measure(lambda s, m: remembered(pixels_of(s, 16), s, m, leaf=50), seeds[:3])
found["overlapping windows"] = small
claim(
    f"The forest has a skill of {describe(small)}. With leaves of 50 pixels it has {large['mistake']:.2f} with the mistake and {large['honest']:.2f} without. The second forest remembers less and is the better one; the mistake hides this.",
    small["lower"] > 0.03 and large["illusion"] < small["illusion"] - 0.03,
    large["honest"] > small["honest"] + 0.02 and small["mistake"] > large["mistake"] - 0.03,
)

# %% [markdown]
# **How to see it.** The score keeps rising with capacity, and predictions repeat the noise of the target. **What refuses it.** `hold_out_chromosomes` keeps each chromosome in one
# part, windows and all. `assert_disjoint` compares the places of two parts.
#
# ## The same chromosome in another cell type
#
# **The mistake.** The maps of one cell type are held out on all chromosomes, and the model is trained on all maps of the other types. The honest test holds out chromosomes as well. Here both tests score the same windows of a new type, on half of the chromosomes. The model is trained on the other types either in that same half (the mistake) or in the other half.


# %%
def new_type(table, seed, mistake, new):
    """Rows of other types to train, and of the new type to test."""
    names = np.random.default_rng(seed).permutation(table["chrom"].unique())
    half = table["chrom"].isin(names[: len(names) // 2])
    other = table["cell_type"] != new
    train = other & (half if mistake else ~half)
    return train.to_numpy(), (~other & half).to_numpy()


def on_new_type(pixels, seed, mistake, new="beta_mature"):
    """Skill of the forest on a cell type that it has not seen."""
    train, test = new_type(pixels.table, seed, mistake, new)
    return task.change_skill(forest(seed).fit(pixels[train]), pixels[test])


# %% tags=["hide-input"]
row = measure(lambda s, m: on_new_type(pixels_of(s), s, m), seeds)
found["same chromosomes in other cell types"] = row
claim(
    f"Knowing the place from other cell types gives the forest a skill of {describe(row)}.",
    row["illusion"] > 0.03,
)

# %% [markdown]
# **How to see it.** Score the mean map of the other cell types on the same windows: whatever it reaches needs no model ([Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y)). **What refuses it.** `hold_out_cell_types` requires test chromosomes, and `assert_disjoint` compares chromosomes regardless of the cell type.
#
# ## A validation chromosome inside the training set
#
# **The mistake.** The chromosomes that decide when to stop training are also in the training set. The score here is what the validation chromosomes report at the best step, for a network that has two training chromosomes of its own.


# %%
@cache
def validated(pixels, seed, mistake, n=2, n_steps=300):
    """Skill on validation and test at the best step on validation."""
    names = np.random.default_rng(seed).permutation(pixels.chromosomes)
    train = pixels.on(names[: 2 * n if mistake else n])
    validation, test = pixels.on(names[n : 2 * n]), pixels.on(names[-6:])
    network = task.PixelNetwork(seed, n_steps=n_steps)
    curves = network.fit(train, validation, watch=[test]).curves
    return curves[curves[:, 0].argmax()]


# %% tags=["hide-input"]
row = measure(lambda s, m: validated(pixels_of(s), s, m)[0], seeds)
there = measure(lambda s, m: validated(pixels_of(s), s, m)[1], seeds)
found["validation chromosome in training"] = row
claim(
    f"The validation chromosomes report a skill of {describe(row)}. On test chromosomes the same networks reach {there['mistake']:.2f} and {there['honest']:.2f}: with the mistake, which gave them twice the data, the report is {row['mistake'] - there['mistake']:.2f} too high.",
    row["lower"] > 0.05 and row["mistake"] - there["mistake"] > 0.08,
)

# %% [markdown]
# **How to see it.** The validation score follows the training score, the best step is always among the last, and the test score lies far below. **What refuses it.**
# `hold_out_chromosomes` refuses a chromosome in two parts, and `assert_disjoint` finds it in parts that were made elsewhere. In the published code of scGrapHiC
# (`rsinghlab/scGrapHiC` at commit `8019e1f`) chromosome 19 is in both lists; the effect on its reported test chromosomes is not known.

# %%
pixels, names, said = pixels_of(seed), pixels_of(seed).chromosomes, []
for mistake in (True, False):
    cut = overlapping(pixels_of(seed, 16), seed, mistake)
    rows = new_type(pixels.table, seed, mistake, "beta_mature")
    kinds = (pixels[r] for r in rows)
    trained = pixels.on(names[: 4 if mistake else 2])
    watched = pixels.on(names[2:4])
    said += ["With the mistakes" if mistake else "Without"]
    said += ["- windows: " + verdict(assert_disjoint, *cut)]
    said += ["- cell types: " + verdict(assert_disjoint, *kinds)]
    said += ["- validation: " + verdict(assert_disjoint, trained, watched)]
print("\n".join(said))

# %% [markdown]
# ## What more cell types are worth
#
# For a new cell type it may matter not only how many data a model has seen but also *which*. A forest with large leaves predicts the type `alpha_mature` on new chromosomes, trained on 24 windows of one other cell type or of four.


# %% tags=["hide-input"]
def from_types(seed, many):
    """Skill on an unseen type from one or from four types, 24 training windows."""
    types = ("beta_mature", "gamma_mature", "bipotent", "beta_precursor", "alpha_mature")
    pixels = pixels_of(seed, 32, types)
    kind, held = pixels.table["cell_type"], pixels.table["chrom"].isin(pixels.chromosomes[10:])
    rows = np.flatnonzero(kind.isin(types[: 4 if many else 1]) & ~held)
    train = np.random.default_rng(seed).choice(rows, 24, replace=False)
    test = ((kind == "alpha_mature") & held).to_numpy()
    return task.change_skill(forest(seed, 50).fit(pixels[train]), pixels[test])


row = measure(from_types, seeds[:3])
words = describe(row).replace("with the mistake", "from four types").replace("without", "from one")
claim(f"The skill is {words}: no gain is seen here.", row["lower"] < 0 < row["upper"])

# %% [markdown]
# ## The published model, and real maps
#
# Does scGrapHiC as it was published ([Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223)) also gain from known places? Here it is small and trained for seconds, so its skill says nothing about the paper.


# %% tags=["hide-input"]
def published(seed, mistake):
    windows = task.organism_windows(seed)
    train, test = (windows[rows] for rows in new_type(windows.table, seed, mistake, "beta_mature"))
    small = {"width": 16, "encodings": 8, "node_blocks": 1, "attention_blocks": 1}
    how = {"residual_blocks": 1, "batch_size": 8, "epochs": 6}
    maps = PublishedScGrapHiC(seed=seed, **small, **how).fit(train).predict(test)
    found, truth = task.pixel_changes(replace(test, targets=maps)), task.pixel_changes(test)
    return 1 - float(((found.change - truth.change) ** 2).mean() / (truth.change**2).mean())


scores = with_and_without(published, seeds[:3])
row = illusion(scores)
claim(
    f"After such a short training it is worse than the bulk map, and with the mistake it looks less poor on average over three organisms: {describe(row)}. A leak does not need a good model.",
    row["illusion"] > 0.05 and row["honest"] < 0,
)

# %% [markdown]
# Now the same mistakes on real maps: 400 cells of human cortex from two donors, measured by single-cell Hi-C (`lee2019` of [the data page](../../book/data.md)). The bulk is the sum of four cell types of one donor, in bins of 1 Mb without the main diagonal; targets are the cell types of the other donor; expression comes from another study (`darmanis2015`). A seed decides which of chromosomes 7 to 18 are held out and how the model starts, so these intervals are about other splits, not about other people.

# %% tags=["hide-input"]
maps, rna, genes = load("lee2019"), load("darmanis2015"), load("annotation_hg19")
islands = load("cpg_tracks").query("assembly == 'hg19' and bin_size == 1_000_000")
known = {"ODC": "oligo", "Astro": "astro", "MG": "microglia", "Sst": "neuro"}
large = [f"chr{n}" for n in range(7, 19)]
bins = maps.bins[["chrom", "start", "end"]].astype({"chrom": str})
cells = maps.obs.groupby(["cell_type", "donor"]).groups
sums = maps.pseudobulk({f"{kind} {donor}": list(each) for (kind, donor), each in cells.items()})
rna = rna[rna.obs["cell_type"].isin(list(known.values()))].copy()
with warnings.catch_warnings(action="ignore"):  # genes that the annotation does not have
    genes = genes.drop_duplicates("gene").set_index("gene")
    tracks = expression_tracks(expression_by_type(rna, "cell_type"), genes, bins)


def without_diagonal(name, chrom):
    counts = sums.matrix(name, chrom).astype(float)
    return counts - np.diag(np.diagonal(counts))


@cache
def cortex(stride=32):
    """Pixels of windows of 32 bins: bulk of one donor, four cell types of the other."""
    own = {kind: np.log1p(tracks[name]) for kind, name in known.items()}
    cpg = interval_track(islands, bins, value="cpg")
    shared = np.column_stack([0 * cpg, 0 * cpg, cpg])  # no CTCF sites are used here
    how = {"reference": list(known), "bulk": np.mean(list(own.values()), axis=0)}
    guides, names = guide_tracks(own, **how, shared=shared, shared_names=task.SHARED)
    guides = {kind: by_chromosome(guides[kind], bins) for kind in known}
    bulk = {c: sum(without_diagonal(f"{kind} 29yr", c) for kind in known) for c in large}
    targets = {kind: {c: without_diagonal(f"{kind} 21yr", c) for c in large} for kind in known}
    cut = {"bin_size": 1_000_000, "window": 32, "stride": stride, "chromosomes": large}
    cut |= {"to_end": True, "track_names": names, "bulk_cell_types": list(known)}
    return task.pixel_changes(make_windows(bulk, guides, targets, **cut))


real = {
    "overlapping windows": lambda s, m: remembered(cortex(16), s, m),
    "overlapping, large leaves": lambda s, m: remembered(cortex(16), s, m, leaf=50),
    "same chromosomes": lambda s, m: on_new_type(cortex(), s, m, "Astro"),
    "validation chromosome": lambda s, m: validated(cortex(), s, m, 3, 200)[0],
}
real = {f"real maps: {name}": measure(score, seeds[:3]) for name, score in real.items()}

# %% tags=["hide-input"] caption="What each mistake adds to the skill, with its 95% interval. Orange: the interval lies above 0. The published model is left out: its interval is too wide for this axis. On real maps, too, overlap adds skill; known places add little." alt="Seven horizontal intervals with a dot each, one for each mistake, beside a vertical line at 0." name="fig-illusions-in-space"
fig, ax = plt.subplots(figsize=(5.4, 5.0))
interval_rows(ax, found | real, value="illusion", label="skill that the mistake adds")
plt.show()

# %% tags=["hide-input"]
overlap, blunt, place, inside = real.values()
claim(
    f"On real maps, too, overlap adds skill ({overlap['illusion']:+.2f}), but almost nothing to a forest with large leaves ({blunt['illusion']:+.2f}). Known places and a validation chromosome in training add little ({place['illusion']:+.2f} and {inside['illusion']:+.2f}).",
    overlap["lower"] > 0.05 and abs(blunt["illusion"]) < 0.04,
    max(abs(place["illusion"]), abs(inside["illusion"])) < 0.06,
)

# %% [markdown]
# A model that cannot remember single pixels gains nothing from overlap. And these maps are shallow: what two cell types of one donor share at a place, beyond the bulk of the other donor, is small compared with counting noise, so having seen the place helps little. On the organism, whose maps are deeper, it does. A leak that cannot be measured here may be large elsewhere.
#
# ## Check yourself
#
# <details><summary>You cut windows, shuffle them and keep a fifth for the test. What is wrong?</summary>
# Overlapping windows share pixels, noise included. Even without overlap, the same place is in the training set in other cell types.</details>
#
# <details><summary>A model is tested on a new cell type, on chromosomes that it knows. What does a good score say?</summary>
# That the model draws these places well. The mean map of the other cell types does so too, and it knows nothing about the new type.</details>
#
# <details><summary>The validation loss falls until the last step. What do you check first?</summary>
# Whether a validation chromosome is in the training list. On a separate validation part, the loss rises again once overfitting begins.</details>

# %% [markdown]
# ## Key points
#
# - Split chromosomes first; cut windows, scale tracks and sum bulk afterwards.
# - Test a new cell type on new chromosomes, and compare with the mean map of the known types.
# - A leak favours the model that remembers most, so it can hide which of two models is better.
# - Refuse leaks by a check in the code. You know whether a leak was harmless only after measuring it.
#
# ## Exercises
# > **Exercise** In *Windows that overlap*, make a random split of windows that do not overlap (`pixels_of(s, 32)`). How much of the illusion is left, and why?
# <details><summary>Solution</summary>
#
# Less is left, and it differs from seed to seed: no pixel is in two windows any more. What remains comes from the same place in another cell type. `assert_disjoint` refuses it.
#
# </details>
#
# > **Exercise** Predict the changes of `beta_mature` by the mean change of the other types at the same place (windows of every type are in the same order). What is the skill, that is, 1 − the mean squared error over the mean square?

# %% tags=["solution"]
kinds = pixels.table["cell_type"].to_numpy()
### BEGIN SOLUTION
others = {kind: pixels.change[kinds == kind] for kind in np.unique(kinds)}
own = others.pop("beta_mature")
answer = 1 - ((np.mean([*others.values()], axis=0) - own) ** 2).mean() / (own**2).mean()
### END SOLUTION
checks.skill_of_relatives(answer, pixels.change, kinds, "beta_mature")

# %% [markdown]
# ## Further reading
#
# - [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of machine learning in genomics; [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): the average over cell types as the baseline to beat.
