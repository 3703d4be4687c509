"""Identity: one run, however it is scheduled and whatever fails on the way, has one result, byte for byte.

The run is a task's own, against `semprop endpoint`, journalled. A fifth of the endpoint's attempts fail in ways that
retries mend; each shuffle draws other latencies and other failures. It is carried out at several bounds in flight, on
asyncio's own event loop and on uvloop, under each shuffle. What must hold: every `result` is that of the first run; and
so that this says something, retries were made and requests were in flight together.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson

from semprop.bench.data import DataSource
from semprop.bench.speed.mock import Attempt, mock
from semprop.bench.speed.rows import Settings
from semprop.bench.task import Sizes
from semprop.bench.tasks import resolve
from semprop.engine.gates.catalogue import gate_named
from semprop.engine.methods.catalogue import Choices, method_named
from semprop.engine.training.specification import Specification
from semprop.engine.training.trainer import optimize
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import parse
from semprop.providers.stack import connect
from semprop.providers.surroundings import Surroundings

LOOPS = ("asyncio", "uvloop") if sys.platform != "win32" else ("asyncio",)

TASK = "lookup-two-faults"

FAULTS = ({"kind": "unavailable", "share": 0.14}, {"kind": "reset_before_headers", "share": 0.07})
"""Of what the first leaves, the second takes its share: 0.14 + 0.86 × 0.07 = 0.20."""

RETRY = RetryPolicy(base=0.02, per_minute=6_000.0)
"""As everywhere, but that waits are short and none is saved: what is looked at is the result, not the manners."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the run is; at how many in flight on which loop, and under how many shuffles it is carried out."""

    sizes: Sizes
    steps: int
    ways: tuple[tuple[int, str], ...]
    shuffles: int = 1


FULL = Size(Sizes(16, 24, 256), 3, tuple((many, loop) for loop in LOOPS for many in (1, 8, 64, 512)), 2)
QUICK = Size(Sizes(6, 6, 24), 2, tuple((many, loop) for loop in LOOPS for many in (1, 64)))


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to carry the run out, and what was seen of it.

    Attributes:
        attempts, failed: on the wire, as the endpoint counted them, and those of them that failed.
        peak: the most requests that the endpoint had at once.
        digest: of the result.
    """

    in_flight: int
    loop: str
    shuffle: int
    attempts: int
    failed: int
    peak: int
    seconds: float
    digest: str

    def __str__(self) -> str:
        return (
            f"{self.in_flight} in flight (at most {self.peak} at once), {self.loop}, shuffle {self.shuffle}: "
            f"{self.attempts} attempts, {self.failed} failed, {self.seconds:.1f} s, result {self.digest}"
        )


@dataclass(frozen=True, slots=True)
class Found:
    """All arms, in the order in which they were carried out; the first is what the others are compared with."""

    arms: tuple[Arm, ...]
    steps: tuple[str, ...] = field(default=())

    @property
    def faults(self) -> list[str]:
        """What does not hold, in words."""
        first = self.arms[0]
        found = [
            f"another result than at {first.in_flight} in flight on {first.loop}: {arm}"
            for arm in self.arms
            if arm.digest != first.digest
        ]
        if not all(arm.failed for arm in self.arms):
            found.append("an endpoint failed nowhere, so that retries were not put to the test")
        most = max(arm.in_flight for arm in self.arms)
        if max(arm.peak for arm in self.arms) <= min(most, 8) // 2:
            found.append("nothing was in flight together, so that schedules were not put to the test")
        return found

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        names = ("in_flight", "loop", "shuffle", "attempts", "failed", "peak", "seconds", "digest")
        rows = [{name: getattr(arm, name) for name in names} for arm in self.arms]
        return {"task": TASK, "verdicts": list(self.steps), "arms": rows}


def identity(size: Size, say: Callable[[str], None]) -> Found:
    """Carry the run out in every way. Starts event loops of its own.

    Raises:
        RunError: the endpoint did not start.
        StopError: a run was given up.
    """
    arms: list[Arm] = []
    verdicts: tuple[str, ...] = ()
    with tempfile.TemporaryDirectory(prefix="semprop-identity-") as name:
        for shuffle in range(size.shuffles):
            for in_flight, loop in size.ways:
                work = partial(_carried_out, size, in_flight, loop, shuffle, Path(name) / str(len(arms)))
                arm, verdicts = anyio.run(work, backend_options={"use_uvloop": loop == "uvloop"})
                arms.append(arm)
                say(str(arm))
    return Found(tuple(arms), verdicts)


async def _carried_out(size: Size, in_flight: int, loop: str, shuffle: int, run: Path) -> tuple[Arm, tuple[str, ...]]:
    config: dict[str, object] = {
        "seed": shuffle + 1,
        # Long enough for the client to have as many under way as it may.
        "latency": {"first": {"median": 0.004 + in_flight / 2_000, "sigma": 1.0}},
        "fault": FAULTS,
        "ledger_rows": 1_000_000,
    }
    began = time.monotonic()
    async with mock(config, Settings()) as endpoint:
        # The port differs from one endpoint to the next, and is no part of who answers.
        specification = replace(parse(f"openai:any@{endpoint.url}"), identity="openai:any")
        provider = connect(specification, in_flight=in_flight, surroundings=Surroundings(retry=RETRY))
        spec = replace(specified(size), providers={"forward": provider}, in_flight=in_flight, run=run)
        result = await optimize(spec)
        ledger = await endpoint.ledger()
    document = result.result_document()
    digest = hashlib.blake2b(orjson.dumps(document), digest_size=8).hexdigest()
    failed = sum(not attempt.is_answered for attempt in ledger)
    seconds = round(time.monotonic() - began, 2)
    arm = Arm(in_flight, loop, shuffle, len(ledger), failed, peak(ledger), seconds, digest)
    return arm, tuple(step["verdict"] for step in document["steps"])


def specified(size: Size, seed: int = 0) -> Specification:
    """The run, without a place and with nobody who answers."""
    task = resolve(TASK)
    defaults = task.defaults
    return Specification(
        graph=task.graph,
        loss=task.loss,
        splits=task.load(DataSource(), seed, size.sizes),
        method=method_named("semantic", Choices(gate_named("strict"), pools=task.clauses, seed=seed)),
        providers={"forward": connect("simulated:")},
        steps=size.steps,
        minibatch=defaults.minibatch,
        examples_per_gradient=defaults.examples_per_gradient,
        seed=seed,
        task=task.name,
    )


def peak(ledger: Sequence[Attempt]) -> int:
    """The most attempts that were under way at once."""
    edges = sorted(
        edge
        for attempt in ledger
        for edge in ((attempt.arrived, 1), (attempt.arrived + attempt.seconds, -1))
        if attempt.answered is not None
    )
    most = now = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most
