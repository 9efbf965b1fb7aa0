"""Variables as the `state_dict` that PyTorch's nn.Sequential of the same layers has, and back.

Nothing is computed, only copied, so that a state dict survives the way there and back bit for bit:

* the layer at index i of the architecture owns the names `i.weight`, `i.bias`, and for batch
  normalisation also `i.running_mean`, `i.running_var`, `i.num_batches_tracked` (int64);
* a convolution's kernel is OIHW there and HWIO here, a dense one (out, in) there, (in, out) here;
* a last dense layer that serves several heads is one linear layer a head there: `i.h.weight` and
  `i.h.bias` for head h, as for an nn.ModuleList in the place of the layer.

A published module has names of its own in the place of i: formats/original_names.py.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile
from types import EllipsisType
from typing import Any

import jax
import numpy as np

from jaxmnist.constants import SIDE
from jaxmnist.errors import UserError
from jaxmnist.formats.original_names import OriginalNames
from jaxmnist.models.layers import BatchNorm, Conv, Dense
from jaxmnist.models.layout import NHWC
from jaxmnist.models.network import Architecture, Network
from jaxmnist.models.summary import init_variables

StateDict = dict[str, np.ndarray]


def to_state_dict(
    architecture: Architecture,
    variables: Mapping[str, Any],
    original: OriginalNames | None = None,
) -> StateDict:
    """Copies `params` and `batch_stats` into a state dict, in PyTorch's order and layout.

    Args:
      architecture: of the network.
      variables: of the network.
      original: the names that its published module has, instead of nn.Sequential's; what that
        registers without using it is left out.
    """
    arrays = jax.tree.map(np.asarray, dict(variables))
    return {
        name: np.array(view, _exported_type(view), order="C")
        for name, view in _views(architecture, arrays, original).items()
    }


def from_state_dict(
    architecture: Architecture,
    state: Mapping[str, np.ndarray],
    original: OriginalNames | None = None,
) -> dict[str, dict[str, Any]]:
    """Copies a state dict into variables: `params` and `batch_stats`, as NumPy arrays.

    Entries are matched by name, if the names are nn.Sequential's or those of the published module,
    whose unused layers are left out. Else they are matched by order, where that is unambiguous.
    What all names begin with, such as `module.`, counts for nothing.

    Raises:
      UserError: if the number of entries, or an entry's type or shape, is not the network's, or if
        two layers of the same shape could be taken for each other.
    """
    variables = _zeros(Network(architecture, NHWC()))
    views = _views(architecture, variables)
    names: Mapping[str, str] = {name: name for name in views}  # ours -> the file's
    state = with_batch_counts(without_prefix(state)[0])
    unused = unused_entries(state, original)
    state = {name: array for name, array in state.items() if name not in unused}
    if len(state) != len(views):
        raise UserError(
            f"the state dict has {len(state)} entries and the network {len(views)}: "
            "use the weights of that network."
        )
    theirs = _views(architecture, variables, original) if original else {}
    if state.keys() == theirs.keys():
        names = dict(zip(views, theirs, strict=True))
    elif state.keys() != views.keys():
        names = _names_by_order(views, state)
    for ours, view in views.items():
        name = names[ours]
        array, dtype = state[name], _exported_type(view)
        if (array.dtype, array.shape) != (dtype, view.shape):
            raise UserError(
                f"the entry {name} is {array.dtype} of shape {array.shape}, but the network needs "
                f"{dtype} of shape {view.shape}: use the weights of that network."
            )
        view[...] = array
        if dtype != view.dtype and view != array:
            raise UserError(f"the entry {name} is {array}, not a count of batches below 2**31.")
    return variables


def without_prefix(state: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], str]:
    """Leaves out what the names of all layers begin with: `module.`, `_orig_mod.` or `model.`.

    Returns:
      The entries with shorter names, and what was left out, which is mostly nothing.
    """
    layers = [name.split(".")[:-2] for name in state]  # a layer keeps a name of its own
    first, last = min(layers, default=[]), max(layers, default=[])
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    prefix = "".join(f"{part}." for part, _ in same)
    return {name.removeprefix(prefix): array for name, array in state.items()}, prefix


def with_batch_counts(state: Mapping[str, np.ndarray]) -> StateDict:
    """Adds `num_batches_tracked`, which PyTorch before 0.4.1 did not have, as PyTorch does: 0."""
    complete: StateDict = {}
    for name, array in state.items():
        complete[name] = array
        layer, _, entry = name.rpartition(".")
        count = f"{layer}.num_batches_tracked"
        if entry == "running_var" and count not in state:
            complete[count] = np.zeros((), np.int64)
    return complete


def entry_shapes(
    architecture: Architecture, original: OriginalNames | None = None
) -> dict[str, tuple[int, ...]]:
    """Returns the shapes in a network's state dict, by the names of its module."""
    views = _views(architecture, _zeros(Network(architecture, NHWC())), original)
    return {name: view.shape for name, view in views.items()}


def _zeros(network: Network) -> dict[str, dict[str, Any]]:
    """Returns variables of a network that are all zero."""
    shapes = jax.eval_shape(
        lambda key: init_variables(network, key, SIDE, SIDE * (network.architecture.heads or 1)),
        jax.random.key(0),
    )
    variables: dict[str, dict[str, Any]] = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes
    )
    return variables


