"""``scstlib train contacts`` and ``scstlib train expression``."""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from scstlib.commands.options import (
    add_command,
    add_map_inputs,
    add_training,
    finite,
    map_inputs,
    model_settings,
    pairs,
    whole,
)

log = logging.getLogger(__name__)

CONTACTS = """\
Train scGrapHiC: the contact map of a cell type from a bulk map and the cell type's expression.

Reads the bulk map, the cells and a measured map of each training cell type, cuts windows, says
about how long the training takes and how much memory, trains, and writes one file. With default
settings: about 4 CPU minutes on one core. Where other programs use the cores, OMP_NUM_THREADS=1
is faster. Chromosomes that shall test the model are left out of --chromosomes.
"""
CONTACTS_EXAMPLE = """\
$ scstlib train contacts --bulk bulk.mcool::resolutions/50000 --expression cells.h5ad \\
    --targets stem=stem.cool bipotent=bipotent.cool --chromosomes chr1 chr2 \\
    --window 64 --set n_steps=5 --out contacts.safetensors
"""
EXPRESSION = """\
Train scNODE: cells at times that were not measured, from cells at times that were.

Reads the cells, says about how long the training takes and how much memory, trains, and writes
one file. With default settings: seconds to minutes on one core. Where other programs use the
cores, OMP_NUM_THREADS=1 is faster. Times that shall test the model are named in --hold-out.
"""
EXPRESSION_EXAMPLE = """\
$ scstlib train expression --cells cells.h5ad --time-key time --hold-out 48 \\
    --set matching_steps=5 --out expression.safetensors
"""


def add(commands: Any) -> None:
    """Add ``train`` and its commands."""
    parser = commands.add_parser("train", help="train a model: contacts, expression")
    own = parser.add_subparsers(dest="train_command", required=True, metavar="MODEL")

    contacts = add_command(
        own, "contacts", _contacts, summary="scGrapHiC, from contact maps and expression",
        description=CONTACTS, example=CONTACTS_EXAMPLE,
    )  # fmt: skip
    group = contacts.add_argument_group("input")
    add_map_inputs(group, window=128)
    group.add_argument(
        "--targets", nargs="+", required=True, metavar="TYPE=COOLER", help="measured maps"
    )
    group.add_argument(
        "--bulk-cell-types", nargs="+", default=(), metavar="TYPE",
        help="whose contacts are in the bulk map, for the leak guard",
    )  # fmt: skip
    group.add_argument(
        "--stride", type=whole(), default=32, metavar="BINS",
        help="distance of windows (default: 32)",
    )  # fmt: skip
    group.add_argument(
        "--validation-chromosomes", nargs="+", metavar="CHROM",
        help="not trained on; training stops where they get no better",
    )  # fmt: skip
    _add_run(contacts, "ScGrapHiC")

    expression = add_command(
        own, "expression", _expression, summary="scNODE, from cells measured at several times",
        description=EXPRESSION, example=EXPRESSION_EXAMPLE,
    )  # fmt: skip
    group = expression.add_argument_group("input")
    group.add_argument("--cells", required=True, metavar="H5AD", help="counts, or log values, in X")
    group.add_argument("--time-key", default="time", metavar="COLUMN", help="of obs")
    group.add_argument("--layer", help="layer with the counts or values, if they are not in X")
    group.add_argument("--hold-out", nargs="+", type=finite, metavar="TIME", help="not trained on")
    group.add_argument(
        "--validation-time", type=finite, metavar="TIME",
        help="not trained on; training stops where it gets no better",
    )  # fmt: skip
    group.add_argument(
        "--backed", action="store_true", help="read a file that does not fit into memory in chunks"
    )
    _add_run(expression, "ScNODE")


def _add_run(parser: argparse.ArgumentParser, model: str) -> None:
    group = parser.add_argument_group("training")
    group.add_argument("--out", required=True, metavar="FILE", help="name.safetensors")
    group.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_training(group, model)
    group.add_argument("--precision", default="32-true", help="32-true (default), bf16-mixed")
    group.add_argument("--checkpoint", metavar="FILE", help="keep the run here, to go on from")


