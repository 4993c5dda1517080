"""What images are normalised by: their own statistics, published ones, or those given."""

import numpy as np
import pytest
import torch
from loading import SETS, load
from PIL import Image

from widenet.builtin.datasets.statistics import PUBLISHED
from widenet.errors import UsageError
from widenet.options import build, changed, resolve

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)


def npz(path, shape=(6, 5, 3), dtype=np.uint8):
    x = np.random.default_rng(0).integers(0, 256, (8, *shape)).astype(dtype)
    np.savez(path, x_train=x, y_train=np.arange(8) % 2, x_test=x, y_test=np.arange(8) % 2)
    return path


def folder(root, side=12):
    for number, place in enumerate(f"{split}/{name}" for split in ("train", "test") for name in "ab"):
        (root / place).mkdir(parents=True)
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / place / "0.png")
    return root


@pytest.fixture(params=["npz", "small folder", "large folder"])
def images(request, tmp_path):
    """``images(**options)``: colour images in memory or on disk."""
    kind = request.param.split()[-1]
    path = npz(tmp_path / "a.npz") if kind == "npz" else folder(tmp_path / "a", 100 if "large" in request.param else 12)
    return lambda **options: load(kind, path=path, **options)


def raw(split):
    """The images of a split as they are, pixels from 0 to 1."""
    import attrs

    return next(attrs.evolve(split, mean=(0.0,) * 3, std=(1.0,) * 3).batches(9))[0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_statistics(images, name):
    data = images(statistics=name)
    mean, std = (torch.tensor(part)[:, None, None] for part in PUBLISHED[name])
    for split in (data.train, data.test):
        assert (split.mean, split.std) == PUBLISHED[name]
        torch.testing.assert_close(next(split.batches(9))[0], (raw(split) - mean) / std)


def test_given_statistics(images):
    data = images(mean=MEAN, std=STD)
    assert {(split.mean, split.std) for split in (data.train, data.test)} == {(MEAN, STD)}


def test_published_numbers():
    assert PUBLISHED["cifar10"] == ((0.491, 0.482, 0.447), (0.247, 0.243, 0.261))
    assert PUBLISHED["imagenet"] == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_same_as_text_names_them(tmp_path, wn):
    npz(tmp_path / "a.npz")
    text = "npz:path=a.npz,mean=.491,.482,.447,std=.247,.243,.261"
    answers = [
        wn("run", "train", "--dataset", spec, "--dry-run", "--json")
        for spec in (text, "npz:path=a.npz", "npz:path=a.npz,mean=none")
    ]
    assert [answer.code for answer in answers] == [0, 0, 0]
    assert answers[0].json["dataset"]["options"]["std"] == [0.247, 0.243, 0.261]
    assert answers[1].json["run"] == answers[2].json["run"] != answers[0].json["run"]


@pytest.mark.parametrize("name", ["npz", "folder"])
def test_defaults_leave_the_name_of_a_run_as_it_was(name):
    config = SETS[name].config
    assert changed(config(path="x")) == {"path": "x"}
    assert changed(config(path="x", statistics="own", mean=(), std=())) == {"path": "x"}


def test_floats_are_normalised_as_they_are(tmp_path):
    data = load("npz", path=npz(tmp_path / "a.npz", dtype=np.float32), mean=(100.0,) * 3, std=(50.0,) * 3)
    x = next(data.test.batches(8))[0]
    torch.testing.assert_close(x, (data.test.x - 100) / 50)


def test_grey_images_take_one_number(tmp_path):
    data = load("npz", path=npz(tmp_path / "a.npz", (6, 5)), mean=(0.5,), std=(0.25,))
    assert (data.train.mean, data.test.std) == ((0.5,), (0.25,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"mean": ".1,.2,.3"}, "mean and std go together"),
        ({"std": ".1,.2,.3"}, "mean and std go together"),
        ({"mean": ".1,.2", "std": ".1,.2,.3"}, "2 means and 3 deviations"),
        ({"mean": "1", "std": "1", "statistics": "cifar10"}, "statistics=cifar10 stands for"),
        ({"mean": "1", "std": "0"}, "must be > 0"),
        ({"mean": "1", "std": "-1"}, "must be > 0"),
        ({"mean": "nan", "std": "1"}, "not finite"),
        ({"statistics": "cifar"}, "did you mean 'cifar10'?"),
    ],
)
@pytest.mark.parametrize("name", ["npz", "folder"])
def test_options_that_make_no_sense(name, text, said):
    config = SETS[name].config
    with pytest.raises(UsageError) as caught:
        build(config, resolve(config, {"path": "x", **text}, f"dataset {name}"), f"dataset {name}")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "said"),
    [
        ((7,), np.float32, {"statistics": "cifar10"}, "inputs of shape (7,) are no images"),
        ((2, 3, 4, 5), np.float32, {"mean": (1.0,), "std": (1.0,)}, "are no images with channels to normalise; leave out"),
        ((6, 5), np.uint8, {"statistics": "imagenet"}, "statistics=imagenet are of 3 channels, the images have 1"),
        ((6, 5, 3), np.uint8, {"mean": (1.0,), "std": (1.0,)}, "mean and std are of 1 channels, the images have 3"),
    ],
)
def test_images_that_they_do_not_suit(tmp_path, shape, dtype, options, said):
    with pytest.raises(UsageError) as caught:
        load("npz", path=npz(tmp_path / "a.npz", shape, dtype), **options)
    assert said in str(caught.value)
    assert "a.npz" in str(caught.value)


def test_folders_have_three_channels(tmp_path):
    with pytest.raises(UsageError, match="the images have 3"):
        load("folder", path=folder(tmp_path / "a"), mean=(0.5,), std=(0.5,))
