"""``scstlib predict-contacts`` and ``scstlib predict-expression``."""

from __future__ import annotations

import argparse
from typing import Any

from scstlib.commands.options import (
    add_command,
    add_device,
    add_map_inputs,
    add_training,
    finite,
    map_inputs,
    positive,
    whole,
)

CONTACTS = """\
Predict the contact map of every cell type from a bulk map and expression.

Each cell type gets a file of its own, named after it: with --out maps.mcool and the cell types
astro and oligo, maps.astro.mcool and maps.oligo.mcool. cooler reads them, and HiGlass shows an
.mcool file as it is. A file appears when it is complete; its metadata say what it was made from.

The model must have been fitted on the same kinds of tracks ('scstlib train contacts'): the same
expression, CTCF and CpG files or none, bins of the same size, and --reference with the cell types
that it was trained on.

A .hic file is converted first: 'hictk convert maps.hic maps.mcool' or
'hic2cool convert maps.hic maps.mcool -r 0'.
"""
CONTACTS_EXAMPLE = """\
$ scstlib predict-contacts --bulk bulk.mcool::resolutions/50000 --expression cells.h5ad \\
    --model contacts.safetensors \\
    --cell-types beta_mature alpha_mature --out maps.mcool
"""
EXPRESSION = """\
Predict cells at times that were not measured.

The model is read from a file ('scstlib train expression'), or fitted first to the cells of
--cells. The file that is written holds the unit of the training cells in X; for counts,
layers['log1p_cp10k'] holds log1p of counts per 10,000; uns['provenance'] says what it was made
from.
"""
EXPRESSION_EXAMPLE = """\
$ scstlib predict-expression --model expression.safetensors --times 36 48 --n-cells 50 \\
    --out predicted.h5ad
$ scstlib predict-expression --cells cells.h5ad --time-key time --set matching_steps=5 \\
    --times 36 60 --n-cells 50 --out at_once.h5ad
"""


def add(commands: Any) -> None:
    """Add both commands."""
    contacts = add_command(
        commands, "predict-contacts", _contacts,
        summary="contact maps of cell types from a bulk map and expression",
        description=CONTACTS, example=CONTACTS_EXAMPLE,
    )  # fmt: skip
    group = contacts.add_argument_group("input")
    add_map_inputs(group, window=None)
    group.add_argument("--model", required=True, help="file of a fitted model, or its folder")
    group = contacts.add_argument_group("what is predicted")
    group.add_argument("--out", required=True, metavar="FILE", help="name.mcool or name.cool")
    group.add_argument("--overwrite", action="store_true", help="replace files that are there")
    group.add_argument("--cell-types", nargs="+", metavar="TYPE", help="default: all")
    group.add_argument(
        "--stride", type=whole(), metavar="BINS",
        help="distance of windows; the map reaches window - stride bins (default: half a window)",
    )  # fmt: skip
    group.add_argument(
        "--depth", type=positive, default=1.0, help="relative to the bulk map (default: 1)"
    )
    group.add_argument("--batch-size", type=whole(), default=4, metavar="N", help="default: 4")
    group.add_argument("--balance-output", action="store_true", help="store balancing weights")
    add_device(group)

    expression = add_command(
        commands, "predict-expression", _expression,
        summary="cells at times that were not measured",
        description=EXPRESSION, example=EXPRESSION_EXAMPLE,
    )  # fmt: skip
    group = expression.add_argument_group("input")
    one = group.add_mutually_exclusive_group(required=True)
    one.add_argument("--model", help="file of a fitted model, or its folder")
    one.add_argument("--cells", metavar="H5AD", help="cells to fit the model to")
    group = expression.add_argument_group("what is predicted")
    group.add_argument("--times", nargs="+", type=finite, required=True, metavar="TIME")
    group.add_argument("--n-cells", type=whole(), required=True, metavar="N", help="at each time")
    group.add_argument("--out", required=True, metavar="FILE", help="name.h5ad")
    group.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    group.add_argument(
        "--without-noise", action="store_true", help="the expected values, not cells as measured"
    )
    group = expression.add_argument_group("with --cells")
    group.add_argument("--time-key", default="time", metavar="COLUMN", help="of obs")
    add_training(group, "ScNODE")


def _contacts(options: argparse.Namespace) -> int:
    from scstlib.files import predict_contacts
    from scstlib.files.fitted_models import find_model, fitted_model
    from scstlib.files.outputs import check_output

    # What is wrong with these shows before the files are read.
    check_output(options.out, overwrite=True)
    model = find_model(options.model)
    if options.window is None:
        fitted, _ = fitted_model(model, options.device, "predict")
        options.window = getattr(fitted, "window_", 128)
    predict_contacts(
        model,
        map_inputs(options, cell_types=options.cell_types),
        options.out,
        stride=options.window // 2 if options.stride is None else options.stride,
        depth=options.depth,
        batch_size=options.batch_size,
        balance=options.balance_output,
        overwrite=options.overwrite,
        device=options.device,
    )
    return 0


def _expression(options: argparse.Namespace) -> int:
    from scstlib.commands.train import fit_expression
    from scstlib.files import predict_expression
    from scstlib.files.outputs import check_output

    if options.model and options.settings:
        raise ValueError("--set goes with --cells: the settings of a fitted model stay as they are")
    read = (options.cells, options.model)
    check_output(options.out, options.overwrite, suffixes=(".h5ad",), inputs=read)
    model = options.model
    if options.cells:
        model = fit_expression(options, asked=options.times)
    predict_expression(
        model,
        options.times,
        options.n_cells,
        options.out,
        seed=options.seed,
        noise=not options.without_noise,
        fitted_on=options.cells,
        overwrite=options.overwrite,
        device=options.device,
    )
    return 0
