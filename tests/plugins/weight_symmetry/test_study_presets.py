"""The presets: each makes a run, and its rates and steps are those of the published training, as recorded."""

import importlib
import json
import pkgutil
from pathlib import Path

import pytest
import torch
from torch import nn

from widenet.builtin.datasets import datasets
from widenet.components import Train
from widenet.loading import load
from widenet.options import build, resolve, split_spec
from widenet.train.optimisers import learning_rate, make_optimiser
from widenet_weight_symmetry import analyses, methods
from widenet_weight_symmetry.models import MODELS
from widenet_weight_symmetry.presets import FIXED, PRESETS, PRUNE, TRAIN

GOLDEN = Path(__file__).parents[2] / "golden" / "weight_symmetry"
RATES = json.loads((GOLDEN / "schedules.json").read_text())
STEPS = json.loads((GOLDEN / "optimisers.json").read_text())
BATCHES = 468
"""Of 128 images in an epoch of MNIST."""
SPLIT = ("arch", "dataset")
OWN = {"shuffled-mask": PRESETS, "random-mask": PRESETS, "fixed-param": FIXED, "prune": PRUNE}
CONFIGS = {method.name: method.config for method in methods()}
EVERY = [(method, name) for method in OWN for name in OWN[method] if name != "check"]
INPUTS = {"mnist": ((1, 28, 28), 10), "cifar10": ((3, 32, 32), 10)}


def options_of(preset, config):
    return build(config, resolve(config, {k: v for k, v in preset.items() if k not in SPLIT}, "preset"), "preset")


def named(components, spec):
    """The component that a specification means, and its options."""
    name, given = split_spec(spec)
    component = next(component for component in components if component.name == name)
    return component, build(component.config, resolve(component.config, given, spec), spec)


@pytest.mark.parametrize(("method", "name"), EVERY)
def test_every_preset_makes_options(method, name):
    preset, config = OWN[method][name], CONFIGS[method]
    chosen = options_of(preset, config)
    assert {key: getattr(chosen, key) for key in ("epochs", "batch_size", "lr", "weight_decay")} == {
        "epochs": 100,
        "batch_size": 128,
        "lr": 0.01,
        "weight_decay": 1e-5,
    }
    assert chosen.optimizer == ("sgd" if name == "momentum" else "adamw")
    assert ("arch" in preset) == ("dataset" in preset)


@pytest.mark.parametrize(
    ("arch", "dataset"), sorted({(p["arch"], p["dataset"]) for m, n in EVERY if "arch" in (p := OWN[m][n])})
)
def test_every_network_fits_its_data(arch, dataset):
    model, config = named(MODELS, arch)
    found, chosen = named(datasets(), dataset)
    shape, classes = INPUTS[found.name]
    with torch.device("meta"):
        net = model.function(shape, classes, config)
    assert net(torch.empty(2, *shape, device="meta")).shape == (2, classes)
    assert not getattr(chosen, "augment", False), "the original has none"


def test_budgets_are_called_by_their_size():
    for exponent in (4, 5, 6):
        assert FIXED[f"params-1e{exponent}"]["arch"] == f"mnist-fc:params={10**exponent},depth=3"


def test_a_plugin_check_needs_a_network_that_spends_a_budget(wn):
    answer = wn("run", "fixed-param", "--preset", "check", "--dataset", "tiny", "--epochs", "1", "--threads", "1", "--quiet")
    assert answer.code == 0, answer.err


def test_examples_of_pruning():
    once, stepwise = (options_of(PRUNE[name], CONFIGS["prune"]) for name in ("one-shot", "iterative"))
    assert (once.sparsity, once.prune_after, once.rates) == (0.95, 0, ())
    assert (stepwise.rates, stepwise.prune_after) == (("2=0.3", "5=0.6", "8=0.95"), None)


def test_dense_training_has_the_same_presets():
    train = next(method for method in load().plugins["core"].components if method.full_name == "core/train")
    assert len(TRAIN) == len(PRESETS)
    for name, preset in PRESETS.items():
        assert train.presets[f"symmetry-{name}"] == preset
        assert isinstance(options_of(preset, Train), Train)


def test_no_part_of_the_plugin_hides_a_function_of_its_name():
    """A package has its modules as attributes once they are imported, as ``prune``."""
    import widenet_weight_symmetry

    for part in pkgutil.iter_modules(widenet_weight_symmetry.__path__):
        importlib.import_module(f"widenet_weight_symmetry.{part.name}")
    assert all(component.summary.endswith(".") and callable(component.function) for component in [*methods(), *analyses()])
    assert load().plugins["weight-symmetry"].status == "ok"


def test_a_preset_sets_network_and_data_of_a_command(wn, tmp_path):
    answer = wn("run", "prune", "--preset", "iterative", "--dataset", "tiny", "--epochs", "9", "--dry-run", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["run"].startswith("runs/prune-mnist-cnn-tiny-")
    assert not (tmp_path / "runs").exists()


# -- as the published training -----------------------------------------------------------------------------------------


def recorded(schedule, step):
    """The rate at a step: that of the last one recorded before, as it is constant in between."""
    return RATES[schedule][max((at for at in RATES[schedule] if int(at) <= step), key=int)]


@pytest.mark.parametrize(
    ("preset", "schedule"),
    [
        ("stepped", "stepped_default"),
        ("momentum", "stepped_default"),
        ("mnist-fc", "stepped_default"),
        ("constant", "constant"),
    ],
)
@pytest.mark.parametrize("method", OWN)
def test_rates_of_every_epoch(method, preset, schedule):
    """From an epoch's second step on: the original changes its rate one step late."""
    config = options_of(PRESETS[preset], CONFIGS[method])
    for epoch in range(100):
        assert learning_rate(config, epoch + 1) == pytest.approx(recorded(schedule, epoch * BATCHES + 1), rel=1e-6)


def test_the_cosine_at_the_starts_of_epochs():
    config = options_of(PRESETS["cosine"], CONFIGS["shuffled-mask"])
    starts = {int(step) // BATCHES: rate for step, rate in RATES["cosine_100"].items() if int(step) % BATCHES == 0}
    assert sorted(starts) == [0, 1, 25, 50, 75, 100]
    for epoch in (0, 1, 25, 50, 75):
        assert learning_rate(config, epoch + 1) == pytest.approx(starts[epoch], rel=1e-6)


class Vector(nn.Module):
    """A network of one parameter."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam(lr=.01,wd=1e-2)", {"optimizer": "adamw", "lr": 0.01}),
        ("Momentum(lr=.1,beta=.9,wd=1e-2)", {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9}),
    ],
)
@pytest.mark.parametrize("method", OWN)
def test_steps_of_the_optimisers(method, name, options):
    """The original's Adam decays weights by themselves, its momentum adds the decay to the gradient."""
    about = STEPS[name]
    net = Vector(about["p0"])
    optimiser = make_optimiser(net, CONFIGS[method](weight_decay=1e-2, **options))
    for gradient, wanted in zip(about["grads"], about["params_after_each_step"], strict=True):
        net.values.grad = torch.tensor(gradient)
        optimiser.step()
        # The recording took the powers of beta in float32, which shows in a weight that starts from 0.
        torch.testing.assert_close(net.values.detach(), torch.tensor(wanted), rtol=1e-6, atol=3e-7)
