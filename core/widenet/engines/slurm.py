"""``wn`` commands as the array jobs of a Slurm cluster, submitted by submitit.

A job that Slurm preempts, or whose time is up, goes back to the queue; its run continues from the last epoch.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from widenet.engines import child, failure
from widenet.errors import UsageError, WnError

ARRAY = 1000
"""Jobs of one array, below Slurm's default limit."""
TIME = 60
"""Minutes of a job, unless told otherwise: long enough for an epoch, the queue does the rest."""
TIMEOUTS = 100
"""How often a job whose time is up goes back to the queue."""
POLL, GLANCE = 5.0, 0.5
"""Seconds between two looks at the queue, and between two at the results."""
LATE = 10.0
"""Seconds to wait for the result of a job that has ended: file systems take their time."""
STOPPING = 40.0
"""Seconds that a job has to stop its run, of the 90 between Slurm's notice and the end; and Slurm, to end cancelled jobs."""
OWN = {
    "partition": "slurm_partition",
    "time": "timeout_min",
    "gpus": "gpus_per_node",
    "cpus": "cpus_per_task",
    "array-parallelism": "slurm_array_parallelism",
}
"""What submitit calls the parameters that have an option of their own."""
FIXED = {"array", "error", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output"}
"""Options of sbatch that the engine settles."""
ACTIVE = {"CONFIGURING", "COMPLETING", "PENDING", "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"} | {
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "SPECIAL_EXIT",
}
"""States from which a job may yet come to a result."""
TAKEN = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED"}
"""States in which the cluster has ended a job that can go back to the queue."""


def commands(
    every: Sequence[Sequence[str]], folder: Path, parameters: Mapping[str, Any] | None = None
) -> Generator[tuple[int, WnError | None], None, None]:
    """Run ``wn`` with each list of words as a job of an array, in this folder, which the nodes must share.

    Yields the number of each that has ended, as it ends, and what it failed with, if it did. Left early, the jobs that are
    pending or running are cancelled; the latter note in their runs that they were stopped.

    Args:
        every: the lists of words.
        folder: for what jobs print and submitit keeps, on a file system that the nodes share.
        parameters: ``partition``, ``time`` (minutes), ``gpus``, ``cpus``, ``array_parallelism`` (jobs at once), or options of
            sbatch by their own names (True or an empty text for one without a value).

    Raises:
        UsageError: submitit or Slurm is not there; Slurm refuses the jobs.
    """
    if find_spec("submitit") is None:
        raise UsageError('--launch slurm needs submitit: pip install "widenet[slurm]"')
    for program in ("sbatch", "srun"):
        if shutil.which(program) is None:
            raise UsageError(f"{program} not found; --launch slurm is for machines that submit to a Slurm cluster")
    name = f"wn-{uuid4().hex[:12]}"
    logs = (folder / name).absolute()
    left, failed = True, False
    try:
        jobs = _submit(every, logs, name, _settled(parameters or {}))
        for number, error in _ended(dict(enumerate(jobs)), name):
            failed = failed or error is not None
            yield number, error
        left = False
    finally:
        if left:
            _cancel(name)
        elif not failed:
            shutil.rmtree(logs, ignore_errors=True)


def _settled(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as submitit calls them.

    Raises:
        UsageError: no number where one is due; an option that is the engine's.
    """
    known: dict[str, Any] = {"timeout_min": TIME}
    others: dict[str, Any] = {"requeue": True}
    for key, value in given.items():
        option = key.replace("_", "-")
        if value is None:
            continue
        if option in FIXED:
            raise UsageError(f"{key} is settled by wn; leave it out")
        if option not in OWN:
            others[option] = True if value in (True, "") else value
        elif option == "partition":
            known[OWN[option]] = value
        else:
            known[OWN[option]] = _count(key, value)
    return {**known, "slurm_additional_parameters": others}


def _count(key: str, value: Any) -> int:
    with contextlib.suppress(ValueError):
        if (number := int(value)) > 0:
            return number
    raise UsageError(f"{key}={value} is no positive whole number")


def _submit(every: Sequence[Sequence[str]], logs: Path, name: str, parameters: Mapping[str, Any]) -> list[Any]:
    """A job for each list of words, in as few arrays as may be.

    Raises:
        UsageError: Slurm refuses them.
    """
    import submitit
    from submitit.core.utils import FailedJobError

    work = [Command(list(words), str(Path.cwd())) for words in every]
    executor = submitit.AutoExecutor(logs, cluster="slurm", slurm_max_num_timeout=TIMEOUTS)
    executor.update_parameters(name=name, **parameters)
    jobs: list[Any] = []
    try:
        with _outside(), contextlib.redirect_stderr(io.StringIO()):  # what sbatch says is in the error
            for first in range(0, len(work), ARRAY):
                with executor.batch():
                    jobs += [executor.submit(each) for each in work[first : first + ARRAY]]
    except FailedJobError as error:
        lines = [line.removeprefix("sbatch: ") for line in str(error).splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("error: ")), lines[0] if lines else "sbatch failed")
        raise UsageError(f"Slurm refuses the jobs: {said.removeprefix('error: ')}") from None
    return jobs


@contextlib.contextmanager
def _outside() -> Iterator[None]:
    """An environment without the marks of a job that this process may itself be part of."""
    import submitit

    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    kept = {key: value for key, value in os.environ.items() if key == "SLURM_CONF" or key.startswith("SBATCH_")}
    with submitit.helpers.clean_env():
        os.environ.update(kept)
        yield


# -- waiting for jobs --------------------------------------------------------------------------------------------------


def _ended(jobs: dict[int, Any], name: str) -> Iterator[tuple[int, WnError | None]]:
    """The number of each job that has ended, as it ends, and what it failed with, if it did."""
    gone: dict[int, float] = {}
    """Since when a job is known to have ended without a result."""
    looked = time.monotonic()
    while jobs:
        for number, job in list(jobs.items()):
            if (answer := _result(job)) is not None:
                del jobs[number]
                yield number, failure(*answer)
        if time.monotonic() - looked > POLL:
            looked = time.monotonic()
            yield from _lost(jobs, gone, _states(name))
        time.sleep(GLANCE)


def _result(job: Any) -> tuple[int, str] | None:
    """Exit code and output of a command that has ended by itself."""
    from submitit.core.utils import FailedJobError

    with contextlib.suppress(FailedJobError, OSError):
        return job.result() if job.paths.result_pickle.exists() else None
    return None  # of the job, not of the command: it may be on its way back to the queue


def _lost(jobs: dict[int, Any], gone: dict[int, float], states: Mapping[str, str] | None) -> Iterator[tuple[int, WnError]]:
    """The jobs that have ended without a result."""
    if states is None:
        return
    now = time.monotonic()
    for number, job in list(jobs.items()):
        state = states.get(job.job_id, "GONE")
        if state in ACTIVE or (state in TAKEN and _requeue(job.job_id)):
            gone.pop(number, None)
        elif now - gone.setdefault(number, now) >= LATE:
            del jobs[number]
            yield number, WnError(_why(job, state))


def _why(job: Any, state: str) -> str:
    """What became of a job that has no result."""
    from submitit.core.utils import FailedJobError

    said = f"[{job.paths.stderr}]"
    if state == "CANCELLED":
        return "the job was cancelled; the same command continues it"
    try:
        if job.paths.result_pickle.exists():
            job.result()
    except FailedJobError as error:
        last = next((line for line in reversed(str(error).splitlines()) if "Error: " in line), "")
        return f"the job failed: {last.partition('Error: ')[2] or 'see its log'} {said}"
    return f"Slurm ended the job: {state.lower().replace('_', ' ')} {said}"


def _states(name: str) -> dict[str, str] | None:
    """The state of each job of that name that Slurm remembers, by its number; None if Slurm does not answer.

    ``sacct`` would tell as well, but many a small cluster keeps no accounts.
    """
    answer = _ask("squeue", "--noheader", "--array", "--states=all", f"--name={name}", "--format=%i %T")
    if answer is None:
        return None
    return dict(line.split(maxsplit=1) for line in answer.splitlines() if line.strip())


def _requeue(job: str) -> bool:
    return _ask("scontrol", "requeue", job) is not None


def _cancel(name: str) -> None:
    """Cancel the jobs of that name, and wait until they have ended."""
    _ask("scancel", f"--name={name}")
    end = time.monotonic() + STOPPING
    while time.monotonic() < end and set((_states(name) or {}).values()) & ACTIVE:
        time.sleep(GLANCE)


def _ask(*command: str) -> str | None:
    """What a command of Slurm's prints; None if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None


# -- in a job ----------------------------------------------------------------------------------------------------------


class Command:
    """``wn`` with some words in some folder, as submitit carries it out, in a process of its own.

    Slurm's signals go to all processes of a job. Its notice that time is up, or that the job gives way to another, is for
    submitit, which calls :meth:`checkpoint` and puts the job back into the queue. SIGTERM says that Slurm ends the job itself.
    """

    def __init__(self, words: list[str], cwd: str) -> None:
        self.words, self.cwd = words, cwd
        self.process: subprocess.Popen[bytes] | None = None
        self.told = False

    def __call__(self) -> tuple[int, str]:
        """Carry it out; its exit code and what it printed."""
        import submitit

        environment = submitit.JobEnvironment()
        signal.signal(signal.SIGTERM, self._tell)
        with (environment.paths.folder / f"{environment.job_id}.txt").open("a+b") as said:
            begin = said.seek(0, os.SEEK_END)
            self.process = child.start(self.words, self.cwd, said)
            with self.process:
                code = self.process.wait()
            said.seek(begin)
            text = said.read().decode(errors="replace")
        if code and (self.told or code == -signal.SIGTERM):
            _await_the_end(environment.job_id, code)
        return code, text

    def checkpoint(self) -> Any:
        """Stop the command; what continues it."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            child.stop(self.process, STOPPING)
        return DelayedSubmission(Command(self.words, self.cwd))

    def _tell(self, *_: Any) -> None:
        self.told = True
        if self.process is not None:
            self.process.send_signal(child.STOP)


def _await_the_end(job: str, code: int) -> None:
    """Leave no result where Slurm ends the job, for it may carry it out again; returns if the signal was somebody else's.

    A job that gives way to another runs on until its grace is over: if it ended before, it would not go back to the queue.
    """
    while (answer := _ask("scontrol", "show", "job", "--oneliner", job)) is not None:
        facts = dict(fact.split("=", 1) for fact in answer.split() if "=" in fact)
        if facts.get("JobState") != "RUNNING":
            sys.exit(code)
        if facts.get("PreemptTime", "None") == "None":
            return
        time.sleep(POLL)
