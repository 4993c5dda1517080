"""``wn analyze class-filters``, ``essential``, ``mutual-information`` and ``selectivity`` on runs of every kind."""

import json

import pytest
import torch

from widenet.capture import readout
from widenet.loading import load
from widenet.opening import network
from widenet.runs import Run
from widenet.store import read_arrays

FC = ("train", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "2")
MASKED = ("supermask", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "2")
PRUNED = ("prune", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "3", "--rates", "2=0.5")
RESNET = ("train", "--arch", "resnet20:width=0.25", "--dataset", "digits", "--epochs", "1", "--per-class", "20")
DENSE = ("import", "--preset", "check")


@pytest.fixture
def analyze(wn):
    """``analyze(name, run, *words)``: rows, folder and what was said."""

    def carry_out(name, path, *words):
        answer = wn("analyze", name, path, *words, "--threads", "1", "--json")
        assert answer.code == 0, answer.err
        kept = [line for line in answer.err.splitlines() if line.startswith("kept in ")][-1]
        return answer.json, path.parents[1] / kept.removeprefix("kept in "), answer.err

    return carry_out


@pytest.mark.parametrize("words", [FC, MASKED, PRUNED, RESNET], ids=lambda words: words[0] + words[2][:6])
def test_filters_of_runs_of_every_method(run, analyze, words):
    path = run(*words)
    rows, folder, _ = analyze("class-filters", path, "--score", "frequency,weight,random", "--k", "2,3")
    net = network(load(), Run.open(path))
    units = rows[0]["units"]
    assert [(row["score"], row["k"]) for row in rows] == [(s, k) for s in ("frequency", "weight", "random") for k in "23"]
    (mask,) = read_arrays(folder / "masks" / "weight-3.h5").values()
    weight = next(module for name, module in net.named_modules() if name == rows[0]["layer"].removesuffix(":input")).weight
    assert mask.shape == (len(weight), units)
    for row, values in zip(mask, weight.detach(), strict=True):
        assert set(values[row].tolist()) == set(values.topk(3).values.tolist())
    layer = rows[0]["layer"].replace(":", "-")
    lists = json.loads((folder / "filters" / f"{layer}-weight-3.json").read_text())
    assert [set(members) for members in lists.values()] == [set(row.nonzero()[0].tolist()) for row in mask]
    assert (folder / f"class-filters-{layer}.png").is_file()


def test_filters_of_any_layer_by_pattern(run, analyze):
    rows, folder, _ = analyze("class-filters", run(*RESNET), "--layer", "layer?,linear:input", "--k", "4")
    assert {row["layer"]: row["units"] for row in rows} == {"layer1": 4, "layer2": 8, "layer3": 16, "linear:input": 16}
    masks = read_arrays(folder / "masks" / "frequency-4.h5")
    assert {layer: mask.shape for layer, mask in masks.items()}["layer2"] == (10, 8)
    assert masks["layer1"].all()
    whole = [row for row in rows if row["layer"] == "layer1" and row["score"] == "frequency"]
    assert whole[0]["mass"] == pytest.approx(1)
    assert whole[0]["jaccard"] == 1


def test_a_fraction_in_place_of_a_size(run, analyze):
    path = run(*RESNET)
    half, _, _ = analyze("class-filters", path, "--mass", "0.5", "--score", "frequency,share")
    most, folder, _ = analyze("class-filters", path, "--mass", "0.9", "--score", "frequency,share")
    assert [row["k"] for row in half] == ["50%"] * 2
    assert all(one["largest"] <= other["largest"] for one, other in zip(half, most, strict=True))
    assert most[1]["mass"] >= 0.9
    assert (folder / "masks" / "share-90.h5").is_file()


def test_other_samples_give_other_counts(run, analyze):
    path = run(*FC)
    train, _, _ = analyze("class-filters", path, "--k", "2")
    test, _, said = analyze("class-filters", path, "--k", "2", "--split", "test")
    assert train[0]["mass"] != test[0]["mass"]
    assert "capturing" in said
    _, _, again = analyze("class-filters", path, "--k", "3", "--split", "test")
    assert "capturing" not in again


