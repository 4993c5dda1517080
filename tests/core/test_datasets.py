"""The built-in data sets: contents, and one clear line for whatever can be wrong with what they read."""

import functools
import gc
import gzip
import hashlib
import http.server
import pickle
import re
import socket
import subprocess
import sys
import tarfile
import threading
import warnings
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from widenet.builtin import datasets as builtin
from widenet.builtin.datasets import downloads
from widenet.components import Dataset
from widenet.data import Files, Images
from widenet.errors import Stopped, UsageError, WnError

SETS = {dataset.name: dataset for dataset in builtin.datasets()}
REAL = Path(__file__).parents[2].parent / "shared" / "data"


def load(name, root=Path("unused"), **options):
    dataset = SETS[name]
    return dataset.function(root, dataset.config(**options))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def fails(kind, name, root=Path("unused"), **options):
    """Return the one line with which loading fails."""
    with pytest.raises(WnError) as caught:
        load(name, root, **options)
    assert type(caught.value) is kind
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


def sizes(data):
    return [len(split) for split in (data.train, data.test, data.val) if split is not None]


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
            assert field.validator or field.type in ("bool", "Path"), (dataset.name, field.name)
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


# -- npz -----------------------------------------------------------------------------------------------------------


def arrays(shape=(6, 5), dtype=np.uint8, **changes):
    """Return the four arrays for 12 training and 8 test samples, changed as told; None leaves one out."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, *shape)).astype(dtype)
    y = np.arange(20) % 4
    return {"x_train": x[:12], "y_train": y[:12], "x_test": x[12:], "y_test": y[12:], **changes}


def saved(path, contents):
    np.savez(path, **{key: value for key, value in contents.items() if value is not None})
    return path


@pytest.mark.parametrize(
    "shape, dtype, want",
    [
        ((6, 5), np.uint8, (1, 6, 5)),
        ((6, 5, 3), np.uint8, (3, 6, 5)),
        ((6, 5), np.float32, (1, 6, 5)),
        ((6, 5, 3), np.float64, (3, 6, 5)),
        ((6, 5, 3), np.float16, (3, 6, 5)),
        ((6, 5, 3), np.dtype(">f4"), (3, 6, 5)),
        ((7,), np.float64, (7,)),
        ((2, 3, 4, 5), np.float32, (2, 3, 4, 5)),
    ],
)
def test_npz_layouts(tmp_path, shape, dtype, want):
    contents = arrays(shape, dtype)
    data = load("npz", path=saved(tmp_path / "a.npz", contents))
    assert (data.name, data.shape, data.classes, sizes(data)) == ("npz", want, 4, [12, 8])
    assert data.train.x.dtype == (torch.uint8 if dtype == np.uint8 else torch.float32)
    values = data.train.x.movedim(1, -1) if len(want) == 3 else data.train.x
    assert np.array_equal(values.numpy().reshape(12, *shape), contents["x_train"].astype(values.numpy().dtype))
    inputs, labels = next(data.train.batches(12))
    assert np.array_equal(labels, contents["y_train"])
    if len(want) == 3:
        assert inputs.mean((0, 2, 3)).abs().max() < 1e-5
        assert (inputs.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-5
        assert (data.test.mean, data.test.std) == (data.train.mean, data.train.std)
    else:
        assert torch.equal(inputs, data.train.x)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_npz_labels_may_be_of_any_integer_type_and_a_column(tmp_path, dtype):
    y = (np.arange(12) % 4).astype(dtype)
    data = load("npz", path=saved(tmp_path / "a.npz", arrays(y_train=y[:, None])))
    assert data.train.y.tolist() == y.tolist()
    assert data.train.y.dtype == torch.int64


def test_npz_augments_training_images_when_asked(tmp_path):
    path = saved(tmp_path / "a.npz", arrays((16, 24, 3)))
    data = load("npz", path=path, augment=True)
    assert (data.train.pad, data.train.flip, data.test.pad, data.test.flip) == (2, True, 0, False)
    data = load("npz", path=path)
    assert (data.train.pad, data.train.flip) == (0, False)


def images(**changes):
    return lambda: arrays(**changes)


NPZ = {
    "missing y_test": (images(y_test=None), "lacks y_test; it must hold x_train, y_train, x_test, y_test"),
    "missing two": (images(x_train=None, y_test=None), "lacks x_train, y_test;"),
    "objects": (images(y_train=np.array([{}] * 12)), "Python objects"),
    "fewer labels": (images(y_train=np.arange(11)), "y_train has 11 labels for 12 samples"),
    "negative label": (images(y_train=np.arange(12) - 1), "y_train has labels from -1 to 10; number"),
    "huge label": (images(y_train=np.full(12, 2**63, np.uint64)), "number the classes from 0"),
    "float labels": (images(y_train=np.arange(12.0)), "y_train is float64 of shape (12,); store one integer"),
    "one-hot labels": (images(y_train=np.eye(12, dtype=int)), "store one integer per sample"),
    "scalar labels": (images(y_train=np.int64(3)), "store one integer per sample"),
    "unseen test label": (images(y_test=np.arange(8)), "y_test has label 7, y_train only 0 to 3"),
    "int64 pixels": (images(dtype=np.int64), "x_train is int64 of shape (12, 6, 5); store uint8"),
    "complex": (images(dtype=np.complex64), "x_train is complex64"),
    "strings": (images(x_test=np.array(["a"] * 8)), "x_test is <U1"),
    "flat pixels": (images(shape=(30,)), "x_train is uint8 of shape (12, 30)"),
    "too many axes": (images(shape=(2, 3, 4, 5)), "x_train is uint8 of shape (12, 2, 3, 4, 5)"),
    "one axis": (images(shape=(), dtype=np.float32), "x_train is float32 of shape (12,)"),
    "channels first": (images(shape=(3, 8, 8)), "has its channels first; store (N, H, W, C)"),
    "empty": (
        images(x_test=np.zeros((0, 6, 5), np.uint8), y_test=np.zeros(0, int)),
        "x_test of shape (0, 6, 5) is empty",
    ),
    "not finite": (images(shape=(5,), dtype=float, x_test=np.full((8, 5), np.nan)), "infinite or undefined"),
    "beyond float32": (images(x_train=np.full((12, 6, 5), 1e300)), "infinite or undefined in float32"),
    "shapes differ": (images(x_test=np.zeros((8, 6, 4), np.uint8)), "x_train and x_test differ"),
    "types differ": (images(x_test=np.zeros((8, 6, 5))), "x_train and x_test differ"),
}


@pytest.mark.parametrize("case", NPZ)
def test_npz_says_what_is_wrong(tmp_path, case):
    contents, reason = NPZ[case]
    path = saved(tmp_path / "a.npz", contents())
    line = fails(UsageError, "npz", path=path)
    assert reason in line
    assert str(path) in line


def test_npz_files_that_are_none(tmp_path):
    good = saved(tmp_path / "good.npz", arrays()).read_bytes()
    assert "no file" in fails(UsageError, "npz", path=tmp_path / "absent.npz")
    assert "no file" in fails(UsageError, "npz", path=tmp_path)
    path = tmp_path / "a.npz"
    for contents in (b"", b"text", good[: len(good) // 2]):
        path.write_bytes(contents)
        assert "not an .npz file, or not a whole one" in fails(UsageError, "npz", path=path)
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert "not an .npz file" in fails(UsageError, "npz", path=tmp_path / "a.npy")
    path.write_bytes(good.replace(arrays()["x_train"].tobytes()[:50], bytes(50)))
    assert "is damaged" in fails(UsageError, "npz", path=path)


def test_npz_vectors_cannot_be_augmented(tmp_path):
    path = saved(tmp_path / "a.npz", arrays((7,), np.float32))
    assert "leave out augment" in fails(UsageError, "npz", path=path, augment=True)


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared data are not here")
def test_npz_reads_real_photographs():
    data = load("npz", path=REAL / "cifar10-subset.npz", augment=True)
    assert (data.shape, data.classes, sizes(data)) == ((3, 32, 32), 10, [5085, 1017])
    assert data.train.mean == pytest.approx((0.491, 0.482, 0.447), abs=0.01)
    assert data.train.pad == 4


# -- folders of images ---------------------------------------------------------------------------------------------


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


# -- downloads -----------------------------------------------------------------------------------------------------


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def fake_cifar(site, monkeypatch, kind, label):
    """Put a CIFAR archive of 10 images per file on the site, and its checksums into torchvision."""
    folder = site / kind.base_folder
    folder.mkdir()
    names = [f"class {k}" for k in range(100 if label == "fine_labels" else 10)]

    def write(name, contents):
        (folder / name).write_bytes(pickle.dumps(contents, protocol=2))
        return [name, md5(folder / name)]

    def batch(number):
        pixels = np.random.default_rng(number).integers(0, 256, (10, 3072), dtype=np.uint8)
        return {"data": pixels, label: list(range(10))}

    lists = {
        part: [write(name, batch(10 * where + k)) for k, (name, _) in enumerate(getattr(kind, part))]
        for where, part in enumerate(("train_list", "test_list"))
    }
    meta = write(kind.meta["filename"], {kind.meta["key"]: names})
    with tarfile.open(site / kind.filename, "w:gz") as archive:
        archive.add(folder, kind.base_folder)
    for part, files in lists.items():
        monkeypatch.setattr(kind, part, files)
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta[1]})
    monkeypatch.setattr(kind, "tgz_md5", md5(site / kind.filename))


def fake_mnist(site, monkeypatch):
    """Put MNIST's four files, of 20 and 10 images, on the site, and their checksums into torchvision."""
    kind, resources = torchvision.datasets.MNIST, []
    for name, _ in kind.resources:
        count = 20 if name.startswith("train") else 10
        shape = (count, 28, 28) if "images" in name else (count,)
        values = np.random.default_rng(count).integers(0, 10, shape, dtype=np.uint8)
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes()
        (site / name).write_bytes(gzip.compress(header + values.tobytes()))
        resources.append((name, md5(site / name)))
    monkeypatch.setattr(kind, "resources", resources)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return the folder of a web site on this machine that torchvision takes for its own."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    point_at(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    fake_mnist(folder, monkeypatch)
    fake_cifar(folder, monkeypatch, torchvision.datasets.CIFAR10, "labels")
    fake_cifar(folder, monkeypatch, torchvision.datasets.CIFAR100, "fine_labels")
    yield folder
    server.shutdown()
    server.server_close()
    with warnings.catch_warnings(action="ignore"):  # urllib leaves the connection of a failed request to the collector
        gc.collect()


