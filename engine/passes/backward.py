"""Backward: a tape and the seeds of its gradients → the gradient of every active variable.

Walks the records in reverse topological order, each as soon as its successors are done. It knows no method: the
messages come from h, their aggregation from A, both given. Reads the tape, not the graph.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import numpy as np

from semprop.engine.arrays import Array
from semprop.engine.errors import RunError
from semprop.engine.gradients import Gradient, Message, Provenance, Stance, keep, lost
from semprop.engine.method import AggregateRule, BackwardRule, Local, Seed
from semprop.engine.parameters import Demonstrations, Kind, Number
from semprop.engine.plans import Plan
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.scheduler import Start, walk
from semprop.engine.tape import Record, Tape, Value

Drive = Callable[[Plan[Any]], Awaitable[Any]]
"""Runs a plan to its end and returns what it returns."""


async def backward(
    tape: Tape,
    seeds: Sequence[Seed],
    trainable: Sequence[str],
    rules: tuple[BackwardRule, AggregateRule],
    style: ReplyStyle,
    drive: Drive,
    start: Start,
    draws: tuple[object, ...] = (),
) -> Mapping[str, Gradient]:
    """The gradients of one example, by variable: nodes in reverse topological order, then parameters.

    Only variables that are trainable or have a trainable ancestor get one. A node whose gradient is all keep passes
    keep on without a call; one whose messages were all lost passes nothing on.

    Args:
        draws: what random draws of h are keyed by, before node and sample: (seed, step).

    Raises:
        RunError: a seed names a variable that the tape does not hold, or h answers for a slot that it has not.
    """
    h, aggregate = rules
    records = tape.records
    active = tape.active(trainable)
    place = {record.name: index for index, record in enumerate(records)}
    kinds = _kinds(records)
    messages: dict[str, list[tuple[int, int, Message]]] = {}
    for seed in seeds:
        if seed.variable not in kinds:
            raise RunError(f"the seed of example {tape.example.id!r} names {seed.variable!r}, which did not run")
        messages.setdefault(seed.variable, []).append((-1, len(messages), seed.message))
    gradients: dict[str, Gradient] = {}

    async def run(index: int) -> None:
        record = records[index]
        gradient = _gradient(record.name, kinds, messages, aggregate)
        if gradient is None or record.name not in active:
            return
        gradients[record.name] = gradient
        local = Local(record, gradient, _active_slots(record, active), tape.example.id, style, tuple(seeds), draws)
        for rank, slot, message in await _messages(local, h, drive):
            messages.setdefault(slot, []).append((index, rank, message))

    waiting, successors = _reversed_edges(records, place)
    await walk(waiting, successors, run, start)
    ordered = [record.name for record in reversed(records) if record.name in gradients]
    result = {name: gradients[name] for name in ordered}
    for name in trainable:
        gradient = _gradient(name, kinds, messages, aggregate)
        if gradient is not None:
            result[name] = gradient
    return result


def _gradient(
    variable: str,
    kinds: Mapping[str, Kind],
    messages: Mapping[str, list[tuple[int, int, Message]]],
    aggregate: AggregateRule,
) -> Gradient | None:
    """A of the messages in canonical order: seeds first, then by (topological index of successor, slot)."""
    arrived = messages.get(variable)
    if not arrived:
        return None
    ordered = tuple(message for _, _, message in sorted(arrived, key=lambda entry: entry[:2]))
    return aggregate(variable, kinds[variable], ordered)


def _active_slots(record: Record, active: frozenset[str]) -> tuple[str, ...]:
    return tuple(slot.name for slot in record.slots if slot.source in active)


async def _messages(local: Local, h: BackwardRule, drive: Drive) -> list[tuple[int, str, Message]]:
    """(rank of the slot, its variable, the message) for each active slot of a record."""
    record, gradient = local.record, local.gradient
    asked = [(rank, slot) for rank, slot in enumerate(record.slots) if slot.name in local.active]
    if not asked or gradient.stance is Stance.LOST:
        return []
    sources = {slot.name: Provenance(local.example, record.name, slot.name) for _, slot in asked}
    if gradient.stance is Stance.KEEP:
        return [(rank, slot.source, keep(sources[slot.name])) for rank, slot in asked]
    given: Mapping[str, Message] = await drive(h(local))
    unknown = [name for name in given if name not in sources]
    if unknown:
        raise RunError(f"the backward rule answered for {unknown} of {record.name!r}; it has {list(sources)}")
    return [
        (rank, slot.source, given.get(slot.name) or lost(sources[slot.name], "the backward rule gave no message"))
        for rank, slot in asked
    ]


def _reversed_edges(records: Sequence[Record], place: Mapping[str, int]) -> tuple[list[int], list[list[int]]]:
    waiting = [0] * len(records)
    successors: list[list[int]] = [[] for _ in records]
    for index, record in enumerate(records):
        for slot in record.slots:
            if slot.source in place:
                successors[index].append(place[slot.source])
                waiting[place[slot.source]] += 1
    return waiting, successors


def _kinds(records: Sequence[Record]) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for record in records:
        for slot in record.slots:
            if slot.source not in kinds:
                kinds[slot.source] = _kind(slot.value)
        kinds[record.name] = record.node.kind
    return kinds


def _kind(value: Value) -> Kind:
    """The kind of a root's value."""
    match value:
        case str():
            return Kind.TEXT
        case Demonstrations():
            return Kind.DEMONSTRATIONS
        case Number() | int() | float():
            return Kind.NUMBER
        case Array() | np.ndarray():
            return Kind.ARRAY
        case _:
            return Kind.OPAQUE
