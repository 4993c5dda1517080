"""The recipes' tables, from studies made up by hand, and the runs that each scale plans."""

import pytest

from widenet import loading
from widenet.cli.common import layered
from widenet.cli.reproducing import Reproduction
from widenet.components import Analysis
from widenet.files import write_csv
from widenet.grid import cells
from widenet.recipes import SCALES
from widenet.runs import Run
from widenet.study import Study, Trial, judged
from widenet_decompose.claims import ACCURACY_BY_K, accuracy_by_k
from widenet_decompose.claims_gates import INFORMATION, NOISE, information, noise

RECIPES = [ACCURACY_BY_K, NOISE, INFORMATION]


def curves(folder, seed, full, found):
    """A run of ``decompose`` with its table: accuracies of five units by score."""
    path = folder / f"seed-{seed}"
    path.mkdir()
    rows = [{"score": "full", "k": "64", "accuracy": full}]
    write_csv(path / "decompose.csv", [*rows, *({"score": score, "k": "5", "accuracy": each} for score, each in found.items())])
    return Trial({"label": "decomposed", "seed": seed}, Run(path, {}))


def tuned(folder, seed, full, accuracy):
    """A run that was trained after it was decomposed."""
    return Trial(
        {"label": "fine-tuned", "seed": seed},
        Run(folder, {"result": {"full_accuracy": full, "test_accuracy": accuracy, "k": 5}}),
    )


def test_accuracy_by_k_holds_every_set_against_the_full_layer(tmp_path):
    plain = Trial({"label": "plain", "seed": 0}, Run(tmp_path, {"result": {"test_accuracy": 0.9}}))
    found = {"frequency": 0.8, "weight": 0.85, "random": 0.3}
    study = Study([plain, curves(tmp_path, 0, 0.9, found), tuned(tmp_path, 0, 0.9, 0.92)])
    rows = list(accuracy_by_k(study))
    assert {row["units"]: row["k"] for row in rows} == {
        "full layer": 64,
        "most frequent": 5,
        "largest weights": 5,
        "random": 5,
        "fine-tuned": 5,
    }
    assert [row["lost"] for row in rows] == pytest.approx([-0.02, 0, 0.1, 0.05, 0.6])
    assert [judged(claim, rows).mean for claim in ACCURACY_BY_K.claims] == pytest.approx([-0.1, 0.02, 0.5, -0.05])
    assert [judged(claim, rows).holds for claim in ACCURACY_BY_K.claims] == ["no", "yes", "yes", "no"]


def test_accuracies_are_compared_seed_by_seed(tmp_path):
    seeds = [(0, 0.9, 0.87, 0.91), (1, 0.7, 0.68, 0.66), (2, 0.8, 0.78, 0.8)]
    study = Study(
        [curves(tmp_path, seed, full, {"frequency": found}) for seed, full, found, _ in seeds]
        + [tuned(tmp_path, seed, full, after) for seed, full, _, after in seeds]
    )
    first, second = (judged(claim, list(accuracy_by_k(study))) for claim in ACCURACY_BY_K.claims[:2])
    assert first.ours == pytest.approx((-0.03, -0.02, -0.02))
    assert second.ours == pytest.approx((0.01, -0.04, 0))
    assert (first.holds, second.holds) == ("yes", "undecided")


def essential(score, own, rest, replace="noise", k="5"):
    """The rows of a set of units in the table of ``essential``."""
    about = {"score": score, "k": k, "replace": replace, "deviation": 0.0, "clean": 0.9}
    return [{**about, "overwritten": where, "accuracy": each} for where, each in (("own", own), ("rest", rest))]


def test_noise_takes_the_plain_networks_frequent_units_and_both_ends_of_the_gates(tmp_path):
    tables = {
        "plain": [
            *essential("frequency", 0.5, 0.8),
            *essential("frequency", 0.9, 0.6, "matched"),
            *essential("frequency", 0.0, 1.0, k="20"),
            *essential("random", 0.9, 0.1),
        ],
        "gated": [*essential("lowest-gate", 0.9, 0.1), *essential("gate", 0.2, 0.9)],
    }
    run = Run(tmp_path, {})
    study = Study([Trial({"label": label, "seed": 3}, run, {"essential": rows}) for label, rows in tables.items()])
    rows = list(noise(study))
    assert len(rows) == 12
    assert {row["seed"] for row in rows} == {3}
    verdicts = [judged(claim, rows) for claim in NOISE.claims]
    assert [verdict.mean for verdict in verdicts] == pytest.approx([-0.3, 0.3, 0.8, -0.7])
    assert [verdict.holds for verdict in verdicts] == ["yes", "no", "yes", "no"]


def test_information_compares_the_networks_of_a_seed(tmp_path):
    names = ("self", "jaccard", "distinct", "random_off_diagonal")

    def row(score, all_pairs, off_diagonal):
        about = {"score": score, "k": "5", "all_pairs": all_pairs, "off_diagonal": off_diagonal}
        return {**about, **dict.fromkeys(names, 0.0)}

    tables = {
        "plain": [row("frequency", 0.034, 0.008), row("random", 0.036, 0.007)],
        "gated": [row("gate", 0.033, 0.01), row("lowest-gate", 0.037, 0.01)],
    }
    run = Run(tmp_path, {})
    study = Study([Trial({"label": label, "seed": 0}, run, {"mutual-information": rows}) for label, rows in tables.items()])
    verdicts = [judged(claim, list(information(study))) for claim in INFORMATION.claims]
    assert [verdict.mean for verdict in verdicts] == pytest.approx([-0.003, 0.001, 0.001])
    assert [verdict.holds for verdict in verdicts] == ["yes", "no", "no"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("scale", SCALES)
def test_a_recipe_plans_runs_and_analyses_that_there_are(recipe, scale, tmp_path):
    registry = loading.load()
    work = Reproduction(registry, recipe, scale, {"runs_dir": str(tmp_path)}, quiet=True)
    plans = [job.plan for stage in work.stages if stage.after is None for job in work._jobs(stage, {}, cells(stage.grid))]
    assert len({plan.path for plan in plans}) == len(plans) >= 2
    for stage in work.stages:
        assert work._jobs(stage, {}, cells(stage.grid)), "options of stages that begin from others are checked as well"
        for name, options in stage.analyses.items():
            layered(registry.find(Analysis, name), dict(options), quiet=True)


def test_both_recipes_of_gates_share_their_networks():
    for scale in SCALES:
        ours, theirs = (recipe.scales[scale] for recipe in (NOISE, INFORMATION))
        assert [stage.options for stage in ours] == [stage.options for stage in theirs]
        plain = ACCURACY_BY_K.scales[scale][0]
        assert (plain.options, plain.grid) == (ours[0].options, ours[0].grid)
