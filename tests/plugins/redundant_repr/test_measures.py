"""What is measured of the chunks of a layer: the tables, their seeds, and the rows that are made of them."""

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made_layers import layer
from sklearn.linear_model import LinearRegression
from torch import nn

from widenet.capture import ReadOut
from widenet.data import Data, Images
from widenet.errors import UsageError, WnError
from widenet.options import build, resolve
from widenet.runs import Run
from widenet_redundant_repr.chunks import chunk_error
from widenet_redundant_repr.config import Chunks, RedundantRepr
from widenet_redundant_repr.controls import noise_like
from widenet_redundant_repr.draws import SPLITS, drawn, permuted, random_chunks, random_orders
from widenet_redundant_repr.measure import STATISTICS, Grams, Measured, control, deviation, every_size, means, measured, tidy
from widenet_redundant_repr.representation import Representation, gram_of, represented

WIDTH, CLASSES = 12, 3
SIZES = [1, 5, 11, 12]
SCORES = [f"{name}{split}_{what}" for name in ("", "rescaled_", "refitted_") for split in SPLITS for what in ("error", "loss")]


class Stored:
    """As much of a capture as is read: blocks of features and labels."""

    def __init__(self, features, labels):
        self.features, self.labels = features, labels

    def batches(self, name, rows):
        return zip(self.features.split(23), self.labels.split(23), strict=True)


def found(head=True, classes=CLASSES, train=90):
    """A layer of which 40 of the samples are the test's."""
    draw = np.random.default_rng(0)
    x = torch.from_numpy(layer(train + 40, WIDTH, 0)).float()
    y = (x[:, :3].argmax(1) if classes > 1 else x[:, 0] > 0).long()
    weight, bias = (torch.from_numpy(draw.normal(size=shape)).float() for shape in ((classes, WIDTH), classes))
    parts = [Stored(x[:train], y[:train]), Stored(x[train:], y[train:])]
    return Representation("fc:input", WIDTH, "mean", classes, *parts, ReadOut("fc", weight, bias) if head else None)


def grams(of):
    train = gram_of(of.batches("train"), WIDTH, "cpu", targets=of.classes)
    return Grams(gram_of(of.batches("test"), WIDTH, "cpu"), train)


def run(path, seed=0):
    return Run(path, {"seed": seed})


def config(seed=0):
    return Chunks(error_repeats=4, r2_repeats=3, chunk_seed=seed)


def tables(path, seed=0, chunk_seed=0, of=None):
    of = of or found()
    return measured(of, grams(of), *random_chunks(run(path, seed), WIDTH, SIZES, config(chunk_seed)), "random")


def same(one, other):
    return all(np.array_equal(one.values[name], other.values[name], equal_nan=True) for name in one.values)


def test_a_table_has_a_row_a_size_and_a_column_a_chunk(tmp_path):
    values = tables(tmp_path).values
    assert values.keys() == {*SCORES, *STATISTICS, "r2_held_out"}
    assert {name: table.shape for name, table in values.items()} == {name: (4, 4 if name in SCORES else 3) for name in values}
    assert {str(table.dtype) for table in values.values()} == {"float64"}


def test_every_size_has_the_same_quantities(tmp_path):
    of = found()
    every = every_size(of, grams(of), *random_orders(run(tmp_path), WIDTH, config()))
    assert every.sizes == list(range(1, 13))
    assert {name: table.shape for name, table in every.values.items()} == {
        name: (12, 4 if name in SCORES else 3) for name in tables(tmp_path).values
    }


def test_every_size_finds_what_chunks_one_by_one_have(tmp_path):
    of = found()
    for_errors, for_r2 = random_orders(run(tmp_path), WIDTH, config())
    every = every_size(of, grams(of), for_errors, for_r2)
    chunks = [{c: [order[:c] for order in orders] for c in range(1, 13)} for orders in (*for_errors.values(), for_r2)]
    single = measured(of, grams(of), dict(zip(for_errors, chunks, strict=False)), chunks[2], "random")
    assert every.values.keys() == single.values.keys()
    for name, table in single.values.items():
        np.testing.assert_allclose(every.values[name], table, rtol=1e-5, atol=1e-6, err_msg=name)
    assert every.reasons == single.reasons


