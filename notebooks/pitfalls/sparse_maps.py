# %% [markdown]
# # Sparse maps
#
# Contacts per pixel, balancing, smoothing and the depth of targets: what shallow contact maps pretend.
#
# > **Learning goals**
# > - work out how many cells a pseudo-bulk needs for the bins you want;
# > - keep the holes that balancing leaves out of every score;
# > - say what smoothing does to a score and to its p-value;
# > - read the score of a spatial model beside the depth of its targets.
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb),
# > [What a score rewards](what_a_score_rewards.ipynb).
# >
# > **Time**: 15 min to read, 1 min to run.

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

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from scipy.ndimage import uniform_filter
from scipy.stats import pearsonr

from scstlib import audit
from scstlib.audit.experiments import Costs, over_seeds, verdict
from scstlib.datasets import simulate_organism
from scstlib.datasets.organism.chromatin import sample_map
from scstlib.datasets.organism.realism import balance, coarsen
from scstlib.metrics.contacts import contrast_correlation, expected_by_distance
from scstlib.models.spatial import BulkRidge
from scstlib.models.spatial.comparison import mean_at_places
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREEN, ORANGE, PURPLE, RED, book_style
from scstlib.preprocess.confounding import check_depths
from scstlib.preprocess.contacts import make_windows, normalise_depth
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks
from scstlib.splits import hold_out_chromosomes

plt.rcParams.update(book_style())
claim, costs = Claims(profile, seed), Costs()
few = range(seed, seed + (3 if profile == "fast" else 20))
more = range(seed, seed + (5 if profile == "fast" else 20))

# %% [markdown]
# "Is a hundred cells enough for a contact map?" Enough for what? A map is a table of counts, and a pixel without contacts is
# a zero like those of [Sparse counts](sparse_counts.ipynb): a small mean, counted. But maps have bins that can be made
# wider, holes that balancing leaves, and neighbours to smooth over, and each of the three has its own way to pretend.
#
# ![At the top three contact maps of one cell type, from 1, 20 and 200 cells: the first has a few scattered pixels, the last a clear diagonal with domains. Below, the same 600 cells are shared out in two ways: among 3 cell types with 200 cells each, three clear maps; among 12 cell types with 50 cells each, twelve speckled maps.](../../book/_static/diagrams/pseudo_bulk_size.svg)
#
# *Contacts of cells add up to depth; with the number of cells given, more cell types mean shallower maps.*
#
# Maps come from the simulated organism, so the truth is known: the contacts that infinitely many cells would show. Every
# score below is a correlation of [observed over expected](../../book/glossary.md#observed-over-expected), between 1 and
# 10 Mb: the map divided by its mean at each distance, since contacts fall with distance in any map.

# %%
organism = simulate_organism(seed=seed, preset="small")
chrom, cell_type = organism.chromosomes[0], "beta_mature"
bin_mb = organism.settings.bin_size / 1e6


def over_expected(contacts):
    """Map over its mean at each distance, and the distance in bins."""
    place = np.arange(len(contacts))
    distance = np.abs(np.subtract.outer(place, place))
    with np.errstate(invalid="ignore", divide="ignore"):
        return contacts / expected_by_distance(contacts)[distance], distance


def far(contacts, factor=1):
    """Observed over expected 1 to 10 Mb apart, in bins `factor` times as wide."""
    ratio, distance = over_expected(coarsen(contacts, factor).astype(float))
    mb = distance * factor * bin_mb
    return ratio[(mb >= 1) & (mb <= 10)]


# %% [markdown]
# ## How many cells a pseudo-bulk needs
#
# [Pseudo-bulks](../../book/glossary.md#pseudo-bulk) of 3 to 3,000 cells are compared with the truth, in bins of five sizes.

# %% tags=["hide-input"] caption="Agreement of a pseudo-bulk with the truth, contacts 1 to 10 Mb apart over their expectation. *Top*: against the number of cells, one curve a bin size, medians over three seeds. *Bottom*: the same points against the mean number of contacts of a pixel come near to one curve: what counts is contacts, not cells." alt="Top: five S-shaped curves on a logarithmic axis from 3 to 3,000 cells, 1 Mb highest and 50 kb lowest. Bottom: dots of the five sizes on nearly one rising curve against contacts per pixel." name="fig-pseudo-bulk"
factors = {"50 kb": 1, "100 kb": 2, "250 kb": 5, "500 kb": 10, "1 Mb": 20}
numbers = [3, 10, 30, 100, 300, 1000, 3000]
truth = organism.expected_contacts(chrom, cell_type, biased=True).astype(float)
best = {name: far(truth, factor) for name, factor in factors.items()}


