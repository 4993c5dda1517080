"""Sweeps as Slurm jobs, on a real cluster of one node that is set up for the tests."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from engines import HELD, MASKED, Sweep, assert_same, gone, held, leave, plain, seeded, status, wait_until

from widenet.engines import slurm
from widenet.errors import UsageError, WnError

SCRIPT = Path(__file__).parents[1] / "clusters" / "slurm.sh"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MISSING = [program for program in NEEDED if shutil.which(program, path=PATHS) is None]
LOGS = Path("runs/.sweeps")


@pytest.fixture(scope="module")
def cluster():
    """Slurm on this machine."""
    pytest.importorskip("submitit", reason='submitit is not installed: pip install "widenet[slurm]"')
    if MISSING:
        pytest.skip(f"{', '.join(MISSING)} not found: apt-get install slurm-wlm munge")
    if os.getuid():
        pytest.skip("only root can start a Slurm cluster")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o755)  # munge's own user works there
        subprocess.run([SCRIPT, "start", folder], check=True)
        patch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
        patch.setattr(slurm, "POLL", 0.5)
        patch.setattr(slurm, "LATE", 1.0)
        yield
        subprocess.run([SCRIPT, "stop", folder], check=True)


@pytest.fixture
def cwd(cluster, tmp_path, monkeypatch):
    """The folder where the sweep works."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def ask(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def jobs():
    """The state of every job that Slurm has not done with, by its number."""
    return dict(line.split() for line in ask("squeue", "--noheader", "--array", "--format=%i %T").splitlines())


def facts(job):
    """What Slurm says of a job."""
    return dict(fact.split("=", 1) for fact in ask("scontrol", "show", "job", "--oneliner", job).split() if "=" in fact)


def begin_now(job):
    """Slurm lets a job that goes back to the queue wait two minutes. Three seconds will do, but a node refuses it at once."""
    wait_until(lambda: facts(job)["JobState"] == "PENDING")
    ask("scontrol", "update", f"JobId={job}", "StartTime=now+3")


@pytest.mark.slow
def test_the_runs_are_those_of_a_plain_sweep_and_a_failure_does_not_stop_the_others(cwd, tmp_path):
    every = seeded(MASKED, 3)
    ended = dict(slurm.commands([*every, ["run", "train", "--arch", "nope"], [*MASKED, "--seed", "3", "--killed", "3"]], LOGS))
    assert [ended[number] for number in range(3)] == [None] * 3
    assert isinstance(ended[3], UsageError)
    assert str(ended[3]).startswith("unknown model 'nope'")
    assert repr(ended[4]) == "WnError('killed by SIGKILL')"
    (logs,) = LOGS.iterdir()
    assert {path.name.partition("_")[0] for path in logs.glob("*.pkl")} == {next(logs.glob("*.pkl")).name.partition("_")[0]}
    assert "unknown model 'nope'" in next(logs.glob("*_3.txt")).read_text()
    shutil.rmtree(next(cwd.glob("runs/*/seed-3")).parent)
    plain(every, tmp_path / "plain")
    assert_same(tmp_path / "plain", cwd)


def test_where_all_is_well_no_logs_are_left(cwd):
    assert list(slurm.commands([["list", "models"]], LOGS)) == [(0, None)]
    assert not list(LOGS.iterdir())


def test_parameters_reach_slurm(cwd):
    given = {
        "partition": "brief",
        "time": "7",
        "gpus": 1,
        "cpus": 2,
        "array_parallelism": 1,
        "comment": "wide",
        "exclusive": "",
    }
    ended = []
    for number, error in slurm.commands([["list", "models"], ["list", "methods"]], LOGS, given):
        ended.append((number, error))
        (logs,) = LOGS.iterdir()
        job = next(logs.glob("*_submission.sh")).name.partition("_")[0]
        known = facts(f"{job}_{number}")
    assert ended == [(0, None), (1, None)]
    assert (known["Partition"], known["TimeLimit"], known["TresPerNode"]) == ("brief", "00:07:00", "gres:gpu:1")
    assert (known["CPUs/Task"], known["Comment"], known["ArrayTaskThrottle"]) == ("2", "wide", "1")
    assert (known["Requeue"], known["OverSubscribe"]) == ("1", "NO")


def requeued(job):
    ask("scontrol", "requeue", job)
    begin_now(job)


def near_its_end(job):
    ask("scancel", "--signal=USR2", job)
    begin_now(job)


