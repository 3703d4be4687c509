"""The user's own tasks: a Python file that holds one, or a TOML file beside the data. Takes paths, gives a `Task`.

A data file is never run: Python is loaded only from the path that the user names as a Python file. A TOML task:

    name = "capitals"                  # else the file's name
    data = "capitals.jsonl"            # or a list; or { train = …, gate = …, test = … } (gate may be left out)
    inputs = ["question"]              # columns; or { input = "column" }
    pictures = ["photo"]               # those of the columns that name files of pictures; may be left out
    expected = "answer"                # a column; may be left out if the loss needs none
    loss = "casefold"                  # or { name = "numeric", tolerance = 0.5 }
    labels = ["Yes", "No"]             # the possible answers, if they are few
    output = "answer"                  # the last node

    [[node]]                           # or [graph] with shape = "chain" | "layered" | "fan"
    name = "answer"
    instruction = "Answer the question."
    inputs = ["question"]
    reply = "tagged"
    sampling = { max_tokens = 256 }

A text keeps to what its table says, and is asked to: `max_bytes = 2000`, `max_words = 60`, `placeholders = ["{name}"]`,
`pattern = "…"` (with `pattern_words = "…"`), `json_schema = {…}`.

`id` and `group` name further columns; `[[parameter]]` declares a parameter that nodes name with `parameter`,
`demonstrations` or `numbers`; `[sizes]`, `[defaults]` and `[clauses]` have the fields of `Sizes`, `Defaults` and
`Task.clauses`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tomllib
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from semprop.bench.task import Defaults, Sizes, Task
from semprop.bench.user_data import Files, Loader
from semprop.bench.user_graphs import graph_of
from semprop.engine.errors import SpecificationError, UsageError
from semprop.engine.fields import Fields
from semprop.engine.losses import Judge, Loss, Numeric
from semprop.engine.methods.clauses import ClausePool
from semprop.engine.named_losses import named
from semprop.engine.squared import Squared

SIZES = Sizes(train=50, gate=50, test=100)
"""Where a task says nothing; no more than there are."""


def from_python(path: Path, attribute: str) -> Task:
    """The task that a Python file holds: a `Task`, or a function without arguments that gives one.

    Raises:
        UsageError: there is no such file or attribute, the file cannot be run, or it gives something else.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}: name a Python file, as in path.py:task")
    module = _module(path)
    found = getattr(module, attribute, None)
    if found is None:
        names = [name for name, value in vars(module).items() if isinstance(value, Task)]
        raise UsageError(f"{path} has no {attribute!r}; tasks in it: {', '.join(names) or 'none'}")
    if not isinstance(found, Task) and callable(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            raise UsageError(f"{path}:{attribute} raised {_told(error, path)}") from error
    if not isinstance(found, Task):
        raise UsageError(
            f"{path}:{attribute} is {type(found).__name__}, expected semprop.bench.task.Task or a function giving one"
        )
    return found


def _module(path: Path) -> ModuleType:
    place = path.resolve()
    name = f"semprop_task_{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"
    specification = importlib.util.spec_from_file_location(name, place)
    if specification is None or specification.loader is None:
        raise UsageError(f"{path} is not a Python file: name one that ends in .py")
    module = importlib.util.module_from_spec(specification)
    # Dataclasses of the file look their module up by name while it runs.
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{path} cannot be loaded: {_told(error, path)}") from error
    return module


def _told(error: Exception | SystemExit, path: Path) -> str:
    """What went wrong, with the last line of the user's file that was running."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path.resolve()
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{type(error).__name__}: {error}" + (f" (line {line})" if line is not None else "")


def from_toml(path: Path) -> Task:
    """The task that a TOML file describes. The data are opened when they are loaded, not before.

    Raises:
        UsageError: the file cannot be read or is malformed; the message names file, field and mend.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}: name a TOML file that describes a task") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecificationError(f"{path} cannot be read: {error}") from error
    fields = Fields(document, str(path), SpecificationError)
    labels = fields.texts("labels", ())
    inputs = _inputs(fields)
    name = fields.take("name", str, path.stem)
    load = Loader(
        files=_files(fields, path.parent),
        inputs=inputs,
        expected=fields.optional("expected", str),
        id=fields.optional("id", str),
        group=fields.optional("group", str),
        pictures=fields.texts("pictures", ()),
    )
    strange = [column for column in load.pictures if column not in inputs.values()]
    if strange:
        raise fields.wrong("pictures", f"columns of inputs, which are {', '.join(inputs.values())}", strange[0])
    task = Task(
        name=name,
        description=fields.take("description", str, f"your task, from {path.name}"),
        graph=graph_of(fields, tuple(inputs)),
        loss=_loss(fields, labels),
        load=load,
        defaults=_defaults(fields),
        clauses=_clauses(fields),
        labels=labels,
        note=fields.take("note", str, ""),
    )
    fields.finish()
    return task


