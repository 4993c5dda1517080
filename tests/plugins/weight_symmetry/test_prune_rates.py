"""Schedules of pruning."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widenet_weight_symmetry.rates import Schedule, matches, parse

LAYERS = ["conv1", "conv2", "fc1"]


def fired(schedule, layer, epochs=12):
    place = LAYERS.index(layer)
    return {epoch: rate for epoch in range(epochs) if (rate := schedule.at(epoch, layer, place)) is not None}


def test_the_schedule_that_the_published_help_describes():
    # The published code calls it with epochs though it counts steps, so that it never fires.
    schedule = parse(["2=0.3", "5=0.6", "8=0.95"])
    assert all(fired(schedule, layer) == {2: 0.3, 5: 0.6, 8: 0.95} for layer in LAYERS)
    assert schedule.last == 8


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        (["fc1@5=0.6"], [{}, {}, {5: 0.6}]),
        (["2=0.3", "fc1@5=0.6"], [{2: 0.3}, {2: 0.3}, {5: 0.6}]),
        (["fc1@5=0.6", "2=0.3"], [{2: 0.3}, {2: 0.3}, {5: 0.6}]),
        (["conv*@0=0.1", "conv2@1=0.2", "conv*@3=0.4"], [{0: 0.1, 3: 0.4}, {1: 0.2}, {}]),
        (["0@2=0.3", "2@1=0.5"], [{2: 0.3}, {}, {1: 0.5}]),
        (["2=0", "3=0", "4=0.999"], [{2: 0, 3: 0, 4: 0.999}] * 3),
        ([], [{}] * 3),
    ],
)
def test_the_last_pattern_that_fits_decides_alone(pieces, wanted):
    schedule = parse(pieces)
    assert [fired(schedule, layer) for layer in LAYERS] == wanted
    schedule.check({name: place for place, name in enumerate(LAYERS)})


@given(
    steps=st.dictionaries(st.integers(0, 50), st.floats(0, 0.999), min_size=1, max_size=6).map(
        lambda found: list(zip(sorted(found), sorted(found.values()), strict=True))
    ),
    pattern=st.sampled_from(["", "fc1@", "2@", "f*@"]),
)
def test_whatever_rises_is_taken(steps, pattern):
    schedule = parse([f"{pattern}{epochs}={sparsity!r}" for epochs, sparsity in steps])
    assert fired(schedule, "fc1", 60) == dict(steps)
    assert schedule.last == steps[-1][0]


def test_without_pieces_nothing_is_pruned():
    assert parse(()) == Schedule({})
    assert parse(()).last == -1


def test_positions_and_names():
    assert matches("0", 0, "fc1")
    assert not matches("0", 1, "0")
    assert not matches("0", None, "fc1")
    assert matches("[0]", 7, "0")
    assert matches("layer?.*", 3, "layer2.conv")
    assert not matches("FC1", 0, "fc1")


@pytest.mark.parametrize(
    "piece", ["0.3", "2=", "=0.3", "2=x", "x=0.3", "@2=0.3", "fc1@=0.3", "2.5=0.3", "fc1=2=0.3", "2@0.3", ""]
)
def test_other_forms_are_refused(piece):
    with pytest.raises(ValueError, match=r"is no EPOCHS=SPARSITY, such as 2=0\.3 or fc1@5=0\.6$") as refused:
        parse(["1=0.1", piece])
    assert repr(piece) in str(refused.value)


@pytest.mark.parametrize("piece", ["-1=0.3", "2=1", "2=-0.1", "2=nan", "2=inf"])
def test_bad_numbers_are_refused(piece):
    with pytest.raises(ValueError, match="needs epochs from 0 and a sparsity from 0, below 1"):
        parse([piece])


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (
            ["2=0.5", "3=0.4"],
            r"rates go backwards for '\*': 3=0.4 comes after 2=0.5; epochs must rise, and sparsities must not fall",
        ),
        (["2=0.5", "1=0.6"], r"go backwards for '\*': 1=0.6 comes after 2=0.5"),
        (["2=0.5", "2=0.6"], "go backwards"),
        (["fc1@2=0.5", "9=0.9", "fc1@3=0.2"], "go backwards for 'fc1': 3=0.2 comes after 2=0.5"),
    ],
)
def test_schedules_do_not_go_backwards(pieces, message):
    with pytest.raises(ValueError, match=message):
        parse(pieces)


def test_patterns_that_fit_no_layer_are_named():
    for pattern in ("fc2", "3"):
        with pytest.raises(ValueError, match=f"rates: no layer '{pattern}' to prune; there are: 0 conv1, 1 conv2, 2 fc1"):
            parse([f"{pattern}@1=0.5"]).check({name: place for place, name in enumerate(LAYERS)})


def test_no_torch_is_imported():
    code = "import sys; import widenet_weight_symmetry.rates; print(*({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_pattern_that_later_ones_replace_is_refused():
    with pytest.raises(ValueError, match="later patterns are for all layers that 'fc1' is for"):
        parse(["fc1@1=0.5", "fc*@2=0.6"]).check({name: place for place, name in enumerate(LAYERS)})


def test_fractions_of_survivors_may_fall():
    schedule = parse(["0=0.9", "1=0.5"], "survivors")
    assert fired(schedule, "fc1") == {0: 0.9, 1: 0.5}
    with pytest.raises(ValueError, match="rates go backwards"):
        parse(["1=0.9", "1=0.5"], "survivors")
