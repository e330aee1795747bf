# %% [markdown]
# # Human cortex
#
# Single-cell Hi-C of two donors, and how much expression from another study adds at 1 Mb.
#
# > **Learning goals**
# > - [set up a fair test where nobody knows the truth](#whose-bulk-whose-target): held-out chromosomes, another donor as target;
# > - [give a score its ceiling (a replicate) and its floor (the bulk copied)](#two-scores-a-ceiling-and-a-floor);
# > - [measure what a guide adds](#what-the-guide-adds), with an interval, against a guide that knows the cell type but not
# >   the place.
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb).
# >
# > **Time**: 15 min to read, 1 min to run; the first run also unpacks 400 single cells (1 min).

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
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.datasets import load
from scstlib.files.chromosomes import chromosome_scores, join_samples
from scstlib.files.track_files import expression_by_type
from scstlib.leakage import check_evaluation
from scstlib.models import ScGrapHiC
from scstlib.models.spatial import BulkRidge, BulkSmoothed, ContactTrees
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, book_style
from scstlib.preprocess.contacts import make_windows, usable_bins, without_diagonal
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks, interval_track
from scstlib.preprocess.windows import join_windows
from scstlib.splits import hold_out_chromosomes

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# Does expression help to predict the contact map of a cell type? On a simulated organism it does, because it was made so. On
# human cortex, in bins of 1 Mb, the answer of this page is: a little, in what distinguishes cell types; next to nothing in the
# map as a whole. **The network is no winner here.** It tells the cell types apart about as well as boosted trees, but mostly
# because it recognises a cell type and applies what it learned of that type everywhere. Its gain from expression is smaller than
# theirs, and as whole maps its predictions are worth no more than the smoothed bulk ([Known limits](../../book/limits.md#in-space)).
#
# The contact maps come from 400 single cells of two donors, of four cell types of the prefrontal cortex (`lee2019` of [the data
# page](../../book/data.md)); expression is from other people (`darmanis2015`). This is not the setting of [Murtaza et al.
# 2024](https://doi.org/10.1093/bioinformatics/btae223), who worked at 50 kb with both measured in the same cells: a small gain
# here says nothing against theirs.
#
# ## Whose bulk, whose target
#
# Cells are summed by cell type and donor: eight [pseudo-bulks](../../book/glossary.md#pseudo-bulk). The
# [bulk](../../book/glossary.md#bulk) map is the sum of the four types, so it contains the very type that is to be predicted. That
# in itself is no fault: a bulk of real tissue contains its cell types too. But if bulk and target are sums over the *same cells*,
# they also share their counting noise, and every method that starts from the bulk is rewarded for it. Two donors are a way out.
#
# ![Two boxes at the top, donor A and donor B, each with cells of three types. From donor A an arrow leads to its bulk map, the sum of all types. From donor B an arrow leads to the target, the map of one type. The bulk map and a box for the guide, expression of that type from a third study, lead to the model, and the model to the predicted map. A double arrow joins the predicted map and the target: the score. A dashed red arrow from donor A to the target is crossed out.](../../book/_static/diagrams/two_donors.svg)
#
# *The bulk map comes from one donor, the target from the other: they share no count. From the same donor, the target's counts would be in the bulk, noise and all.*

# %% tags=["hide-input"]
kinds = {"ODC": "oligo", "Astro": "astro", "MG": "microglia", "Sst": "neuro"}
other = {"21yr": "29yr", "29yr": "21yr"}
chroms = [f"chr{number}" for number in range(1, 23)]
maps = load("lee2019")
sample = maps.obs["cell_type"].astype(str) + " " + maps.obs["donor"].astype(str)
groups = sample.groupby(sample).groups
samples = maps.pseudobulk({name: list(rows) for name, rows in groups.items()})
bins = maps.bins[["chrom", "start", "end"]].astype({"chrom": str})
bins = bins[bins["chrom"].isin(chroms)].reset_index(drop=True)
n_bins = bins.groupby("chrom", sort=False).size().to_dict()
target = {
    (k, d, c): without_diagonal(samples.matrix(f"{k} {d}", c))
    for k, d, c in product(kinds, other, chroms)
}
bulk = {d: {c: sum(target[k, d, c] for k in kinds) for c in chroms} for d in other}
depth = {(k, d): sum(target[k, d, c].sum() for c in chroms) for k, d in product(kinds, other)}
share = [n / sum(depth[k, d] for k in kinds) for (_, d), n in depth.items()]
unequal = max(depth.values()) / min(depth.values())
claim(
    f"One cell type is between {min(share):.0%} and {max(share):.0%} of its donor's bulk, and the deepest of the eight maps has {unequal:.1f} times the contacts of the shallowest.",
    max(share) < 0.6, unequal > 1.5,
)  # fmt: skip

