"""The trainer: iterated step by step, left at any point, asked for a report. What was paid is what was counted."""

import json
import sqlite3
from dataclasses import replace
from itertools import count

import anyio
import pytest
import structlog
import worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semprop.engine import (
    Exact,
    ExactGate,
    Example,
    Function,
    Graph,
    Model,
    NodeError,
    NoGate,
    Parameter,
    Proposals,
    ReplayError,
    RunError,
    SequentialGate,
    SpecificationError,
    Splits,
    Status,
    StorageError,
    Trainer,
    UsageError,
    optimize,
    semantic,
)
from semprop.engine.gates import Decision
from semprop.engine.training.events import CallDone, HeldOut, ItemDone, PassStarted, StepDone
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.runs import Run
from semprop.engine.training.specification import gate_items
from semprop.providers import (
    Capabilities,
    Choices,
    Completion,
    ErrorClass,
    ProviderFailure,
    StopError,
    Usage,
    VirtualClock,
)


def spec(**changes):
    return worlds.specification(**{"splits": worlds.splits(8, 8, 8), "steps": 2, **changes})


def never(request):
    """Proposals that help nothing, a different one each time."""
    if worlds.is_update(request):
        return worlds.propose(request, f"Guess {len(request.messages[-1].text)}.")
    return worlds.script(request)


# From beginning to end -----------------------------------------------------------------------------------------------


async def test_optimize_runs_to_the_end_and_reports_a_gain_on_held_out_data():
    result = await optimize(spec(splits=worlds.splits(8, 8, 40)))
    assert result.status is Status.DONE
    assert (result.held_out.strict.before, result.held_out.strict.after, result.held_out.strict.n) == (0.0, 1.0, 40)
    assert result.parameters["s"] == worlds.GOOD
    assert result.before["s"] == "Solve the problem."


async def test_the_trainer_is_iterated_a_step_at_a_time():
    async with Trainer(spec(providers={"forward": worlds.scripted(never)}, steps=3)) as trainer:
        indices = [step.index async for step in trainer]
        assert indices == [0, 1, 2] == [step.index for step in trainer.steps]
        with pytest.raises(StopAsyncIteration):
            await anext(trainer)


async def test_a_run_stops_early_once_every_training_example_was_right_under_the_present_parameters():
    async with Trainer(spec(steps=9, minibatch=4)) as trainer:
        steps = [step async for step in trainer]
        result = await trainer.report()
    assert steps[0].accepted
    assert len(result.steps) == len(steps) < 9
    seen = {entry.tape.example.id for step in steps[1:] for entry in step.selected.scored}
    assert seen == {example.id for example in trainer.spec.splits.train}
    assert not any(step.selected.wrong for step in steps[1:])


async def test_the_report_is_made_once_and_given_again():
    provider = worlds.scripted()
    async with Trainer(spec(providers={"forward": provider})) as trainer:
        async for _ in trainer:
            pass
        first = await trainer.report()
        calls = len(provider.requests)
        assert await trainer.report() is first
        assert len(provider.requests) == calls


async def test_a_run_that_changed_nothing_measures_the_test_once_and_says_no_gain():
    provider = worlds.scripted(never)
    result = await optimize(spec(providers={"forward": provider}))
    assert result.status is Status.NO_GAIN
    assert result.held_out.strict.before == result.held_out.strict.after == 0.0


async def test_without_a_test_split_there_is_no_claim():
    result = await optimize(spec(splits=worlds.splits(8, 8)))
    assert result.held_out is None
    assert result.status is Status.UNDECIDED
    assert result.result_document()["held_out"] is None


# Leaving early -------------------------------------------------------------------------------------------------------


async def test_breaking_out_leaves_nothing_running_and_a_valid_journal(tmp_path):
    provider = worlds.scripted()
    async with Trainer(spec(providers={"forward": provider}, run=tmp_path / "run")) as trainer:
        async for _ in trainer:
            break
        assert provider.in_flight == 0
        partial = trainer.partial(Status.INTERRUPTED)
    assert provider.entered == 0
    assert Run(tmp_path / "run").meta("status") == "interrupted"
    assert partial.document()["status"] == "interrupted"
    assert partial.parameters["s"] == worlds.GOOD == Run(tmp_path / "run").parameters["s"]


