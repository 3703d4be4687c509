"""`semprop cache`: what the replies that runs share take, how to make them fewer, and whether they are whole."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.training.cache import CACHE_FILE, DAY, SIZE, opened
from semprop.engine.training.cache_care import Held, held, prune, verify
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.tools.exits import Ended
from semprop.tools.preparing import Surrounding
from semprop.tools.screen import Screen
from semprop.tools.stores import default_cache

Work = Callable[[Surrounding, Screen], Ended]

app = typer.Typer(no_args_is_help=True, help="Look after the replies that runs share.")

Directory = Annotated[Path | None, typer.Option("--cache", help="its directory [the user's own]")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")]


@app.callback()
def cache() -> None:
    """Look after the replies that runs share."""


@app.command("stats")
def stats_command(directory: Directory = None, json: Json = False) -> Work:
    """Say how many replies there are, and what they take."""
    return partial(_stats, directory or default_cache())


@app.command("prune")
def prune_command(
    directory: Directory = None,
    days: Annotated[int | None, typer.Option(min=0, help="drop what was not used for so many days")] = None,
    size: Annotated[int | None, typer.Option(min=0, help="drop the least used until so many bytes are left")] = None,
    json: Json = False,
) -> Work:
    """Drop replies that are old, or too many."""
    return partial(_prune, directory or default_cache(), days, size)


@app.command("verify")
def verify_command(directory: Directory = None, json: Json = False) -> Work:
    """Check every reply, and drop what is damaged; a broken file is rebuilt from what can be read."""
    return partial(_verify, directory or default_cache())


def _stats(directory: Path, around: Surrounding, screen: Screen) -> Ended:
    with _open(directory) as connection:
        found = held(connection)
    screen.show(f"{directory}: {found.replies:,} replies, {found.bytes:,} of {SIZE:,} bytes{_since(found)}")
    return _ended(directory, {"replies": found.replies, "bytes": found.bytes, "bound": SIZE})


def _prune(directory: Path, days: int | None, size: int | None, around: Surrounding, screen: Screen) -> Ended:
    if days is None and size is None:
        raise UsageError("say what to drop: --days N, or --size BYTES (0 drops everything)")
    before = None if days is None else int(time.time() // DAY) - days + 1
    with _open(directory) as connection:
        gone = prune(connection, before=before, size=size)
        left = held(connection)
    screen.show(f"{directory}: {gone:,} replies dropped, {left.replies:,} left ({left.bytes:,} bytes)")
    return _ended(directory, {"dropped": gone, "replies": left.replies, "bytes": left.bytes})


def _verify(directory: Path, around: Surrounding, screen: Screen) -> Ended:
    _check(directory)
    found = verify(directory)
    words = f"{found.whole:,} replies are whole, {found.damaged:,} were damaged and are gone"
    if found.rebuilt:
        words += f"; the file was broken and is rebuilt (the old one is {CACHE_FILE}.broken)"
    screen.show(f"{directory}: {words}")
    return _ended(directory, {"replies": found.whole, "damaged": found.damaged, "rebuilt": found.rebuilt})


def _check(directory: Path) -> None:
    if not (directory / CACHE_FILE).is_file():
        raise UsageError(f"there is no cache in {directory}: name its directory with --cache")


@contextlib.contextmanager
def _open(directory: Path) -> Iterator[sqlite3.Connection]:
    _check(directory)
    with contextlib.closing(opened(directory)) as connection:
        try:
            yield connection
        except sqlite3.Error as error:
            told = f"the cache in {directory} cannot be used ({error}): semprop cache verify mends it"
            raise StorageError(told) from error


def _since(found: Held) -> str:
    if found.oldest is None or found.newest is None:
        return ""
    first, last = (datetime.fromtimestamp(day * DAY, UTC).date().isoformat() for day in (found.oldest, found.newest))
    return f", last used between {first} and {last}"


def _ended(directory: Path, found: dict[str, Any]) -> Ended:
    return Ended({"schema": RESULT_SCHEMA, "status": "done", "error": None, "cache": str(directory), **found})
