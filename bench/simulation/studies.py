"""The studies by name, and what they gave as a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from semprop.bench.simulation import failures, races, runs, sizes
from semprop.bench.simulation.figures import Figure, markdown
from semprop.bench.simulation.scale import Scale
from semprop.engine.errors import SpecificationError

SCHEMA = 1

STUDIES: Mapping[str, Callable[[Scale], Iterator[Figure]]] = MappingProxyType(
    {"sizes": sizes.figures, "races": races.figures, "failures": failures.figures, "runs": runs.figures}
)


@dataclass(frozen=True, slots=True)
class Study:
    """What was simulated: the figures, their scale, the command that gives them again, and how long it took."""

    figures: tuple[Figure, ...]
    scale: Scale
    command: str
    seconds: float

    @property
    def wrong(self) -> tuple[Figure, ...]:
        """The figures that contradict what was claimed."""
        return tuple(entry for entry in self.figures if entry.holds is False)

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        scale = self.scale
        return {
            "schema": SCHEMA,
            "command": self.command,
            "seconds": round(self.seconds, 1),
            "scale": {"runs": scale.runs, "races": scale.races, "checked": scale.checked, "seed": scale.seed},
            "figures": [entry.document() for entry in self.figures],
        }

    def markdown(self) -> str:
        """As Markdown."""
        return markdown(self.figures, self.conditions())

    def conditions(self) -> tuple[str, ...]:
        """How the figures came about, and how many claims hold."""
        claimed = [entry for entry in self.figures if entry.claimed]
        held = len(claimed) - len(self.wrong)
        return (
            f"{held} of {len(claimed)} claimed figures hold within their rounding and three standard errors. "
            f"± is one Monte-Carlo standard error.",
            f"`{self.command}`, {self.seconds:.0f} s.",
        )


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The studies of these names; all if none is given.

    Raises:
        SpecificationError: there is no such study.
    """
    for name in names:
        if name not in STUDIES:
            raise SpecificationError(f"there is no study {name!r}; there are: {', '.join(STUDIES)}")
    return tuple(names) or tuple(STUDIES)
