# %% [markdown]
# # What a score of maps rewards
#
# Which scores reward a copy of another cell type's contact map, and how noisy targets limit all
# scores.
#
# > **Learning goals**
# > - [name the scores that reward a copy of another cell type's map](#what-a-copy-scores), and one that does not;
# > - [measure how much the variant of a score matters](#what-a-copy-scores);
# > - [find with a replicate how high a noisy target lets a score go](#how-high-a-noisy-target-lets-a-score-go);
# > - [catch a metric that changes its input](#a-metric-must-leave-its-input-alone).
# >
# > **Before**: [Contact maps](../foundations/contact_maps.ipynb),
# > [What a score rewards](what_a_score_rewards.ipynb).
# >
# > **Time**: 10 min to read, 1 min to run.

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
from scipy.linalg import toeplitz

from scstlib import audit
from scstlib.audit.experiments import over_seeds
from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.metrics import contacts
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, ORANGE, book_style
from scstlib.preprocess.contacts import normalise_depth

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A model predicts the contact map of a cell type and reaches a correlation of 0.95. Maps of all cell types have
# the same bright diagonal and mostly the same domains, so even a map of *other* cells looks right. Does the score
# test whether the model knows this cell type? To find out, score maps whose worth is known. A check of the
# package *refuses* a score when it reports a finding.
#
# ## What a copy scores
#
# The task is the contact map of one mature cell type from a pseudo-bulk of 200 of its cells. The prediction is a
# copy of the stem cells' map, as a bulk experiment would measure it. The *ceiling* is the noise-free truth,
# scored against the same target. The last row is pure distance decay, which knows nothing about positions on the
# chromosome. The [contrast correlation](../../book/glossary.md#contrast-correlation-dc) first subtracts the mean
# of the other cell types from both maps, so that only what is specific to the cell type is left. SCC is the
# stratum-adjusted correlation ([Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)); it is undefined for
# decay, whose strata do not vary. [SSIM](../../book/glossary.md#structural-similarity-ssim) compares the maps as
# images, neighbourhood by neighbourhood, and Pearson is the plain correlation of all pixels. GenomeDISCO compares maps after random walks on them
# ([Ursu et al. 2018](https://doi.org/10.1093/bioinformatics/bty164)).

# %% tags=["hide-input"]
organism = simulate_organism(seed=seed, preset="small")
seeds = range(seed, seed + (20 if profile == "full" else 5))
chrom, cell_type = organism.chromosomes[0], "beta_mature"


def view(counts):
    return normalise_depth(counts[200:328, 200:328])


def sampled(draw, n_cells, chrom):
    sample = partial(organism.sample_contacts, cell_type)
    drawn = sample(n_cells=n_cells, seed=draw, chroms=[chrom])
    return view(drawn[chrom])


def maps_of(draw):
    """Target, truth, bulk, mean of other types; a chromosome a draw."""
    chrom = organism.chromosomes[draw % len(organism.chromosomes)]
    expected = partial(organism.expected_contacts, chrom, biased=True)
    kinds = {kind: view(expected(kind)) for kind in organism.cell_types}
    truth = kinds.pop(cell_type)
    bulk = view(organism.bulk("stem", seed=draw + 1, chroms=[chrom])[chrom])
    others = np.mean(list(kinds.values()), axis=0)
    return sampled(draw, 200, chrom), truth, bulk, others


def scores(a, goal, others):
    return {
        "SSIM": float(contacts.ssim(a, goal, data_range=1.0)),
        "GenomeDISCO": float(contacts.genome_disco(a, goal)),
        "SCC": float(contacts.stratum_adjusted_correlation(a, goal)),
        "Pearson": np.corrcoef(a.ravel(), goal.ravel())[0, 1],
        "contrast": float(contacts.contrast_correlation(a, goal, others)),
    }


maps = [maps_of(draw) for draw in seeds]
target, truth, bulk, others = maps[0]
contenders = {
    "ceiling (truth)": truth,
    "bulk copied": bulk,
    "distance decay": toeplitz(contacts.expected_by_distance(bulk)),
}
compared = {n: scores(a, target, others) for n, a in contenders.items()}
compared = pd.DataFrame(compared).T
table(compared, apart=("ceiling (truth)",))

# %% tags=["hide-input"]
both = [[scores(a, m[0], m[3]) for a in (m[2], m[1])] for m in maps]
share = over_seeds(lambda s: {n: s[0][n] / s[1][n] for n in s[0]}, both)
scc, disco, own = (share.loc[n] for n in ("SCC", "GenomeDISCO", "contrast"))
decay = compared.loc["distance decay"]
claim(
    f"Decay alone has a Pearson correlation of {decay['Pearson']:.2f}: this"
    f" score hardly tests positions. Over {len(maps)} draws of cells and"
    f" chromosomes the copy reaches {scc['mean']:.0%} of the ceiling in"
    f" SCC (95% interval {scc['lower']:.0%} to {scc['upper']:.0%}) and"
    f" {disco['mean']:.0%} in GenomeDISCO, although it knows nothing about"
    " this cell type. In contrast correlation it reaches none of it: the"
    f" interval ends at {own['upper']:.0%} of the ceiling.",
    decay["Pearson"] > 0.7,
    scc["lower"] > 0.5,
    disco["lower"] > 0.8,
    own["upper"] < 0.2,
)

