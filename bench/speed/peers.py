"""What a call costs others: openai-python, and the optimizers that install from PyPI, beside the bare loop.

Each is installed with pip into an environment of its own in the user's cache, the first time that its figure is asked
for, and is run there as a process: it makes the calls that its own users make, with the texts of the bare loop. A
measurement whose peer cannot be installed is skipped, and says why. This product's own figure stands beside them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import orjson
import platformdirs

from semprop.bench.speed.bare import Body, Spent, bare_loop
from semprop.bench.speed.cost import ENDPOINT, Tally
from semprop.bench.speed.mock import Mock, mock
from semprop.bench.speed.rows import Measure, Row, Settings, Skipped
from semprop.bench.speed.workload import Store, same_body, through_engine
from semprop.engine.errors import RunError
from semprop.providers import connect

IN_FLIGHT = (16, 128)
ROUNDS = 10
"""Calls of each place in flight: peers take milliseconds of processor time each."""

WARM = 8
"""Calls before the measured ones: what a peer does at its first call is not counted."""

NAME, URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"

_HARNESS = """
import asyncio, json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

order = json.load(sys.stdin)
url, texts, warm, in_flight = order["url"], order["texts"], order["warm"], order["in_flight"]

{setup}

async def tasks(texts):
    waiting = iter(texts)
    async def work():
        for system, user in waiting:
            assert await call(system, user)
    await asyncio.gather(*(work() for _ in range(in_flight)))

def threads(texts):
    with ThreadPoolExecutor(in_flight) as pool:
        assert all(pool.map(lambda text: call(*text), texts))

def measured(run):
    run(texts[:warm])
    cpu, wall = time.process_time(), time.perf_counter()
    run(texts[warm:])
    return time.process_time() - cpu, time.perf_counter() - wall

async def measured_here():
    await tasks(texts[:warm])
    cpu, wall = time.process_time(), time.perf_counter()
    await tasks(texts[warm:])
    return time.process_time() - cpu, time.perf_counter() - wall

cpu, wall = asyncio.run(measured_here()) if asyncio.iscoroutinefunction(call) else measured(threads)
with open(order["result"], "w", encoding="utf-8") as file:
    json.dump({{"cpu": cpu, "wall": wall, "version": version(order["package"])}}, file)
"""
"""Makes the calls as tasks where a call is a coroutine function, else in as many threads."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that calls models.

    Attributes:
        name: as it is called.
        package: whose version is told.
        requirements: what pip installs.
        setup: Python text that defines `call(system, user)`.
        note: how the call is made.
    """

    name: str
    package: str
    requirements: tuple[str, ...]
    setup: str
    note: str

    @property
    def program(self) -> str:
        """What its process runs."""
        return _HARNESS.format(setup=self.setup)


OPENAI = Peer(
    name="openai-python",
    package="openai",
    requirements=("openai",),
    setup="""
from openai import AsyncOpenAI
client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
async def call(system, user):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    reply = await client.chat.completions.create(model="any", messages=messages, temperature=0.0, max_tokens=1024)
    return reply.choices[0].message.content
""",
    note="AsyncOpenAI.chat.completions.create in tasks",
)

DSPY = Peer(
    name="DSPy",
    package="dspy",
    requirements=("dspy", "litellm"),
    setup="""
import dspy
lm = dspy.LM("openai/any", api_base=url, api_key="none", temperature=0.0, max_tokens=1024, cache=False, num_retries=0)
async def call(system, user):
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return (await lm.acall(messages=messages))[0]
""",
    note="dspy.LM.acall without its cache, in tasks",
)

GEPA = Peer(
    name="GEPA",
    package="gepa",
    requirements=("gepa", "litellm"),
    setup="""
from gepa.lm import LM
lm = LM("openai/any", temperature=0.0, max_tokens=1024, num_retries=0, api_base=url, api_key="none")
def call(system, user):
    return lm([{"role": "system", "content": system}, {"role": "user", "content": user}])
""",
    note="gepa.lm.LM in threads, as it has no asynchronous call",
)

TEXTGRAD = Peer(
    name="TextGrad",
    package="textgrad",
    requirements=("textgrad",),
    setup="""
from textgrad.engine.openai import ChatOpenAI
engine = ChatOpenAI("any")
def call(system, user):
    return engine.generate(user, system_prompt=system, max_tokens=1024)
