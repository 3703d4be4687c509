"""Sentences that know nothing of a task: a line on the form of the answer, general advice, worked examples. Pure.

They are added to a graph's own instructions, to see what the graph gains before anything is optimized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from semprop.engine.example import Example, draw, words_of
from semprop.engine.graph import Graph
from semprop.engine.losses import LabelProbability, Loss, MultipleChoice, Numeric
from semprop.engine.methods.clauses import ClausePool
from semprop.engine.nodes import Model
from semprop.engine.parameters import Kind, Parameters

GENERAL: Mapping[str, str] = {
    "step by step": "Think step by step.",
    "careful": "Read everything carefully, and check your answer before you give it.",
    "brief": "Be brief and exact.",
}
"""Advice for every instruction, whatever the task."""

WORKED = 4
"""So many worked examples are shown."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Parameters that differ from the start by something general."""

    name: str
    parameters: Parameters


def format_line(loss: Loss, labels: Sequence[str]) -> str:
    """One line on the form of the answer, as far as task and loss tell it."""
    if labels:
        return f"Answer with exactly one of these and nothing else: {', '.join(labels)}."
    match loss:
        case Numeric():
            return "Answer with the number only."
        case MultipleChoice() | LabelProbability():
            return "Answer with the letter of the right option only."
        case _:
            return "Write the answer only, and nothing else."


def output_instruction(graph: Graph) -> str | None:
    """The parameter that steers the graph's last model node; None if that cannot be told, as after a function."""
    node = graph.node(graph.output)
    if not isinstance(node, Model):
        return None
    return node.instruction if graph.parameter(node.instruction).kind is Kind.TEXT else None


def texts(graph: Graph) -> tuple[str, ...]:
    """The trainable instructions, in the graph's order."""
    return tuple(name for name in graph.trainable if graph.parameter(name).kind is Kind.TEXT)


def with_line(graph: Graph, start: Parameters, name: str, line: str) -> Parameters | None:
    """The parameters with a line added to one of them; None if it would be too long."""
    text = f"{start[name]}\n{line}".strip()
    return None if len(text.encode()) > graph.parameter(name).max_bytes else start.replaced({name: text})


def with_format(graph: Graph, start: Parameters, loss: Loss, labels: Sequence[str]) -> Parameters | None:
    """The untrained graph with one line on the form of the answer."""
    name = output_instruction(graph)
    return None if name is None else with_line(graph, start, name, format_line(loss, labels))


def variants(
    graph: Graph, start: Parameters, loss: Loss, labels: Sequence[str], worked: Sequence[Example]
) -> tuple[Variant, ...]:
    """General instructions, the format line, and worked examples out of `worked`, which nothing may be scored on."""
    found = []
    for name, advice in GENERAL.items():
        added: Parameters | None = start
        for parameter in texts(graph):
            added = None if added is None else with_line(graph, added, parameter, advice)
        found.append((name, added))
    found.append(("format line", with_format(graph, start, loss, labels)))
    last, shown = output_instruction(graph), worked_examples(worked)
    if last is not None and shown:
        found.append((f"{WORKED} worked examples", with_line(graph, start, last, shown)))
    return tuple(Variant(name, parameters) for name, parameters in found if parameters not in (None, start))


def worked_examples(examples: Sequence[Example]) -> str:
    """Questions with their right answers, as text."""
    blocks = [
        "\n".join(
            [
                *(f"{name}: {words_of(given)}" for name, given in example.inputs.items()),
                f"answer: {example.expected}",
            ]
        )
        for example in examples
        if example.expected is not None
    ]
    return "" if not blocks else "Examples:\n\n" + "\n\n".join(blocks)


def drawn_from(pools: Mapping[str, ClausePool], start: Parameters, seed: int) -> dict[str, str]:
    """Another instruction for each parameter that has clauses: one clause of each group, drawn by the seed."""
    chosen = {}
    for name, groups in pools.items():
        clauses = [
            max((clause for clause in group if clause.strip()), key=lambda clause: draw(seed, name, clause), default="")
            for group in groups
        ]
        text = " ".join(filter(None, clauses))
        if "{" not in text and text != start[name]:
            chosen[name] = text
    return chosen