# %% [markdown]
# **How to see it**: score the copy. **How to avoid it**: subtract what cell types share; what is left is what a
# spatial model has to get right. **What refuses it**: `audit.prefers_truth` again. With `margin=0.5`, a worse
# prediction must fall behind the truth by half of the truth's score.

# %%
whole, worse = contacts.stratum_adjusted_correlation, {"bulk copied": bulk}
specific = partial(contacts.contrast_correlation, reference=others)
for name, score in {"SCC": whole, "contrast": specific}.items():
    check = partial(audit.prefers_truth, score, truth, worse, target)
    print(f"{name}: {check(higher_is_better=True, margin=0.5)}")

# %% [markdown]
# > **Note** One name can stand for several variants. The published code of scGrapHiC (`rsinghlab/scGrapHiC` at
# > commit `8019e1f`) takes `argsort` for ranks when it weights the strata, so its weights depend only on the
# > length of a diagonal; it reads 40 diagonals and leaves out the main one; and it gives SSIM a data range of 2
# > for maps between 0 and 1.
#
# How much does each variant change the score of the same prediction (mean and 95% interval over the draws)?


# %% tags=["hide-input"]
def changes(drawn):
    goal, _, copied, _ = drawn
    scc = partial(contacts.stratum_adjusted_correlation, copied, goal)
    near, published = scc(max_distance=39), scc(variant="published")
    ssim = partial(contacts.ssim, copied, goal)
    wide = float(ssim(data_range=2.0) - ssim(data_range=1.0))
    return {
        "SCC near the diagonal, not everywhere": float(near - scc()),
        "SCC near the diagonal, as published": float(published - near),
        "SSIM with data range 2, not 1": wide,
    }


variants = over_seeds(changes, maps)
table(variants.rename_axis("what changes the score"))

# %% tags=["hide-input"]
size, low = variants["mean"], variants["lower"]
claim(
    "For the same prediction, the choice of diagonals changes SCC by"
    f" {size.iloc[0]:.2f} and the data range changes SSIM by"
    f" {size.iloc[2]:.2f}; the published weights change SCC by less than 0.05.",
    min(low.iloc[0], low.iloc[2]) > 0.05,
    abs(size.iloc[1]) < 0.05,
)

# %% [markdown]
# **How to see it**: recompute a published score with your own function before you compare with it. **How to avoid
# it**: name the variant. **What refuses it**: `contacts.ssim` has no default data range, because any default
# would be wrong for some users.

# %%
try:
    contacts.ssim(bulk, target)
except TypeError as error:
    print("refused:", error)

# %% [markdown]
# ## How high a noisy target lets a score go
#
# Two pseudo-bulks of one cell type from different cells would agree perfectly if there were no counting noise.
# How well they do agree is the *replicate ceiling*. Another measurement cannot exceed it. A prediction without
# noise can, because then only the target is noisy.

# %% tags=["hide-input"] caption="Agreement of two pseudo-bulks of one cell type, drawn from different cells, against the number of cells in each; 95% intervals over seeds are about as narrow as the lines. The ceiling rises with depth and differs from score to score. SCC leaves out pixels that are empty in both maps, and what remains of two sparse maps is anti-correlated." alt="Three rising curves on a logarithmic axis from 25 to 1600 cells. GenomeDISCO is highest, SSIM in the middle, SCC lowest and below zero for the fewest cells." name="fig-ceiling"
numbers = [25, 100, 400, 1600]
colors = {"SCC": BLUE, "GenomeDISCO": ORANGE, "SSIM": GREY}


def agreement(draw, n_cells):
    pair = (sampled(100 + 2 * draw + i, n_cells, chrom) for i in (0, 1))
    found = scores(*pair, others)
    return {name: found[name] for name in colors}


ceilings = {}
for n in numbers:
    ceilings[n] = over_seeds(partial(agreement, n_cells=n), seeds)
fig, ax = plt.subplots()
for name, color in colors.items():
    curve = pd.DataFrame({n: ceilings[n].loc[name] for n in numbers}).T
    ax.plot(numbers, curve["mean"], "o-", color=color, label=name)
    band = curve["lower"], curve["upper"]
    ax.fill_between(numbers, *band, color=color, alpha=0.2, lw=0)
