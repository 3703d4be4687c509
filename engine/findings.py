"""Named traps: what a gain on held-out data is made of, and what it is not. Pure; takes rows, gives typed findings.

A strict gain can be the format alone, the class prior alone, or bought with tokens; and often nothing helps. Each of
these is recognised by a rule that is written here, and said in words beside the claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from semprop.engine.answers import casefolded, whole_choice
from semprop.engine.statistics import FEWEST_ITEMS, SIGNIFICANCE, Comparison, Word, compare
from semprop.engine.strata import Stratified, stratified

MOST_CLASSES, ITEMS_A_CLASS = 12, 5
"""Where a task names no labels, its expected answers are classes if they are no more, and each stands for so many
items on average."""

ALWAYS, BEYOND = 0.9, 0.1
"""One class in so large a share of the answers, that much above its true share, is "always"."""

HALF = 0.5
"""A reading that shows less than this part of the strict gain says that most of it is format."""

DEAR = 1.5
"""So many times the tokens for an answer are said beside the gain."""


@dataclass(frozen=True, slots=True)
class Side:
    """One test item under one set of parameters: scores in [0, 1].

    `lenient` is None where there is no such reading, `answer` where none was extracted; `tokens` is what it took.
    """

    score: float
    answer: str | None = None
    lenient: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One test item on both sides; `group` is its stratum, "" if it has none."""

    before: Side
    after: Side
    expected: str | None = None
    group: str = ""


class Trap(StrEnum):
    """What a finding says."""

    FORMAT = "format"
    PRIOR = "class prior"
    ALWAYS = "always says"
    NOTHING = "nothing helped"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Finding:
    """A trap that a result fell into, in words, with the figures that show it."""

    trap: Trap
    words: str
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Class:
    """One class: how many items expect it, its accuracy before and after, and how many answers named it."""

    name: str
    n: int
    before: float
    after: float
    said_before: int
    said_after: int


@dataclass(frozen=True, slots=True)
class Classes:
    """Accuracy for each class. `balanced` weighs every class the same: what always naming one class cannot raise."""

    classes: tuple[Class, ...]
    balanced: Stratified


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens read and written for an answer, on average, before and after; over the items where both are known."""

    before: float
    after: float

    @property
    def times(self) -> float:
        """How many times as many it takes now."""
        return self.after / self.before


def classes(items: Sequence[Item], labels: Sequence[str], seed: int) -> Classes | None:
    """Accuracy by class, over classes of five items or more; None if the expected answers are not classes."""
    if not items or any(item.expected is None for item in items):
        return None
    expected = [item.expected or "" for item in items]
    named = tuple(labels) or tuple({casefolded(text): text for text in reversed(expected)}.values())[::-1]
    if len(named) < 2 or (not labels and (len(named) > MOST_CLASSES or len(items) < ITEMS_A_CLASS * len(named))):
        return None
    of_item = [_class_of(text, named) for text in expected]
    if any(name is None for name in of_item):
        return None
    frequent = {name for name, count in Counter(of_item).items() if count >= ITEMS_A_CLASS}
    kept = [place for place, name in enumerate(of_item) if name in frequent]
    items, names = [items[place] for place in kept], [of_item[place] or "" for place in kept]
    if len(frequent) < 2:
        return None
    said = [
        Counter(_class_of(side.answer or "", named) for side in sides)
        for sides in ([item.before for item in items], [item.after for item in items])
    ]
    before, after = [item.before.score for item in items], [item.after.score for item in items]
    balanced = stratified(names, before, after, seed)
    parts = {stratum.name: stratum.comparison for stratum in balanced.strata}
    rows = [
        Class(name, parts[name].n, parts[name].before, parts[name].after, said[0][name], said[1][name])
        for name in sorted(parts, key=named.index)
    ]
    return Classes(tuple(rows), balanced)


def _class_of(text: str, named: Sequence[str]) -> str | None:
    return whole_choice(text, named)


def tokens(items: Sequence[Item]) -> Tokens | None:
    """What an answer takes, before and after; None where an endpoint does not count."""
    pairs = [
        (item.before.tokens, item.after.tokens)
        for item in items
        if item.before.tokens is not None and item.after.tokens is not None
    ]
    if not pairs or not sum(before for before, _ in pairs):
        return None
    return Tokens(sum(before for before, _ in pairs) / len(pairs), sum(after for _, after in pairs) / len(pairs))


def lenient(items: Sequence[Item], seed: int) -> Comparison | None:
    """The comparison of the lenient readings; None unless every item has one on both sides."""
    pairs = [(item.before.lenient, item.after.lenient) for item in items]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    if not known or len(known) < len(pairs):
        return None
    return compare([before for before, _ in known], [after for _, after in known], seed)


@dataclass(frozen=True, slots=True)
class Held:
    """What the findings are read off: the claim's comparison, and the readings beside it."""

    strict: Comparison
    lenient: Comparison | None
    constrained: Comparison | None
    classes: Classes | None
    tokens: Tokens | None


