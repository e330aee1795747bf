# %% [markdown]
# # Neural ODEs
#
# How to follow cells along a rule for their velocity, and how to learn the rule.
#
# > **Learning goals**
# > - [write an ODE solver](#two-genes-that-shut-each-other-off) in a few lines, and [choose one](#solvers-error-against-cost) by error and cost;
# > - [learn a drift from pairs of cells](#a-drift-that-is-learned), and [differentiate through the
# >   solver](#derivatives-through-a-solver) in two ways.
# >
# > **Before**: a little PyTorch; [Counts of single cells](../foundations/counts_of_single_cells.ipynb).
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
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torchdiffeq import odeint, odeint_adjoint

from scstlib import checks
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREY, ORANGE, RED, book_style

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# How does a cell get from today to tomorrow? One way to model it is to say, for every state that a cell can be in,
# how fast and in which direction it changes, and then to follow the cell in small steps. Such a rule is the
# right-hand side of an ordinary differential equation (ODE). In a [neural ODE](../../book/glossary.md#neural-ode) a
# network learns the rule from data.
#
# ## Two genes that shut each other off
#
# A cell that chooses between two types often has two genes that repress each other. Each protein is made more slowly
# the more there is of the other, and each decays:
#
# $$\frac{da}{dt} = \frac{4}{1 + b^4} - a \qquad \frac{db}{dt} = \frac{4}{1 + a^4} - b$$
#
# Time is measured in lifetimes of the proteins; an amount of 1 halves the rate of the other gene. This is a symmetric
# form of the toggle switch that [Gardner et al. 2000](https://doi.org/10.1038/35002131) built in bacteria. The
# right-hand side is the velocity of a cell, also called the [drift](../../book/glossary.md#drift). A
# [solver](../../book/glossary.md#solver) turns velocities into a path. The oldest solver, Euler's, goes straight on
# until the next time. The 400 cells of this page start undecided, with both genes on; then one of them wins.


# %%
def toggle(time, cells):
    """Velocity of cells (..., 2) of which each gene shuts off the other."""
    a, b = cells.unbind(-1)
    return torch.stack([4 / (1 + b**4) - a, 4 / (1 + a**4) - b], dim=-1)


def euler(velocity, cells, times):
    """Path (times, ..., genes) of cells, one straight step to each time."""
    path = [cells]
    for now, then in pairwise(times):
        path.append(path[-1] + (then - now) * velocity(now, path[-1]))
    return torch.stack(path)


# %% tags=["hide-input"]
def grid(end, step):
    """Times from 0 to end, a step apart."""
    return torch.linspace(0, end, round(end / step) + 1, dtype=torch.float64)


def fine(cells, times):
    """The true path to about ten digits, with a solver of order 8."""
    return odeint(toggle, cells, times, method="dopri8", rtol=1e-11, atol=1e-12)


rng = np.random.default_rng(seed)
start = torch.as_tensor(rng.normal(2.0, 0.5, size=(400, 2)).clip(0))
one_cell = torch.tensor([2.4, 1.8], dtype=torch.float64)
measured_at, unit = grid(6, 1), grid(1, 1)
truth = fine(start, measured_at)
measured = truth + 0.1 * torch.as_tensor(rng.standard_normal(tuple(truth.shape)))
now, later = (measured[i : i + 6, :100].reshape(-1, 2) for i in (0, 1))

# %% tags=["hide-input"] caption="*Left*: the flow of the toggle switch (grey) and 16 cells that follow it for 8 lifetimes; a dot marks where each ends. *Right*: gene $a$ of one cell, by Euler's method with three step sizes. A small step follows the true path (grey); with large steps the gene swings up and down and never settles." alt="Left: a plane of two genes with arrows; paths start in the middle, run down to the diagonal and bend to one of two corners. Right: four lines over time; step 0.25 lies on the true line, which dips and ends near 4; steps 1.0 and 1.25 swing up and down between 5 and below 0." name="fig-toggle"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 3.0))
side = np.linspace(0, 4.5, 24)
places = torch.as_tensor(np.stack(np.meshgrid(side, side), axis=-1))
arrows = toggle(0.0, places).permute(2, 0, 1).numpy()
axes[0].streamplot(side, side, *arrows, color="0.75", linewidth=0.6, density=0.8, arrowsize=0.7)
for path in fine(start[:16], grid(8, 0.1)).unbind(1):
    color = BLUE if path[-1, 0] > path[-1, 1] else ORANGE
    axes[0].plot(*path.T, "-o", color=color, lw=1, ms=5, markevery=[-1])
