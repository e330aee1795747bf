# %% [markdown]
# # Gaussian processes
#
# Curves with a band, for genes over time and pixels of maps: what a kernel assumes, and when to trust the band.
#
# > **Learning goals**
# > - [fit a Gaussian process to the mean of a gene over time in a few lines](#a-band-from-a-few-lines), and read its band;
# > - [say what a kernel assumes between the measured times](#a-band-from-a-few-lines), and what it does beyond the last;
# > - [test a band on held-out times and pixels](#does-the-band-hold-what-it-promises), and say when it is too narrow;
# > - [say when a Gaussian process is the right choice and when it is not](#when-is-it-the-right-choice), and on what evidence.
# >
# > **Before**: [Expression at unmeasured times](../temporal/unmeasured_times.ipynb).
# >
# > **Time**: 16 min to read, 1 min to run.

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
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern

from scstlib import checks
from scstlib.datasets import load, simulate_organism
from scstlib.metrics.expression import energy_distance, wasserstein
from scstlib.models.spatial import (
    BulkRidge, BulkSmoothed, ContactGaussianProcess, ContactTrees,
    mean_at_places, mean_scores, score_windows,
)  # fmt: skip
from scstlib.models.temporal import SPLIT_HALF as FLOOR
from scstlib.models.temporal import GeneGaussianProcess, methods, score_held_out_times
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, RED, book_style, contact_map
from scstlib.preprocess.organism_windows import organism_windows
from scstlib.splits import hold_out_chromosomes, hold_out_times

plt.rcParams.update(book_style())
warnings.filterwarnings("ignore", message="time .* beyond the last training time")
claim = Claims(profile, seed)

# %% [markdown]
# The mean of a gene was measured at five times. What was it in between, and how sure can you be? Many curves pass through five points. A **Gaussian process** uses them all and gives each a weight. A curve has more weight the better it fits both the measurements and a prior assumption: that values at nearby times are alike. The mean of the curves is the prediction, and their spread is a band.
#
# One function defines what "near" and "alike" mean: the **kernel** $k(s, t)$ says how strongly the values at times $s$ and $t$ go together. The rest is linear algebra ([Rasmussen and Williams 2006](https://doi.org/10.7551/mitpress/3206.001.0001)). Let $y$ be the measured values, each with noise of variance $\sigma^2$, $K$ the kernel of every pair of measured times, and $k_t$ the kernel of the time $t$ and each measured time. Then
#
# $$\begin{aligned}\text{mean}(t) &= k_t^\top (K + \sigma^2)^{-1} y, \\ \text{variance}(t) &= k(t, t) \\ &\quad - k_t^\top (K + \sigma^2)^{-1} k_t .\end{aligned}$$
#
# The variance depends on *when* you measured, not on *what*: it grows with the distance from the measured times. The times need not be evenly spaced.
#
# ## A band from a few lines
#
# The series comes from [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4): 41 genes in mouse embryonic stem cells, from 0 h to 96 h of retinoic acid. Four of the nine times are held out: 12 h and 36 h, and the last two. The noise of a mean over many cells is known: it is the standard error. All genes share one kernel, and each is measured in units of its own spread over times. Two kernels express two beliefs:
#
# - **Returns**: the squared exponential, $\sigma_f^2 \exp(-(s-t)^2 / 2\ell^2)$. Curves are smooth and change over a **length scale** $\ell$. A few length scales away from all measured times they know nothing, and the prediction returns to the mean of the gene over the training times.
# - **Wanders**: an exponential with a length scale far longer than the series, which is nearly a [random walk](https://en.wikipedia.org/wiki/Wiener_process) (Brownian motion). Values wander off, and nothing pulls them back. The mean is then the *straight line* between measured times, and the last value beyond them. The band is widest in the middle of a gap and grows without end after the last time.
#
# $\ell$ and $\sigma_f$ are chosen so that the measured means are most likely.


# %%
def series(name):
    """Training and test cells; a larger value means more expressed."""
    adata = load(name)
    if name == "semrau2017":
        adata.X = adata.X.astype(np.float32).log1p()
        adata.uns["value_kind"] = "log1p counts"
    split = hold_out_times(adata, pattern="hard")
    return split.train, split.test


