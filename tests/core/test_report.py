"""One page of runs: all that they keep is on it, nothing of it acts, and what is missing is said."""

import base64
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from pages import Page, analysis, edit

from widenet import figures
from widenet.loading import load
from widenet.report import page
from widenet.runs import Run

EVIL = "<script>alert(1)</script>&\"'"
CLAIM = {
    "claim": "half is best",
    "source": "fig. 4",
    "paper": 0.5,
    "ours": [0.25, 0.75],
    "mean": 0.5,
    "spread": 0.35,
    "holds": "yes",
}


@pytest.fixture(scope="module")
def whole(supermask_run):
    """The page of a run that lacks nothing."""
    return Page(page([Run.open(supermask_run, registry=load())], title="A run"))


def content(address):
    """The bytes of a ``data:`` address."""
    return base64.b64decode(address.partition("base64,")[2], validate=True)


# -- what is on the page -----------------------------------------------------------------------------------------------


def test_every_option_with_its_origin(supermask_run, whole):
    record = json.loads((supermask_run / "run.json").read_text())
    found = {row["option"]: row for row in whole.rows("All options")}
    for name, entry in record["options"].items():
        assert found[name]["origin"] == entry["source"]
    assert found["epochs"] == {"option": "epochs", "value": "2", "origin": "command line"}
    assert (found["weight_decay"]["value"], found["milestones"]["value"]) == ("0.0005", "none")
    assert (found["arch"]["value"], found["arch"]["origin"]) == ("core/fc", "command line")
    assert (found["arch.hidden"]["value"], found["arch.hidden"]["origin"]) == ("300, 100", "default")
    assert (found["seed"]["value"], found["seed"]["origin"]) == ("0", "default")
    assert len(found) == len(record["options"]) + len(record["arch"]["options"]) + len(record["dataset"]["options"]) + 3


def test_options_that_were_chosen_stand_apart(whole):
    chosen = {row["option"] for row in whole.rows("Options that were chosen")}
    assert chosen == {"arch", "dataset", "epochs", "keep"}


def test_origins_of_network_and_data(tmp_path, wn, report):
    first = ["train", "--arch", "fc:hidden=5", "--dataset", "tiny", "--epochs", "1"]
    run = tmp_path / wn("run", *first, "--quiet", "--json").json["run"]
    then = tmp_path / wn("run", "train", "--from", run, "--epochs", "2", "--quiet", "--json").json["run"]
    assert json.loads((run / "run.json").read_text())["sources"] == {
        "arch": "command line",
        "dataset": "command line",
        "seed": "default",
    }
    rows = {row["option"]: row["origin"] for row in report(run).rows("All options")}
    assert (rows["arch.hidden"], rows["arch.bias"]) == ("command line", "default")
    name = f"run {run.parent.name}/seed-0"
    rows = {row["option"]: row["origin"] for row in report(then).rows("All options")}
    assert (rows["arch"], rows["dataset"], rows["arch.hidden"]) == (name, name, name)
    old = json.loads((then / "run.json").read_text())
    del old["sources"]
    (then / "run.json").write_text(json.dumps(old))
    rows = {row["option"]: row["origin"] for row in report(then).rows("All options")}
    assert (rows["arch"], rows["seed"], rows["epochs"]) == (name, "default", "command line")
    edit(then, argv=["run", "train", "--preset=some"])
    rows = {row["option"]: row["origin"] for row in report(then).rows("All options")}
    assert (rows["arch"], rows["seed"]) == ("not recorded", "not recorded")


def test_command_results_and_provenance(supermask_run, whole):
    record = json.loads((supermask_run / "run.json").read_text())
    text = whole.text
    assert "wn run supermask --arch fc --dataset tiny --epochs 2 --sparsity 0.6 --quiet --json" in text
    for fact in (record["host"], record["versions"]["torch"], record["started"].replace("T", " "), "supermask/supermask 0.1.0"):
        assert fact in text
    assert f"{record['result']['test_accuracy']:.2%}" in text
    assert f"{record['parameters']:,} parameters" in text


