"""Foreign state dicts held against a network: every tensor has one fate, names are translated only where that is certain."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from widenet.builtin.fitting import fit
from widenet.builtin.models import models

EXTRA = ("csg", "final_*")
MODELS = {model.name: model for model in models()}


def state(**shapes):
    """Tensors of ones by name, ``_`` standing for the dot."""
    return {name.replace("_", "."): torch.ones(shape) for name, shape in shapes.items()}


def built(model, shape=(3, 32, 32), classes=10, **options):
    return MODELS[model].function(shape, classes, MODELS[model].config(**options))


def lines(found):
    return [line for part in found.faults.values() for line in part]


def test_what_fits_is_taken_in_the_networks_order():
    net = built("resnet20", width=0.25).state_dict()
    found = fit(dict(reversed(net.items())), net, EXTRA)
    assert list(found.taken) == list(net)
    assert all(found.taken[name] is net[name] for name in net)
    assert not (found.beside or found.left or found.faults or found.hints or found.said or found.noted)


def test_extras_lie_beside_unless_the_network_has_them():
    expected = state(a=2, final_bias=3) | state(b=1)
    found = fit(
        {**state(a=2, b=1), "final.bias": torch.ones(3), "csg": torch.ones(4), "final_weights": torch.ones(5)}, expected, EXTRA
    )
    assert found.taken.keys() == expected.keys()
    assert found.beside.keys() == {"csg", "final_weights"}
    assert not found.faults


def test_each_fault_is_named_with_shapes():
    found = fit(state(a=2, b=(3, 1), c=()), state(a=2, b=3, d=(4, 5)), ())
    assert lines(found) == ["b is (3, 1) in the file, (3,) in the network", "d (4, 5) is missing", "c () has no place"]
    assert {kind: len(part) for kind, part in found.faults.items()} == {
        "of another shape": 1,
        "missing": 1,
        "without a place": 1,
    }
    assert found.left.keys() == {"b", "c"}


def test_complex_numbers_do_not_fit_real_ones():
    found = fit({"a": torch.ones(2, dtype=torch.complex64)}, state(a=2), ())
    assert lines(found) == ["a is complex (2,) in the file, (2,) in the network"]


def test_counters_of_batches_may_be_missing_and_nothing_else():
    net = nn.BatchNorm1d(3).state_dict()
    assert not fit({k: v for k, v in net.items() if k != "num_batches_tracked"}, net, ()).faults
    assert lines(fit({k: v for k, v in net.items() if k != "running_var"}, net, ())) == ["running_var (3,) is missing"]


# -- the classifier's name ------------------------------------------------------------------------------------------------

HEADS = ("linear", "fc", "classifier")


def head(name, fill=1.0, classes=4):
    return {f"{name}.weight": torch.full((classes, 5), fill), f"{name}.bias": torch.full((classes,), fill)}


@pytest.mark.parametrize("own", HEADS)
@pytest.mark.parametrize("other", HEADS)
def test_a_classifier_under_another_name_is_renamed_and_that_is_said(own, other):
    found = fit({"a": torch.ones(1), **head(other, 2.0)}, {"a": torch.ones(1), **head(own)}, ())
    assert not found.faults
    assert float(found.taken[f"{own}.bias"][0]) == 2
    assert found.said == (() if own == other else (f"{other}, which the network calls {own}",))


def test_of_other_shape_or_with_other_layers_it_keeps_its_name():
    for theirs in (head("fc", classes=3), {"fc.weight": torch.ones(4, 5)}, head("fc.0")):
        found = fit(theirs, head("linear"), ())
        assert not found.taken
        assert not found.said
        assert found.left.keys() == theirs.keys()


def test_a_classifier_of_several_layers_is_renamed_as_a_whole():
    found = fit({**head("classifier.0"), **head("classifier.2")}, {**head("linear.0"), **head("linear.2")}, ())
    assert len(found.taken) == 4
    assert not found.faults


def test_an_equal_alias_is_left_out_and_noted():
    found = fit({**head("linear"), **head("fc")}, head("linear"), ())
    assert found.noted == ("fc is linear once more, left out",)
    assert not (found.faults or found.left or found.said)
    renamed = fit({**head("fc"), **head("classifier")}, head("linear"), ())
    assert not renamed.faults
    assert (len(renamed.said), len(renamed.noted)) == (1, 1)


@pytest.mark.parametrize("other", [head("fc", 2.0), head("fc", classes=3), {"fc.weight": torch.ones(4, 5)}])
def test_an_unequal_one_does_not_fit(other):
    found = fit({**head("linear"), **other}, head("linear"), ())
    assert found.left.keys() == other.keys()
    assert not found.noted
    assert float(found.taken["linear.bias"][0]) == 1


def test_a_network_with_both_gets_both():
    both = {**head("linear", 1.0), **head("fc", 2.0)}
    assert fit(both, both, ()).taken.keys() == both.keys()
    assert len(fit(head("linear"), both, ()).faults["missing"]) == 2


# -- older names of torchvision -------------------------------------------------------------------------------------------


def as_published(name):
    """A name in torchvision's files of DenseNets and vision transformers, by its code for reading them."""
    for new, old in (("norm1", "norm.1"), ("norm2", "norm.2"), ("conv1", "conv.1"), ("conv2", "conv.2")):
        if "denselayer" in name:
            name = name.replace(new, old)
    return name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2.")


