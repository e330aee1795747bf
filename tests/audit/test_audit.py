"""The audit finds every planted fault, says where, and raises nothing on what is sound."""

from __future__ import annotations

import doctest
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from anndata import AnnData
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from scstlib import audit
from scstlib.audit import Audit, Case, Claim
from tests.audit.faulty import FAULTY, Overwritten, batches, donors, flow, rows, upper_half
from tests.audit.sound import SOUND


def faults(found: Audit) -> dict[str, float | str]:
    return {row.where: row.evidence for row in found.findings}


@pytest.mark.parametrize("plant", FAULTY, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_where_it_is(plant: Callable[[], tuple[Audit, str]]) -> None:
    found, where = plant()
    assert not found.passed
    assert where in faults(found)


@pytest.mark.parametrize("make", SOUND, ids=lambda make: make.__name__)
def test_nothing_is_raised_on_what_is_sound(make: Callable[[], list[Audit]]) -> None:
    for found in make():
        assert found.passed, found.text
        assert not found.unsettled, found.text


def test_only_the_dead_layer_is_named_with_its_size() -> None:
    found = flow(Overwritten())
    assert faults(found) == {"graph.weight": 16, "graph.bias": 4}
    assert {row.what for row in found.findings} == {"no path to the loss; entries"}
    assert found.examined == "6 parameters (45 entries), 3 batches"


def test_a_gradient_that_is_zero_is_told_from_none() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    # The last layer multiplies zeros, so only its bias learns.
    assert set(faults(flow(model))) == {"0.weight", "0.bias", "2.weight"}
    assert all("exactly zero" in row.what for row in flow(model).findings)


def test_frozen_parameters_are_declared_or_open() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    assert [row.where for row in flow(model).unsettled] == ["0.weight", "0.bias"]
    assert not flow(model, frozen=["0"]).unsettled
    assert set(faults(flow(model, frozen=["0", "1.bias"]))) == {"1.bias"}


def test_gradient_flow_refuses_what_it_cannot_judge() -> None:
    model = nn.Linear(4, 1)
    with pytest.raises(ValueError, match="at least one batch"):
        audit.gradient_flow(model, lambda b: model(b).mean(), [])
    with pytest.raises(ValueError, match="no gradient"):
        audit.gradient_flow(model, lambda b: model(b).detach().mean(), [rows()])
    with pytest.raises(ValueError, match=r"begins with \['word'\]"):
        audit.gradient_flow(model, lambda b: model(b).mean(), [rows()], frozen=["word"])


def test_a_gradient_that_is_not_finite_is_no_gradient() -> None:
    model = nn.Linear(4, 1)
    found = audit.gradient_flow(model, lambda b: (model(b) * 0).sqrt().sum(), [rows()])
    assert {row.what for row in found.findings} == {"gradient is NaN or infinite; entries"}


def test_an_audit_leaves_model_inputs_and_generators_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
    x, contacts = rows(), np.ones((4, 4))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    flow(model)
    audit.saturation(model, model, [x])
    audit.input_use(model, [x])
    audit.leaves_inputs(upper_half, contacts, contacts)
    audit.is_idempotent(upper_half, contacts, contacts)
    audit.contract(model, [x], by_sample=True)
    audit.isolation(lambda: torch.manual_seed(3), lambda _: torch.rand(2))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert (contacts == 1).all()
    assert random.getstate() == drawn[0]
    assert (np.random.get_state()[1] == drawn[1]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), drawn[2])


