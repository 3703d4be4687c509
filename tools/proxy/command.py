"""`semprop proxy`: run a proxy until it is told to stop. One JSON line on stdout when it listens."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from semprop.engine.errors import SpecificationError
from semprop.providers.budget import Caps
from semprop.providers.specification import load as load_providers
from semprop.tools.exits import Ended
from semprop.tools.preparing import Surrounding
from semprop.tools.proxy.server import Served, serving
from semprop.tools.proxy.settings import BOUNDS, Settings
from semprop.tools.screen import Screen
from semprop.tools.serving import foreground
from semprop.tools.serving.connection import Bounds

FEW = 256
"""Clients at once; a proxy that has no room for so many says so when it starts."""

_log = structlog.get_logger(__name__)

Work = Callable[[Surrounding, Screen], Ended]


def proxy(
    upstream: Annotated[
        list[str],
        typer.Option(
            help="KIND:MODEL[@BASE], a NAME in the --providers file, or pool:SPEC,SPEC; may be given again",
            metavar="SPEC",
        ),
    ],
    providers: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with tables [provider.NAME] and [pool.NAME]")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one; see `url` of the line it prints")] = 0,
    host: Annotated[str, typer.Option(help="the address to listen on; anything but loopback needs a token")] = (
        "127.0.0.1"
    ),
    token_env: Annotated[
        str | None, typer.Option(help="the environment variable of the token that clients must send", metavar="VAR")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="a directory that keeps replies, attempts and what was spent", metavar="DIR"),
    ] = None,
    max_usd: Annotated[float | None, typer.Option(min=0, help="dollars that may be spent", metavar="USD")] = None,
    max_calls: Annotated[int | None, typer.Option(min=0, help="attempts that may be sent")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="tokens that may be used, in and out")] = None,
) -> Work:
    """Put limits, retries and a reply store in front of models, as an OpenAI-compatible server.

    Prints one JSON line when it listens; SIGINT or SIGTERM ends it. Equal requests at temperature 0, or with a seed,
    are paid once. Budgets are hard: the worst case of a call is reserved before it is sent.
    """

    def run(around: Surrounding, screen: Screen) -> Ended:
        environment = around.providers.environment
        settings = Settings(
            upstreams=tuple(upstream),
            named={} if providers is None else load_providers(providers),
            token=_token(token_env, os.environ if environment is None else environment),
            store=store,
            host=host,
            port=port,
            caps=_caps(max_calls, max_tokens, max_usd),
            bounds=_bounds(foreground.most_sockets()),
            around=around.providers,
        )
        server = foreground.Server("proxy", host, port, partial(serving, settings), _line)
        foreground.run(server, screen.stdout)
        return Ended({})

    return run


def _token(variable: str | None, environment: Mapping[str, str]) -> str:
    if variable is None:
        return ""
    token = environment.get(variable, "").strip()
    if not token:
        raise SpecificationError(f"the environment variable {variable} is not set: put the clients' token into it")
    return token


def _caps(calls: int | None, tokens: int | None, usd: float | None) -> Caps:
    try:
        return Caps(calls=calls, tokens=tokens, usd=usd)
    except ValueError as error:
        raise SpecificationError(str(error)) from error


def _bounds(sockets: float) -> Bounds:
    """As many clients as there are sockets for: each of them may need another one behind the proxy."""
    clients = math.floor(sockets / 2) if sockets < math.inf else sockets
    if clients < 1:
        raise SpecificationError("this process may open too few files for a single client: run `ulimit -n 1024` first")
    if clients < FEW:
        _log.warning("few_sockets", clients=clients, mend="raise the limit on open files (ulimit -n)")
    return replace(BOUNDS, connections=clients)


def _line(served: Served) -> dict[str, object]:
    return {
        "url": served.url,
        "pid": os.getpid(),
        "statistics": f"{served.origin}/statistics",
        "health": f"{served.origin}/health",
    }
