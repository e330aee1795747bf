"""Speed of one training step of the published scNODE against a plain one, in one run and thread.

    python -m benchmarks.speed.scnode_step [--repeats 15] [--output FILE]

A step computes the loss of given batches, its gradient and an Adam step: 32 cells integrated along
the training times, 200 measured cells of each time to compare with, zebrafish sizes (latent 50,
drift [50, 50]). The plain step calls geomloss once for each time in gene space and once in latent
space, as the published code does. Ours is timed with the full value of the loss, and without the
term that has no gradient. Both are first checked to give the same loss and the same gradient.
Ratios are those of medians of CPU time; the three are timed in turn.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from anndata import AnnData
from geomloss import SamplesLoss

from benchmarks.record import argument_parser, provenance, write
from benchmarks.timing import median_cpu_seconds, one_thread
from scstlib.models import PublishedScNODE
from scstlib.models.temporal.cells import measured_cells
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.published_network import ScNODENetwork
from scstlib.models.temporal.scnode.published_training import (
    ADAM_BETAS,
    Batch,
    Comparison,
    draw_batch,
    joint_loss,
    reconstruction_loss,
)

SEED = 0
SETTINGS = PublishedScNODE()
CASES = ((12, 2000, "float32"), (12, 2000, "float64"), (9, 1200, "float32"))
"""Times, genes and precision."""
TARGETS = {"equal_value": 1.7, "equal_gradient": 3.5}
PRETRAIN_STEPS = 100  # They bring the decoder to where joint training starts.
PRETRAIN_TIMED, STEPS_TIMED = 10, 20  # of the whole schedule


def log_counts(n_times: int, n_genes: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """log1p of counts per 10,000 of 300 cells a time, whose genes rise and fall with time."""
    generator = torch.Generator().manual_seed(SEED)
    level = torch.randn(n_genes, generator=generator) * 1.5
    course = torch.randn(n_genes, generator=generator)
    cells = []
    for t in range(n_times):
        rate = torch.softmax(level + course * t / n_times, 0)
        depth = 3000 * torch.exp(0.3 * torch.randn(300, 1, generator=generator))
        counts = torch.poisson(depth * rate, generator=generator)
        cells.append(torch.log1p(1e4 * counts / counts.sum(1, keepdim=True)).to(dtype))
    return cells


def untrained(n_genes: int, seed: int) -> ScNODENetwork:
    torch.manual_seed(seed)
    return ScNODENetwork(n_genes, SETTINGS.latent_dim, SETTINGS.drift_hidden, (), ())


def one_batch(cells: list[torch.Tensor], seed: int) -> Batch:
    """Cells that a joint step draws, of the cells (n, genes) of each time."""
    return draw_batch(
        cells,
        batch_size=SETTINGS.batch_size,
        target_size=SETTINGS.target_size,
        latent_dim=SETTINGS.latent_dim,
        from_all=False,
        generator=torch.Generator().manual_seed(seed),
    )


def plain_loss(network: ScNODENetwork, times: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The loss of a step with one call of geomloss for each time and space."""
    divergence = SamplesLoss("sinkhorn", p=2, blur=0.05, scaling=0.5, backend="tensorized")
    path = network.integrate(network.encode(batch.start, batch.start_eps), times)
    in_genes, in_latent = [], []
    for t, points in enumerate(path):
        in_genes.append(divergence(network.obs_decoder(points), batch.target[t]))
        measured = network.encode(batch.encoded[t], batch.encoded_eps[t])
        in_latent.append(divergence(measured, points))
    return torch.stack(in_genes).mean() + torch.stack(in_latent).mean()


def reconstruction(network: ScNODENetwork, cells: torch.Tensor) -> torch.Tensor:
    """The loss of the pre-training, on all cells (n, genes)."""
    eps = torch.randn(len(cells), SETTINGS.latent_dim, dtype=cells.dtype)
    return reconstruction_loss(network, cells, eps)


def adam_step(
    network: ScNODENetwork, loss: Callable[[ScNODENetwork], torch.Tensor]
) -> Callable[[], None]:
    """One step of Adam on a network, which goes on from step to step."""
    optimizer = torch.optim.Adam(network.parameters(), lr=SETTINGS.learning_rate, betas=ADAM_BETAS)

    def step() -> None:
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()

    return step


