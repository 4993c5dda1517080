"""The Triton form of the class-gathered product against the plain one.

Without a GPU it runs in Triton's interpreter, in a child process: ``python test_gathered_triton.py``.
"""

import os
import subprocess
import sys

import pytest
import torch

from widenet_decompose._gathered_torch import gathered_torch

SHAPES = [(1, 1, 1, 1), (64, 40, 16, 7), (65, 30, 17, 5), (130, 9, 33, 9), (0, 4, 3, 2)]
"""(N, F, C, k): one product, whole tiles, ragged ones, all features, no sample; at most 9 programs."""


def problem(n, features, classes, k, device="cpu"):
    """Arguments of a form."""
    generator = torch.Generator().manual_seed(n)
    x, weights = torch.randn(n, features, generator=generator), torch.randn(classes, k, generator=generator)
    indices = torch.rand(classes, features, generator=generator).argsort(1)[:, :k]
    return [part.to(device) for part in (x, indices, weights, torch.randn(classes, generator=generator))]


def test_triton_form_in_the_interpreter():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, __file__], check=True, env=environment)


def interpret():
    """Hold the products, and those of strided arguments and other dtypes, against the plain form."""
    from widenet_decompose._gathered_triton import gathered_triton

    for shape in SHAPES:
        given = problem(*shape)
        torch.testing.assert_close(gathered_triton(*given), gathered_torch(*given))
    x, indices, weights, bias = problem(20, 30, 18, 6)
    strided = x[::2, :15].T.contiguous().T, (indices // 2)[:, ::2], weights.T.contiguous().T[:, ::2], bias.repeat(2, 1).T[:, 0]
    torch.testing.assert_close(gathered_triton(*strided), gathered_torch(*strided))
    doubles = x.double(), indices.int(), weights.double(), bias.double()
    torch.testing.assert_close(gathered_triton(*doubles), gathered_torch(x, indices, weights, bias))


def test_kernel_compiles_for_hopper(tmp_path, monkeypatch):
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from widenet_decompose import _gathered_triton as kernels

    kernel = kernels.add_products
    sizes = {"rows": kernels.ROWS, "columns": kernels.CLASSES}
    types = {"indices": "*i32", **dict.fromkeys(("n", "classes", "k"), "i32"), **dict.fromkeys(sizes, "constexpr")}
    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    if triton.__version__ < "3.3":  # which wanted no constants here
        signature = {name: kind for name, kind in signature.items() if kind != "constexpr"}
    source = ASTSource(kernel, signature, sizes)
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32), options=kernels.OPTIONS).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [*SHAPES, (1024, 2048, 1000, 50)], ids=str)
def test_same_on_the_gpu(shape):
    from widenet_decompose._gathered_triton import gathered_triton

    torch.testing.assert_close(gathered_triton(*problem(*shape, "cuda")).cpu(), gathered_torch(*problem(*shape)))


if __name__ == "__main__":
    interpret()
