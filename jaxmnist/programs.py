"""Where jit and donation are applied: once, to the pure functions.

Training is compiled ahead of time, so it cannot compile again later: a call with other shapes is
an error. All states carry a leading axis of seeds, which `devices.py` spreads.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxmnist.devices import over_seeds
from jaxmnist.generate.example import Bank, Draws, Generate
from jaxmnist.models.network import Network, Weights
from jaxmnist.recipe import Recipe
from jaxmnist.rng import Stream, stream_key, stream_keys
from jaxmnist.state import TrainState, init_state
from jaxmnist.steps import end_epoch, run_steps

Predict = Callable[[Weights, Array], Array]
Block = tuple[Float[Array, "n 28 width"], Int[Array, "n heads"]]  # images and labels
Generator = Callable[[Int[Array, " n"], int, Bank], Block]


class Programs(NamedTuple):
    """The programs of a run; `state` is donated and given back."""

    run_steps: Callable[..., TrainState]  # (state, first step, last step, bank) -> state
    end_epoch: Callable[..., TrainState]  # (state, validation metric of each seed, epoch) -> state
    predict: Predict  # (weights of each seed, images) -> logits of each seed
    seconds: float  # spent compiling


def make_initial_state(recipe: Recipe, num_seeds: int) -> Callable[[int], TrainState]:
    """Returns `seed -> states` of seeds `seed .. seed + num_seeds - 1`; it compiles once."""
    init = partial(
        init_state,
        network=recipe.network,
        image_size=recipe.task.image_size,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        mode=recipe.watch.mode,
        keep_epochs=recipe.epochs if recipe.keep_epochs else 0,
    )
    # It hardly runs: the same bits from code that compiles seven times faster.
    quickly = {"xla_backend_optimization_level": 1}
    compiled = jax.jit(over_seeds(init), compiler_options=quickly)
    return lambda seed: compiled(seed + jnp.arange(num_seeds))


def initial_state(recipe: Recipe, seed: int, num_seeds: int) -> TrainState:
    """Returns the states of seeds `seed .. seed + num_seeds - 1`."""
    return make_initial_state(recipe, num_seeds)(seed)


def compile_programs(recipe: Recipe, state: TrainState, bank: Bank) -> Programs:
    """Compiles a recipe for states and digits like `state` and `bank`."""
    began = time.perf_counter()
    steps = partial(
        run_steps,
        examples=recipe.examples,
        batch_size=recipe.batch_size,
        fixed_list=recipe.fixed_list,
        watch=recipe.watch,
        generate=recipe.generate,
        network=recipe.network,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
    )
    end = partial(end_epoch, schedule=recipe.schedule, watch=recipe.watch)
    number = jnp.int32(0)
    metrics = jnp.zeros(len(state.step))
    return Programs(
        run_steps=jax.jit(over_seeds(steps, shared=3), donate_argnums=0)
        .lower(state, number, number, bank)
        .compile(),
        end_epoch=jax.jit(over_seeds(end, shared=1), donate_argnums=0)
        .lower(state, metrics, number)
        .compile(),
        predict=make_predict(recipe.network),
        seconds=time.perf_counter() - began,
    )


def make_predict(network: Network) -> Predict:
    """Returns `(weights, images) -> logits`, with seeds leading all but the images."""

    def predict(weights: Weights, images: Array) -> Array:
        return jnp.asarray(network.apply(weights._asdict(), images, train=False))

    return jax.jit(over_seeds(predict, shared=1))


def make_generator(example: Generate, *, seed: int, streams: tuple[Stream, Stream]) -> Generator:
    """Returns `(numbers, epoch, bank) -> images, labels`: members of a fixed list of examples.

    Example `n` shows the same digits in every suite and epoch (where they are drawn, it is from
    `seed` and the first stream); a suite's own randomness depends on the second stream, too, and
    on the epoch.
    """
    root = jax.random.key(seed)

    @jax.jit
    def generate(numbers: Array, epoch: int, bank: Bank) -> Block:
        draws = Draws(
            position=numbers,
            draw=stream_keys(root, streams[0], numbers),
            # The stream first, then the epoch: no other stream's keys lie there.
            augment=stream_keys(stream_key(root, streams[1], epoch), streams[1], numbers),
        )
        return jax.vmap(example, in_axes=(0, None))(draws, bank)

    return generate
