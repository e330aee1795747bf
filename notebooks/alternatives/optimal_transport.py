# %% [markdown]
# # Pairing cells by optimal transport
#
# Who became whom? Cells of two times paired at least cost, and where such pairs cannot be right.
#
# > **Learning goals**
# > - [pair the cells of two times by optimal transport](#four-cells-four-partners), and read a plan;
# > - [predict the cells of a time in between from the pairs](#cells-of-a-time-that-was-not-measured);
# > - [say what a plan assumes](#what-the-plan-assumes), and find pairs that cannot be right;
# > - [allow for growth](#what-the-plan-assumes), and say what that leaves open.
# >
# > **Before**: [Expression at unmeasured times](../temporal/unmeasured_times.ipynb), or nothing.
# >
# > **Time**: 11 min to read, 1 min to run.

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
import ot
import pandas as pd
from sklearn.decomposition import PCA

from scstlib import checks
from scstlib.datasets.organism import simulate_organism
from scstlib.datasets.organism.lineage import GROWTH
from scstlib.metrics.expression import energy_distance, wasserstein
from scstlib.models.temporal import DisplacementInterpolation
from scstlib.models.temporal.cells import measured_cells
from scstlib.models.temporal.transport import coupling, grow
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREY, RED, book_style, populations

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# Sequencing destroys a cell. A time course shows different cells at every time, and it leaves open the question
# that matters most: which early cell became which late cell?
#
# One answer needs nothing but the cells themselves: *on the whole, cells have changed as little as the two
# populations allow*. This is [optimal transport](../../book/glossary.md#optimal-transport), OT
# ([Peyré and Cuturi 2019](https://arxiv.org/abs/1803.00567)).
#
# ## Four cells, four partners
#
# Four early cells and four late ones lie in a plane, and every cell has moved one step to the right and up. The
# **cost** of a pair is the squared distance between its cells. The
# [plan](../../book/glossary.md#transport-plan) says how much of each early cell becomes each late cell. Of all
# plans that use up every cell, the optimal one has the smallest total cost.

# %%
early = np.array([[0, 0.1], [1, 0], [2, 0.2], [3, 0]])
late = early + [1, 0.8]

cost = ot.dist(early, late)  # squared distances, 4 x 4
equal = ot.unif(4)  # every cell weighs 1/4
plan = ot.emd(equal, equal, cost)

# %% tags=["hide-input"] caption="*Left*: early cells (blue) and late ones (orange-red). Arrows: the optimal plan. Dashed: one after the other, cells take the nearest partner that is still free. *Right*: the cost of each pair; squares mark the optimal plan." alt="Left: two rows of four numbered dots. Four parallel arrows lead one step to the right and up; dashed lines lead straight up, except one that crosses the whole picture. Right: a table of sixteen numbers; the four on the diagonal are in squares." name="fig-plan"
greedy, free = {}, set(range(4))
for i in np.argsort(cost.min(axis=1)):
    greedy[i] = min(free, key=lambda j: cost[i, j])
    free.remove(greedy[i])
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.6), width_ratios=(3, 2))
for i, j in greedy.items():
    axes[0].plot(*np.array([early[i], late[j]]).T, color=GREY, ls="--", lw=1)
for i, j in zip(*plan.nonzero(), strict=True):
    axes[0].annotate("", late[j], early[i], arrowprops={"arrowstyle": "->", "color": "black"})
for dots, color, up in ((early, BLUE, -14), (late, RED, 7)):
    axes[0].scatter(*dots.T, color=color, zorder=3)
    for number, dot in enumerate(dots, 1):
        axes[0].annotate(number, dot, (0, up), textcoords="offset points", ha="center", fontsize=9)
axes[0].set(xlabel="gene $a$", ylabel="gene $b$", ylim=(-0.2, 1.2))
axes[1].imshow(cost, cmap="Greys", vmax=2 * cost.max())
for i, j in np.ndindex(4, 4):
    box = {"boxstyle": "square", "fc": "none", "ec": "black" if plan[i, j] else "none"}
    axes[1].text(j, i, f"{cost[i, j]:.1f}", ha="center", va="center", fontsize=9, bbox=box)
