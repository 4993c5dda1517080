"""``wn run supermask-import``: checkpoints of the paper's code, and seed files, as finished runs."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from widenet.builtin.models import models
from widenet.loading import load
from widenet.masks import layers, original
from widenet.opening import network
from widenet.runs import Run
from widenet_supermask.checkpoints import CHECK
from widenet_supermask.variants.sample import Sample

GOLDEN = Path(__file__).parents[2] / "golden" / "supermask" / "c1_conv4wide_w0.125_k0.5_sgd.npz"
MODELS = {model.name: model for model in models()}
COLOUR = "tiny:size=32,channels=3,classes=10,train=8,test=8"
SMALL = ("conv2:width=0.1", "tiny")
RESIDUAL = "cresnet18:affine=false,bias=false"


def built(arch, shape=(1, 16, 16), classes=4):
    name, _, rest = arch.partition(":")
    values = dict(pair.split("=") for pair in rest.split(",") if pair)
    options = {"width": float} | dict.fromkeys(("affine", "bias"), lambda text: text == "true")
    config = MODELS[name].config(**{key: options[key](value) for key, value in values.items()})
    return MODELS[name].function(shape, classes, config)


def as_published(net, prefix=""):
    """The state dict that the paper's code would save of this network, with scores: all layers are convolutions there."""
    torch.manual_seed(1)
    state = dict(net.state_dict())
    for name, module in layers(net):
        weight = module.weight.detach()
        shape = weight.shape + (1, 1) * (weight.ndim == 2)
        state[f"{name}.weight"] = weight.reshape(shape)
        state[f"{name}.scores"] = torch.rand(shape) * 2 - 1
    for name, value in state.items():
        if name.endswith("running_mean"):
            state[name] = torch.randn_like(value)
        if name.endswith("running_var"):
            state[name] = torch.rand_like(value) + 0.5
    return {prefix + name: value for name, value in state.items()}


def by_hand(net, state, keep):
    """The network with all but the largest scores of each layer zero."""
    net = copy.deepcopy(net).eval()
    net.load_state_dict({k: v.reshape(net.state_dict()[k].shape) for k, v in state.items() if not k.endswith("scores")})
    masks = {}
    for name, module in layers(net):
        size = state[f"{name}.scores"].abs().reshape(-1)
        dropped = size.argsort(stable=True)[: int((1 - keep) * len(size))]
        mask = torch.ones(len(size), dtype=torch.bool)
        mask[dropped] = False
        masks[name] = mask.reshape(module.weight.shape)
        module.weight.data *= masks[name]
    return net, masks


@pytest.fixture
def imported(wn, tmp_path):
    def carry_out(file, *words, arch=SMALL[0], dataset=SMALL[1]):
        own = ("--arch", arch, "--dataset", dataset, "--threads", "1", "--quiet", "--json")
        answer = wn("run", "supermask-import", "--file", file, *own, *words)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


