# %% [markdown]
# # What flows cannot do
#
# Paths that never cross, a drift that cannot fall, and answers that depend on the times asked for.
#
# > **Learning goals**
# > - [say which movements no flow can make](#flows-cannot-cross), and what must be added to make them;
# > - [recognise a drift under which no coordinate can fall](#a-drift-that-cannot-fall);
# > - [test whether a model's answer depends on the times that you
# >   request](#a-path-that-depends-on-the-times-asked-for).
# >
# > **Before**: [Neural ODEs](neural_odes.ipynb).
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
import torch
from anndata import AnnData
from torch import nn
from torchdiffeq import odeint

from scstlib import checks
from scstlib.models import PublishedScNODE
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, book_style

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A network can approximate any velocity. Can its [flow](../../book/glossary.md#flow), the paths that follow this
# velocity, then make any movement? No. And what it cannot do is easily mistaken for biology: cells that never swap
# places, genes that never come down again, answers that change with the question.
#
# The network and its training are those of [Neural ODEs](neural_odes.ipynb), with two options: the
# [drift](../../book/glossary.md#drift) may be given the time, and its last layer may be followed by another function.


# %% tags=["hide-input"]
class Drift(nn.Module):
    """A network that gives the velocity of points of ``size`` coordinates."""

    def __init__(self, size=2, with_time=False, last=nn.Identity):
        super().__init__()
        self.with_time = with_time
        first, second = nn.Linear(size + with_time, 32), nn.Linear(32, 32)
        layers = first, nn.Tanh(), second, nn.Tanh(), nn.Linear(32, size), last()
        self.net = nn.Sequential(*layers).double()

    def forward(self, time, cells):
        if self.with_time:
            cells = torch.cat([cells, time.expand(*cells.shape[:-1], 1)], dim=-1)
        return self.net(cells)


def fit(drift, cells, target, times, solver, n_steps=200):
    """Train a drift until its path meets target (times, cells, genes)."""
    optimizer = torch.optim.Adam(drift.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, n_steps)
    for _ in range(n_steps):
        path = odeint(drift, cells, times, **solver)[..., : target.shape[-1]]
        loss = (path - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return drift


def grid(end, step):
    """Times from 0 to end, a step apart."""
    return torch.linspace(0, end, round(end / step) + 1, dtype=torch.float64)


# %% [markdown]
# ## Flows cannot cross
#
# If the drift is smooth, exactly one path runs through each point at each time. So two paths that meet are one path,
# both before and after. Two things follow.
#
# 1. Two cells at the *same point at the same time* stay together for ever. Paths on a line therefore keep their
#    order. No flow mirrors a line, because the paths would have to cross.
# 2. If the drift does not know the time, two cells at the *same point at different times* continue in the same way.
#    If one gene is the only coordinate, it cannot go up and come down again.
#
# Now three drifts learn two tasks: to mirror a line, and to lift it in a pulse and lower it again. The first drift sees only the coordinate, the second also the time, and the third also a hidden coordinate, which starts at 0 and is not compared with any data ([Dupont et al. 2019](https://arxiv.org/abs/1904.01681)).

# %%
points, clock = torch.linspace(-1, 1, 11).double()[:, None], grid(1, 0.25)
pulse = points + torch.sin(torch.pi * clock)[:, None, None]
mirror = torch.stack([points, -points])
tasks = {"mirror": (mirror, grid(1, 1)), "pulse": (pulse, clock)}
kinds = {
    "coordinate alone": {"size": 1},
    "plus the time": {"size": 1, "with_time": True},
    "plus a hidden one": {"size": 2},
}

# %% tags=["hide-input"]
quarter = {"method": "rk4", "options": {"step_size": 0.25}}
error, paths = {}, {}
for kind, settings in kinds.items():
    for task, (target, times) in tasks.items():
        torch.manual_seed(seed)
        begin = nn.functional.pad(points, (0, settings["size"] - 1))
        model = fit(Drift(**settings), begin, target, times, quarter)
        with torch.no_grad():
            paths[kind, task] = odeint(model, begin, grid(1, 0.05))[..., 0]
            reached = odeint(model, begin, times)[..., :1]
        error[kind, task] = float((reached - target)[1:].square().mean().sqrt())

# %% tags=["hide-input"] caption="Eleven points on a line, over time; open dots are the goal. *Left*: mirror the line. *Right*: lift it in a pulse and lower it again. *Rows*: what the drift sees. The mirror needs a hidden coordinate; the pulse needs the time or a hidden coordinate." alt="Six panels, two columns by three rows. Mirror: paths close up at zero in the upper two panels and cross in the lowest. Pulse: paths cannot follow the dots in the uppermost panel and do in the lower two." name="fig-crossing"
fig, axes = plt.subplots(3, 2, figsize=(5.4, 6.0), sharex=True, sharey="col")
for ax, (kind, task) in zip(axes.flat, paths, strict=True):
    ax.plot(grid(1, 0.05), paths[kind, task], color=BLUE, lw=1)
    for time, goal in zip(tasks[task][1][1:], tasks[task][0][1:], strict=True):
        ax.plot(np.full(len(goal), time), goal, "o", color=RED, mfc="none", ms=4)
    ax.set_title(f"{task}: error {error[kind, task]:.2f}")
    if task == "mirror":
        ax.set_ylabel(f"position\n({kind})")
fig.supxlabel("time")
plt.show()

# %% tags=["hide-input"]
(alone, timed, hidden), best = kinds, float(points.square().mean().sqrt())
claim(
    f"**Mirror**: with the coordinate alone, nothing beats sending all points to 0 (error {best:.2f}), and adding the time does not"
    f" help ({error[timed, 'mirror']:.2f}). With a hidden coordinate ({error[hidden, 'mirror']:.2f}) the points circle around each other in"
    f" a plane, and only their shadows on the line cross. **Pulse**: the error falls from {error[alone, 'pulse']:.2f} to"
    f" {error[timed, 'pulse']:.2f} with the time and to {error[hidden, 'pulse']:.2f} with a hidden coordinate.",
    min(error[alone, "mirror"], error[timed, "mirror"]) > 0.9 * best > 9 * error[hidden, "mirror"],
    max(error[timed, "pulse"], error[hidden, "pulse"]) < 0.1 < 0.4 < error[alone, "pulse"],
)

# %% [markdown]
# What does this mean for cells? Paths that cross in two principal components may be shadows of paths that do not cross. Two cells that look alike and have different fates may differ in something that was not measured, such as chromatin, a signal or their history. An ODE in the measured genes sends both the same way, and snapshots cannot tell such hidden variables from chance ([Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115)). And if a drift is given the time, you have to ask what it has learned: biology, or the day of the measurement.
#
# ## A drift that cannot fall
#
# In the published code of scNODE ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393);
# `rsinghlab/scNODE` at commit `ba55e8d`), the last layer of the drift is followed by a ReLU,
# a function that replaces negative values by 0. No component of the velocity is ever negative, so no coordinate can
# fall. Here such a drift and one without the ReLU learn from pairs of
# cells with two genes that shut each other off, now and one lifetime later. With the ReLU, the best of three seeds is
# kept.


# %% tags=["hide-input"]
def toggle(time, cells):
    """Velocity of cells (..., 2) of which each gene shuts off the other."""
    a, b = cells.unbind(-1)
    return torch.stack([4 / (1 + b**4) - a, 4 / (1 + a**4) - b], dim=-1)


rng = np.random.default_rng(seed)
start = torch.as_tensor(rng.normal(2.0, 0.5, size=(400, 2)).clip(0))
measured_at, unit = grid(6, 1), grid(1, 1)
truth = odeint(toggle, start, measured_at, rtol=1e-9, atol=1e-9)
measured = truth + 0.1 * torch.as_tensor(rng.standard_normal(tuple(truth.shape)))
now, later = (measured[i : i + 6, :100].reshape(-1, 2) for i in (0, 1))
pairs = torch.stack([now, later])
rk4 = {"method": "rk4", "options": {"step_size": 0.5}}
torch.manual_seed(seed)
drift = fit(Drift(), now, pairs, unit, rk4)
losses = {}
for s in range(seed, seed + 3):
    torch.manual_seed(s)
    model = fit(Drift(last=nn.ReLU), now, pairs, unit, rk4)
    with torch.no_grad():
        losses[float((odeint(model, now, unit, **rk4)[-1] - later).square().mean())] = model
rising = losses[min(losses)]

# %% tags=["hide-input"] caption="Gene $a$ of six held-out cells, one colour each: true values (dots), and the paths of a drift that may have either sign (left) or ends with a ReLU (right). With the ReLU no line falls, although the genes do." alt="Two line charts. Left: lines run through the dots, down and up. Right: lines are level or rise, although half of the dots fall to zero." name="fig-relu"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.8), sharey=True)
for ax, model, title in zip(axes, [drift, rising], ["either sign", "ReLU at the end"], strict=True):
    with torch.no_grad():
        lines = odeint(model, start[110:116], grid(6, 0.1))[..., 0]
    for cell, color in enumerate([BLUE, ORANGE, GREEN, RED, PURPLE, GREY]):
        ax.plot(grid(6, 0.1), lines[:, cell], color=color, lw=1.2)
        ax.plot(measured_at, truth[:, 110 + cell, 0], "o", color=color, ms=4)
    ax.set(title=title, xlabel="time (lifetimes)")
axes[0].set_ylabel("gene $a$")
plt.show()

# %% tags=["hide-input"]
velocities = rising(unit[0], now).detach()
ends = [odeint(model, start[100:], measured_at)[-1].detach() for model in (drift, rising)]
miss, off_by = (float((end - truth[-1, 100:]).norm(dim=-1).median()) for end in ends)
falls, still = (float(x.double().mean()) for x in (toggle(0, now) < 0, velocities == 0))
claim(
    f"In truth {falls:.0%} of the velocities at the training cells are negative. With the ReLU, none is negative and"
    f" {still:.0%} are exactly 0. After 6 lifetimes this drift leaves the median held-out cell {off_by:.1f} away from its true place; without"
    f" the ReLU the distance is {miss:.2f}.",
    falls > 0.4 and still > 0.2 and bool((velocities >= 0).all()) and off_by > 10 * miss,
)

# %% [markdown]
# In scNODE the coordinates are latent, and a gene can fall: a coordinate that rises may have a negative weight in the
# decoder. But each coordinate moves in one direction only and cannot go back. A coordinate whose velocity is 0 at
# every cell receives no gradient and never moves.
#
# ## A path that depends on the times asked for
#
# Unless told otherwise, `odeint(..., method="euler")` takes one step from each requested time to the next: the times
# that you *ask for* become the times that it *computes with*. The same published code integrates in this way. A drift
# trained like this learns to be right at the end of one long step, which is not the same as having the right velocity
# ([Ott et al. 2021](https://arxiv.org/abs/2007.15386)).

# %%
torch.manual_seed(seed)
stepping = fit(Drift(), now, pairs, unit, {"method": "euler"})
answers = {}
for step in (1.0, 2.0, 0.05):  # it was trained with 1
    with torch.no_grad():
        path = odeint(stepping, start[100:], grid(6, step), method="euler")
    answers[step] = path

# %% tags=["hide-input"] caption="One held-out cell and one trained drift, with Euler's method between the requested times. Only the requested times differ, and the answers differ with them." alt="A line chart of gene a over time. Three lines and the truth start together and separate within the first two time units." name="fig-asked"
fig, ax = plt.subplots(figsize=(5.4, 3.0))
cell = int((truth[:, 100:, 0].argmin(0) == 1).nonzero()[0])
true = odeint(toggle, start[100 + cell], grid(6, 0.05))[:, 0]
ax.plot(grid(6, 0.05), true, color=GREY, lw=4, alpha=0.5, label="truth")
for (step, path), style in zip(answers.items(), ["o-", "s-", "-"], strict=True):
    ax.plot(grid(6, step), path[:, cell, 0], style, ms=4, label=f"every {step:g}")
ax.set(xlabel="time (lifetimes)", ylabel="gene $a$")
ax.legend(fontsize="small", title="times asked for", title_fontsize="small")
plt.show()

# %% tags=["hide-input"]
far = {h: (path[round(2 / h)] - truth[2, 100:]).norm(dim=-1) for h, path in answers.items()}
wrong = {h: float(distance.median()) for h, distance in far.items()}
claim(
    f"With the steps of its training, the median cell is {wrong[1.0]:.2f} from its true place at time 2. With requests every 0.05, which"
    f" solve the ODE much more exactly, it is {wrong[0.05]:.2f} away: the drift has learned to make up for the errors of its solver.",
    wrong[0.05] > 1.5 * wrong[1.0],
)

# %% [markdown]
# Does the published model itself do this? Here it is trained on snapshots of the toggle switch. Then time 6 is
# requested, alone or together with other times, with the same start cells and the same random draws.

# %% tags=["hide-input"]
snapshots = np.concatenate([measured[2 * i, 100 + 50 * i : 150 + 50 * i] for i in range(4)])
adata = AnnData(snapshots.clip(0).astype(np.float32))
adata.obs["time"] = np.repeat([0.0, 2.0, 4.0, 6.0], 50)
adata.uns["value_kind"] = "amounts of the toggle switch"
scnode = PublishedScNODE(latent_dim=20, joint_steps=300, seed=seed).fit(adata)


def cells_at(times):
    """Cells (200, genes) at the last of the times that are asked for."""
    return scnode.sample(times, 200, seed=seed).to_df().to_numpy()[-200:]


alone, beside = cells_at([6.0]), cells_at([*np.arange(0.25, 6, 0.25), 6.0])
way = np.linalg.norm(alone - cells_at([0.0]), axis=1)
shift = float(np.median(np.linalg.norm(beside - alone, axis=1) / way))
with torch.no_grad():
    ends = [odeint(drift, start[100:], grid(6, s), rtol=1e-6, atol=1e-6)[-1] for s in (6, 0.05)]
claim(
    f"If times in between are also requested, every 0.25, the median cell of the published model at time 6 shifts by {shift:.1%} of the way"
    " that it has come from time 0: one question, two answers. The remedy is a solver with a tolerance, which takes its own steps"
    " and reads off the requested times. Solved like this, the drift without a ReLU gives the same cells at time 6 whatever else is requested.",
    shift > 0.005 and bool((ends[0] - ends[1]).abs().max() < 1e-4),
)

# %% [markdown]
# > **Warning** With `options={"step_size": ...}`, `torchdiffeq` counts its steps from the first requested time and
# > interpolates linearly between them. Choose a step that divides all intervals, or `"interp": "cubic"`.
#
# ## Check yourself
#
# <details><summary>Two paths cross in a plot of two latent coordinates out of ten. Is that an error?</summary>
#
# No, they may be far apart in the other eight. Only paths that meet in all ten at the same time would be an error,
# made by the solver.
#
# </details>
#
# <details><summary>A drift without time as input is fitted to a gene that rises and falls. What will its path look like, if the gene is its only coordinate?</summary>
#
# It moves in one direction or stands still, because it cannot pass the same value in both directions.
#
# </details>
#
# <details><summary>How do you find out whether a model's prediction depends on the requested times?</summary>
#
# Request one time alone and then together with others, from the same start cells and with the same draws, and compare.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Paths of a flow never cross, and on a line they keep their order. With time or hidden coordinates a drift can do
#   more.
# - A drift that ends with a ReLU moves every coordinate in one direction only: look at its last layer.
# - Let the solver choose its own steps; otherwise the answer depends on the requested times.
#
# ## Exercises
#
# > **Exercise** Train `Drift(size=1)` on the mirror with `{"method": "euler"}` and `times = unit`. The error is close to 0. How can that be?
# <details><summary>Solution</summary>
#
# ```python
# jump = fit(Drift(1), points, tasks["mirror"][0], unit, {"method": "euler"})
# with torch.no_grad():
#     ends = [odeint(jump, points, grid(1, step), method="euler")[-1] for step in (1, 0.05)]
# print([float((end + points).square().mean().sqrt()) for end in ends])
# ```
#
# One step of Euler is $x + f(x)$, and $f(x) = -2x$ mirrors the line: points jump over each other, as in a residual network. With finer steps the same drift pulls all towards 0.
#
# </details>
#
# > **Exercise** Points `x` on a line are moved by one of six functions: shift ($x + 1$), mirror ($-x$), squeeze ($x/3$), square ($x^2$), gather ($\tanh x$) and wave ($x + \sin 3x$). Which of them can the flow of a drift without hidden coordinates be? Give their names.

# %% tags=["solution"]
x = np.linspace(-2, 2, 41)
moves = {"shift": x + 1, "mirror": -x, "squeeze": x / 3, "square": x**2}
moves |= {"gather": np.tanh(x), "wave": x + np.sin(3 * x)}
### BEGIN SOLUTION
answer = [name for name, end in moves.items() if (np.diff(end) > 0).all()]
### END SOLUTION
checks.flows_on_a_line(answer, x, moves)

# %% [markdown]
# ## Further reading
#
# - [Dupont et al. 2019](https://arxiv.org/abs/1904.01681): what flows cannot do, and coordinates that help.
# - [Ott et al. 2021](https://arxiv.org/abs/2007.15386): when a trained network is an ODE and when it is its solver.
# - [When a drift leaves the data](when_a_drift_leaves.ipynb): what makes a drift that fits go astray.
