"""``wn capture``: what a run's layers put out, by the command line; how it says how far it is."""

import re
import shutil

import h5py
import pytest
import torch
from processes import HELD, fork, run_path, started, wait_for

from widenet import loading, opening
from widenet.cli import progress
from widenet.runs import Run

COMMON = ("--dataset", "tiny", "--arch", "fc:hidden=12,8", "--threads", "1", "--quiet", "--batch-size", "32")
TRAIN = ("run", "train", *COMMON, "--epochs", "2", "--save-every", "1")
SUPERMASK = ("run", "supermask", *COMMON, "--epochs", "1", "--sparsity", "0.6")
SHUFFLED = ("run", "shuffled-mask", *COMMON, "--epochs", "1", "--sparsity", "0.6")
LARGE = ("run", "train", *COMMON[2:], "--dataset", "tiny:train=5000", "--epochs", "1")
LAYERS = ["linear.0", "linear.1", "linear.2", "linear.3", "linear.4"]


@pytest.fixture
def copied(unbroken, tmp_path):
    """``copied(words)``: a run in a folder of the test's own, made once for all."""

    def copy(words):
        source = unbroken(words)
        target = tmp_path / "runs" / source.parent.name / source.name
        shutil.copytree(source, target)
        return Run.open(target)

    return copy


def ok(answer):
    assert answer.code == 0, answer.err
    return answer


def refused(answer, code=2):
    """The one line with which it is refused."""
    assert (answer.code, answer.out) == (code, "")
    return answer.line


def forward(run, layers, split="test", tag="final"):
    """Outputs of layers in a plain forward pass of the whole split, those of convolutions averaged."""
    registry = loading.load()
    net = opening.network(registry, run, tag).eval()
    samples = getattr(opening.dataset(registry, run, run.path, 0, torch.device("cpu")), split)
    heard = {}
    for name in layers:
        net.get_submodule(name).register_forward_hook(lambda _, x, y, name=name: heard.update({name: y.clone()}))
    with torch.inference_mode():
        net(next(iter(samples.batches(len(samples))))[0])
    return heard


def layers_of(path):
    with h5py.File(path) as file:
        return {name: torch.from_numpy(data[...]) for name, data in file["layers"].items()}


