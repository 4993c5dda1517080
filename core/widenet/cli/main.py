"""Entry point of ``wn``: the command group, and one line with an exit code for every failure."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import sys
import traceback
from typing import Any, NoReturn

import click

from widenet import __version__
from widenet.cli.analyze import analyze
from widenet.cli.authoring import check_plugin, new_plugin
from widenet.cli.capture import capture
from widenet.cli.common import Group
from widenet.cli.compare import compare
from widenet.cli.completion import path, registry_of
from widenet.cli.export import export
from widenet.cli.listing import list_components, list_plugins, show
from widenet.cli.plot import plot
from widenet.cli.report import report
from widenet.cli.reproduce import reproduce
from widenet.cli.run import run
from widenet.cli.runs import list_runs
from widenet.cli.sweep import sweep
from widenet.errors import INTERRUPTED, WnError
from widenet.options import nearest
from widenet.runs import ranks

TOUR = """A workbench for studying width, redundancy and sparsity in neural networks.

\b
  wn run supermask --arch conv4    find a good subnetwork of random weights
  wn analyze mask-stats RUN        read what it left
  wn list methods                  see what else there is
  wn run METHOD --help             every option, with its default
"""


class Commands(Group):
    """Commands in the order of use, with the nearest one named for a misspelling."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order they were added."""
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command meant by the first word."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise click.UsageError(f"unknown command {args[0]!r}{nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, help=TOUR, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--plugin",
    multiple=True,
    metavar="FILE.py",
    help="Also load a plugin from one file; may stand anywhere.",
    shell_complete=path,
)
@click.version_option(__version__, prog_name="wn")
@click.pass_context
def cli(ctx: click.Context, plugin: tuple[str, ...]) -> None:
    """Load the plugins, once for every command."""
    registry_of(ctx)


for command in (
    run,
    sweep,
    reproduce,
    analyze,
    capture,
    export,
    plot,
    compare,
    report,
    list_runs,
    show,
    list_plugins,
    list_components,
    new_plugin,
    check_plugin,
):
    cli.add_command(command)


def hoist(argv: list[str]) -> list[str]:
    """``argv`` with every ``--plugin FILE`` moved to the front, before the command that may come from it."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--plugin":
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith("--plugin="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def main() -> None:
    """Run ``wn`` and exit with its code (see the README's table)."""
    code = guarded(sys.argv[1:])
    if ranks.count() > 1:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End one of torchrun's processes without taking the interpreter apart.

    gloo's threads outlive their process group once an optimiser was made, and now and then abort a process
    that ends under them.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def guarded(words: list[str]) -> int:
    """Run ``wn`` with these words; failures become one line on stderr. Returns the exit code."""
    try:
        answer = cli.main(hoist(words), prog_name="wn", standalone_mode=False)
        return answer if isinstance(answer, int) else 0
    except WnError as error:
        return _fail(str(error), error.exit_code)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return _fail(" ".join(error.format_message().split()) + where, 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _fail(f"interrupted; to continue: wn {shlex.join(words)}", INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, say) has gone: nothing to tell, and stdout must not be flushed again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("WN_STRICT"):
            raise
        traceback.print_exc()
        return _fail(f"a bug in widenet ({type(error).__name__}: {error}); please report it with the lines above", 1)


def _fail(message: str, code: int) -> int:
    click.echo(f"wn: {message}", err=True)
    return code
