"""Data sets that are downloaded: from a web site on this machine, and one clear line for whatever can go wrong."""

import gzip
import hashlib
import pickle
import socket
import sys
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from loading import fails, load, sizes
from websites import served

from widenet.builtin.datasets import downloads
from widenet.errors import Stopped, WnError

# urllib leaves the connection of a failed request to the collector, which may come at any time.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")


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

    with served(folder) as address:
        point_at(monkeypatch, address)
        fake_mnist(folder, monkeypatch)
        fake_cifar(folder, monkeypatch, torchvision.datasets.CIFAR10, "labels")
        fake_cifar(folder, monkeypatch, torchvision.datasets.CIFAR100, "fine_labels")
        yield folder


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
    assert (plain.pad, plain.flip, plain.border) == (0, False, "black")
    mirrored = load("cifar10", tmp_path, border="reflect").train
    assert (mirrored.pad, mirrored.flip, mirrored.border) == (4, True, "reflect")


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
