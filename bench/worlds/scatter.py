"""Random worlds: the advantage of seeing the siblings, against the bits that the siblings hold. One run a world.

The joint labelled method against `alone`, which sees the instruction and no sibling, on the same examples.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from io import StringIO

from scipy.stats import spearmanr

from semprop.bench.worlds.criterion import criterion
from semprop.bench.worlds.digits import random_world
from semprop.bench.worlds.methods import JOINT, compared
from semprop.bench.worlds.running import Remembering, ground_of, run_cell
from semprop.providers.base import Provider

ALONE = "alone"
SCATTERED = ("advice", "fit", "score")
"""Advantages: of all advice followed together (who should change, and how), of the value told to the input at fault by
itself (how), and in held-out score."""


@dataclass(frozen=True, slots=True)
class Point:
    """One random world: its shape, the criterion, and what the joint method has over the other, in shares."""

    world: str
    fan_in: int
    fault: int
    bits: float
    right_without: float
    planted_loss: float
    advice_joint: float | None
    advice_alone: float | None
    fit_joint: float | None
    fit_alone: float | None
    score_joint: float
    score_alone: float

    @property
    def advice(self) -> float | None:
        """The advantage in advice; None where no example was wrong."""
        if self.advice_joint is None or self.advice_alone is None:
            return None
        return self.advice_joint - self.advice_alone

    @property
    def fit(self) -> float | None:
        """The advantage in values told to the input at fault; None where one of them told it nothing."""
        if self.fit_joint is None or self.fit_alone is None:
            return None
        return self.fit_joint - self.fit_alone

    @property
    def score(self) -> float:
        """The advantage in held-out score."""
        return self.score_joint - self.score_alone


async def run_scatter(
    count: int, provider: Callable[[], Provider], done: Callable[[Point], None] = lambda point: None
) -> tuple[Point, ...]:
    """The first `count` random worlds, the world's number being its seed."""
    points = []
    for number in range(count):
        world = random_world(number)
        assert world.states is not None, "random worlds have a criterion"
        ground, answering = ground_of(world), Remembering(provider())
        joint = await run_cell(ground, compared(JOINT), answering, "inf", number)
        alone = await run_cell(ground, compared(ALONE), answering, "inf", number)
        measured = criterion(world.states())
        steps = tuple(f"{name}-instruction" for name in world.domains)
        points.append(
            Point(
                world=world.name,
                fan_in=len(world.domains),
                fault=steps.index(next(iter(world.repairs))),
                bits=measured.bits,
                right_without=measured.right_without,
                planted_loss=ground.blame.planted,
                advice_joint=joint.validity.share,
                advice_alone=alone.validity.share,
                fit_joint=joint.fit.share,
                fit_alone=alone.fit.share,
                score_joint=joint.after,
                score_alone=alone.after,
            )
        )
        done(points[-1])
    return tuple(points)


@dataclass(frozen=True, slots=True)
class Trend:
    """Spearman's rank correlation over worlds, and the mean advantage with its count on either side of 0 bits."""

    against: str
    outcome: str
    n: int
    rho: float
    p: float


def trends(points: Sequence[Point]) -> tuple[Trend, ...]:
    """Advantage against bits, and against what the best advice lacks without the siblings."""
    found = []
    for outcome in SCATTERED:
        kept = [(point, value) for point in points if (value := getattr(point, outcome)) is not None]
        ys = [value for _, value in kept]
        for against, xs in (
            ("bits", [point.bits for point, _ in kept]),
            ("advice lacking without siblings", [1 - point.right_without for point, _ in kept]),
        ):
            varied = len(set(xs)) > 1 and len(set(ys)) > 1
            rho, p = spearmanr(xs, ys) if varied else (0.0, 1.0)
            found.append(Trend(against, outcome, len(kept), float(rho), float(p)))
    return tuple(found)


def plot(points: Sequence[Point], outcome: str, width: int = 60, height: int = 15) -> tuple[str, ...]:
    """All points as text: bits to the right, advantage upwards from −1 to 1; a digit counts points in one place, and +
    is ten or more."""
    counts: dict[tuple[int, int], int] = {}
    most = max((point.bits for point in points), default=0.0) or 1.0
    for point in points:
        value = getattr(point, outcome)
        if value is not None:
            place = (round((1 - value) / 2 * (height - 1)), round(point.bits / most * (width - 1)))
            counts[place] = counts.get(place, 0) + 1
    lines = []
    for row in range(height):
        cells = (counts.get((row, column), 0) for column in range(width))
        mark = {0: "+1", height // 2: " 0", height - 1: "-1"}.get(row, "  ")
        lines.append(f"{mark} |" + "".join(" " if not n else str(n) if n < 10 else "+" for n in cells).rstrip())
    return (*lines, "   +" + "-" * width, f"    0 bits{' ' * (width - 18)}{most:.2f} bits")


def csv_of(points: Sequence[Point]) -> str:
    """All points as CSV."""
    text = StringIO()
    names = [each.name for each in fields(Point)]
    writer = csv.DictWriter(text, [*names, *(f"advantage_{outcome}" for outcome in SCATTERED)], lineterminator="\n")
    writer.writeheader()
    for point in points:
        writer.writerow({**asdict(point), **{f"advantage_{outcome}": getattr(point, outcome) for outcome in SCATTERED}})
    return text.getvalue()
