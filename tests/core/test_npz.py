"""Data sets in .npz files: contents, and one clear line for whatever can be wrong with them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from loading import fails, load, sizes

from widenet.errors import UsageError

REAL = Path(__file__).parents[2].parent / "shared" / "data"


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
