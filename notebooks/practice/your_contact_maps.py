# %% [markdown]
# # Your own contact maps
#
# From a bulk map, single cells and a few measured maps to the map of a cell type, and how to see that a training failed.
#
# > **Learning goals**
# > - [bring files](#read-and-be-refused-early) and [tracks of other tools](#tracks-of-other-tools) into the form that the models read, and know which can be left out;
# > - train, predict and [score from files to files](#predict-and-look), in Python and on the command line, and open the result [elsewhere](#the-same-on-the-command-line-and-elsewhere);
# > - [recognise a training that failed](#did-the-training-work), with three checks.
# >
# > **Before**: [scGrapHiC, the package's](../spatial/scgraphic_package.ipynb).
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
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import audit
from scstlib.datasets import simulate_organism
from scstlib.files import build_windows, contact_training_cost, predict_contacts, read_inputs, score_contacts  # fmt: skip
from scstlib.metrics.contacts import stratum_adjusted_correlation
from scstlib.models import ScGrapHiC
from scstlib.pages import Claims, table
from scstlib.plots import book_style, contact_map
from scstlib.preprocess.contacts import normalise_depth

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# You have a bulk Hi-C map, single cells of the same tissue, and measured maps of some cell types. You want the maps of the other types, or maps of places where none was measured. This page goes all the way, with files as they lie on your disk.
#
# | file | what it must contain | without it |
# |---|---|---|
# | bulk map, `.mcool` or `.cool` | contacts of all cells together | no model here works |
# | cells, `.h5ad` | raw counts in `X`, the cell type in a column of `obs` | no model here works |
# | places of genes, GTF or BED | chromosome, start, end, strand; gene names as in the cells | put them into `var` of the cells |
# | maps of cell types, `.cool` | some tens of thousands of contacts on each chromosome, for at least two types | there is nothing to learn from |
# | CTCF sites, BED or FIMO's table | from a motif search, with strands; or peaks, which have none | leave it out, in training *and* prediction |
# | CpG content, bedGraph or bigWig | values along the genome | the same |
#
# All maps must share one bin size and one assembly. `hictk convert maps.hic maps.mcool` turns a `.hic` file into an `.mcool`. Sum single-cell Hi-C by cell type first ([Pseudo-bulk: how many cells?](../foundations/pseudo_bulk.ipynb) says how many cells you need). The example is written by the simulated organism, so that the page always runs. Put your own files in its place, and leave out the cells that call `claim`: they check what the page says of the example.

# %% tags=["hide-input"]
place = TemporaryDirectory()  # removed at the end of the session
folder = Path(place.name)
simulate_organism(seed=seed, preset="small", n_chromosomes=5, n_bins=320).write(folder)
(folder / "genes.gtf").write_text('#!genome-build GRCm39\nchr1\t.\tgene\t1\t99\t.\t+\t.\tgene_id "A";')  # fmt: skip
found = ad.read_h5ad(folder / "cells.h5ad")  # now as if each gene were a peak at its start
tss = np.where(found.var["strand"] == "+", found.var["start"], found.var["end"] - 1)
found.var_names = [f"{c}:{s}-{s + 500}" for c, s in zip(found.var["chrom"], tss, strict=True)]
ad.AnnData(found.X, found.obs[["cell_type"]], found.var[[]]).write_h5ad(folder / "peaks.h5ad")
sorted(path.name for path in folder.iterdir() if path.suffix != ".json")

# %% [markdown]
# ## Read, and be refused early
#
# Names of chromosomes, bin sizes, assemblies, genes and cell types are compared before anything is computed. What does not fit is refused, with a sentence that says why:

# %%
bulk = f"{folder}/bulk.mcool::resolutions/50000"
cells = folder / "cells.h5ad"
training = ["stem", "bipotent", "beta_precursor", "beta_mature"]
targets = {name: folder / f"{name}.cool" for name in training}
for uri, wrong in (
    (bulk, {"cell_types": ["delta"]}),
    (f"{folder}/bulk.mcool", {}),
    (bulk, {"genes": folder / "genes.gtf", "assembly": "mm10"}),
):
    try:
        read_inputs(uri, cells, window=64, **wrong)
    except ValueError as error:
        print("-", str(error).replace(f"{folder}/", ""))

