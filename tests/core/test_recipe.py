"""What a training recipe asks for: where the rate ends, when weights are saved, how many images are kept, which border."""

import json

import pytest
import torch
import torch.nn.functional as F
from alike import differences, unequal
from hypothesis import given
from hypothesis import strategies as st
from processes import fork, run_path
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from unparted import ROWS, seeded

from widenet import loading, opening
from widenet.components import Train
from widenet.data import Data, Images, balanced, crop_and_flip
from widenet.errors import UsageError
from widenet.runs import Run
from widenet.train.optimisers import learning_rate

QUICK = ("--dataset", "tiny", "--arch", "fc:hidden=12,8", "--threads", "1", "--quiet", "--json", "--batch-size", "32")
COUNT = 32
"""Training images in each of tiny's four classes."""
LOOK = '''
from widenet import Analysis, hookimpl

def look(run, net, data, config):
    """Say what training samples there are."""
    held = [] if data.val is None else data.val.x.flatten(1).double().sum(1).tolist()
    yield {"train": str(data.train.x.flatten(1).double().sum(1).tolist()), "val": str(held)}

@hookimpl
def analyses():
    yield Analysis("look", look)
'''


@pytest.fixture
def carried_out(wn, tmp_path):
    """``carried_out("--epochs", 2, ...)``: the finished run of ``wn run train``."""

    def carry_out(*words, method="train"):
        answer = wn("run", method, *QUICK, *words)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


def refused(wn, tmp_path, *words, before=()):
    """The one line with which a request is refused that leaves nothing behind."""
    answer = wn(*before, "run", "train", *QUICK, *words)
    assert (answer.code, answer.out) == (2, "")
    assert not list(tmp_path.glob("runs/*"))
    return answer.line


@pytest.mark.parametrize("words", [("--final-lr", "0"), ("--per-class", "0"), ("--save-at", "")])
def test_at_their_defaults_the_options_leave_old_names_valid(wn, words):
    plain, given_too = (wn("run", "train", *QUICK, *more, "--dry-run").json["run"] for more in ((), words))
    assert plain == given_too


@pytest.mark.parametrize("words", [("--final-lr", "0.001"), ("--per-class", "5"), ("--save-at", "2")])
def test_given_they_name_another_run(wn, words):
    plain, other = (wn("run", "train", *QUICK, *more, "--dry-run").json["run"] for more in ((), words))
    assert plain != other


# -- the final rate ----------------------------------------------------------------------------------------------------


@given(warmup=st.integers(0, 5), epochs=st.integers(1, 30), lr=st.floats(0.01, 1), share=st.floats(0, 1))
def test_the_cosine_is_torchs_and_ends_at_the_final_rate(warmup, epochs, lr, share):
    final = lr * share
    config = Train(epochs=warmup + epochs, warmup=warmup, lr=lr, final_lr=final)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)
    schedule, wanted = CosineAnnealingLR(optimiser, epochs, eta_min=final), []
    for _ in range(epochs + 1):
        wanted += schedule.get_last_lr()
        optimiser.step()
        schedule.step()
    rates = [learning_rate(config, epoch) for epoch in range(1, warmup + epochs + 2)]
    assert rates[:warmup] == pytest.approx([lr * epoch / warmup for epoch in range(1, warmup + 1)])
    assert rates[warmup:] == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    assert rates[warmup] == pytest.approx(lr)
    assert rates[-1] == pytest.approx(final)


def test_a_run_trains_at_these_rates(carried_out):
    rates = [line["lr"] for line in carried_out("--epochs", 4, "--lr", 0.1, "--final-lr", 0.02).metrics()]
    assert rates == pytest.approx([0.1, 0.02 + 0.04 * (1 + 0.5**0.5), 0.06, 0.02 + 0.04 * (1 - 0.5**0.5)])


@pytest.mark.parametrize("schedule", [("constant",), ("step", "--milestones", "1")])
def test_another_schedule_has_no_final_rate(wn, tmp_path, schedule):
    line = refused(wn, tmp_path, "--final-lr", "0.01", "--schedule", *schedule)
    assert "final-lr is where the cosine schedule ends; leave it out with another schedule" in line


def test_a_final_rate_below_zero_is_refused(wn, tmp_path):
    assert "'final_lr' must be >= 0: -0.1" in refused(wn, tmp_path, "--final-lr", "-0.1")


# -- weights saved on the way ------------------------------------------------------------------------------------------

SAVED = {
    (): [],
    ("--save-at", "1,3"): ["init", 1, 3],
    ("--save-at", "3,1,3"): ["init", 1, 3],
    ("--save-at", "9"): ["init"],
    ("--save-at", "4"): ["init", 4],
    ("--save-every", "2"): ["init", 2, 4],
    ("--save-every", "2", "--save-at", "1,2"): ["init", 1, 2, 4],
}


