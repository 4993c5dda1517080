"""Options that make no sense, alone or together: one line that says what is wrong, exit code 2, and no folder."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet.options import build, options, resolve
from widenet_weight_symmetry.config import FixedParam, Prune, RandomMask, ShuffledMask, one_minus

QUICK = ("--dataset", "tiny", "--threads", "1", "--quiet")
SHUFFLED, RANDOM, PRUNE = "method shuffled-mask: ", "method random-mask: ", "method prune: "
ALONE = "compat original prunes each layer by itself, by fractions of all its weights"
FLOOR = "a floor of 0.1 keeps more than a sparsity of 0.9 does; lower one of them"
BACKWARDS = "; epochs must rise, and sparsities must not fall"
FIXED = "fixed-param wants a network that spends a number of parameters: --arch mnist-fc:params=100000,depth=3"
LAYERS = "; there are: 0 fc1, 1 fc2"
TYPES = "symmetric, random, per-neuron, per-neuron-no-input-ablation, bernoulli, n-m"
REFUSED = {
    "shuffled-mask --sparsity 1": SHUFFLED + "'sparsity' must be < 1: 1.0",
    "shuffled-mask --sparsity -0.1": SHUFFLED + "'sparsity' must be >= 0: -0.1",
    "shuffled-mask --sparsity nan": "--sparsity: 'nan' is not finite",
    "shuffled-mask --keep 0": SHUFFLED + "'sparsity' must be < 1: 1.0",
    "shuffled-mask --keep 1.5": SHUFFLED + "'sparsity' must be >= 0: -0.5",
    "shuffled-mask --keep 0.5 --sparsity 0.5": "--sparsity sets sparsity a second time; give one of them",
    "shuffled-mask --mask-type per_neuron": f"--mask-type: 'per_neuron' is none of {TYPES}; did you mean 'per-neuron'?",
    "shuffled-mask --fan-in 3": SHUFFLED + "fan_in means nothing for mask_type random, only for per-neuron types",
    "shuffled-mask --mask-type per-neuron --fan-in 0": SHUFFLED + "'fan_in' must be >= 1: 0",
    "shuffled-mask --mask-type per-neuron --fan-in 3 --sparsity 0.5": (
        SHUFFLED + "fan_in says how many inputs are kept, and so does sparsity; give one or the other"
    ),
    "shuffled-mask --group 8": SHUFFLED + "group means nothing for mask_type random, only for n-m",
    "shuffled-mask --mask-type n-m --group 0": SHUFFLED + "'group' must be >= 1: 0",
    "shuffled-mask --init dense": "--init: 'dense' is none of kaiming-sparse, xavier-sparse, unit-scaled, layer-scaled, none",
    "shuffled-mask --mask-seed -1": SHUFFLED + "'mask_seed' must be >= 0: -1",
    "shuffled-mask --masked-layers fc9": "masked_layers: no layer 'fc9' before the last" + LAYERS,
    "shuffled-mask --masked-layers 0,2": "masked_layers: no layer '2' before the last" + LAYERS,
    "shuffled-mask --masked-layers head": "masked_layers: no layer 'head' before the last" + LAYERS,
    "shuffled-mask --arch fc:hidden=": "this network has no layer to mask before its last; choose another --arch",
    "shuffled-mask --schedule step --milestones 5,9 --factors 0.1": (
        SHUFFLED + "1 factors for 2 milestones; give one each, or none"
    ),
    "random-mask --min-sparsity 0.6 --max-sparsity 0.5": RANDOM + "min_sparsity 0.6 is above max_sparsity 0.5",
    "random-mask --min-sparsity -0.1": RANDOM + "'min_sparsity' must be >= 0: -0.1",
    "random-mask --max-sparsity 1": RANDOM + "'max_sparsity' must be < 1: 1.0",
    "random-mask --mask-type per-neuron --fan-in 3": RANDOM + "fan_in leaves no sparsity to draw; use shuffled-mask",
    "fixed-param": FIXED,
    "fixed-param --arch conv2": FIXED,
    "fixed-param --arch mnist-fc:params=306,depth=3": (
        "mnist-fc: 306 parameters are too few for 3 hidden layers over 256 inputs; give at least 307"
    ),
    "fixed-param --arch mnist-fc:params=5000": "model mnist-fc: params and depth go together; give both or neither",
    "fixed-param --arch mnist-fc:params=5000,depth=2 --sparsity 1": "method fixed-param: 'sparsity' must be < 1: 1.0",
    "prune --sparsity 1": PRUNE + "'sparsity' must be < 1: 1.0",
    "prune --sparsity -0.1": PRUNE + "'sparsity' must be >= 0: -0.1",
    "prune --rates 2=0.5,3=0.4": PRUNE + "rates go backwards for '*': 3=0.4 comes after 2=0.5" + BACKWARDS,
    "prune --rates 3=0.5,2=0.6": PRUNE + "rates go backwards for '*': 2=0.6 comes after 3=0.5" + BACKWARDS,
    "prune --rates 2=0.1,fc1@3=0.5,fc1@3=0.6": PRUNE + "rates go backwards for 'fc1': 3=0.6 comes after 3=0.5" + BACKWARDS,
    "prune --rates 2=1": PRUNE + "rates: '2=1' needs epochs from 0 and a sparsity from 0, below 1",
    "prune --rates 2=-0.1": PRUNE + "rates: '2=-0.1' needs epochs from 0 and a sparsity from 0, below 1",
    "prune --rates 2": PRUNE + "rates: '2' is no EPOCHS=SPARSITY, such as 2=0.3 or fc1@5=0.6",
    "prune --rates 3=0.5 --epochs 3": PRUNE + "rates prune after 3 epochs, which never comes in a run of 3",
    "prune --rates 2=0.5 --prune-after 3": PRUNE + "rates say when to prune; leave prune_after out",
    "prune --rates 2=0.5 --sparsity 0.5": PRUNE + "rates say how much to prune; leave sparsity out",
    "prune --prune-after 3 --epochs 3": PRUNE + "prune_after 3 never comes in a run of 3 epochs",
    "prune --prune-after -1": PRUNE + "'prune_after' must be >= 0: -1",
    "prune --floor 0.1": PRUNE + "floor needs scope global, where layers compete",
    "prune --scope global --floor 0.2": FLOOR.replace("0.1", "0.2"),
    "prune --scope global --floor 1.2": PRUNE + "'floor' must be <= 1: 1.2",
    "prune --scope global --floor 0.5 --of survivors --rates 0=0.3,1=0.3": (
        "a floor of 0.5 keeps more than a sparsity of 0.3 does; lower one of them"
    ),
    "prune --scope global --floor 0.1": FLOOR,
    "prune --compat original --scope global": PRUNE + ALONE,
    "prune --compat original --of survivors": PRUNE + ALONE,
    "prune --rates fc9@2=0.5": "rates: no layer 'fc9' to prune" + LAYERS,
    "prune --rates 2@2=0.5": "rates: no layer '2' to prune" + LAYERS,
    "prune --masked-layers head": "masked_layers: no layer 'head' before the last" + LAYERS,
    "prune --scope all": "--scope: 'all' is none of layer, global",
}


@pytest.mark.parametrize(("words", "line"), REFUSED.items())
def test_refused(wn, tmp_path, words, line):
    arch = () if "--arch" in words else ("--arch", "mnist-fc")
    answer = wn("run", *words.split(), *arch, *QUICK)
    assert (answer.code, answer.out) == (2, "")
    assert answer.line == line
    assert not list(tmp_path.glob("runs/*/seed-*"))


@pytest.mark.parametrize(("method", "unknown"), [("random-mask", "sparsity"), ("fixed-param", "mask-type"), ("prune", "init")])
def test_options_of_the_other_methods_are_unknown(wn, method, unknown):
    answer = wn("run", method, f"--{unknown}", "0.5")
    assert answer.code == 2
    assert f"No such option '--{unknown}'" in answer.line


def made(config, **values):
    return build(config, resolve(config, values, "test"), "test")


@given(st.floats(0, 0.999))
def test_sparsity_and_keep_are_one_option(sparsity):
    for config in (ShuffledMask, FixedParam, Prune):
        assert made(config, keep=1 - sparsity).sparsity == pytest.approx(sparsity, abs=1e-12)
        assert made(config, sparsity=sparsity).sparsity == sparsity


def test_what_is_kept_is_free_of_rounding():
    assert [one_minus(value) for value in (0.1, 0.3, 0.05, 0.02)] == [0.9, 0.7, 0.95, 0.98]


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (ShuffledMask, {"mask_type": "per-neuron", "fan_in": 3}),
        (ShuffledMask, {"mask_type": "per-neuron-no-input-ablation", "fan_in": 3}),
        (ShuffledMask, {"mask_type": "n-m", "group": 8, "sparsity": 0.5}),
        (ShuffledMask, {"sparsity": 0}),
        (RandomMask, {"min_sparsity": 0.3, "max_sparsity": 0.3}),
        (Prune, {"epochs": 1}),
        (Prune, {"epochs": 1, "prune_after": 0, "sparsity": 0}),
        (Prune, {"epochs": 4, "rates": "0=0,3=0.999"}),
        (Prune, {"scope": "global", "floor": 0.1}),
        (Prune, {"scope": "global", "floor": 0.5, "rates": "1=0.2,2=0.2,3=0.2", "of": "survivors"}),
        (Prune, {"compat": "original", "rates": "1=0.2,fc1@2=0.3", "rewind": True}),
    ],
)
def test_taken(config, values):
    assert isinstance(made(config, **values), config)


@pytest.mark.parametrize("config", [ShuffledMask, RandomMask, FixedParam, Prune])
def test_the_originals_training_by_default(config):
    chosen = made(config)
    assert (chosen.optimizer, chosen.lr, chosen.weight_decay, chosen.batch_size) == ("adamw", 0.01, 1e-5, 128)
    assert all(option.help.endswith(".") for option in options(config))


def test_options_import_no_torch():
    code = "import sys, widenet_weight_symmetry.config; print(*({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(("sparsity", "group"), [(0.9, 4), (0.6, 4), (0.5, 3)])
def test_n_m_masks_have_few_sparsities(sparsity, group):
    with pytest.raises(ValueError, match=f"keeps a whole number of every {group} inputs: give a sparsity of 1/{group}"):
        ShuffledMask(mask_type="n-m", sparsity=sparsity, group=group)
    assert ShuffledMask(mask_type="n-m", sparsity=0.75, group=4).sparsity == 0.75
