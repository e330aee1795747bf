# %% [markdown]
# # Expression at unmeasured times
#
# Which method predicts the cells of a time that was not measured, on six real series.
#
# > **Learning goals**
# > - [predict a population of cells at a time that was not measured](#the-methods), with simple baselines and with scNODE;
# > - [tell two questions apart](#two-questions-and-a-scale-for-the-answers): is the predicted population in the right place, and do its cells look like measured
# >   ones?
# > - [say which method you would use between measured times and which beyond the last](#which-method-then), on what evidence.
# >
# > **Before**: [Neural ODEs](neural_odes.ipynb) says what a drift is.
# >
# > **Time**: 16 min to read, 1 min to run.

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
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from scstlib import checks
from scstlib.datasets import load
from scstlib.metrics.expression import energy_distance, variance_ratio, wasserstein
from scstlib.models import PublishedScNODE, ScNODE
from scstlib.models.temporal import SPLIT_HALF as FLOOR
from scstlib.models.temporal import DisplacementInterpolation, methods, score_held_out_times
from scstlib.pages import Claims, table
from scstlib.plots import book_style, populations
from scstlib.splits import hold_out_times
from scstlib.viewers import population_viewer

plt.rcParams.update(book_style())
warnings.filterwarnings("ignore", message="time .* beyond the last training time")
claim = Claims(profile, seed)
SCNODE, PUBLISHED = "scNODE", "scNODE as published"
DENOISED, IN_PCS = "scNODE, de-noised", "OT displacement in PCs"
MOVED, COPIED = "nearest time, mean moved", "nearest time copied"
SIMPLE = (COPIED, "mean profile", MOVED, "OT displacement")

# %% [markdown]
# A time course of single cells has gaps, and it ends. What would the cells look like in a gap, or a day after the end? And do you need a neural network to say so?
#
# Reading a cell's RNA destroys it. So a time course is a series of [snapshots](../../book/glossary.md#snapshot) with different cells at every time, and a method can predict a *population*, not what becomes of one cell. The test is simple: hide whole measured times, predict them, and compare.
#
# ## Times hidden by a rule
#
# In the first series, from [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4), mouse embryonic stem cells leave pluripotency under retinoic acid; cells were sequenced from 0 h to 96 h, and the file used here has 41 of their genes, chosen by those who share it. In the second, from [Guo et al. 2010](https://doi.org/10.1016/j.devcel.2010.02.012), a mouse embryo grows from 1 cell to 64; 48 genes were measured by qPCR, and time is the number of divisions.
#
# Times are held out by a rule that depends only on how many there are: the last sixth, and of the others every second one from the third on, except the last of them, as in the splits of [Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393). A held-out time is **inner** if training times lie on both sides of it (12 h and 36 h in the first series, 2 and 4 divisions in the second), and **outer** if it lies beyond the last (72 h and 96 h; 6 divisions). No setting of any method was chosen by looking at held-out cells.


# %%
def series(name):
    """Training and test cells; a larger value means more expressed."""
    adata = load(name)
    if name == "semrau2017":
        adata.X = adata.X.astype(np.float32).log1p()
        adata.uns["value_kind"] = "log1p counts"
    split = hold_out_times(adata, pattern="hard")
    return split.train, split.test


cells = {name: series(name) for name in ("semrau2017", "guo2010")}

# %% [markdown]
# Counts of the first series are not divided by the total of the cell. The total of 41 chosen genes reflects biology as much as [depth](../../book/glossary.md#depth).
#
# ## Two questions, and a scale for the answers
#
# There are two questions, and each has its score.
#
# - **Place**: is the population where it should be? The score is the squared [Wasserstein distance](../../book/glossary.md#wasserstein-distance) in the first six principal components of the training cells, which capture what genes do together and little of the noise of single cells.
# - **Likeness**: do the predicted cells look like measured cells, noise and all? The score is the [energy distance](../../book/glossary.md#energy-distance) in all genes, a *proper* score: on average, nothing scores lower than the true population ([Gneiting and Raftery 2007](https://doi.org/10.1198/016214506000001437)).
#
# For both, smaller is better. The divergence of the scNODE paper measures neither; [What a score rewards](../pitfalls/what_a_score_rewards.ipynb) shows why. Two rows of the tables give the scores a scale. For the **floor** (*split half of the measured cells*), one half of the measured cells is scored against the other half as if it were a prediction. The **mean profile** repeats one vector, the mean interpolated between the neighbouring training times, which is no population at all. A method near the floor is as good as measured cells. If the mean profile comes near the floor, the score does not test for a population.


