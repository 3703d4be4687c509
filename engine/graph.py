"""The graph: a DAG of variables, checked once when it is made. Data and pure functions; runs nothing.

Roots are the inputs (fields of the question) and the parameters; every other variable is a node. One node is the
output. No function here recurses, so chains of any length work (law L5).
"""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from semprop.engine.errors import GraphError
from semprop.engine.nodes import NUMBER_FIELDS, Function, Model, Node, Purpose, Slot
from semprop.engine.parameters import Kind, Parameter, Parameters


@dataclass(frozen=True, slots=True)
class Graph:
    """A checked graph.

    Attributes:
        nodes: in a canonical topological order: among nodes that are ready, the one declared first.
        initial: the declared parameter values.
        levels: node → length of the longest path of nodes that leads to it, from 0.
        uses: variable → where it enters, as (node, slot), in topological order; variables that enter nothing are
            not in it.

    Raises:
        GraphError: cycle, unknown or duplicate name, node that the output does not need, unused input,
            dangling parameter, kinds that do not meet. The message names the node and the mend.
    """

    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    output: str
    initial: Parameters = field(init=False, compare=False)
    levels: Mapping[str, int] = field(init=False, compare=False)
    uses: Mapping[str, tuple[tuple[Node, Slot], ...]] = field(init=False, compare=False, repr=False)
    _declared: Mapping[str, Node | Parameter] = field(init=False, compare=False, repr=False)

    def __init__(
        self, *, inputs: Sequence[str], parameters: Iterable[Parameter], nodes: Iterable[Node], output: str
    ) -> None:
        if isinstance(inputs, str):
            raise GraphError(f"inputs is the text {inputs!r}; write a tuple: inputs=({inputs!r},)")
        declared, given = tuple(nodes), tuple(parameters)
        _check_names(tuple(inputs), given, declared, output)
        order = _topological(declared)
        put = object.__setattr__
        put(self, "inputs", tuple(inputs))
        put(self, "parameters", given)
        put(self, "nodes", order)
        put(self, "output", output)
        put(self, "initial", Parameters({parameter.name: parameter.value for parameter in given}))
        put(self, "levels", _levels(order))
        put(self, "uses", _uses(order))
        put(self, "_declared", {entry.name: entry for entry in (*given, *order)})
        _check_use(self)
        _check_kinds(self)

    def node(self, name: str) -> Node:
        """The node of this name.

        Raises:
            GraphError: there is none.
        """
        found = self._declared.get(name)
        if isinstance(found, Model | Function):
            return found
        raise GraphError(f"there is no node {name!r}; there are: {', '.join(node.name for node in self.nodes)}")

    @property
    def trainable(self) -> tuple[str, ...]:
        """Names of the parameters that an optimization may change, in declared order."""
        return tuple(parameter.name for parameter in self.parameters if parameter.trainable)

    def parameter(self, name: str) -> Parameter:
        """The declaration of a parameter.

        Raises:
            GraphError: there is none of this name.
        """
        found = self._declared.get(name)
        if isinstance(found, Parameter):
            return found
        raise GraphError(f"there is no parameter {name!r}; there are: {', '.join(self.initial)}")

    def steers(self, parameter: str) -> tuple[tuple[Node, Slot], ...]:
        """Where a parameter enters: (node, slot), in topological order."""
        return self.uses.get(parameter, ())


def active_variables(edges: Iterable[tuple[str, Sequence[str]]], trainable: Iterable[str]) -> frozenset[str]:
    """The variables that are trainable or have a trainable ancestor.

    Args:
        edges: (variable, its predecessors) in topological order.
        trainable: names of the roots that may change.
    """
    active = set(trainable)
    for variable, sources in edges:
        if not active.isdisjoint(sources):
            active.add(variable)
    return frozenset(active)


def _check_names(
    inputs: tuple[str, ...], parameters: tuple[Parameter, ...], nodes: tuple[Node, ...], output: str
) -> None:
    owner: dict[str, str] = {}
    named = [("input", name) for name in inputs]
    named += [("parameter", parameter.name) for parameter in parameters] + [("node", node.name) for node in nodes]
    for what, name in named:
        _check_name(what, name)
        if name in owner:
            raise GraphError(f"the name {name!r} stands twice, for {owner[name]} and {what}: rename one of them")
        owner[name] = what
    for node in nodes:
        seen: dict[str, None] = {}
        for slot in node.slots:
            if slot.name in seen:
                raise GraphError(f"node {node.name!r} has two slots {slot.name!r}: name one of them otherwise")
            seen[slot.name] = None
            _check_name(f"node {node.name!r}, slot", slot.name)
            if slot.source not in owner:
                raise GraphError(
                    f"node {node.name!r}, slot {slot.name!r}: there is no variable {slot.source!r}; declare it as an "
                    f"input, a parameter or a node (known: {', '.join(owner)})"
                )
    if owner.get(output) != "node":
        raise GraphError(f"the output {output!r} is not a node; name one of: {', '.join(node.name for node in nodes)}")


