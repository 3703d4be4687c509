"""L5: chains of any length, streams of any length, and prompts of bounded size."""

from __future__ import annotations

import asyncio
import json
import sys
import tracemalloc
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from laws import arithmetic as world

from semprop.engine import (
    CaseFolded,
    Example,
    Function,
    Gradient,
    Graph,
    Local,
    Model,
    Number,
    Parameter,
    Plan,
    Position,
    Provenance,
    Score,
    Scored,
    Seed,
    Specification,
    Splits,
    Tape,
    change,
    semantic,
)
from semprop.engine.gradients import Message
from semprop.engine.parameters import Kind
from semprop.engine.passes.backward import backward
from semprop.engine.passes.forward import forward, wiring
from semprop.engine.plans import nothing
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.scheduler import Start, group, in_order
from semprop.engine.training.asker import Asker
from semprop.engine.training.driver import Driver, Stage
from semprop.engine.training.events import Announcer
from semprop.engine.training.ledger import MemoryLedger
from semprop.engine.training.telemetry import Telemetry, unpriced
from semprop.providers import Scripted
from semprop.providers.base import JsonSchema, Request

LONG = 10_000
EXAMPLE = Example("e", {"question": "How many?"}, "one")


class Pure:
    """A seam for graphs of pure functions."""

    def style(self, role: str) -> ReplyStyle:
        return ReplyStyle.JSON

    async def ask_function(self, position: Position, call: Any) -> Any:
        return type("Returned", (), {"value": call.call(**call.arguments)})()

    async def ask_model(self, position: Position, call: Any) -> Any:
        raise AssertionError("there is no model in this graph")