@pytest.fixture
def checkpoint(tmp_path):
    def save(content, name="x.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


def check(run, net, state, keep):
    wanted, masks = by_hand(net, state, keep)
    found = network(load(), run).eval()
    for name, mask in run.masks().items():
        assert np.array_equal(mask, masks[name])
    x = torch.randn(3, *run.record["shape"])
    with torch.inference_mode():
        assert torch.equal(found(x), wanted(x))
    for name, module in layers(found):
        assert torch.equal(original(module), state[f"{name}.weight"].reshape(original(module).shape))
    assert run.record["result"]["kept"] == pytest.approx(keep, abs=0.01)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_conv4(imported, checkpoint, prefix):
    net = built("conv4", (3, 32, 32), 10)
    state = as_published(net)
    names = {prefix + name: value for name, value in state.items()}
    file = checkpoint({"epoch": 100, "arch": "Conv4", "state_dict": names, "best_acc1": 86.0, "curr_acc5": "Not evaluated"})
    run = imported(file, "--keep", "0.3", arch="conv4", dataset=COLOUR)
    check(run, net, state, 0.3)
    assert run.record["status"] == "finished"
    assert run.record["result"].keys() >= {"test_accuracy", "test_top5", "kept", "weights"}


@pytest.mark.parametrize(
    "arch",
    [
        RESIDUAL,
        "cresnet18:bias=false",
        "resnet18:affine=false,bias=false",
        pytest.param("cresnet50:affine=false,bias=false", marks=pytest.mark.slow),
    ],
)
def test_residual_networks(imported, checkpoint, arch):
    net = built(arch)
    state = as_published(net)
    run = imported(checkpoint(as_published(net, "module.")), "--sparsity", "0.7", arch=arch, dataset="tiny:train=8,test=8")
    check(run, net, state, 0.3)
    assert torch.equal(run.weights()["bn1.running_var"], state["bn1.running_var"])


def test_the_recorded_network_of_the_papers_code(imported, checkpoint):
    with np.load(GOLDEN) as file:
        oracle = {name: torch.from_numpy(file[name]) for name in file}
    state = {name.removeprefix("param/"): value for name, value in oracle.items() if name.startswith("param/")}
    run = imported(checkpoint(state), "--keep", "0.5", arch="conv4:width=0.125", dataset=COLOUR)
    for name, mask in run.masks().items():
        assert np.array_equal(mask, oracle[f"step0/mask/{name}"].bool().numpy().reshape(mask.shape))
    with torch.inference_mode():
        torch.testing.assert_close(network(load(), run)(oracle["x"]), oracle["step0/logits"], atol=1e-5, rtol=0)


def test_scores_of_0_and_1_are_masks(wn, imported, checkpoint, tmp_path):
    net = built(SMALL[0])
    state = as_published(net)
    for name in list(state):
        if name.endswith("scores"):
            state[name] = (state[name] > 0.4).float()
    run = imported(checkpoint(state), "--variant", "fixed")
    assert all(np.array_equal(mask, state[f"{name}.scores"].bool().reshape(mask.shape)) for name, mask in run.masks().items())
    second = imported(checkpoint(state), "--keep", "0.9")
    assert all(np.array_equal(mask, second.masks()[name]) for name, mask in run.masks().items())
    assert "--keep plays no part" in (second.path / "log.txt").read_text()


def test_sampled_masks(imported, checkpoint):
    state = as_published(built(SMALL[0]))
    run = imported(checkpoint(state), "--variant", "sample", "--seed", "5")
    for name, mask in run.masks().items():
        drawn = Sample(state[f"{name}.scores"]).draw(run.generator("final mask", name))
        assert np.array_equal(mask, drawn.reshape(mask.shape))


def test_layers_without_scores_stay_dense(imported, checkpoint):
    state = as_published(built(SMALL[0]))
    del state["convs.0.scores"], state["linear.4.scores"]
    run = imported(checkpoint(state), "--keep", "0.5")
    assert list(run.masks()) == ["convs.2", "linear.0", "linear.2"]


def test_no_scores_at_all(imported, checkpoint):
    net = built(SMALL[0])
    run = imported(checkpoint({"model": net.state_dict()}))
    assert not run.has_masks()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in run.weights().items())


def test_a_seed_file(wn, imported, tmp_path):
    own = ("--dataset", "tiny:train=8,test=8", "--threads", "1", "--quiet")
    words = ("--arch", "resnet20:width=0.25", *own, "--variant", "signed", "--epochs", "1", "--seed", "7")
    answer = wn("run", "supermask", *words, "--json")
    assert answer.code == 0, answer.err
    first = Run.open(tmp_path / answer.json["run"])
    assert wn("export", first.path, "--what", "seed", "--out", "x.pt").code == 0
    run = imported("x.pt", arch="resnet20:width=0.25", dataset="tiny:train=8,test=8")
    x = torch.randn(3, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network(load(), run).eval()(x), network(load(), first).eval()(x))
    assert run.record["result"]["test_accuracy"] == first.record["result"]["test_accuracy"]
    answer = wn("run", "supermask-import", "--file", "x.pt", "--arch", "resnet20:width=0.25", *own, "--keep", "0.5")
    assert answer.code == 2
    assert "holds its masks as they are" in answer.line
    for other in (("--arch", "resnet20:width=0.5", *own), ("--arch", "resnet20:width=0.25", "--dataset", "tiny:size=8")):
        answer = wn("run", "supermask-import", "--file", "x.pt", *other, "--quiet")
        assert answer.code == 2
        assert "x.pt holds core/resnet20:width=0.25 of shape [1, 16, 16] in 4 classes, not" in answer.line


