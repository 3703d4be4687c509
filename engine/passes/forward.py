"""Forward: one example through a graph → a tape. Each node starts when its predecessors are done.

Awaits the seam; decides only what a reply is worth as a value. Failures are values on the tape (law L3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from semprop.engine.example import Example
from semprop.engine.graph import Graph
from semprop.engine.nodes import Function, Model, Node, Slot, Truncation
from semprop.engine.outcomes import Failure, FailureKind, Position, Unread, stopped_short
from semprop.engine.parameters import Parameters, argument_of
from semprop.engine.prompts.forward import (
    Steering,
    forward_request,
    repair_request,
    steered_request,
    steering,
    steers,
)
from semprop.engine.prompts.words import FORMAT_REMINDER
from semprop.engine.replies.parsers import ReplyError, parse_answer
from semprop.engine.scheduler import Start, place_of, walk
from semprop.engine.seam import FunctionCall, ModelCall, Seam
from semprop.engine.tape import Record, SlotValue, Tape, Value
from semprop.providers.base import Completion, Stop, Usage

SETS = 16
"""So many sets of parameters are in use at once, at most: those of a gate's candidates, say."""


class Fixed(NamedTuple):
    """What a set of parameters fixes of a node: the slots that steer it, what they make of its calls (None for a
    function), and the slots that an example fills."""

    slots: tuple[SlotValue, ...]
    steering: Steering | None
    open: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Wiring:
    """A graph's edges as index lists, worked out once for many examples; and what the latest sets of parameters fix of
    its nodes, by their hash, since that is half of what a prompt costs."""

    graph: Graph
    slots: tuple[tuple[Slot, ...], ...]
    waiting: tuple[int, ...]
    successors: tuple[tuple[int, ...], ...]
    levels: tuple[int, ...]
    is_chain: bool
    known: dict[str, tuple[Fixed, ...]] = field(default_factory=dict, compare=False, repr=False)

    def fixed(self, parameters: Parameters) -> tuple[Fixed, ...]:
        """What these parameters fix of each node."""
        found = self.known.get(parameters.hash)
        if found is None:
            nodes = zip(self.graph.nodes, self.slots, strict=True)
            found = tuple(_fixed(node, slots, parameters) for node, slots in nodes)
            if len(self.known) >= SETS:
                self.known.clear()
            self.known[parameters.hash] = found
        return found


def _fixed(node: Node, slots: tuple[Slot, ...], parameters: Parameters) -> Fixed:
    if not isinstance(node, Model):
        return Fixed((), None, slots)
    steering_slots: list[SlotValue] = []
    entering: list[Slot] = []
    for slot in slots:
        known = slot.source in parameters
        entered = SlotValue(slot.name, slot.source, slot.purpose, parameters[slot.source] if known else None)
        if known and steers(entered):
            steering_slots.append(entered)
        else:
            entering.append(slot)
    return Fixed(tuple(steering_slots), steering(node, steering_slots), tuple(entering))


def wiring(graph: Graph) -> Wiring:
    """The index lists of a graph; an edge counts once for each slot."""
    place = {node.name: index for index, node in enumerate(graph.nodes)}
    slots = tuple(node.slots for node in graph.nodes)
    successors: list[list[int]] = [[] for _ in slots]
    waiting = [0] * len(slots)
    for index, entering in enumerate(slots):
        for slot in entering:
            if slot.source in place:
                successors[place[slot.source]].append(index)
                waiting[index] += 1
    levels = [0] * len(slots)
    for index, released in enumerate(successors):  # Nodes stand in topological order.
        for successor in released:
            levels[successor] = max(levels[successor], levels[index] + 1)
    # As many levels as nodes: each waits for the one before it.
    is_chain = max(levels, default=0) == len(levels) - 1
    return Wiring(graph, slots, tuple(waiting), tuple(map(tuple, successors)), tuple(levels), is_chain)


