"""The Triton form of the selection against the PyTorch form.

Without a GPU it runs in Triton's interpreter, in a child process: ``python test_select_triton.py``.
"""

import os
import subprocess
import sys
from itertools import product

import pytest
import torch
from score_cases import FLOATS, KINDS, LAYOUTS, lay_out, numbers, reference, same_bits

from widenet.kernels._select_torch import FORMATS
from widenet.kernels.select import topk_masked


def test_triton_form_in_the_interpreter():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, __file__], check=True, env=environment)


def interpret():
    """Hold the Triton form against the PyTorch form."""
    from widenet.kernels._select_triton import select_triton

    settings = zip(FLOATS, (2500, 256, 1000, 3), (0.4, 0.5, 0.1, 0.9), strict=True)
    for kind, (dtype, n, keep) in product(KINDS, settings):
        scores = numbers(kind, (n,)).to(dtype)
        weight = numbers("special", (n,), 1).to(FLOATS[n % 4])
        mask, out = topk_masked(weight, scores, keep)
        marks, masked = torch.empty_like(mask), torch.empty_like(out)
        drop = n - int(mask.sum())
        select_triton(scores, drop, marks, masked, weight, block=256)
        assert torch.equal(marks, mask), (kind, n, keep, scores.dtype)
        assert same_bits(masked, out), (kind, n, keep, weight.dtype)
        select_triton(scores, drop, marks.logical_not_(), block=256)
        assert torch.equal(marks, mask), (kind, n, keep, scores.dtype)
    scores = lay_out(numbers("levels", (6, 5, 3, 3)), "channels_last")
    marks = torch.empty_like(scores, dtype=torch.bool)
    select_triton(scores, 100, marks, block=256)
    assert torch.equal(marks, reference(scores, 170 / 270))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_kernels_compile_for_hopper(dtype, tmp_path, monkeypatch):
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from widenet.kernels import _select_triton as kernels

    width = 8 * dtype.itemsize
    sizes = {"width": width, "infinity": FORMATS[dtype], "block": 4096}
    types = {"scores": f"*i{width}", "out": f"*i{width}", "weight": f"*i{width}", "mask": "*u8"}
    types |= {"tables": "*i32", "equals": "*i32", "ends": "*i32", "n": "i32", "drop": "i32"}
    jobs = [(kernels.count_digits, {"level": level}) for level in range(width // 8)]
    jobs += [(kernels.count_equal, {}), (kernels.write, {"weighted": True}), (kernels.write, {"weighted": False})]
    for kernel, constants in jobs:
        signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
        if triton.__version__ < "3.3":  # which wanted no constants here
            signature = {name: kind for name, kind in signature.items() if kind != "constexpr"}
        source = ASTSource(kernel, signature, {**sizes, **constants})
        options = {"num_warps": 8, "enable_fp_fusion": False}
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_same_on_the_gpu(kind, dtype):
    for layout, keep in zip(LAYOUTS, (0.1, 0.5, 0.7, 0.95), strict=True):
        scores = lay_out(numbers(kind, (128, 521, 3, 3)).to("cuda", dtype), layout)
        weight = numbers("special", scores.shape, 1).cuda()
        mask, out = topk_masked(weight, scores, keep)
        wanted = topk_masked(weight.cpu(), scores.cpu(), keep)
        assert torch.equal(mask.cpu(), wanted[0])
        assert same_bits(out.cpu(), wanted[1])


if __name__ == "__main__":
    interpret()
