"""One network's weights in a safetensors file that also says which network they belong to."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxmnist.durable import write_whole
from jaxmnist.errors import UserError
from jaxmnist.models.catalogue import create_network
from jaxmnist.models.network import Network, Weights
from jaxmnist.models.table import init_variables
from jaxmnist.storage.safetensors_files import read_arrays
from jaxmnist.tasks import Task, task_of

FILE_NAME = "weights.safetensors"
# What a file says of itself: which network it is, how it was trained, on what it is measured.
ABOUT = {"name", "model", "max_length", "seed", "epoch", "digits", "eval"}


class Loaded(NamedTuple):
    """A network that is ready to be applied."""

    network: Network
    weights: Weights
    task: Task
    about: dict[str, Any]  # what the file says of itself


def save_weights(path: Path, weights: Weights, about: dict[str, Any]) -> None:
    """Writes one network; `about` must hold what `ABOUT` names."""
    from safetensors.numpy import save

    flat = flatten_dict(weights._asdict(), sep=".")
    arrays = {name: np.asarray(value, order="C") for name, value in flat.items()}
    said = json.dumps(about | {"sha256": fingerprint(weights)}, sort_keys=True)
    # One entry: of several the library would write the order by chance.
    write_whole(path, save(arrays, metadata={"jaxmnist": said}))


def fingerprint(weights: Weights) -> str:
    """Returns the SHA-256 of all bits of weights, of one network or of all seeds'."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(weights):  # in the order of names
        digest.update(np.asarray(leaf, order="C").tobytes())
    return digest.hexdigest()


def load_weights(path: Path) -> Loaded:
    """Reads a file that `save_weights` wrote; nothing in it is ever executed.

    Raises:
      UserError: if the file is missing, damaged, not finite, or does not fit the network it names.
    """
    flat, metadata = read_arrays(path)
    try:
        about = json.loads(metadata.get("jaxmnist", "{}"))
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or not about.keys() >= ABOUT:
        raise UserError(
            f"{path} does not say which model it is for: use the {FILE_NAME} of a run (what "
            "`jaxmnist export` writes is for other software)."
        )
    wanted_eval = about["eval"] if isinstance(about["eval"], dict) else {}
    sizes = (about["max_length"], wanted_eval.get("examples"), wanted_eval.get("seed"))
    bounds = ((1, 100), (1, 10**9), (0, 2**31 - 1))
    words = (about["name"], about["model"], about["digits"])
    if not all(isinstance(word, str) for word in words) or not all(
        type(size) is int and low <= size <= high
        for size, (low, high) in zip(sizes, bounds, strict=True)
    ):
        raise UserError(f"{path} says impossible things of itself: use a file made by jaxmnist.")

    network = create_network(about["model"], max_length=about["max_length"])
    task = task_of(network.architecture)
    wanted = flatten_dict(
        jax.eval_shape(
            lambda key: init_variables(network, key, *task.image_size), jax.random.key(0)
        ),
        sep=".",
    )
    for name in sorted(wanted.keys() | flat.keys()):
        found, needed = _form(flat.get(name)), _form(wanted.get(name))
        if found != needed:
            raise UserError(
                f"{path} does not fit {about['model']}: {name} is {found}, not {needed}; use the "
                "weights of that model."
            )
    for name, value in sorted(flat.items()):
        if not np.isfinite(value).all():
            raise UserError(
                f"{path} holds numbers that are not finite in {name}: use the weights of another "
                "run or epoch."
            )
    tree = unflatten_dict({name: jnp.asarray(value) for name, value in flat.items()}, sep=".")
    weights = Weights(tree["params"], tree.get("batch_stats", {}))
    if about.get("sha256") not in (None, fingerprint(weights)):  # older files have none
        raise UserError(
            f"{path} is damaged, its weights are not those that were written: remove it and the "
            "run's summary.json, and the run's command writes both again from its last checkpoint."
        )
    return Loaded(network, weights, task, about)


def _form(array: Any) -> str:
    return "missing" if array is None else f"{array.dtype} of shape {tuple(array.shape)}"
