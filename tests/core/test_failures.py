"""What goes wrong around a run (a full disk, a folder that may not be written, a loss that explodes, a bug in a plugin)
ends it with one line, and leaves what the same command continues from."""

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from alike import differences
from processes import fork, run_path

from widenet.errors import WnError
from widenet.runs import Run
from widenet.train import checkpoint

WILD = Path(__file__).with_name("wild.py")
TINY = ["--dataset", "tiny", "--threads", "1", "--quiet", "--batch-size", "32"]
STEPS = 4
TRAIN = ["run", "train", "--arch", "fc:hidden=8", *TINY, "--epochs", "3"]
SUPERMASK = ["run", "supermask", "--arch", "fc:hidden=8", *TINY, "--epochs", "2"]
WIDE = ["run", "train", "--arch", "fc:hidden=200", *TINY, "--epochs", "4", "--save-every", "1"]


def resumes(words, cwd, unbroken):
    """Whether the same command now comes to the end of an unbroken run."""
    answer = fork(words, cwd)
    assert answer.code == 0, answer.err
    return not differences(unbroken(words), run_path(cwd))


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "name", "done"),
    [
        ("logged:1:full", "checkpoint.pt", 0),
        ("logged:2:full", "checkpoint.pt", 1),
        (f"step:{STEPS + 1}:full", "metrics.jsonl", 1),
        (f"step:{2 * STEPS + 1}:full", "metrics.jsonl", 2),
        ("saved:3:full", "weights/final.pt", 3),
        ("weights:1:full", "run.json", 3),
    ],
)
def test_files_that_may_grow_no_further(point, name, done, unbroken, tmp_path):
    answer = fork(TRAIN, tmp_path, point)
    assert answer.code == 1
    path = run_path(tmp_path)
    assert "no space left to write" in answer.line
    assert name in answer.line
    assert "run the same command again, it continues" in answer.line
    saved = checkpoint.load(Run(path, {"seed": 0}))
    assert (saved["epoch"] if saved else 0) == done
    assert not list(path.rglob("*.part"))
    assert resumes(TRAIN, tmp_path, unbroken)


@pytest.mark.parametrize("name", ["run.json", "checkpoint.pt", "arrays/scores.h5", "weights/final.pt", "masks/final.h5"])
def test_a_full_disk_under_any_file(name, unbroken, tmp_path):
    path = unbroken(SUPERMASK)
    part = tmp_path / path.relative_to(path.parents[2]) / f"{name}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    answer = fork(SUPERMASK, tmp_path)
    assert answer.code == 1
    assert "no space left to write" in answer.line
    assert name in answer.line
    assert not part.is_symlink()
    if name != "run.json":
        assert Run.open(run_path(tmp_path)).record["status"] == "failed"
    assert resumes(SUPERMASK, tmp_path, unbroken)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of one megabyte, and a function that makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "widenet", folder], capture_output=True, text=True)

    if not shutil.which("mount") or (answer := mount("size=1m")).returncode:
        pytest.skip(f"may not mount: {answer.stderr.strip() if shutil.which('mount') else 'no such command'}")
    try:
        yield folder, lambda: mount("remount,size=16m")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_real_full_disk(small_disk, unbroken):
    folder, enlarge = small_disk
    answer = fork(WIDE, folder)
    assert answer.code == 1
    assert "no space left to write" in answer.line
    saved = checkpoint.load(Run(run_path(folder), {"seed": 0}))
    assert saved["epoch"] >= 1
    assert all(value.isfinite().all() for value in saved["net"].values())
    again = fork(WIDE, folder)
    assert again.code == 1
    assert "no space left to write" in again.line
    assert enlarge().returncode == 0
    assert resumes(WIDE, folder, unbroken)


def test_a_full_disk_under_an_analysis(unbroken, wn, tmp_path):
    shutil.copytree(unbroken(SUPERMASK).parents[1], tmp_path / "runs")
    path = run_path(tmp_path)
    assert wn("analyze", "mask-stats", path, "--quiet").code == 0
    (out,) = path.glob("analyses/mask-stats-*")
    (out / "result.csv.part").symlink_to("/dev/full")
    answer = wn("analyze", "mask-stats", path, "--quiet", "--fresh")
    assert answer.code == 1
    assert "no space left to write" in answer.line
    assert wn("analyze", "mask-stats", path, "--quiet").code == 0


