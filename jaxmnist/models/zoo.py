"""Every architecture by name, as data. A new model is one more entry here or in classifiers.py."""

from collections.abc import Callable

from jaxmnist.constants import DIGITS, PUBLISHED_LENGTH
from jaxmnist.errors import UserError
from jaxmnist.models.classifiers import CLASSIFIERS
from jaxmnist.models.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LocalContrast,
    MaxPool,
    Relu,
    SpaceToDepth,
    SplitColumns,
)
from jaxmnist.models.layout import choose_layout
from jaxmnist.models.network import Architecture, Network

SEQUENCE_CLASSES = DIGITS + 1  # and the blank
Both = int | tuple[int, int]  # for rows and columns


def sequence_published(max_length: int) -> Architecture:
    """The network of both published recognisers (systems 1 and 2): 9,891,489 parameters at 3.

    The published code has one linear layer a head; here they are one matrix, which is the same
    function with the same initial distribution.
    """
    return Architecture(
        layers=(
            *(Conv(32, padding=1), Relu()),
            *(Conv(64, padding=1), Relu(), MaxPool()),
            *(Conv(128, padding=1), Relu()),
            *(Conv(128, padding=1), Relu(), MaxPool()),
            *(Flatten(), Dense(512), Relu(), Dropout(0.5)),
            Dense(max_length * SEQUENCE_CLASSES),
        ),
        heads=max_length,
        classes=SEQUENCE_CLASSES,
    )


def sequence_compact(max_length: int) -> Architecture:
    """This project's own recogniser: 245,423 parameters at any length.

    The convolutions see the whole canvas; after them, its width is cut into one cell a head and
    all heads share their weights, so that every digit of every example trains the same head.
    """

    def block(features: int) -> tuple[Layer, ...]:
        return Conv(features, padding=1, bias=False), BatchNorm(), Relu()

    return Architecture(
        layers=(
            *(*block(12), MaxPool()),
            *(*block(24), *block(24), MaxPool()),
            *(*block(48), SplitColumns(max_length)),
            *(Flatten(), Dense(96), Relu(), Dropout(0.3)),
            Dense(SEQUENCE_CLASSES),
        ),
        heads=max_length,
        classes=SEQUENCE_CLASSES,
    )


def sequence_ctc(
    *, half: tuple[int, ...], quarter: tuple[int, ...], column: int, line: tuple[int, ...]
) -> Architecture:
    """This project's own recognisers of any length at any place, by the width of their layers.

    Fully convolutional along the width, with logits for every other column of the image, which are
    read by CTC (Graves et al., 2006). One kernel takes the height of 28 pixels away.

    Args:
      half: features of the layers at half the image's size, all the same: weights in a file say
        by their shapes alone where the pool is, before the first layer with other features.
      quarter: features of the layers at a quarter of it, on seven rows.
      column: features of the layer that takes the seven rows away.
      line: features of the layers along the line that is left.
    """

    def block(
        features: int, size: Both = 3, padding: Both = 1, *, pool: tuple[Layer, ...] = ()
    ) -> tuple[Layer, ...]:
        return Conv(features, size, padding, bias=False), *pool, BatchNorm(), Relu()

    if len(set(half)) > 1 or quarter[0] == half[0]:
        raise ValueError(f"nothing tells where the pool is: half {half}, quarter {quarter}")
    # Half the size from the start: a stem of full resolution would take 1.7 times as long.
    layers: tuple[Layer, ...] = (LocalContrast(), SpaceToDepth())
    for features in half[:-1]:
        layers += block(features)
    layers += block(half[-1], pool=(MaxPool(),))
    for features in quarter:
        layers += block(features)
    layers += block(column, (7, 1), 0)
    for features in line:
        layers += block(features, (1, 3), (0, 1))
    # Two columns of logits for each of the map's, four pixels wide: `11` fits into six.
    layers += Dropout(0.1), Conv(2 * SEQUENCE_CLASSES, 1)
    return Architecture(layers=layers, heads=None, classes=SEQUENCE_CLASSES)


def swift() -> Architecture:
    """This project's own classifier, made to learn fast: 15,166 parameters, most of them late.

    Two pools come early, so that the wide layers see few pixels.
    """

    def block(features: int, *after: Layer) -> tuple[Layer, ...]:
        return Conv(features, padding=1, bias=False), *after, BatchNorm(), Relu()

    return Architecture(
        layers=(
            *block(12, MaxPool()),
            *block(24, MaxPool()),
            *block(48),
            *(MaxPool(3), Flatten(), Dense(DIGITS)),
        ),
        heads=1,
        classes=DIGITS,
    )


DIGIT_MODELS = CLASSIFIERS | {"swift": swift()}
SEQUENCE_MODELS: dict[str, Callable[[int], Architecture]] = {
    "sequence_published": sequence_published,
    "sequence_compact": sequence_compact,
    "sequence_ctc": lambda max_length: sequence_ctc(
        half=(24, 24), quarter=(64, 64, 64), column=192, line=(160, 160)
    ),
    "sequence_ctc_small": lambda max_length: sequence_ctc(
        half=(16,), quarter=(48, 48), column=192, line=(128, 128)
    ),
}
MODELS = (*SEQUENCE_MODELS, *DIGIT_MODELS)
# The systems that are not called like their model; `jaxmnist models` lists all of them.
SYSTEM_MODELS = {
    "seq-specialist": "sequence_published",
    "seq-generalist": "sequence_published",
    "reader": "sequence_ctc",
    "seq": "sequence_ctc_small",
    "seq-compact": "sequence_compact",
}


def find_architecture(name: str, max_length: int = PUBLISHED_LENGTH) -> Architecture:
    """Returns a model, by its own name or that of a system.

    Args:
      name: such as `model_3`, `sequence_compact` or `seq-specialist`.
      max_length: digits that it reads at most, if it reads sequences.

    Raises:
      UserError: if no model has that name.
    """
    name = SYSTEM_MODELS.get(name, name)
    if name in DIGIT_MODELS:
        return DIGIT_MODELS[name]
    if name in SEQUENCE_MODELS:
        return SEQUENCE_MODELS[name](max_length)
    names = sorted((*MODELS, *SYSTEM_MODELS))
    raise UserError(f"there is no model '{name}': choose one of {', '.join(names)}.")


def create_network(
    name: str, *, max_length: int = PUBLISHED_LENGTH, layout: str = "auto"
) -> Network:
    """Returns a model as a network in a layout; errors are those of `find_architecture`."""
    return Network(find_architecture(name, max_length), choose_layout(layout))
