# %% [markdown]
# # Human cortex
#
# Single-cell Hi-C of two donors, and how much expression of another study adds at 1 Mb.
#
# > **Learning goals**
# > - set up a fair test where nobody knows the truth: held-out chromosomes, another donor as target;
# > - give a score its ceiling (a replicate) and its floor (the bulk copied);
# > - measure what a guide adds, with an interval, against a guide that knows the cell type but not
# >   the place;
# > - write a predicted map to a file that a genome browser opens.
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb).
# >
# > **Time**: 30 min to read, 4 min to run; the first run also unpacks 400 single cells (1 min).

# %% tags=["colab"]
# Google Colab only: install the book's package and keep the installed numpy and torch.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib.metadata import version

    keep = [f"{name}=={version(name)}" for name in ("numpy", "torch")]
    source = "scstlib @ git+https://github.com/scstlib/scstlib@main"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *keep, source], check=True)

# %% tags=["parameters"]
profile = "fast"
seed = 0

# %%
import tempfile
import warnings
from itertools import product
from pathlib import Path

import cooler
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from scstlib.datasets import load
from scstlib.datasets.organism.writing import map_pixels
from scstlib.files import predict_contacts, read_inputs
from scstlib.files.stitch import stitch, symmetric
from scstlib.files.track_files import expression_by_type
from scstlib.leakage import LeakageError, check_evaluation
from scstlib.metrics.contacts import contrast_correlation, stratum_adjusted_correlation
from scstlib.models import ScGrapHiC
from scstlib.models.spatial import BulkCopy, BulkRidge, BulkSmoothed, ContactTrees
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, book_style, contact_map
from scstlib.preprocess.contacts import make_windows, normalise_depth, usable_bins
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks, interval_track
from scstlib.preprocess.windows import join_windows
from scstlib.splits import hold_out_cell_types, hold_out_chromosomes, hold_out_regions

plt.rcParams.update(book_style())

# %% [markdown]
# On a simulated organism the guide, expression by cell type, is known to drive the contact maps.
# On real cells that is the question. Here it is asked of human prefrontal cortex: contact maps of
# 400 single cells, four cell types from two donors, in bins of 1 Mb (`lee2019` of
# [the data page](../../book/data.md)), and expression from another study of other people
# (`darmanis2015`). It is not the setting of
# [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223), who had 50 kb and both
# measured in the same cells, and a small answer here says nothing against theirs.
#
# ## The maps
#
# Cells are summed by cell type and donor: eight [pseudo-bulks](../../book/glossary.md#pseudo-bulk).
# Most contacts of 1 Mb bins lie on the main diagonal and say nothing about folding. They would
# fill every loss and score, so each diagonal pixel is replaced by the mean of its neighbours at
# distance one. It then holds nothing of its own, and no score looks at it.

# %%
kinds = {"ODC": "oligo", "Astro": "astro", "MG": "microglia", "Sst": "neuro"}
other = {"21yr": "29yr", "29yr": "21yr"}
chroms = [f"chr{number}" for number in range(1, 23)]
maps = load("lee2019")
obs = maps.obs
samples = maps.pseudobulk({
    f"{kind} {donor}": list(obs.index[(obs["cell_type"] == kind) & (obs["donor"] == donor)])
    for kind, donor in product(kinds, other)
})  # fmt: skip
bins = maps.bins[["chrom", "start", "end"]].astype({"chrom": str})
bins = bins[bins["chrom"].isin(chroms)].reset_index(drop=True)
n_bins = bins.groupby("chrom", sort=False).size().to_dict()


def without_diagonal(counts):
    """Map whose diagonal is the mean of the neighbouring pixels, as far as there are any."""
    filled, beside = counts.astype(float), np.pad(np.diagonal(counts, 1).astype(float), 1)
    np.fill_diagonal(filled, (beside[1:] + beside[:-1]) / 2)
    return filled


target = {
    (kind, donor, chrom): without_diagonal(samples.matrix(f"{kind} {donor}", chrom))
    for kind, donor, chrom in product(kinds, other, chroms)
}
bulk = {
    donor: {chrom: sum(target[kind, donor, chrom] for kind in kinds) for chrom in chroms}
    for donor in other
}

