# %% [markdown]
# # Counts of single cells
#
# What a bulk measurement hides, and how to read the depth and the zeros of a count matrix.
#
# > **Learning goals**
# > - [say what a bulk measurement hides](#what-a-bulk-measurement-hides), and show it on one gene;
# > - [open an AnnData object and find out which numbers its matrix holds](#which-numbers-are-in-the-matrix);
# > - [read depth and zeros](#zeros), and tell how many zeros counting alone explains.
# >
# > **Before**: nothing but Python and a little statistics.
# >
# > **Time**: 14 min to read, 1 min to run.

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

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, ORANGE, PALETTE, RED, book_style

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)
    import scanpy as sc

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## What a bulk measurement hides
#
# A bulk measurement grinds up a tissue and reports one number per gene: the mean over all cells. A
# bulk contact map is such a mean too: [Contact maps](contact_maps.ipynb) is about those.
#
# ![A table of three cell types, drawn as five circles, three triangles and two squares: 50, 30 and 20 percent of the cells. One gene has 0, 4 and 20 counts in them, drawn as bars. Their contact maps have domains with different borders. A last row, below a line, is the bulk: all ten cells together, 5.2 counts of the gene, and a blurred contact map in which no border is sharp.](../../book/_static/diagrams/bulk_mixture.svg)
#
# *A bulk measurement is the mean over cell types, weighted by their shares: no cell has 5.2 counts of this gene, and no cell has this contact map.*
#
# The data set below holds single cells instead: 700 of the 68,000 peripheral blood cells of
# [Zheng et al. 2017](https://doi.org/10.1038/ncomms14049). It comes with
# [scanpy](https://doi.org/10.1186/s13059-017-1382-0), so this part of the page runs without a
# download.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # an old format, which scanpy reads
    blood = sc.datasets.pbmc68k_reduced()
blood

# %% [markdown]
# This is an [AnnData](https://doi.org/10.21105/joss.04371) object: a matrix `X` of cells by genes,
# a table `obs` with a row for each cell, a table `var` with a row for each gene, and slots for
# everything else, aligned with cells or genes (`obsm`, `varm`, `obsp`) or not (`uns`).
#
# Take the gene *CD79A*, part of the B-cell receptor. A bulk measurement would report the mean of
# its counts over all cells; the logarithm, which the file holds, comes after that mean. The labels
# of the cells name the sorted blood cells, themselves measured in bulk, that each cell is most like.

# %%
gene = "CD79A"
expression = blood.raw[:, gene].X.toarray().ravel()
bulk = np.log1p(np.expm1(expression).mean())
is_b_cell = (blood.obs["bulk_labels"] == "CD19+ B").to_numpy()

# %% tags=["hide-input"] caption="Expression of *CD79A* in 700 blood cells, beside the mean that a bulk measurement would report. Most cells show none of it, and B cells a lot. Few cells are like the mean." alt="A histogram with a tall peak of other cells at zero, a few of them between 1 and 2.5, and a separate low hill of B cells between 2 and 4.5. A vertical line for the mean, at 1.6, stands where there are few cells." name="fig-bulk"
fig, ax = plt.subplots()
bins = np.linspace(0, 5, 41)
ax.hist(expression[~is_b_cell], bins, color=GREY, label="other cells")
ax.hist(expression[is_b_cell], bins, color=BLUE, alpha=0.8, label="B cells")
ax.axvline(bulk, color=RED, label="mean of all cells")
ax.set(xlabel=f"{gene}, log(1 + counts per 10,000)", ylabel="cells")
ax.set_yscale("log")
ax.legend()
plt.show()

# %% tags=["hide-input"]
near = np.abs(expression - bulk) < 0.25
off, per_10k = np.mean(expression == 0), np.expm1(expression)
claim(
    f"The mean is {per_10k.mean():.0f} counts per 10,000. {off:.0%} of the"
    f" cells have no count of {gene} at all, the cells labelled as B cells"
    f" have {per_10k[is_b_cell].mean():.0f} per 10,000 on average, and"
    f" {near.sum()} of the {len(near)} cells lie near the mean (within 0.25"
    " on the axis of the figure).",
    off > 0.7,
    per_10k[is_b_cell].mean() > 5 * per_10k.mean(),
    near.mean() < 0.05,
)

