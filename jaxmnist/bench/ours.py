"""This project as people run it: the recipe's own compiled program, an epoch or a piece of one."""

import jax
import jax.numpy as jnp

from jaxmnist.bench.turns import Ready
from jaxmnist.bench.workload import Workload
from jaxmnist.devices import make_mesh
from jaxmnist.evaluate import to_device
from jaxmnist.programs import compile_programs, initial_state


def prepare(work: Workload) -> Ready:
    """Compiles the training of a workload, all its seeds in one program."""
    recipe, settings = work.recipe, work.settings
    mesh = make_mesh(settings["num_seeds"], recipe.batch_size)
    bank = to_device(work.digits.train, mesh)
    state = initial_state(recipe, settings["seed"], settings["num_seeds"])
    programs = compile_programs(recipe, state, bank)
    first = 0  # step of the next epoch

    def run(steps: int) -> None:
        nonlocal state, first
        while steps:
            piece = min(steps, recipe.steps)  # a call of the program ends with its epoch
            state = programs.run_steps(state, jnp.int32(first), jnp.int32(first + piece), bank)
            first += recipe.steps
            steps -= piece
        jax.block_until_ready(state)

    def device_bytes() -> int | None:
        planned = programs.run_steps.memory_analysis()  # type: ignore[attr-defined]
        if planned is None:
            return None
        kept = planned.argument_size_in_bytes + planned.output_size_in_bytes
        return int(kept - planned.alias_size_in_bytes + planned.temp_size_in_bytes)

    return Ready(run, device_bytes)
