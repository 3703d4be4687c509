"""`semprop verify`: is a run's journal whole, and what can be kept of one that is not?"""

from __future__ import annotations

from pathlib import Path

from semprop.engine.training.agreement import disagreements
from semprop.engine.training.frames import Log
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.engine.training.salvage import Verified, salvage, verify
from semprop.tools.exits import Ended, ExitCode, Problem, document_of
from semprop.tools.preparing import Surrounding, run_in
from semprop.tools.screen import Screen


def check(path: Path, into: Path | None, around: Surrounding, screen: Screen) -> Ended:
    """Look at every row of a run's journal; write the whole ones into a new directory, if one is named.

    A journal that is damaged is a problem (exit code 5) unless it was salvaged.
    """
    run = run_in(path)
    found = verify(path) if into is None else salvage(path, into)
    whole = ", ".join(f"{count:,} {table}" for table, count in found.whole.items())
    screen.show(f"{path}: whole are {whole}; SQLite says of the file (schema {found.version}): {found.file}")
    damaged = ", ".join(f"{count:,} {table}" for table, count in found.damaged.items() if count) or "none"
    screen.show(f"damaged rows: {damaged}")
    if found.log != Log():
        screen.show(f"the log beside the file: {_log_words(found.log)}")
    # Records of which some are gone contradict each other: that is known already.
    against = disagreements(run) if found.is_whole else ()
    for words in against:
        screen.show(f"contradiction: {words}")
    document = {
        "run": str(path),
        "version": found.version,
        "whole": found.whole,
        "damaged": found.damaged,
        "file": found.file,
        "log": found.log.document(),
        "contradictions": list(against),
    }
    ended = {"schema": RESULT_SCHEMA, "status": "done", "error": None, **document}
    if into is not None:
        screen.show(f"what is whole is in {into}: semprop resume {into} asks again for what is lost")
        return Ended({**ended, "salvaged": str(into)})
    if found.is_whole and not against:
        return Ended(ended)
    problem = Problem("StorageError", _told(path, found, damaged, against), ExitCode.STORAGE)
    return Ended({**document_of(problem), **document}, problem)


def _told(path: Path, found: Verified, damaged: str, against: tuple[str, ...]) -> str:
    if against:
        return (
            f"{path} contradicts itself in {len(against)} places ({against[0]}): it cannot be gone on with; fork it "
            "(semprop optimize … --run RUN --fork NEWDIR), which takes the replies alone"
        )
    log = f"; of the log {found.log.lost} pages are not read" if found.log.is_damaged else ""
    return f"{path} is damaged ({damaged}; {found.file}{log}): --salvage NEWDIR keeps what is whole, and is resumed"


def _log_words(log: Log) -> str:
    words = f"{log.read} pages are read"
    if log.cut:
        words += f"; {log.cut} at the end were being written when the process was stopped, and nobody relied on them"
    if log.lost:
        words += f"; {log.lost} are damaged or lie behind a damaged one, and what they held is asked again"
    return words
