"""Semantic gradient descent, choice by choice: seed, backward, aggregation. Plans are driven by hand."""

import json

import pytest
import worlds

from semprop.engine import (
    ContentError,
    Evidence,
    Failure,
    FailureKind,
    Function,
    Kind,
    Model,
    NodeError,
    Number,
    Parameter,
    Score,
    SemanticBackward,
    Stance,
    semantic,
)
from semprop.engine.gradients import Gradient, Provenance, change, keep, lost
from semprop.engine.method import Scored
from semprop.engine.methods.semantic import Calls, EvidenceList, InstructionMessage, in_words, ordered_list, target_seed
from semprop.engine.prompts.backward import Neighbours
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.tape import Tape

NODE = Model("answer", "s", ("question", "hint_1", "hint_2"))
VALUES = {"instruction": "Solve it.", "question": "2 plus 5?", "hint_1": "LEFT", "hint_2": "RIGHT"}
INPUTS = ("question", "hint_1", "hint_2")


def the_record():
    return worlds.record(NODE, "6", "I think 6", **VALUES)


def reply(**verdicts):
    return json.dumps({name: {"verdict": word, "advice": text} for name, (word, text) in verdicts.items()})


def backward(rule, given, *texts):
    """The messages of a local, and what was asked for them."""
    answers = worlds.Answers(*texts)
    return worlds.run_plan(rule(given), answers), answers


# F: the seed ---------------------------------------------------------------------------------------------------------


def scored(value, score):
    example = worlds.example(2)
    record = worlds.record(NODE, value, **VALUES)
    return Scored(Tape(example, "", (record,), "answer"), score)


def test_the_seed_is_the_right_answer_said_to_the_output():
    (seed,) = target_seed(scored("6", Score(0.0)))
    assert seed.variable == "answer"
    assert seed.message.content == "The expected output is: 7"
    assert seed.message.source == Provenance("e2")


def test_the_seed_holds_the_losses_own_words_after_the_right_answer():
    (seed,) = target_seed(scored("6", Score(0.0, "off by one")))
    assert seed.message.content == "The expected output is: 7\noff by one"


def test_without_an_expected_answer_and_words_the_seed_says_the_score():
    entry = scored("6", Score(0.25))
    unlabelled = Scored(
        Tape(type(worlds.example(0))("e", {"question": "?"}), "", entry.tape.records, "answer"), entry.score
    )
    (seed,) = target_seed(unlabelled)
    assert "0.25 of 1" in seed.message.content


def test_a_node_that_failed_because_of_content_gets_the_seed_itself_not_the_output():
    graph = worlds.graph(hints=1)
    failed = worlds.record(graph.node("hint_1"), Failure(FailureKind.TRUNCATED, "cut"))
    (seed,) = target_seed(Scored(Tape(worlds.example(1), "", (failed,), "answer"), Score(0.0)))
    assert seed.variable == "hint_1"
    assert "must be shorter" in seed.message.content


def test_a_function_that_could_not_use_its_input_says_so_in_its_own_words():
    node = Function("parse", lambda text: text, ("text",))
    failed = worlds.record(node, Failure(FailureKind.CONTENT, "no number in it"))
    (seed,) = target_seed(Scored(Tape(worlds.example(1), "", (failed,), "parse"), Score(0.0)))
    assert seed.message.content == "no number in it"


# h: one node ---------------------------------------------------------------------------------------------------------


def test_all_inputs_are_asked_about_in_one_joint_call_and_each_gets_its_own_message():
    text = reply(question=("keep", ""), hint_1=("change", "say 5"), hint_2=("change", "say 2"))
    messages, asked = backward(SemanticBackward(), worlds.local(the_record()), text)
    assert [ask.slot for ask in asked.asks] == ["question+hint_1+hint_2"]
    assert messages["question"].stance is Stance.KEEP
    assert [messages[name].content for name in ("hint_1", "hint_2")] == ["say 5", "say 2"]
    assert [messages[name].source for name in INPUTS] == [Provenance("e0", "answer", name) for name in INPUTS]


def test_an_instruction_gets_the_worked_case_as_evidence_without_being_asked_about():
    given = worlds.local(the_record())
    messages, asked = backward(SemanticBackward(), given, worlds.advise(_request(given)))
    content = messages["instruction"].content
    assert content == Evidence(
        "answer", (("question", "2 plus 5?"), ("hint_1", "LEFT"), ("hint_2", "RIGHT")), "I think 6", given.gradient
    )
    assert 'name="instruction"' not in asked.prompts[0]


