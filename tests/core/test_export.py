"""``wn export``: a run's result in one file, which is whole or absent and never overwritten unasked."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from widenet.runs import Run

FORMS = '''"""Forms to export."""
import attrs
from widenet import Export, WnError, hookimpl, opt


@attrs.frozen(kw_only=True)
class Words:
    word: str = opt("weights", "What to write.")
    times: int = opt(1, "How often.")


def text(run, net, path, config):
    """Write words."""
    print("writing")
    assert not net.training
    path.write_text((config.word + chr(10)) * config.times)


def named(run, net, path, config):
    """Write by a library that goes by the suffix."""
    import numpy as np

    np.savez(path, **{name: value.detach().numpy() for name, value in net.named_parameters()})


def idle(run, net, path, config):
    """Write nothing."""


def half(run, net, path, config):
    """Write a half, and fail."""
    path.write_text("half")
    raise ValueError("no more")


def refusing(run, net, path, config):
    """Say why not."""
    raise WnError("this run is too small; take a larger one")


@hookimpl
def exports():
    yield Export("text", text, Words, suffix=".txt")
    yield Export("named", named, suffix=".npz")
    yield Export("idle", idle)
    yield Export("half", half, suffix="")
    yield Export("refusing", refusing)
'''


@pytest.fixture
def run(supermask_run, tmp_path):
    """A finished run with masks, as the command names it."""
    path = tmp_path / "runs" / supermask_run.parent.name / supermask_run.name
    shutil.copytree(supermask_run, path)
    (tmp_path / "forms.py").write_text(FORMS)
    return f"{path.parent.name}/{path.name}"


@pytest.fixture
def export(wn, run):
    return lambda what, *words: wn("--plugin", "forms.py", "export", run, "--what", what, *words)


def left(tmp_path):
    """Files of exports, finished or not."""
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("exports/*"))


# -- the subnetwork --------------------------------------------------------------------------------------------------------


def test_the_subnetwork_is_a_dense_state_dict_with_zeros(wn, run, tmp_path):
    answer = wn("export", run, "--what", "subnet")
    assert (answer.code, answer.err) == (0, "")
    path = tmp_path / "runs" / run / "exports" / "subnet.pt"
    assert answer.out == f"{path.relative_to(tmp_path)}  {path.stat().st_size:,} bytes\n"
    state = torch.load(path, weights_only=True)
    read = Run.open(tmp_path / "runs" / run)
    weights, masks = read.weights(), read.masks()
    assert list(state) == list(weights)
    for name, value in weights.items():
        mask = masks.get(name.removesuffix(".weight"))
        assert torch.equal(state[name], value if mask is None else value * torch.from_numpy(mask))
        assert state[name].dtype == value.dtype
    assert any((value == 0).any() for value in state.values())


def test_the_plain_architecture_computes_the_same(wn, run, tmp_path):
    from widenet.loading import load
    from widenet.opening import network, recorded
    from widenet.plugins import KINDS

    assert wn("export", run, "--what", "subnet").code == 0
    read, registry = Run.open(tmp_path / "runs" / run), load()
    masked = network(registry, read).eval()
    model, config = recorded(registry, KINDS["models"], read.record["arch"])
    net = model.function(tuple(read.record["shape"]), read.record["classes"], config).eval()
    net.load_state_dict(torch.load(read.path / "exports" / "subnet.pt", weights_only=True))
    x = torch.randn(3, *read.record["shape"])
    assert torch.equal(net(x), masked(x))


def test_masks_of_biases_cut_biases(wn, run, tmp_path):
    """Not finite where it is cut: zero all the same."""
    read = Run.open(tmp_path / "runs" / run)
    read.record["arch"]["options"]["bias"] = True
    read.save()
    state, masks = read.weights(), read.masks()
    for name in list(masks):
        state[f"{name}.bias"] = torch.ones(len(masks[name]))
    first = next(iter(masks))
    state[f"{first}.bias"][0] = float("nan")
    cut = torch.ones(len(masks[first]), dtype=torch.bool)
    cut[0] = False
    read.save_weights("final", state)
    read.save_masks("final", {**masks, f"{first}.bias": cut})
    answer = wn("export", run, "--what", "subnet")
    assert answer.code == 0, answer.err
    written = torch.load(read.path / "exports" / "subnet.pt", weights_only=True)
    assert torch.equal(written[f"{first}.bias"], cut.float())
    assert all(torch.isfinite(value).all() for value in written.values())


def test_a_run_without_masks_has_nothing_to_cut(wn, train_run, tmp_path):
    answer = wn("export", train_run, "--what", "subnet", "--out", "x.pt")
    assert (answer.code, answer.out) == (2, "")
    assert "has no masks, there is nothing to cut; " in answer.line
    assert answer.line.endswith("weights/final.pt is its state dict")
    assert not list(tmp_path.glob("*x.pt"))


# -- the command -----------------------------------------------------------------------------------------------------------


def test_options_of_a_form_follow_its_name(export, run, tmp_path):
    answer = export("text:word=mask,times=3", "--json")
    path = Path("runs") / run / "exports" / "text.txt"
    assert answer.json == {"run": f"runs/{run}", "what": "forms/text", "path": str(path), "bytes": 15}
    assert answer.err == "writing\n"
    assert (tmp_path / path).read_text() == "mask\n" * 3
    assert export("forms/text", "--out", "new/folder/x").code == 0
    assert (tmp_path / "new" / "folder" / "x").read_text() == "weights\n"


def test_a_library_that_goes_by_the_suffix_is_served(export, run, tmp_path):
    import numpy as np

    assert export("named").code == 0
    assert left(tmp_path) == [f"runs/{run}/exports/named.npz"]
    assert np.load(tmp_path / left(tmp_path)[0]).files


def test_nothing_is_replaced_unasked(export, run, tmp_path):
    assert export("text").code == 0
    answer = export("text:word=other")
    assert (answer.code, answer.out) == (2, "")
    assert answer.line == f"runs/{run}/exports/text.txt exists already; choose another --out, or --force would replace it"
    assert (tmp_path / left(tmp_path)[0]).read_text() == "weights\n"
    assert export("text:word=other", "--force").code == 0
    assert (tmp_path / left(tmp_path)[0]).read_text() == "other\n"
    for words in ([], ["--force"]):
        folder = export("text", "--out", "runs", *words)
        assert folder.code == 2
        assert folder.line == "runs exists already; choose another --out, or name a file in it"


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("idle", 1, "forms/idle wrote nothing to "),
        ("half", 1, "forms/half failed (ValueError: no more): a bug, please tell the authors of plugin forms"),
        ("refusing", 1, "this run is too small; take a larger one"),
    ],
)
def test_a_form_that_fails_leaves_no_file_and_no_other(export, tmp_path, what, code, said):
    (tmp_path / "x").write_text("before")
    for words in ([], ["--out", "x", "--force"]):
        answer = export(what, *words)
        assert (answer.code, answer.out) == (code, "")
        assert answer.line.startswith(said)
    assert not left(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forms.py", "runs", "x"]
    assert (tmp_path / "x").read_text() == "before"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--what", "subnett"], "unknown export 'subnett'; did you mean 'subnet'?"),
        (["--what", "zzz"], "unknown export 'zzz'; `wn list exports` shows all"),
        (["--what", "text:wrod=x"], "export text: unknown option 'wrod'; did you mean 'word'?"),
        (["--what", "text:times=few"], "export text: times: 'few' is no whole number"),
        (["--what", "text:times"], "text:times: 'times' is no key=value"),
        (["--what", "text", "--threads", "0"], "export: 'threads' must be >= 1: 0"),
        (["--what", "text", "--device", "abacus"], "--device abacus cannot be used here"),
        (["--what", "text", "--runs-dir", "elsewhere"], "there is no run '"),
        ([], "Missing option '--what'"),
    ],
)
def test_wrong_requests(wn, run, tmp_path, words, said):
    answer = wn("--plugin", "forms.py", "export", run, *words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.line.startswith(said)
    assert not left(tmp_path)


def test_runs_that_are_not_there_or_not_finished(wn, export, run, tmp_path):
    missing = wn("export", run[:-1] + "7", "--what", "subnet")
    assert missing.code == 2
    assert f"did you mean '{run}'?" in missing.line
    record = tmp_path / "runs" / run / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": "stopped"}))
    answer = export("text")
    assert answer.code == 2
    assert f"{run} is not finished" in answer.line


def test_a_folder_that_cannot_be_written(export, tmp_path):
    (tmp_path / "file").touch()
    answer = export("text", "--out", "file/x")
    assert (answer.code, answer.out) == (1, "")
    assert answer.line in (
        f"cannot write file/x ({reason}); choose another --out" for reason in ("File exists", "Not a directory")
    )
