"""Kills: a run that is killed again and again, resumed each time, and counted against the endpoint's own ledger.

The run is `semprop optimize` in a process of its own, against `semprop endpoint`, a fifth of whose attempts fail. It is
killed (SIGKILL) at a random instant, in the middle of a commit of its journal, while the log is folded into the file,
or while requests are on the wire; and resumed by `semprop resume`, until it is done. What must hold:

- no reply that was recorded is lost, and none is changed;
- no more calls are repeated than were in flight at the kills: sent, and not yet durable;
- the endpoint saw no fewer attempts than are recorded, and no more than these and those of unknown outcome;
- `result` is, byte for byte, that of the run that nobody killed.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
import orjson
from anyio.abc import Process

from semprop.bench.speed.children import command_line
from semprop.bench.speed.mock import Mock, mock
from semprop.bench.speed.rows import Settings
from semprop.engine.errors import RunError
from semprop.engine.outcomes import Failure
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.runs import Run
from semprop.providers.base import Completion

KINDS = ("instant", "commit", "fold", "wire")
"""When a run is killed: at a random instant; when its log grows; when the file does; when requests are on the wire."""

ENDPOINT: dict[str, object] = {
    "seed": 1,
    "latency": {"first": 0.02},
    "fault": [{"kind": "unavailable", "share": 0.14}, {"kind": "reset_before_headers", "share": 0.06}],
}

FULL = ("--train", "16", "--gate-size", "24", "--test", "48", "--steps", "3", "--in-flight", "16")
"""Some 500 calls."""

QUICK = ("--train", "8", "--gate-size", "8", "--test", "12", "--steps", "1", "--in-flight", "8")

TASK = "lookup-two-faults"
_LOOK = 0.001


@dataclass(slots=True)
class Counts:
    """What was seen over all runs."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    calls: int = 0
    recorded: int = 0
    lost: int = 0
    repeated: int = 0
    in_flight: int = 0
    other_results: int = 0
    outside_ledger: int = 0
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """What does not hold, in words."""
        found = []
        if self.lost:
            found.append(f"{self.lost} recorded replies were lost or changed")
        if self.repeated > self.in_flight:
            found.append(f"{self.repeated} calls were repeated, and {self.in_flight} were in flight at the kills")
        if self.other_results:
            found.append(f"{self.other_results} of {self.runs} results are not that of the run that nobody killed")
        if self.outside_ledger:
            found.append(f"in {self.outside_ledger} of {self.runs} runs the endpoint's ledger contradicts the journal")
        return found

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        names = ("runs", "calls", "recorded", "lost", "repeated", "in_flight", "other_results", "outside_ledger")
        counted = {name: getattr(self, name) for name in names}
        return {"kills": dict(self.kills), **counted, "seconds": round(self.seconds, 1)}


async def kills(count: int, seed: int, sizes: Sequence[str], say: Callable[[str], None]) -> Counts:
    """Kill runs `count` times in all, finish each, and count.

    Raises:
        RunError: a run ended by itself with an error; its own words are in it.
    """
    began, counts, random = time.monotonic(), Counts(), Random(seed)
    with tempfile.TemporaryDirectory(prefix="semprop-kills-") as name:
        directory = Path(name)
        async with mock(ENDPOINT, Settings()) as endpoint:
            text = f'[provider.mock]\nspec = "openai:any@{endpoint.url}"\nkey_env = ""\n'
            (directory / "providers.toml").write_text(text)
            bench = _Bench(directory, endpoint, sizes, random, counts)
            expected, seconds = await bench.uninterrupted()
            say(f"uninterrupted: {counts.calls} calls in {seconds:.1f} s")
            while counts.kills.total() < count:
                await bench.killed_run(expected, seconds, count)
                holds = "; ".join(counts.faults) or "all holds"
                say(f"run {counts.runs}: {counts.kills.total()} of {count} kills, {holds}")
    counts.seconds = time.monotonic() - began
    return counts


