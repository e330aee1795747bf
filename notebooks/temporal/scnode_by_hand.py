# %% [markdown]
# # scNODE by hand
#
# The published model, piece by piece: an autoencoder, a drift and a distance between populations.
#
# > **Learning goals**
# > - [say how a model can learn movement from cells that were each seen only once](#how-can-a-model-learn-a-movement-that-nobody-saw);
# > - [build the published scNODE from linear layers](#three-networks-and-a-step), Euler steps and a Sinkhorn divergence, and check it against the package;
# > - [find the direction in which the cells of a trained model cannot move](#a-direction-that-no-cell-can-take), and what its training has undone.
# >
# > **Before**: [Neural ODEs](neural_odes.ipynb).
# >
# > **Time**: 21 min to read, 1 min to run.

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

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from scstlib import checks
from scstlib.datasets import simulate_organism
from scstlib.models import PublishedScNODE
from scstlib.models.temporal.scnode.published_training import (
    Comparison, draw_batch, joint_loss,
)  # fmt: skip
from scstlib.ot import sinkhorn_divergence
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREY, ORANGE, book_style
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## How can a model learn a movement that nobody saw?
#
# Reading the RNA of a cell destroys it. A time course of single cells is therefore a series of [snapshots](../../book/glossary.md#snapshot): different cells at each time, and no cell twice. No velocity was measured. Yet we want to know what the population looks like between two snapshots, and beyond the last one.
#
# scNODE ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393)) does not need to know which cell became which. It moves a whole cloud of cells and compares clouds: the movement is good if the moved cloud looks like the measured one at every time. This takes three pieces: a space in which cells are moved, a rule that moves them, and a distance between two clouds that also says in which direction each cell should have gone.
#
# ![Three columns, for the first, second and third time. At the top the measured cells of each time, hollow circles. They go down into a box, the encoder, which gives a mean and a spread. Below it, in latent space, the encoded cells of the first time, red triangles, are moved to the second and third time by arrows: the drift, solved as an ODE. Beside them at each time lie the encoded measured cells, hollow circles, joined to the triangles by a double arrow, the transport loss. A second box, the decoder, takes the triangles to gene space, where again a double arrow compares them with measured cells. Encoder and decoder are trained by themselves first.](../../book/_static/diagrams/scnode_published.svg)
#
# *Only cells of the first time are moved through all times; at each time a transport loss compares them with measured cells, in latent space and in gene space.*
#
# This page builds the model as its public code does (`rsinghlab/scNODE` at commit `ba55e8d`), with the layer sizes that the authors used for zebrafish. The cells come from a simulated organism in which a progenitor becomes one of three types: 60 cells at each of nine times. The cells of 48 h and 96 h are set aside, and nothing on this page uses them. The model works with log values, $\log(1 + \text{counts per } 10{,}000)$.

# %% tags=["hide-input"]
organism = simulate_organism(seed=seed, preset="small")
times = [0.0, 6.0, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0, 96.0]
cells = organism.sample(times, 60, seed=1)
train = hold_out_times(cells, test=[48.0, 96.0]).train
at = train.obs["time"].to_numpy()
hours = np.unique(at)
counts = train.X.toarray()
log_values = np.log1p(counts * (1e4 / counts.sum(axis=1, keepdims=True)))
values = torch.as_tensor(log_values, dtype=torch.float64)
listed = ", ".join(f"{hour:.0f}" for hour in hours)
print(f"{train.n_obs} cells, {train.n_vars:,} genes, at {listed} h")

# %% [markdown]
# ## Three networks and a step
#
# 1. The **encoder** turns the log values of a cell into the mean $\mu$ and the spread $\sigma$ of 50 [latent](../../book/glossary.md#latent-space) coordinates. A latent point is drawn as $\mu + \varepsilon\sigma$, with standard normal $\varepsilon$. No layer is followed by an activation, a function that bends: $\mu$ is linear in the log values, and $\sigma$ is the absolute value of a linear function of them.
# 2. The **[drift](../../book/glossary.md#drift)** gives the velocity of a latent point: three linear layers, each followed by a ReLU.
# 3. The **decoder** turns a latent point back into log values: one linear layer. Encoder and decoder together are a [variational autoencoder](../../book/glossary.md#variational-autoencoder).
#
# A path is made of straight lines: from each time to the next, a point keeps the velocity that it has at the start (Euler's method). The clock counts measurements instead of hours: 0, 1, 2, ... Held-out times count too, so that the training times are 0, 1, 2, 3, 4, 6 and 7.

