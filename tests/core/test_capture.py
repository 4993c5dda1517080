"""Outputs of layers are those of a plain forward pass, whole on disk, resumable and never stale."""

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import blobs, network, of
from torch import nn

import widenet.capture.writing as writing
from widenet.capture import Wanted, capture, matching, readout, reduced, size_of, stream
from widenet.data import Data, Images
from widenet.errors import UsageError, WnError
from widenet.masks import Fixed, attach


def wanted(*layers, **form):
    return Wanted(layers=layers, **form)


def images(count=10):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (count, 3, 6, 6), generator=generator).to(torch.uint8)
    split = Images(x, torch.arange(count) % 2)
    return Data("images", split, split, (3, 6, 6), 2)


def convolutions():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def by_hand(net, split, layers):
    """The first ``layers`` modules of a sequential network applied to the whole split."""
    with torch.inference_mode():
        return net.eval()[:layers](next(iter(split.batches(len(split))))[0])


def test_what_is_kept_is_what_the_layers_put_out(tmp_path):
    net, data = network(), blobs()
    kept = capture(of(tmp_path), net, data, wanted("1", "3:input", "3"), batch_size=8)
    assert kept.layers == ("1", "3:input", "3")
    assert len(kept) == 21
    torch.testing.assert_close(kept.features("1"), by_hand(net, data.test, 2))
    torch.testing.assert_close(kept.features("3:input"), by_hand(net, data.test, 3))
    torch.testing.assert_close(kept.logits, by_hand(net, data.test, 4))
    torch.testing.assert_close(kept.features("3"), kept.logits)
    assert kept.labels.equal(data.test.y)
    features, labels = zip(*kept.batches("1", rows=4), strict=True)
    assert [len(block) for block in features] == [4, 4, 4, 4, 4, 1]
    assert torch.cat(features).equal(kept.features("1"))
    assert torch.cat(labels).equal(kept.labels)


def test_a_layer_that_is_changed_in_place_is_kept_as_it_was(tmp_path):
    net, data = convolutions(), images()
    kept = capture(of(tmp_path), net, data, wanted("0.1", reduction="none"))
    with torch.inference_mode():
        expected = net.eval()[0][:2](next(iter(data.test.batches(10)))[0])
    assert kept.shape("0.1") == (10, 4, 4, 4)
    torch.testing.assert_close(kept.features("0.1"), expected.contiguous())
    assert (expected < 0).any()


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_reductions_are_over_all_places_of_a_unit(n, units, height, width):
    x = torch.randn(n, units, height, width)
    np.testing.assert_allclose(reduced(x, "mean"), x.numpy().mean((2, 3)), atol=1e-6)
    np.testing.assert_array_equal(reduced(x, "max"), x.numpy().max((2, 3)))
    np.testing.assert_array_equal(reduced(x, "flatten"), x.numpy().reshape(n, -1))
    assert reduced(x, "none") is x
    tokens = x.flatten(2).movedim(1, -1)
    torch.testing.assert_close(reduced(tokens, "mean", channels_last=True), reduced(x, "mean"))


def test_of_tokens_the_last_axis_is_the_units(tmp_path):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.LayerNorm(5), nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.norm(x[:, 0, :, :5]).mean(1))

    torch.manual_seed(0)
    kept = capture(of(tmp_path), Words(), images(), wanted("norm", "head:input"))
    assert kept.shape("norm") == (10, 5)
    torch.testing.assert_close(kept.features("norm"), kept.features("head:input"))


def test_half_precision_halves_the_size(tmp_path):
    net, data = network(), blobs()
    full, half = (capture(of(tmp_path), net, data, wanted("1", dtype=dtype)) for dtype in ("float32", "float16"))
    with h5py.File(half.path) as file:
        assert file["layers/1"].dtype == np.float16
        assert file["layers/1"].fletcher32
    assert half.features("1").equal(full.features("1").half().float())


def test_samples_of_each_class(tmp_path):
    net, data = network(), blobs()
    run = of(tmp_path)
    kept = capture(run, net, data, wanted("1", per_class=2))
    assert kept.labels.bincount().tolist() == [2, 2, 2]
    with h5py.File(kept.path) as file:
        index = file["index"][...]
    whole = capture(run, net, data, wanted("1"))
    torch.testing.assert_close(kept.features("1"), whole.features("1")[index])


class Counting:
    """A split that counts the samples read from it."""

    def __init__(self, split):
        self.split, self.read = split, 0

    def __len__(self):
        return len(self.split)

    def __getattr__(self, name):
        return getattr(self.split, name)

    def part(self, chosen):
        part = Counting(self.split.part(chosen))
        part.seen = lambda count: self.seen(count)
        return part

    def seen(self, count):
        self.read += count

    def batches(self, size, *rest):
        for x, y in self.split.batches(size, *rest):
            self.seen(len(y))
            yield x, y


