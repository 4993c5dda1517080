"""Files with the units of each class: the published ones, every form, what is refused."""

import json
import pickle

import numpy as np
import pytest
import torch
from oracles import DATA, published, real

from widenet.errors import UsageError
from widenet.store import write_arrays
from widenet_decompose.filters import Filters, read_filters, write_filters

SETS = [[3, 1], [0, 2], [2, 3]]


def read(path, classes=3, units=4, **options):
    return [members.tolist() for members in read_filters(path, classes, units, **options).sets]


def written(path, content):
    path.write_text(json.dumps(content))
    return path


@real
def test_the_published_files(tmp_path):
    folder = DATA / "resnet20"
    five = read_filters(folder / "resnet20_cifar-10_indices.json", 10, 64, ascending=True)
    assert torch.equal(torch.stack(five.sets), published("5"))
    gated = read_filters(folder / "resnet20_cifar-10_csg_indices.json", 10, 64)
    assert torch.equal(torch.stack(gated.sets), published("csg"))
    large = read_filters(folder / "resnet50_imagenet_indices.json", 1000, 2048)
    shared = large.mask.sum(0)
    assert (large.size, int((shared > 0).sum()), int(shared.max())) == (50, 1975, 412)


@pytest.mark.parametrize(
    "content",
    [
        SETS,
        {"0": SETS[0], "1": SETS[1], "2": SETS[2]},
        {"2": SETS[2], "1": SETS[1], "0": SETS[0]},
        {"-1": {"0": SETS[0], "1": SETS[1], "2": SETS[2]}},
        {"(3, 2, 2)": SETS},
    ],
)
def test_every_form_of_json(tmp_path, content):
    assert read(written(tmp_path / "sets.json", content)) == SETS


def test_classes_are_numbers_not_text(tmp_path):
    content = {str(number): [number] for number in range(11)}
    assert read(written(tmp_path / "sets.json", content), classes=11, units=11) == [[number] for number in range(11)]


def test_a_single_class_is_one_list(tmp_path):
    assert read(written(tmp_path / "sets.json", {"0": [2, 1]}), classes=1) == [[2, 1]]


def test_ascending_lists_are_turned_round(tmp_path):
    path = written(tmp_path / "sets.json", SETS)
    assert read(path, ascending=True) == [members[::-1] for members in SETS]


def test_arrays_and_masks(tmp_path):
    np.save(tmp_path / "sets.npy", np.array(SETS))
    np.savez(tmp_path / "sets.npz", indices=np.array(SETS, dtype=np.int16))
    write_arrays(tmp_path / "sets.h5", {"fc:input": Filters(4, tuple(map(torch.tensor, SETS))).mask.numpy()}, {})
    assert read(tmp_path / "sets.npy") == read(tmp_path / "sets.npz") == SETS
    assert read(tmp_path / "sets.h5") == [sorted(members) for members in SETS]


def test_what_is_written_is_read_also_of_sets_of_several_sizes(tmp_path):
    sets = Filters(5, (torch.tensor([4, 0]), torch.tensor([], dtype=torch.int64), torch.tensor([1])))
    write_filters(tmp_path / "sets.json", sets)
    assert read(tmp_path / "sets.json", units=5) == [[4, 0], [], [1]]
    assert sets.size == 2
    assert sets.top(1).mask.sum() == 2


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


@pytest.mark.parametrize("name", ["sets.pkl", "sets.json", "sets.npy", "sets.npz"])
def test_a_pickle_is_refused_and_never_run(tmp_path, name):
    marker = tmp_path / "it ran"
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(UsageError, match="is a pickle, which can run code when it is read, and was refused"):
        read(tmp_path / name)
    assert not marker.exists()


def test_an_array_of_objects_is_refused(tmp_path):
    np.save(tmp_path / "sets.npy", np.array([[1], [2, 3]], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match="cannot be read without running code"):
        read(tmp_path / "sets.npy")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SETS[:2], "it has 2 classes, the network 3; take the file that was made for it"),
        ([[], [], []], "it has no unit of any class"),
        ([[0, 10**20], [0], [0]], "class 0 names unit 1000"),
        ([[0, 4], [0], [0]], "class 0 names unit 4, the layer has units 0 to 3"),
        ([[0], [-1], [0]], "class 1 names unit -1"),
        ([[0], [0], [2, 1, 2]], "class 2 names unit 2 twice; name each once"),
        ([[0], [0.5], [1]], "class 1 has \\[0.5\\], which is no list of whole numbers"),
        ([[0], 7, [1]], "class 1 has 7, which is no list of whole numbers"),
        ({"0": [0], "1": [1], "3": [2]}, "class 2 is missing; number the classes from 0"),
        ({"cat": [0], "dog": [1], "cow": [2]}, "a list for each class"),
        ("text", "a list for each class"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, content, said):
    with pytest.raises(UsageError, match=said):
        read(written(tmp_path / "sets.json", content))


def test_a_file_that_is_missing_or_of_no_known_form(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        read(tmp_path / "sets.json")
    (tmp_path / "sets.txt").write_text("1 2 3")
    with pytest.raises(UsageError, match=r"is none of .json, .npy, .npz, .h5"):
        read(tmp_path / "sets.txt")
    (tmp_path / "sets.json").write_text("{")
    with pytest.raises(UsageError, match="it is no JSON"):
        read(tmp_path / "sets.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match="it is no JSON"):
        read(tmp_path / "deep.json")
    np.savez(tmp_path / "two.npz", indices=np.array(SETS))
    for content in (b"PK nothing", (tmp_path / "two.npz").read_bytes()[:60]):
        (tmp_path / "two.npz").write_bytes(content)
        with pytest.raises(UsageError, match="damaged"):
            read(tmp_path / "two.npz")
    np.savez(tmp_path / "three.npz", a=np.zeros((3, 1), int), b=np.zeros((3, 1), int))
    with pytest.raises(UsageError, match="it holds a, b; keep one array in it"):
        read(tmp_path / "three.npz")
