"""The figure of ``wn analyze symmetry-across``."""

import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import across, sweep

from widenet.errors import WnError
from widenet_weight_symmetry.across_config import NUMBERS
from widenet_weight_symmetry.across_figure import alike, averaged, label, slug


def drawn(path):
    return sorted(file.name for file in path.iterdir() if file.suffix in (".png", ".svg"))


def test_a_figure_named_after_its_axes(tmp_path):
    runs = sweep(tmp_path)
    across(runs)
    name = "log10_permutations-over-mask-sparsity"
    assert drawn(runs[0].out) == [f"{name}.png", f"{name}.svg"]
    assert runs[0].reporter.heard[0] == f"figure: {runs[0].out / name}.png"
    ElementTree.parse(runs[0].out / f"{name}.svg")
    across(runs, x="log10_permutations", y="best_test_acc/cumulative_gradient_norm", by="sparsity")
    assert "best_test_acc-cumulative_gradient_norm-over-log10_permutations.png" in drawn(runs[0].out)


@pytest.mark.parametrize("log", ["x", "y", "both"])
def test_logarithmic_axes_leave_out_what_is_not_above_0(log, tmp_path):
    runs = sweep(tmp_path, sparsities=(0.0, 0.5))
    across(runs, log=log)
    assert len(drawn(runs[0].out)) == 2
    said = [line for line in runs[0].reporter.heard if "not in the figure" in line]
    assert bool(said) == (log != "y")
    if said:
        assert said[0].startswith("6 of 12 runs are not in the figure")
        assert "above 0" in said[0]


def test_no_run_has_the_column(tmp_path):
    runs = sweep(tmp_path)
    rows, found = across(runs, x="propagated_mask/sparsity")
    assert len(rows) == 12
    assert found
    assert drawn(runs[0].out) == []
    assert runs[0].reporter.heard[0].startswith("12 of 12 runs are not in the figure: they have no propagated_mask/sparsity")


def test_one_point_and_colours_of_every_kind(tmp_path):
    runs = sweep(tmp_path, seeds=1, sparsities=(0.5,))
    for by in ("run", "seed", "mask/sparsity", "method", "propagated_mask/sparsity"):
        across(runs, by=by)
    assert len(drawn(runs[0].out)) == 2


POINTS = st.lists(st.tuples(st.floats(0.1, 10), st.floats(-1, 1)), min_size=1, max_size=20)


@given(POINTS, st.floats(0, 3), st.booleans())
def test_points_alike_in_x(points, tolerance, log):
    groups = alike(points, tolerance, log)
    assert sorted(point for group in groups for point in group) == sorted(points)
    scale = [[math.log(x) if log else x for x, _ in group] for group in groups]
    assert all(max(xs) - min(xs) <= tolerance + 1e-9 for xs in scale)
    assert all(later[0] - earlier[0] > tolerance - 1e-9 for earlier, later in itertools.pairwise(scale))


def test_runs_of_equal_x_and_near_seeds_of_one_command_make_one_mean():
    first, second = [(0.5, 1.0), (0.5, 3.0)], [(0.5, 5.0), (0.9, 7.0)]
    assert averaged([first, second], 0.01, log=False) == {0.5: [1, 3, 5], 0.9: [7]}
    seeds, others = [(0.8, 1.0), (0.82, 2.0)], [(0.815, 3.0)]
    assert averaged([seeds, others], 0.05, log=False) == {0.81: [1, 2], 0.815: [3]}
    assert list(averaged([seeds], 0.001, log=False)) == [0.8, 0.82]


def test_every_number_has_a_name_on_the_axis():
    assert all("_" not in label(column) for column in NUMBERS)
    assert label("propagated_mask/sparsity") == "sparsity (fraction removed)\n(propagated mask)"
    assert slug("best_test_acc/step") == "best_test_acc-step"


def test_a_full_disk(tmp_path):
    runs = sweep(tmp_path)
    (runs[0].out / "log10_permutations-over-mask-sparsity.svg.part").symlink_to("/dev/full")
    with pytest.raises(WnError, match="no space left"):
        across(runs)
    assert not list(runs[0].out.glob("*.part"))
