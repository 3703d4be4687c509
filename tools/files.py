"""Files that commands write for people: readable by their owner only, since they may hold prompts and replies."""

from __future__ import annotations

import os
from pathlib import Path

from semprop.engine.errors import StorageError

PRIVATE = 0o600


def write_file(file: Path, data: bytes) -> None:
    """Write a file anew. One that is there keeps its rights; a new one is its owner's only.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with os.fdopen(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, PRIVATE), "wb") as sink:
            sink.write(data)
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error.strerror or error}): name another file") from error
