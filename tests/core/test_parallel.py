"""Processes that train together come to what one process comes to, and to the same among themselves, bit for bit."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from alike import differences, timeless
from processes import Running, _child, context, run_path

from widenet.runs import Run, twin
from widenet.train import parallel

WILD = Path(__file__).with_name("wild.py")
COMMON = ["--dataset", "tiny", "--threads", "1", "--quiet"]
CONV = ["--arch", "conv2:width=0.05", *COMMON, "--batch-size", "32"]
FC = ["--arch", "fc:hidden=12,8", *COMMON, "--batch-size", "32"]
STEPS = 4
"""Optimiser steps in an epoch."""
METHODS = {
    "train": ["train", *FC, "--epochs", "3", "--save-every", "2"],
    "adam": ["train", *CONV, "--epochs", "2", "--optimizer", "adam", "--lr", "0.01", "--val", "0.2"],
    "uneven": ["train", *FC[:-1], "27", "--epochs", "2"],
    "supermask": ["supermask", *CONV, "--epochs", "3", "--save-every", "1"],
    "sample": ["supermask", *CONV, "--epochs", "2", "--variant", "sample", "--eval-samples", "2"],
    "iterand": ["supermask", *CONV, "--epochs", "2", "--variant", "iterand", "--redraw-every", "3"],
    "twice": ["twice", *FC, "--epochs", "2", "--plugin", WILD],
}
NORMED = ["train", "--arch", "resnet20:width=0.25", *COMMON, "--batch-size", "50", "--epochs", "2"]
NOISY = ["noisy", *FC[:-1], "27", "--epochs", "3", "--eval-every", "2", "--plugin", WILD]


def _ranked(rank, world, port, words, cwd, folder, points):
    """A process as torchrun starts it."""
    given = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in given.items()})
    parallel.GRACE = 0.5
    tempfile.tempdir = str(cwd)
    _child(words, cwd, folder, points)


def together(words, cwd, *points, world=2, struck=0):
    """Run ``wn`` in several processes, one of which is struck; one that fails ends the others, as torchrun has it."""
    with socket.socket() as free, contextlib.ExitStack() as stack:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        started = []
        for rank in range(world):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            given = (rank, world, port, list(map(str, words)), Path(cwd), folder, points if rank == struck else ())
            started.append(Running(context.Process(target=_ranked, args=given), folder))
            started[-1].process.start()
        end = time.monotonic() + 60
        while any(running.process.is_alive() for running in started) and time.monotonic() < end:
            if any(running.process.exitcode for running in started):
                time.sleep(0.1)
                for running in started:
                    running.process.terminate()
            time.sleep(0.02)
        return [running.wait() for running in started]


@pytest.fixture(scope="module")
def joint(tmp_path_factory):
    """``joint(words)``: the finished run of two processes that nothing disturbed; only to be read."""
    made = {}

    def make(words):
        key = " ".join(map(str, words))
        if key not in made:
            cwd = tmp_path_factory.mktemp("joint")
            answers = together(["run", *words], cwd)
            assert [answer.code for answer in answers] == [0, 0], answers
            assert (answers[1].out, answers[1].err) == ("", "")
            made[key] = run_path(cwd)
        return made[key]

    return make


def same(one, other):
    """Whether two runs have equal masks, and equal metrics and weights but for rounding."""
    first, second = Run.open(one), Run.open(other)
    for path in sorted(one.rglob("*.h5")):
        if path.parent.name == "masks":
            masks, others = first.masks(path.stem), second.masks(path.stem)
            assert masks.keys() == others.keys()
            assert all(np.array_equal(mask, others[name]) for name, mask in masks.items()), path
    weights, others = first.weights(), second.weights()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, others[name], atol=1e-4, rtol=1e-4)
    assert [line.keys() for line in timeless(first)] == [line.keys() for line in timeless(second)]
    for line, other_line in zip(timeless(first), timeless(second), strict=True):
        for key, value in line.items():
            exact = not key.endswith("loss")
            assert other_line[key] == (value if exact else pytest.approx(value, abs=1e-5)), (key, line, other_line)
    assert first.record["result"].keys() == second.record["result"].keys()


# -- as one ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_are_as_one(name, joint, unbroken):
    same(unbroken(["run", *METHODS[name]]), joint(METHODS[name]))


@pytest.mark.parametrize("images", [33, 34, 35])
def test_a_batch_may_be_too_small_for_all(images, unbroken, tmp_path):
    words = ["train", "--arch", "fc:hidden=8", "--dataset", f"tiny:train={images},test=2", *FC[4:], "--epochs", "2"]
    assert [answer.code for answer in together(["run", *words], tmp_path, world=3)] == [0, 0, 0]
    same(unbroken(["run", *words]), run_path(tmp_path))


def test_the_record_says_how_many(joint, unbroken):
    assert Run.open(joint(METHODS["train"])).record["environment"]["processes"] == 2
    assert "processes" not in Run.open(unbroken(["run", *METHODS["train"]])).record["environment"]


def test_nothing_is_left_of_those_that_follow(joint, unbroken):
    one, two = unbroken(["run", *METHODS["supermask"]]), joint(METHODS["supermask"])
    assert sorted(p.relative_to(one) for p in one.rglob("*")) == sorted(p.relative_to(two) for p in two.rglob("*"))
    assert [path.name for path in two.parents[2].iterdir()] == ["runs"]


SPYING = """
import os

