"""Recorded runs of every version, as the version of that time wrote them, and journals turned back to an older form.

Each is the run of `semprop optimize lookup-two-faults --forward simulated: --train 3 --gate-size 4 --test 3 --steps 1`:
50 calls, one step, a result.
"""

import lzma
import sqlite3
from contextlib import closing
from pathlib import Path

from semprop.engine.training.bodies import packed, unpacked
from semprop.engine.training.forms import form_of
from semprop.engine.training.groups import put_into_rows
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.runs import Run

FIXTURES = Path(__file__).parent / "fixtures" / "runs"
RUNS = {name: FIXTURES / f"{name}.sqlite.xz" for name in sorted(path.name.split(".")[0] for path in FIXTURES.iterdir())}
"""Name, `schema-N-protocol-M` → its journal, compressed."""

SIZES = ("--forward", "simulated:", "--train", "3", "--gate-size", "4", "--test", "3", "--steps", "1", "--no-cache")


def unpack(name, directory):
    """A recorded run in a directory; gives its journal's bytes."""
    directory.mkdir(parents=True)
    data = lzma.decompress(RUNS[name].read_bytes())
    (directory / FILE_NAME).write_bytes(data)
    return data


def in_rows(path):
    """Every record of a journal in a row of its own, as whoever goes on with it has them."""
    with closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as connection:
        put_into_rows(connection)


def flip(path, column, kind="outcome"):
    """Flip a bit in the first group with a record of a kind: in its `heads`, or in its `bodies` in that record's."""
    with closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as connection:
        groups = connection.execute(f"SELECT first, heads, {column} FROM groups ORDER BY first").fetchall()
        heads = ((first, data, head) for first, heads, data in groups for head in unpacked(heads))
        first, data, head = next((first, data, head) for first, data, head in heads if head[0] == kind)
        changed = bytearray(data)
        changed[-10 if column == "heads" else sum(head[-2:]) - 10] ^= 1
        connection.execute(f"UPDATE groups SET {column} = ? WHERE first = ?", (bytes(changed), first))


def versions(name):
    """Schema and protocol of a recorded run."""
    _, schema, _, protocol = name.split("-")
    return int(schema), int(protocol)


def turn_back(path):
    """Write a journal of the present form anew as schema 2 has it: texts in requests, three tables, links without a
    time. What schema 2 does not know (what attempts were charged) is left out."""
    run = Run(path)
    with run._whole() as whole, closing(sqlite3.connect(path / FILE_NAME)) as now:
        intents = [
            (key, position, role, packed(whole(body)), at)
            for key, position, role, body, at in now.execute(
                "SELECT key, position, role, request, at FROM intents ORDER BY id"
            )
        ]
        rest = {
            "outcomes (key, position, usable, body, at)": "SELECT key, position, usable, body, at FROM outcomes",
            "links (position, key)": "SELECT position, key FROM links ORDER BY id",
            "meta": "SELECT * FROM meta",
            "decisions": "SELECT * FROM decisions ORDER BY id",
        }
        rows = {name: now.execute(query).fetchall() for name, query in rest.items()}
    rows["intents (key, position, role, request, at)"] = intents
    for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
        (path / name).unlink(missing_ok=True)
    with closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.executescript(f"BEGIN; PRAGMA user_version=2; {form_of(2).schema}")
        for table, values in rows.items():
            for row in values:
                old.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        old.execute("COMMIT")
