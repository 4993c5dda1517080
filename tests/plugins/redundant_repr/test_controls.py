"""Representations without redundancy."""

import math

import torch

from widenet_redundant_repr.controls import noise, shuffled


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_each_column_keeps_its_values_and_loses_its_fellows():
    signal = torch.randn(4000, 1, generator=generator())
    features = signal + 0.01 * torch.randn(4000, 5, generator=generator(1))
    found = shuffled(features, generator())
    assert torch.equal(found.sort(0).values, features.sort(0).values)
    assert found.dtype == features.dtype
    pairs = torch.corrcoef(found.T)[~torch.eye(5, dtype=torch.bool)]
    assert pairs.abs().max() < 5 / math.sqrt(4000)
    assert torch.corrcoef(features.T).min() > 0.99


def test_shuffles_have_a_seed():
    features = torch.arange(60.0).view(20, 3)
    assert torch.equal(shuffled(features, generator()), shuffled(features, generator()))
    assert not torch.equal(shuffled(features, generator()), shuffled(features, generator(1)))


def test_noise_is_independent_and_standard():
    x = noise(4000, 6, generator())
    assert (x.dtype, tuple(x.shape)) == (torch.float32, (4000, 6))
    assert (torch.cov(x.T) - torch.eye(6)).abs().max() < 0.1
    assert x.mean(0).abs().max() < 0.1
    assert torch.equal(x, noise(4000, 6, generator()))
