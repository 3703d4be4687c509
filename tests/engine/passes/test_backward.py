"""Backward, against gradients computed by hand and by automatic differentiation.

The numeric method lives here alone: h is the exact vector-Jacobian product of a function node, A is the sum.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import autograd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import (
    Ask,
    Demonstrations,
    Edit,
    Example,
    Failure,
    FailureKind,
    Function,
    Gradient,
    Graph,
    Local,
    Method,
    Model,
    Number,
    Numeric,
    Parameter,
    Plan,
    Position,
    Proposals,
    Provenance,
    RunError,
    Scored,
    Seed,
    Selection,
    Specification,
    Splits,
    Stance,
    Status,
    StrictGate,
    Tape,
    UpdateContext,
    change,
    keep,
    lost,
    optimize,
)
from semprop.engine.gradients import Message
from semprop.engine.method import Collected, candidate
from semprop.engine.nodes import Purpose
from semprop.engine.parameters import Kind, ParameterValue
from semprop.engine.passes.backward import backward
from semprop.engine.passes.forward import forward, wiring
from semprop.engine.plans import nothing
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.scheduler import group
from semprop.engine.tape import Record, SlotValue
from semprop.providers import Scripted, VirtualClock
from semprop.providers.base import Message as Turn
from semprop.providers.base import Request

Direct = Callable[[Scripted], Any]
Polynomial = Sequence[tuple[float, Sequence[int]]]
"""(coefficient, exponent of each slot) for each term."""

LOSS = Provenance("e")


# A numeric method ----------------------------------------------------------------------------------------------------


class PolynomialNode:
    """A polynomial of the slots s0, s1, …, and its exact partial derivatives."""

    def __init__(self, terms: Polynomial) -> None:
        self.terms = terms

    def __call__(self, **slots: Any) -> Any:
        total: Any = 0.0
        for coefficient, exponents in self.terms:
            product: Any = coefficient
            for place, exponent in enumerate(exponents):
                for _ in range(exponent):
                    product = product * slots[f"s{place}"]
            total = total + product
        return total

    def partial(self, slot: int, values: Sequence[float]) -> float:
        total = 0.0
        for coefficient, exponents in self.terms:
            if exponents[slot]:
                product = coefficient * exponents[slot]
                for place, exponent in enumerate(exponents):
                    product *= values[place] ** (exponent - (place == slot))
                total += product
        return total


def number(value: Any) -> float:
    return value.value if isinstance(value, Number) else float(value)


class Vjp:
    """h: for each active slot ∂node/∂slot · gradient. Notes the nodes that it was called for."""

    def __init__(self) -> None:
        self.called: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        record = local.record
        assert isinstance(record.node, Function)
        assert isinstance(record.node.call, PolynomialNode)
        self.called.append((record.name, local.active))
        values = [number(slot.value) for slot in record.slots]
        (above,) = [message.content for message in local.gradient.messages]
        given = {
            slot.name: change(
                record.node.call.partial(place, values) * above, Provenance(local.example, record.name, slot.name)
            )
            for place, slot in enumerate(record.slots)
            if slot.name in local.active
        }
        return nothing(given)


def summed(variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
    total = sum(message.content for message in messages if message.content is not None)
    return Gradient(variable, kind, (change(total, LOSS),))


def listed(variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
    return Gradient(variable, kind, messages)


async def drive(plan: Plan[Any]) -> Any:
    """Runs a plan that asks nothing."""
    try:
        next(plan)
    except StopIteration as end:
        return end.value
    raise AssertionError("this plan asks nothing")


def node(name: str, sources: Sequence[str], terms: Polynomial) -> Function:
    inputs = {f"s{place}": source for place, source in enumerate(sources)}
    return Function(name, PolynomialNode(terms), inputs, kind=Kind.NUMBER, pure=True)


def numeric_graph(nodes: Sequence[Function], values: Mapping[str, float], frozen: Sequence[str] = ()) -> Graph:
    parameters = [Parameter(name, Number(value), trainable=name not in frozen) for name, value in values.items()]
    return Graph(inputs=(), parameters=parameters, nodes=nodes, output=nodes[-1].name)


async def differentiated(
    graph: Graph, direct: Direct, *more: tuple[str, float], h: Vjp | None = None
) -> dict[str, float]:
    """Variable → derivative of the output, plus `weight` times each variable in `more`."""
    async with group() as start:
        tape = await forward(
            wiring(graph), graph.initial, Example("e", {}), Position(0, "f"), direct(Scripted([])), start
        )
        seeds = [Seed(graph.output, change(1.0, LOSS)), *(Seed(name, change(weight, LOSS)) for name, weight in more)]
        rules = (h or Vjp(), summed)
        found = await backward(tape, seeds, graph.trainable, rules, ReplyStyle.JSON, drive, start)
    return {name: gradient.messages[0].content for name, gradient in found.items()}  # type: ignore[misc]


# By hand -------------------------------------------------------------------------------------------------------------


async def test_a_product_and_a_sum(direct: Direct) -> None:
    # y = a·b + b at a=2, b=3: dy/da = b = 3, dy/db = a + 1 = 3.
    graph = numeric_graph([node("y", ("a", "b"), [(1, (1, 1)), (1, (0, 1))])], {"a": 2, "b": 3})
    assert await differentiated(graph, direct) == {"y": 1.0, "a": 3.0, "b": 3.0}


async def test_the_same_variable_in_two_slots_gets_both_parts(direct: Direct) -> None:
    # y = s0²·s1 with s0 = s1 = a: y = a³, dy/da = 3a² = 12 at 2. One slot alone gives 2a² = 8 or a² = 4.
    graph = numeric_graph([node("y", ("a", "a"), [(1, (2, 1))])], {"a": 2})
    assert await differentiated(graph, direct) == {"y": 1.0, "a": 12.0}


async def test_a_parameter_that_steers_two_nodes_gets_from_both(direct: Direct) -> None:
    # u = a·a, y = u·a = a³ at 3: dy/du = a = 3; dy/da = 3a² = 27.
    graph = numeric_graph([node("u", ("a",), [(1, (2,))]), node("y", ("u", "a"), [(1, (1, 1))])], {"a": 3})
    assert await differentiated(graph, direct) == {"y": 1.0, "u": 3.0, "a": 27.0}


async def test_fan_out_sums_over_successors(direct: Direct) -> None:
    # u = 2a; v = u²; w = 3u; y = v·w = 6… at a=1: u=2, v=4, w=6, y = 24; dv = w = 6, dw = v = 4,
    # du = 6·2u + 4·3 = 24 + 12 = 36, da = 72.
    graph = numeric_graph(
        [
            node("u", ("a",), [(2, (1,))]),
            node("v", ("u",), [(1, (2,))]),
            node("w", ("u",), [(3, (1,))]),
            node("y", ("v", "w"), [(1, (1, 1))]),
        ],
        {"a": 1},
    )
    assert await differentiated(graph, direct) == {"y": 1.0, "w": 4.0, "v": 6.0, "u": 36.0, "a": 72.0}


async def test_a_seed_at_an_inner_node_is_added_to_what_comes_from_above(direct: Direct) -> None:
    # u = a², y = 3u; L = y + 10u at a=2: du = 3 + 10 = 13, da = 13·2a = 52.
    graph = numeric_graph([node("u", ("a",), [(1, (2,))]), node("y", ("u",), [(3, (1,))])], {"a": 2})
    assert await differentiated(graph, direct, ("u", 10.0)) == {"y": 1.0, "u": 13.0, "a": 52.0}


async def test_a_seed_at_a_parameter_counts_as_well(direct: Direct) -> None:
    graph = numeric_graph([node("y", ("a",), [(3, (1,))])], {"a": 2})
    assert await differentiated(graph, direct, ("a", 0.5)) == {"y": 1.0, "a": 3.5}


async def test_inactive_slots_get_no_message_and_nodes_without_an_active_slot_no_call(direct: Direct) -> None:
    # c is frozen: u depends on it alone, so h is never called for u and v asks for the slot of a only.
    graph = numeric_graph(
        [node("u", ("c",), [(1, (2,))]), node("v", ("u", "a"), [(1, (1, 1))]), node("y", ("v", "c"), [(1, (1, 1))])],
        {"a": 2, "c": 3},
        frozen=("c",),
    )
    h = Vjp()
    # u = 9, v = 18, y = 54: dv = c = 3, da = 3·9 = 27.
    assert await differentiated(graph, direct, h=h) == {"y": 1.0, "v": 3.0, "a": 27.0}
    assert h.called == [("y", ("s0",)), ("v", ("s1",))]


async def test_a_seed_at_a_node_that_nothing_trainable_reaches_goes_nowhere(direct: Direct) -> None:
    graph = numeric_graph(
        [node("u", ("c",), [(1, (2,))]), node("y", ("u", "a"), [(1, (1, 1))])], {"a": 2, "c": 3}, frozen=("c",)
    )
    assert await differentiated(graph, direct, ("u", 5.0)) == {"y": 1.0, "a": 9.0}


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[tuple[list[int], Polynomial]], list[float], list[bool]]:
    """Polynomials over roots and earlier nodes (by number), the roots' values, and which roots are frozen."""
    roots = draw(st.integers(1, 3))
    nodes = []
    for index in range(draw(st.integers(1, 5))):
        sources = draw(st.lists(st.integers(0, roots + index - 1), min_size=1, max_size=3))
        if index:
            sources[0] = roots + index - 1  # so that each node reaches the output
        exponents = st.tuples(*[st.integers(0, 2)] * len(sources))
        terms = draw(st.lists(st.tuples(st.integers(-2, 2).map(float), exponents), min_size=1, max_size=3))
        nodes.append((sources, terms))
    values = draw(st.lists(st.integers(-4, 4).map(lambda n: n / 4), min_size=roots, max_size=roots))
    frozen = draw(st.lists(st.booleans(), min_size=roots, max_size=roots))
    return nodes, values, frozen


