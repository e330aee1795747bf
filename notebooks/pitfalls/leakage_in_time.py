# %% [markdown]
# # Leakage in time
#
# How cells of a held-out time or donor find their way into a model, and what refuses them.
#
# > **Learning goals**
# > - [choose what to hold out](#cells-of-one-time-on-both-sides): cells, times or donors;
# > - [find the step of your own pipeline that has seen the test cells](#steps-that-are-learned-before-the-split);
# > - [say what each leak adds to a score](#the-published-model-and-measured-series), on simulated and measured series.
# >
# > **Before**: [Tuning and overfitting](tuning_and_overfitting.ipynb) and [Expression at unmeasured times](../temporal/unmeasured_times.ipynb).
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
from functools import cache, partial

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scstlib import checks
from scstlib.audit.experiments import describe, measure, verdict
from scstlib.datasets import load
from scstlib.leakage import assert_disjoint, check_evaluation, record_fit
from scstlib.models import PublishedScNODE, ScNODE
from scstlib.models.temporal import DisplacementInterpolation
from scstlib.experiments import forecasts as task
from scstlib.experiments.forecasts import organism_series as series
from scstlib.experiments.forecasts import values_of as values
from scstlib.pages import Claims
from scstlib.plots import book_style, interval_rows
from scstlib.preprocess.reduction import dense
from scstlib.splits import hold_out_donors, hold_out_times

plt.rcParams.update(book_style())
claim, found = Claims(profile, seed), {}
HELD, GAP = [24.0, 48.0, 72.0], [36.0, 48.0, 60.0]
seeds = range(seed, seed + (10 if profile == "full" else 5))

# %% [markdown]
# A model is meant to predict the cells of a time at which nothing was measured. You test it on cells that it has never seen, and it does well. But it has seen their sisters: other cells of the same dish and the same hour. When the model is used, there will be none. A test is meaningful only if you hold out what will be missing in use. Information about a held-out time can slip in at every step from the raw counts to the score. This is [leakage](../../book/glossary.md#leakage); it has affected hundreds of papers in 17 fields of science ([Kapoor and Narayanan 2023](https://doi.org/10.1016/j.patter.2023.100804)).
#
# ![On the left five steps from top to bottom: choose genes, scale, train, start the forecast, report one run. On the right a tall striped box: the test part, all cells of held-out times. A red arrow leads from it to each step, with a cross: genes chosen on all cells, scaled by all cells, trained on cells of that time, started from held-out cells, the best run in the test reported. Below, one dark arrow leads from the box score the forecast to the test part: the only one allowed.](../../book/_static/diagrams/leaks_in_time.svg)
#
# *Each crossed arrow carries something of the test part into the work that the test is meant to judge. Only the score may touch the test part.*
#
# Each mistake is made here on purpose: the same model is scored with and without it, on simulated organisms with 150 cells at each of nine times. The [illusion](../../book/glossary.md#illusion) is what the mistake adds to the score, given as the mean over organisms with its 95% interval (five organisms, three for side questions). The score is the [skill](../../book/glossary.md#skill): the share of the error of a simple prediction that a model removes. The simple prediction is a copy of the previous measured time. Errors are [energy distances](../../book/glossary.md#energy-distance) between predicted and measured cells; where a model predicts cells without noise, squared [Wasserstein distances](../../book/glossary.md#wasserstein-distance) in eight principal components of the training cells.
#
# ## Steps that are learned before the split
#
# **The mistake.** Genes are chosen by how well they separate two groups in *all* cells; then a classifier is cross-validated on these genes. To show the effect, the labels here are random: there is nothing to find, and an honest accuracy is ½.


# %%
def on_random_labels(seed, mistake):
    """Accuracy for 40 cells; genes from all or from training cells."""
    x = values(task.cells_at(series(seed), 48.0)[:40])
    x = x[:, (x > 0).sum(axis=0) >= 10]
    y = np.random.default_rng(seed).permutation(40) % 2
    genes, model = SelectKBest(k=10), LogisticRegression(max_iter=1000)
    if mistake:
        return cross_val_score(model, genes.fit_transform(x, y), y).mean()
    return cross_val_score(make_pipeline(genes, model), x, y).mean()


