"""Losses as scores: how good an answer is, in [0, 1], 1 best, with optional feedback in words. Pure, except
`Custom` (any callable of the user) and `Judge` (asks a model), which the loss pass runs.

Score is what users and reports see; loss = 1 − score, converted once, in the loss pass. A *strict* score judges the
value that a node extracted; a *lenient* one the best reading of the final model's whole reply, and is never lower.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

import numpy as np

from semprop.engine.answers import (
    are_equal,
    casefolded,
    choice_in,
    is_same_choice,
    last_number,
    numbers_in,
    rivals,
    whole_choice,
    whole_number,
)
from semprop.engine.errors import DataError, SpecificationError
from semprop.engine.example import Example
from semprop.providers.base import Sampling, TokenLogprob


@dataclass(frozen=True, slots=True)
class Objective:
    """A numeric loss in its own units, 0 best, and its derivative with respect to the answer (a number, or an array
    of the answer's shape): what numeric methods descend, where a score has one."""

    value: float
    derivative: Any = field(compare=False)


@dataclass(frozen=True, slots=True)
class Score:
    """How good one answer is. `value` judges the answer as extracted by the node (strict); `lenient` judges the best
    reading of the whole reply, so that the difference is what format alone costs; None if there is no such reading.
    `feedback` says in words what was wrong, and becomes part of the gradient; `objective` says it in numbers."""

    value: float
    feedback: str = ""
    lenient: float | None = None
    objective: Objective | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a loss reads: the output's value as text, the final model's whole reply, its tokens' log probabilities,
    and the value itself."""

    text: str
    reply: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    value: Any = None


@runtime_checkable
class PureLoss(Protocol):
    """A loss that is a function of the example and the answer alone."""

    @property
    def name(self) -> str: ...

    def __call__(self, example: Example, answer: Answer) -> Score: ...


@dataclass(frozen=True, slots=True)
class Exact:
    """1 if the answer is the expected text, space around it apart.

    Lenient: the reply names the expected text last and alone, in any case, among `labels` (else among those that
    its form tells, as yes and no, or `(A)` … `(Z)`; else as the only thing looked for).

    Raises (when called):
        DataError: the example has no expected answer.
    """

    labels: tuple[str, ...] = ()
    name: str = "exact"

    def __call__(self, example: Example, answer: Answer) -> Score:
        expected = _expected(self.name, example)
        return _scored(answer.text.strip() == expected.strip(), answer, _names(expected, self.labels))


@dataclass(frozen=True, slots=True)
class CaseFolded:
    """1 if the answer is the expected text; case, spacing, quotes, emphasis and a final full stop apart. Lenient and
    raises as `Exact`."""

    labels: tuple[str, ...] = ()
    name: str = "casefold"

    def __call__(self, example: Example, answer: Answer) -> Score:
        expected = _expected(self.name, example)
        return _scored(casefolded(answer.text) == casefolded(expected), answer, _names(expected, self.labels))


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """1 if the answer is the expected option and nothing else: `(A)`, `A`, `a.`, `**(A)**`. Without `options` the
    form of the expected answer tells them: letters, yes and no, true and false, valid and invalid.

    Lenient: the option that the reply names last and alone ("The answer is (A), because …").

    Raises (when called):
        DataError: the example has no expected answer, or one that is none of `options`.
    """

    options: tuple[str, ...] = ()
    name: str = "choice"

    def __call__(self, example: Example, answer: Answer) -> Score:
        expected = _expected(self.name, example)
        options = self.options or rivals(expected)
        if whole_choice(expected, options) is None:
            raise DataError(
                f"example {example.id!r} expects {expected!r}, which is not one of the options of the loss "
                f"{self.name!r}: {', '.join(options)}; mend the row or the options"
            )
        return _scored(is_same_choice(answer.text, expected), answer, _names(expected, options))


@dataclass(frozen=True, slots=True)
class Numeric:
    """1 if the whole answer is the expected number (1,080 = 1080 = $1,080.00), up to `tolerance` in absolute terms.
    Lenient: the last number of the reply is.

    Raises (when called):
        DataError: the example has no expected answer, or one that is not a single number.
    """

    tolerance: float = 0.0
    name: str = "numeric"

    def __call__(self, example: Example, answer: Answer) -> Score:
        text = _expected(self.name, example)
        numbers = numbers_in(text)
        expected = whole_number(text) if len(numbers) != 1 else numbers[0]
        if expected is None:
            raise DataError(
                f"example {example.id!r} expects {text[:60]!r}, which is not one number; the loss {self.name!r} "
                "needs one: mend the row, or use another loss"
            )
        return _scored(
            self._is(whole_number(answer.text), expected), answer, lambda reply: self._is(last_number(reply), expected)
        )

    def _is(self, found: Decimal | None, expected: Decimal) -> bool:
        return found is not None and are_equal(found, expected, self.tolerance)


@dataclass(frozen=True, slots=True)
class Contains:
    """1 if the expected text stands somewhere in the answer as words of their own (12 is not in 120); case and
    spacing apart. There is no lenient reading: it is lenient itself.

    Raises (when called):
        DataError: the example has no expected answer.
    """

    name: str = "contains"

    def __call__(self, example: Example, answer: Answer) -> Score:
        words = casefolded(_expected(self.name, example))
        text = " ".join(answer.text.split()).casefold()
        return Score(float(re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None))


@dataclass(frozen=True, slots=True)
class LabelProbability:
    """The probability of the expected label at the beginning of the reply, renormalised over the labels.

    It is read at the first token that tells the labels apart, from the alternatives there; tokens that all remaining
    labels share, and space, quotes or emphasis before, are passed over. 0 if no label is among the alternatives. The
    final node must therefore answer with the label first (`ReplyFormat.WHOLE`).

    Raises (when made): SpecificationError: fewer than two labels, or two that are the same.
    Raises (when called):
        DataError: the example has no expected answer, or one that is none of `labels`.
        SpecificationError: the reply came without alternatives.
    """

    labels: tuple[str, ...]
    name: str = "probability"

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len({_label_core(label) for label in self.labels}) < len(self.labels):
            raise SpecificationError(
                f"the loss {self.name!r} needs at least two different labels, got {self.labels}: give labels=…"
            )

    def __call__(self, example: Example, answer: Answer) -> Score:
        expected = whole_choice(_expected(self.name, example), self.labels)
        if expected is None:
            raise DataError(
                f"example {example.id!r} expects {example.expected!r}, which is not one of the labels of the loss "
                f"{self.name!r}: {', '.join(self.labels)}; mend the row or the labels"
            )
        if not any(token.alternatives for token in answer.logprobs):
            raise SpecificationError(
                f"the loss {self.name!r} needs log probabilities, and the reply to example {example.id!r} has none: "
                "use a forward provider that gives them, and ask for them on the final node with "
                f"Sampling(top_logprobs={max(5, len(self.labels))})"
            )
        masses = label_masses(answer.logprobs, self.labels)
        total = sum(masses.values())
        return Score(masses[expected] / total if total > 0 else 0.0)


def label_masses(tokens: Sequence[TokenLogprob], labels: Sequence[str]) -> dict[str, float]:
    """The probability of each label at the first token that tells them apart."""
    cores = {_label_core(label): label for label in labels}
    written = ""
    for token in tokens:
        joined = _joined(written, token.token)
        if _is_open(joined, cores):
            written = joined
            continue
        masses = dict.fromkeys(labels, 0.0)
        for text, logprob in {token.token: token.logprob, **dict(token.alternatives)}.items():
            core = _named(_joined(written, text), cores)
            if core is not None:
                masses[cores[core]] += math.exp(logprob)
        return masses
    return {label: float(core == written) for core, label in cores.items()}


_BEFORE_LABEL = " \t\r\n*_`\"'“‘("


def _label_core(label: str) -> str:
    return casefolded(label).removeprefix("(").removesuffix(")")


def _joined(written: str, token: str) -> str:
    return (written + token.casefold()) if written else token.casefold().lstrip(_BEFORE_LABEL)


def _begun(text: str, cores: Mapping[str, str]) -> list[str]:
    """The labels of which `text` is a proper beginning."""
    return [core for core in cores if core.startswith(text) and core != text]


def _ended(text: str, cores: Mapping[str, str]) -> list[str]:
    """The labels that `text` holds whole, at its beginning and as words."""
    return [core for core in cores if text.startswith(core) and not text[len(core) : len(core) + 1].isalnum()]


def _is_open(text: str, cores: Mapping[str, str]) -> bool:
    begun = _begun(text, cores)
    return not text or (bool(begun) and len(begun) + len(_ended(text, cores)) > 1)


def _named(text: str, cores: Mapping[str, str]) -> str | None:
    """The one label that `text` is, or begins."""
    if not text or _is_open(text, cores):
        return None
    return max([*_begun(text, cores), *_ended(text, cores)], key=len, default=None)


@dataclass(frozen=True, slots=True)
class Custom:
    """A loss of the user's: `call(example, answer)`, sync or async, returns a score in [0, 1], a truth value, or a
    `Score`. `answer` is the output's value as the node gave it.

    Attributes:
        pure: the result depends on the arguments alone, so it is computed again rather than recorded.
        blocking: runs in a bounded worker thread, off the event loop.
        version: change it when the behaviour changes; part of the address of recorded results.
    """

    name: str
    call: Callable[..., Any]
    pure: bool = False
    blocking: bool = False
    version: str = "1"


CRITERIA = (
    "The answer is correct and complete. Judge what it says, not how long or how polite it is. If a reference is "
    "given, an answer that means the same is fully correct, and one that contradicts it is wrong."
)


@dataclass(frozen=True, slots=True)
class Judge:
    """A language model grades the answer by `criteria`. Data only: the loss pass asks.

    Attributes:
        reference: whether the judge is shown the expected answer, where there is one.
        role: which provider judges: a key of the specification's providers.
        sampling: how the judge draws; at temperature 0 by default, so that equal answers get equal scores.
    """

    criteria: str = CRITERIA
    name: str = "judge"
    reference: bool = True
    role: str = "judge"
    sampling: Sampling = Sampling(max_tokens=1024)


Loss = PureLoss | Custom | Judge


def as_score(result: object, name: str) -> Score:
    """What a loss of the user returned, as a score: a number in [0, 1], a truth value, a `Score`, or the mapping of
    its fields that a recorded `Score` is.

    Raises:
        SpecificationError: anything else; the message names the loss.
    """
    if isinstance(result, Score):
        return _checked(name, result.value, result.feedback, result.lenient, result.objective)
    if isinstance(result, Mapping) and "value" in result and set(result) <= set(Score.__slots__):
        return _checked(name, **result)
    return _checked(name, result)


def _checked(
    name: str, value: object, feedback: object = "", lenient: object = None, objective: object = None
) -> Score:
    if not isinstance(feedback, str):
        raise SpecificationError(f"the loss {name!r} returned feedback {feedback!r:.60}: return text")
    strict = _unit(value, name)
    return Score(strict, feedback, None if lenient is None else _unit(lenient, name), _objective(objective, name))


def _objective(found: object, name: str) -> Objective | None:
    match found:
        case None:
            return None
        case Objective(value, derivative) | {"value": value, "derivative": derivative}:
            try:
                number, slope = float(value), np.asarray(derivative, dtype=np.float64)
            except (TypeError, ValueError):
                number, slope = math.nan, np.asarray(math.nan)
            if math.isfinite(number) and np.all(np.isfinite(slope)):
                return Objective(number, slope if slope.ndim else slope.item())
    raise SpecificationError(
        f"the loss {name!r} returned the objective {found!r:.80}: return Objective(value, derivative) of finite numbers"
    )


def _unit(value: object, name: str) -> float:
    number = value.item() if isinstance(value, np.generic) else value
    if not isinstance(number, int | float):
        raise SpecificationError(
            f"the loss {name!r} returned {value!r:.60}: return a number from 0 (worst) to 1 (best), a truth value or "
            "a Score"
        )
    if not 0 <= number <= 1:
        raise SpecificationError(
            f"the loss {name!r} returned {number}, outside of [0, 1]: scores run from 0 (worst) to 1 (best); scale it"
        )
    return float(number)


def _expected(loss: str, example: Example) -> str:
    if example.expected is None or not example.expected.strip():
        raise DataError(
            f"example {example.id!r} has no expected answer, and the loss {loss!r} needs one: add it to the row, or "
            "use a loss that does without (a judge, a callable)"
        )
    return example.expected


def _names(expected: str, labels: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a reply names the expected option last and alone."""
    options = labels if whole_choice(expected, labels) else rivals(expected)

    def reading(reply: str) -> bool:
        found = choice_in(reply, options)
        return found is not None and is_same_choice(found, expected)

    return reading


def _scored(strict: bool, answer: Answer, reading: Callable[[str], bool]) -> Score:
    lenient = None if not answer.reply.strip() else float(strict or reading(answer.reply))
    return Score(float(strict), "", lenient)