def test_input_use_measures_the_relative_change() -> None:
    def double(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 3 * a + 0 * b

    found = audit.input_use(double, [np.array([3.0, 4.0, 0.0]), np.arange(3.0)])
    used, ignored = found.rows
    assert re.fullmatch(r"used: shuffled \S+, zeroed 1, random \S+; .*", used.what)
    assert used.evidence >= 1
    assert ignored.what.startswith("ignored: shuffled 0, zeroed 0, random 0;")
    assert faults(found) == {"input 1": 0.0}


def test_input_use_does_not_take_noise_for_influence() -> None:
    rng = np.random.default_rng(0)
    assert faults(audit.input_use(lambda x: rng.normal(size=5000), [np.arange(5.0)]))
    assert audit.input_use(lambda x: torch.rand(5), [np.arange(5.0)]).findings  # seeded inside


def test_input_use_says_what_it_could_not_change() -> None:
    found = audit.input_use(lambda mask: mask, [np.zeros(3, dtype=int)])
    assert found.passed
    assert [row.what for row in found.unsettled] == ["no change altered it"]
    with pytest.raises(ValueError, match="no input is one"):
        audit.input_use(len, ["text"])
    with pytest.raises(ValueError, match="no array input"):
        audit.input_use(np.sum, [np.ones(2)], unused=["mask"])


def test_a_change_that_is_no_legal_input_is_left_out() -> None:
    def per_sample(x: np.ndarray, level: np.ndarray) -> np.ndarray:
        return x * level / np.maximum((x * level).max(axis=1, keepdims=True), 1e-12)

    inputs = {"x": np.arange(1.0, 9.0).reshape(4, 2), "level": np.arange(1.0, 5.0)[:, None]}
    assert audit.input_use(per_sample, inputs).passed
    found = audit.input_use(per_sample, inputs, changes=["shuffled"])
    assert list(faults(found)) == ["level"]
    with pytest.raises(ValueError, match=r"no change \['removed'\]"):
        audit.input_use(per_sample, inputs, changes=["removed"])


def test_declared_as_unused_but_used() -> None:
    found = audit.input_use(lambda x: x, {"x": np.arange(3.0)}, unused=["x"])
    assert found.findings[0].what.startswith("used, declared as unused: shuffled ")


def test_changes_are_found_deep_inside() -> None:
    def call(batch: dict[str, list[torch.Tensor]], adata: AnnData) -> None:
        batch["maps"][1][0] = 7
        adata.obs["seen"] = True
        adata.uns["a"]["b"] = [1, 2]

    cells = AnnData(np.ones((2, 2)), uns={"a": {"b": [1, 3]}})
    found = audit.leaves_inputs(call, {"maps": [torch.zeros(2), torch.zeros(2)]}, adata=cells)
    assert faults(found) == {
        "input 0.maps.1": 7.0,
        "adata.obs.seen": np.inf,
        "adata.uns.a.b.1": 1.0,
    }
    assert "seen" not in cells.obs


def test_a_second_run_says_whether_the_input_or_a_memory_did_it() -> None:
    def in_place(x: np.ndarray) -> float:
        total = float(x.sum())
        x[0] = 0
        return total

    found = audit.is_idempotent(in_place, np.array([1.0, 3.0])).findings[0]
    assert "the input changed" in found.what
    assert found.evidence == pytest.approx(0.25)
    rng = np.random.default_rng(0)
    assert "memory" in audit.is_idempotent(lambda x: rng.normal(), 1).findings[0].what


def test_contract_says_how_a_declaration_fails() -> None:
    output = np.array([[1.0, -0.5], [np.nan, 2.0]])
    found = audit.contract(
        lambda x: output,
        [np.ones(2)],
        shape=(2, None, 3),
        dtype="float32",
        bounds=(0, 1),
        non_negative=True,
    )
    assert [row.evidence for row in found.rows] == ["2 × 2", "float64", 0.25, 0.25, 0.5]
    assert len(found.findings) == 5


def test_samples_that_cannot_be_predicted_alone() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4)).train()  # refuses a batch of one
    found = audit.contract(model, [rows()], by_sample=True)
    assert [row.what for row in found.findings] == ["same without batch mates: difference"]
    assert found.findings[0].evidence == np.inf


def test_known_answers_names_what_was_raised() -> None:
    cases = [
        Case("sum", sum, ([1, 2],), 3),
        Case("close", lambda: 1.001, (), 1.0, 0.01),
        Case("wrong", sum, ([1, 2],), 4),
        Case("raises", sum, (1,), 0),
        Case("not refused", sum, ([1],), ValueError),
        Case("another shape", np.ones, (2,), np.ones(3)),
    ]
    assert faults(audit.known_answers(cases)) == {
        "wrong": 1.0,
        "raises": "TypeError",
        "not refused": "ValueError",
        "another shape": np.inf,
    }


def test_a_score_that_prefers_a_constant_is_found() -> None:
    rng = np.random.default_rng(0)
    target, fresh = rng.normal(size=(2, 40, 3))
    worse = {"constant": np.zeros((40, 3)), "far": fresh + 9, "empty": np.full((40, 3), np.nan)}

    def paired_error(a: np.ndarray, b: np.ndarray) -> float:
        return float(((a - b) ** 2).mean())

    def error_of_spread(a: np.ndarray, b: np.ndarray) -> float:
        return float(abs(a.std() - b.std()))

    found = audit.prefers_truth(paired_error, fresh, worse, target, higher_is_better=False)
    assert [row.verdict for row in found.rows] == ["finding", "holds", "open"]
    assert faults(found) == {"constant": pytest.approx(float((target**2).mean()))}
    # The spread of what is far is right to rounding; the constant's is wrong.
    del worse["far"]
    assert audit.prefers_truth(error_of_spread, fresh, worse, target, higher_is_better=False).passed


