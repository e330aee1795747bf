# %% [markdown]
# # Whose contact map is this?
#
# A project: match four contact maps that have lost their labels with the expression of four cell types.
#
# > **Learning goals**
# > - [remove from contact maps what all of them share](#step-by-step);
# > - [match maps with cell types by expression, and say how sure the match is](#what-to-hand-in).
# >
# > **Before**: [Contact maps](../foundations/contact_maps.ipynb).
# >
# > **Time**: 6 min to read, 1 min to run. The project takes about three hours.

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

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.metrics.contacts import expected_by_distance
from scstlib.pages import Claims
from scstlib.plots import book_style, contact_map

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# Someone mixed up the labels of four tubes. Each tube gave a contact map of one cell type, and all you know about the types is their expression. Expressed genes lie in open chromatin, where DNA is loosely packed, and open chromatin meets open chromatin. Is that enough to name the maps again?
#
# ## Data
#
# The four types come from the simulated organism: stem cells and three fates. Each map is the sum of 300 cells, on three chromosomes in bins of 500 kb. The order of the maps is random. `key` contains it for the checks; do not look at it.

# %% tags=["hide-input"]
WIDE = 10  # bins of 50 kb in one of 500 kb
organism = simulate_organism(seed=seed, preset="small")
types = ["stem", "alpha_mature", "beta_mature", "gamma_mature"]
chroms = list(organism.chromosomes[:3])
key = [str(name) for name in np.random.default_rng(seed + 1).permutation(types)]


def coarse(values):
    """Sums over bins of 500 kb, along the last axis."""
    return values.reshape(*values.shape[:-1], -1, WIDE).sum(axis=-1)


def map_of(kind):
    """Contacts (chromosomes, bins, bins) of 300 cells."""
    drawn = organism.sample_contacts(kind, n_cells=300, seed=seed, chroms=chroms)
    return np.array([coarse(coarse(drawn[c]).swapaxes(0, 1)) for c in chroms], float)


def genes_of(kind):
    """Logarithm of expression (chromosomes, bins): bins without genes are 0."""
    bins = organism.tracks(kind).query("chrom in @chroms")
    both = bins["expression_forward"] + bins["expression_reverse"]
    return coarse(np.log1p(both.to_numpy()).reshape(len(chroms), -1))


# %%
maps = np.array([map_of(kind) for kind in key])  # tubes A to D
expression = {kind: genes_of(kind) for kind in types}
cpg = organism.tracks().query("chrom in @chroms")["cpg"].to_numpy()
cpg = coarse(cpg.reshape(len(chroms), -1))
print(maps.shape, expression["stem"].shape, cpg.shape)

# %% tags=["hide-input"] caption="The first chromosome in the four tubes. What you can easily see, the decay from the diagonal and the squares of open and closed chromatin, is the same in all four." alt="Four square heat maps in a two by two grid, titled A to D, that look almost the same: dark diagonals and a faint pattern of squares." name="fig-four-tubes"
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.4), gridspec_kw={"hspace": 0.1})
for ax, name, tube in zip(axes.flat, "ABCD", maps, strict=True):
    contact_map(ax, tube[0], start=0, end=len(tube[0]) * 500_000)
    ax.set_title(name)
plt.show()

# %% tags=["hide-input"]
upper = np.triu_indices(maps.shape[-1], 1)
alike = np.corrcoef([np.log1p(tube[0][upper]) for tube in maps])
lowest = alike.min()
claim(
    f"No two of these maps have a correlation below {lowest:.2f} in log counts. A measure of how alike two maps are will not tell"
    " them apart.",
    lowest > 0.9,
)

# %% [markdown]
# ## Step by step
#
# > **Exercise** Remove what the maps share. Divide each map by its mean at each distance ([observed over expected](../../book/glossary.md#observed-over-expected)); then subtract, pixel by pixel, the mean over the four maps.

