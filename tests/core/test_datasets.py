"""The built-in data sets: what they declare, and the contents of those that are always there."""

import hashlib
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import torch
from loading import SETS, load, sizes

from widenet.builtin import datasets as builtin
from widenet.components import Dataset
from widenet.options import options

# -- declarations --------------------------------------------------------------------------------------------------


def test_declaring_imports_nothing_heavy():
    code = (
        "import sys, widenet.builtin.datasets as d; assert [c.summary for c in d.datasets()];"
        "print(*{'torch', 'numpy', 'sklearn', 'torchvision', 'PIL'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_declarations_are_whole():
    assert list(SETS) == ["digits", "mnist", "cifar10", "cifar100", "imagenet", "folder", "npz", "tiny"]
    for dataset in SETS.values():
        assert type(dataset) is Dataset
        assert dataset.summary.endswith(".")
        for field in attrs.fields(dataset.config):
            assert field.metadata["help"].endswith(".")
        for option, field in zip(options(dataset.config), attrs.fields(dataset.config), strict=True):
            anything = option.choices or option.type in (bool, Path) or (option.many and option.type is float)
            assert field.validator or anything, (dataset.name, field.name)
    for _ in range(2):  # loading a submodule must not hide a function of the same name
        load("digits")
        assert all(callable(dataset.function) for dataset in builtin.datasets())


@pytest.mark.parametrize(
    "config, options",
    [
        (builtin.Digits, {"size": 7}),
        (builtin.ImageNet, {"size": 0}),
        (builtin.Folder, {"path": Path("x"), "size": 0}),
        (builtin.Tiny, {"size": 3}),
        (builtin.Tiny, {"channels": 0}),
        (builtin.Tiny, {"classes": 1}),
        (builtin.Tiny, {"train": 0}),
        (builtin.Tiny, {"test": 0}),
    ],
)
def test_wrong_options_are_refused(config, options):
    with pytest.raises(ValueError):
        config(**options)


def test_paths_are_required():
    for config in (builtin.Folder, builtin.Npz):
        with pytest.raises(TypeError, match="path"):
            config()


# -- digits --------------------------------------------------------------------------------------------------------


def test_digits_are_whole_and_stratified():
    data = load("digits")
    assert (data.name, data.shape, data.classes, sizes(data)) == ("digits", (1, 16, 16), 10, [1437, 360])
    assert data.train.x.dtype == torch.uint8
    train, test = data.train.y.bincount(), data.test.y.bincount()
    assert train.tolist() == [142, 146, 141, 147, 144, 146, 145, 143, 139, 144]
    assert ((train + test) / 5 - test).abs().max() < 1
    pixels, _ = next(data.train.batches(1437))
    assert abs(pixels.mean()) < 1e-4
    assert abs(pixels.std() - 1) < 1e-3
    assert (data.test.mean, data.test.std) == (data.train.mean, data.train.std)


def test_digits_split_and_pixels_are_fixed():
    data = load("digits", size=8)
    digest = hashlib.sha256(data.test.x.contiguous().numpy().tobytes() + data.test.y.numpy().tobytes())
    assert digest.hexdigest()[:16] == "83c99461e31a2576"
    assert (data.train.x.min(), data.train.x.max()) == (0, 255)


@pytest.mark.parametrize("size", [8, 13, 32])
def test_digits_come_in_any_size(size):
    data = load("digits", size=size)
    assert data.shape == (1, size, size)
    assert next(data.test.batches(5))[0].shape == (5, 1, size, size)


# -- tiny ----------------------------------------------------------------------------------------------------------


def test_tiny_is_the_same_everywhere():
    data = load("tiny")
    assert (data.shape, data.classes, sizes(data)) == ((1, 16, 16), 4, [128, 64])
    digest = hashlib.sha256(data.train.x.contiguous().numpy().tobytes() + data.test.x.contiguous().numpy().tobytes())
    assert digest.hexdigest()[:16] == "e3ca5eaef033fee1"
    assert data.train.y.bincount().tolist() == [32] * 4
    assert torch.equal(load("tiny", train=5).train.x, data.train.x[:5])


@pytest.mark.parametrize("options", [{}, {"size": 4}, {"size": 13, "channels": 3, "classes": 10}])
def test_tiny_can_be_learnt_by_a_linear_model(options):
    data = load("tiny", **options)
    x, y = next(data.train.batches(128))
    targets = torch.nn.functional.one_hot(y, data.classes).float()
    x, (held_out, labels) = x.flatten(1), next(data.test.batches(64))
    ridge = torch.linalg.solve(x.T @ x + 10 * torch.eye(x.shape[1]), x.T @ targets)
    accuracy = ((held_out.flatten(1) @ ridge).argmax(1) == labels).float().mean()
    assert accuracy > 0.8
