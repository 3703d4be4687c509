"""Outcomes: what came of a request, and where it was asked. Data; decides only whose fault a failure was.

Law L1: a request has a position and a content key, and its outcome is the reply or final failure that became durable
first. Law L3: model failures were caused by content and count as wrong; provider failures were not and exclude the
example from both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from semprop.engine.errors import ReplayError
from semprop.providers.base import (
    Choices,
    Completion,
    Constraint,
    JsonSchema,
    Request,
    Stop,
    TokenLogprob,
    Usage,
)
from semprop.providers.errors import ErrorClass, ItemError


class FailureKind(StrEnum):
    """Why there is no value. The first six are model failures."""

    FILTER = "filter"
    REFUSAL = "refusal"
    CONTEXT = "context"
    TRUNCATED = "truncated"
    UNPARSEABLE = "unparseable"
    CONTENT = "content"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    TRANSPORT = "transport"
    QUOTA = "quota"
    TOO_LARGE = "too_large"
    BAD_REQUEST = "bad_request"
    FUNCTION = "function"

    @property
    def is_model_failure(self) -> bool:
        """Whether content caused it, so that the example counts as wrong."""
        return self in _MODEL_FAILURES


_MODEL_FAILURES = (
    FailureKind.FILTER,
    FailureKind.REFUSAL,
    FailureKind.CONTEXT,
    FailureKind.TRUNCATED,
    FailureKind.UNPARSEABLE,
    FailureKind.CONTENT,
)

_BY_ERROR_CLASS = {
    ErrorClass.RATE: FailureKind.THROTTLED,
    ErrorClass.OVERLOAD: FailureKind.OVERLOADED,
    ErrorClass.TRANSIENT: FailureKind.TRANSPORT,
    ErrorClass.DAILY: FailureKind.QUOTA,
    ErrorClass.TOO_LARGE_FOR_QUOTA: FailureKind.TOO_LARGE,
    ErrorClass.CONTEXT: FailureKind.CONTEXT,
    ErrorClass.FILTER: FailureKind.FILTER,
    ErrorClass.REFUSAL: FailureKind.REFUSAL,
    ErrorClass.BAD_REQUEST: FailureKind.BAD_REQUEST,
}


_SAID_ELSEWHERE = {
    FailureKind.FILTER: "a content filter stopped it",
    FailureKind.REFUSAL: "the model refused",
    FailureKind.CONTEXT: "the input was too long for the model",
}
_SAID_HERE = (FailureKind.TRUNCATED, FailureKind.UNPARSEABLE, FailureKind.CONTENT)


@dataclass(frozen=True, slots=True)
class Failure:
    """A final failure: its kind, what was said, and any partial text."""

    kind: FailureKind
    message: str
    text: str = ""
    attempts: int = 0

    @property
    def is_model_failure(self) -> bool:
        return self.kind.is_model_failure

    @property
    def words(self) -> str:
        """Why there is no value, as a prompt may say it: nothing of an endpoint's own words, which hold addresses, ids
        and times, so that they differ from one sitting to the next (law L1)."""
        return self.message if self.kind in _SAID_HERE else _SAID_ELSEWHERE.get(self.kind, "there was no reply")


@dataclass(frozen=True, slots=True)
class Returned:
    """What a function or a loss returned: JSON data, since it is recorded."""

    value: Any


Outcome = Completion | Returned | Failure


class Position(NamedTuple):
    """Where a request stands in a run. `candidate` is the id of the parameters under trial ("" = the step's
    own), `sample` counts measurements, `again` is 1 when a provider failure is asked once more."""

    step: int
    phase: str
    example: str = ""
    candidate: str = ""
    node: str = ""
    slot: str = ""
    sample: int = 0
    again: int = 0

    def moved(self, **changes: Any) -> Position:
        """This position with some fields replaced."""
        return self._replace(**changes)


class Unread(NamedTuple):
    """Why a request is made once more: the reply that could not be read, and whether a new one can be. For accounts
    alone."""

    reply: Completion
    reads: Callable[[Completion], bool]


def failure_of(error: ItemError) -> Failure:
    """The final failure that a provider's error is."""
    return Failure(_BY_ERROR_CLASS[error.error_class], str(error), attempts=error.attempts)


