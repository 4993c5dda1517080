"""Carrying out an export: a finished run's result in one file that others read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from widenet.components import Export, Settings
from widenet.errors import UsageError, WnError
from widenet.files import FULL, explain
from widenet.plugins import Registry
from widenet.runs import Run


def carry_out(
    registry: Registry, form: Export, config: Any, path: Path, out: Path | None, settings: Settings, force: bool = False
) -> Path:
    """Write the run in ``path`` in that form; returns the file, ``<run>/exports/<name><suffix>`` unless ``out`` is another.

    Raises:
        UsageError: the run is not finished, or the file exists (without ``force``).
        WnError: the run lacks what the form needs, the file cannot be written, or the function failed.
    """
    from widenet import opening
    from widenet.train.process import tune_process

    run = Run.open(path, registry=registry)
    opening.check_final(run)
    out = out or path / "exports" / f"{form.name}{form.suffix}"
    if out.is_dir() or (out.exists() and not force):
        remedy = "name a file in it" if out.is_dir() else "--force would replace it"
        raise UsageError(f"{out} exists already; choose another --out, or {remedy}")
    tune_process(settings.threads)
    run.device = opening.device(settings.device)
    net = opening.network(registry, run).to(run.device).eval()
    with _beside(out) as part:
        opening.made(form, run, net, part, config)
        if not part.is_file() or not part.stat().st_size:
            raise WnError(f"{form.full_name} wrote nothing to {part}: a bug, please tell the authors of plugin {form.plugin}")
    return out


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A path with the suffix of ``out``, which libraries go by; the file is renamed to ``out`` when the block ends well.

    Raises:
        WnError: the disk is full, or the folder may not be written; an older ``out`` stays as it was.
    """
    part = out.with_name(f".part-{out.name}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(b"")
        yield part
        part.replace(out)
    except OSError as error:
        if error.errno in FULL:
            raise explain(error, out) from error
        raise WnError(f"cannot write {out} ({error.strerror or error}); choose another --out") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
