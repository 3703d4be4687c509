"""The engine of semprop: graphs of model calls, gradients in words, and their optimization.

    result = await optimize(Specification(graph=…, loss=…, splits=…, method=semantic(), providers={"forward": …}))

Importing this package opens nothing and starts nothing.
"""

from importlib.metadata import version as _version

from semprop.engine.arrays import Array
from semprop.engine.constraints import JsonDocument, MaxWords, Pattern, Placeholders
from semprop.engine.errors import (
    ContentError,
    DataError,
    GraphError,
    NodeError,
    ReplayError,
    RunError,
    SempropError,
    SpecificationError,
    StorageError,
    UsageError,
)
from semprop.engine.example import Example, JudgeLabel, Splits, split
from semprop.engine.gates import ExactGate, NoGate, SequentialGate, Spending, StrictGate, TwoStageGate, WholeGate
from semprop.engine.gradients import Evidence, Gradient, Message, Provenance, Stance, change, keep, lost
from semprop.engine.graph import Graph
from semprop.engine.graph_json import Differentiable, from_json, mermaid, to_json
from semprop.engine.losses import (
    Answer,
    CaseFolded,
    Contains,
    Custom,
    Exact,
    Judge,
    LabelProbability,
    MultipleChoice,
    Numeric,
    Objective,
    Score,
)
from semprop.engine.method import Candidate, Edit, Local, Method, Proposals, Scored, Seed, Selection, UpdateContext
from semprop.engine.methods.clauses import clauses
from semprop.engine.methods.controls import improve_blind, no_gradient, one_step_rewrite, with_shuffled_gradients
from semprop.engine.methods.descent import Adam, GradientDescent, Momentum
from semprop.engine.methods.labels import with_wrong_labels
from semprop.engine.methods.mixed import MixedBackward, mixed
from semprop.engine.methods.numerical import CentralDifferences, LocalSPSA, joint_spsa, numerical
from semprop.engine.methods.reverse_mode import reverse_mode
from semprop.engine.methods.semantic import Calls, InstructionMessage, SemanticBackward, semantic
from semprop.engine.methods.shots import demonstrations
from semprop.engine.methods.textgrad import textgrad, textgrad_library
from semprop.engine.nodes import Function, Model, Placement, ReplyFormat, Truncation
from semprop.engine.outcomes import Failure, FailureKind, Position
from semprop.engine.parameters import Demonstration, Demonstrations, Kind, Number, Parameter, Parameters
from semprop.engine.plans import Ask, Evaluate, Fork, Plan, Probe
from semprop.engine.prompts.backward import Neighbours, Question
from semprop.engine.shapes import chain, fan, layered
from semprop.engine.squared import Squared
from semprop.engine.statistics import Comparison, compare
from semprop.engine.tape import Record, Tape
from semprop.engine.training.claim import HeldOutReport
from semprop.engine.training.events import Event, Observer
from semprop.engine.training.program import NoAnswer, Program
from semprop.engine.training.report import Result, Status
from semprop.engine.training.runs import Run, load
from semprop.engine.training.specification import Specification
from semprop.engine.training.step import Step
from semprop.engine.training.trainer import Trainer, optimize
from semprop.providers.base import Image

__version__ = _version("semprop")

__all__ = [
    "Adam",
    "Answer",
    "Array",
    "Ask",
    "Calls",
    "Candidate",
    "CaseFolded",
    "CentralDifferences",
    "Comparison",
    "Contains",
    "ContentError",
    "Custom",
    "DataError",
    "Demonstration",
    "Demonstrations",
    "Differentiable",
    "Edit",
    "Evaluate",
    "Event",
    "Evidence",
    "Exact",
    "ExactGate",
    "Example",
    "Failure",
    "FailureKind",
    "Fork",
    "Function",
    "Gradient",
    "GradientDescent",
    "Graph",
    "GraphError",
    "HeldOutReport",
    "Image",
    "InstructionMessage",
    "JsonDocument",
    "Judge",
    "JudgeLabel",
    "Kind",
    "LabelProbability",
    "Local",
    "LocalSPSA",
    "MaxWords",
    "Message",
    "Method",
    "MixedBackward",
    "Model",
    "Momentum",
    "MultipleChoice",
    "Neighbours",
    "NoAnswer",
    "NoGate",
    "NodeError",
    "Number",
    "Numeric",
    "Objective",
    "Observer",
    "Parameter",
    "Parameters",
    "Pattern",
    "Placeholders",
    "Placement",
    "Plan",
    "Position",
    "Probe",
    "Program",
    "Proposals",
    "Provenance",
    "Question",
    "Record",
    "ReplayError",
    "ReplyFormat",
    "Result",
    "Run",
    "RunError",
    "Score",
    "Scored",
    "Seed",
    "Selection",
    "SemanticBackward",
    "SempropError",
    "SequentialGate",
    "Specification",
    "SpecificationError",
    "Spending",
    "Splits",
    "Squared",
    "Stance",
    "Status",
    "Step",
    "StorageError",
    "StrictGate",
    "Tape",
    "Trainer",
    "Truncation",
    "TwoStageGate",
    "UpdateContext",
    "UsageError",
    "WholeGate",
    "__version__",
    "chain",
    "change",
    "clauses",
    "compare",
    "demonstrations",
    "fan",
    "from_json",
    "improve_blind",
    "joint_spsa",
    "keep",
    "layered",
    "load",
    "lost",
    "mermaid",
    "mixed",
    "no_gradient",
    "numerical",
    "one_step_rewrite",
    "optimize",
    "reverse_mode",
    "semantic",
    "split",
    "textgrad",
    "textgrad_library",
    "to_json",
    "with_shuffled_gradients",
    "with_wrong_labels",
]
