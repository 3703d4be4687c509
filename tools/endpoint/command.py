"""`semprop endpoint`: run a mock endpoint until it is told to stop. One JSON line on stdout when it listens."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TextIO

import anyio
import orjson
import typer

from semprop.engine.errors import SpecificationError
from semprop.tools.endpoint.config import load
from semprop.tools.endpoint.endpoint import Endpoint
from semprop.tools.endpoint.server import serving
from semprop.tools.endpoint.settings import Config
from semprop.tools.exits import Ended
from semprop.tools.preparing import Surrounding
from semprop.tools.screen import Screen

Work = Callable[[Surrounding, Screen], Ended]


def endpoint(
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file that describes it; without one it answers as simulated: does, at once"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one; see `url` of the line it prints")] = 0,
    host: Annotated[str, typer.Option(help="the address to listen on; anything but loopback lets others in")] = (
        "127.0.0.1"
    ),
) -> Work:
    """Run a mock endpoint for load and fault tests. Prints one JSON line when it listens; SIGINT or SIGTERM ends it."""
    return partial(_run, config, host, port)


def _run(config: Path | None, host: str, port: int, around: Surrounding, screen: Screen) -> Ended:
    settings = Config() if config is None else load(config)
    _raise_file_limit()
    # What is there now stays: no collection need look at it again.
    gc.collect()
    gc.freeze()
    work = partial(_serve, Endpoint(settings), host, port, screen.stdout)
    anyio.run(work, backend_options={"use_uvloop": sys.platform != "win32"})
    return Ended({})


async def _serve(mock: Endpoint, host: str, port: int, stdout: TextIO) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        try:
            async with serving(mock, host, port) as served:
                line = {
                    "url": served.url,
                    "pid": os.getpid(),
                    "ledger": served.ledger,
                    "health": f"{served.origin}/health",
                    "reset": f"{served.origin}/reset",
                }
                stdout.write(orjson.dumps(line).decode() + "\n")
                stdout.flush()
                async for _ in signals:
                    break
        except OSError as error:
            raise SpecificationError(
                f"the endpoint cannot listen on {host} port {port}: {error.strerror or error}; choose another port, or "
                "0 for any free one"
            ) from error


def _raise_file_limit() -> None:
    """Let the process hold as many sockets as the system lets it."""
    if sys.platform == "win32":
        return
    # Not there on Windows.
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
