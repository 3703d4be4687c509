"""The claim: one test on the held-out split, final against initial (statistics reference, 9–16). Pure.

Takes rows of scored answers, gives what may be said of them, with what the gain is made of beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from semprop.engine.findings import (
    Classes,
    Finding,
    Held,
    Item,
    Side,
    Tokens,
    classes,
    findings,
    lenient,
    tokens,
)
from semprop.engine.method import Scored
from semprop.engine.outcomes import Failure
from semprop.engine.statistics import Comparison, Word, compare, fall_unequally
from semprop.engine.strata import Stratified, stratified
from semprop.engine.tape import shown

LABELS_NEEDED = 30
"""So many labels of the user's make a judge's scores more than the judge's own opinion."""

AS_SEEN = "gain as seen by the judge"
"""What a reliable gain is called where a model judges, and nobody has checked the model."""


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """Who judged. `digest` is of its criteria, prompt, sampling and model: equal digests, equal judges. Of the user's
    `labels`, `agreed` fell on the same side of ½ as the judge's grade."""

    digest: str
    model: str
    labels: int = 0
    agreed: int = 0

    @property
    def is_checked(self) -> bool:
        return self.labels >= LABELS_NEEDED


@dataclass(frozen=True, slots=True)
class HeldOutReport:
    """Before and after on the test split.

    `strict` judges the answers as extracted, `lenient` the best reading of the whole replies, `constrained` the
    answers when decoding is held to the labels; the last two are None where there is no such reading. `missing`
    items were excluded from both sides because a provider failed; `unsettled` says why they forbid a word, or "".
    `strata` is given where the items are of several groups, `classes` where the answers are classes, `tokens` where
    the endpoint counts them, `judge` where a model gave the scores; `findings` name what the gain is made of.
    `pairs` are the scores themselves, before and after, item by item.
    """

    strict: Comparison
    lenient: tuple[float, float] | None
    constrained: tuple[float, float] | None
    missing: int
    unsettled: str = ""
    strata: Stratified | None = None
    classes: Classes | None = None
    tokens: Tokens | None = None
    findings: tuple[Finding, ...] = ()
    judge: JudgeReport | None = None
    pairs: tuple[tuple[float, float], ...] = field(default=(), repr=False)

    @property
    def word(self) -> str:
        """What may be said: the comparison's own word, unless failures could turn it, or only a judge has seen it."""
        if self.unsettled:
            return f"undecided: {self.unsettled}"
        if self.strict.word is Word.RELIABLE_GAIN and self.judge is not None and not self.judge.is_checked:
            return AS_SEEN
        return self.strict.phrase


Row = tuple[Scored | Failure, Scored | Failure]
"""One test item: scored under the initial and under the final parameters."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What the search before the test came to: whether a parameter changed, and how many candidates were tried."""

    changed: bool = True
    tried: int = 0


def held_out(
    rows: Sequence[Row],
    constrained: Sequence[Row],
    seed: int,
    labels: Sequence[str] = (),
    searched: Searched = Searched(),
    judge: JudgeReport | None = None,
) -> HeldOutReport | None:
    """The report on the test split, over the items that both sides have; None if there are none."""
    items = _items(rows)
    if not items:
        return None
    before, after = [item.before.score for item in items], [item.after.score for item in items]
    strict = compare(before, after, seed)
    read, limited = lenient(items, seed), _limited(constrained, seed)
    by_class, used = classes(items, labels, seed), tokens(items)
    groups = [item.group for item in items]
    return HeldOutReport(
        strict=strict,
        lenient=None if read is None else (read.before, read.after),
        constrained=None if limited is None else (limited.before, limited.after),
        missing=len(rows) - len(items),
        unsettled=_unsettled(rows, strict, seed),
        strata=stratified(groups, before, after, seed) if len({*groups}) > 1 else None,
        classes=by_class,
        tokens=used,
        findings=findings(Held(strict, read, limited, by_class, used), changed=searched.changed, tried=searched.tried),
        judge=judge,
        pairs=tuple(zip(before, after, strict=True)),
    )


def _limited(constrained: Sequence[Row], seed: int) -> Comparison | None:
    held = _complete(constrained)
    return (
        compare([one.score.value for one, _ in held], [other.score.value for _, other in held], seed) if held else None
    )


