"""Hold out time points, chromosomes, regions, cell types and donors."""

from scstlib.splits.hold_out import (
    hold_out_cell_types,
    hold_out_chromosomes,
    hold_out_donors,
    hold_out_regions,
    hold_out_times,
    time_pattern,
)
from scstlib.splits.parts import Split

__all__ = [
    "Split",
    "hold_out_cell_types",
    "hold_out_chromosomes",
    "hold_out_donors",
    "hold_out_regions",
    "hold_out_times",
    "time_pattern",
]
