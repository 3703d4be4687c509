"""L2, pay once: equal requests share one call, a reply is durable before it is used, a killed run repeats nothing."""

import json
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
import worlds

from semprop.engine import Graph, Model, Parameter, Position, Trainer, load, optimize
from semprop.engine.losses import Numeric
from semprop.engine.outcomes import FailureKind
from semprop.engine.passes.forward import wiring
from semprop.engine.seam import ModelCall
from semprop.engine.training.asker import Asker
from semprop.engine.training.driver import Stage
from semprop.engine.training.events import Announcer
from semprop.engine.training.ledger import MemoryLedger
from semprop.engine.training.runs import Run
from semprop.engine.training.telemetry import Telemetry
from semprop.providers import (
    Capabilities,
    ErrorClass,
    ItemError,
    Message,
    Mixture,
    ProviderFailure,
    Request,
    Sampling,
    Scripted,
    VirtualClock,
    content_key,
)

WARM = Sampling(temperature=0.8, max_tokens=64)


@pytest.fixture
async def asker():
    """Opens askers; all of them are left at the end."""
    async with AsyncExitStack() as stack:

        async def opened(provider, ledger=None):
            spec = worlds.specification(providers={"forward": provider})
            ask = Asker(spec, ledger or MemoryLedger(), Telemetry(), Announcer([]))
            return await stack.enter_async_context(ask)

        yield opened


def call(text="hello", **changes):
    return ModelCall("forward", Request((Message.of("user", text),), **changes))


def at(number=0, **changes):
    return Position(number, "forward", **changes)


async def ask_all(ask, *asked):
    """Outcomes of calls that are made at the same time."""
    outcomes = {}

    async def one(index, position, request):
        outcomes[index] = await ask.ask_model(position, request)

    async with anyio.create_task_group() as tasks:
        for index, (position, request) in enumerate(asked):
            tasks.start_soon(one, index, position, request)
    return [outcomes[index] for index in range(len(asked))]


# Equal requests ------------------------------------------------------------------------------------------------------


async def test_equal_requests_in_flight_share_one_call(asker):
    provider = worlds.scripted(["one"], latency=1.0)
    outcomes = await ask_all(await asker(provider), *((at(number), call()) for number in range(10)))
    assert [outcome.text for outcome in outcomes] == ["one"] * 10
    assert len(provider.requests) == 1


async def test_equal_requests_of_examples_that_are_pinned_to_models_are_not_shared_and_carry_their_pin(asker):
    provider = worlds.scripted(lambda request: request.admission.pin, capabilities=Capabilities(mixture=Mixture.PINNED))
    ask = await asker(provider)
    asked = [(at(number, example=f"e{number % 2}"), call()) for number in range(6)]
    outcomes = await ask_all(ask, *asked)
    assert [outcome.text for outcome in outcomes] == ["0|e0", "0|e1"] * 3
    assert len(provider.requests) == 2


async def test_equal_requests_later_are_served_from_the_store(asker):
    provider = worlds.scripted(["one"])
    ask = await asker(provider)
    for number in range(3):
        assert (await ask.ask_model(at(number), call())).text == "one"
    assert len(provider.requests) == 1


async def test_different_requests_share_nothing(asker):
    provider = worlds.scripted(lambda request: request.messages[0].text)
    outcomes = await ask_all(await asker(provider), (at(0), call("a")), (at(1), call("b")))
    assert [outcome.text for outcome in outcomes] == ["a", "b"]


async def test_random_twins_draw_for_themselves_and_greedy_ones_share(asker):
    for sampling, calls in ((WARM, 2), (Sampling(max_tokens=64), 1)):
        provider = worlds.scripted(lambda request: "x")
        twins = [(at(draw), call(sampling=sampling, draw=f"node|e{draw}")) for draw in range(2)]
        await ask_all(await asker(provider), *twins)
        assert len(provider.requests) == calls


