# %% [markdown]
# # Evaluating contact maps
#
# Held-out chromosomes and cell types against every baseline, and what a score sees of the
# expression.
#
# > **Learning goals**
# > - hold out places and cell types, and say what each of the two tests;
# > - put a floor and a ceiling beside every score, and rows that do without a network;
# > - name scores that hardly notice whether a model looked at expression, and two that do;
# > - take inputs away from a model, one at a time, and read what each was worth;
# > - say how far a prediction of an unmeasured cell type can be trusted, and where not.
# >
# > **Before**: [From single cells to windows](../foundations/cells_to_windows.ipynb);
# > [What a score rewards](../pitfalls/what_a_score_rewards.ipynb) helps.
# >
# > **Time**: 35 min to read, 2 min to run.

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
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from scstlib.datasets import simulate_organism
from scstlib.leakage import LeakageError
from scstlib.models import ScGrapHiC
from scstlib.models.spatial import (
    BulkCopy,
    BulkRidge,
    BulkSmoothed,
    ContactTrees,
    MeanOfTypes,
    mean_scores,
    score_windows,
)
from scstlib.models.spatial.comparison import CEILING, on_scale
from scstlib.plots import BLUE, GREEN, GREY, ORANGE, book_style, contact_map
from scstlib.preprocess.contacts import make_windows
from scstlib.preprocess.expected import DistanceMeans
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.tracks import by_chromosome, expression_tracks
from scstlib.splits import hold_out_cell_types, hold_out_chromosomes

plt.rcParams.update(book_style())

# %% [markdown]
# ## Two things to hold out
#
# A model is given a bulk contact map and the expression of a cell type, and predicts the contact map
# of that cell type. "It works" can mean two things. It works **at places** it has not seen: other
# chromosomes, of cell types that it was trained on. Or it works for **cell types** it has not seen.
# The second is what one wants it for, and a new cell type at an old place is no test of it: maps of
# all cell types are alike at one place, so that a model that remembers the place looks as if it knew
# the cell type ([Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y)). A new cell type
# is therefore scored on new chromosomes.
#
# The cells are those of a simulated organism, because there the truth is known. The
# [bulk](../../book/glossary.md#bulk) is of stem cells. Five cell types train, with
# [pseudo-bulks](../../book/glossary.md#pseudo-bulk) of 200 cells as targets. Two are never trained on.
# Of the first, the precursor of gamma cells, both mother and daughter are training types: it is
# **near**. Of the second, the mature alpha cell, the mother is left out altogether: it is **far**.

# %%
training_types = ["stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature"]
unseen = {"near": "gamma_precursor", "far": "alpha_mature"}
kinds = [*training_types, *unseen.values()]
n_chromosomes, n_test, n_steps, window = (
    (8, 2, 250, 64) if profile == "fast" else (13, 2, 2000, 128)
)

organism = simulate_organism(seed=seed, preset="small", n_chromosomes=n_chromosomes)
test_chromosomes, n_cells = organism.chromosomes[-n_test:], 200
bin_size = organism.settings.bin_size

# %% tags=["hide-input"] caption="What is trained on (blue) and what is scored: seen cell types at new places (green), and cell types that were not seen, at new places too (orange). White: not used. Mother and daughter types stand next to each other." alt="A grid with a row for each cell type and a column for each chromosome. Five rows are blue except in the last two columns, which are green; the two rows of unseen types are white except in the last two columns, which are orange." name="fig-held-out"
rows = ["stem", "bipotent", "beta_precursor", "beta_mature", "gamma_precursor", "gamma_mature",
        "alpha_precursor", "alpha_mature"]  # fmt: skip
grid = np.zeros((len(rows), n_chromosomes))
for i, kind in enumerate(rows):
    if kind in training_types:
        grid[i] = 1
    if kind in kinds:
        grid[i, -n_test:] = 2 if kind in training_types else 3
