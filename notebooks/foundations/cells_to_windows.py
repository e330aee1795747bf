# %% [markdown]
# # From single cells to windows
#
# Pseudo-bulks, balancing that fails, depth, tracks and windows, on known truth and on human cortex.
#
# > **Learning goals**
# > - sum the maps of single cells, and say how many cells an answer needs;
# > - tell what balancing corrects from what it takes away, and see when it fails;
# > - compare maps of unequal depth without comparing their depths;
# > - bin expression, CTCF and CpG into tracks, and scale them without losing the cell type;
# > - split chromosomes first and cut windows afterwards.
# >
# > **Before**: [Contact maps](contact_maps.ipynb).
# >
# > **Time**: 35 min to read, 1 min to run; the first run also unpacks 400 single cells (1 min).

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
from pathlib import Path

import cooler
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy import sparse

from scstlib.datasets import load, simulate_organism
from scstlib.datasets.organism.writing import map_pixels
from scstlib.leakage import LeakageError, assert_disjoint, check_evaluation
from scstlib.metrics.contacts import (
    compartment_correlation,
    compartment_eigenvector,
    insulation_correlation,
    stratum_adjusted_correlation,
)
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, book_style, contact_map
from scstlib.preprocess.contacts import (
    DistanceMeans,
    balance_matrix,
    distance_means,
    downsample,
    make_windows,
    normalise_depth,
    pseudo_bulk,
    window_starts,
)
from scstlib.preprocess.tracks import (
    TrackScaler,
    by_chromosome,
    expression_tracks,
    interval_track,
    peak_tracks,
    scale_per_window,
)
from scstlib.splits import hold_out_chromosomes

plt.rcParams.update(book_style())

# %% [markdown]
# A model that predicts the contact map of a cell type from a bulk map and expression, such as
# scGrapHiC ([Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223)), does not see
# cells. It sees square windows of summed maps, with tracks beside them. This page makes those
# windows. Each step can ruin the result without an error message, so each is first done on a
# simulated organism, where the truth is known, and then on human cortex.
#
# ## One cell is almost empty
#
# Hi-C of a single cell lists the pairs of bins that were found joined in it. Here are the first
# contacts of a thousand mature beta cells on one chromosome, bins of 50 kb.

# %%
organism = simulate_organism(seed=seed, preset="small")
chrom, cell_type = organism.chromosomes[0], "beta_mature"
n_bins, bin_size = organism.settings.n_bins, organism.settings.bin_size
table = organism.sample_cell_contacts(cell_type, n_cells=1000, seed=seed, chroms=[chrom])
table.head(3)

# %%


def symmetric(bin1, bin2, count, size):
    """Sparse symmetric map from the contacts of its upper triangle."""
    upper = sparse.csr_array((count, (bin1, bin2)), shape=(size, size))
    return upper + sparse.triu(upper, 1).T


cells = [
    symmetric(rows["bin1"], rows["bin2"], rows["count"], n_bins)
    for _, rows in table.groupby("cell")
]
sums = {
    n: pseudo_bulk(cells[:n], [cell_type] * n)[cell_type].toarray().astype(float)
    for n in [1, 4, 16, 64, 256, 1000]
}

# %% caption="The same 6.4 Mb of one cell, of two pseudo-bulks, and of the truth: the contacts that are expected from infinitely many cells. The first cell shows the diagonal and little else; with 64 cells domains stand out as squares; what lies between them needs more." alt="Four square heat maps. One cell: a thin broken diagonal with few dots. 64 cells: dark squares along the diagonal and scattered dots. 1,000 cells and the truth: the same squares on a graded background with white stripes at masked bins." name="fig-sums"
truth = organism.expected_contacts(chrom, cell_type, biased=True).astype(float)
first, last = 200, 328
shown = {"1 cell": sums[1], "64 cells": sums[64], "1,000 cells": sums[1000], "truth": truth}
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.6))
for ax, (name, counts) in zip(axes.flat, shown.items(), strict=True):
    contact_map(
        ax, counts[first:last, first:last], start=first * bin_size, end=last * bin_size,
        label="expected contacts" if name == "truth" else "contacts",
    )  # fmt: skip
    ax.set_title(name)
plt.show()

# %% tags=["hide-input"]
depths = table.groupby("cell")["count"].sum()
upper = np.triu_indices(n_bins)
on_diagonal = table.loc[table["bin1"] == table["bin2"], "count"].sum() / table["count"].sum()
Markdown(
    f"A cell has {depths.median():,.0f} contacts on this chromosome in the median, and between"
    f" {depths.quantile(0.05):,.0f} and {depths.quantile(0.95):,.0f} from the 5th to the 95th percentile, on"
    f" {len(upper[0]):,} pixels: {np.mean(sums[1][upper] == 0):.1%} of the first cell's are empty. Of all"
    f" contacts {on_diagonal:.0%} join a bin with itself and say nothing about distance. The"
    f" thousand cells together still leave {np.mean(sums[1000][upper] == 0):.0%} of the pixels empty."
)

# %% [markdown]
# An empty pixel of one cell does not say "no contact". It says "not seen", and mostly because
# nothing could be seen: the cell has two copies of a place and few of their contacts are caught. So
# maps are summed over cells of one kind. The sum is called a
# [pseudo-bulk](../../book/glossary.md#pseudo-bulk).
#
# ### How many cells?
#
# ![At the top three contact maps of one cell type, from 1, 20 and 200 cells: the first has a few scattered pixels, the last a clear diagonal with domains. Below, the same 600 cells are shared out in two ways: among 3 cell types with 200 cells each, three clear maps; among 12 cell types with 50 cells each, twelve speckled maps.](../../book/_static/diagrams/pseudo_bulk_size.svg)
#
# *Contacts of cells add up to depth; with the number of cells given, more cell types mean shallower maps.*
#
# The answer depends on the question. Below, the pseudo-bulks are held against the truth, five
# times: by counts, by [observed over expected](../../book/glossary.md#observed-over-expected) (O/E) in
# bins of 50 kb and of 500 kb, by insulation and by [compartment](../../book/glossary.md#compartment)
# score.

