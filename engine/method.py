"""What a method is: seven choices (F, σ, h, A, B, U, gate). Types only; the passes know none of the choices.

    F     seed         what the loss says of the answer (or of any node)
    σ     selection    which examples are worth a gradient
    h     backward     one node's gradient → one message for each active slot
    A     aggregate    the messages for one variable of one example → its gradient
    B     collect      one parameter's gradients over examples → bounded evidence
    U     update       evidence → candidates; may ask models, run nodes or probe the graph
    gate  decide       scores of incumbent and candidates → verdict, or what to measure next

h and U are sans-IO plans (`semprop.engine.plans`); the others are pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from semprop.engine.gates import Gate
from semprop.engine.gradients import Gradient, Message
from semprop.engine.graph import Graph
from semprop.engine.losses import Score
from semprop.engine.parameters import Kind, Parameter, Parameters, ParameterValue, document_of
from semprop.engine.plans import Plan
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.tape import Record, Tape


@dataclass(frozen=True, slots=True)
class Scored:
    """A tape and what the loss said of its answer."""

    tape: Tape
    score: Score


@dataclass(frozen=True, slots=True)
class Seed:
    """A gradient that does not come from a successor: the loss's, or process feedback to any node. Where the message
    is a derivative, `loss` is the value of the loss that it is the derivative of, if that is known."""

    variable: str
    message: Message
    loss: float | None = None


class SeedRule(Protocol):
    """F: what is known to be wrong, and where. Without a seed, an example has no gradient."""

    def __call__(self, scored: Scored) -> tuple[Seed, ...]: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """σ: examples whose loss is above `threshold`, in example order, and `solved` solved ones that an update must
    not break. A negative threshold takes every example; `most` bounds how many a step selects, whatever the
    specification asks for."""

    threshold: float = 0.0
    solved: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """What h sees: one record, the gradient of its value, the active slots, and how replies are written.

    `seeds` are F's for this example; `draws` is what random draws are keyed by, before node and sample (law L1).
    """

    record: Record
    gradient: Gradient
    active: tuple[str, ...]
    example: str
    style: ReplyStyle
    seeds: tuple[Seed, ...] = ()
    draws: tuple[object, ...] = ()


class BackwardRule(Protocol):
    """h for all slots of a node at once: slot → message. A slot that is left out counts as lost."""

    def __call__(self, local: Local) -> Plan[Mapping[str, Message]]: ...


class AggregateRule(Protocol):
    """A: the messages for one variable, in canonical order → its gradient."""

    def __call__(self, variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient: ...


@dataclass(frozen=True, slots=True)
class Collected:
    """B's product: a parameter, its value, and its gradients over examples; `left_out` were too many. `stands_for`
    says of each gradient for how many examples it stands, itself among them; empty: for itself."""

    parameter: Parameter
    value: ParameterValue
    gradients: tuple[Gradient, ...]
    left_out: int = 0
    stands_for: tuple[int, ...] = ()


class CollectRule(Protocol):
    """B: one parameter's gradients, in example order → what the update sees."""

    def __call__(self, parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected: ...


@dataclass(frozen=True, slots=True)
class UpdateContext:
    """What U sees: everything that is known at this step, and no data of the gate or the test.

    `collected` holds only parameters whose evidence asks for a change; `scored` are all examples that this step
    selected from, in order; `solved` those that must not break; `rejected` are earlier texts by parameter (empty
    unless the specification keeps a memory); `tried` are ids of candidates that lost against these very parameters;
    `is_copy` tells whether a text repeats a training example; `state` is what this rule returned as `Proposals.state`
    one step earlier (momentum, moments, a trajectory), None in the first step; `relabelled` says that labels differ
    from those by which `scored` has its scores, so that probes cannot be compared with these.
    """

    graph: Graph
    parameters: Parameters
    collected: Mapping[str, Collected] = field(hash=False)
    scored: tuple[Scored, ...]
    solved: tuple[Scored, ...]
    step: int
    seed: int
    wanted: int
    style: ReplyStyle
    is_copy: CopyTest
    rejected: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    tried: tuple[str, ...] = ()
    state: object = None
    relabelled: bool = False


class CopyTest(Protocol):
    """Whether a new text holds eight tokens in a row of a training example; what it copied, or ""."""

    def __call__(self, text: str, present: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Edit:
    """One parameter's change, and why it was proposed."""

    parameter: str
    before: ParameterValue
    after: ParameterValue
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parameters under trial: the incumbent with some edits. `id` is a hash of the edits."""

    id: str
    edits: tuple[Edit, ...]
    parameters: Parameters


def candidate(incumbent: Parameters, edits: tuple[Edit, ...]) -> Candidate:
    """The incumbent with these edits, named by what they change."""
    document = [(edit.parameter, document_of(edit.after)) for edit in edits]
    name = hashlib.blake2b(orjson.dumps(document), digest_size=5).hexdigest()
    return Candidate(name, edits, incumbent.replaced({edit.parameter: edit.after for edit in edits}))


@dataclass(frozen=True, slots=True)
class Dropped:
    """A proposal that never became a candidate, and why."""

    parameter: str
    reason: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Proposals:
    """What U returned: candidates to race, what was dropped on the way, and what it wants to know in the next step.

    `state` is carried, never read, by the trainer: an immutable value that depends on what U saw alone, so that a
    replay rebuilds it. It is carried whatever the gate says; U sees in the parameters whether it was heard.
    """

    candidates: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...] = ()
    state: object = field(default=None, compare=False)


class UpdateRule(Protocol):
    """U: evidence → candidates."""

    def __call__(self, context: UpdateContext) -> Plan[Proposals]: ...


@dataclass(frozen=True, slots=True)
class Method:
    """A named set of the seven choices. `notes` are said in every report made with it."""

    name: str
    seed: SeedRule
    selection: Selection
    backward: BackwardRule
    aggregate: AggregateRule
    collect: CollectRule
    update: UpdateRule
    gate: Gate
    notes: tuple[str, ...] = ()
