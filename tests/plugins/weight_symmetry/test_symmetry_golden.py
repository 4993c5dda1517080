"""Counts against the oracles: the original's where it is right, an independent count where it is not."""

import pytest
from stored_masks import arrays, chained, read

from widenet_weight_symmetry.symmetry import count, digits, stats

MASKS = arrays("counts_masks")
CASES = {name: case for name, case in read("counts").items() if case.get("layers")}


def masks_of(name):
    return chained({layer: MASKS.get(f"{name}/{layer}") for layer in CASES[name]["layers"]})


@pytest.mark.parametrize("name", CASES)
def test_every_layer(name):
    case = CASES[name]
    counted = count(masks_of(name))
    assert list(counted["layers"]) == case["layers"]
    for row, wanted in zip(counted["layers"].values(), case["reference_per_layer"], strict=True):
        if wanted is None:
            assert (row["total_neurons"], row["unique_neurons"], row["permutations"], row["dead"]) == (0, 0, 1, False)
            continue
        assert row["total_neurons"] == wanted["total"]
        assert row["unique_neurons"] == wanted["unique"]
        assert row["dead_outgoing"] == wanted["dead_out_only"]
        assert row["log10_permutations"] == pytest.approx(wanted["log10"], abs=1e-9)
        dead = not wanted["alive"]
        assert row["dead"] == dead
        assert row["zeroed_neurons"] == (wanted["total"] if dead else wanted["dead_in"])
        assert row["permutations"] == (0 if dead else int(wanted["permutations"]))
    assert counted["total"]["log10_permutations"] == pytest.approx(case["reference_log10_total"], abs=1e-9)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["reference_agrees"]])
def test_the_originals_counts_and_statistics(name):
    case = CASES[name]
    counted = count(masks_of(name))
    for row, wanted in zip(counted["layers"].values(), case["original_per_layer"], strict=True):
        assert {key: row[key] for key in wanted} == {**wanted, "permutations": int(wanted["permutations"])}
    wanted = case["original_get_mask_stats"]
    found = stats(counted["total"])
    assert found.keys() == wanted.keys()
    for key, value in found.items():
        assert value == (int(wanted[key]) if key == "permutations" else pytest.approx(wanted[key], rel=1e-6, abs=1e-7))


def test_every_oracle_is_looked_at():
    assert sum(len(case["layers"]) for case in CASES.values()) == 70
    assert [name for name, case in CASES.items() if not case["reference_agrees"]] == ["conv_pair_dead_out"]


def test_a_number_beyond_what_python_prints():
    import numpy as np

    wanted = read("counts")["two_dense_1024"]
    total = count({"a": np.ones((1024, 4), bool), "b": np.ones((1024, 1024), bool)})["total"]
    assert total["unique_neurons"] == wanted["unique"]
    assert total["log10_permutations"] == pytest.approx(wanted["log10"], abs=1e-9)
    assert digits(total["permutations"]) == stats(total)["permutation_num_digits"] == wanted["digits"]
