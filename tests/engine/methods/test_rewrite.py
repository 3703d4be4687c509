"""The update in which a model rewrites instructions: what it is shown, what it proposes, and what is raced."""

import json

import pytest
import worlds

from semprop.engine import (
    Demonstrations,
    Evidence,
    Failure,
    FailureKind,
    Graph,
    Model,
    Number,
    Parameter,
    Probe,
    Score,
)
from semprop.engine.method import Scored
from semprop.engine.methods.rewrite import Raced, RewriteUpdate, latest, places, twins_of
from semprop.engine.prompts.update import SOLVED_WORDS
from semprop.engine.replies.parsers import ReplyStyle

GRAPH = worlds.graph(hints=2)


def evidence(node="answer", question="2 plus 5?", output="6", advice="it should be 7"):
    return Evidence(node, (("question", question),), output, worlds.gradient(advice, variable=node))


def context(*names, graph=GRAPH, **changes):
    """A context in which these parameters have one worked case each."""
    found = {name: worlds.collected(graph, name, worlds.gradient(evidence(), variable=name)) for name in names}
    return worlds.context(graph, collected=found, **changes)


def proposals(*texts):
    return json.dumps({f"proposal_{number}": text for number, text in enumerate(texts, 1)})


def update(given, *texts, **options):
    answers = worlds.Answers(*texts)
    return worlds.run_plan(RewriteUpdate(**options)(given), answers), answers


def edits(found):
    """The candidates as lists of (parameter, new text)."""
    return [[(edit.parameter, edit.after) for edit in candidate.edits] for candidate in found.candidates]


def test_one_parameter_with_one_proposal_is_one_candidate():
    found, asked = update(context("s"), proposals("Add."))
    assert edits(found) == [[("s", "Add.")]]
    assert [(ask.role, ask.node, ask.slot) for ask in asked.asks] == [("update", "s", "")]
    assert found.candidates[0].parameters["s"] == "Add."
    assert found.candidates[0].edits[0].before == "Solve the problem."


def test_parameters_without_evidence_are_not_asked_about():
    found, asked = update(context("s"), proposals("Add."))
    assert [ask.node for ask in asked.asks] == ["s"]
    assert not found.dropped


def test_with_no_evidence_at_all_there_is_no_call_and_no_candidate():
    found, asked = update(context())
    assert not asked.asks
    assert not found.candidates


def test_all_edits_together_are_raced_first_then_each_alone():
    found, _ = update(context("w1", "s"), proposals("Hint."), proposals("Add."))
    assert edits(found) == [[("w1", "Hint."), ("s", "Add.")], [("w1", "Hint.")], [("s", "Add.")]]


def test_only_together_is_raced_if_that_is_wanted():
    found, _ = update(context("w1", "s"), proposals("Hint."), proposals("Add."), raced=Raced.TOGETHER)
    assert edits(found) == [[("w1", "Hint."), ("s", "Add.")]]


def test_three_proposals_a_parameter_are_raced_round_by_round_and_alone():
    given = context("w1", "s", wanted=3)
    found, asked = update(given, proposals("A", "B", "C"), proposals("D", "E", "F"))
    together = [[("w1", one), ("s", other)] for one, other in zip("ABC", "DEF", strict=True)]
    alone = [[("w1", text)] for text in "ABC"] + [[("s", text)] for text in "DEF"]
    assert edits(found) == together + alone
    assert "Write 3 improved instructions that differ in approach" in asked.prompts[0]


def test_a_parameter_with_fewer_proposals_gives_its_last_one_again():
    found, _ = update(context("w1", "s", wanted=2), proposals("A", "B"), proposals("D"), raced=Raced.TOGETHER)
    assert edits(found) == [[("w1", "A"), ("s", "D")], [("w1", "B"), ("s", "D")]]
    assert [entry.parameter for entry in found.dropped] == ["s"]


def test_a_reply_that_cannot_be_read_is_asked_for_once_more():
    found, asked = update(context("s"), "I would rather not say.", proposals("Add."))
    assert [ask.slot for ask in asked.asks] == ["", "repair"]
    assert edits(found) == [[("s", "Add.")]]
    assert not found.dropped


def test_a_repair_that_cannot_be_read_either_is_dropped_with_the_complaint():
    found, asked = update(context("s"), "no", "no again")
    assert len(asked.asks) == 2
    assert not found.candidates
    assert found.dropped[0].parameter == "s"
    assert found.dropped[0].reason.startswith("1 proposal(s) lost: Expected")


@pytest.mark.parametrize("texts", [(), ("unreadable",)])
def test_a_failed_call_is_no_proposal_and_says_why(texts):
    found, _ = update(context("s"), *texts, Failure(FailureKind.OVERLOADED, "busy"))
    assert not found.candidates
    assert found.dropped[0].reason == "no reply: busy"


def test_some_of_the_proposals_are_kept_without_a_repair_and_the_loss_is_noted():
    found, asked = update(context("s", wanted=3), proposals("A", "B"))
    assert len(asked.asks) == 1
    assert edits(found) == [[("s", "A")], [("s", "B")]]
    assert found.dropped[0].reason.startswith("1 proposal(s) lost")


def test_where_no_schema_can_be_asked_for_proposals_come_in_tags():
    found, asked = update(context("s", style=ReplyStyle.TAGS), '<proposal number="1">Add.</proposal>')
    assert asked.asks[0].request.schema is None
    assert edits(found) == [[("s", "Add.")]]


# What the prompt shows -----------------------------------------------------------------------------------------------


