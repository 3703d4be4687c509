"""What a run may take, before it runs, by phase and as a range: calls, tokens, dollars, time; what it can show. Pure.

The most calls follow from sizes, graph and method; the fewest from what a run needs that learns nothing. Equal requests
are paid once, so under greedy decoding a set of parameters is run once on each item. Lengths of prompts and replies are
guessed: between what is surely sent and what a reply may have at the most.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from semprop.bench.diagnosis.laboratory import Spent
from semprop.engine.example import Example, words_of
from semprop.engine.gates.whole import WholeGate
from semprop.engine.graph import active_variables, is_greedy, model_nodes
from semprop.engine.losses import Judge
from semprop.engine.methods.clauses import ClauseUpdate, PassThrough
from semprop.engine.methods.copro import CoordinateUpdate
from semprop.engine.methods.descent import DescentUpdate
from semprop.engine.methods.labels import MisledUpdate
from semprop.engine.methods.numerical import JointSPSA
from semprop.engine.methods.opro import TrajectoryUpdate
from semprop.engine.methods.optoprime import TraceUpdate
from semprop.engine.methods.rewrite import Raced, RewriteUpdate
from semprop.engine.methods.semantic import Calls, SemanticBackward
from semprop.engine.methods.shots import DemonstrationUpdate
from semprop.engine.nodes import Model
from semprop.engine.parameters import rendered
from semprop.engine.statistics import smallest_gain
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Price
from semprop.providers.base import Usage

REPLY_TOKENS, LONGEST = 200, 4096
"""Tokens of a hint or an answer that reasons first; and of one whose length nobody bounds."""

OVERHEAD = 80
"""Tokens of a prompt beside instruction and inputs."""

SECONDS_A_CALL = 2.0
"""How long a call usually takes."""

DISCORDANCE = 0.2
"""The share of items that usually differ between two prompts; `semprop diagnose` measures it."""

WHY = (
    "the range is wide where a run may end early (nothing left to learn), a gate cancels what cannot win, replies that "
    "cannot be read are asked for again, equal requests are paid once, and replies may have any length up to their "
    "limit; attempts that an endpoint fails come on top (semprop's caps count them: --max-usd)"
)


@dataclass(frozen=True, slots=True)
class Each:
    """One call: the fewest, the usual and the most tokens."""

    least: Usage
    usual: Usage
    most: Usage


BACKWARD = Each(Usage(input=50, output=1), Usage(input=1500, output=400), Usage(input=16_000, output=2048))
UPDATE = Each(Usage(input=50, output=1), Usage(input=2500, output=600), Usage(input=32_000, output=8192))
JUDGE = Each(Usage(input=30, output=1), Usage(input=400, output=60), Usage(input=16_000, output=1024))


@dataclass(frozen=True, slots=True)
class Part:
    """The calls of one phase to one role: at least and at most so many, repairs apart; `again` of them may be asked for
    once more."""

    phase: str
    role: str
    least: int
    most: int
    again: int
    each: Each

    def range(self, price: Price) -> Range:
        """What they take."""
        return Range(
            _priced(self.least, self.each.least, self.role, price),
            _priced(self.most, self.each.usual, self.role, price),
            _priced(self.most + self.again, self.each.most, self.role, price),
        )


@dataclass(frozen=True, slots=True)
class Range:
    """The least; the most calls at usual lengths; and the most of everything."""

    least: Spent = Spent()
    usual: Spent = Spent()
    most: Spent = Spent()

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.usual + other.usual, self.most + other.most)

    def holds(self, spent: Spent) -> bool:
        """Whether what was spent lies within; dollars only where all of them are known."""
        pairs = [
            (self.least.calls, spent.calls, self.most.calls),
            (self.least.tokens_in, spent.tokens_in, self.most.tokens_in),
            (self.least.tokens_out, spent.tokens_out, self.most.tokens_out),
        ]
        if spent.usd is not None and self.least.usd is not None and self.most.usd is not None:
            return all(low <= found <= high for low, found, high in pairs) and (
                self.least.usd - 1e-12 <= spent.usd <= self.most.usd + 1e-12
            )
        return all(low <= found <= high for low, found, high in pairs)

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {"least": self.least.document(), "usual": self.usual.document(), "most": self.most.document()}


@dataclass(frozen=True, slots=True)
class Projection:
    """All runs together, by phase; `seconds` are the least and the most if a call takes `SECONDS_A_CALL`; `test` items
    are opened, and `smallest` is the smallest gain that they show."""

    runs: int
    phases: dict[str, Range]
    seconds: tuple[float, float]
    test: int
    smallest: float

    @property
    def whole(self) -> Range:
        """All phases."""
        return sum(self.phases.values(), Range())

    @property
    def spent(self) -> Spent:
        """The most calls, repairs apart, at usual lengths."""
        return self.whole.usual

    def document(self) -> dict[str, Any]:
        """As JSON data; what is unknown is null."""
        return {
            "runs": self.runs,
            "phases": {name: found.document() for name, found in self.phases.items()},
            "total": self.whole.document(),
            "seconds": {"least": self.seconds[0], "most": self.seconds[1]},
            "test": self.test,
            "smallest_gain": None if self.smallest == float("inf") else self.smallest,
            "why": WHY,
        }


def projection(specs: Sequence[Specification], price: Price, test: int | None = None) -> Projection:
    """What runs may take together; `test` items show the gain, those of all runs if not given."""
    phases: dict[str, Range] = {}
    least = most = 0.0
    for spec in specs:
        found = [*parts(spec)]
        for part in found:
            phases[part.phase] = phases.get(part.phase, Range()) + part.range(price)
        depth = spec.steps * (max(spec.graph.levels.values()) + 1) * 4
        few, many = sum(part.least for part in found), sum(part.most for part in found)
        least += SECONDS_A_CALL * few / spec.in_flight
        most += SECONDS_A_CALL * max(many / spec.in_flight, depth if many else 0)
    items = sum(len(spec.splits.test) for spec in specs) if test is None else test
    return Projection(
        len(specs), phases, (least, most), items, smallest_gain(items, DISCORDANCE) if items else float("inf")
    )


def projected(spec: Specification, price: Price) -> Spent:
    """The most calls of one run, repairs apart, at usual lengths."""
    return projection([spec], price).spent


def parts(spec: Specification) -> Iterable[Part]:
    """The calls of a run, by phase and role."""
    splits, nodes = spec.splits, model_nodes(spec.graph)
    gate = splits.train if spec.gate_on_train else splits.gate
    tested, batch = len(splits.test), min(spec.minibatch, len(splits.train))
    known = is_greedy(spec.graph)
    looked_at = 0 if known and spec.gate_on_train else spec.steps * batch
    updates, contenders, probes = _update(spec)
    items = spec.gate_items or len(gate)
    if spec.method.gate.name == "none" and not isinstance(spec.method.gate, WholeGate):
        raced = len(gate) * (1 + spec.steps * contenders) if spec.gate_on_train and known else 0
    elif known and spec.gate_items is None:
        raced = items * (1 + spec.steps * contenders)
    else:
        raced = items * spec.steps * (1 + contenders)
    probed = spec.steps * probes * batch
    constrained = 2 * tested if spec.labels else 0
    passes = {"forward": looked_at, "gate": raced, "update": probed, "test": 2 * tested}
    for phase, count in passes.items():
        for node in nodes:
            few = len(_distinct(spec, node, splits.test)) if phase == "test" else 0
            again = count if node.is_tagged else 0
            extra = constrained if phase == "test" and node.name == spec.graph.output else 0
            yield Part(phase, node.role, few, count + extra, again, _forward(spec, node))
    if isinstance(spec.loss, Judge) and nodes:
        scored = sum(passes.values()) + constrained + len(spec.judge_labels)
        yield Part("judge", spec.loss.role, 0, scored, scored, JUDGE)
    wrong = spec.minibatch if spec.examples_per_gradient is None else spec.examples_per_gradient
    backward = spec.steps * min(wrong, spec.minibatch) * _backward(spec)
    yield Part("backward", "backward", 0, backward, backward, BACKWARD)
    yield Part("update", "update", 0, spec.steps * updates, spec.steps * updates, UPDATE)


def _distinct(spec: Specification, node: Model, items: Sequence[Example]) -> dict[tuple[str, ...], None]:
    """The different things that a node is surely asked about these items; one if it reads what other nodes wrote."""
    names = [slot.source for slot in node.slots if slot.source not in spec.initial]
    if not items or not all(name in spec.graph.inputs for name in names):
        return {}
    return dict.fromkeys(tuple(words_of(item.inputs[name]) for name in names) for item in items)


def _backward(spec: Specification) -> int:
    """Backward calls of one example, at the most."""
    rule, graph = spec.method.backward, spec.graph
    if isinstance(rule, PassThrough) or not model_nodes(graph):
        return 0
    edges = [(node.name, [slot.source for slot in node.slots]) for node in graph.nodes]
    active = active_variables(edges, graph.trainable)
    joint = isinstance(rule, SemanticBackward) and rule.calls is Calls.JOINT
    slots = [sum(slot.source in active for slot in node.slots) for node in graph.nodes]
    return sum(min(1, count) if joint else count for count in slots)


def _update(spec: Specification) -> tuple[int, int, int]:
    """Update calls a step, candidates a step, and how often a step's examples are run again to score texts."""
    texts, rule = len(spec.graph.trainable), spec.method.update
    rule = rule.update if isinstance(rule, MisledUpdate) else rule
    match rule:
        case TraceUpdate():
            return spec.candidates, spec.candidates, 0
        case CoordinateUpdate(breadth=breadth, depth=depth):
            return depth * texts, spec.candidates, 1 + depth * texts * (breadth + depth)
        case TrajectoryUpdate(texts=wanted):
            return texts, spec.candidates, 2 + texts * wanted
        case JointSPSA(samples=samples):
            return 0, spec.candidates, 2 * samples
        case RewriteUpdate() if rule.raced is Raced.TOGETHER or texts == 1:
            return texts, spec.candidates, 0
        case ClauseUpdate() | DemonstrationUpdate() | DescentUpdate():
            return 0, spec.candidates * (1 + texts), 0
    return texts if model_nodes(spec.graph) else 0, spec.candidates * (1 + texts), 0


