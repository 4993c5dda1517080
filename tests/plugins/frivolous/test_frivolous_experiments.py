"""The original's table: every row that trains is a preset that does what the row says; the small networks are files."""

import csv
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from widenet.options import build, resolve, split_spec
from widenet.train.optimisers import learning_rate
from widenet_frivolous.as_toml import main, toml
from widenet_frivolous.datasets import DATASETS
from widenet_frivolous.experiments import ACTIVATIONS, INITIALISERS, experiments, note
from widenet_frivolous.models import MODELS
from widenet_frivolous.options import Frivolous
from widenet_frivolous.presets import NUMBERED, PRESETS

GOLDEN = Path(__file__).parents[2] / "golden" / "frivolous"
COMPONENTS = {component.name: component for component in (*MODELS, *DATASETS)}
with (GOLDEN / "experiment_grid_0_246.csv").open() as file:
    ROWS = {int(row["id"]): row for row in csv.DictReader(file)}
WRITERS = {0, 1, *range(241, 247)}
"""Rows that only wrote data files."""
ARCHS = {"Alexnet": "alexnet-cifar", "ResNet_cifar": "resnet56-cifar"}


def built(values):
    """The options of the method, and names and options of network and data."""
    own = {key: value for key, value in values.items() if key not in ("arch", "dataset")}
    made = [build(Frivolous, resolve(Frivolous, own, "preset"), "preset")]
    for spec in (values["arch"], values["dataset"]):
        name, given = split_spec(spec)
        config = COMPONENTS[name].config
        made += [name, build(config, resolve(config, given, spec), spec)]
    return made


def test_every_row_that_trains_is_a_preset():
    assert set(NUMBERED) == {f"id-{number}" for number in ROWS if number not in WRITERS}
    assert all(ROWS[number]["max_epochs"] == "0" for number in WRITERS)


@pytest.mark.parametrize("number", [number for number in ROWS if number not in WRITERS])
def test_presets_are_the_rows(number):
    row, made = ROWS[number], experiments()[number]
    config, arch, net, dataset, data = built(NUMBERED[f"id-{number}"])
    assert (arch, dataset, config.experiment) == (ARCHS[row["arch"]], "frivolous-cifar", number)
    assert (made.family, made.seed) == (row["family"], int(row["seed"]))
    assert net.width == float(row["width_factor"])
    assert config.lr_bs_factor == float(row["lr_bs_factor"])
    assert config.batch_size * config.lr_bs_factor == int(row["batch_size"])
    assert config.labels == ("random" if row["random_labels"] == "True" else "true")
    assert config.val == pytest.approx(1 - float(row["train_fraction"]))
    assert net.activation == ACTIVATIONS[int(row["activation"])]
    (check_resnet if arch == "resnet56-cifar" else check_alexnet)(row, config, net, data)


def check_alexnet(row, config, net, data):
    assert config.epochs == int(row["max_epochs"])
    assert net.init == INITIALISERS[int(row["init_type"])]
    assert config.weight_decay == 0
    assert data.recipe == "alexnet"
    decay = config.fc_decay if config.regulariser in ("weight-decay", "all") else 0
    assert decay == float(row["weight_decay"])
    assert (config.regulariser in ("augment", "all")) == (row["augmentation"] == "True")
    assert (0.5 if config.regulariser in ("dropout", "all") else 1) == float(row["keep_prob_train"])
    random = config.labels == "random"
    assert (config.select, config.patience) == (("train", 25) if random else ("val", 50))
    number, rate = int(row["optimizer"]), float(row["learning_rate"])
    names = [("sgd", 0.9), ("sgd", 0.0), ("adam", 0.9), ("adagrad", 0.9), ("adagrad", 0.9), ("rmsprop", 0.9), ("ftrl", 0.9)]
    assert (config.optimizer, config.momentum) == names[number]
    rates = [config.lr_bs_factor * learning_rate(config, epoch) for epoch in (1, 2, 11)]
    if number < 2:
        assert rates == pytest.approx([rate, 0.95 * rate, 0.95**10 * rate])
    else:
        assert rates == pytest.approx([1e-3 if number == 2 else rate / 10] * 3)