def test_without_a_read_out_each_chunk_has_its_own(tmp_path):
    of = found(head=False)
    names = {name for name in SCORES if name.startswith("refitted_")} | {*STATISTICS, "r2_held_out"}
    assert tables(tmp_path, of=of).values.keys() == names
    assert every_size(of, grams(of), *random_orders(run(tmp_path), WIDTH, config())).values.keys() == names


def test_without_anything_to_classify_there_are_no_errors(tmp_path):
    of = found(head=False)
    bare = Grams(grams(of).test)
    values = measured(of, bare, *random_chunks(run(tmp_path), WIDTH, SIZES, config()), "random").values
    assert list(values) == list(STATISTICS)


def test_chunks_have_a_seed(tmp_path):
    first = tables(tmp_path)
    assert same(first, tables(tmp_path))
    for other in (tables(tmp_path, seed=1), tables(tmp_path, chunk_seed=1)):
        for name in ("test_loss", "train_loss", "refitted_test_loss", "r2", "correlation"):
            assert not np.isin(first.values[name][1], other.values[name][1]).any(), name
            assert first.values[name][3, 0] == pytest.approx(other.values[name][3, 0])  # all neurons, in another order


def test_errors_and_r2_have_chunks_of_their_own(tmp_path):
    for_errors, for_r2 = random_chunks(run(tmp_path), WIDTH, SIZES, config())
    assert list(for_errors) == ["test", "train"]
    test, train, r2 = (
        {tuple(sorted(index.tolist())) for index in chunks[5]} for chunks in (for_errors["test"], for_errors["train"], for_r2)
    )
    assert not (test & train or test & r2 or train & r2)
    orders = random_orders(run(tmp_path), WIDTH, config())
    assert len({tuple(order.tolist()) for order in [*orders[0]["test"], *orders[0]["train"], *orders[1]]}) == 11


def test_chunks_are_distinct_neurons_of_the_size_asked_for():
    chunks = drawn(WIDTH, SIZES, 50, torch.Generator().manual_seed(0))
    assert {size: len(of_size) for size, of_size in chunks.items()} == {1: 50, 5: 50, 11: 50, 12: 1}
    for size, of_size in chunks.items():
        for index in of_size:
            assert len(set(index.tolist())) == size
    single = drawn(WIDTH, [1], 400, torch.Generator().manual_seed(0))[1]
    assert {int(index) for index in single} == set(range(WIDTH))
    for order in permuted(WIDTH, 3, torch.Generator().manual_seed(0)):
        assert order.sort().values.tolist() == list(range(WIDTH))


def test_the_whole_layer_is_measured_once(tmp_path, monkeypatch):
    counted = []

    def chunk_errors(batches, chunks, under):
        counted.append([len(chunk) for chunk in chunks])
        return {name: np.random.default_rng(0).random((len(chunks), 2)) for name in under}

    monkeypatch.setattr("widenet_redundant_repr.measure.chunk_errors", chunk_errors)
    values = tables(tmp_path).values
    assert counted == [[1] * 4 + [5] * 4 + [11] * 4 + [12]] * 2
    for name, table in values.items():
        assert np.ptp(table[3]) == 0 or np.isnan(table[3]).all(), name
    assert values["r2"][3].tolist() == values["r2_held_out"][3].tolist() == [1, 1, 1]


def test_errors_are_those_of_the_chunks_drawn(tmp_path):
    of = found()
    chunks = random_chunks(run(tmp_path), WIDTH, SIZES, config())[0]["train"]
    values, head = tables(tmp_path).values, of.head
    for row, size in enumerate(SIZES):
        for column, index in enumerate(chunks[size]):
            error, loss = chunk_error(of.train.features, head.weight, head.bias, of.train.labels, index)
            assert values["train_error"][row, column] == pytest.approx(error, abs=1e-12)
            assert values["train_loss"][row, column] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("classes", [CLASSES, 1])
