"""A part of the training images set aside: which ones, and the best epoch that is chosen by them."""

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from alike import arrays, differences, unequal
from hypothesis import given
from hypothesis import strategies as st
from loading import load
from PIL import Image
from unparted import ROWS, seeded

from widenet import loading, opening
from widenet.data import Data, Files, Images
from widenet.errors import UsageError
from widenet.runs import Run
from widenet.train import evaluate

WILD = Path(__file__).with_name("wild.py")
QUICK = ("--dataset", "tiny", "--arch", "fc:hidden=12,8", "--threads", "1", "--quiet", "--json")
LONG = ("--epochs", "5", "--batch-size", "32", "--save-every", "1")
VAL = ("--val", "0.1")
METHODS = {"train": ("--lr", "0.1"), "supermask": ("--lr", "1")}
INTERRUPT = """
from pathlib import Path
from widenet import hookimpl

@hookimpl
def logged(run, values):
    if values.get("epoch") == {epoch} and not Path("interrupted").exists():
        Path("interrupted").touch()
        raise KeyboardInterrupt
"""
SHORT = '''
from widenet import Method, Train, hookimpl

def short(run, net, data, config):
    """Train, and stop at the third epoch whatever was asked for."""
    from widenet.train import fit

    for epoch in fit(run, net, data, config):
        if epoch.number == 3:
            break

@hookimpl
def methods():
    yield Method("short", short, Train)
'''


def numbered(labels):
    """A data set whose training samples are their own numbers."""
    x = torch.arange(len(labels), dtype=torch.float32)[:, None]
    split = Images(x, torch.tensor(labels))
    return Data("numbers", split, split, (1,), max(labels) + 1)


def tree(root, splits=("train", "test"), count=3, side=12):
    """Write ``count`` square PNG images per split and class, all different."""
    noise = np.random.default_rng(0)
    for path in [root / split / name / f"{k}.png" for split in splits for name in ("cat", "dog") for k in range(count)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)
    return root


def numbers(split):
    return split.x.flatten().long().tolist()


@pytest.fixture
def carried_out(wn, tmp_path):
    """``carried_out("train", ...)``: the finished run of a method."""

    def carry_out(method, *words, before=()):
        answer = wn(*before, "run", method, *QUICK, *words)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


# -- which images are held out -----------------------------------------------------------------------------------------


@given(counts=st.lists(st.integers(2, 30), min_size=1, max_size=5), fraction=st.floats(0.01, 0.49), seed=st.integers(0, 9))
def test_every_class_gives_its_part_and_nothing_is_lost(counts, fraction, seed):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    labels = torch.tensor(labels)[torch.randperm(len(labels), generator=seeded(seed))].tolist()
    data = numbered(labels)
    held = data.hold_out(fraction, seeded(seed))
    assert sorted(numbers(held.train) + numbers(held.val)) == list(range(len(labels)))
    for split in (held.train, held.val):
        assert split.y.tolist() == [labels[number] for number in numbers(split)]
        assert numbers(split) == sorted(numbers(split)), "samples keep their order"
    assert held.val.y.bincount().tolist() == [max(1, round(fraction * count)) for count in counts]
    assert held.test is data.test
    assert data.val is None


def test_the_seed_decides_which():
    data = numbered([0, 1, 2] * 40)
    chosen = [numbers(data.hold_out(0.2, seeded(seed)).val) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    members = [[number for number in chosen[k] if number % 3 == 0] for k in (0, 2)]
    assert members[0] != members[1], "within a class too"


def test_no_class_is_tied_to_another():
    """Classes of one size must not give samples of the same ranks."""
    held = numbers(numbered([0] * 50 + [1] * 50).hold_out(0.2, seeded()).val)
    assert [number for number in held if number < 50] != [number - 50 for number in held if number >= 50]


def test_what_is_held_out_is_not_augmented_and_keeps_its_normalisation():
    x = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8, generator=seeded())
    split = Images(x, torch.arange(40) % 2, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), pad=2, flip=True)
    held = Data("noise", split, split, (3, 8, 8), 2).hold_out(0.25, seeded())
    assert (held.train.pad, held.train.flip, held.train.mean) == (2, True, split.mean)
    assert held.train.x.is_contiguous(memory_format=torch.channels_last)
    plain = torch.cat([inputs for inputs, _ in split.batches(40)])
    for part in (held.train, held.val):
        rows = [int((x == row).flatten(1).all(1).nonzero()) for row in part.x]
        assert torch.equal(torch.cat([inputs for inputs, _ in part.batches(7)]), plain[rows])


