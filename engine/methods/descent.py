"""Updates out of derivatives: gradient descent, momentum, Adam. Pure; the memory of a rule is a value that U carries.

A rule is two functions in the manner of optax: where its memory starts, and what a derivative makes of it. U applies
one to every number and array that has a mean derivative, inside the parameter's bounds, all in one candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import numpy as np

from semprop.engine.arrays import Array, Floats, array_words
from semprop.engine.errors import SpecificationError
from semprop.engine.gradients import Gradient, Message, Provenance, Stance, change, is_numeric, total
from semprop.engine.method import Collected, Dropped, Edit, Proposals, UpdateContext, candidate
from semprop.engine.parameters import Kind, Number, Parameter, ParameterValue
from semprop.engine.plans import Plan, nothing

# A and B -------------------------------------------------------------------------------------------------------------


def summed(variable: str, kind: Kind, messages: tuple[Message, ...]) -> Gradient:
    """A: the sum over successors and slots. A message that was lost makes the sum unknown, so it is lost as a whole;
    messages in words, which cannot be added, stay a list."""
    gone = next((message for message in messages if message.stance is Stance.LOST), None)
    if gone is not None:
        return Gradient(variable, kind, (gone,))
    gradient = Gradient(variable, kind, messages)
    if len(messages) == 1 or not is_numeric(gradient):
        return gradient
    return Gradient(variable, kind, (change(total(gradient), Provenance(messages[0].source.example)),))


@dataclass(frozen=True, slots=True)
class Mean:
    """B: the mean derivative over the examples that have one. Words, as of an example that failed, are left out."""

    def __call__(self, parameter: Parameter, value: ParameterValue, gradients: tuple[Gradient, ...]) -> Collected:
        found = [total(gradient) for gradient in gradients if is_numeric(gradient)]
        left_out = len(gradients) - len(found)
        if not found:
            return Collected(parameter, value, (), left_out)
        added = found[0]
        for each in found[1:]:
            added = added + each
        mean = change(added / len(found), Provenance(""))
        return Collected(parameter, value, (Gradient(parameter.name, parameter.kind, (mean,)),), left_out)


# Rules ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Memory:
    """What a rule knows of one parameter: how many derivatives it saw, and their moments (None where it keeps none)."""

    count: int = 0
    first: Floats | None = None
    second: Floats | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """What is added to the value, and the rule's memory after it."""

    change: Floats
    memory: Memory


class Rule(Protocol):
    """Derivative and memory → change and memory."""

    @property
    def name(self) -> str: ...

    def __call__(self, derivative: Floats, memory: Memory) -> Moved: ...


@dataclass(frozen=True, slots=True)
class GradientDescent:
    """θ ← θ − rate · g."""

    rate: float = 0.1
    name: str = "descent"

    def __post_init__(self) -> None:
        _check(self.name, rate=self.rate)

    def __call__(self, derivative: Floats, memory: Memory) -> Moved:
        return Moved(-self.rate * derivative, Memory(memory.count + 1))


@dataclass(frozen=True, slots=True)
class Momentum:
    """m ← decay · m + g; θ ← θ − rate · m (Polyak, 1964). With `nesterov`, θ ← θ − rate · (g + decay · m)."""

    rate: float = 0.1
    decay: float = 0.9
    nesterov: bool = False
    name: str = "momentum"

    def __post_init__(self) -> None:
        _check(self.name, rate=self.rate, decay=self.decay)

    def __call__(self, derivative: Floats, memory: Memory) -> Moved:
        before = np.zeros_like(derivative) if memory.first is None else memory.first
        first = self.decay * before + derivative
        along = derivative + self.decay * first if self.nesterov else first
        return Moved(-self.rate * along, Memory(memory.count + 1, first))


@dataclass(frozen=True, slots=True)
class Adam:
    """m ← b₁ m + (1 − b₁) g; v ← b₂ v + (1 − b₂) g²; θ ← θ − rate · m̂ / (√v̂ + ε), where m̂ and v̂ are without the
    bias of their start at 0 (Kingma and Ba, 2015)."""

    rate: float = 0.1
    first: float = 0.9
    second: float = 0.999
    epsilon: float = 1e-8
    name: str = "adam"

    def __post_init__(self) -> None:
        _check(self.name, rate=self.rate, first=self.first, second=self.second, epsilon=self.epsilon)

    def __call__(self, derivative: Floats, memory: Memory) -> Moved:
        zero = np.zeros_like(derivative)
        count = memory.count + 1
        first = self.first * (zero if memory.first is None else memory.first) + (1 - self.first) * derivative
        second = self.second * (zero if memory.second is None else memory.second)
        second = second + (1 - self.second) * derivative * derivative
        level, spread = first / (1 - self.first**count), second / (1 - self.second**count)
        return Moved(-self.rate * level / (np.sqrt(spread) + self.epsilon), Memory(count, first, second))