@dataclass(slots=True)
class _Bench:
    directory: Path
    endpoint: Mock
    sizes: Sequence[str]
    random: Random
    counts: Counts

    async def uninterrupted(self) -> tuple[bytes, float]:
        """The result of a run that nobody kills, and its seconds."""
        began, run = time.monotonic(), self.directory / "whole"
        result = await self._ended(await self._started(run, again=False))
        self.counts.calls = sum(1 for _ in Run(run).calls())
        return result, time.monotonic() - began

    async def killed_run(self, expected: bytes, seconds: float, count: int) -> None:
        """One run, killed while kills are left, then finished and counted."""
        counts, run = self.counts, self.directory / f"run-{self.counts.runs}"
        await self.endpoint.reset()
        seen: dict[int, bytes] = {}
        kind_of = KINDS[counts.runs % len(KINDS) :] + KINDS[: counts.runs % len(KINDS)]
        sittings, result = 0, None
        while result is None:
            process = await self._started(run, again=(run / FILE_NAME).is_file())
            if counts.kills.total() < count and sittings < 12:
                kind = kind_of[sittings % len(kind_of)]
                if await self._killed(process, run, kind, self.random.uniform(0.1, 0.6) * seconds):
                    counts.kills[kind] += 1
                    sittings += 1
                    _compare(counts, seen, run)
                    continue
            result = await self._ended(process)
        _compare(counts, seen, run)
        counts.runs += 1
        counts.recorded += len(seen)
        counts.other_results += result != expected
        await self._count(run)

    async def _count(self, run: Path) -> None:
        calls = list(Run(run).calls())
        ledger = await self.endpoint.ledger()
        answered = Counter(attempt.key for attempt in ledger if attempt.status == 200)
        self.counts.repeated += sum(answered.values()) - len(answered)
        unknown = sum(call.unanswered for call in calls)
        self.counts.in_flight += unknown
        outcomes = (call.outcome for call in calls)
        recorded = sum(one.attempts for one in outcomes if isinstance(one, Completion | Failure))
        self.counts.outside_ledger += not recorded <= len(ledger) <= recorded + unknown

    async def _started(self, run: Path, again: bool) -> Process:
        providers = ["--providers", str(self.directory / "providers.toml")]
        if again:
            arguments = ["resume", str(run), "--json"]
        else:
            arguments = ["optimize", TASK, *providers, "--forward", "mock", "--run", str(run), *self.sizes, "--json"]
        return await anyio.open_process(command_line(arguments, None), stdin=DEVNULL, stdout=PIPE, stderr=PIPE)

    async def _ended(self, process: Process) -> bytes:
        """The result of a process that is left to end."""
        out, err = bytearray(), bytearray()

        async def read(stream: Any, into: bytearray) -> None:
            with suppress(anyio.EndOfStream):
                while True:
                    into.extend(await stream.receive())

        async with process:
            await read(process.stdout, out)
            await read(process.stderr, err)
            code = await process.wait()
        if code:
            raise RunError(f"a run ended with exit code {code}: {err.decode(errors='replace')[-500:]}")
        return orjson.dumps(orjson.loads(bytes(out))["result"])

    async def _killed(self, process: Process, run: Path, kind: str, delay: float) -> bool:
        """Kill a process when its moment has come; False if it ended before."""
        with anyio.move_on_after(delay):
            await process.wait()
            return False
        before = _size(run, kind)
        while process.returncode is None:
            if kind == "instant" or (kind == "wire" and await self._on_wire()):
                break
            if kind in ("commit", "fold") and _size(run, kind) != before:
                break
            await anyio.sleep(_LOOK)
        if process.returncode is not None:
            return False
        process.kill()
        await process.aclose()
        return process.returncode == -9

    async def _on_wire(self) -> bool:
        return bool((await self.endpoint.health()).get("in_flight"))


def _size(run: Path, kind: str) -> tuple[int, int]:
    """Of the file whose change tells the moment: its size and when it was written."""
    file = run / (FILE_NAME if kind == "fold" else f"{FILE_NAME}-wal")
    with suppress(OSError):
        found = file.stat()
        return found.st_size, found.st_mtime_ns
    return 0, 0


def _compare(counts: Counts, seen: dict[int, bytes], run: Path) -> None:
    """Count what was on record before and is not now, and remember what is."""
    if not (run / FILE_NAME).is_file():
        return
    with closing(sqlite3.connect(f"file:{run / FILE_NAME}?mode=ro", uri=True)) as connection:
        found = {
            place: hashlib.blake2b(key.encode() + body, digest_size=16).digest()
            for place, key, body in connection.execute("SELECT id, key, body FROM outcomes")
        }
    counts.lost += sum(found.get(place) != digest for place, digest in seen.items())
    seen.update(found)