def stopped_short(completion: Completion) -> Failure | None:
    """The model failure that a completion's stop reason is, or None. Truncation is judged by the node."""
    match completion.stop:
        case Stop.FILTER:
            return Failure(FailureKind.FILTER, "the endpoint's content filter stopped the reply", completion.text)
        case Stop.REFUSAL:
            return Failure(FailureKind.REFUSAL, "the model refused", completion.text)
        case _:
            return None


def request_document(request: Request, contents: Sequence[object] | None = None) -> dict[str, Any]:
    """A request as JSON data, for the journal and for people; `contents` stand for the texts of its messages."""
    sampling = request.sampling
    if contents is None:
        contents = [message.text for message in request.messages]
    return {
        "messages": [
            {"role": message.role, "content": content}
            for message, content in zip(request.messages, contents, strict=True)
        ],
        "sampling": {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "stop": list(sampling.stop),
            "top_logprobs": sampling.top_logprobs,
        },
        "constraint": _constraint_document(request.schema),
        "draw": request.draw,
        "sample": request.sample,
    }


def _constraint_document(schema: Constraint | None) -> dict[str, Any] | None:
    match schema:
        case None:
            return None
        case JsonSchema(name, document):
            return {"name": name, "schema": orjson.loads(document)}
        case Choices(options):
            return {"choices": list(options)}


IMPOSSIBLE = -1e9
"""A log probability of minus infinity, as JSON can hold it; its exponential is 0 all the same."""


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else IMPOSSIBLE


def document_of(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON data, for the journal; the inverse of `outcome_of`."""
    match outcome:
        case Completion():
            usage = outcome.usage
            return {
                "text": outcome.text,
                "stop": str(outcome.stop),
                "usage": _usage_document(usage),
                "model": outcome.model,
                "request_id": outcome.request_id,
                "logprobs": [_logprob_document(token) for token in outcome.logprobs] if outcome.logprobs else [],
                "attempts": outcome.attempts,
            }
        case Returned(value):
            return {"returned": value}
        case Failure(kind, message, text, attempts):
            return {"failure": str(kind), "message": message, "text": text, "attempts": attempts}


def _logprob_document(token: TokenLogprob) -> list[Any]:
    alternatives = [[other, _finite(value)] for other, value in token.alternatives]
    return [token.token, _finite(token.logprob), alternatives]


def _usage_document(usage: Usage) -> list[int | str | bool | None]:
    counts = (usage.input, usage.cached_read, usage.cache_write, usage.output, usage.reasoning)
    if usage.batch:
        return [*counts, usage.member, True]
    return [*counts, usage.member] if usage.member else [*counts]


def outcome_of(document: dict[str, Any]) -> Outcome:
    """An outcome from the journal's JSON data.

    Raises:
        ReplayError: the data are of no known form.
    """
    try:
        return _outcome_of(document)
    except (ValueError, TypeError, KeyError) as error:
        raise ReplayError(f"not a recorded outcome: {error}") from error


def _outcome_of(document: dict[str, Any]) -> Outcome:
    match document:
        case {"returned": value}:
            return Returned(value)
        case {"failure": kind, "message": message, "text": text, "attempts": attempts}:
            return Failure(FailureKind(kind), message, text, attempts)
        case {"text": text, "stop": stop, "usage": usage, "logprobs": logprobs}:
            return Completion(
                text=text,
                stop=Stop(stop),
                usage=Usage(*usage),
                model=document["model"],
                request_id=document["request_id"],
                logprobs=tuple(
                    TokenLogprob(token, logprob, tuple((other, value) for other, value in alternatives))
                    for token, logprob, alternatives in logprobs
                ),
                attempts=document["attempts"],
            )
    raise ReplayError(f"not a recorded outcome: fields {', '.join(map(str, document))}")
