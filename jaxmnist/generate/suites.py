"""What happens to examples: the transforms of training, and the evaluation suites.

A suite is the same test examples, changed in one stated way.
"""

from dataclasses import dataclass
from functools import partial

from jaxmnist.generate.augment import (
    Transform,
    compose,
    random_invert,
    random_noise,
    random_rotation,
)

NOTHING = compose()


@dataclass(frozen=True)
class Transforms:
    """What happens to every digit on its own, then to the padded canvas, before normalising."""

    digit: Transform = NOTHING
    canvas: Transform = NOTHING


SUITES: dict[str, Transforms] = {
    "clean": Transforms(),
    # Every digit's 28x28 tile is inverted; the padding stays black.
    "inverted": Transforms(digit=partial(random_invert, probability=1.0)),
    "inverted_canvas": Transforms(canvas=partial(random_invert, probability=1.0)),
    # Every digit is turned by its own angle, uniform in +-45 degrees.
    "rotation": Transforms(digit=partial(random_rotation, degrees=45.0)),
    # Noise with sigma in units of full contrast, not clipped; the padding is free of it.
    "noise": Transforms(digit=partial(random_noise, probability=1.0, sigma=0.15)),
    "noise_canvas": Transforms(canvas=partial(random_noise, probability=1.0, sigma=0.3)),
}

# Those that change every digit on its own: what single digits can be measured on, too.
DIGIT_SUITES = {name: suite for name, suite in SUITES.items() if suite.canvas is NOTHING}
