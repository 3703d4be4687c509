"""Pictures of any size for tests: headers as their standards write them, around no picture at all; one is whole."""

from __future__ import annotations

import struct
import zlib

from semprop.providers.base import Image


def png(width: int = 2, height: int = 2, shade: int = 0) -> bytes:
    """A whole grey picture, as ISO/IEC 15948 writes it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([shade]) * width) * height
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def picture(width: int = 2, height: int = 2, shade: int = 0) -> Image:
    """The same as a value."""
    return Image.of(png(width, height, shade))


def jpeg(width: int, height: int) -> bytes:
    """An application segment, a table, then the frame header (ITU-T T.81)."""
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(9) + b"\xff\xc4\x00\x04ab" + frame + b"\xff\xd9"


def gif(width: int, height: int) -> bytes:
    """The header and the screen descriptor (GIF89a)."""
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3) + b";"


def webp(form: bytes, width: int, height: int) -> bytes:
    """A container of one of its three forms (RFC 9649)."""
    match form:
        case b"VP8X":
            body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        case b"VP8L":
            body = b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + bytes(5)
        case _:
            body = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBP" + form + struct.pack("<I", len(body)) + body
