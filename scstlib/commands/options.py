"""Arguments that several commands share, and how a command is added."""

from __future__ import annotations

import argparse
import difflib
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

Run = Callable[[argparse.Namespace], int]
PYTHON_VALUES = {"True": True, "False": False, "None": None}


def whole(least: int = 1) -> Callable[[str], int]:
    """What reads a whole number from `least` on."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number, at least {least}, written without a point"
            )
        return int(text)

    return read


def finite(text: str) -> float:
    """Read a number that is neither infinite nor missing."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def positive(text: str) -> float:
    """Read a number above 0."""
    if (number := finite(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def in_options(message: str, options: argparse.Namespace) -> str:
    """A message of the package, with the options that were typed for the arguments of Python.

    Examples
    --------
    >>> from argparse import Namespace
    >>> from scstlib.commands.options import in_options
    >>> typed = Namespace(time_key="day", overwrite=False)
    >>> in_options("m.h5ad exists already: choose another name, or say overwrite=True.", typed)
    'm.h5ad exists already: choose another name, or say --overwrite.'
    >>> in_options("adata.obs has no column 'day'; it has ['time'].", typed)
    "obs of the cells has no column 'day' (--time-key); it has ['time']."
    """
    for name, value in vars(options).items():
        option = f"--{name.replace('_', '-')}"
        message = re.sub(rf"(?<![\w.?&/-]){name}=True\b", option, message)
        message = re.sub(rf"(?<![\w.?&/-]){name}=(?=\S)", f"{option} ", message)
        message = re.sub(rf"^{name} (?=must be |is )", f"{option} ", message)
        if name == "times":
            message = re.sub(r"^time (?=\S+ lies )", "--times ", message)
            message = message.replace(
                ", or follow cells backwards by flow(latent, start, times)", ""
            )
        if "_" in name:
            # Neither in quotation marks nor a part of a path.
            message = re.sub(rf"(?<![\w.'\"/-]){name}(?![\w'\"=/-]|\.\w)", option, message)
        if name.endswith("_key"):
            column = f"obs[{value!r}]"
            message = message.replace(f"adata.{column} holds", f"{column} ({option}) holds")
        if name.endswith(("_key", "layer")):
            message = re.sub(
                rf"no (column|layer) {re.escape(repr(value))}", rf"\g<0> ({option})", message
            )
    for name in (text.partition("=")[0] for text in getattr(options, "settings", ())):
        message = re.sub(rf"^{re.escape(name)} (?=must be )", f"--set: {name} ", message)
    return message.replace("adata.obs has", "obs of the cells has")


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
    group.add_argument(
        "--resolution", type=whole(), metavar="BP", help="bin size of an .mcool file"
    )
    group.add_argument(
        "--balance", nargs="?", const=True, default=False, metavar="COLUMN",
        help="use balanced values instead of raw counts; COLUMN is 'weight'",
    )  # fmt: skip
    group.add_argument("--expression", required=True, metavar="H5AD", help="cells, counts in X")
    group.add_argument("--cell-type-key", default="cell_type", metavar="COLUMN", help="of obs")
    group.add_argument("--layer", help="layer with the counts, if they are not in X")
    group.add_argument("--genes", metavar="GTF|BED", help="places of genes, if var has none")
    group.add_argument(
        "--ctcf", metavar="BED|TSV",
        help="CTCF sites, with strands if they are known; also the table of FIMO",
    )  # fmt: skip
    group.add_argument("--cpg", metavar="FILE", help="CpG content, bedGraph or bigWig")
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
        "--window", type=whole(), default=window, metavar="BINS",
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
    group.set_defaults(model_class=model)
    group.add_argument("--seed", type=whole(0), default=0, help="default: 0")
    group.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", dest="settings",
        help=f"settings of the model, which help(scstlib.models.{model}) lists in Python; a value"
        " is read as JSON, as True, False or None, or else as text",
    )  # fmt: skip


def unknown_options(words: Sequence[str], options: argparse.Namespace) -> str:
    """What to say of words that no command knows: settings of a model go with ``--set``.

    Examples
    --------
    >>> from argparse import Namespace
    >>> from scstlib.commands.options import unknown_options
    >>> unknown_options(["--latent=8"], Namespace(model_class="ScNODE"))
    '--latent=8 is no option: settings of ScNODE go with --set, such as --set latent_dim=8'
    """
    said = f"{' '.join(words)} is no option"
    model = getattr(options, "model_class", None)
    if model is None or not words[0].startswith("--"):
        return said
    from inspect import signature

    from scstlib import models

    option, _, value = words[0].removeprefix("--").partition("=")
    value = value or (words[1] if len(words) > 1 else "VALUE")
    names = list(signature(getattr(models, model)).parameters)
    near = [name for name in names if option.replace("-", "_") in name]
    near = near or difflib.get_close_matches(option, names, 3)
    like = " or ".join(f"--set {name}={value}" for name in near)
    return f"{said}: settings of {model} go with --set" + (f", such as {like}" if like else "")


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
            settings[name] = PYTHON_VALUES.get(value, value)
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
