"""Whether messages explode or vanish with depth: facts that are still alive, and bytes, level by level.

A seed tells the answer of each example one fact or several, and backward carries them up chains of 2, 4, 8 and 16 steps
to the first instruction. Counted are the share of the facts that still stand in the words of a message at each level,
its bytes, and the share that the update's prompt still shows. The simulated model answers, so this shows what the
machinery keeps and loses, never what a language model would write.

Worlds: `chain`, one fact an example; `twin`, two chains with a first instruction in common and one fact each (two
compatible demands on one parameter, as in W5); `woven`, two steps a level that each read both before them, four facts
an example, and advice passed on without a call, so that lists in lists double from level to level; the arms with
clusters pass different lines on, once each.
Two examples in three tell the same fact: the others are rare, and come late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from semprop.engine.example import Example, Splits
from semprop.engine.gates import NoGate
from semprop.engine.gradients import Evidence, Gradient, Message, Provenance, change
from semprop.engine.graph import Graph
from semprop.engine.losses import Contains
from semprop.engine.method import AggregateRule, BackwardRule, CollectRule, Local, Method, Scored, Seed
from semprop.engine.methods.clauses import PassThrough
from semprop.engine.methods.clusters import ClusteredEvidence, ClusteredMessages
from semprop.engine.methods.rewrite import RewriteUpdate, places
from semprop.engine.methods.semantic import EvidenceList, SemanticBackward, evidence, ordered_list, semantic
from semprop.engine.nodes import Function, Model, Node, Purpose
from semprop.engine.parameters import Parameter
from semprop.engine.passes.aggregate import aggregate
from semprop.engine.plans import Plan, nothing
from semprop.engine.prompts.update import UpdateView, update_request
from semprop.engine.prompts.words import gradient_words
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.training.specification import Specification
from semprop.engine.training.step import Step
from semprop.engine.training.trainer import Trainer
from semprop.providers.base import Provider, Sampling

WORDS = (
    "alive: share of an example's facts that reach the first instruction's gradient; in the prompt: share of all "
    "different facts that its update prompt shows. 24 examples, two in three told the same fact. The simulated model "
    "answered: this shows what the machinery keeps, never what a language model writes."
)

EXAMPLES = 24
COPY = "Write out the whole table, one pair to a line."
FIRST = "first"
"""The instruction at the far end, which every message has to reach."""

UNBOUNDED = 1_000_000

LONGEST = 20_000
"""What bounds a message that nothing else bounds, in bytes."""


# Measures, pure over gradients ---------------------------------------------------------------------------------------


def alive(texts: Iterable[str], facts: Sequence[str]) -> float:
    """The share of these facts that stand, as they are, in some of the texts; 1 if there are no facts."""
    words = "\n".join(texts)
    return sum(fact in words for fact in facts) / len(facts) if facts else 1.0


def words_of(gradient: Gradient) -> str:
    """All that a gradient says, in words: of a worked case, what its output was told, not what it shows."""
    told = [gradient_words(gradient, UNBOUNDED)] if gradient.changes else []
    for message in gradient.changes:
        if isinstance(message.content, Evidence) and message.content.gradient is not None:
            told.append(gradient_words(message.content.gradient, UNBOUNDED))
    return "\n".join(told)


def alive_facts(gradients: Iterable[Gradient], facts: Sequence[str]) -> float:
    """The share of facts that are alive in these gradients."""
    return alive(map(words_of, gradients), facts)


def message_bytes(gradients: Iterable[Gradient]) -> int:
    """How long the words of these gradients are together, in UTF-8 bytes."""
    return sum(len(words_of(gradient).encode()) for gradient in gradients)


@dataclass(frozen=True, slots=True)
class Nested:
    """h that passes the whole list of what a step was told on to each of its inputs, as a list in a list."""

    limit: int

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]:
        words = gradient_words(local.gradient, self.limit)
        return nothing(
            {
                slot.name: change(
                    words if slot.purpose is Purpose.INPUT else evidence(local, self.limit),
                    Provenance(local.example, local.record.name, slot.name),
                )
                for slot in local.record.slots
                if slot.name in local.active
            }
        )


# Worlds --------------------------------------------------------------------------------------------------------------

SIGNS = ("avocet", "bittern", "curlew", "dunlin", "eider", "finch", "grebe", "heron", "kite", "linnet")
TOWNS = ("Alder", "Barrow", "Calder", "Darwen", "Eccles", "Flint", "Goole", "Hexham", "Ilkley", "Jarrow")


@dataclass(frozen=True, slots=True)
class Told:
    """F: the facts of an example, each as a seed of its own, dealt to the ends of the graph in turn."""

    ends: tuple[str, ...]

    def __call__(self, scored: Scored) -> tuple[Seed, ...]:
        example = scored.tape.example
        source = Provenance(example.id)
        return tuple(
            Seed(self.ends[number % len(self.ends)], change(f"It should state: {fact}", source))
            for number, fact in enumerate(facts_of(example))
        )


def facts_of(example: Example) -> tuple[str, ...]:
    """What is wanted of an example's answer: lines that its sheet has otherwise."""
    return tuple((example.expected or "").split("; "))


