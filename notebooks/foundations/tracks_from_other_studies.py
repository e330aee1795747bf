# %% [markdown]
# # Tracks from other studies
#
# Expression of one study beside the contact maps of another, and coordinates that are silently wrong.
#
# > **Learning goals**
# > - [make tracks for contact maps from the expression of another study](#where-does-the-expression-come-from);
# > - [find out what a warning about lost genes costs](#where-does-the-expression-come-from);
# > - [check the coordinates of a file before you believe them](#half-a-bin).
# >
# > **Before**: [From single cells to windows](cells_to_windows.ipynb).
# >
# > **Time**: 9 min to read, 1 min to run; the first run also unpacks 400 single cells (1 min).

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
from scstlib.datasets import load
from scstlib.metrics.contacts import compartment_eigenvector
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREEN, ORANGE, PURPLE, book_style
from scstlib.preprocess.contacts import window_starts
from scstlib.preprocess.tracks import expression_tracks, interval_track, peak_tracks

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## Where does the expression come from?
#
# Your contact maps come from one study, without expression. Another study measured expression of the same tissue, and a
# third provides CpG content or binding sites. Nothing in these files says that they belong together. Names of genes, the
# assembly, the meaning of a column, and the labels of cell types all have to match, and most mistakes raise no error.
#
# Contact maps of human cortex (`lee2019` of [the data page](../../book/data.md), bins of 1 Mb) are such a case. Their
# [guide](../../book/glossary.md#guide), the expression that tells a model the cell type, is from another study: single-cell RNA sequencing of cortex
# (`darmanis2015`), of other people and other cells. Its genes are named by symbol and get their places from `annotation_hg19`. Both
# studies name their cell types differently, so the first lines match them by hand.

# %%
maps, rna = load("lee2019"), load("darmanis2015")
annotation = load("annotation_hg19").set_index("gene")
real_bins = maps.bins[["chrom", "start", "end"]]
kinds = {"oligo": "ODC", "astro": "Astro"}
kinds |= {"microglia": "MG", "neuro": "Sst"}
labels = rna.obs["cell_type"]
sums = {
    ours: np.ravel(rna.X[(labels == theirs).to_numpy()].sum(axis=0))
    for theirs, ours in kinds.items()
}  # fmt: skip
expression = pd.DataFrame(sums, index=rna.var_names)
expression = expression / expression.sum() * 1e4  # counts per 10,000
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    real_tracks = expression_tracks(expression, annotation, real_bins)
print("warning:", caught[0].message)

# %% tags=["hide-input"]
lost = expression.loc[~expression.index.isin(annotation.index), "ODC"].sum() / 1e4
n_microglia = (rna.obs["cell_type"] == "microglia").sum()
claim(
    f"The genes without a place carry {lost:.0%} of the expression of oligodendrocytes. The warning is worth a look each time:"
    " a renamed symbol is a gene lost, and a wrong assembly puts every gene somewhere else without any warning.\n\nThere are only"
    f" {n_microglia} microglia, and `neuro` are all neurons, of which the interneurons of the maps (Sst) are one kind:"
    " a guide is only as good as its labels.",
    0.01 < lost < 0.5,
    n_microglia < 50,
)

# %% [markdown]
# CTCF peaks of a line of blood cells (lymphoblastoid) are available too (`ctcf_gm12878_hg19`). They have no strand, and they say
# where CTCF can bind, not where it does in cortex.
#
# ## Half a bin
#
# The CpG file lists positions. They look like starts of bins, but they are the *middles* (its [manifest](../../book/data.md)
# says how that was found). The loader returns the true intervals, half a bin off the grid of the maps, and `interval_track`
# averages them by overlap. Reading positions as starts raises no error at all:

# %%
cpg = load("cpg_tracks")
cpg = cpg.query("assembly == 'hg19' and bin_size == 1_000_000")
half_bin = cpg[["start", "end"]] + 500_000
files = {"by overlap": cpg, "read as starts": cpg.assign(**half_bin)}
read = {
    name: interval_track(file, real_bins, value="cpg")[:, 0]
    for name, file in files.items()
}  # fmt: skip

