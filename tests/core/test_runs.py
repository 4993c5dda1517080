"""Run folders: what is written, found, listed and locked."""

import json
import math
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from widenet.errors import UsageError, WnError
from widenet.runs import Run, find, flat, jsonable, listing, locked, set_aside, writing
from widenet.runs.lock import check_free

RECORD = {"schema": 1, "component": "core/train", "arch": {"name": "core/fc", "options": {}}, "argv": ["run", "train"]}
RECORD |= {"dataset": {"name": "core/tiny", "options": {}}, "options": {}, "result": {}, "seed": 0, "status": "finished"}


def make(root, name, seed=0, **fields):
    """A run's folder with nothing but its record."""
    path = root / name / f"seed-{seed}"
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps({**RECORD, "started": "", "seed": seed, **fields}))
    return path


# -- finding and listing -----------------------------------------------------------------------------------------------


def test_a_run_is_found_by_path_by_name_and_by_a_folder_of_one_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = make(Path("runs"), "a-b-c-01234567", seed=3)
    for text in (path, f"{path}/", path.parent, path.absolute(), "a-b-c-01234567/seed-3", "a-b-c-01234567"):
        assert find(str(text), Path("runs")).absolute() == path.absolute()


def test_several_seeds_must_be_told_apart(tmp_path):
    for seed in (0, 1):
        make(tmp_path, "a", seed=seed)
    with pytest.raises(UsageError, match="holds 2 runs; name one: seed-0, seed-1"):
        find("a", tmp_path)


@pytest.mark.parametrize("text", ["supermask-conv4-digits-1/seed-0", "supermask-conv4-digts-1"])
def test_the_nearest_run_is_named(text, tmp_path):
    make(tmp_path, "supermask-conv4-digits-1", seed=1)
    make(tmp_path, "supermask-conv4-digits-1", seed=2)
    with pytest.raises(UsageError, match="did you mean 'supermask-conv4-digits-1"):
        find(text, tmp_path)


@pytest.mark.parametrize("text", ["", ".", "x", "x" * 5000, "/dev/null", "a\nb"])
def test_no_such_run(text, tmp_path):
    (tmp_path / "here").mkdir()
    with pytest.raises(UsageError, match=r"no run|cannot look"):
        find(text, tmp_path / "here")


def test_listing_is_in_order_of_time_and_tells_what_became_of_each(tmp_path):
    make(tmp_path, "late", started="2026-02-01")
    make(tmp_path, "early", started="2026-01-01", status="failed")
    make(tmp_path, "dead", started="2026-01-15", status="running")
    make(tmp_path, "held", started="2026-03-01", status="running")
    make(tmp_path, "other", started="2026-03-02", schema=99)
    (make(tmp_path, "broken") / "run.json").write_text("{")
    (tmp_path / "late" / "old-1-seed-0").mkdir()
    with writing(tmp_path / "held" / "seed-0"):
        found = [(run.path.parent.name, run.record["status"]) for run in listing(tmp_path)]
    assert found == [
        ("broken", "damaged"),
        ("other", "damaged"),
        ("early", "failed"),
        ("dead", "partial"),
        ("late", "finished"),
        ("held", "running"),
    ]


def test_no_runs_are_an_empty_listing(tmp_path):
    assert listing(tmp_path / "nothing") == []


@pytest.mark.parametrize("content", ["[]", "{}", "1", json.dumps({**RECORD, "started": "", "schema": 2}), '{"schema": 1}'])
def test_a_record_that_is_none_is_refused(content, tmp_path):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(WnError, match="--fresh"):
        Run.open(tmp_path)


def test_set_aside_takes_the_next_free_name(tmp_path):
    moved = []
    for content in "ab":
        make(tmp_path, "x", note=content)
        moved.append(set_aside(tmp_path / "x" / "seed-0"))
    assert [path.name for path in moved] == ["old-1-seed-0", "old-2-seed-0"]
    assert [json.loads((path / "run.json").read_text())["note"] for path in moved] == ["a", "b"]


# -- random numbers, metrics, values -----------------------------------------------------------------------------------


def test_every_purpose_has_its_own_stream(tmp_path):
    def draw(seed, *purpose):
        return torch.rand(4, generator=Run(tmp_path, {"seed": seed}).generator(*purpose)).tolist()

    assert draw(0, "mask", "convs.0") == draw(0, "mask", "convs.0")
    others = [
        draw(0, "mask", "convs.2"),
        draw(0, "order", "convs.0"),
        draw(1, "mask", "convs.0"),
        draw(0, "mask", "convs.0", 1),
    ]
    assert all(other != draw(0, "mask", "convs.0") for other in others)


