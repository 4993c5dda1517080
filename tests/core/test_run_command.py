"""``wn run``: what it prints and records, when it takes up a run again, and starting from another run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from processes import fork

from widenet.runs import Run

WILD = Path(__file__).with_name("wild.py")
TINY = ["--dataset", "tiny", "--threads", "1", "--batch-size", "64"]
SUPERMASK = ["run", "supermask", "--arch", "fc:hidden=8", *TINY, "--epochs", "1"]
TRAIN = ["run", "train", "--arch", "fc:hidden=8", *TINY, "--epochs", "1"]


# -- files that a method reads ---------------------------------------------------------------------------------------------

READER = """
from widenet import Method, Train, UsageError, hookimpl


def read(text):
    if text == "bug":
        return 1 / 0
    if text == "wrong":
        raise UsageError("line 1: 'wrong' is nothing; write numbers")
    return {"arch": "fc:hidden=8", "epochs": int(text)}, ["read one number", "twice over"]


@hookimpl
def methods():
    yield Method("reading", lambda run, net, data, config: None, Train, readers={".num": read})
"""


@pytest.fixture
def reading(wn, tmp_path):
    (tmp_path / "reader.py").write_text(READER)
    return lambda *words: wn("--plugin", "reader.py", "run", "reading", "--dataset", "tiny", *words)


def test_a_file_read_by_the_method_is_a_layer(reading, tmp_path):
    (tmp_path / "nine.num").write_text("9")
    answer = reading("--config", "nine.num", "--lr", "0.5", "--json")
    assert answer.code == 0
    options = answer.json["options"]
    assert options["epochs"] == {"value": 9, "source": "nine.num"}
    assert options["lr"] == {"value": 0.5, "source": "command line"}
    assert answer.json["arch"]["options"]["hidden"] == [8]
    assert answer.err.splitlines()[:2] == ["read one number", "twice over"]
    assert reading("--config", "nine.num", "--epochs", "3", "--json").json["options"]["epochs"]["value"] == 3
    assert reading("--config", "nine.num", "--quiet").err == ""
    shutil.copy(tmp_path / "nine.num", tmp_path / "NINE.NUM")
    assert reading("--config", "NINE.NUM", "--dry-run", "--json").json["options"]["epochs"]["source"] == "NINE.NUM"
    text = " ".join(reading("--help").out.split())
    assert "--config FILE Options from a file, as lines like epochs = 5; also .num." in text


def test_files_of_any_other_suffix_are_toml(reading, wn, tmp_path):
    for name in ("five.toml", "five", "five.txt"):
        (tmp_path / name).write_text("epochs = 5")
        assert reading("--config", name, "--dry-run", "--json").json["options"]["epochs"] == {"value": 5, "source": name}
    (tmp_path / "nine.num").write_text("epochs: 9")
    answer = wn("run", "train", "--config", "nine.num")
    assert answer.code == 2
    assert "nine.num is no valid TOML" in answer.line


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"wrong", 2, "x.num: line 1: 'wrong' is nothing; write numbers"),
        (b"\xff", 2, "x.num is no text ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte)"),
        (b"0", 2, "method reading: 'epochs' must be >= 1: 0"),
        (b"bug", 1, "reader/reading failed (ZeroDivisionError: division by zero): a bug, please tell the authors of plugin "),
        (None, 2, "cannot read x.num: No such file or directory"),
    ],
)
def test_files_that_a_method_cannot_read(reading, tmp_path, content, code, said):
    if content is not None:
        (tmp_path / "x.num").write_bytes(content)
    answer = reading("--config", "x.num")
    assert (answer.code, answer.out) == (code, "")
    assert answer.line.startswith(said)
    assert not (tmp_path / "runs").exists()


def test_the_papers_own_configuration_files(wn, tmp_path):
    text = (
        "arch: Conv4\nset: CIFAR10\nprune_rate: 0.3\nconv_type: SubnetConv\nfreeze_weights: true\nepochs: 1\nbatch_size: 64\n"
    )
    for name in ("x.yml", "x.yaml"):
        (tmp_path / name).write_text(text)
        answer = wn("run", "supermask", "--config", name, "--dataset", "tiny", "--dry-run", "--json")
        assert answer.code == 0, answer.err
        assert answer.json["options"]["keep"] == {"value": 0.3, "source": name}
        assert "prune_rate: 0.3 is what SubnetConv keeps" in answer.err
    (tmp_path / "x.yml").write_text("arhc: Conv4")
    assert wn("run", "supermask", "--config", "x.yml").line == "x.yml: the original has no option 'arhc'; did you mean 'arch'?"


# -- what the command line prints --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with a finished supermask; only to be copied."""
    cwd = tmp_path_factory.mktemp("template")
    assert fork(SUPERMASK, cwd).code == 0
    return cwd / "runs"


@pytest.fixture
def done(template, tmp_path):
    """A finished supermask in ``runs``."""
    shutil.copytree(template, tmp_path / "runs")
    (path,) = (tmp_path / "runs").glob("*/seed-0")
    return path