axes[0].set(xlabel="gene $a$", ylabel="gene $b$", xlim=(0, 4.5), ylim=(0, 4.5), aspect="equal")
axes[1].plot(grid(8, 0.1), fine(one_cell, grid(8, 0.1))[:, 0], color=GREY, lw=4, alpha=0.5)
for step, color in [(0.25, BLUE), (1.0, ORANGE), (1.25, RED)]:
    times = torch.arange(0, 8.01, step, dtype=torch.float64)
    gene_a = euler(toggle, one_cell, times)[:, 0]
    axes[1].plot(times, gene_a, ".-", color=color, lw=1, label=f"step {step}")
axes[1].set(xlabel="time (lifetimes)", ylabel="gene $a$", ylim=(-1.5, 8))
axes[1].legend(fontsize="small", loc="upper left")
plt.show()

# %% tags=["hide-input"]
true = fine(start, grid(8, 8))[-1]
off = {h: (euler(toggle, start, grid(8, h))[-1] - true).norm(dim=-1) for h in (0.5, 1.0)}
lost = {h: float((distance > 1).double().mean()) for h, distance in off.items()}
claim(
    f"With steps of 0.5, {lost[0.5]:.0%} of the cells end further than 1 from their true place; with steps of 1, {lost[1.0]:.0%} do."
    " A step that is too long does more than blur the result: it carries both genes past the point where they should part, and the"
    " cell never chooses, or chooses the other type.",
    lost[0.5] < 0.02 and lost[1.0] > 0.5,
)

# %% [markdown]
# ## Solvers: error against cost
#
# How small must a step be? That depends on the solver. If its [order](../../book/glossary.md#order-of-a-solver) is
# $p$, halving the step divides the error by $2^p$. Its cost is the number of times that it evaluates the velocity:
# once per step for Euler, twice for `midpoint`, four times for `rk4` (a Runge-Kutta method). `dopri5` chooses its own
# steps: it computes each step with order 5 and with order 4, and if the two differ by more than a tolerance, it tries
# a shorter step. `torchdiffeq` offers all of them through one function, `odeint(velocity, cells, times, method=...)`.


# %% tags=["hide-input"]
def error_and_cost(times, **solver):
    """Error of one cell at the last time, and evaluations of the velocity."""
    calls = []

    def velocity(time, cells):
        calls.append(time)
        return toggle(time, cells)

    end = odeint(velocity, one_cell, times, **solver)[-1] - fine(one_cell, times)[-1]
    return float(end.norm()), len(calls)


curves = {
    method: np.array([error_and_cost(grid(4, 2.0**-k), method=method) for k in range(1, 6)])
    for method in ("euler", "midpoint", "rk4")
}
orders = {m: -np.polyfit(*np.log(c[2:, ::-1].T), 1)[0] for m, c in curves.items()}
tried = [error_and_cost(grid(4, 4), rtol=10.0**-k, atol=10.0**-k) for k in range(3, 9)]
curves["dopri5"] = np.array(tried)

# %% tags=["hide-input"] caption="Error of one cell after 4 lifetimes (distance from its true place) against the number of times that the velocity was evaluated. At equal cost a solver of high order is better by orders of magnitude, and the adaptive one (`dopri5`) chooses its steps for you." alt="Falling lines with logarithmic axes; for the same number of evaluations rk4 and dopri5 are far below midpoint, and midpoint is below Euler." name="fig-orders"
fig, ax = plt.subplots(figsize=(5.4, 3.2))
for method, curve in curves.items():
    ax.plot(curve[:, 1], curve[:, 0], "o-", label=method, ms=4)
ax.set(xscale="log", yscale="log", xlabel="evaluations of the velocity", ylabel="error")
ax.legend()
plt.show()

# %% tags=["hide-input"]
needed = {m: curves[m][curves[m][:, 0] < 1e-4][0, 1] for m in ("rk4", "dopri5")}
needed["euler"] = curves["euler"][-1].prod() / 1e-4
claim(
    f"The measured orders of Euler, `midpoint` and `rk4` are {orders['euler']:.1f}, {orders['midpoint']:.1f} and {orders['rk4']:.1f}. To"
    f" reach an error below 0.0001, `rk4` evaluates the velocity {needed['rk4']:.0f} times and `dopri5` {needed['dopri5']:.0f} times;"
    f" Euler, at its order, would need about {round(needed['euler'], -2):,.0f} evaluations.",
    all(abs(orders[m] - p) < 0.3 for m, p in {"euler": 1, "midpoint": 2, "rk4": 4}.items()),
    max(needed["rk4"], needed["dopri5"]) < 150 < 1000 < needed["euler"],
)

