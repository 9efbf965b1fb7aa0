"""One network's weights in a file: our own, which says which network it is, or a state dict."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Float

from jaxmnist.config import Evaluation
from jaxmnist.data.dataset import TITLES
from jaxmnist.errors import UserError
from jaxmnist.files import atomic_write
from jaxmnist.formats.identify import identify
from jaxmnist.formats.kinds import SAFETENSORS, SHARDS, TORCH, kind_of
from jaxmnist.formats.pth import read_pth
from jaxmnist.formats.safetensors_files import read_arrays, read_shards
from jaxmnist.models.network import Architecture, Network, Weights
from jaxmnist.models.summary import init_variables
from jaxmnist.models.zoo import create_network
from jaxmnist.tasks import Task, task_of
from jaxmnist.typed_json import from_json

FILE_NAME = "weights.safetensors"
TORCH_SUFFIXES = (".pth", ".pt")  # what people call what torch.save wrote
# Files of before version 0.1 name the data set by a title, in the field `digits`.
OLD_TITLES = {
    "MNIST": "mnist",
    "digits of your own": "own",
    "the stand-in digits8x8": "digits8x8",
}


@dataclass(frozen=True)
class Metadata:
    """Which network a file holds, how it was trained, and what it is tested on."""

    name: str  # of the configuration
    model: str  # an entry of jaxmnist.models.zoo
    max_length: int  # digits in a sequence, 1 for single digits
    seed: int | None  # None of a state dict, which does not say
    epoch: int | None  # counted from 1
    data: str  # the data set's identifier: mnist, own or digits8x8
    eval: Evaluation  # the test examples of its run
    sha256: str | None = None  # of the weights; files of before version 0.1 may have none


@dataclass(frozen=True)
class Loaded:
    """A network that is ready to be applied."""

    network: Network
    weights: Weights
    task: Task
    metadata: Metadata
    notes: tuple[str, ...] = ()  # what a reader of the file has to know


def save_weights(path: Path, weights: Weights, metadata: Metadata, *, half: bool = False) -> None:
    """Writes one network; the hash in `metadata` is filled in.

    Args:
      path: of the file.
      weights: of the network.
      metadata: what the file says of it.
      half: whether numbers are rounded to 16 bits, which makes the file half as large.
    """
    from safetensors.numpy import save

    if half:
        weights = jax.tree.map(lambda leaf: _cast(leaf, np.float32, np.float16), weights)
    flat = flatten_dict(weights._asdict(), sep=".")
    arrays = {name: np.asarray(value, order="C") for name, value in flat.items()}
    # The hash is of the weights as they are read again.
    read = jax.tree.map(lambda leaf: _cast(leaf, np.float16, np.float32), weights)
    hashed = dataclasses.replace(metadata, sha256=weights_sha256(read))
    # One entry, since safetensors writes several in any order.
    entry = json.dumps(dataclasses.asdict(hashed), sort_keys=True)
    atomic_write(path, save(arrays, metadata={"jaxmnist": entry}))


def _cast(array: Any, given: Any, wanted: Any) -> np.ndarray:
    """Returns an array of one precision in another; one of any other dtype stays as it is."""
    array = np.asarray(array)
    return array.astype(wanted) if array.dtype == given else array


def with_temperature(
    architecture: Architecture, weights: Weights, temperatures: Float[np.ndarray, " networks"]
) -> Weights:
    """Returns the weights of networks whose logits are divided by a temperature each.

    The last layer is linear: it is divided, and nothing else has to know.
    """
    last = list(architecture.named_layers())[-1][0]
    divided = {
        name: value / np.float32(temperatures).reshape(-1, *(1,) * (value.ndim - 1))
        for name, value in weights.params[last].items()
    }
    return weights._replace(params=weights.params | {last: divided})


def weights_sha256(weights: Weights) -> str:
    """Returns the SHA-256 of all bits of weights, of one network or of all seeds'."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(weights):  # in the order of names
        digest.update(np.asarray(leaf, order="C").tobytes())
    return digest.hexdigest()


