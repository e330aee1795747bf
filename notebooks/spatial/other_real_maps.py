# %% [markdown]
# # Neurons and other real maps
#
# How far one gets without a guide, on maps of mouse neurons, and how a predicted map becomes a file.
#
# > **Learning goals**
# > - [say what can be asked of maps that come without expression](#stem-cells-and-neurons), and what cannot;
# > - [hold out a region of one chromosome](#one-chromosome-hold-out-a-region), with a gap;
# > - [tell a high score of a map from a change that was learned](#three-predictions-and-a-relative);
# > - [write a predicted map to a file that a genome browser opens](#a-file-for-a-genome-browser).
# >
# > **Before**: [Human cortex](human_cortex.ipynb).
# >
# > **Time**: 13 min to read, 1 min to run; the first run also unpacks 400 single cells (1 min).

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
import tempfile
import warnings
from pathlib import Path

import cooler
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from scstlib import checks
from scstlib.datasets import load
from scstlib.files import predict_contacts, read_inputs
from scstlib.leakage import check_evaluation
from scstlib.metrics.contacts import contrast_correlation, stratum_adjusted_correlation
from scstlib.models.spatial import BulkCopy, BulkRidge, BulkSmoothed, ContactTrees
from scstlib.pages import Claims, table
from scstlib.plots import book_style, contact_map
from scstlib.preprocess.contacts import make_windows, normalise_depth
from scstlib.preprocess.tracks import interval_track
from scstlib.splits import hold_out_regions
from scstlib.viewers import map_viewer

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# Many contact maps come without expression of the same cells. Are they of any use to a model that predicts the map of a
# cell type? For one question they are: how much of the change from one cell type to another can be predicted from the
# map before it, with no [guide](../../book/glossary.md#guide) at all? Any gain from a guide has to be compared with that.
#
# ## Stem cells and neurons
#
# The data are three deep maps of chromosome 19 at 100 kb, of mouse embryonic stem cells (ES), neural progenitors (NPC)
# and cortical neurons (CN): `bonev2017_chr19` of [the data page](../../book/data.md) ([Bonev et al.
# 2017](https://doi.org/10.1016/j.cell.2017.09.043)). A model is given the ES map. With CpG content as the only track,
# it predicts for CN whatever it predicts for NPC, and the contrast between the two is 0 by construction. So the
# question of [Human cortex](human_cortex.ipynb), what tells cell types apart, cannot be asked here. How the map changes
# from ES to neural cells can be asked.

# %% tags=["hide-input"]
neural = load("bonev2017_chr19")
last = 613  # the last listed bin has a seventh of its neighbour's contacts
full = {name: neural.matrix(name, "chr19")[:last, :last].astype(float) for name in neural.names}
grid = neural.bins.iloc[:last][["chrom", "start", "end"]].astype({"chrom": str})
content = load("cpg_tracks").query("assembly == 'mm10' and bin_size == 100_000")
with_cpg = {"chr19": interval_track(content, grid, value="cpg")}

# %% caption="What changes from stem cells to neural cells in the held-out region, as log₂ of the ratio of contacts at one depth. Progenitors (NPC) and neurons (CN) change in many of the same places." alt="Two square maps of log ratios in red and blue, one below the other. Both have red patches off the diagonal up to 46 Mb and a red block beyond 48 Mb; in neurons a dark red band crosses 48 Mb." name="fig-neurons" tags=["hide-input"]
part = slice(400, 520)
shown = {name: m[part, part] * 1e6 / m[part, part].sum() for name, m in full.items()}
fig, axes = plt.subplots(2, 1, figsize=(4.2, 7.6), gridspec_kw={"hspace": 0.05})
for ax, name in zip(axes, ("NPC", "CN"), strict=True):
    ratio = np.log2((shown[name] + 1) / (shown["ES"] + 1))
    contact_map(
        ax, ratio, start=40e6, end=52e6, label="log₂ ratio to ES", log=False, limits=(-2, 2)
    )  # fmt: skip
    ax.set_title(name)
plt.show()

# %% [markdown]
# ## One chromosome: hold out a region
#
# There is only one chromosome, so a region of it is held out. Windows that cross its border are dropped. So are those
# closer to it than a **gap** of one window, 64 bins, because neighbouring bins are alike.

# %%
late = make_windows(
    {"chr19": full["ES"]},
    {"NPC": with_cpg, "CN": with_cpg},
    {name: {"chr19": full[name]} for name in ("NPC", "CN")},
    bin_size=100_000, bulk_cell_types=("ES",), window=64, stride=8,
    max_masked=0.2, track_names=["CpG"],
)  # fmt: skip
test = (40_000_000, 52_000_000)
region = hold_out_regions(late, test=test, gap=6_400_000)
print(len(region.train), "windows train,", len(region.test), "test")

# %% [markdown]
# ## Three predictions and a relative
#
# The three predictions are the ES map copied, the ES map smoothed, and ridge regression on the features of a pixel,
# CpG among them. The last row is no prediction: it is the *other neural type, measured*, in the place of a prediction.
# There are two scores: the [SCC](../../book/glossary.md#stratum-adjusted-correlation-scc) with the target, and the
# correlation of the predicted with the true *change from ES*, which is 0 for a copy.

