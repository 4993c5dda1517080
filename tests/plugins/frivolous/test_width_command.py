"""``wn analyze width`` over runs of several widths, and which runs make no table."""

import csv

import pytest

TRAIN = ("--dataset", "tiny", "--epochs", "1")
WIDTHS = (0.125, 0.25, 0.5)


def of(width, *words, seed=0):
    return ("train", "--arch", f"conv2:width={width}", *TRAIN, "--seed", str(seed), *words)


@pytest.fixture
def widths(run):
    """Six runs, two of each width."""
    return [run(*of(width, seed=seed)) for width in WIDTHS for seed in (0, 1)]


@pytest.fixture
def analyze(wn):
    def carry_out(name, *words):
        answer = wn("analyze", name, *words, "--threads", "1", "--json")
        assert answer.code == 0, answer.err
        kept = [line for line in answer.err.splitlines() if line.startswith("kept in ")][-1]
        return answer.json, words[0].parents[1] / kept.removeprefix("kept in ")

    return carry_out


def values(folder):
    with (folder / "values.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_table_of_widths(analyze, widths):
    rows, folder = analyze("width", *widths)
    table = {(row["quantity"], row["width"]): row for row in rows if row["what"] == "width"}
    grown = {row["quantity"]: row for row in rows if row["what"] == "growth"}
    assert len(table) == 4 * 3
    for quantity in ("prunability", "redundancy"):
        for width in WIDTHS:
            mine, other = table[quantity, width], table[f"non-{quantity}", width]
            assert mine["value"] + other["value"] == pytest.approx(width / 0.5)
            assert mine["fraction"] == pytest.approx(mine["value"] * 0.5 / width)
            assert mine["runs"] == 2
        assert grown[quantity]["runs"] == 6
    steps = [table["redundancy", width]["value"] for width in WIDTHS]
    assert grown["redundancy"]["growth"] == pytest.approx(steps[2] / steps[1])  # the first step is left out, as published
    steps = [table["prunability", width]["value"] for width in WIDTHS]
    assert grown["prunability"]["growth"] == pytest.approx((steps[1] / steps[0] + steps[2] / steps[1]) / 2)
    assert (folder / "width.png").is_file()
    assert (folder / "width-complement.svg").is_file()
    of_runs = values(folder)
    assert {(row["quantity"], row["order"]) for row in of_runs} == {
        ("redundancy", ""),
        *(("prunability", str(n)) for n in range(3)),
    }


def test_analyses_that_are_kept_are_read(analyze, widths, monkeypatch):
    from widenet_frivolous import width_values

    widths = widths[:4:2]
    expected, _ = analyze("width", *widths, "--draws", "2", "--no-adaptive", "--per-layer")
    for path in widths:
        analyze("prunability", path, "--draws", "2")
        analyze("redundancy", path)

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(width_values, "thresholds", refuse)
    monkeypatch.setattr(width_values, "measure_layers", refuse)
    found, _ = analyze("width", *widths, "--draws", "2", "--no-adaptive", "--per-layer", "--fresh")
    assert found == expected
    assert {row["layer"] for row in found} == {"all", "convs.1", "convs.3", "linear.1", "linear.3"}


def test_the_best_of_orders_is_above_their_mean(analyze, widths):
    words = ("--no-adaptive", "--draws", "2")
    best, mean = (
        {(row["quantity"], row.get("width")): row.get("value") for row in analyze("width", *widths[::2], *words, *more)[0]}
        for more in (("--orders", "max"), ())
    )
    for width in WIDTHS:
        assert best["prunability", width] >= mean["prunability", width]
        assert best["prunability", width] + best["non-prunability", width] == pytest.approx(width / 0.5)


def test_curves_by_an_option(analyze, run):
    runs = [run(*of(width, "--lr", lr)) for lr in ("0.05", "0.1") for width in WIDTHS[:2]]
    rows, _ = analyze("width", *runs, "--by", "lr", "--draws", "1", "--no-adaptive", "--skip-first", "")
    assert {row["lr"] for row in rows} == {0.05, 0.1}
    assert len(rows) == 2 * 4 * (2 + 1)
    assert all(row["growth_low"] is None for row in rows if row["what"] == "growth")  # one run a width


def test_one_width_without_growth(analyze, run):
    runs = [run(*of(0.125, seed=seed)) for seed in (0, 1)]
    rows, folder = analyze("width", *runs, "--no-growth", "--draws", "1", "--no-adaptive")
    assert [(row["what"], row["value"] is not None) for row in rows] == [("width", True)] * 4
    assert (folder / "width.png").is_file()
    irregular, _ = analyze("width", *runs, run(*of(0.5)), "--no-growth", "--draws", "1", "--no-adaptive")
    assert len(irregular) == 8


@pytest.mark.parametrize(
    ("others", "words", "said"),
    [
        ((of(0.125, seed=1),), (), "a single width, 0.125"),
        ((of(0.5),), (), "0.5 is not twice 0.125"),
        ((of(0.25, "--lr", "0.1"),), (), "its lr is 0.1, not 0.05; name runs of one, or make curves of their own with --by lr"),
        ((("train", "--arch", "fc:hidden=12,8", *TRAIN),), (), "has no width factor 'width'"),
        ((("train", "--arch", "conv4:width=0.25", *TRAIN),), (), "its arch is core/conv4, not core/conv2"),
        ((of(0.25),), ("--by", "colour"), "--by colour: no run has an option"),
        ((of(0.25),), ("--factor", "k"), "has no width factor 'k'"),
        ((of(0.125),), (), "is named twice"),
        ((of(0.25),), ("--largest", "0.125"), "--largest 0.125 is less than width 0.25"),
        ((of(0.25),), ("--layer", "nowhere"), "no layer matches 'nowhere'"),
    ],
)
def test_what_makes_no_table_is_one_line(wn, run, others, words, said):
    answer = wn("analyze", "width", run(*of(0.125)), *(run(*other) for other in others), *words, "--threads", "1")
    assert answer.code == 2
    assert said in answer.err
    assert len([line for line in answer.err.splitlines() if line.startswith("wn: ")]) == 1