def pseudo_bulk(draw, n_cells, kind=cell_type):
    """Counts of a pseudo-bulk on one chromosome."""
    size = {"n_cells": n_cells, "seed": draw, "chroms": [chrom]}
    return organism.sample_contacts(kind, **size)[chrom]


def agreement(draw, n_cells):
    """Correlation with the truth in bins of each size."""
    counts = pseudo_bulk(draw, n_cells)
    return {n: np.corrcoef(far(counts, f), best[n])[0, 1] for n, f in factors.items()}


runs = {n: over_seeds(agreement, few, n_cells=n) for n in numbers}
r = pd.DataFrame({n: rows.median() for n, rows in runs.items()}).T
mb = over_expected(truth)[1] * bin_mb
pixel = truth[(mb >= 1) & (mb <= 10)].mean()  # contacts of one cell at 50 kb
one_cell = {name: pixel * factor**2 for name, factor in factors.items()}
fig, axes = plt.subplots(2, 1, figsize=(5.4, 6.2), sharey=True)
for name, color in zip(factors, [BLUE, GREEN, ORANGE, PURPLE, RED], strict=True):
    axes[0].plot(r[name], color=color, label=name)
    axes[1].plot(r.index * one_cell[name], r[name], ".", color=color)
for ax, what in zip(axes, ["cells", "contacts of a pixel"], strict=True):
    ax.set(xscale="log", xlabel=what, ylabel="correlation with the truth")
axes[0].legend(loc="lower right")
plt.show()

# %% tags=["hide-input"]
needed = {n: 10 ** np.interp(0.8, r[n], np.log10(r.index)) for n in factors}
contacts = [needed[n] * one_cell[n] for n in factors]
ends = np.log2(needed["50 kb"] / needed["1 Mb"]) / np.log2(20)
counted = runs[100]
costs.add("cells counted, whatever the bins", "r of 100 cells: 1 Mb, 50 kb",
          counted["1 Mb"], counted["50 kb"])  # fmt: skip
claim(f"A correlation of 0.8 takes about {needed['1 Mb']:.0f} cells in"
      f" bins of 1 Mb, {needed['250 kb']:.0f} in bins of 250 kb and"
      f" {needed['50 kb']:.0f} in bins of 50 kb: bins twice as wide need"
      f" {2**ends:.1f} times fewer. In contacts of a pixel that is"
      f" {min(contacts):.0f} to {max(contacts):.0f}, whatever the bins."
      " So count the contacts of a pixel at the distance that you ask"
      " about, and choose bins and cells from that.",
      needed["1 Mb"] < 20, needed["50 kb"] > 500, 2 < 2**ends < 4.5,
      max(contacts) < 4 * min(contacts))  # fmt: skip

# %% [markdown]
# **The mistake** is to read "a hundred cells are enough" at one bin size and use it at another. **How to see it**: draw the
# pseudo-bulk twice, from different cells. **What refuses it**: `audit.known_answers`, for two pseudo-bulks of one cell type
# have a known agreement if cells are enough: 1, here with a tolerance of 0.2.

# %%
twice = [pseudo_bulk(draw, n_cells=100) for draw in (seed, seed + 1)]


def correlation(a, b):
    """Of the pixels that are known in both."""
    both = np.isfinite(a) & np.isfinite(b)
    return np.corrcoef(a[both], b[both])[0, 1]


for name in ("50 kb", "1 Mb"):
    pair = [far(counts, factors[name]) for counts in twice]
    print(audit.known_answers([audit.Case(name, correlation, pair, 1, 0.2)]))

# %% [markdown]
# ## Balancing leaves holes
#
# [Balancing](../foundations/cells_to_windows.ipynb#balancing-with-the-visibility-known) gives no weight to bins that cannot be
# seen: their rows are NaN. Many tools cannot read NaN, and `np.nan_to_num` is quickly typed. Then the same rows are 0 in
# every map, and that is a pattern that all maps share. Below, a pseudo-bulk is compared with a map of *pure counting noise*:
# contacts that depend on distance and visibility only, drawn at the same depth and balanced. The right answer is 0.