def benchmark(times: int, genes: int, dtype: str, repeats: int) -> dict[str, dict[str, float]]:
    cells = log_counts(times, genes, getattr(torch, dtype))
    network = untrained(genes, SEED).to(cells[0].dtype)
    model_times = torch.arange(times, dtype=torch.float64)
    all_cells = torch.cat(cells)
    pretrain_step = adam_step(network, lambda net: reconstruction(net, all_cells))
    for _ in range(PRETRAIN_STEPS):
        pretrain_step()
    batch = one_batch(cells, SEED)

    def ours(net: ScNODENetwork, constant_terms: bool) -> torch.Tensor:
        parts = joint_loss(net, model_times, batch, Comparison(), constant_terms=constant_terms)
        return parts[0] + parts[1]

    losses = {
        "plain": lambda net: plain_loss(net, model_times, batch),
        "equal_value": lambda net: ours(net, True),
        "equal_gradient": lambda net: ours(net, False),
    }
    values, gradients = {}, {}
    for name, loss in losses.items():
        value = loss(network)
        gradient = torch.autograd.grad(value, list(network.parameters()))
        values[name] = float(value.detach())
        gradients[name] = torch.cat([g.flatten() for g in gradient])
    value_difference = abs(values["equal_value"] / values["plain"] - 1)
    assert value_difference < 1e-6, value_difference
    seconds = median_cpu_seconds(
        *(adam_step(copy.deepcopy(network), loss) for loss in losses.values()), repeats=repeats
    )
    results = {}
    for (name, target), own in zip(TARGETS.items(), seconds[1:], strict=True):
        difference = float(
            (gradients[name] - gradients["plain"]).norm() / gradients["plain"].norm()
        )
        # float32 leaves neither implementation an exact plan; float64 shows that they agree.
        assert difference < (1e-9 if dtype == "float64" else 1e-2), difference
        results[name] = {
            "plain_seconds": seconds[0],
            "seconds": own,
            "ratio": seconds[0] / own,
            "target": target,
            "relative_gradient_difference": difference,
        }
    results["equal_value"]["relative_value_difference"] = value_difference
    return results


def plain_schedule(training: AnnData, series: np.ndarray, seed: int) -> dict[str, float]:
    """CPU seconds of the whole published schedule, from those of a few plain steps.

    The pre-training is a full-batch step on the reconstruction error, and the same in both.

    Parameters
    ----------
    training
        Cells to train on, times in ``obs["time"]``.
    series
        All times of the series, the held-out ones too.
    """
    cells = measured_cells(training, "time")
    network = untrained(len(cells.genes), seed)
    values = torch.as_tensor(cells.values)
    pretrain_step = adam_step(network, lambda net: reconstruction(net, values))
    (of_pretraining,) = median_cpu_seconds(pretrain_step, repeats=PRETRAIN_TIMED)
    batch = one_batch([torch.as_tensor(cells.at(time)) for time in cells.times], seed)
    times = torch.as_tensor(ModelTime(series, "index")(cells.times))
    step = adam_step(network, lambda net: plain_loss(net, times, batch))
    (of_step,) = median_cpu_seconds(step, repeats=STEPS_TIMED)
    return {
        "pretrain_step": of_pretraining,
        "plain_step": of_step,
        "schedule": SETTINGS.pretrain_steps * of_pretraining + SETTINGS.joint_steps * of_step,
    }


def main() -> None:
    parser = argument_parser(__file__, __doc__)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    repeats = arguments.repeats
    results: dict[str, object] = {
        "provenance": provenance(
            "torchdiffeq",
            "geomloss",
            seed=SEED,
            repeats=repeats,
            clock="process CPU time, median",
        )
    }
    with one_thread():
        for times, genes, dtype in CASES:
            name = f"{times} times x {genes} genes, {dtype}"
            found = benchmark(times, genes, dtype, repeats)
            results[name] = found
            for kind, row in found.items():
                print(
                    f"{name:36} {kind:15} {row['ratio']:5.2f} x (target {row['target']})  "
                    f"{1e3 * row['plain_seconds']:6.1f} ms -> {1e3 * row['seconds']:6.1f} ms   "
                    f"gradient differs by {row['relative_gradient_difference']:.1e}",
                    flush=True,
                )
            write(arguments.output, results)


if __name__ == "__main__":
    main()
