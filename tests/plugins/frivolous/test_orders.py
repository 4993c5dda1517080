"""Orders of units, and the statistics that they go by."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_nets import Batches, images, networks
from torch import nn

from widenet_frivolous.orders import ascending, beginning, cluster, greedy, random_order, reference
from widenet_frivolous.units import unit_statistics

NAN = float("nan")


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_cluster_begins_with_its_reference_and_ends_with_the_dead():
    r = torch.tensor([0.1, 1.0, NAN, -0.9, 0.5])
    assert cluster(r).tolist() == [1, 3, 4, 0, 2]
    assert cluster(r, dead="first").tolist() == [2, 1, 3, 4, 0]


@given(st.integers(1, 50), st.integers(0, 5))
def test_orders_hold_every_unit_once(units, seed):
    for order in (random_order(units, stream(seed)), cluster(torch.randn(units, generator=stream(seed)))):
        assert order.sort().values.tolist() == list(range(units))


@given(st.integers(1, 40), st.data())
def test_sets_are_nested(units, draw):
    order = random_order(units, stream())
    few, many = sorted((draw.draw(st.integers(0, units)), draw.draw(st.integers(0, units))))
    assert int(beginning(order, few).sum()) == few
    assert (beginning(order, few) <= beginning(order, many)).all()


def test_the_least_important_go_first():
    assert ascending(torch.tensor([3.0, 1.0, NAN, 2.0])).tolist() == [2, 1, 3, 0]
    assert ascending(torch.ones(4)).tolist() == [0, 1, 2, 3]


def test_a_reference_is_a_live_unit():
    live = torch.tensor([False, True, False, True])
    assert {reference(live, stream(seed)) for seed in range(20)} == {1, 3}
    assert reference(torch.zeros(3, dtype=torch.bool), stream()) is None


def test_the_greedy_order_follows_what_is_missed():
    worth = torch.tensor([5.0, 1.0, 3.0, 2.0])
    order = greedy(4, lambda sets: [float(-worth[chosen].sum()) for chosen in sets])
    assert order.tolist() == [1, 3, 2, 0]


def test_the_greedy_order_sees_units_that_stand_in_for_one_another():
    """Units 0 and 1 are copies: either may go, but not both before unit 2, which is worth a little."""

    def kept(sets):
        return [1 - 0.1 * float(chosen[2]) - 0.8 * float(chosen[0] and chosen[1]) for chosen in sets]

    assert greedy(3, kept).tolist() == [0, 2, 1]


def test_the_greedy_order_takes_few_trials():
    tried = []
    greedy(200, lambda sets: tried.extend(sets) or [0.0] * len(sets))
    assert len(tried) < 200 * 14


def test_statistics_are_those_of_all_values():
    net, _ = networks()["conv"]
    split = images(60)
    found = unit_statistics(net, split, ["convs.1"], 5, stream(), correlations=True, batch_size=16)["convs.1"]
    values = []
    handle = net.get_submodule("convs.1").register_forward_hook(lambda *given: values.append(given[2].detach()))
    net(next(split.batches(60))[0])
    handle.remove()
    rows = values[0].movedim(1, -1)
    flat = rows.reshape(-1, 6).double()
    assert torch.allclose(found.mean, flat.mean(0))
    assert torch.allclose(found.activity, flat.abs().mean(0))
    assert torch.equal(found.dead, flat.amin(0) == flat.amax(0))
    live = ~found.dead
    expected = torch.corrcoef(flat.T)
    for unit in live.nonzero().flatten().tolist():
        assert torch.allclose(found.correlation(unit)[live], expected[unit][live], atol=1e-6)
    labels = split.labels()
    means = torch.stack([rows[labels == label].reshape(-1, 6).double().mean(0) for label in range(5)])
    assert torch.allclose(found.by_class, means)
    best = means.amax(0)
    rest = (means.sum(0) - best) / 4
    assert torch.allclose(found.selectivity()[live], ((best - rest) / (best + rest))[live])


def dead_net():
    """Units 0 and 2 never fire."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.ReLU(), nn.Linear(4, 5)).eval()
    net[1].bias.data[[0, 2]] = -1e4
    return net


def test_dead_units_have_no_selectivity_and_no_correlation():
    found = unit_statistics(dead_net(), images(), ["2"], 5, stream(), correlations=True)["2"]
    assert found.dead.tolist() == [True, False, True, False]
    assert found.selectivity().isnan().tolist() == [True, False, True, False]
    assert found.correlation(1).isnan().tolist() == [True, False, True, False]
    assert cluster(found.correlation(1)).tolist()[:2] == [1, 3]


def test_a_class_without_samples_does_not_count():
    x, y = next(images(30).batches(30))
    found = unit_statistics(dead_net(), Batches(x, y % 3), ["2"], 5, stream())["2"]
    assert found.selectivity()[[1, 3]].isfinite().all()
    with pytest.raises(ValueError, match="not asked for"):
        found.correlation(0)
