"""Following real networks: permuting units that are said to be interchangeable must leave what they compute."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from widenet.builtin.models import models
from widenet.masks import Fixed, attach, layers, original
from widenet_weight_symmetry.follow import follow
from widenet_weight_symmetry.liveness import liveness
from widenet_weight_symmetry.structure import Layer
from widenet_weight_symmetry.symmetry import count_spaces, members

CORE = {model.name: model for model in models()}
SHAPE = (3, 32, 32)


def core(name, **options):
    return lambda: CORE[name].function(SHAPE, 10, CORE[name].config(**options))


def vision(name, **options):
    return lambda: getattr(torchvision.models, name)(num_classes=10, **options)


def vgg11():
    """With a small classifier behind its adaptive pooling; the usual one takes half a gigabyte."""
    with torch.device("meta"):
        net = torchvision.models.vgg11(init_weights=False)
    net.features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["A"])
    net.classifier = nn.Sequential(nn.Linear(512 * 49, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 10))
    return net


# Name -> network, number of spaces, units in all of them.
NETS = {
    "conv4": (core("conv4", width=0.25), 6, 16 + 16 + 32 + 32 + 64 + 64),
    "fc": (core("fc", hidden=(30, 20), bias=True), 2, 50),
    "resnet20": (core("resnet20"), 3 + 9, 16 + 16 + 32 + 3 * (16 + 32 + 64)),
    "resnet18": (vision("resnet18"), 4 + 8, (64 + 128 + 256 + 512) * 3),
    "resnet50": (vision("resnet50"), 5 + 32, 64 + (256 + 512 + 1024 + 2048) + 2 * (3 * 64 + 4 * 128 + 6 * 256 + 3 * 512)),
    "resnext50": (vision("resnext50_32x4d"), 5 + 32, None),
    "mobilenet_v2": (vision("mobilenet_v2", width_mult=0.5), 25, None),
    "densenet121": (lambda: torchvision.models.DenseNet(8, (6, 12, 24, 16), 16, num_classes=10), 120, None),
    "vgg11": (vgg11, 9, 64 + 128 + 256 + 256 + 4 * 512 + 20),
    "squeezenet": (vision("squeezenet1_1"), 25, None),
    "mobilenet_v3": (vision("mobilenet_v3_small"), 27, None),
}


@pytest.fixture(scope="module", params=NETS)
def found(request):
    """Name, network and structure."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = NETS[request.param][0]().eval()
    return request.param, net, follow(net, SHAPE)


def test_every_unit_is_free(found):
    name, _, structure = found
    _, spaces, units = NETS[name]
    assert [space.name for space in structure.spaces if space.fixed] == []
    assert len(structure.spaces) == spaces
    total = count_spaces(structure)["total"]
    assert units is None or total["total_neurons"] == units
    assert (total["zeroed_neurons"], total["dead_outgoing"], total["sparsity"]) == (0, 0, 0)
    if name != "resnext50":  # of its grouped convolutions only units of one group are alike
        assert total["unique_neurons"] == spaces


def test_permuting_units_that_masks_do_not_tell_apart_changes_nothing(found):
    _, net, structure = found
    generator = torch.Generator().manual_seed(0)
    masks = {name: repeated(original(module).shape, generator) for name, module in layers(net)}
    structure = structure.masked(masks)
    total = count_spaces(structure)["total"]
    assert 10 < total["log10_permutations"] < count_spaces(structure.masked({}))["total"]["log10_permutations"]
    attach(net, lambda name, _: Fixed(masks[name]))
    inputs = torch.randn(2, *SHAPE, generator=generator)
    with torch.no_grad():
        before = net(inputs)
        permute(net, structure)
        after = net(inputs)
    assert before.std() > 0
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-4 * before.abs().max().item())


def repeated(shape, generator):
    """A mask of a few kinds of rows and columns, so that many units are alike."""
    kinds = torch.rand(3, 3, *shape[2:], generator=generator) < 0.7
    rows, columns = (torch.randint(3, (size,), generator=generator) for size in shape[:2])
    return kinds[rows][:, columns]


def permute(net, structure):
    """Permute the weights of units within their classes; norms are as they were made, the same for all units."""
    generator = np.random.default_rng(0)
    live = liveness(structure)
    dense = {name: (module, expanded(original(module), structure.layers[name])) for name, module in layers(net)}
    for space in structure.spaces:
        alive = live.of(structure, space)[1]
        classes, places = members(structure, space, alive), np.flatnonzero(alive)
        order = np.arange(space.size)
        for number in range(classes.max(initial=-1) + 1):
            chosen = places[classes == number]
            order[chosen] = generator.permutation(chosen)
        for name, rows in space.rows.items():
            module, weight = dense[name]
            weight[rows.ravel()] = weight[rows[order].ravel()]
            if module.bias is not None:
                module.bias[rows.ravel()] = module.bias[rows[order].ravel()]
        for name, columns in space.columns.items():
            weight = dense[name][1]
            weight[:, columns.ravel()] = weight[:, columns[order].ravel()]
    for name, (module, weight) in dense.items():
        original(module).copy_(contracted(weight, structure.layers[name]))


def expanded(weight, layer):
    """A weight as (units, features, ...), zero between groups; as it is where it is unitwise."""
    if layer.groups == 1 or layer.unitwise:
        return weight.clone()
    full = weight.new_zeros(layer.units, layer.features, *weight.shape[2:])
    for unit in range(layer.units):
        full[unit, window(layer, unit)] = weight[unit]
    return full


def contracted(full, layer):
    if layer.groups == 1 or layer.unitwise:
        return full
    return torch.stack([full[unit, window(layer, unit)] for unit in range(layer.units)])


def window(layer: Layer, unit: int) -> slice:
    """The features of a unit's group."""
    width = layer.features // layer.groups
    group = unit // (layer.units // layer.groups)
    return slice(group * width, (group + 1) * width)


def test_residual_networks_without_parameters_in_their_shortcuts():
    spaces = {space.name: space for space in follow(core("resnet20")(), SHAPE).spaces}
    assert spaces["conv1"].tied == tuple(f"layer{stage}.{block}.conv2" for stage in (1, 2, 3) for block in (0, 1, 2))
    assert spaces["layer2.0.conv2"].rows["layer2.0.conv2"].ravel().tolist() == [*range(8), *range(24, 32)]
    assert spaces["layer3.0.conv2"].rows["layer3.0.conv2"].ravel().tolist() == [*range(16), *range(48, 64)]
