"""One run on a world, its measures, and the scatter of random worlds."""

from __future__ import annotations

import pytest

from semprop.bench.worlds.catalogue import WORLDS
from semprop.bench.worlds.measures import UNTOLD, followed
from semprop.bench.worlds.methods import DEFAULT, compared
from semprop.bench.worlds.running import Remembering, ground_of, run_cell
from semprop.bench.worlds.scatter import Point, csv_of, plot, run_scatter, trends
from semprop.bench.worlds.tabulating import CLAIM, Plan, run_table, table_of
from semprop.engine.errors import UsageError
from semprop.providers import Scripted
from semprop.providers.base import Message, Request
from semprop.providers.errors import ErrorClass, ItemError, StopError
from semprop.providers.simulated import model as simulated


def provider(scale="inf"):
    return simulated.connect("" if scale == "inf" else f"L0={scale}")


async def test_a_look_up_is_repaired_by_the_joint_method_and_by_no_method_that_hides_the_table():
    ground = ground_of(WORLDS["lookup"])
    joint = await run_cell(ground, compared("joint"), provider(), "inf", 0)
    assert (joint.before, joint.after) == (0.0, 1.0)
    assert joint.repaired == joint.calls <= 300
    assert joint.validity.share == 1.0 and joint.verdicts.recall == 1.0
    alone = await run_cell(ground, compared("alone"), provider(), "inf", 0)
    assert (alone.after, alone.repaired, alone.validity.valid) == (0.0, None, 0)
    assert (joint.fit.share, alone.fit.share) == (1.0, 0.0)


async def test_a_test_that_no_provider_answers_is_no_score_of_nothing():
    answered = []

    def busy(request):
        answered.append(request)
        if len(answered) > 40:
            raise ItemError("busy", ErrorClass.OVERLOAD)
        return simulated.reply(request)

    with pytest.raises(StopError, match=r"none of .* test examples could be scored"):
        await run_cell(ground_of(WORLDS["lookup"]), compared("joint"), Scripted(busy), "inf", 0)


async def test_of_a_sum_both_inputs_are_told_to_change_where_neither_sees_the_other():
    ground = ground_of(WORLDS["sum"])
    joint = await run_cell(ground, compared("joint"), provider(), "inf", 0)
    alone = await run_cell(ground, compared("alone"), provider(), "inf", 0)
    assert joint.after == alone.after == 1.0
    assert joint.validity.share > 0.8 and alone.validity.share == 0.0
    # What the wrong one is told is right by itself either way: a sum can be inverted.
    assert joint.fit.share == alone.fit.share == 1.0


async def test_advice_that_does_not_say_how_is_never_right():
    """Two values that are told to be "something else" must not come out as equal."""
    cell = await run_cell(ground_of(WORLDS["masking"]), compared("alone"), provider(), "inf", 0)
    assert (cell.validity.valid, cell.validity.asked > 0) == (0, True)


async def test_facts_are_alive_at_every_level_of_a_chain_that_is_read_without_error():
    cell = await run_cell(ground_of(WORLDS["shared-4"]), compared("alone"), provider(), "inf", 0)
    assert [level.distance for level in cell.levels] == [1, 2, 3, 4]
    assert [level.alive / level.facts for level in cell.levels] == [1.0] * 4
    sizes = [level.bytes / level.told for level in cell.levels]
    assert max(sizes) <= sizes[0] + 40


async def test_a_remembered_reply_is_asked_for_once():
    remembering = Remembering(simulated.connect())
    request = Request((Message.of("user", "x: 1"),))
    first, again = await remembering.complete(request), await remembering.complete(request)
    assert first == again and remembering.statistics()["requests"] == 1
    await remembering.complete(Request((Message.of("user", "x: 2"),)))
    assert remembering.statistics()["requests"] == 2


@pytest.mark.parametrize(
    ("value", "advice", "after"),
    [
        ("kite", "It should state: heron", "heron"),
        ("north: 3", "It should state: south: 7", "south: 7"),
        ("kite = Oban\nheron = Leek", "It should state: heron = Diss", "kite = Oban\nheron = Diss"),
        ("kite = Oban\nheron = Leek", "It should state: wren = Diss", "kite = Oban\nheron = Leek\nwren = Diss"),
        ("kite = Oban\nheron = Leek", "It should leave out: heron = Leek", "kite = Oban"),
        ("kite", "It should state something else; what, cannot be told from what is shown here.", UNTOLD),
        ("kite", "words that demand nothing", UNTOLD),
    ],
)
def test_advice_in_words_is_followed(value, advice, after):
    assert followed(value, advice) == after


async def test_the_table_has_every_run_once_and_says_what_it_shows():
    plan = Plan(("coverage",), ("joint", "per-edge"), ("inf",), 2)
    told = []
    cells = await run_table(plan, provider, done=told.append)
    assert len(cells) == plan.size == len(told) == 4
    again = await run_table(plan, provider, cells, told.append)
    assert again == cells and len(told) == 4
    document = table_of(cells).document()
    assert document["claim"] == CLAIM and document["simulated"] is True
    assert [row["method"] for row in document["rows"]] == ["joint", "per-edge"]
    predicted = {each["outcome"]: each["predicted"] for each in document["rows"][1]["against"]}
    assert predicted == {"advice": "win", "score": "tie"}
    assert sum(count for *_, count in document["agreement"][0]["counts"]) == 1


async def test_unknown_names_stop_before_the_first_run():
    for plan in (Plan(("nowhere",), ("joint",), ("inf",), 1), Plan(("lookup",), ("nothing",), ("inf",), 1)):
        with pytest.raises(UsageError, match="there is no"):
            await run_table(plan, provider)


def test_all_methods_of_the_table_can_be_made():
    assert {"joint", "per-edge", "alone", "hidden", "textgrad", "no-gradient", "shuffled-gradients"} <= set(DEFAULT)
    assert all(compared(name).made(3).name for name in DEFAULT)


async def test_random_worlds_give_one_point_each():
    points = await run_scatter(1, provider)
    assert [point.world for point in points] == ["random-0"]
    assert csv_of(points).count("\n") == 2
    assert points == await run_scatter(1, provider)


def point(bits, joint, alone):
    return Point("random-0", 2, 0, bits, 0.5, 0.5, joint, alone, joint, alone, 1.0, 0.5)


def test_trends_rank_advantage_by_bits_and_a_world_without_wrong_examples_is_left_out():
    points = [point(bits / 10, bits / 10, 0.0) for bits in range(10)]
    advice = trends([*points, point(1.0, None, None)])[0]
    assert (advice.outcome, advice.against, advice.n) == ("advice", "bits", 10)
    assert advice.rho == pytest.approx(1.0)


def test_the_plot_shows_every_point():
    lines = plot([point(0.0, 1.0, 0.0), point(2.0, 0.5, 0.5), point(2.0, 0.5, 0.5)], "advice", width=21, height=5)
    assert lines[0] == "+1 |1"
    assert lines[2] == " 0 |" + " " * 20 + "2"
    assert lines[-1].endswith("2.00 bits")
