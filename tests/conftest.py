"""``wn`` for tests: in a process of its own, or in this one; plugins installed for one test; runs to read."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import pytest
from answers import Answer

hypothesis.settings.register_profile("busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy machine")

# Tests run side by side: one thread each, settled before anything imports torch.
os.environ["OMP_NUM_THREADS"] = "1"
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a script's background: processes of tests must hear a Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
for switch in ("WN_PLUGINS", "WN_STRICT"):
    os.environ.pop(switch, None)


def here(*words: Any, cwd: Path) -> Answer:
    """Run ``wn`` in this process."""
    from widenet.cli.main import guarded

    out, err = io.StringIO(), io.StringIO()
    argv = [str(word) for word in words]
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["wn", *argv]),
    ):
        code = guarded(argv)
    return Answer(code, out.getvalue(), err.getvalue())


def apart(*words: Any, cwd: Path, env: dict[str, str] | None = None) -> Answer:
    """Run ``wn`` in a process of its own."""
    command = [sys.executable, "-m", "widenet", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def denormal_numbers():
    """There are denormal numbers in every test, also after a command that ran in this process has had them flushed."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def wn(tmp_path):
    """``wn(*words)`` in this process, with a fresh folder to work in."""
    return lambda *words, cwd=tmp_path: here(*words, cwd=cwd)


@pytest.fixture
def wn_apart(tmp_path):
    """``wn_apart(*words, env=...)`` in a process of its own."""
    return lambda *words, cwd=tmp_path, env=None: apart(*words, cwd=cwd, env=env)


class Site:
    """A folder of installed distributions; what pip would write, without pip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    @property
    def env(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.path)}

    def install(self, source: Path, plugin: str = "", package: str = "") -> str:
        """Install the file ``source`` as plugin (its name with hyphens by default); returns the plugin's name."""
        package = package or source.stem
        plugin = plugin or package.replace("_", "-")
        shutil.copy(source, self.path / f"{package}.py")
        distribution = f"widenet-{package.replace('_', '-')}"
        info = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[widenet]\n{plugin} = {package}\n")
        return plugin


def _forget(folder: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def site(tmp_path, monkeypatch) -> Iterator[Site]:
    """A :class:`Site` that this process sees; ``site.env`` shows it to others."""
    made = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(made.path)
    yield made
    _forget(made.path)


def finished(words: Sequence[str], cwd: Path) -> Path:
    """The folder of a run that is carried out now."""
    answer = here("run", *words, "--quiet", "--json", cwd=cwd)
    assert answer.code == 0, answer.err
    return cwd / answer.json["run"]


@pytest.fixture(scope="session")
def supermask_run(tmp_path_factory) -> Path:
    """A small finished run with masks; only to be read. Analyses may be added."""
    words = ["supermask", "--arch", "fc", "--dataset", "tiny", "--epochs", "2", "--sparsity", "0.6"]
    return finished(words, tmp_path_factory.mktemp("supermask"))


@pytest.fixture(scope="session")
def train_run(tmp_path_factory) -> Path:
    """A small finished run without masks; only to be read."""
    return finished(["train", "--arch", "fc", "--dataset", "tiny", "--epochs", "1"], tmp_path_factory.mktemp("train"))
