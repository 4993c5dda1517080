"""The study's data: TensorFlow's operators as recorded, the teacher's samples, random labels."""

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from widenet.builtin.datasets import Folder
from widenet.builtin.datasets.folder import folder
from widenet.builtin.datasets.tiny import load as tiny
from widenet.data import Images
from widenet.errors import UsageError, WnError
from widenet.runs import Run
from widenet_frivolous import cifar, teacher
from widenet_frivolous.cifar import Prepared
from widenet_frivolous.datasets import StudyCifar, Teacher
from widenet_frivolous.labels import random_labels, relabelled, studied
from widenet_frivolous.preprocessing import brighten, contrast, crop, resize, standardise

GOLDEN = Path(__file__).parents[2] / "golden" / "frivolous"


@pytest.fixture(scope="module")
def operators():
    with np.load(GOLDEN / "tf_preproc_ops.npz") as file:
        return {key: torch.from_numpy(file[key]).movedim(-1, 1) for key in file}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pixels(n=12, side=32, seed=0):
    return torch.randint(256, (n, 3, side, side), dtype=torch.uint8, generator=seeded(seed))


def prepared(n=12, **options):
    return Prepared(Images(pixels(n), torch.arange(n) % 10), **options)


# -- operators --------------------------------------------------------------------------------------------------------------


def test_operators_as_recorded(operators):
    middle = torch.tensor([2, 2])
    cut = crop(operators["image"], middle, middle, 28)
    torch.testing.assert_close(cut, operators["center_crop28"], rtol=0, atol=0)
    torch.testing.assert_close(standardise(cut), operators["standardized"], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(resize(operators["standardized"], 32), operators["resized32"], rtol=1e-6, atol=1e-6)


def test_what_a_network_is_given_as_recorded(operators):
    whole = operators["image"].round().to(torch.uint8)
    split = Prepared(Images(whole, torch.tensor([0, 1])))
    x, _ = next(split.batches(2))
    wanted = resize(standardise(whole[:, :, 2:30, 2:30].float()), 32)
    torch.testing.assert_close(x, wanted)
    assert float((x - operators["resized32"]).abs().max()) < 0.02, "but for the rounding of pixels"


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(0, 1000), st.floats(0.1, 100))
def test_standardised_images_forget_scale_and_shift(seed, shift, scale):
    x = torch.rand(2, 3, 5, 5, generator=seeded(seed)).double() * 255
    torch.testing.assert_close(standardise(x * scale + shift), standardise(x), rtol=1e-6, atol=1e-6)


def test_a_grey_image_is_zero():
    assert not standardise(torch.full((1, 3, 4, 4), 7.0)).any()


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 24))
def test_resizing_reads_between_neighbours(old, new):
    ramp = torch.arange(old, dtype=torch.float64).expand(1, 1, old, old)
    read = (torch.arange(new, dtype=torch.float64) * (old / new)).clamp(max=old - 1)
    torch.testing.assert_close(resize(ramp, new)[0, 0, 0], read)


