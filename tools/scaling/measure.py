"""Times steps of a recipe on some devices; a process of its own, as JAX counts devices once.

  python -m tools.scaling.measure DEVICES ROUNDS SOURCE < points.json

Reads and writes a JSON list of points on standard input and output.
"""

import dataclasses
import json
import os
import statistics
import sys
import time

from tools.scaling.model import Point

ROUND_SECONDS = 1.0


def measure(point: Point, rounds: int, source: str) -> Point:
    """Returns the point with what was measured: the median of some rounds."""
    import jax

    from jaxmnist import recipes
    from jaxmnist.config import from_dict
    from jaxmnist.experiment import prepare

    recipe = recipes.load(point.recipe)
    recipe.num_seeds, recipe.batch_size = point.seeds, point.batch
    recipe.data.source, recipe.eval.every_epoch = source, False
    experiment = prepare(from_dict(recipe.to_dict()))
    if tuple(experiment.mesh.devices.shape) != (point.population, point.data):
        raise RuntimeError(f"{point} is spread as {dict(experiment.mesh.shape)}")
    state = experiment.init_state(0)
    fns = experiment.compile(state)
    dataset = experiment.train_data()
    last = fns.steps_per_epoch - (fns.short_batch is not None)

    def seconds_of(steps: int) -> float:
        nonlocal state
        began = time.perf_counter()
        while steps > 0:
            state = fns.train_steps(state, 0, min(steps, last), dataset)
            steps -= last
        jax.block_until_ready(state)
        return time.perf_counter() - began

    seconds_of(2)
    steps = max(2, round(ROUND_SECONDS / seconds_of(4) * 4))
    needed = fns.full_batches.memory_analysis()
    return dataclasses.replace(
        point,
        seconds=statistics.median(seconds_of(steps) / steps for _ in range(rounds)),
        state_bytes=needed.argument_size_in_bytes if needed else 0,
        work_bytes=needed.temp_size_in_bytes if needed else 0,
        parameter_bytes=4 * experiment.num_params,
    )


def main() -> None:
    """Measures what standard input lists, on as many devices as asked for."""
    devices, rounds, source = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    points = [Point(**point) for point in json.load(sys.stdin)]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: points[0].cores])
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    done = [dataclasses.asdict(measure(point, rounds, source)) for point in points]
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    main()