async def test_nodes_and_examples_with_equal_prompts_do_not_share_a_random_draw(asker):
    names = ("a", "b")
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("w", "Guess."), Parameter("s", "End.")],
        nodes=[
            *(Model(name, "w", {"q": "question"}, sampling=WARM) for name in names),
            Model("answer", "s", names, sampling=WARM),
        ],
        output="answer",
    )
    provider = worlds.scripted(lambda request: "1")
    ask = await asker(provider)
    stage = Stage(wiring(graph), Numeric(), ask, 4)
    async with anyio.create_task_group() as tasks:
        for name in ("e1", "e2"):
            example = type(worlds.example(0))(name, {"question": "the same"}, "1")
            await stage.score(graph.initial, example, Position(0, "forward"), tasks.start_soon)
    assert len(provider.requests) == 6
    assert len({request.draw for request in provider.requests}) == 6


async def test_measuring_again_takes_a_new_sample_number_and_makes_a_new_call(asker):
    provider = worlds.scripted(lambda request: str(request.sample))
    ask = await asker(provider)
    outcomes = [await ask.ask_model(at(sample=n), call(sampling=WARM, draw="n|e", sample=n)) for n in (0, 1, 0)]
    assert [outcome.text for outcome in outcomes] == ["0", "1", "0"]
    assert len(provider.requests) == 2


async def test_after_an_edit_only_the_nodes_downstream_of_it_are_called(asker):
    provider = worlds.scripted(lambda request: "7")
    graph = worlds.graph(hints=2)
    stage = Stage(wiring(graph), Numeric(), await asker(provider), 4)
    calls = []
    for edit in ({}, {"s": "Last."}, {"w1": "First."}, {}):
        before = len(provider.requests)
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                parameters = graph.initial.replaced(edit)
                await stage.score(parameters, worlds.example(number), Position(0, "gate"), tasks.start_soon)
        calls.append((len(provider.requests) - before) / 5)
    # Twin hints share a greedy call; "7" is what every hint says, so the final prompt does not change with them.
    assert calls == [2, 1, 1, 0]


async def test_an_edit_of_the_last_node_costs_one_of_three_calls(asker):
    parameters = [Parameter("w1", "First step."), Parameter("w2", "Second step."), Parameter("s", "Solve.")]
    nodes = [Model("a", "w1", ("question",)), Model("b", "w2", ("a",)), Model("answer", "s", ("b",))]
    graph = Graph(inputs=("question",), parameters=parameters, nodes=nodes, output="answer")
    provider = worlds.scripted(lambda request: f"[{request.messages[0].text}{request.messages[1].text}]")
    stage = Stage(wiring(graph), Numeric(), await asker(provider), 4)

    async def calls(parameters):
        before = len(provider.requests)
        async with anyio.create_task_group() as tasks:
            await stage.score(parameters, worlds.example(1), Position(0, "gate"), tasks.start_soon)
        return len(provider.requests) - before

    edits = [{}, {"s": "x"}, {"w2": "x"}, {"w1": "x"}]
    assert [await calls(graph.initial.replaced(edit)) for edit in edits] == [3, 1, 2, 3]


# Whose failure it was ------------------------------------------------------------------------------------------------


async def test_a_provider_failure_is_never_served_from_the_store(asker):
    provider = worlds.scripted([ProviderFailure("busy", ErrorClass.OVERLOAD), "better"])
    ask = await asker(provider)
    assert (await ask.ask_model(at(), call())).kind is FailureKind.OVERLOADED
    assert (await ask.ask_model(at(again=1), call())).text == "better"


async def test_a_model_failure_is_served_like_any_reply(asker):
    provider = worlds.scripted([ItemError("filtered", ErrorClass.FILTER)])
    ask = await asker(provider)
    for number in range(2):
        assert (await ask.ask_model(at(number), call())).kind is FailureKind.FILTER
    assert len(provider.requests) == 1


