"""What the check runs: the sizes of the real one and of its rehearsal on a CPU."""

from dataclasses import dataclass, replace
from typing import Any

from jaxmnist import config, recipes
from jaxmnist.config import Config
from jaxmnist.models.zoo import MODELS


@dataclass(frozen=True)
class Plan:
    """Sizes; the lines of code are the same for all of them."""

    rehearsal: bool
    source: str  # of digits, as in config.data.source
    # equality
    networks: tuple[str, ...]
    check_digits: int  # examples through a network that reads single digits
    check_sequences: int
    tiny_recipes: tuple[str, ...]
    tiny_overrides: tuple[str, ...]  # flags of launch.py
    killed_recipe: str
    repeated_recipe: str  # its bits and its price with deterministic kernels
    repeated_overrides: tuple[str, ...]
    # throughput
    systems: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    rounds: int
    turn_seconds: float
    profiled_steps: int
    variant_cases: tuple[tuple[str, int], ...]  # system and batch size
    variants: tuple[str, ...]  # of variants.py
    matrix_side: int
    # populations
    population_recipe: str
    populations: tuple[int, ...]
    whole_population: int
    # time to accuracy
    speedruns: tuple[str, ...]
    runs: int
    published: tuple[str, ...]  # the recognisers' recipes


REAL = Plan(
    rehearsal=False,
    source="dir",
    networks=MODELS,
    check_digits=64,
    check_sequences=16,
    tiny_recipes=(
        "seq:tiny", "models:tiny", "v:tiny", "iterations:tiny", "ds_cnn:tiny", "speedrun:tiny",
    ),
    tiny_overrides=(),
    killed_recipe="seq:compact-tiny",
    repeated_recipe="models:model_3",
    repeated_overrides=("--config.epochs=3", "--config.data.source=dir"),
    systems=("model_3", "v_1", "ds_cnn", "seq-compact", "seq-specialist"),
    batch_sizes=(64, 128, 1024),
    rounds=3,
    turn_seconds=0.5,
    profiled_steps=200,
    variant_cases=(
        ("model_3", 128), ("seq-compact", 128), ("seq-specialist", 128), ("model_3", 1024),
        ("seq-specialist", 1024),
    ),
    variants=(
        "nhwc, conv",
        "nhwc, conv, highest precision",
        "nhwc, im2col",
        "chwn, conv",
        "chwn, im2col",
        "nhwc, conv, precision bfloat16",
        "nhwc, conv, bfloat16 products",
        "nhwc, conv, bfloat16 maps",
    ),
    matrix_side=8192,
    population_recipe="models:model_3",
    populations=(1, 10, 100, 1000),
    whole_population=100,
    speedruns=("speedrun:to_98", "speedrun:to_99", "speedrun:to_994"),
    runs=20,
    published=("seq:generalist", "seq:specialist"),
)  # fmt: skip

# Two short epochs; of the 1,500 training digits of digits8x8 what is held out goes by the ratio.
SHORT = (
    "--config.epochs=2",
    "--config.data.train_examples=256",
    "--config.data.validation_examples=1244",
    "--config.validation.examples=100",
    "--config.eval.examples=100",
)

REHEARSAL = Plan(
    rehearsal=True,
    source="digits8x8",
    networks=("swift",),
    check_digits=16,
    check_sequences=4,
    tiny_recipes=("speedrun:tiny",),
    tiny_overrides=SHORT,
    killed_recipe="speedrun:tiny",
    repeated_recipe="speedrun:tiny",
    repeated_overrides=SHORT,
    systems=("swift",),
    batch_sizes=(64,),
    rounds=1,
    turn_seconds=0.05,
    profiled_steps=2,
    variant_cases=(("swift", 64),),
    # One of each layout: a line of VARIANTS more is the same code.
    variants=("chwn, conv", "nhwc, conv, bfloat16 maps"),
    matrix_side=256,
    population_recipe="speedrun:tiny",
    populations=(2,),
    whole_population=2,
    speedruns=("speedrun:to_98",),
    runs=1,
    published=("speedrun:tiny",),
)


def recipe(name: str, plan: Plan, **changes: Any) -> Config:
    """Returns the configuration of a recipe on the plan's digits, with fields changed.

    A rehearsal trains one short epoch of it.
    """
    whole = config.from_dict(recipes.load(name).to_dict())
    data = replace(whole.data, source=plan.source)
    if plan.rehearsal:
        data = replace(data, train_examples=256, validation_examples=1_244)
        whole = replace(
            whole,
            epochs=1,
            batch_size=16,  # a one-cycle schedule needs some steps
            validation=replace(whole.validation, examples=100),
            eval=replace(whole.eval, examples=100),
            sequence=whole.sequence and replace(whole.sequence, train_sequences=96),
        )
    return replace(whole, data=data, **changes)