# %% [markdown]
# The mean of all cells also changes when nothing happens inside any cell: it rises with the number
# of B cells in the tube. A bulk measurement cannot tell *more cells of a kind* from *more
# expression in each cell*. Single cells can.
#
# ## Which numbers are in the matrix?
#
# The same AnnData layout can hold raw counts, logarithms or standardised values, and nothing in the
# file format says which. Look before you compute.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    raw = blood.raw.to_adata()
matrices = {"blood.X": blood.X, "blood.raw.X": raw.X.toarray()}
rows = {}
for name, m in matrices.items():
    rows[name] = [m.min(), m.max(), np.mean(m == np.rint(m))]
columns = ["smallest", "largest", "whole numbers"]
table(pd.DataFrame(rows, index=columns).T)

# %% [markdown]
# The last column is the share of entries that are whole numbers. `X` has none, and it has negative
# entries: each gene was standardised to mean 0 and variance 1, so a zero count is no longer a zero.
# Nearly all of those in `raw.X` are zeros. It holds $\log(1 + 10^4\, c / n)$, with $c$ the count
# of the gene and $n$ the total of the cell, which `obs["n_counts"]` still has. Undo both steps, and
# the counts come back.

# %%
total = blood.obs["n_counts"].to_numpy()
restored = np.expm1(raw.X.toarray()) * total[:, None] / 1e4
counts = np.rint(restored).astype(int)
gap = np.abs(restored - counts).max()
print(f"farthest from a whole number: {gap:.3f}")
counts[:4, :12]

# %% [markdown]
# > **Note** These are [UMI](../../book/glossary.md#umi) counts: molecules, not reads. Counts are small
# > whole numbers, most of them 0, 1 or 2, and methods that model counts start from here. The
# > models of this book take raw counts by default and normalise them internally, using training
# > cells only.
#
# ## Depth
#
# The total of a cell is its [depth](../../book/glossary.md#depth). It depends on how many
# molecules the cell has *and* on how many of them were caught and sequenced. Cells of equal depth
# can be compared directly; others only after a correction for depth.

# %% tags=["hide-input"] caption="Depth of the blood cells with the six commonest labels. It differs more than twofold between cells of one label, and its median differs between labels." alt="Box plots of total counts per cell for the six commonest labels on a logarithmic axis, from about 2,000 to 10,000 counts." name="fig-depth"
labels = blood.obs["bulk_labels"].value_counts().index[:6]
fig, ax = plt.subplots()
depths = [total[blood.obs["bulk_labels"] == label] for label in labels]
ax.boxplot(depths, orientation="horizontal", flierprops={"ms": 3})
ax.set_yticks(range(1, 7), labels)
ax.set(xlabel="counts per cell", xscale="log")
ticks = [2000, 3000, 5000, 9000]
ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
ax.minorticks_off()
ax.invert_yaxis()
plt.show()

# %% [markdown]
# ## Zeros
#
# Most entries of the matrix are zero. Is a zero a gene that is off, or a molecule that was missed?
# Start with what counting alone explains. If every cell had a gene at the same level and molecules
# were caught independently, its count in a cell of depth $n$ would be Poisson with mean
# $\mu=p\,n$, where $p$ is the gene's share of all molecules, and a share $e^{-\mu}$ of such cells would
# show a zero.

# %%
share = counts.sum(0) / total.sum()
expected = np.exp(-share[:, None] * total[None, :]).mean(1)
observed = (counts == 0).mean(0)
mean_count = counts.mean(0)

