"""Folders of images, one folder per class: ``train/CLASS/IMAGE``."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms import CenterCrop, Compose, RandomHorizontalFlip, RandomResizedCrop, Resize

from widenet.builtin.datasets.decode import decode, read_image
from widenet.builtin.datasets.statistics import PUBLISHED, Moments, Normalised, given
from widenet.data import PROCESSORS, Data, Files, Images, channel_statistics
from widenet.errors import UsageError, WnError

LARGE = PUBLISHED["imagenet"]
"""Statistics used for all large images unless told otherwise: their own would take a pass over all of them."""

SMALL = 64
"""Images of at most this height and width are kept in memory."""

CROP = 224
"""Height and width to which larger images are cropped unless told otherwise."""


def imagenet(root: Path, size: int) -> Data:
    """Return ImageNet from ``train/`` and ``val/`` under ``root`` or ``root/imagenet``.

    Missing folders raise :class:`WnError`.
    """
    places = (root, root / "imagenet")
    here = next((place for place in places if (place / "train").is_dir() and (place / "val").is_dir()), None)
    if here is None:
        raise WnError(
            f"no ImageNet in {root}; put its folders train/CLASS/IMAGE and val/CLASS/IMAGE there or into "
            f"{places[1]} (set by --data-dir), or give other data with --dataset"
        )
    train, test = _tree(here / "train"), _tree(here / "val")
    _compare(train, test)
    splits = _large(train, [test], size, True, LARGE)
    shape, names = (3, size, size), tuple(train.classes)
    return Data("imagenet", splits[0], splits[1], shape, len(names), class_names=names)


def folder(path: Path, size: int | None, augment: bool, statistics: Normalised) -> Data:
    """Return the images under ``path/train`` and ``path/test`` or ``path/val``; with both, ``val`` is the third split.

    Small ones are kept in memory. A wrong tree raises :class:`UsageError`, an unreadable image :class:`WnError`.
    """
    path = path.expanduser()
    if not path.is_dir():
        raise UsageError(f"no folder {path}; give the path of a folder with train/CLASS/IMAGE")
    names = [name for name in ("test", "val") if (path / name).is_dir()]
    if not names or not (path / "train").is_dir():
        raise UsageError(f"{path} needs a folder train and a folder test or val, with one folder per class in each")
    train, *held_out = (_tree(path / name) for name in ("train", *names))
    for other in held_out:
        _compare(train, other)
    fixed = given(statistics, (3, 1, 1))
    if size is None and max(read_image(train.samples[0][0]).size) > SMALL:
        size = CROP
    splits: list[Images] | list[Files]
    if size is None or size <= SMALL:
        splits = _small(train, held_out, size, augment, fixed)
        shape = tuple(splits[0].x.shape[1:])
    else:
        splits = _large(train, held_out, size, augment, fixed or LARGE)
        shape = (3, size, size)
    val = splits[2] if len(splits) > 2 else None
    return Data("folder", splits[0], splits[1], shape, len(train.classes), val, tuple(train.classes))


def _tree(path: Path) -> ImageFolder:
    """Return the images under ``path``, whose every folder is a class."""
    if not any(entry.is_dir() for entry in path.iterdir()):
        raise UsageError(f"{path} has no folders; put its images into one folder per class")
    tree = ImageFolder(str(path), loader=read_image, allow_empty=True)
    filled = {label for _, label in tree.samples}
    if empty := [name for label, name in enumerate(tree.classes) if label not in filled]:
        kinds = " ".join(IMG_EXTENSIONS)
        raise UsageError(f"{path / empty[0]} holds no image ({kinds}); fill or remove the folder")
    return tree


def _compare(train: ImageFolder, other: ImageFolder) -> None:
    if train.classes != other.classes:
        odd = sorted(set(train.classes) ^ set(other.classes))[0]
        raise UsageError(f"only one of {train.root} and {other.root} has the class {odd}; make their folders agree")


def _small(
    train: ImageFolder, held_out: list[ImageFolder], size: int | None, augment: bool, fixed: Moments | None
) -> list[Images]:
    """Decode everything into memory."""
    width, height = (size, size) if size else read_image(train.samples[0][0]).size
    parts = [decode(tree.samples, width, height, size is not None, PROCESSORS) for tree in (train, *held_out)]
    x, y = parts[0]
    mean, std = fixed or channel_statistics(x)
    pad = min(width, height) // 8 if augment else 0
    return [Images(x, y, mean, std, pad, flip=augment), *(Images(*part, mean, std) for part in parts[1:])]


def _large(train: ImageFolder, held_out: list[ImageFolder], size: int, augment: bool, moments: Moments) -> list[Files]:
    """Leave the images on disk."""
    middle = Compose([Resize(size * 256 // 224), CenterCrop(size)])
    anywhere = Compose([RandomResizedCrop(size), RandomHorizontalFlip()]) if augment else None
    first = Files(train, middle, anywhere, *moments)
    return [first, *(Files(tree, middle, None, *moments) for tree in held_out)]