fig, ax = plt.subplots(figsize=(5.4, 2.9))
colors = plt.matplotlib.colors.ListedColormap(["white", BLUE, GREEN, ORANGE])
ax.pcolormesh(grid, cmap=colors, vmin=0, vmax=3, edgecolors="white", lw=2, alpha=0.75)
ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
ax.set_xticks(np.arange(n_chromosomes) + 0.5, [str(i + 1) for i in range(n_chromosomes)])
ax.set_xlabel("chromosome")
ax.invert_yaxis()
plt.show()

# %% [markdown]
# The tracks: expression of the cell type, the mean of the training types, that of the bulk's cells,
# CTCF sites and CpG, all as in [From single cells to windows](../foundations/cells_to_windows.ipynb).

# %%
cells = organism.sample(seed=seed, keep_truth=False)
labels = cells.obs["cell_type"].to_numpy()
sums = {kind: np.asarray(cells.X[labels == kind].sum(axis=0)).ravel() for kind in kinds}
expression = pd.DataFrame(sums, index=cells.var_names)
expression = expression / expression.sum() * 1e4  # counts per 10,000

table = organism.tracks()
bins = table[["chrom", "start", "end"]]
by_type = expression_tracks(expression, organism.genome.genes, bins)
guides, names = guide_tracks(
    by_type, reference=training_types, bulk=by_type["stem"],
    shared=table[["ctcf_forward", "ctcf_reverse", "cpg"]].to_numpy(),
    shared_names=("CTCF +", "CTCF -", "CpG"),
)  # fmt: skip
guides = {kind: by_chromosome(values, bins) for kind, values in guides.items()}
bulk = organism.bulk("stem", seed=seed)


def windows_of(targets, chromosomes):
    """Windows of all cell types of the targets on some chromosomes."""
    return make_windows(
        bulk, {kind: guides[kind] for kind in targets}, targets, bin_size=bin_size,
        bulk_cell_types=["stem"], window=window, stride=32, chromosomes=chromosomes,
        track_names=names,
    )  # fmt: skip


# %% [markdown]
# Both splits come from `scstlib.splits`, which refuses a held-out cell type whose contacts are in the
# bulk, and which leaves out what belongs to neither part.

# %%
counts = {kind: organism.sample_contacts(kind, n_cells=n_cells, seed=seed) for kind in kinds}
windows = windows_of(counts, organism.chromosomes)
by_kind = hold_out_cell_types(windows, unseen.values(), test_chromosomes=test_chromosomes)
trained_on = windows.table["cell_type"].isin(training_types).to_numpy()
train = by_kind.train
tests = {"seen": hold_out_chromosomes(windows[trained_on], test_chromosomes).test}
for name, kind in unseen.items():
    tests[name] = by_kind.test[(by_kind.test.table["cell_type"] == kind).to_numpy()]

expected = {
    kind: {c: n_cells * organism.expected_contacts(c, kind, biased=True) for c in test_chromosomes}
    for kind in kinds
}
true = windows_of(expected, test_chromosomes)
pd.Series(
    {"train": len(train)} | {k: len(w) for k, w in tests.items()}, name="windows"
).to_frame().T

# %%


def rows_of(part):
    """Rows of the true windows: of the part's own types, and of the training types, place by place."""
    place = {key: i for i, key in enumerate(zip(true.table["cell_type"], true.table["chrom"],
                                                true.table["start"], strict=True))}  # fmt: skip
    keys = list(part.table[["cell_type", "chrom", "start"]].itertuples(index=False, name=None))
    own = [place[key] for key in keys]
    others = [[place[kind, *key[1:]] for kind in training_types] for key in keys]
    return own, np.array(others)


truth, reference = {}, {}
for name, part in tests.items():
    own, others = rows_of(part)
    truth[name], reference[name] = true.targets[own], true.targets[others].mean(axis=1)

# %% [markdown]
# ## A floor, a ceiling, and what is between
#
# No prediction can agree with a noisy target better than the truth does. So the first row of each
# table is the **truth** itself, scored as if it were a prediction: the ceiling. The floor is the
# **bulk, copied**: the map that was given, called the map of every cell type. Between them stand
# methods that one would use if there were no network, from weak to strong:
#
# | row | prediction |
# |---|---|
# | bulk copied | the bulk |
# | bulk smoothed | the bulk over what distance and visibility make of it, blurred; the width suits the training targets |
# | bulk + ridge | smoothed bulk × a factor linear in the features of a pixel: bulk around it, distance, tracks at both bins and between them |
# | gradient boosting | the same features, a factor by boosted trees that maximise the likelihood of the counts |
# | mean of the training types | at the same place. It needs their maps *there*, which no other row sees |
#
# The last one is a reference, not a competitor: it says what a map of related cell types at the
# place would be worth. The leak guard refuses it among models:

