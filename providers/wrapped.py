"""Any async callable as a provider.

Takes `async def call(messages) -> str | Completion`, where `messages` is a list of `{"role", "content"}` dictionaries
(`content` is text, or OpenAI's list of parts where there are pictures); gives a provider with retries and an in-flight
bound. Sampling and constraints do not reach the callable: it promises nothing about them (`capabilities`), so prompts
ask for what they need in words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import orjson

from semprop.providers.base import Capabilities, Completion, Request
from semprop.providers.clock import Clock, SystemClock
from semprop.providers.errors import ErrorClass, ProviderError, RetryError, StopError
from semprop.providers.layers import InFlight, Meter, Price, Stack, unpriced
from semprop.providers.plain import Plain
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.wire.classify import Origin, Reply, classify
from semprop.providers.wire.openai import content_of

Call = Callable[[list[dict[str, Any]]], Awaitable[str | Completion]]

_BUGS = (
    AssertionError,
    AttributeError,
    ImportError,
    NameError,
    NotImplementedError,
    SyntaxError,
    TypeError,
)


def wrap(
    call: Call,
    *,
    model: str,
    identity: str | None = None,
    in_flight: int | InFlight = 32,
    price: Price = unpriced,
    retry: RetryPolicy = RetryPolicy(),
    clock: Clock | None = None,
    random: Random | None = None,
) -> Stack:
    """A provider out of an async callable.

    Args:
        call: answers messages with a text, or with a `Completion` (to tell of usage and of why it stopped).
        model: the model's name, for reports.
        identity: what answers, for content keys; `wrapped:MODEL` where it is not given. Give another one when
            the callable starts to answer in another way.
        in_flight: requests at once, or a bound that several providers share.
        price: dollars of a usage.
        retry, clock, random: when to ask again, and what waits are measured and drawn with.

    An exception of the callable becomes a `ProviderError`: its own one passes; one with an integer `status_code`
    (as the clients of most services have) is classed by it; a mistake in the program (`TypeError`, `NameError`,
    …) stops the run; everything else counts as transport and is asked again.
    """
    endpoint = Wrapped(call, model, identity or f"wrapped:{model}")
    bound = in_flight if isinstance(in_flight, InFlight) else InFlight(in_flight)
    layers = (Meter(price), Retry(retry, clock or SystemClock(), random or Random()), bound)
    return Stack(endpoint, layers, price=price)


class Wrapped(Plain):
    """The endpoint: one call of the callable for each attempt."""

    def __init__(self, call: Call, model: str, identity: str) -> None:
        super().__init__(identity, model, Capabilities(schema=False, images=True))
        self._call = call
        self._attempts = 0

    def __repr__(self) -> str:
        return f"Wrapped({self._identity}, attempts={self._attempts})"

    def statistics(self) -> Mapping[str, object]:
        """Attempts: how often the callable was called."""
        return {"attempts": self._attempts}

    async def complete(self, request: Request) -> Completion:
        """Call the callable once.

        Raises:
            ProviderError: what its exception means, see `wrap`.
        """
        self._attempts += 1
        messages = [{"role": message.role, "content": content_of(message)} for message in request.messages]
        try:
            answer = await self._call(messages)
        except ProviderError:
            raise
        except Exception as error:
            raise self._translated(error) from error
        if isinstance(answer, Completion):
            return answer
        if isinstance(answer, str):
            return Completion(answer, model=self._model)
        raise StopError(
            f"{self._identity} answered with a {type(answer).__name__}: return a str or a Completion",
            ErrorClass.CONFIGURATION,
        )

    def _translated(self, error: Exception) -> ProviderError:
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and 300 <= status <= 599:
            body = orjson.dumps({"error": {"message": str(error)}})
            return classify(Reply(status, {}, body), Origin(self._identity))
        what = f"{self._identity} raised {type(error).__name__}: {error}"
        if isinstance(error, _BUGS):
            return StopError(f"{what}; mend the callable", ErrorClass.CONFIGURATION)
        return RetryError(what, ErrorClass.TRANSIENT)