def point_at(monkeypatch, address):
    monkeypatch.setenv("no_proxy", "*")
    for kind in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100):
        monkeypatch.setattr(kind, "url", f"{address}/{kind.filename}")
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{address}/"])


DOWNLOADS = {
    "mnist": ((1, 28, 28), 10, [20, 10]),
    "cifar10": ((3, 32, 32), 10, [50, 10]),
    "cifar100": ((3, 32, 32), 100, [10, 10]),
}


@pytest.mark.parametrize("name", DOWNLOADS)
def test_downloads(site, tmp_path, capfd, monkeypatch, name):
    root = tmp_path / "new" / "root"
    data = load(name, root)
    assert (data.shape, data.classes, sizes(data)) == DOWNLOADS[name]
    assert len(data.class_names) == data.classes
    assert data.train.x.dtype == torch.uint8
    assert capfd.readouterr().out == ""
    point_at(monkeypatch, "http://127.0.0.1:1")
    for lock in root.glob(".*.lock"):
        lock.unlink()
    again = load(name, root)
    assert torch.equal(again.train.x, data.train.x)
    assert not list(root.glob(".*.lock"))


def test_cifar_pixels_and_options(site, tmp_path):
    data = load("cifar10", tmp_path)
    first = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)
    assert np.array_equal(data.train.x[3].reshape(-1), first[3])
    assert data.train.y.tolist() == list(range(10)) * 5
    assert (data.train.pad, data.train.flip, data.test.pad, data.test.flip) == (4, True, 0, False)
    assert (data.train.mean, data.train.std) == ((0.491, 0.482, 0.447), (0.247, 0.243, 0.262))
    plain = load("cifar10", tmp_path, augment=False).train
    assert (plain.pad, plain.flip) == (0, False)