def prompt(given, **options):
    _, asked = update(given, proposals("x"), **options)
    return asked.prompts[0]


def test_the_prompt_shows_the_instruction_the_place_and_the_worked_case():
    text = prompt(context("w1"))
    assert "<instruction>\nWork out a step.\n</instruction>" in text
    assert "- step hint_1 (level 1 of 2): it reads question; what it writes is read by answer" in text
    assert '<input name="question">\n2 plus 5?\n</input>' in text
    assert "<output>\n6\n</output>\n<feedback>\nit should be 7\n</feedback>" in text


def test_the_output_nodes_instruction_is_told_that_it_writes_the_answer():
    assert places(GRAPH, "s") == (
        "step answer (level 2 of 2): it reads question, hint_1, hint_2; what it writes is the system's answer",
    )


def test_solved_cases_are_shown_as_what_must_not_break():
    solved = worlds.tape(GRAPH, worlds.example(4), {"hint_1": "4", "hint_2": "9", "answer": "13"})
    text = prompt(context("s", solved=(Scored(solved, Score(1.0)),)))
    assert SOLVED_WORDS in text
    assert "<output>\n13\n</output>" in text
    assert "What is 4 plus 9?" in text


def test_a_solved_tape_on_which_the_node_never_ran_shows_nothing():
    solved = worlds.tape(GRAPH, worlds.example(4), {"hint_1": "4"})
    assert SOLVED_WORDS not in prompt(context("s", solved=(Scored(solved, Score(1.0)),)))


def test_cases_are_bounded_in_bytes_and_the_instruction_is_never_cut():
    long = "An instruction of many words. " * 400
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("s", long)],
        nodes=[Model("answer", "s", ("question",))],
        output="answer",
    )
    cases = [worlds.gradient(evidence(question="q" * 50_000, output="o" * 50_000)) for _ in range(8)]
    given = worlds.context(graph, collected={"s": worlds.collected(graph, "s", *cases)})
    text = prompt(given, cases_bytes=8_000)
    assert long in text
    assert len(text.encode()) < len(long) + 8_000 + 2_000
    assert "bytes left out" in text


def test_cases_that_are_left_out_are_counted():
    found = {"s": worlds.collected(GRAPH, "s", worlds.gradient(evidence()), left_out=3)}
    assert "(3 more cases are not shown.)" in prompt(worlds.context(GRAPH, collected=found))


def test_rejected_texts_are_shown_if_there_is_a_memory_of_them():
    assert "Tried before, and no better:\n<instruction>\nMultiply.\n</instruction>" in prompt(
        context("s", rejected={"s": ("Multiply.",)})
    )
    assert "Tried before" not in prompt(context("s", rejected={"w1": ("Multiply.",)}))


def test_of_many_rejected_texts_the_latest_that_fit_are_shown():
    assert latest(("aaaa", "bbb", "cc"), 5) == ("bbb", "cc")
    assert latest(("aaaa", "bbb", "cc"), 1) == ()
    assert latest((), 5) == ()


# Twins ---------------------------------------------------------------------------------------------------------------


def test_twins_are_told_apart_so_that_symmetry_can_break():
    _, asked = update(context("w1", "w2"), proposals("A"), proposals("B"))
    first, second = asked.prompts
    assert "This is number 1 of them" in first
    assert "This is number 2 of them" in second
    assert asked.asks[0].request != asked.asks[1].request


def test_instructions_with_different_texts_or_inputs_are_no_twins():
    assert "s" not in twins_of(worlds.context(GRAPH))
    other = GRAPH.initial.replaced({"w2": "Another step."})
    assert twins_of(worlds.context(GRAPH, parameters=other)) == {}


def test_a_frozen_instruction_is_nobodys_twin():
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("w1", "Step."), Parameter("w2", "Step.", trainable=False), Parameter("s", "End.")],
        nodes=[
            Model("a", "w1", ("question",)),
            Model("b", "w2", ("question",)),
            Model("c", "s", ("a", "b")),
        ],
        output="c",
    )
    assert twins_of(worlds.context(graph)) == {}


# Demonstrations and numbers in the same step -------------------------------------------------------------------------


def mixed():
    return Graph(
        inputs=("question",),
        parameters=[
            Parameter("s", "Solve the problem."),
            Parameter("d", Demonstrations()),
            Parameter("t", Number(0.5, 0.0, 1.0)),
        ],
        nodes=[Model("answer", "s", ("question",), demonstrations="d", numbers={"temperature": "t"})],
        output="answer",
    )


def test_text_demonstrations_and_numbers_are_updated_in_the_same_step():
    graph = mixed()
    scored = tuple(
        Scored(worlds.tape(graph, worlds.example(number), {"answer": "no"}), Score(0.0)) for number in (1, 2)
    )
    case = worlds.gradient(evidence())
    found = {name: worlds.collected(graph, name, case) for name in ("s", "d")}
    given = worlds.context(graph, collected=found, scored=scored)

    def answer(effect):
        if isinstance(effect, Probe):
            return tuple(Score(effect.parameters["t"].value) for _ in effect.examples)
        return worlds.Answers(proposals("Add."))(effect)

    proposed = worlds.run_plan(RewriteUpdate()(given), answer)
    together, *alone = edits(proposed)
    assert [name for name, _ in together] == ["s", "d", "t"]
    after = dict(together)
    assert after["s"] == "Add."
    assert sorted(turn.output for turn in after["d"].turns) == ["4", "7"]
    assert after["t"] == Number(0.6, 0.0, 1.0)
    assert [[name for name, _ in entry] for entry in alone] == [["s"], ["d"], ["t"]]