def test_files_with_the_hash_of_weights_and_masks(supermask_run, whole):
    import hashlib

    files = {row["file"]: row for row in whole.rows("Files")}
    for name in ("weights/final.pt", "masks/final.h5"):
        there = (supermask_run / name).read_bytes()
        assert files[name]["SHA-256, first 16 digits"] == hashlib.sha256(there).hexdigest()[:16]
        assert files[name]["bytes"] == f"{len(there):,}"


def test_curves_and_metrics(supermask_run, whole):
    (curves,) = [image for image in whole.images if image["alt"].startswith("training curves")]
    assert ElementTree.fromstring(content(curves["src"])).tag.endswith("svg")
    lines = Run.open(supermask_run).metrics()
    assert [row["train/loss"] for row in whole.rows("Metrics")] == [f"{line['train/loss']:.4g}" for line in lines]


def test_masks_layer_by_layer(supermask_run, whole):
    *rows, total = whole.rows("Masks, layer by layer")
    masks = Run.open(supermask_run).masks()
    assert [row["layer"] for row in rows] == list(masks)
    for row, mask in zip(rows, masks.values(), strict=True):
        assert row["shape"] == " \N{MULTIPLICATION SIGN} ".join(map(str, mask.shape))
        assert (row["kept"], row["density"]) == (f"{mask.sum():,}", f"{mask.mean():.2%}")
    assert total["kept"] == f"{sum(mask.sum() for mask in masks.values()):,}"


def test_an_analysis_with_its_rows_figure_and_csv(copy, report):
    rows = [{"layer": f"l{number}", "share": number / 7, "empty": None} for number in range(60)]
    out = analysis(copy, rows)
    figure, (axes,) = figures.new()
    axes.plot([0, 1])
    figures.write(figure, [out / "shares.svg", out / "shares.png"])
    found = report(copy)
    assert [row["share"] for row in found.rows("counted")] == [f"{row['share']:.4g}" for row in rows[:50]]
    assert "empty" not in found.tables["counted"][0][0]
    assert f"The first 50 of 60 rows; 10 more in {copy.parent.name}/{copy.name}/analyses/{out.name}/result.csv" in found.text
    (link,) = [address for address in found.addresses if address.startswith("data:text/csv")]
    assert content(link) == (out / "result.csv").read_bytes()
    (image,) = [image for image in found.images if image["alt"] == "shares of counted"]
    assert content(image["src"]) == (out / "shares.svg").read_bytes()
    assert int(image["width"]) == round(figures.WIDTH * 96)
    (out / "shares.svg").unlink()
    (image,) = [image for image in report(copy).images if image["alt"] == "shares of counted"]
    assert content(image["src"]) == (out / "shares.png").read_bytes()
    assert int(image["width"]) == round(figures.WIDTH * 96)


def test_an_analysis_made_before_the_run_went_on_is_named(bare, report):
    analysis(bare, [{"n": 1}], of={"finished": "2020-01-01T00:00:00", "epochs": 1})
    assert "The run has been changed since this analysis was made" in report(bare).text


def test_an_analysis_really_carried_out(copy, wn, report):
    rows = wn("analyze", "mask-stats", copy, "--quiet", "--json").json
    found = report(copy)
    assert [row["dead units"] for row in found.rows("mask-stats")] == [str(row["dead_units"]) for row in rows]
    assert "Count kept weights, density and dead units of each masked layer." in found.text


def test_several_runs_have_an_overview(supermask_run, train_run, report):
    found = report(supermask_run, train_run, supermask_run)
    rows = found.rows("Overview of the runs")
    names = [f"{path.parent.name}/{path.name}" for path in (supermask_run, train_run)]
    assert [row["run"] for row in rows] == names
    assert [row["method"] for row in rows] == ["supermask", "train"]
    assert [row["epochs"] for row in rows] == ["2", "1"]
    accuracies = [Run.open(path).record["result"]["test_accuracy"] for path in (supermask_run, train_run)]
    assert [row["test accuracy"] for row in rows] == [f"{value:.2%}" for value in accuracies]
    assert {"#run-1", "#run-2"} <= set(found.addresses)
    assert {"run-1", "run-2"} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert any(image["alt"] == "training curves of all runs" for image in found.images)


