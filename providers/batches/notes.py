"""What is noted of batches, so that a kill loses none: events as JSON data, and what they add up to. Pure.

`intent` is durable before anything is sent; `file` before a batch is created from it; `created` as soon as the service
has said the batch's name. `void`: nothing was submitted, and nothing will be under this tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from semprop.providers.base import Note

TAG_BYTES = 8


@dataclass(frozen=True, slots=True)
class Draft:
    """A batch as it is noted.

    Attributes:
        tag: our own name of it; stands in its metadata, in its file's name and before each custom id.
        who: the identity of the provider.
        keys: of its requests, in their order.
        at: when it was meant to be sent, in seconds since 1970.
        place: where the intent stands among the notes and outcomes.
        file, batch: the service's names, once known.
        is_void: nothing was submitted.
    """

    tag: str
    who: str
    keys: tuple[str, ...]
    at: float
    place: int = 0
    file: str | None = None
    batch: str | None = None
    is_void: bool = False

    def custom_id(self, key: str) -> str:
        """What a row is joined by: at most 64 letters, digits and hyphens."""
        return f"{self.tag}-{key}"

    def intent(self) -> dict[str, Any]:
        """The note of it."""
        return {"event": "intent", "tag": self.tag, "who": self.who, "keys": list(self.keys), "at": self.at}

    def said(self, event: str, name: str = "") -> dict[str, Any]:
        """The note of a later event."""
        return {"event": event, "tag": self.tag, "name": name}


def drafts(notes: Iterable[Note]) -> dict[str, Draft]:
    """Tag → batch, in the order of the intents."""
    found: dict[str, Draft] = {}
    for note in notes:
        match note.document:
            case {"event": "intent", "tag": tag, "who": who, "keys": keys, "at": at}:
                found[tag] = Draft(tag, who, tuple(keys), at, note.place)
            case {"event": "file", "tag": tag, "name": name} if tag in found:
                found[tag] = replace(found[tag], file=name)
            case {"event": "created", "tag": tag, "name": name} if tag in found:
                found[tag] = replace(found[tag], batch=name)
            case {"event": "void", "tag": tag} if tag in found:
                found[tag] = replace(found[tag], is_void=True)
    return found


def pending(known: Sequence[Draft], settled: Mapping[str, int]) -> list[tuple[Draft, tuple[str, ...]]]:
    """Batches with requests that nothing is on record of yet, and which these are; each stands in its latest batch.

    Args:
        settled: key → the place of the latest outcome or failure of that request.
    """
    latest: dict[str, Draft] = {}
    for draft in known:
        if not draft.is_void:
            latest.update(dict.fromkeys(draft.keys, draft))
    found = []
    for draft in known:
        keys = tuple(key for key in draft.keys if latest.get(key) is draft and settled.get(key, 0) < draft.place)
        if keys:
            found.append((draft, keys))
    return found


class Memory:
    """Notes of a run that keeps nothing: they are forgotten with it."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def noted(self) -> Sequence[Note]:
        return tuple(self._notes)

    def settled(self) -> Mapping[str, int]:
        return {}

    async def note(self, name: str, document: Mapping[str, Any]) -> int:
        self._notes.append(Note(len(self._notes) + 1, document))
        return len(self._notes)