def _items(rows: Sequence[Row]) -> list[Item]:
    """The items that both sides have, as the findings read them."""
    return [
        Item(_side(one), _side(other), one.tape.example.expected, one.tape.example.group)
        for one, other in _complete(rows)
    ]


def _side(entry: Scored) -> Side:
    tape, score = entry.tape, entry.score
    answer = None if tape.answer is None else shown(tape.answer)
    return Side(score.value, answer, score.lenient, tape.tokens)


def _unsettled(rows: Sequence[Row], strict: Comparison, seed: int) -> str:
    """Why the missing items forbid a verdict (law L3), or "": they fall on one side, or could turn the word."""
    only_before = sum(isinstance(one, Failure) and isinstance(other, Scored) for one, other in rows)
    only_after = sum(isinstance(one, Scored) and isinstance(other, Failure) for one, other in rows)
    if fall_unequally(only_before, only_after):
        return f"failures fall unequally, {only_before} before and {only_after} after"
    missing = len(rows) - strict.n
    for worst_before, worst_after in ((1.0, 0.0), (0.0, 1.0)) if missing else ():
        before = [one.score.value if isinstance(one, Scored) else worst_before for one, _ in rows]
        after = [other.score.value if isinstance(other, Scored) else worst_after for _, other in rows]
        if compare(before, after, seed).word is not strict.word:
            return f"the {missing} missing items could turn the word"
    return ""


def _complete(rows: Sequence[Row]) -> list[tuple[Scored, Scored]]:
    return [(one, other) for one, other in rows if isinstance(one, Scored) and isinstance(other, Scored)]


# As JSON data --------------------------------------------------------------------------------------------------------


def held_out_document(report: HeldOutReport) -> dict[str, Any]:
    """The held-out part of a result."""
    strict = report.strict
    return {
        "before": strict.before,
        "after": strict.after,
        "n": strict.n,
        "difference": strict.difference,
        "interval": list(strict.interval),
        "p": strict.p,
        "test": strict.test,
        "word": report.word,
        "missing": report.missing,
        "lenient": _pair(report.lenient),
        "constrained": _pair(report.constrained),
        "strata": None if report.strata is None else strata_document(report.strata),
        "classes": None if report.classes is None else _classes_document(report.classes),
        "tokens": None if report.tokens is None else {"before": report.tokens.before, "after": report.tokens.after},
        "judge": None if report.judge is None else _judge_document(report.judge),
        "findings": [finding_document(finding) for finding in report.findings],
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    """A finding as it is told."""
    return {"trap": str(finding.trap), "words": finding.words, "figures": dict(finding.figures)}


def _pair(pair: tuple[float, float] | None) -> dict[str, float] | None:
    return None if pair is None else {"before": pair[0], "after": pair[1]}


def strata_document(found: Stratified) -> dict[str, Any]:
    """The stratified mean, and every stratum with its corrected p."""
    return {
        "before": found.before,
        "after": found.after,
        "difference": found.difference,
        "interval": list(found.interval),
        "p": found.p,
        "n": found.n,
        "word": str(found.word),
        "strata": [
            {
                "name": stratum.name,
                "n": stratum.comparison.n,
                "before": stratum.comparison.before,
                "after": stratum.comparison.after,
                "difference": stratum.comparison.difference,
                "interval": list(stratum.comparison.interval),
                "holm": stratum.holm,
                "word": str(stratum.word),
            }
            for stratum in found.strata
        ],
    }


def _classes_document(found: Classes) -> dict[str, Any]:
    balanced = found.balanced
    return {
        "balanced": {
            "before": balanced.before,
            "after": balanced.after,
            "difference": balanced.difference,
            "interval": list(balanced.interval),
            "word": str(balanced.word),
        },
        "classes": [
            {
                "name": row.name,
                "n": row.n,
                "before": row.before,
                "after": row.after,
                "said": {"before": row.said_before, "after": row.said_after},
            }
            for row in found.classes
        ],
    }


def _judge_document(judge: JudgeReport) -> dict[str, Any]:
    return {"digest": judge.digest, "model": judge.model, "labels": judge.labels, "agreed": judge.agreed}
