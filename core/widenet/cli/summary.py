"""What ``wn run`` prints when it is done, and before it starts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from widenet.cli.terminal import cell, print_json, print_rows
from widenet.cli.words import with_seed, without
from widenet.options import spec

if TYPE_CHECKING:
    from widenet.runs import Run


def finished(run: Run) -> None:
    """Test accuracy and what else the method measured, the kept fraction of each layer, where it all is, what to do next."""
    click.echo(f"{run.record['component']} finished in {run.record.get('seconds', 0):.0f} s")
    print_result(run.record["result"])
    if run.has_masks():
        rows = [
            {"layer": name, "kept": int(mask.sum()), "of": mask.size, "fraction": float(mask.mean())}
            for name, mask in run.masks().items()
        ]
        print_rows(rows, as_json=False)
    click.echo(f"results: {run.path}")
    follow = [f"wn show {shlex.quote(str(run.path))}"]
    if run.has_masks():
        follow.insert(0, f"wn analyze mask-stats {shlex.quote(str(run.path))}")
    follow.append(f"wn {shlex.join(with_seed(without(run.record['argv'], {'--fresh': 0}), run.seed + 1))}")
    click.echo("next:    " + "\n         ".join(follow))


def print_result(result: Mapping[str, Any]) -> None:
    """What a method measured, a line each."""
    width = max((len(key) for key in result), default=0)
    for key, value in result.items():
        click.echo(f"  {key.replace('_', ' '):<{width}}  {shown(key, value)}")


def shown(key: str, value: Any) -> str:
    """A result as people read it: accuracies and fractions in per cent."""
    if isinstance(value, float) and ("accuracy" in key or "top5" in key or key == "kept"):
        return f"{value:.2%}"
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def dry_run(plan: Any, as_json: bool) -> None:
    """Options and where each came from, folder, parameters and bytes; nothing is written."""
    from widenet.execute import prepare
    from widenet.options import effective

    net, data, device = prepare(plan)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    content = {
        "run": str(plan.path),
        "exists": (plan.path / "run.json").exists(),
        "method": plan.method.full_name,
        "options": {
            name: {"value": value, "source": plan.sources.get(name, "default")}
            for name, value in effective(plan.config).items()
        },
        "arch": {"name": plan.model.full_name, "options": effective(plan.model_config)},
        "dataset": {"name": plan.data.full_name, "options": effective(plan.data_config)},
        "shape": list(data.shape),
        "classes": data.classes,
        "train": len(data.train),
        "test": len(data.test),
        "device": str(device),
        "parameters": parameters,
        # Weights among the results; weights and the optimiser's momentum in the checkpoint; scores, where a method has them.
        "bytes_about": 4 * parameters * 4,
    }
    if as_json:
        print_json(content)
        return
    options = content.pop("options")
    rows = [{"option": name, "value": entry["value"], "from": entry["source"]} for name, entry in options.items()]
    print_rows(rows, as_json=False)
    for key, value in content.items():
        click.echo(f"{key.replace('_', ' '):<14}{spec(value) if isinstance(value, dict) else cell(value)}")
