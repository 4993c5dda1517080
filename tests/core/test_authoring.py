"""``wn new-plugin`` writes a plugin that works; ``wn check-plugin`` finds what is wrong with one that does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from widenet.testing import faults

FAULTY = Path(__file__).parent / "faulty_plugins"
MAGNITUDE = Path(__file__).parent / "third_party" / "magnitude.py"


def pip(source, target):
    """Install without the package index."""
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True)


# -- new-plugin ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_new_plugin_installs_conforms_and_passes_its_own_test(wn, wn_apart, tmp_path):
    answer = wn("new-plugin", "my-prune")
    assert answer.code == 0
    assert answer.out.splitlines()[0] == "wrote widenet-my-prune"
    folder = tmp_path / "widenet-my-prune"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"README.md", "pyproject.toml", "tests/test_my_prune.py", "widenet_my_prune/__init__.py"}
    assert "$" not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())

    pip(folder, tmp_path / "site")
    env = {"PYTHONPATH": str(tmp_path / "site")}
    row = next(row for row in wn_apart("list-plugins", "--json", env=env).json if row["plugin"] == "my-prune")
    assert (row["version"], row["from"], row["status"], row["why"]) == ("0.1.0", "widenet-my-prune", "ok", "")
    done = wn_apart("run", "my-prune", "--arch", "fc", "--dataset", "tiny", "--epochs", "1", "--preset", "extreme", env=env)
    assert done.code == 0, done.err

    # The test that comes with it is all that check-plugin does.
    own = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    assert own.returncode == 0, own.stdout
    assert "1 passed" in own.stdout


@pytest.mark.parametrize("name", ["", "Prune", "my prune", "my_prune", "3d", "-x", "x-", "a--b", "../x", "prüne", "widenet-"])
def test_bad_names_are_refused(wn, tmp_path, name):
    answer = wn("new-plugin", "--", name)
    assert answer.code == 2
    assert "is no plugin name: lower-case letters and digits joined by hyphens, a letter first" in answer.line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["core", "supermask", "train", "widenet-supermask"])
def test_taken_names_are_refused(wn, name):
    answer = wn("new-plugin", name)
    assert answer.code == 2
    assert "is taken by what is installed; choose another" in answer.line


@pytest.mark.parametrize("name", ["method", "analysis", "class", "a1"])
def test_names_of_what_the_template_imports_do_no_harm(wn, tmp_path, name):
    assert wn("new-plugin", name).code == 0
    module = name.replace("-", "_")
    file = tmp_path / f"widenet-{name}" / f"widenet_{module}" / "__init__.py"
    listed = wn("list-plugins", "--plugin", file, "--json").json[-1]
    assert (listed["status"], listed["methods"], listed["analyses"]) == ("ok", 1, 1)


def test_nothing_is_overwritten(wn, tmp_path):
    (tmp_path / "widenet-mine").mkdir()
    answer = wn("new-plugin", "mine")
    assert answer.code == 2
    assert answer.line == "widenet-mine exists already; choose another name or --into"
    assert wn("new-plugin", "mine", "--into", "below/there").code == 0
    assert (tmp_path / "below/there/widenet-mine/pyproject.toml").is_file()


def test_a_folder_that_cannot_be_written(wn, tmp_path):
    (tmp_path / "file").touch()
    answer = wn("new-plugin", "mine", "--into", "file")
    assert answer.code == 1
    assert answer.line == "cannot write file/widenet-mine (Not a directory); choose another folder with --into"


# -- check-plugin ----------------------------------------------------------------------------------------------------------

PLANTED = {
    "helpless": {("method helpless", "every option has help and a valid default"): "no help: strength"},
    "wordless": {("analysis wordless", "says what it does"): "its function has no docstring"},
    "random_method": {
        ("method dice", "gives the same twice"): "weights differ: ",
        ("method dice", "killed and resumed gives the same"): "weights differ: ",
    },
    "outside_state": {("method forgetful", "killed and resumed gives the same"): "weights differ: "},
    "wrong_masks": {("method misfit", "its weights and masks fit its network"): "the masks of "},
    "failing_method": {("method failing", "runs two epochs on tiny"): "(ValueError: not today): a bug"},
    "nested_rows": {("analysis nested", "yields flat rows"): "column 'sizes' holds a list; rows are flat"},
    "no_rows": {("analysis silent", "yields flat rows"): "it yields no row on any run"},
    "wrong_model": {
        ("model crooked", "maps a batch to logits"): "gives (2, 7) for 2 inputs of shape (1, 16, 16) and 5 classes",
        ("model falling", "maps a batch to logits"): "fails on inputs of shape (1, 16, 16): RuntimeError: down",
        ("model picky", "maps a batch to logits"): "picky takes nothing",
    },
    "wrong_forms": {
        ("analysis nested-pair", "yields flat rows"): "column 'seeds' holds a list; rows are flat",
        ("export idle", "writes a file"): "wrong-forms/idle wrote nothing to ",
        ("export picky", "writes a file"): "picky takes nothing",
    },
    "hopeful": {
        ("hopeful", "loads alone"): "unknown method 'nosuch'",
        ("hopeful", "loads beside the others"): "unknown method 'nosuch'",
    },
    "required": {("method demanding", "runs two epochs on tiny"): "give it a preset called 'check' that sets them"},
}


@pytest.mark.parametrize(("file", "planted"), PLANTED.items())
def test_each_planted_fault_is_found(wn, file, planted):
    name = file.replace("_", "-")
    answer = wn("check-plugin", name, "--plugin", FAULTY / f"{file}.py", "--json")
    assert answer.code == 3
    found = {(row["subject"], row["check"]): row["fault"] for row in answer.json if not row["ok"]}
    assert found.keys() == planted.keys()
    assert all(fault in found[where] for where, fault in planted.items())
    assert answer.line == f"{name}: {len(planted)} of {len(answer.json)} checks found a fault"


def test_heavy_imports_and_clashes_are_faults(wn, site):
    """A stand-in for torch: the check loads the plugin in a process of its own."""
    site.install(FAULTY / "heavy.py")
    (site.path / "torch.py").touch()
    os.environ["PYTHONPATH"] = str(site.path)
    try:
        answer = wn("check-plugin", "heavy")
    finally:
        del os.environ["PYTHONPATH"]
    assert answer.code == 3
    assert "imports torch at its top level; move that into its functions" in answer.out
    assert "clash of core/digits, heavy/digits" in answer.out
    assert answer.line == "heavy: 2 of 6 checks found a fault"
    assert "FAULT heavy: loads fast, nothing heavy imported" in answer.err.splitlines()


def test_a_plugin_that_does_not_load(wn):
    bad = Path(__file__).parent / "bad_plugins" / "import_error.py"
    answer = wn("check-plugin", "import-error", "--plugin", bad, "--json")
    assert answer.code == 3
    assert [(row["check"], row["ok"]) for row in answer.json] == [("loads alone", False), ("loads beside the others", False)]
    assert all("nowhere_to_be_found" in row["fault"] for row in answer.json)


def test_an_unknown_plugin(wn):
    answer = wn("check-plugin", "supermsk")
    assert answer.code == 2
    assert answer.line == "no plugin 'supermsk' is installed; did you mean 'supermask'?"


def test_a_plugin_from_a_file_passes(wn):
    answer = wn("check-plugin", "magnitude", "--plugin", MAGNITUDE)
    assert answer.code == 0, answer.out
    assert answer.out == "magnitude: all 14 checks passed\n"
    assert len(answer.err.splitlines()) == 14
    assert all(line.startswith("ok  ") for line in answer.err.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["core", "redundant-repr", "supermask", "weight-symmetry"])
def test_what_comes_with_widenet_passes(wn_apart, name):
    answer = wn_apart("check-plugin", name, "--json")
    assert answer.code == 0, answer.err
    assert all(row["ok"] for row in json.loads(answer.out))
    assert answer.err == ""


def test_switches_of_the_environment_do_not_matter(monkeypatch):
    monkeypatch.setenv("WN_PLUGINS", "core")
    monkeypatch.setenv("WN_STRICT", "1")
    found = faults("no-rows", [FAULTY / "no_rows.py"])
    assert [finding.check for finding in found] == ["yields flat rows"]
