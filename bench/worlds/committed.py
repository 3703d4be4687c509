"""The file of predictions: written by a command before the first table is run, then only read.

The file says with which rules it was computed; a table shows the predictions of the file, never new ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from semprop.bench.worlds.catalogue import WORLDS
from semprop.bench.worlds.comparing import OUTCOMES, Predicted
from semprop.bench.worlds.methods import JOINT, NEIGHBOURHOODS, VIEWS
from semprop.bench.worlds.predictions import MARGIN, Basis, Outlook, basis, outlook, word_of
from semprop.bench.worlds.views import View
from semprop.engine.errors import UsageError
from semprop.providers.simulated.model import RULES

FILE = Path(__file__).with_name("predictions.json")
SCALES = ("inf", "4000", "1000", "300")
"""L0 in tokens."""
SCHEMA = 1


def scale_of(text: str) -> float:
    """An L0 as a number."""
    return math.inf if text == "inf" else float(text)


def predictions(names: Iterable[str] = tuple(WORLDS), scales: Sequence[str] = SCALES) -> dict[str, Any]:
    """Compute the predictions of all worlds, methods and L0."""
    worlds = {name: _world(basis(WORLDS[name]), scales) for name in names}
    return {"schema": SCHEMA, "rules": RULES, "margin": MARGIN, "joint": JOINT, "worlds": worlds}


def _world(on: Basis, scales: Sequence[str]) -> dict[str, Any]:
    views = {**{name: (each.advice, each.cases) for name, each in NEIGHBOURHOODS.items()}, **VIEWS}
    criterion = on.criterion
    return {
        "family": on.world.family,
        "criterion": None
        if criterion is None
        else {
            "bits": round(criterion.bits, 4),
            "right_without": round(criterion.right_without, 4),
            "right_with": round(criterion.right_with, 4),
        },
        "losses": {"+".join(names): round(loss, 4) for names, loss in on.losses.items()},
        "methods": {
            name: {scale: _entry(on, advice, cases, scale_of(scale)) for scale in scales}
            for name, (advice, cases) in views.items()
            if advice is not None and cases is not None
        },
    }


def _entry(on: Basis, advice: View, cases: View, scale: float) -> dict[str, Any]:
    mine = Outlook(outlook(on, advice, scale).advice, outlook(on, cases, scale).score)
    joint = outlook(on, View.JOINT, scale)
    words = {outcome: str(word_of(_value(joint, outcome) - _value(mine, outcome))) for outcome in OUTCOMES}
    return {"advice": round(mine.advice, 4), "score": round(mine.score, 4), "joint": words}


def _value(of: Outlook, outcome: str) -> float:
    return of.advice if outcome == "advice" else of.score


def written(document: dict[str, Any]) -> bytes:
    """The document as it stands in the file."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def committed(path: Path = FILE) -> dict[str, Any]:
    """The document in the file.

    Raises:
        UsageError: no predictions were made.
    """
    try:
        document: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"there are no predictions in {path}: make them with semprop worlds --predict FILE") from error
    return document


def words_of(document: dict[str, Any]) -> Predicted:
    """(world, method, L0, outcome) → the word predicted of the joint method."""
    return {
        (world, method, scale, outcome): word
        for world, each in document["worlds"].items()
        for method, scales in each["methods"].items()
        if method != document["joint"]
        for scale, entry in scales.items()
        for outcome, word in entry["joint"].items()
    }
