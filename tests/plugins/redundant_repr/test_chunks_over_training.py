"""``wn analyze chunks-over-training``: a row for each saved epoch and size, its figure, and what it refuses."""

import h5py
import numpy as np
import pytest
from made_layers import textbook

from widenet import UsageError, figures
from widenet.runs import Run
from widenet_redundant_repr.draws import drawn
from widenet_redundant_repr.dynamics import interpolated, saved_epochs

WRN = ("train", "--arch", "wrn16:stem=4", "--dataset", "tiny", "--epochs", "2", "--save-every", "1")
FC = ("train", "--arch", "pmnist-fc:width=16,depth=3")
PARITY = (*FC, "--dataset", "parity:source=digits", "--epochs", "3", "--save-at", "1")
STILL = ("train", "--arch", "pmnist-fc:width=8,depth=2,batch_norm=false", "--dataset", "tiny", "--lr", "1e-30", "--epochs", "2")
ERRORS = ["test_error", "train_error"]
STATISTICS = ["r2", "r2_out", "correlation", "correlation_out"]


@pytest.fixture
def analysed(wn, made, monkeypatch):
    """``analysed(run, *words)``: the rows of the analysis, carried out once for all; without its figure, unless ``shown``."""

    def analyse(path, *words, analysis="chunks-over-training", shown=False):
        key = (analysis, path, *words)
        if key not in made:
            with monkeypatch.context() as patch:
                if not shown:
                    patch.setattr(figures, "save", lambda *_: None)
                answer = wn("analyze", analysis, path, *words, "--threads", "1", "--quiet", "--json")
            assert answer.code == 0, answer.err
            made[key] = answer.json
        return made[key]

    return analyse


@pytest.fixture
def wrn(run):
    """A run with weights of epochs 0, 1 and 2."""
    return run(*WRN)


@pytest.fixture
def rows(wrn, analysed):
    return analysed(wrn, "--draws", "3", shown=True)


@pytest.fixture
def captured(wn, wrn):
    """Features, logits and labels that ``wn capture`` keeps of the weights of a tag."""

    def capture(tag, split):
        words = ("--layers", "fc:input", "--tag", tag, "--split", split, "--threads", "1", "--quiet", "--json")
        answer = wn("capture", wrn, *words)
        assert answer.code == 0, answer.err
        with h5py.File(answer.json[0]["file"]) as file:
            return file["layers"]["fc:input"][...], file["logits"][...], file["labels"][...]

    return capture


def with_deviations(*names):
    return (*names, *(f"{name}_deviation" for name in names))


def test_a_row_for_each_saved_epoch_and_size(rows):
    assert [(row["epoch"], row["size"]) for row in rows] == [(e, c) for e in (0, 1, 2) for c in (1, 2, 4, 8, 16)]
    assert {tuple(row) for row in rows} == {("epoch", "size", *with_deviations(*STATISTICS, *ERRORS), "reason")}


def test_an_empty_value_has_a_reason(rows):
    for row in rows:
        empty = {name for name, value in row.items() if value is None}
        alone = {name for name in row if name.endswith("_deviation")}
        assert empty == ({"r2_out", "correlation_out", *alone} if row["size"] == 16 else set())
        assert row["reason"] == ("no neuron is outside the chunk" if empty else "")


@pytest.mark.parametrize(("epoch", "tag"), [(0, "init"), (1, "epoch-0001"), (2, "final")])
def test_an_epoch_is_that_of_its_weights(rows, captured, epoch, tag):
    (whole,) = (row for row in rows if row["epoch"] == epoch and row["size"] == 16)
    for split in ("test", "train"):
        _, logits, labels = captured(tag, split)
        assert whole[f"{split}_error"] == pytest.approx((logits.argmax(1) != labels).mean(), abs=1e-12)


def test_statistics_are_means_over_the_chunks_drawn(rows, wrn, captured):
    features = captured("epoch-0001", "test")[0].astype(np.float64)
    chunks = drawn(16, [1, 2, 4], 3, Run.open(wrn).generator("chunks", 0, "over training"))[4]
    each = [textbook(features, chunk.numpy()) for chunk in chunks]
    expected, spread = np.mean(each, 0), np.std(each, 0, ddof=1)
    found = next(row for row in rows if (row["epoch"], row["size"]) == (1, 4))
    np.testing.assert_allclose([found[name] for name in STATISTICS], expected, rtol=1e-6)
    np.testing.assert_allclose([found[f"{name}_deviation"] for name in STATISTICS], spread, rtol=1e-4)
    for name in STATISTICS:
        assert len({row[name] for row in rows if row["size"] == 4}) == 3  # another one in each epoch


def test_the_last_epoch_is_what_chunks_finds(rows, wrn, analysed):
    few = ("--sizes", "16", "--error-repeats", "1", "--r2-repeats", "1")
    (last,) = analysed(wrn, *few, analysis="chunks")
    for name in (*ERRORS, *STATISTICS, "reason"):
        assert rows[-1][name] == last[name], name
    assert rows[-1]["test_error"] == pytest.approx(1 - Run.open(wrn).record["result"]["test_accuracy"])