def load_weights(path: Path) -> Loaded:
    """Reads a file that `save_weights` wrote, or what PyTorch wrote, `.pth` or safetensors.

    Of a checkpoint or a whole module the state dict is taken; safetensors in several files are
    named by their list. Nothing in it is ever executed.

    Raises:
      UserError: if the file is missing, damaged, not finite, or does not fit the network it names;
        or if a state dict fits none.
    """
    if os.path.isfile(path):  # False, too, where a name is too long
        kind = kind_of(path)
        if kind == TORCH or (not kind and path.suffix in TORCH_SUFFIXES):
            return _from_state_dict(path, read_pth(path))
        if kind == SHARDS:
            return _from_state_dict(path, read_shards(path))
        if kind not in ("", SAFETENSORS):
            raise UserError(
                f"{path} is {kind}, and no weights file that is read: use a run's, or a state dict "
                "of a published model that torch.save or safetensors wrote."
            )
    flat, entries = read_arrays(path)
    if "jaxmnist" not in entries:
        return _from_state_dict(path, flat)
    metadata = _metadata(path, entries["jaxmnist"])
    flat = {name: _cast(array, np.float16, np.float32) for name, array in flat.items()}

    network = create_network(metadata.model, max_length=metadata.max_length)
    task = task_of(network.architecture, metadata.max_length)
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
                f"{path} does not fit {metadata.model}: {name} is {found}, not {needed}; use the "
                "weights of that model."
            )
    _check_finite(path, flat)
    tree = unflatten_dict({name: jnp.asarray(value) for name, value in flat.items()}, sep=".")
    weights = Weights(tree["params"], tree.get("batch_stats", {}))
    if metadata.sha256 not in (None, weights_sha256(weights)):
        raise UserError(
            f"{path} is damaged, its weights are not those that were written: remove it and the "
            "run's summary.json, and rerun to write both again from its last checkpoint."
        )
    return Loaded(network, weights, task, metadata)


def _from_state_dict(path: Path, state: Mapping[str, np.ndarray]) -> Loaded:
    """Takes a state dict for the weights of the model that it fits, to be tested on MNIST."""
    other = (np.float16, np.float64, jnp.bfloat16)
    converted = {n for n, array in state.items() if array.dtype in other}
    state = {n: array.astype(np.float32) if n in converted else array for n, array in state.items()}
    try:
        found = identify(state)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from None
    own = {n: array for n, array in state.items() if n.startswith(found.prefix)}
    _check_finite(path, own)
    network = create_network(found.model, max_length=found.max_length)
    metadata = Metadata(
        name=found.model,
        model=found.model,
        max_length=found.max_length,
        seed=None,
        epoch=None,
        data="mnist",
        eval=Evaluation(),
    )
    variables = jax.tree.map(jnp.asarray, dict(found.variables))
    weights = Weights(variables["params"], variables.get("batch_stats", {}))
    place = f", by its entries {found.prefix}*" if found.prefix else ""
    notes = [f"{path} is read as the state dict of {found.model}{place}."]
    if found.others:
        more = ", ..." if len(found.others) > 4 else ""
        notes += [f"Left out, as no part of it: {', '.join(found.others[:4])}{more}."]
    if any(
        name.replace("running_var", "num_batches_tracked") not in own
        for name in own
        if name.endswith(".running_var")
    ):
        notes += ["Its batch normalisations have counted no batches, which is taken as 0."]
    if converted & own.keys():
        notes += ["Its numbers of another precision are read as float32."]
    if found.max_length > 1:
        notes += [f"It is taken to read at most {found.max_length} digits."]
    if found.unused:
        layers = dict.fromkeys(name.rpartition(".")[0] for name in found.unused)
        notes += [f"Its {', '.join(layers)} are left out: the published network never uses them."]
    task = task_of(network.architecture, found.max_length)
    return Loaded(network, weights, task, metadata, tuple(notes))


def _check_finite(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    for name, value in sorted(arrays.items()):
        if not np.isfinite(value).all():
            raise UserError(
                f"{path} holds numbers that are not finite in {name}: use the weights of another "
                "run or epoch."
            )
        if name.endswith(("running_var", ".var")) and value.min() < 0:
            raise UserError(
                f"{path} has negative variances in {name}: use the weights of another run or epoch."
            )


def _metadata(path: Path, entry: str) -> Metadata:
    try:
        tree = json.loads(entry)
    except (ValueError, RecursionError):
        tree = None
    if isinstance(tree, dict) and "digits" in tree:
        title = tree["digits"]
        tree.setdefault("data", OLD_TITLES.get(title) if isinstance(title, str) else None)
    required = {field.name for field in dataclasses.fields(Metadata)} - {"sha256"}
    if not isinstance(tree, dict) or not tree.keys() >= required:
        raise UserError(f"{path} does not say which model it is for: use the {FILE_NAME} of a run.")
    try:
        metadata = from_json(Metadata, tree)
    except (ValueError, UserError):  # a UserError is of the fields of `eval`
        metadata = None
    if not metadata or metadata.data not in TITLES or not 1 <= metadata.max_length <= 100:
        raise UserError(f"{path} has impossible metadata: use a file made by jaxmnist.")
    return metadata


def _form(array: Any) -> str:
    return "missing" if array is None else f"{array.dtype} of shape {tuple(array.shape)}"
