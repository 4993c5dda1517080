"""``--weights torchvision:NAME``: from a web site on this machine, and one clear line for whatever can go wrong."""

import hashlib
import io
import os
import socket

import pytest
import torch
import torchvision
from websites import served

from widenet.builtin import published
from widenet.errors import Stopped, WnError
from widenet.runs import Run

# urllib leaves the connection of a failed request to the collector, which may come at any time.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")

ARCH, DATASET = "torchvision:name=squeezenet1_1", "tiny:size=32,channels=3,classes=1000,train=1000,test=8"
ENTRY = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1


def content(seed=0, **more):
    torch.manual_seed(seed)
    buffer = io.BytesIO()
    torch.save({**torchvision.models.squeezenet1_1().state_dict(), **more}, buffer)
    return buffer.getvalue()


def named(data):
    return f"squeezenet1_1-{hashlib.sha256(data).hexdigest()[:8]}.pth"


def quiet(*work):
    pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """``site(data)``: put this at the address that torchvision knows, named after its hash; returns the address."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    with served(folder) as address:

        def put(data, name=None):
            name = name or named(data)
            (folder / name).write_bytes(data)
            monkeypatch.setattr(ENTRY.value, "url", f"{address}/{name}")
            return ENTRY.url

        yield put


@pytest.fixture
def importing(wn):
    def carry_out(*words, arch=ARCH, weights="torchvision:IMAGENET1K_V1"):
        own = ("--arch", arch, "--dataset", DATASET, "--data-dir", "d", "--threads", "1", "--json")
        return wn("run", "import", "--weights", weights, *own, *words)

    return carry_out


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "DEFAULT"])
def test_published_weights_are_downloaded_once(site, importing, tmp_path, monkeypatch, name):
    data = content()
    url = site(data)
    answer = importing(weights=f"torchvision:{name}")
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    wanted = torch.load(io.BytesIO(data), weights_only=True)
    assert all(torch.equal(value, wanted[name]) for name, value in run.weights().items())
    assert run.record["imported"] == {"sha256": hashlib.sha256(data).hexdigest(), "url": url}
    kept = tmp_path / "d" / "weights"
    assert [path.name for path in kept.iterdir() if path.suffix != ".lock"] == [named(data)]
    assert run.record["result"]["weights"] == f"of {named(data)}, not trained here"
    monkeypatch.setattr(ENTRY.value, "url", f"http://127.0.0.1:1/{named(data)}")
    for lock in kept.glob(".*.lock"):
        lock.unlink()
    assert importing("--seed", "1", weights=f"torchvision:{name}").code == 0
    assert not list(kept.glob(".*.lock"))


def test_auxiliary_classifiers_are_kept_beside(site, importing, tmp_path):
    site(content(**{"aux1.fc2.bias": torch.ones(3), "AuxLogits.fc.bias": torch.ones(2)}))
    answer = importing()
    assert answer.code == 0, answer.err
    assert Run.open(tmp_path / answer.json["run"]).arrays("extra").keys() == {"aux1.fc2.bias", "AuxLogits.fc.bias"}


@pytest.mark.parametrize("name", ["resnet18", "wide_resnet101_2"])
def test_the_cores_own_names_have_them_too(name):
    arch = {"name": f"core/{name}", "options": {}}
    assert published._published(arch, "DEFAULT") is torchvision.models.get_model_weights(name).DEFAULT


def test_every_published_file_has_its_hash_in_its_name():
    for name in torchvision.models.list_models(module=torchvision.models):
        for entry in torchvision.models.get_model_weights(name):
            assert published.HASH.search(entry.url.rsplit("/", 1)[1]), entry.url


# -- what can go wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "weights", "said"),
    [
        (ARCH, "torchvision:IMAGENET1K_V2", "has no weights 'IMAGENET1K_V2' of squeezenet1_1; known: IMAGENET1K_V1, DEFAULT"),
        (ARCH, "torchvision:IMAGENET1K_V2", "did you mean 'IMAGENET1K_V1'?"),
        (ARCH, "torchvision:", "known: IMAGENET1K_V1, DEFAULT"),
        ("resnet20", "torchvision:DEFAULT", "torchvision publishes no weights of core/resnet20; it does of resnet18,"),
        ("pmnist-fc", "torchvision:DEFAULT", "torchvision publishes no weights of redundant-repr/pmnist-fc"),
    ],
)
def test_weights_that_there_are_not(importing, tmp_path, arch, weights, said):
    answer = importing(arch=arch, weights=weights)
    assert answer.code == 2
    assert said in answer.line
    assert not list((tmp_path / "runs").glob("*"))
    assert not (tmp_path / "d").exists()


def fails(url, folder):
    """The one line with which a download fails; nothing is left of it."""
    with pytest.raises(WnError) as caught:
        published.download(url, folder, quiet)
    line = str(caught.value)
    assert type(caught.value) is WnError
    assert line.startswith(f"cannot download {url}: ")
    assert str(folder) in line
    assert "--data-dir" in line
    assert "\n" not in line
    assert not [path for path in folder.glob("*") if not path.name.startswith(".")]
    return line


def test_a_download_that_fails_is_one_line(site, tmp_path):
    folder = tmp_path / "new" / "weights"
    url = site(b"something else", name="x-0123abcd.pth")
    assert "its hash is not the one in its name" in fails(url, folder)
    assert "404" in fails(url.replace("x-", "y-"), folder)
    assert "refused" in fails("http://127.0.0.1:1/x-0123abcd.pth", folder)


def test_no_network(importing, monkeypatch, tmp_path):
    monkeypatch.setattr(ENTRY.value, "url", "http://no-such-host.invalid/squeezenet1_1-b8a52dc0.pth")
    answer = importing()
    assert answer.code == 1
    assert "cannot download http://no-such-host.invalid/" in answer.line
    assert "put squeezenet1_1-b8a52dc0.pth into d/weights" in answer.line
    assert [path.name for path in (tmp_path / "d" / "weights").iterdir() if path.suffix != ".lock"] == []


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/x-0123abcd.pth"
        assert "timed out" in fails(url, tmp_path / "w")


def test_a_folder_that_cannot_be_written_is_one_line(site, tmp_path):
    (tmp_path / "file").touch()
    fails(site(b"data"), tmp_path / "file" / "weights")


def test_a_file_cut_short_is_fetched_anew_and_one_put_there_by_hand_is_taken(site, tmp_path):
    data = os.urandom(1000)
    url = site(data)
    (tmp_path / named(data)).write_bytes(data[:500])
    assert published.download(url, tmp_path, quiet).read_bytes() == data
    assert published.download(f"http://127.0.0.1:1/{named(data)}", tmp_path, quiet).read_bytes() == data


def test_progress_is_told(site, tmp_path, monkeypatch):
    monkeypatch.setattr(published, "BLOCK", 400)
    told = []
    published.download(site(bytes(1000)), tmp_path, lambda *work: told.append(work[1:]))
    assert told == [(400, 1000), (800, 1000), (1000, 1000)]


def test_a_signal_to_stop_leaves_nothing(site, tmp_path):
    def interrupted(*work):
        raise Stopped(15)

    with pytest.raises(Stopped):
        published.download(site(b"data"), tmp_path / "w", interrupted)
    assert not list((tmp_path / "w").glob("[!.]*"))
