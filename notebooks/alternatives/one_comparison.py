# %% [markdown]
# # One comparison
#
# Every method of the book in one table, what wins where, and how to choose when nothing wins.
#
# > **Learning goals**
# > - [read a table of methods by ranks within tasks](#ranks-intervals-ties), with intervals and ties;
# > - [say what floor, ceiling and constant do for such a table](#a-table-with-no-holes);
# > - [choose a method by your data and your question](#a-guide);
# > - [repeat a row of the table](#one-row-repeated).
# >
# > **Before**: [Expression at unmeasured times](../temporal/unmeasured_times.ipynb) and
# > [Evaluating contact maps](../spatial/evaluating_contact_maps.ipynb).
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
import pandas as pd

from scstlib import checks
from scstlib.datasets import load
from scstlib.metrics.expression import energy_distance
from scstlib.metrics.ranks import mean_ranks, ranks, tied_groups
from scstlib.models.temporal import methods, score_held_out_times
from scstlib.pages import Claims, result_file, stored, table
from scstlib.plots import GREY, ORANGE, book_style, critical_difference
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# Which method should you take? A paper answers with a table in which its own method is bold; on the next data set another one wins. A fair answer needs all methods on all tasks, scored in the same way. It also needs something to compare a score with, and a rule for when two methods are tied.
#
# ## A table with no holes
#
# A **task** is a data set with a part held out: inner times or the last time of a series, a cell type or a chromosome of a set of maps. The sweep `benchmarks/compare` fits every method on every task and writes a row for each. A method that fails gets a row too, because leaving out failures would reward methods that fail on hard tasks. Settings are the defaults, unless the table says otherwise, and none was chosen by these scores. But the defaults of scNODE and scGrapHiC were developed on the simulated organism, with other seeds, and the way scNODE combines its predictions was designed with all the real series in view.
#
# Names say how a method works. *OT displacement* moves cells along the lines between optimal-transport pairs, found in all genes or in *6 components*; with *own residuals* a cell keeps what the components do not describe; with *growth* cells may count for more or less. *Mean moved* shifts the cells of the nearest time onto the line between measured means, and *moved on* goes on along it beyond the last time. Each family has its page in this part. A *stacked ensemble* weighs one quick method of each kind; training times or chromosomes that are left out choose the weights.

# %%
rows = pd.read_csv(result_file("benchmarks/results/compare.csv"))

# %% tags=["hide-input"]
FLOOR, CONSTANT = "split half of the measured cells", "mean profile"
ran = rows[rows["data"].notna()].assign(task=lambda r: r["data"] + ": " + r["split"])
time, space = (ran[ran["family"] == family] for family in ("temporal", "spatial"))


def scores(part, metric):
    """Scores of tasks (rows) and methods; bounds are no candidates."""
    bounds = part["role"].isin(["floor", "ceiling", "replicate", "reference"])
    candidates = part[~bounds & (part["row"] != "mean at each distance")]
    return candidates.pivot_table(metric, "task", "row", sort=False, dropna=False)


place, like = scores(time, "place"), scores(time, "likeness")
published, contrast = scores(time, "published"), scores(space, "dC")
left = rows[rows["data"].isna()]
steps = space.loc[space["row"] == "scGrapHiC", "changed"].iloc[0]
claim(
    f"The table has {len(rows)} rows: {place.shape[1]} methods on {len(place)} tasks in time, {contrast.shape[1]} methods on {len(contrast)} tasks in space, and bounds that are not methods. Without a score: "
    + "; ".join(f"{row} ({error})" for row, error in left[["row", "error"]].to_numpy())
    + f". scGrapHiC is trained with `{steps}` in place of 2,000.",
    place.shape[1] >= 16, len(place) >= 6, len(contrast) >= 3, ran["error"].isna().all(),
)  # fmt: skip

