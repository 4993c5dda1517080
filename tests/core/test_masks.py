"""The mask protocol."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from widenet import loading, opening
from widenet.builtin.mask_stats import mask_stats
from widenet.builtin.subnet import subnet
from widenet.components import NoOptions, Train
from widenet.data import Data, Images
from widenet.errors import WnError
from widenet.masks import (
    Chosen,
    Fixed,
    attach,
    density,
    factor,
    layers,
    masked,
    masks,
    modules,
    original,
    places,
    plain_state,
    refresh,
    steps,
)
from widenet.runs import Run
from widenet.train import evaluate, fit
from widenet.train.process import placed


class Net(nn.Module):
    """One of each kind of layer."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv1d(2, 3, 2)
        self.two = nn.Conv2d(2, 3, 3)
        self.three = nn.Conv3d(1, 2, 2)
        self.norm = nn.BatchNorm1d(4)
        self.flat = nn.Linear(5, 4)


def half(name, weight):
    return Fixed(torch.arange(weight.numel()).reshape(weight.shape) % 2 == 0)


def test_attach_reaches_every_kind_of_layer_in_order():
    net = Net()
    names = ["one", "two", "three", "flat"]
    assert [name for name, _ in layers(net)] == names
    before = {name: module.weight.clone() for name, module in layers(net)}
    attach(net, half)
    assert list(masks(net)) == list(density(net)) == list(modules(net)) == names
    for name, module in layers(net):
        mask = masks(net)[name]
        assert mask.dtype == torch.bool
        assert mask.shape == module.weight.shape
        assert torch.equal(module.weight, before[name] * mask)
        assert torch.equal(original(module), before[name])
        assert density(net)[name] == pytest.approx(mask.float().mean().item())


def test_none_leaves_a_layer_alone_and_a_second_mask_replaces_the_first():
    net = Net()
    weight = net.flat.weight.clone()
    attach(net, lambda name, w: half(name, w) if name == "flat" else None)
    assert list(masks(net)) == ["flat"]
    attach(net, lambda name, w: Fixed(torch.ones_like(w)) if name == "flat" else None)
    assert torch.equal(net.flat.weight, weight)
    assert density(net) == {"flat": 1.0}


def test_a_copy_can_be_masked_otherwise():
    net = Net()
    attach(net, half)
    twin = copy.deepcopy(net)
    attach(twin, lambda name, w: Fixed(torch.ones_like(w)))
    assert density(net)["flat"] == 0.5
    assert density(twin)["flat"] == 1.0
    assert net.flat.weight.count_nonzero() == 10


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="one has shape"):
        attach(Net(), lambda name, w: Fixed(torch.ones(2, 2)))


def test_gradients_reach_kept_weights_only():
    net = nn.Sequential(nn.Linear(4, 3))
    attach(net, half)
    net(torch.randn(5, 4)).sum().backward()
    gradient = original(net[0]).grad
    assert torch.equal(gradient != 0, masks(net)["0"])


def test_plain_state_fits_the_network_without_masks():
    net = Net()
    plain = {name: value.clone() for name, value in net.state_dict().items()}
    attach(net, half)
    state = plain_state(net)
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[name], plain[name]) for name in plain)
    Net().load_state_dict(state)


def test_plain_state_takes_kept_weights_as_they_act():
    class Flipped(Fixed):
        def forward(self, weight):
            return -2 * super().forward(weight)

    net = nn.Sequential(nn.Linear(4, 3))
    weight = net[0].weight.detach().clone()
    attach(net, lambda name, w: Flipped(half(name, w).mask))
    mask = masks(net)["0"]
    state = plain_state(net)["0.weight"]
    assert torch.equal(state[mask], -2 * weight[mask])
    assert torch.equal(state[~mask], weight[~mask])


def test_masks_are_copies():
    net = nn.Sequential(nn.Linear(4, 3))
    attach(net, half)
    masks(net)["0"].fill_(True)
    assert density(net)["0"] == 0.5


# -- biases ------------------------------------------------------------------------------------------------------------

BOTH = ["one", "one.bias", "two", "two.bias", "three", "three.bias", "flat", "flat.bias"]


def parameters(net):
    """Everything that can be masked, as the network uses it, by its name."""
    return {name: getattr(module, parameter) for name, module, parameter in places(net, biases=True)}


def test_places_name_weights_and_those_biases_there_are():
    net = Net()
    net.two.register_parameter("bias", None)
    assert [(name, parameter) for name, _, parameter in places(net)] == [
        (name, "weight") for name in ("one", "two", "three", "flat")
    ]
    found = list(places(net, biases=True))
    assert [name for name, _, _ in found] == [name for name in BOTH if name != "two.bias"]
    for name, module, parameter in found:
        assert module is getattr(net, name.removesuffix(".bias"))
        assert parameter == ("bias" if name.endswith(".bias") else "weight")


