"""The words of a command, taken apart and put together anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet.cli.words import with_seed, without

OWN = {"--repeats": 1, "--stack": 0, "-q": 0, "--pair": 2}
VALUES = st.text("abc=0-", min_size=1, max_size=4).filter(lambda word: word.partition("=")[0] not in OWN)
OTHERS = st.one_of(
    st.just(["run"]),
    st.tuples(st.sampled_from(["--lr", "--arch", "--repeat", "--stacks", "--no-stack", "-qq"]), VALUES).map(list),
    VALUES.map(lambda value: [f"--lr={value}"]),
)
TAKEN = st.one_of(
    VALUES.map(lambda value: ["--repeats", value]),
    VALUES.map(lambda value: [f"--repeats={value}"]),
    st.just(["--stack"]),
    st.just(["-q"]),
    st.tuples(VALUES, VALUES).map(lambda pair: ["--pair", *pair]),
    VALUES.map(lambda value: [f"--pair={value}"]),
)
PARTS = st.lists(st.one_of(OTHERS.map(lambda words: (words, True)), TAKEN.map(lambda words: (words, False))), max_size=8)


@given(PARTS)
def test_all_of_an_options_words_go_and_no_others(parts):
    words = [word for part, _ in parts for word in part]
    assert without(words, OWN) == [word for part, stays in parts if stays for word in part]


@given(PARTS)
def test_nothing_is_left_to_take(parts):
    left = without([word for part, _ in parts for word in part], OWN)
    assert without(left, OWN) == left
    assert without(left, {}) == left


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--repeats"], []),
        (["--repeats", "--stack"], []),
        (["--repeats="], []),
        (["--repeats", "3", "--repeats=4", "--repeats", "5"], []),
        (["--stack", "--no-stack"], ["--no-stack"]),
        (["--arch", "fc:hidden=3"], ["--arch", "fc:hidden=3"]),
        ([], []),
    ],
)
def test_examples(words, left):
    assert without(words, OWN) == left


@given(PARTS, st.lists(st.integers(0, 9), max_size=3), st.booleans(), st.integers(0, 2**63))
def test_a_command_has_one_seed_at_its_end(parts, seeds, joined, seed):
    words = [word for part, _ in parts for word in part]
    given_ = [word for number in seeds for word in ([f"--seed={number}"] if joined else ["--seed", str(number)])]
    for made in (with_seed([*given_, *words], seed), with_seed([*words, *given_], seed)):
        assert made == [*words, "--seed", str(seed)]
    assert with_seed(with_seed(words, 1), seed) == with_seed(words, seed)
