"""``wn compare``: options that differ, results side by side, tests over seeds."""

import csv
import io
import json
import shutil

import pytest
from scipy import stats

A, B, C = (f"train-fc-tiny-{letter * 8}" for letter in "abc")
SCORES = {A: [0.90, 0.91, 0.93, 0.90], B: [0.92, 0.915, 0.96, 0.91], C: [0.80, 0.81, 0.83, 0.80]}
"""Test accuracies of seeds 0 to 3; of C each a tenth below those of A."""


def record_of(path):
    return json.loads((path / "run.json").read_text())


def change(path, **values):
    (path / "run.json").write_text(json.dumps({**record_of(path), **values}))


def edited(source, folder, seed, result, lr=0.05, **values):
    """A copy of a run whose record says something else."""
    path = folder / f"seed-{seed}"
    shutil.copytree(source, path)
    options = {**record_of(source)["options"], "lr": {"value": lr, "source": "command line"}}
    change(path, seed=seed, result=result, options=options, **values)
    return path


@pytest.fixture
def shelf(train_run, tmp_path):
    """Three groups of four seeds."""
    for number, (name, scores) in enumerate(SCORES.items()):
        for seed, score in enumerate(scores):
            result = {"test_accuracy": score, "size": 3, "best": True, "note": "text", "gone": None}
            edited(train_run, tmp_path / "runs" / name, seed, result, lr=(number + 1) / 10)
    return tmp_path / "runs"


def test_two_groups(wn, shelf):
    answer = wn("compare", A, B)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "group  run                     seed",
        "A      train-fc-tiny-aaaaaaaa  0, 1, 2, 3",
        "B      train-fc-tiny-bbbbbbbb  0, 1, 2, 3",
        "",
        "options that differ",
        "option  A    B",
        "lr      0.1  0.2",
        "",
        "results: mean ± standard deviation over seeds",
        "result         A             B",
        "test_accuracy  0.91 ± 0.014  0.9263 ± 0.023",
        "size           3 ± 0         3 ± 0",
        "",
        "paired over seeds",
        "result         groups  pairs  difference  95 % interval           t        p  no test",
        "test_accuracy  B - A       4      0.0162  -0.00139 to 0.0339  2.931  0.06093",
        f"size           B - A       4           0{'all 4 differences are equal, there is no spread':>85}",
    ]


def test_as_json_with_the_numbers_of_scipy(wn, shelf):
    found = wn("compare", A, B, "--json").json
    assert found["groups"] == [
        {"group": name, "runs": [f"runs/{run}/seed-{s}" for s in range(4)], "seeds": [0, 1, 2, 3], "options": {"lr": lr}}
        for name, run, lr in (("A", A, 0.1), ("B", B, 0.2))
    ]
    base, other = (row for row in found["results"] if row["result"] == "test_accuracy")
    assert base == {"result": "test_accuracy", "group": "A", "seeds": 4, "mean": 0.91, "sd": pytest.approx(2**0.5 / 100)}
    test = stats.ttest_rel(SCORES[B], SCORES[A])
    low, high = test.confidence_interval(0.95)
    assert {name: other[name] for name in ("t", "p", "low", "high")} == pytest.approx(
        {"t": test.statistic, "p": test.pvalue, "low": low, "high": high}
    )
    assert (other["against"], other["pairs"], other["difference"], other["why"]) == ("A", 4, pytest.approx(0.01625), "")
    assert (other["p_holm"], other["wilcoxon"]) == (None, None)


def test_several_groups_against_a_baseline(wn, shelf):
    found = wn("compare", A, B, C, "--baseline", f"{B}/seed-2", "--json").json
    assert [group["runs"][0] for group in found["groups"]] == [f"runs/{name}/seed-0" for name in (B, A, C)]
    rows = {row["group"]: row for row in found["results"] if row["result"] == "test_accuracy"}
    expected = {"B": SCORES[A], "C": SCORES[C]}
    p = {group: stats.ttest_rel(scores, SCORES[B]).pvalue for group, scores in expected.items()}
    assert {group: rows[group]["p"] for group in p} == pytest.approx(p)
    assert rows["C"]["p_holm"] == pytest.approx(2 * p["C"])
    assert rows["B"]["p_holm"] == pytest.approx(p["B"])
    assert "p (Holm)" in wn("compare", A, B, C).out
    equal = next(row for row in wn("compare", A, B, C, "--json").json["results"] if row["group"] == "C")
    assert (equal["p"], equal["why"]) == (None, "all 4 differences are equal, there is no spread")


