"""The example plugin for Weights & Biases, with a stand-in that writes down what it is told, in the manner of the real one."""

import ast
import json
import time
from pathlib import Path

import pytest
from processes import fork, run_path

from widenet.runs import Run

PLUGIN = Path(__file__).parents[2] / "docs" / "examples" / "wandb_logger.py"
TRAIN = ["run", "train", "--arch", "fc:hidden=8", "--dataset", "tiny", "--threads", "1", "--batch-size", "64"]
STAND_IN = '''
import json, pathlib

class Run:
    """Lives as long as its id: a file that each line logged is appended to."""

    def __init__(self, id):
        self.path = pathlib.Path(f"wandb-{id}.jsonl")
        self.summary = Summary(self)

    def tell(self, what, **values):
        with self.path.open("a") as file:
            file.write(json.dumps({"what": what, **values}) + "\\n")

    def lines(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    @property
    def step(self):
        return max((line["step"] + 1 for line in self.lines() if line["what"] == "log"), default=0)

    def log(self, values, step):
        assert step >= self.step, "W&B takes no smaller step"
        self.tell("log", step=step, values=values)

    def define_metric(self, name, step_metric):
        self.tell("axis", name=name, of=step_metric)

    def finish(self):
        self.tell("finish")

class Summary:
    def __init__(self, run):
        self.run = run

    def update(self, values):
        self.run.tell("summary", values=values)

def init(*, project, id, resume, name, group, config, dir, reinit):
    assert (resume, reinit) == ("allow", "create_new")
    run = Run(id)
    run.tell("init", project=project, name=name, group=group, config=config, dir=str(dir))
    return run
'''


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A module ``wandb`` for the processes that are forked."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "wandb.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)


def told(folder):
    """What each run there was told: its lines by what they are."""
    found = {}
    for path in sorted(folder.glob("wandb-*.jsonl")):
        lines = found[path.stem] = {}
        for line in map(json.loads, path.read_text().splitlines()):
            lines.setdefault(line.pop("what"), []).append(line)
    return found


def numbers(line):
    return {name: value for name, value in line.items() if value is not None}


def timeless(lines):
    return [{**line, "values": {name: value for name, value in line["values"].items() if name != "seconds"}} for line in lines]


def test_every_line_and_the_result_are_told(stand_in, tmp_path):
    answer = fork([*TRAIN, "--epochs", "3", "--lr", "0.1", "--plugin", PLUGIN], tmp_path)
    assert answer.code == 0, answer.err
    assert "failed" not in answer.err
    run = Run.open(run_path(tmp_path))
    ((name, there),) = told(tmp_path).items()
    assert name.startswith(f"wandb-{run.path.parent.name}-seed-0-")
    assert not set(name) & set("/\\#?%:+")
    assert there["log"] == [{"step": n, "values": numbers(line)} for n, line in enumerate(run.metrics(), 1)]
    (start,) = there["init"]
    config = start.pop("config")
    assert start == {"project": "widenet", "name": run.name, "group": run.path.parent.name, "dir": f"runs/{run.name}"}
    expected = {"method": "core/train", "arch": "core/fc", "arch.hidden": [8], "lr": 0.1, "epochs": 3, "seed": 0}
    assert {key: config[key] for key in expected} == expected
    assert there["axis"] == [{"name": "*", "of": "step"}]
    assert there["summary"] == [{"values": numbers(run.record["result"])}]
    assert there["finish"] == [{}]


@pytest.mark.parametrize("first", [["--plugin", PLUGIN], []], ids=["logged from the start", "logged later"])
def test_a_run_that_was_killed_is_continued_there(stand_in, first, tmp_path):
    words = [*TRAIN, "--epochs", "4"]
    assert fork([*words, *first], tmp_path, "logged:2:KILL").code < 0
    assert len(told(tmp_path)) == bool(first)
    answer = fork([*words, "--plugin", PLUGIN], tmp_path)
    assert answer.code == 0, answer.err
    assert "failed" not in answer.err
    run = Run.open(run_path(tmp_path))
    (there,) = told(tmp_path).values()
    expected = [{"step": n, "values": numbers(line)} for n, line in enumerate(run.metrics(), 1)]
    assert timeless(there["log"]) == timeless(expected)  # an epoch that was done again has taken another time
    assert len(there["init"]) == 1 + bool(first)


def test_a_run_made_anew_is_another_one_there(stand_in, tmp_path):
    words = [*TRAIN, "--epochs", "1", "--plugin", PLUGIN]
    for more in ([], [], ["--fresh"]):
        assert fork([*words, *more], tmp_path).code == 0
        time.sleep(1.1)  # runs are told apart by the second in which they began
    assert [len(there["finish"]) for there in told(tmp_path).values()] == [1, 1]


def test_runs_that_are_trained_together_are_told_apart(stand_in, tmp_path):
    answer = fork([*TRAIN, "--epochs", "2", "--repeats", "2", "--stack", "--plugin", PLUGIN], tmp_path)
    assert answer.code == 0, answer.err
    assert "failed" not in answer.err
    for run, there in zip(sorted(tmp_path.glob("runs/*/seed-*")), told(tmp_path).values(), strict=True):
        assert [line["values"] for line in there["log"]] == [numbers(line) for line in Run.open(run).metrics()]
        assert len(there["finish"]) == 1


def test_without_wandb_nothing_starts(wn, tmp_path, monkeypatch):
    import importlib.util

    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else there(name))
    for words in ([], ["--dry-run"]):
        answer = wn(*TRAIN, "--plugin", PLUGIN, *words)
        assert (answer.code, answer.out) == (3, "")
        assert answer.line == f"--plugin {PLUGIN} cannot be used (UsageError: it needs Weights & Biases: pip install wandb)"
    assert not (tmp_path / "runs").exists()
    assert wn("list-plugins", "--plugin", PLUGIN, "--json").json[-1]["status"] == "broken"
    assert wn("runs", "--plugin", PLUGIN).code == 0


def test_the_guide_names_it():
    guide = (PLUGIN.parents[1] / "plugins.md").read_text()
    assert "(examples/wandb_logger.py)" in guide
    assert "logged" in {node.name for node in ast.parse(PLUGIN.read_text()).body if isinstance(node, ast.FunctionDef)}
