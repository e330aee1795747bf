# %% [markdown]
# # Contact maps
#
# How to open, balance and read real contact maps: distance decay, compartments and insulation.
#
# > **Learning goals**
# > - [open a cooler](#what-a-pixel-counts), and say what one pixel counts;
# > - [balance a map](#balancing), see what the weights correct and which bins they mask;
# > - [read distance decay, compartments and insulation off real maps](#contacts-fall-with-distance) with cooler and cooltools.
# >
# > **Before**: [Counts of single cells](counts_of_single_cells.ipynb).
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
import logging
import tempfile
import warnings
from functools import partial

import cooler
import cooltools
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.linalg import toeplitz

from scstlib import checks
from scstlib.datasets import load
from scstlib.metrics.compartments import cis_eigenvectors
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, ORANGE, book_style, contact_map
from scstlib.preprocess.tracks import interval_track
from scstlib.viewers import map_viewer

plt.rcParams.update(book_style())
claim = Claims(profile, seed)
# cooltools reports each step; both use parts of pandas that will change.
logging.disable(logging.INFO)
warnings.simplefilter("ignore")

# %% [markdown]
# Which parts of the genome lie near each other in the nucleus, and is that the same in every kind
# of cell? This page goes from counted contacts to the three patterns of a mammalian map, largest
# first: distance, compartments, domains. Most of each pattern is common to all cell types.
#
# ## What a pixel counts
#
# Hi-C cuts the genome inside fixed nuclei, joins ends that lie near each other in space (ligation)
# and sequences the joints. Each joint names two places in the genome that touched ([Lieberman-Aiden et
# al. 2009](https://doi.org/10.1126/science.1181369)). Count the joints between bins of equal size
# and you have a contact map: `count[i, j]` joints between bin *i* and bin *j*.
#
# [cooler](https://doi.org/10.1093/bioinformatics/btz540) stores such a map as two tables. `bins`
# says where each bin lies; `pixels` lists the pairs that were seen, upper triangle only. The first
# example is yeast at 10 kb. Here are three neighbouring pixels, with the places of their two bins:

# %%
yeast = load("cooler_examples")["yeast_10kb"].cooler("yeast.10kb")
print(f"{yeast.info['nbins']:,} bins, {yeast.info['nnz']:,} pixels")
yeast.pixels(join=True)[184_997:185_000]

# %% [markdown]
# ## Balancing
#
# Not all bins are equally visible. Some hold more cut sites, some sequence better, some cannot be
# mapped at all. *Balancing* ([Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148)) assumes
# that this visibility is one factor per bin, and looks for weights $w$ with which every row of
# $w_i\, c_{ij}\, w_j$ has the same sum. Bins with too few counts to estimate a weight get none:
# they are *masked* (NaN), and stay so in everything that follows.

# %%
weights, status = cooler.balance_cooler(yeast, ignore_diags=2, mad_max=5)
print("converged:", bool(status["converged"]))

# %% tags=["hide-input"] caption="Yeast chromosome IV, counts (left) and balanced (right). White lines are masked bins. The stripes of weak and strong bins on the left are gone on the right. The band along the diagonal, which fades with distance, stays, and so does the pale cross of the centromere near 0.45 Mb." alt="Two square heat maps of chromosome IV with a dark diagonal. The left one has light and dark stripes; the right one is smooth, with a pale cross and a few white lines." name="fig-balance"
chrom = "chrIV"
raw = yeast.matrix(balance=False).fetch(chrom).astype(float)
w = weights[slice(*yeast.extent(chrom))]
balanced = raw * w[:, None] * w[None, :]
shown = partial(contact_map, start=0, end=yeast.chromsizes[chrom])
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.4))
shown(axes[0], raw, label="contacts")
shown(axes[1], balanced, label="balanced contacts")
plt.show()

# %% tags=["hide-input"]
kept = np.isfinite(w)
far = ~toeplitz(np.arange(len(w)) < 2)
rows = [np.nansum(each * far, axis=1)[kept] for each in (raw, balanced)]
first, second = (np.std(each) / np.mean(each) for each in rows)
claim(
    f"{np.isnan(weights).sum()} of {len(weights):,} bins are masked. Within"
    f" {chrom} the row sums of the kept bins vary by {first:.0%} of their"
    f" mean before balancing and by {second:.0%} after it. What is left is"
    " no error: the weights even out the sums over the whole genome, and"
    " contacts with other chromosomes are part of them.",
    second < 0.7 * first,
)

