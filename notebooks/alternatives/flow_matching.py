# %% [markdown]
# # From pairs to a flow
#
# A velocity learned from pairs of cells: straight paths, held-out times, and the time beyond the last.
#
# > **Learning goals**
# > - [turn pairs of cells into a flow in a few lines](#in-a-few-lines);
# > - [say what the way of pairing changes](#in-a-few-lines), and measure it;
# > - [choose between pairs alone and a flow by scores at held-out times](#on-held-out-times), and tell when a
# >   flow leaves the data.
# >
# > **Before**: [Pairing cells by optimal transport](optimal_transport.ipynb) and [Neural ODEs](../temporal/neural_odes.ipynb).
# >
# > **Time**: 15 min to read, 1 min to run.

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
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import ot
import pandas as pd
import torch
from sklearn.decomposition import PCA
from torch import nn

from scstlib import checks
from scstlib.datasets import load
from scstlib.datasets.organism import simulate_organism
from scstlib.metrics.expression import energy_distance, wasserstein
from scstlib.models.temporal import SPLIT_HALF as FLOOR
from scstlib.models.temporal import methods, score_held_out_times
from scstlib.models.temporal.cells import measured_cells
from scstlib.pages import Claims, stored, table
from scstlib.plots import BLUE, GREY, ORANGE, RED, book_style, interval_rows
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())
warnings.filterwarnings("ignore", message="time .* beyond the last training time")
claim = Claims(profile, seed)

# %% [markdown]
# The [plan](../../book/glossary.md#transport-plan) of optimal transport (OT) covers only the cells that were paired. It gives no velocity where no cell was measured, and no path for a new cell, such as a perturbed one.
#
# [Flow matching](../../book/glossary.md#flow-matching) turns such pairs into a function
# ([Lipman et al. 2023](https://arxiv.org/abs/2210.02747)). Draw a pair, take a point on the straight line
# between its cells, and let a network learn the direction of the line from place and time. Where the lines of
# several pairs cross, it learns their mean direction. Training solves no ODE; afterwards, cells follow the
# learned velocity.
#
# ## In a few lines
#
# Each step draws a small batch and pairs it anew, at random or by OT
# ([Tong et al. 2024](https://arxiv.org/abs/2302.00482)).


# %%
def draw_pairs(early, late, by_transport, n=128):
    """A small batch of cells of both times, paired."""
    x, y = (z[torch.randint(len(z), (n,))] for z in (early, late))
    if by_transport:
        cost = torch.cdist(x, y).square().numpy()
        y = y[ot.emd(ot.unif(n), ot.unif(n), cost).argmax(axis=1)]
    return x, y


def network(size):
    """Place and time (n, size + 1) to velocity (n, size)."""
    first, last = nn.Linear(size + 1, 64), nn.Linear(64, size)
    return nn.Sequential(first, nn.SiLU(), last)


