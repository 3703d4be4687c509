"""What a mock endpoint answers: the same text always, or what `simulated:` answers. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson

from semprop.providers.base import Choices, Completion, Request, Stop, TokenLogprob, Usage
from semprop.providers.simulated.model import completion_of, input_tokens, settings_of
from semprop.tools.endpoint.settings import ReplySettings
from semprop.tools.endpoint.wire import BYTES_PER_TOKEN, tokens

Answerer = Callable[[Request], Completion]


def answerer(settings: ReplySettings) -> Answerer:
    """Who answers. Whatever it says is a function of the request alone.

    Raises:
        StopError: the settings of `simulated:` are none (CONFIGURATION).
    """
    if settings.text is not None:
        return _fixed(settings.text)
    rules = settings_of(settings.settings)
    return lambda request: _as_written(completion_of(request, rules), request)


def _fixed(text: str) -> Answerer:
    size, data = tokens(text), text.encode()

    def answer(request: Request) -> Completion:
        most = request.sampling.max_tokens
        given = input_tokens(request)
        if most is None or size <= most:
            return Completion(text, usage=Usage(input=given, output=size))
        cut = data[: most * BYTES_PER_TOKEN].decode(errors="ignore")
        return Completion(cut, Stop.LENGTH, Usage(input=given, output=tokens(cut)))

    return answer


def _as_written(completion: Completion, request: Request) -> Completion:
    """A choice among texts goes over the wire as the JSON object that its schema asks for."""
    if not isinstance(request.schema, Choices):
        return completion
    text = orjson.dumps({"answer": completion.text}).decode()
    logprobs = completion.logprobs
    if logprobs:
        logprobs = (TokenLogprob('{"answer":"', 0.0), *logprobs, TokenLogprob('"}', 0.0))
    return replace(completion, text=text, usage=replace(completion.usage, output=tokens(text)), logprobs=logprobs)
