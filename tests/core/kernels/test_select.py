"""The selection against recorded masks and against a stable sort."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from score_cases import FLOATS, KINDS, LAYOUTS, form_of, lay_out, numbers, reference, same_bits

from widenet.kernels import select
from widenet.kernels.select import Hint, topk_mask, topk_masked

GOLDEN = Path(__file__).parents[2] / "golden" / "supermask"
RECORD = json.loads((GOLDEN / "a_getsubnet.json").read_text())


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_recorded_masks(case, form):
    with np.load(GOLDEN / "a_getsubnet.npz") as arrays:
        scores = torch.from_numpy(arrays[f"{case['name']}/scores"]).to(getattr(torch, case["dtype"].split(".")[1]))
        recorded = torch.from_numpy(arrays[f"{case['name']}/mask"])
    keep = case["k"]
    if not 0 <= keep <= 1:
        with pytest.raises(ValueError, match="keep"):
            topk_mask(scores, keep)
        return
    if "channels_last" in case["name"]:  # where the recorded code failed to make a mask
        scores = scores.contiguous(memory_format=torch.channels_last)
        recorded = reference(scores, keep)
    mask = topk_mask(scores, keep)
    assert mask.dtype == torch.bool
    assert mask.sum() == recorded.bool().sum()
    if case["name"].startswith(("ties_quantised", "ties_large")):  # recorded with an unstable sort
        threshold = scores.abs()[mask].min()
        assert mask[scores.abs() > threshold].all()
        assert not mask[scores.abs() < threshold].any()
        recorded = reference(scores, keep)
    assert torch.equal(mask, recorded.bool())


def test_recorded_counts():
    scores = torch.rand(max(row[0] for row in RECORD["count_table"]["rows"]))
    assert len(RECORD["count_table"]["rows"]) == 361
    for n, keep, _, kept, *_ in RECORD["count_table"]["rows"]:
        assert topk_mask(scores[:n], keep).count_nonzero() == kept, (n, keep)


@settings(deadline=None, max_examples=300)
@given(
    kind=st.sampled_from(KINDS),
    shape=st.lists(st.integers(0, 9), max_size=4).map(tuple),
    dtypes=st.tuples(st.sampled_from(FLOATS), st.sampled_from(FLOATS)),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)),
    keep=st.one_of(st.sampled_from([0, 0.3, 0.5, 0.8, 0.9, 1]), st.floats(0, 1)),
    seed=st.integers(0, 2**32 - 1),
    compiled=st.booleans(),
)
def test_matches_a_stable_sort(kind, shape, dtypes, layouts, keep, seed, compiled):
    scores = lay_out(numbers(kind, shape, seed).to(dtypes[0]), layouts[0])
    weight = lay_out(numbers("special", shape, seed + 1).to(dtypes[1]), layouts[1])
    before = scores.clone()
    with form_of(compiled):
        mask = topk_mask(scores, keep)
        again, out = topk_masked(weight, scores, keep)
    assert torch.equal(mask, reference(scores, keep))
    assert torch.equal(again, mask)
    assert mask.count_nonzero() == scores.numel() - int((1 - keep) * scores.numel())
    assert same_bits(out, torch.where(mask, weight, torch.zeros_like(weight)))
    assert out.dtype == weight.dtype
    assert same_bits(scores, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("size", [1_001, 600_011])
def test_ties(kind, dtype, size):
    scores = numbers(kind, (size,)).to(dtype)
    for keep in (0.05, 0.5, 0.7):
        assert torch.equal(topk_mask(scores, keep), reference(scores, keep)), keep


def test_large_channels_last_with_ties():
    scores = lay_out(numbers("levels", (128, 521, 3, 3)), "channels_last")
    assert torch.equal(topk_mask(scores, 0.4), reference(scores, 0.4))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"])
def test_float8(name):
    scores = numbers("normal", (40, 30)).to(getattr(torch, name))
    mask, out = topk_masked(scores, scores, 0.3)
    assert torch.equal(mask, reference(scores.float(), 0.3))
    assert torch.equal(out.float(), scores.float() * mask)


def test_moves_with_a_permutation():
    scores = torch.linspace(-1, 2, 30_011, dtype=torch.float64)[torch.randperm(30_011)]
    order = torch.randperm(30_011)
    assert torch.equal(topk_mask(scores, 0.3)[order], topk_mask(scores[order], 0.3))


def test_threshold_is_strict_and_count_exact(form):
    scores = numbers("levels", (100, 41))
    mask = topk_mask(scores, 0.37)
    assert mask.count_nonzero() == scores.numel() - int((1 - 0.37) * scores.numel())
    assert scores[mask].abs().min() >= scores[~mask].abs().max()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (64, 3, 3, 3)])
@pytest.mark.parametrize("keep", [0, 1, 0.0, 1.0, True])
def test_all_or_nothing_selects_nothing(shape, keep, monkeypatch):
    monkeypatch.setattr(select, "select_torch", None)
    scores = torch.full(shape, math.nan)
    mask, out = topk_masked(scores, scores, keep)
    assert topk_mask(scores, keep).shape == mask.shape == shape
    assert (mask == bool(keep)).all()
    assert same_bits(out, scores if keep else torch.zeros(shape))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides_follow_the_input(layout):
    scores = lay_out(numbers("normal", (6, 5, 3, 3)), layout)
    weight = lay_out(numbers("normal", (6, 5, 3, 3), 1), layout)
    mask, out = topk_masked(weight, scores, 0.5)
    wanted = torch.empty_like(scores).stride()
    assert topk_mask(scores, 0.5).stride() == mask.stride() == out.stride() == wanted
    assert layout == "strided" or wanted == scores.stride()


@pytest.mark.parametrize("kind", KINDS)
def test_buffers_are_filled_in_place(kind, form):
    scores, weight = numbers(kind, (8, 4, 3, 3)), numbers("special", (8, 4, 3, 3), 1)
    wanted = topk_masked(weight, scores, 0.4)
    mask = lay_out(torch.ones(8, 4, 3, 3, dtype=torch.bool), "channels_last")
    out = lay_out(torch.ones(8, 4, 3, 3), "strided")
    assert topk_masked(weight, scores, 0.4, mask=mask, out=out) == (mask, out)
    assert torch.equal(mask, wanted[0])
    assert same_bits(out, wanted[1])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hint_changes_no_result(kind, layout, dtype, form):
    scores = lay_out(numbers(kind, (8, 4, 3, 3)).to(dtype), layout)
    weight = numbers("special", (8, 4, 3, 3), 1)
    hint = Hint()
    for keep in (0.4, 0.4, 0.41, 0.9, 0.01, 0.4):  # right guesses and wrong ones
        mask, out = topk_masked(weight, scores, keep, hint=hint)
        plain = topk_masked(weight, scores, keep)
        assert torch.equal(mask, plain[0])
        assert same_bits(out, plain[1])
        assert torch.equal(mask, reference(scores, keep))


def test_a_hint_follows_moving_scores():
    scores, weight = numbers("normal", (60_000,)), torch.ones(60_000)
    hint, centres = Hint(), set()
    for _ in range(8):
        mask, _ = topk_masked(weight, scores, 0.3, hint=hint)
        assert torch.equal(mask, reference(scores, 0.3))
        centres.add(hint.centre)
        scores *= 0.997
    assert len(centres) == 8


def test_keeps_no_graph():
    scores, weight = (torch.randn(9, 9, requires_grad=True) for _ in range(2))
    for tensor in (topk_mask(scores, 0.5), *topk_masked(weight, scores, 0.5), *topk_masked(weight * 2, scores * 2, 1)):
        assert not tensor.requires_grad
        assert tensor.grad_fn is None


@pytest.mark.parametrize("keep", [-0.1, 1.1, -1, 2, math.nan, math.inf])
def test_rejects_keep(keep):
    for call in (lambda: topk_mask(torch.ones(3), keep), lambda: topk_masked(torch.ones(3), torch.ones(3), keep)):
        with pytest.raises(ValueError, match="keep must be from 0 to 1"):
            call()


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.uint8, torch.complex64], ids=str)
def test_rejects_other_dtypes(dtype):
    ones, wrong = torch.ones(3), torch.ones(3, dtype=dtype)
    with pytest.raises(TypeError, match="scores must be a float tensor"):
        topk_mask(wrong, 0.5)
    with pytest.raises(TypeError, match="weight must be a float tensor"):
        topk_masked(wrong, ones, 0.5)
    with pytest.raises(TypeError, match=r"out must be torch\.float32"):
        topk_masked(ones, ones, 0.5, out=wrong)
    if dtype != torch.bool:
        with pytest.raises(TypeError, match=r"mask must be torch\.bool"):
            topk_masked(ones, ones, 0.5, mask=wrong)


@pytest.mark.parametrize("name", ["weight", "mask", "out"])
@pytest.mark.parametrize("other", [{"size": (4,)}, {"size": (3, 1)}, {"size": (3,), "device": "meta"}], ids=str)
def test_rejects_other_shapes_and_devices(name, other):
    arguments = {"weight": torch.ones(3), "scores": torch.ones(3), "keep": 0.5}
    arguments[name] = torch.ones(**other, dtype=torch.bool if name == "mask" else torch.float32)
    with pytest.raises(ValueError, match=f"{name} must be .* like scores"):
        topk_masked(**arguments)


def test_works_without_triton():
    code = (
        "import sys, torch; sys.modules['triton'] = None\n"
        "from widenet.kernels.select import topk_mask\n"
        "assert topk_mask(torch.arange(4.0), 0.5).tolist() == [False, False, True, True]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_works_where_numba_does_not_fit():
    code = (
        "import sys, torch; sys.modules['numba'] = None\n"
        "from widenet.kernels.select import topk_mask\n"
        "from widenet.kernels.straight import straight_through\n"
        "assert topk_mask(torch.arange(4.0), 0.5).tolist() == [False, False, True, True]\n"
        "assert straight_through(*[torch.full((2,), -2.0)] * 3).tolist() == [-4.0, -4.0]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
