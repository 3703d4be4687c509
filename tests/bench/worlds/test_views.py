"""What the best reader could advise: small situations worked out by hand."""

from __future__ import annotations

import pytest

from semprop.bench.worlds.digits import DIGITS, operation_of
from semprop.bench.worlds.views import Situation, View, expected

SUM = "Add the numbers."


def situation(text, values, repaired, domain=DIGITS):
    operation = operation_of(text)
    wanted = operation((repaired[0], *values[1:]))
    return Situation(values, repaired, (domain,) * len(values), operation(values), wanted, operation, True)


def test_a_joint_call_changes_one_of_two_inputs_that_are_equally_to_blame():
    found = expected(View.JOINT, situation(SUM, ("3", "5"), ("4", "5")))
    assert (found.valid, found.change, found.aligned) == (1.0, (0.5, 0.5), (0.5, 0.0))


def test_calls_apart_change_both_or_none_of_them_half_of_the_time():
    for view in (View.PER_EDGE, View.UNLABELLED):
        found = expected(view, situation(SUM, ("3", "5"), ("4", "5")))
        assert (found.valid, found.change) == (0.5, (0.5, 0.5))


def test_in_the_dark_a_sum_is_inverted_for_both_inputs_and_following_both_overshoots():
    found = expected(View.ALONE, situation(SUM, ("3", "5"), ("4", "5")))
    assert (found.valid, found.change, found.aligned) == (0.0, (1.0, 1.0), (1.0, 0.0))


def test_in_the_dark_equality_cannot_be_mended():
    text = "Answer yes if the values are equal, otherwise no."
    found = expected(View.ALONE, situation(text, ("3", "5"), ("5", "5")))
    assert (found.valid, found.aligned) == (0.0, (0.0, 0.0))


def test_without_the_instruction_what_the_step_does_is_marginalised():
    found = expected(View.HIDDEN, situation(SUM, ("3", "5"), ("4", "5")))
    assert found.valid == 0.0
    assert 0.0 <= found.aligned[0] <= 1.0


def test_a_control_without_gradients_is_told_nothing():
    found = expected(View.NONE, situation(SUM, ("3", "5"), ("4", "5")))
    assert (found.valid, found.aligned) == (0.0, (0.0, 0.0))


@pytest.mark.parametrize("view", list(View))
def test_shares_are_shares(view):
    for values in (("0", "9"), ("5", "5"), ("9", "1")):
        found = expected(view, situation("Multiply the numbers. Keep only the last digit.", values, ("7", values[1])))
        for share in (found.valid, *found.change, *found.aligned):
            assert 0.0 <= share <= 1.0
