"""TextGrad: what its formula sees, what its library sees, and a momentum that works."""

import json

import pytest
import worlds

from semprop.engine import Graph, Model, NoGate, Parameter, Stance, optimize, semantic
from semprop.engine.gradients import Gradient, Provenance, change, keep
from semprop.engine.losses import Score
from semprop.engine.method import Scored
from semprop.engine.methods.textgrad import LibraryBackward, LibraryUpdate, Memory, textgrad, textgrad_library
from semprop.engine.parameters import Kind
from semprop.engine.prompts.textgrad import INSISTENT, Past
from semprop.engine.prompts.update import UPDATE_ADVISED

NODE = Model("answer", "s", ("question", "hint_1", "hint_2"))
VALUES = {"instruction": "Solve it.", "question": "2 plus 5?", "hint_1": "LEFT", "hint_2": "RIGHT"}

NONCES = {f"hint_{number}": f"nonce-{number}" for number in (1, 2, 3)}


def nonce_graph():
    """Three hidden steps, of which the last alone is trainable; the answer's instruction is frozen too."""
    parameters = [Parameter(f"w{number}", f"Say {number}.", trainable=number == 3) for number in (1, 2, 3)]
    nodes = [Model(f"hint_{number}", f"w{number}", ("question",)) for number in (1, 2, 3)]
    answer = Model("answer", "s", tuple(NONCES))
    return Graph(
        inputs=("question",),
        parameters=[*parameters, Parameter("s", "Solve.", trainable=False)],
        nodes=[*nodes, answer],
        output="answer",
    )


async def backward_prompts(method):
    """Every backward prompt of a step in which each hidden step says a nonce, and the answer drops them."""
    prompts = []

    def script(request):
        if worlds.is_update(request):
            return worlds.propose(request)
        if worlds.is_backward(request):
            prompts.append(request.messages[-1].text)
            return worlds.advise(request)
        told = request.messages[0].text
        return next((NONCES[f"hint_{number}"] for number in (1, 2, 3) if told == f"Say {number}."), "dropped")

    providers = {"forward": worlds.scripted(script)}
    await optimize(worlds.specification(graph=nonce_graph(), method=method, providers=providers))
    assert prompts
    return prompts


SIBLINGS = ("nonce-1", "nonce-2")


async def test_by_the_formula_no_sibling_reaches_a_backward_prompt():
    for prompt in await backward_prompts(textgrad()):
        assert not any(nonce in prompt for nonce in SIBLINGS)
        assert "nonce-3" in prompt or "Say 3." in prompt


async def test_in_the_library_the_siblings_of_a_call_reach_its_backward_prompt_as_one_text():
    of_answer = [prompt for prompt in await backward_prompts(textgrad_library()) if "of the step answer." in prompt]
    assert of_answer
    for prompt in of_answer:
        assert all(nonce in prompt for nonce in SIBLINGS)
        assert not any(f'name="hint_{number}"' in prompt for number in (1, 2))


async def test_semantic_shows_the_siblings_each_under_its_name():
    of_answer = [prompt for prompt in await backward_prompts(semantic(gate=NoGate())) if "nonce-1" in prompt]
    assert of_answer
    for prompt in of_answer:
        assert all(f'<input name="{name}">\n{nonce}\n' in prompt for name, nonce in NONCES.items())


def test_by_the_formula_an_instruction_is_asked_about_like_any_other_variable():
    texts = [worlds_reply(name) for name in ("instruction", "question", "hint_1", "hint_2")]
    answers = worlds.Answers(*texts)
    given = worlds.local(worlds.record(NODE, "6", **VALUES))
    messages = worlds.run_plan(textgrad().backward(given), answers)
    assert [ask.slot for ask in answers.asks] == list(VALUES)
    assert {message.content for message in messages.values()} == {"better"}
    assert [name for name, text in VALUES.items() if text in answers.prompts[0]] == ["instruction"]


def worlds_reply(*names):
    return json.dumps({name: {"verdict": "change", "advice": "better"} for name in names})


def test_the_library_asks_once_for_each_variable_and_shows_the_call_as_it_was_sent():
    answers = worlds.Answers(*(worlds_reply(name) for name in VALUES))
    given = worlds.local(worlds.record(NODE, "6", "I think 6", **VALUES))
    messages = worlds.run_plan(LibraryBackward()(given), answers)
    assert [ask.slot for ask in answers.asks] == list(VALUES)
    assert [message.source for message in messages.values()] == [Provenance("e0", "answer", name) for name in VALUES]
    for name, prompt in zip(VALUES, answers.prompts, strict=True):
        assert "<context>\nquestion: 2 plus 5?\nhint_1: LEFT\nhint_2: RIGHT\n</context>" in prompt
        assert "<instruction>\nSolve it.\n</instruction>" in prompt
        assert "<output>\nI think 6\n</output>" in prompt
        assert f'<variable name="{name}">\n{VALUES[name]}\n</variable>' in prompt


