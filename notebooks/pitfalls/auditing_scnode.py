# %% [markdown]
# # Auditing scNODE
#
# Questions that find faults by running a program, applied to the public code of a model of time.
#
# > **Learning goals**
# > - [put questions to a program by running it](#how-do-you-find-out-what-a-program-does), before you read it;
# > - [find coordinates that cannot move, cells that are not used](#does-every-coordinate-move), and answers that depend on what else is asked;
# > - [measure what a finding does to a score](#what-do-the-findings-do-to-a-score), and say what was not established.
# >
# > **Before**: [scNODE by hand](../temporal/scnode_by_hand.ipynb); [What a score rewards](what_a_score_rewards.ipynb) helps.
# >
# > **Time**: 20 min to read, 1 min to run.

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
import copy
import warnings
from dataclasses import replace
from functools import cache, partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import PCA

from scstlib import audit
from scstlib import checks
from scstlib.audit.experiments import interval_text
from scstlib.datasets import simulate_organism
from scstlib.metrics.expression import fate_classifier, fate_shares, wasserstein
from scstlib.models import PublishedScNODE
from scstlib.models.temporal.cells import measured_cells
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREY, book_style
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())
warnings.filterwarnings("ignore", message=".*96.*")  # far beyond the training times
claim = Claims(profile, seed)

# %% [markdown]
# ## How do you find out what a program does?
#
# If you read code, you find what you look for. A line that overwrites the output of a layer looks harmless; only when the program runs do you see that no gradient passes through the layer. An *audit* therefore runs a program and asks questions whose right answers are known, whatever the program is for:
#
# | question | function |
# |:--|:--|
# | Does every parameter get a gradient, does every unit ever fire? | `audit.gradient_flow`, `audit.saturation` |
# | Does every input matter? | `audit.input_use` |
# | Does it give the right answer where the answer is known? | `audit.known_answers` |
# | Is what a text says about the program true? | `audit.claims` |
# | Does a second run give the same result? | `audit.is_idempotent` |
# | Are the inputs left as they were? | `audit.leaves_inputs` |
# | Do outputs have the right shape, range and symmetry? | `audit.contract` |
# | Do two models in one process leave each other alone? | `audit.isolation` |
# | Do the parts of a split share anything? | `audit.split_overlap` |
#
# Each takes any function, PyTorch model or data, and returns what it looked at, where, and a number. This page asks all but the last question about scNODE ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393)); [Auditing scGrapHiC](auditing_scgraphic.ipynb) continues with a split and with scores. Both programs can be audited only because their authors have published the code.
#
# ![Three columns, for the first, second and third time. At the top the measured cells of each time, hollow circles. They go down into a box, the encoder, which gives a mean and a spread. Below it, in latent space, the encoded cells of the first time, red triangles, are moved to the second and third time by arrows: the drift, solved as an ODE. Beside them at each time lie the encoded measured cells, hollow circles, joined to the triangles by a double arrow, the transport loss. A second box, the decoder, takes the triangles to gene space, where again a double arrow compares them with measured cells. Encoder and decoder are trained by themselves first.](../../book/_static/diagrams/scnode_published.svg)
#
# *Only cells of the first time are moved through all times; at each time a transport loss compares them with measured cells, in latent space and in gene space.*
#
# What *runs* on this page is `PublishedScNODE`, whose networks, solver, loss and gradient are tested against values of the public code, `rsinghlab/scNODE` at commit [`ba55e8d`](https://github.com/rsinghlab/scNODE/tree/ba55e8ddecfb74874047517952ab799326b4126d). Each of the next sections asks one question. Then comes a list of findings, with the files and lines that were *read* afterwards. Last, we measure what the findings do to a score: many do little, and an audit cannot tell which.
#
# ## Does every coordinate move?
#
# The model is trained on simulated cells with 600 genes, with 40 cells at each of seven times; 48 h and 96 h are held out.

# %% tags=["hide-input"]
organism = simulate_organism(seed=seed, n_genes=600, n_reference=1000)
times = [0.0, 6.0, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0, 96.0]
held_out = [48.0, 96.0]
train = hold_out_times(organism.sample(times, 40, seed=1), test=held_out).train
cells = measured_cells(train, "time")
quick = {"joint_steps": 50, "target_size": 32, "time_points": times, "max_step": 0.25}


@cache  # what was trained once is not trained again
def published(run=seed, activation="relu", starts="first"):
    switches = {"drift_activation": activation, "start_times": starts, "seed": run}
    return PublishedScNODE(**quick, **switches).fit(train)


model = published()
network = model.network_
latent = model.encode(train)

# %% [markdown]
# `saturation` watches the activations of a network. A ReLU unit that is 0 for every cell never fires. The three lines of output are the three layers of the drift; its last layer has one unit for each latent coordinate.

