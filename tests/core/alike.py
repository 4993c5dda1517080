"""Whether two runs came to the same end, bit for bit."""

import numpy as np
import torch

from widenet.runs import Run


def differences(one, other):
    """What differs between two run folders: saved weights, masks, arrays, checkpoints, metrics (but for times), results."""
    first, second = Run.open(one), Run.open(other)
    found = [f"files: {a} / {b}" for a, b in [(files(one), files(other))] if a != b]
    for path in sorted(one.rglob("*.pt")):
        name = path.relative_to(one)
        a, b = (torch.load(root / name, weights_only=True) for root in (one, other))
        found += [f"{name}: {key}" for key in unequal(a, b)]
    for path in sorted(one.rglob("*.h5")):
        name = path.relative_to(one)
        found += [f"{name}: {key}" for key in unequal(arrays(one / name), arrays(other / name))]
    if timeless(first) != timeless(second):
        found.append(f"metrics: {timeless(first)} / {timeless(second)}")
    if first.record["result"] != second.record["result"]:
        found.append(f"results: {first.record['result']} / {second.record['result']}")
    if [run.record["status"] for run in (first, second)] != ["finished"] * 2:
        found.append("not finished")
    return found


def files(root):
    """Every file of a run but its log, which tells of resuming."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "log.txt")


def timeless(run):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in run.metrics()]


def arrays(path):
    from widenet.store import read_arrays

    return read_arrays(path)


def unequal(a, b, at=""):
    """Where two nests of tensors differ."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [place for key in a for place in unequal(a[key], b[key], f"{at}/{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [place for number, pair in enumerate(zip(a, b, strict=True)) for place in unequal(*pair, f"{at}/{number}")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [at]
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return [] if a.dtype == b.dtype and np.array_equal(a, b) else [at]
    return [] if type(a) is type(b) and a == b else [at]
