"""The command `semprop` while it loads, which takes a second or two: Ctrl-C ends it with one line then, too.

Imports nothing of ours before it listens.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

SIGNALLED = 128
"""Exit codes of a command that a signal ended are above."""

INTERRUPTED = 130
TOLD = "stopped by SIGINT: nothing was begun"

DOCUMENT: Mapping[str, Any] = {
    "schema": 1,
    "status": "interrupted",
    "error": {"type": "Interrupted", "message": TOLD, "exit_code": INTERRUPTED},
    "run": None,
    "simulated": None,
    "result": None,
    "telemetry": None,
}
"""As `semprop.tools.exits.document_of` gives it, which is not there yet."""


def main(load: Callable[[str], Any] = import_module) -> int:
    """Load the command and run it; gives its exit code.

    Args:
        load: gives the module of a name.
    """
    try:
        command = load("semprop.tools.__main__")
    except KeyboardInterrupt:
        sys.stderr.write(f"semprop: {TOLD}\n")
        if "--json" in sys.argv:
            sys.stdout.write(f"{json.dumps(DOCUMENT)}\n")
        return INTERRUPTED
    code: int = command.main()
    if code > SIGNALLED and any(
        not each.daemon for each in threading.enumerate() if each is not threading.main_thread()
    ):
        # A signal that strikes while an event loop ends may leave a worker thread behind that nobody tells to end, and
        # the interpreter would wait for it for ever.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
