"""Groups: what is folded into one row is what the view shows, what is looked up, and what is put into rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import StorageError
from semprop.engine.outcomes import Position
from semprop.engine.training.bodies import compressed, packed
from semprop.engine.training.groups import Entries, Entry, Head, folded, put_into_rows, unfolded
from semprop.engine.training.records import SCHEMA, position_text

texts = st.text(max_size=20)
names = st.none() | st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=20)
few = st.integers(0, 9)
positions = st.builds(Position, few, texts, texts, texts, texts, texts, few, few)
heads = st.tuples(
    st.sampled_from(("intent", "outcome", "link")),
    names,
    st.none() | positions.map(tuple),
    names,
    st.floats(1e9, 2e9),
)
bodies = st.none() | texts.map(orjson.dumps) | st.integers(0, 9_000).map(lambda size: orjson.dumps("x" * size))
records = st.lists(st.tuples(heads, bodies), min_size=1, max_size=6)


@contextmanager
def journal(groups: Sequence[tuple[int, Sequence[tuple[Head, bytes | None]]]]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        for first, entries in groups:
            row = folded([head for head, _ in entries], [body for _, body in entries])
            connection.execute("INSERT INTO groups VALUES (?, ?, ?)", (first, *row))
        yield connection


def expected(first: int, entries: Sequence[tuple[Head, bytes | None]]) -> list[Entry]:
    return [
        Entry(
            place,
            kind,
            key,
            None if position is None else position_text(Position(*position)),
            role,
            None if body is None else compressed(body),
            at,
        )
        for place, ((kind, key, position, role, at), body) in enumerate(entries, first)
    ]


def shown(connection: sqlite3.Connection) -> list[Entry]:
    return [Entry(*row) for row in connection.execute("SELECT * FROM entries ORDER BY id")]


@given(records, records)
def test_records_are_the_same_in_the_view_by_number_and_in_rows(
    one: list[tuple[Head, bytes | None]], other: list[tuple[Head, bytes | None]]
) -> None:
    after = len(one) + 3  # Numbers may be missing between two groups.
    wanted = expected(1, one) + expected(after, other)
    with journal([(1, one), (after, other)]) as connection:
        assert shown(connection) == wanted
        found = Entries(connection)
        places = range(after + len(other) + 2)
        assert [found.find(place) for place in places] == [
            next((entry for entry in wanted if entry.id == place), None) for place in places
        ]
        put_into_rows(connection)
        assert connection.execute("SELECT * FROM records ORDER BY id").fetchall() == wanted
        assert connection.execute("SELECT count(*) FROM groups").fetchone() == (0,)
        assert shown(connection) == wanted


HEAD: Head = ("outcome", "k", tuple(Position(0, "gate")), None, 1.5)


def test_a_flipped_bit_in_what_tells_where_bodies_lie_is_found_and_nothing_is_changed() -> None:
    with journal([(1, [(HEAD, b"1")]), (2, [(HEAD, b"2")])]) as connection:
        ((good,),) = connection.execute("SELECT heads FROM groups WHERE first = 2").fetchall()
        connection.execute("UPDATE groups SET heads = ? WHERE first = 2", (good.replace(b"gate", b"gaue"),))
        with pytest.raises(StorageError, match="checksum"):
            Entries(connection).find(2)
        with pytest.raises(StorageError, match="checksum"):
            put_into_rows(connection)
        assert not connection.in_transaction
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM groups").fetchone() == (2,)


@pytest.mark.parametrize("looks", [1, 2])
def test_a_record_is_found_while_another_process_puts_its_group_into_rows(looks: int) -> None:
    with journal([(1, [(HEAD, b"1"), (HEAD, b"2")])]) as connection:
        wanted, seen = Entries(connection).find(2), []

        class Meanwhile:
            """The same connection; after so many looks the groups are gone."""

            def execute(self, query: str, values: tuple[int, ...]) -> sqlite3.Cursor:
                seen.append(query)
                if len(seen) == looks + 1:
                    put_into_rows(connection)
                return connection.execute(query, values)

        assert wanted is not None
        assert Entries(cast(sqlite3.Connection, Meanwhile())).find(2) == wanted


def test_a_group_is_read_once_for_many_of_its_records() -> None:
    with journal([(1, [(HEAD, b"1"), (HEAD, b"2")])]) as connection:
        found = Entries(connection)
        first = found.find(1)
        connection.execute("DELETE FROM groups")
        connection.execute("INSERT INTO groups VALUES (1, ?, ?)", folded([HEAD], [b"3"]))
        assert first is not None
        assert first.body == packed(1)
        assert found.find(2) == Entry(2, "outcome", "k", position_text(Position(0, "gate")), None, packed(2), 1.5)


def test_bodies_are_cut_out_where_they_lie() -> None:
    row = folded([HEAD, HEAD, HEAD], [b"1", None, b"3"])
    assert [entry.body for entry in unfolded(7, *row)] == [packed(1), None, packed(3)]
