# %% [markdown]
# # Invented genes
#
# Batches, imputation, double dipping and empty droplets: genes and clusters that are not there.
#
# > **Learning goals**
# > - [keep batch apart from time](#a-batch-for-each-time), or notice when nobody can;
# > - [say what imputation and double dipping invent](#what-imputation-invents), by how much, and what to do instead;
# > - [say where count splitting helps and where it does not](#double-dipping);
# > - [find empty droplets and genes that are hardly seen before they mislead you](#empty-droplets-and-genes-that-are-hardly-seen).
# >
# > **Before**: [Sparse counts](sparse_counts.ipynb).
# >
# > **Time**: 12 min to read, 1 min to run.

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
import pandas as pd
from IPython.display import display

from scstlib.experiments import counts as lab
from scstlib import checks
from scstlib.audit.experiments import Costs, by_seed, verdict
from scstlib.datasets import load, simulate_organism
from scstlib.leakage import check_evaluation, record_fit
from scstlib.pages import Claims, table
from scstlib.plots import RED, book_style
from scstlib.preprocess import confounding, counts

plt.rcParams.update(book_style())
claim, costs = Claims(profile, seed), Costs()
few = range(seed, seed + (3 if profile == "fast" else 20))
more = range(seed, seed + (5 if profile == "fast" else 20))

# %% [markdown]
# A list of genes with small p-values looks the same whether the genes differ or not. How many of yours would be there
# if nothing differed? On simulated cells you can count them: give an analysis cells for which the answer is known,
# such as cells that share *one* true expression, and whatever it finds, it has invented. Each mistake on this page is
# made on purpose, next to the same analysis without it. Each experiment is a function of
# `scstlib.experiments.counts`, here `lab`, and runs on three to five seeds. The text gives medians; the table at the
# end gives what each mistake adds, with an interval.

# %%
organism = simulate_organism(seed=seed, preset="small")
cells = organism.sample(n_cells=100, seed=seed)  # the series
equal = organism.identical_cells(200, seed=seed)  # one true expression

# %% [markdown]
# ## A batch for each time
#
# Many series measure each time in its own batch. Here two batches capture genes with slightly unequal success, and
# two times are compared: once with each time in its own batch, once with both times in both batches.

# %% tags=["hide-input"]
own, mixed = (
    by_seed(lab.called_across_batches, more, organism=organism,
               confounded=confounded) for confounded in (True, False)
)  # fmt: skip
costs.add("a batch for each time", "genes called that hardly change",
          own["false"], mixed["false"])  # fmt: skip
claim(f"With a batch for each time, {own['false'].median():.0f} genes are"
      " called whose true mean changes by less than 5%; with both batches"
      f" at both times it is {mixed['false'].median():.0f}, and about as"
      " many true ones are found. No correction helps the first design:"
      " what removes the batch removes the time. A few cells of every"
      " time in one common batch link the times.",
      own["false"].mean() > 1.5 + 2 * mixed["false"].mean(),
      0.8 < own["true"].mean() / mixed["true"].mean() < 1.25)  # fmt: skip

# %% [markdown]
# **How to see it**: count cells by time and batch before anything else. **What refuses it**: `check_confounding`.

# %%
for batch in (cells.obs["time"].astype(str), np.arange(cells.n_obs) % 2):
    design = cells.obs[["time"]].round(1).assign(batch=batch)
    print(verdict(confounding.check_confounding, design, "time", "batch"))

# %% [markdown]
# ## What imputation invents
#
# Imputation fills in zeros from similar cells. The simplest kind, `smooth_cells`, takes the mean of the `k` nearest.
# It gets two data sets. In the first, cells do not differ, and no two genes are correlated. In the second, cells have
# two fates, but the values of half of the genes are shuffled among them, so that these genes do not differ.

# %% tags=["hide-input"] caption="What a smoother invents from noise. *Left*: gene pairs with a correlation beyond 0.3 among cells that do not differ. *Right*: genes called different between two fates after their values were shuffled. One cell means no smoothing; each line is a seed." alt="Two panels with rising lines against the number of cells averaged, 1, 5, 15 and 50. On the left from 0 to about 40 percent, on the right from about 1 to 80 percent." name="fig-imputation"
pairs, genes = (
    by_seed(invented, few, organism=organism, numbers=[1, 5, 15, 50])
    for invented in (lab.invented_correlations, lab.invented_genes)
)  # fmt: skip
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.9))
for ax, what in zip(axes, ["pairs", "genes"], strict=True):
    rows = {"pairs": pairs, "genes": genes}[what]
    ax.plot(rows.columns.astype(str), rows.T, ".-", color=RED, lw=1)
    ax.set(xlabel="cells averaged", ylabel=f"invented {what} (%)")
plt.show()

