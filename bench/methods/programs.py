"""Programs that let another package optimize our graph, each run in the environment that has the package.

Nothing is installed: an interpreter is named, and what it lacks is said. A program is a child process that asks the
desk over its pipes and the models over the endpoint; it is ended and reaped in any case.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import orjson
from anyio.streams.buffered import BufferedByteReceiveStream

from semprop.bench.methods.desk import Desk
from semprop.bench.methods.ledger import Endpoint
from semprop.bench.speed.children import ended
from semprop.bench.speed.peers import last_line, surroundings

HERE = Path(__file__).parent.parent / "peers"

_LONGEST_LINE = 64 * 1024 * 1024

_VERSION = """
import sys
from importlib.metadata import PackageNotFoundError, version
try:
    print(" ".join(f"{name} {version(name)}" for name in sys.argv[1:]))
except PackageNotFoundError as error:
    sys.exit(f"{error.name} is not installed")
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A package that optimizes: the file that maps our graph to it, and what must be installed, itself first."""

    file: str
    packages: tuple[str, ...]


PROGRAMS: Mapping[str, Program] = {
    "gepa": Program("gepa_peer.py", ("gepa", "litellm", "openai")),
    "dspy-miprov2": Program("dspy_peer.py", ("dspy", "optuna")),
    "dspy-gepa": Program("dspy_peer.py", ("dspy", "gepa")),
    "dspy-copro": Program("dspy_peer.py", ("dspy",)),
    "textgrad": Program("textgrad_peer.py", ("textgrad",)),
}


def deviations(program: Program) -> str:
    """What the program does otherwise than its package's defaults, in the words with which its file opens."""
    words = ast.get_docstring(ast.parse((HERE / program.file).read_text(encoding="utf-8"))) or ""
    return " ".join(words.partition("Deviations:")[2].split())


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program said at its end: texts by parameter (None: it has none), the package's version, what failed."""

    parameters: Mapping[str, str] | None = field(hash=False)
    version: str = ""
    failed: str = ""


async def missing(program: Program, python: str) -> str:
    """Why the program cannot run with this interpreter; "" if it can."""
    try:
        done = await anyio.run_process([python, "-c", _VERSION, *program.packages], stderr=PIPE, check=False)
    except OSError as error:
        return f"{python} cannot be run ({error.strerror})"
    return last_line(done.stderr) if done.returncode else ""


async def optimized(name: str, python: str, desk: Desk, endpoint: Endpoint, seed: int, most_seconds: float) -> Ended:
    """Run a package's program to its end, or for `most_seconds`."""
    last = Ended(None, failed=f"stopped after {most_seconds:g} s")
    async with AsyncExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="semprop-bench-"))
        log = stack.enter_context((Path(home) / "log").open("w+b"))
        around = {**surroundings(home, endpoint.url), "OPENAI_API_BASE": endpoint.url, "PYTHONUNBUFFERED": "1"}
        command = [python, str(HERE / PROGRAMS[name].file)]
        process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=log, env=around, cwd=home)
        stack.push_async_callback(ended, process)
        assert process.stdin is not None and process.stdout is not None, "they were asked for"
        said = BufferedByteReceiveStream(process.stdout)
        with anyio.move_on_after(most_seconds):
            try:
                await process.stdin.send(_line(desk.order(name, endpoint.models, seed)))
                while True:
                    told: Any = orjson.loads(await said.receive_until(b"\n", _LONGEST_LINE))
                    match told:
                        case {"do": "end", "parameters": texts, "failed": str(failed), "version": str(version)}:
                            best = last.parameters if texts is None else texts
                            return Ended(best, version, failed)
                        case {"do": "best", "parameters": dict(texts)}:
                            last = Ended(texts, failed=last.failed)
                        case _:
                            await process.stdin.send(_line(await desk.answer(told)))
            except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
                log.seek(0)
                return Ended(last.parameters, failed=f"it ended early: {last_line(log.read())}")
    return last


def _line(document: object) -> bytes:
    return orjson.dumps(document) + b"\n"