def files(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


# -- what it keeps and says --------------------------------------------------------------------------------------------


def test_a_row_for_each_layer_and_the_file_that_has_them(wn, copied, tmp_path):
    run = copied(TRAIN)
    answer = ok(wn("capture", run.path, "--layers", "linear.*", "--json"))
    rows = answer.json
    assert [row["layer"] for row in rows] == LAYERS
    assert [row["shape"] for row in rows] == [[64, 12], [64, 12], [64, 8], [64, 8], [64, 4]]
    assert [row["bytes"] for row in rows] == [64 * 4 * row["shape"][1] for row in rows]
    assert {row["split"] for row in rows} == {"test"}
    (path,) = {row["file"] for row in rows}
    assert re.search(rf"{run.name}/activations/test-[0-9a-f]{{8}}\.h5$", path)
    assert answer.err == "capturing 5 layers of 64 test samples: 0.0 MB\n"
    kept = layers_of(path)
    for name, output in forward(run, LAYERS).items():
        torch.testing.assert_close(kept[name], output)
    table = ok(wn("capture", run.path, "--layers", "linear.*"))
    assert table.err == "", "nothing is left to capture"
    assert table.out.splitlines()[0].split() == ["split", "layer", "shape", "bytes", "file"]
    assert [line.split()[1] for line in table.out.splitlines()[1:]] == LAYERS
    assert files(run.path / "activations") == [path.rpartition("/")[2]]


def test_a_run_is_named_as_anywhere(wn, copied):
    run = copied(TRAIN)
    by_path, by_name, by_folder = (
        ok(wn("capture", name, "--layers", "linear.0", "--json")).json[0]["file"].removeprefix(f"{run.path.parents[2]}/")
        for name in (run.path, run.name, run.path.parent.name)
    )
    assert by_path == by_name == by_folder


def test_a_dry_run_writes_nothing(wn, copied):
    run = copied(TRAIN)
    before = files(run.path.parent)
    words = ("capture", run.path, "--layers", "linear.0", "--split", "train,test", "--dtype", "float16", "--json")
    rows = ok(wn(*words, "--dry-run")).json
    assert files(run.path.parent) == before
    assert [(row["split"], row["shape"], row["bytes"], row["file"]) for row in rows] == [
        ("train", [128, 12], 128 * 12 * 2, ""),
        ("test", [64, 12], 64 * 12 * 2, ""),
    ]
    assert [row | {"file": ""} for row in ok(wn(*words)).json] == rows
    assert "file" not in ok(wn(*words[:-1], "--dry-run")).out


def test_both_splits(wn, copied):
    run = copied(TRAIN)
    rows = ok(wn("capture", run.path, "--layers", "linear.3", "--split", "train,test", "--json", "--quiet")).json
    assert [row["split"] for row in rows] == ["train", "test"]
    for row in rows:
        torch.testing.assert_close(layers_of(row["file"])["linear.3"], forward(run, ["linear.3"], row["split"])["linear.3"])


@pytest.mark.parametrize("tag", ["init", "epoch-0001", "epoch-0002", "final"])
def test_weights_of_any_tag(wn, copied, tag):
    run = copied(TRAIN)
    (row,) = ok(wn("capture", run.path, "--layers", "linear.2", "--tag", tag, "--json", "--quiet")).json
    torch.testing.assert_close(layers_of(row["file"])["linear.2"], forward(run, ["linear.2"], tag=tag)["linear.2"])
    same = ok(wn("capture", run.path, "--layers", "linear.2", "--json", "--quiet")).json[0]["file"] == row["file"]
    assert same == (tag in ("epoch-0002", "final")), "the last epoch's weights are the final ones"


@pytest.mark.parametrize("words", [SUPERMASK, SHUFFLED])
def test_masks_are_multiplied_out(wn, copied, words):
    run = copied(words)
    (row,) = ok(wn("capture", run.path, "--layers", "linear.0", "--json", "--quiet")).json
    x, _ = next(iter(opening.dataset(loading.load(), run, run.path, 0, torch.device("cpu")).test.batches(64)))
    mask, weight = torch.from_numpy(run.masks()["linear.0"]), run.weights()["linear.0.weight"]
    assert 0 < mask.float().mean() < 1
    torch.testing.assert_close(layers_of(row["file"])["linear.0"], x.flatten(1) @ (weight * mask).T)


def test_a_form_for_each_purpose(wn, copied):
    words = ("run", "train", *COMMON[:2], "--arch", "conv2:width=0.05", *COMMON[4:], "--epochs", "1")
    run = copied(words)
    output = forward(run, ["convs.0"])["convs.0"]
    forms = {
        "mean": output.mean((2, 3)),
        "max": output.amax((2, 3)),
        "flatten": output.flatten(1),
        "none": output,
    }
    for reduction, wanted in forms.items():
        (row,) = ok(wn("capture", run.path, "--layers", "convs.0", "--reduction", reduction, "--json", "--quiet")).json
        assert row["shape"] == list(wanted.shape)
        torch.testing.assert_close(layers_of(row["file"])["convs.0"], wanted.contiguous())
    (row,) = ok(wn("capture", run.path, "--layers", "convs.0", "--dtype", "float16", "--json", "--quiet")).json
    half = layers_of(row["file"])["convs.0"]
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), forms["mean"], rtol=1e-3, atol=1e-4)


def test_what_the_read_out_is_given(wn, copied):
    run = copied(TRAIN)
    rows = ok(wn("capture", run.path, "--layers", "linear.4:input,linear.3", "--json", "--quiet")).json
    kept = layers_of(rows[0]["file"])
    assert [row["layer"] for row in rows] == ["linear.3", "linear.4:input"]
    assert kept["linear.3"].equal(kept["linear.4:input"])


