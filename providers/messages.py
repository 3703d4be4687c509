"""What a model is told: chat turns of typed parts, text and pictures. Frozen data; decodes nothing."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, final

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    """A part of a message that is text."""

    text: str


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@final
@dataclass(frozen=True, slots=True)
class Image:
    """A picture: as a part of a message, and as a value of a graph's input. Equal bytes are equal pictures.

    Attributes:
        media_type: of its bytes, as `image/png`.
        data: the bytes of its file.
        digest: of its bytes; 32 hexadecimal digits.
    """

    media_type: str
    data: bytes = field(repr=False)
    digest: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.blake2b(self.data, digest_size=16).hexdigest())

    @classmethod
    def of(cls, data: bytes) -> Image:
        """A picture whose form is told by its first bytes: PNG, JPEG, GIF or WebP.

        Raises:
            ValueError: it is none of these.
        """
        for signature, media_type in _SIGNATURES:
            if data.startswith(signature):
                return cls(media_type, data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return cls("image/webp", data)
        raise ValueError(f"{len(data)} bytes that begin with {data[:8]!r} are no PNG, JPEG, GIF or WebP picture")

    @property
    def text(self) -> str:
        """What stands for it where only text can: its form, its size and its digest, never its bytes."""
        return f"[a picture, not shown here: {self.media_type}, {len(self.data):,} bytes, {self.digest[:12]}]"

    @property
    def base64(self) -> str:
        """Its bytes as wire formats carry them."""
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """The same as an address that holds the picture (RFC 2397)."""
        return f"data:{self.media_type};base64,{self.base64}"


Part = Text | Image


class Message(NamedTuple):
    """One chat turn: a role and typed parts."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """A message of one text part."""
        return cls(role, (Text(text),))

    @property
    def text(self) -> str:
        """All parts, joined without a separator; a picture is in words (`Image.text`)."""
        parts = self.parts
        return parts[0].text if len(parts) == 1 else "".join([part.text for part in parts])

    @property
    def images(self) -> tuple[Image, ...]:
        """Its pictures, in their order."""
        # Most messages hold none, and each is looked at for every call: a loop is half the price of a comprehension.
        for part in self.parts:
            if type(part) is Image:
                return tuple([part for part in self.parts if isinstance(part, Image)])
        return ()

    @property
    def pieces(self) -> tuple[str | Image, ...]:
        """Its texts and pictures in their order; texts beside each other are one."""
        found: list[str | Image] = []
        for part in self.parts:
            if isinstance(part, Image):
                found.append(part)
            elif found and isinstance(found[-1], str):
                found[-1] += part.text
            else:
                found.append(part.text)
        return tuple(found)
