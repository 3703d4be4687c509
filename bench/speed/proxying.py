"""The proxy under programs that know nothing of it: openai-python and DSPy, which are told its address and no more.

Each program reads questions and prints answers. Added latency: two processes of one program, one asking the endpoint
and one the proxy in front of it, take turns, question by question; a sample is the median of the paired differences.
Limits and equal calls: several processes ask at once through one proxy, each question being asked by two of them, of an
endpoint that enforces a limit; its ledger is the oracle.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import PIPE

import anyio
import orjson
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from semprop.bench.speed import children
from semprop.bench.speed.mock import Attempt, mock, toml
from semprop.bench.speed.peers import DSPY, OPENAI, Peer, environment, home_of, surroundings
from semprop.bench.speed.rows import Measure, Row, Settings, Skipped, at_most
from semprop.engine.errors import RunError

LATENCY = 0.05
"""Seconds that the endpoint takes."""

PAIRS = 200
"""Questions of a sample, each asked directly and through the proxy."""

WARM = 10
"""Questions before them: what a program does at its first call is not counted."""

QUESTIONS = 150
"""Different ones that each program asks where limits are measured."""

PER_MINUTE = 240
"""The limit that the endpoint enforces and the proxy is told of, in requests within any minute: less than are asked."""

ASKING = 2
"""Processes that ask the same questions."""

PARALLEL = 32
"""Questions that a process asks at once."""

_ANSWER = "[[ ## answer ## ]]\nAlder\n\n[[ ## completed ## ]]"
"""What the endpoint answers: an answer to anybody, and in the form that DSPy reads."""

_LINES = """
import json, sys, time
for line in sys.stdin:
    begun = time.perf_counter()
    text = answer(json.loads(line))
    print(json.dumps([time.perf_counter() - begun, text]), flush=True)