# %%
models = {
    "bulk copied": BulkCopy(),
    "bulk smoothed": BulkSmoothed(),
    "bulk + ridge": BulkRidge(n_pixels=60_000, seed=seed),
    "gradient boosting": ContactTrees(n_pixels=100_000, max_iter=80, seed=seed),
    "scGrapHiC": ScGrapHiC(seed=seed, n_steps=n_steps, crop=window // 2),
}
for model in models.values():
    model.fit(train)
others = MeanOfTypes().fit(tests["seen"])
try:
    score_windows({"mean of the training types": others}, tests["seen"])
except LeakageError as error:
    print("LeakageError:", error)

# %% [markdown]
# ## New places
#
# Scores of the maps themselves are against the noisy **targets**, as one would have them in real
# data: mean squared error (MSE), SSIM, GenomeDISCO (GD; [Ursu et al.
# 2018](https://doi.org/10.1093/bioinformatics/bty164)), and the stratum-adjusted correlation (SCC;
# [Yang et al. 2017](https://doi.org/10.1101/gr.220640.117)) up to 2 Mb. Four more are against the
# **truth**, which only a simulation has: SCCt; *ins*, the correlation of
# [insulation](../../book/glossary.md#insulation-score); and two of what is specific to a cell type. **dC** takes from
# each map the mean over the training types, from the prediction the mean of its own predictions, and
# correlates what is left. **dIns** does so with insulation. All maps are compared on one scale of
# depth, and masked bins count nowhere.

# %%


def scored(models, tests, **references):
    """Mean scores of each part by row."""
    tables = {}
    for name, part in tests.items():
        tables[name] = mean_scores(
            score_windows(
                models, part, truth=truth[name], reference=reference[name],
                training=tests["seen"], references=references,
            )
        )  # fmt: skip
    return tables


FLOOR, OURS, OTHERS = "bulk copied", "scGrapHiC", "mean of the training types"
tables = scored(models, tests, **{OTHERS: others})
# A mean of the other types has no contrast of its own: it is what the contrast is taken to.
for scores in tables.values():
    scores.loc[OTHERS, ["dC", "dIns"]] = np.nan
tables["seen"].assign(MSE=1e3 * tables["seen"]["MSE"]).rename(columns={"MSE": "MSE × 10³"}).round(3)

# %% tags=["hide-input"]


def share(scores, name, metric):
    """How far a row has come from the floor to the ceiling."""
    low, high = scores.loc[FLOOR, metric], scores.loc[CEILING, metric]
    return (scores.loc[name, metric] - low) / (high - low)


seen = tables["seen"]
competitors = [name for name in models if name != OURS]
best = {metric: seen.loc[competitors, metric].idxmax() for metric in ("SCC", "dC", "dIns", "GD")}
Markdown(
    f"A ceiling of SCC {seen.loc[CEILING, 'SCC']:.3f} says how noisy the targets are, and copying the"
    f" bulk is already {seen.loc[FLOOR, 'SCC']:.3f}. Of the way between them, smoothing goes"
    f" {share(seen, 'bulk smoothed', 'SCC'):.0%}, boosting {share(seen, 'gradient boosting', 'SCC'):.0%}"
    f" and scGrapHiC {share(seen, OURS, 'SCC'):.0%}. The best row without a network against scGrapHiC: "
    + "; ".join(
        f"{metric}: {name} {seen.loc[name, metric]:.3f} against {seen.loc[OURS, metric]:.3f}"
        for metric, name in best.items()
    )
    + ". The difference is what the network is worth, on this organism with this seed."
)

# %% [markdown]
# Read the table by columns. In SSIM the rows hardly differ, and even the truth is far from 1: what
# this score sees is mostly the noise of the targets. In MSE and SCC the order of the rows begins to
# show. dC and dIns ask for nothing but the cell type, and the floor is 0 by construction: whoever
# predicts one and the same map for all types gets exactly 0.
#
# ## What a score does not see
#
# Train the same network on the same windows without a single track of expression. It still reads the
# bulk map, CTCF and CpG. It cannot know which cell type it is asked for.

# %%


def without(*tracks):
    """Windows with some tracks left out, by the beginning of their names."""

    def change(part):
        kept = [i for i, name in enumerate(names) if name.rstrip(" +-") not in tracks]
        return replace(
            part, tracks=part.tracks[..., kept], track_names=tuple(names[i] for i in kept)
        )

    return change


def no_bulk(part):
    """Windows whose bulk map is nothing but its mean at each distance, learned in training."""
    usable = part.mask[:, :, None] & part.mask[:, None, :]
    flat = DistanceMeans("bulk").fit(train).expected()
    return replace(part, bulk=(flat * usable).astype(np.float32))


EXPRESSION = ("expression", "reference expression", "bulk expression")
changes = {
    "expression": without(*EXPRESSION),
    "bulk map": no_bulk,
    "CTCF": without("CTCF"),
    "CpG": without("CpG"),
    "bulk's expression": without("bulk expression"),
}
ablated = {OURS: tables["seen"].loc[OURS]}
for name, change in changes.items():
    model = ScGrapHiC(seed=seed, n_steps=n_steps, crop=window // 2).fit(change(train))
    found = score_windows(
        {name: model}, change(tests["seen"]), truth=truth["seen"], reference=reference["seen"],
        training=change(tests["seen"]),
    )  # fmt: skip
    ablated[f"without {name}"] = mean_scores(found).loc[name]
ablated = pd.DataFrame(ablated).T

# %% caption="What each score has left, as a share of the way from the copied bulk (0) to the truth (1), on seen cell types at new places: with all inputs, without expression, and for gradient boosting. On this scale every score falls without expression; dC and dIns lose all." alt="Dot plot with a row for each of six scores and a coloured dot for each of three methods. In each row the dot of the network without expression lies to the left of the other two; in dC and dIns it lies at zero." name="fig-what-scores-see"
rows = pd.concat([seen, ablated.iloc[1:2]])
shown = {"without expression": ORANGE, "gradient boosting": GREEN, OURS: BLUE}
metrics = ["GD", "SCC", "SCCt", "ins", "dC", "dIns"]
fig, ax = plt.subplots(figsize=(5.4, 3.4))
for name, color in shown.items():
    values = [share(rows, name, metric) for metric in metrics]
    ax.plot(values, range(len(metrics)), "o", color=color, ms=9, alpha=0.8, label=name)
ax.axvline(0, color=GREY, lw=0.8)
ax.set_yticks(range(len(metrics)), metrics)
ax.invert_yaxis()
ax.set(xlabel="share of the way from the copied bulk to the truth")
fig.legend(loc="outside upper center", ncols=3, fontsize="small")
plt.show()

# %% tags=["hide-input"]
blind = ablated.loc["without expression"]
lost = seen.loc[OURS] - blind
Markdown(
    f"Without expression, SCC falls by {lost['SCC']:.3f} (from {seen.loc[OURS, 'SCC']:.3f} to {blind['SCC']:.3f})"
    f" and SSIM by {lost['SSIM']:.3f}. dC falls from {seen.loc[OURS, 'dC']:.2f} to {blind['dC']:.2f}, dIns from"
    f" {seen.loc[OURS, 'dIns']:.2f} to {blind['dIns']:.2f}. A table with SCC and SSIM alone would call"
    " the blind model nearly as good: the loss shows on the scale of the figure, from the floor to the ceiling."
)

# %% [markdown]
# The published model is scored by MSE, SSIM, GenomeDISCO, SCC and a score of domains. These are fair
# questions, but a model can do well on them by knowing chromatin in general. Whether it knows *this
# cell type* has to be asked separately.
#
# ## What each input is worth
#
# The same with the other inputs, one at a time, each time trained anew. Exchanging an input of a
# trained model would say what *that model* leans on; training anew says what the input is worth,
# which can be nothing although a model leans on it, if other inputs can stand in.

# %%
ablated[["GD", "SCC", "SCCt", "dC", "ins", "dIns"]].round(3)

# %% tags=["hide-input"]
drop = ablated.iloc[0] - ablated.iloc[1:]
worst = {metric: drop[metric].idxmax() for metric in ("SCC", "dC")}
small = [name.removeprefix("without ") for name in drop.index if abs(drop.loc[name, "dC"]) < 0.02]
higher = [name for name in drop.index if drop.loc[name, "dC"] <= -0.02]
Markdown(
    f"SCC loses most {worst['SCC']} ({drop['SCC'].max():.3f}), dC most {worst['dC']} ({drop['dC'].max():.2f})."
    + (
        f" Changes of dC below 0.02, for {', '.join(small)}, are no finding with one seed."
        if small
        else ""
    )
    + (
        f" dC is higher {' and '.join(higher)}: one seed cannot tell an input that distracts from chance."
        if higher
        else ""
    )
)

# %% [markdown]
# The graph of the published model is an input as well. What becomes of it is shown in
# [scGrapHiC by hand](scgraphic_by_hand.ipynb), where it is exchanged for a random one.
#
# ## New cell types
#
# Now the two types that no model was trained on, at the same new places. dC still takes the mean over
# the *training* types away, so a method that falls back on what training types do gets nothing for it.

# %%
chosen = [CEILING, FLOOR, "bulk smoothed", "gradient boosting", OURS, OTHERS]
pd.concat({k: tables[k].loc[chosen, ["SCC", "SCCt", "dC", "dIns"]] for k in tables}, axis=1).round(
    3
)

# %% tags=["hide-input"]
lines = []
for name in ("seen", "near", "far"):
    ahead = {m: tables[name].loc[competitors, m].idxmax() for m in ("SCC", "dC")}
    words = ", ".join(
        f"{m} {tables[name].loc[OURS, m]:.3f} against {tables[name].loc[row, m]:.3f} ({row})"
        for m, row in ahead.items()
    )
    lines.append(f"- **{name}**: {words}; {OTHERS}: SCC {tables[name].loc[OTHERS, 'SCC']:.3f}.")
Markdown("scGrapHiC against the best row without a network:\n\n" + "\n".join(lines))

# %% [markdown]
# The mean of the training types is the row to look at when somebody proposes to save the model and to
# borrow the map of a relative. How good that is depends on how near the relatives are, and it needs
# their maps. What a model learned about expression carries over to a type without relatives.
#
# ## Look at one
#
# The far type, at the place where it differs most from the training types. A log ratio of zero is
# white; colours say where this cell type has more (red) or fewer (blue) contacts than the training
# types on average.

# %% caption="Log₂ of the far cell type over the mean of the training types, in one window. Above: the truth, and the target, in which the noise of counting hides it. Below: what gradient boosting and scGrapHiC predict, each over the mean of its own predictions for the training types." alt="Four square heat maps in red and blue. The truth shows large smooth patches; the target is speckled; the two predictions are far paler." name="fig-far"
part, mean_true = tests["far"], reference["far"]
log_ratio = np.log2((truth["far"] + 1) / (mean_true + 1))
one = int(np.abs(log_ratio).mean(axis=(1, 2)).argmax())
starts = (tests["seen"].table["start"] == part.table.loc[one, "start"]).to_numpy()
relatives = tests["seen"][starts & (tests["seen"].table["chrom"] == part.table.loc[one, "chrom"])]


def predicted_ratio(model):
    """Log2 of a predicted map over the mean prediction for the training types, one window."""
    depth = truth["far"][one].sum() / part.bulk[one].sum()
    own, mean = model.predict(part[[one]], depth)[0], model.predict(relatives, depth).mean(axis=0)
    return np.log2((own + 1) / (mean + 1))


panels = {
    "truth": log_ratio[one],
    "target": np.log2((part.targets[one] + 1) / (mean_true[one] + 1)),
    "gradient boosting": predicted_ratio(models["gradient boosting"]),
    OURS: predicted_ratio(models[OURS]),
}
start, end = part.table.loc[one, ["start", "end"]]
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.4))
for ax, (name, values) in zip(axes.flat, panels.items(), strict=True):
    contact_map(ax, values, start=start, end=end, label="log₂ ratio", log=False, limits=(-1.5, 1.5))
    ax.set_title(name)