async def test_an_exception_in_the_consumer_is_a_failed_run(tmp_path):
    with pytest.raises(ZeroDivisionError):
        async with Trainer(spec(run=tmp_path / "run")) as trainer:
            async for _ in trainer:
                raise ZeroDivisionError
    assert Run(tmp_path / "run").meta("status") == "failed"


async def test_a_cancelled_run_is_interrupted_not_failed(tmp_path):
    provider = worlds.scripted(latency=1.0)

    async def train():
        async with Trainer(spec(providers={"forward": provider}, run=tmp_path / "run")) as trainer:
            async for _ in trainer:
                pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(train)
        while not provider.in_flight:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert provider.in_flight == provider.entered == 0
    assert Run(tmp_path / "run").meta("status") == "interrupted"


async def test_a_step_that_was_cancelled_can_be_taken_again(tmp_path):
    reached = anyio.Event()

    def answer(request):
        if len(provider.requests) >= 20:
            reached.set()
        return worlds.script(request)

    provider = worlds.scripted(answer, latency=1.0)
    async with Trainer(spec(providers={"forward": provider}, run=tmp_path / "run", steps=1)) as trainer:

        async def impatient(scope):
            with scope:
                await anext(trainer)

        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()
            tasks.start_soon(impatient, scope)
            await reached.wait()
            scope.cancel()
        assert not trainer.steps
        assert (await anext(trainer)).accepted
        await trainer.report()
    assert len(Run(tmp_path / "run").decisions("verdict")) == 1


async def test_a_stopped_provider_ends_the_run_and_its_partial_result_can_be_had(tmp_path):
    def answer(request):
        return StopError("no money left", ErrorClass.QUOTA) if worlds.is_update(request) else worlds.script(request)

    trainer = Trainer(spec(providers={"forward": worlds.scripted(answer)}, run=tmp_path / "run"))
    with pytest.raises(StopError, match="no money left"):
        async with trainer:
            async for _ in trainer:
                pass
    result = trainer.partial(Status.FAILED)
    assert result.steps == ()
    assert result.telemetry["calls"]["update"] >= 1
    assert Run(tmp_path / "run").meta("status") == "failed"


async def test_a_journal_that_fails_stops_the_run_and_is_closed(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(StorageError, match=r"cannot be written .*no such table: groups"):
        async with Trainer(spec(run=run, steps=1)) as trainer:
            Tampering(run)("DROP TABLE groups")
            await anext(trainer)
    assert not (run / f"{FILE_NAME}-wal").exists()


async def test_a_journal_that_fails_under_another_error_is_closed_too(tmp_path):
    run = tmp_path / "run"
    provider = worlds.scripted()
    with pytest.raises(StorageError):
        async with Trainer(spec(run=run, providers={"forward": provider}, steps=1)) as trainer:
            await anext(trainer)
            Tampering(run)("DROP TABLE meta")
            raise ZeroDivisionError
    assert provider.entered == 0
    assert not (run / f"{FILE_NAME}-wal").exists()


class Tampering:
    """Another hand in the run's file."""

    def __init__(self, run):
        self._run = run

    def __call__(self, statement):
        connection = sqlite3.connect(self._run / FILE_NAME)
        connection.execute(statement)
        connection.close()


# Wrong use -----------------------------------------------------------------------------------------------------------


async def test_two_tasks_cannot_iterate_one_trainer():
    async with Trainer(spec(providers={"forward": worlds.scripted(latency=1.0)})) as trainer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, trainer)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(RunError, match="two tasks iterate one trainer"):
                await anext(trainer)
        assert len(trainer.steps) == 1


@pytest.mark.parametrize("use", [anext, Trainer.report])
async def test_a_trainer_that_was_not_entered_says_how_to(use):
    with pytest.raises(RunError, match="use `async with Trainer"):
        await use(Trainer(spec()))