def learn(early, late, by_transport, batch=128, n_steps=600):
    """A drift that learns the directions of lines between pairs."""
    drift = network(early.shape[1])
    optimizer = torch.optim.Adam(drift.parameters(), lr=0.01)
    rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    for _ in range(n_steps):
        x, y = draw_pairs(early, late, by_transport, batch)
        s = torch.rand(len(x), 1)  # from 0, early, to 1, late
        velocity = drift(torch.cat([x + s * (y - x), s], dim=1))
        loss = (velocity - (y - x)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return drift


def follow(drift, cells, n_steps):
    """Paths (n_steps + 1, n_cells, size) from time 0 to 1, by Euler."""
    path = [cells]
    for k in range(n_steps):
        s = torch.full((len(cells), 1), k / n_steps)
        velocity = drift(torch.cat([path[-1], s], dim=1))
        path.append(path[-1] + velocity / n_steps)
    return torch.stack(path).detach()


# %% [markdown]
# In the simulated organism, cells of 28 h become those of 76 h, when they have separated into fates. One half of the cells is for training. Of the other half, the early cells start the paths and the late cells are compared with their ends. Two numbers describe the paths: the *detour* is how much longer a path is than the straight line to its end, and *one step* says how far a single step of the solver, in place of 50, misses that end, as a share of the way.

# %% tags=["hide-input"]
organism = simulate_organism(seed=seed, preset="small", n_genes=600)
cells = organism.sample([28.0, 76.0], n_cells=400, seed=seed)
values = measured_cells(cells, "time").values  # log1p of counts per 10,000
x, y = np.split(PCA(6, random_state=seed).fit(values).transform(values), 2)
x, y = (torch.as_tensor(z / y.std(), dtype=torch.float32) for z in (x, y))
paths, rows = {}, {}
for name, by_transport in (("pairs at random", False), ("pairs by OT", True)):
    torch.manual_seed(seed)
    drift = learn(x[:200], y[:200], by_transport)
    path = paths[name] = follow(drift, x[200:], 50)
    way = (path[-1] - path[0]).norm(dim=-1)
    length = (path[1:] - path[:-1]).norm(dim=-1).sum(0)
    off = (follow(drift, x[200:], 1)[-1] - path[-1]).norm(dim=-1)
    far = wasserstein(path[-1].numpy(), y[200:].numpy(), squared=True)
    rows[name] = [*(100 * float(z.median()) for z in (length / way - 1, off / way)), far]
floor = wasserstein(y[:200].numpy(), y[200:].numpy(), squared=True)
rows["floor: the other half"] = [np.nan, np.nan, floor]
straight = pd.DataFrame(rows, ["detour (%)", "one step misses by (%)", "distance of the ends"]).T

# %% tags=["hide-input"] caption="Paths of 60 cells from 28 h (orange dots) to 76 h, in the first two principal components, over cells of 76 h (grey). Trained on random pairs, cells first move towards the middle and turn away late; trained on pairs by OT, they go nearly straight." alt="Two scatter plots with a grey cloud on the left and orange dots on the right. Left: the lines from the dots bend towards the middle and spread again in the cloud. Right: the lines are nearly straight." name="fig-flow-paths"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.0), sharex=True, sharey=True)
for ax, (name, path) in zip(axes, paths.items(), strict=True):
    ax.scatter(*y[:, :2].T, s=6, color=GREY, alpha=0.5, lw=0)
    ax.plot(*path[:, :60, :2].permute(2, 0, 1), color=BLUE, lw=0.7)
    ax.scatter(*path[0, :60, :2].T, s=6, color=ORANGE, zorder=3)
    ax.set(title=name, xlabel="PC 1")
axes[0].set_ylabel("PC 2")
plt.show()

# %% tags=["hide-input"]
table(straight.rename_axis("drift trained on"), apart=("floor: the other half",))

# %% tags=["hide-input"]
(bent, missed, far), (level, hit, near), (*_, floor) = straight.to_numpy()
claim(
    f"Both drifts lead to about the same population (distance {far:.1f} and {near:.1f}, floor {floor:.1f}), but along different paths: the detour is {bent:.1f}% with random pairs and {level:.1f}% with pairs by OT. So a single step of the solver misses the end by"
    f" {missed:.0f}% of the way with random pairs, and by {hit:.0f}% with OT. With random pairs, lines meet everywhere, so all cells first move in the mean direction and turn late."
    " OT makes paths straight, and so cheap to follow, and moves each cell as little as possible. That is an assumption, as before.",
    bent > 3 * level and missed > 1.5 * hit, 0.6 < far / near < 1.7 and near < 3 * floor,
)  # fmt: skip

# %% [markdown]
# ## On held-out times
#
# Pairs and flow are both among the `methods()` of the package, ready to fit. *OT displacement* puts cells on the lines between pairs, as in [Pairing cells by optimal transport](optimal_transport.ipynb); with *own residuals*, each cell also keeps its residual, the part that the six components do not describe, noise included. *Flow matching* learns one drift for all training times, with small batches paired by OT. (`FlowMatching(pseudotime=1)` also asks that pairs are equally far ahead of their populations; its scores are in [One comparison](one_comparison.ipynb).) The table also has two simpler guesses, the default scNODE, and two rows that give the scores a scale: the [floor](../../book/glossary.md#floor), and one mean profile for all cells. [Place](../../book/glossary.md#place) is the squared Wasserstein distance in six components, [likeness](../../book/glossary.md#likeness) the energy distance in all genes; smaller is better. Every second inner time from the third on is held out (*inner*), and so are the last two (*outer*).

# %% tags=["hide-input"]
OWN, FLOW, SCNODE = "OT displacement, own residuals", "flow matching, minibatch OT", "scNODE"
COPIED, MOVED = "nearest time copied", "nearest time, mean moved"
IN_PCS = "OT displacement, 6 components"
NAMES = (COPIED, "mean profile", MOVED, IN_PCS, OWN, FLOW, SCNODE)


def distance_in(pca, x, y):
    """Squared Wasserstein distance in principal components."""
    return wasserstein(pca.transform(x), pca.transform(y), squared=True)


def fit_and_score(cells, n_flows=1):
    """The fitted methods, the score of place, and a table of scores."""
    split = hold_out_times(cells, pattern="hard")
    runs = {name: range(seed, seed + (n_flows if name == FLOW else 1)) for name in NAMES}
    models = {name: [methods()[name](s).fit(split.train) for s in runs[name]] for name in NAMES}
    pca = PCA(6, random_state=seed).fit(measured_cells(split.train, "time").values)
    both = {"place": partial(distance_in, pca), "likeness": energy_distance}
    scores = score_held_out_times(models, split.test, both, seed=seed)
    outer = scores["time"] > split.train.obs["time"].max()
    scores["score"] = scores["metric"] + np.where(outer, ", outer", ", inner")
    means = scores.groupby(["score", "model", "repeat"], sort=False)["value"].mean()
    found = means.groupby(["model", "score"], sort=False).median().unstack()
    return models, both["place"], found.loc[[FLOOR, *NAMES], scores["score"].unique()]


models, place, found = fit_and_score(organism.sample(n_cells=150, seed=seed, keep_truth=False))
table(found.rename_axis("the organism", axis=0), best=dict.fromkeys(found, "min"), apart=(FLOOR,))

# %% [markdown]
# The second series is real: 41 genes of mouse embryonic stem cells, from 0 h to 96 h of retinoic acid ([Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4)).

# %% tags=["hide-input"]
semrau = load("semrau2017")
semrau.X = semrau.X.astype(np.float32).log1p()
semrau.uns["value_kind"] = "log1p counts"
_, _, real = fit_and_score(semrau, n_flows=2)
table(real.rename_axis("stem cells", axis=0), best=dict.fromkeys(real, "min"), apart=(FLOOR,))

# %% tags=["hide-input"]
near, stem = found["place, inner"], real["place, inner"]
claim(
    f"**Inner times**: a straight line is enough. In the organism OT has a place of {near[IN_PCS]:.1f}, the flow {near[FLOW]:.1f}, the moved mean {near[MOVED]:.1f} and scNODE {near[SCNODE]:.1f} (floor {near[FLOOR]:.1f}); in the stem cells {stem[IN_PCS]:.2f}, {stem[FLOW]:.2f},"
    f" {stem[MOVED]:.2f} and {stem[SCNODE]:.2f} (floor {stem[FLOOR]:.2f}). No network is nearer than a straight line. Likeness also asks"
    " for the noise: it is poor for six components alone, and good for all methods whose cells keep their residuals.",
    all(min(row[[IN_PCS, MOVED]]) < 1.02 * min(row[[FLOW, SCNODE]]) for row in (near, stem)), max(stem[IN_PCS], stem[FLOW], stem[MOVED]) < 1.4 * stem[FLOOR],
    found["likeness, inner"][IN_PCS] > 3 * max(found["likeness, inner"][[OWN, FLOW]]),
)  # fmt: skip

# %% tags=["hide-input"]
near, stem, like = found["place, outer"], real["place, outer"], real["likeness, outer"]
claim(
    f"**Outer times**: OT repeats the last cells, and the flow goes on. In the organism this does harm (place {near[FLOW]:.0f} against {near[COPIED]:.0f}, floor {near[FLOOR]:.0f}). In the stem cells it improves likeness ({like[FLOW]:.2f} against {like[COPIED]:.2f}, the mean"
    f" of two trainings), but not place ({stem[FLOW]:.1f} against {stem[COPIED]:.1f}). Whether cells go on as they"
    " went is a matter of the cells, not of the method.",
    near[FLOW] > 1.1 * near[COPIED], like[FLOW] < 0.9 * like[COPIED] and stem[FLOW] > 0.95 * stem[COPIED],
)  # fmt: skip

# %% [markdown]
# ## Beyond the last time
#
# A plan ends with the last measured time; a flow can be followed further. Should it be? The next figure compares repeated cells, the flow and scNODE with fresh cells of the organism at later and later times.

# %% tags=["hide-input"] caption="Squared distance to fresh cells of the organism, from the last training time on. The flow leaves the data; repeated cells and scNODE stay within reach of the floor, which differs from time to time." alt="A line chart of four lines over hours. Three stay low and uneven; that of flow matching rises steeply." name="fig-beyond"
last = float(models[COPIED][0].times_[-1])
ahead = np.array([0.0, 9.0, 18.0, 27.0, 36.0])
fresh, again = (measured_cells(organism.sample(last + ahead, n_cells=150, seed=seed + k), "time") for k in (1, 2))  # fmt: skip
moved, far = {}, {"floor": [place(again.at(last + h), fresh.at(last + h)) for h in ahead]}
for name in (COPIED, FLOW, SCNODE):
    drawn = models[name][0].sample(last + ahead, 150, seed=seed)
    moved[name] = np.split(drawn.layers["log1p_cp10k"], len(ahead))
    far[name] = [place(x, fresh.at(last + h)) for x, h in zip(moved[name], ahead, strict=True)]
fig, ax = plt.subplots(figsize=(5.4, 3.0))
for (name, line), color in zip(far.items(), (GREY, ORANGE, BLUE, RED), strict=True):
    ax.plot(ahead, line, "o-", color=color, label=name)
ax.set(xlabel="hours beyond the last training time", ylabel="place")
ax.legend(fontsize="small")
plt.show()

# %% tags=["hide-input"]
end = {name: line[-1] for name, line in far.items()}
ends = moved[FLOW][-1], fresh.at(last + ahead[-1])
spread = [place.args[0].transform(x).var(0).sum() for x in ends]
claim(
    f"{ahead[-1]:.0f} h beyond the last training time the flow has a squared distance of {end[FLOW]:.0f}, repeated cells {end[COPIED]:.0f}, and scNODE, whose drift fades, {end[SCNODE]:.0f}; the floor is {end['floor']:.0f}. The flow's cells have {spread[0] / spread[1]:.1f} times the variance"
    " of true ones: it keeps driving separated fates further apart. Nothing bounds a network where it has seen no cell.",
    end[FLOW] > 1.3 * max(end[COPIED], end[SCNODE]) > 1.3 * end["floor"], spread[0] > 1.2 * spread[1],
)  # fmt: skip

# %% [markdown]
# ## Which part matters
#
# A flow has many parts. The benchmark `ablation` exchanges one part at a time, on an organism and six real series, and divides each score by the score of the flow as it is here: straight lines, minibatches paired by OT, six components, own residuals. All are trained for 250 steps. The rows of the figure say what is exchanged:
#
# - **pairs**: taken from the exact plan of all cells, or at random;
# - **paths**: curves through cells of all times, in place of straight lines;
# - **mass**: unbalanced, so that cells may grow in number;
# - **dynamics**: stochastic, with noise on the way;
# - **rank**: three components, or as many as a test finds above noise;
# - **residuals**: redrawn, so that each cell gets those of another cell;
# - **none**: nothing but the seed.

# %% tags=["hide-input"] caption="Score with one part exchanged, divided by the score of the unchanged flow: geometric mean over seven data sets with its 95% interval. Left of the line is better, and 1 on the axis is twice as large a score; an interval entirely to the right is orange. The row for another seed shows how large a meaningless difference can be." alt="Four panels with nine rows each: a dot and an interval beside a line at 0. Nearly all lie on the line, but redrawn residuals in likeness between times, and random pairs beyond the last time, lie far to the right." name="fig-ablation"
effects = pd.DataFrame(stored("benchmarks/results/ablation.json")["effects"])
effects["part"] = effects["factor"] + ": " + effects["level"]
parts = {
    key: part.set_index("part")[["ratio", "lower", "upper"]]
    for key, part in effects.groupby(["metric", "kind"], sort=False)
}
fig, axes = plt.subplots(2, 2, figsize=(5.4, 7.2))
for ax, ((of, kind), part) in zip(axes.flat, parts.items(), strict=True):
    label = f"{of}, {kind}: log2 of the ratio"
    interval_rows(ax, np.log2(part).T.to_dict(), value="ratio", label=label)
plt.show()

# %% tags=["hide-input"]
inner, last = parts["place", "inner"], parts["place", "last"].T
most = 100 * abs(inner["ratio"] - 1).max()
own = parts["likeness", "inner"].loc["residuals: redrawn"]
said = "{ratio:.2f} [{lower:.2f} to {upper:.2f}]".format
claim(
    f"**Between times** one part stands out: with the residuals of other cells, likeness is {said(**own)} times as large. No exchange changes place by more than {most:.0f}%, and random pairs lead to the same population. **Beyond the last time** the pairs matter: with random ones,"
    f" place is {said(**last['pairs: at random'])} times as large, but an exact plan is no better than minibatches. Three components are better there ({said(**last['rank: 3'])}), and so is a stochastic flow ({said(**last['dynamics: stochastic'])}). Curves help nowhere. Seven data sets are few, and about two of {len(effects)} intervals miss by chance.",
    own["lower"] > 1.05, most < 5, last["pairs: at random"]["lower"] > 1.2, last["rank: 3"]["upper"] < 1, last["dynamics: stochastic"]["upper"] < 1, all(part.loc["paths: curved", "upper"] >= 1 for part in parts.values()),
)  # fmt: skip

# %% [markdown]
# ## Which one, then?
#
# - **OT alone** predicts a population between two measured times, and answers questions about pairs.
# - **A flow** gives a velocity where no cell was measured, a path through many times, or one drift for new cells. It inherits the assumptions of its pairs.
# - **Beyond the last time**, first score both on a held-out end of the series, and distrust a flow that was never tested there.
#
# ## Check yourself
#
# <details><summary>Random pairs and pairs by OT train flows that reach about the same population. What differs?</summary>
# The paths, and so what each cell is said to become. Snapshots cannot decide between them.
# </details>
# <details><summary>The loss of flow matching stays far above 0 however long it trains. Is something wrong?</summary>
# No. Where lines meet they have different directions, and their mean is the best answer. The loss falls to the variance of the directions.
# </details>
# <details><summary>The paths of a flow are straight. Are they right?</summary>
# Straight paths are cheap to follow. Whether cells took them is another question, which only other data answer.
# </details>

# %% [markdown]
# ## Key points
#
# - Flow matching turns pairs into a function: the mean direction of their lines at each place and time.
# - Paths are bent with random pairs, and nearly straight with pairs by OT.
# - Between measured times a flow is no nearer to the cells than OT alone; what it adds is a velocity everywhere.
# - Between times it matters most that cells keep their residuals; beyond the last time, how they are paired.
# - Test a flow on held-out ends before you follow it beyond the last time.
#
# ## Exercises
#
# > **Exercise** Train the flow with batches of 8 cells in place of 128. How does the detour change, and why?
#
# <details><summary>Solution</summary>
#
# Train `learn(x[:200], y[:200], True, batch=8)` in the loop above. The detour hardly grows: even among 8 cells the best pairing avoids most crossings. Only with a batch of one would all pairs be random.
#
# </details>
#
# > **Exercise** Cells `here` and `there` are paired at random. Which velocity does a drift learn at place 1.5 and time 0.25, where the lines of many pairs meet?

# %% tags=["solution"]
rng = np.random.default_rng(seed)
here, there = rng.normal(0, 1, 100_000), rng.normal(2, 1, 100_000)
### BEGIN SOLUTION
passing = here + 0.25 * (there - here)
near = np.abs(passing - 1.5) < 0.05
answer = (there - here)[near].mean()
### END SOLUTION
checks.mean_velocity(answer, here, there, 0.25, 1.5)

# %% [markdown]
# ## Further reading
#
# - [What flows cannot do](../temporal/what_flows_cannot_do.ipynb), however they are trained.
# - [Lipman et al. 2023](https://arxiv.org/abs/2210.02747): flow matching.
# - [Tong et al. 2024](https://arxiv.org/abs/2302.00482): pairs of minibatches, at random and by OT.