@given(programs())
def test_random_polynomial_graphs_agree_with_automatic_differentiation(
    program: tuple[list[tuple[list[int], Polynomial]], list[float], list[bool]],
) -> None:
    nodes, values, frozen = program
    used = sorted({source for sources, _ in nodes for source in sources if source < len(values)})
    names = [f"p{root}" for root in range(len(values))] + [f"n{index}" for index in range(len(nodes))]
    graph = numeric_graph(
        [node(f"n{index}", [names[s] for s in sources], terms) for index, (sources, terms) in enumerate(nodes)],
        {names[root]: values[root] for root in used},
        frozen=[names[root] for root in used if frozen[root]],
    )

    def output(*roots: Any) -> Any:
        known = dict(zip(used, roots, strict=True))
        for index, (sources, terms) in enumerate(nodes):
            slots = {f"s{place}": known[source] for place, source in enumerate(sources)}
            known[len(values) + index] = PolynomialNode(terms)(**slots)
        return known[len(values) + len(nodes) - 1] + 0.0 * sum(roots)

    found = asyncio.run(differentiated(graph, direct_functions))
    at = [values[root] for root in used]
    for place, root in enumerate(used):
        name = names[root]
        if frozen[root]:
            assert name not in found
        else:
            wanted = float(autograd.grad(output, place)(*at))
            assert found.get(name, 0.0) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


