"""Published representations, made up in the authors' form."""

import pickle
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from widenet import UsageError
from widenet.options import build, resolve
from widenet_redundant_repr.published import read_set
from widenet_redundant_repr.published_components import DATASETS, MODELS, ReadOut, Representations, read_out, representations

RECIPE = "ep200_wd0.0005_label_smoothing0.0"
LABEL = f"{RECIPE}_seed12"
SET = f"wide_resnet28_8_{LABEL}"
"""A network whose own name ends in a number and a layer of width 8, so that their limits are easily mistaken."""
ENSEMBLE = f"ensamble_averages_wide_resnet28_8_{RECIPE}_n20_20_nrep10.npy"


def write(folder, name=SET, width=8):
    """Write a set, the labels of both splits, an ensemble and a result."""
    folder.mkdir(exist_ok=True)
    draw = torch.Generator().manual_seed(0)
    for split, part, count in (("train", "training", 30), ("test", "test", 20)):
        torch.save(torch.randn(count, width, generator=draw), folder / f"features_{name}_{split}.pt")
        torch.save(torch.arange(count) % 10, folder / f"cifar10_labels_{part}_set.pt")
    torch.save(torch.nn.Parameter(torch.randn(10, width, generator=draw)), folder / f"weights_{name}.pt")
    torch.save(torch.nn.Parameter(torch.randn(10, generator=draw)), folder / f"bias_{name}.pt")
    np.save(folder / ENSEMBLE, np.array([0.97, 0.96]))
    np.save(folder / "r2_c10_test_wr28_8.npy", np.ones((2, 10)))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "download_repr")


def test_a_whole_set(folder):
    found = read_set(folder)
    assert (found.net, found.width, found.label, found.ensemble_accuracy) == ("wide_resnet28", 8, LABEL, 0.97)
    assert torch.equal(found.features_train, torch.load(folder / f"features_{SET}_train.pt"))
    assert torch.equal(found.features_test, torch.load(folder / f"features_{SET}_test.pt"))
    assert torch.equal(found.weight, torch.load(folder / f"weights_{SET}.pt").detach())
    assert (found.bias.shape, found.bias.requires_grad) == ((10,), False)
    assert found.labels_train.tolist() == [*range(10)] * 3
    assert found.labels_test.dtype == torch.int64
    assert list(found.results) == ["r2_c10_test_wr28_8"]


def test_files_lie_at_any_depth_and_some_may_be_absent(folder):
    (folder / ENSEMBLE).unlink()
    (folder / "r2_c10_test_wr28_8.npy").unlink()
    found = read_set(folder.parent)
    assert found.ensemble_accuracy is None
    assert found.results == {}


def test_a_network_with_a_number_in_its_name(tmp_path):
    folder = write(tmp_path, f"wide_resnet28_1_inpl4_16_{LABEL}", 16)
    found = read_set(folder)
    assert (found.net, found.width, found.ensemble_accuracy) == ("wide_resnet28_1_inpl4", 16, None)


def test_several_sets_need_a_choice(folder):
    write(folder, f"densenet40_44_{LABEL}", 44)
    write(folder, f"wide_resnet28_16_{LABEL}_cpt10", 16)
    with pytest.raises(UsageError, match=r"several published sets, densenet40 of width 44.*choose by net, width or label"):
        read_set(folder)
    with pytest.raises(UsageError, match=r"several published sets, wide_resnet28 of width 8 .* of width 16"):
        read_set(folder, net="wide_resnet28")
    assert read_set(folder, net="densenet40").width == 44
    assert read_set(folder, width=16).label == f"{LABEL}_cpt10"
    assert read_set(folder, label=LABEL, net="wide_resnet28").width == 8
    with pytest.raises(UsageError, match="has only densenet40 of width 44"):
        read_set(folder, width=9)


@pytest.mark.parametrize(
    "name",
    [
        f"features_{SET}_test.pt",
        f"weights_{SET}.pt",
        f"bias_{SET}.pt",
        "cifar10_labels_training_set.pt",
        "cifar10_labels_test_set.pt",
    ],
)
def test_a_file_that_is_missing_cut_short_or_no_tensor(folder, name):
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match=f"{name} is no readable torch file"):
        read_set(folder)
    torch.save({"a": torch.ones(3)}, path)
    with pytest.raises(UsageError, match=f"{name} holds no tensor"):
        read_set(folder)
    path.unlink()
    wanted = name.replace("cifar10", r"\*")
    with pytest.raises(UsageError, match=f"download_repr lacks {wanted}; put all files"):
        read_set(folder)


