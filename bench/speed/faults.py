"""Faults: whole optimizations against an endpoint that fails in every way, each alone and all at once.

What may pass is mended by asking again, so the run must decide byte for byte what it decides on a calm endpoint. What
a request meets every time must come out the same whatever the order of events, so it is compared with a run that has
one request at a time. What stops a run must leave a journal from which the run is finished. Nothing may hang, be lost
or count twice: the endpoint's ledger, the run's journal and its telemetry are counted against each other.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import anyio
import orjson

from semprop.bench.speed.mock import Attempt, Mock, mock
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.bench.task import Sizes
from semprop.bench.worlds.lookup import LOOKUP, examples
from semprop.engine import Specification, Trainer, semantic
from semprop.engine.errors import RunError
from semprop.engine.outcomes import Failure
from semprop.engine.training.runs import Run
from semprop.engine.training.telemetry import UNANSWERED, Telemetry
from semprop.providers import StopError, Surroundings, connect
from semprop.providers.layers import Stack
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import parse

DEADLINE = 1.0
"""Seconds for one attempt."""

SLACK = 1.0
"""Seconds by which an attempt may be seen to end late, on a busy machine."""

LIMIT = 120.0
"""Seconds for a whole run; the calm one takes a few."""

Script = Sequence[Mapping[str, object]]
"""The fault script of an endpoint, a table each."""

SHARE = 0.15
PASSING: Mapping[str, Mapping[str, object]] = {
    "throttle": {"share": 1.0, "first_attempt": 20, "last_attempt": 24, "retry_after": 0.05},
    "overloaded": {},
    "unavailable": {},
    "server_error": {},
    "timeout": {},
    "reset_before_headers": {},
    "reset_after_headers": {},
    "half_json": {},
    "error_after_200": {},
    "garbage": {},
    "huge": {"size": 300_000},
    "close": {},
    "no_done": {},
    "slow": {"rate": 50.0},
    "hang": {},
}
"""Faults that pass, or harm nothing: kind → its settings. Refusals for the rate come as a storm: whoever goes on at his
rate meets more of them, and nobody sends refusals by chance."""

HARMLESS = ("huge", "close", "no_done")
"""Those of them with which a reply is whole all the same."""

LASTING = ("context", "filter", "too_large")
"""Faults that a request meets every time: two are its content's fault, the third is no answer at all."""

ANSWERS = (None, *HARMLESS, "context", "filter")
"""What may befall an attempt that is answered for good."""

STOPPING = ("billing", "auth")
"""Faults that end a run at once, each at two moments of it."""


def passing(kind: str, share: float = SHARE) -> Script:
    """A fault that passes, in some of the attempts."""
    return [{"kind": kind, "share": share, **PASSING[kind]}]


def lasting(kind: str, share: float = SHARE) -> Script:
    """A fault that lasts, for some of the requests."""
    return [{"kind": kind, "share": share, "draw": "request"}]


def stopping(kind: str) -> Script:
    """A fault that stops a run twice."""
    return [{"kind": kind, "first_attempt": number, "last_attempt": number} for number in (20, 60)]


def lasting_ones() -> Script:
    """All faults that last, at once."""
    return [table for kind in LASTING for table in lasting(kind, 0.03)]


def everything() -> Script:
    """All faults at once: of the attempts that could be answered, every third one meets one."""
    passes = [table for kind in PASSING for table in passing(kind, 0.4 / len(PASSING))]
    return [*lasting_ones(), *stopping("billing"), *passes]


def provider(endpoint: Mock) -> Stack:
    """The endpoint with short waits. It has one identity wherever it listens, so that results can be compared."""
    named = replace(parse(f"openai:any@{endpoint.url}"), identity="openai:any@mock", timeout=DEADLINE)
    retry = RetryPolicy(tries=12, base=0.01, cap=0.1, per_minute=100_000.0)
    return connect(named, in_flight=64, surroundings=Surroundings(environment={}, random=Random(0), retry=retry))


