"""What the parts of a diagnosis found, as frozen data. `None` stands for what was not or could not be measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from semprop.bench.diagnosis.coupling import Coupling
from semprop.bench.diagnosis.laboratory import Spent
from semprop.engine.bias import Corrected
from semprop.engine.findings import Classes
from semprop.engine.statistics import SIGNIFICANCE, Comparison, Interval, Word, wilson

PARTS = {
    "format": "what the form of the answer costs: strict, lenient and constrained scores, and one line on the form",
    "classes": "accuracy by class, and whether one class is always said",
    "gain": "the smallest gain that the data can show, with discordance from a pilot",
    "headroom": "what general sentences gain, and how many examples any of them solves",
    "coupling": "whether the prompts interact, so that they must be optimized together",
    "labels": "control: does the gain survive wrong labels?",
    "blind": "control: does “improve this” without data gain as much?",
    "random": "control: do blind proposals gain as much for the same money?",
}
"""Part → what it tells, the cheap ones first; the last three each run a whole optimization."""

CHEAP = ("format", "classes", "gain", "headroom", "coupling")


@dataclass(frozen=True, slots=True)
class Start:
    """The graph as it is, on `n` examples of train and gate. The constrained score is None without labels or where the
    provider cannot; `missing` examples had no score because a provider failed."""

    n: int
    score: float
    interval: Interval
    lenient: float | None
    constrained: float | None
    missing: int
    classes: Classes | None


@dataclass(frozen=True, slots=True)
class FormatGap:
    """What the form of the answer costs. `read` compares strict with lenient, `held` strict with decoding held to the
    labels, `line` the start with the line `text` added; `chance` is what guessing among the labels scores."""

    text: str
    read: Comparison | None
    held: Comparison | None
    line: Comparison | None
    chance: float | None = None

    @property
    def is_gap(self) -> bool:
        """Whether form is what fails: one of the three is a reliable gain, or with few examples a significant one of
        a quarter of what is missing."""
        return any(_is_large(found) for found in (self.read, self.held, self.line) if found is not None)

    @property
    def is_mended(self) -> bool:
        """Whether the line alone mends it."""
        return self.line is not None and _is_large(self.line)

    @property
    def is_guessing(self) -> bool:
        """Whether, with the form given, what is left is no better than guessing, as far as so few examples tell."""
        held, chance = self.held, self.chance
        if held is None or chance is None:
            return False
        return wilson(round(held.after * held.n), held.n).low <= chance


def _is_large(found: Comparison) -> bool:
    if found.word is Word.RELIABLE_GAIN:
        return True
    missing = 1 - found.before
    return found.word is Word.TOO_FEW and found.p <= 0.05 and found.difference >= missing / 4


@dataclass(frozen=True, slots=True)
class SmallestGain:
    """What the data can show: `changed` of the `n` examples of a pilot changed between two prompts, `interval` is the
    share's 95 % interval, `rho` the share that is taken (where none changed, the most that may), and the smallest
    gains that `gate` and `test` examples show at it; infinite where they show none. `needed` is how many examples
    show a gain of `delta`."""

    n: int
    changed: int
    rho: float
    interval: Interval
    gate: int
    test: int
    in_gate: float
    in_test: float
    delta: float
    needed: int


@dataclass(frozen=True, slots=True)
class Headroom:
    """What general sentences gain. `best` is corrected for having picked the best; `any_solves` is the share of
    examples that some variant, or the start, solves; `names` and `scores` are the variants'."""

    n: int
    start: float
    names: tuple[str, ...]
    scores: tuple[float, ...]
    best: Corrected | None
    any_solves: float

    @property
    def ceiling(self) -> float:
        """What is missing to a perfect score."""
        return 1 - self.start


@dataclass(frozen=True, slots=True)
class Controls:
    """Gains on examples that neither learned nor judged: of the method, and of what lacks something."""

    true: Comparison
    controls: dict[str, Comparison] = field(hash=False)

    @property
    def is_shown(self) -> bool:
        """Whether the method's own gain is more than chance gives: shares of less say nothing."""
        return self.true.difference > 0 and self.true.p <= SIGNIFICANCE

    def matches(self, name: str) -> bool:
        """Whether a control gains at least .8 of what the method gains, where that is shown to gain anything."""
        found = self.controls.get(name)
        return found is not None and self.is_shown and found.difference >= 0.8 * self.true.difference


@dataclass(frozen=True, slots=True)
class Outcome:
    """One part: what it was planned to take, what it took, and why it was left out, if it was."""

    name: str
    planned: Spent
    spent: Spent = Spent()
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found."""

    task: str
    start: Start | None = None
    format: FormatGap | None = None
    gain: SmallestGain | None = None
    headroom: Headroom | None = None
    coupling: Coupling | None = None
    controls: Controls | None = None
    outcomes: tuple[Outcome, ...] = ()

    def left_out(self, name: str) -> str:
        """Why a part was left out, or ""."""
        return next((outcome.skipped for outcome in self.outcomes if outcome.name == name), "")
