"""Law L2 for batches: killed before or after any lasting effect and started again, nothing is submitted twice."""

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Note
from semprop.providers.batches.notes import drafts, pending
from semprop.providers.scripted import VirtualClock
from tests.providers.batches.serving import Killed, Service, connected, key_of, submissions, together

TEXTS = [f"question {number}" for number in range(3)]
KINDS = {
    "files and tags": {"has_files": True, "has_tags": True},
    "custom ids alone": {"has_files": False, "has_tags": False},
}


async def lived(service: Service, wanted: Sequence[str] = TEXTS) -> list[object]:
    """One process: asks what is not on record. Its replies, or what it died of."""
    texts = [text for text in wanted if key_of(text) not in service.outcomes]
    batches = connected(service)
    try:
        return await together(batches, texts, service)
    finally:
        await batches.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_a_kill_at_any_step_submits_nothing_twice_and_loses_nothing(kind, before):
    steps = await whole(kind)
    assert steps > 8
    for killed_at in range(1, steps + 1):
        service = Service(VirtualClock(), **KINDS[kind], killed_at=killed_at, before=before, listed_after=20.0)
        with pytest.raises(Killed):
            await lived(service)
        service.is_dead = False
        replies = await lived(service)
        assert not [reply for reply in replies if isinstance(reply, Exception)]
        assert submissions(service) == {key_of(text): 1 for text in TEXTS}, killed_at
        assert set(service.outcomes) == {key_of(text) for text in TEXTS}
        assert len(service.files) == (1 if service.has_files else 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("left", [0, 1], ids=["all is wanted", "one is not wanted for a while"])
async def test_two_kills_in_a_row_submit_nothing_twice_and_stop_nothing(kind, before, left):
    steps = await whole(kind)
    for first in range(1, steps + 1):
        for second in range(1, steps + 3):
            service = Service(VirtualClock(), **KINDS[kind], killed_at=first, before=before, listed_after=20.0)
            with pytest.raises(Killed):
                await lived(service)
            service.is_dead, service.before = False, bool(second % 2) is before
            service.killed_at, service.prefix = service.steps + second, "1"
            with contextlib.suppress(Killed):
                await lived(service, TEXTS[left:])
            service.is_dead, service.killed_at, service.prefix = False, None, "2"
            replies = await lived(service)
            assert not [reply for reply in replies if isinstance(reply, Exception)], (first, second)
            assert submissions(service) == {key_of(text): 1 for text in TEXTS}, (first, second)


async def whole(kind: str) -> int:
    """How many lasting effects a run has that nobody kills."""
    service = Service(VirtualClock(), **KINDS[kind])
    await lived(service)
    return service.steps


async def test_a_batch_of_another_with_as_many_requests_is_not_taken_for_ours():
    theirs = Service(VirtualClock(), **KINDS["custom ids alone"])
    await lived(theirs)
    killed = Service(theirs.clock, **KINDS["custom ids alone"], killed_at=1, prefix="f")
    killed.held = theirs.held
    before = len(theirs.held)
    with pytest.raises(Killed):
        await lived(killed)
    killed.is_dead = False
    await lived(killed)
    assert len(killed.held) == before + 1


events = st.lists(
    st.tuples(st.sampled_from(["intent", "file", "created", "void"]), st.integers(0, 3), st.sets(st.integers(0, 5))),
    max_size=12,
)


@given(events, st.dictionaries(st.integers(0, 5), st.integers(1, 13)))
def test_a_request_stands_in_one_batch_that_is_waited_for_or_in_none(noted, outcomes):
    notes = []
    for place, (event, tag, keys) in enumerate(noted, 1):
        names = [f"k{key}" for key in sorted(keys)]
        document = {"event": event, "tag": f"t{tag}", "who": "w", "keys": names, "at": 0.0, "name": "n"}
        notes.append(Note(place, document))
    settled = {f"k{key}": place for key, place in outcomes.items()}
    waited = [key for _, keys in pending(list(drafts(notes).values()), settled) for key in keys]
    assert len(waited) == len(set(waited))
    for draft, keys in pending(list(drafts(notes).values()), settled):
        assert not draft.is_void
        assert all(settled.get(key, 0) < draft.place for key in keys)
