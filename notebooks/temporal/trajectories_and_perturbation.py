# %% [markdown]
# # Trajectories and perturbation
#
# Velocities, fates, checkpoints, knock-outs and paths of least action against known truth, and what
# snapshots cannot tell.
#
# > **Learning goals**
# > - read velocities, paths and fates off a fitted flow, and say which of them were measured;
# > - find the times at which cells part, and tell a split from cells that fall out of step;
# > - knock a gene down in a model, and name the causal assumption that gives the answer;
# > - find the path of least action between two fates;
# > - say what snapshots cannot tell, whatever the model.
# >
# > **Before**: [Neural ODEs](neural_odes.ipynb), and
# > [Expression at unmeasured times](unmeasured_times.ipynb) for how good such a model is.
# >
# > **Time**: 35 min to read, 1 min to run.

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
from IPython.display import Markdown

from scstlib.analysis.action import least_action_path
from scstlib.analysis.checkpoints import find_checkpoints, stretching
from scstlib.analysis.perturbation import perturb
from scstlib.analysis.trajectories import (
    fate_probabilities,
    fate_shares,
    fit_fate_classifier,
    simulate_trajectories,
)
from scstlib.analysis.velocity import add_velocity, principal_axes, velocity_grid
from scstlib.datasets import simulate_organism
from scstlib.metrics.expression import energy_distance
from scstlib.models import ScNODE
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, book_style, stream

plt.rcParams.update(book_style())

# %% [markdown]
# A model that predicts cells at unmeasured times has learned a [flow](../../book/glossary.md#flow). A
# flow says more than a population: each cell has a velocity, a path and an end. This page reads
# these off, and asks of each reading whether it is true. For that the answer must be known, so all
# cells here come from the simulated organism. Its progenitors choose twice: first between *alpha*
# and a bipotent state, later, from there, between *beta* and *gamma*. Two pairs of regulators that
# repress each other make the choices, and every regulator is noisy.

# %%
organism = simulate_organism(seed=seed, preset="small")
adata = organism.sample(keep_truth=False)
end = float(organism.times[-1])
model = ScNODE(seed=seed).fit(adata)
print(
    f"{adata.n_obs:,} cells, {adata.n_vars:,} genes, {len(organism.times)} times up to {end:.0f} h"
)

# %% [markdown]
# The model sees counts and times. It does not see the fates: the label in `adata.obs["fate"]`, which a
# biologist would get from marker genes, is used later, and only to name places that
# the flow has reached.
#
# ## Velocity
#
# In a [latent space](../../book/glossary.md#latent-space), the [velocity](../../book/glossary.md#velocity) of a cell
# is the [drift](../../book/glossary.md#drift) at its place and time. `add_velocity` puts it beside the cells: in
# `obsm["velocity_latent"]` for the latent space, and in `layers["velocity"]` for genes, in log units per
# hour. The second is the first sent through the decoder: how fast would each decoded gene change, if the
# cell moved as the drift says?

# %%
moving = add_velocity(model, adata)
axes_of_plane = principal_axes(moving.obsm["latent"])
places = moving.obsm["latent"] @ axes_of_plane
field = velocity_grid(moving.obsm["latent"], moving.obsm["velocity_latent"], axes_of_plane)
moving

# %% caption="The velocity field in the plane in which the latent cells spread most. Each dot is a measured cell, coloured by its time; lines follow the mean velocity around each place and are thicker where cells are faster. The plane is a shadow: cells of other times and other latent coordinates share a place in it." alt="A scatter of cells coloured by time, with stream lines that run from the early cells to the late ones and part into branches." name="fig-stream"
fig, ax = plt.subplots(figsize=(5.4, 5.2))
stream(
    ax,
    *field,
    labels=("latent axis 1", "latent axis 2"),
    cells=places,
    colors=adata.obs["time"].to_numpy(),
    color_label="time (hours)",
)
plt.show()

# %% [markdown]
# > **Note** This velocity is not *RNA velocity*, which is read from unspliced and spliced counts of one
# > time. Here it comes from differences between the populations of several times.
#
# Is it right? From the organism, fresh cells can be drawn at any time, so the true change of each gene's mean is
# a difference between cells of four hours before and after. The model's counterpart is the mean velocity of the
# measured cells. Both are changes of $\log(1 + \text{counts per 10,000})$ per hour.


# %%
def log_values(cells):
    """log(1 + counts per 10,000), one row a cell."""
    counts = cells.to_df()
    return np.log1p(1e4 * counts.div(counts.sum(axis=1), axis=0))