async def test_a_run_directory_that_exists_is_refused_and_the_providers_are_left(tmp_path):
    provider = worlds.scripted()
    with pytest.raises(UsageError, match="exists"):
        async with Trainer(spec(providers={"forward": provider}, run=tmp_path)):
            pytest.fail("it must not be entered")
    assert provider.entered == 0
    assert not provider.requests
    assert list(tmp_path.iterdir()) == []


async def test_resuming_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(StorageError, match="holds no run"):
        await optimize(spec(run=tmp_path), resume=True)


async def test_resuming_with_another_prompt_is_refused_and_the_fields_are_named(tmp_path):
    await optimize(spec(run=tmp_path / "run", steps=1))
    parameters = [Parameter("w1", "Work out a step."), Parameter("w2", "Other."), Parameter("s", "Solve the problem.")]
    plain = worlds.graph()
    changed = Graph(inputs=plain.inputs, parameters=parameters, nodes=plain.nodes, output=plain.output)
    with pytest.raises(SpecificationError) as refused:
        await optimize(spec(run=tmp_path / "run", steps=2, graph=changed), resume=True)
    told = str(refused.value)
    assert "steps: 1 in the journal, now 2" in told
    assert 'initial.w2: "Work out a step." in the journal, now "Other."' in told
    assert "initial.w1" not in told
    assert "--fork" in told


async def test_what_no_specification_shows_is_refused_by_position(tmp_path):
    def with_tool(word):
        graph = Graph(
            inputs=("question",),
            parameters=[Parameter("s", "Solve.")],
            nodes=[
                Function("tool", lambda question: f"{word}: {question}", ("question",), pure=True),
                Model("answer", "s", ("tool",)),
            ],
            output="answer",
        )
        return spec(run=tmp_path / "run", steps=1, graph=graph)

    await optimize(with_tool("one"))
    with pytest.raises(ReplayError, match="the journal holds another request at Position"):
        await optimize(with_tool("other"), resume=True)


async def test_a_run_in_memory_says_so_in_the_log(tmp_path):
    with structlog.testing.capture_logs() as logs:
        await optimize(spec(steps=1))
    assert any("kept in memory only" in entry["event"] for entry in logs)
    with structlog.testing.capture_logs() as logs:
        await optimize(spec(steps=1, run=tmp_path / "run"))
    assert not any("memory" in entry["event"] for entry in logs)


async def test_a_function_whose_result_cannot_be_recorded_stops_the_run_with_the_mend():
    def odd(question):
        return object()

    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve.")],
        nodes=[Function("odd", odd, ("question",)), Model("answer", "s", ("odd",))],
        output="answer",
    )
    with pytest.raises(NodeError, match="pure=True"):
        await optimize(spec(graph=graph))


