"""The configuration files of the paper's code: what they become, what is said of it, and what is refused."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from widenet.components import Settings
from widenet.errors import UsageError
from widenet.options import build, effective, options, resolve
from widenet_supermask.config import Supermask
from widenet_supermask.original import read_original
from widenet_supermask.original_keys import ARCHS, IGNORED, VARIANTS, Original
from widenet_supermask.presets import PRESETS

COSINE = {"optimizer": "sgd", "lr_policy": "cosine_lr", "epochs": 100, "momentum": 0.9, "batch_size": 128, "set": "CIFAR10"}
SUBNET = {"conv_type": "SubnetConv", "bn_type": "NonAffineBatchNorm", "freeze_weights": True, "prune_rate": -1}
SMALL = {**COSINE, **SUBNET, "lr": 0.1, "weight_decay": 1e-4}
TRAINED = {**COSINE, "lr": 0.01, "weight_decay": 1e-4, "bn_type": "NonAffineBatchNorm"}
DENSE = {**TRAINED, "conv_type": "DenseConv", "prune_rate": 0.0}
ADAM = {"optimizer": "adam", "epochs": 100, "batch_size": 60, "set": "CIFAR10", "lr": 3e-4, "bn_type": "NonAffineBatchNorm"}
SAMPLED = {**COSINE, **SUBNET, "conv_type": "SampleSubnetConv", "weight_decay": 0}
LARGE = {**COSINE, "set": "ImageNet", "warmup_length": 5, "momentum": 0.875, "batch_size": 256, "lr": 0.256}
IMAGENET = {**LARGE, "weight_decay": 0.000030517578125, "label_smoothing": 0.1, "mode": "fan_in", "nonlinearity": "relu"}
LEARNED = {"bn_type": "LearnedBatchNorm"}
KN, SC = {"init": "kaiming_normal"}, {"init": "signed_constant"}
FILES = {
    "conv2_kn": {**SMALL, **KN, "arch": "Conv2", "scale_fan": True},
    "conv4_sc": {**SMALL, **SC, "arch": "Conv4", "scale_fan": True},
    "conv4_usc": {**SMALL, **SC, "arch": "Conv4"},
    "conv4_uku": {**SMALL, "arch": "Conv4", "init": "kaiming_uniform"},
    "conv4_uxn": {**SMALL, "arch": "Conv4", "init": "xavier_normal"},
    "conv4_ukn_dnw": {**SMALL, **KN, "arch": "Conv4", "conv_type": "DNWConv", "freeze_weights": False},
    "conv8_ukn": {**SMALL, "arch": "Conv8"},
    "conv4wide_kn": {**SMALL, **KN, "arch": "Conv4Wide", "width_mult": 1, "scale_fan": True},
    "fc_usc": {**SMALL, **SC, "arch": "FC", "set": "MNIST"},
    "cresnet18_ukn": {**SMALL, **KN, "arch": "cResNet18", "batch_size": 256, "weight_decay": 5e-4},
    "conv6_uxs_sample": {**SAMPLED, "arch": "Conv6", "lr": 200, "init": "xavier_constant"},
    "conv8_ukn_sample": {**SAMPLED, "arch": "Conv8", "lr": 800},
    "conv6wide_ukn_sample": {**SAMPLED, "arch": "Conv6Wide", "lr": 200},
    "cresnet18_usc_sample": {**SAMPLED, **SC, "arch": "cResNet18", "lr": 400},
    "conv4_usc_samplev2": {**SAMPLED, **SC, "arch": "Conv4", "lr": 50, "batch_size": 60},
    "resnet50_ukn_sample": {**SAMPLED, "arch": "ResNet50", "set": "ImageNet", "lr": 400, "batch_size": 256},
    "conv2_rg": {**TRAINED, "arch": "Conv2", "conv_type": "RGConv"},
    "conv6wide_hlrrg": {**TRAINED, "arch": "Conv6Wide", "conv_type": "RGConv", "lr": 0.1},
    "conv4_arg": {**ADAM, "arch": "Conv4", "conv_type": "RGConv"},
    "cresnet18_rg": {**TRAINED, **LEARNED, "arch": "cResNet18", "conv_type": "RGConv", "lr": 0.1},
    "conv4_sgd_baseline": {**TRAINED, "arch": "Conv4", "conv_type": "DenseConv"},
    "conv2_adam_baseline": {**ADAM, "arch": "Conv2", "conv_type": "DenseConv", "lr": 2e-4},
    "fc_adam_baseline": {**ADAM, "arch": "FC", "set": "MNIST", "conv_type": "DenseConv", "lr": 0.0012},
    "fc_sgd_baseline": {**TRAINED, "arch": "FC", "set": "MNIST", "conv_type": "DenseConv", "lr": 0.1},
    "conv6wide_adam_baseline": {**ADAM, "arch": "Conv6Wide", "conv_type": "DenseConv"},
    "conv4wide_hlrsgd_baseline": {**TRAINED, "arch": "Conv4Wide", "conv_type": "DenseConv", "lr": 0.1},
    "cresnet18_dense": {**DENSE, **LEARNED, "arch": "cResNet18", "lr": 0.1, "batch_size": 256, "weight_decay": 5e-4},
    "resnet50_usc": {**IMAGENET, **SUBNET, **SC, "arch": "ResNet50"},
    "resnet50_sc": {**IMAGENET, **SUBNET, **SC, "arch": "ResNet50", "scale_fan": True, "lr": 0.1},
    "resnet18_ukn": {**IMAGENET, **SUBNET},
    "wideresnet101_usc": {**IMAGENET, **SUBNET, **SC, "arch": "WideResNet101_2"},
    "wideresnet50_dense": {**IMAGENET, **LEARNED, "arch": "WideResNet50_2", "conv_type": "DenseConv"},
    # These two say nothing of how fast the rate falls, and one nothing of weight decay.
    "conv4_uku_sample": {key: SAMPLED[key] for key in SAMPLED if key not in ("lr_policy", "weight_decay")}
    | {**SC, "arch": "Conv4", "lr": 50.0, "baseline": "cs"},
    "conv6_uku_sample": {**SAMPLED, **SC, "arch": "Conv6", "lr": 100.0, "lr_policy": "constant_lr"},
}
CONV4 = {**SMALL, "arch": "Conv4", "prune_rate": 0.3}


def read(**keys):
    return read_original(yaml.safe_dump(keys))


def split(values):
    """All options and settings that result from some, as ``wn run supermask`` puts them together."""
    shared = {option.name for option in options(Settings)}
    own = resolve(Supermask, {key: value for key, value in values.items() if key not in shared}, "test")
    common = resolve(Settings, {key: value for key, value in values.items() if key in shared}, "test")
    return effective(build(Supermask, own, "test")), effective(build(Settings, common, "test"))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_original_is_the_preset_of_its_name(name):
    found, _ = read(**FILES[name])
    assert split(found) == split(PRESETS[name])


def test_what_a_file_leaves_out_is_as_in_the_original():
    found, remarks = read_original("conv_type: SubnetConv\nbn_type: NonAffineBatchNorm\nseed:\n")
    own, common = split(found)
    expected = {"epochs": 90, "batch_size": 256, "lr": 0.1, "schedule": "constant", "weight_decay": 1e-4, "momentum": 0.9}
    assert expected.items() <= own.items()
    assert (own["init"], own["train_weights"], own["keep"]) == ("kaiming_normal", True, 0.5)
    assert (common["arch"], common["dataset"], common["seed"]) == ("resnet18:affine=false,bias=false", "imagenet", 0)
    assert [remark.split(":")[0] for remark in remarks] == ["freeze_weights", "prune_rate"]


SHORT = {"multistep_lr_adjust": 30, "lr_policy": "multistep_lr"}


@pytest.mark.parametrize(
    ("keys", "expected", "said"),
    [
        ({}, {"keep": 0.3, "variant": "edge-popup"}, ["prune_rate: 0.3 is what SubnetConv keeps"]),
        ({"prune_rate": 1}, {"keep": 1.0}, ["keep is 1"]),
        (
            {"conv_type": "FixedSubnetConv", "freeze_weights": False, "pretrained": "a/b.pth"},
            {"keep": 0.7, "variant": "fixed"},
            [
                "pretrained: 'a/b.pth' is not read; name the run to start from with --from",
                "0.3 is what FixedSubnetConv removes",
            ],
        ),
        (
            {"conv_type": "FixedSubnetConv", "freeze_weights": False, "scale_fan": True},
            {"keep": 0.7, "variant": "random", "scale_fan": True},
            ["without pretrained is a random mask", "removes, so keep is 0.7"],
        ),
        ({"conv_type": "RGConv", "freeze_weights": False}, {"variant": "random", "keep": 0.7}, ["RGConv was never", "removes"]),
        ({"freeze_weights": False}, {"train_weights": True}, ["weights are trained beside the scores", "keeps"]),
        ({"scale_fan": True}, {"scale_fan": True}, ["keeps", "--compat original"]),
        (
            {"scale_fan": True, "init": "standard"},
            {"scale_fan": False},
            ["keeps", "scale_fan: off, it means nothing for standard"],
        ),
        (
            {"conv_type": "SampleSubnetConv", "scale_fan": True, "score_init_constant": -1},
            {"variant": "sample", "score_init": "constant", "score_scale": -1.0, "keep": 0.5},
            ["prune_rate: ignored", "scale_fan: off"],
        ),
        ({"optimizer": "adam"}, {"weight_decay": 0.0}, ["weight_decay: 0 here", "keeps"]),
        ({"first_layer_dense": True}, {"first_dense": True}, ["keeps", "--compat original"]),
        ({"first_layer_type": "DenseConv"}, {"first_dense": True, "last_dense": False}, ["keeps", "--compat original"]),
        ({"first_layer_type": "SubnetConv"}, {"first_dense": False}, ["keeps"]),
        ({"last_layer_dense": True}, {"last_dense": False, "arch": "conv4"}, ["keeps", "the original ignores it for Conv4"]),
        (
            {"last_layer_dense": True, "arch": "cResNet50", "bn_type": "LearnedBatchNorm"},
            {"last_dense": True, "arch": "cresnet50:affine=true,bias=true", "train_norm": False},
            ["keeps", "--compat original"],
        ),
        (
            {"last_layer_dense": True, "first_layer_dense": True, "arch": "ResNet18", "conv_type": "DenseConv"}
            | {"freeze_weights": False, "prune_rate": 0, "scale_fan": True},
            {"last_dense": False, "first_dense": False, "arch": "resnet18:affine=false,bias=true", "scale_fan": False},
            ["scale_fan: off, it means nothing for DenseConv"],
        ),
        ({"arch": "Conv6Wide", "width_mult": 0.125}, {"arch": "conv6:width=0.125"}, ["keeps"]),
        (SHORT, {"schedule": "step", "milestones": [30, 60, 90], "gamma": 0.1}, ["multistep_lr as it was meant", "keeps"]),
        (
            {**SHORT, "epochs": 60, "multistep_lr_gamma": 0.5, "warmup_length": 5},
            {"milestones": [30], "gamma": 0.5, "warmup": 0},
            ["without warm-up", "keeps"],
        ),
        ({**SHORT, "epochs": 30}, {"schedule": "constant", "milestones": []}, ["multistep_lr as it was meant", "keeps"]),
        ({"no_bn_decay": True, "nesterov": True}, {"norm_decay": False, "nesterov": True}, ["no_bn_decay: spares", "keeps"]),
        ({"mode": "fan_out", "save_every": 5, "workers": 2}, {"fan": "fan_out", "save_every": 5, "workers": 2}, ["keeps"]),
        ({"seed": 7, "lr": "1e-3", "save_every": -1}, {"seed": 7, "lr": 0.001, "save_every": 0}, ["keeps"]),
        (
            {"name": "x", "multigpu": "0,1", "resume": "", "evaluate": False},
            {},
            ["name: ignored", "multigpu: ignored", "keeps"],
        ),
    ],
)
def test_keys_are_translated_and_changes_said(keys, expected, said):
    found, remarks = read(**{**CONV4, **keys})
    own, common = split(found)
    assert expected.items() <= {**common, **own}.items()
    assert len(remarks) == len(said)
    assert all(any(word in remark for remark in remarks) for word in said), remarks


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"lr_polcy": "cosine_lr"}, "the original has no option 'lr_polcy'; did you mean 'lr_policy'?"),
        ({"batch-size": 3}, "no option 'batch-size'; did you mean 'batch_size'?"),
        ({"arch": "conv4"}, "arch: the original has no 'conv4'; did you mean 'Conv4'?"),
        ({"set": "CIFAR100"}, "set: the original has no 'CIFAR100'"),
        ({"set": "TinyImageNet"}, "set TinyImageNet is not built in; .* folder .*wn list datasets"),
        ({"set": "BigCIFAR10"}, "set BigCIFAR10 is not built in"),
        ({"conv_type": "SubnetCnv"}, "did you mean 'SubnetConv'?"),
        ({"conv_type": None}, "conv_type is missing; choose one of DenseConv"),
        ({"arch": "cResNet18", "bn_type": None}, "bn_type is missing; choose LearnedBatchNorm or"),
        ({"bn_type": "BatchNorm"}, "bn_type: 'BatchNorm' is none of"),
        ({"init": "glorot"}, "init: 'glorot' is none of kaiming_normal"),
        ({"lr": "fast"}, "lr: 'fast' is no number"),
        ({"epochs": 1.5}, "epochs: 1.5 is no whole number"),
        ({"optimizer": "adamw"}, "optimizer: 'adamw' is none of sgd, adam"),
        ({"trainer": "ss"}, "trainer ss is broken in the original"),
        ({"trainer": "lottery"}, "trainer lottery is broken in the original"),
        ({"trainer": "cs"}, "trainer: 'cs' is none of"),
        ({"evaluate": True}, "evaluate asks for no training"),
        ({"prune_rate": 0}, "prune_rate 0.0 keeps no weight with SubnetConv"),
        ({"conv_type": "FixedSubnetConv", "freeze_weights": False, "prune_rate": 1}, "keeps no weight with FixedSubnetConv"),
        ({"prune_rate": -0.5}, "prune_rate -0.5 is not between 0 and 1"),
        ({"prune_rate": 1.5}, "prune_rate 1.5 is not between 0 and 1"),
        ({"prune_rate": 1, "scale_fan": True}, "scale_fan with prune_rate 1 divides by zero"),
        ({"score_init_constant": 0}, "score_init_constant is for SampleSubnetConv, not SubnetConv"),
        ({"optimizer": "adam", "nesterov": True}, "nesterov is for optimizer sgd"),
        ({"first_layer_dense": True, "first_layer_type": "DenseConv"}, "first_layer_dense and first_layer_type"),
        ({"first_layer_type": "SampleSubnetConv"}, "first_layer_type SampleSubnetConv cannot stand before SubnetConv"),
        ({"first_layer_type": "Dense"}, "first_layer_type: the original has no 'Dense'; did you mean 'DenseConv'?"),
        ({"width_mult": 2}, "width_mult is for Conv4Wide and Conv6Wide, not Conv4"),
        ({"conv_type": "DenseConv"}, "freeze_weights leaves DenseConv nothing to train"),
        ({"conv_type": "RGConv"}, "freeze_weights leaves RGConv nothing to train"),
        ({**SHORT, "multistep_lr_adjust": 0}, "multistep_lr_adjust must be 1 epoch or more"),
    ],
)
def test_what_makes_no_run_is_refused(keys, why):
    with pytest.raises(UsageError, match=why) as caught:
        read(**{**CONV4, **keys})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no lines of the form key: value"),
        ("- lr\n- 0.1\n", "no lines of the form"),
        ("lr: 0.1\nlr: 0.2\n", "'lr' is given twice"),
        ("lr: 0.1\nepochs: [1, 2]\n", "line 2 is no plain key: value"),
        ("? [a]\n: b\n", "line 1 is no plain"),
        ("lr: 0.1\narch: [", "no valid YAML: line 2: "),
        ("lr: 0.1\n---\nlr: 0.2\n", "no valid YAML"),
        ("lr: \x00", "no valid YAML"),
        ("[" * 10_000, "no valid YAML"),
        ("lr: !!python/object:os.system x", "'lr' has no valid value: line 1"),
        ("epochs: !!int many", "'epochs' has no valid value"),
        ("nesterov: !!bool maybe", "'nesterov' has no valid value"),
        ("name: 2020-99-99", "'name' has no valid value"),
        ("<<: {lr: 1}", "line 1 is no plain"),
    ],
)
def test_what_is_no_list_of_options_is_refused(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        read_original(text)
    assert "\n" not in str(caught.value)


VALUES = {
    "arch": st.sampled_from(sorted(ARCHS)),
    "set": st.sampled_from(["CIFAR10", "MNIST", "ImageNet", "TinyImageNet"]),
    **dict.fromkeys(("conv_type", "first_layer_type"), st.sampled_from(sorted(VARIANTS))),
    **dict.fromkeys(("epochs", "multistep_lr_adjust"), st.integers(0, 100)),
    **dict.fromkeys(("batch_size", "warmup_length", "save_every", "seed", "workers"), st.integers(-1, 300)),
    **dict.fromkeys(("prune_rate", "score_init_constant"), st.sampled_from([-1, 0, 0.3, 0.5, 1])),
    "width_mult": st.sampled_from([0.5, 1, 2]),
    "nonlinearity": st.just("relu"),
    "pretrained": st.text(),
    "trainer": st.sampled_from(["default", "ss"]),
}
KINDS = {bool: st.booleans(), float: st.floats(0, 1), int: st.integers(), str: st.text()}
VALID = {
    option.name: st.sampled_from(option.choices) if option.choices else KINDS[option.type] for option in options(Original)
} | VALUES
REQUIRED = {key: VALID.pop(key) for key in ("conv_type", "bn_type")}
SOME = st.fixed_dictionaries(REQUIRED, optional=VALID)


@given(keys=SOME)
@example(keys={**CONV4})
@settings(max_examples=150, deadline=None)
def test_any_keys_make_options_or_are_refused(keys):
    try:
        found, remarks = read(**keys)
        assert all("\n" not in remark for remark in remarks)
        split(found)
    except UsageError as error:
        assert "\n" not in str(error)


@given(keys=st.dictionaries(st.sampled_from(sorted([*VALID, *IGNORED])), st.none() | st.text() | st.floats() | st.integers()))
@settings(max_examples=100, deadline=None)
def test_any_values_make_options_or_are_refused(keys):
    try:
        read(**keys)
    except UsageError as error:
        assert "\n" not in str(error)


@given(text=st.text(alphabet=st.sampled_from("abc:lr -[]{}&*!?#'\"\n\t01.,|>%@")))
@settings(max_examples=200, deadline=None)
def test_any_text_makes_options_or_is_refused(text):
    try:
        read_original(text)
    except UsageError as error:
        assert "\n" not in str(error)
