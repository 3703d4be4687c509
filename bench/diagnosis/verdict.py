"""From what was found to what to do: worth optimizing? what to fix first? Pure; words for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from semprop.bench.diagnosis.results import Controls, Diagnosis, FormatGap, Headroom, SmallestGain, Start
from semprop.engine.findings import ALWAYS, BEYOND
from semprop.engine.statistics import FEWEST_ITEMS


class Worth(StrEnum):
    """The verdict."""

    YES = "worth optimizing"
    NO = "not worth optimizing as it is"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is worth it, why, and what to do, the first thing first."""

    worth: Worth
    reasons: tuple[str, ...]
    advice: tuple[str, ...]


SOLVED = 0.95
"""A start that scores so much has nothing to gain that a test of usual size can show."""


def verdict(found: Diagnosis) -> Verdict:
    """The verdict: no, if nothing is missing, if the data cannot show what is missing, or if a control does as well;
    yes, if something is missing that the data can show."""
    start = found.start
    if start is None:
        return Verdict(Worth.UNCLEAR, ("nothing was measured",), ())
    against = [*_against(found, start)]
    advice = [*_advice(found, start)]
    if against:
        return Verdict(Worth.NO, tuple(against), tuple(advice))
    if found.gain is None or found.headroom is None:
        return Verdict(Worth.UNCLEAR, ("headroom and the smallest visible gain were not both measured",), tuple(advice))
    reasons = [
        f"{percent(1 - start.score)} of the score is missing, and {found.gain.test} test examples show a gain of "
        f"{bare(found.gain.in_test)} or more"
    ]
    if found.headroom.best is not None and found.headroom.best.interval.low > 0:
        reasons.append(f"general sentences alone gain about {points(found.headroom.best.difference)}")
    return Verdict(Worth.YES, tuple(reasons), tuple(advice))


def _against(found: Diagnosis, start: Start) -> Iterator[str]:
    if start.score >= SOLVED:
        yield f"the start scores {percent(start.score)}: next to nothing is missing"
    gain = found.gain
    if gain is not None and start.score < SOLVED:
        missing = 1 - start.score
        if gain.in_test > missing:
            yield (
                f"the data cannot show it: {gain.test} test examples show {shown(gain.in_test)} at the least, and "
                f"{bare(missing)} is all that is missing"
            )
    if found.controls is not None and found.controls.matches("labels"):
        yield "wrong labels gain as much: the gain comes from search, not from gradients"


def _advice(found: Diagnosis, start: Start) -> Iterator[str]:
    if start.missing:
        yield f"first see why a provider failed on {start.missing} examples"
    if found.format is not None and found.format.is_gap:
        yield _format_advice(found.format)
    if said := always(start):
        yield said
    gain, room = found.gain, found.headroom
    if gain is not None and gain.in_test > gain.delta:
        yield f"for a gain of {bare(gain.delta)} take {gain.needed:,} test examples, not {gain.test:,}"
    if gain is not None and room is not None and room.best is not None and gain.in_test > room.best.interval.high > 0:
        yield (
            f"the smallest visible gain, {shown(gain.in_test)}, exceeds what general sentences gain (at most "
            f"{bare(room.best.interval.high)}): a gain of that size would go unseen"
        )
    if found.coupling is not None and not found.coupling.is_flat:
        if found.coupling.interacts:
            yield "prompts interact: optimize them together, and let edits be judged together"
        else:
            yield f"no interaction seen (n = {found.coupling.n}): one prompt at a time may do as well"
    if found.controls is not None:
        yield from (
            f"{words} gains as much: use it, it is cheaper"
            for name, words in (("blind", "rewriting without data"), ("random", "blind search for the same money"))
            if found.controls.matches(name)
        )


def _format_advice(found: FormatGap) -> str:
    if found.is_mended:
        return f"fix the format first: add “{found.text}” and diagnose again"
    left = ", and then see that it does better than guessing" if found.is_guessing else ""
    return (
        "fix the format first: the model does not write its answer in the form that is judged, and one line does not "
        f"mend that; hold decoding to the labels, or show examples of answers{left}"
    )


def always(start: Start) -> str:
    """That one class is said to nearly everything, or ""."""
    if start.classes is None:
        return ""
    total = sum(row.n for row in start.classes.classes)
    most = max(start.classes.classes, key=lambda row: row.said_after)
    if most.said_after / total < ALWAYS or (most.said_after - most.n) / total < BEYOND:
        return ""
    return (
        f'it always says "{most.name}" ({percent(most.said_after / total)} of the answers, {percent(most.n / total)} '
        "of the right ones): watch balanced accuracy, not accuracy"
    )


# The parts in words --------------------------------------------------------------------------------------------------


def start_words(start: Start) -> Iterator[str]:
    """The graph as it is."""
    low, high = start.interval
    yield f"score {percent(start.score)} (n = {start.n}, 95 % interval {percent(low)} to {percent(high)})"
    if start.missing:
        yield f"{start.missing} examples had no score: a provider failed on them"


