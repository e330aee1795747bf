# %% [markdown]
# # Neural ODEs
#
# Solvers, learned drifts, derivatives, and what no flow can do.
#
# > **Learning goals**
# > - write an ODE solver in four lines, and measure the order of one that you did not write;
# > - learn a drift from pairs of cells, and differentiate through the solver in two ways;
# > - say which movements no flow can make, and what has to be added for them;
# > - recognise two habits of published models: a drift that cannot fall, and a path that depends on
# >   the times asked for.
# >
# > **Before**: nothing but a little PyTorch. [Counts of single cells](../foundations/counts_of_single_cells.ipynb) says what
# > a time course of single cells is.
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
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from IPython.display import Markdown
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from scstlib.models import PublishedScNODE
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, book_style

plt.rcParams.update(book_style())

# %% [markdown]
# ## Two genes that shut each other off
#
# A cell that chooses between two types often holds two genes that repress each other. Each protein
# is made at a rate that falls with the other one, and decays:
#
# $$\begin{aligned}
# \frac{da}{dt} &= \frac{4}{1 + b^4} - a \\[1ex]
# \frac{db}{dt} &= \frac{4}{1 + a^4} - b
# \end{aligned}$$
#
# Time is counted in lifetimes of the proteins, and amounts in the amount that halves the other
# gene's rate. This is a symmetric form of the toggle switch that
# [Gardner et al. 2000](https://doi.org/10.1038/35002131) built in bacteria. The right-hand side gives
# the velocity of a cell in the plane of its two genes; in a
# [neural ODE](../../book/glossary.md#neural-ode) it is called the
# [drift](../../book/glossary.md#drift).

# %%


def toggle(time, cells):
    """Velocity of cells (..., 2) of which each gene shuts off the other."""
    a, b = cells.unbind(-1)
    return torch.stack([4 / (1 + b**4) - a, 4 / (1 + a**4) - b], dim=-1)


# %% [markdown]
# A [solver](../../book/glossary.md#solver) turns velocities into a path. The oldest one, Euler's, takes
# the velocity where the cell is and walks straight on until the next time.

# %%


def euler(velocity, cells, times):
    """Path (times, ..., genes) of cells, with one straight step from each time to the next."""
    path = [cells]
    for now, then in pairwise(times):
        path.append(path[-1] + (then - now) * velocity(now, path[-1]))
    return torch.stack(path)


def grid(end, step):
    """Times from 0 to end, a step apart."""
    return torch.linspace(0, end, round(end / step) + 1, dtype=torch.float64)


def fine(cells, times):
    """The same path to about ten digits, with a solver of order 8."""
    return odeint(toggle, cells, times, method="dopri8", rtol=1e-11, atol=1e-12)


# %% [markdown]
# The 400 cells below begin undecided, with both genes on. Both genes fall; then, in each cell, one of
# them wins.

# %%
rng = np.random.default_rng(seed)
start = torch.as_tensor(rng.normal(2.0, 0.5, size=(400, 2)).clip(0))
one_cell = torch.tensor([2.4, 1.8], dtype=torch.float64)

# %% caption="*Left*: the flow of the toggle switch (grey) and 16 cells that follow it for 8 lifetimes; dots are ends. *Right*: gene $a$ of one cell, by Euler with three steps. A small step follows the true path (grey); with large steps the gene swings up and down and settles nowhere." alt="Left: a plane of two genes with arrows; paths start in the middle, run down to the diagonal and bend to one of two corners. Right: four lines over time; step 0.25 lies on the true line, which dips and ends near 4; steps 1.0 and 1.25 swing up and down between 5 and below 0." name="fig-toggle"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.0))
side = np.linspace(0, 4.5, 24)
plane = torch.as_tensor(np.stack(np.meshgrid(side, side), axis=-1))
arrows = toggle(0.0, plane).numpy()
axes[0].streamplot(
    side,
    side,
    arrows[..., 0],
    arrows[..., 1],
    color="0.75",
    linewidth=0.6,
    density=0.8,
    arrowsize=0.7,
)
for path in fine(start[:16], grid(8, 0.1)).unbind(1):
    color = BLUE if path[-1, 0] > path[-1, 1] else ORANGE
    axes[0].plot(*path.T, color=color, lw=1)
    axes[0].plot(*path[-1], "o", color=color, ms=5)
axes[0].set(xlabel="gene $a$", ylabel="gene $b$", xlim=(0, 4.5), ylim=(0, 4.5), aspect="equal")
axes[1].plot(grid(8, 0.1), fine(one_cell, grid(8, 0.1))[:, 0], color=GREY, lw=4, alpha=0.5)
for step, color in [(0.25, BLUE), (1.0, ORANGE), (1.25, RED)]:
    times = torch.arange(0, 8.01, step, dtype=torch.float64)
    axes[1].plot(
        times, euler(toggle, one_cell, times)[:, 0], ".-", color=color, lw=1, label=f"step {step}"
    )