# %%
n_genes, n_latent = train.n_vars, 50
features = nn.Linear(n_genes, n_latent)
mean = nn.Linear(n_latent, n_latent)
spread = nn.Linear(n_latent, n_latent)
drift = nn.Sequential(
    nn.Linear(n_latent, 50), nn.ReLU(),
    nn.Linear(50, 50), nn.ReLU(),
    nn.Linear(50, n_latent), nn.ReLU(),
)  # fmt: skip
decode = nn.Linear(n_latent, n_genes)


def encode(cells, eps):
    """Latent points of cells (..., genes), drawn with normal eps."""
    hidden = features(cells)
    return mean(hidden) + eps * spread(hidden).abs()


def euler(points, clock):
    """Latent points at each time of the clock."""
    path = [points]
    for now, then in pairwise(clock):
        path.append(path[-1] + (then - now) * drift(path[-1]))
    return torch.stack(path)


# %% [markdown]
# ## How far is one population from another?
#
# [Optimal transport](../../book/glossary.md#optimal-transport) carries one cloud to the other at the least total cost; the cost of moving one cell is half the squared distance that it moves. The total cost is a score. Its derivative says more: it gives a direction for every cell.

# %% tags=["hide-input"] caption="Measured cells of 36 h (blue) and 60 h (grey) in two principal components. Arrows show, for every third blue cell, a quarter of the way along which the divergence pulls it, to a matching part of the other cloud. In training, the blue cells are the predicted ones, and the drift learns to follow the arrows." alt="A scatter plot of two clouds, blue on the right and grey on the left. Arrows start at 20 of the blue dots and point to the left; those of upper dots end higher than those of lower dots." name="fig-divergence-pull"
planar = PCA(2, random_state=seed).fit(log_values)
points = [planar.transform(log_values[at == hour]) for hour in (36.0, 60.0)]
x = torch.as_tensor(points[0]).requires_grad_()
cost = sinkhorn_divergence(x, torch.as_tensor(points[1]))
pull = -0.25 * len(x) * torch.autograd.grad(cost, x)[0].numpy()
fig, ax = plt.subplots(figsize=(5.4, 3.6))
ax.plot(*points[0].T, "o", color=BLUE, ms=4, label="36 h")
ax.plot(*points[1].T, "o", color="0.6", ms=4, label="60 h")
drawn = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004}
ax.quiver(*points[0][::3].T, *pull[::3].T, color=ORANGE, **drawn)
ax.set(xlabel="PC 1 (log values)", ylabel="PC 2 (log values)")
ax.legend(fontsize="small")
plt.show()

# %% [markdown]
# How is the least cost found? Each cell gets a price, $f$ in one cloud and $g$ in the other. For the two clouds in turn, the price of each cell is set to the minimum, over the other cloud, of cost minus price, until nothing changes. A little entropy turns this into a *soft minimum*, which makes the cost smooth and quick to find. Its softness is given as a length, which shrinks from the diameter of the clouds to a *blur*. Only the last round of prices is differentiated.
#
# The smoothed cost is not zero for equal clouds. The [Sinkhorn divergence](../../book/glossary.md#sinkhorn-divergence) therefore subtracts half of the cost of each cloud against itself ([Feydy et al. 2019](https://arxiv.org/abs/1810.08278)).


# %%
def soft_minimum(eps, cost, price):
    """Smooth minimum of cost - price over the second cloud."""
    rest = ((price - cost) / eps).logsumexp(-1)
    return eps * (np.log(cost.shape[-1]) - rest)


def transport(x, y, lengths):
    """Entropic cost of carrying x to y, at ever smaller lengths."""
    there = torch.cdist(x, y.detach()).square() / 2
    back = torch.cdist(y, x.detach()).square() / 2
    with torch.no_grad():
        eps = lengths[0] ** 2
        f, g = (soft_minimum(eps, cost, 0.0) for cost in (there, back))
        for eps in lengths**2:
            new = soft_minimum(eps, there, g), soft_minimum(eps, back, f)
            f, g = (f + new[0]) / 2, (g + new[1]) / 2
    f, g = soft_minimum(eps, there, g), soft_minimum(eps, back, f)
    return f.mean() + g.mean()


