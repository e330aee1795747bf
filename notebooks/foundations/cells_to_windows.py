# %% [markdown]
# # From single cells to windows
#
# How expression and contact maps become the windows that a model reads, split without a leak.
#
# > **Learning goals**
# > - [bin expression, CTCF and CpG into tracks](#tracks), and scale them without losing the cell type;
# > - [split chromosomes first and cut windows afterwards](#windows-split-first);
# > - [fit whatever is learned on training windows](#windows-split-first), and let the package refuse anything else.
# >
# > **Before**: [Pseudo-bulk: how many cells?](pseudo_bulk.ipynb); [What balancing takes away](balancing.ipynb) helps.
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

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.leakage import LeakageError, assert_disjoint, check_evaluation
from scstlib.metrics.contacts import expected_by_distance
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, book_style
from scstlib.preprocess.contacts import DistanceMeans, distance_means, make_windows
from scstlib.preprocess.tracks import (
    TrackScaler,
    by_chromosome,
    expression_tracks,
    peak_tracks,
    scale_per_window,
)
from scstlib.splits import hold_out_chromosomes

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## What a model of contact maps sees
#
# A model that predicts the contact map of a cell type from a bulk map and expression, such as scGrapHiC ([Murtaza et al.
# 2024](https://doi.org/10.1093/bioinformatics/btae223)), does not see cells. It sees square
# [windows](../../book/glossary.md#window) on the diagonal of summed maps, with [tracks](../../book/glossary.md#track)
# beside them: values along the same bins.
#
# ![A square contact map of a chromosome, darkest on the diagonal. Four equal squares, numbered 1 to 4, lie along the diagonal, each shifted by half its width, so that neighbours overlap. Dashed lines on both sides of the diagonal mark the band that is complete. The corners far from the diagonal are outside all windows: too far apart, not predicted. Below, the weights of the four windows along the diagonal: four bumps that overlap by half, each rising from 0 at one end of its window to 1 and back to 0.](../../book/_static/diagrams/windows.svg)
#
# *Windows overlap, and a predicted pixel is the weighted mean of those over it; between the dashed lines no pixel is left out.*
#
# Each step from cells to windows can ruin the result without an error message. So this page takes them one by one on the simulated
# organism, where the truth is known; [Tracks from other studies](tracks_from_other_studies.ipynb) does it on human cortex.
#
# ## Tracks
#
# `expression_tracks` puts the mean expression of each gene into the bin of its transcription start, on one track for each
# strand. `peak_tracks` sums the signal of CTCF sites, which hold the ends of loops, again by strand. CpG content is one track.

# %%
organism = simulate_organism(seed=seed, preset="small")
cells = organism.sample(n_cells=100, seed=seed, keep_truth=False)
kinds, genes = ["stem", "beta_mature"], organism.genome.genes
known = organism.tracks()
bins = known[["chrom", "start", "end"]]
bin_size, n_bins = organism.settings.bin_size, organism.settings.n_bins


def mean_expression(adata, kinds):
    """Counts per 10,000 of summed cells (genes, cell types)."""
    labels = adata.obs["cell_type"].to_numpy()
    sums = {k: np.ravel(adata.X[labels == k].sum(axis=0)) for k in kinds}
    frame = pd.DataFrame(sums, index=adata.var_names)
    return frame / frame.sum() * 1e4


tracks = expression_tracks(mean_expression(cells, kinds), genes, bins)

