"""Controls: what each update sees, and what it does not."""

import json

import pytest
import worlds

from semprop.bench.task import Sizes
from semprop.bench.worlds.lookup import examples, lookup_graph
from semprop.engine import Evidence, Exact, Gradient, Kind, Specification, Stance, optimize, semantic
from semprop.engine.gradients import Provenance, change, keep
from semprop.engine.methods.controls import (
    AnswerOnly,
    BlindUpdate,
    ShuffledGradients,
    Unexplained,
    improve_blind,
    no_gradient,
    one_step_rewrite,
    with_shuffled_gradients,
)
from semprop.engine.methods.semantic import EvidenceList
from semprop.engine.nodes import Function, Model
from semprop.engine.parameters import Parameter
from semprop.engine.prompts.update import UPDATE_BLIND, UPDATE_UNEXPLAINED
from semprop.providers import connect

NODE = Model("answer", "s", ("question", "hint_1"))
VALUES = {"instruction": "Solve it.", "question": "2 plus 5?", "hint_1": "LEFT"}


def messages_of(rule, grad=None):
    record = worlds.record(NODE, "6", "I think 6", **VALUES)
    answers = worlds.Answers()
    return worlds.run_plan(rule(worlds.local(record, grad)), answers)


def test_without_gradients_a_worked_case_holds_no_word_on_what_was_wrong():
    messages = messages_of(Unexplained())
    case = messages["instruction"].content
    assert case.inputs == (("question", "2 plus 5?"), ("hint_1", "LEFT"))
    assert (case.output, case.gradient.messages) == ("I think 6", ())
    assert "7" not in messages["hint_1"].content


def test_the_answers_feedback_goes_to_every_step_as_it_is_with_the_answer():
    messages = messages_of(AnswerOnly())
    told = "The answer of the whole system was: 6\nOf that answer it is known: it should be 7"
    assert messages["hint_1"].content == told
    assert messages["instruction"].content.gradient.changes[0].content == "it should be 7"
    hidden = Gradient(
        "hint", Kind.TEXT, (change(told, Provenance("e0", "a", "x")), change(told, Provenance("e0", "b", "x")))
    )
    again = messages_of(AnswerOnly(), hidden)
    assert again["hint_1"].content == told
    assert again["instruction"].content.gradient.changes[0].content == told


def test_feedback_in_braces_stays_as_it_is():
    said = Gradient("answer", Kind.TEXT, (change("write {answer}, not {words}", Provenance("e0")),))
    told = "The answer of the whole system was: 6\nOf that answer it is known: write {answer}, not {words}"
    assert messages_of(AnswerOnly(), said)["hint_1"].content == told


@pytest.mark.parametrize("rule", [Unexplained(), AnswerOnly()])
def test_what_was_fine_stays_fine(rule):
    kept = Gradient("answer", Kind.TEXT, (keep(Provenance("e0")),))
    assert {message.stance for message in messages_of(rule, kept).values()} == {Stance.KEEP}


async def requests_of(method, which):
    """The requests of a kind that a step sends."""
    found = []

    def script(request):
        if which(request):
            found.append(request)
        return worlds.script(request)

    await optimize(worlds.specification(method=method, providers={"forward": worlds.scripted(script)}))
    return found


async def test_an_update_without_gradients_is_told_so_and_sees_no_right_answer():
    for request in await requests_of(no_gradient(), worlds.is_update):
        assert request.messages[0].text == UPDATE_UNEXPLAINED
        assert "feedback" not in request.messages[1].text
        assert "expected" not in request.messages[1].text


async def test_one_step_rewrite_shows_every_step_the_right_answer():
    for request in await requests_of(one_step_rewrite(), worlds.is_update):
        assert "The expected output is: " in request.messages[1].text


async def test_a_blind_update_sees_the_instruction_and_no_data():
    for request in await requests_of(improve_blind(), worlds.is_update):
        assert request.messages[0].text == UPDATE_BLIND
        assert "plus" not in request.messages[1].text
        assert "<case" not in request.messages[1].text
        assert not request.sampling.is_greedy


