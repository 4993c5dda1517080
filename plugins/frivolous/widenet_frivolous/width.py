"""Comparison ``width``: how much of a network is prunable, and redundant, as it gets wider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from widenet import figures
from widenet.errors import UsageError
from widenet.files import write_csv
from widenet_frivolous.families import Family, families, width_of
from widenet_frivolous.figure import draw_widths
from widenet_frivolous.growth import Growth, bootstrapped, complement, mean_and_deviation, normalised, over_orders
from widenet_frivolous.options import Width
from widenet_frivolous.width_values import ALL, Values, values_of

Row = dict[str, Any]
Curve = dict[float, list[float]]
"""By width factor the value of each run."""
Curves = dict[tuple[str, str, str], Curve]
"""By the family's label, the quantity and the layer."""
QUANTITIES = ("prunability", "redundancy")
NOT = "non-"
"""What is in front of a quantity's complement f / f_max less the quantity."""


def tables(runs: Sequence[Any], nets: Sequence[Any], data: Any, config: Width) -> Iterator[Row]:
    """Yield a row a width, and one of growth, for each quantity of each family of runs.

    Quantities are prunability, redundancy and their complements as fractions of the widest network (value f / f_max), in the
    mean over runs of a width with the population deviation, as published. Growth is the mean ratio at twice the width and the
    slope over log2 of the width, with intervals of 95 % from runs drawn anew. What the runs' analyses ``prunability`` and
    ``redundancy`` hold is read; what they lack is measured, on the data of the first run. The first run receives
    ``values.csv`` (every run's values), ``width.png`` and ``width-complement.png``, and both as SVG.

    Raises:
        UsageError: a run is named twice, is of another family or has no width factor; widths do not double; f_max is smaller
            than a width; as the analyses.
        WnError: a layer's outputs are not finite.
    """
    found = families(runs, config)
    largest = _largest(runs, config)
    values = [_values(place, run, nets, data, config) for place, run in enumerate(runs)]
    layers = _layers(values) if config.per_layer else [ALL]
    curves = {
        (family.label, quantity, layer): _curve(family, values, quantity, layer, largest, config)
        for family in found
        for layer in layers
        for quantity in (*QUANTITIES, *(NOT + name for name in QUANTITIES))
    }
    grown = {key: _growth(curve, key[1], runs[0], config) for key, curve in curves.items()} if config.growth else {}
    write_csv(runs[0].out / "values.csv", _every_run(runs, found, values, config))
    _draw(runs[0], curves, grown)
    by = {family.label: family for family in found}
    for (label, quantity, layer), curve in curves.items():
        head = {"quantity": quantity, "layer": layer, **by[label].by}
        for width, of_runs in curve.items():
            yield {"what": "width", **head, "width": width, **_about(of_runs, by[label], width, runs, largest)}
        if config.growth:
            told = _told(grown[label, quantity, layer])
            yield {"what": "growth", **head, "runs": sum(map(len, curve.values())), **told}


def _largest(runs: Sequence[Any], config: Width) -> float:
    widest = max(width_of(run, config.factor) for run in runs)
    if config.largest is not None and config.largest < widest:
        raise UsageError(
            f"--largest {config.largest:g} is less than width {widest:g} of a run; leave it out, or name a larger one"
        )
    return widest if config.largest is None else config.largest


def _values(place: int, run: Any, nets: Sequence[Any], data: Any, config: Width) -> Values:
    run.reporter.work("runs", place, len(nets))
    return values_of(run, lambda: nets[place], data, config)


def _layers(values: Sequence[Values]) -> list[str]:
    """All layers together, and each that has both quantities in every run."""
    return [
        layer
        for layer in values[0].redundancy
        if all(layer in each.redundancy and layer in each.prunability for each in values)
    ]


def _curve(family: Family, values: Sequence[Values], quantity: str, layer: str, largest: float, config: Width) -> Curve:
    """A quantity of each run of a family, by width."""
    convert = complement if quantity.startswith(NOT) else normalised

    def of(place: int, width: float) -> float:
        found = values[place]
        own = found.redundancy[layer] if quantity.endswith("redundancy") else _threshold(found, layer, config)
        return float(convert([own], [width], largest)[0])

    return {width: [of(place, width) for place in places] for width, places in family.runs.items()}


def _threshold(values: Values, layer: str, config: Width) -> float:
    """The threshold over the orders: of the best, the complement is the least, so that both add up to f / f_max."""
    return float(over_orders(values.prunability[layer], config.orders))


def _growth(curve: Curve, quantity: str, run: Any, config: Width) -> Growth:
    skip = int(quantity.removeprefix(NOT) in config.skip_first)
    return bootstrapped(list(curve.values()), list(curve), skip, config.resamples, run.seed_for("width") % 2**32)


def _about(of_runs: Sequence[float], family: Family, width: float, runs: Sequence[Any], largest: float) -> Row:
    accuracies = [runs[place].record["result"].get("test_accuracy") for place in family.runs[width]]
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    value, deviation = map(float, mean_and_deviation(of_runs))
    return {
        "runs": len(of_runs),
        "fraction": value * largest / width,
        "value": value,
        "sd": deviation,
        "test_accuracy": fmean(known) if known else None,
    }


def _told(growth: Growth) -> Row:
    row: Row = {}
    for name, value, interval in (
        ("growth", growth.factor, growth.factor_interval),
        ("slope", growth.slope, growth.slope_interval),
    ):
        low, high = interval or (None, None)
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def _every_run(runs: Sequence[Any], found: Sequence[Family], values: Sequence[Values], config: Width) -> Iterator[Row]:
    """Tidy rows: the fraction of a run's own units, by layer and for all."""
    for family in found:
        for width, places in family.runs.items():
            for place in places:
                head = {"run": runs[place].name, **family.by, "width": width, "seed": runs[place].seed, "split": config.split}
                for layer, thresholds in values[place].prunability.items():
                    for order, value in enumerate(thresholds):
                        yield {**head, "quantity": "prunability", "layer": layer, "order": order, "fraction": value}
                for layer, value in values[place].redundancy.items():
                    yield {**head, "quantity": "redundancy", "layer": layer, "order": None, "fraction": value}


def _draw(run: Any, curves: Curves, grown: dict[tuple[str, str, str], Growth]) -> None:
    """Both figures, of all layers."""
    for name, prefix in (("width", ""), ("width-complement", NOT)):
        panels: dict[str, dict[str, Curve]] = {prefix + quantity: {} for quantity in QUANTITIES}
        growth: dict[str, dict[str, float | None]] = {quantity: {} for quantity in panels}
        for (label, quantity, layer), curve in curves.items():
            if layer == ALL and quantity in panels:
                panels[quantity][label] = curve
                growth[quantity][label] = grown[label, quantity, layer].factor if grown else None
        figures.save(
            draw_widths(panels, growth, "mean and one deviation over runs; grey: in proportion to the width"), run, name
        )
