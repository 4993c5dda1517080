"""The Triton form of the residual correlations against the plain one.

Without a GPU it runs in Triton's interpreter, in a child process: ``python test_residual_triton.py``.
"""

import os
import subprocess
import sys

import pytest
import torch

from widenet.kernels._residual_torch import residual_torch

SHAPES = [(1, 1, 0), (5, 3, 1), (70, 64, 5), (200, 130, 3), (90, 65, 25)]
"""(P, q, c): no pair, one tile, a whole tile, and ragged ones."""


def problem(width, q, c, device="cpu"):
    """Arguments of a form: a positive definite scatter, some of its columns in any order, and what a chunk explains."""
    generator = torch.Generator().manual_seed(width)
    x = torch.randn(width, 2 * width, generator=generator, dtype=torch.float64)
    outside = torch.randperm(width, generator=generator)[:q]
    y = torch.randn(c, q, generator=generator, dtype=torch.float64)
    roots = torch.rand(q, generator=generator, dtype=torch.float64) + 0.1
    return *(part.to(device) for part in (x @ x.T, outside, y, roots)), 0.3


def test_triton_form_in_the_interpreter():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, __file__], check=True, env=environment)


def interpret():
    """Hold the sums, and strided arguments, against the plain form."""
    from widenet.kernels._residual_triton import residual_triton

    for shape in SHAPES:
        given = problem(*shape)
        torch.testing.assert_close(residual_triton(*given), residual_torch(*given), rtol=1e-12, atol=1e-12)
    scatter, outside, y, roots, floor = problem(90, 65, 4)
    strided = residual_triton(scatter[::2, ::2], outside[:20] // 2, y.T.contiguous().T[:, :20], roots[:20], floor)
    plain = residual_torch(scatter[::2, ::2], outside[:20] // 2, y[:, :20], roots[:20], floor)
    torch.testing.assert_close(strided, plain, rtol=1e-12, atol=1e-12)


def test_kernel_compiles_for_hopper(tmp_path, monkeypatch):
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from widenet.kernels import _residual_triton as kernels

    kernel = kernels.add_tile
    types = {"outside": "*i64", "width": "i32", "q": "i32", "c": "i32", "tile": "constexpr"}
    signature = {name: types.get(name, "*fp64") for name in kernel.arg_names}
    if triton.__version__ < "3.3":  # which wanted no constants here
        signature = {name: kind for name, kind in signature.items() if kind != "constexpr"}
    source = ASTSource(kernel, signature, {"tile": kernels.TILE})
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32), options=kernels.OPTIONS).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [*SHAPES, (1024, 1000, 24), (2048, 1024, 1024)], ids=str)
def test_same_on_the_gpu(shape):
    from widenet.kernels._residual_triton import residual_triton

    torch.testing.assert_close(residual_triton(*problem(*shape, "cuda")).cpu(), residual_torch(*problem(*shape)))


if __name__ == "__main__":
    interpret()