# %%
fires = audit.saturation(
    network,
    lambda points: network.diffeq_decoder(None, points),
    [torch.as_tensor(latent)],
)
for row in fires.rows:
    print(f"{row.where}: {row.evidence:.0%} of the units never fire")

# %% tags=["hide-input"]
speed = model.velocity(latent, time=0.0)
moving = np.mean(speed != 0, axis=0)
claim(
    f"At the training cells {np.mean(speed == 0):.0%} of the velocities are exactly"
    f" 0, none is negative, and {np.sum(moving == 0)} of 50 latent coordinates do not"
    " move for any cell. A hidden unit that never fires does little harm. But a unit of"
    " the last layer is a coordinate: if it never fires, no gradient can revive it.",
    np.min(speed) >= 0 and np.mean(speed == 0) > 0.3 and np.sum(moving == 0) >= 3,
)

# %% [markdown]
# ## Which cells does a forecast use?
#
# `input_use` shuffles an input, sets it to zero or replaces it by random numbers, and measures how much the output changes. A forecast has inputs that are easily overlooked: besides the trained networks, it needs measured cells from which its paths start. So here the cells of each training time are a separate input, and the output is a forecast of 90 cells at 48 h and at 96 h.


# %%
def forecast(fitted, **values):
    other, new = copy.copy(fitted), np.concatenate(list(values.values()))
    other.cells_ = replace(cells, values=new)
    return other.sample(held_out, 90, seed, noise=False).X


early = cells.at(0.0)
start = {"first 30 of 0 h": early[:30], "last 10 of 0 h": early[30:]}
start |= {f"{time:.0f} h": cells.at(time) for time in cells.times[1:]}
used = {}
for starts in ("first", "all"):
    subject = partial(forecast, published(starts=starts))
    found = audit.input_use(subject, start)
    used[starts] = [r.where for r in found.rows if r.verdict == "holds"]
    print(f"start_times={starts!r} uses {', '.join(used[starts])}")

# %% tags=["hide-input"]
claim(
    "As published, every path starts at 0 h, from the first 30 of 40 cells.",
    used["first"] == ["first 30 of 0 h"] and used["all"] == ["36 h", "72 h"],
)

# %% [markdown]
# Whatever later cells could add must be in the weights, and a fate of which the first cells show no sign cannot appear. The last ten cells of 0 h are unused for another reason: each of the 40 cells is repeated three times in a row, which makes 120, and the first 90 are taken. An ignored input is something to think about, not always a fault. With starts at all times, the forecast of 48 h starts from 36 h and that of 96 h from 72 h; ignoring the rest is then correct.
#
# ## Does the answer depend on what else is asked?
#
# You may know something about an answer even if you do not know the answer: the place of a cell at 72 h must not depend on whether other times were also requested. `known_answers` takes such cases with a tolerance, here a hundredth of the spread of latent points. The published solver is compared with one that takes the same small steps whatever is requested.

# %%
first_cells = model.encode(early)
others = [18.0, 30.0, 42.0, 54.0, 66.0]
small_steps = copy.copy(model)
small_steps.solver_grid = "fixed"


def at_72h(solver, also):
    return solver.flow(first_cells, 0.0, [*also, 72.0])[-1]


solvers = {"published": model, "fixed steps": small_steps}
near = 0.01 * first_cells.std()
same_path = audit.known_answers(
    audit.Case(name, partial(at_72h, s), (others,), at_72h(s, []), near)
    for name, s in solvers.items()
)
for row in same_path.rows:
    print(f"{row.where}: {row.what} {row.evidence:.2g} ({row.verdict})")

# %% tags=["hide-input"]
alone, beside = (at_72h(model, also) for also in ([], others))
way = np.linalg.norm(alone - first_cells, axis=1)
shift = np.median(np.linalg.norm(beside - alone, axis=1) / way)
with torch.no_grad():
    mean, spread = network.latent_encoder(torch.as_tensor(cells.values))
noise = float(spread.square().mean() / (mean.var(0).mean() + spread.square().mean()))
claim(
    f"Requesting five more times moves the median cell at 72 h by {shift:.1%} of its"
    " way from 0 h. A look at the encoder gives one more finding: its noise"
    f" makes up {noise:.1%} of the variance of a latent point.",
    0.002 < shift < 0.5 and noise < 0.25,
    [row.verdict for row in same_path.rows] == ["finding", "holds"],
)

# %% [markdown]
# ## Which questions find nothing?
#
# An audit also reports what is in order. Does a second run give the same cells? Does a fit leave the training cells as they were? Do outputs have the right shape? Do cells of one batch leave one another alone, and two models in one process? The last line checks a text: each sentence that can be checked is written down together with the place in the object that contains the answer; a sentence without such a place remains open. The first sentence fails, and rightly so: this page trains for 50 steps, not 1,000.


