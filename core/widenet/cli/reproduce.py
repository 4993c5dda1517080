"""``wn reproduce RECIPE``: the runs behind a paper's claims, its figure redrawn, and each claim held against them."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from widenet.cli import completion
from widenet.cli.common import Command, Group, Sectioned, help_text, settings_options
from widenet.cli.launch import ENGINE, LAUNCHES, engine, engine_options
from widenet.cli.stopping import stoppable
from widenet.cli.terminal import print_json, print_rows
from widenet.errors import UsageError
from widenet.plugins import Registry
from widenet.recipes import SCALES, Recipe, outline

if TYPE_CHECKING:
    from widenet.study import Verdict

SETTINGS = ("data_dir", "runs_dir", "device", "workers", "threads")


class Recipes(Group):
    """Every installed recipe as a sub-command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Full names, by plugin."""
        return [recipe.full_name for recipe in completion.registry_of(ctx).components(Recipe)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command:
        """The command for a recipe."""
        found = completion.registry_of(ctx).find(Recipe, name)
        assert isinstance(found, Recipe)
        return recipe_command(found, name)


@click.group(cls=Recipes, subcommand_metavar="PLUGIN/RECIPE [OPTIONS]")
def reproduce() -> None:
    """Hold a paper's claims against runs: at a smoke, a small or the paper's own scale, on its data or yours."""


def recipe_command(recipe: Recipe, name: str) -> click.Command:
    """``wn reproduce PLUGIN/RECIPE``."""
    params = [
        Sectioned(
            ["--scale"],
            type=click.Choice(SCALES),
            default="smoke",
            show_default=True,
            help="Under a minute on embedded data; an evening on two cores; the full setting.",
        ),
        Sectioned(["--dataset"], metavar="TEXT", help="Data in place of the recipe's, as NAME or NAME:key=value,key=value."),
        Sectioned(["--seeds"], metavar="INT", type=click.IntRange(1), help="How many seeds, from 0, in place of the recipe's."),
        Sectioned(
            ["--set", "overrides"],
            metavar="KEY=VALUE",
            multiple=True,
            help="An option of its methods in place of the recipe's, as epochs=5; repeatable.",
        ),
        Sectioned(["--yes", "-y"], is_flag=True, help="Start without asking."),
        Sectioned(["--dry-run"], is_flag=True, help="Show runs and cost; run nothing."),
        Sectioned(["--report"], metavar="FILE.html", type=Path, help="Also write a page of all it found."),
        Sectioned(["--quiet", "-q"], is_flag=True, help="No words on stderr."),
        Sectioned(["--json"], is_flag=True, help="Claims and table as JSON."),
        *engine_options([launch for launch in LAUNCHES if launch != "print"]),
        *settings_options(SETTINGS),
    ]
    claims = "\n".join(f"  {claim.text} ({claim.source})" for claim in recipe.claims)
    text = f"{help_text(recipe.function)}\n\n{recipe.source}\n\n\b\nClaims:\n{claims}"

    @click.pass_context
    def callback(ctx: click.Context, /, **given: Any) -> None:
        with stoppable():
            front = [word for file in ctx.find_root().params.get("plugin", ()) for word in ("--plugin", str(file))]
            ctx.exit(_reproduce(completion.registry_of(ctx), recipe, given, front))

    return Command(name, params=params, callback=callback, help=text)  # type: ignore[arg-type]


def _reproduce(registry: Registry, recipe: Recipe, given: dict[str, Any], front: list[str]) -> int:
    from widenet.cli.reproduced import keep, told
    from widenet.cli.reproducing import Reproduction
    from widenet.runs import Run

    common = {key: given[key] for key in SETTINGS if given[key] is not None}
    work = Reproduction(registry, recipe, given["scale"], common, front, quiet=given["quiet"])
    work.override(given["dataset"], given["seeds"], given["overrides"])
    carried = engine(work.runs_dir, **{key: given[key] for key in ENGINE})
    jobs = given["jobs"] or work.processors
    _announce(work, jobs, given)
    if given["dry_run"]:
        return 0
    _ask(given)
    with contextlib.redirect_stdout(sys.stderr):
        study, failures = work.carry_out(carried, local=given["launch"] == "local")
    rows, verdicts, folder, figures = keep(work, study)
    if given["json"]:
        print_json({"recipe": recipe.full_name, "folder": str(folder), "claims": [v.row() for v in verdicts], "rows": rows})
    else:
        print_rows([told(verdict) for verdict in verdicts], as_json=False)
        click.echo(f"kept in {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    if given["report"] is not None:
        runs = [Run.open(trial.run.path, registry=registry) for trial in study.trials]
        _report(recipe, runs, verdicts, figures, given["report"])
    for label, error in failures:
        click.echo(f"wn: {label}: {error}", err=True)
    return 1 if failures else 0


def _announce(work: Any, jobs: int, given: dict[str, Any]) -> None:
    """Say how many runs there are, how many are done, and about what the rest costs."""
    if given["quiet"] and not given["dry_run"]:
        return
    with contextlib.redirect_stdout(sys.stderr if not given["dry_run"] else sys.stdout):
        print_rows(outline(work.stages), as_json=False)
        seconds = work.cost()
        about = f"about {_words(seconds / jobs)} on {jobs} process{'es' * (jobs > 1)}, from a timed step; analyses not counted"
        click.echo(about if seconds else "all runs that can be planned now are finished")


def _ask(given: dict[str, Any]) -> None:
    """Ask whether to start.

    Raises:
        UsageError: there is no terminal to ask at.
        Abort: the answer was no.
    """
    if given["yes"]:
        return
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask whether to start; add --yes")
    click.confirm("start?", default=True, abort=True, err=True)


def _report(recipe: Recipe, runs: list[Any], verdicts: list[Verdict], figures: list[Path], out: Path) -> None:
    """Write the page."""
    from widenet.files import whole
    from widenet.report import page

    html = page(runs, title=recipe.summary, claims=[verdict.row() for verdict in verdicts], figures=figures)
    with whole(out) as file:
        file.write(html.encode())
    click.echo(f"page: {out}", err=True)


def _words(seconds: float) -> str:
    """``40 s``, ``12 min``, ``5.5 h``, ``3.2 days``."""
    for size, word in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            number = seconds / size
            return f"{number:.0f} {word}" if number >= 10 else f"{number:.1f} {word}"
    return f"{max(1, round(seconds))} s"
