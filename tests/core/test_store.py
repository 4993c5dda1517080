"""Arrays come back as they were written, or not at all."""

import contextlib
import errno
import io
import signal

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from processes import context, wait_for, write_for_ever

from widenet.errors import Stopped, WnError
from widenet.files import read_json, whole, write_json
from widenet.runs import Run
from widenet.store import read_arrays, write_arrays
from widenet.weights import load_tensors, save_tensors

DTYPES = ["bool", "uint8", "int8", "int64", "uint64", "float16", "float32", "float64", "complex64", ">i4"]
one_path = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
parts = st.text("abz019_.- é", min_size=1, max_size=4)
names = st.one_of(st.lists(parts, min_size=1, max_size=3).map("/".join), st.sampled_from(["", ".", "a//b", "/a", "a/."]))


def clash(names):
    """Whether HDF5 would need one name to be both an array and a group."""
    return any(other.startswith(f"{name}/") for name in names for other in names) or any(
        name.startswith("array-") for name in names
    )


@one_path
@given(content=st.dictionaries(names, arrays, max_size=5).filter(lambda content: not clash(content)))
def test_arrays_come_back_with_name_order_type_and_shape(content, tmp_path):
    path = tmp_path / "x.h5"
    write_arrays(path, content, {"run": "a/seed-0"})
    found = read_arrays(path)
    assert list(found) == list(content)
    for name, array in content.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_order_is_kept_across_groups(tmp_path):
    names = [f"{group}/{layer}" for layer in range(12) for group in "zab"]
    write_arrays(tmp_path / "x.h5", {name: np.arange(3) for name in names}, {})
    assert list(read_arrays(tmp_path / "x.h5")) == names


def test_masks_tell_what_they_keep(tmp_path):
    mask = np.array([[True, False, False], [True, False, True]])
    content = {"convs.0": mask, "none": np.zeros((0, 3), bool), "one": np.array(True), "number": np.arange(3)}
    write_arrays(tmp_path / "x.h5", content, {"tag": "final"})
    with h5py.File(tmp_path / "x.h5") as file:
        assert (file.attrs["schema"], file.attrs["tag"]) == (1, "final")
        kept = {name: (item.attrs.get("kept"), item.attrs.get("density")) for name, item in file.items()}
        assert file["convs.0"].compression == "gzip"
        assert file["number"].compression is None
    assert kept == {"convs.0": (3, 0.5), "none": (0, 0.0), "one": (1, 1.0), "number": (None, None)}


def test_masks_of_a_network_that_is_one_layer(tmp_path):
    run = Run(tmp_path, {"seed": 0})
    run.save_masks("final", {"": torch.eye(2, dtype=torch.bool)})
    assert run.masks()[""].tolist() == [[True, False], [False, True]]


def test_tensors_and_arrays_alike_are_saved(tmp_path):
    run = Run(tmp_path, {"seed": 0})
    channels_last = torch.rand(2, 3, 4, 4, requires_grad=True).to(memory_format=torch.channels_last)
    run.save_arrays("scores", {"tensor": channels_last, "array": np.arange(4.0)[::2]})
    found = run.arrays("scores")
    np.testing.assert_array_equal(found["tensor"], channels_last.detach().numpy())
    np.testing.assert_array_equal(found["array"], [0.0, 2.0])


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """The bytes of a file of arrays and of one of tensors."""
    folder = tmp_path_factory.mktemp("whole")
    write_arrays(folder / "x.h5", {"a/b": np.arange(50), "mask": np.eye(20, dtype=bool)}, {})
    save_tensors(folder / "x.pt", {"a": torch.arange(50), "more": {"b": [1, 2.0, "c"]}})
    return {"x.h5": (folder / "x.h5").read_bytes(), "x.pt": (folder / "x.pt").read_bytes()}


READERS = {"x.h5": read_arrays, "x.pt": load_tensors}


