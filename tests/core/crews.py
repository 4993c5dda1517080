"""Runs of one training, each alone and all side by side in one process, to hold against each other."""

import functools

import attrs
import torch
from alike import arrays, files, timeless
from small import blobs
from torch import nn

from widenet.runs import Reporter, Run
from widenet.train import fit, together

NEAR = {"rtol": 1e-8, "atol": 1e-10}
"""How near a stacked run of float64 comes to the same run alone; float32 rounds too soon to tell an error from rounding."""
LOGGED = {"rtol": 1e-5, "atol": 1e-6}
"""Losses are summed up in float32 all the same."""


class Listener(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@attrs.frozen
class End:
    """What a run came to."""

    run: Run
    state: dict[str, torch.Tensor]
    optimiser: dict

    @property
    def lines(self):
        """Metrics, but for times."""
        return timeless(self.run)

    @property
    def told(self):
        return self.run.reporter.lines


class Double(nn.Sequential):
    """Computes in float64."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.double()

    def forward(self, x):
        return super().forward(x.double())


def plain():
    """Batch norm after a layer without bias, whose gradient would be rounding errors only."""
    return Double(nn.Linear(5, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))


def trained(make, config, root, seed, data=None, before=None, between=None, **asked):
    """One run from a seed, with its own ``data(seed)``, ``before(net, epoch)`` and ``between(net, seed, epoch)``."""
    run = Run(root / f"seed-{seed}", {"seed": seed}, reporter=Listener())
    run.path.mkdir(parents=True, exist_ok=True)
    run.seed_everything("model")
    net = make()
    if before is not None:
        asked["before"] = functools.partial(before, net)
    for epoch in fit(run, net, data(seed) if data else blobs(), config, **asked):
        if between is not None:
            between(net, seed, epoch)
    saved = torch.load(run.path / "checkpoint.pt", weights_only=True)
    return End(run, dict(net.state_dict()), saved["optimiser"]["state"])


def alone(make, config, root, count=3, **asked):
    """The runs one after the other."""
    return [trained(make, config, root / "alone", seed, **asked) for seed in range(count)]


def beside(make, config, root, count=3, **asked):
    """The runs side by side: what each came to, or the exception that ended it."""
    works = [functools.partial(trained, make, config, root / "beside", seed, **asked) for seed in range(count)]
    return together.side_by_side(works)


def assert_close(one, other):
    """Two runs came to the same end but for rounding."""
    torch.testing.assert_close(other.state, one.state, **NEAR)
    torch.testing.assert_close(other.optimiser, one.optimiser, **NEAR)
    assert files(other.run.path) == files(one.run.path)
    assert [line.keys() for line in other.lines] == [line.keys() for line in one.lines]
    for theirs, ours in zip(other.lines, one.lines, strict=True):
        for key, value in ours.items():
            exact = {"atol": 0, "rtol": 0} if key.endswith(("accuracy", "top5")) else LOGGED
            torch.testing.assert_close(theirs[key], value, **exact, msg=lambda told, key=key: f"{key}: {told}")


# -- runs of a command -------------------------------------------------------------------------------------------------

ROUNDED = {"rtol": 1e-4, "atol": 1e-5}
"""How near stacked runs come to others in float32, where no batch norm makes much of little."""


def seeds(cwd):
    """The folders of the runs in the folder ``cwd`` by their seeds; all have the same options."""
    found = {Run.open(path).seed: path for path in sorted(cwd.glob("runs/*/seed-*"))}
    assert len({path.parent for path in found.values()}) <= 1
    return found


def unlike(one, other, images):
    """What differs by more than rounding between two finished run folders; of so many images one may be taken for another."""
    first, second = Run.open(one), Run.open(other)
    found = [f"files: {a} / {b}" for a, b in [(files(one), files(other))] if a != b]
    found += [
        f"record: {key}" for key in sorted(first.record | second.record) if _recorded(first, key) != _recorded(second, key)
    ]
    found += [f"result: {first.record['result']} / {second.record['result']}"] * (not _alike(first, second, images))
    for path in [path.relative_to(one) for path in sorted(one.rglob("*")) if path.suffix in (".pt", ".h5")]:
        try:
            torch.testing.assert_close(_content(other / path), _content(one / path), **ROUNDED)
        except AssertionError as error:
            found.append(f"{path}: {error}")
    for a, b in zip(timeless(first), timeless(second), strict=True):
        found += [f"metrics: {a} / {b}"] * (not _near(a, b, images))
    return found


def _alike(first, second, images):
    return _near(first.record["result"], second.record["result"], images)


def _near(one, other, images):
    """Whether two sets of numbers are near each other."""
    tolerance = {key: 1.01 / images if "accuracy" in key or "top5" in key else 1e-4 * (1 + abs(one[key])) for key in one}
    return one.keys() == other.keys() and all(abs(one[key] - other[key]) <= tolerance[key] for key in one)


def _recorded(run, key):
    """What must be the same in two records; times and results are not."""
    value = run.record.get(key)
    if key == "environment":
        return {name: value for name, value in value.items() if name != "stacked"}
    return None if key in ("started", "finished", "seconds", "result") else value


def _content(path):
    if path.suffix == ".h5":
        return {name: torch.from_numpy(array) for name, array in arrays(path).items()}
    content = torch.load(path, weights_only=True)
    if path.name.startswith("checkpoint"):
        return {"net": content["net"], "optimiser": content["optimiser"]["state"]}
    return dict(content)
