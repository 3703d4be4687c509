"""Reuse: what a gate costs after an edit. Counted in the mock endpoint's own ledger, through a whole step of a trainer.

The graph is a chain of three calls, each of which reads what the one before wrote; every example has prompts of its
own, so that nothing is saved by accident. The method proposes one fixed edit and asks no model, so every attempt
belongs to a forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from semprop.bench.speed.mock import Mock, mock
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.engine import Exact, Example, Graph, Model, Parameter, Specification, Splits, Trainer, semantic
from semprop.engine.method import Candidate, Edit, Method, Proposals, UpdateContext, candidate
from semprop.engine.plans import Plan, nothing
from semprop.providers import connect
from semprop.providers.base import Provider

TOLD = {
    "first": "Give the value of the field primary.",
    "second": "Repeat the input unchanged.",
    "last": "Use upper case.",
}
"""What the three nodes are told, in the order of the chain."""

EDITS = {
    "last": "Capitalise every letter of the answer.",
    "second": "Answer in capitals.",
    "first": "Give the value of the field backup.",
}
"""One edit of each node; those of the first two change what it writes, too."""

CALLS = {"last": 1, "second": 2, "first": 3}
"""The calls that an example costs after that edit: those of the node and of the nodes behind it."""


def chain() -> Graph:
    """Three calls, one after the other."""
    names = [*TOLD]
    nodes = [Model(name, f"{name}-told", (before,)) for name, before in zip(names, ["record", *names], strict=False)]
    return Graph(
        inputs=("record",),
        parameters=[Parameter(f"{name}-told", text) for name, text in TOLD.items()],
        nodes=nodes,
        output="last",
    )


def example(number: int) -> Example:
    """A record with two fields. Nobody gives the expected answer, so every example is worth a gradient, and no
    candidate is above the incumbent before the gate's last item."""
    return Example(f"e{number}", {"record": f"primary: harbour {number}\nbackup: quarry {number}"}, "nothing of it")


def proposing(edits: Sequence[tuple[str, str]]) -> Method:
    """A method that has no backward pass, and always proposes the same candidates, one an edit (parameter, text)."""

    def update(context: UpdateContext) -> Plan[Proposals]:
        return nothing(Proposals(tuple(_edited(context, name, text) for name, text in edits)))

    return replace(semantic(), name="proposing", seed=lambda scored: (), update=update)


def _edited(context: UpdateContext, name: str, text: str) -> Candidate:
    return candidate(context.parameters, (Edit(name, context.parameters[name], text),))


def specification(provider: Provider, node: str, forward: int, gate: int) -> Specification:
    """One step: so many examples forward, then a gate on so many others after an edit of this node."""
    return Specification(
        graph=chain(),
        loss=Exact(),
        splits=Splits(tuple(map(example, range(forward))), tuple(map(example, range(forward, forward + gate))), ()),
        method=proposing([(f"{node}-told", EDITS[node])]),
        providers={"forward": provider},
        steps=1,
        minibatch=forward,
        examples_per_gradient=None,
        in_flight=64,
    )


async def calls_after(node: str, endpoint: Mock, forward: int, gate: int) -> float:
    """The attempts that the candidate cost for each example of the gate.

    What the forward pass and the incumbent cost is known, three for each example; the rest is the candidate's.
    """
    await endpoint.reset()
    async with Trainer(specification(connect(f"openai:any@{endpoint.url}"), node, forward, gate)) as trainer:
        step = await anext(trainer)
    assert step.race is not None, "the method always proposes"
    assert len(step.race.board.rows) == gate, "no candidate is above the incumbent, so every item is needed"
    attempts = len(await endpoint.ledger())
    return (attempts - 3 * (forward + gate)) / gate


async def reuse(settings: Settings) -> Sequence[Row]:
    """Calls for each example of a gate, after an edit of each of three nodes."""
    forward, gate = settings.sized(64, 4), settings.sized(256, 8)
    rows = []
    async with mock({"latency": {"first": 0.01}}, settings) as endpoint:
        for node in EDITS:
            samples = [await calls_after(node, endpoint, forward, gate) for _ in range(settings.repetitions)]
            rows.append(
                Row(
                    what=f"gate of {gate} examples after an edit of the {node} of 3 nodes: calls for each example",
                    samples=samples,
                    unit=" of 3",
                    bar=at_most(CALLS[node], " of 3"),
                    beside="the ledger's attempts, less 3 for each example of the forward pass and of the incumbent",
                    note=f"one step of a trainer, {forward} examples forward",
                )
            )
    return rows


MEASURES: dict[str, Measure] = {"reuse": reuse}