# %% tags=["hide-input"]
costs.add("imputed, correlated", "invented pairs (%)", pairs[15], pairs[1])
costs.add("imputed, tested", "invented genes (%)", genes[15], genes[1])
claim(f"With 15 cells averaged, {pairs[15].median():.0f}% of the pairs"
      f" are correlated and {genes[15].median():.0f}% of the genes are"
      " called; without smoothing, next to none. Averaged cells share"
      " their noise, and the test counts them as if they did not.",
      pairs[15].min() > 3, genes[15].min() > 40,
      pairs[1].max() < 0.5, genes[1].max() < 5)  # fmt: skip

# %% [markdown]
# **How to see it**: shuffle the values of each gene among the cells before you impute
# ([Andrews and Hemberg 2018](https://doi.org/10.12688/f1000research.16613.2)). **Instead**, test and correlate counts
# as measured, with a count model. In a comparison of imputation methods, most did not help the analyses that followed
# ([Hou et al. 2020](https://doi.org/10.1186/s13059-020-02132-x)). A pseudo-bulk is an honest average: it says how
# many cells it sums. **What refuses it**: functions that need counts accept nothing else.

# %%
smooth = equal.copy()
smooth.X = lab.smooth_cells(equal.X, k=15)
for given in (smooth, equal):
    print(verdict(counts.count_split, given, seed=seed))

# %% [markdown]
# ## Double dipping
#
# If you cluster the cells and then test which genes differ between the clusters, every gene that helped to make the
# clusters does ([Gao et al. 2024](https://doi.org/10.1080/01621459.2022.2116331)). Here the 100 most expressed genes
# of one population are tested, so each called gene is invented. Count splitting
# ([Neufeld et al. 2024](https://doi.org/10.1093/biostatistics/kxac047)) clusters one half of the molecules and tests
# the other. Two random groups serve as a control. In the last row the cells are real malaria parasites ([the data](../../book/data.md)), among which the
# counts of each gene were first shuffled.

# %% tags=["hide-input"]
malaria = load("malaria_cell_atlas")
rows = np.random.default_rng(seed).choice(malaria.n_obs, 600, replace=False)
malaria = malaria[np.sort(rows)].copy()
kinds = {
    "Poisson, equal depth": {"overdispersed": False, "depth_spread": 0.0},
    "overdispersed, deep": {"depth": 5500.0, "depth_spread": 0.0},
    "Poisson, unequal depth": {"overdispersed": False},
    "malaria, shuffled": None,
}


def dip(draw, kind):
    if kind is None:
        return lab.called_between_clusters(malaria, draw, deal_out=True)
    population = organism.identical_cells(300, draw, **kind)
    return lab.called_between_clusters(population, draw)


dips = {name: by_seed(dip, more, kind=kinds[name]) for name in kinds}
rows = pd.DataFrame({name: d.median() for name, d in dips.items()}).T
display(table(rows.astype(int).rename_axis(index="genes called of 100")))
for runs in dips.values():
    runs.columns = ["double", "split", "random"]
clean, loose, uneven, dealt = dips.values()
costs.add("clusters tested on their own cells", "genes called of 100",
          clean["double"], clean["split"])  # fmt: skip
costs.add("the same, malaria, shuffled", "genes called of 100",
          dealt["double"], dealt["random"])  # fmt: skip
claim("Splitting helps where counts are Poisson and depths equal. With"
      " overdispersed counts, a cell that happens to hold much of a gene"
      " holds much in both halves: splitting still calls"
      f" {loose['split'].median():.0f} genes. With unequal depths the"
      " clusters are shallow and deep cells, the same in both halves,"
      " and the logarithm does the rest.",
      clean["double"].min() > 8, clean["split"].max() <= 2,
      loose["split"].median() >= 2,
      uneven["split"].min() > 40, uneven["double"].min() > 30)  # fmt: skip

# %% [markdown]
# **How to see it**: shuffle the counts, then cluster and test as before. **Instead**, test in other cells, ideally of
# another donor. **What refuses it**: `check_evaluation`, once the clustering says which cells made it.

# %%
clustered, others = equal[:100].copy(), equal[100:].copy()
centres = lab.kmeans(lab.log_counts(clustered.X), 2, seed)
record_fit(centres, clustered)
for tested in (clustered, others):
    print(verdict(check_evaluation, centres, tested))

# %% [markdown]
# ## Empty droplets and genes that are hardly seen
#
# A droplet without a cell still contains ambient RNA, which floats freely, and becomes a row of the matrix. A gene
# with few counts becomes a column whose coefficient of variation is large by chance. Here 85 empty droplets are added
# to some 250 late cells. These are grouped into three clusters, one for each fate, before and after droplets of low
# depth are removed. The adjusted Rand index compares clusters with fates: it is 1 if they are the same, and 0 on
# average by chance.

# %% tags=["hide-input"]
drops = by_seed(lab.fates_with_droplets, more, organism=organism)
drops = drops.iloc[:, :4]
fates_in, fates_out, rare_in, rare_out = (drops[c] for c in drops)
costs.add("empty droplets left in", "Rand index, clusters and fates",
          fates_in, fates_out)  # fmt: skip
