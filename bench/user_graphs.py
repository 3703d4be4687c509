"""The graph that a TOML task describes: a ready shape, or nodes one by one. Takes typed fields, gives a `Graph`."""

from __future__ import annotations

from collections.abc import Mapping

from semprop.engine import shapes
from semprop.engine.constraints import FIELDS, constraints_of
from semprop.engine.errors import GraphError, SpecificationError
from semprop.engine.fields import Fields
from semprop.engine.graph import Graph
from semprop.engine.graph_json import sampling_of
from semprop.engine.nodes import Inputs, Model, Placement, ReplyFormat, Truncation
from semprop.engine.parameters import Demonstration, Demonstrations, Number, Parameter, ParameterValue
from semprop.engine.shapes import Skips, Style
from semprop.providers.base import Sampling


def graph_of(fields: Fields, inputs: tuple[str, ...]) -> Graph:
    """Takes `graph`, or `node`, `parameter` and `output`, out of a task's fields.

    Raises:
        SpecificationError: a field is missing, unknown or of a wrong type.
        GraphError: the graph is not well formed.
    """
    try:
        if "graph" in fields:
            return _shape(Fields(fields.data("graph"), f"{fields.where}, graph", SpecificationError), inputs)
        return _nodes(fields, inputs)
    except GraphError as error:
        raise GraphError(f"{fields.where}: {error}") from error


def _shape(fields: Fields, inputs: tuple[str, ...]) -> Graph:
    shape = fields.take("shape", str)
    style = _style(fields)
    match shape:
        case "chain":
            skips = fields.choice("skips", Skips, Skips.NONE)
            graph = shapes.chain(fields.texts("instructions"), inputs=inputs, skips=skips, style=style)
        case "layered":
            skips = fields.choice("skips", Skips, Skips.NONE)
            layers = [_texts(fields, "layers", layer) for layer in fields.take("layers", list)]
            graph = shapes.layered(layers, inputs=inputs, skips=skips, style=style)
        case "fan":
            skips = fields.choice("skips", Skips, Skips.INPUTS)
            branches = fields.data("branches")
            given = fields.checked_names("branches", branches) if isinstance(branches, Mapping) else None
            graph = shapes.fan(
                _texts(fields, "branches", branches) if given is None else given,
                fields.take("join", str),
                inputs=inputs,
                skips=skips,
                style=style,
            )
        case _:
            raise SpecificationError(f"{fields.where}, field 'shape': {shape!r} is none of chain, layered, fan")
    fields.finish()
    return graph


def _texts(fields: Fields, key: str, value: object) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise fields.wrong(key, "list of texts", value)


def _sampling(fields: Fields) -> Sampling:
    document = fields.data("sampling", {})
    if isinstance(document, dict):
        # A reply without a bound would have no price.
        document = {"max_tokens": 1024, **document}
    return sampling_of(document, f"{fields.where}, sampling", SpecificationError)


def _style(fields: Fields) -> Style:
    return Style(
        sampling=_sampling(fields),
        reply=fields.choice("reply", ReplyFormat, ReplyFormat.WHOLE),
        placement=fields.choice("placement", Placement, Placement.SYSTEM),
        truncation=fields.choice("truncation", Truncation, Truncation.FAIL),
        role=fields.take("role", str, "forward"),
    )


def _nodes(fields: Fields, inputs: tuple[str, ...]) -> Graph:
    parameters = [
        _parameter(Fields(item, f"{fields.where}, parameter {index}", SpecificationError))
        for index, item in enumerate(fields.tables("parameter"), 1)
    ]
    nodes = []
    for index, item in enumerate(fields.tables("node"), 1):
        node, own = _node(Fields(item, f"{fields.where}, node {index}", SpecificationError))
        nodes.append(node)
        parameters += own
    if not nodes:
        raise SpecificationError(f"{fields.where}: there is no graph; add [[node]] tables, or [graph] with a shape")
    return Graph(inputs=inputs, parameters=parameters, nodes=nodes, output=fields.take("output", str, nodes[-1].name))


def _node(fields: Fields) -> tuple[Model, list[Parameter]]:
    name, style = fields.take("name", str), _style(fields)
    own = []
    if "instruction" in fields:
        parameter = f"{name}_instruction"
        purpose = f"the instruction of {name}"
        own.append(_declared(fields, parameter, fields.take("instruction", str), purpose))
    else:
        parameter = fields.take("parameter", str)
    given = fields.data("inputs")
    inputs: Inputs = (
        fields.checked_names("inputs", given) if isinstance(given, Mapping) else _texts(fields, "inputs", given)
    )
    node = Model(
        name,
        parameter,
        inputs,
        demonstrations=fields.optional("demonstrations", str),
        numbers=fields.names("numbers", {}),
        sampling=style.sampling,
        reply=style.reply,
        placement=style.placement,
        truncation=style.truncation,
        role=style.role,
        choices=fields.texts("choices", ()),
    )
    fields.finish()
    return node, own


def _parameter(fields: Fields) -> Parameter:
    parameter = _declared(fields, fields.take("name", str), _value(fields), "")
    fields.finish()
    return parameter


def _declared(fields: Fields, name: str, value: ParameterValue, purpose: str) -> Parameter:
    """A parameter with what its table says of it: trainable, purpose, max_bytes, and constraints."""
    try:
        return Parameter(
            name,
            value,
            trainable=fields.take("trainable", bool, True),
            purpose=fields.take("purpose", str, purpose),
            max_bytes=fields.take("max_bytes", int, 8_000),
            constraints=constraints_of({each: fields.data(each) for each in FIELDS if each in fields}),
        )
    except SpecificationError as error:
        raise SpecificationError(f"{fields.where}: {error}") from error


def _value(fields: Fields) -> ParameterValue:
    if "text" in fields:
        return fields.take("text", str)
    if "number" in fields:
        low, high = fields.number("low", float("-inf")), fields.number("high", float("inf"))
        return Number(fields.number("number"), low, high)
    if "demonstrations" in fields:
        items = [
            Fields(item, f"{fields.where}, demonstration {index}", SpecificationError)
            for index, item in enumerate(fields.tables("demonstrations"), 1)
        ]
        turns = [Demonstration(tuple(item.names("inputs").items()), item.take("output", str)) for item in items]
        for item in items:
            item.finish()
        return Demonstrations(tuple(turns))
    raise SpecificationError(f"{fields.where}: give one of text, number, demonstrations")