# Minibatches ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_epoch_sees_every_training_example_once(minibatch, train, seed):
    seen = []

    def answer(request):
        return worlds.propose(request, "Guess.") if worlds.is_update(request) else worlds.script(request)

    steps = 2 * -(-train // minibatch)
    given_spec = spec(
        splits=worlds.splits(train, 1),
        minibatch=minibatch,
        seed=seed,
        steps=steps,
        examples_per_gradient=None,
        graph=worlds.graph(hints=0),
        providers={"forward": worlds.scripted(answer)},
    )

    async def train_it():
        async with Trainer(given_spec) as trainer:
            async for step in trainer:
                seen.append([entry.tape.example.id for entry in step.selected.scored])

    anyio.run(train_it)
    half = len(seen) // 2
    for epoch in (seen[:half], seen[half:]):
        assert sorted(name for batch in epoch for name in batch) == sorted(f"e{number}" for number in range(train))
        assert max(map(len, epoch)) <= minibatch


# Memory of rejected edits --------------------------------------------------------------------------------------------


async def rejected_shown(keep):
    provider = worlds.scripted(never)
    result = await optimize(spec(providers={"forward": provider}, keep_rejected=keep, minibatch=4, steps=2))
    prompts = [request.messages[-1].text for request in provider.requests if worlds.is_update(request)]
    return result, [("Tried before" in prompt) for prompt in prompts]


async def test_rejected_edits_are_shown_only_if_that_is_wanted_and_the_leak_is_noted():
    result, shown = await rejected_shown(keep=True)
    assert shown == [False] * 3 + [True] * 3
    assert any(note.endswith("leaks gate data; verdicts leaked: 1") for note in result.result_document()["notes"])
    assert result.result_document()["gate"]["leaked"] == 1
    result, shown = await rejected_shown(keep=False)
    assert not any(shown)
    assert not any("leak" in note for note in result.result_document()["notes"])
    assert result.result_document()["gate"]["leaked"] == 0


# The gate's items ----------------------------------------------------------------------------------------------------


def losing():
    """A provider whose every proposal is new, and helps nothing."""
    numbers = count()
    return worlds.scripted(
        lambda request: (
            worlds.propose(request, f"Guess {next(numbers)}.") if worlds.is_update(request) else worlds.script(request)
        )
    )


async def judged(**changes):
    """The result of four steps that all lose."""
    result = await optimize(spec(providers={"forward": losing()}, steps=4, minibatch=2, **changes))
    assert [step.verdict.decision for step in result.steps] == [Decision.REJECT] * 4
    return result.result_document()


async def test_a_gate_split_that_is_used_again_is_told():
    document = await judged()
    assert document["gate"] == {"name": "strict", "items": 8, "pool": 8, "uses": 4, "leaked": 0}
    (note,) = document["notes"]
    assert note.startswith("gate pool used 4 times: ")


async def test_steps_with_fresh_gate_items_use_the_pool_once():
    document = await judged(gate_items=2)
    assert document["gate"] == {"name": "strict", "items": 2, "pool": 8, "uses": 1, "leaked": 0}
    assert document["notes"] == []
    (note,) = (await judged(gate_items=4))["notes"]
    assert note.startswith("gate pool used 2 times: ")


async def test_a_step_is_judged_on_its_own_items_and_all_that_a_verdict_used_is_no_waste():
    provider = losing()
    given_spec = spec(providers={"forward": provider}, steps=4, minibatch=2, gate_items=2, lookahead=0)
    result = await optimize(given_spec)
    asked = [request.messages[-1].text for request in provider.requests if worlds.is_forward(request)]
    for step in range(4):
        for item in gate_items(given_spec, step):
            assert any(item.inputs["question"] in text for text in asked)
    assert result.telemetry["speculative"] == 0


async def test_a_verdict_tells_level_and_evidence():
    gate = SequentialGate(alpha=0.08, delta=0.5)
    result = await optimize(spec(splits=worlds.splits(8, 60, 8), steps=4, method=semantic(gate=gate)))
    told = result.result_document()["steps"][0]["gate"]
    assert (told["alpha"], told["p"], told["figures"]) == (0.02, None, "search")
    assert told["wealth"] >= 1 / 0.02
    assert told["n"] < 60
    exact = await optimize(spec(splits=worlds.splits(8, 60, 8), steps=4, method=semantic(gate=ExactGate())))
    told = exact.result_document()["steps"][0]["gate"]
    assert told["p"] <= told["alpha"] == 0.0125


async def test_an_accepted_edit_is_not_remembered_as_rejected():
    provider = worlds.scripted(lambda request: worlds.script(request) if not worlds.is_forward(request) else "dunno")
    method = semantic(gate=NoGate())
    await optimize(spec(providers={"forward": provider}, keep_rejected=True, method=method, minibatch=4))
    prompts = [request.messages[-1].text for request in provider.requests if worlds.is_update(request)]
    assert not any("Tried before" in prompt for prompt in prompts)


# Telemetry -----------------------------------------------------------------------------------------------------------


def counted(request):
    """Replies with a usage that can be added up."""
    return Completion(worlds.script(request), usage=Usage(len(request.messages), 1, 0, 2, 0))


@pytest.mark.parametrize("latency", [0.0, 1.0])
async def test_telemetry_adds_up_with_what_the_provider_saw(latency):
    provider = worlds.scripted(counted, latency=lambda r: latency * (len(r.messages[-1].text) % 5))
    result = await optimize(spec(providers={"forward": provider}), price=lambda role, usage: usage.output * 1e-3)
    document = result.telemetry
    answered = provider.statistics()["answered"]
    assert sum(document["calls"].values()) == document["attempts"] == len(provider.requests)
    assert document["tokens"]["output"] == 2 * answered
    assert document["tokens"]["input"] == 2 * answered, "every request has two turns"
    assert document["failures"].get("unanswered", 0) == len(provider.requests) - answered
    assert document["cost"]["usd"] == pytest.approx(2e-3 * answered)
    assert document["cost"]["unpriced_requests"] == len(provider.requests) - answered


async def test_calls_are_counted_by_the_phase_that_made_them():
    provider = worlds.scripted(counted)
    document = (await optimize(spec(providers={"forward": provider}, steps=1))).telemetry
    kinds = {"backward": worlds.is_backward, "update": worlds.is_update}
    for phase, is_one in kinds.items():
        assert document["calls"][phase] == sum(map(is_one, provider.requests))
    assert set(document["calls"]) == {"forward", "backward", "update", "gate", "test"}


async def test_what_ran_ahead_of_a_verdict_is_shown_as_speculative():
    provider = worlds.scripted(counted, latency=lambda request: float(worlds.is_forward(request)))
    result = await optimize(
        spec(providers={"forward": provider}, steps=1, splits=worlds.splits(16, 32), examples_per_gradient=1)
    )
    assert result.telemetry["speculative"] > 0
    assert len(result.steps[0].selected.scored) == 1


async def test_an_unknown_price_is_null_never_zero():
    result = await optimize(spec())
    assert result.telemetry["cost"]["usd"] is None
    assert result.telemetry["cost"]["unpriced_requests"] == sum(result.telemetry["calls"].values())


async def test_seconds_are_measured_on_the_given_clock():
    clock = VirtualClock()
    provider = worlds.scripted(latency=1.5, clock=clock)
    async with Trainer(spec(providers={"forward": provider}, steps=1), clock=clock) as trainer:
        async for _ in trainer:
            pass
        result = await trainer.report()
    assert result.telemetry["seconds"] == clock.now() > 0


# Result against telemetry --------------------------------------------------------------------------------------------


async def test_the_result_does_not_depend_on_how_the_run_was_run():
    documents = []
    for in_flight, latency in ((1, 0.0), (64, lambda request: float(len(request.messages[-1].text) % 7))):
        given_spec = spec(providers={"forward": worlds.scripted(latency=latency)}, in_flight=in_flight)
        documents.append(json.dumps((await optimize(given_spec)).document()["result"]))
    assert documents[0] == documents[1]


async def test_the_document_has_the_form_that_json_output_promises():
    document = (await optimize(spec(task="sums", notes=("a note",)))).document()
    assert json.loads(json.dumps(document)) == document
    assert list(document) == ["schema", "status", "error", "run", "simulated", "result", "telemetry"]
    result, telemetry = document["result"], document["telemetry"]
    assert (document["error"], document["run"], document["simulated"]) == (None, None, False)
    assert {"task", "method", "seed", "models", "parameters", "steps", "held_out"} <= set(result)
    assert result["parameters"]["s"] == {"before": "Solve the problem.", "after": worlds.GOOD}
    assert {"index", "verdict", "reason", "gate"} <= set(result["steps"][0])
    assert {"before", "after", "n"} <= set(result["steps"][0]["gate"])
    assert {"before", "after", "n", "interval", "test", "lenient"} <= set(result["held_out"])
    assert set(result["models"]) == {"forward", "backward", "update", "judge"}
    assert {"calls", "attempts", "tokens", "cost", "seconds", "failures", "speculative"} <= set(telemetry)
    assert set(telemetry["tokens"]) == {"input", "cached", "output", "reasoning"}
    assert set(telemetry["cost"]) == {"usd", "unpriced_requests"}
    assert result["notes"] == ["a note"]


async def test_a_simulated_run_says_so():
    provider = worlds.scripted(capabilities=Capabilities(simulated=True))
    document = (await optimize(spec(providers={"forward": provider}))).document()
    assert document["simulated"]
    assert any(note.startswith("simulated:") for note in document["result"]["notes"])


# Observers -----------------------------------------------------------------------------------------------------------


async def test_observers_see_passes_items_calls_steps_and_the_claim_in_order():
    events = []
    result = await optimize(spec(steps=1), observers=[events.append])
    kinds = [type(event) for event in events]
    assert kinds[0] is PassStarted
    assert kinds[-1] is HeldOut
    assert kinds.count(StepDone) == 1
    assert kinds.count(ItemDone) == 8
    assert kinds.count(CallDone) == sum(result.telemetry["calls"].values())
    done = next(event for event in events if isinstance(event, StepDone))
    assert (done.step, done.wrong, len(done.candidates)) == (0, 4, 4)


async def test_an_observer_that_raises_changes_nothing_of_the_run():
    def broken(event):
        raise ValueError

    with structlog.testing.capture_logs():
        result = await optimize(spec(), observers=[broken])
    assert result.result_document() == (await optimize(spec())).result_document()


# Held out ------------------------------------------------------------------------------------------------------------


def labelled(output):
    """Questions with yes or no for an answer."""
    examples = [Example(f"e{n}", {"question": f"is {n} odd?"}, "yes" if n % 2 else "no") for n in range(24)]
    graph = Graph(inputs=("question",), parameters=[Parameter("s", "Guess.")], nodes=output, output="answer")

    def answer(request):
        if isinstance(request.schema, Choices):
            return request.schema.options[0]
        return "Well, yes." if worlds.is_forward(request) else worlds.script(request)

    return spec(
        graph=graph,
        loss=Exact(("yes", "no")),
        splits=Splits(tuple(examples[:8]), tuple(examples[8:16]), tuple(examples[16:])),
        labels=("yes", "no"),
        providers={"forward": worlds.scripted(answer)},
        steps=1,
    )


async def test_strict_lenient_and_constrained_scores_are_reported_side_by_side():
    held = (await optimize(labelled([Model("answer", "s", ("question",))]))).held_out
    assert held.strict.before == 0.0
    assert held.lenient == (0.5, 0.5)
    assert held.constrained == (0.5, 0.5)


async def test_where_the_output_is_a_function_there_is_no_constrained_score():
    def strip(draft):
        return draft.strip(".")

    nodes = [Model("draft", "s", ("question",)), Function("answer", strip, ("draft",), pure=True)]
    assert (await optimize(labelled(nodes))).held_out.constrained is None


async def test_test_items_that_a_provider_failed_on_are_asked_once_more_then_left_out_of_both_sides():
    tries = {}

    def answer(request):
        text = request.messages[-1].text
        for number, failures in ((16, 1), (17, 9)):
            if worlds.is_forward(request) and text.startswith(f"question: What is {number} plus"):
                tries[number] = tries.get(number, 0) + 1
                if tries[number] <= failures:
                    return ProviderFailure("busy", ErrorClass.OVERLOAD)
        return worlds.script(request)

    result = await optimize(spec(providers={"forward": worlds.scripted(answer)}, steps=1))
    assert result.held_out.missing == 1
    assert result.held_out.strict.n == 7
    assert tries[16] >= 2
    assert result.result_document()["held_out"]["missing"] == 1


# What an update carries on -------------------------------------------------------------------------------------------


def counting(states):
    """U that counts its steps in its state, and notes what it was given."""

    def rule(context):
        yield from ()
        states.append(context.state)
        return Proposals((), state=(context.state or 0) + 1)

    return rule


async def test_an_update_is_given_in_the_next_step_what_it_wanted_to_know(tmp_path):
    states = []
    method = replace(semantic(), update=counting(states))
    run = tmp_path / "run"
    await optimize(spec(method=method, steps=3, run=run))
    assert states == [None, 1, 2]
    await optimize(spec(method=method, steps=3, run=run), resume=True)
    assert states == [None, 1, 2, None, 1, 2], "a replay rebuilds it"
