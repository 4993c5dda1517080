"""Parity of digits along principal components."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from widenet.data import Data, Images
from widenet.errors import UsageError
from widenet.options import build, resolve
from widenet_redundant_repr.datasets import DATASETS
from widenet_redundant_repr.options import Parity
from widenet_redundant_repr.parity import principal

PARITY = next(dataset for dataset in DATASETS if dataset.name == "parity")


def load(root, **values):
    return PARITY.function(root, build(Parity, resolve(Parity, values, "parity"), "parity"))


def test_digits_without_a_download(tmp_path):
    data = load(tmp_path, source="digits")
    assert (data.shape, data.classes, len(data.train), len(data.test)) == ((10,), 2, 360, 1437)
    assert data.train.x.dtype == torch.float32
    assert data.class_names == ("even", "odd")


@pytest.mark.parametrize("swap", [True, False])
def test_components_are_those_of_the_split_trained_on(tmp_path, swap):
    data = load(tmp_path, source="digits", components=7, swap=swap)
    pixels, labels = load_digits(return_X_y=True)
    held_out = np.zeros(len(labels), bool)
    held_out[np.argsort(labels, kind="stable")[::5]] = True
    first, other = (held_out, ~held_out) if swap else (~held_out, held_out)
    pixels = (pixels * 255 / 16).round() / 255
    pca = PCA(7, svd_solver="full").fit(pixels[first])
    for split, part in ((data.train, first), (data.test, other)):
        found, wanted = split.x.numpy(), pca.transform(pixels[part])
        np.testing.assert_allclose(found * np.sign((found * wanted).sum(0)), wanted, atol=1e-4)
        assert torch.equal(split.y, torch.from_numpy(labels[part] % 2))


def test_mnist_is_swapped_and_its_pixels_are_fractions(tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=generator) for count in (60, 20)]
    splits = [Images(x, torch.arange(len(x)) % 10, (0.1307,), (0.3081,)) for x in images]
    monkeypatch.setattr("widenet.builtin.datasets.downloads.mnist", lambda root: Data("mnist", *splits, (1, 28, 28), 10))
    data = load(tmp_path)
    assert (len(data.train), len(data.test)) == (20, 60)
    assert data.train.x.shape == (20, 10)
    pixels = images[1].flatten(1).double() / 255
    mean, directions = principal(pixels, 10)
    torch.testing.assert_close(data.train.x, ((pixels - mean) @ directions).float())
    assert data.train.x.var(0).sum() < pixels.var(0).sum()


def test_a_file_in_place_of_mnist(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "digits.npz"
    x, y = rng.normal(size=(30, 12)), np.arange(30) % 10
    np.savez(path, x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    data = load(tmp_path, path=str(path), swap=False, components=3)
    assert (len(data.train), len(data.test)) == (20, 10)
    np.testing.assert_allclose(np.abs(data.train.x.numpy()), np.abs(PCA(3).fit_transform(x[:20])), atol=1e-5)
    assert data.test.y.tolist() == (y[20:] % 2).tolist()


@given(seed=st.integers(0, 99), count=st.integers(4, 30), pixels=st.integers(3, 8), components=st.integers(1, 3))
@settings(max_examples=30)
def test_directions_are_orthonormal_ordered_and_signed(seed, count, pixels, components):
    x = torch.randn(count, pixels, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 3
    mean, directions = principal(x, components)
    torch.testing.assert_close(directions.mT @ directions, torch.eye(components, dtype=torch.float64))
    variances = ((x - mean) @ directions).var(0)
    assert (variances.diff() <= 1e-9).all()
    torch.testing.assert_close(variances, torch.linalg.eigvalsh(x.T.cov()).flip(0)[:components], atol=1e-9, rtol=1e-6)
    for direction in directions.mT:
        assert direction[direction.abs().argmax()] > 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "digits", "components": 65}, "360 training images of 64 pixels have no 65 principal .* components=64"),
        ({"source": "digits", "path": "x.npz"}, "path and source both say where digits come from"),
        ({"path": "missing.npz"}, "no file missing.npz"),
        ({"components": 0}, "'components' must be >= 1"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, values, message):
    with pytest.raises(UsageError, match=message):
        load(tmp_path, **values)


def test_declaring_imports_no_torch():
    names = ", ".join(f"widenet_redundant_repr.{name}" for name in ("models", "datasets", "presets"))
    code = f"import sys, {names}; print(*({{'torch', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
