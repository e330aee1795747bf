# %% [markdown]
# # Contact maps
#
# Balancing, distance decay, compartments and insulation on real maps.
#
# > **Learning goals**
# > - open a cooler, and say what one pixel counts;
# > - balance a map, see what the weights correct and which bins they mask;
# > - read distance decay, compartments and insulation off real maps with cooler and cooltools.
# >
# > **Before**: [Counts of single cells](counts_of_single_cells.ipynb).
# >
# > **Time**: 30 min to read, 1 min to run.

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
import logging
import tempfile
import warnings
from pathlib import Path

import cooler
import cooltools
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from scstlib.datasets import load
from scstlib.metrics.compartments import cis_eigenvectors
from scstlib.plots import BLUE, GREY, ORANGE, book_style, contact_map
from scstlib.preprocess.tracks import interval_track

plt.rcParams.update(book_style())
# cooltools reports each step; both use parts of pandas that newer versions announce to change.
logging.disable(logging.INFO)
warnings.simplefilter("ignore", FutureWarning)
warnings.simplefilter("ignore", DeprecationWarning)

# %% [markdown]
# ## What a pixel counts
#
# Hi-C cuts the genome inside fixed nuclei, joins ends that lie near each other in space and
# sequences the joints. Each joint names two places of the genome that touched
# ([Lieberman-Aiden et al. 2009](https://doi.org/10.1126/science.1181369)). Count the joints between
# bins of equal size and you have a contact map: `count[i, j]` joints between bin *i* and bin *j*.
#
# [cooler](https://doi.org/10.1093/bioinformatics/btz540) stores such a map as two tables. `bins`
# says where each bin lies; `pixels` lists the pairs that were seen, upper triangle only. The first
# example is yeast at 10 kb.

# %%
yeast = load("cooler_examples")["yeast_10kb"].cooler("yeast.10kb")
print(
    f"{yeast.info['nbins']:,} bins, {yeast.info['nnz']:,} pixels on {len(yeast.chromnames)} chromosomes"
)
yeast.bins()[300:303]

# %%
yeast.pixels()[5000:5003]

# %% [markdown]
# ## Balancing
#
# Not all bins are equally visible. Some hold more cut sites, some sequence better, some cannot be
# mapped at all. *Balancing* ([Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148)) assumes that
# this visibility is one factor a bin, and looks for weights $w$ with which every row of
# $w_i\, c_{ij}\, w_j$ has the same sum. Bins with too few counts to estimate a weight get none: they
# are masked (NaN), and stay so in everything that follows.

# %%
weights, status = cooler.balance_cooler(yeast, ignore_diags=2, mad_max=5)
print(
    f"converged: {bool(status['converged'])}, masked bins: {np.isnan(weights).sum()} of {len(weights)}"
)

# %% caption="Yeast chromosome IV, counts (left) and balanced (right). White rows are masked bins. Stripes of weak and strong bins on the left are gone on the right; the band along the diagonal and its fading with distance stay." alt="Two square heat maps of chromosome IV with a dark diagonal. The left one has light and dark stripes, the right one is smooth with a few white lines." name="fig-balance"
chrom = "chrIV"
raw = yeast.matrix(balance=False).fetch(chrom).astype(float)
w = weights[slice(*yeast.extent(chrom))]
balanced = raw * w[:, None] * w[None, :]
end = yeast.chromsizes[chrom]
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.4))
contact_map(axes[0], raw, start=0, end=end, label="contacts")
contact_map(axes[1], balanced, start=0, end=end, label="balanced contacts")
plt.show()

# %% tags=["hide-input"]
kept = np.isfinite(w)
near_diagonal = np.abs(np.subtract.outer(np.arange(len(w)), np.arange(len(w)))) < 2
spread = {
    name: np.std(rows) / np.mean(rows)
    for name, rows in {
        "counts": np.where(near_diagonal, 0, raw)[kept].sum(1),
        "balanced": np.nansum(np.where(near_diagonal, 0, balanced), axis=1)[kept],
    }.items()
}
Markdown(
    f"Within {chrom} the row sums of the kept bins vary by {spread['counts']:.0%} of their mean before"
    f" balancing and by {spread['balanced']:.0%} after it. The rest is not an error: the weights even"
    " out the sums over the whole genome, and contacts with other chromosomes are part of them."
)

