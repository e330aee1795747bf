# %% [markdown]
# # What balancing takes away
#
# When balancing a contact map fails, and what it removes besides the bias of visibility.
#
# > **Learning goals**
# > - [see when balancing fails](#is-a-balanced-map-right), and why a converged result can still be wrong;
# > - [tell apart what balancing corrects and what it takes away](#what-the-weights-hold-besides-visibility);
# > - [keep three kinds of nothing apart](#what-the-weights-hold-besides-visibility): the masked bin, the empty pixel, the masked pixel of a window.
# >
# > **Before**: [Contact maps](contact_maps.ipynb), [Pseudo-bulk: how many cells?](pseudo_bulk.ipynb).
# >
# > **Time**: 13 min to read, 1 min to run.

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
import tempfile
import warnings
from pathlib import Path

import cooler
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.datasets import load, simulate_organism
from scstlib.datasets.organism.writing import map_pixels
from scstlib.metrics.contacts import expected_by_distance
from scstlib.pages import Claims, table
from scstlib.plots import GREY, book_style
from scstlib.preprocess.contacts import balance_matrix

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## Is a balanced map right?
#
# Some bins are seen better than others. [Balancing](contact_maps.ipynb#balancing) looks for one weight per bin such that all
# rows of the weighted map have the same sum ([Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148)). It assumes that a
# bin with few contacts was badly *seen*. Real data cannot tell whether it was. In the simulated organism every bin has a
# [visibility](../../book/glossary.md#visibility) that is known, and for some bins it is 0. Weights that correct visibility and
# nothing else would be proportional to one over it:
#
# $$\text{seen}_{ij} = v_i \, v_j \, \text{contacts}_{ij}, \qquad w_i \propto 1 / v_i .$$
#
# Do the weights come out like that? The test is on two chromosomes of mature beta cells, in pseudo-bulks of 2 to 400 cells. For
# each, the table counts the bins that are masked and the kept bins with a single partner, which meet only one other kept bin. Its
# last column correlates the weights with one over visibility, both in logarithms.

# %%
organism = simulate_organism(seed=seed, preset="small")
kind, two = "beta_mature", organism.chromosomes[:2]
n_bins, folder = organism.settings.n_bins, Path(tempfile.mkdtemp())
bins = organism.tracks().query("chrom in @two")[["chrom", "start", "end"]]
bins = bins.reset_index(drop=True)
visibility = [c.visibility for c in organism.genome.chromosomes[:2]]
visibility = np.concatenate(visibility)