def format_words(start: Start, found: FormatGap) -> Iterator[str]:
    """The format gap."""
    if found.read is None:
        yield "the loss has no lenient reading"
    else:
        yield f"read leniently {percent(found.read.after)}, strictly {percent(found.read.before)}{_claim(found.read.n)}"
    if found.held is not None:
        guess = f": no better than guessing, {percent(found.chance or 0.0)}" if found.is_guessing else ""
        yield f"with decoding held to the labels {percent(found.held.after)} ({points(found.held.difference)}){guess}"
    if found.line is None:
        yield "no line could be added: the output is no model's, or its instruction is full"
    else:
        yield (
            f"with the line “{found.text}” {percent(found.line.after)} ({points(found.line.difference)}; 95 % interval "
            f"{points(found.line.interval.low)} to {points(found.line.interval.high)})"
        )
    yield "there is a format gap: form is what fails" if found.is_gap else "no format gap to speak of"


def class_words(start: Start) -> Iterator[str]:
    """Accuracy by class."""
    if start.classes is None:
        yield "the answers are no classes, or too few examples of each"
        return
    for row in start.classes.classes:
        yield f'"{row.name}": {percent(row.after)} of {row.n} right; said {row.said_after} times'
    yield f"balanced accuracy {percent(start.classes.balanced.after)}"
    if said := always(start):
        yield said


def gain_words(found: SmallestGain) -> Iterator[str]:
    """The smallest gain that the data can show."""
    low, high = found.interval
    yield (
        f"{found.changed} of {found.n} examples changed between two prompts (95 % interval {percent(low)} to "
        f"{percent(high)})" + ("" if found.changed else "; the most that may change is taken")
    )
    yield f"{found.test:,} test examples show a gain of {shown(found.in_test)} (one-sided 5 %, power 80 %)"
    yield f"{found.gate:,} gate examples show {shown(found.in_gate)}"
    yield f"a gain of {bare(found.delta)} takes {found.needed:,} examples"


def headroom_words(found: Headroom) -> Iterator[str]:
    """The headroom, and what it is not."""
    for name, score in zip(found.names, found.scores, strict=True):
        yield f"{name}: {percent(score)} ({points(score - found.start)})"
    if found.best is not None and found.best.interval.low == found.best.interval.high == 0:
        yield f"none of {len(found.names)} gains anything that picking it by half of the examples would find"
    elif found.best is not None:
        low, high = found.best.interval
        yield (
            f"the best of {len(found.names)} gains {points(found.best.difference)} once picking it is corrected for "
            f"(approximate; 95 % interval {points(low)} to {points(high)}): what costs nothing to try"
        )
    yield f"{percent(found.any_solves)} of the examples are solved by the start or some variant (inflated by luck)"
    yield f"{bare(found.ceiling)} are missing to a perfect score: a bound, and no promise"


def coupling_words(found: Diagnosis) -> Iterator[str]:
    """Whether prompts interact."""
    part = found.coupling
    if part is None:
        return
    low, high = part.interval
    yield f"last instruction alone {points(part.a)}, the others alone {points(part.b)} (mean effects, n = {part.n})"
    yield f"interaction {points(part.interaction)} (95 % interval {points(low)} to {points(high)}), p = {part.p:.3f}"
    share_low, share_high = part.share_interval
    yield (
        f"{percent(part.share)} of the variance between prompts is interaction (95 % interval {percent(share_low)} to "
        f"{percent(share_high)})"
    )
    if part.is_flat:
        yield "the other wordings changed next to nothing, so that no interaction could be seen"
    elif part.interacts:
        yield "the prompts interact"
    else:
        yield "no interaction seen; a small one would not be, at this size"


def control_words(found: Controls) -> Iterator[str]:
    """Controls beside the method."""
    names = {"labels": "wrong labels in the feedback", "blind": "no data", "random": "blind, for the same money"}
    yield f"the method: {points(found.true.difference)} (n = {found.true.n}, {found.true.phrase})"
    for name, control in found.controls.items():
        yield f"{names[name]}: {points(control.difference)} ({control.phrase})"
    if found.true.difference <= 0:
        yield "the method gained nothing here, so there is no gain to explain"
        return
    if not found.is_shown:
        yield f"the method's gain is not shown (p = {found.true.p:.2f}), so that controls cannot explain it"
        return
    if found.matches("labels"):
        yield "the gain comes from search, not from gradients"
    for name in ("blind", "random"):
        if found.matches(name):
            yield f"{names[name]} does as well: the gradients were not needed"
    if found.controls and not any(map(found.matches, found.controls)):
        yield "no control does as well" + _claim(found.true.n)


def _claim(n: int) -> str:
    return "" if n >= FEWEST_ITEMS else f" (n = {n}: too few to claim)"


def percent(score: float) -> str:
    """A share."""
    return f"{100 * score:.1f} %"


def points(gain: float) -> str:
    """A difference of scores."""
    return f"{100 * gain:+.1f} points"


def bare(gain: float) -> str:
    """A size of a difference."""
    return f"{100 * gain:.1f} points"


def shown(gain: float) -> str:
    """A smallest gain; infinite is none at all."""
    return "no gain at all" if math.isinf(gain) else f"{bare(gain)} or more"
