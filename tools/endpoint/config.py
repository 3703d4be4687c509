"""How a mock endpoint's settings are read from TOML.

Takes text, gives `Config`; every fault names the table, the field and what would be right. Opens nothing but the file.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from semprop.engine.errors import SpecificationError
from semprop.engine.fields import Fields
from semprop.providers.errors import StopError
from semprop.providers.simulated import model as simulated
from semprop.tools.endpoint.dialects import DIALECTS
from semprop.tools.endpoint.settings import (
    BatchSettings,
    Change,
    Charge,
    Config,
    Counted,
    Distribution,
    Draw,
    Fault,
    FaultKind,
    Foreign,
    HeaderSettings,
    Latency,
    Limit,
    ReplySettings,
    Shared,
    Slots,
    Told,
    WaitForm,
    When,
)
from semprop.tools.endpoint.windows import DAY, MINUTE

T = TypeVar("T")


class ConfigError(SpecificationError):
    """The file of a mock endpoint holds something that cannot be."""


def load(path: Path) -> Config:
    """The endpoint that a TOML file describes.

    Raises:
        ConfigError: it cannot be read, or holds something that cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the endpoint's file {path} cannot be read: {error}; give the path of a TOML file"
        ) from error
    return parse(text, str(path))


def parse(text: str, where: str = "endpoint") -> Config:
    """The same from TOML text; `where` names it in faults.

    Raises:
        ConfigError: it is not TOML, or holds something that cannot be.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from error
    top = Fields(document, where, ConfigError)
    config = Config(
        seed=top.take("seed", int, 0),
        reply=_inner(top, "reply", _reply) or ReplySettings(),
        latency=_inner(top, "latency", _latency) or Latency(),
        headers=_inner(top, "headers", _headers) or HeaderSettings(),
        limits=_each(top, "limit", _limit),
        charge=top.choice("charge", Charge) if "charge" in top else None,
        charge_refused=top.take("charge_refused", bool, False),
        changes=_each(top, "change", _change),
        foreign=_each(top, "foreign", _foreign),
        faults=_each(top, "fault", _fault),
        slots=_inner(top, "slots", _slots),
        batch=_inner(top, "batch", _batch) or BatchSettings(),
        context=_whole(top, "context", None, least=1),
        refuses=top.texts("refuses", ()),
        ledger_rows=_whole(top, "ledger_rows", None, least=1),
        largest=_whole(top, "largest", 64 * 1024 * 1024, least=1) or 1,
    )
    top.finish()
    return config


def _reply(fields: Fields) -> ReplySettings:
    text, size = fields.optional("text", str), _whole(fields, "bytes", None, least=1)
    settings = fields.take("simulated", str, "")
    if (text is not None) + (size is not None) + bool(settings) > 1:
        raise ConfigError(f"{fields.where}: give one of `text`, `bytes` and `simulated`")
    try:
        simulated.settings_of(settings)
    except StopError as error:
        raise ConfigError(f"{fields.where}: {error}") from error
    return ReplySettings("x" * size if size is not None else text, settings)


def _latency(fields: Fields) -> Latency:
    return Latency(
        first=_distribution(fields, "first"),
        gap=_distribution(fields, "gap"),
        per_input_token=_amount(fields, "per_input_token", 0.0),
    )


def _distribution(fields: Fields, key: str) -> Distribution:
    value = fields.data(key, 0.0)
    if not isinstance(value, dict):
        return Distribution(_checked(fields, key, value))
    inner = Fields(value, f"{fields.where}, {key}", ConfigError)
    read = Distribution(_amount(inner, "median"), _amount(inner, "sigma", 0.0))
    inner.finish()
    return read


def _headers(fields: Fields) -> HeaderSettings:
    default = HeaderSettings()
    dialect = fields.take("dialect", str, default.dialect)
    if dialect not in DIALECTS:
        raise ConfigError(f"{fields.where}, field 'dialect': {dialect!r} is none of {', '.join(DIALECTS)}")
    return HeaderSettings(
        dialect=dialect,
        told=fields.choice("told", Told, default.told),
        factor=_amount(fields, "factor", default.factor),
        age=_amount(fields, "age", default.age),
        retry_after=fields.choice("retry_after", WaitForm, default.retry_after),
    )


def _limit(fields: Fields) -> Limit:
    return Limit(
        of=fields.choice("of", Counted),
        most=_above(fields, "most"),
        seconds=_window(fields),
        per=fields.choice("per", Shared, Shared.ENDPOINT),
        models=fields.texts("models", ()),
    )


_WINDOWS = (1.0, 10.0, MINUTE, DAY)


def _window(fields: Fields) -> float:
    seconds = _amount(fields, "seconds", MINUTE)
    if seconds not in _WINDOWS:
        raise ConfigError(f"{fields.where}, field 'seconds': {seconds:g} is none of 1, 10, 60, 86400")
    return seconds


def _when(fields: Fields) -> When:
    return When(
        begin=_amount(fields, "begin", 0.0),
        end=_amount(fields, "end", math.inf),
        first_attempt=_whole(fields, "first_attempt", 1, least=1) or 1,
        last_attempt=_whole(fields, "last_attempt", None, least=1) or math.inf,
        every=_whole(fields, "every", 1, least=1) or 1,
        share=_share(fields),
        draw=fields.choice("draw", Draw, Draw.ATTEMPT),
        tries=_whole(fields, "tries", None, least=1),
    )


def _span(fields: Fields) -> When:
    """The conditions that a change of limits takes: there is nothing to draw."""
    return When(
        begin=_amount(fields, "begin", 0.0),
        end=_amount(fields, "end", math.inf),
        first_attempt=_whole(fields, "first_attempt", 1, least=1) or 1,
        last_attempt=_whole(fields, "last_attempt", None, least=1) or math.inf,
    )


def _share(fields: Fields, key: str = "share", default: float = 1.0) -> float:
    share = _amount(fields, key, default)
    if share > 1.0:
        raise ConfigError(f"{fields.where}, field {key!r}: {share:g} is above 1")
    return share


def _fault(fields: Fields) -> Fault:
    default = Fault(FaultKind.THROTTLE)
    return Fault(
        kind=fields.choice("kind", FaultKind),
        when=_when(fields),
        retry_after=_amount(fields, "retry_after") if "retry_after" in fields else None,
        delay=_amount(fields, "delay", 0.0),
        rate=_above(fields, "rate", default.rate),
        size=_whole(fields, "size", default.size, least=1) or default.size,
    )


def _change(fields: Fields) -> Change:
    of = fields.choice("of", Counted) if "of" in fields else None
    return Change(_above(fields, "factor"), of, _span(fields))


def _foreign(fields: Fields) -> Foreign:
    return Foreign(
        rate=_above(fields, "rate"),
        input=_whole(fields, "input", 0) or 0,
        output=_whole(fields, "output", 0) or 0,
        model=fields.take("model", str, ""),
        begin=_amount(fields, "begin", 0.0),
        end=_amount(fields, "end", math.inf),
    )


def _batch(fields: Fields) -> BatchSettings:
    return BatchSettings(
        seconds=_distribution(fields, "seconds"),
        answer=_amount(fields, "answer", 0.0),
        listed=_amount(fields, "listed", 0.0),
        **{name: _share(fields, name, 0.0) for name in ("errored", "expired", "missing", "duplicated", "foreign")},
    )


def _slots(fields: Fields) -> Slots:
    queue = _whole(fields, "queue", None)
    return Slots(_whole(fields, "parallel", 1, least=1) or 1, math.inf if queue is None else queue)


def _inner(top: Fields, key: str, read: Callable[[Fields], T]) -> T | None:
    """One table, or None if there is none."""
    if key not in top:
        return None
    inner = Fields(top.data(key), f"{top.where}, [{key}]", ConfigError)
    value = read(inner)
    inner.finish()
    return value


def _each(top: Fields, key: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
    """The tables of a list of tables."""
    values = []
    for number, table in enumerate(top.tables(key), 1):
        inner = Fields(table, f"{top.where}, [[{key}]] {number}", ConfigError)
        values.append(read(inner))
        inner.finish()
    return tuple(values)


def _amount(fields: Fields, key: str, default: float | None = None) -> float:
    return _checked(fields, key, fields.data(key) if default is None else fields.data(key, default))


def _above(fields: Fields, key: str, default: float | None = None) -> float:
    value = _amount(fields, key, default)
    if value <= 0:
        raise ConfigError(f"{fields.where}, field {key!r}: it must be above 0")
    return value


def _checked(fields: Fields, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fields.wrong(key, "a number", value)
    if not value >= 0:
        raise ConfigError(f"{fields.where}, field {key!r}: {value:g} is not a number of 0 or more")
    return float(value)


def _whole(fields: Fields, key: str, default: int | None, least: int = 0) -> int | None:
    if key not in fields:
        return default
    value = fields.take(key, int)
    if value < least:
        raise ConfigError(f"{fields.where}, field {key!r}: {value} is less than {least}")
    return value
