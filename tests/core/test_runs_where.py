"""``wn runs`` filtered and sorted, and folders that were moved, half deleted or damaged."""

import csv
import io
import json
import shutil

import pytest

from widenet.cli.where import condition
from widenet.errors import UsageError

ONE, TWO, DENSE, BROKEN = "supermask-fc-tiny-11111111", "supermask-fc-tiny-22222222", "train-fc-tiny-33333333", "x-44444444"


def record_of(path):
    return json.loads((path / "run.json").read_text())


def copied(source, path, *, accuracy, keep=None, hidden=(300, 100), **values):
    """A copy of a run whose record says something else."""
    shutil.copytree(source, path, ignore=shutil.ignore_patterns("analyses"))  # those of tests that read the same run
    record = record_of(path)
    record["arch"]["options"]["hidden"] = list(hidden)
    if keep is not None:
        record["options"]["keep"]["value"] = keep
    record |= {"result": {**record["result"], "test_accuracy": accuracy}, "seed": int(path.name[5:])}
    record |= {"name": f"{path.parent.name}/{path.name}", **values}
    (path / "run.json").write_text(json.dumps(record))


@pytest.fixture
def shelf(supermask_run, train_run, tmp_path):
    """Four runs in order of time: two of a supermask, another one, plain training that was stopped."""
    root = tmp_path / "runs"
    times = iter(f"2024-01-0{day}T00:00:00+0000" for day in range(1, 9))
    copied(supermask_run, root / ONE / "seed-0", accuracy=0.9, keep=0.4, started=next(times))
    copied(supermask_run, root / ONE / "seed-1", accuracy=0.95, keep=0.4, started=next(times))
    copied(supermask_run, root / TWO / "seed-0", accuracy=0.7, keep=0.05, hidden=(8,), started=next(times))
    copied(train_run, root / DENSE / "seed-0", accuracy=None, status="stopped", started=next(times))
    return root


NAMES = [f"{ONE}/seed-0", f"{ONE}/seed-1", f"{TWO}/seed-0", f"{DENSE}/seed-0"]


def listed(wn, *words):
    answer = wn("runs", *words, "--json")
    assert answer.code == 0, answer.err
    return [NAMES.index(row["run"]) for row in answer.json]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["method=supermask"], [0, 1, 2]),
        (["method=supermask/supermask"], [0, 1, 2]),
        (["method!=supermask"], [3]),
        (["method=core/supermask"], []),
        (["arch=fc", "dataset=core/tiny"], [0, 1, 2, 3]),
        (["status=stopped"], [3]),
        (["seed=1"], [1]),
        (["seed==1"], [1]),
        (["method=supermask", "seed=0"], [0, 2]),
        (["keep>=0.4"], [0, 1]),
        (["keep<0.4"], [2]),
        (["keep<=.05"], [2]),
        (["keep=4e-1"], [0, 1]),
        (["keep!=0.4"], [2, 3]),
        (["keep=half"], []),
        (["keep!=half"], [0, 1, 2, 3]),
        (["test_accuracy>0.9"], [1]),
        (["test-accuracy > 0.7", "seed < 1"], [0]),
        (["test_accuracy=none"], [3]),
        (["arch.hidden=300,100"], [0, 1, 3]),
        (["arch.hidden = 300, 100"], [0, 1, 3]),
        (["arch.bias=no"], [0, 1, 2, 3]),
        (["nesterov=true"], []),
        (["lr=none"], [0, 1, 2]),
        (["started>=2024-01-03"], [2, 3]),
        (["parent=none"], [0, 1, 2, 3]),
        (["milestones=none"], [0, 1, 2, 3]),
        (["run=" + NAMES[2]], [2]),
        (["arch.width>0.5"], []),
    ],
    ids=lambda value: " and ".join(map(str, value)),
)
def test_where(wn, shelf, conditions, expected):
    assert listed(wn, *(word for text in conditions for word in ("--where", text))) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("test_accuracy", [2, 0, 1, 3]),
        ("-test_accuracy", [1, 0, 2, 3]),
        ("keep", [2, 0, 1, 3]),
        ("-keep", [0, 1, 2, 3]),
        ("status", [0, 1, 2, 3]),
        ("-status", [3, 0, 1, 2]),
        ("-started", [3, 2, 1, 0]),
        ("run", [0, 1, 2, 3]),
        ("arch.hidden", [0, 1, 3, 2]),
        ("-seed", [1, 0, 2, 3]),
    ],
)
def test_sort(wn, shelf, key, expected):
    assert listed(wn, "--sort", key) == expected


