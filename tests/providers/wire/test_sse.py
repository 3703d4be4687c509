"""Server-sent events: the same events however a stream is cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.wire.sse import Event, EventReader

STREAM = b': hello\r\nevent: start\r\ndata: {"a":1}\r\n\r\ndata: one\ndata:two\n\nid: 7\n\ndata: [DONE]\r\r'
EVENTS = [Event("start", b'{"a":1}'), Event("", b"one\ntwo"), Event("", b"[DONE]")]


def read(*pieces: bytes) -> list[Event]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_events_have_names_and_joined_data_and_comments_are_none() -> None:
    assert read(STREAM) == EVENTS


@pytest.mark.parametrize("at", range(1, len(STREAM)))
def test_a_cut_anywhere_changes_nothing(at: int) -> None:
    assert read(STREAM[:at], STREAM[at:]) == EVENTS


def test_a_byte_at_a_time_changes_nothing() -> None:
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EVENTS


def test_what_no_empty_line_ended_is_no_event() -> None:
    assert read(b"data: half") == []
    assert read(b"data: half\n") == []


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_no_bytes_make_it_raise_and_pieces_do_not_matter(pieces: list[bytes]) -> None:
    assert read(*pieces) == read(b"".join(pieces))


def test_a_long_line_is_joined_once_and_not_at_every_piece() -> None:
    reader, piece, number = EventReader(), b"x" * 1_000, 20_000
    reader.feed(b"data: ")
    began = time.process_time()
    for _ in range(number):
        reader.feed(piece)
    assert reader.feed(b"\n\n") == [Event("", piece * number)]
    # A copy at every piece would be 200 GB.
    assert time.process_time() - began < 5.0
