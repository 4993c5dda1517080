"""``wn analyze bias-variance``: its numbers from logits, by hand and of runs, and what it refuses."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from widenet import UsageError
from widenet.data import Data, Images
from widenet.runs import Run
from widenet_redundant_repr.across import across

COLUMNS = [
    *("run", "arch", "parameters", "seeds", "train_error", "test_error", "test_error_deviation"),
    *("ensemble_error", "loss", "bias2", "variance"),
]
FC = ("train", "--arch", "pmnist-fc:width=16,depth=3", "--epochs", "1", "--threads", "1", "--quiet", "--json")
DIGITS, PARITY = ("--dataset", "digits"), ("--dataset", "parity:source=digits")


class Puts(nn.Module):
    """A network with these logits, whatever it is given."""

    def __init__(self, probabilities):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())

    def forward(self, x):
        return self.logits + 0 * x.sum()


def made(path, seed=0, **record):
    """A run as an analysis may read it."""
    path = path / f"seed-{seed}"
    path.mkdir(parents=True)
    about = {"component": "core/train", "seed": seed, "parameters": 9}
    kind = {"arch": {"name": "core/fc", "options": {"width": 3, "last": None}}, "dataset": {"name": "core/tiny", "options": {}}}
    return Run(path, {**about, **kind, **record})


def train_error(wn, folder):
    """Of a run's network on its training images."""
    words = ("--layers", "linear_body.0", "--split", "train", "--json", "--quiet", "--threads", "1")
    with h5py.File(wn("capture", folder, *words).json[0]["file"]) as file:
        return (file["logits"][...].argmax(1) != file["labels"][...]).mean()


def data(labels=(0, 1)):
    images = Images(torch.zeros(len(labels), 3), torch.tensor(labels))
    return Data("made", images, images, (3,), 2)


FIRST, SECOND = [[0.8, 0.2], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]]


def test_two_networks_by_hand(tmp_path):
    """|p - y|^2 is 0.08 and 0.32 of the first, 0.32 and 0.98 of the second; the deviations from the mean, 0.02 and 0.045."""
    runs = [made(tmp_path / "net", seed) for seed in (0, 1)]
    (row,) = across(runs, [Puts(FIRST), Puts(SECOND)], data())
    assert list(row) == COLUMNS
    assert (row["run"], row["arch"], row["parameters"], row["seeds"]) == ("net", "core/fc:width=3,last=none", 9, 2)
    assert (row["train_error"], row["test_error"], row["ensemble_error"]) == (0.25, 0.25, 0.5)
    assert row["test_error_deviation"] == pytest.approx(0.125**0.5)  # of 0 and 0.5
    assert row["loss"] == pytest.approx(0.425, abs=1e-6)
    assert row["variance"] == pytest.approx(2 * 0.0325, abs=1e-6)
    assert row["bias2"] == pytest.approx(0.36, abs=1e-6)


def test_the_ensemble_sums_logits(tmp_path):
    """The second sample's products are 0.4 x 0.2 and 0.6 x 0.8."""
    runs = [made(tmp_path / "net", seed) for seed in (0, 1)]
    (row,) = across(runs, [Puts(FIRST), Puts([[0.3, 0.7], [0.2, 0.8]])], data())
    assert (row["test_error"], row["ensemble_error"], row["train_error"]) == (0.25, 0.0, 0.25)


def test_a_row_for_each_kind(tmp_path):
    runs = [made(tmp_path / name, seed) for seed, name in enumerate(["small", "large", "small", "large", "large"])]
    nets = [Puts(FIRST), Puts(SECOND), Puts(FIRST), Puts(FIRST), Puts(SECOND)]
    small, large = across(runs, nets, data())
    assert [(row["run"], row["seeds"]) for row in (small, large)] == [("small", 2), ("large", 3)]
    assert small["variance"] == pytest.approx(0, abs=1e-12)
    assert large["variance"] > 0