def divergence(x, y, blur=0.05, scaling=0.5):
    """Sinkhorn divergence of two clouds (n, d) and (m, d)."""
    both = torch.cat([x, y]).detach()
    size = float((both.amax(0) - both.amin(0)).norm())
    steps = np.arange(np.log(size), np.log(blur), np.log(scaling))
    lengths = np.r_[size, np.exp(steps), blur]
    alone = transport(x, x, lengths) + transport(y, y, lengths)
    return transport(x, y, lengths) - alone / 2


# %% [markdown]
# ## One step of training
#
# Training has two phases. In the first, encoder and decoder learn to reproduce all training cells (200 steps). In the second, all three networks are trained together. A step draws 32 cells of the *first* time, encodes them, moves them through all training times and decodes them there. The loss has two parts, both averaged over times: the divergence between decoded and measured cells (200 cells of each time in the published settings, here all 60), and the divergence between the moved points and the encoded cells of that time.


# %%
def loss_of(batch):
    """The published loss of a batch of cells."""
    path = euler(encode(batch.start, batch.start_eps), clock)
    measured = encode(batch.encoded, batch.encoded_eps)
    in_latent = map(divergence, measured, path)
    in_genes = map(divergence, decode(path), batch.target)
    return (sum(in_genes) + sum(in_latent)) / len(clock)


# %% [markdown]
# ## Is it the same model?
#
# Now give these networks the weights of a model that the package has pre-trained. Then compute the loss of a batch and its gradient with respect to every weight twice, by hand and with the package, in double precision.

# %% tags=["hide-input"]
published = {"joint_steps": 100, "target_size": 60, "time_points": times}
pretrained = PublishedScNODE(**published | {"joint_steps": 0}, seed=seed)
network = pretrained.fit(train).network_.double()
by_hand = nn.ModuleList([features, mean, spread, drift, decode]).double()
weights = parameters_to_vector(network.parameters()).detach()
vector_to_parameters(weights, by_hand.parameters())

generator = torch.Generator().manual_seed(seed)
how = {"batch_size": 32, "target_size": 60, "latent_dim": n_latent}
how |= {"from_all": False, "generator": generator}
by_time = [values[at == hour] for hour in hours]
clock = torch.tensor([times.index(hour) for hour in hours]).double()
batch = draw_batch(by_time, **how)
losses = {
    by_hand: loss_of(batch),
    network: sum(joint_loss(network, clock, batch, Comparison())),
}
by_weight = [
    parameters_to_vector(torch.autograd.grad(loss, tuple(m.parameters())))
    for m, loss in losses.items()
]
gaps = [(a - b).norm() / b.norm() for a, b in (losses.values(), by_weight)]
in_drift = sum(w.numel() for w in drift.parameters())
claim(
    "The two losses and gradients differ by less than one part in a billion. There"
    f" are {len(weights):,} weights, {in_drift:,} of them in the drift.",
    float(max(gaps)) < 1e-9,
)

# %% [markdown]
# The gradient passes through every piece, so every piece agrees with the package, which in turn is tested against values of the authors' code.
#
# ## What the second phase does to the first
#
# Now train by hand: 30 steps of the second phase, with Adam at the published learning rate. Before each step we look at how well the autoencoder still reproduces the cells.

# %%
weights = by_hand.parameters()
optimizer = torch.optim.Adam(weights, lr=1e-3, betas=(0.95, 0.99))
eps = torch.randn(len(values), n_latent, generator=generator).double()
errors = []
for _ in range(31):
    with torch.no_grad():
        again = decode(encode(values, eps))
        errors.append(float((again - values).square().mean()))
    batch = draw_batch(by_time, **how)
    optimizer.zero_grad()
    loss_of(batch).backward()
    optimizer.step()

# %% tags=["hide-input"] caption="Mean squared error of the reproduced training cells during the first steps on the transport loss. Dashed: the error of a constant, the mean profile. Dotted: the error after pre-training. The first steps undo most of the pre-training." alt="A line that starts at the dotted line, jumps to the dashed one or above it in the first steps and comes down again to a level between the two." name="fig-lost"
constant = float((values - values.mean(0)).square().mean())
fig, ax = plt.subplots(figsize=(5.4, 2.8))
ax.axhline(constant, ls="--", color=GREY, label="one constant")
ax.axhline(errors[0], ls=":", color=GREY, label="after pre-training")
ax.plot(errors, "o-", color=ORANGE, ms=3, lw=1, label="by hand")
ax.set(xlabel="step on the transport loss", ylabel="squared error")
ax.legend(fontsize="small", loc=(0.62, 0.42))
plt.show()