def test_the_summary_of_a_supermask_says_what_it_is_worth(wn):
    answer = wn(*SUPERMASK)
    assert answer.code == 0
    for words in ("test accuracy", "unmasked accuracy", "random mask accuracy", "layer", "kept", "linear.0", "linear.2"):
        assert words in answer.out
    assert "50.00%" in answer.out
    (path,) = [line.split()[1] for line in answer.out.splitlines() if line.startswith("results:")]
    assert f"wn analyze mask-stats {path}" in answer.out
    assert f"wn show {path}" in answer.out
    assert f"wn {' '.join(SUPERMASK)} --seed 1" in answer.out
    assert "random, " in answer.out
    assert "epoch 1/1" in answer.err


def test_every_command_named_as_next_works(done, wn):
    out = wn(*SUPERMASK).out
    commands = out[out.index("next:") + 5 :].split("wn ")[1:]
    assert len(commands) == 3
    for command in commands:
        assert wn(*command.split()).code == 0


def test_the_next_command_is_quoted_for_the_shell(wn, tmp_path):
    (tmp_path / "my options.toml").write_text("epochs = 1")
    answer = wn("run", "train", "--arch", "fc:hidden=8", *TINY, "--config", "my options.toml")
    assert "--config 'my options.toml' --seed 1" in answer.out


@pytest.mark.parametrize("given", [["--seed", "4"], ["--seed=4"], ["--seed", "1", "--fresh", "--seed", "4"]])
def test_the_next_command_has_one_seed(given, wn):
    answer = wn(*TRAIN[:2], *given, *TRAIN[2:])
    assert answer.out.splitlines()[-1].strip() == f"wn {' '.join(TRAIN)} --seed 5"


@pytest.mark.parametrize("words", [SUPERMASK, TRAIN])
def test_quiet_says_nothing_on_stderr(words, wn):
    answer = wn(*words, "--quiet")
    assert answer.code == 0
    assert answer.err == ""


@pytest.mark.parametrize("words", [SUPERMASK, TRAIN])
def test_json_is_the_record(words, wn, tmp_path):
    for _ in ("new", "done"):
        answer = wn(*words, "--json")
        found = answer.json
        record = json.loads((tmp_path / found.pop("run") / "run.json").read_text())
        assert found == record
        assert record["status"] == "finished"
        assert 0 <= record["result"]["test_accuracy"] <= 1
        assert ("kept" in record["result"]) == (words is SUPERMASK)


def test_json_holds_the_rows_of_analyses_too(wn):
    found = wn(*SUPERMASK, "--json", "--analyze", "mask-stats").json
    assert [row["layer"] for row in found["analyses"]["mask-stats"]] == ["linear.0", "linear.2", "all"]


def test_analyses_follow_the_summary(wn):
    answer = wn(*SUPERMASK, "--analyze", "mask-stats")
    assert answer.code == 0
    assert "dead_units" in answer.out


def test_the_record_says_where_every_option_came_from(wn, tmp_path):
    (tmp_path / "options.toml").write_text("epochs = 1\nlr = 0.5\n")
    words = ["--config", "options.toml", "--preset", "paper", "--lr", "0.25", *TINY]
    record = wn("run", "supermask", "--arch", "fc:hidden=8", *words, "--json", "--quiet").json
    sources = {name: (option["value"], option["source"]) for name, option in record["options"].items()}
    assert sources["lr"] == (0.25, "command line")
    assert sources["epochs"] == (1, "options.toml")
    assert sources["weight_decay"] == (1e-4, "preset paper")
    assert sources["gamma"] == (0.1, "default")
    assert record["arch"] == {"name": "core/fc", "options": {"hidden": [8], "bias": False}}
    assert record["environment"]["threads"] == 1
    assert {"python", "torch", "widenet"} <= record["versions"].keys()
    assert record["host"]
    assert record["parameters"] == 8 * 256 + 4 * 8


def test_a_dry_run_writes_nothing(wn, tmp_path):
    answer = wn(*SUPERMASK, "--dry-run")
    assert answer.code == 0
    assert "2,080" in answer.out
    assert wn(*SUPERMASK, "--dry-run", "--json").json["parameters"] == 2080
    assert list(tmp_path.iterdir()) == []


def test_another_runs_dir(wn, tmp_path):
    assert wn(*TRAIN, "--runs-dir", "else/where", "--quiet").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["else"]
    (row,) = wn("runs", "--runs-dir", "else/where", "--json").json
    assert row["status"] == "finished"


# -- a default that moved, an option that was added --------------------------------------------------------------------


def edit(path, change):
    record = json.loads((path / "run.json").read_text())
    change(record)
    (path / "run.json").write_text(json.dumps(record))


