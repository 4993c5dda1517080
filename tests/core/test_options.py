"""Options: every kind of annotation, every layer, and text, TOML and JSON that mean the same."""

import json
import re
from pathlib import Path
from typing import Literal, Optional

import attrs
import pytest
from attrs.validators import ge, le
from hypothesis import given
from hypothesis import strategies as st

from widenet.cli.common import layered
from widenet.components import Method, Settings, Train, opt
from widenet.errors import UsageError
from widenet.options import build, canonical, changed, convert, effective, nearest, options, read_toml, resolve, split_spec

NOTHING = attrs.NOTHING
Colour = Literal["red", "green", "deep-blue"]


@attrs.frozen(kw_only=True)
class Every:
    flag: bool = opt(False, "A flag.")
    count: int = opt(3, "A count.", validator=ge(0))
    rate: float = opt(1, "A rate.")
    word: str = opt("abc", "A word.")
    file: Path = opt("a/b", "A file.")
    colour: Colour = opt("red", "A colour.")
    sizes: tuple[int, ...] = opt((3, 4), "Sizes.")
    rates: tuple[float, ...] = opt((), "Rates.")
    colours: tuple[Colour, ...] = opt(("red",), "Colours.")
    limit: int | None = opt(None, "A limit.")
    place: Optional[Path] = opt(None, "A place.")  # noqa: UP045 - the older spelling is the same
    steps: tuple[int, ...] | None = opt(None, "Steps.")


BY_NAME = {option.name: option for option in options(Every)}


def value(name, given):
    return convert(BY_NAME[name], given)


# -- annotations -----------------------------------------------------------------------------------------------------------


def test_annotations_are_taken_apart():
    kinds = {name: (option.type, option.many, option.optional) for name, option in BY_NAME.items()}
    assert kinds == {
        "flag": (bool, False, False),
        "count": (int, False, False),
        "rate": (float, False, False),
        "word": (str, False, False),
        "file": (Path, False, False),
        "colour": (str, False, False),
        "sizes": (int, True, False),
        "rates": (float, True, False),
        "colours": (str, True, False),
        "limit": (int, False, True),
        "place": (Path, False, True),
        "steps": (int, True, True),
    }
    words = {name: option.metavar for name, option in BY_NAME.items()}
    assert (words["count"], words["sizes"], words["colour"]) == ("INT", "INT,...", "red|green|deep-blue")
    assert words["colours"] == "red|green|deep-blue,..."
    assert (BY_NAME["count"].flag, BY_NAME["count"].help) == ("--count", "A count.")


def test_defaults_have_the_type_they_are_said_to_have():
    made = build(Every, {}, "test")
    assert (made.rate, type(made.rate), made.file) == (1.0, float, Path("a/b"))
    assert changed(made) == {}
    assert changed(build(Every, {"rate": 1.0, "file": Path("a/b")}, "test")) == {}
    assert effective(made)["rate"] == 1.0


def class_of(**fields):
    """An option class of ``name=(annotation, field)``."""
    body = {name: field for name, (_, field) in fields.items()}
    annotations = {name: annotation for name, (annotation, _) in fields.items() if annotation is not NOTHING}
    return attrs.frozen(kw_only=True)(type("Made", (), {**body, "__annotations__": annotations}))


@pytest.mark.parametrize(
    "annotation",
    [
        *(list[int], dict[str, int], complex, bytes, object, tuple, tuple[int], tuple[int, str], tuple[tuple[int, ...], ...]),
        *(int | str, int | str | None, Literal[1, 2], Literal["a", 1], tuple[int | None, ...], None, NOTHING),
    ],
)
def test_other_annotations_are_refused(annotation):
    with pytest.raises(TypeError, match=r"option 'field' has the annotation .*, which no command line can express"):
        options(class_of(field=(annotation, opt(None))))


def test_other_classes_are_refused():
    with pytest.raises(TypeError, match="is no attrs class"):
        options(int)
    for default, said in (("ten", "'ten' is no whole number"), (1.5, "1.5 is no whole number"), (None, "needs a value")):
        with pytest.raises(TypeError, match=f"option 'x': its default: {said}"):
            options(class_of(x=(int, opt(default))))
    with pytest.raises(TypeError, match="option '_x' starts with an underscore"):
        options(class_of(_x=(int, opt(1))))
    spelled = (int, opt(1, also={"y": abs}))
    for other in ({"y": (int, opt(1))}, {"z": spelled}):
        with pytest.raises(TypeError, match="two options are spelled y"):
            options(class_of(x=spelled, **other))
    with pytest.raises(TypeError, match="two options are spelled no_x"):
        options(class_of(x=(bool, opt(True)), no_x=(int, opt(1))))


def test_fields_that_are_no_options():
    made = class_of(x=(int, opt(1, "X.")), y=(int, attrs.field(init=False, default=2)))
    assert [option.name for option in options(made)] == ["x"]


