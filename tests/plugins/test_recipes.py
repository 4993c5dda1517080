"""Every recipe of every installed plugin, at its smoke scale; what a recipe must be, and what is said of wrong requests."""

import html
import json

import pytest

from widenet.components import Analysis, Method
from widenet.loading import load
from widenet.recipes import SCALES, Recipe, chain

REGISTRY = load()
RECIPES = {recipe.full_name: recipe for recipe in REGISTRY.components(Recipe)}
DEPTH = ("reproduce", "supermask/depth", "--yes", "--set", "epochs=1")
NEEDED = {
    "supermask": {"depth", "width", "initialisation", "sampling", "imagenet"},
    "frivolous": {"redundancy-by-width", "ablation-curves", "initialisation-variance"},
    "redundant-repr": {"three-panels", "width-series"},
    "decompose": {"accuracy-by-k", "noise", "information"},
    "weight-symmetry": {"symmetry-vs-sparsity"},
}


def test_the_papers_claims_are_there():
    for plugin, names in NEEDED.items():
        assert names <= {recipe.name for recipe in RECIPES.values() if recipe.plugin == plugin}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_smoke(name, wn, tmp_path):
    recipe = RECIPES[name]
    answer = wn("reproduce", name, "--yes", "--json")
    assert answer.code == 0, answer.err
    folder = tmp_path / answer.json["folder"]
    claims = json.loads((folder / "claims.json").read_text())
    assert [claim["claim"] for claim in claims] == [claim.text for claim in recipe.claims]
    assert all(claim["holds"] in ("yes", "no", "undecided") for claim in claims), claims
    assert all(claim["ours"] for claim in claims)
    assert answer.json["rows"]
    assert (folder / "table.csv").read_text().count("\n") == len(answer.json["rows"]) + 1
    assert all((folder / f"figure.{kind}").stat().st_size > 5000 for kind in ("png", "svg"))


@pytest.mark.parametrize("name", RECIPES)
def test_stages_name_what_there_is(name):
    for scale in SCALES:
        for stage in chain(RECIPES[name].scales[scale]):
            REGISTRY.find(Method, stage.method)
            for analysis in stage.analyses:
                REGISTRY.find(Analysis, analysis)


def test_runs_are_used_again_and_changes_kept_apart(wn, tmp_path):
    first = wn(*DEPTH, "--report", "page.html")
    assert first.code == 0, first.err
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*/run.json")}
    again = wn(*DEPTH, "--seeds", 1, "--json")
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/*/run.json")} == stamps
    assert len(list((tmp_path / "runs" / "recipes").iterdir())) == 2
    page = (tmp_path / "page.html").read_text()
    assert all(claim.text in html.unescape(page) for claim in RECIPES["supermask/depth"].claims)
    assert "data:image" in page


def test_what_it_costs_is_said_and_asked(wn, tmp_path):
    answer = wn(*DEPTH[:2], "--dry-run")
    assert answer.code == 0
    assert "from a timed step" in answer.out
    assert not (tmp_path / "runs").exists()
    answer = wn("reproduce", "supermask/depth")
    assert answer.code == 2
    assert "add --yes" in answer.line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["supermask/dept"], 2, "did you mean 'supermask/depth'"),
        (["supermask/depth", "--scale", "huge"], 2, "is not one of"),
        (["supermask/depth", "--yes", "--set", "epohcs=1"], 2, "did you mean 'epochs'"),
        (["supermask/depth", "--yes", "--set", "epochs"], 2, "write KEY=VALUE"),
        (["supermask/depth", "--yes", "--dataset", "npz:path=none.npz"], 2, "none.npz"),
        (["supermask/depth", "--yes", "--dataset", "imagenet"], 1, "--dataset"),
    ],
)
def test_wrong_requests(words, code, line, wn, tmp_path):
    answer = wn("reproduce", *words)
    assert (answer.code, line in answer.line) == (code, True), answer.err
    assert not (tmp_path / "runs").exists()
