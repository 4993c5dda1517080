"""Small networks of every shape, samples for them, and the original's multilayer perceptron."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from widenet.builtin.models.cifar_resnet import thin_resnet
from widenet.builtin.models.conv import conv_net
from widenet.builtin.models.fc import fc_net
from widenet.data import Data, Images

GOLDEN = Path(__file__).parents[2] / "golden" / "frivolous"


def golden(name):
    """The arrays of a file of oracles."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


class Batches:
    """A split of samples of any type."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def labels(self):
        return self.y

    def part(self, chosen):
        return Batches(self.x[chosen], self.y[chosen])

    def batches(self, size, generator=None, part=(0, 1)):
        for start in range(0, len(self), size):
            yield self.x[start : start + size], self.y[start : start + size]


def mlp():
    """The float64 network of the oracles and its 200 samples."""
    found = golden("robustness")
    net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 10)).double()
    for number, layer in enumerate(net[::2]):
        layer.weight.data = torch.from_numpy(found[f"W{number}"]).T.contiguous()
        layer.bias.data = torch.from_numpy(found[f"b{number}"])
    x = torch.from_numpy(found["X"]).flatten(0, 1)
    return net.eval(), Batches(x, torch.zeros(len(x), dtype=torch.int64))


class Functional(nn.Module):
    """A network that is no chain: functional ReLUs, a shortcut around two layers, the input read again at the end."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(48, 20), nn.Linear(20, 20), nn.Linear(20, 20)
        self.last = nn.Linear(68, 5)

    def forward(self, x):
        x = x.flatten(1)
        a = torch.relu(self.first(x))
        b = torch.relu(self.third(torch.relu(self.second(a))))
        return self.last(torch.cat([a + b, x], 1))


class Shared(nn.Module):
    """One activation for several places, working in place."""

    def __init__(self):
        super().__init__()
        self.conv, self.again = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.act, self.head = nn.ReLU(inplace=True), nn.Linear(6, 5)

    def forward(self, x):
        x = self.act(self.conv(x))
        return self.head(self.act(self.again(x)).mean((2, 3)))


def networks():
    """By name a network for images of 3 x 4 x 4 and 5 classes, with layers of it."""
    torch.manual_seed(0)
    nets = {
        "fc": (fc_net((3, 4, 4), 5, (16, 12), bias=True), ("linear.1", "linear.3")),
        "conv": (conv_net((3, 4, 4), 5, (6, 8), (12,), bias=True), ("convs.1", "convs.3", "linear.1", "linear.0:input")),
        "resnet": (thin_resnet(3, 5, (4, 6, 8), 1), ("relu", "layer1.0.relu1", "layer2.0.relu2", "layer2", "linear:input")),
        "functional": (Functional(), ("first", "second:input", "third", "last:input")),
        "shared": (Shared(), ("conv", "act", "again:input", "head:input")),
    }
    return {name: (net.eval(), layers) for name, (net, layers) in nets.items()}


def images(count=50, seed=0):
    """Random images, in the memory format of the core's."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, 4, 4, generator=generator).contiguous(memory_format=torch.channels_last)
    return Images(x, torch.arange(count) % 5)


def data(count=50):
    return Data("random", images(count, 1), images(count), shape=(3, 4, 4), classes=5)
