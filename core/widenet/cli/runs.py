"""``wn runs``: what has been run, filtered and sorted, as a table, JSON or comma-separated values."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli import classic, completion
from widenet.cli.common import Command
from widenet.cli.terminal import print_rows
from widenet.errors import UsageError
from widenet.options import pair

if TYPE_CHECKING:
    from widenet.cli.where import Listed
    from widenet.runs import Run

SHOWN = ("run", "status", "note", "started", "seconds", "test_accuracy")
"""What the table shows of every run."""
FORMS = {"as_json": "--json", "as_csv": "--csv", "csv_all": "--csv-all"}
HELP = """List runs, oldest first.

A condition is KEY=VALUE, or !=, <, <=, >, >= in place of =; several must all hold. A key is method, arch, dataset, status,
seed, any option (of network and data as arch.width, dataset.size) or any result, as test_accuracy.

\b
Example:
  wn runs --where method=supermask --where 'keep<0.5' --sort -test_accuracy
"""


@click.command("runs", cls=Command, help=HELP)
@click.option("--where", multiple=True, metavar="CONDITION", help="Only runs that fulfil it; may be given several times.")
@click.option("--sort", metavar="KEY", help="Sort by this value; -KEY puts the largest first.")
@click.option(
    "--runs-dir", default="runs", show_default=True, type=Path, help="Folder of results.", shell_complete=completion.path
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--csv", "as_csv", is_flag=True, help=classic.HELP)
@click.option("--csv-all", is_flag=True, help="All runs as comma-separated values: a column for every option and every result.")
@click.pass_context
def list_runs(ctx: click.Context, /, where: tuple[str, ...], sort: str | None, runs_dir: Path, **forms: bool) -> None:
    """List the runs that are asked for, in the order that is."""
    if len(asked := [FORMS[form] for form in FORMS if forms[form]]) > 1:
        raise UsageError(f"{asked[0]} and {asked[1]} are two forms of one table; give one of them")
    pairs, beside = _chosen(ctx, where, sort, runs_dir)
    if forms["as_csv"]:
        for line in classic.table(run for run, _ in pairs):
            click.echo(line)
    elif forms["csv_all"]:
        _write_csv([values for _, values in pairs])
    else:
        print_rows([_row(run, values, beside) for run, values in pairs], forms["as_json"])


def _chosen(ctx: click.Context, where: Sequence[str], sort: str | None, root: Path) -> tuple[list[Listed], list[str]]:
    """The runs with their values, and the keys that the table must show so that the choice is seen.

    Raises:
        UsageError: a condition that cannot be read, a key that nothing has.
    """
    from widenet.cli import where as asking
    from widenet.runs import listing

    conditions = [asking.condition(text) for text in where]
    key, descending = asking.order(sort) if sort else ("started", False)
    pairs: list[Listed] = [(run, asking.values(run)) for run in listing(root)]
    keys = [(condition.key, f"--where {condition.text}") for condition in conditions] + [(key, f"--sort {sort}")]
    asking.check(keys, [values for _, values in pairs], completion.registry_of(ctx))
    if not pairs:
        click.echo(f"no runs in {root}", err=True)
    found = [(run, values) for run, values in pairs if all(condition.holds(values) for condition in conditions)]
    if pairs and not found:
        click.echo(f"none of the {len(pairs)} runs in {root} fulfils {' and '.join(where)}", err=True)
    beside = [condition.key for condition in conditions if not condition.equality] + [key]
    return (asking.in_order(found, key, descending) if sort else found), [name for name in beside if name not in SHOWN]


def _row(run: Run, values: Mapping[str, Any], beside: Sequence[str]) -> dict[str, Any]:
    """What the table shows of a run."""
    given = {name: entry["value"] for name, entry in run.record.get("options", {}).items() if entry["source"] != "default"}
    shown = {name.replace("_", " "): values.get(name) for name in SHOWN}
    shown["started"] = values["started"][:16].replace("T", " ")
    return {**shown, **{name: values.get(name) for name in beside}, "options": ", ".join(map(pair, given, given.values()))}


def _write_csv(every: Sequence[Mapping[str, Any]]) -> None:
    """Every value of every run, columns in the order of the first run that has them."""
    from widenet.cli.where import OWN

    columns = dict.fromkeys([*OWN, *(key for values in every for key in values)])
    writer = csv.DictWriter(sys.stdout, list(columns), lineterminator="\n")
    writer.writeheader()
    for values in every:
        writer.writerow(
            {key: pair("", value)[1:] if isinstance(value, (list, bool)) else value for key, value in values.items()}
        )
