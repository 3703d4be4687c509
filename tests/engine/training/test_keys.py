"""The index of outcomes by key: the first of equal keys counts, and an unknown key is nowhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.training.keys import Keys


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(1, 10**6)), max_size=40))
def test_it_finds_what_a_dictionary_of_first_entries_finds(entries: list[tuple[str, int]]) -> None:
    keys = Keys()
    keys.add(entries[: len(entries) // 2])
    keys.add(entries[len(entries) // 2 :])
    known: dict[str, int] = {}
    for key, place in entries:
        known.setdefault(key, place)
    assert {key: keys.find(key) for key in [*known, "unknown"]} == {**known, "unknown": None}
    keys.close()
