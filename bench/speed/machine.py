"""What a figure was measured on: processors, versions, load. Names no host and no path."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("semprop", "aiohttp", "anyio", "orjson", "uvloop", "yarl", "multidict", "numpy")

_PROCESSORS = Path("/proc/cpuinfo")


def machine() -> Mapping[str, Any]:
    """The machine and what is installed on it, as JSON data."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: found for name in PACKAGES if (found := installed(name)) is not None},
    }


def cores() -> int:
    """How many processors this process may use."""
    return len(usable_cores()) or os.cpu_count() or 1


def usable_cores() -> tuple[int, ...]:
    """The processors that this process may use, by number; none where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def load() -> tuple[float, ...]:
    """The load averages of 1, 5 and 15 minutes; none where the system has none."""
    return tuple(round(value, 2) for value in os.getloadavg()) if hasattr(os, "getloadavg") else ()


def installed(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name as the system tells it, else its architecture."""
    try:
        lines = _PROCESSORS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