# %% [markdown]
# ## Whose bulk, whose target
#
# The [bulk](../../book/glossary.md#bulk) map is the sum of the four cell types. So it contains the
# contacts of the very type that is to be predicted; the table says how much of it they are. That is
# nothing to hide: a bulk of real tissue contains its cell types too. But if
# bulk and target are sums over the *same cells*, they also share their counting noise, and every
# method that starts from the bulk is paid for it. Two donors offer a way out: **the bulk comes from
# one donor, the target from the other**, both ways round. They share no count.

# %%
total = {donor: sum(m.sum() for m in bulk[donor].values()) for donor in other}
share = pd.DataFrame({
    kind: {
        donor: sum(target[kind, donor, chrom].sum() for chrom in chroms) / total[donor]
        for donor in other
    }
    for kind in kinds
})  # fmt: skip
share.rename_axis("share of the donor's bulk").round(2)

# %% [markdown]
# ### Two scores
#
# *SCC*, the stratum-adjusted correlation ([Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)),
# over 1 to 19 Mb: how much of the map is right. *dC*, the contrast correlation: how much of what
# is *specific* to the cell type is right, the map minus the mean of the four types, prediction and
# target each minus its own mean. Both on the scale that takes depth out, chromosome by chromosome.

# %%
reach = 19
usable = {c: usable_bins(bulk["21yr"][c]) & usable_bins(bulk["29yr"][c]) for c in chroms}


def scaled(counts, chrom):
    """Map on the scale of comparison; NaN in masked bins and beyond the reach."""
    i, j = np.indices(counts.shape)
    seen = usable[chrom][i] & usable[chrom][j] & (abs(i - j) >= 1) & (abs(i - j) <= reach)
    return normalise_depth(np.where(seen, counts, np.nan))


def score(predicted):
    """SCC and dC of maps by cell type, target's donor and chromosome."""
    tables = []
    for donor, chrom in product(other, chroms):
        own, true = (
            np.stack([scaled(m[kind, donor, chrom], chrom) for kind in kinds])
            for m in (predicted, target)
        )
        scc = stratum_adjusted_correlation(own, true, max_distance=reach)
        contrast = contrast_correlation(own, true, true.mean(0), prediction_reference=own.mean(0))
        row = {"kind": list(kinds), "donor": donor, "chrom": chrom, "SCC": scc, "dC": contrast}
        tables.append(pd.DataFrame(row))
    return pd.concat(tables, ignore_index=True)


keys = list(target)
scores = {
    "replicate (ceiling)": score({(k, d, c): target[k, other[d], c] for k, d, c in keys}),
    "bulk copied": score({(k, d, c): bulk[other[d]][c] for k, d, c in keys}),
}
same_cells = score({(k, d, c): bulk[d][c] for k, d, c in keys})

# %% [markdown]
# ### Ceiling and floor
#
# The replicate is the same cell type of the other donor: a measurement in the place of a
# prediction. It is not noise-free, so a prediction may pass it where it is less noisy.

# %%
by_sample = {
    name: s.groupby(["kind", "donor"], sort=False)[["SCC", "dC"]].mean()
    for name, s in scores.items()
}
pd.concat(by_sample, axis=1).round(2)

# %% tags=["hide-input"]
mean = {name: s[["SCC", "dC"]].mean() for name, s in scores.items()}
ceiling, copied = mean["replicate (ceiling)"], mean["bulk copied"]
beaten = (by_sample["bulk copied"]["SCC"] > by_sample["replicate (ceiling)"]["SCC"]).sum()
Markdown(
    f"The bulk of the other donor, the same for all four types, has an SCC of {copied['SCC']:.2f} in the mean,"
    f" the replicate {ceiling['SCC']:.2f}; in {beaten} of {len(by_sample['bulk copied'])} samples the copy is *ahead*."
    " It is the wrong cell type, but it sums four times as many cells. SCC alone cannot tell on these data"
    f" whether a method knows the cell type. dC can: {copied['dC']:.0f} for the copy, {ceiling['dC']:.2f} for the replicate."
    f" With bulk and target from the *same* cells the copy would have had an SCC of {same_cells['SCC'].mean():.2f}: the"
    f" difference of {same_cells['SCC'].mean() - copied['SCC']:.2f} is shared counts, not knowledge."
)

