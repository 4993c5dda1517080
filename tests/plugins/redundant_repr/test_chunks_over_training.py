"""``wn analyze chunks-over-training``: a row for each saved epoch and size, its figure, and what it refuses."""

import numpy as np
import pytest
from conftest import finished, here
from made_layers import textbook
from matplotlib import pyplot as plt

from widenet import figures
from widenet.runs import Run
from widenet.store import read_arrays
from widenet_redundant_repr import dynamics

WRN = ("train", "--arch", "wrn16:stem=4", "--dataset", "tiny", "--epochs", "2", "--save-every", "1", "--threads", "1")
PARITY = ("train", "--arch", "pmnist-fc:width=16,depth=3", "--dataset", "parity:source=digits", "--epochs", "3")
STILL = ("train", "--arch", "pmnist-fc:width=8,depth=2,batch_norm=False", "--dataset", "tiny", "--lr", "0")
ERRORS = ["test_error", "train_error"]
STATISTICS = ["r2", "r2_out", "correlation", "correlation_out"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("over-training")


@pytest.fixture(scope="module")
def wrn(home):
    """A run with weights of epochs 0, 1 and 2."""
    return finished(WRN, home)


@pytest.fixture(scope="module")
def parity(home):
    """A run with weights of epochs 0, 1 and 3, whose network has one output."""
    return finished([*PARITY, "--save-at", "1"], home)


@pytest.fixture(scope="module")
def analysed(home):
    def analyse(analysis, run, *words):
        answer = here("analyze", analysis, run, *words, "--threads", "1", "--quiet", "--json", cwd=home)
        assert answer.code == 0, answer.err
        return answer.json

    return analyse


@pytest.fixture(scope="module")
def rows(wrn, analysed):
    return analysed("chunks-over-training", wrn, "--draws", "3")


def captured(run, home, tag, split):
    """Features, logits and labels that ``wn capture`` keeps of weights."""
    words = ("--layers", "fc:input", "--tag", tag, "--split", split, "--threads", "1", "--quiet", "--json")
    answer = here("capture", run, *words, cwd=home)
    assert answer.code == 0, answer.err
    (file,) = (home / capture["path"] for capture in answer.json["captures"])
    kept = read_arrays(file)
    return kept["layers/fc:input"], kept["logits"], kept["labels"]


def test_a_row_for_each_saved_epoch_and_size(rows):
    assert [(row["epoch"], row["size"]) for row in rows] == [(e, c) for e in (0, 1, 2) for c in (1, 2, 4, 8, 16)]
    assert {tuple(row) for row in rows} == {("epoch", "size", *STATISTICS, *ERRORS, "reason")}


def test_an_empty_value_has_a_reason(rows):
    for row in rows:
        empty = {name for name, value in row.items() if value is None}
        assert empty == ({"r2_out", "correlation_out"} if row["size"] == 16 else set())
        assert row["reason"] == ("no neuron is outside the chunk" if empty else "")


@pytest.mark.parametrize(("epoch", "tag"), [(0, "init"), (1, "epoch-0001"), (2, "final")])
def test_an_epoch_is_that_of_its_weights(rows, wrn, home, epoch, tag):
    (whole,) = (row for row in rows if row["epoch"] == epoch and row["size"] == 16)
    for split in ("test", "train"):
        _, logits, labels = captured(wrn, home, tag, split)
        assert whole[f"{split}_error"] == pytest.approx((logits.argmax(1) != labels).mean(), abs=1e-12)


def test_the_epochs_differ(rows):
    for size in (4, 8):
        assert len({row["r2"] for row in rows if row["size"] == size}) == 3


def test_the_last_epoch_is_what_chunks_finds(rows, wrn, analysed):
    (last,) = (row for row in analysed("chunks", wrn, "--sizes", "16", "--error-repeats", "1", "--r2-repeats", "1"))
    for name in (*ERRORS, *STATISTICS, "reason"):
        assert rows[-1][name] == last[name], name
    result = Run.load(wrn).record["result"]
    assert rows[-1]["test_error"] == pytest.approx(1 - result["test_accuracy"])


def test_statistics_are_means_over_the_chunks_drawn(rows, wrn, home):
    features = captured(wrn, home, "epoch-0001", "test")[0].astype(np.float64)
    run = Run.load(wrn)
    chunks = dynamics.drawn(16, [1, 2, 4, 8, 16], 3, run.generator("chunks", 0, "over training"))[4]
    found = next(row for row in rows if (row["epoch"], row["size"]) == (1, 4))
    expected = np.mean([textbook(features, chunk.numpy()) for chunk in chunks], 0)
    np.testing.assert_allclose([found[name] for name in STATISTICS], expected, rtol=1e-6)


def test_chunks_are_the_same_in_every_epoch(home, analysed):
    run = finished([*STILL, "--epochs", "2", "--save-every", "1"], home)
    first, second, third = (
        [row for row in analysed("chunks-over-training", run) if row.pop("epoch") == epoch] for epoch in (0, 1, 2)
    )
    assert first == second == third


def test_another_seed_draws_other_chunks(rows, wrn, analysed):
    assert analysed("chunks-over-training", wrn, "--draws", "3") == rows
    assert analysed("chunks-over-training", wrn, "--draws", "3", "--fresh") == rows
    other = analysed("chunks-over-training", wrn, "--draws", "3", "--chunk-seed", "1")
    assert other != rows
    assert [row for row in other if row["size"] == 16] == [row for row in rows if row["size"] == 16]


def test_a_network_with_one_output(parity, analysed):
    found = analysed("chunks-over-training", parity, "--sizes", "4,16", "--draws", "2")
    assert [(row["epoch"], row["size"]) for row in found] == [(e, c) for e in (0, 1, 3) for c in (4, 16)]
    accuracies = [line["test/accuracy"] for line in Run.load(parity).metrics()]
    assert found[3]["test_error"] == pytest.approx(1 - accuracies[0], abs=1e-6)
    assert found[5]["test_error"] == pytest.approx(1 - accuracies[2], abs=1e-6)


def test_the_whole_layer_is_always_among_the_sizes(parity, analysed):
    found = analysed("chunks-over-training", parity, "--sizes", "2", "--draws", "1")
    assert [row["size"] for row in found] == [2, 16] * 3


def test_another_layer_has_no_errors(parity, analysed):
    found = analysed("chunks-over-training", parity, "--layer", "linear_body.0", "--sizes", "4", "--draws", "1")
    assert {tuple(row) for row in found} == {("epoch", "size", *STATISTICS, "reason")}


def test_a_figure_and_a_table_are_kept(wrn, rows):
    (folder,) = (path.parent for path in wrn.glob("analyses/chunks-over-training-*/over-training.png"))
    assert (folder / "over-training.png").read_bytes().startswith(b"\x89PNG")
    svg = (folder / "over-training.svg").read_text()
    assert "<svg" in svg
    assert len((folder / "result.csv").read_text().splitlines()) == 1 + len(rows)
    assert not (wrn / "activations").exists() or all("fc" in path.name or path.suffix == ".h5" for path in wrn.glob("activations/*"))
