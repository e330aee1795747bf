"""Diagrams of the book, drawn as SVG: one function a diagram, each returns a ``Drawing``.

``python -m book.diagrams`` writes them to ``book/_static/diagrams``, where they are committed so
that they show on Colab and GitHub too.
"""

from __future__ import annotations

from collections.abc import Callable

from . import data, flow, held_out, reading, results, spatial, temporal
from .canvas import Drawing

DIAGRAMS: dict[str, Callable[[], Drawing]] = {
    function.__name__: function
    for function in (
        data.organism,
        data.bulk_mixture,
        data.two_donors,
        data.count_splitting,
        data.pseudo_bulk_size,
        spatial.scgraphic_published,
        spatial.scgraphic_default,
        spatial.pair_features,
        spatial.windows,
        temporal.scnode_published,
        temporal.scnode_default,
        temporal.chained_cells,
        flow.neural_ode,
        flow.path_of_a_cell,
        flow.perturbation,
        held_out.splits,
        held_out.leaks_in_time,
        held_out.leaks_in_space,
        reading.book_map,
        results.six_series,
    )
}


def markdown(name: str, folder: str = "../../book/_static/diagrams") -> str:
    """Return what a page writes to show a diagram: image, and caption below it.

    Parameters
    ----------
    folder : str
        Of the diagrams, seen from the page; the default is that of ``notebooks/PART/PAGE``.
    """
    drawing = DIAGRAMS[name]()
    return f"![{drawing.alt}]({folder}/{name}.svg)\n\n*{drawing.caption}*"
