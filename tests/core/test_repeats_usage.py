"""What may stand beside ``--repeats``, and what may not."""

import pytest
from crews import seeds
from test_repeats import COMMON, MASKED, PLUGIN, TRAIN, ok

from widenet.runs import Run

QUIET = [*COMMON, "--epochs", "1", "--quiet"]
STILL = ["run", "still", *COMMON[:4], "--plugin", PLUGIN]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--repeats", "0"], "0 is not in the range x>=1"),
        (["--repeats", "-2"], "-2 is not in the range x>=1"),
        (["--repeats", "two"], "'two' is not a valid integer"),
        (["--repeats", ""], "is not a valid integer"),
        (["--repeats"], "requires an argument"),
        (["--stack"], "--stack and --no-stack are for several runs; say how many with --repeats"),
        (["--no-stack"], "--stack and --no-stack are for several runs; say how many with --repeats"),
        (["--repeats", "2", "--analyze", "mask-overlap"], "compares several runs"),
        (["--repeats", "2", "--analyze", "nothing"], "unknown analysis 'nothing'"),
        (["--repeats", "2", "--preset", "nothing"], "has no preset 'nothing'"),
        (["--repeats", "2", "--from", "nothing"], "there is no run 'nothing'"),
        (["--repeats", "2", "--dataset", "tiny:train=0"], "train"),
        (["--repeats", "2", "--arch", "conv8", "--dataset", "tiny:size=8"], "conv8 needs images of at least 16x16"),
        (["--repeats", "2", "--stack", "--arch", "conv8", "--dataset", "tiny:size=8"], "conv8 needs images of at least"),
        (["--repeats", "2", "--no-stack", "--arch", "conv8", "--dataset", "tiny:size=8"], "conv8 needs images of at least"),
    ],
)
def test_refused_in_one_line_without_a_trace(words, said, wn, tmp_path):
    answer = wn(*TRAIN, *words)
    assert answer.code == 2
    assert said in answer.line
    assert not list(tmp_path.rglob("run.json"))


def test_what_does_not_train_cannot_be_stacked(wn, tmp_path):
    answer = wn(*STILL, "--repeats", 2, "--stack")
    assert answer.code == 2
    assert answer.line.startswith("still does not train, so there is nothing to stack; leave --stack out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", [[], ["--stack"], ["--no-stack"]])
def test_torchruns_processes_have_enough_to_do(how, monkeypatch, wn, tmp_path):
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    answer = wn(*TRAIN, "--repeats", 2, *how)
    assert answer.code == 2
    assert answer.line == "--repeats makes processes of its own; leave torchrun out"
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_of_the_first_and_runs_none(wn, tmp_path):
    answer = ok(wn(*TRAIN, "--repeats", 3, "--seed", 2, "--dry-run", "--json"))
    assert answer.json["run"].endswith("/seed-2")
    assert list(tmp_path.iterdir()) == []


def test_it_is_in_the_help(wn):
    out = ok(wn("run", "train", "--help")).out
    assert "--repeats INT" in out
    assert "--stack / --no-stack" in out


def test_a_plugins_option_may_not_take_its_name(wn, tmp_path):
    for name in ("repeats", "stack"):
        (tmp_path / "taking.py").write_text(
            "import attrs\nfrom widenet import Method, Train, hookimpl, opt\n\n"
            f"@attrs.frozen(kw_only=True)\nclass Own(Train):\n    {name}: int = opt(1, 'Taken.')\n\n"
            "def method(run, net, data, config):\n    'A method.'\n\n"
            "@hookimpl\ndef methods():\n    yield Method('method', method, Own)\n"
        )
        answer = wn("--plugin", tmp_path / "taking.py", "run", "method", *QUIET)
        assert answer.code == 3
        assert name in answer.line


def test_from_a_file_of_options_with_a_seed(wn, tmp_path):
    (tmp_path / "few.toml").write_text('epochs = 1\nseed = 3\narch = "fc:hidden=8"\n')
    ok(wn("run", "train", "--config", "few.toml", "--dataset", "tiny", "--repeats", 2, "--stack"))
    (tmp_path / "alone").mkdir()
    ok(wn("run", "train", "--config", tmp_path / "few.toml", "--dataset", "tiny", cwd=tmp_path / "alone"))
    assert list(seeds(tmp_path)) == [3, 4]
    assert seeds(tmp_path)[3].parent.name == seeds(tmp_path / "alone")[3].parent.name
    record = Run.open(seeds(tmp_path)[4]).record
    assert record["argv"] == ["run", "train", "--config", "few.toml", "--dataset", "tiny", "--seed", "4"]
    assert record["options"]["epochs"] == {"value": 1, "source": "few.toml"}
    assert "already finished" in ok(wn(*record["argv"])).err


def test_a_preset(wn, tmp_path):
    ok(wn(*MASKED[:2], *COMMON, *MASKED[-2:], "--preset", "thin", "--repeats", 2, "--stack", "--quiet"))
    for path in seeds(tmp_path).values():
        assert Run.open(path).record["options"]["density"] == {"value": 0.1, "source": "preset thin"}
        assert Run.open(path).masks()["linear.0"].mean() < 0.2


@pytest.mark.parametrize("how", ["--stack", "--no-stack"])
def test_from_another_runs_network(how, wn, tmp_path):
    parent = ok(wn("run", "train", *QUIET, "--json", "--runs-dir", "parents")).json["run"]
    words = ["run", "masked", "--from", parent, "--epochs", 1, "--threads", 1, "--quiet", "--plugin", PLUGIN]
    ok(wn(*words, "--repeats", 2, how))
    assert list(seeds(tmp_path)) == [0, 1]
    for path in seeds(tmp_path).values():
        assert Run.open(path).record["parents"] == [f"{(tmp_path / parent).parent.name}/seed-0"]
    first, second = (Run.open(path).weights()["linear.0.weight"] for path in seeds(tmp_path).values())
    assert (first - second).abs().max() < 0.1, "both began with the parent's weights"


def test_seed_is_where_they_begin(wn, tmp_path):
    ok(wn("run", "train", *QUIET, "--seed=7", "--repeats=2", "--stack"))
    assert list(seeds(tmp_path)) == [7, 8]
    words = [Run.open(path).record["argv"] for path in seeds(tmp_path).values()]
    assert words == [["run", "train", *QUIET[:-1], "--seed", str(seed)] for seed in (7, 8)]


def test_runs_go_where_they_are_told_to(wn, tmp_path):
    ok(wn("run", "train", *QUIET, "--repeats", 2, "--runs-dir", "here", "--stack"))
    assert len(list(tmp_path.glob("here/*/seed-*"))) == 2
    assert not (tmp_path / "runs").exists()


def test_moving_masks_go_one_after_the_other_and_it_is_said_once(wn, tmp_path):
    words = ["run", "supermask", *COMMON, "--epochs", 2]
    answer = ok(wn(*words, "--repeats", 2, "--stack"))
    said = "the runs are trained one after the other: the method does something of its own in every step"
    assert answer.err.count(said) == 1
    (tmp_path / "alone").mkdir()
    ok(wn(*words, "--seed", 1, cwd=tmp_path / "alone"))
    one, other = Run.open(seeds(tmp_path / "alone")[1]), Run.open(seeds(tmp_path)[1])
    assert one.record["result"] == other.record["result"]
    assert all((mask == other.masks()[name]).all() for name, mask in one.masks().items())
    assert said in (other.path / "log.txt").read_text()
