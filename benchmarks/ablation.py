"""Ablation curves that share one pass over the images, against the textbook way of a full evaluation per point.

    python benchmarks/ablation.py [--images N] [--width F] [--rounds R] [--threads N]

Both measure the intact network and seven levels, 0, 1/6, ... 1, of one random order; the numbers of labels that stay are equal.
Networks are untrained and images are noise: neither changes what is computed.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from timing import machine

from widenet.builtin.models import models
from widenet.data import Images
from widenet_frivolous.ablation import Ablation, Target, one_by_one
from widenet_frivolous.curves import counts
from widenet_frivolous.layers import Layer, perturbed_layers
from widenet_frivolous.models import AlexNet, alexnet_cifar
from widenet_frivolous.orders import beginning, random_order
from widenet_frivolous.perturb import Drop

LEVELS = [number / 6 for number in range(7)]
BATCH = 128


def network(name: str, width: float) -> torch.nn.Module:
    """A network for CIFAR images and 10 classes."""
    torch.manual_seed(0)
    if name == "alexnet-cifar":
        return alexnet_cifar((3, 32, 32), 10, AlexNet(width=width)).eval()
    component = next(each for each in models() if each.name == name)
    return component.function((3, 32, 32), 10, component.config(width=width)).eval()


def target(layers: list[Layer], levels: list[float]) -> Target:
    """Random ablation of some layers at once at these levels."""
    generator = torch.Generator().manual_seed(0)
    orders = {layer.name: random_order(layer.units, generator) for layer in layers}
    sizes = {layer.name: counts(layer.units, levels) for layer in layers}
    sets = [{name: beginning(order, sizes[name][at]) for name, order in orders.items()} for at in range(len(levels))]
    return Target(tuple(layer.point for layer in layers), tuple(Drop(each) for each in sets))


def compared(net: torch.nn.Module, split: Images, targets: list[list[str]], rounds: int) -> tuple[float, float]:
    """CPU seconds of the textbook way and of one shared pass, over targets of one or several layers; curves must be equal."""
    groups = [perturbed_layers(net, Ablation(net, split, BATCH), paths) for paths in targets]

    def textbook() -> list[list[int]]:
        return [one_by_one(net, split, target(group, LEVELS), BATCH).agree.tolist() for group in groups]

    def shared() -> list[list[int]]:
        found = Ablation(net, split, BATCH).measure([target(group, LEVELS[1:]) for group in groups])
        return [[len(split), *each.agree.tolist()] for each in found]  # level 0 is 1 by definition

    seconds: dict[str, list[float]] = {"textbook": [], "shared": []}
    for _ in range(rounds):
        curves = []
        for name, way in (("textbook", textbook), ("shared", shared)):
            start = time.process_time()
            curves.append(way())
            seconds[name].append(time.process_time() - start)
        assert curves[0] == curves[1], "the curves differ"
    return statistics.median(seconds["textbook"]), statistics.median(seconds["shared"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(asked.images, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    split = Images(x, torch.randint(10, (asked.images,), generator=generator))
    hidden = ["conv1.act", "conv2.act", "fc3.act", "fc4.act"]
    stages = ["layer1", "layer2", "layer3"]
    cases = [
        ("every layer alone and all at once", "alexnet-cifar", [*([path] for path in hidden), hidden]),
        ("the last hidden layer", "alexnet-cifar", [["fc4.act"]]),
        ("all layers at once: the published number alone", "alexnet-cifar", [hidden]),
        ("the end of the last stage", "resnet56", [["layer3"]]),
        ("the ends of the stages, alone and at once", "resnet56", [*([path] for path in stages), stages]),
    ]
    print("# Ablation curves\n\n`OMP_NUM_THREADS=1 python benchmarks/ablation.py > benchmarks/results/ablation.md`\n")
    print(f"{machine()}. {asked.images} images of 32x32 in batches of {BATCH}, width {asked.width}, float32; seven levels.")
    print(f"Medians of {asked.rounds} interleaved rounds, in CPU seconds for the machine is shared; all curves are equal.\n")
    print("| network | layers | textbook | one shared pass | times faster |\n|---|---|---:|---:|---:|")
    for label, name, targets in cases:
        book, ours = compared(network(name, asked.width), split, targets, asked.rounds)
        print(f"| {name} | {label} | {book:.2f} | {ours:.2f} | {book / ours:.1f} |", flush=True)


if __name__ == "__main__":
    main()
