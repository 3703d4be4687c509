"""What may change between two sittings of a run, and what makes another run; each difference is named."""

import shutil
import sqlite3
from contextlib import closing
from functools import partial

import anyio
import anyio.lowlevel
import pytest
import worlds
from recorded import in_rows

from semprop.engine import Specification, SpecificationError, Status, Trainer, UsageError, optimize
from semprop.engine.prompts.protocol import PROTOCOL
from semprop.engine.training.bodies import packed
from semprop.engine.training.journal import Journal, stamping
from semprop.engine.training.lock import hold
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.resuming import check_same, differences
from semprop.engine.training.runs import Run
from semprop.engine.training.sittings import SITTING, SITTING_END, begin, seconds_of
from semprop.engine.training.specification import document_of_specification, fingerprint
from semprop.engine.training.telemetry import Telemetry
from semprop.providers import Completion, Usage, VirtualClock


def spec(**changes):
    return worlds.specification(**{"splits": worlds.splits(8, 8, 8), "steps": 2, **changes})


def document(**changes):
    return document_of_specification(spec(**changes))


# Differences ---------------------------------------------------------------------------------------------------------


def test_equal_specifications_differ_in_nothing():
    assert differences(document(), document()) == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": 3}, ["steps: 2 in the journal, now 3"]),
        ({"seed": 1}, ["seed: 0 in the journal, now 1"]),
        ({"splits": worlds.splits(8, 7, 8)}, ["splits.gate: 8 entries in the journal, now 7"]),
        ({"examples_per_gradient": None}, ["examples_per_gradient: 4 in the journal, now null"]),
        ({"labels": ("yes",)}, ["labels: 0 entries in the journal, now 1"]),
        ({"providers": {"forward": worlds.scripted(identity="scripted:other")}}, ['models.forward: "scripted:scri']),
    ],
)
def test_each_field_that_enters_a_decision_is_named(changes, told):
    words = "; ".join(map(str, differences(document(), document(**changes))))
    for part in told:
        assert part in words


@pytest.mark.parametrize("changes", [{"in_flight": 1}, {"run": "elsewhere"}, {"recipe": {"task": "x"}}])
def test_what_enters_no_decision_is_no_difference(changes):
    assert differences(document(), document(**changes)) == ()


def test_the_content_of_an_example_is_seen_though_its_name_is_the_same():
    changed = worlds.splits(8, 8, 8)
    first = changed.train[0]
    other = type(first)(first.id, first.inputs, "another answer")
    splits = type(changed)((other, *changed.train[1:]), changed.gate, changed.test)
    (found,) = differences(document(), document(splits=splits))
    assert found.field == "data.train"
    assert fingerprint(changed.train) != fingerprint(splits.train)


def test_long_texts_are_shown_where_they_differ():
    (found,) = differences({"text": "a" * 500 + "b"}, {"text": "a" * 500 + "c"})
    assert found.recorded.endswith('ab"')
    assert found.now.endswith('ac"')
    assert len(found.recorded) < 80


def test_fields_that_an_older_version_did_not_write_are_no_difference():
    older = {name: value for name, value in document().items() if name not in ("data", "capabilities")}
    assert differences(older, document()) == ()
    assert differences({"initial": {"a": 1}}, {"initial": {"a": 1, "b": 2}})[0].field == "initial.b"


def test_functions_are_no_difference_from_one_process_to_the_next():
    told = str(document())
    assert " at 0x" not in told


def test_another_protocol_is_refused_with_the_version_that_can():
    recorded = {**document(), "protocol": PROTOCOL + 1}
    with pytest.raises(SpecificationError, match=r"and this version has \d+: resume it with semprop 9\.9"):
        check_same(recorded, document(), "9.9")


# Sittings ------------------------------------------------------------------------------------------------------------


def used(run):
    return run.meta("result")["telemetry"]


async def test_telemetry_is_that_of_all_sittings(tmp_path):
    def provider():
        return worlds.scripted(lambda request: Completion(worlds.script(request), usage=Usage(10, 0, 0, 2, 0)))

    def price(role, usage):
        return 0.001

    whole = await optimize(spec(providers={"forward": provider()}, run=tmp_path / "whole"), price=price)
    async with Trainer(spec(providers={"forward": provider()}, run=tmp_path / "run"), price=price) as trainer:
        async for _ in trainer:
            break
    await optimize(spec(providers={"forward": provider()}, run=tmp_path / "run"), price=price, resume=True)
    found, expected = used(Run(tmp_path / "run")), dict(whole.telemetry)
    for name in ("calls", "attempts", "tokens", "cost", "failures", "speculative"):
        assert found[name] == expected[name], name


