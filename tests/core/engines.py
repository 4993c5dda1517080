"""What the engines of sweeps are tested with: commands, and their runs as one process after the other leaves them."""

import os
import threading
import time
from pathlib import Path

import pytest
from alike import differences
from processes import fork

from widenet.runs import Run

PLUGIN = Path(__file__).with_name("repeating.py")
PATIENCE = 300.0
"""Seconds, for machines with much else to do."""
MASKED = [
    *("run", "masked", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--threads", "1", "--batch-size", "32", "--quiet"),
    *("--epochs", "3", "--lr", "0.02", "--plugin", str(PLUGIN)),
]
HELD = [*MASKED, "--held"]
"""Waits in its second epoch for a file called go; the first is saved."""


def seeded(words, count):
    """The command from so many seeds."""
    return [[*words, "--seed", str(seed)] for seed in range(count)]


def plain(every, cwd):
    """Carry out the commands one after the other."""
    cwd.mkdir()
    (cwd / "go").touch()
    for words in every:
        assert fork(words, cwd).code == 0


def assert_same(one, other):
    """Two folders hold the same runs, bit for bit but for times."""
    runs = [sorted(path.relative_to(cwd) for path in cwd.glob("runs/*/seed-*")) for cwd in (one, other)]
    assert runs[0] == runs[1]
    for path in runs[0]:
        assert not differences(one / path, other / path)


def status(cwd, seed=0):
    """What the record of a run says."""
    (path,) = cwd.glob(f"runs/*/seed-{seed}")
    return Run.open(path).record["status"]


def held(cwd, seed=0):
    """The process of a run that has come to wait; the mark of it is taken away."""
    mark = cwd / f"held-{seed}"
    wait_until(mark.exists)
    pid = int(mark.read_text())
    mark.unlink()
    return pid


def gone(pid):
    """Whether the process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def leave(sweep, interrupted):
    """Close the generator, or interrupt it."""
    if not interrupted:
        sweep.close()
        return
    with pytest.raises(KeyboardInterrupt):
        sweep.throw(KeyboardInterrupt)


class Sweep(threading.Thread):
    """An engine at work beside the test."""

    def __init__(self, generator):
        super().__init__(daemon=True)
        self.generator, self.ended, self.failed = generator, {}, None
        self.start()

    def run(self):
        try:
            for number, error in self.generator:
                self.ended[number] = error
        except Exception as error:
            self.failed = error

    def wait(self):
        """What each command has come to."""
        self.join(PATIENCE)
        assert not self.is_alive(), "it goes on"
        if self.failed:
            raise self.failed
        return self.ended