# %% [markdown]
# Usually the true path is not known. Then halve the step until the answer no longer changes.
#
# ## A drift that is learned
#
# Now suppose that nobody knows the rule. A small network takes its place, and data say what it should do
# ([Chen et al. 2018](https://arxiv.org/abs/1806.07366)).
#
# ![Three boxes in a row, joined by arrows. Cells now, filled circles, go into a rounded box, the drift: a network from place to velocity. A loop of two arrows joins it with a box below, the solver: many small steps. From the solver an arrow leads to the cells predicted for later, triangles. Beside them lie the measured cells of later, hollow circles, joined by a double arrow, the error. A dashed arrow leads from the error back to the drift: its derivative changes the weights.](../../book/_static/diagrams/neural_ode.svg)
#
# *The network says how fast and where to; the solver takes the steps; the derivative of the error goes back through both to the weights.*
#
# The data are pairs: a cell now and the same cell one lifetime later, both measured with noise. A microscope can give
# such pairs. Sequencing destroys the cell, so whole populations have to take the place of pairs
# ([Expression at unmeasured times](unmeasured_times.ipynb)). Of the 400 cells, 100 are used for training.

# %%
torch.manual_seed(seed)
net = nn.Sequential(
    nn.Linear(2, 32), nn.Tanh(),
    nn.Linear(32, 32), nn.Tanh(),
    nn.Linear(32, 2),
).double()  # fmt: skip


def drift(time, cells):
    """Velocity of cells (..., 2), by the network."""
    return net(cells)


# %%
rk4 = {"method": "rk4", "options": {"step_size": 0.5}}
optimizer = torch.optim.Adam(net.parameters())
rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, 300)
for _ in range(300):
    predicted = odeint(drift, now, unit, **rk4)[-1]
    loss = (predicted - later).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    rate.step()

# %% tags=["hide-input"] caption="How far the learned drift is from the true one; dots are the 100 training cells at six times. It is right where there were cells (yellow), and a guess elsewhere (blue)." alt="A coloured map of the error in the plane of the two genes; it is pale along the cloud of dots and dark in the corner where both genes are high." name="fig-learned"
line = np.linspace(0, 5, 41)
plane = torch.as_tensor(np.stack(np.meshgrid(line, line), axis=-1))
with torch.no_grad():
    off = (drift(unit[0], plane) - toggle(unit[0], plane)).norm(dim=-1)
fig, ax = plt.subplots(figsize=(5.4, 3.8))
image = ax.pcolormesh(line, line, off, cmap="cividis_r", vmin=0, vmax=2, rasterized=True)
ax.plot(*now.T, ".", color="black", ms=2)
fig.colorbar(image, label="error of the drift", extend="max")
ax.set(xlabel="gene $a$", ylabel="gene $b$", xlim=(0, 5), ylim=(0, 5), aspect="equal")
plt.show()

# %% tags=["hide-input"]
learned = odeint(drift, start[100:], measured_at)[-1].detach()
miss = float((learned - truth[-1, 100:]).norm(dim=-1).median())
same = float((learned.argmax(-1) == truth[-1, 100:].argmax(-1)).double().mean())
claim(
    f"Six lifetimes later the median held-out cell is {miss:.2f} from its true place, less than the noise of a measurement (0.1 in each"
    f" gene), and {same:.0%} of the cells have the right type. Yet at (4.5, 4.5), where there was no cell, the drift is off by"
    f" {off[36, 36]:.1f}.",
    miss < 0.1 and same > 0.95 and bool(off[36, 36] > 1),
)

# %% [markdown]
# ## Derivatives through a solver
#
# Training needs the derivative of the loss with respect to the weights. There are two ways to get it.
#
# - **Backpropagation** goes back through every operation of the solver. It is exact for what the solver computed, but
#   has to keep all intermediate results in memory.
# - The **[adjoint method](../../book/glossary.md#adjoint-method)** (`odeint_adjoint`) solves a second ODE backwards
#   in time and recomputes the states on the way. It keeps only the states at the requested times.


