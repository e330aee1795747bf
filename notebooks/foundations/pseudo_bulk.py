# %% [markdown]
# # Pseudo-bulk: how many cells?
#
# The contact map of one cell is almost empty: how many cells to sum for which question.
#
# > **Learning goals**
# > - [sum the contact maps of single cells](#it-depends-on-the-question), and say how many cells a question needs;
# > - [compare maps of unequal depth without comparing their depths](#depth-decides-comparisons);
# > - [find a floor and a ceiling for a map when nobody knows the truth](#real-cells-without-a-truth).
# >
# > **Before**: [Contact maps](contact_maps.ipynb).
# >
# > **Time**: 16 min to read, 1 min to run; the first run also unpacks 400 single cells (1 min).

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
from scstlib.datasets import load, simulate_organism
from scstlib.metrics.contacts import (
    compartment_correlation,
    expected_by_distance,
    insulation_correlation,
    mse,
    stratum_adjusted_correlation,
)
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, book_style, contact_map
from scstlib.preprocess.contacts import downsample, normalise_depth

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## One cell is almost empty
#
# Hi-C of a single cell lists the pairs of bins that were found joined in it. An empty pixel does not say "no contact". It says "not seen", mostly because
# little can be seen: a cell has two copies of each place, and few of their contacts are caught. So the maps of cells of one kind are summed. The sum is
# called a [pseudo-bulk](../../book/glossary.md#pseudo-bulk). How many cells does it take?
#
# ![At the top three contact maps of one cell type, from 1, 20 and 200 cells: the first has a few scattered pixels, the last a clear diagonal with domains. Below, the same 600 cells are shared out in two ways: among 3 cell types with 200 cells each, three clear maps; among 12 cell types with 50 cells each, twelve speckled maps.](../../book/_static/diagrams/pseudo_bulk_size.svg)
#
# *The contacts of cells add up to depth; for a given number of cells, more cell types mean shallower maps.*
#
# The example is a thousand cells of one type of [the simulated organism](preprocessing_expression.ipynb#an-organism-whose-truth-is-known), mature beta cells, on one chromosome in bins of 50 kb. The sums hold the first 1, 4, 16, … of them.

# %%
organism = simulate_organism(seed=seed, preset="small")
chrom, kind = organism.chromosomes[0], "beta_mature"
n_bins, bin_size = organism.settings.n_bins, organism.settings.bin_size
here = {"seed": seed, "chroms": [chrom]}
contacts = organism.sample_cell_contacts(kind, n_cells=1000, **here)


def summed(n):
    """Pseudo-bulk (bins, bins) of the first n cells."""
    rows, upper = contacts[contacts["cell"] < n], np.zeros((n_bins, n_bins))
    np.add.at(upper, (rows["bin1"], rows["bin2"]), rows["count"])
    return upper + np.triu(upper, 1).T


sums = {n: summed(n) for n in (1, 4, 16, 64, 256, 1000)}

# %% tags=["hide-input"] caption="The same 6.4 Mb of one cell, of two pseudo-bulks, and of the truth: the contacts to be expected from infinitely many cells. One cell shows the diagonal and little else. With 64 cells domains stand out as squares. The contacts between domains need more." alt="Four square heat maps. One cell: a thin broken diagonal with few dots. 64 cells: dark squares along the diagonal and scattered dots. 1,000 cells and the truth: the same squares on a graded background with white stripes at masked bins." name="fig-sums"
truth = organism.expected_contacts(chrom, kind, biased=True).astype(float)
first, last = 200, 328
place = {"start": first * bin_size, "end": last * bin_size}
shown = {"1 cell": sums[1], "64 cells": sums[64], "1,000 cells": sums[1000], "truth": truth}
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.8), gridspec_kw={"hspace": 0.1})
for ax, (name, counts) in zip(axes.flat, shown.items(), strict=True):
    label = "contacts a cell" if name == "truth" else "contacts"
    contact_map(ax, counts[first:last, first:last], **place, label=label)
    ax.set_title(name)
plt.show()

# %% tags=["hide-input"]
depths = contacts.groupby("cell")["count"].sum()
upper = np.triu_indices(n_bins)
empty = {n: np.mean(sums[n][upper] == 0) for n in (1, 1000)}
itself = contacts.loc[contacts["bin1"] == contacts["bin2"], "count"].sum() / contacts["count"].sum()
claim(
    f"The median cell has {depths.median():,.0f} contacts on this chromosome, for {len(upper[0]):,} pixels: in the first"
    f" cell {empty[1]:.1%} of them are empty. Of all contacts {itself:.0%} join a bin with itself and say nothing"
    f" about distance. A thousand cells together still leave {empty[1000]:.0%} of the pixels empty.",
    empty[1] > 0.98,
    empty[1000] > 0.02,
    0.1 < itself < 0.5,
)