# %% tags=["hide-input"]
visibility = organism.genome.chromosomes[0].visibility
decay = expected_by_distance(organism.expected_contacts(chrom, cell_type))
decay = decay[np.abs(np.subtract.outer(*[np.arange(len(truth))] * 2))]
plain = decay * np.outer(visibility, visibility)


def holes(draw, n_cells):
    """Correlation of a pseudo-bulk with noise, masked bins left out or 0."""
    noise = sample_map(n_cells * plain, np.random.default_rng(draw))
    a, b = (far(balance(m)) for m in (pseudo_bulk(draw, n_cells), noise))
    return {"NaN left out": correlation(a, b),
            "NaN as 0": correlation(np.nan_to_num(a), np.nan_to_num(b))}  # fmt: skip


depths = {n: over_seeds(holes, few, n_cells=n) for n in (30, 300, 3000)}
rows = pd.DataFrame({f"{n:,}": rows.median() for n, rows in depths.items()}).T
display(table(rows.rename_axis(index="cells")))
deep, masked = depths[3000], np.mean(visibility == 0)
costs.add("holes of balancing read as 0", "r with pure noise, 3,000 cells",
          deep["NaN as 0"], deep["NaN left out"])  # fmt: skip
claim(f"{masked:.1%} of the bins are masked, and at 3,000 cells these"
      f" alone make a correlation of {deep['NaN as 0'].median():.2f} with"
      " noise. The deeper the maps, the more the holes count, because"
      " the noise around them falls; in a shallow map they hide.",
      deep["NaN as 0"].min() > 0.1, deep["NaN left out"].abs().max() < 0.05,
      depths[30].abs().max().max() < 0.05)  # fmt: skip

# %% [markdown]
# **How to see it**: score a map of noise. **Instead**, keep the mask and leave its bins out of every mean, loss and score,
# as `Windows.mask` and `contact_scores` do. `balance_matrix` warns when few contacts keep it from settling, and models
# refuse NaN. **What refuses the 0**: again an answer that is known.

# %%
noise = sample_map(3000 * plain, np.random.default_rng(seed))
pair = [far(balance(m)) for m in (pseudo_bulk(seed, 3000), noise)]
for name, given in {"NaN as 0": np.nan_to_num(pair), "left out": pair}.items():
    print(audit.known_answers([audit.Case(name, correlation, given, 0, 0.1)]))

# %% [markdown]
# ## Smoothing makes everything agree
#
# Shallow maps are often smoothed before they are looked at or scored: each pixel becomes the mean of a square around it.
# Windows of 6.4 Mb from pseudo-bulks of 100 cells are compared with a replicate of the same cell type and with stem cells,
# and pure noise with pure noise. For noise, the share of pairs is shown whose correlation is significant by a test that
# takes pixels for independent (p < 0.05); it should be 5 %.

# %% tags=["hide-input"]
window = np.s_[200:328, 200:328]


def smoothed(contacts, half):
    """Observed over expected of a window, smoothed, beyond 1 Mb."""
    ratio, distance = over_expected(
        uniform_filter(contacts.astype(float), 2 * half + 1)
    )  # fmt: skip
    return ratio[np.triu(distance * bin_mb >= 1)]


def smoothing(draw, half, n_cells=100):
    """What smoothing does to noise, to a replicate and to another type."""
    rng, found = np.random.default_rng(draw), []
    for _ in range(20):
        pair = [smoothed(sample_map(n_cells * decay[window], rng), half) for _ in range(2)]
        both = np.isfinite(pair).all(axis=0)
        found.append(pearsonr(*np.array(pair)[:, both]).pvalue < 0.05)
    one, same = (pseudo_bulk(2 * draw + k, n_cells)[window] for k in (0, 1))
    other = pseudo_bulk(draw, n_cells, "stem")[window]
    one, same, other = (smoothed(m, half) for m in (one, same, other))
    return {"noise called related (%)": 100 * np.mean(found),
            "r, replicate": correlation(one, same), "r, stem cells": correlation(one, other)}  # fmt: skip


