"""One step: which examples are worth a gradient, and what becomes of them. It alone knows the order of passes."""

import anyio
import pytest
import worlds

from semprop.engine import Example, NoGate, Position, Score, SemanticBackward, Splits, StrictGate, semantic
from semprop.engine.copying import CopyGuard
from semprop.engine.gates import Decision
from semprop.engine.method import Selection
from semprop.engine.methods.semantic import InstructionMessage
from semprop.engine.passes.forward import wiring
from semprop.engine.training.asker import Asker
from semprop.engine.training.driver import Stage
from semprop.engine.training.events import Announcer
from semprop.engine.training.ledger import MemoryLedger
from semprop.engine.training.step import StepInput, run_step, select
from semprop.engine.training.telemetry import Telemetry
from semprop.providers import ErrorClass, ItemError, ProviderFailure


def stage_of(spec):
    seam = Asker(spec, MemoryLedger(), Telemetry(), Announcer([]))
    return Stage(wiring(spec.graph), spec.loss, seam, 2 * spec.in_flight)


def given(spec, **changes):
    start = {"minibatch": spec.splits.train, "rejected": {}, **changes}
    return StepInput(0, spec.initial, start["minibatch"], CopyGuard(spec.splits.train), start["rejected"])


async def selected(script, **changes):
    spec = worlds.specification(providers={"forward": worlds.scripted(script)}, **changes)
    stage = stage_of(spec)
    async with stage.seam:
        return await select(spec, stage, given(spec))


async def step(script=worlds.script, start=None, **changes):
    provider = worlds.scripted(script)
    spec = worlds.specification(providers={"forward": provider}, **changes)
    stage = stage_of(spec)
    async with stage.seam:
        return await run_step(spec, stage, given(spec, **(start or {}))), provider


def right_for(*numbers):
    """A forward script that is right on these examples only."""

    def answer(request):
        if not worlds.is_forward(request):
            return worlds.script(request)
        text = request.messages[-1].text
        return worlds.solve(_with_sum(request)) if any(f"is {number} plus" in text for number in numbers) else "dunno"

    return answer


def _with_sum(request):
    return type(request)((type(request.messages[0]).of("system", "sum"), *request.messages[1:]))


def ids(entries):
    return [entry.tape.example.id for entry in entries]


# Selection -----------------------------------------------------------------------------------------------------------


async def test_examples_run_in_order_until_enough_are_wrong():
    found = await selected(right_for(0, 2, 4), examples_per_gradient=3)
    assert ids(found.scored) == ["e0", "e1", "e2", "e3", "e4", "e5"]
    assert ids(found.wrong) == ["e1", "e3", "e5"]
    assert found.solved == ()


async def test_without_a_number_of_wrong_ones_the_whole_minibatch_runs():
    found = await selected(right_for(0), examples_per_gradient=None)
    assert len(found.scored) == 8
    assert ids(found.wrong) == [f"e{number}" for number in range(1, 8)]


async def test_solved_examples_are_kept_as_what_must_not_break_if_asked_for():
    method = semantic(selection=Selection(solved=1))
    found = await selected(right_for(0, 2), examples_per_gradient=4, method=method)
    assert ids(found.solved) == ["e0"]


async def test_a_negative_threshold_takes_every_example():
    found = await selected(
        right_for(*range(8)), method=semantic(selection=Selection(threshold=-1.0)), examples_per_gradient=None
    )
    assert len(found.wrong) == 8


def failing_once(*numbers, for_ever=False):
    seen = []

    def answer(request):
        text = request.messages[-1].text
        hit = [number for number in numbers if f"is {number} plus" in text]
        if worlds.is_forward(request) and hit and (for_ever or hit[0] not in seen):
            seen.append(hit[0])
            return ProviderFailure("busy", ErrorClass.OVERLOAD)
        return worlds.script(request)

    return answer


async def test_an_example_without_a_score_is_asked_once_more_at_the_end():
    found = await selected(failing_once(1), examples_per_gradient=None)
    assert ids(found.scored) == [f"e{number}" for number in range(8)]
    assert found.missing == 0


async def test_an_example_that_stays_without_a_score_is_left_out_and_counted():
    found = await selected(failing_once(1, 2, for_ever=True), examples_per_gradient=None)
    assert ids(found.scored) == ["e0", *(f"e{number}" for number in range(3, 8))]
    assert ids(found.wrong) == ids(found.scored)
    assert found.missing == 2


async def test_a_model_failure_is_a_wrong_answer_not_a_missing_one():
    def answer(request):
        return ItemError("filtered", ErrorClass.FILTER) if worlds.is_forward(request) else worlds.script(request)

    found = await selected(answer, examples_per_gradient=2)
    assert [entry.score.value for entry in found.wrong] == [0.0, 0.0]
    assert found.missing == 0