def test_a_margin_finds_a_copy_that_comes_too_near() -> None:
    def score(prediction: float, target: float) -> float:
        return prediction

    for margin, verdict in [(0.0, "holds"), (0.1, "holds"), (0.25, "finding")]:
        found = audit.prefers_truth(
            score, 1.0, {"copy": 0.8}, 0.0, higher_is_better=True, margin=margin
        )
        assert found.rows[0].verdict == verdict
    with pytest.raises(ValueError, match="0 predictions"):
        audit.prefers_truth(score, 1.0, {}, 0.0, higher_is_better=True)
    with pytest.raises(ValueError, match="truth scores nan"):
        audit.prefers_truth(score, np.nan, {"copy": 1.0}, 0.0, higher_is_better=True)


def test_parts_are_compared_pair_by_pair() -> None:
    parts = {"train": ["chr1", "chr19"], "validation": ["19", 5], "test": [7]}
    found = audit.split_overlap(parts)
    assert faults(found) == {"train and validation": 0.5}
    assert len(found.rows) == 3
    cells = {"train": donors(np.arange(12)), "test": donors(np.arange(12, 30))}
    (row,) = audit.split_overlap(cells, by="donor").findings
    assert row.what == "donor in both: b; share of the second"
    assert row.evidence == pytest.approx(8 / 18)


def test_a_record_of_the_split_is_read_by_the_leak_guard() -> None:
    train, test = donors(np.arange(15)), donors(np.arange(15, 30))
    test.uns["split"] = {"by": "donor"}
    (row,) = audit.split_overlap({"train": train, "test": test}).findings
    assert "refused by the leak guard: donor ['b']" in row.what


def test_near_copies_by_the_declared_distance() -> None:
    a = np.random.default_rng(0).normal(size=(300, 20))
    b = np.vstack([a[:3] * 1.001, -a[3:6]])
    assert audit.split_overlap({"a": a, "b": b}).passed
    found = audit.split_overlap({"a": a, "b": b}, tolerance=0.01)
    assert found.findings[0].evidence == 0.5
    assert audit.split_overlap({"a": a, "b": torch.as_tensor(a)}).findings[0].evidence == 1.0


def test_loaders_and_data_sets_of_torch_are_parts() -> None:
    def loader(x: torch.Tensor, **how: object) -> DataLoader:
        return DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=4, **how)

    class Named(Dataset):
        """Samples that are dictionaries, as many public programs return them."""

        def __init__(self, x: torch.Tensor) -> None:
            self.x = x

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
            return {"map": self.x[i], "depth": self.x[i, :1]}

    x, apart = rows(12, 4, seed=0), rows(6, 4, seed=1)
    train, valid = loader(x, shuffle=True), loader(torch.cat([apart, x[:2]]))
    before = torch.get_rng_state()
    found = audit.split_overlap({"train": train, "valid": valid, "test": loader(apart)})
    assert {row.where: row.evidence for row in found.findings} == {
        "train and valid": 0.25,
        "valid and test": 1.0,
    }
    assert torch.equal(torch.get_rng_state(), before)
    both = torch.utils.data.random_split(Named(x), [8, 4])
    assert audit.split_overlap(dict(zip("ab", both, strict=True))).passed
    assert audit.split_overlap({"a": Named(x), "b": both[1]}).findings[0].evidence == 1.0


def test_a_loader_is_batches_and_one_without_a_seed_is_found() -> None:
    data = TensorDataset(rows(), rows(12, 1))
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    found = audit.gradient_flow(
        model, lambda b: (model(b[0]) - b[1]).square().mean(), DataLoader(data, batch_size=4)
    )
    assert found.passed
    assert found.examined.endswith("3 batches")
    audit.saturation(model, lambda b: model(b[0]), DataLoader(data, batch_size=4))
    assert audit.is_idempotent(list, DataLoader(data, batch_size=4)).passed
    assert not audit.is_idempotent(list, DataLoader(data, batch_size=4, shuffle=True)).passed


