"""Every measurement of the speed table, by the name that `--rows` takes, in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from semprop.bench.speed import (
    cancellation,
    comparing,
    cost,
    faults,
    gates,
    ideal,
    journalling,
    limits,
    peers,
    proxying,
    reuse,
    sharing,
    step,
    streaming,
)
from semprop.bench.speed.rows import Measure
from semprop.engine.errors import UsageError

MEASURES: Mapping[str, Measure] = {
    **step.MEASURES,
    **cost.MEASURES,
    **journalling.MEASURES,
    **limits.MEASURES,
    **streaming.MEASURES,
    **ideal.MEASURES,
    **reuse.MEASURES,
    **gates.MEASURES,
    **cancellation.MEASURES,
    **sharing.MEASURES,
    **faults.MEASURES,
    **proxying.MEASURES,
    **comparing.MEASURES,
    **peers.MEASURES,
}


def chosen(names: Iterable[str], measures: Mapping[str, Measure] = MEASURES) -> Mapping[str, Measure]:
    """The measurements of these names in the table's order; all of them if there are none.

    Raises:
        UsageError: there is no such measurement.
    """
    wanted = tuple(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in measures]
    if unknown:
        raise UsageError(f"there is no measurement {unknown[0]!r}; there are: {', '.join(measures)}")
    return {name: measure for name, measure in measures.items() if name in wanted or not wanted}
