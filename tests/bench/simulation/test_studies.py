"""Simulated figures: what they are drawn from, how they are judged, and the studies at a small size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semprop.bench.simulation import failures, races, runs, sizes
from semprop.bench.simulation.draws import BASE, binary, generator, graded, successors
from semprop.bench.simulation.figures import Figure, claimed_range, markdown, mean, share, shown
from semprop.bench.simulation.scale import Scale
from semprop.bench.simulation.studies import STUDIES, Study, chosen
from semprop.engine import SpecificationError
from semprop.engine.gates import SequentialGate, StrictGate
from semprop.engine.statistics import items_needed

SMALL = Scale(runs=40, races=60, checked=4)


def test_boards_have_the_gain_and_the_discordance_that_they_were_asked_for() -> None:
    given = binary(generator(0, "x"), 400, 500, (0.1, 0.0), 0.2)
    differences = given[:, 1:] - given[:, :1]
    assert given[:, 0].mean() == pytest.approx(BASE, abs=0.005)
    assert differences.mean(axis=(0, 2)) == pytest.approx([0.1, 0.0], abs=0.005)
    assert np.abs(differences).mean(axis=(0, 2)) == pytest.approx([0.2, 0.2], abs=0.005)


def test_a_candidate_of_a_lucky_incumbent_is_expected_to_be_worse_on_the_same_items() -> None:
    lucky = np.ones((200, 1, 200))
    assert successors(generator(0, "x"), lucky, (0.0,), 0.2).mean() < 0.9


def test_graded_boards_have_mean_and_mean_square() -> None:
    given = graded(generator(0, "x"), 400, 500, 0.05, 0.075)
    differences = given[:, 1] - given[:, 0]
    assert (differences.mean(), (differences**2).mean()) == pytest.approx((0.05, 0.075), abs=0.002)
    assert given.min() >= 0
    assert given.max() <= 1


def test_streams_of_different_purposes_differ_and_of_one_are_the_same() -> None:
    first, again, other = (generator(*key).random(4).tolist() for key in ((1, "a", 0), (1, "a", 0), (1, "b", 0)))
    assert first == again != other


@pytest.mark.parametrize(
    ("text", "low", "high"), [("0.034", 0.0335, 0.0345), ("0.44–0.49", 0.435, 0.495), ("1,544", 1543.5, 1544.5)]
)
def test_a_claimed_figure_stands_for_all_that_round_to_it(text: str, low: float, high: float) -> None:
    assert claimed_range(text) == pytest.approx((low, high))


def test_a_claim_holds_within_its_rounding_and_three_standard_errors() -> None:
    near = Figure(table="t", what="w", value=0.735, error=0.003, n=20_000, claimed="0.72")
    assert near.holds
    assert Figure(table="t", what="w", value=0.75, error=0.003, n=20_000, claimed="0.72").holds is False
    assert Figure(table="t", what="w", value=0.75, claimed="0.75").holds
    assert Figure(table="t", what="w", value=0.75).holds is None
    assert Figure(table="t", what="w", value=math.nan, claimed="0.75").holds is None


def test_shares_and_means_come_with_their_standard_errors() -> None:
    assert share(np.array([True, False, False, False])) == pytest.approx((0.25, math.sqrt(0.25 * 0.75 / 4)))
    assert mean(np.array([1.0, 2.0, 3.0])) == pytest.approx((2.0, 1 / math.sqrt(3)))
    assert shown(Figure(table="t", what="w", value=mean(np.array([1.0]))[0])) == "none"


def test_the_strict_gate_nearly_always_accepts_something_false_and_reports_a_gain_for_it() -> None:
    accepted, gains = runs.simulated(runs.Regime(StrictGate(), False, "strict"), SMALL)
    assert np.mean(accepted > 0) > 0.9
    assert 0.09 < gains.mean() < 0.16


def test_the_sequential_gate_rarely_does() -> None:
    accepted, gains = runs.simulated(runs.Regime(SequentialGate(), True, "sequential"), SMALL)
    assert np.mean(accepted > 0) < 0.15
    assert gains.mean() < 0.02


def test_the_same_seed_gives_the_same_figures_and_every_race_counts() -> None:
    regime = runs.Regime(StrictGate(), True, "strict")
    one, other = runs.simulated(regime, SMALL), runs.simulated(regime, SMALL)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert len(one[0]) == 40


def test_the_exact_test_has_a_little_less_power_than_the_formula_says() -> None:
    for gain, rho in ((0.1, 0.2), (0.05, 0.1)):
        n = items_needed(gain, rho)
        assert 0.7 < sizes.mcnemar_power(n, rho, gain) < 0.8
        enough = sizes.exact_items(gain, rho, n)
        assert sizes.mcnemar_power(enough, rho, gain) >= 0.8 > sizes.mcnemar_power(n, rho, gain)


@pytest.mark.parametrize("study", [races, failures], ids=["races", "failures"])
def test_a_study_gives_shares_that_are_shares(study: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(races, "LARGE", ())
    found = list(study.figures(SMALL))  # type: ignore[attr-defined]
    assert len(found) > 40
    for entry in found:
        assert entry.n or not entry.error or math.isnan(entry.value)
        if "points" not in entry.what and "boards" not in entry.what and not math.isnan(entry.value):
            assert -0.001 <= entry.value <= 1, entry.what
    assert all(entry.value == 0 for entry in found if "differs" in entry.what)


def test_a_study_is_a_document_and_a_table() -> None:
    right = Figure(table="T", what="a", value=0.5, error=0.01, n=100, claimed="0.50")
    wrong = Figure(table="T", what="b", value=0.5, claimed="0.90")
    study = Study((right, wrong), SMALL, "semprop bench gates", 1.25)
    document = study.document()
    assert document["scale"] == {"runs": 40, "races": 60, "checked": 4, "seed": 0}
    assert [entry["holds"] for entry in document["figures"]] == [True, False]
    text = study.markdown()
    assert "| a | 0.500 ± 0.0100 | 100 | 0.50 | holds |" in text
    assert "| b | 0.500 | exact | 0.90 | wrong |" in text
    assert "1 of 2 claimed figures hold" in text
    assert markdown((), ()) == ""


def test_unknown_studies_are_refused_with_the_list() -> None:
    assert chosen([]) == tuple(STUDIES)
    with pytest.raises(SpecificationError, match="there is no study 'x'; there are: sizes, races, failures, runs"):
        chosen(["x"])
