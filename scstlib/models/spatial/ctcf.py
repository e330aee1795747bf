"""What distance and CTCF sites tell of a map, without expression and without a bulk map."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np

from scstlib.leakage import record_fit
from scstlib.models.settings import all_or_nothing, explain_arguments
from scstlib.models.spatial.protocol import check_fitted, check_prediction, check_training
from scstlib.models.spatial.trees import ContactTrees
from scstlib.preprocess.expected import DistanceMeans
from scstlib.preprocess.windows import Windows


class CTCFAlone:
    """Mean contacts at each distance times a factor that boosted trees predict from CTCF sites.

    A control, as it tells cell types apart by nothing: all have one map at a place. It reads the
    tracks whose names begin with CTCF, at both bins of a pixel and between them, and the distance;
    neither expression, nor CpG, nor which pixels of the bulk map are high. Of a bulk map it reads
    the mean at each distance over all training windows, and how many contacts a window has in
    all, for the depth. What a richer model is worth shows in how far it gets beyond this one. The
    trees are those of :class:`scstlib.models.spatial.trees.ContactTrees`.

    Parameters
    ----------
    n_pixels : int
        Training pixels, drawn at random.
    max_iter : int
        Trees.
    seed : int
        Draws the pixels.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.preprocess.organism_windows import organism_windows
    >>> organism = simulate_organism(preset="tiny")
    >>> windows, _ = organism_windows(organism, ["stem", "beta_mature"], ["chr1"], window=32)
    >>> maps = CTCFAlone(n_pixels=2_000, max_iter=5).fit(windows).predict(windows)
    >>> kinds = windows.table["cell_type"].to_numpy()
    >>> bool((maps[kinds == "stem"] == maps[kinds == "beta_mature"]).all())
    True
    """

    @explain_arguments
    def __init__(self, n_pixels: int = 100_000, max_iter: int = 100, seed: int = 0) -> None:
        self.n_pixels, self.max_iter, self.seed = n_pixels, max_iter, seed

    @all_or_nothing
    def fit(self, windows: Windows) -> Self:
        """Learn the mean contacts and the trees on windows with targets.

        Raises
        ------
        ValueError
            If the windows have no track of CTCF.
        """
        check_training(windows)
        self.track_names_, self.bin_size_ = windows.track_names, windows.bin_size
        self.expected_ = DistanceMeans("bulk").fit(windows)
        trees = ContactTrees(n_pixels=self.n_pixels, max_iter=self.max_iter, seed=self.seed)
        self.trees_ = trees.fit(self._without_the_rest(windows))
        record_fit(self, windows)
        return self

    def predict(self, windows: Windows, depth: float = 1.0) -> np.ndarray:
        """Return expected contacts (n, bins, bins), float32, symmetric; masked bins are 0."""
        check_fitted(self, "trees_")
        check_prediction(windows, depth, bin_size=self.bin_size_, track_names=self.track_names_)
        plain = self._without_the_rest(windows)
        total, level = (maps.sum(axis=(1, 2), dtype=float) for maps in (windows.bulk, plain.bulk))
        share = np.divide(total, level, out=np.zeros(len(total)), where=level > 0) * depth
        predicted: np.ndarray = self.trees_.predict(plain) * share[:, None, None]
        return predicted.astype(np.float32)

    def _without_the_rest(self, windows: Windows) -> Windows:
        """Windows with the mean contacts at each distance for a bulk map, and no other tracks."""
        names = windows.track_names
        kept = [i for i, name in enumerate(names) if name.upper().startswith("CTCF")]
        if not kept:
            raise ValueError(
                f"the windows have the tracks {list(names)}, none of CTCF: add one whose name"
                " begins with CTCF"
            )
        usable = windows.mask[:, :, None] & windows.mask[:, None, :]
        bulk = self.expected_.expected(windows.bulk.shape[-1]).astype(np.float32) * usable
        tracks, kept_names = windows.tracks[..., kept], tuple(names[i] for i in kept)
        return replace(windows, bulk=bulk, tracks=tracks, track_names=kept_names)