# %% tags=["solution"]
bins = np.arange(maps.shape[-1])
distance = np.abs(np.subtract.outer(bins, bins))
### BEGIN SOLUTION
over = [[m / expected_by_distance(m)[distance] for m in tube] for tube in maps]
answer = np.array(over) - np.mean(over, axis=0)
### END SOLUTION
checks.specific_to_each(answer, maps)

# %% [markdown]
# What is left shows where a tube has more contacts than the others. This page goes on with a short cut, the ratio of each map to the mean map, from which distance cancels as well. You may use your own answer instead.
#
# A bin that is more open in one type has more contacts with bins that are open in all types, and these are rich in CpG, the letters CG in the sequence. So the contacts of a bin are summed with weights: positive for partners with much CpG, negative for partners with little. This gives one number for each bin, and a [track](../../book/glossary.md#track) for each tube.


# %%
def openness(specific):
    """Contacts with CpG-rich bins less those with poor ones."""
    weight = (cpg - cpg.mean(axis=1, keepdims=True)) / cpg.std()
    apart = specific * (distance > 1)  # the diagonal says nothing here
    tracks = np.einsum("tcij,cj->tci", apart, weight)
    return tracks.reshape(len(specific), -1)


# %% [markdown]
# > **Exercise** Which cell type is in tube A, B, C and D? Compare the tracks of the tubes with the expression of the types, after removing from the expression what the types share. Each type is in one tube.

# %% tags=["solution"]
tracks = openness(np.log((1 + maps) / (1 + maps.mean(axis=0))))
### BEGIN SOLUTION
genes = np.array([expression[kind].ravel() for kind in types])
genes = genes - genes.mean(axis=0)
agreement = np.corrcoef(tracks, genes)[:4, 4:]
_, chosen = linear_sum_assignment(-agreement)
answer = [types[i] for i in chosen]
### END SOLUTION
checks.owners(answer, key)

# %% [markdown]
# ## What to hand in
#
# One notebook and a page for whoever mixed up the tubes:
#
# 1. a table of how well each tube agrees with each type, and the names that follow;
# 2. how sure you are: the same for each chromosome alone, and with expression shuffled along the genome a hundred times;
# 3. how few cells would have been enough, as a figure of the share of right names against the number of cells;
# 4. one paragraph: what in this argument would fail with real maps and real RNA, whose sources differ ([Human cortex](../spatial/human_cortex.ipynb)).
#
# The [rubric](../../book/teaching.md#a-rubric) says how your work is judged.
#
# ## Check yourself
#
# <details><summary>Why not compare each map with the expression of each type directly?</summary>
#
# Genes that are on everywhere make all maps agree with all types. Only what differs between types can tell them apart.
#
# </details>
#
# <details><summary>Three of four names are right. Can that be?</summary>
#
# No: if three are right, so is the fourth. With each type used once, four names are right, or two, one or none.
#
# </details>
#
# <details><summary>You are given four maps, but the expression of five types. What changes?</summary>
#
# One type has no map, and the mean over types is no longer the mean over the types in the tubes. Subtract from each set its own mean, and let one type remain without a tube.
#
# </details>
#
# ## Key points
#
# - What cell types share hides what tells them apart: remove it from both the maps and the expression.
# - A weak agreement in each bin adds up over a few hundred bins.
# - Shuffled expression shows how sure a match is.
#
# ## Exercises
#
# > **Exercise** Replace `gamma_mature` by `beta_precursor`, the parent of `beta_mature`. What happens to the table of agreement?
#
# <details><summary>Solution</summary>
#
# Change `types` and run the page. Parent and child share most of their expression, so their rows look alike, and the margin by which one name wins becomes small. Report the margin, not only the name.
#
# </details>
#
# ## Further reading
#
# - [Evaluating contact maps](../spatial/evaluating_contact_maps.ipynb): scores for what is specific to a cell type.
# - [What balancing takes away](../foundations/balancing.ipynb): why maps were not balanced here.
