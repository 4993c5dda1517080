"""``wn run shuffled-mask``, ``random-mask`` and ``fixed-param`` from end to end."""

import math

import numpy as np
import pytest
import torch

from widenet.runs import Run
from widenet_weight_symmetry.initialise import sparse_init_
from widenet_weight_symmetry.masks import generate
from widenet_weight_symmetry.propagate import propagate
from widenet_weight_symmetry.symmetry import count

DATA = ("--dataset", "tiny:train=96,test=16", "--threads", "1", "--batch-size", "32", "--epochs", "1", "--quiet", "--json")
FC = ("--arch", "mnist-fc:hidden=16,12", *DATA)
CNN = ("--arch", "mnist-cnn:filters=6,8,dense=10,kernel=3", *DATA)
SHAPES = {"fc1": (16, 256), "fc2": (12, 16)}
TYPES = ("symmetric", "random", "per-neuron", "per-neuron-no-input-ablation", "bernoulli", "n-m")
SEVEN = {
    *("total_neurons", "unique_neurons", "zeroed_neurons", "permutations", "sparsity"),
    *("permutation_num_digits", "permutation_log10"),
}


@pytest.fixture
def finished(wn, tmp_path):
    """``finished(method, *words)``: the run of a command."""

    def carry_out(method, *words):
        answer = wn("run", method, *words)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


def drawn(run, kind, sparsity, shapes=SHAPES, **more):
    """The masks that a run draws, before propagation."""
    return {name: generate(kind, shape, sparsity, run.generator("mask", name), **more) for name, shape in shapes.items()}


def shapes_of(run):
    return {name: mask.shape for name, mask in run.masks().items()}


def same(masks, wanted):
    assert list(masks) == list(wanted)
    return all(np.array_equal(masks[name], wanted[name].numpy()) for name in masks)


# -- masks -------------------------------------------------------------------------------------------------------------


def kept(n, sparsity):
    return n - math.ceil(round(sparsity * n, 6))


def check_counts(kind, mask, sparsity):
    """What the type promises of a mask bool (out, in)."""
    out, inputs = mask.shape
    rows = mask.sum(1)
    if kind == "random":
        assert mask.sum() == kept(out * inputs, sparsity)
    elif kind == "bernoulli":
        spread = math.sqrt(mask.size * sparsity * (1 - sparsity))
        assert abs(mask.sum() - (1 - sparsity) * mask.size) <= 5 * spread
    elif kind == "per-neuron-no-input-ablation":
        dealt = np.bincount(np.arange(inputs) % out, minlength=out)
        assert sorted(rows) == sorted(np.maximum(dealt, round((1 - sparsity) * inputs)))
        assert mask.any(0).all()
    elif kind == "n-m":
        assert (mask.reshape(out, -1, 4).sum(2) == kept(4, sparsity)).all()
    else:
        assert (rows == kept(inputs, sparsity)).all()
        assert (mask == mask[0]).all() == (kind == "symmetric")


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("kind", TYPES)
def test_masks_keep_what_their_type_and_sparsity_say(finished, kind, sparsity):
    run = finished("shuffled-mask", *FC, "--mask-type", kind, "--sparsity", sparsity, "--no-propagate")
    assert shapes_of(run) == SHAPES, "the classifier is not masked"
    for mask in run.masks().values():
        assert mask.dtype == bool
        check_counts(kind, mask, sparsity)
    assert same(run.masks(), drawn(run, kind, sparsity))
    assert not any(name.startswith("propagated") for name in run.metrics()[0])