rows = {}
for time in organism.times[1:-1:2]:
    cells = moving[moving.obs["time"] == time]
    ours = cells.layers["velocity"].mean(axis=0)
    fresh = [organism.sample([time + step], 3000, seed=1, keep_truth=False) for step in (-4, 4)]
    true = (log_values(fresh[1]).mean() - log_values(fresh[0]).mean()).to_numpy() / 8
    rows[round(time)] = {
        "correlation": np.corrcoef(ours, true)[0, 1],
        "slope": ours @ true / (true @ true),
        "fastest genes shared": len(
            {*np.argsort(-abs(ours))[:20]} & {*np.argsort(-abs(true))[:20]}
        ),
    }
rates = pd.DataFrame(rows).T.rename_axis("hours")
rates["fastest genes shared"] = rates["fastest genes shared"].map("{:.0f} of 20".format)
rates.round(2)

# %% tags=["hide-input"]
Markdown(
    f"Over all genes the model's rates correlate with the true ones at {rates['correlation'].min():.2f} to"
    f" {rates['correlation'].max():.2f}. The slope, which is 1 for rates of the right size, has a median of"
    f" {rates['slope'].median():.2f} and is lowest at"
    f" {rates['slope'].idxmin()} h, with {rates['slope'].min():.2f}. This is a test of the *mean* velocity, which snapshots do"
    " determine up to growth. The velocity of a single cell is another matter; the last section returns to it."
)

# %% [markdown]
# ## The same cells at many times
#
# A [trajectory](../../book/glossary.md#trajectory) is the path of one cell.
# `simulate_trajectories` takes measured cells and returns them at any times, as AnnData with one row for each
# cell and time. Below, cells of the first time are followed to the end, and for each fate one is shown
# that goes there.
#
# To say where a cell has gone, places need names. `fit_fate_classifier` gives a place the labels of its 30
# nearest labelled cells.

# %%
classifier = fit_fate_classifier(model, adata, "fate")
first = adata[adata.obs["time"] == 0]
hours = np.linspace(0, end, 49)
paths = simulate_trajectories(model, first, hours)
goes_to = fate_probabilities(model, first, classifier, end)
shown = goes_to.drop(columns="uncommitted").idxmax()
colors = {"alpha": BLUE, "beta": ORANGE, "gamma": GREEN, "uncommitted": GREY}
by_fate = log_values(adata).groupby([adata.obs["time"], adata.obs["fate"].astype(str)])
means = by_fate.mean()[by_fate.size() >= 10]
print(f"{paths.n_obs:,} rows; start cells shown:", dict(shown))

# %% caption="Three regulators along the paths of three start cells (lines), coloured by the fate at which each path ends. Dots are means of the measured cells of each fate (ten or more), grey of uncommitted cells. Only the first point of each line belongs to a cell that was measured: the rest is what the model says." alt="Three panels over time, one a regulator. Coloured lines start together and part; coloured dots mark the measured means of each fate from its first appearance." name="fig-paths"
fig, axes = plt.subplots(1, 3, figsize=(5.4, 3.0), sharex=True, sharey=True)
for ax, gene in zip(axes, ["TF_alpha", "TF_beta", "TF_gamma"], strict=True):
    for fate, cell in shown.items():
        line = paths[paths.obs["cell"] == cell, gene]
        ax.plot(line.obs["time"], line.X.ravel(), color=colors[fate], label=fate)
    for (time, fate), value in means[gene].items():
        ax.plot(time, value, "o", color=colors[fate], ms=3.5, alpha=0.7)
    ax.set(title=gene, xlabel="hours")
axes[0].set_ylabel("log(1 + counts per 10,000)")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %% [markdown]
# No such line was ever measured, because the measurement of a cell ends its path. Errors of such a line do
# not average out over cells, and no noise is left in it: the model has put what is random into its
# observation model and into the spread of the starts.
#
# ## Fates
#
# A flow sends each cell to one end. Its *fate probabilities* are then close to 0 or 1, from the first hour on:

# %%
certain, chances = {}, {}
for jitter in (0.0, 0.5):
    chance = fate_probabilities(
        model, adata, classifier, end, n_draws=1 if jitter == 0 else 5, jitter=jitter, seed=seed
    )
    chances[jitter] = chance
    certain[jitter] = (chance.max(axis=1) > 0.9).groupby(adata.obs["time"].to_numpy()).mean()
sure = pd.DataFrame(certain).rename_axis(index="hours", columns="jitter of the start")
sure.index = sure.index.map("{:.0f}".format)
sure.map("{:.0%}".format)

