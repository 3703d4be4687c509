"""Content keys and the nouns of a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from semprop.providers.base import (
    Admission,
    Choices,
    JsonSchema,
    Message,
    Request,
    Text,
    content_key,
)
from semprop.providers.errors import ErrorClass, ItemError, RetryError, StopError, classified

REQUEST = Request((Message.of("system", "Be brief."), Message("user", (Text("a"), Text("b")))))
RANDOM = REQUEST.with_sampling(temperature=1.0)


def test_equal_requests_have_equal_keys_whoever_waits_first() -> None:
    hurried = replace(REQUEST, admission=Admission(priority=9, sequence=3, deadline=1.0))
    assert content_key("p", hurried) == content_key("p", REQUEST)
    assert hurried == REQUEST


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, messages=REQUEST.messages[1:]),
        replace(REQUEST, messages=(*REQUEST.messages[:1], Message.of("user", "ba"))),
        replace(REQUEST, schema=Choices(("a", "b"))),
        replace(REQUEST, schema=JsonSchema.of("s", {"type": "object"})),
        replace(REQUEST, sample=1),
        *(
            REQUEST.with_sampling(**{name: value})
            for name, value in (
                ("temperature", None),
                ("top_p", 0.5),
                ("max_tokens", 9),
                ("seed", 1),
                ("stop", ("x",)),
                ("top_logprobs", 2),
            )
        ),
    ],
)
def test_whatever_may_change_a_reply_changes_the_key(other: Request) -> None:
    assert content_key("p", other) != content_key("p", REQUEST)


def test_a_text_has_the_same_key_however_it_is_parted() -> None:
    whole = replace(REQUEST, messages=(*REQUEST.messages[:1], Message.of("user", "ab")))
    assert content_key("p", whole) == content_key("p", REQUEST)


def test_another_provider_has_another_key() -> None:
    assert content_key("p", REQUEST) != content_key("q", REQUEST)


def test_twins_share_a_greedy_reply_and_draw_random_ones_apart() -> None:
    assert content_key("p", replace(REQUEST, draw="n/1")) == content_key("p", REQUEST)
    assert content_key("p", replace(RANDOM, draw="n/1")) != content_key("p", replace(RANDOM, draw="n/2"))


def test_a_schema_keeps_the_order_of_its_keys() -> None:
    assert JsonSchema.of("s", {"b": 1, "a": 2}).document == '{"b":1,"a":2}'


def test_every_class_of_error_has_a_type_and_only_content_is_the_models_failure() -> None:
    kinds = {error_class: type(classified("x", error_class)) for error_class in ErrorClass}
    assert {name for name, kind in kinds.items() if kind is RetryError} == {"rate", "overload", "transient", "daily"}
    assert {name for name, kind in kinds.items() if kind is StopError} == {"quota", "auth", "configuration"}
    failures = {error_class for error_class in ErrorClass if error_class.is_model_failure}
    assert failures == {"context", "filter", "refusal"}
    assert all(kinds[error_class] is ItemError for error_class in failures)