""",
    note="its ChatOpenAI engine in threads, as it has no asynchronous call, with the cache that it always has",
)


async def openai(settings: Settings) -> list[Row]:
    """openai-python, and this product, over the bare loop."""
    return await _compared((OPENAI,), settings)


async def peers(settings: Settings) -> list[Row]:
    """TextGrad, DSPy and GEPA, over the bare loop."""
    return await _compared((TEXTGRAD, DSPY, GEPA), settings)


async def _compared(wanted: Sequence[Peer], settings: Settings) -> list[Row]:
    pythons: dict[Peer, Path] = {}
    refused: list[str] = []
    for peer in wanted:
        try:
            pythons[peer] = await environment(peer, home_of(peer))
        except Skipped as why:
            refused.append(str(why))
    if not pythons:
        raise Skipped("; ".join(refused))
    rows: list[Row] = []
    async with mock(ENDPOINT, settings) as endpoint:
        body = await same_body("any")
        for in_flight in IN_FLIGHT:
            rows += await _rows(endpoint, body, pythons, settings, in_flight)
    if refused:
        rows[0] = replace(rows[0], note=f"{rows[0].note} Not measured: {'; '.join(refused)}.")
    return rows


async def _rows(
    endpoint: Mock, body: Body, pythons: Mapping[Peer, Path], settings: Settings, in_flight: int
) -> list[Row]:
    calls = settings.sized(ROUNDS * in_flight, 2)
    in_flight = min(in_flight, calls)
    tally, versions = Tally(), dict.fromkeys(pythons, "")
    for _ in range(settings.repetitions):
        bare = await bare_loop(endpoint.url, body, calls, in_flight)
        provider = connect(f"openai:any@{endpoint.url}", in_flight=in_flight)
        own = await through_engine(provider, calls, in_flight, Store.JOURNAL)
        found: dict[str, Spent] = {"semprop": own}
        for peer, python in pythons.items():
            found[peer.name], versions[peer] = await called(peer, python, endpoint, body, calls, in_flight)
        tally.add("bare", bare.cpu_per_call)
        for name, spent in found.items():
            tally.add(name, spent.cpu_per_call)
            tally.add(f"{name} ratio", spent.cpu_per_call / bare.cpu_per_call)
    beside = f"bare aiohttp loop, {tally.micro('bare')} a call"
    told = {"semprop": ("semprop, graph to HTTP, journal", "its whole path, as in the row `cpu`")}
    told |= {peer.name: (f"{peer.name} {versions[peer]}", peer.note) for peer in pythons}
    return [
        Row(
            what=f"{words}: CPU per call over the bare loop, {in_flight} in flight",
            samples=tally[f"{name} ratio"],
            beside=beside,
            note=f"{words}: {tally.micro(name)} a call at {in_flight} in flight; {how}. n = {calls} calls a sample.",
        )
        for name, (words, how) in told.items()
    ]


async def called(peer: Peer, python: Path, endpoint: Mock, body: Body, calls: int, in_flight: int) -> tuple[Spent, str]:
    """What the peer's calls cost in its own process, and its version.

    Raises:
        RunError: it did not make them.
    """
    await endpoint.reset()
    order = {
        "url": endpoint.url,
        "texts": [texts(body, number) for number in range(WARM + calls)],
        "warm": WARM,
        "in_flight": in_flight,
        "package": peer.package,
        "result": "result.json",
    }
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as home:
        done = await anyio.run_process(
            [str(python), "-c", peer.program],
            input=orjson.dumps(order),
            stdout=subprocess.DEVNULL,
            stderr=PIPE,
            check=False,
            cwd=home,
            env=surroundings(home, endpoint.url),
        )
        if done.returncode:
            raise RunError(f"{peer.name} could not be measured: {last_line(done.stderr)}")
        told = orjson.loads(await anyio.Path(home, "result.json").read_bytes())
    answered = sum(entry.is_answered for entry in await endpoint.ledger())
    if answered != WARM + calls:
        raise RunError(f"{peer.name} made {answered} calls of {WARM + calls}: its figure would be no comparison")
    return Spent(calls, told["cpu"], told["wall"]), told["version"]


def texts(body: Body, number: int) -> tuple[str, str]:
    """The system and the user text of one of the bare loop's bodies."""
    document: Any = body(number)
    system, user = (message["content"] for message in document["messages"])
    return system, user


def surroundings(home: str, url: str) -> dict[str, str]:
    """A peer's environment: its caches are new and empty, and it asks nobody but the mock endpoint."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "HOME": home,
        "XDG_CACHE_HOME": home,
        NAME: "none",
        URL: url,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "*",
    }


Runner = Callable[[Sequence[str]], Awaitable[str]]
"""Runs a command; gives "" if it ended well, else the last line that it said."""


async def ran(command: Sequence[str]) -> str:
    """The `Runner` of this machine."""
    done = await anyio.run_process(command, stdout=subprocess.DEVNULL, stderr=PIPE, check=False)
    return last_line(done.stderr) if done.returncode else ""


def home_of(peer: Peer) -> Path:
    """Where a peer's environment is kept, for this version of Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(platformdirs.user_cache_dir("semprop")) / "bench" / f"{peer.package}-python{version}"


async def environment(peer: Peer, directory: Path, run: Runner = ran) -> Path:
    """The interpreter of the peer's own environment, which is made where there is none, or only a part of one.

    Raises:
        Skipped: it cannot be made or filled.
    """
    python = directory / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    filled = anyio.Path(directory) / "filled"
    if await filled.is_file():
        return python
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(directory)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements],
    ):
        why = await run(command)
        if why:
            raise Skipped(f"{peer.name} cannot be installed: {why}")
    await filled.write_text("\n".join(peer.requirements), encoding="utf-8")
    return python


def last_line(output: bytes) -> str:
    """The last line that says something, shortened: what went wrong, as a rule."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


MEASURES: Mapping[str, Measure] = {"openai": openai, "peers": peers}