def large(count=5000):
    data = blobs(count)
    return Data("large", Counting(data.train), data.test, data.shape, data.classes)


def test_what_is_there_is_not_captured_again(tmp_path):
    net, data, run = network(), large(200), of(tmp_path)
    first = capture(run, net, data, wanted("1", "3", split="train"))
    read = data.train.read
    second = capture(run, net, data, wanted("3", split="train"))
    assert second.path == first.path
    assert data.train.read <= read + 64  # the look at the first samples


@pytest.mark.parametrize("change", ["weights", "norm", "mask", "data", "form", "parent"])
def test_nothing_stale_is_used(tmp_path, change):
    net, data, run = network(), blobs(), of(tmp_path)
    first = capture(run, net, data, wanted("1"))
    form = {}
    with torch.no_grad():
        if change == "weights":
            net[0].weight[0, 0] += 1e-6
        if change == "norm":
            net[1].running_mean[0] += 1e-6
    if change == "mask":
        attach(net, lambda name, weight: Fixed(weight > 0) if name == "3" else None)
    if change == "data":
        data = Data("blobs", data.train, Images(data.test.x * 1.001, data.test.y), data.shape, data.classes)
    if change == "form":
        form = {"reduction": "max"}
    if change == "parent":
        run.record["inputs"] = {"file.npz": "0123"}
    assert capture(run, net, data, wanted("1", **form)).path != first.path


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(writing, "PART", 1)  # a chunk of samples each


def test_parts_read_as_one(tmp_path, small_parts):
    net, data, run = network(), large(), of(tmp_path / "run")
    kept = capture(run, net, data, wanted("1", "3", split="train"), batch_size=300)
    assert len(list((tmp_path / "run/activations" / kept.path.stem).glob("*.h5"))) == 5
    torch.testing.assert_close(kept.features("1"), by_hand(net, data.train, 2))
    torch.testing.assert_close(kept.logits, by_hand(net, data.train, 4))
    assert kept.labels.equal(data.train.y)
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = of(tmp_path / "moved")
    assert (
        capture(moved, net, data, wanted("1", split="train"))
        .features("1")
        .equal(kept.__class__(tmp_path / "moved/activations" / kept.path.name, ("1",)).features("1"))
    )


def test_a_capture_cut_short_goes_on_where_it_was(tmp_path, small_parts):
    net, data, run = network(), large(), of(tmp_path)

    class Stop(run.reporter.__class__):
        def work(self, what, done, total):
            if done > 3000:
                raise KeyboardInterrupt

    run.reporter = Stop()
    with pytest.raises(KeyboardInterrupt):
        capture(run, net, data, wanted("1", split="train"), batch_size=256)
    assert not list(tmp_path.rglob("*.part"))
    assert len(list(tmp_path.rglob("*.h5"))) == 2
    before, run = data.train.read, of(tmp_path)
    kept = capture(run, net, data, wanted("1", split="train"), batch_size=256)
    assert data.train.read - before < 5000 - 2 * 1024 + 256
    torch.testing.assert_close(kept.features("1"), by_hand(net, data.train, 2))


def test_a_part_that_is_missing_is_captured_again(tmp_path, small_parts):
    net, data, run = network(), large(), of(tmp_path)
    kept = capture(run, net, data, wanted("1", split="train"))
    expected = kept.features("1")
    (tmp_path / "activations" / kept.path.stem / "000001024-000002048.h5").unlink()
    assert capture(run, net, data, wanted("1", split="train")).features("1").equal(expected)


def test_damage_is_found_and_said(tmp_path):
    kept = capture(of(tmp_path), network(), blobs(), wanted("1"))
    content = bytearray(kept.path.read_bytes())
    with h5py.File(kept.path) as file:
        place = file["layers/1"].id.get_chunk_info(0).byte_offset
    content[place] ^= 1
    kept.path.write_bytes(content)
    with pytest.raises(WnError, match="damaged; delete it"):
        kept.features("1")


def test_a_disk_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(WnError, match=r"takes 0\.0 MB, and .* free some, or capture less"):
        capture(of(tmp_path), network(), blobs(), wanted("1"))
    assert not list(tmp_path.rglob("*.h5*"))


