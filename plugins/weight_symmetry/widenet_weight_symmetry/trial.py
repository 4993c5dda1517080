"""Spaces put to the test: permuting their units must not change what the network computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from widenet.masks import Fixed, layers
from widenet_weight_symmetry.structure import Space, Structure

Tree = Any
"""Arguments or results of an operation: tensors among tuples, lists and dicts."""
TOLERANCE = 100
"""Rounding errors, of the largest output's size, that two ways to compute the same may differ by."""


def confirmed(structure: Structure, net: nn.Module, inputs: Tensor) -> Structure:
    """The structure with those spaces fixed whose units cannot be permuted after all."""
    before = _outputs(net, inputs)

    def changes(spaces: Sequence[Space]) -> bool:
        with _permuted(net, structure, spaces):
            return not all(map(_same, before, _outputs(net, inputs)))

    free = [space for space in structure.spaces if not space.fixed and space.size > 1]
    if not free or not changes(free):
        return structure
    # Where none fails alone, it takes several together, and all of them are given up.
    failing = {space.name for space in free if changes([space])} or {space.name for space in free}
    why = "permuting its units changes what the network computes"
    spaces = tuple(attrs.evolve(space, fixed=why) if space.name in failing else space for space in structure.spaces)
    return confirmed(attrs.evolve(structure, spaces=spaces), net, inputs)


def _outputs(net: nn.Module, inputs: Tensor) -> list[Tensor]:
    torch.default_generator.manual_seed(0)
    return tensors_in(functional_call(net, _generic(net), (inputs.clone(),)))


def _generic(net: nn.Module) -> dict[str, Tensor]:
    """Values under which nothing is hidden by masks or by weights that happen to be zero, for parameters and buffers.

    Weights of layers are random and their masks all ones. Parameters that are no layer's, and what norms keep, are 1: they may
    move along with units. Other buffers stay as they are.
    """
    generator = torch.Generator().manual_seed(0)
    own, free = set[int](), set[int]()
    for _, module in layers(net):
        inside = [*module.parameters(), *module.buffers()]
        own |= {id(value) for value in inside}
        if all(isinstance(step, Fixed) for steps in getattr(module, "parametrizations", {}).values() for step in steps):
            free |= {id(value) for value in inside}  # other masks are chosen by the weights, and would be anew
    norms = {id(value) for module in net.modules() if isinstance(module, _NormBase) for value in module.buffers()}
    movable = norms | {id(value) for value in net.parameters()} - own
    found = {}
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if id(value) in free and value.dtype == torch.bool:
            found[name] = torch.ones_like(value)
        elif id(value) in free and value.ndim > 1 and value.numel():
            found[name] = torch.randn(value.shape, generator=generator).mul_((2 / value[0].numel()) ** 0.5).to(value)
        elif id(value) in movable and value.is_floating_point():
            found[name] = torch.ones_like(value)
    return found


@contextlib.contextmanager
def _permuted(net: nn.Module, structure: Structure, spaces: Sequence[Space]) -> Iterator[None]:
    """Layers as if their weights were permuted: each reads in the order it knows, and gives in the new one."""
    rows, columns = _orders(structure, spaces)
    names = {module: name for name, module in layers(net)}

    def before(module: nn.Module, args: Any, kwargs: Any) -> Any:
        inputs = args[0] if args else kwargs["input"]
        taken = _take(inputs, feature_axis(module, inputs), columns.get(names[module]))
        return ((taken, *args[1:]), kwargs) if args else (args, {**kwargs, "input": taken})

    def after(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return _take(output, feature_axis(module, output), rows.get(names[module]))

    handles = [module.register_forward_pre_hook(before, with_kwargs=True) for module in names]
    handles += [module.register_forward_hook(after) for module in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _orders(structure: Structure, spaces: Sequence[Space]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Where each row of a layer's outputs is taken from, and each feature it reads: int64, by layer.

    The members of each space go one on in a random cycle, so that none stays where it is.
    """
    rows: dict[str, np.ndarray] = {}
    columns: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(0)
    for space in spaces:
        old = generator.permutation(space.size)
        new = np.roll(old, 1)
        for name, places in space.rows.items():
            layer = structure.layers[name]
            rows.setdefault(name, np.arange(layer.units))[places[new]] = places[old]
            if layer.unitwise:  # its features are its units
                columns.setdefault(name, np.arange(layer.units))[places[old]] = places[new]
        for name, places in space.columns.items():
            columns.setdefault(name, np.arange(structure.layers[name].features))[places[old]] = places[new]
    return rows, columns


def _take(tensor: Tensor, axis: int, order: np.ndarray | None) -> Tensor:
    return tensor if order is None else tensor.index_select(axis, torch.from_numpy(order).to(tensor.device))


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or not one.is_floating_point():
        return one.shape == other.shape and torch.equal(one, other)
    scale = one.nan_to_num(0, 0, 0).abs().max().item() if one.numel() else 0.0
    return torch.allclose(one, other, rtol=0, atol=TOLERANCE * torch.finfo(one.dtype).eps * scale, equal_nan=True)


def feature_axis(module: Any, tensor: Tensor) -> int:
    """The axis along which a layer reads a tensor, and along which the units of what it gives lie."""
    return tensor.ndim - 1 if isinstance(module, nn.Linear) else tensor.ndim - 1 - len(module.kernel_size)


def tensors_in(tree: Tree) -> list[Tensor]:
    """Tensors among arguments or results, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    parts = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, tuple | list) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]
