from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scstlib.analysis.perturbation import gene_levels, perturb
from scstlib.analysis.trajectories import fit_fate_classifier

TIMES = [0.0, 2.0, 4.0, 6.0]


def start(n: int = 60) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((n, 2))


def fork_answer(fork, factors, **settings):
    cells = fork.series(start(), TIMES)
    cells.obs["fate"] = np.where(fork.encode(cells)[:, 0] > 0, "up", "down")
    classifier = fit_fate_classifier(fork, cells, "fate", n_neighbors=5)
    return perturb(fork, cells, factors, 0.0, 6.0, classifier, **settings)


# gene0 rises towards "up", gene1 towards "down", and gene2 has no part in it.
@pytest.mark.parametrize(
    ("factors", "up"),
    [
        ({"gene0": 0.0}, 0.0),
        ({"gene0": 0.7}, 0.0),
        ({"gene0": 2.0}, 1.0),
        ({"gene1": 0.7}, 1.0),
        ({"gene1": 2.0}, 0.0),
        ({"gene0": 1.3, "gene1": 0.7}, 1.0),
    ],
)
def test_the_driver_of_a_fork_decides(fork, factors, up):
    shares = fork_answer(fork, factors).shares
    assert 0.3 < shares.loc["unperturbed", "up"] < 0.7
    assert shares.loc["perturbed", "up"] == pytest.approx(up, abs=0.02)
    np.testing.assert_allclose(shares.loc["change"].sum(), 0, atol=1e-12)
    np.testing.assert_allclose(
        shares.loc["change"], shares.loc["perturbed"] - shares.loc["unperturbed"]
    )


def test_a_bystander_changes_nothing_and_neither_does_the_factor_1(fork):
    for factors in ({"gene2": 0.2}, {"gene0": 1.0}):
        change = fork_answer(fork, factors).shares.loc["change"]
        np.testing.assert_allclose(change, 0, atol=0.05)


def test_a_marker_gets_the_answer_of_its_driver(make_flow):
    """The documented assumption: what varies with the fate counts as its cause."""
    flow = make_flow(
        lambda z, t: np.stack([z[:, 0] - z[:, 0] ** 3, 0 * z[:, 1]], axis=1),
        np.array([[1.0, 0.5], [0.0, 1.0]]),
        level=3.0,
    )
    shares = fork_answer(flow, {"gene1": 0.5}).shares
    assert shares.loc["perturbed", "up"] < 0.1 < shares.loc["unperturbed", "up"]


def test_what_the_cells_outlive_must_be_held(make_flow):
    """All cells return to 1, so that a passing knock-down is forgotten and a lasting one is not."""
    model = make_flow(lambda z, t: 1.0 - z, np.array([[1.0]]), level=2.0)
    cells = model.series(np.linspace(-1, 1, 30)[:, None], [0.0, 1.0, 2.0, 8.0])
    cells.obs["fate"] = np.where(model.encode(cells)[:, 0] > 0.5, "back", "away")
    classifier = fit_fate_classifier(model, cells, "fate", n_neighbors=3)
    once = perturb(model, cells, {"gene0": 0.2}, 0.0, 8.0, classifier, hold=False)
    held = perturb(model, cells, {"gene0": 0.2}, 0.0, 8.0, classifier)
    assert once.shares.loc["perturbed", "back"] == 1.0
    assert held.shares.loc["perturbed", "back"] == 0.0
    level = held.cells[held.cells.obs["arm"] == "perturbed"].X[:, 0]
    np.testing.assert_allclose(level, 0.2 * (2 + np.linspace(-1, 1, 30)), rtol=1e-5)
    assert held.cells.obs["cell"].tolist() == [f"cell{k}" for k in range(30)] * 2


def test_cells_are_encoded_once_and_decoded_when_they_are_asked_for(fork, monkeypatch):
    calls = []
    for name in ("encode", "decode"):
        real = getattr(fork, name)
        monkeypatch.setattr(
            fork, name, lambda x, name=name, real=real: calls.append(name) or real(x)
        )
    cells = fork.series(start(), TIMES)
    cells.obs["fate"] = np.where(np.arange(len(cells)) % 2, "up", "down")
    classifier = fit_fate_classifier(fork, cells, "fate", n_neighbors=5)
    calls.clear()
    out = perturb(fork, cells, {"gene0": 0.0}, 0.0, 6.0, classifier)
    assert calls == ["encode"]
    assert out.cells is out.cells
    assert calls == ["encode", "decode", "decode"]


def test_a_raised_gene_may_rise_further_by_itself(make_flow):
    model = make_flow(lambda z, t: np.ones_like(z), np.array([[1.0]]), level=1.0)
    cells = model.series(np.linspace(0, 1, 20)[:, None], [0.0, 1.0, 2.0])
    cells.obs["fate"] = np.where(model.encode(cells)[:, 0] > 1, "a", "b")
    classifier = fit_fate_classifier(model, cells, "fate", n_neighbors=3)
    out = perturb(model, cells, {"gene0": 2.0}, 0.0, 2.0, classifier)
    level = out.cells[out.cells.obs["arm"] == "perturbed"].X[:, 0]
    np.testing.assert_allclose(level, 2 * (1 + np.linspace(0, 1, 20)) + 2, rtol=1e-5)


