"""Two-factor coupling: additive effects show no interaction, whatever the items' difficulty; a product does."""

import numpy as np
import pytest

from semprop.bench.diagnosis.coupling import Cells, coupling


def drawn(seed, n, mean):
    """Items of very different difficulty, whose score is drawn with probability `mean(a, b) × ease`."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        ease = generator.random()
        found.append(
            Cells(*(float(generator.random() < ease * mean(*cell)) for cell in ((0, 0), (1, 0), (0, 1), (1, 1))))
        )
    return found


def test_additive_effects_are_found_and_no_interaction():
    found = coupling([Cells(0.2, 0.5, 0.3, 0.6)] * 10 + [Cells(0.0, 0.3, 0.1, 0.4)] * 10, 0)
    assert (found.a, found.b) == (pytest.approx(0.3), pytest.approx(0.1))
    assert found.interaction == pytest.approx(0.0)
    assert found.share == pytest.approx(0.0)
    assert not found.interacts
    assert not found.is_flat


def test_prompts_that_only_work_together_interact():
    found = coupling([Cells(0.0, 0.0, 0.0, 1.0)] * 30, 0)
    assert found.interaction == 1.0
    assert found.interacts
    # Both main effects are .5 and the contrast 1: the three sums of squares are equal.
    assert found.share == pytest.approx(1 / 3)


def test_null_interactions_are_called_so_as_often_as_the_level_says():
    wrong = sum(coupling(drawn(run, 40, lambda a, b: 0.4 + 0.2 * a + 0.2 * b), run).interacts for run in range(100))
    assert wrong <= 10


def test_wordings_that_change_nothing_tell_nothing():
    found = coupling([Cells(1.0, 1.0, 1.0, 1.0)] * 20, 0)
    assert found.is_flat
    assert not found.interacts
    assert coupling([], 0) is None
