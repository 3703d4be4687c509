"""The driver answers every effect of a plan, also of methods that exist only here."""

import re
from contextlib import AsyncExitStack

import pytest
import worlds

from semprop.engine import (
    Ask,
    Custom,
    Evaluate,
    Failure,
    FailureKind,
    Fork,
    Function,
    Graph,
    Kind,
    Model,
    NodeError,
    Number,
    Numeric,
    Parameter,
    Position,
    Probe,
    RunError,
    Score,
    Trainer,
)
from semprop.engine.gates import NoGate
from semprop.engine.method import Edit, Method, Proposals, Selection, candidate
from semprop.engine.methods.semantic import EvidenceList, ordered_list, target_seed
from semprop.engine.passes.forward import wiring
from semprop.engine.training.asker import Asker
from semprop.engine.training.driver import Driver, Stage
from semprop.engine.training.events import Announcer
from semprop.engine.training.ledger import MemoryLedger
from semprop.engine.training.telemetry import Telemetry
from semprop.providers import ErrorClass, ItemError, Message, ProviderFailure, Request, StopError

AT = Position(3, "update", "e1")


class Recorder(MemoryLedger):
    """A ledger that remembers the positions that were asked."""

    def __init__(self):
        super().__init__()
        self.positions = []

    def intend(self, position, key, role, request):
        self.positions.append(position)
        return super().intend(position, key, role, request)


@pytest.fixture
async def opened():
    """Opens askers; all of them are left at the end."""
    async with AsyncExitStack() as stack:
        yield stack.enter_async_context


async def driver(opened, provider, graph=None):
    graph = graph or worlds.graph(hints=1)
    ledger = Recorder()
    spec = worlds.specification(graph=graph, providers={"forward": provider})
    seam = await opened(Asker(spec, ledger, Telemetry(), Announcer([])))
    return Driver(Stage(wiring(graph), Numeric(), seam, 4), AT), ledger


def ask(text="?", **changes):
    return Ask("update", Request((Message.of("user", text),)), **changes)


def one(*effects):
    """The plan that yields these effects and returns their replies."""
    return (yield effects)


async def test_an_ask_is_answered_at_its_position(opened):
    drive, ledger = await driver(opened, worlds.scripted(["hi"]))
    (reply,) = await drive(one(ask(node="s", slot="repair", sample=2)))
    assert reply.text == "hi"
    assert ledger.positions == [Position(3, "update", "e1", node="s", slot="repair", sample=2)]


async def test_the_replies_of_a_batch_come_in_the_order_of_the_effects(opened):
    waits = {"a": 3.0, "b": 2.0, "c": 1.0}
    provider = worlds.scripted(lambda r: r.messages[0].text, latency=lambda r: waits[r.messages[0].text])
    drive, _ = await driver(opened, provider)
    replies = await drive(one(*(ask(text, node=text) for text in "abc")))
    assert [reply.text for reply in replies] == ["a", "b", "c"]
    assert provider.peak == 3


async def test_an_empty_batch_is_answered_with_nothing(opened):
    drive, _ = await driver(opened, worlds.scripted([]))
    assert await drive(one()) == ()


async def test_plans_of_a_fork_run_side_by_side_and_give_their_results(opened):
    provider = worlds.scripted(lambda request: request.messages[0].text, latency=1.0)
    drive, _ = await driver(opened, provider)
    (results,) = await drive(one(Fork(tuple(one(ask(text, node=text)) for text in "ab"))))
    assert [reply.text for (reply,) in results] == ["a", "b"]
    assert provider.peak == 2
    assert await drive(one(Fork(()))) == ((),)


# Evaluate ------------------------------------------------------------------------------------------------------------


def a_record(value="out"):
    node = Model("hint_1", "w1", ("question",))
    return worlds.record(node, value, instruction="Say the sum.", question="What is 1 plus 3?")


async def test_a_node_is_run_again_with_some_slots_changed(opened):
    drive, ledger = await driver(opened, worlds.scripted())
    (value,) = await drive(one(Evaluate(a_record(), worlds.example(1), {"question": "What is 2 plus 2?"})))
    assert value == "4"
    assert ledger.positions[0].node == "hint_1"
    assert ledger.positions[0].slot == "evaluate"


async def test_a_node_under_two_values_in_one_batch_stands_at_two_positions(opened):
    drive, ledger = await driver(opened, worlds.scripted())
    record, example = a_record(), worlds.example(1)
    changes = [{"question": f"What is {number} plus 0?"} for number in (1, 2)]
    assert await drive(one(*(Evaluate(record, example, change) for change in changes))) == ("1", "2")
    assert len(set(ledger.positions)) == 2


async def test_a_change_of_a_slot_that_the_node_has_not_is_refused(opened):
    drive, _ = await driver(opened, worlds.scripted())
    with pytest.raises(RunError, match="changed the slots nonsense of 'hint_1'"):
        await drive(one(Evaluate(a_record(), worlds.example(1), {"nonsense": "x"})))


# Provider failures ---------------------------------------------------------------------------------------------------


def failing(times):
    """A provider that fails so often and then solves."""
    left = [times]

    def answer(request):
        left[0] -= 1
        return worlds.solve(request) if left[0] < 0 else ProviderFailure("busy", ErrorClass.OVERLOAD)

    return worlds.scripted(answer)


