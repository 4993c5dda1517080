"""``wn`` in processes of their own, which start in a moment and can be struck at chosen points.

A server that has torch loaded forks one process a command. A point says where and what: ``"logged:2:KILL"`` sends SIGKILL
after the second line of metrics, ``"step:5:full"`` lets files grow no further after the fifth optimiser step. ``captured``
counts chunks of a capture, of which each is then a part of its own.
"""

import contextlib
import functools
import itertools
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from answers import Answer

PRELOADED = (
    *("pytest", "widenet.engines.loaded", "widenet.cli.progress", "widenet.cli.summary"),
    *("widenet.builtin.datasets.tiny", "widenet.builtin.models.fc", "widenet.builtin.models.conv", "widenet_supermask.method"),
)
PATIENCE = 60.0
HELD = "held"
"""File that a process makes when it is held; it goes on when the file is gone."""

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(list(PRELOADED))


@attrs.define
class Running:
    """A process under way."""

    process: multiprocessing.Process
    folder: Path

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def wait(self) -> Answer:
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        return Answer(code, *((self.folder / name).read_text() for name in ("out", "err")))


@contextlib.contextmanager
def started(words: Sequence[str], cwd: Path, *points: str) -> Iterator[Running]:
    """``wn`` with these words in the folder ``cwd``; it is killed if it still runs at the end."""
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_child, args=(list(map(str, words)), Path(cwd), Path(folder), points))
        process.start()
        running = Running(process, Path(folder))
        try:
            yield running
        finally:
            with contextlib.suppress(ValueError):
                process.kill()
                running.wait()


def fork(words: Sequence[str], cwd: Path, *points: str) -> Answer:
    """Run ``wn`` to its end."""
    with started(words, cwd, *points) as running:
        return running.wait()


def run_path(cwd: Path) -> Path:
    """The only run made in the folder ``cwd``."""
    (path,) = Path(cwd).glob("runs/*/seed-*")
    return path


def wait_for(path: Path) -> None:
    """Wait until the file is there."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def write_for_ever(folder: Path) -> None:
    """Write one file of arrays over and over, until killed."""
    import numpy as np

    from widenet.store import write_arrays

    for number in itertools.count():
        write_arrays(folder / "x.h5", {"mask": np.full((300, 300), number % 2 == 1), "number": np.full(20_000, number)}, {})
        (folder / "ready").touch()


def _child(words: list[str], cwd: Path, folder: Path, points: Sequence[str]) -> None:
    os.chdir(cwd)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY), number)
    sys.argv = ["wn", *words]
    from widenet.cli.main import guarded

    for point in points:
        where, count, what = point.split(":")
        PLACES[where](_Strike(int(count), what))
    sys.exit(guarded(words))


class _Strike:
    """Does something the n-th time it is called."""

    def __init__(self, count: int, what: str) -> None:
        self.left, self.what = count, what

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left:
            return
        if self.what == "full":
            _fill()
        elif self.what == "hold":
            Path(HELD).touch()
            while Path(HELD).exists():
                time.sleep(0.01)
        else:
            os.kill(os.getpid(), signal.Signals[f"SIG{self.what}"])


def _fill() -> None:
    """From here on files end 10 bytes beyond what the metrics have now: the next write of any file is cut off."""
    size = next(Path().glob("*/*/*/metrics.jsonl")).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))


def _after(owner: object, name: str, strike: _Strike, only: str | None = None) -> None:
    """Strike after each call; with ``only``, after those whose first argument (after self) it is."""
    original = getattr(owner, name)

    def wrapped(*args, **kwargs):
        result = original(*args, **kwargs)
        if only is None or only in args[1:2]:
            strike()
        return result

    setattr(owner, name, wrapped)


def _step(strike: _Strike) -> None:
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(strike)


def _logged(strike: _Strike) -> None:
    from widenet.runs import Run

    _after(Run, "log", strike)


def _saved(strike: _Strike) -> None:
    from widenet.train import checkpoint

    _after(checkpoint, "save", strike)


def _weights(strike: _Strike) -> None:
    from widenet.runs import Run

    _after(Run, "save_weights", strike, only="final")


def _masks(strike: _Strike) -> None:
    from widenet.runs import Run

    _after(Run, "save_masks", strike, only="final")


def _half(strike: _Strike) -> None:
    """Strike when half of a checkpoint is written."""
    import torch

    save = torch.save

    def half(content, file):
        save(content, file)
        if str(file.name).endswith("checkpoint.pt.part"):
            if strike.left == 1:
                file.truncate(file.tell() // 2)
            strike()

    torch.save = half


def _renaming(strike: _Strike) -> None:
    """Strike when a checkpoint is written but does not have its name yet."""
    original = Path.replace

    def replace(self, target):
        if target.name == "checkpoint.pt":
            strike()
        return original(self, target)

    Path.replace = replace


def _captured(strike: _Strike) -> None:
    """Strike after a chunk of a capture is written; every chunk is a part."""
    from widenet.capture import writing

    writing.PART = 1
    _after(writing, "write", strike)


def _recording(status: str, strike: _Strike) -> None:
    """Strike before the record of a run with this status is written."""
    from widenet.runs import Run

    original = Run.save

    def save(self):
        if self.record["status"] == status:
            strike()
        original(self)

    Run.save = save


PLACES = {
    "step": _step,
    "logged": _logged,
    "half": _half,
    "renaming": _renaming,
    "saved": _saved,
    "weights": _weights,
    "masks": _masks,
    "captured": _captured,
    "finishing": functools.partial(_recording, "finished"),
    "stopping": functools.partial(_recording, "stopped"),
}