# %% tags=["hide-input"] caption="Share of cells with a zero against the mean count, one dot per gene. The line is what Poisson counting predicts if all cells have the gene at one level. Genes above the line vary more between cells than counting explains, most of all the markers in orange, of B cells (*CD79A*), killer cells (*NKG7*) and monocytes (*LYZ*)." alt="A scatter plot on a logarithmic x axis. Genes form a band that falls from near 1 to near 0 as their mean count grows; most lie on or above the Poisson curve, marker genes far above." name="fig-zeros"
order = np.argsort(mean_count)
fig, ax = plt.subplots()
ax.plot(mean_count, observed, ".", color=GREY, ms=4, label="genes")
ax.plot(mean_count[order], expected[order], color="black", label="Poisson")
for name in ["CD79A", "LYZ", "NKG7"]:
    i = raw.var_names.get_loc(name)
    ax.plot(mean_count[i], observed[i], "o", color=ORANGE)
    ax.text(mean_count[i] * 1.15, observed[i] + 0.02, name)
ax.set(xlabel="mean count per cell", ylabel="share of cells with a zero")
ax.set_xscale("log")
ax.legend()
plt.show()

# %% tags=["hide-input"]
zeros, above = np.mean(counts == 0), np.mean(observed > expected + 0.05)
claim(
    f"{zeros:.0%} of the entries are zero; Poisson counting of one common"
    f" level explains {expected.mean():.0%}. The genes in this file were"
    f" chosen because they vary between cell types: for {above:.0%} of"
    " them the share of zeros is more than five points above the line,"
    " because the gene is off in some cells and on in others.",
    zeros > expected.mean() > 0.5,
    above > 0.1,
)

# %% [markdown]
# No extra process that deletes molecules is needed for such data: counts from droplets are not
# zero-inflated once the level is allowed to differ between cells ([Svensson
# 2020](https://doi.org/10.1038/s41587-019-0379-5)). It helps to keep two models apart: one of how
# molecules are measured, and one of how expression varies ([Sarkar and Stephens
# 2021](https://doi.org/10.1038/s41588-021-00873-4)).
#
# ## A time course
#
# Now a series of snapshots: mouse embryonic stem cells under retinoic acid ([Semrau et al.
# 2017](https://doi.org/10.1038/s41467-017-01076-4)), 41 genes, nine times. It is fetched on first
# use; its entry on [the data page](../../book/data.md) lists its source, its terms and its known
# traps.

# %%
from scstlib.datasets import load

series = load("semrau2017")
series

# %% tags=["hide-input"]
sizes = series.obs.groupby("time").size()
sizes.index = [f"{hour:.0f}" for hour in sizes.index]
table(sizes.rename_axis("hours").to_frame("cells"))

# %% [markdown]
# `obs["time"]` is a real number in the unit that `uns["time_unit"]` names. Cells of different
# times are different cells: each was destroyed when it was measured.

# %% tags=["hide-input"] caption="*Left*: mean count of *Sparc* at each time. *Right*: share of cells that have at least ten molecules of it. Both rise together: the mean grows because more and more cells turn the gene on strongly, not because all cells rise a little." alt="Two line charts over 96 hours. Both stay near zero up to 48 hours, rise slowly until 72 hours and steeply until 96 hours." name="fig-series"
values = series.to_df()
hours = series.obs["time"]
sparc = values["Sparc"]
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.6), sharex=True)
axes[0].plot(sparc.groupby(hours).mean(), "o-", color=BLUE)
axes[0].set(xlabel="hours", ylabel="mean count of Sparc")
axes[1].plot((sparc >= 10).groupby(hours).mean(), "o-", color=ORANGE)
axes[1].set(xlabel="hours", ylabel="cells with 10 or more")
axes[1].yaxis.set_major_formatter("{x:.0%}")
plt.show()

# %% tags=["hide-input"] caption="Variance against mean of each gene, over the cells of one time, for all nine times. Poisson counts, with a variance equal to their mean, would lie on the solid line; the dashed curve is a negative binomial with one dispersion for all genes." alt="A scatter plot on logarithmic axes. At low means the dots lie near the line of equal mean and variance; at high means they rise above it, along a dashed curve." name="fig-variance"
fig, ax = plt.subplots()
means, variances = values.groupby(hours).mean(), values.groupby(hours).var()
for color, time in zip([*PALETTE, "black"], means.index, strict=True):
    dots = ax.plot(means.loc[time], variances.loc[time], ".", ms=5)[0]
    dots.set(color=color, label=f"{time:.0f} h")