@pytest.mark.parametrize("words", [(*FC, "--arch", "mnist-fc:hidden=16,12,10"), CNN], ids=["fc", "cnn"])
@pytest.mark.parametrize("kind", ["random", "bernoulli", "per-neuron"])
def test_masks_are_propagated(finished, words, kind):
    run = finished("shuffled-mask", *words, "--mask-type", kind, "--sparsity", "0.9")
    before = drawn(run, kind, 0.9, shapes_of(run))
    assert same(run.masks(), propagate(before))
    line = run.metrics()[0]
    for prefix, masks in (("mask", before), ("propagated_mask", run.masks())):
        zeros = 1 - sum(mask.sum() for mask in masks.values()) / sum(math.prod(mask.shape) for mask in masks.values())
        assert line[f"{prefix}/sparsity"] == pytest.approx(float(zeros))
    propagated = line["propagated_mask/sparsity"] > line["mask/sparsity"]
    assert propagated == (line["mask/zeroed_neurons"] > 0)
    assert propagated or kind == "per-neuron", "a fan-in that is constant ablates all neurons of a layer or none"


def test_layers_of_one_shape_get_masks_of_their_own(finished):
    for kind in TYPES:
        arch = ("--arch", "mnist-fc:hidden=16,16,16", "--mask-type", kind, "--sparsity", "0.5")
        masks = finished("shuffled-mask", *FC, *arch).masks()
        assert masks["fc2"].shape == masks["fc3"].shape
        assert (masks["fc2"] != masks["fc3"]).any(), kind


def test_a_seed_of_their_own_makes_masks_independent_of_the_runs(finished):
    words = ("shuffled-mask", *FC, "--save-every", "1")
    plain, fifth, other, zero = (
        finished(*words, *more)
        for more in (["--mask-seed", "5"], ["--mask-seed", "5", "--seed", "1"], ["--seed", "1"], ["--mask-seed", "0"])
    )
    assert same(plain.masks(), {name: torch.from_numpy(mask) for name, mask in fifth.masks().items()})
    assert any((plain.masks()[name] != other.masks()[name]).any() for name in SHAPES)
    assert same(zero.masks(), propagate(drawn(zero, "random", 0.9))), "the seed of the run is 0 as well"
    assert not torch.equal(plain.weights("init")["fc1.weight"], fifth.weights("init")["fc1.weight"])


@pytest.mark.parametrize(("wanted", "names"), [("1", ["fc2"]), ("fc[12]", ["fc1", "fc2"]), ("0,fc2", ["fc1", "fc2"])])
def test_chosen_layers_are_masked_alone(finished, wanted, names):
    run = finished("shuffled-mask", *FC, "--masked-layers", wanted, "--save-every", "1")
    assert list(run.masks()) == names
    assert same(run.masks(), propagate(drawn(run, "random", 0.9, {name: SHAPES[name] for name in names})))
    dense = [name for name in SHAPES if name not in names]
    assert all(run.weights("init")[f"{name}.weight"].all() for name in dense)


@pytest.mark.parametrize("kind", ["per-neuron", "per-neuron-no-input-ablation"])
def test_a_fan_in_is_exact(finished, kind):
    run = finished("shuffled-mask", *FC, "--mask-type", kind, "--fan-in", "16")
    for mask in run.masks().values():
        assert (mask.sum(1) == 16).all()
        assert kind == "per-neuron" or mask.any(0).all()


def test_groups_of_another_size(finished):
    run = finished("shuffled-mask", *FC, "--mask-type", "n-m", "--group", "8", "--sparsity", "0.75")
    assert all((mask.reshape(len(mask), -1, 8).sum(2) == 2).all() for mask in run.masks().values())


# -- weights -----------------------------------------------------------------------------------------------------------


def hidden(run, tag):
    """The weights of each masked layer and, of these, those that its mask hides."""
    for name, mask in run.masks(tag).items():
        weight = run.weights(tag)[f"{name}.weight"]
        yield weight, weight[torch.from_numpy(~mask)]


@pytest.mark.parametrize("words", [FC, CNN], ids=["fc", "cnn"])
@pytest.mark.parametrize("init", ["kaiming-sparse", "xavier-sparse", "unit-scaled", "layer-scaled"])
def test_first_weights_are_drawn_for_the_propagated_mask_and_0_elsewhere(finished, words, init):
    run = finished("shuffled-mask", *words, "--init", init, "--save-every", "1")
    for name, mask in run.masks().items():
        weight = run.weights("init")[f"{name}.weight"]
        wanted = sparse_init_(torch.empty(mask.shape), torch.from_numpy(mask), init, run.generator("init", name))
        assert torch.equal(weight, wanted)
        assert torch.equal(weight != 0, torch.from_numpy(mask))
    assert same(run.masks("init"), {name: torch.from_numpy(mask) for name, mask in run.masks().items()})
    for tag in ("epoch-0001", "final"):
        assert all(not under.any() and weight.any() for weight, under in hidden(run, tag))