@pytest.mark.parametrize("made", [no_gradient, one_step_rewrite, improve_blind])
async def test_no_control_makes_a_backward_call(made):
    assert not await requests_of(made(), worlds.is_backward)


async def test_a_blind_step_runs_one_example():
    result = await optimize(worlds.specification(method=improve_blind(), splits=worlds.splits(train=8)))
    assert [len(step.selected.scored) for step in result.steps] == [1]


def test_a_blind_update_leaves_what_is_no_text_alone():
    graph = worlds.graph(hints=0)
    answers = worlds.Answers(json.dumps({"proposal_1": "Be exact."}))
    proposals = worlds.run_plan(BlindUpdate()(worlds.context(graph)), answers)
    assert [edit.parameter for entry in proposals.candidates for edit in entry.edits] == ["s"]


# Shuffled gradients --------------------------------------------------------------------------------------------------


def cases(count):
    made = []
    for number in range(count):
        source = Provenance(f"e{number}", "answer", "instruction")
        told = Gradient("answer", Kind.TEXT, (change(f"told {number}", Provenance(f"e{number}")),))
        made.append(
            Gradient("s", Kind.TEXT, (change(Evidence("answer", (("q", f"in {number}"),), "out", told), source),))
        )
    return tuple(made)


def shuffled(gradients, seed=0):
    return ShuffledGradients(EvidenceList(), seed)(Parameter("s", "x"), "x", gradients).gradients


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_every_case_keeps_its_inputs_and_is_told_the_gradient_of_another(count, seed):
    found = [gradient.changes[0].content for gradient in shuffled(cases(count), seed)]
    assert [case.inputs[0][1] for case in found] == [f"in {number}" for number in range(count)]
    told = [case.gradient.changes[0].content for case in found]
    assert sorted(told) == [f"told {number}" for number in range(count)]
    assert not any(words == f"told {number}" for number, words in enumerate(told))


def test_the_derangement_is_the_seeds():
    order = {tuple(entry.changes[0].content.gradient for entry in shuffled(cases(8), seed)) for seed in range(5)}
    assert len(order) > 1
    assert shuffled(cases(8), 3) == shuffled(cases(8), 3)


def test_a_single_case_is_told_nothing():
    (found,) = shuffled(cases(1))
    assert found.changes[0].content.gradient.messages == ()


def test_a_case_whose_donor_was_not_told_of_this_step_is_told_nothing():
    first, second = cases(2)
    elsewhere = Gradient("s", Kind.TEXT, (change(second.changes[0].content, Provenance("e1", "other", "instruction")),))
    found = shuffled((first, elsewhere))
    assert [entry.changes[0].content.gradient.messages for entry in found] == [(), ()]


def test_advice_and_functions_own_words_are_left_alone():
    told = worlds.gradient("words", example="e1"), worlds.gradient("other words", example="e2")
    assert shuffled(told) == told
    assert Function("f", len, ("x",)).kind is Kind.TEXT


SEEDS = 6


@pytest.mark.parametrize(
    ("made", "repaired"),
    [
        (lambda seed: semantic(), SEEDS),
        (lambda seed: no_gradient(), 0),
        (lambda seed: with_shuffled_gradients(semantic(), seed), 0),
        (lambda seed: improve_blind(), 0),
    ],
    ids=["semantic", "no-gradient", "shuffled", "blind"],
)
async def test_shuffled_gradients_fall_to_the_level_of_no_gradient(made, repaired):
    found = 0
    for seed in range(SEEDS):
        spec = Specification(
            graph=lookup_graph(),
            loss=Exact(),
            splits=examples(seed, Sizes(12, 12, 12)),
            method=made(seed),
            providers={"forward": connect("simulated:")},
            steps=2,
            minibatch=8,
            seed=seed,
        )
        result = await optimize(spec)
        found += result.held_out is not None and result.held_out.strict.after == 1.0
    assert found == repaired