def test_purposes_are_pinned(tmp_path):
    assert Run(tmp_path, {"seed": 0}).seed_for("mask", "convs.0") == 5135187771615240332


def test_global_streams_are_seeded_for_a_purpose(tmp_path):
    import random

    def draw(purpose):
        Run(tmp_path, {"seed": 0}).seed_everything(purpose)
        return torch.rand(()).item(), random.random(), np.random.random()  # noqa: NPY002

    assert draw("a") == draw("a")
    assert all(one != other for one, other in zip(draw("a"), draw("b"), strict=True))


@pytest.fixture
def run(tmp_path):
    made = Run(tmp_path, {"seed": 0})
    for epoch in (1, 2, 3):
        made.log({"epoch": epoch, "loss": math.nan if epoch == 2 else 0.5 * epoch})
    return made


def test_metrics_are_lines_without_numbers_that_json_lacks(run):
    assert run.metrics() == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": None}, {"epoch": 3, "loss": 1.5}]
    assert "NaN" not in (run.path / "metrics.jsonl").read_text()


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_cut_off_by_a_kill_is_left_out(cut, run):
    path = run.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    assert [line["epoch"] for line in run.metrics()] == [1, 2]
    for lines in (3, 2):
        run.rewind(lines)
        assert [line["epoch"] for line in run.metrics()] == [1, 2]
    run.log({"epoch": 3})
    assert [line["epoch"] for line in run.metrics()] == [1, 2, 3]


@pytest.mark.parametrize(("lines", "left"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (9, [1, 2, 3])])
def test_rewind_keeps_the_first_lines(lines, left, run):
    run.rewind(lines)
    assert [line["epoch"] for line in run.metrics()] == left
    assert [path.name for path in run.path.iterdir()] == ["metrics.jsonl"]


def test_a_run_without_metrics(tmp_path):
    run = Run(tmp_path, {"seed": 0})
    run.rewind(2)
    assert run.metrics() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"{]\n", b"\xff\xfe\n"])
def test_damaged_metrics_are_refused(content, run):
    (run.path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(WnError, match=r"metrics.jsonl is damaged.*--fresh"):
        run.metrics()


def test_what_is_said_is_kept(run):
    run.say("first")
    run.note("second")
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == ["first", "second"]


def test_values_become_what_json_can_hold():
    given = {"a": torch.tensor(0.5), "b": np.int64(3), "c": np.float32("nan"), "d": -math.inf, "e": (1, True, None, "x")}
    expected = {"a": 0.5, "b": 3, "c": None, "d": None, "e": [1, True, None, "x"], "f": "x/y", "g": {"1": [2]}}
    assert jsonable({**given, "f": Path("x/y"), "g": {1: [np.array([2])]}}) == expected
    for bad in (torch.zeros(2), object(), {"a": b"x"}, np.zeros((2, 2)), {1, 2}):
        with pytest.raises(TypeError, match="plain values"):
            jsonable(bad)


def test_rows_are_flat():
    assert flat({"layer": "a", "n": np.int32(2), "x": math.nan}) == {"layer": "a", "n": 2, "x": None}
    for bad in ([1], {"a": [1]}, {"a": {}}, {"a": np.zeros(2)}):
        with pytest.raises(TypeError, match=r"dicts|flat|plain"):
            flat(bad)


# -- the lock ----------------------------------------------------------------------------------------------------------


def test_a_folder_held_elsewhere_is_refused_with_host_and_process(tmp_path):
    path = tmp_path / "a" / "seed-0"
    with writing(path):
        assert locked(path)
        for take in (writing(path).__enter__, lambda: check_free(path)):
            with pytest.raises(UsageError, match=f"process {os.getpid()} on {socket.gethostname()} is writing"):
                take()
    assert not locked(path)
    check_free(path)
    with writing(path):
        pass


def test_what_a_dead_holder_noted_does_not_matter(tmp_path):
    for note in (f"{socket.gethostname()} 4194304", "elsewhere 1", "nonsense", f"{socket.gethostname()} {10**30}"):
        (tmp_path / ".seed-0.writer").write_text(note)
        check_free(tmp_path / "seed-0")
        with writing(tmp_path / "seed-0"):
            pass


def test_a_failure_inside_lets_go(tmp_path):
    with pytest.raises(KeyError), writing(tmp_path / "seed-0"):
        raise KeyError
    assert not locked(tmp_path / "seed-0")
