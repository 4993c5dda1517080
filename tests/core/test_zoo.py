"""``--arch torchvision:name=...``: any network for classification of torchvision, for images of any channels."""

import copy
import functools

import pytest
import torch
import torchvision

from widenet.builtin.models import models
from widenet.errors import UsageError

MODEL = next(model for model in models() if model.name == "torchvision")
FAMILIES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5"),
    *("mobilenet_v2", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t"),
    *("vgg11", "vit_b_32"),
)


def build(name, shape=(3, 224, 224), classes=7):
    return MODEL.function(shape, classes, MODEL.config(name=name))


def on_meta(*arguments):
    with torch.device("meta"):
        return build(*arguments)


@functools.cache
def colour(name):
    return on_meta(name)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_every_family(name):
    net = colour(name)
    assert net.training
    out = net(torch.empty(2, 3, 224, 224, device="meta"))
    assert isinstance(out, torch.Tensor)
    assert out.shape == (2, 7)


def test_those_that_cannot_be_made_without_memory():
    net = build("regnet_y_400mf", (3, 32, 32)).eval()
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", FAMILIES)
def test_other_channels_change_the_first_convolution_alone(name):
    nets = [on_meta(name, (1, 224, 224)), colour(name)]
    grey, rgb = ({key: tuple(value.shape) for key, value in net.state_dict().items()} for net in nets)
    assert grey.keys() == rgb.keys()
    (changed,) = [key for key in grey if grey[key] != rgb[key]]
    assert (grey[changed][1], rgb[changed][1]) == (1, 3)


def test_a_seed_draws_the_same_network():
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(build("squeezenet1_1", (1, 64, 64)).state_dict())
    assert all(torch.equal(drawn[0][key], drawn[1][key]) for key in drawn[0])
    assert float(drawn[0]["features.0.weight"].std()) > 0


def test_it_is_torchvisions_own():
    torch.manual_seed(3)
    ours = build("mobilenet_v3_small", (3, 64, 64)).eval()
    torch.manual_seed(3)
    theirs = torchvision.models.mobilenet_v3_small(num_classes=7).eval()
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_no_auxiliary_classifiers_and_the_same_normalisation_as_all_others(name):
    net = on_meta(name)
    assert not [key for key in net.state_dict() if key.lower().startswith("aux")]
    assert net.transform_input is True
    assert on_meta(name, (1, 224, 224)).transform_input is False


def test_a_plain_state_dict_goes_into_every_network_and_its_copies():
    net = build("mnasnet0_5", (3, 32, 32))
    plain = {key: torch.ones_like(value) for key, value in net.state_dict().items()}
    twin = copy.deepcopy(net)
    for each in (twin, net):
        each.load_state_dict(plain)
        assert float(each.state_dict()["layers.0.weight"].mean()) == 1
        with pytest.raises(RuntimeError, match="Missing key"):
            each.load_state_dict({})
    twin.load_state_dict({key: torch.zeros_like(value) for key, value in plain.items()})
    assert float(net.state_dict()["layers.0.weight"].mean()) == 1


def test_the_transformers_are_made_for_the_images_size():
    assert on_meta("vit_b_32", (3, 64, 64)).image_size == 64
    assert on_meta("maxvit_t", (3, 448, 448))(torch.empty(1, 3, 448, 448, device="meta")).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("densenet12", (3, 64, 64), "has no network 'densenet12' for classification; did you mean 'densenet121'?"),
        ("nothing-of-the-kind", (3, 64, 64), "it has alexnet, convnext_base"),
        ("fasterrcnn_resnet50_fpn", (3, 64, 64), "has no network 'fasterrcnn_resnet50_fpn'"),
        ("resnet18", (64,), "choose fc, which takes any shape"),
        ("alexnet", (3, 16, 16), "does not take images of 16x16"),
        ("vgg11", (3, 8, 8), "does not take images of 8x8"),
        ("vit_b_32", (3, 50, 50), "does not take images of 50x50"),
        ("vit_b_32", (3, 64, 32), "does not take images of 64x32"),
        ("maxvit_t", (3, 32, 32), "does not take images of 32x32"),
        ("inception_v3", (3, 32, 32), "does not take images of 32x32"),
    ],
)
def test_one_line_for_what_cannot_be_built(name, shape, said):
    with pytest.raises(UsageError) as caught:
        build(name, shape)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_trained_kept_and_opened_again(wn, tmp_path):
    words = ("--arch", "torchvision:name=mnasnet0_5", "--dataset", "tiny:size=32,train=16,test=8", "--epochs", "1")
    answer = wn("run", "train", *words, "--threads", "1", "--quiet", "--json")
    assert answer.code == 0, answer.err
    capture = wn("capture", tmp_path / answer.json["run"], "--layers", "classifier.1:input", "--threads", "1")
    assert capture.code == 0, capture.err
