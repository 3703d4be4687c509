"""Do prompts interact? Two factors, two levels each, on the same items. Pure.

A is the last instruction, B all others together; each at its start and as an alternative. The interaction of an item
is c = s(A, B) − s(A, ·) − s(·, B) + s(·, ·): 0 wherever the prompts' effects add up, so that each can be optimized
alone. Its mean is tested by sign flips, exactly and whatever the items' own difficulty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semprop.engine.statistics import SIGNIFICANCE, Interval, bootstrap_interval, seeded, sign_flip

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Cells:
    """One item's scores: at the start, with A changed, with B changed, with both."""

    start: float
    a: float
    b: float
    both: float


@dataclass(frozen=True, slots=True)
class Coupling:
    """What two instructions do, alone and together.

    Attributes:
        a, b: main effects, in scores: the mean change when one is replaced, whatever the other is.
        interaction: the mean of c, `interval` its 95 % interval, `p` two-sided.
        share: the interaction's part of the variance between prompts, and `share_interval` its bootstrap interval.
    """

    n: int
    a: float
    b: float
    interaction: float
    interval: Interval
    p: float
    share: float
    share_interval: Interval

    @property
    def interacts(self) -> bool:
        return self.p <= SIGNIFICANCE

    @property
    def is_flat(self) -> bool:
        """Whether the alternatives changed next to nothing, so that nothing could be seen."""
        return max(abs(self.a), abs(self.b), abs(self.interaction)) < 0.01


def coupling(items: Sequence[Cells], seed: int) -> Coupling | None:
    """The coupling over items that have all four scores; None if there are none."""
    if not items:
        return None
    scores = np.array([(item.start, item.a, item.b, item.both) for item in items], dtype=np.float64)
    contrasts = scores[:, 3] - scores[:, 1] - scores[:, 2] + scores[:, 0]
    low, high = bootstrap_interval(contrasts / 2, seed)
    generator = np.random.default_rng((seeded(seed), 5))
    drawn = [_share(scores[generator.integers(0, len(scores), len(scores))]) for _ in range(RESAMPLES)]
    share_low, share_high = np.quantile(drawn, [0.025, 0.975])
    effect_a, effect_b, interaction = _effects(scores)
    return Coupling(
        n=len(items),
        a=effect_a,
        b=effect_b,
        interaction=interaction,
        interval=Interval(2 * low, 2 * high),
        p=sign_flip(contrasts / 2, seed),
        share=_share(scores),
        share_interval=Interval(float(share_low), float(share_high)),
    )


def _effects(scores: np.ndarray) -> tuple[float, float, float]:
    start, a, b, both = scores.mean(axis=0)
    return float((a - start + both - b) / 2), float((b - start + both - a) / 2), float(both - a - b + start)


def _share(scores: np.ndarray) -> float:
    """SS_AB / (SS_A + SS_B + SS_AB) of the four means; 0 where nothing differs. With effects x, y and contrast c these
    are in the ratio x² : y² : c²/4."""
    a, b, interaction = _effects(scores)
    total = a * a + b * b + interaction * interaction / 4
    return interaction * interaction / 4 / total if total > 1e-12 else 0.0
