"""The regulatory network of the simulated organism: a stochastic differential equation per cell.

Thirty-two regulators drive one another. Two toggle switches (mutual repression with
self-activation) are tuned by a developmental clock: the first parts ``alpha`` from the bipotent
cells, the second parts those into ``beta`` and ``gamma``. Levels lie between 0 and about 1, time is
in hours.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from scstlib.datasets.organism.lineage import (
    AGEING,
    ALPHA,
    BETA,
    BIPOTENT,
    BIPOTENT_PROGRAMME,
    CELL_TYPES,
    CYCLE,
    ENVIRONMENT,
    G1S,
    G2M,
    GAMMA,
    GROWTH,
    INDEX,
    NICHES,
    PAIR1,
    PAIR2,
    PROGRAMMES,
    REGULATORS,
    STEM,
    SWITCHES,
    WAVE_0,
    WAVE_1,
    cell_types,
)

HALF_LIVES = np.array([1.0, 2.5, 6.0, 14.0])  # hours, of messenger RNA; each gene has one of these
STEP = 0.5  # hours of one Euler–Maruyama step; the fastest rate is 0.5 per hour
GROWTH_STEP = 8  # steps between two rounds of division and death
NICHE_WEIGHT = 0.25  # how far a niche regulator tilts its switch
BURN_IN = 12.0  # hours before time 0, so that the first population is at rest


@dataclass(frozen=True)
class Network:
    """Constants of one network; ``perturbations`` are (regulator, factor, from this hour on)."""

    first_split: float = 28.0
    second_split: float = 50.0
    bias: tuple[float, float] = (-0.01, 0.01)
    growth: float = 1.0
    noise: float = 1.0
    perturbations: tuple[tuple[str, float, float], ...] = ()
    gains: np.ndarray = field(default_factory=lambda: _coupling(), repr=False, compare=False)


@dataclass
class CellState:
    """State of n cells: levels (n, regulators), lagged (half-lives, n, regulators) and two (n,).

    ``cycle`` is the position in the cell cycle, from 0 to 1; ``speed`` the pace of a cell's clock.
    """

    levels: np.ndarray
    lagged: np.ndarray
    cycle: np.ndarray
    speed: np.ndarray

    def take(self, rows: np.ndarray) -> CellState:
        """Return the cells of these rows."""
        return CellState(
            self.levels[rows], self.lagged[:, rows], self.cycle[rows], self.speed[rows]
        )


def sigmoid(x: np.ndarray) -> np.ndarray:
    share: np.ndarray = 1.0 / (1.0 + np.exp(-x))
    return share


def _coupling() -> np.ndarray:
    """Return the matrix (to, from) of the regulators that only follow others."""
    w = np.zeros((len(REGULATORS), len(REGULATORS)), dtype=np.float32)
    w[STEM, ALPHA] = w[STEM, BIPOTENT] = -5.0
    for driver, programme in zip((ALPHA, BETA, GAMMA), PROGRAMMES.values(), strict=True):
        first = programme.start
        w[first, driver] = w[first + 1, driver] = 12.0
        w[first + 2, first] = w[first + 3, first + 1] = 9.0
        w[first + 3, first + 2] = 4.0
    w[BIPOTENT_PROGRAMME, BIPOTENT] = 12.0
    w[BIPOTENT_PROGRAMME, BETA] = w[BIPOTENT_PROGRAMME, GAMMA] = -6.0
    return w


# Constant input of every regulator, and its rate (per hour): late programmes are slow.
_INPUT = np.zeros(len(REGULATORS), dtype=np.float32)
_INPUT[STEM] = 7.0
for _p in PROGRAMMES.values():
    _INPUT[_p] = [-8.0, -8.0, -5.0, -7.0]
_INPUT[BIPOTENT_PROGRAMME] = -8.0
_RATE = np.full(len(REGULATORS), 0.3, dtype=np.float32)
_RATE[STEM] = 0.15
_RATE[SWITCHES] = 0.5
for _p in PROGRAMMES.values():
    _RATE[_p] = [0.20, 0.14, 0.08, 0.05]
_RATE[BIPOTENT_PROGRAMME] = 0.2
_RATE[ENVIRONMENT] = [0.08, 0.08, 0.06, 0.06]
_NOISE = np.full(len(REGULATORS), 0.03, dtype=np.float32)
_NOISE[SWITCHES] = 0.045
_NOISE[CYCLE] = 0.01
_NOISE[ENVIRONMENT] = 0.05


def control_parameter(clock: np.ndarray, split: float) -> np.ndarray:
    """Return the gain of a toggle switch: 1, the critical value, when the clock is at ``split``.

    Below 1 the symmetric switch d' = tanh(gain d) - d has one resting point, above it two.
    """
    return 2.6 * sigmoid((clock - split) / 9.0 - 0.47)


def gate(bipotent: np.ndarray) -> np.ndarray:
    """Return how far the second switch is open: Hill function of the bipotent regulator."""
    power = np.clip(bipotent, 0.0, None) ** 8
    opened: np.ndarray = power / (power + 0.7**8)
    return opened


def _bump(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((x - centre) / width) ** 2)


def factors(network: Network, time: float) -> np.ndarray:
    """Return the factor on the production of every regulator at ``time``."""
    factor = np.ones(len(REGULATORS), dtype=np.float32)
    for name, value, start in network.perturbations:
        if time >= start:
            factor[INDEX[name]] *= value
    return factor


def production(
    network: Network, x: np.ndarray, clock: np.ndarray, cycle: np.ndarray, time: float
) -> np.ndarray:
    """Return the level (n, regulators) to which each regulator of each cell is driven.

    ``x`` (n, regulators) holds the levels, ``clock`` (n,) hours, ``cycle`` (n,) positions.
    """
    drive = x @ network.gains.T + _INPUT
    drive[:, STEM] -= 0.06 * clock[:, None]
    target = sigmoid(drive)
    niche = NICHE_WEIGHT * (x[:, NICHES] - 0.5)
    opening = gate(x[:, BIPOTENT])
    for k, ((up, down), split) in enumerate(
        zip((PAIR1, PAIR2), (network.first_split, network.second_split), strict=True)
    ):
        gain = control_parameter(clock, split)
        half = gain * (x[:, up] - x[:, down]) + network.bias[k] + niche[:, k]
        target[:, up], target[:, down] = sigmoid(2.0 * half), sigmoid(-2.0 * half)
    target[:, BETA] *= opening
    target[:, GAMMA] *= opening
    target[:, WAVE_0] = _bump(clock, 14.0, 8.0)
    target[:, WAVE_1] = _bump(clock, 44.0, 10.0)
    target[:, AGEING] = sigmoid((clock - 60.0) / 14.0)
    dividing = 1.0 - 0.7 * np.maximum.reduce([x[:, p.stop - 1] for p in PROGRAMMES.values()])
    target[:, G1S] = dividing * _bump(cycle, 0.40, 0.12)
    target[:, G2M] = dividing * _bump(cycle, 0.80, 0.10)
    target[:, ENVIRONMENT] = 0.5
    driven: np.ndarray = target * factors(network, time)
    return driven


def _step(
    network: Network, state: CellState, time: float, width: float, noise: np.ndarray
) -> CellState:
    """Advance all cells by ``width`` hours (Euler–Maruyama)."""
    x = state.levels
    clock = np.maximum(time * state.speed, 0.0)
    # In place: most of the time would go into new arrays.
    levels = production(network, x, clock, state.cycle, time)
    levels -= x
    levels *= _RATE
    levels *= width
    levels += x
    levels += _NOISE * np.float32(network.noise * np.sqrt(width)) * noise[:, :-1]
    np.clip(levels, 0.0, 1.5, out=levels)
    lagged = levels - state.lagged
    lagged *= -np.expm1(-np.log(2.0) * width / HALF_LIVES)[:, None, None].astype(np.float32)
    lagged += state.lagged
    mature = np.maximum.reduce([x[:, p.stop - 1] for p in PROGRAMMES.values()])
    pace = width / 14.0 * (1.0 - 0.5 * mature)
    cycle = (state.cycle + pace + 0.02 * float(np.sqrt(width)) * noise[:, -1]) % 1.0
    return CellState(levels, lagged, cycle, state.speed)


def _divide_or_die(network: Network, state: CellState, rng: np.random.Generator) -> CellState:
    """Resample cells in proportion to their growth since the last round (systematic resampling)."""
    rate = np.array([GROWTH.get(name, 0.0) for name in CELL_TYPES])
    weight = np.exp(network.growth * rate[cell_types(state.levels)] * GROWTH_STEP * STEP)
    edges = np.cumsum(weight) / weight.sum()
    n = len(weight)
    rows = np.searchsorted(edges, (np.arange(n) + rng.random()) / n)
    return state.take(np.minimum(rows, n - 1))


def initial_state(n_cells: int, rng: np.random.Generator) -> CellState:
    """Return ``n_cells`` unsynchronised progenitors, before the burn-in."""
    levels = np.full((n_cells, len(REGULATORS)), 0.02, dtype=np.float32)
    levels[:, STEM] = 0.95
    levels[:, PAIR1] = 0.5
    levels[:, ENVIRONMENT] = np.clip(
        0.5 + 0.12 * rng.standard_normal((n_cells, 4), dtype=np.float32), 0.0, 1.0
    )
    lagged = np.repeat(levels[None], len(HALF_LIVES), axis=0)
    speed = np.clip(1.0 + 0.06 * rng.standard_normal(n_cells, dtype=np.float32), 0.75, 1.25)
    return CellState(levels, lagged, rng.random(n_cells, dtype=np.float32), speed)


def simulate(
    network: Network, times: np.ndarray, n_cells: int, rng: np.random.Generator
) -> list[CellState]:
    """Return one population of ``n_cells`` cells at each of the ascending ``times`` (hours >= 0).

    All snapshots are of one run, and a run to a later time begins with the run to an earlier one.
    Division and death act every ``GROWTH_STEP * STEP`` hours, at constant population size.
    """
    state = initial_state(n_cells, rng)
    snapshots: list[CellState] = []
    step = -round(BURN_IN / STEP)
    round_due = False
    for time in times:
        # A round at the asked time itself waits, so that no cell of a population is there twice.
        while step * STEP < time:
            if round_due:
                state = _divide_or_die(network, state, rng)
                round_due = False
            if (step + 1) * STEP > time:
                break
            state = _step(network, state, step * STEP, STEP, _draw(n_cells, rng))
            step += 1
            round_due = step > 0 and step % GROWTH_STEP == 0
        rest = float(time) - step * STEP
        # The part of a step up to the asked time draws from a copy: the run goes on as without it.
        ahead = copy.deepcopy(rng)
        snapshots.append(
            _step(network, state, step * STEP, rest, _draw(n_cells, ahead)) if rest > 0 else state
        )
    return snapshots


def _draw(n_cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return the noise of one step (n, regulators + 1), the last column for the cell cycle."""
    return rng.standard_normal((n_cells, len(REGULATORS) + 1), dtype=np.float32)