def test_dead_units_are_named(wn, tmp_path, run, analyze):
    path = run(*FC, "--seed", "3")
    state = Run.open(path).weights()
    head = readout(network(load(), Run.open(path)), _tiny())
    layer = sorted(name for name in state if name.endswith("weight"))[-2]
    state[layer][2] = 0
    torch.save(state, path / "weights" / "final.pt")
    _, _, said = analyze("class-filters", path, "--k", "2", "--fresh")
    assert f"of 8 units of {head.layer} are 0 on every sample (" in said
    assert "2" in said.split("on every sample (")[1].split(")")[0].split(", ")
    rows, _, _ = analyze("selectivity", path, "--fresh")
    assert all(row["dead"] >= 1 for row in rows if row["layer"] == head.layer)


def _tiny():
    from widenet.builtin.datasets import Tiny, load_tiny

    return load_tiny(None, Tiny()).test


def test_what_overwriting_does(run, analyze):
    path = run(*RESNET)
    words = ("--k", "4", "--replace", "noise,zero,mean,matched,shuffle", "--draws", "3", "--others")
    rows, folder, _ = analyze("essential", path, *words)
    assert len(rows) == 5 * 2 * 2
    assert {(row["score"], row["replace"]): row["draws"] for row in rows}["frequency", "zero"] == 1
    assert {(row["score"], row["replace"]): row["draws"] for row in rows}["random", "zero"] == 3
    assert all(row["low"] - 1e-9 <= row["accuracy"] <= row["high"] + 1e-9 for row in rows)
    assert all(0 <= row["others_accuracy"] <= 1 for row in rows)
    counts = read_arrays(folder / "arrays" / "essential.h5")
    assert counts["noise/frequency-4"].shape == (3, 2, 10)
    assert counts["samples"].sum() == 360
    assert (folder / "essential.png").is_file()


def test_overwriting_all_units_of_a_class_with_zero_leaves_the_bias(run, analyze):
    path = run(*FC)
    rows, _, _ = analyze("essential", path, "--k", "8", "--replace", "zero", "--score", "frequency")
    own, rest = rows
    assert rest["accuracy"] == rest["clean"]
    assert own["accuracy"] == pytest.approx(0.25, abs=0.1)  # all samples get the class of the largest bias


def test_information_beside_random_sets(run, analyze):
    rows, _, _ = analyze("mutual-information", run(*FC), "--k", "2,8")
    assert [row["score"] for row in rows] == ["frequency", "frequency", "weight", "weight", "random", "random"]
    assert rows[1]["all_pairs"] == rows[1]["self"] == 0
    assert rows[0]["all_pairs"] > 0
    assert rows[0]["histogram"] > 0
    assert rows[4]["off_diagonal"] == pytest.approx(rows[0]["random_off_diagonal"])


def test_selectivity_of_every_relu(run, analyze):
    rows, folder, _ = analyze("selectivity", run(*RESNET))
    assert rows[0]["layer"] == "relu"
    assert rows[-1]["layer"] == "linear:input"
    assert len(rows) == 1 + 18 + 1
    assert all(0 <= row["selectivity"] <= 1 and 0 <= row["psi"] <= 1 and 0 <= row["entropy"] <= 2.303 for row in rows)
    assert read_arrays(folder / "arrays" / "selectivity.h5")["relu/selectivity"].shape == (4,)
    some, _, _ = analyze("selectivity", run(*RESNET), "--layer", "bn1,layer3")
    assert some[0]["psi"] is None
    assert some[1]["psi"] is not None


