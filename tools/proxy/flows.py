"""Whose request it is, for fairness between clients. Pure: takes headers, gives a name that holds no key.

Clients that send one key are one flow; a program that wants a flow of its own names it in a header. A flow decides only
who goes first when a limit makes requests wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

HEADER = b"x-semprop-flow"
LONGEST = 64
"""Characters of a flow's own name that count."""


def flow_of(headers: Mapping[bytes, bytes]) -> str:
    """The flow of a request: its own name, else one made of its key; empty if it has neither."""
    named = headers.get(HEADER, b"").decode("latin-1").strip()[:LONGEST]
    if named:
        return "".join(character if character.isprintable() else "?" for character in named)
    key = headers.get(b"authorization") or headers.get(b"x-api-key") or headers.get(b"api-key") or b""
    return f"key-{hashlib.blake2b(key, digest_size=4).hexdigest()}" if key else ""