# %% tags=["hide-input"]
commitment = organism.commitment_times
Markdown(
    f"Without jitter, {sure.iloc[0, 0]:.0%} of the cells of time 0 have a fate with a probability above 0.9."
    f" In the organism the first switch turns bistable at {commitment['first']:.0f} h and the second at"
    f" {commitment['second']:.0f} h; before that, noise that is still to come takes part in the choice. The certainty"
    " is a property of flows and not of cells. *Jitter* spreads the starts by a multiple of the spread of the"
    f" population, to stand for that noise; with half of the spread, {sure.iloc[0, 1]:.0%} of the cells of time 0 stay"
    f" certain, and {sure.iloc[-2, 1]:.0%} of those of {sure.index[-2]} h. How much jitter is right, snapshots"
    " do not say."
)

# %% [markdown]
# The *shares* of fates in the population are a safer reading, since they are measured. Below, the model predicts
# the population half-way between each two measured times, and the organism says what is true there. Shares
# change by choice and by growth: in this organism beta cells divide faster than they die, and alpha cells die
# faster than they divide.

# %%
between = (organism.times[1:] + organism.times[:-1]) / 2
predicted = fate_shares(model, model.sample(between, 400, seed=seed), classifier)
true_shares = pd.DataFrame({time: organism.fate_shares(time) for time in between}).T
error = (predicted - true_shares[predicted.columns]).abs()

# %% caption="Shares of the fates half-way between measured times: predicted by the model (lines) and true (dots). Dashed lines are the commitment times of the organism." alt="Four lines over time with dots. Uncommitted falls from one; alpha rises first, beta and gamma later." name="fig-shares"
fig, ax = plt.subplots(figsize=(5.4, 3.2))
for fate, color in colors.items():
    ax.plot(between, predicted[fate], color=color, label=fate)
    ax.plot(between, true_shares[fate], "o", color=color, ms=4)
for time in commitment.values():
    ax.axvline(time, color="black", lw=0.8, ls="--")
ax.set(xlabel="hours", ylabel="share of cells")
ax.legend(fontsize="small", loc="center left")
plt.show()

# %% tags=["hide-input"]
worst = error.max(axis=1).idxmax()
Markdown(
    f"The mean error of a share is {error.to_numpy().mean():.3f}; the largest is {error.to_numpy().max():.2f}, at"
    f" {worst:.0f} h."
)

# %% [markdown]
# Right shares can come from wrong paths. Where do cells go that carry the label *alpha* already? The table follows them
# by the flow. The truth is tested on a twin of the organism in which cells neither divide nor die: if its share
# of alpha stays level once the first choice is made, no alpha cell turns into another.

# %%
fate_at_end = chances[0.0]
late = organism.times[organism.times > commitment["second"]]
labelled = adata.obs[(adata.obs["fate"] == "alpha") & adata.obs["time"].isin(late)]
twin = simulate_organism(seed=seed, preset="small", growth=0.0)
kept = fate_at_end.loc[labelled.index].groupby(labelled["time"]).mean()[["alpha", "beta", "gamma"]]
kept.columns = [f"flow: ends as {fate}" for fate in kept.columns]
kept["share of alpha, no growth"] = [twin.fate_shares(time)["alpha"] for time in late]
kept["share of alpha, with growth"] = [organism.fate_shares(time)["alpha"] for time in late]
kept.rename(index="{:.0f}".format).rename_axis("hours").round(2)

# %% tags=["hide-input"]
left, level, grown = (
    kept.iloc[0, 0],
    kept.iloc[[0, -1], 3].to_numpy(),
    kept.iloc[[0, -1], 4].to_numpy(),
)
Markdown(
    f"From {late[0]:.0f} h to {end:.0f} h the share of alpha goes from {level[0]:.2f} to {level[1]:.2f} without growth, and"
    f" from {grown[0]:.2f} to {grown[1]:.2f} with it: alpha cells become rare because the others outgrow them. The flow keeps"
    f" the number of cells. To explain the shares, {1 - grown[1] / grown[0]:.0%} of the alpha cells of {late[0]:.0f} h must turn"
    f" into something else; by the flow {1 - left:.0%} do, since others turn into alpha. In truth almost none do. Growth and"
    " conversion look alike in shares, and a fate that a single cell is given by a flow can be plainly wrong."
)
# %% [markdown]
# ## Checkpoints
#
# When do cells decide? Around each cell the flow is a matrix, the derivative of the velocity. If two neighbours
# come closer, its eigenvalues are negative; where cells part, one direction stretches. `stretching` measures the rate
# along the direction that stretches most, averaged over the cells of each time. A peak of it is a
# [checkpoint](../../book/glossary.md#checkpoint), and it is dated by its onset, half-way up. For a switch without noise that is
# near the point where one resting state turns into two, the bifurcation.

