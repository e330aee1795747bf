# %% [markdown]
# # Auditing scGrapHiC
#
# The same questions, asked of the public code of a model of contact maps, its split and its scores.
#
# > **Learning goals**
# > - [find a layer that does not learn, a head that sticks, an input without influence](#the-network-does-everything-learn);
# > - [audit a split from its record](#the-split-do-its-parts-share-anything), and a score by calling it twice;
# > - [tell a fact about code from its effect on a result](#what-was-found), and measure the effect.
# >
# > **Before**: [Auditing scNODE](auditing_scnode.ipynb), which lists the questions; [From single cells to windows](../foundations/cells_to_windows.ipynb).
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
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.tree import DecisionTreeRegressor

from scstlib import audit
from scstlib import checks
from scstlib.audit import Case
from scstlib.audit.experiments import interval_text, mean_interval
from scstlib.datasets import simulate_organism
from scstlib.metrics.contacts import ssim, stratum_adjusted_correlation
from scstlib.models import PublishedScGrapHiC
from scstlib.models.spatial.scgraphic.published_inputs import read_inputs
from scstlib.pages import Claims
from scstlib.plots import BLUE, GREY, ORANGE, book_style
from scstlib.preprocess.contacts import normalise_depth, smooth_eigenvalues
from scstlib.preprocess.tracks import by_chromosome, scale_per_window
from scstlib.preprocess.windows import make_windows
from scstlib.splits import hold_out_chromosomes

plt.rcParams.update(book_style())
claim = Claims(profile, seed)

# %% [markdown]
# ## Where can a fault hide?
#
# A fault can hide not only in the network. Between the idea of a paper and a number in its table lie the network and its training, the split, the preparation of the data, and the score. An *audit* asks [questions](auditing_scnode.ipynb#how-do-you-find-out-what-a-program-does) of each of them by running it. The subject here is scGrapHiC ([Murtaza et al. 2024](https://doi.org/10.1093/bioinformatics/btae223)), which predicts the contact map of a cell type from a bulk map and the expression of the type.
#
# ![A column of boxes from top to bottom. Tracks of the cell type (expression, CTCF, CpG) go into a convolution along the genome with four attention blocks and a sigmoid. Its features are joined with encodings. A graph convolution over the bulk map follows, whose outgoing arrow is crossed out: as published, its result is not used; a line leads around it. Then four attention blocks, the products of all pairs of bins, and seven residual blocks of convolutions with a last 7 by 7 convolution and a sigmoid, which give the predicted map. On the right the bulk map: it gives 16 positional encodings, which enter the first box and the joint, and a dashed arrow to the graph convolution as its edges.](../../book/_static/diagrams/scgraphic_published.svg)
#
# *Expression and the bulk map's encodings become features of bins, pairs of bins become pixels; the graph convolution is computed, but its result is not used.*
#
# ## What was found
#
# The code is `rsinghlab/scGrapHiC` at commit [`8019e1f`](https://github.com/rsinghlab/scGrapHiC/tree/8019e1f860d51b780259da02edf919499092b853). What *runs* on this page is `PublishedScGrapHiC`, whose network, prepared maps and scores are tested against values of that code; findings 4, 8 and 9 are shown by a few lines that do the same as the lines that were read. Files and lines were *read*. Skim the list now and come back to it: the section on the network shows 1 and 2, the split 3, the scores 4 to 6, and the data 7 to 9.
#
# 1. **The graph convolution has no path to the loss.** `src/models/Encoder.py`, `GraphConvolution.forward`, lines 197 to 199: the results of the convolution and of the linear layer after it are overwritten before they are used. *Established*: 3,264 parameters have no gradient, and the graph has no influence. *Not established*: the effect after full training, on real data.
# 2. **The head saturates.** `src/models/HiCDecoder.py`, lines 61 and 81: a sigmoid after a convolution that starts at random weights; `src/model.py`, line 208: AdamW at its default rate. *Established*: within the first steps, more pixels stick near 0 than there are in the targets. *Not established*: whether longer training recovers from it.
# 3. **The validation chromosome is in the training set.** `src/dataset_creator.py`, lines 112 and 113: 19 is in both lists; `main.py`, line 76, keeps the models with the best SCC on it. *Established*: the overlap and, in an experiment with trees, that it harms the choice of a model. *Not established*: which model the paper chose, and how.
# 4. **A score changes the maps it is given.** `src/TADs.py`, lines 158 and 159, sets one half of a map to 0, in place; `src/evaluations.py`, line 333, calls it before the other scores (lines 353 to 358); `inference.py`, line 58, runs this. Once its file is written, a second run skips it (`src/TADs.py`, lines 205 and 206). `genome_disco` (`src/evaluations.py`, lines 222 and 223) sets the main diagonals to 0 in the same way; this was only read. *Established*: scores computed after it change, but not on a second run. *Not established*: by how much a reported score would differ.
# 5. **The weights of the SCC depend only on the length of a diagonal.** `src/evaluations.py`, lines 120 and 121: `argsort` gives an order, not ranks. Line 171 leaves zeros of both maps in. *Established*: the package's variant gives the values of this code. *Not established*: by how much a reported score would differ.
# 6. **SSIM is given a range of 2 for maps between 0 and 1.** `src/evaluations.py`, line 66. *Established*: the same maps score higher with the wider range. *Not established*: by how much a reported score would differ.
# 7. **The level of expression is scaled away.** `src/model.py`, lines 45 to 47: each track is scaled to the range from 0 to 1 in each window separately. *Established*: windows that differ by a factor become the same. *Not established*: what the level is worth to the model.
# 8. **The last full window is not cut.** `src/utils.py`, lines 110 and 149: `<`, where `<=` would let it in. *Established*: the rule leaves it out. *Not established*: the effect on a score. At this commit maps are padded beforehand (lines 102 to 104 and 140 to 142), and the outer four windows on each side are dropped afterwards (`src/dataset_creator.py`, line 228).
# 9. **Models share their settings.** `src/model.py`, lines 98 to 103: a model keeps the dictionary that it is given and adds to it; `src/models/Encoder.py`, lines 170, 243 and 247, reads it in every call. *Established*: a second model from one dictionary gets other settings, and changes those of the first. *Not established*: whether any published run made two models in one process; `main.py` and `inference.py` make one.
#
# > **Important** A finding is about a program at one commit, not about the numbers of a paper. Nothing here was run on the paper's data, and whether that commit made the paper's tables is not known. Effects are measured on a simulated organism, after short training.
#
# ## The network: does everything learn?
#
# The windows have 64 bins of 50 kb, half of the published width. There are three cell types, four chromosomes to train on and two to test.

