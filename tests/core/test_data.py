"""Splits in memory and on disk: order, augmentation, normalisation, layout, devices."""

import attrs
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, RandomHorizontalFlip, RandomResizedCrop, Resize

from widenet.data import Data, Files, Images, channel_statistics, crop_and_flip
from widenet.errors import WnError

MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pixels(*shape):
    return torch.randint(256, shape, dtype=torch.uint8, generator=seeded(1))


def numbered(x):
    """Return what ``Images`` takes first: inputs and labels that tell the samples apart."""
    return x, torch.arange(len(x))


def whole(split, size=7, generator=None):
    inputs, labels = zip(*split.batches(size, generator), strict=True)
    return torch.cat(inputs), torch.cat(labels)


def small(pad=4, flip=True, count=40):
    return Images(*numbered(pixels(count, 3, 32, 32)), MEAN, STD, pad, flip)


# -- images in memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape, pad", [((3, 32, 32), 4), ((1, 28, 28), 2), ((2, 9, 13), 1), ((3, 5, 4), 6), ((1, 3, 3), 0)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_crop_and_flip_is_torchvisions_pad_crop_and_flip(shape, pad, dtype):
    x = pixels(50, *shape).to(dtype)
    top, left = torch.randint(2 * pad + 1, (2, 50), generator=seeded())
    mirrored = torch.rand(50, generator=seeded()) < 0.5
    got = crop_and_flip(x.movedim(1, -1).contiguous(), top, left, mirrored, pad).movedim(-1, 1)
    for k in range(50):
        want = TF.crop(TF.pad(x[k], pad), int(top[k]), int(left[k]), *shape[1:])
        assert torch.equal(got[k], TF.hflip(want) if mirrored[k] else want)


def test_a_shuffled_batch_is_what_torchvision_makes_of_the_same_draws():
    split = small()
    order, (top, left, mirrored) = split._draw(seeded(3))
    inputs, labels = whole(split, generator=seeded(3))
    assert torch.equal(labels, order)
    for k, index in enumerate(order):
        image = Image.fromarray(split.x[index].movedim(0, -1).numpy())
        image = TF.crop(TF.pad(image, 4), int(top[k]), int(left[k]), 32, 32)
        image = TF.hflip(image) if mirrored[k] else image
        want = TF.normalize(TF.to_tensor(image), MEAN, STD)
        assert torch.allclose(inputs[k], want, rtol=0, atol=1e-6)


def test_each_sample_has_its_own_offset_and_flip_and_all_are_as_likely():
    count, pad = 5000, 1
    _, (top, left, mirrored) = small(pad, count=count)._draw(seeded())
    kinds = torch.bincount(top * 6 + left * 2 + mirrored, minlength=18)
    assert len(kinds) == 18
    assert (kinds - count / 18).abs().max() < 5 * (count / 18) ** 0.5
    ramp = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).expand(200, 1, 8, 8)
    inputs, _ = whole(Images(*numbered(ramp), pad=1, flip=True), 200, seeded())
    assert len(inputs.flatten(1).unique(dim=0)) == 18


def test_the_generator_alone_decides_and_the_batch_size_does_not_matter():
    split = small()
    first, labels = whole(split, 7, seeded())
    again, same = whole(split, 16, seeded())
    assert torch.equal(first, again)
    assert torch.equal(labels, same)
    generator = seeded()
    whole(split, 7, generator)
    later, other = whole(split, 7, generator)
    assert not torch.equal(labels, other)
    assert not torch.equal(first[labels.argsort()], later[other.argsort()])


def test_torchs_global_generator_is_left_alone():
    before = torch.get_rng_state()
    whole(small(), 7, seeded())
    whole(small())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pass_holds_every_sample_once_and_keeps_the_last_partial_batch():
    for generator in (None, seeded()):
        sizes, labels = zip(*((len(x), y) for x, y in small(count=40).batches(16, generator)), strict=True)
        assert sizes == (16, 16, 8)
        assert torch.cat(labels).sort().values.tolist() == list(range(40))
    assert len(small(count=40)) == 40


