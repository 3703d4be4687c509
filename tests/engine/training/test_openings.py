"""Openings of the test: on record beside the runs, by item, for every run that comes after."""

import pytest
import worlds

from semprop.engine import StorageError, optimize
from semprop.engine.training.openings import FILE, opened


def test_the_first_opening_is_the_first(tmp_path):
    assert opened(tmp_path, "a", worlds.splits(test=5).test).document() == {"reused": 0, "items": 0, "n": 5}


def test_a_later_opening_counts_those_that_share_an_item_and_the_items_that_were_seen(tmp_path):
    items = [worlds.example(number) for number in range(10)]
    for chosen in (items[:4], items[2:6], items[8:]):
        opened(tmp_path, "a", chosen)
    assert opened(tmp_path, "b", items[:7]).document() == {"reused": 2, "items": 6, "n": 7}


def test_a_table_that_cannot_be_written_is_told_with_its_place(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(StorageError, match=FILE):
        opened(tmp_path, "a", [worlds.example(0)])


async def run(path, **changes):
    spec = worlds.specification(splits=worlds.splits(test=6), run=path, **changes)
    return await optimize(spec)


async def test_the_second_run_says_that_the_test_was_reused_and_its_result_does_not_depend_on_it(tmp_path):
    first, second = await run(tmp_path / "one"), await run(tmp_path / "two")
    assert first.telemetry["test"] == {"reused": 0, "items": 0, "n": 6}
    assert second.telemetry["test"] == {"reused": 1, "items": 6, "n": 6}
    assert first.result_document() == second.result_document()


async def test_a_run_that_goes_on_opens_its_test_once(tmp_path):
    await run(tmp_path / "one")
    spec = worlds.specification(splits=worlds.splits(test=6), run=tmp_path / "one")
    again = await optimize(spec, resume=True)
    assert again.telemetry["test"] == {"reused": 0, "items": 0, "n": 6}


async def test_a_run_in_memory_does_not_know(tmp_path):
    assert (await run(None)).telemetry["test"] is None
