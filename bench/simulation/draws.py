"""Where simulated scores come from. Pure: a generator, keyed by seed and purpose, gives arrays.

Items are right or wrong under the incumbent with a chance `BASE`. A candidate of true gain Δ and discordance ρ mends a
share (ρ + Δ)/2 of the items and breaks (ρ − Δ)/2.
"""

from __future__ import annotations

import zlib

import numpy as np

from semprop.bench.simulation.kernels import Boards

BASE = 0.6
"""The incumbent's true accuracy. With it, statistics that depend on it agree best with the reference's."""


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """A stream of its own for each purpose."""
    return np.random.default_rng((seed, zlib.crc32(repr(purpose).encode())))


def binary(random: np.random.Generator, many: int, items: int, gains: tuple[float, ...], rho: float) -> Boards:
    """0/1 boards: a fresh incumbent, and a candidate for each true gain."""
    incumbent = (random.random((many, 1, items)) < BASE).astype(np.float64)
    return np.concatenate([incumbent, successors(random, incumbent, gains, rho)], axis=1)


def successors(random: np.random.Generator, incumbent: Boards, gains: tuple[float, ...], rho: float) -> Boards:
    """Candidates of an incumbent with these scores."""
    many, _, items = incumbent.shape
    chances = random.random((many, len(gains), items))
    steps = np.array(gains)[:, None]
    broken = chances < (rho - steps) / 2 / BASE
    mended = chances < (rho + steps) / 2 / (1 - BASE)
    return np.where(incumbent > 0, ~broken, mended).astype(np.float64)


def graded(random: np.random.Generator, many: int, items: int, gain: float, square: float) -> Boards:
    """Boards of one candidate whose differences are normal, with this mean and mean square, cut to [−1, 1]."""
    spread = np.sqrt(square - gain**2)
    differences = np.clip(random.normal(gain, spread, (many, items)), -1, 1)
    return np.stack([np.maximum(-differences, 0), np.maximum(differences, 0)], axis=1)