def test_mnist_pixels(site, tmp_path):
    data = load("mnist", tmp_path)
    assert np.array_equal(data.test.x[:, 0], np.random.default_rng(10).integers(0, 10, (10, 28, 28), dtype=np.uint8))
    assert (data.train.mean, data.train.std, data.train.pad) == ((0.1307,), (0.3081,), 0)


@pytest.mark.parametrize("name", DOWNLOADS)
def test_files_put_there_by_hand_need_no_network(site, tmp_path, monkeypatch, name):
    point_at(monkeypatch, "http://127.0.0.1:1")
    pattern = Path(downloads.BY_HAND[name])
    target = tmp_path / "root" / pattern.parent
    target.mkdir(parents=True)
    for path in site.glob("*-ubyte.gz" if name == "mnist" else pattern.name):
        path.rename(target / path.name)
    assert sizes(load(name, tmp_path / "root")) == DOWNLOADS[name][2]


def check_line(line, name, root):
    for part in (f"cannot load {name}: ", str(root), "--data-dir", "--dataset digits", downloads.BY_HAND[name]):
        assert part in line
    assert len(line) < 450


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_download_that_fails_is_one_line(site, tmp_path, capfd, monkeypatch, name):
    root = tmp_path / "root"
    for path in site.glob("*.gz"):
        path.write_bytes(path.read_bytes()[:-9])
    line = fails(WnError, name, root)
    check_line(line, name, root)
    assert "corrupted" in line
    for path in site.glob("*.gz"):
        path.unlink()
    line = fails(WnError, name, root)
    check_line(line, name, root)
    assert "404" in line
    point_at(monkeypatch, "http://127.0.0.1:1")
    line = fails(WnError, name, root)
    check_line(line, name, root)
    assert "refused" in line
    assert capfd.readouterr().out == ""


