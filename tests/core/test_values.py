"""Values of options: every kind of annotation, and text and JSON that mean the same."""

import json
import re
from pathlib import Path

import pytest
from every import BY_NAME, Every
from hypothesis import given
from hypothesis import strategies as st

from widenet.errors import UsageError
from widenet.options import build, canonical, changed, convert, effective, resolve


def value(name, given):
    return convert(BY_NAME[name], given)


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
