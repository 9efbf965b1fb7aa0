"""The systems: what their authors published, what it was measured on, and which recipe is which."""

from typing import Literal, NamedTuple

Quoted = Literal["last", "best"]


class Published(NamedTuple):
    """A published figure of one run; accuracies are fractions."""

    claim: str  # in percent, as its author wrote it
    value: float  # the figure that ours is compared with
    metric: str
    measured_on: str
    quoted: Quoted  # the epoch; best by what it was measured on
    examples: int  # it was measured on: what its sampling error follows from
    note: str  # what a reader of the figure has to know
    claims: dict[str, str]  # further ones in percent, by evaluation suite, as written
    loader_workers: int | None = 0  # processes of its DataLoader; None: one for every two cores


class System(NamedTuple):
    """A network with its recipe."""

    family: str
    model: str  # an entry of jaxmnist.models.zoo
    config: str  # the recipe as described
    as_run: str  # the recipe as the published code ran it
    others: tuple[str, ...]  # further recipes that may have made the figure
    published: Published | None


SEQUENCE, DIGIT = "exact_sequence_accuracy", "accuracy"
TEST = "MNIST test"
AUGMENTED_TRAIN = "the 60,000 augmented training digits"


def fraction(claim: str) -> float:
    """Returns an accuracy as a fraction from one in percent, `98.9` or `~99`."""
    return round(float(claim.lstrip("~")) / 100, 6)


def _sequence(variant: str, claim: str, note: str, **suites: str) -> System:
    measured_on = "10,000 random sequences of MNIST test digits"
    config = f"configs/seq.py:{variant}"
    claims = {"clean": claim, **suites}
    published = Published(
        claim, fraction(claim), SEQUENCE, measured_on, "best", 10_000, note, claims,
        loader_workers=None,
    )  # fmt: skip
    return System("sequences", "sequence_published", config, config, (), published)


def _classifier(
    family: str,
    model: str,
    claim: str,
    measured_on: str,
    quoted: Quoted,
    note: str,
    *,
    value: float | None = None,
    others: tuple[str, ...] = (),
) -> System:
    examples = 10_000 if measured_on == TEST else 60_000
    value = fraction(claim) if value is None else value
    workers = 2 if family in ("models", "iterations") else 0
    published = Published(
        claim, value, DIGIT, measured_on, quoted, examples, note, {}, loader_workers=workers
    )
    file = f"configs/{family}.py"
    if family == model:
        return System(family, model, file, f"{file}:as_run", others, published)
    return System(family, model, f"{file}:{model}", f"{file}:{model}_as_run", others, published)


_SCRIPT = (
    "The script behind the figures on corrupted sequences was never published. Its augmentation "
    "ran on tensors, ours is Pillow's: of 784,000 pixels 31 differ when turned, 20 when mapped."
)
_DROP = (
    "Its step schedule drops after the last epoch: the rate is constant. The log comes from "
    "another script than the published one, which prints other lines; its first epoch agrees with "
    "the recipe."
)
_EPOCHS = (
    "Its 15 epochs are an assumption: the script's default is 10, and the examples of its "
    "description are V1 with 15 (one cycle) and V2 with 10 (step)."
)
_NO_LOG = f"No log; network derived from its parameter count; probably the best epoch. {_EPOCHS}"
_TRAIN = "Called test accuracy; its code hands the training digits to its test."

# In the order of their numbers, 1-16.
SYSTEMS: dict[str, System] = {
    "seq-specialist": _sequence(
        "specialist", "99.25", _SCRIPT, inverted="~0", rotation="0.3", noise="~0"
    ),
    "seq-generalist": _sequence(
        "generalist", "97.50", _SCRIPT, inverted="97.38", rotation="97.28", noise="97.22"
    ),
    "model_1": _classifier("models", "model_1", "98.89", TEST, "last", _DROP),
    "model_2": _classifier("models", "model_2", "99.18", TEST, "last", _DROP),
    "model_3": _classifier(
        "models", "model_3", "99.46", TEST, "last",
        "Described as one cycle with turns of 7 degrees; the published code kept the first rate "
        "and turned by 15. Its log was not made by that code. Which recipe did is not proven: a "
        "rate of 0.015 with digits moved by 10 % makes its training column, but reads the test "
        "digits 0.2 points worse; the script's defaults make neither. See *The log of model_3*.",
        others=("model_3_as_logged",),
    ),
    "v_1": _classifier(
        "v", "v_1", "~99.4", TEST, "best", _NO_LOG, others=("v_1_10_epochs_as_run",)
    ),
    "v_2": _classifier(
        "v", "v_2", "~99.4", TEST, "best", _NO_LOG, others=("v_2_10_epochs_as_run",)
    ),
    "v_3": _classifier(
        "v", "v_3", "99.43", TEST, "best",
        "Best of 15 epochs by test accuracy (its last: 99.41 %); network derived from its count. "
        "Its log has 15 epochs, its script's default is 10.",
        others=("v_3_10_epochs_as_run",),
    ),
    "iteration_1": _classifier(
        "iterations", "iteration_1", "82.1", AUGMENTED_TRAIN, "last",
        f"{_TRAIN} 82.1 % is of an older run with batches of 512; the output of the published "
        "notebook, which is what ours is compared with, says 97.02 %.",
        value=0.9702,
    ),
    "iteration_2": _classifier(
        "iterations", "iteration_2", "98.35", AUGMENTED_TRAIN, "best", _TRAIN
    ),
    "iteration_3": _classifier(
        "iterations", "iteration_3", "99.46", AUGMENTED_TRAIN, "last", _TRAIN
    ),
    "iteration_4": _classifier(
        "iterations", "iteration_4", "99.58", AUGMENTED_TRAIN, "last", _TRAIN
    ),
    "iteration_5": _classifier(
        "iterations", "iteration_5", "99.55", AUGMENTED_TRAIN, "best", _TRAIN
    ),
    "iteration_6": _classifier(
        "iterations", "iteration_6", "99.2", AUGMENTED_TRAIN, "last", _TRAIN
    ),
    "iteration_7": _classifier(
        "iterations", "iteration_7", "98.64", AUGMENTED_TRAIN, "best", _TRAIN
    ),
    "ds_cnn": _classifier(
        "ds_cnn", "ds_cnn", "99.57", TEST, "last",
        "Test accuracy steered its learning rate; trained on the first 50,000 digits alone.",
    ),
    "reader": System(
        "sequences", "sequence_ctc", "configs/reader.py", "configs/reader.py", (), None
    ),
    "seq": System("sequences", "sequence_ctc_small", "configs/seq.py", "configs/seq.py", (), None),
    "seq-compact": System(
        "sequences",
        "sequence_compact",
        "configs/seq.py:compact",
        "configs/seq.py:compact",
        (),
        None,
    ),
    "swift": System("ours", "swift", "configs/speedrun.py", "configs/speedrun.py", (), None),
}  # fmt: skip


def published_figure(name: str) -> Published | None:
    """Returns what was published of the system called `name`; None of one of ours or of none."""
    return SYSTEMS[name].published if name in SYSTEMS else None