def curves(train, kernel):
    """Mean and deviation of each gene, as a function of times."""
    groups = train.to_df().groupby(train.obs["time"])
    hours, means = np.c_[groups.mean().index], groups.mean().to_numpy()
    centre, spread = means.mean(0), means.std(0) + 1e-9
    noise = np.median((groups.sem() / spread) ** 2, axis=1)
    process = GaussianProcessRegressor(kernel, alpha=noise)
    unit = np.ptp(hours) / (len(hours) - 1)
    process.fit(hours / unit, (means - centre) / spread)

    def at(times):
        mean, sd = process.predict(np.c_[times] / unit, return_std=True)
        return mean * spread + centre, sd * spread

    return at


returns = ConstantKernel(1, (0.05, 1e3)) * RBF(1, (0.1, 100))
wanders = ConstantKernel(1e3, (1, 1e6)) * Matern(1e3, "fixed", nu=0.5)

# %% tags=["hide-input"] caption="Two genes, predicted with two kernels. Filled dots: means of training cells, to which the processes were fitted; open dots: held-out means. Line and band: mean and 80% band. After the last training time (dotted), one kernel returns to the mean of the gene and the other stays where it was." alt="Four line charts with bands and dots; in the upper row the line bends back after the last filled dot, in the lower row it is level and the band widens." name="fig-kernels"
WIDTH = norm.ppf(0.9)  # of 80% in standard deviations
PER_GENE = "GeneGaussianProcess"
cells = {name: series(name) for name in ("semrau2017", "guo2010")}
per_gene = {name: GeneGaussianProcess().fit(train) for name, (train, _) in cells.items()}
ways = {n: {"returns": curves(t, returns), "wanders": curves(t, wanders), PER_GENE: per_gene[n].gene_means} for n, (t, _) in cells.items()}  # fmt: skip
grid = np.linspace(0, 110, 111)
train, test = cells["semrau2017"]
measured, last = [part.to_df().groupby(part.obs["time"]).mean() for part in (train, test)], train.obs["time"].max()  # fmt: skip
fig, axes = plt.subplots(2, 2, figsize=(5.4, 4.8), sharex=True, sharey="col")
for row, kernel in zip(axes, ("returns", "wanders"), strict=True):
    mean, sd = ways["semrau2017"][kernel](grid)
    for ax, gene in zip(row, ["Dnmt3b", "Hoxa1"], strict=True):
        i = train.var_names.get_loc(gene)
        ax.fill_between(grid, *((mean + way * WIDTH * sd)[:, i] for way in (-1, 1)), color=RED, alpha=0.25, lw=0)  # fmt: skip
        ax.plot(grid, mean[:, i], color=RED)
        for part, face in zip(measured, (BLUE, "white"), strict=True):
            ax.plot(part.index, part[gene], "o", color=BLUE, mfc=face)
        ax.axvline(last, color=GREY, lw=0.8, ls=":")
        ax.set_title(f"{gene}, {kernel}")
fig.supxlabel("hours of retinoic acid")
fig.supylabel("mean log(1 + count)")
plt.show()

# %% [markdown]
# ## Does the band hold what it promises?
#
# An 80% band should contain four of five held-out means. The table gives the percentage of genes whose mean it contains, at **inner** times (between training times) and at **outer** ones (beyond the last). The band allows for the error of the measured mean as well. The second series comes from [Guo et al. 2010](https://doi.org/10.1016/j.devcel.2010.02.012): 48 genes in the mouse embryo, with only four training times. The last row is `GeneGaussianProcess` of the package, which also returns, but learns the noise instead of being told.


# %% tags=["hide-input"]
def held(name, at):
    """Share of genes in the band (%), mean over inner and over outer times."""
    train, test = cells[name]
    groups = test.to_df().groupby(test.obs["time"])
    means = groups.mean()
    mean, deviation = at(list(means.index))
    inside = np.abs(means - mean) <= WIDTH * np.hypot(deviation, groups.sem())
    kind = np.where(means.index > train.obs["time"].max(), "outer", "inner")
    return (100 * inside).groupby(kind).mean().mean(axis=1).add_prefix(f"{name[:-4].title()}, ")


