"""Requests off the wire: whole however they are cut, refused with a status where they are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.tools.serving.http1 import Malformed, Parser, chunk, head

PATH = "/v1/chat/completions"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"


@given(st.lists(st.binary(max_size=50), max_size=4), st.lists(st.integers(1, 60), max_size=30), st.booleans())
def test_requests_are_read_whole_however_the_bytes_are_cut(bodies, cuts, chunked):
    stream = b""
    for body in bodies:
        if chunked:
            sent = b"".join(chunk(body[at : at + 7]) for at in range(0, len(body), 7)) + b"0\r\n\r\n"
            stream += POST + b"transfer-encoding: chunked\r\n\r\n" + sent
        else:
            stream += POST + b"content-length: %d\r\n\r\n" % len(body) + body
    parser, seen = Parser(1000), []
    for cut in (*cuts, len(stream)):
        seen += parser.feed(stream[:cut])
        stream = stream[cut:]
    assert [received.body for received in seen] == bodies
    assert all(received.keep_alive and received.path == PATH for received in seen)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n name: x\r\n\r\n", 400),
        (POST + b"content-length: -1\r\n\r\n", 400),
        (POST + b"content-length: 1x\r\n\r\n", 400),
        (POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (POST + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (POST + b"transfer-encoding: gzip\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n2\r\nabcd", 400),
        (POST + b"content-length: 1001\r\n\r\n", 413),
        (POST + b"transfer-encoding: chunked\r\n\r\nffff\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_refused_with_a_status(data, status):
    with pytest.raises(Malformed) as malformed:
        Parser(1000).feed(data)
    assert malformed.value.status == status


@pytest.mark.parametrize(
    ("line", "header", "kept"),
    [
        (b"HTTP/1.1", b"", True),
        (b"HTTP/1.1", b"Connection: close\r\n", False),
        (b"HTTP/1.0", b"", False),
        (b"HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_a_connection_is_kept_as_the_client_says(line, header, kept):
    (received,) = Parser(10).feed(b"GET /x?since=3 " + line + b"\r\n" + header + b"\r\n")
    assert (received.keep_alive, received.path, received.query) == (kept, "/x", "since=3")


def test_a_client_that_waits_for_a_word_is_noticed_once():
    parser = Parser(10)
    parser.feed(POST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert [parser.wants_continue(), parser.wants_continue()] == [True, False]
    assert parser.feed(b"ab")[0].body == b"ab"


def test_a_head_names_its_status_and_its_length():
    assert head(529, (("a", "b"),), 2) == b"HTTP/1.1 529 Site Is Overloaded\r\na: b\r\ncontent-length: 2\r\n\r\n"


def test_what_is_remembered_of_header_lines_is_what_they_say():
    parser = Parser(10)
    first = parser.feed(POST + b"X-One:  a \r\ncontent-length: 1\r\n\r\n1")
    again = parser.feed(POST + b"X-One:  a \r\ncontent-length: 2\r\n\r\n22")
    other = parser.feed(POST + b"x-one: b\r\ncontent-length: 2\r\n\r\n22")
    for number in range(300):
        parser.feed(b"GET / HTTP/1.1\r\nx-number: %d\r\n\r\n" % number)
    assert [received.headers[b"x-one"] for (received,) in (first, again, other)] == [b"a", b"a", b"b"]
    assert [received.body for (received,) in (first, again, other)] == [b"1", b"22", b"22"]
    assert len(parser._known) <= 64
