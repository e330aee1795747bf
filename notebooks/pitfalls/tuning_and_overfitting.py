# %% [markdown]
# # Tuning and overfitting
#
# Why a score on data that fitted, stopped or chose a model says little about new data.
#
# > **Learning goals**
# > - [read from a curve whether a model lacks data](#more-data-or-more-capacity), capacity or restraint;
# > - [use validation data to decide when training stops](#when-to-stop), and which setting or run is kept;
# > - [measure how much a score gains when the test data decide instead](#many-tries-and-one-reported), and let a function refuse it.
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb).
# >
# > **Time**: 18 min to read, 1 min to run.

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
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

from scstlib import checks
from scstlib.audit.experiments import describe, measure, overview, verdict
from scstlib.leakage import check_evaluation, choose
from scstlib.experiments.pixels import PixelNetwork, PixelTrees, change_skill
from scstlib.experiments.pixels import organism_parts as parts
from scstlib.pages import Claims, table
from scstlib.plots import GREEN, GREY, ORANGE, PURPLE, SKY, book_style

plt.rcParams.update(book_style())
claim, found = Claims(profile, seed), {}
seeds = range(seed, seed + (10 if profile == "full" else 5))

# %% [markdown]
# You train a network on contact maps, and it explains half of what you show it. A colleague runs it on her chromosomes, and it explains nothing. Nobody has made an arithmetical error. The network has learned what its training chromosomes share with all others, and also what belongs to them alone: their noise. This is [overfitting](../../book/glossary.md#overfitting), and only data that had no say in the fit can show it.
#
# The same happens one level up: if you try eight settings and report the best score, you have fitted the setting to the test data. So you need three parts: one to fit, one to decide (**validation**) and one to look at once (**test**).
#
# ![Rows and grids of squares: filled for training, with a dot for validation, striped for test, empty for not used. Of twelve times, the pattern easy tests times 4, 6 and 8, counted from 0, with training times on both sides; the pattern medium tests the last two. In a grid of cell types by chromosomes, a split by chromosomes tests the last column and validates on the one before, in all cell types. A split by cell types tests only the last cell type on the last chromosome; the other squares of that row and column are not used. Of six donors, one is tested as a whole.](../../book/_static/diagrams/splits.svg)
#
# *Whole times, whole chromosomes and whole donors are held out; a new cell type is tested on new chromosomes only.*
#
# ## One small task
#
# A simulated organism has 16 short chromosomes and a deep [bulk](../../book/glossary.md#bulk) map of its stem cells. For each pixel of the map of another cell type, a model
# predicts the logarithm of its contacts over those of the bulk map, from ten features: bulk contacts, distance, and expression, binding sites of the protein CTCF and CpG content at both ends and in between. The
# score is a [skill](../../book/glossary.md#skill): the share of the squared change that is explained. A copy of the bulk map has skill 0; a model below 0 is worse than the copy.
#
# Two kinds of model take part: a network with two hidden layers (`PixelNetwork`) and trees of scikit-learn (`PixelTrees`). Unless stated otherwise, two chromosomes train, two
# validate and six test.
#
# ## More data or more capacity?
#
# Networks of two widths learn from one to eight chromosomes. Their skill on their own training pixels says how closely they fit these; their skill on the test chromosomes says how much of it carries over.


# %% tags=["hide-input"] caption="Learning curves: skill on training pixels (dashed) and on test chromosomes (solid) against the number of training chromosomes, for networks of two widths; medians over three seeds. With more data the training skill falls and the test skill rises. The gap between the two is overfitting." alt="Two dashed lines fall and two solid lines rise from left to right, from 1 to 8 training chromosomes." name="fig-learning-curves"
def both_skills(s, n, width):
    """Skill on training and on test pixels; a network is trained only once."""
    return [change_skill(trained(s, n, width, 0.0), parts(s, n)[k]) for k in (0, 2)]


trained = cache(lambda s, n, width, decay: PixelNetwork(s, width, decay).fit(parts(s, n)[0]))
sizes, (fig, ax) = [1, 2, 4, 8], plt.subplots()
for hidden, color in {4: SKY, 32: PURPLE}.items():
    runs = [[both_skills(s, n, hidden) for n in sizes] for s in seeds[:3]]
    on_train, on_test = np.median(runs, axis=0).T
    ax.plot(sizes, on_train, "o--", color=color, ms=4)
    ax.plot(sizes, on_test, "o-", color=color, ms=4, label=f"width {hidden}")
