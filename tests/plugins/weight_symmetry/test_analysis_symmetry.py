"""The analysis ``symmetry``: its rows, on runs with and without masks, and what it refuses."""

import json
import math

import attrs
import h5py
import numpy as np
import pytest
import torch
from torch import nn

from widenet import UsageError
from widenet.store import write_arrays
from widenet_weight_symmetry import analysis
from widenet_weight_symmetry.analysis import symmetry
from widenet_weight_symmetry.config import Symmetry
from widenet_weight_symmetry.exact import Automorphisms
from widenet_weight_symmetry.symmetry import count

PLUGIN = """
from widenet import Analysis, hookimpl
from widenet_weight_symmetry.config import Symmetry


def counted(run, net, data, config):
    "Count."
    from widenet_weight_symmetry.analysis import symmetry

    return symmetry(run, net, data, config)


@hookimpl
def analyses():
    yield Analysis("counted", counted, Symmetry)
"""
COLUMNS = [
    *("layer", "total_neurons", "unique_neurons", "zeroed_neurons", "dead_outgoing", "sparsity"),
    *("log10_permutations", "log10_lost", "note"),
]


@attrs.define
class Ended:
    """As much of a run as the analysis may use."""

    stored: dict = attrs.field(factory=dict)
    shape: tuple = (3,)
    said: list = attrs.field(factory=list)
    name: str = "run-0"

    @property
    def record(self):
        return {"shape": list(self.shape)}

    def has_masks(self):
        return bool(self.stored)

    def masks(self):
        return self.stored

    def say(self, text):
        self.said.append(text)


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))


def rows(stored=(), network=None, **options):
    run = Ended(dict(stored))
    return list(symmetry(run, network or net(), None, Symmetry(**options))), run


def ones(*shape):
    return np.ones(shape, bool)


def test_a_network_without_masks_loses_nothing():
    found, _ = rows()
    assert [row["layer"] for row in found] == ["0", "2", "total"]
    assert [list(row) for row in found] == [COLUMNS] * 3
    assert [row["log10_permutations"] for row in found] == pytest.approx([math.log10(n) for n in (24, 120, 24 * 120)])
    assert all(row["log10_lost"] == 0 and row["sparsity"] == 0 and not row["note"] for row in found)


def test_masks_are_counted_with_what_reads_them():
    first, last = ones(4, 3), ones(2, 5)
    first[0] = False
    first[1, 0] = False
    last[:, 4] = False
    found, _ = rows({"0": first, "4": last})
    one, two, total = found
    assert (one["zeroed_neurons"], one["unique_neurons"], one["dead_outgoing"]) == (1, 2, 0)
    assert (two["zeroed_neurons"], two["unique_neurons"], two["dead_outgoing"]) == (0, 1, 1)
    assert one["log10_lost"] == pytest.approx(math.log10(24 / 2))
    assert two["log10_lost"] == pytest.approx(math.log10(120 / 24))
    assert total["log10_permutations"] == pytest.approx(math.log10(2 * 24))
    assert total["sparsity"] == pytest.approx(6 / 22)


def test_bound_fixed_and_dead_layers_are_noted():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.d = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x):
            x = self.a(x)
            return self.d(self.c(x + self.b(x)).cumsum(1))

    found, run = rows({"c": np.zeros((6, 4), bool)}, Both())
    notes = {row["layer"]: row["note"] for row in found}
    assert notes["a"] == "tied: b"  # alive: b reads a, though nothing reads their sum
    assert notes["c"].startswith("dead: no unit is alive; fixed: ")
    assert notes["total"] == "dead"
    assert run.said == ["no unit is alive in c: 0 permutations"]
    assert [row["log10_permutations"] for row in found] == pytest.approx([math.log10(24), 0, math.log10(24)])


def test_after_propagation_as_well():
    first = ones(4, 3)
    first[0] = False
    second = ones(5, 4)
    second[3:, 1:] = False
    found, _ = rows({"0": first, "2": second}, propagate=True)
    assert [(row["layer"], row["propagated"]) for row in found] == [
        (layer, after) for after in (False, True) for layer in ("0", "2", "total")
    ]
    before, after = found[1], found[4]
    assert (before["zeroed_neurons"], after["zeroed_neurons"]) == (0, 2)
    assert after["log10_lost"] == pytest.approx(math.log10(120 / 6))


def test_the_integer_in_full():
    wide = nn.Sequential(nn.Linear(3, 2000), nn.Linear(2000, 2))
    found, _ = rows(network=wide, integer=True)
    for row in found:
        assert row["digits"] == len(row["permutations"]) == 5736
    dead, _ = rows({"0": np.zeros((2000, 3), bool)}, wide, integer=True)
    assert [(row["digits"], row["permutations"]) for row in dead] == [(1, "0")] * 2


