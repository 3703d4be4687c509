"""Decisions as JSON data: nothing that was decided is left out, and everything can be written."""

import json

import numpy as np
import worlds

from semprop.engine import Evidence, Failure, FailureKind, NoGate, Number, Score, semantic
from semprop.engine.gradients import Gradient, Provenance, change, keep, lost
from semprop.engine.method import Dropped, Edit, Proposals, Scored, candidate
from semprop.engine.parameters import Kind
from semprop.engine.training.documents import (
    gradients_document,
    message_document,
    proposals_document,
    selection_document,
    tape_document,
    verdict_document,
)
from semprop.engine.training.step import Selected
from semprop.engine.training.trainer import Trainer

GRAPH = worlds.graph(hints=1)
SOURCE = Provenance("e1", "answer", "hint_1")


def written(document):
    return json.loads(json.dumps(document))


def test_a_tape_is_shown_with_every_slot_value_and_reply():
    tape = worlds.tape(GRAPH, worlds.example(1), {"hint_1": "4", "answer": "4"})
    document = written(tape_document(tape))
    assert document["inputs"] == {"question": "What is 1 plus 3?"}
    assert document["expected"] == "4"
    hint, answer = document["records"]
    assert hint["slots"] == [
        ["instruction", "w1", "instruction", "Work out a step."],
        ["question", "question", "input", "What is 1 plus 3?"],
    ]
    assert (answer["node"], answer["value"], answer["reply"]) == ("answer", "4", "4")


def test_a_failure_on_a_tape_is_shown_as_one():
    tape = worlds.tape(GRAPH, worlds.example(1), {"hint_1": Failure(FailureKind.REFUSAL, "no")})
    assert tape_document(tape)["records"][0]["value"] == "[no value: the model refused]"


def test_messages_are_shown_with_stance_origin_and_content():
    assert message_document(keep(SOURCE)) == {"stance": "keep", "from": ["answer", "hint_1"], "content": None}
    assert message_document(change("say 5", SOURCE))["content"] == "say 5"
    assert message_document(change(0.5, SOURCE))["content"] == 0.5
    assert message_document(lost(SOURCE, "gone")) == {"stance": "lost", "from": ["answer", "hint_1"], "content": "gone"}
    assert message_document(change(np.array([1.0]), SOURCE))["content"] == [1.0]


def test_evidence_is_shown_in_full_with_the_gradient_behind_it():
    case = Evidence("answer", (("question", "?"),), "6", worlds.gradient("be 7"))
    content = written(message_document(change(case, SOURCE)))["content"]
    assert (content["node"], content["inputs"], content["output"]) == ("answer", [["question", "?"]], "6")
    assert content["gradient"][0]["content"] == "be 7"
    solved = Evidence("answer", (), "6", None)
    assert message_document(change(solved, SOURCE))["content"]["gradient"] == []


def test_gradients_are_shown_by_variable_with_their_stance():
    gradient = Gradient("hint_1", Kind.TEXT, (keep(SOURCE), change("x", SOURCE)))
    document = gradients_document({"hint_1": gradient})["hint_1"]
    assert (document["kind"], document["stance"], len(document["messages"])) == ("text", "change", 2)


def test_a_selection_shows_every_example_that_was_looked_at():
    done = Scored(worlds.tape(GRAPH, worlds.example(1), {"hint_1": "4", "answer": "4"}), Score(1.0, "", 1.0))
    broken = Scored(worlds.tape(GRAPH, worlds.example(2), {"hint_1": "4"}), Score(0.0, "no answer"))
    document = selection_document(Selected((done, broken), (broken,), (done,), ("e7", "e8", "e9")))
    assert [entry["answer"] for entry in document["scored"]] == ["4", None]
    assert [entry["score"] for entry in document["scored"]] == [1.0, 0.0]
    assert document["scored"][1]["feedback"] == "no answer"
    assert (document["wrong"], document["solved"], document["missing"]) == (["e2"], ["e1"], 3)


def test_proposals_are_shown_with_before_after_and_reason_and_what_was_dropped():
    of = worlds.context(GRAPH).parameters
    entry = candidate(of, (Edit("s", of["s"], "new", "proposal 1"),))
    document = proposals_document(Proposals((entry,), (Dropped("w1", "it is empty", " "),)))
    assert document["candidates"] == [
        {
            "id": entry.id,
            "edits": [{"parameter": "s", "before": "Solve the problem.", "after": "new", "reason": "proposal 1"}],
        }
    ]
    assert document["dropped"] == [{"parameter": "w1", "reason": "it is empty", "text": " "}]


async def one_step(**changes):
    async with Trainer(worlds.specification(**changes)) as trainer:
        return await anext(trainer)


async def test_a_verdict_names_the_candidate_that_won():
    step = await one_step(method=semantic(gate=NoGate()))
    document = verdict_document(step)
    assert document["decision"] == "accept"
    assert document["accepted"] == step.proposals.candidates[0].id
    assert document["parameters"] == step.after.hash
    nothing = {"before": None, "after": None, "alpha": None, "p": None, "wealth": None}
    assert document["gate"] == {**nothing, "n": 0, "missing": 0, "figures": "search"}


async def test_a_step_without_a_verdict_says_no_proposal():
    def answer(request):
        return "?" if worlds.is_update(request) else worlds.script(request)

    document = verdict_document(await one_step(providers={"forward": worlds.scripted(answer)}))
    assert (document["decision"], document["gate"], document["accepted"]) == ("no proposal", None, None)


def test_numbers_are_shown_as_people_write_them():
    node = GRAPH.node("hint_1")
    record = worlds.record(node, 0.1 + 0.2, instruction=Number(0.5))
    tape = worlds.Tape(worlds.example(1), "", (record,), "answer")
    shown = tape_document(tape)["records"][0]
    assert (shown["value"], shown["slots"][0][3]) == ("0.3", "0.5")
