"""A proxy without its sockets: a request comes in, a whole reply goes out. Starts no task of its own.

Equal greedy requests, and equal seeded ones, are one question; other random draws are never shared (law L2).
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from semprop.providers.base import Completion, Request, content_key
from semprop.tools.endpoint.http1 import Received
from semprop.tools.endpoint.server import Times
from semprop.tools.endpoint.wire import Unreadable
from semprop.tools.proxy import pages, wire
from semprop.tools.proxy.access import refused
from semprop.tools.proxy.errors import JSON, Answer, answer_of, invalid, refusal
from semprop.tools.proxy.settings import Settings
from semprop.tools.proxy.sharing import Sharing
from semprop.tools.proxy.upstreams import Upstreams

COMPLETIONS = "/v1/chat/completions"
MODELS = "/v1/models"
_EVENTS = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


class Proxy:
    """Answers requests."""

    def __init__(self, settings: Settings, upstreams: Upstreams, sharing: Sharing, times: Times = Times()) -> None:
        self._settings = settings
        self._upstreams = upstreams
        self._sharing = sharing
        self._times = times
        self._started = times.now()
        self._begun = int(times.wall())
        self._open = 0
        self._asked = 0
        self._statuses: Counter[int] = Counter()

    def statistics(self) -> dict[str, object]:
        """Requests and replies, the store, the upstreams, and of every limit why it does not run."""
        return {
            "seconds": round(self._times.now() - self._started, 1),
            "in_flight": self._open,
            "requests": self._asked,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            **self._sharing.statistics(),
            **self._upstreams.statistics(),
        }

    async def answer(self, received: Received) -> Answer:
        """The reply to a request. Raises nothing but its cancellation."""
        if (received.method, received.path) == ("GET", "/health"):
            return pages.document({"status": "ok"})
        denied = refused(received.headers, self._settings.token)
        if denied is not None:
            return denied
        if (received.method, received.path) != ("POST", COMPLETIONS):
            return self._page(received)
        self._asked += 1
        if self._open >= self._settings.most:
            words = f"{self._open} requests are open here, and no more are taken"
            answer = refusal(503, words, "server_error", "service_unavailable", lines=(("retry-after", "1"),))
        else:
            self._open += 1
            try:
                answer = await self._completion(received)
            finally:
                self._open -= 1
        self._statuses[answer.status] += 1
        return answer

    async def _completion(self, received: Received) -> Answer:
        number = self._asked
        try:
            asked = wire.read(received.body)
        except Unreadable as error:
            return invalid(str(error), error.param)
        upstream = self._upstreams.named(asked.model)
        if upstream is None:
            return self._unknown(asked.model)
        key = content_key(upstream.identity, asked.request) if _is_shared(asked.request) else None
        shared = await self._sharing.answer(key, partial(upstream.complete, asked.request))
        if not isinstance(shared.outcome, Completion):
            return answer_of(shared.outcome)
        written, lines = (wire.events, _EVENTS) if asked.stream else (wire.whole, JSON)
        body = written(asked, shared.outcome, f"chatcmpl-{self._begun:x}-{number}", int(self._times.wall()))
        return Answer(200, body, (*lines, ("x-semprop-source", shared.source.value)))

    def _unknown(self, model: str) -> Answer:
        names = ", ".join(self._upstreams.names)
        words = f"there is no model {model[:200]!r} here; there are: {names}"
        return refusal(404, words, "invalid_request_error", "model_not_found", "model")

    def _page(self, received: Received) -> Answer:
        names = self._upstreams.names
        match (received.method, received.path):
            case ("GET", "/"):
                return pages.status(self.statistics())
            case ("GET", "/statistics"):
                return pages.document(self.statistics())
            case ("GET", path) if path == MODELS:
                return pages.models(names)
            case ("GET", path) if path.startswith(f"{MODELS}/"):
                name = path.removeprefix(f"{MODELS}/")
                return pages.document(pages.model(name)) if name in names else self._unknown(name)
        words = (
            f"there is no {received.method} {received.path[:200]} here: POST {COMPLETIONS}, GET {MODELS}, /statistics"
        )
        return refusal(404, words, "invalid_request_error", "unknown_url")


def _is_shared(request: Request) -> bool:
    return request.sampling.is_greedy or request.sampling.seed is not None
