"""Gates by name, for command lines and task files. Data and pure functions; no registry that anybody fills.

An entry says what a gate is, what it needs, and when to choose it: the README's table is made of these words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from semprop.engine.errors import SpecificationError
from semprop.engine.gates.board import Gate
from semprop.engine.gates.exact import ExactGate, TwoStageGate
from semprop.engine.gates.levels import Spending
from semprop.engine.gates.sequential import SequentialGate
from semprop.engine.gates.strict import NoGate, StrictGate


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """Settings of a gate that a user may give, one a flag; None leaves the gate's own. Those that a gate does not have
    are refused."""

    alpha: float | None = None
    beta: float | None = None
    delta: float | None = None
    spending: Spending | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The settings that were given."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


@dataclass(frozen=True, slots=True)
class GateEntry:
    """A gate in the catalogue: one line on what it does, what it needs, when to choose it, and how it is made."""

    words: str
    needs: str
    when: str
    made: Callable[..., Gate]

    @property
    def options(self) -> tuple[str, ...]:
        """The settings that it has."""
        own = [each.name for each in fields(self.made)]  # type: ignore[arg-type]
        return tuple(each.name for each in fields(GateOptions) if each.name in own)


GATES: Mapping[str, GateEntry] = MappingProxyType(
    {
        "strict": GateEntry(
            "the paper's: the best candidate is taken if its mean is above the incumbent's, by however little",
            "nothing; it keeps no level: what is no better passes nearly every second time",
            "to reproduce, or where gate items are few and a test split will say what the gain is worth",
            StrictGate,
        ),
        "none": GateEntry(
            "no gate: the first candidate is taken unmeasured",
            "nothing",
            "to compare with methods that have none, or where no score can be had",
            NoGate,
        ),
        "exact": GateEntry(
            "one exact test a candidate on a fixed number of items: McNemar's on 0/1 scores, sign flips on graded ones",
            "α, and as many gate items as the smallest gain worth having takes",
            "calls are cheap: it has the most power at a kept level",
            ExactGate,
        ),
        "two-stage": GateEntry(
            "the exact gate, behind a quarter of the items on which a candidate must be ahead at all",
            "the same; its level is that of the full set, since the first stage only rejects",
            "most candidates are no better, and calls cost something",
            TwoStageGate,
        ),
        "sequential": GateEntry(
            "tests by betting after every item: stops at clear evidence either way, at the same level",
            "α, β and δ, the smallest gain worth having; better with graded scores",
            "calls are dear, gains are large or plainly absent",
            SequentialGate,
        ),
    }
)


def gate_named(name: str, options: GateOptions = GateOptions()) -> Gate:
    """The gate of this name, with these settings.

    Raises:
        SpecificationError: there is none, it lacks a setting, or a value is out of range; the message says the mend.
    """
    if name not in GATES:
        raise SpecificationError(f"there is no gate {name!r}; there are: {', '.join(GATES)}")
    entry = GATES[name]
    for option in options.given:
        if option not in entry.options:
            takers = ", ".join(other for other, each in GATES.items() if option in each.options)
            raise SpecificationError(
                f"--{option} does not apply to the gate {name!r}; it applies to: {takers}. Leave it out, or choose one "
                "of these with --gate"
            )
    return entry.made(**options.given)