def _contacts(options: argparse.Namespace) -> int:
    from scstlib.files import contact_training_cost
    from scstlib.files.inputs import usable_chromosomes
    from scstlib.files.outputs import check_output
    from scstlib.models import ScGrapHiC
    from scstlib.training import checked_place

    targets = pairs(options.targets, "--targets")
    model = _new(ScGrapHiC, options)
    checked_place(options.device, options.precision)  # before the files are read
    read = [options.bulk, options.expression, *targets.values()]
    out = check_output(options.out, options.overwrite, suffixes=(".safetensors",), inputs=read)
    validation = options.validation_chromosomes
    if options.chromosomes and validation:
        options.chromosomes = [*options.chromosomes, *validation]
    inputs = map_inputs(options, targets=targets, bulk_cell_types=options.bulk_cell_types)
    windows, kept = inputs.windows(options.stride), None
    if validation:
        named = usable_chromosomes(inputs.bulk, validation)
        held = windows.table["chrom"].isin(named).to_numpy()
        if held.all():
            raise ValueError(
                f"--validation-chromosomes {validation}: name some of {list(inputs.chromosomes)},"
                " not all."
            )
        windows, kept = windows[~held], windows[held]
    cost = contact_training_cost(windows, model.settings)
    log.info(
        "%d windows of %d bins, of the cell types %s: %s",
        len(windows), options.window, ", ".join(targets), cost,
    )  # fmt: skip
    if len(targets) == 1:
        log.warning("the maps of one cell type cannot tell what sets cell types apart: give two")
    model.fit(
        windows, validation=kept, device=options.device, precision=options.precision,
        checkpoint=options.checkpoint,
    )  # fmt: skip
    model.save(out, overwrite=options.overwrite)
    log.info("wrote %s", out)
    return 0


def _expression(options: argparse.Namespace) -> int:
    from scstlib.files.outputs import check_output

    read = [options.cells]
    out = check_output(options.out, options.overwrite, suffixes=(".safetensors",), inputs=read)
    fit_expression(
        options,
        layer=options.layer,
        hold_out=options.hold_out or (),
        backed=options.backed,
        validation_time=options.validation_time,
        precision=options.precision,
        checkpoint=options.checkpoint,
    ).save(out, overwrite=options.overwrite)
    log.info("wrote %s", out)
    return 0


def fit_expression(
    options: argparse.Namespace,
    *,
    layer: str | None = None,
    hold_out: Any = (),
    backed: bool = False,
    asked: Sequence[float] = (),
    **fit: Any,
) -> Any:
    """Read ``--cells``, say what the training costs, and fit scNODE to them.

    Times that are ``asked`` for afterwards are refused before the training.
    """
    import numpy as np

    from scstlib.files import expression_training_cost
    from scstlib.files.track_inputs import read_cells
    from scstlib.models import ScNODE
    from scstlib.models.temporal.protocol import check_reach
    from scstlib.preprocess.cells import CellReader, measured_time
    from scstlib.training import checked_place

    model = _new(ScNODE, options)
    checked_place(options.device, fit.get("precision", "32-true"))  # before they are read
    cells = read_cells(options.cells, backed=backed)
    if layer is not None:
        if backed:
            raise ValueError("--layer goes without --backed: write the layer to X of another file")
        if layer not in cells.layers:
            raise ValueError(f"{options.cells} has no layer {layer!r} among {list(cells.layers)}")
        cells.X = cells.layers[layer]
    try:
        time = measured_time(cells, options.time_key, 1)
    except ValueError:
        CellReader(cells, options.time_key)  # It says what else is wrong.
        raise
    if unknown := sorted(set(hold_out) - set(time.tolist())):
        raise ValueError(f"--hold-out {unknown}: {options.cells} has {sorted(set(time.tolist()))}.")
    if hold_out:
        kept = [value not in hold_out for value in time]
        cells, time = cells[kept], time[kept]
        cells = cells if backed else cells.copy()
        if len(left := sorted(set(time.tolist()))) < 2:
            raise ValueError(f"--hold-out leaves the times {left}: at least 2 are needed")
    if len(asked) and len(times := np.unique(time)) > 1:
        with warnings.catch_warnings(action="ignore"):
            check_reach(asked, times)
    cost = expression_training_cost(cells, model.settings)
    log.info("%d cells, %d genes, %d times: %s", *cells.shape, len(set(time.tolist())), cost)
    return model.fit(cells, options.time_key, device=options.device, **fit)


def _new(make: Any, options: argparse.Namespace) -> Any:
    """The model with its settings; one that will not do is wrong use of the command."""
    settings: Mapping[str, Any] = model_settings(options)
    for name in settings:
        if name not in signature(make).parameters and name in vars(options):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"--set {name}: this is an option of its own, {option}")
    try:
        return make(**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"--set: {error}") from None