# %%
rate = stretching(model, adata, hours)
checkpoints = find_checkpoints(model, adata, n_genes=3)
columns = {
    "time": "onset (h)",
    "peak": "peak (h)",
    "end": "end (h)",
    "spread": "spread grows by",
    "two_groups": "two groups",
    "genes": "top genes",
}
checkpoints.obs[list(columns)].rename(columns=columns).reset_index(drop=True).round(2)

# %% caption="Rate at which the flow stretches the population along the direction that stretches most. Orange: from onset to end of each checkpoint. Dashed: the true commitment times." alt="A curve over 96 hours with several peaks, shaded intervals and two dashed vertical lines." name="fig-checkpoints"
fig, ax = plt.subplots(figsize=(5.4, 2.9))
ax.plot(rate.times, rate.rate, color=BLUE)
for row in checkpoints.obs.itertuples():
    ax.axvspan(row.time, row.end, color=ORANGE, alpha=0.2, lw=0)
for time in commitment.values():
    ax.axvline(time, color="black", lw=0.8, ls="--")
ax.axhline(0, color="0.8", lw=0.8)
ax.set(xlabel="hours", ylabel="stretching (per hour)")
plt.show()

# %% tags=["hide-input"]
found = checkpoints.obs.reset_index(drop=True)
nearest = {name: (found["time"] - time).abs().idxmin() for name, time in commitment.items()}
texts = [
    f"the {name} switch turns bistable at {commitment[name]:.1f} h, and the nearest onset is at"
    f" {found.loc[k, 'time']:.1f} h"
    for name, k in nearest.items()
]
others = found.drop(index=set(nearest.values()))
groups_of = found["two_groups"].map("{:.2f}".format)
rest = "Each checkpoint is the nearest to a switch."
if len(others):
    rest = (
        f"Of the {len(found)} checkpoints, {len(others)} belongs to no switch; its *two groups* are"
        f" {', '.join(groups_of[others.index])}, against {', '.join(groups_of[list(nearest.values())])} at the switches."
    )
Markdown(
    f"In truth, {' and '.join(texts)}; one interval between measurements is {organism.times[1]:.1f} h. {rest}"
    " *Two groups* is the share of the variance along the direction that lies between two halves of the cells: 0.64 for one"
    " bell-shaped cloud, 1 for two separate points. Near 0.64 there may be no choice: each cell has a clock"
    " of its own, and cells that fall out of step stretch the population too."
)

# %% [markdown]
# The genes named are those that change most along the direction. Are they the ones that decide? The
# organism's switches are made of four regulators.

# %%
masters = ["TF_alpha", "TF_bipotent", "TF_beta", "TF_gamma"]
change = checkpoints.to_df().abs().set_axis(range(len(found)))
rank = change.rank(axis=1, ascending=False)[masters].astype(int)
rank.index.name = "checkpoint"
rank

# %% tags=["hide-input"]
pairs_of = {"first": ["TF_alpha", "TF_bipotent"], "second": ["TF_beta", "TF_gamma"]}
ranks = {name: rank.loc[nearest[name], genes].tolist() for name, genes in pairs_of.items()}
Markdown(
    f"Among {adata.n_vars:,} genes, the two that make the first choice have ranks {ranks['first'][0]} and"
    f" {ranks['first'][1]} at its checkpoint, and those that make the second have {ranks['second'][0]} and"
    f" {ranks['second'][1]} at theirs. The genes that move most are mostly targets of the switch: a list of top genes"
    " describes what parts, and does not say what parted it."
)

# %% [markdown]
# ## In-silico perturbation
#
# What if a gene were knocked out? An [in-silico perturbation](../../book/glossary.md#in-silico-perturbation) asks the model. A flow knows where cells go from a place. It does not know what a gene does.
# `perturb` moves each cell to a place where the gene has the wanted level, by the smallest step, and lets the
# flow do the rest. Where that place is comes from a regression of the gene on the latent coordinates,
# among cells of about the same age.
#
# > **Important** Here correlation stands in for causation. The step takes along everything that varies together
# > with the gene, *as if the gene were its cause*. The answer reads: if this gene is a driver, then this way.
#
# The four masters of the switches are drivers, so for them the assumption holds. Each is knocked out
# (factor 0) or made twice as fast (2) at the last measured time before its switch turns bistable, and fates are read
# at the end. The organism gives the true answer: its `perturb` changes the production of the regulator and simulates
# all cells anew.

