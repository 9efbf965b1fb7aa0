"""Section c: many networks in one program."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax

from jaxmnist.experiment import prepare
from tools.accelerator.plan import recipe
from tools.accelerator.section import Context, Item, Result
from tools.accelerator.whole_runs import whole_run

PIECES = 20  # of an epoch: time is looked at between them


def populations(context: Context) -> Iterator[Item]:
    """One epoch of ever more seeds, then the whole recipe for many of them."""
    for seeds in context.plan.populations:
        yield Item(f"{seeds} seeds, one epoch", partial(one_epoch, seeds, context))
    seeds = context.plan.whole_population
    name = context.plan.population_recipe
    yield Item(f"{seeds} seeds, whole recipe", partial(whole_run, name, context, num_seeds=seeds))


def one_epoch(seeds: int, context: Context) -> Result:
    """Trains a population for one epoch, or for the part of it that there is time for."""
    config = recipe(context.plan.population_recipe, context.plan, num_seeds=seeds)
    config = replace(config, eval=replace(config.eval, every_epoch=False))  # a copy of all weights
    experiment = prepare(config)
    state = experiment.init_state(0)
    fns, dataset = experiment.compile(state), experiment.train_data()
    steps = fns.steps_per_epoch
    piece = max(1, steps // PIECES)
    state = jax.block_until_ready(fns.train_steps(state, 0, 1, dataset))  # loads its kernels
    done = 1
    began = time.perf_counter()
    while done < steps and context.seconds_left() > 0:
        last = min(done + piece, steps)
        state = jax.block_until_ready(fns.train_steps(state, done, last, dataset))
        done = last
    seconds = time.perf_counter() - began
    rate = (done - 1) * config.batch_size * seeds / max(seconds, 1e-9)
    planned = fns.full_batches.memory_analysis()
    statistics = jax.devices()[0].memory_stats() or {}
    return {
        "seeds": seeds,
        "compile_seconds": fns.seconds,
        "steps": done,
        "cut": done < steps,
        "seconds_of_steps": seconds,
        "examples_per_second": rate,
        "seed_epochs_per_second": rate / experiment.spec.num_examples,
        # The process's peak until now: populations grow, so that it is this one's.
        "peak_bytes": statistics.get("peak_bytes_in_use"),
        "planned_bytes": planned
        and planned.argument_size_in_bytes
        + planned.output_size_in_bytes
        - planned.alias_size_in_bytes
        + planned.temp_size_in_bytes,
    }
