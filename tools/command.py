"""The command line as it is written: names, flags and their help. Parses; what is done with it stands elsewhere.

A command gives `Work`, which `semprop.tools.__main__` carries out. Signatures have one argument a flag.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from semprop.engine import __version__
from semprop.engine.backward_prompts import Neighbours, Question
from semprop.engine.gates import Spending
from semprop.engine.gates.catalogue import GATES
from semprop.engine.methods.catalogue import METHODS
from semprop.engine.methods.clusters import Messages
from semprop.engine.methods.descent import RuleName
from semprop.engine.methods.semantic import Calls, InstructionMessage
from semprop.tools import bench, listing, logs, optimizing, recorded, resuming
from semprop.tools.endpoint.command import endpoint
from semprop.tools.exits import Ended
from semprop.tools.preparing import RUNS, Order, Surrounding, order_of
from semprop.tools.proxy.command import proxy
from semprop.tools.screen import Screen
from semprop.tools.worlds import worlds

Work = Callable[[Surrounding, Screen], Ended]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Optimize graphs of language-model calls by semantic backpropagation.",
)

RUN_PANEL, DATA_PANEL, PROVIDER_PANEL, METHOD_PANEL = "Run", "Data", "Providers", "Method"

PROVIDER = "KIND:MODEL[@BASE], or a NAME in the --providers file"


def _whole_or_count(text: str) -> int:
    """How many wrong examples make a gradient; "all" is 0, the whole minibatch."""
    if text.strip().lower() == "all":
        return 0
    if not text.strip().isdigit():
        raise typer.BadParameter(f"{text!r} is neither a number nor 'all'")
    return int(text)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"semprop {__version__}")
        raise typer.Exit


Task = Annotated[str, typer.Argument(help="a task's name (semprop tasks), path.py:task, or path.toml", metavar="TASK")]
RunDirectory = Annotated[Path, typer.Argument(help="a run's directory", metavar="RUN")]
Forward = Annotated[str | None, typer.Option(help=f"who runs the graph: {PROVIDER}", rich_help_panel=PROVIDER_PANEL)]
Role = Annotated[
    str | None, typer.Option(help="the same for this role; forward if not given", rich_help_panel=PROVIDER_PANEL)
]
Providers = Annotated[
    Path | None, typer.Option(help="TOML file with tables [provider.NAME]", rich_help_panel=PROVIDER_PANEL)
]
InFlight = Annotated[int | None, typer.Option(min=1, help="requests at once", rich_help_panel=PROVIDER_PANEL)]
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


@app.callback()
def semprop(
    log_level: Annotated[logs.Level, typer.Option(help="the least that is logged to stderr")] = logs.Level.WARNING,
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,
    otel: Annotated[
        bool,
        typer.Option("--otel", help="send spans and metrics by OTLP (extra `otel`; OTEL_* variables say where)"),
    ] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="say which")] = False,
) -> None:
    logs.configure(logs.Level.DEBUG if debug else log_level)


@app.command()
def optimize(
    task: Task,
    forward: Forward = None,
    backward: Role = None,
    update: Role = None,
    judge: Role = None,
    providers: Providers = None,
    method: MethodName = None,
    steps: Count = None,
    minibatch: Count = None,
    examples_per_gradient: WrongExamples = None,
    candidates: Count = None,
    gate: GateName = None,
    alpha: Alpha = None,
    beta: Beta = None,
    delta: Delta = None,
    spending: AlphaSpending = None,
    neighbours: ShownNeighbours = None,
    calls: BackwardCalls = None,
    instruction_message: Told = None,
    backward_style: BackwardStyle = None,
    messages: KeptMessages = None,
    message_bytes: Bytes = None,
    cases_bytes: Bytes = None,
    momentum: Momentum = None,
    only: Only = None,
    wrong_labels: WrongLabels = None,
    rule: RuleOption = None,
    rate: Rate = None,
    width: Width = None,
    samples: Samples = None,
    seed: Seed = 0,
    data: Data = None,
    train: Size = None,
    gate_size: Size = None,
    gate_pool: GatePool = None,
    whole_gate: WholeGate = False,
    test: Size = None,
    judge_labels: JudgeLabels = None,
    start: Start = None,
    run: RunTo = None,
    in_flight: InFlight = None,
    json: Json = False,
) -> Work:
    """Optimize a task's prompts and measure the gain on held-out data."""
    return partial(optimizing.optimize, order_of(locals()))


@app.command()
def resume(
    run: RunDirectory,
    forward: Forward = None,
    backward: Role = None,
    update: Role = None,
    judge: Role = None,
    providers: Providers = None,
    data: Data = None,
    in_flight: InFlight = None,
    json: Json = False,
) -> Work:
    """Go on with a run that was stopped or killed, repeating no completed call; a finished one is shown."""
    roles = _named(forward=forward, backward=backward, update=update, judge=judge)
    changes = {"roles": roles, "providers": providers, "data": data, "in_flight": in_flight}
    return partial(resuming.resume, run, changes)


@app.command()
def evaluate(
    task: Task,
    parameters: Annotated[
        Path | None, typer.Option(help="a run's directory, or a JSON file {parameter: value}", metavar="RUN|FILE")
    ] = None,
    forward: Forward = None,
    judge: Role = None,
    providers: Providers = None,
    method: MethodName = None,
    data: Data = None,
    test: Size = None,
    seed: Seed = 0,
    in_flight: InFlight = None,
    json: Json = False,
) -> Work:
    """Score one set of parameters on a task's test split; name the method if it has a graph of its own."""
    order = Order(
        task=task,
        roles=_named(forward=forward, judge=judge),
        providers=providers,
        method=method,
        start=parameters,
        data=data,
        test=test,
        seed=seed,
        in_flight=in_flight,
    )
    return partial(optimizing.evaluate_task, order)


def _named(**roles: str | None) -> dict[str, str]:
    return {role: text for role, text in roles.items() if text is not None}


@app.command()
def tasks(json: Json = False) -> Work:
    """List the tasks, with their default sizes and providers."""
    return lambda _, screen: listing.tasks(screen)


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="an embedded model's name: smollm2", metavar="MODEL")], json: Json = False
) -> Work:
    """Fetch an embedded model's weights into the user's cache."""
    return lambda _, screen: listing.pull(model, screen)


@app.command()
def show(
    run: RunDirectory,
    why: Annotated[
        str | None, typer.Option(help="examples, messages, edits and verdicts of a parameter", metavar="PARAMETER")
    ] = None,
    prompts: Annotated[bool, typer.Option("--prompts", help="one request of every kind, as it was sent")] = False,
    json: Json = False,
) -> Work:
    """Show a run: steps, verdicts, differences; or why a parameter has its value."""
    return lambda _, screen: recorded.show(recorded.ShowOrder(run, why, prompts), screen)


@app.command()
def export(
    run: RunDirectory,
    directory: Annotated[Path, typer.Argument(help="a directory that is not there yet", metavar="DIR")],
    json: Json = False,
) -> Work:
    """Write a run's prompts and graph as plain files."""
    return lambda _, screen: recorded.export(run, directory, screen)


@app.command()
def runs(
    directory: Annotated[Path, typer.Argument(help="a directory of runs", metavar="DIR")] = RUNS, json: Json = False
) -> Work:
    """List the runs in a directory."""
    return lambda _, screen: recorded.list_runs(directory, screen)


app.command()(endpoint)
app.command()(proxy)
app.command()(worlds)
app.add_typer(bench.app, name="bench")