def test_the_exact_count():
    pytest.importorskip("igraph", reason="igraph, which counts automorphisms, is not installed")
    network = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    run = Ended({"2": np.eye(2, dtype=bool)}, shape=(1,))
    found = list(symmetry(run, network, None, Symmetry(exact=True)))
    assert [row["log10_permutations"] for row in found] == [0, 0, 0]
    assert [row["log10_exact"] for row in found] == [None, None, pytest.approx(math.log10(2))]
    assert found[-1]["note"] == ""


def test_at_the_limit_it_says_at_least(monkeypatch):
    monkeypatch.setattr(analysis, "automorphisms", lambda structure, limit: Automorphisms(1.5, None, False))
    found, _ = rows(exact=True, limit=7)
    assert (found[-1]["log10_exact"], found[-1]["note"]) == (1.5, "exact: at least, not done in 7 s")


def test_masks_that_do_not_fit_are_named():
    with pytest.raises(UsageError, match=r"the masks of run-0 do not fit its network: there are masks for 9, which"):
        rows({"9": ones(4, 3)})
    with pytest.raises(UsageError, match=r"the mask for 2 has shape \(5, 3\), its weight begins \(5, 4\)"):
        rows({"2": ones(5, 3)})


def test_a_file_of_masks(tmp_path):
    masks = {"conv": ones(4, 3, 3, 3), "conv.bias": ones(4), "fc": ones(5, 16)}
    masks["conv"][0, 0, 0, 0] = False
    write_arrays(tmp_path / "masks.h5", masks, {})
    found, _ = rows(masks=tmp_path / "masks.h5")
    assert [row["layer"] for row in found] == ["conv", "fc", "total"]
    counted = count(masks)
    assert found[-1]["log10_permutations"] == counted["total"]["log10_permutations"]
    assert found[0]["log10_lost"] == pytest.approx(math.log10(4))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no file"),
        (lambda path: path.mkdir(), "there is no file"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n and then nothing"), "is no readable HDF5 file"),
        (lambda path: path.write_text("masks"), "is no readable HDF5 file"),
        (lambda path: write_arrays(path, {}, {}), "holds no masks"),
        (lambda path: write_arrays(path, {"a": ones(3, 2), "b": ones(2, 4)}, {}), "layers do not chain: b .* reads 4 inputs"),
        (lambda path: write_arrays(path, {"a": np.ones((3, 2))}, {}), "the mask for a must be bool, not float64"),
        (lambda path: write_arrays(path, {"a": ones(3)}, {}), "the mask for a must be"),
    ],
)
def test_a_bad_file_of_masks_is_one_line(tmp_path, make, said):
    path = tmp_path / "masks.h5"
    make(path)
    with pytest.raises(UsageError, match=said) as caught:
        rows(masks=path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def counted(wn, tmp_path):
    (tmp_path / "counted.py").write_text(PLUGIN)
    return lambda *words: wn("--plugin", "counted.py", "analyze", "counted", *words, "--quiet")


def test_from_the_command_line_under_masks(counted, supermask_run):
    answer = counted(supermask_run, "--json", "--propagate", "--integer")
    assert answer.code == 0, answer.err
    assert [row["layer"] for row in answer.json] == ["linear.0", "linear.2", "total"] * 2
    with h5py.File(supermask_run / "masks" / "final.h5") as file:
        masks = {name: file[name][...] for name in ("linear.0", "linear.2", "linear.4")}
    for row, (name, wanted) in zip(answer.json, list(count(masks)["layers"].items())[:2], strict=False):
        assert row["layer"] == name
        assert row["unique_neurons"] == wanted["unique_neurons"]
        assert row["permutations"] == str(wanted["permutations"])
    assert answer.json[2]["sparsity"] == pytest.approx(0.6, abs=0.01)


def test_from_the_command_line_without_masks(counted, train_run):
    answer = counted(train_run, "--json")
    assert answer.code == 0, answer.err
    shapes = {name: list(value.shape) for name, value in torch.load(train_run / "weights" / "final.pt").items()}
    units = [shape[0] for name, shape in shapes.items() if name.endswith("weight")][:-1]
    assert [row["total_neurons"] for row in answer.json] == [*units, sum(units)]
    assert answer.json[-1]["log10_lost"] == 0
    assert json.loads((train_run / "run.json").read_text())["status"] == "finished"


def test_a_limit_is_above_zero(counted, train_run):
    assert counted(train_run, "--limit", "0").code == 2
