"""Prompts as the simulated model sees them: a tree of fenced blocks and plain lines, and the facts on them.

Takes text, gives frozen data. It knows no template: any `<tag …>` line that a `</tag>` line closes is a block, whatever
the tag; `field: value` and `key = value` lines are facts, any other line is a bare value.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

BYTES_PER_TOKEN = 4
"""Tokens of this model are counted as UTF-8 bytes / 4, rounded up; prompts' lengths for misreading too."""

_OPEN = re.compile(r'^<([A-Za-z][\w-]*)((?:\s+[\w-]+="[^"]*")*)\s*>$')
_CLOSE = re.compile(r"^</([A-Za-z][\w-]*)>$")
_ATTRIBUTE = re.compile(r'[\w-]+="([^"]*)"')
_FACT = re.compile(r"^[ \t]*(?:[-*•] )?([A-Za-z][\w-]*(?: [\w-]+){0,3})[ \t]*(:|=)[ \t]+(\S.*?)[ \t]*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced part of a prompt: its raw inner text, the values of its attributes, the blocks directly inside."""

    text: str
    labels: tuple[str, ...]
    children: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One fact or bare value. `slot` is the named value it belongs to ("" if none); `sign` is ":", "=" or ""."""

    slot: str
    field: str
    sign: str
    value: str

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a named value."""
        return bool(self.slot) and self.field == self.slot

    @property
    def raw(self) -> str:
        """The line as it stood inside its value."""
        match self.sign:
            case ":":
                return f"{self.field}: {self.value}"
            case "=":
                return f"{self.field} = {self.value}"
            case _:
                return self.value


@dataclass(frozen=True, slots=True)
class Sight:
    """How well a prompt is read: the chance that one fact is misread, and the seed (what was read)."""

    chance: float
    seed: str

    @classmethod
    def of(cls, prompt: str, scale: float) -> Sight:
        """Chance 1 − exp(−L / scale), L the prompt's length in tokens; 0 for an infinite scale."""
        return cls(-math.expm1(-tokens(prompt) / scale), digest(prompt))


CLEAR = Sight(0.0, "")
"""Reads every fact as it stands."""


def tokens(text: str) -> int:
    """The length of a text in this model's tokens: UTF-8 bytes / 4, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def digest(*key: str) -> str:
    """Hexadecimal digits that are a function of the key alone, in every process."""
    return hashlib.blake2b("\x1f".join(key).encode(), digest_size=8).hexdigest()


def chance(*key: str) -> float:
    """A number in [0, 1) that is a function of the key alone, in every process."""
    return int(digest(*key), 16) / 2.0**64


def pick(options: Sequence[str], *key: str) -> str:
    """One of the options, by the key alone."""
    return options[int(chance(*key) * len(options))]


@dataclass(slots=True)
class _Open:
    tag: str
    labels: tuple[str, ...]
    start: int
    children: list[Block]


def blocks(text: str) -> tuple[tuple[Block, ...], str]:
    """The outermost blocks of a text, and what stands outside of them. A tag that is never closed is plain text."""
    lines = text.split("\n")
    root = _Open("", (), 0, [])
    stack, spans = [root], []
    for number, line in enumerate(lines):
        if opened := _OPEN.match(line.strip()):
            stack.append(_Open(opened[1], tuple(_ATTRIBUTE.findall(opened[2])), number + 1, []))
        elif closed := _CLOSE.match(line.strip()):
            depth = next((depth for depth in range(len(stack) - 1, 0, -1) if stack[depth].tag == closed[1]), 0)
            if depth:
                block = stack[depth]
                stack[depth - 1].children.append(
                    Block("\n".join(lines[block.start : number]), block.labels, tuple(block.children))
                )
                spans.append((block.start - 1, number))
                del stack[depth:]
    outside = _outside(lines, spans)
    adopted = [child for unclosed in stack for child in unclosed.children]
    return tuple(adopted), outside


def _outside(lines: Sequence[str], spans: Iterable[tuple[int, int]]) -> str:
    hidden = bytearray(len(lines))
    for first, last in spans:
        hidden[first : last + 1] = b"\x01" * (last + 1 - first)
    return "\n".join(line for line, gone in zip(lines, hidden, strict=True) if not gone)


def value_lines(slot: str, text: str) -> tuple[Line, ...]:
    """The facts and bare lines of one named value. A single bare line is the fact `slot: text`."""
    found = []
    for raw in text.split("\n"):
        if not raw.strip():
            continue
        fact = _FACT.match(raw)
        found.append(Line(slot, fact[1], fact[2], fact[3]) if fact else Line(slot, "", "", raw.strip()))
    if len(found) == 1 and slot and not found[0].sign:
        return (Line(slot, slot, ":", found[0].value),)
    return tuple(found)


def page_of(text: str) -> tuple[Line, ...]:
    """The facts of what a forward call is given: `name: value` lines are named values, so are labelled blocks."""
    inside, outside = blocks(text)
    found: list[Line] = []
    for line in value_lines("", outside):
        found += value_lines(line.field, line.value) if line.sign == ":" else (line,)
    for block in inside:
        found += value_lines(block.labels[0] if block.labels else "", block.text)
    return tuple(found)


def seen(page: Sequence[Line], sight: Sight) -> tuple[Line, ...]:
    """The facts as this model reads them: a misread one takes the value of another visible fact."""
    if sight.chance <= 0.0:
        return tuple(page)
    values = tuple(dict.fromkeys(line.value for line in page))
    return tuple(_misread(line, values, sight) for line in page)


def _misread(line: Line, values: Sequence[str], sight: Sight) -> Line:
    if chance("misread", sight.seed, line.raw) >= sight.chance:
        return line
    others = [value for value in values if value != line.value] or [line.value[::-1]]
    return replace(line, value=pick(others, "instead", sight.seed, line.raw))
