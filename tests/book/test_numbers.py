"""Numbers in the prose of the book are those of the committed benchmark results and manifests.

Each phrase is made from the results and has to stand on its page. After a new measurement a test
that fails names the phrase that the page has to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pandas as pd
import pytest

from book.diagrams import results as diagram
from scstlib.datasets import read_manifest
from tools import notebooks

RESULTS = notebooks.ROOT / "benchmarks" / "results"
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
METRICS = ("SCC", "dC", "dIns")
BATCH, EPOCHS, WINDOWS = 8, 300, 850
FLOOR = "split half of the measured cells"
DEFAULT = ("default, noise=True", 'default, noise="depth"')
OTHERS = ("scNODE as published", "moscot", "torchcfm")
NEAREST = ("nearest time copied", "nearest time, mean moved")


@cache
def results(name: str) -> dict[str, Any]:
    """What a benchmark wrote."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


@cache
def page(name: str) -> str:
    """Text of a page on one line; links are their words.

    A page of the book by its name, one with code by its part and name.
    """
    file = f"notebooks/{name}.py" if "/" in name else f"book/{name}.md"
    text = (notebooks.ROOT / file).read_text(encoding="utf-8")
    unquoted = re.sub(r"^(# ?)?(> ?)?", "", text, flags=re.MULTILINE)
    return " ".join(LINK.sub(r"\1", unquoted).split())


