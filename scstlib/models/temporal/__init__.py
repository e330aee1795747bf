"""Models of cells in time: predict the population at a time that was not measured.

>>> from scstlib.models.temporal import CopyNearest, methods, score_held_out_times
"""

import lazy_loader

# The names stand in the stub beside this file; each is loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
