"""Traps: each is named where it is, and not where it is not."""

import pytest

from semprop.engine.findings import Held, Item, Side, Trap, classes, findings, lenient, tokens
from semprop.engine.statistics import compare


def item(before, after, expected="Yes", answers=("Yes", "Yes"), readings=(None, None), used=(None, None)):
    sides = [
        Side(float(score), answer, reading, spent)
        for score, answer, reading, spent in zip((before, after), answers, readings, used, strict=True)
    ]
    return Item(*sides, expected)


def traps(items, changed=True, tried=1, constrained=None, labels=("Yes", "No")):
    strict = compare([one.before.score for one in items], [one.after.score for one in items], 0)
    limited = None if constrained is None else compare(*constrained, 0)
    held = Held(strict, lenient(items, 0), limited, classes(items, labels, 0), tokens(items))
    return {finding.trap: finding for finding in findings(held, changed=changed, tried=tried)}


def said(expected, answer_before, answer_after):
    return item(answer_before == expected, answer_after == expected, expected, (answer_before, answer_after))


REAL = [said("Yes", "No", "Yes")] * 20 + [said("No", "Yes", "No")] * 20 + [said("Yes", "Yes", "Yes")] * 10


def test_a_real_gain_has_no_finding():
    assert not traps(REAL)


# Format ---------------------------------------------------------------------------------------------------------------


def test_a_strict_gain_that_the_lenient_reading_does_not_share_is_format():
    found = traps([item(0, 1, readings=(1.0, 1.0))] * 20 + [item(1, 1, readings=(1.0, 1.0))] * 20)
    assert found[Trap.FORMAT].words.startswith("the gain is format: +50.0 points strictly, +0.0 points read leniently")
    assert found[Trap.FORMAT].figures == {"strict": 0.5, "content": 0.0, "share": 1.0}


def test_a_strict_gain_that_constrained_decoding_does_not_share_is_format_whatever_the_lenient_reading_says():
    items = [item(0, 1, readings=(0.0, 1.0))] * 40
    found = traps(items, constrained=([1.0] * 40, [1.0] * 40))
    assert "the gain is format" in found[Trap.FORMAT].words
    assert "held to the labels" in found[Trap.FORMAT].words


def test_a_gain_that_is_for_the_larger_part_format_is_called_so():
    items = [item(0, 1, readings=(1.0, 1.0))] * 40 + [item(0, 1, readings=(0.0, 1.0))] * 20
    assert traps(items)[Trap.FORMAT].words.startswith("most of the gain is format")


def test_a_gain_that_both_readings_share_is_not_format():
    assert Trap.FORMAT not in traps([item(0, 1, readings=(0.0, 1.0))] * 40)


def test_no_format_is_named_without_a_reliable_gain():
    assert Trap.FORMAT not in traps([item(0, 1, readings=(1.0, 1.0))] * 29)
    assert Trap.FORMAT not in traps([item(1, 1, readings=(1.0, 1.0))] * 40)


# Class prior ----------------------------------------------------------------------------------------------------------

PRIOR = (
    [said("Yes", "Yes", "Yes")] * 24
    + [said("Yes", "No", "Yes")] * 24
    + [said("No", "No", "Yes")] * 6
    + [said("No", "Yes", "Yes")] * 6
)


def test_a_gain_from_always_naming_the_frequent_class_is_named_twice():
    found = traps(PRIOR)
    assert found[Trap.ALWAYS].words.startswith('always says "Yes": 100 % of the answers, and 80 % of the right ones')
    assert found[Trap.ALWAYS].figures["balanced"] == pytest.approx(0.5)
    assert "follows the class prior: accuracy +30.0 points, balanced accuracy +0.0 points" in found[Trap.PRIOR].words


def test_a_class_that_pays_for_the_gain_is_named():
    items = [said("Yes", "No", "Yes")] * 60 + [said("No", "No", "Yes")] * 15 + [said("No", "No", "No")] * 5
    assert '"No" fell from 100.0 % to 25.0 %' in traps(items)[Trap.PRIOR].words


def test_naming_a_class_as_often_as_it_is_right_is_no_trap():
    items = [said("Yes", "No", "Yes")] * 57 + [said("No", "No", "No")] * 3
    assert not traps(items)


def test_who_always_said_it_did_so_before():
    items = [said("Yes", "Yes", "Yes")] * 20 + [said("No", "Yes", "Yes")] * 20
    assert "it did so before (100 %)" in traps(items)[Trap.ALWAYS].words


def test_free_answers_are_no_classes():
    numbers = [item(0, 1, str(number), (str(number), str(number))) for number in range(40)]
    assert classes(numbers, (), 0) is None
    assert classes([item(0, 1, None)] * 40, (), 0) is None
    assert classes([], ("Yes", "No"), 0) is None
    assert classes([item(0, 1, "Yes")] * 40, ("Yes", "No"), 0) is None


def test_classes_are_found_in_the_expected_answers_where_a_task_names_none():
    found = classes(PRIOR, (), 0)
    assert [(row.name, row.n, row.said_before, row.said_after) for row in found.classes] == [
        ("Yes", 48, 30, 60),
        ("No", 12, 30, 0),
    ]
    assert (found.balanced.before, found.balanced.after) == (0.5, 0.5)


# Nothing helped, and what it cost -------------------------------------------------------------------------------------


def test_a_run_that_changed_nothing_says_that_nothing_helped():
    found = traps([item(1, 1)] * 40, changed=False, tried=7)
    assert found[Trap.NOTHING].words == "nothing helped: none of 7 candidates was accepted, so nothing changed"


def test_a_change_that_made_no_difference_says_that_nothing_helped():
    assert "+0.0 points" in traps([item(1, 1)] * 40)[Trap.NOTHING].words


def test_too_few_items_are_not_called_a_world_where_nothing_helps():
    assert not traps([item(1, 1)] * 10)


def test_a_gain_at_four_times_the_tokens_is_said_so():
    items = [item(0, 1, used=(100, 400))] * 30 + [item(1, 1, used=(100, 400))] * 10
    assert traps(items)[Trap.TOKENS].words == ("+75.0 points at 4.0 times the tokens: 100 an answer before, 400 after")
    assert Trap.TOKENS not in traps([item(0, 1, used=(100, 140))] * 40)


def test_tokens_that_no_endpoint_counted_are_unknown():
    assert tokens([item(0, 1)] * 3) is None


def test_expected_answers_that_stand_for_few_items_are_no_classes():
    rare = [said("Maybe", "No", "No")]
    found = classes(PRIOR + rare, (), 0)
    assert [row.name for row in found.classes] == ["Yes", "No"]
    assert sum(row.n for row in found.classes) == len(PRIOR)
    assert classes([said("Yes", "Yes", "Yes")] * 40 + rare, ("Yes", "No", "Maybe"), 0) is None