# %%
distance = np.abs(np.subtract.outer(np.arange(n_bins), np.arange(n_bins)))
tracks = organism.tracks()
cpg = tracks.loc[tracks["chrom"] == chrom, "cpg"].to_numpy()


def over_expected(counts):
    """Map divided by its own mean at each distance."""
    bins = len(counts)
    expected = distance_means(counts[None])[distance[:bins, :bins]]
    return np.divide(counts, expected, out=np.zeros((bins, bins)), where=expected > 0)


def coarser(counts, factor):
    """Map in bins `factor` times as wide."""
    wide = len(counts) // factor
    return counts.reshape(wide, factor, wide, factor).sum(axis=(1, 3))


def correlation(a, b):
    """Pearson correlation over pixels at least two bins from the diagonal."""
    away = np.triu_indices(len(a), 2)
    return np.corrcoef(a[away], b[away])[0, 1]


def agreement(counts, reference):
    """Correlation of two maps by five questions."""
    wide, wide_reference = coarser(counts, 10), coarser(reference, 10)
    phase = cpg.reshape(-1, 5).mean(axis=1)
    return {
        "counts, 50 kb": correlation(counts, reference),
        "O/E, 50 kb": correlation(over_expected(counts), over_expected(reference)),
        "O/E, 500 kb": correlation(over_expected(wide), over_expected(wide_reference)),
        "insulation": insulation_correlation(counts, reference, window=10),
        "compartments": compartment_correlation(coarser(counts, 5), coarser(reference, 5), phase),
    }


curve = pd.DataFrame({n: agreement(counts, truth) for n, counts in sums.items()}).T.astype(float)
curve.round(2)

# %% caption="Agreement of a pseudo-bulk with the truth against its number of cells. Insulation and compartments agree with tens of cells. Counts follow, carried by distance decay, with wide bins; single pixels of 50 kb without the decay have not arrived with 1,000." alt="Five rising curves on a logarithmic axis from 1 to 1,000 cells. Insulation starts highest, compartments rise steeply to meet it, counts and 500 kb follow; observed over expected at 50 kb is lowest and still rising at 1,000 cells." name="fig-number"
fig, ax = plt.subplots(figsize=(5.4, 3.8))
for color, name in zip([GREY, ORANGE, PURPLE, GREEN, BLUE], curve, strict=True):
    ax.plot(curve.index, curve[name], "o-", color=color, label=name, ms=4)
ax.set(xscale="log", xlabel="cells in the pseudo-bulk", ylabel="correlation with the truth")
ax.set_xticks(curve.index, [str(n) for n in curve.index])
ax.minorticks_off()
ax.legend(fontsize="small")
plt.show()


# %% tags=["hide-input"]
enough = {name: curve.index[(curve[name] > 0.9).to_numpy()] for name in curve}
Markdown(
    "The fewest cells of this series that reach a correlation of 0.9: "
    + "; ".join(f"{name}: {found[0] if len(found) else 'none'}" for name, found in enough.items())
    + f". With one cell the raw counts already reach {curve.loc[1, 'counts, 50 kb']:.2f}, and"
    f" {curve.loc[1, 'O/E, 50 kb']:.2f} once the decay is divided out: what one cell"
    " shows is mostly that near bins meet."
)

# %% [markdown]
# Insulation and compartments need few cells because each of their values sums many pixels. A pixel
# of 50 kb sums nothing. The published model was trained on pseudo-bulks of at least 190 cells of
# the co-assay of [Liu et al. 2023](https://doi.org/10.1126/science.adg3797): with cells as deep as
# these, wide structure is measured well in such a target, and single pixels are mostly noise.
#
# > **Warning** Cells are not replicates. A thousand cells of one donor are one sample of that donor
# > ([Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2)). The curve above says how
# > well *these* cells are measured, not how well the cell type is.
#
# ## Balancing, with the visibility known
#
# [Balancing](contact_maps.ipynb#balancing) looks for one weight a bin such that all rows of the
# weighted map have the same sum ([Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148)). In the
# organism every bin has a [visibility](../../book/glossary.md#visibility) that is known, and some bins
# have none. A correction of nothing but visibility would have weights proportional to one over it.
# Two chromosomes, pseudo-bulks of 2 to 400 cells:

# %%
folder = Path(tempfile.mkdtemp())
two = organism.chromosomes[:2]
bins = tracks.loc[tracks["chrom"].isin(two), ["chrom", "start", "end"]].reset_index(drop=True)
visibility = np.concatenate([c.visibility for c in organism.genome.chromosomes[:2]])


def cooler_of(n_cells):
    """Write a pseudo-bulk of `n_cells` to a cooler file; return its path."""
    path = str(folder / f"{n_cells}_cells.cool")
    maps = organism.sample_contacts(cell_type, n_cells=n_cells, seed=seed, chroms=two)
    cooler.create_cooler(path, bins, map_pixels(maps), ordered=True, symmetric_upper=True)
    return path


def single_partners(path, mask):
    """Number of kept bins that meet one other kept bin only, the two first diagonals left out."""
    pixels = cooler.Cooler(path).pixels()[:]
    i, j = pixels["bin1_id"].to_numpy(), pixels["bin2_id"].to_numpy()
    used = mask[i] & mask[j] & (j - i >= 2)
    partners = np.bincount(np.concatenate([i[used], j[used]]), minlength=len(mask))
    return (partners == 1).sum()


