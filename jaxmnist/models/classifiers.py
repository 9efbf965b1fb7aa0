"""The fourteen published digit classifiers (systems 3-16) as data.

Each family puts batch normalisation, activation, dropout and pool in an order of its own; a block
is a convolution followed by whatever its family puts after it. Layers that the published code
creates and never calls are left out, as they are in the published counts.
"""

from jaxmnist.constants import DIGITS
from jaxmnist.models.layers import (
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool,
    Relu,
)
from jaxmnist.models.network import Architecture


def classifier(*layers: Layer) -> Architecture:
    """Returns an architecture that ends in one vector of ten logits."""
    return Architecture(layers, heads=1, classes=DIGITS)


def plain(features: int, *after: Layer, size: int = 3, padding: int = 0) -> tuple[Layer, ...]:
    """A convolution with bias, and what follows it."""
    return Conv(features, size=size, padding=padding), *after


def model_1() -> Architecture:
    """System 3: convolutions and ReLU alone; the last convolution has its ReLU, too."""
    return classifier(
        *plain(16, Relu()),
        *plain(8, Relu()),
        *plain(16, Relu(), MaxPool()),
        *plain(8, Relu()),
        *plain(16, Relu(), MaxPool()),
        *plain(8, Relu(), padding=1),
        *plain(10, Relu(), padding=1),
        Flatten(),
        Dense(DIGITS),
    )


def model_2() -> Architecture:
    """System 4: the pool comes after the dropout, and the last convolution is bare."""
    after = (BatchNorm(), Relu(), Dropout(0.1))
    return classifier(
        *plain(16, *after),
        *plain(8, *after),
        *plain(16, *after, MaxPool()),
        *plain(8, *after),
        *plain(16, *after, MaxPool()),
        *plain(12, *after, padding=1),
        *plain(10, padding=1),
        AvgPool(),
        Flatten(),
    )


def model_3() -> Architecture:
    """System 5: the last convolution sees one pixel, so that only its centre is ever used."""
    after = (BatchNorm(), Relu())
    return classifier(
        *plain(8, *after),
        *plain(8, *after, MaxPool()),
        *plain(12, *after),
        *plain(12, *after, MaxPool()),
        *plain(24, *after, MaxPool()),
        *plain(10, padding=1),
        AvgPool(),
        Flatten(),
    )


def _v_block(features: int, dropout: float, padding: int = 0) -> tuple[Layer, ...]:
    """The V family's: no bias, and batch normalisation *after* the ReLU."""
    after = (Relu(), BatchNorm(), Dropout(dropout))
    return Conv(features, padding=padding, bias=False), *after


def _v_model(dropout: float, middle: tuple[Layer, ...], end: tuple[Layer, ...]) -> Architecture:
    return classifier(
        *_v_block(8, dropout),
        *_v_block(16, dropout),
        Conv(10, size=1, bias=False),
        MaxPool(),
        *middle,
        *_v_block(16, dropout),
        *_v_block(10, dropout),
        *_v_block(10, dropout, padding=1),
        MaxPool(),
        AvgPool(3),
        *end,
    )


def v_1() -> Architecture:
    """System 6: ends in a 1x1 convolution without bias."""
    end = (Conv(DIGITS, size=1, bias=False), Flatten())
    return _v_model(0.01, middle=_v_block(16, 0.01), end=end)


def v_2() -> Architecture:
    """System 7: V1 with a linear layer at its end."""
    return _v_model(0.025, middle=_v_block(16, 0.025), end=(Flatten(), Dense(DIGITS)))


def v_3() -> Architecture:
    """System 8: V2 with one block more after the first pool."""
    middle = (*_v_block(10, 0.025), *_v_block(16, 0.025, padding=1))
    return _v_model(0.025, middle=middle, end=(Flatten(), Dense(DIGITS)))


def _point(features: int) -> tuple[Layer, ...]:
    return plain(features, Relu(), size=1)


def iteration_1() -> Architecture:
    """System 9."""
    return classifier(
        *plain(16, Relu(), MaxPool(), padding=1),
        *plain(32, Relu(), MaxPool(), padding=1),
        *_point(16),
        *plain(32, Relu(), padding=1),
        *_point(32),
        Flatten(),
        Dense(DIGITS),
    )


def iteration_2() -> Architecture:
    """System 10."""
    return classifier(
        *plain(8, Relu(), MaxPool(), padding=1),
        *plain(16, Relu(), MaxPool(), padding=1),
        *_point(8),
        *plain(16, Relu(), padding=1),
        *_point(16),
        *plain(32, Relu(), padding=1),
        *_point(32),
        Flatten(),
        Dense(DIGITS),
    )


def iteration_3_to_7(
    *,
    normalise: bool = True,
    last: int = 28,
    dropout: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
) -> Architecture:
    """Systems 11-15.

    Args:
      normalise: batch normalisation after the first two convolutions.
      last: features of the last 1x1 convolution.
      dropout: after the first pool, after the second, after the third 3x3 convolution's ReLU, and
        before the linear layer.
    """
    first, second, third, fourth = (((Dropout(rate),) if rate else ()) for rate in dropout)
    norm: tuple[Layer, ...] = (BatchNorm(),) if normalise else ()
    return classifier(
        *plain(8, *norm, Relu(), MaxPool(), *first, padding=1),
        *plain(16, *norm, Relu(), MaxPool(), *second, padding=1),
        *_point(8),
        *plain(32, Relu(), *third, padding=1),
        *_point(last),
        Flatten(),
        *fourth,
        Dense(DIGITS),
    )


def ds_cnn() -> Architecture:
    """System 16: plain convolutions, despite its name."""
    after = (BatchNorm(), Relu())
    return classifier(
        *plain(8, *after),
        *plain(16, *after, MaxPool(), Dropout(0.1)),
        *plain(24, *after),
        *plain(24, *after, MaxPool(), Dropout(0.2)),
        *plain(32, *after),
        AvgPool(),
        Flatten(),
        Dense(DIGITS),
    )


CLASSIFIERS: dict[str, Architecture] = {
    "model_1": model_1(),
    "model_2": model_2(),
    "model_3": model_3(),
    "v_1": v_1(),
    "v_2": v_2(),
    "v_3": v_3(),
    "iteration_1": iteration_1(),
    "iteration_2": iteration_2(),
    "iteration_3": iteration_3_to_7(normalise=False),
    "iteration_4": iteration_3_to_7(last=32),
    "iteration_5": iteration_3_to_7(),
    "iteration_6": iteration_3_to_7(dropout=(0.0, 0.0, 0.0, 0.5)),
    "iteration_7": iteration_3_to_7(dropout=(0.1, 0.2, 0.3, 0.5)),
    "ds_cnn": ds_cnn(),
}