def test_parts_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="needs two parts"):
        audit.split_overlap({"train": [1]})
    with pytest.raises(ValueError, match="list of names"):
        audit.split_overlap({"train": [1], "test": np.ones((2, 2))})
    with pytest.raises(ValueError, match="no column 'time'"):
        audit.split_overlap({"a": donors(np.arange(3)), "b": donors(np.arange(3, 6))}, by="time")
    with pytest.raises(ValueError, match="2 and of 3 features"):
        audit.split_overlap({"a": np.ones((2, 2)), "b": np.ones((2, 3))})


def test_claims_hold_fail_or_stay_open() -> None:
    table = [
        Claim("rate", 0.001, lambda s: s["rate"]),
        Claim("layers", 3, lambda s: s["layers"]),
        Claim("batch", 64, lambda s: s["batch"]),
        Claim("early stopping", True),
    ]
    found = audit.claims({"rate": 1e-3, "layers": 2}, table)
    assert [row.verdict for row in found.rows] == ["holds", "finding", "open", "open"]
    assert found.findings[0].what == "text says 3; the object"
    assert found.findings[0].evidence == "2"


def test_isolation_tells_its_four_faults_apart() -> None:
    kept = {"scale": 1.0}

    def build(scale: float) -> float:
        kept["scale"] = scale
        return scale

    found = audit.isolation(lambda: build(1), lambda _: kept["scale"], lambda: build(2))
    assert faults(found) == {"result": 1.0}
    assert "second object" in found.findings[0].what
    unseeded = audit.isolation(lambda: None, lambda _: torch.rand(3))
    assert {row.where for row in unseeded.findings} == {"result", "generator of torch"}
    assert "not same whatever the global" in unseeded.findings[0].what


def test_the_report_has_a_row_for_each_check() -> None:
    bad, good = flow(Overwritten()), audit.contract(lambda x: x, [np.ones(2)])
    table = audit.report(bad, good)
    assert list(table["verdict"]) == ["finding", "finding", "holds"]
    assert table.iloc[0].tolist() == [
        "gradient flow",
        "graph.weight",
        "no path to the loss; entries",
        "16",
        "finding",
    ]
    assert len(audit.report(bad, good, everything=True)) == 6 + 1
    assert bad.text.startswith("gradient flow: 2 findings in 6 parameters (45 entries), 3 batches;")
    assert good.text == "contract: nothing found in 1 declared property"


def test_batches_differ() -> None:
    assert not torch.equal(batches()[0][0], batches()[1][0])


def test_nan_that_stays_is_no_change_and_one_that_comes_is() -> None:
    contacts = np.array([np.nan, 1.0, 2.0, 5.0])
    assert audit.is_idempotent(np.log1p, contacts).passed
    assert audit.isolation(lambda: contacts, np.log1p).passed

    def masked(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(np.arange(4) == 0, np.nan, x)

    found = audit.input_use(masked, {"x": np.array([1.0, 1.0, 2.0, 2.0]), "y": contacts})
    assert set(faults(found)) == {"y"}
    found = audit.input_use(
        lambda x: np.where(x == 0, np.nan, x), [np.array([1.0, 2.0])], changes=["zeroed"]
    )
    assert found.passed
    assert found.rows[0].evidence == np.inf


def test_random_classes_are_among_those_that_exist() -> None:
    seen: list[int] = []
    classes = np.array([3, 4, 5, 5, 4, 3])

    def note(x: np.ndarray) -> np.ndarray:
        seen.extend(x)
        return x

    audit.input_use(note, [classes], changes=["random"])
    assert set(seen) <= {3, 4, 5}


def test_rows_with_nan_are_copies_too() -> None:
    rows = np.array([[1.0, np.nan, 3.0], [2.0, np.nan, 1.0]])
    found = audit.split_overlap({"train": rows, "test": rows[1:]})
    assert [row.evidence for row in found.findings] == [1.0]


def test_a_method_of_a_module_leaves_its_running_means_alone() -> None:
    norm = nn.BatchNorm1d(3)
    audit.input_use(norm.forward, [torch.arange(12.0).reshape(4, 3)])
    assert not norm.running_mean.any()


def test_a_part_without_rows_shares_nothing() -> None:
    rng = np.random.default_rng(0)
    parts = {"train": rng.normal(size=(5, 3)), "validation": np.empty((0, 3))}
    assert audit.split_overlap(parts).passed


def test_example_in_the_docstring() -> None:
    result = doctest.testmod(audit)
    assert result.attempted > 3
    assert result.failed == 0
