"""The public names of `semprop.engine`, listed once. A name that goes is a break; a name that comes is a promise."""

import subprocess
import sys

import pytest

import semprop.engine

NAMES = [
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

UNDOCUMENTED = ("Event", "Observer", "Plan", "__version__")
"""Aliases and text, which cannot hold a docstring of their own."""


def test_the_public_names_are_these():
    assert sorted(semprop.engine.__all__) == sorted(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_imported_and_says_what_it_is(name):
    namespace = {}
    exec(f"from semprop.engine import {name}", namespace)
    assert name in UNDOCUMENTED or namespace[name].__doc__


def test_everything_public_that_is_defined_in_the_engine_is_named_once():
    ours = {
        name for name, value in vars(semprop.engine).items() if getattr(value, "__module__", "").startswith("semprop")
    }
    assert {name for name in ours if not name.startswith("_")} <= set(NAMES)


def test_the_version_is_that_of_the_installed_package():
    assert semprop.engine.__version__.count(".") == 2


QUIET = """
import logging, sys, threading
import semprop.engine, semprop.providers
assert threading.active_count() == 1, threading.enumerate()
assert not logging.getLogger().handlers
assert "xllamacpp" not in sys.modules
"""


def test_importing_starts_no_thread_and_configures_no_logging():
    subprocess.run([sys.executable, "-c", QUIET], check=True, timeout=60)
