"""What can go wrong in a run, grouped by what the caller can do.

    SempropError
    ├── UsageError        your input: mend it and call again (exit code 2)
    │   ├── GraphError         the graph is not well formed
    │   ├── DataError          an example, row or split is malformed
    │   └── SpecificationError a size, name or option does not fit
    ├── RunError          the run cannot go on (exit code 1)
    │   └── NodeError          a function, loss or method of the user raised
    ├── StorageError      the run directory cannot be written or read (exit code 5)
    │   └── ReplayError        a recorded outcome is not the one that is asked for
    └── ContentError      raised *by* a function or loss: this content is bad, count it as a wrong answer

Failures of a model or an endpoint on one example are values (`semprop.engine.outcomes.Failure`), not exceptions;
errors that stop a provider are `semprop.providers.errors.StopError` and pass through unchanged.
"""

from __future__ import annotations


class SempropError(Exception):
    """Base of everything that `semprop.engine` raises."""


class UsageError(SempropError):
    """The caller's input is at fault; the message names the place and the mend."""


class GraphError(UsageError):
    """A graph is not well formed. The message names the node and the mend."""


class DataError(UsageError):
    """An example, a row or a split is malformed. The message names file and line where there are any."""


class SpecificationError(UsageError):
    """An option, a size or a name does not fit."""


class RunError(SempropError):
    """The run cannot go on."""


class NodeError(RunError):
    """Code of the user (function, loss, backward, method) raised; the original error is the cause."""


class StorageError(SempropError):
    """A run directory cannot be written or read."""


class ReplayError(StorageError):
    """A recorded outcome does not belong to the request that is asked at its position."""


class ContentError(SempropError):
    """Raised by a function node or a loss to say that the content it was given is bad (it cannot be parsed,
    say). The example then counts as wrong, and the message becomes the gradient of that node."""