def test_the_library_passes_keep_on_without_a_call():
    grad = Gradient("answer", Kind.TEXT, (keep(Provenance("e0")),))
    kept = worlds.local(worlds.record(NODE, "6", **VALUES), grad)
    messages = worlds.run_plan(LibraryBackward()(kept), worlds.Answers())
    assert {message.stance for message in messages.values()} == {Stance.KEEP}


# The update ----------------------------------------------------------------------------------------------------------


def updated(update, *steps):
    """The prompts of an update at each step, each given what the step before returned as state."""
    graph, state, prompts = worlds.graph(hints=1), None, []
    for advice in steps:
        example = worlds.example(0)
        told = Gradient("s", Kind.TEXT, (change(advice, Provenance(example.id, "answer", "instruction")),))
        given = worlds.context(
            graph,
            collected={"s": worlds.collected(graph, "s", told)},
            scored=(Scored(worlds.tape(graph, example, {"hint_1": "a hint", "answer": "6"}), Score(0.0)),),
            state=state,
        )
        answers = worlds.Answers(json.dumps({"proposal_1": f"Try {advice}."}))
        proposals = worlds.run_plan(update(given), answers)
        state = proposals.state
        prompts += answers.prompts
    return prompts, state


def test_the_update_sees_each_conversation_with_the_feedback_that_it_gave():
    (prompt,), state = updated(LibraryUpdate(), "be exact")
    assert "<context>\nquestion: What is 0 plus 1?\nhint_1: a hint\n</context>" in prompt
    assert "<feedback>\nbe exact\n</feedback>" in prompt
    assert "<variable>\nSolve the problem.\n</variable>" in prompt
    assert state is None


def test_momentum_shows_the_last_values_with_their_feedback_and_forgets_older_ones():
    prompts, state = updated(LibraryUpdate(momentum=2), "one", "two", "three", "four")
    assert INSISTENT not in prompts[0]
    assert "<feedback>\n(from the step answer) one\n</feedback>" in prompts[1]
    assert all(INSISTENT in prompt for prompt in prompts[1:])
    words = ("one", "two", "three")
    shown = [[word for word in words if f"(from the step answer) {word}" in prompt] for prompt in prompts]
    assert shown == [[], ["one"], ["one", "two"], ["two", "three"]]
    assert [past.feedback[-5:] for past in state.of("s")] == ["three", " four"]


def test_momentum_of_a_parameter_that_was_never_changed_is_empty():
    assert Memory((("s", (Past("v", "f"),)),)).of("w1") == ()


async def test_momentum_goes_from_step_to_step_in_a_run():
    prompts = []

    def script(request):
        if worlds.is_update(request):
            prompts.append(request.messages[-1].text)
            return worlds.propose(request, f"Attempt {len(prompts)}.")
        return worlds.script(request)

    providers = {"forward": worlds.scripted(script)}
    spec = worlds.specification(
        graph=worlds.graph(hints=0), method=textgrad_library(momentum=3), providers=providers, steps=3
    )
    await optimize(spec)
    assert ["<past" in prompt for prompt in prompts] == [False, True, True]
    assert "<variable>\nSolve the problem.\n</variable>\n<feedback>" in prompts[2]
    assert "<variable>\nAttempt 1.\n</variable>\n<feedback>" in prompts[2]


async def test_without_a_gate_every_step_moves_all_parameters_at_once():
    result = await optimize(worlds.specification(method=textgrad()))
    (step,) = result.steps
    assert step.verdict.reason.startswith("no gate")
    assert [len(entry.edits) for entry in step.proposals.candidates] == [3]


def test_advice_alone_is_announced_as_advice():
    graph = worlds.graph(hints=0)
    told = worlds.gradient("be exact", variable="s", successor="answer")
    given = worlds.context(graph, collected={"s": worlds.collected(graph, "s", told)})
    answers = worlds.Answers(json.dumps({"proposal_1": "Be exact."}))
    worlds.run_plan(textgrad().update(given), answers)
    assert answers.asks[0].request.messages[0].text == UPDATE_ADVISED


@pytest.mark.parametrize("made", [textgrad, textgrad_library])
def test_both_learn_from_every_example(made):
    assert made().selection.threshold < 0
    assert made().gate == NoGate()