axes[1].set(xlabel="time (lifetimes)", ylabel="gene $a$", ylim=(-1.5, 8))
axes[1].legend(fontsize="small", loc="upper left")
plt.show()

# %% [markdown]
# How small must a step be? The table follows all 400 cells for 8 lifetimes.

# %%
rows = {}
for step in [0.1, 0.25, 0.5, 0.75, 1.0, 1.25]:
    times = torch.arange(0, 8 + step / 2, step, dtype=torch.float64)
    miss = (euler(toggle, start, times)[-1] - fine(start, times)[-1]).norm(dim=-1)
    rows[step] = {
        "largest error": float(miss.max()),
        "cells lost": float((miss > 1).double().mean()),
    }
fates = pd.DataFrame(rows).T.rename_axis("step of Euler")
formats = {"largest error": "{:.3f}", "cells lost": "{:.0%}"}
pd.DataFrame({name: fates[name].map(f.format) for name, f in formats.items()})

# %% tags=["hide-input"]
Markdown(
    f"A cell counts as lost when it ends further than 1 from its true place. With steps of 0.5 the largest"
    f" error is {fates.loc[0.5, 'largest error']:.2f} and {fates.loc[0.5, 'cells lost']:.0%} of the cells are"
    f" lost; with steps of 1, {fates.loc[1.0, 'cells lost']:.0%} are. A step that is too long does not blur the"
    " picture a little. It carries both genes past the point where they should part: both are off, then both"
    " on, and the cell never chooses or chooses the other type."
)

# %% [markdown]
# ## Solvers: error against cost
#
# The [order](../../book/glossary.md#order-of-a-solver) of a solver says how its error falls with the
# step: order $p$ means that half the step divides the error by $2^p$. In a plot of error against
# step, with both axes logarithmic, the order is the slope. `torchdiffeq` has many solvers behind
# one function, `odeint(velocity, cells, times, method=...)`. Its Euler is the one above:

# %%
ours = euler(toggle, one_cell, grid(4, 0.25))
theirs = odeint(toggle, one_cell, grid(4, 0.25), method="euler")
print("largest difference:", float((ours - theirs).abs().max()))

# %% [markdown]
# The cost of a solver is the number of times that it asks for the velocity: once in a step of
# Euler, twice for `midpoint`, four times for `rk4` (a Runge-Kutta method of order 4). `dopri5`
# chooses its own steps: it takes each step with order 5 and with order 4, and where the two differ
# by more than a tolerance, it repeats the step with a shorter one.

# %%


def counted(velocity):
    """The same velocity; its ``calls`` says how often it was asked for."""

    def call(time, cells):
        call.calls += 1
        return velocity(time, cells)

    call.calls = 0
    return call


def error_and_cost(times, **solver):
    """Error of one cell at the last time, and evaluations of the velocity."""
    velocity = counted(toggle)
    end = odeint(velocity, one_cell, times, **solver)[-1]
    return float((end - fine(one_cell, times[[0, -1]])[-1]).norm()), velocity.calls