ax.axhline(0, color=GREY, lw=0.8)
ax.set(xlabel="training chromosomes", ylabel="skill", xticks=sizes)
ax.legend()
plt.show()

# %% tags=["hide-input"]
gap = on_train - on_test
claim(
    f"From one chromosome the wide network explains {on_train[0]:.0%} of the changes it was trained on, and has a skill of {on_test[0]:.2f} elsewhere. From eight it explains {on_train[-1]:.0%}, and its skill elsewhere is {on_test[-1]:.2f}: the curves close in from both sides.",
    gap[0] > 0.25 and gap[-1] < gap[0] / 2 and on_test[-1] > on_test[0] + 0.03,
)

# %% [markdown]
# Read such curves in this way. Where both are low and close, the model lacks capacity or the features lack the answer. Where they are far apart, the model lacks data or restraint (regularisation). More windows of the same chromosomes do not count as more data.
#
# ## The score on the training part
#
# The plainest mistake is to report the dashed line. It is rare in print, but every leak mixes some of the dashed line into the solid one. Here and on the next two pages each mistake is made on purpose: the same model is scored with it and without it, on several simulated organisms. What the mistake adds to the score is called the [illusion](../../book/glossary.md#illusion). Its 95% interval is for the mean difference over the seeds. Each seed is another organism and another start of the training, so the interval is about other organisms of this kind, not about other data.


# %%
@cache
def watched(seed):
    """Skill every 25 steps on the three parts."""
    train, validation, test = parts(seed)
    network = PixelNetwork(seed, n_steps=600)
    curves = network.fit(train, validation, watch=[test, train]).curves
    return pd.DataFrame(curves, columns=["validation", "test", "training"])


def last_step(seed, mistake):
    """Skill at the last step, on the training or on the test part."""
    return watched(seed)["training" if mistake else "test"].iloc[-1]


found["score on the training part"] = row = measure(last_step, seeds)

# %% tags=["hide-input"]
claim(
    f"On the part that it was trained on, the network looks good; elsewhere it is no better than the copy of the bulk map: {describe(row)}.",
    row["lower"] > 0.1 and row["honest"] < 0.05,
)

# %% [markdown]
# **What refuses it.** Models of the package record what they were fitted on (`record_fit` does this for yours), and `check_evaluation` reads the record before a metric is
# computed: see the next section.
#
# ## When to stop
#
# A network first learns what all chromosomes share, and later what is particular to its own. **Early stopping** keeps the weights that were best on validation chromosomes, which must not be training chromosomes. `minimise` of the package does this with `validate` and `patience`.

# %% tags=["hide-input"] caption="Skill of a network of width 32 during training on two chromosomes: on these, on two validation chromosomes and on six test chromosomes, for the first seed. The training skill rises to the end; the other two peak earlier and end lower. Dots mark their peaks." alt="Three lines over training steps. The training line rises to the end; the validation and test lines have their highest points in the first half and end near zero." name="fig-early-stopping"
curve, (fig, ax) = watched(seed), plt.subplots()
steps = 25 * np.arange(1, len(curve) + 1)
for name, color in {"training": GREY, "validation": GREEN, "test": ORANGE}.items():
    best = [] if name == "training" else [curve[name].argmax()]
    ax.plot(steps, curve[name], "-o", markevery=best, color=color, label=name)
ax.axhline(0, color=GREY, lw=0.8)
ax.set(xlabel="training step", ylabel="skill", ylim=(max(-0.8, curve.min().min() - 0.05), None))
ax.legend()
plt.show()

# %% [markdown]
# **The mistake.** The curve of the test chromosomes is watched instead, training stops at its highest point, and that highest point is the score.


# %%
def stopped(seed, mistake):
    """Test skill at the step that test or validation part chooses."""
    decides = "test" if mistake else "validation"
    return watched(seed)["test"][watched(seed)[decides].idxmax()]


found["stopped on the test part"] = row = measure(stopped, seeds)