class RuleName(StrEnum):
    """The rules by name."""

    DESCENT = "descent"
    MOMENTUM = "momentum"
    ADAM = "adam"


def rule_named(name: RuleName, rate: float | None = None) -> Rule:
    """A rule with its own numbers, but for a rate that is given.

    Raises:
        SpecificationError: the rate is not above 0.
    """
    made: Mapping[RuleName, Callable[..., Rule]] = {
        RuleName.DESCENT: GradientDescent,
        RuleName.MOMENTUM: Momentum,
        RuleName.ADAM: Adam,
    }
    return made[name]() if rate is None else made[name](rate=rate)


def _check(rule: str, *, rate: float, **shares: float) -> None:
    if not (np.isfinite(rate) and rate > 0):
        raise SpecificationError(f"the rate of {rule} is {rate}: give a number above 0")
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise SpecificationError(f"{name} of {rule} is {share}: give a number from 0 to below 1")


# U -------------------------------------------------------------------------------------------------------------------

Memories = Mapping[str, Memory]
"""Parameter → the memory of its rule; the state that U carries from step to step."""


@dataclass(frozen=True, slots=True)
class Descended:
    """What a rule made of a step's derivatives."""

    edits: tuple[Edit, ...]
    dropped: tuple[Dropped, ...]
    memories: Memories = field(hash=False)


@dataclass(frozen=True, slots=True)
class DescentUpdate:
    """U: one candidate, in which every number and array that has a derivative goes one step down.

    Raises (as NodeError): in the first step no example had a derivative.
    """

    rule: Rule = GradientDescent()

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        found = descended(context, self.rule, derivatives_in(context), memories_in(context.state))
        if not found.edits and not found.dropped and context.step == 0:
            require_derivatives(context)
        return nothing(proposals_of(context, found))


def proposals_of(context: UpdateContext, found: Descended) -> Proposals:
    """All edits as one candidate; the memories as the state."""
    candidates = (candidate(context.parameters, found.edits),) if found.edits else ()
    return Proposals(candidates, found.dropped, found.memories)


def memories_in(state: object) -> Memories:
    """The memories that the step before returned; none in the first."""
    return state if isinstance(state, Mapping) else {}


def derivatives_in(context: UpdateContext) -> dict[str, Floats]:
    """Numeric parameter → its mean derivative, where there is one."""
    return {
        name: np.asarray(total(collected.gradients[0]))
        for name, collected in context.collected.items()
        if collected.parameter.kind.is_numeric and collected.gradients
    }


def require_derivatives(context: UpdateContext) -> None:
    """Refuse a loss that numeric methods cannot descend.

    Raises:
        SpecificationError: no example that was scored has a derivative.
    """
    if context.scored and all(scored.score.objective is None for scored in context.scored):
        raise SpecificationError(
            f"none of {len(context.scored)} answers has a derivative: numeric methods need a loss with one (squared, "
            "or a callable that returns a Score with an objective), and answers that are finite numbers"
        )


def descended(context: UpdateContext, rule: Rule, derivatives: Mapping[str, Floats], memories: Memories) -> Descended:
    """One step down for each parameter that has a derivative. One whose step is not finite stays as it is."""
    edits: list[Edit] = []
    dropped: list[Dropped] = []
    kept = dict(memories)
    for name, derivative in derivatives.items():
        before = context.parameters[name]
        assert isinstance(before, Number | Array), "only numbers and arrays have derivatives"
        with np.errstate(all="ignore"):
            moved = rule(derivative, kept.get(name, Memory()))
            wanted = np.asarray(before.value if isinstance(before, Number) else before.values) + moved.change
        if not np.all(np.isfinite(wanted)):
            dropped.append(Dropped(name, "the step is not finite: lower the rate", array_words(derivative)))
            continue
        kept[name] = moved.memory
        edits.append(Edit(name, before, placed(before, wanted), f"{rule.name}: derivative {array_words(derivative)}"))
    return Descended(tuple(edits), tuple(dropped), MappingProxyType(kept))


def placed(before: Number | Array, wanted: Floats) -> Number | Array:
    """A value of the same bounds at the place inside of them that is nearest to the wanted one."""
    inside = np.clip(wanted, before.low, before.high)
    if isinstance(before, Number):
        return replace(before, value=float(inside))
    return Array(inside, before.low, before.high)