# Chains --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shallow() -> Iterator[None]:
    """So little stack that any recursion over a graph of 10,000 nodes overflows it at once."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    yield
    sys.setrecursionlimit(limit)


async def through(graph: Graph, seam: Any) -> Tape:
    async with group() as start:
        return await forward(wiring(graph), graph.initial, EXAMPLE, Position(0, "forward"), seam, start)


@pytest.mark.usefixtures("shallow")
async def test_a_chain_of_ten_thousand_functions_is_differentiated_exactly() -> None:
    nodes = [Function("n0", lambda theta: theta, ("theta",), kind=Kind.NUMBER, pure=True)]
    for index in range(1, LONG):
        inputs = {"below": f"n{index - 1}", "theta": "theta"}
        nodes.append(Function(f"n{index}", lambda below, theta: below + theta, inputs, kind=Kind.NUMBER, pure=True))
    graph = Graph(inputs=(), parameters=[Parameter("theta", Number(2))], nodes=nodes, output=f"n{LONG - 1}")
    tape = await through(graph, Pure())
    assert tape.answer == 2.0 * LONG

    def ones(local: Local) -> Plan[Mapping[str, Message]]:
        above = sum(message.content for message in local.gradient.messages)  # type: ignore[misc]
        return nothing({slot: change(above, Provenance("e", local.record.name, slot)) for slot in local.active})

    def summed(variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
        total = sum(message.content for message in messages)  # type: ignore[misc]
        return Gradient(variable, kind, (change(total, Provenance("e")),))

    async def drive(plan: Plan[Any]) -> Any:
        try:
            next(plan)
        except StopIteration as end:
            return end.value

    seeds = [Seed(graph.output, change(1.0, Provenance("e")))]
    async with group() as start:
        found = await backward(tape, seeds, graph.trainable, (ones, summed), ReplyStyle.JSON, drive, start)
    assert found["theta"].messages[0].content == float(LONG)
    assert len(found) == LONG + 1


def advise(request: Request) -> str:
    if isinstance(request.schema, JsonSchema):
        slots = json.loads(request.schema.document)["properties"]
        return json.dumps({slot: {"verdict": "change", "advice": "say one"} for slot in slots})
    return "two"


@pytest.mark.usefixtures("shallow")
async def test_a_chain_of_ten_thousand_model_calls_runs_forward_and_backward() -> None:
    count = LONG
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter(f"told_{index}", "Pass it on.") for index in range(count)],
        nodes=[
            Model(f"n{index}", f"told_{index}", (f"n{index - 1}" if index else "question",)) for index in range(count)
        ],
        output=f"n{count - 1}",
    )
    scripted = Scripted(advise)
    splits = Splits((EXAMPLE,), world.examples(1, 1))
    spec = Specification(
        graph=graph, loss=CaseFolded(), splits=splits, method=semantic(), providers={"forward": scripted}
    )
    asker = Asker(spec, MemoryLedger(), Telemetry(unpriced), Announcer([]))
    stage = Stage(wiring(graph), spec.loss, asker, 1)
    drive = Driver(stage, Position(0, "backward", "e"))
    rules = (spec.method.backward, spec.method.aggregate)
    async with asker, group() as start:
        tape = await through(graph, asker)
        assert tape.answer == "two"
        seeds = spec.method.seed(Scored(tape, Score(0.0)))
        found = await backward(tape, seeds, graph.trainable, rules, asker.style("backward"), drive, start)
    assert len(found) == 2 * count
    assert found["told_0"].changes


async def test_a_node_with_a_thousand_predecessors_and_successors_is_no_special_case() -> None:
    width = 1_000
    nodes = [Function(f"n{index}", lambda theta: theta, ("theta",), kind=Kind.NUMBER) for index in range(width)]
    nodes.append(Function("middle", lambda **values: sum(values.values()), [f"n{i}" for i in range(width)]))
    nodes += [Function(f"m{index}", lambda middle: middle, ("middle",), kind=Kind.NUMBER) for index in range(width)]
    nodes.append(Function("answer", lambda **values: sum(values.values()), [f"m{i}" for i in range(width)]))
    graph = Graph(inputs=(), parameters=[Parameter("theta", Number(1))], nodes=nodes, output="answer")
    assert (await through(graph, Pure())).answer == 1_000_000.0


# Streams -------------------------------------------------------------------------------------------------------------


def test_a_long_stream_runs_in_constant_memory() -> None:
    def peak(count: int) -> int:
        async def work(item: int, start: Start) -> bytes:
            if item % 97 == 0:
                await checkpoint()
            return bytes(10_000)

        def stream() -> Iterator[int]:
            yield from range(count)

        tracemalloc.start()
        try:
            asyncio.run(in_order(stream(), work, lambda item, result: False, 16))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    short, long = peak(500), peak(10_000)
    assert long < short + 300_000, "twenty times the items, the same memory"


@pytest.mark.parametrize(("in_flight", "lookahead"), [(1, 1), (1, 9), (3, 9), (7, 2)])
def test_open_examples_and_requests_in_flight_are_bounded(in_flight: int, lookahead: int) -> None:
    scripted = world.provider(world.honest, latency=1)
    spec = world.specification(scripted, in_flight=in_flight, lookahead=lookahead, steps=1)
    asyncio.run(world.ran(spec))
    assert 1 <= scripted.peak <= in_flight


# Prompts -------------------------------------------------------------------------------------------------------------

LIMIT = 80_000


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_prompts_that_learn_do_not_grow_with_what_the_models_say(size: int) -> None:
    """The largest prompts of backward and update, when values, advice and cases are long."""

    def verbose(request: Request) -> str:
        if isinstance(request.schema, JsonSchema):
            keys = list(json.loads(request.schema.document)["properties"])
            if "proposal_1" in keys:
                return json.dumps({"reasoning": "x" * size, "proposal_1": "Be careful."})
            advice = {"verdict": "change", "advice": "more " * size}
            return json.dumps({key: advice for key in keys if key != "reasoning"})
        return f"<answer>{'word ' * size}</answer>"

    scripted = world.provider(verbose)
    asyncio.run(world.ran(world.specification(scripted, candidates=1, steps=1)))
    learning = [request for request in scripted.requests if isinstance(request.schema, JsonSchema)]
    assert learning
    assert all(sum(len(m.text.encode()) for m in request.messages) < LIMIT for request in learning)


def test_the_instruction_that_is_edited_is_shown_whole_however_long_it_is() -> None:
    told = "Solve the problem. " + "Mind this. " * 5_000
    scripted = world.provider(world.honest)
    start = world.GRAPH.initial.replaced({"solve_told": told})
    asyncio.run(world.ran(world.specification(scripted, start=start, steps=1)))
    updates = [request for request in scripted.requests if "You improve the instruction" in request.messages[0].text]
    assert any(told in request.messages[1].text for request in updates)