# %%
def draw(fitted):
    return fitted.sample([36.0], 40, seed=1).X


tiny = partial(PublishedScNODE, pretrain_steps=5, joint_steps=2)
one, two = partial(tiny, seed=0), partial(tiny, seed=1)
encoder, some = network.latent_encoder, torch.as_tensor(cells.values[:20])
text = [
    audit.Claim("1,000 transport steps", 1000, lambda m: m.joint_steps),
    audit.Claim("these weights made the tables", True),
]
for found in [
    audit.is_idempotent(draw, model),
    audit.leaves_inputs(one().fit, train),
    audit.contract(draw, [model], shape=(40, train.n_vars)),
    audit.contract(lambda x: encoder(x)[0], [some], by_sample=True),
    audit.isolation(one, lambda m: draw(m.fit(train)), two),
    audit.claims(model, text),
]:
    print(found)

# %% [markdown]
# ## What was found, and where
#
# 1. **Coordinates only rise.** `model/layer.py`, line 47: the activation follows the last layer, too; `benchmark/1_SingleCell_scNODE.py`, lines 63 and 70, makes it a ReLU for the drift. *Established*: no velocity is below 0, and some coordinates do not move for any cell. *Not established*: the effect after full training, on real data.
# 2. **Every path starts at the first time.** `model/dynamic_model.py`, line 50 in training, line 74 in prediction; lines 75 to 77 repeat each start cell as a block and cut off the tail. *Established*: forecasts do not change with cells of later times, nor with the last start cells. *Not established*: that the start alone makes the effect measured below.
# 3. **The path depends on the times asked for.** `model/diff_solver.py`, line 27, with `"euler"` from `benchmark/1_SingleCell_scNODE.py`, line 71: one step from each requested time to the next. Training requests the training times (lines 73 and 74), prediction all times (line 77). *Established*: the cells of a time move when other times are also requested. *Not established*: that a score changes by more than its spread over seeds.
# 4. **The noise of latent points is small.** `optim/running.py`, line 69: the KL term (lines 110 and 111), which would keep the noise from vanishing, has the weight 0 unless it is set; `benchmark/1_SingleCell_scNODE.py`, lines 73 to 76, does not set it, and the later loss (`optim/running.py`, lines 154 to 157) has no such term. *Established*: after short training the noise is a small part of a latent point. *Not established*: its part after full training.
#
# > **Important** A finding is about a program at one commit, not about the numbers in a paper. Nothing here was run on the paper's data, and whether this commit made the paper's tables is not known. Effects are measured on simulated cells, after short training.
#
# ## What do the findings do to a score?
#
# Each model is trained with three seeds. Two scores judge it: the squared [Wasserstein distance](../../book/glossary.md#wasserstein-distance) $W_2^2$ to the noise-free truth, in ten principal components, and the share of the fate *gamma* at 96 h. *Signed drift* leaves out the ReLU after the last layer of the drift; *starts at all times* lets paths start at every training time; for the third finding, the published model is not trained again, but ten more times are requested. Two simple answers give the scale: a copy of the latest measured time and, as a [floor](../../book/glossary.md#floor), other true cells.

# %% tags=["hide-input"]
fresh, again = (organism.sample(held_out, 350, seed=s) for s in (2, 3))
truth, floor, seen = (
    organism.mean_log_values(part, n_draws=5, seed=seed) for part in (fresh, again, train)
)
pca = PCA(10, random_state=seed).fit(seen)
fates = fate_classifier(np.vstack([truth, seen]), [*fresh.obs["fate"], *train.obs["fate"]])
at = [(fresh.obs["time"] == time).to_numpy() for time in held_out]


def score(values):
    pairs = [(pca.transform(v), pca.transform(truth[i])) for v, i in zip(values, at, strict=True)]
    gamma = fate_shares(values[-1], fates)["gamma"]
    return [*(wasserstein(*pair, squared=True) for pair in pairs), gamma]


def scored(also=(), **switches):
    rows = []
    for run in (seed, seed + 1, seed + 2):
        fitted = published(run, **switches)
        found = fitted.sample(sorted({*held_out, *also}), 350, seed, noise=False)
        values = np.asarray(found.layers["log1p_cp10k"])
        rows.append(score([values[found.obs["time"] == time] for time in held_out]))
    return np.array(rows)


more = [3.0, 9.0, 18.0, 30.0, 42.0, 54.0, 66.0, 78.0, 84.0, 90.0]
scores = {
    "as published": scored(),
    "ten more times": scored(more),
    "signed drift": scored(activation="signed_relu"),
    "starts at all times": scored(starts="all"),
}
copied, best = score([cells.at(36.0), cells.at(72.0)]), score([floor[i] for i in at])

