"""What a provider takes from outside: the environment's variables, time, randomness. Frozen data."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from semprop.providers.clock import Clock, SystemClock
from semprop.providers.layers import Layer
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import Specification


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider takes from outside.

    Attributes:
        environment: variables: keys, proxies, certificate authorities. None: those of the process.
        clock: what waits are measured on.
        random: what draws their length; no decision of a run reads it. None: seeded by the system.
        retry: when to ask again.
        watch: what stands around every call of a provider that is connected, outside of everything else: somebody who
            watches. None: nothing, at no cost.
        wall: the time of day, in seconds since 1970; marks when a batch was meant to be sent.
        token: a name that nobody has, of letters and digits; names a batch.
    """

    environment: Mapping[str, str] | None = field(default=None, repr=False)
    clock: Clock = field(default_factory=SystemClock)
    random: Random | None = None
    retry: RetryPolicy = RetryPolicy()
    watch: Callable[[Specification], Layer] | None = None
    wall: Callable[[], float] = time.time
    token: Callable[[], str] = lambda: os.urandom(8).hex()