# %% tags=["hide-input"]
def derivative(solver, step):
    """Derivative of a loss with respect to the weights, and kB that PyTorch keeps for it."""
    weights, kept = list(net.parameters()), {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        options = {"method": "rk4", "options": {"step_size": step}}
        loss = solver(drift, start[:100], grid(4, 4), **options)[-1].square().mean()
    parts = torch.autograd.grad(loss, weights)
    own = {w.untyped_storage().data_ptr() for w in weights}
    size = sum(t.untyped_storage().nbytes() for p, t in kept.items() if p not in own)
    return torch.cat([part.flatten() for part in parts]), size / 1e3


adjoint = partial(odeint_adjoint, adjoint_params=tuple(net.parameters()))
exact, solvers = derivative(odeint, 4 / 512)[0], {"back": odeint, "adjoint": adjoint}
found = {(k, n): derivative(solver, 4 / n) for k, solver in solvers.items() for n in (8, 128)}
kb = {key: size for key, (_, size) in found.items()}
off_by = {key: float((vector - exact).norm() / exact.norm()) for key, (vector, _) in found.items()}
claim(
    f"**Memory**: with 8 steps of `rk4`, backpropagation keeps {kb['back', 8]:,.0f} kB, with 128 steps {kb['back', 128]:,.0f} kB; the"
    f" adjoint keeps {kb['adjoint', 8]:.1f} kB either way. **Accuracy**, against the derivative with 512 steps: with 8 steps"
    f" backpropagation is off by {off_by['back', 8]:.0%} and the adjoint by {off_by['adjoint', 8]:.0%}; with 128 steps both agree with"
    " it to better than 0.01%.",
    kb["back", 128] > 10 * kb["back", 8] and kb["adjoint", 128] == kb["adjoint", 8],
    max(off_by["back", 128], off_by["adjoint", 128]) < 1e-4,
)

# %% [markdown]
# > **Note** Models of cells have small states (tens of coordinates) and take tens of steps, so backpropagation fits
# > into memory, and it is exact. The adjoint is for large states and many steps; its derivative is only as exact as
# > the steps of the second ODE.
#
# ## Check yourself
#
# <details><summary>You halve the step and the predicted fates of cells change. What do you do?</summary>
#
# Halve it again until the fates no longer change. Until then they are an artefact of the solver.
#
# </details>
#
# <details><summary>A drift fits the training cells perfectly. Where may you believe it?</summary>
#
# Where there were cells. Elsewhere it is a guess, however smooth it looks.
#
# </details>
#
# <details><summary>When is the adjoint worth its error?</summary>
#
# When the results that backpropagation must keep do not fit into memory. In models of cells they mostly do.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Every solver makes an error. Halve the step and see what changes: a step that is too long can send a cell to the
#   wrong type.
# - A learned drift can be trusted where there were cells.
# - Backpropagation is exact and keeps everything; the adjoint keeps almost nothing and is as exact as its steps.
#
# ## Exercises
#
# > **Exercise** Decay alone, $\tfrac{dx}{dt} = -x$ from $x = 1$, ends at 0. Follow it with Euler's method to time 30,
# > with each of `steps = [0.5, 1.5, 2.0, 2.5]`. From which step on is the answer useless, and why?

# %% tags=["solution"]
steps = [0.5, 1.5, 2.0, 2.5]
### BEGIN SOLUTION
answer = [float(euler(lambda time, x: -x, torch.ones(1), grid(30, h))[-1]) for h in steps]
### END SOLUTION
checks.euler_of_decay(answer, steps, 30)

# %% [markdown]
# > **Exercise** The adjoint has to go back to where the cells came from. Follow the 400 cells for 4 and for 16
# > lifetimes and back, with `rtol=1e-7, atol=1e-7`. By how much do they miss their start, and why?
#
# <details><summary>Solution</summary>
#
# If `there` contains the ends, `odeint(toggle, there, torch.tensor([16.0, 0.0], dtype=torch.float64), ...)` goes
# back. The cells miss their start by about 3e-6 and 0.07. A flow that gathers cells into types forgets where they
# came from, so small errors grow on the way back. Requesting more times helps the adjoint, which restarts at each.
#
# </details>
#
# ## Further reading
#
# - [Chen et al. 2018](https://arxiv.org/abs/1806.07366): neural ODEs and their adjoint.
# - [Kidger 2022](https://arxiv.org/abs/2202.02435): a textbook.
