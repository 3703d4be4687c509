"""How long a mock endpoint takes: a function of settings, seed and request key alone. Pure.

Draws are log-normal: median × exp(sigma × z), with z the normal quantile of a hash, so that one request has one
latency in every process and in every order.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist

from semprop.tools.endpoint.settings import Distribution, Latency

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from arrival to the first token, and the gap before each later one."""

    first: float
    gaps: tuple[float, ...]

    @property
    def whole(self) -> float:
        """Seconds to the last token."""
        return self.first + math.fsum(self.gaps)


def chance(seed: int, *names: object) -> float:
    """A number above 0 and below 1, a function of its arguments alone."""
    text = "\x1f".join(map(str, (seed, *names))).encode()
    digits = int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")
    return (digits + 0.5) / 2**48


def pace(latency: Latency, seed: int, key: str, tokens_in: int, tokens_out: int) -> Pace:
    """How long a request takes."""
    first = drawn(latency.first, seed, key, "first") + tokens_in * latency.per_input_token
    later = max(0, tokens_out - 1)
    gap = latency.gap
    if not gap.median or not later:
        return Pace(first, (0.0,) * later)
    if not gap.sigma:
        return Pace(first, (gap.median,) * later)
    return Pace(first, tuple(drawn(gap, seed, key, "gap", place) for place in range(later)))


def drawn(distribution: Distribution, seed: int, *names: object) -> float:
    """One value of a distribution, in seconds."""
    if not distribution.sigma:
        return distribution.median
    return distribution.median * math.exp(distribution.sigma * _NORMAL.inv_cdf(chance(seed, *names)))