# %% tags=["hide-input"]
ends = np.median([[watched(s)["test"].iloc[-1], stopped(s, False)] for s in seeds], axis=0)
claim(
    f"Without early stopping, the test skill ends at {ends[0]:.2f}; if validation chromosomes decide when to stop, it is {ends[1]:.2f} (medians). The mistake adds a little: {describe(row)}.",
    ends[1] > ends[0] + 0.03 and 0.005 < row["illusion"] < 0.2,
)

# %% [markdown]
# The mistake can only add, because no point of a curve is above its highest. Where the interval contains 0, five seeds are too few to say how much. The two curves roughly agree, so the gain is only the luck of one step.
#
# **How to see it.** The reported number is a maximum over the curve of the test part. **What refuses it.** A part that says when to stop is learned from.
# `check_evaluation` refuses to score there: only the third part passes.

# %%
train, validation, test = parts(seed)
network = PixelNetwork(seed).fit(train, validation)
said = [verdict(check_evaluation, network, part) for part in parts(seed)]
print("\n".join(said))

# %% [markdown]
# ## Restraint, and who chooses it
#
# **Weight decay** adds the squared weights, times a number, to the loss. A network that pays for large weights follows the noise of its training pixels less closely. How much should it pay? For each seed eight networks are trained, with four strengths of decay and two widths.


# %% tags=["hide-input"]
@cache
def settings(seed):
    """Fitted networks by setting."""
    pairs = [(d, n) for n in (4, 32) for d in (0.0, 1e-3, 1e-2, 1e-1)]
    return {f"{d:g}, {n}": trained(seed, 2, n, d) for d, n in pairs}


@cache
def skills(seed):
    """Skill of every setting (rows) on the three parts."""
    names = ["training", "validation", "test"]
    rows = {k: [change_skill(m, p) for p in parts(seed)] for k, m in settings(seed).items()}
    return pd.DataFrame(rows, names).T


by_decay = (sum(map(skills, seeds)) / len(seeds)).rename_axis("decay, width")
table(by_decay, digits=2, best={"validation": "max", "test": "max"})

# %% [markdown]
# **The mistake.** The setting is chosen by its score on the test part, and that same score is reported.


# %%
def chosen(seed, mistake):
    """Test skill of the setting that test or validation part chooses."""
    decides = "test" if mistake else "validation"
    return skills(seed)["test"][skills(seed)[decides].idxmax()]


found["setting chosen on the test part"] = row = measure(chosen, seeds)

# %% tags=["hide-input"]
free, bound = by_decay.loc["0, 32"], by_decay.loc["0.01, 32"]
claim(
    f"A decay of 0.01 takes the training skill of the wide network from {free['training']:.2f} down to {bound['training']:.2f}, and its test skill up from {free['test']:.2f} to {bound['test']:.2f}. The best of the eight settings has a skill of {describe(row)}.",
    free["training"] > bound["training"] + 0.1 and bound["test"] > free["test"] + 0.05,
    row["illusion"] > 0.01,
)

# %% [markdown]
# **How to see it.** The methods section names no validation data, or the chosen setting differs between test sets. **What refuses it.** `choose` returns the best candidate, and adds the part that chose it to the winner's record of what it was fitted on.

# %%
winners = [choose(settings(seed), change_skill, p) for p in parts(seed)[1:]]
said = [f"{n}: {verdict(check_evaluation, m, test)}" for n, m in winners]
print("\n".join(said))

# %% [markdown]
# ## Many tries and one reported
#
# **The mistake.** Nothing is tuned, but a method with some randomness is run again and again, and the best run goes into the table: the winner's curse. Here 20 shallow trees,
# fitted to eight chromosomes, differ in nothing but the random choice of features at each split. One chromosome is the test part.


# %%
@cache
def tries(seed, n_tries=20):
    """Skill of each tree for validation and on one test chromosome."""
    train, validation, test = parts(seed, 8)
    one, rows = test.on(test.chromosomes[:1]), []
    for k in range(n_tries):
        how = {"max_depth": 5, "max_features": 3, "random_state": k}
        tree = DecisionTreeRegressor(**how)
        model = PixelTrees(tree).fit(train)
        rows.append([change_skill(model, p) for p in (validation, one)])
    return np.array(rows)


def best_try(seed, mistake):
    """Test skill of the tree that test or validation part chooses."""
    return tries(seed)[tries(seed)[:, int(mistake)].argmax(), 1]