# %%
models = {
    "ES copied": BulkCopy(),
    "ES smoothed": BulkSmoothed(),
    "ridge on CpG": BulkRidge(n_pixels=50_000, seed=seed),
}
predicted = {}
for name, model in models.items():
    model.fit(region.train)
    check_evaluation(model, region.test, by="region")
    predicted[name] = model.predict(region.test)
# Windows of NPC come first, those of CN after them, at the same places.
half = len(region.test) // 2
other = np.roll(region.test.targets, half, axis=0)
predicted["the other neural type"] = other


# %% tags=["hide-input"]
def change_scores(maps, windows):
    """SCC with the target, and correlation of the change from the ES map, by cell type."""
    bad = ~(windows.mask[:, :, None] & windows.mask[:, None, :])
    own, true, before = (
        normalise_depth(np.where(bad, np.nan, m)) for m in (maps, windows.targets, windows.bulk)
    )
    scc = stratum_adjusted_correlation(own, true, max_distance=40)
    found = {"SCC": scc, "change": contrast_correlation(own, true, before)}
    return pd.DataFrame(found).groupby(windows.table["cell_type"].to_numpy()).mean()


scores = {name: change_scores(maps, region.test) for name, maps in predicted.items()}
columns = {
    f"{metric}, {kind}": {name: s.loc[kind, metric] for name, s in scores.items()}
    for metric in ("SCC", "change")
    for kind in ("NPC", "CN")
}
table(
    pd.DataFrame(columns), best=dict.fromkeys(columns, "max"),
    apart=("ES copied", "the other neural type"),
)  # fmt: skip

# %% tags=["hide-input"]
mean = pd.DataFrame({name: s.mean() for name, s in scores.items()}).T
ridge, relative = mean.loc["ridge on CpG"], mean.loc["the other neural type"]
claim(
    f"In the mean of both types, the copied ES map has an SCC of {mean['SCC']['ES copied']:.2f} and, by definition, no"
    f" correlation with the change. Smoothing leaves the SCC at {mean['SCC']['ES smoothed']:.2f}: these maps are deep, and"
    f" little of what differs between them is noise. Ridge regression has a correlation of {ridge['change']:.2f} with the"
    f" change, but an SCC of only {ridge['SCC']:.2f}. The other neural type has a correlation of {relative['change']:.2f}: most"
    " of the change is common to both types. It is there to be predicted, but not from CpG and one chromosome.",
    abs(mean["SCC"]["ES smoothed"] - mean["SCC"]["ES copied"]) < 0.05,
    0.1 < ridge["change"] < relative["change"] - 0.1,
    ridge["SCC"] < mean["SCC"]["ES copied"] + 0.02,
)  # fmt: skip

# %% [markdown]
# These are overlapping windows of one region: a single draw. No interval is given, because one chromosome cannot give
# one. And without a guide both cell types get the same prediction, however well it suits either.
#
# ## A file for a genome browser
#
# A fitted model is used from the command line, on files of the usual formats:
#
# ```console
# $ scstlib predict-contacts --bulk bulk.cool --expression cells.h5ad \
#       --cell-type-key kind --genes genes.bed --cpg cpg.bedGraph \
#       --model model.safetensors --window 40 --stride 20 --out cortex.mcool
# ```
#
# It writes `cortex.microglia.mcool` and so on, one file for each cell type, which cooler reads and the browser HiGlass
# shows. Maps in the `.hic` format are converted first, with `hictk convert maps.hic maps.mcool` or
# `hic2cool convert maps.hic maps.mcool -r 0`.
#
# In Python the same takes three steps: read files, fit, predict to a file. Here they are for the human cells of [Human
# cortex](human_cortex.ipynb): the bulk is one donor's, the targets are the other's.

# %% tags=["hide-input"]
kinds = {"ODC": "oligo", "Astro": "astro", "MG": "microglia", "Sst": "neuro"}
maps = load("lee2019")
obs = maps.obs.assign(kind=maps.obs["cell_type"].astype(str).map(kinds))
of_21, of_29 = obs[obs["donor"] == "21yr"], obs[obs["donor"] == "29yr"]
groups = {"bulk": list(of_21.index)}
groups |= {kind: list(of_29.index[of_29["kind"] == kind]) for kind in kinds.values()}
samples = maps.pseudobulk(groups)
rna = load("darmanis2015")
rna = rna[rna.obs["cell_type"].isin(list(kinds.values()))].copy()
genes = load("annotation_hg19").drop_duplicates("gene").set_index("gene")
cpg = load("cpg_tracks").query("assembly == 'hg19' and bin_size == 1_000_000")
cpg = cpg.rename(columns={"cpg": "value"})
warnings.simplefilter("ignore")  # genes without a place on these chromosomes