def test_a_server_that_never_answers_is_given_up(site, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        point_at(monkeypatch, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert "timed out" in fails(WnError, "cifar10", tmp_path / "root")
    assert socket.getdefaulttimeout() is None


def test_a_data_folder_that_cannot_be_written_is_one_line(site, tmp_path):
    (tmp_path / "file").touch()
    check_line(fails(WnError, "cifar10", tmp_path / "file" / "root"), "cifar10", tmp_path / "file" / "root")


def test_a_truncated_file_is_one_line(site, tmp_path):
    load("mnist", tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    check_line(fails(WnError, "mnist", tmp_path), "mnist", tmp_path)


def test_torchvisions_talk_and_warnings_are_kept_from_the_user(tmp_path, monkeypatch, capfd):
    def talkative(*args, **options):
        sys.stdout.write("Files already downloaded\n")
        warnings.warn("made by an old NumPy", stacklevel=1)  # an error in these tests, were it let through
        raise OSError("no more")

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", talkative)
    assert "no more" in fails(WnError, "cifar10", tmp_path)
    assert capfd.readouterr() == ("", "Files already downloaded\n")


def test_a_signal_to_stop_is_not_taken_for_a_failed_download(tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise Stopped(15)

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", interrupted)
    with pytest.raises(Stopped):
        load("cifar10", tmp_path)