holds = pd.DataFrame({w: pd.concat([held(n, ways[n][w]) for n in cells]) for w in ways["guo2010"]}).T  # fmt: skip
table(holds.add_suffix(" (%)").rename_axis("80% band holds"))

# %% tags=["hide-input"]
inner, outer, embryo = (holds[c] for c in ("Semrau, inner", "Semrau, outer", "Guo, inner"))
line = [np.interp(grid, measured[0].index, measured[0][g]) for g in train.var_names]
apart = np.abs(ways["semrau2017"]["wanders"](grid)[0] - np.transpose(line)).mean()
claim(
    f"**Between** the times of the first series all bands keep their promise: they hold {inner['returns']:.0f}%, {inner['wanders']:.0f}% and {inner[PER_GENE]:.0f}% where 80% was promised. **Beyond** the last time, a process that returns is sure of the wrong thing:"
    f" it goes back to a mean that development has left behind, and the two bands hold {outer['returns']:.0f}% and {outer[PER_GENE]:.0f}%. The band of the process that wanders holds {outer['wanders']:.0f}%. Its mean is the straight line, up to the noise of the measured means: on average the two differ by {apart:.3f}."
    f"\n\n**Four times are too few to learn a kernel.** On the embryo the likelihood cannot tell change from noise: `GeneGaussianProcess` takes {per_gene['guo2010'].mean_.noise:.0%} of the variance over times for noise and predicts the mean everywhere. Its band holds {embryo[PER_GENE]:.0f}%"
    f" of the means. Telling the process the noise helps ({embryo['returns']:.0f}%). Telling it how curves behave helps more ({embryo['wanders']:.0f}%), although the band is then too wide beyond the last time ({holds['Guo, outer']['wanders']:.0f}%).",
    inner.between(68, 95).all(), outer[["returns", PER_GENE]].max() < 65, outer["wanders"] > 70, apart < 0.03,
    per_gene["guo2010"].mean_.noise > 0.8, embryo[PER_GENE] < 40, embryo["wanders"] > embryo["returns"] > 40, holds["Guo, outer"]["wanders"] > 90,
)  # fmt: skip

# %% [markdown]
# The bands of [How sure is a prediction?](../temporal/how_sure.ipynb), from an ensemble of networks, are too narrow at the same times. But if you pick the kernel whose band is best *here*, you have used the held-out times to choose. For your own series, leave out training times and choose by them.
#
# ## From means to populations
#
# A gene mean is not a cell. The package has three processes that predict cells. `GeneGaussianProcess` takes the measured cells of the nearest time, and shifts and scales each gene on its own, to the mean and variance of its process. `PathGaussianProcess` links cells of neighbouring times into paths by [optimal transport](../../book/glossary.md#optimal-transport) and smooths the paths in six principal components, so that genes move together. A third, `LatentGaussianProcess`, pairs no cells: it generates them from a process with a decoder, trained until generated populations are like measured ones, in the manner of [Balik and Lähdesmäki 2026](https://arxiv.org/abs/2605.20989); its scores are in [One comparison](one_comparison.ipynb). The authors of GPfates ([Lönnberg et al. 2017](https://doi.org/10.1126/sciimmunol.aal2192)) and BGP ([Boukouvalas et al. 2018](https://doi.org/10.1186/s13059-018-1440-2)) go further and let the processes branch. The table gives [place](../../book/glossary.md#place) and [likeness](../../book/glossary.md#likeness), with the floor (one half of the measured cells) and a constant for comparison, as in [Expression at unmeasured times](../temporal/unmeasured_times.ipynb). Smaller is better.