MOVED = [
    (lambda record: record["options"]["weight_decay"].update(value=0.25), ["method option weight_decay", "0.25", "0.0005"]),
    (lambda record: record["options"]["milestones"].update(value=[3]), ["method option milestones", "[3]", "[]"]),
    (lambda record: record["arch"]["options"].update(bias=True), ["arch option bias", "True", "False"]),
    (lambda record: record["dataset"]["options"].update(train=9), ["dataset option train", "9", "128"]),
]


@pytest.mark.parametrize(("change", "said"), MOVED)
@pytest.mark.parametrize("status", ["finished", "stopped"])
def test_a_default_that_moved_is_told_with_both_values(change, said, status, done, wn):
    edit(done, change)
    edit(done, lambda record: record.update(status=status))
    before = {path: path.read_bytes() for path in done.rglob("*") if path.is_file()}
    answer = wn(*SUPERMASK)
    assert answer.code == 2
    assert all(words in answer.line for words in [*said, "--fresh"])
    assert {path: path.read_bytes() for path in done.rglob("*") if path.is_file()} == before


def test_fresh_makes_it_anew_with_the_new_default(done, wn):
    edit(done, MOVED[0][0])
    assert wn(*SUPERMASK, "--fresh").code == 0
    assert wn(*SUPERMASK).code == 0


@pytest.mark.parametrize("part", ["options", "arch", "dataset"])
def test_an_option_added_since_is_no_difference(part, done, wn):
    def forget(record):
        options = record[part] if part == "options" else record[part]["options"]
        del options[{"options": "gamma", "arch": "bias", "dataset": "size"}[part]]

    edit(done, forget)
    answer = wn(*SUPERMASK)
    assert answer.code == 0
    assert "already finished" in answer.err


# -- starting from a run -----------------------------------------------------------------------------------------------


def test_a_run_starts_from_anothers_network_and_data(done, wn):
    words = ["run", "train", "--epochs", "1", "--threads", "1", "--from", done.parent.name, "--quiet", "--json"]
    record = wn(*words).json
    assert record["parents"] == [f"{done.parent.name}/seed-0"]
    assert record["arch"] == json.loads((done / "run.json").read_text())["arch"]
    assert record["dataset"]["name"] == "core/tiny"
    parent, child = Run.open(done).masks(), Run.open(done.parents[2] / record["run"]).masks()
    assert all(np.array_equal(parent[name], child[name]) for name in parent)


def test_from_another_run_is_another_folder(done, wn):
    fresh = wn("run", "train", "--arch", "fc:hidden=8", *TINY, "--dry-run", "--json").json
    words = ["run", "train", "--batch-size", "64", "--from", str(done), "--dry-run", "--json"]
    assert wn(*words).json["run"] != fresh["run"]
    assert wn(*words, "--dataset", "tiny:train=64").json["train"] == 64


# -- what a method may return ------------------------------------------------------------------------------------------


def test_results_are_kept_as_json_can_hold_them(wn):
    words = ["run", "failing", "--how", "odd result", "--plugin", WILD, "--arch", "fc:hidden=8", *TINY, "--epochs", "1"]
    result = wn(*words, "--json", "--quiet").json["result"]
    assert [result[key] for key in ("broken", "infinite", "one", "few")] == [None, None, 0.5, [1, 2]]


def test_a_file_that_changed_is_another_input(wn, tmp_path):
    import numpy as np

    def write(value):
        x, y = np.full((8, 16, 16, 3), value, np.uint8), np.arange(8) % 2
        np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)

    words = ("run", "train", "--arch", "fc:hidden=4", "--dataset", "npz:path=mine.npz", "--epochs", "1", "--quiet")
    write(7)
    assert wn(*words).code == 0
    assert wn(*words).code == 0
    write(8)
    answer = wn(*words)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "mine.npz has changed since" in answer.err
    assert wn(*words, "--fresh").code == 0


def test_a_parent_made_anew_is_another_input(wn, tmp_path):
    import json

    words = ("--dataset", "tiny", "--epochs", "1", "--quiet", "--json")
    first = wn("run", "train", "--arch", "fc:hidden=4", *words).json["run"]
    child = ("run", "train", "--from", first, "--epochs", "1", "--quiet")
    assert wn(*child).code == 0
    assert wn(*child).code == 0
    record = tmp_path / first / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "finished": "2001-01-01T00:00:00+0000"}))
    answer = wn(*child)
    assert answer.code == 2
    assert "has changed since" in answer.err


def test_a_presets_network_gives_way_to_that_of_a_run(wn, tmp_path):
    first = wn("run", "train", "--arch", "fc:hidden=4", "--dataset", "tiny", "--epochs", "1", "--quiet", "--json").json["run"]
    answer = wn("run", "train", "--from", first, "--preset", "conv4_sgd_baseline", "--epochs", "1", "--quiet", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["arch"]["name"] == "core/fc"
    assert answer.json["dataset"]["name"] == "core/tiny"
    refused = wn("run", "train", "--from", first, "--arch", "conv4")
    assert (refused.code, "leave --arch out" in refused.err) == (2, True)
