"""Demonstrations alone."""

import worlds

from semprop.engine import Demonstrations, optimize
from semprop.engine.graph_changes import demonstrations_only
from semprop.engine.methods.shots import demonstrations


async def test_solved_examples_become_demonstrations_and_no_text_changes():
    seen = []

    def script(request):
        assert worlds.is_forward(request)
        seen.append(len(request.messages))
        return worlds.solve(request) if len(request.messages) == 2 else "4"

    graph = demonstrations_only(worlds.graph(hints=0))
    spec = worlds.specification(
        graph=graph, method=demonstrations(size=2), providers={"forward": worlds.scripted(script)}, candidates=2
    )
    result = await optimize(spec)
    (step,) = result.steps
    assert len(step.proposals.candidates) == 2
    for entry in step.proposals.candidates:
        (edit,) = entry.edits
        assert edit.parameter == "answer-demonstrations"
        assert isinstance(edit.after, Demonstrations)
        assert [turn.output for turn in edit.after.turns] and len(edit.after.turns) <= 2
    assert max(seen) == 6


async def test_where_nothing_can_be_shown_nothing_is_proposed():
    graph = demonstrations_only(worlds.graph(hints=0))
    context = worlds.context(graph)
    assert worlds.run_plan(demonstrations().update(context), worlds.Answers()).candidates == ()
