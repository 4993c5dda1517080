"""Sparse initialisers: exact support, and moments by a fixed seed."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet_weight_symmetry.initialise import DISTRIBUTIONS, KINDS, MODES, SCALED, SHRUNK, sparse_init_
from widenet_weight_symmetry.masks import generate

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 12)) | st.tuples(*[st.integers(1, 4)] * 4)
TRUNCATED = tuple(kind for kind in KINDS if kind not in SCALED)
FORMS = [(kind, {}) for kind in TRUNCATED] + [
    (kind, {"mode": mode, "distribution": distribution}) for kind, mode, distribution in product(SCALED, MODES, DISTRIBUTIONS)
]


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(mask, kind, seed=0, **options):
    return sparse_init_(torch.full(mask.shape, math.nan), mask, kind, source(seed), **options)


def deviation(weight, mask):
    """Root of the mean square of kept weights."""
    return weight[mask].double().square().mean().sqrt().item()


@given(shape=SHAPES, sparsity=st.floats(0, 1), form=st.sampled_from(FORMS), seed=st.integers(0, 2**32))
def test_only_kept_weights_are_drawn_and_all_of_them(shape, sparsity, form, seed):
    mask = generate("bernoulli", shape, sparsity, source(seed))
    weight = drawn(mask, form[0], seed, **form[1])
    assert weight.isfinite().all()
    assert torch.equal(weight != 0, mask)


@pytest.mark.parametrize("kind", TRUNCATED)
@pytest.mark.parametrize("shape", [(40, 900), (40, 100, 3, 3)])
def test_each_neuron_has_the_deviation_of_its_own_fan_in(kind, shape):
    fans = [3, 30, 300, 0] * 10
    mask = torch.stack([(torch.randperm(900, generator=source(k)) < fan) for k, fan in enumerate(fans)]).view(shape)
    weight = drawn(mask, kind)
    for fan in (3, 30, 300):
        rows = torch.tensor(fans) == fan
        std = math.sqrt(2 / fan) if kind == "kaiming-sparse" else math.sqrt(2 / (fan + 30))
        assert deviation(weight[rows], mask[rows]) == pytest.approx(std, rel=4 / math.sqrt(10 * fan))
        assert weight[rows].abs().max() <= 2.27370 * std
    assert not weight[torch.tensor(fans) == 0].any()


def test_xavier_counts_neurons_that_have_inputs():
    mask = torch.zeros(7, 9, dtype=torch.bool)
    mask[:4, :5] = mask[4, :3] = True
    kaiming, xavier = (drawn(mask, kind) for kind in TRUNCATED)
    torch.testing.assert_close(xavier[:4], kaiming[:4] * math.sqrt(5 / (5 + 5)))
    torch.testing.assert_close(xavier[4], kaiming[4] * math.sqrt(3 / (3 + 5)))


def test_the_truncated_normal_is_one():
    weight = drawn(torch.ones(500, 400, dtype=torch.bool), "kaiming-sparse").flatten().double() / math.sqrt(2 / 400)
    assert math.isclose(SHRUNK, 0.87962566, rel_tol=1e-7)
    assert weight.mean().abs() < 0.01
    assert weight.std().item() == pytest.approx(1, rel=0.01)
    assert weight.abs().max().item() == pytest.approx(2 / SHRUNK, rel=1e-3)
    normal = torch.distributions.Normal(0.0, 1.0)
    low, high = (normal.cdf(torch.tensor(bound)).item() for bound in (-2.0, 2.0))
    for at in (-1.5, -0.5, 0.3, 1.0):
        wanted = (normal.cdf(torch.tensor(at)).item() - low) / (high - low)
        assert (weight * SHRUNK <= at).double().mean().item() == pytest.approx(wanted, abs=0.005)


@pytest.mark.parametrize("shape", [(300, 500), (60, 100, 3, 3)])
@pytest.mark.parametrize(("mode", "distribution"), list(product(MODES, DISTRIBUTIONS)))
def test_unit_scaled_weights_have_the_deviation_of_the_units_they_join(shape, mode, distribution):
    out, channels = shape[:2]
    taps = math.prod(shape[2:])
    rows, columns = torch.arange(out) % 2 == 0, torch.arange(channels) % 5 == 0
    # Even neurons read all channels, odd ones only every fifth.
    mask = (rows[:, None] | columns).view(out, channels, *[1] * (len(shape) - 2)).expand(shape)
    weight = drawn(mask, "unit-scaled", mode=mode, distribution=distribution, scale=3.0)
    for even, fifth in product((True, False), repeat=2):
        fan_in = (channels if even else channels // 5) * taps
        fan_out = (out if fifth else out // 2) * taps
        if not (even or fifth):
            continue
        fan = {"fan-in": fan_in, "fan-out": fan_out, "fan-average": (fan_in + fan_out) / 2}[mode]
        block = weight[rows == even][:, columns == fifth]
        assert block.std().item() == pytest.approx(math.sqrt(3 / fan), rel=0.05)
        if distribution == "uniform":
            assert block.abs().max() <= math.sqrt(9 / fan) * 1.00001
        else:
            assert block.abs().max() > math.sqrt(9 / fan)


@pytest.mark.parametrize(("mode", "distribution"), list(product(MODES, DISTRIBUTIONS)))
def test_layer_scaled_weights_are_dense_ones_over_the_root_of_the_density(mode, distribution):
    shape, density = (200, 40, 3, 3), 0.2
    mask = generate("random", shape, 1 - density, source())
    weight = drawn(mask, "layer-scaled", mode=mode, distribution=distribution)
    fan = {"fan-in": 360, "fan-out": 1800, "fan-average": 1080}[mode]
    assert deviation(weight, mask) == pytest.approx(math.sqrt(1 / (fan * density)), rel=0.03)


@pytest.mark.parametrize("shape", [(40, 70), (8, 6, 3, 3)])
@pytest.mark.parametrize(("kind", "options"), FORMS, ids=str)
def test_a_mask_of_ones_gives_the_dense_initialiser(shape, kind, options):
    dense = sparse_init_(torch.empty(shape), None, kind, source(), **options)
    ones = sparse_init_(torch.empty(shape), torch.ones(shape, dtype=torch.bool), kind, source(), **options)
    if kind == "xavier-sparse" and len(shape) == 4:
        torch.testing.assert_close(ones * math.sqrt((54 + 8) / (54 + 72)), dense)  # U neurons, not their taps
    else:
        assert torch.equal(ones, dense)


def test_dense_deviations():
    shape = (300, 40, 3, 3)
    for kind, variance in (("kaiming-sparse", 2 / 360), ("xavier-sparse", 2 / (360 + 2700)), ("unit-scaled", 1 / 1530)):
        weight = sparse_init_(torch.empty(shape), None, kind, source())
        assert weight.std().item() == pytest.approx(math.sqrt(variance), rel=0.02)


@pytest.mark.parametrize(("kind", "options"), FORMS, ids=str)
def test_an_empty_mask_leaves_zeros(kind, options):
    assert not drawn(torch.zeros(4, 5, dtype=torch.bool), kind, **options).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_get_the_same_numbers(dtype):
    mask = generate("random", (20, 30), 0.5, source())
    weight = torch.empty(20, 30, dtype=dtype)
    assert sparse_init_(weight, mask, "kaiming-sparse", source()) is weight
    torch.testing.assert_close(weight.float(), drawn(mask, "kaiming-sparse"), rtol=0.02, atol=0)


def test_memory_format_changes_nothing():
    mask = generate("per-neuron", (6, 5, 3, 3), 0.4, source())
    weight = torch.empty(6, 5, 3, 3).contiguous(memory_format=torch.channels_last)
    sparse_init_(weight, mask.contiguous(memory_format=torch.channels_last), "kaiming-sparse", source(2))
    assert torch.equal(weight, drawn(mask, "kaiming-sparse", 2))


def test_parameters_are_changed_in_place_without_a_graph():
    weight = torch.nn.Parameter(torch.ones(4, 5))
    sparse_init_(weight, None)
    assert weight.grad_fn is None
    assert weight.is_leaf
    assert not (weight == 1).any()


def test_without_a_generator_torchs_global_stream_is_used():
    def twice(seed):
        torch.manual_seed(seed)
        return sparse_init_(torch.empty(4, 5), None)

    assert torch.equal(twice(1), twice(1))
    assert not torch.equal(twice(1), twice(2))


@pytest.mark.parametrize(
    ("weight", "mask", "options", "message"),
    [
        ((4, 5), None, {"kind": "he"}, "unknown kind 'he' of an initialiser; choose one of kaiming-sparse"),
        ((4, 5), None, {"mode": "fan_in"}, "unknown mode 'fan_in'"),
        ((4, 5), None, {"distribution": "cauchy"}, "unknown distribution 'cauchy'"),
        ((4, 5), None, {"scale": 0}, "scale must be above 0, not 0"),
        ((4, 5), None, {"scale": math.nan}, "scale must be above 0"),
        ((4,), None, {}, r"needs a weight \(out, in, ...\) .* not \(4,\) and no mask"),
        ((4, 5), (5, 4), {}, r"not \(4, 5\) and a mask \(5, 4\)"),
    ],
)
def test_bad_input(weight, mask, options, message):
    mask = None if mask is None else torch.ones(mask, dtype=torch.bool)
    with pytest.raises(ValueError, match=message):
        sparse_init_(torch.empty(weight), mask, **options)