async def test_a_call_outlives_whoever_asked_first_if_others_wait_for_it(asker):
    provider = worlds.scripted(lambda request: "late", latency=5.0)
    ask = await asker(provider)
    outcomes = {}

    async def one(name, scope, position):
        with scope:
            outcomes[name] = await ask.ask_model(position, call())

    leader = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, "leader", leader, at(0))
        while not provider.in_flight:
            await anyio.lowlevel.checkpoint()
        tasks.start_soon(one, "first", anyio.CancelScope(), at(1))
        tasks.start_soon(one, "second", anyio.CancelScope(), at(2))
        await anyio.lowlevel.checkpoint()
        leader.cancel()
    assert {name: outcome.text for name, outcome in outcomes.items()} == {"first": "late", "second": "late"}
    assert len(provider.requests) == 1


async def test_a_call_that_nobody_waits_for_any_more_is_cancelled_and_asked_anew(asker):
    provider = worlds.scripted(lambda request: "late", latency=5.0)
    ask = await asker(provider)
    for expected in (1, 2):
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(ask.ask_model, at(number), call())
            while len(provider.requests) < expected:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert len(provider.requests) == expected
    assert (await ask.ask_model(at(), call())).text == "late"
    assert provider.in_flight == 0


# Durable before it is used -------------------------------------------------------------------------------------------


class Slow(MemoryLedger):
    """A ledger whose disk takes a second, and that writes down the order of things."""

    def __init__(self, clock, log):
        super().__init__()
        self._clock, self._log, self._noted = clock, log, []
        self._durable = 0

    @property
    def durable(self):
        return self._durable

    def intend(self, position, key, role, request):
        self._noted.append(("intent", position.node))
        return len(self._noted)

    def answer(self, position, key, outcome):
        super().answer(position, key, outcome)
        self._noted.append(("settled", position.node))
        return len(self._noted)

    async def reach(self, mark, patience=1.0):
        noted = len(self._noted)
        await self._clock.sleep(1.0)
        self._durable = max(self._durable, noted)
        self._log.append(self._noted[mark - 1])


async def test_a_reply_is_durable_before_anything_downstream_sees_it(asker):
    log, clock = [], VirtualClock()

    def answer(request):
        log.append(("sent", request.draw.split("|")[0]))
        return "x"

    parameters = [Parameter("w", "Hint."), Parameter("s", "Solve.")]
    nodes = [Model("hint", "w", ("question",)), Model("answer", "s", ("hint",))]
    graph = Graph(inputs=("question",), parameters=parameters, nodes=nodes, output="answer")
    stage = Stage(wiring(graph), Numeric(), await asker(Scripted(answer, clock=clock), Slow(clock, log)), 4)
    async with anyio.create_task_group() as tasks:
        await stage.score(graph.initial, worlds.example(1), Position(0, "forward"), tasks.start_soon)
    assert log == [(what, node) for node in ("hint", "answer") for what in ("intent", "sent", "settled")]


async def test_a_follower_does_not_see_a_reply_before_it_is_durable_either(asker):
    log, clock = [], VirtualClock()
    ask = await asker(Scripted(["x"], clock=clock), Slow(clock, log))

    async def one(number):
        await ask.ask_model(at(number, node="n"), call())
        log.append(("used", number))

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(one, number)
    assert log[:2] == [("intent", "n"), ("settled", "n")]


async def test_a_reply_that_arrived_is_kept_though_whoever_asked_is_cancelled_while_it_is_written():
    clock, answered = VirtualClock(), anyio.Event()
    ledger = Slow(clock, [])

    def answer(request):
        answered.set()
        return "x"

    provider = Scripted(answer, clock=clock)
    spec = worlds.specification(providers={"forward": provider})
    async with Asker(spec, ledger, Telemetry(), Announcer([])) as ask, anyio.create_task_group() as tasks:
        tasks.start_soon(ask.ask_model, at(), call())
        await answered.wait()
        tasks.cancel_scope.cancel()
    assert ledger.stored(content_key(provider.identity, call().request)).text == "x"