QUESTION = "What is 1 plus 3?"


@pytest.mark.parametrize("times", [1, 2])
async def test_a_provider_failure_is_asked_once_more_before_a_plan_sees_it(opened, times):
    provider = failing(times)
    drive, ledger = await driver(opened, provider)
    plan = one(ask(QUESTION)) if times == 2 else one(Evaluate(a_record(), worlds.example(1), {}))
    (reply,) = await drive(plan)
    assert len(provider.requests) == 2
    assert [position.again for position in ledger.positions] == [0, 1]
    assert isinstance(reply, Failure) == (times == 2)


async def test_a_probe_asks_its_failed_examples_once_more_and_gives_what_is_left_as_failures(opened):
    provider = failing(3)
    drive, _ = await driver(opened, provider)
    graph = worlds.graph(hints=1)
    examples = tuple(worlds.example(number) for number in range(2))
    probe = Probe(graph.initial.replaced({"w1": "Say the sum.", "s": "Say the sum."}), examples)
    (scores,) = await drive(one(probe))
    assert [isinstance(score, Score | Failure) for score in scores] == [True, True]
    assert [getattr(score, "kind", None) for score in scores] == [FailureKind.OVERLOADED, None]


async def test_a_model_failure_is_not_asked_again(opened):
    provider = worlds.scripted([ItemError("filtered", ErrorClass.FILTER)])
    drive, _ = await driver(opened, provider)
    (reply,) = await drive(one(ask()))
    assert reply.kind is FailureKind.FILTER


# Plans that are wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("garbage", "named"), [(("x",), "str"), (7, "int"), (ask(), "Ask")])
async def test_a_plan_that_yields_something_else_is_refused(opened, garbage, named):
    def plan():
        yield garbage

    drive, _ = await driver(opened, worlds.scripted(["hi"]))
    with pytest.raises(RunError, match=f"a plan yielded {named}"):
        await drive(plan())


async def test_a_plan_that_raises_is_named_by_its_position(opened):
    def plan():
        yield (ask(),)
        raise ZeroDivisionError("oh")

    drive, _ = await driver(opened, worlds.scripted(["hi"]))
    where = re.escape("Position(step=3, phase='update', example='e1'")
    with pytest.raises(NodeError, match=f"a plan of the method raised at {where}.*ZeroDivisionError: oh") as caught:
        await drive(plan())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("error", [RunError("mine"), StopError("bill", ErrorClass.QUOTA)])
async def test_errors_that_mean_the_run_pass_through_a_plan(opened, error):
    def plan():
        yield from ()
        raise error

    drive, _ = await driver(opened, worlds.scripted([]))
    with pytest.raises(type(error)):
        await drive(plan())


# Methods of one's own ------------------------------------------------------------------------------------------------


def dial():
    """A graph whose answer is a number parameter, spoken by a function."""

    def speak(question, level):
        """Says the level."""
        return f"{level:.4f}"

    return Graph(
        inputs=("question",),
        parameters=[Parameter("level", Number(1.0, 0.0, 10.0))],
        nodes=[Function("answer", speak, {"question": "question", "level": "level"}, pure=True)],
        output="answer",
    )


def closeness(example, answer):
    return 1.0 - abs(float(answer) - 4.0) / 10.0


def keep_nothing(local):
    yield from ()
    return {}


def spsa(context):
    """Two probes of the whole graph, one on either side, and a step uphill."""
    here = context.parameters["level"].value
    examples = tuple(entry.tape.example for entry in context.scored)
    sides = [context.parameters.replaced({"level": Number(here + side, 0.0, 10.0)}) for side in (0.1, -0.1)]
    up, down = yield tuple(Probe(parameters, examples) for parameters in sides)
    slope = sum(one.value - other.value for one, other in zip(up, down, strict=True)) / (0.2 * len(up))
    edit = Edit("level", context.parameters["level"], Number(here + 10 * slope, 0.0, 10.0), "SPSA")
    return Proposals((candidate(context.parameters, (edit,)),))


async def test_a_method_of_whole_graph_probes_needs_no_change_of_any_pass():
    selection = Selection(threshold=-1.0)
    method = Method("spsa", target_seed, selection, keep_nothing, ordered_list, EvidenceList(), spsa, NoGate())
    spec = worlds.specification(
        graph=dial(),
        loss=Custom("closeness", closeness, pure=True),
        method=method,
        steps=3,
        providers={"forward": worlds.scripted([])},
    )
    async with Trainer(spec) as trainer:
        levels = [step.after["level"].value async for step in trainer]
    assert levels == pytest.approx([2.0, 3.0, 4.0])


async def test_a_finite_difference_of_one_node_gives_a_numeric_gradient(opened):
    def square(x):
        return x * x

    node = Function("y", square, {"x": "x"}, kind=Kind.NUMBER, pure=True)
    record = worlds.record(node, 9.0, x=Number(3.0))

    def slope():
        values = yield tuple(Evaluate(record, worlds.example(1), {"x": Number(x)}) for x in (3.01, 2.99))
        return (values[0] - values[1]) / 0.02

    drive, _ = await driver(opened, worlds.scripted([]))
    assert await drive(slope()) == pytest.approx(6.0)
