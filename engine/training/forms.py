"""The forms that a journal's file has had, one a schema version, and the step from each to the next. Pure: text.

A step is SQL that turns the form before into this one, in a transaction that is the caller's. Steps follow one another,
so whoever changes the form adds the last one here, and leaves those before as they are: a journal of any version is
read through them, and brought to the present form by them when it is written on.

Bodies stay as they are from version to version: `bodies` reads whatever was ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from semprop.engine.training.records import GROUPED, SCHEMA, SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Form:
    """How a file of one version is laid out.

    Attributes:
        version: `user_version` of the file.
        schema: SQL that lays an empty file out.
        step: SQL that turns a file of the version before into one of this; "" for the first.
        bodies: table → its key and the column that holds bodies, for all tables in the order in which they depend on
            each other; None: no body.
    """

    version: int
    schema: str
    step: str
    bodies: Mapping[str, tuple[str, str | None]] = field(hash=False)


_SAME = """
CREATE TABLE decisions (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
                        body BLOB NOT NULL);
CREATE UNIQUE INDEX decisions_by_kind ON decisions (kind, step, name);
"""

_META = "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL);"

_SCHEMA_1 = f"""
{_META}
CREATE TABLE requests (key TEXT PRIMARY KEY, role TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE intents (id INTEGER PRIMARY KEY, key TEXT NOT NULL, position TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE outcomes (key TEXT PRIMARY KEY, body BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE positions (position TEXT PRIMARY KEY, key TEXT NOT NULL, failure BLOB);
{_SAME}
"""

_TABLES_2 = """
CREATE TABLE intents (id INTEGER PRIMARY KEY, key TEXT NOT NULL, position TEXT NOT NULL, role TEXT NOT NULL,
                      request BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE outcomes (id INTEGER PRIMARY KEY, key TEXT NOT NULL, position TEXT NOT NULL, usable INTEGER NOT NULL,
                       body BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE links (id INTEGER PRIMARY KEY, position TEXT NOT NULL, key TEXT NOT NULL);
"""

_SCHEMA_2 = f"{_META}{_TABLES_2}{_SAME}"

_STEP_2 = f"""
ALTER TABLE intents RENAME TO intents_1;
ALTER TABLE outcomes RENAME TO outcomes_1;
CREATE INDEX positions_by_key ON positions (key);
CREATE INDEX intents_by_key ON intents_1 (key);
CREATE INDEX intents_by_position ON intents_1 (position);
{_TABLES_2}
INSERT INTO intents SELECT i.id, i.key, i.position, r.role, r.body, i.at
  FROM intents_1 i JOIN requests r ON r.key = i.key ORDER BY i.id;
INSERT INTO outcomes (key, position, usable, body, at)
  SELECT o.key, coalesce(
      (SELECT p.position FROM positions p WHERE p.key = o.key AND p.failure IS NULL ORDER BY p.rowid LIMIT 1),
      (SELECT i.position FROM intents_1 i WHERE i.key = o.key ORDER BY i.id LIMIT 1)), 1, o.body, o.at
    FROM outcomes_1 o
  UNION ALL
  SELECT p.key, p.position, 0, p.failure,
      coalesce((SELECT max(i.at) FROM intents_1 i WHERE i.position = p.position), 0)
    FROM positions p WHERE p.failure IS NOT NULL
  ORDER BY 5;
CREATE INDEX outcomes_by_position ON outcomes (position);
INSERT INTO links (position, key) SELECT p.position, p.key FROM positions p WHERE p.failure IS NULL AND NOT EXISTS
    (SELECT 1 FROM outcomes o WHERE o.position = p.position AND o.key = p.key AND o.usable) ORDER BY p.rowid;
DROP TABLE intents_1;
DROP TABLE outcomes_1;
DROP TABLE positions;
DROP TABLE requests;
"""
"""An outcome gets the position that it was noted with, a failure the time of its intent: no other is known."""

_TABLES_3 = """
CREATE TABLE records (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT, position TEXT, role TEXT, body BLOB,
                      at REAL NOT NULL);
CREATE VIEW intents AS SELECT id, key, position, role, body AS request, at FROM records WHERE kind = 'intent';
CREATE VIEW outcomes AS SELECT id, key, position, kind = 'outcome' AS usable, body, at FROM records
                        WHERE kind IN ('outcome', 'fault');
CREATE VIEW links AS SELECT id, position, key FROM records WHERE kind = 'link';
"""

_SCHEMA_3 = f"{_META}{_TABLES_3}{_SAME}"

_STEP_3 = f"""
ALTER TABLE intents RENAME TO intents_2;
ALTER TABLE outcomes RENAME TO outcomes_2;
ALTER TABLE links RENAME TO links_2;
{_TABLES_3}
INSERT INTO records (kind, key, position, role, body, at) SELECT kind, key, position, role, body, at FROM (
    SELECT 'intent' AS kind, key, position, role, request AS body, at, 0 AS turn, id,
           max(at) OVER (ORDER BY id) AS place FROM intents_2
    UNION ALL
    SELECT iif(usable, 'outcome', 'fault'), key, position, NULL, body, at, 1, id,
           max(at) OVER (ORDER BY id) FROM outcomes_2
  ) ORDER BY place, turn, id;
INSERT INTO records (kind, key, position, at) SELECT 'link', l.key, l.position, coalesce(o.at, 0) FROM links_2 l
    LEFT JOIN (SELECT key, min(at) AS at FROM outcomes_2 WHERE usable GROUP BY key) o ON o.key = l.key ORDER BY l.id;
DROP TABLE intents_2;
DROP TABLE outcomes_2;
DROP TABLE links_2;
"""
"""Intents and outcomes in the order of their times, and each kind in its own order whatever the clock did meanwhile;
links had no time, and stand behind all."""

_BODIES_3 = {"meta": ("name", "value"), "records": ("id", "body"), "decisions": ("id", "body")}

_STEP_4 = f"""
DROP VIEW intents;
DROP VIEW outcomes;
DROP VIEW links;
{GROUPED}
"""

FORMS = (
    Form(
        1,
        _SCHEMA_1,
        "",
        {
            "meta": ("name", "value"),
            "requests": ("key", "body"),
            "intents": ("id", None),
            "outcomes": ("key", "body"),
            "positions": ("position", "failure"),
            "decisions": ("id", "body"),
        },
    ),
    Form(
        2,
        _SCHEMA_2,
        _STEP_2,
        {
            "meta": ("name", "value"),
            "intents": ("id", "request"),
            "outcomes": ("id", "body"),
            "links": ("id", None),
            "decisions": ("id", "body"),
        },
    ),
    Form(3, _SCHEMA_3, _STEP_3, _BODIES_3),
    Form(SCHEMA_VERSION, SCHEMA, _STEP_4, {**_BODIES_3, "groups": ("first", "heads")}),
)
"""In the order of their versions; the last is the present one."""


def form_of(version: int) -> Form | None:
    """The form of a version; None: this version of the program does not know it."""
    return next((form for form in FORMS if form.version == version), None)


def steps_from(version: int) -> str:
    """SQL that brings a file of a known version to the present form; "" if it has it."""
    later = [form for form in FORMS if form.version > version]
    return "".join(f"{form.step}\nPRAGMA user_version={form.version};\n" for form in later)
