"""Help, and completion in the shell."""

import re
from pathlib import Path

import click
import pytest

from widenet import Analysis, Method
from widenet.cli.analyze import analysis_command
from widenet.cli.main import cli
from widenet.cli.run import method_command
from widenet.components import Settings, Train
from widenet.loading import load
from widenet.options import options
from widenet_supermask.presets import PRESETS

HELP = {
    "": ["Usage: wn [OPTIONS] COMMAND", "wn run supermask --arch conv4", "capture", "list-plugins", "check-plugin"],
    "run": ["supermask", "Find a subnetwork of random weights", "Train every weight of any network on any data."],
    "analyze": ["mask-stats", "Count kept weights, density and dead units of each masked layer."],
    "run supermask": ["Method options:", "Training options:", "Common options:", "Command options:", "wn run supermask --arch"],
    "run shuffled-mask": ["count the symmetry they leave.", "Method options:", "Training options:", "--keep FLOAT"],
    "run random-mask": ["whose sparsity is drawn", "--min-sparsity FLOAT", "[default: 0.99]"],
    "run fixed-param": ["--arch mnist-fc:params=100000,depth=3"],
    "run prune": ["--rates TEXT,...", "--rewind / --no-rewind", "one-shot"],
    "run redundant-repr": ["study the chunks of its last representation", "--error-repeats INT", "--final-lr FLOAT"],
    "analyze chunks": ["Usage: wn analyze chunks [OPTIONS] RUN...", "--structured largest-norm|greedy|kmeans,..."],
    "analyze bias-variance": ["Usage: wn analyze bias-variance [OPTIONS] RUN RUN..."],
    "capture": ["Usage: wn capture [OPTIONS] RUN", "--split train|test|val,...", "Capture options:", "--dry-run", "fc:input"],
    "analyze symmetry": ["Usage: wn analyze symmetry [OPTIONS]", "Common options:"],
    "analyze symmetry-across": ["Usage: wn analyze symmetry-across [OPTIONS] RUN RUN...", "Analysis options:"],
    "run train": ["Training options:", "Common options:"],
    "analyze mask-stats": ["Usage: wn analyze mask-stats [OPTIONS] RUN...", "Command options:", "Common options:"],
    "list-plugins": ["--json"],
    "export": ["Usage: wn export [OPTIONS] RUN", "wn export RUN --what subnet", "--force", "Common options:", "--device"],
    "list": ["models|datasets|methods|analyses|exports"],
    "show": ["NAME_OR_RUN"],
    "runs": ["--runs-dir", "--csv", "--where CONDITION", "--sort KEY"],
    "compare": ["Usage: wn compare [OPTIONS] RUN RUN...", "--baseline RUN", "--csv"],
    "new-plugin": ["--into"],
    "check-plugin": ["NAME"],
}


@pytest.mark.parametrize(("command", "parts"), HELP.items())
def test_help(wn, command, parts):
    answer = wn(*command.split(), "--help")
    assert answer.code == 0
    assert answer.err == ""
    assert wn(*command.split(), "-h").out == answer.out
    whole = " ".join(answer.out.split())
    assert all(part in whole for part in parts)
    assert max(map(len, answer.out.splitlines())) <= 80
    assert not re.search(r"[a-z]\.\.\.$", answer.out, re.MULTILINE)  # cut off
    for trace in ("``", ":class:", "Raises:", "None", "\b"):
        assert trace not in answer.out


def test_help_of_a_command_without_words(wn):
    for words in ([], ["run"], ["analyze"]):
        answer = wn(*words)
        assert answer.code == 2
        assert answer.out == ""
        assert answer.err == wn(*words, "--help").out


def test_every_option_has_help(wn):
    registry = load()
    commands = [command for command in cli.commands.values() if not isinstance(command, click.Group)]
    commands += [method_command(method, method.name) for method in registry.components(Method)]
    commands += [analysis_command(analysis, analysis.name) for analysis in registry.components(Analysis)]
    assert len(commands) >= 20
    for command in [cli, *commands]:
        assert command.help
        for param in command.params:
            assert not isinstance(param, click.Option) or param.help.endswith((".", "]")), (command.name, param.name)


def test_help_of_options(wn):
    text = " ".join(wn("run", "supermask", "--help").out.split())
    for part in (
        "--keep FLOAT Fraction of each layer's weights that is KEPT (not removed). [default: 0.5]",
        "--scale-fan / --no-scale-fan Count only kept",
        "--init NAME Distribution of the random weights. [kaiming_normal, kaiming_uniform,",
        "--milestones INT,... Epochs after which the step schedule multiplies the rate by gamma. [default: none]",
        "--optimizer NAME Optimiser. [sgd, adam, adamw, adagrad, rmsprop, ftrl; default: sgd]",
        f"--preset NAME A named set of options, one of {len(PRESETS)}; `wn show supermask` lists them.",
        "--config FILE Options from a file, as lines like epochs = 5; also .yml, .yaml.",
        "--nesterov / --no-nesterov Nesterov's momentum (SGD). [default: off]",
    ):
        assert part in text
    assert all(option.flag in text for option in (*options(Train), *options(Settings)))
    required = wn("run", "demanding", "--help", "--plugin", Path(__file__).parent / "faulty_plugins" / "required.py").out
    assert "--table PATH  A table.  [required]" in required