def test_the_choice_is_seen_in_the_table(wn, shelf):
    answer = wn("runs", "--where", "method=supermask", "--where", "keep>0.1", "--sort", "-seed")
    header, *rows = (line.split() for line in answer.out.splitlines())
    assert header == ["run", "status", "started", "seconds", "test", "accuracy", "keep", "seed", "options"]
    assert [row[0] for row in rows] == [NAMES[1], NAMES[0]]
    assert [row[6:8] for row in rows] == [["0.4", "1"], ["0.4", "0"]]
    assert "keep" not in wn("runs", "--where", "keep=0.4").out.splitlines()[0]


def test_nothing_fulfils_it(wn, shelf):
    answer = wn("runs", "--where", "keep>0.5", "--where", "seed=0")
    assert (answer.code, answer.out, answer.err) == (0, "", "none of the 4 runs in runs fulfils keep>0.5 and seed=0\n")
    empty = wn("runs", "--where", "keep>0.5", "--runs-dir", "elsewhere", "--json")
    assert (empty.code, empty.out, empty.err) == (0, "[]\n", "no runs in elsewhere\n")


def test_the_classic_table_is_filtered_and_sorted(wn, shelf):
    lines = wn("runs", "--csv", "--where", "method=supermask", "--where", "seed=0", "--sort", "keep").out.splitlines()
    assert [line.split(", ")[2:4] for line in lines] == [["Name", "Prune Rate"], [NAMES[2], "0.4"], [NAMES[0], "0.4"]]


def test_all_columns_as_comma_separated_values(wn, shelf):
    answer = wn("runs", "--csv-all", "--sort", "-test_accuracy")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [row["run"] for row in rows] == [NAMES[number] for number in (1, 0, 2, 3)]
    assert {name: rows[0][name] for name in ("method", "status", "seed", "keep", "arch.hidden", "arch.bias", "note")} == {
        "method": "supermask/supermask",
        "status": "finished",
        "seed": "1",
        "keep": "0.4",
        "arch.hidden": "300,100",
        "arch.bias": "false",
        "note": "",
    }
    assert (rows[0]["test_accuracy"], rows[3]["test_accuracy"], rows[3]["keep"]) == ("0.95", "", "")
    assert wn("runs", "--csv-all", "--runs-dir", "elsewhere").out == "run,status,seed,started,seconds,note\n"


def test_wrong_requests(wn, shelf):
    for words, said in (
        (["--where", "keeep=3"], "--where keeep=3: runs have no 'keeep'; did you mean 'keep'?"),
        (["--where", "width=3"], "--where width=3: runs have no 'width'; did you mean 'arch.width'?"),
        (["--where", "zzz=3"], "--where zzz=3: runs have no 'zzz'; `wn show RUN` shows what they have"),
        (["--sort", "-test_acuracy"], "--sort -test_acuracy: runs have no 'test_acuracy'; did you mean 'test_accuracy'?"),
        (["--where", "keep"], "--where keep: write KEY=VALUE, or !=, <, <=, >, >= in place of =, as 'arch.width>=0.5'"),
        (["--where", "keep="], "--where keep=: write KEY=VALUE"),
        (["--where", "=3"], "--where =3: write KEY=VALUE"),
        (["--where", "keep>much"], "--where keep>much: keep is a number, 'much' is none"),
        (
            ["--where", "arch=fc:hidden=8"],
            "--where arch=fc:hidden=8: name one thing at a time: --where arch=fc --where 'arch.hidden=8'",
        ),
        (["--csv", "--csv-all"], "--csv and --csv-all are two forms of one table; give one of them"),
        (["--json", "--csv-all"], "--json and --csv-all are two forms of one table; give one of them"),
    ):
        answer = wn("runs", *words)
        assert (answer.code, answer.out) == (2, "")
        assert said in answer.line


def test_a_value_that_is_no_number_has_no_order():
    assert not condition("arch.hidden>3").holds({"arch.hidden": [4]})
    assert not condition("amp>0").holds({"amp": True})
    assert condition("amp=ON").holds({"amp": True})
    assert condition("amp!=ON").holds({"amp": False})
    with pytest.raises(UsageError, match="keep is a number"):
        condition("keep<x").holds({"keep": 1})


# -- folders that are not as they were -------------------------------------------------------------------------------------


