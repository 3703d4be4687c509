"""The controls of a diagnosis: what they are run on."""

import pytest
import worlds

from semprop.bench.diagnosis.controls import every_step_alike, halved
from semprop.engine import StrictGate
from semprop.engine.gates import ExactGate, SequentialGate, Spending, Turn, TwoStageGate, WholeGate, level_at


def test_half_of_the_gate_stands_in_for_the_test_and_fresh_items_come_out_of_the_other():
    spec = worlds.specification(splits=worlds.splits(gate=11, test=5), gate_items=9)
    found = halved(spec)
    assert found.splits.gate + found.splits.test == spec.splits.gate
    assert (len(found.splits.gate), found.gate_items) == (6, 6)
    assert halved(worlds.specification(splits=worlds.splits(gate=11), gate_items=2)).gate_items == 2


@pytest.mark.parametrize("gate", [ExactGate(), TwoStageGate(alpha=0.1), SequentialGate()])
def test_a_longer_search_for_the_same_money_is_judged_at_the_same_level_a_step(gate):
    longer = every_step_alike(gate, 4)
    assert level_at(longer.alpha, longer.spending, Turn(7, 40)) == level_at(gate.alpha, gate.spending, Turn(3, 4))
    assert every_step_alike(WholeGate(gate), 4) == WholeGate(longer)


@pytest.mark.parametrize(
    "gate", [StrictGate(), ExactGate(spending=Spending.EACH), ExactGate(spending=Spending.SQUARES)]
)
def test_a_gate_whose_level_does_not_hang_on_the_number_of_steps_stays(gate):
    assert every_step_alike(gate, 4) is gate
