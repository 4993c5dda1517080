"""State dicts out of files from anywhere, or one line that speaks of the file."""

import importlib
import sys
import types

import pytest
import torch
from mishaps import Evil, truncate

from widenet.errors import UsageError
from widenet.weights import read_state

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2), "n": torch.tensor(3)}


def same(found, wanted=STATE):
    assert list(found) == list(wanted)
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())


def parallel(state):
    return {f"module.{name}": value for name, value in state.items()}


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
        torch.nn.Linear(3, 2).state_dict(),
    ],
    ids=["bare", "parallel", "wrapped", "both", "model_state_dict", "model", "beside a number", "ordered"],
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
