"""Arguments that several commands share, and how a command is added."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

Run = Callable[[argparse.Namespace], int]


def add_command(
    commands: Any, name: str, run: Run, *, summary: str, description: str, example: str
) -> argparse.ArgumentParser:
    """Add a command to a parser's commands; ``run`` returns the exit status.

    Parameters
    ----------
    example
        Lines of a shell that work in a folder with files of these names.
    """
    lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"example:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_map_inputs(group: Any, window: int | None) -> None:
    """Arguments that name the files of contact maps and tracks, and what is in them.

    ``window`` is the default number of bins; None: that of the model.
    """
    group.add_argument(
        "--bulk", required=True, metavar="COOLER", help="bulk.mcool::resolutions/50000, or a .cool"
    )
    group.add_argument("--resolution", type=int, metavar="BP", help="bin size of an .mcool file")
    group.add_argument(
        "--balance", nargs="?", const=True, default=False, metavar="COLUMN",
        help="use balanced values instead of raw counts; COLUMN is 'weight'",
    )  # fmt: skip
    group.add_argument("--expression", required=True, metavar="H5AD", help="cells, counts in X")
    group.add_argument("--cell-type-key", default="cell_type", metavar="COLUMN", help="of obs")
    group.add_argument("--layer", help="layer with the counts, if they are not in X")
    group.add_argument("--genes", metavar="GTF|BED", help="places of genes, if var has none")
    group.add_argument("--ctcf", metavar="BED", help="CTCF sites, with strands if they are known")
    group.add_argument("--cpg", metavar="BEDGRAPH", help="CpG content")
    group.add_argument("--assembly", help="refuse files of another assembly")
    group.add_argument(
        "--reference", nargs="+", metavar="TYPE",
        help="cell types whose mean expression is the reference, the same in training and"
        " prediction: those that the model is trained on (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--bulk-expression", metavar="TYPE", help="cell type that the bulk map was measured on"
    )
    group.add_argument("--chromosomes", nargs="+", metavar="CHROM", help="default: all")
    group.add_argument(
        "--window", type=int, default=window, metavar="BINS",
        help=f"default: {window or 'as the model was trained'}",
    )  # fmt: skip


MAP_INPUTS = (
    "cell_type_key", "layer", "genes", "ctcf", "cpg", "assembly", "reference", "bulk_expression",
    "resolution", "balance", "chromosomes", "window",
)  # fmt: skip


def map_inputs(options: argparse.Namespace, **more: Any) -> Any:
    """The files of :func:`add_map_inputs`, opened and checked."""
    from scstlib.files import read_inputs

    named: dict[str, Any] = {name: getattr(options, name) for name in MAP_INPUTS}
    return read_inputs(options.bulk, options.expression, **named, **more)


def add_device(group: Any) -> None:
    """Where a model computes."""
    group.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1")


def add_training(group: Any, model: str) -> None:
    """Arguments of a model that is fitted; ``model`` is its class."""
    add_device(group)
    group.add_argument("--seed", type=int, default=0, help="default: 0")
    group.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", dest="settings",
        help=f"settings of the model, which help(scstlib.models.{model}) lists in Python; a value"
        " is read as JSON, or else as text",
    )  # fmt: skip


def model_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of the model from ``--set`` and ``--seed``.

    Raises
    ------
    ValueError
        For one that is no NAME=VALUE, or stands twice.
    """
    settings: dict[str, Any] = {"seed": options.seed}
    for text in options.settings:
        name, sign, value = text.partition("=")
        name = name.replace("-", "_")
        if not sign or not name.isidentifier():
            raise ValueError(f"--set {text!r} is not of the form NAME=VALUE")
        if name in settings:
            raise ValueError(f"{name} is set twice")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """Name → value from words of the form NAME=VALUE.

    Raises
    ------
    ValueError
        For a word of another form, or a name that stands twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not (name and sign and value):
            raise ValueError(f"{option} {word!r} is not of the form TYPE=FILE")
        if name in found:
            raise ValueError(f"{option} names {name} twice: {found[name]} and {value}")
        found[name] = value
    return found
