"""HTTP/1.1 as bytes: requests read, heads of replies written. Pure: no sockets, no time.

Takes bytes as they come, gives whole requests; raises `Malformed` for what no request can be. It knows as much
as a server needs that stands behind no other: lengths, chunked bodies, pipelining, keep-alive, `Expect`.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import NamedTuple

MOST_HEAD = 64 * 1024
"""Bytes of a request line and its headers."""

_LINE = re.compile(rb"([A-Z]{1,20}) ([^\s\x00-\x20\x7f]{1,8192}) HTTP/1\.([01])")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_LINES_KEPT = 64
"""Header lines of a connection that are remembered as read: nearly all of them come again with each request."""

_LONGEST_KEPT = 512
"""Bytes of the longest of them."""

_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,12}")

_REASONS = {status.value: status.phrase for status in HTTPStatus} | {529: "Site Is Overloaded"}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


Lines = tuple[tuple[str, str], ...]
"""Header lines: names in lower case, and values."""


class Malformed(Exception):
    """Bytes that are no request; nothing behind them on the connection can be read. Holds the status to answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Received(NamedTuple):
    """One whole request; names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


class _Head(NamedTuple):
    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    keep_alive: bool
    length: int | None
    """Bytes of the body; None: it comes in chunks."""


class Parser:
    """The requests of one connection. `largest` bounds the bytes of a body."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._known: dict[bytes, tuple[bytes, bytes]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a further request has come."""
        return self._head is None and not self._buffer

    def feed(self, data: bytes) -> list[Received]:
        """The requests that these bytes complete.

        Raises:
            Malformed: they are no request, or one that is too large. Requests before it are lost.
        """
        self._buffer += data
        whole = []
        while (received := self._next()) is not None:
            whole.append(received)
        return whole

    def wants_continue(self) -> bool:
        """Whether the client waits for a word before it sends its body; true once for each such request."""
        if self._head is None or self._head.headers.pop(b"expect", b"").lower() != b"100-continue":
            return False
        return not self._buffer

    def _next(self) -> Received | None:
        if self._head is None:
            self._head = self._read_head()
            if self._head is None:
                return None
        head = self._head
        body = self._read_chunks() if head.length is None else self._read_length(head.length)
        if body is None:
            return None
        self._head = None
        return Received(head.method, head.path, head.query, head.headers, body, head.keep_alive)

    def _read_head(self) -> _Head | None:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            del buffer[:2]
        if not buffer:
            return None
        if not 65 <= buffer[0] <= 90 and buffer[0] != 13:
            raise Malformed(400, "this is no HTTP/1.1 request")
        end = buffer.find(b"\r\n\r\n")
        if end > MOST_HEAD or (end < 0 and len(buffer) > MOST_HEAD):
            raise Malformed(431, f"request line and headers are more than {MOST_HEAD} bytes")
        if end < 0:
            return None
        head = self._parsed(bytes(buffer[:end]))
        del buffer[: end + 4]
        if head.length is not None and head.length > self._largest:
            raise Malformed(413, f"the body is more than {self._largest} bytes")
        return head

    def _read_length(self, length: int) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < length:
            return None
        body = bytes(buffer[:length])
        del buffer[:length]
        return body

    def _read_chunks(self) -> bytes | None:
        buffer = self._buffer
        while True:
            line = buffer.find(b"\r\n")
            if line < 0:
                if len(buffer) > MOST_HEAD:
                    raise Malformed(400, "a chunk has no size")
                return None
            digits = bytes(buffer[:line]).partition(b";")[0].strip()
            if not _HEXADECIMAL.fullmatch(digits):
                raise Malformed(400, "a chunk's size is no hexadecimal number")
            size = int(digits, 16)
            if self._size + size > self._largest:
                raise Malformed(413, f"the body is more than {self._largest} bytes")
            if not size:
                return self._read_trailers(line)
            if len(buffer) < line + 2 + size + 2:
                return None
            if buffer[line + 2 + size : line + 4 + size] != b"\r\n":
                raise Malformed(400, "a chunk is longer than its size")
            self._chunks.append(bytes(buffer[line + 2 : line + 2 + size]))
            self._size += size
            del buffer[: line + 4 + size]

    def _read_trailers(self, line: int) -> bytes | None:
        end = self._buffer.find(b"\r\n\r\n", line)
        if end < 0:
            if len(self._buffer) > MOST_HEAD:
                raise Malformed(431, "trailers are too long")
            return None
        del self._buffer[: end + 4]
        body = b"".join(self._chunks)
        self._chunks, self._size = [], 0
        return body

    def _parsed(self, data: bytes) -> _Head:
        first, *lines = data.split(b"\r\n")
        found = _LINE.fullmatch(first)
        if found is None:
            raise Malformed(400, "the request line is not METHOD PATH HTTP/1.1")
        headers: dict[bytes, bytes] = {}
        known = self._known
        for line in lines:
            name, value = known.get(line) or self._header(line)
            if name == b"content-length" and headers.get(name, value) != value:
                raise Malformed(400, "there are two content lengths")
            headers[name] = value
        path, _, query = found[2].decode("latin-1").partition("?")
        connection = headers.get(b"connection", b"").lower()
        keep_alive = b"close" not in connection and (found[3] == b"1" or b"keep-alive" in connection)
        return _Head(found[1].decode(), path, query, headers, keep_alive, _length(headers))

    def _header(self, line: bytes) -> tuple[bytes, bytes]:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise Malformed(400, "a header is not NAME: VALUE")
        read = name.lower(), value.strip()
        if len(line) <= _LONGEST_KEPT:
            if len(self._known) >= _LINES_KEPT:
                self._known.clear()
            self._known[line] = read
        return read


def _length(headers: dict[bytes, bytes]) -> int | None:
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if coding is not None:
        if coding.lower() != b"chunked" or length is not None:
            raise Malformed(400, "transfer-encoding must be chunked, without a content length")
        return None
    if length is None:
        return 0
    if not _DIGITS.fullmatch(length):
        raise Malformed(400, "the content length is no number")
    return int(length)


def head(status: int, lines: Lines, length: int | None) -> bytes:
    """Status line and headers of a reply; without a length its body comes in chunks."""
    body = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    written = "".join([f"{name}: {value}\r\n" for name, value in lines])
    return f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n{written}{body}\r\n\r\n".encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a body without a length."""
    return b"%x\r\n%b\r\n" % (len(data), data)
