# %% [markdown]
# # Find the leak
#
# A project: a classifier recognises the patients who respond to a drug, although there is nothing to recognise.
#
# > **Learning goals**
# > - [find the steps of a pipeline that let the test part into training](#the-pipeline-as-found);
# > - [mend them one by one, and measure what each one did to the score](#step-by-step).
# >
# > **Before**: [Leakage in time](../pitfalls/leakage_in_time.ipynb).
# >
# > **Time**: 7 min to read, 1 min to run. The project takes about two hours.

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
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scstlib import checks
from scstlib.experiments.forecasts import donor_cohort
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREY, book_style
from scstlib.preprocess.reduction import dense

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# A company sends you a pipeline. From single cells of eight donors, taken before treatment, it predicts who will respond to a drug. You are asked whether it may go into a clinical trial. A colleague has an idea: assign the labels *responds* and *does not respond* at random, four of each, and run the pipeline again. With such labels there is nothing to find.
#
# ## Data
#
# The cells come from the simulated organism: 320 cells of eight donors. Each donor differs a little from the others in every gene, as real donors do. Genes that are seen in few cells are left out, without looking at the labels. Labels are assigned anew for each of twelve cohorts, so that no lucky draw decides.

# %%
cells = donor_cohort(seed)
counts = dense(cells.X)
counts = counts[:, (counts > 0).sum(axis=0) >= 40]  # genes seen in 40 cells
donors = cells.obs["donor"].to_numpy().astype(int)
rng = np.random.default_rng(seed)
cohorts = [rng.permutation([0, 1] * 4) for _ in range(12)]
print(counts.shape, cohorts[0])

# %% [markdown]
# ## The pipeline as found
#
# The pipeline has five steps. It scales the cells to one depth and takes logarithms (1), standardises each gene (2), keeps the 20 genes that differ most between the two labels (3), deals the cells into four parts (4) and trains a classifier on three of them to predict the fourth, each part in turn (5). A cohort says for each of the eight donors whether the donor responds.


# %%
def as_found(responds):
    """Accuracy of the classifier, cross-validated in four parts."""
    labels = responds[donors]
    depth = counts.sum(axis=1, keepdims=True)
    x = np.log1p(1e4 * counts / depth)  # step 1
    x = StandardScaler().fit_transform(x)  # step 2
    x = SelectKBest(k=20).fit_transform(x, labels)  # step 3
    parts = KFold(4, shuffle=True, random_state=0)  # step 4
    model = LogisticRegression(max_iter=300)  # step 5
    return cross_val_score(model, x, labels, cv=parts).mean()


found = [as_found(responds) for responds in cohorts]

# %% tags=["hide-input"] caption="Accuracy of the pipeline as found, in twelve cohorts with random labels (blue), and of guessing (grey line)." alt="Twelve blue dots between 0.8 and 1 in a row, far above a grey horizontal line at one half." name="fig-leak-found"
fig, ax = plt.subplots(figsize=(5, 2.6))
ax.plot(range(1, 13), found, "o", color=BLUE)
ax.axhline(0.5, color=GREY)
ax.set(xlabel="cohort", ylabel="accuracy", ylim=(0.3, 1), xticks=range(1, 13))
plt.show()

# %% tags=["hide-input"]
claim(
    f"The pipeline is right for {np.mean(found):.0%} of the cells on average, and for {min(found):.0%} in the worst cohort. The labels mean nothing,"
    " so whatever lies above guessing is an illusion.",
    np.mean(found) > 0.8,
    min(found) > 0.75,
)

# %% [markdown]
# ## Step by step
#
# > **Exercise** First say what you expect: which accuracy would an honest test give here, on average over
# > cohorts?

# %% tags=["solution"]
### BEGIN SOLUTION
answer = 1 / 2  # two groups of four donors, and nothing to learn
### END SOLUTION
checks.honest_accuracy(answer)

# %% [markdown]
# > **Exercise** Write the pipeline so that no step sees anything of the test part: neither cells, nor labels, nor donors. What is its mean accuracy over the cohorts? `make_pipeline` fits its steps to the training part of each fold; scikit-learn has splitters that keep groups together.

# %% tags=["solution"]
log_values = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
### BEGIN SOLUTION
from sklearn.model_selection import StratifiedGroupKFold

steps = StandardScaler(), SelectKBest(k=20), LogisticRegression(max_iter=300)
by_donor = StratifiedGroupKFold(4)


def honest(responds):
    given = log_values, responds[donors], donors
    model = make_pipeline(*steps)
    return cross_val_score(model, *given[:2], groups=given[2], cv=by_donor).mean()


answer = np.mean([honest(responds) for responds in cohorts])
### END SOLUTION
checks.mended_accuracy(answer, np.mean(found))

# %% [markdown]
# It need not be exactly one half: with twelve cohorts of eight donors, some chance remains.
#
# > **Exercise** Now mend one step of `as_found` at a time, and undo each change before the next. Which steps raised the accuracy above guessing? Answer with the set of their numbers.

# %% tags=["solution"]
### BEGIN SOLUTION
answer = {3, 4}  # genes chosen by labels of all cells; donors in both parts
### END SOLUTION
checks.leaking_steps(answer)

# %% [markdown]
# ## What to hand in
#
# One notebook and half a page for the company:
#
# 1. a figure of the accuracy as found, with each step mended alone, and with all mended, over the twelve cohorts;
# 2. one sentence for each step: what it sees of the test part, and what that does to the score;
# 3. your advice about the trial, and the test that you would ask for instead, with the number of donors.
#
# Also name the steps that see the test part without any effect on the score. The [rubric](../../book/teaching.md#a-rubric) says how your work is judged.
#
# ## Check yourself
#
# <details><summary>Why does mending step 3 alone, or step 4 alone, leave most of the illusion?</summary>
#
# Each leak is enough by itself. If donors are in both parts, the classifier recognises donors, however the genes were chosen. If genes were chosen with all labels, they are genes in which the test donors differ in line with their random labels, too.
#
# </details>
#
# <details><summary>Scaling on all cells does not raise the accuracy here. May it stay?</summary>
#
# It had better not. You cannot know that it is harmless before you measure it, and measuring is more work than mending. Scale within
# the pipeline.
#
# </details>
#
# <details><summary>How many replicates does this study have?</summary>
#
# Eight, the donors. With 320 cells you know each donor better, but you have no more donors.
#
# </details>
#
# ## Key points
#
# - Assign labels at random: whatever accuracy above chance is left is an [illusion](../../book/glossary.md#illusion).
# - Two leaks can each be enough, so that mending one shows nothing.
# - The unit of the test is the unit of the claim: donors, not cells.
#
# ## Exercises
#
# > **Exercise** Halve the differences between donors: `donor_cohort(seed, strength=0.25)`. Which of the two leaks becomes weaker?
#
# <details><summary>Solution</summary>
#
# Mend one step at a time again. With step 3 mended, the classifier can only recognise donors, and its accuracy falls most, because it depends on the differences between them. With step 4 mended it keeps more, because genes chosen by the labels of all cells also separate these cells by chance. At `strength=0` only that leak is left.
#
# </details>
#
# ## Further reading
#
# - [Kapoor and Narayanan 2023](https://doi.org/10.1016/j.patter.2023.100804): leakage in 17 fields of science.
# - [Squair et al. 2021](https://doi.org/10.1038/s41467-021-25960-2): cells of one donor are not replicates.
# - [Tuning and overfitting](../pitfalls/tuning_and_overfitting.ipynb): leaks that come from choosing.
