"""A small network, data for it and a run to keep it in."""

import torch
from torch import nn

from widenet.data import Data, Images
from widenet.runs import Run

QUICK = ("--dataset", "tiny", "--arch", "fc:hidden=12,8", "--threads", "1", "--quiet", "--json", "--batch-size", "32")


def blobs(train=50, test=21):
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 5, generator=generator) * 3

    def split(n):
        y = torch.arange(n) % 3
        return Images(centres[y] + torch.randn(n, 5, generator=generator), y)

    return Data("blobs", split(train), split(test), shape=(5,), classes=3)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))


def of(path):
    path.mkdir(exist_ok=True)
    return Run(path, {"seed": 0})
