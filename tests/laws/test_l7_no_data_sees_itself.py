"""L7: a run is never judged by what it learned from, and nothing is shown to the example that it came from."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import arithmetic as world

from semprop.engine import (
    DataError,
    Demonstrations,
    Example,
    Graph,
    Model,
    Numeric,
    Parameter,
    Specification,
    Splits,
    semantic,
    split,
)
from semprop.engine.example import normalised
from semprop.providers.base import JsonSchema, Request

A, B, C = Example("a", {"q": "One?"}), Example("b", {"q": "Two?"}), Example("c", {"q": "Three?"})


@pytest.mark.parametrize(
    ("one", "other"),
    [(A, Example("z", {"q": "One?"})), (A, Example("z", {"q": "  ONE? "})), (A, Example("a", B.inputs))],
)
@pytest.mark.parametrize("places", [("train", "gate"), ("train", "test"), ("gate", "test")])
def test_splits_that_share_an_input_or_an_id_cannot_be_made(
    one: Example, other: Example, places: tuple[str, str]
) -> None:
    parts = {"train": (), "gate": (), "test": ()} | {places[0]: (one,), places[1]: (other,)}
    with pytest.raises(DataError, match=r"a run must not be judged|its own id"):
        Splits(**parts)


def test_disjoint_splits_can_be_made_and_equal_inputs_may_stand_together() -> None:
    assert Splits((A, Example("a2", A.inputs)), (B,), (C,)).gate == (B,)


questions = st.lists(st.text(min_size=1, max_size=6), min_size=40, max_size=60, unique=True)


@given(questions, st.integers(0, 5))
def test_equal_inputs_share_a_split_and_others_never_change_it(texts: list[str], seed: int) -> None:
    examples = [Example(f"e{index}", {"q": text}) for index, text in enumerate(texts)]
    doubled = [*examples, *(Example(f"d{one.id}", {"q": f" {one.inputs['q'].swapcase()} "}) for one in examples[:20])]

    def places(given: list[Example]) -> dict[str, str]:
        drawn = split(given, seed, train=99, gate=99, test=99)
        return {one.id: name for name in ("train", "gate", "test") for one in getattr(drawn, name)}

    try:
        alone, beside = places(examples), places(doubled)
    except DataError:
        return  # a split came out empty: none of these is drawn again until it suits
    assert {name: beside[name] for name in alone} == alone
    equal: dict[str, set[str]] = {}
    for one in doubled:
        equal.setdefault(normalised(one), set()).add(beside[one.id])
    assert all(len(found) == 1 for found in equal.values())


# A whole run ---------------------------------------------------------------------------------------------------------

GRAPH = Graph(
    inputs=("question",),
    parameters=[Parameter("solve_told", "Solve the problem."), Parameter("shown", Demonstrations())],
    nodes=[Model("answer", "solve_told", ("question",), demonstrations="shown")],
    output="answer",
)


def script(request: Request) -> str:
    """Right once a demonstration is shown; proposes instructions that copy nothing."""
    if isinstance(request.schema, JsonSchema):
        return json.dumps({"reasoning": "", "proposal_1": "Mind the sum."})
    return world.example(0).expected if len(request.messages) == 2 else "x"  # type: ignore[no-any-return]


def run_with_demonstrations() -> tuple[Specification, list[Request], Demonstrations]:
    asked: list[Request] = []

    def answers(request: Request) -> str:
        asked.append(request)
        if isinstance(request.schema, JsonSchema):
            return script(request)
        question = request.messages[-1].text
        known = {
            one.inputs["question"]: one.expected for one in spec.splits.train + spec.splits.gate + spec.splits.test
        }
        return (known[question] or "") if len(request.messages) > 2 else "x"

    spec = Specification(
        graph=GRAPH,
        loss=Numeric(),
        splits=Splits(world.examples(0, 6), world.examples(20, 6), world.examples(40, 6)),
        method=semantic(),
        providers={"forward": world.provider(answers)},
        steps=2,
        minibatch=6,
    )
    result, _ = asyncio.run(world.ran(spec))
    shown = result.parameters["shown"]
    assert isinstance(shown, Demonstrations)
    return spec, asked, shown


def test_demonstrations_come_from_training_examples_and_are_shown_to_all_but_their_own() -> None:
    spec, asked, shown = run_with_demonstrations()
    train = {one.id: one.inputs["question"] for one in spec.splits.train}
    assert shown.turns and all(turn.origin in train for turn in shown.turns)
    with_turns = [request for request in asked if len(request.messages) > 2]
    assert with_turns
    for request in with_turns:
        *earlier, question = (message.text for message in request.messages if message.role == "user")
        assert question not in earlier, "an example saw its own answer"


def test_no_word_of_the_gate_or_the_test_split_reaches_a_prompt_that_learns() -> None:
    scripted = world.provider()
    spec = world.specification(scripted, keep_rejected=False)
    asyncio.run(world.ran(spec))
    learning = [
        "\n".join(message.text for message in request.messages)
        for request in scripted.requests
        if "You trace an error back" in request.messages[0].text or "You improve the" in request.messages[0].text
    ]
    assert len(learning) > 10
    for one in spec.splits.gate + spec.splits.test:
        assert not any(one.inputs["question"] in text for text in learning)
    assert any(one.inputs["question"] in text for one in spec.splits.train for text in learning)


def test_the_test_split_is_opened_once_and_only_by_the_report() -> None:
    scripted = world.provider()
    spec = world.specification(scripted)
    held_out = [one.inputs["question"] for one in spec.splits.test]
    opened: list[int] = []

    async def main() -> None:
        async with world.Trainer(spec) as trainer:
            async for _ in trainer:
                opened.append(sum(q in repr(request) for request in scripted.requests for q in held_out))
            first = await trainer.report()
            sent = len(scripted.requests)
            assert await trainer.report() is first
            assert len(scripted.requests) == sent

    asyncio.run(main())
    assert opened == [0] * len(opened) and opened
    assert any(q in repr(request) for request in scripted.requests for q in held_out)