# %%
files = {"cell_type_key": "cell_type", "genes": genes, "cpg": cpg}
files |= {"bulk_cell_types": list(kinds.values()), "window": 40}
learn = read_inputs(
    samples.uri("bulk"), rna, **files,
    targets={kind: samples.uri(kind) for kind in kinds.values()},
    chromosomes=[f"chr{n}" for n in range(1, 9)],
)  # fmt: skip
trees = ContactTrees(n_pixels=50_000, max_iter=50, seed=seed)
trees.fit(learn.windows(stride=20, to_end=True))

new = read_inputs(samples.uri("bulk"), rna, **files, chromosomes=["chr9"])
folder = Path(tempfile.mkdtemp())
written = predict_contacts(trees, new, folder / "cortex.mcool", stride=20)
print(*(path.name for path in written.values()))

# %%
microglia = cooler.Cooler(f"{written['microglia']}::resolutions/1000000")
in_file = microglia.matrix(balance=False).fetch("chr9")
metadata = microglia.info["metadata"]
print({k: metadata[k] for k in ("predicted", "cell_type", "model")})
print("learned on", *metadata["training_chromosomes"])

# %% tags=["hide-input"]
i, j = np.indices(in_file.shape)
far = in_file[np.abs(i - j) > 20]
claim(
    f"{len(written)} files are written, one for each cell type. A file says what it holds and which chromosomes the"
    " model has seen. Nothing is predicted beyond 20 bins, the window minus the stride: there the file is empty.",
    len(written) == len(kinds), "chr9" not in metadata["training_chromosomes"], (far == 0).all(),
    in_file.sum() > 0,
)  # fmt: skip

# %% caption="Contacts of microglia on human chromosome 9, which the trees have not seen: measured in one donor, and predicted from the bulk of the other, up to 20 Mb from the diagonal. The prediction is smooth; the broad white band is the centromere, where nothing can be mapped." alt="Two square contact maps with a dark diagonal and a broad white cross at the centromere: one speckled, measured; one smooth and empty far from the diagonal, predicted." name="fig-chr9" tags=["hide-input"]
here = genes.reset_index().query("chrom == 'chr9' and gene_type == 'protein_coding'")
shown = {"measured": samples.matrix("microglia", "chr9"), "predicted": in_file}
shown |= {"bulk": samples.matrix("bulk", "chr9")}
near = (i != j) & (np.abs(i - j) <= 20)
map_viewer(
    {name: 1e6 * found / found[near].sum() for name, found in shown.items()},
    start=0, end=1e6 * len(in_file), label="contacts per million within 20 Mb", genes=here,
)  # fmt: skip

# %% [markdown]
# ## Check yourself
#
# <details><summary>Why can the gain from a guide not be measured on these neurons?</summary>
#
# There is no expression. With the same tracks for NPC and CN a model gives both the same map, and a score of what
# differs between them is 0 whatever the model does.
#
# </details>
#
# <details><summary>Why is a gap left beside the held-out region?</summary>
#
# Windows that cross its border are dropped in any case. But neighbouring bins are alike, in sequence and in domains
# that reach across the border, so a training window right beside it would give part of the region away.
#
# </details>
#
# <details><summary>The copied map has a higher SCC than ridge. Is it the better prediction of a neuron?</summary>
#
# As a picture of the map, yes. Of what makes a neuron differ from a stem cell it says nothing: its correlation with
# the change is 0.
#
# </details>

# %% [markdown]
# ## Key points
#
# - Maps without expression still answer one question: how much of a change can be predicted without a guide.
# - With one chromosome, hold out a region with a gap, and give no interval that the data cannot give.
# - A measured relative, put in the place of a prediction, says how much was there to be predicted.
# - A predicted map is a file like a measured one; its metadata say which model made it, and from what.
#
# ## Exercises
#
# > **Exercise** Which windows of `late` share bins with the held-out region or with the gap of 6.4 Mb on each side of it? Give True or False for each.

# %% tags=["solution"]
places, gap = late.table, 6_400_000
wide = pd.DataFrame([["chr19", test[0] - gap, test[1] + gap]], columns=["chrom", "start", "end"])
### BEGIN SOLUTION
inside = (places["end"] > wide["start"][0]) & (places["start"] < wide["end"][0])
answer = inside & (places["chrom"] == "chr19")
### END SOLUTION
checks.overlapping(answer, places, wide)

# %% [markdown]
# > **Exercise** Predict the ES map from the map of CN. Is the way back easier?
#
# <details><summary>Solution</summary>
#
# Exchange the maps in `make_windows`: bulk `full["CN"]`, `bulk_cell_types=("CN",)`, target `full["ES"]`. The SCC of the
# copy is the same up to the weights of the score; what ridge learns of the change is reversed in sign.
#
# </details>
#
# ## Further reading
#
# - [Bonev et al. 2017](https://doi.org/10.1016/j.cell.2017.09.043): how contact maps change as mouse neurons mature.
# - [Whalen et al. 2022](https://doi.org/10.1038/s41576-021-00434-9): pitfalls of machine learning in genomics.