def balanced(n_cells, **options):
    """Balance a pseudo-bulk; return the result and its row of the table."""
    path = cooler_of(n_cells)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = balance_matrix(path, **options)
    seen = result.mask & (visibility > 0)
    logs = np.log(result.weights[seen]), -np.log(visibility[seen])
    return result, {
        "not converged": ", ".join(c for c, done in result.converged.items() if not done) or "-",
        "masked bins": (~result.mask).sum(),
        "kept, one partner": single_partners(path, result.mask),
        "correlation with 1/visibility": round(np.corrcoef(*logs)[0, 1], 2),
        "warning": caught[0].message if caught else None,
    }


results = {n: balanced(n) for n in (2, 5, 20, 400)}
summary = pd.DataFrame({f"{n} cells": row for n, (_, row) in results.items()}).T
summary.drop(columns="warning")

# %% [markdown]
# `balance_matrix` is cooler's balancing, with one warning that names the chromosomes where the
# iteration did not settle. `converged` of its result says the same. The warning in full:

# %%
print(summary.loc["2 cells", "warning"])

# %% [markdown]
# Filtering more bins is one way out. What if nothing is filtered?

# %%
careless, row = balanced(2, min_nnz=0, mad_max=0)
unseen = visibility == 0
print("not converged:", row["not converged"])
print("bins with one partner:", row["kept, one partner"])
print("bins never seen:", unseen.sum(), "with a weight:", careless.mask[unseen].sum())
largest = careless.weights.max() / np.median(careless.weights)
print(f"largest weight / median weight: {largest:,.0f}")

# %% tags=["hide-input"]
masked, right_way = summary["masked bins"], summary["correlation with 1/visibility"]
Markdown(
    f"With two cells, cooler's filters mask {masked['2 cells']:,} of the {len(bins):,} bins, and"
    f" {summary.loc['2 cells', 'kept, one partner']} of those that are left have a single partner. That is enough: all"
    " that such a bin may sum to must come from its partner, whose other contacts would then have to weigh"
    " nothing, and no weights do that"
    " ([Knight and Ruiz 2013](https://doi.org/10.1093/imanum/drs019)). Without filters, bins that were"
    " never seen get a weight like any other. With five cells everything converges, and the weights have a correlation with"
    f" 1/visibility of {right_way['5 cells']:.2f} where {right_way['400 cells']:.2f} can be had:"
    f" **converged does not mean right**. From 20 cells on, {masked['20 cells']} bins are masked, and"
    f" {unseen.sum()} have no visibility: here the empty bins are found, and only they."
)

# %% [markdown]
# The correlation stops short of 1 however many cells there are. That is not noise.

# %% caption="Balancing weight against true visibility, 400 cells, one dot a bin, and the line on which a correction of visibility alone would lie. The colour is the bin's true number of contacts: at equal visibility, bins with more contacts get smaller weights." alt="A falling cloud of dots around a straight line on double logarithmic axes. Dark dots, bins with many contacts, lie below the line, light ones above." name="fig-weights"
deep = results[400][0]
contacts = [organism.expected_contacts(c, cell_type).astype(float) for c in two]
row_sums = np.concatenate([m.sum(0) - np.trace(m) / len(m) for m in contacts])
row_sums /= np.median(row_sums)
seen = deep.mask & (visibility > 0)
weight = deep.weights / np.median(deep.weights[seen])
fig, ax = plt.subplots(figsize=(5.4, 3.8))
dots = ax.scatter(visibility[seen], weight[seen], c=row_sums[seen], s=7, cmap="viridis_r")
line = np.array([visibility[seen].min(), visibility[seen].max()])
ax.plot(line, np.median((weight * visibility)[seen]) / line, color=GREY, lw=1)
ax.set(xscale="log", yscale="log", xlabel="visibility", ylabel="weight / median weight")
for axis in (ax.xaxis, ax.yaxis):
    axis.set_major_locator(plt.FixedLocator([0.5, 1, 2]))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")
fig.colorbar(dots, label="true contacts of the bin / median")
plt.show()

# %% tags=["hide-input"]
residual = np.log(weight * visibility)[seen]
taken = np.corrcoef(residual, -np.log(row_sums[seen]))[0, 1]
ideal, w = contacts[0], deep.weights[:n_bins]
known = np.isfinite(w)
by_weight = (truth * np.outer(w, w))[np.ix_(known, known)]
shares = {
    name: correlation(over_expected(m), over_expected(ideal[np.ix_(known, known)]))
    for name, m in {"seen": truth[np.ix_(known, known)], "balanced": by_weight}.items()
}
Markdown(
    "What the weights hold beside visibility is the true number of contacts of a bin: the two have a"
    f" correlation of {taken:.2f} (in logarithms). Balancing makes all rows equal, so a bin that really"
    " has more contacts is brought down. It is mostly worth it: without any counting noise, O/E as seen"
    f" through the visibility has a correlation of {shares['seen']:.2f} with the O/E of a map of equal visibility, and after"
    f" balancing {shares['balanced']:.2f}."
)

# %% [markdown]
# Whether that is a loss depends on what "contacts of a bin" mean. Summed over all partners, on all
# chromosomes, a piece of chromatin has only so many ends to join, and equal sums are a fair
# assumption. Within one chromosome or one window they are not: a bin that turns outwards has fewer
# contacts there. Balance over as much of the genome as was measured, contacts between chromosomes
# included where there are any, and do not read the row sums of a balanced map as biology.
#
# > **Note** Three kinds of nothing. A *masked bin* could not be measured: its row and column are
# > NaN after balancing. An *empty pixel* between two good bins was measured, and its count is 0. A
# > *pixel of a window whose bin is masked* is stored as 0 too, so `Windows` carries a `mask`, and
# > every mean, loss and score must use it.
#
# ## Depth
#
# Two maps of the same cells, sequenced to unequal depth, differ in every pixel. The usual remedy is
# to scale. The published one takes each map to 25,000 reads, then log(1 + x), then divides by the
# maximum ([Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223)). Here a
# pseudo-bulk of 400 beta cells is compared with four others: the same cell type or stem cells, and
# four times as deep or thinned to equal depth.

