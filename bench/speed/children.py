"""Commands of this product as processes of their own: started as anybody starts them, pinned, ended and reaped.

This package knows nothing of `semprop.tools`; it reads the one JSON line that a server prints when it listens.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
import orjson
from anyio.abc import Process

from semprop.engine.errors import RunError

_STARTS_WITHIN = 60.0
_ENDS_WITHIN = 10.0

_PINNED = """
import os, runpy, sys
os.sched_setaffinity(0, {int(sys.argv.pop(1))})
runpy.run_module("semprop.tools", run_name="__main__", alter_sys=True)
"""


def command_line(arguments: Sequence[str], core: int | None) -> list[str]:
    """`semprop ARGUMENTS` on a processor of its own, where the system can do that."""
    if core is None or sys.platform != "linux":
        return [sys.executable, "-P", "-m", "semprop.tools", *arguments]
    return [sys.executable, "-P", "-c", _PINNED, str(core), *arguments]


@asynccontextmanager
async def server(arguments: Sequence[str], core: int | None) -> AsyncIterator[Mapping[str, Any]]:
    """Run a server while the block runs, and give what it prints when it listens; it is ended and reaped in any case.

    Raises:
        RunError: it did not begin to listen; its own words are on stderr.
    """
    process = await anyio.open_process(command_line(arguments, core), stdin=DEVNULL, stdout=PIPE, stderr=None)
    try:
        yield await _told(process, arguments[0])
    finally:
        await ended(process)


async def _told(process: Process, name: str) -> Mapping[str, Any]:
    assert process.stdout is not None, "it was asked for"
    line = b""
    with anyio.move_on_after(_STARTS_WITHIN):
        try:
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()
        except anyio.EndOfStream as end:
            raise RunError(f"`semprop {name}` ended before it listened; what it said stands above") from end
    if not line.endswith(b"\n"):
        raise RunError(f"`semprop {name}` did not listen within {_STARTS_WITHIN:g} s: is the machine overloaded?")
    told: Mapping[str, Any] = orjson.loads(line)
    return told


async def ended(process: Process) -> None:
    """End a process as a signal does, kill it if that does not help, and reap it."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(_ENDS_WITHIN):
                await process.wait()
        # Kills it if it is still there, closes its pipes and reaps it.
        await process.aclose()
