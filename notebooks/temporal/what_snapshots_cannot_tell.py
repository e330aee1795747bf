# %% [markdown]
# # What snapshots cannot tell
#
# Three worlds with equal snapshots and different fates, and the data that tell them apart.
#
# > **Learning goals**
# > - [give an example of dynamics that no snapshots can tell apart](#the-same-snapshots-other-fates);
# > - [say what each reading of a flow rests on](#what-a-model-does-about-it), and whether snapshots show it;
# > - [name data that decide where snapshots cannot](#what-does-decide).
# >
# > **Before**: [Trajectories and fates](trajectories_and_fates.ipynb) shows the readings; this page needs none of its
# > code.
# >
# > **Time**: 10 min to read, 1 min to run.

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

from scstlib import checks
from scstlib.metrics.expression import energy_distance
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, ORANGE, book_style

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A model fits the cells of every measured time. It even predicts the cells of times that it has not seen. Does that
# make the paths of its single cells right?
#
# No. Sequencing destroys a cell, so a time course is a series of [snapshots](../../book/glossary.md#snapshot):
# different cells at every time. Think of a crowd in grey coats on a square, photographed from above once a minute.
# Whether the people stand still or change places, the photographs look the same. It is the same with cells: many
# dynamics have the same snapshots, at all times ([Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115)).
#
# ## Three worlds
#
# The cells of this page have two coordinates. Until time 1 they lie in a round cloud. Then those to the right of the
# middle go right and the others go left, to two fates. Three worlds differ in what the cells do *inside* the cloud
# until time 1.
#
# - In **stay** they remain where they are.
# - In **turn** each makes half a turn about the centre of the cloud.
# - In **forget** noise moves each at random, in such a way that the cloud as a whole stays as it is.


# %%
def next_place(world, cells, dt, rng):
    """Places (n, 2) of cells in the cloud, a moment later."""
    if world == "turn":
        c, s = np.cos(np.pi * dt), np.sin(np.pi * dt)
        return cells @ np.array([[c, s], [-s, c]])
    if world == "forget":
        kept = np.exp(-4 * dt)
        noise = np.sqrt(1 - kept**2) * rng.normal(size=cells.shape)
        return kept * cells + noise
    return cells


# %% tags=["hide-input"]
def follow(world, start, rng, n_steps=20):
    """Places (41, n, 2) of cells from time 0 to time 2."""
    path = [start]
    for _ in range(n_steps):
        path.append(next_place(world, path[-1], 1 / n_steps, rng))
    side = np.sign(path[-1][:, :1]) * [3.0, 0.0]
    path += [path[n_steps] + side * k / n_steps for k in range(1, n_steps + 1)]
    return np.array(path)


WORLDS = ("stay", "turn", "forget")
rng = np.random.default_rng(seed)
tracks = {world: follow(world, rng.normal(size=(2000, 2)), rng) for world in WORLDS}

# %% tags=["hide-input"] caption="The same snapshots from three worlds. Lines are the first coordinates of single cells, coloured by the fate that they reach; the grey histogram at the right of each panel is the whole population at the last time. In *stay* the colours are sorted from the start, in *turn* they change sides, in *forget* they mix until time 1." alt="Three panels of position over time. In each, cells spread between -3 and 3 until time 1 and part to -4 and 4 at time 2, with the same two-humped histogram. In the first the coloured lines are level, in the second they cross in smooth bows, in the third they are jagged and mixed." name="fig-worlds"
fig, axes = plt.subplots(1, 3, figsize=(5.4, 3.4), sharey=True)
for ax, (world, track) in zip(axes, tracks.items(), strict=True):
    for line in track[:, :24, 0].T:
        ax.plot(np.linspace(0, 2, 41), line, color=BLUE if line[-1] > 0 else ORANGE, lw=0.8)
    counts, edges = np.histogram(track[-1, :, 0], bins=40)
    ax.barh(edges[:-1], counts / 200, np.diff(edges), 2.05, align="edge", color=GREY)
    ax.set(title=world, xlabel="time", xticks=[0, 1, 2])
