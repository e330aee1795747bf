# %% [markdown]
# # When a drift leaves the data
#
# A flow run backwards, a short interval beside a long one, and whose noise a predicted cell keeps.
#
# > **Learning goals**
# > - [say how far a flow may be run backwards](#backwards-through-a-funnel), and from which cells;
# > - [see why a drift that counts hours overshoots](#a-short-interval-beside-a-long-one) after a short interval;
# > - [decide whose noise a moved cell keeps](#whose-noise-does-a-cell-keep).
# >
# > **Before**: [scNODE, the package's](scnode_package.ipynb) makes the choices that are tried here.
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
import torch
from anndata import AnnData

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.metrics.expression import energy_distance
from scstlib.models import ScNODE
from scstlib.models.temporal.scnode import transport_curves as curves
from scstlib.models.temporal.scnode.drift import DriftField
from scstlib.models.temporal.scnode.flow_matching import DriftSettings, train_drift
from scstlib.models.temporal.scnode.latent_cells import expected_cells
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.ways import Side, carried
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, ORANGE, book_style
from scstlib.preprocess.cells import log_values

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A [drift](../../book/glossary.md#drift) can fit every measured time and still send cells where no cell was ever seen. The package's default has several guards against this. Three are tried here: it runs a flow backwards by less than one interval, its clock counts measured times instead of hours, and cells that it moves keep their own noise. Each experiment shows what happens without one of them.
#
# ## Backwards through a funnel
#
# Between two measured times the default moves cells of the earlier time forwards and cells of the later time *backwards*. Is that allowed? Differentiation is often a funnel: different cells become alike. Forwards, it shrinks errors across the funnel. Backwards, it magnifies them by the factor by which it shrank them.
#
# Here the funnel is known. Cells move to the right by 1 in a unit of time, and their distance $y$ from the middle, positive above and negative below, shrinks as $e^{-2t}$, to less than a seventh in each unit. They are measured at times 0, 1, 2 and 3, with a random error of standard deviation 0.1 in both coordinates. The cells of time 2 are then run back to time 1: first with the true velocity, then with a drift that was learned from the measured cells, by [flow matching](../../book/glossary.md#flow-matching). The third run uses the same drift, but its cells come from another batch, which lies 0.2 higher.

# %%
rng, times = np.random.default_rng(seed), np.arange(4.0)


def measured(time, n=300):
    """Cells (n, 2) of the funnel at a time, with measurement error."""
    along, across = rng.normal(size=(2, n))
    true = np.c_[time + 0.3 * along, across * np.exp(-2 * time)]
    return true + 0.1 * rng.normal(size=(n, 2))


clouds = [measured(time) for time in times]
pairs = curves.couple_times(clouds, None, rng)
how = DriftSettings(seed=seed)
drift, _ = train_drift(pairs, times, how, progress=False)
clock = ModelTime(times, "real")
field = DriftField(drift, clock, max_step=0.25, damping=0.0)

# %% tags=["hide-input"]
back = np.linspace(2, 1, 11)
other_batch = clouds[2] + [0.0, 0.2]
runs = {
    "true velocity": clouds[2][:, 1] * np.exp(2 * (2 - back))[:, None],
    "learned drift": field.flow(clouds[2], 2.0, back)[..., 1],
    "learned drift,\nother batch": field.flow(other_batch, 2.0, back)[..., 1],
}

# %% tags=["hide-input"] caption="Distance $y$ from the middle of 40 cells that are run back from time 2 to time 1; paths run from right to left. Grey bars hold 95% of the cells measured at times 1 and 2. *Left*: the true velocity magnifies measurement errors, and many cells miss the bar at time 1. *Middle*: the learned drift brings most cells back into it. *Right*: it magnifies the offset of another batch." alt="Three panels of distance over time. Lines start close together at time 2 on the right. In the left panel they fan out far beyond the grey bar at time 1, in the middle panel hardly, in the right panel they bend upwards together." name="fig-funnel"
fig, axes = plt.subplots(1, 3, figsize=(5.4, 3.2), sharey=True)
for ax, (name, y) in zip(axes, runs.items(), strict=True):
    for time in (1, 2):
        ax.plot([time] * 2, np.quantile(clouds[time][:, 1], [0.025, 0.975]), color="0.75", lw=9)
    ax.plot(back, y[:, :40], color=BLUE, lw=0.7)
    ax.set(title=name, xlabel="time", xticks=[1, 2])
axes[0].set_ylabel("distance $y$")
plt.show()

# %% tags=["hide-input"]
spread = {name: y[-1].std() for name, y in runs.items()}
true, learned, _ = spread.values()
once, twice = clouds[1][:, 1].std(), clouds[0][:, 1].std()
far = field.flow(clouds[2], 2.0, [0.0])[0, :, 1].std()
half, expected = runs["learned drift"][5].std(), np.hypot(np.exp(-3), 0.1)
away = (runs["learned drift,\nother batch"] - runs["learned drift"])[-1].mean()
both = [field.flow(clouds[1] + [0.0, up], 1.0, [2.0])[0, :, 1].mean() for up in (0.0, 0.2)]
ahead = both[1] - both[0]
claim(
    f"With the true velocity, the standard deviation of $y$ at time 1 is {true:.2f}; that of the measured cells is {once:.2f}. With the learned"
    f" drift it is {learned:.2f}, and {far:.1f} instead of {twice:.1f} if the cells are run on to time 0. Halfway, at time 1.5, it is {half:.2f}; measured cells would have"
    f" {expected:.2f}.\n\nThe batch, which begins 0.2 too high, is {away:.1f} too high at time 1; with the true velocity it would be {0.2 * np.exp(2):.1f}. Forwards, from time 1 to 2,"
    f" a difference of 0.2 shrinks to {ahead:.2f}.",
    abs(half - expected) < 0.03,
    true > 3.5 * once and 1.2 * once < learned < 0.6 * true,
    far > 1.2 * twice and away > 0.3 > 0.17 > abs(ahead),
)

# %% [markdown]
# Why does the *wrong* velocity do better than the true one? The spread of the measured cells shrinks by less than the funnel does, because noise is part of it. A drift that follows them therefore magnifies less on the way back. But it is not exact, and what is wrong at time 1 is magnified again on the way to time 0. So is an error that all cells share, like that of a batch. Therefore the default starts at measured cells, goes back by less than one interval, and takes fewer cells from the farther time.
#
# > **Tip** Do not trust a flow that is run back through several intervals to find where a cell *came from*. Errors are magnified in each, and no measured cell corrects them.
#
# ## A short interval beside a long one
#
# Experimenters measure often when a response begins and seldom later: 0, 1, 24, 72 h. If the drift counts hours, two things go wrong. The curves that it is learned from have a slope at each measured cell: a weighted mean of the slopes of the straight lines to its partners before and after, in which the shorter interval counts more. Over one hour, this slope is mostly noise, and a curve that follows it for many hours overshoots. And training makes a squared error of velocities small, which nearly all comes from the short interval, where they are largest.
#
# The cells are from the simulated organism, 80 at each of 0, 1, 24, 72 and 96 h. The models predict 12 h. With `combine=False`, all predicted cells come from the drift.

# %%
organism = simulate_organism(seed=seed, preset="small")
train = organism.sample([0.0, 1.0, 24.0, 72.0, 96.0], 80, seed=1)
at = train.obs["time"].to_numpy()
in_hours = ScNODE(time="real", combine=False, seed=seed).fit(train)
in_intervals = ScNODE(combine=False, seed=seed).fit(train)
latent = in_intervals.encode(train)  # both have the same latent space

# %% tags=["hide-input"]
hours = np.unique(at)
pairs = curves.couple_times([latent[at == h] for h in hours], None, np.random.default_rng(seed))
drawn, share = {}, {}
for name, clock in {"in hours": hours, "in intervals": np.arange(5.0)}.items():
    some = curves.draw_curves(pairs, clock, np.random.default_rng(seed))
    inside = (some.time > clock[1]) & (some.time < clock[2])
    drawn[name] = np.interp(some.time[inside], clock, hours), some.position[inside, 0]
    squared = (some.velocity**2).sum(axis=1)
    share[name] = squared[some.time < clock[1]].sum() / squared.sum()

# %% tags=["hide-input"] caption="Points on the curves between 1 h and 24 h from which a drift is learned, in the first latent coordinate (blue), and the measured cells at both ends (orange). The same chains of cells are joined by curves in hours (left) and in intervals (right). In hours the curves leave the range of the cells." alt="Two scatter plots over 1 to 24 hours. On the left blue points swell to a wide belly between the orange columns of measured cells; on the right they stay about as wide as the columns." name="fig-overshoot"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.0), sharey=True)
for ax, (name, (hour, place)) in zip(axes, drawn.items(), strict=True):
    ax.plot(hour[::4], place[::4], ".", color=BLUE, ms=3)
    for h in (1.0, 24.0):
        ax.plot(np.full((at == h).sum(), h), latent[at == h, 0], "_", color=ORANGE)
    ax.set(title=name, xlabel="time (h)", xticks=[1, 12, 24])
axes[0].set_ylabel("first latent coordinate")
plt.show()

# %% tags=["hide-input"]
width, said = {}, {}
near = latent[(at == 1) | (at == 24)].std(axis=0)
models = {"in hours": in_hours, "in intervals": in_intervals}
for name, model in models.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        points = model.sample([12.0], 400, seed=seed).obsm["latent"]
    width[name] = float((points.std(axis=0) / near).max())
    said[name] = [str(warning.message) for warning in caught]
claim(
    f"Of the squared velocities of the curves, {share['in hours']:.0%} lie in the first hour if time is in hours, and {share['in intervals']:.0%} if it is in intervals."
    f" At 12 h, along the latent axis where it is worst, the predicted cells are {width['in hours']:.1f} times as spread out as the cells measured at"
    f" 1 h and 24 h if the drift counts hours, and {width['in intervals']:.1f} times if it counts intervals. In hours, the package warns:"
    f" *{' '.join(said['in hours'])}*.",
    width["in hours"] > 2 > 1.4 > width["in intervals"],
    share["in hours"] > 0.7 > 0.3 > share["in intervals"],
    len(said["in hours"]) == 1 and not said["in intervals"],
)

# %% [markdown]
# Counting intervals has its price: a curve that is smooth in intervals slows down 23-fold at 1 h, whether cells do or not. The default can afford this because its paths are short: they begin at measured cells and end before the next measured time. And the drift is only one of several ways in which it predicts cells; when training times are left out, ways that fail there lose their share ([Expression at unmeasured times](unmeasured_times.ipynb)).
#
# ## Whose noise does a cell keep?
#
# A latent point is what a cell has in common with others. The measured cell has more: its depth, its zeros, and all that the latent space left out. When a cell is moved to a new latent point, what should become of this rest, the *residual*? There are four answers.
#
# - **None**: predict expected values, of counts at drawn depths.
# - **Drawn anew** from the [observation model](../../book/glossary.md#observation-model): of counts, a depth and a negative binomial; of log values, the residual of one of the five training cells nearest to the new point.
# - That of **another cell** of the same time.
# - That of **the same cell**: $x_{\text{new}} = x + \text{decode}(z_{\text{new}}) - \text{decode}(z)$. Of counts, the default thins each gene whose expected share falls and adds Poisson counts to each gene whose expected share rises, so that zeros mostly stay.
#
# The same cells of 24 h and 72 h are moved to 48 h, each by a model of log values and by a model of counts, and compared with measured cells of 48 h in [likeness](../../book/glossary.md#likeness). The floor is other measured cells.


# %%
sides = [np.flatnonzero(at == h) for h in (24.0, 72.0)]
own = np.concatenate(sides)
another = np.concatenate([rng.permutation(side) for side in sides])
kept = {"another cell": another, "the same cell": own}


def moved(cells):
    """Log values of cells at 48 h by where their residuals come from."""
    model = ScNODE(combine=False, seed=seed).fit(cells)
    latent, stored = model.encode(cells), cells.to_df().to_numpy()
    ends = [model.flow(latent[at == h], h, [48.0])[0] for h in (24.0, 72.0)]
    end, found = np.concatenate(ends), {}
    spaces = model.factors_, model.cells_
    for name, noise in {"none": "depth", "drawn anew": True}.items():
        draw = torch.Generator().manual_seed(seed)
        found[name] = expected_cells(*spaces, end, noise, draw)[1]
    for name, rows in kept.items():
        source = Side(stored[rows], latent[rows])
        cell = carried(model.factors_, source, end, rng).stored
        found[name] = log_values(cell) if cells is train else cell
    return found


# %% tags=["hide-input"]
goal, fresh = (log_values(organism.sample([48.0], 160, seed=s).X.toarray()) for s in (2, 3))
logged = AnnData(log_values(train.X.toarray()).astype(np.float32), obs=train.obs)
floor = {"floor: other measured cells": fresh}
scores = {
    kind: {name: energy_distance(x, goal) for name, x in (moved(cells) | floor).items()}
    for kind, cells in {"log values": logged, "counts": train}.items()
}
scores = pd.DataFrame(scores).rename_axis("residual from")
table(scores, best={"log values": "min", "counts": "min"}, apart=tuple(floor), digits=3)

# %% tags=["hide-input"]
none, anew, others, same = scores["log values"].iloc[:4]
counted = scores["counts"].iloc[1:4]
claim(
    "Without noise, predicted cells are unlike measured ones, though they have the same latent points. **In log values** the cell's own residual is best: with another's the distance is"
    f" {others / same - 1:.0%} larger and with a new draw {anew / same - 1:.0%}. The residual of a cell belongs to its latent point: a zero leaves one residual where much is expected"
    " and another where little is. At another point, it gives neither a zero nor a likely value. **In counts** less depends on it"
    f" ({counted.iloc[1] / counted.iloc[2] - 1:+.0%} with another's, {counted.iloc[0] / counted.iloc[2] - 1:+.0%} with a new draw): the simulated noise is what the model of counts assumes.",
    none > 3 * anew,
    1.03 * same < others,
    1.05 * same < anew,
    counted.max() < 1.2 * counted.min(),
)

# %% [markdown]
# On real series, too, a residual belongs to its cell: for a flow on six real series and the organism, populations between measured times are clearly less like measured ones if each cell gets another's residual ([From pairs to a flow](../alternatives/flow_matching.ipynb)). And no model of noise is sure to fit real cells. The default therefore lets moved cells keep their own, and draws noise anew in only one of its five ways, the share of which left-out times decide.
#
# ## Check yourself
#
# <details><summary>A drift fits all measured populations. Why is it unsafe to run a new cell back to the first time?</summary>
#
# It was trained where measured cells lie. Backwards through a funnel, a small distance from them grows in each interval, and no measurement on the way corrects it.
#
# </details>
#
# <details><summary>Would more cells at 0 h and 1 h stop curves in hours from overshooting?</summary>
#
# Hardly. Partners lie nearer to each other, but a curve still goes through single cells, whose noise does not average out.
#
# </details>
#
# <details><summary>Why not score the four residuals by place in a few components?</summary>
#
# Place asks where a population is, not whether its cells look measured. The four populations have the same latent points, and most of the noise lies outside a few components.
#
# </details>

# %% [markdown]
# ## Key points
#
# - A flow that gathers cells magnifies errors when it is run backwards. Start at measured cells and go back less than one interval.
# - Directions taken from noisy cells over a short interval must not be followed over a long one.
# - Of log values, a moved cell should keep its own residual; of counts, a good model of the noise does nearly as well.
# - A warning that cells lie outside what was measured is a reason to stop.
#
# ## Exercises
#
# > **Exercise** A gene is measured in a chain of four cells at 0, 1, 24 and 72 h. Its true value is 0 throughout, but the cell of 1 h is measured as 1. What is the largest value of the curve through the chain between 1 h and 24 h, if it is drawn in hours, and if it is drawn in intervals? `curves.hermite` draws it.

# %% tags=["solution"]
hours, chain = np.array([0.0, 1.0, 24.0, 72.0]), np.array([0.0, 1.0, 0.0, 0.0])
### BEGIN SOLUTION
answer = []
for clock in (hours, np.arange(4.0)):
    asked = np.linspace(clock[1], clock[2], 1001)
    before, left, right, after = np.repeat(chain[:, None], 1001, 1)[..., None]
    curve, _ = curves.hermite(asked, clock, before, left, right, after)
    answer.append(curve.max())
### END SOLUTION
checks.heights_of_curves(answer, hours, chain)

# %% [markdown]
# > **Exercise** Make the funnel gentle: let $y$ shrink as $e^{-t/2}$. How wide are the cells of time 2 when they are run back to time 0 with the learned drift?
#
# <details><summary>Solution</summary>
#
# Replace `np.exp(-2 * time)` by `np.exp(-time / 2)`, train the drift again and look at `field.flow(clouds[2], 2.0, [0.0])[0, :, 1].std()`. Over two intervals the true flow now magnifies by $e \approx 2.7$ instead of $e^4 \approx 55$, and the width is about that of the measured cells of time 0. How far a flow may be run backwards depends on how strongly it gathers cells, and on the noise.
#
# </details>
#
# ## Further reading
#
# - [Tong et al. 2024](https://arxiv.org/abs/2302.00482): flow matching on pairs by optimal transport.
