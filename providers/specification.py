"""What a user writes to name a provider: `kind:model[@http(s)://base]`, or a NAME out of a TOML file.

Takes text and files; gives frozen values, reads no secret. Every fault says which table, which key and the mend.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import orjson
from yarl import URL

from semprop.providers.base import Capabilities, Mixture, Sampling
from semprop.providers.batches.terms import BatchTerms, terms_in
from semprop.providers.errors import StopError
from semprop.providers.hedging import Hedge
from semprop.providers.kinds import KINDS
from semprop.providers.pools.routing import Policy, Rules
from semprop.providers.price_tables import prices_in
from semprop.providers.prices import Prices
from semprop.providers.tables import Table, fault, written_out
from semprop.providers.wire.profiles import PROFILES

POOL = "pool"
"""What stands before the colon of a pool, and names its tables."""

_OF_POOLS = (
    *("members", "model", "policy", "patience", "affinity", "on_refusal", "mixed"),
    *("sampling", "capabilities", "hedge"),
)

_SPELLED = ("kind", "model", "base", "name", "members", "rules")
"""What a specification has from its text or its table's name, and what pools have."""


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
        profile: the service's habits with limits (`semprop.providers.wire.profiles.PROFILES`); None: by the host.
        hedge: when to send a second attempt beside a slow one; None: never.
        ca: a file or folder of certificate authorities.
        identity: what answers, in place of `kind:model@base` (so that a moved endpoint keeps its replies).
        prices: in place of the listed ones.
        stream: whether replies come in events, so that their first token and gaps are timed; the text is the same.
        prompt_cache: whether prompts are marked for a service whose prompt cache wants to be told (Anthropic).
        batch: how its batch API is used for requests that nobody waits for; None: it is not.
        capabilities: single promises, in place of the kind's own.
        members: those of a pool, in their order; its `model` is what its user says that all of them are.
        rules: how a pool routes.
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
    members: tuple[Specification, ...] = ()
    rules: Rules = Rules()
    batch: BatchTerms | None = None

    @property
    def text(self) -> str:
        """How it is written: `parse` gives the same kind, model and base back, of a pool name and members."""
        if self.members:
            return f"{POOL}:{','.join(each.called for each in self.members)}"
        return f"{self.kind}:{self.model}" + (f"@{self.base}" if self.base else "")

    @property
    def called(self) -> str:
        """What people call it: its name, or how it is written."""
        return self.name or self.text

    @property
    def mixture(self) -> Mixture:
        """Of how many models its replies are: members of one name are one, and so are those of which it is said."""
        if self.model or not self.members:
            return Mixture.ONE
        return Mixture.PINNED if self.rules.is_pinned else Mixture.ANY

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
    """Read `kind:model[@http(s)://base]`: the kind ends at the first colon, the base begins at the last `@http`; or
    a pool of such (`pool_in`).

    Raises:
        StopError: no such kind, no model, or a base that is none (CONFIGURATION); it lists the kinds.
    """
    kind, colon, rest = text.strip().partition(":")
    if kind == POOL and colon:
        return pool_in(rest, {})
    if not colon or kind not in KINDS:
        raise fault(f"there is no provider {_short(text)}; {_kinds()}")
    begin = max(rest.rfind("@http://"), rest.rfind("@https://"))
    model, base = (rest[:begin], rest[begin + 1 :]) if begin >= 0 else (rest, None)
    if not model and kind != "simulated":
        raise fault(f"the provider {_short(text)} names no model; {_kinds()}")
    if base is None and model.endswith("@"):
        # An empty variable of a shell, most likely: what was meant for that address must go nowhere else.
        raise fault(
            f"the provider {_short(text)} ends with @, and no address follows: write @https://HOST/PATH after it"
        )
    if base is not None:
        if not KINDS[kind].moves:
            raise fault(f"the provider {_short(kind + ':' + model)} takes no address: leave out everything from @")
        _check_base(base)
    elif KINDS[kind].is_http and not KINDS[kind].base:
        raise fault(f"the provider {_short(text)} names no address: write {KINDS[kind].written}")
    return Specification(kind, model, base)


