"""World W1: where the planted fault is, that gradients reach it, and that nothing else repairs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from semprop.bench.data import DataSource
from semprop.bench.task import Sizes, Task
from semprop.bench.worlds import lookup as worlds
from semprop.engine import (
    Example,
    Message,
    Result,
    SemanticBackward,
    Specification,
    Stance,
    Step,
    optimize,
    semantic,
)
from semprop.engine.example import normalised
from semprop.engine.method import Method, Scored, Seed
from semprop.engine.methods.semantic import Calls, target_seed
from semprop.engine.prompts.backward import Neighbours
from semprop.providers.base import Capabilities, Provider
from semprop.providers.simulated import model as simulated

SMALL = Sizes(train=16, gate=12, test=16)
NOWHERE = DataSource(Path("nowhere"))


def specification(task: Task, *, seed: int = 0, provider: Provider | None = None, in_flight: int = 16) -> Specification:
    return Specification(
        graph=task.graph,
        loss=task.loss,
        splits=task.load(NOWHERE, seed, SMALL),
        method=semantic(),
        providers={"forward": provider or simulated.connect()},
        steps=task.defaults.steps,
        minibatch=task.defaults.minibatch,
        examples_per_gradient=task.defaults.examples_per_gradient,
        candidates=task.defaults.candidates,
        seed=seed,
        in_flight=in_flight,
    )


def scores(result: Result) -> tuple[float, float]:
    assert result.held_out is not None
    return result.held_out.strict.before, result.held_out.strict.after


def edited(result: Result) -> tuple[str, ...]:
    return tuple(name for name in result.parameters if result.parameters[name] != result.before[name])


def messages(step: Step, variable: str) -> tuple[Message, ...]:
    return tuple(message for each in step.gradients if variable in each for message in each[variable].messages)


@pytest.mark.parametrize("seed", range(3))
def test_splits_are_disjoint_distinct_and_as_large_as_asked(seed: int) -> None:
    splits = worlds.examples(seed)
    everything = (*splits.train, *splits.gate, *splits.test)
    assert (len(splits.train), len(splits.gate), len(splits.test)) == (24, 40, 80)
    assert len({normalised(example) for example in everything}) == 144
    assert splits == worlds.examples(seed)
    assert splits != worlds.examples(seed + 1)


def test_a_question_has_one_right_answer_and_every_wrong_field_gives_a_wrong_town() -> None:
    example = worlds.example(0, 7)
    record = dict(line.split(": ") for line in example.inputs["record"].split("\n"))
    sheet = dict(line.split(" = ") for line in example.inputs["sheet"].split("\n"))
    assert example.expected == sheet[record["primary"]]
    assert sorted(record) == sorted(worlds.FIELDS)
    assert [sheet[sign] for sign in record.values()].count(example.expected) == 1


def test_the_right_field_has_no_fixed_place_in_the_record_or_the_sheet() -> None:
    examples = [worlds.example(0, number) for number in range(40)]
    places = {[line.split(":")[0] for line in each.inputs["record"].split("\n")].index("primary") for each in examples}
    assert len(places) == len(worlds.FIELDS)


async def test_the_start_is_always_wrong_and_the_repaired_graph_always_right() -> None:
    for graph, right in (
        (worlds.lookup_graph(), 0.0),
        (worlds.lookup_graph(key=worlds.RIGHT_KEY), 1.0),
        (worlds.lookup_graph(table=worlds.SHORT_TABLE), 0.0),
    ):
        task = replace(worlds.LOOKUP, graph=graph)
        result = await optimize(specification(task))
        assert scores(result)[0] == right


@pytest.mark.parametrize("seed", range(4))
async def test_one_step_repairs_the_instruction_at_fault_and_no_other(seed: int) -> None:
    result = await optimize(specification(worlds.LOOKUP, seed=seed))
    assert scores(result) == (0.0, 1.0)
    assert edited(result) == ("key-instruction",)
    assert result.steps[0].accepted


async def test_the_gradient_names_the_right_key_and_keeps_the_table() -> None:
    result = await optimize(specification(worlds.LOOKUP))
    step = result.steps[0]
    wrong = {scored.tape.example.id: scored.tape.example for scored in step.selected.wrong}
    assert len(messages(step, "key")) == len(wrong)
    for message in messages(step, "key"):
        assert message.content == f"It should state: {_primary(wrong[message.source.example])}"
    assert {message.stance for message in messages(step, "table")} == {Stance.KEEP}


def _primary(example: Example) -> str:
    return next(line.split(": ")[1] for line in example.inputs["record"].split("\n") if line.startswith("primary"))


@pytest.mark.parametrize("seed", range(2))
async def test_two_faults_are_repaired_one_after_the_other(seed: int) -> None:
    result = await optimize(specification(worlds.LOOKUP_TWO_FAULTS, seed=seed))
    assert scores(result) == (0.0, 1.0)
    assert edited(result) == ("key-instruction", "table-instruction")
    assert [step.accepted for step in result.steps][:2] == [True, True]


@dataclass(frozen=True)
class WithoutSchema:
    """The simulated model as an endpoint that cannot be held to a schema: prompts ask for tags."""

    inner: Provider

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(schema=False, simulated=True)

    async def __aenter__(self) -> WithoutSchema:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None


async def test_tags_in_place_of_a_schema_repair_it_as_well() -> None:
    provider = WithoutSchema(simulated.connect())
    assert isinstance(provider, Provider)
    result = await optimize(specification(worlds.LOOKUP, provider=provider))
    assert scores(result) == (0.0, 1.0)


async def test_without_the_siblings_value_no_message_names_the_right_key() -> None:
    backward = SemanticBackward(neighbours=Neighbours.HIDDEN, calls=Calls.PER_EDGE)
    result = await optimize(replace(specification(worlds.LOOKUP), method=semantic(backward=backward), steps=1))
    step = result.steps[0]
    wrong = {scored.tape.example.id: scored.tape.example for scored in step.selected.wrong}
    for message in messages(step, "key"):
        assert _primary(wrong[message.source.example]) not in str(message.content)


def _others_target(scored: Scored) -> tuple[Seed, ...]:
    """The seed of another question's answer, drawn by the question."""
    number = int(scored.tape.example.id.rpartition("-")[2])
    return target_seed(
        replace(
            scored,
            tape=replace(
                scored.tape,
                example=replace(scored.tape.example, expected=worlds.example(999, number).expected),
            ),
        )
    )