mu = np.geomspace(3e-3, 40, 100)
m, v = means.to_numpy(), variances.to_numpy()
both = (m > 0.05) & (v > 0)
dispersion = np.median((v - m)[both] / m[both] ** 2)
ax.plot(mu, mu, color="black", lw=1)
ax.plot(mu, mu + dispersion * mu**2, "--", color="black", lw=1)
ax.set(xlabel="mean count", ylabel="variance", xscale="log", yscale="log")
ax.legend(ncols=2, fontsize="small")
plt.show()

# %% tags=["hide-input"]
zeros = np.mean(values.to_numpy() == 0)
claim(
    f"The dashed curve is mean + {dispersion:.1f} × mean², where the factor"
    f" is the median over genes and times. {zeros:.0%} of the entries are"
    " zero, although the genes of this panel were chosen for this process.",
    dispersion > 0.2,
    zeros > 0.3,
)

# %% [markdown]
# At low means counting noise dominates, at high means the differences between cells. A model of such
# counts needs both terms, which is why the negative binomial is the usual choice for them.
#
# ## Check yourself
#
# <details><summary>A bulk measurement of a gene doubles. What may have happened in the cells?</summary>
# Every cell may express twice as much, or twice as many cells may express it. The mean cannot
# tell which.
# </details>
# <details><summary>A matrix has negative entries. Can it hold counts or logarithms of counts?</summary>
# No: log(1 + x) of a count is 0 or more. It was standardised or is a residual, and a zero count is
# no longer a zero.
# </details>
# <details><summary>A gene has no count in a cell. Is it off?</summary>
# Not necessarily. With a mean of 0.1 molecules, counting alone leaves 90% zeros. Ask how many
# zeros are expected at this mean and depth.
# </details>

# %% [markdown]
# ## Key points
#
# - A mean over cells mixes how many cells of a kind there are with what each of them expresses.
# - Ask of every matrix: counts, logarithms or standardised values? Which total was divided out?
# - Depth is partly technical and partly biological.
# - Most zeros come from counting few molecules; the surplus comes from differences between cells.
#
# ## Exercises
#
# > **Exercise** Draw *LYZ* in place of *CD79A* in the histogram of cells, with monocytes and dendritic
# > cells in colour. Would you call this gene on or off in a cell?
#
# <details><summary>Solution</summary>
#
# Set `gene = "LYZ"` and `is_b_cell = blood.obs["bulk_labels"].isin(["CD14+ Monocyte",
# "Dendritic"]).to_numpy()`. There are two hills again, but the high one is broad: "on" is not one
# level, and the two cell types differ. A threshold would throw that away.
#
# </details>
#
# > **Exercise** Halve the depth of every cell of `counts`, as half the sequencing would: each molecule
# > is kept or lost by chance. What happens to the share of zeros?

# %% tags=["solution"]
### BEGIN SOLUTION
answer = np.random.default_rng(seed).binomial(counts, 0.5)
### END SOLUTION
checks.depth_halved(answer, counts)

# %% [markdown]
# > **Exercise** Among the genes of the series with a mean count above 1 at 96 h, which has the largest
# > share of zeros? What does that say about the cells?
#
# <details><summary>Solution</summary>
#
# `late = values[hours == 96]`, then `(late == 0).mean()[late.mean() > 1].sort_values()`. The last
# entry is a gene that few cells express strongly: the population at 96 h holds more than one kind
# of cell.
#
# </details>
#
# ## Further reading
#
# - [Heumos et al. 2023](https://doi.org/10.1038/s41576-023-00586-w): best practice for single-cell
#   analysis.
# - [Jiang et al. 2022](https://doi.org/10.1186/s13059-022-02601-5): zeros depend on protocol and
#   definition.
# - [Townes et al. 2019](https://doi.org/10.1186/s13059-019-1861-6): what logarithms of normalised
#   counts do to zeros.