def _check_name(what: str, name: str) -> None:
    """Names stand in prompts and in the tags of replies: nothing in them may need quoting."""
    if not name or not name.replace("_", "a").replace("-", "a").isalnum():
        raise GraphError(f"{what} {name!r}: a name has letters, digits, - and _ only; rename it")


def _topological(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    place = {node.name: index for index, node in enumerate(nodes)}
    waiting = [0] * len(nodes)
    successors: list[list[int]] = [[] for _ in nodes]
    for index, node in enumerate(nodes):
        for slot in node.slots:
            if slot.source in place:
                waiting[index] += 1
                successors[place[slot.source]].append(index)
    ready = [index for index, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(nodes[index])
        for successor in successors[index]:
            waiting[successor] -= 1
            if not waiting[successor]:
                heapq.heappush(ready, successor)
    if len(order) < len(nodes):
        stuck = [nodes[index].name for index, count in enumerate(waiting) if count]
        raise GraphError(
            f"a cycle runs through {', '.join(stuck[:8])}: a node must not depend on itself; remove one edge"
        )
    return tuple(order)


def _levels(order: tuple[Node, ...]) -> dict[str, int]:
    levels: dict[str, int] = {}
    for node in order:
        levels[node.name] = 1 + max((levels[slot.source] for slot in node.slots if slot.source in levels), default=-1)
    return levels


def _uses(order: tuple[Node, ...]) -> dict[str, tuple[tuple[Node, Slot], ...]]:
    uses: dict[str, list[tuple[Node, Slot]]] = {}
    for node in order:
        for slot in node.slots:
            uses.setdefault(slot.source, []).append((node, slot))
    return {variable: tuple(entries) for variable, entries in uses.items()}


def _check_use(graph: Graph) -> None:
    needed = {graph.output}
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(slot.source for slot in node.slots)
    for node in graph.nodes:
        if node.name not in needed:
            raise GraphError(f"node {node.name!r} does not reach the output {graph.output!r}: connect it or remove it")
    for parameter in graph.initial:
        if parameter not in needed:
            raise GraphError(f"parameter {parameter!r} dangles: no node uses it; connect it or remove it")
    for name in graph.inputs:
        if name not in needed:
            raise GraphError(f"input {name!r} is used by no node: connect it or remove it")


_WANTED = {
    Purpose.INSTRUCTION: Kind.TEXT,
    Purpose.DEMONSTRATIONS: Kind.DEMONSTRATIONS,
    Purpose.SAMPLING: Kind.NUMBER,
}


def _check_kinds(graph: Graph) -> None:
    kinds = {parameter.name: parameter.kind for parameter in graph.parameters}
    kinds.update(dict.fromkeys(graph.inputs, Kind.TEXT))
    kinds.update({node.name: node.kind for node in graph.nodes})
    edges = [(node.name, [slot.source for slot in node.slots]) for node in graph.nodes]
    active = active_variables(edges, graph.trainable)
    for node in graph.nodes:
        if isinstance(node, Function):
            _check_call(node)
        for slot in node.slots:
            _check_slot(node, slot, kinds[slot.source], slot.source in graph.initial)
        if isinstance(node, Function) and node.kind is Kind.OPAQUE and node.name in active and node.backward is None:
            raise GraphError(
                f"function {node.name!r} is on the way to a trainable parameter but its value is opaque, so no "
                "gradient can be said of it: give it backward=…, or declare kind=Kind.TEXT or Kind.NUMBER"
            )


def _check_slot(node: Node, slot: Slot, kind: Kind, from_parameter: bool) -> None:
    where = f"node {node.name!r}, slot {slot.name!r}"
    if slot.purpose is Purpose.INPUT:
        if kind is Kind.DEMONSTRATIONS:
            raise GraphError(
                f"{where}: demonstrations {slot.source!r} cannot be an ordinary input; "
                f"use demonstrations={slot.source!r}"
            )
        return
    if not from_parameter:
        raise GraphError(f"{where}: {slot.source!r} is not a parameter; declare it as one, or pass it as an input")
    if kind is not _WANTED[slot.purpose]:
        raise GraphError(f"{where}: parameter {slot.source!r} is {kind}, this slot takes {_WANTED[slot.purpose]}")
    if slot.purpose is Purpose.SAMPLING and slot.name not in NUMBER_FIELDS:
        raise GraphError(f"{where}: a number binds to one of {', '.join(NUMBER_FIELDS)}; rename the slot")


def _check_call(node: Function) -> None:
    try:
        signature = inspect.signature(node.call)
    except ValueError:
        # Some callables written in C do not say what they take.
        return
    names = [slot.name for slot in node.slots]
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        raise GraphError(
            f"function {node.name!r} takes {signature}, its slots are {', '.join(names) or 'none'} ({error}): name "
            f"the slots after the arguments, inputs={{argument: variable}}"
        ) from error


def is_greedy(graph: Graph) -> bool:
    """Whether no model node draws at random, so that measuring again would measure the same."""
    return all(node.sampling.is_greedy and "temperature" not in node.numbers for node in model_nodes(graph))


def model_nodes(graph: Graph) -> tuple[Model, ...]:
    """The nodes that call a model, in topological order."""
    return tuple(node for node in graph.nodes if isinstance(node, Model))