def test_samples_of_each_class(wn, copied):
    run = copied(TRAIN)
    words = ("capture", run.path, "--layers", "linear.4", "--json", "--quiet")
    (row,) = ok(wn(*words, "--per-class", 3)).json
    with h5py.File(row["file"]) as file:
        assert sorted(file["labels"][...].tolist()) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
        index = file["index"][...]
    torch.testing.assert_close(layers_of(row["file"])["linear.4"], forward(run, ["linear.4"])["linear.4"][index])
    line = refused(wn(*words, "--per-class", 17))
    assert line == "--per-class 17: class 0 has only 16 samples in test of tiny"


def test_only_what_the_run_was_trained_on_is_its_training_split(wn, copied):
    run = copied((*TRAIN, "--val", "0.25", "--per-class", "12"))
    rows = ok(wn("capture", run.path, "--layers", "linear.1", "--split", "train,val,test", "--json", "--quiet")).json
    assert [(row["split"], row["shape"][0]) for row in rows] == [("train", 36), ("val", 12), ("test", 64)]
    for row in rows:
        torch.testing.assert_close(layers_of(row["file"])["linear.1"], forward(run, ["linear.1"], row["split"])["linear.1"])


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--layers", "linear.9"), 2, "no layer matches 'linear.9'; the nearest are linear."),
        (("--layers", "linear.0,convs.*"), 2, "no layer matches 'convs.*'; the nearest are "),
        (("--layers", ""), 2, "layers"),
        ((), 2, "layers"),
        (("--layers", "linear.0", "--split", "val"), 2, "tiny has no split val; choose train or test"),
        (("--layers", "linear.0", "--split", "all"), 2, "all"),
        (("--layers", "linear.0", "--reduction", "sum"), 2, "sum"),
        (("--layers", "linear.0", "--dtype", "int8"), 2, "int8"),
        (("--layers", "linear.0", "--per-class", "-1"), 2, "must be >= 0: -1"),
        (("--layers", "linear.0", "--batch-size", "0"), 2, "must be >= 1: 0"),
        (("--layers", "linear.0", "--device", "nowhere"), 2, "--device nowhere cannot be used here"),
        (("--layers", "linear.0", "--tag", "epoch-0007"), 2, "has no weights 'epoch-0007'; it saved "),
    ],
)
def test_a_request_that_cannot_be_met(wn, copied, words, code, said):
    run = copied(TRAIN)
    before = files(run.path)
    assert said in refused(wn("capture", run.path, *words), code)
    assert files(run.path) == before


def test_a_run_that_is_not_there(wn, copied):
    run = copied(TRAIN)
    line = refused(wn("capture", run.name[:-1] + "7", "--layers", "linear.0"))
    assert "there is no run" in line
    assert f"did you mean {run.name!r}" in line
    assert "Missing argument 'RUN'" in refused(wn("capture", "--layers", "linear.0"))


def test_of_an_unfinished_run_there_is_what_it_saved(wn, tmp_path):
    assert fork(TRAIN, tmp_path, "saved:1:INT").code == 130
    path = run_path(tmp_path)
    line = refused(wn("capture", path, "--layers", "linear.0"))
    assert "has no weights 'final'; it saved epoch-0001, init" in line
    assert not (path / "activations").exists()
    ok(wn("capture", path, "--layers", "linear.0", "--tag", "epoch-0001", "--quiet"))


# -- cut short, and side by side ---------------------------------------------------------------------------------------