axes[0].set_ylabel("first coordinate")
plt.show()

# %% [markdown]
# ## The same snapshots, other fates
#
# Are the snapshots really the same? The table compares 2,000 cells of each world, at nine times, with fresh cells of
# *stay*. It shows the largest of the nine [energy distances](../../book/glossary.md#energy-distance), which would be
# 0 for equal populations; the row *stay* says how far chance alone takes it from 0. The other columns answer two
# questions about single cells. Of those that start on the right, how many end there? And what is the effect of a
# *push* that moves every cell to the right by 1 at time 0, as a perturbation might?

# %%
fresh = follow("stay", rng.normal(size=(2000, 2)), rng)
rows = {}
for world, track in tracks.items():
    right = track[:, :, 0] > 0
    pushed = follow(world, track[0] + [1.0, 0.0], rng)[-1, :, 0] > 0
    apart = map(energy_distance, track[::5], fresh[::5])
    rows[world] = {
        "distance to fresh stay": max(apart),
        "starts right, ends right (%)": 100 * right[-1][right[0]].mean(),
        "ends right (%)": 100 * right[-1].mean(),
        "ends right after a push (%)": 100 * pushed.mean(),
    }

# %% tags=["hide-input"]
answers = pd.DataFrame(rows).T.rename_axis("world")
table(answers, digits=2)

# %% tags=["hide-input"]
apart, kept, plain, pushed = answers.to_numpy().T
claim(
    f"No snapshot is further than {apart.max():.3f} from fresh cells of *stay*, and this small distance is chance: no number of cells would tell"
    f" the worlds apart. Yet of the cells that start on the right, {kept[0]:.0f}% end there in *stay*, {kept[1]:.0f}% in *turn* and"
    f" {kept[2]:.0f}% in *forget*. After the push, {pushed[0]:.0f}% of all cells end on the right in *stay*, {pushed[1]:.0f}% in *turn* and"
    f" {pushed[2]:.0f}% in *forget*, where it changes nothing. A fate map or a perturbation effect taken from one world is wrong in the others.",
    apart.max() < 0.02,
    kept[0] > 99 and kept[1] < 1 and 45 < kept[2] < 56,
    pushed[0] > 75 and pushed[1] < 25 and 45 < pushed[2] < 56,
)

# %% [markdown]
# ## What a model does about it
#
# A model that fits snapshots has chosen one of the worlds, by its own idea of what is simple. Optimal transport, and
# flows trained with it, choose the shortest paths, as in *stay*. That is an assumption, not a finding, and three
# models that agree may merely share it.
#
# Stronger assumptions can decide. If cells drift down a potential and the size of the noise is known, snapshots
# determine the paths ([Lavenant et al. 2024](https://doi.org/10.1214/23-AAP1969)). But then you have to believe the
# assumptions.
#
# | reading of a flow | rests on | seen in snapshots? |
# |---|---|---|
# | population, shares of fates at a time | the fit | yes |
# | mean velocity of a population | the fit, and growth | yes, up to growth |
# | time at which cells part | the fit | yes, where the population splits |
# | path and fate of a cell | cells take the shortest path, without noise | no |
# | answer to a knock-out | the gene causes what varies with it | no |
# | path of least action | the flow, and equal noise in all latent directions | no |
#
# [Perturbation](perturbation.ipynb) reads the time at which cells part and the last two rows from a model;
# [Trajectories and fates](trajectories_and_fates.ipynb) reads the others.
#
# ## What does decide
#
# Other data do: lineage barcodes, which link cells of two times; spliced and labelled RNA, which show where a cell is
# heading; perturbations that are carried out, not computed. How many cells must be followed? Suppose that you can see
# for a few cells whether they end on the side where they began. In *stay* all do, in *turn* none does. In *forget*
# some do and some do not. If by chance all do, or none does, *forget* is mistaken for one of the others.

