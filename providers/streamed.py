"""A reply that comes in events, watched as it comes: when its first token came, the gaps between later pieces, and the
body that it would have been unstreamed.

Takes pieces of bytes and a clock; gives a `Reply` and its `Timing`. No wire format is known here.
"""

from __future__ import annotations

from semprop.providers.base import Timing
from semprop.providers.clock import Clock
from semprop.providers.wire.classify import Reply
from semprop.providers.wire.folds import Fold
from semprop.providers.wire.sse import EventReader


class Streamed:
    """One attempt whose reply is streamed. Made at the send; times are seconds from then."""

    __slots__ = ("_clock", "_events", "_first", "_fold", "_gaps", "_last", "_sent")

    def __init__(self, fold: Fold, clock: Clock) -> None:
        self._fold, self._clock = fold, clock
        self._events = EventReader()
        self._sent = clock.now()
        self._first: float | None = None
        self._last = self._sent
        self._gaps: list[float] = []

    def seen(self, piece: bytes) -> None:
        """A piece of the body has arrived. Several events in one piece came at once, so they make one gap."""
        came = [self._fold.add(event) for event in self._events.feed(piece)]
        if not any(came):
            return
        now = self._clock.now()
        if self._first is None:
            self._first = now - self._sent
        else:
            self._gaps.append(now - self._last)
        self._last = now

    def whole(self, reply: Reply) -> Reply:
        """The reply with the body that it would have had unstreamed; as it is if it was no stream of events (a refusal,
        an endpoint that does not stream)."""
        if reply.status != 200 or "text/event-stream" not in reply.headers.get("content-type", ""):
            return reply
        return reply._replace(body=self._fold.body())

    @property
    def timing(self) -> Timing | None:
        """None if no token was seen to come."""
        return None if self._first is None else Timing(self._first, tuple(self._gaps))