def test_refitted_is_linear_regression_on_the_training_targets(tmp_path, classes):
    of = found(classes=classes)
    chunks = random_chunks(run(tmp_path), WIDTH, SIZES, config())[0]["test"]
    values = tables(tmp_path, of=of).values
    targets = F.one_hot(of.train.labels, classes) if classes > 1 else 2 * of.train.labels[:, None] - 1
    for row, size in enumerate(SIZES):
        for column, index in enumerate(chunks[size]):
            model = LinearRegression().fit(of.train.features[:, index].double(), targets)
            logits = torch.from_numpy(model.predict(of.test.features[:, index].double()))
            labels = of.test.labels
            if classes > 1:
                error, loss = (logits.argmax(1) != labels).double().mean(), F.cross_entropy(logits, labels)
            else:
                margin = logits[:, 0] * (2 * labels - 1)
                error, loss = (margin <= 0).double().mean(), (1 - margin).clamp(min=0).square().mean() / 2
            assert values["refitted_test_error"][row, column] == pytest.approx(float(error), abs=1e-12)
            assert values["refitted_test_loss"][row, column] == pytest.approx(float(loss), rel=1e-4)


def test_r2_held_out_is_of_a_fit_to_the_training_samples(tmp_path):
    of = found()
    chunks = random_chunks(run(tmp_path), WIDTH, SIZES, config())[1]
    train, test = of.train.features.double().numpy(), of.test.features.double().numpy()
    for column, index in enumerate(chunks[5]):
        left = test - LinearRegression().fit(train[:, index], train).predict(test[:, index])
        expected = 1 - (left**2).sum() / ((test - test.mean(0)) ** 2).sum()
        assert tables(tmp_path).values["r2_held_out"][1, column] == pytest.approx(expected, abs=1e-6)


def test_a_control_has_statistics_alone():
    of = found()
    chunks = drawn(WIDTH, SIZES, 3, torch.Generator().manual_seed(0))
    made = control("noise", grams(of).test, chunks)
    assert (made.of, made.chunks, made.sizes, list(made.values)) == ("noise", "random", SIZES, list(STATISTICS))
    assert made.values["r2"].shape == (4, 3)


def test_rows_have_mean_deviation_and_band():
    values = np.arange(200.0).reshape(2, 100)
    values[1] = 7.3
    rows = list(tidy([Measured("layer", "random", [3, 9], {"r2": values}, ["", "whole"])]))
    about = {"of": "layer", "chunks": "random", "quantity": "r2"}
    band = {"mean": 49.5, "deviation": pytest.approx(np.std(np.arange(100), ddof=1)), "low": pytest.approx(2.475)}
    assert rows[0] == {**about, "size": 3, "drawn": 100, **band, "high": pytest.approx(96.525), "reason": ""}
    constant = {"mean": pytest.approx(7.3), "deviation": 0.0, "low": 7.3, "high": 7.3, "reason": ""}
    assert rows[1] == {**about, "size": 9, "drawn": 1, **constant}  # the whole layer


def test_every_empty_value_has_a_reason_beside_it(tmp_path):
    of = found()
    few = Grams(gram_of([(of.test.features[:8], of.test.labels[:8])], WIDTH, "cpu"), grams(of).train)
    made = measured(of, few, *random_chunks(run(tmp_path), WIDTH, [1, 6, 7, 11, 12], config()), "random")
    rows = list(tidy([made]))
    assert len(rows) == 5 * len(made.values)
    for row in rows:
        numbers = [row[name] for name in ("mean", "deviation", "low", "high")]
        assert all(value is None for value in numbers) if row["reason"] else None not in numbers
    reasons = {(row["quantity"], row["size"]): row["reason"] for row in rows if row["reason"]}
    assert set(reasons) == {
        *(("correlation", c) for c in (7, 11)),
        *(("correlation_out", c) for c in (7, 11, 12)),
        ("r2_out", 12),
    }
    assert "8 samples are too few" in reasons["correlation", 7]
    assert reasons["r2_out", 12] == "no neuron is outside the chunk"


