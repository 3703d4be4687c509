"""The flags of the commands: their types, their help and the panel that they stand in. Data; parses nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semprop.engine.gates import Spending
from semprop.engine.gates.catalogue import GATES
from semprop.engine.methods.catalogue import METHODS
from semprop.engine.methods.clusters import Messages
from semprop.engine.methods.descent import RuleName
from semprop.engine.methods.semantic import Calls, InstructionMessage
from semprop.engine.prompts.backward import Neighbours, Question
from semprop.engine.training.specification import BATCHED
from semprop.tools.preparing import RUNS

RUN_PANEL, DATA_PANEL, PROVIDER_PANEL, METHOD_PANEL = "Run", "Data", "Providers", "Method"

PROVIDER = "KIND:MODEL[@BASE], a NAME in the --providers file, or a pool: pool:SPEC,SPEC[;policy=…]"


def _whole_or_count(text: str) -> int:
    """How many wrong examples make a gradient; "all" is 0, the whole minibatch."""
    if text.strip().lower() == "all":
        return 0
    if not text.strip().isdigit():
        raise typer.BadParameter(f"{text!r} is neither a number nor 'all'")
    return int(text)


def _phases(text: str) -> str:
    """Names of phases, with commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in (*BATCHED, "none")]
    if unknown or not names:
        raise typer.BadParameter(f"{text!r}: name phases out of {', '.join(BATCHED)}, with commas, or none")
    return ",".join(names)


