"""The desk gives other packages our prompts, our reading, our functions and our metric, and no test example."""

import pytest

from semprop.bench.methods.desk import Desk, check
from semprop.engine import (
    ContentError,
    Custom,
    Exact,
    Example,
    Function,
    Graph,
    Model,
    Number,
    Parameter,
    ReplyFormat,
    Score,
    Specification,
    Splits,
    UsageError,
    semantic,
)
from semprop.engine.parameters import Kind
from semprop.providers import Scripted


def cut(text):
    if text == "bad":
        raise ContentError("it is bad")
    return text[:3]


async def later(text):
    return text + "!"


def graph(**changes):
    answer = changes.pop("answer", Model("answer", "s", ("question", "short"), reply=ReplyFormat.TAGGED))
    function = changes.pop("function", Function("short", cut, {"text": "hint"}))
    return Graph(
        inputs=("question",),
        parameters=[
            Parameter("w", "Hint.", trainable=False),
            Parameter("s", "Solve."),
            Parameter("heat", Number(0.3, 0.0, 1.0)),
        ],
        nodes=[Model("hint", "w", ("question",), numbers={"temperature": "heat"}), function, answer],
        output="answer",
    )


def spec(of=None, loss=Exact()):
    rows = [Example(f"e{number}", {"question": f"q{number}", "more": "m"}, f"a{number}") for number in range(6)]
    splits = Splits(tuple(rows[:2]), tuple(rows[2:4]), tuple(rows[4:]))
    provider = Scripted(lambda request: "x")
    return Specification(
        graph=of or graph(), loss=loss, splits=splits, method=semantic(), providers={"forward": provider}
    )


async def asked(**question):
    return await Desk(spec()).answer(question)


def test_the_order_tells_the_graph_and_the_training_and_gate_inputs_alone():
    order = Desk(spec()).order("gepa", {"forward": "one", "update": "two"}, 7)
    assert (order["peer"], order["seed"], order["update"], order["output"]) == ("gepa", 7, "two", "answer")
    assert order["parameters"] == {"s": "Solve."}
    assert [(node["name"], node["model"], node["inputs"]) for node in order["nodes"]] == [
        ("hint", True, [["question", "question"]]),
        ("short", False, [["text", "hint"]]),
        ("answer", True, [["question", "question"], ["short", "short"]]),
    ]
    assert order["nodes"][0]["fixed"] == "Hint." and order["nodes"][0]["role"] == "one"
    assert order["train"] == [{"id": "e0", "inputs": {"question": "q0"}}, {"id": "e1", "inputs": {"question": "q1"}}]
    told = str(order)
    assert "q3" in told and "q4" not in told and "q5" not in told, "no test example"
    assert "a0" not in told, "answers are told by the metric's words alone"


async def test_a_prompt_is_the_one_that_a_run_would_send():
    inputs = {"question": "q < 1", "short": "two\nlines"}
    found = await asked(do="render", node="answer", instruction="Do it.", inputs=inputs)
    system, user = found["messages"]
    assert system["content"].startswith("Do it.\n\nWork step by step")
    assert user == {"role": "user", "content": 'question: q < 1\n<input name="short">\ntwo\nlines\n</input>'}


@pytest.mark.parametrize(
    ("node", "reply", "value"),
    [("answer", "so <answer> 7 </answer>", "7"), ("answer", "7", None), ("hint", " seven\n", "seven")],
)
async def test_a_reply_is_read_as_in_a_run(node, reply, value):
    assert await asked(do="read", node=node, reply=reply) == {"value": value}


async def test_functions_are_run_here_and_their_faults_are_told_in_words():
    assert await asked(do="run", node="short", inputs={"text": "seven"}) == {"value": "sev"}
    assert await asked(do="run", node="short", inputs={"text": "bad"}) == {
        "value": "[no value: ContentError: it is bad]"
    }
    desk = Desk(spec(graph(function=Function("short", later, {"text": "hint"}))))
    assert await desk.answer({"do": "run", "node": "short", "inputs": {"text": "a"}}) == {"value": "a!"}


@pytest.mark.parametrize(
    ("answer", "score", "words"), [("a1", 1.0, "This output is right."), ("b", 0.0, "The expected output is: a1")]
)
async def test_an_answer_is_scored_by_the_task_s_own_loss(answer, score, words):
    found = await asked(do="score", example="e1", answer=answer, reply="")
    assert found["score"] == score and found["feedback"].startswith(words)


@pytest.mark.parametrize(
    "question",
    [
        {"do": "score", "example": "e5", "answer": "a5", "reply": ""},
        {"do": "render", "node": "nobody", "instruction": "", "inputs": {}},
        {"do": "shell"},
    ],
)
async def test_what_it_does_not_know_is_an_error_a_test_example_too(question):
    assert "error" in await Desk(spec()).answer(question)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda: spec(loss=Custom("own", lambda example, answer: Score(1.0))), "the loss 'own' asks"),
        (lambda: spec(graph(answer=Model("answer", "s", ("question", "short"), choices=("a", "b")))), "constrained"),
        (lambda: spec(graph(function=Function("short", cut, {"text": "hint"}, kind=Kind.NUMBER))), "gives number"),
    ],
)
def test_what_packages_cannot_share_is_refused(changed, words):
    with pytest.raises(UsageError, match=words):
        check(changed())
