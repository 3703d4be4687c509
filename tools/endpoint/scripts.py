"""What is sent for one attempt, and when: data. Faults are changes to it. Pure; plays nothing.

A script is an opening (status and headers, written when the first part is due), parts with the seconds since the
attempt's arrival at which they are due, and what becomes of the connection.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from semprop.tools.endpoint.latency import Pace
from semprop.tools.endpoint.settings import Fault, FaultKind
from semprop.tools.endpoint.wire import Stream
from semprop.tools.serving.http1 import LAST_CHUNK, Lines, chunk

SETTLING = 0.005
"""Seconds between the last byte and a reset, so that the bytes before it are really sent."""

_WRITES_A_SECOND = 20


class End(Enum):
    """What becomes of the connection: kept, closed, reset, or nothing ever again."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    SILENT = "silent"


class Part(NamedTuple):
    """Bytes, and when they are due, in seconds since the attempt's arrival."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """Status, headers of the attempt's own, and the bytes of the body (None: it comes in chunks)."""

    status: int
    lines: Lines
    length: int | None


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that is sent. `end_at`: not before so many seconds since the arrival."""

    opening: Opening | None
    parts: Iterable[Part]
    end: End = End.KEEP
    end_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as it should be: whole, or events, each with its time. `done` ends a stream; `error` is what would be
    said if it broke: a whole body, or an event."""

    lines: Lines
    parts: tuple[Part, ...]
    streamed: bool
    done: bytes
    error: bytes

    @property
    def begins(self) -> float:
        """When the first byte is due."""
        return self.parts[0].at


JSON_LINES: Lines = (("content-type", "application/json"),)
STREAM_LINES: Lines = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))


def whole(body: bytes, at: float, error: bytes = b"") -> Answer:
    """A reply in one piece."""
    return Answer(JSON_LINES, (Part(at, body),), False, b"", error)


def streamed(stream: Stream, wait: float, pace: Pace, error: bytes) -> Answer:
    """A reply in events at the pace of its tokens, after a wait."""
    at = wait + pace.first
    # An empty piece would be the last chunk of a body.
    parts = [Part(at, stream.opening)] if stream.opening else []
    gaps = iter(pace.gaps)
    for index, piece in enumerate(stream.pieces):
        if index:
            at += next(gaps, 0.0)
        if piece:
            parts.append(Part(at, piece))
    parts.append(Part(at, stream.closing))
    return Answer(STREAM_LINES, tuple(parts), True, stream.done, error)


def plain(answer: Answer) -> Script:
    """The reply as it should be."""
    if not answer.streamed:
        (part,) = answer.parts
        return Script(Opening(200, answer.lines, len(part.data)), answer.parts)
    parts = [Part(part.at, chunk(part.data)) for part in answer.parts]
    parts.append(Part(parts[-1].at, chunk(answer.done) + LAST_CHUNK if answer.done else LAST_CHUNK))
    return Script(Opening(200, answer.lines, None), tuple(parts))


def refusal(status: int, lines: Lines, body: bytes, at: float) -> Script:
    """An error."""
    return Script(Opening(status, (*JSON_LINES, *lines), len(body)), (Part(at, body),))


def faulty(answer: Answer, fault: Fault) -> Script:
    """The reply with a fault in it. A fault of streams alone leaves a whole reply as it is."""
    if fault.delay:
        answer = replace(answer, parts=tuple(Part(part.at + fault.delay, part.data) for part in answer.parts))
    match fault.kind:
        case FaultKind.RESET_BEFORE:
            return Script(None, (), End.RESET, fault.delay)
        case FaultKind.HANG:
            return Script(None, (), End.SILENT)
        case FaultKind.RESET_AFTER:
            return _reset(answer)
        case FaultKind.HALF_JSON:
            return plain(_cut(answer))
        case FaultKind.ERROR_AFTER_200:
            return plain(_broken(answer))
        case FaultKind.NO_DONE:
            return plain(replace(answer, done=b""))
        case FaultKind.GARBAGE:
            return plain(_garbage(answer))
        case FaultKind.HUGE:
            return plain(_huge(answer, fault.size))
        case FaultKind.SLOW:
            normal = plain(answer)
            return replace(normal, parts=_slowly(normal.parts, fault.rate))
        case FaultKind.CLOSE:
            return replace(plain(answer), end=End.CLOSE)
    raise ValueError(f"{fault.kind} refuses an attempt: it is no change to a reply")


def _reset(answer: Answer) -> Script:
    if answer.streamed:
        half = _first_half(answer)
        parts = tuple(Part(part.at, chunk(part.data)) for part in half.parts)
        return Script(Opening(200, answer.lines, None), parts, End.RESET, parts[-1].at + SETTLING)
    (part,) = answer.parts
    sent = Part(part.at, part.data[: len(part.data) // 2])
    return Script(Opening(200, answer.lines, len(part.data)), (sent,), End.RESET, part.at + SETTLING)


def _first_half(answer: Answer) -> Answer:
    """The first half of a stream's events."""
    return replace(answer, parts=answer.parts[: max(1, len(answer.parts) // 2)], done=b"")


def _cut(answer: Answer) -> Answer:
    """The same, and its last event, or a whole reply, is cut in the middle."""
    half = _first_half(answer)
    last = half.parts[-1]
    return replace(half, parts=(*half.parts[:-1], Part(last.at, last.data[: len(last.data) // 2])))


def _broken(answer: Answer) -> Answer:
    if not answer.streamed:
        return replace(answer, parts=(Part(answer.begins, answer.error),))
    half = _first_half(answer)
    return replace(half, parts=(*half.parts, Part(half.parts[-1].at, answer.error)), done=answer.done)


def _garbage(answer: Answer) -> Answer:
    junk = bytes((index * 73 + 41) % 256 for index in range(64))
    return replace(
        answer,
        lines=(*answer.lines, ("content-encoding", "gzip")),
        parts=(Part(answer.begins, junk),),
        done=b"",
    )


def _huge(answer: Answer, size: int) -> Answer:
    """Padded with what readers pass over: spaces behind JSON, a comment before the events."""
    first = answer.parts[0]
    if answer.streamed:
        return replace(answer, parts=(Part(first.at, b":" + b" " * size + b"\n\n"), *answer.parts))
    return replace(answer, parts=(Part(first.at, first.data.ljust(size)),))


def _slowly(parts: Iterable[Part], rate: float) -> Iterator[Part]:
    """The same bytes, none before its time, at so many bytes a second."""
    size = max(1, math.ceil(rate / _WRITES_A_SECOND))
    at = 0.0
    for part in parts:
        at = max(at, part.at)
        for begin in range(0, len(part.data), size):
            piece = part.data[begin : begin + size]
            at += len(piece) / rate
            yield Part(at, piece)
