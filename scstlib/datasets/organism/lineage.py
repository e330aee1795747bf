"""Regulators, cell types and fates of the simulated organism."""

from __future__ import annotations

import numpy as np

REGULATORS: tuple[str, ...] = (
    *(f"TF_stem_{i}" for i in range(4)),
    *("TF_alpha", "TF_bipotent", "TF_beta", "TF_gamma"),
    *(f"TF_{fate}_{i}" for fate in ("alpha", "beta", "gamma") for i in range(4)),
    *(f"TF_bipotent_{i}" for i in range(3)),
    *("TF_wave_0", "TF_wave_1", "TF_ageing"),
    *("TF_G1S", "TF_G2M"),
    *("TF_niche_first", "TF_niche_second", "TF_stress", "TF_metabolism"),
)
INDEX = {name: i for i, name in enumerate(REGULATORS)}


def _run(first: str, last: str) -> slice:
    """Positions of consecutive regulators, both ends among them."""
    return slice(INDEX[first], INDEX[last] + 1)


ALPHA, BIPOTENT, BETA, GAMMA = (INDEX[f"TF_{k}"] for k in ("alpha", "bipotent", "beta", "gamma"))
PAIR1, PAIR2 = (ALPHA, BIPOTENT), (BETA, GAMMA)  # the two toggle switches
SWITCHES = [*PAIR1, *PAIR2]
STEM = _run("TF_stem_0", "TF_stem_3")
PROGRAMMES = {k: _run(f"TF_{k}_0", f"TF_{k}_3") for k in ("alpha", "beta", "gamma")}
BIPOTENT_PROGRAMME = _run("TF_bipotent_0", "TF_bipotent_2")
WAVE_0, WAVE_1, AGEING = (INDEX[f"TF_{k}"] for k in ("wave_0", "wave_1", "ageing"))
G1S, G2M = INDEX["TF_G1S"], INDEX["TF_G2M"]
CYCLE = _run("TF_G1S", "TF_G2M")
# What tilts the first and the second switch; and, with these, all that drifts about on its own.
NICHES = (INDEX["TF_niche_first"], INDEX["TF_niche_second"])
ENVIRONMENT = _run("TF_niche_first", "TF_metabolism")
FATES: tuple[str, ...] = ("alpha", "beta", "gamma")
UNCOMMITTED = "uncommitted"
# Lineage tree: each cell type with the type it comes from.
LINEAGE: dict[str, str | None] = {
    "stem": None,
    "alpha_precursor": "stem",
    "alpha_mature": "alpha_precursor",
    "bipotent": "stem",
    "beta_precursor": "bipotent",
    "beta_mature": "beta_precursor",
    "gamma_precursor": "bipotent",
    "gamma_mature": "gamma_precursor",
}
CELL_TYPES: tuple[str, ...] = tuple(LINEAGE)
# Net growth per hour of each cell type, relative to stem cells.
GROWTH = {
    "alpha_precursor": -0.004,
    "alpha_mature": -0.012,
    "bipotent": 0.004,
    "beta_precursor": 0.008,
    "beta_mature": 0.012,
    "gamma_precursor": 0.0,
    "gamma_mature": -0.004,
}


def cell_types(levels: np.ndarray) -> np.ndarray:
    """Return the index in ``CELL_TYPES`` (n,) of cells by their levels (n, regulators)."""
    first = levels[:, ALPHA] - levels[:, BIPOTENT]
    second = levels[:, BETA] - levels[:, GAMMA]
    out = np.zeros(len(levels), dtype=np.intp)
    out[first < -0.5] = CELL_TYPES.index("bipotent")
    for fate, chosen in (
        ("alpha", first > 0.5),
        ("beta", (first < -0.5) & (second > 0.45)),
        ("gamma", (first < -0.5) & (second < -0.45)),
    ):
        mature = levels[:, PROGRAMMES[fate].stop - 1] > 0.5
        out[chosen & ~mature] = CELL_TYPES.index(f"{fate}_precursor")
        out[chosen & mature] = CELL_TYPES.index(f"{fate}_mature")
    return out


def fate_of_type(name: str) -> str:
    """Return the fate to which a cell type is committed, or ``uncommitted``."""
    return next((fate for fate in FATES if name.startswith(fate)), UNCOMMITTED)
