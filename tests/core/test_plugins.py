"""Plugins that are broken, clashing, old or slow hurt no other, and never hide."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from widenet.components import Method, Model
from widenet.errors import UsageError
from widenet.loading import load

BAD = Path(__file__).parent / "bad_plugins"
EARLIER = ["decompose", "gate-train", "selectivity-finetune", "frivolous"]
SHIPPED = ["redundant-repr", "supermask", "supermask-import", "shuffled-mask", "random-mask", "fixed-param", "prune"]
"""Methods of the plugins that come with the core: of the first by name, and of the others."""
INSTALLED = ["core", "decompose", "frivolous", "good", "redundant-repr", "supermask", "weight-symmetry"]

BROKEN = {
    "import_error": "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
    "syntax_error": "SyntaxError: ",
    "exits_at_import": "SystemExit: this machine will not do",
    "raises_in_hook": "RuntimeError: no luck today",
    "wrong_type": "hook methods yields analysis 'misplaced', which is no Method",
    "yields_text": "hook models yields 'conv9', which is no Model",
    "returns_nothing": "hook methods returns None; let it yield each Method",
    "bad_name": "method 'My Method': names are lower-case letters and digits joined by - or _",
    "named_twice": "two components of kind method are called 'twin'",
    "bad_annotation": "option 'table' has the annotation dict[str, int], which no command line can express",
    "invalid_default": "method 'roundless', defaults: 'rounds' must be >= 1: 0",
    "mistyped_default": "option 'rounds': its default: 'ten' is no whole number",
    "invalid_preset": "method 'greedy', preset 'all': 'share' must be <= 1: 2.0",
    "unknown_in_preset": "method 'preset-first', preset 'long': unknown option 'epoch'; did you mean 'epochs'?",
    "no_options_class": "is no attrs class",
    "wrong_signature": "method 'curt': its function must take (run, net, data, config)",
    "unknown_hook": "unknown hook 'optimizers', was it written for another version? hooks are models, datasets,",
    "old_api": "hook methods is called without settings; was it written for another version?",
    "no_hooks": "it implements no hook; mark its functions with @hookimpl",
    "option_clash": "method 'seedy': every command has an option 'seed' of its own; rename it",
    "spelled_twice": "Options: two options are spelled rate",
    "bad_suffix": "method 'reading': a reader's suffix is like '.yml', lower case, and not '.toml'; 'yml' is not",
    "curt_comparison": "analysis 'curt': its function must take (runs, nets, data, config)",
    "curt_export": "export 'curt': its function must take (run, net, path, config)",
    "offers_unknown": "UsageError: unknown method 'trian'; did you mean 'train'?",
    "offers_invalid": "method 'train', preset 'backwards': 'lr' must be > 0: -1",
    "offers_taken": "method core/train has a preset 'fine' already",
    "offers_text": "hook presets returns 'long'; let it return presets by the method's name",
    "offers_number": "method 'train', preset 'long': 9 are no options by name",
    "offers_list": "presets for method 'train' are ['long']; give the options by the preset's name",
}


def rows(answer):
    """The plugins of ``wn list-plugins --json`` by name."""
    assert answer.code == 0, answer.err
    return {row["plugin"]: row for row in answer.json}


@pytest.mark.parametrize(("bad", "reason"), BROKEN.items())
def test_a_broken_plugin_is_shown_and_hurts_no_other(wn, site, bad, reason):
    name = site.install(BAD / f"{bad}.py")
    site.install(BAD / "good.py")

    listed = rows(wn("list-plugins", "--json"))
    assert listed[name]["status"] == "broken"
    assert reason in listed[name]["why"]
    assert listed[name]["methods"] is None
    assert "\n" not in listed[name]["why"]
    assert [listed[other]["status"] for other in INSTALLED] == ["ok"] * len(INSTALLED)
    table = wn("list-plugins")
    assert table.code == 0
    assert any(name in line and "broken" in line and reason in line for line in table.out.splitlines())

    names = [method["name"] for method in wn("list", "methods", "--json").json]
    assert names == ["train", "import", *EARLIER, "well", *SHIPPED]
    assert wn("run", "well", "--help").code == 0
    asked = wn("run", f"{name}/anything")
    assert asked.code == 3
    assert name in asked.line
    assert reason in asked.line
    unknown = wn("run", "wel")
    assert unknown.code == 2
    assert "unknown method 'wel'; did you mean 'well'?" in unknown.line
    assert f"plugin {name} is broken" in unknown.line
    assert wn("analyze", f"{name}/anything", "x").code == wn("show", f"{name}/anything").code == 3
    assert reason in wn("show", name).out


def test_what_a_plugin_yielded_before_it_failed_is_known_to_be_lost(wn, site):
    site.install(BAD / "raises_in_hook.py")
    for words in (["run", "half-made"], ["show", "half-made"]):
        answer = wn(*words)
        assert answer.code == 3
        assert "plugin raises-in-hook is broken (RuntimeError: no luck today)" in answer.line


def test_all_of_them_at_once_in_a_process_of_its_own(wn_apart, site):
    names = {site.install(BAD / f"{bad}.py"): reason for bad, reason in BROKEN.items()}
    site.install(BAD / "good.py")
    site.install(BAD / "prints_at_import.py")
    answer = wn_apart("list-plugins", "--json", env=site.env)
    listed = rows(answer)
    assert all(reason in listed[name]["why"] for name, reason in names.items())
    ok = {row["plugin"] for row in answer.json if row["status"] == "ok"}
    assert ok == {"prints-at-import", *INSTALLED}
    assert answer.err.splitlines() == ["hello from the import", "hello from the hook"]
    assert wn_apart("--help", env=site.env).code == 0


def test_what_plugins_print_stays_off_stdout(wn, site, supermask_run):
    site.install(BAD / "prints_at_import.py")
    answer = wn("list", "methods", "--json")
    assert "chatty" in [method["name"] for method in answer.json]
    assert answer.err == "hello from the import\nhello from the hook\n"
    counted = wn("analyze", "count", supermask_run, "--json")
    assert counted.json == [{"count": 1}]
    assert "counting" in counted.err


# -- presets for others' methods -------------------------------------------------------------------------------------------

GENEROUS = """
from widenet import Method, Train, hookimpl

