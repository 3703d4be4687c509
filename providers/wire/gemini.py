"""The wire format of Gemini's `generateContent`.

Takes a `Request` and gives body bytes; takes a `Reply` and gives a `Completion` or the error that it is. Pure. The
model's name stands in the path; limits are told in the bodies of refusals alone. A blocked prompt is a reply of status
200 without candidates. Source: the service's own reference of the v1beta API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from semprop.providers.base import Choices, JsonSchema, Message, Request, Stop, TokenLogprob, Usage
from semprop.providers.wire.classify import Origin, Reply
from semprop.providers.wire.constraints import schema_of, with_own
from semprop.providers.wire.framing import Framed, Said, logprob_pair, logprob_pairs, stop_of
from semprop.providers.wire.reading import count, document_of, malformed, rewritten
from semprop.providers.wire.sse import Event

_STOPS: Mapping[str, Stop] = {
    "STOP": Stop.END,
    "MAX_TOKENS": Stop.LENGTH,
    "SAFETY": Stop.FILTER,
    "RECITATION": Stop.FILTER,
    "BLOCKLIST": Stop.FILTER,
    "PROHIBITED_CONTENT": Stop.FILTER,
    "SPII": Stop.FILTER,
    "IMAGE_SAFETY": Stop.FILTER,
}

_ROLES = {"user": "user", "assistant": "model"}

_OPTIONAL = ("temperature", "topP", "seed", "stopSequences", "responseLogprobs")


@dataclass(frozen=True, slots=True)
class GeminiFormat(Framed):
    """How one model is spoken to. `dropped` may name fields of `generationConfig`, and `systemInstruction`."""

    SPOKEN = "Gemini's generateContent"
    INSTEAD: ClassVar = {"systemInstruction": "its text stands in the first turn"}
    SCHEMA = "responseJsonSchema"
    REQUEST_ID = "x-request-id"
    NAMES = ("responseId", "modelVersion")

    # The service's own headers tell of no limits, but those of a gateway before it may.
    origin: Origin = Origin("gemini", "GEMINI_API_KEY", dialect="openai")
    at: str = "/models"

    @property
    def path(self) -> str:
        return f"{self.at}/{self.model}:generateContent"

    @property
    def stream_path(self) -> str:
        return f"{self.at}/{self.model}:streamGenerateContent"

    @property
    def stream_query(self) -> tuple[tuple[str, str], ...]:
        """What asks for events in place of one list."""
        return (("alt", "sse"),)

    def headers(self, key: str) -> dict[str, str]:
        """The header that carries the key, if there is one."""
        return {"x-goog-api-key": key} if key else {}

    def encode_stream(self, request: Request) -> bytes:
        """The same body: that the reply is to come in events stands in the address."""
        return self.encode(request)

    def fold(self) -> CandidateFold:
        """What the events are folded into."""
        return CandidateFold()

    def said(self, document: Mapping[str, Any], reply: Reply, request: Request) -> Said:
        """A prompt that was blocked gives an empty text that a filter stopped."""
        candidates, feedback = document.get("candidates"), document.get("promptFeedback")
        candidate = candidates[0] if isinstance(candidates, list) and candidates else None
        blocked = isinstance(feedback, dict) and bool(feedback.get("blockReason"))
        if not isinstance(candidate, dict):
            if not blocked:
                raise malformed(self.origin, self.SPOKEN, "it holds no candidates")
            candidate = {"finishReason": "SAFETY"}
        return Said(
            text=_text_of(candidate),
            stop=stop_of(candidate.get("finishReason"), _STOPS),
            usage=_usage_of(document.get("usageMetadata")),
            logprobs=_logprobs_of(candidate.get("logprobsResult")),
        )

    def optional(self, request: Request) -> tuple[str, ...]:
        document, config = self.document(request), self._config(request)
        sent = [name for name in _OPTIONAL if name in config]
        if "responseMimeType" in config:
            sent.append("responseJsonSchema")
        if "systemInstruction" in document and "systemInstruction" not in self.dropped:
            sent.append("systemInstruction")
        return tuple(sent)

    def document(self, request: Request) -> dict[str, Any]:
        messages = self.messages(request)
        system = [message.text for message in messages if message.role == "system"]
        contents: list[dict[str, Any]] = [
            {"role": _ROLES[message.role], "parts": _parts(message)} for message in messages if message.role != "system"
        ]
        if not contents:
            # The format demands a turn of the user; a prompt that is all system text is that turn.
            contents, system = [{"role": "user", "parts": [{"text": "\n\n".join(system)}]}], []
        if system and "systemInstruction" in self.dropped:
            if contents[0]["role"] != "user":
                contents.insert(0, {"role": "user", "parts": []})
            contents[0]["parts"][:0] = [{"text": f"{text}\n\n"} for text in system]
            system = []
        document: dict[str, Any] = {"contents": contents}
        if system:
            document["systemInstruction"] = {"parts": [{"text": text} for text in system]}
        config = self._config(request)
        if config:
            document["generationConfig"] = config
        return with_own(document, self.body, "generationConfig")

    def _config(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        fields: list[tuple[str, object]] = [
            ("temperature", sampling.temperature),
            ("topP", sampling.top_p),
            ("maxOutputTokens", sampling.max_tokens),
            ("seed", sampling.seed),
            ("stopSequences", list(sampling.stop) or None),
        ]
        if sampling.top_logprobs is not None and "responseLogprobs" not in self.dropped:
            fields += [("responseLogprobs", True), ("logprobs", sampling.top_logprobs)]
        match request.schema:
            case Choices(options) if "responseJsonSchema" not in self.dropped:
                fields += [
                    ("responseMimeType", "text/x.enum"),
                    ("responseSchema", {"type": "STRING", "enum": list(options)}),
                ]
            case JsonSchema() as schema if "responseJsonSchema" not in self.dropped:
                fields += [("responseMimeType", "application/json"), ("responseJsonSchema", schema_of(schema))]
        return {name: value for name, value in fields if value is not None and name not in self.dropped}


def _parts(message: Message) -> list[dict[str, Any]]:
    return [
        {"text": piece}
        if isinstance(piece, str)
        else {"inlineData": {"mimeType": piece.media_type, "data": piece.base64}}
        for piece in message.pieces
    ]


def _text_of(candidate: Mapping[str, Any]) -> str:
    """The visible text of a candidate: what the model thought is left out."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    known = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    texts = (part.get("text") for part in known if not part.get("thought"))
    return "".join(text for text in texts if isinstance(text, str))


