"""Counts of similar units against the original's, and against every correlation in float64."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from widenet.kernels import _similarity_torch as torch_form
from widenet.kernels.similarity import count_similar, similarity_histogram

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "frivolous" / "redundancy.npz")
CASES = ("fc40", "conv24", "dead30", "signed16")
TILED = {"SMALL": 0, "TILE": 7}
"""Settings under which few units make many ragged tiles in float32."""


def correlations(x):
    """Absolute correlations in float64, NaN where a unit is constant."""
    x = np.asarray(x, dtype=np.float64)
    centred = x - x.mean(0)
    live = x.min(0) != x.max(0)
    unit = np.full_like(centred, np.nan)
    unit[:, live] = centred[:, live] / np.linalg.norm(centred[:, live], axis=0)
    return np.abs(unit.T @ unit), live


def reference(x, thresholds):
    """Counts from the matrix of all correlations, which reach a threshold to within float64's rounding."""
    r, live = correlations(x)
    np.fill_diagonal(r, np.nan)
    with np.errstate(invalid="ignore"):
        counts = np.array([(r >= t - 1e-12).sum(0) for t in thresholds]).reshape(len(thresholds), len(live))
    return np.where(live, counts, -1)


def layer(n, units, seed=0, copies=0):
    """A few factors and noise; some units are copies of others, sign flipped."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, units)) + rng.normal(size=(n, units))
    for unit in range(min(copies, units - 1)):
        x[:, -1 - unit] = -x[:, unit]
    return x


def tiled(**more):
    return mock.patch.multiple(torch_form, **{**TILED, **more})


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("many_tiles", [False, True])
def test_counts_are_the_originals(case, split, many_tiles):
    x, thresholds = GOLDEN[f"{case}__{split}"], GOLDEN["thresholds"]
    with tiled() if many_tiles else nullcontext():
        counts = count_similar(x, thresholds)
    assert counts.dtype == torch.int64
    np.testing.assert_array_equal(counts, GOLDEN[f"{case}__simcount_{split}"])
    np.testing.assert_array_equal(counts.double().mean(1), GOLDEN[f"{case}__sim_mean_{split}"])


@settings(max_examples=120)
@given(
    x=st.integers(1, 12).flatmap(
        lambda n: st.lists(st.lists(st.integers(-2, 2), min_size=n, max_size=n), min_size=1, max_size=20)
    ),
    thresholds=st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.6, 1 / 3, 0.9, 1.0, 1.1, float("inf")]), max_size=4),
    pairs=st.sampled_from([0, 3, 4096]),
)
def test_ties_constants_and_copies_count_as_in_float64(x, thresholds, pairs):
    x = np.array(x, dtype=np.float32).T
    with tiled(PAIRS=pairs):
        np.testing.assert_array_equal(count_similar(x, thresholds), reference(x, thresholds))


@settings(max_examples=60)
@given(
    n=st.integers(2, 40),
    units=st.integers(1, 30),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]),
    layout=st.sampled_from(["plain", "transposed", "apart"]),
    rows=st.sampled_from([3, 256]),
)
def test_any_dtype_layout_and_cut(n, units, seed, dtype, layout, rows):
    x = torch.from_numpy(layer(n, units, seed, copies=2)).to(dtype)
    thresholds = [0.1, 0.5, 0.99, 1]
    given_ = {"plain": x, "transposed": x.T.contiguous().T, "apart": torch.stack([x, x], 2)[:, :, 1]}[layout]
    before = given_.clone()
    with tiled(ROWS=rows):
        np.testing.assert_array_equal(count_similar(given_, thresholds), reference(x.double(), thresholds))
    assert torch.equal(given_, before)


@settings(max_examples=40)
@given(seed=st.integers(0, 999), data=st.data())
def test_order_scale_sign_and_offset_of_units_do_not_matter(seed, data):
    x, thresholds = layer(30, 15, seed), [0.2, 0.4, 0.8]
    units, rows = (np.array(data.draw(st.permutations(range(size)))) for size in (15, 30))
    rng = np.random.default_rng(seed)
    changed = x * rng.choice([-1, 1], 15) * np.exp(rng.normal(size=15)) + 100 * rng.normal(size=15)
    with tiled():
        moved = count_similar(changed[rows][:, units], thresholds)
        assert torch.equal(moved, count_similar(x, thresholds)[:, units])
        assert bool((moved.diff(dim=0) <= 0).all())  # fewer at a higher threshold


@pytest.mark.parametrize("offset", [-1e-9, 1e-9])
@pytest.mark.parametrize("pairs", [0, 100])
def test_pairs_that_float32_cannot_tell_from_the_threshold(offset, pairs):
    basis = np.linalg.qr(np.c_[np.ones(1000), np.random.default_rng(0).normal(size=(1000, 4))])[0][:, 1:]
    r = 0.5 + offset
    turned = r * basis[:, :1] + np.sqrt(1 - r * r) * basis[:, 1:3]
    with tiled(PAIRS=pairs):
        counts = count_similar(np.c_[basis[:, :1], turned, basis[:, 3:]], [0.5, 0.1])
    within = [0, 0] if offset < 0 else [1, 1]  # the two turned ones are 0.25 alike
    assert counts.tolist() == [[sum(within), *within, 0], [2, 2, 2, 0]]


def test_float32_margin_holds():
    x = torch.from_numpy(layer(5000, 60, copies=9)).float() + 1000
    with tiled():
        columns = torch_form.Columns.of(x)
        exact, margin = correlations(x.numpy())[0], torch_form.margin(5000)
        for down, right, tile in torch_form.tiles(columns):
            gap = np.abs(tile.numpy() - exact[down, right])
            assert np.nanmax(gap, initial=0) < margin < 2e-5


def test_more_than_one_tile_at_its_real_size():
    x = layer(64, 2100, copies=5).astype(np.float32)
    np.testing.assert_array_equal(count_similar(x, [0.3, 0.5, 1]), reference(x, [0.3, 0.5, 1]))


@pytest.mark.parametrize("value", [0, 0.1, -1e30, 1e-30])
def test_constant_units_are_similar_to_none(value):
    x = layer(300, 9)
    x[:, [2, 5]] = value
    for units in (x, x.astype(np.float32)):
        counts = count_similar(units, [-1, 0.0])
        assert counts.tolist() == [[6, 6, -1, 6, 6, -1, 6, 6, 6]] * 2


@pytest.mark.parametrize("tile", [7, 1024])
def test_one_sample_one_unit_none_and_no_threshold(tile):
    with tiled(TILE=tile):
        assert count_similar(np.ones((1, 3)), [0.5]).tolist() == [[-1] * 3]
        assert count_similar(layer(9, 1), [0.5]).tolist() == [[0]]
        assert count_similar(np.ones((4, 0)), [0.5, 0.6]).shape == (2, 0)
        assert count_similar(layer(9, 8), []).shape == (0, 8)
        assert similarity_histogram(np.ones((3, 8)), 4).tolist() == [0] * 4


def test_arrays_that_are_read_only_or_reversed():
    x = layer(50, 9)
    wanted = count_similar(x, [0.3])
    assert torch.equal(count_similar(x[::-1, ::-1], [0.3]), wanted.flip(1))
    x.flags.writeable = False
    assert torch.equal(count_similar(x, np.array([0.3])), wanted)
    assert torch.equal(count_similar(torch.tensor(x, requires_grad=True), torch.tensor([0.3])), wanted)


def test_whole_numbers_are_samples_too():
    x = np.random.default_rng(0).integers(0, 9, (40, 6))
    np.testing.assert_array_equal(count_similar(x, [0.1]), reference(x, [0.1]))


def test_the_process_keeps_its_precision():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with tiled(), mock.patch.object(torch_form.Columns, "block", side_effect=RuntimeError), pytest.raises(RuntimeError):
            count_similar(layer(9, 8), [0.5])
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@settings(max_examples=30)
@given(n=st.integers(2, 30), units=st.integers(1, 25), bins=st.integers(1, 12), seed=st.integers(0, 99))
def test_histogram_has_every_pair_once(n, units, bins, seed):
    x = layer(n, units, seed, copies=2)
    x[:, :1] = 5
    r = correlations(x)[0][np.triu_indices(units, 1)]
    with tiled():
        counts = similarity_histogram(x, bins)
    wanted = np.histogram(np.minimum(r[~np.isnan(r)], 1), bins, (0, 1))[0]
    assert counts.dtype == torch.int64
    assert int(counts.sum()) == wanted.sum() == (units - 1) * (units - 2) // 2
    edges = np.arange(1, bins) / bins
    doubtful = int((np.abs(r[:, None] - edges) < 1e-6).sum())
    assert np.abs(counts.numpy() - wanted).sum() <= 2 * doubtful


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_no_matrix_of_all_pairs_exists():
    code = """
