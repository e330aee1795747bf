"""scNODE: cells flow through a latent space, learned from populations measured at some times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from scstlib.models.files import read_model
from scstlib.models.temporal.scnode.default import DefaultScNODE
from scstlib.models.temporal.scnode.published import FILE_NAME, PublishedScNODE

if TYPE_CHECKING:
    from anndata import AnnData
    from torch import Tensor

VARIANTS: dict[str, type[DefaultScNODE] | type[PublishedScNODE]] = {
    "default": DefaultScNODE,
    "published": PublishedScNODE,
}


class ScNODE:
    """scNODE in the temporal and the latent-flow protocol.

    Parameters
    ----------
    variant : "default" or "published"
        "default": a latent space of count factors, a drift learned by flow matching and a
        negative binomial observation model; settings in
        :class:`scstlib.models.temporal.scnode.default_settings.DefaultSettings`. "published": the
        model as
        the authors' code trains it and predicts with it; each of its observed limits is a setting
        of :class:`scstlib.models.temporal.scnode.published_settings.PublishedSettings`.
    **settings
        Of the variant.

    Attributes
    ----------
    model : DefaultScNODE or PublishedScNODE
        The variant, with all that it learned.

    References
    ----------
    Zhang, Larschan, Bigness, Singh 2024, https://doi.org/10.1093/bioinformatics/btae393
    """

    def __init__(self, variant: str = "default", **settings: Any) -> None:
        self.variant = variant
        self.model = _variant(variant)(**settings)

    def fit(self, adata: AnnData, time_key: str = "time", **how: Any) -> Self:
        """Learn from cells with a measured time in ``adata.obs[time_key]``.

        Parameters
        ----------
        adata : AnnData
            Training cells: counts, or values such as log counts; may be backed.
        time_key : str
            Column of ``adata.obs`` with the measured time.
        **how
            device, precision, max_cells_in_memory, validation_time, checkpoint, progress: see
            ``fit`` of the variant.

        Raises
        ------
        ValueError
            For input that :class:`scstlib.preprocess.cells.CellReader` refuses.
        """
        self.model.fit(adata, time_key, **how)
        return self

    def sample(
        self,
        times: Sequence[float],
        n_cells: int,
        seed: int = 0,
        noise: bool | Literal["depth"] = True,
    ) -> AnnData:
        """Predict ``n_cells`` cells at each of ``times``.

        The default variant draws cells as they would be measured, or with ``noise=False`` the
        de-noised population: see
        :meth:`scstlib.models.temporal.scnode.default.DefaultScNODE.sample`. The
        published variant knows no measurement noise.
        """
        return self.model.sample(times, n_cells, seed, noise)

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes of the training cells."""
        return self.model.genes

    @property
    def times_(self) -> np.ndarray:
        """Training times, ascending."""
        return self.model.times_

    @property
    def time_key_(self) -> str:
        """Column of ``adata.obs`` that held the measured time."""
        return self.model.time_key_

    @property
    def losses_(self) -> dict[str, np.ndarray]:
        """Losses of the training, by stage."""
        return self.model.losses_

    @property
    def fitted_on_(self) -> Any:
        """What the leak guard compares test cells with."""
        return getattr(self.model, "fitted_on_", None)

    @fitted_on_.setter
    def fitted_on_(self, fingerprints: Any) -> None:
        model: Any = self.model
        model.fitted_on_ = fingerprints

    def encode(self, adata: AnnData) -> np.ndarray:
        """Return latent coordinates (n_cells, n_latent); no noise is drawn.

        Raises
        ------
        ValueError
            If the genes or the kind of values are not the fitted ones.
        """
        return self.model.encode(adata)

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """Return the de-noised values, (n_cells, n_genes), of latent points."""
        return self.model.decode(latent)

    def velocity(self, latent: np.ndarray, time: float) -> np.ndarray:
        """Return the velocity of latent points at ``time``, per unit of measured time."""
        return self.model.velocity(latent, time)

    def flow(self, latent: np.ndarray, start: float, times: Sequence[float]) -> np.ndarray:
        """Move latent points from ``start`` to each of ``times``; (n_times, n_cells, n_latent).

        ``times`` may lie before or after ``start``, in any order.
        """
        return self.model.flow(latent, start, times)

    def load_published(
        self,
        state_dict: Mapping[str, Tensor | np.ndarray],
        adata: AnnData | None = None,
        time_key: str = "time",
    ) -> Self:
        """Take the weights of the authors' code: see ``load_published`` of the variant."""
        if not isinstance(self.model, PublishedScNODE):
            raise ValueError('only ScNODE("published") takes the weights of the authors\' code.')
        self.model.load_published(state_dict, adata, time_key)
        return self

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file, all or nothing."""
        self.model.save(path)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Read a model that :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            As :func:`scstlib.models.files.read_model` says.
        """
        settings, tensors = read_model(path, FILE_NAME)
        loaded = cls.__new__(cls)
        loaded.variant = settings["variant"]
        loaded.model = _variant(loaded.variant).restore(settings, tensors, device)
        return loaded


def _variant(name: str) -> type[DefaultScNODE] | type[PublishedScNODE]:
    if name not in VARIANTS:
        raise ValueError(f"variant {name!r} is not known; there are {sorted(VARIANTS)}.")
    return VARIANTS[name]
