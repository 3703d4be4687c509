"""Graphs made of graphs: one parameter left trainable, demonstrations added where there are none. Pure."""

from __future__ import annotations

from dataclasses import replace

from semprop.engine.errors import SpecificationError
from semprop.engine.graph import Graph
from semprop.engine.nodes import Model, Node
from semprop.engine.parameters import Demonstrations, Kind, Parameter


def unchanged(graph: Graph) -> Graph:
    """The graph as it is."""
    return graph


def only(graph: Graph, name: str) -> Graph:
    """The graph with one trainable parameter left; the others are frozen at their values.

    Raises:
        SpecificationError: there is no trainable parameter of this name.
    """
    if name not in graph.trainable:
        what = "is frozen" if name in graph.initial else "is no parameter"
        raise SpecificationError(f"{name!r} {what}; trainable are: {', '.join(graph.trainable)}")
    return _with(graph, tuple(replace(each, trainable=each.name == name) for each in graph.parameters), graph.nodes)


def demonstrations_only(graph: Graph) -> Graph:
    """The graph with every parameter frozen that holds no demonstrations. Where nothing trainable is left, each model
    node without demonstrations gets an empty, trainable `NODE-demonstrations`.

    Raises:
        SpecificationError: the graph has no model node that could show demonstrations.
    """
    kept = tuple(
        replace(each, trainable=each.trainable and each.kind is Kind.DEMONSTRATIONS) for each in graph.parameters
    )
    if any(each.trainable for each in kept):
        return _with(graph, kept, graph.nodes)
    bare = [node for node in graph.nodes if isinstance(node, Model) and node.demonstrations is None]
    if not bare:
        raise SpecificationError(
            "this graph has no trainable demonstrations and no model step that could get some: declare a parameter "
            "Parameter(NAME, Demonstrations()) and name it in a Model's `demonstrations`"
        )
    names = {node.name: f"{node.name}-demonstrations" for node in bare}
    added = tuple(
        Parameter(name, Demonstrations(), purpose=f"solved examples for the step {node}")
        for node, name in names.items()
    )
    nodes = tuple(replace(node, demonstrations=names[node.name]) if node in bare else node for node in graph.nodes)
    return _with(graph, (*kept, *added), nodes)


def _with(graph: Graph, parameters: tuple[Parameter, ...], nodes: tuple[Node, ...]) -> Graph:
    return Graph(inputs=graph.inputs, parameters=parameters, nodes=nodes, output=graph.output)
