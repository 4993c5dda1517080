"""Comparisons: carried out once over several runs, kept in the first, and made anew when one of them has gone on."""

import json
import shutil
from pathlib import Path

import pytest

COMPARE = '''"""Compares runs."""
import attrs
from widenet import Comparison, Method, hookimpl, opt
from widenet.errors import WnError

used = []


@attrs.frozen(kw_only=True)
class Options:
    power: int = opt(1, "Exponent.")


def gaps(runs, nets, data, config):
    """Measure how far apart weights are."""
    used.append([run.name for run in runs])
    first = next(nets[0].parameters()).detach()
    for run, net in zip(runs, nets):
        yield {"seed": run.seed, "gap": float((next(net.parameters()).detach() - first).abs().sum()) ** config.power}


def names(runs, nets, data, config):
    """Name the runs and touch nothing else."""
    assert len(runs) == len(nets)
    print("naming")
    yield {"runs": " ".join(run.name for run in runs), "out": str(runs[1].out)}


def lazy(runs, nets, data, config):
    """Look at the last network only, twice, and at the data."""
    assert nets[-1] is nets[len(nets) - 1] is nets[1:][-1]
    made = len(nets._made)
    try:
        nets[len(nets)]
    except IndexError:
        yield {"made": made, "classes": data.classes}


def refuse(runs, nets, data, config):
    """Compare nothing."""
    raise WnError("these runs have nothing in common; take others")


@hookimpl
def analyses():
    yield Comparison("gaps", gaps, Options, {"square": {"power": 2}})
    yield Comparison("names", names)
    yield Comparison("lazy", lazy)
    yield Comparison("refuse", refuse)
'''


@pytest.fixture
def runs(train_run, tmp_path):
    """Two runs that differ in their seeds, and in a weight."""
    import torch

    paths = [tmp_path / "runs" / train_run.parent.name / f"seed-{seed}" for seed in (0, 1)]
    for seed, path in enumerate(paths):
        shutil.copytree(train_run, path, ignore=shutil.ignore_patterns("analyses"))
        change(path, seed=seed)
    weights = torch.load(paths[1] / "weights" / "final.pt", weights_only=True)
    next(iter(weights.values()))[0, 0] += 3
    torch.save(weights, paths[1] / "weights" / "final.pt")
    (tmp_path / "compare.py").write_text(COMPARE)
    return [f"{path.parent.name}/{path.name}" for path in paths]


def change(path, **values):
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**record, **values}))


@pytest.fixture
def compare(wn, runs):
    return lambda name, *words: wn("--plugin", "compare.py", "analyze", name, *words)


def test_a_comparison_is_one_table_of_all_runs(compare, runs, tmp_path):
    answer = compare("gaps", *runs, "--json")
    assert answer.code == 0, answer.err
    assert [row["seed"] for row in answer.json] == [0, 1]
    assert [row["gap"] for row in answer.json] == pytest.approx([0, 3])
    (out,) = (tmp_path / "runs").glob("*/*/analyses/gaps-*")
    assert out.parents[1].name == "seed-0"
    assert f"kept in {out.relative_to(tmp_path)}" in answer.err
    assert json.loads((out / "result.json").read_text()) == answer.json
    assert (out / "result.csv").read_text().startswith("seed,gap\n0,0.0\n")
    record = json.loads((out / "run.json").read_text())
    assert (record["parents"], record["component"], record["status"]) == (runs, "compare/gaps", "finished")
    table = compare("gaps", *runs)
    assert table.out.splitlines()[0].split() == ["seed", "gap"]
    assert compare("gaps", *runs, "--power", "2", "--json").json[1]["gap"] == pytest.approx(9)
    assert compare("gaps", *runs, "--preset", "square", "--json").json[1]["gap"] == pytest.approx(9)


def test_other_runs_or_another_order_are_another_comparison(compare, runs):
    one, other = compare("names", *runs, "--json").json, compare("names", *runs[::-1], "--json").json
    both = compare("names", runs[0], runs[1], runs[1], "--json").json
    assert one[0]["runs"] == " ".join(runs)
    assert other[0]["runs"] == " ".join(runs[::-1])
    assert len({rows[0]["out"] for rows in (one, other, both)}) == 3
    assert all(Path(rows[0]["out"]).parent.name == "analyses" for rows in (one, other, both))
    assert "naming" in compare("names", *runs, "--json", "--fresh").err


def test_it_is_made_anew_when_any_run_has_gone_on(compare, runs, tmp_path):
    assert "naming" in compare("names", *runs).err
    assert "naming" not in compare("names", *runs).err
    for run in runs:
        change(tmp_path / "runs" / run, finished="2031-01-01T00:00:00+0000")
        assert "naming" in compare("names", *runs).err
        assert "naming" not in compare("names", *runs).err


def test_networks_are_made_when_first_used(compare, runs, tmp_path):
    assert compare("lazy", *runs, "--json").json == [{"made": 1, "classes": 4}]
    # So runs whose networks are not to be had can be compared by what else they left.
    change(tmp_path / "runs" / runs[1], arch={"name": "gone/net", "options": {}})
    assert compare("names", *runs, "--json").code == 0
    assert compare("gaps", *runs, "--json").code == 2


def test_too_few_runs(compare, runs):
    answer = compare("gaps", runs[0])
    assert (answer.code, answer.out) == (2, "")
    assert answer.line == "gaps compares runs; name two or more: wn analyze gaps RUN RUN"
    assert compare("gaps").code == 2


def test_runs_that_are_not_there_or_not_finished(compare, runs, tmp_path):
    missing = compare("gaps", runs[0], runs[1][:-1] + "7")
    assert missing.code == 2
    assert "did you mean" in missing.line
    change(tmp_path / "runs" / runs[1], status="stopped")
    stopped = compare("gaps", *runs)
    assert stopped.code == 2
    assert f"{runs[1]} is not finished" in stopped.line
    assert not list((tmp_path / "runs").glob("*/*/analyses"))


def test_one_that_fails_says_why_and_is_not_kept(compare, runs):
    for _ in range(2):
        answer = compare("refuse", *runs)
        assert answer.code == 1
        assert answer.line == "these runs have nothing in common; take others"


def test_a_run_cannot_be_followed_by_a_comparison(wn, runs, tmp_path):
    words = ["run", "train", "--arch", "fc", "--dataset", "tiny", "--seed", "5", "--analyze", "gaps"]
    answer = wn("--plugin", "compare.py", *words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.line == "--analyze gaps compares several runs; when they are done: wn analyze gaps RUN RUN"
    assert len(list((tmp_path / "runs").glob("*/*"))) == 2
    text = wn("--plugin", "compare.py", "analyze", "gaps", "--help").out
    assert "Usage: wn analyze gaps [OPTIONS] RUN RUN..." in text


def test_an_analysis_and_a_comparison_of_one_name_need_their_full_names(wn, tmp_path):
    (tmp_path / "other.py").write_text(COMPARE.replace('Comparison("gaps"', 'Comparison("mask-stats"'))
    names = [row["name"] for row in wn("--plugin", "other.py", "list", "analyses", "--json").json]
    assert {"core/mask-stats", "other/mask-stats", "names"} <= set(names)
    ambiguous = wn("--plugin", "other.py", "analyze", "mask-stats", "x")
    assert ambiguous.code == 2
    assert "ambiguous between core/mask-stats and other/mask-stats" in ambiguous.line
