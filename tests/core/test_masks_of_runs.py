"""Masks from a run and back."""

import numpy as np
import pytest
import torch
from masking import half

from widenet import loading, opening
from widenet.builtin.mask_stats import mask_stats
from widenet.builtin.subnet import subnet
from widenet.components import NoOptions
from widenet.errors import WnError
from widenet.masks import (
    masks,
    plain_state,
)
from widenet.runs import Run
from widenet.train import evaluate

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
        data = opening.dataset(registry, run, tmp_path, 0, torch.device("cpu"))
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
