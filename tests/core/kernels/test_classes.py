"""The grouping of equal units against a dict of their bytes."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unit_cases import form_of, masks, planted, reference, strided

from widenet.kernels import classes as module
from widenet.kernels.classes import classes, occupied

SHAPES = [[(1, 784)], [(300, 1)], [(1, 27), (128, 9)], [(1, 300), (65, 1), (10, 49)]]
BOTH = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])


@settings(deadline=None, max_examples=200)
@given(parts=masks(), compiled=st.booleans(), apart=st.booleans())
def test_matches_a_dict_of_bytes(parts, compiled, apart):
    given_ = [strided(part) if apart else part for part in parts]
    with form_of(compiled):
        found = classes(given_)
        marked = [occupied(part) for part in given_]
    assert found.dtype == torch.int64
    assert found.tolist() == reference(parts)
    for part, units in zip(parts, marked, strict=True):
        assert units.dtype == torch.bool
        assert units.tolist() == [bool(part[:, u].sum()) for u in range(part.shape[1])]


@settings(deadline=None, max_examples=50)
@given(parts=masks(), compiled=st.booleans(), data=st.data())
def test_same_classes_whatever_the_order(parts, compiled, data):
    order = torch.tensor(data.draw(st.permutations(range(parts[0].shape[1]))), dtype=torch.int64)
    with form_of(compiled):
        found, moved = classes(parts), classes([part[:, order] for part in parts])
    pairs = set(zip(found[order].tolist(), moved.tolist(), strict=True))
    assert len(pairs) == len(set(found.tolist())) == len(set(moved.tolist()))


@BOTH
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_planted_duplicates_are_found_and_one_bit_tells_apart(shapes, compiled):
    picks = [*range(40), *range(0, 40, 4)]
    parts = planted(shapes, picks, seed=0)
    with form_of(compiled):
        assert classes(parts).tolist() == picks
        for part in parts:
            part[-1, -1, -1] ^= True
            assert classes(parts).tolist() == [*picks[:-1], 40]
            part[-1, -1, -1] ^= True


@BOTH
def test_units_without_bits_are_one_class(compiled):
    mask = torch.zeros(1, 6, 400, dtype=torch.bool)
    mask[0, [1, 4], 399] = True
    with form_of(compiled):
        for part in (mask, mask.permute(2, 1, 0).contiguous(), mask.reshape(1, 6, 100, 4).movedim(2, 0).flatten(1, 2)):
            assert classes([part]).tolist() == [0, 1, 0, 0, 1, 0]
            assert occupied(part).tolist() == [False, True, False, False, True, False]


@BOTH
@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 3, 0), (0, 3, 0)], ids=str)
def test_no_bits_tell_no_units_apart(shape, compiled):
    empty, bits = torch.zeros(shape, dtype=torch.bool), torch.tensor([[[1], [0], [1]]], dtype=torch.bool)
    with form_of(compiled):
        assert classes([empty]).tolist() == [0, 0, 0]
        assert not occupied(empty).any()
        assert classes([empty, bits]).tolist() == [0, 1, 0]


@BOTH
def test_no_units(compiled):
    with form_of(compiled):
        for shape in [(3, 0, 2), (0, 0, 0)]:
            assert classes([torch.zeros(shape, dtype=torch.bool)]).tolist() == []
            assert occupied(torch.zeros(shape, dtype=torch.bool)).tolist() == []


@BOTH
def test_a_bit_in_another_part_is_another_bit(compiled):
    parts = torch.eye(2, dtype=torch.bool).reshape(2, 1, 2, 1)
    with form_of(compiled):
        assert classes(list(parts)).tolist() == [0, 1]
        assert classes(list(parts | parts.flip(0))).tolist() == [0, 0]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("hash_", [lambda units: units * 0, lambda units: units % 2], ids=["one", "two"])
def test_colliding_hashes_change_no_class(shapes, hash_, monkeypatch):
    numba = pytest.importorskip("widenet.kernels._classes_numba")
    parts = planted(shapes, [*range(20), *range(20)], seed=1)
    hashes = hash_(torch.arange(40)).numpy().astype("uint64")
    monkeypatch.setattr(numba, "hashes", lambda arrays: hashes)
    assert numba.classes_numba(parts) is None
    with form_of(True):
        assert classes(parts).tolist() == [*range(20), *range(20)]


@settings(deadline=None)
@given(shapes=st.sampled_from(SHAPES), data=st.data())
def test_one_bit_is_enough_to_notice_a_collision(shapes, data):
    numba = pytest.importorskip("widenet.kernels._classes_numba")
    parts = planted(shapes, [0] * 5, seed=2)
    hashes = torch.zeros(5).numpy().astype("uint64")
    part = data.draw(st.sampled_from(parts))
    bit = data.draw(st.tuples(*(st.integers(0, size - 1) for size in part.shape)))
    with mock.patch.object(numba, "hashes", lambda arrays: hashes):
        assert numba.classes_numba(parts).tolist() == [0] * 5
        part[bit] ^= True
        assert numba.classes_numba(parts) is None


def test_hashes_alone_settle_many_units():
    numba = pytest.importorskip("widenet.kernels._classes_numba")
    picks = [*range(3000), *range(3000)]
    assert numba.classes_numba(planted([(1, 64), (70, 1)], picks, seed=3)).tolist() == picks


def test_units_that_differ_have_different_hashes():
    """Were words shared between positions or parts, sums of few bits would meet."""
    numba = pytest.importorskip("widenet.kernels._classes_numba")
    pairs = torch.zeros(120, 16, dtype=torch.bool)
    pairs[torch.arange(120)[:, None], torch.combinations(torch.arange(16))] = True
    forms = [
        [pairs[None]],
        [pairs.T[:, :, None].contiguous()],
        [pairs.reshape(120, 4, 4).movedim(1, 0).contiguous()],
        [pairs[None, :, :7].contiguous(), pairs.T[7:, :, None].contiguous()],
    ]
    found = [numba.hashes([part.numpy().view("uint8") for part in parts]) for parts in forms]
    assert len(set(found[0].tolist())) == 120
    assert all((hashes == found[0]).all() for hashes in found)  # the word depends on the position alone


def test_small_masks_load_no_compiled_loops(monkeypatch):
    monkeypatch.setattr(module, "compiled", lambda name: pytest.fail(f"{name} is not needed"))
    mask = torch.eye(8, dtype=torch.bool)[None]
    assert classes([mask]).tolist() == list(range(8))
    assert occupied(mask).all()


BITS = torch.zeros(2, 3, 4, dtype=torch.bool)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ([], ValueError, "at least one part"),
        ([BITS.int()], TypeError, r"parts\[0\] must be a bool tensor, not torch.int32"),
        ([BITS, BITS[0]], ValueError, r"parts\[1\] must be \(a, units, b\), not of shape \(3, 4\)"),
        ([BITS, BITS.movedim(1, 0)], ValueError, r"parts\[1\] must have 3 units like parts\[0\], not 2"),
        ([BITS, BITS.to("meta")], ValueError, r"parts\[1\] must be on cpu like parts\[0\], not on meta"),
    ],
    ids=["none", "dtype", "shape", "units", "device"],
)
def test_bad_input_is_named(parts, error, message):
    with pytest.raises(error, match=message):
        classes(parts)


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [(BITS.float(), TypeError, "must be a bool tensor"), (BITS[0], ValueError, r"must be \(a, units, b\)")],
    ids=["dtype", "shape"],
)
def test_occupied_names_bad_input(part, error, message):
    with pytest.raises(error, match=message):
        occupied(part)
