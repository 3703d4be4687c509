"""Outcomes: whose fault a failure is, and that the journal gives back what it was given."""

from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.errors import ReplayError
from semprop.engine.outcomes import (
    Failure,
    FailureKind,
    Outcome,
    Position,
    Returned,
    document_of,
    failure_of,
    outcome_of,
    stopped_short,
)
from semprop.providers.base import Completion, LimitSeen, Stop, Timing, TokenLogprob, Usage
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure, StopError

MODEL = {"filter", "refusal", "context", "truncated", "unparseable", "content"}


@pytest.mark.parametrize("kind", FailureKind)
def test_only_content_makes_a_failure_the_models(kind: FailureKind) -> None:
    assert kind.is_model_failure is (kind in MODEL)
    assert Failure(kind, "why").is_model_failure is (kind in MODEL)


STOPPING = (ErrorClass.AUTH, ErrorClass.QUOTA, ErrorClass.CONFIGURATION)


@pytest.mark.parametrize("error_class", [entry for entry in ErrorClass if entry not in STOPPING])
def test_every_class_that_ends_an_item_has_a_kind_and_agrees_on_the_fault(error_class: ErrorClass) -> None:
    failure = failure_of(ItemError("why", error_class, attempts=3))
    assert failure.is_model_failure is error_class.is_model_failure
    assert (failure.message, failure.attempts) == ("why", 3)


def test_classes_that_stop_a_provider_are_not_item_errors() -> None:
    assert not issubclass(StopError, ItemError)
    assert issubclass(ProviderFailure, ItemError)


@pytest.mark.parametrize(
    ("stop", "kind"),
    [
        (Stop.END, None),
        (Stop.LENGTH, None),
        (Stop.OTHER, None),
        (Stop.FILTER, FailureKind.FILTER),
        (Stop.REFUSAL, FailureKind.REFUSAL),
    ],
)
def test_a_filter_or_a_refusal_is_a_failure_that_keeps_the_partial_text(stop: Stop, kind: FailureKind | None) -> None:
    failure = stopped_short(Completion("I can", stop))
    assert (failure and failure.kind) == kind
    assert failure is None or failure.text == "I can"


text = st.text(st.characters(exclude_categories=("Cs",)))
count = st.none() | st.integers(0, 10**9)
number = st.floats(allow_nan=False, allow_infinity=False)
logprob = st.floats(-1e8, 0)
completions = st.builds(
    Completion,
    text=text,
    stop=st.sampled_from(Stop),
    usage=st.builds(Usage, count, count, count, count, count, st.just("") | text),
    model=text,
    request_id=st.none() | text,
    logprobs=st.lists(
        st.builds(TokenLogprob, text, logprob, st.lists(st.tuples(text, logprob), max_size=2).map(tuple)), max_size=3
    ).map(tuple),
    attempts=st.integers(0, 9),
)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
outcomes = (
    completions
    | st.builds(Failure, st.sampled_from(FailureKind), text, text, st.integers(0, 9))
    | st.builds(Returned, json)
)


@given(outcomes)
def test_the_journal_gives_back_the_outcome_that_it_was_given(outcome: Outcome) -> None:
    assert outcome_of(orjson.loads(orjson.dumps(document_of(outcome)))) == outcome


def test_what_was_only_measured_is_not_recorded() -> None:
    seen = Completion("x", limits=(LimitSeen("requests/minute"),), timing=Timing(0.1))
    assert outcome_of(document_of(seen)) == Completion("x")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"answer": 1},
        {"failure": "of another version", "message": "", "text": "", "attempts": 1},
        {"text": "x", "stop": "sideways", "usage": [], "logprobs": [], "model": "", "request_id": None, "attempts": 1},
        {"text": "x", "stop": "end", "usage": [], "logprobs": []},
        {"text": "x", "stop": "end", "usage": [1] * 9, "logprobs": []},
        {"text": "x", "stop": "end", "usage": [], "logprobs": [["t"]]},
    ],
)
def test_data_of_no_known_form_are_refused_as_no_outcome(document: dict[str, object]) -> None:
    with pytest.raises(ReplayError, match="not a recorded outcome"):
        outcome_of(document)


def test_positions_are_ordered_by_step_first() -> None:
    later = Position(2, "forward", "e1")
    assert sorted([later, Position(1, "gate", "e9"), Position(1, "forward", "e9")])[-1] == later


def test_a_log_probability_of_minus_infinity_survives_the_journal_as_no_probability():
    token = TokenLogprob("a", -math.inf, (("b", -math.inf), ("c", -0.5)))
    again = outcome_of(orjson.loads(orjson.dumps(document_of(Completion("a", logprobs=(token,))))))
    assert math.exp(again.logprobs[0].logprob) == 0.0
    assert [math.exp(value) for _, value in again.logprobs[0].alternatives] == [0.0, math.exp(-0.5)]
