"""Limits: what share of a limit is used, and what share of attempts is refused, in real time, by the endpoint's ledger.

Every case is a mock endpoint of its own with a true sliding window of a minute, and 128 callers with one request out
each, through `connect` as a user gets it. The ledger alone is asked:

    used share    = what was admitted and arrived within a span / the integral of (limit − foreign traffic) over it
    refused share = attempts within it that were answered 429 / all attempts within it

The first span begins with the first request: what is found out is paid for in it, and a window that was filled in ten
seconds admits nothing for the other fifty, so that a later begin would count those and not these. A later span begins
30 s after what changed. A figure is the worst of several latencies: 0.2 s, log-normal around 1 s, and 4 s.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from random import Random
from statistics import median

import anyio

from semprop.bench.speed.mock import Attempt, Mock, mock
from semprop.bench.speed.rows import Bar, Measure, Row, Settings, at_least, at_most
from semprop.providers import Message, Request, Surroundings, connect
from semprop.providers.base import Provider
from semprop.providers.errors import ProviderError
from semprop.providers.specification import Specification

CALLERS = 128
REFUSED = 429
SETTLING = 30.0
REQUESTS, TOKENS = 600.0, 60_000.0
"""The limits, a minute."""

LATENCIES: Mapping[str, Mapping[str, object]] = {
    "0.2 s": {"first": 0.2},
    "log-normal 1 s": {"first": {"median": 1.0, "sigma": 0.7}},
    "4 s": {"first": 4.0},
}

REPLY = 400
"""Bytes of a reply."""

AT_ONCE = 24
"""Endpoints that run at a time, of about 80 MB and a hundredth of a processor each."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds that are measured, what may be used in them, and the bars."""

    name: str
    begin: float
    end: float
    a_minute: float
    used: Bar | None
    refused: Bar | None


@dataclass(frozen=True, slots=True)
class Case:
    """An endpoint, and what its client is told of it."""

    name: str
    endpoint: Mapping[str, object]
    spans: tuple[Span, ...]
    stated: tuple[tuple[str, float], ...] = ()
    tokens: bool = False


@dataclass(slots=True)
class Figures:
    """Shares of one run, by the names of its spans."""

    used: dict[str, float] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    failed: int = 0


def used_share(attempts: Sequence[Attempt], span: Span, *, tokens: bool) -> float:
    """What was admitted within a span, over what may be used in it."""
    admitted = [one for one in attempts if one.status != REFUSED and span.begin <= one.arrived < span.end]
    taken = sum(one.input + one.output for one in admitted) if tokens else len(admitted)
    return taken / (span.a_minute * (span.end - span.begin) / 60.0)


def refused_share(attempts: Sequence[Attempt], span: Span) -> float:
    """Refusals within a span, over all attempts within it; 0 where there was none."""
    within = [one for one in attempts if span.begin <= one.arrived < span.end]
    return sum(one.status == REFUSED for one in within) / max(1, len(within))


# cases ----------------------------------------------------------------------------------------------------------------


def stated(scale: float) -> tuple[Case, ...]:
    """A user has written the limits down: two minutes from the first request on."""
    bars = at_least(0.96), at_most(0.001)
    end = 120.0 * scale
    return (
        Case(
            "requests/minute stated",
            _limited("requests", REQUESTS, {"dialect": "mistral", "told": "none", "retry_after": "none"}),
            (Span("two minutes", 0.0, end, REQUESTS, *bars),),
            stated=(("requests/minute", REQUESTS),),
        ),
        Case(
            "tokens/minute stated",
            _limited("tokens", TOKENS, {"dialect": "mistral", "told": "none", "retry_after": "none"}),
            (Span("two minutes", 0.0, end, TOKENS, *bars),),
            stated=(("tokens/minute", TOKENS),),
            tokens=True,
        ),
    )


def told(scale: float) -> tuple[Case, ...]:
    """Nobody wrote them down, but replies or refusals tell; then the quota is halved, then others take half of it."""
    bars = at_least(0.90), at_most(0.01)
    measured = 120.0 * scale
    halved = SETTLING + measured
    foreign = halved + SETTLING + measured
    half, quarter = REQUESTS / 2.0, REQUESTS / 4.0
    spans = (
        Span("as it is", 0.0, halved, REQUESTS, *bars),
        Span("halved", halved + SETTLING, foreign, half, *bars),
        Span("others take half", foreign + SETTLING, foreign + SETTLING + measured, quarter, *bars),
    )
    changes = {
        "change": [{"factor": 0.5, "begin": halved}],
        "foreign": [{"rate": quarter / 60.0, "begin": foreign}],
    }
    ways = {
        "in headers": {"dialect": "openai"},
        "in bodies, with what is used": {"dialect": "none"},
        "in bodies, as a quota value": {"dialect": "gemini"},
    }
    return tuple(
        Case(f"told {way}", {**_limited("requests", REQUESTS, headers), **changes}, spans)
        for way, headers in ways.items()
    )


