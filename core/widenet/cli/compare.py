"""``wn compare RUN RUN...``: options in which runs differ, their results side by side, and paired tests over seeds."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from widenet.cli import completion
from widenet.cli.common import Command
from widenet.cli.terminal import print_json, print_rows
from widenet.errors import UsageError
from widenet.options import pair

if TYPE_CHECKING:
    from widenet.runs import Run

HELP = """Compare runs: options that differ, results side by side, paired tests over seeds.

Runs that differ in their seed only are one group; a folder of several seeds means all of them. Each group is tested against
the first, on the seeds that both have: difference of the means with its 95 % interval (t), two-sided p of the paired t-test
(of more than two groups also corrected by Holm), and of Wilcoxon's signed-rank test from six pairs on.

\b
Example:
  wn compare supermask-conv4-digits-3f9a1c2b train-conv4-digits-0c1d2e3f
"""


@attrs.frozen
class Group:
    """Runs that differ in their seed only."""

    name: str
    runs: Sequence[Run]
    options: Mapping[str, Any]
    """Those in which the groups differ."""

    @property
    def given(self) -> set[str]:
        """The names of those that its method's defaults do not set."""
        return {name for name, entry in self.runs[0].record["options"].items() if entry["source"] != "default"}

    def values(self, result: str) -> dict[int, float]:
        """A result by seed, of the runs that have it as a finite number."""
        found = {run.seed: run.record["result"].get(result) for run in self.runs}
        return {seed: float(value) for seed, value in found.items() if _is_number(value)}


@click.command("compare", cls=Command, help=HELP)
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", shell_complete=completion.run)
@click.option("--baseline", metavar="RUN", help="Group that the others are tested against.  [default: the first]")
@click.option(
    "--runs-dir", default="runs", show_default=True, type=Path, help="Folder of results.", shell_complete=completion.path
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="As comma-separated values: a line for each result of each group.")
def compare(runs: tuple[str, ...], baseline: str | None, runs_dir: Path, as_json: bool, as_csv: bool) -> None:
    """Compare the runs."""
    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of one table; give one of them")
    groups = _groups(_opened(runs, runs_dir), baseline, runs_dir)
    rows = [row for result in _shared(groups) for row in _rows(groups, result)]
    if as_json:
        print_json({"groups": [_about(group) for group in groups], "results": rows})
    elif as_csv:
        _write_csv(groups, rows)
    else:
        _print(groups, rows)


def _opened(texts: Sequence[str], root: Path) -> list[Run]:
    """The finished runs that the user names.

    Raises:
        UsageError: there is one only, one is named twice, or one is not finished.
    """
    from widenet.runs import Run, find_all

    paths = [path for text in texts for path in find_all(text, root)]
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f"{path} is named twice; name each run once")
        seen.add(path.resolve())
    if len(paths) < 2:
        raise UsageError(f"{paths[0]} is one run only; name two or more: wn compare RUN RUN")
    found = [Run.open(path) for path in paths]
    for run in found:
        if not run.finished:
            again = f"wn {shlex.join(map(str, run.record['argv']))}"
            raise UsageError(f"{run.name} is not finished ({run.record['status']}); run it to its end first: {again}")
    return found


def _groups(runs: Sequence[Run], baseline: str | None, root: Path) -> list[Group]:
    """The runs in groups, the baseline first.

    Raises:
        UsageError: the baseline is none of them, or a seed stands twice in a group.
    """
    from widenet.compare import differing, grouped

    found = grouped(runs)
    for group in found:
        by_seed: dict[int, Run] = {}
        for run in group:
            if (twin := by_seed.setdefault(run.seed, run)) is not run:
                raise UsageError(f"{twin.path} and {run.path} are of the same options and seed; name one of them")
    if baseline is not None:
        place = _place(found, baseline, root)
        found = [found[place], *found[:place], *found[place + 1 :]]
    told = differing([group[0] for group in found])
    return [Group(_letter(number), *of) for number, of in enumerate(zip(found, told, strict=True))]


def _place(groups: Sequence[Sequence[Run]], baseline: str, root: Path) -> int:
    from widenet.runs import find_all

    named = {path.resolve() for path in find_all(baseline, root)}
    places = [number for number, group in enumerate(groups) if named & {run.path.resolve() for run in group}]
    if len(places) != 1:
        raise UsageError(
            f"--baseline {baseline} is {'several' if places else 'none'} of the groups compared; name a run of one"
        )
    return places[0]


