"""The gradient straight through the choice, in both forms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from score_cases import KINDS, LAYOUTS, lay_out, numbers

from widenet.kernels.straight import straight_through


@given(
    kind=st.sampled_from(KINDS),
    shape=st.lists(st.integers(0, 6), max_size=4).map(tuple),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_is_sign_times_weight_times_upstream(kind, shape, layouts, dtype):
    scores, weight, upstream = (lay_out(numbers(kind, shape, i).to(dtype), layouts[i]) for i in range(3))
    found = straight_through(scores, weight, upstream)
    torch.testing.assert_close(found, scores.sign() * weight * upstream, rtol=0, atol=0, equal_nan=True)
    assert found.dtype == dtype


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_both_forms_agree(layout, form):
    tensors = [lay_out(numbers("normal", (8, 4, 3, 3), i), layout) for i in range(3)]
    found = straight_through(*tensors)
    assert found.stride() == tensors[0].stride()
    torch.testing.assert_close(found, tensors[0].sign() * tensors[1] * tensors[2], rtol=0, atol=0, equal_nan=True)