found["best of many tries"] = row = measure(best_try, seeds)

# %% tags=["hide-input"] caption="Skill on the test chromosome of the best of n tries, chosen there or on validation chromosomes; mean over the seeds and over 200 orders of the tries. Chosen on the test chromosome, the score keeps rising with the number of tries." alt="Two curves over the number of tries from 1 to 20. The curve chosen on the test chromosome rises steadily above that chosen on validation chromosomes." name="fig-winners-curse"
rng, (fig, ax) = np.random.default_rng(seed), plt.subplots()
orders = [rng.permutation(20) for _ in range(200)]
shuffled = np.array([tries(s)[o] for s in seeds for o in orders])
for name, column, color in [("test", 1, ORANGE), ("validation", 0, GREEN)]:
    leaders = [shuffled[:, :n, column].argmax(axis=1) for n in range(1, 21)]
    reached = [shuffled[np.arange(len(each)), each, 1].mean() for each in leaders]
    ax.plot(range(1, 21), reached, color=color, label=f"chosen on the {name} part")
ax.set(xlabel="tries", ylabel="skill of the winner on the test part", xticks=[1, 5, 10, 15, 20])
ax.legend()
plt.show()

# %% tags=["hide-input"]
claim(f"The best of twenty equal tries has a skill of {describe(row)}.", row["illusion"] > 0.01)

# %% [markdown]
# **How to see it.** There is one number and no spread, or a method is best on one data set and mediocre on all others. Ask for the number of runs and for their median. **What refuses it.** `choose` again: a run that was picked on the test part cannot be scored there. A table of all runs needs no choice.
#
# ## All four

# %% tags=["hide-input"]
columns = {"honest": "skill without", "mistake": "with the mistake"}
guards = ["check_evaluation", "check_evaluation", *2 * ["choose, check_evaluation"]]
table(
    overview(found).rename(columns=columns).assign(**{"refused by": guards}).drop(columns="seeds"),
    digits=2,
)

# %% tags=["hide-input"]
added = overview(found)["illusion"]
claim(
    "The training score misleads most. Choices add little here, because few candidates compete; the size of an illusion depends on the experiment as much as on the mistake. An interval that contains 0 supports no conclusion.",
    added.iloc[0] > 2 * added.iloc[1:].max(),
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>Training and test skill are both 0.1 and close together. Will more chromosomes help?</summary>
# Hardly. Once the two curves have met, more data change neither. The model lacks capacity, or the features do not contain the answer.</details>
#
# <details><summary>Why may the part that stops training not test it? It is never used for gradients.</summary>
# The step that is kept was picked for its score there, and the highest of several scores is partly luck.</details>
#
# <details><summary>A paper reports one run on one data set. What do you ask for?</summary>
# The number of runs and settings that were tried, the median and spread of the runs, and which data chose.</details>

# %% [markdown]
# ## Key points
#
# - The gap between training and test skill is overfitting. More data and restraint close it.
# - Whatever is decided by looking at data is learned from them: the step, the setting, the run.
# - Use three disjoint parts: one to fit, one to decide, one to look at once.
# - `choose` and `check_evaluation` keep the record, so that nobody has to remember.
#
# ## Exercises
#
# > **Exercise** In *When to stop*, watch one test chromosome instead of six (`test.on(test.chromosomes[:1])` in `watched`). What happens to the illusion, and why?
#
# <details><summary>Solution</summary>
#
# The illusion grows on average and differs more from seed to seed. The skill on one chromosome is noisier, so the highest point of its curve owes more to luck.
#
# </details>
#
# > **Exercise** Twenty models are equally good; their scores differ by chance, with a standard deviation of 0.02. How far above their mean is the best, on average?

# %% tags=["solution"]
### BEGIN SOLUTION
answer = np.random.default_rng(seed).normal(0, 0.02, (20_000, 20)).max(axis=1).mean()
### END SOLUTION
checks.best_of(answer, 0.02, 20)

# %% [markdown]
# ## Further reading
#
# - [Kapoor and Narayanan 2023](https://doi.org/10.1016/j.patter.2023.100804): a taxonomy of leakage, and what became of results when it was removed.
# - [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of machine learning in genomics.
