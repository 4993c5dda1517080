"""``wn run METHOD --repeats K``, stacked: each run is as the same command would make it by itself."""

from pathlib import Path

import pytest
import torch
from crews import seeds, unlike
from processes import fork

from widenet.runs import Run
from widenet.train import checkpoint, stack

PLUGIN = Path(__file__).with_name("repeating.py")
COMMON = ["--arch", "fc:hidden=12,8", "--dataset", "tiny", "--threads", "1", "--batch-size", "32"]
TRAIN = ["run", "train", *COMMON, "--epochs", "3", "--lr", "0.02"]
MASKED = ["run", "masked", *TRAIN[2:], "--plugin", PLUGIN]
IMAGES = 64
"""Test images."""


@pytest.fixture
def epochs(monkeypatch):
    """The seeds of each epoch that was stacked."""
    made = []
    hand_back = stack.Stack.hand_back

    def noted(self):
        made.append([steps.run.seed for steps in self.crew])
        hand_back(self)

    monkeypatch.setattr(stack.Stack, "hand_back", noted)
    return made


def ok(answer):
    assert answer.code == 0, answer.err
    return answer


def times(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


# -- as alone ----------------------------------------------------------------------------------------------------------

WORDS = {
    "train": TRAIN,
    "adam": [*TRAIN[:-2], "--lr", "0.002", "--optimizer", "adam", "--save-every", "2"],
    "few images": [*TRAIN, "--per-class", "20", "--save-at", "1", "--final-lr", "0.01"],
    "held out": [*TRAIN, "--val", "0.2", "--label-smoothing", "0.1"],
    "partial batch": [*TRAIN, "--batch-size", "27", "--optimizer", "adamw", "--lr", "0.002"],
    "from seed 4": [*TRAIN, "--seed", "4"],
    "masked": [*MASKED, "--save-every", "1"],
    "preset": ["run", "masked", "--preset", "thin", *COMMON, "--seed", "4", "--plugin", PLUGIN],
    "digits": ["run", "train", "--arch", "fc:hidden=8", "--dataset", "digits", "--epochs", "2", "--lr", "0.02"],
}


@pytest.mark.parametrize("name", WORDS)
def test_stacked_runs_are_those_of_the_single_commands(name, epochs, wn, tmp_path):
    words = WORDS[name]
    (tmp_path / "apart").mkdir()
    (tmp_path / "stacked").mkdir()
    first = int(words[words.index("--seed") + 1]) if "--seed" in words else 0
    words = [word for word in words if word not in ("--seed", "4")]
    for seed in range(first, first + 3):
        ok(wn(*words, "--seed", seed, cwd=tmp_path / "apart"))
    ok(wn(*words, "--repeats", 3, "--seed", first, "--stack", cwd=tmp_path / "stacked"))
    wanted, got = seeds(tmp_path / "apart"), seeds(tmp_path / "stacked")
    assert list(wanted) == list(got) == list(range(first, first + 3))
    assert epochs == [list(got)] * len(Run.open(got[first]).metrics())
    for seed, path in got.items():
        assert path.relative_to(tmp_path / "stacked") == wanted[seed].relative_to(tmp_path / "apart")
        assert not unlike(wanted[seed], path, IMAGES if name != "digits" else 360)
        assert Run.open(path).record["environment"]["stacked"] == 3
        assert "stacked" not in Run.open(wanted[seed]).record["environment"]


def test_a_convolutional_network_is_stacked_when_asked(epochs, wn, tmp_path):
    words = ["run", "train", "--arch", "conv2:width=0.05", *COMMON[2:], "--epochs", "2", "--lr", "0.01"]
    for cwd in ("apart", "stacked"):
        (tmp_path / cwd).mkdir()
    for seed in range(2):
        ok(wn(*words, "--seed", seed, cwd=tmp_path / "apart"))
    ok(wn(*words, "--repeats", "2", "--stack", cwd=tmp_path / "stacked"))
    assert epochs == [[0, 1], [0, 1]]
    for one, other in zip(seeds(tmp_path / "apart").values(), seeds(tmp_path / "stacked").values(), strict=True):
        assert not unlike(one, other, IMAGES)


@pytest.mark.parametrize(("arch", "stacked"), [("fc:hidden=12,8", True), ("conv2:width=0.05", False)])
def test_without_being_told_it_stacks_where_that_pays(arch, stacked, monkeypatch, epochs, wn):
    from widenet.cli import repeat

    monkeypatch.setattr(repeat, "apart", lambda every, fresh, quiet: every)
    monkeypatch.setattr(repeat, "tell", lambda *_: 0)
    ok(wn("run", "train", "--arch", arch, *COMMON[2:], "--epochs", "1", "--repeats", "2"))
    assert epochs == ([[0, 1]] if stacked else [])


# -- what is said ------------------------------------------------------------------------------------------------------


def test_a_table_the_spread_and_one_runs_progress(wn, tmp_path):
    answer = ok(wn(*TRAIN, "--repeats", 3))
    header, *rows, last = answer.out.splitlines()
    assert header.split() == ["seed", "status", "test_accuracy", "run"]
    accuracies = [Run.open(path).record["result"]["test_accuracy"] for path in seeds(tmp_path).values()]
    for seed, row in enumerate(rows):
        number, status, accuracy, path = row.split()
        assert (int(number), status) == (seed, "finished")
        assert float(accuracy) == pytest.approx(accuracies[seed], abs=1e-4)
        assert tmp_path / path == seeds(tmp_path)[seed]
    mean = sum(accuracies) / 3
    spread = (sum((accuracy - mean) ** 2 for accuracy in accuracies) / 2) ** 0.5
    assert last == f"test accuracy {mean:.2%}, standard deviation {spread:.2%} over 3 seeds"
    assert answer.err.startswith("3 runs, stacked; the progress shown is that of seed 0\nepoch 1/3 ")
    assert answer.err.count("epoch 3/3") == 1
    assert ok(wn(*TRAIN, "--repeats", 3, "--quiet")).err == ""


def test_as_json(wn, tmp_path):
    answer = ok(wn(*MASKED, "--repeats", 2, "--json", "--quiet", "--analyze", "mask-stats"))
    rows = answer.json["runs"]
    for seed, (row, path) in enumerate(zip(rows, seeds(tmp_path).values(), strict=True)):
        record = Run.open(path).record
        assert (row["seed"], row["status"], tmp_path / row["run"]) == (seed, "finished", path)
        assert row["result"] == record["result"]
        assert row["test_accuracy"] == record["result"]["test_accuracy"]
        layers = {line["layer"]: line["kept"] for line in row["analyses"]["mask-stats"]}
        assert layers["linear.0"] == Run.open(path).masks()["linear.0"].sum()
        assert record["argv"][-4:] == ["--analyze", "mask-stats", "--seed", str(seed)]
    assert rows[0]["result"] != rows[1]["result"]


def test_one_is_enough(wn, tmp_path):
    answer = ok(wn(*TRAIN, "--repeats", 1, "--stack"))
    assert "standard deviation" not in answer.out
    assert "stacked" not in answer.err
    assert "stacked" not in Run.open(seeds(tmp_path)[0]).record["environment"]


# -- runs that fail ----------------------------------------------------------------------------------------------------


def test_a_run_that_fails_is_named_and_the_others_finish(wn, tmp_path):
    words = [*MASKED, "--bad", 1, "--repeats", 3, "--stack"]
    answer = wn(*words)
    assert answer.code == 1
    path = seeds(tmp_path)[1]
    assert answer.line.startswith("seed 1: the loss is no longer finite at step ")
    assert [row.split()[1] for row in answer.out.splitlines()[1:4]] == ["finished", "failed", "finished"]
    assert answer.out.splitlines()[-1].endswith("over 2 seeds")
    records = [Run.open(path).record for path in seeds(tmp_path).values()]
    assert [record["status"] for record in records] == ["finished", "failed", "finished"]
    assert records[1]["error"] in answer.line
    assert checkpoint.load(Run.open(path))["epoch"] == 1
    again = wn(*words, "--json")
    assert again.code == 1
    assert [row["status"] for row in again.json["runs"]] == ["finished", "failed", "finished"]
    assert again.json["runs"][1]["error"].startswith("the loss is no longer finite")
    assert again.json["runs"][1]["test_accuracy"] is None
    assert "error" not in again.json["runs"][0]
    assert "result" not in again.json["runs"][1]


def test_what_all_meet_is_said_once(wn):
    answer = wn(*TRAIN, "--lr", "1e30", "--repeats", 3, "--stack")
    assert answer.code == 1
    assert answer.line.startswith("seeds 0, 1, 2: the loss is no longer finite")


def test_a_run_that_is_refused_leaves_no_folder(wn, tmp_path):
    answer = wn(*MASKED, "--refused", 0, "--repeats", 2, "--stack")
    assert answer.code == 1
    assert answer.line == "seed 0: no such thing; ask for another"
    assert list(seeds(tmp_path)) == [1]


def test_a_damaged_record_is_one_runs_failure(wn, tmp_path):
    ok(wn(*TRAIN, "--repeats", 2))
    (seeds(tmp_path)[0] / "run.json").write_text("{")
    answer = wn(*TRAIN, "--repeats", 3)
    assert answer.code == 1
    assert answer.line.startswith("seed 0: ")
    assert "run.json" in answer.line
    assert [row.split()[1] for row in answer.out.splitlines()[1:4]] == ["failed", "finished", "finished"]


# -- runs that are there -----------------------------------------------------------------------------------------------


def test_finished_runs_are_left_as_they_are(wn, tmp_path):
    first = ok(wn(*TRAIN, "--repeats", 3))
    before = times(tmp_path)
    again = ok(wn(*TRAIN, "--repeats", 3))
    assert again.out == first.out
    assert again.err == ""
    assert times(tmp_path) == before


def test_more_repeats_run_only_the_new(epochs, wn, tmp_path):
    ok(wn(*TRAIN, "--repeats", 3))
    before = {path: then for seed in range(3) for path, then in times(seeds(tmp_path)[seed]).items()}
    answer = ok(wn(*TRAIN, "--repeats", 5))
    assert epochs == [[0, 1, 2]] * 3 + [[3, 4]] * 3
    assert "2 runs, stacked; the progress shown is that of seed 3\nepoch 1/3" in answer.err
    after = {path: path.stat().st_mtime_ns for path in before}
    assert after == before
    assert list(seeds(tmp_path)) == [0, 1, 2, 3, 4]
    assert len(answer.out.splitlines()) == 1 + 5 + 1


def test_a_single_run_is_found_by_the_repeats_and_theirs_by_it(wn, tmp_path):
    ok(wn(*TRAIN, "--seed", 1))
    before = times(seeds(tmp_path)[1])
    ok(wn(*TRAIN, "--repeats", 2))
    assert times(seeds(tmp_path)[1]) == before
    assert "already finished" in ok(wn(*TRAIN)).err


@pytest.mark.parametrize("how", ["--stack", "--no-stack"])
def test_fresh_starts_all_of_them_anew(how, wn, tmp_path):
    ok(wn(*TRAIN, "--repeats", 2, how))
    weights = {seed: Run.open(path).weights() for seed, path in seeds(tmp_path).items()}
    ok(wn(*TRAIN, "--repeats", 2, how, "--fresh"))
    made = {path.name: Run.open(path) for path in tmp_path.glob("runs/*/*seed-*") if path.is_dir()}
    assert sorted(made) == ["old-1-seed-0", "old-1-seed-1", "seed-0", "seed-1"]
    for seed, state in weights.items():
        torch.testing.assert_close(made[f"seed-{seed}"].weights(), state)
        assert made[f"seed-{seed}"].finished


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Three stacked runs that nothing disturbed."""
    cwd = tmp_path_factory.mktemp("unbroken")
    ok(fork([*TRAIN, "--repeats", "3", "--stack"], cwd))
    return seeds(cwd)


def test_a_run_cut_off_joins_the_others(epochs, unbroken, wn, tmp_path):
    """It has two epochs done: the others are trained up to it first."""
    assert fork([*TRAIN, "--seed", "1"], tmp_path, "saved:2:KILL").code == -9
    ok(wn(*TRAIN, "--repeats", 3, "--stack"))
    assert epochs == [[0, 2], [0, 2], [0, 1, 2]]
    for seed, path in seeds(tmp_path).items():
        assert not unlike(unbroken[seed], path, IMAGES)
        assert [line["epoch"] for line in Run.open(path).metrics()] == [1, 2, 3]
    log = (seeds(tmp_path)[1] / "log.txt").read_text()
    assert "continuing after epoch 2 of 3" in log
    assert "stacked 1 -> 3: results may differ in the last digits" in log


def test_runs_cut_off_at_different_epochs_catch_up_in_turn(epochs, unbroken, wn, tmp_path):
    for seed in (0, 1):
        assert fork([*TRAIN, "--seed", str(seed)], tmp_path, f"saved:{seed + 1}:KILL").code == -9
    ok(wn(*TRAIN, "--repeats", 3, "--stack"))
    assert epochs == [[0, 2], [0, 1, 2]], "seed 2 makes its first epoch alone"
    assert not [found for seed, path in seeds(tmp_path).items() for found in unlike(unbroken[seed], path, IMAGES)]


@pytest.mark.parametrize("point", ["step:2:KILL", "step:6:KILL", "logged:4:KILL", "saved:5:KILL", "weights:2:KILL"])
def test_killed_and_continued_is_nearly_the_same(point, unbroken, tmp_path):
    words = [*TRAIN, "--repeats", "3", "--stack"]
    assert fork(words, tmp_path, point).code == -9
    ok(fork(words, tmp_path))
    assert list(seeds(tmp_path)) == [0, 1, 2]
    assert not [found for seed, path in seeds(tmp_path).items() for found in unlike(unbroken[seed], path, IMAGES)]


def test_a_run_that_another_process_writes_is_left_to_it(wn, tmp_path):
    from widenet.runs import writing

    ok(wn(*TRAIN, "--seed", 2))
    path = seeds(tmp_path)[2].with_name("seed-1")
    with writing(path):
        answer = wn(*TRAIN, "--repeats", 3, "--stack")
    assert answer.code == 1
    assert answer.line.startswith("seed 1: process ")
    assert "is writing" in answer.line
    assert list(seeds(tmp_path)) == [0, 2]


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "code", "status", "said"),
    [
        ("INT", 130, "interrupted", "interrupted; to continue: wn run train"),
        ("TERM", 75, "stopped", "stopped by SIGTERM; the last finished epoch is safe, to continue: wn run train"),
        ("USR1", 75, "stopped", "stopped by SIGUSR1; the last finished epoch is safe, to continue: wn run train"),
    ],
)
@pytest.mark.parametrize("where", ["step:2", "step:6", "logged:5", "saved:4"])
def test_a_signal_stops_every_run_and_the_same_command_continues(where, what, code, status, said, unbroken, tmp_path):
    """In a step that is made for all, and between the epochs of one of them."""
    words = [*TRAIN, "--repeats", "3", "--stack"]
    answer = fork([*words, "--fresh"], tmp_path, f"{where}:{what}")
    assert answer.code == code
    assert answer.line.startswith(said)
    assert answer.line.endswith(f"wn {' '.join(words)}")
    records = [Run.open(path).record for path in seeds(tmp_path).values()]
    assert [record["status"] for record in records] == [status] * 3
    assert "running" not in fork(["runs"], tmp_path).out
    ok(fork(words, tmp_path))
    assert not [found for seed, path in seeds(tmp_path).items() for found in unlike(unbroken[seed], path, IMAGES)]