# %% [markdown]
# Some rows say what the other numbers are worth. In time, the [floor](../../book/glossary.md#floor) uses a random half of the measured cells as the prediction; the **ceiling**, on the simulated organism, uses fresh cells drawn from the truth. In space, the ceiling is the noise-free truth, and a replicate is a second measurement. The **constant** knows nothing about the task: it is one mean profile for all cells, or one mean contact for each distance.
#
# ## No single winner
#
# In time there are two questions ([Expression at unmeasured times](../temporal/unmeasured_times.ipynb)).
# [Place](../../book/glossary.md#place) asks whether the population is where it should be, and
# [likeness](../../book/glossary.md#likeness) whether its cells look like measured ones. The figure shows place.

# %% tags=["hide-input"] caption="Place of each method (rows, the best mean rank at the top) on each task (columns; i: inner times, o: the last time), as a multiple of the best value on that task. White is the best. No row is white throughout." alt="A heat map with a row for each method and a column for each task; the lightest cell of each column is in another row for most columns." name="fig-tasks"
ratio = place.div(place.min(axis=1), axis=0)[ranks(place, "smallest").mean().sort_values().index].T
names = [task.split(" times")[0].split(":")[0].replace("organism,", "org.") for task in ratio]
names = [
    f"{n} {'i' if task.endswith('inner') else 'o'}" for n, task in zip(names, ratio, strict=True)
]
fig, ax = plt.subplots(figsize=(5.4, 5.2))
image = ax.imshow(ratio, norm="log", vmin=1, vmax=4, cmap="Blues", aspect="auto")
ax.set_yticks(range(len(ratio)), ratio.index, fontsize=9)
ax.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
bar = fig.colorbar(image, ax=ax, ticks=[1, 2, 4], format="%g", shrink=0.5, extend="max")
bar.set_label("place over the best")
bar.ax.minorticks_off()
plt.show()

# %% tags=["hide-input"]
first, second = place.idxmin(axis=1), like.idxmin(axis=1)
both = (first == second).sum()
claim(
    f"By place, {first.nunique()} methods win at least one of the {len(place)} tasks; by likeness, {second.nunique()} do. On {both} of {len(place)} tasks"
    f" one method wins both. In a table with a single task, the winner depends on which task was chosen.",
    first.nunique() >= 3, second.nunique() >= 3, both <= len(place) / 2,
)  # fmt: skip

# %% [markdown]
# ## Ranks, intervals, ties
#
# A place of 60 in one series and of 0.5 in another cannot be averaged. **Ranks within a task** can: 1 is the best, equal scores share a rank, and failures share the last one. The mean rank over tasks says how a user of the method would have fared on average.
#
# How sure is a mean rank? Draw the tasks anew, with replacement, and compute the mean ranks again, many times. All methods meet the same drawn tasks, so the difference of two methods is **paired**: what makes a task hard for all methods cancels. Two methods are **tied** when the interval of that difference contains 0.

# %%
ranked = ranks(place, best="smallest")
of_place, ties = mean_ranks(ranked), tied_groups(ranked)
ranked = ranks(like, best="smallest")
of_like, ties_like = mean_ranks(ranked), tied_groups(ranked)

# %% tags=["hide-input"] caption="Mean rank over all tasks in time (dots) and its 95% interval (lines), of place above and of likeness below. Methods beside the same black bar are tied: these tasks cannot tell them apart." alt="Two blocks with a line for each method: a dot and an interval; long black bars at the right join many neighbouring methods." name="fig-ranks"
fig, axes = plt.subplots(2, figsize=(5.4, 9))
colors = {CONSTANT: GREY, "scNODE": ORANGE}
blocks = {"place": (of_place, ties), "likeness": (of_like, ties_like)}
for ax, (name, (of, groups)) in zip(axes, blocks.items(), strict=True):
    critical_difference(ax, of, groups, colors=colors, label=f"{name}: mean rank (1 is the best)")
    ax.tick_params(axis="y", labelsize=9)
