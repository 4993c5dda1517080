"""Carrying out a recipe: its stages one after the other, then the analyses of their runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from widenet.analyse import analyse
from widenet.cli.common import layered
from widenet.cli.planning import flags_for
from widenet.cli.sweeping import Job, carry_out_all, jobs_for, standing
from widenet.components import Analysis, Comparison, Component, Method, Settings
from widenet.cost import Costs
from widenet.data import PROCESSORS
from widenet.engines import Engine
from widenet.errors import UsageError, WnError
from widenet.grid import cells
from widenet.options import nearest, options
from widenet.plan import Plan
from widenet.plugins import Registry
from widenet.recipes import Recipe, Row, Stage, chain
from widenet.runs import Reporter, Run
from widenet.study import Study, Trial

Failures = list[tuple[str, WnError]]


@attrs.define
class Reproduction:
    """A recipe at one scale, with what the user has changed."""

    registry: Registry
    recipe: Recipe
    scale: str
    common: dict[str, Any]
    """Settings that decide nothing: folders, device, threads."""
    front: Sequence[str] = ()
    quiet: bool = False
    changes: dict[str, Any] = attrs.field(factory=dict)
    """What the user has changed, by name."""
    processors: int = PROCESSORS
    _settled: list[Stage] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._settled = chain(self.recipe.scales[self.scale])

    @property
    def stages(self) -> list[Stage]:
        """All stages, in an order that can be carried out."""
        return self._settled

    @property
    def runs_dir(self) -> Path:
        """The folder of runs."""
        return Path(self.common.get("runs_dir", Settings().runs_dir))

    def override(self, dataset: str | None, seeds: int | None, others: Iterable[str]) -> None:
        """Change the data, the number of seeds, and options ``KEY=VALUE`` of the methods that have them.

        Raises:
            UsageError: no method of the recipe has such an option.
        """
        pairs = dict(_pair(text) for text in others)
        methods = {stage.method: self._method(stage) for stage in self.stages}
        own = {name: {option.name for option in options(method.config)} for name, method in methods.items()}
        known = set().union(*own.values())
        if unknown := next((key for key in pairs if key not in known), None):
            raise UsageError(f"--set {unknown}: no method of {self.recipe.full_name} has it{nearest(unknown, known)}")
        self.changes = {**({"dataset": dataset} if dataset else {}), **({"seeds": seeds} if seeds else {}), **pairs}
        made: dict[int, Stage] = {}
        for stage in self.stages:
            changed = {key: value for key, value in pairs.items() if key in own[stage.method]}
            root = stage.after is None
            changed |= {"dataset": dataset} if dataset and root else {}
            grid = {key: values for key, values in stage.grid.items() if key not in changed}
            grid |= {"seed": range(seeds)} if seeds and root else {}
            after = made[id(stage.after)] if stage.after is not None else None
            made[id(stage)] = attrs.evolve(stage, options={**stage.options, **changed}, grid=grid, after=after)
        self._settled = list(made.values())

    def cost(self) -> float:
        """Seconds on one thread of what is left of the stages; those that begin from others are taken to be left as a whole.

        Raises:
            UsageError: an option or a data set is wrong.
            WnError: the data cannot be had.
        """
        costs, total = Costs(), 0.0
        begun: dict[int, list[Plan]] = {}
        for stage in self.stages:
            if stage.after is None:
                jobs = self._jobs(stage, {}, cells(stage.grid))
                begun[id(stage)] = [job.plan for job in jobs]
                total += sum(costs.of(job.plan) for job in jobs if standing(job) != "finished")
                continue
            method = self._method(stage)
            for cell in cells(stage.grid):
                own = {key: value for key, value in {**stage.options, **cell}.items() if key != "preset"}
                config, _, _ = layered(method, own, stage.options.get("preset"), quiet=True)
                plans = [attrs.evolve(plan, method=method, config=config) for plan in begun[id(stage.after)]]
                begun.setdefault(id(stage), []).extend(plans)
                total += sum(map(costs.of, plans))
        return total

    def carry_out(self, engine: Engine, local: bool) -> tuple[Study, Failures]:
        """All runs and analyses, those reused that are done; what failed is left out, and told."""
        ended: dict[int, list[tuple[dict[str, Any], Run]]] = {}
        failures: Failures = []
        for stage in self.stages:
            jobs = self._stage_jobs(stage, ended)
            threads = ["--threads", "1"] if local and "threads" not in self.common else []
            left = [job for job in jobs if standing(job) != "finished"]
            found = dict(zip(map(id, left), carry_out_all(left, engine, self.quiet, threads), strict=True))
            ended[id(stage)] = []
            for job in jobs:
                run = found[id(job)] if id(job) in found else Run.open(job.plan.path)
                values = {**job.values, "label": stage.name, "seed": job.plan.settings.seed}
                if isinstance(run, Run):
                    ended[id(stage)].append((values, run))
                else:
                    failures.append((f"{stage.name} {job.label}", run))
        tables, across = self._analyses(ended, engine, failures)
        trials = [Trial(values, run, tables.get(run.path, {})) for stage in ended.values() for values, run in stage]
        return Study(trials, across), failures

    def _stage_jobs(self, stage: Stage, ended: Mapping[int, Sequence[tuple[dict[str, Any], Run]]]) -> list[Job]:
        if stage.after is None:
            return self._jobs(stage, {}, cells(stage.grid))
        jobs: list[Job] = []
        for values, run in ended[id(stage.after)]:
            inherited = {key: value for key, value in values.items() if key not in ("label", "seed")}
            own = self._jobs(stage, {"from": str(run.path), "seed": run.seed}, cells(stage.grid))
            jobs += [attrs.evolve(job, values={**inherited, **job.values}) for job in own]
        return jobs

    def _jobs(self, stage: Stage, more: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> list[Job]:
        given = {**stage.options, **more, **self.common}
        return jobs_for(self.registry, self._method(stage), given, every, self.front)

    def _method(self, stage: Stage) -> Component:
        return self.registry.find(Method, stage.method)

    # -- analyses ------------------------------------------------------------------------------------------------------

    def _analyses(
        self, ended: Mapping[int, Sequence[tuple[dict[str, Any], Run]]], engine: Engine, failures: Failures
    ) -> tuple[dict[Path, dict[str, Sequence[Row]]], dict[str, Sequence[Row]]]:
        """The rows of each run's analyses by their names, and those of comparisons."""
        wanted: list[tuple[Component, Any, list[Path]]] = []
        words: list[list[str]] = []
        for stage in self.stages:
            paths = [run.path for _, run in ended[id(stage)]]
            for name, given in stage.analyses.items():
                analysis = self.registry.find(Analysis, name)
                config, _, _ = layered(analysis, dict(given), quiet=True)
                flags = [*flags_for(analysis, {**given, **self.common}), "--quiet"]
                for studied in [paths] if isinstance(analysis, Comparison) else [[path] for path in paths]:
                    wanted.append((analysis, config, studied))
                    words.append([*self.front, "analyze", self.registry.shown(analysis), *map(str, studied), *flags])
        failed = {number: error for number, error in engine(words) if error is not None} if words else {}
        tables: dict[Path, dict[str, Sequence[Row]]] = {}
        across: dict[str, Sequence[Row]] = {}
        for number, (analysis, config, studied) in enumerate(wanted):
            if number in failed:
                failures.append((f"{analysis.name} of {studied[0] if studied else 'no run'}", failed[number]))
                continue
            settings = Settings(**{key: value for key, value in self.common.items() if key in ("runs_dir", "data_dir")})
            _, rows = analyse(self.registry, analysis, config, studied, settings, Reporter())
            if isinstance(analysis, Comparison):
                across[analysis.name] = rows
            else:
                tables.setdefault(studied[0], {})[analysis.name] = rows
        return tables, across


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"--set {text}: write KEY=VALUE, as in --set epochs=5")
    return key.replace("-", "_"), value
