"""`semprop endpoint`: run a mock endpoint until it is told to stop. One JSON line on stdout when it listens."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from semprop.tools.endpoint.config import load
from semprop.tools.endpoint.endpoint import Endpoint
from semprop.tools.endpoint.server import Served, serving
from semprop.tools.endpoint.settings import Config
from semprop.tools.exits import Ended
from semprop.tools.preparing import Surrounding
from semprop.tools.screen import Screen
from semprop.tools.serving import foreground

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
    mock = Endpoint(Config() if config is None else load(config))
    serve = partial(serving, mock, host, port, connections=foreground.most_sockets())
    foreground.run(foreground.Server("endpoint", host, port, serve, _line), screen.stdout)
    return Ended({})


def _line(served: Served) -> dict[str, object]:
    return {
        "url": served.url,
        "pid": os.getpid(),
        "ledger": served.ledger,
        "health": f"{served.origin}/health",
        "reset": f"{served.origin}/reset",
    }
