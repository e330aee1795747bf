# %% [markdown]
# # Trajectories and fates
#
# Velocities, paths and fates of cells, read off a fitted flow and compared with known truth.
#
# > **Learning goals**
# > - [read velocities, paths and fates off a fitted flow](#the-path-of-a-cell);
# > - [say which of these readings are in the data](#the-fate-of-a-cell), and which the model makes up;
# > - [recognise growth that passes for conversion](#growth-that-passes-for-conversion).
# >
# > **Before**: [Neural ODEs](neural_odes.ipynb), and [Expression at unmeasured times](unmeasured_times.ipynb) for how
# > good such a model is.
# >
# > **Time**: 13 min to read, 1 min to run.

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

from scstlib.analysis.trajectories import fate_probabilities, fate_shares, fit_fate_classifier, simulate_trajectories  # fmt: skip
from scstlib.analysis.velocity import add_velocity, principal_axes, velocity_grid
from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.models import ScNODE
from scstlib.pages import Claims, table
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, book_style, stream
from scstlib.viewers import population_viewer

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# Suppose a model predicts the cells of tomorrow well. Can it also say where *this* cell goes?
#
# Such a model has learned a [flow](../../book/glossary.md#flow): from each place, the way that cells take. But a flow says more about cells than the data do. In a flow, each cell has a velocity, a path and an end. The data are [snapshots](../../book/glossary.md#snapshot): each cell is measured once, and the measurement destroys it. So some of what a flow says was seen, and some was not.
#
# ![Four measured times on a horizontal axis, expression upwards. At each time a cloud of hollow circles, the measured cells; the cloud splits in two between the second and the third time. At the first time one cell is filled in blue. From it a dashed red line runs through the clouds of the other times and ends in the upper branch.](../../book/_static/diagrams/path_of_a_cell.svg)
#
# *A path begins at a measured cell. At later times other cells were measured, and the path through them is the model's.*
#
# To tell the two apart, you must know the answer. So all cells here come from the simulated organism. Its progenitors
# choose twice: first between *alpha* and a bipotent state; later, from there, between *beta* and *gamma*. Each choice
# is made by two regulators that repress each other, and every regulator is noisy. The model sees counts and times,
# never the fates.

# %%
organism = simulate_organism(seed=seed, preset="small", n_reference=2000)
adata = organism.sample(keep_truth=False)
model = ScNODE(damping=0.0, seed=seed).fit(adata)  # no forecast

# %% [markdown]
# ## Velocity
#
# The [velocity](../../book/glossary.md#velocity) of a cell is the [drift](../../book/glossary.md#drift) at its place and time.
# `add_velocity` stores it with the cells: in the [latent space](../../book/glossary.md#latent-space) of the model (`obsm`) and,
# through its decoder, for each gene (`layers`).

# %%
moving = add_velocity(model, adata)

# %% tags=["hide-input"] caption="The velocity field in the plane in which the latent points spread most. Each dot is a measured cell, coloured by its time; lines follow the mean velocity around each place and are thicker where cells are faster. From the early cells (left) the flow splits into branches." alt="A scatter of cells coloured by time, with stream lines that run from the early cells to the late ones and part into branches." name="fig-stream"
plane = principal_axes(moving.obsm["latent"])
fig, ax = plt.subplots(figsize=(5.4, 5.2))
stream(
    ax, *velocity_grid(moving.obsm["latent"], moving.obsm["velocity_latent"], plane),
    cells=moving.obsm["latent"] @ plane, colors=adata.obs["time"].to_numpy(),
    labels=("latent axis 1", "latent axis 2"), color_label="time (hours)",
)  # fmt: skip
plt.show()

# %% [markdown]
# > **Note** This is not *RNA velocity*, which is estimated from unspliced and spliced counts at one time. Here the
# > velocity comes from differences between populations at several times.
#
# Is it right? Fresh cells can be drawn from the organism at any time. The true rate of a gene is therefore known: the change of its mean per hour, from four hours before a time to four hours after it. The model's counterpart is the mean velocity of the measured cells.


# %% tags=["hide-input"]
def log_values(cells):
    """log(1 + counts per 10,000), one row a cell."""
    counts = cells.to_df()
    return np.log1p(1e4 * counts.div(counts.sum(axis=1), axis=0))


