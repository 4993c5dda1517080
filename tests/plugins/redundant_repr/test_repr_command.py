"""``wn run redundant-repr``: training and study in one command, the published files, presets."""

import json
import signal
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from alike import differences
from processes import fork, run_path

from widenet import Dataset, Method, Model, figures, loading, opening
from widenet.capture import writing
from widenet.options import build, resolve
from widenet.runs import Run
from widenet.store import read_arrays
from widenet_redundant_repr.presets import PARITY, TRAIN

GOLDEN = Path(__file__).parents[2] / "golden" / "redundant_repr" / "representations.npz"
FEW = ("--error-repeats", "6", "--r2-repeats", "5", "--threads", "1", "--quiet")
FC = ("--arch", "pmnist-fc:width=16,depth=3", "--dataset", "digits", "--epochs", "2")
PARITY_FC = ("--arch", "pmnist-fc:width=16,depth=3", "--dataset", "parity:source=digits")
SMALL = ("--arch", "fc:hidden=12,8", "--dataset", "tiny:train=1200,test=64", "--epochs", "4", "--lr", "0.005")
RESULT = {
    *("layer", "width", "test_error", "train_error", "error_infinity", "error_infinity_source", "critical_width"),
    *("clones", "exponent", "exponent_error", "figure"),
}
FILES = {"chunks.csv", "chunks.png", "chunks.svg", "summary.json"}
LABEL = "ep200_wd0.0005_label_smoothing0.0_seed12"
SET = f"wide_resnet28_48_{LABEL}"
ENSEMBLE = "ensamble_averages_wide_resnet28_48_ep200_wd0.0005_label_smoothing0.0_n20_20_nrep10.npy"


