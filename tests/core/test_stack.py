"""Runs stacked in one process come to what each comes to alone, but for rounding."""

import attrs
import pytest
import torch
from crews import Double, alone, assert_close, beside, plain, trained
from small import blobs
from torch import nn

from widenet.components import Train
from widenet.errors import WnError
from widenet.masks import Fixed, attach
from widenet.runs import Run
from widenet.train import checkpoint, fit, stack, together

SGD = Train(epochs=3, batch_size=16, lr=0.1, weight_decay=1e-2)


@pytest.fixture(autouse=True)
def stacked(monkeypatch):
    """How many runs were stacked in each epoch that was: nothing here may pass because nothing was stacked."""
    counts = []
    epoch = stack.Stack.epoch

    def counted(self, number):
        made = epoch(self, number)
        counts.append(len(self.crew))
        return made

    monkeypatch.setattr(stack.Stack, "epoch", counted)
    return counts


def same(make, config, root, **asked):
    for one, other in zip(alone(make, config, root, **asked), beside(make, config, root, **asked), strict=True):
        assert_close(one, other)


OPTIONS = {
    "momentum": {},
    "nesterov": {"nesterov": True},
    "no momentum": {"momentum": 0.0},
    "adam": {"optimizer": "adam", "lr": 0.01},
    "adamw": {"optimizer": "adamw", "lr": 0.01},
    "norm decay": {"norm_decay": False, "weight_decay": 0.1},
    "label smoothing": {"label_smoothing": 0.1},
    "schedule": {"schedule": "step", "milestones": (1, 2), "warmup": 1},
    "partial batch": {"batch_size": 24},
    "last batch of one": {"batch_size": 49},
    "one batch": {"batch_size": 64},
    "rarely evaluated": {"eval_every": 2},
    "saved": {"save_every": 2, "best_by": "test"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_stacked_equals_alone_whatever_the_options(name, stacked, tmp_path):
    same(plain, attrs.evolve(SGD, **OPTIONS[name]), tmp_path, gradient_norm=True)
    assert stacked == [3, 3, 3]


class Convolutions(nn.Module):
    """Convolutions with batch norm, in ``channels_last`` memory like all of four axes, over inputs repeated into images."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, bias=False), nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        images = x[:, None, :, None] * x[:, None, None, :]
        return self.last(self.norm(self.second(self.first(images).relu())).relu().mean((2, 3)))


class Scaled(nn.Module):
    """A parameter without axes."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return x * self.scale


class Replacing(nn.Module):
    """Replaces a buffer in place of writing into it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean


def masked():
    net = plain()
    attach(net, lambda name, weight: Fixed(torch.rand(weight.shape) < 0.5))
    return net


def tied():
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    second.weight = first.weight
    return Double(first, nn.Tanh(), second, nn.Linear(5, 3))


def partly_frozen():
    net = plain()
    net[0].requires_grad_(False)
    return net


NETWORKS = {
    "masked": masked,
    "convolutions": lambda: Double(Convolutions()),
    "a parameter without axes": lambda: Double(nn.Linear(5, 3), Scaled()),
    "a buffer that is replaced": lambda: Double(Replacing(), nn.Linear(5, 3)),
    "tied weights": tied,
    "partly frozen": partly_frozen,
    "layer norm": lambda: Double(nn.Linear(5, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 3)),
    "statistics not kept": lambda: Double(nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 3)),
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", NETWORKS)
def test_stacked_equals_alone_whatever_the_network(name, optimizer, stacked, tmp_path):
    config = attrs.evolve(SGD, optimizer=optimizer, lr={"sgd": 0.05, "adam": 0.01}[optimizer])
    same(NETWORKS[name], config, tmp_path, gradient_norm=True)
    assert stacked == [3, 3, 3]


def test_runs_differ_from_each_other(tmp_path):
    first, second = beside(plain, SGD, tmp_path, count=2)
    assert not torch.equal(first.state["0.weight"], second.state["0.weight"])
    assert first.lines != second.lines


def test_bfloat16(stacked, tmp_path):
    def linear():
        return nn.Sequential(nn.Linear(5, 3))

    config = attrs.evolve(SGD, amp=True)
    for one, other in zip(alone(linear, config, tmp_path), beside(linear, config, tmp_path), strict=True):
        torch.testing.assert_close(other.state, one.state, rtol=0.02, atol=0.02)
        assert other.state["0.weight"].dtype == torch.float32
    assert stacked == [3, 3, 3]


def test_dropout_is_drawn_for_each_run_and_again_alike(stacked, tmp_path):
    """What is dropped is not what a run alone would drop, but the same command gives the same result."""

    def dropping():
        return nn.Sequential(nn.Linear(5, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 3))

    first = beside(dropping, SGD, tmp_path / "first")
    torch.rand(3)
    second = beside(dropping, SGD, tmp_path / "second")
    assert stacked == [3] * 6
    for one, other in zip(first, second, strict=True):
        assert one.lines == other.lines
        assert one.lines[-1]["test/accuracy"] > 0.8
    assert not torch.allclose(first[0].state["0.weight"], alone(dropping, SGD, tmp_path)[0].state["0.weight"], atol=1e-3)


def test_each_run_drops_units_of_its_own(tmp_path):
    """Networks that start alike and see the same images differ if what they drop does."""

    def dropping():
        torch.manual_seed(0)
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 3))

    config = attrs.evolve(SGD, batch_size=50, epochs=1)  # one batch of all images, whatever their order
    first, second = beside(dropping, config, tmp_path, count=2)
    assert (first.state["1.weight"] - second.state["1.weight"]).abs().max() > 0.01


# -- data --------------------------------------------------------------------------------------------------------------


def relabelled(seed):
    """The same images under labels that each run draws."""
    data = IMAGES
    labels = torch.randint(3, data.train.y.shape, generator=torch.Generator().manual_seed(seed))
    return attrs.evolve(data, train=attrs.evolve(data.train, y=labels))


def chosen(seed):
    """As many images for each, but not the same."""
    picked = torch.randperm(50, generator=torch.Generator().manual_seed(seed))[:40]
    return attrs.evolve(IMAGES, train=IMAGES.train.part(picked))


def held_out(seed):
    """Each run sets its own images aside."""
    return IMAGES.hold_out(0.2, torch.Generator().manual_seed(seed))


def shared(seed):
    return IMAGES


IMAGES = blobs()


@pytest.mark.parametrize("data", [relabelled, chosen, held_out, shared])
def test_each_run_trains_on_its_own_images_and_labels(data, stacked, tmp_path):
    same(plain, SGD, tmp_path, data=data)
    assert stacked == [3, 3, 3]


# -- between epochs ----------------------------------------------------------------------------------------------------


def test_each_run_draws_from_streams_of_its_own_between_epochs(stacked, tmp_path):
    def between(net, seed, epoch):
        with torch.no_grad():
            net[0].weight.mul_((torch.rand(net[0].weight.shape) < 0.7).float())

    same(plain, SGD, tmp_path, between=between)
    assert stacked == [3, 3, 3]


def test_the_last_state_of_the_streams_is_each_runs_own(tmp_path):
    alone(plain, SGD, tmp_path)
    beside(plain, SGD, tmp_path)
    for seed in range(3):
        one, other = (torch.load(tmp_path / way / f"seed-{seed}" / "checkpoint.pt") for way in ("alone", "beside"))
        assert torch.equal(one["random"]["torch"], other["random"]["torch"])
        assert one["random"]["python"] == other["random"]["python"]


def test_parameters_that_rest_in_an_epoch_and_an_epoch_in_which_all_rest(stacked, tmp_path):
    def before(net, epoch):
        net.requires_grad_(epoch != 3)
        net[0].requires_grad_(epoch in (1, 4))

    config = attrs.evolve(SGD, epochs=5, optimizer="adam", lr=0.01)
    ended = beside(plain, config, tmp_path, before=before)
    for one, other in zip(alone(plain, config, tmp_path, before=before), ended, strict=True):
        assert_close(one, other)
        assert other.told == ["the runs are trained one after the other: nothing trains in this epoch"]
    assert stacked == [3, 3, 3, 3]


def test_networks_in_evaluation_mode_are_put_into_training_mode(tmp_path):
    same(plain, SGD, tmp_path, between=lambda net, seed, epoch: net.eval())


# -- runs that fail, lag or are alone ----------------------------------------------------------------------------------


def spoil(net, seed, epoch):
    """After its first epoch one run's weights are such that its loss is no number."""
    if seed == 1 and epoch.number == 1:
        with torch.no_grad():
            net[0].weight.fill_(float("inf"))
        # what fit checks before it saves
        net[0].weight.requires_grad_(False)


def test_one_run_fails_and_the_others_go_on(stacked, tmp_path):
    first, failed, last = beside(lambda: Double(nn.Linear(5, 3)), SGD, tmp_path, between=spoil)
    assert isinstance(failed, WnError)
    assert "the loss is no longer finite at step 1 of epoch 2" in str(failed)
    saved = checkpoint.load(Run(tmp_path / "beside" / "seed-1", {"seed": 1}))
    assert saved["epoch"] == 1
    for seed, other in ((0, first), (2, last)):
        assert_close(trained(lambda: Double(nn.Linear(5, 3)), SGD, tmp_path / "alone", seed), other)


def test_a_loss_that_is_no_number_spoils_no_other_run_in_the_same_stack(stacked, tmp_path):
    def make():
        net = plain()
        if torch.initial_seed() == Run(tmp_path, {"seed": 1}).seed_for("model"):
            net[3].weight.data.fill_(float("nan"))
        return net

    results = beside(make, SGD, tmp_path, gradient_norm=True)
    assert stacked == [3, 2, 2]
    assert [isinstance(result, WnError) for result in results] == [False, True, False]
    assert "step 1 of epoch 1" in str(results[1])
    for seed in (0, 2):
        assert_close(trained(plain, SGD, tmp_path / "alone", seed, gradient_norm=True), results[seed])


def test_a_bug_in_one_run_ends_that_run_alone(stacked, tmp_path):
    def between(net, seed, epoch):
        if seed == 0 and epoch.number == 2:
            raise ZeroDivisionError("no")

    failed, *others = beside(plain, SGD, tmp_path, between=between)
    assert isinstance(failed, ZeroDivisionError)
    assert [other.lines[-1]["epoch"] for other in others] == [3, 3]
    assert stacked == [3, 3, 2]


def test_those_that_lag_behind_are_trained_first(stacked, tmp_path):
    whole = alone(plain, SGD, tmp_path)

    def cut(net, seed, epoch):
        if epoch.number == 3 - seed:
            raise KeyboardInterrupt

    for seed in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            trained(plain, SGD, tmp_path / "beside", seed, between=cut)
    order = []
    results = beside(plain, SGD, tmp_path, between=lambda net, seed, epoch: order.append((seed, epoch.number)))
    # Seed 0 has two epochs behind it, seed 1 one, seed 2 none.
    assert order == [(2, 1), (1, 2), (2, 2), (0, 3), (1, 3), (2, 3)]
    assert stacked == [2, 3]
    for one, other in zip(whole, results, strict=True):
        assert_close(one, other)


def test_runs_of_unlike_length_end_each_in_its_time(stacked, tmp_path):
    """A method may decide by the seed how long it trains."""

    def work(seed):
        return lambda: trained(plain, attrs.evolve(SGD, epochs=1 + seed), tmp_path / "beside", seed)

    results = together.side_by_side([work(seed) for seed in range(3)])
    assert [result.lines[-1]["epoch"] for result in results] == [1, 2, 3]
    assert stacked == []
    assert "their networks, data or options differ" in results[0].told[0]


def test_a_second_loop_waits_for_the_first_of_the_others(stacked, tmp_path):
    """Loops are numbered: nobody's second is stacked with another's first."""

    def work(seed):
        def twice():
            run = Run(tmp_path / f"seed-{seed}", {"seed": seed})
            run.path.mkdir()
            run.seed_everything("model")
            net, config = plain(), attrs.evolve(SGD, epochs=1 + seed)
            return [[epoch.number for epoch in fit(run, net, blobs(), later)] for later in (config, SGD)]

        return twice

    assert together.side_by_side([work(0), work(1)]) == [[[1], [1, 2, 3]], [[1, 2], [1, 2, 3]]]
    assert stacked == [2, 2, 2], "the first loops have unlike options"


def test_works_that_do_not_train_are_carried_out(stacked):
    def fails():
        raise WnError("no")

    results = together.side_by_side([lambda: 1, fails, lambda: "three"])
    assert (results[0], str(results[1]), results[2]) == (1, "no", "three")
    assert together.company() == 1


def test_company_is_known_while_it_lasts():
    assert together.side_by_side([together.company] * 4) == [4, 4, 4, 4]
    assert together.company() == 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ctrl_c_reaches_every_run(seed, tmp_path):
    ended = []

    def work(number):
        def go():
            try:
                trained(plain, SGD, tmp_path, number, between=strike)
            except KeyboardInterrupt:
                ended.append(number)
                raise

        return go

    def strike(net, number, epoch):
        if (number, epoch.number) == (seed, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together.side_by_side([work(number) for number in range(3)])
    assert sorted(ended) == [0, 1, 2]
    assert together.company() == 1
    assert together.arrive(None, 1) is None
