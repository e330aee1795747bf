"""``scstlib score contacts`` and ``scstlib score expression``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scstlib.commands.options import add_command, finite, whole

if TYPE_CHECKING:
    import pandas as pd

CONTACTS = """\
Score a predicted contact map against a measured one.

The measured contacts are split at random in two halves. The prediction, the bulk map and the first
half are compared with the second, in windows along the diagonal, and the scores are averaged by
chromosome. A prediction is worth something where it beats the bulk map. The split half is what
noise leaves to a map of its depth; where its SCC is near 0, too few contacts were measured to tell
maps apart. SCC leaves out pixels without a contact in either map, so on sparse maps a smooth
prediction may score above both.

  SCC   stratum-adjusted correlation       SSIM  structural similarity
  GD    GenomeDISCO                        MSE   mean squared error (smaller is better)
  ins   correlation of insulation

Maps of chromosomes that the model was trained on are no test.
"""
CONTACTS_EXAMPLE = """\
$ scstlib score contacts --predicted maps.beta_mature.mcool --measured beta_mature.cool \\
    --bulk bulk.mcool::resolutions/50000 --chromosomes chr3 --out contacts.csv
"""
EXPRESSION = """\
Score predicted cells against measured ones, time by time.

The measured cells of a time are split at random in two halves. As many predicted cells as the
first half has, and the first half itself, are compared with the second: the split half is the
floor that measured cells reach against measured cells. Smaller values are better. Counts are
compared as log1p of counts per 10,000. Times that the model was trained on are no test.
"""
EXPRESSION_EXAMPLE = """\
$ scstlib score expression --predicted predicted.h5ad --measured cells.h5ad \\
    --time-key time --out expression.csv
"""


def add(commands: Any) -> None:
    """Add ``score`` and its commands."""
    parser = commands.add_parser("score", help="predicted against measured: contacts, expression")
    own = parser.add_subparsers(dest="score_command", required=True, metavar="WHAT")

    contacts = add_command(
        own, "contacts", _contacts, summary="contact maps, beside the bulk map and a split half",
        description=CONTACTS, example=CONTACTS_EXAMPLE,
    )  # fmt: skip
    for name in ("predicted", "measured", "bulk"):
        contacts.add_argument(f"--{name}", required=True, metavar="COOLER")
    contacts.add_argument(
        "--resolution", type=whole(), metavar="BP", help="bin size, unless the bulk map has one"
    )
    contacts.add_argument("--chromosomes", nargs="+", metavar="CHROM", help="default: all")
    contacts.add_argument(
        "--window", type=whole(), metavar="BINS",
        help="default: as far as the predicted map reaches, at most 64",
    )  # fmt: skip
    _add_run(contacts)

    expression = add_command(
        own, "expression", _expression, summary="cells, beside a split half of the measured ones",
        description=EXPRESSION, example=EXPRESSION_EXAMPLE,
    )  # fmt: skip
    for name in ("predicted", "measured"):
        expression.add_argument(f"--{name}", required=True, metavar="H5AD")
    expression.add_argument("--time-key", default="time", metavar="COLUMN", help="of obs in both")
    expression.add_argument("--times", nargs="+", type=finite, metavar="TIME", help="default: all")
    expression.add_argument(
        "--repeats", type=whole(), default=3, metavar="N", help="random halves (default: 3)"
    )
    _add_run(expression)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=whole(0), default=0, help="default: 0")
    parser.add_argument("--out", metavar="FILE.csv", help="write the table here as well")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def _contacts(options: argparse.Namespace) -> int:
    import pandas as pd

    from scstlib.files import score_contacts
    from scstlib.files.scores import CONTACT_METRICS

    out = _output(options, options.predicted, options.measured, options.bulk)
    scores = score_contacts(
        options.predicted,
        options.measured,
        options.bulk,
        resolution=options.resolution,
        chromosomes=options.chromosomes,
        window=options.window,
        seed=options.seed,
    )
    parts = {chrom: scores[scores["chrom"] == chrom] for chrom in scores["chrom"].unique()}
    if len(parts) > 1:
        parts["all"] = scores
    means = {
        chrom: part.groupby("model", sort=False)[CONTACT_METRICS].mean()
        for chrom, part in parts.items()
    }
    _show(pd.concat(means, names=["chrom"]), out, options.overwrite)
    return 0


def _expression(options: argparse.Namespace) -> int:
    from scstlib.files import score_expression

    out = _output(options, options.predicted, options.measured)
    scores = score_expression(
        options.predicted,
        options.measured,
        options.time_key,
        times=options.times,
        n_repeats=options.repeats,
        seed=options.seed,
    )
    table = scores.pivot_table(
        index=["time", "model"], columns="metric", values="value", aggfunc="median", sort=False
    )
    _show(table.rename_axis(columns=None), out, options.overwrite)
    return 0


def _output(options: argparse.Namespace, *read: str) -> Path | None:
    from scstlib.files.outputs import check_output

    if options.out is None:
        return None
    return check_output(options.out, options.overwrite, suffixes=(".csv",), inputs=read)


def _show(table: pd.DataFrame, out: Path | None, overwrite: bool) -> None:
    """Print a table, and write it as well."""
    rows = table.reset_index()
    print(rows.to_string(index=False, float_format="{:.3g}".format))
    if out is not None:
        from scstlib.writing import whole_file

        with whole_file(out, overwrite=overwrite) as temporary:
            rows.to_csv(temporary, index=False)
