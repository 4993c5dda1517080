"""The last linear layer of a network, which reads the classes out of its last representation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from widenet.capture.stream import INPUT, glance, matching
from widenet.errors import UsageError


@attrs.frozen(eq=False)
class ReadOut:
    """A linear read-out: its module's path, weight float32 (C, W) and bias (C,) as they act, masks multiplied out.

    With one row it decides between two classes by its sign: the network's logits differ by what it puts out.
    """

    path: str
    weight: Tensor
    bias: Tensor

    @property
    def layer(self) -> str:
        """The name by which the representation that it reads is captured."""
        return self.path + INPUT

    def logits(self, features: Tensor) -> Tensor:
        """The network's logits (n, classes) for features (n, W); of a single row, zero and what it puts out."""
        values = features @ self.weight.T + self.bias
        return torch.cat([torch.zeros_like(values), values], 1) if len(self.weight) == 1 else values


@torch.inference_mode()
def readout(net: nn.Module, split: Any) -> ReadOut:
    """The read-out of a network, recognised by a forward pass of a few samples of ``split``.

    Raises:
        UsageError: no linear layer's output is the network's logits.
    """
    linear = [path for path, module in net.named_modules() if isinstance(module, nn.Linear)]
    heard, logits = glance(net, split, [*linear, *(path + INPUT for path in linear)])
    for path in reversed([path for path in heard if not path.endswith(INPUT)]):
        module: Any = net.get_submodule(path)
        inputs, output = heard[path + INPUT], heard[path]
        bias = module.bias if module.bias is not None else torch.zeros(module.out_features)
        found = ReadOut(path, module.weight.detach().cpu(), bias.detach().cpu())
        whole = torch.cat([torch.zeros_like(output), output], 1) if output.shape[1:] == (1,) else output
        if inputs.ndim == 2 and whole.shape == logits.shape and torch.allclose(whole, logits, 1e-5, 1e-6):
            return found
    raise UsageError(
        "the network has no read-out: no linear layer puts out its logits; name the layer that is meant with --layer"
    )


def layers_or_readout(net: nn.Module, split: Any, patterns: Sequence[str] = ()) -> tuple[list[str], ReadOut | None]:
    """The layers that match ``patterns`` or, without any, what the read-out is given; and the read-out, if there is one.

    Raises:
        UsageError: a pattern matches nothing; or there is none, and the network has no read-out.
    """
    try:
        head: ReadOut | None = readout(net, split)
    except UsageError:
        if not patterns:
            raise
        head = None
    return matching(net, patterns) if patterns or head is None else [head.layer], head
