"""Published files: where they come from, how they are checked, where they are kept. Blocking; takes names, gives paths.

A file is either in a directory of the user's (`--data`, SEMPROP_DATA), which is never written to, or in the user's
cache, filled from the publisher over https. Every file is checked against its sha256 before it is used, and stored
whole or not at all.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from semprop.bench.published import ORIGINS, PUBLISHED, Published
from semprop.engine.errors import DataError, StorageError, UsageError

ENVIRONMENT = "SEMPROP_DATA"
"""The environment variable that names the user's directory."""

OWN_SUMS = "SHA256SUMS"
"""A file in the user's directory, as `sha256sum` writes it, by which the user vouches for files of their own."""

MAX_BYTES = 100_000_000
"""No published file is a tenth of this."""


def default_cache() -> Path:
    """Where fetched files are kept."""
    return Path(platformdirs.user_cache_dir("semprop")) / "data"


def _silent(line: str) -> None:
    """Says nothing."""


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the data are.

    Attributes:
        directory: the user's own; if given, nothing is fetched.
        cache: where fetched files are kept.
        origins: publisher → base address.
        files: name → what is known of the published file.
        timeout: seconds that the network may be silent.
        announce: is told, in a line, what is being fetched.
        is_asked_for: whether the directory was given for this very order, not for all by the environment.
        read: the names of files that were asked for so far.
    """

    directory: Path | None = None
    cache: Path = field(default_factory=default_cache)
    origins: Mapping[str, str] = field(default_factory=lambda: ORIGINS, hash=False)
    files: Mapping[str, Published] = field(default_factory=lambda: PUBLISHED, hash=False)
    timeout: float = 30.0
    announce: Callable[[str], None] = _silent
    is_asked_for: bool = False
    read: dict[str, None] = field(default_factory=dict, compare=False, repr=False)

    def path(self, name: str) -> Path:
        """The checked file of this name, such as `gsm8k/train.jsonl`; fetched first where that is allowed.

        Raises:
            DataError: the file is absent, cannot be fetched, or is not the published one.
            StorageError: the cache cannot be written.
        """
        self.read[name] = None
        if self.directory is not None:
            return self._given(self.directory, name)
        place = self.cache / name
        if not place.is_file() or _sha256(place.read_bytes()) != self.files[name].sha256:
            self._fetch(name)
        return place

    def check_read(self, task: str) -> None:
        """Make sure that a directory that was given for this order was of use, once the task has its examples.

        Raises:
            UsageError: the task has examples of its own, and read nothing there.
        """
        if self.is_asked_for and not self.read:
            raise UsageError(
                f"the task {task!r} reads no published files, so --data {self.directory} would change nothing: leave "
                "it out, or name a task of your own (path.toml) that reads your examples"
            )

    def own(self) -> tuple[str, ...]:
        """The files for which the user vouches and which are not the published ones: results on them are not results
        on the published set, and have to say so."""
        if self.directory is None:
            return ()
        sums = _own_sums(self.directory)
        return tuple(name for name, digest in sums.items() if name in self.files and digest != self.files[name].sha256)

    def _given(self, directory: Path, name: str) -> Path:
        place = directory / name
        if not directory.is_dir():
            raise DataError(f"the data directory {directory} is not a directory: name one that holds {name}")
        if not place.is_file():
            raise DataError(
                f"{place} is absent: put the file there (from {self._address(name)}), or leave out --data and "
                f"{ENVIRONMENT} to have it fetched"
            )
        own = _own_sums(directory).get(name)
        expected, found = own or self.files[name].sha256, _sha256(place.read_bytes())
        if found != expected:
            raise DataError(
                f"{place} has sha256 {found}, expected {expected}: get the published file from {self._address(name)}; "
                f"if you mean to use a file of your own, list it in {directory / OWN_SUMS} (as sha256sum writes it)"
            )
        return place

    def _address(self, name: str) -> str:
        known = self.files[name]
        return self.origins[known.origin] + known.remote

    def _fetch(self, name: str) -> None:
        address = self._address(name)
        self.announce(f"fetching {address}")
        try:
            body = download(address, self.timeout)
        except (OSError, http.client.HTTPException) as error:
            raise DataError(
                f"{address} cannot be fetched ({error}): check the network, or get the file by other means and name "
                f"the directory that holds {name} with --data or {ENVIRONMENT}"
            ) from error
        # One archive may hold several files of the table: all of them are kept, none is fetched twice.
        for other, known in self.files.items():
            if (known.origin, known.remote) == (self.files[name].origin, self.files[name].remote):
                content = _member(body, known.member, address) if known.member else body
                found = _sha256(content)
                if found != known.sha256:
                    raise DataError(
                        f"{other}, fetched from {address}, has sha256 {found}, expected {known.sha256}: the publisher "
                        "changed it, or something on the way did; get the file by other means and use --data"
                    )
                _store(self.cache / other, content)


def data_source(
    directory: Path | None, environment: Mapping[str, str], announce: Callable[[str], None] = _silent
) -> DataSource:
    """The source that the command line and the environment name, in this order; else the cache."""
    named = environment.get(ENVIRONMENT)
    of_all = Path(named) if named else None
    return DataSource(directory or of_all, announce=announce, is_asked_for=directory not in (None, of_all))


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to an address that could not have been asked for."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]  # as its base
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(address: str, timeout: float, limit: int = MAX_BYTES) -> bytes:
    """The body at an https address; plain http is for this machine alone.

    Raises:
        OSError, http.client.HTTPException: no network, a refusal, a time-out, a reply that ended early.
        DataError: the address is not https, or the body is larger than `limit` bytes.
    """
    handlers: list[urllib.request.BaseHandler] = [_SecureRedirects()]
    if _check_address(address):
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(address, headers={"User-Agent": "semprop"})
    with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as reply:
        body: bytes = reply.read(limit + 1)
        promised = reply.headers.get("Content-Length")
    if len(body) > limit:
        raise DataError(f"{address} is larger than {limit:,} bytes: it is not the published file")
    if promised is not None and len(body) < int(promised):
        raise http.client.IncompleteRead(body, int(promised) - len(body))
    return body


def _check_address(address: str) -> bool:
    """Whether the address is on this machine.

    Raises:
        DataError: it is not, and not https either.
    """
    parts = urllib.parse.urlsplit(address)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not local and parts.scheme != "https":
        raise DataError(f"{address} is not an https address: files are fetched over https only")
    return local


def _member(archive: bytes, member: str, address: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            if opened.getinfo(member).file_size > MAX_BYTES:
                raise DataError(f"{member} in {address} is larger than {MAX_BYTES:,} bytes: not the published file")
            return opened.read(member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(
            f"{address} is not an archive that holds {member} ({error}): get the file by other means and use --data"
        ) from error


def _own_sums(directory: Path) -> Mapping[str, str]:
    place = directory / OWN_SUMS
    if not place.is_file():
        return {}
    sums = {}
    for number, line in enumerate(place.read_text(encoding="utf-8").splitlines(), 1):
        digest, _, name = line.partition(" ")
        if not name or len(digest) != 64:
            raise DataError(f"{place}:{number}: expected a sha256 and a file name, as sha256sum writes them")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return sums


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _store(place: Path, content: bytes) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"{place} cannot be written ({error}): free space there, or use --data") from error
