# %% [markdown]
# # How sure is a prediction?
#
# Intervals from an ensemble, how many measured means they contain, and what no ensemble knows.
#
# > **Learning goals**
# > - [make intervals for a predicted population](#intervals-for-the-means-of-genes) with an ensemble;
# > - [test intervals on held-out times](#do-they-keep-their-promise), and say how they fail;
# > - [name what all members of an ensemble get wrong together](#do-they-keep-their-promise);
# > - [say which further measurements would help most](#more-cells-or-more-times).
# >
# > **Before**: [Expression at unmeasured times](unmeasured_times.ipynb).
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
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.datasets import load
from scstlib.models import ScNODE
from scstlib.models.temporal import Ensemble
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, RED, book_style
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A model predicts that a gene has a mean of 2.1 on day 3. Is that 2.1 give or take 0.05, or give or take 1? A
# single fit does not say. An **ensemble** uses several fits: it fits the model again and again, each time with
# another seed and on training cells that are drawn anew, with replacement, at each time (a bootstrap). Where
# the fits agree, it matters little which cells were caught and how the training went; where they disagree, it
# matters. The disagreement becomes an interval.
#
# But such an interval reflects only what differs between the fits. What all of them get wrong remains unseen.
# So the interval, like any prediction, must be tested on held-out times.
#
# ## Intervals for the means of genes
#
# The series comes from [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4): 41 genes in mouse
# embryonic stem cells, from 0 h to 96 h of retinoic acid. Four times are held out: 12 h and 36 h between training
# times, 72 h and 96 h beyond the last.

# %%
adata = load("semrau2017")
adata.X = adata.X.astype(np.float32).log1p()
adata.uns["value_kind"] = "log1p counts"
split = hold_out_times(adata, pattern="hard")
train, test = split.train, split.test

new = Ensemble(lambda n: ScNODE(seed=seed + n), n_members=5, seed=seed)
ensemble = new.fit(train)

# %% [markdown]
# If you ask a model for a time far beyond the last training time, it warns:

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ensemble.sample([96.0], n_cells=5)
print(caught[0].message)

# %% tags=["hide-input"]
warnings.filterwarnings("ignore", message="time .* beyond the last training time")

# %% [markdown]
# `interval` gives an interval for any summary of a population, here for the mean of each gene, in
# $\log(1 + \text{count})$.

# %%
hours = np.union1d(np.linspace(0, 96, 17), test.obs["time"])
found = ensemble.interval(
    hours,
    lambda cells: cells.to_df().mean(),
    level=0.9,
    n_cells=300,
    seed=seed,
)

# %% tags=["hide-input"] caption="Mean expression of four genes. Filled dots: means of training cells; open dots: means of held-out cells, which no member of the ensemble saw. Line and band: mean and 90% interval of the ensemble; dotted: the last training time. Many open dots lie outside the band." alt="Four line charts, one for each gene, with a line, a band around it that widens to the right, and filled and open dots." name="fig-genes"
means = [part.to_df().groupby(part.obs["time"]).mean() for part in (train, test)]
last = train.obs["time"].max()
fig, axes = plt.subplots(2, 2, figsize=(5.4, 4.6), sharex=True)
for ax, gene in zip(axes.flat, ["Zfp42", "Dnmt3b", "Hoxa1", "Sparc"], strict=True):
    band = found[found["name"] == gene]
    ax.fill_between(band["time"], band["lower"], band["upper"], color=RED, alpha=0.25, lw=0)
    ax.plot(band["time"], band["mean"], color=RED)
    for mean, face in zip(means, (BLUE, "white"), strict=True):
        ax.plot(mean.index, mean[gene], "o", color=BLUE, mfc=face)
    ax.axvline(last, color=GREY, lw=0.8, ls=":")
    ax.set_title(gene, style="italic")
fig.supxlabel("hours of retinoic acid")
fig.supylabel("mean log(1 + count)")
plt.show()

# %% [markdown]
# ## Do they keep their promise?
#
# A 90% interval should contain nine of ten measured means. The table gives the percentage of the 41 genes for
# which it does (*inside*). A measured mean is itself uncertain, because it is a mean over few cells; *widened*
# intervals allow for that. Half widths and errors are in $\log(1 + \text{count})$, as in the figure.

# %% tags=["hide-input"]
rows = {}
for time in np.unique(test.obs["time"]):
    values = test[test.obs["time"] == time].to_df()
    band = found[found["time"] == time].set_index("name").loc[values.columns]
    off = (values.mean() - band["mean"]).abs()
    half = (band["upper"] - band["lower"]) / 2
    wide = np.hypot(half, 1.645 * values.sem())  # 1.645: 90% of a normal distribution.
    rows[f"{time:.0f}" + (" (outer)" if time > last else "")] = {
        "inside (%)": 100 * (off <= half).mean(),
        "inside, widened (%)": 100 * (off <= wide).mean(),
        "half width (median)": half.median(),
        "error of prediction (median)": off.median(),
    }
coverage = pd.DataFrame(rows).T.rename_axis("time (hours)")
table(coverage)

