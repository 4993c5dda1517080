"""``wn run import``: weights of any origin as a finished run; what does not fit is named and never lost."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from mishaps import Evil, truncate
from torch import nn

from widenet import opening
from widenet.builtin.models import models
from widenet.loading import load
from widenet.runs import Run
from widenet.train import evaluate

REAL = Path(__file__).parents[2].parent / "shared" / "data"
MODELS = {model.name: model for model in models()}
COLOUR = "tiny:size=8,channels=3,classes=10,train=16,test=16"
THIN = "resnet20:width=0.25"


def built(seed=1, shape=(3, 8, 8), classes=10, blocks=20):
    """A small network whose every tensor is one that no fresh network has."""
    torch.manual_seed(seed)
    model = MODELS[f"resnet{blocks}"]
    net = model.function(shape, classes, model.config(width=0.25))
    for value in [*net.parameters(), *net.buffers()]:
        if value.is_floating_point():
            value.data = torch.rand_like(value) + 0.1
    return net


@pytest.fixture
def saved(tmp_path):
    def save(content, name="x.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def importing(wn):
    """The answer of ``wn run import``."""

    def carry_out(file, *words, arch=THIN, dataset=COLOUR):
        own = ("--arch", arch, "--dataset", dataset, "--threads", "1", "--json")
        return wn("run", "import", "--weights", file, *own, *words)

    return carry_out


@pytest.fixture
def imported(importing, tmp_path):
    """The run, and what was said."""

    def carry_out(*arguments, **options):
        answer = importing(*arguments, **options)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"]), answer.err

    return carry_out


@pytest.fixture
def refused(importing, tmp_path):
    """The line with which it is refused; no trace is left."""

    def carry_out(*arguments, **options):
        answer = importing(*arguments, **options)
        assert answer.code == 2, answer.err
        assert not list(tmp_path.glob("runs/*"))
        return answer.line

    return carry_out


def log(run):
    return (run.path / "log.txt").read_text() if (run.path / "log.txt").exists() else ""


def same(found, wanted):
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_finished_run_in_the_architectures_own_names(imported, saved):
    net = built()
    file = saved(net.state_dict())
    run, said = imported(file)
    assert run.finished
    same(run.weights(), net.state_dict())
    data = opening.dataset(load(), run, Path("data"), 0, torch.device("cpu"))
    measured = evaluate(net, data.test)
    assert run.record["result"] == {
        **{f"test_{key}": pytest.approx(value, rel=1e-5) for key, value in measured.items()},
        "tensors": len(net.state_dict()),
        "weights": "of x.pth, not trained here",
    }
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert run.record["imported"] == {"sha256": digest}
    assert run.record["inputs"] == {str(file): digest}
    assert not (run.path / "arrays").exists()
    assert not run.has_masks()
    assert said == ""


def test_analyses_and_other_methods_go_on_from_it(imported, saved, wn):
    run, _ = imported(saved(built().state_dict()))
    answer = wn("run", "train", "--from", run.path, "--epochs", "1", "--threads", "1", "--quiet")
    assert answer.code == 0, answer.err
    assert wn("capture", run.path, "--layers", "linear:input", "--threads", "1").code == 0


def test_again_is_free_and_a_changed_file_is_noticed(importing, imported, saved):
    file = saved(built().state_dict())
    run, _ = imported(file)
    assert "already finished" in imported(file)[1]
    saved(built(2).state_dict())
    assert "has changed since" in importing(file).line
    assert importing(file, "--fresh").code == 0
    same(Run.open(run.path).weights(), built(2).state_dict())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "best": np.float32(0.9), "epoch": 3},
        lambda state: {"model_state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"model": {f"_orig_mod.{name}": value for name, value in state.items()}},
        lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
        lambda state: {name: nn.Parameter(value, value.is_floating_point()) for name, value in state.items() if value.ndim},
    ],
    ids=["wrapped", "parallel", "compiled", "without counters", "parameters"],
)
def test_every_wrapping(imported, saved, wrap):
    net = built()
    run, said = imported(saved(wrap(net.state_dict())))
    same(run.weights(), net.state_dict())
    assert said == ""


def test_safetensors(imported, tmp_path):
    writer = pytest.importorskip("safetensors.torch")
    writer.save_file(built().state_dict(), tmp_path / "x.safetensors")
    same(imported(tmp_path / "x.safetensors")[0].weights(), built().state_dict())


def test_a_classifier_by_another_name(imported, saved):
    state = built().state_dict()
    run, said = imported(saved({name.replace("linear", "fc"): value for name, value in state.items()}))
    same(run.weights(), state)
    assert "renamed fc, which the network calls linear" in said
    assert "renamed fc" in log(run)


def test_an_alias_is_logged_only(imported, saved):
    state = built().state_dict()
    run, said = imported(saved({**state, **{f"fc.{key}": state[f"linear.{key}"] for key in ("weight", "bias")}}))
    same(run.weights(), state)
    assert said == ""
    assert "fc is linear once more" in log(run)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_other_types_are_taken_and_that_is_said(imported, saved, dtype):
    state = {name: value.to(dtype) if value.ndim else value for name, value in built().state_dict().items()}
    run, said = imported(saved(state))
    same(run.weights(), {name: value.float() if value.ndim else value for name, value in state.items()})
    assert f"numbers of type {dtype} are taken as float32" in said


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_said_not_refused(imported, saved, odd):
    state = built().state_dict()
    state["linear.bias"][3] = odd
    run, said = imported(saved(state))
    assert "values that are not finite in 1 tensors: linear.bias" in said
    assert "test_accuracy" in run.record["result"]


# -- beside the network ---------------------------------------------------------------------------------------------------

BESIDE = {
    "csg": torch.arange(6.0).reshape(2, 3),
    "final_weights": torch.ones(2, dtype=torch.bfloat16),
    "final_bias": torch.tensor([True, False]),
}


def test_what_belongs_beside_the_network_is_kept(imported, saved):
    run, said = imported(saved({**built().state_dict(), **BESIDE}))
    same(run.weights(), built().state_dict())
    found = run.arrays("extra")
    assert [(name, array.dtype.name) for name, array in found.items()] == [
        *(("csg", "float32"), ("final_weights", "float32"), ("final_bias", "bool"))
    ]
    assert all(np.array_equal(found[name], value.float().numpy()) for name, value in BESIDE.items())
    assert "kept beside the network, in arrays/extra.h5: csg, final_weights, final_bias" in said
    assert "csg (2, 3)" in log(run)


def test_what_that_is_can_be_said(imported, importing, saved):
    file = saved({**built().state_dict(), "ema.a": torch.ones(1), "ema.b": torch.ones(2)})
    assert "ema.a (1,) has no place, ema.b (2,) has no place (in all 2 without a place)" in importing(file).line
    assert imported(file, "--extra", "csg,ema.*")[0].arrays("extra").keys() == {"ema.a", "ema.b"}
    gated = saved({**built().state_dict(), **BESIDE}, "gated.pth")
    assert "csg (2, 3) has no place" in importing(gated, "--extra", "none").line


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.complex64, torch.float8_e4m3fn]
)
def test_any_type_of_number_is_kept(imported, saved, dtype):
    value = torch.tensor([0.0, 1.0, 2.0]).to(dtype)
    found = imported(saved({**built().state_dict(), "csg": value}))[0].arrays("extra")["csg"]
    assert found.tolist() == [0, 1, 2]


# -- what does not fit ----------------------------------------------------------------------------------------------------


def test_partly(imported, refused, saved):
    net = built(blocks=32)
    other = {"linear.weight": torch.ones(3, 16), "linear.bias": torch.ones(3)}
    file = saved({**net.state_dict(), **other, "odd": torch.ones(2, dtype=torch.bfloat16)})
    line = refused(file)
    assert "linear.weight is (3, 16) in the file, (10, 16) in the network, linear.bias is (3,) in the file, (10,)" in line
    assert "(in all 2 of another shape, 73 without a place); it has 3 classes, the data set has 10" in line
    run, said = imported(file, "--partial")
    fresh = opening.untrained(load(), run).state_dict()
    for name, value in run.weights().items():
        assert torch.equal(value, (fresh if name in other else net.state_dict())[name])
    extra = run.arrays("extra")
    assert len(extra) == 75
    assert extra["odd"].tolist() == [1, 1]
    assert np.array_equal(extra["layer3.4.bn2.running_var"], net.state_dict()["layer3.4.bn2.running_var"])
    assert run.record["result"]["tensors"] == len(fresh) - 2
    assert "73 without a place, kept in arrays/extra.h5: layer1.3.conv1.weight (4, 4, 3, 3) has no place, " in said
    assert said.count("has no place") == 3
    assert log(run).count("has no place") == 3 + 73


def test_what_the_file_lacks_comes_from_the_seed(imported, refused, saved):
    file = saved({name: value for name, value in built().state_dict().items() if name.startswith("layer")})
    line = refused(file)
    assert "conv1.weight (4, 3, 3, 3) is missing, bn1.weight (4,) is missing, bn1.bias (4,) is missing and 4 more" in line
    assert "another --arch or --dataset? --partial takes what fits" in line
    (run, said), (other, _) = (imported(file, "--partial", "--seed", seed) for seed in (0, 1))
    assert torch.equal(run.weights()["conv1.weight"], opening.untrained(load(), run).state_dict()["conv1.weight"])
    assert not torch.equal(run.weights()["conv1.weight"], other.weights()["conv1.weight"])
    assert torch.equal(run.weights()["layer1.0.conv1.weight"], other.weights()["layer1.0.conv1.weight"])
    assert "7 missing, which keep their fresh values: conv1.weight (4, 3, 3, 3) is missing" in said
    assert not (run.path / "arrays").exists()


def test_another_network_or_other_data(refused, saved):
    file = saved(built().state_dict())
    assert "does not fit core/resnet32: layer1.3" in refused(file, arch="resnet32:width=0.25")
    grey = refused(file, dataset="tiny:size=8")
    assert "it takes 3 channels, the data set has 1 and has 10 classes, the data set has 4: another --dataset?" in grey


def test_nothing_that_fits(refused, saved):
    line = refused(saved({"a": torch.ones(1)}), "--partial")
    assert "97 missing, 1 without a place" in line
    assert "--partial" not in line


def test_not_from_another_run(imported, saved, wn):
    run, _ = imported(saved(built().state_dict()))
    answer = wn("run", "import", "--from", run.path, "--weights", "x.pth", "--threads", "1")
    assert answer.code == 2
    assert "leaves nothing for --from to give; leave it out" in answer.line


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "holds no state dict"),
        ({"epoch": 3}, "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        (5, "holds no state dict"),
        ({"state_dict": {**BESIDE, "x": Evil()}, "best": np.float64(1)}, "wants to run code"),
    ],
    ids=["empty", "no tensors", "empty inside", "number", "code"],
)
def test_files_without_weights(refused, saved, tmp_path, content, said):
    assert said in refused(saved(content), "--partial")
    assert not list(tmp_path.rglob("evil-was-here"))


def test_files_that_are_none(refused, saved, tmp_path):
    assert "there is no file" in refused(tmp_path / "none.pt")
    assert "there is no file" in refused(tmp_path)
    truncate(saved(built().state_dict()))
    assert "truncated" in refused(tmp_path / "x.pth")


def test_the_option_is_required(wn):
    assert "weights is required" in wn("run", "import").line


# -- the checkpoints of the paper on class-specific filters ---------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("file", "statistics", "right", "tensors"),
    [
        ("resnet20-12fca82f.th", "cifar10", 932, 97),
        ("resnet20-12fca82f.th", "imagenet", 932, 97),
        ("best_save_CSG.pth", "cifar10", 901, 116),
        ("best_save_CSG.pth", "imagenet", 909, 116),
    ],
)
def test_published_checkpoints(imported, file, statistics, right, tensors):
    dataset = f"npz:path={REAL}/cifar10-subset.npz,statistics={statistics}"
    run, _ = imported(REAL / "resnet20" / file, arch="resnet20", dataset=dataset)
    result = run.record["result"]
    assert round(result["test_accuracy"] * 1017, 6) == right
    assert result["tensors"] == tensors
    if file.endswith("CSG.pth"):
        assert {name: array.shape for name, array in run.arrays("extra").items()} == {"csg": (10, 64)}
    registry = load()
    net, data = opening.network(registry, run), opening.dataset(registry, run, Path("data"), 0, torch.device("cpu"))
    for size in (7, 128, 1017):
        assert round(evaluate(net, data.test, size)["accuracy"] * 1017, 6) == right
