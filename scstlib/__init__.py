"""Deep learning for spatial and temporal modelling of single-cell gene expression.

The package under the book: data sets, splits, metrics, models and figures that its pages import.
Nothing heavy is imported here; import the room that is needed, such as ``scstlib.datasets``.
"""

__version__ = "0.1.0"