async def test_seconds_are_summed_over_sittings(tmp_path):
    clock = VirtualClock()

    def provider():
        return worlds.scripted(clock=clock, latency=1.0)

    async with Trainer(spec(providers={"forward": provider()}, run=tmp_path / "run"), clock=clock) as trainer:
        async for _ in trainer:
            break
        first = clock.now()
    await clock.sleep(1000.0)
    async with Trainer(
        spec(providers={"forward": provider()}, run=tmp_path / "run"), clock=clock, resume=True
    ) as trainer:
        async for _ in trainer:
            pass
        result = await trainer.report()
    assert result.telemetry["seconds"] == pytest.approx(clock.now() - 1000.0, abs=0.01)
    assert first > 0
    run = Run(tmp_path / "run")
    assert len(run.decisions(SITTING)) == len(run.decisions(SITTING_END)) == 2
    assert seconds_of(run) == pytest.approx(result.telemetry["seconds"], abs=0.01)


async def test_an_intent_without_a_reply_counts_as_possibly_charged(tmp_path):
    provider = worlds.scripted(latency=1e6)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(optimize, spec(providers={"forward": provider}, run=tmp_path / "run")))
        while not provider.in_flight:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    lost = sum(call.unanswered for call in Run(tmp_path / "run").calls())
    assert lost >= len(provider.requests) > 0
    result = await optimize(spec(run=tmp_path / "run"), resume=True)
    assert result.telemetry["failures"]["unanswered"] == lost
    assert result.telemetry["cost"]["unpriced_requests"] >= lost


async def test_a_run_that_nobody_carries_on_is_killed_not_running(tmp_path):
    async with Trainer(spec(run=tmp_path / "run")) as trainer:
        run = Run(tmp_path / "run")
        assert run.status == "running"
        (tmp_path / "run" / "lock").write_text("")
        assert run.status == "killed"
        async for _ in trainer:
            break
    assert run.status == str(Status.INTERRUPTED)


async def test_a_run_that_is_being_written_is_not_opened_a_second_time(tmp_path):
    async with Trainer(spec(run=tmp_path / "run")):
        with pytest.raises(UsageError, match="is being written by process"):
            await optimize(spec(run=tmp_path / "run"), resume=True)
    await optimize(spec(run=tmp_path / "run"), resume=True)


async def test_a_run_that_cannot_be_gone_on_with_is_let_go_after_its_journal_is_closed(tmp_path, monkeypatch):
    await optimize(spec(run=tmp_path / "run"))
    held = []

    async def closed(journal):
        with pytest.raises(UsageError, match="is being written"):
            hold(tmp_path / "run")
        held.append(journal)
        await close(journal)

    def fails(position, *rest):
        raise RuntimeError("counting failed")

    close = Journal.close
    monkeypatch.setattr(Journal, "close", closed)
    telemetry = Telemetry()
    telemetry.earlier = fails
    with pytest.raises(RuntimeError, match="counting failed"):
        await begin(spec(run=tmp_path / "run"), telemetry, resume=True)
    assert len(held) == 1
    hold(tmp_path / "run").close()


def test_a_recipe_is_kept_as_it_is():
    assert isinstance(spec(recipe={"task": "mine"}), Specification)


# Clocks --------------------------------------------------------------------------------------------------------------


def test_times_follow_each_other_though_the_clock_is_set():
    wall, since = [1_000_000.0], [5.0]
    stamp = stamping(lambda: wall[0], lambda: since[0])
    stamps = []
    for change in (0.0, -3600.0, 3600.0, 7200.0):
        wall[0] += change
        since[0] += 1.0
        stamps.append(stamp())
    assert stamps == [1_000_001.0, 1_000_002.0, 1_000_003.0, 1_000_004.0]


async def killed_and_resumed(path):
    """A run of two sittings, of which the first was killed; gives how its rows are dated."""
    async with Trainer(spec(run=path)) as trainer:
        async for _ in trainer:
            break
        shutil.copytree(path, path.with_name("killed"))
    shutil.rmtree(path)
    path.with_name("killed").rename(path)
    await optimize(spec(run=path), resume=True)
    return Run(path)


@pytest.mark.parametrize("set_by", [0.0, -3600.0, 3600.0])
async def test_the_seconds_of_a_killed_sitting_are_right_though_the_clock_is_set_before_the_next(tmp_path, set_by):
    run = await killed_and_resumed(tmp_path / "run")
    first, second = run.decisions(SITTING)
    assert [entry.step for entry in run.decisions(SITTING_END)] == [1]
    (ended,) = run.decisions(SITTING_END)
    in_rows(tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run" / FILE_NAME)) as connection:
        after, at = second.body["after"], first.body["at"]
        # The first sitting took 100 s; the second began an hour before or after it, by the clock of the machine.
        connection.execute("UPDATE records SET at = ? WHERE id <= ?", (at + 100.0, after))
        connection.execute("UPDATE records SET at = ? WHERE id > ?", (at + 200.0 + set_by, after))
        body = packed({**second.body, "at": at + 150.0 + set_by})
        connection.execute("UPDATE decisions SET body = ? WHERE kind = ? AND step = 1", (body, SITTING))
        connection.commit()
    assert seconds_of(run) == pytest.approx(100.0 + ended.body["seconds"], abs=0.01)


async def test_a_sitting_that_was_killed_before_it_wrote_anything_took_no_time(tmp_path):
    async with Trainer(spec(run=tmp_path / "run")):
        shutil.copytree(tmp_path / "run", tmp_path / "killed")
    assert seconds_of(Run(tmp_path / "killed")) == 0.0