plt.show()

# %% tags=["hide-input"]
usable = np.outer(part.mask[one], part.mask[one]) & ~np.eye(window, dtype=bool)
agree = {k: np.corrcoef(v[usable], panels["truth"][usable])[0, 1] for k, v in panels.items()}
size = {k: v[usable].std() / panels["truth"][usable].std() for k, v in panels.items()}
Markdown(
    "Correlation with the truth in this window: "
    + ", ".join(f"{k} {agree[k]:.2f}" for k in list(panels)[1:])
    + ". Standard deviation of the log ratio, relative to that of the truth: "
    + ", ".join(f"{k} {size[k]:.2f}" for k in list(panels)[2:])
    + ". A prediction that is unsure is pale: what expression does not tell is averaged out."
)

# %% [markdown]
# ## Near the diagonal and far from it
#
# One number for a map hides where it is right. Here is dC distance by distance, over all windows of
# seen cell types at once.

# %% caption="Correlation of what is specific to a cell type with the truth, by distance, over all test windows of seen cell types. The target is what a replicate of 200 cells would score." alt="Three curves over distance from 0.05 to 2 Mb: scGrapHiC, gradient boosting, and the noisy target, which falls fastest with distance." name="fig-by-distance"


def contrasts(maps, part):
    """Maps on the common scale minus their mean over the cell types of a place."""
    maps = on_scale(maps, part.mask)
    group = part.table.groupby(["chrom", "start"]).ngroup().to_numpy()
    means = np.stack([maps[group == g].mean(axis=0) for g in range(group.max() + 1)])
    return maps - means[group]


