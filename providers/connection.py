"""What it takes to reach an endpoint: its address, key, headers, proxy and certificate authorities.

Takes settings and the environment's variables as a mapping; gives a `Route`, in which all of them are resolved
once. Reads certificate files, opens no connection, and keeps a list of what must never be shown.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # public, not in typeshed

from yarl import URL

from semprop.providers.errors import ErrorClass, StopError

FROM_ENVIRONMENT = "env:"
"""Stands before the name of a variable, in a header or query parameter whose value is not written down."""

_SHORTEST_SECRET = 8
# A tab may stand in a header.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where an endpoint is and how it is reached.

    Attributes:
        base: its base address, without user, query or fragment.
        identity: who answers, in every message and content key.
        key_env: the variable that holds the key; empty: no key is sent.
        needs_key: whether a missing key stops the first call.
        headers: further headers; a value `env:NAME` is read from that variable.
        query: parameters that are added to the address.
        timeout: seconds for one attempt, from the send to the last byte.
        connections: the most sockets that are open at once.
        largest: bytes of a reply's body; a larger one fails its request.
        ca: a file or folder of certificate authorities, in place of the system's.
        environment: variables: the key, the proxy, the certificate authorities.
    """

    base: str
    identity: str
    key_env: str = ""
    needs_key: bool = True
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout: float = 600.0
    connections: int = 32
    largest: int = 64 * 1024 * 1024
    ca: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """An address with everything that a request to it needs, and what messages must hide."""

    url: URL
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    proxy: URL | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def route(settings: HttpSettings, path: str, key_headers: Mapping[str, str], key: str) -> Route:
    """Resolve everything that the settings leave to the environment.

    Args:
        settings: the endpoint's settings.
        path: what stands behind the base address (it may stand there already).
        key_headers: the headers that carry the key.
        key: the key (`find_key`), to be hidden; empty if there is none.

    Raises:
        StopError: a variable that a header or parameter names is not set, or the proxy cannot be used.
    """
    headers = tuple((name, _value(settings, "header", name, value)) for name, value in settings.headers)
    query = tuple((name, _value(settings, "query parameter", name, value)) for name, value in settings.query)
    url = URL(settings.base.rstrip("/").removesuffix(path) + path).update_query(query)
    proxy = proxy_for(url, settings.environment)
    secrets = [key]
    for (name, written), (_, value) in zip(settings.headers + settings.query, headers + query, strict=True):
        if written.startswith(FROM_ENVIRONMENT) or _SECRET_NAME.search(name):
            secrets += [value, *value.split()]
    if proxy is not None and proxy.password:
        secrets += [proxy.password, str(proxy)]
    hidden = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
    # The user's own take the place of ours; the same header twice would be two values of it.
    own = {name.lower() for name, _ in headers}
    ours = (("Content-Type", "application/json"), *key_headers.items())
    return Route(
        url,
        (*((name, value) for name, value in ours if name.lower() not in own), *headers),
        proxy,
        tuple(sorted(hidden, key=lambda secret: (-len(secret), secret))),
    )


def find_key(settings: HttpSettings) -> str:
    """The key, out of the variable that the settings name; empty if there is none and none is needed.

    Raises:
        StopError: there is none and one is needed, or it holds characters that no header takes (AUTH).
    """
    name = settings.key_env
    key = settings.environment.get(name, "").strip() if name else ""
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise unusable(f"{name} holds characters that no key has: set it again", ErrorClass.AUTH)
    if not key and name and settings.needs_key:
        raise unusable(
            f"{settings.identity} needs a key: set the environment variable {name}, or name another one as "
            "`key_env` in the providers file",
            ErrorClass.AUTH,
        )
    return key


def unusable(message: str, error_class: ErrorClass = ErrorClass.CONFIGURATION) -> StopError:
    """A stop that was found before anything was sent."""
    return StopError(message, error_class, attempts=0)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def proxy_for(url: URL, environment: Mapping[str, str]) -> URL | None:
    """The proxy that the variables name for an address, or None.

    `https_proxy` or `http_proxy` by the address's scheme, then `all_proxy`, in small letters first;
    `no_proxy` and this machine itself are reached directly.

    Raises:
        StopError: the proxy's address is not an http or https one (CONFIGURATION).
    """
    names = (f"{url.scheme}_proxy", "all_proxy")
    found = ((spelling, environment.get(spelling, "")) for name in names for spelling in (name, name.upper()))
    name, address = next(((name, value) for name, value in found if value), ("", ""))
    host = url.host or ""
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if not address or is_loopback(host) or (excluded and proxy_bypass_environment(host, {"no": excluded})):
        return None
    try:
        proxy = URL(address if "://" in address else f"http://{address}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise unusable(f"{name} is not the address of an http proxy: set it to http://HOST:PORT or unset it")
    return proxy


def tls_context(settings: HttpSettings) -> ssl.SSLContext:
    """Verification by the settings' authorities, else by those that SSL_CERT_FILE or REQUESTS_CA_BUNDLE name, else
    by the system's.

    Raises:
        StopError: the file or folder cannot be read (CONFIGURATION).
    """
    environment = settings.environment
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    found = [("ca", settings.ca or "")] + [(name, environment.get(name, "")) for name in names]
    source, place = next(((name, value) for name, value in found if value), ("", ""))
    if not place:
        return ssl.create_default_context()
    try:
        if Path(place).is_dir():
            return ssl.create_default_context(capath=place)
        return ssl.create_default_context(cafile=place)
    except OSError as error:
        raise unusable(
            f"the certificate authorities that {source} names cannot be read ({place}: {error.strerror or error}): "
            "give a PEM file or a folder of them"
        ) from error


def _value(settings: HttpSettings, what: str, name: str, value: str) -> str:
    if value.startswith(FROM_ENVIRONMENT):
        variable = value.removeprefix(FROM_ENVIRONMENT)
        value = settings.environment.get(variable, "").strip()
        if not value:
            raise unusable(
                f"{settings.identity} needs a value for its {what} {name}: set the environment variable {variable}",
                ErrorClass.AUTH,
            )
    if _CONTROL.search(name + value):
        raise unusable(
            f"the {what} {name!r} of {settings.identity} holds a line break or another control character: write it as "
            "plain text on one line"
        )
    return value
