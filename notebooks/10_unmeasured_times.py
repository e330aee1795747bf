# %% [markdown]
# # Expression at unmeasured times
#
# > **Learning goals**
# > - predict a population of cells at a time that was not measured, with three baselines and with
# >   scNODE as published;
# > - score predicted populations on held-out times, and read a score between its floor and its
# >   constant;
# > - say which method you would use on this series, and on what evidence.
# >
# > **Before**: [Counts of single cells](01_single_cells.ipynb).
# >
# > **Time**: 30 min to read, 2 min to run.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from sklearn.decomposition import PCA

from scstlib.datasets import load
from scstlib.metrics.expression import energy_distance, mean_error, sinkhorn
from scstlib.models.baselines import ConstantMean, CopyNearest, InterpolatedMean
from scstlib.models.comparison import SPLIT_HALF, median_table, score_held_out_times
from scstlib.models.scnode import ScNODE
from scstlib.models.transport import DisplacementInterpolation
from scstlib.plots import BLUE, GREY, ORANGE, book_style, populations, score_bars
from scstlib.splits import hold_out_times

plt.rcParams.update(book_style())

# %% [markdown]
# ## A series with two times hidden
#
# Reading a cell's RNA destroys the cell. A time course of single cells is therefore a row of
# [snapshots](../book/glossary.md#snapshot): other cells at every time, and no cell at any time in
# between. Predicting an unmeasured time means predicting a *population*, not the fate of a cell.
#
# The series is the one of [Semrau et al. 2017](https://doi.org/10.1038/s41467-017-01076-4): mouse
# embryonic stem cells that leave pluripotency under retinoic acid, read out for a panel of 41
# genes. The cells of 36 h and 60 h are put aside before anything else happens.

# %%
adata = load("semrau2017")
adata.X = adata.X.astype(np.float32)
np.log1p(adata.X.data, out=adata.X.data)
adata.uns["value_kind"] = "log1p counts"

split = hold_out_times(adata, test=[36.0, 60.0])
train, test = split.train, split.test
adata.obs.groupby("time").size().rename_axis("hours").to_frame("cells")

# %% [markdown]
# The values are $\log(1 + \text{count})$, without a division by the cell's total. A panel of
# markers has no stable total: the genes were chosen because they change, so the total of a cell
# follows its biology as much as its [depth](../book/glossary.md#depth). The cell below measures
# that.

# %% tags=["hide-input"]
totals = np.expm1(adata.to_df()).sum(axis=1)
by_time = totals.groupby(adata.obs["time"]).median()
Markdown(
    f"The median cell has {totals.median():.0f} counts over {adata.n_vars} genes, and"
    f" {np.mean(adata.to_df().to_numpy() == 0):.0%} of the entries are zero. The median total goes"
    f" from {by_time.min():.0f} (at {by_time.idxmin():.0f} h) to {by_time.max():.0f} (at"
    f" {by_time.idxmax():.0f} h)."
)

# %% [markdown]
# ## What a score should ask
#
# A predicted population can be wrong in its place, in its spread or in its composition. Three
# scores are used here, all in the 41 genes, all smaller for better:
#
# - the *mean error*, the distance between the two mean profiles: it sees the place alone;
# - the *Sinkhorn divergence* of the scNODE paper
#   ([Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393)), with cost
#   $\tfrac12\lVert x-y\rVert^2$: about half of the squared
#   [Wasserstein distance](../book/glossary.md#wasserstein-distance) $W_2^2$, not $W_2$;
# - the *energy distance*, which is 0 only for equal populations and is a proper score
#   ([Gneiting and Raftery 2007](https://doi.org/10.1198/016214506000001437)).
#
# A score is a number without a scale until two rows stand beside it. The **floor** is what measured
# cells reach against measured cells: one random half of the held-out cells scored against the
# other half. The **constant** repeats one vector, the mean profile interpolated between the
# neighbouring times. It holds no population at all, so a score that ranks it well does not ask for
# one.

# %%
metrics = {
    "mean error": mean_error,
    "Sinkhorn divergence": sinkhorn,
    "energy distance": energy_distance,
}