# %%
before = {name: organism.times[organism.times < time].max() for name, time in commitment.items()}
unchanged = organism.fate_shares(end)


def answers(gene, factor, time, label):
    """Change of the share of each fate at the end: by the model and in truth."""
    ours = perturb(model, adata, {gene: factor}, time, end, classifier)
    true = organism.perturb(gene, factor, time).fate_shares(end) - unchanged
    out = pd.DataFrame({"model": ours.shares.loc["change"], "truth": true})
    out["known"] = ours.explained[gene]
    return out.assign(gene=gene, factor=factor, kind=label).rename_axis("fate").reset_index()


kinds = {
    "master": [
        (gene, f, switch) for switch, genes in pairs_of.items() for gene in genes for f in (0, 2)
    ],
    "tilts a switch": [(f"TF_niche_{switch}", 2, switch) for switch in pairs_of],
    "follower": [("TF_alpha_0", 2, "first"), ("TF_beta_0", 0, "second")],
    "bystander": [(f"TF_{name}", 2, "first") for name in ("stress", "metabolism")],
}
changes = pd.concat(
    [
        answers(gene, f, before[switch], kind)
        for kind, cases in kinds.items()
        for gene, f, switch in cases
    ]
)


# %%
def largest(kind_names):
    """One row for each perturbation: the fate whose share changes most, in truth or by the model."""
    part = changes[changes["kind"].isin(kind_names)].reset_index(drop=True)
    size = part["truth"].abs() if "master" in kind_names else part["model"].abs()
    rows = part.loc[size.groupby([part["gene"], part["factor"]], sort=False).idxmax()]
    return rows[["kind", "gene", "factor", "fate", "model", "truth", "known"]].reset_index(
        drop=True
    )


drivers = largest(["master", "tilts a switch"])
drivers.round({"model": 2, "truth": 2, "known": 3})

# %% tags=["hide-input"]
right = (np.sign(drivers["model"]) == np.sign(drivers["truth"])) & (drivers["model"].abs() > 0.005)
is_master = drivers["kind"] == "master"
wrong = drivers[~right]
listed = "; ".join(
    f"{r.gene} × {r.factor}: {r.fate} {r.model:+.2f}, in truth {r.truth:+.2f}"
    for r in wrong.itertuples()
)
Markdown(
    f"The table shows the fate that changes most in truth. Of the {is_master.sum()} perturbations of masters the model has"
    f" {right[is_master].sum()} in the right direction, and of the {(~is_master).sum()} regulators that tilt a switch"
    f" {right[~is_master].sum()}."
    + (f" Wrong: {listed}." if len(wrong) else "")
    + " *Known* is the share of the variance of the gene's counts that its place in latent space explains; counting noise keeps"
    " it low for every gene."
)

# %% [markdown]
# The niche regulators do act on fates, but they are seen badly: the signal that tilts a switch is
# weak, and hardly a latent coordinate answers to it. To double such a gene, a cell must be pushed far, in a direction that
# the regression hardly knows, to a place where no cell was.
#
# Now the other side: regulators that do **not** decide. A *follower* is switched on by a fate's master and has no
# effect on the choice. A *bystander* has nothing to do with it. In truth their answers are close to 0.

# %%
idle = largest(["follower", "bystander"])
idle.round({"model": 2, "truth": 2, "known": 3})

# %% caption="Change of each fate's share by the model against the true change. Every perturbation gives one dot for each fate; on the dashed line the model is right. Dots along the vertical line in the middle are effects that do not exist." alt="A scatter with a dashed diagonal and a vertical line at zero truth; colours mark masters, regulators that tilt a switch, followers and bystanders." name="fig-perturb"
fig, ax = plt.subplots(figsize=(5.4, 4.2))
ax.plot([-1, 1], [-1, 1], "--", color="0.6", lw=0.8)
ax.axvline(0, color="0.8", lw=0.8)
for (kind, part), color, marker in zip(
    changes.groupby("kind", sort=False), [BLUE, GREEN, ORANGE, RED], "o^sD", strict=True
):
    ax.plot(part["truth"], part["model"], marker, color=color, label=kind, ms=5, alpha=0.8)
ax.set(xlabel="true change of share", ylabel="change by the model", xlim=(-1, 1), ylim=(-1, 1))
ax.legend(fontsize="small", loc="upper left")
plt.show()

