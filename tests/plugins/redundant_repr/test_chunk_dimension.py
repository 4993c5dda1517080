"""``wn analyze chunk-dimension``: its rows, the samples they are of, and what it refuses."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from widenet import UsageError
from widenet.data import Data, Images
from widenet.runs import Run
from widenet_redundant_repr.config import ChunkDimension
from widenet_redundant_repr.dimension import chunk_dimensions, dimensions, two_nn
from widenet_redundant_repr.representation import sampled

DIGITS = ("train", "--arch", "pmnist-fc:width=16,depth=3", "--dataset", "digits", "--epochs", "1")
COLUMNS = ["size", "chunks", "dimension", "deviation", "likelihood", "points", "reason"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("chunk-dimension")


@pytest.fixture
def trained(wn, home):
    """A run; one that is there is found."""
    answer = wn("run", *DIGITS, "--threads", "1", "--quiet", "--json", cwd=home)
    assert answer.code == 0, answer.err
    return home / answer.json["run"]


@pytest.fixture
def analysed(wn, trained):
    def analyse(*words):
        answer = wn("analyze", "chunk-dimension", trained, *words, "--threads", "1", "--quiet", "--json")
        assert answer.code == 0, answer.err
        return answer.json

    return analyse


def test_a_row_for_each_size(analysed):
    rows = analysed("--draws", "2")
    assert {tuple(row) for row in rows} == {tuple(COLUMNS)}
    assert [(row["size"], row["chunks"]) for row in rows] == [(1, 2), (2, 2), (4, 2), (8, 2), (16, 1)]
    assert rows[4]["dimension"] > rows[2]["dimension"] > 0
    for row in rows:
        assert (row["dimension"] is None) == (row["likelihood"] is None) == bool(row["reason"])
    assert rows[4]["deviation"] is None  # of a single chunk
    assert rows[3]["deviation"] > 0


def test_the_whole_layer_is_always_there_and_is_what_a_capture_gives(analysed, trained, wn):
    _, row = analysed("--sizes", "4", "--draws", "1")
    answer = wn("capture", trained, "--layers", "linear_out:input", "--threads", "1", "--quiet", "--json")
    assert answer.code == 0, answer.err
    with h5py.File(answer.json[0]["file"]) as kept:
        found = two_nn(kept["layers"]["linear_out:input"][...])
    assert (row["size"], row["points"]) == (16, found.points)
    assert row["dimension"] == pytest.approx(found.value, rel=1e-4)  # the columns are in another order
    assert row["likelihood"] == pytest.approx(found.likelihood, rel=1e-4)


def test_nothing_is_captured(trained, analysed, tmp_path):
    before = set(trained.glob("activations/*"))
    analysed("--sizes", "2", "--draws", "1", "--fresh")
    assert set(trained.glob("activations/*")) == before


def test_chunks_have_a_seed(analysed):
    words = ("--sizes", "8,16", "--draws", "2")
    first, whole = analysed(*words)
    assert analysed(*words, "--fresh") == [first, whole]
    other, again = analysed(*words, "--chunk-seed", "1")
    assert other["dimension"] != first["dimension"]
    assert again["dimension"] == pytest.approx(whole["dimension"], rel=1e-4)  # the columns are in another order


def test_as_many_samples_of_each_class(analysed):
    (row,) = analysed("--sizes", "16", "--per-class", "20")
    assert row["points"] == 200


def test_another_layer(analysed):
    (row,) = analysed("--sizes", "16", "--layer", "linear_body.0")
    assert row["dimension"] > 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--sizes", "4,17"], "no chunk of 17 neurons fits a layer of width 16; give sizes from 1 to 16"),
        (["--per-class", "5000"], "5000 test samples of each class are wanted, but class 0 has only"),
        (["--layer", "absent"], "no layer matches 'absent'"),
        (["--layer", "linear*"], "--layer linear* matches 8 layers, linear_body, linear_body.0"),
        (["--draws", "0"], "draws"),
    ],
)
def test_what_does_not_fit_is_one_line(trained, wn, words, line):
    answer = wn("analyze", "chunk-dimension", trained, *words, "--threads", "1")
    assert (answer.code, answer.out) == (2, "")
    assert line in answer.line


# -- layers made by hand -----------------------------------------------------------------------------------------------


def rows(path, x, labels=None, **options):
    """The analysis of a network that is its read-out alone: the layer is the test samples (N, P) themselves."""
    torch.manual_seed(0)
    split = Images(x, torch.arange(len(x)) % 3 if labels is None else labels)
    data = Data("made", split, split, (x.shape[1],), 3)
    net = nn.Sequential(nn.Linear(x.shape[1], 3))
    return list(dimensions(Run(path, {"seed": 0}), net, data, ChunkDimension(**options)))


def plane(count=600, width=6):
    """Points of a plane in a space of more dimensions."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 2, generator=generator) @ torch.randn(2, width, generator=generator)


def test_a_plane_has_two_dimensions(tmp_path):
    found = rows(tmp_path, plane(), draws=4)
    assert [row["size"] for row in found] == [1, 3, 6]
    assert [row["dimension"] for row in found] == pytest.approx([1, 2, 2], rel=0.15)
    assert [row["likelihood"] for row in found] == pytest.approx([1, 2, 2], rel=0.15)


def test_means_and_deviation_are_over_the_chunks(tmp_path):
    x = plane()
    row = rows(tmp_path, x, sizes=(1,), draws=30)[0]
    found = chunk_dimensions(x, [1], 30, Run(tmp_path, {"seed": 0}).seed_for("chunks", 0))[1]
    assert row["dimension"] == pytest.approx(np.mean([each.value for each in found]))
    assert row["deviation"] == pytest.approx(np.std([each.value for each in found], ddof=1))
    assert row["likelihood"] == pytest.approx(np.mean([each.likelihood for each in found]))
    single = two_nn(x[:, :1])
    (alone,) = rows(tmp_path, x[:, :1])
    assert (alone["dimension"], alone["likelihood"]) == (single.value, single.likelihood)


def test_only_the_test_samples_of_each_class_that_are_drawn_count(tmp_path):
    x = torch.cat([plane(), torch.ones(300, 6)])  # a class of its own lies on one point
    labels = torch.cat([torch.arange(600) % 2, torch.full((300,), 2)])
    (row,) = rows(tmp_path, x, labels, sizes=(6,), per_class=100)
    assert (row["points"], row["reason"]) == (200, "")
    (row,) = rows(tmp_path, x, labels, sizes=(6,))
    assert row["points"] == 600


def test_without_an_estimate_there_is_a_reason(tmp_path):
    (row,) = rows(tmp_path, torch.ones(50, 1))
    assert row == {
        "size": 1,
        "chunks": 1,
        "dimension": None,
        "deviation": None,
        "likelihood": None,
        "points": 0,
        "reason": "fewer than 3 points that lie apart",
    }


def test_samples_of_each_class_are_drawn_without_replacement(tmp_path):
    labels, run = torch.arange(90) % 3, Run(tmp_path, {"seed": 0})
    assert sampled(run, labels, 0).all()
    found = sampled(run, labels, 12)
    assert labels[found].bincount().tolist() == [12, 12, 12]
    assert torch.equal(found, sampled(run, labels, 12))
    assert not torch.equal(found, sampled(Run(tmp_path, {"seed": 1}), labels, 12))
    assert sampled(run, labels, 30).all()
    with pytest.raises(UsageError, match="31 test samples of each class are wanted, but class 0 has only 30 samples; ask for"):
        sampled(run, labels, 31)