def test_interrupted_the_same_command_goes_on(unbroken, wn, tmp_path):
    run = Run.open(shutil.copytree(unbroken(LARGE), tmp_path / "runs" / "large" / "seed-0"))
    words = ("capture", run.path, "--layers", "linear.*", "--split", "test,train")
    answer = fork(words, tmp_path, "captured:4:INT")
    assert answer.code == 130
    assert answer.line.startswith("interrupted; to continue: wn capture ")
    folder = run.path / "activations"
    assert not list(run.path.rglob("*.part"))
    (parts,) = folder.glob("train-*")
    assert len(list(parts.iterdir())) == 2
    times = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    again = ok(fork((*words, "--json"), tmp_path, "captured:99:INT"))
    assert re.fullmatch(r"capturing 5 layers of 5,000 train samples \(2,048 are there\): 0\.\d MB\n", again.err)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    kept = layers_of(again.json[-1]["file"])
    for name, output in forward(run, LAYERS, "train").items():
        torch.testing.assert_close(kept[name], output)


@pytest.mark.parametrize("point", ["captured:1:KILL", "captured:3:KILL"])
def test_killed_it_leaves_nothing_half_done_that_is_read(point, unbroken, tmp_path):
    run = Run.open(shutil.copytree(unbroken(LARGE), tmp_path / "runs" / "large" / "seed-0"))
    words = ("capture", run.path, "--layers", "linear.4", "--split", "train", "--json", "--quiet")
    assert fork(words, tmp_path, point).code == -9
    (row,) = ok(fork(words, tmp_path, "captured:99:INT")).json
    torch.testing.assert_close(layers_of(row["file"])["linear.4"], forward(run, ["linear.4"], "train")["linear.4"])
    assert not list(run.path.rglob("*.part"))


def test_one_process_at_a_time(copied, tmp_path):
    run = copied(TRAIN)
    words = ("capture", run.path, "--layers", "linear.0", "--split", "train", "--json", "--quiet")
    with started(words, tmp_path, "captured:1:hold") as first:
        wait_for(tmp_path / HELD)
        line = refused(fork(words, tmp_path), 73)
        assert re.fullmatch(rf"process {first.process.pid} on \S+ is writing \S+/activations; wait for it to end", line)
        (tmp_path / HELD).unlink()
        one = ok(first.wait())
    assert ok(fork(words, tmp_path)).json == one.json


# -- how far it is -----------------------------------------------------------------------------------------------------


def test_lines_tell_of_long_work_now_and_then(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    lines = progress.Lines()
    for done in range(1000, 9000, 1000):
        lines.work("capturing train", done, 50_000)
        lines.work("capturing test", 1, 2)
        clock[0] += 13
        if done == 4000:
            clock[0] += 1000
    said = capsys.readouterr()
    assert said.out == ""
    assert [line for line in said.err.splitlines() if "train" in line] == [
        "capturing train: 4,000 of 50,000",
        "capturing train: 5,000 of 50,000",
        "capturing train: 8,000 of 50,000",
    ]
    assert "capturing test: 1 of 2" in said.err


def test_short_work_is_not_worth_a_line(capsys):
    lines = progress.Lines()
    for done in range(100):
        lines.work("capturing", done, 100)
    assert capsys.readouterr().err == ""


def test_a_bar_for_each_work_that_goes_when_it_is_done(capsys):
    with progress.Bar() as bar:
        bar.work("capturing train", 1000, 5000)
        bar.work("chunks", 1, 4)
        bar.work("capturing train", 3000, 5000)
        train, chunks = bar.progress.tasks
        assert (train.description, train.completed, train.total, train.visible) == ("capturing train", 3000, 5000, True)
        assert (chunks.description, chunks.completed, chunks.total, chunks.visible) == ("chunks", 1, 4, True)
        assert train.fields["metrics"] == "3,000 of 5,000"
        bar.work("capturing train", 5000, 5000)
        assert (train.visible, chunks.visible) == (False, True)
        bar.work("capturing train", 10, 40)
        assert (train.completed, train.total, train.visible) == (10, 40, True)
        assert len(bar.progress.tasks) == 2
        bar.epoch(1, 2, {"train/loss": 1.0, "train/accuracy": 0.5})
        assert len(bar.progress.tasks) == 3
    assert capsys.readouterr().out == ""