costs.add("rare genes left in", "right genes of 200 (%)", rare_in, rare_out)
claim("With the droplets the index is"
      f" {fates_in.median():.2f}, without them"
      f" {fates_out.median():.2f}: the droplets claim a cluster, and two"
      " fates share one. Of 200 genes chosen by their coefficient of"
      f" variation, {rare_in.median():.0f}% are right; without genes seen"
      f" in less than a tenth of the cells it is {rare_out.median():.0f}%,"
      " and chance is 17%. The coefficient is mostly counting noise,"
      " in rare genes nothing else; Pearson residuals allow for the noise"
      " and do better ([Sparse counts](sparse_counts.ipynb)).",
      fates_in.max() < 0.95, fates_out.min() > 0.95,
      rare_in.max() < 10, 12 < rare_out.median() < 40)  # fmt: skip

# %% [markdown]
# **How to see it**: look at the depth of each cluster, and plot variation against the mean. Also look at what a
# filter removes from each time and type: small resting cells are shallow. **What refuses it**: `check_depths` on
# clusters. Nothing refuses rare genes; the choice is yours.

# %%
late = organism.sample(organism.times[-1], 300, seed=seed)
mixed = lab.with_empty_droplets(late, 85, seed)
for rows in (np.full(mixed.n_obs, True), lab.deep_enough(mixed.X)):
    x = mixed.X[rows]
    label = lab.kmeans(lab.log_counts(x), 3, seed).labels_
    print(verdict(confounding.check_depths, x.sum(axis=1), label, factor=2))

# %% [markdown]
# ## What it cost
#
# Each row gives the median of a quantity with the mistake and without it, and the mean difference within a seed. The
# 95% interval is about new seeds, not about other data.

# %% tags=["hide-input"]
table(costs.table())

# %% [markdown]
# ## Check yourself
#
# <details><summary>Three times, three batches. Which method removes the batch?</summary>
#
# None. Whatever is removed as batch contains the time. Measure a few cells of all times in one batch.
#
# </details>
#
# <details><summary>May you smooth over 15 cells to find groups, and test the measured counts?</summary>
#
# Not in the same molecules: the groups were found in the data that are tested. Split the counts first, or test in
# other cells.
#
# </details>
#
# <details><summary>Clusters of one half of the molecules have 80 different genes in the other half. Are they real?</summary>
#
# Look at depth first. A shallow cell is shallow in both halves, and the halves share whatever else belongs to the
# cell.
#
# </details>
#
# <details><summary>After the filter the clusters are the fates. Are no empty droplets left?</summary>
#
# That does not follow: right clusters are not a proof. Look at depth by cluster, and look for rows whose profile is
# the mean of all cells.
#
# </details>
#
# ## Key points
#
# - A batch for each time is a design that no method can mend.
# - Averaged cells share their noise: do not test or correlate what was imputed.
# - Do not test in the cells that made the clusters. Splitting counts helps where they are Poisson and depths are
#   equal; a test in other cells needs no model of the noise.
# - Shuffle the values: whatever an analysis still finds, it invents.
# - Remove empty droplets before clustering, and choose genes by a variance that knows the counting noise.

# %% [markdown]
# ## Exercises
#
# > **Exercise** Cut `noise`, a gene that differs nowhere (400 normal random numbers), at its median into two groups of cells. How many standard deviations lie between the means of the groups?

# %% tags=["solution"]
noise = np.random.default_rng(seed).normal(size=400)
### BEGIN SOLUTION
high = noise > np.median(noise)
answer = (noise[high].mean() - noise[~high].mean()) / noise.std()
### END SOLUTION
checks.double_dip(answer, noise)

# %% [markdown]
# > **Exercise** Cluster the cells of `equal`, whose depths differ, by one half of their molecules, and test the other
# > half of the molecules with `share_test` of `scstlib.experiments.group_differences`, which knows the depth. How many
# > of the called genes are left?
#
# <details><summary>Solution</summary>
#
# `one, other = counts.count_split(equal, seed=seed)`, clusters from
# `lab.kmeans(lab.log_counts(one.X), 2, seed).labels_`, then `share_test(other.X[labels == 0], other.X[labels == 1])`.
# Almost none: the groups are shallow and deep cells, and the test knows the depth. Two mistakes had come together.
#
# </details>
#
# > **Exercise** Mix the batches unevenly: keep a tenth of the cells that have the wrong batch for their time. Does
# > `check_confounding` let it pass? Do the false genes go away?
#
# <details><summary>Solution</summary>
#
# The design passes, because time and batch *can* be told apart; but a test that does not know the batch still calls nearly
# as many false genes. Subtract each gene's batch effect, estimated within times, or test within batches.
#
# </details>
#
# ## Further reading
#
# - [Andrews and Hemberg 2018](https://doi.org/10.12688/f1000research.16613.2): false signals of imputation.
# - [Neufeld et al. 2024](https://doi.org/10.1093/biostatistics/kxac047): count splitting.
# - [Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2): cells are not replicates.
