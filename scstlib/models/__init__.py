"""Models in two families: cells in time (``temporal``) and contact maps (``spatial``).

>>> from scstlib.models import ScNODE, ScGrapHiC, load
"""

import lazy_loader

# The names stand in the stub beside this file; each is loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
