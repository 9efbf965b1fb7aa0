"""Section a: the same numbers as float64 on the host, and the same run however it is run."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxmnist.config import Data
from jaxmnist.constants import BLANK, PUBLISHED_LENGTH, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import load_splits
from jaxmnist.generate.augment import normalise
from jaxmnist.models.network import Network
from jaxmnist.models.summary import init_variables
from jaxmnist.models.zoo import create_network
from jaxmnist.runtime import cores
from jaxmnist.tasks import task_of
from tools.accelerator.launches import launch_items
from tools.accelerator.plan import Plan
from tools.accelerator.section import Context, Item, Result

# They run once, and on a GPU compiling is above all the search for the fastest kernels.
QUICKLY_COMPILED = {"xla_backend_optimization_level": 1, "xla_gpu_autotune_level": 0}
# The largest relative error (of the 2-norm) that counts as rounding. By default a GPU rounds the
# factors of a product to 10 bits (TensorFloat-32). Gradients have more: a sum that lies within its
# rounding error of 0 falls on the other side of a ReLU now and then.
ALLOWED = {
    "highest": {"logits": 1e-5, "gradients": 1e-3},
    "default": {"logits": 1e-2, "gradients": 1e-1},
}
HostBatch = tuple[np.ndarray, np.ndarray]  # images and labels
Outputs = tuple[np.ndarray, np.ndarray, Any]  # logits in training, logits in inference, gradients


def equality(context: Context) -> Iterator[Item]:
    """Devices and versions; every network against float64; runs, killed, resumed and repeated."""
    yield Item("machine", machine)
    digits = load_splits(Data(source=context.plan.source)).test
    # XLA compiles without Python's lock: as many networks at once as cores, half of them spare.
    with ThreadPoolExecutor(max(1, cores() // 2)) as pool:
        futures = {
            name: pool.submit(check_network, name, digits, context.plan)
            for name in context.plan.networks
        }
        for name, future in futures.items():
            yield Item(f"network {name}", future.result)
        pool.shutdown(wait=False, cancel_futures=True)
    yield from launch_items(context)


def machine() -> Result:
    """Returns what the machine is, and which versions of what compute on it."""
    names = ("jax", "jaxlib", "jax-cuda13-plugin", "jax-cuda12-plugin", "torch", "triton")
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    devices = [
        {"kind": each.device_kind, "platform": each.platform, "memory": each.memory_stats()}
        for each in jax.devices()
    ]
    return {"devices": devices, "packages": found, "cores": cores(), "nvidia_smi": nvidia_smi()}


def nvidia_smi() -> str | None:
    """Returns name, driver, memory and clocks of the cards; None without NVIDIA's program."""
    fields = "name,driver_version,memory.total,clocks.max.sm,power.limit"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def check_network(name: str, digits: Dataset, plan: Plan) -> Result:
    """Compares a network's logits and gradients, on one batch, with float64 on the host."""
    network = create_network(name)
    batch = make_batch(network, digits, plan)
    reference = create_network(name, layout="nhwc")
    began = time.perf_counter()
    variables = random_variables(reference)
    with jax.default_device(jax.local_devices(backend="cpu")[0]), jax.enable_x64(True):
        wide, images = jax.tree.map(widen, (variables, batch[0]))
        truth = outputs(reference, wide, (images, batch[1]))
    found: Result = {
        "examples": len(batch[0]),
        "layout": network.layout.name,
        "reference_seconds": round(time.perf_counter() - began, 2),
    }
    for precision, allowed in ALLOWED.items():
        with jax.default_matmul_precision(precision):
            errors = compare(outputs(network, variables, batch), truth)
        found[precision] = errors | {
            "as_expected": errors["logits"] <= allowed["logits"]
            and errors["gradients"] <= allowed["gradients"]
        }
    return found