# %% tags=["hide-input"]
organism = simulate_organism(seed=seed, preset="small")
kinds, chroms = ["stem", "beta_mature", "gamma_mature"], organism.chromosomes[:6]
strands = [f"{name}_{way}" for name in ("expression", "ctcf") for way in ("forward", "reverse")]
names, bins = [*strands, "cpg"], organism.tracks()[["chrom", "start", "end"]]
tracks = {k: by_chromosome(organism.tracks(k)[names].to_numpy(), bins) for k in kinds}
bulk = organism.bulk("stem", seed=seed)
maps = {k: organism.sample_contacts(k, n_cells=200, seed=seed, chroms=chroms) for k in kinds}
kept = {"bin_size": 50_000, "bulk_cell_types": ["stem"], "track_names": names}
windows, wide = (
    make_windows(bulk, tracks, maps, window=n, stride=n, chromosomes=where, **kept)
    for n, where in [(64, chroms), (128, chroms[:1])]
)
split = hold_out_chromosomes(windows, test=chroms[4:])
apart = hold_out_chromosomes(split.train, test=chroms[3])


def read(some):
    inputs = read_inputs(some, None, 16).of(np.arange(len(some)))
    arrays = (*inputs, normalise_depth(some.targets))
    return [torch.as_tensor(array).float() for array in arrays]


def scc(contacts, **variant):
    return np.nanmedian(stratum_adjusted_correlation(contacts, noisy, **variant))


copied, noisy = (normalise_depth(m) for m in (split.test.bulk, split.test.targets))
batches = [read(split.train[i : i + 4]) for i in (0, 4)]
given = dict(zip(("tracks", "encodings", "graph"), batches[0][:3], strict=True))

# %% [markdown]
# `gradient_flow` takes the gradient of the loss on several batches and names the parameters that it does not reach. `input_use` shuffles each input, sets it to zero and replaces it by random numbers, and checks whether the output changes. The network has its published size and is not trained: whether a parameter has a path to the loss does not depend on its value. `graph_fix=True` uses the result of the convolution.