# %%


def draw(kind, n_cells, draw_seed):
    """Counts of a window of 128 bins of a pseudo-bulk."""
    maps = organism.sample_contacts(kind, n_cells=n_cells, seed=draw_seed, chroms=[chrom])
    return maps[chrom][first:last, first:last].astype(float)


def mse(a, b):
    """Mean squared difference."""
    return float(np.mean((a - b) ** 2))


sample = draw(cell_type, 400, seed + 1)
depth = int(np.triu(sample).sum())
partners = {}
for kind in (cell_type, "stem"):
    full = draw(kind, 1600, seed + 2)
    partners[f"{kind}, four times as deep"] = full
    partners[f"{kind}, thinned"] = downsample(full, n_contacts=depth, seed=seed)
by_depth = pd.DataFrame({
    name: {
        "contacts": int(np.triu(other).sum()),
        "MSE of counts": mse(sample, other),
        "MSE, scaled": mse(normalise_depth(sample), normalise_depth(other)),
        "SCC": float(stratum_adjusted_correlation(sample, other)),
    }
    for name, other in partners.items()
}).T.astype({"contacts": int})  # fmt: skip
by_depth.round({"MSE of counts": 0, "MSE, scaled": 5, "SCC": 2})

# %% tags=["hide-input"]
scaled, scc, counts = by_depth["MSE, scaled"], by_depth["SCC"], by_depth["MSE of counts"]
(same_deep, same_thin, other_deep, other_thin) = by_depth.index
Markdown(
    f"In counts, depth is everything: the same cell type four times as deep is"
    f" {counts[same_deep] / counts[other_thin]:,.0f} times as far away as stem cells of equal depth. Scaling"
    " removes the level but not the noise, and the error turns round: stem cells measured deeply"
    f" ({scaled[other_deep]:.5f}) are now nearer than beta cells of equal depth ({scaled[same_thin]:.5f})."
    f" The stratum-adjusted correlation (SCC) has it the same way round, {scc[other_deep]:.2f} against"
    f" {scc[same_thin]:.2f}. At one depth, either of them, the same cell type wins."
)

# %% [markdown]
# So compare at equal depth: `downsample` keeps or loses each contact by chance, which is what a
# shallower experiment would have done. Thin counts, never balanced values, and thin before you
# normalise. When a table of scores mixes cell types with many and with few cells, part of what it
# ranks is their number.
#
# ## Tracks
#
# A model learns about a cell type from a [track](../../book/glossary.md#track): values along the same
# bins as the map. `expression_tracks` puts the mean expression of each gene into the bin of its
# transcription start, on one track for each strand. `peak_tracks` counts CTCF sites, again by
# strand. CpG content is one track.

# %%
cells_rna = organism.sample(n_cells=100, seed=seed, keep_truth=False)
genes = organism.genome.genes
kinds = ["stem", cell_type]


def mean_expression(adata, kinds):
    """Counts per 10,000 of the summed cells of each cell type (genes, cell types)."""
    sums = {k: np.asarray(adata[adata.obs["cell_type"] == k].X.sum(axis=0)).ravel() for k in kinds}
    table = pd.DataFrame(sums, index=adata.var_names)
    return table / table.sum() * 1e4


