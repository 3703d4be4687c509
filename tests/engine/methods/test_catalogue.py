"""Methods and gates by name."""

import pytest

from semprop.engine import NoGate, SemanticBackward, SpecificationError, StrictGate
from semprop.engine.methods.catalogue import GATES, METHODS, Choices, gate_named, method_named
from semprop.engine.methods.clauses import ClauseUpdate
from semprop.engine.methods.semantic import InstructionMessage

POOLS = {"s": (("Add.", "Multiply."),)}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_that_is_listed_can_be_made(name):
    method = method_named(name, Choices(NoGate(), solved=2, pools=POOLS))
    assert method.gate == NoGate()
    assert method.selection.solved == 2


def test_the_advised_method_differs_in_what_instructions_are_told():
    method = method_named("semantic-advised", Choices(StrictGate()))
    assert method.backward == SemanticBackward(instruction=InstructionMessage.ADVISED)


def test_the_clauses_method_says_in_its_notes_that_no_model_wrote_the_instructions():
    method = method_named("clauses", Choices(StrictGate(), pools=POOLS))
    assert isinstance(method.update, ClauseUpdate)
    assert "not written by a model" in method.notes[0]


def test_clauses_without_clauses_are_refused_with_the_mend():
    with pytest.raises(SpecificationError, match="use --method semantic"):
        method_named("clauses", Choices(StrictGate()))


def test_an_unknown_method_is_refused_with_the_list():
    with pytest.raises(
        SpecificationError, match="there is no method 'sgd'; there are: semantic, semantic-advised, clauses"
    ):
        method_named("sgd", Choices(StrictGate()))


def test_every_gate_that_is_listed_can_be_had():
    assert [gate_named(name).name for name in GATES] == list(GATES)


def test_an_unknown_gate_is_refused_with_the_list():
    with pytest.raises(SpecificationError, match="there is no gate 'soft'; there are: strict, none"):
        gate_named("soft")
