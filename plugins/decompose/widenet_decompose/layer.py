"""The decomposed linear layer of Badola et al. 2023: every class reads a small set of the features, its own.

``logit[n, c] = bias[c] + sum over f in set(c) of x[n, f] weight[c, f]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from widenet.masks import version
from widenet_decompose._forms import Forms, dense
from widenet_decompose._sets import PADDING, Indices, padded_sets
from widenet_decompose.by_k import accuracy_by_k

__all__ = ["DecomposedLinear", "accuracy_by_k"]


class DecomposedLinear(nn.Module):
    """A linear layer whose classes each read their own features, trainable as ``final_weights`` of the original code are.

    Its state dict holds weights and indices, so that it loads into any layer of the same sizes; the original's had no indices.
    Where a gradient is wanted, and inside ``torch.compile`` and exporters, it is the dense product with zeros outside the sets;
    otherwise the fastest form for the shape, prepared once and anew when weights have changed (a change made through
    ``tensor.data`` goes unnoticed). Forms differ by rounding; where features are not finite, the dense one spreads NaN.

    Args:
        linear: the layer that is decomposed, F features to C classes; its weights are copied.
        indices: the features of each class: integers (C, k), or a bool mask (C, F) whose rows may keep different numbers of
            features. A class that keeps none is possible in a mask alone; its logit is its bias.

    Attributes:
        weight: parameter (C, k_max); zero, and with zero gradient, where a set is smaller than the largest.
        bias: parameter (C,), or None as in ``linear``.
        indices: int64 buffer (C, k_max), -1 where a set is smaller than the largest.

    Raises:
        ValueError: there is not one set a class, a set is empty or larger than F, an index is out of range or twice in a set.
    """

    indices: Tensor
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, linear: nn.Linear, indices: Indices) -> None:
        super().__init__()
        weight = linear.weight.detach()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("indices", padded_sets(indices, *weight.shape).to(weight.device))
        chosen = weight.gather(1, self.indices.clamp_min(0))
        self.weight = nn.Parameter(chosen.masked_fill_(self.indices == PADDING, 0))
        self.register_parameter("bias", None if linear.bias is None else nn.Parameter(linear.bias.detach().clone()))
        self._forms: Forms | None = None
        self._formed_for: tuple[object, ...] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) -> (..., C), of the dtype of the weights."""
        weight, bias = self.weight, self.bias  # once: a look-up costs a tenth of a small product
        if (torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))) or _recorded():
            return F.linear(x, self.dense_weight(), bias)
        forms = self._refreshed(weight)
        if x.ndim == 2:
            return forms.product(x, bias)
        if x.shape[-1:] != (self.in_features,):
            return F.linear(x, forms.weight.t(), bias)  # which says what is wrong
        return forms.product(x.reshape(-1, self.in_features), bias).view(*x.shape[:-1], self.out_features)

    def dense_weight(self) -> Tensor:
        """The weight (C, F) with zeros outside the sets, anew; gradients flow through it."""
        return dense(self.indices, self.weight, self.in_features)

    def mask(self) -> Tensor:
        """The sets as a bool mask (C, F)."""
        kept = (self.indices != PADDING).to(torch.uint8)
        return dense(self.indices, kept, self.in_features).bool()

    @torch.no_grad()
    def to_linear(self) -> nn.Linear:
        """A plain layer with the same outputs: a copy of the dense weight, and of the bias."""
        made = nn.Linear(self.in_features, self.out_features, self.bias is not None, self.weight.device, self.weight.dtype)
        made.weight.copy_(self.dense_weight())
        if self.bias is not None:
            made.bias.copy_(self.bias)
        return made

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, k={self.weight.shape[1]}"
        return f"{sizes}, bias={self.bias is not None}"

    def _refreshed(self, weight: Tensor) -> Forms:
        """The forms of the weights as they are now."""
        indices = self.indices
        try:
            stamp = version(weight) + version(indices)
        except RuntimeError:  # tensors made in inference mode have no version
            return Forms(indices, weight, self.in_features)
        if self._forms is None or stamp != self._formed_for:
            self._forms, self._formed_for = Forms(indices, weight.detach(), self.in_features), stamp
        return self._forms

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._forms = None  # moved or converted weights may come to lie where others lay
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_forms": None}  # copies prepare their own


def _recorded() -> bool:
    """Whether calls are compiled, exported or transformed (vmap): then only plain operations on the parameters are safe."""
    tracing = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    return tracing or torch._C._functorch.peek_interpreter_stack() is not None
