"""Kills of runs that go by batches: at each point between intent, upload, create, store and download, then resumed.

The run is `semprop optimize --batch gate,test` in a process of its own. The endpoint is in this one, so that it can
kill (SIGKILL) at exactly the point that is meant: before a call is taken, after it is taken and before it is answered,
in the middle of a download, or when some of the replies are on record. What must hold, by the endpoint's ledger:

- each request stands in exactly one batch;
- nothing that was recorded is lost or changed, and no uploaded file is left without a batch;
- `result` is, byte for byte, that of the run that nobody killed.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
import orjson
from anyio.abc import Process

from semprop.bench.speed.children import command_line
from semprop.engine.errors import RunError
from semprop.engine.training.reading import FILE_NAME
from semprop.tools.endpoint.config import parse
from semprop.tools.endpoint.endpoint import Endpoint
from semprop.tools.endpoint.server import Served, serving


@dataclass(frozen=True, slots=True)
class Point:
    """When a run is killed: at a step of the endpoint's, which is refused if `lost`, the first or a later time."""

    name: str
    step: str
    lost: bool = False
    partial: bool = False


OPENAI = (
    Point("after the intent", "upload.arrived", lost=True),
    Point("uploaded, not known", "upload.done"),
    Point("after the upload", "create.arrived", lost=True),
    Point("created, not known", "create.done"),
    Point("after the create", "poll"),
    Point("in the download", "results.half"),
    Point("after a partial store", "results.sent", partial=True),
)
ANTHROPIC = (Point("after the intent", "create.arrived", lost=True), *OPENAI[3:])
POINTS: Mapping[str, tuple[Point, ...]] = {"openai": OPENAI, "anthropic": ANTHROPIC}
"""By the service whose API it is; Anthropic's has no upload, so its intent is what stands before the create."""

TASK = "lookup-two-faults"
FULL = ("--train", "16", "--gate-size", "60", "--test", "200", "--steps", "2")
QUICK = ("--train", "8", "--gate-size", "8", "--test", "40", "--steps", "1")

_TERMS = "{first = 0.05, most = 0.5, gather = 0.1, settle = 0.5}"
_CONFIG = "seed = 1\n[batch]\nseconds = 0.2\n"
_LOOK = 0.001


@dataclass(slots=True)
class Counts:
    """What was seen over all runs."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    batches: int = 0
    rows: int = 0
    twice: int = 0
    lost: int = 0
    recorded: int = 0
    unused_files: int = 0
    other_results: int = 0
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """What does not hold, in words."""
        found = []
        if self.twice:
            found.append(f"{self.twice} requests were submitted more than once")
        if self.lost:
            found.append(f"{self.lost} recorded replies were lost or changed")
        if self.unused_files:
            found.append(f"{self.unused_files} uploaded files are left without a batch")
        if self.other_results:
            found.append(f"{self.other_results} of {self.runs} results are not that of the run that nobody killed")
        return found

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        names = ("runs", "batches", "rows", "twice", "lost", "recorded", "unused_files", "other_results")
        counted = {name: getattr(self, name) for name in names}
        return {"kills": dict(self.kills), **counted, "seconds": round(self.seconds, 1)}


@dataclass(slots=True)
class _Trap:
    """Kills a process at a step of the endpoint's, the nth time."""

    point: Point
    nth: int
    process: Process | None = None
    sprung: bool = False

    def watch(self, step: str) -> bool:
        if self.sprung or step != self.point.step or self.process is None:
            return True
        self.nth -= 1
        if self.nth:
            return True
        self.sprung = True
        if self.point.partial:
            return True
        self.process.kill()
        return not self.point.lost