def _letter(number: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    before, last = divmod(number, 26)
    return (_letter(before - 1) if before else "") + chr(ord("A") + last)


def _shared(groups: Sequence[Group]) -> list[str]:
    """Results that are numbers in two groups or more (of one group: in it).

    Raises:
        UsageError: there is none.
    """
    of = [dict.fromkeys(key for run in group.runs for key in run.record["result"] if group.values(key)) for group in groups]
    found = [key for key in dict.fromkeys(key for keys in of for key in keys) if sum(key in k for k in of) >= min(2, len(of))]
    if not found:
        told = "; ".join(
            f"{group.runs[0].name} has {', '.join(keys) or 'none'}" for group, keys in zip(groups, of, strict=True)
        )
        raise UsageError(f"these runs share no result that is a number: {told}")
    return found


def _rows(groups: Sequence[Group], result: str) -> list[dict[str, Any]]:
    """Mean, deviation and test of a result, a row each group that has it."""
    from statistics import fmean, stdev

    from widenet.paired import holm, paired

    baseline = groups[0].values(result)
    rows = []
    for group in groups:
        if not (values := group.values(result)):
            continue
        row: dict[str, Any] = {"result": result, "group": group.name, "seeds": len(values), "mean": fmean(values.values())}
        row["sd"] = stdev(values.values()) if len(values) > 1 else None
        if group is not groups[0] and baseline:
            test = attrs.asdict(paired(baseline, values))
            row |= {"against": groups[0].name, "pairs": len(test.pop("seeds")), **test, "p_holm": None}
        rows.append(row)
    tested = [row for row in rows if "against" in row]
    for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = corrected if len(groups) > 2 else None
    return rows


def _about(group: Group) -> dict[str, Any]:
    return {
        "group": group.name,
        "runs": [str(run.path) for run in group.runs],
        "seeds": [run.seed for run in group.runs],
        "options": dict(group.options),
    }


def _print(groups: Sequence[Group], rows: Sequence[Mapping[str, Any]]) -> None:
    """Groups, options that differ, results and tests, a table each."""
    print_rows([{"group": g.name, "run": g.runs[0].path.parent.name, "seed": _seeds(g)} for g in groups], as_json=False)
    click.echo()
    _print_options(groups)
    results: dict[str, dict[str, Any]] = {}
    for row in rows:
        results.setdefault(row["result"], {"result": row["result"]})[row["group"]] = _measured(row, groups)
    columns = ("result", *(group.name for group in groups))
    every = [{column: row.get(column, "-") for column in columns} for row in results.values()]
    print_rows(every, as_json=False, title="results: mean ± standard deviation over seeds")
    click.echo()
    if len(groups) < 2:
        click.echo("no test: these runs differ in their seed only, there is no other group")
        return
    tests = [_test(row, len(groups) > 2) for row in rows if "against" in row]
    print_rows(tests, as_json=False, title="paired over seeds")


def _print_options(groups: Sequence[Group]) -> None:
    """Options that differ; the defaults of those that only some groups have at all are counted."""
    names = dict.fromkeys(name for group in groups for name in group.options)
    chosen = [n for n in names if all(n in group.options for group in groups) or any(n in group.given for group in groups)]
    rows = [{"option": n, **{g.name: pair("", g.options[n])[1:] if n in g.options else "-" for g in groups}} for n in chosen]
    if rows:
        print_rows(rows, as_json=False, title="options that differ")
    if rest := len(names) - len(chosen):
        click.echo(f"and {rest} that only some of them have, at their defaults (--json shows them)")
    if names:
        click.echo()


def _seeds(group: Group) -> str:
    return ", ".join(str(run.seed) for run in group.runs)


def _measured(row: Mapping[str, Any], groups: Sequence[Group]) -> str:
    """Mean and deviation; how many they are of, where that is not all of the group."""
    (group,) = (group for group in groups if group.name == row["group"])
    text = f"{row['mean']:.4g}" if row["sd"] is None else f"{row['mean']:.4g} ± {row['sd']:.2g}"
    return text if row["seeds"] == len(group.runs) else f"{text} ({row['seeds']} of {len(group.runs)})"


def _test(row: Mapping[str, Any], several: bool) -> dict[str, Any]:
    """A test as a table shows it."""
    interval = "" if row["low"] is None else f"{row['low']:.3g} to {row['high']:.3g}"
    difference = None if row["difference"] is None else float(f"{row['difference']:.3g}")
    shown = {"result": row["result"], "groups": f"{row['group']} - {row['against']}", "pairs": row["pairs"]}
    shown |= {"difference": difference, "95 % interval": interval, "t": row["t"], "p": row["p"]}
    return {**shown, **({"p (Holm)": row["p_holm"]} if several else {}), "Wilcoxon p": row["wilcoxon"], "no test": row["why"]}


def _write_csv(groups: Sequence[Group], rows: Sequence[Mapping[str, Any]]) -> None:
    """A line for each result of each group, with the group's options that differ."""
    about = {
        group.name: {
            "run": str(group.runs[0].path.parent),
            **{f"option.{key}": pair("", value)[1:] for key, value in group.options.items()},
        }
        for group in groups
    }
    every = [{**row, **about[row["group"]]} for row in rows]
    columns = dict.fromkeys(key for row in sorted(every, key=len, reverse=True) for key in row)
    writer = csv.DictWriter(sys.stdout, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(every)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
