# %% [markdown]
# # How sure is a prediction?
#
# Intervals from an ensemble, how many measured means they hold, and what no ensemble knows.
#
# > **Learning goals**
# > - make intervals for a predicted population with an ensemble;
# > - test intervals on held-out times, and say how they fail;
# > - name what all members of an ensemble get wrong together.
# >
# > **Before**: [Expression at unmeasured times](unmeasured_times.ipynb).
# >
# > **Time**: 8 min to read, 1 min to run.

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
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

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
# single fit does not say. An **ensemble** asks several: it fits the model again and again, each time with another
# seed and on training cells drawn anew, with replacement, at each time. Where the fits agree, the choice of cells
# and the luck of training matter little; where they disagree, they matter. The disagreement becomes an interval.
#
# But an interval holds only what differs between the fits. What all of them get wrong, it does not see. So it has
# to be tested like a prediction: on held-out times.
#
# ## Intervals for the means of genes
#
# The series is that of [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4): 41 genes in mouse embryonic
# stem cells, from 0 h to 96 h of retinoic acid. Every second time from the third on is held out, and the last one.

# %%
adata = load("semrau2017")
adata.X = adata.X.astype(np.float32).log1p()
adata.uns["value_kind"] = "log1p counts"
split = hold_out_times(adata, pattern="hard")
train, test = split.train, split.test

new = Ensemble(lambda n: ScNODE(seed=seed + n), n_members=5, seed=seed)
ensemble = new.fit(train)

# %% [markdown]
# A model that is asked for a time far beyond its last training time says so:

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ensemble.sample([96.0], n_cells=5)
print(caught[0].message)

# %% tags=["hide-input"]
warnings.filterwarnings("ignore", message="time .* beyond the last training time")

# %% [markdown]
# `interval` takes any summary of a population; here the mean of each gene, in $\log(1 + \text{count})$.

# %%
hours = np.union1d(np.linspace(0, 96, 17), test.obs["time"])
found = ensemble.interval(
    hours,
    lambda cells: cells.to_df().mean(),
    level=0.9,
    n_cells=300,
    seed=seed,
)

# %% tags=["hide-input"] caption="Mean expression of four genes. Filled dots: means of training cells; open dots: means of held-out cells, which no member saw. Line and band: mean and 90% interval of the ensemble; dotted: the last training time. Many open dots lie outside the band." alt="Four line charts, one for each gene, with a line, a band around it that widens to the right, and filled and open dots." name="fig-genes"
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
# ## Do they hold what they promise?
#
# A 90% interval should hold nine of ten measured means. The table counts over all 41 genes. A measured mean has an
# error of its own, so the intervals are also widened by it (*widened*).

# %% tags=["hide-input"]
rows = {}
for time in np.unique(test.obs["time"]):
    values = test[test.obs["time"] == time].to_df()
    band = found[found["time"] == time].set_index("name").loc[values.columns]
    off = (values.mean() - band["mean"]).abs()
    half = (band["upper"] - band["lower"]) / 2
    wide = np.hypot(half, 1.645 * values.sem())  # 1.645: 90% of a normal distribution.
    rows[f"{time:.0f}" + (" (outer)" if time > last else "")] = {
        "held (%)": 100 * (off <= half).mean(),
        "held, widened (%)": 100 * (off <= wide).mean(),
        "half width (median)": half.median(),
        "error of prediction (median)": off.median(),
    }
coverage = pd.DataFrame(rows).T.rename_axis("time (hours)")
table(coverage)

# %% tags=["hide-input"]
outer = coverage.index.str.contains("outer")
within, beyond = coverage[~outer].mean(), coverage[outer].mean()
claim(
    f"They do not. Widened, the intervals hold {within.iloc[1]:.0f}% of the means at inner times and {beyond.iloc[1]:.0f}% at outer"
    f" times, not 90%. They know that the future is less certain: at outer times they are {beyond.iloc[2] / within.iloc[2]:.1f} times"
    f" as wide, and the prediction is {beyond.iloc[3] / within.iloc[3]:.1f} times as far off.",
    max(within.iloc[1], beyond.iloc[1]) < 80,
    beyond.iloc[2] > 1.5 * within.iloc[2],
    beyond.iloc[3] > 1.2 * within.iloc[3],
)

# %% [markdown]
# Why are they too narrow? All members share the same assumptions: a smooth drift, paths as short as possible, cells
# that do not grow. Where these are wrong, all members are wrong alike, and more members would not help. Beyond the last
# training time nothing measured tells any of them so. An interval of an ensemble is a lower bound of the doubt.
#
# What can be done: count, as above, on times held out from the training part, and widen the intervals until they hold
# what they promise there; and set beside the ensemble a method with *other* assumptions, such as a straight line. Where
# the two differ by more than the band, believe the difference.
#
# ## Check yourself
#
# <details><summary>All members of an ensemble predict nearly the same. What does that show?</summary>
#
# That seeds and the choice of cells matter little. Not that the prediction is right.
#
# </details>
#
# <details><summary>Would 50 members hold more of the means than 5?</summary>
#
# Hardly. The band would be known better, and remain as narrow as the disagreement is.
#
# </details>
#
# <details><summary>Why is each measured mean given an error of its own in the count?</summary>
#
# It is a mean of few cells. Even a perfect prediction would miss it by its sampling error.
#
# </details>

# %% [markdown]
# ## Key points
#
# - The interval of an ensemble holds what its members disagree about, and nothing that all of them get wrong.
# - Test intervals on held-out times: here 90% intervals hold far fewer means.
# - Far beyond the last training time a model extrapolates, and says so in a warning.
#
# ## Exercises
#
# > **Exercise** By what factor must the intervals be widened to hold nine of ten means at the inner times? Does the
# > same factor serve at the outer times?
#
# <details><summary>Solution</summary>
#
# ```python
# for time in np.unique(test.obs["time"]):
#     values = test[test.obs["time"] == time].to_df().mean()
#     band = found[found["time"] == time].set_index("name").loc[values.index]
#     ratio = (values - band["mean"]).abs() / ((band["upper"] - band["lower"]) / 2)
#     print(time, round(ratio.quantile(0.9), 1))
# ```
#
# Each time has a factor of its own, well above 1. A factor that is chosen at inner times is a guess at outer ones:
# nothing says that errors there grow as the disagreement does.
#
# </details>
#
# > **Exercise** Fit the ensemble with `resample=False`: the members see the same cells and differ by their seeds. Are the
# > intervals wider or narrower, and what does the difference say?
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
# Narrower: about a quarter as wide. Most of what the members disagree about is which cells were drawn, and little is the
# luck of training. With more cells at each time the bands would narrow, and still not hold what all members get wrong.
#
# </details>
#
# ## Further reading
#
# - [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4): the series.
# - [Gneiting and Raftery 2007](https://doi.org/10.1198/016214506000001437): scores that reward saying how sure one is.