async def test_shuffled_gradients_repair_nothing() -> None:
    method: Method = replace(semantic(), seed=_others_target)
    result = await optimize(replace(specification(worlds.LOOKUP), method=method))
    assert scores(result) == (0.0, 0.0)
    assert edited(result) == ()


async def test_one_and_many_requests_in_flight_give_the_same_result() -> None:
    one = await optimize(specification(worlds.LOOKUP_TWO_FAULTS, in_flight=1))
    many = await optimize(specification(worlds.LOOKUP_TWO_FAULTS, in_flight=64))
    assert one.document()["result"] == many.document()["result"]


async def test_misreading_lowers_the_score_of_the_repaired_graph() -> None:
    repaired = replace(worlds.LOOKUP, graph=worlds.lookup_graph(key=worlds.RIGHT_KEY))
    spec = replace(specification(repaired, provider=simulated.connect("L0=300")), steps=1)
    assert scores(await optimize(spec))[0] < 0.7


def test_every_world_says_that_it_is_simulated_and_what_it_cannot_show() -> None:
    assert [task.name for task in worlds.tasks()] == ["lookup", "lookup-two-faults"]
    for task in worlds.tasks():
        assert "Simulated" in task.simulated_note and "never" in task.simulated_note
        assert "planted" in task.note, "what is true whoever answers"
        assert set(task.defaults.providers.values()) == {"simulated:"}
