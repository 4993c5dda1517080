"""The Triton form of the grouping against a dict of bytes and the compiled loops.

Without a GPU it runs in Triton's interpreter, in a child process: ``python test_classes_triton.py``.
"""

import os
import subprocess
import sys
from itertools import product
from unittest import mock

import pytest
import torch
from unit_cases import planted, reference

from widenet.kernels.classes import classes, occupied

SHAPES = [[(1, 70)], [(40, 1)], [(1, 9), (5, 9)], [(1, 600), (33, 1), (2, 49)]]
"""The (a, b) of parts: tiles along units, along bits, ragged ones, and several steps of one program."""


def test_triton_form_in_the_interpreter():
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, __file__], check=True, env=environment)


def interpret():
    """Hold hashes, grouping and verification against the other forms."""
    from widenet.kernels import _classes_triton as triton

    for shapes, density in product(SHAPES, (0, 0.1, 0.5)):
        parts = planted(shapes, [*range(11), *range(5), 10], 0, density)
        assert triton.classes_triton(parts).tolist() == reference(parts), (shapes, density)
    for shapes in SHAPES:
        parts = planted(shapes, [0] * 17, 0)
        with mock.patch.object(triton, "hashes", lambda parts: torch.zeros(17, dtype=torch.int64)):
            assert triton.classes_triton(parts).tolist() == [0] * 17, shapes
            for part, bit in [(parts[0], (0, 1, 0)), (parts[-1], (-1, -1, -1))]:
                part[bit] ^= True
                assert triton.classes_triton(parts) is None, (shapes, bit)
                part[bit] ^= True
    try:
        from widenet.kernels._classes_numba import hashes
    except ImportError:
        return
    for shapes in SHAPES:
        parts = [part.view(torch.uint8) for part in planted(shapes, list(range(17)), 1)]
        assert triton.hashes(parts).numpy().view("uint64").tolist() == hashes([part.numpy() for part in parts]).tolist()


@pytest.mark.parametrize(("units", "wide", "ones"), [(2048, 1, "b"), (128, 16, ""), (8, 256, "a")])
def test_kernels_compile_for_hopper(units, wide, ones, tmp_path, monkeypatch):
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from widenet.kernels import _classes_triton as kernels

    sizes = {"units": units, "wide": wide, "steps": kernels.STEPS, **dict.fromkeys(ones, 1)}  # Triton compiles a 1 in
    types = {"part": "*u8", "sums": "*i64", "firsts": "*i64", "differ": "*i32", "position": "i64"}
    types |= {"a": "i32", "n": "i32", "b": "i32"}
    for kernel in (kernels.add_words, kernels.compare):
        signature = {name: "constexpr" if name in sizes else types[name] for name in kernel.arg_names}
        if triton.__version__ < "3.3":  # which wanted no constants here
            signature = {name: kind for name, kind in signature.items() if kind != "constexpr"}
        source = ASTSource(kernel, signature, sizes)
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": False}).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shapes", [*SHAPES, [(1, 4096)], [(4096, 1)], [(1, 2304), (512, 9)]], ids=str)
def test_same_on_the_gpu(shapes):
    parts = planted(shapes, [*range(700), *range(0, 700, 3)], 0, 0.1)
    on_gpu = [part.cuda() for part in parts]
    assert torch.equal(classes(on_gpu).cpu(), classes(parts))
    assert all(torch.equal(occupied(there).cpu(), occupied(here)) for there, here in zip(on_gpu, parts, strict=True))


if __name__ == "__main__":
    interpret()