def test_biases_are_masked_beside_weights():
    net = Net()
    before = {name: value.detach().clone() for name, value in parameters(net).items()}
    attach(net, half, biases=True)
    assert list(masks(net)) == list(density(net)) == list(modules(net)) == [name for name, _, _ in masked(net)] == BOTH
    assert [name for name, _, _ in places(net, biases=True)] == BOTH
    for name, value in parameters(net).items():
        assert torch.equal(value, before[name] * masks(net)[name])
        assert masks(net)[name].shape == value.shape
    for name, mask, under in masked(net):
        assert mask is modules(net)[name]
        assert torch.equal(under, before[name])
    assert torch.equal(original(net.flat, "bias"), before["flat.bias"])


def test_biases_are_offered_only_when_asked_for():
    net, offered = Net(), []
    attach(net, lambda name, tensor: offered.append((name, tuple(tensor.shape))))
    assert [name for name, _ in offered] == ["one", "two", "three", "flat"]
    offered.clear()
    attach(net, lambda name, tensor: offered.append((name, tuple(tensor.shape))), biases=True)
    assert dict(offered) == {name: tuple(value.shape) for name, value in parameters(Net()).items()}
    assert masks(net) == {}


def test_a_bias_alone_can_be_masked_and_its_mask_replaced():
    net = Net()
    weight, bias = net.flat.weight.detach().clone(), net.flat.bias.detach().clone()
    attach(net, lambda name, b: half(name, b) if name == "flat.bias" else None, biases=True)
    assert list(masks(net)) == ["flat.bias"]
    assert torch.equal(net.flat.weight, weight)
    assert torch.equal(net.flat.bias, bias * torch.tensor([1, 0, 1, 0]))
    attach(net, lambda name, b: Fixed(torch.ones_like(b)) if name == "flat.bias" else None, biases=True)
    assert torch.equal(net.flat.bias, bias)
    assert len(steps(net.flat, "bias")) == 1
    attach(net, half)
    assert list(masks(net)) == ["one", "two", "three", "flat", "flat.bias"]
    assert density(net)["flat.bias"] == 1


def test_a_bias_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"the mask for one\.bias has shape \(2, 2\), its weight \(3,\)"):
        attach(Net(), lambda name, w: Fixed(torch.ones(2, 2)) if name.endswith("bias") else None, biases=True)


def test_plain_state_undoes_masks_of_biases_too():
    net = Net()
    plain = {name: value.clone() for name, value in net.state_dict().items()}
    attach(net, half, biases=True)
    state = plain_state(net)
    assert state.keys() == plain.keys()
    assert all(torch.equal(state[name], plain[name]) for name in plain)
    fresh = Net()
    fresh.load_state_dict(state)
    attach(fresh, lambda name, _: Fixed(masks(net)[name]) if name in masks(net) else None, biases=True)
    for name, value in parameters(fresh).items():
        assert torch.equal(value, parameters(net)[name])


def test_plain_state_takes_kept_biases_as_they_act():
    class Doubled(Fixed):
        def forward(self, weight):
            return 2 * super().forward(weight)

    net = nn.Sequential(nn.Linear(3, 4))
    bias = net[0].bias.detach().clone()
    attach(net, lambda name, b: Doubled(half(name, b).mask) if name == "0.bias" else None, biases=True)
    assert torch.equal(plain_state(net)["0.bias"], bias * torch.tensor([2, 1, 2, 1]))


# -- a network that is one layer ---------------------------------------------------------------------------------------


def test_a_single_layer_is_named_by_nothing():
    net = nn.Linear(5, 4)
    weight, bias = net.weight.detach().clone(), net.bias.detach().clone()
    attach(net, half, biases=True)
    assert list(masks(net)) == list(modules(net)) == [name for name, _, _ in places(net, biases=True)] == ["", "bias"]
    state = plain_state(net)
    assert list(state) == ["weight", "bias"]
    assert torch.equal(state["weight"], weight)
    assert torch.equal(state["bias"], bias)
    x = torch.randn(3, 5)
    torch.testing.assert_close(net(x), x @ (weight * half("", weight).mask).T + bias * half("", bias).mask)


def test_a_layer_named_bias_is_no_bias():
    net = nn.ModuleDict({"bias": nn.Linear(3, 2), "weight": nn.Linear(2, 2)})
    attach(net, half, biases=True)
    assert list(masks(net)) == ["bias", "bias.bias", "weight", "weight.bias"]
    assert plain_state(net).keys() == {"bias.weight", "bias.bias", "weight.weight", "weight.bias"}


