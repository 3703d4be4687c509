"""L8: each prompt, reply, message and decision can be listed, and each accepted edit has the chain that caused it."""

import json
from collections import Counter

import pytest
import worlds

from semprop.engine import Run, optimize
from semprop.engine.replies.schemas import proposals_schema
from semprop.providers import Completion, Request


@pytest.fixture
async def recorded(tmp_path):
    """A finished run, its result, and the exchanges that the provider saw."""
    seen = []

    def answer(request):
        text = worlds.script(request)
        seen.append((_turns(request), text))
        return text

    run = tmp_path / "run"
    spec = worlds.specification(
        providers={"forward": worlds.scripted(answer)}, splits=worlds.splits(8, 8, 8), run=run, steps=2, lookahead=1
    )
    result = await optimize(spec)
    return Run(run), result, seen


def answered(run):
    return [entry for entry in run.exchanges() if entry.outcome is not None]


def _turns(request):
    return json.dumps([(message.role, message.text) for message in request.messages])


async def test_every_prompt_and_every_reply_is_listed(recorded):
    run, _, seen = recorded
    listed = {
        json.dumps([(turn["role"], turn["content"]) for turn in entry.request["messages"]]): entry.outcome.text
        for entry in answered(run)
    }
    assert listed == dict(seen)


async def test_every_position_has_its_exchange_also_where_a_call_was_shared(recorded):
    run, result, _ = recorded
    phases = Counter(json.loads(entry.position)[1] for entry in answered(run))
    assert set(phases) == {"forward", "backward", "update", "gate", "test"}
    telemetry = result.telemetry
    counted = Counter(telemetry["calls"]) + Counter(telemetry["reused"])
    # A call that ran ahead may be cut off after it was sent: it is counted, and has no outcome.
    assert phases <= counted
    assert counted.total() - phases.total() == telemetry["failures"].get("unanswered", 0)
    assert all(isinstance(entry.outcome, Completion) for entry in answered(run))
    assert {entry.role for entry in run.exchanges()} == {"forward", "backward", "update"}


async def test_what_ran_ahead_and_was_cut_off_is_listed_without_an_outcome(recorded):
    run, _, _ = recorded
    cut = [json.loads(entry.position) for entry in run.exchanges() if entry.outcome is None]
    assert {position[1] for position in cut} <= {"forward", "gate"}
    used = [entry["example"] for entry in run.decisions("selection", 0)[0].body["scored"]]
    assert not [position for position in cut if position[:2] == [0, "forward"] and position[2] in used]


async def test_an_accepted_edit_leads_back_over_its_verdict_and_its_messages_to_its_examples(recorded):
    run, result, seen = recorded
    ((verdict,), (proposals,)) = (run.decisions(kind, 0) for kind in ("verdict", "proposals"))
    assert verdict.body["decision"] == "accept"
    told = {"before": 0.0, "after": 1.0, "missing": 0, "figures": "search"}
    assert told.items() <= verdict.body["gate"].items()
    (winner,) = [entry for entry in proposals.body["candidates"] if entry["id"] == verdict.body["accepted"]]
    (parameters,) = run.decisions("parameters", 0)
    for edit in winner["edits"]:
        name = edit["parameter"]
        assert parameters.body[name] == edit["after"] == result.parameters[name]
        assert edit["before"] == result.before[name]
        cases = [entry for entry in run.decisions("gradients", 0) if name in entry.body]
        assert cases, "messages asked for this edit"
        for case in cases:
            (message,) = case.body[name]["messages"]
            node = message["from"][0]
            (tape,) = [entry for entry in run.decisions("tape", 0) if entry.name == case.name]
            (record,) = [entry for entry in tape.body["records"] if entry["node"] == node]
            assert message["content"]["output"] == record["reply"]
            shown = [prompt for prompt, text in seen if text == worlds.propose(_asked(1)) and record["reply"] in prompt]
            assert shown, "the update was shown what the step wrote"
        (selection,) = run.decisions("selection", 0)
        assert {case.name for case in cases} <= set(selection.body["wrong"])


def _asked(count):
    return Request((), schema=proposals_schema(count))


async def test_messages_between_nodes_are_traced_from_the_loss_to_the_parameter(recorded):
    run, _, _ = recorded
    gradients = run.decisions("gradients", 0)[0].body
    (seed,) = gradients["answer"]["messages"]
    assert seed["from"] == ["", ""]
    assert seed["content"].startswith("The expected output is: ")
    (advice,) = gradients["hint_1"]["messages"]
    assert advice == {"stance": "change", "from": ["answer", "hint_1"], "content": "say the right number"}
    (case,) = gradients["w1"]["messages"]
    assert case["from"] == ["hint_1", "instruction"]
    assert case["content"]["gradient"] == [advice]


async def test_the_claim_on_held_out_data_is_among_the_decisions(recorded):
    run, result, _ = recorded
    (claim,) = run.decisions("held_out")
    assert claim.body == result.result_document()["held_out"]