def row(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The only row with these values."""
    (found,) = [each for each in rows if wanted.items() <= each.items()]
    return found


def digits(values: list[float], form: str) -> tuple[str, str]:
    """The smallest and the largest of several numbers."""
    return format(min(values), form), format(max(values), form)


# Maps


def scores(name: str, part: str) -> dict[str, Any]:
    """Medians of one row of the comparison of maps."""
    return row(results("spatial")["summary"]["scores"], row=name, part=part)


def maps() -> Iterator[tuple[str, str]]:
    """What the pages say of ``spatial.json``."""
    summary = results("spatial")["summary"]
    names = ("bulk copied", "gradient boosting", "default")
    bulk, trees, default = (scores(name, "seen") for name in names)
    yield (
        "faq",
        f"SCC of {bulk['SCC']:.3f}, gradient boosting {trees['SCC']:.3f} and `ScGrapHiC`"
        f" {default['SCC']:.3f}; in what is specific to the cell type (dC) they have"
        f" {bulk['dC']:.0f}, {trees['dC']:.3f} and {default['dC']:.3f}",
    )
    pairs = [f"{metric} {default[metric]:.3f} and {trees[metric]:.3f}" for metric in METRICS]
    yield "limits", ", ".join(pairs) + ", for trained cell types"
    aims = [*summary["targets"], *summary["cost_targets"]]
    missed = sum(not aim["met"] for aim in aims)
    yield "limits", f"Of {len(aims)} aims that were set before the default was built, {missed} are"
    steps = max(each["step"] for each in summary["validation"])
    yield "limits", f"It stops after {steps} steps on one organism"
    yield "ledger", f"stops after {steps} steps, as many as"
    runs = {name: scores(name, "seen")["runs"] for name in ("default", "truth", "published")}
    assert runs["published"] == 1
    yield (
        "ledger",
        f"medians over {WORDS[runs['default']]} runs of the default and"
        f" {WORDS[runs['truth']]} organisms, and one run of the published model",
    )
    shown = {
        f"published, {steps} steps": "published",
        "bulk map copied": "bulk copied",
        "default of this book": "default",
        "truth against target (ceiling)": "truth",
    }
    for label, name in shown.items():
        cells = [f"{scores(name, part)['SCC']:.3f}" for part in ("seen", "near", "far")]
        yield "ledger", f"| {label} | {' | '.join(cells)} |"


def cost() -> Iterator[tuple[str, str]]:
    """What the FAQ says of time and memory."""
    summary = results("spatial")["summary"]
    case = {each["case"]: each for each in summary["cost"]}
    minutes = summary["cpu_minutes"]
    default, published = (case[f"step {name} fp32"]["seconds"] for name in ("default", "published"))
    yield (
        "faq",
        f"fit scGrapHiC to {WINDOWS} windows of 128 bins (min) | {minutes['default']:.1f} |"
        " not run to its end |",
    )
    yield "faq", f"one step of scGrapHiC, {BATCH} windows (s) | {default:.2f} | {published:.1f} |"
    memory = [case[f"memory {name} fp32"]["megabytes"] for name in ("default", "published")]
    rounded = [f"{float(f'{each:.3g}'):,.0f}" for each in memory]
    yield "faq", f"batch of 16 windows adds (MB) | {rounded[0]} | {rounded[1]} |"
    genome = case["genome"]
    yield "faq", f"predict a genome of {genome['bins']:,} bins (s) | {genome['seconds']:.0f} |"
    yield "faq", f"memory for this genome (MB) | {genome['peak_megabytes']:.0f} |"
    steps = summary["validation"][0]["step"]  # of one epoch
    assert steps == -(-WINDOWS // BATCH)
    hours = published * EPOCHS * steps / 3600
    yield (
        "faq",
        f"At {published:.1f} s a step, the {EPOCHS} epochs of the published scGrapHiC would take"
        f" about {hours:.0f} hours",
    )
    trees, ridge = (60 * minutes[name] for name in ("gradient boosting", "bulk + ridge"))
    yield "faq", f"gradient boosting {trees:.0f} s, ridge regression {ridge:.0f} s"
    seconds = [each["seconds"] for each in results("temporal")["summary"]["cpu"]]
    ours = digits([each["default"] for each in seconds], ".1f")
    theirs = digits([each["published"] for each in seconds], ".0f")
    yield "faq", f"simulated cells (s) | {' to '.join(ours)} | {' to '.join(theirs)} |"


# Cells in time


def ratios(against: str) -> str:
    """Smallest and largest ratio of squared W2 to the truth, over the patterns of times."""
    rows = results("temporal")["summary"]["ratios"]
    found = [r["ratio"] for r in rows if r["metric"] == "wt" and r["against"] == against]
    return " to ".join(digits(found, ".2f"))


def times() -> Iterator[tuple[str, str]]:
    """What the pages say of ``temporal.json``."""
    summary = results("temporal")["summary"]
    displacement = ratios("OT displacement, rank of the default")
    yield "faq", f"to the truth is {displacement} of that of optimal-transport displacement"
    yield "limits", f"is {ratios('published')} of the published model's (`temporal.json`)"
    yield (
        "temporal/scnode_package",
        f"{ratios('published')} times that of the published model and {displacement} times that of"
        " displacement",
    )
    right = {
        kind: "{right} of {cases}".format(**row(summary["perturbations"], kind=kind))
        for kind in ("master", "niche")
    }
    yield "limits", f"the direction is right in {right['master']} cases on the organism"
    yield "limits", f"for regulators that tilt a switch in {right['niche']} (`temporal.json`)"
    yield (
        "temporal/perturbation",
        f"right in {right['master']} cases for masters and in {right['niche']} for niche",
    )
    yield "ledger", f"drivers in {right['master']} cases, for niche factors in {right['niche']} |"
    for part in ("easy", "medium"):
        names = ("OT displacement, 6 components", "mean profile", "fresh true cells, measured")
        values = [row(summary["place"], row=name, part=part)["W"] for name in names]
        published = row(summary["place"], row="published", part=part)["W"]
        yield (
            "ledger",
            f"| {published:.0f} | optimal transport {values[0]:.0f}; one constant"
            f" {values[1]:.0f}; true cells, measured anew {values[2]:.0f} |",
        )


def tasks(metric: str) -> pd.DataFrame:
    """Scores of the real series, a row for each task and a column for each method."""
    frame = pd.DataFrame(results("real_series")["scores"])
    wide = frame.pivot(index=["set", "kind"], columns="row", values=metric)
    return wide.drop(columns=FLOOR)


def lowest(metric: str) -> dict[str, int]:
    """How many tasks each kind of method wins alone, and how many are shared."""
    scored = tasks(metric)
    groups = {name: "default" if name in DEFAULT else name for name in scored}
    groups = {n: g if g in ("default", "published") else "simple" for n, g in groups.items()}
    by_kind = scored.T.groupby(groups).min().T
    winners = by_kind.eq(by_kind.min(axis=1), axis=0)
    alone = winners[winners.sum(axis=1) == 1]
    found = {kind: int(alone[kind].sum()) for kind in by_kind}
    return found | {"level": len(winners) - len(alone)}


def each_time() -> Iterator[tuple[str, str]]:
    """What the pages say of ``each_time.json``: scNODE over the best of four simple methods."""
    frame = pd.DataFrame(results("each_time")["scores"])
    metrics = ("place", "likeness", "likeness, unbiased")
    found = {metric: over_the_best(frame, metric)["scNODE"] for metric in metrics}
    place, likeness, unbiased = (found[metric].loc["inner"] for metric in found)
    n, n_last = len(place), len(found["place"].loc["outer"])
    yield "limits", f"Six series have {n} inner times and {WORDS[n_last]} last ones"
    yield (
        "limits",
        f"the median ratio is {place.median():.2f} in place and {likeness.median():.2f} in"
        f" likeness; the default is ahead on {(place < 1).sum()} and {(likeness < 1).sum()} of {n},"
        f" and more than a tenth behind on {(place > 1.1).sum()} and {(likeness > 1.1).sum()}",
    )
    last = [found[metric].loc["outer"].median() for metric in ("place", "likeness")]
    yield (
        "limits",
        f"At last times the ratios of place and likeness are {last[0]:.2f} and {last[1]:.2f}",
    )
    yield (
        "limits",
        f"without this bias the ratio of likeness is {unbiased.median():.2f}, and the default more"
        f" than a tenth behind on {(unbiased > 1.1).sum()}.",
    )
    yield (
        "faq",
        f"for each of {n} inner times with hindsight, is ahead of scNODE at {(place > 1).sum()} by"
        f" place and at {(likeness > 1).sum()} by likeness",
    )
    cost = frame.groupby(["row", "set"])["cpu_seconds"].mean()
    ours, theirs = cost["scNODE"], cost["scNODE as published"]
    yield (
        "faq",
        f"on six real series (s) | {ours.min():.1f} to {ours.max():.1f} | {theirs.min():.0f} to"
        f" {theirs.max():.0f} |",
    )
    wide = frame.pivot(index=["kind", "set", "time"], columns="row", values="likeness")
    best = wide.loc["inner", list(diagram.SIMPLE)].idxmin(axis=1)
    yield (
        "faq",
        "the nearest cells with their mean moved are, in likeness, the best of four simple methods"
        f" at {(best == NEAREST[1]).sum()} of {n} inner times",
    )


def over_the_best(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Score over that of the best simple method, a row for each task, a column for each method."""
    wide = frame.pivot(index=["kind", "set", "time"], columns="row", values=metric)
    return wide.div(wide[list(diagram.SIMPLE)].min(axis=1), axis=0)


def against_others() -> Iterator[tuple[str, str]]:
    """What the pages say of the published model, other packages and growth on real series."""
    frame = pd.DataFrame(results("each_time")["scores"])
    metrics = ("place", "likeness", "place, drawn", "correlations")
    ratio = {metric: over_the_best(frame, metric) for metric in metrics}
    ours = {m: r["scNODE"] / r["scNODE as published"] for m, r in ratio.items()}
    inner, last = (
        [ours[metric].loc[kind].median() for metric in ("place", "likeness")]
        for kind in ("inner", "outer")
    )
    yield (
        "limits",
        f"Over the published model the median ratios are {inner[0]:.2f} and {inner[1]:.2f} at inner"
        f" times, {last[0]:.2f} and {last[1]:.2f} at last ones (`each_time.json`)",
    )
    medians = {metric: r.loc["inner"].median() for metric, r in ratio.items()}
    drawn, pairs = medians["place, drawn"], medians["correlations"]
    yield (
        "limits",
        "the median ratio of place at inner times is"
        f" {drawn['scNODE']:.2f} for cells with noise, and"
        f" {drawn['OT displacement, own residuals']:.2f} for optimal transport whose cells keep",
    )
    yield (
        "limits",
        f"the median ratio of this error is {pairs['scNODE']:.2f}, and"
        f" {pairs['scNODE as published']:.2f} for the published model",
    )
    place, like = medians["place"], medians["likeness"]
    said = [f"{place[m]:.2f} and {like[m]:.2f}" for m in (*OTHERS, "scNODE")]
    yield (
        "temporal/unmeasured_times",
        f"in place and likeness, {said[3]} for scNODE, {said[0]} for the published model,"
        f" {said[1]} for moscot and {said[2]} for torchcfm",
    )
    yield from growth(ratio["likeness"])


def growth(likeness: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """What the limits say of growth; ``likeness`` is over the best simple method."""
    frame = pd.DataFrame(results("growth")["scores"])
    grows = frame[frame["true_growth"] > 0]
    asked, stiff = (grows[grows["growth"].isin(s)]["chosen"] for s in ([1.0, 0.3], [1e6]))
    yield (
        "limits",
        f"they ask for growth in {asked.sum()} of {len(asked)} fits, and for one that is too stiff"
        f" for any growth in {stiff.sum()} of {len(stiff)}",
    )
    rows = results("growth")["summary"]
    without, grown = (row(rows, true_growth=1.0, growth=g) for g in (0.0, 1.0))
    yield (
        "limits",
        f"`growth=1.0` takes the error of fate shares from {without['shares']:.3f} to"
        f" {grown['shares']:.3f} there, and that of as many true cells is {without['floor']:.3f}",
    )
    change = (likeness["scNODE, growth 1"] / likeness["scNODE"] - 1) * 100
    low, high = f"{change.min():+.0f}".replace("-", "−"), f"{change.max():+.0f}"
    yield "limits", f"it changes likeness by {low} to {high}%, on average by less than 2%"
    assert abs(change.mean()) < 2


def coverage() -> Iterator[tuple[str, str]]:
    """What the limits say of intervals on real series."""
    rows = results("coverage")["summary"]
    plain, calibrated, shares = (
        {kind: row(rows, quantity=q, calibrated=c, kind=kind) for kind in ("inner", "outer")}
        for q, c in (("gene means", False), ("gene means", True), ("cluster shares", True))
    )
    percent = [
        f"{100 * each[k]['held']:.0f}%" for each in (plain, calibrated, shares) for k in each
    ]
    yield (
        "limits",
        f"intervals of 80% hold {percent[0]} of the measured means of genes between measured times"
        f" and {percent[1]} beyond the last",
    )
    low, high = (f"{100 * calibrated['inner'][end]:.0f}" for end in ("lowest", "highest"))
    yield (
        "limits",
        f"(`calibrate=True`) they hold {percent[2]} ({low} to {high}% by series) and {percent[3]}",
    )
    yield "limits", f"in one series {100 * calibrated['outer']['lowest']:.0f}%"
    yield "limits", f"of cells in a cluster they hold {percent[4]} and {percent[5]}"


def series() -> Iterator[tuple[str, str]]:
    """What the pages say of ``real_series.json``."""
    yield from each_time()
    yield from against_others()
    yield from coverage()
    n = len(tasks("energy"))
    won = lowest("W2**2")
    yield (
        "ledger",
        f"lowest of all on {won['published']} of {n} | a simple method lowest on"
        f" {won['simple']}, the drift of this book on {won['default']}, both level on"
        f" {won['level']} |",
    )
    won = lowest("energy")
    yield (
        "ledger",
        f"lowest of all on {won['published']} of {n} | a simple method lowest on"
        f" {won['simple']}, the drift of this book on {won['default']} |",
    )


# Data


def data() -> Iterator[tuple[str, str]]:
    """What the FAQ and the ledger say of data that are fetched by hand."""
    scnode, hires = read_manifest("scNODE"), read_manifest("HiRES")
    assert hires.by_hand
    assert scnode.accession
    size = hires.by_hand["approximate_size"]
    yield "faq", f"figshare record {scnode.accession.split()[-1]}"
    yield "faq", f"GEO series {hires.accession}, HiRES: {size}, and as much again to process"
    yield "ledger", f"those of scGrapHiC take {size}"


# Elsewhere


def colab() -> Iterator[tuple[str, str]]:
    """What the page on reproducibility says of ``colab.json``."""
    about, rows = results("colab")["provenance"], results("colab")["pages"]
    failed = [row["page"] for row in rows if row["status"] != "passed"]
    n = len(notebooks.names())
    of_all = f"All {n} pages ran so" if len(rows) == n else f"{len(rows)} of the {n} pages ran so"
    yield "reproducibility", f"{of_all}, and all passed" + "".join(f" but `{n}`" for n in failed)
    image = about["colab"]
    yield (
        "reproducibility",
        f"with Python {about['python']} (Colab: {image['python']}) and the list of"
        f" {image['list'].split()[-1]}",
    )
    assert not {"numpy", "pandas", "torch"} & set(about["replaced"])
    changed = ", ".join(f"{n} {old} by {new}" for n, (old, new) in about["replaced"].items())
    yield (
        "reproducibility",
        f"numpy, pandas and torch stay; the set-up replaces {changed or 'none'}",
    )
    with_set_up = [row["set_up_seconds"] for row in rows if "set_up_seconds" in row]
    yield "reproducibility", f"The first set-up took {max(with_set_up):.0f} s"
    yield "reproducibility", f"{len(with_set_up)} pages ran with their set-up cells"


def faults() -> Iterator[tuple[str, str]]:
    """What the page on security says of ``faults.json``."""
    kills, damage = results("faults")["kills"], results("faults")["damage"]
    found = sum(each["found"] for each in [*kills, *damage])
    killed = sum(each.get("killed", 0) for each in kills)
    jobs = len({each["job"] for each in kills if "killed" in each})
    (tries,) = {sum(each[n] for n in ("error", "same", "other") if n in each) for each in damage}
    assert found == 0
    yield (
        "security",
        f"The last long form killed {jobs} kinds of jobs {killed} times and damaged {tries:,} files"
        f" of each of {WORDS[len(damage)]} kinds; nothing was found (`faults.json`).",
    )


PHRASES = [*maps(), *cost(), *times(), *series(), *data(), *colab(), *faults()]


@pytest.mark.parametrize(("name", "phrase"), PHRASES)
def test_the_page_says_what_was_measured(name: str, phrase: str) -> None:
    assert phrase in page(name), f"{name} should say: {phrase}"


def test_the_lists_above_are_not_empty() -> None:
    pages = {"faq", "ledger", "limits", "reproducibility", "security"}
    assert {name for name, _ in PHRASES if "/" not in name} == pages
    assert len(PHRASES) > 30
