"""The criterion by enumeration, checked against what can be worked out by hand."""

from __future__ import annotations

import math

import pytest

from semprop.bench.worlds.criterion import State, criterion, lookup_states, states_of

DIGITS = tuple("0123456789")
POSITIVE = DIGITS[1:]
BITS = ("0", "1")


def numbers(rule):
    return lambda values: str(rule(*map(int, values)))


@pytest.mark.parametrize(
    ("rule", "domain", "bits", "right"),
    [
        (lambda a, b: a + b, DIGITS, 0.0, 1.0),
        (lambda a, b: a * b, POSITIVE, 0.0, 1.0),
        (lambda a, b: a ^ b, BITS, 0.0, 1.0),
        (lambda a, b: a & b, BITS, 0.0, 1.0),
        (lambda a, b: max(a, b), BITS, 0.0, 1.0),
        (lambda a, b: a * b % 10, DIGITS, 0.677, 0.868),
        (lambda a, b: int(a == b), DIGITS, 1.585, 0.556),
        (lambda a, b: int(a > b), DIGITS, 2.541, 1.0),
    ],
)
def test_of_a_step_with_two_inputs_bits_and_best_advice_are_known(rule, domain, bits, right):
    found = criterion(states_of(numbers(rule), (domain, domain), 0))
    assert found.bits == pytest.approx(bits, abs=1e-3)
    assert found.right_without == pytest.approx(right, abs=1e-3)
    assert found.right_with == 1.0


def test_a_product_with_zero_among_its_inputs_cannot_always_be_inverted():
    found = criterion(states_of(numbers(lambda a, b: a * b), (DIGITS, DIGITS), 0))
    assert found.bits > 0.1
    assert found.right_without == pytest.approx(0.944, abs=1e-3)


def test_bits_above_zero_do_not_yet_mean_that_siblings_are_needed():
    """Of a > b the set of right values is unknown without b, and 9 or 0 is always in it."""
    found = criterion(states_of(numbers(lambda a, b: int(a > b)), (DIGITS, DIGITS), 0))
    assert found.bits > 2
    assert (found.right_without, found.right_with) == pytest.approx((1.0, 1.0))


def test_a_look_up_hides_which_of_the_other_keys_is_right():
    found = criterion(lookup_states(40))
    assert found.bits == pytest.approx(math.log2(39))
    assert found.right_without == pytest.approx(1 / 39)


def test_a_table_of_eight_random_digits_leaves_advice_right_in_23_percent():
    """With values that may repeat, any key is right by chance in a tenth of the other tables."""
    states = []
    for right in range(1, 8):
        others = [key for key in range(1, 8) if key != right]
        for chosen in range(2 ** len(others)):
            equal = [key for at, key in enumerate(others) if chosen >> at & 1]
            weight = 0.1 ** len(equal) * 0.9 ** (len(others) - len(equal))
            states.append(State(weight, ("seen",), tuple(map(str, sorted([right, *equal])))))
    assert criterion(states).right_without == pytest.approx(0.229, abs=1e-3)


def test_states_in_which_the_output_came_out_right_are_left_out():
    assert all(state.targets for state in states_of(numbers(lambda a, b: a & b), (BITS, BITS), 1))
    assert not list(states_of(lambda values: "same", (BITS, BITS), 0))