# %% [markdown]
# > **Warning** Balancing divides by visibility, whatever its cause. A bin that is weak because
# > it was deleted in these cells is lifted like one that maps badly. And a map of few counts has no
# > weights worth the name: sum cells or widen bins first.
#
# ## Contacts fall with distance
#
# Two neighbours on the chain meet often whatever the cell does. The mean over all pairs at a
# distance *s*, $P(s)$, is the strongest signal in any contact map, and a model that has learned
# nothing else already looks good. The maps from here on are mouse chromosome 19 at 100 kb in
# embryonic stem cells (ES) and in cortical neurons (CN) grown from them
# ([Bonev et al. 2017](https://doi.org/10.1016/j.cell.2017.09.043)).

# %%
maps = load("bonev2017_chr19")
names = {"ES": "stem cells", "CN": "neurons"}
folder = Path(tempfile.mkdtemp())
samples = {}
for name in names:  # Weights are written into a copy: the cached file stays as it was fetched.
    copy = str(folder / f"{name}.cool")
    cooler.fileops.cp(maps.uri(name), copy)
    samples[name] = cooler.Cooler(copy)
    _, status = cooler.balance_cooler(samples[name], cis_only=True, store=True)
    print(
        f"{name}: {samples[name].info['sum']:,} contacts, converged: {bool(status['converged'][0])}"
    )
pd.DataFrame(
    {"bins": [len(maps.bins)], "bin size (bp)": [maps.bin_size], "assembly": [maps.assembly]}
)

# %% caption="$P(s)$ of chromosome 19, mean balanced contacts by distance, and the straight line fitted from 100 kb to 10 Mb. Beside stem cells, neurons have fewer contacts at 100 kb, more around 1 Mb and fewer beyond 10 Mb." alt="Two falling curves on double logarithmic axes, one for stem cells and one for neurons, nearly parallel, each with a dotted straight line through it." name="fig-decay"
decay = {n: cooltools.expected_cis(c, ignore_diags=1, nproc=1) for n, c in samples.items()}
slopes = {}
fig, ax = plt.subplots()
for color, (name, table) in zip([BLUE, ORANGE], decay.items(), strict=True):
    s, p = table["dist_bp"].to_numpy(), table["balanced.avg.smoothed"].to_numpy()
    ax.plot(s[1:], p[1:], color=color, label=names[name])
    fitted = (s >= 1e5) & (s <= 1e7)
    slope, intercept = np.polyfit(np.log10(s[fitted]), np.log10(p[fitted]), 1)
    slopes[name] = slope
    ax.plot(s[fitted], 10**intercept * s[fitted] ** slope, ":", color=color)
ax.set(xscale="log", yscale="log", xlabel="distance (bp)", ylabel="mean balanced contacts")
ax.legend()
plt.show()

# %% tags=["hide-input"]
Markdown(
    "Slope between 100 kb and 10 Mb on double logarithmic axes: "
    + ", ".join(f"{value:.2f} in {names[name]}" for name, value in slopes.items())
    + "."
)

# %% [markdown]
# A slope near $-1$ is what Hi-C of mammalian cells has shown from the start
# ([Lieberman-Aiden et al. 2009](https://doi.org/10.1126/science.1181369)).
#
# Dividing each pixel by the mean at its distance gives *observed over expected* (O/E): what is left
# when the chain has been taken out.

# %% caption="Observed over expected contacts, log2, on chromosome 19. Red pairs meet more often than their distance suggests. The checkerboard is the compartments; it has other squares in neurons than in stem cells." alt="Two square heat maps in red and blue with a plaid pattern. The plaid differs between stem cells and neurons." name="fig-oe"
oe = {}
for name, sample in samples.items():
    matrix = sample.matrix(balance=True).fetch("chr19")
    expected = decay[name].set_index("dist")["balanced.avg.smoothed"].to_numpy()
    distance = np.abs(np.subtract.outer(np.arange(len(matrix)), np.arange(len(matrix))))
    oe[name] = np.where(matrix > 0, matrix, np.nan) / expected[distance]
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.4))
for ax, name in zip(axes, names, strict=True):
    contact_map(
        ax, np.log2(oe[name]), start=0, end=maps.chromsizes["chr19"], log=False,
        limits=(-1.5, 1.5), label="log2 observed/expected",
    )  # fmt: skip
    ax.set_title(names[name])
