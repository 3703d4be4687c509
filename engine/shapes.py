"""Ready graph shapes: chain, layers with and without skips, fan-out and fan-in. Takes texts, gives a `Graph`.

Each node gets a trainable instruction of its own, `NODE_instruction`; the last node is `answer`. Nothing here is
special: the same graphs can be written out with `Graph(...)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from semprop.engine.errors import GraphError
from semprop.engine.graph import Graph
from semprop.engine.nodes import Model, Placement, ReplyFormat, Truncation
from semprop.engine.parameters import Parameter
from semprop.providers.base import Sampling

QUESTION = ("question",)
"""The inputs of a shape, unless told otherwise."""

OUTPUT = "answer"
"""The name of a shape's last node."""


class Skips(StrEnum):
    """What a node sees besides the layer before it.

    NONE: nothing. INPUTS: the question's fields, too. LAYERS: the fields, and the nodes of every earlier layer.
    """

    NONE = "none"
    INPUTS = "inputs"
    LAYERS = "layers"


@dataclass(frozen=True, slots=True)
class Style:
    """What all nodes of a shape share; the fields are those of `Model`."""

    sampling: Sampling = Sampling(max_tokens=1024)
    reply: ReplyFormat = ReplyFormat.WHOLE
    placement: Placement = Placement.SYSTEM
    truncation: Truncation = Truncation.FAIL
    role: str = "forward"


PLAIN = Style()
"""Greedy, whole replies of at most 1,024 tokens."""


def chain(
    instructions: Sequence[str],
    *,
    inputs: Sequence[str] = QUESTION,
    skips: Skips = Skips.NONE,
    style: Style = PLAIN,
) -> Graph:
    """Nodes one behind the other: `step_1` reads the inputs, each later one the step before it.

    Raises:
        GraphError: there are no instructions, or a name is used twice.
    """
    _refuse_text("chain", instructions)
    names = [*(f"step_{index}" for index in range(1, len(instructions))), OUTPUT]
    layers = [{name: text} for name, text in zip(names, instructions, strict=False)]
    return _stacked(layers, tuple(inputs), skips, style)


def layered(
    layers: Sequence[Sequence[str]],
    *,
    inputs: Sequence[str] = QUESTION,
    skips: Skips = Skips.NONE,
    style: Style = PLAIN,
) -> Graph:
    """Layers of nodes, each reading the whole layer before it. `layers` holds the instruction texts of each layer;
    the last has one. Node 2 of layer 1 is `layer_1_node_2`.

    Raises:
        GraphError: there is no layer, a layer is empty, or the last one has not exactly one instruction.
    """
    for layer in layers:
        _refuse_text("layered", layer)
    if not layers or len(layers[-1]) != 1:
        raise GraphError(
            f"layered: the last layer has {len(layers[-1]) if layers else 0} instructions; give it one, for the output"
        )
    hidden = [
        {f"layer_{depth}_node_{place}": text for place, text in enumerate(layer, 1)}
        for depth, layer in enumerate(layers[:-1], 1)
    ]
    return _stacked([*hidden, {OUTPUT: layers[-1][0]}], tuple(inputs), skips, style)


def fan(
    branches: Mapping[str, str] | Sequence[str],
    join: str,
    *,
    inputs: Sequence[str] = QUESTION,
    skips: Skips = Skips.INPUTS,
    style: Style = PLAIN,
) -> Graph:
    """Fan-out and fan-in: each branch reads the inputs, `answer` reads all branches (and the inputs, unless
    `skips` is NONE).

    Args:
        branches: node name → instruction text, or texts alone, for nodes `branch_1`, …
        join: the instruction of the last node.

    Raises:
        GraphError: there are no branches, or a name is used twice.
    """
    if not isinstance(branches, Mapping):
        _refuse_text("fan", branches)
        branches = {f"branch_{index}": text for index, text in enumerate(branches, 1)}
    return _stacked([dict(branches), {OUTPUT: join}], tuple(inputs), skips, style)


def _refuse_text(shape: str, texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise GraphError(f"{shape}: {texts[:40]!r} is one text where a sequence is wanted; write [text]")


def _stacked(layers: Sequence[Mapping[str, str]], inputs: tuple[str, ...], skips: Skips, style: Style) -> Graph:
    if not layers or not all(layers):
        raise GraphError("a shape has a layer without instructions: give each layer at least one text")
    parameters: list[Parameter] = []
    nodes: list[Model] = []
    above: tuple[str, ...] = ()
    earlier: list[str] = []
    for layer in layers:
        sees = _sees(inputs, above, earlier, skips)
        for name, text in layer.items():
            parameter = f"{name}_instruction"
            parameters.append(Parameter(parameter, text, purpose=f"the instruction of {name}"))
            nodes.append(_node(name, parameter, sees, style))
        above = tuple(layer)
        earlier += above
    return Graph(inputs=inputs, parameters=parameters, nodes=nodes, output=nodes[-1].name)


def _sees(inputs: tuple[str, ...], above: tuple[str, ...], earlier: Sequence[str], skips: Skips) -> tuple[str, ...]:
    match skips:
        case Skips.NONE:
            return above or inputs
        case Skips.INPUTS:
            return (*inputs, *above)
        case Skips.LAYERS:
            return (*inputs, *earlier)


def _node(name: str, instruction: str, inputs: tuple[str, ...], style: Style) -> Model:
    return Model(
        name,
        instruction,
        inputs,
        sampling=style.sampling,
        reply=style.reply,
        placement=style.placement,
        truncation=style.truncation,
        role=style.role,
    )