def test_without_an_initialiser_the_architectures_weights_stay(finished):
    """What a mask hides of them has no gradient: nothing but weight decay could move it."""
    words = (*FC, "--save-every", "1", "--epochs", "2")
    dense = finished("train", *words)
    run = finished("shuffled-mask", *words, "--init", "none", "--weight-decay", "0")
    first = run.weights("init")
    assert all(torch.equal(value, dense.weights("init")[name]) for name, value in first.items())
    for (before, under), (after, still) in zip(hidden(run, "init"), hidden(run, "final"), strict=True):
        assert torch.equal(under, still)
        assert under.all()
        assert not torch.equal(before, after)
    decayed = finished("shuffled-mask", *words, "--init", "none", "--weight-decay", "0.1", "--schedule", "constant")
    for (_, under), (_, shrunk) in zip(hidden(run, "init"), hidden(decayed, "final"), strict=True):
        torch.testing.assert_close(shrunk, under * (1 - 0.01 * 0.1) ** 6)


def test_the_classifier_is_initialised_as_ever(finished):
    dense, run = (finished(method, *FC, "--save-every", "1").weights("init") for method in ("train", "shuffled-mask"))
    assert torch.equal(dense["head.weight"], run["head.weight"])
    assert dense["head.weight"].all()


def test_starting_from_a_run(finished):
    first = finished("train", *FC)
    words = [word for word in FC if word not in ("--arch", "mnist-fc:hidden=16,12", "--dataset", "tiny:train=96,test=16")]
    more = ("--from", first.name, "--save-every", "1")
    redrawn, taken = (finished("shuffled-mask", *words, *more, *own) for own in ([], ["--init", "none"]))
    assert all(torch.equal(value, taken.weights("init")[name]) for name, value in first.weights().items())
    assert torch.equal(redrawn.weights("init")["head.weight"], first.weights()["head.weight"])
    assert all(not under.any() for _, under in hidden(redrawn, "init"))


# -- what is logged and returned ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_the_line_before_training(finished, kind):
    run = finished("shuffled-mask", *FC, "--mask-type", kind, "--sparsity", "0.5")
    line, last = run.metrics()[0], run.metrics()[-1]
    assert line.keys() == {"epoch", "step", *(f"{part}/{name}" for part in ("mask", "propagated_mask") for name in SEVEN)}
    assert (line["epoch"], line["step"], last["epoch"], last["step"]) == (0, 0, 1, 3)
    assert {"cosine_similarity", "distance", "cumulative_gradient_norm", "train/gradient_norm"} <= last.keys()
    for prefix, masks in (("mask", drawn(run, kind, 0.5)), ("propagated_mask", run.masks())):
        rows = count({**masks, "head": np.ones((10, 12), bool)})["layers"]
        number = math.prod(rows[name]["permutations"] for name in SHAPES)
        assert line[f"{prefix}/permutations"] == str(number)
        assert line[f"{prefix}/permutation_log10"] == pytest.approx(math.log10(number + 1))
        for field in ("total_neurons", "unique_neurons", "zeroed_neurons"):
            assert line[f"{prefix}/{field}"] == sum(rows[name][field] for name in SHAPES)


def test_symmetric_masks_leave_one_class_a_layer(finished):
    """Of the first layer's 16 units the second reads 8, all of them alike."""
    run = finished("shuffled-mask", *FC, "--mask-type", "symmetric", "--sparsity", "0.5")
    line, number = run.metrics()[0], math.factorial(8) * math.factorial(12)
    assert {field: line[f"mask/{field}"] for field in ("total_neurons", "unique_neurons", "zeroed_neurons")} == {
        "total_neurons": 28,
        "unique_neurons": 2,
        "zeroed_neurons": 0,
    }
    assert line["mask/permutations"] == str(number)
    assert run.record["result"]["log10_permutations"] == pytest.approx(math.log10(number))


