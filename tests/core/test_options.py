"""Options: annotations, names and specifications."""

from pathlib import Path
from typing import Literal

import attrs
import pytest
from attrs.validators import le
from every import BY_NAME, Every
from hypothesis import given
from hypothesis import strategies as st

from widenet.components import Train, opt
from widenet.errors import UsageError
from widenet.options import build, canonical, changed, effective, nearest, options, resolve, split_spec

NOTHING = attrs.NOTHING


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
    assert nearest("signed", ["standard", "signed_constant"]) == "; did you mean 'signed_constant'?"
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
