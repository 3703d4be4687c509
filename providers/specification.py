"""What a user writes to name a provider: `kind:model[@http(s)://base]`, or a NAME out of a TOML file.

Takes text and files; gives frozen `Specification` values. Opens no connection and reads no key: a key is named
by its environment variable. Every fault says which table, which key and what would be right.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import orjson
from yarl import URL

from semprop.providers.base import Capabilities, Sampling
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.hedging import Hedge
from semprop.providers.kinds import KINDS
from semprop.providers.limits import PERIODS, RESOURCES, Dimension
from semprop.providers.price_tables import prices_in
from semprop.providers.prices import Prices
from semprop.providers.profiles import PROFILES

_SPELLED = ("kind", "model", "base", "name")
"""What a specification has from its text or its table's name."""


@dataclass(frozen=True, slots=True)
class Specification:
    """A provider that somebody named.

    Attributes:
        kind: one of `KINDS`.
        model: what stands behind the colon.
        base: the base address, if one was given.
        name: the NAME of its table, if it has one.
        key_env: the environment variable of its key; None: the kind's own; empty: no key is sent.
        headers: further headers; a value `env:NAME` is read from that variable at the first call.
        query: further parameters of the address, in the same way.
        body: further fields of every request's body, as the text of one JSON object.
        sampling: what is sent where a request leaves a field open.
        timeout: seconds for one attempt.
        in_flight: the bound on requests at once; None: the caller's.
        limits: (dimension, amount), as `requests/minute`, that requests of this account and group share.
        account_limits: the same for all groups of the account together.
        account: who pays; None: the endpoint and the variable of its key. Two keys of one organization are one account.
        group: the models that share limits; None: the model.
        profile: the service's habits with limits (`semprop.providers.profiles.PROFILES`); None: by the host.
        hedge: when to send a second attempt beside a slow one; None: never.
        ca: a file or folder of certificate authorities.
        identity: what answers, in place of `kind:model@base` (so that a moved endpoint keeps its replies).
        prices: in place of the listed ones.
        stream: whether replies come in events, so that their first token and gaps are timed; the text is the same.
        prompt_cache: whether prompts are marked for a service whose prompt cache wants to be told (Anthropic).
        capabilities: single promises, in place of the kind's own.
    """

    kind: str
    model: str
    base: str | None = None
    name: str = ""
    key_env: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: str = "{}"
    sampling: Sampling | None = None
    timeout: float = 600.0
    in_flight: int | None = None
    ca: str | None = None
    identity: str | None = None
    prices: Prices | None = None
    capabilities: tuple[tuple[str, bool], ...] = ()
    limits: tuple[tuple[str, float], ...] = ()
    account_limits: tuple[tuple[str, float], ...] = ()
    account: str | None = None
    group: str | None = None
    profile: str | None = None
    hedge: Hedge | None = None
    stream: bool = False
    prompt_cache: bool = False

    @property
    def text(self) -> str:
        """How it is written: `parse` gives the same kind, model and base back."""
        return f"{self.kind}:{self.model}" + (f"@{self.base}" if self.base else "")

    def shown(self, identity: str) -> str:
        """The identity that content keys hold: the endpoint's own or the one given, and every setting that
        changes replies."""
        changes: dict[str, object] = {}
        if self.sampling is not None:
            settings = ((item.name, getattr(self.sampling, item.name)) for item in fields(self.sampling))
            changes["sampling"] = {name: value for name, value in settings if value is not None and value != ()}
        if self.body != "{}":
            changes["body"] = orjson.loads(self.body)
        suffix = f"#{orjson.dumps(changes, option=orjson.OPT_SORT_KEYS).decode()}" if changes else ""
        return (self.identity or identity) + suffix


def parse(text: str) -> Specification:
    """Read `kind:model[@http(s)://base]`: the kind ends at the first colon, the base begins at the last `@http`.

    Raises:
        StopError: no such kind, no model, or a base that is none (CONFIGURATION); it lists the kinds.
    """
    kind, colon, rest = text.strip().partition(":")
    if not colon or kind not in KINDS:
        raise _fault(f"there is no provider {_short(text)}; {_kinds()}")
    begin = max(rest.rfind("@http://"), rest.rfind("@https://"))
    model, base = (rest[:begin], rest[begin + 1 :]) if begin >= 0 else (rest, None)
    if not model and kind != "simulated":
        raise _fault(f"the provider {_short(text)} names no model; {_kinds()}")
    if base is not None:
        if not KINDS[kind].moves:
            raise _fault(f"the provider {_short(kind + ':' + model)} takes no address: leave out everything from @")
        _check_base(base)
    elif KINDS[kind].is_http and not KINDS[kind].base:
        raise _fault(f"the provider {_short(text)} names no address: write {KINDS[kind].written}")
    return Specification(kind, model, base)