# %%
def metrics_for(train):
    """The two scores of predicted against measured cells."""
    pca = PCA(6, random_state=seed).fit(train.to_df().to_numpy())

    def place(x, y):
        return wasserstein(pca.transform(x), pca.transform(y), squared=True)

    return {"place": place, "likeness": energy_distance}


# %% [markdown]
# ## The methods
#
# | method | predicted cells |
# |---|---|
# | nearest time copied | cells of the nearest training time |
# | nearest time, mean moved | the same cells, moved so that their mean lies on the straight line between the means of the neighbouring training times |
# | OT displacement | [optimal transport](../../book/glossary.md#optimal-transport) (OT) pairs the cells of the neighbouring training times; predicted cells lie on straight lines between pairs |
# | OT displacement in PCs | the same, in as many principal components as scNODE has latent coordinates; the rest is dropped |
# | scNODE as published | cells of the first time move through a latent space along a learned drift ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393)); the settings are the authors' for zebrafish |
# | scNODE | the default of this package: cells of the neighbouring times, some left as they are, some moved, some drawn from a learned drift; the training times decide how many of each |
# | scNODE, de-noised | expected cells instead: smoothed and paired measured cells, or those of the drift where it is nearer left-out training times by more than chance; beyond the last time they move on with the drift; of counts, ask with `noise="depth"` |
#
# The baselines train nothing. Beyond the last training time they have no line to follow, so they repeat its cells.
#
# ![A column of boxes from top to bottom. Counts of all training times go into factors of counts, which know the depth of each cell. Cells of neighbouring times are paired by optimal transport and joined by curves. The drift, position and time to velocity, is learned by flow matching. Below, a time axis with measured times 1, 2 and 3 and a new time between 2 and 3: cells of time 2 move forwards to it, cells of time 3 move backwards to it, more of the nearer time. Beyond time 3 an arrow fades. Last, an observation model draws depth and counts of the predicted cells, or leaves the noise out.](../../book/_static/diagrams/scnode_default.svg)
#
# *The drift is learned from curves through measured cells, without solving an ODE; a time in between is reached from both neighbouring times.*


# %%
def fitted(train, test, as_published):
    """All fitted methods by name."""
    found = {n: methods()[n](seed).fit(train) for n in SIMPLE}
    ours = ScNODE(seed=seed).fit(train)
    size = ours.encode(train).shape[1]
    found[IN_PCS] = DisplacementInterpolation(size, seed=seed).fit(train)
    if as_published:
        times = np.union1d(train.obs["time"], test.obs["time"])
        model = PublishedScNODE(time_points=times, seed=seed)
        found[PUBLISHED] = model.fit(train)
    return {**found, SCNODE: ours}


as_published = {"semrau2017": True, "guo2010": False}
models = {n: fitted(*cells[n], also) for n, also in as_published.items()}

# %% [markdown]
# Each model is trained once, with one seed, so small differences between rows say nothing. The published model takes several times as long as the default, so it is trained on the first series only. It is given all measured times, as in its authors' code.
#
# ## The first series
#
# `score_held_out_times` splits the held-out cells of a time at random into two halves and scores each method against one half. It refuses a model that was fitted on a held-out time. The table shows medians over three splits.


# %% tags=["hide-input"]
def scored(models, train, test):
    """Median score of each method (rows) for each score and kind of time."""
    metrics = metrics_for(train)
    scores = score_held_out_times(models, test, metrics, seed=seed)
    ours = {DENOISED: models[SCNODE]}
    denoised = score_held_out_times(ours, test, metrics, seed=seed, noise=False)
    scores = pd.concat([scores, denoised[denoised["model"] != FLOOR]])
    outer = scores["time"] > train.obs["time"].max()
    scores["score"] = scores["metric"] + np.where(outer, ", outer", ", inner")
    keys = ["model", "score", "repeat", "time"]
    found = scores.groupby(keys, sort=False)["value"].median()
    found = found.groupby(keys[:3], sort=False).mean().groupby(keys[:2], sort=False).median()
    return found.unstack("score")[scores["score"].unique()].loc[scores["model"].unique()]


