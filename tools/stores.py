"""Where the command keeps replies that runs of this user share, and which of them it takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import platformdirs

from semprop.engine.training.cache import ReplyCache
from semprop.providers.layers import Stack


def default_cache() -> Path:
    """Where replies are kept that runs of this user share."""
    return Path(platformdirs.user_cache_dir("semprop")) / "replies"


def cache_of(named: Path | None, refused: bool, providers: Iterable[Stack]) -> ReplyCache | None:
    """The shared cache: the one that was named, or the user's own. What this machine answers costs nothing, and its
    address says little about what answers: it is shared only if a cache is named."""
    if refused:
        return None
    if named is not None:
        return ReplyCache(named)
    paid = any("@https://" in provider.identity for provider in providers)
    return ReplyCache(default_cache()) if paid else None
