"""What a decomposed layer that is only evaluated keeps of its weights, and which form of the product it takes.

On a CPU, one thread, 2,048 features and 1,000 classes: gathering was faster than the dense product at one sample and 50 units a
class; bags were from two samples on, at 500 units by little. CSR products of torch.sparse were up to a third faster than bags
at 2 to 16 samples, slower at 64 or more, and there, at 500 units, slower than dense. Small layers are fastest dense.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from widenet.kernels.compiled import compiled
from widenet_decompose._gathered_torch import Bags, bagged_torch, gathered_torch
from widenet_decompose._sets import PADDING

LARGE = 1 << 17
"""Dense weights from which the other forms pay."""
GPU_UNITS = 32
"""An estimate, not measured: a GPU reads F / 20 gathered values from its L2 cache (4 bytes at 5 TB/s) in the time of the 2 F
operations that a logit costs in the dense product in float32 (50 TFLOP/s), so the kernel should win from F / 32 units down."""
GPU_LARGE = 1 << 29
"""Dense products from which that saves more (20 us) than the second launch costs; an estimate too."""


def dense(indices: Tensor, weights: Tensor, features: int) -> Tensor:
    """The weight (C, F) with zeros outside the sets, of padded indices and weights (C, k); gradients reach no padding."""
    kept = indices != PADDING
    zeros = weights.new_zeros(len(indices), features)
    return zeros.scatter_add(1, indices.clamp_min(0), torch.where(kept, weights, 0))


class Forms:
    """The forms of one state of a layer's weights, each made when it is first needed.

    Args:
        indices: int64 (C, k), padded.
        weights: (C, k).
        features: F.
    """

    def __init__(self, indices: Tensor, weights: Tensor, features: int) -> None:
        self._given = indices, weights
        self.features = features
        self._kept = int((indices != PADDING).sum())
        self._large = weights.dtype in (torch.float32, torch.float64) and len(indices) * features >= LARGE

    @cached_property
    def weight(self) -> Tensor:
        """The dense weight, transposed: (F, C)."""
        return dense(*self._given, self.features).t()

    @cached_property
    def _zeros(self) -> Tensor:
        """The bias (C,) of a layer without one."""
        weights = self._given[1]
        return weights.new_zeros(len(weights))

    @cached_property
    def _bags(self) -> Bags:
        return Bags.of(*self._given)

    @cached_property
    def _by_rank(self) -> tuple[Tensor, Tensor]:
        """Indices (int32) and weights (C, k), padded with weights of 0: transposes of contiguous (k, C)."""
        indices, weights = self._given
        weights = torch.where(indices != PADDING, weights, 0)
        return indices.clamp_min(0).int().T.contiguous().T, weights.T.contiguous().T

    def product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(N, F) -> (N, C), by the form that is fastest; no gradients."""
        if self._large and self._fits(x):
            out = self._sparse(x, self._zeros if bias is None else bias)
            if out is not None:
                return out
        return x @ self.weight if bias is None else torch.addmm(bias, x, self.weight)

    def _fits(self, x: Tensor) -> bool:
        """Whether no conversion, and no error message, is left to the dense product."""
        same = x.dtype == self._given[1].dtype and x.shape[1] == self.features
        return same and not torch.is_autocast_enabled(x.device.type)

    def _sparse(self, x: Tensor, bias: Tensor) -> Tensor | None:
        """The product by a form that leaves the zeros out, or None where the dense one is faster."""
        n, (classes, k) = len(x), self._given[0].shape
        if x.is_cuda:
            return self._on_gpu(x, bias)
        if not x.is_cpu or n == 0:
            return None
        if n == 1:
            return gathered_torch(x, *self._by_rank, bias) if 20 * k <= self.features else None
        return bagged_torch(x, self._bags, bias) if 4 * self._kept <= classes * self.features else None

    def _on_gpu(self, x: Tensor, bias: Tensor) -> Tensor | None:
        classes, k = self._given[0].shape
        small = len(x) * classes * self.features < GPU_LARGE or GPU_UNITS * k > self.features
        if small or x.dtype != torch.float32 or torch.get_float32_matmul_precision() != "highest":
            return None  # with TF32 the dense product is several times faster
        triton = compiled("_gathered_triton", __package__)
        return None if triton is None else triton.gathered_triton(x, *self._by_rank, bias)
