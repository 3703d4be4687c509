"""What a run is: one frozen value. A run is a function of it and of the outcomes; nothing else enters.

Two kinds of fields: those that enter decisions or prompts (a change makes another run), and those that only say how
to run it (`in_flight`, `batched`, `run`, `recipe`), which may differ between two sittings of the same run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from semprop.engine.errors import SpecificationError
from semprop.engine.example import Example, JudgeLabel, Splits, normalised, shuffled
from semprop.engine.graph import Graph, model_nodes
from semprop.engine.losses import Custom, Judge, LabelProbability, Loss, PureLoss
from semprop.engine.method import Method
from semprop.engine.nobody import NOBODY
from semprop.engine.nodes import Model, ReplyFormat
from semprop.engine.parameters import Parameters, document_of
from semprop.engine.prompts.protocol import PROTOCOL
from semprop.providers.base import Image, Mixture, Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """Everything that `optimize` and `Trainer` need.

    Attributes:
        providers: role → provider; "backward", "update" and "judge" fall back on "forward", which is required as soon
            as a node, the loss or the method asks a model.
        steps: how many updates to try.
        minibatch: the most examples that one step runs forward.
        examples_per_gradient: stop running forward once so many examples are wrong; None runs the whole minibatch.
        candidates: proposals to ask for, for each parameter and step.
        lookahead: how many items beyond a decided prefix may be open though the verdict may not need them; what they
            cost is shown as speculative. 0: only items that every verdict needs.
        start: parameter values to start from; None takes the graph's own.
        gate_items: judge each step on so many items, drawn from the gate split and not used again before all of it is;
            None: on the whole split every time, so that every verdict after the first is given on used items.
        gate_on_train: judge candidates on the training examples themselves, as published work did; the gate split is
            empty then, a verdict is no evidence, and the report says so.
        labels: if given, the held-out report also scores the output with decoding constrained to these texts.
        keep_rejected: show U the proposals that the gate turned down. It leaks gate data, and the report says so.
        in_flight: the most requests of this run at once; a provider's own limits may let fewer through.
        batched: phases whose answers nobody waits for (of `BATCHED`): where a provider has a batch API they go by it,
            at its price, and all items of the gate are asked at once.
        judge_labels: the user's own grades of answers, against which a judge is checked before its word is taken.
        run: the directory of the run's journal; None keeps it in memory only.
        recipe: what this value was made from, as JSON data (a command's options), for whoever makes it again to resume
            the run; kept in the journal, read by nothing else.
    """

    graph: Graph
    loss: Loss
    splits: Splits
    method: Method
    providers: Mapping[str, Provider] = field(default_factory=dict, hash=False)
    steps: int = 4
    minibatch: int = 16
    examples_per_gradient: int | None = 4
    candidates: int = 1
    lookahead: int = 16
    gate_items: int | None = None
    gate_on_train: bool = False
    seed: int = 0
    start: Parameters | None = None
    labels: tuple[str, ...] = ()
    keep_rejected: bool = False
    task: str = ""
    notes: tuple[str, ...] = ()
    judge_labels: tuple[JudgeLabel, ...] = ()
    in_flight: int = 128
    batched: tuple[str, ...] = ()
    run: Path | None = None
    recipe: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("minibatch", 1), ("candidates", 1), ("lookahead", 0), ("in_flight", 1)):
            value = getattr(self, name)
            if value < least:
                raise SpecificationError(f"{name} is {value}; it must be at least {least}")
        if not -(2**63) <= self.seed < 2**63:
            raise SpecificationError(f"seed is {self.seed}; give a whole number of at most 63 bits")
        if self.examples_per_gradient is not None and self.examples_per_gradient < 1:
            raise SpecificationError("examples_per_gradient must be at least 1, or None for the whole minibatch")
        if self.gate_items is not None and not 1 <= self.gate_items <= len(self.splits.gate):
            raise SpecificationError(
                f"gate_items is {self.gate_items}; give 1 to {len(self.splits.gate)}, the size of the gate split they "
                "are drawn from"
            )
        if not self.graph.trainable:
            raise SpecificationError("no parameter of the graph is trainable: there is nothing to optimize")
        if self.gate_on_train and self.splits.gate:
            raise SpecificationError("candidates are judged on the training examples: leave the gate split empty")
        for name in ("train",) if self.gate_on_train else ("train", "gate"):
            if not getattr(self.splits, name):
                raise SpecificationError(f"the {name} split is empty: give it at least one example")
        if not isinstance(self.loss, PureLoss | Custom | Judge):
            raise SpecificationError(
                f"loss is {type(self.loss).__name__}: pass one of the losses, or Custom(name, call) for a function"
            )
        unknown = [name for name in self.batched if name not in BATCHED]
        if unknown:
            raise SpecificationError(f"batched names {unknown[0]!r}, which is no phase of {', '.join(BATCHED)}")
        if self.judge_labels and not isinstance(self.loss, Judge):
            raise SpecificationError(
                f"judge_labels are given, and the loss {self.loss.name!r} is no judge: leave them out"
            )
        self._check_roles()
        _check_fields(self)
        _check_pictures(self)
        _check_probability(self)

    def _check_models(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Both sides of a comparison are answered, and graded, by one model."""
        for who, role in wanted:
            provider = self.provider(role)
            if provider.capabilities.mixture == Mixture.ANY:
                raise SpecificationError(
                    f"{who} is answered by {provider.identity}, a pool of several models, so two sides of a comparison "
                    'could be answered by different ones: say `model = "NAME"` of the pool if all are the same model '
                    'under different names, or `mixed = "pinned"` to have each example answered by one of them, '
                    "always the same"
                )

    def _check_roles(self) -> None:
        wanted = [(f"node {node.name!r}", node.role) for node in model_nodes(self.graph)]
        if isinstance(self.loss, Judge):
            wanted.append((f"loss {self.loss.name!r}", self.loss.role))
        if "forward" not in self.providers and (wanted or self.providers):
            raise SpecificationError("no provider for the role 'forward': pass providers={'forward': …}")
        for who, role in wanted:
            if role not in self.providers and role not in DEFAULT_ROLES:
                raise SpecificationError(
                    f"{who} is answered by the role {role!r}, which has no provider; there are: "
                    f"{', '.join(self.providers)}"
                )
        self._check_models(wanted)

    @property
    def initial(self) -> Parameters:
        """The parameter values that the run starts from."""
        return self.graph.initial if self.start is None else self.graph.initial.replaced(dict(self.start))

    def provider(self, role: str) -> Provider:
        """Who answers for a role; `NOBODY` in a run without providers."""
        return self.providers.get(role) or self.providers.get("forward", NOBODY)

    @property
    def is_simulated(self) -> bool:
        """Whether any role is played by rules instead of a language model."""
        return any(provider.capabilities.simulated for provider in self.providers.values())


BATCHED = ("forward", "backward", "update", "gate", "test")
"""Phases that may go by batches."""

DEFAULT_ROLES = ("forward", "backward", "update", "judge")


def _check_fields(spec: Specification) -> None:
    """Every example has the graph's inputs, and the splits are disjoint in what the graph reads (law L7)."""
    owner: dict[str, tuple[str, str]] = {}
    for split in ("train", "gate", "test"):
        for example in getattr(spec.splits, split):
            missing = [name for name in spec.graph.inputs if name not in example.inputs]
            if missing:
                raise SpecificationError(
                    f"example {example.id!r} ({split}) has no field {missing[0]!r}; it has: {', '.join(example.inputs)}"
                )
            read = normalised(Example(example.id, {name: example.inputs[name] for name in spec.graph.inputs}))
            known = owner.setdefault(read, (split, example.id))
            if known[0] != split:
                raise SpecificationError(
                    f"example {example.id!r} ({split}) reads the same as {known[1]!r} ({known[0]}) in the fields that "
                    f"the graph uses ({', '.join(spec.graph.inputs)}): remove one of them"
                )


def _check_pictures(spec: Specification) -> None:
    """Pictures reach a model only where its provider takes them, and no demonstration: those are text."""
    shown = [
        (example.id, name)
        for split in SPLITS
        for example in getattr(spec.splits, split)
        for name in spec.graph.inputs
        if isinstance(example.inputs[name], Image)
    ]
    pictures = tuple(dict.fromkeys(name for _, name in shown))
    for node in spec.graph.nodes if pictures else ():
        seen = [slot.source for slot in node.slots if slot.source in pictures] if isinstance(node, Model) else []
        if not isinstance(node, Model) or not seen:
            continue
        provider = spec.provider(node.role)
        if provider is not NOBODY and not provider.capabilities.images:
            raise SpecificationError(
                f"node {node.name!r} is shown the picture {seen[0]!r} of example {shown[0][0]!r}, and "
                f"{provider.identity} has no place for pictures: choose another provider for the role {node.role!r}"
            )
        if node.demonstrations is not None:
            raise SpecificationError(
                f"node {node.name!r} is shown the picture {seen[0]!r} and has demonstrations, which are text: take "
                f"{node.demonstrations!r} off it"
            )


def _check_probability(spec: Specification) -> None:
    """Label probabilities are read off the beginning of the final reply, so there must be log probabilities there."""
    if not isinstance(spec.loss, LabelProbability):
        return
    node = spec.graph.node(spec.graph.output)
    if not isinstance(node, Model) or node.reply is not ReplyFormat.WHOLE or not node.sampling.top_logprobs:
        raise SpecificationError(
            f"the loss {spec.loss.name!r} reads the log probabilities of {node.name!r}: make that a model node "
            f"with ReplyFormat.WHOLE and Sampling(top_logprobs={max(5, len(spec.loss.labels))})"
        )


def gate_items(spec: Specification, step: int) -> tuple[Example, ...]:
    """The items that judge a step, in canonical order: a slice of an order of the gate split that is drawn anew each
    time it is used up, so a function of (seed, step) and the split alone."""
    if spec.gate_on_train:
        return spec.splits.train
    if spec.gate_items is None:
        return spec.splits.gate
    use, place = _use(spec, step)
    order = shuffled(spec.splits.gate, spec.seed, "gate", use)
    return order[place * spec.gate_items : (place + 1) * spec.gate_items]


def gate_uses(spec: Specification, judged: Sequence[int]) -> int:
    """How often the gate split was used: the most verdicts that one item took part in, if these steps were judged."""
    if spec.gate_items is None:
        return len(judged)
    # What is left over of one use is not taken: an item is drawn once in each.
    return len(dict.fromkeys(_use(spec, step)[0] for step in judged))


def _use(spec: Specification, step: int) -> tuple[int, int]:
    """Which use of the gate split a step belongs to, and its place in it."""
    return divmod(step, len(spec.splits.gate) // (spec.gate_items or len(spec.splits.gate)))


def document_of_specification(spec: Specification) -> dict[str, Any]:
    """The specification as JSON data: all that enters a decision or a prompt, for the journal and for comparison."""
    method = spec.method
    return {
        "protocol": PROTOCOL,
        "task": spec.task,
        "method": {
            "name": method.name,
            "seed": _shown(method.seed),
            "selection": _shown(method.selection),
            "aggregate": _shown(method.aggregate),
            "backward": _shown(method.backward),
            "collect": _shown(method.collect),
            "update": _shown(method.update),
            "gate": _shown(method.gate),
        },
        "loss": _shown(spec.loss),
        "models": {role: spec.provider(role).identity for role in DEFAULT_ROLES},
        "capabilities": {role: _promised(spec.provider(role)) for role in DEFAULT_ROLES},
        "steps": spec.steps,
        "minibatch": spec.minibatch,
        "examples_per_gradient": spec.examples_per_gradient,
        "candidates": spec.candidates,
        "lookahead": spec.lookahead,
        "gate_items": spec.gate_items,
        "gate_on_train": spec.gate_on_train,
        "seed": spec.seed,
        "labels": list(spec.labels),
        "keep_rejected": spec.keep_rejected,
        "judge_labels": repr(spec.judge_labels) if spec.judge_labels else "",
        "splits": {name: [example.id for example in getattr(spec.splits, name)] for name in SPLITS},
        "data": {name: fingerprint(getattr(spec.splits, name)) for name in SPLITS},
        "initial": {name: document_of(value) for name, value in spec.initial.items()},
    }


SPLITS = ("train", "gate", "test")

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def _shown(part: object) -> str:
    """A part of a method as text, without the addresses in memory that functions are shown with."""
    return _ADDRESS.sub("", repr(part))


def _promised(provider: Provider) -> dict[str, Any]:
    """What prompts are rendered for, as JSON data. No prompt depends on whether pictures can be sent: where they
    cannot, there is no run. Of how many models replies are is told of pools of several alone, so that journals written
    before there were any stay as they are."""
    promised = provider.capabilities
    left_out = ("images",) if promised.mixture else ("images", "mixture")
    return {
        item.name: getattr(promised, item.name) for item in dataclasses.fields(promised) if item.name not in left_out
    }


def fingerprint(examples: Iterable[Example]) -> str:
    """A digest of examples, in their order, with all that they hold. 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for example in examples:
        inputs = [
            (name, given if isinstance(given, str) else (given.media_type, given.digest))
            for name, given in example.inputs.items()
        ]
        held = (example.id, inputs, example.expected, example.group)
        digest.update(orjson.dumps(held))
    return digest.hexdigest()
