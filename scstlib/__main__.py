"""Command line of the package: ``scstlib``, or ``python -m scstlib``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from scstlib import __version__
from scstlib.commands import data, predict, score, train
from scstlib.commands.options import in_options, unknown_options

log = logging.getLogger("scstlib")

DESCRIPTION = """\
Deep learning for spatial and temporal modelling of single-cell gene expression.

Every command explains itself, with an example: scstlib COMMAND --help
"""
EPILOG = """\
exit status: 0 all is well; 1 files of a data set are missing or not as expected; 2 wrong use or
input, with one line that says what to do; 130 interrupted
"""
INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="scstlib",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"scstlib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (data, train, predict, score):
        module.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words of the command line; default: those that the program was started with.

    Returns
    -------
    int
        0 well; 1 files of a data set missing or wrong; 2 wrong use or input; 130 interrupted.
    """
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(unknown_options(unknown, options))
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _log_once()
        try:
            status: int = options.run(options)
            if sys.stdout is not None:  # A program without a console has none.
                sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:  # Whoever read the output has had enough, as ``head`` has.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (ValueError, OSError, ImportError, FloatingPointError, MemoryError) as error:
            message = in_options(" ".join(str(error).split()), options)
            print("error:", message, file=sys.stderr)
            return 2
    return 0


def _log_once() -> Callable[..., None]:
    """What shows a warning as one line, without the place in the code, and each text once."""
    said = set()

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        text = " ".join(str(message).split())
        if text not in said:
            said.add(text)
            log.warning("warning: %s", text)

    return show


if __name__ == "__main__":
    sys.exit(main())
