"""What measured expression can tell at best: the organism's own equations, fed with it.

No model can be asked for more than this: the state of the bulk's cells is known exactly, the
equations that turn transcription into contacts are known exactly, and only what differs between
cell types is read from their measured expression. Private answers of chromatin to the regulators,
which leave no trace in expression, stay those of the bulk's cells.

    python -m benchmarks.spatial.run --seeds 0 --stages informed
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.spatial.truth import BULK_TYPE, N_CELLS, TRAINING_TYPES, SpaceWorld, mean_expression
from scstlib.datasets.organism.chromatin import REST, chromatin_state, contact_map, see
from scstlib.leakage import record_fit
from scstlib.preprocess.windows import Windows

FLOOR = 0.1  # counts per 10,000 that are added before logarithms


class InformedByExpression:
    """Spatial model that knows the organism and reads the change of transcription from expression.

    Not a model to compare with, but a bound: it knows what nobody is told.
    """

    def __init__(self, world: SpaceWorld) -> None:
        self.world = world
        self.genome = world.organism.genome
        cells = world.organism.sample(seed=world.organism.settings.seed, keep_truth=False)
        self.expression = mean_expression(cells, world._types)
        self.known: dict[tuple[str, str], np.ndarray] = {}

    def fit(self, windows: Windows) -> InformedByExpression:
        """Learn how strongly measured changes follow true ones, on the training types."""
        true = np.concatenate([self._true_change(kind) for kind in TRAINING_TYPES])
        seen = np.concatenate([self._measured_change(kind) for kind in TRAINING_TYPES])
        self.slope = float(true @ seen / (seen @ seen))
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        out = np.empty_like(windows.bulk)
        first = windows.table["start"].to_numpy() // windows.bin_size
        for i, (chrom, start, kind) in enumerate(
            zip(windows.table["chrom"], first, windows.table["cell_type"], strict=True)
        ):
            inside = slice(start, start + out.shape[-1])
            out[i] = self._map(chrom, kind)[inside, inside]
        return depth * out * (windows.mask[:, :, None] & windows.mask[:, None, :])

    def _activity(self, kind: str) -> np.ndarray:
        """Change of log transcription of genes (genes,) from rest."""
        members = self.world.organism._members(kind, None)[kind]
        lagged = members.lagged[self.genome.half_life]
        change: np.ndarray = (self.genome.weights * (lagged - REST)).sum(axis=1)
        return change

    def _true_change(self, kind: str) -> np.ndarray:
        return self._activity(kind) - self._activity(BULK_TYPE)

    def _measured_change(self, kind: str) -> np.ndarray:
        logs = np.log(self.expression[[kind, BULK_TYPE]].to_numpy() + FLOOR)
        change: np.ndarray = logs[:, 0] - logs[:, 1]
        return change

    def _map(self, chrom: str, kind: str) -> np.ndarray:
        """Expected contacts of a chromosome, as many cells as the targets are of."""
        if (chrom, kind) not in self.known:
            organism = self.world.organism
            chromosome = next(c for c in self.genome.chromosomes if c.name == chrom)
            state = organism._members(BULK_TYPE, None)[BULK_TYPE]
            # One regulator more, which is 1 above rest and moves each gene by what was measured.
            more = self.slope * self._measured_change(kind)
            genome = replace(self.genome, weights=np.column_stack([self.genome.weights, more]))
            lagged = np.column_stack([state.lagged, np.full(len(state.lagged), REST + 1.0)])
            state_there = chromatin_state(genome, chromosome, state.levels, lagged)
            expected = contact_map(chromosome, state_there, organism.settings.bin_size)
            share = organism.settings.contacts_per_cell / organism.settings.n_chromosomes
            self.known[chrom, kind] = N_CELLS * share * see(expected, chromosome.visibility)
        return self.known[chrom, kind]
