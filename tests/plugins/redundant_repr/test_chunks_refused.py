"""What ``wn analyze chunks`` refuses: one line, and no results left behind."""

import json
import shutil

import pytest

from widenet.runs import Run

FEW = ("--error-repeats", "6", "--r2-repeats", "5", "--threads", "1")
FC = ("train", "--arch", "pmnist-fc:width=16,depth=3", "--dataset", "digits", "--epochs", "2")
PARITY = ("train", "--arch", "pmnist-fc:width=16,depth=3", "--dataset", "parity:source=digits", "--epochs", "2")
ALL = ["refitted_test_error", "refitted_train_error", "r2", "r2_out", "r2_held_out", "correlation", "correlation_out"]
LEFT = {"run.json", "log.txt"}
"""What tells of an analysis that failed."""

HEADLESS = """
from widenet import Model, hookimpl


def headless(shape, classes, config):
    "A network that does not end in a linear layer."
    from torch import nn

    pixels = shape[0] * shape[1] * shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.ReLU(), nn.Linear(8, classes), nn.Softplus())


@hookimpl
def models():
    yield Model("headless", headless)
"""


@pytest.fixture
def refused(wn):
    """``refused(run, *words)``: the line that refuses a command, which left no results."""

    def analyse(path, *words, plugin=()):
        before = files(path)
        answer = wn(*plugin, "analyze", "chunks", path, *FEW, *words)
        assert (answer.code, answer.out) == (2, ""), answer
        new = files(path) - before
        captures = {name for name in new if name.parent.name == "activations"}
        assert {name.name for name in new - captures if name.suffix != ".lock"} <= LEFT
        for record in (path / name for name in new if name.name == "run.json"):
            assert json.loads(record.read_text())["status"] == "failed"
        return answer.line

    return analyse


def files(path):
    return {file.relative_to(path) for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--sizes", "4,17"), "no chunk of 17 neurons fits a layer of width 16; give sizes from 1 to 16"),
        (("--layer", "nothing"), "no layer matches 'nothing'; the nearest are "),
        (("--layer", "linear_body.*"), "--layer linear_body.* matches 6 layers, linear_body.0, "),
        (("--r2-per-class", "37"), "37 test samples of each class are wanted, but class "),
        (("--ensemble", "nowhere"), "nowhere"),
    ],
)
def test_what_does_not_fit_is_one_line(run, refused, words, line):
    assert line in refused(run(*FC), *words)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--sizes", "0"), "sizes"),
        (("--sizes", "4", "--grid", "all"), "sizes and grid all both say which chunks are drawn"),
        (("--error-infinity", "0.1", "--ensemble", "x"), "ensemble and error-infinity both give"),
        (("--error-infinity", "1"), "error_infinity|error-infinity"),
        (("--tolerances", ""), "tolerances"),
        (("--error-repeats", "0"), "error-repeats|error_repeats"),
        (("--structured", "random"), "structured"),
    ],
)
def test_options_that_cannot_be_are_one_line(run, wn, words, line):
    path = run(*FC)
    before = files(path)
    answer = wn("analyze", "chunks", path, *words)
    assert (answer.code, answer.out) == (2, "")
    assert any(part in answer.line for part in line.split("|")), answer.line
    assert files(path) == before


def test_an_ensemble_that_does_not_fit(run, refused, tmp_path):
    path, parity = run(*FC), run(*PARITY)
    assert f"{Run.open(parity).name} is of other data than {Run.open(path).name}" in refused(path, "--ensemble", parity)
    cut = tmp_path / "runs" / "cut" / "seed-0"
    shutil.copytree(run(*FC, "--seed", "1"), cut)
    record = json.loads((cut / "run.json").read_text())
    (cut / "run.json").write_text(json.dumps({**record, "status": "running"}))
    assert "is not finished, it has no final weights yet; run it to its end first: wn run train" in refused(
        path, "--ensemble", f"{path},{cut}"
    )


def test_a_network_that_began_elsewhere_has_no_untrained_one(run, refused):
    path = run("train", "--from", str(run(*FC)), "--epochs", "1", "--dataset", "digits")
    assert "has no untrained network of its own" in refused(path, "--controls", "untrained")


def test_a_network_without_a_read_out(wn, refused, tmp_path):
    (tmp_path / "headless.py").write_text(HEADLESS)
    plugin = ("--plugin", "headless.py")
    words = (*plugin, "run", "train", "--arch", "headless", "--dataset", "tiny", "--epochs", "1", "--threads", "1")
    answer = wn(*words, "--quiet", "--json")
    assert answer.code == 0, answer.err
    path = tmp_path / answer.json["run"]
    line = refused(path, plugin=plugin)
    assert line == "the network has no read-out: no linear layer puts out its logits; name the layer that is meant with --layer"
    answer = wn(*plugin, "analyze", "chunks", path, *FEW, "--layer", "3:input", "--json")
    assert answer.code == 0, answer.err
    assert set(answer.json[0]) == {"of", "chunks", "size", *ALL, "reason"}
