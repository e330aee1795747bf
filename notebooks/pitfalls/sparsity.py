# %% [markdown]
# # Sparsity
#
# Depth, zeros and what they pretend: imputation, batches, and the size of pseudo-bulks.
#
# > **Learning goals**
# > - say of a zero whether counting, cell types or dropout explains it, and when that cannot be told;
# > - read a result at a tenth and at a hundredth of its depth before you believe it;
# > - keep depth and batch apart from time, or notice that nobody can;
# > - recognise what imputation and double dipping invent, by how much, and what to do instead;
# > - work out how many cells a pseudo-bulk needs for the bins you want;
# > - have a check of the package refuse what can be refused.
# >
# > **Before**: [Preprocessing expression](../foundations/preprocessing_expression.ipynb),
# > [From single cells to windows](../foundations/cells_to_windows.ipynb).
# >
# > **Time**: 45 min to read, 2 min to run.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from IPython.display import Markdown
from scipy.stats import false_discovery_control, norm
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from scstlib import audit
from scstlib.audit.experiments import mean_interval
from scstlib.datasets import load, simulate_organism
from scstlib.datasets.organism.expression import sample_counts
from scstlib.leakage import check_evaluation, record_fit
from scstlib.metrics.contacts import contrast_correlation
from scstlib.metrics.expression import energy_distance
from scstlib.models import ScNODE
from scstlib.models.spatial import BulkRidge
from scstlib.models.temporal import CopyNearest
from scstlib.models.temporal.scnode.count_factors import fit_count_factors
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, book_style
from scstlib.preprocess.confounding import check_confounding, check_depths, variance_explained
from scstlib.preprocess.contacts import distance_means, make_windows, normalise_depth
from scstlib.preprocess.counts import count_split, expected_zeros, thin_counts
from scstlib.preprocess.expression import PearsonResiduals, ShiftedLog, qc_metrics
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks
from scstlib.splits import hold_out_chromosomes, hold_out_times

plt.rcParams.update(book_style())

# %% [markdown]
# Single-cell data are mostly zeros, and zeros are where analyses invent things. This page makes
# each mistake on purpose, next to the same analysis without it. The organism is simulated, so what
# is true is known and an invention can be counted. Every experiment is a function of a seed; its
# settings stand in the cell that calls it, to be changed. It runs on several seeds, and the text
# gives the median and, in brackets, the lowest and the highest. What the mistake adds to a number, the
# **illusion**, is the mean difference within a seed, with its 95 % interval; it speaks of new seeds, not
# of other data.
#
# A cell that begins with `mistake = True` asks a check of the package. Set it to `False` and run it
# again: the answer is "accepted".

# %%
seeds = range(seed, seed + (5 if profile == "fast" else 20))
ledger = []
organism = simulate_organism(seed=seed, preset="small")
deep = simulate_organism(
    seed=seed, preset="small", depth=5500.0
)  # the same cells, ten times as deep


def repeat(experiment, n=None, **settings):
    """Run an experiment on every seed: one row a seed."""
    return pd.DataFrame([experiment(draw, **settings) for draw in list(seeds)[:n]])


