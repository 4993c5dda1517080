"""``wn run decompose``: what it measures, the network that it leaves, training, runs of other methods, bad input."""

import csv
import json

import pytest
import torch

from widenet.capture import readout
from widenet.loading import load
from widenet.opening import dataset, network
from widenet.runs import Run
from widenet.train import evaluate
from widenet_decompose.layer import DecomposedLinear

FC = ("train", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "2")
MASKED = ("supermask", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "2", "--init", "kaiming_normal")
DENSENET = ("train", "--arch", "torchvision:name=densenet121", "--dataset", "tiny:size=32,channels=3,train=16,test=8")
HEAD = "linear.4"


@pytest.fixture
def decompose(wn, home):
    """``decompose(run, *words)``: the finished run."""

    def carry_out(parent, *words):
        answer = wn("run", "decompose", "--from", parent, *words, "--threads", "1", "--quiet", "--json", cwd=home)
        assert answer.code == 0, answer.err
        return Run.open(home / answer.json["run"])

    return carry_out


def opened(run):
    return network(load(), run), dataset(load(), run, run.path, 0, torch.device("cpu"))


def table(run, name="decompose"):
    with (run.path / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_network_is_left_with_what_was_measured(run, decompose):
    parent = Run.open(run(*FC))
    found = decompose(parent.path, "--k", "3,2,8")
    result = found.record["result"]
    (mask,) = found.masks().values()
    assert list(found.masks()) == [HEAD]
    assert mask.sum(1).tolist() == [3] * 4
    filters = json.loads((found.path / "filters.json").read_text())
    assert [set(units) for units in filters.values()] == [set(row.nonzero()[0].tolist()) for row in mask]
    net, data = opened(found)
    assert evaluate(net, data.test)["accuracy"] == pytest.approx(result["test_accuracy"])
    assert result["test_accuracy"] == result["decomposed_accuracy"]
    whole = parent.record["result"]["test_accuracy"]
    assert result["full_accuracy"] == pytest.approx(whole)
    rows = {(row["score"], row["k"]): row for row in table(found)}
    assert float(rows["frequency", "3"]["accuracy"]) == result["decomposed_accuracy"]
    assert float(rows["frequency", "8"]["accuracy"]) == float(rows["random", "8"]["accuracy"]) == pytest.approx(whole)
    assert float(rows["frequency", "8"]["agreement"]) == 1
    assert float(rows["random", "8"]["deviation"]) == 0
    before, after = (each.weights() for each in (parent, found))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (found.path / "accuracy-by-k.png").is_file()


def test_accuracy_by_class_adds_up(run, decompose):
    found = decompose(run(*FC), "--k", "2", "--score", "mean,weight")
    rows = table(found, "classes")
    for line in table(found):
        of = [row for row in rows if (row["score"], row["k"]) == (line["score"], line["k"])]
        assert sum(int(row["samples"]) for row in of) == 64
        assert sum(int(row["right"]) for row in of) == pytest.approx(64 * float(line["accuracy"]))


def test_every_number_of_units(run, decompose):
    found = decompose(run(*FC), "--k", "all", "--score", "frequency,contribution-frequency,mass,median,contrast,random")
    sizes = [int(row["k"]) for row in table(found) if row["score"] == "mass"]
    assert sizes == list(range(1, 9))
    assert found.record["result"]["k"] == 5


@pytest.mark.parametrize("finetune", ["head", "all"])
def test_training_moves_what_it_should(run, decompose, finetune):
    parent = Run.open(run(*FC))
    found = decompose(parent.path, "--k", "2", "--finetune", finetune, "--epochs", "3", "--lr", "0.01")
    (mask,) = found.masks().values()
    assert mask.sum(1).tolist() == [2] * 4
    before, after = (each.weights() for each in (parent, found))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    head = {f"{HEAD}.weight"}
    assert moved == head if finetune == "head" else moved > head
    kept = torch.from_numpy(mask)
    assert torch.equal(before[f"{HEAD}.weight"][~kept], after[f"{HEAD}.weight"][~kept])
    net, data = opened(found)
    assert evaluate(net, data.test)["accuracy"] == pytest.approx(found.record["result"]["test_accuracy"])
    assert found.metrics()[-1]["train/loss"] < found.metrics()[0]["train/loss"]


def test_features_computed_once_train_as_the_network_does(run, decompose):
    """Without batch norm and augmentation a frozen body makes the same features in every pass."""
    parent = run(*FC)
    words = ("--k", "3", "--finetune", "head", "--epochs", "2", "--val", "0.2", "--save-every", "1")
    found = decompose(parent, *words)
    net, data = opened(found)
    assert evaluate(net, data.val)["accuracy"] == pytest.approx(found.metrics()[-1]["val/accuracy"])
    assert evaluate(network(load(), found, "epoch-0001"), data.test)["loss"] == pytest.approx(found.metrics()[0]["test/loss"])
    assert "best_epoch" in found.record["result"]


def test_the_masks_of_another_method_stay(run, decompose):
    parent = Run.open(run(*MASKED))
    found = decompose(parent.path, "--k", "4")
    before, after = parent.masks(), found.masks()
    assert before.keys() == after.keys()
    others = [name for name in before if name != HEAD]
    assert all((before[name] == after[name]).all() for name in others)
    assert not (after[HEAD] & ~before[HEAD]).any()
    net, data = opened(found)
    assert evaluate(net, data.test)["accuracy"] == pytest.approx(found.record["result"]["test_accuracy"])


def test_sets_from_a_file_and_no_pass_over_the_training_images(run, decompose, tmp_path):
    (tmp_path / "sets.json").write_text(json.dumps([[0, 1, 2], [1, 2, 3], [5, 6, 7], [7, 0, 4]]))
    found = decompose(run(*FC), "--indices", tmp_path / "sets.json")
    assert found.masks()[HEAD][0].nonzero()[0].tolist() == [0, 1, 2]
    assert not list((found.path / "activations").glob("train-*"))
    first = decompose(run(*FC), "--indices", tmp_path / "sets.json", "--k", "1")
    last = decompose(run(*FC), "--indices", tmp_path / "sets.json", "--k", "1", "--order", "ascending")
    assert [row.nonzero()[0].item() for row in first.masks()[HEAD]] == [0, 1, 5, 7]
    assert [row.nonzero()[0].item() for row in last.masks()[HEAD]] == [2, 3, 7, 4]


def test_filters_that_an_analysis_found(wn, run, decompose, home):
    parent = run(*FC)
    answer = wn("analyze", "class-filters", parent, "--k", "3", "--json", cwd=home)
    folder = home / answer.err.splitlines()[-1].removeprefix("kept in ")
    listed = decompose(parent, "--indices", next((folder / "filters").glob("*-frequency-3.json")))
    masked = decompose(parent, "--indices", folder / "masks" / "frequency-3.h5")
    assert (listed.masks()[HEAD] == masked.masks()[HEAD]).all()
    assert (decompose(parent, "--k", "3").masks()[HEAD] == listed.masks()[HEAD]).all()


def test_the_layer_alone_as_a_file(wn, run, decompose, home):
    found = decompose(run(*FC), "--k", "3", "--finetune", "head", "--epochs", "1")
    answer = wn("export", found.path, "--what", "decomposed", cwd=home)
    assert answer.code == 0, answer.err
    state = torch.load(found.path / "exports" / "decomposed.pt", weights_only=True)
    net, data = opened(found)
    layer = DecomposedLinear(torch.nn.Linear(8, 4, bias=False), state["indices"])
    layer.load_state_dict(state)
    head = readout(net, data.test)
    x = torch.rand(5, 8)
    torch.testing.assert_close(layer(x), head.logits(x))
    refused = wn("export", run(*FC), "--what", "decomposed", cwd=home)
    assert refused.code == 2
    assert "has no decomposed layer" in refused.err


def test_the_number_is_that_of_the_network_also_of_random_sets(run, decompose):
    found = decompose(run(*FC), "--score", "random,weight", "--k", "4")
    net, data = opened(found)
    result = found.record["result"]
    assert evaluate(net, data.test)["accuracy"] == pytest.approx(result["test_accuracy"])
    rows = {row["score"]: float(row["accuracy"]) for row in table(found)}
    assert rows["random"] == pytest.approx(result["random_accuracy"])


def test_a_fresh_network_is_said_to_be_one(wn, tmp_path):
    answer = wn("run", "decompose", "--arch", "fc", "--dataset", "tiny", "--k", "2", "--threads", "1", cwd=tmp_path)
    assert answer.code == 0
    assert "this is a fresh network, untrained; --from RUN" in answer.err


def test_sets_of_several_sizes(run, wn, decompose, tmp_path, home):
    (tmp_path / "sets.json").write_text(json.dumps([[0, 1, 2], [1], [5, 6], [7, 0]]))
    found = decompose(run(*FC), "--indices", tmp_path / "sets.json")
    assert found.masks()[HEAD].sum(1).tolist() == [3, 1, 2, 2]
    words = ("--indices", tmp_path / "sets.json", "--score", "weight", "--json")
    rows = wn("analyze", "mutual-information", run(*FC), *words).json
    assert rows[0]["random_off_diagonal"] != rows[1]["random_off_diagonal"]
    refused = wn("run", "decompose", "--from", run(*FC), "--indices", tmp_path / "sets.json", "--k", "2", cwd=home)
    assert refused.code == 2
    assert "--k 2: " in refused.err
    assert "has 1 units of a class" in refused.err


def test_some_of_a_mask_are_refused(run, wn, decompose, home):
    answer = wn("analyze", "class-filters", run(*FC), "--k", "3", "--json", cwd=home)
    mask = home / answer.err.splitlines()[-1].removeprefix("kept in ") / "masks" / "frequency-3.h5"
    refused = wn("run", "decompose", "--from", run(*FC), "--indices", mask, "--k", "2", cwd=home)
    assert refused.code == 2
    assert "have no order to take some by" in refused.err


@pytest.mark.slow
def test_any_network_of_torchvision_with_a_linear_classifier(run, decompose):
    found = decompose(run(*DENSENET, "--epochs", "1", "--batch-size", "8"), "--k", "10")
    assert found.masks()["classifier"].sum(1).tolist() == [10] * 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--k", "9"), "--k 9: layer linear.4:input has 8 units; choose from 1 to 8"),
        (("--k", "many"), "k takes whole numbers from 1, or all, not 'many'"),
        (("--score", "gate"), "score gate needs gates"),
        (("--indices", "few.json"), "it has 3 classes, the network 4"),
        (("--indices", "far.json"), "class 2 names unit 8, the layer has units 0 to 7"),
        (("--indices", "twice.json"), "class 0 names unit 1 twice"),
        (("--indices", "bad.pkl"), "is a pickle, which can run code"),
        (("--indices", "good.json", "--k", "3"), "--k 3: good.json has 2 units of a class"),
        (("--finetune", "nothing"), "'nothing' is none of none, head, all"),
        (("--draws", "0"), "draws"),
    ],
)
def test_what_cannot_be_decomposed_is_one_line_and_leaves_no_folder(wn, run, home, words, said):
    sets = {
        "few": [[0]] * 3,
        "far": [[0], [1], [8], [2]],
        "twice": [[1, 1], [0], [0], [0]],
        "good": [[0, 1], [1, 2], [2, 3], [3, 4]],
    }
    for name, content in sets.items():
        (home / f"{name}.json").write_text(json.dumps(content))
    (home / "bad.pkl").write_bytes(b"\x80\x04N.")
    parent = run(*FC)
    before = sorted((home / "runs").iterdir())
    answer = wn("run", "decompose", "--from", parent, *words, "--threads", "1", cwd=home)
    assert answer.code == 2
    assert said in answer.err
    assert sorted((home / "runs").iterdir()) == before
