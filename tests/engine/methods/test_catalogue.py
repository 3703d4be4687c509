"""Methods and gates by name."""

import pytest

from semprop.engine import NoGate, SemanticBackward, SpecificationError, StrictGate
from semprop.engine.gates.catalogue import GATES
from semprop.engine.methods.catalogue import METHODS, Choices, Options, default_gate, method_named
from semprop.engine.methods.clauses import ClauseUpdate
from semprop.engine.methods.semantic import Calls, InstructionMessage
from semprop.engine.prompts.backward import Neighbours, Question

POOLS = {"s": (("Add.", "Multiply."),)}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_that_is_listed_can_be_made(name):
    method = method_named(name, Choices(NoGate(), solved=2, pools=POOLS))
    assert method.gate == NoGate()
    # Without data there is nothing that must not break.
    assert method.selection.solved == 2 or name == "improve-blind"


def test_the_advised_method_differs_in_what_instructions_are_told():
    method = method_named("semantic-advised", Choices(StrictGate()))
    assert method.backward == SemanticBackward(instruction=InstructionMessage.ADVISED)


def test_the_clauses_method_says_in_its_notes_that_no_model_wrote_the_instructions():
    method = method_named("clauses", Choices(StrictGate(), pools=POOLS))
    assert isinstance(method.update, ClauseUpdate)
    assert "not written by a model" in method.notes[0]


def test_a_method_may_have_two_names():
    choices = Choices(StrictGate(), pools=POOLS)
    assert method_named("clause-pool", choices) == method_named("clauses", choices)


def test_clauses_without_clauses_are_refused_with_the_mend():
    with pytest.raises(SpecificationError, match="use --method semantic"):
        method_named("clauses", Choices(StrictGate()))


def test_every_part_of_the_backward_call_can_be_chosen():
    options = Options(
        neighbours=Neighbours.UNLABELLED,
        calls=Calls.PER_EDGE,
        instruction_message=InstructionMessage.ADVISED,
        backward_style=Question.COMMENT,
    )
    method = method_named("semantic", Choices(StrictGate(), options=options))
    assert method.backward == SemanticBackward(
        Neighbours.UNLABELLED, Calls.PER_EDGE, InstructionMessage.ADVISED, Question.COMMENT
    )


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if "neighbours" not in entry.options])
def test_a_part_that_a_method_has_not_is_refused_with_the_methods_that_have_it(name):
    given = Options(neighbours=Neighbours.HIDDEN)
    with pytest.raises(SpecificationError, match=f"--neighbours does not apply to the method '{name}'; .* semantic"):
        method_named(name, Choices(StrictGate(), pools=POOLS, options=given))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_gate_of_its_own_and_takes_options_that_there_are(name):
    assert default_gate(name) in GATES
    assert all(option in Options.__dataclass_fields__ for option in METHODS[name].options)


def test_an_unknown_method_is_refused_with_the_list():
    with pytest.raises(
        SpecificationError, match="there is no method 'sgd'; there are: semantic, semantic-advised, clauses"
    ):
        method_named("sgd", Choices(StrictGate()))
