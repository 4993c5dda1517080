"""What is pruned before which epoch, on a network in hand."""

import pytest
import torch

from widenet.masks import Fixed, attach, modules
from widenet.runs import Reporter, Run
from widenet_weight_symmetry.config import Prune
from widenet_weight_symmetry.pruning import Pruner, planned


class Ears(Reporter):
    def __init__(self):
        self.heard = []

    def say(self, text):
        self.heard.append(text)


def pruner(path, **options):
    """A pruner of a small network, and the network."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 4), torch.nn.Linear(4, 3))
    attach(net, lambda name, weight: Fixed(torch.ones_like(weight)) if name != "3" else None)
    config = Prune(epochs=6, **options)
    return Pruner(Run(path, {"seed": 0}, reporter=Ears()), net, config, planned(config, started=False)), net


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_nothing_happens_when_nothing_is_due(tmp_path):
    made, net = pruner(tmp_path, rates=("2=0.5",), rewind=True)
    for parameter in net.parameters():
        parameter.data.add_(1)
    before = state(net)
    for epoch in (1, 2, 4, 5, 6):
        made.before(epoch)
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert made.run.reporter.heard == []
    made.before(3)
    assert made.run.reporter.heard == ["pruned before epoch 3: 50.00% of the weights are zero"]
    assert [int(mask.mask.sum()) for mask in modules(net).values()] == [15, 10]


def test_all_parameters_are_rewound_but_no_statistics(tmp_path):
    made, net = pruner(tmp_path, rates=("2=0.5",), rewind=True)
    first = {name: value.detach().clone() for name, value in net.named_parameters()}
    for tensor in [*net.parameters(), net[1].running_mean]:
        tensor.data.add_(1)
    made.before(3)
    assert all(torch.equal(value, first[name]) for name, value in net.named_parameters())
    assert (net[1].running_mean == 1).all()


def test_a_rehearsal_leaves_everything_as_it_was(tmp_path):
    made, net = pruner(tmp_path, rates=("0=0.5", "2=0.7"), scope="global", floor=0.2, rewind=True)
    before = state(net)
    made.rehearse()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert made.run.reporter.heard == []


@pytest.mark.parametrize(
    ("options", "started", "wanted"),
    [
        ({"epochs": 7}, False, {3: 0.9}),
        ({"epochs": 1, "sparsity": 0.5}, False, {0: 0.5}),
        ({"epochs": 7}, True, {0: 0.9}),
        ({"epochs": 7, "prune_after": 2}, True, {2: 0.9}),
        ({"epochs": 7, "rates": ("1=0.2", "4=0.3")}, True, {1: 0.2, 4: 0.3}),
    ],
)
def test_what_is_planned(options, started, wanted):
    schedule = planned(Prune(**options), started)
    assert {epoch: rate for epoch in range(9) if (rate := schedule.at(epoch, "fc1", 0)) is not None} == wanted
