# %% [markdown]
# # Evaluating contact maps
#
# A model beside every baseline, on held-out chromosomes and cell types, and which scores notice expression.
#
# > **Learning goals**
# > - [hold out places and cell types](#the-test), and say what is tested by each;
# > - [put a floor and a ceiling beside every score](#a-floor-a-ceiling-and-what-is-between), and rows that do without a network;
# > - [name scores that hardly notice whether a model looked at expression](#what-a-score-does-not-see), and two that do;
# > - [say how far a prediction of an unmeasured cell type can be trusted](#new-cell-types).
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb);
# > [What a score of maps rewards](../pitfalls/what_a_map_score_rewards.ipynb) helps.
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
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.leakage import LeakageError, check_evaluation
from scstlib.models import ScGrapHiC
from scstlib.models.spatial import BulkCopy, BulkRidge, BulkSmoothed, ContactTrees, MeanOfTypes
from scstlib.models.spatial.comparison import contact_scores, mean_at_places
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, book_style
from scstlib.preprocess.organism_windows import organism_windows
from scstlib.splits import hold_out_cell_types, hold_out_chromosomes

plt.rcParams.update(book_style())
claim = Claims(profile, seed)
FLOOR, BOOSTING, OURS = "bulk copied", "gradient boosting", "scGrapHiC"

# %% [markdown]
# A model is given a bulk contact map and the expression of a cell type, and predicts its contact map. "It works" can mean two
# things: that it works at **places** it has not seen, on other chromosomes, in cell types that it was trained on; or that it works
# for **cell types** it has not seen. The second is what a model is for, but a new cell type at an old place does not test it: at one
# place the maps of all cell types are alike, so a model that remembers the place seems to know the type ([Schreiber et al.
# 2020](https://doi.org/10.1186/s13059-020-02177-y)). So a new cell type is scored on new chromosomes (the middle of the diagram).
#
# ![Rows and grids of squares: filled for training, with a dot for validation, striped for test, empty for not used. Of twelve times, the pattern easy tests times 4, 6 and 8, counted from 0, with training times on both sides; the pattern medium tests the last two. In a grid of cell types by chromosomes, a split by chromosomes tests the last column and validates on the one before, in all cell types. A split by cell types tests only the last cell type on the last chromosome; the other squares of that row and column are not used. Of six donors, one is tested as a whole.](../../book/_static/diagrams/splits.svg)
#
# *Whole times, whole chromosomes and whole donors are held out; a new cell type is tested on new chromosomes only.*
#
# ## The test
#
# The cells come from a simulated organism, because there the truth is known. The [bulk](../../book/glossary.md#bulk) is of stem
# cells. Models are trained on five cell types, with [pseudo-bulks](../../book/glossary.md#pseudo-bulk) of 200 cells as targets,
# and never on two others. The first, the precursor of gamma cells, is **near**: the types before and after it on the tree of
# development are training types. The second, the mature alpha cell, is **far**: the type before it is left out altogether. The
# last two chromosomes are held out. `hold_out_cell_types` refuses a held-out cell type whose contacts are in the bulk, and leaves
# out what belongs to neither part.

# %%
training = ["stem", "bipotent", "beta_precursor"]
training += ["beta_mature", "gamma_mature"]
unseen = {"near": "gamma_precursor", "far": "alpha_mature"}


def parts_of(windows):
    """Windows for training, and tests of seen, near and far types."""
    how = {"test_chromosomes": new_places}
    held = hold_out_cell_types(windows, unseen.values(), **how)
    known = windows.table["cell_type"].isin(training).to_numpy()
    seen = hold_out_chromosomes(windows[known], new_places).test
    types = held.test.table["cell_type"].to_numpy()
    new = {k: held.test[types == v] for k, v in unseen.items()}
    return held.train, {  # tests share no bin
        k: w[w.table["start"] % (window * w.bin_size) == 0]
        for k, w in ({"seen": seen} | new).items()
    }  # fmt: skip


# %% tags=["hide-input"]
n_chromosomes, n_steps, window = (8, 200, 64) if profile == "fast" else (13, 2000, 128)
organism = simulate_organism(seed=seed, preset="small", n_chromosomes=n_chromosomes)
new_places, n_cells = organism.chromosomes[-2:], 200
windows, expected = organism_windows(
    organism, [*training, *unseen.values()], organism.chromosomes,
    reference=training, n_cells=n_cells, window=window, seed=seed,
)  # fmt: skip
train, tests = parts_of(windows)
truth = {k: w.targets for k, w in parts_of(replace(windows, targets=expected))[1].items()}
reference = {k: mean_at_places(truth["seen"], tests["seen"], tests[k]) for k in tests}
depth = train.table.assign(n=train.targets.sum(axis=(1, 2))).groupby("cell_type")["n"].sum()
claim(
    f"There are {len(train)} training windows and {len(tests['seen'])} test windows of types seen in training, {len(tests['near'])} of the near type and {len(tests['far'])} of the far one. The targets are equally deep: of the training types, the deepest has {depth.max() / depth.min():.2f} times the contacts of the shallowest.",
    depth.max() / depth.min() < 1.1,
)  # fmt: skip

