"""From a record back to the untrained network; tables on disk; the files and runs that options name."""

import csv
from pathlib import Path

import attrs
import pytest
import torch
from alike import unequal
from hypothesis import given
from hypothesis import strategies as st

from widenet import loading, opening, opt
from widenet.errors import UsageError, WnError
from widenet.files import write_csv
from widenet.plan import files_of
from widenet.runs import Run

QUICK = ("--dataset", "tiny", "--threads", "1", "--quiet", "--json", "--batch-size", "32", "--epochs", "1")
BESIDE = '''
from pathlib import Path

import attrs
from widenet import Analysis, hookimpl, opt

@attrs.frozen(kw_only=True)
class Options:
    ensemble: tuple[Path, ...] = opt((), "Other runs.")

def beside(run, net, data, config):
    """Say what other runs there are."""
    print("looking")
    yield {"count": len(config.ensemble)}

@hookimpl
def analyses():
    yield Analysis("beside", beside, Options)
'''


def carried_out(wn, cwd, *words):
    answer = wn("run", *words, *QUICK, cwd=cwd)
    assert answer.code == 0, answer.err
    return Run.open(cwd / answer.json["run"])


# -- the untrained network ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["fc:hidden=12,8", "conv2:width=0.05", "resnet20:width=0.25"])
def test_the_untrained_network_is_the_one_that_training_began_with(wn, tmp_path, arch):
    run = carried_out(wn, tmp_path, "train", "--arch", arch, "--save-every", "1", "--seed", "3")
    torch.manual_seed(99)
    net = opening.untrained(loading.load(), run)
    assert not unequal(dict(net.state_dict()), run.weights("init"))
    assert unequal(dict(net.state_dict()), run.weights())


def test_another_seed_is_another_network(wn, tmp_path):
    run = carried_out(wn, tmp_path, "train", "--arch", "fc:hidden=12,8")
    other = Run(run.path, {**run.record, "seed": 1})
    registry = loading.load()
    one, two = (dict(opening.untrained(registry, each).state_dict()) for each in (run, other))
    assert unequal(one, two)
    assert not unequal(one, dict(opening.untrained(registry, run).state_dict()))


def test_a_run_from_another_has_no_untrained_network(wn, tmp_path):
    parent = carried_out(wn, tmp_path, "train", "--arch", "fc:hidden=12,8")
    answer = wn("run", "train", "--from", parent.path, *QUICK[2:])
    assert answer.code == 0, answer.err
    with pytest.raises(UsageError, match=f"began from {parent.name}, so it has no untrained network of its own"):
        opening.untrained(loading.load(), Run.open(tmp_path / answer.json["run"]))


def test_an_architecture_that_is_gone_has_none(train_run):
    run = Run.open(train_run)
    gone = Run(run.path, {**run.record, "arch": {"name": "gone/net", "options": {}}})
    with pytest.raises(UsageError, match="gone"):
        opening.untrained(loading.load(), gone)


# -- tables ------------------------------------------------------------------------------------------------------------


def test_columns_come_in_the_order_in_which_rows_name_them(tmp_path):
    path = tmp_path / "new" / "x.csv"
    write_csv(path, iter([{"b": 1, "a": None}, {"c": 'say "x,y"', "b": 0.1}]))
    assert path.read_bytes() == b'b,a,c\n1,,\n0.1,,"say ""x,y"""\n'
    write_csv(path, [])
    assert path.read_text() == "\n"


text = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@given(rows=st.lists(st.dictionaries(text.filter(bool), text | st.integers(), min_size=1, max_size=4), min_size=1, max_size=5))
def test_what_is_written_is_read_back(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "x.csv"
    write_csv(path, rows)
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    columns = {key for row in rows for key in row}
    assert found == [{key: str(row.get(key, "")) for key in columns} for row in rows]


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "x.csv"
    write_csv(path, [{"a": 1}])
    (tmp_path / "x.csv.part").symlink_to("/dev/full")
    with pytest.raises(WnError, match="no space left to write"):
        write_csv(path, [{"a": 2}])
    assert path.read_text() == "a\n1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


# -- files and runs that options name ----------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Options:
    path: Path | None = opt(None, "A file.")
    paths: tuple[Path, ...] = opt((), "Files.")
    sizes: tuple[int, ...] = opt((1, 2), "Sizes.")


def test_files_alone_in_tuples_and_in_folders_of_runs(tmp_path):
    for name in ("a", "b", "run/run.json", "run/other", "empty/other"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    config = Options(path=tmp_path / "a", paths=tuple(tmp_path / name for name in ("b", "run", "empty", "none")))
    found = files_of(config, Options())
    assert set(found) == {str(tmp_path / name) for name in ("a", "b", "run/run.json")}
    for name in ("b", "run/run.json"):
        (tmp_path / name).write_text("changed")
    now = files_of(config)
    assert [name for name in found if now[name] != found[name]] == [str(tmp_path / name) for name in ("b", "run/run.json")]
    (tmp_path / "run/other").write_text("changed")
    assert files_of(config) == now


def test_an_analysis_is_computed_anew_when_a_run_that_it_names_was_made_anew(wn, tmp_path, monkeypatch):
    (tmp_path / "beside.py").write_text(BESIDE)
    words = ("train", "--arch", "fc:hidden=12,8")
    first, second = carried_out(wn, tmp_path, *words), carried_out(wn, tmp_path, *words, "--seed", "1")

    def analyse():
        return wn("--plugin", "beside.py", "analyze", "beside", first.path, "--ensemble", f"{first.path},{second.path}")

    assert "looking" in analyse().err
    assert "looking" not in analyse().err
    monkeypatch.setattr("widenet.execute.now", lambda: "2031-01-01T00:00:00+0000")  # not within the same second
    assert wn("run", *words, "--seed", "1", *QUICK, "--fresh").code == 0
    assert "looking" in analyse().err
    assert "looking" not in analyse().err