# %% [markdown]
# ## The guide, and one that does not know the place
#
# Expression goes into the bin of each gene's transcription start, on two strands; beside it stand
# the mean of the four types and CpG content. `neuro` are all neurons of the expression study, `Sst`
# one kind of interneurons: a guide is as good as its labels.
#
# A model can use such a guide in two ways. It can read that *this gene, here,* is on. Or it can
# recognise the cell type by its overall level, and apply what it learned of that type everywhere,
# such as a flatter decay. Only the first is what a guide is for. The control is therefore the same
# guide **moved half a genome along**: as smooth, as rich, as specific to the cell type, and at the
# wrong place. What is lost by moving it is what the place tells.

# %%
rna = load("darmanis2015")
annotation = load("annotation_hg19").drop_duplicates("gene").set_index("gene")
cpg = load("cpg_tracks").query("assembly == 'hg19' and bin_size == 1_000_000")
rna = rna[rna.obs["cell_type"].isin(list(kinds.values()))].copy()
rna.obs["kind"] = rna.obs["cell_type"].astype(str).map({long: kind for kind, long in kinds.items()})
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    expression = expression_tracks(expression_by_type(rna, "kind"), annotation, bins)
print(caught[0].message)
content = interval_track(cpg, bins, value="cpg")


def guide(moved=0):
    """Tracks by cell type and chromosome, and their names."""
    here = {kind: np.roll(track, moved, axis=0) for kind, track in expression.items()}
    tracks, names = guide_tracks(here, reference=list(kinds), shared=content, shared_names=["CpG"])
    return {kind: by_chromosome(track, bins) for kind, track in tracks.items()}, names


# %% [markdown]
# ## Windows, folds and the leak guard
#
# A window of 40 bins, one every 20, covers every distance up to 20 Mb and fits on the smallest
# autosome. The table of the windows says whose cells are in the bulk.

# %%
window, stride = 40, 20


def cut_windows(tracks, names):
    """Windows of all types; the bulk of one donor, the target of the other, both ways round."""
    return join_windows([
        make_windows(
            bulk[other[donor]],
            tracks,
            {kind: {c: target[kind, donor, c] for c in chroms} for kind in kinds},
            bin_size=1_000_000, bulk_cell_types=tuple(kinds), bulk_donors=(other[donor],),
            donor=donor, window=window, stride=stride, to_end=True, track_names=names,
        )
        for donor in other
    ])  # fmt: skip


