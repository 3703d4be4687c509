"""Whether a new instruction copies training examples: a leak that scores well and generalises to nothing. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from semprop.engine.example import Example, words_of

SHARED_TOKENS = 8
"""So many tokens in a row, shared with one example, count as a copy."""

_TOKEN = re.compile(r"\w+")


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    tokens = [match.group() for match in _TOKEN.finditer(text.casefold())]
    return (tuple(tokens[start : start + SHARED_TOKENS]) for start in range(len(tokens) - SHARED_TOKENS + 1))


class CopyGuard:
    """Finds runs of eight tokens that a text shares with an example's inputs or expected answer.

    A run that stands in more than half of the examples is the wording of the task, not of an example, and a run
    that the present instruction already holds was not copied by the new one: neither counts.
    """

    def __init__(self, examples: Iterable[Example]) -> None:
        counts: Counter[tuple[str, ...]] = Counter()
        total = 0
        for example in examples:
            total += 1
            fields = [*map(words_of, example.inputs.values()), example.expected or ""]
            counts.update(dict.fromkeys(gram for field in fields for gram in _grams(field)).keys())
        self._grams = frozenset(gram for gram, count in counts.items() if total == 1 or count * 2 <= total)

    def __call__(self, text: str, present: str) -> str:
        """The first copied run, or "" if there is none."""
        known = frozenset(_grams(present))
        return next((" ".join(gram) for gram in _grams(text) if gram in self._grams and gram not in known), "")