def count_entries(architecture: Architecture) -> int:
    """Returns how many entries the state dict of a network has, without building it."""
    total, (*_, last) = 0, architecture.layers
    for layer in architecture.layers:
        if isinstance(layer, BatchNorm):
            total += 5
        elif isinstance(layer, Conv):
            total += 1 + layer.bias
        elif isinstance(layer, Dense):
            heads = architecture.heads or 1
            split = layer is last and layer.features == heads * architecture.classes
            total += 2 * (heads if split else 1)
    return total


class AmbiguousOrderError(UserError):
    """The entries fit a network, but could be taken for one another."""


def unused_entries(state: Mapping[str, Any], original: OriginalNames | None) -> list[str]:
    """Returns the entries of layers that the published module registers and never calls."""
    unused = original.unused if original else ()
    return [name for name in state if name.rpartition(".")[0] in unused]


def _views(
    architecture: Architecture,
    variables: Mapping[str, Any],
    original: OriginalNames | None = None,
) -> StateDict:
    """Returns views of NumPy variables with PyTorch's names, order and layout.

    Writing into a view writes into the variable.
    """
    views: StateDict = {}
    last = len(architecture.layers) - 1
    named = [
        (index, name, layer)
        for index, (name, layer) in enumerate(architecture.named_layers())
        if isinstance(layer, BatchNorm | Conv | Dense)
    ]
    prefixes = original.layers if original else [str(index) for index, _, _ in named]
    for prefix, (index, name, layer) in zip(prefixes, named, strict=True):
        params = variables["params"].get(name, {})
        if isinstance(layer, BatchNorm):
            stats = variables["batch_stats"][name]
            views[f"{prefix}.weight"] = params["scale"]
            views[f"{prefix}.bias"] = params["bias"]
            views[f"{prefix}.running_mean"] = stats["mean"]
            views[f"{prefix}.running_var"] = stats["var"]
            views[f"{prefix}.num_batches_tracked"] = stats["count"]
        else:
            kernel = params["kernel"].transpose((3, 2, 0, 1) if isinstance(layer, Conv) else (1, 0))
            heads, classes = architecture.heads, architecture.classes
            parts: dict[str, slice | EllipsisType] = {prefix: ...}
            if index == last and heads and heads > 1 and params["bias"].size == heads * classes:
                cuts = range(0, heads * classes, classes)
                parts = {f"{prefix}.{h}": slice(c, c + classes) for h, c in enumerate(cuts)}
            for head, part in parts.items():
                views[f"{head}.weight"] = kernel[part]
                if "bias" in params:
                    views[f"{head}.bias"] = params["bias"][part]
    return views


def _names_by_order(views: StateDict, state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Returns which entry of a state dict in other names belongs to each of ours, by their order.

    Layers of one shape are told apart by nothing but their order, and a module may register them in
    another one than it calls them. So theirs have to be numbered in that order: `conv1`, `conv2`.

    Raises:
      UserError: if they are not, or if an entry is no layer's.
    """
    ours, theirs = _by_layer(views), _by_layer(state)
    pairs = dict(zip(ours, theirs, strict=False))  # our layer -> theirs
    if len(ours) != len(theirs) or any(
        {name: view.shape for name, view in ours[a].items()}
        != {name: array.shape for name, array in theirs[b].items()}
        for a, b in pairs.items()
    ):
        raise UserError(
            f"its entries ({', '.join(list(state)[:3])}, ...) are not those of this network's "
            "layers in their order: use the weights of that network."
        )
    alike: dict[tuple[Any, ...], list[str]] = {}
    for layer, entries in ours.items():
        forms = tuple((name, view.shape) for name, view in entries.items())
        alike.setdefault(forms, []).append(pairs[layer])
    for layers in alike.values():
        if not _numbered(layers):
            raise AmbiguousOrderError(
                f"the layers {', '.join(layers)} have the same shape, and their names do not say "
                "which is which: number them in the order in which the network calls them."
            )
    return {f"{a}.{entry}": f"{b}.{entry}" for a, b in pairs.items() for entry in ours[a]}


def _by_layer(state: Mapping[str, np.ndarray]) -> dict[str, StateDict]:
    """Returns the entries of every layer: `conv1.weight` is the layer conv1's."""
    layers: dict[str, StateDict] = {}
    for name, array in state.items():
        layer, _, entry = name.rpartition(".")
        layers.setdefault(layer, {})[entry] = array
    return layers


def _numbered(names: Sequence[str]) -> bool:
    """Returns whether names differ in their numbers alone, and these ascend."""
    parts = [re.split(r"(\d+)", name) for name in names]
    texts = {tuple(part[::2]) for part in parts}
    numbers = [tuple(map(int, part[1::2])) for part in parts]
    return len(texts) == 1 and all(a < b for a, b in pairwise(numbers))


def _exported_type(array: np.ndarray) -> np.dtype:
    """Returns PyTorch's type of an array: it counts batches in int64, JAX in int32."""
    return np.dtype(np.int64) if array.dtype == np.int32 else array.dtype
