"""``wn run prune`` from end to end."""

import itertools
import math

import numpy as np
import pytest
import torch

from widenet.runs import Run
from widenet_weight_symmetry.symmetry import count

COMMON = ("--threads", "1", "--batch-size", "32", "--quiet")
DATA = ("--dataset", "tiny:train=96,test=16", *COMMON)
FC = ("--arch", "mnist-fc:hidden=16,12", *DATA)
CNN = ("--arch", "mnist-cnn:filters=6,8,dense=10,kernel=3", *DATA)
SIZES = {"fc1": 16 * 256, "fc2": 12 * 16}
SEVEN = {
    *("total_neurons", "unique_neurons", "zeroed_neurons", "permutations", "sparsity"),
    *("permutation_num_digits", "permutation_log10"),
}


@pytest.fixture
def finished(wn, tmp_path):
    """``finished(*words)``: the run of a command, of which every epoch's weights and masks are kept."""

    def carry_out(*words, method="prune"):
        answer = wn("run", method, *words, "--save-every", "1", "--json")
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


def kept(n, sparsity):
    return n - math.ceil(round(sparsity * n, 6))


def tags(run):
    """Those of every epoch's end, from that of 0 on."""
    return ["init", *(f"epoch-{line['epoch']:04d}" for line in run.metrics() if line["epoch"])]


def counts(run):
    """How many weights each layer has left after each epoch."""
    return [{name: int(mask.sum()) for name, mask in run.masks(tag).items()} for tag in tags(run)]


def check_course(run):
    """Whatever the schedule: nothing returns, the largest weights of what competes stay, and every line counts its masks."""
    masks, weights = ([load(tag) for tag in tags(run)] for load in (run.masks, run.weights))
    for earlier, later, state in zip(masks, masks[1:], weights, strict=False):
        for name in earlier:
            assert not (later[name] & ~earlier[name]).any()
            size = state[f"{name}.weight"].abs().numpy()
            gone = earlier[name] & ~later[name]
            assert not gone.any() or not later[name].any() or size[gone].max() <= size[later[name]].min()
    for line, found in zip(run.metrics(), masks, strict=True):
        assert {f"mask/{name}" for name in SEVEN} <= line.keys()
        left, size = (sum(int(part(mask)) for mask in found.values()) for part in (np.sum, np.size))
        if line["epoch"]:
            assert line["mask/sparsity"] == pytest.approx(1 - left / size)


# -- when and how much -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sparsities"),
    [
        (["--rates", "0=0.2,1=0.5,3=0.9", "--epochs", "5"], [0, 0.2, 0.5, 0.5, 0.9, 0.9]),
        (["--rates", "2=0.3,3=0.3", "--epochs", "4"], [0, 0, 0, 0.3, 0.3]),
        (["--prune-after", "1", "--sparsity", "0.7", "--epochs", "3"], [0, 0, 0.7, 0.7]),
        (["--prune-after", "0", "--epochs", "2"], [0, 0.9, 0.9]),
        (["--keep", "0.25", "--epochs", "5"], [0, 0, 0, 0.75, 0.75, 0.75]),
        (["--epochs", "1"], [0, 0.9]),
    ],
)
def test_sparsity_after_every_epoch(finished, words, sparsities):
    """Pruned before an epoch, by what it finds; without being told, after half of the epochs."""
    run = finished(*FC, *words)
    assert counts(run) == [{name: kept(size, sparsity) for name, size in SIZES.items()} for sparsity in sparsities]
    check_course(run)
    assert [line["step"] for line in run.metrics()] == [3 * epoch for epoch in range(len(sparsities))], "steps count on"


def test_convolutions_too(finished):
    run = finished(*CNN, "--rates", "0=0.3,1=0.6,2=0.9", "--epochs", "3")
    sizes = {"conv1": 6 * 9, "conv2": 8 * 6 * 9, "dense": 10 * 8}
    assert counts(run)[1:] == [{name: kept(size, rate) for name, size in sizes.items()} for rate in (0.3, 0.6, 0.9)]
    check_course(run)


@pytest.mark.parametrize(
    ("rates", "first", "second"),
    [
        ("fc1@1=0.5", [0, 0, 0.5, 0.5], [0, 0, 0, 0]),
        ("1=0.2,2=0.3,fc2@2=0.6", [0, 0, 0.2, 0.3], [0, 0, 0, 0.6]),
        ("0=0.5,1@0=0.25,1@2=0.75", [0, 0.5, 0.5, 0.5], [0, 0.25, 0.25, 0.75]),
        ("f*@2=0.4", [0, 0, 0, 0.4], [0, 0, 0, 0.4]),
    ],
)
def test_layers_have_schedules_of_their_own(finished, rates, first, second):
    run = finished(*FC, "--rates", rates, "--epochs", "3")
    wanted = [{"fc1": kept(4096, a), "fc2": kept(192, b)} for a, b in zip(first, second, strict=True)]
    assert counts(run) == wanted
    check_course(run)


def test_chosen_layers_are_pruned_alone(finished):
    run = finished(*FC, "--masked-layers", "fc2", "--epochs", "2")
    assert counts(run) == [{"fc2": 192}, {"fc2": 192}, {"fc2": 19}]
    assert run.metrics()[-1]["mask/sparsity"] == pytest.approx(173 / 192)


def test_layers_that_compete(finished):
    run = finished(*FC, "--scope", "global", "--rates", "0=0.5,1=0.9", "--epochs", "2")
    assert [sum(found.values()) for found in counts(run)] == [4288, 2144, kept(4288, 0.9)]
    assert counts(run)[-1]["fc2"] != kept(192, 0.9), "no layer has a share of its own"
    masks, weights = run.masks("epoch-0001"), run.weights("init")
    sizes = {name: weights[f"{name}.weight"].abs().numpy() for name in SIZES}
    least = min(sizes[name][masks[name]].min() for name in SIZES)
    assert least >= max(sizes[name][~masks[name]].max() for name in SIZES)


