"""Parsers of model text: nothing mis-assigned, nothing silently lost, nothing half."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine.gradients import Stance
from semprop.engine.replies.parsers import (
    MAX_NOTES,
    Advice,
    Judgement,
    ReplyError,
    ReplyStyle,
    parse_advice,
    parse_answer,
    parse_judgement,
    parse_proposals,
)
from semprop.engine.replies.schemas import advice_schema, judgement_schema, proposals_schema

KEEP = Advice(Stance.KEEP)
BOTH = ("hint_1", "hint_2")


def change(text: str) -> Advice:
    return Advice(Stance.CHANGE, text)


def tag(slot: str, text: str) -> str:
    return f'<advice slot="{slot}" verdict="change">{text}</advice>'


@dataclass(frozen=True)
class Case:
    """One reply. `expected` is the advice that may be read from it: nothing else, nothing more. None: an error.
    `says` must stand in the complaint. Group "published" holds the defects of the published parser,
    each in a form that is read and as plain text."""

    name: str
    group: str
    slots: tuple[str, ...]
    reply: str
    expected: dict[str, Advice] | None
    says: str


def corpus() -> list[Case]:
    rows = json.loads((Path(__file__).parent / "adversarial_replies.json").read_text("utf-8"))
    return [
        Case(
            name=row["name"],
            group=row["group"],
            slots=tuple(row["slots"]),
            reply=row["reply"],
            expected=None
            if row["expected"] is None
            else {slot: Advice(Stance(said["verdict"]), said["advice"]) for slot, said in row["expected"].items()},
            says=row["says"],
        )
        for row in rows
    ]


CASES = corpus()


@pytest.mark.parametrize("style", ReplyStyle)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_advice_reaches_a_wrong_slot_and_none_is_silently_lost(case: Case, style: ReplyStyle) -> None:
    if case.expected is None:
        with pytest.raises(ReplyError) as caught:
            parse_advice(case.reply, case.slots, style)
        complaint = caught.value.complaint
        assert complaint == str(caught.value)
    else:
        read = parse_advice(case.reply, case.slots, style)
        assert dict(read.advice) == case.expected
        assert read.missing == tuple(slot for slot in case.slots if slot not in case.expected)
        assert bool(read.complaint) or not (read.missing or case.says)
        complaint = read.complaint
    if complaint:
        assert complaint.startswith("Expected ")
        assert case.says in complaint


def test_the_corpus_is_large_and_its_names_differ() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert sum(case.group == "published" for case in CASES) >= 10


@pytest.mark.parametrize("case", [case for case in CASES if case.expected], ids=lambda case: case.name)
def test_a_cut_anywhere_loses_slots_and_never_changes_one(case: Case) -> None:
    assert case.expected is not None
    for end in range(len(case.reply)):
        try:
            read = parse_advice(case.reply[:end], case.slots, ReplyStyle.TAGS)
        except ReplyError:
            continue
        # A slot that the whole reply answers twice, differently, may be read while the second answer is cut off.
        assert all(advice == case.expected.get(slot, advice) for slot, advice in read.advice.items())
        assert read.complaint or not read.missing


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip)
ANSWERS = st.one_of(st.just(KEEP), TEXTS.map(lambda text: change(text.strip())))
REPLIES = st.dictionaries(NAMES, ANSWERS, min_size=1, max_size=6)


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_tags(advice: dict[str, Advice]) -> str:
    return "\n".join(
        f"<advice slot={quoteattr(slot)} verdict='{said.stance}'>{escaped(said.text)}</advice>"
        for slot, said in advice.items()
    )


def as_json(advice: dict[str, Advice]) -> str:
    return json.dumps({slot: {"verdict": said.stance, "advice": said.text} for slot, said in advice.items()})


@given(REPLIES)
def test_rendered_advice_is_read_back_for_any_names_and_texts(advice: dict[str, Advice]) -> None:
    for reply in (as_tags(advice), as_json(advice)):
        for style in ReplyStyle:
            read = parse_advice(reply, tuple(advice), style)
            assert (dict(read.advice), read.missing, read.complaint) == (advice, (), "")
            assert tuple(read.advice) == tuple(advice)


PIECES = st.sampled_from(
    ['{"', '"}', "{", "}", '"', ":", ",", "\\", "<advice ", "</advice>", 'slot="a"', 'verdict="change"', ">", "/>",
     "<![CDATA[", "]]>", "<answer>", "</answer>", "<proposal", "</proposal>", "<score>", "</score>", "<feedback>",
     "</feedback>", '"a": {"verdict": "keep"}', '"score": 7', "<think>", "</think>", "1", " ", "\n", "x", "\ud800"]
)  # fmt: skip
ANYTHING = st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join))


@given(ANYTHING)
def test_a_parser_raises_nothing_but_its_own_error_on_any_text(text: str) -> None:
    for style in ReplyStyle:
        for parse in (
            lambda style=style: parse_advice(text, ("a", "b"), style),
            lambda style=style: parse_proposals(text, 2, style),
            lambda style=style: parse_judgement(text, style),
            lambda: parse_answer(text),
        ):
            try:
                parse()
            except ReplyError as error:
                error.complaint.encode()


def test_a_megabyte_of_advice_is_read_whole() -> None:
    text = 'a "quoted" {brace} <tag> & more. ' * 30_000
    advice = {"hint_1": change(text.strip()), "hint_2": KEEP}
    for reply in (as_json(advice), as_tags(advice)):
        assert dict(parse_advice(reply, BOTH, ReplyStyle.JSON).advice) == advice


LONG = 250_000


@pytest.mark.parametrize(
    "unit",
    ["{", '{"', '{"a', '{"\\', '{"a":', '{"a" ', '{"a":{', '{"a":[1,', "<advice ", "<advice slot='a' verdict='keep'>",
     "<advice slot='a", '<advice slot="a" ', "</advice>", "<![CDATA[", "<advice slot=a verdict=change><![CDATA[",
     "&amp;", "<answer>", "</answer>", "<score>", "<proposal ", "\\", '"', "<think>", " ", "<advice a a>"],
)  # fmt: skip
def test_a_long_run_of_one_fragment_is_read_in_linear_time(unit: str) -> None:
    """No timing: at quadratic cost the suite's time limit would fall."""
    text = unit * (LONG // len(unit))
    for reply in (text, '{"a": {"verdict": "change", "advice": "' + text):
        with pytest.raises(ReplyError):
            parse_advice(reply, ("a",), ReplyStyle.JSON)
    for parse in (parse_answer, lambda reply: parse_proposals(reply, 2, ReplyStyle.TAGS)):
        with pytest.raises(ReplyError):
            parse(text)
    with pytest.raises(ReplyError):
        parse_judgement(text, ReplyStyle.TAGS)


def test_a_complaint_is_bounded_however_much_is_wrong() -> None:
    names = [f"unknown_{number}" + "x" * 1000 for number in range(100)]
    read = parse_advice(tag("hint_1", "use units") + "".join(tag(name, "x") for name in names), BOTH, ReplyStyle.TAGS)
    assert read.complaint.count("unknown_") == MAX_NOTES
    assert len(read.complaint) < 1500


def test_a_complaint_asks_for_the_form_that_the_request_asked_for() -> None:
    with pytest.raises(ReplyError, match="JSON object"):
        parse_advice("", BOTH, ReplyStyle.JSON)
    with pytest.raises(ReplyError, match='<advice slot="NAME"'):
        parse_advice("", BOTH, ReplyStyle.TAGS)


PROPOSALS: list[tuple[str, str, int, tuple[str, ...], str]] = [
    ("tags", '<proposal number="1">one</proposal>\n<proposal number="2">two</proposal>', 2, ("one", "two"), ""),
    ("json", '{"reasoning": "r", "proposal_1": "one", "proposal_2": "two"}', 2, ("one", "two"), ""),
    ("order", "<proposal number='2'>two</proposal><proposal number='1'>one</proposal>", 2, ("one", "two"), ""),
    ("no number", "<proposal>one</proposal>", 1, ("one",), ""),
    ("json without a number", '{"Proposal": "one"}', 1, ("one",), ""),
    ("fence and prose", '```json\n{"proposal_1": "one"}\n```\ndone', 1, ("one",), ""),
    ("unclosed", '<proposal number="1">one</proposal><proposal number="2">two', 2, ("one",), "never closed"),
    ("cut json", '{"proposal_1": "one", "proposal_2": "tw', 2, ("one",), "1 of 2"),
    ("empty", '<proposal number="1">one</proposal><proposal number="2"> </proposal>', 2, ("one",), "2 is empty"),
    ("dots only", '<proposal number="1">one</proposal><proposal number="2">…</proposal>', 2, ("one",), "proposal 2"),
    ("not text", '{"proposal_1": "one", "proposal_2": false}', 2, ("one",), "proposal 2"),
    ("a repetition", '{"proposal_1": "one", "proposal_2": " one "}', 2, ("one",), "repeats"),
    ("too many", "<proposal>one</proposal><proposal>two</proposal>", 1, ("one",), "more than 1"),
    ("a number too high", '{"proposal_1": "one", "proposal_3": "three"}', 2, ("one",), "numbered 3"),
    ("a number that is a word", '<proposal number="two">two</proposal><proposal number="1">one</proposal>', 2, ("one",),
     '"two"'),
    ("two texts", '{"proposal_1": "one", "proposal_2": "two", "proposal_2": "zwei"}', 2, ("one",), "differs"),
    ("one number, one text twice", '{"proposal_1": "one", "proposal_1": "one"}', 1, ("one",), ""),
    ("nested", '<proposal number="1">a <proposal number="2">b</proposal> c</proposal><proposal>one</proposal>', 2,
     ("one",), "inside"),
    ("verbatim inside", '{"proposal_1": "<answer>{x}</answer> &lt; 100%"}', 1, ("<answer>{x}</answer> &lt; 100%",), ""),
    ("nothing is added", '<proposal number="1">Answer briefly.</proposal>False.', 1, ("Answer briefly.",), ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reply", "count", "expected", "says"), PROPOSALS, ids=[row[0] for row in PROPOSALS])
def test_only_whole_and_distinct_proposals_are_read(
    name: str, reply: str, count: int, expected: tuple[str, ...], says: str
) -> None:
    for style in ReplyStyle:
        read = parse_proposals(reply, count, style)
        assert read.proposals == expected
        assert read.missing == count - len(expected)
        assert says in read.complaint
        assert bool(read.complaint) == bool(says)


@pytest.mark.parametrize(
    "reply", ["", "Be brief.", "<proposal number='1'>cut", '{"proposal_1": null}', '{"text": "x"}', "<proposal/>"]
)
@pytest.mark.parametrize("style", ReplyStyle)
def test_a_reply_without_a_whole_proposal_is_an_error(reply: str, style: ReplyStyle) -> None:
    with pytest.raises(ReplyError, match=r"Expected .*proposal.* Found: .*0 of 3 proposals"):
        parse_proposals(reply, 3, style)


@given(st.lists(TEXTS.map(str.strip).filter(lambda text: any(map(str.isalnum, text))), min_size=1, unique=True))
def test_rendered_proposals_are_read_back(texts: list[str]) -> None:
    as_object = json.dumps({f"proposal_{number}": text for number, text in enumerate(texts, 1)})
    as_elements = "".join(
        f'<proposal number="{number}">{escaped(text)}</proposal>' for number, text in enumerate(texts, 1)
    )
    for reply in (as_object, as_elements):
        assert parse_proposals(reply, len(texts), ReplyStyle.JSON).proposals == tuple(texts)


ANSWERED = [
    ("<answer>42</answer>", "42"),
    ("So: <Answer type='number'>\n 42 \n</ANSWER > done", "42"),
    ("<answer>41</answer> no, <answer>42</answer>", "42"),
    ("</answer> <answer>42</answer>", "42"),
    ("I write <answer> tags <answer>1</answer>, and so <answer>42</answer>", "42"),
    ("<answer>a < b && c &lt; d</answer>", "a < b && c &lt; d"),
    ("<answer>unit</answer>", "unit"),
    ("<think><answer>1</answer></think><answer>42</answer>", "42"),
    ("<answers>1</answers><answer>42</answer>", "42"),
]


@pytest.mark.parametrize(("reply", "expected"), ANSWERED)
def test_the_last_complete_answer_is_read_verbatim(reply: str, expected: str) -> None:
    assert parse_answer(reply) == expected


UNANSWERED = [
    ("", "no <answer> tag"),
    ("42", "no <answer> tag"),
    ("<answer>42", "never closed"),
    ("<answer>41</answer> wait, <answer>42", "never closed"),
    ("42</answer>", "closes nothing"),
    ("<answer>42</answer></answer>", "closes nothing"),
    ("<answer>a <answer>42</answer>", "inside of another"),
    ("<answer><answer>42</answer></answer>", "closes nothing"),
    ("<answer> \n </answer>", "empty"),
    ("<answer </answer>", "empty"),
    ("<answer>42</answe", "never closed"),
    ("<think>so <answer>42</answer>", "no <answer> tag"),
]


@pytest.mark.parametrize(("reply", "says"), UNANSWERED)
def test_a_reply_without_one_clear_answer_is_never_the_answer_itself(reply: str, says: str) -> None:
    with pytest.raises(ReplyError, match=says):
        parse_answer(reply)


JUDGED = [
    ('{"feedback": "good", "score": 7}', Judgement(0.7, "good")),
    ('{"reasoning": "r", "feedback": "good", "score": 7.5}', Judgement(0.75, "good")),
    ('```json\n{"Score": "7/10", "Feedback": " good "}\n```', Judgement(0.7, "good")),
    ("<feedback>good &amp; short</feedback><score>10</score>", Judgement(1.0, "good & short")),
    ("<SCORE> **0** </SCORE>\n<Feedback></Feedback>", Judgement(0.0, "")),
    ('{"feedback": "a score of 3? no", "score": 7, ', Judgement(0.7, "a score of 3? no")),
    ('{"feedback": "good", "score": 7} {"feedback": "good", "score": 7.0}', Judgement(0.7, "good")),
]


@pytest.mark.parametrize(("reply", "expected"), JUDGED)
def test_a_judgement_is_read_from_both_forms(reply: str, expected: Judgement) -> None:
    for style in ReplyStyle:
        assert parse_judgement(reply, style) == expected


UNJUDGED = [
    ("", "no score"),
    ("7/10", "no score"),
    ('{"feedback": "good"}', "no score"),
    ('{"score": 7}', "no feedback"),
    ("<score>7</score>", "no feedback"),
    ('{"feedback": "good", "score": 11}', '"11"'),
    ('{"feedback": "good", "score": -1}', '"-1"'),
    ('{"feedback": "good", "score": true}', '"True"'),
    ('{"feedback": "good", "score": NaN}', "NaN"),
    ('{"feedback": "good", "score": null}', '"None"'),
    ('{"feedback": "good", "score": "seven"}', '"seven"'),
    ('{"feedback": "good", "score": 1', "cut"),
    ('{"feedback": 3, "score": 7}', "no text"),
    ('{"feedback": "a", "feedback": "b", "score": 7}', "differs"),
    ("<feedback>a</feedback><score>7</score><score>8</score>", "two different scores"),
    ("<feedback>I give <score>7</score></feedback>", "a tag inside of <feedback>"),
    ("<feedback>a</score></feedback><score>7</score>", "a tag inside of <feedback>"),
    ("<feedback>a</feedback><score>7", "never closed"),
]


@pytest.mark.parametrize(("reply", "says"), UNJUDGED)
def test_an_unclear_judgement_is_an_error_and_never_a_score(reply: str, says: str) -> None:
    for style in ReplyStyle:
        with pytest.raises(ReplyError) as caught:
            parse_judgement(reply, style)
        assert says in caught.value.complaint


def is_strict(schema: dict[str, object]) -> bool:
    properties = schema.get("properties", {})
    assert isinstance(properties, dict)
    return schema["type"] != "object" or (
        schema["required"] == list(properties)
        and schema["additionalProperties"] is False
        and all(map(is_strict, properties.values()))
    )


def test_schemas_are_strict_and_reason_first() -> None:
    for schema in (advice_schema(BOTH), proposals_schema(3), judgement_schema()):
        parsed = json.loads(schema.document)
        assert is_strict(parsed)
        assert parsed["required"][0] == "reasoning"
    assert json.loads(proposals_schema(2).document)["required"][1:] == ["proposal_1", "proposal_2"]
    assert json.loads(advice_schema(BOTH).document)["required"][1:] == list(BOTH)


@pytest.mark.parametrize(
    "slots", [("reasoning",), ("reasoning", "REASONING"), ("_REASONING", "reasoning", "REASONING")]
)
def test_reasoning_never_takes_the_name_of_a_slot(slots: tuple[str, ...]) -> None:
    keys = json.loads(advice_schema(slots).document)["required"]
    assert len(set(keys)) == len(slots) + 1
    reply = json.dumps({key: {"verdict": "keep"} if key in slots else "because" for key in keys})
    read = parse_advice(reply, slots, ReplyStyle.JSON)
    assert (read.missing, read.complaint) == ((), "")
