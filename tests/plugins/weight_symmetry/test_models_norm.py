"""Batch norm with a biased running variance: torch's in all else."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _NormBase

from widenet_weight_symmetry.norm import BatchNorm1d, BatchNorm2d

PAIRS = [
    (BatchNorm1d, nn.BatchNorm1d, (7, 5)),
    (BatchNorm1d, nn.BatchNorm1d, (3, 5, 4)),
    (BatchNorm2d, nn.BatchNorm2d, (2, 5, 3, 4)),
    (BatchNorm2d, nn.BatchNorm2d, (2, 5, 1, 1)),
]


def stepped(norm, batches):
    """Outputs in training, and the gradients of a sum of squares of cubes."""
    outputs = []
    for x in batches:
        outputs.append(norm(x))
        outputs[-1].pow(3).square().sum().backward()
    return [*(out.detach() for out in outputs), *(parameter.grad for parameter in norm.parameters())]


@pytest.mark.parametrize(("ours", "torchs", "shape"), PAIRS)
def test_only_the_running_variance_differs_from_torch(ours, torchs, shape):
    torch.manual_seed(0)
    batches = [torch.randn(shape) * (k + 1) + k for k in range(3)]
    norm, other = ours(5), torchs(5, momentum=0.01)
    for one, two in zip(stepped(norm, batches), stepped(other, batches), strict=True):
        assert torch.equal(one, two)
    mean, variance = torch.zeros(5), torch.ones(5)
    for x in batches:
        values = x.transpose(0, 1).flatten(1)
        mean = 0.99 * mean + 0.01 * values.mean(1)
        variance = 0.99 * variance + 0.01 * ((values**2).mean(1) - values.mean(1) ** 2)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert not torch.allclose(norm.running_var, other.running_var, rtol=1e-4)
    assert norm.state_dict().keys() == other.state_dict().keys()
    assert norm.num_batches_tracked == 3


@pytest.mark.parametrize(("ours", "torchs", "shape"), PAIRS)
def test_evaluation_uses_and_keeps_the_running_statistics(ours, torchs, shape):
    norm, x = ours(5).eval(), torch.randn(shape)
    norm.running_mean.uniform_()
    norm.running_var.uniform_(1, 2)
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    other = torchs(5).eval()
    other.load_state_dict(norm.state_dict())
    assert torch.equal(norm(x), other(x))
    assert torch.equal(norm(x[:1]), other(x[:1]))
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())


@pytest.mark.parametrize(("ours", "torchs", "shape"), PAIRS)
def test_stacked_networks_under_vmap(ours, torchs, shape):
    norm, copies = ours(5), 3
    x = torch.randn(copies, *shape)
    parameters = {name: torch.rand(copies, 5, requires_grad=True) for name in ("weight", "bias")}
    buffers = {name: value.expand(copies, *value.shape).clone() for name, value in norm.named_buffers()}
    out = vmap(lambda p, b, x: functional_call(norm, (p, b), (x,)))(parameters, buffers, x)
    out.square().sum().backward()
    for k in range(copies):
        alone = ours(5)
        alone.load_state_dict({name: value[k] for name, value in parameters.items()}, strict=False)
        alone(x[k]).square().sum().backward()
        torch.testing.assert_close(out[k], alone(x[k]))
        torch.testing.assert_close(parameters["weight"].grad[k], alone.weight.grad, atol=1e-4, rtol=1e-4)
    single = ours(5)
    single(x[1])
    torch.testing.assert_close(buffers["running_var"][1], single.running_var)
    torch.testing.assert_close(buffers["running_mean"][1], single.running_mean)
    assert buffers["num_batches_tracked"].tolist() == [1] * copies


def test_is_found_as_batch_norm():
    assert isinstance(BatchNorm1d(3), _NormBase | nn.BatchNorm1d)
    assert isinstance(BatchNorm2d(3), nn.BatchNorm2d)
    assert (BatchNorm1d(3).momentum, BatchNorm2d(3).eps) == (0.01, 1e-5)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected 4D input"):
        BatchNorm2d(3)(torch.ones(2, 3))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        BatchNorm1d(3)(torch.ones(1, 3))