def test_files_are_held_out_like_images(tmp_path):
    data = load("folder", path=tree(tmp_path, count=6, side=66))
    assert isinstance(data.train, Files)
    held = data.hold_out(0.3, seeded())
    assert (len(held.train), len(held.val)) == (8, 4)
    pixels = [np.asarray(image).tobytes() for image, _ in data.train.images]
    found = [
        (pixels.index(np.asarray(image).tobytes()), label) for part in (held.train, held.val) for image, label in part.images
    ]
    assert sorted(number for number, _ in found) == list(range(12))
    assert all(label == number // 6 for number, label in found)
    for part, same in ((held.train, found[:8]), (held.val, found[8:])):
        assert part.labels().tolist() == [label for _, label in same]
        inputs, labels = next(part.to("cpu", 0).batches(8))
        assert labels.tolist() == [label for _, label in same]
        (whole, _), chosen = next(data.train.to("cpu", 0).batches(12)), [number for number, _ in same]
        assert torch.equal(inputs, whole[chosen])
    again = held.train.part(torch.tensor([7, 0]))
    assert again.labels().tolist() == [1, 0]
    assert numbers(numbered([0] * 6 + [1] * 6).hold_out(0.3, seeded()).val) == [number for number, _ in found[8:]]


@pytest.mark.parametrize(("labels", "fraction"), [([0, 0, 0, 1], 0.1), ([0] * 9, 0.999), ([0, 0, 0, 1, 1], 0.8)])
def test_a_class_with_no_sample_to_spare_is_refused(labels, fraction):
    with pytest.raises(UsageError, match=f"--val {fraction} leaves class {labels[-1]} of numbers without training samples"):
        numbered(labels).hold_out(fraction, seeded())


def test_a_validation_split_of_its_own_is_not_replaced():
    data = numbered([0, 1] * 5)
    with pytest.raises(UsageError, match="numbers has a validation split of its own; leave --val out"):
        attrs.evolve(data, val=data.test).hold_out(0.1, seeded())


# -- runs --------------------------------------------------------------------------------------------------------------


def first_best(run, split="val"):
    """The first epoch with the highest accuracy on a split, by the metrics."""
    lines = [line for line in run.metrics() if f"{split}/accuracy" in line]
    return max(lines, key=lambda line: (line[f"{split}/accuracy"], -line["epoch"]))


def check_best(run, split="val"):
    """Whether what is kept and told as best is that of the first best epoch; returns its number."""
    line = first_best(run, split)
    told = {key: value for key, value in run.record["result"].items() if key.startswith("best")}
    names = [name for name in ("val", "test") if f"{name}/accuracy" in line]
    assert told == {"best_epoch": line["epoch"], **{f"best_{name}_accuracy": line[f"{name}/accuracy"] for name in names}}
    tag = f"epoch-{line['epoch']:04d}"
    assert not unequal(run.weights("best"), run.weights(tag))
    assert run.has_masks("best") == run.has_masks("final")
    if run.has_masks():
        assert not unequal(*(arrays(run.path / "masks" / f"{name}.h5") for name in ("best", tag)))
    return line["epoch"]


@pytest.mark.parametrize("method", METHODS)
def test_the_first_best_epoch_is_kept(carried_out, method):
    run = carried_out(method, *LONG, *METHODS[method], *VAL)
    assert all({"val/loss", "val/accuracy", "test/loss", "test/accuracy"} <= line.keys() for line in run.metrics())
    accuracies = [line["val/accuracy"] for line in run.metrics()]
    best = check_best(run)
    assert best < 5, "so that best differs from last"
    assert accuracies.count(max(accuracies)) > 1, "so that first differs from last"
    assert unequal(run.weights("best"), run.weights("final")) or method == "supermask"
    assert run.record["options"]["val"] == {"value": 0.1, "source": "command line"}


@pytest.mark.parametrize("method", METHODS)
def test_the_best_network_has_the_accuracy_that_is_told(carried_out, method):
    run = carried_out(method, *LONG, *METHODS[method], *VAL)
    data = load("tiny").hold_out(0.1, run.generator("val"))
    assert (len(data.train), len(data.val)) == (116, 12)
    net = opening.network(loading.load(), run, "best")
    assert evaluate(net, data.val)["accuracy"] == pytest.approx(run.record["result"]["best_val_accuracy"])
    assert evaluate(net, data.test)["accuracy"] == pytest.approx(run.record["result"]["best_test_accuracy"])


def test_training_never_sees_what_is_held_out(carried_out):
    """Training takes the steps of the smaller set, and differs from training on all."""
    run, all_of_it = carried_out("train", *LONG, *VAL), carried_out("train", *LONG)
    assert [line["step"] for line in run.metrics()] == [4, 8, 12, 16, 20]
    assert unequal(run.weights(), all_of_it.weights())
    count = run.metrics()[0]["train/accuracy"] * 116
    assert count == pytest.approx(round(count))
    assert run.path != all_of_it.path


def test_another_seed_holds_out_others():
    data = load("tiny")
    first, second = (data.hold_out(0.1, Run(None, {"seed": seed}).generator("val")).val for seed in (0, 1))
    assert first.y.bincount().tolist() == second.y.bincount().tolist() == [3, 3, 3, 3]
    assert not torch.equal(first.x, second.x)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_best_unless_asked_for(carried_out, method):
    run = carried_out(method, *LONG, *METHODS[method])
    assert not list(run.path.rglob("*best*"))
    assert not [key for key in run.record["result"] if "best" in key]
    assert not [key for line in run.metrics() for key in line if "best" in key or "val" in key]


@pytest.mark.parametrize("words", [("--lr", "0.2"), ("--lr", "0.05", "--seed", "1", *VAL)])
def test_the_test_split_chooses_only_when_asked(carried_out, words):
    run = carried_out("train", *LONG, *words, "--best-by", "test")
    assert check_best(run, "test") < 5
    if "--val" in words:
        assert first_best(run, "val")["epoch"] < first_best(run, "test")["epoch"], "so that this shows which split chose"


def test_only_epochs_that_were_evaluated_can_be_best(carried_out):
    run = carried_out("train", *LONG, *VAL, "--eval-every", "2")
    assert [line["epoch"] for line in run.metrics() if "val/accuracy" in line] == [2, 4, 5]
    assert check_best(run) in (2, 4, 5)


@pytest.mark.parametrize("epoch", [1, 2, 4, 5])
@pytest.mark.parametrize("method", METHODS)
def test_interrupted_and_continued_the_best_is_the_same(wn, carried_out, tmp_path, method, epoch):
    whole = carried_out(method, *LONG, *METHODS[method], *VAL)
    (tmp_path / "other").mkdir()
    (tmp_path / "interrupt.py").write_text(INTERRUPT.format(epoch=epoch))
    words = ("--plugin", tmp_path / "interrupt.py", "run", method, *QUICK, *LONG, *METHODS[method], *VAL)
    assert wn(*words, cwd=tmp_path / "other").code == 130
    answer = wn(*words, cwd=tmp_path / "other")
    assert answer.code == 0, answer.err
    assert not differences(whole.path, tmp_path / "other" / answer.json["run"])


def test_what_a_method_does_after_an_epoch_is_not_in_its_best_network(carried_out):
    run = carried_out("noisy", *LONG, *VAL, before=("--plugin", WILD))
    data = load("tiny").hold_out(0.1, run.generator("val"))
    net = opening.network(loading.load([WILD]), run, "best")
    assert evaluate(net, data.val)["accuracy"] == pytest.approx(run.record["result"]["best_val_accuracy"])
    assert evaluate(net, data.test)["accuracy"] == pytest.approx(run.record["result"]["best_test_accuracy"])


def test_a_method_that_stops_early_has_a_best_epoch_too(carried_out, tmp_path):
    (tmp_path / "short.py").write_text(SHORT)
    run = carried_out("short", *LONG, *VAL, before=("--plugin", tmp_path / "short.py"))
    assert len(run.metrics()) == 3
    line = first_best(run)
    assert run.record["result"]["best_epoch"] == line["epoch"]
    assert run.record["result"]["best_val_accuracy"] == line["val/accuracy"]
    assert (run.path / "weights" / "best.pt").exists()


def test_each_loop_keeps_a_best_of_its_own(carried_out):
    run = carried_out("twice", *LONG, *VAL, before=("--plugin", WILD))
    found = {path.name for path in run.path.rglob("*best*")}
    assert found == {"best.pt", "loop-1-best.pt", "loop-1-best.h5"}
    second = [line for line in run.metrics() if "val/accuracy" in line][5:]
    assert run.record["result"]["best_val_accuracy"] == max(line["val/accuracy"] for line in second)
    tag = f"loop-1-epoch-{run.record['result']['best_epoch']:04d}"
    assert not unequal(run.weights("loop-1-best"), run.weights(tag))


def test_a_run_from_another_holds_out_as_well(wn, carried_out, tmp_path):
    parent = carried_out("train", "--epochs", "1")
    answer = wn("run", "train", "--from", parent.path, "--threads", "1", "--quiet", "--json", *LONG, *VAL)
    assert answer.code == 0, answer.err
    check_best(Run.open(tmp_path / answer.json["run"]))


# -- what is refused ---------------------------------------------------------------------------------------------------


def refused(wn, tmp_path, *words, before=()):
    """The one line with which a request is refused that leaves nothing behind."""
    answer = wn(*before, "run", "train", *QUICK, *words)
    assert answer.code == 2, answer.err
    assert not list(tmp_path.glob("runs/*/*"))
    assert not list(tmp_path.glob("runs/*"))
    return answer.line


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1", "'val' must be < 1: 1.0"),
        ("-0.1", "'val' must be >= 0: -0.1"),
        ("nan", "val"),
        ("much", "val"),
        ("0.999", "--val 0.999 leaves class 0 of tiny without training samples"),
    ],
)
def test_bad_fractions(wn, tmp_path, value, said):
    assert said in refused(wn, tmp_path, "--val", value)