def test_a_floor_keeps_a_share_of_every_layer(finished):
    """The second layer's weights are made the smallest: without a floor none of them would stay."""
    words = ("--scope", "global", "--sparsity", "0.9", "--prune-after", "0", "--epochs", "1")
    parent = finished(*FC, "--epochs", "1", method="train")
    state = parent.weights()
    state["fc2.weight"] /= 1e6
    parent.save_weights("final", state)
    for floor, least in (("0", 0), ("0.05", 10)):
        run = finished("--from", parent.name, *COMMON, *words, "--floor", floor)
        before, after = counts(run)
        assert before == SIZES
        assert (after["fc2"], sum(after.values())) == (least, kept(4288, 0.9))


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_of_the_survivors_a_fifth_goes_every_round(finished, scope):
    run = finished(*FC, "--of", "survivors", "--rates", "0=0.2,1=0.2,2=0.2,3=0.2", "--epochs", "4", "--scope", scope)
    found = counts(run)
    for earlier, later in itertools.pairwise(found):
        if scope == "layer":
            assert later == {name: kept(left, 0.2) for name, left in earlier.items()}
        else:
            assert sum(later.values()) == kept(sum(earlier.values()), 0.2)
    assert sum(found[-1].values()) / 4288 == pytest.approx(0.8**4, rel=0.01)


def test_the_originals_slip(finished):
    run = finished(*FC, "--compat", "original", "--rates", "0=0,1=0.5,2=0.55", "--epochs", "3")
    wanted = [
        {name: size - round(float(np.float32(rate) * size)) - 1 for name, size in SIZES.items()} for rate in (0, 0.5, 0.55)
    ]
    assert counts(run) == [SIZES, *wanted]
    check_course(run)


# -- weights -----------------------------------------------------------------------------------------------------------


def test_what_is_left_is_put_back_to_its_first_values(finished):
    """After the second epoch, when the rate falls to next to nothing."""
    words = (*FC, "--epochs", "3", "--prune-after", "2", "--schedule", "step", "--milestones", "2", "--factors", "1e-12")
    plain, back = (finished(*words, *more) for more in ([], ["--rewind"]))
    for name in SIZES:
        mask = torch.from_numpy(back.masks()[name])
        assert torch.equal(mask, torch.from_numpy(plain.masks()[name])), "chosen by what training has made of them"
        first, last, stayed = (
            run.weights(tag)[f"{name}.weight"][mask] for run, tag in ((back, "init"), (back, "final"), (plain, "final"))
        )
        torch.testing.assert_close(last, first, rtol=0, atol=1e-9)
        assert (stayed - first).abs().max() > 1e-3
    for key in ("head.weight", "bn1.weight", "fc1.bias"):
        torch.testing.assert_close(back.weights()[key], back.weights("init")[key], rtol=0, atol=1e-9)


def test_a_finished_run_is_pruned_at_once(finished):
    parent = finished(*FC, "--epochs", "2", method="train")
    run = finished("--from", parent.name, *COMMON, "--epochs", "3", "--sparsity", "0.8")
    assert counts(run)[1:] == [{name: kept(size, 0.8) for name, size in SIZES.items()}] * 3
    assert all(torch.equal(value, run.weights("init")[name]) for name, value in parent.weights().items())
    check_course(run)


def test_a_masked_run_is_pruned_further(finished):
    parent = finished(*FC, "--epochs", "1", "--sparsity", "0.5", "--mask-type", "symmetric", method="shuffled-mask")
    run = finished("--from", parent.name, *COMMON, "--epochs", "2", "--rates", "0=0.3,1=0.75")
    assert all((run.masks("init")[name] == mask).all() for name, mask in parent.masks().items())
    left = [{name: kept(size, rate) for name, size in SIZES.items()} for rate in (0.5, 0.75)]
    assert counts(run)[1:] == left, "what is sparser already stays as it is"
    check_course(run)


# -- what is told ------------------------------------------------------------------------------------------------------


def test_symmetry_is_counted_after_every_epoch(finished):
    run = finished(*FC, "--rates", "0=0,1=0.9,2=0.97", "--epochs", "3")
    assert run.metrics()[0].keys() == {"epoch", "step", *(f"mask/{name}" for name in SEVEN)}
    for line, tag in zip(run.metrics(), tags(run), strict=True):
        rows = count({**run.masks(tag), "head": np.ones((10, 12), bool)})["layers"]
        number = math.prod(rows[name]["permutations"] for name in SIZES)
        assert line["mask/permutations"] == str(number)
        assert line["mask/zeroed_neurons"] == sum(rows[name]["zeroed_neurons"] for name in SIZES)
        assert line["mask/unique_neurons"] == sum(rows[name]["unique_neurons"] for name in SIZES)
    last, result = run.metrics()[-1], run.record["result"]
    assert result.keys() == {
        *("test_accuracy", "kept", "sparsity", "unique_neurons", "zeroed_neurons", "log10_permutations"),
    }
    assert (result["sparsity"], result["unique_neurons"]) == (last["mask/sparsity"], last["mask/unique_neurons"])
    assert {"cosine_similarity", "distance", "cumulative_gradient_norm"} <= last.keys()


def test_the_log_says_when_it_pruned(finished):
    run = finished(*FC, "--rates", "1=0.5,fc2@1=0.25", "--epochs", "2")
    text = (run.path / "log.txt").read_text()
    assert "pruned before epoch 2: 50.00% of the weights of fc1 are zero" in text
    assert "pruned before epoch 2: 25.00% of the weights of fc2 are zero" in text