@pytest.mark.parametrize("words", SAVED)
@pytest.mark.parametrize("method", ["train", "supermask"])
def test_weights_are_saved_at_these_epochs(carried_out, method, words):
    run = carried_out("--epochs", 4, *words, method=method)
    tags = {tag if tag == "init" else f"epoch-{tag:04d}" for tag in SAVED[words]} | {"final"}
    assert {path.stem for path in (run.path / "weights").iterdir()} == tags
    assert {path.stem for path in run.path.glob("masks/*.h5")} == (tags if method == "supermask" else set())


def test_they_are_those_that_saving_every_epoch_keeps(carried_out):
    some, every = carried_out("--epochs", 3, "--save-at", 2), carried_out("--epochs", 3, "--save-every", 1)
    for tag in ("init", "epoch-0002", "final"):
        assert not unequal(some.weights(tag), every.weights(tag))
    assert unequal(some.weights("init"), some.weights("epoch-0002"))


@pytest.mark.parametrize("point", ["step:2:KILL", "logged:2:KILL", "saved:2:TERM", "saved:3:KILL"])
def test_a_run_that_is_cut_short_saves_them_all_the_same(point, unbroken, tmp_path):
    words = ["run", "supermask", *QUICK, "--epochs", "3", "--save-at", "2,3", "--per-class", "20"]
    assert fork(words, tmp_path, point).code != 0
    answer = fork(words, tmp_path)
    assert answer.code == 0, answer.err
    assert not differences(unbroken(words), run_path(tmp_path))


@pytest.mark.parametrize(("value", "said"), [("0", "must be >= 1: 0"), ("2,-1", "must be >= 1: -1"), ("2,x", "save-at")])
def test_epochs_that_there_cannot_be_are_refused(wn, tmp_path, value, said):
    assert said in refused(wn, tmp_path, "--save-at", value)


# -- a part of the training images -------------------------------------------------------------------------------------


@given(counts=st.lists(st.integers(3, 20), min_size=1, max_size=5), keep=st.integers(1, 3), seed=st.integers(0, 9))
def test_each_class_keeps_so_many(counts, keep, seed):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=seeded(seed))]
    split = Images(torch.arange(len(labels), dtype=torch.float32)[:, None], labels)
    data = Data("numbers", split, split, (1,), len(counts))
    kept = data.subset(keep, seeded(seed))
    numbers = kept.train.x.flatten().long()
    assert kept.train.y.bincount().tolist() == [keep] * len(counts)
    assert kept.train.y.equal(labels[numbers])
    assert (numbers.diff() > 0).all(), "samples keep their order, and none is drawn twice"
    assert numbers.equal(balanced(labels, keep, seeded(seed)))
    assert kept.test is data.test


def test_every_sample_is_as_likely():
    labels = torch.arange(12) % 2
    drawn = torch.stack([balanced(labels, 2, seeded(seed)).bincount(minlength=12) for seed in range(3000)])
    share = drawn.double().mean(0)
    assert (share - 1 / 3).abs().max() < 5 * (2 / 9 / 3000) ** 0.5
    both = (drawn[:, 0] * drawn[:, 1]).double().mean()
    assert abs(both - 1 / 9) < 5 * (8 / 81 / 3000) ** 0.5, "classes are drawn from independently"


def kept_by(run):
    """The data of a run, opened again."""
    return opening.dataset(loading.load(), run, run.path, 0, torch.device("cpu"))


def test_a_run_is_trained_on_what_its_seed_draws(carried_out):
    runs = [carried_out("--epochs", 1, "--per-class", 8, "--seed", seed) for seed in (0, 1)]
    drawn = [kept_by(run).train for run in runs]
    assert [split.y.bincount().tolist() for split in drawn] == [[8] * 4] * 2
    assert not drawn[0].x.equal(drawn[1].x)
    assert kept_by(Run.open(runs[0].path)).train.x.equal(drawn[0].x)
    assert runs[0].metrics()[0]["step"] == 1
    assert carried_out("--epochs", 1).metrics()[0]["step"] == 4
    assert kept_by(runs[0]).test.x.equal(kept_by(carried_out("--epochs", 1)).test.x)


def test_all_of_a_class_is_all(carried_out):
    all_of_it, plain = carried_out("--epochs", 1, "--per-class", COUNT), carried_out("--epochs", 1)
    assert not unequal(all_of_it.weights(), plain.weights())


def test_images_are_held_out_of_those_that_are_kept(carried_out):
    data = kept_by(carried_out("--epochs", 1, "--per-class", 10, "--val", 0.2))
    only = kept_by(carried_out("--epochs", 1, "--per-class", 10))
    assert data.train.y.bincount().tolist() == [8] * 4
    assert data.val.y.bincount().tolist() == [2] * 4

    def rows(*splits):
        return sorted(bytes(row.flatten().tolist()) for split in splits for row in split.x)

    assert rows(data.train, data.val) == rows(only.train)


