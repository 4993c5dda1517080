"""Folders of images, ImageNet's among them: contents, and one clear line for whatever can be wrong with them."""

import re

import numpy as np
import pytest
import torch
from loading import fails, load, sizes
from PIL import Image

from widenet.data import Files, Images
from widenet.errors import UsageError, WnError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(path, width=12, height=10, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return noise


def tree(root, splits=("train", "test"), classes=("cat", "dog"), count=3, **size):
    """Write ``count`` PNG images per split and class, all different."""
    for number, (split, name, k) in enumerate((s, c, k) for s in splits for c in classes for k in range(count)):
        picture(root / split / name / f"{k}.png", seed=number, **size)
    return root


def test_small_images_are_kept_in_memory(tmp_path):
    data = load("folder", path=tree(tmp_path, width=18, height=16))
    assert (data.name, data.shape, data.classes, sizes(data)) == ("folder", (3, 16, 18), 2, [6, 6])
    assert data.class_names == ("cat", "dog")
    assert isinstance(data.train, Images)
    assert data.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    want = np.asarray(Image.open(tmp_path / "test" / "dog" / "1.png"))
    assert np.array_equal(data.test.x[4].movedim(0, -1), want)
    assert (data.train.pad, data.train.flip, data.test.pad) == (2, True, 0)
    inputs, _ = next(data.train.batches(6))
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-5
    assert load("folder", path=tmp_path, augment=False).train.flip is False


def test_val_stands_in_for_test_or_beside_it(tmp_path):
    data = load("folder", path=tree(tmp_path / "a", splits=("train", "val"), count=2))
    assert sizes(data) == [4, 4]
    assert data.val is None
    tree(tmp_path / "b", splits=("train", "val"), count=2)
    tree(tmp_path / "b", splits=("test",), count=3)
    assert sizes(load("folder", path=tmp_path / "b")) == [4, 6, 4]


def test_a_small_size_brings_all_images_to_it(tmp_path):
    tree(tmp_path, width=100, height=70)
    picture(tmp_path / "train" / "cat" / "odd.png", 20, 90)
    data = load("folder", path=tmp_path, size=24)
    assert isinstance(data.train, Images)
    assert data.shape == (3, 24, 24)


@pytest.mark.parametrize("size", [None, 80])
def test_large_images_stay_on_disk(tmp_path, size):
    data = load("folder", path=tree(tmp_path, width=100, height=70), size=size)
    side = size or 224
    assert isinstance(data.train, Files)
    assert (data.shape, sizes(data)) == ((3, side, side), [6, 6])
    inputs, labels = next(data.train.batches(6, seeded()))
    assert inputs.shape == (6, 3, side, side)
    assert sorted(labels.tolist()) == [0, 0, 0, 1, 1, 1]
    plain, _ = next(data.train.batches(6))
    assert not torch.equal(inputs[labels.argsort(stable=True)], plain)
    assert load("folder", path=tmp_path, size=size, augment=False).train.augment is None


def test_small_images_are_enlarged_when_asked(tmp_path):
    data = load("folder", path=tree(tmp_path), size=72)
    assert next(data.test.batches(2))[0].shape == (2, 3, 72, 72)


def wrong_tree(case, root):
    if case == "no folder":
        return
    tree(root, splits={"no train": ("test",), "only train": ("train",)}.get(case, ("train", "test")))
    if case == "empty class":
        (root / "train" / "cow").mkdir()
        (root / "train" / "cow" / "notes.txt").write_text("moo")
    if case == "no classes":
        for path in sorted((root / "test").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        picture(root / "test" / "loose.png")
    if case == "classes differ":
        (root / "test" / "dog").rename(root / "test" / "wolf")
    if case == "sizes differ":
        picture(root / "test" / "dog" / "9.png", 11, 10)


TREES = {
    "no folder": "no folder",
    "no train": "needs a folder train and a folder test or val",
    "only train": "needs a folder train and a folder test or val",
    "empty class": "cow holds no image",
    "no classes": "test has no folders",
    "classes differ": "has the class dog",
    "sizes differ": "9.png has 11 x 10 pixels, the first 12 x 10; give size=N",
}


@pytest.mark.parametrize("case", TREES)
def test_folder_says_what_is_wrong(tmp_path, case):
    wrong_tree(case, tmp_path / "images")
    line = fails(UsageError, "folder", path=tmp_path / "images")
    assert TREES[case] in line
    assert str(tmp_path / "images") in line


def damage(path):
    path.write_bytes(path.read_bytes()[:60])
    return path


@pytest.mark.parametrize("name", ["train/cat/0.png", "test/dog/2.png"])
def test_a_damaged_image_is_named(tmp_path, name):
    path = damage(tree(tmp_path) / name)
    assert f"cannot read the image {path}" in fails(WnError, "folder", path=tmp_path)
    path.write_text("not an image")
    assert f"cannot read the image {path}" in fails(WnError, "folder", path=tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_large_image_is_named_when_its_turn_comes(tmp_path, workers):
    path = damage(tree(tmp_path, width=100) / "test/dog/2.png")
    data = load("folder", path=tmp_path).to("cpu", workers)
    with pytest.raises(WnError, match=re.escape(f"cannot read the image {path}")) as caught:
        list(data.test.batches(4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("below", [".", "imagenet"])
def test_imagenet_is_read_from_its_folders(tmp_path, below):
    tree(tmp_path / below, splits=("train", "val"), width=80, height=70)
    data = load("imagenet", tmp_path, size=32)
    assert (data.name, data.shape, data.classes, sizes(data)) == ("imagenet", (3, 32, 32), 2, [6, 6])
    assert next(data.train.batches(4, seeded()))[0].shape == (4, 3, 32, 32)
    assert data.test.plain.transforms[0].size == 36
    assert (data.train.mean, data.test.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_imagenet_that_is_not_there(tmp_path):
    line = fails(WnError, "imagenet", tmp_path)
    for part in ("train/CLASS/IMAGE", "val/CLASS/IMAGE", str(tmp_path), "--data-dir"):
        assert part in line