def test_counts_are_multiplied_as_counts(make_flow):
    """The latent place is the log level of gene0 among 10,000; nothing moves by itself."""
    rng = np.random.default_rng(0)
    share = rng.integers(100, 400, 90)
    counts = np.stack([share, 1000 - share], axis=1).astype(float)
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0, 2.0], 30)}, index=np.arange(90).astype(str))
    obs["fate"] = np.where(share > 250, "many", "few")
    cells = AnnData(counts, obs=obs, var=pd.DataFrame(index=["gene0", "gene1"]))
    model = make_flow(lambda z, t: 0 * z, np.array([[1.0, 0.0]]))
    model.encode = lambda adata: np.log1p(10 * np.asarray(adata.X)[:, :1])
    classifier = fit_fate_classifier(model, cells, "fate", n_neighbors=3)
    out = perturb(model, cells, {"gene0": 2.0}, 0.0, 2.0, classifier).cells
    before = np.expm1(out[out.obs["arm"] == "unperturbed"].X[:, 0])
    after = np.expm1(out[out.obs["arm"] == "perturbed"].X[:, 0])
    np.testing.assert_allclose(after, 2 * before, rtol=1e-3)


def test_levels_are_learned_within_times_and_near_the_time(make_flow):
    """gene0 rises with time as the cells do, but among cells of one time it falls with their place.

    Later the sign is the other way round.
    """
    rng = np.random.default_rng(0)
    time = np.repeat(np.arange(12.0), 50)
    z = rng.standard_normal(600)
    sign = np.where(time < 6, -1.0, 1.0)
    model = make_flow(lambda z, t: 0 * z, np.ones((1, 1)))
    cells = model.cells((sign * z + 10 * time)[:, None], time)
    model.encode = lambda adata: (z + 10 * time)[:, None]
    early = gene_levels(model, cells, ["gene0"], 0.0, shrinkage=0.0)
    late = gene_levels(model, cells, ["gene0"], 11.0, shrinkage=0.0)
    assert early.loadings[0, 0] == pytest.approx(-1, abs=0.05)
    assert late.loadings[0, 0] == pytest.approx(1, abs=0.05)
    pulled = gene_levels(model, cells, ["gene0"], 0.0, shrinkage=1e6)
    assert abs(pulled.loadings[0, 0]) < 0.1  # the mean over all times
    np.testing.assert_allclose(early.at(early.centre[None] + 1)[0, 0], early.mean[0] - 1, atol=0.05)


def test_how_well_a_gene_is_known_is_said(make_flow):
    """Half of the variance of gene0 follows the latent place, and none of that of gene1."""
    rng = np.random.default_rng(0)
    z, noise = rng.standard_normal((2000, 1)), rng.standard_normal((2000, 2))
    model = make_flow(lambda z, t: 0 * z, np.ones((1, 2)))
    cells = model.cells(z, np.repeat([0.0, 1.0], 1000))
    cells.X = 5 + noise + z * [1.0, 0.0]
    cells.obs["fate"] = np.where(z[:, 0] > 0, "a", "b")
    model.encode = lambda adata: z[adata.obs_names.str[4:].astype(int)]
    classifier = fit_fate_classifier(model, cells, "fate")
    out = perturb(model, cells, {"gene0": 0.9, "gene1": 0.9}, 0.0, 1.0, classifier).explained
    assert out["gene0"] == pytest.approx(0.5, abs=0.05)
    assert out["gene1"] < 0.01


def test_what_cannot_be_perturbed_is_named(fork):
    with pytest.raises(KeyError, match="GATA1"):
        fork_answer(fork, {"GATA1": 0.0})
    with pytest.raises(ValueError, match="'gene0' is -1"):
        fork_answer(fork, {"gene0": -1.0})
    with pytest.raises(ValueError, match="no gene"):
        fork_answer(fork, {})
    cells = fork.series(start(), TIMES)
    cells.obs["fate"] = np.where(fork.encode(cells)[:, 0] > 0, "up", "down")
    classifier = fit_fate_classifier(fork, cells, "fate")
    with pytest.raises(ValueError, match="not after"):
        perturb(fork, cells, {"gene0": 0.0}, 3.0, 3.0, classifier)
    with pytest.raises(ValueError, match="earliest are from 0"):
        perturb(fork, cells, {"gene0": 0.0}, -1.0, 3.0, classifier)
    cells.X[:, 2] = 3.0
    with pytest.raises(ValueError, match="'gene2' does not vary"):
        perturb(fork, cells, {"gene2": 0.0}, 0.0, 6.0, classifier)