plt.show()

# %% [markdown]
# The mean over all tasks hides that there are two problems: predicting between measured times, and beyond the last. CPU seconds are for one fit in one thread, the median over tasks; 0.0 is less than 0.05. The file also records memory, parameters and settings.

# %% tags=["hide-input"]
inside = place.index.str.endswith("inner")
shown = pd.DataFrame({
    f"{name}, {kind}": ranks(part[tasks], best="smallest").mean()
    for name, part in (("place", place), ("likeness", like))
    for kind, tasks in (("inner", inside), ("last", ~inside))
})  # fmt: skip
shown["published metric"] = ranks(published, best="smallest").mean()
shown["CPU (s)"] = cpu = time.groupby("row")["cpu_seconds"].median()
shown = shown.loc[of_place.index].rename_axis("mean rank of")
table(shown, best=dict.fromkeys(shown.columns[:5], "min"), apart=(CONSTANT,))

# %% tags=["hide-input"]
NET, PATHS, BOOST = "scNODE", "Gaussian process of OT paths", "gradient boosting on OT pairs"
OWN, SAME = "OT displacement, own residuals", "OT displacement, 6 components"
FLOW, COPY, LATENT = "flow matching, minibatch OT", "nearest time copied", "latent Gaussian process"
p_in, p_out, l_in, l_out = (shown[column] for column in shown.columns[:4])
claim(
    f"In place scNODE is ahead of all methods and tied with none. But {len(place)} tasks from {time['data'].nunique()} data sets are few. One of the sets is the simulator that scNODE was developed on, its way of combining predictions was designed with the others in view, and it is not ahead in likeness. This is a result to test on other data, not a verdict. **Between times**, methods that learn from pairs of cells are well ahead of a copy: in place, flow matching has a mean rank of {p_in[FLOW]:.1f}, boosting"
    f" {p_in[BOOST]:.1f} and scNODE {p_in[NET]:.1f}, where a copied time has {p_in[COPY]:.1f}. **Beyond the last time**, flow matching falls to {p_out[FLOW]:.1f}, behind a copy ({p_out[COPY]:.1f}): it keeps moving with a velocity that nothing supports. scNODE ({p_out[NET]:.1f}) leaves"
    f" out training times to see how far it may go. In likeness, repeated cells ({l_out[COPY]:.1f}) are hard to beat there. The latent Gaussian process has the best place on {(first == LATENT).sum()} tasks and a mean rank of {of_place['rank'][LATENT]:.1f}: it can win, and nobody knows beforehand where.",
    max(p_in[FLOW], p_in[BOOST], p_in[NET]) < p_in[COPY] - 3,
    p_out[FLOW] > p_out[COPY] + 1 > p_out[NET] + 3,
    l_out[COPY] < l_out.median() + 1, of_place.index[0] == NET and not any(NET in group for group in ties),
    of_like.index.get_loc(NET) > 3, (first == LATENT).sum() >= 3, of_place["rank"][LATENT] > 8,
)  # fmt: skip

# %% [markdown]
# The *published metric* is the [Sinkhorn divergence](../../book/glossary.md#sinkhorn-divergence) over genes, which [Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393) use. Noise weighs more in it than the population does, so a prediction without noise has an advantage ([What a score rewards](../pitfalls/what_a_score_rewards.ipynb)).

# %% tags=["hide-input"]
wide = time.pivot_table(index="task", columns="row", values=["published", "place"])
below = {of: (wide[of][CONSTANT] < wide[of][FLOOR]).mean() for of in ("published", "place")}
claim(
    f"By this metric, on {below['published']:.0%} of the tasks one mean profile for all cells is nearer to the measured cells than other measured cells are;"
    f" by place, on {below['place']:.0%}.",
    below["published"] > 0.3 > below["place"],
)