found["genes chosen by label"] = row = measure(on_random_labels, seeds)

# %% tags=["hide-input"]
claim(
    f"If the genes are chosen in all cells, a classifier of meaningless labels is right for {row['mistake']:.0%} of the cells. The accuracy is {describe(row)}.",
    row["lower"] > 0.1 and row["mistake"] > 0.65 and abs(row["honest"] - 0.5) < 0.12,
)

# %% [markdown]
# **How to see it.** Permute the labels and repeat everything, the choice of genes included. Whatever accuracy remains above ½ is illusion. **What refuses it.** `check_evaluation`, if you give it every step between the raw data and the score. The steps of this package remember what they were fitted on; for others, `record_fit` notes it.
#
# Do steps that see no labels leak as much? Here 60 variable genes, their scaling and eight principal components are learned from all times, or from the training times only. Optimal transport then predicts 24, 48 and 72 h in these components.


# %% tags=["hide-input"]
def interpolated(seed, mistake):
    split = hold_out_times(series(seed), test=HELD)
    source = series(seed) if mistake else split.train
    _, (train, test) = task.in_components(source, split.train, split.test)
    model = DisplacementInterpolation(seed=seed).fit(train)
    return task.forecast_skill(model, train, test, HELD, components=8)


found["genes, scaling, components"] = row = measure(interpolated, seeds)
claim(
    f"Without labels, and with many more cells than components, the leak carries little information: the skill is {describe(row)}. It is refused all the same, because nobody knows that a leak is harmless before measuring it.",
    abs(row["illusion"]) < 0.1,
)

# %% [markdown]
# ## Cells of one time on both sides
#
# **The mistake.** A model of time is tested on cells that were left out at random. Each of them has neighbours of its own time among the training cells. The honest test leaves out whole times. The model is the drift of a small scNODE.


# %%
node = partial(
    ScNODE, latent_dim=8, matching_steps=200, damping=0.0, combine=False
)  # fmt: skip


def time_parts(cells, seed, mistake, held):
    """Training and test cells: random cells, or whole times, held out."""
    if not mistake:
        split = hold_out_times(cells, test=held)
        return split.train, split.test
    test = np.random.default_rng(seed).random(cells.n_obs) < 0.25
    return cells[~test].copy(), cells[test].copy()


def forecast(seed, mistake, cells, held, make=node, components=None):
    train, test = time_parts(cells, seed, mistake, held)
    model = make(seed=seed).fit(train)
    how = {"components": components}
    return task.forecast_skill(model, train, test, held, **how)


row = measure(lambda s, m: forecast(s, m, series(s), HELD), seeds)
found["random cells"] = row

# %% tags=["hide-input"]
claim(
    f"The skill of the same model is {describe(row)}.",
    row["lower"] > 0 and row["illusion"] > 0.1,
)

# %% [markdown]
# **How to see it.** Copy training cells of the same time: if that is nearly perfect, the test requires no dynamics. **What refuses it.** `hold_out_times` cannot make such a split. `assert_disjoint`, told which column must not be shared, finds it in parts that were made elsewhere.
#
# ## A start from true cells of a test time
#
# **The mistake.** Three times in a row are held out: 36, 48 and 60 h. Each is predicted from the *measured* cells of the time before it, which for two of the three are themselves held out. In use there would be no such cells. The first model in this experiment says that nothing changes.


# %%
def stay(seed, start, time):
    """No change."""
    return values(start)


def in_gap(seed, mistake, cells, gap, move=stay):
    """Skill at times in a row, from true or last training cells."""
    train = hold_out_times(cells, test=gap).train
    last = task.cells_before(cells, min(gap))
    before = [task.cells_before(cells, time) for time in gap]
    starts = before if mistake else [last] * len(gap)
    moves = zip(starts, gap, strict=True)
    predicted = [move(seed, *each) for each in moves]
    truth = [values(task.cells_at(cells, time)) for time in gap]
    clouds = predicted, [values(last)] * len(gap), truth
    return task.population_skill(train, *clouds, components=8)


# %% tags=["hide-input"]
fitted = cache(lambda seed: node(seed=seed).fit(hold_out_times(series(seed), test=GAP).train))


