"""Options in which runs differ, and groups of runs that differ in their seed only."""

from pathlib import Path

import pytest

from widenet.compare import differing, grouped, label, settings
from widenet.runs import Run


def made(name="run", *, seed=0, method="core/train", arch="core/fc", dataset="core/tiny", parent=None, **options):
    """A run, on no disk: options as ``arch_width`` are those of the network or data."""
    of = {part: {k.removeprefix(f"{part}_"): v for k, v in options.items() if k.startswith(f"{part}_")} for part in PARTS}
    own = {k: {"value": v, "source": "default"} for k, v in options.items() if not k.startswith(("arch_", "dataset_"))}
    record = {"component": method, "seed": seed, "options": own, "parents": [parent] if parent else []}
    record |= {"arch": {"name": arch, "options": of["arch"]}, "dataset": {"name": dataset, "options": of["dataset"]}}
    return Run(Path(name, f"seed-{seed}"), record)


PARTS = ("arch", "dataset")


def names(groups):
    return [[run.name for run in group] for group in groups]


def test_settings_of_a_run():
    run = made(lr=0.1, hidden=[3, 4], arch_width=0.5, dataset_size=8, parent="x/seed-3", seed=7)
    assert settings(run) == {
        "method": "core/train",
        "arch": "core/fc",
        "dataset": "core/tiny",
        "parent": "x/seed-3",
        "lr": 0.1,
        "hidden": [3, 4],
        "arch.width": 0.5,
        "dataset.size": 8,
    }
    assert settings(made())["parent"] is None
    assert settings(Run(Path("x/seed-0"), {"status": "damaged", "started": ""})) == {}


def test_only_what_differs_is_told():
    runs = [
        made(lr=0.1, arch_width=0.5, epochs=3),
        made(lr=0.2, arch_width=0.5, epochs=3),
        made(lr=0.1, arch_width=1, epochs=3),
    ]
    assert differing(runs) == [
        {"lr": 0.1, "arch.width": 0.5},
        {"lr": 0.2, "arch.width": 0.5},
        {"lr": 0.1, "arch.width": 1},
    ]
    assert differing(runs[:1]) == [{}]
    assert differing([]) == []


def test_a_seed_is_no_option_and_a_number_is_its_value():
    assert differing([made(seed=0, lr=1), made(seed=1, lr=1)]) == [{}, {}]
    assert differing([made(layers=[1, 2]), made(layers=[1, 2])]) == [{}, {}]
    assert differing([made(layers=[1, 2]), made(layers=[2, 1])]) == [{"layers": [1, 2]}, {"layers": [2, 1]}]
    assert differing([made(size=None), made(size=0)]) == [{"size": None}, {"size": 0}]


def test_an_option_that_a_run_does_not_have_is_left_out():
    assert differing([made(keep=None, lr=1), made(lr=1)]) == [{"keep": None}, {}]


def test_names_are_bare_where_that_tells_them_apart():
    one, two = made(method="supermask/supermask"), made(method="core/train")
    assert differing([one, two]) == [{"method": "supermask"}, {"method": "train"}]
    assert differing([made(arch="a/net"), made(arch="b/net")]) == [{"arch": "a/net"}, {"arch": "b/net"}]
    assert differing([made(), made(parent="x/seed-0")]) == [{"parent": None}, {"parent": "x/seed-0"}]


def test_options_are_named_as_the_command_line_takes_them():
    assert label({"method": "train", "arch.width": 0.5, "bias": True, "hidden": [3, 4], "size": None}) == (
        "method=train, arch.width=0.5, bias=true, hidden=3,4, size=none"
    )
    assert label({}) == ""


def test_groups_differ_in_the_seed_only():
    runs = [made("b", seed=1, lr=2), made("a", seed=2, lr=1), made("b", seed=0, lr=2), made("a", seed=0, lr=1)]
    assert names(grouped(runs)) == [["b/seed-0", "b/seed-1"], ["a/seed-0", "a/seed-2"]]
    assert grouped([]) == []


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ([(0, "x/seed-0"), (1, "x/seed-1")], [["r/seed-0", "r/seed-1"]]),
        ([(0, "x/seed-0"), (1, "x/seed-0")], [["r/seed-0", "r/seed-1"]]),
        ([(0, "x/seed-0"), (1, "y/seed-1")], [["r/seed-0"], ["r/seed-1"]]),
        (
            [(0, "x/seed-0"), (1, "x/seed-0"), (0, "x/seed-1"), (1, "x/seed-1")],
            [["r/seed-0", "r/seed-1"], ["r/seed-0", "r/seed-1"]],
        ),
        ([(0, None), (0, "x/seed-0")], [["r/seed-0"], ["r/seed-0"]]),
    ],
)
def test_parents_of_several_seeds(begun, expected):
    groups = grouped([made("r", seed=seed, parent=parent) for seed, parent in begun])
    assert names(groups) == expected
    if len(groups) == 2:
        assert all(len({run.record["parents"][0] for run in group if run.record["parents"]}) <= 1 for group in groups)


def test_damaged_runs_stand_alone():
    damaged = [Run(Path(name, "seed-0"), {"status": "damaged", "started": ""}) for name in "ab"]
    assert names(grouped([*damaged, made("c")])) == [["a/seed-0"], ["b/seed-0"], ["c/seed-0"]]
    assert differing([damaged[0], made("c", lr=1)])[0] == {}