# %% tags=["hide-input"]
PER, PATHS = "Gaussian process per gene", "Gaussian process of OT paths"
COPIED, MOVED, SCNODE = "nearest time copied", "nearest time, mean moved", "scNODE"
shown = [COPIED, "mean profile", MOVED, "OT displacement", PER, PATHS, SCNODE]
pca = PCA(6, random_state=seed).fit(train.to_df().to_numpy())
metrics = {"place": lambda x, y: wasserstein(pca.transform(x), pca.transform(y), squared=True), "likeness": energy_distance}  # fmt: skip

# %%
models = {name: methods()[name](seed).fit(train) for name in shown}
scores = score_held_out_times(models, test, metrics, seed=seed)

# %% tags=["hide-input"]
scores["score"] = scores["metric"] + np.where(scores["time"] > last, ", outer", ", inner")
cellwise = scores.groupby(["model", "score"], sort=False)["value"].mean().unstack("score")
cellwise = cellwise.loc[scores["model"].unique(), scores["score"].unique()].rename_axis("method")
table(cellwise, best=dict.fromkeys(cellwise, "min"), apart=(FLOOR,))

# %% tags=["hide-input"]
p, q = cellwise["place, inner"], cellwise["place, outer"]
claim(
    f"At inner times both processes are near the floor (place {p[PER]:.2f} and {p[PATHS]:.2f}, floor {p[FLOOR]:.2f}), and neither beats the moved mean ({p[MOVED]:.2f}): for a population, a curve adds little to a straight line. At outer times the process for each gene is no nearer than the constant ({q[PER]:.1f} and"
    f" {q['mean profile']:.1f}; copied cells {q[COPIED]:.1f}): it carries cells back to the middle of the series. Paths stay where copied cells are ({q[PATHS]:.1f}); only scNODE moves further in the right direction ({q[SCNODE]:.1f}).",
    max(p[PER], p[PATHS]) < 1.6 * p[FLOOR], min(p[PER], p[PATHS]) > 0.95 * p[MOVED], q[PER] > 0.9 * q["mean profile"],
    q[PER] > 1.3 * q[COPIED], abs(q[PATHS] / q[COPIED] - 1) < 0.15, q[SCNODE] < 0.95 * q[COPIED],
)  # fmt: skip

# %% [markdown]
# ## Space: the contrast of a pixel
#
# The same idea serves contact maps. The process predicts the **contrast** of a pixel: its contacts in the cell type divided by those in the smoothed bulk, minus one. "Near" now means that two pixels have similar features: their distance, the bulk around them, and expression, CTCF and CpG at both bins and between them. Boosted trees read the same features. Far from all training pixels the contrast returns to 0, and so the prediction returns to the bulk. Here, returning is the sensible belief. But there are many pixels.

# %% tags=["hide-input"]
types = ["stem", "bipotent", "beta_mature", "gamma_mature"]
organism = simulate_organism(seed=seed, preset="small", n_chromosomes=4)
windows, expected = organism_windows(organism, types, organism.chromosomes, window=64, seed=seed)
split, true = (hold_out_chromosomes(w, organism.chromosomes[-1]) for w in (windows, replace(windows, targets=expected)))  # fmt: skip
unseen, truth = split.test, true.test.targets
pixels = len(split.train) * 64 * 65 // 2
claim(
    f"The {len(split.train)} training windows of 64 bins have {pixels:,} pixels, some of them in several windows. Their matrix $K$ would take {8 * pixels**2 / 1e12:.1f} TB, and its inverse some $10^{{{np.log10(pixels**3 / 3):.0f}}}$ multiplications in each step of learning the kernel.",
    pixels > 100_000,
)

# %% [markdown]
# `ContactGaussianProcess` learns the kernel from 500 pixels with an exact process, and then summarises all pixels by 400 **inducing** pixels. The cost is the number of pixels times $400^2$. Each training pixel has its own counting noise, and each target its own depth. The table compares it with three rivals. SCC is the agreement of the whole map with a measured one, SCCt that with the truth; [dC](../../book/glossary.md#contrast-correlation-dc) and dIns are the agreement in what is specific to a cell type, in pixels and in insulation ([Evaluating contact maps](../spatial/evaluating_contact_maps.ipynb)). Larger is better.

