"""Data sets: manifests, files with checksums, loaders and the simulated organism.

``load("semrau2017")`` returns a data set; ``describe()`` lists all; on the command line
``scstlib data list`` does.
"""

import lazy_loader

# The names stand in the stub beside this file; each is loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
