"""Gates that stop early: what they save at each look-ahead and what that costs in time, and whether they say the same.

Saved calls and wall time are those of a trainer's step against the mock endpoint: the graph is one call, so a cell of
the gate's board is one attempt in the ledger. Verdicts are compared with those on the complete board, in random races.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import mean

import anyio.lowlevel

from semprop.bench.speed.mock import Mock, mock
from semprop.bench.speed.reuse import proposing
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.engine import Exact, Example, Graph, Model, Parameter, Specification, Splits, StrictGate, Trainer
from semprop.engine.gates import Board, Decision, Hole, Verdict
from semprop.engine.gates import Row as Cells
from semprop.engine.passes.gate import Race, race
from semprop.engine.scheduler import Start
from semprop.providers import connect
from semprop.providers.base import Provider

LATENCY = 0.2
"""Seconds that the endpoint takes to answer."""

UNBOUNDED = 1_000_000
LOOKAHEADS = {"0": 0, "16": 16, "unbounded": UNBOUNDED}
"""By name. Without a look-ahead only items are open that every verdict needs."""

FIELDS = ("primary", "backup", "previous", "partner", "standby")
"""Which field of a record the incumbent and up to four candidates are told to read."""

SHARES = {
    "1 candidate, far worse": (0.6, 0.3),
    "1 candidate, slightly worse": (0.6, 0.55),
    "4 candidates, all worse": (0.6, 0.5, 0.4, 0.3, 0.2),
}
"""Scenario → on what share of the examples the incumbent and the candidates are right."""

CASES = 1_000


# Calls and time ------------------------------------------------------------------------------------------------------


def told(column: int) -> str:
    """The instruction of a contender."""
    return f"Give the value of the field {FIELDS[column]}."


def examples(shares: Sequence[float], count: int) -> tuple[Example, ...]:
    """Records in which each contender's field holds the right answer as often as its share says, at random places."""
    rng = Random(f"{shares} {count}")
    columns = []
    for share in shares:
        right = round(share * count)
        words = ["right"] * right + ["wrong"] * (count - right)
        rng.shuffle(words)
        columns.append(words)
    return tuple(_example(number, words) for number, words in enumerate(zip(*columns, strict=True)))


def _example(number: int, words: Sequence[str]) -> Example:
    lines = [f"{name}: {word} {number}" for name, word in zip(FIELDS, words, strict=False)]
    return Example(f"e{number}", {"record": "\n".join(lines)}, f"right {number}")


def specification(provider: Provider, shares: Sequence[float], items: int, lookahead: int) -> Specification:
    """A step with next to nothing but a gate."""
    return Specification(
        graph=Graph(
            inputs=("record",),
            parameters=[Parameter("told", told(0))],
            nodes=[Model("answer", "told", ("record",))],
            output="answer",
        ),
        loss=Exact(),
        splits=Splits(
            (Example("train", {"record": "primary: wrong\nbackup: wrong"}, "right"),),
            examples(shares, items),
            (),
        ),
        method=proposing([("told", told(column)) for column in range(1, len(shares))]),
        providers={"forward": provider},
        steps=1,
        lookahead=lookahead,
        # Nothing but the look-ahead bounds what is open.
        in_flight=items * len(shares),
    )


@dataclass(frozen=True, slots=True)
class Gated:
    """A gate that was run: its verdict, the attempts in the ledger, and seconds."""

    verdict: Verdict
    attempts: int
    seconds: float


async def gated(endpoint: Mock, shares: Sequence[float], items: int, lookahead: int) -> Gated:
    """Run one step. The attempts of the gate are all but one: the only training example's."""
    await endpoint.reset()
    async with Trainer(
        specification(connect(f"openai:any@{endpoint.url}", in_flight=1_000), shares, items, lookahead)
    ) as trainer:
        began = time.perf_counter()
        step = await anext(trainer)
        seconds = time.perf_counter() - began
    assert step.verdict is not None, "the method always proposes"
    return Gated(step.verdict, len(await endpoint.ledger()) - 1, seconds)


async def saved(settings: Settings) -> Sequence[Row]:
    """Calls saved and wall time of rejections, at three look-aheads."""
    items = settings.sized(256, 12)
    rows = []
    async with mock({"latency": {"first": LATENCY}}, settings) as endpoint:
        for name, shares in SHARES.items():
            cells = items * len(shares)
            for ahead, lookahead in LOOKAHEADS.items():
                runs = [await gated(endpoint, shares, items, lookahead) for _ in range(settings.repetitions)]
                decided = {(run.verdict.decision, run.verdict.n) for run in runs}
                said = " and ".join(f"{decision} after {n} items" for decision, n in sorted(decided))
                what = f"{name}, gate of {items} items, look-ahead {ahead}"
                rows.append(
                    Row(
                        what=f"{what}: share of the calls saved",
                        samples=[1 - run.attempts / cells for run in runs],
                        beside=f"all {cells} cells of the board",
                        note=f"{said}; attempts in the ledger: {', '.join(str(run.attempts) for run in runs)}",
                    )
                )
                rows.append(
                    Row(
                        what=f"{what}: wall time",
                        samples=[run.seconds for run in runs],
                        unit=" s",
                        beside=f"{LATENCY:g} s for one call",
                        note=f"item after item: {runs[0].verdict.n * LATENCY:.1f} s at least",
                    )
                )
    return rows