# %% [markdown]
# **Which assembly?** Few contact maps name theirs, so name it yourself: `assembly="mm10"`, and files that say something else are refused: cells with `uns["assembly"]`, targets, the comments of a GTF file. Chromosomes of targets and of bigWig files must be as long as those of the bulk map, and genes and sites beyond the end are refused. What no check of files finds is a BED or bedGraph file of another assembly with all places inside the chromosomes: its values are in the wrong bins, so the tracks that the model reads, its [guide](../../book/glossary.md#guide), tell less, which the checks below measure but cannot name. Look up one gene near the end of a long chromosome in a genome browser.
#
# ## Tracks of other tools
#
# **CTCF.** JASPAR has the motif, and [FIMO](https://meme-suite.org/meme/doc/fimo.html) finds where it fits. Without `--text`, FIMO keeps at most 100,000 places. The table is given as it is, `ctcf="fimo.tsv"`, and makes a track for each strand:
#
# ```console
# $ curl -O https://jaspar.elixir.no/api/v1/matrix/MA0139.2.meme
# $ fimo --text --thresh 1e-5 MA0139.2.meme mm10.fa > fimo.tsv
# ```
#
# The motif also fits where no CTCF is bound: at this threshold, on two strands of 2.7 billion bases, some 54,000 places of the mouse genome do so by chance. If you have CTCF or ATAC peaks of your tissue, let FIMO search them alone (`bedtools getfasta`, then `fimo --parse-genomic-coord`).
#
# **bigWig.** After `pip install pybigtools`, a bigWig file is read wherever a bedGraph file is, and averaged in bins. `cpg="signal.bw"` takes any signal that is the same for all cell types; expression comes as two files a type, `{"stem": ("plus.bw", "minus.bw")}`, in place of the cells.
#
# **ATAC instead of RNA.** The model asks for numbers of each bin and cell type and does not know what they mean. Gene activities are read as expression is. Peaks are, too, once each has a place; ATAC has no strands, so all go to the first track, still called expression, and the second is zero. Two tracks of the mean of the `reference` types follow, and two of the type that the bulk map is of (`bulk_expression`, here stem cells). The peaks here are made from the genes of the organism: this shows how ATAC is read, not how well a model does with it, which has not been measured.

# %%
shared = {"reference": training, "bulk_expression": "stem", "window": 64}
atac = ad.read_h5ad(folder / "peaks.h5ad")  # cells × peaks, counts
sites = atac.var_names.str.extract(r"(.+)[:-](\d+)-(\d+)$").to_numpy()
atac.var[["chrom", "start", "end"]] = sites
atac.var = atac.var.astype({"start": int, "end": int}).assign(strand="+")
print(build_windows(bulk, atac, chromosomes=["chr5"], **shared).track_names)

# %% [markdown]
# ## Train
#
# The last chromosome is kept for the test, and the one before it for **validation**: training stops when the likelihood there no longer improves. `reference` names the cell types whose mean expression the [guide](../../book/glossary.md#guide) is compared with. It must be the same in training and prediction, and may name only training types.

