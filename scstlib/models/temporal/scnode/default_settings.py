"""Settings of the default scNODE."""

from __future__ import annotations

from dataclasses import dataclass

from scstlib.models.temporal.scnode.flow_matching import DriftSettings
from scstlib.models.temporal.scnode.published_network import ACTIVATIONS


@dataclass(frozen=True)
class DefaultSettings:
    """Settings of :class:`scstlib.models.temporal.scnode.default.DefaultScNODE`.

    Parameters
    ----------
    latent_dim : int, optional
        None: by parallel analysis of the training cells, at most one for 25 cells, at least
        ``smallest_rank``.
    smallest_rank : int
        A panel of few genes shows few components above its noise; the latent space keeps so many.
    drift_hidden, drift_activation
        Of the drift: "silu", "tanh" or "signed_relu"; with "relu" no latent coordinate ever falls.
    matching_steps, batch_size, learning_rate
        Of flow matching.
    transport_steps : int
        Steps on the Sinkhorn divergence in latent space after flow matching.
    growth : float, optional
        None: every cell keeps its mass between two times. A number: masses of unbalanced
        transport, the freer the smaller it is; for fates that grow at very different rates.
    damping : float or "auto", optional
        Beyond the last training time the drift decays by ``exp(-elapsed / damping)``, in mean
        intervals of the training times; 0: it stands still; None: it does not decay. "auto":
        what predicts the last two training times best when the drift has not seen them; with
        fewer than four training times 0, as there is nothing to learn it from.
    max_step : float
        Step bound of the solver, in mean intervals.
    start_times : "all" or "first"
        Where predicted cells start: at the neighbouring training times, or all at the first.
    time : "real" or "index"
        What the drift takes for time, as for the published variant.
    time_points : sequence of float, optional
        For ``time="index"``: times of the whole series; None: the training times.
    validate_every, patience : int
        With a validation time: steps between validations, and how many may be no better.
    seed : int

    Raises
    ------
    ValueError
        For a choice that there is not, or a number out of range.
    """

    latent_dim: int | None = None
    smallest_rank: int = 10
    drift_hidden: tuple[int, ...] = (64, 64)
    drift_activation: str = "silu"
    matching_steps: int = 800
    batch_size: int = 256
    learning_rate: float = 1e-2
    transport_steps: int = 0
    growth: float | None = None
    damping: float | str | None = "auto"
    max_step: float = 0.25
    start_times: str = "all"
    time: str = "real"
    time_points: tuple[float, ...] | None = None
    validate_every: int = 50
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        choices = {
            "drift_activation": tuple(ACTIVATIONS),
            "start_times": ("all", "first"),
            "time": ("real", "index"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, not {getattr(self, name)!r}.")
        for name in ("max_step", "learning_rate", "batch_size", "smallest_rank", "matching_steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}.")
        if isinstance(self.damping, str) and self.damping != "auto":
            raise ValueError(f"damping must be a number, None or 'auto', not {self.damping!r}.")
        if isinstance(self.damping, int | float) and self.damping < 0:
            raise ValueError(f"damping must not be negative, got {self.damping}.")

    @property
    def drift(self) -> DriftSettings:
        """What flow matching needs of them."""
        return DriftSettings(
            hidden=self.drift_hidden,
            activation=self.drift_activation,
            matching_steps=self.matching_steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            transport_steps=self.transport_steps,
            seed=self.seed,
        )
