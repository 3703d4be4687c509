"""A proxy without its sockets: a request comes in, a whole reply goes out. Starts no task of its own.

Equal greedy requests, and equal seeded ones, are one question; other random draws are never shared (law L2).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

from semprop.providers.base import Admission, Completion, Request, content_key
from semprop.tools.proxy import pages, wire
from semprop.tools.proxy.access import refused
from semprop.tools.proxy.attempts import Accounts
from semprop.tools.proxy.errors import JSON, Answer, answer_of, invalid, refusal
from semprop.tools.proxy.flows import flow_of
from semprop.tools.proxy.settings import Settings
from semprop.tools.proxy.sharing import Sharing
from semprop.tools.proxy.upstreams import Upstreams
from semprop.tools.serving.chat import Unreadable
from semprop.tools.serving.http1 import Received
from semprop.tools.serving.times import Times

COMPLETIONS = "/v1/chat/completions"
MODELS = "/v1/models"
_UNBOUNDED = (
    "this proxy has a budget, so a request must say how long its reply may be: send 'max_tokens', or have a default "
    "for it put into the proxy's providers file"
)
_EVENTS = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


class Proxy:
    """Answers requests."""

    def __init__(
        self, settings: Settings, upstreams: Upstreams, sharing: Sharing, accounts: Accounts, times: Times = Times()
    ) -> None:
        self._settings = settings
        self._upstreams = upstreams
        self._sharing = sharing
        self._accounts = accounts
        self._times = times
        self._started = times.now()
        self._begun = int(times.wall())
        self._open = 0
        self._asked = 0
        self._statuses: Counter[int] = Counter()

    def statistics(self) -> dict[str, object]:
        """Requests and replies, budget, journal, upstreams, and of every limit why it does not run."""
        purse = self._accounts.purse
        return {
            "seconds": round(self._times.now() - self._started, 1),
            "in_flight": self._open,
            "requests": self._asked,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            **self._sharing.statistics(),
            "budget": None if purse is None else purse.statistics(),
            "journal": self._accounts.books.statistics(),
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
        request = replace(upstream.filled(asked.request), admission=Admission(flow_of(received.headers)))
        if self._settings.caps.bounds_output and request.sampling.max_tokens is None:
            return invalid(_UNBOUNDED, "max_tokens", "missing_required_parameter")
        is_shared = _is_shared(request)
        if not is_shared:
            # Nobody shares a random draw: its key is its own.
            request = replace(request, draw=f"{self._begun:x}-{number}")
        key = content_key(upstream.identity, request)
        request = replace(request, admission=request.admission._replace(key=key))
        shared = await self._sharing.answer(key if is_shared else None, partial(upstream.complete, request))
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