# %%
windows = build_windows(bulk, cells, targets=targets, stride=32, **shared)
chrom = windows.table["chrom"].to_numpy()
train = windows[~np.isin(chrom, ["chr4", "chr5"])]
validation, test = windows[chrom == "chr4"], windows[chrom == "chr5"]
n_steps = 150 if profile == "fast" else 2000
settings = {"n_steps": n_steps, "crop": 32, "seed": seed}
settings |= {"validate_every": n_steps // 5}
cost = contact_training_cost(train, ScGrapHiC(**settings).settings)
print(f"{len(train)} windows: {cost}")

# %%
model = ScGrapHiC(**settings).fit(train, validation=validation)
model.save(folder / "model.safetensors")

# %% [markdown]
# ## Did the training work?
#
# A network that learned nothing still draws a map with a diagonal and domains: those of the bulk. So looking at the map is not a check. These are:
#
# 1. **The loss does not blow up** (`model.losses_`). A quiet curve shows little else: most of the loss is noise of counting, and it depends on the windows that a step draws far more than on the guide.
# 2. **The model reads its guide.** `audit.input_use` shuffles an input and measures by how much the maps change.
# 3. **It beats what it must beat** on validation windows, in [SCC](../../book/glossary.md#stratum-adjusted-correlation-scc) against the measured maps: the bulk, its own map with the expression of *another* cell type, and the mean of its maps over cell types. `audit.prefers_truth` finds the ones that score as well. If the last two do, the model ignores expression, or has collapsed to the mean.
#
# To see what failures look like, three more models are trained to fail: one with too few steps, one whose guides were swapped between cell types before training, as happens when two tables are joined wrongly, and one with a learning rate that is 1,000 times too large.

# %% tags=["hide-input"]
n_types, target = len(training), normalise_depth(validation.targets)
n = len(validation) // n_types  # places; on one chromosome, windows come type by type
other_guide = replace(validation, tracks=np.roll(validation.tracks, n, axis=0))
rng, rows = np.random.default_rng(seed), np.arange(len(train))
for group in train.table.groupby(["chrom", "start"]).indices.values():
    rows[group] = rng.permutation(group)
failing = {
    "5 steps": (train, {"n_steps": 5, "validate_every": 1}),
    "guides swapped": (replace(train, tracks=train.tracks[rows]), {}),
    "rate too large": (train, {"n_steps": 20, "validate_every": 4, "learning_rate": 3.0}),
}
fitted = {"as above": model} | {n: ScGrapHiC(**(settings | changed)).fit(part, validation=validation) for n, (part, changed) in failing.items()}  # fmt: skip

# %% tags=["hide-input"] caption="Training loss at each step. The rate that is too large leaves the figure for some steps. The model that worked (wide line) and the one with swapped guides (dashed, on top of it) cannot be told apart. They jump near the end, when training goes from parts of windows to whole ones." alt="Loss over 150 steps: a wide jagged line with a thin dashed line exactly on it, which jumps up near the end; a short line at the left; and a line that leaves the figure at the top and comes back." name="fig-own-losses"
fig, ax = plt.subplots(figsize=(5.2, 2.8))
for (name, each), style in zip(fitted.items(), ("-", "o-", "--", "x-"), strict=True):
    wide = {"lw": 5, "alpha": 0.35} if each is model else {"lw": 1}
    ax.plot(each.losses_["train"], style, ms=4, label=name, **wide)
ax.set(xlabel="training step", ylabel="training loss", ylim=(-350, 50))
fig.legend(loc="outside upper center", ncols=2)
plt.show()


# %%
def scc(maps, target):
    maps = normalise_depth(maps)
    return np.nanmean(stratum_adjusted_correlation(maps, target))


def checks(fitted):
    own = fitted.predict(validation)
    mean = own.reshape(n_types, n, 64, 64).mean(axis=0)
    worse = {
        "bulk": validation.bulk,
        "guide of another type": fitted.predict(other_guide),
        "mean of the types": np.tile(mean, (n_types, 1, 1)),
    }
    options = {"higher_is_better": True, "margin": 0.002}
    score = audit.prefers_truth(scc, own, worse, target, **options)
    use = audit.input_use(
        lambda guide: fitted.predict(replace(validation, tracks=guide)),
        {"guide": validation.tracks}, changes=["shuffled"], tolerance=0.02,
    )  # fmt: skip
    return [*use.rows, *score.rows]


found = {name: checks(each) for name, each in fitted.items()}

# %% tags=["hide-input"]
verdict, evidence = (pd.DataFrame({n: {r.where: getattr(r, what) for r in rows} for n, rows in found.items()}).T for what in ("verdict", "evidence"))  # fmt: skip
names = {"guide": "guide ignored"} | {n: f"no better than: {n}" for n in verdict.columns[1:]}
table(verdict.replace({"finding": "found", "holds": "–"}).rename(columns=names).rename_axis("training"))  # fmt: skip

# %% tags=["hide-input"] caption="How mature beta cells differ from stem cells at one place of the validation chromosome: log₂ ratio of the two maps, as measured and as predicted by three models. The model that worked shows the largest changes, blurred; the other two are flat, or nearly so." alt="Four square heat maps, red and blue on white. The measured one is speckled with a red and a blue region; the one of the good model shows regions at the same places, smooth; the other two are white or nearly white." name="fig-own-failures"
first, second = (validation[(validation.table["cell_type"] == k).to_numpy()] for k in ("beta_mature", "stem"))  # fmt: skip
pairs = {"measured": (first.targets, second.targets)} | {n: (m.predict(first), m.predict(second)) for n, m in fitted.items() if n != "5 steps"}  # fmt: skip
change = {k: np.log2(np.divide(*(1e4 * m / m.sum((1, 2), keepdims=True) + 0.5 for m in v))) for k, v in pairs.items()}  # fmt: skip
at = int(np.abs(change["as above"]).mean((1, 2)).argmax())
where = dict(zip(("start", "end"), first.table.iloc[at][["start", "end"]], strict=True))
fig, axes = plt.subplots(2, 2, figsize=(5.4, 6.4))
for ax, (name, ratio) in zip(axes.flat, change.items(), strict=True):
    contact_map(ax, ratio[at], **where, log=False, label="log₂ ratio", limits=(-1, 1))
    ax.set_title(name)
plt.show()

# %% tags=["hide-input"]
good, swapped = (fitted[n].losses_["train"] for n in ("as above", "guides swapped"))
apart, jitter = np.abs(good - swapped).mean(), np.abs(np.diff(good)).mean()
use, bad = evidence["guide"].astype(float), verdict == "finding"
claim(
    f"The loss finds the rate that is too large, but not the swapped guides. With these it differs from that of the model that worked by {apart:.1f} on average, where it changes by {jitter:.0f} from step to step. The audits find all three failures. Shuffling the guide changes the maps of the model that worked by {use.iloc[0]:.0%}, those of the others by at most {use.iloc[1:].max():.1%}. With swapped guides the model still beats the bulk, because taking noise out of the bulk needs no guide; but its own maps are no better than those with the guide of another type, or than their mean.",
    apart < 0.05 * jitter, fitted["rate too large"].losses_["train"].max() > 1000, np.ptp(change["rate too large"]) < 0.01,
    use.iloc[0] > 0.03, use.iloc[1:].max() < 0.02, not bad.loc["as above"].any(),
    not bad.loc["guides swapped", "bulk"], bad.loc["guides swapped"].sum() == 3, bad.loc["5 steps"].sum() >= 3, bad.loc["rate too large"].all(),
)  # fmt: skip

# %% [markdown]
# A map without any structure cannot come from this model, which starts from the bulk map. In a network whose last sigmoid sticks it can, and `audit.saturation` finds it; `audit.gradient_flow` finds parts that get no gradient ([Auditing scGrapHiC](../pitfalls/auditing_scgraphic.ipynb)).
#
# ## Predict, and look
#
# Now predict a cell type that was not in training, on the chromosome that was not in training. The result is an `.mcool` file whose metadata say what it was made from:

# %%
new = {"cell_types": ["alpha_mature"], "chromosomes": ["chr5"]}
new = read_inputs(bulk, cells, **new, **shared)
written = predict_contacts(model, new, folder / "maps.mcool", stride=32)
print({name: path.name for name, path in written.items()})

# %% tags=["hide-input"] caption="A part of chromosome 5, in contacts on a logarithmic scale: the bulk map of stem cells, the predicted map of mature alpha cells, and the measured one, from 200 cells." alt="Three square heat maps with a dark diagonal and blocks along it. The predicted map is smooth where the measured one is speckled." name="fig-own-maps"
measured = folder / "alpha_mature.cool"
one = build_windows(bulk, cells, targets={"alpha_mature": measured}, chromosomes=["chr5"], stride=32, **shared)[2:3]  # fmt: skip
shown = {"bulk": one.bulk[0], "predicted": model.predict(one)[0], "measured": one.targets[0]}
where = dict(zip(("start", "end"), one.table.iloc[0][["start", "end"]], strict=True))
fig, axes = plt.subplots(1, 3, figsize=(7.2, 3))
for ax, (name, values) in zip(axes, shown.items(), strict=True):
    contact_map(ax, values / values.sum() * 1e4, **where, log=True, label="contacts (of 10,000)")
    ax.set_title(name)
plt.show()

# %% [markdown]
# ## Score
#
# `score_contacts` compares a predicted file with a measured one. It also scores the bulk map and one half of the measured contacts (the [ceiling](../../book/glossary.md#floor)). It warns if the model was fitted on these chromosomes. Beside SCC the table has [SSIM](../../book/glossary.md#structural-similarity-ssim), [GD](../../book/glossary.md#genomedisco-gd) and *ins*, the correlation of [insulation scores](../../book/glossary.md#insulation-score); larger is better in all.

# %%
own = written["alpha_mature"]
scores = score_contacts(own, measured, bulk, chromosomes=["chr5"])
means = scores.groupby("model", sort=False)[["SCC", "SSIM", "GD", "ins"]]

# %% tags=["hide-input"]
means = means.mean()
table(means.rename_axis("map"), best=dict.fromkeys(means, "max"), apart=(means.index[-1],))

# %% tags=["hide-input"]
gain, ins = means.loc["prediction", ["SCC", "ins"]] - means.loc["bulk", ["SCC", "ins"]]
claim(
    f"For a cell type and a chromosome that the model has never seen, and after {n_steps} steps in place of 2,000, the prediction is {gain:.3f} above the bulk in SCC and {ins:.3f} in insulation. Compare these gains, not the scores themselves, most of which any map of this genome reaches.",
    gain > 0, ins > 0,
)  # fmt: skip

# %% [markdown]
# ## The same on the command line, and elsewhere
#
# ```console
# $ scstlib train contacts --bulk bulk.mcool::resolutions/50000 \
#     --expression cells.h5ad --genes genes.bed \
#     --targets stem=stem.cool beta_mature=beta_mature.cool \
#     --reference stem beta_mature --validation-chromosomes chr4 \
#     --chromosomes chr1 chr2 chr3 --window 64 --out model.safetensors
# $ scstlib predict-contacts --bulk bulk.mcool::resolutions/50000 \
#     --expression cells.h5ad --genes genes.bed --reference stem beta_mature \
#     --model model.safetensors --cell-types alpha_mature \
#     --chromosomes chr5 --out maps.mcool
# $ scstlib score contacts --predicted maps.alpha_mature.mcool \
#     --measured alpha_mature.cool --bulk bulk.mcool::resolutions/50000 \
#     --chromosomes chr5
# $ cooltools insulation maps.alpha_mature.mcool::resolutions/50000 250000 \
#     --clr-weight-name "" --ignore-diags 2 --output insulation.tsv
# $ cooltools expected-cis maps.alpha_mature.mcool::resolutions/50000 \
#     --clr-weight-name "" --output expected.tsv
# $ higlass-manage view maps.alpha_mature.mcool
# ```
#
# An empty `--clr-weight-name` says that the map is not balanced; in Python it is `None`. Do not balance a predicted map again, and do not call loops in it as if its pixels were counts: they are expected values without noise. In Jupyter, after `pip install higlass-python`, `higlass.view(higlass.cooler("maps.alpha_mature.mcool").track("heatmap"))` shows the map. A test of this book runs the two commands of cooltools as they stand here; the lines for HiGlass follow its documentation and were not run.
#
# ## Check yourself
#
# <details><summary>Your bulk map and your cells come from different laboratories. Does that matter?</summary>
#
# For the bulk it matters less than you may think, because the bulk gives the structure of the genome. For the cells it matters more: their expression is compared with the mean of the training types, so training and new cell types must be measured in the same way.
#
# </details>
#
# <details><summary>All three checks pass on validation chromosomes of training types. What has not been tested?</summary>
#
# A new cell type. Leave one of the measured types out of training and score it on a held-out chromosome, as in [Evaluating contact maps](../spatial/evaluating_contact_maps.ipynb).
#
# </details>
#
# <details><summary>You have maps of one cell type only. What can be learned?</summary>
#
# To remove noise from the bulk map, and how the decay with distance shifts. Nothing about what expression does, because expression never differs.
#
# </details>
#
# ## Key points
#
# - A bulk map, cells and at least two measured maps are needed; CTCF and CpG are not.
# - Split by chromosomes, and name the training types as the reference.
# - A good loss curve shows nothing about the guide: predict with a wrong guide, and see what it costs.
# - Report the gain over the bulk map, and the ceiling.
#
# ## Exercises
#
# > **Exercise** Leave `beta_mature` out of `training` and run the page down to the table of checks. Compare `evidence.loc["as above"]` with what it was. Which checks get worse?
#
# <details><summary>Solution</summary>
#
# With three types left there is less contrast to learn from. So look first at the two checks that need the guide: the maps with the guide of another type, and the mean of the types. Beating the bulk map needs only less noise.
#
# </details>
#
# > **Exercise** Train without validation windows and for 20 times as many steps. How would you notice overfitting?
#
# <details><summary>Solution</summary>
#
# The training loss keeps falling while the SCC on the validation windows gets worse. [Tuning and overfitting](../pitfalls/tuning_and_overfitting.ipynb) shows such curves.
#
# </details>
#
# ## Further reading
#
# [Evaluating contact maps](../spatial/evaluating_contact_maps.ipynb): scores, floors and splits. [Human cortex](../spatial/human_cortex.ipynb): the same with real maps, where expression adds little.