def test_inherited_and_overridden_options():
    @attrs.frozen(kw_only=True)
    class Mine(Train):
        keep: float = opt(0.5, "Kept.")
        epochs: int = opt(3, "Fewer.", validator=le(9))

    found = {option.name: option for option in options(Mine)}
    assert set(found) == {option.name for option in options(Train)} | {"keep"}
    assert (found["epochs"].default, found["epochs"].help) == (3, "Fewer.")
    with pytest.raises(UsageError, match="'epochs' must be <= 9: 10"):
        build(Mine, {"epochs": 10}, "mine")


# -- values ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        *[("flag", text, True) for text in ("true", "True", "yes", "on", "1", 1, True)],
        *[("flag", text, False) for text in ("false", "FALSE", "no", "off", "0", 0, False)],
        *[("count", given, 5) for given in ("5", " 5 ", "+5", 5, 5.0)],
        ("count", "-5", -5),
        *[("rate", given, 0.5) for given in ("0.5", ".5", "5e-1", 0.5)],
        ("rate", 2, 2.0),
        *[("word", text, text) for text in ("x", "", "none", "a,b", "true")],
        *[("file", given, Path("x/y")) for given in ("x/y", Path("x/y"), "x//y/")],
        *[("colour", text, text) for text in ("red", "deep-blue")],
        *[("sizes", given, (300, 100)) for given in ("300,100", " 300 , 100,", [300, 100], (300, 100), ["300", 100.0])],
        *[("sizes", given, ()) for given in ("", "none", [], ())],
        *[("sizes", given, (7,)) for given in ("7", 7, [7])],
        ("rates", "1,2.5", (1.0, 2.5)),
        ("colours", "red,green", ("red", "green")),
        *[("limit", given, None) for given in ("none", None)],
        ("limit", "4", 4),
        *[("place", given, wanted) for given, wanted in (("none", None), (None, None), ("x", Path("x")))],
        *[("steps", given, wanted) for given, wanted in (("none", None), ("", ()), ("1,2", (1, 2)), ([1], (1,)))],
    ],
)
def test_conversion(name, given, wanted):
    found = value(name, given)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        *[("flag", given, "is neither true nor false") for given in ("maybe", "", 2, 1.0, "2", [True])],
        *[
            ("count", given, "is no whole number")
            for given in ("5.5", 5.5, "x", "", "1e3", True, [1], {}, float("inf"), float("nan"))
        ],
        *[("rate", given, "is no number") for given in ("x", "", "1,5", True, [1.0], 10**400)],
        *[("rate", given, "is not finite") for given in ("inf", "-inf", "nan", "1e999", float("inf"), float("nan"))],
        *[("word", given, "is no text; put it in quotes") for given in (5, 5.0, True, ["a"])],
        *[("file", given, "is no path; put it in quotes") for given in (5, False, [])],
        ("colour", "blue", "'blue' is none of red, green, deep-blue"),
        ("colour", "gren", "; did you mean 'green'?"),
        *[("colour", given, "is none of red") for given in (1, True, ["red"], "")],
        *[("sizes", given, "is no whole number") for given in ("1,x", "1;2", [1.5], [[1]], [True], "1 2")],
        *[("count", given, "needs a value") for given in (None,)],
        ("limit", "nothing", "'nothing' is no whole number"),
        ("colours", "red,blue", "'blue' is none of"),
    ],
)
def test_values_without_meaning(name, given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        value(name, given)


finite = st.floats(allow_nan=False, allow_infinity=False)
VALUES = {
    "flag": st.booleans(),
    "count": st.integers(0, 10**30),
    "rate": finite,
    "word": st.text(),
    "file": st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])).map(Path),
    "colour": st.sampled_from(["red", "green", "deep-blue"]),
    "sizes": st.lists(st.integers()).map(tuple),
    "rates": st.lists(finite).map(tuple),
    "colours": st.lists(st.sampled_from(["red", "green"])).map(tuple),
    "limit": st.none() | st.integers(),
    "place": st.none() | st.text("ab/.").map(Path).filter(lambda path: str(path) != "none"),
    "steps": st.none() | st.lists(st.integers()).map(tuple),
}
everything = st.fixed_dictionaries({}, optional=VALUES)


@given(everything)
def test_an_instance_survives_its_record(values):
    """What a run's record holds, read back, is the same options, as what they are and as what they are named after."""
    made = build(Every, values, "test")
    record = json.loads(json.dumps(effective(made)))
    again = build(Every, resolve(Every, record, "record"), "record")
    assert again == made
    assert canonical(effective(again)) == canonical(effective(made))
    differing = json.loads(canonical(changed(made)))
    assert build(Every, resolve(Every, differing, "record"), "record") == made
    assert all(differing[name] == record[name] for name in differing)


