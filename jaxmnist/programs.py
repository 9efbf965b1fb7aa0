"""Where programs are made, by jit and with donation: once, of the pure functions.

Training is compiled ahead of time, so it cannot compile again later: a call with other shapes is
an error. All states carry a leading axis of seeds; `devices.py` spreads it, and batches.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.stages import Compiled
from jaxtyping import Array, Float, Int

from jaxmnist.devices import batch_axis, make_mesh, over_seeds, put_by_seed
from jaxmnist.generate.example import Bank, Draws, Generate
from jaxmnist.memory import give_back
from jaxmnist.models.network import Network, Weights
from jaxmnist.recipe import Recipe
from jaxmnist.rng import Stream, stream_key, stream_keys
from jaxmnist.state import TrainState, init_state
from jaxmnist.steps import end_epoch, run_steps

Predict = Callable[[Weights, Array], Array]
Block = tuple[Float[Array, "n 28 width"], Int[Array, "n heads"]]  # images and labels
BLOCK = 100  # images that go through the network at once: small enough for caches
Generator = Callable[[Int[Array, " n"], int, Bank], Block]


@dataclass(frozen=True)
class Steps:
    """The steps of an epoch: those on full batches, and the one on what is left for the last.

    They are programs of their own because one of both takes a third more memory to compile.
    """

    full: Compiled
    short: Compiled | None  # None where batches divide the epoch
    an_epoch: int  # steps

    def __call__(self, state: TrainState, first: Array, last: Array, bank: Bank) -> TrainState:
        """Makes the steps `first <= step < last` of one epoch."""
        # Compared on the host: arithmetic on the device would wait for the piece before this one.
        start, end = int(first), int(last)
        if self.short is None or end % self.an_epoch:
            return self.full(state, first, last, bank)
        final = jnp.int32(end - 1)
        if start < end - 1:
            state = self.full(state, first, final, bank)
        return self.short(state, final, last, bank)

    def memory_analysis(self) -> Any:
        """Returns what the compiler planned for full batches, which need more than the last."""
        return self.full.memory_analysis()


class Programs(NamedTuple):
    """The programs of a run; `state` is donated and given back."""

    run_steps: Callable[..., TrainState]  # Steps: (state, first step, last step, bank) -> state
    end_epoch: Compiled  # (state, validation metric of each seed, epoch) -> state
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
    mesh = make_mesh(num_seeds, recipe.batch_size)
    # It runs once: the same bits from code that compiles seven times faster.
    quickly = {"xla_backend_optimization_level": 1}
    compiled = jax.jit(over_seeds(init, mesh), compiler_options=quickly)
    return lambda seed: compiled(seed + jnp.arange(num_seeds))


def initial_state(recipe: Recipe, seed: int, num_seeds: int) -> TrainState:
    """Returns the states of seeds `seed .. seed + num_seeds - 1`."""
    return make_initial_state(recipe, num_seeds)(seed)


def compile_programs(recipe: Recipe, state: TrainState, bank: Bank) -> Programs:
    """Compiles a recipe for states and digits like `state` and `bank`, or as they describe them."""
    began = time.perf_counter()
    mesh = make_mesh(len(state.step), recipe.batch_size)
    number = jnp.int32(0)

    def compile_steps(size: int) -> Compiled:
        steps = partial(
            run_steps,
            examples=recipe.examples,
            batch_size=recipe.batch_size,
            short=size < recipe.batch_size,
            fixed_list=recipe.fixed_list,
            watch=recipe.watch,
            batch_axis=batch_axis(mesh, size),
            generate=recipe.generate,
            network=recipe.network,
            optimizer=recipe.optimizer,
            schedule=recipe.schedule,
        )
        return _compile(over_seeds(steps, mesh, shared=3), state, number, number, bank)

    full, left = compile_steps(recipe.batch_size), recipe.examples % recipe.batch_size
    short = compile_steps(left) if left else None
    end = partial(end_epoch, schedule=recipe.schedule, watch=recipe.watch)
    metrics = jnp.zeros(len(state.step))
    return Programs(
        run_steps=Steps(full, short, recipe.steps),
        end_epoch=_compile(over_seeds(end, mesh, shared=1), state, metrics, number),
        predict=make_predict(recipe.network),
        seconds=time.perf_counter() - began,
    )


def _compile(function: Callable[..., TrainState], *like: Any) -> Compiled:
    """Compiles one program with nothing left in memory of the one before it."""
    give_back()
    compiled = jax.jit(function, donate_argnums=0).lower(*like).compile()
    give_back()
    return compiled


def make_predict(network: Network) -> Predict:
    """Returns `(weights, images) -> logits`, with seeds leading all but the images.

    The weights must lie where `for_predictions` has put them.
    """

    def predict(weights: Weights, images: Array) -> Array:
        return jnp.asarray(network.apply(weights._asdict(), images, train=False))

    @jax.jit
    def mapped(weights: Weights, images: Array) -> Array:
        mesh = _mesh_for_predictions(weights)
        examples = batch_axis(mesh, len(images))
        logits: Array = over_seeds(predict, mesh, shared=1, examples=examples)(weights, images)
        return logits

    return mapped


def for_predictions(weights: Weights) -> Weights:
    """Copies the weights of all seeds to the devices that predict with them."""
    placed: Weights = put_by_seed(weights, _mesh_for_predictions(weights))
    return placed


def _mesh_for_predictions(weights: Weights) -> Mesh:
    return make_mesh(len(jax.tree.leaves(weights)[0]), BLOCK)


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
