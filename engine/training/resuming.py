"""Whether a run may go on: what its journal says it is, against what is asked for now. Pure.

A run is a function of its specification and its outcomes. What enters neither a request nor a decision (budgets,
limits, bounds in flight, keys, caches, logs) may change between two sittings; anything else makes another run, a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import orjson

from semprop.engine.errors import SpecificationError
from semprop.engine.prompts.protocol import PROTOCOL

RESUMED = (PROTOCOL,)
"""Protocols whose prompts and rules this version still has. A run of another one can be shown, verified and forked."""

_SHORT = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs: its place in the specification, its recorded value and the present one, in words."""

    field: str
    recorded: str
    now: str

    def __str__(self) -> str:
        return f"{self.field}: {self.recorded} in the journal, now {self.now}"

    def document(self) -> dict[str, str]:
        """As JSON data."""
        return {"field": self.field, "recorded": self.recorded, "now": self.now}


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Field by field, in the order of the journal. What the journal does not know of, since an older version wrote it,
    is no difference."""
    return tuple(_differences(recorded, _plain(now), ""))


def check_same(recorded: Mapping[str, Any], now: Mapping[str, Any], written_by: str) -> None:
    """Make sure that a run may go on.

    Args:
        recorded: the specification in the journal.
        now: the present one.
        written_by: the version that wrote the journal.

    Raises:
        SpecificationError: it may not; the message names every field, or the version that can.
    """
    check_protocol(recorded, written_by)
    found = differences(recorded, now)
    if found:
        raise SpecificationError(
            f"this is another run than the one in the journal: {'; '.join(map(str, found))}. Take that back, or fork "
            "the run (--fork NEWDIR): equal requests are then answered from its journal"
        )


def check_protocol(recorded: Mapping[str, Any], written_by: str) -> None:
    """Make sure that this version has the prompts and rules of a recorded run.

    Raises:
        SpecificationError: it has not; the message names the version that can go on with it.
    """
    protocol = recorded.get("protocol")
    if protocol in RESUMED:
        return
    build = "the earlier build of " if written_by == version("semprop") else ""
    raise SpecificationError(
        f"the run's prompts and rules are of protocol {protocol}, and this version has {PROTOCOL}: resume it with "
        f"{build}semprop {written_by} that wrote it, or fork it (--fork NEWDIR): its replies are used where prompts "
        "are the same; semprop show reads it as it is, and semprop verify checks its records"
    )


def _plain(document: Any) -> Any:
    """As it would come back from the journal."""
    return orjson.loads(orjson.dumps(document))


def _differences(recorded: Mapping[str, Any], now: Mapping[str, Any], place: str) -> Iterator[Difference]:
    for name, value in recorded.items():
        here, present = f"{place}{name}", now.get(name)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            yield from _differences(value, present, f"{here}.")
        elif value != present:
            yield Difference(here, *_words(value, present))
    if recorded:
        for name in now:
            # A field of the specification that the journal lacks is one that its version did not write.
            if name not in recorded and place:
                yield Difference(f"{place}{name}", "nothing", _word(now[name]))


def _words(recorded: Any, now: Any) -> tuple[str, str]:
    if isinstance(recorded, Sequence) and isinstance(now, Sequence) and not isinstance(recorded, str):
        if len(recorded) != len(now):
            return f"{len(recorded)} entries", f"{len(now)}"
        place = next(place for place, pair in enumerate(zip(recorded, now, strict=True)) if pair[0] != pair[1])
        return f"entry {place + 1} is {_word(recorded[place])}", _word(now[place])
    if isinstance(recorded, str) and isinstance(now, str) and max(len(recorded), len(now)) > _SHORT:
        # The part in which long texts differ, not their beginning.
        same = next((place for place, pair in enumerate(zip(recorded, now, strict=False)) if pair[0] != pair[1]), 0)
        start = max(0, same - _SHORT // 2)
        return tuple(f"{'…' if start else ''}{_word(text[start:])}" for text in (recorded, now))  # type: ignore[return-value]
    return _word(recorded), _word(now)


def _word(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _SHORT else text[:_SHORT] + "…"