# %%
flow, use = {}, {}
for fix in (False, True):
    model = PublishedScGrapHiC(epochs=0, graph_fix=fix, seed=seed)
    net = model.fit(split.train).network_

    def loss(batch, net=net):
        return (net.train()(*batch[:3]) - batch[3]).square().mean()

    def prediction(tracks, encodings, graph, net=net):
        return net.eval()(tracks, encodings, graph).detach()

    flow[fix] = audit.gradient_flow(net, loss, batches)
    use[fix] = audit.input_use(prediction, given)
    print(f"graph_fix={fix}\n  {flow[fix]}\n  {use[fix]}")

# %% tags=["hide-input"]
dead = int(sum(row.evidence for row in flow[False].findings))
claim(
    f"{dead:,} of {audit.count_parameters(net):,} parameters have no path to the"
    " loss, and the map is the same to the last bit for any graph, or none.",
    dead == 3264 and flow[True].passed and use[True].passed,
    [(row.where, row.evidence) for row in use[False].findings] == [("graph", 0)],
)

# %% [markdown]
# These parameters belong to the graph convolution and to the linear layer after it. The bulk map still enters through the positional encodings. In the mended network every parameter is reached, and the graph matters.
#
# **Does the head stick?** The sigmoid at the end is a function, not a module, so `saturation` must be told the bounds of the network's output. It is called after five steps of training on windows of the published width.

# %%
stuck, some = {}, [read(wide[:2]), read(wide[2:4])]
for head in ("published", "mended"):
    how = {"head_init": head, "epochs": 1, "batch_size": 2, "seed": seed}
    net = PublishedScGrapHiC(**how).fit(wide[:10]).network_.train()
    (row,) = audit.saturation(
        net, lambda x, net=net: net(*x[:3]), some,
        bounds=(0, 1), tolerance=0.01,
    ).rows  # fmt: skip
    stuck[head] = row.evidence
    print(f"{head} head: {row.evidence:.0%} of the pixels near 0 or 1")

# %% [markdown]
# **What do these two faults do to a score?** A smaller network (half of the channels, fewer blocks) is trained for one epoch instead of 300, with three seeds, and scored by the [SCC](../../book/glossary.md#stratum-adjusted-correlation-scc) with the measured maps of the test chromosomes.

# %% tags=["hide-input"]
blocks = dict.fromkeys(("node_blocks", "attention_blocks", "residual_blocks"), 1)
small = {"width": 16, "encodings": 8, **blocks, "batch_size": 8, "epochs": 1}
switches = [{}, {"head_init": "mended"}, {"head_init": "mended", "graph_fix": True}]
sccs = np.zeros((3, 3))
for i, run in np.ndindex(3, 3):
    model = PublishedScGrapHiC(**small, **switches[i], seed=seed + run).fit(split.train)
    sccs[i, run] = scc(normalise_depth(model.predict(split.test)))
head_effect, graph_effect = np.diff(sccs, axis=0)
near_0 = np.mean(smooth_eigenvalues(normalise_depth(wide.targets)) < 0.01)
claim(
    f"In the targets, {near_0:.0%} of the pixels are near 0. Mending the head changes"
    f" the SCC by {interval_text(head_effect)}, using the graph as well by"
    f" {interval_text(graph_effect)}; the bulk map, copied, has {scc(copied):.2f}.",
    stuck["published"] > 0.2 + max(near_0, stuck["mended"]),
    np.max(sccs) < scc(copied) - 0.05,
)

# %% [markdown]
# Means and 95% intervals are over three seeds. After such a short training no version comes near the copy, and the differences say little about fully trained models.
#
# ## The split: do its parts share anything?
#
# Often the record of a published split is all that is left. It is enough.

# %%
training = [chrom for chrom in range(1, 20) if chrom not in (7, 11)]
record = {"training": training, "validation": [19], "test": [7, 11]}
print(audit.split_overlap(record))

# %% [markdown]
# What does the overlap do to a result? A simple model that can be chosen badly is a decision tree for pixels, which predicts contacts from the bulk map, the distance and the expression at both bins. A validation chromosome decides how deep the tree may grow: first with that chromosome kept apart, then with it in the training set. The chosen tree is scored on the test chromosomes.


