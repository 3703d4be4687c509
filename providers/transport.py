"""The sessions of a program: one for each endpoint, whatever number of models is asked there.

Takes the settings of providers; gives them sessions, opened by the first that needs one and closed by the last that
leaves. Share connections by passing one `Transport` to several providers; there is no registry.
"""

from __future__ import annotations

import aiohttp
import anyio
from yarl import URL

from semprop.providers.connection import HttpSettings, tls_context
from semprop.providers.exchange import CONNECTING

_CLOSING = 5.0

_Place = tuple[str, str, int | None, str | None, int]


class Transport:
    """Sessions that several providers share."""

    def __init__(self) -> None:
        self._sessions: dict[_Place, SharedSession] = {}
        self._connections = 0

    def __repr__(self) -> str:
        return f"Transport(endpoints={len(self._sessions)}, connections={self._connections})"

    @property
    def connections(self) -> int:
        """The most sockets that its providers can have open at once."""
        return self._connections

    def join(self, settings: HttpSettings) -> SharedSession:
        """The session that a provider of these settings uses. Opens nothing.

        Who joins after the session was opened gets another one, since the bound on its connections is fixed.
        """
        url = URL(settings.base)
        # One object of variables is one proxy and one set of authorities.
        place = (url.scheme, url.host or "", url.port, settings.ca, id(settings.environment))
        session = self._sessions.get(place)
        if session is None or session.is_open:
            session = self._sessions[place] = SharedSession(settings)
        session.connections += settings.connections
        self._connections += settings.connections
        return session


class SharedSession:
    """A session and who uses it.

    Attributes:
        connections: the most sockets at once: the bounds of all who joined.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.connections = 0
        self._settings = settings
        self._users = 0
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"SharedSession({URL(self._settings.base).origin()}, {state}, users={self._users})"

    @property
    def is_open(self) -> bool:
        """Whether somebody uses it."""
        return self._session is not None

    def enter(self) -> aiohttp.ClientSession:
        """The session, which is opened for the first user. Each `enter` needs its `leave`.

        Raises:
            StopError: the certificate authorities cannot be read (CONFIGURATION).
        """
        if self._session is None:
            self._session = self._opened()
        self._users += 1
        return self._session

    async def leave(self) -> None:
        """One user less; after the last one every socket is closed, also while the caller is being cancelled."""
        self._users -= 1
        if self._users:
            return
        session, self._session = self._session, None
        if session is not None:
            with anyio.move_on_after(_CLOSING, shield=True):
                await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        settings = self._settings
        encrypted = URL(settings.base).scheme == "https"
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self.connections,
                ssl=tls_context(settings) if encrypted else True,
                ttl_dns_cache=300,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The deadline of an attempt stands around it: a timer of the session would cost 10 µs a request.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING),
            # Reading the proxy's variables for every request would cost 2.75 times the request.
            trust_env=False,
        )
