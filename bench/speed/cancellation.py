"""Cancellation: runs that are cancelled at a random one of their awaits, many at once, and what is left of them.

A run is cancelled as a task or by a scope around it, at any suspension of any of its tasks. Some are cancelled as a
whole; others again and again in one trainer (or journal), and then finished: what they decide must be what an
undisturbed run decides. Afterwards permits, queued requests, sockets, tasks and threads are counted: none may be left.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import orjson

from semprop.bench.speed.mock import mock
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.bench.speed.suspensions import Cut, Suspensions, counted, task_factory
from semprop.engine import Example, Function, Graph, Model, Numeric, Parameter, Specification, Splits, Trainer, semantic
from semprop.engine.training.reading import FILE_NAME
from semprop.providers import ErrorClass, RetryError, Scripted, connect
from semprop.providers.base import Completion, Request, content_key
from semprop.providers.clock import SystemClock
from semprop.providers.layers import Stack
from semprop.providers.limits.learning import limiter_waits
from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.limits.limiting import Limits
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.surroundings import Surroundings

AT_ONCE = 64
"""Runs at once, which share one provider."""

AGAIN = 6
"""The most cancellations of one run."""


# The world -----------------------------------------------------------------------------------------------------------


def _number_of(question: str) -> str:
    return question.rpartition(" ")[2]


GRAPH = Graph(
    inputs=("question",),
    parameters=[Parameter("hint-told", "Work out a step."), Parameter("answer-told", "Solve the problem.")],
    nodes=[
        Function("number", _number_of, ("question",)),
        Model("hint", "hint-told", ("question", "number")),
        Model("answer", "answer-told", ("question", "hint")),
    ],
    output="answer",
)


def specification(provider: Stack, run: Path | None = None) -> Specification:
    """Every pass of a run, in as few calls as possible."""
    examples = [Example(f"e{number}", {"question": f"What follows {number}"}, str(number + 1)) for number in range(6)]
    return Specification(
        graph=GRAPH,
        loss=Numeric(),
        splits=Splits(tuple(examples[:2]), tuple(examples[2:4]), tuple(examples[4:])),
        method=semantic(),
        providers={"forward": provider},
        steps=1,
        minibatch=2,
        lookahead=2,
        in_flight=3,
        run=run,
    )


def luck(request: Request) -> int:
    """A number that the request decides."""
    return int(content_key("cancellation", request)[:8], 16)


ADVICE = {"verdict": "change", "advice": "add one"}
REPLY = orjson.dumps(
    {"reasoning": "", **dict.fromkeys(("question", "number", "hint"), ADVICE), "proposal_1": "Be careful."}
).decode()
"""What the model says, whoever asks: it fits every form, and every backward call asks for a change."""


def fickle(tries: dict[str, int]) -> Callable[[Request], Any]:
    """Answers after a few turns of the loop; each seventh request fails once, the first time it comes."""

    async def answer(request: Request) -> Completion | Exception:
        number = luck(request)
        for _ in range(number % 5):
            await anyio.lowlevel.checkpoint()
        if number % 7 == 0:
            key = content_key("tries", request)
            tries[key] = tries.get(key, 0) + 1
            if tries[key] % 2:
                return RetryError("the endpoint is down", ErrorClass.TRANSIENT)
        return Completion(REPLY)

    return answer


RETRY = RetryPolicy(tries=8, base=0.002, cap=0.004, per_minute=1e9)


@dataclass(frozen=True, slots=True)
class Ground:
    """A provider that all runs share, and what it holds: permits, queued requests and requests in flight."""

    provider: Stack
    held: Callable[[], int]


def scripted() -> Ground:
    """A script behind retries and limits; there are fewer places in flight than runs want."""
    answers, limiter = fickle({}), Limiter()

    def answer(request: Request) -> Any:
        endpoint.requests.clear()  # It would keep millions of them.
        return answers(request)

    endpoint = Scripted(answer)
    limits = Limits(limiter, Terms("bench", "scripted", in_flight=AT_ONCE // 2))
    provider = Stack(endpoint, (Retry(RETRY, SystemClock(), Random(0), limiter_waits), limits))

    def held() -> int:
        told = provider.statistics()
        waiting = sum(_count(told[name]) for name in ("in_flight", "waiting", "retries_waiting"))
        return limiter.permits + limiter.waiting + waiting + endpoint.in_flight + endpoint.entered

    return Ground(provider, held)


def _count(value: object) -> int:
    assert isinstance(value, int), "it is a counter"
    return value


@asynccontextmanager
async def over_http(settings: Settings) -> AsyncIterator[Ground]:
    """A mock endpoint of which each tenth attempt fails, behind the whole stack."""
    config = {
        "latency": {"first": {"median": 0.004, "sigma": 0.5}},
        "reply": {"text": REPLY},
        "fault": [{"kind": "server_error", "share": 0.05}, {"kind": "reset_after_headers", "share": 0.05}],
    }
    limiter = Limiter()
    around = Surroundings(environment={}, random=Random(0), retry=RETRY)
    async with mock(config, settings) as endpoint:
        url = f"openai:any@{endpoint.url}"
        provider = connect(url, in_flight=AT_ONCE // 2, surroundings=around, limiter=limiter)

        def held() -> int:
            told = provider.statistics()
            waiting = sum(_count(told[name]) for name in ("in_flight", "waiting", "retries_waiting"))
            return limiter.permits + limiter.waiting + waiting + (told["session"] != "closed")

        yield Ground(provider, held)


# A storm -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What became of a storm's runs."""

    cancelled: int = 0
    finished: int = 0
    different: int = 0
    damaged: int = 0
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left after a storm; all must be 0. `complaints`: what the event loop was told, such as errors that
    nobody fetched; `different`: finished runs that decided something else; `damaged`: journals that are not whole."""

    held: int
    tasks: int
    threads: int
    sockets: int
    complaints: int
    different: int
    damaged: int

    @property
    def total(self) -> int:
        return self.held + self.tasks + self.threads + self.sockets + self.complaints + self.different + self.damaged


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is cancelled: runs of this provider, kept in memory, or in journals below a directory."""

    ground: Ground
    wanted: bytes
    suspensions: int
    below: Path | None


