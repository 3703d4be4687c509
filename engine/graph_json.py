"""A graph as text: JSON out and in, Mermaid out. Takes and gives strings and graphs.

Reading imports nothing and runs nothing: functions come from the caller, by node name. A file says whether a function
had a backward, so that a graph never loses one unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import orjson

from semprop.engine.constraints import constraints_of
from semprop.engine.constraints import document_of as document_of_constraints
from semprop.engine.errors import GraphError, SpecificationError, UsageError
from semprop.engine.fields import Fields
from semprop.engine.graph import Graph
from semprop.engine.nodes import Function, Model, Node, Placement, Purpose, ReplyFormat, Truncation
from semprop.engine.parameters import Kind, Parameter, document_of, value_of
from semprop.providers.base import Sampling

SCHEMA = 1
"""The number of the JSON form; a reader refuses one that it does not know."""


class Differentiable(NamedTuple):
    """A function together with its backward, as `functions` of `from_json` takes it."""

    call: Callable[..., Any]
    backward: Callable[..., Mapping[str, Any]]


Functions = Mapping[str, Callable[..., Any] | Differentiable]
"""Function node's name → the function, or the function and its backward."""


def to_json(graph: Graph) -> str:
    """The graph as a JSON document; `from_json` gives an equal graph back. Functions are named, not stored."""
    document = {
        "schema": SCHEMA,
        "inputs": list(graph.inputs),
        "parameters": [
            {
                "name": parameter.name,
                "value": document_of(parameter.value),
                "trainable": parameter.trainable,
                "purpose": parameter.purpose,
                "max_bytes": parameter.max_bytes,
                **({"constraints": document_of_constraints(parameter.constraints)} if parameter.constraints else {}),
            }
            for parameter in graph.parameters
        ],
        "nodes": [
            _model_document(node) if isinstance(node, Model) else _function_document(node) for node in graph.nodes
        ],
        "output": graph.output,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def from_json(text: str | bytes, functions: Functions | None = None) -> Graph:
    """The graph that a JSON document describes.

    Args:
        functions: function node's name → callable, or `Differentiable(call, backward)`.

    Raises:
        GraphError: not JSON, another schema, a field that is missing, unknown or of a wrong type, a function that is
            not given, or a graph that is not well formed. The message names the node and the mend.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GraphError(f"the graph is not JSON: {error}; give what to_json wrote") from error
    top = Fields(document, "graph", GraphError)
    schema = top.take("schema", int)
    if schema != SCHEMA:
        raise GraphError(f"the graph has schema {schema}, this version reads {SCHEMA}: use the version that wrote it")
    inputs, output = top.texts("inputs"), top.take("output", str)
    parameters = [
        _parameter(Fields(item, f"parameter {index}", GraphError))
        for index, item in enumerate(top.take("parameters", list), 1)
    ]
    nodes = [
        _node(Fields(item, f"node {index}", GraphError), functions or {})
        for index, item in enumerate(top.take("nodes", list), 1)
    ]
    top.finish()
    return Graph(inputs=inputs, parameters=parameters, nodes=nodes, output=output)


def mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flowchart. Inputs are round, parameters hexagons (dashed if frozen), models boxes,
    functions boxes with double sides, the output has a thick border; steering edges are dotted."""
    names = [*graph.inputs, *graph.initial, *(node.name for node in graph.nodes)]
    ids = {name: f"v{index}" for index, name in enumerate(names)}
    lines = ["flowchart TD"]
    lines += [f'    {ids[name]}(["{name}"])' for name in graph.inputs]
    lines += [f'    {ids[name]}{{{{"{name}"}}}}' for name in graph.initial]
    for node in graph.nodes:
        opening, closing = ("[", "]") if isinstance(node, Model) else ("[[", "]]")
        lines.append(f'    {ids[node.name]}{opening}"{node.name}"{closing}')
    for node in graph.nodes:
        for slot in node.slots:
            arrow = "-->" if slot.purpose is Purpose.INPUT else "-.->"
            named = slot.purpose is Purpose.SAMPLING or (slot.purpose is Purpose.INPUT and slot.name != slot.source)
            label = f'|"{_escaped(slot.name)}"|' if named else ""
            lines.append(f"    {ids[slot.source]} {arrow}{label} {ids[node.name]}")
    lines.append(f"    style {ids[graph.output]} stroke-width:4px")
    frozen = [parameter.name for parameter in graph.parameters if not parameter.trainable]
    lines += [f"    style {ids[name]} stroke-dasharray: 4 4" for name in frozen]
    return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("#", "#35;").replace('"', "#quot;").replace("\n", " ")


def _model_document(node: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "name": node.name,
        "instruction": node.instruction,
        "inputs": {slot.name: slot.source for slot in node.slots if slot.purpose is Purpose.INPUT},
        "demonstrations": node.demonstrations,
        "numbers": dict(node.numbers),
        "sampling": asdict(node.sampling),
        "reply": node.reply,
        "placement": node.placement,
        "truncation": node.truncation,
        "role": node.role,
        "choices": list(node.choices),
    }


def _function_document(node: Function) -> dict[str, Any]:
    return {
        "type": "function",
        "name": node.name,
        "inputs": {slot.name: slot.source for slot in node.slots if slot.purpose is Purpose.INPUT},
        "kind": node.kind,
        "pure": node.pure,
        "blocking": node.blocking,
        "version": node.version,
        "backward": node.backward is not None,
    }


def _parameter(fields: Fields) -> Parameter:
    name, document = fields.take("name", str), fields.data("value")
    kept = [part for part in fields.take("constraints", list, []) if isinstance(part, dict)]
    try:
        parameter = Parameter(
            name,
            value_of(document),
            trainable=fields.take("trainable", bool),
            purpose=fields.take("purpose", str),
            max_bytes=fields.take("max_bytes", int),
            constraints=tuple(each for part in kept for each in constraints_of(part)),
        )
    except SpecificationError as error:
        raise GraphError(f"{fields.where}: {error}") from error
    fields.finish()
    return parameter


def _node(fields: Fields, functions: Functions) -> Node:
    form = fields.take("type", str)
    match form:
        case "model":
            node: Node = _model(fields)
        case "function":
            node = _function(fields, functions)
        case _:
            raise GraphError(f"{fields.where}: the type {form!r} is none of model, function")
    fields.finish()
    return node


def _model(fields: Fields) -> Model:
    return Model(
        name=fields.take("name", str),
        instruction=fields.take("instruction", str),
        inputs=fields.names("inputs"),
        demonstrations=fields.optional("demonstrations", str),
        numbers=fields.names("numbers"),
        sampling=sampling_of(fields.take("sampling", dict), f"{fields.where}, sampling", GraphError),
        reply=fields.choice("reply", ReplyFormat),
        placement=fields.choice("placement", Placement),
        truncation=fields.choice("truncation", Truncation),
        role=fields.take("role", str),
        choices=fields.texts("choices"),
    )


def sampling_of(document: object, where: str, error: type[UsageError]) -> Sampling:
    """How tokens are drawn, from data with the fields of `Sampling`; a field that is left out has its default.

    Raises:
        UsageError: of the given type; a field is unknown or of a wrong type.
    """
    fields = Fields(document, where, error)
    default = Sampling()
    sampling = Sampling(
        temperature=fields.optional_number("temperature") if "temperature" in fields else default.temperature,
        top_p=fields.optional_number("top_p"),
        max_tokens=fields.optional("max_tokens", int),
        seed=fields.optional("seed", int),
        stop=fields.texts("stop", ()),
        top_logprobs=fields.optional("top_logprobs", int),
    )
    fields.finish()
    return sampling


def _function(fields: Fields, functions: Functions) -> Function:
    name, has_backward = fields.take("name", str), fields.take("backward", bool)
    given = functions.get(name)
    if given is None:
        raise GraphError(f"function {name!r} is not given: pass functions={{{name!r}: the_callable}}")
    call, backward = given if isinstance(given, tuple) else (given, None)
    if has_backward and backward is None:
        raise GraphError(
            f"function {name!r} was written with a backward: pass "
            f"functions={{{name!r}: Differentiable(call, backward)}}"
        )
    return Function(
        name=name,
        call=call,
        inputs=fields.names("inputs"),
        kind=fields.choice("kind", Kind),
        pure=fields.take("pure", bool),
        blocking=fields.take("blocking", bool),
        version=fields.take("version", str),
        backward=backward,
    )