# %% [markdown]
# ## It depends on the question
#
# The pseudo-bulks are compared with the truth in five ways: by counts, by [observed over expected](../../book/glossary.md#observed-over-expected) (O/E) in bins of
# 50 kb and of 500 kb, by [insulation](../../book/glossary.md#insulation-score) and by [compartment](../../book/glossary.md#compartment) score. All are correlations; those of pixels leave out the first two diagonals.

# %% tags=["hide-input"]
distance = np.abs(np.subtract.outer(np.arange(n_bins), np.arange(n_bins)))
bins = organism.tracks().query("chrom == @chrom")
phase = bins["cpg"].to_numpy().reshape(-1, 5).mean(axis=1)


def over_expected(counts):
    """Map divided by its own mean at each distance."""
    expected = expected_by_distance(counts)[distance[: len(counts), : len(counts)]]
    return np.divide(counts, expected, out=np.zeros(counts.shape), where=expected > 0)


def coarser(counts, factor):
    """Map in bins `factor` times as wide."""
    wide = len(counts) // factor
    return counts.reshape(wide, factor, wide, factor).sum(axis=(1, 3))


def correlation(a, b):
    """Pearson correlation over pixels at least two bins from the diagonal."""
    away = np.triu_indices(len(a), 2)
    return np.corrcoef(a[away], b[away])[0, 1]


# %%
def agreement(counts):
    """Correlation of a map with the truth, in five ways."""
    by = {f: [coarser(m, f) for m in (counts, truth)] for f in (1, 5, 10)}
    return {
        "counts, 50 kb": correlation(*by[1]),
        "O/E, 50 kb": correlation(*map(over_expected, by[1])),
        "O/E, 500 kb": correlation(*map(over_expected, by[10])),
        "insulation": insulation_correlation(*by[1], window=10),
        "compartments": compartment_correlation(*by[5], phase),
    }


rows = {n: agreement(each) for n, each in sums.items()}
curve = pd.DataFrame(rows, dtype=float).T

# %% tags=["hide-input"] caption="Agreement of a pseudo-bulk with the truth against its number of cells. Insulation and compartments agree from tens of cells on. Counts, which the decay with distance dominates, and O/E in wide bins follow. O/E in single pixels of 50 kb is far from the truth even with 1,000 cells." alt="Five rising curves on a logarithmic axis from 1 to 1,000 cells. Insulation starts highest and compartments rise steeply to meet it; counts and observed over expected at 500 kb follow; observed over expected at 50 kb is lowest and still rising at 1,000 cells." name="fig-number"
fig, ax = plt.subplots(figsize=(5.4, 3.8))
for color, name in zip([GREY, ORANGE, PURPLE, GREEN, BLUE], curve, strict=True):
    ax.plot(curve.index, curve[name], "o-", color=color, label=name, ms=4)
ax.set(xscale="log", xlabel="cells in the pseudo-bulk", ylabel="correlation with the truth")
ax.set_xticks(curve.index, [str(n) for n in curve.index])
ax.minorticks_off()
ax.legend(fontsize="small")
plt.show()

# %% tags=["hide-input"]
claim(
    f"With 64 cells insulation reaches {curve.loc[64, 'insulation']:.2f} and compartments"
    f" {curve.loc[64, 'compartments']:.2f}; single pixels of O/E reach {curve.loc[64, 'O/E, 50 kb']:.2f} with 64 cells and"
    f" {curve.loc[1000, 'O/E, 50 kb']:.2f} with 1,000. With one cell the raw counts already have"
    f" {curve.loc[1, 'counts, 50 kb']:.2f}, and {curve.loc[1, 'O/E, 50 kb']:.2f} once the decay is divided out: what one"
    " cell shows is mostly that near bins meet.",
    min(curve.loc[64, ["insulation", "compartments"]]) > 0.85,
    curve.loc[64, "O/E, 50 kb"] < 0.6,
    curve.loc[1000, "O/E, 50 kb"] < 0.9,
    curve.loc[1, "counts, 50 kb"] > curve.loc[1, "O/E, 50 kb"] + 0.1,
)

