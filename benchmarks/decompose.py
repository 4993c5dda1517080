"""A whole study of class-specific filters from one pass over the images, against a forward pass an experiment.

    OMP_NUM_THREADS=1 python benchmarks/decompose.py [--rounds R] [--images N]

The study: the units of each class at k = 5, 10 and 20, accuracy of the full and of the decomposed layers, noise on each class's
units and on all others, mutual information of the sets. The other way to do it, as research code does, passes every image
through the network for each of these but the last: three times to find the units, four to measure accuracy, three for noise.
Both read the same images from memory in the same batches; only the passes differ. Weights and images are random, times do not
depend on them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from timing import interleaved, machine
from torch import Tensor, nn

from widenet.builtin.models.cifar_resnet import thin_resnet
from widenet.capture import ReadOut, stream
from widenet.data import Images
from widenet.runs import Run
from widenet_decompose.accuracy import measure
from widenet_decompose.essential import Replaced
from widenet_decompose.filters import Filters
from widenet_decompose.influence import influential_units, ranking_of
from widenet_decompose.information import index_information
from widenet_decompose.tally import Tally

SIZES, CLASSES, UNITS = (5, 10, 20), 10, 64
BATCH = 256


def batches(net: nn.Module, split: Images) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass: what the read-out is given, and the labels."""
    for batch in stream(net, split, ["linear:input"], batch_size=BATCH):
        yield batch.layers["linear:input"], batch.labels


def features_of(net: nn.Module, split: Images) -> tuple[Tensor, Tensor]:
    """One pass, kept."""
    features, labels = zip(*batches(net, split), strict=True)
    return torch.cat(features), torch.cat(labels)


def one_pass(net: nn.Module, split: Images, head: ReadOut, run: Run) -> None:
    """The study, from features that are computed once."""
    x, y = features_of(net, split)
    tally = Tally(CLASSES, UNITS, SIZES)
    tally.update(x, y)
    experiments(x, y, {k: Filters.of(ranking_of(tally, "frequency", k)[:, :k], UNITS) for k in SIZES}, head, run)


def experiments(x: Tensor, y: Tensor, sets: dict[int, Filters], head: ReadOut, run: Run) -> None:
    """Accuracies, noise and information of sets of units, on features."""
    measure([(x, y)], head.weight, head.bias, {k: filters.mask for k, filters in sets.items()})
    replaced = Replaced(x, y, head)
    for k, filters in sets.items():
        replaced.hits(filters.mask, "noise", run.generator("noise", k))
        index_information(filters.mask, UNITS)


def many_passes(net: nn.Module, split: Images, head: ReadOut, run: Run) -> None:
    """The same, with a pass for each experiment."""
    sets = {k: Filters.of(influential_units(*features_of(net, split), k), UNITS) for k in SIZES}
    for masks in ({}, *({k: filters.mask} for k, filters in sets.items())):
        measure(batches(net, split), head.weight, head.bias, masks)
    for k, filters in sets.items():
        Replaced(*features_of(net, split), head).hits(filters.mask, "noise", run.generator("noise", k))
        index_information(filters.mask, UNITS)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1017)
    asked = parser.parse_args()
    torch.manual_seed(0)
    net = thin_resnet(3, CLASSES, (16, 32, 64), 3).to(memory_format=torch.channels_last).eval()
    pixels = torch.randint(256, (asked.images, 3, 32, 32), dtype=torch.uint8)
    split = Images(pixels, torch.arange(asked.images) % CLASSES, (0.491, 0.482, 0.447), (0.247, 0.243, 0.261))
    linear = net.get_submodule("linear")
    head = ReadOut("linear", linear.weight.detach(), linear.bias.detach())
    x, y = features_of(net, split)
    more = {5: Filters.of(influential_units(x, y, 5), UNITS)}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), {"seed": 0})
        took = interleaved(
            {
                "a pass": lambda: features_of(net, split),
                "study": lambda: one_pass(net, split, head, run),
                "passes": lambda: many_passes(net, split, head, run),
                "more": lambda: experiments(x, y, more, head, run),
                "accuracy": lambda: measure([(x, y)], head.weight, head.bias, {k: f.mask for k, f in more.items()}),
            },
            asked.rounds,
        )
    command = f"OMP_NUM_THREADS={torch.get_num_threads()} python benchmarks/decompose.py"
    print(f"# Decompose\n\n`{command} >> benchmarks/results/decompose.md`\n")
    print(f"{machine()}. ResNet-20, {asked.images} images; medians of {asked.rounds} interleaved rounds.\n")
    print("| what | ms | |\n|---|---:|---|")
    lines = {
        "a pass": ("one pass over the images", ""),
        "study": ("the study, from one pass", f"{took['study'] / took['a pass']:.2f} passes"),
        "passes": ("the study, a pass an experiment", f"{took['passes'] / took['study']:.1f} times as long"),
        "more": ("one more set of units: accuracy, noise, information", f"1/{took['a pass'] / took['more']:.0f} pass"),
        "accuracy": ("one more set of units: accuracy", f"1/{took['a pass'] / took['accuracy']:.0f} pass"),
    }
    for name, (what, ratio) in lines.items():
        print(f"| {what} | {took[name] * 1e3:,.1f} | {ratio} |")
    print()


if __name__ == "__main__":
    main()
