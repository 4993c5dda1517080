"""The Triton form of counting similar units against the plain one.

Without a GPU it runs in Triton's interpreter, in a child process: ``python test_similarity_triton.py``.
"""

import os
import subprocess
import sys
from unittest import mock

import pytest
import torch

from widenet.kernels import _similarity_torch as plain
from widenet.kernels._columns import Columns

SHAPES = [(1, 3), (40, 1), (300, 130), (20, 257)]
"""(M, N): one sample, one unit, two blocks of samples, ragged tiles."""
FLOATS = [torch.bfloat16, torch.float64, torch.float32, torch.float16]
LEVELS = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0], dtype=torch.float64) - plain.ROUNDING


def layer(n, units, dtype=torch.float32, device="cpu"):
    """Factors and noise, copies (similar at a threshold of 1, in doubt in float32), and constant units."""
    generator = torch.Generator().manual_seed(units)
    x = torch.randn(n, 3, generator=generator) @ torch.randn(3, units, generator=generator)
    x += torch.randn(n, units, generator=generator) + 5
    x[:, units // 2 :: 7] = -2 * x[:, : len(x[0, units // 2 :: 7])]
    x[:, 5::50] = 3
    return x.to(device, dtype)


def test_triton_form_in_the_interpreter():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, __file__], check=True, env=environment)


def interpret():
    """Hold counts, layouts and a list that is too short against the plain form, which is made to work in float32 too."""
    from widenet.kernels._similarity_triton import similar_triton

    with mock.patch.object(plain, "SMALL", 0):
        for (n, units), dtype in zip(SHAPES, FLOATS, strict=True):
            columns = Columns.of(layer(n, units, dtype))
            assert torch.equal(similar_triton(columns, LEVELS), plain.similar_torch(columns, LEVELS)), (n, units)
    x = layer(70, 20)
    for strided in (x.T.contiguous().T, x[::2, ::2]):
        columns = Columns.of(strided)
        assert torch.equal(similar_triton(columns, LEVELS), plain.similar_torch(columns, LEVELS))
    columns = Columns.of(x)
    in_doubt = 2  # the copies
    assert similar_triton(columns, LEVELS, in_doubt - 1) is None
    assert torch.equal(similar_triton(columns, LEVELS, in_doubt), plain.similar_torch(columns, LEVELS))
    assert similar_triton(columns, LEVELS[:0]).shape == (0, 20)
    assert similar_triton(Columns.of(x[:, :0]), LEVELS).shape == (5, 0)


@pytest.mark.parametrize(("kind", "along"), [("fp32", 1), ("bf16", None)])
def test_kernel_compiles_for_hopper(kind, along, tmp_path, monkeypatch):
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from widenet.kernels import _similarity_triton as kernels

    kernel = kernels.count_tile
    sizes = {"tile": kernels.TILE, "deep": kernels.DEEP, "rows": kernels.ROWS}
    sizes |= {} if along is None else {"along": along}  # Triton compiles a 1 in
    types = {"x": f"*{kind}", "mean": "*fp64", "scale": "*fp64", "low": "*fp32", "high": "*fp32"}
    types |= {"counts": "*i32", "unsure": "*i32", "listed": "*i32"}
    signature = {name: "constexpr" if name in sizes else types.get(name, "i32") for name in kernel.arg_names}
    if triton.__version__ < "3.3":  # which wanted no constants here
        signature = {name: kind for name, kind in signature.items() if kind != "constexpr"}
    source = ASTSource(kernel, signature, sizes)
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32), options=kernels.OPTIONS).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (2000, 1500)], ids=str)
def test_same_on_the_gpu(shape, dtype):
    from widenet.kernels._similarity_triton import similar_triton

    x = layer(*shape, dtype)
    there = similar_triton(Columns.of(x.cuda()), LEVELS.cuda())
    assert torch.equal(there.cpu(), plain.similar_torch(Columns.of(x), LEVELS))


if __name__ == "__main__":
    interpret()
