"""The training loop: schedule, optimisers, what it saves, and that it changes nothing it should not."""

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from alike import timeless
from torch import nn

from widenet.components import Train
from widenet.data import Data, Images
from widenet.errors import WnError
from widenet.masks import Fixed, attach
from widenet.runs import Reporter, Run
from widenet.train import evaluate, fit
from widenet.train.optimisers import learning_rate, make_optimiser
from widenet.train.process import tune_process


class Heard(Reporter):
    def __init__(self):
        self.epochs = []

    def epoch(self, epoch, epochs, values):
        self.epochs.append((epoch, epochs))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, {"seed": 0}, reporter=Heard())


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 5, generator=generator) * 3

    def split(n):
        y = torch.arange(n) % 3
        return Images(centres[y] + torch.randn(n, 5, generator=generator), y)

    return Data("blobs", split(50), split(21), shape=(5,), classes=3)


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(5, 3)


def test_learns_logs_and_checkpoints(run, data):
    net = linear()
    epochs = list(fit(run, net, data, Train(epochs=3, batch_size=16)))
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert run.reporter.epochs == [(1, 3), (2, 3), (3, 3)]
    lines = run.metrics()
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["test/accuracy"] > 0.9
    assert lines[-1]["train/loss"] < lines[0]["train/loss"]
    assert evaluate(net, data.test)["accuracy"] == lines[-1]["test/accuracy"]
    assert (run.path / "checkpoint.pt").exists()


def test_equals_a_plain_loop(run, data):
    config = Train(epochs=2, batch_size=16, lr=0.1, weight_decay=1e-3, nesterov=True, label_smoothing=0.1)
    net, plain = linear(), linear()
    steps = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
    for _ in fit(run, net, data, config):
        pass
    for epoch in (1, 2):
        for group in steps.param_groups:
            group["lr"] = learning_rate(config, epoch)
        for x, y in data.train.batches(16, run.generator("order", 0, epoch)):
            steps.zero_grad()
            F.cross_entropy(plain(x), y, label_smoothing=0.1).backward()
            steps.step()
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("batch_size", [16, 49])
def test_the_gradient_norm_is_the_mean_over_the_steps_of_an_epoch(batch_size, frozen, run, data):
    """Of all parameters together, before each step; a last batch of one image is no step."""
    config = Train(epochs=2, batch_size=batch_size, lr=0.1, weight_decay=0.5, schedule="constant")
    net, plain = (nn.Sequential(linear(), nn.Tanh(), nn.Linear(3, 3)) for _ in range(2))
    plain.load_state_dict(net.state_dict())
    for each in (net, plain):
        each[0].bias.requires_grad_(not frozen)
    logged = [epoch.values["train/gradient_norm"] for epoch in fit(run, net, data, config, gradient_norm=True)]
    steps = torch.optim.SGD([p for p in plain.parameters() if p.requires_grad], 0.1, momentum=0.9, weight_decay=0.5)
    for number, found in enumerate(logged, 1):
        norms = []
        for x, y in data.train.batches(batch_size, run.generator("order", 0, number)):
            if len(y) == 1:
                continue
            steps.zero_grad()
            F.cross_entropy(plain(x), y).backward()
            squares = [float(p.grad.double().square().sum()) for p in plain.parameters() if p.grad is not None]
            norms.append(math.sqrt(sum(squares)))
            steps.step()
        assert found == pytest.approx(sum(norms) / len(norms), rel=1e-5)
    assert [line["train/gradient_norm"] for line in run.metrics()] == logged


def test_the_gradient_norm_is_logged_when_asked_for(run, data):
    *_, last = fit(run, linear(), data, Train(epochs=1))
    assert "train/gradient_norm" not in last.values


def test_what_is_also_logged_follows_from_the_metrics_so_far(run, data):
    given = []

    def also(values):
        given.append(dict(values))
        return {"gap": values["test/accuracy"] - values["train/accuracy"], "train/loss": -1.0}

    lines = [epoch.values for epoch in fit(run, linear(), data, Train(epochs=2), also=also, gradient_norm=True)]
    known = {"epoch", "step", "lr", *(f"{split}/{key}" for split in ("train", "test") for key in ("loss", "accuracy"))}
    for values, line, saved in zip(given, lines, run.metrics(), strict=True):
        assert values.keys() == known | {"train/gradient_norm"}
        assert line["gap"] == saved["gap"] == values["test/accuracy"] - values["train/accuracy"]
        assert line["train/loss"] == saved["train/loss"] == -1, "what is given back stands in place of what was known"
    assert [values["epoch"] for values in given] == [1, 2]


def test_what_is_also_logged_and_the_gradient_norm_survive_a_resume_bit_for_bit(tmp_path, data):
    def carry_out(path, until=9):
        run, net = Run(path, {"seed": 0}), linear()
        path.mkdir(exist_ok=True)

        def also(values):
            return {"drawn": torch.rand(()).item(), "double": 2 * values["train/gradient_norm"]}

        for epoch in fit(run, net, data, Train(epochs=4, batch_size=16), also=also, gradient_norm=True):
            if epoch.number == until:
                return None
        return timeless(run)

    whole = carry_out(tmp_path / "whole")
    assert carry_out(tmp_path / "broken", until=3) is None
    assert carry_out(tmp_path / "broken") == whole
    assert len({line["drawn"] for line in whole}) == 4


def test_own_loss_and_frozen_parameters(run, data):
    net = linear()
    net.bias.requires_grad_(False)
    bias = net.bias.clone()
    for _ in fit(run, net, data, Train(epochs=1), loss=lambda z, y: F.multi_margin_loss(z, y)):
        pass
    assert torch.equal(net.bias, bias)
    net.requires_grad_(False)
    with pytest.raises(WnError, match="nothing to train"):
        next(fit(run, net, data, Train(epochs=1)))