# %% tags=["hide-input"] caption="Squared $W_2$ to the truth, one dot for each seed; further left is better. *Top*: 48 h, between training times. *Bottom*: 96 h, beyond the last. Dashed: a copy of the latest measured time; dotted: other true cells. Only starts at all times stand out." alt="Two panels with four rows of three dots. In the upper panel all lie between a dotted line on the left and a dashed line on the right; in the lower panel the first three rows lie to the right of both, the last at the dashed line. In both panels the dots of the last row, starts at all times, lie furthest to the left." name="fig-audit-effects-time"
fig, axes = plt.subplots(2, 1, figsize=(5.4, 4.2))
for k, ax in enumerate(axes):
    for i, each in enumerate(scores.values()):
        ax.plot(each[:, k], [i] * 3, "o", color=BLUE, ms=5)
    ax.axvline(copied[k], color=GREY, ls="--")
    ax.axvline(best[k], color=GREY, ls=":")
    ax.set_yticks(range(4), list(scores))
    ax.margins(y=0.2)
    ax.invert_yaxis()
    ax.set_title(f"{held_out[k]:.0f} h")
axes[-1].set_xlabel("squared $W_2$")
plt.show()

# %% tags=["hide-input"]
first = scores["as published"]
_, more_times, signed, starts = ((each - first)[:, 1] for each in scores.values())
gamma = [v[:, 2].mean() for v in (first, scores["starts at all times"])]
true_gamma = score([truth[i] for i in at])[2]
claim(
    f"Starts at all times change the squared $W_2$ at 96 h by {interval_text(starts, '+.1f')},"
    f" the signed drift by {interval_text(signed, '+.1f')}, ten more requested times by"
    f" {interval_text(more_times, '+.1f')} (mean and 95% interval). The share of *gamma* is"
    f" {true_gamma:.2f} in truth, {gamma[0]:.2f} as published, {gamma[1]:.2f} with such starts.",
    np.max(starts) < 0 and np.max(np.abs(more_times)) < 5 and gamma[0] < 0.6 * true_gamma,
)

# %% [markdown]
# The share of *gamma* rises on this organism; on two others (seeds 1 and 2, trained for 80 steps) it stays near 0 with either start. So the most conspicuous finding need not be the one that costs most. A drift that cannot be negative sounds fatal to a model, but the latent space is trained together with it, and it can turn until moving forwards is enough. And a switch changes more than intended: with starts at all times, a training step also sees more cells.
#
# ## Check yourself
#
# <details><summary>A layer has no gradient in one batch. Is it dead?</summary><p>Not necessarily. Its units may fire for other cells. Try several batches, and check whether the layer has a path to the loss at all.</p></details>
# <details><summary>A forecast ignores the cells of 60 h. Is that a fault?</summary><p>That depends on the claim. These cells have shaped the weights, but nothing else about them can influence the forecast.</p></details>
# <details><summary>A switch lowers the mean error of three seeds, but its dots lie among those of the model as published. What does that show?</summary><p>Nothing yet: other seeds may say the opposite.</p></details>

# %% [markdown]
# ## Key points
#
# - Question a program by running it: which units fire, which inputs matter, does a second run agree, are known answers right?
# - An ignored input or a dead unit is a fact. To know whether it matters, you need a second measurement, with several seeds. Name commit, file and line, and say what was not established.
# - Keep an audit as a test: `assert audit.input_use(...).passed` takes seconds, and audits the next change of the code before anybody trains it.
#
# ## Exercises
#
# > **Exercise** Audit the package's own default, `ScNODE`: does the place of a cell at 72 h depend on what else is asked?
# <details><summary>Solution</summary>
#
# ```python
# from scstlib.models import ScNODE
#
# own = ScNODE(seed=seed).fit(train)
# here = own.encode(train[train.obs["time"] == 60.0])
# goal = own.flow(here, 60.0, [72.0])[-1]
# beside = own.flow(here, 60.0, [66.0, 72.0])[-1]
# print(audit.known_answers([audit.Case("66 h too", lambda: beside, (), goal, 0.01)]))
# ```
#
# The audit finds nothing. Now think of what you did *not* ask: which cells does a forecast of the default use?
#
# </details>
#
# > **Exercise** Which latent coordinates never move in any cell? Give their positions, from `speed` (cells, coordinates).

# %% tags=["solution"]
### BEGIN SOLUTION
answer = np.flatnonzero((speed == 0).all(axis=0))
### END SOLUTION
checks.never_moving(answer, speed)

# %% [markdown]
# ## Further reading
#
# - [Kapoor and Narayanan 2023](https://doi.org/10.1016/j.patter.2023.100804): leakage in 17 fields, with a checklist.
# - [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of learning in genomics.
