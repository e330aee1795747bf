"""Speed of the metrics against plain loops over their definitions, in one run and one thread.

    python -m benchmarks.speed.metrics [--output FILE]

Ratios are medians over repeats of CPU time, loop divided by batch. Each pair is first checked to
give the same values. The contact loops take one window at a time, as published evaluation code
does: diagonals of a sparse matrix and scipy's ``pearsonr`` (SCC), sparse random walks
(GenomeDISCO), scikit-image (SSIM), pixels added up one square at a time (insulation). GenomeDISCO
is also timed against the same loop with dense matrix products.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from geomloss import SamplesLoss
from scipy.sparse import csr_matrix, diags
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity

from benchmarks.record import argument_parser, provenance, write
from benchmarks.timing import median_cpu_seconds, one_thread
from scstlib.metrics import contacts
from scstlib.ot import sinkhorn_divergence

SEED = 0
WINDOWS, BINS, INSULATION_WINDOW = 64, 128, 10


def scc_loop(a: np.ndarray, b: np.ndarray) -> float:
    """Published SCC of one pair: at most 40 diagonals, weights from argsort."""
    first, second = csr_matrix(a), csr_matrix(b)
    rho, weight = [], []
    for distance in range(1, min(40, len(a) - 5)):
        x, y = first.diagonal(distance), second.diagonal(distance)
        keep = ~np.isnan(x) & ~np.isnan(y)
        x, y = x[keep], y[keep]
        n = len(x)
        var_x = np.var((np.argsort(x) + 1) / n / n)
        var_y = np.var((np.argsort(y) + 1) / n / n)
        rho.append(pearsonr(x, y)[0])
        weight.append(n * np.sqrt(var_x * var_y))
    return float(np.average(rho, weights=weight))


def genome_disco_loop(a: np.ndarray, b: np.ndarray) -> float:
    """GenomeDISCO of one pair with sparse matrices, t = 3."""
    walks, rows = [], []
    for contact_map in (a, b):
        contact_map = contact_map.copy()
        np.fill_diagonal(contact_map, 0)
        sums = contact_map.sum(axis=1)
        step = diags(1 / np.where(sums == 0, 1, sums)).dot(csr_matrix(contact_map))
        walks.append(step.dot(step).dot(step))
        rows.append(np.count_nonzero(sums))
    return float(1 - min(abs(walks[0] - walks[1]).sum() / np.mean(rows), 2))


def genome_disco_dense_loop(a: np.ndarray, b: np.ndarray) -> float:
    """GenomeDISCO of one pair with dense matrices, t = 3."""
    walks, rows = [], []
    for contact_map in (a, b):
        contact_map = contact_map - np.diag(np.diag(contact_map))
        sums = contact_map.sum(axis=1)
        step = contact_map / np.where(sums == 0, 1, sums)[:, None]
        walks.append(step @ step @ step)
        rows.append(np.count_nonzero(sums))
    return float(1 - min(np.abs(walks[0] - walks[1]).sum() / np.mean(rows), 2))


def ssim_loop(a: np.ndarray, b: np.ndarray) -> float:
    return float(structural_similarity(a, b, win_size=7, data_range=1))


def mse_loop(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a - b).mean())


def insulation_loop(contact_map: np.ndarray) -> np.ndarray:
    """log2 insulation of one map: the mean of one square after the other."""
    distance = np.subtract.outer(np.arange(BINS), np.arange(BINS))
    contact_map = np.where(distance <= -2, contact_map, np.nan)
    score = np.empty(BINS)
    for i in range(BINS):
        square = contact_map[max(0, i - INSULATION_WINDOW + 1) : i + 1, i : i + INSULATION_WINDOW]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # squares without a pixel
            score[i] = np.nanmean(square)
    return np.log2(score / np.nanmedian(score))


def insulation_correlation_loop(a: np.ndarray, b: np.ndarray) -> float:
    x, y = insulation_loop(a), insulation_loop(b)
    keep = np.isfinite(x) & np.isfinite(y)
    return float(pearsonr(x[keep], y[keep])[0])


PairMetric = Callable[[np.ndarray, np.ndarray], float]


def contact_metrics() -> dict[str, tuple[PairMetric, Callable[..., np.ndarray]]]:
    return {
        "mse": (mse_loop, contacts.mse),
        "ssim": (ssim_loop, lambda a, b: contacts.ssim(a, b, data_range=1)),
        "scc": (
            scc_loop,
            lambda a, b: contacts.stratum_adjusted_correlation(a, b, variant="published"),
        ),
        "genome_disco": (genome_disco_loop, contacts.genome_disco),
        "insulation_correlation": (
            insulation_correlation_loop,
            lambda a, b: contacts.insulation_correlation(a, b, window=INSULATION_WINDOW),
        ),
    }


def contact_maps(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Windows with distance decay between 0 and 1, and noisy copies of them."""
    index = np.arange(BINS)
    decay = 1 / (1 + np.abs(np.subtract.outer(index, index)))
    target = decay * rng.gamma(4, 1 / 4, (WINDOWS, BINS, BINS))
    noisy = target * rng.gamma(9, 1 / 9, target.shape)
    maps = [np.log1p(m + m.transpose(0, 2, 1)) for m in (target, noisy)]
    top = max(m.max() for m in maps)
    return maps[0] / top, maps[1] / top


