"""Training curves and results over options: what is one line, where it runs, and what it is called."""

import json

import numpy as np
import pytest
from matplotlib.colors import to_hex

from widenet import UsageError, figures
from widenet.curves import lacking, training_curves
from widenet.legends import groups, setting, worded
from widenet.outcomes import final, outcome_curves
from widenet.runs import Run
from widenet.series import averaged, points


def made(folder, metrics, seed=0, method="core/train", result=None, arch=None, parents=(), **options):
    """A run's folder with so many lines of metrics."""
    path = folder / f"seed-{seed}"
    path.mkdir(parents=True)
    record = {
        **dict.fromkeys(("started", "host"), ""),
        "schema": 1,
        "argv": [],
        "component": method,
        "seed": seed,
        "status": "finished",
        "arch": {"name": "core/fc", "options": arch or {}},
        "dataset": {"name": "core/digits", "options": {}},
        "options": {name: {"value": value, "source": "default"} for name, value in options.items()},
        "result": result or {},
        "parents": list(parents),
    }
    (path / "run.json").write_text(json.dumps(record))
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    return Run.open(path)


def epochs(*losses, name="test/loss", **more):
    return [{"epoch": n, "step": n, name: loss, "seconds": 2.0, **more} for n, loss in enumerate(losses, 1)]


def both(*losses):
    return [{**line, "train/loss": line["test/loss"] + 1} for line in epochs(*losses)]


def curve(axes, style="-"):
    """The one line of this style that is drawn."""
    (found,) = [line for line in axes.lines if line.get_linestyle() == style and len(line.get_xdata())]
    return found


def legend(figure):
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def values(line):
    return np.nan_to_num(np.asarray(line.get_ydata(), dtype=float), nan=-1).tolist()


def test_loss_and_accuracy_of_every_split(tmp_path):
    lines = [{"epoch": n, **{f"{s}/{m}": n for s in ("train", "val", "test") for m in ("loss", "accuracy")}} for n in (1, 2)]
    figure = training_curves([made(tmp_path / "a", lines)])
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss (nats)", "accuracy (fraction)"]
    assert {line.get_linestyle() for line in figure.axes[0].lines if len(line.get_xdata())} == {"--", ":", "-"}
    assert legend(figure) == ["train", "val", "test"]
    assert len({to_hex(line.get_color()) for line in figure.axes[1].lines}) == 3


def test_seeds_are_one_line_in_a_band(tmp_path):
    figure = training_curves([made(tmp_path / "a", epochs(*losses), seed) for seed, losses in enumerate([(1, 4), (3, 8)])])
    (axes,) = figure.axes
    assert curve(axes).get_xdata().tolist() == [1, 2]
    assert values(curve(axes)) == [2, 6]
    heights = {round(y, 6) for y in axes.collections[0].get_paths()[0].vertices[:, 1]}
    assert {round(2 - 2**0.5, 6), round(6 + 8**0.5, 6)} <= heights
    assert figure.get_suptitle() == "a: 2 seeds"
    assert figure.legends[0].get_title().get_text().startswith("line and band: mean and standard deviation")


def test_groups_are_called_what_differs(tmp_path):
    runs = [made(tmp_path / f"{lr}", both(1, 2), seed, lr=lr, momentum=0.9) for lr in (0.1, 0.2) for seed in (0, 1)]
    assert legend(training_curves(runs)) == ["lr=0.1 (2 runs)", "lr=0.2 (2 runs)", "train", "test"]
    assert [group.label for group in groups(runs[:1])] == ["the others"]


def test_long_names_are_no_longer_than_needed(tmp_path):
    many = {f"option_{number}": 0 for number in range(20)}
    runs = [made(tmp_path / f"{n}", epochs(1), **{**many, **dict.fromkeys(many, n)}, lr=n) for n in (1, 2)]
    assert [group.label for group in groups(runs)] == ["option_0=1", "option_0=2"]


def test_by_an_option_all_its_runs_are_one_line(tmp_path):
    runs = [made(tmp_path / f"{lr}-{w}", epochs(w), lr=lr, arch={"width": w}) for lr in (0.1, 0.2) for w in (1.0, 3.0)]
    figure = training_curves(runs, by="width")
    assert legend(figure) == ["arch.width=1.0 (2 runs)", "arch.width=3.0 (2 runs)"]
    assert [values(line) for line in figure.axes[0].lines if len(line.get_xdata())] == [[1], [3]]


def test_uneven_lengths_are_averaged_as_far_as_each_got(tmp_path):
    runs = [made(tmp_path / "a", epochs(*losses), seed) for seed, losses in enumerate([(1, 4, 9), (3,)])]
    assert values(curve(training_curves(runs).axes[0])) == [2, 4, 9]
    line = curve(training_curves(runs, x="seconds").axes[0])
    assert (line.get_xdata().tolist(), values(line)) == ([2, 4, 6], [2, 4, 9])


def test_loops_lie_one_after_the_other(tmp_path):
    run = made(tmp_path / "a", epochs(5, 4) + epochs(3, 2, 1))
    (axes,) = training_curves([run]).axes
    line = next(line for line in axes.lines if len(line.get_xdata()) > 2)
    assert line.get_xdata().tolist() == [1, 2, 2, 3, 4, 5]
    assert values(line) == [5, 4, -1, 3, 2, 1]  # broken where the second begins
    assert [other.get_xdata() for other in axes.lines if other.get_linewidth() == 0.6] == [[2, 2]]
    assert [point.key for point in points(run)] == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)]