def test_the_result(finished):
    run = finished("shuffled-mask", *FC)
    result, line = run.record["result"], run.metrics()[0]
    assert result.keys() == {
        *("test_accuracy", "kept"),
        *("sparsity", "unique_neurons", "zeroed_neurons", "log10_permutations"),
    }
    assert result["sparsity"] == line["propagated_mask/sparsity"] == pytest.approx(1 - result["kept"])
    assert result["unique_neurons"] == line["propagated_mask/unique_neurons"]


def test_a_dead_layer_is_said_and_does_no_harm(finished):
    run = finished("shuffled-mask", *FC, "--mask-type", "per-neuron", "--sparsity", "0.95")
    assert "no unit of fc2 is alive, so nothing of the input passes it: lower --sparsity" in (run.path / "log.txt").read_text()
    line, result = run.metrics()[0], run.record["result"]
    assert (line["mask/permutations"], line["mask/permutation_log10"]) == ("0", 0)
    assert line["mask/permutation_num_digits"] == 1
    assert (result["zeroed_neurons"], result["log10_permutations"]) == (28, 0), "the first layer's units have no reader"
    assert math.isfinite(run.metrics()[-1]["train/loss"])


# -- sparsity drawn, and widths by a number of parameters --------------------------------------------------------------


def test_the_sparsity_is_drawn_within_its_range(finished):
    words = ("random-mask", *FC, "--min-sparsity", "0.3", "--max-sparsity", "0.7", "--no-propagate")
    runs = [finished(*words, "--seed", seed) for seed in range(6)]
    found = [run.record["result"]["drawn_sparsity"] for run in runs]
    assert all(0.3 <= sparsity <= 0.7 for sparsity in found)
    assert len(set(found)) == 6
    assert max(found) - min(found) > 0.1
    for run, sparsity in zip(runs, found, strict=True):
        for mask in run.masks().values():
            check_counts("bernoulli", mask, sparsity)
        assert same(run.masks(), drawn(run, "bernoulli", sparsity))
    assert finished(*words, "--seed", "3", "--fresh").record["result"] == runs[3].record["result"]


def test_the_drawn_sparsity_belongs_to_the_masks(finished):
    words = ("random-mask", *FC, "--mask-type", "random", "--mask-seed", "4")
    one, other = (finished(*words, "--seed", seed) for seed in (0, 1))
    assert one.record["result"]["drawn_sparsity"] == other.record["result"]["drawn_sparsity"]
    assert same(one.masks(), {name: torch.from_numpy(mask) for name, mask in other.masks().items()})


def test_a_range_of_one_sparsity(finished):
    run = finished("random-mask", *FC, "--mask-type", "random", "--min-sparsity", "0.5", "--max-sparsity", "0.5")
    assert run.record["result"]["drawn_sparsity"] == 0.5
    assert run.masks()["fc1"].sum() == 16 * 128


def test_widths_by_a_number_of_parameters(finished):
    run = finished("fixed-param", *FC, "--arch", "mnist-fc:params=5000,depth=3", "--sparsity", "0.95")
    result, line = run.record["result"], run.metrics()[0]
    widths = [mask.shape[0] for mask in run.masks().values()]
    assert [result[f"feature_{place}"] for place in range(3)] == widths
    assert (result["depth"], result["max_width"], result["min_width"]) == (3, max(widths), min(widths))
    assert "feature_3" not in result
    assert run.record["parameters"] == pytest.approx(5000, rel=0.05)
    assert same(run.masks(), drawn(run, "random", 0.95, shapes_of(run))), "not propagated"
    assert line["mask/zeroed_neurons"] > 0
    assert line.keys() == {"epoch", "step", *(f"mask/{name}" for name in SEVEN)}
