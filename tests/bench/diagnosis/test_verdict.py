"""The verdict, from what was found alone."""

from dataclasses import replace

import pytest

from semprop.bench.diagnosis.results import Controls, Diagnosis, FormatGap, Headroom, SmallestGain, Start
from semprop.bench.diagnosis.verdict import Worth, control_words, format_words, verdict
from semprop.engine.bias import Corrected
from semprop.engine.findings import Item, Side, classes
from semprop.engine.statistics import Interval, compare

START = Start(24, 0.5, Interval(0.3, 0.7), None, None, 0, None)
GAIN = SmallestGain(24, 5, 0.2, Interval(0.1, 0.4), 50, 200, in_gate=0.15, in_test=0.08, delta=0.1, needed=122)
ROOM = Headroom(24, 0.5, ("careful",), (0.6,), Corrected(24, 2, 0.1, Interval(0.02, 0.2)), 0.7)
FOUND = Diagnosis("t", START, gain=GAIN, headroom=ROOM)


def gain(share, n=40):
    wins = round(share * n)
    return compare([0.0] * n, [1.0] * wins + [0.0] * (n - wins), 0)


def test_what_is_missing_and_can_be_shown_is_worth_optimizing():
    found = verdict(FOUND)
    assert found.worth is Worth.YES
    assert "200 test examples show a gain of 8.0 points or more" in found.reasons[0]
    assert "general sentences alone gain about +10.0 points" in found.reasons[1]


def test_a_start_that_is_nearly_perfect_is_not():
    found = verdict(replace(FOUND, start=replace(START, score=0.97)))
    assert found.worth is Worth.NO
    assert "next to nothing is missing" in found.reasons[0]


def test_data_that_cannot_show_what_is_missing_are_named():
    found = verdict(replace(FOUND, start=replace(START, score=0.9), gain=replace(GAIN, in_test=0.15)))
    assert found.worth is Worth.NO
    assert found.reasons == (
        "the data cannot show it: 200 test examples show 15.0 points or more at the least, and 10.0 points is all that "
        "is missing",
    )
    assert "take 122 test examples, not 200" in " ".join(found.advice)


def test_a_smallest_gain_above_the_headroom_warns():
    found = verdict(replace(FOUND, gain=replace(GAIN, in_test=0.3)))
    assert found.worth is Worth.YES
    assert any("exceeds what general sentences gain (at most 20.0 points)" in advice for advice in found.advice)


def test_a_gain_that_wrong_labels_bring_too_comes_from_search():
    controls = Controls(gain(0.5), {"labels": gain(0.425)})
    found = verdict(replace(FOUND, controls=controls))
    assert found.worth is Worth.NO
    assert found.reasons == ("wrong labels gain as much: the gain comes from search, not from gradients",)
    assert "the gain comes from search, not from gradients" in list(control_words(controls))


@pytest.mark.parametrize(("share", "matches"), [(0.375, False), (0.4, True)])
def test_eight_tenths_of_the_gain_are_as_much(share, matches):
    assert Controls(gain(0.5), {"labels": gain(share)}).matches("labels") is matches


def test_without_a_gain_there_is_nothing_to_explain():
    controls = Controls(gain(0.0), {"labels": gain(0.0)})
    assert not controls.matches("labels")
    assert "there is no gain to explain" in list(control_words(controls))[-1]


def test_a_gain_that_may_be_chance_is_not_explained_by_another_one():
    controls = Controls(gain(0.05), {"labels": gain(0.05), "blind": gain(0.05)})
    assert controls.true.p > 0.05
    assert verdict(replace(FOUND, controls=controls)) == verdict(FOUND)
    assert list(control_words(controls))[-1] == (
        "the method's gain is not shown (p = 0.50), so that controls cannot explain it"
    )


def test_the_format_is_fixed_first_by_the_line_if_that_mends_it():
    mended = FormatGap("Answer with the number only.", None, None, gain(0.9))
    assert (
        verdict(replace(FOUND, format=mended)).advice[0].startswith("fix the format first: add “Answer with the number")
    )
    held = FormatGap("x", None, compare([0.0] * 24, [1.0] * 12 + [0.0] * 12, 0), gain(0.0), chance=0.5)
    assert held.is_gap
    assert held.is_guessing
    assert "see that it does better than guessing" in verdict(replace(FOUND, format=held)).advice[0]
    assert "no better than guessing, 50.0 %" in " ".join(format_words(START, held))


def test_no_gap_no_advice():
    flat = FormatGap("x", gain(0.0), gain(0.0), gain(0.0), chance=0.5)
    assert not flat.is_gap
    assert not any("format" in advice for advice in verdict(replace(FOUND, format=flat)).advice)


def test_who_always_says_one_class_is_told_of_balanced_accuracy():
    side = Side(0.0, "Yes")
    items = [Item(side, side, "Yes")] * 12 + [Item(side, side, "No")] * 12
    start = replace(START, classes=classes(items, ("Yes", "No"), 0))
    assert any('always says "Yes"' in advice for advice in verdict(replace(FOUND, start=start)).advice)


def test_half_a_diagnosis_is_unclear():
    assert verdict(Diagnosis("t")).worth is Worth.UNCLEAR
    assert verdict(replace(FOUND, headroom=None)).worth is Worth.UNCLEAR