def flows(seed, start, time):
    model = fitted(seed)
    return model.decode(model.flow(model.encode(start), start.obs["time"].iloc[0], [time])[0])


found["true test cells"] = copy = measure(lambda s, m: in_gap(s, m, series(s), GAP), seeds)
learned = measure(lambda s, m: in_gap(s, m, series(s), GAP, flows), seeds[:3])
claim(
    f"The skill of the model that knows nothing is {describe(copy)}. scNODE has learned something: its honest skill is {learned['honest']:.2f}. With the mistake it has {learned['mistake']:.2f}, about as much as the model that knows nothing. So the mistake does not raise all scores alike: it wipes out the difference between methods.",
    copy["lower"] > 0.4 and learned["honest"] > 0.35 and learned["illusion"] < 0.25,
    abs(learned["mistake"] - copy["mistake"]) < 0.2,
)

# %% [markdown]
# **How to see it.** Score the model that changes nothing under the same rules. **What refuses it.** In this package `sample` takes times but no cells. If your model is shown cells when it predicts, pass them to `check_evaluation` as `given`: it refuses cells of any held-out time.
#
# ## The same donor on both sides
#
# **The mistake.** Of eight donors, four are called ill. Each donor differs from the others in every gene, and illness has *no* effect. If a classifier of cells is tested on random cells, recognising donors is enough to do well. The honest test is on donors that it has not seen, where it can only guess (½). The cells of one donor are not replicates ([Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2)).


