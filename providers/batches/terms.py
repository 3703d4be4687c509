"""How batches are gathered, waited for and found again: seconds and counts. Frozen data."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from semprop.providers.tables import Table, fault

GROWTH = 1.5
"""By so much the pause between two looks at a batch grows."""


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """What a user may set (`batch = {…}` of a provider's table).

    Attributes:
        first: seconds from the submission of a batch to the first look at it.
        most: seconds between two looks, at the most.
        gather: seconds for which nothing more came, once nothing more is expected, after which a batch is sent.
        settle: seconds that a service may take to list a batch that it took in: a batch that was perhaps created is
            looked for again after so long, before its requests are sent anew.
        rows: requests of one batch, at the most; None: what the service takes.
        tries: batches that one request may be in.
    """

    first: float = 10.0
    most: float = 300.0
    gather: float = 1.0
    settle: float = 60.0
    rows: int | None = None
    tries: int = 3

    def pause(self, looks: int) -> float:
        """Seconds before the next look, after so many."""
        # Bounded, so that no power is too large for a float.
        return float(min(self.most, self.first * GROWTH ** min(looks, 64)))


def terms_in(table: Table) -> BatchTerms:
    """The terms that a table of a providers file gives; fields that are not named are as usual.

    Raises:
        StopError: something that it does not take (CONFIGURATION).
    """
    usual = BatchTerms()
    table.only(tuple(item.name for item in fields(BatchTerms)))
    rows, tries = table.count("rows"), table.count("tries")
    if 0 in (rows, tries):
        raise fault(f"{table.place}: `rows` and `tries` must be 1 or more")
    seconds = {name: table.number(name) for name in ("first", "most", "gather", "settle")}
    given = {name: value for name, value in seconds.items() if value is not None}
    return replace(usual, rows=rows, tries=tries or usual.tries, **given)
