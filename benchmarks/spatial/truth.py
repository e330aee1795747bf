"""Windows of the simulated organism and their truth, as every spatial model sees them.

The bulk map is of stem cells. Five cell types train, on ten chromosomes; the eleventh is for
validation, the last two are for tests. Two cell types are never trained on: ``gamma_precursor``,
whose daughter and mother are training types (near), and ``alpha_mature``, whose mother is left out
altogether (far). Targets are pseudo-bulks of 200 cells; the expression of a type is the mean of
its cells in one sample of all times, in counts per 10,000.

    python -m benchmarks.spatial.truth [--seed 0]

prints how well the truth itself scores against the noisy targets: no prediction can do better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from benchmarks.record import argument_parser
from benchmarks.timing import cpu_seconds
from scstlib.datasets.organism import Organism, simulate_organism
from scstlib.models.spatial.comparison import contact_scores
from scstlib.preprocess.guides import guide_tracks
from scstlib.preprocess.organism_windows import mean_expression
from scstlib.preprocess.tracks import by_chromosome, expression_tracks
from scstlib.preprocess.windows import Windows, make_windows
from scstlib.splits import Split, hold_out_cell_types, hold_out_chromosomes

BULK_TYPE = "stem"
TRAINING_TYPES = ("stem", "bipotent", "beta_precursor", "beta_mature", "gamma_mature")
UNSEEN_TYPES = {"near": "gamma_precursor", "far": "alpha_mature"}
PARTS = ("seen", "near", "far")
N_CELLS = 200
WINDOW, STRIDE = 128, 32
SHARED = ("CTCF +", "CTCF -", "CpG")


@dataclass(frozen=True)
class Part:
    """Windows that are predicted, and what is true there.

    Attributes
    ----------
    windows
        With noisy targets.
    truth
        (n, bins, bins), expected contacts of as many cells as the targets are of.
    reference
        (n, bins, bins), mean truth of the training types at the same place.
    training
        Windows of the training types at the same places.
    """

    windows: Windows
    truth: np.ndarray
    reference: np.ndarray
    training: Windows


@dataclass(frozen=True)
class SpaceWorld:
    """An organism as windows; parts are made when they are asked for.

    Attributes
    ----------
    n_cells
        Of the target of a cell type, where it is not ``N_CELLS``.
    window, stride
        In bins.
    draw
        Which measurement of the targets: another number is a replicate.
    """

    organism: Organism
    n_cells: Mapping[str, int] = field(default_factory=dict)
    window: int = WINDOW
    stride: int = STRIDE
    draw: int = 0

    @classmethod
    def of_seed(cls, seed: int, preset: str = "small") -> SpaceWorld:
        return cls(simulate_organism(seed, preset))

    @property
    def test_chromosomes(self) -> tuple[str, ...]:
        return self.organism.chromosomes[-2:]

    @property
    def validation_chromosomes(self) -> tuple[str, ...]:
        return self.organism.chromosomes[-3:-2]

    @cached_property
    def train(self) -> Windows:
        """Training types on the training chromosomes."""
        return self._split.train

    @cached_property
    def validation(self) -> Part:
        """Training types on the validation chromosome."""
        return self._part(self._split.validation)

    @cached_property
    def parts(self) -> dict[str, Part]:
        """Test windows: ``seen`` types on unseen chromosomes, and ``near`` and ``far`` types."""
        unseen = self._split.test
        types = unseen.table["cell_type"].to_numpy()
        found = {name: unseen[types == kind] for name, kind in UNSEEN_TYPES.items()}
        return {name: self._part(w) for name, w in {"seen": self._seen, **found}.items()}

    @cached_property
    def _windows(self) -> Windows:
        return self._cut({kind: self._draw(kind) for kind in self._types})

    @cached_property
    def _split(self) -> Split[Windows]:
        return hold_out_cell_types(
            self._windows,
            test=UNSEEN_TYPES.values(),
            test_chromosomes=self.test_chromosomes,
            validation_chromosomes=self.validation_chromosomes,
        )

    @cached_property
    def _seen(self) -> Windows:
        trained = self._windows.table["cell_type"].isin(TRAINING_TYPES).to_numpy()
        return hold_out_chromosomes(
            self._windows[trained], self.test_chromosomes, self.validation_chromosomes
        ).test

    @property
    def _types(self) -> tuple[str, ...]:
        return (*TRAINING_TYPES, *UNSEEN_TYPES.values())

    def _draw(self, kind: str) -> dict[str, np.ndarray]:
        seed = self.organism.settings.seed + 1000 * self.draw
        n_cells = self.n_cells.get(kind, N_CELLS)
        return self.organism.sample_contacts(kind, n_cells=n_cells, seed=seed)

    def _cut(self, targets: dict[str, dict[str, np.ndarray]]) -> Windows:
        settings = self.organism.settings
        tracks, names = self._tracks
        return make_windows(
            self.organism.bulk(BULK_TYPE, seed=settings.seed),
            tracks,
            targets,
            bin_size=settings.bin_size,
            bulk_cell_types=[BULK_TYPE],
            window=self.window,
            stride=self.stride,
            track_names=names,
        )

    @cached_property
    def _tracks(self) -> tuple[dict[str, dict[str, np.ndarray]], tuple[str, ...]]:
        """Cell type to chromosome to tracks, and their names."""
        table = self.organism.tracks()
        bins = table[["chrom", "start", "end"]]
        cells = self.organism.sample(seed=self.organism.settings.seed, keep_truth=False)
        expression = expression_tracks(
            mean_expression(cells, self._types), self.organism.genome.genes, bins
        )
        tracks, names = guide_tracks(
            expression,
            reference=TRAINING_TYPES,
            bulk=expression[BULK_TYPE],
            shared=table[["ctcf_forward", "ctcf_reverse", "cpg"]].to_numpy(),
            shared_names=SHARED,
        )
        return {kind: by_chromosome(values, bins) for kind, values in tracks.items()}, names

    @cached_property
    def _true_maps(self) -> dict[tuple[str, str], np.ndarray]:
        """Expected contacts of ``N_CELLS`` cells by chromosome and cell type, held out only."""
        return {
            (chrom, kind): N_CELLS * self.organism.expected_contacts(chrom, kind, biased=True)
            for chrom in (*self.validation_chromosomes, *self.test_chromosomes)
            for kind in self._types
        }

    def _part(self, windows: Windows) -> Part:
        chroms = windows.table["chrom"].unique()
        measured = self._windows
        where = measured.table["chrom"].isin(chroms) & measured.table["cell_type"].isin(
            TRAINING_TYPES
        )
        return Part(
            windows=windows,
            truth=self._true_windows(windows, list(windows.table["cell_type"])),
            reference=np.mean(
                [self._true_windows(windows, [kind] * len(windows)) for kind in TRAINING_TYPES],
                axis=0,
            ),
            training=measured[where.to_numpy()],
        )

    def _true_windows(self, windows: Windows, kinds: list[str]) -> np.ndarray:
        """True maps (n, bins, bins) of given cell types at the places of windows."""
        out = np.empty_like(windows.bulk)
        first = windows.table["start"].to_numpy() // windows.bin_size
        for i, (chrom, start, kind) in enumerate(
            zip(windows.table["chrom"], first, kinds, strict=True)
        ):
            inside = slice(start, start + out.shape[-1])
            out[i] = self._true_maps[chrom, kind][inside, inside]
        return out * windows.mask[:, :, None] * windows.mask[:, None, :]


def ceiling(part: Part) -> dict[str, float]:
    """Mean scores of the truth against the noisy targets."""
    scores = contact_scores(part.truth, part.windows, truth=part.truth)
    means = scores[["MSE", "SSIM", "GD", "SCC"]].mean()
    return {str(name): float(value) for name, value in means.items()}


def main() -> None:
    parser = argument_parser(__file__, __doc__, output=False)
    parser.add_argument("--seed", type=int, default=0, help="of the organism")
    world = SpaceWorld.of_seed(parser.parse_args().seed)
    seconds = cpu_seconds(lambda: (world.train, world.validation, world.parts))
    parts = {"validation": world.validation, **world.parts}
    print(f"{seconds:.1f} CPU s;", len(world.train), "training windows")
    rows = {name: {"windows": len(p.windows), **ceiling(p)} for name, p in parts.items()}
    print(pd.DataFrame(rows).T.round(5).to_string())


if __name__ == "__main__":
    main()