@pytest.mark.parametrize("network", ["densenet121", "vit_b_32"])
def test_older_names_are_understood(network):
    with torch.device("meta"):
        net = built("torchvision", (3, 224, 224), name=network).state_dict()
    old = {as_published(name): value for name, value in net.items()}
    assert old.keys() != net.keys()
    found = fit(old, net, ())
    assert list(found.taken) == list(net)
    assert not found.faults
    assert "older names of torchvision" in found.said[0]


def test_older_names_stay_where_the_network_has_them_or_the_new_ones_are_taken():
    old = {"x.mlp.linear_1.weight": torch.ones(1)}
    assert fit(old, old, ()).taken.keys() == old.keys()
    both = fit({**old, "x.mlp.0.weight": torch.zeros(1)}, {"x.mlp.0.weight": torch.ones(1)}, ())
    assert float(both.taken["x.mlp.0.weight"]) == 0
    assert both.left.keys() == old.keys()


# -- what could be to blame -----------------------------------------------------------------------------------------------


def test_hints_at_the_data_set():
    theirs = built("resnet20", width=0.25).state_dict()
    grey = fit(theirs, built("resnet20", (1, 16, 16), width=0.25).state_dict(), ())
    assert grey.hints == ["takes 3 channels, the data set has 1"]
    fewer = fit(theirs, built("resnet20", classes=4, width=0.25).state_dict(), ())
    assert fewer.hints == ["has 10 classes, the data set has 4"]
    renamed = {name.replace("linear", "fc"): value for name, value in theirs.items()}
    both = fit(renamed, built("resnet20", (1, 16, 16), 4, width=0.25).state_dict(), ())
    assert len(both.hints) == 2
    assert not fit(theirs, built("resnet32", width=0.25).state_dict(), ()).hints


# -- properties -----------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["a", "b.weight", "linear.weight", "linear.bias", "fc.weight", "classifier.bias", "csg", "n.num_batches_tracked"]
)
STATES = st.dictionaries(NAMES, st.sampled_from([(), (2,), (3,), (2, 3)]).map(torch.ones), max_size=8)


@given(found=STATES, expected=STATES.filter(bool), extra=st.sampled_from([(), ("csg",), ("*",), ("fc.*",)]))
def test_every_tensor_has_one_fate(found, expected, extra):
    fitted = fit(found, expected, extra)
    fates = [id(value) for part in (fitted.taken, fitted.beside, fitted.left) for value in part.values()]
    assert len(fates) == len(set(fates))
    lost = [name for name, value in found.items() if id(value) not in fates]
    assert bool(lost) == bool(fitted.noted)
    assert all(fitted.taken[name].shape == expected[name].shape for name in fitted.taken)
    unserved = [name for name in expected if name not in fitted.taken and not name.endswith("num_batches_tracked")]
    assert all(any(line.startswith(f"{name} ") for line in lines(fitted)) for name in [*fitted.left, *unserved])
