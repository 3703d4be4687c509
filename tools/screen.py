"""Where the command writes: answers to stdout, everything else to stderr. Text of models is shown, never obeyed.

Text from outside passes `plain`, so that no reply can move a cursor, ring a bell or recolour a terminal, and is
printed without markup.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import orjson
from rich.console import Console, RenderableType
from rich.text import Text

_WIDTH = 120
"""Columns where nobody looks: files, pipes, logs."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
# What turns the direction of text would let a reply look like something else.
_CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def plain(text: str) -> str:
    """The text with its control characters written out, line breaks and tabs apart."""
    return text.translate(_CONTROLS)


@dataclass(frozen=True, slots=True)
class Screen:
    """The two streams of a command. With `json`, stdout holds one document and nothing else."""

    answers: Console
    notes: Console
    stdout: TextIO
    json: bool

    def show(self, *parts: RenderableType) -> None:
        """A part of the answer for people."""
        if not self.json:
            for part in parts:
                soft = isinstance(part, str | Text)
                self.answers.print(part, markup=False, highlight=False, emoji=False, soft_wrap=soft)

    def say(self, line: str) -> None:
        """What people want to know meanwhile; nothing with `--json`."""
        if not self.json:
            self.warn(line)

    def warn(self, line: str) -> None:
        """What must be told in any case."""
        self.notes.print(plain(line), markup=False, highlight=False, emoji=False, soft_wrap=True)

    def emit(self, document: Mapping[str, Any]) -> None:
        """The one JSON document, if it was asked for; in UTF-8, whatever else stdout is written in."""
        if self.json:
            self.stdout.flush()
            binary = getattr(self.stdout, "buffer", None)
            if binary is None:
                self.stdout.write(_encoded(document).decode())
                self.stdout.flush()
            else:
                binary.write(_encoded(document))
                binary.flush()


def _encoded(document: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # The name of a file may hold bytes that are no text; then half a surrogate pair stands for each.
        return f"{json.dumps(document, indent=2)}\n".encode()


@contextlib.contextmanager
def lenient(*streams: TextIO | None) -> Iterator[None]:
    """While inside, a letter that a stream's encoding does not have is written out (`\\u2192`), and is no error."""
    with contextlib.ExitStack() as undo:
        for stream in streams:
            if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
                undo.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors="backslashreplace")
        yield


def screen(*, json: bool) -> Screen:
    """The screen of this process."""
    stdout, stderr = _open(sys.stdout), _open(sys.stderr)
    return Screen(_console(stdout), _console(stderr), stdout, json)


def _open(stream: TextIO | None) -> TextIO:
    """The stream; a process that was started with it closed (`>&-`) writes into nothing."""
    return open(os.devnull, "w") if stream is None else stream


class _Told(Console):
    """A console whose reader may leave (`| head`): the command decides what that means, not the console."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _console(stream: TextIO) -> Console:
    return _Told(file=stream, width=None if stream.isatty() else _WIDTH)
