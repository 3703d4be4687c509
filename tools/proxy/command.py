"""`semprop proxy`: run a proxy until it is told to stop. One JSON line on stdout when it listens."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, TextIO

import anyio
import orjson
import typer

from semprop.engine.errors import SpecificationError
from semprop.providers.specification import load as load_providers
from semprop.tools.exits import Ended
from semprop.tools.preparing import Surrounding
from semprop.tools.proxy.server import serving
from semprop.tools.proxy.settings import Settings
from semprop.tools.screen import Screen

Work = Callable[[Surrounding, Screen], Ended]


def proxy(
    upstream: Annotated[
        list[str],
        typer.Option(help="KIND:MODEL[@BASE], or a NAME in the --providers file; may be given again", metavar="SPEC"),
    ],
    providers: Annotated[Path | None, typer.Option(help="TOML file with tables [provider.NAME]")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one; see `url` of the line it prints")] = 0,
    host: Annotated[str, typer.Option(help="the address to listen on; anything but loopback needs a token")] = (
        "127.0.0.1"
    ),
    token_env: Annotated[
        str | None, typer.Option(help="the environment variable of the token that clients must send", metavar="VAR")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="a directory that keeps replies from one start to the next", metavar="DIR")
    ] = None,
) -> Work:
    """Put limits, retries and a reply store in front of models, as an OpenAI-compatible server.

    Prints one JSON line when it listens; SIGINT or SIGTERM ends it. Equal requests at temperature 0, or with a seed,
    are paid once.
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
            around=around.providers,
        )
        _raise_file_limit()
        # What is there now stays: no collection need look at it again.
        gc.collect()
        gc.freeze()
        work = partial(_serve, settings, screen.stdout)
        anyio.run(work, backend_options={"use_uvloop": sys.platform != "win32"})
        return Ended({})

    return run


def _token(variable: str | None, environment: Mapping[str, str]) -> str:
    if variable is None:
        return ""
    token = environment.get(variable, "").strip()
    if not token:
        raise SpecificationError(f"the environment variable {variable} is not set: put the clients' token into it")
    return token


async def _serve(settings: Settings, stdout: TextIO) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        try:
            async with serving(settings) as served:
                line = {
                    "url": served.url,
                    "pid": os.getpid(),
                    "statistics": f"{served.origin}/statistics",
                    "health": f"{served.origin}/health",
                }
                stdout.write(orjson.dumps(line).decode() + "\n")
                stdout.flush()
                async for _ in signals:
                    break
        except OSError as error:
            raise SpecificationError(
                f"the proxy cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; choose "
                "another port, or 0 for any free one"
            ) from error


def _raise_file_limit() -> None:
    """Let the process hold as many sockets as the system lets it."""
    if sys.platform == "win32":
        return
    # Not there on Windows.
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