def test_a_plugin_that_meets_the_full_disk_itself(wn):
    answer = wn("run", "failing", "--how", "disk", "--plugin", WILD, *TRAIN[2:])
    assert answer.code == 1
    assert "no space left to write" in answer.line
    assert "bug" not in answer.line


# -- a folder that may not be written ----------------------------------------------------------------------------------


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody, not even root, may write."""
    if os.geteuid() == 0:
        yield Path("/proc")
        return
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize("extra", [[], ["--fresh"]])
def test_a_read_only_folder_is_one_line(extra, read_only, wn):
    answer = wn(*TRAIN, *extra, "--runs-dir", read_only / "runs")
    assert answer.code == 1
    assert f"cannot write {read_only / 'runs'}" in answer.line
    assert "choose another folder with --runs-dir" in answer.line


def test_a_finished_run_in_a_read_only_folder_still_tells_its_result(unbroken, small_disk, wn):
    folder, _ = small_disk
    shutil.copytree(unbroken(SUPERMASK).parents[1], folder / "runs")
    assert wn("analyze", "mask-stats", run_path(folder), "--quiet").code == 0
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    for words in (SUPERMASK, ["runs"], ["show", run_path(folder)], ["analyze", "mask-stats", run_path(folder), "--quiet"]):
        assert wn(*words, cwd=folder).code == 0
    answer = wn(*SUPERMASK, "--seed", "1", cwd=folder)
    assert answer.code == 1
    assert "Read-only file system" in answer.line
    assert "--runs-dir" in answer.line


# -- a loss that is no number ------------------------------------------------------------------------------------------


def test_an_exploding_loss_says_where_and_keeps_the_last_good_state(wn, tmp_path):
    words = ["run", "failing", "--how", "nan", "--at", "3", "--plugin", WILD, *TRAIN[2:]]
    answer = wn(*words)
    assert answer.code == 1
    assert "the loss is no longer finite at step 3 of epoch 3" in answer.line
    path = run_path(tmp_path)
    record = Run.open(path).record
    assert record["status"] == "failed"
    assert "step 3 of epoch 3" in record["error"]
    saved = checkpoint.load(Run.open(path))
    assert saved["epoch"] == 2
    assert all(value.isfinite().all() for value in saved["net"].values())
    assert [line["epoch"] for line in Run.open(path).metrics()] == [1, 2]
    before = (path / "checkpoint.pt").read_bytes()
    assert wn(*words).code == 1
    assert (path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("rate", ["1e30", "1e38"])
def test_a_rate_far_too_high(rate, wn, tmp_path):
    answer = wn(*TRAIN, "--lr", rate)
    assert answer.code == 1
    assert "no longer finite" in answer.line
    assert "--lr" in answer.line
    assert Run.open(run_path(tmp_path)).record["status"] == "failed"
    assert not (run_path(tmp_path) / "weights").exists()


def test_weights_that_explode_in_the_last_step_are_not_saved(tmp_path):
    net = torch.nn.Linear(2, 2)
    steps = torch.optim.SGD(net.parameters(), 0.1)
    run = Run(tmp_path, {"seed": 0})
    checkpoint.save(run, 0, 1, net, steps)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    for bad in (math.nan, math.inf):
        with torch.no_grad():
            net.weight[0, 1] = bad
        with pytest.raises(WnError, match="weights are no longer finite after epoch 2; lower --lr"):
            checkpoint.save(run, 0, 2, net, steps)
        assert (tmp_path / "checkpoint.pt").read_bytes() == before
    net.weight.requires_grad_(False)
    checkpoint.save(run, 0, 2, net, steps)


# -- plugins that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("bug", ["wild/failing failed (KeyError: 'no such\\nthing')", "bug", "plugin wild", "log.txt"]),
        ("leave", ["wild/failing failed (SystemExit: 3)", "bug", "plugin wild", "log.txt"]),
        ("result", ["wild/failing failed (TypeError: ", "ndarray", "plugin wild", "log.txt"]),
        ("expected", ["the moon is full; wait a week"]),
        ("memory", ["out of memory", "80 GiB", "--batch-size"]),
    ],
)
def test_a_method_that_fails_is_one_line_with_the_traceback_in_the_log(how, said, wn, tmp_path):
    answer = wn("run", "failing", "--how", how, "--plugin", WILD, *TRAIN[2:])
    assert answer.code == 1
    assert [words for words in said if words not in answer.line] == []
    path = run_path(tmp_path)
    record = Run.open(path).record
    assert record["status"] == "failed"
    assert record["error"] in answer.line
    log = (path / "log.txt").read_text()
    assert "Traceback" in log
    assert ("wild.py" in log) == (how != "result")
    assert checkpoint.load(Run.open(path))["epoch"] == (3 if how == "result" else 1)


PIECES = """
from widenet import Analysis, Dataset, Model, hookimpl
from widenet.errors import WnError

