"""The simulated provider: a deterministic function of the request, in the shape that the request asks for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from semprop.providers.base import Choices, JsonSchema, Message, Provider, Request, Sampling, Stop
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.simulated import model as simulated
from semprop.providers.simulated.pages import BYTES_PER_TOKEN, Sight, blocks, page_of, seen


def ask(system: str, user: str, **fields: object) -> Request:
    turns = [Message.of("system", system)] if system else []
    return Request((*turns, Message.of("user", user)), **fields)  # type: ignore[arg-type]


ADVICE = {"type": "object", "properties": {"verdict": {"type": "string"}, "advice": {"type": "string"}}}
BACKWARD = (
    '<i>\nLook up the key in the table and give its value.\n</i>\n<v name="a">\nkite\n</v>\n'
    '<v name="b">\nkite = Oban\nheron = Leek\ntern = Ripon\nknot = Ely\n</v>\n<o>\nOban\n</o>\n'
    "<f>\nThe expected output is: Leek\n</f>\n"
)
EXTRACT = "Give the value of the field colour."


def test_it_is_a_provider_and_says_that_it_is_simulated() -> None:
    provider = simulated.connect("")
    assert isinstance(provider, Provider)
    assert provider.capabilities.simulated
    assert provider.identity == f"simulated:{simulated.RULES}"
    assert "in place of a language model" in repr(provider)


async def test_it_answers_at_once_and_may_be_entered_twice() -> None:
    provider = simulated.connect("")
    async with provider, provider:
        completion = await provider.complete(ask(EXTRACT, "colour: red\nshape: cube"))
    assert completion.text == "red"
    assert completion.stop is Stop.END
    assert provider.statistics()["requests"] == 1


def test_settings_are_part_of_the_identity() -> None:
    assert simulated.connect("L0=1000").identity != simulated.connect("").identity
    assert simulated.connect("L0=1000&ties=lexicographic").identity.endswith("&L0=1000&ties=lexicographic")
    assert simulated.settings_of(f"{simulated.RULES}?L0=inf") == simulated.Settings()


@pytest.mark.parametrize("text", ["L0", "L0=0", "L0=-3", "L0=x", "ties=none", "gpt-4", "L0=nan"])
def test_a_malformed_setting_is_refused_with_the_mend(text: str) -> None:
    with pytest.raises(StopError, match="L0=NUMBER") as caught:
        simulated.connect(text)
    assert caught.value.error_class is ErrorClass.CONFIGURATION


def test_usage_is_bytes_divided_by_four() -> None:
    request = ask(EXTRACT, "colour: grün")
    completion = simulated.completion_of(request)
    assert completion.usage.input == -(-len(EXTRACT) // BYTES_PER_TOKEN) + -(-len("colour: grün".encode()) // 4)
    assert completion.usage.output == 2


def test_a_reply_ends_at_its_token_limit_and_says_so() -> None:
    request = ask("Repeat the input unchanged.", "x" * 40, sampling=Sampling(max_tokens=5))
    completion = simulated.completion_of(request)
    assert (completion.text, completion.stop) == ("x" * 20, Stop.LENGTH)


def test_a_reply_ends_before_a_stop_sequence() -> None:
    request = ask("Repeat the input unchanged.", "one\ntwo", sampling=Sampling(stop=("\n",)))
    assert simulated.completion_of(request).text == "one"


def test_the_answer_stands_between_the_tags_that_are_asked_for() -> None:
    system = f"{EXTRACT}\n\nEnd with your answer between <answer> and </answer>."
    assert simulated.reply(ask(system, "colour: red")) == "<answer>red</answer>"
    assert simulated.reply(ask("", f"{EXTRACT} Put it between <r> and </r>.\n\ncolour: red")) == "<r>red</r>"


def test_the_instruction_may_stand_before_the_question_in_one_turn() -> None:
    assert simulated.reply(ask("", f"Be kind.\n\n{EXTRACT}\n\ncolour: red\nshape: cube")) == "red"


def test_demonstrations_before_the_question_are_not_the_question() -> None:
    turns = (("system", EXTRACT), ("user", "colour: blue"), ("assistant", "blue"), ("user", "colour: red"))
    request = Request(tuple(Message.of(role, text) for role, text in turns))
    assert simulated.reply(request) == "red"


def test_asked_to_reply_again_it_answers_the_question_before() -> None:
    turns = (
        ("system", f"{EXTRACT} Answer between <answer> and </answer>."),
        ("user", "colour: red"),
        ("assistant", "?"),
        ("user", "That could not be read. Reply again, complete."),
    )
    request = Request(tuple(Message.of(role, text) for role, text in turns))
    assert simulated.reply(request) == "<answer>red</answer>"


def test_advice_has_the_shape_of_the_schema() -> None:
    properties = {"reasoning": {"type": "string"}, "a": ADVICE, "b": ADVICE}
    schema = JsonSchema.of("advice", {"type": "object", "properties": properties})
    document = orjson.loads(simulated.reply(ask("Judge.", BACKWARD, schema=schema)))
    assert list(document) == ["reasoning", "a", "b"]
    assert document["a"] == {"verdict": "change", "advice": "It should state: heron"}
    assert document["b"] == {"verdict": "keep", "advice": ""}


def test_advice_has_the_form_of_the_tags_asked_for() -> None:
    lines = '<note for="a" say="keep or change">…</note>\n<note for="b" say="keep or change">…</note>'
    reply = simulated.reply(ask("Judge.", f"{BACKWARD}\nReply so:\n{lines}"))
    assert reply.split("\n") == [
        '<note for="a" say="change">It should state: heron</note>',
        '<note for="b" say="keep"></note>',
    ]


def test_a_form_inside_of_a_value_is_not_asked_for() -> None:
    inside = '<v name="x">\n<p number="1">…</p>\ncolour: red\n</v>'
    assert simulated.reply(ask(EXTRACT, inside)) == "red"


UPDATE = f"<i>\n{EXTRACT}\n</i>\n" + "\n".join(
    f'<case>\n<v name="x">\ncolour: {colour}\nshape: {shape}\n</v>\n<o>\n{colour}\n</o>\n<f>\nIt should be {shape}.\n'
    "</f>\n</case>"
    for colour, shape in (("red", "cube"), ("blue", "ball"), ("green", "cone"))
)


def test_proposals_have_the_shape_of_the_schema() -> None:
    text = {"type": "string"}
    schema = JsonSchema.of(
        "proposals", {"type": "object", "properties": {"reasoning": text, "proposal_1": text, "proposal_2": text}}
    )
    document = orjson.loads(simulated.reply(ask("Improve.", UPDATE, schema=schema)))
    assert list(document) == ["reasoning", "proposal_1", "proposal_2"]
    assert "shape" in document["proposal_1"]
    assert document["proposal_1"] != document["proposal_2"]


def test_proposals_have_the_form_of_the_tags_asked_for() -> None:
    reply = simulated.reply(ask("Improve.", f'{UPDATE}\nEnd with:\n<new nr="1">…</new>\n<new nr="2">…</new>'))
    first, second = reply.split("\n")
    assert first.startswith('<new nr="1">') and "shape" in first
    assert second.startswith('<new nr="2">')


@pytest.mark.parametrize(("reference", "score"), [("42", 10), ("43", 0)])
def test_a_judgement_compares_the_answer_with_the_reference(reference: str, score: int) -> None:
    prompt = f"<c>\nIs it right?\n</c>\n<e>\n{reference}\n</e>\n<o>\n42\n</o>\n"
    properties = {"feedback": {"type": "string"}, "score": {"type": "integer", "minimum": 0, "maximum": 10}}
    schema = JsonSchema.of("judgement", {"type": "object", "properties": properties})
    assert orjson.loads(simulated.reply(ask("Grade.", prompt, schema=schema)))["score"] == score
    tagged = simulated.reply(ask("Grade.", f"{prompt}Reply with <why>…</why><mark>0 to 10</mark>."))
    assert tagged.endswith(f"<mark>{score}</mark>")


def test_any_other_schema_is_filled() -> None:
    properties = {"label": {"type": "string", "enum": ["red", "blue"]}, "n": {"type": "integer"}, "free": {}}
    schema = JsonSchema.of("other", {"type": "object", "properties": properties})
    document = orjson.loads(simulated.reply(ask(EXTRACT, "colour: blue", schema=schema)))
    assert document == {"label": "blue", "n": 1, "free": "blue"}


def test_a_choice_is_the_answer_if_it_is_one_else_one_of_them() -> None:
    options = Choices(("Red", "Blue"))
    assert simulated.reply(ask(EXTRACT, "colour: blue", schema=options)) == "Blue"
    assert simulated.reply(ask("Feel.", "a text", schema=options)) in options.options


def test_label_probabilities_sum_to_one() -> None:
    request = ask(EXTRACT, "colour: blue", schema=Choices(("red", "blue")), sampling=Sampling(top_logprobs=5))
    (token,) = simulated.completion_of(request).logprobs
    assert token.token == "blue"
    assert sum(2.718281828459045**logprob for _, logprob in token.alternatives) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("system", "question", "allowed"),
    [
        ("Think.", "Which is it?\nOptions:\n(A) one\n(B) two", ("(A)", "(B)")),
        ("Think.", "Is this plausible?\nOptions:\n- Yes\n- No", ("Yes", "No")),
        ("Answer true or false.", "Is it so?", ("true", "false")),
        ("Think.", "Tom has 12 apples and 7 pears. How many?", ("12", "7")),
        ("Think.", "What a day", ("What a day",)),
        ("", "", ("unknown",)),
    ],
)
def test_a_question_without_known_clauses_gets_an_answer_of_the_right_form(
    system: str, question: str, allowed: tuple[str, ...]
) -> None:
    assert simulated.reply(ask(system, question)) in allowed


def test_facts_are_misread_as_often_as_the_prompts_length_says() -> None:
    page = page_of("\n".join(f"field{number}: value{number}" for number in range(400)))
    sight = Sight(0.3, "seed")
    wrong = sum(before != after for before, after in zip(page, seen(page, sight), strict=True))
    assert 90 <= wrong <= 150
    assert seen(page, Sight.of("any prompt", float("inf"))) == page


def test_a_longer_prompt_is_misread_more_and_never_misreads_one_fact_twice_differently() -> None:
    short, long = Sight.of("x" * 40, 1000), Sight.of("x" * 4000, 1000)
    assert short.chance == pytest.approx(0.00995, abs=1e-4)
    assert long.chance == pytest.approx(0.632, abs=1e-3)
    page = page_of("a: 1\nb: 2\nc: 3")
    assert seen(page, long) == seen(page, long)


def test_tags_that_do_not_close_are_plain_text_and_nesting_is_not_recursive() -> None:
    found, outside = blocks("<a>\nx\n</b>\n<c>\ny\n</c>")
    assert [block.text for block in found] == ["y"]
    assert outside == "<a>\nx\n</b>"
    deep = 3_000
    found, outside = blocks("\n".join([*["<t>"] * deep, "x", *["</t>"] * deep]))
    assert len(found) == 1
    assert outside == ""


def test_replies_are_the_same_whatever_the_hash_seed_of_the_process() -> None:
    program = (
        "import sys, orjson\n"
        "from semprop.providers.simulated import model as simulated\n"
        "from semprop.providers.base import Message, Request\n"
        "for system, user in orjson.loads(sys.stdin.read()):\n"
        "    turns = (Message.of('system', system), Message.of('user', user))\n"
        "    print(simulated.reply(Request(turns), simulated.settings_of('L0=300')))\n"
    )
    lines = '<n of="a" is="keep or change">…</n>\n<n of="b" is="keep or change">…</n>'
    cases = [
        (EXTRACT, "colour: red\nshape: cube\nsize: 3"),
        ("Think.", "Which?\n(A) one\n(B) two\n(C) three"),
        ("Judge.", f"{BACKWARD}{lines}"),
        ("Improve.", f'{UPDATE}\n<p n="1">…</p><p n="2">…</p><p n="3">…</p>'),
    ]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=orjson.dumps(cases),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(outputs) == 1


def test_it_imports_nothing_of_the_engine_and_names_none_of_its_headings() -> None:
    folder = Path(simulated.__file__).parent
    for path in sorted(folder.glob("*.py")):
        text = path.read_text()
        assert "semprop.engine" not in text, path.name
        for heading in (
            "How the output should",
            "The present instruction",
            "You are asked about",
            "<feedback",
            "<case",
        ):
            assert heading not in text, path.name
