"""From files to windows, and from fitted models to files.

>>> from scstlib.files import read_inputs, predict_contacts, predict_expression

Nothing heavy is imported before it is used.
"""

import lazy_loader

# The names stand in the stub beside this file; each is loaded on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