class direct_functions:
    """A seam for graphs of pure functions only."""

    def __init__(self, provider: Scripted) -> None:
        pass

    async def ask_function(self, position: Position, call: Any) -> Any:
        from_call = call.call(**call.arguments)
        return type("Returned", (), {"value": from_call})()


# Stances -------------------------------------------------------------------------------------------------------------


class Canned:
    """h: answers each node from a table of slot → message; notes who was asked."""

    def __init__(self, table: Mapping[str, Mapping[str, Message]]) -> None:
        self.table = table
        self.called: list[str] = []

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        self.called.append(local.record.name)
        return nothing(self.table[local.record.name])


def record(name: str, told: str, *sources: str, value: object = "v") -> Record:
    slots = [SlotValue("instruction", told, Purpose.INSTRUCTION, "do")]
    slots += [SlotValue(f"s{place}", source, Purpose.INPUT, "v") for place, source in enumerate(sources)]
    return Record(Model(name, told, {slot.name: slot.source for slot in slots[1:]}), tuple(slots), value)


CHAIN = (record("first", "told_1", "question"), record("answer", "told_2", "first"))


def tape_of(*records: Record) -> Tape:
    return Tape(Example("e", {"question": "?"}), "hash", records, "answer")


async def gradients(
    h: Any, *seeds: Seed, records: Sequence[Record] = CHAIN, trainable: Sequence[str] = ("told_1", "told_2")
) -> Mapping[str, Gradient]:
    async with group() as start:
        return await backward(tape_of(*records), seeds, trainable, (h, listed), ReplyStyle.JSON, drive, start)


async def test_a_gradient_that_is_all_keep_passes_keep_on_without_a_call() -> None:
    h = Canned({})
    found = await gradients(h, Seed("answer", keep(LOSS)))
    assert h.called == []
    assert {name: gradient.stance for name, gradient in found.items()} == dict.fromkeys(
        ("answer", "first", "told_1", "told_2"), Stance.KEEP
    )
    assert found["told_1"].messages == (keep(Provenance("e", "first", "instruction")),)


async def test_a_gradient_that_was_lost_passes_nothing_on() -> None:
    h = Canned({})
    found = await gradients(h, Seed("answer", lost(LOSS)))
    assert h.called == []
    assert list(found) == ["answer"]


