"""An optimized graph in production: called like a function, and plain about what it cannot do."""

import asyncio
import threading

import pytest
import worlds

from semprop.engine import (
    ContentError,
    FailureKind,
    Function,
    Graph,
    GraphError,
    Model,
    NoAnswer,
    Parameter,
    Program,
    ReplyFormat,
    SpecificationError,
    load,
    optimize,
)
from semprop.engine.errors import RunError
from semprop.providers import ErrorClass, ItemError, ProviderFailure, StopError

QUESTION = {"question": "What is 2 plus 5?"}


def program(*nodes, output=None):
    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Say the sum.")],
        nodes=nodes or [Model("answer", "s", ("question",))],
        output=output or "answer",
    )
    return Program(graph, graph.initial)


async def test_it_is_called_with_inputs_and_a_provider():
    async with worlds.scripted() as provider:
        assert await program()(QUESTION, provider) == "7"


async def test_a_missing_input_is_named():
    with pytest.raises(SpecificationError, match="input 'question' is missing; the graph reads question"):
        await program()({"query": "?"}, worlds.scripted())


async def test_roles_have_providers_of_their_own_and_forward_answers_for_the_rest():
    draft = Model("draft", "s", ("question",), role="expert")
    call = program(draft, Model("answer", "s", ("draft",)))
    expert, plain = worlds.scripted(["from the expert"]), worlds.scripted(["from the rest"])
    assert await call(QUESTION, {"expert": expert, "forward": plain}) == "from the rest"
    assert (len(expert.requests), len(plain.requests)) == (1, 1)
    both = worlds.scripted(["a", "b"])
    assert await call(QUESTION, {"forward": both}) == "b"


async def test_no_provider_for_forward_is_needed_where_no_node_has_that_role():
    call = program(Model("answer", "s", ("question",), role="expert"))
    assert await call(QUESTION, {"expert": worlds.scripted(["7"])}) == "7"


async def test_a_role_that_nobody_plays_is_named():
    with pytest.raises(
        SpecificationError, match="node 'answer' is answered by the role 'forward', which has no provider"
    ):
        await program()(QUESTION, {"expert": worlds.scripted()})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ItemError("filtered", ErrorClass.FILTER), FailureKind.FILTER),
        (ProviderFailure("busy", ErrorClass.OVERLOAD), FailureKind.OVERLOADED),
    ],
)
async def test_a_model_that_fails_is_no_answer_with_the_reason(error, kind):
    with pytest.raises(NoAnswer, match=f"no answer \\({kind}\\): {error}") as caught:
        await program()(QUESTION, worlds.scripted([error]))
    assert caught.value.failure.kind is kind
    assert isinstance(caught.value, RunError)


async def test_a_stopped_provider_is_raised_as_it_is():
    with pytest.raises(StopError, match="no such key"):
        await program()(QUESTION, worlds.scripted([StopError("no such key", ErrorClass.AUTH)]))


async def test_a_tagged_reply_is_repaired_in_production_too():
    call = program(Model("answer", "s", ("question",), reply=ReplyFormat.TAGGED))
    provider = worlds.scripted(["seven, I think", "<answer>7</answer>"])
    assert await call(QUESTION, provider) == "7"
    assert "could not be read" in provider.requests[1].messages[-1].text


async def test_a_reply_that_stays_unreadable_is_no_answer():
    call = program(Model("answer", "s", ("question",), reply=ReplyFormat.TAGGED))
    with pytest.raises(NoAnswer, match="unparseable"):
        await call(QUESTION, worlds.scripted(["seven", "still seven"]))


def with_function(call, **options):
    return program(Model("draft", "s", ("question",)), Function("answer", call, ("draft",), **options))


async def test_functions_run_sync_async_and_blocking():
    async def later(draft):
        return draft + "!"

    def where(draft):
        return f"{draft} {threading.get_ident() != here}"

    here = threading.get_ident()
    assert await with_function(later)(QUESTION, worlds.scripted(["yes"])) == "yes!"
    assert await with_function(where, blocking=True)(QUESTION, worlds.scripted(["yes"])) == "yes True"
    assert await with_function(where)(QUESTION, worlds.scripted(["yes"])) == "yes False"


async def test_content_that_a_function_cannot_use_is_no_answer():
    def picky(draft):
        raise ContentError("no number in it")

    with pytest.raises(NoAnswer, match="no number in it"):
        await with_function(picky)(QUESTION, worlds.scripted(["x"]))


async def test_a_function_that_raises_is_no_answer_and_the_error_is_its_cause():
    def broken(draft):
        raise KeyError("k")

    with pytest.raises(NoAnswer, match="answer raised KeyError: 'k'") as caught:
        await with_function(broken)(QUESTION, worlds.scripted(["x"]))
    assert caught.value.failure.kind is FailureKind.FUNCTION
    assert isinstance(caught.value.__cause__, KeyError)


async def test_errors_that_a_function_means_for_the_caller_pass_through():
    def strict(draft):
        raise SpecificationError("mine")

    with pytest.raises(SpecificationError, match="mine"):
        await with_function(strict)(QUESTION, worlds.scripted(["x"]))


async def test_a_loaded_run_is_the_graph_under_its_best_parameters(tmp_path):
    result = await optimize(worlds.specification(run=tmp_path / "run", splits=worlds.splits(8, 8, 8)))
    call = load(tmp_path / "run")
    assert call.parameters == result.parameters
    async with worlds.scripted() as provider:
        answers = await asyncio.gather(*(call({"question": f"What is {n} plus 1?"}, provider) for n in range(5)))
    assert answers == [str(n + 1) for n in range(5)]


async def test_a_graph_with_functions_is_loaded_with_them(tmp_path):
    def strip(draft):
        return draft.strip()

    graph = with_function(strip, pure=True).graph
    await optimize(worlds.specification(run=tmp_path / "run", graph=graph))
    with pytest.raises(GraphError, match="answer"):
        load(tmp_path / "run")
    call = load(tmp_path / "run", functions={"answer": strip})
    assert await call(QUESTION, worlds.scripted([" yes "])) == "yes"
