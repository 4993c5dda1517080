"""Which units of a network are read where, found by watching one forward pass and put to the test by another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from widenet.errors import UsageError
from widenet.masks import layers, masks, original
from widenet_weight_symmetry.structure import FIRST, NOTHING, OUTSIDE, Layer, Structure
from widenet_weight_symmetry.ties import Ties, spaces
from widenet_weight_symmetry.trial import Tree, confirmed, feature_axis, tensors_in


@torch.no_grad()
def follow(net: nn.Module, shape: Sequence[int]) -> Structure:
    """The structure of any network under its masks.

    Runs the network on random inputs in evaluation mode and follows its units through all that happens between layers. What an
    operation does to them is found by carrying it out on numbers in their place, or else taken to be elementwise, which binds
    the units that meet. Then permutes the units of every space found and runs it again: where that changes the outputs,
    something was not understood, and the space is fixed. Inputs and outputs are never permuted. The network is left as it was.

    Args:
        net: maps (n, *shape) to outputs.
        shape: of one input.

    Raises:
        UsageError: the network cannot be run on such inputs.
    """
    found = masks(net)  # this brings them up to date, so that the passes below change none
    like = next((value for value in net.parameters() if value.is_floating_point()), torch.empty(0))
    inputs = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(like)
    with left_alone(net):
        watch = Watch(net, inputs)
        try:
            with watch.hooks(), watch:
                outputs = net(inputs)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UsageError(f"the network cannot be run on inputs of shape {tuple(shape)} ({reason})") from error
        structure = confirmed(watch.structure(outputs), net, inputs)
    return structure.masked(found)


@contextlib.contextmanager
def left_alone(net: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards modes, buffers and torch's random numbers as they were."""
    modes = [(module, module.training) for module in net.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    with torch.random.fork_rng(devices={value.device.index for value in net.parameters() if value.is_cuda}):
        try:
            net.eval()
            yield
        finally:
            for module, training in modes:
                module.training = training
            for buffer, before in buffers:
                buffer.copy_(before)


@attrs.frozen(eq=False)
class Units:
    """The units of a tensor: their numbers along one axis, int64 (size,), in several arrays where units were added up."""

    arrays: tuple[np.ndarray, ...]
    axis: int


class Watch(TorchFunctionMode):
    """A mode under which a network runs once, inside :meth:`hooks`; :meth:`structure` then tells what was seen."""

    def __init__(self, net: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.names = {module: name for name, module in layers(net)}
        self.layers: dict[str, Layer] = {}
        self.ties = Ties()
        self.inside = False
        self.owners = {
            id(value): name for module, name in self.names.items() for value in (*module.parameters(), *module.buffers())
        }
        self.misused = set[str]()
        self.shared: dict[int, np.ndarray | None] = {
            id(value): None
            for value in (*net.parameters(), *net.buffers())
            if id(value) not in self.owners and value.numel() > 1
        }
        self.units: Any = WeakTensorKeyDictionary()
        self.units[inputs] = Units((np.full(inputs.shape[1], OUTSIDE),), 1)

    @contextlib.contextmanager
    def hooks(self) -> Iterator[None]:
        """Watch the layers; what happens inside them is not looked at."""
        handles = [module.register_forward_pre_hook(self._enter) for module in self.names]
        handles += [module.register_forward_hook(self._leave, with_kwargs=True) for module in self.names]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        self.inside = True

    def _leave(self, module: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        self.inside = False
        tensor = args[0] if args else kwargs["input"]
        axis = feature_axis(module, tensor)
        units = self.units.get(tensor)
        if units is not None and units.axis != axis:
            self.ties.fix(units.arrays, f"{self.names[module]} reads it along another axis")
            units = None
        layer = self._read(module, units.arrays if units else (np.full(tensor.shape[axis], OUTSIDE),))
        self.units[output] = Units((layer.numbers,), axis)

    def _read(self, module: Any, reads: tuple[np.ndarray, ...]) -> Layer:
        """Note that a layer reads units of these numbers."""
        name, features = self.names[module], len(reads[0])
        before = self.layers.get(name)
        if before is None:
            units, groups = original(module).shape[0], getattr(module, "groups", 1)
            unitwise = 1 < groups == units == features and bool((reads[0] >= FIRST).all())
            layer = Layer(name, units, features, self.ties.numbers(units), groups, unitwise, reads)
        else:
            layer = attrs.evolve(before, reads=(*before.reads, *reads))
            self.ties.tie([before.reads[0], reads[0]], f"{name} is used twice")
        if layer.unitwise:
            self.ties.tie([layer.numbers, reads[0]], name)
        self.layers[name] = layer
        return layer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out an operation, and note what it does to units."""
        kwargs = kwargs or {}
        given = [] if self.inside else [tensor for tensor in tensors_in((args, kwargs)) if tensor in self.units]
        before = {id(tensor): self.units[tensor] for tensor in given}
        if given:
            self._share(tensors_in((args, kwargs)), before[id(given[0])].arrays[0])
        probed = _probed(func, args, kwargs, before) if given else []
        out = func(*args, **kwargs)
        if not self.inside and tensors_in(out):
            self.misused |= {self.owners[id(tensor)] for tensor in tensors_in((args, kwargs)) if id(tensor) in self.owners}
        for place, result in enumerate(tensors_in(out) if given else []):
            found = probed[place] if place < len(probed) else None
            self._note(result, found or self._elementwise(result, given, before), given, before, func.__name__)
        return out

    def _share(self, tensors: list[Tensor], numbers: np.ndarray) -> None:
        """Bind units of which one parameter that is no layer's (a norm's scale) goes with several."""
        for key in {id(tensor) for tensor in tensors} & self.shared.keys():
            first = self.shared[key]
            if first is None:
                self.shared[key] = numbers
            elif len(first) == len(numbers):
                self.ties.tie([first, numbers], "a parameter is shared with an input of the network")
            else:
                self.ties.fix([first, numbers], "a parameter is shared by tensors of different sizes")

    def _note(self, result: Tensor, found: Units | None, given: list[Tensor], before: Mapping[int, Units], name: str) -> None:
        if found is not None:
            self.units[result] = found
            return
        self.units.pop(result, None)
        for tensor in given:
            self.ties.fix(before[id(tensor)].arrays, f"what {name.strip('_')} does to its units is not understood")

    def _elementwise(self, result: Tensor, given: list[Tensor], before: Mapping[int, Units]) -> Units | None:
        """Units of an elementwise function's result, which binds those that meet; None where shapes do not permit one."""
        found = [(before[id(tensor)], tensor) for tensor in given]
        if several := [(units, tensor) for units, tensor in found if len(units.arrays[0]) > 1]:
            # A single unit, as that of a gate, meets all the others alike.
            self.ties.fix([array for units, _ in found if len(units.arrays[0]) == 1 for array in units.arrays], "it is alone")
            found = several
        axes = {units.axis + result.ndim - tensor.ndim for units, tensor in found}
        arrays = [array for units, _ in found for array in units.arrays]
        (axis,) = axes if len(axes) == 1 else (-1,)
        if axis < 0 or any(len(array) != result.shape[axis] for array in arrays):
            return None
        self.ties.tie(arrays, "it meets an input of the network")
        return Units(tuple({array.tobytes(): array for array in arrays}.values()), axis)

    def structure(self, outputs: Tree) -> Structure:
        """What was seen, once the network has run."""
        empty = np.zeros(0, np.int64)
        out = np.concatenate(
            [empty, *(a for tensor in tensors_in(outputs) if tensor in self.units for a in self.units[tensor].arrays)]
        )
        for module, name in self.names.items():
            if name not in self.layers:  # its weight may be used all the same, as that of an attention's last projection is
                layer = self._read(module, (np.full(original(module).shape[1] * getattr(module, "groups", 1), OUTSIDE),))
                self.ties.fix([layer.numbers], "not called in the forward pass")
        self._fix_shared()
        for name in self.misused:
            self.ties.fix([self.layers[name].numbers, *self.layers[name].reads], f"parameters of {name} are used outside of it")
        read = np.zeros(self.ties.size, bool)
        read[np.concatenate([out, *(array for layer in self.layers.values() for array in layer.reads)])] = True
        unread = np.concatenate([empty, *(layer.numbers[~read[layer.numbers]] for layer in self.layers.values())])
        self.ties.fix([unread], "no layer that was watched reads it")
        opened = np.unique(np.concatenate([out, unread, *self.ties.unknown]))
        return Structure(self.layers, spaces(self.ties, self.layers, out), opened, self.ties.size)

    def _fix_shared(self) -> None:
        """Units of layers that share a weight cannot be permuted in one of them alone."""
        owners: dict[int, str] = {}
        for module, name in self.names.items():
            other = owners.setdefault(id(original(module)), name)
            if other != name:
                self.ties.fix(
                    [a for n in (name, other) for a in (self.layers[n].numbers, *self.layers[n].reads)], "layers share a weight"
                )


LEAST = 1 << 30
"""Probes hold random integers from here to twice this: float64 adds up many of them exactly, and sums are none of them."""


def _probed(func: Callable[..., Any], args: Tree, kwargs: Tree, before: Mapping[int, Units]) -> list[Units | None]:
    """Units of each tensor that an operation gives if it only moves elements about: flattens, pads, slices, joins, pools.

    Of tensors whose units were added up, and of operations that compute something, nothing is found.
    """
    numbers = np.unique(np.concatenate([array for units in before.values() for array in units.arrays]))
    words = np.random.default_rng(0).choice(LEAST, len(numbers), replace=False) + LEAST
    words[numbers == NOTHING] = 0
    deep = max(len(units.arrays) for units in before.values())
    layered = [_outcome(func, _replaced((args, kwargs), before, numbers, words, depth)) for depth in range(deep)]
    found = []
    for results in zip(*layered, strict=True):
        decoded = [_decoded(result, numbers, words) for result in results]
        axes = {units.axis for units in decoded if units is not None}
        whole = len(axes) == 1 and all(units is not None for units in decoded)
        found.append(Units(tuple(units.arrays[0] for units in decoded if units), axes.pop()) if whole else None)
    return found


def _outcome(func: Callable[..., Any], given: Tree) -> list[Tensor]:
    try:
        return tensors_in(func(*given[0], **given[1]))
    except Exception:  # not for such numbers: then it computes something
        return []


def _replaced(tree: Tree, before: Mapping[int, Units], numbers: np.ndarray, words: np.ndarray, depth: int) -> Tree:
    """The tree with each tensor that has units replaced by one of their words, float64; of those added up, one is taken."""
    if isinstance(tree, Tensor) and id(tree) in before:
        units = before[id(tree)]
        line = words[np.searchsorted(numbers, units.arrays[min(depth, len(units.arrays) - 1)])]
        shape = [-1 if axis == units.axis else 1 for axis in range(tree.ndim)]
        return torch.from_numpy(line.astype(np.float64)).view(shape).to(tree.device).expand(tree.shape).clone()
    if isinstance(tree, Mapping):
        return {key: _replaced(part, before, numbers, words, depth) for key, part in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(_replaced(part, before, numbers, words, depth) for part in tree)
    return tree.clone() if isinstance(tree, Tensor) else tree  # a clone, as the operation may write to it


def _decoded(result: Tensor, numbers: np.ndarray, words: np.ndarray) -> Units | None:
    """The units whose words a tensor holds, if they differ along one axis only and nothing else is in it."""
    values = result.detach().cpu()
    varying = [axis for axis, size in enumerate(values.shape) if size > 1 and (values != values.narrow(axis, 0, 1)).any()]
    if len(varying) > 1 or not values.numel():
        return None
    axis = varying[0] if varying else min(1, values.ndim - 1)
    if axis < 0:
        return None
    line = values.movedim(axis, -1).reshape(-1, values.shape[axis])[0].double().numpy()
    order = np.argsort(words)
    places = order[np.searchsorted(words, line, sorter=order).clip(max=len(words) - 1)]
    known = words[places] == line
    if not (known | (line == 0)).all():
        return None
    return Units((np.where(known, numbers[places], NOTHING),), axis)