found = {name: scored(models[name], *cells[name]) for name in cells}
shown = found["semrau2017"].rename_axis(index="method")
table(shown, best=dict.fromkeys(shown, "min"), apart=(FLOOR,))

# %% tags=["hide-input"]
place, like = shown["place, inner"], shown["likeness, inner"]
claim(
    f"**Inner times**: a straight line is enough. With its mean moved, the nearest time is as near as measured cells are"
    f" (place {place[MOVED]:.2f}, floor {place[FLOOR]:.2f}), and no network is nearer: scNODE has {place[SCNODE]:.2f}, as published"
    f" {place[PUBLISHED]:.2f}. In likeness scNODE comes close to the moved cells ({like[SCNODE]:.2f} and {like[MOVED]:.2f}); the published"
    f" model does not ({like[PUBLISHED]:.2f}).",
    place[MOVED] < min(1.2 * place[FLOOR], place[SCNODE], place[PUBLISHED]),
    like[SCNODE] < 2 * like[MOVED] < like[PUBLISHED],
)

# %% tags=["hide-input"]
place, like = shown["place, outer"], shown["likeness, outer"]
claim(
    f"**Outer times**: repeating the last cells is far off (place {place[COPIED]:.1f}, floor {place[FLOOR]:.1f}), and here both"
    f" networks are nearer: scNODE {place[SCNODE]:.1f}, as published {place[PUBLISHED]:.1f}. In likeness scNODE, whose cells keep their"
    f" own noise, is ahead of copied ones ({like[SCNODE]:.2f} against {like[COPIED]:.2f}). The floor is {like[FLOOR]:.2f}.",
    1.5 * place[FLOOR] < max(place[SCNODE], place[PUBLISHED]) < 0.85 * place[COPIED],
    like[SCNODE] < 0.95 * like[COPIED],
)

# %% [markdown]
# ## How scNODE chooses
#
# No single way of predicting is best for all series, and with few times you cannot know which is best for yours. But each inner *training* time can be left out in turn and predicted from the others. The default does so in five ways: cells of both neighbouring times **as measured**; the same cells with their **mean moved**; cells that move towards their partners by optimal transport (**coupled pairs**); cells drawn from the **drift**, with noise drawn anew; and measured cells that the drift moves (**own residuals**). Cells that are moved keep what is particular to each; cells drawn anew do not.
#
# A mixture of them, a [linear pool](../../book/glossary.md#linear-pool), often beats each alone: when nobody knows how far the population has come, cells on both sides of the answer are nearer to it, on average, than cells on one side. The energy distance of a mixture is a quadratic function of the shares, so the best shares can be computed without a search. With so few times these shares would also follow chance, so they are shrunk towards a fixed guess: half of the cells stay and half move. The more the left-out times agree on what is better, the weaker is this pull. Of the two de-noised populations, the smoothed one is taken unless the drift's is clearly nearer, in components and in all genes together. In components the noise that is left in a smoothed cell hardly counts; in all genes it does.
#
# Each row of the table is a way and each column a training time that was left out and predicted from the others: the lower the score, the better. *Share* is the part that the way gets in the mixture. The last four rows are the two de-noised populations, scored by place and in all genes; a share of 1 marks the one that is used.

# %% tags=["hide-input"]
report = models["semrau2017"][SCNODE].report()
report.index = [f"{way}, {score}" for (_, way), score in zip(report.index, ["likeness"] * 5 + ["place"] * 2 + ["all genes"] * 2, strict=True)]  # fmt: skip
table(report.rename(columns=lambda c: f"{c}\u00a0h" if "without" in c else c).rename_axis("way, score"))  # fmt: skip

# %% tags=["hide-input"]
shares = report["share"].iloc[:5]
claim(
    f"No single way makes all cells: the drift draws or moves {shares.iloc[3:].sum():.0%} of them, and {shares.iloc[0]:.0%} stay as they"
    " were measured.",
    0.1 < shares.max() < 0.9,
)

# %% [markdown]
# ## Look at the cells
#
# In the plane of two principal components, distances are distances in expression, as far as the two show it; in a UMAP they would not be ([Chari and Pachter 2023](https://doi.org/10.1371/journal.pcbi.1011288)).

