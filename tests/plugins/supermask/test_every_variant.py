"""Every variant from end to end: alone, interrupted, in bfloat16, compiled, on a foreign network."""

import pytest
import torch

from widenet.runs import Run
from widenet_supermask.config import RANKED, Variant

ALONE = [variant for variant in Variant.__args__ if variant != "fixed"]
WORDS = {"magnitude": ["--init", "kaiming_normal"], "iterand": ["--redraw-every", "3"], "sample": ["--lr", "20"]}
QUICK = ("--dataset", "tiny", "--threads", "1", "--quiet", "--json")
FOREIGN = '''
import attrs
from widenet import Model, hookimpl, opt

@attrs.frozen(kw_only=True)
class Options:
    pass

def mixed(shape, classes, config):
    """A foreign tree: 1-D, 2-D and 3-D convolutions, a linear layer, a module of its own."""
    import torch
    from torch import nn

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat = nn.Conv2d(shape[0], 4, 3, padding=1)
            self.deep = nn.Conv3d(1, 2, 3, padding=1)
            self.line = nn.Conv1d(8, 3, 3)
            self.norm = nn.BatchNorm1d(3)
            self.head = nn.LazyLinear(classes)
        def forward(self, x):
            x = torch.relu(self.flat(x))
            x = torch.relu(self.deep(x[:, None])).flatten(1, 2).flatten(2)
            return self.head(torch.relu(self.norm(self.line(x))).flatten(1))

    net = Mixed()
    net(torch.zeros(2, *shape))
    return net

@hookimpl
def models():
    yield Model("mixed", mixed, Options)
'''
INTERRUPT = """
from pathlib import Path
from widenet import hookimpl

@hookimpl
def logged(run, values):
    if values.get("epoch") == 3 and not Path("interrupted").exists():
        Path("interrupted").touch()
        raise KeyboardInterrupt
"""


@pytest.fixture
def finished(wn, tmp_path):
    def carry_out(variant, *words, arch="fc:hidden=12,8", epochs="2"):
        own = ["--variant", variant, *WORDS.get(variant, [])]
        answer = wn("run", "supermask", *QUICK, "--arch", arch, "--epochs", epochs, *own, *words)
        assert answer.code == 0, answer.err
        return Run.open(tmp_path / answer.json["run"])

    return carry_out


@pytest.mark.parametrize("variant", ALONE)
def test_alone(finished, variant):
    run = finished(variant)
    assert run.has_masks() == (variant != "dense")
    for name, mask in run.masks().items() if run.has_masks() else ():
        assert mask.any()
        if variant != "sample":
            assert mask.sum() == mask.size - int(0.5 * mask.size), name
    line = run.metrics()[-1]
    assert ("mask/flips" in line) == (variant in RANKED)
    assert "test/top5" not in line, "the data set has four classes"


@pytest.mark.parametrize("variant", ALONE)
def test_interrupted_and_continued_it_ends_the_same(wn, finished, tmp_path, variant):
    whole = finished(variant, "--save-every", "1", epochs="4")
    plugin = tmp_path / "interrupt.py"
    plugin.write_text(INTERRUPT)
    words = [*QUICK, "--arch", "fc:hidden=12,8", "--epochs", "4", "--save-every", "1", "--variant", variant]
    words += WORDS.get(variant, [])
    (tmp_path / "other").mkdir()
    first = wn("--plugin", plugin, "run", "supermask", *words, cwd=tmp_path / "other")
    assert first.code == 130, first.err
    second = wn("--plugin", plugin, "run", "supermask", *words, cwd=tmp_path / "other")
    assert second.code == 0, second.err
    broken = Run.open(tmp_path / "other" / second.json["run"])
    plain = [[{k: v for k, v in line.items() if k != "seconds"} for line in run.metrics()] for run in (whole, broken)]
    assert plain[0] == plain[1]
    assert all(torch.equal(value, broken.weights()[name]) for name, value in whole.weights().items())
    assert whole.record["result"] == broken.record["result"]


@pytest.mark.parametrize("variant", ALONE)
def test_in_bfloat16_scores_and_weights_stay_float32(finished, variant):
    run = finished(variant, "--amp", arch="conv2:width=0.1")
    assert all(value.dtype == torch.float32 for value in run.weights().values())
    if (run.path / "arrays" / "scores.h5").exists():
        assert all(scores.dtype == "float32" for scores in run.arrays("scores").values())


@pytest.mark.parametrize("variant", ALONE)
def test_on_a_foreign_network_with_biases(wn, tmp_path, variant):
    plugin = tmp_path / "foreign.py"
    plugin.write_text(FOREIGN)
    words = ["--arch", "mixed", "--epochs", "1", "--mask-bias", "--variant", variant, *WORDS.get(variant, [])]
    answer = wn("--plugin", plugin, "run", "supermask", *QUICK, *words)
    assert answer.code == 0, answer.err
    run = Run.open(tmp_path / answer.json["run"])
    if variant != "dense":
        assert list(run.masks()) == [f"{layer}{part}" for layer in ("flat", "deep", "line", "head") for part in ("", ".bias")]
    seen = wn("--plugin", plugin, "analyze", "mask-stats", run.name, "--json")
    assert seen.code == (2 if variant == "dense" else 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler's own
@pytest.mark.parametrize("variant", ALONE)
def test_compiled_it_trains_as_well(finished, variant):
    words = ("--compile",) if variant not in ("sample",) else ("--compile", "--eval-samples", "2")
    compiled, eager = (finished(variant, *given) for given in (words, words[1:]))
    assert compiled.record["environment"]["compile"]
    if variant != "sample":  # the compiler has random streams of its own
        assert compiled.metrics()[0]["train/loss"] == pytest.approx(eager.metrics()[0]["train/loss"], rel=0.02)
    for name, mask in compiled.masks().items() if variant not in ("sample", "dense") else ():
        assert (mask == eager.masks()[name]).mean() > 0.95
