"""What is read off fitted models.

Of cells in time, from a :class:`scstlib.models.temporal.protocol.LatentFlow`: ``velocity``,
``trajectories``, ``checkpoints``, ``perturbation``, ``action``. Of contact maps, measured or
predicted: ``compartment_changes``, ``boundaries``, ``gene_place``, ``contact_attribution``.
"""
