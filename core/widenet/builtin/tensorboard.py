"""Metrics for TensorBoard: a listener that ``wn run --tensorboard`` adds to the plugins."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from widenet.errors import UsageError
from widenet.plugins import hookimpl

NAME = "--tensorboard"
"""What the listener is called where it fails."""


class TensorBoard:
    """Writes each line of metrics, as scalars by step, to ``<run>/tensorboard``.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self) -> None:
        if find_spec("tensorboard") is None:
            raise UsageError(f"{NAME} needs TensorBoard: pip install 'widenet[tensorboard]'")
        self.writers: dict[Any, Any] = {}
        """Of each run that writes, by its folder: a process may carry out several side by side."""

    @hookimpl
    def logged(self, run: Any, values: Mapping[str, Any]) -> None:
        """Write the line."""
        if run.path not in self.writers:
            self._open(run)  # the line is among those of the run by now
        else:
            self._write(run, values)
        self.writers[run.path].flush()

    @hookimpl
    def finished(self, run: Any) -> None:
        """Close the file; of a run that was finished before, write all of it."""
        if run.path not in self.writers:
            self._open(run)
        self.writers[run.path].close()

    def _open(self, run: Any) -> None:
        """Start a file that holds all lines so far, in place of what an earlier, broken-off process left."""
        from torch.utils.tensorboard import SummaryWriter

        folder = run.path / "tensorboard"
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        # So that a TensorBoard that shows the run already forgets what it has read.
        self.writers[run.path] = SummaryWriter(folder, purge_step=0)
        for line in run.metrics():
            self._write(run, line)

    def _write(self, run: Any, values: Mapping[str, Any]) -> None:
        """Write one line's numbers; a line without step and epoch has no place, a value that was not finite no height."""
        step = values.get("step", values.get("epoch"))
        if step is None:
            return
        for tag, value in values.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and tag != "step":
                self.writers[run.path].add_scalar(tag, value, step)