def rows_of(wn, *words):
    answer = wn("runs", "--json", *words)
    assert (answer.code, answer.err) == (0, "")
    return {row["run"]: row for row in answer.json}


def test_a_moved_run_says_what_it_was(wn, shelf):
    assert {row["note"] for row in rows_of(wn).values()} == {""}
    assert "note" not in wn("runs").out
    (shelf / TWO).rename(shelf / "mine")
    (shelf / ONE / "seed-1").rename(shelf / ONE / "seed-7")
    rows = rows_of(wn)
    assert (rows["mine/seed-0"]["status"], rows["mine/seed-0"]["note"]) == ("finished", f"moved: it was made as {TWO}/seed-0")
    assert rows[f"{ONE}/seed-7"]["note"] == f"moved: it was made as {ONE}/seed-1"
    assert rows[f"{ONE}/seed-0"]["note"] == ""
    assert "moved: it was made as" in wn("runs").out


def test_a_run_records_its_name(wn, tmp_path):
    path = (
        tmp_path / wn("run", "train", "--arch", "fc:hidden=4", "--dataset", "tiny", "--epochs", "1", "--json", "-q").json["run"]
    )
    assert record_of(path)["name"] == f"{path.parent.name}/seed-0"
    shutil.copytree(path, tmp_path / "runs" / "copy" / "seed-3")
    assert rows_of(wn)["copy/seed-3"]["note"] == f"moved: it was made as {path.parent.name}/seed-0"


def test_half_deleted_runs_are_listed(wn, shelf):
    (shelf / ONE / "seed-0" / "weights" / "final.pt").unlink()
    (shelf / TWO / "seed-0" / "run.json").unlink()
    shutil.rmtree(shelf / DENSE / "seed-0" / "weights")
    (shelf / "nothing" / "seed-0").mkdir(parents=True)
    (shelf / "file").mkdir()
    (shelf / "file" / "seed-0").write_text("")
    rows = rows_of(wn)
    assert rows.keys() == set(NAMES)
    assert (rows[NAMES[0]]["status"], rows[NAMES[0]]["note"]) == ("finished", "half deleted: no weights/final.pt")
    about = "half deleted: no run.json beside weights, masks, metrics.jsonl, checkpoint.pt"
    assert (rows[NAMES[2]]["status"], rows[NAMES[2]]["note"]) == ("damaged", about)
    assert rows[NAMES[3]]["note"] == "", "a stopped run need not have weights"
    shown = wn("show", NAMES[2])
    assert (shown.code, shown.out) == (2, "")
    assert shown.line.startswith(
        f"runs/{NAMES[2]} is half deleted: it has weights, masks, metrics.jsonl, checkpoint.pt but no run"
    )


RECORD = {
    **dict.fromkeys(("component", "status", "started"), "finished"),
    **{part: {"name": "core/fc", "options": {}} for part in ("arch", "dataset")},
    **{part: {} for part in ("options", "result")},
    "schema": 1,
    "argv": [],
    "seed": 0,
}
WRONG = (
    *({"arch": "core/fc"}, {"arch": {"name": "core/fc"}}, {"options": []}, {"options": {"lr": 3}}),
    *({"result": None}, {"started": 3}, {"seed": "0"}, {"component": None}, {"argv": "run"}, {"schema": 99}),
)


@pytest.mark.parametrize(
    "content",
    [*(b"", b"{", b"[]", b"\xff\xfe\x00", b'{"schema": 1}'), *(json.dumps({**RECORD, **wrong}).encode() for wrong in WRONG)],
)
def test_damaged_records_break_nothing(wn, shelf, content):
    (shelf / ONE / "seed-1" / "run.json").write_text(json.dumps(RECORD))
    assert rows_of(wn)[NAMES[1]]["status"] == "finished"
    (shelf / ONE / "seed-1" / "run.json").write_bytes(content)
    rows = rows_of(wn)
    assert len(rows) == 4
    assert (rows[NAMES[1]]["status"], rows[NAMES[1]]["note"]) == ("damaged", "its run.json cannot be read")
    assert list(rows_of(wn, "--where", "status=damaged")) == [NAMES[1]]
    for words in (["--sort", "seed"], ["--where", "keep<1"], ["--where", "method!=train"], ["--csv"], ["--csv-all"], []):
        assert wn("runs", *words).code == 0
    shown = wn("show", NAMES[1])
    assert (shown.code, shown.out) == (1, "")
    assert "run.json" in shown.line