def test_evidence_alone_costs_no_call():
    messages, asked = backward(SemanticBackward(), worlds.local(the_record(), active=("instruction",)))
    assert not asked.asks
    assert list(messages) == ["instruction"]


def test_an_advised_instruction_is_a_slot_of_the_joint_call():
    given = worlds.local(the_record(), active=("instruction", "hint_1"))
    text = reply(instruction=("change", "add, do not multiply"), hint_1=("keep", ""))
    rule = SemanticBackward(instruction=InstructionMessage.ADVISED)
    messages, asked = backward(rule, given, text)
    assert asked.asks[0].slot == "instruction+hint_1"
    assert messages["instruction"].content == "add, do not multiply"
    assert '<input name="instruction">\nSolve it.' in asked.prompts[0]
    assert "<instruction>" not in asked.prompts[0]


def test_inactive_slots_are_shown_but_neither_asked_about_nor_answered():
    given = worlds.local(the_record(), active=("hint_1",))
    messages, asked = backward(SemanticBackward(), given, reply(hint_1=("keep", "")))
    assert list(messages) == ["hint_1"]
    assert "You are asked about: hint_1." in asked.prompts[0]
    assert '<input name="hint_2">\nRIGHT' in asked.prompts[0]


def test_per_edge_calls_ask_once_for_each_input_with_its_siblings_labelled():
    texts = [reply(**{name: ("change", f"more {name}")}) for name in INPUTS]
    messages, asked = backward(SemanticBackward(calls=Calls.PER_EDGE), worlds.local(the_record()), *texts)
    assert [ask.slot for ask in asked.asks] == list(INPUTS)
    assert [messages[name].content for name in INPUTS] == [f"more {name}" for name in INPUTS]
    for name, prompt in zip(INPUTS, asked.prompts, strict=True):
        assert f"You are asked about: {name}." in prompt
        assert all(f'<input name="{other}">' in prompt for other in INPUTS)


def test_unlabelled_neighbours_stand_in_one_context_without_names():
    rule = SemanticBackward(calls=Calls.PER_EDGE, neighbours=Neighbours.UNLABELLED)
    given = worlds.local(the_record(), active=("hint_1",))
    _, asked = backward(rule, given, reply(hint_1=("keep", "")))
    assert "<context>\n2 plus 5?\nRIGHT\n</context>" in asked.prompts[0]
    assert 'name="hint_2"' not in asked.prompts[0]


def test_hidden_neighbours_and_the_instruction_are_not_shown():
    rule = SemanticBackward(calls=Calls.PER_EDGE, neighbours=Neighbours.HIDDEN)
    given = worlds.local(the_record(), active=("hint_1",))
    _, asked = backward(rule, given, reply(hint_1=("keep", "")))
    assert "LEFT" in asked.prompts[0]
    for hidden in ("RIGHT", "2 plus 5?", "Solve it."):
        assert hidden not in asked.prompts[0]


def test_where_no_schema_can_be_asked_for_advice_is_asked_for_and_read_in_tags():
    given = worlds.local(the_record(), active=("hint_1",), style=ReplyStyle.TAGS)
    messages, asked = backward(SemanticBackward(), given, '<advice slot="hint_1" verdict="change">say 5</advice>')
    assert asked.asks[0].request.schema is None
    assert messages["hint_1"].content == "say 5"


# Replies that cannot be read -----------------------------------------------------------------------------------------


def test_a_repair_keeps_what_was_read_and_fills_in_only_what_was_missing():
    given = worlds.local(the_record(), active=("hint_1", "hint_2"))
    first = reply(hint_1=("change", "say 5"))
    second = reply(hint_1=("change", "something else"), hint_2=("change", "say 2"))
    messages, asked = backward(SemanticBackward(), given, first, second)
    assert [ask.slot for ask in asked.asks] == ["hint_1+hint_2", "hint_1+hint_2:repair"]
    assert [messages[name].content for name in ("hint_1", "hint_2")] == ["say 5", "say 2"]


def test_the_repair_tells_the_model_what_was_wrong_with_its_reply():
    given = worlds.local(the_record(), active=("hint_1", "hint_2"))
    _, asked = backward(SemanticBackward(), given, reply(hint_1=("keep", "")), reply(hint_2=("keep", "")))
    turns = asked.asks[1].request.messages
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert turns[2].text == reply(hint_1=("keep", ""))
    assert 'nothing for "hint_2"' in turns[3].text


