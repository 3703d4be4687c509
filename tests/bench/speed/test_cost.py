"""Costs of calls: what is sent is what is said, every call is made once, and means are by the call."""

from __future__ import annotations

from semprop.bench.speed.bare import Spent, bare_loop
from semprop.bench.speed.bodies import BYTES, prose
from semprop.bench.speed.cost import ENDPOINT, ROUNDS, Tally, cpu, engine, mean, rounds
from semprop.bench.speed.mock import mock
from semprop.bench.speed.rows import Settings
from semprop.bench.speed.workload import NODES, Immediate, Store, same_body, through_engine
from semprop.providers import connect

FAST = {**ENDPOINT, "latency": {"first": 0.0}}


def test_texts_have_the_size_that_they_are_asked_for() -> None:
    for size in (10, 400, BYTES):
        assert size - 3 <= len(prose(1, size).encode()) <= size
    assert prose(1) == prose(1) != prose(2)
    assert '"' in prose(1) and "\n" in prose(1) and not prose(1).isascii()


def test_costs_are_by_the_call() -> None:
    spent = Spent(calls=4, cpu=2.0, wall=6.0)
    assert (spent.cpu_per_call, spent.wall_per_call) == (0.5, 1.5)


def test_several_runs_count_by_their_calls() -> None:
    assert mean([Spent(1, 3.0, 0.0), Spent(3, 1.0, 0.0)]) == 1.0


def test_a_tally_keeps_samples_in_order_and_says_their_median() -> None:
    tally = Tally()
    for value in (3e-6, 1e-6, 2e-6):
        tally.add("bare", value)
    assert tally["bare"] == [3e-6, 1e-6, 2e-6]
    assert tally.micro("bare") == "2 µs"


def test_at_full_size_every_place_in_flight_makes_so_many_calls() -> None:
    assert rounds(Settings(), 128) == (ROUNDS * 128, 128)
    assert rounds(Settings(scale=0.01), 128) == (26, 13)


async def test_the_bare_loop_and_the_engine_send_bodies_of_the_same_size_and_each_call_once() -> None:
    body = await same_body("any")
    async with mock(FAST, Settings()) as endpoint:
        spent = await bare_loop(endpoint.url, body, 9, 4)
        assert spent.calls == 9
        bare = await endpoint.ledger()
        for store in Store:
            await endpoint.reset()
            subject = await through_engine(connect(f"openai:any@{endpoint.url}", in_flight=4), 9, 4, store)
            attempts = await endpoint.ledger()
            assert subject.calls == len(attempts) == len({entry.key for entry in attempts}) == 9
            assert all(entry.is_answered for entry in attempts)
            sizes = [sum(entry.input for entry in entries) / len(entries) for entries in (bare, attempts)]
            assert abs(sizes[0] / sizes[1] - 1) < 0.02
    assert len(bare) == len({entry.key for entry in bare}) == 9


async def test_calls_are_rounded_up_to_whole_examples() -> None:
    provider = Immediate()
    spent = await through_engine(provider, NODES + 1, 2, Store.JOURNAL)
    assert spent.calls == provider.calls == 2 * NODES


async def test_every_row_of_both_measurements_is_there() -> None:
    settings = Settings(repetitions=1, scale=0.004)
    through = await cpu(settings)
    assert [(str(row.bar), row.value > 0) for row in through] == [("≤ 1.25", True), ("≤ 1.35", True)] * 2
    alone = await engine(settings)
    assert [str(row.bar) for row in alone] == ["≤ 0.3", "≤ 0.4", "≤ 1.1", "≤ 1.1"]
    assert all(len(row.samples) == 1 for row in alone)