def true_rates(time, step=4, n=2000):
    """Change of each gene's mean per hour, from fresh cells before and after."""
    drawn = [organism.sample([t], n, seed=1, keep_truth=False) for t in (time - step, time + step)]
    return (log_values(drawn[1]).mean() - log_values(drawn[0]).mean()).to_numpy() / (2 * step)


rows = {}
for time in organism.times[1:-1:4]:
    ours = moving[moving.obs["time"] == time].layers["velocity"].mean(axis=0)
    true = true_rates(time)
    top = [{*np.argsort(-abs(rates))[:20]} for rates in (ours, true)]
    rows[f"{time:.0f}"] = {
        "correlation": np.corrcoef(ours, true)[0, 1],
        "slope": ours @ true / (true @ true),
        "fastest 20 genes, shared": len(top[0] & top[1]),
    }
rates = pd.DataFrame(rows).T.rename_axis("time (hours)")
rates = rates.astype({"fastest 20 genes, shared": int})
table(rates, digits=2)

# %% tags=["hide-input"]
claim(
    f"Over all genes, the correlation of the model's rates with the true ones is {rates['correlation'].min():.2f} or higher. But the"
    f" rates are too small, above all early: the slope, which is 1 for rates of the right size, is {rates['slope'].iloc[0]:.2f} at"
    f" {rates.index[0]} h. The direction of the *mean* velocity is in the data.",
    rates["correlation"].min() > 0.5 and rates["slope"].iloc[0] < 0.8,
)

# %% [markdown]
# ## The path of a cell
#
# A [trajectory](../../book/glossary.md#trajectory) is the path of one cell. `simulate_trajectories` takes measured cells and returns where the flow has carried them by any other time. To say what a cell has become, places need names: `fit_fate_classifier` names a place after its 30 nearest labelled cells. A biologist would get these labels from marker genes. For each fate, we now follow the cell of time 0 that is most certain to go there.

# %%
end = float(organism.times[-1])
classifier = fit_fate_classifier(model, adata, "fate")
first = adata[adata.obs["time"] == 0]
chance = fate_probabilities(model, first, classifier, end)
starts = chance[list(organism.fates)].idxmax()
paths = simulate_trajectories(model, first[starts], np.linspace(0, end, 49))

# %% tags=["hide-input"] caption="Three regulators along the paths of three cells (lines), coloured by the fate in which each path ends. Dots: means of the measured cells of each fate, grey for uncommitted cells. The vertical scales differ. Only the first point of each line was measured; the rest is what the model says." alt="Three panels over time, one a regulator. Coloured lines start together and part; coloured dots mark the measured means of each fate from its first appearance." name="fig-paths"
colors = {"alpha": BLUE, "beta": ORANGE, "gamma": GREEN, "uncommitted": GREY}
genes = ["TF_alpha", "TF_beta", "TF_gamma"]
groups = log_values(adata)[genes].groupby([adata.obs["time"], adata.obs["fate"].astype(str)])
means = groups.mean()[groups.size() >= 10]
fig, axes = plt.subplots(1, 3, figsize=(5.4, 3.0), sharex=True)
for ax, gene in zip(axes, genes, strict=True):
    for fate, cell in starts.items():
        path = paths[paths.obs["cell"] == cell, gene]
        ax.plot(path.obs["time"], path.X.ravel(), color=colors[fate], label=fate)
    for (time, fate), value in means[gene].items():
        ax.plot(time, value, "o", color=colors[fate], ms=3.5, alpha=0.7)
    ax.set(title=gene, xlabel="hours")
axes[0].set_ylabel("log(1 + counts per 10,000)")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %% [markdown]
# No such line was ever measured, because measuring a cell ends its path. In a mean velocity, errors of single cells average out; in a single line they do not. And the line has no noise: the model has put all chance into its [observation model](../../book/glossary.md#observation-model) and into the spread of the starts.
#
# ## The fate of a cell
#
# A flow sends each cell to exactly one end. Its fate probabilities are therefore close to 0 or 1 from the first hour on. To make up for the chance that the flow leaves out, the starts can be *jittered*: moved at random, by some share of the spread of the population. A cell counts as certain if one fate has a probability above 90%.