# %% tags=["hide-input"]
theirs = stored("benchmarks/results/peers.json")
peers = pd.DataFrame(theirs["rows"]).dropna(subset="place")
peers["task"] = peers["data"] + ": " + peers["split"]
wide = {m: old.join(peers.pivot(index="task", columns="row", values=m)) for m, old in (("place", place), ("likeness", like))}  # fmt: skip
placed, likened = (ranks(each, "smallest").mean()[["moscot", "torchcfm"]] for each in wide.values())
versions = theirs["provenance"]["peers"]
claim(
    f"**Other packages** on the same tasks (`benchmarks/compare/peers.py`): among {len(wide['place'].columns)} rows moscot {versions['moscot']} has a mean rank of {placed['moscot']:.1f} in place and {likened['moscot']:.1f} in likeness,"
    f" torchcfm {versions['torchcfm']} of {placed['torchcfm']:.1f} and {likened['torchcfm']:.1f}. The flow of torchcfm, too, goes on beyond the last time. Both packages predict in {theirs['provenance']['n_components']} components and draw no single-cell noise. MIOFlow {versions['MIOFlow']} takes minutes for each series and is left out.",
    len(peers) == 2 * len(place), likened.min() > len(wide["place"].columns) / 2,
)  # fmt: skip

# %% tags=["hide-input"]
larger = pd.read_csv(result_file("benchmarks/results/compare_full.csv"))
jobs = larger.query("role == 'method' and row != 'bounds'").drop_duplicates(["data", "row", "seed"])
unrun = jobs["error"].fillna("").str.startswith("not run")
claim(
    f"**A larger sweep**, `full`, has three seeds, larger organisms and a measured set of contact maps; it takes a cluster. In `compare_full.csv`, {(~unrun).sum()} of its {len(jobs)} fits have been run, and each of the others has a row that says so.",
    0 < unrun.sum() < len(jobs), larger.loc[~larger["error"].fillna("").str.startswith("not run"), "split"].notna().all(),
)  # fmt: skip

# %% [markdown]
# ## Maps
#
# In space the main score is *dC*, the [contrast correlation](../../book/glossary.md#contrast-correlation-dc): how much of what is specific to the cell type is right. Copying or smoothing the bulk scores 0 by construction. The tasks are cell types of a simulated organism whose training types differ fourfold in depth: types that were trained on, and two that were not. Larger is better in all scores. The *mean of the training types* leaves out the cell type itself, so its contrast points the other way. The *mean at each distance* has no SCC, because it does not vary within a distance.

# %% tags=["hide-input"]
of_maps = mean_ranks(ranks(contrast, best="largest"))
ties_maps = tied_groups(ranks(contrast, best="largest"))
maps = space.groupby("row")[["SCC", "SCCt", "dC", "dIns"]].mean()
scc, dc = maps["SCC"], maps["dC"]
apart = tuple(row for row in maps.index if row not in of_maps.index)
maps.insert(0, "dC, mean rank", of_maps["rank"])
maps["CPU (s)"] = space.groupby("row")["cpu_seconds"].median()
maps = maps.rename(columns={"SCCt": "SCC to truth"}).rename_axis("method")
table(maps.loc[[*apart, *of_maps.index]], best={"dC": "max", "SCC": "max"}, apart=apart)

# %% tags=["hide-input"] caption="dC: mean rank over all tasks in space, drawn as above. Cell types of one organism are not independent tasks, so these intervals are too narrow." alt="One line for each method, with a dot and an interval, and black bars that join tied methods." name="fig-rank-maps"
fig, ax = plt.subplots(figsize=(5.4, 2.8))
critical_difference(ax, of_maps, ties_maps, colors={"scGrapHiC": ORANGE})
plt.show()

