"""The evaluation suites: what happens to the same test digits, in one stated way each."""

from dataclasses import dataclass, replace
from functools import partial

from jaxmnist.generate.augment import (
    Transform,
    compose,
    grey_levels,
    random_invert,
    random_noise,
    random_rotation,
)
from jaxmnist.string_config import Camera, Page, Strings, Writing

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

# Noise on the whole canvas, clipped to what an image can hold.
NOISE_SUITES: dict[str, Transforms] = {
    f"noise_{percent}": Transforms(
        canvas=grey_levels(partial(random_noise, probability=1.0, sigma=percent / 100))
    )
    for percent in (15, 30, 50)
}

# Strings of this many digits.
LENGTH_SUITES: dict[str, int] = {f"length_{length}": length for length in (5, 10, 20)}

# Those that change every digit on its own: what single digits can be measured on, too.
DIGIT_SUITES = {name: suite for name, suite in SUITES.items() if suite.canvas is NOTHING}


@dataclass(frozen=True)
class StringSuite:
    """Strings of `writing.shortest` to `longest` digits, and how they are written."""

    longest: int
    fields: Strings


# One to four digits of MNIST's own size, eight pixels of ground between them, somewhere.
FREE = Strings(width=140, writing=Writing(shortest=1))
LONGEST = 4


def _free(page: Page | None = None, camera: Camera | None = None, **writing: object) -> StringSuite:
    fields = replace(
        FREE,
        writing=replace(FREE.writing, **writing),  # type: ignore[arg-type]
        page=page or Page(),
        camera=camera or Camera(),
    )
    return StringSuite(LONGEST, fields)


LIGHT = Camera(
    contrast_probability=1.0,
    contrast=(0.2, 1.0),
    light_probability=1.0,
    light=(0.0, 0.6),
    texture_probability=1.0,
    texture=(0.0, 0.1),
)
STRING_SUITES: dict[str, StringSuite] = {
    "free": _free(gap=(1.0, 16.0), own_gap=4.0),
    "touching": _free(gap=(-2.0, 0.0)),
    "overlapping": _free(gap=(-6.0, 0.0)),
    "repeated": _free(gap=(1.0, 8.0), repeat_probability=1.0, shortest=2),
    "size": _free(scale=(0.65, 1.2), own_scale=0.15),
    "stroke": _free(stroke_probability=1.0, stroke=(0.0, 1.0)),
    "blur": _free(camera=Camera(blur_probability=1.0, blur=(0.8, 2.0))),
    "light": _free(camera=LIGHT),
    "rotated_canvas": _free(slope_degrees=10.0),
    "lines": _free(
        page=Page(
            lines_probability=0.6,
            squares_probability=0.3,
            marks_probability=0.5,
            specks_probability=0.5,
        )
    ),
    "blank": StringSuite(0, replace(FREE, camera=LIGHT)),
    "noise_only": StringSuite(
        0, replace(FREE, camera=Camera(noise_probability=1.0, noise=(0.05, 0.5)))
    ),
}