# %% tags=["hide-input"] caption="Squared error of the chosen tree, as validation reports it and on the test chromosomes; one dot for each of five draws of pixels. On the dashed line, validation tells the truth. With the validation chromosome in the training set (orange) it reports far too small an error, and the tree that it chooses is worse." alt="Scatter plot. Blue dots lie near the dashed diagonal; orange dots lie at the left edge and higher up." name="fig-audit-validation"
def pixels(part, n, rng):
    window = rng.integers(len(part), size=n)
    i, j = np.sort(rng.integers(64, size=(2, n)), axis=0)
    seen = [part.bulk[window, i, j]] + [part.tracks[window, k, :2] for k in (i, j)]
    x = np.column_stack([j - i, *(np.log1p(each) for each in seen)])
    return x, 1000 * normalise_depth(part.targets)[window, i, j]


def chosen(run, inside):
    rng = np.random.default_rng(run)
    test, outside = pixels(split.test, 4000, rng), pixels(apart.test, 1500, rng)
    x, y = pixels(apart.train, 6000, rng)
    seen, depths = (x[:1500], y[:1500]) if inside else outside, (2, 4, 6, 8, 12, None)
    trees = [DecisionTreeRegressor(max_depth=d, random_state=0).fit(x, y) for d in depths]
    return min([1e-3 * np.mean((t.predict(a) - b) ** 2) for a, b in (seen, test)] for t in trees)


good, bad = (np.array([chosen(s, inside) for s in range(5)]) for inside in (False, True))
fig, ax = plt.subplots(figsize=(5.4, 3))
ax.plot(*good.T, "o", color=BLUE, label="validation apart")
ax.plot(*bad.T, "o", color=ORANGE, label="validation in training")
ax.axline((5, 5), slope=1, color=GREY, ls="--", lw=1)
ax.set(xlim=0, ylim=0, xlabel="reported error (× 1,000)", ylabel="test error (× 1,000)")
ax.legend(loc="upper right")
plt.show()

# %% tags=["hide-input"]
ratio = bad[:, 1] / good[:, 1]
claim(
    f"If validation rows are among the training rows, the chosen tree reports an error of {bad[:, 0].mean():.1f}"
    f" and makes one of {bad[:, 1].mean():.1f} on the test; if they are kept apart, {good[:, 0].mean():.1f} and {good[:, 1].mean():.1f}."
    f" The report is not the only thing that is wrong: the first tree's test error is {interval_text(ratio)} times that of the second.",
    np.max(bad[:, 0]) < 0.5 * np.min(bad[:, 1]) and mean_interval(ratio)[1] > 1.05,
)

# %% [markdown]
# ## The scores: do they leave their inputs alone?
#
# The next lines do what the public code does: the first score keeps only the upper half of each map, in place, and writes a file; SSIM gets what is left. A second run reads the maps again, finds the files, and leaves the maps whole.


# %%
def upper_half(contacts, name, files):
    if name not in files:
        contacts[np.tril_indices(len(contacts), -1)] = 0
        files.append(name)


def evaluate(files):
    prediction, target = copied[0].copy(), noisy[0].copy()
    upper_half(prediction, "prediction", files)
    upper_half(target, "target", files)
    return float(ssim(prediction, target, data_range=1.0))


print(audit.leaves_inputs(upper_half, copied[0], "prediction", []))
print(audit.is_idempotent(evaluate, []))

# %% tags=["hide-input"]
whole = ssim(copied, noisy, data_range=1.0)
halved = ssim(np.triu(copied), np.triu(noisy), data_range=1.0) - whole
wider = ssim(copied, noisy, data_range=2.0) - whole
weights = scc(copied, variant="published") - scc(copied, max_distance=39)
claim(
    f"Over {len(noisy)} test windows the SSIM of the bulk map with its target is"
    f" {whole.mean():.2f}; with half of both at 0 it is {halved.mean():.2f} higher, with 2"
    f" for the range {wider.mean():.2f} higher. The published weights lower the SCC of"
    f" the same maps by {-weights:.2f}.",
    np.min(halved) > 0.02 and np.min(wider) > 0.02 and weights < -0.02,
)

# %% [markdown]
# The last two numbers belong to findings 6 and 5; [What a score of maps rewards](what_a_map_score_rewards.ipynb) shows them on one pair of maps.
#
# ## The data: what does the preparation throw away?
#
# You can audit any function, including a step of the preparation. Here the level of expression is a separate input, one factor for each window. Is it still there after scaling? And do the differences between two cell types in the mean expression of a window (three pairs of types) survive this scaling, or a scaling of all windows at once?

