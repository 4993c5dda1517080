"""The recipes' tables, from studies made up by hand, and the runs that each scale plans."""

import pytest

from widenet import loading
from widenet.cli.common import layered
from widenet.cli.reproducing import Reproduction
from widenet.components import Analysis
from widenet.grid import cells
from widenet.recipes import SCALES
from widenet.runs import Run
from widenet.study import Study, Trial, judged
from widenet_redundant_repr.claims import THREE_PANELS, three_panels
from widenet_redundant_repr.claims_width import DECAY, NONE, WIDTH_SERIES, width_series


def chunk(size, test, train=0.0, r2=1.0, outside=0.0, of="layer", chunks="random"):
    """A row of the table of ``chunks``."""
    errors = {"test_error": test, "train_error": train}
    return {
        "of": of,
        "chunks": chunks,
        "size": size,
        **errors,
        "r2": r2,
        "correlation": outside / 2,
        "correlation_out": outside,
    }


def trial(path, rows, label="chunks", seed=0):
    return Trial({"label": label, "seed": seed}, Run(path / f"seed-{seed}", {}), {"chunks": rows})


@pytest.fixture
def layer(tmp_path):
    """A layer of 16 whose error beyond 0.1 falls like c^(-1/2), and one of another measure in the same table."""
    sizes = (1, 2, 4, 8, 16)
    rows = [chunk(size, 0.1 + 0.08 * size**-0.5, 0.4 / size, 1 - 0.04 / size, 0.1 / size) for size in sizes]
    rows.append(chunk(4, 0.9, chunks="greedy"))
    rows.append({"of": "control", "chunks": "noise", "size": 4, "r2": 0.3})
    return trial(tmp_path / "family", rows)


def test_three_panels_measures_errors_from_the_ensembles(layer):
    across = [{"run": "other", "ensemble_error": 0.5}, {"run": "family", "ensemble_error": 0.1}]
    study = Study([layer], {"bias-variance": across})
    rows = list(three_panels(study))
    assert [row["share"] for row in rows] == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    assert [row["beyond"] for row in rows] == pytest.approx([0.08 * size**-0.5 for size in (1, 2, 4, 8, 16)], abs=1e-7)
    verdicts = [judged(claim, rows) for claim in THREE_PANELS.claims]
    assert [verdict.mean for verdict in verdicts] == pytest.approx([0.02, 0.1, 0.99, -0.5, 1 / 8], abs=1e-4)
    assert [verdict.holds for verdict in verdicts][3:] == ["yes", "yes"]


def test_an_error_that_is_the_ensembles_has_no_logarithm(tmp_path):
    rows = [chunk(size, 0.1 + excess) for size, excess in ((1, 0.4), (4, 0.04), (8, 0.02), (16, 1e-17))]
    study = Study([trial(tmp_path / "family", rows)], {"bias-variance": [{"run": "family", "ensemble_error": 0.1}]})
    assert judged(THREE_PANELS.claims[3], list(three_panels(study))).mean == pytest.approx(-1)


def test_without_an_ensemble_the_rest_is_there(layer):
    rows = list(three_panels(Study([layer])))
    assert all(row["beyond"] is None for row in rows)
    assert [judged(claim, rows).holds for claim in THREE_PANELS.claims].count("nothing to judge") == 1


def series(tmp_path):
    """Widths 8 and 32 with weight decay, complete from 8 on; 32 without, complete as a whole."""
    narrow = [chunk(2, 0.6, 0.5, 0.7), chunk(4, 0.4, 0.3, 0.9), chunk(8, 0.2, 0.1)]
    wide = [chunk(4, 0.4, 0.3, 0.9), chunk(8, 0.11, 0.009, 0.995), chunk(16, 0.1, 0.0, 0.999), chunk(32, 0.1, 0.0)]
    bare = [chunk(4, 0.4, 0.3, 0.9), chunk(8, 0.2, 0.0, 0.95), chunk(16, 0.15, 0.0, 0.98), chunk(32, 0.1, 0.0)]
    return [
        trial(tmp_path / "narrow", narrow, DECAY),
        trial(tmp_path / "wide", wide, DECAY),
        trial(tmp_path / "bare", bare, NONE),
    ]


def test_width_series_counts_clones(tmp_path):
    found = {"narrow": (0.06, 0.03), "wide": (0.04, 0.01)}
    across = [
        {"run": run, "loss": loss, "variance": variance, "bias2": loss - variance, "ensemble_error": 0.05}
        for run, (loss, variance) in found.items()
    ]
    rows = list(width_series(Study(series(tmp_path), {"bias-variance": across})))
    assert [(row["width"], row.get("clones"), row["widest"]) for row in rows] == [
        (8, 1, False),
        (32, 4, True),
        (32, 1, True),
        (8, None, False),
        (32, None, True),
    ]
    verdicts = [judged(claim, rows) for claim in WIDTH_SERIES.claims]
    assert [verdict.mean for verdict in verdicts] == pytest.approx([0, -0.1, 1, 0.045, -0.25])
    assert [verdict.holds for verdict in verdicts] == ["yes"] * 5


def test_a_layer_with_undefined_r2_has_no_clones(tmp_path):
    rows = list(width_series(Study([trial(tmp_path / "few", [chunk(4, 0.4, r2=None), chunk(8, 0.2, r2=None)], DECAY)])))
    assert [row["clones"] for row in rows] == [None]


def test_runs_whose_analysis_failed_are_left_out(tmp_path):
    failed = Trial({"label": DECAY, "seed": 1}, Run(tmp_path / "failed" / "seed-1", {}))
    study = Study([*series(tmp_path), failed])
    assert len(list(width_series(study))) == 3
    assert list(three_panels(Study([failed]))) == []


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("recipe", [THREE_PANELS, WIDTH_SERIES], ids=lambda recipe: recipe.name)
def test_a_recipe_plans_runs_and_analyses_that_there_are(recipe, scale, tmp_path):
    registry = loading.load()
    work = Reproduction(registry, recipe, scale, {"runs_dir": str(tmp_path)}, quiet=True)
    plans = [job.plan for stage in work.stages for job in work._jobs(stage, {}, cells(stage.grid))]
    assert len({plan.path for plan in plans}) == len(plans) >= 2
    for stage in work.stages:
        for name, options in stage.analyses.items():
            analysis = registry.find(Analysis, name)
            layered(analysis, dict(options), quiet=True)
