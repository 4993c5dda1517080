"""State dicts out of files from anywhere, or one line that speaks of the file."""

import codecs
import importlib
import sys
import types
import warnings

import numpy as np
import pytest
import torch
from mishaps import Evil, truncate

from widenet.errors import UsageError
from widenet.weights import read_state, read_torch

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2), "n": torch.tensor(3)}


def same(found, wanted=STATE):
    assert list(found) == list(wanted)
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())


def parallel(state, prefix="module."):
    return {f"{prefix}{name}": value for name, value in state.items()}


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        parallel(STATE),
        {"state_dict": STATE, "best_acc1": 86.5, "epoch": 100, "optimizer": {"state": {0: {"x": torch.ones(3)}}}},
        {"state_dict": parallel(STATE), "arch": "Conv4"},
        {"model_state_dict": STATE},
        {"model": STATE, "ema": {"other": torch.ones(1)}},
        {**STATE, "epoch": 3},
        parallel(STATE, "_orig_mod."),
        {"model": parallel(STATE, "module._orig_mod.")},
        parallel(STATE, "_orig_mod.module."),
        torch.nn.Linear(3, 2).state_dict(),
    ],
    ids=[
        "bare",
        "parallel",
        "wrapped",
        "both",
        "model_state_dict",
        "model",
        "beside a number",
        "compiled",
        "in parallel",
        "and compiled",
        "ordered",
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_every_wrapping(tmp_path, content, zipped):
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    same(read_state(tmp_path / "x.pth"), content if "weight" in content else STATE)


def test_a_prefix_that_not_all_share_stays(tmp_path):
    mixed = {"module.a": torch.ones(1), "b": torch.ones(2)}
    torch.save(mixed, tmp_path / "x.pt")
    same(read_state(tmp_path / "x.pt"), mixed)


def test_a_layer_called_model_is_no_wrapping(tmp_path):
    state = {"model": torch.ones(2), "head": torch.ones(1)}
    torch.save(state, tmp_path / "x.pt")
    same(read_state(tmp_path / "x.pt"), state)


def refused(path):
    with pytest.raises(UsageError) as caught:
        read_state(path)
    line = str(caught.value)
    assert str(path) in line
    assert "\n" not in line
    assert "--fresh" not in line
    assert "run did" not in line
    return line


@pytest.mark.parametrize(
    "content", [{}, {"epoch": 3}, {"state_dict": {}}, [torch.ones(1)], torch.ones(2), {1: torch.ones(1)}, 5]
)
def test_no_tensors_by_name(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    assert "holds no state dict" in refused(tmp_path / "x.pt")


def test_damaged_or_no_such_file(tmp_path):
    torch.save(STATE, tmp_path / "half.pt")
    truncate(tmp_path / "half.pt")
    assert "truncated" in refused(tmp_path / "half.pt")
    (tmp_path / "text.pt").write_text("text")
    assert "truncated" in refused(tmp_path / "text.pt")
    assert "there is no file" in refused(tmp_path / "none.pt")
    assert "there is no file" in refused(tmp_path)


def test_code_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {**STATE, "x": Evil()}}, tmp_path / "x.pt")
    assert "wants to run code" in refused(tmp_path / "x.pt")
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("code", ["?", *np.typecodes["AllInteger"], *np.typecodes["AllFloat"], "U3", "S3", "M8[s]"])
@pytest.mark.parametrize("zipped", [True, False])
def test_numpys_scalars_are_read(tmp_path, code, zipped):
    best = np.ones(1, code)[0]
    torch.save(
        {"state_dict": STATE, "best": best, "all": [{"acc": best}]}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped
    )
    same(read_state(tmp_path / "x.pt"))
    assert read_torch(tmp_path / "x.pt", UsageError, "")["best"] == best
    assert read_torch(tmp_path / "x.pt", UsageError, "")["best"].dtype == best.dtype


@pytest.mark.parametrize("core", ["core", "_core"])
def test_numpys_scalars_of_either_version(tmp_path, core):
    own = np.float64(0).__reduce__()[0].__module__.encode()
    torch.save({"a": torch.ones(1), "best": np.float64(0.5)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "x.pt").read_bytes()
    assert own in content
    (tmp_path / "x.pt").write_bytes(content.replace(own, f"numpy.{core}.multiarray".encode()))
    assert read_torch(tmp_path / "x.pt", UsageError, "")["best"] == 0.5


@pytest.mark.parametrize(
    "thing",
    [
        Evil(),
        {"best": np.float64(1), "x": Evil()},
        np.ones(3),
        np.array([Evil()], object),
        Call(np.load, "evil-was-here"),
        Call(np.save, "evil-was-here", (1, 2)),
        Call(codecs.decode, b"", "zip"),
        Call(eval, "open('evil-was-here', 'w')"),
        Call(np.dtype, Evil()),
    ],
    ids=["evil", "evil beside a scalar", "array", "object", "load", "save", "decode", "eval", "dtype"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_else_is_permitted_beside_scalars(tmp_path, monkeypatch, thing, zipped):
    monkeypatch.chdir(tmp_path)
    before = set(torch.serialization.get_safe_globals())
    content = {"state_dict": STATE, "best": np.float64(1), "thing": thing}
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    assert "wants to run code" in refused(tmp_path / "x.pt")
    assert not list(tmp_path.glob("evil-was-here*"))
    assert set(torch.serialization.get_safe_globals()) == before


# -- forms of tensors -----------------------------------------------------------------------------------------------------


def test_sparse_and_quantised_tensors_come_as_plain_ones(tmp_path):
    plain = torch.tensor([[0.0, 2.0], [0.0, -1.0]])
    with warnings.catch_warnings(action="ignore"):  # torch warns of the ones and no longer wants the others made
        odd = plain.to_sparse(), plain.to_sparse_csr(), torch.quantize_per_tensor(plain, 0.5, 0, torch.qint8)
        torch.save(dict(zip("abc", odd, strict=True)), tmp_path / "x.pt")
    same(read_state(tmp_path / "x.pt"), dict.fromkeys("abc", plain))


def test_tensors_without_values_are_refused(tmp_path):
    torch.save({"a": torch.ones(2), "b": torch.ones(2, device="meta")}, tmp_path / "x.pt")
    assert "has a shape for b but no values" in refused(tmp_path / "x.pt")


# -- safetensors ----------------------------------------------------------------------------------------------------------


def test_safetensors_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "x.safetensors").write_bytes(b"")
    assert refused(tmp_path / "x.safetensors").endswith("pip install safetensors")


def test_safetensors_read(tmp_path):
    writer = pytest.importorskip("safetensors.torch")
    path = tmp_path / "x.safetensors"
    writer.save_file(parallel(STATE), path)
    assert read_state(path).keys() == STATE.keys()
    truncate(path)
    assert "truncated" in refused(path)


def test_safetensors_read_by_a_stand_in(tmp_path, monkeypatch):
    reader = types.ModuleType("safetensors.torch")
    reader.load_file = lambda path: parallel(STATE)
    monkeypatch.setattr(importlib, "import_module", lambda name: {"safetensors.torch": reader}[name])
    (tmp_path / "x.safetensors").write_bytes(b"")
    same(read_state(tmp_path / "x.safetensors"))


def test_tensors_beside_the_state_dict_are_there_too(tmp_path):
    content = {"state_dict": {"module.a.weight": torch.ones(2)}, "csg": torch.zeros(3), "epoch": 7}
    torch.save(content, tmp_path / "file.pt")
    state = read_state(tmp_path / "file.pt")
    assert {name: tuple(value.shape) for name, value in state.items()} == {"a.weight": (2,), "csg": (3,)}
