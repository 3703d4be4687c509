"""The wire format of Anthropic's messages.

Takes a `Request` and gives body bytes; takes a `Reply` and gives a `Completion` or the error that it is. Pure. System
text stands apart from the turns; a schema is asked for as the input of one tool that must be used, and that input is
the reply's text. What the format has no place for (`seed`, log probabilities) is refused, never left out in silence.
Source: the service's own reference of `POST /v1/messages`, version 2023-06-01.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from semprop.providers.base import Message, Request, Stop, Text, Usage
from semprop.providers.wire.classify import Origin, Reply
from semprop.providers.wire.constraints import name_of, schema_of, unwrapped
from semprop.providers.wire.framing import Framed, Said, stop_of
from semprop.providers.wire.reading import count, document_of, malformed, rewritten
from semprop.providers.wire.sse import Event

VERSION = "2023-06-01"

MOST = 4_096
"""Output tokens where nobody gave a bound: the format demands one. A reply that reaches it is marked as cut."""

_STOPS: Mapping[str, Stop] = {
    "end_turn": Stop.END,
    "stop_sequence": Stop.END,
    "tool_use": Stop.END,
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.LENGTH,
    "refusal": Stop.REFUSAL,
}


@dataclass(frozen=True, slots=True)
class AnthropicFormat(Framed):
    """How one model is spoken to.

    Attributes:
        cached: whether the system text and the schema are marked as the prefix that a prompt cache may keep.
    """

    SPOKEN = "Anthropic's messages"
    SCHEMA = "tools"
    REQUEST_ID = "request-id"

    origin: Origin = Origin("anthropic", "ANTHROPIC_API_KEY", dialect="anthropic")
    at: str = "/messages"
    lacks: tuple[str, ...] = ("seed", "top_logprobs")
    cached: bool = False

    def headers(self, key: str) -> dict[str, str]:
        """The version of the format, and the header that carries the key, if there is one."""
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def fold(self) -> MessageFold:
        """What the events are folded into."""
        return MessageFold()

    def said(self, document: Mapping[str, Any], reply: Reply, request: Request) -> Said:
        blocks = document.get("content")
        if not isinstance(blocks, list):
            raise malformed(self.origin, self.SPOKEN, "it holds no content")
        text = unwrapped(_text_of(blocks), request.schema)
        return Said(text, stop_of(document.get("stop_reason"), _STOPS), _usage_of(document.get("usage")))

    def optional(self, request: Request) -> tuple[str, ...]:
        fields = self.document(request)
        return tuple(name for name in ("temperature", "top_p", "stop_sequences", "tools") if name in fields)

    def document(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        system, turns = _turns(self.messages(request))
        document: dict[str, Any] = {"model": self.model, "max_tokens": sampling.max_tokens or MOST}
        if system:
            document["system"] = [self._marked({"type": "text", "text": system})] if self.cached else system
        document["messages"] = turns
        document |= {
            name: value
            for name, value in (
                ("temperature", sampling.temperature),
                ("top_p", sampling.top_p),
                ("stop_sequences", list(sampling.stop) or None),
            )
            if value is not None and name not in self.dropped
        }
        if request.schema is not None and "tools" not in self.dropped:
            name = name_of(request.schema)
            tool = {"name": name, "description": "Give the reply.", "input_schema": schema_of(request.schema)}
            document["tools"] = [self._marked(tool)]
            document["tool_choice"] = {"type": "tool", "name": name}
        document.update(orjson.loads(self.body))
        return document

    def _marked(self, block: dict[str, Any]) -> dict[str, Any]:
        return block | {"cache_control": {"type": "ephemeral"}} if self.cached else block


def _turns(messages: Sequence[Message]) -> tuple[str, list[dict[str, Any]]]:
    """System texts, joined, and the turns; turns of one role that follow each other become one."""
    system = "\n\n".join([message.text for message in messages if message.role == "system"])
    merged: list[Message] = []
    for message in messages:
        if message.role == "system":
            continue
        if merged and merged[-1].role == message.role:
            merged[-1] = Message(message.role, (*merged[-1].parts, Text("\n\n"), *message.parts))
        else:
            merged.append(message)
    if not merged:
        # The format demands a turn of the user; a prompt that is all system text is that turn.
        return "", [{"role": "user", "content": system}]
    return system, [{"role": message.role, "content": _content(message)} for message in merged]


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    return [
        {"type": "text", "text": piece}
        if isinstance(piece, str)
        else {"type": "image", "source": {"type": "base64", "media_type": piece.media_type, "data": piece.base64}}
        for piece in message.pieces
    ]


def _text_of(blocks: Sequence[object]) -> str:
    """Text blocks joined; the input of a tool, as JSON, where the reply is one."""
    known = [block for block in blocks if isinstance(block, dict)]
    tools = [block.get("input") for block in known if block.get("type") == "tool_use"]
    if tools:
        return rewritten(tools[0]).decode()
    texts = (block.get("text") for block in known if block.get("type") == "text")
    return "".join(text for text in texts if isinstance(text, str))


def _usage_of(usage: object) -> Usage:
    """Tokens. The service counts what a cache served or kept beside its `input_tokens`; ours include them."""
    if not isinstance(usage, dict):
        return Usage()
    fresh = count(usage.get("input_tokens"))
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    whole = None if fresh is None else fresh + (read or 0) + (written or 0)
    return Usage(input=whole, cached_read=read, cache_write=written, output=count(usage.get("output_tokens")))


class MessageFold:
    """A streamed message → the body of the same message (`folds.Fold`).

    Blocks come one after the other, each in deltas; counts in the first and the last frame. An error may come at any
    time after status 200.
    """

    __slots__ = ("_blocks", "_ended", "_failed", "_message", "_parts")

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._parts: dict[int, list[str]] = {}
        self._ended = False
        self._failed: bytes | None = None

    def add(self, event: Event) -> bool:
        match document_of(event):
            case {"type": "error"} | {"error": dict()}:
                self._failed = event.data
            case {"type": "message_start", "message": dict() as message}:
                self._message = message
            case {"type": "content_block_start", "index": int(index), "content_block": dict() as block}:
                self._blocks[index], self._parts[index] = block, []
            case {"type": "content_block_delta", "index": int(index), "delta": dict() as delta}:
                return self._delta(index, delta)
            case {"type": "message_delta", "delta": dict() as delta, **rest}:
                counted = rest.get("usage")
                before = self._message.get("usage")
                usage = {
                    **(before if isinstance(before, dict) else {}),
                    **(counted if isinstance(counted, dict) else {}),
                }
                self._message |= {**delta, "usage": usage}
            case {"type": "message_stop"}:
                self._ended = True
            case {"type": str()}:
                pass  # Pings, ends of blocks, and kinds that are yet to come: the service asks to pass over them.
            case _:
                self._failed = b""
        return False

    def _delta(self, index: int, delta: Mapping[str, Any]) -> bool:
        piece = delta.get("text", delta.get("partial_json"))
        if not isinstance(piece, str) or index not in self._parts:
            return False
        self._parts[index].append(piece)
        return bool(piece)

    def body(self) -> bytes:
        if self._failed is not None:
            return self._failed
        if not self._ended:
            return b""
        blocks = []
        for index, block in sorted(self._blocks.items()):
            joined = "".join(self._parts[index])
            if block.get("type") == "tool_use":
                try:
                    given = orjson.loads(joined) if joined else block.get("input")
                    orjson.dumps(given)
                    blocks.append({**block, "input": given})
                except (orjson.JSONDecodeError, orjson.JSONEncodeError):
                    # Cut at its limit of tokens, or nested without end: what came is the text, for the reader to judge.
                    blocks.append({"type": "text", "text": joined})
            elif block.get("type") == "text":
                blocks.append({**block, "text": f"{block.get('text', '')}{joined}"})
        return rewritten({**self._message, "content": blocks})
