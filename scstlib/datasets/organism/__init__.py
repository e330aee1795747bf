"""The simulated organism: one regulatory network seen as expression and as contact maps."""

from scstlib.datasets.organism.organism import Organism, read_organism, simulate_organism

__all__ = ["Organism", "read_organism", "simulate_organism"]