def test_indices_from_a_file(run, analyze, tmp_path):
    path = run(*FC)
    (tmp_path / "sets.json").write_text(json.dumps([[0, 1], [2, 3], [4, 5], [6, 7]]))
    words = ("--indices", tmp_path / "sets.json", "--score", "random", "--draws", "2")
    rows, _, _ = analyze("essential", path, *words)
    assert [row["score"] for row in rows] == ["file", "file", "random", "random"]
    table, _, _ = analyze("mutual-information", path, *words[:2])
    assert [row["score"] for row in table] == ["file", "weight", "random"]
    assert table[0]["jaccard"] == 0
    assert table[0]["distinct"] == 8
    (tmp_path / "sets.json").write_text(json.dumps([[0, 1], [0, 1], [0, 1], [0, 1]]))
    table, _, _ = analyze("mutual-information", path, *words[:2])
    assert table[0]["jaccard"] == 1  # the same command sees that its file has changed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("class-filters", "--k", "9"), "--k 9: layer linear.4:input has 8 units; choose from 1 to 8"),
        (("class-filters", "--k", "0"), "k takes whole numbers from 1, or all, not '0'"),
        (("class-filters", "--k", "0.5"), "a fraction goes to mass"),
        (("class-filters", "--mass", "0.5", "--k", "2"), "give one of them"),
        (("class-filters", "--mass", "1.5"), "mass"),
        (("class-filters", "--score", "loudness"), "'loudness' is none of frequency"),
        (("class-filters", "--score", "gate"), "score gate needs gates"),
        (("class-filters", "--layer", "linear.0", "--score", "weight"), "score weight needs weights"),
        (("class-filters", "--layer", "nowhere"), "no layer matches 'nowhere'"),
        (("class-filters", "--mass", "0.5", "--score", "random"), "score random has no mass"),
        (("class-filters", "--layer", "linear.0", "--score", "share"), "negative responses"),
        (("class-filters", "--layer", "linear.0", "--score", "median"), "negative responses"),
        (("class-filters", "--layer", "linear.0", "--score", "frequency", "--mass", "0.5"), "negative responses"),
        (("essential", "--k", "9"), "--k 9"),
        (("essential", "--indices", "nowhere.json"), "there is no file nowhere.json"),
        (("mutual-information", "--score", "lowest-gate"), "score lowest-gate needs gates"),
        (("selectivity", "--layer", "nowhere"), "no layer matches"),
        (("selectivity", "--fraction", "1"), "fraction"),
    ],
)
def test_what_cannot_be_studied_is_one_line(wn, run, words, said):
    answer = wn("analyze", words[0], run(*FC), *words[1:], "--threads", "1")
    assert answer.code == 2
    assert said in answer.err
    assert len([line for line in answer.err.splitlines() if line.startswith("wn: ")]) == 1


def test_a_network_without_a_linear_classifier(wn, run, tmp_path):
    (tmp_path / "pooled.py").write_text(
        "from widenet import Model, NoOptions, hookimpl\n\n"
        "def pooled(shape, classes, config):\n"
        "    'Ends in a pool.'\n"
        "    from torch import nn\n"
        "    layers = nn.Conv2d(shape[0], classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()\n"
        "    return nn.Sequential(*layers)\n\n"
        "@hookimpl\ndef models():\n    yield Model('pooled', pooled, NoOptions)\n"
    )
    plugin = ("--plugin", tmp_path / "pooled.py")
    made = wn(*plugin, "run", "train", "--arch", "pooled", "--dataset", "tiny", "--epochs", "1", "--quiet", "--json")
    assert made.code == 0, made.err
    for name in ("essential", "mutual-information"):
        answer = wn(*plugin, "analyze", name, made.json["run"])
        assert answer.code == 2
        assert "does not end in a linear classifier" in answer.err
    answer = wn(*plugin, "run", "decompose", "--from", made.json["run"])
    assert answer.code == 2
    assert "does not end in a linear classifier" in answer.err
    answer = wn(*plugin, "analyze", "class-filters", made.json["run"], "--layer", "0", "--k", "2", "--json")
    assert answer.code == 0, answer.err
