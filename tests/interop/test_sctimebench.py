"""A temporal model answers what scTimeBench asks of a method; with the package, it is run by it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from anndata import AnnData, read_h5ad

from scstlib.interop.sctimebench import TIME, Answers, as_method
from scstlib.models.temporal import ConstantMean, CopyNearest, PublishedScNODE
from tests.conftest import series

HERE = find_spec("scTimeBench") is not None and find_spec("geomloss") is not None
OUTPUTS = ["embedding.npy", "next_timepoint_gene_expression.npy"]
WHOLE = "from_zero_to_end_predicted_gene_expression.h5ad"


class BaseMethod:
    """The part of scTimeBench 0.1.2's class of this name that a method sees."""

    def __init__(self, yaml_config: dict[str, Any]) -> None:
        self.config = yaml_config
        self.output_path = yaml_config["output_path"]

    def generate(self, test_ann_data: AnnData) -> None:
        at = Path(self.output_path)
        np.save(at / OUTPUTS[0], self.generate_embedding(test_ann_data))
        np.save(at / OUTPUTS[1], self.generate_next_tp_gex(test_ann_data))
        times = sorted(test_ann_data.obs[TIME].unique())
        first = test_ann_data[test_ann_data.obs[TIME] == times[0]].copy()
        self.generate_zero_to_end_pred_gex(first, times).write_h5ad(at / WHOLE)


@pytest.fixture(params=["a stand-in", "the package"])
def interface(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "the package":
        if not HERE:
            pytest.skip("scTimeBench is not installed: pip install sctimebench==0.1.2")
        return
    runner = ModuleType("scTimeBench.method_utils.method_runner")
    runner.BaseMethod = BaseMethod  # type: ignore[attr-defined]
    for name in ("scTimeBench", "scTimeBench.method_utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, runner.__name__, runner)


def parts() -> tuple[AnnData, AnnData]:
    """Training and test cells as its split makes them: the first time is in both."""
    cells = series([0.0, 1.0, 2.0, 3.0])
    cells.obs = cells.obs.rename(columns={"time": TIME})
    time = cells.obs[TIME]
    return cells[~time.isin([1.0, 3.0])].copy(), cells[time != 2.0].copy()


def published(times: list[float]) -> PublishedScNODE:
    return PublishedScNODE(time_points=times, latent_dim=3, pretrain_steps=2, joint_steps=2)


@pytest.mark.usefixtures("interface")
@pytest.mark.parametrize("follow", [False, True])
def test_a_model_is_trained_and_asked_as_a_method(tmp_path: Path, follow: bool) -> None:
    train, test = parts()
    new = published if follow else lambda times: CopyNearest()
    outputs = [*OUTPUTS, WHOLE]
    config = {"output_path": str(tmp_path), "required_outputs": outputs, "method": {}}
    method = as_method(new, follow=follow, name="ours")(config)
    method.train(train, all_tps=[3.0, 0.0, 2.0, 1.0])
    method.generate(test)
    embedding, following = (np.load(tmp_path / name) for name in OUTPUTS)
    assert len(embedding) == test.n_obs
    assert embedding.shape[1] == (3 if follow else 6)
    assert np.isfinite(embedding).all()
    time = test.obs[TIME].to_numpy()
    assert np.isnan(following[time == 3.0]).all()
    assert np.isfinite(following[time < 3.0]).all()
    whole = read_h5ad(tmp_path / WHOLE)
    assert whole.obs[TIME].tolist() == np.repeat([0.0, 1.0, 3.0], 40).tolist()
    assert whole.X[:40] == pytest.approx(test.X[time == 0.0])
    assert type(method).__name__ == "ours"


@pytest.mark.skipif(not HERE, reason="scTimeBench is not installed: pip install sctimebench==0.1.2")
@pytest.mark.filterwarnings("ignore")
def test_its_divergence_is_that_of_this_package() -> None:
    """The copy is scored by the package as by our function of the same formula, a gene."""
    from scTimeBench.metrics.gex_prediction.ot_eval.wass import WassersteinOTLoss

    from scstlib.metrics.expression import sinkhorn

    train, test = parts()
    method = Answers(lambda times: CopyNearest())
    method.train(train)
    predicted = method.generate_next_tp_gex(test)
    time = test.obs[TIME].to_numpy()
    drawn = AnnData(predicted[time < 3], var=test.var, obs=test.obs[time < 3].copy())
    drawn.obs[TIME] = np.repeat([1.0, 3.0], 40)
    by_time = WassersteinOTLoss(None, None, {})._metric_by_timepoint(test, drawn)
    for then, value in by_time.items():
        rows = drawn.obs[TIME] == float(then)
        ours = sinkhorn(drawn.X[rows], test.X[time == float(then)])
        assert value == pytest.approx(ours / test.n_vars, rel=1e-3)


def test_cells_that_are_followed_move_by_the_flow_of_the_model() -> None:
    train, test = parts()
    method = Answers(published, follow=True)
    method.train(train, all_tps=[0.0, 1.0, 2.0, 3.0])
    points = method.generate_next_tp_embedding(test)
    first = test[test.obs[TIME] == 0.0]
    moved = method.model.flow(method.model.encode(first), 0.0, [1.0])[0]
    assert points[:40] == pytest.approx(moved)
    assert np.isnan(points[-40:]).all()
    assert method.generate_next_tp_gex(test)[:40] == pytest.approx(method.model.decode(moved))


def test_what_a_model_cannot_answer_is_refused() -> None:
    train, test = parts()
    method = Answers(lambda times: ConstantMean())
    method.train(train)
    with pytest.raises(ValueError, match="set follow=True"):
        method.generate_next_tp_embedding(test)
    with pytest.raises(ValueError, match=r"ConstantMean.* has no latent space: set follow=False"):
        Answers(lambda times: ConstantMean(), follow=True).train(train)
    train.X = np.ceil(train.X)
    with pytest.raises(ValueError, match="LogNormPreprocessor"):
        Answers(published, follow=True).train(train)


@pytest.mark.skipif(HERE, reason="scTimeBench is installed")
def test_without_the_package_the_error_says_what_to_install() -> None:
    with pytest.raises(ImportError, match="pip install sctimebench"):
        as_method(lambda times: CopyNearest())
