"""Pictures as parts of messages: their form and size by their bytes, their cost by each service's own documentation."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import gif, jpeg, picture, png, webp

from semprop.providers import pictures
from semprop.providers.base import Image, Message, Request, Sampling, Text, Usage, content_key
from semprop.providers.budget import most_input
from semprop.providers.embedded import body_of
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.http import WireFormat
from semprop.providers.kinds import KINDS
from semprop.providers.limits.estimates import Estimator
from semprop.providers.pictures import LARGEST, UNTOLD, Pictures, size_of
from semprop.providers.stack import connect
from semprop.providers.wrapped import wrap

SEEN = Request((Message("user", (Text("What "), Text("is it?"), picture(), Text("Be brief."))),))


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (png(3, 500), "image/png"),
        (jpeg(3, 500), "image/jpeg"),
        (gif(3, 500), "image/gif"),
        (webp(b"VP8 ", 3, 500), "image/webp"),
        (webp(b"VP8L", 3, 500), "image/webp"),
        (webp(b"VP8X", 3, 500), "image/webp"),
    ],
)
def test_form_and_size_are_read_from_the_bytes(data: bytes, media_type: str) -> None:
    image = Image.of(data)
    assert (image.media_type, size_of(image)) == (media_type, (3, 500))


def test_what_is_no_picture_is_refused_with_its_beginning() -> None:
    with pytest.raises(ValueError, match=r"8 bytes that begin with b'%PDF-1.7' are no PNG, JPEG, GIF or WebP"):
        Image.of(b"%PDF-1.7")


@given(st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"]), st.binary(max_size=64))
def test_no_bytes_break_the_reader_of_sizes(media_type: str, data: bytes) -> None:
    size = size_of(Image(media_type, data))
    assert size is None or all(side >= 0 for side in size)


@pytest.mark.parametrize(
    ("rule", "model", "width", "height", "tokens"),
    [
        # The examples of the services' own pages.
        (pictures.openai, "gpt-4o", 1024, 1024, 765),
        (pictures.openai, "gpt-4o", 2048, 4096, 1105),
        (pictures.openai, "gpt-4o-mini", 512, 512, 2833 + 5667),
        (pictures.openai, "gpt-4.1-mini", 1024, 1024, 1659),
        (pictures.openai, "gpt-5", 512, 512, 210),
        (pictures.openai, "somebody-elses", 512, 512, None),
        (pictures.anthropic, "m", 200, 200, 54),
        (pictures.anthropic, "m", 1000, 1000, 1334),
        (pictures.gemini, "m", 384, 384, 258),
        (pictures.gemini, "m", 960, 540, 2 * 258),
    ],
)
def test_a_picture_costs_what_its_service_documents(
    rule: Any, model: str, width: int, height: int, tokens: Any
) -> None:
    assert Pictures(rule, model).tokens(picture(width, height)) == tokens


@given(st.sampled_from([pictures.openai, pictures.anthropic, pictures.gemini]), st.integers(1, 9000))
def test_the_largest_picture_of_no_rule_is_above_every_one_of_ordinary_size(rule: Any, side: int) -> None:
    for model in ("gpt-4o-mini", "gpt-4.1-nano", "o1"):
        assert 0 < rule(model, side, min(side, 9000)) <= LARGEST


def test_a_budget_reserves_the_rule_or_the_largest_and_an_estimate_the_rule_or_nothing() -> None:
    plain = most_input(SEEN) - LARGEST
    known = Pictures(pictures.gemini, "m")
    assert most_input(SEEN, known) == plain + 258
    assert (known.expected(SEEN), UNTOLD.expected(SEEN)) == (258, 0)
    assert connect("gemini:m").pictures == known
    assert connect("vllm:m").pictures.rule is None


def test_what_a_picture_is_known_to_take_does_not_spoil_the_tokens_of_a_character() -> None:
    estimator = Estimator()
    for _ in range(20):
        estimator.observe(SEEN, Usage(input=275, output=1), 68, pictures=258)
    assert estimator.of_length(68, 1) == pytest.approx(17.0)


def test_a_key_is_of_the_bytes_of_a_picture_and_not_of_how_texts_are_cut() -> None:
    key = content_key("i", SEEN)
    again = Request((Message("user", (Text("What is it?"), picture(), Text("Be brief."))),))
    assert content_key("i", again) == key
    for other in (picture(shade=1), Image("image/webp", picture().data)):
        changed = Request((Message("user", (Text("What is it?"), other, Text("Be brief."))),))
        assert content_key("i", changed) != key
    # A text that reads as the picture's words is another question.
    told = Request((Message.of("user", f"What is it?{picture().text}Be brief."),))
    assert content_key("i", told) != key
    assert SEEN.messages[0].text == told.messages[0].text


def test_what_stands_for_a_picture_in_words_never_holds_its_bytes() -> None:
    image = picture(640, 480)
    assert image.text == f"[a picture, not shown here: image/png, {len(image.data):,} bytes, {image.digest[:12]}]"
    assert "IHDR" not in repr(image)


# Formats -------------------------------------------------------------------------------------------------------------

DATA = picture().base64
CONTENTS: dict[str, list[Any]] = {
    "openai": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        {"type": "text", "text": "Be brief."},
    ],
    "openai-responses": [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{DATA}"},
        {"type": "input_text", "text": "Be brief."},
    ],
    "anthropic": [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
        {"type": "text", "text": "Be brief."},
    ],
    "gemini": [
        {"text": "What is it?"},
        {"inlineData": {"mimeType": "image/png", "data": DATA}},
        {"text": "Be brief."},
    ],
}
OVER_HTTP = {name: kind for name, kind in KINDS.items() if kind.is_http}


def wire_of(name: str) -> WireFormat:
    """The format of a kind as a provider of it speaks it."""
    base = "" if KINDS[name].base else "@https://r.openai.azure.com"
    endpoint: Any = connect(f"{name}:m{base}")
    wire: WireFormat = endpoint._endpoint._wire
    return wire


@pytest.mark.parametrize("name", CONTENTS)
def test_a_picture_stands_where_its_format_wants_it(name: str) -> None:
    document = orjson.loads(wire_of(name).encode(SEEN))
    turns = document.get("messages") or document.get("input") or document.get("contents")
    assert (turns[0].get("content") or turns[0]["parts"]) == CONTENTS[name]


@pytest.mark.parametrize("name", OVER_HTTP)
def test_a_kind_takes_the_forms_of_pictures_that_it_names_and_refuses_the_others(name: str) -> None:
    kind, wire = KINDS[name], wire_of(name)
    assert kind.capabilities.images is bool(kind.sees)
    for form in ("image/png", "image/jpeg", "image/gif", "image/webp", "image/tiff"):
        asked = Request((Message("user", (Image(form, b"data"),)),), Sampling(max_tokens=5))
        for encode in (wire.encode, wire.encode_stream):
            if form in kind.sees:
                assert Image(form, b"data").base64.encode() in encode(asked)
                continue
            with pytest.raises(StopError, match=r"has no place for a picture of the form image") as caught:
                encode(asked)
            mend = "give it as png" if kind.sees else "choose a provider that takes pictures"
            assert mend in str(caught.value)
            assert (caught.value.error_class, caught.value.attempts) == (ErrorClass.CONFIGURATION, 0)


def test_a_picture_in_what_the_system_says_is_refused_everywhere() -> None:
    asked = Request((Message("system", (picture(),)), Message.of("user", "x")), Sampling(max_tokens=5))
    for name in OVER_HTTP:
        with pytest.raises(StopError, match="has no place for"):
            wire_of(name).encode(asked)


async def test_the_embedded_model_refuses_a_picture_before_it_is_loaded_for_it() -> None:
    with pytest.raises(StopError, match="a model inside this process has no place for"):
        body_of(SEEN)


async def test_a_callable_is_given_a_picture_as_openais_parts() -> None:
    told: list[Any] = []

    async def call(messages: list[dict[str, Any]]) -> str:
        told.extend(messages)
        return "a square"

    async with wrap(call, model="own") as provider:
        assert (await provider.complete(SEEN)).text == "a square"
    assert told == [{"role": "user", "content": CONTENTS["openai"]}]
