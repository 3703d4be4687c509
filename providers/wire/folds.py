"""What every stream of a reply is folded into: the body that the same reply would have had without streaming.

So a wire format has one decoder, and a streamed reply differs from a whole one only in that its tokens were seen
coming. Types only.
"""

from __future__ import annotations

from typing import Protocol

from semprop.providers.wire.sse import Event


class Fold(Protocol):
    """A reply that comes in events."""

    def add(self, event: Event) -> bool:
        """Take the next event; whether it brought something of the answer (text, a refusal, a part of its JSON), as
        opposed to frames, pings, reasoning and counts. Never raises: what cannot be read makes the body unusable."""

    def body(self) -> bytes:
        """The reply as one body. Empty if the stream broke off before its end; an error that came inside the stream
        is the body, as it was sent."""