widths = {2 * half + 1: over_seeds(smoothing, few, half=half) for half in (0, 1, 4, 8)}
rows = pd.DataFrame({f"{n} × {n}": rows.median() for n, rows in widths.items()}).T
display(table(rows.rename_axis(index="pixels averaged")))
raw, wide = widths[1], widths[9]
costs.add("smoothed pixels taken for independent", "noise called related (%)",
          *(w["noise called related (%)"] for w in (wide, raw)))  # fmt: skip
costs.add("smoothing read as agreement", "r with the wrong cell type",
          wide["r, stem cells"], raw["r, stem cells"])  # fmt: skip
claim("With 9 × 9 pixels the *wrong* cell type scores"
      f" {wide['r, stem cells'].median():.2f}, more than the right one"
      f" without smoothing ({raw['r, replicate'].median():.2f}), and"
      f" {wide['noise called related (%)'].median():.0f} % of the pairs"
      " of noise are called related. Smoothing lets through what"
      " neighbouring pixels share, the wide pattern that cell types have"
      " in common, and leaves fewer independent values than pixels.",
      wide["r, stem cells"].min() > raw["r, replicate"].max() + 0.2,
      wide["noise called related (%)"].min() > 40,
      raw["noise called related (%)"].mean() < 15)  # fmt: skip

# %% [markdown]
# Smoothing is no mistake in itself: the right cell type stays ahead, and a model may smooth its input. **The mistake** is to
# compare scores across widths, or to count smoothed pixels as observations. **How to see it**: put the wrong cell type and
# a map of noise through the same steps. **Instead**, smooth target and every competitor alike, state the width (SCC has one,
# [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)), and take intervals over chromosomes or donors. **What refuses
# it**: a known answer, that noise is called in 5 % of cases.

# %%
def false_alarms(half):
    return smoothing(seed, half)["noise called related (%)"]


for half in (4, 0):
    name = f"{2 * half + 1} pixels wide"
    print(audit.known_answers([audit.Case(name, false_alarms, (half,), 5, 15)]))

# %% [markdown]
# ## A spatial model and the depth of its targets
#
# A model of contact maps learns from pseudo-bulks and is scored on pseudo-bulks. Here the targets are of 10 to 1,000 cells.
# The model is the ridge regression among the package's baselines, on three chromosomes; the fourth is the test. The score
# is the [contrast correlation](../../book/glossary.md#contrast-correlation-dc), what is specific to a cell type: once
# against the targets, once against the truth.

# %% tags=["hide-input"]
four, kinds = organism.chromosomes[:4], ["stem", "bipotent", "beta_mature", "gamma_mature"]
bins, bulk = organism.tracks(), organism.bulk("stem", seed=seed)
rna = organism.sample(n_cells=100, seed=seed, keep_truth=False)
sums = {k: np.asarray(rna.X[(rna.obs["cell_type"] == k).to_numpy()].sum(0)).ravel() for k in kinds}
shares = pd.DataFrame(sums, index=rna.var_names)
place = bins[["chrom", "start", "end"]]
tracks = expression_tracks(shares / shares.sum() * 1e4, organism.genome.genes, place)
names = ["ctcf_forward", "ctcf_reverse", "cpg"]
guides, names = guide_tracks(
    tracks, reference=kinds, bulk=tracks["stem"],
    shared=bins[names].to_numpy(), shared_names=names,
)  # fmt: skip
guides = {kind: by_chromosome(values, bins) for kind, values in guides.items()}


def test_and_training(targets):
    """Windows of four chromosomes and four cell types, the last chromosome for the test."""
    windows = make_windows(
        bulk, guides, targets, bin_size=organism.settings.bin_size,
        bulk_cell_types=["stem"], chromosomes=four, window=128, stride=128, track_names=names,
    )  # fmt: skip
    return hold_out_chromosomes(windows, test=four[3])


def contrast(maps, other, windows):
    """Mean contrast correlation of two stacks of maps."""
    a, b = normalise_depth(maps), normalise_depth(other)
    own, reference = (mean_at_places(m, windows, windows) for m in (a, b))
    return np.nanmean(contrast_correlation(a, b, reference, prediction_reference=own))


def spatial_model(draw, n_cells):
    """Contrast of a ridge trained and scored on pseudo-bulks of `n_cells`."""
    targets = {k: organism.sample_contacts(k, n_cells=n_cells, seed=draw, chroms=four) for k in kinds}
    split = test_and_training(targets)
    test = split.test
    predicted = BulkRidge(n_pixels=60_000, seed=draw).fit(split.train).predict(test)
    return {
        "model, against targets": contrast(predicted, test.targets, test),
        "truth, against targets": contrast(best_test, test.targets, test),
        "model, against truth": contrast(predicted, best_test, test),
    }


