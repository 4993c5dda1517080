"""What a method may do between epochs and steps, and that a resumed run does it alike."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from alike import timeless, unequal
from hypothesis import given
from hypothesis import strategies as st
from small import blobs, network, of
from torch import nn

from widenet.components import Train
from widenet.data import Data, Images
from widenet.runs import Run
from widenet.train import fit
from widenet.train.optimisers import make_optimiser
from widenet.train.steps import Steps


class Heard:
    """Callbacks that note how they were called; a run is cut short in an epoch, when asked for."""

    def __init__(self, net, until=99, at_step=None):
        self.calls, self.draws, self.seen = [], [], []
        self.net, self.until, self.at_step = net, until, at_step

    def before(self, epoch):
        if epoch > self.until:
            raise KeyboardInterrupt
        self.calls.append(("epoch", epoch))
        self.draws.append(torch.rand(()).item())

    def stepped(self, step):
        self.calls.append(("step", step))
        self.seen.append(self.net[0].weight.detach().clone())
        assert all(parameter.grad is None for parameter in self.net.parameters()), "the step is over"
        if step == self.at_step:
            raise KeyboardInterrupt


def trained(path, config, net=None, **asked):
    """Network, callbacks and the metrics of a run, perhaps cut short."""
    net = net or network()
    heard = Heard(net, **asked)
    run = of(path)
    try:
        for _ in fit(run, net, blobs(), config, before=heard.before, stepped=heard.stepped):
            pass
    except KeyboardInterrupt:
        pass
    return net, heard, timeless(run)


def calls(first, last, steps):
    """What is called from one epoch to another."""
    return [
        call
        for epoch in range(first, last + 1)
        for call in [("epoch", epoch), *(("step", (epoch - 1) * steps + step + 1) for step in range(steps))]
    ]


# -- the calls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "steps"), [(16, 4), (50, 1), (64, 1), (25, 2), (1, 50), (49, 1), (7, 7)])
def test_each_is_called_once_in_order(tmp_path, batch_size, steps):
    """Batches of 49 and of 7 leave one image, which is left out and is no step."""
    net, heard, lines = trained(tmp_path, Train(epochs=3, batch_size=batch_size, lr=0.01), nn.Sequential(nn.Linear(5, 3)))
    assert heard.calls == calls(1, 3, steps)
    assert [line["step"] for line in lines] == [steps, 2 * steps, 3 * steps]
    moved = [not torch.equal(a, b) for a, b in pairwise(heard.seen)]
    assert all(moved), "every call comes after a step"
    assert torch.equal(heard.seen[-1], net[0].weight)


@given(count=st.integers(1, 60), size=st.integers(1, 61))
def test_the_number_of_steps_is_that_of_batches_without_a_last_one_of_one(count, size):
    batches = [min(size, count - start) for start in range(0, count, size)]
    wanted = len(batches) - (batches[-1] == 1 and size > 1 and len(batches) > 1)
    steps = Steps(Run(None, {"seed": 0}), 0, nn.Linear(1, 2), range(count), Train(batch_size=size), None)
    assert steps.count == wanted


@pytest.mark.parametrize(
    ("asked", "again"), [({"until": 2}, 3), ({"at_step": 10}, 3), ({"at_step": 1}, 1), ({"at_step": 8}, 2)]
)
def test_a_resumed_run_is_called_alike(tmp_path, asked, again):
    config = Train(epochs=4, batch_size=16)
    whole, heard, lines = trained(tmp_path / "whole", config)
    trained(tmp_path / "broken", config, **asked)
    net, rest, all_lines = trained(tmp_path / "broken", config, network(1) if again > 1 else None)
    assert rest.calls == calls(again, 4, 4)
    assert rest.draws == heard.draws[again - 1 :]
    assert not unequal(dict(whole.state_dict()), dict(net.state_dict()))
    assert lines == all_lines


def test_before_is_the_first_to_draw(tmp_path):
    _, heard, _ = trained(tmp_path, Train(epochs=3))
    run = of(tmp_path)
    wanted = [torch.rand((), generator=run.generator("epoch", 0, epoch)).item() for epoch in (1, 2, 3)]
    assert heard.draws == wanted


class Watched(Images):
    """A split that tells of its batches."""

    def batches(self, size, generator=None, part=(0, 1)):
        TOLD.append("train" if generator else "test")
        yield from super().batches(size, generator, part)


TOLD: list[str] = []


def test_before_comes_before_any_sample_is_read(tmp_path):
    data = blobs()
    data = Data("blobs", Watched(data.train.x, data.train.y), Watched(data.test.x, data.test.y), (5,), 3)
    TOLD.clear()
    for _ in fit(of(tmp_path), network(), data, Train(epochs=2), before=lambda epoch: TOLD.append(f"before {epoch}")):
        TOLD[:] = [*TOLD, "after"]
    assert TOLD == ["before 1", "train", "test", "after", "before 2", "train", "test", "after"]


def test_each_loop_counts_from_one(tmp_path):
    run, net, found = of(tmp_path), network(), []
    for _ in range(2):
        for _ in fit(run, net, blobs(), Train(epochs=2, batch_size=25), before=found.append, stepped=found.append):
            pass
    assert found == [1, 1, 2, 2, 3, 4] * 2


def test_what_is_done_after_a_step_counts_for_the_next(tmp_path):
    net = network()

    @torch.no_grad()
    def stepped(step):
        net[3].bias.fill_(step)
        net[3].bias.requires_grad_(False)

    *_, last = fit(of(tmp_path), net, blobs(), Train(epochs=2, batch_size=25), stepped=stepped)
    assert last.number == 2
    assert net[3].bias.tolist() == [4, 4, 4]


# -- what trains in an epoch -------------------------------------------------------------------------------------------


def states(path, epochs=4, config=None, frozen=(), net=None):
    """The parameters after each epoch (that of number 0 before the first), where ``frozen[epoch]`` names those that stay."""
    net = net or network()
    found = [{name: value.detach().clone() for name, value in net.named_parameters()}]

    def before(epoch):
        for name, value in net.named_parameters():
            value.requires_grad_(name not in frozen.get(epoch, ()))

    for _ in fit(of(path), net, blobs(), config or Train(epochs=epochs, batch_size=16, schedule="constant"), before=before):
        found += [{name: value.detach().clone() for name, value in net.named_parameters()}]
    return found


def moved(found):
    """The names of what moved in each epoch."""
    return [{name for name in a if not torch.equal(a[name], b[name])} for a, b in pairwise(found)]


EVERYTHING = {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"}


@pytest.mark.parametrize("name", ["0.weight", "1.weight", "3.bias"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_parameter_rests_for_an_epoch_and_moves_again(tmp_path, name, optimizer):
    """Neither momentum nor weight decay moves it meanwhile."""
    config = Train(epochs=4, batch_size=16, optimizer=optimizer, lr=0.01, weight_decay=0.1, schedule="constant")
    found = moved(states(tmp_path, config=config, frozen={2: [name]}))
    assert found[1] == found[0] - {name}
    assert found[0] == found[2] == found[3] >= EVERYTHING - {"0.bias"}, "batch norm leaves the bias before it no gradient"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_parameter_may_rest_from_the_start(tmp_path, optimizer):
    config = Train(epochs=4, batch_size=16, optimizer=optimizer)
    found = moved(states(tmp_path, config=config, frozen={1: ["0.weight"], 2: ["0.weight"]}))
    assert [("0.weight" in names) for names in found] == [False, False, True, True]


def test_an_epoch_in_which_nothing_trains_passes(tmp_path):
    frozen = {2: EVERYTHING}
    net = network()
    statistics = []
    heard = []

    def before(epoch):
        statistics.append(net[1].running_mean.clone())
        net.requires_grad_(epoch not in frozen)

    config = Train(epochs=3, batch_size=16, save_every=1)
    run = of(tmp_path)
    for _ in fit(run, net, blobs(), config, before=before, stepped=heard.append):
        pass
    saved = [{name: run.weights(f"epoch-000{epoch}")[name] for name in EVERYTHING} for epoch in (1, 2, 3)]
    assert [bool(unequal(a, b)) for a, b in pairwise(saved)] == [False, True]
    assert not torch.equal(statistics[1], statistics[2]), "batch norm sees the images all the same"
    lines = run.metrics()
    assert all(math.isfinite(line["train/loss"]) for line in lines)
    assert lines[1]["train/loss"] < lines[0]["train/loss"]
    assert heard == list(range(1, 13))


@pytest.mark.parametrize("broken_at", [2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_run_cut_short_while_parameters_rest_ends_the_same(tmp_path, optimizer, broken_at):
    resting = {1: ["3.bias"], 2: ["0.weight", "3.bias"], 3: EVERYTHING}

    def carry_out(path, until=99):
        net = network()

        def before(epoch):
            if epoch > until:
                raise KeyboardInterrupt
            for name, value in net.named_parameters():
                value.requires_grad_(name not in resting.get(epoch, ()))

        try:
            for _ in fit(of(path), net, blobs(), Train(epochs=4, batch_size=16, optimizer=optimizer), before=before):
                pass
        except KeyboardInterrupt:
            return None
        return dict(net.state_dict())

    whole = carry_out(tmp_path / "whole")
    assert carry_out(tmp_path / "broken", broken_at) is None
    assert not unequal(whole, carry_out(tmp_path / "broken"))


# -- measures ----------------------------------------------------------------------------------------------------------


def test_a_measure_of_ones_own(tmp_path):
    asked = []

    def measure(net, split, *, amp):
        asked.append((len(split), amp, net.training))
        return {"accuracy": 0.125 * len(asked), "spread": 3.0}

    data = blobs()
    data = Data("blobs", data.train, data.test, (5,), 3, val=data.test.part(torch.arange(9)))
    run = of(tmp_path)
    lines = [epoch.values for epoch in fit(run, network(), data, Train(epochs=2, amp=True), measure=measure)]
    assert asked == [(9, True, True), (21, True, True)] * 2
    assert [{key: line[key] for key in line if "test/" in key or "val/" in key} for line in lines] == [
        {"val/accuracy": 0.125, "val/spread": 3.0, "test/accuracy": 0.25, "test/spread": 3.0},
        {"val/accuracy": 0.375, "val/spread": 3.0, "test/accuracy": 0.5, "test/spread": 3.0},
    ]
    assert run.best == {"epoch": 2, "val/accuracy": 0.375, "test/accuracy": 0.5, "train/accuracy": lines[1]["train/accuracy"]}


def test_a_measure_chooses_the_best_epoch(tmp_path):
    values = iter([0.5, 0.75, 0.75, 0.25])
    run = of(tmp_path)
    config = Train(epochs=4, best_by="test", save_every=1)
    for _ in fit(run, network(), blobs(), config, measure=lambda net, split, amp: {"accuracy": next(values)}):
        pass
    assert run.best["epoch"] == 2
    assert not unequal(run.weights("best"), run.weights("epoch-0002"))


def test_a_measure_without_accuracy_has_no_best_epoch(tmp_path):
    run = of(tmp_path)
    for _ in fit(run, network(), blobs(), Train(epochs=1, best_by="test"), measure=lambda net, split, amp: {"loss": 1.0}):
        pass
    assert run.best == {}
    assert not (run.path / "weights").exists()


# -- weight decay ------------------------------------------------------------------------------------------------------

KINDS = {
    "batch norm": lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)),
    "layer norm": lambda: nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 3)),
    "convolutions": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(6, 3)
    ),
}


@pytest.mark.parametrize("norm_decay", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_step_decays_what_it_should(tmp_path, kind, optimizer, norm_decay):
    torch.manual_seed(3)
    net, data, rate, decay = KINDS[kind](), blobs(), 0.1, 0.5
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    start = {name: value.detach().clone() for name, value in net.named_parameters()}
    spared = {
        f"{path}.{name}"
        for path, module in net.named_modules()
        if isinstance(module, nn.BatchNorm1d) and not norm_decay
        for name in ("weight", "bias")
    }
    (x, y), *_ = data.train.batches(50, of(tmp_path).generator("order", 0, 1))
    gradients = dict(zip(start, torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters())), strict=True))
    options = {"optimizer": optimizer, "lr": rate, "weight_decay": decay, "momentum": 0.0, "norm_decay": norm_decay}
    for _ in fit(of(tmp_path), net, data, Train(epochs=1, batch_size=50, schedule="constant", **options)):
        pass
    for name, value in net.named_parameters():
        penalty = 0 if name in spared else decay * start[name]
        step = gradients[name] if optimizer == "sgd" else gradients[name] / (gradients[name].abs() + 1e-8)
        tight = gradients[name].abs() > 1e-4 if optimizer == "adamw" else slice(None)
        wanted = start[name] - rate * (step + penalty)
        torch.testing.assert_close(value.detach()[tight], wanted[tight], atol=2e-5, rtol=1e-5)
        if name in spared:
            assert not torch.allclose(value[tight], (wanted - rate * decay * start[name])[tight], atol=1e-3)


def test_groups_hold_every_trained_parameter_once():
    net = network()
    net[0].bias.requires_grad_(False)
    made = make_optimiser(net, Train(norm_decay=False, weight_decay=0.25))
    assert [[id(p) for p in group["params"]] for group in made.param_groups] == [
        [id(net[0].weight), id(net[3].weight), id(net[3].bias)],
        [id(net[1].weight), id(net[1].bias)],
    ]
    assert [group["weight_decay"] for group in made.param_groups] == [0.25, 0]
    assert len(make_optimiser(net, Train()).param_groups) == 1
    assert len(make_optimiser(nn.Linear(2, 2), Train(norm_decay=False)).param_groups) == 1


def test_where_only_batch_norm_trains(tmp_path):
    net = network()
    net.requires_grad_(False)
    net[1].requires_grad_(True)
    start = net[3].weight.clone()
    *_, last = fit(of(tmp_path), net, blobs(), Train(epochs=3, norm_decay=False))
    assert torch.equal(net[3].weight, start)
    assert not torch.equal(net[1].bias, torch.zeros(4))
    assert last.values["lr"] > 0


def test_the_rate_of_both_groups_follows_the_schedule(tmp_path):
    net, run = network(), of(tmp_path)
    lines = [epoch.values["lr"] for epoch in fit(run, net, blobs(), Train(epochs=3, norm_decay=False, warmup=2))]
    saved = torch.load(run.path / "checkpoint.pt", weights_only=True)
    assert [group["lr"] for group in saved["optimiser"]["param_groups"]] == [lines[-1]] * 2


def test_a_resumed_run_spares_them_too(tmp_path):
    config = Train(epochs=3, batch_size=16, norm_decay=False, weight_decay=0.1)
    whole, *_ = trained(tmp_path / "whole", config)
    trained(tmp_path / "broken", config, until=1)
    net, *_ = trained(tmp_path / "broken", config, network(1))
    assert not unequal(dict(whole.state_dict()), dict(net.state_dict()))


def test_the_option_says_so(wn, tmp_path):
    """Without norm decay a run differs from one with it, where there is a batch norm and a decay."""
    words = ("--dataset", "tiny", "--arch", "resnet20:width=0.25", "--threads", "1", "--quiet", "--json", "--epochs", "1")
    found = []
    for extra in ((), ("--no-norm-decay",), ("--no-norm-decay", "--weight-decay", "0"), ("--weight-decay", "0")):
        answer = wn("run", "train", *words, "--weight-decay", "0.1", *extra)
        assert answer.code == 0, answer.err
        found.append(Run.open(tmp_path / answer.json["run"]).weights())
    assert unequal(found[0], found[1])
    assert unequal(found[1], found[2])
    assert not unequal(found[2], found[3])
