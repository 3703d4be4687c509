"""The index of outcomes by key: the first of equal keys counts, and an unknown key is nowhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.training.keys import FRESH, Keys


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(1, 10**6)), max_size=40))
def test_it_finds_what_a_dictionary_of_first_entries_finds(entries: list[tuple[str, int]]) -> None:
    keys = Keys()
    keys.extend(entries)
    known: dict[str, int] = {}
    for key, place in entries:
        known.setdefault(key, place)
    assert {key: keys.find(key) for key in [*known, "unknown"]} == {**known, "unknown": None}
    keys.close()


def test_what_is_in_the_table_is_found_like_what_came_just_now():
    keys = Keys()
    keys.extend((f"k{place}", place) for place in range(3 * FRESH + 7))
    keys.extend((f"k{place}", -1) for place in range(3 * FRESH + 7))
    assert [keys.find(f"k{place}") for place in range(3 * FRESH + 7)] == list(range(3 * FRESH + 7))
    assert keys.find("k") is None
    keys.close()