def example(number: int, facts: int) -> Example:
    """A sheet of four pairs, and lines that it should have had. Two examples in three want the same first line."""
    common = number % 3 != 2 or number < EXAMPLES // 3
    start = 0 if common else number
    signs = [SIGNS[(start + place) % len(SIGNS)] for place in range(4)]
    towns = [TOWNS[(number + (1 + number // len(TOWNS)) * place) % len(TOWNS)] for place in range(4)]
    other = "Wells" if common else f"Port {TOWNS[number % len(TOWNS)]} {number}"
    wanted = [f"{sign} = {other}" for sign in signs[:facts]]
    sheet = "\n".join(f"{sign} = {town}" for sign, town in zip(signs, towns, strict=True))
    return Example(f"depth-{number:02}", {"sheet": sheet, "number": str(number)}, "; ".join(wanted))


@dataclass(frozen=True, slots=True)
class World:
    """A shape of a given depth: its graph, where seeds are told, and how many facts an example has."""

    graph: Graph
    ends: tuple[str, ...]
    facts: int


def chain(depth: int) -> World:
    """`depth` steps one behind the other."""
    names = [f"step_{level}" for level in range(1, depth + 1)]
    nodes = [
        Model(name, FIRST if level == 0 else "copy", ("sheet",) if level == 0 else (names[level - 1],), sampling=SHORT)
        for level, name in enumerate(names)
    ]
    return World(_graph(nodes), (names[-1],), 1)


def twin(depth: int) -> World:
    """Two chains from one sheet, whose first steps follow the same instruction; the answer reads both."""
    nodes, ends = [], []
    for side in "ab":
        above = "sheet"
        for level in range(1, depth):
            nodes.append(Model(f"{side}_{level}", FIRST if level == 1 else "copy", (above,), sampling=SHORT))
            above = f"{side}_{level}"
        ends.append(above)
    nodes.append(Model("answer", "copy", tuple(ends), sampling=SHORT))
    return World(_graph(nodes), tuple(ends), 2)


def woven(depth: int) -> World:
    """Two steps a level, each of which reads both of the level before."""
    nodes: list[Node] = [Model(f"{side}_1", FIRST, ("sheet",), sampling=SHORT) for side in "ab"]
    for level in range(2, depth):
        above = {"one": f"a_{level - 1}", "two": f"b_{level - 1}"}
        nodes += [Function(f"{side}_{level}", _first, above, pure=True) for side in "ab"]
    above = {"one": nodes[-2].name, "two": nodes[-1].name}
    nodes.append(Function("answer", _first, above, pure=True))
    return World(_graph(nodes), ("answer",), 4)


def _first(one: str, two: str) -> str:
    """Of two copies, pass the first on."""
    return one


SHORT = Sampling(max_tokens=256)


def _graph(nodes: Sequence[Node]) -> Graph:
    parameters = [Parameter(FIRST, COPY)]
    if any(isinstance(node, Model) and node.instruction == "copy" for node in nodes):
        parameters.append(Parameter("copy", COPY, trainable=False))
    return Graph(inputs=("sheet",), parameters=parameters, nodes=nodes, output=nodes[-1].name)


WORLDS = MappingProxyType({"chain": chain, "twin": twin, "woven": woven})


@dataclass(frozen=True, slots=True)
class Arm:
    """What bounds messages: A, B, the bytes of a message, and those of all cases in an update's prompt."""

    aggregate: AggregateRule
    collect: CollectRule
    message_bytes: int | None
    cases_bytes: int


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "list": Arm(ordered_list, EvidenceList(), None, 24_000),
        "clusters": Arm(ClusteredMessages(), ClusteredEvidence(), None, 24_000),
        "small budget": Arm(ordered_list, EvidenceList(), 100, 6_000),
        "clusters, small budget": Arm(ClusteredMessages(), ClusteredEvidence(), 100, 6_000),
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: the share of an example's facts alive in the first instruction's gradient, bytes of its words
    there and at the level of the answer (means over examples), the share of all different facts that the update's
    prompt shows, and the bytes of that prompt."""

    world: str
    depth: int
    arm: str
    alive: float
    bytes_by_level: tuple[float, ...]
    shown: float
    prompt_bytes: int


async def measured(world: str, depth: int, arm: str, provider: Provider) -> Row:
    """Run one step and look at what arrived."""
    made, bounds = WORLDS[world](depth), ARMS[arm]
    examples = tuple(example(number, made.facts) for number in range(EXAMPLES))
    spec = Specification(
        graph=made.graph,
        loss=Contains(),
        splits=Splits(examples, (example(EXAMPLES + 1, made.facts),), ()),
        method=_method(world, made, bounds),
        providers={"forward": provider},
        steps=1,
        minibatch=EXAMPLES,
        examples_per_gradient=None,
    )
    async with Trainer(spec) as trainer:
        step = await anext(trainer)
    return _row(world, depth, arm, spec, step)


def _method(world: str, made: World, bounds: Arm) -> Method:
    backward: BackwardRule = SemanticBackward(message_bytes=bounds.message_bytes)
    if world == "woven":
        limit = LONGEST if bounds.message_bytes is None else made.facts * bounds.message_bytes
        backward = PassThrough(limit) if isinstance(bounds.aggregate, ClusteredMessages) else Nested(limit)
    method = semantic(
        update=RewriteUpdate(cases_bytes=bounds.cases_bytes),
        gate=NoGate(),
        aggregate=bounds.aggregate,
        collect=bounds.collect,
    )
    return replace(method, seed=Told(made.ends), backward=backward)


def _row(world: str, depth: int, arm: str, spec: Specification, step: Step) -> Row:
    told = [
        (facts_of(entry.tape.example), gradients)
        for entry, gradients in zip(step.selected.wrong, step.gradients, strict=True)
    ]
    arrived = [alive_facts([gradients[FIRST]] if FIRST in gradients else [], facts) for facts, gradients in told]
    levels: dict[int, list[Gradient]] = {}
    for _, gradients in told:
        for name, gradient in gradients.items():
            if name in spec.graph.levels:
                levels.setdefault(spec.graph.levels[name], []).append(gradient)
    by_level = tuple(message_bytes(levels[level]) / len(told) for level in sorted(levels, reverse=True))
    collected = aggregate(spec.graph, spec.initial, step.gradients, spec.method.collect).get(FIRST)
    text = ""
    if collected is not None:
        view = UpdateView(
            COPY,
            "",
            places(spec.graph, FIRST),
            collected.gradients,
            collected.left_out,
            cases_bytes=ARMS[arm].cases_bytes,
            stands_for=collected.stands_for,
        )
        text = update_request(view, ReplyStyle.JSON, Sampling()).messages[-1].text
    every = tuple(dict.fromkeys(fact for facts, _ in told for fact in facts))
    return Row(world, depth, arm, sum(arrived) / len(arrived), by_level, alive([text], every), len(text.encode()))
