"""Parts of batches."""

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from widenet import opening
from widenet.data import Files, Images, cuts
from widenet.errors import UsageError
from widenet.runs import ranks
from widenet.train import parallel


@pytest.mark.parametrize("count, size, parts", [(20, 8, 2), (20, 7, 3), (5, 8, 4), (9, 4, 5), (0, 4, 2)])
def test_parts_joined_are_the_whole(count, size, parts):
    got = list(zip(*(cuts(count, size, (number, parts)) for number in range(parts)), strict=True))
    assert len(got) == -(-count // size)
    for batch, part in enumerate(got):
        assert [i for cut in part for i in range(cut.start, cut.stop)] == [*range(batch * size, min(count, (batch + 1) * size))]
        lengths = [cut.stop - cut.start for cut in part]
        assert sorted(lengths, reverse=True) == lengths
        assert lengths[0] - lengths[-1] <= 1


class Pictures(Dataset):
    """Pictures of one colour each, and which of them were asked for."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 10

    def __getitem__(self, index):
        self.read.append(index)
        return np.full((4, 4, 3), 20 * index, np.uint8), index


def images():
    x = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 8, 8) * 20
    return Images(x, torch.arange(10), (0.5,) * 3, (0.2,) * 3, pad=2, flip=True)


def pictures():
    return Files(Pictures(), lambda x: x, lambda x: x + torch.randint(5, ()).numpy(), (0.5,) * 3, (0.2,) * 3, workers=0)


@pytest.mark.parametrize("generator", [lambda: None, lambda: torch.Generator().manual_seed(3)])
@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("make", [images, pictures, lambda: Images(torch.rand(10, 5), torch.arange(10))])
def test_a_process_reads_its_part(make, parts, generator):
    split = make()
    whole = list(split.batches(4, generator()))
    for batch in zip(whole, *(split.batches(4, generator(), (k, parts)) for k in range(parts)), strict=True):
        (x, y), *part = batch
        assert torch.equal(torch.cat([labels for _, labels in part]), y)
        assert torch.equal(torch.cat([inputs for inputs, labels in part if len(labels)]), x)


def test_a_process_reads_no_more_files_than_its_part():
    split = pictures()
    list(split.batches(4, part=(1, 2)))
    assert split.images.read == [2, 3, 6, 7, 9]


class Own:
    """A split that knows nothing of parts."""

    def __len__(self):
        return 10

    def batches(self, size, generator=None):
        return images().batches(size, generator)


@pytest.fixture
def second_of_three(monkeypatch):
    given = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parallel.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(parallel.dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(parallel.dist, "get_rank", lambda: 1)


@pytest.mark.parametrize("split", [images(), Own()])
def test_splits_of_plugins_are_cut_as_well(split, second_of_three):
    got = [(y.tolist(), whole) for _, y, whole in parallel.batches(split, 4)]
    assert got == [([2], 4), ([6], 4), ([9], 2)]


def test_alone_there_are_no_others():
    assert (ranks.count(), ranks.rank(), ranks.local(), parallel.world()) == (1, 0, 0, 1)
    assert parallel.from_leading("this") == "this"


@pytest.mark.parametrize("missing", ["RANK", "MASTER_ADDR"])
def test_a_schedulers_variables_are_not_torchruns(missing, second_of_three, monkeypatch):
    assert (ranks.count(), ranks.rank(), ranks.leading()) == (3, 1, False)
    monkeypatch.delenv(missing)
    assert (ranks.count(), ranks.rank(), ranks.leading()) == (1, 0, True)


def test_each_process_has_its_own_gpu(second_of_three, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert [str(opening.device(name)) for name in ("auto", "cuda", "cpu")] == ["cuda:1", "cuda:1", "cpu"]
    assert chosen == [1, 1]
    with pytest.raises(UsageError, match="cannot be shared by several processes"):
        opening.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="--nproc-per-node 1"):
        opening.device("auto")