def test_a_folder_of_several_seeds_means_all(copy, report):
    other = Path(shutil.copytree(copy, copy.with_name("seed-1")))
    edit(other, seed=1)
    rows = report(copy.parent.name).rows("Overview of the runs")
    assert [row["run"].rpartition("/")[2] for row in rows] == ["seed-0", "seed-1"]


def test_claims_and_figures_of_a_reproduction(supermask_run, tmp_path):
    figure, _ = figures.new()
    drawn = figures.write(figure, [tmp_path / "width.png", tmp_path / "width.svg"])
    other = {
        "claim": "more is more",
        "source": "table 1",
        "paper": None,
        "ours": [1.0],
        "mean": 1.0,
        "spread": 0.0,
        "holds": "no",
    }
    claims = [CLAIM, other, {**other, "holds": "undecided"}]
    found = Page(page([Run.open(supermask_run)], title="Widths", claims=claims, figures=drawn))
    rows = found.rows("Claims")
    assert rows[0] == {
        "claim": "half is best",
        "source": "fig. 4",
        "paper's value": "0.5",
        "our mean": "0.5",
        "± spread": "0.35",
        "direction": "✓ holds",
        "each seed": "0.25, 0.75",
    }
    assert [row["direction"] for row in rows[1:]] == ["✗ does not hold", "? undecided"]
    assert next(image["alt"] for image in found.images) == "width"
    assert "Widths" in found.text


def test_claims_that_a_run_keeps(bare, report):
    (bare / "claims.json").write_text(json.dumps([CLAIM]))
    assert report(bare).rows("Claims")[0]["claim"] == "half is best"


# -- nothing but the page ----------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_else_and_is_always_the_same(supermask_run, wn):
    first = wn("report", supermask_run, "-o", "-").out
    assert wn("report", supermask_run, "-o", "-").out == first
    found = Page(first)
    assert found.addresses
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    assert not {"link rel=stylesheet", "iframe", "object", "embed", "base"} & found.tags
    css = first[first.index("<style>") : first.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css
    assert "default-src 'none'" in first


def test_everything_is_escaped(bare, report, wn):
    record = json.loads((bare / "run.json").read_text())
    options = {**record["options"], EVIL: {"value": EVIL, "source": EVIL}}
    edit(
        bare, error=EVIL, host=EVIL, argv=["run", EVIL], status=EVIL, options=options, result={EVIL: EVIL}, inputs={EVIL: EVIL}
    )
    (bare / "log.txt").write_text(EVIL)
    (bare / "claims.json").write_text(json.dumps([dict.fromkeys(CLAIM, EVIL)]))
    analysis(bare, [{EVIL: EVIL}], component=f"a/{EVIL}", error=EVIL, parents=["", EVIL], options={EVIL: EVIL})
    figures.write(figures.new()[0], [bare / f"{EVIL.replace('/', '')}.svg"])
    answer = wn("report", bare, "--title", EVIL, "-o", "-")
    assert answer.code == 0, answer.err
    assert "alert(1)" in answer.out
    assert "<script>alert" not in answer.out
    assert answer.out.count("<script>") == 1
    assert answer.out.count(EVIL) == 0


def test_help_names_folders_of_seeds(wn):
    assert "several seeds means all of them" in wn("report", "--help").out


def test_masks_of_a_network_that_is_one_layer(bare, report):
    Run.open(bare).save_masks("final", {"": np.array([[True, False]])})
    assert report(bare).rows("Masks, layer by layer")[0]["layer"] == "(the network)"


def test_a_figure_that_says_no_size_is_shown(bare, report):
    (bare / "plain.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"></svg>')
    (image,) = [image for image in report(bare).images if "plain" in image["alt"]]
    assert "width" not in image