genome_bins = tracks[["chrom", "start", "end"]]
expression = expression_tracks(mean_expression(cells_rna, kinds), genes, genome_bins)
middle = (tracks["start"] + bin_size // 2).to_numpy()
sites = pd.concat([
    pd.DataFrame({"chrom": tracks["chrom"], "start": middle - 10, "end": middle + 10,
                  "strand": strand, "signal": tracks[column]})[tracks[column] > 0]
    for strand, column in (("+", "ctcf_forward"), ("-", "ctcf_reverse"))
], ignore_index=True)  # fmt: skip
ctcf = peak_tracks(sites, genome_bins, value="signal")
print({k: v.shape for k, v in expression.items()}, "CTCF", ctcf.shape)
print(cells_rna.obs["cell_type"].value_counts()[kinds].to_dict(), "cells")

# %% caption="Tracks of the window of the first figure. Expression (counts per 10,000, logarithmic) and CTCF (signal) are drawn upwards on the + strand and downwards on the − strand. Only expression differs between the cell types; CTCF and CpG are the same in all cells." alt="Four rows of bars along 6.4 Mb: expression in stem cells and in beta cells, which differ at several places, CTCF sites upwards and downwards, and a ragged CpG curve." name="fig-tracks"
here = slice(first, last)
position = middle[here] / 1e6
rows = {"stem": expression["stem"], "beta": expression[cell_type], "CTCF": ctcf}
fig, axes = plt.subplots(4, 1, figsize=(5.4, 4.6), sharex=True)
for ax, color, (name, values) in zip(axes, [BLUE, ORANGE, GREEN], rows.items(), strict=False):
    ax.bar(position, values[here, 0], width=0.05, color=color)
    ax.bar(position, -values[here, 1], width=0.05, color=color, alpha=0.6)
    ax.axhline(0, color=GREY, lw=0.6)
    ax.set_ylabel(name)
top = max(expression[k][here].max() for k in kinds)
for ax in axes[:2]:
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(-top, top)
    ax.set_yticks([-100, 0, 100], ["100", "0", "100"])
    ax.minorticks_off()
axes[2].set_ylim(-np.abs(ctcf[here]).max(), np.abs(ctcf[here]).max())
axes[2].set_yticks([-2, 0, 2], ["2", "0", "2"])
axes[3].plot(position, cpg[here], color=PURPLE, lw=1)
axes[3].set(ylabel="CpG (%)", xlabel="position (Mb)")
plt.show()

# %% tags=["hide-input"]
columns = ["expression_forward", "expression_reverse"]
true_tracks = {k: organism.tracks(k)[columns].to_numpy() for k in kinds}


def change(by_kind):
    """Difference of log(1 + expression) between the two cell types, all bins and strands."""
    return (np.log1p(by_kind[cell_type]) - np.log1p(by_kind["stem"])).ravel()


by_cells = {}
for n in (5, 20, 80):
    chosen = np.concatenate([np.flatnonzero(cells_rna.obs["cell_type"] == k)[:n] for k in kinds])
    few_cells = expression_tracks(mean_expression(cells_rna[chosen], kinds), genes, genome_bins)
    by_cells[n] = np.corrcoef(change(few_cells), change(true_tracks))[0, 1]
pairs = {"convergent": [], "divergent": []}
wide_map = over_expected(contacts[0])
plus, minus = (np.flatnonzero(ctcf[:n_bins, strand] > 0.3) for strand in (0, 1))
for i in plus:
    pairs["convergent"] += [wide_map[i, j] for j in minus if 6 <= j - i <= 30]
    pairs["divergent"] += [wide_map[j, i] for j in minus if 6 <= i - j <= 30]
Markdown(
    "How far a track is from the truth is again a matter of cells: the *difference* between the two"
    " cell types, which is all that a model can use, has a correlation with the true difference of "
    + ", ".join(f"{r:.2f} with {n} cells of each" for n, r in by_cells.items())
    + f". And the strand matters: pairs of CTCF sites 0.3 to 1.5 Mb apart that face each other have"
    f" {np.mean(pairs['convergent']):.1f} times the expected contacts, pairs that turn their backs"
    f" {np.mean(pairs['divergent']):.1f} times. One track without strands would show the same site twice."
)

# %% [markdown]
# In real chromatin too, loops are mostly held by sites that face each other
# ([Rao et al. 2014](https://doi.org/10.1016/j.cell.2014.11.021)).
#
# ## Windows: split first
#
# [Windows](../../book/glossary.md#window) are squares on the diagonal, here 128 bins wide and 32
# apart. They overlap, and so the order of steps matters: **hold out chromosomes first**, and fit
# everything on the windows of the others
# ([Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9)).
#
# ![A square contact map of a chromosome, darkest on the diagonal. Four equal squares, numbered 1 to 4, lie along the diagonal, each shifted by half its width, so that neighbours overlap. Dashed lines on both sides of the diagonal mark the band that is complete. The corners far from the diagonal are outside all windows: too far apart, not predicted. Below, the weights of the four windows along the diagonal: four bumps that overlap by half, each rising from 0 at one end of its window to 1 and back to 0.](../../book/_static/diagrams/windows.svg)
#
# *Windows overlap, and a predicted pixel is the weighted mean of those over it; between the dashed lines no pixel is left out.*

# %%
four = organism.chromosomes[:4]
starts = window_starts(n_bins, 128, 32)
print(f"{len(starts)} windows a chromosome; the last ends at bin {starts[-1] + 128} of {n_bins}")
guides = {
    k: by_chromosome(np.column_stack([expression[k], ctcf, tracks["cpg"]]), genome_bins)
    for k in kinds
}
targets = {k: organism.sample_contacts(k, n_cells=400, seed=seed, chroms=four) for k in kinds}
windows = make_windows(
    organism.bulk("mixture", seed=seed), guides, targets, chromosomes=four, bin_size=bin_size,
    bulk_cell_types=organism.cell_types, window=128, stride=32, max_masked=0.2,
    track_names=["expression +", "expression -", "CTCF +", "CTCF -", "CpG"],
)  # fmt: skip
split = hold_out_chromosomes(windows, test=four[3])
print(len(split.train), "training windows,", len(split.test), "test windows")
windows.table[["chrom", "start", "end", "cell_type"]].head(3)

# %% [markdown]
# The tempting way is to cut all windows and to deal them out at random. The package refuses:

# %%
dealt = np.random.default_rng(seed).permutation(len(windows))
random_train, random_test = windows[dealt[: len(dealt) // 2]], windows[dealt[len(dealt) // 2 :]]
try:
    assert_disjoint(random_train, random_test)
except LeakageError as error:
    print("LeakageError:", error)

# %% tags=["hide-input"]
covered = {c: np.zeros((n_bins, n_bins), dtype=bool) for c in four}
for row in random_train.table.itertuples():
    span = slice(row.start // bin_size, row.end // bin_size)
    covered[row.chrom][span, span] = True
known_pixels = []
for row in random_test.table.itertuples():
    span = slice(row.start // bin_size, row.end // bin_size)
    known_pixels.append(covered[row.chrom][span, span])
Markdown(
    f"Of the pixels of the test windows, {np.mean(known_pixels):.0%} also lie in a training window of one"
    " of the two cell types. A model that remembers would be praised for predicting."
)

# %% [markdown]
# A bulk that mixes all cell types holds the map of the held-out type as well. `bulk_cell_types`
# says whose contacts are in it, and holding out one of them is refused with the same error (the
# second exercise). What is *learned* from data comes under the same rule: `fit` on the training
# windows, then apply.

# %%
scaler = TrackScaler(log=True).fit(split.train)
means = DistanceMeans(of="targets").fit(split.train)
test_ready = means.transform(scaler.transform(split.test))
check_evaluation([scaler, means], split.test)  # silent: nothing overlaps
try:
    check_evaluation([DistanceMeans(of="targets").fit(windows)], split.test)
except LeakageError as error:
    print("LeakageError:", error)

# %% tags=["hide-input"]
own = distance_means(split.test.targets, split.test.mask)
apart = np.abs(means.means_ / own - 1)
Markdown(
    "Learned on three chromosomes, the means per distance are within"
    f" {np.median(apart):.0%} of those of the fourth in the median, and within {apart.max():.0%} at worst. That"
    " is the price of a chromosome that was never seen, and it belongs in the score. Divided by the test windows' own means, every test map would have"
    " been told its distance decay."
)

# %% [markdown]
# ### Scaling tracks without losing the cell type
#
# Tracks need one range for a network. The published model scales each track to [0, 1] *in each
# window by itself*; `TrackScaler` uses one range for the whole genome, learned in training. Look at
# what becomes of the level of expression in a window.

# %% caption="Change of expression level from stem to beta cells, one dot a window: before scaling (across) and after it (up). Scaled by what training holds, the change is kept. Scaled window by window, much of it is gone." alt="Two scatter plots. On the left the dots lie on a rising straight line, on the right they are a loose cloud with a weak trend." name="fig-scaling"


def level_change(values):
    """Mean of the expression tracks in each window, beta minus stem."""
    level = values[:, :, :2].mean(axis=(1, 2))
    kind = windows.table["cell_type"].to_numpy()
    return level[kind == cell_type] - level[kind == "stem"]


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
turned = np.mean(np.sign(before) != np.sign(after["window by window"]))
Markdown(
    f"The correlation between the change before and after is {kept['learned in training']:.2f} with one scale"
    f" for the genome and {kept['window by window']:.2f} with one for each window; in {turned:.0%} of the windows"
    " the change even turns its sign. Every window then has the same maximum, so a window whose genes"
    " are all switched up looks like one where nothing happened."
)

# %% [markdown]
# ## Real cells: human cortex
#
# The same steps on 400 cells of human prefrontal cortex, four cell types from two donors, bins of 1
# Mb (data set `lee2019` of [the data page](../../book/data.md)). Nobody knows the truth here. What
# takes its place is another donor: `pseudobulk` sums cells by cell type and donor, and 1 to 64
# oligodendrocytes (ODC) of one donor.

# %%
maps = load("lee2019")
groups = {
    f"{kind} {donor}": list(rows.index)
    for (kind, donor), rows in maps.obs.groupby(["cell_type", "donor"], observed=True)
}
steps = {n: f"{n} ODC of 29yr" for n in (1, 4, 16, 64)}
real = maps.pseudobulk(groups | {name: groups["ODC 29yr"][:n] for n, name in steps.items()})
print(f"{len(maps.names)} cells, bins of {maps.bin_size:,} bp, {maps.assembly}")
maps.obs.groupby(["cell_type", "donor"], observed=True).size().unstack()

# %%
totals = maps.obs.groupby("cell_type", observed=True)["depth"]
pixels = {name: real.pixels(name) for name in ("1 ODC of 29yr", "ODC 29yr")}
self_share = {
    name: p.loc[p["bin1_id"] == p["bin2_id"], "count"].sum() / p["count"].sum()
    for name, p in pixels.items()
}
totals.describe()[["min", "50%", "max"]].astype(int)

# %% caption="Chromosome 2 of one oligodendrocyte and of the pseudo-bulk of all those of its donor, 64 cells, main diagonal left out. The checkerboard of compartments needs the sum." alt="Two square heat maps of 243 Mb. One cell: a diagonal band with scattered dots. 64 cells: a smooth band with a plaid pattern far from the diagonal and a white cross at the centromere." name="fig-cortex"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.6))
for ax, name in zip(axes, [steps[1], steps[64]], strict=True):
    counts = real.matrix(name, "chr2").astype(float)
    np.fill_diagonal(counts, 0)
    contact_map(ax, counts, start=0, end=maps.chromsizes["chr2"], label="contacts")
    ax.set_title(name.replace(" of 29yr", ""))
plt.show()

# %% tags=["hide-input"]
one = pixels["1 ODC of 29yr"]
Markdown(
    f"{self_share['ODC 29yr']:.0%} of the contacts of the oligodendrocytes lie on the main diagonal: with bins of 1 Mb"
    " most pairs fall into one bin. They say nothing about folding at this scale, and left in a"
    " loss or a score they are most of it. Without them the first cell has"
    f" {one.loc[one['bin1_id'] != one['bin2_id'], 'count'].sum():,} contacts. Depth per cell"
    f" varies {maps.obs['depth'].max() / maps.obs['depth'].min():.0f}-fold, so a sum over cells is"
    " first of all a sum over its deepest cells."
)

# %% [markdown]
# ### Ceiling and floor without a truth
#
# The SCC of 1 to 64 oligodendrocytes of one donor with the oligodendrocytes of the *other* donor
# says how well they are measured; the SCC with other cell types of that donor is what a wrong
# answer gets.

# %% caption="Agreement of 1 to 64 oligodendrocytes of one donor with pseudo-bulks of the other donor: mean SCC of the autosomes over 1 to 19 Mb. Even 64 cells have not levelled off. A wrong cell type reaches most of what the right one does." alt="Four rising curves on a logarithmic axis. The curve of oligodendrocytes is highest, those of astrocytes, microglia and interneurons run below it in parallel." name="fig-donors"
autosomes = [f"chr{number}" for number in range(1, 23)]
others = {"ODC": "same type", "Astro": "astrocytes", "MG": "microglia", "Sst": "interneurons"}
names = [f"{kind} 21yr" for kind in others]
genome = {}
for name in [*names, *steps.values()]:
    p = real.pixels(name)
    genome[name] = symmetric(p["bin1_id"], p["bin2_id"], p["count"], len(maps.bins)).astype(float)
by_chrom = []
for autosome in autosomes:
    lo, hi = real.cooler(names[0]).extent(autosome)
    block = {name: m[lo:hi, lo:hi].toarray() for name, m in genome.items()}
    by_chrom.append([
        [stratum_adjusted_correlation(block[s], block[n], max_distance=19) for s in steps.values()]
        for n in names
    ])  # fmt: skip
agreed = np.mean(by_chrom, axis=0)
fig, ax = plt.subplots()
for color, label, values in zip([ORANGE, BLUE, GREEN, GREY], others.values(), agreed, strict=True):
    ax.plot(list(steps), values, "o-", color=color, label=label, ms=4)
ax.set(xscale="log", xlabel="oligodendrocytes of one donor", ylabel="SCC with the other donor")
ax.set_xticks(list(steps), [str(n) for n in steps])
ax.minorticks_off()
ax.legend()
plt.show()

# %% tags=["hide-input"]
Markdown(
    f"With 64 cells the same type reaches {agreed[0, -1]:.2f} and the best of the wrong types"
    f" {agreed[1:, -1].max():.2f}; with one cell it is {agreed[0, 0]:.2f} and {agreed[1:, 0].max():.2f}."
    f" Note that the reference sums {real.obs.loc['ODC 21yr', 'n_samples']} oligodendrocytes but"
    f" {real.obs.loc['Astro 21yr', 'n_samples']} astrocytes: the wrong types had more cells, and lost"
    " all the same."
)

# %% [markdown]
# ### Balancing and empty bins
#
# Two chromosomes of the pseudo-bulk, balanced each for itself (`cis_only`, the default here) and as
# one genome. At 1 Mb only the main diagonal is left out (`ignore_diags=1`): cooler's default of two
# diagonals would drop all pairs of neighbouring bins.

# %%
pair = ["chr2", "chr3"]
real_bins = maps.bins[["chrom", "start", "end"]]
pair_bins = real_bins[real_bins["chrom"].isin(pair)].reset_index(drop=True)
pair_maps = {c: real.matrix("ODC 29yr", c) for c in pair}
path = str(folder / "cortex.cool")
cooler.create_cooler(path, pair_bins, map_pixels(pair_maps), ordered=True, symmetric_upper=True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    cortex = balance_matrix(path, ignore_diags=1)
    as_one = balance_matrix(path, ignore_diags=1, cis_only=False)
empty = np.concatenate([(m.sum(axis=0) - np.diag(m)) == 0 for m in pair_maps.values()])
print("each chromosome for itself:", cortex.converged)
print("as one genome:", as_one.converged)
for c in pair:
    rows = (pair_bins["chrom"] == c).to_numpy() & cortex.mask & as_one.mask
    ratio = as_one.weights[rows] / cortex.weights[rows]
    print(f"{c}: ratio of the two weights from {ratio.min():.4f} to {ratio.max():.4f}")
print(f"masked: {(~cortex.mask).sum()} of {len(empty)} bins; empty: {empty.sum()}")

# %% [markdown]
# Each chromosome for itself, the iteration settles. As one genome it does not. These files have no
# contacts between chromosomes, so the weights of each chromosome are fixed up to a factor, and
# nothing in the data says what the factors should be: the iteration goes back and forth between
# them. This failure is harmless, and `cis_only` ends it. The failure of the two cells is another:
# there, right weights do not exist.
#
# Empty bins are mostly centromeres and other sequence that cannot be mapped. The other masked bins
# are cooler's choice, by how far a row sum lies below the rest (`mad_max`): look at what it takes
# before you accept it.
#
# ### Expression from another study
#
# The guide comes from single-cell RNA sequencing of cortex (`darmanis2015`), other people and other
# cells than the contact maps. Its genes are named by symbol and get their places from
# `annotation_hg19`.

# %%
rna = load("darmanis2015")
annotation = load("annotation_hg19").set_index("gene")
rna_kinds = {"oligo": "ODC", "astro": "Astro", "microglia": "MG", "neuro": "Sst"}
rna_expression = mean_expression(rna, list(rna_kinds)).rename(columns=rna_kinds)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    real_guides = expression_tracks(rna_expression, annotation, real_bins)
print("warning:", caught[0].message)
print(rna.obs["cell_type"].value_counts()[list(rna_kinds)].to_dict())

# %% tags=["hide-input"]
placed = rna_expression.index.isin(annotation.index)
Markdown(
    f"The genes without a place carry {rna_expression.loc[~placed, 'ODC'].sum() / 1e4:.0%} of the"
    " expression of oligodendrocytes. The warning is worth a look each time: a renamed symbol is a gene lost,"
    " and a wrong assembly puts all of them somewhere else without any warning. There are"
    f" {(rna.obs['cell_type'] == 'microglia').sum()} microglia in all, and `neuro` are all neurons, of which"
    " the interneurons of the maps (Sst) are one kind: a guide is as good as its labels."
)

# %% [markdown]
# CTCF peaks of a lymphoblastoid line are at hand too (`ctcf_gm12878_hg19`). They have no strand, so
# that `peak_tracks` makes one track of them, and they say where CTCF can bind, not where it does in
# cortex.
#
# ### Half a bin
#
# The CpG file lists positions. They look like starts of bins; they are the *middles* (its
# [manifest](../../book/data.md) says how that was found). The loader gives true intervals, half a bin
# off the grid of the maps, and `interval_track` averages them by overlap. Reading positions as
# starts raises no error at all:

# %%
cpg_file = load("cpg_tracks").query("assembly == 'hg19' and bin_size == 1_000_000")
shifted = cpg_file.assign(start=cpg_file["start"] + 500_000, end=cpg_file["end"] + 500_000)
right, wrong = (interval_track(t, real_bins, value="cpg")[:, 0] for t in (cpg_file, shifted))
both = (right > 0) & (wrong > 0)
starts_here = annotation.assign(start=annotation["tss"], end=annotation["tss"] + 1)
n_genes = peak_tracks(starts_here.drop(columns="strand"), real_bins)[:, 0]
for name, values in {"by overlap": right, "read as starts": wrong}.items():
    r = np.corrcoef(values[both], n_genes[both])[0, 1]
    print(f"CpG {name}: correlation with the number of genes {r:.2f}")

# %% caption="Chromosome 2: compartment score of oligodendrocytes (positive is A), CpG content, and log expression of oligodendrocytes on the + strand (up) and the − strand (down). CpG and expression are high in many A blocks." alt="Three rows along 243 Mb: blocks of orange and blue for the compartments, a jagged CpG curve, and bars of expression up and down, denser where the compartment score is positive." name="fig-guides"
on_2 = (real_bins["chrom"] == "chr2").to_numpy()
counts = sum(real.matrix(f"ODC {donor}", "chr2").astype(float) for donor in ("21yr", "29yr"))
masked_2 = ~cortex.mask[(pair_bins["chrom"] == "chr2").to_numpy()]
counts[masked_2], counts[:, masked_2] = np.nan, np.nan
score = np.nan_to_num(compartment_eigenvector(counts, right[on_2], ignore_diags=1))
position = real_bins.loc[on_2, "start"].to_numpy() / 1e6 + 0.5
strands = np.log1p(real_guides["ODC"][on_2])
fig, axes = plt.subplots(3, 1, figsize=(5.4, 4.2), sharex=True)
axes[0].bar(position, np.maximum(score, 0), width=1, color=ORANGE)
axes[0].bar(position, np.minimum(score, 0), width=1, color=BLUE)
axes[0].set_ylabel("compartment\nscore")
axes[1].plot(position, 100 * np.where(right[on_2] > 0, right[on_2], np.nan), color=PURPLE, lw=1)
axes[1].set_ylabel("CpG (%)")
axes[2].bar(position, strands[:, 0], width=1, color=GREEN)
axes[2].bar(position, -strands[:, 1], width=1, color=GREEN, alpha=0.6)
axes[2].set(ylabel="expression\n(log)", xlabel="position on chromosome 2 (Mb)")
plt.show()

# %% [markdown]
# ### Windows at 1 Mb
#
# A window of 128 bins is 128 Mb at this bin size. Chromosomes shorter than a window give none.

# %%
lengths = real_bins.groupby("chrom", sort=False, observed=True).size()[autosomes]
for size, stride in [(128, 32), (32, 8)]:
    found = lengths.map(lambda n, size=size, stride=stride: len(window_starts(n, size, stride)))
    print(f"{size} bins: {found.sum()} windows on {(found > 0).sum()} of {len(found)} autosomes")

# %% [markdown]
# ## Key points
#
# - How many cells a pseudo-bulk needs depends on the question: few for insulation and compartments,
#   very many for pixels without their decay.
# - Balancing takes out visibility and, with it, true differences of row sums. Look at `converged`,
#   at the masked bins, and do not trust either alone.
# - Normalised maps of unequal depth are still maps of unequal noise. Thin to equal depth to
#   compare.
# - Scale tracks by what training holds. Window by window, the cell type is scaled away.
# - Chromosomes first, windows afterwards; what is fitted is fitted on training windows.
# - Check the coordinates of every file: half a bin raises no error.
#
# ## Exercises
#
# > **Exercise** Repeat the depth comparison with 50 cells and 200 in place of 400 and 1,600. Is the
# > same cell type still nearer at equal depth?
#
# <details><summary>Solution</summary>
#
# Call `draw(cell_type, 50, seed + 1)` and `draw(kind, 200, seed + 2)` and set `depth` anew. With so
# few cells the depth of the partner decides nearly all of the error, and at equal depth the order
# of the cell types depends on the draw: try several values for `draw_seed`. A comparison of cell
# types needs enough cells of *both*.
#
# </details>
#
# > **Exercise** The bulk of the page mixes all cell types. Hold out the cell type `beta_mature`
# > with `hold_out_cell_types` of `scstlib.splits`. What happens, and which bulk may be used?
#
# <details><summary>Solution</summary>
#
# `hold_out_cell_types(windows, test="beta_mature", test_chromosomes=four[3])` raises a
# `LeakageError`: beta cells are part of the mixture, so the map to be predicted is in the input.
# Cut the windows from `organism.bulk("stem")` with `bulk_cell_types=("stem",)`, and the split goes
# through.
#
# </details>
#
# > **Exercise** Average the CpG track with `interval_track(shifted, ...)` moved by five bins
# > instead of half a bin. How far must a track be off before its correlation with the number of
# > genes tells?
#
# <details><summary>Solution</summary>
#
# Add `5_000_000` to `start` and `end` in place of `500_000` and compute `r` again; then try 1, 2
# and 3 Mb. CpG content changes slowly along the genome, so that a shift of one bin costs only some
# of the correlation: no summary number warns of it. What does is a look at both tracks, one above
# the other.
#
# </details>
#
# ## Further reading
#
# - [Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148) and
#   [Knight and Ruiz 2013](https://doi.org/10.1093/imanum/drs019): two ways to the same balanced
#   map.
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): the windows, tracks and
#   scaling that this page takes apart.
# - [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of machine learning
#   in genomics.
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): reproducibility and depth of
#   contact maps.