axes[1].set(xlabel="late cell", ylabel="early cell")
axes[1].set(xticks=range(4), yticks=range(4), xticklabels=range(1, 5), yticklabels=range(1, 5))
plt.show()

# %% tags=["hide-input"]
total = float((plan * cost).sum() * 4), sum(float(cost[i, j]) for i, j in greedy.items())
claim(
    f"The optimal plan costs {total[0]:.1f} in total. If cells take the nearest partner one after the other, three of them"
    f" move less, but the last has to cross the whole picture, and the total is {total[1]:.1f}. Squaring makes one long way"
    " dearer than several short ones: OT moves the crowd, not each cell on its own.",
    total[1] > 1.5 * total[0],
)

# %% [markdown]
# A plan is also a prediction. To see the population half-way in time, put each pair half-way along the straight line
# between its cells. This is [displacement interpolation](../../book/glossary.md#displacement-interpolation)
# ([McCann 1997](https://doi.org/10.1006/aima.1997.1634)).
#
# ## Cells of a time that was not measured
#
# The simulated organism has three fates, alpha, beta and gamma, and its truth is known. Its cells of 64 h and
# 96 h are paired, moved half-way, and compared with cells of 80 h. Distances are taken in six principal
# components of log values, because in all genes the noise of single cells decides which cells are close. For
# comparison, the same cells are also paired at random.


# %%
def two_times(world, early, late, n=400):
    """Points (n, 6) and types of the cells of each of two times."""
    cells = world.sample([early, late], n_cells=n, seed=seed)
    values = measured_cells(cells, "time").values  # log values
    pca = PCA(6, random_state=seed).fit(values)
    types = np.array(cells.obs["cell_type"], dtype=str)
    return pca, *np.split(pca.transform(values), 2), *np.split(types, 2)


organism = simulate_organism(seed=seed, preset="small", n_genes=600)
pca, before, after, _, _ = two_times(organism, 64.0, 96.0)

plan = ot.emd(ot.unif(400), ot.unif(400), ot.dist(before, after))
i, j = plan.nonzero()
halfway = {
    "paired by OT": (before[i] + after[j]) / 2,
    "paired at random": (before + after) / 2,
}

# %% tags=["hide-input"] caption="Cells half-way between two measured times, in the first two principal components: measured (grey) and predicted (orange-red). Pairs by OT keep to the fates. Random pairs put many cells between the fates, where there are none." alt="Two scatter plots with the same three grey clouds. Left: nearly all orange-red dots lie on the clouds. Right: many lie between them." name="fig-halfway"
fresh = organism.sample([80.0], n_cells=400, seed=seed)
truth = pca.transform(measured_cells(fresh, "time", min_times=1).values)
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.0), sharex=True, sharey=True)
for ax, (name, x) in zip(axes, halfway.items(), strict=True):
    populations(ax, truth[:, :2], x[:, :2], labels=("PC 1", "PC 2"))
    ax.set_title(name)
    ax.label_outer()
plt.show()

# %% tags=["hide-input"]
far = {name: wasserstein(x, truth, squared=True) for name, x in halfway.items()}
apart = [wasserstein(x, truth, squared=True) for x in (before, after)]
claim(
    f"The squared Wasserstein distance to the cells of 80 h is"
    f" {far['paired by OT']:.0f} with OT and {far['paired at random']:.0f} with random pairs. The unmoved cells of 64 h and 96 h"
    f" have {apart[0]:.0f} and {apart[1]:.0f}. Every way of pairing gives the same mean; what OT gets right is the rest."
    " With OT, too, a few cells lie between the fates; the next section says why.",
    1.2 * far["paired by OT"] < min(far["paired at random"], *apart),
)

