"""Errors and losses of chunks under several read-outs."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from widenet.kernels.gram import Gram
from widenet_redundant_repr.readout import Refitted, Sliced, chunk_errors, refit, with_targets

GOLDEN = Path(__file__).parents[2] / "golden" / "redundant_repr"


@pytest.fixture(scope="module")
def stored():
    with np.load(GOLDEN / "representations.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def split(x, y, size):
    return zip(x.split(size), y.split(size), strict=True)


def gram_of(x, y, classes):
    gram = Gram(x.shape[1] + max(classes, 1))
    gram.update(with_targets(x, y, classes))
    return gram


@pytest.mark.parametrize("part", ["test", "train"])
def test_the_original_chunks(stored, part):
    x, y = stored[f"features_{part}"], stored[f"targets_{part}"]
    with np.load(GOLDEN / "chunk_error.npz") as file:
        sizes = file["sizes"].tolist()
        chunks = [index for size in sizes for index in file[f"index_{part}_c{size}"]]
        errors, losses = (np.concatenate([file[f"{what}_{part}_c{c}"] for c in sizes]) for what in ("error", "loss"))
        means = file[f"mean_error_{part}"]
    readout = Sliced(stored["readout_weight"], stored["readout_bias"])
    found = chunk_errors(split(x, y, 64), chunks, {"slice": readout})["slice"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal((found[:, 0] * len(y)).round(), (errors * len(y)).round())
    np.testing.assert_allclose(found[:, 0], errors, atol=1e-7)
    np.testing.assert_allclose(found[:, 1], losses, atol=1e-5)
    np.testing.assert_allclose(found[:, 0].reshape(len(sizes), -1).mean(1), means, atol=1e-7)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(2, 5), st.integers(1, 60))
def test_chunks_of_any_sizes_against_the_textbook(seed, width, classes, count):
    draw = np.random.default_rng(seed)
    x = torch.from_numpy(draw.normal(size=(count, width))).float()
    y = torch.from_numpy(draw.integers(classes, size=count))
    weight, bias = (torch.from_numpy(draw.normal(size=shape)).float() for shape in ((classes, width), classes))
    chunks = [draw.choice(width, draw.integers(1, width + 1), replace=False) for _ in range(12)]
    readouts = {"slice": Sliced(weight, bias), "rescaled": Sliced(weight, bias, rescaled=True)}
    found = chunk_errors(split(x, y, 17), chunks, readouts)
    for name, factor in (("slice", lambda c: 1), ("rescaled", lambda c: width / c)):
        for chunk, (error, loss) in zip(chunks, found[name], strict=True):
            logits = (x[:, chunk] @ weight[:, chunk].T * factor(len(chunk)) + bias).double()
            assert loss == pytest.approx(float(F.cross_entropy(logits, y)), abs=1e-5, rel=1e-5)
            assert abs(error - float((logits.argmax(1) != y).double().mean())) < 1.5 / count


def test_rescaled_weights_choose_as_a_rescaled_bias(stored):
    x, y, weight, bias = (stored[name] for name in ("features_test", "targets_test", "readout_weight", "readout_bias"))
    bias = bias + torch.arange(10)  # one that matters
    chunk = np.arange(0, 48, 4)
    error = chunk_errors([(x, y)], [chunk], {"": Sliced(weight, bias, rescaled=True)})[""][0, 0]
    logits = x[:, chunk] @ weight[:, chunk].T + bias * 12 / 48
    assert error == float((logits.argmax(1) != y).double().mean())
    assert error != chunk_errors([(x, y)], [chunk], {"": Sliced(weight, bias)})[""][0, 0]


def test_equal_logits_choose_the_first_class():
    x, y = torch.zeros(6, 2), torch.tensor([0, 1, 2, 0, 1, 0])
    found = chunk_errors([(x, y)], [[0], [1]], {"": Sliced(torch.ones(3, 2), torch.zeros(3))})[""]
    assert found[:, 0].tolist() == [0.5, 0.5]
    assert found[:, 1] == pytest.approx(np.log(3))


def test_large_logits_have_finite_losses():
    x, y = torch.tensor([[1e4], [1e4]]), torch.tensor([0, 1])
    ((error, loss),) = chunk_errors([(x, y)], [[0]], {"": Sliced(torch.tensor([[1.0], [-1.0]]), torch.zeros(2))})[""]
    assert (error, loss) == (0.5, 1e4)


def test_the_binary_task():
    x = torch.tensor([[2.0], [0.5], [-1.0], [-3.0], [0.0]])
    y = torch.tensor([1, 1, 1, 0, 0])
    ((error, loss),) = chunk_errors([(x, y)], [[0]], {"": Sliced(torch.ones(1, 1), torch.zeros(1))})[""]
    assert error == 2 / 5  # an output of 0 is wrong
    assert loss == np.mean([0, 0.5**2, 2**2, 0, 1]) / 2


@pytest.mark.parametrize("classes", [10, 1])
def test_refitted_is_least_squares(stored, classes):
    x, y = stored["features_train"], stored["targets_train"]
    y = y if classes > 1 else y % 2
    gram, chunk = gram_of(x, y, classes), torch.tensor([5, 0, 17, 33])
    weight, bias = refit(gram, 48, chunk)
    design = np.column_stack([x[:, chunk].double(), np.ones(len(x))])
    targets = np.eye(10)[y] if classes > 1 else 2.0 * y[:, None].numpy() - 1
    expected = np.linalg.lstsq(design, targets, rcond=None)[0]
    np.testing.assert_allclose(torch.column_stack([weight, bias]), expected.T, atol=1e-6)
    assert len(bias) == classes


def test_refitted_does_better_than_sliced_on_small_chunks(stored):
    x, y = stored["features_train"], stored["targets_train"]
    draw = np.random.default_rng(0)
    chunks = [draw.choice(48, c, replace=False) for c in (6, 12) for _ in range(20)]
    readouts = {"slice": Sliced(stored["readout_weight"], stored["readout_bias"]), "refit": Refitted(gram_of(x, y, 10), 10)}
    found = chunk_errors([(x, y)], chunks, readouts)
    assert found["refit"][:, 0].mean() < found["slice"][:, 0].mean() - 0.02


def test_refitted_bears_columns_that_repeat_or_are_constant(stored):
    x, y = stored["features_train"][:, :6], stored["targets_train"]
    dull = torch.cat([x, x, 2 * x[:, :1] - x[:, 1:2], torch.full((len(x), 1), 7.0)], 1)
    once, many = Refitted(gram_of(x, y, 10), 10), Refitted(gram_of(dull, y, 10), 10)
    expected = chunk_errors([(x, y)], [np.arange(6)], {"": once})[""]
    np.testing.assert_allclose(chunk_errors([(dull, y)], [np.arange(14)], {"": many})[""], expected, atol=1e-5)
    weight, bias = many.of(torch.tensor([13]))
    assert weight.tolist() == [[0.0]] * 10
    np.testing.assert_allclose(bias, np.bincount(y) / len(y))


def test_nothing_to_evaluate():
    with pytest.raises(ValueError, match="at least one sample"):
        chunk_errors([], [[0]], {"": Sliced(torch.ones(2, 1), torch.zeros(2))})