# %% [markdown]
# At 1 Mb most contacts lie within a bin, on the main diagonal, and say nothing about folding between bins. So each diagonal pixel
# is replaced by the mean of its neighbours, and no score looks at it.
#
# ## Two scores, a ceiling and a floor
#
# *SCC*, the [stratum-adjusted correlation](../../book/glossary.md#stratum-adjusted-correlation-scc) ([Yang et al.
# 2017](https://doi.org/10.1101/gr.220640.117)), over 1 to 19 Mb, says how much of the map is right. *dC*, the [contrast
# correlation](../../book/glossary.md#contrast-correlation-dc), says how much of what is *specific* to the cell type is right: first
# the mean of the four types is subtracted, from a prediction that of the predictions, from a target that of the targets. Both
# scores take depth out, chromosome by chromosome.
#
# The **ceiling** is a replicate: the same cell type of the other donor, a measurement in the place of a prediction. It is noisy
# too, so a prediction can exceed it. The **floor** is the bulk, copied. Scores are taken on every second chromosome; no model is
# trained on these.

# %% tags=["hide-input"]
held_out = chroms[1::2]
usable = {c: usable_bins(bulk["21yr"][c]) & usable_bins(bulk["29yr"][c]) for c in held_out}


def score(maps):
    """SCC and dC of maps by cell type, target's donor and chromosome."""
    return chromosome_scores(maps, target, usable, max_distance=19)


keys = [key for key in target if key[2] in held_out]
scores = {
    "replicate": score({(k, d, c): target[k, other[d], c] for k, d, c in keys}),
    "bulk copied": score({(k, d, c): bulk[other[d]][c] for k, d, c in keys}),
}
same_cells = score({(k, d, c): bulk[d][c] for k, d, c in keys})["SCC"].mean()
ceiling, copied = (scores[name][["SCC", "dC"]].mean() for name in scores)
claim(
    f"The replicate has an SCC of {ceiling['SCC']:.2f}. The other donor's bulk, one map for all four types, has {copied['SCC']:.2f}: it is the wrong cell type, but it sums about four times as many cells. So on these data SCC cannot tell"
    f" whether a method knows the cell type. dC can: it is {ceiling['dC']:.2f} for the replicate and {copied['dC']:.0f} for the copy. With bulk and target from the *same* cells the copy would have had an SCC"
    f" of {same_cells:.2f}: the difference of {same_cells - copied['SCC']:.2f} is shared counts, not knowledge.",
    abs(ceiling["SCC"] - copied["SCC"]) < 0.03, ceiling["dC"] > 0.4, copied["dC"] == 0,
    same_cells > copied["SCC"] + 0.05,
)  # fmt: skip

# %% [markdown]
# ## A guide, and one that does not know the place
#
# The expression of a cell type is the model's [guide](../../book/glossary.md#guide). Each gene's expression goes into the bin of
# its transcription start, one track for each strand; the mean of the four types and CpG content are given as well. `neuro` are all
# neurons of the expression study, `Sst` of the maps is one kind of interneuron: a guide is only as good as its labels.
#
# A model can use a guide in two ways. It can read that *this gene, here,* is on. Or it can recognise the cell type by its overall
# level, and apply everywhere what it learned of that type, such as a flatter decay with distance. A guide is meant for the first.
# So the control is the same guide **moved along by half a genome**: as smooth, as rich and as specific to the cell
# type, but at the wrong place. What is lost by moving it is what the place tells.

# %% tags=["hide-input"]
rna = load("darmanis2015")
genes = load("annotation_hg19").drop_duplicates("gene").set_index("gene")
cpg = load("cpg_tracks").query("assembly == 'hg19' and bin_size == 1_000_000")
rna = rna[rna.obs["cell_type"].isin(list(kinds.values()))].copy()
rna.obs["kind"] = rna.obs["cell_type"].astype(str).map({long: kind for kind, long in kinds.items()})
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a quarter of the genes have no place here
    expression = expression_tracks(expression_by_type(rna, "kind"), genes, bins)
content = interval_track(cpg, bins, value="cpg")


# %%
def guide(moved=0):
    """Tracks by cell type and chromosome, and their names."""
    here = {k: np.roll(x, moved, axis=0) for k, x in expression.items()}
    tracks, names = guide_tracks(
        here, reference=list(kinds), shared=content, shared_names=["CpG"]
    )  # fmt: skip
    tracks = {kind: by_chromosome(t, bins) for kind, t in tracks.items()}
    return tracks, names