def span(values, form="{:.0f}"):
    """Median and, in brackets, lowest and highest."""
    middle, low, high = (form.format(v) for v in (np.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def note(mistake, quantity, made, avoided, form="{:.0f}"):
    """Enter a mistake in the table at the end of the page; say its size with a 95 % interval."""
    difference = np.asarray(made, dtype=float) - np.asarray(avoided, dtype=float)
    signed = form.replace(":z", ":").replace(":", ":+z")
    mean, low, high = (signed.format(v) for v in mean_interval(difference))
    entry = {"mistake": mistake, "quantity": quantity, "made": span(made, form)}
    entry |= {"avoided": span(avoided, form), "illusion": f"{mean} ({low} to {high})"}
    ledger.append(entry)
    return (
        f" **The illusion** in *{quantity}*: {mean} (95 % interval {low} to {high},"
        f" {len(difference)} seeds)."
    )


def guard(check, *arguments, **options):
    """Say what a check of the package objects to."""
    try:
        check(*arguments, **options)
        print("accepted")
    except ValueError as error:
        print("refused:", error)


def log_counts(counts):
    """log(1 + counts per 10,000), dense (cells, genes)."""
    counts = np.asarray(counts.toarray() if hasattr(counts, "toarray") else counts, dtype=float)
    return np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4)


def true_log(cells):
    """log(1 + true expression per 10,000) of simulated cells."""
    return np.log1p(np.asarray(cells.layers["true_mean"]))


def p_values(a, b):
    """Welch's test of each column, two-sided, for samples of a hundred cells or more."""
    error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
    change = a.mean(axis=0) - b.mean(axis=0)
    return 2 * norm.sf(np.abs(np.divide(change, error, out=np.zeros(len(error)), where=error > 0)))


def found(p):
    """Genes called at a false discovery rate of 5 %."""
    return false_discovery_control(p) < 0.05


# %% [markdown]
# ## Zeros: counting, cell types, dropout
#
# [Counts of single cells](../foundations/counts_of_single_cells.ipynb#zeros) drew the share of zeros
# against a Poisson line. Genes above the line were zero more often than counting alone makes them, and it is tempting to call the
# surplus *dropout*: molecules lost by some further process. `expected_zeros` asks more carefully.
# It expects the zeros of each gene from the depth of every cell, with one level for all cells or
# one for each cell type, and with Poisson or negative binomial noise. The setting `dropout` plants
# a true dropout: a molecule-poor gene is lost with this probability on top of all else.

# %%
late = float(organism.times[-1])
dropouts = (0.0, 0.3)  # none, and planted


def zeros_left(draw, dropout):
    """Zeros and zeros beyond three expectations, in percent of all entries."""
    cells = organism.sample(late, n_cells=300, seed=draw, dropout=dropout)
    together = expected_zeros(cells).mean()
    by_type = expected_zeros(cells, cells.obs["cell_type"].to_numpy()).mean()
    return 100 * pd.Series({
        "zeros": together["zeros"],
        "beyond Poisson, one level": together["zeros"] - together["poisson"],
        "beyond Poisson, by type": by_type["zeros"] - by_type["poisson"],
        "beyond negative binomial, by type": by_type["zeros"] - by_type["negative_binomial"],
        "dispersion": by_type["dispersion"] / 100,
    })  # fmt: skip


zeros = {dropout: repeat(zeros_left, dropout=dropout) for dropout in dropouts}
pd.DataFrame({f"dropout {d:.0%}": t.median() for d, t in zeros.items()}).round(2)

# %% tags=["hide-input"]
without, planted = zeros.values()
naive, careful = "beyond Poisson, one level", "beyond negative binomial, by type"
added = planted["zeros"].to_numpy() - without["zeros"].to_numpy()
size = note("surplus over Poisson read as dropout", "dropout found where there is none (% of entries)",
     without[naive], without[careful], "{:z.1f}")  # fmt: skip
Markdown(
    f"Nothing was dropped in the first column, and {span(without[naive], '{:z.1f}')} % of all entries are zeros"
    " beyond the Poisson line: cells differ. With a level for each cell type and the dispersion of the"
    f" genes, {span(without[careful], '{:z.1f}')} % are left. The second column has a true dropout, which added"
    f" {span(added, '{:z.1f}')} % of zeros; of these, the careful model sees {span(planted[careful], '{:z.1f}')} %."
    f" The rest hides in the dispersion, which went from {without['dispersion'].median():.2f} to"
    f" {planted['dispersion'].median():.2f}." + size
)

# %% [markdown]
# Two lessons. A surplus over Poisson is no evidence of dropout until differences between cells are
# in the model; counts of droplets show none beyond that ([Svensson
# 2020](https://doi.org/10.1038/s41587-019-0379-5)). And at such depths a moderate dropout and a
# larger dispersion make the same zeros: a fitted zero-inflated model gives *some* number, whichever
# is true. What matters is how the assay was done ([Jiang et al.
# 2022](https://doi.org/10.1186/s13059-022-02601-5)). **Avoid** reading a surplus without
# `expected_zeros(cells, groups)`; **detect** an unmodelled difference between cells by a surplus
# that goes away when groups are given. No check can refuse this mistake: the same counts come from
# both processes.
#
# The same question to real counts: 600 cells of the malaria parasite, by the stage that its atlas
# gives them ([its entry](../../book/data.md) says from where).

# %% caption="Malaria parasites: zeros of each gene beyond what a model expects, against the gene's mean count. With one level for all cells and Poisson noise (grey) many genes have a surplus of zeros. With a level for each stage and a dispersion for each gene (blue) little is left." alt="A scatter plot on a logarithmic x axis. Grey dots rise far above zero at middle means, blue dots lie close to the zero line." name="fig-malaria-zeros"
malaria = load("malaria_cell_atlas")
rng = np.random.default_rng(seed)
malaria = malaria[np.sort(rng.choice(malaria.n_obs, 600, replace=False))].copy()
stage = malaria.obs["stage_pred"].to_numpy()
one_level, by_stage = expected_zeros(malaria), expected_zeros(malaria, stage)
surplus = {
    "Poisson, one level": (one_level["zeros"] - one_level["poisson"], GREY),
    "negative binomial, by stage": (by_stage["zeros"] - by_stage["negative_binomial"], BLUE),
}
fig, ax = plt.subplots()
for name, (values, color) in surplus.items():
    ax.plot(one_level["mean"], 100 * values, ".", ms=3, alpha=0.5, color=color, label=name)
ax.axhline(0, color="black", lw=0.8)
ax.set(xscale="log", xlabel="mean count", ylabel="zeros beyond the model (% of cells)")
ax.legend(markerscale=3)
plt.show()

# %% tags=["hide-input"]
left = {name: 100 * values.mean() for name, (values, _) in surplus.items()}
Markdown(
    f"{100 * one_level['zeros'].mean():.0f} % of these entries are zero."
    f" Beyond the models are {left['Poisson, one level']:.1f} % and"
    f" {left['negative binomial, by stage']:.1f} %: counting, stages and dispersion explain nearly all"
    " zeros, and leave little for a dropout to explain. That is not a proof that there is none."
)

# %% [markdown]
# ## Two decades of depth
#
# A shallower experiment can be had from a deep one: keep each molecule by chance. `thin_counts`
# does that. So you need not guess what your result would be with a tenth of the depth, nor what it
# *was* worth before you doubled it. Cells of the organism, 5,500 counts each, are thinned to 55.
# Four ways to describe them are asked for the 15 true neighbours of a cell, as in
# [Preprocessing expression](../foundations/preprocessing_expression.ipynb); two of them also for the
# 200 genes that vary most in truth.
# *Count factors* are the count likelihood among them: components of a negative binomial that knows
# the depth ([Townes et al. 2019](https://doi.org/10.1186/s13059-019-1861-6)).

# %%
shares = [1, 0.3, 0.1, 0.03, 0.01]


def neighbours(points):
    """The 15 nearest other cells."""
    return NearestNeighbors(n_neighbors=16).fit(points).kneighbors(points)[1][:, 1:]


def overlap(a, b):
    """Mean share of neighbours that two lists have in common."""
    return np.mean([len(np.intersect1d(x, y)) / len(x) for x, y in zip(a, b, strict=True)])


def components(values):
    return PCA(10, random_state=0).fit_transform(values)


def most_variable(values):
    return np.argsort(-values.var(axis=0))[:200]


def describe(thin, draw):
    """Values of the genes and points of the cells, by four descriptions."""
    counts = torch.tensor(thin.X.toarray(), dtype=torch.float32)
    values = {
        "log, 10,000": log_counts(thin.X),
        "log, median": ShiftedLog("median").fit(thin).transform(thin).X.toarray(),
        "Pearson residuals": PearsonResiduals().fit(thin).transform(thin).X,
    }
    points = {name: components(v) for name, v in values.items()}
    factors = fit_count_factors(counts, 10, 5, counts.sum(1).numpy(), draw)
    return values, points | {"count factors": factors.encode(counts).numpy()}


def by_depth(draw, share, cells, truth, true):
    """What is left of the truth at a share of the depth."""
    values, points = describe(thin_counts(cells, seed=draw, fraction=share), draw)
    kept = {f"genes, {n}": np.isin(most_variable(truth), most_variable(values[n])).mean()
            for n in ("log, 10,000", "Pearson residuals")}  # fmt: skip
    return {n: overlap(neighbours(p), true) for n, p in points.items()} | kept


tables = []
for draw in list(seeds)[:3]:
    cells = deep.sample(deep.times[-3:], n_cells=100, seed=draw)
    truth = true_log(cells)
    true = neighbours(components(truth))
    tables.append(pd.DataFrame({f: by_depth(draw, f, cells, truth, true) for f in shares}).T)
curves = {share: pd.DataFrame([table.loc[share] for table in tables]) for share in shares}
medians = pd.DataFrame({share: table.median() for share, table in curves.items()}).T
medians.rename_axis("share of depth").round(2).rename(
    columns=lambda name: name.replace("genes, ", "genes: ")
)

# %% caption="True neighbours (left) and most variable genes (right) that are found at a share of the depth; medians and ranges over three seeds, dotted lines are chance. Count factors know most when counts are deep. At a hundredth of the depth the ways no longer differ, and little is left of the neighbours." alt="Two panels of falling curves on a logarithmic axis from 1 to 0.01. On the left four curves fall from between 0.2 and 0.35 and come together near 0.1. On the right two curves fall from 0.7 to 0.4 and stay above the dotted line." name="fig-decades"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.4))
colors = dict(zip(medians, [BLUE, GREEN, ORANGE, PURPLE, BLUE, ORANGE], strict=True))
for name in medians:
    ax = axes[int(name.startswith("genes"))]
    drawn = np.array([[t[name].min(), t[name].max()] for t in curves.values()]).T
    ax.fill_between(shares, *drawn, color=colors[name], alpha=0.15, lw=0)
    label = name.removeprefix("genes, ")
    ax.plot(shares, medians[name], "o-", ms=4, color=colors[name], label=label)
for ax, chance, title in zip(axes, [15 / 299, 200 / 1200], ["neighbours", "genes"], strict=True):
    ax.axhline(chance, color=GREY, ls=":")
    ax.set(xscale="log", ylim=0, xlabel="share of the depth", ylabel="share found", title=title)
    ax.invert_xaxis()
    ax.legend(fontsize="x-small", loc="upper right")
plt.show()

# %% tags=["hide-input"]
top, low = curves[1], curves[0.01]
best = medians.iloc[0, :4].idxmax()
Markdown(
    f"At full depth {best} finds {span(100 * top[best])} % of the true neighbours and the logarithm"
    f" {span(100 * top['log, 10,000'])} %; at a hundredth it is {span(100 * low[best])} % and"
    f" {span(100 * low['log, 10,000'])} %. Of the genes chosen by the variance of the logarithm"
    f" {span(100 * top['genes, log, 10,000'])} % are right at full depth and"
    f" {span(100 * low['genes, log, 10,000'])} % at the lowest. The plots of such cells look no worse: nothing on"
    " them says how deep they are."
)

# %% [markdown]
# Real cells have no truth to compare with, but two halves of the same molecules that should agree.
# `count_split` deals the molecules of each cell into two sets. A result that the halves do not
# share is not there, at this depth; that two halves agree is no proof, because what they share may
# be depth itself.

# %%


def halves_agree(draw, share):
    """Agreement of two halves of the molecules of malaria parasites, thinned."""
    thin = thin_counts(malaria, seed=draw, fraction=share)
    halves = [log_counts(half.X) for half in count_split(thin, seed=draw)]
    genes = [most_variable(half) for half in halves]
    return {
        "neighbours": overlap(*(neighbours(components(half)) for half in halves)),
        "variable genes": np.isin(*genes).mean(),
    }


agree = pd.DataFrame({share: halves_agree(seed, share) for share in shares}).T
agree.rename_axis("share of depth").round(2)

# %% [markdown]
# ## Unequal depth makes differential genes
#
# Two samples of cells from *one* population: every cell has the same true expression, so no gene
# differs. The second sample is three times as shallow. Genes seen in at least 5 % of the cells are
# tested on log counts. Then the same with both thinned to one total (`thin_counts(total=...)`), and
# with a test that stays with the counts: it compares shares of all counts and takes the depth as
# exposure. Last, two real fates of the organism show what the remedies cost.

# %%
profile_of_stem = np.asarray(organism.sample(0.0, 400, seed=seed).layers["true_mean"]).mean(axis=0)


def one_population(n, draw, noise="negative binomial", depth=550, spread=0.45):
    """Cells that differ by chance alone: one true expression for all, AnnData of counts."""
    rng = np.random.default_rng([draw, 1])
    depths = depth * np.exp(spread * rng.standard_normal(n))
    means = np.tile(profile_of_stem, (n, 1)).astype(np.float32)
    if noise == "Poisson":
        return AnnData(rng.poisson(means * depths[:, None] / 1e4).astype(float))
    return AnnData(sample_counts(means, depths, organism.genome.dispersion, rng).astype(float))


def share_test(a, b):
    """Test of the share that a gene has of all counts, with the spread between cells."""
    shares, errors = [], []
    for counts in (a, b):
        depth = counts.sum(axis=1, keepdims=True)
        shares.append(counts.sum(axis=0) / depth.sum())
        errors.append(((counts - shares[-1] * depth) ** 2).sum(axis=0) / depth.sum() ** 2)
    return 2 * norm.sf(np.abs(shares[0] - shares[1]) / np.sqrt(errors[0] + errors[1]))


def to_one_depth(a, b, draw):
    """Two samples thinned to one total for every cell."""
    total = 0.9 * min(a.X.sum(axis=1).min(), b.X.sum(axis=1).min())
    return [thin_counts(part, seed=draw, total=total) for part in (a, b)]


def three_tests(a, b, draw):
    """Genes called between two samples of unequal depth, by three routes."""
    seen = (np.concatenate([a.X, b.X]) > 0).mean(axis=0) > 0.05
    even = [log_counts(part.X)[:, seen] for part in to_one_depth(a, b, draw)]
    return {
        "log counts": found(p_values(log_counts(a.X)[:, seen], log_counts(b.X)[:, seen])).sum(),
        "log counts, thinned to one depth": found(p_values(*even)).sum(),
        "counts, depth as exposure": found(share_test(a.X[:, seen], b.X[:, seen])).sum(),
    }


def two_samples(draw, shallower):
    """Two samples of one population; the second keeps a share of its molecules."""
    a, b = one_population(200, draw), one_population(200, draw + 1000)
    return a, thin_counts(b, seed=draw, fraction=shallower)


def none_differ(draw, shallower):
    """Genes called where no gene differs."""
    return three_tests(*two_samples(draw, shallower), draw)


def fates_differ(draw, shallower):
    """Two fates of the organism, the second shallower."""
    cells = organism.sample(late, 400, seed=draw)
    parts = [cells[(cells.obs["fate"] == fate).to_numpy()].copy() for fate in ("alpha", "beta")]
    for part in parts:
        part.X = part.X.toarray().astype(float)
    return three_tests(parts[0], thin_counts(parts[1], seed=draw, fraction=shallower), draw)


shallower = 1 / 3
false = repeat(none_differ, shallower=shallower)
true = repeat(fates_differ, shallower=shallower)
pd.DataFrame({"called, no gene differs": false.median(), "called, two fates": true.median()})

# %% tags=["hide-input"]
size = note("groups of unequal depth, log counts", "genes called where none differs",
     false["log counts"], false["counts, depth as exposure"])  # fmt: skip
Markdown(
    f"Of genes that do not differ, the logarithm calls {span(false['log counts'])}; thinned to one depth"
    f" {span(false['log counts, thinned to one depth'])}, by shares of counts"
    f" {span(false['counts, depth as exposure'])}. Scaling makes the mean of the *counts* equal, and the mean of their"
    " logarithms still falls with depth, for every gene with zeros. Thinning throws molecules away, all"
    " of those above the shallowest cell: between two fates that do differ it calls"
    f" {span(true['log counts, thinned to one depth'])} genes, the test of shares"
    f" {span(true['counts, depth as exposure'])}. The {span(true['log counts'])} of the logarithm are no merit;"
    " most of them it calls anyway." + size
)

# %% [markdown]
# **Detect**: set the depth against the groups that you compare. `variance_explained` is the share
# of the variance of log depth that lies between them; for time points it says how far depth is
# confounded with time.

# %%
series = load("semrau2017")
series = series[np.asarray(series.X.sum(axis=1)).ravel() > 0].copy()
log_depth = np.log(np.asarray(series.X.sum(axis=1)).ravel())
cells = organism.sample(n_cells=100, seed=seed)
for name, values, times in [
    ("semrau2017", log_depth, series.obs["time"]),
    ("organism", np.log(np.asarray(cells.X.sum(axis=1)).ravel()), cells.obs["time"]),
]:
    print(f"{name}: time explains {variance_explained(values, times):.0%} of log depth")

# %% [markdown]
# **What refuses it**: `check_depths`, before any test. Here are the two samples of the first seed, and after
# them the times of `semrau2017`, which stay refused: cells of a panel cannot be made deeper.

# %%
mistake = True  # samples as they are; False: thinned to one depth
samples = two_samples(seed, shallower)
samples = samples if mistake else to_one_depth(*samples, seed)
guard(check_depths, np.hstack([part.X.sum(axis=1) for part in samples]), np.repeat([1, 2], 200))
guard(check_depths, np.exp(log_depth), series.obs["time"])

# %% [markdown]
# > **Tip** In a panel of few genes such as `semrau2017` the total of a cell *is* expression: the
# > genes were chosen because they change. Dividing it out turns one rising gene into forty falling
# > ones. Without spike-ins or housekeeping genes on the panel, depth and biology cannot be told
# > apart there.
#
# ## A batch for each time
#
# Many series measure each time in a batch of its own. Here cells of two times come in two batches
# whose genes are caught with slightly unequal success. Once the early cells are of one batch and
# the late ones of the other; once both batches hold cells of both times. Called genes whose true
# mean changes by less than 5 % are inventions.

# %%


def batches(draw, confounded, strength):
    """False and true genes called between two times measured in two batches."""
    cells = organism.sample(
        organism.times[[2, 5]], 400, seed=draw, n_batches=2, batch_strength=strength
    )
    is_late = (cells.obs["time"] == organism.times[5]).to_numpy()
    second = (cells.obs["batch"] == "batch_1").to_numpy()
    mean = np.asarray(cells.layers["true_mean"])
    change = np.abs(np.log(mean[is_late].mean(axis=0) / mean[~is_late].mean(axis=0)))
    half = np.random.default_rng(draw).random(len(second)) < 0.5
    kept = (second == is_late) if confounded else half
    values = log_counts(cells.X)[kept]
    called = found(p_values(values[is_late[kept]], values[~is_late[kept]]))
    return {"false": called[change < 0.05].sum(), "true": called[change > 0.5].sum()}


strength = 0.2
designs = {c: repeat(batches, confounded=c, strength=strength) for c in (True, False)}
pd.concat(
    {"a batch for each time": designs[True], "both at both": designs[False]}, axis=1
).median().unstack()

# %% tags=["hide-input"]
size = note("a batch for each time", "genes called that hardly change", designs[True]["false"],
     designs[False]["false"])  # fmt: skip
Markdown(
    f"With a batch for each time {span(designs[True]['false'])} genes are called that hardly change, with"
    f" both batches at both times {span(designs[False]['false'])}; of the genes that do change, about as many"
    f" are found ({span(designs[True]['true'])} and {span(designs[False]['true'])}). No correction helps the"
    " first design: a method that removes the batch removes the time with it, and one that keeps the time"
    " keeps the batch. A few cells of every time in one common batch link the times, and that is enough."
    + size
)

# %% [markdown]
# **Detect**: count cells by time and batch before anything else; a row that shares no column with the others
# cannot be compared with them. Genes that nothing should move, such as spike-ins, say how strong the
# batch is. **Avoid**: spread each time over batches. **What refuses it**: `check_confounding`.

# %%
mistake = True  # a run for each time; False: cells of every time in both runs
two_runs = np.where(np.arange(cells.n_obs) % 2, "run 1", "run 2")
run_of_time = cells.obs["time"].map("run of {:.0f} h".format)
guard(
    check_confounding,
    cells.obs[["time"]].assign(batch=run_of_time if mistake else two_runs), "time", "batch",
)  # fmt: skip

# %% [markdown]
# ## What imputation invents
#
# Imputation fills zeros from similar cells. The simplest imputer is five lines long, and stands for
# the idea: the mean of the `k` nearest cells.

# %%


def smooth(values, k):
    """Replace each cell by the mean of its k nearest cells, itself among them."""
    points = PCA(20, random_state=0).fit_transform(values)
    nearest = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(points)[1]
    return values[nearest].mean(axis=1)


def invented_correlations(draw, numbers):
    """Share (%) of gene pairs with |r| > 0.3 among cells that differ by chance alone."""
    values = log_counts(one_population(400, draw).X)
    values = values[:, (values > 0).mean(axis=0) > 0.1]
    pairs = np.triu_indices(values.shape[1], 1)
    r = {k: np.corrcoef(smooth(values, k).T)[pairs] for k in numbers}
    return {k: 100 * np.mean(np.abs(values) > 0.3) for k, values in r.items()}


def invented_genes(draw, numbers):
    """Share (%) of genes called among those whose values were dealt out anew to the cells."""
    rng = np.random.default_rng([draw, 2])
    cells = organism.sample(late, 500, seed=draw)
    fates = cells.obs["fate"].to_numpy()
    rows = np.concatenate([np.flatnonzero(fates == f)[:100] for f in ("beta", "gamma")])
    values = log_counts(cells.X[rows])
    values = values[:, (values > 0).mean(axis=0) > 0.05]
    dealt = rng.random(values.shape[1]) < 0.5
    values[:, dealt] = rng.permuted(values[:, dealt], axis=0)
    filled = {k: smooth(values, k) for k in numbers}
    return {k: 100 * found(p_values(f[:100], f[100:]))[dealt].mean() for k, f in filled.items()}


numbers = [1, 5, 15, 50]  # cells averaged; 1: nothing is imputed
invented = {
    "correlations": repeat(invented_correlations, numbers=numbers),
    "genes": repeat(invented_genes, numbers=numbers),
}

# %% caption="What a smoother invents from noise. *Left*: gene pairs with a correlation above 0.3 among cells that do not differ. *Right*: genes called different between two fates after their values were dealt out to the cells at random. One cell means no smoothing. Dots are seeds." alt="Two panels with rising lines against the number of cells averaged. On the left from 0 to about 30 percent, on the right from about 1 to 80 percent." name="fig-imputation"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.9), sharex=True)
for ax, (name, table) in zip(axes, invented.items(), strict=True):
    ax.plot(numbers, table.median(), color=RED)
    ax.plot(numbers, table.T, ".", color=RED, ms=5)
    ax.set(xscale="log", xlabel="cells averaged", ylabel=f"invented {name} (%)", ylim=(-3, None))
    ax.set_xticks(numbers, [str(k) for k in numbers])
    ax.minorticks_off()
plt.show()

# %% tags=["hide-input"]
size = note("correlations after imputation (k = 15)", "pairs with |r| > 0.3 among independent genes (%)",
     invented["correlations"][15], invented["correlations"][1], "{:z.1f}")  # fmt: skip
size += note("tests after imputation (k = 15)", "permuted genes called (%)",
     invented["genes"][15], invented["genes"][1])  # fmt: skip
Markdown(
    f"With 15 cells averaged, {span(invented['correlations'][15], '{:z.1f}')} % of the pairs of independent genes are"
    f" correlated and {span(invented['genes'][15])} % of the genes without any difference are called;"
    f" without smoothing it is {span(invented['correlations'][1], '{:z.1f}')} % and"
    f" {span(invented['genes'][1], '{:z.1f}')} %. Averaged cells share their noise, and the test counts them as if they"
    " did not. Genes whose values are dealt out at random before imputing are also how to **detect** it on real data"
    " ([Andrews and Hemberg 2018](https://doi.org/10.12688/f1000research.16613.2))." + size
)

# %% [markdown]
# **Avoid**: test and correlate counts as measured, with a count model; use smoothed values to look
# at, or as an input whose worth is scored on data that were not smoothed. **What refuses it**: whatever
# of the package needs counts, such as `count_split`, takes nothing else. Most imputers that were
# compared did not help what came after ([Hou et al.
# 2020](https://doi.org/10.1186/s13059-020-02132-x)). A pseudo-bulk is an honest average: it says of
# how many cells it is.

# %%
mistake = True  # smoothed values; False: counts as measured
measured = one_population(100, seed)
guard(count_split, AnnData(smooth(measured.X, 15)) if mistake else measured, seed=seed)

# %% [markdown]
# ## Double dipping
#
# Cluster the cells, then test which genes differ between the clusters: every gene that moved a cell
# into a cluster differs between clusters ([Gao et al.
# 2024](https://doi.org/10.1080/01621459.2022.2116331)). Here there is one population and a panel of
# its 100 most expressed genes, so each gene that is called is an invention. With count splitting ([Neufeld et al.
# 2024](https://doi.org/10.1093/biostatistics/kxac047)) clusters are found in one half of the
# molecules and tested in the other. Three populations: Poisson counts of equal depth, for which
# splitting is made; deep counts with the dispersion of the organism; and Poisson counts of unequal
# depth.
#
# ![A table of one cell with four genes. Its molecules are drawn as marks: 4 of gene A, 0 of gene B, 3 of gene C, 8 of gene D. Each is either a filled blue circle or a hollow orange square, by chance. Two columns on the right count the circles, part 1, and the squares, part 2; 15 molecules become 7 and 8. Below, an arrow leads from part 1, find clusters, to part 2, test genes. A note says: independent if counts are Poisson.](../../book/_static/diagrams/count_splitting.svg)
#
# *A coin decides for each molecule into which part it falls; both parts are the same cells, and what is found in one can be tested in the other.*

# %%


def clusters(values, draw):
    return KMeans(2, n_init=3, random_state=draw).fit_predict(components(values)).astype(bool)


def dip(draw, noise, depth, spread):
    """Genes called between two clusters of one population, tested thrice."""
    cells = one_population(300, draw, noise, depth, spread)
    cells = cells[:, np.argsort(-cells.X.mean(axis=0))[:100]].copy()
    one, other = count_split(cells, seed=draw)
    values, first, second = (log_counts(part.X) for part in (cells, one, other))
    same, split = clusters(values, draw), clusters(first, draw)
    dealt = np.random.default_rng(draw).permutation(same)
    tests = {"double dipping": (values, same), "count splitting": (second, split),
             "random groups": (values, dealt)}  # fmt: skip
    return {name: found(p_values(v[g], v[~g])).sum() for name, (v, g) in tests.items()}


populations = {
    "Poisson, equal depth": {"noise": "Poisson", "depth": 550, "spread": 0.0},
    "overdispersed and deep": {"noise": "negative binomial", "depth": 5500, "spread": 0.0},
    "Poisson, unequal depth": {"noise": "Poisson", "depth": 550, "spread": 0.45},
}
dips = {name: repeat(dip, **settings) for name, settings in populations.items()}
pd.DataFrame({name: table.median() for name, table in dips.items()}).astype(int)

# %% tags=["hide-input"]
clean, loose, uneven = dips.values()
size = note("clusters tested on their own cells", "genes called in one population",
     clean["double dipping"], clean["count splitting"])  # fmt: skip
Markdown(
    f"In the first population double dipping calls {span(clean['double dipping'])} genes of 100,"
    f" splitting {span(clean['count splitting'])}. In the second, splitting calls"
    f" {span(loose['count splitting'])}, no fewer than double dipping"
    f" ({span(loose['double dipping'])}): a cell that has much of a gene by chance has much of it in"
    " both halves, so that they are not independent. In the third, the clusters are shallow and deep"
    " cells, which are the same in both halves, and the logarithm does the rest:"
    f" {span(uneven['count splitting'])} with splitting, {span(uneven['double dipping'])} without."
    " Splitting removes one mistake, not its neighbours. What needs no model of the noise is a test on"
    " other cells, best of another donor." + size
)

# %% [markdown]
# **Detect**: deal the counts of every gene out to the cells anew, then cluster and test as before. No gene goes with
# another any more, so whatever is called is called by the clustering. The same real parasites, their 100 most expressed
# genes. (An interval that includes 0 says that these parasites and so few seeds do not show it.)

# %%


def dealt_out(draw, n_genes):
    """Genes called after their counts were dealt out: between clusters, between random groups."""
    rng = np.random.default_rng([draw, 4])
    panel = malaria[:, np.argsort(-np.asarray(malaria.X.mean(axis=0)).ravel())[:n_genes]]
    values = log_counts(rng.permuted(panel.X.toarray(), axis=0))
    groups = {"between clusters": clusters(values, draw), "random groups": rng.random(600) < 0.5}
    return {name: found(p_values(values[g], values[~g])).sum() for name, g in groups.items()}


dealt = repeat(dealt_out, n_genes=100)
size = note("clusters tested on their own cells, malaria", "genes called after they were dealt out",
            dealt["between clusters"], dealt["random groups"], "{:z.1f}")  # fmt: skip
Markdown(
    f"Called: {span(dealt['between clusters'])}; random groups {span(dealt['random groups'])}."
    + size
)

# %% [markdown]
# **Avoid**: test in other cells, best of another donor. **What refuses it**: `check_evaluation`, once the clustering says which cells
# made it (`record_fit`).

# %%
mistake = True  # tested in the cells that were clustered; False: in the others
population = one_population(300, seed)
clustered, others = population[:150].copy(), population[150:].copy()
clustering = KMeans(2, n_init=3, random_state=seed).fit(components(log_counts(clustered.X)))
record_fit(clustering, clustered)
guard(check_evaluation, clustering, clustered if mistake else others)

# %% [markdown]
# ## Empty droplets and genes that are hardly seen
#
# A droplet without a cell still holds RNA that floats about, and becomes a row of the matrix. A gene
# of a few counts becomes a column whose coefficient of variation is large by chance. Below, empty
# droplets are added to late cells, a third as many as there are cells. Three clusters are asked for,
# one for each fate, before and after droplets of low depth are removed as in
# [Preprocessing expression](../foundations/preprocessing_expression.ipynb#quality-of-cells). The
# adjusted Rand index of the real cells is 1 if clusters and fates are the same, and 0 by chance. And 200 genes are chosen by their
# coefficient of variation, from all genes and from those seen in at least a share `least` of the
# cells.

# %%


def droplets(draw, n_empty, depth=20):
    """Late cells, then empty droplets that hold the mean of all cells, as counts."""
    cells = organism.sample(late, 300, seed=draw)
    cells = cells[(cells.obs["fate"] != "uncommitted").to_numpy()]
    real = cells.X.toarray()
    ambient = real.mean(axis=0) / real.sum(axis=1).mean()
    empty = np.random.default_rng([draw, 3]).poisson(depth * ambient, (n_empty, len(ambient)))
    return AnnData(np.vstack([real, empty]).astype(float)), cells


def deep_enough(adata):
    """Rows no more than three median absolute deviations of log counts below the median."""
    depth = np.log1p(qc_metrics(adata)["total_counts"].to_numpy())
    middle = np.median(depth)
    return depth > middle - 3 * 1.4826 * np.median(np.abs(depth - middle))


def fates_found(adata, fates, rows, draw):
    """Adjusted Rand index of three clusters and the fates, over the real cells."""
    points = components(log_counts(adata.X[rows]))
    label = KMeans(3, n_init=5, random_state=draw).fit_predict(points)
    real = np.flatnonzero(rows) < len(fates)
    return adjusted_rand_score(fates[np.flatnonzero(rows)[real]], label[real])


def genes_found(counts, truth, seen):
    """Share (%) of the 200 genes of largest variation that are among the 200 true ones."""
    scaled = np.expm1(log_counts(counts))
    variation = np.where(seen, scaled.std(axis=0) / np.maximum(scaled.mean(axis=0), 1e-9), -1)
    return 100 * np.isin(np.argsort(-variation)[:200], most_variable(truth)).mean()


def quality_control(draw, n_empty, least):
    """Fates and genes found without and with quality control."""
    adata, cells = droplets(draw, n_empty)
    fates, truth = cells.obs["fate"].to_numpy(), true_log(cells)
    everything, kept = np.ones(adata.n_obs, bool), deep_enough(adata)
    counts = adata.X[: len(fates)]
    return {
        "fates, with droplets": fates_found(adata, fates, everything, draw),
        "fates, without": fates_found(adata, fates, kept, draw),
        "genes (%), rare ones too": genes_found(counts, truth, np.ones(adata.n_vars, bool)),
        "genes (%), rare ones out": genes_found(counts, truth, (counts > 0).mean(axis=0) >= least),
        "cells lost (%)": 100 * (1 - kept[: len(fates)].mean()),
        "droplets kept (%)": 100 * kept[len(fates) :].mean(),
    }


controls = repeat(quality_control, n_empty=85, least=0.1)
controls.median().round(2).to_frame("median")

# %% tags=["hide-input"]
size = note("empty droplets left in", "adjusted Rand index of clusters and fates",
     controls["fates, with droplets"], controls["fates, without"], "{:.2f}")  # fmt: skip
size += note("rare genes left in, chosen by variation", "right genes among 200 (%)",
     controls["genes (%), rare ones too"], controls["genes (%), rare ones out"])  # fmt: skip
Markdown(
    "With the droplets left in, clusters and fates agree by"
    f" {span(controls['fates, with droplets'], '{:.2f}')}, without them by"
    f" {span(controls['fates, without'], '{:.2f}')}: the droplets claim a cluster, and two fates have to"
    " share one. Of the genes chosen by variation"
    f" {span(controls['genes (%), rare ones too'])} % are right with rare genes and"
    f" {span(controls['genes (%), rare ones out'])} % without, where chance is {200 / 12:.0f} %: a"
    " coefficient of variation is mostly counting noise, and of rare genes nothing else. A variance"
    " that knows the noise, such as that of Pearson residuals, does better with the same genes (the"
    " figure above). The threshold kept"
    f" {span(controls['droplets kept (%)'])} % of the droplets and lost"
    f" {span(controls['cells lost (%)'], '{:z.1f}')} % of the cells. Look at what it removes by time"
    " and by cell type before you apply it: small resting cells are shallow, too." + size
)

# %% [markdown]
# **Detect**: look at the depth of each cluster, and plot the variation of genes against their mean. **Avoid**: remove droplets before
# clustering; choose genes by a variance that knows the noise. **What refuses it**: `check_depths` for clusters whose depths are
# far apart (rare genes are refused by nothing: the choice is yours).

# %%
mistake = True  # droplets left in; False: removed
adata, _ = droplets(seed, n_empty=85)
adata = adata if mistake else adata[deep_enough(adata)].copy()
label = KMeans(3, n_init=5, random_state=seed).fit_predict(components(log_counts(adata.X)))
guard(check_depths, adata.X.sum(axis=1), label, factor=2)

# %% [markdown]
# ## A model of time, ten and a hundred times as shallow
#
# The model of [scNODE by hand](../temporal/scnode_by_hand.ipynb) is fitted to a series of the deep
# organism with one inner time held out, and to the same series thinned. It is scored as one would score it without a truth, by
# its distance to the held-out cells, which are as shallow as the training cells; and then by what
# only a simulation can tell, the distance of its noise-free cells to the true expression at that
# time.

# %%
small = simulate_organism(seed=seed, preset="small", n_genes=300, depth=5500.0)
held_out = float(small.times[6])


def seen_cells(cells, draw, share):
    """Cells at a share of their depth, those without a count left out."""
    thin = thin_counts(cells, seed=draw, fraction=share)
    return thin[np.asarray(thin.X.sum(axis=1)).ravel() > 0].copy()


def time_model(draw, share):
    """Energy distances at the held-out time."""
    split = hold_out_times(small.sample(n_cells=40, seed=draw), test=[held_out])
    target, other = (small.sample(held_out, 150, seed=1000 + 2 * draw + k) for k in (0, 1))
    train = seen_cells(split.train, draw, share)
    model = ScNODE(seed=draw).fit(train)
    sampled = {
        "scNODE": model.sample([held_out], 150).X,
        "nearest time": CopyNearest().fit(train).sample([held_out], n_cells=150).X,
        "fresh cells": seen_cells(other, draw + 1, share).X,
    }
    measured = log_counts(seen_cells(target, draw, share).X)
    scores = {name: energy_distance(log_counts(x), measured) for name, x in sampled.items()}
    quiet = log_counts(model.sample([held_out], 150, noise=False).X)
    return scores | {"scNODE, to the truth": energy_distance(quiet, true_log(target))}


time_scores = {share: repeat(time_model, 3, share=share) for share in (1, 0.01)}
pd.DataFrame({f"share of depth {f:g}": t.median() for f, t in time_scores.items()}).round(2)

# %% tags=["hide-input"]
full, hundredth = time_scores[1], time_scores[0.01]
growth = hundredth.to_numpy() / full.to_numpy()
columns = list(full)
seen_growth, true_growth = (growth[:, columns.index(c)] for c in ("scNODE", "scNODE, to the truth"))
size = note("a model scored on cells as shallow as its own", "error at 1 % of the depth / at full depth",
     seen_growth, true_growth, "{:z.1f}")  # fmt: skip
Markdown(
    f"Against held-out cells the model at a hundredth of the depth scores {span(hundredth['scNODE'], '{:.2f}')} where"
    f" it had {span(full['scNODE'], '{:.2f}')}: {span(seen_growth, '{:z.1f}')} times. Its distance to the truth grew"
    f" {span(true_growth, '{:z.1f}')} times. Shallow cells look alike wherever they are, so that shallow data are"
    f" easy to match. **Detect**: score fresh cells beside the model; here they have"
    f" {span(hundredth['fresh cells'], '{:.2f}')}, so the floor rose as well. **Avoid**: never compare scores of"
    " two data sets of unequal depth; thin the deeper one first." + size
)

# %% [markdown]
# **What refuses it**: `check_depths` again, on the cells that two scores were taken against.

# %%
mistake = True  # against deep cells and against shallow ones; False: the deep ones thinned, too
deep_cells = small.sample(held_out, 150, seed=seed)
series_a = seen_cells(deep_cells, seed, 1 if mistake else 0.01)
series_b = seen_cells(deep_cells, seed + 1, 0.01)
depths = [np.asarray(part.X.sum(axis=1)).ravel() for part in (series_a, series_b)]
guard(check_depths, np.hstack(depths), np.repeat(["a", "b"], [len(d) for d in depths]))

# %% [markdown]
# ## How many cells a pseudo-bulk needs
#
# [From single cells to windows](../foundations/cells_to_windows.ipynb) asked how many cells a map
# needs and found: it depends on the question. Here is the curve for one question, contacts 1 to 10 Mb apart
# over their expectation at that distance, and bins of five sizes.

# %%
cell_type, chrom = "beta_mature", organism.chromosomes[0]
bin_mb = organism.settings.bin_size / 1e6
cell_numbers = [3, 10, 30, 100, 300, 1000, 3000]
factors = {"50 kb": 1, "100 kb": 2, "250 kb": 5, "500 kb": 10, "1 Mb": 20}
expected_map = organism.expected_contacts(chrom, cell_type, biased=True).astype(float)


def coarser(counts, factor):
    wide = len(counts) // factor
    return counts.reshape(wide, factor, wide, factor).sum(axis=(1, 3))


def far_pixels(counts, factor):
    """Contacts and observed over expected 1 to 10 Mb apart, in bins `factor` times as wide."""
    counts = coarser(counts.astype(float), factor)
    distance = np.abs(np.subtract.outer(np.arange(len(counts)), np.arange(len(counts))))
    expected = distance_means(counts[None])[distance]
    ratio = np.divide(counts, expected, out=np.zeros_like(counts), where=expected > 0)
    chosen = (distance * factor * bin_mb >= 1) & (distance * factor * bin_mb <= 10)
    return counts[chosen].mean(), ratio[chosen]


def pseudo_bulk_curve(draw):
    """Rows: bin size, cells, contacts of a pixel, agreement with the truth."""
    rows = []
    for n in cell_numbers:
        drawn = organism.sample_contacts(cell_type, n_cells=n, seed=draw, chroms=[chrom])[chrom]
        for name, factor in factors.items():
            contacts, ratio = far_pixels(drawn, factor)
            r = np.corrcoef(ratio, far_pixels(expected_map, factor)[1])[0, 1]
            rows.append((name, n, contacts, r))
    table = pd.DataFrame(rows, columns=["bins", "cells", "contacts of a pixel", "r"])
    return table.assign(seed=draw)


bulks = pd.concat([pseudo_bulk_curve(draw) for draw in seeds])
agreement = bulks.groupby(["bins", "cells"])["r"]

# %% caption="Agreement of a pseudo-bulk with the truth, contacts 1 to 10 Mb apart over their expectation. *Left*: against the number of cells, one curve a bin size; lines are medians over the seeds, bands their range. *Right*: the same points against the mean number of contacts of a pixel come near to one curve: what counts is contacts, not cells." alt="Left: five S-shaped curves on a logarithmic axis from 3 to 3,000 cells, 1 Mb highest and 50 kb lowest. Right: dots of the five sizes on nearly one rising curve against contacts per pixel." name="fig-pseudo-bulk"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.4), sharey=True)
for color, name in zip([BLUE, GREEN, ORANGE, PURPLE, RED], factors, strict=True):
    rows = bulks[bulks["bins"] == name]
    by_number = rows.groupby("cells")["r"]
    axes[0].fill_between(
        cell_numbers, by_number.min(), by_number.max(), color=color, alpha=0.2, lw=0
    )
    axes[0].plot(cell_numbers, by_number.median(), color=color, label=name)
    axes[1].plot(rows["contacts of a pixel"], rows["r"], ".", color=color, ms=4)
axes[0].set(xscale="log", xlabel="cells", ylabel="correlation with the truth")
axes[1].set(xscale="log", xlabel="contacts of a pixel")
axes[0].legend(fontsize="small")
plt.show()

# %% tags=["hide-input"]
needed = {}
for name in factors:
    curve = agreement.median()[name]
    log_cells = np.interp(0.8, curve, np.log10(curve.index))
    needed[name] = 10**log_cells if curve.max() >= 0.8 else np.nan
slope = np.polyfit(np.log10(list(factors.values())), np.log10(list(needed.values())), 1)[0]
contacts_needed = [
    np.exp(np.interp(0.8, rows["r"], np.log(rows["contacts of a pixel"])))
    for _, rows in bulks.groupby(["bins", "cells"]).median().groupby(level=0)
]
enough, used_at = 100, "50 kb"
by_seed = bulks[bulks["cells"] == enough].pivot(index="seed", columns="bins", values="r")
size = note("cells counted, whatever the bins", f"correlation, {enough} cells: 1 Mb, {used_at}",
            by_seed["1 Mb"], by_seed[used_at], "{:.2f}")  # fmt: skip
Markdown(
    "Cells for a correlation of 0.8: "
    + ", ".join(f"{n:,.0f} with bins of {name}" for name, n in needed.items())
    + f". Bins twice as wide need about {2**-slope:.1f} times fewer cells. Contacts of a pixel"
    f" vary less: from {min(contacts_needed):.0f} to {max(contacts_needed):.0f}. So count the contacts of your map at the"
    " distance that you ask about, and choose bins and cells from that." + size
)

# %% [markdown]
# **The mistake** is to read "a hundred cells are enough" from one bin size and use it at another. **Detect**: draw the
# pseudo-bulk twice, from different cells (on real data, from the two halves of the cells). **Avoid**: choose the bins by the
# contacts of a pixel. **What refuses it**: two pseudo-bulks of one cell type have a known agreement if cells are enough, 1, and
# `audit.known_answers` takes a tolerance.

# %%
mistake = True  # bins of 50 kb for 100 cells; False: of 1 Mb


def replicate(draw, bins):
    """Observed over expected of a pseudo-bulk of 100 cells."""
    drawn = organism.sample_contacts(cell_type, n_cells=100, seed=draw, chroms=[chrom])[chrom]
    return far_pixels(drawn, factors[bins])[1]


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


pair = [replicate(draw, "50 kb" if mistake else "1 Mb") for draw in (seed, seed + 1)]
replicates_agree = audit.known_answers([audit.Case("replicates", correlation, pair, 1.0, 0.2)])
print("accepted:" if replicates_agree.passed else "refused:", replicates_agree)

# %% [markdown]
# ## A spatial model and the depth of its targets
#
# A model of contact maps learns from pseudo-bulks and is scored on pseudo-bulks. Here the targets
# are of 10 to 1,000 cells. The model is the ridge regression among the package's baselines, on
# three chromosomes; the fourth is the test. The score is the contrast correlation
# ([What a score rewards](what_a_score_rewards.ipynb)): what is specific to a cell type. Once it is taken against the targets, and
# once against the truth.

# %%
four, kinds = organism.chromosomes[:4], ["stem", "bipotent", "beta_mature", "gamma_mature"]
table, bulk = organism.tracks(), organism.bulk("stem", seed=seed)
rna = organism.sample(n_cells=100, seed=seed, keep_truth=False)
sums = {k: np.asarray(rna.X[(rna.obs["cell_type"] == k).to_numpy()].sum(0)).ravel() for k in kinds}
expression = pd.DataFrame(sums, index=rna.var_names)
expression = expression_tracks(
    expression / expression.sum() * 1e4, organism.genome.genes, table[["chrom", "start", "end"]]
)
shared_names = ["ctcf_forward", "ctcf_reverse", "cpg"]
guides, track_names = guide_tracks(
    expression, reference=kinds, bulk=expression["stem"], shared=table[shared_names].to_numpy(),
    shared_names=["CTCF +", "CTCF -", "CpG"],
)  # fmt: skip
guides = {kind: by_chromosome(values, table) for kind, values in guides.items()}


def windows_of(targets):
    """Windows of four chromosomes and four cell types."""
    return make_windows(
        bulk, guides, targets, bin_size=organism.settings.bin_size,
        bulk_cell_types=["stem"], chromosomes=four, window=128, stride=128, track_names=track_names,
    )  # fmt: skip


def contrast(maps, other):
    """Mean contrast correlation of windows, cell types of a place together."""
    a, b = (normalise_depth(m).reshape(-1, len(kinds), 128, 128) for m in (maps, other))
    means = [
        np.broadcast_to(m.mean(axis=1, keepdims=True), m.shape).reshape(maps.shape) for m in (a, b)
    ]
    a, b = a.reshape(maps.shape), b.reshape(maps.shape)
    return np.nanmean(contrast_correlation(a, b, means[1], prediction_reference=means[0]))


def by_place(windows):
    """Windows of one place next to each other."""
    return windows[windows.table.sort_values(["chrom", "start"], kind="stable").index.to_numpy()]


true_maps = {k: {c: organism.expected_contacts(c, k, biased=True) for c in four} for k in kinds}
true_test = by_place(hold_out_chromosomes(windows_of(true_maps), test=four[3]).test).targets


def spatial_model(draw, n_cells):
    """Contrast of a ridge trained and scored on pseudo-bulks of `n_cells`."""
    targets = {
        k: organism.sample_contacts(k, n_cells=n_cells, seed=draw, chroms=four) for k in kinds
    }
    split = hold_out_chromosomes(windows_of(targets), test=four[3])
    test = by_place(split.test)
    predicted = BulkRidge(n_pixels=60_000, seed=draw).fit(split.train).predict(test)
    return {
        "against the targets": contrast(predicted, test.targets),
        "against the truth": contrast(predicted, true_test),
        "truth against the targets": contrast(true_test, test.targets),
    }


target_cells = [10, 100, 1000]
spatial = {n: repeat(spatial_model, 3, n_cells=n) for n in target_cells}
pd.DataFrame({f"{n:,} cells": t.median() for n, t in spatial.items()}).round(2)

# %% tags=["hide-input"]
least, most = spatial[10], spatial[1000]
seen_ratio, true_ratio = (
    most[c].to_numpy() / least[c].to_numpy() for c in ("against the targets", "against the truth")
)
size = note("a spatial model scored on noisy targets", "score with 1,000 cells / with 10 cells",
     seen_ratio, true_ratio, "{:z.1f}")  # fmt: skip
Markdown(
    f"Trained on targets of ten cells the model scores {span(least['against the targets'], '{:.2f}')} against such targets,"
    f" with a thousand cells {span(most['against the targets'], '{:.2f}')}: it seems {span(seen_ratio, '{:z.1f}')} times as"
    f" good. Against the truth it is {span(true_ratio, '{:z.1f}')} times as good"
    f" ({span(least['against the truth'], '{:.2f}')} and {span(most['against the truth'], '{:.2f}')}). What changed most is the"
    f" target: the truth itself scores {span(least['truth against the targets'], '{:.2f}')} against ten cells. **Detect**: put the"
    " ceiling beside every score, a replicate where there is no truth. **Avoid**: compare cell types"
    " only after `downsample` brought their targets to one depth, and keep rare cell types for training: a regression averages"
    " over pixels, so shallow targets teach more than they can test." + size
)

# %% [markdown]
# **What refuses it**: `check_depths` on the contacts of the maps that are compared.

# %%
mistake = True  # targets of 10 and of 1,000 cells; False: of 100 cells both
contacts_of = [
    [organism.sample_contacts(k, n_cells=n, seed=seed, chroms=four[:1])[four[0]].sum() for k in kinds]
    for n in ((10, 1000) if mistake else (100, 100))
]  # fmt: skip
guard(check_depths, np.hstack(contacts_of), np.repeat(["rare type", "common type"], len(kinds)))

# %% [markdown]
# ## What it cost
#
# Every mistake of this page with its measured size: the quantity when the mistake is made and when
# it is not, as medians, lowest and highest over the seeds; and the illusion, the mean difference within a seed with
# its 95 % interval.

# %%
pd.DataFrame(ledger).set_index("mistake")

# %% [markdown]
# ## Key points
#
# - A zero is first of all a count of a small mean. Put depth, cell types and dispersion into the
#   model before you speak of dropout.
# - Thin before you trust: at a tenth of the depth, and in two halves of the molecules.
# - Compare groups at one depth or with depth in the model. The logarithm of scaled counts does
#   neither.
# - A batch for each time is a design that no method mends.
# - Do not test what was imputed, nor in the cells that made the clusters; splitting counts helps
#   where the noise is Poisson and depths are equal.
# - A score falls or rises with the depth of its target. Give the ceiling with it.
#
# ## Exercises
#
# > **Exercise** Set `shallower = 0.9` in the experiment of unequal depth. How many genes does the
# > logarithm call now? Which difference of depth is small enough to be harmless?
#
# <details><summary>Solution</summary>
#
# Still some with 200 cells in each sample, and the more the more cells there are: a test of many
# cells finds every bias. No difference is harmless by itself; what matters is its size beside the
# noise. At `shallower = 1` there are none.
#
# </details>
#
# > **Exercise** Plant twice the dropout: `dropouts = (0.0, 0.6)`. How much of what it adds does the careful model see?
#
# <details><summary>Solution</summary>
#
# Zeros rise by 5.6 % of all entries, and 0.6 % are seen: about a tenth, as with half the dropout. The rest is again in the
# dispersion, which goes from 0.5 to 1.1. More dropout does not make it easier to recognise.
#
# </details>
#
# > **Exercise** Choose genes by variation with `least=0.02`, `0.3` and `0.5`. Why is there a best value?
#
# <details><summary>Solution</summary>
#
# About 1 %, 43 % and 28 % are right. A low threshold lets counting noise in. At 0.3 some 290 of 1,200 genes are left, with half of
# the right ones among them: 200 drawn blindly from these would be right by 37 %. So the threshold does the choosing, and variation
# adds little. At 0.5 fewer than 200 genes are left. No threshold replaces a variance that knows the noise.
#
# </details>
#
# > **Exercise** In `droplets` set `depth=100`. What does the quality control remove now? Are the clusters wrong?
#
# <details><summary>Solution</summary>
#
# Nothing: a droplet with 100 counts lies within three deviations of the cells. The three clusters agree with the fates all
# the same, with the droplets in. So depth alone does not tell a droplet, and right clusters are no proof that there is none.
#
# </details>
#
# > **Exercise** Ask the time model at a tenth of the depth: `repeat(time_model, 2, share=0.1)`. Does the illusion go away?
#
# <details><summary>Solution</summary>
#
# Not quite. With two seeds the score is about 1.4 times that at full depth and the distance to the truth about twice. At a hundredth
# it was about 1.5 and 7: the score hardly tells a tenth from a hundredth, the truth does.
#
# </details>
#
# > **Exercise** How many more cells does a pseudo-bulk need for a correlation of 0.9 than for 0.8?
#
# <details><summary>Solution</summary>
#
# Put 0.9 for 0.8 in the cell that interpolates the curves: about 2.5 times as many, whatever the bins. The last part of the way is
# the dear one.
#
# </details>
#
# > **Exercise** In the batch experiment give each batch cells of both times, but unevenly: keep a
# > late cell of the first batch, or an early one of the second, with probability 0.1. Does
# > `check_confounding` let it pass? Do the false genes go away?
#
# <details><summary>Solution</summary>
#
# Replace `kept` by `(second == is_late) | (np.random.default_rng(draw).random(len(second)) < 0.1)`.
# The design passes, because time and batch *can* be told apart; but a test that does not know the
# batch still calls nearly as many false genes. Subtract each gene's batch effect, estimated within
# times, or test within batches.
#
# </details>
#
# > **Exercise** Smooth with `k = 15`, then test with the share test on the *measured* counts. Is
# > anything invented?
#
# <details><summary>Solution</summary>
#
# No: the smoothed values are not in the test. They may serve to find groups, provided these are
# then tested on other molecules or other cells; the section on double dipping says why.
#
# </details>
#
# > **Exercise** In `dip`, replace `p_values` on logarithms by `share_test` on the counts of the
# > second half, for the population of unequal depth. What is left?
#
# <details><summary>Solution</summary>
#
# Use `share_test(other.X[split], other.X[~split])`. Next to nothing is called: the groups are
# shallow and deep cells, and the test knows the depth. Two mistakes had met, and each hid behind
# the other.
#
# </details>
#
# ## Further reading
#
# - [Jiang et al. 2022](https://doi.org/10.1186/s13059-022-02601-5): zeros by protocol and by
#   definition.
# - [Sarkar and Stephens 2021](https://doi.org/10.1038/s41588-021-00873-4): a model of measuring
#   apart from a model of expression.
# - [Andrews and Hemberg 2018](https://doi.org/10.12688/f1000research.16613.2): false signals of
#   imputation.
# - [Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2): cells are not replicates.
