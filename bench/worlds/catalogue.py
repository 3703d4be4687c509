"""All worlds by name, in the order of their families."""

from __future__ import annotations

import re

from semprop.bench.worlds import digits, interacting, noisy
from semprop.bench.worlds.world import World
from semprop.engine.errors import UsageError

WORLDS = {
    world.name: world for world in (*noisy.worlds(), *digits.worlds(), *interacting.worlds(), *noisy.noisy_worlds())
}


def world_named(name: str) -> World:
    """The world of this name; `random-N` is the N-th random one.

    Raises:
        UsageError: there is none; the message lists them.
    """
    if match := re.fullmatch(r"random-(\d+)", name):
        return digits.random_world(int(match[1]))
    if name not in WORLDS:
        raise UsageError(f"there is no world {name!r}; there are: {', '.join(WORLDS)}, random-N")
    return WORLDS[name]