def test_without_a_generator_samples_come_plain_and_in_order():
    split = small()
    inputs, labels = whole(split)
    assert labels.tolist() == list(range(40))
    want = (split.x / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.allclose(inputs, want, rtol=0, atol=1e-6)


def test_shuffled_without_augmentation_is_a_permutation():
    split = small(pad=0, flip=False)
    plain, _ = whole(split)
    inputs, labels = whole(split, 7, seeded())
    assert torch.equal(inputs, plain[labels])
    assert not torch.equal(labels, labels.sort().values)


def test_batches_are_float32_and_images_channels_last():
    for generator in (None, seeded()):
        for split in (small(), Images(*numbered(pixels(9, 1, 8, 8))), Images(*numbered(torch.rand(9, 3, 8, 8)), pad=1)):
            assert split.x.is_contiguous(memory_format=torch.channels_last)
            inputs, labels = next(split.batches(4, generator))
            assert inputs.dtype == torch.float32
            assert inputs.shape == (4, *split.x.shape[1:])
            assert inputs.is_contiguous(memory_format=torch.channels_last)
            assert labels.dtype == torch.int64


def test_uint8_without_statistics_becomes_zero_to_one():
    split = Images(*numbered(pixels(10, 1, 8, 8)))
    assert torch.allclose(whole(split)[0], split.x / 255, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(5,), (5, 6), (3, 4, 5), (2, 3, 4, 5)])
def test_floats_of_any_shape_pass_unchanged(shape):
    x = torch.randn(20, *shape, generator=seeded())
    assert torch.equal(whole(Images(*numbered(x)))[0], x)
    inputs, labels = whole(Images(*numbered(x)), 6, seeded())
    assert torch.equal(inputs, x[labels])


def test_float_images_are_normalised_in_their_own_unit():
    x = torch.randn(20, 2, 6, 6, generator=seeded())
    inputs, _ = whole(Images(*numbered(x), (1.0, -1.0), (2.0, 0.5)))
    assert torch.allclose(inputs, (x - torch.tensor([1.0, -1]).view(2, 1, 1)) / torch.tensor([2, 0.5]).view(2, 1, 1))


@pytest.mark.parametrize("generator", [None, seeded()])
def test_writing_into_a_batch_does_not_reach_the_data(generator):
    for x in (torch.ones(6, 4), torch.ones(6, 2, 4, 4), torch.ones(6, 2, 4, 4, dtype=torch.uint8)):
        split = Images(*numbered(x))
        for inputs, labels in split.batches(3, generator):
            inputs.zero_()
            labels.zero_()
        assert split.x.min() == 1
        assert split.y.tolist() == list(range(6))


