"""Which layers are masked, by how much, and together with which."""

import pytest
import torch
from torch import nn

from widenet.builtin.models import models
from widenet.errors import UsageError
from widenet.masks import Fixed, attach
from widenet_supermask.config import Supermask
from widenet_supermask.layout import budgets, dense_layers, layout


@pytest.fixture(scope="module")
def conv4():
    model = next(model for model in models() if model.name == "conv4")
    return model.function((3, 16, 16), 10, model.config(width=0.1, bias=True))


CONVS, LINEARS = [f"convs.{n}" for n in (0, 2, 5, 7)], [f"linear.{n}" for n in (0, 2, 4)]


def keeps(net, **options):
    return {name: place.keep for name, place in layout(net, Supermask(**options)).items()}


def test_every_layer_keeps_the_same_fraction(conv4):
    assert keeps(conv4, keep=0.3) == dict.fromkeys([*CONVS, *LINEARS], 0.3)


@pytest.mark.parametrize(
    ("patterns", "own"),
    [
        (("linear.4=1",), {"linear.4": 1}),
        (("linear=0.2",), dict.fromkeys(LINEARS, 0.2)),
        (("convs.*=0.2", "convs.7=0.9"), {**dict.fromkeys(CONVS, 0.2), "convs.7": 0.9}),
        (("*.2=0.1",), {"convs.2": 0.1, "linear.2": 0.1}),
        (("convs.[07]=.7",), {"convs.0": 0.7, "convs.7": 0.7}),
    ],
)
def test_overrides_go_by_pattern(conv4, patterns, own):
    assert keeps(conv4, keep_for=patterns) == {**dict.fromkeys([*CONVS, *LINEARS], 0.5), **own}


@pytest.mark.parametrize(
    ("pattern", "words"), [("liner.4", "did you mean 'linear.4'"), ("fc1", "there are convs.0, convs.2"), ("conv", "convs")]
)
def test_an_override_without_a_layer_names_the_nearest(conv4, pattern, words):
    with pytest.raises(UsageError, match=f"--keep-for {pattern}=0.2") as error:
        keeps(conv4, keep_for=(f"{pattern}=0.2",))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_biases_are_masked_with_their_layers(conv4):
    found = keeps(conv4, mask_bias=True, keep_for=("linear.4=0.9", "linear.2.bias=0.1"))
    assert list(found)[:2] == ["convs.0", "convs.0.bias"]
    assert (found["linear.4"], found["linear.4.bias"]) == (0.9, 0.9)
    assert (found["linear.2"], found["linear.2.bias"]) == (0.5, 0.1)


def test_first_and_last_layer_stay_dense_on_request(conv4):
    assert list(keeps(conv4, first_dense=True, last_dense=True)) == [*CONVS[1:], *LINEARS[:-1]]
    assert dense_layers(conv4, Supermask(last_dense=True)) == [conv4.linear[4]]
    assert dense_layers(conv4, Supermask()) == []


def test_nothing_to_mask_is_said():
    with pytest.raises(UsageError, match="no linear or convolutional layer"):
        layout(nn.Sequential(nn.Linear(2, 2)), Supermask(first_dense=True))


@pytest.mark.parametrize(
    ("scope", "groups"),
    [("layer", [[name] for name in (*CONVS, *LINEARS)]), ("stage", [CONVS, LINEARS]), ("global", [[*CONVS, *LINEARS]])],
)
def test_scopes(conv4, scope, groups):
    config = Supermask(scope=scope)
    shares = budgets(layout(conv4, config), config)
    members = {}
    for name, share in shares.items():
        members.setdefault(id(share), []).append(name)
    assert list(members.values()) == groups


def test_an_override_leaves_the_others_budget(conv4):
    config = Supermask(scope="global", keep_for=("linear=0.2",))
    shares = budgets(layout(conv4, config), config)
    assert len({id(share) for share in shares.values()}) == 4
    assert [shares[name].keep for name in LINEARS] == [0.2] * 3


def test_floors_that_add_up_to_more_than_is_kept_are_refused():
    net = nn.Sequential(*(nn.Linear(3, 5) for _ in range(4)))
    with pytest.raises(UsageError, match="takes 4 weights of the 4 layers that compete, which keep 1 in"):
        budgets(layout(net, config := Supermask(scope="global", keep=0.01)), config)
    with pytest.raises(UsageError, match="lower --floor"):
        budgets(layout(net, config := Supermask(scope="global", keep_start=0.01, anneal=2)), config)
    budgets(layout(net, config := Supermask(scope="global", keep=0.01, floor=0)), config)
    budgets(layout(net, config := Supermask(scope="layer", keep=0.01)), config)


def test_given_masks_say_what_keeps_how_much():
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    mask = torch.ones(4, 4)
    mask[0] = 0
    given = {"0": mask, "0.bias": mask[:, 0], "2": torch.zeros(4, 4)}
    attach(net, lambda name, _: Fixed(given[name]) if name in given else None, biases=True)
    for variant in ("fixed", "random"):
        assert keeps(net, variant=variant, keep=0.3) == {"0": 0.75, "0.bias": 0.75, "2": 1.0}
    assert keeps(net, variant="random", last_dense=True) == {"0": 0.75, "0.bias": 0.75}
    assert keeps(net, keep=0.3) == {"0": 0.3, "1": 0.3, "2": 0.3}


def test_any_module_tree_has_places():
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Conv3d(1, 2, 3), nn.ModuleDict({"head": nn.Linear(3, 2)}), nn.ReLU())
    assert list(keeps(net)) == ["0", "1", "2.head"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep_for": ("fc1",)}, "no PATTERN=FRACTION"),
        ({"keep_for": ("fc1=x",)}, "no PATTERN=FRACTION"),
        ({"keep_for": ("=0.2",)}, "no PATTERN=FRACTION"),
        ({"keep_for": ("fc1=0",)}, "above 0, up to 1"),
        ({"keep_for": ("fc1=1.5",)}, "above 0, up to 1"),
        ({"keep_for": ("fc1=nan",)}, "above 0, up to 1"),
        ({"keep_for": ("fc1=0.1", "fc1=0.2")}, "given twice"),
        ({"eval_samples": 5}, "only for sample"),
        ({"redraw_rate": 0.3, "variant": "edge-popup"}, "only for iterand"),
        ({"score_init": "constant", "variant": "dnw"}, "means nothing for variant dnw"),
        ({"scope": "global", "variant": "sample"}, "a variant that ranks"),
        ({"scope": "global", "floor": 0.6}, "more than is kept"),
        ({"keep": 0.3, "variant": "sample"}, "keep means nothing for variant sample"),
        ({"scale_fan": True, "variant": "dense"}, "scale_fan means nothing for variant dense"),
        ({"score_scale": 0.0}, "get no gradient"),
        ({"anneal": 30}, "leaves none of 30"),
        ({"keep_start": 0.9}, "nothing without anneal"),
        ({"freeze_scores": 30}, "never comes in a run of 30"),
        ({"compat": "original", "scale_fan": True, "keep": 1.0}, "what is removed"),
    ],
)
def test_options_that_make_no_sense_together(options, words):
    with pytest.raises(ValueError, match=words):
        Supermask(**options)
