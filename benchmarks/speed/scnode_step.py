"""Speed of one training step of the published scNODE against a plain one, in one run and thread.

    python -m benchmarks.speed.scnode_step [--output FILE]

A step computes the loss of given batches, its gradient and an Adam step: 32 cells integrated along
the training times, 200 measured cells of each time to compare with, zebrafish sizes (latent 50,
drift [50, 50]). The plain step calls geomloss once for each time in gene space and once in latent
space, as the published code does. Ours is timed with the full value of the loss, and without the
term that has no gradient. Both are first checked to give the same loss and the same gradient.
Ratios are those of medians of CPU time; the three are timed in turn.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from geomloss import SamplesLoss
from threadpoolctl import threadpool_limits

from benchmarks.results import provenance
from scstlib.models import PublishedScNODE
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
CASES = (
    {"times": 12, "genes": 2000, "dtype": "float32"},
    {"times": 12, "genes": 2000, "dtype": "float64"},
    {"times": 9, "genes": 1200, "dtype": "float32"},
)
TARGETS = {"equal_value": 1.7, "equal_gradient": 3.5}


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


def cpu_seconds(*steps: Callable[[], object], repeats: int) -> list[float]:
    """Median CPU seconds of each step; they take turns, so that all meet the same machine."""
    found: list[list[float]] = [[] for _ in steps]
    for repeat in range(repeats + 1):
        for step, seconds in zip(steps, found, strict=True):
            start = time.process_time()
            step()
            if repeat:  # The first round warms up.
                seconds.append(time.process_time() - start)
    return [statistics.median(seconds) for seconds in found]


def benchmark(times: int, genes: int, dtype: str, repeats: int) -> dict[str, dict[str, float]]:
    cells = log_counts(times, genes, getattr(torch, dtype))
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    network = ScNODENetwork(genes, SETTINGS.latent_dim, SETTINGS.drift_hidden, (), ())
    network = network.to(cells[0].dtype)
    model_times = torch.arange(times, dtype=torch.float64)
    pretrain(network, torch.cat(cells))
    batch = draw_batch(
        cells,
        batch_size=SETTINGS.batch_size,
        target_size=SETTINGS.target_size,
        latent_dim=SETTINGS.latent_dim,
        from_all=False,
        generator=generator,
    )

    def ours(net: ScNODENetwork, constant_terms: bool) -> torch.Tensor:
        return sum(joint_loss(net, model_times, batch, Comparison(), constant_terms=constant_terms))

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
    seconds = cpu_seconds(
        *(training_step(network, loss) for loss in losses.values()), repeats=repeats
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


def pretrain(network: ScNODENetwork, cells: torch.Tensor, steps: int = 100) -> None:
    """Bring the decoder to where joint training starts."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, betas=ADAM_BETAS)
    for _ in range(steps):
        optimizer.zero_grad()
        eps = torch.randn(len(cells), SETTINGS.latent_dim, dtype=cells.dtype)
        reconstruction_loss(network, cells, eps).backward()
        optimizer.step()


def training_step(
    network: ScNODENetwork, loss: Callable[[ScNODENetwork], torch.Tensor]
) -> Callable[[], None]:
    """One step of Adam on a copy of the network, which goes on from step to step."""
    network = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, betas=ADAM_BETAS)

    def step() -> None:
        optimizer.zero_grad()
        loss(network).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[1] / "results" / "scnode_step.json"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, object] = {
        "provenance": provenance(("torch", "torchdiffeq", "geomloss"))
        | {"seed": SEED, "repeats": arguments.repeats, "clock": "process CPU time, median"}
    }
    with threadpool_limits(limits=1):
        for case in CASES:
            name = f"{case['times']} times x {case['genes']} genes, {case['dtype']}"
            found = benchmark(**case, repeats=arguments.repeats)
            results[name] = found
            for kind, row in found.items():
                print(
                    f"{name:36} {kind:15} {row['ratio']:5.2f} x (target {row['target']})  "
                    f"{1e3 * row['plain_seconds']:6.1f} ms -> {1e3 * row['seconds']:6.1f} ms   "
                    f"gradient differs by {row['relative_gradient_difference']:.1e}",
                    flush=True,
                )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