def pushed_out(job):
    """A job of a higher rank wants all processors."""
    urgent = ["--partition=urgent", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 1"]
    other = ask("sbatch", "--parsable", *urgent).strip()
    wait_until(lambda: facts(other)["JobState"] == "COMPLETED")
    begin_now(job)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partition", "take"),
    [("work", requeued), ("work", near_its_end), ("work", pushed_out), ("brief", pushed_out)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_job_that_is_taken_away_resumes(partition, take, cwd, tmp_path):
    sweep = Sweep(slurm.commands([HELD, ["list", "models"]], LOGS, {"partition": partition, "array_parallelism": 1}))
    pid = held(cwd)
    job = next(job for job, state in jobs().items() if state == "RUNNING")
    take(job)
    assert gone(pid)
    assert facts(job)["Restarts"] == "1"
    (cwd / "go").touch()
    assert sweep.wait() == {0: None, 1: None}
    plain([HELD], tmp_path / "plain")
    assert_same(tmp_path / "plain", cwd)
    assert not jobs()


@pytest.mark.slow
def test_a_job_that_somebody_cancels_is_named_and_the_others_go_on(cwd):
    sweep = Sweep(slurm.commands(seeded(HELD, 2), LOGS))
    pid = held(cwd)
    held(cwd, 1)
    began = time.monotonic()
    ask("scancel", next(job for job in jobs() if job.endswith("_0")))
    wait_until(lambda: 0 in sweep.ended)
    assert time.monotonic() - began < 50  # after 60 s Slurm would kill it
    assert gone(pid)
    assert status(cwd) == "stopped"
    (cwd / "go").touch()
    ended = sweep.wait()
    assert repr(ended[0]) == "WnError('the job was cancelled; the same command continues it')"
    assert ended[1] is None


def test_a_signal_that_is_not_slurms_own_stops_the_run(cwd):
    sweep = Sweep(slurm.commands([HELD], LOGS))
    pid = held(cwd)
    (job,) = jobs()
    ask("scancel", "--signal=TERM", job)
    (error,) = sweep.wait().values()
    assert str(error).startswith("stopped by SIG")
    assert gone(pid)
    assert status(cwd) == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize("interrupted", [False, True])
def test_left_early_all_jobs_are_cancelled(interrupted, cwd):
    sweep = slurm.commands([["list", "models"], *seeded(HELD, 2)], LOGS, {"array_parallelism": 2})
    assert next(sweep) == (0, None)
    pids = [held(cwd, seed) for seed in range(2)]
    leave(sweep, interrupted)
    assert not jobs()
    assert all(map(gone, pids))
    assert [status(cwd, seed) for seed in range(2)] == ["stopped"] * 2


def test_pending_jobs_are_cancelled_too(cwd):
    sweep = slurm.commands([["list", "models"], HELD, [*HELD, "--seed", "1"]], LOGS, {"array_parallelism": 1})
    assert next(sweep) == (0, None)
    held(cwd)
    assert set(jobs().values()) == {"RUNNING", "PENDING"}
    sweep.close()
    assert not jobs()
    assert not list(cwd.glob("runs/*/seed-1"))


def test_more_commands_than_an_array_may_hold(cwd, monkeypatch):
    monkeypatch.setattr(slurm, "ARRAY", 2)
    assert sorted(slurm.commands([["list", "models"]] * 5, LOGS)) == [(number, None) for number in range(5)]


def test_a_sweep_may_itself_be_part_of_a_job(cwd, monkeypatch):
    for name, value in {
        "SLURM_JOB_ID": "999",
        "SLURM_MEM_PER_CPU": "1",
        "SLURM_MEM_PER_NODE": "1",
        "SLURM_NTASKS": "7",
    }.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert list(slurm.commands([["list", "models"]], LOGS)) == [(0, None)]
    assert dict(os.environ) == before


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_what_slurm_refuses_is_one_line(cwd, capfd):
    with pytest.raises(UsageError, match=r"^Slurm refuses the jobs: invalid partition specified: nowhere$"):
        list(slurm.commands([["list", "models"]], LOGS, {"partition": "nowhere"}))
    with pytest.raises(UsageError, match=r"^Slurm refuses the jobs: unrecognized option '--acount=x'$"):
        list(slurm.commands([["list", "models"]], LOGS, {"acount": "x"}))
    assert capfd.readouterr() == ("", "")
    assert not jobs()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"time": "soon"}, "time=soon is no positive whole number"),
        ({"gpus": 0}, "gpus=0 is no positive whole number"),
        ({"cpus": -1}, "cpus=-1 is no positive whole number"),
        ({"array_parallelism": "2.5"}, "array_parallelism=2.5 is no positive whole number"),
        ({"job_name": "x"}, "job_name is settled by wn; leave it out"),
        ({"output": "x"}, "output is settled by wn; leave it out"),
    ],
)
def test_parameters_that_cannot_be(given, said):
    with pytest.raises(UsageError) as caught:
        slurm._settled(given)
    assert str(caught.value) == said


def test_what_is_not_given_is_left_to_slurm():
    settled = slurm._settled({"partition": None, "gpus": None})
    assert settled == {"timeout_min": 60, "slurm_additional_parameters": {"requeue": True}}


def test_without_slurm(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason='submitit is not installed: pip install "widenet[slurm]"')
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="sbatch not found; --launch slurm is for machines that submit to a Slurm cluster"):
        next(slurm.commands([["list", "models"]], tmp_path))
    assert not list(tmp_path.iterdir())


def test_without_submitit(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "find_spec", lambda name: None if name == "submitit" else importlib.util.find_spec(name))
    with pytest.raises(UsageError) as caught:
        next(slurm.commands([["list", "models"]], tmp_path))
    assert str(caught.value) == '--launch slurm needs submitit: pip install "widenet[slurm]"'


def test_a_queue_that_does_not_answer_is_asked_again(monkeypatch):
    monkeypatch.setattr(slurm, "_ask", lambda *_: None)
    assert slurm._states("wn-x") is None
    assert list(slurm._lost({0: None}, {}, None)) == []
    assert issubclass(UsageError, WnError)