@pytest.fixture(autouse=True)
def unsaved(request, monkeypatch):
    """Figures are made but not saved, which takes long, in tests that do not ask for ``drawn``."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(figures, "save", lambda *_: None)


@pytest.fixture
def drawn():
    """Asks for figures that are saved."""


@pytest.fixture
def run(wn, home, made):
    """``run(*words)``: a run of the method, carried out once for all; only to be read."""

    def carry_out(*words):
        if words not in made:
            answer = wn("run", "redundant-repr", *words, *FEW, "--json", cwd=home)
            assert answer.code == 0, answer.err
            made[words] = Run.open(home / answer.json["run"])
        return made[words]

    return carry_out


@pytest.fixture
def refused(wn, tmp_path):
    """``refused(*words)``: the line that refuses a run, of which no folder is left."""

    def carry_out(*words):
        answer = wn("run", "redundant-repr", *words, *FEW)
        assert (answer.code, answer.out) == (2, ""), answer
        assert not list(tmp_path.glob("runs/*/seed-*"))
        return answer.line

    return carry_out


def summary(run):
    return json.loads((run.path / "summary.json").read_text())


def same_weights(one, other):
    first, second = one.weights(), other.weights()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# -- training and study ------------------------------------------------------------------------------------------------


def test_training_and_study_in_one(drawn, run):
    done = run(*FC, "--seed", "1")
    result, found = done.record["result"], summary(done)
    assert result.keys() >= RESULT
    assert result["test_error"] == pytest.approx(1 - result["test_accuracy"], abs=1e-12)
    assert len(done.metrics()) == 2
    assert {file.name for file in done.path.iterdir()} >= FILES
    assert "layer/random/test_error" in read_arrays(done.path / "arrays" / "chunks.h5")
    assert {name: result[name] for name in RESULT & found.keys()} == {name: found[name] for name in RESULT & found.keys()}
    assert result["clones"] == found["thresholds"][-1]["clones"]
    assert (done.path / result["figure"]).is_file()


def test_it_trains_as_train_does(run, wn, home):
    answer = wn("run", "train", *FC, "--threads", "1", "--quiet", "--json", cwd=home)
    assert answer.code == 0, answer.err
    assert same_weights(Run.open(home / answer.json["run"]), run(*FC))


def test_the_analysis_of_such_a_run_draws_the_same_chunks(run, wn, home):
    done = run(*FC)
    answer = wn("analyze", "chunks", done.path, *FEW, "--json", cwd=home)
    assert answer.code == 0, answer.err
    kept = read_arrays(done.path / "arrays" / "chunks.h5")
    assert [row["test_error"] for row in answer.json] == kept["layer/random/test_error"].mean(1).tolist()
    assert [row["r2"] for row in answer.json] == kept["layer/random/r2"].mean(1).tolist()


@pytest.mark.parametrize("loss", ["squared-hinge", "cross-entropy"])
def test_parity(run, loss):
    done = run(*PARITY_FC, "--epochs", "3", "--loss", loss)
    assert done.record["result"]["test_error"] == pytest.approx(1 - done.record["result"]["test_accuracy"], abs=1e-12)
    assert summary(done)["read_out"] == "the trained one"
    assert summary(done)["width"] == 16


def test_the_losses_are_two(run):
    first, second = (run(*PARITY_FC, "--epochs", "3", "--loss", loss) for loss in ("squared-hinge", "cross-entropy"))
    assert not same_weights(first, second)
    assert first.metrics()[0]["train/loss"] != second.metrics()[0]["train/loss"]


def test_an_untrained_network(run):
    done = run(*FC, "--no-train")
    assert done.metrics() == []
    assert done.record["result"].keys() >= RESULT
    assert done.record["result"]["test_error"] > 0.7
    fresh = opening.untrained(loading.load(), done).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in done.weights().items())


def test_the_network_of_another_run_as_it_is(run):
    first = run(*FC)
    done = run("--from", str(first.path), "--no-train")
    assert done.metrics() == []
    assert done.record["parents"] == [first.name]
    assert same_weights(done, first)
    for name in ("test_error", "train_error", "width", "layer"):
        assert done.record["result"][name] == first.record["result"][name]


def test_the_network_of_another_run_trained_on(run):
    first = run(*FC)
    done = run("--from", str(first.path), "--epochs", "1")
    assert len(done.metrics()) == 1
    assert not same_weights(done, first)


def test_training_ends_below_a_loss(run, wn, tmp_path):
    losses = [line["train/loss"] for line in run(*SMALL).metrics()]
    assert losses[0] > losses[1] > losses[2] > losses[3]
    answer = wn("run", "redundant-repr", *SMALL, *FEW[:-1], "--stop-below", (losses[0] + losses[1]) / 2, cwd=tmp_path)
    assert answer.code == 0, answer.err
    done = Run.open(run_path(tmp_path))
    assert [line["train/loss"] for line in done.metrics()] == losses[:2]
    assert done.record["result"]["test_error"] == pytest.approx(1 - done.metrics()[-1]["test/accuracy"], abs=1e-12)
    assert f"training loss {losses[1]:.3g} is below " in answer.err
    assert len(run(*SMALL, "--stop-below", losses[3] / 2).metrics()) == 4


# -- killed and resumed ------------------------------------------------------------------------------------------------


COMMAND = ("run", "redundant-repr", *SMALL, *FEW)
STOPPED = ("--stop-below", "1.3")


@pytest.mark.parametrize(("words", "point"), [((), "captured:1:KILL"), (STOPPED, "finishing:1:KILL")])
def test_killed_after_training_and_resumed_is_the_same(drawn, wn, monkeypatch, tmp_path, words, point):
    """In the middle of a capture, of which each chunk is then a part, and when all but the record is written."""
    monkeypatch.setattr(writing, "PART", 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    # The second strike never comes; it makes the parts of the capture those of the other runs.
    killed = fork([*COMMAND, *words], broken, point, "captured:99:KILL")
    assert killed.code == -signal.SIGKILL, killed
    assert len(Run.open(run_path(broken)).metrics()) == (2 if words else 4), "training had ended"
    for cwd in (whole, broken):
        answer = wn(*COMMAND, *words, cwd=cwd)
        assert answer.code == 0, answer.err
    one, other = run_path(whole), run_path(broken)
    assert [name for name in differences(one, other) if not name.startswith("arrays/chunks.h5")] == []
    # Undefined values are NaN in both.
    np.testing.assert_equal(*(read_arrays(path / "arrays" / "chunks.h5") for path in (one, other)))
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


# -- what it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--loss", "squared-hinge"), "--loss squared-hinge is for two classes, digits has 10; choose cross-entropy"),
        (("--sizes", "17"), "no chunk of 17 neurons fits a layer of width 16; give sizes from 1 to 16"),
        (("--layer", "linear*"), "--layer linear* matches "),
        (("--layer", "nothing"), "no layer matches 'nothing'; the nearest are "),
        (("--r2-per-class", "37"), "37 test samples of each class are wanted"),
        (("--stop-below", "-1"), "stop"),
        (("--sizes", "4", "--grid", "all"), "sizes and grid all both say which chunks are drawn"),
        (("--ensemble", "nowhere"), "nowhere"),
    ],
)
def test_a_request_that_cannot_be_leaves_no_run(refused, words, line):
    assert line in refused(*FC, *words)


def test_no_control_of_a_network_that_began_elsewhere(run, refused):
    line = refused("--from", run(*FC).path, "--no-train", "--controls", "untrained")
    assert "no untrained network" in line


# -- published representations -----------------------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path):
    """A set made of the oracles' representations, as the authors name and store theirs."""
    folder = tmp_path / "download_repr"
    folder.mkdir()
    with np.load(GOLDEN) as found:
        arrays = {name: torch.from_numpy(found[name]) for name in found}
    for split, part in (("train", "training"), ("test", "test")):
        torch.save(arrays[f"features_{split}"], folder / f"features_{SET}_{split}.pt")
        torch.save(arrays[f"targets_{split}"], folder / f"cifar10_labels_{part}_set.pt")
    torch.save(torch.nn.Parameter(arrays["readout_weight"]), folder / f"weights_{SET}.pt")
    torch.save(torch.nn.Parameter(arrays["readout_bias"]), folder / f"bias_{SET}.pt")
    np.save(folder / ENSEMBLE, np.array([0.9, 0.88]))
    return folder


