"""Demonstrations out of evidence: solved turns for the nodes that a demonstrations parameter steers. Asks no model.

For the output node the right answer is the example's own; for a hidden node there is no label, so only what it wrote
on examples that came out right is used. The id of the example goes along, so that it is never shown to itself.
"""

from __future__ import annotations

from semprop.engine.example import draw
from semprop.engine.method import Scored, UpdateContext
from semprop.engine.nodes import Purpose
from semprop.engine.outcomes import Failure
from semprop.engine.parameters import Demonstration, Demonstrations
from semprop.engine.tape import Record, shown


def propose_demonstrations(context: UpdateContext, name: str, size: int) -> tuple[Demonstrations, ...]:
    """Up to `context.wanted` sets of at most `size` demonstrations.

    Sets are balanced over outputs: turns are dealt in rounds, one of each output a round, in an order that is drawn
    from (seed, step, parameter, set, example) alone.
    """
    pool = [turn for scored in context.scored for turn in _turns(context, name, scored)]
    sets: list[Demonstrations] = []
    for number in range(context.wanted):
        chosen = Demonstrations(tuple(_deal(context, name, number, pool, size)))
        if chosen.turns and chosen not in sets:
            sets.append(chosen)
    return tuple(sets)


def _turns(context: UpdateContext, name: str, scored: Scored) -> list[Demonstration]:
    turns = []
    for node, _ in context.graph.steers(name):
        record = scored.tape.record(node.name)
        output = _right_output(context, scored, record)
        if record is not None and output is not None:
            inputs = tuple((slot.name, shown(slot.value)) for slot in record.slots if slot.purpose is Purpose.INPUT)
            turns.append(Demonstration(inputs, output, scored.tape.example.id))
    return turns


def _right_output(context: UpdateContext, scored: Scored, record: Record | None) -> str | None:
    if record is None:
        return None
    if record.name == context.graph.output:
        return scored.tape.example.expected
    came_right = scored.score.value == 1.0 and not isinstance(record.value, Failure)
    return shown(record.value) if came_right else None


def _deal(context: UpdateContext, name: str, number: int, pool: list[Demonstration], size: int) -> list[Demonstration]:
    order = sorted(pool, key=lambda turn: draw(context.seed, context.step, "demonstrations", name, number, turn.origin))
    by_output: dict[str, list[Demonstration]] = {}
    for turn in order:
        by_output.setdefault(turn.output, []).append(turn)
    dealt: list[Demonstration] = []
    while len(dealt) < size and any(by_output.values()):
        for turns in by_output.values():
            if turns and len(dealt) < size:
                dealt.append(turns.pop(0))
    return dealt