async def batch_kills(
    rounds: int, sizes: Sequence[str], say: Callable[[str], None], at: Mapping[str, tuple[Point, ...]] = POINTS
) -> Counts:
    """Kill runs at every point, at its first, second, … time in as many rounds; finish each, and count.

    Raises:
        RunError: a run ended by itself with an error; its own words are in it.
    """
    began, counts = time.monotonic(), Counts()
    with tempfile.TemporaryDirectory(prefix="semprop-batches-") as name:
        for kind, points in at.items():
            expected = await _Run(Path(name) / kind, kind, sizes, counts).whole()
            for nth in range(1, rounds + 1):
                for point in points:
                    run = _Run(Path(name) / f"{kind}-{point.step}-{nth}", kind, sizes, counts)
                    await run.killed(_Trap(point, nth), expected)
                holds = "; ".join(counts.faults) or "all holds"
                say(f"{kind}, round {nth} of {rounds}: {counts.kills.total()} kills, {holds}")
    counts.seconds = time.monotonic() - began
    return counts


@dataclass(slots=True)
class _Run:
    """One run, with an endpoint of its own."""

    directory: Path
    kind: str
    sizes: Sequence[str]
    counts: Counts

    async def whole(self) -> bytes:
        """The result of a run that nobody kills."""
        async with serving(Endpoint(parse(_CONFIG))) as served:
            return await self._ended(await self._started(served))

    async def killed(self, trap: _Trap, expected: bytes) -> None:
        """One run, killed once, then finished and counted."""
        counts, run = self.counts, self.directory / "run"
        async with serving(Endpoint(parse(_CONFIG)), watch=trap.watch) as served:
            trap.process = process = await self._started(served)
            if trap.point.partial:
                await self._in_the_middle(process, trap)
            with anyio.move_on_after(60.0):
                await process.wait()
            seen: dict[int, str] = {}
            if process.returncode == -9:
                counts.kills[trap.point.name] += 1
                _compare(counts, seen, run)
                await process.aclose()
                result = await self._ended(await self._started(served))
            else:
                result = await self._ended(process)
            _compare(counts, seen, run)
            counts.runs += 1
            counts.recorded += len(seen)
            counts.other_results += result != expected
            self._count(served)

    async def _in_the_middle(self, process: Process, trap: _Trap) -> None:
        """Kill when some of the replies of a batch are on record, and not all."""
        before: int | None = None
        while process.returncode is None:
            if trap.sprung:
                found = _outcomes(self.directory / "run")
                if before is not None and found > before:
                    process.kill()
                    return
                before = found if before is None else before
            await anyio.sleep(_LOOK)

    def _count(self, served: Served) -> None:
        ledger = [orjson.loads(line) for line in b"".join(served.endpoint.ledger.lines()).splitlines()]
        rows = Counter(row["key"] for row in ledger if row["batch"] is not None)
        summary = served.batches.summary()
        self.counts.batches += summary["batches"]
        self.counts.rows += summary["rows"]
        self.counts.twice += summary["rows"] - len(rows)
        self.counts.unused_files += len(served.batches.unused())

    async def _started(self, served: Served) -> Process:
        run = self.directory / "run"
        if (run / FILE_NAME).is_file():
            arguments = ["resume", str(run), "--json"]
        else:
            self.directory.mkdir(exist_ok=True)
            providers = self.directory / "providers.toml"
            # The address is another one for each endpoint; the identity is not.
            text = f'[provider.mock]\nspec = "{self.kind}:any@{served.url}"\nkey_env = ""\nidentity = "mock"\n'
            providers.write_text(f"{text}batch = {_TERMS}\n")
            named = ["--providers", str(providers), "--forward", "mock", "--run", str(run), "--no-cache"]
            arguments = ["optimize", TASK, *named, "--batch", "gate,test", *self.sizes, "--json"]
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


def _outcomes(run: Path) -> int:
    """How many replies are on record."""
    with suppress(sqlite3.Error), closing(_connected(run)) as connection:
        return int(connection.execute("SELECT count(*) FROM outcomes").fetchone()[0])
    return 0


def _compare(counts: Counts, seen: dict[int, str], run: Path) -> None:
    """Count what was on record before and is not now, and remember what is."""
    if not (run / FILE_NAME).is_file():
        return
    with closing(_connected(run)) as connection:
        found = {
            place: f"{key}{body!r}" for place, key, body in connection.execute("SELECT id, key, body FROM outcomes")
        }
    counts.lost += sum(found.get(place) != text for place, text in seen.items())
    seen.update(found)


def _connected(run: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{run / FILE_NAME}?mode=ro", uri=True)
