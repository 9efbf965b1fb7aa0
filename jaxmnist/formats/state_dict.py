"""Variables as the `state_dict` that PyTorch's nn.Sequential of the same layers has, and back.

Nothing is computed, only copied, so that a state dict survives the way there and back bit for bit:

* the layer at index i of the architecture owns the names `i.weight`, `i.bias`, and for batch
  normalisation also `i.running_mean`, `i.running_var`, `i.num_batches_tracked` (int64);
* a convolution's kernel is OIHW there and HWIO here, a dense one (out, in) there, (in, out) here;
* a last dense layer that serves several heads is one linear layer a head there: `i.h.weight` and
  `i.h.bias` for head h, as for an nn.ModuleList in the place of the layer.
"""

from collections.abc import Mapping
from types import EllipsisType
from typing import Any

import jax
import numpy as np

from jaxmnist.constants import SIDE
from jaxmnist.errors import UserError
from jaxmnist.models.layers import BatchNorm, Conv, Dense
from jaxmnist.models.layout import NHWC
from jaxmnist.models.network import Architecture, Network
from jaxmnist.models.summary import init_variables

StateDict = dict[str, np.ndarray]


def _views(architecture: Architecture, variables: Mapping[str, Any]) -> StateDict:
    """Returns views of NumPy variables with PyTorch's names, order and layout.

    Writing into a view writes into the variable.
    """
    views: StateDict = {}
    last = len(architecture.layers) - 1
    for index, (name, layer) in enumerate(architecture.named_layers()):
        params = variables["params"].get(name, {})
        if isinstance(layer, BatchNorm):
            stats = variables["batch_stats"][name]
            views[f"{index}.weight"] = params["scale"]
            views[f"{index}.bias"] = params["bias"]
            views[f"{index}.running_mean"] = stats["mean"]
            views[f"{index}.running_var"] = stats["var"]
            views[f"{index}.num_batches_tracked"] = stats["count"]
        elif isinstance(layer, Conv | Dense):
            kernel = params["kernel"].transpose((3, 2, 0, 1) if isinstance(layer, Conv) else (1, 0))
            heads, classes = architecture.heads, architecture.classes
            parts: dict[str, slice | EllipsisType] = {f"{index}": ...}
            if index == last and heads > 1 and params["bias"].size == heads * classes:
                cuts = range(0, heads * classes, classes)
                parts = {f"{index}.{h}": slice(c, c + classes) for h, c in enumerate(cuts)}
            for prefix, part in parts.items():
                views[f"{prefix}.weight"] = kernel[part]
                if "bias" in params:
                    views[f"{prefix}.bias"] = params["bias"][part]
    return views


def _exported_type(array: np.ndarray) -> np.dtype:
    """Returns PyTorch's type of an array: it counts batches in int64, JAX in int32."""
    return np.dtype(np.int64) if array.dtype == np.int32 else array.dtype


def to_state_dict(architecture: Architecture, variables: Mapping[str, Any]) -> StateDict:
    """Copies `params` and `batch_stats` into a state dict, in PyTorch's names, order and layout."""
    arrays = jax.tree.map(np.asarray, dict(variables))
    return {
        name: np.array(view, _exported_type(view), order="C")
        for name, view in _views(architecture, arrays).items()
    }


def from_state_dict(
    architecture: Architecture, state: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Copies a state dict into variables: `params` and `batch_stats`, as NumPy arrays.

    Entries are matched by order, since published files have names of their own. If the names are
    those of `to_state_dict`, they are matched by name: safetensors files do not keep the order.

    Raises:
      UserError: if the number of entries, or an entry's type or shape, is not the network's.
    """
    network = Network(architecture, NHWC())
    shapes = jax.eval_shape(
        lambda key: init_variables(network, key, SIDE, SIDE * architecture.heads),
        jax.random.key(0),
    )
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    views = _views(architecture, variables)
    if len(state) != len(views):
        raise UserError(
            f"the state dict has {len(state)} entries and the network {len(views)}: "
            "use the weights of that network."
        )
    names = views if state.keys() == views.keys() else state
    for name, view in zip(names, views.values(), strict=True):
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
