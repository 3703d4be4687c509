"""What a reproduction may take, before it runs: calls, tokens, dollars, time, and what it can show. Pure.

Calls are a bound, repairs apart: equal requests are paid once, so that under greedy decoding a set of parameters is
run once on each item. Tokens are guessed from the lengths of prompts and from what such replies usually take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semprop.bench.diagnosis.laboratory import Spent, calls_an_item
from semprop.bench.reproduction.protocol import Unit
from semprop.engine.example import words_of
from semprop.engine.graph import is_greedy
from semprop.engine.methods.rewrite import Raced, RewriteUpdate
from semprop.engine.parameters import rendered
from semprop.engine.statistics import smallest_gain
from semprop.engine.training.specification import Specification
from semprop.engine.training.telemetry import Price
from semprop.providers.base import Usage

REPLY_TOKENS = 200
"""Tokens of a hint or an answer that reasons first."""

OVERHEAD = 80
"""Tokens of a prompt beside instruction and inputs."""

BACKWARD, UPDATE = Usage(input=1500, output=400), Usage(input=2500, output=600)
"""What one call of the optimizer usually takes."""

SECONDS_A_CALL = 2.0
"""How long a call usually takes."""

DISCORDANCE = 0.2
"""The share of items that usually differ between two prompts; `semprop diagnose` measures it."""


@dataclass(frozen=True, slots=True)
class Projection:
    """All runs together: `test` items are opened, and `smallest` is the smallest gain that they show."""

    runs: int
    spent: Spent
    seconds: float
    test: int
    smallest: float


def projection(units: Sequence[tuple[Unit, Specification]], price: Price) -> Projection:
    """What the units may take together."""
    spent, seconds = Spent(), 0.0
    for _, spec in units:
        one = projected(spec, price)
        spent = spent + one
        depth = spec.steps * (max(spec.graph.levels.values()) + 1) * 4
        seconds += SECONDS_A_CALL * max(one.calls / spec.in_flight, depth)
    # Arms and seeds measure the same items, tasks different ones: what one arm under one seed shows is what counts.
    first = (units[0][0].label, units[0][0].seed)
    test = sum(len(spec.splits.test) for unit, spec in units if (unit.label, unit.seed) == first)
    return Projection(len(units), spent, seconds, test, smallest_gain(test, DISCORDANCE) if test else float("inf"))


def projected(spec: Specification, price: Price) -> Spent:
    """What one run may take."""
    k, splits = calls_an_item(spec.graph), spec.splits
    gate = splits.train if spec.gate_on_train else splits.gate
    updates, contenders = _contenders(spec)
    known = is_greedy(spec.graph)
    looked_at = 0 if known and spec.gate_on_train else spec.steps * min(spec.minibatch, len(splits.train))
    judged = len(gate) * (1 + spec.steps * contenders) if known else len(gate) * spec.steps * (1 + contenders)
    unjudged = spec.method.gate.name == "none"
    items = looked_at + (0 if unjudged and not spec.gate_on_train else judged) + 2 * len(splits.test)
    wrong = spec.minibatch if spec.examples_per_gradient is None else spec.examples_per_gradient
    forward = _priced(items * k, _forward(spec), "forward", price)
    backward = _priced(spec.steps * wrong * k, BACKWARD, "backward", price)
    return forward + backward + _priced(spec.steps * updates, UPDATE, "update", price)


def _contenders(spec: Specification) -> tuple[int, int]:
    """Update calls a step, and candidates a step."""
    texts = len(spec.graph.trainable)
    update = spec.method.update
    together = isinstance(update, RewriteUpdate) and update.raced is Raced.TOGETHER
    return texts, spec.candidates * (1 if together or texts == 1 else 1 + texts)


def _forward(spec: Specification) -> Usage:
    asked = sum(len(rendered(value)) for value in spec.initial.values()) / max(1, len(spec.initial))
    items = spec.splits.train
    given = sum(len(words_of(given)) for item in items for given in item.inputs.values()) / len(items)
    return Usage(input=round((asked + given) / 4) + OVERHEAD, output=REPLY_TOKENS)


def _priced(calls: int, each: Usage, role: str, price: Price) -> Spent:
    usd = price(role, each)
    return Spent(calls, calls * (each.input or 0), calls * (each.output or 0), None if usd is None else usd * calls)
