"""The measurement of the proxy, with a program that needs nothing installed: that it runs, and what it counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from semprop.bench.speed import proxying
from semprop.bench.speed.mock import Attempt
from semprop.bench.speed.peers import Peer
from semprop.bench.speed.proxying import Program, most_within
from semprop.bench.speed.rows import Settings, Skipped

ASK = """
import json, os, urllib.request
def answer(question):
    body = {"model": "mock", "messages": [{"role": "user", "content": question}], "temperature": 0}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as response:
        return json.load(response)["choices"][0]["message"]["content"]
def answers(questions):
    return [answer(question) for question in questions]
"""
PROGRAM = Program(Peer("a program", "none", (), "", ""), one=ASK, many=ASK)
PYTHONS = {PROGRAM: Path(sys.executable)}
SMALL = Settings(repetitions=1, scale=0.01)


def attempt(arrived: float) -> Attempt:
    return Attempt(1, "", "", arrived, 1, None, None, 0, 0, None)


def test_the_most_within_any_second_is_that_of_a_true_sliding_window():
    assert most_within([], 1.0) == 0
    assert most_within([attempt(at) for at in (0.0, 0.5, 1.0, 1.4, 1.49, 1.5)], 1.0) == 4
    assert most_within([attempt(float(at)) for at in range(5)], 1.0) == 1


async def test_added_latency_is_measured_for_a_program_that_knows_nothing_of_the_proxy(monkeypatch):
    monkeypatch.setattr(proxying, "LATENCY", 0.001)
    monkeypatch.setattr(proxying, "WARM", 1)
    rows = await proxying._latencies(PYTHONS, SMALL, "")
    assert [row.what.split(", ")[1] for row in rows] == ["memory only: added latency", "journal on disk: added latency"]
    assert all(len(row.samples) == 1 for row in rows)


async def test_equal_calls_and_the_limit_are_counted_in_the_ledger(monkeypatch):
    monkeypatch.setattr(proxying, "QUESTIONS", 100)
    paid, refused, most = await proxying._limits(PYTHONS, Settings(1, 0.05), "")
    assert (paid.value, refused.value) == (1.0, 0)
    assert [row.met for row in (paid, refused, most)] == [True, True, True]


async def test_it_is_skipped_with_the_reason_where_nothing_can_be_installed(monkeypatch):
    async def refuse(peer, home):
        raise Skipped(f"{peer.name} cannot be installed: no network")

    monkeypatch.setattr(proxying, "environment", refuse)
    with pytest.raises(Skipped, match="openai-python cannot be installed: no network; DSPy"):
        await proxying.proxy(SMALL)
