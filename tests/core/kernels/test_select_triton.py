"""The Triton form of the selection against the PyTorch form.

Without a GPU it runs in Triton's interpreter, in a child process: ``python test_select_triton.py``.
"""

import os
import subprocess
import sys
from itertools import product

import pytest
import torch
from score_cases import FLOATS, KINDS, LAYOUTS, lay_out, numbers, reference, reference_together, same_bits

from widenet.kernels._bits import FORMATS
from widenet.kernels.select import topk_masked, topk_together


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
        kept = int(mask.sum())
        select_triton([(scores, marks, masked, weight)], kept, [0], block=256)
        assert torch.equal(marks, mask), (kind, n, keep, scores.dtype)
        assert same_bits(masked, out), (kind, n, keep, weight.dtype)
        select_triton([(scores, marks.logical_not_())], kept, [0], block=256)
        assert torch.equal(marks, mask), (kind, n, keep, scores.dtype)
    scores = lay_out(numbers("levels", (6, 5, 3, 3)), "channels_last")
    marks = torch.empty_like(scores, dtype=torch.bool)
    select_triton([(scores, marks)], 170, [0], block=256)
    assert torch.equal(marks, reference(scores, 170 / 270))


def interpret_together():
    """Hold the Triton form for several tensors against a sort."""
    from widenet.kernels._select_triton import select_triton

    settings = [(torch.float32, 0.4, 0.3), (torch.float16, 0.25, 0.25), (torch.bfloat16, 0.5, 0)]
    for kind, (dtype, keep, floor) in product(KINDS, settings):
        shapes = zip([(6, 5, 3, 3), (7,), (300,), (2, 2)], LAYOUTS, (1, 0.01, 1, 50), strict=True)
        scores = [lay_out((numbers(kind, shape, 3) * scale).to(dtype), layout) for shape, layout, scale in shapes]
        wanted = reference_together(scores, keep, floor)
        floors = [-int((1 - floor) * tensor.numel()) + tensor.numel() for tensor in scores]
        masks = [torch.ones(tensor.shape, dtype=torch.bool) for tensor in scores]
        select_triton(list(zip(scores, masks, strict=True)), sum(int(mask.sum()) for mask in wanted), floors, block=256)
        assert all(torch.equal(*pair) for pair in zip(masks, wanted, strict=True)), (kind, dtype)


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
    types |= {"tables": "*i32", "equals": "*i32", "ends": "*i32", "n": "i32", "drop": "i32", "first": "i32"}
    jobs = [(kernels.count_digits, {"level": level}) for level in range(width // 8)]
    jobs += [(kernels.count_equal, {}), (kernels.write, {"weighted": True}), (kernels.write, {"weighted": False})]
    for (kernel, constants), marked in product(jobs, (False, True)):
        signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
        if triton.__version__ < "3.3":  # which wanted no constants here
            signature = {name: kind for name, kind in signature.items() if kind != "constexpr"}
        source = ASTSource(kernel, signature, {**sizes, **constants, "marked": marked})
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("floor", [0, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_same_together_on_the_gpu(kind, floor):
    scores = [lay_out(numbers(kind, shape).cuda(), "transposed") for shape in [(128, 521, 3, 3), (10, 256), (3,), (700, 90)]]
    masks = [torch.empty_like(tensor, dtype=torch.bool) for tensor in scores]
    topk_together(scores, 0.3, masks=masks, floor=floor)
    wanted = reference_together([tensor.cpu() for tensor in scores], 0.3, floor)
    assert all(torch.equal(mask.cpu(), other) for mask, other in zip(masks, wanted, strict=True))


if __name__ == "__main__":
    interpret()
    interpret_together()
