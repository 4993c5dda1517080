"""``wn analyze redundancy`` and ``similarity`` on runs of several kinds, and what they refuse."""

import numpy as np
import pytest
import torch

from widenet.store import read_arrays

CONV = ("train", "--arch", "conv2:width=0.125", "--dataset", "tiny", "--epochs", "1")
OTHER = (*CONV, "--seed", "1")
FC = ("train", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "1")
MASKED = ("supermask", "--arch", "fc:hidden=12,8", "--dataset", "tiny", "--epochs", "1")


@pytest.fixture
def analyze(wn):
    """``analyze(name, *runs and words)``: rows, folder and what was said."""

    def carry_out(name, *words):
        answer = wn("analyze", name, *words, "--threads", "1", "--json")
        assert answer.code == 0, answer.err
        kept = [line for line in answer.err.splitlines() if line.startswith("kept in ")][-1]
        return answer.json, words[0].parents[1] / kept.removeprefix("kept in "), answer.err

    return carry_out


def outputs(path, layer):
    """What a layer of a run puts out on the test samples, (n, ...), and the labels."""
    from widenet.builtin.datasets import Tiny, load_tiny
    from widenet.capture import stream
    from widenet.loading import load
    from widenet.opening import network
    from widenet.runs import Run

    net = network(load(), Run.open(path))
    batches = list(stream(net, load_tiny(None, Tiny()).test, [layer], "none"))
    return torch.cat([batch.layers[layer] for batch in batches]), torch.cat([batch.labels for batch in batches])


@pytest.mark.parametrize("words", [CONV, FC, MASKED], ids=["conv", "fc", "masked"])
def test_redundancy_of_every_kind_of_run(run, analyze, words):
    rows, folder, _ = analyze("redundancy", run(*words))
    assert [row["layer"] for row in rows] == (
        ["convs.1", "convs.3", "linear.1", "linear.3"] if words == CONV else ["linear.1", "linear.3"]
    )
    for row in rows:
        assert 0 <= row["redundant_0.95"] <= row["compressibility_0.95"] <= 1
        assert row["redundant_0.95"] == pytest.approx(1 - row["components_0.95"] / row["units"])
        assert row["similar_0.9"] <= row["similar_0.5"] <= row["units"] - row["dead"] - 1
        assert 1 <= row["effective_rank"] <= row["units"]
        assert 0 <= row["selectivity"] <= 1
    assert (folder / "redundancy.png").is_file()


def test_the_numbers_are_those_of_the_outputs(run, analyze):
    path = run(*FC)
    rows, folder, _ = analyze("redundancy", path, "--layer", "linear.1", "--thresholds", "0.3")
    x, y = outputs(path, "linear.1")
    live = x.amax(0) > x.amin(0)
    r = np.abs(np.corrcoef(x[:, live].double().T.numpy()))
    assert rows[0]["dead"] == int((~live).sum())
    assert rows[0]["similar_0.3"] == pytest.approx((r >= 0.3).sum(1).mean() - 1)
    arrays = read_arrays(folder / "arrays" / "redundancy.h5")
    expected = np.linalg.eigvalsh(np.cov(x.double().T.numpy()))
    np.testing.assert_allclose(arrays["linear.1/eigenvalues"], expected.clip(min=0), rtol=1e-9, atol=1e-14)
    means = np.stack([x[y == label].double().mean(0) for label in range(4)])
    np.testing.assert_allclose(arrays["linear.1/class_means"], means, rtol=1e-10)


def test_positions_are_rows_and_no_more_are_kept_than_asked_for(run, analyze):
    path = run(*CONV)
    whole, _, _ = analyze("redundancy", path, "--layer", "convs.1")
    some, _, _ = analyze("redundancy", path, "--layer", "convs.1", "--rows", "500")
    others, _, _ = analyze("redundancy", path, "--layer", "convs.1", "--rows", "500", "--draw", "1")
    pooled, _, _ = analyze("redundancy", path, "--layer", "convs.1", "--pool")
    samples = len(outputs(path, "convs.1")[1])
    assert [rows[0]["rows"] for rows in (whole, some, others, pooled)] == [256 * samples, 500, 500, samples]
    assert some[0]["predictability"] != others[0]["predictability"]


