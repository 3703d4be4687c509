"""How the command ends: exit codes, and errors as one clear message. Pure; prints nothing.

0 done · 1 internal, or code of yours raised · 2 input, configuration, key · 3 provider · 4 budget · 5 storage
130, 143 stopped by SIGINT, SIGTERM
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import typer

from semprop.engine.errors import SempropError, StorageError, UsageError
from semprop.engine.training.report import RESULT_SCHEMA, Status
from semprop.providers.budget import BudgetSpent
from semprop.providers.errors import ErrorClass, ProviderError


class ExitCode(IntEnum):
    """What the shell sees."""

    DONE = 0
    INTERNAL = 1
    INPUT = 2
    PROVIDER = 3
    BUDGET = 4
    STORAGE = 5
    INTERRUPTED = 130
    UNREAD = 141
    TERMINATED = 143


_STATUS: Mapping[int, Status] = {
    ExitCode.INTERRUPTED: Status.INTERRUPTED,
    ExitCode.TERMINATED: Status.INTERRUPTED,
    ExitCode.BUDGET: Status.BUDGET,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the command did not do what it was asked. `kind` is the error's type, `message` ends in the mend."""

    kind: str
    message: str
    code: int

    def document(self) -> dict[str, Any]:
        """The `error` of the JSON document."""
        return {"type": self.kind, "message": self.message, "exit_code": self.code}


@dataclass(frozen=True, slots=True)
class Ended:
    """How an order ended: its exit code, the JSON document, and the problem if there was one."""

    document: Mapping[str, Any]
    problem: Problem | None = None

    @property
    def code(self) -> int:
        return ExitCode.DONE if self.problem is None else self.problem.code

    @property
    def told(self) -> Mapping[str, Any]:
        """The document with the problem in it, whoever put the two together."""
        if self.problem is None or self.document.get("error") is not None:
            return self.document
        status = str(_STATUS.get(self.problem.code, Status.FAILED))
        return {**self.document, "status": status, "error": self.problem.document()}


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived where no run is under way."""


def problem_of(error: BaseException) -> Problem:
    """The problem that an error is."""
    match error:
        case Terminated():
            return interrupted(signal.SIGTERM, "nothing was begun")
        case KeyboardInterrupt() | typer.Abort():
            return interrupted(signal.SIGINT, "nothing was begun")
        case BrokenPipeError() | SystemExit(__context__=BrokenPipeError()):
            # Libraries that print help leave the process in this case.
            return Problem("BrokenPipeError", "nobody reads the output any more", ExitCode.UNREAD)
        case OSError(errno=errno.ENOSPC):
            return Problem("StorageError", "no space is left where the output goes: free some", ExitCode.STORAGE)
        case SystemExit():
            told = f"your code, or a library, left with sys.exit({error.code!r}): raise an error in its place"
            return Problem("SystemExit", f"{told}; --debug shows where", ExitCode.INTERNAL)
        case UsageError():
            code = ExitCode.INPUT
        case StorageError():
            code = ExitCode.STORAGE
        case ProviderError():
            configured = error.error_class in (ErrorClass.AUTH, ErrorClass.CONFIGURATION)
            code = ExitCode.INPUT if configured else ExitCode.PROVIDER
        case SempropError():
            code = ExitCode.INTERNAL
        case typer.TyperException():
            told = error.format_message() or "give a command"
            return Problem("UsageError", f"{told} (see semprop --help)", ExitCode.INPUT)
        case _:
            told = f"internal error: {type(error).__name__}: {error}; --debug shows where"
            return Problem(type(error).__name__, told, ExitCode.INTERNAL)
    return Problem(type(error).__name__, str(error), code)


def interrupted(number: int, told: str) -> Problem:
    """The problem that a signal is; `told` says what was kept."""
    name = signal.Signals(number).name
    return Problem("Interrupted", f"stopped by {name}: {told}", 128 + number)


def exhausted(spent: BudgetSpent, told: str) -> Problem:
    """The problem that a spent budget is; `told` says what was kept."""
    return Problem("BudgetSpent", f"{spent}. {told}", ExitCode.BUDGET)


def document_of(problem: Problem, partial: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON document of a command that failed or was stopped, around what there is of a result.

    `simulated` is null where it was not known yet.
    """
    status = _STATUS.get(problem.code, Status.FAILED)
    frame = {"schema": RESULT_SCHEMA, "run": None, "simulated": None, "result": None, "telemetry": None}
    known = {**frame, **(partial or {})}
    head = {
        "schema": known["schema"],
        "status": str(status),
        "error": problem.document(),
    }
    return {**head, **{name: value for name, value in known.items() if name not in head}}