def _usage_of(usage: object) -> Usage:
    """Tokens. Thoughts are counted beside the candidates; ours are output."""
    if not isinstance(usage, dict):
        return Usage()
    thoughts = count(usage.get("thoughtsTokenCount"))
    written = count(usage.get("candidatesTokenCount"))
    told = written is not None or thoughts is not None or count(usage.get("promptTokenCount")) is not None
    return Usage(
        input=count(usage.get("promptTokenCount")),
        cached_read=count(usage.get("cachedContentTokenCount")),
        # A reply of no tokens leaves their count out.
        output=(written or 0) + (thoughts or 0) if told else None,
        reasoning=thoughts,
    )


def _logprobs_of(result: object) -> tuple[TokenLogprob, ...]:
    chosen = result.get("chosenCandidates") if isinstance(result, dict) else None
    tops = result.get("topCandidates") if isinstance(result, dict) else None
    tops = tops if isinstance(tops, list) else []
    tokens = []
    for place, item in enumerate(chosen if isinstance(chosen, list) else []):
        pair = logprob_pair(item, "logProbability")
        if pair is not None:
            listed = tops[place].get("candidates") if place < len(tops) and isinstance(tops[place], dict) else None
            tokens.append(TokenLogprob(*pair, logprob_pairs(listed, "logProbability")))
    return tuple(tokens)


class CandidateFold:
    """A streamed candidate → the body of the same reply (`folds.Fold`). The stream has no mark of its
    end: it has ended once a reason to stop, or a block, was told."""

    __slots__ = ("_candidate", "_ended", "_failed", "_frame", "_logprobs", "_parts")

    def __init__(self) -> None:
        self._frame: dict[str, Any] = {}
        self._candidate: dict[str, Any] = {}
        self._parts: list[Any] = []
        self._logprobs: dict[str, list[Any]] = {"chosenCandidates": [], "topCandidates": []}
        self._ended = False
        self._failed: bytes | None = None

    def add(self, event: Event) -> bool:
        document = document_of(event)
        if document is None:
            self._failed = b""
            return False
        if document.get("error"):
            self._failed = event.data
            return False
        self._frame |= {name: value for name, value in document.items() if name != "candidates"}
        feedback = document.get("promptFeedback")
        self._ended = self._ended or (isinstance(feedback, dict) and bool(feedback.get("blockReason")))
        candidates = document.get("candidates")
        candidate = candidates[0] if isinstance(candidates, list) and candidates else None
        return isinstance(candidate, dict) and self._piece(candidate)

    def _piece(self, candidate: dict[str, Any]) -> bool:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        self._parts += parts if isinstance(parts, list) else []
        # Each frame tells of its own tokens alone.
        told = candidate.get("logprobsResult")
        for name, listed in self._logprobs.items():
            piece = told.get(name) if isinstance(told, dict) else None
            listed += piece if isinstance(piece, list) else []
        self._candidate |= {name: value for name, value in candidate.items() if name != "content"}
        self._ended = self._ended or candidate.get("finishReason") is not None
        return bool(_text_of(candidate))

    def body(self) -> bytes:
        if self._failed is not None:
            return self._failed
        if not self._ended:
            return b""
        if not self._candidate:
            return rewritten(self._frame)
        candidate = {**self._candidate, "content": {"role": "model", "parts": self._parts}}
        if self._logprobs["chosenCandidates"]:
            candidate["logprobsResult"] = self._logprobs
        return rewritten({**self._frame, "candidates": [candidate]})