def test_dead_and_constant_units_are_reported(run, analyze):
    path = run(*FC, "--seed", "5")
    file = path / "weights" / "final.pt"
    state = torch.load(file)
    state["linear.0.weight"][:3] = 0
    state["linear.2.weight"][:] = 0
    torch.save(state, file)
    rows, folder, said = analyze("redundancy", path)
    assert rows[0]["dead"] >= 3
    assert rows[1]["dead"] == rows[1]["units"] == 8
    assert "linear.3: all 8 units are constant" in said
    assert rows[1]["similar_0.5"] is rows[1]["predictability"] is None
    assert rows[1]["components_0.95"] == 0
    assert rows[1]["redundant_0.95"] == rows[1]["compressibility_0.95"] == 1
    assert read_arrays(folder / "arrays" / "redundancy.h5")["linear.1/similar"][0, :3].tolist() == [-1] * 3
    similar, _, _ = analyze("similarity", path, run(*FC), "--layer", "linear.3")
    assert similar[0]["cka"] is similar[0]["best_correlation"] is None
    assert similar[0]["dead"] == 8


def test_one_unit(run, analyze):
    path = run("train", "--arch", "fc:hidden=1", "--dataset", "tiny", "--epochs", "1")
    rows, _, _ = analyze("redundancy", path)
    assert rows[0]["units"] == 1
    assert rows[0]["similar_0.5_share"] is None
    similar, _, _ = analyze("similarity", path, run(*FC))
    assert all(0 <= row["cka"] <= 1 for row in similar if row["cka"] is not None)


def test_similarity_of_two_runs(run, analyze):
    one, other = run(*CONV), run(*OTHER)
    rows, folder, _ = analyze("similarity", one, other)
    assert len(rows) == 16
    for row in rows:
        assert row["with"] == "/".join(other.parts[-2:])
        assert all(0 <= row[name] <= 1 for name in ("cka", "svcca", "cca_r2", "best_correlation", "projection_residual_back"))
    assert (folder / "similarity.png").is_file()
    same, _, _ = analyze("similarity", one, other, run(*FC), "--pairs", "same")
    assert [row["layer"] for row in same] == ["convs.1", "convs.3", "linear.1", "linear.3"] + ["linear.1", "linear.3"] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("redundancy", "--layer", "nowhere"), "no layer matches 'nowhere'"),
        (("redundancy", "--split", "val"), "tiny has no split val"),
        (("redundancy", "--energies", "1"), "energies"),
        (("redundancy", "--thresholds", "0"), "thresholds"),
        (("redundancy", "--rows", "1"), "rows"),
    ],
)
def test_what_cannot_be_studied_is_one_line(wn, run, words, said):
    answer = wn("analyze", words[0], run(*FC), *words[1:], "--threads", "1")
    assert answer.code == 2
    assert said in answer.err
    assert len([line for line in answer.err.splitlines() if line.startswith("wn: ")]) == 1


def test_what_cannot_be_compared_is_one_line(wn, run):
    one = run(*FC)
    smaller = run("train", "--arch", "fc:hidden=4", "--dataset", "digits:size=8", "--epochs", "1")
    for others, said in (
        ((one,), "is named twice"),
        ((smaller,), "compare runs of the same inputs"),
        ((run(*CONV), "--layer", "convs*"), "no layer matches"),
        ((run(*CONV), "--layer", "*linear.0", "--samples", "1"), "samples"),
    ):
        answer = wn("analyze", "similarity", one, *others, "--threads", "1")
        assert answer.code == 2, answer.err
        assert said in answer.err


def test_one_sample(wn, run, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 8, 8, 1), dtype=np.float32), np.arange(8) % 4
    np.savez(tmp_path / "one.npz", x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])
    path = run("train", "--arch", "fc:hidden=4", "--dataset", f"npz:path={tmp_path / 'one.npz'}", "--epochs", "1")
    for words in (("redundancy", path), ("similarity", path, path)):
        answer = wn("analyze", *words, "--threads", "1")
        assert answer.code == 2
        assert "has 1 sample" in answer.err or "named twice" in answer.err