@given(everything.filter(lambda values: values.get("word") != "none" and "," not in str(values.get("word"))))
def test_text_means_what_the_value_means(values):
    """The command line says everything that a value can be."""
    texts = {}
    for name, wanted in values.items():
        parts = wanted if isinstance(wanted, tuple) else (wanted,)
        texts[name] = "none" if wanted is None else ",".join(map(str, parts))
    assert resolve(Every, texts, "test") == values


@given(st.dictionaries(st.sampled_from(sorted(VALUES)), st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_any_text_is_converted_or_refused(values):
    try:
        build(Every, resolve(Every, values, "test"), "test")
    except UsageError as error:
        assert "\n" not in str(error).strip()


# -- names -----------------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Kept:
    keep: float = opt(0.5, "Kept.", validator=le(1), also={"sparsity": lambda gone: 1 - gone, "per_cent": lambda p: p / 100})
    batch_size: int = opt(1, "Size.")


def test_names_with_hyphens_and_other_spellings():
    assert resolve(Kept, {"batch-size": "2", "sparsity": "0.75"}, "x") == {"batch_size": 2, "keep": 0.25}
    assert resolve(Kept, {"per-cent": 50}, "x") == {"keep": 0.5}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batchsize": 1}, "here: unknown option 'batchsize'; did you mean 'batch_size'?"),
        ({"sparsit": 1}, "here: unknown option 'sparsit'; did you mean 'sparsity'?"),
        ({"zzz": 1}, "here: unknown option 'zzz'"),
        ({"keep": 1, "sparsity": 0.5}, "here: sparsity sets keep a second time; give one of them"),
        ({"batch_size": 1, "batch-size": 2}, "here: batch-size sets batch_size a second time; give one of them"),
        ({"sparsity": "x"}, "here: sparsity: 'x' is no number"),
        ({"batch-size": "x"}, "here: batch-size: 'x' is no whole number"),
    ],
)
def test_names_and_values_that_are_refused(values, said):
    with pytest.raises(UsageError) as caught:
        resolve(Kept, values, "here")
    assert str(caught.value) == said


def test_the_command_line_is_spoken_of_in_its_own_terms():
    with pytest.raises(UsageError, match=r"^--batch-size: 'x' is no whole number$"):
        resolve(Kept, {"batch_size": "x"}, "command line")


def test_required_options():
    @attrs.frozen(kw_only=True)
    class Needy:
        table: Path = opt(help="A table.")
        size: int = opt(3, "Size.")

    assert [option.required for option in options(Needy)] == [True, False]
    with pytest.raises(UsageError, match=r"^here: table is required: A table\.$"):
        build(Needy, {}, "here")
    made = build(Needy, {"table": Path("3")}, "here")
    assert changed(made) == {"table": "3"}


def test_nearest():
    assert nearest("conv", ["conv2", "fc"]) == "; did you mean 'conv2'?"
    assert nearest("xyz", ["conv2", "fc"]) == nearest("a", []) == ""


def test_canonical_form():
    assert canonical({"b": [1, 2.0], "a": {"d": None, "c": True}}) == '{"a":{"c":true,"d":null},"b":[1,2.0]}'


# -- specifications --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("conv4", "conv4", {}),
        ("conv4:", "conv4", {}),
        ("core/conv4:width=0.5", "core/conv4", {"width": "0.5"}),
        ("conv4:width=0.5,bias=true", "conv4", {"width": "0.5", "bias": "true"}),
        ("fc:hidden=300,100,bias=true", "fc", {"hidden": "300,100", "bias": "true"}),
        ("fc:bias=true,hidden=300,100", "fc", {"hidden": "300,100", "bias": "true"}),
        ("fc:hidden=", "fc", {"hidden": ""}),
        ("npz:path=C:/a=b.npz", "npz", {"path": "C:/a=b.npz"}),
        ("x: a = 1, b = 2", "x", {"a": " 1", "b": " 2"}),
    ],
)
def test_split_spec(text, name, values):
    assert split_spec(text) == (name, values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conv4:0.5", "conv4:0.5: '0.5' is no key=value; write conv4:key=value,key=value"),
        ("fc:300,bias=true", "'300' is no key=value"),
        ("fc:bias=true,bias=false", "bias is given twice"),
        ("fc:bias=true, bias=false", "bias is given twice"),
    ],
)
def test_specifications_that_are_refused(text, said):
    with pytest.raises(UsageError) as caught:
        split_spec(text)
    assert said in str(caught.value)


word = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789./", min_size=1)


@given(word, st.dictionaries(word, st.lists(word, min_size=1).map(",".join)))
def test_specifications_are_put_together_again(name, values):
    spec = name + (":" + ",".join(f"{key}={text}" for key, text in values.items()) if values else "")
    assert split_spec(spec) == (name, values)


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
        (["--optimizer", "sdg"], "--optimizer: 'sdg' is none of sgd, adam, adamw; did you mean 'sgd'?"),
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