# %%
asked = adata[adata.obs["time"].isin(organism.times[[0, 3, 6, 9]])]
half = {"jitter": 0.5, "n_draws": 5}
options = {"no jitter": {}, "half the spread": half}
sure = {}
for name, option in options.items():
    option["seed"] = seed
    chances = fate_probabilities(model, asked, classifier, end, **option)
    clear = chances.max(axis=1) > 0.9
    sure[name] = clear.groupby(asked.obs["time"]).mean()

# %% tags=["hide-input"]
sure = (100 * pd.DataFrame(sure)).rename(index="{:.0f}".format).rename_axis("time (hours)")
table(sure.add_prefix("certain cells (%), "))

# %% tags=["hide-input"]
switches = organism.commitment_times
claim(
    f"The flow is certain of the fate of {sure.iloc[0, 0]:.0f}% of the cells of time 0. Yet in the organism the first"
    f" switch gets its two resting states at {switches['first']:.0f} h and the second at {switches['second']:.0f} h. Before"
    " that, noise still to come takes part in the choice. So certainty is a property of flows, not of cells. With"
    f" jitter of half the spread, {sure.iloc[0, 1]:.0f}% of the cells of time 0 remain certain. Snapshots do not say how much"
    " jitter would be right.",
    sure.iloc[:, 0].min() > 90 and sure.iloc[0, 1] < 60,
)

# %% [markdown]
# ## Shares of fates
#
# The *share* of each fate in the population is safer to read, because shares are measured. Here the model predicts the population half-way between measured times, where the organism gives the truth.

# %%
between = ((organism.times[1:] + organism.times[:-1]) / 2)[::2]
population = model.sample(between, 400, seed=seed)
predicted = fate_shares(model, population, classifier)

# %% tags=["hide-input"] caption="Cells half-way between measured times, in the plane of the velocity field: drawn anew from the organism (grey) and predicted (orange-red). The predicted population splits into the same branches; a few of its cells lie between them." alt="Four scatter plots, from the first time to the last: a grey cloud that moves and parts into branches, with an orange-red cloud over it." name="fig-between"
both = {"measured": (adata, organism.sample(between, 200, seed=1, keep_truth=False)), "predicted": (population,)}  # fmt: skip
both = {name: {t: rows for x in parts for t, rows in pd.DataFrame(model.encode(x) @ plane, x.obs["time"]).groupby(level=0)} for name, parts in both.items()}  # fmt: skip
population_viewer(both, labels=("latent axis 1", "latent axis 2"), unit="h", held_out=between, most=200)  # fmt: skip

# %% tags=["hide-input"] caption="Shares of the fates half-way between measured times: predicted by the model (lines) and true (dots). Dashed: the times at which the two switches of the organism get two resting states." alt="Four lines over time with dots on them. Uncommitted falls from one; alpha rises first, beta and gamma later." name="fig-shares"
true_shares = pd.DataFrame({time: organism.fate_shares(time) for time in between}).T
fig, ax = plt.subplots(figsize=(5.4, 3.2))
for fate, color in colors.items():
    ax.plot(between, predicted[fate], color=color, label=fate)
    ax.plot(between, true_shares[fate], "o", color=color, ms=4)
for time in switches.values():
    ax.axvline(time, color="black", lw=0.8, ls="--")
ax.set(xlabel="hours", ylabel="share of cells")
ax.legend(fontsize="small", loc="center left")
plt.show()

# %% tags=["hide-input"]
error = (predicted - true_shares[predicted.columns]).abs().to_numpy()
claim(
    f"The error of a share is {error.mean():.3f} on average and {error.max():.2f} at most.",
    error.mean() < 0.04 and error.max() < 0.15,
)

# %% [markdown]
# ## Growth that passes for conversion
#
# Right shares can come from wrong paths. In this organism, beta cells divide faster than they die, and alpha cells die faster than they divide. Where does the flow send cells that are already *alpha*? In truth they stay alpha. A twin of the organism, in which no cell divides or dies, shows it.