import torch
from widenet import Method, Train, hookimpl


def spying(run, net, data, config):
    from widenet.masks import modules
    from widenet_supermask.config import Supermask
    from widenet_supermask.method import find_mask

    found = find_mask(run, net, data, Supermask(epochs=2, batch_size=27, lr=0.05, compat="none"))
    torch.save([net.state_dict(), {k: m.mask for k, m in modules(net).items()}, torch.rand(3), run.metrics()[-1]["test/loss"]],
               f"{os.environ['RANK']}.pt")
    return found


def differing(run, net, data, config):
    from widenet.train import fit

    for epoch in fit(run, net, data, config):
        if epoch.number == 2:
            next(net.parameters()).data += int(os.environ["RANK"])


def wrong(run, net, data, config):
    if os.environ.get("RANK", "1") == "1":
        from widenet.errors import UsageError
        raise UsageError("no such thing; ask for another")


@hookimpl
def methods():
    yield Method("spying", spying, Train)
    yield Method("differing", differing, Train)
    yield Method("wrong", wrong, Train)
"""


@pytest.fixture
def spy(tmp_path):
    """A plugin of methods that look at what each process has."""
    (tmp_path / "spy.py").write_text(SPYING)
    return ["--plugin", "spy.py"]


@pytest.mark.parametrize("arch", ["conv2:width=0.05", "resnet20:width=0.25"])
def test_processes_are_equal_bit_for_bit(arch, spy, tmp_path):
    answers = together(["run", "spying", *spy, "--arch", arch, *COMMON], tmp_path)
    assert [answer.code for answer in answers] == [0, 0], answers
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for a, b in zip(first[:2], second[:2], strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert torch.equal(first[2], second[2])
    assert first[3] == second[3]


def test_dropout_does_not_part_the_random_streams(joint):
    """Each process drops units of its own parts, which differ in size; the masks that are drawn next are the same."""
    assert len(Run.open(joint(NOISY)).metrics()) == 3


def test_batch_norm_is_told_of_and_its_statistics_are_averaged(tmp_path):
    answers = together(["run", *(word for word in NORMED if word != "--quiet")], tmp_path)
    assert [answer.code for answer in answers] == [0, 0], answers
    assert answers[0].err.count("batch norm takes its statistics from a batch's parts in 2 processes") == 1
    assert np.isfinite(Run.open(run_path(tmp_path)).metrics()[-1]["test/loss"])


def test_processes_that_differ_do_not_go_on(spy, tmp_path):
    leading, following = together(["run", "differing", *spy, *FC], tmp_path)
    assert leading.code == 1
    assert "the processes' networks differ in linear.0.weight" in leading.line
    assert following.err == ""
    assert torch.load(run_path(tmp_path) / "checkpoint.pt")["epoch"] == 1


# -- broken off --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("train", ["logged:1:KILL"]),
        ("train", [f"step:{STEPS + 2}:KILL", "saved:2:TERM"]),
        ("supermask", ["saved:2:KILL"]),
        ("supermask", ["weights:1:KILL"]),
        ("twice", ["saved:3:KILL", "logged:1:KILL"]),
    ],
)
def test_killed_and_resumed_is_the_same(name, points, joint, tmp_path):
    words = ["run", *METHODS[name]]
    for point in points:
        leading, following = together(words, tmp_path, point)
        assert leading.code == {"KILL": -signal.SIGKILL, "TERM": 75}[point[-4:]]
        assert following.code not in (0, None)
    answers = together(words, tmp_path)
    assert [answer.code for answer in answers] == [0, 0], answers
    assert not differences(joint(METHODS[name]), run_path(tmp_path))


def test_one_that_follows_dies(joint, tmp_path):
    words = ["run", *METHODS["train"]]
    leading, following = together(words, tmp_path, f"step:{STEPS + 2}:KILL", struck=1)
    assert following.code == -signal.SIGKILL
    assert leading.code in (1, 75)
    assert Run.open(run_path(tmp_path)).record["status"] in ("failed", "stopped")
    assert [answer.code for answer in together(words, tmp_path)] == [0, 0]
    assert not differences(joint(METHODS["train"]), run_path(tmp_path))


def test_another_number_of_processes_is_told_of(tmp_path):
    words = ["run", *(word for word in METHODS["train"] if word != "--quiet")]
    together(words, tmp_path, "saved:1:KILL")
    (answer,) = together(words, tmp_path, world=1)
    assert "processes 2 -> 1: results may differ in the last digits" in answer.err
    assert Run.open(run_path(tmp_path)).record["status"] == "finished"


def test_a_loss_not_finite_ends_all_with_one_line(tmp_path):
    words = ["run", "failing", *FC, "--plugin", WILD, "--how", "nan", "--at", "2", "--epochs", "3"]
    leading, following = together(words, tmp_path)
    assert leading.code == 1
    assert "no longer finite at step 3 of epoch 2" in leading.line
    assert following.code
    assert following.err == ""
    assert len(Run.open(run_path(tmp_path)).metrics()) == 1


def test_what_only_one_that_follows_cannot_do_is_told(spy, tmp_path):
    leading, following = together(["run", "wrong", *spy, *FC], tmp_path)
    assert following.code == 2
    assert following.line == "no such thing; ask for another"
    assert leading.code in (1, 75)


def test_a_finished_run_is_told_once(joint, tmp_path):
    shutil.copytree(joint(METHODS["supermask"]).parents[1], tmp_path / "runs")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    leading, following = together(["run", *METHODS["supermask"]], tmp_path)
    assert (leading.code, following.code) == (0, 0)
    assert "test accuracy" in leading.out
    assert (following.out, following.err) == ("", "")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_request_that_is_refused_leaves_no_trace(spy, wn, tmp_path):
    answer = wn("run", "wrong", "--plugin", tmp_path / "spy.py", *FC)
    assert answer.code == 2
    assert answer.line == "no such thing; ask for another"
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.slow
def test_torchrun(unbroken, tmp_path):
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "widenet", "run"]
    done = subprocess.run([sys.executable, *words, *METHODS["supermask"]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1
    same(unbroken(["run", *METHODS["supermask"]]), run_path(tmp_path))


def test_a_twin_is_written_without_touching_the_run(joint, tmp_path):
    shutil.copytree(joint(METHODS["supermask"]), run := tmp_path / "runs" / "name" / "seed-0")
    (run / "weights" / "final.pt.part").touch()
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in run.rglob("*")}
    other = Run.open(twin(run, tmp_path / "elsewhere"))
    assert other.name == "name/seed-0"
    assert other.metrics() == Run.open(run).metrics()
    assert other.masks().keys() == Run.open(run).masks().keys()
    other.rewind(1)
    other.log({"epoch": 9})
    other.note("a line")
    other.save_masks("final", {"x": np.ones(3, bool)})
    other.save_weights("final", {"x": torch.ones(3)})
    other.save()
    assert {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in run.rglob("*")} == before
    assert list(other.masks()) == list(other.weights()) == ["x"]
    assert [line["epoch"] for line in other.metrics()] == [1, 9]