# %% [markdown]
# Windows are 40 bins wide and start every 20 bins. Their table says whose cells are in the bulk, and the leak guard reads it. A
# held-out chromosome is an honest test here. A held-out cell type is not, since its contacts are in the bulk:
# `hold_out_cell_types` of `scstlib.splits` refuses it.


# %% tags=["hide-input"]
def cut_windows(tracks, names):
    """Windows of all types; the bulk of one donor, the target of the other, both ways round."""
    return join_windows([
        make_windows(
            bulk[other[donor]],
            tracks,
            {kind: {c: target[kind, donor, c] for c in chroms} for kind in kinds},
            bin_size=1_000_000, bulk_cell_types=tuple(kinds), bulk_donors=(other[donor],),
            donor=donor, window=40, stride=20, to_end=True, track_names=names,
        )
        for donor in other
    ])  # fmt: skip


# %%
def predict_held_out(windows, make):
    """Maps of chromosomes that the model has not seen."""
    split = hold_out_chromosomes(windows, test=held_out)
    model = make().fit(split.train)
    check_evaluation(model, split.test)
    return join_samples(
        model.predict(split.test), split.test.table, n_bins,
        bin_size=1_000_000, max_distance=20,
    )  # fmt: skip


guided = cut_windows(*guide())
moved = cut_windows(*guide(len(bins) // 2))

# %% [markdown]
# Four methods are compared. The smoothed bulk knows nothing of cell types. Ridge regression and boosted trees predict, for each
# pixel by itself, by what factor it departs from the smoothed bulk. The book's scGrapHiC is smaller here than by default, and
# trained for a few seconds. No setting of any method was chosen by the scores below.

# %%
size = {"channels": 32, "n_blocks": 1, "pair_channels": 12}
size |= {"batch_size": 16}
size |= {"n_steps": 100 if profile == "fast" else 800, "seed": seed}
trees = {"n_pixels": 50_000, "max_iter": 40}
makers = {
    "ridge": lambda: BulkRidge(n_pixels=50_000, seed=seed),
    "boosted trees": lambda: ContactTrees(**trees, seed=seed),
    "scGrapHiC": lambda: ScGrapHiC(**size),
}
predicted = {"bulk smoothed": predict_held_out(guided, BulkSmoothed)}
for name, make in makers.items():
    predicted[name] = predict_held_out(guided, make)
    predicted[f"{name}, moved"] = predict_held_out(moved, make)
scores |= {name: score(m) for name, m in predicted.items()}

# %% [markdown]
# ## What the guide adds
#
# The gain is the score with the guide minus the score with the guide moved, chromosome by chromosome, averaged over cell types and
# donors. Its 95% interval comes from drawing chromosomes with replacement, two thousand times: chromosomes, not pixels or windows, are
# the independent pieces here. Rows in italics are no candidates.

# %% tags=["hide-input"]


def interval(values):
    """95% interval of the mean, by bootstrap."""
    draws = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    return np.quantile(values.to_numpy()[draws].mean(axis=1), [0.025, 0.975])


by_chrom = {n: s.groupby("chrom", sort=False)[["dC", "SCC"]].mean() for n, s in scores.items()}
gain = {name: by_chrom[name] - by_chrom[f"{name}, moved"] for name in makers}
means = pd.DataFrame({name: values.mean() for name, values in by_chrom.items()}).T
no_candidates = ("replicate", "bulk copied", *(f"{name}, moved" for name in makers))
table(means, best={"dC": "max", "SCC": "max"}, apart=no_candidates)

# %% caption="What the guide adds: one dot for each held-out chromosome, the mean as a diamond with its 95% interval. *Top*: the contrast between cell types (dC). *Bottom*: the whole map (SCC), on a finer scale. At zero the guide is of no use." alt="Two panels, one above the other, with three rows each for ridge, boosted trees and scGrapHiC. Dots of 11 chromosomes scatter around a mean with a short interval; a vertical line marks zero. In dC most dots lie right of it, in SCC they crowd around it." name="fig-cortex-gain" tags=["hide-input"]
fig, axes = plt.subplots(2, 1, figsize=(5.4, 4.6))
for ax, metric in zip(axes, ["dC", "SCC"], strict=True):
    for row, (name, color) in enumerate(zip(makers, [ORANGE, GREEN, BLUE], strict=True)):
        values = gain[name][metric]
        ax.plot(values, np.full(len(values), row - 0.15), "o", color=color, ms=4, alpha=0.6)
        ax.plot(interval(values), [row + 0.2] * 2, color=color, lw=2)
        ax.plot(values.mean(), row + 0.2, "D", color=color, ms=6)
    ax.axvline(0, color=GREY, lw=0.8)
    ax.set_yticks(range(len(makers)), makers)
    ax.set_ylim(len(makers) - 0.5, -0.5)
    ax.set_xlabel(f"gain in {metric}")
plt.show()

# %% tags=["hide-input"]
kept = means["dC"]["scGrapHiC, moved"] / means["dC"]["scGrapHiC"]
sure = {name: (g["dC"].mean(), *interval(g["dC"])) for name, g in gain.items()}
told = {n: f"{g:+.3f} ({low:+.3f} to {high:+.3f})" for n, (g, low, high) in sure.items()}
claim(
    f"**The right place raises the dC of every method**: of ridge by {told['ridge']}, of boosted trees by {told['boosted trees']} and of scGrapHiC by {told['scGrapHiC']}. The network gains less than the trees, although its dC is about theirs, {means['dC']['scGrapHiC']:.2f} against {means['dC']['boosted trees']:.2f}. With the guide at the wrong place it"
    f" keeps {kept:.0%} of its dC: so much comes from recognising the cell type, not from reading the genome.\n\nIn SCC the gain is {gain['boosted trees']['SCC'].mean():+.3f} for boosted trees and {gain['scGrapHiC']['SCC'].mean():+.3f} for the network, whose SCC of"
    f" {means['SCC']['scGrapHiC']:.3f} is about that of the smoothed bulk, {means['SCC']['bulk smoothed']:.3f}. Where a map at 1 Mb is predicted well, the bulk has done it.",
    min(low for _, low, _ in sure.values()) > 0,
    sure["scGrapHiC"] < sure["boosted trees"], kept > 0.5,
    abs(means["dC"]["scGrapHiC"] - means["dC"]["boosted trees"]) < 0.04,
    abs(means["SCC"]["scGrapHiC"] - means["SCC"]["bulk smoothed"]) < 0.015,
    max(gain[name]["SCC"].mean() for name in makers) < 0.04,
)  # fmt: skip

# %% [markdown]
# Ridge, trees and the network are all told the **depth of each target**: otherwise they would learn from the guide how deep the
# map of a cell type is, which no score rewards. And with two people in this study, the two donors of a type are two tests of one
# statement, not two statements.
#
# ## Check yourself
#
# <details><summary>Why not take bulk and target from the same donor?</summary>
#
# The bulk would contain the target's counts, noise and all, and every model that starts from it would be rewarded for it.
#
# </details>
#
# <details><summary>A replicate and the copied bulk have about the same SCC. Does the copy know the cell type?</summary>
#
# No. At this depth noise limits SCC, and the copy has four times the cells. dC, a score of what is specific, tells them apart.
#
# </details>
#
# <details><summary>A model has the highest dC. Has it read the guide best?</summary>
#
# Not by that alone: it may keep most of its dC with the guide in the wrong place. Only the difference comes from reading the
# place.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Bulk and target from the same cells share their noise: take them from different donors.
# - Replicate and copied bulk, ceiling and floor, are close in SCC here: it cannot show what a guide is good for.
# - A guide tells the cell type as well as the place. Move it along the genome to tell the two apart.
# - The interval of a gain comes from chromosomes. Pixels, windows and cells are not independent.
#
# ## Exercises
#
# > **Exercise** Score `ridge` with bulk and target of the same donor: `bulk[donor]` in `cut_windows`. How much does SCC rise, and why does the leak guard not object?
#
# <details><summary>Solution</summary>
#
# By about as much as for the copied bulk above. The guard compares training with test part; here bulk and target of *one* window share cells, which is a matter of the experiment, not of the split.
#
# </details>
#
# > **Exercise** Does the guide help ridge in dC? Suppose that it says nothing, so that each of the `gains` is above 0 or not as a tossed coin decides. How likely are then as many chromosomes with a gain above 0 as there are here, or more?

# %% tags=["solution"]
gains = gain["ridge"]["dC"].to_numpy()
### BEGIN SOLUTION
tosses = product((0, 1), repeat=len(gains))  # all that can come up
answer = np.mean([sum(heads) >= (gains > 0).sum() for heads in tosses])
### END SOLUTION
checks.sign_test(answer, gains)

# %% [markdown]
# ## Further reading
#
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): guide and maps from the same cells.
# - [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117),
#   [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): how reproducibility of maps is measured.
# - [Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2): cells are not replicates.
# - [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): the average over cell types as a baseline.
