"""What comparisons with PyTorch share: the networks, real batches, and the published loss."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxmnist.constants import MEAN, SD
from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import Source
from jaxmnist.formats.state_dict import from_state_dict
from jaxmnist.models.classifiers import CLASSIFIERS
from jaxmnist.models.layers import BatchNorm, Conv, Dropout
from jaxmnist.models.network import Architecture
from jaxmnist.models.zoo import sequence_published
from tests.models.torch_reference import REFERENCES

torch.set_num_threads(1)  # a few images are no work for several threads

ARCHITECTURES = {"sequence_published": sequence_published(3)} | CLASSIFIERS
# Without dropout iterations 6 and 7 are iteration 5: comparisons in training leave them out.
TRAINED = sorted(ARCHITECTURES.keys() - {"iteration_6", "iteration_7"})

Gradients = dict[str, np.ndarray]  # by the names of the state dict
Answer = tuple[np.ndarray, Gradients]  # logits in training, and gradients


def without_dropout(name: str) -> tuple[Architecture, torch.nn.Sequential]:
    """A network and its torch model, both with the dropout layers taken out."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES[name]
    kept = tuple(layer for layer in architecture.layers if not isinstance(layer, Dropout))
    modules = [m for m in REFERENCES[name]() if not isinstance(m, torch.nn.Dropout)]
    assert len(kept) == len(modules)
    ours = Architecture(kept, architecture.heads, architecture.classes)
    return ours, torch.nn.Sequential(*modules)


def batch_size_of(architecture: Architecture) -> int:
    return 8 if architecture.heads == 1 else 2


def real_digits(source: Source, count: int) -> Dataset:
    """The first `count` digits, from the beginning again where there are fewer."""
    chosen = np.arange(count) % len(source.train)
    return Dataset(source.train.images[chosen], source.train.labels[chosen].astype(np.int32))


def real_batches(
    digits: Dataset, architecture: Architecture, size: int, order: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Digits side by side, one for every head, in batches: (size, 28, width) and their labels."""
    heads = architecture.heads
    examples = digits.images.reshape(-1, heads, 28, 28), digits.labels.reshape(-1, heads)
    images, labels = (array if order is None else array[order] for array in examples)
    images = (np.moveaxis(images, 1, 2).reshape(len(images), 28, -1) / 255 - MEAN) / SD
    starts = range(0, len(images), size)
    return [(images[start : start + size], labels[start : start + size]) for start in starts]


def torch_loss(
    model: torch.nn.Module, images: np.ndarray, labels: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """The published loss, summed over heads and averaged over the batch; the logits."""
    like = next(model.parameters())
    logits = model(torch.from_numpy(images).to(like)[:, None])
    logits = logits.reshape(*labels.shape, -1)
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.from_numpy(labels).long().flatten(), reduction="sum"
    )
    return loss / len(labels), logits


def torch_answer(model: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> Answer:
    model.zero_grad()
    loss, logits = torch_loss(model, images, labels)
    loss.backward()
    gradients = {name: leaf.grad.numpy().copy() for name, leaf in model.named_parameters()}
    return logits.detach().numpy(), gradients


def torch_answers(
    model: torch.nn.Module, batches: list[tuple[np.ndarray, np.ndarray]], dtype: str
) -> list[Answer]:
    """The answers to several batches, each from the statistics that the model has now."""
    model.to(getattr(torch, dtype))
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    answers = []
    for images, labels in batches:
        answers.append(torch_answer(model, images, labels))
        model.load_state_dict(start)
    return answers


def torch_variables(architecture: Architecture, model: torch.nn.Module) -> dict[str, Any]:
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return jax.tree.map(jnp.asarray, from_state_dict(architecture, state))


def as_type(tree: Any, dtype: str) -> Any:
    """Real numbers in another precision; counts stay what they are."""
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
    )


def _scales(architecture: Architecture, gradients: Gradients) -> dict[str, float]:
    """What the errors of a leaf's gradient are measured by: its largest entry.

    Batch normalisation takes away what the bias of the convolution before it adds, so that such a
    bias has no gradient but rounding: it is measured by the gradient of its own kernel.
    """
    found = {name: float(np.abs(leaf).max()) for name, leaf in gradients.items()}
    pairs = zip(architecture.layers, architecture.layers[1:], strict=False)
    for index, (layer, following) in enumerate(pairs):
        if isinstance(layer, Conv) and layer.bias and isinstance(following, BatchNorm):
            found[f"{index}.bias"] = found[f"{index}.weight"]
    return found


def gradient_errors(
    architecture: Architecture, answers: list[Answer], exact_answers: list[Answer]
) -> list[float]:
    """The largest error in every batch's gradients."""
    found = []
    for (_, gradients), (_, exact) in zip(answers, exact_answers, strict=True):
        scale = _scales(architecture, exact)
        found.append(max(np.abs(gradients[k] - exact[k]).max() / scale[k] for k in exact))
    return found


def logits_apart(answers: list[Answer], references: list[Answer]) -> float:
    """The largest difference of a logit, by the largest logit of its batch."""
    return max(
        float(np.abs(logits - reference).max() / np.abs(reference).max())
        for (logits, _), (reference, _) in zip(answers, references, strict=True)
    )
