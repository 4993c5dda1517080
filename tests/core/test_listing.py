"""Listings, help and completion: what there is, said in full, on stdout alone."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from widenet.cli.main import cli
from widenet.cli.terminal import print_rows
from widenet.options import pair, spec
from widenet_supermask.presets import PRESETS

BAD = Path(__file__).parent / "bad_plugins"
STUDIED = ["mnist-fc", "mnist-cnn", "cifar10-cnn"]
STUDIES = ["shuffled-mask", "random-mask", "fixed-param", "prune"]
"""Models and methods of weight-symmetry."""
WIDE = ["wrn28", "wrn16", "densenet40", "densenet28", "densenet100", "pmnist-fc", "read-out"]
"""Models of redundant-repr."""
DECOMPOSE = ["decompose", "gate-train", "selectivity-finetune"]
"""Methods of decompose."""
PLUGINS = ["core", "decompose", "frivolous", "redundant-repr", "supermask", "weight-symmetry"]
FRIVOLOUS = ["alexnet-cifar", "mlp1", "mlp3", "resnet56-cifar", "resnet18-width", "inception-v3-width"]
"""Models of frivolous."""


@pytest.fixture
def shelf(supermask_run, train_run, tmp_path):
    """A folder with two runs."""
    for run in (supermask_run, train_run):
        shutil.copytree(run.parent, tmp_path / "runs" / run.parent.name)
    return tmp_path / "runs"


def name_of(run):
    return f"{run.parent.name}/{run.name}"


# -- what is installed -----------------------------------------------------------------------------------------------------


def test_list_plugins(wn):
    answer = wn("list-plugins", "--json")
    assert answer.err == ""
    assert [row["plugin"] for row in answer.json] == PLUGINS
    core = answer.json[0]
    assert sum(row["methods"] for row in answer.json) == len(wn("list", "methods", "--json").json)
    assert {key: core[key] for key in ("from", "status", "datasets", "why")} == {
        "from": "widenet",
        "status": "ok",
        "datasets": 8,
        "why": "",
    }
    table = wn("list-plugins")
    assert table.err == ""
    assert table.out.splitlines()[0].split() == [
        *("plugin", "version", "from", "status", "models", "datasets", "methods", "analyses", "exports", "recipes"),
    ]
    assert table.out.splitlines()[5].split()[:4] == ["supermask", "0.1.0", "widenet-supermask", "ok"]


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (
            "models",
            ["conv2", "conv4", "conv6", "conv8", "fc", "resnet20", "cresnet18", "torchvision", *WIDE, *STUDIED, *FRIVOLOUS],
        ),
        ("datasets", ["digits", "mnist", "cifar10", "cifar100", "imagenet", "folder", "npz", "tiny"]),
        ("datasets", ["parity", "cifar-randaugment", "representations", "gaussian-teacher", "frivolous-cifar"]),
        ("methods", ["train", "import", *DECOMPOSE, "frivolous", "redundant-repr", "supermask", *STUDIES]),
        ("analyses", ["mask-stats", "mask-overlap", "symmetry", "symmetry-across"]),
        ("analyses", ["class-filters", "essential", "mutual-information", "selectivity"]),
        ("analyses", ["chunks", "chunks-over-training", "chunk-dimension", "bias-variance"]),
        ("analyses", ["prunability", "redundancy", "similarity", "width"]),
        ("exports", ["subnet", "decomposed", "frivolous-csv", "seed"]),
    ],
)
def test_list_components(wn, kind, known):
    answer = wn("list", kind, "--json")
    assert answer.err == ""
    found = {row["name"]: row for row in answer.json}
    assert set(known) <= found.keys()
    assert all(row.keys() == {"name", "plugin", "what", "presets"} for row in found.values())
    assert all(row["what"].endswith((".", ")")) for row in found.values())
    table = wn("list", kind)
    assert table.err == ""
    assert len(table.out.splitlines()) == len(found) + 1
    assert all(found[name]["what"] in table.out for name in known)


def test_show_a_component(wn):
    content = wn("show", "supermask", "--json").json
    assert (content["kind"], content["name"]) == ("method", "supermask/supermask")
    described = {row["option"]: row for row in content["options"]}
    assert described["keep"]["also"] == ["sparsity"]
    about = {"option": "nesterov", "values": "true|false", "default": False, "also": []}
    assert described["nesterov"] == {**about, "help": "Nesterov's momentum (SGD)."}
    assert described["optimizer"]["values"] == ["sgd", "adam", "adamw", "adagrad", "rmsprop", "ftrl"]
    assert list(described)[-1] == "save_at"
    assert content["presets"]["paper"]["epochs"] == 100
    text = wn("show", "supermask").out
    assert "Fraction of each layer's weights that is KEPT" in text
    assert re.search(r"^paper +epochs=100,", text, re.MULTILINE)
    assert wn("show", "fc", "--json").json["options"][0]["default"] == [300, 100]
    assert wn("show", "npz", "--json").json["options"][0]["default"] == "required"


def presets_file(path, count):
    """A plugin in a file, whose method has as many presets."""
    path.write_text(
        "from widenet import Method, Train, hookimpl\n"
        f"presets = {{f'set-{{n}}': {{'epochs': n + 1, 'amp': True}} for n in range({count})}}\n"
        "@hookimpl\ndef methods():\n    yield Method('rich', lambda run, net, data, config: None, Train, presets)\n"
    )
    return ("--plugin", path)


def test_a_few_presets_are_named_wherever_they_help(wn, tmp_path):
    few = presets_file(tmp_path / "rich.py", 8)
    names = ", ".join(f"set-{n}" for n in range(8))
    assert f"A named set of options: {names}." in " ".join(wn(*few, "run", "rich", "--help").out.split())
    assert names in wn(*few, "list", "methods").out
    assert "preset set-7: epochs=8, amp=true" in wn(*few, "show", "rich").out.splitlines()
    answer = wn(*few, "run", "rich", "--preset", "set8")
    assert (answer.code, answer.out) == (2, "")
    assert answer.line == f"rich/rich has no preset 'set8' (it has: {names}); did you mean 'set-7'?"


def test_many_presets_are_counted(wn, tmp_path):
    many = presets_file(tmp_path / "rich.py", 9)
    assert "one of 9; `wn show rich` lists them." in " ".join(wn(*many, "run", "rich", "--help").out.split())
    assert "9 (wn show rich)" in wn(*many, "list", "methods").out
    (rich,) = [row for row in wn(*many, "list", "methods", "--json").json if row["name"] == "rich"]
    assert len(rich["presets"]) == 9
    lines = wn(*many, "show", "rich").out.splitlines()
    assert lines[-10:] == ["preset  options", *(f"set-{n}   epochs={n + 1}, amp=true" for n in range(9))]
    answer = wn(*many, "run", "rich", "--preset", "set-9")
    assert (answer.code, answer.out) == (2, "")
    assert answer.line == "rich/rich has no preset 'set-9' (`wn show rich` lists its 9); did you mean 'set-8'?"


def test_show_a_plugin(wn):
    content = wn("show", "core", "--json").json
    assert (content["plugin"], content["status"], content["from"]) == ("core", "ok", "widenet")
    assert {"kind": "method", "name": "train", "what": "Train every weight of any network on any data."} in content[
        "components"
    ]
    text = wn("show", "core")
    assert text.out.startswith("plugin core 0.1.0 from widenet: ok\n")
    assert text.err == ""


# -- runs ------------------------------------------------------------------------------------------------------------------


def test_runs(wn, shelf, supermask_run):
    answer = wn("runs", "--json")
    assert answer.err == ""
    assert [row["run"].partition("-")[0] for row in answer.json] in (["supermask", "train"], ["train", "supermask"])
    row = next(row for row in answer.json if row["run"] == name_of(supermask_run))
    assert row["status"] == "finished"
    assert row["options"] == "keep=0.4, epochs=2"
    assert row["test accuracy"] > 0.5
    assert name_of(supermask_run) in wn("runs").out
    assert wn("runs", "--runs-dir", "elsewhere", "--json").json == []
    assert wn("runs", "--runs-dir", "elsewhere").err == "no runs in elsewhere\n"


def test_show_a_run(wn, shelf, supermask_run):
    content = wn("show", name_of(supermask_run), "--json").json
    assert content["run"] == f"runs/{name_of(supermask_run)}"
    assert content["options"]["keep"] == {"value": 0.4, "source": "command line"}
    assert content["options"]["lr"]["source"] == "default"
    assert [line["epoch"] for line in content["metrics"]] == [1, 2]
    text = wn("show", supermask_run.parent.name)
    assert text.err == ""
    for line in (
        f"run runs/{name_of(supermask_run)}: finished",
        "wn run supermask --arch fc --dataset tiny --epochs 2 --sparsity 0.6 --quiet --json",
        "arch core/fc:hidden=300,100,bias=false",
        "  kept                  40.00%",
    ):
        assert line in text.out.splitlines()
    assert re.search(r"^keep +0\.4 +command line$", text.out, re.MULTILINE)


CLASSIC = (
    "Date Finished, Base Config, Name, Prune Rate, Current Val Top 1, Current Val Top 5, "
    "Best Val Top 1, Best Val Top 5, Best Train Top 1, Best Train Top 5"
)


def test_runs_as_the_classic_table(wn, shelf, supermask_run, train_run):
    """Last and best of each column, by hand."""
    path = shelf / name_of(supermask_run)
    record = json.loads((path / "run.json").read_text())
    record["options"]["lr"]["source"] = "preset conv4_usc"
    (path / "run.json").write_text(json.dumps({**record, "finished": "2024-03-05T16:07:08+0000"}))
    metrics = [
        {"epoch": 1, "test/accuracy": 0.5, "test/top5": 0.875, "train/accuracy": 0.25, "train/top5": None},
        {"epoch": 2, "test/accuracy": 0.625, "test/top5": 0.75, "train/accuracy": 0.12345},
        {"epoch": 3, "train/accuracy": 0.2},
        {"epoch": 4, "test/accuracy": 0.5625, "test/top5": 0.8},
        {"phase": "end"},
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    answer = wn("runs", "--csv")
    assert (answer.code, answer.err) == (0, "")
    header, *lines = answer.out.splitlines()
    assert header == CLASSIC
    name = name_of(supermask_run)
    assert f"03-05-24_16:07:08, conv4_usc, {name}, 0.4, 56.25, 80.00, 62.50, 87.50, 25.00, " in lines
    plain = next(line.split(", ") for line in lines if name not in line)
    tested = wn("show", name_of(train_run), "--json").json["result"]["test_accuracy"]
    assert plain[1:5] == ["train-fc", name_of(train_run), "", f"{100 * tested:.2f}"]
    assert re.fullmatch(r"\d\d-\d\d-\d\d_\d\d:\d\d:\d\d", plain[0])
    assert all(len(line.split(", ")) == 10 for line in lines)


def test_the_classic_table_has_finished_runs_only(wn, shelf, supermask_run, train_run):
    path = shelf / name_of(train_run) / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "stopped"}))
    (shelf / name_of(supermask_run) / "metrics.jsonl").write_text("{\n")
    answer = wn("runs", "--csv")
    assert (answer.code, answer.out) == (0, CLASSIC + "\n")
    assert "left out: " in answer.err
    assert "metrics.jsonl is damaged" in answer.err
    (shelf / name_of(supermask_run) / "metrics.jsonl").unlink()
    accuracy = f"{100 * json.loads((supermask_run / 'run.json').read_text())['result']['test_accuracy']:.2f}"
    assert wn("runs", "--csv").out.splitlines()[1].endswith(f"0.4, {accuracy}, , {accuracy}, , , "), "a run without metrics"
    empty = wn("runs", "--csv", "--runs-dir", "elsewhere")
    assert (empty.code, empty.out, empty.err) == (0, CLASSIC + "\n", "no runs in elsewhere\n")
    both = wn("runs", "--csv", "--json")
    assert (both.code, both.out) == (2, "")
    assert both.line == "--json and --csv are two forms of one table; give one of them"


def test_an_analysis_of_several_runs_is_one_table_of_json(wn, shelf, supermask_run):
    copy = shelf / supermask_run.parent.name / "seed-1"
    shutil.copytree(supermask_run, copy)
    names = [name_of(supermask_run), name_of(copy)]
    one, two = wn("analyze", "mask-stats", names[0], "--json"), wn("analyze", "mask-stats", *names, "--json")
    assert len(two.json) == 2 * len(one.json)
    assert {row["run"] for row in two.json} == {f"runs/{name}" for name in names}
    assert {key: value for key, value in two.json[0].items() if key != "run"} == one.json[0]
    assert all(f"mask-stats of runs/{name}" in wn("analyze", "mask-stats", *names).out.splitlines() for name in names)
    assert wn("analyze", "mask-stats", *names, "-q").err == ""
    mixed = wn("analyze", "mask-stats", names[0], "nosuch")
    assert (mixed.code, mixed.out) == (2, "")


def test_a_run_whose_writer_died_is_partial(wn, shelf, train_run):
    path = shelf / name_of(train_run) / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "running"}))
    assert "partial" in {row["status"] for row in wn("runs", "--json").json}
    assert wn("show", name_of(train_run), "--json").json["status"] == "partial"
    assert wn("show", name_of(train_run)).out.startswith(f"run runs/{name_of(train_run)}: partial\n")


def test_a_damaged_run_is_listed(wn, shelf, train_run):
    (shelf / name_of(train_run) / "run.json").write_text('{"schema"')
    assert sorted(row["status"] for row in wn("runs", "--json").json) == ["damaged", "finished"]
    assert wn("show", name_of(train_run)).code == 1


def test_names_that_are_nothing(wn, shelf, supermask_run, site):
    for words, said in (
        (["show", "supermsk"], "there is nothing called 'supermsk'; did you mean 'supermask'?"),
        (["show", "zzz"], "there is no run 'zzz'; `wn runs` lists those in runs"),
        (["show", name_of(supermask_run)[:-1] + "1"], f"did you mean '{name_of(supermask_run)}'?"),
        (["list", "model"], "Invalid value for 'models|datasets|methods|analyses|exports|recipes': 'model' is not one of"),
        (["list-plugin"], "unknown command 'list-plugin'; did you mean 'list-plugins'?"),
        (["list"], "Missing argument"),
        (["list-plugins", "--jsn"], "--json"),
    ):
        answer = wn(*words)
        assert answer.code == 2
        assert answer.out == ""
        assert said in answer.line
    site.install(BAD / "import_error.py")
    assert "plugin import-error is broken" in wn("show", "supermsk").line


# -- tables ----------------------------------------------------------------------------------------------------------------


ROWS = [
    {"name": "a", "count": 1234, "share": 0.25, "gone": None, "note": "short"},
    {"name": "long-name", "count": 5, "share": None, "gone": "", "note": "a note of several words that is too long"},
]


def test_tables_align_numbers_and_leave_out_empty_columns(capsys):
    print_rows(ROWS, as_json=False, title="two things")
    assert capsys.readouterr().out.splitlines() == [
        "two things",
        "name       count  share  note",
        "a          1,234   0.25  short",
        "long-name      5         a note of several words that is too long",
    ]
    for empty in ([], [{}]):
        print_rows(empty, as_json=False)
        assert capsys.readouterr().out == ""


def test_tables_are_folded_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "45")
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("TERM", "dumb")  # no colours
    print_rows(ROWS, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 45
    assert "too long" in " ".join(" ".join(lines).split())


def test_options_are_shown_as_the_command_line_takes_them():
    assert pair("hidden", [300, 100]) == "hidden=300,100"
    assert (pair("size", None), pair("bias", True), pair("hidden", [])) == ("size=none", "bias=true", "hidden=")
    assert spec({"name": "core/fc", "options": {"hidden": [3], "bias": False}}) == "core/fc:hidden=3,bias=false"
    assert spec({"name": "core/mnist", "options": {}}) == "core/mnist"


# -- completion ------------------------------------------------------------------------------------------------------------


def completed(*words, incomplete=""):
    """What the shell offers after these words."""
    return [item.value for item in ShellComplete(cli, {}, "wn", "_WN_COMPLETE").get_completions(list(words), incomplete)]


def test_names_complete(site, monkeypatch, shelf, supermask_run, train_run):
    monkeypatch.chdir(shelf.parent)
    site.install(BAD / "good.py")
    runs = [name_of(supermask_run), name_of(train_run)]
    assert completed("run", incomplete="su") == ["supermask", "supermask-import"]
    assert completed("run") == [
        "train",
        "import",
        *DECOMPOSE,
        "frivolous",
        "well",
        "redundant-repr",
        "supermask",
        "supermask-import",
        *STUDIES,
    ]
    assert completed("run", "supermask", "--arch", incomplete="con") == ["conv2", "conv4", "conv6", "conv8"]
    assert completed("run", "supermask", "--arch", incomplete="mnist") == STUDIED[:2]
    assert completed("run", "redundant-repr", "--arch", incomplete="wrn") == ["wrn28", "wrn16"]
    assert completed("run", "prune", "--preset", incomplete="it") == ["iterative"]
    assert completed("run", "supermask", "--dataset", incomplete="ci") == ["cifar10", "cifar100", "cifar-randaugment"]
    assert completed("run", "supermask", "--preset") == list(PRESETS)
    assert completed("run", "supermask", "--preset", incomplete="pap") == ["paper"]
    assert completed("export", incomplete="super") == runs[:1]
    assert completed("export", "--what", incomplete="su") == ["subnet"]
    assert completed("capture", incomplete="super") == runs[:1]
    assert completed("capture", "--split", incomplete="t") == ["train", "test"]
    assert completed("run", "supermask", "--optimizer", incomplete="a") == ["adam", "adamw", "adagrad"]
    assert completed("run", "supermask", "--analyze", incomplete="mask") == ["mask-stats"]
    assert completed("run", "supermask", "--from", incomplete="super") == runs[:1]
    assert completed("run", "supermask", incomplete="--mil") == ["--milestones"]
    assert completed("analyze", incomplete="m") == ["mask-stats", "mutual-information", "mask-overlap"]
    assert completed("analyze", "mask-stats") == runs
    assert completed("analyze", "mask-stats", runs[0], incomplete="train") == runs[1:]
    assert completed("list", incomplete="exp") == ["exports"]
    assert completed("list", incomplete="m") == ["models", "methods"]
    assert completed("show", incomplete="super") == ["supermask", "supermask-import", runs[0]]
    assert completed("check-plugin", incomplete="g") == ["good"]
    assert completed("--plugin", str(BAD / "shadow.py"), "run", incomplete="shadow") == ["shadow/well"]
    assert completed(incomplete="list") == ["list-plugins", "list"]


def test_completion_in_the_shell(wn_apart):
    """The way the shell asks, with all that a process prints."""
    answer = wn_apart(env={"_WN_COMPLETE": "bash_complete", "COMP_WORDS": "wn run su", "COMP_CWORD": "2"})
    assert (answer.out, answer.err) == ("plain,supermask\nplain,supermask-import\n", "")
    assert "_WN_COMPLETE=bash_complete" in wn_apart(env={"_WN_COMPLETE": "bash_source"}).out