def words_for(folder):
    return ("--no-train", "--arch", f"read-out:path={folder}", "--dataset", f"representations:path={folder}")


def test_published_representations_in_place(drawn, wn, published, tmp_path):
    answer = wn("run", "redundant-repr", *words_for(published), *FEW, "--json")
    assert answer.code == 0, answer.err
    result = answer.json["result"]
    assert (result["layer"], result["width"]) == ("fc:input", 48)
    assert result["test_error"] == pytest.approx(0.125, abs=1e-9)
    assert result["train_error"] == pytest.approx(67 / 600, abs=1e-9)
    assert result["error_infinity"] == pytest.approx(0.1)
    assert result["error_infinity_source"] == "the published ensemble"
    done = Run.open(tmp_path / answer.json["run"])
    assert (summary(done)["test_samples"], summary(done)["train_samples"]) == (400, 600)
    sizes = read_arrays(done.path / "arrays" / "chunks.h5")["layer/random/size"]
    assert sizes.tolist() == [1, 3, 6, 12, 24, 48]
    assert (done.path / "chunks.png").is_file()


def test_without_an_ensemble_the_law_is_fitted(wn, published):
    (published / ENSEMBLE).unlink()
    answer = wn(
        "run", "redundant-repr", *words_for(published), *FEW, "--json", "--r2-threshold", "0.01", "--tolerances", "0.99"
    )
    assert answer.code == 0, answer.err
    assert answer.json["result"]["error_infinity_source"] == "fitted"
    assert 0 <= answer.json["result"]["error_infinity"] <= 0.125
    assert answer.json["result"]["exponent"] > 0


@pytest.mark.parametrize(
    "name", [f"features_{SET}_test.pt", f"weights_{SET}.pt", f"bias_{SET}.pt", "cifar10_labels_training_set.pt"]
)
def test_a_missing_member_is_one_line(refused, published, name):
    (published / name).unlink()
    wanted = name.replace("cifar10", "*")
    assert refused(*words_for(published)) == f"{published} lacks {wanted}; put all files of the published set there"


# -- presets -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry():
    return loading.load()


def resolved(registry, method, name):
    """The options, network and data that a method's preset names."""
    component = registry.find(Method, method)
    given = dict(component.presets[name])
    arch = opening.choose(registry, Model, given.pop("arch"))
    dataset = opening.choose(registry, Dataset, given.pop("dataset"))
    return build(component.config, resolve(component.config, given, name), name), arch, dataset


@pytest.mark.parametrize("name", PARITY)
def test_presets_of_parity(registry, name):
    config, (model, options), (dataset, _) = resolved(registry, "redundant-repr", name)
    assert (config.loss, config.epochs, config.train) == ("squared-hinge", 20_000, True)
    assert (model.full_name, dataset.full_name) == ("redundant-repr/pmnist-fc", "redundant-repr/parity")
    assert options.width == int(name.removeprefix("pmnist_"))
    assert name not in registry.find(Method, "train").presets


@pytest.mark.parametrize("method", ["redundant-repr", "train"])
def test_presets_of_training(registry, method):
    assert registry.find(Method, method).presets.keys() >= TRAIN.keys()
    for name in TRAIN:
        config, (model, _), (dataset, _) = resolved(registry, method, name)
        assert (config.epochs, config.final_lr) == (200, 1e-5), name
        assert model.plugin == "redundant-repr", name
        assert dataset.name in ("cifar10", "cifar100", "cifar-randaugment"), name


def test_a_preset_on_other_data(wn, tmp_path):
    words = ("--preset", "pmnist_16", "--dataset", "parity:source=digits", "--epochs", "2", "--dry-run", "--json")
    answer = wn("run", "redundant-repr", *words)
    assert answer.code == 0, answer.err
    options = answer.json["options"]
    assert options["loss"] == {"value": "squared-hinge", "source": "preset pmnist_16"}
    assert options["epochs"] == {"value": 2, "source": "command line"}
    assert answer.json["arch"]["options"]["width"] == 16
    assert not (tmp_path / "runs").exists()
    assert "pmnist_16" in wn("run", "train", *words).line


def test_options_are_told_apart():
    """No option of the study hides one of training."""
    from widenet import Train
    from widenet_redundant_repr.config import Drawing, RedundantRepr

    drawing, train = ({field.name for field in attrs.fields(config)} for config in (Drawing, Train))
    assert not drawing & train
    assert {field.name for field in attrs.fields(RedundantRepr)} == drawing | train | {"train", "loss", "stop_below"}
