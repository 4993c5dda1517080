"""What holds for the statistics of any chunk of any layer."""

import attrs
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from made_layers import gram_of, layer, textbook

from widenet_redundant_repr.chunks import chunk_statistics, held_out_r2, nested_r2, r2_and_correlation, undefined
from widenet_redundant_repr.regression import ALPHA

LAYERS = st.builds(
    layer,
    count=st.integers(30, 80),
    width=st.integers(4, 14),
    seed=st.integers(0, 999),
    rank=st.integers(0, 4),
    noise=st.sampled_from([0.1, 1.0]),
    offset=st.sampled_from([0.0, 30.0]),
)


@st.composite
def layers_and_chunks(draw, left=2):
    """A layer, and a chunk that leaves so many of its neurons."""
    x = draw(LAYERS)
    order = draw(st.permutations(range(x.shape[1])))
    return x, list(order[: draw(st.integers(1, x.shape[1] - left))])


@settings(max_examples=60)
@given(drawn=layers_and_chunks())
def test_the_samples_give_the_same(drawn):
    x, chunk = drawn
    found = chunk_statistics(gram_of(x), chunk)
    np.testing.assert_allclose(attrs.astuple(found), textbook(x, chunk), rtol=0, atol=1e-7)
    assert r2_and_correlation(gram_of(x), chunk) == (found.r2, found.correlation)
    assert not undefined(gram_of(x), len(chunk))


@settings(max_examples=40)
@given(x=LAYERS, data=st.data())
def test_one_factorisation_gives_every_size(x, data):
    gram, order = gram_of(x), data.draw(st.permutations(range(x.shape[1])))
    found = nested_r2(gram, order)
    np.testing.assert_allclose(found, [chunk_statistics(gram, order[:c]).r2 for c in range(1, len(order) + 1)], atol=1e-9)
    assert (np.diff(found) >= -1e-12).all()
    assert found[-1] == 1 or abs(found[-1] - 1) < 1e-12


@settings(max_examples=40)
@given(drawn=layers_and_chunks(), cut=st.integers(0, 30), data=st.data())
def test_order_scale_offset_and_shards_do_not_matter(drawn, cut, data):
    x, chunk = drawn
    expected = attrs.astuple(chunk_statistics(gram_of(x), chunk))
    merged = gram_of(x[:cut])
    merged.merge(gram_of(x[cut:]))
    shuffled = data.draw(st.permutations(chunk))
    for gram, atol in ((merged, 1e-9), (gram_of(1e3 * x - 5), 1e-5)):  # 1e-8 in the denominator is of the features' scale
        np.testing.assert_allclose(attrs.astuple(chunk_statistics(gram, shuffled)), expected, rtol=0, atol=atol)


@settings(max_examples=40)
@given(drawn=layers_and_chunks(left=0))
def test_held_out_on_the_samples_of_the_fit_is_in_sample(drawn):
    x, chunk = drawn
    np.testing.assert_allclose(held_out_r2(gram_of(x), gram_of(x), chunk), chunk_statistics(gram_of(x), chunk).r2, atol=1e-9)


@settings(max_examples=40)
@given(drawn=layers_and_chunks(), shift=st.sampled_from([0.0, 3.0]))
def test_held_out_is_the_prediction_of_other_samples(drawn, shift):
    x, chunk = drawn
    fit, test = x[:20], x[20:] + shift * np.arange(x.shape[1])
    centred = fit - fit.mean(0)
    inner = centred[:, chunk].T @ centred[:, chunk] + ALPHA * np.eye(len(chunk))
    weights = np.linalg.solve(inner, centred[:, chunk].T @ centred)
    errors = test - fit.mean(0) - (test - fit.mean(0))[:, chunk] @ weights
    errors[:, chunk] = 0  # the chunk is given
    expected = 1 - (errors**2).sum() / ((test - test.mean(0)) ** 2).sum()
    np.testing.assert_allclose(held_out_r2(gram_of(fit), gram_of(test), chunk), expected, rtol=1e-8, atol=1e-8)
