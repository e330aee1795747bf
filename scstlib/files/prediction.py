"""What a fitted model predicts, from files to files: contact maps, and cells at any time."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scstlib.files.fitted_models import fitted_model
from scstlib.files.outputs import (
    check_output,
    predict_chromosomes,
    provenance,
    write_contact_map,
)
from scstlib.writing import check_room, whole_hdf5

if TYPE_CHECKING:
    from anndata import AnnData

    from scstlib.files.inputs import GenomeInputs
    from scstlib.leakage import Fingerprint
    from scstlib.models.spatial.protocol import SpatialModel
    from scstlib.models.temporal.protocol import TemporalModel

log = logging.getLogger(__name__)


def predict_contacts(
    model: SpatialModel | str | Path,
    inputs: GenomeInputs,
    out: str | Path,
    *,
    stride: int = 64,
    depth: float = 1.0,
    batch_size: int = 4,
    balance: bool = False,
    overwrite: bool = False,
    device: str = "auto",
) -> dict[str, Path]:
    """Predict the contact map of every cell type and write each to a cooler file of its own.

    With ``out="maps.mcool"`` and the cell types astro and oligo: ``maps.astro.mcool`` and
    ``maps.oligo.mcool``. A file appears when it is complete; its metadata say what it was made
    from.

    Parameters
    ----------
    model
        Fitted spatial model, or its file, or the folder that holds this file alone.
    inputs
        From :func:`scstlib.files.read_inputs`, with the tracks that the model was fitted on.
    out
        ``name.mcool`` or ``name.cool``.
    stride
        Distance between windows in bins; the maps reach ``inputs.window - stride`` bins.
    depth
        Relative to the bulk map.
    batch_size
        Windows that are predicted at once.
    balance
        Whether to store balancing weights.
    overwrite
        Whether files that are there may be replaced.
    device
        Where a model that is read from a file predicts: "auto", "cpu", "cuda".

    Returns
    -------
    dict
        Cell type → path that was written.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        Before anything is predicted, for a model file, an output or a stride that will not do, and
        what the model refuses.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import predict_contacts, read_inputs
    >>> class BulkCopy:
    ...     def predict(self, windows, depth=1.0):
    ...         return depth * windows.bulk
    >>> with TemporaryDirectory() as folder:
    ...     simulate_organism(0, "tiny").write(folder)
    ...     inputs = read_inputs(
    ...         f"{folder}/bulk.mcool::resolutions/50000", f"{folder}/cells.h5ad",
    ...         cell_types=["stem", "bipotent"], window=32,
    ...     )
    ...     written = predict_contacts(BulkCopy(), inputs, f"{folder}/maps.cool", stride=16)
    >>> {cell_type: path.name for cell_type, path in written.items()}
    {'stem': 'maps.stem.cool', 'bipotent': 'maps.bipotent.cool'}
    """
    fitted, model_file = fitted_model(model, device, "predict")
    paths = output_paths(Path(out), list(inputs.tracks))
    read = [model_file, *(uri for uris in inputs.files.values() for uri in uris)]
    for path in paths.values():
        check_output(path, overwrite, inputs=read)
    origin = provenance(
        fitted,
        inputs.files,
        model_file=model_file,
        window=inputs.window,
        stride=stride,
        depth=depth,
        balance=inputs.balance,
        reference=list(inputs.reference),
        bulk_expression=inputs.bulk_expression,
    )
    chromosomes = {
        f"chr{name}"
        for known in learned_from(fitted)
        if known.intervals is not None
        for name in known.intervals["chrom"]
    }
    if chromosomes:
        origin["training_chromosomes"] = sorted(chromosomes, key=lambda name: (len(name), name))
    for cell_type, path in paths.items():
        maps = predict_chromosomes(
            fitted, inputs, cell_type, stride=stride, depth=depth, batch_size=batch_size
        )
        write_contact_map(
            path,
            inputs.bulk.bins,
            maps,
            metadata={**origin, "cell_type": cell_type},
            assembly=inputs.assembly,
            balance=balance,
            overwrite=overwrite,
        )
        log.info("wrote %s", path)
    return paths


def learned_from(fitted: Any) -> tuple[Fingerprint, ...]:
    """What a model was fitted on and chosen by; empty if it does not say.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files.prediction import learned_from
    >>> from scstlib.models.temporal.baselines import CopyNearest
    >>> (known,) = learned_from(CopyNearest().fit(simulate_organism(0, "tiny").sample()))
    >>> sorted(known.units["time"])
    [0.0, 24.0, 48.0, 72.0, 96.0]
    """
    return tuple(getattr(fitted, "fitted_on_", None) or ())


def output_paths(out: Path, cell_types: Sequence[str]) -> dict[str, Path]:
    """One file a cell type, with its name before the suffix; blanks and slashes become ``_``.

    Raises
    ------
    ValueError
        If two cell types would get the same file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from scstlib.files.prediction import output_paths
    >>> print(output_paths(Path("maps.mcool"), ["L2/3 IT"])["L2/3 IT"])
    maps.L2_3_IT.mcool
    """
    names = {kind: re.sub(r"[^\w.+-]", "_", kind) for kind in cell_types}
    paths = {kind: out.with_name(f"{out.stem}.{name}{out.suffix}") for kind, name in names.items()}
    if len(set(paths.values())) < len(paths):
        raise ValueError(f"cell types {list(cell_types)} would share a file: rename some.")
    return paths


def predict_expression(
    model: TemporalModel | str | Path,
    times: Sequence[float],
    n_cells: int,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    noise: bool | Literal["depth"] = True,
    fitted_on: str | Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> AnnData:
    """Predict cells at chosen times, and write them to an ``.h5ad`` file if one is named.

    ``uns["provenance"]`` says what they were made from. The file appears when it is complete.

    Parameters
    ----------
    model
        Fitted temporal model, or its file, or the folder that holds this file alone.
    times
        In the unit of the training times.
    n_cells
        Cells at each time.
    out
        ``name.h5ad``; None: nothing is written.
    seed, noise
        As for ``sample`` of the model.
    fitted_on
        File of the cells that the model was fitted on, to be named in the provenance.
    overwrite
        Whether a file that is there may be replaced.
    device
        Where a model that is read from a file predicts: "auto", "cpu", "cuda".

    Returns
    -------
    AnnData, (len(times) * n_cells, n_genes)
        As the model's ``sample`` returns it, with ``uns["provenance"]``.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        Before anything is predicted, for a model file or an output that will not do, and what the
        model refuses.

    Examples
    --------
    >>> from scstlib.datasets import simulate_organism
    >>> from scstlib.files import predict_expression
    >>> from scstlib.models.temporal.baselines import CopyNearest
    >>> model = CopyNearest().fit(simulate_organism(0, "tiny").sample())
    >>> cells = predict_expression(model, [36.0, 60.0], n_cells=20)
    >>> cells.shape, cells.uns["provenance"]["model"]
    ((40, 120), 'CopyNearest')
    """
    fitted, model_file = fitted_model(model, device, "sample")
    if out is not None:
        read = (model_file, fitted_on)
        out = check_output(out, overwrite, suffixes=(".h5ad",), inputs=read)
    cells: AnnData = fitted.sample(times, n_cells, seed=seed, noise=noise)
    inputs = {} if fitted_on is None else {"cells": [str(fitted_on)]}
    settings = {"times": list(map(float, np.atleast_1d(times))), "n_cells": n_cells}
    origin = provenance(fitted, inputs, model_file=model_file, **settings, seed=seed, noise=noise)
    key = getattr(fitted, "time_key_", "time")
    learned = {time for known in learned_from(fitted) for time in known.units.get(key, ())}
    learned |= set(getattr(fitted, "times_", ()))  # A fingerprint has no column of many values.
    if learned:
        origin["training_times"] = sorted(set(map(float, learned)))
    cells.uns["provenance"] = _for_h5ad(origin)
    if out is not None:
        _write_cells(cells, out, overwrite)
        log.info("wrote %s", out)
    return cells


def _for_h5ad(record: Any) -> Any:
    """What an ``.h5ad`` file can hold: no None, no list of mappings."""
    if isinstance(record, dict):
        return {name: _for_h5ad(value) for name, value in record.items() if value is not None}
    if isinstance(record, list) and record and isinstance(record[0], dict):
        return _for_h5ad(record[0]) if len(record) == 1 else json.dumps(record)
    return np.array(record) if isinstance(record, list) else record


def _write_cells(cells: AnnData, path: Path, overwrite: bool) -> None:
    """Write an ``.h5ad`` file, all or nothing."""
    with whole_hdf5(path, overwrite=overwrite) as written:
        check_room(written.parent, cells.__sizeof__())
        cells.write_h5ad(written, compression="gzip")
