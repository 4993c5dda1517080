"""The step schedule with a factor of its own for each milestone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import QUICK, blobs, network, of

from widenet.components import Train
from widenet.train import fit
from widenet.train.optimisers import learning_rate

STEP = {"schedule": "step", "lr": 2.0}


def rates(config, epochs):
    return [learning_rate(config, epoch) for epoch in range(1, epochs + 1)]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"milestones": (1, 3), "factors": (0.5, 0.25)}, [2, 1, 1, 0.5, 0.5]),
        ({"milestones": (1, 3), "factors": (0.5, 3.0)}, [2, 1, 1, 6, 6]),
        ({"milestones": (2,), "factors": (0.1,), "gamma": 0.5}, [2, 2, 0.2, 0.2, 0.2]),
        ({"milestones": (9,), "factors": (0.1,)}, [2] * 5),
        ({"milestones": (1, 3), "factors": (0.5, 0.25), "warmup": 2}, [1, 2, 1, 0.5, 0.5]),
        ({"milestones": (1, 3)}, [2, 0.2, 0.2, 0.02, 0.02]),
    ],
)
def test_each_is_a_fraction_of_the_peak_rate(options, wanted):
    """They do not multiply up, and count epochs from the start whether or not the rate warms up at first."""
    assert rates(Train(**STEP, **options), 5) == pytest.approx(wanted)


@given(
    milestones=st.sets(st.integers(1, 30), min_size=1, max_size=5).map(sorted),
    gamma=st.floats(0.05, 1.5),
    warmup=st.integers(0, 4),
)
def test_powers_of_gamma_are_factors(milestones, gamma, warmup):
    milestones = tuple(milestones)
    plain = Train(**STEP, milestones=milestones, gamma=gamma, warmup=warmup)
    powers = tuple(gamma**power for power in range(1, len(milestones) + 1))
    assert rates(plain, 35) == rates(Train(**STEP, milestones=milestones, factors=powers, warmup=warmup), 35)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({**STEP, "milestones": (2, 4), "factors": (0.1,)}, "1 factors for 2 milestones; give one each, or none"),
        ({**STEP, "milestones": (2,), "factors": (0.1, 0.01)}, "2 factors for 1 milestones"),
        ({"factors": (0.1,)}, "1 factors for 0 milestones"),
        ({**STEP, "milestones": (2,), "factors": (0.0,)}, "'factors' must be > 0"),
        ({**STEP, "milestones": (2, 4), "factors": (0.1, -0.1)}, "'factors' must be > 0"),
        ({**STEP, "milestones": (4, 2), "factors": (0.1, 0.01)}, "milestones go backwards: 2 comes after 4"),
        ({**STEP, "milestones": (4, 4), "factors": (0.1, 0.01)}, "milestones go backwards: 4 comes after 4"),
    ],
)
def test_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Train(**options)


def test_the_rates_of_a_run(tmp_path):
    config = Train(epochs=4, batch_size=25, lr=0.1, schedule="step", milestones=(1, 2), factors=(0.3, 0.01))
    run = of(tmp_path)
    for _ in fit(run, network(), blobs(), config):
        pass
    assert [line["lr"] for line in run.metrics()] == pytest.approx([0.1, 0.03, 0.001, 0.001])


def test_from_the_command_line_and_from_a_file(wn, tmp_path):
    (tmp_path / "step.toml").write_text('schedule = "step"\nmilestones = [1, 2]\nfactors = [0.5, 0.125]\nlr = 0.5\n')
    spelled = ("--schedule", "step", "--milestones", "1,2", "--factors", "0.5,0.125", "--lr", "0.5")
    for words in (("--config", "step.toml"), spelled):
        answer = wn("run", "train", *QUICK, "--epochs", "3", *words)
        assert answer.code == 0, answer.err
        assert answer.json["options"]["factors"]["value"] == [0.5, 0.125]
        assert [line["lr"] for line in wn("show", answer.json["run"], "--json").json["metrics"]] == [0.5, 0.25, 0.0625]
    assert len(list(tmp_path.glob("runs/*/seed-0"))) == 1, "it is one run"
    answer = wn("run", "train", *QUICK, "--factors", "0.5")
    assert answer.code == 2
    assert answer.line == "method train: 1 factors for 0 milestones; give one each, or none"
