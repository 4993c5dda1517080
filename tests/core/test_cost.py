"""What runs will cost: steps of a second each, so that the sums are exact; and how a step is timed."""

import pytest
import torch

from widenet import cost
from widenet.cli.planning import planned
from widenet.components import Method
from widenet.loading import load

TINY = {"arch": "fc:hidden=8", "dataset": "tiny:train=100,test=30"}
"""100 training samples and 30 test samples, of four classes."""


@pytest.fixture(scope="module")
def registry():
    return load()


@pytest.fixture
def plan(registry):
    return lambda name="train", **options: planned(registry, registry.find(Method, name), {**TINY, **options}, [])


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of batches that are timed; each takes as many seconds as it has samples."""
    found = []
    monkeypatch.setattr(cost, "_step", lambda net, data, size: found.append(size) or float(size))
    return found


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"epochs": 1}, 100 + 10),
        ({"epochs": 4}, 4 * (100 + 10)),
        ({"epochs": 4, "eval_every": 2}, 4 * (100 + 5)),
        ({"epochs": 1, "val": 0.2}, 80 + 10),
        ({"epochs": 1, "per_class": 5}, 4 * 5 + 10),
    ],
)
def test_training_is_its_samples_and_a_third_for_evaluation(plan, sizes, options, seconds):
    assert cost.Costs().of(plan(**options)) == pytest.approx(seconds)


def test_a_method_that_does_not_train_passes_the_test_samples(plan, sizes):
    assert cost.Costs().of(plan("import", weights="none.pt")) == pytest.approx(30 / 3)


def test_each_network_is_timed_once_for_each_batch_size(plan, sizes):
    costs = cost.Costs()
    for options in ({"epochs": 1}, {"epochs": 2, "lr": 0.5}, {"epochs": 1, "batch_size": 16}, {"epochs": 1, "seed": 3}):
        costs.of(plan(**options))
    assert sizes == [cost.SAMPLES, 16]
    costs.of(plan(arch="fc:hidden=9", epochs=1))
    assert sizes == [cost.SAMPLES, 16, cost.SAMPLES]


def test_a_quick_step_is_timed_with_the_whole_batch(plan, monkeypatch):
    timed = {32: 0.001, 64: 0.0016, 100: 0.002}
    monkeypatch.setattr(cost, "_step", lambda net, data, size: timed[size])
    assert cost.Costs().of(plan(epochs=1, batch_size=64)) == pytest.approx(0.0016 / 64 * 110)
    assert cost.Costs().of(plan(epochs=1, batch_size=1000)) == pytest.approx(0.002 / 100 * 110)


def test_it_is_timed_on_one_thread(plan, monkeypatch):
    threads = []
    monkeypatch.setattr(cost, "_step", lambda net, data, size: threads.append(torch.get_num_threads()) or 1.0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        cost.Costs().of(plan(epochs=1))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == [1]


def test_a_real_step_leaves_no_gradient(plan):
    made = plan(epochs=1)
    assert 0 < cost.Costs().of(made) < 60
    net, data, _ = cost.prepare(made)
    assert cost._step(net, data, 8) > 0
    assert all(weight.grad is None for weight in net.parameters())
