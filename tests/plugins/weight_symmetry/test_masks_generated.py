"""Random masks: how many weights they keep, where, and that all draws come from the generator."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet_weight_symmetry.masks import KINDS, PER_NEURON, generate, kept, wrapped_diagonal

GOLDEN = Path(__file__).parents[2] / "golden" / "weight_symmetry" / "fill_diagonal_wrap.json"
DIAGONALS = json.loads(GOLDEN.read_text())
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 12)) | st.tuples(*[st.integers(1, 4)] * 4)
SPARSITIES = st.floats(0, 1) | st.sampled_from([0, 0.1, 0.5, 0.55, 0.9, 0.99, 1])
SEEDS = st.integers(0, 2**32)
ALIVE = "per-neuron-no-input-ablation"


def draw(kind, shape, sparsity, seed=0, **options):
    mask = generate(kind, shape, sparsity, torch.Generator().manual_seed(seed), **options)
    assert mask.shape == shape
    assert mask.dtype == torch.bool
    assert mask.is_contiguous()
    return mask


@pytest.mark.parametrize("shape", DIAGONALS)
def test_the_wrapped_diagonal_as_recorded(shape):
    inputs, out = json.loads(shape.replace("(", "[").replace(")", "]"))
    assert wrapped_diagonal(out, inputs).T.int().tolist() == DIAGONALS[shape]


@pytest.mark.parametrize(
    ("n", "sparsity", "count"),
    [(100, 0.55, 45), (784, 0.9, 78), (784, 0.99, 7), (32, 0.99, 0), (5, 0.9, 0), (7, 0, 7), (7, 1, 0)],
)
def test_kept(n, sparsity, count):
    assert kept(n, sparsity) == count


@given(shape=SHAPES, sparsity=SPARSITIES, seed=SEEDS)
def test_a_random_mask_keeps_its_number(shape, sparsity, seed):
    assert draw("random", shape, sparsity, seed).sum() == kept(math.prod(shape), sparsity)


@given(shape=SHAPES, sparsity=SPARSITIES, seed=SEEDS)
def test_per_neuron_masks_keep_their_number_in_every_row(shape, sparsity, seed):
    rows = draw("per-neuron", shape, sparsity, seed).flatten(1)
    assert (rows.sum(1) == kept(rows.shape[1], sparsity)).all()


@given(shape=SHAPES, sparsity=SPARSITIES, seed=SEEDS)
def test_symmetric_masks_are_one_row_for_all(shape, sparsity, seed):
    rows = draw("symmetric", shape, sparsity, seed).flatten(1)
    assert (rows == rows[0]).all()
    assert rows[0].sum() == kept(rows.shape[1], sparsity)


def dealt(out, inputs):
    """Inputs dealt to each neuron in turn."""
    return torch.tensor([len(range(neuron, inputs, out)) for neuron in range(out)])


@given(shape=SHAPES, sparsity=SPARSITIES, seed=SEEDS)
def test_no_input_is_ablated_at_any_sparsity(shape, sparsity, seed):
    rows = draw(ALIVE, shape, sparsity, seed).flatten(1)
    out, inputs = rows.shape
    assert rows.any(0).all()
    wanted = int((torch.tensor(1 - sparsity, dtype=torch.float32) * inputs).round())  # half to even
    off = rows.sum(1) - dealt(out, inputs).clamp(min=wanted)
    near_half = abs((1 - sparsity) * inputs % 1 - 0.5) < 1e-4  # where float32 may round the other way
    assert (off.abs() <= near_half).all()


@pytest.mark.parametrize(
    ("out", "inputs", "sparsity", "total"),
    [
        *((32, 784, 1, 784), (64, 32, 1, 32), (32, 784, 0.5, 392 * 32), (32, 784, 0, 784 * 32)),
        *((32, 784, 0.25, 588 * 32), (64, 32, 0.25, 24 * 64)),
    ],
)
def test_totals_that_the_published_tests_pin(out, inputs, sparsity, total):
    mask = draw(ALIVE, (out, inputs), sparsity)
    assert mask.sum() == total
    if inputs > out:
        assert mask.any(1).all()


def test_which_neuron_an_input_is_dealt_to_is_random():
    first, second = (draw(ALIVE, (4, 40), 1, seed) for seed in (1, 2))
    assert not torch.equal(first, second)
    assert not torch.equal(first, wrapped_diagonal(4, 40))


@given(shape=SHAPES, sparsity=SPARSITIES, seed=SEEDS, group=st.integers(1, 15))
def test_n_of_m_keeps_its_number_in_every_group_of_channels_last_memory(shape, sparsity, seed, group):
    mask = draw("n-m", shape, sparsity, seed, group=group)
    rows = mask.movedim(1, -1).flatten(1)
    for start in range(0, rows.shape[1], group):
        part = rows[:, start : start + group]
        assert (part.sum(1) == kept(part.shape[1], sparsity)).all()


@pytest.mark.parametrize(("sparsity", "of_4"), [(0, 4), (0.5, 2), (0.6, 1), (0.75, 1), (0.8, 0), (1, 0)])
def test_n_of_m_keeps_m_less_its_share_rounded_up(sparsity, of_4):
    assert (draw("n-m", (6, 8, 3, 3), sparsity).sum(1) == 2 * of_4).all()


@pytest.mark.parametrize("sparsity", [0, 0.3, 0.5, 0.9, 1])
def test_bernoulli_masks_keep_their_mean(sparsity):
    mask = draw("bernoulli", (300, 400), sparsity).double()
    spread = math.sqrt(sparsity * (1 - sparsity) / mask.numel())
    assert abs(mask.mean() - (1 - sparsity)) <= 5 * spread
    assert not 0 < sparsity < 1 or len(mask.sum(1).unique()) > 20


@given(shape=SHAPES, kind=st.sampled_from(PER_NEURON), sparsity=SPARSITIES, fan_in=st.integers(1, 40))
def test_fan_in_in_place_of_a_sparsity(shape, kind, sparsity, fan_in):
    rows = draw(kind, shape, sparsity, fan_in=fan_in).flatten(1)
    out, inputs = rows.shape
    wanted = torch.full((out,), min(fan_in, inputs))
    assert torch.equal(rows.sum(1), torch.maximum(wanted, dealt(out, inputs)) if kind == ALIVE else wanted)
    assert kind != ALIVE or rows.any(0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_is_kept_equally_often(kind):
    source = torch.Generator().manual_seed(0)
    masks = torch.stack([generate(kind, (4, 6), 0.5, source) for _ in range(400)]).double()
    # n-m keeps 2 of 4 and 1 of the 2 that are left over: half of each, as the others
    assert (masks.mean(0) - 0.5).abs().max() < 0.13  # five standard deviations


@pytest.mark.parametrize("kind", KINDS)
def test_all_draws_come_from_the_generator(kind):
    torch.manual_seed(1)
    first, again, other = (draw(kind, (16, 30), 0.6, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(1)
    untouched = torch.rand(3)
    torch.manual_seed(1)
    draw(kind, (16, 30), 0.6)
    assert torch.equal(torch.rand(3), untouched)


def test_neurons_differ_where_they_may():
    for kind in ("random", "per-neuron", ALIVE, "bernoulli", "n-m"):
        assert len(draw(kind, (16, 30), 0.5).unique(dim=0)) > 10, kind


@pytest.mark.parametrize("kind", KINDS)
def test_all_and_nothing(kind):
    assert draw(kind, (5, 7), 0).all()
    assert draw(kind, (5, 7), 1).sum() == (7 if kind == ALIVE else 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "per_neuron"}, "unknown kind of mask 'per_neuron'; choose one of symmetric, random"),
        ({"sparsity": -0.1}, "sparsity must be from 0 to 1, not -0.1"),
        ({"sparsity": 1.1}, "sparsity must be from 0 to 1"),
        ({"sparsity": math.nan}, "sparsity must be from 0 to 1"),
        ({"shape": (5,)}, r"a mask needs a shape \(out, in, ...\) of at least 1 each, not \(5,\)"),
        ({"shape": (5, 0)}, "a mask needs a shape"),
        ({"group": 0}, "group must be at least 1 input, not 0"),
        ({"fan_in": 0}, "fan_in 0 for per-neuron: give at least 1"),
        ({"fan_in": 3, "kind": "random"}, "fan_in 3 for random: .* only to per-neuron and per-neuron-no-input-ablation"),
    ],
)
def test_bad_input(changed, message):
    arguments = {"kind": "per-neuron", "shape": (5, 7), "sparsity": 0.5}
    with pytest.raises(ValueError, match=message):
        generate(**{**arguments, **changed}, generator=torch.Generator())