# %% [markdown]
# ## What the plan assumes
#
# 1. **Least motion.** Cells that swap places are paired as if they had stayed, and no snapshot shows the swap:
#    see [What snapshots cannot tell](../temporal/what_snapshots_cannot_tell.ipynb).
# 2. **Mass is kept.** Every early cell leaves as many descendants as every other; none divides or dies.
#
# The second assumption can be tested in the organism, where beta cells divide faster than they die, and alpha
# cells die faster than they divide. From 64 h to 96 h these rates change the shares of the fates. A pair *can
# be right* if the late type is the same as the early one or descends from it: an alpha cell never becomes beta.
# A twin of the organism, in which no fate outgrows another, shows the pairs when the assumption is true.
#
# [Unbalanced transport](../../book/glossary.md#unbalanced-transport) drops the assumption. An early cell may
# count for more or less, at a price for every deviation from equal masses
# ([Chizat et al. 2018](https://doi.org/10.1090/mcom/3303)); late cells keep their mass, because they were
# measured. `grow` finds these masses. The lower its price `growth`, the freer they are.
#
# The table gives two numbers for each plan. *Pairs*: the percentage of the pairs of alpha cells that can be
# right. *Beta per alpha*: the mass of a beta cell, in units of the mass of an alpha cell.


# %% tags=["hide-input"]
def descends(late, early):
    """Whether a cell type is another one or comes from it."""
    while late is not None and late != early:
        late = organism.lineage[late]
    return late == early


def alpha_and_beta(plan, early, late):
    """Pairs of alpha cells that can be right (%); mass of a beta cell, in that of an alpha cell."""
    alpha, beta = (np.char.startswith(early, fate) for fate in ("alpha", "beta"))
    can = np.array([[descends(b, a) for b in late] for a in early[alpha]])
    mass = plan.sum(axis=1)
    return 100 * plan[alpha][can].sum() / plan[alpha].sum(), mass[beta].mean() / mass[alpha].mean()


twin = simulate_organism(seed=seed, preset="small", n_genes=600, growth=0.0)
columns = {}
for world, simulated in {"twin": twin, "organism": organism}.items():
    _, x, y, early, late = two_times(simulated, 64.0, 96.0)
    plans = {"at random": np.ones((len(x), len(y))), "OT": coupling(x, y)}
    for price in (1.0, 0.3, 0.1):
        mass = grow(x, y, growth=price)
        plans[f"unbalanced, growth={price}"] = coupling(x, y, mass)
    rates = [GROWTH.get(kind, 0.0) * (simulated is organism) for kind in early]
    true = np.exp(32 * np.array(rates))[:, None] * np.ones(len(y))
    found = {how: alpha_and_beta(plan, early, late) for how, plan in plans.items()}
    found["truth"] = 100.0, alpha_and_beta(true, early, late)[1]
    right, ratio = zip(*found.values(), strict=True)
    columns |= {f"{world}, pairs (%)": right, f"{world}, beta per alpha": ratio}
pairs = pd.DataFrame(columns, found.keys()).rename_axis("plan")[sorted(columns, key=lambda c: "beta" in c)]  # fmt: skip
table(pairs, apart=("at random", "truth"))

# %% tags=["hide-input"]
_, by_ot, dear, freer, cheap, _ = pairs["organism, pairs (%)"]
twin_ot, ratio, none = (
    pairs["twin, pairs (%)"]["OT"],
    pairs["organism, beta per alpha"],
    pairs["twin, beta per alpha"],
)
claim(
    f"Where no fate outgrows another, OT is a good guess: {twin_ot:.0f}% of the pairs of alpha cells can be right. Where beta outgrows alpha, it is"
    f" {by_ot:.0f}%: there are too few late alpha cells, so OT sends early alpha cells to beta. With free masses it is {dear:.0f}% to {cheap:.0f}%.",
    twin_ot > 85 and by_ot < twin_ot - 8,
    by_ot + 4 < dear < freer < cheap,
)

# %% tags=["hide-input"]
claim(
    f"In truth a beta cell leaves {ratio['truth']:.1f} times as many descendants as an alpha cell. Transport finds {ratio.iloc[2]:.1f},"
    f" {ratio.iloc[3]:.1f} or {ratio.iloc[4]:.1f} when the price is high, medium or low; in the twin, where the truth is 1,"
    f" {none.iloc[2]:.1f}, {none.iloc[3]:.1f} or {none.iloc[4]:.1f}. It sees which cells grow. How much they grow depends on the price, and snapshots do not"
    " say which price is right. Growth measured in another way does: [Schiebinger et al. 2019](https://doi.org/10.1016/j.cell.2019.01.006)"
    " take first guesses from the expression of genes of cell division and cell death.",
    1.1 < ratio.iloc[2] < ratio.iloc[3] < ratio.iloc[4],
    none.iloc[3] < ratio.iloc[3] - 0.15 and abs(none.iloc[2] - 1) < 0.2,
)

