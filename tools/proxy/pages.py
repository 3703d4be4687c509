"""The pages of a proxy beside its completions: models, health, statistics, and a status page for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

import orjson

from semprop.tools.proxy.errors import JSON, Answer
from semprop.tools.serving.http1 import Lines

_HTML: Lines = (
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("cache-control", "no-store"),
)

_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;margin:0 0 1.5rem}td,th{padding:.15rem .8rem .15rem 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #8884}th{font-weight:600}h2{margin:1.5rem 0 .3rem;font-size:1.1rem}"
    ":root{color-scheme:light dark}"
)


def document(content: object) -> Answer:
    """A page of JSON."""
    return Answer(200, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE), JSON)


def model(name: str) -> dict[str, object]:
    """A model as OpenAI lists it."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "semprop"}


def models(names: Iterable[str]) -> Answer:
    """The list of models."""
    return document({"object": "list", "data": [model(name) for name in names]})


def status(statistics: Mapping[str, object]) -> Answer:
    """The statistics for people: one table for each part, renewed every five seconds; nothing from elsewhere."""
    tables = [f"<h2>{escape(title)}</h2>{_table(part)}" for title, part in _parts(statistics)]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        f"<title>semprop proxy</title><style>{_STYLE}</style></head><body><h1>semprop proxy</h1>"
        f"{''.join(tables)}<p>The same as JSON: <a href='/statistics'>/statistics</a></p></body></html>\n"
    )
    return Answer(200, page.encode(), _HTML)


def _parts(statistics: Mapping[str, object]) -> list[tuple[str, Mapping[str, object]]]:
    """The tables: what stands at the top, then each upstream and each limit group."""
    parts: list[tuple[str, Mapping[str, object]]] = []
    top = {name: value for name, value in statistics.items() if name not in ("upstreams", "limits")}
    parts.append(("Requests", top))
    for name, title in (("upstreams", "Upstream"), ("limits", "Limits of")):
        inner = statistics.get(name)
        for key, value in inner.items() if isinstance(inner, Mapping) else ():
            parts.append((f"{title} {key}", value if isinstance(value, Mapping) else {"state": value}))
    return parts


def _table(rows: Mapping[str, object]) -> str:
    cells = (f"<tr><th>{escape(str(name))}</th><td>{escape(_text(value))}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(cells)}</table>"


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(inner)}" for name, inner in value.items())
    return "–" if value is None else str(value)
