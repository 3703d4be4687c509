"""The pages of a list that a batch API gives, the latest entries first: none is taken for whole that is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semprop.providers.batches.calls import Calls
from semprop.providers.errors import ErrorClass, RetryError

_PAGE = "100"


class Pages:
    """Goes through a list by the names of its last entries."""

    def __init__(self, calls: Calls, path: str, cursor: str, query: Mapping[str, str] | None = None) -> None:
        """
        Args:
            cursor: the parameter that names the entry after which the next page begins.
            query: further parameters.
        """
        self._calls, self._path, self._cursor = calls, path, cursor
        self._query = {"limit": _PAGE, **(query or {})}
        self._seen: dict[str, None] = {}
        self._is_last = False

    async def next(self) -> list[Mapping[str, Any]] | None:
        """The entries of the next page; None after the last one.

        Raises:
            RetryError: it is no page, or begins anew: what it does not show may be there all the same (TRANSIENT).
            ProviderError: the call was refused.
        """
        if self._is_last:
            return None
        page = await self._calls.document("GET", self._path, **self._query)
        data = page.get("data")
        if not isinstance(data, list):
            raise self._fault("gave no list")
        entries: list[Mapping[str, Any]] = [entry for entry in data if isinstance(entry, dict)]
        self._is_last = not entries or not page.get("has_more")
        if not self._is_last:
            name = entries[-1].get("id")
            if not isinstance(name, str) or name in self._seen:
                raise self._fault("says that there is more, and does not go on")
            self._seen[name] = None
            self._query[self._cursor] = name
        return entries

    def _fault(self, what: str) -> RetryError:
        return RetryError(f"{self._calls.identity}, asked for the list of {self._path}, {what}", ErrorClass.TRANSIENT)
