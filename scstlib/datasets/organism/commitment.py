"""When the cells of the simulated organism commit: bifurcations of the network without noise."""

from __future__ import annotations

import numpy as np

from scstlib.datasets.organism.lineage import BIPOTENT, NICHES, PAIR1, PAIR2
from scstlib.datasets.organism.network import (
    NICHE_WEIGHT,
    Network,
    control_parameter,
    factors,
    gate,
    sigmoid,
)


def commitment_times(network: Network, duration: float) -> dict[str, float]:
    """Return the hour at which each switch turns bistable, ``inf`` if it does not by ``duration``.

    Found on the network without noise: the number of resting points of a switch, whose two levels
    x = f sigmoid(2h), y = g sigmoid(-2h) meet h = gain (x - y) + bias, goes from one to three.
    """
    clock = np.linspace(0.0, duration, 4 * int(duration) + 1)
    h = np.linspace(-4.0, 4.0, 4001)
    out = {}
    named = {"first": (PAIR1, network.first_split), "second": (PAIR2, network.second_split)}
    for k, (name, ((up, down), split)) in enumerate(named.items()):
        gain = control_parameter(clock, split)
        out[name] = np.inf
        for time, g in zip(clock, gain, strict=True):
            factor = factors(network, time)
            bias = network.bias[k] + NICHE_WEIGHT * 0.5 * (factor[NICHES[k]] - 1.0)
            open_ = 1.0 if k == 0 else float(gate(np.array([factor[BIPOTENT]]))[0])
            x, y = factor[up] * sigmoid(2 * h), factor[down] * sigmoid(-2 * h)
            residual = g * open_ * (x - y) + bias - h
            if np.count_nonzero(np.diff(np.sign(residual))) > 1:
                out[name] = float(time)
                break
    return out
