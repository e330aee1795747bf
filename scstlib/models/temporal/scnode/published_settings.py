"""Settings of the published scNODE, with a switch for each of its observed limits."""

from __future__ import annotations

from dataclasses import dataclass

from scstlib.models.temporal.scnode.published_network import ACTIVATIONS

CHOICES = {
    "drift_activation": tuple(ACTIVATIONS),
    "solver_grid": ("requested", "fixed"),
    "start_times": ("first", "all"),
    "transport_space": ("genes", "components", "latent"),
    "time": ("index", "real"),
}


@dataclass(frozen=True)
class PublishedSettings:
    """Settings of :class:`scstlib.models.temporal.scnode.published.PublishedScNODE`.

    The defaults are the authors' settings for zebrafish.

    Parameters
    ----------
    latent_dim, drift_hidden, encoder_hidden, decoder_hidden
        Sizes of the networks.
    pretrain_steps : int
        Full-batch steps on the reconstruction error, before the drift is trained.
    joint_steps : int
        Steps on the transport loss, all networks together.
    batch_size, target_size : int
        Cells integrated in a step, and measured cells of each time that they are compared with.
    latent_weight : float
        Weight of the transport loss in latent space.
    learning_rate : float
    drift_activation : "relu", "signed_relu", "silu" or "tanh"
        "relu", as published, also after the last layer: no latent coordinate ever falls. The
        others end with a linear layer.
    solver_grid : "requested" or "fixed"
        "requested", as published: one Euler step between neighbouring times, of training or of
        the request. "fixed": steps of ``max_step`` whatever is requested.
    max_step : float
        In units of the time that the ODE sees, where the mean interval of the series is 1.
    start_times : "first" or "all"
        "first", as published: all cells start at the first training time. "all": in training
        every time starts paths to the next, and a prediction starts at the latest training time
        that is not after it.
    transport_space : "genes", "components" or "latent"
        Where decoded and measured cells are compared. "genes", as published. "components": in
        ``n_components`` principal components of the training cells, where the noise of single
        cells weighs less. "latent": nowhere; only the latent points are compared, and the
        pre-trained encoder and decoder stay as they are, for they could shrink that distance.
    n_components : int
        For ``transport_space="components"``.
    time : "index" or "real"
        What the ODE takes for time. "index": 0, 1, 2, ... for the times of ``time_points``, as
        published, with straight lines between them. "real": the measured time, in units of the
        mean interval of ``time_points`` so that a step is about as long as in "index".
    time_points : sequence of float, optional
        Times of the whole series, held-out ones included; None: the training times. Only the
        times enter the model, no cell of theirs.
    validate_every, patience : int
        With a validation time: joint steps between two validations, and how many in a row may be
        no better than the best before the training stops.
    seed : int
        Draws weights and batches.

    Raises
    ------
    ValueError
        For a choice that there is not, or a step that is not positive.
    """

    latent_dim: int = 50
    drift_hidden: tuple[int, ...] = (50, 50)
    encoder_hidden: tuple[int, ...] = ()
    decoder_hidden: tuple[int, ...] = ()
    pretrain_steps: int = 200
    joint_steps: int = 1000
    batch_size: int = 32
    target_size: int = 200
    latent_weight: float = 1.0
    learning_rate: float = 1e-3
    drift_activation: str = "relu"
    solver_grid: str = "requested"
    max_step: float = 0.1
    start_times: str = "first"
    transport_space: str = "genes"
    n_components: int = 20
    time: str = "index"
    time_points: tuple[float, ...] | None = None
    validate_every: int = 50
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, not {getattr(self, name)!r}.")
        if not self.max_step > 0:
            raise ValueError(f"max_step must be positive, not {self.max_step}.")

    @property
    def step(self) -> float | None:
        """The step bound of the solver; None where the requested times are its grid."""
        return self.max_step if self.solver_grid == "fixed" else None