def _inputs(fields: Fields) -> Mapping[str, str]:
    """Input of the graph → column."""
    value = fields.data("inputs")
    inputs = value if isinstance(value, Mapping) else dict.fromkeys(value) if isinstance(value, list) else None
    pairs = {name: name if column is None else column for name, column in (inputs or {}).items()}
    if not pairs or not all(isinstance(text, str) for pair in pairs.items() for text in pair):
        raise fields.wrong("inputs", 'columns, as ["question"] or { question = "column" }', value)
    return pairs


def _files(fields: Fields, base: Path) -> Files:
    value = fields.data("data")
    parts = value if isinstance(value, dict) else {"all": value}
    known: dict[str, tuple[str, ...]] = {}
    for split, names in parts.items():
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
            raise fields.wrong("data", "a file, a list of files, or a table of them by split", names)
        known[split] = tuple(listed)
    if tuple(known) != ("all",) and not {"train", "test"} <= set(known) <= {"train", "gate", "test"}:
        raise fields.wrong("data", "files for train and test, and for gate if you have them", value)
    return Files(base, known)


def _loss(fields: Fields, labels: tuple[str, ...]) -> Loss:
    value = fields.data("loss")
    if isinstance(value, str):
        return named(value, labels)
    options = Fields(value, f"{fields.where}, loss", SpecificationError)
    loss = named(options.take("name", str), labels)
    match loss:
        case Numeric():
            loss = Numeric(options.number("tolerance", 0.0))
        case Squared():
            loss = Squared(options.number("scale", 1.0))
        case Judge():
            loss = Judge(options.take("criteria", str, loss.criteria), reference=options.take("reference", bool, True))
    options.finish()
    return loss


def _defaults(fields: Fields) -> Defaults:
    sizes = Fields(fields.data("sizes", {}), f"{fields.where}, sizes", SpecificationError)
    options = Fields(fields.data("defaults", {}), f"{fields.where}, defaults", SpecificationError)
    # Whoever names the forward provider replaces all: no other role may then ask a service that was not named.
    named = options.names("providers", {})
    plain = Defaults(Sizes(*(sizes.take(split, int, getattr(SIZES, split)) for split in ("train", "gate", "test"))))
    defaults = Defaults(
        plain.sizes,
        method=options.take("method", str, plain.method),
        providers=named if "forward" in named else {**plain.providers, **named},
        steps=options.take("steps", int, plain.steps),
        minibatch=options.take("minibatch", int, plain.minibatch),
        examples_per_gradient=options.take("examples_per_gradient", int, plain.examples_per_gradient),
        candidates=options.take("candidates", int, plain.candidates),
        in_flight=options.take("in_flight", int, plain.in_flight),
    )
    sizes.finish()
    options.finish()
    return defaults


def _clauses(fields: Fields) -> Mapping[str, ClausePool]:
    pools = {}
    for name, groups in fields.take("clauses", dict, {}).items():
        if not isinstance(groups, list) or not all(
            isinstance(group, list) and all(isinstance(clause, str) for clause in group) for group in groups
        ):
            raise fields.wrong(
                "clauses", f'groups of texts for {name}, as [["Do this.", "Do that."], ["Be brief."]]', groups
            )
        pools[name] = tuple(map(tuple, groups))
    return pools