def by_distance(a, b, distances):
    """Correlation of the pixels of two stacks at each distance; masked ones are left out."""
    found = []
    for d in distances:
        x, y = (np.diagonal(m, d, 1, 2).ravel() for m in (a, b))
        known = np.isfinite(x) & np.isfinite(y)
        found.append(np.corrcoef(x[known], y[known])[0, 1])
    return found


distances = np.arange(1, 40)
part = tests["seen"]
goal = contrasts(truth["seen"], part)
curves = {
    OURS: (BLUE, contrasts(models[OURS].predict(part), part)),
    "gradient boosting": (GREEN, contrasts(models["gradient boosting"].predict(part), part)),
    "target, 200 cells": (GREY, contrasts(part.targets, part)),
}
fig, ax = plt.subplots(figsize=(5.4, 3.4))
curves = {k: (color, by_distance(m, goal, distances)) for k, (color, m) in curves.items()}
for name, (color, values) in curves.items():
    ax.plot(distances * bin_size / 1e6, values, color=color, label=name)
ax.set(xlabel="distance (Mb)", ylabel="correlation of contrasts", ylim=(0, 1))
ax.legend(fontsize="small")
plt.show()

# %% tags=["hide-input"]
peak = {
    name: (max(v), distances[int(np.argmax(v))] * bin_size / 1e6) for name, (_, v) in curves.items()
}
last = {name: values[-1] for name, (_, values) in curves.items()}
Markdown(
    "; ".join(
        f"{name}: {peak[name][0]:.2f} at {peak[name][1]:.2f} Mb, {last[name]:.2f} at"
        f" {distances[-1] * bin_size / 1e6:.2f} Mb"
        for name in curves
    )
    + "."
)