guided, moved = cut_windows(*guide()), cut_windows(*guide(len(bins) // 2))
n_folds = 3 if profile == "fast" else 11
folds = [chroms[k::n_folds] for k in range(n_folds)]
print(len(guided), "windows; held out together:", *(", ".join(fold) for fold in folds), sep="\n")
try:
    hold_out_cell_types(guided, test="Sst", test_chromosomes=folds[0])
except LeakageError as error:
    print("LeakageError:", error)

# %% [markdown]
# Held-out chromosomes are an honest test here, a held-out cell type is not: its contacts are in the
# bulk, and the package says so. Each fold of chromosomes is held out once, so that every chromosome
# is predicted by a model that has not seen it, and windows are joined to whole chromosomes.

# %%


def whole(predicted, table):
    """Predicted windows joined by cell type, donor and chromosome."""
    joined = {}
    for sample, rows in table.groupby(["cell_type", "donor"], sort=False).indices.items():
        upper = stitch(
            predicted[rows], table.iloc[rows], n_bins,
            bin_size=1_000_000, max_distance=window - stride,
        )  # fmt: skip
        joined |= {(*sample, chrom): symmetric(m).toarray() for chrom, m in upper.items()}
    return joined


def cross_validated(windows, make):
    """Maps of all chromosomes, each by a model that was fitted without it; the last model."""
    joined = {}
    for fold in folds:
        split = hold_out_chromosomes(windows, test=fold)
        model = make().fit(split.train)
        check_evaluation(model, split.test)
        joined |= whole(model.predict(split.test), split.test.table)
    return joined, model


# %% [markdown]
# ## Five methods
#
# The bulk copied and smoothed know nothing of cell types. Ridge regression and boosted trees
# predict, for each pixel by itself, by what factor it departs from the smoothed bulk. The book's
# scGrapHiC is a smaller network here than by default, trained for as many steps as a few seconds
# allow. No setting of any method was chosen by the scores below.

# %%
settings = {"channels": 32, "n_blocks": 1, "pair_channels": 12, "batch_size": 16, "n_steps": 150}
if profile == "full":
    settings = {"batch_size": 16, "n_steps": 800}
makers = {
    "ridge": lambda: BulkRidge(n_pixels=50_000, seed=seed),
    "boosted trees": lambda: ContactTrees(n_pixels=50_000, max_iter=50, seed=seed),
    "scGrapHiC": lambda: ScGrapHiC(**settings, seed=seed),
}
maps_of, models = {}, {}
maps_of["bulk smoothed"], _ = cross_validated(guided, BulkSmoothed)
for name, make in makers.items():
    maps_of[name], models[name] = cross_validated(guided, make)
    maps_of[f"{name}, guide moved"], _ = cross_validated(moved, make)
scores |= {name: score(predicted) for name, predicted in maps_of.items()}
table = pd.DataFrame({name: s[["SCC", "dC"]].mean() for name, s in scores.items()}).T
table.round(3)

# %% [markdown]
# ## What the guide adds
#
# The gain is the score with the guide minus the score with the guide moved, chromosome by
# chromosome, in the mean over cell types and donors. Its interval comes from drawing chromosomes
# with replacement, two thousand times: chromosomes, not pixels or windows, are the independent
# pieces here.

# %%


def gain(metric, name):
    """Gain of each chromosome, mean over cell types and donors."""
    with_guide, without = scores[name], scores[f"{name}, guide moved"]
    by_chrom = (with_guide[metric] - without[metric]).groupby(with_guide["chrom"]).mean()
    return by_chrom.loc[chroms]


def interval(values):
    """95 % interval of the mean, by bootstrap."""
    draws = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    return np.quantile(values.to_numpy()[draws].mean(axis=1), [0.025, 0.975])


gains = pd.DataFrame([
    {"method": name, "score": metric, "gain": gain(metric, name).mean(),
     "from": interval(gain(metric, name))[0], "to": interval(gain(metric, name))[1]}
    for metric, name in product(["dC", "SCC"], makers)
]).set_index(["score", "method"])  # fmt: skip
gains.round(3)

# %% caption="Gain by the guide, one dot a chromosome, the mean as a bar with its 95 % interval: contrast between cell types (dC) and whole map (SCC). Zero is a guide of no use." alt="Two panels with three rows each for ridge, boosted trees and scGrapHiC. Dots of 22 chromosomes scatter around a mean with a short error bar; a vertical line marks zero." name="fig-cortex-gain"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.8), sharey=True)
for ax, metric in zip(axes, ["dC", "SCC"], strict=True):
    for row, (name, color) in enumerate(zip(makers, [ORANGE, GREEN, BLUE], strict=True)):
        values = gain(metric, name)
        ax.plot(values, np.full(len(values), row - 0.15), "o", color=color, ms=3, alpha=0.6)
        low, high = interval(values)
        ax.plot([low, high], [row + 0.15] * 2, color=color, lw=2)
        ax.plot(values.mean(), row + 0.15, "D", color=color, ms=5)
    ax.axvline(0, color=GREY, lw=0.8)
    ax.set_xlabel(f"gain in {metric}")
axes[0].set_yticks(range(len(makers)), makers)
axes[0].invert_yaxis()
plt.show()

# %% tags=["hide-input"]
best = table.loc[list(makers), "dC"].idxmax()
rows = gains.loc["dC"]


def in_words(name):
    """Gain of a method with its interval."""
    g = rows.loc[name]
    return f"{name} {g['gain']:+.3f} ({g['from']:+.3f} to {g['to']:+.3f})"


sure = [name for name in makers if rows.loc[name, "from"] > 0]
scc = gains.loc["SCC", "gain"]
Markdown(
    f"**How much the guide adds at 1 Mb.** In dC: {'; '.join(in_words(name) for name in makers)}. The interval lies above"
    f" zero for {', '.join(sure) if sure else 'none of them'}. The best of them, {best}, has a dC of"
    f" {table.loc[best, 'dC']:.2f} where a replicate has {ceiling['dC']:.2f}, and {table.loc[best + ', guide moved', 'dC']:.2f}"
    " with the guide at the wrong place: that part of its contrast is recognising the cell type, not reading"
    f" the genome. In SCC the guide adds between {scc.min():+.3f} and {scc.max():+.3f}, out of"
    f" {table.loc[best, 'SCC']:.2f}. Where a map at 1 Mb is predicted well, the bulk has done it."
)

# %% caption="dC by cell type and donor: the replicate, each method with the guide (filled), and with the guide moved (open). Each value is a mean over 22 chromosomes." alt="Dot plot with eight rows, four cell types from two donors. The grey replicate lies far to the right; filled dots of three methods lie to the left of it and mostly to the right of the open ones." name="fig-cortex-types"
rows = scores["replicate (ceiling)"].groupby(["kind", "donor"], sort=False).size().index
fig, ax = plt.subplots(figsize=(5.4, 4.2))
for shift, (name, color) in enumerate(zip(makers, [ORANGE, GREEN, BLUE], strict=True)):
    for label, face in ((name, color), (f"{name}, guide moved", "white")):
        values = scores[label].groupby(["kind", "donor"])["dC"].mean().loc[rows]
        place = np.arange(len(rows)) + 0.2 * (shift - 1)
        ax.plot(
            values, place, "o", color=color, mfc=face, ms=5, label=name if face == color else None
        )
values = scores["replicate (ceiling)"].groupby(["kind", "donor"])["dC"].mean().loc[rows]
ax.plot(values, np.arange(len(rows)), "|", color=GREY, ms=14, mew=2, label="replicate")
ax.axvline(0, color=GREY, lw=0.8)
ax.set_yticks(range(len(rows)), [f"{kind}, {donor}" for kind, donor in rows])
ax.invert_yaxis()
ax.set_xlabel("dC")
ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=2, fontsize="small")
plt.show()

# %% tags=["hide-input"]
by_kind = {name: s.groupby("kind", sort=False)["dC"].mean() for name, s in scores.items()}
part = (by_kind[best] / by_kind["replicate (ceiling)"]).sort_values()
Markdown(
    f"The best of them, {best}, reaches {part.iloc[-1]:.0%} of the replicate's dC for {part.index[-1]} and {part.iloc[0]:.0%} for"
    f" {part.index[0]}. Both donors of a type are two tests of one statement, not two statements: there are two people in this study."
)

# %% caption="What is specific to microglia on a held-out chromosome: map minus the mean of the four types on the scale of comparison, as measured in one donor, as measured in the other, and as predicted from the other donor's bulk and the guide. Each on a scale of its own: the prediction is far paler." alt="Three square heat maps in orange and purple along the diagonal. The two measured ones share coarse blocks among much noise; the predicted one shows smoother, paler blocks." name="fig-cortex-map"
shown_chrom = "chr4"
specific = {
    "measured, 29yr": target,
    "measured, 21yr": {(k, d, c): target[k, other[d], c] for k, d, c in keys},
    f"predicted, {best}": maps_of[best],
}
fig, axes = plt.subplots(1, 3, figsize=(8, 3.3))
for ax, (title, source) in zip(axes, specific.items(), strict=True):
    stack = np.stack([scaled(source[kind, "29yr", shown_chrom], shown_chrom) for kind in kinds])
    difference = (stack - stack.mean(0))[list(kinds).index("MG")][:60, :60]
    top = np.nanquantile(np.abs(difference), 0.98)
    contact_map(
        ax, difference, start=0, end=60e6, log=False, limits=(-top, top), cmap="PuOr_r",
        label="difference",
    )  # fmt: skip
    ax.set_title(title, fontsize="small")
plt.show()

# %% [markdown]
# ## A file for a genome browser
#
# A fitted model is saved and used from the command line, on files of the usual formats:
#
# ```console
# $ scstlib predict-contacts --bulk bulk.cool --expression cells.h5ad \
#       --cell-type-key kind --genes genes.bed --cpg cpg.bedGraph --model model.safetensors \
#       --window 40 --stride 20 --out cortex.mcool
# ```
#
# It writes `cortex.MG.mcool` and so on, one file a cell type, which cooler reads and HiGlass shows.
# Maps in the `.hic` format are converted first, with `hictk convert maps.hic maps.mcool` or
# `hic2cool convert maps.hic maps.mcool -r 0`. In Python the same is `predict_contacts`. Here it
# predicts the cell types of the donor 29yr on the chromosomes that the last model has not seen.

# %%
folder = Path(tempfile.mkdtemp())
models["scGrapHiC"].save(folder / "model.safetensors")
cooler.create_cooler(
    str(folder / "bulk.cool"), bins, map_pixels(bulk["21yr"]), dtypes={"count": float},
    ordered=True, assembly="hg19",
)  # fmt: skip
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # genes without a place, as above
    inputs = read_inputs(
        folder / "bulk.cool", rna, cell_type_key="kind", genes=annotation,
        cpg=cpg.rename(columns={"cpg": "value"}), chromosomes=folds[-1], window=window,
    )  # fmt: skip
written = predict_contacts(
    folder / "model.safetensors", inputs, folder / "cortex.mcool", stride=stride
)
print(*(f"{kind}: {path.name}" for kind, path in written.items()), sep="\n")
microglia = cooler.Cooler(f"{written['MG']}::resolutions/1000000")
on_page = maps_of["scGrapHiC"]["MG", "29yr", folds[-1][0]]
in_file = microglia.matrix(balance=False).fetch(folds[-1][0])
print("as on this page:", np.allclose(in_file, on_page, rtol=1e-3, atol=1e-3))
about = microglia.info["metadata"]
print({key: about[key] for key in ("predicted", "cell_type", "model", "model_settings", "scstlib")})

# %% [markdown]
# ## A second case: differentiation of mouse neurons
#
# Three deep maps of chromosome 19 at 100 kb, of embryonic stem cells (ES), neural progenitors (NPC)
# and cortical neurons (CN): `bonev2017_chr19`
# ([Bonev et al. 2017](https://doi.org/10.1016/j.cell.2017.09.043)). No expression comes with them.
# So the question of this page cannot be asked: whatever is predicted for NPC from the ES map and
# CpG is predicted for CN as well, and the contrast between the two is 0 by construction. What can
# be asked is the control: how far does one get *without* a guide, when all that is learned is how
# neural maps differ from ES maps? With one chromosome, a region is held out, with a gap of one
# window on both sides.

# %%
neural = load("bonev2017_chr19")
last = 613  # the last listed bin has a seventh of its neighbour's contacts
full = {name: neural.matrix(name, "chr19")[:last, :last].astype(float) for name in neural.names}
grid = neural.bins.iloc[:last][["chrom", "start", "end"]].astype({"chrom": str})
mouse = load("cpg_tracks").query("assembly == 'mm10' and bin_size == 100_000")
with_cpg = {"chr19": interval_track(mouse, grid, value="cpg")}
late = make_windows(
    {"chr19": full["ES"]}, {"NPC": with_cpg, "CN": with_cpg},
    {name: {"chr19": full[name]} for name in ("NPC", "CN")},
    bin_size=100_000, bulk_cell_types=("ES",), window=64, stride=8, max_masked=0.2,
    track_names=["CpG"],
)  # fmt: skip
region = hold_out_regions(late, test=(40_000_000, 52_000_000), gap=6_400_000)
print(len(region.train), "training windows,", len(region.test), "test windows")


def change_scores(predicted, windows):
    """SCC with the target, and correlation of the change from the ES map, mean over windows."""
    bad = ~(windows.mask[:, :, None] & windows.mask[:, None, :])
    own, true, before = (
        normalise_depth(np.where(bad, np.nan, m))
        for m in (predicted, windows.targets, windows.bulk)
    )
    scc = stratum_adjusted_correlation(own, true, max_distance=40)
    change = contrast_correlation(own, true, before)
    kind = windows.table["cell_type"]
    return pd.DataFrame({"SCC": scc, "change from ES": change}).groupby(kind).mean()


rows = {}
for name, make in {
    "ES copied": BulkCopy,
    "ES smoothed": BulkSmoothed,
    "ridge on CpG": lambda: BulkRidge(n_pixels=50_000, seed=seed),
}.items():
    model = make().fit(region.train)
    check_evaluation(model, region.test, by="region")
    rows[name] = change_scores(model.predict(region.test), region.test)
# The windows of NPC come first, those of CN after them, at the same places.
swapped = np.roll(region.test.targets, len(region.test) // 2, axis=0)
rows["the other neural type"] = change_scores(swapped, region.test)
neural_scores = pd.concat(rows, names=["method", "cell type"]).unstack("cell type")
neural_scores.round(2)

# %% tags=["hide-input"]
changes = neural_scores["change from ES"].mean(axis=1)
strata = neural_scores["SCC"].mean(axis=1)
Markdown(
    f"The ES map copied has an SCC of {strata['ES copied']:.2f} and, by definition, no correlation with the change; smoothed,"
    f" {strata['ES smoothed']:.2f} and {changes['ES smoothed']:.2f}: these maps are deep, and little of what lies between them is noise."
    f" Ridge regression on CpG and the map has a correlation of {changes['ridge on CpG']:.2f} with the change, and an SCC of"
    f" {strata['ridge on CpG']:.2f}, {'above' if strata['ridge on CpG'] > strata['ES copied'] else 'below'} the copy's: some of what it"
    " learned of the change holds in the held-out region, some does not. The other neural type, measured, has a correlation of"
    f" {changes['the other neural type']:.2f}: most of what changes from ES is shared by both, and it is there to be predicted,"
    " but not from CpG and one chromosome."
    f" These are {len(region.test) // 2} overlapping windows of one region, so a single draw: no interval is given because none can be had."
)

# %% [markdown]
# ## Key points
#
# - Bulk and target from the same cells share their noise. Take them from different donors, or say
#   how much of the score is shared counts.
# - A replicate is the ceiling, the bulk copied is the floor. On the SCC of these maps the two are
#   close together, so SCC cannot show what a guide is good for; dC can.
# - A guide tells the cell type as well as the place. Move it along the genome to tell the two apart.
# - The interval of a gain comes from chromosomes. Pixels, windows and cells are not independent.
# - Without a guide, two cell types get one prediction, however well each is met.
#
# ## Exercises
#
# > **Exercise** Score `ridge` when bulk and target come from the same donor: replace
# > `bulk[other[donor]]` by `bulk[donor]` in `cut_windows`. How much do SCC and dC rise, and why does
# > the leak guard not object?
#
# <details><summary>Solution</summary>
#
# Cut the windows anew, call `cross_validated` and score. SCC rises by about as much as it does for
# the bulk copied above. The guard compares chromosomes, cell types and donors of the training part
# with those of the test part; here bulk and target of *one* window share cells, which is a matter
# of the experiment, not of the split. No guard replaces thinking about what the input contains.
#
# </details>
#
# > **Exercise** Move the guide by one bin, by five and by twenty instead of half a genome
# > (`guide(1)`, ...), with `ridge`. Over what distance does the place matter?
#
# <details><summary>Solution</summary>
#
# `score(cross_validated(cut_windows(*guide(1)), makers["ridge"])[0])["dC"].mean()` and so on. Where
# the curve has come down to the value of half a genome, the guide has lost its place. Expression is
# patchy at 1 Mb, so a few bins should do.
#
# </details>
#
# > **Exercise** The guide has one `neuro` for all neurons. Use only the cells with GAD1, as Sst
# > interneurons have it. Does dC of Sst rise?
#
# <details><summary>Solution</summary>
#
# `has = rna.to_df()["GAD1"] > 0`, then `rna[(rna.obs["kind"] != "Sst") | has]`, and from
# `expression` on everything again. Most neurons of this study have GAD1, so expect little.
#
# </details>
#
# ## Further reading
#
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): guide and maps from the
#   same cells, at 50 kb.
# - [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117) and
#   [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): what reproducibility of
#   contact maps means and how it is measured.
# - [Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2): cells are not replicates.
# - [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): why a model must beat the
#   average over cell types.
