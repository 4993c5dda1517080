"""A whole plugin as its author prints it, from a file and installed: it needs nothing of the core but what it imports."""

from pathlib import Path

import pytest

MAGNITUDE = Path(__file__).parent / "third_party" / "magnitude.py"
RUN = ["run", "magnitude", "--arch", "fc", "--dataset", "tiny", "--epochs", "2"]


@pytest.fixture(params=["file, before", "file, after", "installed"])
def command(request, site):
    """Turns a command into one that knows the plugin."""
    if request.param == "installed":
        site.install(MAGNITUDE)
        return lambda *words: words
    option = ("--plugin", MAGNITUDE)
    return (lambda *words: (*option, *words)) if request.param == "file, before" else (lambda *words: (*words, *option))


def test_from_pruning_to_analyses(wn, command, supermask_run):
    answer = wn(*command(*RUN, "--json"))
    assert answer.code == 0, answer.err
    record = answer.json
    assert record["component"] == "magnitude/magnitude"
    assert record["result"]["kept"] == pytest.approx(0.1, abs=0.001)
    assert record["result"].keys() == {"test_accuracy", "kept"}
    assert record["options"]["sparsity"] == {"value": 0.9, "source": "default"}

    dead = wn(*command("analyze", "dead-units", record["run"], "--json"))
    assert [(row["layer"], row["units"]) for row in dead.json] == [("linear.0", 300), ("linear.2", 100), ("linear.4", 4)]
    assert dead.json[0]["dead"] == 0
    stats = wn(*command("analyze", "mask-stats", record["run"], "--json")).json
    assert [(row["layer"], row["weights"]) for row in stats] == [
        ("linear.0", 76_800),
        ("linear.2", 30_000),
        ("linear.4", 400),
        ("all", 107_200),
    ]
    assert all(row["density"] == pytest.approx(0.1, abs=0.003) for row in stats)

    # An analysis reads the run of any method.
    others = wn(*command("analyze", "dead-units", supermask_run, "--json"))
    assert others.code == 0, others.err
    assert [row["layer"] for row in others.json] == ["linear.0", "linear.2", "linear.4"]


def test_options_come_from_the_class_and_its_preset(wn, command):
    extreme = wn(*command(*RUN, "--preset", "extreme", "--json", "-q")).json
    assert extreme["options"]["sparsity"] == {"value": 0.99, "source": "preset extreme"}
    assert extreme["result"]["kept"] == pytest.approx(0.01, abs=0.001)
    half = wn(*command(*RUN, "--preset", "extreme", "--sparsity", "0.5", "--dry-run", "--json")).json
    assert half["options"]["sparsity"] == {"value": 0.5, "source": "command line"}
    for value, reason in (("1", "'sparsity' must be < 1: 1.0"), ("-0.1", "'sparsity' must be >= 0: -0.1"), ("x", "no number")):
        answer = wn(*command(*RUN, "--sparsity", value))
        assert answer.code == 2
        assert reason in answer.line
    unknown = wn(*command(*RUN, "--preset", "extrem"))
    assert unknown.code == 2
    assert "has no preset 'extrem' (it has: extreme); did you mean 'extreme'?" in unknown.line
    text = wn(*command("run", "magnitude", "--help")).out
    assert "Fraction of weights removed.  [default: 0.9]" in text
    assert text.index("Method options:") < text.index("--sparsity") < text.index("Training options:") < text.index("--epochs")


def test_it_is_listed_like_any_other(wn, command):
    row = next(row for row in wn(*command("list-plugins", "--json")).json if row["plugin"] == "magnitude")
    assert (row["status"], row["methods"], row["analyses"]) == ("ok", 1, 1)
    assert {"name": "dead-units", "plugin": "magnitude", "presets": []}.items() <= next(
        row.items() for row in wn(*command("list", "analyses", "--json")).json if row["name"] == "dead-units"
    )
    shown = wn(*command("show", "magnitude", "--json")).json
    assert shown["presets"] == {"extreme": {"sparsity": 0.99}}
    assert shown["what"] == "Prune by magnitude, layer by layer, then train."


def test_its_runs_outlive_the_plugin(wn, tmp_path):
    """Network, masks and weights of a run need the method's plugin no more."""
    record = wn(*RUN, "--plugin", MAGNITUDE, "--json", "-q").json
    assert wn("show", record["run"], "--json").json["component"] == "magnitude/magnitude"
    assert wn("analyze", "mask-stats", record["run"]).code == 0
    answer = wn("analyze", "dead-units", record["run"])
    assert answer.code == 2
    assert "unknown analysis 'dead-units'" in answer.line
