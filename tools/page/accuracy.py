"""What coarse weights cost: strings that a network reads before and after."""

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp

import jaxmnist
from jaxmnist.api import Model
from jaxmnist.formats.safetensors_files import read_arrays
from jaxmnist.page.weights import COARSE, FINE, quantise
from jaxmnist.reader.forward import from_arrays
from jaxmnist.shipped import find_weights


def accuracies(name: str, suites: Sequence[str]) -> dict[str, dict[str, float]]:
    """Returns the exact sequence accuracy of each suite: of whole weights, and of the page's."""
    whole = jaxmnist.load(name)
    return {
        "whole": _scores(whole, suites),
        "in the page": _scores(_quantised(whole, name, COARSE), suites),
        "beside it": _scores(_quantised(whole, name, FINE), suites),
    }


def _quantised(model: Model, name: str, step: float) -> Model:
    """Returns a model whose kernels are those that the page has."""
    network = from_arrays(read_arrays(find_weights(name))[0])
    params = {layer: dict(arrays) for layer, arrays in model.params.items()}
    pairs = zip(network.convs, quantise(network, step).convs, strict=True)
    for number, (conv, coarse) in enumerate(pairs, 1):
        scale = coarse.factor / conv.factor
        params[f"conv{number}"]["kernel"] = jnp.asarray(coarse.kernel * scale)
    weights = model.loaded.weights._replace(params=params)
    return replace(model, loaded=replace(model.loaded, weights=weights))


def _scores(model: Model, suites: Sequence[str]) -> dict[str, float]:
    found = model.score_suites(suites)
    return {name: scores["exact_sequence_accuracy"] for name, (scores, _) in found.items()}