# %% tags=["hide-input"]
outer = coverage.index.str.contains("outer")
within, beyond = coverage[~outer].mean(), coverage[outer].mean()
claim(
    f"They do not keep it. Even widened, the intervals contain {within.iloc[1]:.0f}% of the means at inner times (between training times)"
    f" and {beyond.iloc[1]:.0f}% at outer times (beyond the last), not 90%. They do show that the future is less certain: at outer"
    f" times they are {beyond.iloc[2] / within.iloc[2]:.1f} times as wide, and the prediction is"
    f" {beyond.iloc[3] / within.iloc[3]:.1f} times as far off.",
    max(within.iloc[1], beyond.iloc[1]) < 80,
    beyond.iloc[2] > 1.5 * within.iloc[2],
    beyond.iloc[3] > 1.2 * within.iloc[3],
)

# %% [markdown]
# Why are they too narrow? All members share the same assumptions: a smooth drift, paths as short as possible,
# cells that do not divide or die. Where these are wrong, all members are wrong in the same way, and more
# members would not help. Beyond the last training time, no measurement can correct them. The interval of an
# ensemble is a lower bound on the doubt.
#
# What can be done? Hold out some training times as well, count as above, and widen the intervals until they
# keep their promise there. And compare with a method that makes *other* assumptions, such as a straight line:
# where the two differ by more than the band, the difference is the better measure of doubt
# ([Ensembles and uncertainty](../alternatives/ensembles.ipynb) does both).
#
# ## More cells, or more times?
#
# It is better still to measure more. But what: more cells at each time, or more times? Now the model is fitted
# on three subsets of the training cells: all cells of the first and last training times; the same number of
# cells, drawn from all five training times; and all cells of all five. The error is that of gene means at the
# inner times, 12 h and 36 h.


# %%
ends = train[train.obs["time"].isin([0.0, last])]
inner = [12.0, 36.0]


def error_from(cells):
    """Median error of gene means at the inner times."""
    model = ScNODE(damping=0.0, seed=seed).fit(cells)  # no forecast
    drawn = model.sample(inner, 300, seed=seed)
    predicted = drawn.to_df().groupby(drawn.obs["time"]).mean()
    return np.median(np.abs(predicted - means[1].loc[inner]))


rng = np.random.default_rng(seed)
some = rng.choice(train.n_obs, ends.n_obs, replace=False)
few_of_all = train[some].copy()
error = {
    "two": error_from(ends.copy()),
    "five": error_from(few_of_all),
    "all": error_from(train),
}

# %% tags=["hide-input"]
claim(
    f"From {ends.n_obs} cells of two times, the median error of a mean is {error['two']:.3f}; from as many cells of five times,"
    f" {error['five']:.3f}. With all {train.n_obs:,} cells of these five times it is {error['all']:.3f}. For a given number of cells, more"
    " times help far more than more cells at each time: no number of cells can show a peak at a time when nobody measured.",
    error["five"] < 0.6 * error["two"] and error["all"] > 0.6 * error["five"],
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>All members of an ensemble predict nearly the same. What does that show?</summary>
#
# It shows that the seed and the choice of cells matter little. It does not show that the prediction is right.
#
# </details>
#
# <details><summary>Would the intervals of 50 members contain more of the means than those of 5?</summary>
#
# Hardly. The disagreement would be known more precisely, but the band would remain as narrow.
#
# </details>
#
# <details><summary>You can sequence 6,000 cells of a process that nobody has measured. At how many times?</summary>
#
# Better at twelve times with 500 cells each than at two with 3,000. What happens between two times far apart is
# the model's guess, however many cells there are. But each time needs enough cells for the rarest fate that
# matters.
#
# </details>
#
# <details><summary>Why are the intervals widened by the error of each measured mean?</summary>
#
# It is a mean of few cells. Even a perfect prediction would miss it by its sampling error.
#
# </details>

# %% [markdown]
# ## Key points
#
# - The interval of an ensemble shows what its members disagree about, and nothing that all of them get wrong.
# - Test intervals on held-out times: here 90% intervals contain far fewer than nine of ten means.
# - Far beyond the last training time a model extrapolates, and warns that it does.
# - For a given number of cells, measure at more times rather than more cells at each time.
#
# ## Exercises
#
# > **Exercise** By what factor must the intervals at 12 h be widened to contain nine of ten measured means?

# %% tags=["solution"]
at_12 = test[test.obs["time"] == 12].to_df().mean()
band = found[found["time"] == 12].set_index("name").loc[at_12.index]
### BEGIN SOLUTION
half = (band["upper"] - band["lower"]) / 2
answer = ((at_12 - band["mean"]).abs() / half).quantile(0.9)
### END SOLUTION
checks.factor_to_hold(answer, at_12, band, 0.9)

# %% [markdown]
# > **Exercise** Fit the ensemble with `resample=False`: the members see the same cells and differ only by their seeds.
# > Are the intervals wider or narrower, and what does the difference say?
#
# <details><summary>Solution</summary>
#
# ```python
# same_cells = Ensemble(lambda n: ScNODE(seed=seed + n), resample=False, seed=seed).fit(train)
# mean = lambda cells: cells.to_df().mean()
# again = same_cells.interval(hours, mean, level=0.9, n_cells=300, seed=seed)
# for each in (found, again):
#     print(round((each["upper"] - each["lower"]).median(), 3))
# ```
#
# Narrower: about a quarter as wide. Most of the disagreement comes from which cells were drawn, and little from
# the luck of training. With more cells at each time the bands would become narrower still, but they would not
# show what all members get wrong.
#
# </details>
#
# ## Further reading
#
# - [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4): the series.
# - [Gneiting and Raftery 2007](https://doi.org/10.1198/016214506000001437): scores that reward saying how sure one is.
