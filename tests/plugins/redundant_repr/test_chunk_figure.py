"""The figure of chunks."""

import attrs
import numpy as np
import pytest

from widenet import figures
from widenet_redundant_repr.figure import Curves, draw
from widenet_redundant_repr.powerlaw import fit_power_law

SIZES = [1, 2, 4, 8, 16, 32]


@pytest.fixture
def curves():
    spread = np.linspace(0.9, 1.1, 5)
    size = np.array(SIZES, float)[:, None]
    test, train = 0.03 + 0.12 * size**-0.5 * spread, np.array([0.5, 0.2, 0.05, 1e-3, 1e-5, 0.0])[:, None] * spread
    r2, correlation = (1 - 1 / (1 + size) ** 2) * np.ones(5), 0.06 / size * spread
    outside = np.where(size < 32, 1.1 * correlation, np.nan)
    return Curves(SIZES, test, train, r2, correlation, outside, 0.008, 0.03, 8, "a net")


def panels(figure):
    return dict(zip("abc", figure.axes, strict=False))


def line(axes, label):
    return next(line for line in axes.get_lines() if label in line.get_label())


def test_the_test_error_and_its_reference_line(curves):
    law = fit_power_law(SIZES, curves.test_errors, 8, 0.03)
    axes = panels(draw(curves, law))["a"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), 0.12 * np.array(SIZES, float) ** -0.5)
    reference = line(axes, "c^{-1/2}")
    np.testing.assert_allclose(reference.get_ydata(), [0.12, 0.12 * 32**-0.5])
    assert "0.12" in reference.get_label()
    assert "-0.50" in line(axes, "fitted exponent").get_label()


def test_sizes_at_the_error_at_infinity_are_left_out(curves):
    errors = curves.test_errors.copy()
    errors[-1] = 0.02
    assert len(panels(draw(attrs.evolve(curves, test_errors=errors)))["a"].get_lines()[0].get_xdata()) == 5
    none = panels(draw(attrs.evolve(curves, test_errors=0 * errors)))["a"]
    assert not none.get_lines()


def test_a_training_error_of_0_is_seen_as_0(curves):
    axes = panels(draw(curves))["b"]
    heights = axes.transData.transform([(1, 0), (1, 1e-5), (1, 1e-4), (1, 1e-3)])[:, 1]
    steps = np.diff(heights)
    assert axes.get_ylim()[0] < 0
    assert steps[1] == pytest.approx(steps[2], rel=0.2)  # decades down to the smallest error, and then to 0
    assert steps[0] > 0.3 * steps[1]
    assert 0 in axes.get_yticks()


def test_training_errors_of_0_alone(curves):
    axes = panels(draw(attrs.evolve(curves, train_errors=0 * curves.train_errors)))["b"]
    assert axes.get_ylim()[0] < 0


def test_predictability_on_two_axes(curves):
    figure = draw(curves)
    left, right = panels(figure)["c"], figure.axes[3]
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), curves.r2.mean(1))
    np.testing.assert_allclose(line(right, "correlation").get_ydata(), curves.correlation.mean(1))
    np.testing.assert_allclose(line(right, "outside").get_ydata(), curves.correlation_out.mean(1))
    assert list(line(right, "floor").get_ydata()) == [0.008, 0.008]
    assert line(right, "R²").get_color() == left.get_lines()[0].get_color() != line(right, "correlation").get_color()


def test_shading_from_the_critical_width_on(curves):
    for axes in panels(draw(curves)).values():
        box = axes.patches[0].get_bbox()
        assert (box.x0, box.x1) == (8, 32)
    bare = draw(attrs.evolve(curves, critical=None, error_infinity=None))
    assert not any(axes.patches for axes in bare.axes)
    assert "infty" in draw(curves).axes[0].get_ylabel()
    assert "infty" not in bare.axes[0].get_ylabel()


def test_it_is_saved(curves, tmp_path):
    run = type("Run", (), {"out": tmp_path})
    paths = figures.save(draw(curves), run, "chunks")
    assert all(path.stat().st_size > 5000 for path in paths)


def test_a_single_chunk_size(curves):
    one = {name: getattr(curves, name)[:1] for name in ("test_errors", "train_errors", "r2", "correlation", "correlation_out")}
    figure = draw(attrs.evolve(curves, sizes=[1], critical=None, **one))
    figure.canvas.draw()