# %% tags=["hide-input"]
by_kind = drivers.loc[is_master, "model"].abs().median()
top = idle.loc[idle["model"].abs().idxmax()]
known_masters = drivers.loc[is_master, "known"]
overlap = idle["known"].max() > known_masters.min()
Markdown(
    f"The largest effect of an idle gene is that of {top.gene} × {top.factor} on {top.fate}: {top.model:+.2f} by the"
    f" model, {top.truth:+.2f} in truth. For the masters the model's median size is {by_kind:.2f}. So the"
    f" size of an answer does not tell a driver from a follower. *Known* lies between {idle['known'].min():.3f} and"
    f" {idle['known'].max():.3f} for idle genes and between {known_masters.min():.3f} and {known_masters.max():.3f} for masters:"
    f" {'the ranges overlap, so it does not tell them apart either' if overlap else 'here it would tell them apart'}."
)

# %% [markdown]
# > **Warning** An in-silico perturbation ranks hypotheses *given that the gene acts*. Whether it does must come
# > from elsewhere: a real knock-out, the binding of the protein, the order of events. Report what the model
# > says of genes that are known to be idle beside what it says of yours.
#
# ## The path of least action
#
# Can an alpha cell become a beta cell? The flow alone says no: each branch goes its way. With noise it
# could, and some ways are less unlikely than others. If cells follow $dz = v(z, t)\,dt$ plus small
# Gaussian noise of equal size in all directions, then a path $x$ is exponentially unlikely in its
# action ([Onsager and Machlup 1953](https://doi.org/10.1103/PhysRev.91.1505))
#
# $$S[x] = \int \left\lVert \frac{dx}{dt} - v(x, t) \right\rVert^2 dt.$$
#
# The action is 0 along the flow and grows with each detour from it. `least_action_path` begins from two guesses,
# improves each, and returns as [least-action path](../../book/glossary.md#least-action-path) the one of lowest action of *all* evaluations: an optimiser can end on a
# worse path than it has seen.
#
# A known answer first: between a cell and the place to which the flow takes it, the least action is 0.

# %%
ends = adata[adata.obs["time"] == end]
latent_end = model.encode(ends)
home = {
    fate: latent_end[(ends.obs["fate"] == fate).to_numpy()].mean(axis=0) for fate in organism.fates
}
leave = float(organism.times[-5])
stem = model.encode(first).mean(axis=0)
flown = model.flow(stem[None], 0.0, [leave])[0, 0]
print(f"along the flow: {least_action_path(model, stem, flown, 0.0, leave).action:.4f}")

# %%
routes = {
    (a, b): least_action_path(model, home[a], home[b], leave, end)
    for a in home for b in home if a != b
}  # fmt: skip
costs = pd.Series({key: route.action for key, route in routes.items()}).unstack()
costs.rename_axis(index="from", columns="to").map("{:.1f}".format).replace("nan", "")

# %% caption="*Left*: the path of least action from alpha to beta (red) and the straight line (dotted) in the plane of [Figure](#fig-stream), over the cells of the last time. *Right*: four regulators along the path." alt="Left: clusters of cells in three colours; a red path joins two of them and bends away from a dotted line. Right: four curves over time; alpha falls and beta rises." name="fig-action"
route = routes["alpha", "beta"]
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.4))
for fate in organism.fates:
    dots = latent_end[(ends.obs["fate"] == fate).to_numpy()] @ axes_of_plane
    axes[0].plot(*dots.T, ".", color=colors[fate], ms=3, alpha=0.5)
    axes[0].annotate(fate, home[fate] @ axes_of_plane, ha="center", weight="bold")
axes[0].plot(*(route.path.obsm["latent"] @ axes_of_plane).T, color=RED, lw=2)
axes[0].plot(*(np.stack([home["alpha"], home["beta"]]) @ axes_of_plane).T, ":", color="black")
axes[0].set(xlabel="latent axis 1", ylabel="latent axis 2")
for gene, color in zip(masters, [BLUE, PURPLE, ORANGE, GREEN], strict=True):
    values = route.path.to_df()[gene]
    axes[1].plot(route.path.obs["time"], values, color=color, label=gene)