# %% [markdown]
# > **Warning** Balancing divides by visibility, whatever its cause. A bin that is weak because it
# > was deleted in these cells is scaled up like one that maps badly. And a map of few counts gives
# > no reliable weights: sum cells or widen bins first.
#
# ## Contacts fall with distance
#
# Two neighbours on the thread of DNA meet often, whatever the cell does. How the mean over all pairs
# at a distance *s*, $P(s)$, falls with *s* is the strongest signal in any contact map, and a model
# that has learned nothing else already looks good. The maps from here on are mouse chromosome 19 at
# 100 kb in embryonic stem cells (ES) and in cortical neurons (CN) grown from them ([Bonev et al.
# 2017](https://doi.org/10.1016/j.cell.2017.09.043)).

# %%
maps = load("bonev2017_chr19")
names = {"ES": "stem cells", "CN": "neurons"}
samples = {}
for name in names:  # The cached file stays as it was fetched.
    copy = f"{tempfile.mkdtemp()}/{name}.cool"
    cooler.fileops.cp(maps.uri(name), copy)
    samples[name] = cooler.Cooler(copy)
    cooler.balance_cooler(samples[name], cis_only=True, store=True)
    print(f"{names[name]}: {samples[name].info['sum']:,} contacts")

# %% tags=["hide-input"] caption="$P(s)$ of chromosome 19, mean balanced contacts by distance, and the straight lines fitted from 100 kb to 10 Mb (dotted). Compared with stem cells, neurons have fewer contacts at 100 kb, more around 1 Mb and fewer beyond 10 Mb." alt="Two falling curves on double logarithmic axes, one for stem cells and one for neurons, nearly parallel up to 10 Mb, each with a dotted straight line through it." name="fig-decay"
decay, slopes = {}, {}
fig, ax = plt.subplots()
expected = partial(cooltools.expected_cis, ignore_diags=1, nproc=1)
for color, name in zip([BLUE, ORANGE], names, strict=True):
    means = expected(samples[name])
    s, p = means["dist_bp"], means["balanced.avg.smoothed"]
    ax.loglog(s[1:], p[1:], color=color, label=names[name])
    fitted = s.between(1e5, 1e7)
    x, y = np.log10(s[fitted]), np.log10(p[fitted])
    slope, intercept = np.polyfit(x, y, 1)
    ax.plot(s[fitted], 10 ** (intercept + slope * x), ":", color=color)
    decay[name], slopes[name] = p.to_numpy(), slope
ax.set(xlabel="distance (bp)", ylabel="mean balanced contacts")
ax.legend()
plt.show()

# %% tags=["hide-input"]
claim(
    "Between 100 kb and 10 Mb contacts go with distance to the power of"
    f" {slopes['ES']:.2f} in stem cells and of {slopes['CN']:.2f} in"
    " neurons.",
    all(-1.4 < slope < -0.6 for slope in slopes.values()),
)

# %% [markdown]
# A power near −1 is what Hi-C of mammalian cells has shown from the start ([Lieberman-Aiden et al.
# 2009](https://doi.org/10.1126/science.1181369)). Dividing each pixel by the mean at its distance
# gives *observed over expected* (O/E): what is left when the effect of distance is taken out.

# %% tags=["hide-input"] caption="Observed over expected contacts, log2, on chromosome 19, in bins of 200 kb. Red pairs meet more often than their distance suggests, blue ones less often. The checkerboard shows the compartments; its squares differ between neurons and stem cells." alt="Two square heat maps in red and blue with a plaid pattern. The plaid differs between stem cells and neurons." name="fig-oe"
oe, half = {}, len(maps.bins) // 2  # shown in bins of 200 kb
for name, sample in samples.items():
    matrix = sample.matrix(balance=True).fetch("chr19")
    found = np.where(matrix > 0, matrix, np.nan) / toeplitz(decay[name])
    pairs = found[: 2 * half, : 2 * half].reshape(half, 2, half, 2)
    oe[names[name]] = np.log2(np.nanmean(pairs, axis=(1, 3)))