# %% [markdown]
# Insulation and compartments need few cells because each of their values sums many pixels; a pixel of 50 kb stands alone. The published scGrapHiC ([Murtaza et
# al. 2024](https://doi.org/10.1093/bioinformatics/btae223)) was trained on pseudo-bulks of at least 190 cells of the co-assay of [Liu et al.
# 2023](https://doi.org/10.1126/science.adg3797): if its cells are as deep as these, such a target measures wide structure well, and its single pixels are mostly
# noise.
#
# > **Warning** A thousand cells of one donor are one sample of that donor, not replicates ([Squair et al.
# > 2021](https://doi.org/10.1038/s41467-021-25960-2)): the curve says how well *these* cells are measured, not the cell type.
#
# ## Depth decides comparisons
#
# Two maps of the same cells, sequenced to unequal [depth](../../book/glossary.md#depth), differ in every pixel. The usual remedy is to scale: scGrapHiC scales each
# map to 25,000 reads, takes log(1 + x) and divides by the maximum. Does it help? A pseudo-bulk of 200 beta cells is compared with four others: the same cell type or
# stem cells, and eight times as deep or thinned to equal depth. Two scores judge: the mean squared error (MSE, lower is better) and the [stratum-adjusted correlation](../../book/glossary.md#stratum-adjusted-correlation-scc) (SCC, higher is better), a mean of the correlations at each distance ([Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)).


# %%
def draw(kind, n_cells, draw_seed):
    """Counts of a window of 128 bins of a pseudo-bulk."""
    here = {"seed": draw_seed, "chroms": [chrom]}
    counts = organism.sample_contacts(kind, n_cells=n_cells, **here)[chrom]
    return counts[first:last, first:last].astype(float)


sample, partners = draw(kind, 200, seed + 1), {}
depth = int(np.triu(sample).sum())
for name, each in (("beta", kind), ("stem", "stem")):
    deep = draw(each, 1600, seed + 2)
    thinned = downsample(deep, n_contacts=depth, seed=seed)
    partners |= {f"{name}, 8 × as deep": deep, f"{name}, thinned": thinned}

# %% tags=["hide-input"]
one_scale = normalise_depth(sample)
compared = pd.DataFrame({
    name: {
        "contacts": np.triu(other).sum(),
        "MSE, counts": mse(sample, other),
        "MSE, scaled × 10⁴": 1e4 * mse(one_scale, normalise_depth(other)),
        "SCC": stratum_adjusted_correlation(sample, other),
    }
    for name, other in partners.items()
}).T.astype(float)  # fmt: skip
table(compared.astype({"contacts": int}))

# %% tags=["hide-input"]
same_deep, same_thin, other_deep, other_thin = compared.index
counts, scaled, scc = (compared[c] for c in ("MSE, counts", "MSE, scaled × 10⁴", "SCC"))
claim(
    "In counts depth is everything: the same cell type eight times as deep has"
    f" {counts[same_deep] / counts[other_thin]:,.0f} times the error of stem cells of equal depth. Scaling removes the"
    " level but not the noise, and now deep maps win: stem cells measured deeply are nearer than beta cells of"
    " equal depth. The SCC makes the same mistake. Between two partners of one depth, both deep or both thinned, the same"
    " cell type is nearer.",
    counts[same_deep] > 3 * counts[other_thin],
    scaled[other_deep] < scaled[same_thin],
    scc[other_deep] > scc[same_thin],
    scaled[same_deep] < scaled[other_deep] and scaled[same_thin] < scaled[other_thin],
    scc[same_deep] > scc[other_deep] and scc[same_thin] > scc[other_thin],
)

# %% [markdown]
# So compare at equal depth: `downsample` keeps or loses each contact by chance, as a shallower experiment would have done. Thin counts, never balanced values,
# and thin before you normalise. A table of scores that puts cell types of many cells beside cell types of few partly ranks their numbers of cells.
#
# ## Real cells, without a truth
#
# For 400 cells of human prefrontal cortex (two donors, bins of 1 Mb; data set `lee2019` of [the data page](../../book/data.md)) nobody knows the truth. Another
# donor takes its place. The SCC of 1 to 64 oligodendrocytes (ODC) of one donor with the oligodendrocytes of the *other* says how well they are
# measured: a ceiling. The SCC with other cell types of that other donor is what a wrong answer gets: a floor.

# %%
maps = load("lee2019")
kinds = maps.obs["cell_type"].astype(str)
names = kinds.str.cat(maps.obs["donor"], sep=" ")
groups = {name: list(names.index[names == name]) for name in names.unique()}
steps = {n: f"{n} ODC" for n in (1, 4, 16, 64)}
fewer = {name: groups["ODC 29yr"][:n] for n, name in steps.items()}
real = maps.pseudobulk(groups | fewer)

