"""The synchronous façade: from plain code, from inside a running loop, and under Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import anyio
import pytest
import worlds

from semprop.engine import Program, SpecificationError, optimize
from semprop.providers import Scripted, wrap
from semprop.tools import blocking


def specification(**changes: Any) -> Any:
    return worlds.specification(splits=worlds.splits(test=12), **changes)


def test_optimize_gives_the_result_without_await() -> None:
    result = blocking.optimize(specification())
    assert result.held_out is not None
    assert result.held_out.strict.after == 1.0


async def test_optimize_works_inside_a_running_loop_and_gives_the_same_result() -> None:
    inside = blocking.optimize(specification())
    awaited = await optimize(specification())
    assert inside.result_document() == awaited.result_document()


async def test_evaluate_works_inside_a_running_loop() -> None:
    assert blocking.evaluate(specification()).score == 0.0


def test_a_program_is_called_without_await() -> None:
    program = Program(worlds.graph(), worlds.graph().initial.replaced({"s": worlds.GOOD}))
    inputs = {"question": "What is 3 plus 4?"}
    assert blocking.call(program, inputs, worlds.scripted()) == "7"
    assert blocking.call(program, inputs, {"forward": worlds.scripted()}) == "7"


def test_errors_pass_through_unchanged() -> None:
    program = Program(worlds.graph(), worlds.graph().initial)
    with pytest.raises(SpecificationError, match="input 'question' is missing"):
        blocking.call(program, {}, worlds.scripted())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_cancels_the_run_and_waits_for_its_end() -> None:
    ends: list[str] = []

    async def interrupting(messages: Any) -> str:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            await anyio.sleep_forever()
        finally:
            ends.append("cancelled")
        return ""

    with pytest.raises(KeyboardInterrupt):
        blocking.optimize(specification(providers={"forward": wrap(interrupting, model="m")}, in_flight=1))
    assert ends == ["cancelled"]


def test_observers_are_called() -> None:
    seen: list[Any] = []
    blocking.optimize(specification(), observers=[seen.append])
    assert {"StepDone", "HeldOut"} <= {type(event).__name__ for event in seen}


def test_one_provider_serves_two_calls_after_each_other() -> None:
    provider = Scripted(worlds.script)
    program = Program(worlds.graph(), worlds.graph().initial)
    answers = [blocking.call(program, {"question": "What is 3 plus 4?"}, provider) for _ in range(2)]
    assert answers == ["dunno", "dunno"]
