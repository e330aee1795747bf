"""scGrapHiC: the contact map of a cell type from a bulk map and the cell type's expression."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scstlib.models.files import read_model
from scstlib.models.spatial.scgraphic.default import DefaultScGrapHiC
from scstlib.models.spatial.scgraphic.published import FILE_NAME, PublishedScGrapHiC

if TYPE_CHECKING:
    from torch import Tensor

    from scstlib.preprocess.windows import Windows

VARIANTS: dict[str, Any] = {"default": DefaultScGrapHiC, "published": PublishedScGrapHiC}


class ScGrapHiC:
    """scGrapHiC in the spatial protocol.

    Parameters
    ----------
    variant : "default" or "published"
        "published": the model as the authors' code trains it and predicts with it; each of its
        observed limits is a setting of
        :class:`scstlib.models.spatial.scgraphic.published_settings.PublishedSettings`.
    **settings
        Of the variant.

    Attributes
    ----------
    model
        The variant, with all that it learned.

    References
    ----------
    Murtaza, Butaney, Wagner, Singh 2024, https://doi.org/10.1093/bioinformatics/btae223
    """

    def __init__(self, variant: str = "default", **settings: Any) -> None:
        self.variant = variant
        self.model = _variant(variant)(**settings)

    def fit(self, windows: Windows, **how: Any) -> Self:
        """Learn from windows with targets.

        Parameters
        ----------
        windows : Windows
        **how
            validation, device, precision, checkpoint, progress: see ``fit`` of the variant.

        Raises
        ------
        ValueError
            For windows that :func:`scstlib.models.spatial.protocol.check_windows` refuses.
        """
        self.model.fit(windows, **how)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0.

        Parameters
        ----------
        depth : float
            Relative to the bulk map.

        Raises
        ------
        ValueError
            If the model is not fitted, or the tracks or bins are not the fitted ones.
        """
        predicted: np.ndarray = self.model.predict(windows, depth)
        return predicted

    @property
    def losses_(self) -> dict[str, np.ndarray]:
        """Losses of the training: ``"train"`` by step, and ``"validation"`` if there was one."""
        losses: dict[str, np.ndarray] = self.model.losses_
        return losses

    @property
    def fitted_on_(self) -> Any:
        """What the leak guard compares test windows with."""
        return self.model.fitted_on_

    @fitted_on_.setter
    def fitted_on_(self, fingerprints: Any) -> None:
        self.model.fitted_on_ = fingerprints

    def load_published(
        self, state_dict: Mapping[str, Tensor | np.ndarray], windows: Windows
    ) -> Self:
        """Take the weights of the authors' code: see ``load_published`` of the variant."""
        if not isinstance(self.model, PublishedScGrapHiC):
            raise ValueError('only ScGrapHiC("published") takes the weights of the authors\' code.')
        self.model.load_published(state_dict, windows)
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


def _variant(name: str) -> Any:
    if name not in VARIANTS:
        raise ValueError(f"variant {name!r} is not known; there are {sorted(VARIANTS)}.")
    return VARIANTS[name]
