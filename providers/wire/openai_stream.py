"""Streams of OpenAI's chat completions → the body of the same reply, unstreamed. Pure.

Chunks of one choice are joined; counts come in a last chunk without choices, where `include_usage` asked for them. An
error may come inside a stream that began with status 200 (vLLM, OpenRouter).
"""

from __future__ import annotations

from typing import Any

from semprop.providers.wire.reading import document_of, rewritten
from semprop.providers.wire.sse import DONE, Event

_FRAME = ("id", "model")


class ChatFold:
    """Implements `folds.Fold`."""

    __slots__ = ("_ended", "_failed", "_finish", "_frame", "_logprobs", "_seen", "_texts", "_usage")

    def __init__(self) -> None:
        self._frame: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {"content": [], "refusal": []}
        self._logprobs: list[Any] = []
        self._finish: object = None
        self._usage: object = None
        self._ended = self._seen = False
        self._failed: bytes | None = None

    def add(self, event: Event) -> bool:
        if event.data == DONE:
            self._ended = True
            return False
        document = document_of(event)
        if document is None:
            self._failed = b""
            return False
        if document.get("error"):
            self._failed = event.data
            return False
        if len(self._frame) < len(_FRAME):
            # Azure's first event tells of its filter alone, under empty names.
            self._frame = {name: document[name] for name in _FRAME if document.get(name)} | self._frame
        if document.get("usage"):
            self._usage = document["usage"]
        choices = document.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        return isinstance(choice, dict) and self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> bool:
        if choice.get("error"):
            self._failed = rewritten({"error": choice["error"]})
            return False
        self._seen = True
        delta = choice.get("delta")
        came = False
        for name, texts in self._texts.items():
            piece = delta.get(name) if isinstance(delta, dict) else None
            if isinstance(piece, str) and piece:
                texts.append(piece)
                came = True
        probabilities = choice.get("logprobs")
        content = probabilities.get("content") if isinstance(probabilities, dict) else None
        if isinstance(content, list):
            self._logprobs += content
        if choice.get("finish_reason") is not None:
            self._finish, self._ended = choice["finish_reason"], True
        return came

    def body(self) -> bytes:
        if self._failed is not None:
            return self._failed
        if not self._ended or not self._seen:
            return b""
        content, refusal = ("".join(texts) for texts in self._texts.values())
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": refusal or None},
            "finish_reason": self._finish,
            "logprobs": {"content": self._logprobs} if self._logprobs else None,
        }
        return rewritten({**self._frame, "choices": [choice], "usage": self._usage})