# %% tags=["hide-input"] caption="Agreement of 1 to 64 oligodendrocytes of one donor with pseudo-bulks of the other donor, of the same type and of three others: mean SCC of the autosomes over 1 to 19 Mb. Even 64 cells have not levelled off. A wrong cell type reaches most of the SCC of the right one." alt="Four rising curves on a logarithmic axis. The curve of oligodendrocytes is highest, those of astrocytes, microglia and interneurons run below it in parallel." name="fig-donors"
others = {"ODC": "same type", "Astro": "astrocytes", "MG": "microglia", "Sst": "interneurons"}
agreed = {name: np.zeros(len(steps)) for name in others}
autosomes = [f"chr{number}" for number in range(1, 23)]
for autosome in autosomes:
    few = [real.matrix(step, autosome).astype(float) for step in steps.values()]
    for name in others:
        whole = real.matrix(f"{name} 21yr", autosome).astype(float)
        scores = [stratum_adjusted_correlation(each, whole, max_distance=19) for each in few]
        agreed[name] += np.array(scores) / len(autosomes)
fig, ax = plt.subplots(figsize=(5.4, 3.6))
for color, (name, label) in zip([ORANGE, BLUE, GREEN, GREY], others.items(), strict=True):
    ax.plot(list(steps), agreed[name], "o-", color=color, label=label, ms=4)
ax.set(xscale="log", xlabel="oligodendrocytes of one donor", ylabel="SCC with the other donor")
ax.set_xticks(list(steps), [str(n) for n in steps])
ax.minorticks_off()
ax.legend(fontsize="small")
plt.show()

# %% tags=["hide-input"]
wrong = np.max([agreed[name] for name in others if name != "ODC"], axis=0)
pixels = real.pixels("ODC 29yr")
itself = pixels.loc[pixels["bin1_id"] == pixels["bin2_id"], "count"].sum() / pixels["count"].sum()
spread = maps.obs["depth"].max() / maps.obs["depth"].min()
claim(
    f"With 64 cells the same type reaches {agreed['ODC'][-1]:.2f} and the best of the wrong types {wrong[-1]:.2f}; with one"
    f" cell they reach {agreed['ODC'][0]:.2f} and {wrong[0]:.2f}. Depth per cell varies {spread:.0f}-fold, so the deepest cells dominate"
    f" a sum. And {itself:.0%} of the contacts lie on the main diagonal: in bins of 1 Mb most pairs fall into one bin. A loss"
    " or a score that keeps them measures little else.",
    agreed["ODC"][-1] > wrong[-1] + 0.02,
    agreed["ODC"][-1] > agreed["ODC"][-2] + 0.01,
    spread > 3,
    itself > 0.5,
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>You have 600 cells of one tissue. Twelve cell types or three?</summary>
#
# That depends on the question. For compartments, 50 cells of each of twelve types may do; for single pixels not even 200 of each of three.
#
# </details>
#
# <details><summary>A prediction agrees better with the target of type A than of type B. Does the model know A better?</summary>
#
# Not necessarily: A may have more cells. Thin both targets to one depth and compare again.
#
# </details>
#
# <details><summary>Why is another donor a better ceiling than the second half of the same cells?</summary>
#
# Two halves of one donor's cells share everything that is particular to the donor and the experiment, so they agree better than two independent measurements
# of the cell type.
#
# </details>

# %% [markdown]
# ## Key points
#
# - How many cells a pseudo-bulk needs depends on the question: few for insulation and compartments, many for O/E in
#   single pixels.
# - Normalised maps of unequal depth still have unequal noise. Thin them to equal depth before you compare.
# - Without a truth, another donor gives a ceiling, and other cell types give a floor.
#
# ## Exercises
#
# > **Exercise** Repeat the depth comparison with 50 cells and 400 in place of 200 and 1,600. Is the same cell type
# > still nearer at equal depth?
#
# <details><summary>Solution</summary>
#
# Call `draw(kind, 50, seed + 1)` and `draw(each, 400, seed + 2)` and set `depth` anew. With so few cells the depth of the partner decides nearly all of the
# error, and at equal depth the order of the cell types depends on the draw: try several values for `draw_seed`. A comparison of cell types needs enough cells
# of *both*.
#
# </details>
#
# > **Exercise** Take the pixels within 20 bins of the diagonal. From how many cells on are fewer than half of them empty? Give the smallest
# > such number in `sums`. Would it be the same for the whole map?

# %% tags=["solution"]
### BEGIN SOLUTION
i, j = np.triu_indices(n_bins)
near = j - i <= 20
full = [n for n, m in sums.items() if np.mean(m[i, j][near] == 0) < 0.5]
answer = min(full)
### END SOLUTION
checks.cells_for_half(answer, sums, 20)

# %% [markdown]
# ## Further reading
#
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): reproducibility and depth of contact maps.