# -- refusals -----------------------------------------------------------------------------------------------------------------


def changed(**changes):
    """A good checkpoint's state with other tensors (``_`` for the dot); None takes one away."""
    state = as_published(built(SMALL[0])) | {key.replace("_", "."): value for key, value in changes.items()}
    return {name: value for name, value in state.items() if value is not None}


BAD = {
    "no keep": (lambda: changed(), [], ["holds scores", "--keep"]),
    "missing": (lambda: changed(linear_2_weight=None), ["--keep", "0.5"], ["does not fit", "linear.2.weight is missing"]),
    "unknown": (lambda: changed(fc_scores=torch.ones(2)), ["--keep", "0.5"], ["fc.scores has no place"]),
    "another shape": (
        lambda: changed(linear_0_scores=torch.rand(25, 100, 1, 1)),
        ["--keep", "0.5"],
        ["linear.0.scores has shape (25, 100, 1, 1), not (25, 384)"],
    ),
    "another kernel": (lambda: changed(convs_0_weight=torch.rand(6, 1, 5, 5)), ["--keep", "1"], ["(6, 1, 5, 5)"]),
    "another network": (
        lambda: as_published(built("conv4:width=0.1")),
        ["--keep", "0.5"],
        ["convs.5.weight has no place", "and 3 more"],
    ),
    "keep without scores": (lambda: built(SMALL[0]).state_dict(), ["--keep", "0.5"], ["holds no scores"]),
    "not fixed": (lambda: changed(), ["--variant", "fixed"], ["other scores than 0 and 1"]),
    "whole numbers": (lambda: changed(linear_2_scores=torch.arange(625).reshape(25, 25, 1, 1)), ["--keep", "0.5"], ["whole"]),
    "keep and sample": (lambda: changed(), ["--variant", "sample", "--keep", "0.5"], ["keep means nothing"]),
    "keep of 0": (lambda: changed(), ["--keep", "0"], ["keep"]),
    "no tensors": (lambda: {"epoch": 3}, [], ["holds no state dict"]),
    "biases": (lambda: changed(), ["--keep", "0.5", "--arch", "conv2:width=0.1,bias=true"], ["bias is missing", "bias=false"]),
    "norms": (
        lambda: as_published(built(RESIDUAL)),
        ["--keep", "0.5", "--arch", "cresnet18"],
        ["bn1.weight is missing", "and 38 more", "affine=false,bias=false"],
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_fit_is_one_line(wn, checkpoint, what):
    make, words, said = BAD[what]
    own = [*words] if "--arch" in words else ["--arch", SMALL[0], *words]
    answer = wn("run", "supermask-import", "--file", checkpoint(make()), "--dataset", "tiny", "--quiet", *own)
    assert answer.code == 2
    for part in said:
        assert part in answer.line


@pytest.mark.parametrize("name", ["none.pth", "text.pth", "masks.h5"])
def test_what_is_no_checkpoint_is_one_line(wn, tmp_path, supermask_run, name):
    (tmp_path / "text.pth").write_text("text")
    (tmp_path / "masks.h5").write_bytes((supermask_run / "masks" / "final.h5").read_bytes())
    answer = wn("run", "supermask-import", "--file", name, "--dataset", "tiny", "--quiet")
    assert answer.code == 2
    assert name in answer.line


def test_from_and_file_clash(wn, checkpoint, supermask_run):
    answer = wn("run", "supermask-import", "--file", checkpoint(changed()), "--from", supermask_run, "--quiet")
    assert answer.code == 2
    assert "--from" in answer.line


def test_the_checkpoint_for_checks_is_tiny(imported):
    assert CHECK["file"].stat().st_size < 3000
    assert imported(CHECK["file"], "--keep", "0.5").has_masks()