def test_a_kind_is_method_architecture_and_options(tmp_path):
    other = {"name": "core/fc", "options": {"width": 4}}
    same = made(tmp_path / "net", 0)
    for single in (
        made(tmp_path / "other", 1),
        made(tmp_path / "elsewhere" / "net", 1, arch=other),
        made(tmp_path / "again" / "net", 1, component="core/supermask"),
    ):
        with pytest.raises(UsageError, match="net/seed-0 is the only run of its kind here; name runs of other seeds too"):
            list(across([same, single], [Puts(FIRST), Puts(SECOND)], data()))


def test_a_lonely_run_beside_a_pair_is_refused(tmp_path):
    runs = [made(tmp_path / "net", 0), made(tmp_path / "net", 1), made(tmp_path / "alone", 0)]
    with pytest.raises(UsageError, match="alone/seed-0 is the only run of its kind"):
        list(across(runs, [Puts(FIRST)] * 3, data()))


def test_a_run_cannot_differ_from_itself(tmp_path):
    run = made(tmp_path / "net", 0)
    again = Run(tmp_path / "net" / ".." / "net" / "seed-0", run.record)
    with pytest.raises(UsageError, match="a run is named twice; name runs of different seeds"):
        list(across([run, again], [None, None], None))


def test_other_data_are_refused_before_anything_is_computed(tmp_path):
    other = {"name": "core/tiny", "options": {"classes": 2}}
    runs = [made(tmp_path / "net", 0), made(tmp_path / "net", 1), made(tmp_path / "far", 0, dataset=other)]
    with pytest.raises(UsageError, match="far/seed-0 is of other data than net/seed-0; compare runs of the same --dataset"):
        list(across(runs, [None] * 3, None))


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("bias-variance")


@pytest.fixture
def runs(wn, home):
    """``runs(*words, seeds=...)``: folders of runs; a run that is there is found."""

    def carry_out(*words, seeds):
        answers = [wn("run", *FC, *words, "--seed", seed, cwd=home) for seed in seeds]
        assert [answer.code for answer in answers] == [0] * len(answers), answers[0].err
        return [home / answer.json["run"] for answer in answers]

    return carry_out


@pytest.mark.parametrize("words", [DIGITS, PARITY])
def test_runs_of_two_seeds(runs, wn, words):
    """Against what captures of the runs hold; with two classes the network has a single output."""
    folders = runs(*words, seeds=(0, 1))
    answer = wn("analyze", "bias-variance", *folders, "--json", "--quiet", "--threads", "1")
    assert answer.code == 0, answer.err
    (row,) = answer.json
    logits = []
    for folder in folders:
        kept = wn("capture", folder, "--layers", "linear_body.0", "--json", "--quiet", "--threads", "1")
        assert kept.code == 0, kept.err
        with h5py.File(kept.json[0]["file"]) as file:
            logits.append(file["logits"][...].astype(np.float64))
            labels = file["labels"][...]
    p = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    y = np.eye(p.shape[2])[labels]
    variance = ((p[0] - p[1]) ** 2).sum(1).mean() / 2
    loss = ((p - y) ** 2).sum(2).mean()
    assert list(row) == COLUMNS
    assert row["seeds"] == 2
    assert row["loss"] == pytest.approx(loss, rel=1e-6)
    assert row["variance"] == pytest.approx(variance, rel=1e-6)
    assert row["loss"] == pytest.approx(row["bias2"] + row["variance"], rel=1e-12)
    assert row["test_error"] == pytest.approx((np.argmax(logits, 2) != labels).mean())
    assert row["ensemble_error"] == pytest.approx((np.sum(logits, 0).argmax(1) != labels).mean())
    assert row["train_error"] == pytest.approx(np.mean([train_error(wn, folder) for folder in folders]))
    assert row["arch"].startswith("redundant-repr/pmnist-fc:width=16,depth=3")


def test_refusals_are_one_line(runs, wn):
    (one,), (other,) = runs(*DIGITS, seeds=[0]), runs(*PARITY, seeds=[0])
    answer = wn("analyze", "bias-variance", one, other, "--threads", "1")
    assert (answer.code, answer.out) == (2, "")
    assert "is of other data than" in answer.line
    (wider,) = runs(*DIGITS, "--lr", "0.1", seeds=[0])
    answer = wn("analyze", "bias-variance", one, wider, "--threads", "1")
    assert (answer.code, answer.out) == (2, "")
    assert "the only run of its kind here" in answer.line
