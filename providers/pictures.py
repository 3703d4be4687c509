"""Pictures by their own bytes: of which form they are, how large, and how many tokens they cost. Pure.

A form is told by the signature at the beginning; a size is read from the header of PNG, GIF, WebP and JPEG, and nothing
is decoded. What a picture costs is said by each service's documentation; where a service says nothing it is unknown.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from semprop.providers.base import Image, Request

Rule = Callable[[str, int, int], int | None]
"""(model, width, height) → tokens of one picture, as a service documents them; None for a model that it says nothing
of."""

LARGEST = 48_169
"""Tokens of a picture at the most where no rule is known: the dearest that any documentation tells of (gpt-4o-mini, 8
tiles). The finest grid of an open model takes 16,384 (Qwen2.5-VL, `max_pixels` of its processor)."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What pictures cost at one model, in tokens."""

    rule: Rule | None = None
    model: str = ""

    def tokens(self, image: Image) -> int | None:
        """Of one picture; None where nothing is documented, or its size cannot be read."""
        size = size_of(image)
        return None if self.rule is None or size is None or 0 in size else self.rule(self.model, *size)

    def expected(self, request: Request) -> int:
        """Of all pictures of a request, as far as it is known."""
        images = _all(request)
        return sum(self.tokens(image) or 0 for image in images) if images else 0

    def most(self, request: Request) -> int:
        """The same at the most."""
        known = [self.tokens(image) for image in _all(request)]
        return sum([LARGEST if tokens is None else tokens for tokens in known])


UNTOLD = Pictures()
"""Nothing is known of what pictures cost."""


def _all(request: Request) -> list[Image]:
    found: list[Image] = []
    for message in request.messages:
        found += message.images
    return found


def size_of(image: Image) -> tuple[int, int] | None:
    """Width and height in pixels; None where the header does not say."""
    data = image.data
    match image.media_type:
        case "image/png" if len(data) >= 24:
            return struct.unpack(">II", data[16:24])
        case "image/gif" if len(data) >= 10:
            return struct.unpack("<HH", data[6:10])
        case "image/webp":
            return _webp(data)
        case "image/jpeg":
            return _jpeg(data)
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    """By the container's three forms (RFC 9649, 2.5 to 2.7)."""
    if len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack("<HH", data[26:30])
            return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """By the first frame header (ITU-T T.81, B.2.2): the segments before it are passed over by their lengths."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + max(length, 2) if marker != 0xFF else 1
    return None


# Rules ---------------------------------------------------------------------------------------------------------------

_TILES = (("gpt-4o-mini", 2833, 5667), ("gpt-5", 70, 140), ("o1", 75, 150), ("o3", 75, 150), ("gpt-4", 85, 170))
"""Beginning of a model's name → tokens of a picture, and of each of its tiles of 512 × 512 pixels."""

_PATCHES = (
    *(("gpt-4.1-mini", 1.62), ("gpt-4.1-nano", 2.46), ("gpt-5-mini", 1.62), ("gpt-5-nano", 2.46), ("o4-mini", 1.72)),
)
"""Beginning of a model's name → what a patch of 32 × 32 pixels is multiplied by."""


def openai(model: str, width: int, height: int) -> int | None:
    """Source: OpenAI's guide "Images and vision", calculating costs (platform.openai.com/docs/guides/images-vision).

    In high detail: shrunk into 2,048 × 2,048, then until the shorter side is 768, then counted in tiles; newer small
    models count patches, 1,536 at the most.
    """
    for name, factor in _PATCHES:
        if model.startswith(name):
            return math.ceil(min(1_536, math.ceil(width / 32) * math.ceil(height / 32)) * factor)
    shrunk = min(1.0, 2_048 / max(width, height))
    shrunk *= min(1.0, 768 / (min(width, height) * shrunk))
    tiles = math.ceil(round(width * shrunk) / 512) * math.ceil(round(height * shrunk) / 512)
    return next((base + tile * tiles for name, base, tile in _TILES if model.startswith(name)), None)


def anthropic(model: str, width: int, height: int) -> int:
    """Source: Anthropic's guide "Vision", image costs (docs.claude.com/en/docs/build-with-claude/vision).

    Width × height / 750, after a larger picture is shrunk: to 1,568 pixels on its longer side and about 1,600 tokens;
    where a model is newer, 2,576 pixels and 4,784 tokens. Taken here for all models: the names do not tell them apart.
    """
    shrunk = min(1.0, 2_576 / max(width, height))
    return min(4_784, math.ceil(width * shrunk * height * shrunk / 750))


def gemini(model: str, width: int, height: int) -> int:
    """Source: Gemini's guide "Understand and count tokens" (ai.google.dev/gemini-api/docs/tokens).

    258 up to 384 × 384 pixels, else 258 for each tile of 768 × 768.
    """
    if width <= 384 and height <= 384:
        return 258
    return 258 * math.ceil(width / 768) * math.ceil(height / 768)
