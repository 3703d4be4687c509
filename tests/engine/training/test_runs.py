"""Reading a run: what was decided, asked and answered, from the file alone."""

import asyncio
import json

import anyio
import pytest
import worlds

from semprop.engine import Run, StorageError, Trainer, optimize
from semprop.engine.training.reading import FILE_NAME
from semprop.providers import ErrorClass, ProviderFailure


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run"


def spec(path, provider=None, **changes):
    given = {"splits": worlds.splits(8, 8, 8), "steps": 2, **changes}
    return worlds.specification(run=path, providers={"forward": provider or worlds.scripted()}, **given)


async def test_a_run_knows_where_it_started_and_where_it_stands(path):
    result = await optimize(spec(path))
    run = Run(path)
    assert run.initial == result.before
    assert run.parameters == result.parameters
    assert run.meta("status") == str(result.status)
    assert run.meta("result") == json.loads(json.dumps(result.document()))
    assert run.meta("environment")["semprop"]
    assert run.meta("nonsense") is None


async def test_before_the_first_step_a_run_stands_where_it_started(path):
    async with Trainer(spec(path)):
        assert Run(path).parameters == Run(path).initial
        assert Run(path).meta("status") == "running"


async def test_a_path_may_be_text(path):
    await optimize(spec(path, steps=1))
    assert Run(str(path)).path == path


async def test_every_step_leaves_its_decisions(path):
    result = await optimize(spec(path))
    run = Run(path)
    kinds = ("selection", "proposals", "verdict", "parameters")
    for kind in kinds:
        assert [entry.step for entry in run.decisions(kind)] == [step.index for step in result.steps]
    wrong = [entry.tape.example.id for entry in result.steps[0].selected.wrong]
    for kind in ("tape", "gradients"):
        assert [entry.name for entry in run.decisions(kind, 0)] == wrong
    assert len(run.decisions("held_out")) == 1


async def test_a_provider_failure_is_shown_at_its_position(path):
    tries = []

    def answer(request):
        tries.append(request)
        return ProviderFailure("busy", ErrorClass.OVERLOAD) if len(tries) == 1 else worlds.script(request)

    await optimize(spec(path, worlds.scripted(answer), steps=1))
    failed = [entry for entry in Run(path).exchanges() if getattr(entry.outcome, "message", "") == "busy"]
    assert failed
    assert all(json.loads(entry.position)[1] == "forward" for entry in failed)


async def test_a_request_that_was_cut_off_is_shown_without_an_outcome(path):
    provider = worlds.scripted(latency=1.0)

    async def train():
        async with Trainer(spec(path, provider)) as trainer:
            await anext(trainer)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(train)
        while not provider.in_flight:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    exchanges = list(Run(path).exchanges())
    assert exchanges
    assert all(entry.outcome is None for entry in exchanges)
    assert "What is" in exchanges[0].request["messages"][-1]["content"]


def test_what_is_no_run_is_refused(path):
    with pytest.raises(StorageError, match="holds no run"):
        Run(path)


async def test_a_run_whose_file_is_spoilt_is_a_storage_error(path):
    await optimize(spec(path, steps=1))
    run = Run(path)
    content = (path / FILE_NAME).read_bytes()
    (path / FILE_NAME).write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StorageError, match="cannot be read"):
        run.meta("status")


def test_reading_needs_no_event_loop(path):
    asyncio.run(optimize(spec(path, steps=1)))
    assert Run(path).parameters["s"] == worlds.GOOD
