"""One run: what a method writes and an analysis reads."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from widenet.errors import WnError
from widenet.files import read_json, writable, write_json
from widenet.runs.values import jsonable
from widenet.store import read_arrays, write_arrays

if TYPE_CHECKING:
    import numpy as np
    import torch

    from widenet.plugins import Registry

SCHEMA = 1
"""Version of ``run.json``."""
NEEDED: dict[str, type] = {
    **dict.fromkeys(("component", "started", "status"), str),
    **dict.fromkeys(("arch", "dataset", "options", "result"), dict),
    "argv": list,
    "seed": int,
}
"""What every ``run.json`` has."""
PARTS = ("arch", "dataset")
"""Components that it names, with their options."""


class Reporter:
    """Where a run tells how it goes; this one is silent, the command line's draws a progress bar."""

    def say(self, text: str) -> None:
        """A line for the user."""

    def step(self, epoch: int, epochs: int, done: float, values: Mapping[str, float]) -> None:
        """Inside an epoch, a few times a second: the fraction of it done, running loss and accuracy."""

    def epoch(self, epoch: int, epochs: int, values: Mapping[str, Any]) -> None:
        """An epoch ended with these metrics."""

    def work(self, what: str, done: int, total: int) -> None:
        """Other long work: how much of it is done."""