def test_lines_between_epochs_are_part_of_what_is_saved(run, data):
    net = linear()
    for epoch in fit(run, net, data, Train(epochs=2)):
        with torch.no_grad():
            net.bias.fill_(epoch.number)
    saved = torch.load(run.path / "checkpoint.pt", weights_only=True)
    assert saved["net"]["bias"].tolist() == [2, 2, 2]


def test_eval_every_and_save_every(run, data):
    net = linear()
    for _ in fit(run, net, data, Train(epochs=5, eval_every=2, save_every=2)):
        pass
    assert [line["epoch"] for line in run.metrics() if "test/loss" in line] == [2, 4, 5]
    assert sorted(path.name for path in (run.path / "weights").iterdir()) == ["epoch-0002.pt", "epoch-0004.pt", "init.pt"]


def test_masks_are_saved_beside_weights(run, data):
    net = nn.Sequential(linear())
    attach(net, lambda name, weight: Fixed(weight > 0))
    for _ in fit(run, net, data, Train(epochs=1, save_every=1)):
        pass
    assert sorted(path.name for path in (run.path / "masks").iterdir()) == ["epoch-0001.h5", "init.h5"]
    assert list(run.weights("epoch-0001")) == ["0.bias", "0.weight"]


def test_a_last_batch_of_one_does_not_break_batch_norm(run, data):
    net = nn.Sequential(nn.BatchNorm1d(5), linear())
    for _ in fit(run, net, data, Train(epochs=1, batch_size=49)):
        pass


def test_batches_of_one_train(run, data):
    net = linear()
    before = net.weight.clone()
    *_, last = fit(run, net, data, Train(epochs=1, batch_size=1, lr=0.01))
    assert last.values["step"] == 50
    assert last.values["train/loss"] > 0
    assert not torch.equal(net.weight, before)


@pytest.mark.parametrize(
    "options",
    [{"schedule": "step"}, {"milestones": (2,)}, {"nesterov": True, "momentum": 0.0}, {"nesterov": True, "optimizer": "adam"}],
)
def test_options_that_would_do_nothing_are_refused(options):
    with pytest.raises(ValueError, match=r"together|nesterov needs"):
        Train(**options)


def test_second_loop_keeps_its_own_weights(run, data):
    net = linear()
    for _ in range(2):
        for _ in fit(run, net, data, Train(epochs=1, save_every=1)):
            pass
    names = ["epoch-0001.pt", "init.pt", "loop-1-epoch-0001.pt", "loop-1-init.pt"]
    assert sorted(path.name for path in (run.path / "weights").iterdir()) == names


def test_loss_not_finite_names_the_step_and_keeps_the_last_good_state(run, data):
    net = linear()
    calls = []

    def loss(z, y):
        calls.append(len(y))
        return F.cross_entropy(z, y) * (math.nan if len(calls) == 7 else 1)

    with pytest.raises(WnError, match="step 3 of epoch 2"):
        for _ in fit(run, net, data, Train(epochs=3, batch_size=16), loss=loss):
            pass
    saved = torch.load(run.path / "checkpoint.pt", weights_only=True)
    assert saved["epoch"] == 1
    assert all(value.isfinite().all() for value in saved["net"].values())
    assert len(run.metrics()) == 1


def test_bfloat16_trains_float32_weights(run, data):
    net = linear()
    config = Train(epochs=3, batch_size=16, amp=True)
    *_, last = fit(run, net, data, config)
    assert last.values["test/accuracy"] > 0.9
    assert net.weight.dtype == torch.float32


def test_evaluate_leaves_the_mode_and_the_gradients(data):
    net = nn.Sequential(nn.Dropout(0.5), linear())
    for training in (True, False):
        net.train(training)
        first, second = evaluate(net, data.test), evaluate(net, data.test, batch_size=4)
        assert first == pytest.approx(second)
        assert net.training is training
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"schedule": "constant"}, [1, 1, 1, 1]),
        ({"schedule": "cosine"}, [1, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 - math.cos(math.pi / 4)) / 2]),
        ({"schedule": "cosine", "warmup": 2}, [0.5, 1, 1, 0.5]),
        ({"schedule": "step", "milestones": (1, 3), "gamma": 0.1}, [1, 0.1, 0.1, 0.01]),
        ({"schedule": "constant", "warmup": 4}, [0.25, 0.5, 0.75, 1]),
    ],
)
def test_schedules(options, rates):
    config = Train(epochs=4, lr=1.0, **options)
    assert [learning_rate(config, epoch) for epoch in (1, 2, 3, 4)] == pytest.approx(rates)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_optimisers_take_only_what_trains(name):
    net = linear()
    net.bias.requires_grad_(False)
    made = make_optimiser(net, Train(optimizer=name, weight_decay=0.3))
    assert [len(group["params"]) for group in made.param_groups] == [1]
    assert made.param_groups[0]["weight_decay"] == 0.3


def test_tune_process_says_what_repetition_depends_on():
    threads = torch.get_num_threads()
    try:
        told = tune_process(threads=1)
        assert told["threads"] == torch.get_num_threads() == 1
        assert tune_process(deterministic=True)["deterministic"]
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        tune_process(threads=threads)
    assert not torch.are_deterministic_algorithms_enabled()


def test_denormal_numbers_are_flushed_in_every_thread():
    """In a process of its own: the switch is the processor's."""
    code = (
        "import torch; from widenet.train.process import tune_process; x = torch.full((1_000_000,), 1e-40)\n"
        "before = int((2 * x[:9]).count_nonzero()); tune_process(2); after = int((2 * x).count_nonzero()); print(before, after)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "9 0\n"
