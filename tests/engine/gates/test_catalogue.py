"""Gates by name."""

import pytest

from semprop.engine import ExactGate, SequentialGate, SpecificationError, Spending, TwoStageGate
from semprop.engine.gates.catalogue import GATES, GateOptions, gate_named


@pytest.mark.parametrize("name", GATES)
def test_every_gate_that_is_listed_can_be_had_and_says_when(name):
    assert gate_named(name).name == name
    entry = GATES[name]
    assert entry.words and entry.needs and entry.when


def test_settings_reach_the_gate():
    given = GateOptions(alpha=0.2, beta=0.3, delta=0.05, spending=Spending.SQUARES)
    assert gate_named("sequential", given) == SequentialGate(0.2, 0.3, 0.05, Spending.SQUARES)
    assert gate_named("exact", GateOptions(alpha=0.2)) == ExactGate(0.2)
    assert gate_named("two-stage", GateOptions(alpha=0.2)) == TwoStageGate(0.2)


def test_a_setting_that_a_gate_does_not_have_is_refused_with_those_that_have_it():
    with pytest.raises(
        SpecificationError, match="--delta does not apply to the gate 'exact'; it applies to: sequential"
    ):
        gate_named("exact", GateOptions(delta=0.1))
    with pytest.raises(SpecificationError, match="it applies to: exact, two-stage, sequential"):
        gate_named("strict", GateOptions(alpha=0.1))


def test_a_value_out_of_range_is_refused():
    with pytest.raises(SpecificationError, match="alpha is 2"):
        gate_named("exact", GateOptions(alpha=2.0))


def test_an_unknown_gate_is_refused_with_the_list():
    told = "there is no gate 'soft'; there are: strict, none, exact, two-stage, sequential"
    with pytest.raises(SpecificationError, match=told):
        gate_named("soft")