@pytest.mark.parametrize(
    "x, y, options, reason",
    [
        (torch.zeros(4, 8, 8, dtype=torch.uint8), torch.arange(4), {}, "needs uint8"),
        (torch.zeros(4, 8, dtype=torch.float64), torch.arange(4), {}, "needs uint8"),
        (torch.zeros(4), torch.arange(4), {}, "needs uint8"),
        (torch.zeros(4, 8), torch.arange(5), {}, "needs int64"),
        (torch.zeros(4, 8), torch.zeros(4), {}, "needs int64"),
        (torch.zeros(4, 8), torch.arange(4), {"flip": True}, "only"),
        (torch.zeros(4, 8), torch.arange(4), {"pad": 1}, "only"),
        (torch.zeros(4, 8), torch.arange(4), {"mean": (0.0,), "std": (1.0,)}, "only"),
        (torch.zeros(4, 3, 8, 8), torch.arange(4), {"mean": (0.0,), "std": (1.0,)}, "3 channels"),
        (torch.zeros(4, 1, 8, 8), torch.arange(4), {"mean": (0.0,)}, "0 deviations"),
        (torch.zeros(4, 1, 8, 8), torch.arange(4), {"std": (1.0,)}, "0 means"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(x, y, options, reason):
    with pytest.raises(ValueError, match=reason):
        Images(x, y, **options)


# -- devices -------------------------------------------------------------------------------------------------------


def test_batches_come_out_on_the_device():
    split = small().to("meta")
    for generator in (None, seeded()):
        for inputs, labels in split.batches(16, generator):
            assert inputs.device.type == labels.device.type == "meta"


def test_moving_a_data_set_moves_all_its_splits():
    data = Data("some", small(), small(), (3, 32, 32), 40).to("meta")
    assert data.val is None
    data = attrs.evolve(data, val=small()).to("meta")
    assert [split.x.device.type for split in (data.train, data.test, data.val)] == ["meta"] * 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_device_does_not_change_the_batches():
    split = small()
    for generator in (lambda: None, seeded):
        inputs, labels = whole(split, 7, generator())
        there, same = whole(split.to("cuda"), 7, generator())
        assert there.device.type == "cuda"
        assert torch.allclose(there.cpu(), inputs, rtol=0, atol=1e-6)
        assert torch.equal(same.cpu(), labels)


# -- statistics ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, unit", [(torch.uint8, 255), (torch.float32, 1)])
def test_channel_statistics_are_numpys(dtype, unit):
    x = pixels(2500, 3, 4, 5).to(dtype)
    mean, std = channel_statistics(x)
    values = x.numpy().astype(np.float64) / unit
    assert mean == pytest.approx(values.mean((0, 2, 3)), rel=1e-12)
    assert std == pytest.approx(values.std((0, 2, 3)), rel=1e-12)


@pytest.mark.parametrize("value", [torch.tensor(7, dtype=torch.uint8), torch.tensor(0.1), torch.tensor(0.0)])
def test_a_constant_channel_is_only_shifted(value):
    x = value.expand(10, 1, 4, 4).clone()
    mean, std = channel_statistics(x)
    assert std == (1.0,)
    assert whole(Images(*numbered(x), mean, std))[0].abs().max() < 1e-7


# -- images on disk ------------------------------------------------------------------------------------------------


class Pictures:
    """Stands in for an image folder: picture i is noise, of class i % 3; ``broken`` cannot be read."""

    def __init__(self, count=20, broken=None):
        self.count, self.broken = count, broken

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.broken:
            raise WnError(f"cannot read picture {index}")
        noise = np.random.default_rng(index).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        return Image.fromarray(noise), index % 3


PLAIN = Compose([Resize(36), CenterCrop(32)])
RANDOM = Compose([RandomResizedCrop(32), RandomHorizontalFlip()])


def files(workers=0, **options):
    return Files(Pictures(**options), PLAIN, RANDOM, MEAN, STD, workers)


def test_workers_change_nothing():
    for generator in (lambda: None, seeded):
        inputs, labels = whole(files(0), 8, generator())
        same, again = whole(files(2), 8, generator())
        assert torch.equal(inputs, same)
        assert torch.equal(labels, again)


def test_files_are_shuffled_and_augmented_by_the_generator_alone():
    generator = seeded()
    torch.manual_seed(1)
    first, labels = whole(files(), 8, generator)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    later, _ = whole(files(), 8, generator)
    again, same = whole(files(), 5, seeded())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert torch.equal(labels, same)
    assert not torch.equal(first, later)
    assert not torch.equal(labels, labels.sort().values)


def test_each_picture_is_augmented_on_its_own():
    class Alike(Pictures):
        def __getitem__(self, index):
            return super().__getitem__(0)

    inputs, _ = whole(Files(Alike(), PLAIN, RANDOM, workers=0), 8, seeded())
    assert len(inputs.flatten(1).unique(dim=0)) > 15


def test_files_without_a_generator_come_plain_and_in_order():
    inputs, labels = whole(files(), 8)
    assert labels.tolist() == [index % 3 for index in range(20)]
    for index in (0, 19):
        want = TF.normalize(TF.to_tensor(PLAIN(Pictures()[index][0])), MEAN, STD)
        assert torch.allclose(inputs[index], want, rtol=0, atol=1e-6)
    assert inputs.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert next(files().batches(8))[0].is_contiguous(memory_format=torch.channels_last)


def test_files_keep_the_last_partial_batch_and_work_unnormalised_in_grey():
    class Grey(Pictures):
        def __getitem__(self, index):
            return super().__getitem__(index)[0].convert("L"), index

    split = Files(Grey(), PLAIN, workers=0)
    assert [tuple(x.shape) for x, _ in split.batches(8, seeded())] == [(8, 1, 32, 32), (8, 1, 32, 32), (4, 1, 32, 32)]
    assert 0 <= whole(split)[0].min() < 0.2 < 0.8 < whole(split)[0].max() <= 1


def test_files_remember_their_device():
    split = files().to("meta")
    assert len(split) == 20
    inputs, labels = next(split.batches(8, seeded()))
    assert inputs.device.type == labels.device.type == "meta"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_cannot_be_read_is_one_line(workers):
    with pytest.raises(WnError) as caught:
        whole(files(workers, broken=9), 8, seeded())
    assert str(caught.value) == "cannot read picture 9"
