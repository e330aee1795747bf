"""Write every diagram to ``book/_static/diagrams``: ``python -m book.diagrams``."""

from __future__ import annotations

from pathlib import Path

from . import DIAGRAMS

FOLDER = Path(__file__).parents[1] / "_static/diagrams"


def main() -> None:
    """Write the files, and delete those of diagrams that are no more."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.svg"):
        if path.stem not in DIAGRAMS:
            path.unlink()
    for name, draw in DIAGRAMS.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
