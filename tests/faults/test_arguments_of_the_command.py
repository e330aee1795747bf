"""Numbers that mean nothing, on the command line: status 2, one line, nothing written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scstlib.__main__ import main
from scstlib.datasets import simulate_organism

MODELS = Path(__file__).resolve().parents[1] / "models"
CELLS = (
    f"predict-expression --model {MODELS}/temporal/scnode/first_version_default_counts.safetensors"
)
MAPS = (
    "predict-contacts --bulk bulk.mcool::resolutions/50000 --expression cells.h5ad --window 16"
    f" --model {MODELS}/spatial/scgraphic/version_1_default.safetensors --out maps.cool"
)
TRAIN = "train expression --cells cells.h5ad --out m.safetensors"
CASES = {
    f"{CELLS} --n-cells 5 --times nan --out p.h5ad": "--times: 'nan' is not a finite number",
    f"{CELLS} --n-cells 5 --times 1 inf --out p.h5ad": "--times: 'inf' is not a finite number",
    f"{CELLS} --n-cells 5 --times 1e300 --out p.h5ad": "lies more than 1000 mean intervals",
    f"{CELLS} --n-cells 0 --times 1 --out p.h5ad": "is not a whole number, at least 1",
    f"{CELLS} --n-cells -3 --times 1 --out p.h5ad": "is not a whole number, at least 1",
    f"{CELLS} --n-cells 5 --times 1 --seed -1 --out p.h5ad": "--seed: '-1' is not a whole number",
    f"{CELLS} --n-cells 5 --times 1 --device gpu9 --out p.h5ad": "device must be 'auto', 'cpu'",
    f"{MAPS} --batch-size -1": "'-1' is not a whole number, at least 1",
    f"{MAPS} --batch-size 0": "'0' is not a whole number, at least 1",
    f"{MAPS} --stride 0": "--stride: '0' is not a whole number",
    f"{MAPS} --stride -4": "--stride: '-4' is not a whole number",
    f"{TRAIN} --seed -1": "--seed: '-1' is not a whole number, at least 0",
    f"{TRAIN} --set matching_steps=1e3": "matching_steps must be a whole number",
    f'{TRAIN} --set batch_size="5"': "batch_size must be a whole number, at least 1, not '5'",
    f"{TRAIN} --set latent_dim=2.5": "latent_dim must be a whole number",
    f"{TRAIN} --set damping=NaN": "damping must be a number that is not negative, not nan",
    f"{TRAIN} --set growth=Infinity": "growth must be a positive number, not inf",
    f"{TRAIN} --set time_points=3": "time_points",
    f"{TRAIN} --validation-time nan": "'nan' is not a finite number",
}


@pytest.fixture(scope="module")
def organism(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organism")
    simulate_organism(0, "tiny").write(folder)
    return folder


@pytest.mark.parametrize("words", CASES)
def test_a_number_that_means_nothing_is_one_line(
    words: str,
    organism: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("bulk.mcool", "cells.h5ad"):
        shutil.copy(organism / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    try:
        status = main(words.split())
    except SystemExit as stopped:  # while the words were read
        status = stopped.code
    assert status == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "error: " in line] == lines[-1:]
    assert CASES[words] in lines[-1]
    assert sorted(tmp_path.iterdir()) == before