def test_a_bad_split_to_choose_by(wn, tmp_path):
    assert "train" in refused(wn, tmp_path, "--best-by", "train")


def folder_with_val(tmp_path):
    tree(tmp_path / "images", splits=("train", "val", "test"), count=4)
    return ("--dataset", f"folder:path={tmp_path / 'images'}")


def test_val_beside_a_split_of_the_datas_own(wn, tmp_path):
    line = refused(wn, tmp_path, *folder_with_val(tmp_path), *VAL)
    assert line == "folder has a validation split of its own; leave --val out"


def test_a_split_of_the_datas_own_chooses(carried_out, tmp_path):
    run = carried_out("train", *folder_with_val(tmp_path), *LONG)
    check_best(run)


def test_large_images_are_held_out_in_a_run(carried_out, tmp_path):
    tree(tmp_path / "images", count=3, side=66)
    words = ("--dataset", f"folder:path={tmp_path / 'images'},size=66", "--workers", "0", "--save-every", "1", "--val", "0.3")
    run = carried_out("train", *words, "--epochs", "2", "--arch", "fc:hidden=4")
    check_best(run)
    assert run.metrics()[0]["val/accuracy"] in (0, 0.5, 1)


def test_data_that_cannot_be_parted_is_refused(wn, tmp_path):
    (tmp_path / "old.py").write_text(ROWS)
    line = refused(wn, tmp_path, "--dataset", "rows", *VAL, before=("--plugin", tmp_path / "old.py"))
    assert "rows" in line
    assert "--val" in line
