"""The command `semprop`, and `python -m semprop.tools`: parse, carry out, report; the one place that gives exit codes.

With `--json` stdout holds one document whatever happens; what tasks of the user print goes to stderr then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import typer.main

from semprop.tools.command import app
from semprop.tools.exits import Ended, ExitCode, Problem, Terminated, document_of, problem_of
from semprop.tools.otel import exporting
from semprop.tools.preparing import Surrounding
from semprop.tools.screen import Screen, lenient, screen
from semprop.tools.studies import diagnose, reproduce

for command in (diagnose, reproduce):
    app.command()(command)


def main(arguments: Sequence[str] | None = None, around: Surrounding = Surrounding()) -> int:
    """Run a command; gives its exit code.

    Args:
        arguments: as behind the command's name; None takes those of the process.
        around: clocks, environment and retries, for tests and embedding.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    shown = screen(json="--json" in given)
    with contextlib.ExitStack() as stack:
        stack.enter_context(lenient(sys.stdout, sys.stderr))
        if shown.json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.enter_context(_terminating())
        try:
            if "--otel" in given:
                around = stack.enter_context(exporting(around))
            ended = _carried_out(given, around, shown)
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 — becomes an exit code and a message
            if "--debug" in given:
                traceback.print_exc()
            problem = problem_of(error)
            ended = Ended(document_of(problem), problem)
        return ended if isinstance(ended, int) else _told(ended, shown)


def _told(ended: Ended, shown: Screen) -> int:
    """Say what is wrong, print the document; gives the exit code."""
    code = ended.code
    if code != ExitCode.UNREAD:
        if ended.problem is not None:
            shown.warn(f"semprop: {ended.problem.message}")
        unwritten = _unwritten(ended.told, shown)
        if unwritten is None:
            return code
        code = unwritten.code
        if code != ExitCode.UNREAD:
            shown.warn(f"semprop: {unwritten.message}")
    # Whoever reads the answer has gone (`| head`), or has no room; the interpreter would complain when it flushes.
    os.dup2(os.open(os.devnull, os.O_WRONLY), shown.stdout.fileno())
    return code


def _unwritten(document: Mapping[str, Any], shown: Screen) -> Problem | None:
    """Print the document; the problem if it cannot be written."""
    try:
        shown.emit(document)
    except OSError as error:
        return problem_of(error)
    return None


def _carried_out(arguments: Sequence[str], around: Surrounding, shown: Screen) -> Ended | int:
    """What came of a command; a bare exit code where only help or the version was asked for."""
    work = typer.main.get_command(app).main(arguments, prog_name="semprop", standalone_mode=False)
    return work(around, shown) if callable(work) else int(work or ExitCode.DONE)


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, where no run listens for it."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
