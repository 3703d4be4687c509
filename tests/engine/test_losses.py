"""Losses: strict and lenient scores, and clear errors for what cannot be scored."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from semprop.engine.errors import DataError, SpecificationError
from semprop.engine.example import Example
from semprop.engine.losses import (
    Answer,
    CaseFolded,
    Contains,
    Custom,
    Exact,
    Judge,
    LabelProbability,
    MultipleChoice,
    Numeric,
    PureLoss,
    Score,
    as_score,
    label_masses,
)
from semprop.engine.named_losses import named
from semprop.engine.squared import Squared
from semprop.providers.base import TokenLogprob


def example(expected: str | None) -> Example:
    return Example("e1", {"question": "?"}, expected)


def scored(loss: PureLoss, expected: str, text: str, reply: str = "") -> tuple[float, float | None]:
    score = loss(example(expected), Answer(text, reply))
    assert score.feedback == ""
    return score.value, score.lenient


@pytest.mark.parametrize(
    ("loss", "expected", "text", "reply", "strict", "lenient"),
    [
        (Exact(), "Yes", " Yes\n", "Yes", 1.0, 1.0),
        (Exact(), "Yes", "yes.", "yes.", 0.0, 1.0),
        (Exact(), "Yes", "It is so", "It is so. Yes, it is.", 0.0, 1.0),
        (Exact(), "Yes", "No", "No", 0.0, 0.0),
        (Exact(), "Yes", "Yes", "", 1.0, None),
        (Exact(labels=("red", "blue")), "red", "Red or blue", "Red or blue", 0.0, 0.0),
        (Exact(labels=("red", "blue")), "red", "It is red", "It is red", 0.0, 1.0),
        (Exact(labels=("red", "blue")), "green", "green", "It is green", 1.0, 1.0),
        (Exact(), "apple banana", "apple banana", "Sorted: apple  Banana", 1.0, 1.0),
        (CaseFolded(), "Yes", "**yes**.", "**yes**.", 1.0, 1.0),
        (CaseFolded(), "positive", "It is positive", "It is positive", 0.0, 1.0),
        (CaseFolded(("positive", "negative")), "positive", "both", "positive and negative", 0.0, 0.0),
        (MultipleChoice(), "(A)", "A.", "A.", 1.0, 1.0),
        (MultipleChoice(), "(A)", "The answer is (A) because …", "The answer is (A) because (B) …", 0.0, 1.0),
        (MultipleChoice(), "(A)", "(B)", "(B)", 0.0, 0.0),
        (MultipleChoice(), "Yes", "yes", "yes", 1.0, 1.0),
        (MultipleChoice(("A", "B")), "(A)", "a)", "B", 1.0, 1.0),
        (Numeric(), "1,080", "$1,080.00", "It costs $1,080.00", 1.0, 1.0),
        (Numeric(), "1080", "1080 dollars", "12 times 90 is 1080 dollars.", 0.0, 1.0),
        (Numeric(), "#### 42", "42.", "", 1.0, None),
        (Numeric(), "42", "41", "42 - 1 = 41", 0.0, 0.0),
        (Numeric(), "42", "none", "none", 0.0, 0.0),
        (Numeric(tolerance=0.01), "3.14", "3.1416", "", 1.0, None),
        (Contains(), "12", "It is 12.", "It is 12.", 1.0, None),
        (Contains(), "12", "It is 120", "", 0.0, None),
        (Contains(), "New York", "in new\nyork.", "", 1.0, None),
    ],
)
def test_strict_judges_the_value_and_lenient_the_reply(
    loss: PureLoss, expected: str, text: str, reply: str, strict: float, lenient: float | None
) -> None:
    assert scored(loss, expected, text, reply) == (strict, lenient)


@pytest.mark.parametrize(
    "loss", [Exact(), CaseFolded(), MultipleChoice(), Numeric(), Contains(), LabelProbability(("a", "b"))]
)
@pytest.mark.parametrize("expected", [None, " "])
def test_an_example_without_an_expected_answer_is_named(loss: PureLoss, expected: str | None) -> None:
    assert isinstance(loss, PureLoss)
    with pytest.raises(DataError, match="'e1'"):
        loss(example(expected), Answer("x"))


def test_an_expected_answer_that_does_not_fit_the_loss_is_named() -> None:
    with pytest.raises(DataError, match="'e1' expects 'many'"):
        Numeric()(example("many"), Answer("1"))
    with pytest.raises(DataError, match="'e1' expects '1 or 2'"):
        Numeric()(example("1 or 2"), Answer("1"))
    with pytest.raises(DataError, match="'e1' expects 'C'"):
        MultipleChoice(("A", "B"))(example("C"), Answer("A"))
    with pytest.raises(DataError, match="'e1' expects 'C'"):
        LabelProbability(("A", "B"))(example("C"), Answer("A"))


def token(text: str, **alternatives: float) -> TokenLogprob:
    """A token that was sampled with the probability of its text, among alternatives with theirs."""
    named = {key.replace("_", " "): math.log(value) for key, value in alternatives.items()}
    return TokenLogprob(text, named.get(text, math.log(0.5)), tuple(named.items()))


def probability(tokens: tuple[TokenLogprob, ...], expected: str, labels: tuple[str, ...]) -> float:
    score = LabelProbability(labels)(example(expected), Answer("", "", tokens))
    assert score.lenient is None
    return score.value


def test_the_probability_of_a_label_is_renormalised_over_the_labels() -> None:
    tokens = (token("Yes", **{"Yes": 0.5, "\n": 0.1}, yes=0.1, _no=0.1, Maybe=0.2),)
    assert probability(tokens, "yes", ("yes", "no")) == pytest.approx(0.6 / 0.7)
    assert probability(tokens, "No.", ("yes", "no")) == pytest.approx(0.1 / 0.7)


def test_the_first_piece_of_a_long_label_counts_for_it() -> None:
    tokens = (token("pos", pos=0.75, neg=0.25), token("itive", itive=1.0))
    assert probability(tokens, "positive", ("positive", "negative")) == pytest.approx(0.75)


def test_what_all_labels_share_is_passed_over() -> None:
    tokens = (token("\n"), token("("), token("A", A=0.75, B=0.25), token(")"))
    assert probability(tokens, "(A)", ("(A)", "(B)")) == pytest.approx(0.75)
    tokens = (token("in", **{"in": 1.0}), token("valid", valid=0.8, conclusive=0.2))
    assert probability(tokens, "invalid", ("invalid", "inconclusive")) == pytest.approx(0.8)


def test_a_label_that_begins_another_is_told_by_what_follows() -> None:
    labels = ("no", "none")
    assert probability((token("no", no=0.9), token(".", **{".": 0.6, "ne": 0.2, "rth": 0.2})), "no", labels) == (
        pytest.approx(0.75)
    )
    assert probability((token("no", no=0.9),), "no", labels) == 1.0


def test_a_reply_that_names_no_label_scores_zero() -> None:
    assert probability((token("Well", Well=1.0),), "yes", ("yes", "no")) == 0.0
    assert label_masses((), ("yes", "no")) == {"yes": 0.0, "no": 0.0}


def test_probability_without_log_probabilities_names_the_mend() -> None:
    for tokens in ((), (TokenLogprob("Yes", -0.1),)):
        with pytest.raises(SpecificationError, match=r"'e1'.*Sampling\(top_logprobs=5\)"):
            probability(tokens, "yes", ("yes", "no"))


@pytest.mark.parametrize("labels", [(), ("yes",), ("yes", "Yes."), ("(A)", "A")])
def test_probability_needs_labels_that_differ(labels: tuple[str, ...]) -> None:
    with pytest.raises(SpecificationError, match="at least two different labels"):
        LabelProbability(labels)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (True, Score(1.0)),
        (0, Score(0.0)),
        (0.25, Score(0.25)),
        (np.float32(0.5), Score(0.5)),
        (np.bool_(True), Score(1.0)),
        (Score(0.5, "half", 1.0), Score(0.5, "half", 1.0)),
        ({"value": 0.5, "feedback": "half"}, Score(0.5, "half")),
        ({"value": 0.5, "feedback": "", "lenient": True}, Score(0.5, "", 1.0)),
    ],
)
def test_what_a_callable_returns_becomes_a_score(result: object, expected: Score) -> None:
    assert as_score(result, "mine") == expected


@pytest.mark.parametrize(
    "result",
    [
        None,
        "1",
        1.5,
        -0.1,
        math.nan,
        math.inf,
        [1],
        {"score": 1},
        {"value": 1, "more": 1},
        Score(2.0),
        Score(1, lenient=7),
    ],
)
def test_what_is_no_score_is_an_error_that_names_the_loss(result: object) -> None:
    with pytest.raises(SpecificationError, match="the loss 'mine' returned"):
        as_score(result, "mine")


def test_feedback_that_is_no_text_is_an_error() -> None:
    with pytest.raises(SpecificationError, match="the loss 'mine' returned feedback 3"):
        as_score({"value": 1, "feedback": 3}, "mine")


def test_losses_have_names_for_the_command_line() -> None:
    expected: Mapping[str, object] = {
        "exact": Exact(("a", "b")),
        "casefold": CaseFolded(("a", "b")),
        "numeric": Numeric(),
        "choice": MultipleChoice(("a", "b")),
        "contains": Contains(),
        "probability": LabelProbability(("a", "b")),
        "judge": Judge(),
        "squared": Squared(),
    }
    for name, loss in expected.items():
        made = named(name, ["a", "b"])
        assert made == loss
        assert made.name == name


def test_an_unknown_loss_lists_the_known_ones() -> None:
    with pytest.raises(
        SpecificationError, match="exact, casefold, numeric, choice, contains, probability, judge, squared"
    ):
        named("accuracy")


def test_a_custom_loss_is_data() -> None:
    loss = Custom("mine", lambda example, answer: 1.0)
    assert (loss.name, loss.pure, loss.blocking, loss.version) == ("mine", False, False, "1")