def check_resnet(row, config, net, data):
    """Its own trainer went by neither the epochs nor the optimiser of the table."""
    assert data.recipe == "resnet"
    assert data.augment == (row["augmentation"] == "True")
    assert config.weight_decay == float(row["weight_decay"])
    assert (config.epochs, config.eval_every, config.select, config.regulariser) == (182, 5, "last", "none")
    rate = float(row["learning_rate"])
    rates = [config.lr_bs_factor * learning_rate(config, epoch) for epoch in (1, 91, 92, 136, 137, 182)]
    assert rates == pytest.approx([rate, rate, rate / 10, rate / 10, rate / 100, rate / 100])
    assert (config.optimizer, config.momentum, net.norm_momentum) == ("sgd", 0.9, 0.003)


def test_small_networks_are_the_blocks():
    blocks = json.loads((GOLDEN / "experiment_grid_mlp_blocks.json").read_text())["blocks"]
    assert set(experiments()) == {*range(2, 241), *range(247, 3247)}
    for block in blocks:
        number = block["first_id"]
        for width in (1, 2, 4, 8, 16):
            for lr in (1, 0.1, 0.01, 0.001, 0.0001):
                for power in range(-2, 8):
                    made = experiments()[number]
                    assert (made.arch, made.width, made.lr, made.family) == ("mlp1", width, lr, block["dataset"])
                    assert made.init_factor == pytest.approx(10.0**power)
                    assert made.samples == block["n_data_label"]
                    assert made.d == (10 if block["dataset"] == "rand10" else 10_000)
                    assert made.optimiser == ["momentum", "sgd", "adam", "", "", "rmsprop"][block["optimizer"]]
                    number += 1
        assert number == block["last_id"] + 1


@pytest.mark.parametrize("number", [247, 1000, 1250, 1747, 2500, 3246])
def test_small_networks_as_files(number):
    config, arch, net, dataset, data = built(tomllib.loads(toml(number)))
    made = experiments()[number]
    assert (arch, dataset) == ("mlp1", "gaussian-teacher")
    assert (net.width, net.init, net.init_factor) == (made.width, "study", made.init_factor)
    assert (data.d, data.train, data.val, data.test) == (made.d, made.samples, made.samples, 1000)
    assert (config.epochs, config.batch_size, config.select, config.experiment) == (50, 128, "val", number)


def test_a_file_from_the_command_line():
    told = subprocess.run(
        [sys.executable, "-m", "widenet_frivolous.as_toml", "300"], capture_output=True, text=True, check=True
    )
    assert tomllib.loads(told.stdout)["experiment"] == 300


@pytest.mark.parametrize("words", [[], ["241"], ["3247"], ["two"], ["2", "3"]])
def test_numbers_without_an_experiment(words):
    assert "2 to 240 or 247 to 3246" in main(words)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (2, "validation images were training images"),
        (32, "random labels had no seed"),
        (94, "a rate of 0.001"),
        (95, "constant tenth"),
        (96, "is Adagrad"),
        (166, "it diverged"),
        (217, "142,500 records"),
        (240, "the table's seed is 1, this run's is 0"),
        (300, "drawn anew"),
    ],
)
def test_remarks(number, said):
    assert said in note(number, 0)


def test_no_remark_without_an_experiment():
    assert note(241, 0) == ""
    assert "seed is" not in note(240, 1)


@pytest.mark.parametrize("name", [name for name in PRESETS if name not in NUMBERED])
def test_other_presets_make_options(name, wn):
    answer = wn("run", "frivolous", "--preset", name, "--dry-run")
    assert answer.code == 0, answer.err
