"""Exit codes and messages of errors."""

from __future__ import annotations

import pytest
import typer

from semprop.engine import (
    DataError,
    GraphError,
    NodeError,
    ReplayError,
    RunError,
    SpecificationError,
    StorageError,
    UsageError,
)
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.providers.errors import ErrorClass, ItemError, RetryError, StopError
from semprop.tools.exits import ExitCode, Problem, Terminated, document_of, problem_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("m"), 2),
        (DataError("m"), 2),
        (GraphError("m"), 2),
        (SpecificationError("m"), 2),
        (typer.BadParameter("m"), 2),
        (StopError("m", ErrorClass.AUTH), 2),
        (StopError("m", ErrorClass.CONFIGURATION), 2),
        (StopError("m", ErrorClass.QUOTA), 3),
        (StopError("m", ErrorClass.TRANSIENT), 3),
        (RetryError("m", ErrorClass.RATE), 3),
        (ItemError("m", ErrorClass.BAD_REQUEST), 3),
        (StorageError("m"), 5),
        (ReplayError("m"), 5),
        (RunError("m"), 1),
        (NodeError("m"), 1),
        (ZeroDivisionError("m"), 1),
        (SystemExit(0), 1),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert problem_of(error).code == code


def test_an_error_of_ours_is_said_in_its_own_words_and_another_is_called_internal() -> None:
    assert problem_of(DataError("rows.csv:3: mend it")) == Problem("DataError", "rows.csv:3: mend it", ExitCode.INPUT)
    assert problem_of(KeyError("x")).message == "internal error: KeyError: 'x'; --debug shows where"


def test_a_failure_keeps_the_partial_result_around_it() -> None:
    partial = {"schema": 1, "status": "undecided", "error": None, "run": "r", "simulated": True, "result": {"a": 1}}
    document = document_of(Problem("StopError", "m", 3), partial)
    assert list(document)[:3] == ["schema", "status", "error"]
    assert (document["status"], document["run"], document["result"]) == ("failed", "r", {"a": 1})
    assert document["error"] == {"type": "StopError", "message": "m", "exit_code": 3}


def test_a_failure_without_a_result_has_the_same_frame() -> None:
    document = document_of(Problem("Interrupted", "m", 130))
    assert document["schema"] == RESULT_SCHEMA
    assert document["status"] == "interrupted"
    assert [document[name] for name in ("run", "simulated", "result", "telemetry")] == [None] * 4
