"""Command line of the package: ``python -m scstlib predict-contacts``."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scstlib.files.outputs import (
    check_output,
    predict_chromosomes,
    provenance,
    write_contact_map,
)

log = logging.getLogger("scstlib")

DESCRIPTION = """\
Predict the contact map of every cell type from a bulk map and expression.

Each cell type gets a file of its own, named after it: with --out maps.mcool and the cell types
astro and oligo, maps.astro.mcool and maps.oligo.mcool. cooler reads them, and HiGlass shows an
.mcool file as it is. A file appears when it is complete; its metadata say what it was made from.
"""
EPILOG = """\
The model must have been fitted on the same kinds of tracks: the same expression, CTCF and CpG
files or none, bins of the same size, and --reference with the cell types that it was trained on.
A model is trained in Python:

  from scstlib.models import ScGrapHiC
  from scstlib.files.inputs import build_windows

  windows = build_windows("bulk.mcool::resolutions/50000", "cells.h5ad", genes="genes.gtf",
                          targets={"astro": "astro.cool", "oligo": "oligo.cool"})
  ScGrapHiC().fit(windows).save("model.safetensors")

A .hic file is converted first: 'hictk convert maps.hic maps.mcool' or
'hic2cool convert maps.hic maps.mcool -r 0'.

exit status: 0 all is well; 2 wrong use or input, with one line that says what to do
"""


def _parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(prog="python -m scstlib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    predict = commands.add_parser(
        "predict-contacts",
        help="contact maps of cell types from a bulk map and expression",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_inputs(predict.add_argument_group("input"))
    _add_choices(predict.add_argument_group("what is predicted"))
    return parser


def _add_inputs(group: Any) -> None:
    """Arguments that name files and what is in them."""
    group.add_argument(
        "--bulk", required=True, metavar="COOLER", help="bulk.mcool::resolutions/50000, or a .cool"
    )
    group.add_argument("--resolution", type=int, metavar="BP", help="bin size of an .mcool file")
    group.add_argument(
        "--balance", nargs="?", const=True, default=False, metavar="COLUMN",
        help="predict from balanced values instead of raw counts; COLUMN is 'weight'",
    )  # fmt: skip
    group.add_argument("--expression", required=True, metavar="H5AD", help="cells, counts in X")
    group.add_argument("--cell-type-key", default="cell_type", metavar="COLUMN", help="of obs")
    group.add_argument("--layer", help="layer with the counts, if they are not in X")
    group.add_argument("--genes", metavar="GTF|BED", help="places of genes, if var has none")
    group.add_argument("--ctcf", metavar="BED", help="CTCF sites, with strands if they are known")
    group.add_argument("--cpg", metavar="BEDGRAPH", help="CpG content")
    group.add_argument("--assembly", help="refuse files of another assembly")
    group.add_argument("--model", required=True, help="file of a fitted model, or its folder")
    group.add_argument(
        "--reference", nargs="+", metavar="TYPE",
        help="cell types that the model was trained on (default: all)",
    )  # fmt: skip
    group.add_argument(
        "--bulk-expression", metavar="TYPE", help="cell type that the bulk map was measured on"
    )


def _add_choices(group: Any) -> None:
    """Arguments that say what is predicted and written."""
    group.add_argument("--out", required=True, metavar="FILE", help="name.mcool or name.cool")
    group.add_argument("--overwrite", action="store_true", help="replace files that are there")
    group.add_argument("--cell-types", nargs="+", metavar="TYPE", help="default: all")
    group.add_argument("--chromosomes", nargs="+", metavar="CHROM", help="default: all")
    group.add_argument("--window", type=int, default=128, metavar="BINS", help="default: 128")
    group.add_argument(
        "--stride", type=int, default=64, metavar="BINS",
        help="distance of windows; the map reaches window - stride bins (default: 64)",
    )  # fmt: skip
    group.add_argument(
        "--depth", type=float, default=1.0, help="relative to the bulk map (default: 1)"
    )
    group.add_argument("--batch-size", type=int, default=4, metavar="N", help="default: 4")
    group.add_argument("--balance-output", action="store_true", help="store balancing weights")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status (0 well, 2 wrong use or input)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _log_warning
        try:
            _predict_contacts(options)
        except (ValueError, OSError, ImportError) as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr)
            return 2
    return 0


def _log_warning(
    message: Warning | str, category: Any, filename: str, lineno: int, *more: Any, **named: Any
) -> None:
    """One line, without the place in the code."""
    log.warning("warning: %s", message)


def _predict_contacts(options: argparse.Namespace) -> None:
    """Predict and write the maps of all cell types; what is wrong shows before the first one."""
    from scstlib.files.inputs import read_inputs

    check_output(options.out, overwrite=True)
    model_file = _model_file(Path(options.model))
    model = _load(model_file)
    inputs = read_inputs(
        options.bulk,
        options.expression,
        cell_type_key=options.cell_type_key,
        layer=options.layer,
        genes=options.genes,
        ctcf=options.ctcf,
        cpg=options.cpg,
        cell_types=options.cell_types,
        reference=options.reference,
        bulk_expression=options.bulk_expression,
        resolution=options.resolution,
        assembly=options.assembly,
        chromosomes=options.chromosomes,
        balance=options.balance,
        window=options.window,
    )
    outputs = output_paths(Path(options.out), list(inputs.tracks))
    for path in outputs.values():
        check_output(path, options.overwrite)
    settings = {
        name: getattr(options, name)
        for name in ("window", "stride", "depth", "balance", "reference", "bulk_expression")
    }
    origin = provenance(model, inputs.files, model_file=model_file, **settings)
    for cell_type, path in outputs.items():
        write_contact_map(
            path,
            inputs.bulk.bins,
            predict_chromosomes(
                model,
                inputs,
                cell_type,
                stride=options.stride,
                depth=options.depth,
                batch_size=options.batch_size,
            ),
            metadata={**origin, "cell_type": cell_type},
            assembly=inputs.bulk.assembly or options.assembly,
            balance=options.balance_output,
            overwrite=options.overwrite,
        )
        log.info("wrote %s", path)


def output_paths(out: Path, cell_types: Sequence[str]) -> dict[str, Path]:
    """One file a cell type, with its name before the suffix; blanks and slashes become ``_``.

    Raises
    ------
    ValueError
        If two cell types would get the same file.
    """
    names = {kind: re.sub(r"[^\w.+-]", "_", kind) for kind in cell_types}
    paths = {kind: out.with_name(f"{out.stem}.{name}{out.suffix}") for kind, name in names.items()}
    if len(set(paths.values())) < len(paths):
        raise ValueError(f"cell types {list(cell_types)} would share a file: rename some.")
    return paths


def _model_file(path: Path) -> Path:
    """The model's file: itself, or the only one in a folder."""
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"there is no model {path}.")
        return path
    files = sorted(path.glob("*.safetensors"))
    if len(files) != 1:
        raise ValueError(f"{path} holds {len(files)} .safetensors files: name the one to use.")
    return files[0]


def _load(path: Path) -> Any:
    """The fitted model of a file."""
    from scstlib.models import ScGrapHiC

    return ScGrapHiC.load(path)


if __name__ == "__main__":
    sys.exit(main())