# %% [markdown]
# ## Three baselines
#
# | method | predicted cells |
# |---|---|
# | nearest time copied | cells of the nearest measured time |
# | interpolated mean | the same cells, moved so that their mean lies on the straight line between the neighbouring means |
# | OT displacement | optimal transport pairs the cells of the two neighbouring times; each predicted cell lies on the line between a pair |
#
# They train nothing and have no setting that was chosen here. The second and the third assume that
# expression moves in straight lines; the third lets each cell have a line of its own.

# %%
models = {
    "one constant vector": [ConstantMean().fit(train)],
    "nearest time copied": [CopyNearest().fit(train)],
    "interpolated mean": [InterpolatedMean().fit(train)],
    "OT displacement": [DisplacementInterpolation().fit(train)],
}

# %% [markdown]
# ## scNODE as published
#
# scNODE has three parts. An encoder turns a cell into a point of a latent space; a drift, a small
# neural network, says how fast and where to a latent point moves; a decoder turns latent points back
# into cells. Training has two phases. First, encoder and decoder learn to reproduce the training
# cells. Then all three parts are trained together: cells of the first time are encoded, moved through
# all training times by the drift and decoded, and the Sinkhorn divergence between decoded and
# measured cells is made small at every training time.
#
# The settings are those of the authors for zebrafish (latent size 50, two hidden
# layers of 50 in the drift, 200 + 1000 steps). One thing differs: the drift takes the measured
# hours, scaled to the mean interval, where the published code counts the time points. For a counter the
# 24 h from 72 h to 96 h are as long as the 6 h from 0 h to 6 h; for the clock they are not. Three models
# are trained from three seeds.

# %%
points = adata.obs["time"].unique()
scnode = [
    ScNODE("published", time="real", time_points=points, seed=s).fit(train)
    for s in range(seed, seed + 3)
]
models["scNODE as published"] = scnode
n_weights = sum(weights.numel() for weights in scnode[0].model.network_.parameters())
print(f"{n_weights:,} weights, trained on {train.n_obs:,} cells of {train.n_vars} genes")

# %% caption="Training loss of three seeds. *Left*: the reconstruction error of the autoencoder. *Right*: the transport loss, which falls fast and then wanders, because every step compares new random batches." alt="Two line charts. The left one falls smoothly over 200 steps, the right one falls within about 200 of 1000 steps and then stays level with much scatter." name="fig-loss"
fig, axes = plt.subplots(1, 2, figsize=(5.4, 2.8))
for model in scnode:
    axes[0].plot(model.losses_["pretrain"], lw=1)
    axes[1].plot(10 * np.arange(len(model.losses_["joint"])), model.losses_["joint"], lw=0.7)
axes[0].set(xlabel="step", ylabel="mean squared error", yscale="log", title="autoencoder")
axes[1].set(xlabel="step", ylabel="transport loss", yscale="log", title="all parts together")
axes[0].set_yticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"], minor=False)
axes[1].set_yticks([2, 4, 8], ["2", "4", "8"], minor=False)
for ax in axes:
    ax.tick_params(axis="y", which="minor", labelleft=False)
plt.show()

# %% [markdown]
# ## The table
#
# Each entry is a median over three random halves of the measured cells and, for scNODE, over three
# seeds; smaller is better. All rows compare as many predicted cells as one half holds with
# the other half, in the 41 genes; the Sinkhorn divergence has blur 0.05 and scaling 0.5, as published.

# %%
scores = score_held_out_times(models, test, metrics, seed=seed)
table = median_table(scores)
table.round(3)

# %% caption="Energy distance on the two held-out times. Bars are medians, dots single scores: three random halves, and three seeds for scNODE." alt="Two bar charts with one bar for each method. The split half is near zero, OT displacement and the interpolated mean come next, the constant vector is far behind all others." name="fig-scores"
colors = {SPLIT_HALF: GREY, "one constant vector": GREY, "scNODE as published": ORANGE}
fig, axes = plt.subplots(2, 1, figsize=(5.4, 4.8), sharex=True)
energy = scores[scores["metric"] == "energy distance"]
for ax, (time, part) in zip(axes, energy.groupby("time"), strict=True):
    score_bars(ax, part, label="", colors=colors)
    ax.set_title(f"{time:.0f} h")
