"""The names that the layers have in the published PyTorch code, by model.

The code of `v_1`, `v_2` and `v_3` was never published, and our own models have none.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class OriginalNames:
    """The names of one published module."""

    layers: tuple[str, ...]  # of the layers with weights, in the order of the architecture
    unused: tuple[str, ...] = ()  # layers that it registers, too, and never calls


def _names(layers: str, unused: str = "") -> OriginalNames:
    return OriginalNames(tuple(layers.split()), tuple(unused.split()))


_ITERATION_1 = "conv1 conv2 conv1x1_1 conv3 conv1x1_2 fc1"  # and 3
_ITERATION_4 = "conv1 bn1 conv2 bn2 conv1x1_1 conv3 conv1x1_2 fc1"  # to 7

ORIGINAL_NAMES: dict[str, OriginalNames] = {
    "sequence_published": _names(
        "conv_base.0 conv_base.2 conv_base.5 conv_base.7 fc1 output_heads"
    ),
    "model_1": _names("conv1 conv2 conv3 conv4 conv5 conv6 conv7 fc1"),
    "model_2": _names("conv1 bn1 conv2 bn2 conv3 bn3 conv4 bn4 conv5 bn5 conv6 bn6 conv7"),
    "model_3": _names("conv1 bn1 conv2 bn2 conv3 bn3 conv4 bn4 conv5 bn5 conv6"),
    "iteration_1": _names(_ITERATION_1),
    "iteration_2": _names("conv1 conv2 conv1x1_1 conv3 conv1x1_2 conv4 conv1x1_3 fc1"),
    "iteration_3": _names(_ITERATION_1),
    "iteration_4": _names(_ITERATION_4, unused="bn3 conv4 conv1x1_3"),
    "iteration_5": _names(_ITERATION_4, unused="bn3"),
    "iteration_6": _names(_ITERATION_4, unused="bn3"),
    "iteration_7": _names(_ITERATION_4, unused="bn3"),
    "ds_cnn": _names("conv1 bn1 conv2 bn2 conv3 bn3 conv4 bn4 conv5 bn5 fc"),
}
