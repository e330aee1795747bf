"""Contact maps of cell types from a bulk map: methods, their protocol and their comparison.

>>> from scstlib.models.spatial import ContactTrees, methods, score_windows
"""

import lazy_loader

# The names stand in the stub beside this file; each is loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
