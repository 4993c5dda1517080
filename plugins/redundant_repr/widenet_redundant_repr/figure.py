"""The paper's figure: error, training error and predictability over the size of a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from widenet import figures
from widenet_redundant_repr.powerlaw import PowerLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TINY = 1e-7
"""Excess of an error that is rounding: a free error at infinity may be one of the means."""
THIN: dict[str, Any] = {"marker": "", "linewidth": 0.8}
"""Lines that are there to compare with."""


@attrs.frozen(eq=False)
class Curves:
    """What is drawn: values of R chunks of each of K sizes, float (K, R); errors are fractions, correlations absolute means.

    ``floor`` is the correlation that sampling alone makes, ``error_infinity`` what is subtracted from the test errors, and
    ``critical`` the size w_c* from which the panels are shaded; None leaves the last two out.
    """

    sizes: Sequence[int]
    test_errors: np.ndarray
    train_errors: np.ndarray
    r2: np.ndarray
    correlation: np.ndarray
    correlation_out: np.ndarray
    floor: float
    error_infinity: float | None = None
    critical: int | None = None
    title: str = ""


def draw(curves: Curves, law: PowerLaw | None = None) -> Figure:
    """The panels (a) test error, (b) training error, (c) R2 and correlation, over the size of the chunk.

    Source: figures 3b, 4b and 4e of the paper. The exponent of a ``law`` that was fitted is given in panel a.
    """
    said = ["line and band: mean and standard deviation over chunks"]
    figure, (first, second, third) = figures.new(columns=3)
    with figures.style():
        for name, panel in zip("abc", (first, second, third), strict=True):
            panel.set_xscale("log", base=2)
            panel.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
            panel.set_xlabel("chunk size (neurons)")
            panel.set_title(name, loc="left", fontweight="bold")
            if curves.critical is not None:
                panel.axvspan(curves.critical, max(curves.sizes), color="0.95", zorder=0, linewidth=0)
        if curves.critical is not None:
            said.append(f"shaded: from w_c* = {curves.critical} on")
        _test_error(first, curves, law)
        _train_error(second, curves)
        _predictability(third, curves)
        figure.suptitle("\n".join(filter(None, (curves.title, "; ".join(said)))), fontsize=8)
    return figure


def _test_error(axes: Axes, curves: Curves, law: PowerLaw | None) -> None:
    """Test errors, less the error at infinity if there is one, on two logarithmic axes; sizes with a mean of 0 are left out."""
    excess = np.asarray(curves.test_errors) - (curves.error_infinity or 0.0)
    sizes, shown = np.asarray(curves.sizes), excess.mean(1) > TINY
    less = "" if curves.error_infinity is None else r" $-$ error$_\infty$"
    axes.set(yscale="log", ylabel=f"test error{less} (fraction)")
    if not shown.any():
        return
    sizes, excess = sizes[shown], excess[shown]
    figures.band(axes, sizes.tolist(), excess.tolist())
    region = sizes >= min(curves.critical or sizes[-1], sizes[-3:][0])
    level = np.exp(np.mean(np.log(excess[region].mean(1) * np.sqrt(sizes[region]))))
    ends = sizes[[0, -1]]
    axes.plot(ends, level / np.sqrt(ends), label=rf"${level:.2g}\,c^{{-1/2}}$", color="0.3", linestyle="--", **THIN)
    if law is not None and law.exponent is not None:
        spread = "" if law.exponent_error is None else rf" \pm {law.exponent_error:.2f}"
        axes.plot([], [], linestyle="none", label=f"fitted exponent ${-law.exponent:.2f}{spread}$", **THIN)
    axes.set_ylim(excess.mean(1).min() / 3, None)
    axes.legend(loc="lower left")


def _train_error(axes: Axes, curves: Curves) -> None:
    """Training errors on an axis that is logarithmic down to the smallest positive mean, and linear from there to 0."""
    errors = np.asarray(curves.train_errors)
    means = errors.mean(1)
    least = 10.0 ** np.floor(np.log10(means[means > 0].min())) if (means > 0).any() else 1e-3
    axes.set_yscale("symlog", linthresh=least, linscale=0.5)
    figures.band(axes, list(curves.sizes), errors.tolist())
    axes.axhline(0, color="0.5", zorder=1, **THIN)
    axes.set(ylabel="training error (fraction)", ylim=(-least / 3, 2))


def _predictability(axes: Axes, curves: Curves) -> None:
    """R2 of the whole layer, and on the right the correlation of what is left, of all pairs and of those outside the chunk."""
    sizes = list(curves.sizes)
    figures.band(axes, sizes, np.asarray(curves.r2).tolist())
    axes.set(ylabel="R² of the layer", ylim=(0, 1.05))
    right: Any = axes.twinx()
    right.plot([], [], label="R² (left)")  # in the colour of the first line of the left
    line = figures.band(right, sizes, np.asarray(curves.correlation).tolist(), "correlation of residuals (right)")
    outside = np.asarray(curves.correlation_out).mean(1)
    right.plot(sizes, outside, label="the same, outside the chunk", color=line.get_color(), linestyle="--", **THIN)
    ends = [min(sizes), max(sizes)]
    right.plot(ends, [curves.floor] * 2, label="sampling floor", color="0.3", linestyle=":", **THIN)
    right.set(ylabel="mean |correlation|", ylim=(0, None))
    right.grid(False)
    right.spines["right"].set_visible(True)
    figures.legend(right, "panel c")