def test_epoch_zero_is_in_its_loop(tmp_path):
    run = made(tmp_path / "a", [{"epoch": 0, "test/loss": 7.0}, *epochs(5)])
    assert averaged([list(points(run))], "test/loss", "epoch").x.tolist() == [0, 1]


def test_a_single_epoch_is_seen(tmp_path):
    (axes,) = training_curves([made(tmp_path / "a", epochs(2.0), seed) for seed in (0, 1)]).axes
    line = curve(axes)
    assert line.get_marker() not in ("", "None", None)
    assert line.get_markevery() == 1
    low, high = axes.get_xlim()
    assert low <= 0.5 < 1.5 <= high
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_a_point_alone_in_a_long_line_has_a_marker(tmp_path):
    losses = [1.0] * 20 + [None, 2.0, None] + [1.0] * 20
    line = curve(training_curves([made(tmp_path / "a", epochs(*losses))]).axes[0])
    assert line.get_markevery() == [21]
    assert np.isnan(line.get_ydata()[20])


def test_runs_without_metrics_are_left_out(tmp_path):
    able, unable = made(tmp_path / "a", epochs(1, 2)), made(tmp_path / "b", [], method="core/import")
    assert training_curves([unable, able]).get_suptitle() == able.name
    assert lacking([unable, able]) == [unable]


def test_without_loss_and_accuracy_other_metrics_are_drawn(tmp_path):
    run = made(tmp_path / "a", epochs(0.5, 0.4, name="mask/flips"))
    assert [axes.get_ylabel() for axes in training_curves([run]).axes] == [
        "mask entries changed (fraction)",
        "time of an epoch (s)",
    ]


@pytest.mark.parametrize("columns", [["lr"], ["accuracy"], ["test/los"]])
def test_unknown_metrics_are_refused_with_those_there_are(columns, tmp_path):
    with pytest.raises(UsageError, match=r"no run has a metric .*; there are loss, seconds") as refusal:
        training_curves([made(tmp_path / "a", epochs(1))], columns)
    assert ("did you mean 'test/loss'?" in str(refusal.value)) == (columns == ["test/los"])


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(UsageError, match="a/seed-0: no metrics to draw; methods that train leave some"):
        training_curves([made(tmp_path / "a", [{"epoch": 1, "note": "x", "flag": True}])])


def widths(tmp_path, **more):
    return [
        made(tmp_path / f"{w}", epochs(1.0), seed, result={"test_accuracy": w / 10 + seed / 100}, arch={"width": w}, **more)
        for w in (2.0, 0.5, 1.0)
        for seed in (0, 1)
    ]


def test_results_over_widths_that_double(tmp_path):
    (axes,) = outcome_curves(widths(tmp_path), "width").axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "width (factor)"
    assert list(curve(axes).get_xdata()) == [0.5, 1.0, 2.0]
    assert values(curve(axes)) == pytest.approx([0.055, 0.105, 0.205])


def test_results_over_other_numbers_stand_on_a_plain_axis(tmp_path):
    runs = [made(tmp_path / f"{lr}", [], result={"test_loss": lr}, lr=lr) for lr in (0.1, 0.2, 0.3)]
    assert outcome_curves(runs, "lr", "test_loss").axes[0].get_xscale() == "linear"


def test_results_over_words_are_not_joined(tmp_path):
    runs = [made(tmp_path / init, [], result={"test_loss": 1.0}, init=init) for init in ("zero", "normal")]
    (axes,) = outcome_curves(runs, "init", "test_loss").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["zero", "normal"]
    assert axes.lines[0].get_linestyle() == "None"


def test_lines_of_results_are_what_else_differs(tmp_path):
    runs = [*widths(tmp_path / "one", lr=0.1), *widths(tmp_path / "two", lr=0.2)]
    assert legend(outcome_curves(runs, "width")) == ["lr=0.1", "lr=0.2"]
    assert legend(outcome_curves(runs, "width", by="method")) == []


def test_parents_tell_no_results_apart(tmp_path):
    runs = [made(tmp_path / f"{k}", [], result={"kept": k}, k=k, parents=[f"from-{k}/seed-0"]) for k in (1, 2, 4)]
    assert values(curve(outcome_curves(runs, "k", "kept").axes[0])) == [1, 2, 4]


def test_ten_lines_look_different(tmp_path):
    runs = [made(tmp_path / f"{n}", [], result={"kept": n}, lr=n, k=1) for n in range(10)]
    lines = outcome_curves(runs, "k", "kept").axes[0].lines
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 10


def test_an_unfinished_run_comes_to_its_last_metrics(tmp_path):
    run = made(tmp_path / "a", epochs(0.5, 0.7, name="test/accuracy"))
    assert final(run)["test_accuracy"] == final(run)["test/accuracy"] == 0.7


def test_settings_are_found_by_their_last_word(tmp_path):
    runs = [made(tmp_path / "a", [], lr=1, arch={"width": 1.0, "lr": 2})]
    assert (setting(runs, "width"), setting(runs, "lr"), setting(runs, "arch.lr")) == ("arch.width", "lr", "arch.lr")
    with pytest.raises(UsageError, match=r"no run has an option 'wdth'; did you mean 'width'\?"):
        setting(runs, "wdth")


@pytest.mark.parametrize("name, words", [("test/loss", "test loss (nats)"), ("arch.width", "width (factor)"), ("a_b", "a b")])
def test_words_of_axes(name, words):
    assert worded(name) == words


def test_the_same_runs_give_the_same_bytes(tmp_path):
    runs = widths(tmp_path)
    for kind in ("png", "svg", "pdf"):
        assert figures.rendered(training_curves(runs), kind) == figures.rendered(training_curves(runs), kind)
