"""The table: pooled and stratified, by half, over seeds."""

import pytest
import worlds

from semprop.bench.diagnosis.laboratory import Spent
from semprop.bench.reproduction.experiment import EXPERIMENTS
from semprop.bench.reproduction.tally import (
    Ran,
    against_full,
    beside,
    equivalence,
    half_of,
    table,
    table_document,
    total,
)
from semprop.engine import Score
from semprop.engine.method import Scored
from semprop.engine.tape import Tape
from semprop.engine.training.claim import held_out


def entry(number, value):
    return Scored(Tape(worlds.example(number), "", (), "answer"), Score(float(value)))


def ran(task, wins, n, seed=0, label="full"):
    rows = [(entry(place, 0), entry(place, place < wins)) for place in range(n)]
    return Ran(label, task, seed, held_out(rows, [], 0), Spent(10, 100, 20, 0.5))


def test_tasks_are_pooled_by_item_and_stratified_by_task():
    rows = table([ran("bbh:navigate", 90, 90), ran("bbh:snarks", 0, 10)])
    whole = rows[0]
    assert [(row.label, row.part) for row in rows] == [("full", ""), ("full", "Algorithmic"), ("full", "NLP")]
    assert whole.cells[0].pooled.difference == pytest.approx(0.9)
    assert whole.cells[0].strata.difference == pytest.approx(0.5)
    assert rows[1].gain == 1.0
    assert rows[2].gain == 0.0


def test_one_task_has_no_strata_and_other_data_no_halves():
    (row,) = table([ran("gsm8k", 20, 40)])
    assert row.cells[0].strata is None
    assert half_of("gsm8k") == ""


def test_seeds_are_the_unit_of_a_claim_about_a_method_from_six_on():
    five = table([ran("gsm8k", 20, 40, seed) for seed in range(5)])[0]
    six = table([ran("gsm8k", 20, 40, seed) for seed in range(6)])[0]
    assert five.p is None
    assert six.p == pytest.approx(2**-5)
    assert len(six.cells) == 6


def test_arms_are_compared_on_the_tasks_that_both_have():
    hard = [ran("bbh:navigate", 10, 40, seed) for seed in range(6)]
    easy = [ran("bbh:snarks", 40, 40, seed) for seed in range(6)]
    (found,) = against_full(table([*hard, *easy, *(ran("bbh:snarks", 40, 40, seed, "other") for seed in range(6))]))
    assert (found.difference, found.left_out) == (0.0, 6)
    assert "a tie within 5 points" in found.words
    assert found.words.endswith("; 6 runs that only one of them has are left out")
    assert against_full(table([*hard, *(ran("bbh:snarks", 1, 40, seed, "other") for seed in range(6))])) == ()


def test_a_run_that_measured_nothing_is_left_out():
    assert table([Ran("full", "gsm8k", 0, None, Spent())]) == ()


def test_the_published_figures_stand_beside_their_part():
    figures = EXPERIMENTS["bbh"].figures
    assert [figure.score for figure in beside(figures, "NLP")] == [0.825, 0.487]
    assert beside(figures, "") == ()


def test_costs_add_up_and_the_table_is_data():
    both = [ran("bbh:navigate", 30, 40), ran("bbh:snarks", 10, 40)]
    assert total(both) == Spent(20, 200, 40, 1.0)
    document = table_document(table(both))[0]
    assert document["seeds"][0]["stratified"]["n"] == 80
    assert document["gain"] == pytest.approx(0.5)


def arms(gap, seeds):
    full = [ran("gsm8k", 20, 40, seed) for seed in range(seeds)]
    other = [ran("gsm8k", 20 - gap, 40, seed, "no-gate") for seed in range(seeds)]
    return against_full(table([*full, *other]))[0]


def test_arms_are_compared_over_seeds_never_over_items():
    few, many = arms(8, 5), arms(8, 6)
    assert few.words == "no claim below 6 seeds"
    assert many.difference == pytest.approx(-0.2)
    assert many.words.startswith("they differ (p = 0.031")


def test_arms_that_are_surely_close_tie_and_others_stay_open():
    assert arms(0, 6).words.startswith("a tie within 5 points")
    assert "neither" in arms(2, 5).words or arms(2, 5).words == "no claim below 6 seeds"
    assert equivalence([0.2, -0.2, 0.2, -0.2, 0.2, -0.2]) > 0.05
    assert equivalence([0.06] * 6) == 1.0
    assert against_full(table([ran("gsm8k", 1, 40)])) == ()