ax.set(xscale="log", xlabel="cells in each pseudo-bulk", ylabel="agreement")
ax.set_xticks(numbers, [str(n) for n in numbers])
ax.minorticks_off()
ax.legend()
plt.show()

# %% tags=["hide-input"]
few = ceilings[25].loc["SCC"]
claim(
    f"Two pseudo-bulks of 25 cells have an SCC of {few['mean']:.2f} (95%"
    f" interval {few['lower']:.2f} to {few['upper']:.2f}): such a target"
    " cannot tell a good prediction from a poor one.",
    few["upper"] < 0.2,
    ceilings[1600].loc["SCC", "lower"] > 0.6,
)

# %% [markdown]
# **How to see it**: score a replicate as if it were a prediction. **How to avoid it**: draw no
# conclusions where the replicate does not beat a copy. **What refuses it**: `audit.prefers_truth`,
# with the replicate in place of the truth.

# %%
for n_cells in (25, 1600):
    copy, goal = (sampled(draw, n_cells, chrom) for draw in (11, 12))
    check = partial(audit.prefers_truth, whole, copy, worse, goal)
    print(f"{n_cells} cells: {check(higher_is_better=True)}")

# %% [markdown]
# ## A metric must leave its input alone
#
# An insulation score looks at one half of the map. If the function zeroes the other half *in the array it was
# given*, its own result is right, and every metric computed after it is wrong. A second run hides the fault,
# because by then the half is gone from the start. The next function has this fault. One line catches it: freeze
# the array.


# %%
def insulation_in_place(a):
    a[np.tril_indices(len(a))] = 0  # the caller's array!
    return [a[i - 5 : i, i : i + 5].mean() for i in range(5, len(a) - 5)]


frozen = bulk.copy()
frozen.flags.writeable = False
try:
    insulation_in_place(frozen)
except ValueError as error:
    print("caught:", error)


# %% tags=["hide-input"]
def change_in_place(drawn):
    goal, _, copied, _ = (each.copy() for each in drawn)
    ssim = partial(contacts.ssim, copied, goal, data_range=1.0)
    before = ssim()
    insulation_in_place(copied), insulation_in_place(goal)
    return {"SSIM": float(ssim() - before)}


fault = over_seeds(change_in_place, maps).loc["SSIM"]
claim(
    f"The same prediction gains {fault['mean']:.2f} in SSIM when the"
    f" faulty function runs before it (95% interval {fault['lower']:.2f}"
    f" to {fault['upper']:.2f}).",
    fault["lower"] > 0.05,
)

# %% [markdown]
# **How to see it** and **how to avoid it**: freeze the arrays that you pass. **What refuses it**:
# `audit.leaves_inputs`, which also works for inputs that cannot be frozen.

# %%
pure = partial(contacts.insulation_score, window=5)
print("in place:", audit.leaves_inputs(insulation_in_place, bulk))
print("package: ", audit.leaves_inputs(pure, bulk))

# %% [markdown]
# ## Check yourself
#
# <details><summary>Why does the contrast correlation not reward a copy of the stem-cell map?</summary>
# What the copy shares with the target is shared by all cell types, and the mean of these is subtracted. What is
# left of the copy is specific to stem cells, not to the target.
# </details>
# <details><summary>A model has a higher SCC than a replicate. Is that too good to be true?</summary>
# No. A replicate has noise of its own. A smooth prediction has none, so only the target's noise is left. The
# model would be too good if it exceeded the ceiling, the noise-free truth.
# </details>
# <details><summary>Paper A reports an SSIM of 0.7, paper B one of 0.5. Which model is better?</summary>
# Nobody can tell before the data range, the window and the normalisation are known. On this page the range alone
# changes SSIM by nearly as much.
# </details>

# %% [markdown]
# ## Key points
#
# - Scores of whole contact maps are dominated by what all cell types share. Subtract it.
# - A copy of another cell type's map and a replicate belong in every table of scores.
# - One name stands for several variants: state range, distances and weights, or recompute the score.
# - A metric is a pure function; a frozen input proves it.
#
# ## Exercises
#
# > **Exercise** Smooth the bulk map (`scipy.ndimage.uniform_filter(bulk, 3)`) and add it to `contenders`. Which scores improve?
# <details><summary>Solution</summary>
#
# SCC hardly changes; SSIM and GenomeDISCO get worse, because smoothing blurs the steep decay beside the diagonal. The contrast stays near 0: nothing was learned about the cell type.
#
# </details>
#
# > **Exercise** Write a version of `insulation_in_place` that leaves the caller's map as it is.


# %% tags=["solution"]
### BEGIN SOLUTION
def answer(a):
    return [a[i - 5 : i, i : i + 5].mean() for i in range(5, len(a) - 5)]


### END SOLUTION
checks.pure(answer, insulation_in_place, bulk)

# %% [markdown]
# ## Further reading
#
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): reproducibility measures of contact maps compared.
