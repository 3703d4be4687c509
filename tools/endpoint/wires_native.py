"""The wire formats that services have of their own, as a mock endpoint speaks them: Anthropic's messages, Gemini's
generateContent, OpenAI's responses. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from semprop.providers.base import Choices, Completion, JsonSchema, Stop
from semprop.tools.endpoint.wire import Identity, Stream, pieces
from semprop.tools.serving import chat, native
from semprop.tools.serving.chat import Asked


def named_event(document: Mapping[str, Any]) -> bytes:
    """An event that is named by its document's type, as Anthropic and OpenAI's responses have them."""
    return b"event: " + str(document["type"]).encode() + b"\n" + chat.event(document)


class AnthropicMessages:
    """Anthropic's messages, at any path that ends in `/messages`."""

    _REASONS: Mapping[Stop, str] = {
        Stop.END: "end_turn",
        Stop.LENGTH: "max_tokens",
        Stop.REFUSAL: "refusal",
        Stop.FILTER: "refusal",
        Stop.OTHER: "pause_turn",
    }

    def takes(self, path: str) -> bool:
        return path.endswith("/messages")

    def read(self, path: str, body: bytes) -> Asked:
        return native.messages(body)

    def whole(self, asked: Asked, completion: Completion, identity: Identity) -> bytes:
        usage = {"input_tokens": completion.usage.input or 0, "output_tokens": completion.usage.output or 0}
        block, reason = self._block(asked, completion), self._reason(asked, completion)
        return orjson.dumps(self._message(asked, identity, [block], reason, usage))

    def stream(self, asked: Asked, completion: Completion, identity: Identity) -> Stream:
        usage = {"input_tokens": completion.usage.input or 0, "output_tokens": 1}
        start = {"type": "message_start", "message": self._message(asked, identity, [], None, usage)}
        block = self._block(asked, completion)
        is_tool = block["type"] == "tool_use"
        nothing: dict[str, Any] = {"input": {}} if is_tool else {"text": ""}
        empty = block | nothing
        begun = {"type": "content_block_start", "index": 0, "content_block": empty}
        kind, field = ("input_json_delta", "partial_json") if is_tool else ("text_delta", "text")

        def delta(piece: str) -> bytes:
            return named_event({"type": "content_block_delta", "index": 0, "delta": {"type": kind, field: piece}})

        ended = {"stop_reason": self._reason(asked, completion), "stop_sequence": None}
        counted = {"output_tokens": completion.usage.output or 0}
        closing: tuple[dict[str, Any], ...] = (
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": counted},
        )
        return Stream(
            opening=named_event(start) + named_event(begun) + named_event({"type": "ping"}),
            pieces=tuple(delta(piece) if piece else b"" for piece in pieces(completion.text)),
            closing=b"".join(named_event(document) for document in closing),
            done=named_event({"type": "message_stop"}),
        )

    def error_event(self, document: Any) -> bytes:
        return b"event: error\n" + chat.event(document)

    def _message(
        self, asked: Asked, identity: Identity, blocks: list[dict[str, Any]], reason: str | None, usage: dict[str, int]
    ) -> dict[str, Any]:
        return {
            "id": f"msg_{identity.number:08d}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": blocks,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, **usage},
        }

    def _is_tool(self, asked: Asked, completion: Completion) -> bool:
        return asked.request.schema is not None and completion.stop is Stop.END and _is_object(completion.text)

    def _block(self, asked: Asked, completion: Completion) -> dict[str, Any]:
        if not self._is_tool(asked, completion):
            return {"type": "text", "text": completion.text}
        schema = asked.request.schema
        name = schema.name if isinstance(schema, JsonSchema) else "choice"
        return {"type": "tool_use", "id": "toolu_1", "name": name, "input": orjson.loads(completion.text)}

    def _reason(self, asked: Asked, completion: Completion) -> str:
        return "tool_use" if self._is_tool(asked, completion) else self._REASONS[completion.stop]