# %% [markdown]
# ## In the package
#
# For any time, `DisplacementInterpolation` does all this with the training times on both sides. Six components
# contain little of a cell's noise, so its cells are smoother than measured ones. With `residuals=True`, each
# predicted cell is a measured cell of its pair that is moved to the line and keeps the part that the components
# do not describe. With `growth`, the masses are free.

# %%
ready = DisplacementInterpolation(6, residuals=True)
ready.fit(organism.sample([64.0, 96.0], n_cells=400, seed=seed))
kept = ready.sample([80.0], n_cells=200, seed=seed)
smooth = ready.sample([80.0], n_cells=200, seed=seed, noise=False)

# %% tags=["hide-input"]
half, other = np.split(measured_cells(fresh, "time", min_times=1).values, 2)
drawn = kept.layers["log1p_cp10k"], smooth.layers["log1p_cp10k"], half
residual, none, floor = (energy_distance(x, other) for x in drawn)
claim(
    f"In all genes, the energy distance to measured cells is {residual:.2f} with residuals and"
    f" {none:.1f} without; between two halves of the measured cells it is {floor:.2f}.",
    floor < residual < 0.5 * none,
)

# %% [markdown]
# When is OT alone enough? When you want a population between two measured times, pairs, or quantities computed from pairs. Nothing is trained, nothing can diverge, and the assumptions are in plain sight. [From pairs to a flow](flow_matching.ipynb) scores it on held-out times and says what a learned flow adds.
#
# ## Check yourself
#
# <details><summary>Why does the plan not give every cell its nearest partner?</summary>
#
# Every late cell must be used as well, each with its share. A late cell that is nearest to several early cells
# can serve only one of them.
#
# </details>
#
# <details><summary>OT pairs alpha cells with beta cells. Name two explanations.</summary>
#
# Cells changed fate; or beta outgrew alpha, and a plan that keeps mass has to move the surplus.
#
# </details>
#
# <details><summary>Why is the growth found by unbalanced transport not a measurement?</summary>
#
# The price of unequal masses is a choice. With another price the same cells give other masses.
#
# </details>

# %% [markdown]
# ## Key points
#
# - OT pairs the cells of two times with the least total motion; points on the lines between pairs predict a time in
#   between.
# - It assumes least motion and equal growth. Where fates grow at different rates, pairs cross from fate to fate.
# - Unbalanced transport sees which cells grow. How much they grow depends on its price.
#
# ## Exercises
#
# > **Exercise** On a line, no solver is needed. What is the mean squared distance of the best pairs of `a` and `b`, in the first component?

# %% tags=["solution"]
a, b = before[:, 0], after[:, 0]
### BEGIN SOLUTION
answer = np.mean((np.sort(a) - np.sort(b)) ** 2)
### END SOLUTION
checks.sorted_pairs(answer, a, b)

# %% [markdown]
# > **Exercise** Give the plan of the organism the true masses, `true.sum(axis=1)`, in place of those of `grow`. How many
# > of the pairs of alpha cells can be right?
#
# <details><summary>Solution</summary>
#
# ```python
# plan = coupling(x, y, true.sum(axis=1))
# print(alpha_and_beta(plan, early, late))
# ```
#
# Far more than with equal masses. Most wrong pairs were due to the masses. The rest are due to noise, and to
# 400 cells not having exactly the true shares.
#
# </details>
#
# ## Further reading
#
# - [Peyré and Cuturi 2019](https://arxiv.org/abs/1803.00567): optimal transport and how it is computed.
# - [Schiebinger et al. 2019](https://doi.org/10.1016/j.cell.2019.01.006): OT through a time course, with growth.
# - [Chizat et al. 2018](https://doi.org/10.1090/mcom/3303): unbalanced transport.
