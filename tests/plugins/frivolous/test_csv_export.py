"""``wn export RUN --what frivolous-csv``: the original's tables, from what analyses have kept."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

RUN = ("train", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "1")


@pytest.fixture
def exported(wn):
    """``exported(run, table)``: the rows of the file."""

    def carry_out(path, table):
        answer = wn("export", path, "--what", f"frivolous-csv:table={table}", "--force")
        assert answer.code == 0, answer.err
        with (path / "exports" / "frivolous-csv.csv").open() as file:
            return list(csv.DictReader(file, quotechar="|"))

    return carry_out


@pytest.fixture
def analyze(wn):
    def carry_out(*words):
        answer = wn("analyze", *words, "--threads", "1", "--json")
        assert answer.code == 0, answer.err
        return answer.json

    return carry_out


def test_redundancy(run, analyze, exported):
    path = run(*RUN)
    found = {split: analyze("redundancy", path, "--split", split) for split in ("train", "test")}
    analyze("redundancy", path, "--split", "test", "--draw", "1")  # without its other half, no cross
    rows = exported(path, "redundancy")
    assert len(rows) == 1 * 2 * 2 * (2 + 1)
    assert list(rows[0])[:5] == ["model_name", "evaluation_set", "cross_validation", "layer", "preserved_energy"]
    assert list(rows[0])[-1] == "performance"
    by = {(row["evaluation_set"], row["layer"], row["preserved_energy"]): row for row in rows}
    for split, table in found.items():
        for place, row in enumerate(table):
            written = by[split, str(place), "0.8"]
            assert int(written["num_components"]) == row["components_0.8"]
            assert float(written["compressability_95"]) == row["compressibility_0.95"]
        first, second, whole = (by[split, layer, "0.95"] for layer in ("0", "1", "all"))
        assert int(whole["num_neurons_layerall"]) == 12 + 8 + 4
        assert int(whole["num_components"]) > int(first["num_components"]) + int(second["num_components"])  # and the logits'
        mean = (float(first["similarity_ave"]) + float(second["similarity_ave"])) / 2
        assert float(whole["similarity_ave"]) == pytest.approx(mean)
        assert first["training_dropout"] == "1.0"
        assert first["multiplier_layer"] == "1.0"
    result = path / "run.json"
    assert f'"test_accuracy": {by["test", "0", "0.8"]["performance"][:6]}' in result.read_text()


def test_selectivity_on_the_test_samples_is_of_the_training_samples_classes():
    from widenet_frivolous.csv_redundancy import _measures

    train, test = (
        {"class_means": torch.tensor(means), "class_rows": torch.tensor([5, 5])}
        for means in ([[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [3.0, 0.0]])
    )
    shared = {"similar": torch.tensor([[1, -1]]), "eigenvalues": torch.tensor([0.0, 1.0])}
    found = _measures(train | shared, test | shared, 1, 0)
    assert found["selectivity_mean"] == (1 - 3) / (1 + 3) / 2  # the second unit is dead: 0
    assert found["selectivity_gen_mean"] == (1 + 0.5) ** 2 / 2
    assert found["similarity_ave"] == 0
    assert found["not_selective"] == 1


def test_robustness(run, analyze, exported):
    path = run(*RUN)
    words = ("--order", "random,cluster", "--perturb", "zero,noise", "--draws", "2")
    curves = analyze("prunability", path, *words)
    rows = exported(path, "robustness")
    assert len(rows) == 3 * 2 * (3 + 1) * 7
    assert {row["perturbation_layer"] for row in rows} == {"0", "1", "2", "all"}
    assert {float(row["performance"]) for row in rows if row["perturbation_layer"] == "2"} == {0.0}  # the logits
    for name, order, perturb in (("Activation Knockout", "random", "zero"), ("Activation Noise", "-", "noise")):
        here = [row for row in rows if row["perturbation_name"] == name and row["perturbation_layer"] == "all"]
        levels = sorted({float(row["perturbation_amount"]) for row in here})
        np.testing.assert_allclose(levels, np.linspace(0, 1, 7))
        for level in levels:
            both = [float(row["performance"]) for row in here if float(row["perturbation_amount"]) == level]
            expected = [
                row["agreement"]
                for row in curves
                if (row["what"], row["layer"], row["order"], row["perturb"]) == ("curve", "all", order, perturb)
                and row["level"] == pytest.approx(level)
            ]
            assert np.mean(both) == pytest.approx(expected[0])


@pytest.mark.parametrize(("table", "said"), [("redundancy", "wn analyze redundancy"), ("robustness", "wn analyze prunability")])
def test_without_analyses_the_command_that_makes_them_is_named(wn, run, table, said):
    answer = wn("export", run(*RUN, "--seed", "7"), "--what", f"frivolous-csv:table={table}")
    assert answer.code == 1
    assert said in answer.err


@pytest.mark.parametrize(
    ("name", "number"), [("glorot-normal", 0), ("he-normal", 2), ("lecun-uniform", 5), (None, 0), ("study", 0)]
)
def test_initialisers_are_numbered_as_in_the_study(name, number):
    from widenet.runs import Run
    from widenet_frivolous.csv_export import about

    parts = {"arch": {"options": {"init": name}}, "dataset": {"options": {}}, "options": {}}
    assert about(Run(Path("runs/a/seed-0"), {"seed": 0, **parts}))["init_type"] == number
