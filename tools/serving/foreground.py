"""A server as a command: room for its sockets, one JSON line when it listens, its end at a signal."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TextIO, TypeVar

import anyio
import orjson

from semprop.engine.errors import SpecificationError

SPARE = 64
"""Descriptors beside the sockets of clients: files, pipes, the listener, the terminal."""

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Server(Generic[S]):
    """A server that is about to be run.

    Attributes:
        name: what messages call it.
        host, port: where it is to listen.
        serving: opens it.
        line: what it says of itself once it listens.
    """

    name: str
    host: str
    port: int
    serving: Callable[[], AbstractAsyncContextManager[S]]
    line: Callable[[S], Mapping[str, object]]


def run(server: Server[S], stdout: TextIO) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SpecificationError: the address cannot be listened on.
    """
    # What is there now stays: no collection need look at it again.
    gc.collect()
    gc.freeze()
    anyio.run(partial(_serve, server, stdout), backend_options={"use_uvloop": sys.platform != "win32"})


async def _serve(server: Server[S], stdout: TextIO) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        try:
            async with server.serving() as served:
                stdout.write(orjson.dumps(server.line(served)).decode() + "\n")
                stdout.flush()
                async for _ in signals:
                    break
        except OSError as error:
            raise SpecificationError(
                f"the {server.name} cannot listen on {server.host} port {server.port}: {error.strerror or error}; "
                "choose another port, or 0 for any free one"
            ) from error


def most_sockets() -> float:
    """How many sockets this process may hold, once it has asked for as many as the system lets it; infinite where
    nothing bounds them."""
    if sys.platform == "win32":
        return float("inf")
    # Not there on Windows.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Systems whose hard limit is none still refuse more than the kernel's own bound.
        for wanted in (hard, 1_048_576, 65_536, 10_240):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except (ValueError, OSError):
                continue
            break
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft - SPARE
