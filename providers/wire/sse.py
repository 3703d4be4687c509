"""Server-sent events: bytes as they arrive, in pieces cut anywhere → events. Pure; never raises for what it is fed.

Follows the event-stream format of the HTML standard: lines end in LF, CRLF or CR, a line `data:` adds to the event, an
empty line ends it; `event:` names it, comments and other fields are passed over.
"""

from __future__ import annotations

from typing import NamedTuple

DONE = b"[DONE]"
"""The data by which OpenAI's streams end."""


class Event(NamedTuple):
    """One event: its name ("" where it has none) and its data, lines joined by LF."""

    name: str
    data: bytes


class EventReader:
    """Events out of pieces of a stream. What was not ended by an empty line when the stream ends is no event."""

    __slots__ = ("_begun", "_data", "_name", "_skip_lf")

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # Pieces of a line that has not ended; joined once, when it does.
        self._data: list[bytes] = []
        self._name = ""
        self._skip_lf = False

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes."""
        if self._skip_lf and piece:
            piece = piece.removeprefix(b"\n")
            self._skip_lf = False
        # A CR at the very end ends its line now; an LF that follows belongs to it.
        self._skip_lf = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ends, *more = piece.split(b"\n")
        self._begun.append(ends)
        events: list[Event] = []
        if more:
            self._line(b"".join(self._begun), events)
            for line in more[:-1]:
                self._line(line, events)
            self._begun = [more[-1]]
        return events

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._data:
                events.append(Event(self._name, b"\n".join(self._data)))
            self._data, self._name = [], ""
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
