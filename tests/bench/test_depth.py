"""Depth: what is counted, and that bounds do what the table says."""

import pytest

from semprop.bench.depth import ARMS, WORLDS, alive, alive_facts, example, facts_of, measured, message_bytes, words_of
from semprop.engine import Evidence, Gradient, Kind, Provenance, change, keep
from semprop.providers import connect

SOURCE = Provenance("e1")
INNER = Gradient("step", Kind.TEXT, (change("It should state: heron = Ripon", SOURCE),))
CASE = Evidence("step", (("sheet", "kite = Selby"),), "kite = Selby", INNER)
TOLD = Gradient("first", Kind.TEXT, (change(CASE, SOURCE),))


def test_facts_are_alive_in_what_a_gradient_says_not_in_what_it_shows():
    assert alive_facts([TOLD], ["heron = Ripon", "kite = Selby"]) == 0.5
    assert alive_facts([Gradient("first", Kind.TEXT, (keep(SOURCE),))], ["heron = Ripon"]) == 0.0
    assert alive_facts([], []) == 1.0
    assert alive(["heron", "= Ripon"], ["heron = Ripon"]) == 0.0
    assert message_bytes([TOLD, INNER]) == len(words_of(TOLD).encode()) + len(words_of(INNER).encode())


@pytest.mark.parametrize("facts", [1, 2, 4])
def test_no_sheet_states_the_facts_that_its_answer_lacks_and_sheets_differ(facts):
    examples = [example(number, facts) for number in range(26)]
    assert len({each.inputs["sheet"] for each in examples}) == 26
    for each in examples:
        assert len(facts_of(each)) == facts
        assert alive([each.inputs["sheet"]], facts_of(each)) == 0.0


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("depth", [2, 3, 6])
def test_a_world_is_as_deep_as_it_says(world, depth):
    made = WORLDS[world](depth)
    assert max(made.graph.levels.values()) == depth - 1
    assert made.graph.trainable == ("first",)


async def row(world, depth, arm):
    return await measured(world, depth, arm, connect("simulated:"))


@pytest.mark.parametrize("arm", ARMS)
async def test_a_fact_goes_up_a_chain_whole_and_messages_stay_as_short(arm):
    found = await row("chain", 5, arm)
    assert found.alive == 1.0
    assert max(found.bytes_by_level) < 2 * min(found.bytes_by_level)


async def test_lists_show_the_first_cases_and_clusters_the_rare_ones_too():
    assert (await row("chain", 2, "list")).shown < 1.0
    assert (await row("chain", 2, "clusters")).shown == 1.0


async def test_lists_in_lists_double_and_different_lines_do_not():
    nested, gathered = await row("woven", 6, "list"), await row("woven", 6, "clusters")
    grown = [later / sooner for sooner, later in zip(nested.bytes_by_level, nested.bytes_by_level[1:], strict=False)]
    assert min(grown) > 1.9
    assert len(set(gathered.bytes_by_level[2:])) == 1
    assert gathered.alive == 1.0


async def test_a_small_budget_alone_makes_facts_vanish_and_with_different_lines_it_does_not():
    assert (await row("woven", 12, "small budget")).alive < 1.0
    assert (await row("woven", 12, "clusters, small budget")).alive == 1.0
