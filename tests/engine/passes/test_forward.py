"""Forward: one example through a graph → a tape."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from semprop.engine import (
    ContentError,
    Demonstration,
    Demonstrations,
    Example,
    Failure,
    FailureKind,
    Function,
    Graph,
    Model,
    Number,
    Parameter,
    Position,
    ReplyFormat,
    Tape,
    Truncation,
    fan,
    layered,
)
from semprop.engine.nodes import Node, Placement
from semprop.engine.parameters import Kind
from semprop.engine.passes.forward import forward, run_node, wiring
from semprop.engine.scheduler import group
from semprop.providers import Scripted, VirtualClock
from semprop.providers.base import Completion, Message, Request, Sampling, Stop
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure

Direct = Callable[[Scripted], Any]
AT = Position(3, "forward", "e1")
EXAMPLE = Example("e1", {"question": "What is 1 + 1?"}, "2")


def echo(request: Request) -> str:
    return f"{request.messages[0].text}({request.messages[-1].text})"


def one_node(node: Node, *parameters: Parameter) -> Graph:
    return Graph(
        inputs=("question",), parameters=parameters or (Parameter("told", "Do it."),), nodes=[node], output=node.name
    )


async def ran(graph: Graph, seam: Any, example: Example = EXAMPLE) -> Tape:
    async with group() as start:
        return await forward(wiring(graph), graph.initial, example, AT, seam, start)


def model(**options: Any) -> Model:
    return Model("answer", "told", ("question",), **options)


# When nodes start ----------------------------------------------------------------------------------------------------


async def timed(graph: Graph, direct: Direct) -> float:
    clock = VirtualClock()
    await ran(graph, direct(Scripted(echo, latency=1.0, clock=clock)))
    return clock.now()


def test_a_graph_is_a_chain_if_each_node_waits_for_the_one_before_it() -> None:
    assert wiring(layered([["1"], ["2"], ["3"]])).is_chain
    assert wiring(one_node(model())).is_chain
    assert not wiring(layered([["root"], ["left", "right"], ["join"]])).is_chain
    assert not wiring(fan(["left", "right"], "join")).is_chain


async def test_a_diamond_takes_two_latencies_after_its_root(direct: Direct) -> None:
    assert await timed(layered([["root"], ["left", "right"], ["join"]]), direct) == 3.0
    assert await timed(fan(["left", "right"], "join"), direct) == 2.0


async def test_a_fan_of_five_takes_the_time_of_one(direct: Direct) -> None:
    assert await timed(fan(["1", "2", "3", "4", "5"], "join"), direct) == 2.0


async def test_a_node_does_not_wait_for_what_it_does_not_read(direct: Direct) -> None:
    clock = VirtualClock()
    began: dict[str, float] = {}

    def script(request: Request) -> str:
        began[request.messages[0].text] = clock.now()
        return "x"

    def latency(request: Request) -> float:
        return 10.0 if request.messages[0].text == "slow" else 1.0

    told = {"slow": ("question",), "quick": ("question",), "after": ("quick",), "join": ("slow", "after")}
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter(f"t_{name}", name) for name in told],
        nodes=[Model(name, f"t_{name}", inputs) for name, inputs in told.items()],
        output="join",
    )
    await ran(graph, direct(Scripted(script, latency=latency, clock=clock)))
    assert began == {"quick": 1.0, "after": 2.0, "slow": 10.0, "join": 11.0}


async def test_records_stand_in_topological_order_whatever_finished_first(direct: Direct) -> None:
    graph = fan(["a", "b", "c"], "join")
    for latencies in ({"a": 3.0, "b": 1.0, "c": 2.0}, {"a": 1.0, "b": 2.0, "c": 3.0}):
        scripted = Scripted(echo, latency=lambda r, known=latencies: known.get(r.messages[0].text, 1.0))
        tape = await ran(graph, direct(scripted))
        assert [record.name for record in tape.records] == ["branch_1", "branch_2", "branch_3", "answer"]


# What a tape holds ---------------------------------------------------------------------------------------------------


async def test_a_record_holds_what_entered_each_slot_and_what_came_out(direct: Direct) -> None:
    seam = direct(Scripted(echo))
    tape = await ran(one_node(model()), seam)
    record = tape.record("answer")
    assert record is not None
    assert [(slot.name, slot.source, slot.value) for slot in record.slots] == [
        ("instruction", "told", "Do it."),
        ("question", "question", "What is 1 + 1?"),
    ]
    assert tape.answer == record.reply == "Do it.(What is 1 + 1?)"
    assert tape.parameters == one_node(model()).initial.hash
    assert seam.asked == [Position(3, "forward", "e1", node="answer")]


async def test_a_variable_may_enter_a_node_twice(direct: Direct) -> None:
    node = Model("answer", "told", {"left": "question", "right": "question"})
    tape = await ran(one_node(node), direct(Scripted(echo)))
    assert tape.answer == "Do it.(left: What is 1 + 1?\nright: What is 1 + 1?)"


async def test_one_parameter_steers_several_nodes(direct: Direct) -> None:
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("told", "Do it.")],
        nodes=[Model("first", "told", ("question",)), Model("answer", "told", ("first",))],
        output="answer",
    )
    tape = await ran(graph, direct(Scripted(echo)))
    assert tape.answer == "Do it.(Do it.(What is 1 + 1?))"


async def test_the_role_of_a_node_names_its_provider(direct: Direct) -> None:
    seam = direct(Scripted(echo))
    await ran(one_node(model(role="expert")), seam)
    assert seam.roles == ["expert"]


async def test_who_draws_is_part_of_the_request_and_so_is_the_sample(direct: Direct) -> None:
    scripted = Scripted(echo)
    graph = one_node(model())
    slots = (await ran(graph, direct(scripted))).records[0].slots
    await run_node(graph.nodes[0], slots, "e1", Position(0, "update", sample=4), direct(scripted))
    assert [(request.draw, request.sample) for request in scripted.requests] == [("answer|e1", 0), ("answer|e1", 4)]


# Numbers and demonstrations ------------------------------------------------------------------------------------------


async def test_a_number_bound_to_a_sampling_field_reaches_the_request_and_not_the_prompt(direct: Direct) -> None:
    scripted = Scripted(echo)
    node = model(numbers={"temperature": "heat", "top_p": "share"}, sampling=Sampling(max_tokens=7))
    told = Parameter("told", "Do it.")
    graph = one_node(node, told, Parameter("heat", Number(0.7, 0, 2)), Parameter("share", Number(0.5, 0, 1)))
    await ran(graph, direct(scripted))
    assert scripted.requests[0].sampling == Sampling(temperature=0.7, top_p=0.5, max_tokens=7)
    assert "0.7" not in "".join(message.text for message in scripted.requests[0].messages)


async def test_a_number_as_an_ordinary_input_is_shown(direct: Direct) -> None:
    scripted = Scripted(echo)
    node = Model("answer", "told", ("question", "count"))
    graph = one_node(node, Parameter("told", "Do it."), Parameter("count", Number(3)))
    await ran(graph, direct(scripted))
    assert scripted.requests[0].messages[-1].text.endswith("count: 3")


DEMONSTRATIONS = Demonstrations(
    (
        Demonstration((("question", "What is 2 + 2?"),), "4", "e2"),
        Demonstration((("question", "What is 1 + 1?"),), "2", "e1"),
    )
)


async def test_demonstrations_are_chat_turns_and_never_shown_to_the_example_they_came_from(direct: Direct) -> None:
    scripted = Scripted(echo)
    graph = one_node(model(demonstrations="shown"), Parameter("told", "Do it."), Parameter("shown", DEMONSTRATIONS))
    await ran(graph, direct(scripted))
    assert [(message.role, message.text) for message in scripted.requests[0].messages] == [
        ("system", "Do it."),
        ("user", "What is 2 + 2?"),
        ("assistant", "4"),
        ("user", "What is 1 + 1?"),
    ]


async def test_an_instruction_can_stand_before_each_question(direct: Direct) -> None:
    scripted = Scripted(lambda request: "<answer>2</answer>")
    node = model(demonstrations="shown", placement=Placement.USER, reply=ReplyFormat.TAGGED)
    await ran(one_node(node, Parameter("told", "Do it."), Parameter("shown", DEMONSTRATIONS)), direct(scripted))
    first, second, third = scripted.requests[0].messages
    assert first.text.startswith("Do it.") and first.text.endswith("What is 2 + 2?")
    assert second == Message.of("assistant", "<answer>4</answer>")
    assert third.text.startswith("Do it.") and third.text.endswith("What is 1 + 1?")


# Replies -------------------------------------------------------------------------------------------------------------


def completion(text: str, stop: Stop = Stop.END) -> Completion:
    return Completion(text, stop)


async def valued(direct: Direct, node: Model, *answers: Any) -> tuple[Any, Scripted]:
    scripted = Scripted(list(answers))
    tape = await ran(one_node(node), direct(scripted))
    return tape.records[0].value, scripted


TAGGED = model(reply=ReplyFormat.TAGGED)


async def test_a_whole_reply_is_stripped_and_passed_on(direct: Direct) -> None:
    assert (await valued(direct, model(), " 2 \n"))[0] == "2"


async def test_of_a_tagged_reply_only_the_answer_is_passed_on_and_the_whole_is_kept(direct: Direct) -> None:
    tape = await ran(one_node(TAGGED), direct(Scripted(["Two, since … <answer> 2 </answer>"])))
    assert tape.answer == "2"
    assert tape.records[0].reply == "Two, since … <answer> 2 </answer>"


async def test_a_tagged_reply_without_answer_is_asked_once_more_with_the_complaint(direct: Direct) -> None:
    scripted = Scripted(["It is two.", "<answer>2</answer>"])
    seam = direct(scripted)
    tape = await ran(one_node(TAGGED), seam)
    assert tape.answer == "2"
    *_, said, asked = scripted.requests[1].messages
    assert said == Message.of("assistant", "It is two.")
    assert asked.role == "user" and "<answer>" in asked.text
    assert [position.slot for position in seam.asked] == ["", "repair"]


async def test_a_reply_that_is_unreadable_twice_is_a_model_failure(direct: Direct) -> None:
    value, scripted = await valued(direct, TAGGED, "It is two.", "Two!")
    assert isinstance(value, Failure)
    assert (value.kind, value.text, len(scripted.requests)) == (FailureKind.UNPARSEABLE, "Two!", 2)


async def test_a_repair_that_a_provider_fails_is_a_provider_failure(direct: Direct) -> None:
    value, _ = await valued(direct, TAGGED, "It is two.", ProviderFailure("gone", ErrorClass.TRANSIENT))
    assert isinstance(value, Failure)
    assert not value.is_model_failure


@pytest.mark.parametrize(("stop", "kind"), [(Stop.FILTER, FailureKind.FILTER), (Stop.REFUSAL, FailureKind.REFUSAL)])
async def test_a_stopped_reply_fails_even_with_text(direct: Direct, stop: Stop, kind: FailureKind) -> None:
    value, scripted = await valued(direct, TAGGED, completion("<answer>2</answer>", stop))
    assert isinstance(value, Failure)
    assert (value.kind, len(scripted.requests)) == (kind, 1)


@pytest.mark.parametrize(
    ("error_class", "kind"),
    [
        (ErrorClass.CONTEXT, FailureKind.CONTEXT),
        (ErrorClass.FILTER, FailureKind.FILTER),
        (ErrorClass.REFUSAL, FailureKind.REFUSAL),
        (ErrorClass.TRANSIENT, FailureKind.TRANSPORT),
    ],
)
async def test_a_refused_request_is_a_failure_of_its_class(
    direct: Direct, error_class: ErrorClass, kind: FailureKind
) -> None:
    value, _ = await valued(direct, model(), ItemError("why", error_class))
    assert isinstance(value, Failure)
    assert value.kind is kind


async def test_a_reply_cut_at_its_limit_fails_unless_the_node_keeps_it(direct: Direct) -> None:
    cut = completion("It is tw", Stop.LENGTH)
    value, _ = await valued(direct, model(sampling=Sampling(max_tokens=3)), cut)
    assert isinstance(value, Failure)
    assert (value.kind, value.text) == (FailureKind.TRUNCATED, "It is tw")
    assert "3 tokens" in value.message
    assert (await valued(direct, model(truncation=Truncation.KEEP), cut))[0] == "It is tw"


async def test_a_tagged_reply_cut_after_its_answer_has_an_answer(direct: Direct) -> None:
    value, scripted = await valued(direct, TAGGED, completion("<answer>2</answer> because", Stop.LENGTH))
    assert (value, len(scripted.requests)) == ("2", 1)


async def test_a_tagged_reply_cut_before_its_answer_is_truncated_and_not_asked_again(direct: Direct) -> None:
    value, scripted = await valued(direct, TAGGED, completion("I think <answer>2", Stop.LENGTH))
    assert isinstance(value, Failure)
    assert (value.kind, len(scripted.requests)) == (FailureKind.TRUNCATED, 1)
    kept = model(reply=ReplyFormat.TAGGED, truncation=Truncation.KEEP)
    value, _ = await valued(direct, kept, completion("I think <answer>2", Stop.LENGTH))
    assert isinstance(value, Failure), "what is kept of a cut reply is never taken for its answer"


async def test_nodes_after_a_failure_do_not_run_and_others_do(direct: Direct) -> None:
    def script(request: Request) -> Any:
        return ItemError("no", ErrorClass.FILTER) if request.messages[0].text == "bad" else "fine"

    tape = await ran(fan(["bad", "good"], "join"), direct(Scripted(script)))
    assert [record.name for record in tape.records] == ["branch_1", "branch_2"]
    assert tape.answer is None
    assert tape.failure is not None and tape.failure.kind is FailureKind.FILTER


# Functions -----------------------------------------------------------------------------------------------------------


async def called(direct: Direct, call: Callable[..., Any], **options: Any) -> Tape:
    node = Function("answer", call, ("question", "count"), kind=Kind.TEXT, **options)
    graph = Graph(inputs=("question",), parameters=[Parameter("count", Number(2, 0, 9))], nodes=[node], output="answer")
    return await ran(graph, direct(Scripted([])))


async def test_a_function_is_called_with_its_slots_and_a_number_as_a_plain_float(direct: Direct) -> None:
    assert (await called(direct, lambda question, count: [question, count])).answer == ["What is 1 + 1?", 2.0]


async def test_an_async_function_is_awaited(direct: Direct) -> None:
    async def call(question: str, count: float) -> str:
        await asyncio.sleep(0)
        return question * int(count)

    assert (await called(direct, call)).answer == "What is 1 + 1?" * 2


async def test_a_blocking_function_runs_off_the_loop(direct: Direct) -> None:
    def call(question: str, count: float) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert (await called(direct, call)).answer is True
    assert (await called(direct, call, blocking=True)).answer is False


async def test_content_that_a_function_cannot_use_is_a_model_failure_and_any_other_error_excludes(
    direct: Direct,
) -> None:
    def picky(question: str, count: float) -> str:
        raise ContentError("there is no date in it")

    def broken(question: str, count: float) -> float:
        return 1 / (count - 2)

    failure = (await called(direct, picky)).failure
    assert failure is not None and (failure.kind, failure.message) == (FailureKind.CONTENT, "there is no date in it")
    failure = (await called(direct, broken)).failure
    assert failure is not None and not failure.is_model_failure


async def test_a_chain_of_functions_passes_any_object(direct: Direct) -> None:
    def parse(question: str) -> Mapping[str, Sequence[int]]:
        return {"numbers": [int(part) for part in question.split() if part.isdigit()]}

    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("count", Number(2), trainable=False)],
        nodes=[
            Function("parsed", parse, ("question",), kind=Kind.OPAQUE),
            Function("answer", lambda parsed, count: sum(parsed["numbers"]) * count, ("parsed", "count")),
        ],
        output="answer",
    )
    assert (await ran(graph, direct(Scripted([])), Example("e", {"question": "3 and 4"}))).answer == 14.0
