"""The selection from several tensors against one stable sort of them all."""

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from score_cases import FLOATS, KINDS, LAYOUTS, form_of, lay_out, numbers, reference_together, same_bits

from widenet.kernels import _select_numba, select
from widenet.kernels.select import Hint, topk_mask, topk_together

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = [(64, 30, 3, 3), (5, 7), (40_000,), (), (10, 256)]


def select_together(scores, keep, floor=0.0, hint=None):
    masks = [torch.empty_like(tensor, dtype=torch.bool) for tensor in scores]
    topk_together(scores, keep, masks=masks, floor=floor, hint=hint)
    return masks


def same(masks, others):
    return all(torch.equal(*pair) for pair in zip(masks, others, strict=True))


@st.composite
def groups(draw):
    """Draw tensors of one dtype and of magnitudes so far apart that floors decide."""
    dtype, seed = draw(st.sampled_from(FLOATS)), draw(SEEDS)
    shapes = draw(st.lists(st.lists(st.integers(0, 6), max_size=4).map(tuple), min_size=1, max_size=5))
    return [
        lay_out(
            (numbers(draw(st.sampled_from(KINDS)), shape, seed + i) * draw(st.sampled_from([1, 1, 1.01, 0.1, 30]))).to(dtype),
            draw(st.sampled_from(LAYOUTS)),
        )
        for i, shape in enumerate(shapes)
    ]


@settings(deadline=None, max_examples=400)
@given(
    scores=groups(),
    keep=st.one_of(st.sampled_from([0, 0.3, 0.5, 0.9, 1]), st.floats(0, 1)),
    floor=st.one_of(st.just(0), st.floats(0, 1)),
    compiled=st.booleans(),
)
def test_matches_a_stable_sort(scores, keep, floor, compiled):
    before = [tensor.clone() for tensor in scores]
    floor *= keep  # so that it is seldom too much
    wanted = reference_together(scores, keep, floor)
    with form_of(compiled):
        if wanted is None:
            with pytest.raises(ValueError, match="a floor of"):
                select_together(scores, keep, floor)
        else:
            assert same(select_together(scores, keep, floor), wanted)
    assert all(same_bits(*pair) for pair in zip(scores, before, strict=True))


@settings(deadline=None, max_examples=100)
@given(scores=groups(), keep=st.floats(0, 1), compiled=st.booleans())
def test_is_the_mask_of_the_joined_scores(scores, keep, compiled):
    with form_of(compiled):
        masks = select_together(scores, keep)
    joined = topk_mask(torch.cat([tensor.flatten() for tensor in scores]), keep)
    assert torch.equal(torch.cat([mask.flatten() for mask in masks]), joined)


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, kind=st.sampled_from(KINDS), step=st.sampled_from([0.001, 0.03, 1]), floor=st.sampled_from([0, 0.2]))
def test_a_hint_changes_no_result_on_a_random_walk(seed, kind, step, floor):
    source = torch.Generator().manual_seed(seed)
    scores = [numbers(kind, shape, seed + i) * (i % 3 + 0.2) for i, shape in enumerate([(9, 7, 3, 3), (50,), (30, 40)])]
    hint, keep = Hint(), 0.5
    for _ in range(6):
        assert same(select_together(scores, keep, floor, hint), reference_together(scores, keep, floor))
        scores = [tensor + step * torch.randn(tensor.shape, generator=source) for tensor in scores]
        keep += 0.02 * step


def test_a_hint_saves_every_histogram(monkeypatch):
    scores = [numbers("normal", shape, i) * (1, 1, 0.01, 1, 1)[i] for i, shape in enumerate(SHAPES)]
    hint = Hint()
    wanted = select_together(scores, 0.3, 0.1, hint)
    assert int(wanted[2].sum()) == 4_000  # the floor of a large tensor
    monkeypatch.setattr(_select_numba, "_threshold", None)
    assert same(select_together(scores, 0.3, 0.1, hint), wanted)