def test_brightness_and_contrast():
    x = torch.rand(2, 3, 4, 4, generator=seeded())
    torch.testing.assert_close(brighten(x, torch.tensor([1.0, -2.0]))[1], x[1] - 2)
    twice = contrast(x, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(twice[0], x[0])
    torch.testing.assert_close(twice.mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(twice.std((2, 3))[1], 2 * x.std((2, 3))[1])


# -- CIFAR ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["alexnet", "resnet"])
@pytest.mark.parametrize("augment", [False, True])
def test_passes_are_shuffled_changed_and_the_same_again(recipe, augment):
    split = prepared(recipe=recipe, augment=augment)
    passes = [list(split.batches(5, seeded(seed))) for seed in (1, 1, 2)]
    first, again, other = (torch.cat([x for x, _ in batches]) for batches in passes)
    assert first.shape == (12, 3, 32, 32)
    assert [len(y) for _, y in passes[0]] == [5, 5, 2]
    assert first.equal(again)
    assert not first.equal(other)
    plain = torch.cat([x for x, _ in split.batches(4)])
    order = torch.randperm(12, generator=seeded(1))
    assert torch.cat([y for _, y in passes[0]]).equal(split.labels()[order])
    assert augment != bool(torch.isclose(first, plain[order], atol=1e-5).all())
    torch.testing.assert_close(first.mean((1, 2, 3)), torch.zeros(12), atol=0.3, rtol=0)


@pytest.mark.parametrize("augment", [False, True])
def test_parts_of_batches_are_those_of_the_whole(augment):
    split = prepared(augment=augment)
    whole = list(split.batches(6, seeded(3)))
    parts = [list(split.batches(6, seeded(3), (k, 2))) for k in range(2)]
    for batch, *pieces in zip(whole, *parts, strict=True):
        torch.testing.assert_close(torch.cat([x for x, _ in pieces]), batch[0])
    assert [len(x) for x, _ in prepared(n=3, augment=augment).batches(2, seeded(), (1, 2))] == [1, 0]


def test_a_part_has_its_samples():
    split = prepared().part(torch.tensor([3, 7]))
    assert split.labels().tolist() == [3, 7]
    torch.testing.assert_close(next(split.batches(2))[0], next(prepared().batches(12))[0][[3, 7]])


def test_a_file_of_images(tmp_path):
    x = pixels().movedim(1, -1).numpy()
    np.savez(tmp_path / "c.npz", x_train=x, y_train=np.arange(12), x_test=x[:4], y_test=np.arange(4))
    data = cifar.load(tmp_path, StudyCifar(path=tmp_path / "c.npz", augment=True))
    assert (data.shape, data.classes, len(data.train), len(data.test), data.val) == ((3, 32, 32), 12, 12, 4, None)
    assert (data.train.augment, data.test.augment) == (True, False)
    assert data.name == "frivolous-cifar"


@pytest.mark.parametrize("x", [np.zeros((4, 20, 20, 3), np.uint8), np.zeros((4, 32, 30, 3), np.uint8), np.ones((4, 9))])
def test_other_files_are_refused(tmp_path, x):
    np.savez(tmp_path / "c.npz", x_train=x, y_train=np.arange(4), x_test=x, y_test=np.arange(4))
    with pytest.raises(UsageError, match=r"takes square uint8 colour images .* use --dataset npz"):
        cifar.load(tmp_path, StudyCifar(path=tmp_path / "c.npz"))


# -- the teacher ------------------------------------------------------------------------------------------------------------


def test_samples_are_gaussian_and_labelled_by_the_teacher():
    config = Teacher(d=10, train=4000, val=300, test=200)
    data = teacher.load(config)
    assert (data.shape, data.classes) == ((10,), 2)
    assert [len(split) for split in (data.train, data.val, data.test)] == [4000, 300, 200]
    assert data.train.x.mean().abs() < 0.02
    assert data.train.x.std() == pytest.approx(1, abs=0.02)
    net = teacher.teacher(10, 32, 2, (0.01, 0.01), 0)
    with torch.no_grad():
        assert net(data.test.x).argmax(1).equal(data.test.y)
    assert max(float(layer.weight.detach().abs().max()) for layer in (net[0], net[2])) <= 0.02


def test_seeds_and_sizes_change_what_they_say():
    base = teacher.load(Teacher())
    more = teacher.load(Teacher(train=2000, val=10))
    assert more.train.x[:1000].equal(base.train.x)
    assert more.test.x.equal(base.test.x)
    assert base.val is None
    relabelled = teacher.load(Teacher(teacher_seed=1))
    assert relabelled.train.x.equal(base.train.x)
    assert not relabelled.train.y.equal(base.train.y)
    assert not teacher.load(Teacher(seed=1)).train.x.equal(base.train.x)


@settings(max_examples=20)
@given(st.integers(2, 4), st.integers(1, 30), st.integers(0, 99))
def test_balanced_classes(classes, count, seed):
    try:
        data = teacher.load(Teacher(d=3, classes=classes, train=count, test=1, teacher_seed=seed, balance=True))
    except WnError:
        return  # a class that this teacher never gives
    found = data.train.y.bincount(minlength=classes)
    assert int(found.max() - found.min()) <= 1
    assert len(data.train) == count


def test_a_teacher_of_one_class(monkeypatch):
    monkeypatch.setattr(teacher, "BLOCK", 300)
    monkeypatch.setattr(teacher, "PATIENCE", 10)
    with pytest.raises(WnError, match=r"hardly ever gives class \d; choose another teacher_seed"):
        teacher.load(Teacher(d=1, hidden=1, classes=9, train=50, balance=True))


# -- labels -----------------------------------------------------------------------------------------------------------------


def run(seed=0, **options):
    given = {name: {"value": value, "source": "default"} for name, value in options.items()}
    return Run(Path("nowhere"), {"seed": seed, "options": given})


def test_random_labels_are_uniform_seeded_and_spare_the_test_split():
    data = tiny(4, 1, 4, 4000, 64)
    changed = random_labels(data, run())
    assert changed.test is data.test
    assert changed.train.x is data.train.x or changed.train.x.equal(data.train.x)
    assert ((changed.train.labels() == data.train.labels()).float().mean() - 0.25).abs() < 0.03
    assert changed.train.labels().bincount().min() > 900
    assert random_labels(data, run()).train.labels().equal(changed.train.labels())
    assert not random_labels(data, run(1)).train.labels().equal(changed.train.labels())
    held = random_labels(attrs.evolve(data, val=data.test), run())
    assert held.train.labels().equal(changed.train.labels())
    assert not held.val.labels().equal(data.test.labels())


def test_a_runs_labels_are_found_again():
    data = tiny(4, 1, 4, 100, 64)
    assert studied(data, run(labels="true")) is data
    assert studied(data, run(labels="random")).train.labels().equal(random_labels(data, run()).train.labels())


def test_labels_of_images_on_disk_and_prepared_ones(tmp_path):
    for split in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (70, 70), (number * 50, 0, 0)).save(tmp_path / split / label / f"{number}.png")
    for split in (folder(tmp_path, 70, False, Folder(path=tmp_path)).train, prepared(n=6)):
        plain = list(split.batches(6))
        (x, y), *_ = relabelled(split, torch.tensor([1, 0, 1, 0, 1, 0]), "own").batches(6)
        assert y.tolist() == [1, 0, 1, 0, 1, 0]
        torch.testing.assert_close(x, plain[0][0])
    assert relabelled(split, torch.arange(6), "own").part(torch.tensor([4])).labels().tolist() == [4]


def test_splits_of_another_kind_are_refused():
    with pytest.raises(UsageError, match="own has splits whose labels cannot be replaced"):
        relabelled(object(), torch.zeros(3, dtype=torch.int64), "own")