# %% tags=["hide-input"]
STACK = "stacked ensemble"
placed, likened, of_dc = (of["rank"] for of in (of_place, of_like, of_maps))
claim(
    f"**Does combining win?** In space it does here: the stacked ensemble has the best mean rank of dC ({of_dc[STACK]:.1f}, boosting {of_dc['gradient boosting']:.1f}) and the best SCC ({scc[STACK]:.3f}), but three tasks of one organism do not tell it from boosting. In time it does not: its mean rank is {placed[STACK]:.1f} in place and {likened[STACK]:.1f} in likeness; that of boosting, one of its members, is {placed[BOOST]:.1f} and {likened[BOOST]:.1f}. A mixture of populations keeps some cells in wrong places, while a mean of maps lets errors cancel.",
    of_dc.index[0] == STACK and any({STACK, "gradient boosting"} <= set(group) for group in ties_maps),
    scc[of_maps.index].idxmax() == STACK, placed[STACK] > placed[BOOST] + 2, likened[STACK] > likened[BOOST] + 1,
)  # fmt: skip

# %% tags=["hide-input"]
cortex = larger[(larger["data"] == "lee2019") & (larger["seed"] == 0)].set_index("row")["dC"]
claim(
    f"On the measured maps of the larger sweep, of human cortex (`lee2019`), the Gaussian process, which is well behind boosting on the organism, is level with it (dC {cortex['Gaussian process on contrast']:.2f} and {cortex['gradient boosting']:.2f}; ridge {cortex['bulk + ridge']:.2f}, a replicate {cortex['replicate']:.2f}). Here too, the order depends on the data.",
    abs(cortex["Gaussian process on contrast"] - cortex["gradient boosting"]) < 0.02 < dc["gradient boosting"] - dc["Gaussian process on contrast"], cortex["gradient boosting"] > cortex["bulk + ridge"],
)  # fmt: skip

# %% [markdown]
# ## One row, repeated
#
# Here is one row computed again: the inner times of an embryo ([Guo et al. 2010](https://doi.org/10.1016/j.devcel.2010.02.012)), predicted by OT displacement in which cells keep their own residuals.

# %%
series = load("guo2010")
times = np.unique(series.obs["time"])
split = hold_out_times(series, test=times[2:-1:2])
model = methods()[OWN](0).fit(split.train)
metrics = {"likeness": energy_distance}
found = score_held_out_times({OWN: model}, split.test, metrics)
again = found.groupby(["model", "time"])["value"].median()[OWN].mean()

# %% tags=["hide-input"]
known = like.at["guo2010: inner", OWN]
claim(f"Its likeness is {again:.4g}; the table has {known:.4g}.", abs(again / known - 1) < 0.005)

# %% [markdown]
# ## A guide
#
# What to try first. The numbers at the right are from the table and are checked when this page is built. That a method gives intervals or velocities is how it is made, not a result of the table.