true_maps = {k: {c: organism.expected_contacts(c, k, biased=True) for c in four} for k in kinds}
best_test = test_and_training(true_maps).test.targets
models = {n: over_seeds(spatial_model, few, n_cells=n) for n in (10, 100, 1000)}
rows = {f"{n:,} cells": rows.median() for n, rows in models.items()}
display(table(pd.DataFrame(rows).T, apart=()))
growth = models[1000] / models[10]
seen, ceiling, true = (growth[name] for name in growth)
costs.add("a spatial model scored on noisy targets", "score, 1,000 cells / 10 cells", seen, true)
claim("With targets of a thousand cells the model seems"
      f" {seen.median():.1f} times as good as with ten. Against the truth"
      f" it is {true.median():.1f} times as good: most of the rise is the"
      " target, for the truth itself scores only"
      f" {models[10].iloc[:, 1].median():.2f} against ten cells.",
      seen.min() > 2, true.max() < 2, seen.min() > 1.5 * true.max(),
      models[10].iloc[:, 1].max() < 0.5)  # fmt: skip

# %% [markdown]
# **How to see it**: put the ceiling beside every score, a replicate where there is no truth. **Instead**, compare cell types
# only after `downsample` brought their targets to one depth; and keep rare cell types for training, for a regression
# averages over pixels, so shallow targets teach more than they can test. **What refuses it**: `check_depths`.

# %%
for numbers in ((10, 1000), (100, 100)):
    drawn = [organism.sample_contacts(k, n_cells=n, seed=seed, chroms=[chrom])
             for n in numbers for k in kinds]  # fmt: skip
    contacts = [counts[chrom].sum() for counts in drawn]
    print(verdict(check_depths, contacts, np.repeat(["rare", "common"], 4)))

# %% [markdown]
# ## What it cost
#
# Medians of each quantity when the mistake is made and when it is avoided, and the mean difference within a seed with its
# 95 % interval, which speaks of new seeds and not of other data.

# %% tags=["hide-input"]
table(costs.table())

# %% [markdown]
# ## Check yourself
#
# <details><summary>1. Forty cells gave good compartments at 1 Mb. Will they do for loops at 10 kb?</summary>
#
# No. Bins a hundred times as narrow have ten thousand times fewer contacts a pixel; the cells needed grow about as fast.
#
# </details>
#
# <details><summary>2. Why do holes matter more in deep maps?</summary>
#
# Their pattern is the same at any depth, and the noise that hides it in shallow maps is gone.
#
# </details>
#
# <details><summary>3. After smoothing your model scores 0.8 where it had 0.4. Is it better?</summary>
#
# Ask what the wrong cell type scores with the same smoothing. Only the distance between the two says anything.
#
# </details>
#
# <details><summary>4. A model has 0.2 on a rare cell type and 0.5 on a common one. Where is it better?</summary>
#
# Nobody can say before both targets have one depth, or the ceiling of each stands beside its score.
#
# </details>
#
# ## Key points
#
# - Contacts of a pixel decide, not cells: count them at the bins and distances that you ask about.
# - Masked bins are unknown, not empty. Leave them out of every score.
# - Smoothing raises all scores, those of the wrong cell type and of noise included.
# - A score rises with the depth of its target. Give the ceiling with it.
#
# ## Exercises
#
# > **Exercise** How many more cells does a pseudo-bulk need for a correlation of 0.9 than for 0.8?
#
# <details><summary>Solution</summary>
#
# Put 0.9 for 0.8 in `np.interp`: about 2.5 times as many, whatever the bins. The last part of the way is the dear one.
#
# </details>
#
# > **Exercise** Halve the bins that can be seen: set `visibility[::2] = 0` before `plain` is made, and the same rows of the
# > pseudo-bulk. What is the correlation with noise when NaN are read as 0?
#
# <details><summary>Solution</summary>
#
# Near 1 at any depth: almost all of the variance is then the pattern of the holes.
#
# </details>
#
# ## Further reading
#
# - [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117): a correlation by distance, with its own smoothing.
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): how reproducible maps are, by depth and resolution.
# - [Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148): balancing, and what it assumes.