# %% [markdown]
# Next to the diagonal little differs between cell types; far from it, contacts are few. In between the
# question is easiest. The gap between a prediction and the grey curve is not only a matter of learning: in
# this organism chromatin also answers to regulators in ways that leave no trace in expression, as it may
# in any other. What expression does not tell, no model can read from it. Where the grey curve is higher,
# measuring 200 cells of the type is the better guide.

# %% [markdown]
# ## How sure is it?
#
# All of this is one organism and one seed of the network. Windows overlap and lie on two chromosomes,
# so there are far fewer independent places than windows. What can be had without training anew is
# the spread over places: take every window that shares no bin with another, average over the cell
# types of a place, and look at the difference between two rows place by place.
# [The benchmarks](../../book/reproducibility.md#contact-maps-of-cell-types) repeat this page on three
# organisms with larger windows and longer training. They train the published model too, say how far
# its score on the validation chromosome rose, and how far the default falls short of what was asked of it.

# %%
per_window = score_windows(
    {k: models[k] for k in ("gradient boosting", OURS)}, part, truth=truth["seen"],
    reference=reference["seen"], training=part,
)  # fmt: skip
apart = per_window[per_window["start"] % (window * bin_size) == 0]
places = apart.groupby(["model", "chrom", "start"])[["SCC", "dC", "dIns"]].mean()
difference = places.loc[OURS] - places.loc["gradient boosting"]
summary = pd.DataFrame({
    "mean difference": difference.mean(),
    "standard error": difference.std() / np.sqrt(len(difference)),
    "places ahead": (difference > 0).sum().astype(str) + f" of {len(difference)}",
})  # fmt: skip
summary.round({"mean difference": 3, "standard error": 3})