def _forward(spec: Specification, node: Model) -> Each:
    """What one call of a node takes. Its instruction may grow up to its bound; what other nodes write is as long as
    their replies."""
    items = spec.splits.train or spec.splits.test or spec.splits.gate
    given = [slot.source for slot in node.slots if slot.source in spec.graph.inputs]
    shown = [sum(len(words_of(item.inputs[name])) for name in given) for item in items] or [0]
    steering = [slot.source for slot in node.slots if slot.source in spec.initial]
    asked = sum(len(rendered(spec.initial[name])) for name in steering)
    bound = sum(max(getattr(spec.graph.parameter(name), "max_bytes", 0) or 0, 4 * asked) for name in steering)
    writers = [other for other in model_nodes(spec.graph) if other.name in [slot.source for slot in node.slots]]
    read = sum(other.sampling.max_tokens or LONGEST for other in writers)
    usual, most = REPLY_TOKENS, node.sampling.max_tokens or LONGEST
    least = Usage(input=max(1, min(shown) // 8), output=1)
    middle = round((asked + sum(shown) / len(shown)) / 4) + OVERHEAD
    return Each(least, Usage(input=middle, output=usual), Usage(input=bound + max(shown) + read + 1000, output=most))


def _priced(calls: int, each: Usage, role: str, price: Price) -> Spent:
    if not calls:
        return Spent()
    usd = price(role, each)
    return Spent(calls, calls * (each.input or 0), calls * (each.output or 0), None if usd is None else usd * calls)