axes[1].set_xlabel("energy distance (log counts; smaller is better)")
plt.show()

# %% [markdown]
# The verdict below is computed from the table, so it stays true when you change a seed, a setting
# or the held-out times.

# %% tags=["hide-input"]
contenders = table.drop(index=[SPLIT_HALF])
best = contenders.idxmin()
worst = contenders.idxmax()
by_metric = "; ".join(
    f"{name}: " + ", ".join(f"{best[name, t]} at {t:.0f} h" for t in (36.0, 60.0))
    for name in metrics
)
gap = table["energy distance"].loc["scNODE as published"] / table["energy distance"].min()
Markdown(
    f"The lowest score of all predictions: {by_metric}. The constant vector has the highest energy distance at"
    f" {np.sum(worst['energy distance'] == 'one constant vector')} of 2 times and the highest"
    f" Sinkhorn divergence at {np.sum(worst['Sinkhorn divergence'] == 'one constant vector')} of 2."
    f" The energy distance of scNODE is {gap[36.0]:.0f} times the floor at 36 h and"
    f" {gap[60.0]:.0f} times at 60 h."
)

# %% [markdown]
# > **Note** The order of methods depends on the score. The mean error sees the place alone. The energy
# > distance also asks that predicted cells scatter like measured ones. The divergence stands between:
# > it is lowest for cells that scatter *less* than measured ones, because every predicted cell is paired
# > with a measured one, and a cell near the middle is near to more of them. The next cell shows it.

# %%
n_half = int((test.obs["time"] == 36.0).sum()) // 2
displaced = models["OT displacement"][0].sample([36.0], n_half, seed=seed).X
at_36 = test[test.obs["time"] == 36.0].to_df().to_numpy()
centre = displaced.mean(axis=0)
pulled = {pull: displaced + pull * (centre - displaced) for pull in [0.0, 0.3, 0.6, 1.0]}
rows = {
    f"{pull:.0%}": {name: f(cells, at_36) for name, f in metrics.items()}
    for pull, cells in pulled.items()
}
pd.DataFrame(rows).T.rename_axis("pulled to their mean").round(2)

# %% [markdown]
# ## Look at the cells
#
# The principal components are fitted on the training cells alone. Distances in this plane are
# distances in expression; in a UMAP they would not be
# ([Chari and Pachter 2023](https://doi.org/10.1371/journal.pcbi.1011288)).

# %% caption="Measured cells of the held-out 60 h (grey) and as many predicted cells (orange-red) in the first two principal components of the training cells. Displaced cells cover the measured cloud; copied cells and scNODE's lie to the right of it; the constant is one point." alt="Four scatter plots over the same grey cloud. Predicted cells cover it for OT displacement, are shifted to the right for the copied time and for scNODE, and fall on a single point for the constant." name="fig-cells"
pca = PCA(2, random_state=seed).fit(train.to_df())
measured = test[test.obs["time"] == 60.0].to_df()
axis_names = tuple(f"PC {i + 1} ({v:.0%})" for i, v in enumerate(pca.explained_variance_ratio_))
shown = ["nearest time copied", "one constant vector", "OT displacement", "scNODE as published"]
fig, axes = plt.subplots(2, 2, figsize=(5.4, 5.0), sharex=True, sharey=True)
for ax, name in zip(axes.flat, shown, strict=True):
    predicted = models[name][0].sample([60.0], len(measured), seed=seed).to_df()
    populations(ax, pca.transform(measured), pca.transform(predicted), labels=axis_names)
    ax.set_title(name)
    ax.label_outer()
axes[0, 0].legend(loc="upper left", fontsize="small", markerscale=2)
plt.show()

# %% [markdown]
# The spread of each gene can be put in a number: the variance of each gene over the predicted cells, divided by
# its variance over the measured cells.

# %% tags=["hide-input"]
ratios = {}
for name, members in models.items():
    predicted = members[0].sample([60.0], len(measured), seed=seed).to_df()
    ratios[name] = float((predicted.var() / measured.var()).median())
