"""``wn sweep``: the same runs as single commands, whatever happens to some of them."""

import json
import signal
import subprocess
import sys
import time

import pytest
from alike import differences
from processes import PATIENCE, fork, wait_for

from widenet.runs import listing

COMMON = ["--arch", "fc:hidden=8", "--dataset", "tiny", "--epochs", "2"]
SWEEP = ["sweep", "train", *COMMON]
GRID = ["--grid", "lr=0.1,0.01", "--grid", "seed=0..1"]
FAILING = """
from widenet import Method, Train, WnError, hookimpl

def fragile(run, net, data, config):
    \"\"\"Train, unless the seed is 1.\"\"\"
    from pathlib import Path
    from widenet.train import fit

    with Path("begun.txt").open("a") as file:
        file.write(f"{run.seed}\\n")
    if run.seed == 1 and not Path("mended").exists():
        raise WnError("seed 1 is unlucky")
    for _ in fit(run, net, data, config):
        pass

@hookimpl
def methods():
    yield Method("fragile", fragile, Train)
"""


HOLDER = """
import time, pathlib
from widenet.runs import writing

with writing(pathlib.Path({!r})):
    pathlib.Path("held").touch()
    time.sleep(3)
"""


def ok(answer):
    assert answer.code == 0, answer.err
    return answer


