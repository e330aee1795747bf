"""CPU of a whole training with the published schedule as its authors' code computes it."""

from __future__ import annotations

import numpy as np
import torch
from anndata import AnnData

from benchmarks.speed.scnode_step import cpu_seconds, plain_loss, training_step
from scstlib.models import PublishedScNODE
from scstlib.models.temporal.cells import measured_cells
from scstlib.models.temporal.scnode.model_time import ModelTime
from scstlib.models.temporal.scnode.published_network import ScNODENetwork
from scstlib.models.temporal.scnode.published_training import (
    ADAM_BETAS,
    draw_batch,
    reconstruction_loss,
)

SETTINGS = PublishedScNODE()
PRETRAIN_TIMED, STEPS_TIMED = 10, 20


def plain_schedule(training: AnnData, series: np.ndarray, seed: int) -> dict[str, float]:
    """CPU seconds of the whole schedule, from those of a few plain steps on the training cells.

    A joint step calls geomloss once for each time in gene space and once in latent space. The
    pre-training is a full-batch step on the reconstruction error, and the same in both.
    """
    cells = measured_cells(training, "time")
    by_time = [torch.as_tensor(cells.at(time)) for time in cells.times]
    torch.manual_seed(seed)
    network = ScNODENetwork(len(cells.genes), SETTINGS.latent_dim, SETTINGS.drift_hidden, (), ())
    values = torch.as_tensor(cells.values)
    pretrain = torch.optim.Adam(network.parameters(), lr=SETTINGS.learning_rate, betas=ADAM_BETAS)

    def pretrain_step() -> None:
        pretrain.zero_grad()
        eps = torch.randn(len(values), SETTINGS.latent_dim)
        reconstruction_loss(network, values, eps).backward()
        pretrain.step()

    (of_pretraining,) = cpu_seconds(pretrain_step, repeats=PRETRAIN_TIMED)
    batch = draw_batch(
        by_time,
        batch_size=SETTINGS.batch_size,
        target_size=SETTINGS.target_size,
        latent_dim=SETTINGS.latent_dim,
        from_all=False,
        generator=torch.Generator().manual_seed(seed),
    )
    times = torch.as_tensor(ModelTime(series, "index")(cells.times))
    step = training_step(network, lambda net: plain_loss(net, times, batch))
    (of_step,) = cpu_seconds(step, repeats=STEPS_TIMED)
    return {
        "pretrain_step": of_pretraining,
        "plain_step": of_step,
        "schedule": SETTINGS.pretrain_steps * of_pretraining + SETTINGS.joint_steps * of_step,
    }
