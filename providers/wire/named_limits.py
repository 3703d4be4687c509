"""The limit that an error body names: which, how large, how much of it is used.

Takes sentences and quota identifiers; gives values. Pure; what it cannot read is absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from semprop.providers.base import LimitSeen

_LIMIT = re.compile(r"\(([A-Z]{3,4})\): Limit ([\d,]+)(?:, Used ([\d,]+))?, Requested ~?([\d,]+)")
_RATE_OF = re.compile(r"rate limit.{0,80}? of ([\d,]+) (?:(input|output) )?(tokens|requests) per (minute|day)", re.I)
_DIMENSIONS: Mapping[str, str] = {
    "RPM": "requests/minute",
    "RPD": "requests/day",
    "TPM": "tokens/minute",
    "TPD": "tokens/day",
    "ITPM": "input_tokens/minute",
    "OTPM": "output_tokens/minute",
}


@dataclass(frozen=True, slots=True)
class LimitNamed:
    """A limit that an error names, in requests or tokens, what is used of it and what was asked."""

    dimension: str
    limit: float | None = None
    requested: float | None = None
    used: float | None = None

    @property
    def seen(self) -> LimitSeen:
        """The same in the form of the headers."""
        if self.limit is None or self.used is None:
            return LimitSeen(self.dimension, self.limit)
        return LimitSeen(self.dimension, self.limit, max(0.0, self.limit - self.used))


def limit_in_text(text: str) -> LimitNamed | None:
    """From "on tokens per min (TPM): Limit 30000, Used 14567, Requested 24754" and "rate limit of 30,000 input tokens
    per minute"."""
    if found := _LIMIT.search(text):
        dimension = _DIMENSIONS.get(found[1])
        if dimension is not None:
            used = _plain(found[3]) if found[3] else None
            return LimitNamed(dimension, _plain(found[2]), _plain(found[4]), used)
    if found := _RATE_OF.search(text):
        side = f"{found[2].lower()}_" if found[2] else ""
        return LimitNamed(f"{side}{found[3].lower()}/{found[4].lower()}", _plain(found[1]))
    return None


def limit_of_quota(quotas: Sequence[str], values: Sequence[float | None] = ()) -> LimitNamed | None:
    """From identifiers as `GenerateContentInputTokensPerModelPerMinute-FreeTier` and their values; the first counts."""
    for quota, value in zip_longest(quotas, values):
        tokens = "input_tokens" if "InputToken" in quota else "tokens" if "Token" in quota else "requests"
        # It was refused, so that all of it is used.
        return LimitNamed(f"{tokens}/{'day' if 'PerDay' in quota else 'minute'}", value, None, value)
    return None


def _plain(text: str) -> float:
    return float(text.replace(",", ""))