plt.show()

# %% [markdown]
# ## Compartments
#
# The checkerboard says that bins come in two kinds, A and B, and that each kind prefers its own. An
# eigenvector of the O/E map gives each bin a number for it: its *compartment score*. Two things are
# left open by the algebra. An eigenvector has no sign of its own; by convention A is the side with
# more genes or GC. And the *first* eigenvector is the largest pattern of the map, which need not be the
# compartments: on a single chromosome a slow drift along it can be larger. A track that goes with
# compartments settles both. Here it is the CpG content of the bins. (That track stands on bins shifted
# by half a bin, a trap that its manifest names, so it is averaged by overlap.) `cis_eigenvectors`
# gives what `cooltools.eigs_cis` gives, but the same digits at every call.

# %%
cpg = load("cpg_tracks")
cpg = cpg[(cpg["assembly"] == "mm10") & (cpg["bin_size"] == 100_000)]
track = maps.bins[["chrom", "start", "end"]]
track = track.assign(cpg=interval_track(cpg, track, value="cpg"))
vectors = {}
for name, sample in samples.items():
    matrix = sample.matrix(balance=True).fetch("chr19")
    found = cis_eigenvectors(matrix, 3, track["cpg"].to_numpy())[1]
    vectors[name] = pd.DataFrame(found.T, columns=["E1", "E2", "E3"])
with_cpg = pd.DataFrame({
    names[n]: {e: v[e].corr(track["cpg"], method="spearman") for e in ["E1", "E2", "E3"]}
    for n, v in vectors.items()
})  # fmt: skip
with_cpg.round(2)

# %%
chosen = {n: with_cpg[names[n]].idxmax() for n in names}
scores = {n: vectors[n][chosen[n]] for n in names}
print("chosen:", {names[n]: e for n, e in chosen.items()})
for vector in ["E1", "E2", "E3"]:
    agreement = scores["ES"].corr(vectors["CN"][vector])
    print(f"correlation of the stem-cell score with {vector} of neurons: {agreement:.2f}")

# %% [markdown]
# For the neurons the track picks the second eigenvector, and the stem cells agree: their score
# goes with the neurons' second eigenvector far better than with the first.

# %% caption="Compartment score along chromosome 19: positive is A. Stem cells and neurons agree over most of the chromosome and differ in blocks." alt="Two rows of filled curves along 61 Mb, orange above and blue below zero, alike in most places and of opposite sign in some blocks." name="fig-compartments"
position = maps.bins["start"].to_numpy() / 1e6
fig, axes = plt.subplots(2, 1, figsize=(5.4, 3.2), sharex=True, sharey=True)
for ax, name in zip(axes, names, strict=True):
    values = scores[name].fillna(0).to_numpy()
    ax.fill_between(position, values, where=values > 0, color=ORANGE, step="mid", lw=0)
    ax.fill_between(position, values, where=values < 0, color=BLUE, step="mid", lw=0)
    ax.set_ylabel(names[name])
axes[1].set_xlabel("position on chromosome 19 (Mb)")
fig.supylabel("compartment score (A above 0)")
plt.show()

# %% tags=["hide-input"]
both = scores["ES"].notna() & scores["CN"].notna()
switched = np.sign(scores["ES"][both]) != np.sign(scores["CN"][both])
Markdown(
    f"{switched.mean():.0%} of the {both.sum()} bins with a score in both change their compartment between"
    f" stem cells and neurons; with the first eigenvectors it would have been"
    f" {np.mean(np.sign(vectors['ES']['E1'][both]) != np.sign(vectors['CN']['E1'][both])):.0%}. The score of"
    f" stem cells and CpG content have a rank correlation of {with_cpg[names['ES']].max():.2f}, so a"
    " track that knows nothing of the cell type already predicts much of a compartment profile."
)

# %% [markdown]
# ## Insulation and domains
#
# Slide a square along the diagonal, with its corner between two bins, and average the contacts that
# cross that point. Where few cross, something insulates: a boundary between two domains
# ([Crane et al. 2015](https://doi.org/10.1038/nature14450)). The *insulation score* is the logarithm
# of that average over its median along the chromosome.

