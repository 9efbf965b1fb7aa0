"""From a configuration to compiled functions: the one set-up for training, benchmark and speedrun.

`jit`, donation and the mapping over seeds are applied here and in evaluation.py, to pure functions
of one seed. What enters is placed by sharding.py, and under each `jit` is its `map_seeds`, which
says how arguments and results lie on the mesh. Training is compiled ahead of time, so that it
cannot compile again later: a call with other shapes is an error. Equal configurations give equal
specs, which are static arguments here: a second run in one process, of another seed for one, finds
what the first has compiled.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.stages import Compiled, Lowered
from jaxtyping import Array, Float, Int, PyTree

from jaxmnist.config import Config
from jaxmnist.data.dataset import Dataset, Splits
from jaxmnist.data.sources import load_splits
from jaxmnist.errors import UserError
from jaxmnist.models.network import Network, Weights
from jaxmnist.models.summary import layer_rows
from jaxmnist.models.zoo import SEQUENCE_MODELS, SYSTEM_MODELS, create_network
from jaxmnist.optim import Mode, make_optimizer, make_schedule
from jaxmnist.runtime import trim_heap
from jaxmnist.sharding import (
    batch_axis,
    make_mesh,
    map_seeds,
    put_on_device,
    shape_structs,
    shard_by_seed,
)
from jaxmnist.shipped import find_weights
from jaxmnist.state import TrainState, init_state
from jaxmnist.steps import EarlyStopping, TrainSpec, end_epoch, steps_per_epoch, train_steps
from jaxmnist.tasks import Task, task_of
from jaxmnist.weights import FILE_NAME, load_weights
from jaxmnist.xla import MANY_KERNELS

EVERY_EPOCH_BYTES = 4 << 30  # of weights that a state may keep for the protocol


@dataclass(frozen=True)
class Experiment:
    """Everything that a training needs before it has a state."""

    config: Config
    splits: Splits
    task: Task
    spec: TrainSpec
    mesh: Mesh
    initial: Weights | None  # that all seeds begin with; None: each with its own

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self.spec.network

    @property
    def num_params(self) -> int:
        """The number of parameters of one network."""
        rows = layer_rows(self.network.architecture, *self.task.image_size)
        return sum(row.parameters for row in rows)

    def with_initial_weights(self) -> "Experiment":
        """Returns the experiment with the weights that `config.init_from` names, if it does.

        Raises:
          UserError: if there are none, or they are of another network.
        """
        name = self.config.init_from
        return replace(self, initial=initial_weights(name, self.network)) if name else self

    def init_state(self, seed: int) -> TrainState:
        """Returns the states of all members, a leading axis of seeds; `seed` is `config.seed`."""
        state = self.init_fn()(seed)
        return state if self.initial is None else state.starting_from(self.initial)

    def init_fn(self) -> Callable[[int], TrainState]:
        """Returns `seed -> state`, for many states of one experiment; it compiles once."""
        init = partial(
            _init_states,
            mesh=self.mesh,
            spec=self.spec,
            image_size=self.task.image_size,
            average=bool(self.config.ema_decay),
            keep_epochs=self.config.epochs if self.config.eval.every_epoch else 0,
        )
        schedules = [self.spec.schedule.init(rate) for rate in self.config.learning_rates]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *schedules)
        stacked = shard_by_seed(stacked, self.mesh)

        def init_all(seed: int) -> TrainState:
            seeds = np.array(replace(self.config, seed=seed).seeds, np.int32)
            states: TrainState = init(shard_by_seed(seeds, self.mesh), stacked)
            return states

        return init_all

    def train_data(self) -> Dataset:
        """Copies the training digits to every device of the mesh, where they stay."""
        return put_on_device(self.splits.train, self.mesh)

    def compile(self, state: TrainState) -> "CompiledFns":
        """Compiles the steps and the end of an epoch, for states with the shapes of this one."""
        began = time.perf_counter()
        train = self.splits.train
        # Of the digits only the shapes: memory is short while something compiles.
        dataset = shape_structs(
            Dataset(train.images, np.asarray(train.labels, np.int32)), self.mesh
        )
        step = np.int32(0)

        def compile_steps(batch_size: int) -> Compiled:
            spec = with_axis(self.spec, batch_axis(self.mesh, batch_size))
            static = {"mesh": self.mesh, "spec": spec, "batch_size": batch_size}
            lowered = _train_steps.lower(state, step, step, dataset, **static)
            return _compile(lowered, {} if self.config.strings is None else MANY_KERNELS)

        rest = self.spec.num_examples % self.spec.batch_size
        metrics = shard_by_seed(np.zeros(self.config.num_seeds, np.float32), self.mesh)
        return CompiledFns(
            full_batches=compile_steps(self.spec.batch_size),
            short_batch=compile_steps(rest) if rest else None,
            epoch_end=_compile(
                _end_epoch.lower(state, metrics, step, mesh=self.mesh, spec=self.spec), {}
            ),
            mesh=self.mesh,
            steps_per_epoch=self.spec.steps_per_epoch,
            seconds=time.perf_counter() - began,
        )


@dataclass(frozen=True)
class CompiledFns:
    """The compiled functions of a training; they take all seeds, and donate their state."""

    # Two functions, because one of both kinds of batch takes a third more memory to compile.
    full_batches: Compiled
    short_batch: Compiled | None  # the last step of an epoch, unless batches divide it
    epoch_end: Compiled
    mesh: Mesh
    steps_per_epoch: int
    seconds: float  # spent compiling

    def train_steps(self, state: TrainState, first: int, last: int, dataset: Dataset) -> TrainState:
        """Runs the steps `first <= step < last` of one epoch, without waiting for them."""
        full_end = last
        if self.short_batch is not None and last % self.steps_per_epoch == 0:
            full_end = last - 1
        if first < full_end:
            state = self.full_batches(state, np.int32(first), np.int32(full_end), dataset)
        if full_end < last and self.short_batch is not None:
            state = self.short_batch(state, np.int32(full_end), np.int32(last), dataset)
        return state

    def end_epoch(
        self, state: TrainState, metric: Float[np.ndarray, " seeds"], epoch: int
    ) -> TrainState:
        """Ends epoch `epoch`, counted from 1, with the validation metric of every seed."""
        after: TrainState = self.epoch_end(state, shard_by_seed(metric, self.mesh), np.int32(epoch))
        return after


def prepare(config: Config, splits: Splits | None = None) -> Experiment:
    """Sets up a training: data, network, train step and mesh; compiles nothing.

    Args:
      config: of the training.
      splits: the digits, if they are loaded already; else those that `config.data` names.

    Raises:
      UserError: if the model is unknown or of another kind than the configuration, the digits
        cannot be loaded, or sizes do not fit each other.
    """
    network = make_network(config)
    mesh = make_mesh(config.num_seeds, config.batch_size)
    splits = splits or load_splits(config.data)
    spec = make_spec(config, network, len(splits.train))
    experiment = Experiment(config, splits, make_task(config, network), spec, mesh, None)
    for name in config.eval.suites:
        if name not in experiment.task.suites:
            raise UserError(
                f"config.eval.suites names '{name}': choose of {', '.join(experiment.task.suites)}."
            )
    if config.eval.every_epoch:
        kept = 4 * experiment.num_params * config.epochs * config.num_seeds
        if kept > EVERY_EPOCH_BYTES:  # the machine would kill the process, without a word
            raise UserError(
                f"the weights of all {config.epochs:,} epochs take {kept / 2**30:,.0f} GiB: set "
                "config.eval.every_epoch to False, or lower config.epochs."
            )
    return experiment


def make_network(config: Config) -> Network:
    """Returns the network that a configuration names.

    Raises:
      UserError: if there is none, or it reads something else than the configuration.
    """
    reads_sequences = SYSTEM_MODELS.get(config.model, config.model) in SEQUENCE_MODELS
    network = create_network(
        config.model,
        max_length=config.sequence.max_length if config.sequence else 1,
        layout=config.layout,
    )
    network = network.clone(layout=replace(network.layout, batch_norm=config.batch_norm))
    if reads_sequences and config.sequence is None:
        raise UserError(
            f"config.model {config.model} reads sequences, and the configuration lacks the field "
            "sequence.max_length: start from recipes.sequences()."
        )
    if (network.architecture.heads is None) != (config.strings is not None):
        raise UserError(
            f"config.model {config.model} and the group config.strings do not belong together: "
            "start from recipes.strings() for a network that reads any length, else from another."
        )
    if config.sequence and not reads_sequences:
        raise UserError(
            f"config.model {config.model} reads single digits: start from a recipe of its own "
            "kind, such as configs/models.py."
        )
    return network


def initial_weights(name: str, network: Network) -> Weights:
    """Returns the weights that a training begins with.

    Args:
      name: of shipped weights, a run folder or a weights file.
      network: that is trained.

    Raises:
      UserError: if there are none, or they are of another network.
    """
    path = find_weights(name)
    loaded = load_weights(path / FILE_NAME if path.is_dir() else path)
    if loaded.network.architecture != network.architecture:
        raise UserError(
            f"config.init_from {name} is of the model {loaded.metadata.model}, and another one is "
            "trained: name weights of the same model, or leave it empty."
        )
    return loaded.weights


def make_task(config: Config, network: Network) -> Task:
    """Returns the task of a network that a configuration names."""
    return task_of(network.architecture, config.sequence.max_length if config.sequence else 1)


def make_spec(config: Config, network: Network, num_digits: int) -> TrainSpec:
    """Returns what a train step computes with, for a training set of `num_digits` digits.

    Raises:
      UserError: if a batch has more examples than an epoch, or a schedule has too few steps.
    """
    task = make_task(config, network)
    examples = config.sequence.train_sequences if config.sequence else num_digits
    if examples < config.batch_size:
        raise UserError(
            f"config.batch_size is {config.batch_size}, more than the {examples:,} {task.noun} of "
            "an epoch: lower it, or hold fewer digits out."
        )
    mode: Mode = "min" if config.validation.metric == "loss" else "max"
    return TrainSpec(
        network=network,
        optimizer=make_optimizer(config.optimizer),
        schedule=make_schedule(
            config.schedule,
            epochs=config.epochs,
            steps_per_epoch=steps_per_epoch(examples, config.batch_size),
            mode=mode,
        ),
        example_fn=task.train_example_fn(config),
        early_stopping=EarlyStopping(mode, config.early_stopping_patience),
        num_examples=examples,
        batch_size=config.batch_size,
        ema_decay=config.ema_decay,
        resample_each_epoch=config.sequence.resample_each_epoch if config.sequence else False,
    )


def with_axis(spec: TrainSpec, axis_name: str | None) -> TrainSpec:
    """Returns the spec of steps whose batch is sharded along `axis_name`."""
    return replace(spec, axis_name=axis_name, network=spec.network.with_axis(axis_name))


# It runs once: the same bits from code that compiles seven times faster.
@partial(
    jax.jit,
    static_argnames=("mesh", "spec", "image_size", "average", "keep_epochs"),
    compiler_options={"xla_backend_optimization_level": 1},
)
def _init_states(
    seeds: Int[Array, " seeds"],
    schedules: PyTree,
    *,
    mesh: Mesh,
    spec: TrainSpec,
    image_size: tuple[int, int],
    average: bool,
    keep_epochs: int,
) -> TrainState:
    def init(seed: Int[Array, ""], schedule: PyTree) -> TrainState:
        return init_state(
            seed,
            network=spec.network,
            image_size=image_size,
            optimizer=spec.optimizer,
            schedule=schedule,
            mode=spec.early_stopping.mode,
            average=average,
            keep_epochs=keep_epochs,
        )

    states: TrainState = map_seeds(init, mesh)(seeds, schedules)
    return states


@partial(jax.jit, static_argnames=("mesh", "spec", "batch_size"), donate_argnums=0)
def _train_steps(
    state: TrainState,
    first: Int[Array, ""],
    last: Int[Array, ""],
    dataset: Dataset,
    *,
    mesh: Mesh,
    spec: TrainSpec,
    batch_size: int,
) -> TrainState:
    steps = partial(train_steps, spec=spec, batch_size=batch_size)
    # Unchecked: the casts that the check needs make the compact recogniser's steps slower.
    # tests/test_experiment.py holds a sharded batch to the whole one instead.
    mapped = map_seeds(steps, mesh, shared=3, check=False)
    after: TrainState = mapped(state, first, last, dataset)
    return after


@partial(jax.jit, static_argnames=("mesh", "spec"), donate_argnums=0)
def _end_epoch(
    state: TrainState,
    metric: Float[Array, " seeds"],
    epoch: Int[Array, ""],
    *,
    mesh: Mesh,
    spec: TrainSpec,
) -> TrainState:
    after: TrainState = map_seeds(partial(end_epoch, spec=spec), mesh, shared=1)(
        state, metric, epoch
    )
    return after


def _compile(lowered: Lowered, options: dict[str, Any]) -> Compiled:
    """Compiles one function, with freed memory returned before and after."""
    trim_heap()
    compiled = lowered.compile(compiler_options=options)
    trim_heap()
    return compiled