# %%
twin = simulate_organism(seed, preset="small", growth=0.0, n_reference=2000)
late = organism.times[organism.times > switches["second"]]
is_alpha = (adata.obs["fate"] == "alpha") & adata.obs["time"].isin(late)
alpha = adata[is_alpha]
ends = fate_probabilities(model, alpha, classifier, end)
stays = ends["alpha"].groupby(alpha.obs["time"]).mean()

# %% tags=["hide-input"]
kept = pd.DataFrame({
    "alpha cells that stay alpha, by the flow (%)": stays,
    "true share of alpha, without growth (%)": [twin.fate_shares(t)["alpha"] for t in late],
    "true share of alpha, with growth (%)": [organism.fate_shares(t)["alpha"] for t in late],
}).rename(index="{:.0f}".format).rename_axis("time (hours)")  # fmt: skip
table(100 * kept, digits=2)

# %% tags=["hide-input"]
level, grown = kept.iloc[[0, -1], 1].to_numpy(), kept.iloc[[0, -1], 2].to_numpy()
claim(
    f"Without growth the share of alpha stays at {level[0]:.0%}: no alpha cell turns into another. With growth it falls from"
    f" {grown[0]:.0%} to {grown[1]:.0%}, because the others outgrow alpha. A flow keeps the number of cells, so it can"
    f" explain the fall only by turning alpha cells into others, and it does so with {1 - kept.iloc[0, 0]:.0%} of the alpha cells"
    f" of {late[0]:.0f} h. In shares, growth and conversion look alike, and the fate that a flow gives to a cell can be"
    " plainly wrong.",
    abs(level[1] - level[0]) < 0.05,
    grown[1] < 0.85 * grown[0],
    kept.iloc[0, 0] < 0.8,
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>A paper shows the path of one stem cell, from scRNA-seq of six days. Which of its points were measured?</summary>
#
# One, if the path starts at a measured cell. The rest comes from the model, however good the fit.
#
# </details>
#
# <details><summary>The fate probabilities of all cells of day 0 are above 0.95. Are the cells committed?</summary>
#
# The probabilities do not show it. A flow without noise sends each place to one end, so it is always certain.
#
# </details>
#
# <details><summary>The share of a cell type falls by a third. Name two causes that snapshots cannot tell apart.</summary>
#
# Either its cells turn into others, or the others divide more or its own die more. Counts of dividing or dying cells can decide.
#
# </details>

# %% [markdown]
# ## Key points
#
# - The mean velocity of a population is in the data. The velocity of a single cell is a choice of the model.
# - Only the first point of a trajectory was measured.
# - A flow is certain about fates long before cells are.
# - Shares of fates are safer to read, but even right shares can come from wrong paths: growth looks like conversion.
#
# ## Exercises
#
# > **Exercise** Fit the model with `growth=1.0`, which lets a cell count for more or less at the next time, at a price.
# > What share of the alpha cells does its flow keep?
#
# <details><summary>Solution</summary>
#
# ```python
# growing = ScNODE(seed=seed, growth=1.0).fit(adata)
# reader = fit_fate_classifier(growing, adata, "fate")
# ends_now = fate_probabilities(growing, alpha, reader, end)
# stays_now = ends_now["alpha"].groupby(alpha.obs["time"]).mean()
# print(pd.DataFrame({"growth=None": stays, "growth=1.0": stays_now}).round(2))
# ```
#
# At most times it keeps more of them, though still far from all: growth is allowed, not known. How fast each type divides must come from other data, such as counts of cells or of dividing cells.
#
# </details>
#
# > **Exercise** With growth the share of alpha cells, `grown`, falls, so that of all other cells, `others = 1 - grown`, rises. Suppose that it rises from `others[0]` to `others[1]` in `hours` only because the others grow faster than alpha cells, at a constant rate. By how much does their rate exceed that of alpha cells, per hour?

# %% tags=["solution"]
others, hours = 1 - grown, late[-1] - late[0]
### BEGIN SOLUTION
odds = others / (1 - others)
answer = np.log(odds[1] / odds[0]) / hours
### END SOLUTION
checks.extra_growth(answer, others[0], others[1], hours)

# %% [markdown]
# ## Further reading
#
# - [Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115): what snapshots determine, and what must be assumed.
# - [Schiebinger et al. 2019](https://doi.org/10.1016/j.cell.2019.01.006): fates by optimal transport, with growth.