def never(scale: float) -> tuple[Case, ...]:
    """Nobody says anything but 429."""
    silent = {"dialect": "mistral", "told": "none", "retry_after": "none"}
    end = 60.0 + 240.0 * scale
    bars = at_least(0.80), at_most(0.03)
    large = Span("from the first request", 0.0, end, REQUESTS, *bars)
    small = Span("from the first request", 0.0, end, 120.0, *bars)
    return (
        Case("never told, 600 a minute", _limited("requests", REQUESTS, silent), (large,)),
        Case("never told, 120 a minute", _limited("requests", 120.0, silent), (small,)),
    )


def _limited(of: str, most: float, headers: Mapping[str, object]) -> dict[str, object]:
    limit = {"of": of, "most": most, "seconds": 60.0}
    return {"limit": [limit], "headers": headers, "charge": "actual", "reply": {"bytes": REPLY}}


# runs -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """One case at one latency, once."""

    case: Case
    latency: str
    seed: int

    @property
    def config(self) -> dict[str, object]:
        """Its endpoint."""
        return {**self.case.endpoint, "latency": LATENCIES[self.latency], "seed": self.seed}


async def loaded(case: Case, endpoint: Mock, seed: int) -> Figures:
    """128 callers against an endpoint until the last span is over; what its ledger says of the spans."""
    spec = Specification("openai", "any", endpoint.url, key_env="", limits=case.stated, profile="unknown")
    figures = Figures()
    async with connect(spec, surroundings=Surroundings(environment={}, random=Random(seed))) as provider:
        await endpoint.reset()
        numbers = itertools.count()
        with anyio.move_on_after(max(span.end for span in case.spans) + 1.0):
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(_call, provider, numbers, Random(f"{seed}"), figures)
    attempts = await endpoint.ledger()
    for span in case.spans:
        figures.used[span.name] = used_share(attempts, span, tokens=case.tokens)
        figures.refused[span.name] = refused_share(attempts, span)
    return figures


async def _call(provider: Provider, numbers: itertools.count[int], random: Random, figures: Figures) -> None:
    """One caller: request after request, of unlike sizes, until it is cancelled."""
    while True:
        number = next(numbers)
        text = f"{number} " + "word " * random.randrange(10, 150)
        try:
            await provider.complete(Request((Message.of("user", text),)))
        except ProviderError:
            figures.failed += 1


async def measured(cases: Sequence[Case], settings: Settings) -> Sequence[Row]:
    """Every case at every latency, as often as is wanted; `AT_ONCE` of them at a time, since each is nearly idle.

    All endpoints of a round listen before the first request is sent: a process that starts takes a whole processor.
    """
    found: dict[tuple[str, str, int], Figures] = {}

    async def one(run: Run, endpoint: Mock) -> None:
        found[run.case.name, run.latency, run.seed] = await loaded(run.case, endpoint, run.seed)

    runs = [Run(case, latency, seed) for seed in range(settings.repetitions) for case in cases for latency in LATENCIES]
    for begin in range(0, len(runs), AT_ONCE):
        batch = runs[begin : begin + AT_ONCE]
        async with AsyncExitStack() as stack:
            endpoints = [await stack.enter_async_context(mock(run.config, settings)) for run in batch]
            async with anyio.create_task_group() as tasks:
                for run, endpoint in zip(batch, endpoints, strict=True):
                    tasks.start_soon(one, run, endpoint)
    return [row for case in cases for span in case.spans for row in rows(case, span, found, settings.repetitions)]


def rows(case: Case, span: Span, found: Mapping[tuple[str, str, int], Figures], repetitions: int) -> tuple[Row, Row]:
    """The two figures of a span: of each repetition the worst latency counts."""
    by_latency = {latency: [found[case.name, latency, seed] for seed in range(repetitions)] for latency in LATENCIES}
    rounds = tuple(zip(*by_latency.values(), strict=True))
    used = [min(figures.used[span.name] for figures in round_) for round_ in rounds]
    refused = [max(figures.refused[span.name] for figures in round_) for round_ in rounds]
    failed = sum(figures.failed for round_ in rounds for figures in round_)
    lost = f"; {failed} requests given up" if failed else ""
    where = f"{case.name}, {span.name} ({span.begin:.0f}–{span.end:.0f} s, {span.a_minute:g} a minute)"
    return (
        Row(
            what=f"{where}: share of it used",
            samples=used,
            bar=span.used,
            beside="what the ledger admitted over limit less foreign traffic",
            note=_each(by_latency, lambda figures: figures.used[span.name]) + lost,
        ),
        Row(
            what=f"{where}: share of 429",
            samples=refused,
            bar=span.refused,
            beside="attempts in the ledger",
            note=_each(by_latency, lambda figures: figures.refused[span.name]),
        ),
    )


def _each(by_latency: Mapping[str, Sequence[Figures]], of: Callable[[Figures], float]) -> str:
    """The median at each latency: the row's own figure is the worst of them."""
    told_of = (f"{latency}: {median(map(of, figures)):.2%}" for latency, figures in by_latency.items())
    return "; ".join(told_of)


async def _measure(cases: Callable[[float], tuple[Case, ...]], settings: Settings) -> Sequence[Row]:
    return await measured(cases(settings.scale), settings)


MEASURES: Mapping[str, Measure] = {
    "limits-stated": partial(_measure, stated),
    "limits-told": partial(_measure, told),
    "limits-never": partial(_measure, never),
}
"""By the name for `--rows`."""