@pytest.mark.parametrize("centre", [0, 1, 0x3E000000, 0x7F7FFFFF, 0x7F800001])
@pytest.mark.parametrize("width", [1, 1 << 24])
def test_a_hint_may_be_far_off(centre, width):
    scores = [numbers("nans", (40, 30), i) for i in range(2)]
    for keep in (0.3, 0.9):
        hint = Hint()
        hint.centre, hint.width, hint.bound = centre, width, frozenset({1})
        assert same(select_together(scores, keep, 0.1, hint), reference_together(scores, keep, 0.1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_large_tensors_with_and_without_floors(kind, dtype):
    scores = [(numbers(kind, shape, i) * (1, 0.2, 0.9, 0.01, 0.02)[i]).to(dtype) for i, shape in enumerate(SHAPES)]
    scores[0] = lay_out(scores[0], "channels_last")
    for keep, floor in ((0.3, 0), (0.3, 0.1), (0.7, 0.69)):
        assert same(select_together(scores, keep, floor), reference_together(scores, keep, floor)), (keep, floor)


def test_floors_alone_may_use_up_the_budget(form):
    scores = [numbers("normal", (300,), 1), numbers("levels", (100,), 2) * 9]
    masks = select_together(scores, 0.25, 0.25)
    assert [int(mask.sum()) for mask in masks] == [75, 25]
    assert same(masks, [topk_mask(tensor, 0.25) for tensor in scores])


def test_a_floor_keeps_at_least_one(form):
    scores = [numbers("normal", (1000,)), torch.zeros(3), torch.zeros(()), torch.zeros(0)]
    masks = select_together(scores, 0.1, 1e-30)
    assert [mask.flatten().tolist() for mask in masks[1:]] == [[False, False, True], [True], []]
    assert masks[0].count_nonzero() == 1004 - 2 - int(0.9 * 1004) - 1 + 1


def test_equals_go_from_the_front(form):
    masks = select_together([torch.ones(4, 5), -torch.ones(6), torch.ones(20)], 0.5)
    assert [int(mask.sum()) for mask in masks] == [0, 3, 20]
    assert masks[1].tolist() == [False] * 3 + [True] * 3


@pytest.mark.parametrize("keep", [0, 1, 0.0, 1.0, True])
def test_all_or_nothing_selects_nothing(keep, monkeypatch):
    monkeypatch.setattr(select, "select_torch", None)
    masks = select_together([torch.full(shape, math.nan) for shape in [(), (0,), (3, 2)]], keep)
    assert all((mask == bool(keep)).all() for mask in masks)
    assert all((mask == 1).all() for mask in select_together([torch.ones(3), torch.ones(2)], 1, 0.5))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_of_any_strides_are_filled(layout, form):
    scores = [numbers("levels", (8, 4, 3, 3), i) for i in range(3)]
    masks = [lay_out(torch.ones(8, 4, 3, 3, dtype=torch.bool), layout) for _ in scores]
    topk_together(scores, 0.4, masks=masks, floor=0.3)
    assert same(masks, reference_together(scores, 0.4, 0.3))


def test_joins_only_a_few_scores():
    scores = [numbers("normal", shape, i) for i, shape in enumerate(SHAPES)]
    total = sum(tensor.numel() for tensor in scores)
    with mock.patch.object(np, "concatenate", wraps=np.concatenate) as joined:
        select_together(scores, 0.5, 0.1)
    assert 0 < max(sum(map(len, call.args[0])) for call in joined.call_args_list) < total / 8


def test_keeps_no_graph():
    scores = [torch.randn(9, 9, requires_grad=True) for _ in range(2)]
    assert not any(mask.requires_grad for mask in select_together(scores, 0.5))


@pytest.mark.parametrize("name", ["keep", "floor"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
@pytest.mark.parametrize("shape", [(3,), (0,)])
def test_rejects_fractions(name, value, shape):
    with pytest.raises(ValueError, match=f"{name} must be from 0 to 1"):
        select_together([torch.ones(shape)], **{"keep": 0.5, name: value})


def test_rejects_floors_above_the_budget():
    with pytest.raises(ValueError, match=r"a floor of 0\.6 keeps 12 scores in all, which is more than keep=0\.5 does: 10"):
        select_together([torch.ones(10), torch.ones(10)], 0.5, 0.6)
    with pytest.raises(ValueError, match=r"keeps 3 scores in all, which is more than keep=0\.5 does: 2"):  # by rounding up
        select_together([torch.ones(1)] * 3, 0.5, 0.5)


@pytest.mark.parametrize(("scores", "masks"), [([], []), ([torch.ones(3)], []), ([], [torch.ones(3)])])
def test_rejects_other_numbers_of_masks(scores, masks):
    with pytest.raises(ValueError, match=f"not {len(scores)} and {len(masks)}"):
        topk_together(scores, 0.5, masks=masks)


def test_rejects_other_tensors():
    ones, mask = torch.ones(3), torch.ones(3, dtype=torch.bool)
    cases = [
        (TypeError, r"scores\[1\] must be a float tensor", mask, mask),
        (TypeError, r"scores\[1\] must be torch\.float32 like the first", ones.double(), mask),
        (ValueError, r"scores\[1\] must be on cpu like the first", ones.to("meta"), mask),
        (TypeError, r"masks\[1\] must be torch\.bool", ones, ones),
        (ValueError, r"masks\[1\] must be \(3,\) on cpu like scores\[1\], not \(2,\) on cpu", ones, mask[:2]),
        (ValueError, r"masks\[1\] must be .* like scores\[1\], not \(3,\) on meta", ones, mask.to("meta")),
    ]
    for error, message, second, marks in cases:
        with pytest.raises(error, match=message):
            topk_together([ones, second], 0.5, masks=[mask, marks])
