"""How many files and sockets this process may hold. Takes a number; asks the system for room."""

from __future__ import annotations

import sys

from semprop.engine.errors import UsageError

SPARE = 64
"""Descriptors beside the sockets: the journal, pipes, weights, the terminal."""


def raise_file_limit(needed: int) -> int:
    """Let this process hold `needed` open files and sockets at once; how many it may hold then.

    The soft limit is raised where it is too low, never lowered, and no further than the system's hard limit.

    Raises:
        UsageError: the hard limit is too low; it names the mend.
    """
    if sys.platform == "win32":
        # Sockets are no file descriptors there, and nothing bounds them.
        return needed
    # Not there on Windows.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _is_below(soft, needed):
        return needed if soft == resource.RLIM_INFINITY else soft
    if _is_below(hard, needed):
        raise UsageError(
            f"{needed} open files and sockets are needed at once, and the system allows {hard}: "
            f"run `ulimit -n {needed}` first (or have the hard limit raised), or give a smaller --in-flight"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return needed


def _is_below(limit: int, needed: int) -> bool:
    import resource

    return limit != resource.RLIM_INFINITY and limit < needed