def make_batch(network: Network, digits: Dataset, plan: Plan) -> HostBatch:
    """Returns a batch of real digits, or of sequences of every length, on the host."""
    heads = network.architecture.heads or PUBLISHED_LENGTH
    count = plan.check_sequences if heads > 1 else plan.check_digits
    images = np.asarray(digits.images[: count * heads], np.float32) / 255
    labels = np.asarray(digits.labels[: count * heads], np.int32).reshape(count, heads)
    written = np.arange(heads) <= np.arange(count)[:, None] % heads
    if heads > 1:
        labels = np.where(written, labels, np.int32(BLANK))
    images = images.reshape(count, heads, SIDE, SIDE) * written[..., None, None]
    canvases = images.transpose(0, 2, 1, 3).reshape(count, SIDE, SIDE * heads)
    return np.asarray(normalise(jnp.asarray(canvases, jnp.float32))), labels


def random_variables(network: Network) -> Any:
    """Returns variables of the initial scale, drawn on the host, where nothing has to compile."""
    size = task_of(network.architecture).image_size
    shapes = jax.eval_shape(lambda key: init_variables(network, key, *size), jax.random.key(0))
    random = np.random.RandomState(0)

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        bound = max(np.prod(leaf.shape[:-1]), 1) ** -0.5 if len(leaf.shape) > 1 else 0.1
        values = random.uniform(-bound, bound, leaf.shape)
        # Scales and variances lie about 1. Nothing is exactly 0 or 1, so that every array matters.
        values += path[-1].key in ("scale", "var")
        return np.asarray(values, leaf.dtype)

    variables: Any = jax.tree_util.tree_map_with_path(draw, shapes)
    return variables


def widen(leaf: np.ndarray) -> np.ndarray:
    """Returns an array in double precision, if it holds real numbers."""
    return np.asarray(leaf, np.float64) if leaf.dtype == np.float32 else leaf


def outputs(
    network: Network,
    variables: Any,
    batch: HostBatch,
) -> Outputs:
    """Computes a batch in training (with dropout and batch statistics), then in inference."""
    key = jax.random.key(1)

    @partial(jax.jit, compiler_options=QUICKLY_COMPILED)
    def compute(
        variables: Any,
        images: Float[Array, "batch height width"],
        labels: Int[Array, "batch heads"],
    ) -> tuple[Array, Array, Any]:
        def loss_fn(params: Any) -> tuple[Array, tuple[Array, Any]]:
            logits, updated = network.apply(
                variables | {"params": params},
                images,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            return network.architecture.losses(logits, labels).mean(), (
                jnp.asarray(logits),
                updated,
            )

        gradients, (logits, updated) = jax.grad(loss_fn, has_aux=True)(variables["params"])
        in_inference = network.apply(variables | updated, images, train=False)
        return logits, jnp.asarray(in_inference), gradients

    images, labels = batch
    found: Outputs = jax.device_get(compute(variables, images, labels))
    return found


def compare(found: Outputs, truth: Outputs) -> dict[str, float]:
    """Returns relative errors of logits and gradients, and the worst of one layer's gradient."""
    # The bias before a batch normalisation has no gradient but rounding: nothing to be relative to.
    whole = float(np.linalg.norm(flat(truth[2])))
    layers = jax.tree.map(partial(relative_error, least=1e-3 * whole), found[2], truth[2])
    return {
        "logits": relative_error(found[0], truth[0]),
        "logits_in_inference": relative_error(found[1], truth[1]),
        "largest_logit_difference": float(np.abs(found[0] - truth[0]).max()),
        "gradients": relative_error(flat(found[2]), flat(truth[2])),
        "worst_layer": max(jax.tree.leaves(layers)),
    }


def relative_error(found: np.ndarray, truth: np.ndarray, least: float = 1e-300) -> float:
    """Returns the 2-norm of the difference, by that of the truth (or `least`, if that is more)."""
    difference = np.linalg.norm(np.ravel(np.asarray(found, np.float64) - truth))
    return float(difference / max(float(np.linalg.norm(np.ravel(truth))), least))


def flat(tree: Any) -> np.ndarray:
    """Returns all numbers of a tree as one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
