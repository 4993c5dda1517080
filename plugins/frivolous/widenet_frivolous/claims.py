"""The study's claims about width and initialisation as recipes for ``wn reproduce``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from widenet import Claim, Panel, Recipe, Stage
from widenet.recipes import SCALES, at_largest, difference, extremes, slope

PAPER = 'Casper et al., "Frivolous Units: Wider Networks Are Not Really That Wide", AAAI 2021, arXiv:1912.04783'
READ = "its authors' notebooks"
PLOT = "read off a figure of its authors' notebooks"
INITS = ("glorot-normal", "he-normal", "lecun-normal")
SETTING: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"arch": "mlp3", "dataset": "digits", "epochs": 3, "lr": 0.1},
    "small": {"arch": "alexnet-cifar", "dataset": "frivolous-cifar", "epochs": 20},
    "paper": {"arch": "alexnet-cifar", "dataset": "frivolous-cifar:augment=true", "epochs": 100},
}
WIDTHS: Mapping[str, Sequence[float]] = {"smoke": (0.25, 1), "small": (0.0625, 0.125, 0.25, 0.5), "paper": (0.25, 0.5, 1, 2, 4)}
SEEDS = {"smoke": 2, "small": 3, "paper": 5}
ALL_UNITS = "all"
"""What the table of ``prunability`` calls all layers at once."""


def redundancy_by_width(study: Any) -> Iterator[dict[str, Any]]:
    """Prunable and redundant units of a network against its width.

    Fractions are of the network's own units: prunable are those that can go at once, in random order, while 80 % of the labels
    stay, redundant the directions beyond those that hold 95 % of the variance, in the mean over layers. The study trained
    AlexNet and others at five widths with all regularisers; its prunability is the best of three orders, ours their mean.
    """
    for row in study.results("prunable", "redundant", "test_accuracy"):
        width = float(row["width"])
        yield {**row, "prunable_units": width * row["prunable"], "redundant_units": width * row["redundant"]}


def ablation_curves(study: Any) -> Iterator[dict[str, Any]]:
    """Labels that stay while units of all layers are removed at once, at the narrowest and the widest, by initialisation."""
    for row in study.rows("prunability"):
        if row["what"] == "curve" and row["layer"] == ALL_UNITS:
            place = f"{row['arch.init'].removesuffix('-normal')}, {float(row['width']):g}"
            yield {
                **{key: row[key] for key in ("seed", "width", "level", "agreement", "accuracy")},
                "init": row["arch.init"],
                "network": place,
            }


def initialisation_variance(study: Any) -> Iterator[dict[str, Any]]:
    """Prunable and redundant units against width, by the variance of the initial weights: Glorot's, LeCun's, He's.

    The abstract has it that training and architecture decide which kind a network gets; the study's figures, that Glorot's
    small variance makes units prunable and He's large one redundant. Networks are trained without regularisers. In the
    perceptrons of smoke scale the initialisers differ less than in convolutional networks.
    """
    for row in redundancy_by_width(study):
        yield {**row, "init": row["arch.init"]}


def _by_width(scale: str) -> list[Stage]:
    # The study's own weights of perceptrons are so small that a few epochs do not move them.
    more = {"arch": f"mlp3:init={INITS[0]}"} if scale == "smoke" else {"regulariser": "all"}
    return [Stage("frivolous", {**SETTING[scale], **more}, {"width": WIDTHS[scale], "seed": range(SEEDS[scale])}, label="ours")]


def _by_init(scale: str) -> list[Stage]:
    inits = INITS if scale != "smoke" else INITS[:2]
    grid = {"arch.init": inits, "width": WIDTHS[scale], "seed": range(SEEDS[scale])}
    return [Stage("frivolous", SETTING[scale], grid)]


def _curves(scale: str) -> list[Stage]:
    grid = {"arch.init": INITS[:2], "width": (WIDTHS[scale][0], WIDTHS[scale][-1]), "seed": range(SEEDS[scale])}
    return [Stage("frivolous", SETTING[scale], grid, analyses={"prunability": {"targets": "all"}})]


def _panel(y: str, label: str, by: str, paper: Mapping[str, Sequence[float]]) -> Panel:
    """A quantity against width, with what the study found at its five widths."""
    points = {line: dict(zip(WIDTHS["paper"], values, strict=True)) for line, values in paper.items()}
    return Panel("width", y, by, x_label="width factor", y_label=label, log_x=True, percent=True, paper=points)


REDUNDANCY_BY_WIDTH = Recipe(
    "redundancy-by-width",
    redundancy_by_width,
    scales={scale: _by_width(scale) for scale in SCALES},
    panels=[
        _panel("prunable", "prunable, of its own units", "label", {"ours": (0.10, 0.13, 0.17, 0.25, 0.33)}),
        _panel("redundant", "redundant, of its own directions", "label", {"ours": (0.52, 0.54, 0.58, 0.66, 0.71)}),
    ],
    claims=[
        Claim(
            "prunable units grow faster than width (log2 slope)",
            slope("width", "prunable_units", log=True),
            PLOT,
            paper="2.69 times a doubling: 1.43",
            above=1,
        ),
        Claim(
            "redundant units grow faster than width (log2 slope)",
            slope("width", "redundant_units", log=True),
            PLOT,
            paper="2.17 to 2.39 times a doubling: 1.12 to 1.26",
            above=1,
        ),
        Claim(
            "the widest is more accurate than the narrowest", extremes("width", "test_accuracy"), PLOT, 0.08, above=0, unit="%"
        ),
    ],
    source=PAPER,
)

HALF = {"level": 0.5}
LEVELS = [number / 6 for number in range(7)]
ABLATION_CURVES = Recipe(
    "ablation-curves",
    ablation_curves,
    scales={scale: _curves(scale) for scale in SCALES},
    panels=[
        Panel(
            "level",
            "agreement",
            "network",
            x_label="fraction of all units set to zero",
            y_label="labels that stay",
            percent=True,
            paper={
                "glorot, 4": dict(zip(LEVELS, (1.0, 0.88, 0.82, 0.74, 0.44, 0.18, 0.10), strict=True)),
                "he, 4": dict(zip(LEVELS, (1.0, 0.75, 0.62, 0.38, 0.15, 0.12, 0.10), strict=True)),
            },
        )
    ],
    claims=[
        Claim(
            "with half of all units gone, the widest Glorot network keeps more labels than the widest He network",
            lambda rows: difference("agreement", {**HALF, "init": INITS[0]}, {**HALF, "init": INITS[1]})(_widest(rows)),
            PLOT,
            0.36,
            above=0,
            unit="%",
        ),
        Claim(
            "with a sixth gone, the widest Glorot network keeps more labels than the narrowest",
            extremes("width", "agreement", init=INITS[0], level=LEVELS[1]),
            PLOT,
            "4/5 of the labels stay at .33 of the widest, .09 of the narrowest",
            above=0,
            unit="%",
        ),
    ],
    source=PAPER,
)


def _widest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    largest = max((float(row["width"]) for row in rows), default=0.0)
    return [row for row in rows if float(row["width"]) == largest]


def _between(y: str, one: str, other: str) -> Any:
    """A measure: ``y`` of one initialisation less that of another, at the largest width."""
    return lambda rows: difference(y, {"init": one}, {"init": other})(_widest(rows))


INITIALISATION_VARIANCE = Recipe(
    "initialisation-variance",
    initialisation_variance,
    scales={scale: _by_init(scale) for scale in SCALES},
    panels=[
        _panel(
            "prunable",
            "prunable, of its own units",
            "init",
            {
                INITS[0]: (0.09, 0.11, 0.17, 0.24, 0.33),
                INITS[1]: (0.06, 0.08, 0.10, 0.10, 0.11),
                INITS[2]: (0.08, 0.10, 0.15, 0.17, 0.20),
            },
        ),
        _panel(
            "redundant",
            "redundant, of its own directions",
            "init",
            {
                INITS[0]: (0.29, 0.34, 0.40, 0.51, 0.60),
                INITS[1]: (0.55, 0.54, 0.62, 0.69, 0.76),
                INITS[2]: (0.33, 0.38, 0.48, 0.60, 0.67),
            },
        ),
    ],
    claims=[
        Claim(
            "at the largest width, Glorot's units are more prunable than He's",
            _between("prunable", INITS[0], INITS[1]),
            PLOT,
            0.22,
            above=0,
            unit="%",
        ),
        Claim(
            "at the largest width, He's units are more redundant than Glorot's",
            _between("redundant", INITS[1], INITS[0]),
            PLOT,
            0.16,
            above=0,
            unit="%",
        ),
        Claim(
            "prunable units of Glorot networks grow faster than width (log2 slope)",
            slope("width", "prunable_units", log=True, init=INITS[0]),
            READ,
            "2.81 times a doubling: 1.49",
            above=1,
        ),
        Claim(
            "Glorot networks are prunable at all: at the largest width",
            at_largest("width", "prunable", init=INITS[0]),
            PLOT,
            0.33,
            above=0.2,
            unit="%",
        ),
    ],
    source=PAPER,
)
RECIPES = (REDUNDANCY_BY_WIDTH, ABLATION_CURVES, INITIALISATION_VARIANCE)