# %% tags=["hide-input"] caption="Cells at the last time of the first series, an outer one: measured cells (grey) and as many predicted ones (orange-red), in the first two principal components of the training cells. Copied cells crowd at the lower left, and so do the de-noised ones, smoothed cells that the drift has moved only a little; those of scNODE with noise are on the way to the measured ones, but have not arrived." alt="Four scatter plots with the same grey cloud of measured cells and, over it, the cells that one method predicts." name="fig-cells"
train, test = cells["semrau2017"]
times, last = np.unique(test.obs["time"]), test.obs["time"].max()
seen = {t: x for part in (train, test) for t, x in part.to_df().groupby(part.obs["time"])}
measured, pca = seen[last], PCA(2, random_state=seed).fit(train.to_df())
drawn = {}
for name in (COPIED, PUBLISHED, SCNODE, DENOISED):
    model, noise = models["semrau2017"][name.split(",")[0]], name != DENOISED
    drawn[name] = {t: model.sample([t], len(measured), seed=seed, noise=noise).to_df() for t in times}  # fmt: skip
predicted = {name: each[last] for name, each in drawn.items()}
fig, axes = plt.subplots(2, 2, figsize=(5.4, 5.4), sharex=True, sharey=True)
for ax, (name, values) in zip(axes.flat, predicted.items(), strict=True):
    populations(ax, *map(pca.transform, (measured, values)), labels=("PC 1", "PC 2"))
    ax.set_title(name)
    ax.label_outer()
fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2, markerscale=2)
places = {n: {t: pca.transform(x) for t, x in m.items()} for n, m in ({"measured": seen, SCNODE: {}} | drawn).items()}  # fmt: skip
population_viewer(places, labels=("PC 1", "PC 2"), unit="h", held_out=times, shown=["measured", SCNODE], figure=fig)  # fmt: skip

# %% tags=["hide-input"]
ratios = {k: variance_ratio(v.to_numpy(), measured.to_numpy()) for k, v in predicted.items()}
spread = {name: np.nanmedian(ratio) for name, ratio in ratios.items()}
gain = (shown.loc[DENOISED] / shown.loc[SCNODE]).filter(regex="place|likeness")
claim(
    f"The variance of the predicted cells, divided by that of the measured ones, is {spread[SCNODE]:.2f} in the median gene with"
    f" scNODE's noise, {spread[DENOISED]:.2f} without, and {spread[PUBLISHED]:.2f} as published. So noise brings scNODE nearer in"
    f" likeness (by {1 - 1 / gain.iloc[1]:.0%} and {1 - 1 / gain.iloc[3]:.0%} at inner and outer times). It changes place less (by"
    f" {abs(1 - 1 / gain.iloc[0]):.0%} and {abs(1 - 1 / gain.iloc[2]):.0%}): six components hold little of the noise.",
    0.7 < spread[SCNODE] < 1.6 and max(spread[DENOISED], spread[PUBLISHED]) < 0.7,
    gain.iloc[[1, 3]].min() > 1.1,
    (gain.iloc[[0, 2]].sub(1).abs().to_numpy() < 0.8 * gain.iloc[[1, 3]].sub(1).to_numpy()).all(),
)

# %% [markdown]
# ## The second series
#
# In the embryo of Guo et al., the first times have only one or two dozen cells, so the floor itself is uncertain. At the last time, which is held out, the inner cell mass has split into two lineages that cannot be told apart at the last training time.

# %% tags=["hide-input"]
embryo = found["guo2010"].rename_axis(index="method")
table(embryo, best=dict.fromkeys(embryo, "min"), apart=(FLOOR,))

# %% tags=["hide-input"]
inner, outer, like = embryo["place, inner"], embryo["place, outer"], embryo["likeness, outer"]
claim(
    f"Here scNODE adds nothing. At inner times its de-noised cells and the moved mean differ little in place ({inner[DENOISED]:.1f} and"
    f" {inner[MOVED]:.1f}), and its cells with noise are further off ({inner[SCNODE]:.1f}): those that stay as measured lie at both"
    f" ends of the way, not on it. At the outer time scNODE is where copied cells are (place {outer[SCNODE]:.1f} and"
    f" {outer[COPIED]:.1f}, likeness {like[SCNODE]:.2f} and {like[COPIED]:.2f}); in place, that is clearly above the floor (floors: {outer[FLOOR]:.1f} and"
    f" {like[FLOOR]:.2f}). No method foresees what the last training time does not show.",
    abs(inner[DENOISED] / inner[MOVED] - 1) < 0.3 and inner[SCNODE] > inner[DENOISED],
    max(abs(outer[SCNODE] / outer[COPIED] - 1), abs(like[SCNODE] / like[COPIED] - 1)) < 0.2,
    outer[FLOOR] < 0.85 * outer.drop(FLOOR).min(),
)

