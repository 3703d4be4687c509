"""Fields that an endpoint does not take: those its format has no place for, and those it refuses at the call. Pure.

Services differ in which fields they take (`temperature`, `max_tokens`, schemas), and say so in their own words only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from semprop.providers.base import Image, Sampling
from semprop.providers.errors import ErrorClass, ItemError, StopError
from semprop.providers.wire.classify import Detail, Origin, Reply, classify, read_detail

_REFUSES = re.compile(
    r"unsupported|not (?:be )?supported|n't support|not support|unrecogni[sz]ed|unknown|unexpected|unavailable|"
    r"not (?:currently )?available|not permitted|not allowed|enabled only|not enabled|no longer accept|deprecated|"
    r"only the default",
    re.IGNORECASE,
)
_REFUSING_CODES = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
_REFUSING_STATUSES = (400, 403, 404, 422, 501)

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "response_format": ("response_format", "response format", "json_schema", "structured output", "json mode"),
    "logprobs": ("logprobs", "top_logprobs"),
    # Gemini has sentences for what a model lacks ("Logprobs is not enabled for models/…") and names for the rest.
    "topP": ("topP", "top_p"),
    "stopSequences": ("stopSequences", "stop_sequences"),
    "responseLogprobs": ("responseLogprobs", "response_logprobs", "logprobs"),
    "responseJsonSchema": (
        *("responseJsonSchema", "response_json_schema", "responseSchema", "response_schema", "responseMimeType"),
        *("response_mime_type", "json mode", "enum mode", "controlled generation"),
    ),
    "systemInstruction": ("systemInstruction", "system_instruction", "system instruction", "developer instruction"),
}


class NoPlace(StopError):
    """This request asks for what its format has no place for: nothing was sent, and others may succeed. It ends a run,
    whose requests are alike; it stops no provider."""


def check_lacking(sampling: Sampling, lacks: Sequence[str], origin: Origin, spoken: str) -> None:
    """Refuse what was asked for and has no place; leaving it out in silence would answer another question.

    Raises:
        NoPlace: a field of `lacks` is set (CONFIGURATION).
    """
    for name in lacks:
        if getattr(sampling, name) not in (None, ()):
            raise NoPlace(
                f"{origin.identity}: {spoken} has no place for {name!r}: leave it out of the sampling, or choose "
                "another provider",
                ErrorClass.CONFIGURATION,
                attempts=0,
            )


PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Forms of pictures that most services take."""


def check_seen(images: Sequence[Image], sees: Sequence[str], origin: Origin, spoken: str) -> None:
    """Refuse pictures that cannot be sent; a question without its picture is another one.

    Raises:
        NoPlace: there is a picture of a form that is not in `sees` (CONFIGURATION).
    """
    for image in images:
        if image.media_type not in sees:
            forms = ", ".join(form.removeprefix("image/") for form in sees)
            raise NoPlace(
                f"{origin.identity}: {spoken} has no place for a picture of the form {image.media_type}: "
                + (f"give it as {forms}" if sees else "choose a provider that takes pictures, or leave them out"),
                ErrorClass.CONFIGURATION,
                attempts=0,
            )


def refused_field(reply: Reply, sent: Sequence[str]) -> str | None:
    """The field that this reply refuses to be sent, if it is one of those sent; the first that its words name.

    None for every other refusal: a value out of range, a prompt too long, a wrong key.
    """
    if reply.status not in _REFUSING_STATUSES:
        return None
    detail = read_detail(reply.body)
    if not _is_about_a_field(reply, detail):
        return None
    named = detail.param.split(".")[0]
    named = "logprobs" if named == "top_logprobs" else named
    return named if named in sent else _first_named(detail.message, tuple(sent))


def _is_about_a_field(reply: Reply, detail: Detail) -> bool:
    if any(code in _REFUSING_CODES for code in detail.codes):
        return True
    refusal = classify(reply, Origin(""))
    about_content = isinstance(refusal, ItemError) and refusal.error_class is not ErrorClass.BAD_REQUEST
    return not about_content and _REFUSES.search(detail.message) is not None


def _first_named(message: str, sent: tuple[str, ...]) -> str | None:
    """The field of those sent whose name stands first in the message."""
    places = []
    for name in sent:
        for spelling in _SPELLINGS.get(name, (name,)):
            found = re.search(rf"(?<![\w.]){re.escape(spelling)}", message, re.IGNORECASE)
            # `stop` is also an everyday word: as a field it stands in quotes.
            if found and (name != "stop" or re.search(r"['\"`]stop['\"`]", message)):
                places.append((found.start(), name))
    return min(places)[1] if places else None
