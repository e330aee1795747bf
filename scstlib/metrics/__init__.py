"""Metrics: pure functions on arrays.

``expression`` compares populations of cells, ``contacts`` contact maps, ``uncertainty`` samples of
a prediction with what was observed. Import the module that is needed.
"""
