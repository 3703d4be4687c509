"""The form of a journal's records: tables, views, and how positions, requests and texts stand in them. Pure.

Whatever was asked and whatever came back is one series of records, in the order in which it was noted. While a run is
written the records of a commit are one row of `groups`; once it is gone on with, each is a row of `records`. The view
`entries` shows both, and `intents`, `outcomes` and `links` show it by kind.

A text is recorded once: the reply with its outcome, any other long text as a record of its own. Requests name both by
their number, since what a prompt consists of (an instruction, an example, another node's reply) stands in many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import orjson

from semprop.engine.outcomes import Position, request_document
from semprop.engine.prompts.forward import LONG
from semprop.providers.base import Image, Message, Request

SCHEMA_VERSION = 4


class Kind(StrEnum):
    """What a record is: a request about to be sent; what came of one, if equal requests may be served by it; what came
    of one otherwise (a provider failed); a position that another record answers; a text that requests name; what the
    attempts of a request may have cost, where that is more than its outcome tells; what a provider noted for itself."""

    INTENT = "intent"
    OUTCOME = "outcome"
    FAULT = "fault"
    LINK = "link"
    TEXT = "text"
    CHARGE = "charge"
    NOTE = "note"


GROUPED = """
CREATE TABLE groups (first INTEGER PRIMARY KEY, heads BLOB NOT NULL, bodies BLOB NOT NULL);
CREATE VIEW entries AS
  SELECT id, kind, key, position, role, body, at FROM records
  UNION ALL
  SELECT groups.first + head.key, json_extract(head.value, '$[0]'), json_extract(head.value, '$[1]'),
         json_extract(head.value, '$[2]'), json_extract(head.value, '$[3]'),
         iif(json_extract(head.value, '$[6]'), substr(groups.bodies, json_extract(head.value, '$[5]') + 1,
                                                      json_extract(head.value, '$[6]')), NULL),
         json_extract(head.value, '$[4]')
    FROM groups, json_each(CAST(substr(groups.heads, 6) AS TEXT)) AS head;
CREATE VIEW intents AS SELECT id, key, position, role, body AS request, at FROM entries WHERE kind = 'intent';
CREATE VIEW outcomes AS SELECT id, key, position, kind = 'outcome' AS usable, body, at FROM entries
                        WHERE kind IN ('outcome', 'fault');
CREATE VIEW links AS SELECT id, position, key FROM entries WHERE kind = 'link';
"""
"""Records of a commit in one row, and the views of all records."""

SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE records (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT, position TEXT, role TEXT, body BLOB,
                      at REAL NOT NULL);
CREATE TABLE decisions (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                        body BLOB NOT NULL);
CREATE UNIQUE INDEX decisions_by_kind ON decisions (kind, step, name);
{GROUPED}
"""

REOPENED = "CREATE INDEX IF NOT EXISTS records_by_position ON records (position) WHERE kind <> 'intent';"
"""What a replay needs. While a run is written for the first time no index is kept: it would be written again and
again."""

ANSWERED = (
    "SELECT kind, key, body FROM records WHERE kind <> 'intent' AND kind <> 'charge' AND position = ? "
    "ORDER BY kind = 'link', id LIMIT 1"
)
"""What answers a position: its own outcome, else a link to that of an equal request."""

CALLS = (
    "SELECT position, kind, role, body, key FROM entries WHERE kind IN ('intent', 'outcome', 'fault', 'charge') "
    "ORDER BY position, id"
)
"""What was sent at each position, what came of it, and what it cost."""

NOTED = "SELECT id, body FROM entries WHERE kind = 'note' ORDER BY id"
"""What providers noted."""

SETTLED = "SELECT key, max(id) FROM entries WHERE kind IN ('outcome', 'fault') GROUP BY key"
"""Where the latest outcome or failure of each request stands."""


def position_text(position: Position) -> str:
    """A position as a key."""
    return orjson.dumps(tuple(position)).decode()


class Texts:
    """Which long text stands in which record. Forgets the oldest beyond so many characters; what is forgotten is
    recorded once more when it is needed again."""

    def __init__(self, characters: int = 16_000_000) -> None:
        self._room = characters
        self._places: OrderedDict[str, int] = OrderedDict()

    def place(self, text: str) -> int | None:
        """The number of the record that holds this text, if it is remembered."""
        return self._places.get(text)

    def add(self, text: str, place: int) -> None:
        """A record holds this text. Short ones are not remembered: they stand where they are used."""
        if len(text) < LONG or text in self._places:
            return
        self._places[text] = place
        self._room -= len(text)
        while self._room < 0:
            self._room += len(self._places.popitem(last=False)[0])


def shortened(request: Request, place: Callable[[str], int]) -> dict[str, Any]:
    """A request as it is recorded: the content of a message is its text, or a list of texts, of numbers of records, and
    of pictures in words with the number of the record that holds one as an address (RFC 2397).

    Args:
        place: gives the number of the record of a long text, which is made if there is none.
    """

    return request_document(request, [_shortened(message, place) for message in request.messages])


def _shortened(message: Message, place: Callable[[str], int]) -> object:
    parts: list[object] = []
    for part in message.parts:
        if type(part) is Image:
            parts.append({"picture": part.text, "at": place(part.url)})
        else:
            text = part.text
            parts.append(text if len(text) < LONG else place(text))
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def expanded(document: dict[str, Any], text: Callable[[int], str]) -> dict[str, Any]:
    """The inverse of `shortened`, for people: pictures are in words, and a message says how many `pictures` it showed.
    `text` gives the text of a record."""
    messages = []
    for message in document["messages"]:
        content = message["content"]
        if not isinstance(content, str):
            pictures = sum(isinstance(part, dict) for part in content)
            message = {**message, "pictures": pictures} if pictures else message
            content = "".join(_whole(part, text) for part in content)
        messages.append({**message, "content": content})
    return {**document, "messages": messages}


def _whole(part: Any, text: Callable[[int], str]) -> str:
    match part:
        case str():
            return part
        case {"picture": str(words)}:
            return words
        case _:
            return text(part)


def text_of(document: Any) -> str:
    """The text that a record holds: its own, or that of its outcome."""
    return document if isinstance(document, str) else str(document["text"])
