"""The committed predictions are the ones that the rules give, and they follow from the criterion."""

from __future__ import annotations

import math

import pytest

from semprop.bench.worlds.catalogue import WORLDS
from semprop.bench.worlds.committed import FILE, SCALES, committed, predictions, words_of
from semprop.bench.worlds.predictions import Word, basis, outlook, word_of
from semprop.bench.worlds.views import View
from semprop.engine.errors import UsageError

WORDS = words_of(committed())


def test_every_world_and_l0_has_its_predictions():
    document = committed()
    assert list(document["worlds"]) == list(WORLDS)
    for entry in document["worlds"].values():
        assert all(list(scales) == list(SCALES) for scales in entry["methods"].values())


@pytest.mark.parametrize("name", ["sum", "equal"])
def test_the_file_holds_what_the_rules_give(name):
    assert predictions([name])["worlds"][name] == committed()["worlds"][name]


def test_a_look_up_is_won_against_hidden_siblings_and_tied_against_visible_ones():
    for outcome in ("advice", "score"):
        assert WORDS["lookup", "alone", "inf", outcome] == Word.WIN
        assert WORDS["lookup", "per-edge", "inf", outcome] == Word.TIE


def test_a_sum_is_a_tie_in_score_and_lost_where_length_has_a_price():
    assert WORDS["sum", "alone", "inf", "score"] == Word.TIE
    assert WORDS["sum", "alone", "1000", "score"] == Word.LOSE


def test_controls_are_beaten_where_something_can_be_repaired_and_nowhere_else():
    for name, word in (("lookup", Word.WIN), ("noise-100", Word.TIE), ("null", Word.TIE)):
        for control in ("no-gradient", "shuffled-gradients", "improve-blind"):
            assert WORDS[name, control, "inf", "score"] == word


def test_reading_worse_never_helps():
    on = basis(WORLDS["last-digit"])
    for view in View:
        found = [outlook(on, view, scale) for scale in (math.inf, 4000.0, 1000.0, 300.0)]
        assert sorted(found, key=lambda each: -each.advice) == found
        assert sorted(found, key=lambda each: -each.score) == found


@pytest.mark.parametrize(
    ("difference", "word"), [(0.05, Word.TIE), (-0.05, Word.TIE), (0.06, Word.WIN), (-0.06, Word.LOSE)]
)
def test_five_points_are_a_tie(difference, word):
    assert word_of(difference) is word


def test_without_a_file_the_command_that_makes_it_is_named(tmp_path):
    assert FILE.exists()
    with pytest.raises(UsageError, match="--predict"):
        committed(tmp_path / "none.json")