@hookimpl
def methods():
    yield Method("own", lambda run, net, data, config: None, Train)

@hookimpl
def presets():
    print("hello from the presets")
    return {"train": {"quick": {"epochs": 1, "arch": "fc", "dataset": "tiny"}}, "generous/own": {"brief": {"epochs": 2}}}
"""


def test_presets_for_methods_of_others(wn, tmp_path):
    (tmp_path / "generous.py").write_text(GENEROUS)
    plugin = ("--plugin", "generous.py")
    shown = wn(*plugin, "show", "train", "--json")
    assert shown.json["presets"]["quick"] == {"epochs": 1, "arch": "fc", "dataset": "tiny"}
    assert shown.err == "hello from the presets\n"
    assert wn(*plugin, "show", "own", "--json").json["presets"] == {"brief": {"epochs": 2}}
    done = wn(*plugin, "run", "train", "--preset", "quick", "--lr", "0.1", "--json", "--quiet").json
    assert done["options"]["epochs"] == {"value": 1, "source": "preset quick"}
    assert (done["arch"]["name"], done["dataset"]["name"]) == ("core/fc", "core/tiny")
    assert "quick" not in wn("show", "train", "--json").json["presets"]


def test_the_first_to_offer_a_preset_keeps_it(wn, tmp_path):
    (tmp_path / "generous.py").write_text(GENEROUS)
    (tmp_path / "late.py").write_text(GENEROUS.replace('"epochs": 1', '"epochs": 7').replace("generous/own", "late/own"))
    registry = load([tmp_path / "generous.py", tmp_path / "late.py"])
    assert registry.plugins["late"].error == "ValueError: method core/train has a preset 'quick' already"
    assert registry.find(Method, "train").presets["quick"]["epochs"] == 1
    assert registry.find(Method, "own").plugin == "generous"
    assert registry.manager.get_plugin("late") is None


def test_wrong_presets_change_nothing_and_cost_the_plugin_its_own_methods(wn, site, monkeypatch):
    before = wn("show", "train", "--json").json
    for bad in BROKEN:
        if bad.startswith("offers"):
            site.install(BAD / f"{bad}.py")
    assert wn("show", "train", "--json").json == before
    lost = wn("run", "generous")
    assert lost.code == 3
    assert "plugin offers-unknown is broken (UsageError: unknown method 'trian'" in lost.line
    monkeypatch.setenv("WN_STRICT", "1")
    with pytest.raises(UsageError, match="unknown method 'trian'"):
        load(only="offers-unknown")


# -- slow ------------------------------------------------------------------------------------------------------------------


def test_slow_plugins_work_and_are_named(wn, site):
    site.install(BAD / "slow_import.py")
    site.install(BAD / "heavy_import.py")
    (site.path / "pandas.py").touch()  # stands in for the library
    listed = rows(wn("list-plugins", "--json"))
    assert listed["slow-import"]["status"] == listed["heavy-import"]["status"] == "slow"
    assert "s to load: does much at its top level; move that into its functions" in listed["slow-import"]["why"]
    assert "s to load: imports pandas at its top level" in listed["heavy-import"]["why"]
    assert {"late", "weighty"} < {method["name"] for method in wn("list", "methods", "--json").json}


# -- clashes ---------------------------------------------------------------------------------------------------------------


def test_two_distributions_of_one_plugin_name(wn, site):
    """The first stays whole, the second says who has the name."""
    site.install(BAD / "good.py", plugin="twice", package="first")
    site.install(BAD / "prints_at_import.py", plugin="twice", package="second")
    answer = wn("list-plugins", "--json")
    found = [(row["from"], row["status"], row["why"]) for row in answer.json if row["plugin"] == "twice"]
    assert found == [
        ("widenet-first", "ok", ""),
        ("widenet-second", "broken", "ValueError: the name twice is taken by widenet-first"),
    ]
    assert wn("show", "twice/well").code == 0
    assert wn("run", "twice/chatty").code == 3


def test_no_distribution_takes_the_name_of_core(wn, site):
    site.install(BAD / "good.py", plugin="core", package="aaa_first")
    listed = [row for row in wn("list-plugins", "--json").json if row["plugin"] == "core"]
    assert [(row["from"], row["status"]) for row in listed] == [("widenet", "ok"), ("widenet-aaa-first", "broken")]


def test_one_module_under_two_names_keeps_the_first(wn, site):
    site.install(BAD / "good.py", package="good")
    info = site.path / "widenet_again-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: widenet-again\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[widenet]\nbetter = good\n")
    registry = load()
    assert registry.plugins["better"].status == "ok"
    assert registry.plugins["good"].error == "ValueError: its module is the plugin better already"
    assert registry.manager.get_plugin("better") is not None


def test_components_of_one_name_need_their_full_names(wn, site, tmp_path):
    site.install(BAD / "good.py")
    site.install(BAD / "shadow.py")
    answer = wn("run", "well")
    assert answer.code == 2
    assert "method 'well' is ambiguous between good/well and shadow/well; use the full name" in answer.line
    names = [method["name"] for method in wn("list", "methods", "--json").json]
    assert names == ["train", "import", *EARLIER, "good/well", SHIPPED[0], "shadow/well", *SHIPPED[1:]]

    words = ["run", "shadow/well", "--dataset", "tiny"]
    ambiguous = wn(*words)
    assert ambiguous.code == 2
    assert "model 'conv4' is ambiguous between core/conv4 and shadow/conv4" in ambiguous.line
    assert not (tmp_path / "runs").exists()
    done = wn(*words, "--arch", "core/fc", "--json", "--quiet")
    assert done.code == 0
    assert done.json["result"]["score"] == 1.0
    assert wn("run", "good/well", "--preset", "brief", "--dataset", "tiny", "--arch", "core/conv4:width=0.1", "-q").code == 0

    both = wn("show", "conv4", "--json").json
    assert [component["name"] for component in both] == ["core/conv4", "shadow/conv4"]
    assert wn("show", "core/conv4", "--json").json["name"] == "core/conv4"


# -- which plugins are loaded ----------------------------------------------------------------------------------------------


def test_wn_plugins_restricts_what_is_loaded(wn, site, monkeypatch):
    site.install(BAD / "good.py")
    site.install(BAD / "import_error.py")
    for value, names in (("good", ["core", "good"]), ("supermask, good,", ["core", "good", "supermask"]), ("", ["core"])):
        monkeypatch.setenv("WN_PLUGINS", value)
        assert list(rows(wn("list-plugins", "--json"))) == names
    monkeypatch.setenv("WN_PLUGINS", "good,supermsk")
    answer = wn("list-plugins")
    assert answer.code == 2
    assert answer.line == "WN_PLUGINS: no plugin 'supermsk' is installed; did you mean 'supermask'?"
    assert wn("--help").code == 0


def test_wn_strict_lets_the_exception_through(wn, wn_apart, site, monkeypatch):
    site.install(BAD / "import_error.py")
    answer = wn_apart("list-plugins", env={**site.env, "WN_STRICT": "1"})
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == "ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert "bad_plugins" not in answer.out
    monkeypatch.setenv("WN_STRICT", "1")
    with pytest.raises(ModuleNotFoundError):
        wn("list-plugins")


def test_a_plugin_from_a_file(wn, tmp_path):
    answer = wn("list-plugins", "--plugin", BAD / "good.py", "--json")
    assert rows(answer)["good"]["from"] == str(BAD / "good.py")
    broken = rows(wn("--plugin", BAD / "syntax_error.py", f"--plugin={BAD / 'good.py'}", "list-plugins", "--json"))
    assert (broken["syntax-error"]["status"], broken["good"]["status"]) == ("broken", "ok")
    assert wn("run", "syntax-error/x", "--plugin", BAD / "syntax_error.py").code == 3
    twice = rows(wn("--plugin", BAD / "good.py", "--plugin", BAD / "good.py", "list-plugins", "--json"))
    assert [name for name in twice if "good" in name] == ["good"]
    for words in (["--plugin", "nowhere.py", "list-plugins"], ["list-plugins", "--plugin", tmp_path]):
        answer = wn(*words)
        assert answer.code == 2
        assert "no such file" in answer.line
    assert wn("list-plugins", "--plugin").code == 2


# -- events ----------------------------------------------------------------------------------------------------------------


def test_event_hooks_that_fail_are_left_out_and_fail_no_run(wn):
    files = ["--plugin", BAD / "bad_events.py", "--plugin", BAD / "bad_finish.py"]
    words = ["run", "train", "--arch", "fc", "--dataset", "tiny", "--epochs", "2"]
    answer = wn(*files, *words, "--json")
    assert answer.code == 0
    assert answer.json["status"] == "finished"
    assert answer.err.count("plugin bad-events failed on logged (RuntimeError: cannot hear); left out from here") == 1
    assert answer.err.count("plugin bad-finish failed on finished (SystemExit: had enough); left out from here") == 1
    assert answer.err.count("failed on") == 2
    assert answer.err.count("heard of an epoch") == 1


def test_event_hooks_hear_of_every_epoch_and_of_the_end(wn, tmp_path):
    (tmp_path / "ears.py").write_text(
        "from widenet import hookimpl\n"
        "heard = []\n"
        "@hookimpl\ndef logged(values, run):\n    heard.append((run.name, values['epoch']))\n"
        "@hookimpl\ndef finished(run):\n    heard.append(run.record['status'])\n"
    )
    answer = wn(
        "run", "train", "--plugin", "ears.py", "--arch", "fc", "--dataset", "tiny", "--epochs", "2", "--json", "--quiet"
    )
    name = str(Path(answer.json["run"]).relative_to("runs"))
    assert sys.modules["widenet_file_ears"].heard == [(name, 1), (name, 2), "finished"]


# -- a real installation ---------------------------------------------------------------------------------------------------


def test_a_broken_plugin_installed_by_pip(wn_apart, tmp_path):
    source, target = tmp_path / "source", tmp_path / "site"
    (source / "widenet_rotten").mkdir(parents=True)
    (source / "widenet_rotten" / "__init__.py").write_text((BAD / "wrong_signature.py").read_text())
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "widenet-rotten"\nversion = "2.1"\n'
        '[project.entry-points.widenet]\nrotten = "widenet_rotten"\n'
        '[tool.setuptools]\npackages = ["widenet_rotten"]\n'
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target, source]
    subprocess.run([str(word) for word in pip], check=True, capture_output=True)
    env = {"PYTHONPATH": str(target)}
    row = rows(wn_apart("list-plugins", "--json", env=env))["rotten"]
    assert (row["version"], row["from"], row["status"]) == ("2.1", "widenet-rotten", "broken")
    assert BROKEN["wrong_signature"] in row["why"]
    assert wn_apart("run", "rotten/curt", env=env).code == 3


# -- the registry itself ---------------------------------------------------------------------------------------------------


def test_names_are_found_bare_and_in_full():
    registry = load()
    assert registry.find(Method, "train") is registry.find(Method, "core/train")
    assert registry.shown(registry.find(Model, "core/conv4")) == "conv4"
    with pytest.raises(UsageError, match=r"unknown model 'conv5'; did you mean 'conv\d'\?"):
        registry.find(Model, "conv5")
    with pytest.raises(UsageError, match="unknown method 'zzz'; `wn list methods` shows all"):
        registry.find(Method, "zzz")
    with pytest.raises(UsageError, match="unknown method 'core/zzz'"):
        registry.find(Method, "core/zzz")


def test_json_is_all_there_is_on_stdout(wn_apart, site):
    site.install(BAD / "prints_at_import.py")
    answer = wn_apart("list", "methods", "--json", env=site.env)
    assert {row["name"] for row in json.loads(answer.out)} == {"train", "import", "chatty", *EARLIER, *SHIPPED}
