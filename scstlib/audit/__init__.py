"""Checks that find faults in a model, a metric or a loader by running it.

Each check takes any function, PyTorch model or data, knows nothing of what it is, and returns an
:class:`Audit`: what it looked at, and what it found, where, with a number. ``report`` puts several
into one table. A check leaves its inputs, the model it is given and the global random generators as
they were; what a function of yours does to an object that it wraps is its own affair.

>>> import numpy as np
>>> from scstlib import audit
>>> def mean_of_upper(contacts):
...     contacts[np.tril_indices(len(contacts))] = 0
...     return contacts.mean()
>>> found = audit.leaves_inputs(mean_of_upper, np.ones((3, 3)))
>>> print(found.text)
leaves inputs: 1 finding in 1 input; input 0: changed by the call (1)

Checklists of what goes wrong: Kapoor & Narayanan 2023, 10.1016/j.patter.2023.100804; Whalen et al.
2022, 10.1038/s41576-021-00434-9.
"""

from scstlib.audit.calls import input_use, is_idempotent, isolation, leaves_inputs
from scstlib.audit.contracts import Case, contract, known_answers, prefers_truth
from scstlib.audit.findings import Audit, Finding, report
from scstlib.audit.gradients import gradient_flow, saturation
from scstlib.audit.parts import split_overlap
from scstlib.audit.texts import Claim, activations, claims, count_layers, count_parameters

__all__ = [
    "Audit",
    "Case",
    "Claim",
    "Finding",
    "activations",
    "claims",
    "contract",
    "count_layers",
    "count_parameters",
    "gradient_flow",
    "input_use",
    "is_idempotent",
    "isolation",
    "known_answers",
    "leaves_inputs",
    "prefers_truth",
    "report",
    "saturation",
    "split_overlap",
]
