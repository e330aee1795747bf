# %% [markdown]
# # Predict the missing day
#
# A project: predict the cells of a day that was measured but is hidden, from the days before and after it.
#
# > **Learning goals**
# > - [predict a population of cells between two measured times, and score it against hidden cells](#step-by-step);
# > - [say how far the best prediction is from what measured cells reach, and why](#a-scale).
# >
# > **Before**: [Expression at unmeasured times](../temporal/unmeasured_times.ipynb).
# >
# > **Time**: 8 min to read, 1 min to run. The project takes about three hours.

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
import scanpy as sc
from sklearn.decomposition import PCA

from scstlib import checks
from scstlib.datasets import load
from scstlib.metrics.expression import energy_distance
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, ORANGE, book_style
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A laboratory let stem cells differentiate and measured them on days 0, 2, 4 and 7. There is money to measure only three days in the next experiment. Could day 4 have been left out, and its cells predicted from the others? Here day 4 is hidden, and you find out.
#
# ## Data
#
# The data are of mouse embryonic stem cells after LIF, the factor that keeps them stem cells, was withdrawn ([Klein et al. 2015](https://doi.org/10.1016/j.cell.2015.04.044)): [UMI](../../book/glossary.md#umi) counts of a subset of 1,000 cells and 900 genes. Use the hidden cells to score a prediction, once, and for nothing else.

# %%
cells = load("klein2015")
sc.pp.normalize_total(cells, target_sum=1e4)
sc.pp.log1p(cells)
split = hold_out_times(cells, test=4.0)
at = {
    time: split.train[split.train.obs["time"] == time].to_df().to_numpy()
    for time in (0.0, 2.0, 7.0)
}
hidden = split.test.to_df().to_numpy()
print({time: len(each) for time, each in at.items()}, len(hidden))

# %% tags=["hide-input"] caption="Cells of the three days that you are given, in the first two principal components of these days. Day 2 lies beside the straight line from day 0 to day 7." alt="Three clouds of dots: day 0 in grey in the middle below, day 2 in blue on the left above it, day 7 in orange on the right." name="fig-missing-given"
axes = PCA(2, random_state=seed).fit(np.vstack(list(at.values())))
fig, ax = plt.subplots(figsize=(5, 3.4))
for (time, each), color in zip(at.items(), (GREY, BLUE, ORANGE), strict=True):
    ax.plot(*axes.transform(each).T, ".", ms=4, color=color, label=f"day {time:g}")
ax.set(xlabel="component 1", ylabel="component 2")
ax.legend()
plt.show()

# %% [markdown]
# ## A scale
#
# How far is a predicted population from the hidden cells? Their [energy distance](../../book/glossary.md#energy-distance) is 0 only where the two populations are the same. The [floor](../../book/glossary.md#floor) shows how small it can get with so few cells: one half of the hidden cells is scored against the other half. A *copy* passes off the cells of another day as a prediction.

# %%
rng = np.random.default_rng(seed)
half, other = np.array_split(rng.permutation(hidden), 2)
scores = {
    "day 2, copied": energy_distance(at[2.0], other),
    "day 7, copied": energy_distance(at[7.0], other),
    "floor": energy_distance(half, other),
}
named = pd.Series(scores, name="energy distance").to_frame()
table(named.rename_axis("prediction"), apart=("floor",))

# %% tags=["hide-input"]
copy = min(scores["day 2, copied"], scores["day 7, copied"])
claim(
    f"The better copy, day 2, has {copy / scores['floor']:.0f} times the energy distance of the floor, so there is much to gain.",
    copy > 5 * scores["floor"],
    scores["day 2, copied"] < scores["day 7, copied"],
)

# %% [markdown]
# ## Step by step
#
# > **Exercise** On a straight line between days 2 and 7, which weight does day 7 have at day 4?

# %% tags=["solution"]
before, time, after = 2.0, 4.0, 7.0
### BEGIN SOLUTION
answer = (time - before) / (after - before)
### END SOLUTION
checks.weight_on_line(answer, before, time, after)

# %% [markdown]
# > **Exercise** According to that line, what is the mean of each gene on day 4?

# %% tags=["solution"]
early, late = at[2.0], at[7.0]
### BEGIN SOLUTION
weight = (time - before) / (after - before)
answer = (1 - weight) * early.mean(axis=0) + weight * late.mean(axis=0)
### END SOLUTION
checks.mean_on_line(answer, early, late, (before, time, after))

# %% [markdown]
# > **Exercise** Predict cells of day 4 that are more like the hidden ones than the cells of day 2 are. A simple way, which the package also offers, is to take the cells of day 2 and move them along the line.

# %% tags=["solution"]
### BEGIN SOLUTION
way = late.mean(axis=0) - early.mean(axis=0)
answer = np.maximum(early + weight * way, 0)
### END SOLUTION
checks.cells_predicted(answer, early, hidden, energy_distance)

# %% [markdown]
# ## What to hand in
#
# One notebook and a page for the laboratory:
#
# 1. a table of at least four methods, one of them a model of `scstlib.models.temporal.methods()`, with the copy and the floor, all scored in the same way and over several seeds;
# 2. a figure of the hidden cells and of the best prediction, on axes fitted without the hidden cells;
# 3. three genes that the best method gets wrong, and what happened on day 4 that a straight line cannot know;
# 4. your advice: can day 4 be left out?
#
# The [rubric](../../book/teaching.md#a-rubric) says how your work is judged. Choose settings without the hidden cells: hide day 2 to choose, and score day 4 once.
#
# ## Check yourself
#
# <details><summary>The best of your forty settings beats the copy on day 4. What do you report?</summary>
#
# Not that score: the hidden cells chose it among forty. Choose by day 2, and score only the chosen setting on day 4.
#
# </details>
#
# <details><summary>A prediction of one mean profile for all cells has a small error in every gene. Is it good?</summary>
#
# Not as a population: all its cells are the same. The energy distance sees that; a mean error does not.
#
# </details>
#
# <details><summary>Only three days are left to train on. What can a network learn that a line cannot?</summary>
#
# With three times it can hardly learn a bend and check it, because hiding one time leaves only two. It can learn how genes vary together, which it sees from the cells, not from the times.
#
# </details>
#
# ## Key points
#
# - Say where a prediction lies between the copy and the floor, not only which one is best.
# - Use hidden cells for one score; make all choices on other days.
# - A day that is far from both neighbours cannot be predicted from them. That is a result, too.
#
# ## Exercises
#
# > **Exercise** Hide day 2 instead. Is the advice the same?
#
# <details><summary>Solution</summary>
#
# Change `test=4.0` to `2.0`, and the days around it. Compare the distances with the floor of day 2, which is higher because there are fewer cells. If the advice differs between days, it is not about the method but about what happens on those days.
#
# </details>
#
# ## Further reading
#
# - [Expression at unmeasured times](../temporal/unmeasured_times.ipynb): the same question on six series.
# - [Your own time course](../practice/your_time_course.ipynb): the same steps with your own files.
