"""When does a step's input need its siblings? The criterion, by enumeration of everything that can be. Pure.

v is the input at fault, w the step's value, g_w what w should have been, T_v = {x : do(v = x) makes the loss 0}. The
siblings are needed iff I(T_v ; siblings | v, w, g_w, instruction) > 0 bits. All inputs, and what v should have been,
are independent and uniform over a published domain; states in which w came out right are left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

Operation = Callable[[tuple[str, ...]], str]
"""What a step makes of its inputs."""

Domain = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """One way in which things can be: its weight, what is seen without the siblings, and T_v, sorted."""

    weight: float
    observed: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Criterion:
    """Bits that the siblings hold about T_v, and how often the best advice is right without and with them."""

    bits: float
    right_without: float
    right_with: float


def criterion(states: Iterable[State]) -> Criterion:
    """The criterion over weighted states. T_v is a function of what is seen and the siblings, so the information is
    H(T_v | what is seen)."""
    seen: dict[tuple[str, ...], list[State]] = defaultdict(list)
    for state in states:
        seen[state.observed].append(state)
    total = sum(state.weight for group in seen.values() for state in group)
    bits = right = 0.0
    for group in seen.values():
        sets: dict[tuple[str, ...], float] = defaultdict(float)
        values: dict[str, float] = defaultdict(float)
        for state in group:
            sets[state.targets] += state.weight
            for value in state.targets:
                values[value] += state.weight
        bits += sum(weight * math.log2(sum(sets.values()) / weight) for weight in sets.values()) / total
        right += max(values.values(), default=0.0) / total
    possible = sum(state.weight for group in seen.values() for state in group if state.targets) / total
    return Criterion(bits, right, possible)


def states_of(operation: Operation, domains: Sequence[Domain], slot: int) -> Iterable[State]:
    """All states of a step of which input number `slot` is at fault."""
    domain = domains[slot]
    for inputs in product(*domains):
        results = {value: operation((*inputs[:slot], value, *inputs[slot + 1 :])) for value in domain}
        output = results[inputs[slot]]
        for right in domain:
            if results[right] != output:
                targets = tuple(value for value in domain if results[value] == results[right])
                yield State(1.0, (inputs[slot], output, results[right]), targets)


def lookup_states(keys: int) -> Iterable[State]:
    """A look-up of a wrong key in a hidden table of distinct values: by symmetry, any other key may be the right one,
    and what is seen never tells which."""
    for right in range(1, keys):
        yield State(1.0, ("a key", "its value", "the wanted value"), (str(right),))
