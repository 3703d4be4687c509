"""Losses by name, for the command line and task files. Data and a pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from semprop.engine.errors import SpecificationError
from semprop.engine.losses import (
    CaseFolded,
    Contains,
    Exact,
    Judge,
    LabelProbability,
    Loss,
    MultipleChoice,
    Numeric,
)
from semprop.engine.squared import Squared

_NAMED: Mapping[str, Callable[[tuple[str, ...]], Loss]] = {
    "exact": Exact,
    "casefold": CaseFolded,
    "numeric": lambda labels: Numeric(),
    "choice": MultipleChoice,
    "contains": lambda labels: Contains(),
    "probability": LabelProbability,
    "judge": lambda labels: Judge(),
    "squared": lambda labels: Squared(),
}

LOSSES = tuple(_NAMED)
"""The names that there are."""


def named(name: str, labels: Sequence[str] = ()) -> Loss:
    """The loss of this name, for the command line and TOML. `labels` are those of a classification.

    Raises:
        SpecificationError: there is no such loss, or it needs labels and has none.
    """
    make = _NAMED.get(name)
    if make is None:
        raise SpecificationError(f"there is no loss {name!r}; there are: {', '.join(_NAMED)}")
    return make(tuple(labels))