# -- from a run and back -----------------------------------------------------------------------------------------------

PLUGIN = """
import attrs
from widenet import Method, Model, Train, hookimpl, opt

@attrs.frozen(kw_only=True)
class Options:
    single: bool = opt(False, "One layer only.")

def odd(shape, classes, config):
    \"\"\"One layer, or one of each kind.\"\"\"
    from torch import nn

    if config.single:
        return nn.Linear(shape[0], classes)
    return nn.Sequential(
        nn.Conv2d(shape[0], 2, 3), nn.Unflatten(1, (1, 2)), nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), nn.Flatten(2),
        nn.Conv1d(2, 3, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(18, classes),
    )

def half(run, net, data, config):
    \"\"\"Train every second weight and bias.\"\"\"
    import torch
    from widenet.masks import Fixed, attach
    from widenet.train import fit

    attach(net, lambda name, weight: Fixed(torch.arange(weight.numel()).reshape(weight.shape) % 2 == 0), biases=True)
    for _ in fit(run, net, data, config):
        pass

@hookimpl
def models():
    yield Model("odd", odd, Options)

@hookimpl
def methods():
    yield Method("half", half, Train)
"""


@pytest.fixture
def half_run(wn, tmp_path):
    """``half_run(arch)``: run, registry and data, after a method that masks half of all weights and biases."""
    plugin = tmp_path / "halves.py"
    plugin.write_text(PLUGIN)

    def carry_out(*words):
        answer = wn("--plugin", plugin, "run", "half", *words, "--epochs", "2", "--threads", "1", "--quiet", "--json")
        assert answer.code == 0, answer.err
        registry = loading.load([plugin])
        run = Run.open(tmp_path / answer.json["run"])
        data = opening.dataset(registry, run.record["dataset"], tmp_path, 0, torch.device("cpu"))
        return run, registry, data

    return carry_out


CONV = ("--arch", "odd", "--dataset", "tiny:size=8")


