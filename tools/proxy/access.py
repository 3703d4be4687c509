"""Who may use a proxy. Pure: takes a request's headers, gives a refusal or nothing.

With a token: whoever sends it. Without one the proxy listens on loopback only, and pages of other sites in a browser on
this machine are kept out: they name another host, or another origin.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from semprop.providers.connection import is_loopback
from semprop.tools.proxy.errors import Answer, refusal


def refused(headers: Mapping[bytes, bytes], token: str) -> Answer | None:
    """Why this request is not served, or None."""
    if token:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode()):
            return None
        words = (
            "the proxy's token is missing or wrong: send it as `Authorization: Bearer TOKEN` (your client's api_key)"
        )
        return refusal(401, words, "invalid_request_error", "invalid_api_key", lines=(("www-authenticate", "Bearer"),))
    if _is_here(b"//" + headers.get(b"host", b"localhost")) and _is_here(headers.get(b"origin", b"//localhost")):
        return None
    words = "only this machine may use a proxy without a token, under its own name: start it with --token-env"
    return refusal(403, words, "invalid_request_error", "forbidden")


def _is_here(address: bytes) -> bool:
    try:
        return is_loopback(urlsplit(address.decode("latin-1")).hostname or "")
    except ValueError:
        return False
