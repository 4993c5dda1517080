"""``wn run gate-train``: the gated path, the schedule, where the gates are found, selectivity training beside it."""

import pytest
import torch
import torch.nn.functional as F

from widenet.loading import load
from widenet.opening import network
from widenet.runs import Run
from widenet.store import read_arrays
from widenet_decompose.config import GateTrain
from widenet_decompose.features import gates_of
from widenet_decompose.gates import Gates, excess, is_gated

GATED = ("gate-train", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "4", "--gate-warmup", "1", "--period", "2")
PLAIN = ("train", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "4")


def test_the_reference_codes_schedule():
    config = GateTrain()
    assert [epoch for epoch in range(1, 19) if is_gated(epoch, config)] == [11, 12, 14, 15, 17, 18]
    assert [epoch for epoch in range(1, 19) if is_gated(epoch, GateTrain(plain=2))] == [12, 15, 18]


def test_only_the_gates_beyond_the_budget_cost_anything():
    gates = torch.full((2, 5), 0.5)
    assert float(excess(gates, 0.2)) == pytest.approx(5 - 2)
    assert float(excess(gates, 0.5)) == 0
    assert float(excess(-gates, 0.2)) == pytest.approx(3)


def test_each_unit_keeps_a_class_at_one():
    gates = Gates(torch.zeros(3, 4), 0.5)
    with torch.no_grad():
        gates.gates.copy_(torch.tensor([[0.5, 2.0, -1.0, 0.0], [0.25, 1.0, -0.5, 0.0], [0.1, -1.0, 0.5, 0.0]]))
    gates.normalise()
    assert torch.equal(gates.gates[:, 0], torch.tensor([1.0, 0.5, 0.2]))
    assert gates.gates.amax(0)[:3].tolist() == [1, 1, 1]
    assert gates.gates.min() >= 0


def test_gates_are_kept_beside_a_network_that_opens_without_them(run):
    found = Run.open(run(*GATED))
    gates = torch.from_numpy(found.arrays("gates")["gates"])
    assert gates.shape == (4, 8)
    assert gates.amax(0).allclose(torch.ones(8))
    assert gates.std() > 0
    assert not found.has_masks()
    assert found.record["result"]["gated_epochs"] == 2
    assert set(found.weights()) == set(Run.open(run(*PLAIN)).weights())
    network(load(), found)
    assert torch.equal(gates_of(found, 4, 8), gates)


def test_plain_epochs_are_those_of_plain_training(run):
    gated, plain = (Run.open(run(*words)).metrics() for words in (GATED, PLAIN))
    assert gated[0]["train/loss"] == plain[0]["train/loss"]
    assert gated[1]["train/loss"] != plain[1]["train/loss"]


def test_the_gated_loss_is_that_of_features_times_the_gates_of_the_label(run):
    """The first gated epoch starts from the gates' first value, so its loss follows from the network before it."""
    words = (*GATED[:5], "--epochs", "1", "--gate-warmup", "0", "--plain", "0", "--lr", "1e-12", "--weight-decay", "0")
    found = Run.open(run(*words, "--penalty", "0.01", "--gate-init", "0.25"))
    net = network(load(), found).eval()
    head = net.get_submodule("linear.4")
    heard = {}
    handle = head.register_forward_pre_hook(lambda _, inputs: heard.update(x=inputs[0]))
    from widenet.builtin.datasets import Tiny, load_tiny

    x, y = next(iter(load_tiny(None, Tiny()).train.batches(128)))
    with torch.no_grad():
        net(x)
        gates = torch.full((4, 8), 0.25)
        loss = F.cross_entropy(F.linear(heard["x"] * gates[y], head.weight, head.bias), y) + 0.01 * excess(gates, 0.2)
    handle.remove()
    assert found.metrics()[0]["train/loss"] == pytest.approx(float(loss), rel=1e-4)


def test_gates_of_the_run_that_a_run_began_from(wn, run, home):
    words = ("--k", "3", "--score", "gate,lowest-gate", "--threads", "1", "--quiet", "--json")
    answer = wn("run", "decompose", "--from", run(*GATED), *words, cwd=home)
    assert answer.code == 0, answer.err
    gates = torch.from_numpy(Run.open(run(*GATED)).arrays("gates")["gates"])
    mask = torch.from_numpy(Run.open(home / answer.json["run"]).masks()["linear.4"])
    assert [set(row.nonzero().flatten().tolist()) for row in mask] == [
        set(row.argsort(descending=True, stable=True)[:3].tolist()) for row in gates.double()
    ]
    table = wn("analyze", "mutual-information", home / answer.json["run"], "--k", "2", "--json", cwd=home)
    assert [row["score"] for row in table.json] == ["frequency", "gate", "lowest-gate", "weight", "random"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--plain", "3"), "make plain smaller than period"),
        (("--compile",), "leave compile out"),
        (("--budget", "2"), "budget"),
    ],
)
def test_bad_schedules_are_refused(wn, words, said):
    answer = wn("run", *GATED[:5], *words)
    assert answer.code == 2
    assert said in answer.err


SELECTIVE = ("selectivity-finetune", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "3", "--lr", "0.01")


def test_alpha_moves_selectivity_its_way(run):
    low, none, high = (Run.open(run(*SELECTIVE, "--alpha", alpha)) for alpha in ("2", "0", "-2"))
    last = [found.metrics()[-1]["train/selectivity"] for found in (low, none, high)]
    assert last[0] < last[1] < last[2]
    assert low.record["result"]["selectivity"] == last[0]
    assert low.record["result"]["layers"] == 2


def test_what_cannot_be_regularised_is_refused(wn):
    answer = wn("run", *SELECTIVE[:5], "--layers", "linear.0:input")
    assert answer.code == 2
    assert "leave :input out" in answer.err
    answer = wn("run", *SELECTIVE[:5], "--layers", "linear.0")
    assert answer.code == 2
    assert "negative values, of which selectivity means nothing" in answer.err
    answer = wn("run", *SELECTIVE[:5], "--layers", "nowhere")
    assert answer.code == 2
    assert "no layer matches" in answer.err


def test_gates_of_the_reference_code_are_turned(run):
    found = Run.open(run(*GATED))
    kept = read_arrays(found.path / "arrays" / "gates.h5")["gates"]
    found.save_arrays("gates", {"gates": kept.T})
    try:
        assert torch.equal(gates_of(found, 4, 8), torch.from_numpy(kept))
    finally:
        found.save_arrays("gates", {"gates": kept})