# %%
shape = np.asarray(split.test.tracks[:20, :, :2], dtype=float)
level = np.random.default_rng(seed).uniform(0.5, 2, 20)
used = audit.input_use(
    lambda shape, level: scale_per_window(shape * level[:, None, None]),
    {"shape": shape, "level": level}, changes=["shuffled"],
)  # fmt: skip
print(used)

# %% tags=["hide-input"]
kind, agree = split.test.table["cell_type"].to_numpy(), {}
largest = split.train.tracks[..., :2].max(axis=(0, 1))
scalings = {"by window": scale_per_window, "at once": lambda x: x / largest}
active = {k: split.test.tracks[kind == k][..., :2] for k in kinds}
for name, f in scalings.items():
    pairs = [(active[kinds[a]], active[kinds[b]]) for a, b in [(1, 0), (2, 0), (1, 2)]]
    means = [[(g(x) - g(y)).mean(axis=1) for g in (np.asarray, f)] for x, y in pairs]
    agree[name] = [np.corrcoef(old.ravel(), new.ravel())[0, 1] for old, new in means]
claim(
    "Before and after scaling all windows at once the differences agree, with a"
    f" correlation of {np.mean(agree['at once']):.2f}; window by window it is"
    f" {np.mean(agree['by window']):.2f}.".replace("-", "−"),
    np.min(agree["at once"]) > 0.9 and np.max(agree["by window"]) < 0.8,
)

# %% [markdown]
# **Two small functions** do what findings 8 and 9 describe. The right answers are known: a chromosome of 8 bins has two windows of 4, and so has one of 10; a model must not change the settings that it is given. Only a chromosome that ends with a full window shows the first fault, which is why a test needs both lengths; an infinite error (`inf`) says that the answer has another length.


# %%
def model_of(settings):
    settings["tracks"] += 3  # CTCF, two strands, and CpG
    return settings


shared, right = {"tracks": 2}, np.array([0, 4])
rule = [Case(f"{n} bins", np.arange, (0, n - 4, 4), right) for n in (8, 10)]
print(audit.known_answers(rule))
print(audit.leaves_inputs(model_of, shared))
print(audit.isolation(lambda: model_of(shared), lambda m: m["tracks"]))

# %% [markdown]
# ## Check yourself
#
# <details><summary>The graph has no influence. Does the model ignore the bulk map?</summary><p>No. The bulk map also gives the positional encodings, and the output changes with those. An audit of inputs judges each path into the network separately.</p></details>
# <details><summary>Validation and training share a chromosome. Is the reported test score too good?</summary><p>Not for that reason: the test chromosomes are in neither. If anything it is too low, because validation chose a worse model.</p></details>
# <details><summary>The SSIM rises when half of both maps is set to 0. Why?</summary><p>Where both maps are 0 they agree perfectly, and half of all pixels now do.</p></details>

# %% [markdown]
# ## Key points
#
# - Audit the split, the preparation and the scores as well as the network. You can audit a split from its record alone, and a score by calling it twice, with frozen inputs.
# - A dead layer or an ignored input is a fact. Whether it matters is a second measurement, with several seeds and a copy beside it. Name commit, file and line, and say what was not established. Write to the authors first, with the smallest program that shows it.
#
# ## Exercises
# > **Exercise** Another split, `other`, trains on chromosomes 1 to 15, validates on 15 and 16, and tests on 3, 17, 18 and 19. Which chromosomes are in more than one of its parts?

# %% tags=["solution"]
other = {"training": range(1, 16), "validation": [15, 16], "test": [3, 17, 18, 19]}
### BEGIN SOLUTION
answer = set(other["training"]) & (set(other["validation"]) | set(other["test"]))
### END SOLUTION
checks.shared_parts(answer, other)

# %% [markdown]
# > **Exercise** Audit a model of your own: gradients, inputs, a batch in another order, your metric called twice, your split. Which of the results are not faults?
# <details><summary>Solution</summary>
#
# A frozen part has no gradient; declare it with `frozen=["embedding"]`. A model that draws noise fails `contract(..., by_sample=True)` until the noise is an input. Also look at what is *open*: a constant input cannot be judged.
#
# </details>
#
# ## Further reading
#
# - [Kapoor and Narayanan 2023](https://doi.org/10.1016/j.patter.2023.100804): leakage in 17 fields, with a checklist; [Schreiber et al. 2020](https://doi.org/10.1186/s13059-020-02177-y): the baseline to ask first.