@attrs.define(eq=False)
class Run:
    """A run's folder.

    A method writes through it; an analysis reads it and writes below ``analyses/``. ``path`` is what is read, ``out`` where
    things are written: the same folder for a method.
    """

    path: Path
    record: dict[str, Any]
    out: Path = attrs.field(default=attrs.Factory(lambda self: self.path, takes_self=True))
    device: Any = "cpu"
    reporter: Reporter = attrs.field(factory=Reporter)
    registry: Registry | None = None
    parent: Run | None = None
    """The run that the network is from, while the method works on it."""
    data_dir: Path = Path("data")
    """The folder of downloads, ``--data-dir``."""
    fits: int = 0
    """How many training loops this process has started on the run; numbers them for resuming."""
    best: dict[str, Any] = attrs.field(factory=dict)
    """The best epoch of the last training loop and its accuracies, where one was chosen."""

    @classmethod
    def open(cls, path: Path, **fields: Any) -> Run:
        """The run in ``path``.

        Raises:
            WnError: its ``run.json`` is missing, damaged or of another version.
        """
        record = read_json(path / "run.json")
        if not _is_record(record):
            raise WnError(f"{path / 'run.json'} is no record of a run that this version reads; start it anew with --fresh")
        return cls(path, record, **fields)

    @property
    def name(self) -> str:
        """Folder and seed, as ``supermask-conv4-digits-3f9a1c2b/seed-0``."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.record.get("status") == "finished"

    @property
    def seed(self) -> int:
        """The number all of the run's random streams come from."""
        return self.record["seed"]

    def option(self, name: str) -> Any:
        """The value of an option that the run was made with; None where its method has no such option."""
        return self.record.get("options", {}).get(name, {}).get("value")

    def save(self) -> None:
        """Write ``run.json``, whole or not at all."""
        write_json(self.out / "run.json", self.record)

    # -- words and numbers ---------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tell the user, and keep it in ``log.txt``."""
        self.reporter.say(text)
        self.note(text)

    def note(self, text: str) -> None:
        """Keep a line in ``log.txt`` only."""
        path = self.out / "log.txt"
        with writable(path), path.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")

    def log(self, values: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl`` and tell the plugins that listen.

        Names are like ``epoch``, ``train/loss``, ``test/accuracy`` (a fraction); non-finite numbers are stored as null.
        """
        line = jsonable(values)
        path = self.out / "metrics.jsonl"
        with writable(path), path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.registry is not None:
            for failure in self.registry.emit("logged", run=self, values=line):
                self.say(failure)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; a last one cut off by a kill is left out.

        Raises:
            WnError: the file is damaged.
        """
        path = self.path / "metrics.jsonl"
        try:
            lines = path.read_text().split("\n")[:-1] if path.exists() else []
            return [json.loads(line) for line in lines]
        except (OSError, ValueError) as error:
            raise WnError(f"{path} is damaged ({error}); start the run anew with --fresh") from error

    def lines(self) -> int:
        """How many whole lines ``metrics.jsonl`` has."""
        path = self.path / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def rewind(self, lines: int) -> None:
        """Keep the first ``lines`` lines of the metrics: what a checkpoint covers."""
        path = self.path / "metrics.jsonl"
        if path.exists():
            size = sum(len(line) + 1 for line in path.read_bytes().split(b"\n")[:-1][:lines])
            # Cut in place: that is one step, and needs no space on a disk that was full.
            if size < path.stat().st_size:
                with writable(path):
                    os.truncate(path, size)

    # -- random numbers ------------------------------------------------------------------------------------------------

    def seed_for(self, *purpose: str | int) -> int:
        """A 63-bit seed of its own for each purpose, as ``("mask", "convs.0")``."""
        text = "/".join(str(part) for part in (self.seed, *purpose))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A torch generator (on the CPU) seeded from the run's seed and the purpose."""
        import torch

        return torch.Generator().manual_seed(self.seed_for(*purpose))

    def seed_everything(self, *purpose: str | int) -> None:
        """Seed the streams that code draws from when it names none: those of torch, Python and NumPy."""
        import numpy as np
        import torch

        seed = self.seed_for(*purpose)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - it is NumPy's global stream that is meant

    # -- arrays, masks, weights ----------------------------------------------------------------------------------------

    def save_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Write tensors or arrays to ``arrays/<name>.h5``."""
        write_arrays(self.out / "arrays" / f"{name}.h5", _numpy(arrays), {"run": self.name})

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """What :meth:`save_arrays` wrote."""
        return read_arrays(self.path / "arrays" / f"{name}.h5")

    def save_masks(self, tag: str, masks: Mapping[str, Any]) -> None:
        """Write boolean masks, module path -> array of the weight's shape, to ``masks/<tag>.h5``."""
        write_arrays(self.out / "masks" / f"{tag}.h5", _numpy(masks), {"run": self.name, "tag": tag})

    def masks(self, tag: str = "final") -> dict[str, np.ndarray]:
        """Module path -> boolean array of the weight's shape (torch layout), in the order of the network.

        Raises:
            WnError: the run has no masks of that tag, or the file is damaged.
        """
        return read_arrays(self.path / "masks" / f"{tag}.h5")

    def has_masks(self, tag: str = "final") -> bool:
        """Whether masks of that tag are on disk."""
        return (self.path / "masks" / f"{tag}.h5").is_file()

    def save_weights(self, tag: str, state: Mapping[str, torch.Tensor]) -> None:
        """Write a state dict to ``weights/<tag>.pt``."""
        from widenet.weights import save_tensors

        save_tensors(self.out / "weights" / f"{tag}.pt", {name: value.cpu() for name, value in state.items()})

    def weights(self, tag: str = "final") -> dict[str, torch.Tensor]:
        """The state dict saved under ``tag``, on the CPU.

        Raises:
            WnError: there is none, or the file is damaged or wants to run code.
        """
        from widenet.weights import load_tensors

        return load_tensors(self.path / "weights" / f"{tag}.pt")


def _is_record(content: Any) -> bool:
    """Whether what was read is a run's record of this version, whole enough for all that read it."""
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        return False
    if not all(isinstance(content.get(name), kind) for name, kind in NEEDED.items()):
        return False
    named = all({"name": str, "options": dict}.items() <= {k: type(v) for k, v in content[p].items()}.items() for p in PARTS)
    return named and all(
        isinstance(entry, dict) and entry.keys() >= {"value", "source"} for entry in content["options"].values()
    )


def _numpy(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Tensors (on any device) or arrays as NumPy arrays."""
    import numpy as np

    pairs: Iterable[tuple[str, Any]] = arrays.items()
    return {name: np.asarray(_storable(a.detach().cpu()) if hasattr(a, "detach") else a) for name, a in pairs}


def _storable(value: torch.Tensor) -> torch.Tensor:
    """The tensor in a type that NumPy has too: bfloat16 and the like become float32, which holds all of their values."""
    import torch

    try:
        value.numpy()
    except TypeError:
        return value.to(torch.complex64 if value.is_complex() else torch.float32)
    return value