def resolve(text: str, named: Mapping[str, Specification]) -> Specification:
    """The specification of a NAME out of a providers file, or of `kind:model[@base]` written out.

    Raises:
        StopError: it is neither (CONFIGURATION); it lists names and kinds.
    """
    text = text.strip()
    if text in named:
        return named[text]
    if text.startswith(f"{POOL}:"):
        return pool_in(text.removeprefix(f"{POOL}:"), named)
    if ":" not in text:
        names = f"the providers file names {', '.join(named)}; " if named else ""
        raise fault(f"there is no provider {_short(text)}; {names}{_kinds()}")
    return parse(text)


def load(path: Path | str) -> dict[str, Specification]:
    """The tables `[provider.NAME]` and `[pool.NAME]` of a TOML file, or of the same as JSON, in its order.

    Raises:
        StopError: the file cannot be read, or holds something that no table takes (CONFIGURATION).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        document = orjson.loads(text) if Path(path).suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise fault(f"the providers file {path} cannot be read: {error}; give the path of a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise fault(f"the providers file {path} is not TOML: {error}; see [provider.NAME] in the README") from error
    except orjson.JSONDecodeError as error:
        raise fault(
            f"the providers file {path} is not JSON: {error}; write the tables of the README as objects"
        ) from error
    if not isinstance(document, dict):
        raise fault(f"the providers file {path} must hold one object")
    return tables(document, str(path))


def check_one_model(specification: Specification) -> None:
    """Refuse a pool of several models where nobody can say which of them is wanted.

    Raises:
        StopError: it is one (CONFIGURATION).
    """
    if specification.mixture is Mixture.ANY:
        raise fault(
            f"the pool {specification.called!r} has several models ({', '.join(_models(specification))}): say "
            '`model = "NAME"` if all are the same one under different names, or `mixed = "pinned"` to have equal '
            "requests answered by one of them, always the same"
        )


def _models(specification: Specification) -> list[str]:
    return list(dict.fromkeys(member.model for member in specification.members))


def tables(document: Mapping[str, Any], where: str) -> dict[str, Specification]:
    """The same from a parsed document; `where` names it in faults.

    Raises:
        StopError: something that no table takes (CONFIGURATION).
    """
    others = [name for name in document if name not in ("provider", POOL)]
    parts = {kind: document.get(kind, {}) for kind in ("provider", POOL)}
    wrong = others or [kind for kind, part in parts.items() if not isinstance(part, dict)]
    if wrong:
        raise fault(f"{where}: [{', '.join(wrong)}] is unknown: only tables [provider.NAME] and [pool.NAME] are read")
    read: dict[str, Specification] = {}
    for kind, part in parts.items():
        for name, table in part.items():
            place = f"{where}, [{kind}.{name}]"
            if not isinstance(table, dict):
                raise fault(f"{place}: it must be a table")
            if ":" in name or not name.strip():
                raise fault(f"{place}: a name holds no colon, which would make it `kind:model`; choose another")
            if name in read:
                raise fault(f"{place}: a provider has the same name; choose another")
            entry = _Table(place, table)
            read[name] = entry.specification(name) if kind == "provider" else entry.pool(name, read)
    return read


def pool_in(text: str, named: Mapping[str, Specification]) -> Specification:
    """A pool that is written out: `MEMBER,MEMBER,…[;SETTING=VALUE…]`, with the settings of a table `[pool.NAME]` that
    are words or numbers, and `name`. A piece that begins no member goes on with the one before it.

    Raises:
        StopError: a member or a setting is at fault (CONFIGURATION).
    """
    table = written_out(text, lambda piece: piece in named or piece.partition(":")[0] in KINDS)
    name = table.pop("name", "")
    return _Table(f"the pool {_short(text)}", table).pool(name, named)


class _Table(Table):
    """One table of a providers file."""

    __slots__ = ()

    def specification(self, name: str) -> Specification:
        """The table's specification."""
        self.only(("spec", *(item.name for item in fields(Specification) if item.name not in _SPELLED)))
        if "spec" not in self.table:
            raise fault(f'{self.place}: `spec` is missing: write spec = "kind:model"; {_kinds()}')
        spec = self.text("spec") or ""
        try:
            parsed = parse(spec)
        except StopError as error:
            raise fault(f"{self.place}: {error}") from error
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
            batch=terms_in(self.inner("batch")) if "batch" in self.table else None,
        )

    def pool(self, name: str, named: Mapping[str, Specification]) -> Specification:
        """The pool of a table `[pool.NAME]`."""
        self.only(_OF_POOLS)
        members = self.members(named)
        models = list(dict.fromkeys(member.model for member in members))
        mixed = self.word("mixed", ("pinned",))
        model = self.text("model") or (models[0] if len(models) == 1 else "")
        if mixed is not None and model:
            raise fault(f"{self.place}: all members are {model!r}, so there is nothing to pin: leave `mixed` out")
        if len(dict.fromkeys(member.sampling for member in members)) > 1:
            raise fault(f"{self.place}: its members draw in different ways: give `sampling` to the pool, not to them")
        policy = self.word("policy", tuple(Policy))
        return Specification(
            POOL,
            model,
            name=name,
            sampling=self.sampling(),
            capabilities=self.capabilities(),
            hedge=self.hedge(),
            members=members,
            rules=Rules(
                policy=Rules().policy if policy is None else Policy(policy),
                patience=self.number("patience"),
                affinity="affinity" not in self.table or self.switch("affinity"),
                passes_refusals=self.word("on_refusal", ("stop", "next")) == "next",
                is_pinned=mixed is not None,
            ),
        )

    def members(self, named: Mapping[str, Specification]) -> tuple[Specification, ...]:
        """The members of a pool, which are no pools and differ in what they are called."""
        texts = self.table.get("members")
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise self.wrong("members", 'a list of names and providers, as ["mine", "openai:gpt-4o-mini"]')
        try:
            members = tuple(resolve(text, named) for text in texts)
        except StopError as error:
            raise fault(f"{self.place}: {error}") from error
        called = [member.called for member in members]
        twice = next((each for place, each in enumerate(called) if each in called[:place]), None)
        if twice is not None:
            raise fault(f"{self.place}: {twice!r} is a member twice; name each once")
        for member in members:
            if member.members or member.hedge is not None:
                what = "is a pool itself" if member.members else "has a `hedge`"
                raise fault(f"{self.place}: the member {member.called!r} {what}: give that to the pool as a whole")
        return members

    def profile(self) -> str | None:
        """The name of a service's habits."""
        return self.word("profile", tuple(PROFILES))

    def prices(self) -> Prices | None:
        """The user's own prices."""
        inner = self.inner("prices")
        return prices_in(inner.table, inner.place) if inner.table else None

    def capabilities(self) -> tuple[tuple[str, bool], ...]:
        """Single promises, in the order of the file."""
        inner = self.inner("capabilities")
        inner.only(tuple(item.name for item in fields(Capabilities) if item.name not in ("simulated", "mixture")))
        for name, value in inner.table.items():
            if not isinstance(value, bool):
                raise inner.wrong(name, "true or false")
        return tuple(inner.table.items())


def _check_base(base: str) -> None:
    try:
        url = URL(base)
        host, user = url.host, url.user
    except ValueError as error:
        raise fault(f"the base address cannot be read ({error}): write @https://HOST[:PORT]/PATH") from error
    if user is not None:
        raise fault("the base address holds a user or a password: leave it out and name a variable as `key_env`")
    if not host or url.query_string or url.fragment or any(character.isspace() for character in base):
        raise fault(
            f"the base address {base!r} must be @https://HOST[:PORT]/PATH; parameters go into `query` of the "
            "providers file"
        )


def _kinds() -> str:
    kinds = (kind.written for kind in KINDS.values())
    return f"the kinds are: {'; '.join(kinds)}; {POOL}:MEMBER,MEMBER (several that answer in one name)"


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
