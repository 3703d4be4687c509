"""The rhythm of commits: a flow keeps it over its gaps, and what trickles is not held back."""

from __future__ import annotations

from itertools import accumulate

import pytest

from semprop.engine.training.writing import BUSY, CALM, paced_after


@pytest.mark.parametrize("gaps", range(CALM))
def test_a_flow_is_paced_over_fewer_small_batches_than_end_it(gaps: int) -> None:
    batches = [BUSY, *[1] * gaps, BUSY, *[1] * gaps]
    assert all(list(accumulate(batches, paced_after, initial=0))[1:])


def test_so_many_small_batches_in_a_row_end_it() -> None:
    paced = list(accumulate([BUSY, *[BUSY - 1] * (CALM + 1)], paced_after, initial=0))
    assert paced[CALM] > 0 and paced[CALM + 1 :] == [0, 0]


def test_what_trickles_from_the_beginning_is_never_held_back() -> None:
    assert not any(accumulate([1] * 9, paced_after, initial=0))