def test_no_set_at_all(tmp_path):
    with pytest.raises(UsageError, match=r"has no features_NET_WIDTH_epLABEL_train[.]pt; give the folder"):
        read_set(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (f"features_{SET}_train.pt", torch.ones(30, 9), r"shape \(30, 9\); it must hold finite floats of shape \(N, 8\)"),
        (f"features_{SET}_test.pt", torch.full((20, 8), torch.nan), "must hold finite floats"),
        (f"weights_{SET}.pt", torch.ones(10, 9), r"of shape \(N, 8\)"),
        (f"weights_{SET}.pt", torch.ones(10, 8).long(), "int64.*must hold finite floats"),
        (f"bias_{SET}.pt", torch.ones(9), r"of shape \(10\)"),
        ("cifar10_labels_test_set.pt", torch.zeros(19).long(), "an integer for each of 20 samples"),
        ("cifar10_labels_test_set.pt", torch.zeros(20), "an integer for each of 20 samples"),
        ("cifar10_labels_training_set.pt", torch.arange(30), "labels 0 to 29, the read-out 10 classes"),
        ("cifar10_labels_training_set.pt", -torch.ones(30).long(), "labels -1 to -1"),
    ],
)
def test_files_that_do_not_fit_each_other(folder, name, value, said):
    torch.save(value, folder / name)
    with pytest.raises(UsageError, match=f"{name} (is|has) .*{said}"):
        read_set(folder)


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


@pytest.mark.parametrize("name", [f"features_{SET}_train.pt", ENSEMBLE, "r2_c10_test_wr28_8.npy"])
def test_code_in_a_file_is_never_run(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    if name.endswith(".npy"):
        np.save(folder / name, np.array([Harm()], dtype=object), allow_pickle=True)
    else:
        (folder / name).write_bytes(pickle.dumps(Harm()))
    with pytest.raises(UsageError, match=f"{name} .*run code"):
        read_set(folder)
    assert not Path("harmed").exists()


def test_damaged_numbers(folder):
    (folder / ENSEMBLE).write_bytes((folder / ENSEMBLE).read_bytes()[:-5])
    with pytest.raises(UsageError, match=f"{ENSEMBLE} is damaged"):
        read_set(folder)
    (folder / ENSEMBLE).write_bytes(b"text")
    with pytest.raises(UsageError, match=ENSEMBLE):
        read_set(folder)
    np.save(folder / ENSEMBLE, np.array(["0.97"]))
    with pytest.raises(UsageError, match=f"{ENSEMBLE} holds no numbers"):
        read_set(folder)
    (folder / "again").mkdir()
    np.save(folder / "again" / ENSEMBLE, np.ones(1))
    with pytest.raises(UsageError, match="keep one of them"):
        read_set(folder)


def test_data_and_network_of_one_set(folder):
    data = representations(folder, Representations(path=folder))
    assert (data.name, data.shape, data.classes, len(data.train), len(data.test)) == ("representations", (8,), 10, 30, 20)
    net = read_out(data.shape, data.classes, ReadOut(path=folder))
    assert list(net.state_dict()) == ["fc.weight", "fc.bias"]
    found = read_set(folder)
    x, y = next(data.test.batches(20))
    assert x.dtype == torch.float32
    assert torch.equal(y, found.labels_test)
    assert torch.equal(net.features(x), found.features_test)
    torch.testing.assert_close(net(x), found.features_test @ found.weight.T + found.bias)


def test_a_fresh_read_out():
    net = read_out((6,), 3, ReadOut())
    assert net.fc.weight.shape == (3, 6)


def test_a_read_out_for_other_inputs(folder):
    with pytest.raises(UsageError, match=r"needs vectors.*\(3, 8, 8\): choose the data set representations"):
        read_out((3, 8, 8), 10, ReadOut())
    with pytest.raises(UsageError, match=r"\(10, 8\), the data \(10, 9\); take both from one set"):
        read_out((9,), 10, ReadOut(path=folder))


def test_options_on_the_command_line(folder):
    (dataset,), (model,) = DATASETS, MODELS
    asked = build(dataset.config, resolve(dataset.config, {"path": str(folder), "width": "8"}, ""), "")
    assert asked == Representations(path=folder, width=8)
    assert build(model.config, resolve(model.config, {}, ""), "") == ReadOut()
    assert attrs.fields_dict(Representations).keys() == attrs.fields_dict(ReadOut).keys()
