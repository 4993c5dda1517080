"""Class-specific filters at ImageNet's size, on generated features: captured and studied, with the time and memory it takes.

    python benchmarks/many_classes.py [--samples N] [--units F] [--classes C]

Every part runs in one process, whose peak resident memory is given after each; it includes torch itself.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from large_layer import FACTORS, Generated, Wide, timed
from timing import machine

from widenet.data import Data
from widenet.runs import Run
from widenet_decompose.class_filters import class_filters
from widenet_decompose.config import ClassFilters, Decompose, MutualInformation
from widenet_decompose.decompose import carry_out
from widenet_decompose.features import kept
from widenet_decompose.mutual_information import mutual_information

LAYER = "fc:input"
SIZES = ("5", "20", "50")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--units", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=1000)
    asked = parser.parse_args()
    print("# Many classes\n\n`python benchmarks/many_classes.py > benchmarks/results/many_classes.md`\n")
    print(f"{machine()}.")
    print(
        f"{asked.samples} training and as many test samples, {asked.units} units, {asked.classes} classes; float32, generated."
    )
    print("Peak: resident memory of the process until then, GiB.\n\n| part | s | peak |\n|---|---:|---:|")
    net = Wide(asked.units, asked.classes, relu=True).eval()
    split = Generated(asked.samples, classes=asked.classes)
    data = Data("generated", split, split, (FACTORS,), asked.classes)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), {"seed": 0, "dataset": {"name": "generated"}})
        timed("start", lambda: None)
        for part in ("train", "test"):
            timed(f"capture {part}", lambda part=part: kept(run, net, data, [LAYER], part))
        scores = ("frequency", "mean", "median", "contribution", "random")
        found = ClassFilters(k=SIZES, score=scores)
        timed(f"class-filters: {len(scores)} scores, 3 sizes", lambda: list(class_filters(run, net, data, found)))
        timed(
            "mutual-information: 3 sizes", lambda: list(mutual_information(run, net, data, MutualInformation(k=SIZES, draws=5)))
        )
        config = Decompose(k=SIZES, score=("frequency", "weight", "random"), draws=1)
        timed("decompose: 3 scores, 3 sizes", lambda: carry_out(run, net, data, config))


if __name__ == "__main__":
    main()