# %%
GP, TREES, RIDGE = "Gaussian process", "gradient boosting", "ridge"
process = ContactGaussianProcess(30_000, seed=seed)
rivals = {
    "bulk smoothed": BulkSmoothed(),
    RIDGE: BulkRidge(n_pixels=30_000, seed=seed),
    TREES: ContactTrees(n_pixels=30_000, max_iter=60, seed=seed),
    GP: process,
}
fits = {name: rival.fit(split.train) for name, rival in rivals.items()}

# %% tags=["hide-input"]
own = mean_at_places(truth, unseen, unseen)
by_window = score_windows(fits, unseen, truth=truth, reference=own, training=unseen)
means = mean_scores(by_window)[["SCC", "SCCt", "dC", "dIns"]].rename_axis("row")
table(means, best=dict.fromkeys(means, "max"), apart=("truth",))

# %% tags=["hide-input"]
claim(
    f"In what is specific to a cell type, the process (dC {means['dC'][GP]:.2f}) stands between ridge ({means['dC'][RIDGE]:.2f}) and boosting ({means['dC'][TREES]:.2f}), and in SCC well behind boosting ({means['SCC'][GP]:.3f} and {means['SCC'][TREES]:.3f})."
    " But it alone gives a standard deviation for each pixel.",
    means["dC"][RIDGE] < means["dC"][GP] < means["dC"][TREES], means["SCC"][GP] < means["SCC"][TREES] - 0.01,
)  # fmt: skip

# %% [markdown]
# ## A map of doubt
#
# The standard deviation of `predict_std` covers both what the process does not know and what the features of a pixel cannot tell. Counts vary on top of that.

# %% tags=["hide-input"] caption="Above, a held-out window of mature beta cells: the predicted contacts and their standard deviation, as a share of the smoothed bulk. A bright line is a bin unlike those of the training chromosomes. Below, the pixels of all held-out windows in ten groups by predicted doubt: the error that four of five pixels stay below, against the error promised for them. On the dashed line the two agree; below it, more was promised than was needed." alt="Two heat maps, a contact map with a dark diagonal and a map of standard deviations that is dark near the diagonal with one bright row and column; below, ten dots, nine of them along a dashed diagonal." name="fig-doubt"
predicted, deviation = process.predict(unseen), process.predict_std(unseen)
base = rivals["bulk smoothed"].predict(unseen)
known = (base > 0) & np.triu(np.ones((64, 64), dtype=bool))
level = truth.sum() / unseen.bulk.sum()  # brings the truth to the depth of the bulk
off, doubt = (np.abs(m[known]) / base[known] for m in (truth / level - predicted, deviation))
tenth = pd.qcut(doubt, 10, labels=False)
promised, real = WIDTH * pd.Series(doubt).groupby(tenth).median(), pd.Series(off).groupby(tenth).quantile(0.8)  # fmt: skip
relative = np.divide(deviation, base, out=np.full_like(base, np.nan), where=base > 0)
i = np.flatnonzero(unseen.table["cell_type"] == "beta_mature")[2]
where = unseen.table.iloc[i][["start", "end"]].to_dict()
fig, axes = plt.subplot_mosaic("ab;cc", figsize=(5.4, 5.8), height_ratios=(3, 2))
contact_map(axes["a"], predicted[i], label="predicted contacts", **where)
contact_map(axes["b"], relative[i], label="standard deviation / bulk", log=False, cmap="cividis", limits=(0, float(np.nanquantile(relative[i], 0.99))), **where)  # fmt: skip
axes["b"].set_ylabel("")
axes["c"].plot(promised, real, "o", color=BLUE)
axes["c"].plot([0, promised.max()], [0, promised.max()], "--", color=GREY)
axes["c"].set(xlabel="promised error / bulk", ylabel="error / bulk", xlim=(0, None), ylim=(0, None))
plt.show()