def row(loop: float, batch: float, difference: float) -> dict[str, float]:
    return {
        "loop_seconds": loop,
        "batch_seconds": batch,
        "ratio": loop / batch,
        "largest_difference": difference,
    }


def benchmark_contacts(repeats: int) -> dict[str, dict[str, float]]:
    a, b = contact_maps(np.random.default_rng(SEED))
    results, loop_total, batch_total = {}, 0.0, 0.0

    def loop_over(metric: PairMetric) -> np.ndarray:
        return np.array([metric(x, y) for x, y in zip(a, b, strict=True)])

    for name, (metric, batched) in contact_metrics().items():
        difference = float(np.abs(loop_over(metric) - batched(a, b)).max())
        assert difference < 1e-8, (name, difference)
        loop, batch = median_cpu_seconds(
            lambda metric=metric: loop_over(metric),
            lambda batched=batched: batched(a, b),
            repeats=repeats,
        )
        results[name] = row(loop, batch, difference)
        loop_total, batch_total = loop_total + loop, batch_total + batch
    results["all"] = row(
        loop_total, batch_total, max(r["largest_difference"] for r in results.values())
    )

    difference = float(
        np.abs(loop_over(genome_disco_dense_loop) - contacts.genome_disco(a, b)).max()
    )
    dense, batch = median_cpu_seconds(
        lambda: loop_over(genome_disco_dense_loop),
        lambda: contacts.genome_disco(a, b),
        repeats=repeats,
    )
    results["genome_disco_against_dense_loop"] = row(dense, batch, difference)
    return results


def benchmark_sinkhorn(repeats: int) -> dict[str, dict[str, float]]:
    """8 times, 200 true against 32 predicted cells, 1,200 genes, float32: value and gradient.

    Value differences are relative; the gradient difference is absolute and of float64.
    """
    generator = torch.Generator().manual_seed(SEED)
    level = 2 * torch.rand(1200, generator=generator)
    true = (torch.randn(8, 200, 1200, generator=generator) + level).clamp(min=0)
    predicted = (torch.randn(8, 32, 1200, generator=generator) + level).clamp(min=0)
    predicted.requires_grad_()
    geomloss = SamplesLoss("sinkhorn", p=2, blur=0.05, scaling=0.5, backend="tensorized")

    def loop() -> tuple[torch.Tensor, torch.Tensor]:
        value = torch.stack([geomloss(x, y) for x, y in zip(predicted, true, strict=True)])
        return value.detach(), torch.autograd.grad(value.sum(), predicted)[0]

    def batch(constant_term: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        value = sinkhorn_divergence(predicted, true, constant_term=constant_term)
        return value.detach(), torch.autograd.grad(value.sum(), predicted)[0]

    value, gradient = loop()
    value_difference = float(((batch()[0] - value) / value).abs().max())
    assert value_difference < 1e-6, value_difference
    gradient_batch = batch(False)[1]
    times = median_cpu_seconds(loop, batch, lambda: batch(False), repeats=repeats)
    # Distances of a thousand divided by epsilon = 0.0025 leave float32 no exact plan, in either
    # implementation; float64 shows that the two compute the same, and how far each float32 is off.
    true, predicted = true.double(), predicted.detach().double().requires_grad_()
    exact = loop()[1]
    gradient_difference = float((batch(False)[1] - exact).abs().max())
    assert gradient_difference < 1e-7, gradient_difference
    size = exact.norm()
    return {
        "equal_value": row(times[0], times[1], value_difference),
        "equal_gradient": row(times[0], times[2], gradient_difference)
        | {
            "float32_gradient_error_batch": float((gradient_batch - exact).norm() / size),
            "float32_gradient_error_loop": float((gradient - exact).norm() / size),
        },
    }


def about(repeats: int) -> dict[str, object]:
    return provenance(
        "geomloss",
        "scikit-image",
        seed=SEED,
        repeats=repeats,
        clock="process CPU time, median",
        contact_maps={"windows": WINDOWS, "bins": BINS, "dtype": "float64"},
        sinkhorn={"times": 8, "true": 200, "predicted": 32, "genes": 1200, "dtype": "float32"},
    )


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with one_thread():
        found = {
            "contacts": benchmark_contacts(arguments.repeats),
            "sinkhorn": benchmark_sinkhorn(arguments.repeats),
        }
    for group, rows in found.items():
        for name, values in rows.items():
            print(
                f"{group:9} {name:32} {values['ratio']:7.1f} x   "
                f"{1e3 * values['loop_seconds']:8.1f} ms -> {1e3 * values['batch_seconds']:7.1f} ms"
                f"   largest difference {values['largest_difference']:.1e}"
            )
    write(arguments.output, {"provenance": about(arguments.repeats), **found})


if __name__ == "__main__":
    main()
