"""A run that was killed, at any point, ends as an unbroken one does, bit for bit."""

import signal

import pytest
from alike import differences
from processes import fork, run_path

from widenet.runs import Run

DATA = ("--dataset", "tiny:train=96,test=16", "--threads", "1", "--batch-size", "32", "--quiet")
FC = ("--arch", "mnist-fc:hidden=16,12", *DATA)
CNN = ("--arch", "mnist-cnn:filters=6,8,dense=10,kernel=3", *DATA)
RESUMED = {
    "prune": ["prune", *FC, "--epochs", "4", "--rates", "0=0.2,1=0.4,2=0.6,3=0.8", "--save-every", "1"],
    "rewind": [
        "prune",
        *CNN,
        "--epochs",
        "4",
        "--of",
        "survivors",
        "--rates",
        "1=0.3,2=0.3,3=0.3",
        "--rewind",
        "--save-every",
        "2",
    ],
    "global": ["prune", *FC, "--epochs", "4", "--rates", "1=0.5,2=0.8", "--scope", "global", "--floor", "0.1", "--val", "0.2"],
    "original": ["prune", *FC, "--epochs", "4", "--rates", "1=0.5,fc2@2=0.8", "--compat", "original", "--optimizer", "sgd"],
    "shuffled": ["shuffled-mask", *FC, "--epochs", "4", "--mask-type", "bernoulli"],
    "random": ["random-mask", *CNN, "--epochs", "4", "--max-sparsity", "0.8"],
}
POINTS = [["saved:1:KILL"] * 3, ["step:8:KILL"], ["logged:1:KILL", "logged:4:KILL"], ["saved:2:TERM"], ["masks:1:KILL"]]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """``unbroken(name)``: the run that nothing disturbed."""
    made = {}

    def make(name):
        if name not in made:
            cwd = tmp_path_factory.mktemp(name)
            answer = fork(["run", *RESUMED[name]], cwd)
            assert answer.code == 0, answer.err
            made[name] = run_path(cwd)
        return made[name]

    return make


@pytest.mark.parametrize("points", POINTS, ids=" then ".join)
@pytest.mark.parametrize("name", RESUMED)
def test_killed_and_resumed_is_the_same(name, points, unbroken, tmp_path):
    """Masks, weights, checkpoints and metrics, the cumulative gradient norm among them, bit for bit."""
    for point in points:
        answer = fork(["run", *RESUMED[name]], tmp_path, point)
        assert answer.code == (75 if point.endswith("TERM") else -signal.SIGKILL), answer
    answer = fork(["run", *RESUMED[name]], tmp_path)
    assert answer.code == 0, answer.err
    assert not differences(unbroken(name), run_path(tmp_path))
    assert "cumulative_gradient_norm" in Run.open(run_path(tmp_path)).metrics()[-1]