cpg = load("cpg_tracks").query("assembly == 'mm10' & bin_size == 100_000")
track = maps.bins[["chrom", "start", "end"]]
track = track.assign(cpg=interval_track(cpg, track, value="cpg"))
wide = track["cpg"].groupby(track.index // 2).mean()[:half]
map_viewer(
    oe, start=0, end=200_000 * half, label="log2 observed/expected",
    log=False, limits=(-1.5, 1.5), tracks={"CpG content": wide},
)  # fmt: skip

# %% [markdown]
# ## Compartments
#
# The checkerboard says that bins come in two kinds and that each kind prefers its own: A, with most
# of the active genes, and B, mostly silent. An eigenvector of the O/E map gives each bin a number
# that tells the kinds apart, its *compartment score*. The algebra leaves two things open. An
# eigenvector has no sign; by convention A is the side with more genes or GC. And the *first* one
# is the largest pattern of the map, which need not be the compartments: on a single chromosome a
# slow drift along it can be larger. A track that goes with compartments settles both: here, the
# CpG content of the bins, the share of *CG* in their sequence, which is high near genes.
#
# (The track is shifted by half a bin, a trap that [its entry](../../book/data.md) names, so it is averaged by overlap. `cis_eigenvectors` gives what `cooltools.eigs_cis` gives, but the same digits at every call.)

# %%
vectors = {}
for name, sample in samples.items():
    matrix = sample.matrix(balance=True).fetch("chr19")
    found = cis_eigenvectors(matrix, 3, track["cpg"].to_numpy())[1]
    vectors[name] = pd.DataFrame(found.T, columns=["E1", "E2", "E3"])
with_cpg = pd.DataFrame({
    names[n]: v.corrwith(track["cpg"], method="spearman")
    for n, v in vectors.items()
})  # fmt: skip
chosen = {n: with_cpg[names[n]].idxmax() for n in names}
scores = {n: vectors[n][chosen[n]] for n in names}

# %% tags=["hide-input"]
columns = {f"{name}, with CpG": column for name, column in with_cpg.items()}
with_es = vectors["CN"].corrwith(scores["ES"])
columns["neurons, with the score of stem cells"] = with_es
table(pd.DataFrame(columns).rename_axis("correlation of"), digits=2)

# %% tags=["hide-input"]
claim(
    "E1 is the first eigenvector. For stem cells the track picks"
    f" {chosen['ES']}, for neurons {chosen['CN']}, by a small margin. The"
    " stem cells confirm that choice: their score correlates with E2 of"
    f" the neurons (r = {with_es['E2']:.2f}) far better than with E1"
    f" ({with_es['E1']:.2f}).",
    chosen["ES"] == "E1",
    chosen["CN"] == "E2",
    with_es["E2"] > with_es["E1"] + 0.3,
)

# %% tags=["hide-input"] caption="Compartment score along chromosome 19: positive is A. Stem cells and neurons agree over most of the chromosome and differ in blocks." alt="Two rows of filled curves along 61 Mb, orange above and blue below zero, alike in most places, of opposite sign in some blocks." name="fig-compartments"
position = maps.bins["start"].to_numpy() / 1e6
fig, axes = plt.subplots(2, 1, figsize=(5.4, 3.2), sharex=True, sharey=True)
for ax, name in zip(axes, names, strict=True):
    values = scores[name].fillna(0)
    fill = partial(ax.fill_between, position, step="mid", lw=0)
    fill(values.clip(lower=0), color=ORANGE)
    fill(values.clip(upper=0), color=BLUE)
    ax.set_ylabel(names[name])
axes[1].set_xlabel("position on chromosome 19 (Mb)")
fig.supylabel("compartment score (A above 0)")
plt.show()

# %% tags=["hide-input"]
both = scores["ES"].notna() & scores["CN"].notna()
sign = np.sign(scores["ES"][both])
switched = (sign != np.sign(scores["CN"][both])).mean()
first = (sign != np.sign(vectors["CN"]["E1"][both])).mean()
claim(
    f"{switched:.0%} of the {both.sum()} bins with a score in both change"
    " compartment between stem cells and neurons; with the first"
    f" eigenvectors it would have been {first:.0%}. The score of stem"
    " cells and CpG content have a rank correlation of"
    f" {with_cpg[names['ES']].max():.2f}: a track that is the same in all"
    " cell types already predicts much of a compartment profile.",
    switched < 0.3,
    first > switched + 0.1,
    with_cpg[names["ES"]].max() > 0.5,
)

# %% [markdown]
# ## Insulation and domains
#
# The third pattern is *domains*: stretches whose bins meet one another more often than bins outside. Slide a square along
# the diagonal, with its corner between two bins, and average the contacts that cross that point. Where few cross, there is a boundary between two domains ([Crane et al.
# 2015](https://doi.org/10.1038/nature14450)). The *insulation score* is the logarithm of that average over its median along the chromosome.

# %% tags=["hide-input"] caption="Insulation score with a square of 500 kb, 20 to 40 Mb of chromosome 19. Minima are boundaries; dots mark those that cooltools calls. Many boundaries are shared, but their depths differ." alt="Two jagged curves over 20 Mb, mostly parallel, with dots at their minima; the neuron curve is deeper at several of them." name="fig-insulation"
window = 500_000
column = f"log2_insulation_score_{window}"
insulation, found = {}, {}
fig, ax = plt.subplots(figsize=(5.4, 3.0))
for color, name in zip([BLUE, ORANGE], names, strict=True):
    each = cooltools.insulation(samples[name], [window], nproc=1)
    insulation[name], called = each[column], each[f"is_boundary_{window}"]
    found[name] = np.flatnonzero(called)
    shown = each["start"].between(20e6, 40e6 - 1)
    place, score = each["start"][shown] / 1e6, each[column][shown]
    ax.plot(place, score, color=color, lw=1.2, label=names[name])
    ax.plot(place[called], score[called], "o", color=color, ms=4)
ax.set(xlabel="position (Mb)", ylabel="log2 insulation score")
ax.legend()
plt.show()

# %% tags=["hide-input"]
apart = np.abs(np.subtract.outer(found["ES"], found["CN"])).min(axis=1)
near = (apart <= 1).sum()
r = insulation["ES"].corr(insulation["CN"])
claim(
    f"{len(found['ES'])} boundaries are called in stem cells and"
    f" {len(found['CN'])} in neurons; {near} of those in stem cells have one"
    " in neurons within a bin. The two insulation profiles correlate with"
    f" r = {r:.2f}: a copy of another cell type's map is a strong baseline,"
    " and what *differs* is the hard part.",
    near > 0.5 * len(apart),
    r > 0.7,
)

# %% [markdown]
# ## Loops need smaller bins
#
# The protein CTCF binds DNA at sites that have a direction. Two sites that face each other often hold the ends of a loop, a bright pixel off the diagonal ([Rao et al. 2014](https://doi.org/10.1016/j.cell.2014.11.021)).
# At 100 kb most loops lie within a few pixels of the diagonal and are lost in the decay. They are called at 10 kb or finer,
# on maps with far more contacts than a group of single cells has.
#
# ## Check yourself
#
# <details><summary>Why can balancing not tell a deletion from a bin that maps badly?</summary>
# Both show as few counts in a whole row, and balancing corrects for that, whatever its cause.
# </details>
# <details><summary>Maps of two cell types have a Pearson correlation of 0.95. Are they alike?</summary>
# This number cannot tell: most of it is the decay with distance, which all cell types share.
# Compare observed over expected, or what is left after the mean of cell types is subtracted.
# </details>
# <details><summary>The first eigenvector of a chromosome drifts slowly along it. What do you do?</summary>
# Choose the eigenvector that correlates with genes, GC or CpG, and check it with a second cell type.
# </details>

# %% [markdown]
# ## Key points
#
# - A pixel counts joints of two bins. Depth, visibility and distance shape it more than cell type.
# - Balancing assumes one visibility factor per bin; masked bins stay masked in every later step.
# - $P(s)$, compartments and insulation are mostly shared. Judge a model by the differences.
#
# ## Exercises
#
# > **Exercise** Divide each pixel of `contacts` by the mean at its distance. How much does the map still vary?

# %% tags=["solution"]
contacts = samples["CN"].matrix(balance=True).fetch("chr19")
### BEGIN SOLUTION
diagonals = [contacts.diagonal(s) for s in range(len(contacts))]
answer = contacts / toeplitz([np.nanmean(d) for d in diagonals])
### END SOLUTION
checks.observed_over_expected(answer, contacts)

# %% [markdown]
# > **Exercise** Compute the eigenvectors of the neurons with a phasing track of `-track["cpg"]`. What changes, and what must not?
#
# <details><summary>Solution</summary>
#
# `cooltools.eigs_cis(samples["CN"], phasing_track=track.assign(cpg=-track["cpg"]), n_eigs=3)` gives the same profiles, turned over. Signs set by different tracks show switches that are not there.
#
# </details>
#
# ## Further reading
#
# - [Abdennur and Mirny 2020](https://doi.org/10.1093/bioinformatics/btz540): the cooler format.
# - [Open2C et al. 2024](https://doi.org/10.1371/journal.pcbi.1012067): cooltools and its methods.