def findings(held: Held, *, changed: bool, tried: int) -> tuple[Finding, ...]:
    """The traps, in the order in which they are to be told.

    Args:
        changed: whether any parameter differs from its initial value.
        tried: how many candidates were proposed.
    """
    found = [_nothing(held, changed, tried), _format(held), *_prior(held), _dear(held)]
    return tuple(finding for finding in found if finding is not None)


def _nothing(held: Held, changed: bool, tried: int) -> Finding | None:
    strict = held.strict
    if not changed:
        return Finding(Trap.NOTHING, f"nothing helped: none of {tried} candidates was accepted, so nothing changed")
    if strict.word not in (Word.NO_RELIABLE_GAIN, Word.NO_GAIN):
        return None
    low, high = strict.interval
    words = (
        f"nothing helped that {strict.n} held-out examples can show: {strict.phrase}, {_points(strict.difference)} "
        f"(95 % interval {_points(low)} to {_points(high)})"
    )
    return Finding(Trap.NOTHING, words, {"difference": strict.difference})


def _format(held: Held) -> Finding | None:
    """A reliable strict gain that a reading of the content does not share."""
    if held.strict.word is not Word.RELIABLE_GAIN:
        return None
    ways = (
        ("read leniently", held.lenient),
        ("with decoding held to the labels", held.constrained),
    )
    readings = [(way, found) for way, found in ways if found is not None and found.n >= FEWEST_ITEMS]
    if not readings:
        return None
    way, least = min(readings, key=lambda entry: entry[1].difference)
    share = 1 - least.difference / held.strict.difference
    figures = {"strict": held.strict.difference, "content": least.difference, "share": share}
    told = f"{_points(held.strict.difference)} strictly, {_points(least.difference)} {way} ({least.phrase})"
    if least.word is not Word.RELIABLE_GAIN:
        return Finding(
            Trap.FORMAT, f"the gain is format: {told}; the form of the answer was learned, not the task", figures
        )
    if share > HALF:
        return Finding(Trap.FORMAT, f"most of the gain is format: {told}", figures)
    return None


def _prior(held: Held) -> tuple[Finding, ...]:
    if held.classes is None or held.strict.n < FEWEST_ITEMS:
        return ()
    rows, balanced = held.classes.classes, held.classes.balanced
    total = balanced.n
    found = []
    most = max(rows, key=lambda row: row.said_after)
    said, right = most.said_after / total, most.n / total
    if said >= ALWAYS and said - right >= BEYOND:
        before = most.said_before / total
        already = f"; it did so before ({100 * before:.0f} %)" if before >= ALWAYS else ""
        words = (
            f'always says "{most.name}": {100 * said:.0f} % of the answers, and {100 * right:.0f} % of the right ones; '
            f"balanced accuracy {_percent(balanced.after)} over {len(rows)} classes{already}"
        )
        found.append(Finding(Trap.ALWAYS, words, {"said": said, "right": right, "balanced": balanced.after}))
    if held.strict.word is not Word.RELIABLE_GAIN:
        return tuple(found)
    lost = [
        stratum
        for stratum in balanced.strata
        if stratum.comparison.difference < 0 and stratum.holm <= SIGNIFICANCE and stratum.comparison.n >= ITEMS_A_CLASS
    ]
    if balanced.word is Word.RELIABLE_GAIN and not lost:
        return tuple(found)
    paid = "".join(
        f'; "{stratum.name}" fell from {_percent(stratum.comparison.before)} to {_percent(stratum.comparison.after)}'
        for stratum in lost
    )
    words = (
        f"the gain follows the class prior: accuracy {_points(held.strict.difference)}, balanced accuracy "
        f"{_points(balanced.difference)} ({balanced.word}){paid}"
    )
    figures = {"accuracy": held.strict.difference, "balanced": balanced.difference}
    return (*found, Finding(Trap.PRIOR, words, figures))


def _dear(held: Held) -> Finding | None:
    if held.tokens is None or held.tokens.times < DEAR or held.strict.n < FEWEST_ITEMS:
        return None
    times = held.tokens.times
    words = (
        f"{_points(held.strict.difference)} at {times:.1f} times the tokens: {held.tokens.before:,.0f} an answer "
        f"before, {held.tokens.after:,.0f} after"
    )
    return Finding(Trap.TOKENS, words, {"times": times, "difference": held.strict.difference})


def _points(gain: float) -> str:
    return f"{100 * gain:+.1f} points"


def _percent(score: float) -> str:
    return f"{100 * score:.1f} %"
