"""Rows out of files of people: JSON lines and tables. Takes paths, gives rows of text with the place they came from.

A row that is malformed is an error that names file and line; no row is skipped silently, except empty lines.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from semprop.engine.errors import DataError
from semprop.engine.example import Example, normalised, shuffled


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `place` is file and line, for complaints; `number` the line; `values` maps columns to text."""

    place: str
    number: int
    values: Mapping[str, str] = field(hash=False)

    def text(self, column: str) -> str:
        """The text of a column.

        Raises:
            DataError: the row has no such column.
        """
        if column not in self.values:
            raise DataError(f"{self.place}: there is no {column!r}; the row has: {', '.join(self.values) or 'nothing'}")
        return self.values[column]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written. `columns` names them where the file has no header; `quoted` is whether a quotation mark
    is more than a character."""

    delimiter: str = ","
    quoted: bool = True
    columns: tuple[str, ...] = ()


def json_lines(path: Path) -> Iterator[Row]:
    """The rows of a file with one JSON object a line. Numbers and truth values become text as JSON writes them; a null
    is a column that is not there.

    Raises:
        DataError: the file cannot be read, or a line is not an object of plain values.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield _json_row(f"{path}:{number}", number, line)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _json_row(place: str, number: int, line: bytes) -> Row:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error}; write one object a line") from error
    if not isinstance(document, dict):
        raise DataError(f"{place}: expected a JSON object, found {type(document).__name__}; write one object a line")
    values = {}
    for column, value in document.items():
        if isinstance(value, dict | list):
            raise DataError(f"{place}, {column!r}: expected text or a number, found {type(value).__name__}")
        if value is not None:
            values[column] = value if isinstance(value, str) else orjson.dumps(value).decode()
    return Row(place, number, values)


def table(path: Path, dialect: Dialect) -> Iterator[Row]:
    """The rows of a table; its first line names the columns unless the dialect does.

    Raises:
        DataError: the file cannot be read, is not UTF-8, has no header, names a column twice, or a row has another
            number of fields.
    """
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=dialect.delimiter, quoting=quoting, strict=True)
            columns = dialect.columns or tuple(next(reader, ()))
            if not columns or len(set(columns)) < len(columns):
                raise DataError(f"{path}:1: expected a line that names each column once")
            # A field may span lines, so a row's number is that of its first line.
            number = reader.line_num
            for fields in reader:
                first, number = number + 1, reader.line_num
                if not fields:
                    continue
                if len(fields) != len(columns):
                    raise DataError(
                        f"{path}:{first}: {len(fields)} fields where there are {len(columns)} columns "
                        f"({', '.join(columns)}); mend the row"
                    )
                yield Row(f"{path}:{first}", first, dict(zip(columns, fields, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        mend = "; write rows with longer fields as JSON lines (.jsonl)" if "field limit" in str(error) else ""
        raise DataError(f"{path}, after line {number}: cannot be read: {error}{mend}") from error


def unseen(examples: Iterable[Example], others: Iterable[Example]) -> tuple[Example, ...]:
    """The examples whose question is not among the others (law L7), in their order."""
    known = {normalised(example) for example in others}
    return tuple(example for example in examples if normalised(example) not in known)


def drawn(examples: tuple[Example, ...], size: int, seed: int, split: str) -> tuple[Example, ...]:
    """At most `size` examples, in an order drawn from the seed.

    Raises:
        DataError: some were asked for, and there are none.
    """
    if size and not examples:
        raise DataError(f"the {split} split is empty: no row is fit for it; give more rows, or ask for 0")
    return shuffled(examples, seed, "order", split)[:size]