Task = Annotated[str, typer.Argument(help="a task's name (semprop tasks), path.py:task, or path.toml", metavar="TASK")]
RunDirectory = Annotated[Path, typer.Argument(help="a run's directory", metavar="RUN")]
Forward = Annotated[str | None, typer.Option(help=f"who runs the graph: {PROVIDER}", rich_help_panel=PROVIDER_PANEL)]
Role = Annotated[
    str | None, typer.Option(help="the same for this role; forward if not given", rich_help_panel=PROVIDER_PANEL)
]
Providers = Annotated[
    Path | None,
    typer.Option(help="TOML or JSON file with tables [provider.NAME] and [pool.NAME]", rich_help_panel=PROVIDER_PANEL),
]
InFlight = Annotated[int | None, typer.Option(min=1, help="requests at once", rich_help_panel=PROVIDER_PANEL)]
Batch = Annotated[
    str | None,
    typer.Option(
        parser=_phases,
        metavar="PHASES",
        help=f"phases that go by the provider's batch API, at its price and in its time: {', '.join(BATCHED)}, or none",
        rich_help_panel=PROVIDER_PANEL,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="directory of the published files", envvar="SEMPROP_DATA", rich_help_panel=DATA_PANEL),
]
Size = Annotated[int | None, typer.Option(min=0, help="examples in this split", rich_help_panel=DATA_PANEL)]
Seed = Annotated[int, typer.Option(help="draws splits and minibatches", rich_help_panel=METHOD_PANEL)]
Count = Annotated[int | None, typer.Option(min=1, rich_help_panel=METHOD_PANEL)]
WholeGate = Annotated[
    bool,
    typer.Option(
        "--whole-gate",
        help="cancel nothing: every candidate on every gate example, for an approximate gain without a test",
        rich_help_panel=METHOD_PANEL,
    ),
]
JudgeLabels = Annotated[
    Path | None,
    typer.Option(
        help="JSON lines with the inputs, answer and label (0 to 1): your grades, to check a judge by",
        rich_help_panel=DATA_PANEL,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document, on every exit code")]
MethodName = Annotated[str | None, typer.Option(help=", ".join(METHODS), rich_help_panel=METHOD_PANEL)]
WrongExamples = Annotated[
    int | None,
    typer.Option(
        parser=_whole_or_count,
        metavar="N|all",
        help="wrong examples that make a gradient; 0 or all: the whole minibatch",
        rich_help_panel=METHOD_PANEL,
    ),
]
GateName = Annotated[
    str | None, typer.Option(help=f"{', '.join(GATES)}; the method's own if not given", rich_help_panel=METHOD_PANEL)
]
Alpha = Annotated[
    float | None,
    typer.Option(help="chance that the gate lets something false pass in the whole run", rich_help_panel=METHOD_PANEL),
]
Beta = Annotated[
    float | None,
    typer.Option(help="a candidate whose evidence falls to this leaves the race", rich_help_panel=METHOD_PANEL),
]
Delta = Annotated[
    float | None, typer.Option(help="the smallest gain worth having: 0.1 is 10 points", rich_help_panel=METHOD_PANEL)
]
AlphaSpending = Annotated[
    Spending | None,
    typer.Option(help="how alpha is spent over steps; each: all of it at every step", rich_help_panel=METHOD_PANEL),
]
GatePool = Annotated[
    int | None,
    typer.Option(
        min=1, help="draw each step's gate-size examples anew from so many gate examples", rich_help_panel=DATA_PANEL
    ),
]
ShownNeighbours = Annotated[
    Neighbours | None,
    typer.Option(help="what a backward call shows of a step's other inputs", rich_help_panel=METHOD_PANEL),
]
RuleOption = Annotated[
    RuleName | None,
    typer.Option(help="how numbers follow their derivatives [descent]", rich_help_panel=METHOD_PANEL),
]
Width = Annotated[
    float | None, typer.Option(help="how far spsa moves numbers to see what it does", rich_help_panel=METHOD_PANEL)
]
Samples = Annotated[
    int | None, typer.Option(min=1, help="how often spsa does so in a step", rich_help_panel=METHOD_PANEL)
]
Rate = Annotated[float | None, typer.Option(help="the step along a derivative", rich_help_panel=METHOD_PANEL)]
BackwardCalls = Annotated[
    Calls | None, typer.Option(help="a backward call a step, or one an input", rich_help_panel=METHOD_PANEL)
]
Told = Annotated[
    InstructionMessage | None,
    typer.Option(help="what an instruction is told: its worked cases, or advice", rich_help_panel=METHOD_PANEL),
]
BackwardStyle = Annotated[
    Question | None,
    typer.Option(help="how an input should change, or what its quality is", rich_help_panel=METHOD_PANEL),
]
KeptMessages = Annotated[
    Messages | None,
    typer.Option(help="where messages are too many: the first, or typical ones", rich_help_panel=METHOD_PANEL),
]
Bytes = Annotated[int | None, typer.Option(min=100, metavar="BYTES", rich_help_panel=METHOD_PANEL)]
Momentum = Annotated[
    int | None,
    typer.Option(min=1, help="earlier values, with their feedback, that an update sees", rich_help_panel=METHOD_PANEL),
]
Only = Annotated[
    str | None,
    typer.Option(help="optimize this one, freeze the others", metavar="PARAMETER", rich_help_panel=METHOD_PANEL),
]
WrongLabels = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="control: this share of training labels is wrong for what learns, never for what judges",
        metavar="SHARE",
        rich_help_panel=METHOD_PANEL,
    ),
]
Start = Annotated[
    Path | None,
    typer.Option(help="JSON file {parameter: value}, or a run, to start from", rich_help_panel=RUN_PANEL),
]
RunTo = Annotated[
    Path | None, typer.Option(help=f"the run's directory [{RUNS}/TASK-UTC-xxxx]", rich_help_panel=RUN_PANEL)
]

BUDGET_PANEL = "Budget"
Most = Annotated[int | None, typer.Option(min=0, rich_help_panel=BUDGET_PANEL)]
MostUsd = Annotated[float | None, typer.Option(min=0, help="US dollars", rich_help_panel=BUDGET_PANEL)]
MostSeconds = Annotated[
    float | None, typer.Option(min=0, help="in all sittings of the run", rich_help_panel=BUDGET_PANEL)
]
Grace = Annotated[
    float,
    typer.Option(min=0, help="seconds that sent requests may take after a stop", rich_help_panel=BUDGET_PANEL),
]

Fork = Annotated[
    Path | None,
    typer.Option(
        help="start another run here, answered from RUN where requests are the same", rich_help_panel=RUN_PANEL
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="directory of replies that runs share [the user's own, for what costs money]", rich_help_panel=RUN_PANEL
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="say what it may take and what it can show; ask nobody, write nothing",
        rich_help_panel=BUDGET_PANEL,
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="share no replies", rich_help_panel=RUN_PANEL)]
