"""The evaluation suites: the same sequences, each changed in one stated way."""

from functools import partial
from typing import NamedTuple

from jaxmnist.generate.transforms import (
    Transform,
    compose,
    random_invert,
    random_noise,
    random_rotation,
)

NOTHING = compose()


class Suite(NamedTuple):
    """What happens to every digit on its own, then to the padded canvas, before normalising."""

    digit: Transform = NOTHING
    canvas: Transform = NOTHING


SUITES: dict[str, Suite] = {
    "clean": Suite(),
    # Every digit's 28x28 tile is inverted; the padding stays black.
    "inverted": Suite(digit=partial(random_invert, probability=1.0)),
    "inverted_canvas": Suite(canvas=partial(random_invert, probability=1.0)),
    # Every digit is turned by its own angle, uniform in +-45 degrees.
    "rotation": Suite(digit=partial(random_rotation, degrees=45.0)),
    # Noise with sigma in units of full contrast, not clipped; the padding is free of it.
    "noise": Suite(digit=partial(random_noise, probability=1.0, sigma=0.15)),
    "noise_canvas": Suite(canvas=partial(random_noise, probability=1.0, sigma=0.3)),
}

# Those that change every digit on its own: what single digits can be measured on, too.
DIGIT_SUITES = {name: suite for name, suite in SUITES.items() if suite.canvas is NOTHING}
