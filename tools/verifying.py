"""`semprop verify`: is a run's journal whole, and what can be kept of one that is not?"""

from __future__ import annotations

from pathlib import Path

from semprop.engine.training.report import RESULT_SCHEMA
from semprop.engine.training.salvage import salvage, verify
from semprop.tools.exits import Ended, ExitCode, Problem, document_of
from semprop.tools.preparing import Surrounding, run_in
from semprop.tools.screen import Screen


def check(path: Path, into: Path | None, around: Surrounding, screen: Screen) -> Ended:
    """Look at every row of a run's journal; write the whole ones into a new directory, if one is named.

    A journal that is damaged is a problem (exit code 5) unless it was salvaged.
    """
    run_in(path)
    found = verify(path) if into is None else salvage(path, into)
    whole = ", ".join(f"{count:,} {table}" for table, count in found.whole.items())
    screen.show(f"{path}: whole are {whole}; SQLite says of the file: {found.file}")
    damaged = ", ".join(f"{count:,} {table}" for table, count in found.damaged.items() if count) or "none"
    screen.show(f"damaged rows: {damaged}")
    document = {"run": str(path), "whole": found.whole, "damaged": found.damaged, "file": found.file}
    ended = {"schema": RESULT_SCHEMA, "status": "done", "error": None, **document}
    if into is not None:
        screen.show(f"what is whole is in {into}: semprop resume {into} asks again for what is lost")
        return Ended({**ended, "salvaged": str(into)})
    if found.is_whole:
        return Ended(ended)
    told = f"{path} is damaged ({damaged}; {found.file}): --salvage NEWDIR keeps what is whole, and is resumed"
    problem = Problem("StorageError", told, ExitCode.STORAGE)
    return Ended({**document_of(problem), **document}, problem)
