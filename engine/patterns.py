"""Regular expressions with a bound on the work that they can make. Pure.

Python's matcher backtracks, and some patterns make it try exponentially many ways on a text that does not fit. A time
limit is no bound here: what the clock says must not enter a decision (law L1). So a pattern is bounded before it is
used. It may be written such that no choice is made twice: a group that holds a choice (an alternation, or a repeat of
varying length) is not itself repeated, and there is no back-reference, look-around or condition. Then the matcher tries
at most the product of its choices, which is counted for the longest text; beyond `MOST_WAYS` the pattern is refused.
Possessive repeats (`.*+`) take no choice back. What is repeated without a choice is work all the same, on every way:
`QUICK` repeats of it count as one way more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from semprop.engine.errors import SpecificationError

MOST_WAYS = 100_000_000
"""As many ways as can be tried in about a second."""

QUICK = 100
"""Repeats without a choice that take no longer than a way."""

_QUANTIFIER = re.compile(r"(?:([*+?])|\{(?!\})(\d*)(,?)(\d*)\})([?+]?)")
_FLAGS = re.compile(r"\(\?([aiLmsux-]+)([:)])")
_PLAIN_GROUPS = ("(?:", "(?P<", "(?>")


@dataclass(slots=True)
class _Group:
    branches: int = 1
    has_choice: bool = False
    repeats: int = 0


def ways(pattern: str, length: int) -> int:
    """At most how many ways a backtracking matcher tries for this pattern on a text of so many characters, each of
    `QUICK` repeats at most.

    Raises:
        SpecificationError: not a regular expression, or one whose work is not bounded like this; with the mend.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise SpecificationError(f"the pattern {pattern!r} is no regular expression: {error}") from error
    total, place, groups = 1, 0, [_Group()]
    while place < len(pattern):
        sign = pattern[place]
        if sign == "|":
            groups[-1].branches += 1
            groups[-1].has_choice = True
            place += 1
            continue
        if sign == "(":
            place, is_group = _opened(pattern, place)
            groups += [_Group()] if is_group else []
            continue
        atom = groups.pop() if sign == ")" else _Group()
        place = place + 1 if sign == ")" else _after_atom(pattern, place)
        repeat = _QUANTIFIER.match(pattern, place)
        low, high = _bounds(repeat, length) if repeat else (1, 1)
        place = repeat.end() if repeat else place
        if atom.has_choice and high > 1:
            raise _refused(
                pattern,
                "it repeats a group that holds a choice; write the group out, or make the repeat inside of it fixed",
            )
        taken = 1 if repeat and repeat[5] == "+" else max(1, min(high, length) - low + 1)
        total *= taken * atom.branches
        groups[-1].has_choice |= atom.has_choice or taken > 1
        times = low if taken > 1 else min(high, max(low, length))
        groups[-1].repeats += times * max(1, atom.repeats) if times > 1 else atom.repeats
    return total * groups[-1].branches * max(1, groups[-1].repeats // QUICK)


def _opened(pattern: str, place: int) -> tuple[int, bool]:
    """Where a group's content begins, and whether it is one that ends with a bracket of its own."""
    if pattern.startswith("(?#", place):
        # A quantifier behind a comment repeats what stands before it.
        raise _refused(pattern, "it holds a comment; leave (?#…) out")
    if flags := _FLAGS.match(pattern, place):
        if "x" in flags[1]:
            raise _refused(pattern, "it is written in the verbose form; write it in one line without (?x)")
        return flags.end(), flags[2] == ":"
    if not pattern.startswith("(?", place):
        return place + 1, True
    kind = next((each for each in _PLAIN_GROUPS if pattern.startswith(each, place)), None)
    if kind is None:
        raise _refused(pattern, "it looks around, refers back or has a condition; use several patterns instead")
    return (pattern.index(">", place) + 1 if kind == "(?P<" else place + 3), True


def _after_atom(pattern: str, place: int) -> int:
    """Where the atom that begins here ends: an escape, a set, or a character."""
    if pattern[place] == "\\":
        if pattern[place + 1] in "123456789":
            raise _refused(pattern, "it refers back to a group; leave the reference out")
        return place + 2
    if pattern[place] != "[":
        return place + 1
    place += 2 if pattern.startswith("[^", place) else 1
    place += pattern.startswith("]", place)
    while pattern[place] != "]":
        place += 2 if pattern[place] == "\\" else 1
    return place + 1


def _bounds(repeat: re.Match[str], length: int) -> tuple[int, int]:
    sign, low, comma, high, _ = repeat.groups()
    if sign:
        return (1 if sign == "+" else 0), (1 if sign == "?" else length)
    least = int(low or 0)
    return least, (int(high) if high else length) if comma else least


def _refused(pattern: str, why: str) -> SpecificationError:
    return SpecificationError(f"the pattern {pattern!r} could take too long: {why}")


def check(pattern: str, length: int) -> None:
    """Refuse a pattern whose work on a text of so many characters is not bounded.

    Raises:
        SpecificationError: it is no regular expression, or could take too long.
    """
    most = ways(pattern, length)
    if most > MOST_WAYS:
        raise _refused(
            pattern,
            f"on {length} characters it may try {most:.0e} ways, more than {MOST_WAYS:.0e}; repeat "
            "fewer things, make repeats possessive (.*+), or lower max_bytes",
        )
