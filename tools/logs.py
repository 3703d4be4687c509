"""Logging of the command: structlog to stderr or a file, for people or as JSON. The library configures nothing; this
does, once. One line a decision, not one a call; what repeats is cut off, and how often it was is said later.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, MutableMapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

from semprop.engine.errors import StorageError
from semprop.engine.training.events import Event, HeldOut, StepDone


class Level(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Form(StrEnum):
    """How a line is written: for people, or one JSON object."""

    CONSOLE = "console"
    JSON = "json"


BURST, WINDOW = 5, 60.0
"""So many lines of one event pass in so many seconds; the rest is counted, and told with the next that passes."""

_KINDS = 1_000

Entry = MutableMapping[str, Any]


def configure(level: Level, form: Form = Form.CONSOLE, file: Path | None = None) -> None:
    """Send log lines of at least this level to stderr, or to a file that is appended to, readable by its owner only.

    Raises:
        StorageError: the file cannot be written.
    """
    # A process that was started with stderr closed (`2>&-`) has none.
    stream: Any = _File(Path(os.devnull) if file is None else file) if file or sys.stderr is None else sys.stderr
    renderer: Processor
    if form is Form.JSON:
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    stamp = "%H:%M:%S" if file is None and form is Form.CONSOLE else "iso"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Capped(time.monotonic),
            structlog.processors.TimeStamper(fmt=stamp, utc=stamp == "iso"),
            *([structlog.processors.format_exc_info] if form is Form.JSON else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


class _File:
    """Lines for a file that is opened for each of them, so that it may be moved away meanwhile."""

    def __init__(self, file: Path) -> None:
        self._file, self._line = file, ""
        self.write("")

    def write(self, text: str) -> None:
        """Append what makes a whole line; keep the rest until it does.

        Raises:
            StorageError: the file cannot be written.
        """
        self._line += text
        try:
            descriptor = os.open(self._file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "ab", buffering=0) as appended:
                if self._line.endswith("\n"):
                    appended.write(self._line.encode(errors="replace"))
                    self._line = ""
        except OSError as error:
            told = f"the log file {self._file} cannot be written ({error.strerror}): name another one"
            raise StorageError(told) from error

    def flush(self) -> None:
        """Nothing is kept back but the beginning of a line."""

    def isatty(self) -> bool:
        """No."""
        return False


def _json(entry: Any, **options: Any) -> str:
    return orjson.dumps(entry, default=str).decode()


class Capped:
    """A processor that lets `BURST` lines of one event and level pass in `WINDOW` seconds, and counts the rest."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[tuple[str, str], list[float]] = {}
        self._dropped: dict[tuple[str, str], int] = {}

    def __call__(self, logger: Any, method: str, entry: Entry) -> Entry:
        """The entry, or `DropEvent`."""
        kind, now = (method, str(entry.get("event"))), self._now()
        if kind not in self._seen and len(self._seen) >= _KINDS:
            return entry
        passed = [at for at in self._seen.get(kind, ()) if now - at < WINDOW]
        if len(passed) >= BURST:
            self._dropped[kind] = self._dropped.get(kind, 0) + 1
            raise structlog.DropEvent
        self._seen[kind] = [*passed, now]
        if dropped := self._dropped.pop(kind, 0):
            entry["suppressed"] = dropped
        return entry


_log = structlog.get_logger("semprop")


def decided(event: Event) -> None:
    """An observer: one line for each decision of a run."""
    match event:
        case StepDone(step, wrong, seen, candidates, dropped, verdict, reason):
            word = "no proposal" if verdict is None else str(verdict.decision)
            counts = {"wrong": wrong, "seen": seen, "candidates": len(candidates), "dropped": len(dropped)}
            _log.info("step", index=step, verdict=word, reason=reason, **counts)
        case HeldOut(before, after, n):
            _log.info("held_out", before=before, after=after, n=n)
        case _:
            pass