import torch
from pathlib import Path
from widenet.kernels.similarity import count_similar

def memory(kind):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(kind)) / 1024

x = torch.randn(64, 9000)
count_similar(x[:, :99], [0.5])
before = memory("VmRSS")
count_similar(x, [0.5])
print(memory("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 60  # MB; all pairs in a byte each would be 81


@pytest.mark.parametrize(
    ("x", "thresholds", "why"),
    [
        (np.ones(3), [0.5], r"must be real and \(M, N\)"),
        (np.ones((2, 2, 2)), [0.5], r"shape \(2, 2, 2\)"),
        (np.ones((0, 3)), [0.5], "M at least 1"),
        (np.ones((2, 3), dtype=complex), [0.5], "must be real"),
        (np.array([[1, np.nan], [2, 3]]), [0.5], "finite"),
        (np.array([[1, 0], [2, np.inf]]), [0.5], "finite"),
        (np.array([[1, 0], [2, 1e300]]), [0.5], "squares"),
        (np.ones((2, 3)), [float("nan")], "thresholds"),
        (np.ones((2, 3)), 0.5, "thresholds"),
    ],
)
def test_what_cannot_be_counted(x, thresholds, why):
    with pytest.raises(ValueError, match=why):
        count_similar(x, thresholds)


def test_bins_below_one():
    with pytest.raises(ValueError, match="bins must be at least 1, not 0"):
        similarity_histogram(np.ones((2, 2)), 0)