async def storm(ground: Ground, count: int, below: Path | None = None) -> tuple[Tally, Left]:
    """Cancel that many times, many runs at once; then count what is left."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    factory, handler = loop.get_task_factory(), loop.get_exception_handler()
    loop.set_task_factory(task_factory)
    loop.set_exception_handler(lambda _, context: tally.complaints.append(str(context.get("message"))))
    try:
        plan = await _undisturbed(ground, below)
        async with anyio.create_task_group() as tasks:
            before = await _resting()
            for lane in range(min(AT_ONCE, count)):
                tasks.start_soon(_cancelling, plan, tally, count, lane)
        after = await _resting()
        again = await _undisturbed(ground, below)
        tally.different += again.wanted != plan.wanted
    finally:
        loop.set_task_factory(factory)
        loop.set_exception_handler(handler)
    left = Left(
        ground.held(),
        max(0, after.tasks - before.tasks),
        max(0, after.threads - before.threads),
        max(0, after.sockets - before.sockets),
        len(tally.complaints),
        tally.different,
        tally.damaged,
    )
    return tally, left


@dataclass(frozen=True, slots=True)
class _Resting:
    tasks: int
    threads: int
    sockets: int


async def _resting() -> _Resting:
    """What there is when nothing runs. A closed socket is let go of some turns later."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    gc.collect()
    await anyio.sleep(0.05)
    journals = sum(thread.name == "semprop-journal" for thread in threading.enumerate())
    return _Resting(len(asyncio.all_tasks()), journals, len(os.listdir("/dev/fd")))


async def _undisturbed(ground: Ground, below: Path | None) -> Plan:
    """A run that nobody cancels: what it decides, and how often its tasks wait."""
    suspensions = Suspensions()
    run = None if below is None else Path(tempfile.mkdtemp(dir=below)) / "run"
    found = await counted(suspensions, partial(_whole, specification(ground.provider, run), resume=False))
    return Plan(ground, found, suspensions.count, below)


async def _whole(spec: Specification, *, resume: bool) -> bytes:
    async with Trainer(spec, resume=resume) as trainer:
        return await _finished(trainer)


async def _finished(trainer: Trainer) -> bytes:
    async for _ in trainer:
        pass
    return orjson.dumps((await trainer.report()).result_document())


