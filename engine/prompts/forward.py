"""The forward prompt and the repair of a reply: named constants and pure functions that render them. Asks nothing.

Values are data. They stand inside fences (`<input name="…">` … `</input>`) whose tag is chosen so that it occurs in
none of them, so no value can end its own slot or open another. Lengths are bounded in UTF-8 bytes, never in tokens
(law L1), and the instruction that is being edited is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from semprop.engine.example import Given
from semprop.engine.nodes import Model, Placement, Purpose
from semprop.engine.parameters import Demonstration, Demonstrations, Number
from semprop.engine.prompts.fences import Fence, bounded, fence_suffix
from semprop.engine.tape import SlotValue, shown
from semprop.providers.base import Choices, Completion, Image, Request, Sampling, Text
from semprop.providers.base import Message as Turn

FORWARD_TAGGED = (
    "Work step by step if it helps. End with your answer between <answer> and </answer>, and put nothing else "
    "between them: only that part is read."
)

REPAIR = "That reply could not be read: {complaint} Reply again, complete, in exactly the form that was asked for."

REPAIR_BYTES = 16_000
"""What a repair shows of the reply that could not be read."""

LONG = 256
"""Characters from which a value is a part of its own in a forward call's message: whoever keeps requests can keep each
such value once. The text that is sent is the same."""


def inputs_block(inputs: Sequence[tuple[str, str]]) -> str:
    """The inputs of a forward call: the bare value of a single input, else one `name: value` line each; a value of
    several lines is fenced, so that no line of it can pass for another input."""
    return "".join([piece for piece in _pieces(inputs) if isinstance(piece, str)])


def _pieces(inputs: Sequence[tuple[str, Given]]) -> list[Given]:
    """What `inputs_block` consists of; long values stand by themselves, and so do pictures, behind their names."""
    if len(inputs) == 1:
        return [inputs[0][1]]
    suffix = fence_suffix([text for _, text in inputs if type(text) is not Image])
    pieces: list[Given] = []
    written = ""
    for name, text in inputs:
        if written or pieces:
            written += "\n"
        if type(text) is Image:
            pieces += (f"{written}{name}:\n", text)
            written = ""
            continue
        # One line: nothing that ends a line stands in it.
        if "\n" not in text and "".join(text.splitlines()) == text:
            before, after = f"{name}: ", ""
        else:
            before, after = _fences(suffix, name)
        if len(text) < LONG:
            written = f"{written}{before}{text}{after}"
        else:
            pieces += (written + before, text)
            written = after
    if written:
        pieces.append(written)
    return pieces


@lru_cache(maxsize=1024)
def _fences(suffix: str, name: str) -> tuple[str, str]:
    """What stands around an input of several lines; a graph has few names of inputs, and many inputs."""
    return Fence(suffix).around("input", name=name)


def _user_turn(before: str, inputs: Sequence[tuple[str, Given]]) -> Turn:
    """A user's message, without space around its text."""
    pieces = [before, *_pieces(inputs)] if before else _pieces(inputs)
    for end, strip in _ENDS:
        while pieces:
            piece = pieces[end]
            if type(piece) is Image:
                break
            stripped = strip(piece)
            if stripped:
                pieces[end] = stripped
                break
            del pieces[end]
    return Turn("user", tuple([piece if type(piece) is Image else Text(piece) for piece in pieces or ("",)]))


_ENDS = ((0, str.lstrip), (-1, str.rstrip))


@dataclass(frozen=True, slots=True)
class Steering:
    """What parameters make of every call of a node; worked out once for many examples.

    Attributes:
        head: the messages before the question that do not depend on it: the instruction, if a system message has it.
        before: what stands before each question otherwise.
        demonstrations: solved examples, of which each question sees those that are not its own.
        tagged: whether answers stand between tags.
        sampling, choices: of the node, with the numbers that steer it.
    """

    head: tuple[Turn, ...]
    before: str
    demonstrations: tuple[Demonstration, ...]
    tagged: bool
    sampling: Sampling
    choices: Choices | None


def steers(slot: SlotValue) -> bool:
    """Whether a slot steers a model's call; any other is shown to it as an input."""
    match slot.purpose:
        case Purpose.INSTRUCTION:
            return True
        case Purpose.DEMONSTRATIONS:
            return isinstance(slot.value, Demonstrations)
        case Purpose.SAMPLING:
            return isinstance(slot.value, Number)
        case _:
            return False


def steering(node: Model, slots: Sequence[SlotValue]) -> Steering:
    """What the slots that steer a node make of its calls; other slots are not looked at."""
    instruction = ""
    changes: dict[str, Any] = {}
    demonstrations: tuple[Demonstration, ...] = ()
    for slot in slots:
        purpose, value = slot.purpose, slot.value
        if purpose is Purpose.INSTRUCTION:
            instruction = shown(value)
        elif purpose is Purpose.DEMONSTRATIONS and isinstance(value, Demonstrations):
            demonstrations = value.turns
        elif purpose is Purpose.SAMPLING and isinstance(value, Number):
            changes[slot.name] = value.value
    if node.is_tagged:
        instruction = f"{instruction}\n\n{FORWARD_TAGGED}" if instruction else FORWARD_TAGGED
    apart = node.placement is Placement.SYSTEM
    return Steering(
        head=(Turn.of("system", instruction),) if apart and instruction else (),
        before=f"{instruction}\n\n" if instruction and not apart else "",
        demonstrations=demonstrations,
        tagged=node.is_tagged,
        sampling=replace(node.sampling, **changes) if changes else node.sampling,
        choices=Choices(node.choices) if node.choices else None,
    )


def forward_request(node: Model, slots: Sequence[SlotValue], example: str, draw: str, sample: int = 0) -> Request:
    """The request of a model node. A demonstration made from this example, or from one that reads the same here, is
    left out (law L7)."""
    inputs = [slot for slot in slots if not steers(slot)]
    return steered_request(steering(node, slots), inputs, example, draw, sample)


def steered_request(steered: Steering, slots: Sequence[SlotValue], example: str, draw: str, sample: int = 0) -> Request:
    """`forward_request` where what steers the node is known: `slots` are its inputs."""
    inputs = [(name, value if isinstance(value, Given) else shown(value)) for name, _, _, value in slots]
    turn = _user_turn(steered.before, inputs)
    if steered.demonstrations:
        turns = (*steered.head, *_worked(steered, tuple(inputs), example), turn)
    else:
        turns = (*steered.head, turn)
    return Request(turns, steered.sampling, steered.choices, draw, sample)


def _worked(steered: Steering, inputs: tuple[tuple[str, Given], ...], example: str) -> list[Turn]:
    turns = []
    for turn in steered.demonstrations:
        if (turn.origin != example or not example) and turn.inputs != inputs:
            turns.append(Turn.of("user", steered.before + inputs_block(turn.inputs)))
            turns.append(Turn.of("assistant", f"<answer>{turn.output}</answer>" if steered.tagged else turn.output))
    return turns


def repair_request(request: Request, completion: Completion, complaint: str) -> Request:
    """The same question once more, with the reply that could not be read (bounded) and the parser's complaint."""
    turns = (
        *request.messages,
        Turn.of("assistant", bounded(completion.text, REPAIR_BYTES)),
        Turn.of("user", REPAIR.replace("{complaint}", complaint)),
    )
    return Request(turns, request.sampling, request.schema, request.draw, request.sample, request.admission)