# %% tags=["hide-input"]
claim(
    f"Pre-training brings the error down from {constant:.3f}, that of a"
    f" constant, to {errors[0]:.3f}. A single step on the transport loss puts"
    f" it at {errors[1]:.3f}: most or all of the gain is lost. After 30 steps it is"
    f" {errors[-1]:.3f}, and part of the gain has come back.",
    errors[0] < 0.95 * constant,
    errors[1] - errors[0] > 0.6 * (constant - errors[0]),
    errors[0] < errors[-1] < errors[1],
)

# %% [markdown]
# Why? The first steps of Adam move every weight by about the learning rate, however small its gradient ([Kingma & Ba 2015](https://arxiv.org/abs/1412.6980)). More than a thousand genes feed each latent coordinate, and the changes of their weights add up.
#
# ## A direction that no cell can take
#
# The package has all of this as `PublishedScNODE`. Here it is trained for 100 steps of the second phase (published: 1,000). In the code at commit `ba55e8d` the drift ends with a ReLU, so that no velocity is negative. How much movement does that leave?

# %%
trained = PublishedScNODE(**published, seed=seed).fit(train)
velocity = trained.velocity(trained.encode(train), time=0.0)

# %% tags=["hide-input"]
zero, still = np.mean(velocity == 0), np.all(velocity == 0, axis=0).sum()
claim(
    f"Of the velocities at the training cells, {zero:.0%} are exactly 0 and"
    f" none is negative; {still} of {n_latent} coordinates never move.",
    np.all(velocity >= 0) and zero > 0.3 and still >= 5,
)

# %% [markdown]
# The same code steps from one requested time to the next, so the answer for a time depends on which other times are requested ([What flows cannot do](what_flows_cannot_do.ipynb)). `solver_grid="fixed"` gives the solver its own steps. For each property of this kind, `PublishedScNODE` has a setting that changes it and nothing else. Whether such a change helps can only be decided on data whose truth is known: see [scNODE, the package's](scnode_package.ipynb).
#
# ## Check yourself
#
# <details><summary>Why does the loss compare clouds and not cells?</summary>
#
# No cell was measured twice, so nobody knows which later cell a moved cell should be compared with.
#
# </details>
#
# <details><summary>From what does the published model create the different fates of the last time?</summary>
#
# From cells of the first time, which differ in their measured values and in the noise that draws their latent points. The drift has to pull these small differences apart.
#
# </details>
#
# <details><summary>No velocity is negative. Can the expression of a gene fall?</summary>
#
# Yes: a rising coordinate may have a negative weight in the decoder. But the coordinate cannot go back.
#
# </details>

# %% [markdown]
# ## Key points
#
# - scNODE is a latent space, a drift and a distance between populations. Each takes a few lines that can be checked.
# - The gradient of the distance tells every cell where to go. It stands in for the pairs that nobody measured.
# - What one phase of training has learned, the next may undo. Look at the first steps.
#
# ## Exercises
#
# > **Exercise** Let `x` be the decoded cells of a batch, `y` the measured cells of the last time and `full` their divergence. Leave out its term of the measured cells, `transport(y, y)`, and take the derivative with respect to `x`. How does it change?

# %% tags=["solution"]
x = decode(encode(batch.start, batch.start_eps)).detach().requires_grad_()
y, lengths = batch.target[-1], np.geomspace(50, 0.05, 11)
alone = transport(x, x, lengths) + transport(y, y, lengths)
full = transport(x, y, lengths) - alone / 2
### BEGIN SOLUTION
short = transport(x, y, lengths) - transport(x, x, lengths) / 2
answer = torch.autograd.grad(short, x)[0]
### END SOLUTION
checks.gradient_of(answer, x, full)

# %% [markdown]
# > **Exercise** Train with `drift_activation="silu"`, whose last layer is linear. How many velocities are negative now?
#
# <details><summary>Solution</summary>
#
# ```python
# signed = PublishedScNODE(**published, drift_activation="silu", seed=seed).fit(train)
# print((signed.velocity(signed.encode(train), time=0.0) < 0).mean())
# ```
#
# About half. Whether this makes the predictions better is another question, which the next page takes up.
#
# </details>
#
# ## Further reading
#
# - [Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393): scNODE.
# - [Feydy et al. 2019](https://arxiv.org/abs/1810.08278): the Sinkhorn divergence.
# - [Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115): what snapshots cannot tell.
