"""Options from TOML files, and every layer that sets them."""

import json
from pathlib import Path

import attrs
import pytest
from every import Every

from widenet.cli.common import layered
from widenet.components import Method, Settings, opt
from widenet.errors import UsageError
from widenet.options import read_toml, resolve

# -- TOML ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = ", "is no valid TOML"),
        (b"[table]\na = 1", "[table] is a table; write plain lines such as epochs = 5"),
        (b"a.b = 1", "[a] is a table"),
        (b"\xff\xfe", "is no valid TOML"),
        (b"a = 1\na = 2", "is no valid TOML"),
        (b"a = " + b"9" * 5000, "is no valid TOML"),
    ],
)
def test_bad_toml(tmp_path, content, said):
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_toml(tmp_path / "x.toml")
    assert said in str(caught.value)
    assert "x.toml" in str(caught.value)


def test_toml_that_is_not_there(tmp_path):
    for path, said in ((tmp_path / "x.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=f"cannot read .*: {said}"):
            read_toml(path)


def test_toml_values(tmp_path):
    (tmp_path / "x.toml").write_text(
        'flag = true\ncount = 7\nrate = 1\nword = "wörd"\nfile = "f"\ncolour = "green"\nsizes = [1, 2]\nlimit = "none"\n',
        encoding="utf-8",
    )
    found = resolve(Every, read_toml(tmp_path / "x.toml"), "x.toml")
    texts = {"word": "wörd", "file": Path("f"), "colour": "green"}
    assert found == {"flag": True, "count": 7, "rate": 1.0, **texts, "sizes": (1, 2), "limit": None}


# -- layers ----------------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Layers:
    one: int = opt(0, "One.")
    two: int = opt(0, "Two.")
    three: int = opt(0, "Three.", also={"minus_three": lambda x: -x})
    four: int = opt(0, "Four.")


METHOD = Method("layers", print, Layers, presets={"p": {"two": 1, "three": 1, "four": 1, "arch": "fc"}}, plugin="test")


def test_layers_from_weak_to_strong(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text('minus-three = -2\nfour = 2\ndataset = "tiny"\ndata-dir = "elsewhere"\n')
    given = {"four": "3", "dataset": "mnist", "seed": None, "one": None}
    config, settings, sources = layered(METHOD, given, "p", str(file))
    assert config == Layers(one=0, two=1, three=2, four=3)
    assert (settings.arch, settings.dataset, settings.data_dir, settings.seed) == ("fc", "mnist", Path("elsewhere"), 0)
    assert sources == {
        "two": "preset p",
        "three": str(file),
        "four": "command line",
        "arch": "preset p",
        "dataset": "command line",
        "data_dir": str(file),
    }
    assert layered(METHOD, {}) == (Layers(), Settings(), {})


def test_layers_that_are_refused(tmp_path):
    file = tmp_path / "x.toml"
    for preset, said in (("q", "test/layers has no preset 'q' (it has: p)"), ("", "has no preset ''")):
        with pytest.raises(UsageError) as caught:
            layered(METHOD, {}, preset)
        assert said in str(caught.value)
    for content, said in (
        ("fuor = 1", "unknown option 'fuor'; did you mean 'four'?"),
        ("one = 'x'", "one: 'x' is no whole number"),
    ):
        file.write_text(content)
        with pytest.raises(UsageError) as caught:
            layered(METHOD, {}, None, str(file))
        assert str(caught.value) == f"{file}: {said}"
    file.write_text("seed = 1")
    with pytest.raises(UsageError, match="unknown option 'seed'"):
        layered(METHOD, {}, None, str(file), shared=["device"])
    with pytest.raises(UsageError, match="'seed' must be >= 0: -1"):
        layered(METHOD, {"seed": "-1"})


def test_sources_are_kept_in_the_record(wn, tmp_path):
    (tmp_path / "c.toml").write_text('batch-size = 32\nepochs = 7\nlr = 0.1\nmomentum = 0\narch = "fc:hidden=5"\n')
    words = [
        "run",
        "supermask",
        "--preset",
        "paper",
        "--config",
        "c.toml",
        "--epochs",
        "1",
        "--dataset",
        "tiny",
        "--no-nesterov",
    ]
    record = wn(*words, "--sparsity", "0.25", "--quiet", "--json").json
    options = {name: (entry["value"], entry["source"]) for name, entry in record["options"].items()}
    assert options["weight_decay"] == (1e-4, "preset paper")
    assert options["batch_size"] == (32, "c.toml")
    assert options["momentum"] == (0.0, "c.toml")
    assert options["epochs"] == (1, "command line")
    assert options["keep"] == (0.75, "command line")
    assert options["nesterov"] == (False, "command line")
    assert options["warmup"] == (0, "default")
    assert record["arch"] == {"name": "core/fc", "options": {"hidden": [5], "bias": False}}
    assert json.loads((tmp_path / record["run"] / "run.json").read_text())["options"] == record["options"]


def test_values_refused_on_the_command_line(wn):
    for words, said in (
        (["--epochs", "ten"], "--epochs: 'ten' is no whole number"),
        (["--epochs", "0"], "method supermask: 'epochs' must be >= 1: 0"),
        (["--optimizer", "sdg"], "--optimizer: 'sdg' is none of sgd, adam, adamw, adagrad, rmsprop, ftrl; did you mean 'sgd'?"),
        (["--milestones", "1,x"], "--milestones: 'x' is no whole number"),
        (["--keep", "0.5", "--sparsity", "0.5"], "--sparsity sets keep a second time; give one of them"),
        (["--threads", "0"], "method supermask: 'threads' must be >= 1: 0"),
        (["--weight-decay", "-1"], "'weight_decay' must be >= 0: -1.0"),
        (["--arch", "fc:hidden=x"], "model fc: hidden: 'x' is no whole number"),
        (["--arch", "fc:hiden=3"], "model fc: unknown option 'hiden'; did you mean 'hidden'?"),
        (["--dataset", "npz"], "dataset npz: path is required: NumPy .npz file"),
    ):
        answer = wn("run", "supermask", *words)
        assert answer.code == 2
        assert said in answer.line
