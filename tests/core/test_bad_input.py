"""Every bad input gives one line that says what is wrong and what to do, its exit code, and nothing is lost."""

import io
import pickle
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mishaps import (
    TINY,
    Bad,
    Evil,
    a_file,
    a_folder,
    bad,
    evil,
    filled,
    masks,
    npz,
    pickled,
    removed,
    saved,
    saved_long_ago,
    second_seed,
    short_npz,
    tensors,
    toml,
    truncate,
    truncated,
)
from processes import fork

COMMANDS = {
    "S": f"run supermask --arch fc:hidden=8 {TINY}",
    "T": f"run train --arch fc:hidden=8 {TINY}",
    "P": f"run train --arch fc:hidden=6 {TINY}",
}
"""What made the runs: a supermask, a trained network, and one stopped after its first epoch."""

# -- the table ---------------------------------------------------------------------------------------------------------

TRAIN = f"run train --arch fc:hidden=4 {TINY}"
MASK = f"run supermask --arch fc:hidden=4 {TINY}"
NAMES = [
    bad("rum train", 2, "unknown command 'rum'", "did you mean 'run'?"),
    bad("run trian", 2, "unknown method 'trian'", "did you mean 'train'?"),
    bad("run train --arch conv44", 2, "unknown model 'conv44'", "did you mean 'conv4'?"),
    bad("run train --arch ''", 2, "unknown model ''", "wn list models"),
    bad("run train --dataset digit", 2, "unknown dataset 'digit'", "did you mean 'digits'?"),
    bad("analyze mask-stat {S}", 2, "unknown analysis 'mask-stat'", "did you mean 'mask-stats'?"),
    bad("run train --analyze mask-stat", 2, "unknown analysis 'mask-stat'", "did you mean 'mask-stats'?"),
    bad("run train --arch conv4:widht=2", 2, "model conv4", "unknown option 'widht'", "did you mean 'width'?"),
    bad("run train --dataset tiny:clases=3", 2, "dataset tiny", "unknown option 'clases'", "did you mean 'classes'?"),
    bad("run train --epcohs 3", 2, "--epcohs", "--epochs"),
    bad("run train --keep 0.5", 2, "--keep"),
    bad("run supermask --preset papre", 2, "no preset 'papre'", "paper"),
    bad("run train --preset paper", 2, "no preset 'paper'", "`wn show train` lists its"),
    bad("run train --optimizer sdg", 2, "'sdg'", "did you mean 'sgd'?"),
    bad("run supermask --init signed", 2, "--init", "'signed'", "signed_constant"),
    bad("list modles", 2, "modles", "models"),
    bad("show supermsk", 2, "'supermsk'", "did you mean 'supermask'?"),
    bad("show nothing-like-it-anywhere", 2, "nothing-like-it-anywhere", "wn runs"),
    bad("analyze mask-stats supermask-fc-tiny-00000000", 2, "no run", "did you mean 'supermask-fc-tiny"),
    bad("check-plugin supermsk", 2, "'supermsk'", "did you mean 'supermask'?"),
    bad("run train --from nothing", 2, "no run 'nothing'", "wn runs"),
    bad("run train --plugin nothing.py", 2, "--plugin nothing.py", "no such file"),
]
GRAMMAR = [
    bad("run train --arch conv4:0.5", 2, "'0.5' is no key=value", "conv4:key=value"),
    bad("run train --arch conv4:width=1,width=2", 2, "width is given twice"),
    bad("run train --arch fc:hidden=8:bias=true", 2, "hidden", "'8:bias=true' is no whole number"),
    bad("run train --dataset tiny:size", 2, "'size' is no key=value"),
    bad("run train --epochs", 2, "--epochs", "argument"),
    bad("run train extra words", 2, "extra", "words"),
    bad("run train --nesterov=yes", 2, "--nesterov", "value"),
    bad("analyze mask-stats", 2, "RUN"),
    bad("show", 2, "NAME_OR_RUN"),
]
VALUES = [
    bad(f"{MASK} --keep 0", 2, "'keep' must be > 0"),
    bad(f"{MASK} --keep 1.5", 2, "'keep' must be <= 1"),
    bad(f"{MASK} --keep nan", 2, "keep", "nan"),
    bad(f"{MASK} --keep half", 2, "--keep", "'half' is no number"),
    bad(f"{MASK} --keep=", 2, "--keep", "'' is no number"),
    bad(f"{MASK} --sparsity 1", 2, "keep", "> 0"),
    bad(f"{MASK} --sparsity nan", 2, "nan"),
    bad(f"{MASK} --keep 0.5 --sparsity 0.5", 2, "--sparsity", "keep a second time"),
    bad(f"{TRAIN} --epochs 0", 2, "'epochs' must be >= 1"),
    bad(f"{TRAIN} --epochs 1.5", 2, "--epochs", "'1.5' is no whole number"),
    bad(f"{TRAIN} --lr -1", 2, "'lr' must be > 0"),
    bad(f"{TRAIN} --lr nan", 2, "lr", "nan"),
    bad(f"{TRAIN} --lr inf", 2, "--lr", "'inf' is", "finite"),
    bad(f"{TRAIN} --weight-decay nan", 2, "--weight-decay", "'nan' is", "finite"),
    bad(f"{TRAIN} --weight-decay=-inf", 2, "--weight-decay", "'-inf' is", "finite"),
    bad("run train --arch conv4:width=inf", 2, "width", "'inf' is", "finite"),
    bad(f"{TRAIN} --gamma 0", 2, "'gamma' must be > 0"),
    bad(f"{TRAIN} --momentum 1", 2, "'momentum' must be < 1"),
    bad(f"{TRAIN} --label-smoothing 1", 2, "'label_smoothing' must be < 1"),
    bad(f"{TRAIN} --batch-size 0", 2, "'batch_size' must be >= 1"),
    bad(f"{TRAIN} --seed -1", 2, "'seed' must be >= 0"),
    bad(f"{TRAIN} --seed x", 2, "--seed", "'x' is no whole number"),
    bad(f"{TRAIN} --threads 0", 2, "'threads' must be >= 1"),
    bad(f"{TRAIN} --workers -1", 2, "'workers' must be >= 0"),
    bad(f"{TRAIN} --milestones 1,a", 2, "--milestones", "'a' is no whole number"),
    bad("run train --arch conv4:width=0", 2, "model conv4", "'width' must be > 0"),
    bad("run train --arch fc:hidden=abc", 2, "model fc", "hidden", "'abc' is no whole number"),
    bad("run train --arch fc:hidden=0", 2, "'hidden' must be >= 1"),
    bad("run train --dataset tiny:classes=1", 2, "dataset tiny", "'classes' must be >= 2"),
    bad("run train --dataset digits:size=4", 2, "dataset digits", "'size' must be >= 8"),
]
DEVICES = [
    bad(f"{TRAIN} --device gpu", 2, "--device gpu", "--device cpu always works"),
    bad(f"{TRAIN} --device cuda:99", 2, "--device cuda:99", "--device cpu always works"),
    bad(f"{TRAIN} --device meta", 2, "--device meta", "--device cpu always works"),
    bad(f"{TRAIN} --device hpu", 2, "--device hpu", "--device cpu always works"),
    pytest.param(
        Bad(f"{TRAIN} --device cuda", 2, ("--device cuda", "--device cpu always works")),
        marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        id="no GPU",
    ),
]
SHAPES = [
    bad("run train --arch conv8 --dataset tiny:size=8", 2, "at least 16x16", "8x8", "conv6"),
    bad("run train --arch conv4 --dataset tiny:size=2", 2, "size", "4"),
    bad(
        "run train --arch conv2 --dataset npz:path=data.npz",
        2,
        "conv2 needs images",
        "choose fc",
        before=npz(x_train=np.zeros((4, 5), np.float32), x_test=np.zeros((4, 5), np.float32)),
    ),
    bad("run train --from {T} --dataset tiny:size=8", 2, "[1, 16, 16]", "[1, 8, 8]", "choose another --dataset"),
    bad("run train --from {T} --dataset tiny:classes=3", 2, "4 classes", "in 3", "choose another --dataset"),
    bad("run train --from {T} --arch conv4", 2, "--from", "leave --arch out"),
    bad("run train --from {P}", 2, "is not finished", "run it to its end first: wn run train"),
]
FILES = [
    bad("run train --config options.toml", 2, "options.toml is no valid TOML", "line 1", before=toml("epochs = = 3")),
    bad("run train --config options.toml", 2, "options.toml is no valid TOML", before=toml(b"\xff\xfe")),
    bad("run train --config options.toml", 2, "cannot read options.toml", "No such file"),
    bad("run train --config folder", 2, "cannot read folder", "Is a directory", before=a_folder),
    bad("run train --config options.toml", 2, "'epoch'", "did you mean 'epochs'?", before=toml("epoch = 3")),
    bad("run train --config options.toml", 2, "epochs", "'three' is no whole number", before=toml('epochs = "three"')),
    bad("run train --config options.toml", 2, "epochs", "True", before=toml("epochs = true")),
    bad("run train --config options.toml", 2, "epochs", before=toml("epochs = [1, 2]")),
    bad("run train --config options.toml", 2, "arch", before=toml("arch = 4")),
    bad("run train --config options.toml", 2, "[train] is a table", "epochs = 5", before=toml("[train]\nepochs = 3")),
    bad("run train --config options.toml", 2, "'lr' must be > 0", before=toml("lr = -1")),
    bad("run train --dataset npz", 2, "dataset npz", "path is required"),
    bad("run train --dataset npz:path=nothing.npz", 2, "no file nothing.npz"),
    bad("run train --dataset npz:path=data.npz", 2, "data.npz", "numpy.savez", before=short_npz),
    bad("run train --dataset npz:path=data.npz", 2, "lacks y_test", before=npz(y_test=None)),
    bad(
        "run train --dataset npz:path=data.npz",
        2,
        "Python objects",
        "could run code",
        before=npz(y_test=np.array([Evil()] * 4, dtype=object)),
    ),
    bad("run train --dataset folder:path=nothing", 2, "no folder nothing", "train/CLASS/IMAGE"),
    bad("run train --dataset folder:path=folder", 2, "folder needs a folder train", before=a_folder),
    bad("run train --dataset imagenet", 1, "no ImageNet in data", "--data-dir"),
    bad(f"{TRAIN} --runs-dir file", 1, "cannot write file/", "choose another folder with --runs-dir", before=a_file),
]
DAMAGE = [
    bad("show {T:parent}", 2, "holds 2 runs", "seed-0, seed-1", before=second_seed),
    bad("show {T}", 1, "run.json is unreadable", "--fresh", before=truncated("T", "run.json")),
    bad("{make T}", 1, "run.json is unreadable", "--fresh", before=truncated("T", "run.json")),
    bad("run train --from {T}", 1, "run.json is unreadable", "--fresh", before=truncated("T", "run.json")),
    bad("analyze mask-stats {S}", 1, "no record of a run", "--fresh", before=filled("S", "run.json", b'{"status": 3}')),
    bad("{make T}", 1, "no record of a run", "--fresh", before=filled("T", "run.json", b"[]")),
    bad("analyze mask-stats {T}", 2, "has no masks", "wn run supermask", adds=True),
    bad("analyze mask-stats {P}", 2, "is not finished", "run it to its end first: wn run train"),
    bad("{make P}", 1, "checkpoint.pt", "truncated", "--fresh", before=truncated("P", "checkpoint.pt"), adds=True),
    bad("{make P}", 1, "checkpoint.pt", "truncated", "--fresh", before=filled("P", "checkpoint.pt", b"rubbish"), adds=True),
    bad("{make P}", 1, "wants to run code", "refused", before=evil("P", "checkpoint.pt", pickled), adds=True),
    bad("{make P}", 1, "wants to run code", "refused", before=evil("P", "checkpoint.pt", saved), adds=True),
    bad("{make P}", 1, "wants to run code", "refused", before=evil("P", "checkpoint.pt", saved_long_ago), adds=True),
    bad("{make P}", 1, "no checkpoint of this version", before=tensors("P", "checkpoint.pt", {"schema": 99}), adds=True),
    bad("{make P}", 1, "no checkpoint of this version", before=tensors("P", "checkpoint.pt", [1]), adds=True),
    bad("{make P}", 1, "metrics.jsonl is damaged", "--fresh", before=filled("P", "metrics.jsonl", b"{]\n"), adds=True),
    bad("show {P}", 1, "metrics.jsonl is damaged", "--fresh", before=filled("P", "metrics.jsonl", b"\xff\n")),
    bad("analyze mask-stats {S}", 1, "final.pt", "truncated", before=truncated("S", "weights/final.pt")),
    bad("analyze mask-stats {S}", 1, "wants to run code", "refused", before=evil("S", "weights/final.pt", pickled)),
    bad("run train --from {S}", 1, "wants to run code", "refused", before=evil("S", "weights/final.pt", saved)),
    bad("run train --from {S}", 1, "do not fit core/fc", before=tensors("S", "weights/final.pt", {"a": torch.ones(1)})),
    bad("run train --from {S}", 1, "do not fit core/fc", before=tensors("S", "weights/final.pt", [1])),
    bad("analyze mask-stats {S}", 2, "no final weights", "run it to its end", before=removed("S", "weights/final.pt")),
    bad("analyze mask-stats {S}", 1, "final.h5", "truncated", before=truncated("S", "masks/final.h5")),
    bad("{make S} --quiet", 1, "final.h5", "truncated", before=truncated("S", "masks/final.h5")),
    bad("analyze mask-stats {S}", 2, "masks of", "no layer 'linear.9'", before=masks(linear_9=(2, 2))),
    bad("run train --from {S}", 2, "masks of", "linear.0", "(2, 2)", before=masks(linear_0=(2, 2))),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with the runs of ``COMMANDS``; only to be copied."""
    cwd = tmp_path_factory.mktemp("template")
    for name, command in COMMANDS.items():
        answer = fork(shlex.split(command), cwd, *(["saved:1:TERM"] if name == "P" else []))
        assert answer.code == (75 if name == "P" else 0), answer.err
    return cwd


@pytest.fixture
def runs(template, tmp_path, monkeypatch):
    """The runs by name, copied; the folder that holds them is worked in."""
    shutil.copytree(template / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    finished = {path for path in Path("runs").glob("*/seed-0") if (path / "weights" / "final.pt").exists()}
    (supermask,) = Path("runs").glob("supermask-*/seed-0")
    (partial,) = set(Path("runs").glob("*/seed-0")) - finished
    (trained,) = finished - {supermask}
    return {"S": supermask, "T": trained, "P": partial}


def state(root):
    return {path: (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns) for path in root.rglob("*")}


TABLE = [*NAMES, *GRAMMAR, *VALUES, *DEVICES, *SHAPES, *FILES, *DAMAGE]


@pytest.mark.parametrize("case", TABLE)
def test_one_line_its_code_and_nothing_lost(case, runs, wn, tmp_path):
    if case.before:
        case.before(runs)
    before = state(tmp_path)
    command = case.command
    for name, path in runs.items():
        command = command.replace(f"{{{name}}}", str(path)).replace(f"{{{name}:parent}}", str(path.parent))
        command = command.replace(f"{{make {name}}}", COMMANDS[name])
    answer = wn(*shlex.split(command))
    assert answer.code == case.code, answer.err
    lines = answer.err.splitlines()
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("wn: ")
    assert [words for words in case.said if words not in lines[0]] == [], lines[0]
    assert "Traceback" not in answer.out
    after = state(tmp_path)
    assert not list(tmp_path.rglob("evil-was-here"))
    assert not list(tmp_path.rglob("*.part"))
    if case.adds:
        rewritten = {path for path in before if path.name in ("run.json", "log.txt") or path.is_dir()}
        before, after = ({p: s for p, s in found.items() if p in before.keys() - rewritten} for found in (before, after))
    assert after == before


def test_the_table_is_long():
    assert len(TABLE) > 100


def test_no_download_is_one_line_with_the_way_out(wn, monkeypatch, tmp_path):
    monkeypatch.setattr("urllib.request._opener", None)  # it is made once a process, for the proxies of that moment
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    answer = wn("run", "train", "--dataset", "cifar10", "--arch", "fc", "--threads", "1", "--quiet")
    assert answer.code == 1
    assert "cannot load cifar10" in answer.line
    assert "--data-dir" in answer.line
    assert "--dataset digits" in answer.line
    assert not list(tmp_path.glob("runs/*"))


def test_a_bad_request_is_refused_before_anything_is_made(wn, tmp_path):
    assert wn("run", "train", "--arch", "conv8", "--dataset", "tiny:size=8", "--fresh").code == 2
    assert wn("run", "train", "--device", "gpu").code == 2
    assert list(tmp_path.iterdir()) == []


def test_fresh_mends_a_damaged_run(runs, wn):
    truncate(runs["P"] / "checkpoint.pt")
    (runs["P"] / "run.json").write_text("{")
    assert wn(*shlex.split(COMMANDS["P"]), "--fresh", "--quiet").code == 0
    assert (runs["P"].with_name("old-1-seed-0") / "checkpoint.pt").is_file()


def test_the_evil_pickle_would_have_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    pickle.dump(Evil(), buffer)
    pickle.loads(buffer.getvalue())
    assert Path("evil-was-here").exists()