async def test_one_change_among_keeps_and_losses_is_a_change() -> None:
    h = Canned({"answer": {}})
    found = await gradients(h, *(Seed("answer", message) for message in (keep(LOSS), lost(LOSS), change("x", LOSS))))
    assert found["answer"].stance is Stance.CHANGE
    assert h.called == ["answer"]


async def test_a_slot_that_h_leaves_out_has_lost_its_message() -> None:
    h = Canned({"answer": {"s0": change("shorter", LOSS)}, "first": {"instruction": change("better", LOSS)}})
    found = await gradients(h, Seed("answer", change("wrong", LOSS)))
    assert found["told_2"].stance is Stance.LOST
    assert found["told_1"].changes[0].content == "better"


async def test_an_answer_for_a_slot_that_does_not_exist_or_is_not_active_is_refused() -> None:
    for slot in ("s9", "s0"):
        h = Canned({"first": {slot: change("x", LOSS)}})
        with pytest.raises(RunError, match=f"answered for.*{slot}.*of 'first'"):
            await gradients(h, Seed("first", change("wrong", LOSS)))


async def test_a_seed_for_what_did_not_run_is_refused_with_the_example() -> None:
    with pytest.raises(RunError, match="seed of example 'e' names 'second'"):
        await gradients(Canned({}), Seed("second", change("x", LOSS)))


async def test_without_a_seed_there_is_no_gradient() -> None:
    assert await gradients(Canned({})) == {}


async def test_a_failed_node_is_seeded_itself_since_nothing_after_it_ran() -> None:
    failed = record("first", "told_1", "question", value=Failure(FailureKind.TRUNCATED, "cut"))
    h = Canned({"first": {"instruction": change("be brief", LOSS)}})
    found = await gradients(h, Seed("first", change("too long", LOSS)), records=[failed])
    assert [(name, gradient.changes[0].content) for name, gradient in found.items()] == [
        ("first", "too long"),
        ("told_1", "be brief"),
    ]


# Order ---------------------------------------------------------------------------------------------------------------


class Echo:
    """h: tells every active slot who asks."""

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        name = local.record.name
        return nothing({slot: change(f"{name}.{slot}", Provenance("e", name, slot)) for slot in local.active})


SHARED = (
    record("root", "told", "question"),
    record("left", "told", "root", "root"),
    record("right", "told", "root"),
    record("answer", "told", "right", "root", "left"),
)


@given(st.permutations(range(4)))
def test_messages_stand_seed_first_then_by_successor_then_by_slot_whatever_finished_first(order: list[int]) -> None:
    latency = {one.name: 1.0 + place for one, place in zip(SHARED, order, strict=True)}

    async def main() -> Mapping[str, Gradient]:
        clock = VirtualClock()

        async def slow(plan: Plan[Any]) -> Any:
            given = await drive(plan)
            name = next(iter(given.values())).source.successor
            await clock.sleep(latency[name])
            return given

        seeds = [Seed("root", change("of root", LOSS)), Seed("answer", change("wrong", LOSS)), Seed("root", keep(LOSS))]
        async with group() as start:
            return await backward(tape_of(*SHARED), seeds, ("told",), (Echo(), listed), ReplyStyle.JSON, slow, start)

    found = asyncio.run(main())
    assert list(found) == ["answer", "right", "left", "root", "told"]
    assert [message.content for message in found["root"].messages] == [
        "of root",
        None,
        "left.s0",
        "left.s1",
        "right.s0",
        "answer.s1",
    ]
    assert [message.content for message in found["told"].messages] == [
        f"{name}.instruction" for name in ("root", "left", "right", "answer")
    ]


async def test_arms_are_asked_at_the_same_time() -> None:
    clock = VirtualClock()

    async def slow(plan: Plan[Any]) -> Any:
        await clock.sleep(1.0)
        return await drive(plan)

    async with group() as start:
        await backward(
            tape_of(*SHARED),
            [Seed("answer", change("x", LOSS))],
            ("told",),
            (Echo(), listed),
            ReplyStyle.JSON,
            slow,
            start,
        )
    assert clock.now() == 3.0


# Kinds ---------------------------------------------------------------------------------------------------------------


async def test_a_gradient_knows_the_kind_of_its_variable() -> None:
    values: dict[str, Any] = {
        "text": "t",
        "number": Number(1),
        "count": 2,
        "shown": Demonstrations(),
        "thing": object(),
    }
    slots = tuple(SlotValue(name, name, Purpose.INPUT, value) for name, value in values.items())
    one = Record(Function("answer", print, tuple(values), kind=Kind.NUMBER), slots, 1.0)
    found = await gradients(Echo(), Seed("answer", change(1.0, LOSS)), records=[one], trainable=tuple(values))
    assert {name: gradient.kind for name, gradient in found.items()} == {
        "answer": Kind.NUMBER,
        "text": Kind.TEXT,
        "number": Kind.NUMBER,
        "count": Kind.NUMBER,
        "shown": Kind.DEMONSTRATIONS,
        "thing": Kind.OPAQUE,
    }


