"""How documents stand in a journal: JSON text, compressed where that pays, with a checksum. Pure."""

from __future__ import annotations

import zlib
from typing import Any

import orjson

from semprop.engine.errors import StorageError

WHOLE = 4_096
"""Bytes from which a body is compressed. Below, compressing takes longer than all else that is done for a row (47 µs
for 3 kB, measured), and saves less than a page."""

MEND = "semprop verify RUN says what of it is whole, and its --salvage NEWDIR keeps that"

_CHECKED = b"c"  # Then four bytes of CRC-32, then the text or the stream. No JSON text and no stream begins with it.
_COMPRESSED = b"x"  # The first byte of a zlib stream; no JSON text begins with it.


def packed(document: Any) -> bytes:
    """A document as the journal keeps it: JSON, compressed where that pays."""
    return compressed(orjson.dumps(document))


def compressed(body: bytes) -> bytes:
    """JSON text as the journal keeps it."""
    return checked(body if len(body) < WHOLE else zlib.compress(body, 1))


def checked(kept: bytes) -> bytes:
    """A text or a stream with its checksum before it."""
    return b"".join((_CHECKED, zlib.crc32(kept).to_bytes(4, "big"), kept))


def unpacked(body: bytes) -> Any:
    """The inverse of `packed`.

    Raises:
        StorageError: the body was damaged: it is not what was written.
    """
    try:
        if body[:1] == _CHECKED:
            body, found = body[5:], body[1:5]
            if zlib.crc32(body).to_bytes(4, "big") != found:
                raise StorageError(f"a row of the journal was damaged on the disk: its checksum is another one; {MEND}")
        return orjson.loads(zlib.decompress(body) if body[:1] == _COMPRESSED else body)
    except (zlib.error, orjson.JSONDecodeError) as error:
        raise StorageError(f"a row of the journal was damaged on the disk: {error}; {MEND}") from error