# %% [markdown]
# ## Six series
#
# Two series decide nothing. The benchmark `benchmarks.temporal.each_time` holds out each time of six series in turn and compares scNODE with the best of four simple methods *for that time*, a rival that nobody can choose in advance. Against this rival scNODE is more often nearer than not between measured times, mostly by less than a fifth; beyond the last time its likeness is about that of a copy.
#
# Between measured times the median ratios to this rival are, in place and likeness, 0.96 and 0.96 for scNODE, 1.03 and 1.88 for the published model, 1.07 and 1.33 for moscot and 1.11 and 1.29 for torchcfm. Place is of de-noised cells. moscot and torchcfm are fitted to 20 components here and draw no noise of single cells, which costs them likeness.
#
# ![Two blocks, place above and likeness below, with a row for each of six series. Dots are held-out times, filled where training times lie on both sides and open for the last time; a vertical line marks a ratio of 1. Most filled dots of likeness lie left of the line, those of place on both sides of it.](../../book/_static/diagrams/six_series.svg)
#
# *Left of the line, scNODE is nearer to the measured cells than the best of four simple methods for that time.*
#
# ## Which method, then?
#
# - **Between two measured times**: scNODE as it is. With nothing to train, OT displacement in a few components is most often the best simple
#   method in place, and the nearest time with its mean moved in likeness. No network alone is clearly nearer than a straight line.
# - **Beyond the last time**: repeating the last cells is the guess to beat. scNODE goes further only where the times left out say so.
# - **Draw noise** whenever you want cells as they would be measured. Without noise you see the place of a population: `noise="depth"` is to be compared with measured cells, `noise=False` is what cells express.
#
# A population can also be right for the wrong reason: see [What snapshots cannot tell](what_snapshots_cannot_tell.ipynb).
#
# ## Check yourself
#
# <details><summary>A model has a place near the floor and a likeness far from it. What does its population look like?</summary>
#
# It is where it should be, but its cells are too much alike, or their noise differs from that of measured cells.
#
# </details>
#
# <details><summary>Why are whole times held out, and not a tenth of the cells of every time?</summary>
#
# Cells of the same time are alike. A model that has seen nine tenths of them needs no dynamics to predict the rest.
#
# </details>
#
# <details><summary>Your method is below the floor. Is it better than measured cells?</summary>
#
# No. The score rewards something other than a population, such as smoothness.
#
# </details>

# %% [markdown]
# ## Key points
#
# - A prediction at an unmeasured time is a population. Put the floor and a constant beside every score.
# - Place and likeness are different questions. Ask both, and say which you need.
# - Between two measured times a straight line is a strong guess; beyond the last, a copy is the guess to beat.
# - Hold out whole times, by a rule. Use their cells neither for the fit, nor for the choice of genes, nor for a figure's axes.
#
# ## Exercises
#
# > **Exercise** In the first series, which methods are unbeaten at inner times, so that no other method is better in place *and* in likeness?

# %% tags=["solution"]
both = shown.drop(FLOOR)[["place, inner", "likeness, inner"]]
### BEGIN SOLUTION
answer = [name for name, row in both.iterrows() if not (both < row).all(axis=1).any()]
### END SOLUTION
checks.not_beaten(answer, both)

# %% [markdown]
# > **Exercise** The published model counts time points: for it the 24 h from 72 h to 96 h are as long as the 6 h from 0 h to 6 h. Give it hours with `PublishedScNODE(time="real")`. Does it predict better?
#
# <details><summary>Solution</summary>
#
# Replace `time_points=times` by `time="real"`. The change is no larger than the scatter between three seeds. The position in the list is not a worse clock but another kind of knowledge: experimenters measure more often where cells change fast.
#
# </details>
#
# ## Further reading
#
# - [Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393): scNODE, its data sets and its comparison.
# - [Pairing cells by optimal transport](../alternatives/optimal_transport.ipynb) and [One comparison](../alternatives/one_comparison.ipynb): the simple methods, and all of them.
# - [Schiebinger et al. 2019](https://doi.org/10.1016/j.cell.2019.01.006): optimal transport in time, with growth.