# %% [markdown]
# A difference of less than two standard errors is not shown by these windows. And even a sure one is about this
# organism: its maps follow expression to a degree that was set when it was made. In real cells nobody
# set it. What the guide adds there has to be measured, with donors as replicates.
#
# ## Key points
#
# - Hold out chromosomes for new places; hold out cell types on held-out chromosomes for new types.
# - Put the truth (or a replicate) above the table and the copied bulk below it, and boosted trees with the
#   same inputs beside the model. A score without these rows has no scale.
# - Ordinary scores of maps are won by knowing chromatin in general. Ask for what is specific to the cell type by
#   itself: dC and dIns are 0 for any prediction that is the same for all types.
# - Take an input away and train anew to learn what it is worth.
# - A prediction is pale where its inputs do not decide. Read its sign before its size.
#
# ## Exercises
#
# > **Exercise** Score scGrapHiC on its own training windows, at places it knows. Which line of the code has to go
# > for that, and how much better does it look?
#
# <details><summary>Solution</summary>
#
# `score_windows` raises a `LeakageError`, because `check_evaluation` finds shared chromosomes. Call
# `contact_scores(model.predict(train), train)` instead, which knows no model. The gap in SCC to the
# test windows has two parts: what was remembered, and other chromosomes. To tell them apart, compare the
# gap with that of the copied bulk, which remembers nothing.
#
# </details>
#
# > **Exercise** Give the network the expression of the wrong cell type: exchange the tracks of the near type for those of
# > the far one before `predict`. Which scores notice?
#
# <details><summary>Solution</summary>
#
# `replace(tests["near"], tracks=tests["far"].tracks)`: both parts have their windows in the same
# order. SCC loses a few hundredths, as without expression or a little more. dC goes to about zero, or
# below where the two types differ from the mean in opposite directions. A guide that is *shuffled*
# is the cheapest control there is, and it needs no training.
#
# </details>
#
# > **Exercise** Targets of 200 cells are noisy. Draw targets of 20 and of 2,000 cells for the test windows, without training
# > anew. Which columns of the table move, and does the order of the rows change?
#
# <details><summary>Solution</summary>
#
# Change `n_cells` in a second call of `sample_contacts` and cut the windows again. MSE, SSIM and SCC
# move with the ceiling: with 20 cells all rows come close to each other, and with 2,000 the distance
# between floor and ceiling grows. SCCt, dC, ins and dIns do not move, because they look at the truth.
# A comparison of two papers by SCC is a comparison of the depths of their data.
#
# </details>
#
# ## Further reading
#
# - [Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223): scGrapHiC, its data and its scores.
# - [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): why predictions across cell types
#   must be compared with the average over cell types.
# - [Yardımcı et al. 2019](https://doi.org/10.1186/s13059-019-1658-7): what measures of agreement between
#   contact maps respond to.
# - [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of machine learning in genomics.
