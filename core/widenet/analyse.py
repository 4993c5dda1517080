"""Carrying out an analysis: rows from a run, or from several that are compared, kept in a folder inside the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from widenet.components import Analysis, Comparison, Component, Settings
from widenet.errors import UsageError, WnError
from widenet.execute import outcome
from widenet.files import fingerprints, read_json, write_csv, write_json
from widenet.options import canonical, changed, digest, effective
from widenet.plan import files_of, now, versions
from widenet.plugins import Registry
from widenet.runs import Reporter, Run, flat, writing

Row = dict[str, Any]


class Networks(Sequence[Any]):
    """Networks, each made when it is first asked for: a comparison may need none."""

    def __init__(self, makes: Sequence[Callable[[], Any]]) -> None:
        self._makes = makes
        self._made: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._makes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        number = range(len(self))[index]
        if number not in self._made:
            self._made[number] = self._makes[number]()
        return self._made[number]


def analyse(
    registry: Registry,
    analysis: Component,
    config: Any,
    paths: Sequence[Path],
    settings: Settings,
    reporter: Reporter,
    fresh: bool = False,
) -> tuple[Path, list[Row]]:
    """The analysis's rows, computed now or found done, and the folder that holds them, which lies in the first run.

    Args:
        paths: of the run; of all its runs for a :class:`~widenet.components.Comparison`.

    Raises:
        UsageError: a run is not finished, or there are fewer than two to compare.
        WnError: a run lacks what the analysis reads, or the analysis failed.
    """
    several = isinstance(analysis, Comparison)
    if several and len(paths) < 2:
        raise UsageError(f"{analysis.name} compares runs; name two or more: wn analyze {analysis.name} RUN RUN")
    studied = [Run.open(path) for path in paths]
    others = {"with": [run.name for run in studied[1:]]} if several else {}
    out = _folder(paths[0], analysis, config, others)
    stands = [_stand(run) | _files(config, settings.runs_dir) for run in studied]
    of = stands if several else stands[0]
    if not fresh and (rows := _done(out, of, effective(config))) is not None:
        return out, rows
    nets, data, device = _open(registry, studied, settings)
    net = nets if several else nets[0]
    with writing(out):
        runs = [Run(r.path, dict(r.record), out=out, device=device, reporter=reporter, registry=registry) for r in studied]
        return out, _carry_out(analysis, runs, net, data, config, of)


def analyse_within(run: Run, name: str, net: Any, data: Any, config: Any) -> list[Row]:
    """The rows of an analysis that a method carries out on its own run, kept where :func:`analyse` finds it later.

    Args:
        run: the method's, which leads (of torchrun's processes only one analyses).
        name: of the analysis.
        net: the network as the method is going to leave it.

    Raises:
        WnError: the analysis failed, or refuses the network or the options.
    """
    assert run.registry is not None
    analysis = run.registry.find(Analysis, name)
    out = _folder(run.path, analysis, config)
    with writing(out):
        inner = attrs.evolve(run, record=dict(run.record), out=out)
        return _carry_out(analysis, [inner], net, data, config, _stand(run) | _files(config))


def _folder(path: Path, analysis: Component, config: Any, others: Row | None = None) -> Path:
    """Where an analysis of the run in ``path`` with these options is kept."""
    identity = {"analysis": analysis.full_name, "options": changed(config), **(others or {})}
    return path / "analyses" / f"{analysis.name}-{digest(identity)}"


def _carry_out(analysis: Component, runs: Sequence[Run], net: Any, data: Any, config: Any, of: Any) -> list[Row]:
    """Compute an analysis's rows and write them into its folder."""
    out = runs[0].out
    with outcome(Run(out, _record(analysis, config, runs, of)), analysis):
        rows = [
            flat(row) for row in analysis.function(runs if isinstance(analysis, Comparison) else runs[0], net, data, config)
        ]
        write_json(out / "result.json", rows)
        write_csv(out / "result.csv", rows)
    return rows


def _stand(run: Run) -> Row:
    """What tells a run from the same one gone on since, or with other data, which is another to an analysis."""
    data = fingerprints(run.record.get("dataset", {}).get("options", {}).values())
    return {"finished": run.record.get("finished", ""), "epochs": len(run.metrics()), **({"data": data} if data else {})}


def _same(then: Any, now: Any) -> bool:
    """Whether an analysis is of a run as it stands; what the run's own method has analysed knows no time of its end."""
    return then == now or (isinstance(now, dict) and then == {**now, "finished": ""})


def _files(config: Any, runs: Path | None = None) -> Row:
    """The files that the options name, each with what differs once it has changed; nothing where there are none."""
    found = files_of(config, runs=runs)
    return {"files": found} if found else {}


def _done(out: Path, of: Any, chosen: Row) -> list[Row] | None:
    """The rows computed earlier for these versions of the runs by these very options (defaults may have moved), or None."""
    try:
        done = read_json(out / "run.json")
        same = done["status"] == "finished" and _same(done["of"], of) and canonical(done["options"]) == canonical(chosen)
        return read_json(out / "result.json") if same else None
    except (WnError, KeyError, TypeError):
        return None  # none yet, or damaged: computed anew


def _open(registry: Registry, runs: Sequence[Run], settings: Settings) -> tuple[Networks, Any, Any]:
    """Networks and the first run's data (all made when first used), and device."""
    from widenet import opening
    from widenet.train.process import tune_process

    for run in runs:
        opening.check_final(run)
    tune_process(settings.threads)
    device = opening.device(settings.device)
    nets = Networks([lambda run=run: opening.network(registry, run).to(device).eval() for run in runs])  # type: ignore[misc]
    data = opening.Later(lambda: opening.dataset(registry, runs[0], settings.data_dir, settings.workers, device))
    return nets, data, device


def _record(analysis: Component, config: Any, runs: Sequence[Run], of: Any) -> Row:
    registry = runs[0].registry
    return {
        "schema": 1,
        "component": analysis.full_name,
        "version": registry.plugins[analysis.plugin].version if registry else "",
        "options": effective(config),
        "parents": [run.name for run in runs],
        "of": of,
        "started": now(),
        "versions": versions(),
        "seed": runs[0].seed,
    }