def unreadable(path):
    with pytest.raises(WnError) as caught:
        READERS[path.name](path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", READERS)
@one_path
@given(data=st.data())
def test_a_truncated_file_is_refused(name, data, whole_files, tmp_path):
    content = whole_files[name]
    (tmp_path / name).write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert "truncated" in unreadable(tmp_path / name)


@pytest.mark.parametrize("name", READERS)
@settings(one_path, max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(name, data, whole_files, tmp_path):
    content = bytearray(whole_files[name])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(content)
    try:
        READERS[name](tmp_path / name)
    except WnError as error:
        assert str(tmp_path / name) in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"hello world, this is text\n" * 9, b'{"a": 1}', b"\x81\x02hello"])
def test_something_else_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert "truncated" in unreadable(tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_is_said_to_be_missing(name, tmp_path):
    assert "there is no" in unreadable(tmp_path / name)
    (tmp_path / name).mkdir()
    assert "there is no" in unreadable(tmp_path / name)


# -- whole or absent ---------------------------------------------------------------------------------------------------


class Bored(Exception):
    """Something that goes wrong while a file is written."""


@pytest.mark.parametrize("error", [Bored, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_writer_that_fails_leaves_what_was_there(before, error, tmp_path):
    path = tmp_path / "new" / "x.bin"
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    with pytest.raises(error), whole(path) as file:
        file.write(b"half")
        raise error
    assert (path.read_bytes() if path.exists() else None) == before
    assert not list(path.parent.glob("*.part"))


class Interrupted(io.BytesIO):
    """A file in whose writing something happens."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, content):
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stopped(signal.SIGTERM), OSError(errno.ENOSPC, "full")])
def test_what_interrupts_torch_in_writing_comes_through(error, tmp_path, monkeypatch):
    monkeypatch.setattr("widenet.weights.whole", lambda path: contextlib.nullcontext(Interrupted(error)))
    with pytest.raises(type(error)) as caught:
        save_tensors(tmp_path / "x.pt", {"a": torch.ones(3)})
    assert caught.value is error


def test_what_a_killed_writer_left_is_overwritten(tmp_path):
    (tmp_path / "x.json.part").write_bytes(b"x" * 1000)
    write_json(tmp_path / "x.json", {"a": 1})
    assert read_json(tmp_path / "x.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "x.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert read_json(tmp_path / "x.json") == 1


WRITERS = {
    "x.h5": lambda path, value: write_arrays(path, {"a": np.full(10_000, value)}, {}),
    "x.pt": lambda path, value: save_tensors(path, torch.full((10_000,), value)),
    "x.json": lambda path, value: write_json(path, [value] * 10_000),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_the_old_file(name, tmp_path):
    path, part = tmp_path / name, tmp_path / f"{name}.part"
    WRITERS[name](path, 1)
    before = path.read_bytes()
    part.symlink_to("/dev/full")
    with pytest.raises(WnError, match="no space left") as caught:
        WRITERS[name](path, 2)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert not part.is_symlink()


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_a_file_is_one_line(name, tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(WnError, match="--runs-dir"):
        WRITERS[name](tmp_path / "f" / name, 1)


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    for _ in range(5):
        process = context.Process(target=write_for_ever, args=(tmp_path,))
        process.start()
        wait_for(tmp_path / "ready")
        process.kill()
        process.join()
        process.close()
        (tmp_path / "ready").unlink()
        found = read_arrays(tmp_path / "x.h5")
        assert (found["number"] == found["number"][0]).all()
        assert (found["mask"] == bool(found["number"][0] % 2)).all()


@pytest.mark.parametrize("content", ["{", "", "\udcff", "[1, 2"])
def test_damaged_json_is_refused(content, tmp_path):
    (tmp_path / "run.json").write_text(content, errors="surrogateescape")
    with pytest.raises(WnError, match="unreadable"):
        read_json(tmp_path / "run.json")