# %% caption="Insulation score with a square of 500 kb, 20 to 40 Mb of chromosome 19. Minima are boundaries; dots mark those that cooltools calls. Many boundaries are shared, their depths differ." alt="Two jagged curves over 20 Mb, mostly parallel, with dots at their minima; the neuron curve is deeper at several of them." name="fig-insulation"
window = 500_000
insulation = {n: cooltools.insulation(c, [window], nproc=1) for n, c in samples.items()}
fig, ax = plt.subplots(figsize=(5.4, 3.0))
for color, (name, table) in zip([BLUE, ORANGE], insulation.items(), strict=True):
    shown = table[(table["start"] >= 20e6) & (table["start"] < 40e6)]
    score = shown[f"log2_insulation_score_{window}"]
    called = shown[f"is_boundary_{window}"]
    ax.plot(shown["start"] / 1e6, score, color=color, lw=1.2, label=names[name])
    ax.plot(shown["start"][called] / 1e6, score[called], "o", color=color, ms=4)
ax.axhline(0, color=GREY, lw=0.8)
ax.set(xlabel="position on chromosome 19 (Mb)", ylabel="log2 insulation score")
ax.legend()
plt.show()

# %% tags=["hide-input"]
found = {n: set(np.flatnonzero(t[f"is_boundary_{window}"])) for n, t in insulation.items()}
shared = sum(any(abs(b - other) <= 1 for other in found["CN"]) for b in found["ES"])
profile_r = insulation["ES"][f"log2_insulation_score_{window}"].corr(
    insulation["CN"][f"log2_insulation_score_{window}"]
)
Markdown(
    f"{len(found['ES'])} boundaries are called in stem cells and {len(found['CN'])} in neurons;"
    f" {shared} of the first have one of the second within a bin. The two insulation profiles correlate"
    f" with r = {profile_r:.2f}: copying another cell type's map is a strong baseline, and"
    " what is *different* is the hard part."
)

# %% [markdown]
# ## Loops need smaller bins
#
# Pairs of CTCF sites that face each other often hold the two ends of a loop, a bright pixel away from
# the diagonal ([Rao et al. 2014](https://doi.org/10.1016/j.cell.2014.11.021)). At 100 kb a loop
# of a few hundred kb lies within a handful of pixels beside the diagonal and cannot be told from the
# decay; loops are called at 10 kb or finer, on maps with far more contacts than a group of single
# cells has. What can be asked of a map depends on its bin size and its depth.
#
# ## Key points
#
# - A pixel is a count of joints between two bins: it depends on depth, visibility and distance
#   before it depends on the cell type.
# - Balancing assumes one visibility factor a bin; masked bins stay masked in every later step.
# - $P(s)$ is shared by all cell types. A score that rewards it rewards a copy.
# - Compartments and insulation are mostly shared too. Judge a model by the differences.
#
# ## Exercises
#
# > **Exercise** Change `window` to 200 kb and to 1 Mb. How do the number of boundaries and the
# > agreement of the two cell types change?
#
# <details><summary>Solution</summary>
#
# With a larger square neighbouring boundaries merge and fewer are called; the agreement of the profiles
# hardly changes. A boundary count without its window is not a result.
#
# </details>
#
# > **Exercise** Compute the eigenvectors of the neurons with a phasing track of `-track["cpg"]`. What
# > changes, and what must not?
#
# <details><summary>Solution</summary>
#
# `cooltools.eigs_cis(samples["CN"], phasing_track=track.assign(cpg=-track["cpg"]), n_eigs=3)` gives the
# same profiles with the other sign. A comparison between cell types whose signs were set by
# different tracks would report switches that are not there.
#
# </details>
#
# > **Exercise** Add the third sample, `"NPC"` (neural progenitors, the stage in between), to `names`.
# > Is its compartment profile nearer to stem cells or to neurons?
#
# <details><summary>Solution</summary>
#
# Add `"NPC": "progenitors"` (and a third colour in the `zip` calls), run the page again, and compare
# the correlations of `scores["NPC"]` with the other two over the bins that have all three.
#
# </details>
#
# ## Further reading
#
# - [Abdennur and Mirny 2020](https://doi.org/10.1093/bioinformatics/btz540): the cooler format.
# - [Open2C et al. 2024](https://doi.org/10.1371/journal.pcbi.1012067): cooltools and its methods.
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): how reproducible contact maps
#   are, by several measures.
