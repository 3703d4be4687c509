"""The table of worlds: which runs it takes, one after the other, and all of it as one document.

Runs that are known already (read from a file) are not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from semprop.bench.worlds.catalogue import world_named
from semprop.bench.worlds.committed import committed, words_of
from semprop.bench.worlds.comparing import Agreement, Row, agreements, rows
from semprop.bench.worlds.methods import compared
from semprop.bench.worlds.running import Cell, Remembering, document_of, ground_of, run_cell
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.providers.base import Provider

CLAIM = (
    "Simulated: rules answer in place of a language model. This table shows conformance, that information reaches the "
    "right instruction, and cost; it never shows that a method helps language models."
)
REAL = "Answered by {provider}: the rows speak of this provider, on planted worlds; the predictions are of the rules."


@dataclass(frozen=True, slots=True)
class Plan:
    """Every combination of these is a run; `scales` are L0 in tokens, or one word for a provider that has none."""

    worlds: tuple[str, ...]
    methods: tuple[str, ...]
    scales: tuple[str, ...]
    seeds: int

    @property
    def size(self) -> int:
        return len(self.worlds) * len(self.methods) * len(self.scales) * self.seeds


async def run_table(
    plan: Plan,
    provider: Callable[[str], Provider],
    known: Sequence[Cell] = (),
    done: Callable[[Cell], None] = lambda cell: None,
) -> tuple[Cell, ...]:
    """All runs of a plan, known ones first; `provider` gives one for an L0, and `done` is told of each new run.

    Raises:
        UsageError: a world or a method has no such name.
        StopError: a provider will answer nothing more.
    """
    methods = [compared(name) for name in plan.methods]
    worlds = [world_named(name) for name in plan.worlds]
    cells = list(known)
    there = {(cell.world, cell.method, cell.scale, cell.seed) for cell in known}
    for world in worlds:
        ground = ground_of(world)
        for seed in range(plan.seeds):
            for scale in plan.scales:
                answering = provider(scale)
                if answering.capabilities.simulated:
                    answering = Remembering(answering)
                for method in methods:
                    if (world.name, method.name, scale, seed) not in there:
                        cells.append(await run_cell(ground, method, answering, scale, seed))
                        done(cells[-1])
    return tuple(cells)


@dataclass(frozen=True, slots=True)
class Table:
    """The runs, a row for each world, L0 and method, and how predictions agree with what was seen."""

    claim: str
    simulated: bool
    cells: tuple[Cell, ...]
    rows: tuple[Row, ...]
    agreements: tuple[Agreement, ...]
    criteria: Mapping[str, Mapping[str, Any]] = field(hash=False)

    def document(self) -> dict[str, Any]:
        """The table as JSON data."""
        return {
            "schema": RESULT_SCHEMA,
            "claim": self.claim,
            "simulated": self.simulated,
            "criteria": dict(self.criteria),
            "rows": [_row_document(row) for row in self.rows],
            "agreement": [
                {
                    "outcome": each.outcome,
                    "agreeing": list(each.agreeing),
                    "predicted_and_seen": {word: list(each.share(word, of="predicted")) for word in _WORDS},
                    "seen_and_predicted": {word: list(each.share(word, of="seen")) for word in _WORDS},
                    "counts": [[predicted, found, count] for (predicted, found), count in each.counts.items()],
                }
                for each in self.agreements
            ],
            "runs": [document_of(cell) for cell in self.cells],
        }


_WORDS = ("win", "tie", "lose")


def _row_document(row: Row) -> dict[str, Any]:
    return {
        **{name: value for name, value in asdict(row).items() if name not in ("against", "repaired", "scale")},
        "l0": row.scale,
        "repaired": {str(budget): count for budget, count in row.repaired.items()},
        "against": [asdict(each) for each in row.against],
    }


def table_of(cells: Sequence[Cell], *, provider: str = "") -> Table:
    """The table of runs; `provider` names a real one. Predictions are those of the committed file."""
    document = committed()
    claim = REAL.replace("{provider}", provider) if provider else CLAIM
    found = rows(cells, words_of(document))
    worlds = dict.fromkeys(cell.world for cell in cells)
    criteria = {name: document["worlds"][name] for name in worlds if name in document["worlds"]}
    kept = {name: {key: each[key] for key in ("family", "criterion", "losses")} for name, each in criteria.items()}
    return Table(claim, not provider, tuple(cells), found, agreements(found), kept)