Markdown(
    "Median ratio of variances at 60 h, 1 is right: "
    + ", ".join(f"{name} {value:.2f}" for name, value in ratios.items())
    + "."
)

# %% caption="Mean expression of four genes over time. Filled dots were measured and used, open dots were held out; the line is scNODE (median of three seeds), the dashes join the measured means." alt="Four small line charts, one a gene. Pluripotency genes fall, differentiation genes rise; the scNODE line follows the dashed line with deviations at the held-out times." name="fig-genes"
genes = ["Zfp42", "Dnmt3b", "Hoxa1", "Sparc"]
means = adata.to_df().groupby(adata.obs["time"]).mean()
hours = np.linspace(0, 96, 33)
paths = np.stack([
    m.sample(hours, 200, seed=seed).to_df().to_numpy().reshape(len(hours), 200, -1).mean(1)
    for m in scnode
])  # fmt: skip
fig, axes = plt.subplots(2, 2, figsize=(5.4, 4.2), sharex=True)
for ax, gene in zip(axes.flat, genes, strict=True):
    ax.plot(hours, np.median(paths, axis=0)[:, adata.var_names.get_loc(gene)], color=ORANGE)
    ax.plot(
        means.index.difference([36.0, 60.0]),
        means[gene].drop([36.0, 60.0]),
        "o--",
        color=BLUE,
        lw=1,
    )
    ax.plot([36.0, 60.0], means.loc[[36.0, 60.0], gene], "o", mfc="white", color=BLUE)
    ax.set_title(gene, style="italic")
fig.supxlabel("hours of retinoic acid")
fig.supylabel("mean log(1 + count)")
plt.show()

# %% [markdown]
# ## What the split shows, and what it does not
#
# Two held-out times, one series, 41 genes: the table ranks methods on this split and no other. The
# held-out times are inner times, where straight lines are a strong guess; nothing here says how a
# method extrapolates. And a population can be right for a wrong reason: many dynamics pass
# through the same snapshots ([Weinreb et al. 2018](https://doi.org/10.1073/pnas.1714723115)).
#
# ## Key points
#
# - A prediction at an unmeasured time is a population; score it with rows for the floor and for a
#   constant in the same table.
# - The straight-line baselines need no training and are hard to beat on inner times.
# - Scores disagree because they ask different questions. Decide the question first.
# - Hold out whole times. Cells of the test times touch neither the fit nor the axes of a figure.
#
# ## Exercises
#
# > **Exercise** Hold out 96 h, the last time, in place of 36 h and 60 h. Which baselines still
# > differ from each other, and why?
#
# <details><summary>Solution</summary>
#
# `split = hold_out_times(adata, test=[96.0])`, then run the page again. Outside the measured range
# there is no line to follow: the nearest time, the interpolated mean and the displacement all
# repeat the cells of 72 h, and differ only in which cells they draw. scNODE is the only method of
# this page that goes on moving.
#
# </details>
#
# > **Exercise** Add `DisplacementInterpolation(n_components=6)` to `models`. Its mean error
# > hardly changes. What happens to the energy distance, and what did the projection take away?
#
# <details><summary>Solution</summary>
#
# The energy distance rises: six components keep what the genes do together and drop what
# each gene does alone, most of which is counting noise. The cells are de-noised, as scNODE's are,
# and pay for it in any score that compares scatter.
#
# </details>
#
# > **Exercise** Train scNODE with `time="index"`. Are the held-out times predicted better by the
# > counter or by the clock?
#
# <details><summary>Solution</summary>
#
# Replace `time="real"` and compare the tables. Judge by the scatter over seeds: a difference that is
# smaller than the spread of the three seeds is not a finding.
#
# </details>
#
# ## Further reading
#
# - [Zhang et al. 2024](https://doi.org/10.1093/bioinformatics/btae393): scNODE, its data sets and its
#   comparison.
# - [Schiebinger et al. 2019](https://doi.org/10.1016/j.cell.2019.01.006): optimal transport between
#   measured times, with growth.
# - [Lavenant et al. 2024](https://doi.org/10.1214/23-AAP1969): when snapshots do determine the
#   dynamics.