def test_as_comma_separated_values(wn, shelf):
    answer = wn("compare", A, B, "--csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [(row["result"], row["group"], row["run"], row["option.lr"]) for row in rows] == [
        (result, group, f"runs/{run}", lr)
        for result in ("test_accuracy", "size")
        for group, run, lr in (("A", A, "0.1"), ("B", B, "0.2"))
    ]
    assert float(rows[1]["p"]) == pytest.approx(stats.ttest_rel(SCORES[B], SCORES[A]).pvalue)
    assert (rows[0]["p"], rows[0]["mean"]) == ("", "0.91")


def test_common_seeds_only(wn, shelf):
    one = wn("compare", f"{A}/seed-0", B, "--json").json["results"][1]
    assert (one["pairs"], one["difference"], one["p"]) == (1, pytest.approx(0.02), None)
    assert one["why"] == "one seed in common (0), a test needs two"
    assert "one seed in common (0), a test needs two" in wn("compare", f"{A}/seed-0", B).out
    none = wn("compare", f"{A}/seed-0", f"{B}/seed-1", "--json").json["results"][1]
    assert (none["pairs"], none["difference"], none["why"]) == (0, None, "no seed in common")


def test_seeds_alone_are_one_group(wn, shelf):
    answer = wn("compare", A)
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "no test: these runs differ in their seed only, there is no other group"
    assert "options that differ" not in answer.out
    assert wn("compare", f"{A}/seed-0", f"{A}/seed-3", "--json").json["groups"][0]["seeds"] == [0, 3]


def test_a_seed_whose_value_was_not_finite(wn, shelf):
    change(shelf / A / "seed-0", result={"test_accuracy": None, "size": 3})
    assert "0.9133 ± 0.015 (3 of 4)" in wn("compare", A, B).out
    assert wn("compare", A, B, "--json").json["results"][1]["pairs"] == 3


def test_other_methods_share_some_results(wn, shelf, supermask_run):
    masked = edited(supermask_run, shelf / "supermask-fc-tiny-dddddddd", 0, {"test_accuracy": 0.5, "kept": 0.4})
    answer = wn("compare", A, masked)
    assert answer.code == 0
    lines = [line.split() for line in answer.out.splitlines()]
    assert ["method", "train", "supermask"] in lines
    assert ["keep", "-", "0.4"] in lines
    assert not any(line[:1] == ["scale_fan"] for line in lines), "defaults that the other has not"
    assert "that only some of them have, at their defaults (--json shows them)" in answer.out
    found = wn("compare", A, masked, "--json").json
    assert {row["result"] for row in found["results"]} == {"test_accuracy"}
    assert found["groups"][1]["options"]["scale_fan"] is False
    three = wn("compare", A, B, masked, "--json").json["results"]
    assert [row["group"] for row in three if row["result"] == "size"] == ["A", "B"]
    change(masked, result={"kept": 0.4})
    none = wn("compare", A, masked)
    assert (none.code, none.out) == (2, "")
    assert none.line == (
        f"these runs share no result that is a number: {A}/seed-0 has test_accuracy, size; "
        "supermask-fc-tiny-dddddddd/seed-0 has kept"
    )


def test_wrong_requests(wn, shelf):
    change(shelf / C / "seed-1", status="stopped")
    copy = shelf.parent / "elsewhere" / A / "seed-0"
    shutil.copytree(shelf / A / "seed-0", copy)
    (shelf / B / "seed-3" / "run.json").unlink()
    for words, said in (
        ([f"{A}/seed-0"], f"runs/{A}/seed-0 is one run only; name two or more: wn compare RUN RUN"),
        ([A, f"{A}/seed-1"], f"runs/{A}/seed-1 is named twice; name each run once"),
        ([A, shelf / A], f"{shelf / A}/seed-0 is named twice; name each run once"),
        ([A, C], f"{C}/seed-1 is not finished (stopped); run it to its end first: wn run train --arch fc"),
        ([A, copy], f"runs/{A}/seed-0 and {copy} are of the same options and seed; name one of them"),
        ([A, B, "--baseline", f"{C}/seed-0"], f"--baseline {C}/seed-0 is none of the groups compared; name a run of one"),
        ([A, "nosuch"], "there is no run 'nosuch'; `wn runs` lists those in runs"),
        ([A, f"{B}/seed-3"], f"runs/{B}/seed-3 is half deleted: it has weights, metrics.jsonl, checkpoint.pt but no run.json"),
        ([A, B, "--json", "--csv"], "--json and --csv are two forms of one table; give one of them"),
        ([], "Missing argument 'RUN RUN...'"),
    ):
        answer = wn("compare", *words)
        assert (answer.code, answer.out) == (2, ""), words
        assert said in answer.line
    (shelf / B / "seed-2" / "run.json").write_text("{")
    assert wn("compare", A, B).code == 1
