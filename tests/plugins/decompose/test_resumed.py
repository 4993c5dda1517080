"""A run that was killed, at any point, ends as an unbroken one does, bit for bit; and the plugin passes its own check."""

import signal

import pytest
from alike import differences
from processes import fork, run_path

from widenet.testing import faults

DATA = ("--arch", "fc:hidden=12,8", "--dataset", "tiny:train=96,test=16", "--threads", "1", "--batch-size", "32", "--quiet")
RESUMED = {
    "head": ["run", "decompose", *DATA, "--k", "3", "--finetune", "head", "--epochs", "4", "--save-every", "2"],
    "all": ["run", "decompose", *DATA, "--k", "3", "--finetune", "all", "--epochs", "4"],
    "gates": ["run", "gate-train", *DATA, "--epochs", "4", "--gate-warmup", "1", "--period", "2"],
    "selectivity": ["run", "selectivity-finetune", *DATA, "--epochs", "4"],
}


@pytest.mark.parametrize("points", [["saved:1:KILL", "saved:1:KILL"], ["step:8:KILL"], ["saved:2:TERM"]], ids=" then ".join)
@pytest.mark.parametrize("name", RESUMED)
def test_killed_and_resumed_is_the_same(name, points, tmp_path):
    (tmp_path / "whole").mkdir()
    assert fork(RESUMED[name], tmp_path / "whole").code == 0
    for point in points:
        answer = fork(RESUMED[name], tmp_path, point)
        assert answer.code == (75 if point.endswith("TERM") else -signal.SIGKILL), answer
    answer = fork(RESUMED[name], tmp_path)
    assert answer.code == 0, answer.err
    assert not differences(run_path(tmp_path / "whole"), run_path(tmp_path))


@pytest.mark.slow
def test_the_plugin_passes_its_check():
    assert not faults("decompose")