steps = 2.0 ** -np.arange(1, 6)
curves = {
    method: np.array([error_and_cost(grid(4, step), method=method) for step in steps])
    for method in ["euler", "midpoint", "rk4"]
}
orders = {m: np.polyfit(np.log(steps[2:]), np.log(c[2:, 0]), 1)[0] for m, c in curves.items()}
adaptive = np.array([
    error_and_cost(grid(4, 4), method="dopri5", rtol=tol, atol=tol)
    for tol in [1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
])  # fmt: skip
print("measured order:", {method: round(float(order), 2) for method, order in orders.items()})

# %% caption="Error of one cell after 4 lifetimes. *Left*: against the step; the slope is the order. *Right*: against the cost; at equal cost a high order is better by orders of magnitude, and the adaptive solver needs no step from you." alt="Two charts with logarithmic axes. Left: three straight lines, rk4 steepest, midpoint, Euler flattest. Right: falling lines; for the same number of evaluations rk4 and dopri5 are far below Euler." name="fig-orders"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.0), sharey=True)
for (method, curve), color in zip(curves.items(), [ORANGE, GREEN, BLUE], strict=True):
    label = f"{method}, slope {orders[method]:.1f}"
    axes[0].plot(steps, curve[:, 0], "o-", color=color, label=label, ms=4)
    axes[1].plot(curve[:, 1], curve[:, 0], "o-", color=color, ms=4)
axes[1].plot(adaptive[:, 1], adaptive[:, 0], "s--", color=PURPLE, label="dopri5", ms=4)
axes[0].set(xscale="log", yscale="log", xlabel="step (lifetimes)", ylabel="error", ylim=(3e-10, 60))
axes[1].set(xscale="log", xlabel="evaluations of the velocity")
axes[0].set_xticks([1 / 32, 1 / 8, 1 / 2], ["1/32", "1/8", "1/2"])
axes[0].minorticks_off()
axes[0].legend(fontsize="small", loc="upper left")
axes[1].legend(fontsize="small", loc="upper right")
plt.show()

# %% tags=["hide-input"]
needed = {m: c[c[:, 0] < 1e-4][:1, 1] for m, c in {**curves, "dopri5": adaptive}.items()}
euler_cost = curves["euler"][-1, 1] * curves["euler"][-1, 0] / 1e-4
Markdown(
    f"For an error below 0.0001, `rk4` asks for the velocity {needed['rk4'][0]:.0f} times and `dopri5`"
    f" {needed['dopri5'][0]:.0f} times. Euler has an error of {curves['euler'][-1, 0]:.4f} after"
    f" {curves['euler'][-1, 1]:.0f} evaluations and, at its slope, would need about"
    f" {round(euler_cost, -2):,.0f}."
)

# %% [markdown]
# > **Tip** Choose the step by halving it until the answer stops changing by more than the accuracy
# > that you need. That is a measurement, and it takes one line.
#
# ## A drift that is learned
#
# Now the right-hand side is unknown. In its place stands a small network, and the data say what it
# should do: this is a neural ODE ([Chen et al. 2018](https://arxiv.org/abs/1806.07366)).
# `with_time` and `last` are for later sections.

# %%


class Drift(nn.Module):
    """A network that gives the velocity of a point of ``size`` coordinates."""

    def __init__(self, size, with_time=False, last=nn.Identity, width=32):
        super().__init__()
        hidden = [nn.Linear(size + with_time, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()]
        self.net = nn.Sequential(*hidden, nn.Linear(width, size), last()).double()
        self.with_time = with_time

    def forward(self, time, cells):
        if self.with_time:
            cells = torch.cat([cells, time.expand(*cells.shape[:-1], 1)], dim=-1)
        return self.net(cells)


def fit(drift, cells, target, times, solver, n_steps=300):
    """Train a drift so that its path from cells meets target (times, cells, genes)."""
    optimizer = torch.optim.Adam(drift.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=n_steps)
    for _ in range(n_steps):
        path = odeint(drift, cells, times, **solver)[..., : target.shape[-1]]
        loss = (path - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return drift


# %% [markdown]
# The data are pairs: a cell now, and the same cell one lifetime later, both measured with noise. A
# microscope gives such pairs. Sequencing does not, because it destroys the cell; there the pairs
# are replaced by whole populations, which is the subject of [Expression at unmeasured
# times](unmeasured_times.ipynb). Nothing else on this page changes with it.
#
# 100 cells are followed through 7 times for training, 300 are held out.

# %%
measured_at = grid(6, 1)
truth = fine(start, measured_at)
noise = 0.1
measured = truth + noise * torch.as_tensor(rng.standard_normal(tuple(truth.shape)))
now, later = (measured[i : i + 6, :100].reshape(-1, 2) for i in (0, 1))
unit = grid(1, 1)
pairs = torch.stack([now, later])
rk4 = {"method": "rk4", "options": {"step_size": 0.5}}

torch.manual_seed(seed)
drift = fit(Drift(2), now, pairs, unit, rk4)
with torch.no_grad():
    learned = odeint(drift, start[100:], measured_at)  # dopri5, to its default tolerance
print(f"{sum(w.numel() for w in drift.parameters()):,} weights, {len(now)} pairs")

# %% caption="*Left*: paths of ten held-out cells, true (grey) and by the learned drift (blue). *Right*: how far the learned drift is from the true one, with the training cells as dots. It is right where cells were, and a guess elsewhere." alt="Left: blue dashed paths lie on grey ones. Right: a coloured map of the error; it is pale along the cloud of dots and dark in the corner where both genes are high." name="fig-learned"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.2), sharey=True)
with torch.no_grad():
    smooth = odeint(drift, start[100:110], grid(6, 0.1))
    wide = torch.as_tensor(np.stack(np.meshgrid(*2 * [np.linspace(0, 5, 41)]), axis=-1))
    off = (drift(unit[0], wide) - toggle(unit[0], wide)).norm(dim=-1)
for path, model_path in zip(
    fine(start[100:110], grid(6, 0.1)).unbind(1), smooth.unbind(1), strict=True
):
    axes[0].plot(*path.T, color=GREY, lw=3, alpha=0.5)
    axes[0].plot(*model_path.T, "--", color=BLUE, lw=1.2)
image = axes[1].pcolormesh(
    *2 * [np.linspace(0, 5, 41)], off, cmap="cividis_r", vmin=0, vmax=2, rasterized=True
)
axes[1].plot(*now.T, ".", color="black", ms=1.5)
fig.colorbar(image, ax=axes[1], label="error of the drift", location="top", extend="max")
for ax in axes:
    ax.set(xlabel="gene $a$", xlim=(0, 5), ylim=(0, 5), aspect="equal")
axes[0].set_ylabel("gene $b$")
plt.show()

# %% tags=["hide-input"]
misses = (learned - truth[:, 100:]).norm(dim=-1)
same = (learned[-1].argmax(-1) == truth[-1, 100:].argmax(-1)).double().mean()
spots = torch.tensor([[4.0, 0.1], [4.5, 4.5]], dtype=torch.float64)
with torch.no_grad():
    spot_error = (drift(unit[0], spots) - toggle(unit[0], spots)).norm(dim=-1)
Markdown(
    f"After 6 lifetimes the median held-out cell is {misses[-1].median():.3f} from its true place (the noise"
    f" of a measurement is {noise} in each gene), and {same:.1%} of the cells have the right type. At"
    f" (4, 0.1), in the middle of a cell type, the drift is off by {spot_error[0]:.2f}; at (4.5, 4.5), where"
    f" no cell ever was, by {spot_error[1]:.1f}."
)

# %% [markdown]
# ## Derivatives through a solver
#
# Training needs the derivative of the loss with respect to the weights. There are two ways to have it.
#
# - Backpropagation goes back through every operation of the solver. The result is the exact
#   derivative of what was computed. All intermediate values must be kept until then.
# - The [adjoint method](../../book/glossary.md#adjoint-method) solves a second ODE backwards in time, for
#   the derivative itself, and computes the states a second time on the way
#   ([Chen et al. 2018](https://arxiv.org/abs/1806.07366)). It keeps the states at the requested times
#   and nothing else. `odeint_adjoint` does it.
#
# What is kept can be counted without a clock: PyTorch calls a hook for each tensor that it saves
# for the way back.

# %%


def kept_bytes(loss_of, weights):
    """Bytes that autograd keeps for the derivative, weights left out."""
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss_of()
    own = {w.untyped_storage().data_ptr() for w in weights}
    return sum(t.untyped_storage().nbytes() for p, t in kept.items() if p not in own)


def derivative(solver, step):
    """Derivative of a loss by the weights, as one vector, and the bytes kept for it."""
    weights = list(drift.parameters())

    def loss_of():
        options = {"method": "rk4", "options": {"step_size": step}}
        return solver(drift, start[:100], grid(4, 4), **options)[-1].square().mean()

    parts = torch.autograd.grad(loss_of(), weights)
    return torch.cat([part.flatten() for part in parts]), kept_bytes(loss_of, weights)


n_solver_steps = np.array([8, 16, 32, 64, 128])
exact, _ = derivative(odeint, 4 / 512)
rows = []
for n in n_solver_steps:
    row = {"steps": n}
    for name, solver in [("backpropagation", odeint), ("adjoint", odeint_adjoint)]:
        vector, kept = derivative(solver, 4 / n)
        row["kB kept", name] = kept / 1e3
        row["error", name] = float((vector - exact).norm() / exact.norm())
    rows.append(row)
costs = pd.DataFrame(rows).set_index("steps")
costs.columns = pd.MultiIndex.from_tuples(costs.columns)
formats = {"kB kept": "{:,.1f}", "error": "{:.0e}"}
pd.concat({name: costs[name].map(f.format) for name, f in formats.items()}, axis=1)

# %% caption="*Left*: memory kept for the derivative grows with the steps of the solver in backpropagation and stays the same for the adjoint. *Right*: error of the derivative, relative to one with 512 steps. With few steps the adjoint is less exact; with enough of them both agree." alt="Two charts with logarithmic axes against the number of steps. Left: one rising line, one flat line far below. Right: two falling lines, the adjoint above backpropagation." name="fig-adjoint"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.8))
for name, color, marker in [("backpropagation", ORANGE, "o"), ("adjoint", BLUE, "s")]:
    axes[0].plot(costs["kB kept", name], f"{marker}-", color=color, label=name)
    axes[1].plot(costs["error", name], f"{marker}-", color=color)
axes[0].set(ylabel="memory kept (kB)", title="memory")
axes[1].set(ylabel="relative error", title="derivative")
for ax in axes:
    ax.set(xscale="log", yscale="log", xlabel="steps of rk4")
    ax.set_xticks(n_solver_steps, n_solver_steps.astype(str))
    ax.minorticks_off()
axes[0].legend(fontsize="small", loc="center right")
plt.show()

# %% tags=["hide-input"]
kept, wrong = costs["kB kept"], costs["error"]
Markdown(
    f"From {costs.index[0]} to {costs.index[-1]} steps, backpropagation keeps"
    f" {kept['backpropagation'].iloc[-1] / kept['backpropagation'].iloc[0]:.0f} times as much; the adjoint keeps"
    f" {kept['adjoint'].iloc[-1]:.1f} kB throughout. With {costs.index[0]} steps the adjoint's derivative is off"
    f" by {wrong['adjoint'].iloc[0]:.0%} and that of backpropagation by {wrong['backpropagation'].iloc[0]:.0%};"
    f" with {costs.index[-1]} steps both are within {wrong.iloc[-1].max():.0e} of the reference, and so of each"
    " other."
)

# %% [markdown]
# The adjoint has to walk back to where the cells came from. A flow that gathers cells into types
# forgets where they came from, so walking back is hard: small errors grow. The code below follows
# the 400 cells forward and back with an adaptive solver and measures by how much they miss their
# start.

# %%
back = {}
for time in [2, 4, 8, 12, 16]:
    way = torch.tensor([0.0, time], dtype=torch.float64)
    there = odeint(toggle, start, way, rtol=1e-7, atol=1e-7)[-1]
    again = odeint(toggle, there, way.flip(0), rtol=1e-7, atol=1e-7)[-1]
    back[time] = float((again - start).norm(dim=-1).median())
missed = pd.Series(back).rename_axis("lifetimes there and back").map("{:.0e}".format)
missed.to_frame("median distance to the start")

# %% tags=["hide-input"]
Markdown(
    f"With one and the same tolerance, the way back from 16 lifetimes misses the start about"
    f" {round(back[16] / back[4], -3):,.0f} times as far as the way back from 4."
)

# %% [markdown]
# > **Note** For the small states of cell models (tens of latent coordinates, tens of steps)
# > backpropagation fits into memory and is exact. The adjoint is for large states and many steps.
# > Its tolerance is then part of the derivative, and more requested times help it, since it begins
# > anew at each of them.
#
# ## Flows cannot cross
#
# The paths of an ODE together are its [flow](../../book/glossary.md#flow). Where the right-hand side
# is smooth, one path runs through each point. If two paths met, they would be one path from there
# on, and in the past too. Two consequences are easily forgotten when a network is behind the
# right-hand side.
#
# 1. Two cells at the *same point at the same time* stay together for ever. On a line this keeps the
#    order: no flow takes $x$ to $-x$, because all paths would have to meet.
# 2. If the drift does not know the time, two cells at the *same point at different times* go on in
#    the same way. On a line a cell then moves in one direction for ever: no gene goes up and comes
#    down again.
#
# The code below trains three drifts on two tasks: to mirror a line, and to lift it in a pulse that
# goes up by 1 and comes back. The first drift sees the coordinate alone, the second the time too,
# the third a second coordinate, which begins at 0 and is not compared with anything
# ([Dupont et al. 2019](https://arxiv.org/abs/1904.01681)).

# %%
line = torch.linspace(-1, 1, 11, dtype=torch.float64)[:, None]
clock = grid(1, 0.25)
pulse = line + torch.sin(torch.pi * clock)[:, None, None]
tasks = {"mirror": (torch.stack([line, -line]), grid(1, 1)), "pulse": (pulse, clock)}
kinds = {
    "coordinate alone": {"size": 1},
    "and the time": {"size": 1, "with_time": True},
    "and a hidden one": {"size": 2},
}
quarter = {"method": "rk4", "options": {"step_size": 0.25}}
results = {}
for kind, settings in kinds.items():
    for task, (target, times) in tasks.items():
        torch.manual_seed(seed)
        from_zero = nn.functional.pad(line, (0, settings["size"] - 1))
        model = fit(Drift(**settings), from_zero, target, times, quarter)
        with torch.no_grad():
            dense = odeint(model, from_zero, grid(1, 0.05))[..., 0]
            reached = odeint(model, from_zero, times)[..., :1]
        miss = float((reached - target)[1:].square().mean().sqrt())
        results[kind, task] = dense, miss

# %% caption="Eleven points on a line, over time. *Left*: mirror the line; open dots are the goal. *Right*: lift it in a pulse and let it down. The mirror needs a hidden coordinate; the pulse needs the time or a hidden coordinate." alt="Six panels, two columns by three rows. Mirror: paths close up at zero in the upper two panels and cross in the lowest. Pulse: paths cannot follow the dots in the uppermost panel and do in the lower two." name="fig-crossing"
fig, axes = plt.subplots(3, 2, figsize=(5.4, 6.0), sharex=True, sharey="col")
for row, kind in zip(axes, kinds, strict=True):
    for ax, (task, (target, times)) in zip(row, tasks.items(), strict=True):
        dense, miss = results[kind, task]
        ax.plot(grid(1, 0.05), dense, color=BLUE, lw=1)
        for time, points in zip(times[1:], target[1:], strict=True):
            ax.plot(np.full(len(points), time), points, "o", color=RED, mfc="none", ms=4)
        ax.set_title(f"{task}: error {miss:.2f}")
    row[0].set_ylabel(f"position\n({kind})")
for ax in axes[2]:
    ax.set_xlabel("time")
plt.show()

# %% tags=["hide-input"]
zero = float(line.square().mean().sqrt())
errors = {key: miss for key, (_, miss) in results.items()}
Markdown(
    f"The best order-preserving answer to the mirror is to send every point to 0: its error is {zero:.2f}. The"
    f" drift of the coordinate alone reaches {errors['coordinate alone', 'mirror']:.2f}, and the time does not help"
    f" ({errors['and the time', 'mirror']:.2f}); a hidden coordinate does"
    f" ({errors['and a hidden one', 'mirror']:.2f}): the points turn round each other in the plane, and it is only their"
    f" shadows on the line that cross. The pulse goes from {errors['coordinate alone', 'pulse']:.2f} to"
    f" {errors['and the time', 'pulse']:.2f} with the time and {errors['and a hidden one', 'pulse']:.2f} with a hidden"
    " coordinate."
)

# %% [markdown]
# What this means for cells:
#
# - Paths that cross in a plot of two principal components may be the shadow of paths that do not
#   cross in the space of the model. Paths that meet in the model's own space at one time
#   are an error of the solver.
# - Two cells that look alike but have different fates differ in something that was not measured:
#   chromatin, a signal, their history. An ODE in the measured genes sends both the same way.
#   Snapshots cannot tell such hidden variables from chance
#   ([Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115)).
# - A drift with the time as input can do more, and has to be asked what it learned: the day of the
#   measurement, or biology.
#
# ## A drift that cannot fall
#
# In the published code of scNODE
# ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393); `rsinghlab/scNODE` at commit
# `ba55e8d`), the last layer of the drift is followed by a ReLU. No component of the velocity is ever
# negative, so no coordinate ever falls. The code below trains such a drift on the same pairs of cells
# as before; nothing else is changed. It does so from four seeds and keeps the best, because a
# coordinate whose velocity is 0 at every cell receives no gradient and stays where it is for good.

# %%
candidates = []
for s in range(seed, seed + 4):
    torch.manual_seed(s)
    model = fit(Drift(2, last=nn.ReLU), now, pairs, unit, rk4)
    with torch.no_grad():
        left = float((odeint(model, now, unit, **rk4)[-1] - later).square().mean())
        still = int((model(unit[0], now) == 0).all(dim=0).sum())
    candidates.append((left, still, model))
rising = min(candidates, key=lambda candidate: candidate[0])[-1]
still = sum(candidate[1] for candidate in candidates)
print(f"{still} of {2 * len(candidates)} coordinates move for no training cell")

# %% caption="Gene $a$ of six held-out cells: true values (dots) and a drift with either sign (left) or with a ReLU at its end (right; the best of four seeds). With the ReLU no line falls." alt="Two line charts. Left: lines run through the dots, down and up. Right: lines are level or rise, although half of the dots fall to zero." name="fig-relu"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.8), sharey=True)
palette = [BLUE, ORANGE, GREEN, RED, PURPLE, GREY]
for ax, model, title in zip(axes, [drift, rising], ["either sign", "ReLU at the end"], strict=True):
    with torch.no_grad():
        lines = odeint(model, start[110:116], grid(6, 0.1))[..., 0]
    for cell, color in enumerate(palette):
        ax.plot(grid(6, 0.1), lines[:, cell], color=color, lw=1.2)
        ax.plot(measured_at, truth[:, 110 + cell, 0], "o", color=color, ms=4)
    ax.set(title=title, xlabel="time (lifetimes)")
axes[0].set_ylabel("gene $a$")
plt.show()

# %% tags=["hide-input"]
with torch.no_grad():
    velocities = rising(unit[0], now)
    miss = (odeint(rising, start[100:], measured_at) - truth[:, 100:]).norm(dim=-1)[-1].median()
falls = float((toggle(unit[0], now) < 0).double().mean())
Markdown(
    f"In truth, {falls:.0%} of the velocities at the training cells are negative. Of those of the best ReLU"
    f" drift, {(velocities == 0).double().mean():.0%} are exactly 0 and none is negative; after 6 lifetimes the median held-out"
    f" cell is {miss:.2f} from its true place, against {misses[-1].median():.2f} for the drift with either sign."
)

# %% [markdown]
# In scNODE the coordinates are latent, and the decoder may give them any sign: a gene falls when a
# coordinate with a negative weight rises. So the model can show a falling gene. But each coordinate
# moves in one direction only and cannot come back, and some may never move.
#
# ## A path that depends on the times asked for
#
# A solver with fixed steps needs to be told its step. Left alone, `odeint(..., method="euler")`
# takes one step from each requested time to the next: the times that you *ask for* become the times
# that it *computes with*. The same published code integrates in this way. Training sees the
# training times as its grid; a prediction with more times is computed on another grid, by another
# solver in effect.
#
# A drift that is trained so learns to be right at the end of one long step, which is not the same
# as having the right velocity ([Ott et al. 2021](https://arxiv.org/abs/2007.15386)).

# %%
torch.manual_seed(seed)
stepping = fit(Drift(2), now, pairs, unit, {"method": "euler"})

asked = {"0, 1, 2, ..., 6 (as trained)": 1.0, "every 2": 2.0, "every 0.5": 0.5, "every 0.05": 0.05}
with torch.no_grad():
    answers = {
        name: odeint(stepping, start[100:], grid(6, step), method="euler")
        for name, step in asked.items()
    }
at_2 = {name: answers[name][round(2 / step)] for name, step in asked.items()}
wrong = {name: (place - truth[2, 100:]).norm(dim=-1).median() for name, place in at_2.items()}
place = pd.Series(wrong, name="median distance to the true place at time 2", dtype=float)
place.rename_axis("times asked for").to_frame().round(3)

# %% tags=["hide-input"]
Markdown(
    f"On the grid of its training, the median cell is {wrong['0, 1, 2, ..., 6 (as trained)']:.2f} from its true"
    f" place. Asked for every 0.05, which means that the ODE is solved much more exactly, it is"
    f" {wrong['every 0.05']:.2f} away: the drift had learned to make up for the errors of its solver."
)

# %% caption="One held-out cell, one trained drift, Euler between the requested times. Only the times asked for differ. The answer at time 1, which every list but one contains, differs with them." alt="A line chart of gene a over time. Four lines start together and separate within the first two time units." name="fig-asked"
fig, ax = plt.subplots(figsize=(5.4, 3.0))
cell = int((truth[:, 100:, 0].argmin(0) == 1).nonzero()[0])
for (name, step), color in zip(asked.items(), [BLUE, ORANGE, GREEN, RED], strict=True):
    marker = "o-" if step >= 0.5 else "-"
    ax.plot(grid(6, step), answers[name][:, cell, 0], marker, color=color, lw=1.2, ms=4, label=name)
ax.plot(
    grid(6, 0.05),
    fine(start[100 + cell], grid(6, 0.05))[:, 0],
    color=GREY,
    lw=4,
    alpha=0.5,
    label="truth",
)
ax.set(xlabel="time (lifetimes)", ylabel="gene $a$")
ax.legend(fontsize="small", title="times asked for", title_fontsize="small")
plt.show()

# %% [markdown]
# Does the published model itself do this? Snapshots of the toggle switch, other cells at each time,
# train it here for a few seconds. The same start cells and the same random draws are then asked for
# the same time 6, alone or together with other times.

# %%
at = [0, 2, 4, 6]
snapshots = np.concatenate([measured[t, 100 + 50 * i : 150 + 50 * i] for i, t in enumerate(at)])
adata = AnnData(
    np.maximum(snapshots, 0).astype(np.float32),
    obs=pd.DataFrame({"time": np.repeat(at, 50).astype(float)}, index=np.arange(200).astype(str)),
    var=pd.DataFrame(index=["a", "b"]),
    uns={"value_kind": "amounts of the toggle switch"},
)
scnode = PublishedScNODE(latent_dim=20, joint_steps=300, seed=seed).fit(adata)


def cells_at_6(others):
    """Cells that the model predicts for time 6 when the times ``others`` are asked for too."""
    predicted = scnode.sample([*others, 6.0], 200, seed=seed)
    return predicted[predicted.obs["time"] == 6.0].to_df().to_numpy()


alone = cells_at_6([])
way = np.linalg.norm(alone - scnode.sample([0.0], 200, seed=seed).to_df().to_numpy(), axis=1)
lists = {"5": [5.0], "1, 3, 5": [1.0, 3.0, 5.0], "every 0.25": list(np.arange(0.25, 6, 0.25))}
moved = {
    name: np.median(np.linalg.norm(cells_at_6(others) - alone, axis=1) / way)
    for name, others in lists.items()
}
shift = pd.Series(moved).rename_axis("times asked for beside 6").map("{:.1%}".format)
shift.to_frame("median shift at time 6, of the way from time 0")

# %% [markdown]
# Nothing but the list of times differs between the rows: one question has several answers. The remedy
# is to separate the two: the solver has steps of its own, or a tolerance, and the requested times are
# read off. The drift that was trained in this way gives one answer, whatever it is asked.

# %%
with torch.no_grad():
    few = odeint(drift, start[100:], grid(6, 6), rtol=1e-6, atol=1e-6)[-1]
    many = odeint(drift, start[100:], grid(6, 0.05), rtol=1e-6, atol=1e-6)[-1]
print("largest difference at time 6:", float((few - many).abs().max()))

# %% [markdown]
# > **Warning** With `options={"step_size": ...}`, `torchdiffeq` counts its steps from the first
# > requested time and joins them by straight lines to read off times between. Let the step divide
# > the intervals, or choose `"interp": "cubic"`; else `rk4` is no better than a straight line
# > there.
#
# ## Key points
#
# - A solver is a choice with an error. Its order is a slope that you can measure; halve the step
#   and look.
# - A step that is too long can send a cell to another type.
# - A learned drift is known where cells were.
# - Backpropagation is exact and keeps everything; the adjoint keeps almost nothing and is as exact
#   as its tolerance.
# - Flows keep the order on a line and never cross. For more, give them the time or more coordinates.
# - Look at the last layer of a drift, and at who chooses the steps.
#
# ## Exercises
#
# > **Exercise** Decay alone, $\tfrac{dx}{dt} = -x$ from $x = 1$, ends at 0. Follow it by Euler to
# > time 30 with steps of 0.5, 1.5, 2 and 2.5. From which step on is the answer useless, and why
# > from there?
#
# <details><summary>Solution</summary>
#
# ```python
# for step in [0.5, 1.5, 2.0, 2.5]:
#     path = euler(lambda time, x: -x, torch.ones(1, dtype=torch.float64), grid(30, step))
#     print(step, path[-3:].flatten().tolist())
# ```
#
# Each step multiplies by $1 - h$. With $h = 0.5$ and $1.5$ the result goes to 0, in the second case
# with a sign that changes at each step; with $h = 2$ it jumps between 1 and -1 for ever; with $h =
# 2.5$ it grows by half at each step. The limit of Euler is a step of twice the lifetime, and other
# explicit solvers have limits of the same size: where genes decay at different rates, the fastest
# sets the step for all.
#
# </details>
#
# > **Exercise** Train `Drift(size=1)` on the mirror with `{"method": "euler"}` and `times = grid(1,
# > 1)`. The error is close to 0. How can this be, if no flow mirrors a line? Ask the trained drift
# > for `grid(1, 0.05)`.
#
# <details><summary>Solution</summary>
#
# ```python
# target, times = tasks["mirror"]
# torch.manual_seed(seed)
# jump = fit(Drift(1), line, target, times, {"method": "euler"})
# with torch.no_grad():
#     for step in [1, 0.5, 0.05]:
#         end = odeint(jump, line, grid(1, step), method="euler")[-1]
#         print(step, float((end + line).square().mean().sqrt()))
# ```
#
# One step of Euler is $x + f(x)$, and $f(x) = -2x$ mirrors the line: the points jump over each
# other. It is a layer of a residual network and not a flow. With finer steps the same drift pulls
# all points towards 0, and the error is near that of the best flow.
#
# </details>
#
# > **Exercise** The adjoint begins anew at each requested time. In `derivative`, ask for `grid(4,
# > 0.5)` in place of `grid(4, 4)` (the loss reads the last time alone, as before). What happens to
# > the adjoint's error, and to the memory that it keeps?
#
# <details><summary>Solution</summary>
#
# With 16 steps the error becomes more than ten times smaller, because the states are put right
# eight times on the way back. The memory grows as the number of states that are kept, which is nine
# in place of two. Memory and accuracy can be exchanged.
#
# </details>
#
# ## Further reading
#
# - [Chen et al. 2018](https://arxiv.org/abs/1806.07366): neural ODEs and their adjoint.
# - [Dupont et al. 2019](https://arxiv.org/abs/1904.01681): what flows cannot do, and coordinates
#   that help.
# - [Ott et al. 2021](https://arxiv.org/abs/2007.15386): when a trained network is an ODE and when
#   it is its solver.
# - [Kidger 2022](https://arxiv.org/abs/2202.02435): a textbook, with stochastic and controlled
#   equations.
