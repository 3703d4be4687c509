"""L1: specification, seed and outcomes decide everything; scheduling decides nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop
from laws import arithmetic as world

from semprop.engine import DataError, Example, Graph, Model, Parameter, Splits, Step
from semprop.engine.losses import Answer, Score
from semprop.providers.base import Admission, Request
from semprop.providers.errors import ErrorClass, StopError

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def on_asyncio(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


def on_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    return uvloop.run(main)


def in_canonical_order() -> tuple[bytes, list[Step], set[Request], int]:
    """One call at a time, without latency: what every other schedule must decide, too."""
    scripted = world.provider()
    result, steps = asyncio.run(world.ran(world.specification(scripted, in_flight=1)))
    return orjson.dumps(result.result_document()), steps, set(scripted.requests), len(scripted.requests)


@pytest.fixture(scope="module")
def canonical() -> tuple[bytes, list[Step], set[Request], int]:
    return in_canonical_order()


def by_phase(requests: set[Request], word: str) -> set[Request]:
    return {request for request in requests if word in request.messages[0].text}


def test_the_world_of_these_tests_has_failures_edits_and_verdicts_of_several_kinds(
    canonical: tuple[bytes, list[Step], set[Request], int],
) -> None:
    document = orjson.loads(canonical[0])
    assert {step["verdict"] for step in document["steps"]} >= {"accept", "reject"}
    assert sum(step["dropped"] for step in document["steps"])
    assert sum(step["gate"]["missing"] for step in document["steps"])
    assert document["held_out"]["before"] < document["held_out"]["after"]


@pytest.mark.parametrize("run", [on_asyncio, on_uvloop])
@pytest.mark.parametrize("in_flight", [1, 8, 1000])
@pytest.mark.parametrize("latency", [None, 1, 2, 3])
def test_result_steps_and_used_prompts_do_not_depend_on_concurrency_latency_or_loop(
    run: Run, in_flight: int, latency: int | None, canonical: tuple[bytes, list[Step], set[Request], int]
) -> None:
    document, steps, requests, _ = canonical
    scripted = world.provider(latency=latency)
    result, found = run(world.ran(world.specification(scripted, in_flight=in_flight)))
    assert orjson.dumps(result.result_document()) == document
    assert found == steps, "every tape, message, proposal and board"
    used = set(world.used_prompts(found))
    assert used == set(world.used_prompts(steps))
    sent = set(scripted.requests)
    assert used <= {repr(replace(request, admission=Admission())) for request in sent}
    for word in ("You trace an error back", "You improve the instruction"):
        assert by_phase(sent, word) == by_phase(requests, word), "backward and update never run ahead"


def test_more_in_flight_pays_for_more_and_uses_the_same(
    canonical: tuple[bytes, list[Step], set[Request], int],
) -> None:
    scripted = world.provider(latency=1)
    asyncio.run(world.ran(world.specification(scripted, in_flight=1000)))
    assert scripted.peak > 8
    assert len(scripted.requests) > canonical[3], "without speculation this file would show nothing"


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_interpreters_hash_seed_decides_nothing(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    printed = subprocess.run(
        [sys.executable, str(Path(world.__file__))], env=environment, capture_output=True, text=True, check=True
    ).stdout
    here = world.decided(*asyncio.run(world.ran(world.specification(world.provider()))))
    assert printed.endswith(f"\n{here}\n")


# Replay --------------------------------------------------------------------------------------------------------------


def must_not_be_asked(request: Request) -> Any:
    return StopError("a replay asked the provider", ErrorClass.CONFIGURATION)


@pytest.mark.parametrize("in_flight", [1, 1000])
def test_a_replay_decides_the_same_without_asking_anybody(
    in_flight: int, tmp_path: Path, canonical: tuple[bytes, list[Step], set[Request], int]
) -> None:
    path = tmp_path / "run"
    first = world.specification(world.provider(latency=7), in_flight=1000, run=path)
    assert orjson.dumps(asyncio.run(world.ran(first))[0].result_document()) == canonical[0]
    silent = world.provider(must_not_be_asked)
    again = world.specification(silent, in_flight=in_flight, run=path)
    result, steps = asyncio.run(world.ran(again, resume=True))
    assert silent.requests == []
    assert orjson.dumps(result.result_document()) == canonical[0]
    assert steps == canonical[1]


def test_a_journal_and_memory_decide_the_same(
    tmp_path: Path, canonical: tuple[bytes, list[Step], set[Request], int]
) -> None:
    spec = world.specification(world.provider(), in_flight=8, run=tmp_path / "run")
    assert orjson.dumps(asyncio.run(world.ran(spec))[0].result_document()) == canonical[0]


# What may not matter -------------------------------------------------------------------------------------------------


def test_random_draws_do_not_share_a_stream() -> None:
    def orders(seed: int, steps: int) -> list[list[str]]:
        spec = world.specification(world.provider(world.honest), seed=seed, steps=steps, examples_per_gradient=None)
        _, found = asyncio.run(world.ran(spec))
        return [[entry.tape.example.id for entry in step.selected.scored] for step in found]

    assert orders(1, 3)[:2] == orders(1, 2), "a longer run begins as the shorter one"
    assert orders(1, 2) != orders(2, 2)


class Strict:
    """A loss that cannot judge one of the examples."""

    name = "strict"

    def __call__(self, example: Example, answer: Answer) -> Score:
        if example.expected is None:
            raise DataError(f"example {example.id!r} has no expected answer")
        return Score(0.0)


def ahead(in_flight: int, train: tuple[Example, ...], wanted: int | None) -> list[str]:
    """The examples that one step used, in order; all of them are wrong."""
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("told", "Solve it.")],
        nodes=[Model("answer", "told", ("question",))],
        output="answer",
    )
    spec = world.specification(
        world.provider(lambda request: "x", latency=1),
        graph=graph,
        loss=Strict(),
        splits=Splits(train, world.examples(20, 1)),
        examples_per_gradient=wanted,
        steps=1,
        in_flight=in_flight,
    )
    _, (step,) = asyncio.run(world.ran(spec))
    return [entry.tape.example.id for entry in step.selected.scored]


@pytest.mark.parametrize("in_flight", [1, 8, 1000])
def test_an_example_that_only_ran_ahead_cannot_end_a_run(in_flight: int) -> None:
    train = world.examples(0, 7)
    order = ahead(1, train, None)
    broken = tuple(replace(one, expected=None) if one.id == order[2] else one for one in train)
    assert ahead(in_flight, broken, 2) == order[:2]
    with pytest.raises(DataError, match=order[2]):
        ahead(in_flight, broken, 3)