async def forward(
    wired: Wiring, parameters: Parameters, example: Example, at: Position, seam: Seam, start: Start
) -> Tape:
    """Run one example.

    Args:
        at: the position of this pass and example; nodes complete it.
        start: starts a task where the graph widens.

    Raises:
        StopError: a provider will answer nothing more.
        NodeError: a function's result cannot be recorded.
    """
    graph = wired.graph
    # Only what the graph declares: a spare field of the data must not pass for a node of the same name.
    values: dict[str, Value] = parameters | {name: example.inputs[name] for name in graph.inputs}
    records: list[Record | None] = [None] * len(graph.nodes)
    order, fixed = place_of(start), wired.fixed(parameters)

    async def run(index: int) -> None:
        node = graph.nodes[index]
        steering_slots, steered, entering = fixed[index]
        inputs: list[SlotValue] = []
        for slot in entering:
            if slot.source not in values:
                return
            inputs.append(SlotValue(slot.name, slot.source, slot.purpose, values[slot.source]))
        place = Position(at.step, at.phase, at.example, at.candidate, node.name, at.slot, at.sample, at.again)
        if isinstance(node, Function):
            record = await _run_function(node, tuple(inputs), place, seam)
        else:
            assert steered is not None, "a model's node is steered, if by nothing but its sampling"
            request = steered_request(steered, inputs, example.id, f"{node.name}|{example.id}", at.sample)
            call = ModelCall(node.role, request, wired.levels[index], order)
            record = await _run_model(node, (*steering_slots, *inputs), call, place, seam)
        records[index] = record
        if not isinstance(record.value, Failure):
            values[node.name] = record.value

    if wired.is_chain:
        for index in range(len(records)):
            await run(index)
    else:
        await walk(wired.waiting, wired.successors, run, start)
    return Tape(example, parameters.hash, tuple([record for record in records if record is not None]), graph.output)


def run_node(
    node: Node, slots: tuple[SlotValue, ...], example: str, at: Position, seam: Seam, order: int = 0
) -> Awaitable[Record]:
    """Run one node on given slot values; `order` is where its requests stand in line."""
    match node:
        case Model():
            request = forward_request(node, slots, example, f"{node.name}|{example}", at.sample)
            return _run_model(node, slots, ModelCall(node.role, request, order=order), at, seam)
        case Function():
            return _run_function(node, slots, at, seam)


async def _run_model(node: Model, slots: tuple[SlotValue, ...], call: ModelCall, at: Position, seam: Seam) -> Record:
    outcome = await seam.ask_model(at, call)
    value = _value_of(node, outcome)
    usage: tuple[Usage, ...] = ()
    if isinstance(value, Failure) and isinstance(outcome, Completion) and _is_unreadable(node, value):
        usage = (outcome.usage,)
        again = repair_request(call.request, outcome, value.message)
        unread = Unread(outcome, lambda reply: not _is_unreadable(node, _value_of(node, reply)))
        outcome = await seam.ask_model(at.moved(slot="repair"), call._replace(request=again, unread=unread))
        value = _value_of(node, outcome)
    if isinstance(outcome, Failure):
        return Record(node, slots, outcome, outcome.text, usage=usage)
    return Record(node, slots, value, outcome.text, outcome.logprobs, (*usage, outcome.usage))


def _is_unreadable(node: Model, value: Value | Failure) -> bool:
    return node.is_tagged and isinstance(value, Failure) and value.kind is FailureKind.UNPARSEABLE


def _value_of(node: Model, outcome: Completion | Failure) -> str | Failure:
    """What a reply is worth as the node's value."""
    if isinstance(outcome, Failure):
        return outcome
    stopped = stopped_short(outcome)
    if stopped is not None:
        return stopped
    if node.is_tagged:
        # A reply that was cut after its answer was complete has an answer.
        try:
            return parse_answer(outcome.text)
        except ReplyError as error:
            unreadable = Failure(FailureKind.UNPARSEABLE, f"{error} Expected {FORMAT_REMINDER}", outcome.text)
        if outcome.stop is not Stop.LENGTH:
            return unreadable
    # A cut reply without a complete answer is never the answer, whatever the node keeps.
    if outcome.stop is Stop.LENGTH and (node.truncation is Truncation.FAIL or node.is_tagged):
        limit = node.sampling.max_tokens
        return Failure(FailureKind.TRUNCATED, f"the reply was cut at its limit of {limit} tokens", outcome.text)
    return outcome.text.strip()


async def _run_function(node: Function, slots: tuple[SlotValue, ...], at: Position, seam: Seam) -> Record:
    arguments: Mapping[str, Any] = {slot.name: argument_of(slot.value) for slot in slots}
    call = FunctionCall(node.name, node.call, arguments, node.version, node.pure, node.blocking)
    outcome = await seam.ask_function(at, call)
    return Record(node, slots, outcome if isinstance(outcome, Failure) else outcome.value)