# %% tags=["hide-input"]
middle = (known["start"] + bin_size // 2).to_numpy()
sites = pd.concat([
    pd.DataFrame({"chrom": known["chrom"], "start": middle - 10, "end": middle + 10,
                  "strand": strand, "signal": known[column]})[known[column] > 0]
    for strand, column in (("+", "ctcf_forward"), ("-", "ctcf_reverse"))
], ignore_index=True)  # fmt: skip
ctcf = peak_tracks(sites, bins, value="signal")

# %% tags=["hide-input"] caption="Tracks along 6.4 Mb: expression in stem and in beta cells (counts per 10,000, on a logarithmic axis), CTCF (signal) and CpG. Bars point up for the + strand and down for the − strand. Only expression differs between the cell types; CTCF and CpG are the same in all cells." alt="Four rows along 6.4 Mb: bars for expression in stem cells and in beta cells, which differ in height at several places, bars for CTCF sites pointing up and down, and a ragged curve for CpG." name="fig-tracks"
here = slice(200, 328)
position = middle[here] / 1e6
shown = {"stem": tracks["stem"], "beta": tracks["beta_mature"], "CTCF": ctcf}
fig, axes = plt.subplots(4, 1, figsize=(5.4, 4.6), sharex=True)
for ax, color, (name, values) in zip(axes, [BLUE, ORANGE, GREEN], shown.items(), strict=False):
    ax.bar(position, values[here, 0], width=0.05, color=color)
    ax.bar(position, -values[here, 1], width=0.05, color=color, alpha=0.6)
    ax.axhline(0, color=GREY, lw=0.6)
    ax.set_ylabel(name)
top = max(tracks[kind][here].max() for kind in kinds)
for ax in axes[:2]:
    ax.set_yscale("symlog", linthresh=1)
    ax.set(ylim=(-top, top), yticks=[-100, 0, 100], yticklabels=["100", "0", "100"])
    ax.minorticks_off()
axes[2].set(yticks=[-2, 0, 2], yticklabels=["2", "0", "2"])
axes[3].plot(position, known["cpg"].to_numpy()[here], color=PURPLE, lw=1)
axes[3].set(ylabel="CpG (%)", xlabel="position (Mb)")
plt.show()

# %% tags=["hide-input"]
columns = ["expression_forward", "expression_reverse"]
true_tracks = {kind: organism.tracks(kind)[columns].to_numpy() for kind in kinds}


def change(by_kind):
    """Difference of log(1 + expression) between the two cell types, all bins and strands."""
    return (np.log1p(by_kind["beta_mature"]) - np.log1p(by_kind["stem"])).ravel()


right = {}
for n in (5, 80):
    chosen = np.concatenate([np.flatnonzero(cells.obs["cell_type"] == k)[:n] for k in kinds])
    few = expression_tracks(mean_expression(cells[chosen], kinds), genes, bins)
    right[n] = np.corrcoef(change(few), change(true_tracks))[0, 1]
contacts = organism.expected_contacts(organism.chromosomes[0], "beta_mature").astype(float)
i, j = np.triu_indices(n_bins)
ratio = np.zeros((n_bins, n_bins))
ratio[i, j] = contacts[i, j] / expected_by_distance(contacts)[j - i]
plus, minus = (np.flatnonzero(ctcf[:n_bins, strand] > 0.3) for strand in (0, 1))
facing = np.mean([ratio[a, b] for a in plus for b in minus if 6 <= b - a <= 30])
turned = np.mean([ratio[b, a] for a in plus for b in minus if 6 <= a - b <= 30])
claim(
    "How good a track is depends on the number of cells. What tells a model the cell type is the *difference* between the"
    f" two tracks: its correlation with the true difference is {right[5]:.2f} with 5 cells of each type and {right[80]:.2f} with"
    f" 80.\n\nThe strand matters too: pairs of CTCF sites 0.3 to 1.5 Mb apart that face each other have {facing:.1f} times the"
    f" expected contacts, pairs that face away from each other {turned:.1f} times. One track without strands would not tell the"
    " two apart.",
    right[5] < right[80] - 0.1,
    facing > turned + 0.2,
)

# %% [markdown]
# In real chromatin, too, most loops are held by sites that face each other ([Rao et al.
# 2014](https://doi.org/10.1016/j.cell.2014.11.021)).
#
# ## Windows: split first
#
# Windows here are 128 bins wide and start 32 bins apart. They overlap, so the order of steps matters: **hold out chromosomes
# first**, and fit everything on the windows of the others ([Whalen et al.
# 2022](https://doi.org/10.1038/s41576-021-00434-9)).

# %%
four = organism.chromosomes[:4]
guides = {
    k: by_chromosome(np.column_stack([tracks[k], ctcf, known["cpg"]]), bins)
    for k in kinds
}  # fmt: skip
targets = {
    k: organism.sample_contacts(k, n_cells=400, seed=seed, chroms=four)
    for k in kinds
}  # fmt: skip
windows = make_windows(
    organism.bulk("mixture", seed=seed), guides, targets,
    chromosomes=four, bin_size=bin_size, window=128, stride=32,
    bulk_cell_types=organism.cell_types, max_masked=0.2,
    track_names=["expression +", "expression -", "CTCF +", "CTCF -", "CpG"],
)  # fmt: skip
split = hold_out_chromosomes(windows, test=four[3])
print(len(split.train), "windows to train,", len(split.test), "to test")

# %% [markdown]
# It is tempting to cut all windows and to deal them out at random. The package refuses the result:

# %%
dealt = np.random.default_rng(seed).permutation(len(windows))
half = len(dealt) // 2
random_train, random_test = windows[dealt[:half]], windows[dealt[half:]]
try:
    assert_disjoint(random_train, random_test)
except LeakageError as error:
    print("LeakageError:", error)

# %% tags=["hide-input"]
covered = {c: np.zeros((n_bins, n_bins), dtype=bool) for c in four}
spans = {
    part: [(row.chrom, slice(row.start // bin_size, row.end // bin_size)) for row in w.table.itertuples()]
    for part, w in (("train", random_train), ("test", random_test))
}  # fmt: skip
for chrom, span in spans["train"]:
    covered[chrom][span, span] = True
overlap = np.mean([covered[chrom][span, span].mean() for chrom, span in spans["test"]])
claim(
    f"After dealing at random, {overlap:.0%} of the pixels of the test windows also lie in a training window of one of the two"
    " cell types. A model that only remembers them would seem to predict.",
    overlap > 0.7,
)

# %% [markdown]
# A bulk map that mixes all cell types contains the map of a held-out type as well. `bulk_cell_types` says whose contacts are
# in it, and holding out one of them is refused with the same error (first exercise). The rule also holds for what is
# *learned* from data, such as the range of a track or the mean number of contacts at a distance: `fit` on the training windows,
# then `transform` the others.

# %%
scaler = TrackScaler(log=True).fit(split.train)
means = DistanceMeans(of="targets").fit(split.train)
test_ready = means.transform(scaler.transform(split.test))
check_evaluation([scaler, means], split.test)  # no error: no overlap
try:
    of_all = DistanceMeans(of="targets").fit(windows)
    check_evaluation([of_all], split.test)
except LeakageError as error:
    print("LeakageError:", error)

# %% tags=["hide-input"]
apart = np.abs(means.means_ / distance_means(split.test.targets, split.test.mask) - 1)
claim(
    f"Learned on three chromosomes, the mean at a distance is off on the fourth by {np.median(apart):.0%} in the median and by"
    f" {apart.max():.0%} at worst. That is the price of a chromosome that was never seen, and it belongs in the score. Whoever"
    " divides a test map by its own means has told the model how that map decays with distance.",
    np.median(apart) < 0.3,
)

# %% [markdown]
# ## Scaling tracks without losing the cell type
#
# A network needs tracks in one range. The published model scales each track to [0, 1] *within each window*; `TrackScaler`
# uses one range for the whole genome, learned in training. What becomes of the level of expression?

# %% tags=["hide-input"] caption="Change of expression level from stem to beta cells after scaling against the change before it, one dot per window. With one range learned in training the change is kept; scaled window by window (on a finer y axis), much of it is gone." alt="Two scatter plots. On the left the dots lie on a rising straight line, on the right they are a loose cloud with a weak trend." name="fig-scaling"


def level_change(values):
    """Mean of the expression tracks in each window, beta minus stem."""
    level = values[:, :, :2].mean(axis=(1, 2))
    kind = windows.table["cell_type"].to_numpy()
    return level[kind == "beta_mature"] - level[kind == "stem"]


before = level_change(np.log1p(windows.tracks))
after = {
    "learned in training": level_change(scaler.transform(windows).tracks),
    "window by window": level_change(scale_per_window(np.log1p(windows.tracks))),
}
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.0))
for ax, color, (name, values) in zip(axes, [BLUE, ORANGE], after.items(), strict=True):
    ax.axhline(0, color=GREY, lw=0.6)
    ax.axvline(0, color=GREY, lw=0.6)
    ax.plot(before, values, "o", color=color, ms=4, alpha=0.7)
    ax.set(title=name, xlabel="change before scaling")
axes[0].set_ylabel("change after scaling")
plt.show()

# %% tags=["hide-input"]
kept = {name: np.corrcoef(before, values)[0, 1] for name, values in after.items()}
flipped = np.mean(np.sign(before) != np.sign(after["window by window"]))
claim(
    f"The correlation between the change before and after is {kept['learned in training']:.2f} with one scale for the"
    f" genome and {kept['window by window']:.2f} with one for each window; in {flipped:.0%} of the windows the change even flips"
    " its sign. Every window then has the same maximum, so a window whose genes are all switched up looks like one where"
    " nothing happened.",
    kept["learned in training"] > 0.95,
    kept["window by window"] < kept["learned in training"] - 0.1,
    flipped > 0.02,
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>Why is it not enough that no window is in both parts?</summary>
#
# Windows overlap. Two different windows share up to three quarters of their bins here, and the same place in another cell
# type is nearly the same map.
#
# </details>
#
# <details><summary>Which track of a window says which cell type it is?</summary>
#
# Only expression. CTCF sites and CpG are the same in all cell types here, and so is the bulk map.
#
# </details>
#
# <details><summary>A scaler is fitted on all windows, the model on training windows only. Is that a leak?</summary>
#
# Yes, a small one: the range of the test windows is in the training features. `check_evaluation` refuses it, because nobody
# knows beforehand how small it is.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Tracks carry the cell type in the differences of expression: keep the strands, and keep the level.
# - Split chromosomes first, cut windows afterwards; fit whatever is fitted on training windows.
# - Scale tracks by a range learned in training. Window by window, the cell type is scaled away.
#
# ## Exercises
#
# > **Exercise** The bulk map of this page mixes all cell types. Hold out the cell type `beta_mature` with `hold_out_cell_types` of
# > `scstlib.splits`. What happens, and which bulk may be used?
#
# <details><summary>Solution</summary>
#
# `hold_out_cell_types(windows, test="beta_mature", test_chromosomes=four[3])` raises a `LeakageError`: beta cells are part
# of the mixture, so the map to be predicted is in the input. Cut the windows from `organism.bulk("stem")` with
# `bulk_cell_types=("stem",)`, and the split goes through.
#
# </details>
#
# > **Exercise** Only five windows are dealt out for testing (`theirs`). Which of the others (`ours`) share bins with one of them? Give True
# > or False for each, from the columns `chrom`, `start` and `end`. The other cell type counts, too: its map of a place is nearly the same.

# %% tags=["solution"]
ours, theirs = windows[dealt[5:]].table, windows[dealt[:5]].table
### BEGIN SOLUTION
answer = []
for w in ours.itertuples():
    here = theirs[theirs["chrom"] == w.chrom]
    apart = (here["end"] <= w.start) | (w.end <= here["start"])
    answer.append(not apart.all())
### END SOLUTION
checks.overlapping(answer, ours, theirs)

# %% [markdown]
# ## Further reading
#
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): the windows, tracks and scaling of this page.
# - [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of machine learning in genomics.