async def _cancelling(plan: Plan, tally: Tally, count: int, lane: int) -> None:
    """One run after the other, until all runs together were cancelled often enough."""
    rng = Random(lane)
    while tally.cancelled < count:
        suspensions = Suspensions()
        if plan.below is not None:
            with tempfile.TemporaryDirectory(dir=plan.below) as directory:
                work = partial(_resumed, plan, tally, suspensions, rng, Path(directory) / "run")
                await counted(suspensions, work)
        else:
            work = partial(_once if rng.random() < 0.5 else _again, plan, tally, suspensions, rng)
            await counted(suspensions, work)


async def _once(plan: Plan, tally: Tally, suspensions: Suspensions, rng: Random) -> None:
    """Cancel a whole run, from its opening to its closing."""
    spec = specification(plan.ground.provider)
    cut = Cut(suspensions, rng.randint(1, plan.suspensions), rng.random() < 0.5)
    _ended(plan, tally, suspensions, await cut.around(partial(_whole, spec, resume=False)))


async def _again(plan: Plan, tally: Tally, suspensions: Suspensions, rng: Random) -> None:
    """Cancel one trainer's work again and again, and then let it finish."""
    async with Trainer(specification(plan.ground.provider)) as trainer:
        for left in range(rng.randint(1, AGAIN), -1, -1):
            at = rng.randint(1, max(1, plan.suspensions // 2)) if left else 0
            found = await Cut(suspensions, at, rng.random() < 0.5).around(partial(_finished, trainer))
            _ended(plan, tally, suspensions, found)
            if found is not None:
                return


async def _resumed(plan: Plan, tally: Tally, suspensions: Suspensions, rng: Random, run: Path) -> None:
    """Cancel a run with a journal again and again, each time in a new sitting, and then let it finish."""
    spec = specification(plan.ground.provider, run)
    for left in range(rng.randint(1, AGAIN), -1, -1):
        at = rng.randint(1, plan.suspensions) if left else 0
        found = await Cut(suspensions, at, rng.random() < 0.5).around(partial(_whole, spec, resume=_is_begun(run)))
        _ended(plan, tally, suspensions, found)
        tally.damaged += _is_begun(run) and not _is_whole(run)
        if found is not None:
            return


def _ended(plan: Plan, tally: Tally, suspensions: Suspensions, found: bytes | None) -> None:
    tally.cancelled += suspensions.acted
    if found is not None:
        tally.finished += 1
        tally.different += found != plan.wanted


def _is_begun(run: Path) -> bool:
    return run.exists()


def _is_whole(run: Path) -> bool:
    with closing(sqlite3.connect(run / FILE_NAME)) as connection:
        return list(connection.execute("PRAGMA integrity_check")) == [("ok",)]


# The rows ------------------------------------------------------------------------------------------------------------


async def _row(what: str, ground: Ground, count: int, below: Path | None = None) -> Row:
    tally, left = await storm(ground, count, below)
    return Row(
        what=f"{tally.cancelled} cancellations of {what}: permits, queued requests, sockets and tasks left",
        samples=[left.total],
        bar=at_most(0),
        beside=f"{left}",
        note=(
            f"{AT_ONCE} runs at once, as tasks and by scopes, at random suspensions; {tally.finished} of the runs were "
            f"finished afterwards and compared with an undisturbed one{_first(tally.complaints)}"
        ),
    )


def _first(complaints: Sequence[str]) -> str:
    return f"; the loop was told first: {complaints[0]}" if complaints else ""


async def cancellation(settings: Settings) -> Sequence[Row]:
    """100,000 cancellations: most with a scripted provider, some over HTTP, some with a journal, some with both."""
    rows = [await _row("runs in memory, scripted provider", scripted(), settings.sized(80_000, 20))]
    async with over_http(settings) as ground:
        rows.append(await _row("runs in memory, over HTTP", ground, settings.sized(14_000, 5)))
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        below = Path(directory)
        what = "runs with a journal, scripted provider"
        rows.append(await _row(what, scripted(), settings.sized(5_000, 5), below))
        async with over_http(settings) as ground:
            rows.append(await _row("runs with a journal, over HTTP", ground, settings.sized(1_000, 3), below))
    return rows


MEASURES: dict[str, Measure] = {"cancellation": cancellation}