def runs(cwd):
    return {path.parent.relative_to(cwd / "runs"): path.parent for path in sorted(cwd.glob("runs/*/seed-*/run.json"))}


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The runs of the grid, a command each."""
    cwd = tmp_path_factory.mktemp("single")
    for lr in ("0.1", "0.01"):
        for seed in ("0", "1"):
            ok(fork(["run", "train", *COMMON, "--lr", lr, "--seed", seed, "--threads", "1"], cwd))
    return runs(cwd)


def test_the_same_runs_in_the_same_folders(single, wn, tmp_path):
    answer = ok(wn(*SWEEP, *GRID, "--jobs", 2))
    found = runs(tmp_path)
    assert found.keys() == single.keys()
    assert not [fault for name in found for fault in differences(single[name], found[name])]
    lines = answer.err.splitlines()
    assert lines[0].split() == ["lr", "seed", "status", "run"]
    assert [line.split()[2] for line in lines[1:5]] == ["new"] * 4
    assert [line.partition("  ")[0] for line in lines[5:]] == [f"{n} of 4" for n in range(1, 5)]
    assert [line.split()[:3] for line in answer.out.splitlines()[1:]] == [
        [lr, seed, "finished"] for lr in ("0.1", "0.01") for seed in "01"
    ]


def test_what_is_finished_is_not_run_again(wn, tmp_path):
    ok(wn(*SWEEP, "--grid", "seed=0..1"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*/run.json")}
    answer = ok(wn(*SWEEP, "--grid", "seed=0..2", "--json"))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    assert [row["seed"] for row in answer.json["runs"]] == ["0", "1", "2"]
    assert all(row["result"]["test_accuracy"] > 0 for row in answer.json["runs"])
    assert "1 of 1" in answer.err


def test_a_file_gives_options_and_grid(wn, tmp_path):
    (tmp_path / "grid.toml").write_text('epochs = 1\narch = "fc"\ndataset = "tiny"\n[grid]\nhidden = [[8], [8, 4]]\n')
    rows = ok(wn("sweep", "train", "--file", "grid.toml", "--grid", "lr=0.1", "--epochs", 2, "--dry-run", "--json")).json
    assert [(row["hidden"], row["lr"], row["status"]) for row in rows] == [("8", "0.1", "new"), ("8,4", "0.1", "new")]
    line = wn("sweep", "train", "--file", "grid.toml", "--grid", "hidden=3").line
    assert "hidden varies in grid.toml and in --grid" in line
    assert not (tmp_path / "runs").exists()


def test_a_failing_run_does_not_stop_the_others(wn, tmp_path):
    (tmp_path / "fragile.py").write_text(FAILING)
    words = ["--plugin", "fragile.py", "sweep", "fragile", *COMMON, "--grid", "seed=0..2", "--jobs", "1"]
    answer = wn(*words)
    assert answer.code == 1
    assert [line.split()[1] for line in answer.out.splitlines()[1:]] == ["finished", "failed", "finished"]
    assert "wn: seed=1: " in answer.err and "seed 1 is unlucky" in answer.err
    assert "1 of 3 runs failed" in answer.err
    (tmp_path / "mended").touch()
    ok(wn(*words))
    assert (tmp_path / "begun.txt").read_text().split() == ["0", "1", "2", "1"], "only what failed is run again"


def test_ctrl_c_stops_all_runs_and_they_resume(tmp_path):
    command = [sys.executable, "-m", "widenet", *SWEEP, *GRID[:2], "--jobs", "2", "--epochs", "60"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + PATIENCE
    while len(list(tmp_path.glob("runs/*/*/checkpoint.pt"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted; to continue: wn sweep train" in err
    stopped = [run.record["status"] for run in listing(tmp_path / "runs")]
    assert stopped == ["interrupted"] * 2
    fork([*SWEEP, *GRID[:2], "--epochs", "60"], tmp_path)
    assert [run.finished for run in listing(tmp_path / "runs")] == [True] * 2
    assert all("continuing after epoch" in (run.path / "log.txt").read_text() for run in listing(tmp_path / "runs"))


def test_the_list_of_commands(wn, tmp_path):
    ok(wn(*SWEEP, "--grid", "lr=0.1", "--grid", "seed=0"))
    answer = ok(wn(*SWEEP, *GRID, "--nesterov", "--launch", "print", "--quiet"))
    assert (
        answer.out.splitlines()[-1] == "wn run train --arch fc:hidden=8 --dataset tiny --epochs 2 --nesterov --lr 0.01 --seed 1"
    )
    answer = ok(wn(*SWEEP, *GRID, "--launch", "print"))
    assert len(answer.out.splitlines()) == 3
    assert "1 of 4 runs are finished" in answer.err
    for line in answer.out.splitlines():
        ok(wn(*line.split()[1:], "--quiet"))
    assert "4 of 4" in ok(wn(*SWEEP, *GRID, "--launch", "print")).err


def test_two_sweeps_at_once_share_the_work(tmp_path):
    (tmp_path / "fragile.py").write_text(FAILING)
    (tmp_path / "mended").touch()
    words = [
        "--plugin",
        "fragile.py",
        "sweep",
        "fragile",
        *COMMON,
        "--epochs",
        "30",
        "--grid",
        "seed=0..3",
        "--jobs",
        "1",
        "--json",
    ]
    command = [sys.executable, "-m", "widenet", *words]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [process.communicate(timeout=2 * PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    results = [[(row["run"], row["result"]["test_accuracy"]) for row in json.loads(out)["runs"]] for out, _ in told]
    assert results[0] == results[1]
    assert sorted((tmp_path / "begun.txt").read_text().split()) == ["0", "1", "2", "3"]


def test_a_run_written_by_another_process_is_waited_for(wn, tmp_path):
    ok(wn("run", "train", *COMMON, "--seed", 0, "--threads", 1))
    (path,) = tmp_path.glob("runs/*/seed-0")
    held = path.with_name("seed-1")
    script = HOLDER.format(str(held))
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path):
        wait_for(tmp_path / "held")
        began = time.monotonic()
        ok(wn(*SWEEP, "--grid", "seed=1..2", "--quiet"))
        assert time.monotonic() - began > 2
    assert sorted(run.seed for run in listing(tmp_path / "runs") if run.finished) == [0, 1, 2]


@pytest.mark.parametrize("harm", ["moved", "no record", "damaged"])
def test_a_run_that_was_moved_or_half_deleted(harm, wn, tmp_path):
    ok(wn(*SWEEP, "--grid", "seed=0..1"))
    path = next(iter(runs(tmp_path).values()))
    if harm == "moved":
        path.rename(tmp_path / "elsewhere")
    elif harm == "no record":
        (path / "run.json").unlink()
    else:
        (path / "run.json").write_text("{")
    answer = wn(*SWEEP, "--grid", "seed=0..1")
    if harm == "damaged":
        assert answer.code == 1
        assert "run.json" in answer.err and "Traceback" not in answer.err
        ok(wn(*SWEEP, "--grid", "seed=0..1", "--fresh"))
    else:
        ok(answer)
    assert [run.finished for run in listing(tmp_path / "runs")][:2] == [True, True]


def test_analyses_follow_each_run(wn, tmp_path):
    ok(wn("sweep", "supermask", *COMMON, "--grid", "seed=0..1", "--analyze", "mask-stats"))
    ok(wn("sweep", "supermask", *COMMON, "--grid", "seed=0..1", "--analyze", "mask-stats"))
    assert len(list(tmp_path.glob("runs/*/*/analyses/mask-stats-*/result.json"))) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "the grid is empty; give --grid"),
        (["--grid", "lr="], "the grid is empty"),
        (["--grid", "lr=0.1", "--lr", "1"], "lr is given as an option and varies in the grid"),
        (["--grid", "lr=0.1,-1"], "'lr' must be > 0"),
        (["--grid", "threads=1,2"], "threads=1 and threads=2 are the same run"),
        (["--grid", "seed=0,00"], "seed=0 and seed=00 are the same run"),
        (["--grid", "seed=0", "--scheduler", "tcp://x:1"], "--launch dask and --scheduler go together"),
        (["--grid", "seed=0", "--launch", "dask"], "--launch dask and --scheduler go together"),
        (["--grid", "seed=0", "--slurm", "time=3"], "--slurm is for --launch slurm"),
        (["--grid", "seed=0", "--launch", "slurm", "--slurm", "time"], "write KEY=VALUE"),
        (["--grid", "seed=0", "--analyze", "nothing"], "unknown analysis 'nothing'"),
    ],
)
def test_wrong_requests(words, line, wn, tmp_path):
    answer = wn(*SWEEP, *words)
    assert answer.code == 2
    assert line in answer.line
    assert not (tmp_path / "runs").exists()