def test_a_disk_that_fills_leaves_what_is_whole(tmp_path, small_parts, monkeypatch):
    net, data, run = network(), large(), of(tmp_path)
    write, calls = writing.write, []

    def full(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(writing, "write", full)
    with pytest.raises(WnError, match="no space left"):
        capture(run, net, data, wanted("1", split="train"))
    assert len(list(tmp_path.rglob("*.h5"))) == 2
    assert not list(tmp_path.rglob("*.part"))
    monkeypatch.setattr(writing, "write", write)
    torch.testing.assert_close(capture(run, net, data, wanted("1", split="train")).features("1"), by_hand(net, data.train, 2))


def test_memory_does_not_grow_with_the_samples(tmp_path, small_parts):
    held = []

    class Watch:
        def __init__(self, rows):
            self.rows = rows

        def take(self, count):
            block = self.rows.take(count)
            held.append(sum(len(batch.labels) for batch in self.rows._held) + count)
            return block

    made = writing._Rows
    writing._Rows = lambda batches: Watch(made(batches))
    try:
        capture(of(tmp_path), network(), large(20_000), wanted("1", split="train"), batch_size=300)
    finally:
        writing._Rows = made
    assert max(held) <= 1024 + 300


def test_the_size_is_known_first(tmp_path):
    size = size_of(of(tmp_path), network(), blobs(), wanted("1", "3"))
    assert size["samples"] == 21
    assert size["layers"] == {"1": (4,), "3": (3,)}
    assert size["bytes"] == 21 * (4 * 7 + 16 + 4 * 3)


def test_the_network_is_left_as_it_was(tmp_path):
    net, data = network().train(), blobs()
    batches = stream(net, data.train, ["1"], batch_size=8)
    next(batches)
    batches.close()
    assert net.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_patterns():
    net = convolutions()
    assert matching(net, ["0.*"]) == ["0.0", "0.1", "0.2"]
    assert matching(net, ["3", "0.1", "3:input", "0.1"]) == ["0.1", "3:input", "3"]
    with pytest.raises(UsageError, match=r"no layer matches '0\.7'; the nearest are 0"):
        matching(net, ["0.1", "0.7"])


def test_a_layer_that_is_not_used_is_refused(tmp_path):
    net = network()
    net.add_module("spare", nn.Linear(3, 3))
    net.forward = lambda x: nn.Sequential(*list(net.children())[:4])(x)
    with pytest.raises(UsageError, match="layer spare puts out nothing"):
        capture(of(tmp_path), net, blobs(), wanted("spare"))


def test_the_read_out_is_the_linear_layer_that_gives_the_logits():
    net, data = network(), blobs()
    head = readout(net, data.test)
    assert (head.path, head.layer) == ("3", "3:input")
    torch.testing.assert_close(head.logits(by_hand(net, data.test, 3)), by_hand(net, data.test, 4))
    attach(net, lambda name, weight: Fixed(weight > 0) if name == "3" else None)
    torch.testing.assert_close(readout(net, data.test).weight, net[3].weight.detach())


def test_a_read_out_of_one_row_stands_for_two_classes():
    class Sign(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 1)

        def forward(self, x):
            f = self.head(x)
            return torch.cat([torch.zeros_like(f), f], 1)

    torch.manual_seed(0)
    net, data = Sign(), blobs()
    head = readout(net, data.test)
    assert head.weight.shape == (1, 5)
    x = next(iter(data.test.batches(21)))[0]
    with torch.inference_mode():
        torch.testing.assert_close(head.logits(x), net(x))


@pytest.mark.parametrize("net", [nn.Sequential(nn.Linear(5, 3), nn.Softmax(1)), nn.Sequential(nn.Linear(5, 4), nn.Tanh())])
def test_a_network_without_read_out_is_refused(net):
    with pytest.raises(UsageError, match="no read-out"):
        readout(net, blobs().test)


def test_a_read_out_is_known_where_its_products_are_rounded():
    """As on a GPU whose matrix units work on TF32."""
    net, data = network(), blobs()
    net[3].register_forward_hook(lambda *given: given[2].bfloat16().float())
    assert readout(net, data.test).path == "3"


def test_a_layer_may_be_given_its_input_by_name(tmp_path):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self, x):
            return self.fc(input=x)

    torch.manual_seed(0)
    net, data = Named(), blobs()
    assert readout(net, data.test).layer == "fc:input"
    kept = capture(of(tmp_path), net, data, wanted("fc:input"))
    torch.testing.assert_close(kept.features("fc:input"), data.test.x)


def test_along_a_line_the_channels_are_the_units(tmp_path):
    class Line(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.fc = nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU()), nn.Linear(8, 2)

        def forward(self, x):
            return self.fc(self.body(x.flatten(2)).mean(2))

    torch.manual_seed(0)
    kept = capture(of(tmp_path), Line(), images(), wanted("body", "fc:input"))
    torch.testing.assert_close(kept.features("body"), kept.features("fc:input"))


def test_data_changed_beyond_the_first_samples_are_noticed(tmp_path):
    run, net, path = of(tmp_path / "run"), network(), tmp_path / "data.npz"
    run.record["dataset"] = {"name": "core/npz", "options": {"path": str(path)}}
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    found = []
    for shift in (0, 1):
        x[100:] += shift
        np.savez(path, x=x.numpy())
        split = Images(x, torch.arange(200) % 3)
        found.append(capture(run, net, Data("npz", split, split, (5,), 3), wanted("1")))
    assert found[0].path != found[1].path
