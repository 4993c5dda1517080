"""The recipes' tables, from studies made up by hand, and the experiments that each scale plans."""

import pytest
import torch

from widenet import loading
from widenet.cli.reproducing import Reproduction
from widenet.components import Model
from widenet.grid import cells
from widenet.recipes import SCALES
from widenet.runs import Run
from widenet.study import Study, Trial, judged
from widenet_supermask.claims import RECIPES
from widenet_supermask.claims_depth import DEPTH, depth
from widenet_supermask.claims_shared import SUPERMASK, TRAINED
from widenet_supermask.claims_weights import on_every_network
from widenet_supermask.claims_width import AS_MANY, WIDTH, width
from widenet_supermask.config import Supermask

MASKED = [
    ("conv2", 0.1, 0.5),
    ("conv2", 0.5, 0.7),
    ("conv2", 0.9, 0.6),
    ("conv8", 0.1, 0.415),
    ("conv8", 0.5, 0.915),
    ("conv8", 0.9, 0.715),
]


def trial(path, label, accuracy, arch="conv2", seed=0, options=None, kept=None, **of_arch):
    """A run of which a table is made."""
    values = {
        "variant": "edge-popup" if label != TRAINED else "dense",
        "keep": 0.5,
        "init": "signed_constant",
        **(options or {}),
    }
    record = {
        "arch": {"name": f"core/{arch}", "options": of_arch},
        "options": {name: {"value": value} for name, value in values.items()},
        "seed": seed,
        "parameters": 1000,
        "result": {"test_accuracy": accuracy, **({} if kept is None else {"kept": kept})},
    }
    return Trial({"label": label, "seed": seed}, Run(path, record))


@pytest.fixture
def trials(tmp_path):
    def make(*several):
        return Study([trial(tmp_path, *words, **more) for *words, more in several])

    return make


def test_depth_has_the_gap_to_trained_weights_and_the_best_fraction(trials):
    study = trials(
        *((SUPERMASK, 0.6 + seed / 10, {"seed": seed, "options": {"keep": 0.1}, "kept": 0.1}) for seed in (0, 1)),
        *((SUPERMASK, 0.7, {"seed": seed, "options": {"keep": 0.5}, "kept": 0.5}) for seed in (0, 1)),
        *((TRAINED, 0.8 + seed / 10, {"seed": seed}) for seed in (0, 1)),
        (SUPERMASK, 0.9, {"arch": "conv8"}),
    )
    rows = list(depth(study))
    assert [row["gap"] for row in rows] == pytest.approx([0.2, 0.2, 0.1, 0.2, None, None, None])
    assert [row["peak"] for row in rows] == [False, False, True, True, True, True, True], "0.65 and 0.7 on average"
    assert [row["kept_weights"] for row in rows] == [100, 100, 500, 500, None, None, None]
    assert [row["depth"] for row in rows] == [2] * 6 + [8]
    assert rows[4]["keep"] is None, "nothing is masked there"


def test_claims_of_depth_are_what_the_table_says(trials):
    study = trials(
        *((SUPERMASK, accuracy, {"arch": arch, "options": {"keep": keep}}) for arch, keep, accuracy in MASKED),
        (TRAINED, 0.9, {"arch": "conv2"}),
        (TRAINED, 0.92, {"arch": "conv8"}),
    )
    found = [judged(claim, list(depth(study))).mean for claim in DEPTH.claims]
    assert found == pytest.approx([0.005, 0.005 - 0.2, 0.35, 0.15]), "the last two are means over networks"


def test_width_pairs_networks_of_one_width(trials):
    study = trials(
        (SUPERMASK, 0.5, {"arch": "conv6", "width": 0.5}),
        (SUPERMASK, 0.8, {"arch": "conv6", "width": 1.0}),
        (TRAINED, 0.7, {"arch": "conv6", "width": 0.5}),
        (TRAINED, 0.85, {"arch": "conv6", "width": 1.0}),
        (AS_MANY, 0.4, {"arch": "conv6", "width": 0.5}),
        (AS_MANY, 0.6, {"arch": "conv6", "width": 1.0}),
    )
    rows = list(width(study))
    assert [row["gap"] for row in rows] == pytest.approx([0.2, 0.05, None, None, 0.3, 0.25])
    assert [judged(claim, rows).mean for claim in WIDTH.claims] == pytest.approx([0.05, -0.15, 0.3, 0.2])


def test_the_least_difference_is_that_of_one_network_in_each_seed():
    rows = [
        {"label": label, "network": network, "seed": seed, "acc": accuracy}
        for label, network, seed, accuracy in (
            ("a", "n", 0, 0.9),
            ("b", "n", 0, 0.5),
            ("a", "m", 0, 0.7),
            ("b", "m", 0, 0.6),
            ("a", "n", 1, 0.5),
            ("b", "n", 1, 0.7),
            ("a", "m", 1, 0.9),  # its other is missing
        )
    ]
    assert on_every_network("acc", "a", "b")(rows) == pytest.approx([0.1, -0.2])
    assert on_every_network("acc", "a", "c")(rows) == []


@pytest.mark.parametrize("scale", SCALES)
def test_as_many_weights_are_kept_whatever_the_width(scale):
    conv6, kept = loading.load().find(Model, "conv6"), []
    for stage in WIDTH.scales[scale]:
        if stage.label == AS_MANY:
            with torch.device("meta"):
                net = conv6.function((3, 32, 32), 10, conv6.config(width=stage.grid["width"][0]))
            kept.append(stage.options["keep"] * sum(weight.numel() for weight in net.parameters()))
    assert len(kept) > 1
    assert max(kept) < 1.06 * min(kept)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_plans_runs_that_differ(recipe, scale, tmp_path):
    work = Reproduction(loading.load(), recipe, scale, {"runs_dir": str(tmp_path)}, quiet=True)
    plans = [job.plan for stage in work.stages for job in work._jobs(stage, {}, cells(stage.grid))]
    assert len({plan.path for plan in plans}) == len(plans) > 3
    assert all(isinstance(plan.config, Supermask) for plan in plans)
