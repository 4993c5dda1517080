"""``wn run METHOD --repeats K``: the same run from K seeds, stacked in one process or a process each."""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from widenet.cli.stopping import said
from widenet.cli.terminal import print_json, print_rows
from widenet.cli.words import with_seed, without
from widenet.components import Settings, Train
from widenet.errors import UsageError, WnError
from widenet.plan import Plan
from widenet.runs import Reporter, Run, ranks

OWN = {"--repeats": 1, "--stack": 0, "--no-stack": 0, "--json": 0, "--quiet": 0, "-q": 0, "--fresh": 0}
"""Options of the command that mean nothing to one of its runs, and how many words their values are."""


def plans(plan: Plan, repeats: int) -> list[Plan]:
    """The plan from ``repeats`` seeds, the first its own."""
    first, words = plan.settings.seed, without(plan.argv, OWN)
    return [plan.with_seed(seed, tuple(with_seed(words, seed))) for seed in range(first, first + repeats)]


def carry_out_all(plan: Plan, repeats: int, stack: bool | None, fresh: bool, quiet: bool) -> list[tuple[Plan, Run | WnError]]:
    """The run of every seed, or what ended it.

    Raises:
        UsageError: it cannot be repeated, or not be stacked, or every run of it is refused.
    """
    if ranks.count() > 1:
        raise UsageError("--repeats makes processes of its own; leave torchrun out")
    every = plans(plan, repeats)
    if stack and not issubclass(plan.method.config, Train):
        raise UsageError(f"{plan.method.name} does not train, so there is nothing to stack; leave --stack out")
    done = not fresh and all(map(_done, every))  # then there is only to look, for which no process is needed
    carry_out = stacked if done or (stacks(plan) if stack is None else stack) else apart
    with said(plan.path.parent), contextlib.redirect_stdout(sys.stderr):
        ended = carry_out(every, fresh, quiet)
    refused = [run for run in ended if isinstance(run, UsageError)]
    if len(refused) == len(every):
        raise refused[0]
    return list(zip(every, ended, strict=True))


def stacks(plan: Plan) -> bool:
    """Whether stacking pays: steps so small that their overhead is most of their time."""
    if not issubclass(plan.method.config, Train):
        return False
    from widenet.execute import prepare
    from widenet.train.stack import pays

    net, data, device = prepare(plan)
    return pays(net, data.shape, plan.config.batch_size, device)


def stacked(every: Sequence[Plan], fresh: bool, quiet: bool) -> list[Run | WnError]:
    """All in this process, of one thread unless the command says otherwise; the first tells how it goes."""
    from widenet.cli.progress import reporter
    from widenet.execute import side_by_side

    every = [attrs.evolve(plan, settings=_one_thread(plan.settings)) for plan in every]
    left = [number for number, plan in enumerate(every) if fresh or not _done(plan)]
    reporters = [Reporter() for _ in every]
    with reporter(quiet) as ears:
        if left:
            reporters[left[0]] = ears
        if len(left) > 1:
            ears.say(f"{len(left)} runs, stacked; the progress shown is that of seed {every[left[0]].settings.seed}")
        ended = side_by_side(every, reporters, fresh)
    for error in ended:
        if isinstance(error, BaseException) and not isinstance(error, WnError):
            raise error
    return [error if isinstance(error, WnError) else error[0] for error in ended]


def _done(plan: Plan) -> bool:
    """Whether the run is finished."""
    with contextlib.suppress(WnError):
        return Run.open(plan.path).finished
    return False


def _one_thread(settings: Settings) -> Settings:
    """For steps so small, threads that wait for each other cost more than they save."""
    return settings if settings.threads else attrs.evolve(settings, threads=1)


def apart(every: Sequence[Plan], fresh: bool, quiet: bool) -> list[Run | WnError]:
    """A process each, as many at a time as there are processors, of one thread unless the command says otherwise."""
    from widenet.data import PROCESSORS
    from widenet.engines.local import commands

    threads = [] if every[0].settings.threads else ["--threads", "1"]
    words = [[*plan.argv, *threads, "--quiet", *(["--fresh"] if fresh else [])] for plan in every]
    ended: dict[int, Run | WnError] = {}
    with contextlib.closing(commands(words, PROCESSORS)) as working:
        for number, failure in working:
            plan, how = every[number], "failed" if failure else "finished"
            ended[number] = failure or Run.open(plan.path)
            if not quiet:
                click.echo(f"seed {plan.settings.seed} {how}, {len(ended)} of {len(every)}", err=True)
    return [ended[number] for number in range(len(every))]


def tell(ended: Sequence[tuple[Plan, Run | WnError]], as_json: bool, tables: Mapping[Path, Any]) -> int:
    """Print a row a seed, and mean and spread of the test accuracy; the exit code.

    As JSON also what each run measured, and of ``tables`` the rows of its analyses by their names.
    """
    rows = [_row(plan, run) for plan, run in ended]
    failures: dict[str, list[str]] = {}
    for plan, run in ended:
        if isinstance(run, WnError):
            failures.setdefault(str(run), []).append(str(plan.settings.seed))
    if as_json:
        print_json({"runs": [row | _more(run, tables) for row, (_, run) in zip(rows, ended, strict=True)]})
    else:
        print_rows(rows, as_json=False)
        _spread([row["test_accuracy"] for row in rows if row["test_accuracy"] is not None])
    for error, seeds in failures.items():
        click.echo(f"wn: seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}: {error}", err=True)
    return 1 if failures else 0


def _row(plan: Plan, run: Run | WnError) -> dict[str, Any]:
    status, result = ("failed", {}) if isinstance(run, WnError) else ("finished", run.record["result"])
    accuracy = result.get("test_accuracy")
    return {"seed": plan.settings.seed, "status": status, "test_accuracy": accuracy, "run": str(plan.path)}


def _more(run: Run | WnError, tables: Mapping[Path, Any]) -> dict[str, Any]:
    if isinstance(run, WnError):
        return {"error": str(run)}
    analyses = tables.get(run.path)
    return {"result": run.record["result"]} | ({"analyses": analyses} if analyses else {})


def _spread(accuracies: Sequence[float]) -> None:
    if len(accuracies) > 1:
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        click.echo(f"test accuracy {mean:.2%}, standard deviation {spread:.2%} over {len(accuracies)} seeds")