axes[1].set(xlabel="hours", ylabel="log(1 + counts per 10,000)")
fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %% tags=["hide-input"]
both_ways = route.path.var.assign(detour=route.path.var["travel"] - route.path.var["change"].abs())
cheap, dear = costs.stack().idxmin(), costs.stack().idxmax()
text_of = ", ".join(both_ways["detour"].nlargest(5).index)
Markdown(
    f"From alpha to beta the straight line has an action of {route.trace[0]:.0f}, and the best path seen in"
    f" {len(route.trace)} evaluations {route.action:.1f}. The cheapest change is from {cheap[0]} to {cheap[1]}"
    f" ({costs.stack().min():.1f}), the dearest from {dear[0]} to {dear[1]} ({costs.stack().max():.1f}); there and back"
    f" differ. Where the flow already carries cells from one fate to another, as in the table of alpha cells above, an action is"
    " cheap for that wrong reason."
    f" `path.var` has the change of every gene from start to end and the length of its way: {text_of} have the"
    " largest difference of the two, which means that they go up and down again on the way from alpha to beta."
)

# %% [markdown]
# The action is in the units of the latent space, and the noise is taken to be equal in all its directions. Another
# scaling of the axes is another answer. Compare paths of one model with each other, and take the path as a list of
# states to look for, not as a recipe.
#
# ## What snapshots cannot tell
#
# All of the above was read off one flow. Are there other dynamics with the same snapshots, at all times? There always are
# ([Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115)). Three of them:
# cells lie in a round cloud until time 1; then those to the right of the middle go right, the others left.
# In the meantime the cells of the cloud
#
# - *stay* where they are, or
# - *turn* half a circle about its centre, or
# - *forget*: they are driven about by noise that keeps the cloud as it is.


# %%
def tracked(kind, times, n_cells, rng):
    """Places (times, cells, 2) of the same cells; at each time the population is the same."""
    start, kick = rng.normal(size=(2, n_cells, 2))
    out = []
    for time in times:
        age = min(time, 1.0)
        angle, kept = np.pi * age * (kind == "turn"), np.exp(-4 * age) if kind == "forget" else 1.0
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        place = kept * start @ turn + np.sqrt(1 - kept**2) * kick
        side = np.sign(place[:, 0]) * max(time - 1.0, 0.0) * 3
        out.append(place + np.stack([side, np.zeros(n_cells)], axis=1))
    return np.array(out)


moments = np.linspace(0, 2, 9)
rng = np.random.default_rng(seed)
tracks = {kind: tracked(kind, moments, 2000, rng) for kind in ("stay", "turn", "forget")}
again = tracked("stay", moments, 2000, rng)

# %%
right_at = {kind: track[:, :, 0] > 0 for kind, track in tracks.items()}
limits = pd.DataFrame({
    kind: {
        "energy distance to stay, drawn anew (largest)": max(map(energy_distance, track, again)),
        "starts right, ends right": right_at[kind][-1][right_at[kind][0]].mean(),
    }
    for kind, track in tracks.items()
}).T  # fmt: skip
limits.round(3)

# %% caption="Three worlds with the same snapshots. Lines are single cells, coloured by the end that they reach; the histogram on the right of each panel is the population at the last time." alt="Three panels of position over time. In each, cells spread between -3 and 3 and part to -4 and 4; in the first lines do not mix, in the second they swap sides, in the third they mix at random." name="fig-worlds"
fig, axes = plt.subplots(1, 3, figsize=(5.4, 3.0), sharey=True)
dense = np.linspace(0, 2, 81)
for ax, kind in zip(axes, tracks, strict=True):
    cells = tracked(kind, dense, 40, np.random.default_rng(seed))[:, :, 0]
    for line in cells.T:
        ax.plot(dense, line, color=BLUE if line[0] > 0 else ORANGE, lw=0.7)
    ax.hist(
        tracks[kind][-1][:, 0],
        bins=40,
        orientation="horizontal",
        bottom=2.05,
        weights=np.full(2000, 1 / 200),
        color=GREY,
    )
    ax.set(title=kind, xlabel="time")
axes[0].set_ylabel("position")
plt.show()

# %% tags=["hide-input"]
Markdown(
    f"The snapshots of the three worlds differ from a fresh draw of the first by no more than"
    f" {limits.iloc[:, 0].max():.3f} in energy distance, and the first itself differs by {limits.iloc[0, 0]:.3f}: 2,000 cells a"
    f" time cannot tell them apart, and no number of cells could. Yet of the cells that start on the right"
    f" {limits.iloc[0, 1]:.0%}, {limits.iloc[1, 1]:.0%} and {limits.iloc[2, 1]:.0%} end there. A fate map, a set of drivers and a perturbation"
    " read off one world are wrong in the others."
)