def test_what_is_missing_after_the_repair_is_lost_and_says_why():
    given = worlds.local(the_record(), active=("hint_1", "hint_2"))
    messages, asked = backward(SemanticBackward(), given, "no idea", reply(hint_1=("keep", "")))
    assert len(asked.asks) == 2
    assert messages["hint_1"].stance is Stance.KEEP
    assert messages["hint_2"].stance is Stance.LOST
    assert "hint_2" in messages["hint_2"].content


@pytest.mark.parametrize("texts", [(), ("unreadable",)])
def test_a_failed_call_loses_its_messages_and_says_why(texts):
    given = worlds.local(the_record(), active=("hint_1",))
    messages, _ = backward(SemanticBackward(), given, *texts, Failure(FailureKind.TRANSPORT, "line down"))
    assert messages["hint_1"].stance is Stance.LOST
    assert messages["hint_1"].content == "line down"


def test_each_edge_is_repaired_on_its_own():
    rule = SemanticBackward(calls=Calls.PER_EDGE)
    given = worlds.local(the_record(), active=("hint_1", "hint_2"))
    texts = ["no idea", reply(hint_2=("keep", "")), reply(hint_1=("change", "say 5"))]
    messages, asked = backward(rule, given, *texts)
    assert [ask.slot for ask in asked.asks] == ["hint_1", "hint_2", "hint_1:repair"]
    assert messages["hint_1"].content == "say 5"


# Steering slots ------------------------------------------------------------------------------------------------------


def test_demonstrations_get_evidence_and_sampling_numbers_get_no_message():
    node = Model("answer", "s", ("question",), demonstrations="d", numbers={"temperature": "t"})
    of = worlds.record(node, "6", instruction="Solve.", question="?", temperature=Number(0.5))
    messages, asked = backward(SemanticBackward(), worlds.local(of, active=("demonstrations", "temperature")))
    assert not asked.asks
    assert isinstance(messages["demonstrations"].content, Evidence)
    assert messages["temperature"].stance is Stance.LOST
    assert "probed" in messages["temperature"].content


# Function nodes ------------------------------------------------------------------------------------------------------


def compare(left, right):
    """Says which of two texts is longer."""
    return max(left, right, key=len)


def test_a_function_with_one_active_slot_passes_its_gradient_through_without_a_call():
    of = worlds.record(Function("longer", compare, ("left", "right")), "aa", left="aa", right="b")
    grad = worlds.gradient("be 7", variable="longer", successor="answer")
    messages, asked = backward(SemanticBackward(), worlds.local(of, grad, active=("left",)))
    assert not asked.asks
    assert messages["left"].content == "(from the step answer) be 7"
    assert messages["left"].source == Provenance("e0", "longer", "left")


def test_a_function_with_several_active_slots_is_asked_about_with_its_docstring_as_instruction():
    of = worlds.record(Function("longer", compare, ("left", "right")), "aa", left="aa", right="b")
    text = reply(left=("keep", ""), right=("change", "be longer"))
    messages, asked = backward(SemanticBackward(), worlds.local(of), text)
    assert "<instruction>\nSays which of two texts is longer.\n</instruction>" in asked.prompts[0]
    assert messages["right"].content == "be longer"


def user_rule(messages):
    return Function("longer", compare, ("left", "right"), backward=lambda inputs, output, gradient: messages)


def test_a_functions_own_backward_rule_goes_before_everything_else():
    seen = []

    def rule(inputs, output, gradient):
        seen.append((dict(inputs), output, gradient))
        return {"left": "shorter", "right": keep(Provenance(""))}

    of = worlds.record(
        Function("longer", compare, ("left", "right"), backward=rule), "aa", left="aa", right=Number(2.0)
    )
    given = worlds.local(of)
    messages, asked = backward(SemanticBackward(), given)
    assert not asked.asks
    assert seen == [({"left": "aa", "right": 2.0}, "aa", given.gradient)]
    assert messages["left"] == change("shorter", Provenance("e0", "longer", "left"))
    assert messages["right"] == keep(Provenance("e0", "longer", "right"))


def test_a_slot_that_the_users_rule_leaves_out_is_lost():
    messages, _ = backward(SemanticBackward(), worlds.local(worlds.record(user_rule({"left": "x"}), "aa")))
    assert messages["right"].stance is Stance.LOST


