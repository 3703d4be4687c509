"""Examples out of the user's own files: JSON lines, CSV or TSV. Reads when called; complains by file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from semprop.bench.data import DataSource
from semprop.bench.rows import Dialect, Row, drawn, json_lines, table
from semprop.bench.task import Sizes
from semprop.engine.errors import DataError
from semprop.engine.example import Example, Given, Splits, normalised, split
from semprop.providers.base import Image


@dataclass(frozen=True, slots=True)
class Files:
    """Files by split, as they were written down; `all` if they are not split. `base` is what they are relative to."""

    base: Path
    names: Mapping[str, tuple[str, ...]] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Loader:
    """A task's `load`. `inputs` maps inputs of the graph to columns; the others are columns or None. Columns of
    `pictures` hold files, relative to the file of the data."""

    files: Files
    inputs: Mapping[str, str] = field(hash=False)
    expected: str | None = None
    id: str | None = None
    group: str | None = None
    pictures: tuple[str, ...] = ()

    def __call__(self, source: DataSource, seed: int, sizes: Sizes) -> Splits:
        """Splits out of the files; the source of published data is not asked.

        Raises:
            DataError: a file or row is malformed, a split is empty, or a question stands in two splits' files.
        """
        pools = {name: self.examples(name) for name in self.files.names}
        learned = "all" if "all" in pools else "train"
        if not pools[learned]:
            raise DataError(f"no row is in {', '.join(self.files.names[learned])}, in {self.files.base}: write some")
        if "all" in pools:
            return split(pools["all"], seed, train=sizes.train, gate=sizes.gate, test=sizes.test)
        _refuse_shared(pools)
        test = drawn(pools["test"], sizes.test, seed, "test")
        if "gate" in pools:
            return Splits(
                drawn(pools["train"], sizes.train, seed, "train"), drawn(pools["gate"], sizes.gate, seed, "gate"), test
            )
        half = split(pools["train"], seed, train=sizes.train, gate=sizes.gate, test=0, shares=(0.5, 0.5))
        return Splits(half.train, half.gate, test)

    def examples(self, name: str) -> tuple[Example, ...]:
        """All rows of one split's files.

        Raises:
            DataError: a file cannot be read, is of an unknown form, or a row lacks a column.
        """
        return tuple(
            self._example(written, row)
            for written in self.files.names[name]
            for row in _rows(self.files.base / written)
        )

    def _example(self, written: str, row: Row) -> Example:
        return Example(
            row.text(self.id) if self.id else f"{written}:{row.number}",
            {name: self._given(written, row, column) for name, column in self.inputs.items()},
            row.text(self.expected) if self.expected else None,
            row.text(self.group) if self.group else "",
        )

    def _given(self, written: str, row: Row, column: str) -> Given:
        text = row.text(column)
        if column not in self.pictures:
            return text
        path = (self.files.base / written).parent / text
        try:
            return Image.of(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{written}:{row.number}: {column!r} names {text!r}, which cannot be read as a picture: {error}"
            ) from error


def _rows(path: Path) -> Iterator[Row]:
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return json_lines(path)
        case ".csv":
            return table(path, Dialect())
        case ".tsv":
            return table(path, Dialect(delimiter="\t"))
    raise DataError(f"{path}: the form of the data is not known from the name; use .jsonl, .csv or .tsv")


def _refuse_shared(pools: Mapping[str, tuple[Example, ...]]) -> None:
    """The whole files, not only what is drawn from them, so that the complaint does not depend on the seed."""
    owner: dict[str, tuple[str, str]] = {}
    for name, examples in pools.items():
        for example in examples:
            other, known = owner.setdefault(normalised(example), (name, example.id))
            if other != name:
                raise DataError(
                    f"the question of {example.id!r} in {name} stands in {other}, too ({known!r}): a run must not be "
                    "judged by what it learned from; remove one of them"
                )
