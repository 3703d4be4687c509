"""The published experiment (arXiv 2412.03624): sizes, models, figures, and the faults of its published code. Data only.

Figures are those of the paper; sizes and models are those of its code, since it could not be confirmed that the paper
used exactly these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FORWARD, OPTIMIZER = "gpt-4o-mini-2024-07-18", "gpt-4-turbo-2024-04-09"
"""The models that the published code asks by default; the second for backward and update."""

MODELS = MappingProxyType(
    {"forward": f"openai:{FORWARD}", "backward": f"openai:{OPTIMIZER}", "update": f"openai:{OPTIMIZER}"}
)
"""Role → provider, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A published score in [0, 1]. `of` names the part of the data, "" for all of it."""

    who: str
    score: float
    of: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One data set as it was published: `train` is also what candidates were judged on; `test` is 0 where the code
    tests on nothing else."""

    name: str
    train: int
    test: int
    steps: int
    errors: int
    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "gsm8k": Experiment(
            "gsm8k",
            train=128,
            test=1319,
            steps=4,
            errors=2,
            figures=(Figure("semantic gradients", 0.932), Figure("TextGrad", 0.782)),
        ),
        "bbh": Experiment(
            "bbh",
            train=20,
            test=230,
            steps=4,
            errors=2,
            figures=(
                Figure("semantic gradients", 0.825, "NLP"),
                Figure("semantic gradients", 0.856, "Algorithmic"),
                Figure("TextGrad", 0.487, "NLP", "read off a secondary source"),
                Figure("TextGrad", 0.669, "Algorithmic", "read off a secondary source"),
            ),
            remarks=("each of the 27 tasks is its own optimization",),
        ),
        "liar": Experiment(
            "liar",
            train=50,
            test=0,
            steps=8,
            errors=2,
            figures=(),
            remarks=("no held-out score and no table of the ablation was published; only words",),
        ),
    }
)
"""Name → experiment."""

ALGORITHMIC = (
    "boolean_expressions",
    "dyck_languages",
    "geometric_shapes",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "multistep_arithmetic_two",
    "navigate",
    "object_counting",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
    "web_of_lies",
    "word_sorting",
)
"""The algorithmic half of BIG-Bench Hard (Suzgun et al. 2022, table 2); the other twelve tasks are the NLP half."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A leak or fault of the published code, and what is done here in its place."""

    what: str
    here: str
    of: tuple[str, ...] = ("gsm8k", "bbh", "liar")


FAULTS: tuple[Fault, ...] = (
    Fault(
        "test = another shuffle: on average 18.4 of the 20 training rows are tested as well",
        "splits are a function of the question; train, gate and test are disjoint, which is asserted",
        ("bbh",),
    ),
    Fault(
        "candidates are judged on the training rows, strictly, once, and the incumbent is never measured again: with "
        "equally good candidates the kept score ends 3 (128 rows, 4 tries) to 11 points (20 rows) above the truth",
        "a gate split of its own, and the claim from one test, opened once (--protocol published judges as they did)",
    ),
    Fault(
        "there is no test: the reported score is the best of those on the 50 rows that were optimized on",
        "the published test table is held out",
        ("liar",),
    ),
    Fault("every update prompt ends in the word False", "prompts are rendered from typed parts and tested whole"),
    Fault(
        "hints' feedback is cut or given to another hint, where one names another or the form is not the expected one",
        "each slot's advice is parsed by its key, asked for once more, and else counted as lost",
    ),
    Fault(
        "the arm without neighbourhood goes back to the full method at the first accepted update, and drops question "
        "and instruction as well",
        "--arm no-neighbourhood stays what it is, and hides the siblings alone",
        ("liar",),
    ),
    Fault(
        "one failing sample scores a whole evaluation 0 (up to -9.7 points on the test)",
        "a provider failure excludes its item on both sides and is counted",
    ),
    Fault(
        "a reply without its closing tag becomes the prompt, or the answer, whole",
        "a reply that cannot be read is asked for once more, then dropped and counted",
    ),
    Fault(
        "the two hints start alike and get the same update at temperature 0",
        "an update is told which of the equal instructions it writes",
        ("gsm8k", "bbh"),
    ),
    Fault("--seed is read and not used", "all draws are functions of --seeds"),
    Fault(
        "statements are cut at a colon for the filter, and slices of the prompt assume five lines",
        "columns are read as columns",
        ("liar",),
    ),
)


def faults_of(name: str) -> tuple[Fault, ...]:
    """The faults that touch one experiment."""
    return tuple(fault for fault in FAULTS if name in fault.of)
