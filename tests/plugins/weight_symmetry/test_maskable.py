"""Which layers are masked."""

import pytest
import torch
from torch import nn

from widenet.errors import UsageError
from widenet.masks import Fixed, attach
from widenet_weight_symmetry.layers import maskable


def network():
    body = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten())
    return nn.Sequential(nn.Conv1d(1, 2, 1), body, nn.Linear(9, 4), nn.Embedding(3, 3), nn.Linear(4, 2))


LAYERS = ["0", "1.0", "2"]


def test_all_but_the_last_in_order():
    net = network()
    found = maskable(net)
    assert list(found) == LAYERS
    assert [weight is net.get_submodule(name).weight for name, weight in found.items()] == [True] * 3


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["0"], ["0"]),
        (["1"], ["1.0"]),
        (["2", "0"], ["0", "2"]),
        (["1.*"], ["1.0"]),
        (["*"], LAYERS),
        (["[02]"], ["0", "2"]),
        (["1", "1.0", "1.?"], ["1.0"]),
    ],
)
def test_positions_and_patterns(wanted, names):
    """Digits are a position, whatever the layers are called."""
    assert list(maskable(network(), wanted)) == names


def test_the_weight_under_a_mask_is_meant():
    net = network()
    attach(net, lambda name, weight: Fixed(torch.zeros_like(weight)))
    assert all(weight.all() for weight in maskable(net).values())
    assert [weight.requires_grad for weight in maskable(net).values()] == [True] * 3


@pytest.mark.parametrize("word", ["3", "4", "-1", "1.1", "Conv", "", "[0"])
def test_a_layer_that_is_not_there_is_named(word):
    with pytest.raises(UsageError) as refused:
        maskable(network(), ["0", word])
    assert str(refused.value) == f"masked_layers: no layer {word!r} before the last; there are: 0 0, 1 1.0, 2 2"


@pytest.mark.parametrize("net", [nn.Linear(3, 2), nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), nn.Sequential(nn.ReLU())])
def test_a_network_of_one_layer_has_none_to_mask(net):
    with pytest.raises(UsageError, match="this network has no layer to mask before its last; choose another --arch"):
        maskable(net)
