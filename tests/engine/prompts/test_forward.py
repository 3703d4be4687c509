"""Prompts: what each shows, that no value leaves its fence, and that bytes are bounded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import (
    Demonstration,
    Demonstrations,
    Evidence,
    FailureKind,
    Function,
    Gradient,
    Model,
    Number,
    Provenance,
    ReplyFormat,
    change,
    keep,
)
from semprop.engine.nodes import Placement, Purpose
from semprop.engine.parameters import Kind
from semprop.engine.prompts.backward import BackwardView, Neighbours, Question, backward_request, instruction_of
from semprop.engine.prompts.forward import bounded, fence_suffix, forward_request, inputs_block, repair_request
from semprop.engine.prompts.judge import judge_request
from semprop.engine.prompts.update import SOLVED_WORDS, Twin, UpdateView, shares, update_request
from semprop.engine.prompts.words import failure_words, gathered_words, gradient_words, number_words, target_words
from semprop.engine.replies.parsers import ReplyStyle, parse_advice, parse_judgement, parse_proposals
from semprop.engine.tape import Record, SlotValue
from semprop.providers.base import Choices, Completion, Request, Sampling

JSON, TAGS = ReplyStyle.JSON, ReplyStyle.TAGS
GREEDY = Sampling()
SOURCE = Provenance("e1")

TAG_NAMES = ("instruction", "input", "output", "feedback", "case", "context", "criteria", "expected")
ours = st.sampled_from(
    [f"<{slash}{name}{end}" for slash in ("", "/") for name in TAG_NAMES for end in (">", "-1>", ' name="x">', "-2>")]
    + ["<answer>", "</answer>", "-1", "-2", "\n", "<INPUT>", "</Case>"]
)
texts = st.lists(ours | st.text(st.characters(exclude_categories=("Cs",)), max_size=8), max_size=6).map("".join)


def said(request: Request) -> str:
    return request.messages[-1].text


def gradient(*contents: Any, variable: str = "answer") -> Gradient:
    return Gradient(variable, Kind.TEXT, tuple(change(content, SOURCE) for content in contents))


def record(
    values: dict[str, str], output: object = "wrote-it", *, told: str = "told-it", node: Model | Function | None = None
) -> Record:
    slots = [SlotValue("instruction", "told", Purpose.INSTRUCTION, told)] if node is None else []
    slots += [SlotValue(name, name, Purpose.INPUT, value) for name, value in values.items()]
    return Record(node or Model("answer", "told", tuple(values)), tuple(slots), output)


# bounded -------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=200), st.integers(0, 300))
def test_text_within_its_bound_is_left_alone(text: str, limit: int) -> None:
    if len(text.encode()) <= limit:
        assert bounded(text, limit) is text


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=60, max_size=300), st.integers(40, 300))
def test_longer_text_keeps_beginning_and_end_and_counts_what_is_gone(text: str, limit: int) -> None:
    size = len(text.encode())
    cut = bounded(text, limit)
    assert len(cut.encode()) <= max(limit, 40)
    if size > limit:
        half = (limit - 40) // 2
        match = re.fullmatch(r"(.*)\n\[… (\d+) bytes left out …\]\n(.*)", cut, re.DOTALL)
        assert match is not None
        head, gone, tail = match.groups()
        assert int(gone) == size - 2 * half
        assert text.startswith(head)
        # Half a character at either side of the gap is dropped, never shown as another one.
        assert text.endswith(tail) and half - 3 <= len(tail.encode()) <= half


# Fences --------------------------------------------------------------------------------------------------------------


@given(st.lists(texts, max_size=4))
def test_no_text_holds_a_tag_of_its_own_fence(values: list[str]) -> None:
    suffix = fence_suffix(values)
    for value in values:
        for name in TAG_NAMES:
            assert f"<{name}{suffix}" not in value.casefold()
            assert f"</{name}{suffix}" not in value.casefold()


def test_plain_values_get_plain_tags() -> None:
    assert fence_suffix(["a < b and 3-1", "<b>bold</b>"]) == ""


def blocks(text: str, tag: str, *values: str) -> list[str]:
    """What a reader finds between opening and closing tags of one name, with the suffix that these values need."""
    suffix = fence_suffix(values)
    return re.findall(rf"^<{tag}{suffix}(?: [^>\n]*)?>\n(.*?)\n</{tag}{suffix}>$", text, re.DOTALL | re.MULTILINE)


@given(texts, texts, texts, texts, texts, st.sampled_from([JSON, TAGS]))
def test_every_value_of_a_backward_prompt_is_read_back_whole(
    told: str, one: str, two: str, output: str, wanted: str, style: ReplyStyle
) -> None:
    view = BackwardView(record({"one": one, "two": two}, output, told=told), gradient(wanted), ("one",))
    text = said(backward_request(view, style, GREEDY))
    read = {tag: blocks(text, tag, told, one, two, output, wanted) for tag in TAG_NAMES[:4]}
    assert read == {"instruction": [told], "input": [one, two], "output": [output], "feedback": [wanted]}


@given(texts, texts, texts, texts, st.lists(texts, max_size=2), st.sampled_from([JSON, TAGS]))
def test_every_value_of_an_update_prompt_is_read_back_whole(
    told: str, value: str, output: str, wanted: str, rejected: list[str], style: ReplyStyle
) -> None:
    case = Evidence("answer", (("question", value),), output, gradient(wanted))
    view = UpdateView(told, "", ("step answer",), (gradient(case, variable="told"),), rejected=tuple(rejected))
    text = said(update_request(view, style, GREEDY))
    read = {tag: blocks(text, tag, told, value, output, wanted, *rejected) for tag in TAG_NAMES[:5]}
    (body,) = read.pop("case")
    assert read == {"instruction": [told, *rejected], "input": [value], "output": [output], "feedback": [wanted]}
    assert value in body and output in body and wanted in body


@given(texts, texts, texts, texts, st.sampled_from([JSON, TAGS]))
def test_every_value_of_a_judges_prompt_is_read_back_whole(
    criteria: str, value: str, expected: str, answer: str, style: ReplyStyle
) -> None:
    text = said(judge_request(criteria, {"question": value}, expected, answer, style, GREEDY))
    tags = ("criteria", "input", "expected", "output")
    read = {tag: blocks(text, tag, criteria, value, expected, answer) for tag in tags}
    assert read == {"criteria": [criteria], "input": [value], "expected": [expected], "output": [answer]}


# Forward -------------------------------------------------------------------------------------------------------------


def forward(node: Model, inputs: dict[str, object], *steering: SlotValue, example: str = "e1") -> Request:
    slots = [*steering, *(SlotValue(name, name, Purpose.INPUT, value) for name, value in inputs.items())]
    return forward_request(node, slots, example, f"answer|{example}")


TOLD = SlotValue("instruction", "told", Purpose.INSTRUCTION, "told-it")
NODE = Model("answer", "told", ("question",))


def turns(request: Request) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in request.messages]


def test_a_single_input_is_shown_bare_and_several_by_name() -> None:
    assert inputs_block([("question", "Is it\nso?")]) == "Is it\nso?"
    assert inputs_block([("question", "Is it so?"), ("hint", "Yes.")]) == "question: Is it so?\nhint: Yes."


def test_no_inputs_are_an_empty_question() -> None:
    assert turns(forward(NODE, {}, TOLD)) == [("system", "told-it"), ("user", "")]


@given(st.lists(texts, min_size=2, max_size=3))
def test_no_line_of_a_value_can_pass_for_another_input(values: list[str]) -> None:
    names = ["one", "two", "three"][: len(values)]
    shown = inputs_block(list(zip(names, values, strict=True)))
    suffix = fence_suffix(values)
    rest = shown
    for name, value in zip(names, values, strict=True):
        fenced = f'<input{suffix} name="{name}">\n{value}\n</input{suffix}>'
        expected = f"{name}: {value}" if value.splitlines() in ([], [value]) else fenced
        assert rest.startswith(expected)
        rest = rest[len(expected) :].removeprefix("\n")
    assert rest == ""


def test_without_an_instruction_there_is_no_system_turn() -> None:
    empty = SlotValue("instruction", "told", Purpose.INSTRUCTION, "")
    assert turns(forward(NODE, {"question": "?"}, empty)) == [("user", "?")]
    user = Model("answer", "told", ("question",), placement=Placement.USER)
    assert turns(forward(user, {"question": "?"}, empty)) == [("user", "?")]


def test_a_tagged_node_is_told_its_format_even_without_an_instruction() -> None:
    tagged = Model("answer", "told", ("question",), reply=ReplyFormat.TAGGED)
    (_, system), _ = turns(forward(tagged, {"question": "?"}, TOLD))
    assert system.startswith("told-it\n\n") and "<answer>" in system
    empty = SlotValue("instruction", "told", Purpose.INSTRUCTION, "")
    assert "<answer>" in turns(forward(tagged, {"question": "?"}, empty))[0][1]


def test_choices_constrain_the_reply() -> None:
    node = Model("answer", "told", ("question",), choices=("yes", "no"))
    assert forward(node, {"question": "?"}, TOLD).schema == Choices(("yes", "no"))
    assert forward(NODE, {"question": "?"}, TOLD).schema is None


def shots(*turns: Demonstration) -> SlotValue:
    return SlotValue("demonstrations", "shown", Purpose.DEMONSTRATIONS, Demonstrations(turns))


ONE = Demonstration((("question", "first?"),), "1", "e1")
TWO = Demonstration((("question", "second?"),), "2", "e2")


def test_a_demonstration_is_left_out_for_its_own_example_alone() -> None:
    def shown(example: str) -> list[str]:
        return [text for _, text in turns(forward(NODE, {"question": "?"}, shots(ONE, TWO), example=example))]

    assert shown("e1") == ["second?", "2", "?"]
    assert shown("e2") == ["first?", "1", "?"]
    assert shown("e3") == ["first?", "1", "second?", "2", "?"]


def test_in_production_every_demonstration_is_shown() -> None:
    anonymous = Demonstration((("question", "third?"),), "3")
    request = forward(NODE, {"question": "?"}, shots(ONE, anonymous), example="")
    assert [text for _, text in turns(request)] == ["first?", "1", "third?", "3", "?"]


def test_numbers_go_into_sampling_and_the_draw_into_the_request() -> None:
    heat = SlotValue("temperature", "heat", Purpose.SAMPLING, Number(0.25))
    request = forward(NODE, {"question": "?"}, TOLD, heat)
    assert (request.sampling.temperature, request.draw) == (0.25, "answer|e1")


def test_a_repair_repeats_the_question_with_the_reply_and_the_complaint() -> None:
    first = forward(NODE, {"question": "?"}, TOLD)
    again = repair_request(first, Completion("It is {complaint}."), "no answer in {it}.")
    assert again.messages[:-2] == first.messages
    assert turns(again)[-2] == ("assistant", "It is {complaint}.")
    assert "no answer in {it}." in turns(again)[-1][1]
    assert (again.sampling, again.schema, again.draw) == (first.sampling, first.schema, first.draw)


# Gradients in words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "words"),
    [(2.0, "It should fall by about 2; it is 7 now."), (-0.12345, "It should rise by about 0.123; it is 7 now.")],
)
def test_a_derivative_of_the_loss_asks_for_the_opposite_direction(direction: float, words: str) -> None:
    assert number_words(direction, 7.0) == words


def test_the_target_is_said_as_it_is() -> None:
    assert target_words("42 {x}").endswith("42 {x}")


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind.is_model_failure])
def test_every_model_failure_has_words(kind: FailureKind) -> None:
    assert failure_words(kind).endswith(".")


def test_a_gradient_without_changes_says_so() -> None:
    kept = Gradient("answer", Kind.TEXT, (keep(SOURCE),))
    assert gradient_words(kept, 100) == "Nothing is known to be wrong with it."


def test_one_change_stands_alone_and_several_are_numbered_with_their_step() -> None:
    assert gradient_words(gradient("be brief"), 100) == "be brief"
    many = Gradient(
        "hint",
        Kind.TEXT,
        (change("be brief", SOURCE), keep(SOURCE), change("be exact", Provenance("e1", "answer", "hint"))),
    )
    assert gradient_words(many, 100) == "1. be brief\n2. (from the step answer) be exact"


def test_changes_that_do_not_fit_are_counted() -> None:
    assert (
        gradient_words(gradient("a" * 20, "b" * 20, "c" * 20, "d"), 60)
        == f"1. {'a' * 20}\n2. {'b' * 20}\n(2 more left out)"
    )


def test_a_worked_case_is_no_advice_in_words() -> None:
    assert "wrote" not in gradient_words(gradient(Evidence("answer", (), "wrote", None)), 100)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=90), min_size=1, max_size=8))
def test_a_gradient_in_words_is_bounded_and_counts_what_is_left_out(messages: list[str]) -> None:
    words = gradient_words(gradient(*messages), 150)
    assert len(words.encode()) <= 150 + len("1. ") + len("\n(7 more left out)")
    left_out = re.search(r"\((\d+) more left out\)$", words)
    if left_out is None:
        assert all(message in words for message in messages[1:])
    else:
        shown = len(messages) - int(left_out[1])
        assert shown >= 1
        assert all(message in words for message in messages[1:shown])


def test_what_is_passed_on_is_gathered_line_by_line_and_said_once() -> None:
    two = Gradient(
        "hint",
        Kind.TEXT,
        (
            change("be brief\nbe exact", Provenance("e1", "a", "x")),
            change("be exact\nbe kind", Provenance("e1", "b", "x")),
        ),
    )
    assert gathered_words(two, 100) == "be brief\nbe exact\nbe kind"
    assert gathered_words(two, 17) == "be brief\nbe exact\n(1 more left out)"
    assert gathered_words(Gradient("hint", Kind.TEXT, (keep(SOURCE),)), 100) == "Nothing is known to be wrong with it."


@given(st.lists(st.integers(0, 1_000), max_size=8), st.integers(0, 3_000))
def test_short_texts_get_all_they_need_and_long_ones_even_parts_of_the_rest(sizes: list[int], limit: int) -> None:
    given_room = shares(sizes, limit)
    assert all(room <= size for room, size in zip(given_room, sizes, strict=True))
    assert sum(given_room) <= limit
    cut = [room for room, size in zip(given_room, sizes, strict=True) if room < size]
    if cut:
        assert max(given_room) - min(cut) <= len(sizes)
        assert limit - sum(given_room) < len(sizes)


def test_the_budget_of_a_piece_of_advice_is_asked_for() -> None:
    view = BackwardView(record(THREE), gradient("wanted-it"), ("one",), advice_bytes=120)
    assert said(backward_request(view, JSON, GREEDY)).endswith("Each piece of advice has at most 120 bytes.")


# Backward ------------------------------------------------------------------------------------------------------------

THREE = {"one": "nonce-1", "two": "nonce-2", "three": "nonce-3"}
NONCES = (*THREE.values(), "told-it", "wrote-it", "wanted-it")


def shown(asked: Sequence[str], neighbours: Neighbours, style: ReplyStyle = JSON) -> str:
    view = BackwardView(record(THREE), gradient("wanted-it"), tuple(asked), neighbours)
    return said(backward_request(view, style, GREEDY))


@pytest.mark.parametrize("style", ReplyStyle)
@pytest.mark.parametrize("neighbours", Neighbours)
@pytest.mark.parametrize("asked", [("one",), ("one", "two")])
def test_a_comment_is_asked_of_the_same_page_in_other_words(
    asked: tuple[str, ...], neighbours: Neighbours, style: ReplyStyle
) -> None:
    views = [BackwardView(record(THREE), gradient("wanted-it"), asked, neighbours, 4_000, each) for each in Question]
    target, comment = (backward_request(view, style, GREEDY) for view in views)
    assert target.messages[0].text != comment.messages[0].text
    assert "quality" in comment.messages[0].text
    assert "quality" not in target.messages[0].text
    assert target.schema == comment.schema
    assert said(target).partition("You are asked about")[0] == said(comment).partition("You are asked about")[0]


def test_a_reply_in_the_form_of_a_comment_is_told_what_to_write() -> None:
    view = BackwardView(record(THREE), gradient("wanted-it"), ("one",), question=Question.COMMENT)
    assert "what is wrong with it or missing from it, or empty for keep" in said(backward_request(view, JSON, GREEDY))


@pytest.mark.parametrize("style", ReplyStyle)
@pytest.mark.parametrize(
    ("asked", "neighbours", "absent", "named"),
    [
        (("one", "two", "three"), Neighbours.LABELLED, (), ("one", "two", "three")),
        (("two",), Neighbours.LABELLED, (), ("two", "one", "three")),
        (("two",), Neighbours.UNLABELLED, (), ("two",)),
        (("two",), Neighbours.HIDDEN, ("nonce-1", "nonce-3", "told-it"), ("two",)),
        (("one", "three"), Neighbours.HIDDEN, ("nonce-2", "told-it"), ("one", "three")),
        (("instruction", "one"), Neighbours.LABELLED, (), ("instruction", "one", "two", "three")),
    ],
)
def test_neighbours_are_shown_exactly_as_chosen(
    asked: tuple[str, ...], neighbours: Neighbours, absent: tuple[str, ...], named: tuple[str, ...], style: ReplyStyle
) -> None:
    text = shown(asked, neighbours, style)
    for nonce in NONCES:
        assert text.count(nonce) == (0 if nonce in absent else 1)
    assert sorted(re.findall(r'<input name="(\w+)">', text)) == sorted(named)


def test_unlabelled_neighbours_share_one_text_without_names() -> None:
    text = shown(("two",), Neighbours.UNLABELLED)
    assert blocks(text, "context") == ["nonce-1\nnonce-3"]


def test_the_system_turn_tells_of_neighbours_only_where_there_are_some() -> None:
    def system(asked: tuple[str, ...], neighbours: Neighbours) -> str:
        view = BackwardView(record(THREE), gradient("x"), asked, neighbours)
        return backward_request(view, JSON, GREEDY).messages[0].text

    assert "together" in system(("one",), Neighbours.LABELLED)
    assert "together" in system(("one", "two"), Neighbours.HIDDEN)
    assert "together" not in system(("one",), Neighbours.HIDDEN)


def test_a_function_is_told_by_its_docstring() -> None:
    def area(width: float, height: float) -> float:
        """Multiplies width by height."""
        return width * height

    for call, words in ((area, "Multiplies width by height."), (lambda width, height: 0, "A function named area.")):
        node = Function("area", call, ("width", "height"), kind=Kind.NUMBER)
        one = record({"width": "2", "height": "3"}, 6.0, node=node)
        assert instruction_of(one) == words
        assert blocks(said(backward_request(BackwardView(one, gradient("x"), ("width",)), JSON, GREEDY)), "output") == [
            "6"
        ]


def test_demonstrations_and_sampling_numbers_are_no_part_of_a_backward_prompt() -> None:
    one = record({"one": "nonce-1"})
    extra = (shots(ONE), SlotValue("temperature", "heat", Purpose.SAMPLING, Number(0.123)))
    text = said(
        backward_request(BackwardView(Record(one.node, one.slots + extra, "x"), gradient("y"), ("one",)), JSON, GREEDY)
    )
    assert "first?" not in text and "0.123" not in text


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=4000), min_size=4, max_size=4))
def test_values_in_a_backward_prompt_are_bounded(values: list[str]) -> None:
    told, one, output, wanted = values
    view = BackwardView(record({"one": one}, output, told=told), gradient(wanted), ("one",), value_bytes=300)
    frame = BackwardView(record({"one": ""}, "", told=""), gradient(""), ("one",), value_bytes=300)
    size = sum(len(message.text.encode()) for message in backward_request(view, JSON, GREEDY).messages)
    empty = sum(len(message.text.encode()) for message in backward_request(frame, JSON, GREEDY).messages)
    assert size <= empty + 4 * 300 + 100


def test_the_form_that_is_asked_for_is_the_form_that_is_read() -> None:
    view = BackwardView(record(THREE), gradient("x"), ("one", "two"))
    tagged = backward_request(view, TAGS, GREEDY)
    assert tagged.schema is None
    form = re.findall(r"^<advice .*$", said(tagged), re.MULTILINE)
    reply = "\n".join(form).replace("keep or change", "change").replace("…", "shorter")
    assert list(parse_advice(reply, ("one", "two"), TAGS).advice) == ["one", "two"]
    json = backward_request(view, JSON, GREEDY)
    assert json.schema is not None and "one, two" in said(json)


# Update --------------------------------------------------------------------------------------------------------------


def update_view(**options: Any) -> UpdateView:
    case = Evidence("answer", (("question", "asked-it"),), "wrote-it", gradient("wanted-it"))
    given: dict[str, Any] = {
        "instruction": "told-it",
        "purpose": "",
        "places": ("step answer (1 of 1): it reads question",),
        "gradients": (gradient(case, variable="told"),),
    }
    return UpdateView(**{**given, **options})


def update_text(style: ReplyStyle = JSON, **options: Any) -> str:
    return said(update_request(update_view(**options), style, GREEDY))


def test_an_update_prompt_shows_places_instruction_and_cases_once() -> None:
    text = update_text(purpose="for-this")
    for words in ("step answer (1 of 1)", "told-it", "asked-it", "wrote-it", "wanted-it", "for-this"):
        assert text.count(words) == 1


def test_what_there_is_none_of_is_not_mentioned() -> None:
    text = update_text()
    for words in ("What it is for", "more cases", "Tried before", "same instruction"):
        assert words not in text


def test_solved_cases_are_shown_as_such() -> None:
    solved = Evidence("answer", (("question", "easy-one"),), "right-one", None)
    text = update_text(solved=(solved,))
    assert len(blocks(text, "case")) == 2
    assert "easy-one" in text and SOLVED_WORDS in text


def test_a_twin_is_told_which_one_it_is() -> None:
    text = update_text(twin=Twin(2, 3))
    assert "3 steps" in text and "number 2" in text


def test_left_out_cases_are_counted_and_rejected_ones_shown() -> None:
    text = update_text(left_out=7, rejected=("tried-it",))
    assert "(7 more cases are not shown.)" in text
    assert blocks(text, "instruction") == ["told-it", "tried-it"]


def test_advice_stands_as_feedback_of_its_case() -> None:
    text = update_text(gradients=(gradient("say less", "say it first", variable="told"),))
    assert blocks(text, "feedback") == ["say less", "say it first"]


@pytest.mark.parametrize("wanted", [1, 3])
def test_the_proposals_asked_for_can_be_read(wanted: int) -> None:
    text = update_text(TAGS, wanted=wanted, max_bytes=123)
    assert "at most 123 bytes" in text
    reply = "\n".join(
        f'<proposal number="{number}">text {number}</proposal>'
        for number in map(int, re.findall(r'<proposal number="(\d)">', text))
    )
    assert parse_proposals(reply, wanted, TAGS).proposals == tuple(f"text {n}" for n in range(1, wanted + 1))
    assert f'"proposal_{wanted}"' in update_text(JSON, wanted=wanted)


@given(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=3000),
    st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=3000), min_size=1, max_size=5),
)
def test_cases_are_bounded_and_the_instruction_that_is_edited_is_never_cut(told: str, values: list[str]) -> None:
    def sized(texts: Sequence[str]) -> tuple[int, str]:
        cases = tuple(
            gradient(Evidence("answer", (("question", text),), text, gradient(text)), variable="told") for text in texts
        )
        text = update_text(instruction=told, gradients=cases, cases_bytes=2_000)
        return len(text.encode()), text

    size, text = sized(values)
    frame, _ = sized(["" for _ in values])
    assert told in text
    assert size <= frame + 2_000 + 100


# Judge ---------------------------------------------------------------------------------------------------------------


def test_a_judges_prompt_has_the_reference_only_if_given() -> None:
    def text(expected: str | None, style: ReplyStyle) -> str:
        return said(judge_request("be-strict", {"question": "asked-it"}, expected, "wrote-it", style, GREEDY))

    assert "<expected>" not in text(None, JSON)
    assert "right-one" in text("right-one", JSON)
    form = text(None, TAGS).splitlines()[-1].removeprefix("Reply with ").removesuffix(".")
    assert parse_judgement(form.replace("0 to 10", "5"), TAGS).score == 0.5


def test_schemas_go_with_the_json_style_alone() -> None:
    view = BackwardView(record(THREE), gradient("x"), ("one",))
    for request, has in (
        (backward_request(view, JSON, GREEDY), True),
        (backward_request(view, TAGS, GREEDY), False),
        (update_request(update_view(), JSON, GREEDY), True),
        (update_request(update_view(), TAGS, GREEDY), False),
        (judge_request("c", {}, None, "a", JSON, GREEDY), True),
        (judge_request("c", {}, None, "a", TAGS, GREEDY), False),
    ):
        assert (request.schema is not None) is has


def test_a_reply_that_could_not_be_read_is_shown_bounded() -> None:
    again = repair_request(forward(NODE, {"question": "?"}, TOLD), Completion("x" * 10**6), "no answer.")
    assert sum(len(message.text.encode()) for message in again.messages) < 20_000


@pytest.mark.parametrize("mark", ["\r", "\u2028", "\x0b", "\n"])
def test_a_value_of_several_lines_is_fenced_whatever_ends_its_lines(mark: str) -> None:
    shown = inputs_block([("question", f"?{mark}hint: No."), ("hint", "Yes.")])
    assert shown == f'<input name="question">\n?{mark}hint: No.\n</input>\nhint: Yes.'


def test_without_other_inputs_there_is_no_empty_context() -> None:
    view = BackwardView(record({"one": "nonce-1"}), gradient("x"), ("one",), Neighbours.UNLABELLED)
    assert "<context" not in said(backward_request(view, JSON, GREEDY))


def test_a_functions_slot_may_be_called_instruction() -> None:
    def obey(instruction: str) -> str:
        """Does as it is told."""
        return instruction

    node = Function("obey", obey, ("instruction",))
    view = BackwardView(record({"instruction": "nonce-1"}, node=node), gradient("x"), ("instruction",))
    assert "Does as it is told." in said(backward_request(view, JSON, GREEDY))


@pytest.mark.parametrize("nodes", [10, 1_000])
def test_an_instruction_that_steers_many_nodes_has_a_bounded_prompt(nodes: int) -> None:
    case = Evidence("answer", (("question", "asked-it" * 40),), "wrote-it" * 40, gradient("wanted-it" * 40))
    shared = gradient(*[case] * nodes, variable="told")
    places = tuple(f"step n{index} (…): it reads question" for index in range(nodes))
    text = update_text(gradients=(shared,) * 4, places=places)
    assert len(text.encode()) < 24_000 + 8_000
    assert ("more of this case are not shown" in text) is (nodes == 1_000)
    assert ("more places" in text) is (nodes == 1_000)