# %% tags=["hide-input"]
inside, far = 100 * np.mean(off <= WIDTH * doubt), 100 * np.mean(off > 3 * doubt)
claim(
    f"Errors grow with the doubt: in the least certain tenth of the pixels they are {real.iloc[-1] / real.iloc[0]:.1f} times as large as in the most certain tenth. The 80% band holds the truth at {inside:.0f}% of the pixels of a chromosome that was not seen."
    f" But errors are not normal: {far:.1f}% of the pixels are more than three standard deviations off, where a normal distribution would give 0.3%.",
    real.iloc[-1] > 2 * real.iloc[0], 70 < inside < 95, far > 0.6,
)  # fmt: skip

# %% [markdown]
# ## When is it the right choice?
#
# | question | a Gaussian process? |
# |---|---|
# | a curve **and a band** for summaries over time, where change is gradual | yes, with a suitable kernel: it keeps its promise at inner times |
# | a dozen times or fewer, at irregular intervals | yes, if you state how curves behave; do not trust a kernel *learned* from four times |
# | beyond the last time | only one that wanders; one that returns goes back to the past |
# | a population of cells | no: use a straight line or paths of cells; genes that are moved one by one no longer fit together |
# | contact maps, the best prediction | no: use boosting, or the process if you need a standard deviation of each pixel |
# | more than a few thousand points | not an exact one: use inducing points, or another method |
#
# ## Check yourself
#
# <details><summary>Why does the band not depend on the measured values?</summary>
#
# Given the kernel, only times enter the variance. The values have a part in it through the kernel, whose length scale and variance are learned from them.
#
# </details>
#
# <details><summary>A process fitted on days 0 to 10 predicts day 30 with a narrow band. What do you ask?</summary>
#
# Which kernel it has. With a kernel that returns, the band is no wider than the spread that it has seen, however far away day 30 is.
#
# </details>
#
# <details><summary>With twice as many pixels, how much longer does an exact process take? And one with inducing pixels?</summary>
#
# Eight times as long, in four times the memory. With a fixed number of inducing pixels it takes twice as long.
#
# </details>

# %% [markdown]
# ## Key points
#
# - A Gaussian process combines a belief about curves, the kernel, with the data. Mean and band follow from the two.
# - The straight line is also the mean of a Gaussian process, that of a random walk. Its band grows without end beyond the last time.
# - Kernels that return go back to the mean. Over time that is often the wrong belief; for the contrast to a bulk map it is the right one.
# - Test bands on held-out times and places; choose kernels on training times only.
#
# ## Exercises
#
# > **Exercise** Choose between the two kernels without the held-out times: leave out each training time except the first in turn, and count how many gene means lie in the band.
#
# <details><summary>Solution</summary>
#
# With `part = hold_out_times(cells["semrau2017"][0], test=time)` and `cells["left out"] = part.train, part.test`, ask for `held("left out", curves(part.train, returns))`, and the same with `wanders`. At inner times the two tie. With 60 h left out, which is then an outer time, the kernel that wanders holds more than twice as many: the training times alone would have chosen it.
#
# </details>
#
# > **Exercise** Three values were measured, at 0, 6 and 24 h. What does a Gaussian process with mean 0, variance 1, a squared-exponential kernel of length 12 h and noise of variance 0.1 expect at 12 h?

# %% tags=["solution"]
hours, values = np.array([0.0, 6.0, 24.0]), np.array([1.0, 0.5, -0.9])
### BEGIN SOLUTION
times = np.append(hours, 12.0)
kernel = np.exp(-0.5 * (np.subtract.outer(times, times) / 12.0) ** 2)
answer = kernel[3, :3] @ np.linalg.solve(kernel[:3, :3] + 0.1 * np.eye(3), values)
### END SOLUTION
checks.gaussian_process_mean(answer, hours, values, 12.0, 12.0, 0.1)

# %% [markdown]
# ## Further reading
#
# - [Rasmussen and Williams 2006](https://doi.org/10.7551/mitpress/3206.001.0001): the standard book; chapter 8 is on large data. Free at gaussianprocess.org/gpml.
# - [Lönnberg et al. 2017](https://doi.org/10.1126/sciimmunol.aal2192): GPfates, mixtures of processes over time, for the fates of T cells.
