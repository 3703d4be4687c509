"""Paired comparisons: the exact test, ties by two one-sided tests, and agreement with predictions."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.bench.worlds.comparing import UNCLEAR, agreements, exact_sign_flip, is_tie, rows, seen
from semprop.bench.worlds.measures import Validity, Verdicts
from semprop.bench.worlds.running import Cell, cell_of, document_of
from semprop.engine.errors import UsageError

CELL = Cell("w", "joint", "inf", 0, 0.0, 1.0, 50, 80, 1000, Verdicts(2, 1, 0), Validity(3, 4))


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=9))
def test_the_exact_test_counts_all_signs(whole):
    differences = [each / 20 for each in whole]
    bar = abs(sum(whole))
    signs = list(product((-1, 1), repeat=len(whole)))
    extreme = sum(abs(sum(sign * each for sign, each in zip(row, whole, strict=True))) >= bar for row in signs)
    assert exact_sign_flip(differences) == pytest.approx(extreme / len(signs))


def test_twenty_differences_of_one_sign_have_the_least_p_that_there_is():
    assert exact_sign_flip([0.1 + index / 100 for index in range(20)]) == 2**-19


def test_words_of_what_was_seen():
    assert seen([0.5] * 20) == "win"
    assert seen([-0.5] * 20) == "lose"
    assert seen([0.0, 0.01] * 10) == "tie"
    assert seen([0.5, -0.4] * 10) == UNCLEAR
    assert seen([]) == UNCLEAR


def test_fewer_than_six_seeds_show_no_tie_however_alike_they_fall():
    assert not is_tie([0.04, 0.04])
    assert seen([0.0] * 5) == UNCLEAR
    assert is_tie([0.0] * 6)
    assert not is_tie([0.05] * 20)


def cells(method, scores, share=1.0):
    return [
        replace(CELL, method=method, seed=seed, after=score, repaired=None, validity=Validity(round(4 * share), 4))
        for seed, score in enumerate(scores)
    ]


def test_a_row_compares_the_joint_method_with_another_over_the_same_seeds():
    predicted = {("w", "hidden", "inf", "score"): "win", ("w", "hidden", "inf", "advice"): "win"}
    joint, hidden = rows([*cells("joint", [1.0] * 8), *cells("hidden", [0.5] * 9)], predicted)
    assert joint.against == ()
    advice, score = hidden.against
    assert (score.pairs, score.difference, score.seen, score.predicted) == (8, 0.5, "win", "win")
    assert (advice.seen, advice.predicted) == ("tie", "win")
    found = {each.outcome: each for each in agreements([joint, hidden])}
    assert found["score"].agreeing == (1, 1)
    assert found["score"].share("win", of="seen") == (1, 1)
    assert found["advice"].share("win", of="predicted") == (0, 1)
    assert found["advice"].share("tie", of="seen") == (0, 1)


def test_repairs_are_counted_within_budgets_and_the_rest_is_censored():
    (row,) = rows([replace(CELL, repaired=calls, seed=calls or 0) for calls in (80, 100, 250, 900, None)], {})
    assert dict(row.repaired) == {100: 2, 300: 3, 1000: 4}
    assert (row.censored, row.seeds) == (1, 5)


def test_a_run_is_read_back_as_it_was_written():
    assert cell_of(document_of(CELL)) == CELL
    with pytest.raises(UsageError, match="--write"):
        cell_of({"world": "w"})


def test_f1_needs_somebody_to_blame():
    assert Verdicts(2, 1, 1).f1 == pytest.approx(4 / 6)
    assert Verdicts(0, 3, 0).f1 is None
    assert Verdicts().precision is None