def test_chunks_are_the_same_in_every_epoch(run, analysed):
    """Of a network that learns nothing but which class its silent neurons stand for: a bias is exactly 0 at first."""
    found = analysed(run(*STILL, "--save-every", "1"), "--draws", "2")
    first, second, third = ([{**row, "epoch": None} for row in found if row["epoch"] == epoch] for epoch in (0, 1, 2))
    assert second == third
    assert [[row[name] for name in STATISTICS] for row in first] == [[row[name] for name in STATISTICS] for row in second]


def test_another_seed_draws_other_chunks(rows, wrn, analysed):
    assert analysed(wrn, "--draws", "3", "--fresh") == rows
    other = analysed(wrn, "--draws", "3", "--chunk-seed", "1")
    for one, another in zip(rows, other, strict=True):
        assert (one["r2"] == another["r2"]) == (one["size"] == 16)


def test_a_network_with_one_output(run, analysed):
    path = run(*PARITY)
    found = analysed(path, "--sizes", "4,16", "--draws", "2")
    assert [(row["epoch"], row["size"]) for row in found] == [(e, c) for e in (0, 1, 3) for c in (4, 16)]
    errors = {line["epoch"]: 1 - line["test/accuracy"] for line in Run.open(path).metrics()}
    assert found[3]["test_error"] == pytest.approx(errors[1], abs=1e-6)
    assert found[5]["test_error"] == pytest.approx(errors[3], abs=1e-6)


def test_the_whole_layer_is_always_among_the_sizes(run, analysed):
    assert [row["size"] for row in analysed(run(*PARITY), "--sizes", "2", "--draws", "1")] == [2, 16] * 3


def test_another_layer_has_no_errors(run, analysed):
    found = analysed(run(*PARITY), "--layer", "linear_body.0", "--sizes", "4", "--draws", "1")
    assert {tuple(row) for row in found} == {("epoch", "size", *with_deviations(*STATISTICS), "reason")}


def test_a_figure_and_a_table_are_kept(rows, wrn):
    folder = next(wrn.glob("analyses/chunks-over-training-*/over-training.png")).parent
    assert (folder / "over-training.png").read_bytes().startswith(b"\x89PNG")
    words = (folder / "over-training.svg").read_text()
    panels = ("test error (fraction)", "training error (fraction)", "R² of the layer", "|correlation| outside the chunk")
    for said in (*panels, "neurons of a chunk", "means and standard deviations over chunks"):
        assert said in words, said
    assert len((folder / "result.csv").read_text().splitlines()) == 1 + len(rows)


def test_the_first_epoch_without_training_error():
    errors = [(0, 8, 0.5), (1, 4, 0.0), (1, 8, 0.1), (2, 8, 0.0), (3, 8, 0.0)]
    rows = [{"epoch": epoch, "size": size, "train_error": error} for epoch, size, error in errors]
    assert interpolated(rows) == 2
    assert interpolated(rows[:3]) is None
    assert interpolated([{"epoch": 1, "size": 8}]) is None


def test_the_figure_marks_it(run, analysed, monkeypatch):
    drawings = []
    monkeypatch.setattr("widenet_redundant_repr.dynamics.interpolated", lambda rows: 1)
    monkeypatch.setattr(figures, "save", lambda figure, *_: drawings.append(figure))
    analysed(run(*PARITY), "--sizes", "8", "--draws", "1", shown=True)
    (figure,) = drawings
    assert figure.get_suptitle().endswith("dotted: the first epoch without training error, 1")
    for panel in figure.axes:
        lines = [line.get_xdata() for line in panel.lines]
        assert [list(x) for x in lines if len(x) == 2] == [[1, 1]]
        assert {tuple(x) for x in lines if len(x) > 2} == {(0, 1, 3)}


def test_tags_are_put_in_order(tmp_path):
    found = Run(tmp_path, {"seed": 0, "name": "run"})
    (tmp_path / "weights").mkdir()
    for tag in ("epoch-0010", "init", "epoch-0002", "best", "final"):
        (tmp_path / "weights" / f"{tag}.pt").touch()
    for epoch in range(1, 13):
        found.log({"epoch": epoch})
    assert saved_epochs(found) == [(0, "init"), (2, "epoch-0002"), (10, "epoch-0010"), (12, "final")]
    for tag in ("init", "epoch-0002", "epoch-0010"):
        (tmp_path / "weights" / f"{tag}.pt").unlink()
    with pytest.raises(UsageError, match="saved no weights on the way; train it with --save-every 1"):
        saved_epochs(found)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--sizes", "17"], "no chunk of 17 neurons fits a layer of width 16; give sizes from 1 to 16"),
        (["--layer", "absent"], "no layer matches 'absent'"),
        (["--layer", "linear_body.*"], "matches 6 layers"),
        (["--draws", "0"], "draws"),
        (["--sizes", "0"], "sizes"),
    ],
)
def test_what_does_not_fit_is_one_line(run, wn, words, line):
    answer = wn("analyze", "chunks-over-training", run(*PARITY), *words, "--threads", "1")
    assert (answer.code, answer.out) == (2, "")
    assert line in answer.line


def test_a_run_that_saved_no_weights_is_one_line(run, wn):
    path = run(*FC, "--dataset", "tiny", "--epochs", "1")
    answer = wn("analyze", "chunks-over-training", path, "--threads", "1", "--quiet")
    assert (answer.code, answer.out) == (2, "")
    assert (
        answer.line == f"{Run.open(path).name} saved no weights on the way; train it with --save-every 1, or --save-at 1,2,5,10"
    )
