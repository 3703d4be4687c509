"""A task that a model judges, from the command line: what its gain is called, with and without the user's grades."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from aiohttp import web
from commandline import Command, Serve, completion

TASK = """
name = "kind"
data = "rows.jsonl"
inputs = ["letter"]
loss = "judge"

[[node]]
name = "reply"
instruction = "Answer the letter."
inputs = ["letter"]
sampling = { max_tokens = 50 }

[sizes]
train = 10
gate = 10
test = 40

[defaults]
method = "clauses"
steps = 1
candidates = 2

[clauses]
reply_instruction = [["Answer the letter."], ["", "Be kind."]]
"""


async def answer(request: web.Request) -> web.StreamResponse:
    """Is kind if told to; as a judge it likes kindness."""
    body = await request.json()
    told = "\n".join(message["content"] for message in body["messages"])
    if "You grade an answer" not in told:
        return completion("Dear friend" if "Be kind" in told else "Hello")
    score = 10 if "Dear friend" in told else 0
    if body.get("response_format"):
        return completion(orjson.dumps({"feedback": "f", "score": score}).decode())
    return completion(f"<feedback>f</feedback><score>{score}</score>")


@pytest.fixture
def files(command: Command) -> Path:
    rows = [orjson.dumps({"letter": f"letter {number}"}).decode() for number in range(200)]
    Path("rows.jsonl").write_text("\n".join(rows))
    Path("kind.toml").write_text(TASK)
    labels = [{"letter": f"l{number}", "answer": "Dear friend", "label": number != 0} for number in range(30)]
    Path("labels.jsonl").write_text("\n".join(orjson.dumps(label).decode() for label in labels))
    return Path("labels.jsonl")


def test_a_gain_that_only_a_judge_has_seen_is_called_so(command: Command, serve: Serve, files: Path) -> None:
    said = command("optimize", "kind.toml", "--forward", serve(answer))
    assert said.code == 0, said.err
    assert "kind: gain as seen by the judge, on held-out data" in said.out
    assert "no labels of yours to check it by" in said.out


def test_thirty_grades_of_the_users_make_it_a_reliable_gain(command: Command, serve: Serve, files: Path) -> None:
    said = command("optimize", "kind.toml", "--forward", serve(answer), "--judge-labels", str(files))
    assert said.code == 0, said.err
    assert "kind: a reliable gain on held-out data" in said.out
    assert "agrees with 29 of 30 labels of yours (96.7 %)" in said.out


def test_grades_without_a_judge_are_refused(command: Command, serve: Serve, files: Path) -> None:
    Path("kind.toml").write_text(
        TASK.replace('"judge"', '"contains"').replace(
            'inputs = ["letter"]\nloss', 'inputs = ["letter"]\nexpected = "letter"\nloss'
        )
    )
    said = command("optimize", "kind.toml", "--forward", serve(answer), "--judge-labels", str(files), "--json")
    assert said.code == 2
    assert "is no judge" in said.document["error"]["message"]
