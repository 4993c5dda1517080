"""``wn analyze mask-overlap``: counts, and what chance gives."""

import itertools
import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from widenet import WnError
from widenet_supermask.overlap import count, mask_overlap, total

SHAPES = arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[arrays_of.arrays(bool, shape)] * 2))


@attrs.define
class Masked:
    """As much of a run as the comparison may use."""

    name: str
    stored: dict
    said: list = attrs.field(factory=list)

    @property
    def record(self):
        return {"component": "supermask/supermask"}

    def has_masks(self):
        return bool(self.stored)

    def masks(self):
        return self.stored

    def say(self, text):
        self.said.append(text)


def rows(*stored):
    runs = [Masked(f"run-{number}", masks) for number, masks in enumerate(stored)]
    return list(mask_overlap(runs)), runs[0].said


def of(n, kept):
    return np.arange(n) < kept


@given(PAIRS)
def test_counted_as_python_counts(pair):
    one, other = ([bool(entry) for entry in mask.ravel()] for mask in pair)
    row = count(*pair).row
    kept_in = {"kept_first": sum(one), "kept_second": sum(other), "common": sum(map(min, one, other))}
    assert {key: row[key] for key in kept_in} == kept_in
    assert row["weights"] == len(one)
    either = sum(map(max, one, other))
    assert row["jaccard"] == (kept_in["common"] / either if either else 1)
    assert row["hamming"] == sum(a != b for a, b in zip(one, other, strict=True)) / max(1, len(one))


@given(PAIRS)
def test_symmetric(pair):
    row, turned = count(*pair).row, count(*pair[::-1]).row
    assert turned == {**row, "kept_first": row["kept_second"], "kept_second": row["kept_first"]}


@given(arrays_of.arrays(bool, SHAPES))
def test_a_mask_and_itself(mask):
    row = count(mask, mask).row
    assert (row["jaccard"], row["hamming"]) == (1, 0)
    assert row["z"] is None or row["z"] > 0


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_chance_is_the_mean_over_every_mask(n):
    for first, second in itertools.product(range(n + 1), repeat=2):
        every = [count(of(n, first), np.isin(np.arange(n), places)) for places in itertools.combinations(range(n), second)]
        common = [found.common for found in every]
        row = every[0].row
        assert row["common_by_chance"] == pytest.approx(np.mean(common))
        assert row["hamming_by_chance"] == pytest.approx(np.mean([found.row["hamming"] for found in every]))
        assert every[0].variance == pytest.approx(np.var(common))
        if np.var(common):
            assert row["z"] == pytest.approx((common[0] - np.mean(common)) / np.std(common))
        else:
            assert row["z"] is None


@given(st.integers(0, 2**32), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_independent_masks_lie_near_chance(seed, keep, other):
    masks = np.random.default_rng(seed).random((2, 4000)) < np.array([[keep], [other]])
    row = count(*masks).row
    assert abs(row["z"]) < 6
    assert row["jaccard"] == pytest.approx(row["jaccard_by_chance"], abs=0.1)


def test_the_largest_layers_overflow_nothing():
    n = 4_000_000
    found = count(of(n, n // 2), of(n, n // 2))
    assert (n // 2) ** 4 > 2**64
    assert found.variance == pytest.approx(n / 16, rel=1e-5)


def test_the_last_row_takes_each_layer_by_itself():
    one, other = {"a": of(10, 4), "b": of(1000, 10)}, {"a": of(10, 6), "b": ~of(1000, 500)}
    found, said = rows(one, other)
    assert [row["layer"] for row in found] == ["a", "b", "all"]
    a, b, both = found
    for key in ("weights", "kept_first", "kept_second", "common", "common_by_chance"):
        assert both[key] == a[key] + b[key]
    parts = [count(one[name], other[name]) for name in "ab"]
    assert both["z"] == pytest.approx((4 - 2.4 - 5) / math.sqrt(sum(part.variance for part in parts)))
    assert total(parts).row.items() <= both.items()
    assert both["jaccard"] == 4 / (6 + 510)
    assert not said


def test_degenerate_masks():
    none, all_ = of(6, 0), of(6, 6)
    assert count(none, none).row["jaccard"] == count(none, none).row["jaccard_by_chance"] == 1
    for pair in itertools.product((none, all_, of(6, 3)), (none, all_)):
        row = count(*pair).row
        assert row["z"] is None
        assert row["common"] == row["common_by_chance"]


def test_every_pair_in_order_and_layers_without_a_partner_are_told():
    found, said = rows({"a": of(4, 2), "b": of(3, 1)}, {"a": of(4, 1)}, {"a": of(4, 1), "b": of(5, 1)})
    assert [(row["first"], row["second"], row["layer"]) for row in found] == [
        (f"run-{first}", f"run-{second}", layer) for first, second in ((0, 1), (0, 2), (1, 2)) for layer in ("a", "all")
    ]
    assert [line.rpartition(": ")[2] for line in said] == ["b", "b", "b"]


@pytest.mark.parametrize(("other", "said"), [({}, "run-1 has no masks"), ({"a": of(5, 1)}, "run-0 and run-1 have no layer")])
def test_nothing_to_compare_is_one_line(other, said):
    with pytest.raises(WnError, match=said):
        rows({"a": of(4, 2)}, other)


def test_from_the_command_line(wn, supermask_run):
    words = ["supermask", "--arch", "fc", "--dataset", "tiny", "--epochs", "2", "--sparsity", "0.6", "--seed", "1", "--quiet"]
    second = wn("run", *words, "--json").json["run"]
    answer = wn("analyze", "mask-overlap", supermask_run, second, "--json", "--quiet")
    assert answer.code == 0, answer.err
    assert [row["layer"] for row in answer.json] == ["linear.0", "linear.2", "linear.4", "all"]
    for row in answer.json:
        assert abs(row["z"]) < 6
        assert row["common_by_chance"] == pytest.approx(0.16 * row["weights"], rel=0.02)
