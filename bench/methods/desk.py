"""What another package's program asks while it optimizes our graph: prompts, values, functions, scores.

So that every package runs the nodes exactly as this product does, and is judged by the same metric. Takes JSON data,
gives JSON data; asks no model and starts nothing. Only training and gate examples are known here: no package can see
the test split (law L7).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from semprop.engine.errors import SempropError, SpecificationError, UsageError
from semprop.engine.example import Example
from semprop.engine.losses import Answer, PureLoss
from semprop.engine.nodes import Function, Model, Purpose
from semprop.engine.parameters import Kind, Parameters
from semprop.engine.prompts.forward import FORWARD_TAGGED, forward_request
from semprop.engine.prompts.words import target_words
from semprop.engine.replies.parsers import ReplyError, parse_answer
from semprop.engine.tape import SlotValue, shown
from semprop.engine.training.specification import Specification
from semprop.providers.base import Image


class Desk:
    """Answers the questions of one program about one specification.

    Raises:
        UsageError: the task has something that the packages cannot be asked to run; the message says what.
    """

    def __init__(self, spec: Specification) -> None:
        check(spec)
        self._spec = spec
        self._examples = {example.id: example for example in (*spec.splits.train, *spec.splits.gate)}

    async def answer(self, question: Mapping[str, Any]) -> dict[str, object]:
        """The answer to one question; what went wrong is told under "error"."""
        try:
            match question:
                case {"do": "render", "node": str(node), "instruction": str(text), "inputs": dict(inputs)}:
                    return {"messages": self._rendered(node, text, inputs)}
                case {"do": "read", "node": str(node), "reply": str(reply)}:
                    return {"value": self._read(node, reply)}
                case {"do": "run", "node": str(node), "inputs": dict(inputs)}:
                    return {"value": await self._ran(node, inputs)}
                case {"do": "score", "example": str(example), "answer": str(answer), "reply": str(reply)}:
                    return self._scored(self._examples[example], answer, reply)
        except (SempropError, KeyError) as error:
            return {"error": f"{type(error).__name__}: {error}"}
        return {"error": f"the desk does not know {str(question)[:200]}"}

    def order(self, peer: str, models: Mapping[str, str], seed: int) -> dict[str, object]:
        """What a program is told first. `models` maps roles to the names that the endpoint knows."""
        spec = self._spec
        initial, graph = spec.initial, spec.graph
        return {
            "peer": peer,
            "seed": seed,
            "update": models["update"],
            "inputs": list(graph.inputs),
            "output": graph.output,
            "parameters": {name: initial[name] for name in graph.trainable if isinstance(initial[name], str)},
            "nodes": [_node(node, initial, models) for node in graph.nodes],
            "train": [_example(example, graph.inputs) for example in spec.splits.train],
            "val": [_example(example, graph.inputs) for example in spec.splits.gate],
        }

    def _rendered(self, name: str, text: str, inputs: Mapping[str, str]) -> list[dict[str, str]]:
        node = self._spec.graph.node(name)
        assert isinstance(node, Model), "functions are run, not rendered"
        slots = []
        for slot in node.slots:
            value: object = self._spec.initial.get(slot.source, "")
            if slot.purpose is Purpose.INSTRUCTION:
                value = text
            elif slot.purpose is Purpose.INPUT:
                value = inputs.get(slot.name, "")
            slots.append(SlotValue(slot.name, slot.source, slot.purpose, value))
        request = forward_request(node, slots, "", "")
        return [{"role": turn.role, "content": turn.text} for turn in request.messages]

    def _read(self, name: str, reply: str) -> str | None:
        node = self._spec.graph.node(name)
        if not isinstance(node, Model) or not node.is_tagged:
            return reply.strip()
        try:
            return parse_answer(reply)
        except ReplyError:
            return None

    async def _ran(self, name: str, inputs: Mapping[str, str]) -> str:
        node = self._spec.graph.node(name)
        assert isinstance(node, Function), "models are asked, not run"
        try:
            result = node.call(**inputs)
            return shown(await result if inspect.isawaitable(result) else result)
        except Exception as error:  # noqa: BLE001 — the user's code may raise anything
            # It is the example's fault: it is told, and the package goes on.
            return f"[no value: {type(error).__name__}: {error}]"

    def _scored(self, example: Example, answer: str, reply: str) -> dict[str, object]:
        loss = self._spec.loss
        assert isinstance(loss, PureLoss), "checked before"
        score = loss(example, Answer(answer, reply or answer))
        words = [] if example.expected is None or score.value == 1.0 else [target_words(example.expected)]
        words += [score.feedback] if score.feedback else []
        return {"score": score.value, "feedback": "\n".join(words) or "This output is right."}


def check(spec: Specification) -> None:
    """Whether other packages can run and judge the task.

    Raises:
        UsageError: they cannot; the message says what stands in the way.
    """
    if not isinstance(spec.loss, PureLoss):
        raise UsageError(
            f"the loss {spec.loss.name!r} asks a model or the user's code, which other packages cannot share: leave "
            "--peers out, or take a task whose loss is a function of the answer"
        )
    for node in spec.graph.nodes:
        if isinstance(node, Model) and node.choices:
            raise UsageError(f"node {node.name!r} has constrained choices, which other packages cannot ask for")
        if isinstance(node, Function) and node.kind is not Kind.TEXT:
            raise UsageError(f"the function {node.name!r} gives {node.kind}, and other packages pass on text alone")


def _node(node: Model | Function, initial: Parameters, models: Mapping[str, str]) -> dict[str, object]:
    slots = [[slot.name, slot.source] for slot in node.slots if slot.purpose is Purpose.INPUT]
    if isinstance(node, Function):
        return {"name": node.name, "model": False, "instruction": "", "inputs": slots}
    return {
        "name": node.name,
        "model": True,
        "instruction": node.instruction,
        "fixed": initial[node.instruction],
        "ending": FORWARD_TAGGED if node.is_tagged else "",
        "inputs": slots,
        "role": models.get(node.role, models["forward"]),
        "temperature": node.sampling.temperature,
        "max_tokens": node.sampling.max_tokens,
    }


def _example(example: Example, inputs: tuple[str, ...]) -> dict[str, object]:
    pictures = [name for name in inputs if isinstance(example.inputs[name], Image)]
    if pictures:
        raise SpecificationError(
            f"example {example.id!r} shows a picture ({pictures[0]!r}): the packages that are compared are given text "
            "alone, so choose a task of texts"
        )
    return {"id": example.id, "inputs": {name: example.inputs[name] for name in inputs}}