def test_a_constant_layer_has_a_reason_too(tmp_path):
    of = found()
    of.test.features[:] = 0.1
    rows = list(tidy([tables(tmp_path, of=of)]))
    assert {row["quantity"] for row in rows if row["mean"] is None} == {"r2", "r2_out", "r2_held_out", "correlation_out"}
    assert {row["reason"] for row in rows if row["mean"] is None} == {
        "every neuron is constant, so there is nothing to explain"
    }


def test_means_are_by_size():
    made = Measured("layer", "random", [1, 2], {"r2": np.array([[1.0, 3.0], [5.0, 6.0]])}, ["", ""])
    assert means(made, "r2").tolist() == [2, 5.5]
    assert deviation(np.array([0.1])) == deviation(np.full(7, 0.1)) == 0


def test_noise_takes_the_place_of_the_inputs_alone():
    split = Images(torch.ones(500, 2, 3), torch.arange(500) % 7)
    made = noise_like(split, (2, 3), torch.Generator().manual_seed(0))
    assert torch.equal(made.labels(), split.labels())
    assert (made.x.shape, made.x.dtype) == ((500, 2, 3), torch.float32)
    assert abs(float(made.x.mean())) < 0.1
    assert abs(float(made.x.std()) - 1) < 0.05
    again, other = (noise_like(split, (2, 3), torch.Generator().manual_seed(seed)).x for seed in (0, 1))
    assert torch.equal(made.x, again)
    assert not torch.equal(made.x, other)


@pytest.mark.parametrize("kind", [Chunks, RedundantRepr])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizes": "3", "grid": "all"}, "sizes and grid all both say which chunks are drawn; give one"),
        ({"ensemble": "a,b", "error_infinity": "0.1"}, "ensemble and error-infinity both give the error at infinite width"),
        ({"sizes": "0"}, "sizes"),
        ({"error_repeats": "0"}, "error.repeats"),
        ({"tolerances": "1"}, "tolerances"),
        ({"r2_threshold": "0"}, "r2.threshold"),
        ({"error_infinity": "1"}, "error.infinity"),
        ({"structured": "best"}, "structured"),
    ],
)
def test_options_that_cannot_be(kind, values, message):
    with pytest.raises(UsageError, match=message):
        build(kind, resolve(kind, values, "chunks"), "chunks")


def test_a_capture_of_something_else_is_refused(tmp_path):
    torch.manual_seed(0)
    split = Images(torch.rand(20, 5), torch.arange(20) % 3)
    net, of = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), run(tmp_path)
    made = represented(of, net, Data("made", split, split, (5,), 3), Chunks())
    assert (made.layer, made.width, made.classes, made.head.path) == ("2:input", 4, 3, "2")
    with h5py.File(made.test.path, "r+") as file:
        file["layers"]["2:input"][...] = 7
    with pytest.raises(WnError, match=r"test-.*\.h5 does not hold what 2 is given; delete it, and run the same command again"):
        represented(of, net, Data("made", split, split, (5,), 3), Chunks())


def test_another_layer_has_no_read_out(tmp_path):
    torch.manual_seed(0)
    split = Images(torch.rand(20, 5), torch.arange(20) % 3)
    net, data = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), Data("made", split, split, (5,), 3)
    made = represented(run(tmp_path), net, data, Chunks(layer="0"))
    assert (made.layer, made.width, made.classes, made.head) == ("0", 4, 3, None)
    relu = represented(run(tmp_path), net, data, Chunks(layer="1"))  # another name of what the read-out is given
    assert relu.head is not None
    for wrong, message in (("absent", "no layer matches 'absent'"), ("*", r"--layer \* matches 3 layers, 0, 1, 2")):
        with pytest.raises(UsageError, match=message):
            represented(run(tmp_path), net, data, Chunks(layer=wrong))