# %% [markdown]
# A model that fits snapshots has chosen one of these worlds by what it holds to be simple. Optimal transport and
# flows trained with it choose the shortest ways: *stay*. Under stronger assumptions the dynamics can be recovered
# ([Lavenant et al. 2024](https://doi.org/10.1214/23-AAP1969): drift down a potential and noise of known size),
# and these are then what must be believed. What decides between worlds is other data: lineage barcodes, which tie
# cells of two times together; spliced and labelled RNA; perturbations.
#
# | reading | rests on | seen in snapshots? |
# |---|---|---|
# | populations, shares of fates at a time | the fit | yes |
# | mean velocity of a population | the fit, and growth | yes, up to growth |
# | checkpoints | the fit | their times: where the population splits |
# | path and fate of a cell | cells take the shortest way, without noise | no |
# | perturbation | the gene is the cause of what varies with it | no |
# | least action | the flow, and equal noise in all latent directions | no |
#
# ## Key points
#
# - The mean velocity of a population is in the data. That of a cell is a choice of the model.
# - A trajectory is a statement of a model: its first point was measured, no other.
# - A flow is certain about fates long before cells are. Shares of the population are safer, and even right shares can
#   come from wrong paths: growth looks like conversion.
# - A peak of stretching says that cells part; whether they split or fall out of step, the two groups say.
# - An in-silico perturbation takes a correlation for a cause. Genes that only follow get answers as large as those that
#   drive.
# - Of an optimiser take the best path it has seen, and try a case whose answer is known.
# - Different dynamics have the same snapshots, whatever the number of cells.
#
# ## Exercises
#
# > **Exercise** When is it too late? Knock out `TF_bipotent` at 26, 44, 61 and 79 h (the measured times next to these)
# > and compare the change of the share of alpha by the model and in truth.
#
# <details><summary>Solution</summary>
#
# ```python
# for time in organism.times[[3, 5, 7, 9]]:
#     late = answers("TF_bipotent", 0, time, "late").set_index("fate")
#     print(f"{time:.0f} h", late.loc["alpha", ["model", "truth"]].astype(float).round(2).to_dict())
# ```
#
# In truth and in the model it is not too late even at 79 h: nearly all cells end as alpha. The bipotent regulator is what
# keeps its own branch open, and represses alpha all the time. *Commitment* means that a switch has two resting states,
# not that the way back is closed to every intervention.
#
# </details>
#
# > **Exercise** Fit the model with `growth=1.0`, which lets the mass of a cell change between two times, at a price. What share of
# > the labelled alpha cells does its flow keep?
#
# <details><summary>Solution</summary>
#
# ```python
# growing = ScNODE(seed=seed, growth=1.0).fit(adata)
# reader = fit_fate_classifier(growing, adata, "fate")
# ends_as = fate_probabilities(growing, adata, reader, end).loc[labelled.index]
# kept_now = ends_as.groupby(labelled["time"]).mean()["alpha"]
# print(pd.DataFrame({"growth=None": kept.iloc[:, 0], "growth=1.0": kept_now}).round(2))
# ```
#
# At most times it keeps more of them, and still far from all: growth is allowed, not known. How fast each
# type divides has to come from elsewhere, such as counts of cells or of dividing ones.
#
# </details>
#
# > **Exercise** Change *turn* to a quarter of a circle (`np.pi / 2` in place of `np.pi`). What share of the cells that start
# > on the right ends there? Which world looks the same to somebody who can follow cells, but sees the first coordinate alone?
#
# <details><summary>Solution</summary>
#
# ```python
# quarter_turn = np.random.default_rng(seed).normal(size=(2000, 2))
# ends_right = quarter_turn @ np.array([0.0, -1.0]) > 0  # the first coordinate after the turn
# print(ends_right[quarter_turn[:, 0] > 0].mean())
# ```
#
# About half, as in *forget*. The fate is fixed from the start, by the second coordinate. Who sees the first alone
# calls it chance: a hidden variable and noise look the same, even with lineage tracing, until
# the variable is measured or two cells with the same start are compared.
#
# </details>
#
# ## Further reading
#
# - [Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115): what snapshots determine, and what has to be assumed.
# - [Lavenant et al. 2024](https://doi.org/10.1214/23-AAP1969): assumptions under which paths can be recovered.
# - [Schiebinger et al. 2019](https://doi.org/10.1016/j.cell.2019.01.006): fates by optimal transport, with growth.
# - [Yeo et al. 2021](https://doi.org/10.1038/s41467-021-23518-w): a generative model of time series whose fates and
#   interventions are compared with lineage tracing.
# - [Onsager and Machlup 1953](https://doi.org/10.1103/PhysRev.91.1505): the action of a path with noise.