# %% tags=["hide-input"] caption="Chromosome 2: compartment score of oligodendrocytes (positive is A), CpG content, and log expression of oligodendrocytes on the + strand (up) and the − strand (down). CpG and expression are high in many A blocks." alt="Three rows along 243 Mb: blocks of orange and blue for the compartments, a jagged CpG curve, and bars of expression up and down, denser where the compartment score is positive." name="fig-guides"
odc = maps.pseudobulk({"ODC": list(maps.obs.index[maps.obs["cell_type"] == "ODC"])})
counts = odc.matrix("ODC", "chr2").astype(float)
empty = (counts.sum(axis=0) - np.diag(counts)) == 0
counts[empty], counts[:, empty] = np.nan, np.nan
on_2 = (real_bins["chrom"] == "chr2").to_numpy()
content = read["by overlap"][on_2]
score = np.nan_to_num(compartment_eigenvector(counts, content, ignore_diags=1))
position = real_bins.loc[on_2, "start"].to_numpy() / 1e6 + 0.5
strands = np.log1p(real_tracks["ODC"][on_2])
fig, axes = plt.subplots(3, 1, figsize=(5.4, 4.2), sharex=True)
axes[0].bar(position, np.maximum(score, 0), width=1, color=ORANGE)
axes[0].bar(position, np.minimum(score, 0), width=1, color=BLUE)
axes[0].set_ylabel("compartment\nscore")
axes[1].plot(position, 100 * np.where(content > 0, content, np.nan), color=PURPLE, lw=1)
axes[1].set_ylabel("CpG (%)")
axes[2].bar(position, strands[:, 0], width=1, color=GREEN)
axes[2].bar(position, -strands[:, 1], width=1, color=GREEN, alpha=0.6)
axes[2].set(ylabel="expression\n(log)", xlabel="position on chromosome 2 (Mb)")
plt.show()

# %% tags=["hide-input"]
both = (read["by overlap"] > 0) & (read["read as starts"] > 0)
starts = annotation.assign(start=annotation["tss"], end=annotation["tss"] + 1)
n_genes = peak_tracks(starts.drop(columns="strand"), real_bins)[:, 0]
r = {name: np.corrcoef(values[both], n_genes[both])[0, 1] for name, values in read.items()}
sizes = {size: len(window_starts(int(on_2.sum()), size, size // 4)) for size in (128, 32)}
claim(
    f"The number of genes of a bin has a correlation of {r['by overlap']:.2f} with its CpG content, and still of"
    f" {r['read as starts']:.2f} when positions are read as starts: little is lost, and no error is raised.\n\nThe size of a bin"
    f" decides the size of a window, too. A window of 128 bins is 128 Mb here: even chromosome 2 has room for only {sizes[128]} of"
    f" them, a quarter of a window apart, but for {sizes[32]} of 32 bins. Chromosomes shorter than a window give none.",
    r["by overlap"] > r["read as starts"] + 0.02,
    r["read as starts"] > 0.2,
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>How would you notice that a gene annotation belongs to the wrong assembly?</summary>
#
# Not by an error. Look at tracks and a map of the same place together, and at the correlation with a track that must agree,
# such as CpG content with the number of genes.
#
# </details>
#
# <details><summary>Expression and maps come from different people. What does that limit?</summary>
#
# What is particular to one person cannot be predicted from the other. What differs between cell types in all people can.
#
# </details>
#
# <details><summary>Why does a shift of half a bin hardly change the correlation?</summary>
#
# CpG content changes slowly along the genome, so a bin and its neighbour are alike. Sharp tracks, such as CTCF, lose more.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Names, assembly and labels of two studies have to be matched by hand. A lost gene raises a warning, a shifted one does not.
# - Check the coordinates of every file against a track that must agree with it: half a bin raises no error.
# - A guide is only as good as its labels.
#
# ## Exercises
#
# > **Exercise** Move the CpG track by five bins instead of half a bin. How far must a track be off before its correlation with
# > the number of genes shows it?
#
# <details><summary>Solution</summary>
#
# Add `5_000_000` in place of `500_000`; then try 1, 2 and 3 Mb. CpG content changes slowly along the genome, so a shift of
# one bin costs only some of the correlation: no summary number warns of it. Plot both tracks, one above the other, to see it.
#
# </details>
#
# > **Exercise** `expression_tracks` warns about genes without a place. Which ten of them have the highest expression in
# > oligodendrocytes (`odc`)? Look up their names: what became of these genes?

# %% tags=["solution"]
odc, placed = expression["ODC"], annotation.index
### BEGIN SOLUTION
answer = odc[~odc.index.isin(placed)].nlargest(10)
print(*answer.index)
### END SOLUTION
checks.genes_without_place(answer, odc, placed)

# %% [markdown]
# ## Further reading
#
# - [The data](../../book/data.md): who measured `lee2019` and `darmanis2015`, and how.
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): tracks and maps of co-assayed cells.