def vectors(path):
    """A data set of vectors, as a file."""
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (generator.normal(size=(60, 6)) + 3 * np.eye(3, 6)[y]).astype(np.float32)
    np.savez(path, x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    return f"npz:path={path}"


@pytest.mark.parametrize("single", [False, True])
def test_weights_and_masks_of_a_run_give_its_network_back(half_run, tmp_path, single):
    words = ("--arch", "odd:single=true", "--dataset", vectors(tmp_path / "v.npz")) if single else CONV
    run, registry, data = half_run(*words)
    net = opening.network(registry, run)
    names = ["", "bias"] if single else [f"{layer}{part}" for layer in (0, 2, 5, 8) for part in ("", ".bias")]
    assert list(run.masks()) == list(masks(net)) == names
    for name, mask in run.masks().items():
        assert torch.equal(masks(net)[name], torch.from_numpy(mask))
        assert torch.equal(masks(net)[name], half(name, masks(net)[name]).mask)
    assert evaluate(net, data.test)["loss"] == pytest.approx(run.metrics()[-1]["test/loss"], rel=1e-5)
    state = plain_state(net)
    assert all(torch.equal(state[name], value) for name, value in run.weights().items())
    subnet(run, net, tmp_path / "cut.pt", NoOptions())
    plain = opening.made(*model_of(registry, run))
    plain.load_state_dict(torch.load(tmp_path / "cut.pt", weights_only=True))
    assert evaluate(plain, data.test)["loss"] == pytest.approx(run.metrics()[-1]["test/loss"], rel=1e-5)
    assert not masks(plain)


def model_of(registry, run):
    from widenet.components import Model

    component, options = opening.recorded(registry, Model, run.record["arch"])
    return component, tuple(run.record["shape"]), run.record["classes"], options


@pytest.mark.parametrize("single", [False, True])
def test_a_masked_run_can_be_trained_further(half_run, wn, tmp_path, single):
    words = ("--arch", "odd:single=true", "--dataset", vectors(tmp_path / "v.npz")) if single else CONV
    parent, *_ = half_run(*words)
    answer = wn(
        *("--plugin", tmp_path / "halves.py", "run", "train", "--from", parent.path),
        *("--epochs", "1", "--weight-decay", "0", "--threads", "1", "--quiet", "--json"),
    )
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    assert list(run.masks()) == list(parent.masks())
    for name, mask in run.masks().items():
        assert np.array_equal(mask, parent.masks()[name])
        key = name if name.endswith("bias") else f"{name}.weight".lstrip(".")
        before, after = (some.weights()[key].numpy() for some in (parent, run))
        assert np.array_equal(before[~mask], after[~mask])
        assert (before[mask] != after[mask]).any() or name in ("0.bias", "2.bias"), "batch norm takes those back"


def test_masks_that_do_not_fit_the_network_are_refused(half_run, tmp_path):
    run, registry, _ = half_run(*CONV)
    run.save_masks("final", {**run.masks(), "1.bias": np.ones(2, bool)})
    with pytest.raises(WnError, match=r"it has no layer '1\.bias'"):
        opening.network(registry, run)
    run.save_masks("final", {"0.bias": np.ones(5, bool)})
    with pytest.raises(WnError, match=r"the mask for 0\.bias has shape \(5,\), its weight \(2,\)"):
        opening.network(registry, run)


def test_mask_stats_count_biases_as_weights_of_no_unit(half_run):
    run, registry, data = half_run(*CONV)
    rows = list(mask_stats(run, opening.network(registry, run), data, NoOptions()))
    assert [row["layer"] for row in rows] == [*run.masks(), "all"]
    for row in rows[:-1]:
        mask = run.masks()[row["layer"]]
        assert (row["weights"], row["kept"], row["density"]) == (mask.size, mask.sum(), mask.mean())
        if row["layer"].endswith("bias"):
            assert (row["units"], row["inputs"], row["dead_units"], row["dead_inputs"]) == (0, 0, 0, 0)
        else:
            assert (row["units"], row["inputs"]) == mask.shape[:2]
            other = tuple(range(2, mask.ndim))
            assert row["dead_units"] == sum(not unit.any() for unit in mask)
            assert row["dead_inputs"] == (~mask.any((0, *other))).sum()
    assert all(rows[-1][key] == sum(row[key] for row in rows[:-1]) for key in rows[0] if key not in ("layer", "density"))
    assert rows[-1]["density"] == run.record["result"]["kept"]


# -- the mask as a factor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_factor_is_ones_and_zeros_of_the_weights_kind(dtype):
    mask = torch.rand(3, 4, 2, 2) < 0.5
    for layout in (mask, mask.contiguous(memory_format=torch.channels_last), mask[:, ::2], mask.transpose(0, 1)):
        found = factor(layout, torch.empty(1, dtype=dtype))
        assert found.dtype == dtype
        assert torch.equal(found, layout.to(dtype))


@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_a_kept_weight_is_exactly_itself(values):
    weight = torch.tensor(values)
    mask = torch.arange(len(values)) % 2 == 0
    assert torch.equal(Fixed(mask)(weight), torch.where(mask, weight, 0))


# -- masks that are chosen ---------------------------------------------------------------------------------------------


class Positive(Chosen):
    """Keeps where the scores are positive, and counts how often it chose."""

    def __init__(self, scores):
        super().__init__(scores)
        self.scores, self.count = nn.Parameter(scores), 0

    def choose(self, weight):
        self.count += 1
        self.mask.copy_(self.ranked(weight) > 0)

    def forward(self, weight):
        self.refresh(weight)
        return weight * (factor(self.mask, weight) + self.scores - self.scores.detach())


class OwnSign(Chosen):
    """Keeps positive weights, by nothing but the weights."""

    def __init__(self, weight):
        super().__init__(weight)
        self.count = 0

    def ranked(self, weight):
        return weight

    def choose(self, weight):
        self.count += 1
        self.mask.copy_(weight > 0)

    def forward(self, weight):
        self.refresh(weight)
        return weight * factor(self.mask, weight) + weight - weight.detach()


def chosen(kind=Positive):
    """A small network, its first layer's mask and the tensor that mask is chosen by."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    attach(net, lambda name, weight: kind(torch.randn_like(weight)) if name == "0" else None)
    mask = modules(net)["0"]
    return net, mask, mask.ranked(original(net[0]))


@pytest.mark.parametrize("kind", [Positive, OwnSign])
def test_a_mask_is_chosen_once_until_its_scores_change(kind):
    net, mask, by = chosen(kind)
    x = torch.randn(5, 6)
    assert mask.count <= 1, "attached"
    for _ in range(3):
        net(x)
        masks(net)
        refresh(net)
        with torch.inference_mode(), parametrize.cached():
            net(x)
    assert mask.count == 1
    assert torch.equal(masks(net)["0"], by > 0)


CHANGES = {
    "in place": lambda by: by.mul_(-1),
    "an entry": lambda by: by[0].neg_(),
    "a copy": lambda by: by.copy_(-by),
    "other data": lambda by: setattr(by, "data", -by.data),
}


@pytest.mark.parametrize("kind", [Positive, OwnSign])
@pytest.mark.parametrize("how", CHANGES)
def test_a_change_is_noticed(kind, how):
    net, mask, by = chosen(kind)
    before = masks(net)["0"]
    with torch.no_grad():
        CHANGES[how](by)
    assert mask.stale(original(net[0]).detach())
    now = mask.ranked(original(net[0]))
    assert torch.equal(masks(net)["0"], now > 0)
    assert not torch.equal(masks(net)["0"], before)
    assert mask.count == 2
    assert not mask.stale(original(net[0]).detach())


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("kind", [Positive, OwnSign])
def test_a_step_of_any_optimiser_is_noticed(kind, optimiser, fused):
    net, mask, by = chosen(kind)
    steps_of = optimiser([by], lr=10.0, fused=fused)
    net(torch.randn(5, 6)).square().sum().backward()
    before = masks(net)["0"]
    steps_of.step()
    assert torch.equal(masks(net)["0"], by > 0)
    assert not torch.equal(masks(net)["0"], before)
    assert mask.count == 2


def test_loaded_scores_are_noticed():
    net, mask, by = chosen()
    other = copy.deepcopy(net)
    with torch.no_grad():
        by.neg_()
    assert "mask" not in " ".join(net.state_dict()), "scores decide the mask"
    net(torch.randn(5, 6))
    net.load_state_dict(other.state_dict())
    assert torch.equal(masks(net)["0"], masks(other)["0"])
    assert torch.equal(masks(net)["0"], by > 0)
    assert mask.count == 3


def test_a_copy_chooses_for_itself():
    net, mask, by = chosen()
    masks(net)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        modules(twin)["0"].scores.neg_()
    assert torch.equal(masks(twin)["0"], by < 0)
    assert torch.equal(masks(net)["0"], by > 0)
    assert mask.count == 1


def test_a_chosen_mask_that_does_not_say_how_is_refused():
    class Silent(Chosen):
        def forward(self, weight):
            return weight * factor(self.mask, weight)

    mask = Silent(torch.ones(2, 2))
    mask.scores = nn.Parameter(torch.ones(2, 2))
    net = nn.Sequential(nn.Linear(2, 2))
    attach(net, lambda name, weight: mask)
    with pytest.raises(TypeError, match="Silent does not say how to choose its mask"):
        masks(net)


def test_training_leaves_the_mask_of_the_last_scores(tmp_path):
    net, mask, by = chosen()
    generator = torch.Generator().manual_seed(0)
    split = Images(torch.randn(40, 6, generator=generator), torch.arange(40) % 3)
    for _ in fit(Run(tmp_path, {"seed": 0}), net, Data("noise", split, split, (6,), 3), Train(epochs=3, batch_size=10, lr=1)):
        assert torch.equal(mask.mask, by > 0)
    assert mask.count == 12 + 1, "once a step, and once before the first"


# -- where networks are placed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked_by", [None, "fixed", "chosen"])
def test_every_kind_of_layer_is_placed(masked_by):
    torch.manual_seed(0)
    net = Net()
    if masked_by:
        attach(net, half if masked_by == "fixed" else lambda name, weight: Positive(torch.randn_like(weight)), biases=True)
    plain, found = plain_state(net), masks(net)
    pictures, clips, line = torch.randn(2, 2, 5, 5), torch.randn(2, 1, 3, 3, 3), torch.randn(2, 2, 4)
    inputs = {"one": line, "two": pictures, "three": clips, "flat": torch.randn(2, 5)}
    before = {name: getattr(net, name)(x) for name, x in inputs.items()}
    assert placed(net, "cpu") is net
    for tensor in [*net.parameters(), *net.buffers()]:
        assert tensor.is_contiguous(memory_format=torch.channels_last if tensor.dim() == 4 else torch.contiguous_format)
    assert not original(net.two).is_contiguous(), "two inputs, nine places"
    for name, x in inputs.items():
        torch.testing.assert_close(getattr(net, name)(x), before[name])
    assert all(torch.equal(value, plain[name]) for name, value in plain_state(net).items())
    assert all(torch.equal(value, found[name]) for name, value in masks(net).items())


def test_placed_parameters_stay_those_an_optimiser_has():
    net = Net()
    held = list(net.parameters())
    placed(net, "cpu")
    assert all(a is b for a, b in zip(held, net.parameters(), strict=True))
    net.two(torch.randn(1, 2, 4, 4)).sum().backward()
    assert net.two.weight.grad is held[2].grad
    assert net.two.weight.grad.shape == (3, 2, 3, 3)
