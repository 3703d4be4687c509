"""Which fault of a script an attempt meets: a pure decision by its number, time, key and seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from semprop.tools.endpoint.latency import chance
from semprop.tools.endpoint.settings import Draw, Fault, When


class Sight(NamedTuple):
    """What a decision may know of an attempt: its number (from 1), seconds since the start, the key of its request,
    and how many attempts of that request there have been, this one included."""

    attempt: int
    at: float
    key: str
    tries: int = 1


def met(faults: Sequence[Fault], sight: Sight, seed: int) -> Fault | None:
    """The first fault of the script whose conditions all hold."""
    for index, fault in enumerate(faults):
        if holds(fault.when, sight, seed, index):
            return fault
    return None


def holds(when: When, sight: Sight, seed: int, index: int = 0) -> bool:
    """Whether every condition holds; `index` tells the draws of several faults apart."""
    if not (when.begin <= sight.at < when.end and when.first_attempt <= sight.attempt <= when.last_attempt):
        return False
    if sight.attempt % when.every or (when.tries is not None and sight.tries > when.tries):
        return False
    if when.share >= 1.0:
        return True
    drawn_by = sight.attempt if when.draw is Draw.ATTEMPT else sight.key
    return chance(seed, "fault", index, drawn_by) < when.share


def counts_tries(faults: Sequence[Fault]) -> bool:
    """Whether the script asks how many attempts a request has had."""
    return any(fault.when.tries is not None for fault in faults)
