"""Sentences that know nothing of a task."""

from semprop.bench import cities, gsm8k
from semprop.bench.diagnosis.wording import drawn_from, format_line, variants, with_format, worked_examples
from semprop.engine import Exact, Example, Function, Graph, Model, MultipleChoice, Numeric, Parameter


def graph(max_bytes=8_000):
    return Graph(
        inputs=("question",),
        parameters=(Parameter("w", "Work."), Parameter("s", "Solve.", max_bytes=max_bytes)),
        nodes=(Model("hint", "w", ("question",)), Model("answer", "s", ("question", "hint"))),
        output="answer",
    )


ROWS = (Example("a", {"question": "1 + 1"}, "2"), Example("b", {"question": "2 + 2"}, "4"))


def test_the_line_on_the_form_follows_labels_and_loss():
    assert format_line(Exact(), ("Yes", "No")) == "Answer with exactly one of these and nothing else: Yes, No."
    assert format_line(Numeric(), ()) == "Answer with the number only."
    assert format_line(MultipleChoice(), ()).startswith("Answer with the letter")
    assert format_line(Exact(), ()) == "Write the answer only, and nothing else."


def test_advice_goes_to_every_instruction_and_form_and_examples_to_the_last():
    of = graph()
    found = {variant.name: variant.parameters for variant in variants(of, of.initial, Numeric(), (), ROWS)}
    assert list(found) == ["step by step", "careful", "brief", "format line", "4 worked examples"]
    assert dict(found["step by step"]) == {"w": "Work.\nThink step by step.", "s": "Solve.\nThink step by step."}
    assert found["format line"]["w"] == "Work."
    assert found["4 worked examples"]["s"].endswith(
        "Examples:\n\nquestion: 1 + 1\nanswer: 2\n\nquestion: 2 + 2\nanswer: 4"
    )


def test_an_instruction_that_is_full_takes_no_line():
    of = graph(max_bytes=10)
    assert variants(of, of.initial, Numeric(), (), ROWS) == ()
    assert with_format(of, of.initial, Numeric(), ()) is None


def test_an_output_that_is_no_models_takes_no_line():
    of = Graph(
        inputs=("question",),
        parameters=(Parameter("w", "Work."),),
        nodes=(Model("hint", "w", ("question",)), Function("answer", str, ("hint",))),
        output="answer",
    )
    assert with_format(of, of.initial, Numeric(), ()) is None
    assert [variant.name for variant in variants(of, of.initial, Numeric(), (), ROWS)] == [
        "step by step",
        "careful",
        "brief",
    ]


def test_unlabelled_examples_are_not_shown():
    assert worked_examples([Example("a", {"question": "x"})]) == ""


def test_other_wordings_come_out_of_the_clauses_by_the_seed():
    start = gsm8k.TASK.graph.initial
    found = drawn_from(gsm8k.TASK.clauses, start, 0)
    assert found == drawn_from(gsm8k.TASK.clauses, start, 0)
    assert set(found) <= set(start)
    assert all(text != start[name] for name, text in found.items())
    assert drawn_from(cities.TASK.clauses, cities.TASK.graph.initial, 0)