# %% tags=["hide-input"]
far = time[time["task"] == "klein2015: outer"].set_index("row")["place"]
far = far.drop(FLOOR).min() / far[FLOOR]
overall = of_place["rank"]
contrasts = dc[["bulk + ridge", "gradient boosting", "scGrapHiC"]]
advice = {
    "a population between two times": ("cells moved along OT pairs: boosting, scNODE",
        f"place {p_in[BOOST]:.1f} and {p_in[NET]:.1f}, a copy {p_in[COPY]:.1f}",
        max(p_in[BOOST], p_in[NET]) < p_in[COPY] - 3),
    "a population beyond the last time": ("scNODE, or repeat the last cells; no flow without a brake",
        f"place {p_out[NET]:.1f} and {p_out[COPY]:.1f}; flow matching {p_out[FLOW]:.1f}",
        p_out[NET] < p_out[COPY] < p_out[FLOW]),
    "few times, far apart": ("measure one more time",
        f"klein2015, four times: at the last one the best place is {far:.0f} times the floor", far > 5),
    "cells that look measured": ("a method that keeps each cell's own residual",
        f"likeness {l_in[OWN]:.1f} with residuals, {l_in[SAME]:.1f} without", l_in[OWN] < l_in[SAME] - 3),
    "hundreds of fits, or no time": (OWN,
        f"{cpu[OWN]:.2f} CPU s for a fit, scNODE {cpu[NET]:.0f}; place {overall[OWN]:.1f} and {overall[NET]:.1f}",
        cpu[OWN] < 0.05 * cpu[NET] and overall[OWN] < overall[COPY]),
    "how sure a prediction is": ("Gaussian process of OT paths, or an ensemble of quick methods",
        f"{cpu[PATHS]:.1f} CPU s; place {overall[PATHS]:.1f}",
        cpu[PATHS] < 1 and overall[PATHS] < overall[COPY] - 2),
    "velocities, or a gene knocked out": ("scNODE: it learns a velocity at every place",
        f"{cpu[NET]:.0f} CPU s; place {overall[NET]:.1f}", overall[NET] < overall[COPY] - 2),
    "what tells the maps of cell types apart": ("ridge for a first look, then boosting or scGrapHiC",
        "dC {:.2f}, {:.2f} and {:.2f}".format(*contrasts), min(contrasts) > 0.1),
    "the map of a cell type as a whole": ("the bulk map, smoothed",
        f"SCC {scc['bulk smoothed']:.3f}, the best of all {scc[of_maps.index].max():.3f}",
        scc[of_maps.index].max() - scc["bulk smoothed"] < 0.03),
}  # fmt: skip
guide = pd.DataFrame({need: line[:2] for need, line in advice.items()}).T.rename_axis("you need")
table(guide.set_axis(["take first", "the table says (mean ranks)"], axis=1))

# %% tags=["hide-input"]
said = "No line says *best*: these are mean ranks on few tasks."
claim(said, *(line[2] for line in advice.values()))

# %% [markdown]
# ## Check yourself
#
# <details><summary>Two methods have mean ranks of 5.1 and 6.3 and are tied. Is the first better?</summary>
# It was ahead on average on these tasks; on other tasks like them it might well not be. Take whichever is cheaper or easier to explain.
# </details>
# <details><summary>Why may two methods whose intervals overlap still be told apart?</summary>
# Each interval belongs to one method. The difference is paired: both methods meet the same hard and easy tasks, and what affects both alike cancels.
# </details>
# <details><summary>Inner and last times of one series count as two tasks. What is wrong with that?</summary>
# They share cells, genes and a laboratory. Tasks that resemble each other are counted as more evidence than they are, so the intervals are too narrow.
# </details>

# %% [markdown]
# ## Key points
#
# - Compare on many tasks, by ranks within tasks, with the floor, the ceiling and a constant in the same table.
# - Draw the tasks anew to see how sure a mean rank is; say that methods are tied when they are.
# - Choose by your question: the best in place is not the best in likeness, and predicting the last time is a different problem from predicting inner ones.
#
# ## Exercises
#
# > **Exercise** Rank the methods on the tasks of real series only. Which groups of tied methods grow, and why?
#
# <details><summary>Solution</summary>
#
# ```python
# real = place[~place.index.str.startswith("organism")]
# for group in tied_groups(ranks(real, best="smallest")):
#     print(group)
# ```
#
# With fewer tasks, fewer methods can be told apart, so the groups grow.
#
# </details>
#
# > **Exercise** Suppose methods were ranked by the mean of `place` over tasks. Which task would decide?

# %% tags=["solution"]
### BEGIN SOLUTION
answer = (place.max(axis=1) - place.min(axis=1)).idxmax()
### END SOLUTION
checks.deciding_task(answer, place)

# %% [markdown]
# ## Further reading
#
# - [Demšar, Journal of Machine Learning Research 7](https://www.jmlr.org/papers/v7/demsar06a.html): ranks over data sets, and the diagram used here.
# - [Osakwe et al. 2026](https://doi.org/10.64898/2026.03.16.712069): nine methods for time courses, by one metric.
