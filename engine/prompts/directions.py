"""Raise, lower or keep: what a model says of the numbers that a step read. The prompt, its schema and its parser.

A reply that names a number twice and differently, or with another word, says nothing of it: nothing is guessed (law
L4), and the complaint goes back to the model once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from semprop.engine.nodes import Purpose
from semprop.engine.prompts.backward import BackwardView, instruction_of
from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.prompts.words import gradient_words
from semprop.engine.replies.markup import Element, constructs, without_thought
from semprop.engine.replies.parsers import ReplyError, ReplyStyle
from semprop.engine.tape import shown
from semprop.providers.base import JsonSchema, Request, Sampling
from semprop.providers.base import Message as Turn


class Move(StrEnum):
    """What should become of a number."""

    RAISE = "raise"
    LOWER = "lower"
    KEEP = "keep"


DIRECTION_SYSTEM = (
    "You trace an error back through one step of a larger system. The step followed its instruction, read its inputs "
    "and wrote its output. Afterwards it became known how that output should have been different. Some of the inputs "
    "are numbers. For each number you are asked about, decide whether a larger number (raise), a smaller number "
    "(lower), or this same number (keep) would have brought the output nearer to what was wanted.\n"
    "Judge the inputs together, not one by one. Say keep where the number did not matter or was right."
)


def direction_request(view: BackwardView, style: ReplyStyle, sampling: Sampling) -> Request:
    """Ask in which direction numbers that a node read should move, given how its output should change."""
    limit = view.value_bytes
    visible = [slot for slot in view.record.slots if slot.purpose is Purpose.INPUT]
    values = [(slot.name, bounded(shown(slot.value), limit)) for slot in visible]
    instruction = bounded(instruction_of(view.record), limit)
    output, feedback = bounded(shown(view.record.value), limit), gradient_words(view.gradient, limit)
    fence = Fence(fence_suffix([*(text for _, text in values), instruction, output, feedback]))
    parts = [fence.block("instruction", instruction)]
    parts += [fence.block("input", text, name=name) for name, text in values]
    parts.append(fence.block("output", output))
    parts.append("How the output should have been different:\n" + fence.block("feedback", feedback))
    parts.append(_form(view.asked, style))
    schema = _schema(view.asked) if style is ReplyStyle.JSON else None
    return Request((Turn.of("system", DIRECTION_SYSTEM), Turn.of("user", "\n\n".join(parts))), sampling, schema)


def _form(asked: Sequence[str], style: ReplyStyle) -> str:
    about = f"You are asked about: {', '.join(asked)}.\n"
    if style is ReplyStyle.JSON:
        return (
            f'{about}Reply with one JSON object: the key "reasoning" (brief), then one key for each of them, whose '
            'value is "raise", "lower" or "keep".'
        )
    lines = "\n".join(f'<direction slot="{name}">raise, lower or keep</direction>' for name in asked)
    return f"{about}Reply with one line of this form for each of them, and nothing else:\n{lines}"


def _schema(asked: Sequence[str]) -> JsonSchema:
    reasoning = "reasoning"
    while reasoning in asked:
        reasoning = f"_{reasoning}"
    properties: dict[str, object] = {reasoning: {"type": "string"}}
    properties |= {name: {"type": "string", "enum": [str(move) for move in Move]} for name in asked}
    closed = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return JsonSchema.of("directions", closed)


@dataclass(frozen=True, slots=True)
class DirectionReply:
    """What a reply says, in the order asked; `missing` are the numbers of which it says nothing readable. `complaint`
    is empty if nothing is missing."""

    moves: Mapping[str, Move] = field(hash=False)
    missing: tuple[str, ...] = ()
    complaint: str = ""


def parse_directions(text: str, slots: Sequence[str], style: ReplyStyle) -> DirectionReply:
    """Read a reply: JSON `{SLOT: "raise" | "lower" | "keep", …}`, or tags `<direction slot="SLOT">raise</direction>`.
    Both forms are read whatever form was asked for.

    Raises:
        ReplyError: nothing readable is said of any of the slots.
    """
    said: dict[str, list[object]] = {}
    for construct in constructs(without_thought(text), ("direction",), required="slot"):
        if isinstance(construct, Element):
            named = construct.inside if construct.problem else (construct.attributes or {},)
            for attributes in named:
                word = None if construct.problem else construct.text
                said.setdefault(attributes.get("slot", "").strip(), []).append(word)
        else:
            for key, value in construct.members:
                said.setdefault(key.strip(), []).append(value)
    found = {slot: _agreed(said.get(slot, [])) for slot in slots}
    moves = {slot: move for slot, move in found.items() if move is not None}
    missing = tuple(slot for slot in slots if slot not in moves)
    complaint = _complaint(missing, said, style) if missing else ""
    if slots and not moves:
        raise ReplyError(complaint)
    return DirectionReply(MappingProxyType(moves), missing, complaint)


def _agreed(words: Sequence[object]) -> Move | None:
    """The one move that all words are, or None."""
    moves = [_MOVES.get(word.strip(" \t\r\n*`\"'.").casefold()) if isinstance(word, str) else None for word in words]
    return moves[0] if moves and moves.count(moves[0]) == len(moves) else None


_MOVES = {str(move): move for move in Move}


def _complaint(missing: Sequence[str], said: Mapping[str, Sequence[object]], style: ReplyStyle) -> str:
    as_json = 'one JSON object with "NAME": "raise", "lower" or "keep"'
    as_tags = '<direction slot="NAME">raise, lower or keep</direction>'
    form = as_json if style is ReplyStyle.JSON else as_tags
    found = "; ".join(f"{_words(said.get(name, ()))} for {name}" for name in missing[:8])
    told = f"Expected {form} for each of: {', '.join(missing)}. Found: {found}."
    return told.encode("utf-8", "replace").decode()


def _words(words: Sequence[object]) -> str:
    if not words:
        return "nothing"
    return " and ".join(f'"{str(word)[:40]}"' for word in words[:3])
