"""L3: a failure of the model counts as wrong, a failure of the provider counts not at all, and neither is hidden."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from laws import arithmetic as world

from semprop.engine import (
    ContentError,
    Custom,
    Function,
    Graph,
    Judge,
    Model,
    NodeError,
    Numeric,
    Parameter,
    ReplyFormat,
    Result,
    Specification,
    Splits,
    Stance,
    Step,
    semantic,
)
from semprop.engine.gates import Decision
from semprop.providers import Scripted
from semprop.providers.base import Completion, JsonSchema, Request, Stop
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure, StopError

GRAPH = Graph(
    inputs=("question",),
    parameters=[Parameter("told", "Solve the problem.")],
    nodes=[Model("answer", "told", ("question",), reply=ReplyFormat.TAGGED)],
    output="answer",
)
SPLITS = Splits(world.examples(0, 6), world.examples(20, 6), world.examples(40, 6))
RIGHT = {one.inputs["question"]: one.expected for one in SPLITS.train + SPLITS.gate + SPLITS.test}
Answer = Any
Answers = Callable[[str, str, int], Answer]
"""(instruction, question, how often this was asked before) → what the forward model does."""


def script(answers: Answers) -> Callable[[Request], Answer]:
    """Proposes "Give the sum." and otherwise does what the table says; `right` answers rightly."""
    seen: Counter[tuple[str, str]] = Counter()

    def answer(request: Request) -> Answer:
        if isinstance(request.schema, JsonSchema):
            if "proposal_1" in request.schema.document:
                return json.dumps({"reasoning": "", "proposal_1": "Give the sum."})
            return json.dumps({"question": {"verdict": "keep", "advice": ""}})
        told, question = request.messages[0].text.splitlines()[0], request.messages[1].text
        seen[told, question] += 1
        return answers(told, question, seen[told, question] - 1)

    return answer


def right(question: str) -> str:
    return f"<answer>{RIGHT[question]}</answer>"


def ran(answers: Answers, **changes: Any) -> tuple[Result, Step, Scripted]:
    scripted = world.provider(script(answers))
    options: dict[str, Any] = {
        "graph": GRAPH,
        "splits": SPLITS,
        "steps": 1,
        "minibatch": 6,
        "examples_per_gradient": None,
        "candidates": 1,
        "method": semantic(),
    }
    result, (step,) = asyncio.run(world.ran(world.specification(scripted, **{**options, **changes})))
    return result, step, scripted


# Model failures ------------------------------------------------------------------------------------------------------

CONTENT_FAILURES = {
    "filter": ItemError("filtered", ErrorClass.FILTER),
    "stopped by a filter": Completion("I", Stop.FILTER),
    "refusal": ItemError("refused", ErrorClass.REFUSAL),
    "refused in words": Completion("I would rather not", Stop.REFUSAL),
    "context": ItemError("too long", ErrorClass.CONTEXT),
    "truncation": Completion("Let us", Stop.LENGTH),
    "unparseable after repair": "no tags",
}


@pytest.mark.parametrize("failure", CONTENT_FAILURES.values(), ids=CONTENT_FAILURES)
def test_a_model_failure_scores_zero_and_its_reason_is_the_seed(failure: Answer) -> None:
    result, step, _ = ran(lambda told, question, before: failure if "Solve" in told else right(question))
    assert [entry.score.value for entry in step.selected.wrong] == [0.0] * 6
    assert step.selected.missing == 0
    for entry, gradients in zip(step.selected.wrong, step.gradients, strict=True):
        (seed,) = gradients["answer"].messages
        assert seed.content == entry.score.feedback
        assert gradients["told"].stance is Stance.CHANGE
    assert step.verdict is not None
    assert (step.verdict.decision, step.verdict.before, step.verdict.after) == (Decision.ACCEPT, 0.0, 1.0)
    assert result.held_out is not None
    assert (result.held_out.strict.before, result.held_out.strict.n, result.held_out.missing) == (0.0, 6, 0)


def test_content_that_a_function_cannot_use_scores_zero_with_its_own_words() -> None:
    def picky(answer: str) -> str:
        if answer == "x":
            raise ContentError("there is no number in it")
        return answer

    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("told", "Solve the problem.")],
        nodes=[Model("answer", "told", ("question",)), Function("number", picky, ("answer",))],
        output="number",
    )
    _, step, _ = ran(lambda told, question, before: "x" if "Solve" in told else RIGHT[question], graph=graph)
    assert [entry.score.value for entry in step.selected.wrong] == [0.0] * 6
    assert step.gradients[0]["number"].changes[0].content == "there is no number in it"
    assert step.gradients[0]["told"].stance is Stance.CHANGE
    assert step.accepted


# Provider failures ---------------------------------------------------------------------------------------------------

DOWN = ProviderFailure("the endpoint is down", ErrorClass.TRANSIENT)


def sums(told: str, question: str) -> Answer:
    return right(question) if "sum" in told else "<answer>x</answer>"


def test_an_example_that_a_provider_failed_on_is_asked_once_more_at_the_end_and_then_counts() -> None:
    down = {one.inputs["question"] for one in (SPLITS.train[2], SPLITS.gate[1], SPLITS.test[0])}
    result, step, scripted = ran(
        lambda told, question, before: DOWN if question in down and not before else sums(told, question)
    )
    assert (len(step.selected.wrong), step.selected.missing) == (6, 0)
    assert step.verdict is not None and result.held_out is not None
    assert (result.held_out.strict.n, result.held_out.missing) == (6, 0)
    asked = [request.messages[1].text for request in scripted.requests if request.schema is None]
    train = {one.inputs["question"] for one in SPLITS.train}
    assert asked[6] == SPLITS.train[2].inputs["question"], "after the six of the minibatch"
    assert set(asked[:6]) == train


def test_an_example_that_fails_twice_is_excluded_counted_and_shown() -> None:
    down = {one.inputs["question"] for one in (SPLITS.train[2], SPLITS.gate[1], SPLITS.test[0])}
    result, step, scripted = ran(lambda told, question, before: DOWN if question in down else sums(told, question))
    assert (len(step.selected.scored), step.selected.missing) == (5, 1)
    assert SPLITS.train[2].id not in {entry.tape.example.id for entry in step.selected.scored}
    assert step.verdict is not None
    assert (step.verdict.decision, step.verdict.missing) == (Decision.ACCEPT, 1)
    document = result.document()
    assert document["result"]["steps"][0]["gate"]["missing"] == 1
    assert (document["result"]["held_out"]["n"], document["result"]["held_out"]["missing"]) == (5, 1)
    assert document["telemetry"]["failures"]
    # Both sides of a held-out item are asked again: what is excluded is excluded from both.
    times = Counter(
        (request.messages[0].text[:5], request.messages[1].text) for request in scripted.requests if not request.schema
    )
    assert times["Solve", SPLITS.train[2].inputs["question"]] == 2
    assert times["Solve", SPLITS.test[0].inputs["question"]] == 2


def test_a_failure_on_one_side_excludes_the_item_from_both() -> None:
    down = SPLITS.test[3].inputs["question"]
    result, _, _ = ran(
        lambda told, question, before: DOWN if question == down and "sum" in told else sums(told, question)
    )
    assert result.held_out is not None
    assert (result.held_out.strict.n, result.held_out.missing) == (5, 1)


def test_a_gate_that_missing_cells_could_turn_is_undecided_and_changes_nothing() -> None:
    gate = {one.inputs["question"] for one in SPLITS.gate}
    result, step, _ = ran(
        lambda told, question, before: DOWN if "sum" in told and question in gate else sums(told, question)
    )
    assert step.verdict is not None
    assert (step.verdict.decision, step.verdict.n, step.verdict.missing) == (Decision.UNDECIDED, 0, 6)
    document = result.document()["result"]
    assert document["steps"][0]["verdict"] == "undecided"
    assert document["parameters"]["told"]["after"] == "Solve the problem."


def test_failures_that_fall_on_the_candidate_alone_cannot_reject_it() -> None:
    gate = world.examples(100, 30)
    splits = Splits(SPLITS.train, gate, ())
    known = {one.inputs["question"]: one.expected for one in (*SPLITS.train, *gate)}

    def answers(told: str, question: str, before: int) -> Answer:
        if question in {one.inputs["question"] for one in SPLITS.train}:
            return "<answer>x</answer>"
        if "sum" in told:
            return DOWN if int(question.split()[2]) % 2 else "<answer>x</answer>"
        return f"<answer>{known[question]}</answer>"

    _, step, _ = ran(answers, splits=splits)
    assert step.verdict is not None
    assert (step.verdict.decision, step.accepted) == (Decision.UNDECIDED, False)
    assert "unequally" in step.verdict.reason


def test_a_function_that_raises_excludes_its_example() -> None:
    def fragile(question: str) -> str:
        if question == SPLITS.train[0].inputs["question"]:
            raise OSError("the tool is down")
        return "x"

    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("told", "Solve the problem.")],
        nodes=[Function("tool", fragile, ("question",)), Model("answer", "told", ("question", "tool"))],
        output="answer",
    )
    _, step, _ = ran(lambda told, question, before: "y", graph=graph)
    assert (len(step.selected.scored), step.selected.missing) == (5, 1)


def test_a_loss_that_raises_excludes_its_example() -> None:
    def fragile(example: Any, answer: str) -> float:
        if example.id == SPLITS.train[0].id:
            raise OSError("the grader is down")
        return 0.0

    _, step, _ = ran(lambda told, question, before: "<answer>y</answer>", loss=Custom("own", fragile))
    assert (len(step.selected.scored), step.selected.missing) == (5, 1)


@pytest.mark.parametrize("failure", [ItemError("refused", ErrorClass.REFUSAL), "no grade at all", DOWN])
def test_a_judge_that_fails_excludes_and_never_counts_as_wrong(failure: Answer) -> None:
    unlucky = SPLITS.train[0].inputs["question"]

    def judge(request: Request) -> Answer:
        if unlucky in request.messages[1].text:
            return failure
        return json.dumps({"feedback": "wrong", "score": 0})

    forward = world.provider(script(lambda told, question, before: "<answer>y</answer>"))
    spec = world.specification(
        forward,
        graph=GRAPH,
        splits=SPLITS,
        steps=1,
        minibatch=6,
        examples_per_gradient=None,
        loss=Judge(),
        providers={"forward": forward, "judge": Scripted(judge, identity="judge")},
    )
    _, (step,) = asyncio.run(world.ran(spec))
    assert (len(step.selected.scored), step.selected.missing) == (5, 1)
    assert SPLITS.train[0].id not in {entry.tape.example.id for entry in step.selected.scored}


# A run that fails and never succeeds ---------------------------------------------------------------------------------


def hopeless(**changes: Any) -> Specification:
    return world.specification(
        world.provider(script(lambda told, question, before: DOWN)),
        graph=GRAPH,
        splits=Splits(world.examples(0, 20), world.examples(50, 6)),
        minibatch=20,
        **changes,
    )


@pytest.mark.parametrize("in_flight", [1, 1000])
def test_an_endpoint_that_never_answers_stops_the_run_instead_of_giving_no_scores(in_flight: int) -> None:
    with pytest.raises(StopError, match=r"failed and none succeeded.*the endpoint is down"):
        asyncio.run(world.ran(hopeless(in_flight=in_flight)))


def test_a_function_that_never_works_stops_the_run_with_its_name() -> None:
    def broken(question: str) -> str:
        raise OSError("no such tool")

    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("told", "Solve the problem.")],
        nodes=[Function("tool", broken, ("question",)), Model("answer", "told", ("question", "tool"))],
        output="answer",
    )
    spec = world.specification(
        world.provider(),
        graph=graph,
        loss=Numeric(),
        splits=Splits(world.examples(0, 20), world.examples(50, 6)),
        minibatch=20,
    )
    with pytest.raises(NodeError, match=r"'tool'.*no such tool"):
        asyncio.run(world.ran(spec))