async def test_who_asks_while_an_equal_reply_is_being_written_waits_until_it_is_durable(asker):
    log, clock = [], VirtualClock()
    provider, ledger = Scripted(["x"], clock=clock), Slow(clock, log)
    ask = await asker(provider, ledger)

    async def one(number):
        await ask.ask_model(at(number, node="n"), call())
        log.append(("used", number))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, 0)
        while ledger.stored(content_key(provider.identity, call().request)) is None:
            await anyio.lowlevel.checkpoint()
        assert ("settled", "n") not in log
        tasks.start_soon(one, 1)
    assert log[:2] == [("intent", "n"), ("settled", "n")]
    assert sorted(log[2:]) == [("used", 0), ("used", 1)]


class Watched(Slow):
    """The same, and how many intents stand without an outcome whenever something is noted."""

    def __init__(self, clock, log):
        super().__init__(clock, log)
        self.open, self.withdrawn = [0], []

    def intend(self, position, key, role, request):
        self.open.append(self.open[-1] + 1)
        return super().intend(position, key, role, request)

    def answer(self, position, key, outcome):
        self.open.append(self.open[-1] - 1)
        return super().answer(position, key, outcome)

    def charge(self, position, key, attempts, spent, more):
        self.open.append(self.open[-1] - 1)
        self.withdrawn.append((position.example, attempts))
        return 0


@pytest.mark.parametrize("in_flight", [1, 2, 5])
async def test_the_next_intent_goes_with_the_outcome_that_frees_its_place(in_flight):
    """So only the first requests wait for their intents, and after a kill no more of them are in doubt than places."""
    log, clock = [], VirtualClock()
    ledger, provider = Watched(clock, log), Scripted(lambda request: "x", clock=clock, latency=0.5)
    spec = worlds.specification(providers={"forward": provider}, in_flight=in_flight)
    async with Asker(spec, ledger, Telemetry(), Announcer([])) as ask:
        await ask_all(ask, *((at(number, node=str(number)), call(str(number))) for number in range(10)))
    assert max(ledger.open) == in_flight
    assert ledger.open[-1] == 0
    assert [what for what, _ in log].count("intent") == in_flight
    assert [what for what, _ in log].count("settled") == 10


async def test_an_intent_that_was_noted_early_is_withdrawn_if_nobody_wants_it_any_more():
    log, clock = [], VirtualClock()
    ledger, provider = Watched(clock, log), Scripted(lambda request: "x", clock=clock)
    spec = worlds.specification(providers={"forward": provider}, in_flight=1)
    async with Asker(spec, ledger, Telemetry(), Announcer([])) as ask, anyio.create_task_group() as tasks:
        tasks.start_soon(ask.ask_model, at(example="first"), call("first"))
        await anyio.lowlevel.checkpoint()
        async with anyio.create_task_group() as others:
            others.start_soon(ask.ask_model, at(example="second"), call("second"))
            while ledger.open != [0, 1, 0, 1]:  # The first outcome is noted, and the second intent.
                await anyio.lowlevel.checkpoint()
            others.cancel_scope.cancel()
        tasks.start_soon(ask.ask_model, at(example="third"), call("third"))
    assert ledger.withdrawn == [("second", 0)]
    assert [request.messages[0].text for request in provider.requests] == ["first", "third"]


# Killed and started again --------------------------------------------------------------------------------------------

IN_FLIGHT = 4

