"""The methods on networks that are not the study's own, and from several seeds, stacked."""

import pytest
import torch
from alike import timeless

from widenet.opening import network
from widenet.runs import Run

DATA = ("--dataset", "tiny:train=64,test=16", "--threads", "1", "--batch-size", "32", "--quiet", "--json")
METHODS = {
    "shuffled-mask": ("--mask-type", "per-neuron-no-input-ablation", "--sparsity", "0.6"),
    "random-mask": ("--max-sparsity", "0.8"),
    "prune": ("--sparsity", "0.8", "--prune-after", "1"),
}
OTHERS = '''
"""A network of a shape of its own."""
from widenet import Model, hookimpl


def odd(shape, classes, config):
    """A shortcut around a grouped convolution, and one filter a channel."""
    import torch
    from torch import nn

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(shape[0], 8, 3, padding=1)
            self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False)
            self.norm = nn.BatchNorm2d(8)
            self.each = nn.Conv2d(8, 8, 3, padding=1, groups=8)
            self.wide = nn.Linear(8 * 4, 12)
            self.head = nn.Linear(12, classes)

        def forward(self, x):
            x = torch.relu(self.stem(x))
            x = torch.relu(x + self.norm(self.grouped(x)))
            x = nn.functional.adaptive_avg_pool2d(torch.relu(self.each(x)), 2)
            return self.head(torch.relu(self.wide(x.flatten(1))))

    return Odd()


@hookimpl
def models():
    yield Model("odd", odd)
'''
ARCHES = {
    "conv4:width=0.1": ("convs.0", "linear.2"),
    "resnet20:width=0.25": ("conv1", "layer3.2.conv2"),
    "odd": ("stem", "wide"),
}


@pytest.fixture
def finished(wn, tmp_path):
    """``finished(method, arch, *words)``: the run of a command that knows the odd network."""
    (tmp_path / "others.py").write_text(OTHERS)

    def carry_out(method, arch, *words):
        answer = wn("run", method, "--arch", arch, *DATA, "--plugin", "others.py", *words)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("method", METHODS)
def test_any_network_is_masked_but_for_its_last_layer(finished, method, arch):
    run = finished(method, arch, "--epochs", "2", "--save-every", "1", *METHODS[method])
    masks, weights = run.masks(), run.weights()
    first, last = ARCHES[arch]
    assert (next(iter(masks)), list(masks)[-1]) == (first, last)
    assert all(mask.shape == tuple(weights[f"{name}.weight"].shape) for name, mask in masks.items())
    total = run.metrics()[-1 if method == "prune" else 0]
    name = "mask/sparsity" if method == "prune" else "propagated_mask/sparsity"
    assert total[name] == pytest.approx(1 - run.record["result"]["kept"])
    assert total[name] >= 0.5
    if method != "prune":
        for layer, mask in masks.items():
            assert not weights[f"{layer}.weight"][torch.from_numpy(~mask)].any()


def test_the_network_is_opened_as_it_was_trained(finished):
    from widenet.loading import load

    run = finished("prune", "conv4:width=0.1", "--epochs", "2", "--sparsity", "0.7")
    net = network(load(only="core"), run).eval()
    assert net(torch.zeros(2, *run.record["shape"])).shape == (2, 4)


# -- several seeds at once ---------------------------------------------------------------------------------------------

PLAIN = "fc:hidden=12,8"
"""Without batch norm, which makes much of rounding errors in biases before it, as Adam then does."""
STACKED = {
    "shuffled-mask": (PLAIN, "--mask-type", "bernoulli"),
    "shuffled-mask by momentum": ("mnist-fc:hidden=12,8", "--optimizer", "sgd", "--mask-type", "per-neuron"),
    "random-mask": (PLAIN, "--mask-type", "random"),
    "fixed-param": ("mnist-fc:params=4000,depth=2", "--optimizer", "sgd"),
    "prune": (PLAIN, "--rates", "0=0.3,2=0.8"),
    "prune and rewind": (PLAIN, "--rates", "1=0.3,2=0.8", "--rewind", "--scope", "global"),
}


@pytest.mark.parametrize("name", STACKED)
def test_stacked_runs_are_those_of_single_commands(wn, tmp_path, name):
    arch, *more = STACKED[name]
    words = ("run", name.split()[0], "--arch", arch, *DATA, *more, "--epochs", "3", "--save-every", "1")
    for way in ("apart", "stacked"):
        (tmp_path / way).mkdir()
    for seed in (0, 1, 2):
        assert wn(*words, "--seed", seed, cwd=tmp_path / "apart").code == 0
    answer = wn(*words, "--repeats", "3", "--stack", cwd=tmp_path / "stacked")
    assert answer.code == 0, answer.err
    for row in answer.json["runs"]:
        alone, stacked = (Run.open(tmp_path / way / row["run"]) for way in ("apart", "stacked"))
        assert stacked.record["environment"]["stacked"] == 3
        first, mine = alone.weights("init"), stacked.weights("init")
        assert all(torch.equal(first[key], value) for key, value in mine.items())
        for tag in ("init", "epoch-0001", "epoch-0002", "final"):
            masks = stacked.masks(tag)
            assert all((mask == masks[layer]).all() for layer, mask in alone.masks(tag).items())
        torch.testing.assert_close(stacked.weights(), alone.weights(), rtol=1e-4, atol=1e-5)
        assert stacked.record["result"] == pytest.approx(alone.record["result"], rel=1e-4)
        for ours, theirs in zip(timeless(stacked), timeless(alone), strict=True):
            texts, numbers = ({key for key in theirs if isinstance(theirs[key], kind)} for kind in (str, (int, float)))
            assert texts | numbers == ours.keys()
            assert {key: ours[key] for key in texts} == {key: theirs[key] for key in texts}
            assert {key: ours[key] for key in numbers} == pytest.approx(
                {key: theirs[key] for key in numbers}, rel=1e-3, abs=1e-4
            )