def specification(model: Stack, size: int, run: Path, in_flight: int) -> Specification:
    """The task `lookup` with its journal."""
    return Specification(
        graph=LOOKUP.graph,
        loss=LOOKUP.loss,
        splits=examples(0, Sizes(size, size, size)),
        method=semantic(),
        providers={"forward": model},
        steps=2,
        minibatch=size,
        examples_per_gradient=8,
        task=LOOKUP.name,
        in_flight=in_flight,
        run=run,
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run's journal and telemetry say, summed over its sittings.

    Attributes:
        recorded: requests that have an answer on record; equal ones count once.
        failed: recorded failures of the provider.
        calls, attempts: as counted by the telemetry.
        waste: calls without an outcome: cancelled, or stopped.
    """

    recorded: int
    failed: int
    calls: int
    attempts: int
    waste: int


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that came to its end, and what the endpoint saw of it."""

    decided: bytes
    counts: Counts
    attempts: Sequence[Attempt]
    seconds: float
    stops: int


@asynccontextmanager
async def failing(script: Script, settings: Settings, seed: int = 1) -> AsyncIterator[Mock]:
    """An endpoint with a fault script."""
    async with mock({"seed": seed, "latency": {"first": 0.004}, "fault": script}, settings) as endpoint:
        yield endpoint


async def ran(endpoint: Mock, size: int, in_flight: int = 32) -> Ran:
    """One optimization, resumed as often as a provider stops it, on an endpoint that begins anew.

    Raises:
        RunError: it hangs.
    """
    await endpoint.reset()
    sittings: list[Telemetry] = []
    decided, began = b"", time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        run = Path(directory) / "run"
        with anyio.move_on_after(LIMIT):
            while not decided:
                spec = specification(provider(endpoint), size, run, in_flight)
                decided = await _sitting(spec, sittings)
        if not decided:
            raise RunError(f"the run hangs: after {LIMIT:g} s and {len(sittings)} sittings it has no result")
        seconds = time.perf_counter() - began
        return Ran(decided, _counted(Run(run), sittings[-1]), await endpoint.ledger(), seconds, len(sittings) - 1)


async def _sitting(spec: Specification, sittings: list[Telemetry]) -> bytes:
    """Run until the end, or until a provider stops it; what was decided, or nothing."""
    trainer = Trainer(spec, resume=bool(sittings))
    sittings.append(trainer.telemetry)
    try:
        async with trainer:
            async for _ in trainer:
                pass
            result = await trainer.report()
    except StopError:
        return b""
    return orjson.dumps(result.result_document())


def _counted(run: Run, telemetry: Telemetry) -> Counts:
    """What the journal holds, and what the last sitting's telemetry counts over all of them."""
    recorded: dict[bytes, None] = {}
    failed = 0
    for exchange in run.exchanges():
        if isinstance(exchange.outcome, Failure) and not exchange.outcome.is_model_failure:
            failed += 1
        elif exchange.outcome is not None:
            # Who draws is no part of a greedy request.
            recorded[orjson.dumps({**exchange.request, "draw": ""})] = None
    return Counts(
        len(recorded),
        failed,
        sum(telemetry.calls.values()),
        telemetry.attempts,
        telemetry.failures[UNANSWERED],
    )


# What must hold ------------------------------------------------------------------------------------------------------


def late(attempts: Sequence[Attempt]) -> int:
    """Attempts that were open beyond the deadline, or still are."""
    return sum(each.answered is None or each.seconds > DEADLINE + SLACK for each in attempts)


def lost(ran: Ran) -> int:
    """Answers that are neither on record nor accounted as waste, and attempts that the telemetry does not know of."""
    counts, answers = ran.counts, _answers(ran.attempts)
    return max(0, len(answers) - counts.recorded - counts.waste) + max(0, len(ran.attempts) - counts.attempts)


def doubled(ran: Ran) -> int:
    """Records without an answer of their own, outcomes that were counted twice, and attempts that never were."""
    counts, answers = ran.counts, _answers(ran.attempts)
    return (
        max(0, counts.recorded - len(set(answers)))
        + max(0, counts.calls - counts.waste - counts.recorded - counts.failed)
        + max(0, counts.attempts - counts.waste - len(ran.attempts))
    )


def _answers(attempts: Sequence[Attempt]) -> list[str]:
    """The keys of all answers; one that was paid twice stands in it twice.

    One to a client that had given it up is none: it was asked again before it was answered, and equal requests are not
    asked while anybody waits for the first.
    """
    asked: dict[str, float] = {}
    answers = []
    for each in reversed(attempts):
        given_up = each.answered is not None and asked.get(each.key, math.inf) < each.answered
        asked[each.key] = each.arrived
        if each.status not in (None, 499) and each.fault in ANSWERS and not given_up:
            answers.append(each.key)
    return answers


def _row(what: str, size: int, runs: Sequence[Ran], wanted: Sequence[Ran], beside: str) -> Row:
    differ = [run.decided != other.decided for run, other in zip(runs, wanted, strict=True)]
    faults = [sum(each.fault is not None for each in run.attempts) for run in runs]
    samples = [late(run.attempts) + lost(run) + doubled(run) + other for run, other in zip(runs, differ, strict=True)]
    found = f"late {sum(late(run.attempts) for run in runs)}, lost {sum(map(lost, runs))}, "
    return Row(
        what=f"{what} (lookup, {size} examples a split, journal): hangs, lost and double-counted results",
        samples=samples,
        bar=at_most(0),
        beside=beside,
        note=(
            f"{found}double-counted {sum(map(doubled, runs))}, other results {sum(differ)}; attempts "
            f"{[len(run.attempts) for run in runs]} with {faults} faults, stops {[run.stops for run in runs]}, "
            f"{max(run.seconds for run in runs):.1f} s at most"
        ),
    )


async def faults(settings: Settings) -> Sequence[Row]:
    """Every fault alone, and all at once."""
    size = settings.sized(24, 6)
    seeds = range(1, settings.repetitions + 1)
    async with failing([], settings) as endpoint:
        calm = await ran(endpoint, size, in_flight=1)
        crowded = await ran(endpoint, size)
    rows = [_row("no fault", size, [crowded], [calm], "the same, one request at a time")]
    for kind in (*PASSING, *STOPPING):
        script, runs = passing(kind) if kind in PASSING else stopping(kind), []
        for seed in seeds:
            async with failing(script, settings, seed) as endpoint:
                runs.append(await ran(endpoint, size))
        rows.append(_row(kind, size, runs, [calm for _ in seeds], "the result without faults"))
    for kind in LASTING:
        runs, wanted = [], []
        for seed in seeds:
            async with failing(lasting(kind), settings, seed) as endpoint:
                wanted.append(await ran(endpoint, size, in_flight=1))
                runs.append(await ran(endpoint, size))
        rows.append(_row(kind, size, runs, wanted, "the result with one request at a time"))
    runs, wanted = [], []
    for seed in seeds:
        async with failing(lasting_ones(), settings, seed) as endpoint:
            wanted.append(await ran(endpoint, size, in_flight=1))
        async with failing(everything(), settings, seed) as endpoint:
            runs.append(await ran(endpoint, size))
    beside = "the result with the lasting ones alone, one request at a time"
    rows.append(_row("all faults at once", size, runs, wanted, beside))
    return rows


MEASURES: dict[str, Measure] = {"faults": faults}