class GeminiGenerate:
    """Gemini's generateContent, at any path that ends in its verb; events where the verb asks for a stream."""

    _REASONS: Mapping[Stop, str] = {
        Stop.END: "STOP",
        Stop.LENGTH: "MAX_TOKENS",
        Stop.REFUSAL: "PROHIBITED_CONTENT",
        Stop.FILTER: "SAFETY",
        Stop.OTHER: "OTHER",
    }

    def takes(self, path: str) -> bool:
        return path.endswith((":generateContent", ":streamGenerateContent"))

    def read(self, path: str, body: bytes) -> Asked:
        return native.generate(path, body)

    def whole(self, asked: Asked, completion: Completion, identity: Identity) -> bytes:
        text = _chosen(asked, completion.text)
        return orjson.dumps(self._frame(asked, completion, identity, text, self._REASONS[completion.stop]))

    def stream(self, asked: Asked, completion: Completion, identity: Identity) -> Stream:
        def event(text: str, reason: str | None = None) -> bytes:
            return chat.event(self._frame(asked, completion, identity, text, reason))

        return Stream(
            opening=b"",
            pieces=tuple(event(piece) if piece else b"" for piece in pieces(_chosen(asked, completion.text))),
            closing=event("", self._REASONS[completion.stop]),
            done=b"",
        )

    def error_event(self, document: Any) -> bytes:
        return chat.event(document)

    def _frame(
        self, asked: Asked, completion: Completion, identity: Identity, text: str, reason: str | None
    ) -> dict[str, Any]:
        given, written = completion.usage.input or 0, completion.usage.output or 0
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
        if reason is not None:
            candidate["finishReason"] = reason
            if completion.logprobs:
                candidate["logprobsResult"] = _gemini_logprobs(completion)
        counts = {"promptTokenCount": given, "candidatesTokenCount": written, "totalTokenCount": given + written}
        return {
            "candidates": [candidate],
            "usageMetadata": counts,
            "modelVersion": asked.model,
            "responseId": f"r-{identity.number:08d}",
        }


class OpenAIResponses:
    """OpenAI's responses, at any path that ends in `/responses`."""

    _REASONS: Mapping[Stop, str] = {Stop.LENGTH: "max_output_tokens", Stop.FILTER: "content_filter"}

    def takes(self, path: str) -> bool:
        return path.endswith("/responses")

    def read(self, path: str, body: bytes) -> Asked:
        return native.responses(body)

    def whole(self, asked: Asked, completion: Completion, identity: Identity) -> bytes:
        return orjson.dumps(self._response(asked, completion, identity))

    def stream(self, asked: Asked, completion: Completion, identity: Identity) -> Stream:
        response = self._response(asked, completion, identity)
        item = response["output"][0]
        number = iter(range(1_000_000))
        begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        refused = completion.stop is Stop.REFUSAL
        kind = "response.refusal.delta" if refused else "response.output_text.delta"
        part = {"type": "refusal", "refusal": ""} if refused else {"type": "output_text", "text": "", "annotations": []}

        def event(kind: str, **more: Any) -> bytes:
            return named_event({"type": kind, "sequence_number": next(number), **more})

        opening = event("response.created", response=begun) + event(
            "response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []}
        )
        opening += event("response.content_part.added", part=part, **place)
        said = tuple(
            event(kind, delta=piece, **place, **({} if refused else {"logprobs": []})) if piece else b""
            for piece in pieces(completion.text)
        )
        last = "response.completed" if response["status"] == "completed" else "response.incomplete"
        closing = event("response.output_item.done", output_index=0, item=item)
        return Stream(opening, said, closing, event(last, response=response))

    def error_event(self, document: Any) -> bytes:
        error = document.get("error", {})
        told = {"code": error.get("code") or error.get("type"), "message": error.get("message"), "param": None}
        return named_event({"type": "error", "sequence_number": 0, **told})

    def _response(self, asked: Asked, completion: Completion, identity: Identity) -> dict[str, Any]:
        usage, reason = completion.usage, self._REASONS.get(completion.stop)
        given, written = usage.input or 0, usage.output or 0
        status = "completed" if reason is None else "incomplete"
        return {
            "id": f"resp_{identity.number:08d}",
            "object": "response",
            "created_at": identity.created,
            "status": status,
            "error": None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "instructions": None,
            "model": asked.model,
            "output": [
                {
                    "type": "message",
                    "id": f"msg_{identity.number:08d}",
                    "status": status,
                    "role": "assistant",
                    "content": [_content(completion)],
                }
            ],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "metadata": {},
            "temperature": asked.request.sampling.temperature,
            "top_p": asked.request.sampling.top_p,
            "usage": {
                "input_tokens": given,
                "input_tokens_details": {"cached_tokens": usage.cached_read or 0},
                "output_tokens": written,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
                "total_tokens": given + written,
            },
        }


def _content(completion: Completion) -> dict[str, Any]:
    if completion.stop is Stop.REFUSAL:
        return {"type": "refusal", "refusal": completion.text}
    told = chat.logprobs(completion)
    return {
        "type": "output_text",
        "text": completion.text,
        "annotations": [],
        "logprobs": [] if told is None else told["content"],
    }


def _gemini_logprobs(completion: Completion) -> dict[str, Any]:
    def one(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logProbability": logprob}

    return {
        "chosenCandidates": [one(token.token, token.logprob) for token in completion.logprobs],
        "topCandidates": [
            {"candidates": [one(other, value) for other, value in token.alternatives]} for token in completion.logprobs
        ],
    }


def _chosen(asked: Asked, text: str) -> str:
    """A choice comes as its bare text over this wire."""
    if not isinstance(asked.request.schema, Choices) or not _is_object(text):
        return text
    answer = orjson.loads(text).get("answer")
    return answer if isinstance(answer, str) else text


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