# %% tags=["hide-input"]
same = tracks["forget"][-1, :, 0] * tracks["forget"][0, :, 0] > 0
sizes = [2, 5, 10]
drawn = {n: same[rng.integers(0, len(same), (20_000, n))] for n in sizes}
mistaken = {n: float((d.all(axis=1) | ~d.any(axis=1)).mean()) for n, d in drawn.items()}
claim(
    f"With {sizes[0]} followed cells, *forget* is mistaken for another world in {mistaken[2]:.0%} of all tries, with {sizes[1]} in"
    f" {mistaken[5]:.1%}, with {sizes[2]} in {mistaken[10]:.1%}. Here ten followed cells say more than any number of cells that are not followed.",
    0.4 < mistaken[2] < 0.6,
    0.03 < mistaken[5] < 0.1,
    mistaken[10] < 0.01,
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>Would ten times as many cells at each time tell <em>stay</em> from <em>turn</em>?</summary>
#
# No. The populations are equal at all times, so nothing computed from them alone can differ.
#
# </details>
#
# <details><summary>Would twice as many measured times?</summary>
#
# No, for the same reason: the worlds agree at every time, not only at the measured ones.
#
# </details>
#
# <details><summary>Five models, all trained with optimal transport, agree on the fate of a cell. What does that show?</summary>
#
# It shows that they share an assumption, the shortest path. Agreement is evidence only as far as the models could
# have disagreed.
#
# </details>
#
# <details><summary>A model's knock-out of a gene agrees with the knock-out in the laboratory. Which world is it?</summary>
#
# A world in which the real answer equals the model's. The three worlds answer a push in three ways, so the experiment
# has ruled out the others.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Different dynamics can have the same snapshots, at all times and with any number of cells.
# - Populations, shares and mean velocities are seen. Paths, fates of single cells and answers to perturbations are
#   not: they follow from what a model assumes.
# - A few followed cells decide what no number of snapshots can.
#
# ## Exercises
#
# > **Exercise** Let *turn* be a quarter of a circle, with the same `cells = tracks["turn"][0]` at the start. What share of those that start on the right ends there? Someone can follow cells but sees only the first coordinate. To them, which other world looks the same?

# %% tags=["solution"]
cells = tracks["turn"][0]
### BEGIN SOLUTION
turned = cells @ np.array([[0, 1], [-1, 0]])
answer = np.mean(turned[cells[:, 0] > 0, 0] > 0)
### END SOLUTION
checks.quarter_turn(answer, cells)

# %% [markdown]
# > **Exercise** Let each cell divide at time 0 into two sisters, and follow both from the same start with `follow`. In
# > which worlds do sisters always share a fate? Which worlds can be told apart if only the ends of sisters are measured?
#
# <details><summary>Solution</summary>
#
# ```python
# cloud = rng.normal(size=(2000, 2))
# for world in WORLDS:
#     sisters = [follow(world, cloud, rng)[-1, :, 0] > 0 for _ in range(2)]
#     print(world, np.mean(sisters[0] == sisters[1]))
# ```
#
# In *stay* and *turn* they always do, in *forget* half of the time. So sisters tell chance from a fate that is fixed
# at the start, hidden or not: the quarter turn of the previous exercise can now be told from *forget*. *Stay* and
# *turn* remain alike until the start is measured, too.
#
# </details>
#
# ## Further reading
#
# - [Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115): what snapshots determine, and what must be
#   assumed.
# - [Lavenant et al. 2024](https://doi.org/10.1214/23-AAP1969): assumptions under which paths can be recovered.
# - [Yeo et al. 2021](https://doi.org/10.1038/s41467-021-23518-w): a generative model of time series whose fates and
#   interventions are compared with lineage tracing.
