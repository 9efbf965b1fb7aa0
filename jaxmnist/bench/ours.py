"""This project's side of the comparison: the compiled steps of a recipe, as people run them."""

import jax

from jaxmnist.bench.interleave import Runner
from jaxmnist.bench.workload import Workload


def prepare_ours(work: Workload) -> Runner:
    """Compiles the training of a workload, all its seeds in one function."""
    experiment = work.experiment
    state = experiment.init_state(experiment.config.seed)
    fns, dataset = experiment.compile(state), experiment.train_data()
    first = 0  # step of the next epoch

    def run(steps: int) -> None:
        nonlocal state, first
        while steps:
            piece = min(steps, fns.steps_per_epoch)  # a call ends with its epoch
            state = fns.train_steps(state, first, first + piece, dataset)
            first += fns.steps_per_epoch
            steps -= piece
        jax.block_until_ready(state)

    def device_bytes() -> int | None:
        planned = fns.full_batches.memory_analysis()
        if planned is None:
            return None
        kept = planned.argument_size_in_bytes + planned.output_size_in_bytes
        return int(kept - planned.alias_size_in_bytes + planned.temp_size_in_bytes)

    return Runner(run, device_bytes)