def net(shape, classes, config):
    "A network that cannot be made."
    return 1 / 0

def images(root, config):
    "Data that cannot be had."
    raise WnError("no images today; come back tomorrow") if config else None

def photos(root, config):
    "Data with a bug."
    return {}["photos"]

def rows(run, net, data, config):
    "Rows that are none."
    yield {"good": float("nan")}
    yield {"bad": [1, 2]}

@hookimpl
def models():
    yield Model("net", net)

@hookimpl
def datasets():
    yield Dataset("images", images)
    yield Dataset("photos", photos)

@hookimpl
def analyses():
    yield Analysis("rows", rows)
"""


@pytest.fixture
def pieces(tmp_path):
    """A plugin whose every piece fails."""
    path = tmp_path / "pieces.py"
    path.write_text(PIECES)
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arch", "net"], ["pieces/net failed (ZeroDivisionError: division by zero)", "plugin pieces", "WN_STRICT=1"]),
        (["--dataset", "photos"], ["pieces/photos failed (KeyError: 'photos')", "plugin pieces", "WN_STRICT=1"]),
        (["--dataset", "images"], ["no images today; come back tomorrow"]),
    ],
)
def test_a_network_or_data_that_cannot_be_made_leaves_no_run(words, said, pieces, wn, tmp_path):
    answer = wn("run", "train", "--dataset", "tiny", "--threads", "1", "--plugin", pieces, *words)
    assert answer.code == 1
    assert [part for part in said if part not in answer.line] == []
    assert not (tmp_path / "runs").exists()


def test_an_analysis_that_fails_names_its_plugin(pieces, unbroken, wn, tmp_path):
    shutil.copytree(unbroken(SUPERMASK).parents[1], tmp_path / "runs")
    path = run_path(tmp_path)
    answer = wn("analyze", "rows", path, "--plugin", pieces, "--quiet")
    assert answer.code == 1
    assert "pieces/rows failed (TypeError: column 'bad' holds a list; rows are flat)" in answer.line
    (out,) = path.glob("analyses/rows-*")
    assert json.loads((out / "run.json").read_text())["status"] == "failed"
    assert "Traceback" in (out / "log.txt").read_text()
    assert not (out / "result.json").exists()


def test_ctrl_c_in_a_method_is_no_failure(wn, tmp_path):
    answer = wn("run", "failing", "--how", "interrupt", "--plugin", WILD, *TRAIN[2:])
    assert answer.code == 130
    assert answer.line.startswith("interrupted; to continue: wn run failing --how interrupt")
    assert Run.open(run_path(tmp_path)).record["status"] == "interrupted"


def test_lazy_layers_are_refused_in_one_line(wn, tmp_path):
    plugin = tmp_path / "idle.py"
    plugin.write_text(
        "from widenet import Model, hookimpl\n"
        "def idle(shape, classes, config):\n"
        "    'A network whose layers wait for a batch.'\n"
        "    from torch import nn\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))\n"
        "@hookimpl\n"
        "def models():\n"
        "    yield Model('idle', idle)\n"
    )
    answer = wn("--plugin", plugin, "run", "train", "--arch", "idle", "--dataset", "tiny")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "idle/idle has lazy layers" in answer.err
