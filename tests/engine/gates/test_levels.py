"""α over the steps of a run."""

import pytest

from semprop.engine.gates import Spending, Turn, level_at


@pytest.mark.parametrize("spending", [Spending.EVEN, Spending.SQUARES])
@pytest.mark.parametrize("steps", [1, 20, 5_000])
def test_what_is_spent_over_a_run_is_at_most_alpha(spending, steps):
    spent = sum(level_at(0.05, spending, Turn(step, steps)) for step in range(1, steps + 1))
    assert spent <= 0.05 * (1 + 1e-9)
    assert spent > 0.6 * 0.05


def test_each_step_has_the_whole_level_if_that_is_wanted():
    assert level_at(0.05, Spending.EACH, Turn(7, 20)) == 0.05