def balanced(n_cells, **options):
    """Balance a pseudo-bulk; return the result and the path of its file."""
    path = str(folder / f"{n_cells}_cells.cool")
    here = {"seed": seed, "chroms": two}
    maps = organism.sample_contacts(kind, n_cells=n_cells, **here)
    how = {"ordered": True, "symmetric_upper": True}
    cooler.create_cooler(path, bins, map_pixels(maps), **how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says where it did not settle
        return balance_matrix(path, **options), path


results = {n: balanced(n) for n in (2, 5, 20, 400)}

# %% tags=["hide-input"]


def single_partners(path, mask):
    """Number of kept bins that meet one other kept bin only, the two first diagonals left out."""
    pixels = cooler.Cooler(path).pixels()[:]
    i, j = pixels["bin1_id"].to_numpy(), pixels["bin2_id"].to_numpy()
    used = mask[i] & mask[j] & (j - i >= 2)
    partners = np.bincount(np.concatenate([i[used], j[used]]), minlength=len(mask))
    return int((partners == 1).sum())


def row(result, path):
    """What is asked of a balanced map."""
    seen = result.mask & (visibility > 0)
    logs = np.log(result.weights[seen]), -np.log(visibility[seen])
    return {
        "converged": all(result.converged.values()),
        "masked bins": int((~result.mask).sum()),
        "bins with one partner": single_partners(path, result.mask),
        "correlation with 1/visibility": float(np.corrcoef(*logs)[0, 1]),
    }


summary = pd.DataFrame({f"{n} cells": row(*found) for n, found in results.items()}).T
numbers = {"masked bins": int, "bins with one partner": int, "correlation with 1/visibility": float}
summary = summary.astype(numbers)
table(summary.assign(converged=["yes" if done else "no" for done in summary["converged"]]))

# %% [markdown]
# Balancing is an iteration. `balance_matrix` is cooler's, with one warning that names the chromosomes where it did not settle;
# `converged` of its result says the same. Filtering more bins is one way out. What happens without any filter?

# %%
careless, path = balanced(2, min_nnz=0, mad_max=0)
unseen = visibility == 0
weights_of_unseen = int(careless.mask[unseen].sum())
extreme = careless.weights.max() / np.median(careless.weights)
alone = single_partners(path, careless.mask)

# %% tags=["hide-input"]
masked, right = summary["masked bins"], summary["correlation with 1/visibility"]
claim(
    f"With two cells, cooler's filters mask {masked['2 cells']:,} of {len(bins):,} bins. Without them {alone:,} bins have a single"
    " partner, and the iteration does not settle. One such bin is enough: its whole row sum must come from its partner, so that the"
    " partner's other contacts would have to weigh nothing, and no weights do that ([Knight and Ruiz"
    f" 2013](https://doi.org/10.1093/imanum/drs019)). {weights_of_unseen} of {unseen.sum()} bins that cannot be seen get a"
    f" weight like any other, and the largest weight is {extreme:,.0f} times the median.",
    masked["2 cells"] > 0.4 * len(bins),
    not all(careless.converged.values()),
    alone > 0,
    weights_of_unseen > 0,
    extreme > 50,
)

# %% tags=["hide-input"]
claim(
    f"With five cells everything converges, but the weights have a correlation with 1/visibility of {right['5 cells']:.2f},"
    f" where 400 cells give {right['400 cells']:.2f}: **converged does not mean right**. With 400 cells the masked bins are the"
    f" {unseen.sum()} without visibility, and no others.",
    bool(summary.loc["5 cells", "converged"]),
    right["5 cells"] < right["400 cells"] - 0.1,
    np.array_equal(~results[400][0].mask, unseen),
)

# %% [markdown]
# ## What the weights hold besides visibility
#
# Even with 400 cells the correlation is well short of 1. Counting noise is small by then, so the weights must hold something else.

# %% tags=["hide-input"] caption="Balancing weight against true visibility, 400 cells, one dot per bin, and the line on which weights that correct visibility alone would lie. The colour is the bin's true number of contacts: at equal visibility, bins with more contacts get smaller weights." alt="A falling cloud of dots around a straight line on double logarithmic axes. Dark dots, bins with many contacts, lie below the line, light ones above." name="fig-weights"
deep = results[400][0]
contacts = [organism.expected_contacts(c, kind).astype(float) for c in two]
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


def over_expected(counts):
    """Map divided by its own mean at each distance, two bins and more from the diagonal."""
    i, j = np.triu_indices(len(counts), 2)
    expected = expected_by_distance(counts)[j - i]
    return np.divide(counts[i, j], expected, out=np.zeros(len(i)), where=expected > 0)


rest = np.log(weight * visibility)[seen]
taken = np.corrcoef(rest, -np.log(row_sums[seen]))[0, 1]
w = deep.weights[:n_bins]
known = np.ix_(np.isfinite(w), np.isfinite(w))
truth = organism.expected_contacts(two[0], kind, biased=True).astype(float)
ideal = over_expected(contacts[0][known])
as_seen, by_weight = (
    np.corrcoef(over_expected(m[known]), ideal)[0, 1] for m in (truth, truth * np.outer(w, w))
)
claim(
    "Weights also take away what is real: once visibility is divided out, they go with one over the true number of contacts"
    f" of a bin, with a correlation of {taken:.2f} (in logarithms). Balancing makes all rows equal, so a bin that really has"
    " more contacts is brought down. Here the gain is larger than this loss; how much larger depends on the genome. Without"
    f" any counting noise, observed over expected has a correlation of {as_seen:.3f} with the truth before balancing, and of"
    f" {by_weight:.3f} after it.",
    taken > 0.8,
    by_weight > as_seen + 0.003,
    by_weight < 0.99,
)

# %% [markdown]
# Whether that is a loss depends on what "contacts of a bin" means. Summed over all partners, on all chromosomes, a piece of
# chromatin has only so many ends to join, and equal sums are a fair assumption. Within one chromosome or one window they are
# not: a bin that faces other chromosomes has fewer contacts within its own. Balance over as much of the genome as was measured, contacts
# between chromosomes included where there are any, and do not read the row sums of a balanced map as biology.
#
# > **Note** Three kinds of nothing. A *masked bin* could not be measured: its row and column are NaN after balancing. An
# > *empty pixel* between two good bins was measured, and its count is 0. In the windows that models are given, the pixels of a masked
# > bin are stored as 0 too, so `Windows` carries a `mask`, and every mean, loss and score must use it.
#
# ## On human cortex: a harmless failure
#
# Two chromosomes of 64 oligodendrocytes of human cortex (`lee2019` of [the data page](../../book/data.md)) in bins of 1 Mb,
# balanced one by one (`cis_only`, the default) and as one genome. Only the main diagonal is left out (`ignore_diags=1`):
# cooler's default of two would drop all pairs of neighbouring bins.

# %%
maps, pair = load("lee2019"), ["chr2", "chr3"]
is_odc = (maps.obs["cell_type"] == "ODC") & (maps.obs["donor"] == "29yr")
real = maps.pseudobulk({"ODC": list(maps.obs.index[is_odc])})
pair_bins = maps.bins[["chrom", "start", "end"]].query("chrom in @pair")
pair_bins = pair_bins.reset_index(drop=True)
pair_maps = {c: real.matrix("ODC", c) for c in pair}
path = str(folder / "cortex.cool")
how = {"ordered": True, "symmetric_upper": True}
cooler.create_cooler(path, pair_bins, map_pixels(pair_maps), **how)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    apart = balance_matrix(path, ignore_diags=1)
    as_one = balance_matrix(path, ignore_diags=1, cis_only=False)

# %% tags=["hide-input"]
both = apart.mask & as_one.mask
ratio = as_one.weights / apart.weights
spreads = []
for c in pair:
    inside = ratio[both & (pair_bins["chrom"] == c).to_numpy()]
    spreads.append(inside.max() / inside.min() - 1)
empty = sum(int(((m.sum(axis=0) - np.diag(m)) == 0).sum()) for m in pair_maps.values())
claim(
    "Chromosome by chromosome the iteration settles; as one genome it does not. These files have no contacts between"
    " chromosomes, so the weights of each chromosome are fixed up to a factor, and nothing in the data says what the factors"
    " should be. The two sets of weights show it: within a chromosome their ratio is the same for all bins, to"
    " less than 0.1%. This failure is harmless, and `cis_only` ends it. The failure without filters is another matter: there,"
    f" no right weights exist. Of {len(pair_bins)} bins {(~apart.mask).sum()} are masked, {empty} of them because they are"
    " empty; the others are cooler's choice, by how far their row sums lie below the rest (`mad_max`).",
    all(apart.converged.values()),
    not all(as_one.converged.values()),
    max(spreads) < 0.001,
    0 < empty <= (~apart.mask).sum(),
)

# %% [markdown]
# Empty bins are mostly centromeres and other sequence that cannot be mapped. Look at which bins `mad_max` masks before you
# accept them.
#
# ## Check yourself
#
# <details><summary>Balancing converged. May the weights be trusted?</summary>
#
# Not on that ground alone. With few contacts it converges on noise. Look at the number of contacts per bin, at the masked bins,
# and at the largest weights too.
#
# </details>
#
# <details><summary>A gene-rich bin truly has more contacts than its neighbours. What does its balanced row say?</summary>
#
# That it has as many as any other. The surplus is taken out together with the visibility, and the balanced map does not show it.
#
# </details>
#
# <details><summary>In a mean over pixels of a window, masked pixels count as 0. What happens?</summary>
#
# The mean falls with the number of masked bins, which has nothing to do with folding. Use the `mask` of `Windows`.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Balancing takes out visibility and, with it, true differences of row sums.
# - Look at `converged`, the masked bins and the largest weights; do not trust any of them alone.
# - Bins with a single partner make balancing impossible: filter them, or use more cells or wider bins.
#
# ## Exercises
#
# > **Exercise** Balance the two cells with stricter filters, `balanced(2, min_nnz=20)`. Does it converge, and is it right?
#
# <details><summary>Solution</summary>
#
# ```python
# print(row(*balanced(2, min_nnz=20)))
# ```
#
# Neither: nearly all bins are masked, and a single partner can be left among the few that stay. Filters cannot add contacts.
#
# </details>
#
# > **Exercise** Balance the map without noise, `noiseless`, by hand: divide by the square root of row sums, over and over. Does more
# > data help against what balancing takes away?

# %% tags=["solution"]
good = truth.sum(axis=0) > 0
noiseless = truth[np.ix_(good, good)]
### BEGIN SOLUTION
answer = noiseless.copy()
for _ in range(200):
    step = 1 / np.sqrt(answer.sum(axis=0) / answer.sum(axis=0).mean())
    answer *= np.outer(step, step)
### END SOLUTION
checks.balanced_by_hand(answer, noiseless)

# %% [markdown]
# ## Further reading
#
# - [Imakaev et al. 2012](https://doi.org/10.1038/nmeth.2148) and
#   [Knight and Ruiz 2013](https://doi.org/10.1093/imanum/drs019): two ways to the same balanced map.
