"""Names of run folders, pinned for ever: a name that moved would make finished runs look as if they had never been."""

from pathlib import Path

import attrs
import pytest

from widenet import Train, opt
from widenet.options import changed
from widenet.runs import folder

PINNED = {
    "supermask": "supermask-conv4-digits-81287d1d/seed-0",
    "train": "train-conv4-digits-897def6b/seed-0",
    "supermask --keep 0.1": "supermask-conv4-digits-61e151b8/seed-0",
    "supermask --dataset tiny --arch conv2:width=0.5,bias=true --epochs 5 --lr 1 --seed 3": (
        "supermask-conv2-tiny-4c84c626/seed-3"
    ),
    "train --dataset tiny:classes=3,size=8 --arch fc:hidden=20,10 --schedule step --milestones 2,4 --optimizer adamw": (
        "train-fc-tiny-f5e0602a/seed-0"
    ),
    "shuffled-mask": "shuffled-mask-conv4-digits-b37f5787/seed-0",
    "shuffled-mask --arch mnist-fc --dataset tiny --mask-type per-neuron --fan-in 3 --mask-seed 7": (
        "shuffled-mask-mnist-fc-tiny-6679314d/seed-0"
    ),
    "random-mask --arch mnist-cnn --min-sparsity 0.2": "random-mask-mnist-cnn-digits-feb0f05a/seed-0",
    "fixed-param --arch mnist-fc:params=100000,depth=3 --seed 2": "fixed-param-mnist-fc-digits-92514f62/seed-2",
    "prune --arch cifar10-cnn --rates 2=0.3,conv1@5=0.6 --rewind": "prune-cifar10-cnn-digits-14234c7f/seed-0",
    "redundant-repr --arch wrn28:k=1": "redundant-repr-wrn28-digits-3d3a825d/seed-0",
    "redundant-repr --dataset parity:source=digits,components=6 --arch pmnist-fc:width=64 --loss squared-hinge --sizes 4,8": (
        "redundant-repr-pmnist-fc-parity-7d46ce0c/seed-0"
    ),
    "train --arch wrn16:k=2,dropout=0.1 --final-lr 0.001 --per-class 100 --save-at 1,5": "train-wrn16-digits-119bec77/seed-0",
    "core/train --dataset core/digits:size=32 --arch core/resnet20": "train-resnet20-digits-f32ed1a9/seed-0",
}
TINY = "--dataset tiny --arch fc"
SAME = [
    (f"supermask {TINY} --sparsity 0.9", f"supermask {TINY} --keep 0.1"),
    (f"supermask {TINY} --sparsity 0.7", f"supermask {TINY} --keep 0.3"),
    (f"supermask {TINY} --keep 0.5 --epochs 30", f"supermask {TINY}"),
    (f"supermask --epochs 3 --lr 0.1 {TINY}", f"supermask --lr 0.1 {TINY} --epochs 3"),
    (f"train {TINY} --lr 1", f"train {TINY} --lr 1.0"),
    (f"shuffled-mask {TINY} --keep 0.3", f"shuffled-mask {TINY} --sparsity 0.7"),
    (f"prune {TINY} --keep 0.1", f"prune {TINY}"),
    (
        f"train {TINY} --schedule step --milestones 2,4 --factors 0.1,1e-2",
        f"train {TINY} --factors 0.10,0.01 --schedule step --milestones 2,4",
    ),
    (f"train {TINY} --weight-decay 1e-4", f"train {TINY} --weight-decay 0.0001"),
    (f"train {TINY} --no-nesterov", f"train {TINY}"),
    (f"train {TINY} --final-lr 0 --per-class 0 --save-at ,", f"train {TINY}"),
    ("train --dataset tiny:size=8,classes=3 --arch fc", "train --dataset tiny:classes=3,size=8 --arch core/fc"),
    ("train --dataset npz:path=./a/../x.npz --arch fc", "train --dataset npz:path=a/../x.npz --arch fc"),
    (f"core/train {TINY}", f"train {TINY}"),
    (f"train {TINY} --threads 1 --workers 0 --device cpu --data-dir other --quiet", f"train {TINY}"),
    (
        f"supermask {TINY} --preset paper",
        f"supermask {TINY} --epochs 100 --batch-size 128 --lr 0.1 --momentum 0.9 --weight-decay 1e-4 --schedule cosine",
    ),
]
OTHER = ["--epochs 5", "--keep 0.2", "--arch fc:hidden=5", "--dataset tiny:size=8", "--init standard", "--nesterov"]


@pytest.fixture
def name(wn, tmp_path):
    """The folder that a command's results go to."""
    import numpy as np

    x = np.zeros((4, 8, 8), np.uint8)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(4), x_test=x, y_test=np.arange(4))
    (tmp_path / "a").mkdir()

    def named(words):
        answer = wn("run", *words.split(), "--dry-run", "--json")
        assert answer.code == 0, answer.err
        return answer.json["run"]

    return named


@pytest.mark.parametrize("words", PINNED)
def test_pinned(words, name):
    assert name(words) == f"runs/{PINNED[words]}"


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same_has_one_name(one, other, name):
    assert name(one) == name(other)


@pytest.mark.parametrize("words", OTHER)
def test_what_changes_results_changes_the_name(words, name):
    assert name(f"supermask {TINY} {words}") != name(f"supermask {TINY}")


def test_a_file_of_options_names_as_the_command_line_does(name, tmp_path):
    (tmp_path / "options.toml").write_text('epochs = 5\nlr = 1\nbatch-size = 16\narch = "fc:hidden=8"\nseed = 2\n')
    spelled = name("train --dataset tiny --arch fc:hidden=8 --epochs 5 --lr 1 --batch-size 16 --seed 2")
    assert name("train --dataset tiny --config options.toml") == spelled


def test_the_seed_is_a_folder_within(name):
    one, other = (Path(name(f"train {TINY} --seed {seed}")) for seed in (0, 12))
    assert one.parent == other.parent
    assert (one.name, other.name) == ("seed-0", "seed-12")


@attrs.frozen(kw_only=True)
class Before(Train):
    depth: int = opt(2, "Old option.")


@attrs.frozen(kw_only=True)
class After(Before):
    width: float = opt(1.0, "Option of a later version, whose default changes nothing.")


def test_an_option_added_later_leaves_old_names_valid():
    def path(config):
        part = {"name": "core/x", "options": {}}
        return folder(Path(), {"method": {"name": "p/m", "options": changed(config)}, "arch": part, "dataset": part}, 0)

    assert path(Before()) == path(After()) == Path("m-x-x-8a40cc67/seed-0")
    assert path(Before(depth=3)) == path(After(depth=3))
    assert path(After(width=2.0)) != path(After())