# Verdicts ------------------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A random race: scores, some of them missing at the first or at both tries. `asked` counts the first tries."""

    seed: int
    table: list[tuple[float | None, ...]] = field(default_factory=list)
    again: list[tuple[float | None, ...]] = field(default_factory=list)
    sizes: tuple[int, ...] = ()
    asked: int = 0

    def __post_init__(self) -> None:
        rng = Random(self.seed)
        width = rng.randint(2, 5)
        levels = rng.choice([(0.0, 1.0), (0.0, 0.25, 0.5, 1.0), tuple(tenth / 10 for tenth in range(11))])
        lost, twice = rng.choice([(0.0, 0.0), (0.03, 0.5), (0.15, 0.5)])
        self.sizes = tuple(rng.randint(1, 3) for _ in range(width))
        # Some are alike, so that sums tie; some are plainly better or worse, most of them worse.
        skill = [rng.choice([0.5, 0.6, 0.7]), *(rng.choice([0.3, 0.5, 0.5, 0.7]) for _ in range(width - 1))]
        for _ in range(rng.randint(1, 200)):
            scores = [levels[min(int(rng.betavariate(4 * s, 4 - 4 * s) * len(levels)), len(levels) - 1)] for s in skill]
            fails = [rng.random() < lost for _ in scores]
            self.table.append(tuple(None if failed else score for failed, score in zip(fails, scores, strict=True)))
            self.again.append(tuple(None if rng.random() < twice else score for score in scores))

    async def __call__(self, column: int, item: Example, again: int, start: Start) -> float | None:
        self.asked += not again
        row = int(item.id)
        for _ in range(hash((self.seed, row, column, again)) % 7):
            await anyio.lowlevel.checkpoint()
        return (self.again if again else self.table)[row][column]

    async def raced(self, lookahead: int) -> Race:
        """The race, run to its verdict."""
        items = [Example(str(number), {}) for number in range(len(self.table))]
        return await race(StrictGate(), items, self.sizes, self, lookahead)

    def whole(self) -> Verdict:
        """The verdict on the complete board: every cell measured, and missing ones asked for once more."""
        first = _verdict(self.table, self.sizes)
        if first.decision is not Decision.UNDECIDED:
            return first
        filled = [
            tuple(second if score is None else score for score, second in zip(*rows, strict=True))
            for rows in zip(self.table, self.again, strict=True)
        ]
        return _verdict(filled, self.sizes)


def _verdict(table: Sequence[Sequence[float | None]], sizes: tuple[int, ...]) -> Verdict:
    rows: list[Cells] = [tuple(Hole.MISSING if score is None else score for score in row) for row in table]
    decided = StrictGate().decide(Board(tuple(rows), len(rows), sizes))
    assert isinstance(decided, Verdict), "nothing is pending"
    return decided


def contradict(early: Verdict, whole: Verdict) -> bool:
    """Whether two verdicts differ, though failures kept neither from being one."""
    both = Decision.UNDECIDED not in (early.decision, whole.decision)
    return both and (early.decision, early.winner) != (whole.decision, whole.winner)


async def verdicts(settings: Settings) -> Sequence[Row]:
    """Early verdicts against those of full evaluation, in random races."""
    count = settings.sized(CASES, 20)
    wrong = unlike = undecided = complete = complete_unlike = 0
    saved: dict[str, list[float]] = {name: [] for name in LOOKAHEADS}
    for seed in range(count):
        case = Case(seed)
        whole = case.whole()
        races = {}
        for name, lookahead in LOOKAHEADS.items():
            case.asked = 0
            races[name] = await case.raced(lookahead)
            if races[name].verdict.decision is Decision.REJECT:
                saved[name].append(1 - case.asked / (len(case.table) * len(case.sizes)))
        early = races["0"].verdict
        wrong += contradict(early, whole)
        unlike += any(each != races["0"] for each in races.values())
        is_complete = all(None not in row for row in case.table)
        differs = (early.decision, early.winner) != (whole.decision, whole.winner)
        complete += is_complete
        complete_unlike += is_complete and differs
        undecided += not is_complete and differs
    made = f"{count} random races (1–200 items, 1–4 candidates, 0/1 and graded scores, ties, missing cells)"
    note = (
        f"{complete} races without missing cells, of which {complete_unlike} differ in anything; in {undecided} of the "
        "others one of the two is undecided, since failures fell unequally on the rows that it saw"
    )
    return [
        Row(
            what=f"{made}: verdicts that full evaluation contradicts",
            samples=[wrong + complete_unlike],
            bar=at_most(0),
            beside="the strict gate on the complete board",
            note=note,
        ),
        Row(
            what=f"{made}: verdict or deciding board differs between look-aheads 0, 16 and unbounded",
            samples=[unlike],
            bar=at_most(0),
        ),
        *(
            Row(
                what=f"{made}: share of the cells saved where the candidates were rejected, look-ahead {name}",
                samples=[mean(shares) if shares else 0.0],
                beside=f"all cells; mean of {len(shares)} rejections",
            )
            for name, shares in saved.items()
        ),
    ]


MEASURES: dict[str, Measure] = {"gates": saved, "verdicts": verdicts}