# Steps ---------------------------------------------------------------------------------------------------------------


async def test_a_better_candidate_becomes_the_parameters():
    done, _ = await step()
    assert done.accepted
    assert done.verdict.decision is Decision.ACCEPT
    assert done.after["s"] == worlds.GOOD
    assert done.before["s"] == "Solve the problem."
    assert len(done.gradients) == len(done.selected.wrong) == 4


async def test_a_worse_candidate_leaves_the_parameters():
    def answer(request):
        return worlds.propose(request, "Guess.") if worlds.is_update(request) else worlds.script(request)

    done, _ = await step(answer)
    assert not done.accepted
    assert done.after == done.before
    assert done.verdict.decision is Decision.REJECT


async def test_where_nothing_is_wrong_nothing_is_learned_and_nobody_is_asked():
    done, provider = await step(right_for(*range(8)))
    assert done.reason == "nothing to learn: none of 8 examples was wrong"
    assert done.verdict is None
    assert not done.accepted
    assert all(map(worlds.is_forward, provider.requests))


async def test_a_zero_gradient_makes_no_update_call():
    def answer(request):
        return worlds.advise(request, "keep") if worlds.is_backward(request) else worlds.script(request)

    done, provider = await step(answer, method=semantic(backward=_advised()))
    assert done.reason == "no proposal: no gradient asked for a change"
    assert not any(map(worlds.is_update, provider.requests))


def _advised():
    return SemanticBackward(instruction=InstructionMessage.ADVISED)


async def test_proposals_that_cannot_be_read_are_no_proposal_and_no_gate_call():
    def answer(request):
        return "no idea" if worlds.is_update(request) else worlds.script(request)

    done, provider = await step(answer)
    assert done.reason == "no proposal"
    assert done.verdict is None
    assert len(done.proposals.dropped) == 3
    gate = {example.inputs["question"] for example in worlds.splits().gate}
    assert not any(question in request.messages[-1].text for request in provider.requests for question in gate)


async def test_without_a_gate_the_first_candidate_is_taken_unmeasured():
    done, _ = await step(method=semantic(gate=NoGate()))
    assert done.accepted
    assert len(done.proposals.candidates[0].edits) == 3
    assert done.race.board.rows == ()


async def test_together_and_each_alone_are_raced():
    done, _ = await step()
    assert [[edit.parameter for edit in entry.edits] for entry in done.proposals.candidates] == [
        ["w1", "w2", "s"],
        ["w1"],
        ["w2"],
        ["s"],
    ]


async def test_twin_instructions_that_start_equal_end_different():
    def answer(request):
        if worlds.is_update(request):
            text = request.messages[-1].text
            number = next((n for n in (1, 2) if f"This is number {n}" in text), 0)
            return worlds.propose(request, f"{worlds.GOOD} Part {number}.")
        return worlds.script(request)

    done, _ = await step(answer, method=semantic(gate=NoGate()))
    assert done.after["w1"] != done.after["w2"]


async def test_a_copy_of_a_training_example_is_dropped_before_the_gate():
    long = "one two three four five six seven eight nine ten"
    odd = Example("odd", {"question": f"What is 1 plus 3? {long}"}, "4")
    splits = Splits((odd, *worlds.splits().train[2:]), worlds.splits().gate)

    def answer(request):
        return (
            worlds.propose(request, f"Say the sum of {long}") if worlds.is_update(request) else worlds.script(request)
        )

    done, _ = await step(answer, splits=splits)
    assert done.reason == "no proposal"
    assert all("copies a training example" in entry.reason for entry in done.proposals.dropped)


async def test_rejected_texts_reach_the_update_prompt():
    _, provider = await step(start={"rejected": {"s": ("Tried that.",)}})
    prompts = [request.messages[-1].text for request in provider.requests if worlds.is_update(request)]
    assert ["Tried that." in prompt for prompt in prompts] == [False, False, True]


@pytest.mark.parametrize("gate", [StrictGate(), NoGate()])
async def test_every_gate_gets_the_incumbent_first(gate):
    done, _ = await step(method=semantic(gate=gate))
    assert len(done.race.board.sizes) == 1 + len(done.proposals.candidates)
    assert done.race.board.sizes[0] == sum(len(text.encode()) for text in done.before.values())


async def test_a_score_of_the_stage_has_the_position_of_its_example():
    spec = worlds.specification()
    stage = stage_of(spec)
    async with stage.seam, anyio.create_task_group() as tasks:
        entry = await stage.score(spec.initial, worlds.example(1), Position(0, "forward"), tasks.start_soon)
    assert entry.score == Score(0.0, entry.score.feedback, entry.score.lenient)