@pytest.mark.parametrize("words", [("--per-class", "6"), ("--per-class", "10", "--val", "0.2"), ("--val", "0.25")])
def test_an_analysis_sees_what_training_saw(wn, carried_out, tmp_path, words):
    (tmp_path / "look.py").write_text(LOOK)
    run = carried_out("--epochs", 1, *words, "--seed", 3)
    answer = wn("--plugin", "look.py", "analyze", "look", run.path, "--json", "--quiet")
    assert answer.code == 0, answer.err
    data = kept_by(run)
    for name in ("train", "val"):
        split = getattr(data, name)
        wanted = [] if split is None else split.x.flatten(1).double().sum(1).tolist()
        assert json.loads(answer.json[0][name]) == wanted
    assert len(data.train) == {"6": 24, "10": 32, "0.25": 96}[words[1]]


def test_more_than_a_class_has_is_refused(wn, tmp_path):
    line = refused(wn, tmp_path, "--per-class", COUNT + 1)
    assert line == f"--per-class {COUNT + 1}: class 0 has only {COUNT} samples among the training samples of tiny"
    line = refused(wn, tmp_path, "--per-class", COUNT, "--dataset", "tiny:train=127")
    assert line == f"--per-class {COUNT}: class 3 has only {COUNT - 1} samples among the training samples of tiny"


def test_one_of_each_class_leaves_none_to_hold_out(wn, tmp_path):
    assert "--val 0.1 leaves class 0 of tiny without" in refused(wn, tmp_path, "--per-class", "1", "--val", "0.1")


def test_data_that_cannot_be_parted_is_refused(wn, tmp_path):
    (tmp_path / "rows.py").write_text(ROWS)
    line = refused(wn, tmp_path, "--dataset", "rows", "--per-class", "2", before=("--plugin", tmp_path / "rows.py"))
    assert line == "rows has splits that cannot be parted, without labels or part; leave --per-class out"


# -- a mirrored border -------------------------------------------------------------------------------------------------


@given(height=st.integers(2, 6), width=st.integers(2, 6), channels=st.integers(1, 3), data=st.data())
def test_a_mirrored_border_is_torchs_at_every_offset_and_flip(height, width, channels, data):
    pad = data.draw(st.integers(0, min(height, width) - 1))
    image = torch.randn(channels, height, width, generator=seeded(height * width))
    places = range(2 * pad + 1)
    crops = [(top, left, mirrored) for top in places for left in places for mirrored in (0, 1)]
    top, left, mirrored = torch.tensor(crops).T
    images = image.movedim(0, -1).expand(len(crops), -1, -1, -1)
    got = crop_and_flip(images, top, left, mirrored.bool(), pad, "reflect").movedim(-1, 1)
    around = F.pad(image[None], (pad,) * 4, mode="reflect")[0]
    for k, (down, across, flipped) in enumerate(crops):
        want = around[:, down : down + height, across : across + width]
        assert torch.equal(got[k], want.flip(-1) if flipped else want)


def test_shuffled_batches_are_cropped_out_of_the_mirrored_border():
    x = torch.randint(256, (20, 3, 8, 8), dtype=torch.uint8, generator=seeded(1))
    split = Images(x, torch.arange(20), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), pad=3, flip=True, border="reflect")
    order, (top, left, mirrored) = split._draw(seeded(2))
    inputs = torch.cat([batch for batch, _ in split.batches(7, seeded(2))])
    around = F.pad(x.float(), (3, 3, 3, 3), mode="reflect")
    mean, std = (torch.tensor(values)[:, None, None] for values in (split.mean, split.std))
    for k, index in enumerate(order):
        want = around[index, :, top[k] : top[k] + 8, left[k] : left[k] + 8]
        want = want.flip(-1) if mirrored[k] else want
        torch.testing.assert_close(inputs[k], (want / 255 - mean) / std, rtol=0, atol=1e-5)
    plain = torch.cat([batch for batch, _ in split.batches(7)])
    torch.testing.assert_close(plain, (x / 255 - mean) / std, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("shape", "pad"), [((1, 4, 9), 4), ((1, 9, 4), 5), ((3, 1, 1), 1)])
def test_an_image_smaller_than_its_border_cannot_be_mirrored(shape, pad):
    x, y = torch.zeros(2, *shape), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=f"too small to be mirrored over {pad} pixels"):
        Images(x, y, pad=pad, border="reflect")
    Images(x, y, pad=pad)
    Images(x, y, pad=min(shape[1:]) - 1, border="reflect")


def test_a_class_with_too_few_samples_is_named():
    data = Data("few", *[Images(torch.zeros(5, 2), torch.tensor([0, 0, 1, 0, 1]))] * 2, (2,), 2)
    with pytest.raises(UsageError, match="--per-class 3: class 1 has only 2 samples among the training samples of few"):
        data.subset(3, seeded())
