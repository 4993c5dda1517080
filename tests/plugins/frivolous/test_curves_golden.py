"""Orders, curves, thresholds and noise: the numbers of the original code."""

import numpy as np
import pytest
import torch
from small_nets import golden, mlp

from widenet_frivolous.ablation import Ablation, Target, one_by_one
from widenet_frivolous.curves import counts, threshold
from widenet_frivolous.orders import beginning, cluster
from widenet_frivolous.perturb import Drop, noise_scale, noisy
from widenet_frivolous.points import Point

FOUND = golden("robustness")
CALLS = [(cross, kind, split) for cross in range(3) for kind in (2, 4) for split in (0, 1)]
SIZES = {"1": 24, "3": 16}


@pytest.mark.parametrize("at", [0.5, 0.8, 0.9])
def test_thresholds_of_the_notebooks(at):
    found = golden("notebook_stats")
    levels = np.arange(7) / 6
    ours = [threshold(levels, curve, at) for curve in found["curves"]]
    assert ours == pytest.approx(found[f"threshold_{at}"], rel=1e-14)


def test_noise_has_the_deviation_of_each_sample():
    found = golden("noise_scale")
    x = torch.from_numpy(found["x"]).permute(0, 3, 1, 2)
    for level, sigma in zip(found["levels"], found["sigma"], strict=True):
        ours = (level * noise_scale(x)).flatten().numpy()
        assert ours == pytest.approx(sigma, rel=1e-6)
        added = noisy(x, float(level), torch.ones_like(x)) - x
        assert added[:, 0, 0, 0].numpy() == pytest.approx(sigma, rel=1e-5, abs=1e-6)


def test_targeted_and_random_orders_from_the_original_stream():
    rng = np.random.RandomState(0)  # the legacy stream that the original draws from
    for cross, kind, split in CALLS:
        name = f"c{cross}_p{kind}_s{split}"
        correlations = [FOUND[f"corr_c{cross}_l{layer}"] for layer in range(3)]
        references = [rng.randint(len(each)) for each in correlations]
        assert references == FOUND[f"refs_{name}"].tolist()
        for layer, correlation in enumerate(correlations):
            order, row = FOUND[f"porder_{name}_l{layer}"].copy(), torch.from_numpy(correlation[references[layer]])
            if not row.isnan().all():  # of a dead reference the order is one of equals, NumPy's own affair
                assert np.array_equal(cluster(row, dead="first").numpy(), order)
            rng.shuffle(order)
            assert np.array_equal(order, FOUND[f"rorder_{name}_l{layer}"])


def sets_of(name, kind):
    """By level, which units of each layer are ablated."""
    orders = {
        path: torch.from_numpy(FOUND[f"{'p' if kind == 4 else 'r'}order_{name}_l{layer}"]) for layer, path in enumerate(SIZES)
    }
    numbers = {path: counts(units, FOUND["levels"].tolist(), truncate=True) for path, units in SIZES.items()}
    return [{path: beginning(order, numbers[path][at]) for path, order in orders.items()} for at in range(7)]


@pytest.mark.parametrize("reuse", [True, False])
def test_curves_are_the_originals(reuse):
    net, split = mlp()
    engine = Ablation(net, split, 40, reuse)
    thresholds = {(kind, split_, row): [] for kind in (2, 4) for split_ in (0, 1) for row in (0, 1, 3)}
    for cross, kind, split_ in CALLS:
        sets = sets_of(name := f"c{cross}_p{kind}_s{split_}", kind)
        groups = {0: ("1",), 1: ("3",), 3: tuple(SIZES)}
        targets = [
            Target(tuple(map(Point, paths)), tuple(Drop({path: each[path] for path in paths}) for each in sets))
            for paths in groups.values()
        ]
        for row, found in zip(groups, engine.measure(targets), strict=True):
            assert found.agreement == FOUND[f"res_{name}"][row, :, 0].tolist()
            thresholds[kind, split_, row].append(threshold(FOUND["levels"], found.agreement))
    for (kind, split_, row), found in thresholds.items():
        assert found == pytest.approx(FOUND[f"tau80_p{kind}_s{split_}_l{row}"], rel=1e-14)


def test_the_textbook_way_is_the_originals_too():
    net, split = mlp()
    sets = sets_of("c1_p2_s0", 2)
    found = one_by_one(net, split, Target(tuple(map(Point, SIZES)), tuple(map(Drop, sets))), 40)
    assert found.agreement == FOUND["res_c1_p2_s0"][3, :, 0].tolist()