# %% [markdown]
# ## A floor, a ceiling, and what is between
#
# No prediction can be expected to agree with a noisy target better than the truth does. So the first row of each table is the **truth** itself, scored as if it were a prediction: the ceiling. The floor is the **bulk, copied**: the map that was given, passed off as the map of every cell type. Between them stand methods that need no network, from weak to strong:
#
# | row | prediction |
# |---|---|
# | bulk copied | the bulk |
# | bulk smoothed | the bulk over what distance and visibility make of it, blurred; the width suits the training targets |
# | bulk + ridge | smoothed bulk × a factor linear in the features of a pixel: bulk around it, distance, tracks at both bins and between them |
# | gradient boosting | the same features, a factor by boosted trees that maximise the likelihood of the counts |
# | mean of the training types | their mean map at the same place; needs their maps *there*, which no other row sees |
#
# The last one is a reference, not a competitor, and the leak guard refuses it among models. All methods that learn are told **the
# depth of each target**: of a rare cell type few contacts are measured, and a method that takes this for a feature of the type
# learns little else. The targets here are equally deep; where depths are 1 : 4, what boosting knows of the cell type is kept
# ([the benchmarks](../../book/reproducibility.md#contact-maps-of-cell-types)).

# %%
models = {
    "bulk copied": BulkCopy(),
    "bulk smoothed": BulkSmoothed(),
    "bulk + ridge": BulkRidge(n_pixels=40_000, seed=seed),
    BOOSTING: ContactTrees(n_pixels=100_000, max_iter=64, seed=seed),
    "scGrapHiC": ScGrapHiC(seed=seed, n_steps=n_steps, crop=window // 2),
}
for model in models.values():
    model.fit(train)
check_evaluation(list(models.values()), tests["seen"])
others = MeanOfTypes().fit(tests["seen"])
try:
    check_evaluation(others, tests["seen"])
except LeakageError as error:
    print("LeakageError:", error)

# %% [markdown]
# ## New places
#
# Three scores compare predictions with the noisy **targets**, as one would with real data.
# [SSIM](../../book/glossary.md#structural-similarity-ssim) compares them as pictures. GenomeDISCO (GD; [Ursu et al.
# 2018](https://doi.org/10.1093/bioinformatics/bty164)) first smooths both maps by random walks along their contacts. The
# stratum-adjusted correlation (SCC; [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)), up to 2 Mb, is a mean of the correlations at each distance.
# Four more compare with the **truth**, which only a simulation has: SCCt is the SCC with the truth; *ins* is the correlation of
# [insulation](../../book/glossary.md#insulation-score). The last two ask for what is specific to a cell type. **dC** subtracts from each true map
# the mean over the training types, from each prediction the mean of the method's own predictions for these, and correlates what is left. **dIns** does the same with insulation. All maps are scaled to one depth; masked bins are left out.

# %% tags=["hide-input"]
CEILING, OTHERS = "truth", "mean of the training types"
METRICS = ["SSIM", "GD", "SCC", "SCCt", "ins", "dC", "dIns"]


def scored(maps):
    """Scores of each part, window by window."""
    own = {k: mean_at_places(maps["seen"], tests["seen"], tests[k]) for k in maps}
    same = {k: {"truth": truth[k], "reference": reference[k]} for k in maps}
    return {
        k: contact_scores(maps[k], tests[k], prediction_reference=own[k], **same[k]) for k in maps
    }


predicted = {n: {k: m.predict(part) for k, part in tests.items()} for n, m in models.items()}
by_window = {n: scored(m) for n, m in ({CEILING: truth} | predicted).items()}
by_window[OTHERS] = scored({k: others.predict(part) for k, part in tests.items()})
means = {k: pd.DataFrame({n: s[k][METRICS].mean() for n, s in by_window.items()}).T for k in tests}
for frame in means.values():  # what the contrast is taken to has none of its own
    frame.loc[OTHERS, ["dC", "dIns"]] = np.nan
seen = means["seen"]
table(seen, best=dict.fromkeys(METRICS, "max"), apart=(CEILING, FLOOR, OTHERS))

# %% tags=["hide-input"]


def share(row, metric):
    """How far a row has come from the floor to the ceiling."""
    low, high = seen.loc[[FLOOR, CEILING], metric]
    return (row[metric] - low) / (high - low)


way = {name: share(seen.loc[name], "SCC") for name in ("bulk smoothed", BOOSTING, OURS)}
claim(
    f"Against such noisy targets even the truth has an SCC of only {seen['SCC'][CEILING]:.3f} (the ceiling), and the copied bulk already has {seen['SCC'][FLOOR]:.3f} (the floor). Smoothing the bulk closes {way['bulk smoothed']:.0%} of the gap between"
    f" the two, boosting {way[BOOSTING]:.0%}, scGrapHiC {way[OURS]:.0%}. After so little training the network does no better than boosted trees with the same inputs: its dC is {seen['dC'][OURS]:.2f}, theirs {seen['dC'][BOOSTING]:.2f}.",
    way["bulk smoothed"] < 0.5 * min(way[BOOSTING], way[OURS]), abs(way[OURS] - way[BOOSTING]) < 0.15,
    abs(seen["dC"][OURS] - seen["dC"][BOOSTING]) < 0.1,
)  # fmt: skip

# %% [markdown]
# SSIM hardly tells the rows apart, and even the truth is far from 1: it sees mostly the noise of the targets. SCC begins to show
# their order. dC and dIns ask for nothing but the cell type: one map for all types gets exactly 0.
#
# ## What a score does not see
#
# Fit ridge regression to the same windows without a single track of expression. It still reads the bulk map, CTCF and CpG, but it
# cannot know which cell type it is asked for. Training anew says what an input is *worth*; exchanging it in a trained model would
# only say what that model leans on, even where other inputs could stand in.


# %%
def without(part, *words):
    """Windows without the tracks whose names have one of these words."""
    kept = [n for n in part.track_names if not any(w in n for w in words)]
    tracks = part.tracks[..., [part.track_names.index(n) for n in kept]]
    return replace(part, tracks=tracks, track_names=tuple(kept))


def ridge_without(*words):
    """Mean scores of a ridge regression that never saw some tracks."""
    ridge = BulkRidge(n_pixels=40_000, seed=seed)
    ridge.fit(without(train, *words))
    found = ridge.predict(without(tests["seen"], *words))
    return scored({"seen": found})["seen"][METRICS].mean()


no_expression = ridge_without("expression")
no_sites = ridge_without("CTCF", "CpG")

# %% tags=["hide-input"]
with_all = seen.loc["bulk + ridge"]
lost, lost_sites = with_all - no_expression, with_all - no_sites
claim(
    f"Without expression the SCC of ridge falls by {lost['SCC']:.3f} and its SSIM by {lost['SSIM']:.3f}. By these two scores the blind model is nearly as good. But dC falls from {with_all['dC']:.2f} to {no_expression['dC']:.2f},"
    f" and dIns from {with_all['dIns']:.2f} to {no_expression['dIns']:.2f}. CTCF and CpG are worth hardly anything: without both the SCC is lower by {lost_sites['SCC']:.3f}, dC by {lost_sites['dC']:.3f}.",
    0 < lost["SCC"] < 0.05, lost["SSIM"] < 0.03, abs(no_expression["dC"]) < 0.02, abs(lost_sites["dC"]) < 0.05,
)  # fmt: skip

# %% caption="How far each method gets from the copied bulk (0) to the truth (1), score by score (all but SSIM), for seen cell types at new places. On this scale every score falls without expression; insulation loses nearly all, dC and dIns all." alt="Dot plot with a row for each of six scores and a coloured dot for each of three methods. In each row the dot of ridge without expression lies to the left of the other two; in dC and dIns it lies at zero, in ins close to it." name="fig-what-scores-see" tags=["hide-input"]
rows = {"ridge without expression": no_expression, "bulk + ridge": with_all}
rows |= {OURS: seen.loc[OURS]}
fig, ax = plt.subplots(figsize=(5.4, 3.6))
for (name, row), color in zip(rows.items(), [ORANGE, GREEN, BLUE], strict=True):
    values = [share(row, metric) for metric in METRICS[1:]]
    ax.plot(values, range(len(values)), "o", color=color, ms=9, alpha=0.8, label=name)
ax.axvline(0, color=GREY, lw=0.8)
ax.set_yticks(range(len(values)), METRICS[1:])
ax.invert_yaxis()
ax.set(xlabel="share of the way from the copied bulk to the truth")
fig.legend(loc="outside upper center", ncols=3, fontsize="small")
plt.show()

# %% [markdown]
# [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223) report MSE, SSIM, GenomeDISCO, SCC and a score of domains.
# These are fair questions, but a model can answer them well by knowing chromatin in general. Ask about *this cell type* separately.
#
# ## New cell types
#
# Now come the two types that no model was trained on, at the same new places. dC still subtracts the mean over the *training*
# types, so a method that falls back on that mean gains nothing by it.

# %% tags=["hide-input"]
chosen = [CEILING, FLOOR, "bulk smoothed", "bulk + ridge", BOOSTING, OURS, OTHERS]
parts = [(metric, k) for metric in ("SCC", "dC", "dIns") for k in unseen]
columns = {f"{metric}, {k}": means[k].loc[chosen, metric] for metric, k in parts}
table(pd.DataFrame(columns), best=dict.fromkeys(columns, "max"), apart=(CEILING, FLOOR, OTHERS))

# %% tags=["hide-input"]
near, far = means["near"], means["far"]
claim(
    f"For types that it was never trained on, the network reaches a dC of {near['dC'][OURS]:.2f} (near) and {far['dC'][OURS]:.2f} (far), boosting {near['dC'][BOOSTING]:.2f} and {far['dC'][BOOSTING]:.2f}; for seen types they have {seen['dC'][OURS]:.2f} and {seen['dC'][BOOSTING]:.2f}. What was learned carries over in part."
    f"\n\nThe mean of the training types has an SCC of {near['SCC'][OTHERS]:.3f} for the near type, above every model, and {far['SCC'][OTHERS]:.3f} for the far one, where boosting has {far['SCC'][BOOSTING]:.3f}: a relative's map is a good guess where there is a relative.",
    min(far["dC"][OURS], far["dC"][BOOSTING], near["dC"][OURS]) > 0.1, near["dC"][OURS] < seen["dC"][OURS],
    near["SCC"][OTHERS] > near.loc[list(models), "SCC"].max(), near["SCC"][OTHERS] - near["SCC"][BOOSTING] > far["SCC"][OTHERS] - far["SCC"][BOOSTING] + 0.01,
)  # fmt: skip

# %% [markdown]
# ## How sure is it?
#
# The test windows share no bin, but they lie on two chromosomes, so independent places are few. Average over the cell types at
# each place, and compare scGrapHiC with boosting place by place.

# %% tags=["hide-input"]
per_place = {}
for name in (OURS, BOOSTING):
    places = by_window[name]["seen"].groupby(["chrom", "start"])
    per_place[name] = places[["SCC", "dC", "dIns"]].mean()
difference = per_place[OURS] - per_place[BOOSTING]
error = difference.std() / np.sqrt(len(difference))
claim(
    f"Over {len(difference)} places scGrapHiC minus boosting is {difference['SCC'].mean():+.3f} in SCC (standard error {error['SCC']:.3f}), {difference['dC'].mean():+.3f} in dC ({error['dC']:.3f}) and {difference['dIns'].mean():+.3f} in dIns ({error['dIns']:.3f}). If there is a difference, so few places cannot show it.",
    (difference.mean().abs() < 3 * error).all(),
)  # fmt: skip

# %% [markdown]
# This is one organism, built so that expression goes with its maps; in real cells that has to be measured, across donors. [The
# benchmarks](../../book/reproducibility.md#contact-maps-of-cell-types) repeat this page on three organisms with larger windows and
# longer training, and train the published model too.
#
# ## Check yourself
#
# <details><summary>Why is a new cell type scored on new chromosomes only?</summary>
#
# A model that remembers an old place, whose map is much the same in all types, would look as if it knew the type.
#
# </details>
#
# <details><summary>A paper reports SCC 0.75. Is that good?</summary>
#
# Nobody can say without a ceiling and a floor: here the copied bulk reaches about as much.
#
# </details>
#
# <details><summary>Why is dC of the copied bulk exactly 0?</summary>
#
# It is one map for all cell types. Once the mean of its own predictions is subtracted, nothing is left to correlate.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Hold out chromosomes for new places; hold out cell types on held-out chromosomes for new types.
# - Put the truth (or a replicate) above the table, the copied bulk below it, and boosted trees beside the model.
# - Ordinary scores of maps are won by knowing chromatin in general. dC and dIns ask for what is specific to a type.
# - The map of a close relative is a good guess for a new type, but it has to be measured at the same place.
#
# ## Exercises
#
# > **Exercise** Predict the near type from the tracks of the far one. Which scores notice?
#
# <details><summary>Solution</summary>
#
# Predict `replace(tests["near"], tracks=tests["far"].tracks)`; the windows of both are in one order. SCC loses a few hundredths at most, dC goes to about zero or below: the cheapest control there is.
#
# </details>
#
# > **Exercise** Of the methods in `seen`, which are not beaten, so that no other is better in *all* the scores of `fair`?

# %% tags=["solution"]
fair = seen.drop([CEILING, OTHERS])
### BEGIN SOLUTION
answer = [n for n, row in fair.iterrows() if not (fair > row).all(axis=1).any()]
### END SOLUTION
checks.not_beaten(answer, fair, "max")

# %% [markdown]
# ## Further reading
#
# - [Contact maps with error bars](../alternatives/uncertain_maps.ipynb): how sure each pixel is; [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): the average over cell types as a baseline.
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): what measures of agreement respond to; [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of machine learning in genomics.
