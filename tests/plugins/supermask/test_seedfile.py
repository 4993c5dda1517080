"""``wn export RUN --what seed``: a file of about a bit a weight, and the very same network out of it."""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widenet import UsageError, WnError
from widenet.loading import load
from widenet.masks import cut, plain_state
from widenet.opening import network
from widenet.runs import Run
from widenet.store import read_arrays, write_arrays
from widenet_supermask.derive import fingerprint, related, relation, same
from widenet_supermask.packing import packed, unpacked
from widenet_supermask.seedfile import read_seed

TINY = ("--dataset", "tiny:train=32,test=16", "--threads", "1", "--quiet", "--json", "--epochs", "2")


@pytest.fixture(scope="module")
def registry():
    return load()


@pytest.fixture
def finished(wn, tmp_path):
    def carry_out(*words, arch="fc:hidden=12,8"):
        chosen = () if "--from" in words else ("--arch", arch)
        answer = wn("run", "supermask", *TINY, *chosen, *words)
        assert answer.code == 0, answer.err
        return tmp_path / answer.json["run"]

    return carry_out


@pytest.fixture
def exported(wn):
    def write(run):
        answer = wn("export", run, "--what", "seed", "--json")
        assert answer.code == 0, answer.err
        return run / "exports" / "seed.h5"

    return write


def check_same(path, folder, registry):
    """The network in the file is that of the run: every tensor that counts, and what it computes."""
    run = Run.open(folder, registry=registry)
    net, rebuilt = network(registry, run).eval(), read_seed(path, registry)[0].eval()
    masks = {name: torch.from_numpy(mask) for name, mask in run.masks().items()}
    wanted, got = cut(plain_state(net), masks), cut(plain_state(rebuilt), masks)
    assert wanted.keys() == got.keys()
    for name, value in wanted.items():
        assert same(value, got[name]), name
    x = torch.randn(4, *run.record["shape"])
    with torch.inference_mode():
        assert torch.equal(net(x), rebuilt(x))


REDRAWN = ["--variant", "iterand", "--redraw-every", "1", "--lr", "50", "--batch-size", "8"]
RUNS = {
    "edge-popup": ([], {"drawn"}),
    "normal": (["--init", "kaiming_normal", "--scale-fan", "--keep-for", "linear.2=0.2"], {"drawn"}),
    "uniform": (["--init", "kaiming_uniform", "--seed", "3"], {"drawn"}),
    "compat": (["--compat", "original", "--scale-fan", "--keep", "0.3"], {"drawn"}),
    "global": (["--scope", "global"], {"drawn"}),
    "signed": (["--variant", "signed", "--init", "kaiming_normal"], {"turned"}),
    "biprop": (["--variant", "biprop", "--init", "kaiming_normal"], {"scaled"}),
    "sample": (["--variant", "sample", "--lr", "20"], {"drawn"}),
    "dense last layer": (["--last-dense"], {"drawn"}),
    "iterand that redrew nothing yet": (["--variant", "iterand"], {"drawn"}),
    "iterand of constants": (REDRAWN, {"turned"}),
}


@pytest.mark.parametrize("what", RUNS)
def test_the_same_network_bit_for_bit(finished, exported, registry, what):
    words, rules = RUNS[what]
    run = finished(*words)
    path = exported(run)
    check_same(path, run, registry)
    about = read_seed(path, registry)[1]
    assert {layer["rule"] for layer in about["layers"]} == rules
    assert [layer["kept"] for layer in about["layers"]] == [int(mask.sum()) for mask in Run.open(run).masks().values()]


def test_masked_biases(finished, exported, registry):
    run = finished("--mask-bias", "--variant", "signed", arch="conv2:width=0.1,bias=true")
    assert "linear.0.bias" in Run.open(run).masks()
    check_same(exported(run), run, registry)


def test_a_bias_that_is_not_masked_is_drawn_too(finished, exported, registry):
    run = finished(arch="fc:hidden=12,bias=true")
    path = exported(run)
    check_same(path, run, registry)
    assert list(read_arrays(path)) == ["masks"]


@pytest.mark.parametrize("words", [(), ("--train-norm",)], ids=" ".join)
def test_batch_norm_goes_along(finished, exported, registry, words):
    run = finished(*words, arch="resnet20:width=0.25")
    path = exported(run)
    check_same(path, run, registry)
    extra = {name for name in read_arrays(path) if name.startswith("extra/")}
    assert {"extra/bn1.running_mean", "extra/bn1.num_batches_tracked"} <= extra
    assert ("extra/bn1.weight" in extra) == bool(words)


@pytest.mark.slow
def test_a_whole_residual_network(finished, exported, registry):
    run = finished("--batch-size", "8", "--epochs", "1", arch="cresnet18:affine=false,bias=false")
    path = exported(run)
    check_same(path, run, registry)
    assert path.stat().st_size < 1.5e6


def test_conv4_takes_less_than_310_000_bytes(finished, exported, registry):
    cifar = "tiny:size=32,channels=3,classes=10,train=8,test=8"
    run = finished("--dataset", cifar, "--epochs", "1", arch="conv4")
    path = exported(run)
    check_same(path, run, registry)
    bits = sum(mask.size for mask in Run.open(run).masks().values()) // 8
    assert bits == 303_128
    assert bits < path.stat().st_size < bits + 3_000


