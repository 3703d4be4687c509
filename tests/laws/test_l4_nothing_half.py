"""L4: a parameter is replaced whole or not at all, and no reply reaches a wrong slot."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import arithmetic as world

from semprop.engine import (
    Demonstrations,
    Graph,
    Model,
    Number,
    Parameter,
    Parameters,
    SpecificationError,
    Stance,
    Step,
)
from semprop.engine.parameters import ParameterValue
from semprop.providers import Scripted
from semprop.providers.base import Completion, JsonSchema, Request, Stop
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure

GRAPH = Graph(
    inputs=("question",),
    parameters=[Parameter("hint_told", "Work out a step."), Parameter("solve_told", "Solve the problem.")],
    nodes=[Model("hint", "hint_told", ("question",)), Model("answer", "solve_told", ("question", "hint"))],
    output="answer",
)
Reply = Any


def proposal(text: str) -> str:
    return json.dumps({"reasoning": "", "proposal_1": text})


def advice(slots: list[str]) -> str:
    """Says of each slot what to change, naming the slot."""
    return json.dumps({slot: {"verdict": "change", "advice": f"about {slot}"} for slot in slots})


def keys_of(request: Request) -> list[str]:
    if not isinstance(request.schema, JsonSchema):
        return []
    return [key for key in json.loads(request.schema.document)["properties"] if key != "reasoning"]


def one_step(
    update: Callable[[str], Reply], *, backward: Callable[[list[str]], Reply] = advice, **changes: Any
) -> tuple[Step, Scripted]:
    """`update` answers by the name of the instruction that is asked for: hint or solve."""

    def script(request: Request) -> Reply:
        keys = keys_of(request)
        if "proposal_1" in keys:
            return update("hint" if "Work out" in request.messages[1].text.split("</instruction>")[0] else "solve")
        return backward(keys) if keys else "x"

    scripted = world.provider(script)
    spec = world.specification(scripted, **{"graph": GRAPH, "steps": 1, "candidates": 1, **changes})
    _, (step,) = asyncio.run(world.ran(spec))
    return step, scripted


def gate_calls(scripted: Scripted) -> int:
    gate = [one.inputs["question"] for one in world.examples(20, 14)]
    return sum(any(question in repr(request) for question in gate) for request in scripted.requests)


# Updates -------------------------------------------------------------------------------------------------------------

LOST = {
    "prose": "I would write something better.",
    "cut": Completion('{"reasoning": "because", "proposal_1": "Add the', Stop.LENGTH),
    "empty": proposal("  "),
    "two that differ": '{"proposal_1": "This."} {"proposal_1": "That."}',
    "refused": ItemError("refused", ErrorClass.REFUSAL),
    "filtered": ItemError("filtered", ErrorClass.FILTER),
    "down": ProviderFailure("down", ErrorClass.TRANSIENT),
    "unchanged": proposal("Solve the problem."),
    "too long": proposal("x" * 9_000),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_an_update_that_cannot_be_used_leaves_its_parameter_and_the_others_form_the_candidate(lost: Reply) -> None:
    step, scripted = one_step(lambda name: proposal("Say a step.") if name == "hint" else lost)
    (candidate,) = step.proposals.candidates
    assert [edit.parameter for edit in candidate.edits] == ["hint_told"]
    assert dict(candidate.parameters) == {"hint_told": "Say a step.", "solve_told": "Solve the problem."}
    assert "solve_told" in {dropped.parameter for dropped in step.proposals.dropped}, "and it is recorded"
    assert gate_calls(scripted)


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_if_nothing_changed_there_is_no_proposal_and_no_gate_call(lost: Reply) -> None:
    step, scripted = one_step(lambda name: proposal("Work out a step.") if name == "hint" else lost)
    assert (step.reason, step.race, step.accepted) == ("no proposal", None, False)
    assert step.after is step.before
    assert gate_calls(scripted) == 0


def test_an_update_is_asked_once_more_with_the_complaint_before_it_is_given_up() -> None:
    replies = iter(["prose", proposal("Say a step.")])
    step, scripted = one_step(lambda name: next(replies) if name == "hint" else proposal("Solve the problem."))
    assert [edit.after for edit in step.proposals.candidates[0].edits] == ["Say a step."]
    repairs = [request for request in scripted.requests if "could not be read" in request.messages[-1].text]
    assert len(repairs) == 1


def test_if_every_message_is_keep_nothing_is_asked_of_the_update() -> None:
    def keep(slots: list[str]) -> str:
        return json.dumps({slot: {"verdict": "keep", "advice": ""} for slot in slots})

    step, scripted = one_step(lambda name: proposal("Say a step."), backward=keep)
    asked = [request for request in scripted.requests if "proposal_1" in keys_of(request)]
    assert len(asked) == 1, "the output's own instruction has its evidence; the hint was fine"
    assert "Solve the problem." in asked[0].messages[1].text
    assert [edit.parameter for edit in step.proposals.candidates[0].edits] == ["solve_told"]


# Copies --------------------------------------------------------------------------------------------------------------

BOILERPLATE = "Read the following little story about numbers and then answer the question at its end"


def stories(first: int, count: int) -> tuple[world.Example, ...]:
    names = ["anna", "ben", "cleo", "dan", "eva", "fred", "gus", "hal", "ina", "jo", "kim", "lea", "max", "ned"]
    return tuple(
        world.Example(
            f"s{index}",
            {
                "question": f"{BOILERPLATE}: {names[index % 14]} bought {index} red pencils and {index + 2} blue ones "
                f"in shop {index}. What is {index} plus {index + 2}?"
            },
            str(2 * index + 2),
        )
        for index in range(first, first + count)
    )


def told_by(text: str) -> tuple[Step, Scripted]:
    splits = world.Splits(stories(0, 14), stories(20, 14))
    return one_step(lambda name: proposal(text) if name == "hint" else proposal("Solve the problem."), splits=splits)


def test_a_proposal_that_copies_a_training_example_is_rejected_before_the_gate() -> None:
    step, scripted = told_by("Think. E.g. cleo bought 2 red pencils and 4 blue ones in shop 2: add them.")
    assert step.race is None
    (dropped,) = (entry for entry in step.proposals.dropped if entry.parameter == "hint_told")
    assert "copies a training example: «cleo bought 2 red pencils and 4 blue»" in dropped.reason
    gate = [one.inputs["question"] for one in stories(20, 14)]
    assert not any(question in repr(request) for question in gate for request in scripted.requests)


def test_wording_common_to_the_examples_and_seven_tokens_of_one_are_no_copies() -> None:
    for text in (f"{BOILERPLATE}. Be brief.", "Think: cleo bought 2 red pencils and 4!"):
        step, _ = told_by(text)
        assert [edit.after for edit in step.proposals.candidates[0].edits] == [text]


# Slots ---------------------------------------------------------------------------------------------------------------

SLOTS = ("left", "right", "middle")
WIDE = Graph(
    inputs=("question",),
    parameters=[Parameter("solve_told", "Solve the problem."), *(Parameter(f"{s}_told", f"Do {s}.") for s in SLOTS)],
    nodes=[
        *(Model(f"n_{slot}", f"{slot}_told", ("question",)) for slot in SLOTS),
        Model("answer", "solve_told", {slot: f"n_{slot}" for slot in SLOTS}),
    ],
    output="answer",
)
fragments = st.fixed_dictionaries(
    {}, optional={slot: st.sampled_from(["change", "keep", "nonsense", "twice"]) for slot in (*SLOTS, "n_left", "more")}
)
FEW = world.Splits(world.examples(0, 1), world.examples(20, 1))


@given(fragments, st.sampled_from([None, *SLOTS]), st.randoms(use_true_random=False))
def test_no_reply_reaches_a_wrong_slot(said: dict[str, str], cut: str | None, random: Any) -> None:
    """Each slot gets the advice that names it or none at all, whatever else the reply holds and wherever it ends."""
    parts = []
    for slot, what in said.items():
        member: object = {"verdict": what, "advice": f"about {slot}"} if what in ("change", "keep") else "?"
        if what == "twice":
            parts.append(f'"{slot}": {{"verdict": "change", "advice": "not about {slot}"}}')
            member = {"verdict": "change", "advice": f"about {slot}"}
        parts.append(f'"{slot}": {json.dumps(member)}')
    random.shuffle(parts)
    if cut is not None and cut not in said:
        parts.append(f'"{cut}": {{"verdict": "change", "advice": "about {cut}')
    reply = "{" + ", ".join(parts) + ("" if cut is not None else "}")
    step, _ = one_step(
        lambda name: "none", backward=lambda keys: reply if "left" in keys else advice(keys), graph=WIDE, splits=FEW
    )
    assert step.gradients
    for gradients in step.gradients:
        for slot in SLOTS:
            messages = gradients[f"n_{slot}"].messages if f"n_{slot}" in gradients else ()
            for message in messages:
                assert message.source.slot == slot
                if message.stance is Stance.CHANGE:
                    assert message.content == f"about {slot}"
                    assert said[slot] == "change"
                if message.stance is Stance.KEEP:
                    assert said[slot] == "keep"


# Immutable parameters ------------------------------------------------------------------------------------------------

values: st.SearchStrategy[ParameterValue] = st.text(max_size=5) | st.builds(Number, st.floats(-10, 10, allow_nan=False))


def test_parameters_cannot_be_changed_in_place() -> None:
    given_values = {"told": "x", "heat": Number(1)}
    parameters = Parameters(given_values)
    before = parameters.hash
    given_values["told"] = "y"
    assert parameters["told"] == "x"
    with pytest.raises(TypeError):
        parameters["told"] = "y"  # type: ignore[index]
    number = parameters["heat"]
    assert isinstance(number, Number)
    with pytest.raises(dataclasses.FrozenInstanceError):
        number.value = 2.0  # type: ignore[misc]
    assert parameters.replaced({"told": "y"})["told"] == "y"
    assert (parameters["told"], parameters.hash) == ("x", before)


@given(st.dictionaries(st.sampled_from("abc"), values), st.dictionaries(st.sampled_from("abc"), values))
def test_two_sets_of_parameters_have_one_hash_exactly_if_they_are_equal(
    one: dict[str, ParameterValue], other: dict[str, ParameterValue]
) -> None:
    assert (Parameters(one).hash == Parameters(other).hash) is (list(one.items()) == list(other.items()))


def test_a_replacement_that_does_not_fit_replaces_nothing() -> None:
    parameters = Parameters({"told": "x", "shown": Demonstrations()})
    for changes in ({"told": "y", "other": "z"}, {"told": "y", "shown": "z"}):
        with pytest.raises(SpecificationError):
            parameters.replaced(changes)
    assert parameters["told"] == "x"


def test_a_step_that_is_not_accepted_gives_back_the_very_same_parameters() -> None:
    step, _ = one_step(lambda name: proposal(f"Another {name}."))
    assert step.verdict is not None and not step.accepted
    assert step.after is step.before
