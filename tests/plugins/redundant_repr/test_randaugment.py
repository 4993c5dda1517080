"""Random operations on CIFAR, against Pillow's where it has them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from widenet.data import Data, Images
from widenet.errors import UsageError
from widenet.options import build, resolve
from widenet_redundant_repr import randaugment
from widenet_redundant_repr.datasets import DATASETS
from widenet_redundant_repr.options import RandAugment
from widenet_redundant_repr.randaugment import COLOURS, MOVES, ROTATE, SUPERCLASSES, Augmented, augment, cutout, matrices, warp

CIFAR = next(dataset for dataset in DATASETS if dataset.name == "cifar-randaugment")
SUPER = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pixels(count=8, seed=1):
    """Smooth random images, so that interpolations differ little."""
    coarse = torch.rand(count, 3, 5, 5, generator=seeded(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(0, 255).to(torch.uint8)


def pillow(x, operation):
    made = [np.asarray(operation(Image.fromarray(image.movedim(0, -1).numpy()))) for image in x]
    return torch.from_numpy(np.stack(made)).movedim(-1, 1)


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(
    ("kind", "reference", "tolerance"),
    [
        (0, lambda image, s: ImageOps.autocontrast(image), 1),
        (1, lambda image, s: ImageOps.equalize(image), 1),
        (2, lambda image, s: ImageOps.invert(image), 0),
        (3, lambda image, s: ImageOps.posterize(image, max(1, int(4 * s))), 0),
        (4, lambda image, s: ImageOps.solarize(image, 256 * s), 0),
        (6, lambda image, s: ImageEnhance.Color(image).enhance(0.1 + 1.8 * s), 2),
        (7, lambda image, s: ImageEnhance.Contrast(image).enhance(0.1 + 1.8 * s), 2),
        (8, lambda image, s: ImageEnhance.Brightness(image).enhance(0.1 + 1.8 * s), 1),
        (9, lambda image, s: ImageEnhance.Sharpness(image).enhance(0.1 + 1.8 * s), 2),
    ],
)
def test_operations_are_pillows(kind, reference, tolerance, strength):
    x = pixels()
    wanted = pillow(x, lambda image: reference(image, strength))
    assert (COLOURS[kind](x, strength).int() - wanted.int()).abs().max() <= tolerance


def test_solarize_add_brightens_dark_pixels():
    x = torch.tensor([0, 17, 127, 128, 255], dtype=torch.uint8)
    assert COLOURS[5](x, 0.5).tolist() == [55, 72, 182, 128, 255]
    assert COLOURS[5](x, 1.0).tolist() == [110, 127, 237, 128, 255]


SHEARS = [(1, 0.3, 0, 0, 1, 0), (1, 0, 0, 0.3, 1, 0), (1, 0, 0.45 * 32, 0, 1, 0), (1, 0, 0, 0, 1, 0.45 * 32)]


@pytest.mark.parametrize("amount", [0.5, -0.5, 1.0])
@pytest.mark.parametrize(
    ("mode", "resampling"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
@pytest.mark.parametrize("number", range(len(MOVES)))
def test_moves_are_pillows(number, mode, resampling, amount):
    x, identity = pixels(), (1, 0, 0, 0, 1, 0)
    full = SHEARS[number]
    where = [start + amount * (end - start) for start, end in zip(identity, full, strict=True)]
    wanted = pillow(x, lambda image: image.transform((32, 32), Image.Transform.AFFINE, where, resampling, fillcolor=(128,) * 3))
    made = warp(x, matrices(len(COLOURS) + number, torch.full((8,), amount)), mode)
    # Libraries treat the rim of what lies outside differently.
    assert ((made.int() - wanted.int()).abs() <= 2).float().mean() > 0.85
    assert (made == 128).all(1).flatten(1).any(1).all()


@pytest.mark.parametrize("amount", [1.0, -0.5])
def test_rotation_is_pillows(amount):
    x = pixels()
    wanted = pillow(x, lambda image: image.rotate(-30 * amount, Image.Resampling.BILINEAR, fillcolor=(128,) * 3))
    made = warp(x, matrices(ROTATE, torch.full((8,), amount)), "bilinear")
    other = warp(x, matrices(ROTATE, torch.full((8,), -amount)), "bilinear")
    near = [((found.int() - wanted.int()).abs() <= 2).float().mean().item() for found in (made, other)]
    assert max(near) > 0.85 > min(near)


def test_no_strength_moves_nothing():
    x = pixels()
    for kind in range(len(COLOURS), ROTATE + 1):
        for mode in ("bilinear", "bicubic"):
            assert (warp(x, matrices(kind, torch.zeros(8)), mode).int() - x.int()).abs().max() <= 1


def test_cutout_is_a_square_cut_at_the_rim():
    x = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    made = cutout(x, torch.tensor([[0.5, 0.25], [0.0, 0.0], [0.999, 0.5]]))
    assert set(made.unique().tolist()) == {0, 128}
    grey = made[:, 0] == 128
    assert grey.flatten(1).sum(1).tolist() == [64, 16, 40]
    assert grey[0, 12:20, 4:12].all()
    assert grey[1, :4, :4].all()
    assert grey[2, 27:, 12:20].all()


def test_half_of_the_images_change_and_all_operations_are_as_likely():
    x = torch.randint(256, (4000, 3, 32, 32), dtype=torch.uint8, generator=seeded(2))
    made = augment(x, 1, 9.0, seeded())
    changed = (made != x).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(0.5 * 15 / 16, abs=0.04)  # autocontrast leaves random pixels as they are
    assert (made == 255 - x).flatten(1).all(1).float().mean().item() == pytest.approx(1 / 32, abs=0.012)
    assert (made == COLOURS[5](x, 0.9)).flatten(1).all(1).float().mean().item() == pytest.approx(1 / 32, abs=0.012)


@given(seed=st.integers(0, 50), ops=st.integers(0, 16), magnitude=st.floats(0, 10))
@settings(max_examples=15)
def test_the_generator_alone_decides(seed, ops, magnitude):
    x = pixels(6)
    before = x.clone()
    torch.manual_seed(seed)
    made = augment(x, ops, magnitude, seeded(seed))
    torch.manual_seed(seed + 1)
    assert torch.equal(made, augment(x, ops, magnitude, seeded(seed)))
    assert torch.equal(x, before)
    assert (made.shape, made.dtype) == (x.shape, x.dtype)
    assert ops or torch.equal(made, x)


def split(count=40, ops=1):
    x = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=seeded(3))
    images = Images(x, torch.arange(count), (0.5,) * 3, (0.25,) * 3, pad=4, flip=True)
    return images, Augmented(images, ops, 5.0)


def whole(split, size=7, generator=None, part=(0, 1)):
    inputs, labels = zip(*split.batches(size, generator, part), strict=True)
    return torch.cat(inputs), torch.cat(labels)


def test_a_split_is_augmented_when_it_is_shuffled_alone():
    images, augmented = split()
    assert all(torch.equal(a, b) for a, b in zip(whole(images), whole(augmented), strict=True))
    assert torch.equal(augmented.labels(), images.labels())
    (first, order), (again, _), (other, other_order) = (whole(augmented, 7, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(order, other_order)
    assert sorted(order.tolist()) == list(range(40))
    assert first.shape == other.shape
    plain, _ = whole(images, 7, seeded(1))
    assert not torch.equal(first, plain)


def test_parts_of_batches_make_the_whole():
    _, augmented = split()
    wanted = list(augmented.batches(8, seeded(4)))
    halves = [list(augmented.batches(8, seeded(4), part=(k, 2))) for k in range(2)]
    for batch, *parts in zip(wanted, *halves, strict=True):
        assert torch.equal(batch[0], torch.cat([part[0] for part in parts]))


def test_without_operations_the_images_are_as_before():
    images, augmented = split(ops=0)
    assert torch.equal(whole(images, 7, seeded(5))[0], whole(augmented, 7, seeded(5))[0])


def test_some_samples_and_another_device():
    _, augmented = split()
    chosen = augmented.part(torch.tensor([3, 1])).to("cpu")
    assert (len(chosen), chosen.labels().tolist(), chosen.ops) == (2, [3, 1], 1)


def test_the_superclass_of_every_class():
    fine = sorted(name for names in SUPER.values() for name in names.split())
    number = {name: k for k, names in enumerate(SUPER.values()) for name in names.split()}
    assert list(SUPERCLASSES) == [number[name] for name in fine]


@pytest.fixture
def stored(monkeypatch):
    """CIFAR of 200 images, all black."""
    asked = []

    def cifar(name, root, augment, border):
        asked.append((name, augment, border))
        classes = {"cifar10": 10, "cifar100": 100}[name]
        x, y = torch.zeros(200, 3, 32, 32, dtype=torch.uint8), torch.arange(200) % classes
        splits = [Images(x, y, pad=4 * augment, flip=augment), Images(x, y)]
        return Data(name, *splits, (3, 32, 32), classes, class_names=tuple(map(str, range(classes))))

    monkeypatch.setattr(randaugment, "cifar", cifar)
    return asked


def load(root, **values):
    return CIFAR.function(root, build(RandAugment, resolve(RandAugment, values, "data"), "data"))


def test_cifar_is_cropped_out_of_a_reflecting_border(stored, tmp_path):
    data = load(tmp_path)
    assert stored == [("cifar10", True, "reflect")]
    assert isinstance(data.train, Augmented)
    assert (data.train.ops, data.train.magnitude, data.classes, len(data.class_names)) == (1, 5.0, 10, 10)
    assert isinstance(data.test, Images)


def test_superclasses(stored, tmp_path):
    data = load(tmp_path, name="cifar100", superclasses=True)
    assert (data.classes, data.class_names) == (20, ())
    for part in (data.train, data.test):
        assert part.labels().tolist() == list(SUPERCLASSES) * 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"superclasses": True}, "superclasses are those of CIFAR-100; give name=cifar100"),
        ({"ops": 17}, "'ops' must be <= 16"),
        ({"magnitude": 11}, "'magnitude' must be <= 10"),
        ({"name": "mnist"}, "'mnist' is none of cifar10, cifar100"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, values, message):
    with pytest.raises(UsageError, match=message):
        load(tmp_path, **values)