CHILD = """
import asyncio, json, os, pathlib, signal, sys
sys.path.insert(0, sys.argv[4])
import worlds
from semprop.engine import optimize
from semprop.providers import content_key

run, sent, last = pathlib.Path(sys.argv[1]), open(sys.argv[2], "a", buffering=1), int(sys.argv[3])
count = 0

def script(request):
    global count
    count += 1
    if count == last:
        os.kill(os.getpid(), signal.SIGKILL)
    sent.write(content_key("scripted:scripted", request) + "\\n")
    return worlds.script(request)

def latency(request):
    return len(request.messages[-1].text) % 7 * 0.01

provider = worlds.scripted(script, latency=latency)
spec = worlds.specification(
    providers={"forward": provider}, splits=worlds.splits(8, 8, 12), steps=3, run=run, in_flight=4
)
result = asyncio.run(optimize(spec, resume=run.exists()))
print(json.dumps(result.document()["result"]))
"""


def start(run, sent, last):
    """Run the child until it kills itself at its `last`-th call; 0: to its end."""
    directory = str(Path(worlds.__file__).parent)
    arguments = [sys.executable, "-c", CHILD, str(run), str(sent), str(last), directory]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


def durable(run):
    """The keys of the outcomes that are on disk."""
    connection = sqlite3.connect(run / "journal.sqlite")
    try:
        return [key for (key,) in connection.execute("SELECT key FROM outcomes")]
    finally:
        connection.close()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    done = start(directory / "run", directory / "sent", 0)
    assert done.returncode == 0, done.stderr
    return done.stdout, (directory / "sent").read_text().split()


@pytest.mark.parametrize("share", [0.02, 0.25, 0.6, 0.95])
def test_a_run_killed_at_any_call_repeats_no_completed_one_and_ends_the_same(uninterrupted, tmp_path, share):
    result, calls = uninterrupted
    run, sent = tmp_path / "run", tmp_path / "sent"
    killed = start(run, sent, max(1, int(share * len(calls))))
    assert killed.returncode == -9
    completed, before = durable(run), sent.read_text().split()
    assert 0 <= len(before) - len(completed) <= IN_FLIGHT, "in flight is what was sent and is not yet durable"
    resumed = start(run, sent, 0)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == result
    after = sent.read_text().split()[len(before) :]
    assert not set(after) & set(completed)
    assert len(after) == len(set(after))


def test_a_run_killed_twice_ends_the_same_too(uninterrupted, tmp_path):
    result, calls = uninterrupted
    run, sent = tmp_path / "run", tmp_path / "sent"
    for _ in range(2):
        assert start(run, sent, len(calls) // 3).returncode == -9
    assert start(run, sent, 0).stdout == result


async def test_a_finished_run_is_opened_again_without_a_single_call(tmp_path):
    def spec(provider):
        return worlds.specification(
            providers={"forward": provider}, splits=worlds.splits(8, 8, 8), steps=2, run=tmp_path / "run"
        )

    first = await optimize(spec(worlds.scripted()))
    silent = worlds.scripted([])
    second = await optimize(spec(silent), resume=True)
    assert not silent.requests
    assert json.dumps(second.document()["result"]) == json.dumps(first.document()["result"])
    assert load(tmp_path / "run").parameters == first.parameters


async def test_a_run_broken_off_between_steps_goes_on_where_it_stopped(tmp_path):
    def spec(provider, run):
        return worlds.specification(
            providers={"forward": provider}, splits=worlds.splits(8, 8, 8), steps=2, run=run, method=worlds.semantic()
        )

    whole = worlds.scripted()
    expected = await optimize(spec(whole, tmp_path / "whole"))
    first, second = worlds.scripted(), worlds.scripted()
    async with Trainer(spec(first, tmp_path / "run")) as trainer:
        async for _ in trainer:
            break
    assert Run(tmp_path / "run").meta("status") == "interrupted"
    result = await optimize(spec(second, tmp_path / "run"), resume=True)
    assert result.result_document() == expected.result_document()
    keys = [content_key(provider.identity, request) for provider in (first, second) for request in provider.requests]
    assert max(Counter(keys).values()) == 1
    assert re.match("done|no_gain|undecided", Run(tmp_path / "run").meta("status"))
