"""Wire formats as a mock endpoint speaks them: bodies read, replies and streams written. Pure.

A `Wire` knows nothing of limits, latencies or faults. Here is the one for OpenAI's chat completions; those of the
other services are in `wires_native`, and all of them in `wires`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import orjson

from semprop.providers.base import Completion
from semprop.tools.serving import chat
from semprop.tools.serving.chat import Asked

BYTES_PER_TOKEN = 4
"""Tokens are UTF-8 bytes / 4, rounded up, as `simulated:` counts them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a reply says of itself: its number, and when it was made (seconds since 1970)."""

    number: int
    created: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed reply: what opens it, one piece for each token (empty where a character takes several), what closes
    it, and the mark of its end."""

    opening: bytes
    pieces: tuple[bytes, ...]
    closing: bytes
    done: bytes


class Wire(Protocol):
    """One format."""

    def takes(self, path: str) -> bool:
        """Whether a path is one of its own."""

    def read(self, path: str, body: bytes) -> Asked:
        """What a body asks for; raises `Unreadable`."""

    def whole(self, asked: Asked, completion: Completion, identity: Identity) -> bytes:
        """The body of a reply."""

    def stream(self, asked: Asked, completion: Completion, identity: Identity) -> Stream:
        """The same as events."""

    def error_event(self, document: Any) -> bytes:
        """An error in the middle of a stream; `document` is an error's body."""


class OpenAIChat:
    """OpenAI's chat completions, at any path that ends in `/chat/completions`."""

    def takes(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def read(self, path: str, body: bytes) -> Asked:
        return chat.read(path, body)

    def whole(self, asked: Asked, completion: Completion, identity: Identity) -> bytes:
        return orjson.dumps(
            {
                "id": f"chatcmpl-{identity.number}",
                "object": "chat.completion",
                "created": identity.created,
                "model": asked.model,
                "choices": [chat.choice(completion)],
                "usage": chat.usage(completion),
                "system_fingerprint": "fp_mock",
            }
        )

    def stream(self, asked: Asked, completion: Completion, identity: Identity) -> Stream:
        frame: dict[str, Any] = {
            "id": f"chatcmpl-{identity.number}",
            "object": "chat.completion.chunk",
            "created": identity.created,
            "model": asked.model,
        }
        if asked.usage_wanted:
            frame["usage"] = None

        def event(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
            return chat.event({**frame, "choices": [choice]})

        field = chat.spoken(completion)
        probabilities = {} if not completion.logprobs else {"logprobs": chat.logprobs(completion)}
        closing = event({}, chat.reason(completion), **probabilities)
        if asked.usage_wanted:
            closing += chat.event({**frame, "choices": [], "usage": chat.usage(completion)})
        return Stream(
            opening=event({"role": "assistant", field: ""}),
            pieces=tuple(event({field: piece}) if piece else b"" for piece in pieces(completion.text)),
            closing=closing,
            done=chat.DONE,
        )

    def error_event(self, document: Any) -> bytes:
        return chat.event(document)


def tokens(text: str) -> int:
    """The length of a text in tokens (`BYTES_PER_TOKEN`)."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def pieces(text: str) -> tuple[str, ...]:
    """A text cut into its tokens. No character is cut: one that crosses a border goes to the piece before it."""
    data = text.encode()
    if len(data) == len(text):
        return tuple(text[at : at + BYTES_PER_TOKEN] for at in range(0, len(text), BYTES_PER_TOKEN))
    borders = [0]
    for at in range(BYTES_PER_TOKEN, len(data), BYTES_PER_TOKEN):
        border = max(at, borders[-1])
        while border < len(data) and data[border] & 0xC0 == 0x80:
            border += 1
        borders.append(border)
    borders.append(len(data))
    return tuple(data[begin:end].decode() for begin, end in pairwise(borders))