# A method that nobody foresaw -----------------------------------------------------------------------------------------
# Target propagation: a gradient is the value that a variable should have had. Nothing outside of this file knows it.


def target_of_loss(scored: Scored) -> tuple[Seed, ...]:
    """F: the right answer itself."""
    assert scored.tape.example.expected is not None
    return (Seed(scored.tape.output, change(scored.tape.example.expected, Provenance(scored.tape.example.id))),)


@dataclass(frozen=True)
class InverseModel:
    """h: a model is asked for the inputs that would have given the target; the instruction is told the pair."""

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        target = local.gradient.messages[0].content
        messages: dict[str, Message] = {}
        for slot in local.record.slots:
            source = Provenance(local.example, local.record.name, slot.name)
            if slot.name not in local.active:
                continue
            if slot.purpose is Purpose.INSTRUCTION:
                given = {other.name: other.value for other in local.record.slots if other.purpose is Purpose.INPUT}
                messages[slot.name] = change(f"{given} must give {target}", source)
            else:
                asked = f"Which {slot.name} gives {target}?"
                request = Request((Turn.of("user", asked),))
                (reply,) = yield (Ask("backward", request, local.record.name, slot.name),)
                messages[slot.name] = lost(source) if isinstance(reply, Failure) else change(reply.text, source)
        return messages


def agreed(variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
    """A: the target that most successors want."""
    ordered = sorted(messages, key=lambda message: -[other.content for other in messages].count(message.content))
    return Gradient(variable, kind, ordered[:1] and (ordered[0],))


def pairs(parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected:
    """B: all pairs."""
    return Collected(parameter, value, gradients)


@dataclass(frozen=True)
class Fit:
    """U: a model writes the rule that gives all targets."""

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        asks = tuple(
            Ask(
                "update",
                Request((Turn.of("user", f"{name}: " + "; ".join(g.changes[0].content for g in found.gradients)),)),  # type: ignore[misc]
                name,
            )
            for name, found in context.collected.items()
        )
        replies = yield asks
        edits = [
            Edit(name, found.value, reply.text)
            for (name, found), reply in zip(context.collected.items(), replies, strict=True)
        ]
        return Proposals(tuple(candidate(context.parameters, (edit,)) for edit in edits))


TARGET_PROPAGATION = Method(
    "target-propagation", target_of_loss, Selection(), InverseModel(), agreed, pairs, Fit(), StrictGate()
)


def propagating(request: Request) -> str:
    """Doubling, then adding one. The second step does its work; the first one's instruction says to triple."""
    text = request.messages[-1].text
    if text.startswith("Which half gives "):
        return str(int(text.removeprefix("Which half gives ").removesuffix("?")) - 1)
    if text.startswith("told_half: "):
        found = re.findall(r"'question': '(\d+)'} must give (\d+)", text)
        return f"times {int(found[0][1]) // int(found[0][0])}"
    if text.startswith("told_answer: "):
        return "plus 7"
    kind, by = request.messages[0].text.split()
    return str(int(text) * int(by) if kind == "times" else int(text) + int(by))


async def test_target_propagation_runs_through_a_whole_optimization_without_touching_a_pass() -> None:
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("told_half", "times 3"), Parameter("told_answer", "plus 1")],
        nodes=[Model("half", "told_half", ("question",)), Model("answer", "told_answer", ("half",))],
        output="answer",
    )
    examples = [Example(f"e{n}", {"question": str(n)}, str(2 * n + 1)) for n in range(1, 90)]
    scripted = Scripted(propagating, latency=lambda request: 1.0 + len(request.messages[-1].text) % 3)
    result = await optimize(
        Specification(
            graph=graph,
            loss=Numeric(),
            splits=Splits(tuple(examples[:8]), tuple(examples[8:16]), tuple(examples[16:])),
            method=TARGET_PROPAGATION,
            providers={"forward": scripted},
            steps=1,
        )
    )
    assert dict(result.parameters) == {"told_half": "times 2", "told_answer": "plus 1"}
    assert result.status is Status.DONE
    (step,) = result.steps
    assert [gradients["half"].messages[0].content for gradients in step.gradients] == [
        str(int(str(entry.tape.example.expected)) - 1) for entry in step.selected.wrong
    ]
    assert result.held_out is not None and result.held_out.strict.after == 1.0
    assert result.result_document()["method"] == "target-propagation"