# %%
def illness(seed, mistake):
    """Accuracy; a quarter of the cells, or a pair of donors, held out."""
    cells = task.donor_cohort(seed)
    donor = cells.obs["donor"].astype(int).to_numpy()
    regression = LogisticRegression(C=0.01, max_iter=1000)
    model = make_pipeline(StandardScaler(), regression)
    random = np.random.default_rng(seed).permutation(len(donor)) % 4
    cv = PredefinedSplit(random if mistake else donor // 2)
    return cross_val_score(model, values(cells), donor % 2, cv=cv).mean()


found["same donors on both sides"] = row = measure(illness, seeds)

# %% tags=["hide-input"]
claim(
    f"An illness that does nothing is diagnosed correctly in {row['mistake']:.0%} of the cells. The accuracy is {describe(row)}.",
    row["lower"] > 0.2 and row["mistake"] > 0.8 and row["honest"] < 0.6,
)

# %% [markdown]
# **How to see it.** Give the donors random labels: the accuracy stays the same. **What refuses it.** `hold_out_donors`, and `assert_disjoint` by donor.
#
# ## Five mistakes, five refusals
#
# Here we call the functions that refuse the five mistakes, first with each mistake and then without it.

# %%
cells, cohort = series(seed), task.donor_cohort(seed)
split = hold_out_times(cells, test=HELD)
gap = hold_out_times(cells, test=GAP)
donors, said = hold_out_donors(cohort, test=["0", "1"]), []
for mistake in (True, False):
    source = cells if mistake else split.train
    start = task.cells_at(cells, 36.0 if mistake else 24.0)
    sides = time_parts(cells, seed, mistake, HELD)
    people = donors.train, donors.test
    people = (cohort[::2], cohort[1::2]) if mistake else people
    record_fit(genes := SelectKBest(), source)
    steps, model = task.in_components(source)[0], fitted(seed)
    started = verdict(check_evaluation, model, gap.test, given=start)
    said += [
        "With the mistakes" if mistake else "Without",
        "- genes: " + verdict(check_evaluation, genes, split.test),
        "- steps: " + verdict(check_evaluation, steps, split.test),
        "- times: " + verdict(assert_disjoint, *sides, by="time"),
        "- start: " + started,
        "- donors: " + verdict(assert_disjoint, *people, by="donor"),
    ]
print("\n".join(said))

# %% [markdown]
# ## The published model, and measured series
#
# Does scNODE as published ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393)) also gain from a mistake? It is trained for seconds here, so its skill says nothing about the paper. And is the illusion as large on real cells? Two of the mistakes are repeated on two measured series ([Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4) and [Guo et al. 2010](https://doi.org/10.1016/j.devcel.2010.02.012)). There is only one copy of each series: a seed draws four fifths of its cells and trains anew, so these intervals hold for these cells only.

# %% tags=["hide-input"]
measured = {"semrau2017": load("semrau2017"), "guo2010": load("guo2010")}
measured["semrau2017"].X = np.log1p(dense(measured["semrau2017"].X))
measured["semrau2017"].uns["value_kind"] = "log1p counts"
paper = partial(PublishedScNODE, latent_dim=8, pretrain_steps=100, joint_steps=50, target_size=32)
row = measure(lambda s, m: forecast(s, m, series(s), HELD, paper, 8), seeds[:3])
outside = {"published scNODE: random cells": row}
for name, kind, score, held in [
    ("semrau2017", "random cells", forecast, [12.0, 36.0, 60.0]),
    ("semrau2017", "true test cells", in_gap, [60.0, 72.0, 96.0]),
    ("guo2010", "random cells", forecast, [2.0, 4.0]),
    ("guo2010", "true test cells", in_gap, [4.0, 5.0, 6.0]),
]:
    some = partial(task.four_fifths, measured[name])
    of_seed = partial(lambda f, c, h, s, m: f(s, m, c(s), h), score, some, held)
    outside[f"{name[:-4].title()} et al.: {kind}"] = measure(of_seed, seeds[:3])

# %% tags=["hide-input"] caption="What each mistake adds to the score, with its 95% interval: to accuracy where genes are chosen by label or donors are shared, to skill elsewhere. Orange: the interval lies above 0. On measured series (the last four rows) the mistakes add about as much as on simulated ones." alt="Ten horizontal intervals with a dot each, one for each mistake, beside a vertical line at 0. All but the one for genes, scaling and components lie to the right of the line." name="fig-illusions-in-time"
fig, ax = plt.subplots(figsize=(5.4, 6.6))
interval_rows(
    ax, found | outside, value="illusion", label="added by the mistake (skill or accuracy)"
)
plt.show()

# %% tags=["hide-input"]
others = [each["illusion"] for each in outside.values()][1:]
claim(
    f"The published model gains, too: its skill is {describe(row)}. On both measured series, each of the two mistakes adds {min(others):.2f} or more.",
    row["illusion"] > 0.05 and min(others) > 0.15,
)

# %% [markdown]
# ## Check yourself
#
# <details><summary>Your cells are scaled with the mean of all times before the split. Is the test spoilt?</summary>
# Strictly speaking, yes, although here it makes no visible difference. Scale after the split, and nobody has to find out.</details>
#
# <details><summary>A method predicts each hour from the measured cells of the hour before. What do you compare it with?</summary>
# With those very cells, unchanged. What the copy achieves is not the method's merit.</details>
#
# <details><summary>You have 50,000 cells of three patients and three controls. How many replicates is that?</summary>
# Six. A classifier tested on other cells of the same people may have learned to recognise the people.</details>

# %% [markdown]
# ## Key points
#
# - Hold out what will be missing in use: a whole time or a whole donor, never single cells of either.
# - Whatever learns from data is part of the model: the choice of genes, the scaling, the components.
# - Score a model that knows nothing under the same rules: if it does well, there is a leak.
#
# ## Exercises
#
# > **Exercise** In *Steps that are learned before the split*, keep 100 genes instead of 10, and then all of them (`k="all"`). What happens to the accuracy of random labels?
# <details><summary>Solution</summary>
#
# With 100 genes the illusion is no smaller: the leak lies in the choice, not in the number. With all genes nothing is chosen, so nothing can leak, and both accuracies are about ½.
#
# </details>
#
# > **Exercise** Assign each cell of the cohort to a fold, so that no donor is on both sides and each fold contains healthy and ill donors (`donor % 2`).

# %% tags=["solution"]
donor = cohort.obs["donor"].astype(int).to_numpy()
### BEGIN SOLUTION
answer = donor // 2
### END SOLUTION
checks.folds_by_donor(answer, donor, donor % 2)

# %% [markdown]
# ## Further reading
#
# - [Kapoor and Narayanan 2023](https://doi.org/10.1016/j.patter.2023.100804): a taxonomy of leakage, and what became of results when it was removed.
# - [Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2): false discoveries when cells are taken for replicates.
