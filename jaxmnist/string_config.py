"""How strings of digits are written, on what page, and how the picture of it is taken.

Every effect has a probability, its switch (0: off), and a strength, drawn anew for every example
between two numbers. Lengths are in pixels of a canvas 28 pixels high, on which a digit of MNIST is
20 high at scale 1. The effects are in strings/writing.py, page.py and camera.py, in this order.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxmnist.fields import Group, angle, number, probability, span, whole

Span = tuple[float, float]


@dataclass(frozen=True)
class Writing(Group):
    """Which digits are written, where, and in which shape."""

    prefix: ClassVar[str] = "strings.writing."

    shortest: int = whole(0, "digits of the shortest string", 0, 100)
    full_probability: float = probability("of as many digits as have room, up to the longest")
    repeat_probability: float = probability("of one class throughout, as in 777")
    letter_probability: float = probability("of letters among the digits, which are not read")
    shape_probability: float = probability("of each 1, 3, 4, 5, 7, 9 in a shape MNIST lacks")
    cells_probability: float = probability("of the published format: plain cells of 28 pixels")
    scale: Span = span((1.0, 1.0), "size of all digits of a string", 0.1, 2)
    own_scale: float = number(0.0, "of each digit: up to this share larger or smaller", 0, 0.9)
    aspect: float = number(0.0, "width to height: up to this share more or less", 0, 0.9)
    slant_degrees: float = angle(0.0, "slant of all digits, uniform in +- degrees")
    own_slant_degrees: float = angle(0.0, "slant of each digit besides, uniform in +- degrees")
    own_turn_degrees: float = angle(0.0, "turn of each digit, always, uniform in +- degrees")
    turn_probability: float = probability("of turning every digit by a larger angle of its own")
    turn_degrees: float = angle(0.0, "that angle, uniform in +- degrees")
    gap: Span = span((8.0, 8.0), "pixels of ground between digits, at scale 1", -20, 60)
    own_gap: float = number(0.0, "pixels more or less of each gap", 0, 30)
    slope_degrees: float = angle(0.0, "of the whole line about its middle, uniform in +- degrees")
    jitter: float = number(0.0, "pixels of each digit above or below the line", 0, 10)
    elastic: float = number(0.0, "pixels of elastic deformation, at most", 0, 10)
    serif_probability: float = probability("of a flag or foot at a 1, a bar through a 7")
    stroke_probability: float = probability("of another width of the strokes")
    stroke: Span = span((0.5, 0.5), "that width: 0 thinnest, 0.5 as it was, 1 thickest", 0, 1)
    hollow_probability: float = probability("of strokes of which the edges alone are drawn")


@dataclass(frozen=True)
class Page(Group):
    """What else is on the page."""

    prefix: ClassVar[str] = "strings.page."

    lines_probability: float = probability("of ruled lines, straight or wavy, whole or dotted")
    squares_probability: float = probability("of squared paper")
    marks_probability: float = probability("of full stops, commas and dashes beside the digits")
    specks_probability: float = probability("of specks and dirt")
    tiles_probability: float = probability("of exchanging ink and ground between two places")
    invert_probability: float = probability("of exchanging them everywhere")


@dataclass(frozen=True)
class Camera(Group):
    """How the picture is taken."""

    prefix: ClassVar[str] = "strings.camera."

    contrast_probability: float = probability("of less contrast, between any two grey levels")
    contrast: Span = span((1.0, 1.0), "share of full contrast", 0.01, 1)
    light_probability: float = probability("of a gradient of the light, and a vignette")
    light: Span = span((0.0, 0.0), "share of the light that is missing at the darkest place", 0, 1)
    texture_probability: float = probability("of paper: clouds of grey")
    texture: Span = span((0.0, 0.0), "their strength, in units of full contrast", 0, 1)
    blur_probability: float = probability("of blur, along and across")
    blur: Span = span((0.0, 0.0), "its sigma in pixels", 0, 2.5)
    noise_probability: float = probability("of Gaussian noise, clipped to what an image can hold")
    noise: Span = span((0.0, 0.0), "its sigma, in units of the contrast", 0, 2)
    impulse_probability: float = probability("of pixels as dark or bright as the picture gets")
    impulse: Span = span((0.0, 0.0), "the share of them", 0, 1)
    jpeg_probability: float = probability("of the blocks of a JPEG file")
    jpeg: Span = span(
        (0.0, 0.0), "coarseness, in multiples of the standard's table at full contrast", 0, 10
    )


@dataclass(frozen=True)
class Strings(Group):
    """Strings of digits anywhere on a canvas; networks with heads have no such group."""

    prefix: ClassVar[str] = "strings."

    width: int = whole(112, "of the canvas", 28, 10_000, "pixels")
    writing: Writing = Writing()
    page: Page = Page()
    camera: Camera = Camera()
