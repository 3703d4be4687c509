"""What a proxy is told to be: one frozen value, checked before anything listens.

A token is needed to listen where others can reach it, since whoever reaches a proxy spends its owner's money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from semprop.engine.errors import SpecificationError
from semprop.providers.budget import Caps
from semprop.providers.connection import is_loopback
from semprop.providers.specification import Specification
from semprop.providers.surroundings import Surroundings
from semprop.tools.serving.connection import Bounds

BOUNDS = Bounds(largest=16 * 1024 * 1024, idle=75.0, receiving=60.0, sending=120.0)
"""What a client may take of a proxy unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A proxy before it listens.

    Attributes:
        upstreams: `kind:model[@base]`, or names in `named`.
        named: the tables of a providers file.
        token: what clients must send as bearer token; empty: nothing, on loopback only.
        store: a directory that keeps the journal: attempts, replies, what was spent; None: memory only.
        host: the address to listen on.
        port: 0 is any free one.
        around: environment, clock, randomness and retry policy of the upstreams.
        caps: the most that may be spent, over all starts with one store.
        bounds: what a client may take: bytes, connections, time.
        most: requests that may be open at once; further ones are refused with status 503.

    Raises:
        SpecificationError: no upstream, or others could reach a proxy that asks for no token.
    """

    upstreams: tuple[str, ...]
    named: Mapping[str, Specification] = field(default_factory=dict, hash=False)
    token: str = field(default="", repr=False)
    store: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    around: Surroundings = Surroundings()
    caps: Caps = Caps()
    bounds: Bounds = BOUNDS
    most: int = 20_000

    def __post_init__(self) -> None:
        if not self.upstreams:
            raise SpecificationError("a proxy needs an upstream: give one with --upstream KIND:MODEL[@BASE]")
        if not self.token and not is_loopback(self.host):
            raise SpecificationError(
                f"others could reach {self.host}, and would spend your keys: put a token into an environment variable "
                "and name it with --token-env, or listen on 127.0.0.1"
            )
        if not self.token.isascii() or any(character.isspace() for character in self.token):
            raise SpecificationError("the token holds spaces or letters that no header can carry: use plain letters")