def resolve(text: str, named: Mapping[str, Specification]) -> Specification:
    """The specification of a NAME out of a providers file, or of `kind:model[@base]` written out.

    Raises:
        StopError: it is neither (CONFIGURATION); it lists names and kinds.
    """
    text = text.strip()
    if text in named:
        return named[text]
    if ":" not in text:
        names = f"the providers file names {', '.join(named)}; " if named else ""
        raise _fault(f"there is no provider {_short(text)}; {names}{_kinds()}")
    return parse(text)


def load(path: Path | str) -> dict[str, Specification]:
    """The tables `[provider.NAME]` of a TOML file, in its order.

    Raises:
        StopError: the file cannot be read, or holds something that no table takes (CONFIGURATION).
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _fault(f"the providers file {path} cannot be read: {error}; give the path of a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise _fault(f"the providers file {path} is not TOML: {error}; see [provider.NAME] in the README") from error
    return tables(document, str(path))


def tables(document: Mapping[str, Any], where: str) -> dict[str, Specification]:
    """The same from a parsed document; `where` names it in faults.

    Raises:
        StopError: something that no table takes (CONFIGURATION).
    """
    others = [name for name in document if name != "provider"]
    found = document.get("provider", {})
    if others or not isinstance(found, dict):
        raise _fault(f"{where}: [{', '.join(others) or 'provider'}] is unknown: only tables [provider.NAME] are read")
    read = {}
    for name, table in found.items():
        place = f"{where}, [provider.{name}]"
        if not isinstance(table, dict):
            raise _fault(f"{place}: it must be a table")
        if ":" in name or not name.strip():
            raise _fault(f"{place}: a name holds no colon, which would make it `kind:model`; choose another")
        read[name] = _Table(place, table).specification(name)
    return read


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of a providers file, read with faults that name the place."""

    place: str
    table: Mapping[str, Any]

    def specification(self, name: str) -> Specification:
        """The table's specification."""
        self.only(("spec", *(item.name for item in fields(Specification) if item.name not in _SPELLED)))
        if "spec" not in self.table:
            raise _fault(f'{self.place}: `spec` is missing: write spec = "kind:model"; {_kinds()}')
        spec = self.text("spec") or ""
        try:
            parsed = parse(spec)
        except StopError as error:
            raise _fault(f"{self.place}: {error}") from error
        timeout = self.number("timeout")
        return replace(
            parsed,
            name=name,
            key_env=self.text("key_env"),
            headers=self.texts("headers"),
            query=self.texts("query"),
            body=orjson.dumps(self.inner("body").table).decode(),
            sampling=self.sampling(),
            timeout=600.0 if timeout is None else timeout,
            in_flight=self.count("in_flight"),
            ca=self.text("ca"),
            identity=self.text("identity"),
            prices=self.prices(),
            capabilities=self.capabilities(),
            limits=self.limits("limits"),
            account_limits=self.limits("account_limits"),
            account=self.text("account"),
            group=self.text("group"),
            profile=self.profile(),
            hedge=self.hedge(),
            stream=self.switch("stream"),
            prompt_cache=self.switch("prompt_cache"),
        )

    def limits(self, name: str) -> tuple[tuple[str, float], ...]:
        """A table of limits, `"requests/minute" = 500`, in the order of the file."""
        inner = self.inner(name)
        read = []
        for dimension in inner.table:
            if Dimension.parse(dimension) is None:
                raise _fault(
                    f"{inner.place}: there is no limit {dimension!r}: write {', '.join(RESOURCES)}, then a slash and "
                    f'{", ".join(PERIODS)}, as in "requests/minute" = 500'
                )
            amount = inner.number(dimension)
            if not amount:
                raise inner.wrong(dimension, "a number above 0")
            read.append((dimension, amount))
        return tuple(read)

    def profile(self) -> str | None:
        """The name of a service's habits."""
        name = self.text("profile")
        if name is not None and name not in PROFILES:
            raise self.wrong("profile", f"one of {', '.join(PROFILES)}")
        return name

    def hedge(self) -> Hedge | None:
        """`{after = "p95" or seconds, extra = share}`; both may be left out."""
        if "hedge" not in self.table:
            return None
        inner = self.inner("hedge")
        inner.only(tuple(item.name for item in fields(Hedge)))
        after, extra = inner.table.get("after", "p95"), inner.number("extra")
        if after != "p95" and not inner.number("after"):
            raise inner.wrong("after", 'seconds above 0, or "p95"')
        if extra is not None and not 0 < extra <= 1:
            raise inner.wrong("extra", "a share above 0 and at most 1")
        return Hedge("p95" if after == "p95" else float(after), Hedge().extra if extra is None else extra)

    def sampling(self) -> Sampling | None:
        """The defaults of sampling; fields that are not named stay open."""
        inner = self.inner("sampling")
        inner.only(("temperature", "top_p", "max_tokens", "seed", "stop", "top_logprobs"))
        stop = inner.table.get("stop", [])
        if not isinstance(stop, list) or not all(isinstance(item, str) for item in stop):
            raise inner.wrong("stop", "a list of texts")
        if not inner.table:
            return None
        return Sampling(
            temperature=inner.number("temperature"),
            top_p=inner.number("top_p"),
            max_tokens=inner.count("max_tokens"),
            seed=inner.count("seed"),
            stop=tuple(stop),
            top_logprobs=inner.count("top_logprobs"),
        )

    def prices(self) -> Prices | None:
        """The user's own prices."""
        inner = self.inner("prices")
        return prices_in(inner.table, inner.place) if inner.table else None

    def capabilities(self) -> tuple[tuple[str, bool], ...]:
        """Single promises, in the order of the file."""
        inner = self.inner("capabilities")
        inner.only(tuple(item.name for item in fields(Capabilities) if item.name != "simulated"))
        for name, value in inner.table.items():
            if not isinstance(value, bool):
                raise inner.wrong(name, "true or false")
        return tuple(inner.table.items())

    def only(self, names: tuple[str, ...]) -> None:
        """Raise for a key that is none of the names."""
        for name in self.table:
            if name not in names:
                raise _fault(f"{self.place}: {name!r} is unknown: it takes {', '.join(names)}")

    def inner(self, name: str) -> _Table:
        """The table inside this one; empty if there is none."""
        value = self.table.get(name, {})
        if not isinstance(value, dict):
            raise self.wrong(name, "a table")
        return _Table(f"{self.place}, {name}", value)

    def switch(self, name: str) -> bool:
        """True or false; false if there is nothing."""
        value = self.table.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def text(self, name: str) -> str | None:
        """A text, or None if there is none."""
        value = self.table.get(name)
        if value is not None and not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def texts(self, name: str) -> tuple[tuple[str, str], ...]:
        """A table of texts."""
        inner = self.inner(name)
        return tuple((key, inner.text(key) or "") for key in inner.table)

    def number(self, name: str) -> float | None:
        """A finite number that is not negative, or None if there is none."""
        value = self.table.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise self.wrong(name, "a number of 0 or more")
        return float(value)

    def count(self, name: str) -> int | None:
        """A whole number that is not negative, or None if there is none."""
        value = self.table.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise self.wrong(name, "a whole number of 0 or more")
        return value

    def wrong(self, name: str, wanted: str) -> StopError:
        """The fault of a value of the wrong type."""
        return _fault(f"{self.place}: {name!r} must be {wanted}")


def _check_base(base: str) -> None:
    try:
        url = URL(base)
        host, user = url.host, url.user
    except ValueError as error:
        raise _fault(f"the base address cannot be read ({error}): write @https://HOST[:PORT]/PATH") from error
    if user is not None:
        raise _fault("the base address holds a user or a password: leave it out and name a variable as `key_env`")
    if not host or url.query_string or url.fragment or any(character.isspace() for character in base):
        raise _fault(
            f"the base address {base!r} must be @https://HOST[:PORT]/PATH; parameters go into `query` of the "
            "providers file"
        )


def _kinds() -> str:
    return "the kinds are: " + "; ".join(kind.written for kind in KINDS.values())


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")


def _fault(message: str) -> StopError:
    return StopError(message, ErrorClass.CONFIGURATION, attempts=0)
