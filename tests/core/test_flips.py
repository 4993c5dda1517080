"""What is told of masks that move."""

from itertools import pairwise

import numpy as np
import pytest
from alike import arrays, differences, timeless, unequal
from small import QUICK, blobs, network, of
from torch import nn

from widenet.components import Train
from widenet.masks import Chosen, Fixed, attach, factor
from widenet.runs import Run
from widenet.train import fit


class Largest(Chosen):
    """Keeps the larger half by trained scores."""

    def __init__(self, weight, share=0.5):
        super().__init__(weight)
        self.scores, self.share = nn.Parameter(weight.abs()), share

    def choose(self, weight):
        ranks = self.scores.flatten().argsort(descending=True).argsort().view(self.scores.shape)
        self.mask.copy_(ranks < self.share * ranks.numel())

    def stamp(self, weight):
        return *super().stamp(weight), self.share

    def forward(self, weight):
        self.refresh(weight)
        return weight * (factor(self.mask, weight) + self.scores - self.scores.detach())


def flips(run, epochs):
    """The fraction of entries of saved masks that differ between epochs."""
    saved = [arrays(run.path / "masks" / f"{tag}.h5") for tag in ("init", *(f"epoch-{k:04d}" for k in range(1, epochs + 1)))]
    flat = [np.concatenate([mask.ravel() for mask in masks.values()]) for masks in saved]
    return [float((a != b).mean()) for a, b in pairwise(flat)]


@pytest.mark.parametrize(
    "method_words", [("--lr", "1"), ("--variant", "dnw"), ("--mask-bias", "--arch", "fc:hidden=12,bias=true")]
)
def test_flips_are_those_of_the_saved_masks(wn, tmp_path, method_words):
    words = [*QUICK, *method_words]
    if "--arch" in method_words:
        del words[2:4]
    answer = wn("run", "supermask", *words, "--epochs", "3", "--save-every", "1")
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    found = [line["mask/flips"] for line in run.metrics()]
    assert found == pytest.approx(flips(run, 3))
    assert found[0] > 0


def test_flips_leave_out_what_cannot_move(tmp_path):
    net = network()
    attach(net, lambda name, weight: Largest(weight) if name == "0" else Fixed(weight > 0))
    run = of(tmp_path)
    for _ in fit(run, net, blobs(), Train(epochs=3, batch_size=16, lr=0.5, save_every=1)):
        pass
    saved = [run.masks(tag)["0"] for tag in ("init", "epoch-0001", "epoch-0002", "epoch-0003")]
    wanted = [float((a != b).mean()) for a, b in pairwise(saved)]
    assert [line["mask/flips"] for line in run.metrics()] == pytest.approx(wanted)
    assert max(wanted) > 0


def test_flips_count_what_training_changes_and_not_the_schedule(tmp_path):
    """A resumed run has the schedule of no earlier epoch, and logs the same."""

    def carry_out(path, until=99):
        net = network()
        attach(net, lambda name, weight: Largest(weight))
        masks = [net[0].parametrizations.weight[0], net[3].parametrizations.weight[0]]

        def before(epoch):
            if epoch > until:
                raise KeyboardInterrupt
            for mask in masks:
                mask.share = 1 - 0.2 * epoch
            if epoch == 4:
                net.requires_grad_(False)

        run = of(path)
        try:
            for _ in fit(run, net, blobs(), Train(epochs=4, batch_size=16, lr=2), before=before):
                pass
        except KeyboardInterrupt:
            pass
        return timeless(run)

    whole = carry_out(tmp_path / "whole")
    assert all(line["mask/flips"] > 0 for line in whole[:3])
    assert whole[3]["mask/flips"] == 0
    for until in (1, 2, 3):
        carry_out(tmp_path / f"broken-{until}", until)
        assert carry_out(tmp_path / f"broken-{until}") == whole


def test_an_annealed_run_that_is_interrupted_logs_the_same(wn, tmp_path):
    (tmp_path / "interrupt.py").write_text(
        "from pathlib import Path\nfrom widenet import hookimpl\n\n@hookimpl\ndef logged(run, values):\n"
        "    if values['epoch'] == 3 and Path('break').exists():\n        Path('break').unlink()\n"
        "        raise KeyboardInterrupt\n"
    )
    words = [*QUICK, "--epochs", "5", "--anneal", "3", "--keep", "0.2"]
    paths = []
    for name in ("whole", "broken"):
        cwd = tmp_path / name
        cwd.mkdir()
        if name == "broken":
            (cwd / "break").touch()
            assert wn("--plugin", tmp_path / "interrupt.py", "run", "supermask", *words, cwd=cwd).code == 130
        answer = wn("--plugin", tmp_path / "interrupt.py", "run", "supermask", *words, cwd=cwd)
        assert answer.code == 0, answer.err
        paths.append(cwd / answer.json["run"])
    assert not differences(*paths)


@pytest.mark.parametrize("masked", [False, True])
def test_nothing_flips_where_no_mask_moves(tmp_path, masked):
    net = network()
    if masked:
        attach(net, lambda name, weight: Fixed(weight > 0))
    run = of(tmp_path)
    for _ in fit(run, net, blobs(), Train(epochs=2)):
        pass
    assert not [key for line in run.metrics() for key in line if key.startswith("mask/")]


def test_weights_that_join_late_train_beside_what_trained_before(wn):
    words = [*QUICK[:2], "--arch", "resnet20:width=0.25", *QUICK[4:], "--epochs", "2", "--freeze-scores", "1"]
    answer = wn("run", "supermask", *words, "--train-norm", "--train-weights")
    assert answer.code == 0, answer.err


def test_training_what_a_supermask_leaves_flips_nothing(wn, supermask_run, tmp_path):
    words = ("--from", supermask_run, "--epochs", "1", "--threads", "1", "--quiet", "--json")
    answer = wn("run", "train", *words)
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    assert "mask/flips" not in run.metrics()[0]
    masks = [arrays(root / "masks" / "final.h5") for root in (run.path, supermask_run)]
    assert not unequal(*masks)
