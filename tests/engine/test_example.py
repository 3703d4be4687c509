"""Examples and splits: what counts as the same question, and that splits never share one (law L7)."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semprop.engine.errors import DataError
from semprop.engine.example import Example, Splits, draw, normalised, shuffled, split


def rows(texts):
    return [Example(f"row:{number}", {"question": text}) for number, text in enumerate(texts, 1)]


def membership(splits):
    return {
        example.id: name
        for name, examples in (("train", splits.train), ("gate", splits.gate), ("test", splits.test))
        for example in examples
    }


LARGE = {"train": 10**6, "gate": 10**6, "test": 10**6}
texts = st.lists(st.text(max_size=4), min_size=60, max_size=90, unique=True)


def split_or_none(examples, seed, **sizes):
    try:
        return split(examples, seed, **(LARGE | sizes))
    except DataError:
        return None


def test_inputs_cannot_be_changed_and_later_changes_to_the_given_dict_do_not_show():
    given_inputs = {"question": "2 + 2"}
    example = Example("a", given_inputs)
    given_inputs["question"] = "3 + 3"
    assert example.inputs["question"] == "2 + 2"
    with pytest.raises(TypeError):
        example.inputs["question"] = "4"


def test_an_input_that_is_not_text_is_refused_with_its_example_and_name():
    with pytest.raises(DataError, match=r"'a', input 'n': expected text or an Image, found int"):
        Example("a", {"n": 3})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who  is\tthere?\n", "who is there?"),
        ("STRASSE", "straße"),
        ("caf\u00e9", "cafe\u0301"),
        ("\uff21\uff22", "ab"),
        ("\u0345\u0301", "\u0301\u0345"),
        ("x\u00a0y", "x y"),
    ],
)
def test_case_spacing_and_unicode_form_do_not_make_another_question(one, other):
    assert normalised(Example("a", {"q": one})) == normalised(Example("b", {"q": other}))


@given(st.text())
def test_every_unicode_form_and_folding_of_a_text_is_the_same_question(text):
    known = normalised(Example("a", {"q": text}))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normalised(Example("b", {"q": unicodedata.normalize(form, text)})) == known
    assert normalised(Example("b", {"q": text.casefold()})) == known


def test_the_order_of_fields_does_not_matter_but_their_names_do():
    one = Example("a", {"q": "x", "hint": "y"})
    assert normalised(one) == normalised(Example("b", {"hint": "y", "q": "x"}))
    assert normalised(one) != normalised(Example("b", {"hint": "x", "q": "y"}))


def test_text_cannot_imitate_the_border_between_two_fields():
    one = Example("a", {"a": 'x","b":"y', "b": ""})
    assert normalised(one) != normalised(Example("b", {"a": "x", "b": "y"}))


@given(st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=4))
def test_a_draw_is_a_number_below_one_that_depends_on_its_key_alone(key):
    assert 0.0 <= draw(*key) < 1.0
    assert draw(*key) == draw(*key)


def test_draws_are_spread_evenly():
    values = [draw(0, "even", number) for number in range(4000)]
    counts = [sum(tenth / 10 <= value < (tenth + 1) / 10 for value in values) for tenth in range(10)]
    assert all(320 < count < 480 for count in counts)


def test_the_key_of_a_draw_is_not_a_concatenation():
    assert draw("ab", "c") != draw("a", "bc")


@given(texts, st.integers(0, 3), st.randoms())
@settings(max_examples=25)
def test_the_order_of_the_rows_changes_nothing(values, seed, random):
    examples = rows(values)
    mixed = random.sample(examples, len(examples))
    assert split_or_none(examples, seed, train=20) == split_or_none(mixed, seed, train=20)
    assert shuffled(examples, seed) == shuffled(mixed, seed)


@given(texts, st.integers(0, 3), st.integers(40, 60))
@settings(max_examples=25)
def test_membership_does_not_depend_on_the_other_rows(values, seed, kept):
    whole, part = split_or_none(rows(values), seed), split_or_none(rows(values)[:kept], seed)
    if whole is not None and part is not None:
        both = membership(whole)
        assert all(both[name] == place for name, place in membership(part).items())


@given(texts, st.integers(0, 3))
@settings(max_examples=25)
def test_equal_questions_share_a_split(values, seed):
    copies = [*values, *(f"  {text.upper().lower()} " for text in values), *(f" {text}\n" for text in values)]
    splits = split_or_none(rows(copies), seed)
    if splits is not None:
        place, owner = membership(splits), {}
        for example in rows(copies):
            assert owner.setdefault(normalised(example), place[example.id]) == place[example.id]


@given(texts, st.integers(0, 3), st.integers(1, 40))
@settings(max_examples=25)
def test_splits_are_disjoint_and_no_larger_than_asked(values, seed, size):
    splits = split_or_none(rows(values * 2)[: len(values) + 20], seed, train=size, gate=size, test=size)
    if splits is not None:
        parts = [{normalised(example) for example in part} for part in (splits.train, splits.gate, splits.test)]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
        assert all(len(part) <= size for part in (splits.train, splits.gate, splits.test))


def test_a_larger_size_only_adds_examples():
    examples = rows(map(str, range(200)))
    small, large = split(examples, 1, **(LARGE | {"train": 10})), split(examples, 1, **(LARGE | {"train": 20}))
    assert large.train[:10] == small.train
    assert large.gate == small.gate


def test_another_seed_draws_other_splits():
    examples = rows(map(str, range(200)))
    assert membership(split(examples, 1, **LARGE)) != membership(split(examples, 2, **LARGE))


def test_a_split_that_is_not_asked_for_may_be_empty():
    assert split(rows(map(str, range(50))), 0, train=10, gate=10, test=0).test == ()


def test_an_empty_split_says_which_one_and_how_few_examples_there_were():
    with pytest.raises(DataError, match=r"split is empty: 1 examples are too few"):
        split(rows(["only one"]), 0, train=1, gate=1, test=1)


def test_a_question_in_two_splits_is_refused_with_both_ids():
    with pytest.raises(DataError, match=r"'b' in gate has the same inputs as 'a' in train"):
        Splits((Example("a", {"q": "Same"}),), (Example("b", {"q": "same "}),))


def test_an_id_that_stands_twice_is_refused_even_inside_one_split():
    with pytest.raises(DataError, match=r"'a' stands in train and in train"):
        Splits((Example("a", {"q": "1"}), Example("a", {"q": "2"})), ())


def test_equal_questions_inside_one_split_are_allowed():
    assert len(Splits((Example("a", {"q": "1"}), Example("b", {"q": "1"})), ()).train) == 2


def test_text_that_no_encoding_can_carry_is_refused_where_it_comes_in():
    with pytest.raises(DataError, match=r"example 'e', input 'q': holds half a surrogate pair"):
        Example("e", {"q": "\ud83d"})
    for place, made in (
        ("'s id", ("\ud83d", {"q": "?"})),
        (", name of the input '\\ud83d'", ("e", {"\ud83d": "?"})),
        ("'s expected answer", ("e", {"q": "?"}, "\ud83d")),
        ("'s group", ("e", {"q": "?"}, None, "\ud83d")),
    ):
        with pytest.raises(DataError, match=re.escape(f"{place}: holds half a surrogate pair")):
            Example(*made)