"""

_AT_ONCE = """
import json, sys
print(json.dumps(answers([json.loads(line) for line in sys.stdin])), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A program of somebody else's.

    Attributes:
        peer: what it is written with.
        one: Python text that defines `answer(question)`.
        many: the same for `answers(questions)`, asked `PARALLEL` at once.
    """

    peer: Peer
    one: str
    many: str


PROGRAMS = (
    Program(
        OPENAI,
        one="""
from openai import OpenAI
client = OpenAI()
def answer(question):
    messages = [{"role": "user", "content": question}]
    reply = client.chat.completions.create(model="mock", messages=messages, temperature=0, max_tokens=200)
    return reply.choices[0].message.content
""",
        many=f"""
import asyncio
from openai import AsyncOpenAI
async def gathered(questions):
    places = asyncio.Semaphore({PARALLEL})
    async with AsyncOpenAI() as client:
        async def answer(question):
            messages = [{{"role": "user", "content": question}}]
            async with places:
                reply = await client.chat.completions.create(
                    model="mock", messages=messages, temperature=0, max_tokens=200)
            return reply.choices[0].message.content
        return await asyncio.gather(*(answer(question) for question in questions))
def answers(questions):
    return asyncio.run(gathered(questions))
""",
    ),
    Program(
        DSPY,
        one="""
import dspy
dspy.configure(lm=dspy.LM("openai/mock", temperature=0.0, max_tokens=200))
predict = dspy.Predict("question -> answer")
def answer(question):
    return predict(question=question).answer
""",
        many=f"""
import dspy
dspy.configure(lm=dspy.LM("openai/mock", temperature=0.0, max_tokens=200))
predict = dspy.Predict("question -> answer")
def answers(questions):
    examples = [dspy.Example(question=question).with_inputs("question") for question in questions]
    return [reply.answer for reply in predict.batch(examples, num_threads={PARALLEL}, disable_progress_bar=True)]
""",
    ),
)


async def proxy(settings: Settings) -> list[Row]:
    """What the proxy adds to a call, and whether limits hold and equal calls are paid once behind it."""
    pythons: dict[Program, Path] = {}
    refused: list[str] = []
    for program in PROGRAMS:
        try:
            pythons[program] = await environment(program.peer, home_of(program.peer))
        except Skipped as why:
            refused.append(str(why))
    if not pythons:
        raise Skipped("; ".join(refused))
    missing = f" Not measured: {'; '.join(refused)}." if refused else ""
    rows = await _latencies(pythons, settings, missing)
    return [*rows, *await _limits(pythons, settings, missing)]


# What it adds ---------------------------------------------------------------------------------------------------------


async def _latencies(pythons: Mapping[Program, Path], settings: Settings, missing: str) -> list[Row]:
    pairs = settings.sized(PAIRS, 2)
    rows = []
    config = {"latency": {"first": LATENCY}, "reply": {"text": _ANSWER}}
    for journal in (False, True):
        async with mock(config, settings) as endpoint, _proxied(endpoint.url, settings, journal=journal) as url:
            for program, python in pythons.items():
                samples = []
                for number in range(settings.repetitions):
                    samples.append(await _added((endpoint.url, url), program, python, pairs, f"{number}"))
                rows.append(
                    Row(
                        what=f"{program.peer.name} through the proxy, {_store(journal)}: added latency, p50",
                        samples=[1000 * sample.added for sample in samples],
                        bar=at_most(3, " ms"),
                        beside=f"the same program without it, {1000 * median(s.direct for s in samples):.1f} ms a call",
                        note=_note(pairs, settings) + missing,
                        unit="ms",
                    )
                )
    return rows


def _note(pairs: int, settings: Settings) -> str:
    cores = "nothing is pinned"
    if settings.client_core is not None and settings.endpoint_core is not None:
        cores = f"programs on core {settings.client_core}, proxy and endpoint on core {settings.endpoint_core}"
    return (
        f"The proxy's added latency: n = {pairs} pairs a sample, one call at a time, direct and proxied in turns; the "
        f"endpoint takes {1000 * LATENCY:g} ms; {cores}."
    )


def _store(journal: bool) -> str:
    return "journal on disk" if journal else "memory only"


@dataclass(frozen=True, slots=True)
class _Added:
    """Medians in seconds: of the paired differences, and of the direct calls."""

    added: float
    direct: float


async def _added(urls: tuple[str, str], program: Program, python: Path, pairs: int, name: str) -> _Added:
    """One sample: `urls` of the endpoint and of the proxy in front of it."""
    found: list[tuple[float, float]] = []
    async with AsyncExitStack() as stack:
        direct, proxied = [await stack.enter_async_context(_asking(program, python, url)) for url in urls]
        for number in range(WARM + pairs):
            question = f"Which town is {name}-{time.monotonic_ns()}?"
            # Who goes first changes, so that nothing that drifts favours one of them.
            if number % 2:
                found.append((await direct.ask(question), await proxied.ask(question)))
            else:
                second = await proxied.ask(question)
                found.append((await direct.ask(question), second))
    counted = found[WARM:]
    return _Added(median(second - first for first, second in counted), median(first for first, _ in counted))


@dataclass(frozen=True, slots=True)
class _Asking:
    """A program that answers question by question."""

    name: str
    process: Process
    answers: BufferedByteReceiveStream

    async def ask(self, question: str) -> float:
        """Seconds that the program took for its answer, as it measured."""
        assert self.process.stdin is not None, "it was asked for"
        await self.process.stdin.send(orjson.dumps(question) + b"\n")
        try:
            line = await self.answers.receive_until(b"\n", 1_000_000)
        except (anyio.IncompleteRead, anyio.EndOfStream) as end:
            raise RunError(f"{self.name} ended before it answered; what it said stands above") from end
        seconds, text = orjson.loads(line)
        if "Alder" not in text:
            raise RunError(f"{self.name} was answered {text!r}: its figure would be none of the proxy's")
        return float(seconds)


@asynccontextmanager
async def _asking(program: Program, python: Path, url: str) -> AsyncIterator[_Asking]:
    async with _running(program.one + _LINES, python, url) as process:
        assert process.stdout is not None, "it was asked for"
        yield _Asking(program.peer.name, process, BufferedByteReceiveStream(process.stdout))


@asynccontextmanager
async def _running(text: str, python: Path, url: str) -> AsyncIterator[Process]:
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as home:
        around = surroundings(home, url) | {"OPENAI_API_BASE": url}
        process = await anyio.open_process([str(python), "-c", text], stdin=PIPE, stdout=PIPE, stderr=None, env=around)
        try:
            yield process
        finally:
            await children.ended(process)


# Limits and equal calls -----------------------------------------------------------------------------------------------


async def _limits(pythons: Mapping[Program, Path], settings: Settings, missing: str) -> list[Row]:
    questions = settings.sized(QUESTIONS)
    config = {
        "latency": {"first": LATENCY},
        "reply": {"text": _ANSWER},
        "limit": [{"of": "requests", "most": PER_MINUTE, "seconds": 60}],
    }
    found: list[list[Attempt]] = []
    async with mock(config, settings) as endpoint:
        for _ in range(settings.repetitions):
            await endpoint.reset()
            async with (
                _proxied(endpoint.url, settings, limits={"requests/minute": PER_MINUTE}) as url,
                anyio.create_task_group() as tasks,
            ):
                for program, python in pythons.items():
                    for _ in range(ASKING):
                        tasks.start_soon(_at_once, program, python, url, questions)
            found.append(await endpoint.ledger())
    different = questions * len(pythons)
    names = " and ".join(program.peer.name for program in pythons)
    asked = (
        f"{ASKING} processes of {names} each ask the same {questions} questions, {PARALLEL} at once, of an endpoint "
        f"that lets {PER_MINUTE} requests through within any minute.{missing}"
    )
    return [
        Row(
            what=f"{names} through the proxy: paid attempts for each different question",
            samples=[sum(attempt.is_answered for attempt in attempts) / different for attempts in found],
            bar=at_most(1),
            beside="the endpoint's ledger",
            note=asked,
        ),
        Row(
            what=f"{names} through the proxy: attempts that the endpoint's limit refused",
            samples=[sum(attempt.status == 429 for attempt in attempts) for attempts in found],
            bar=at_most(0),
            beside="the endpoint's ledger",
        ),
        Row(
            what=f"{names} through the proxy: most attempts within any minute, over the limit of {PER_MINUTE}",
            samples=[most_within(attempts, 60.0) / PER_MINUTE for attempts in found],
            bar=at_most(1),
            beside="the endpoint's ledger",
        ),
    ]


def most_within(attempts: Sequence[Attempt], seconds: float) -> int:
    """The most attempts that arrived within any so many seconds."""
    most = first = 0
    for last, attempt in enumerate(attempts):
        while attempt.arrived - attempts[first].arrived >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


async def _at_once(program: Program, python: Path, url: str, questions: int) -> None:
    asked = b"".join(orjson.dumps(f"Which town is number {number}?") + b"\n" for number in range(questions))
    async with _running(program.many + _AT_ONCE, python, url) as process:
        assert process.stdin is not None and process.stdout is not None, "they were asked for"
        await process.stdin.send(asked)
        await process.stdin.aclose()
        said = b"".join([part async for part in process.stdout])
    answers = orjson.loads(said) if said else []
    if sum("Alder" in answer for answer in answers) != questions:
        raise RunError(f"{program.peer.name} got {len(answers)} answers to {questions} questions through the proxy")


# The proxy ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _proxied(
    url: str, settings: Settings, *, journal: bool = False, limits: Mapping[str, float] | None = None
) -> AsyncIterator[str]:
    """A proxy in front of an endpoint, as `semprop proxy` runs it; gives its base address."""
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        file = Path(directory) / "providers.toml"
        table = {"spec": f"openai:any@{url}", "key_env": ""} | ({"limits": limits} if limits else {})
        await anyio.Path(file).write_text(toml({"provider": {"mock": table}}), encoding="utf-8")
        arguments = ["proxy", "--upstream", "mock", "--providers", str(file)]
        if journal:
            arguments += ["--store", str(Path(directory) / "replies")]
        async with children.server(arguments, settings.endpoint_core) as told:
            yield str(told["url"])


MEASURES: Mapping[str, Measure] = {"proxy": proxy}