# -- runs whose weights no seed gives back ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*REDRAWN, "--init", "kaiming_normal"], "(drawn anew during training)"),
        (["--train-weights"], "(trained)"),
        (["--variant", "random"], "(trained)"),
        (["--variant", "dnw"], "(trained)"),
        (["--variant", "magnitude", "--init", "kaiming_normal"], "(trained)"),
        (["--variant", "dense"], "has no masks"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_weights_that_changed_are_refused(wn, finished, words, said):
    run = finished(*words)
    answer = wn("export", run, "--what", "seed")
    assert answer.code == 2
    assert said in answer.line
    assert "--what subnet" in answer.line or said == "has no masks"
    assert not (run / "exports" / "seed.h5").exists()


def test_weights_of_another_run_are_refused(wn, finished):
    parent = finished()
    run = finished("--from", parent, "--keep", "0.2")
    answer = wn("export", run, "--what", "seed")
    assert answer.code == 2
    assert "began with the weights of" in answer.line


def test_other_methods_are_refused(wn, train_run):
    answer = wn("export", train_run, "--what", "seed")
    assert answer.code == 2
    assert "core/train" in answer.line
    assert "--what subnet" in answer.line


def test_weights_drawn_by_another_torch_are_refused(wn, finished, tmp_path):
    run = Run.open(finished())
    weights = run.weights()
    weights["linear.2.weight"] = torch.randn(8, 12)
    run.save_weights("final", weights)
    answer = wn("export", run.path, "--what", "seed")
    assert answer.code == 2
    assert "linear.2" in answer.line
    assert f"torch {run.record['versions']['torch']}" in answer.line


# -- files --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(supermask_run, tmp_path, wn):
    """A good seed file, for the test to change."""
    assert wn("export", supermask_run, "--what", "seed", "--out", tmp_path / "seed.h5").code == 0
    return tmp_path / "seed.h5"


def rewrite(path, arrays=None, **about):
    with h5py.File(path) as old:
        told = json.loads(old.attrs["about"])
    write_arrays(path, {**read_arrays(path), **(arrays or {})}, {"about": np.bytes_(json.dumps({**told, **about}))})


def test_another_torch_is_told(file, registry):
    rewrite(file, seed=1, torch="1.4.0")
    with pytest.raises(WnError, match=r"draws other numbers here than torch 1\.4\.0") as caught:
        read_seed(file, registry)
    assert not isinstance(caught.value, UsageError)


def test_a_mask_that_was_changed_is_told(file, registry):
    masks = read_arrays(file)["masks"]
    masks[7] ^= 16
    rewrite(file, {"masks": masks})
    with pytest.raises(WnError, match="or it is damaged"):
        read_seed(file, registry)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.unlink(), "there is no file"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "truncated"),
        (lambda path: path.write_text("text"), "no readable HDF5"),
        (lambda path: write_arrays(path, {"masks": np.ones(3)}, {}), "is no seed file"),
        (lambda path: rewrite(path, version=2), "version 2"),
        (lambda path: rewrite(path, layers=[]), "another core/fc"),
        (lambda path: rewrite(path, {"extra/bn1.weight": np.ones(3)}), "another core/fc"),
        (lambda path: rewrite(path, arch={"name": "other/net", "options": {}}), "other/net"),
    ],
)
def test_a_file_that_is_none_is_one_line(file, registry, change, said):
    change(file)
    with pytest.raises(UsageError, match=said) as caught:
        read_seed(file, registry)
    assert "\n" not in str(caught.value)


def test_reading_needs_the_file_alone(file, supermask_run, registry, tmp_path):
    shutil.copytree(supermask_run, tmp_path / "elsewhere")
    check_same(file, tmp_path / "elsewhere", registry)


# -- parts --------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.booleans(), max_size=20), max_size=5))
def test_bits_come_back(masks):
    tensors = [torch.tensor(mask, dtype=torch.bool) for mask in masks]
    bits = packed(tensors)
    assert bits.dtype == np.uint8
    assert len(bits) == -(-sum(map(len, masks)) // 8)
    assert [mask.tolist() for mask in unpacked(bits, [len(mask) for mask in masks])] == masks


@given(st.lists(st.sampled_from([-2.0, -1.5, -0.0, 0.0, 1.5, 2.0]), max_size=6), st.sampled_from(["drawn", "turned", "scaled"]))
def test_a_relation_gives_the_weights_back(values, rule):
    drawn = torch.tensor(values)
    aid = {"drawn": drawn, "turned": torch.arange(len(drawn)) % 2 == 0, "scaled": torch.tensor([0.75])}[rule]
    kept = related(rule, drawn, aid)
    found = relation(kept, drawn)
    assert found is not None
    assert same(related(found[0], drawn, found[1]), kept)


def test_no_relation_between_others():
    assert relation(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])) is None


def test_a_fingerprint_knows_names_shapes_types_and_bits():
    state = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    others = [
        {"a": torch.zeros(3, 2), "b": torch.ones(1)},
        {"a": torch.zeros(2, 3), "c": torch.ones(1)},
        {"a": torch.zeros(2, 3).int(), "b": torch.ones(1)},
        {"a": -torch.zeros(2, 3), "b": torch.ones(1)},
    ]
    prints = [fingerprint(each) for each in (state, *others)]
    assert len(set(prints)) == 5
    assert fingerprint(dict(reversed(state.items()))) == prints[0]