def test_a_numeric_message_of_the_users_rule_is_passed_on_as_a_number():
    messages, _ = backward(
        SemanticBackward(), worlds.local(worlds.record(user_rule({"left": 0.0}), "aa"), active=("left",))
    )
    assert messages["left"].content == 0.0


def test_a_rule_that_raises_names_the_function_and_the_example():
    def rule(inputs, output, gradient):
        raise ZeroDivisionError("by zero")

    of = worlds.record(Function("longer", compare, ("left", "right"), backward=rule), "aa")
    with pytest.raises(NodeError, match=r"backward of 'longer' raised on example 'e0': by zero") as caught:
        backward(SemanticBackward(), worlds.local(of))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_rule_that_returns_no_mapping_is_refused():
    with pytest.raises(NodeError, match="returned list; it must return slot"):
        backward(SemanticBackward(), worlds.local(worlds.record(user_rule(["x"]), "aa")))


# Numbers and words ---------------------------------------------------------------------------------------------------


def test_a_numeric_direction_is_said_in_words_to_a_model():
    node = Model("guess", "s", ("question",))
    of = worlds.record(node, "42", instruction="Guess.", question="?")
    grad = worlds.gradient(3.0, variable="guess", successor="parse")
    _, asked = backward(SemanticBackward(), worlds.local(of, grad, active=("question",)), reply(question=("keep", "")))
    assert "It should fall by about 3; it is 42 now." in asked.prompts[0]


def test_a_negative_derivative_asks_for_a_rise():
    of = worlds.record(Model("guess", "s", ("question",)), "1.5")
    worded = in_words(worlds.gradient(-0.25), of)
    assert worded.messages[0].content == "It should rise by about 0.25; it is 1.5 now."


def test_words_and_evidence_are_left_as_they_are():
    grad = Gradient(
        "v", Kind.TEXT, (change("words", Provenance("e")), lost(Provenance("e"), "gone"), keep(Provenance("e")))
    )
    assert in_words(grad, worlds.record(NODE, "6")) is grad
    mixed = Gradient("v", Kind.TEXT, (*grad.messages, change(1.0, Provenance("e"))))
    assert in_words(mixed, worlds.record(NODE, "6")).messages[:3] == grad.messages


@pytest.mark.parametrize(("value", "direction"), [("about six", 1.0), ("6", [1.0, 2.0])])
def test_a_numeric_direction_for_something_that_is_no_number_is_an_error_that_names_both(value, direction):
    grad = worlds.gradient(direction, variable="answer", successor="parse")
    with pytest.raises(NodeError, match=r"'answer' is told to change .* backward rule of 'parse'"):
        in_words(grad, worlds.record(NODE, value))


def test_advice_beyond_its_budget_is_cut_in_its_middle_and_says_so():
    rule = SemanticBackward(message_bytes=100)
    long = reply(hint_1=("change", "begin " + "x" * 400 + " end"))
    messages, asked = backward(rule, worlds.local(the_record(), active=("hint_1",)), long)
    words = messages["hint_1"].content
    assert len(words.encode()) <= 100
    assert words.startswith("begin ") and words.endswith(" end") and "bytes left out" in words
    assert asked.prompts[0].endswith("Each piece of advice has at most 100 bytes.")


# A and B -------------------------------------------------------------------------------------------------------------


def test_aggregation_keeps_every_message_in_its_order():
    messages = worlds.gradient("one", "two", "three").messages
    assert ordered_list("v", Kind.TEXT, messages) == Gradient("v", Kind.TEXT, messages)


def test_evidence_is_bounded_to_the_first_cases_and_the_rest_are_counted():
    gradients = tuple(worlds.gradient(f"case {number}", example=f"e{number}") for number in range(5))
    found = EvidenceList(3)(Parameter("s", "x"), "x", gradients)
    assert found.gradients == gradients[:3]
    assert found.left_out == 2


# The whole -----------------------------------------------------------------------------------------------------------


def test_the_method_has_the_papers_defaults():
    method = semantic()
    assert (method.name, method.gate.name, method.selection.threshold) == ("semantic", "strict", 0.0)
    assert method.backward == SemanticBackward(Neighbours.LABELLED, Calls.JOINT, InstructionMessage.EVIDENCE)


def test_content_errors_are_no_errors_of_the_run():
    assert not issubclass(ContentError, NodeError)


def _request(given):
    """The request that a joint call of this local sends."""
    return next(SemanticBackward()(given))[0].request
