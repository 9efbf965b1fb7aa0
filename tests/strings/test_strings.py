"""Strings anywhere on a canvas: properties of what is written, of the page and of the camera."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmnist import recipes
from jaxmnist.constants import BLANK, MEAN, SD, SIDE
from jaxmnist.data.dataset import Dataset
from jaxmnist.data.sources import load_source
from jaxmnist.errors import UserError
from jaxmnist.fields import build
from jaxmnist.generate.examples import Example, ExampleFn, ExampleKeys, string_example
from jaxmnist.rng import seed_of
from jaxmnist.string_config import Camera, Page, Strings, Writing
from jaxmnist.strings.camera import BLOCK, cosine_matrix
from jaxmnist.strings.canvas import smooth_noise
from jaxmnist.strings.effects import without_unused
from jaxmnist.tasks import ReadStrings
from tests.helpers import COMPILE_FAST

LONGEST = 4
PLAIN = Strings(width=112, writing=Writing(shortest=1))
EFFECTS: dict[str, dict[str, Any]] = {
    "writing.turn": {"turn_probability": 1.0, "turn_degrees": 30.0},
    "writing.elastic": {"elastic": 3.0},
    "writing.serif": {"serif_probability": 1.0},
    "writing.stroke": {"stroke_probability": 1.0, "stroke": (0.0, 0.2)},
    "writing.shape": {"shape_probability": 1.0},
    "writing.letter": {"letter_probability": 1.0},
    "writing.hollow": {"hollow_probability": 1.0},
    "writing.slope": {"slope_degrees": 10.0},
    "writing.slant": {"slant_degrees": 20.0},
    "writing.own_slant": {"own_slant_degrees": 20.0},
    "writing.own_turn": {"own_turn_degrees": 20.0},
    "writing.jitter": {"jitter": 3.0},
    "writing.scale": {"scale": (0.6, 0.7)},
    "writing.own_scale": {"own_scale": 0.2},
    "writing.aspect": {"aspect": 0.3},
    "page.lines": {"lines_probability": 1.0},
    "page.squares": {"squares_probability": 1.0},
    "page.marks": {"marks_probability": 1.0},
    "page.specks": {"specks_probability": 1.0},
    "page.tiles": {"tiles_probability": 1.0},
    "page.invert": {"invert_probability": 1.0},
    "camera.contrast": {"contrast_probability": 1.0, "contrast": (0.1, 0.5)},
    "camera.light": {"light_probability": 1.0, "light": (0.5, 0.9)},
    "camera.texture": {"texture_probability": 1.0, "texture": (0.2, 0.3)},
    "camera.blur": {"blur_probability": 1.0, "blur": (1.0, 2.0)},
    "camera.noise": {"noise_probability": 1.0, "noise": (0.2, 0.3)},
    "camera.impulse": {"impulse_probability": 1.0, "impulse": (0.1, 0.3)},
    "camera.jpeg": {"jpeg_probability": 1.0, "jpeg": (2.0, 4.0)},
}


@pytest.fixture(autouse=True, scope="module")
def _no_key_is_used_twice() -> Iterator[None]:
    with jax.debug_key_reuse(True):
        yield


@pytest.fixture(scope="module")
def digits() -> Dataset:
    test = load_source("digits8x8").test
    return Dataset(jnp.asarray(test.images), jnp.asarray(test.labels, jnp.int32))


def example_keys(count: int, seed: int) -> ExampleKeys:
    keys = (jax.random.split(jax.random.key(seed + more), count) for more in (0, 1))
    return ExampleKeys(jnp.arange(count), *keys)


@cache
def make(fields: Strings, longest: int = LONGEST) -> ExampleFn:
    example = partial(string_example, longest=longest, fields=fields)
    return jax.jit(jax.vmap(example, in_axes=(0, None)), compiler_options=COMPILE_FAST)


@partial(jax.jit, compiler_options=COMPILE_FAST)
def draw(fields: Strings, keys: ExampleKeys, digits: Dataset) -> Example:
    """Draws a batch with whatever strengths: they are arrays, and one program has every effect."""
    example = partial(string_example, longest=LONGEST, fields=fields)
    return jax.vmap(example, in_axes=(0, None))(keys, digits)


def drawn(
    fields: Strings, digits: Dataset, count: int = 64, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """What `examples` returns, without a program for every effect."""
    strengths = jax.tree.map(jnp.asarray, fields)
    images, labels = draw(strengths, example_keys(count, seed), digits)
    return np.asarray(images) * SD + MEAN, np.asarray(labels)


def examples(
    fields: Strings, digits: Dataset, count: int = 64, longest: int = LONGEST, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = make(fields, longest)(example_keys(count, seed), digits)
    return np.asarray(images) * SD + MEAN, np.asarray(labels)


def with_effect(name: str, fields: Strings = PLAIN) -> Strings:
    group = name.split(".")[0]
    return replace(fields, **{group: replace(getattr(fields, group), **EFFECTS[name])})


def test_lengths_are_uniform_and_labels_end(digits: Dataset) -> None:
    fields = replace(PLAIN, width=200, writing=Writing(shortest=0))
    _, labels = examples(fields, digits, count=1_000)
    written = labels != BLANK
    lengths = written.sum(1)
    assert (written == (np.arange(LONGEST + 1) < lengths[:, None])).all()  # no holes, and an end
    counts = np.bincount(lengths, minlength=LONGEST + 1)
    assert len(counts) == LONGEST + 1
    # Chi square with 4 degrees of freedom: 99.9 % lie below 18.5.
    assert ((counts - 200) ** 2 / 200).sum() < 18.5


def test_cells_are_the_published_format(digits: Dataset) -> None:
    fields = Strings(84, Writing(shortest=1, cells_probability=1.0))
    images, labels = examples(fields, digits, longest=3)
    known = {np.asarray(image).tobytes() for image in digits.images}
    for image, label in zip(images, labels, strict=True):
        for cell, digit in enumerate(label[:3]):
            pixels = np.round(image[:, SIDE * cell : SIDE * (cell + 1)] * 255).astype(np.uint8)
            assert (pixels.tobytes() in known) if digit != BLANK else not pixels.any()


@pytest.mark.parametrize("gap", [-3.0, 2.0, 12.0])
def test_gaps_are_between_the_ink(digits: Dataset, gap: float) -> None:
    fields = Strings(112, Writing(shortest=2, gap=(gap, gap)))
    images, labels = examples(fields, digits, longest=2, count=200)
    wide = []
    for image, label in zip(images, labels, strict=True):
        columns = np.flatnonzero((image > 0.3).any(0))
        inside = np.diff(columns).max() - 1
        wide.append(inside)
        assert label[0] != BLANK
    assert np.median(wide) == pytest.approx(max(gap, 0), abs=1.5)


def test_what_is_in_the_label_is_on_the_canvas(digits: Dataset) -> None:
    fields = replace(PLAIN, writing=Writing(shortest=0, scale=(1.0, 1.3), gap=(6.0, 6.0)))
    images, labels = examples(fields, digits, longest=6, count=300)
    lengths = (labels != BLANK).sum(1)
    assert (lengths == 6).mean() < 0.1  # which seldom have room
    for image, length in zip(images, lengths, strict=True):
        columns = (image > 0.3).any(0)
        runs = (columns[1:] & ~columns[:-1]).sum() + columns[0]
        assert runs >= length  # a digit may fall apart, and none is missing


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_does_something_and_is_seeded(digits: Dataset, name: str) -> None:
    fields = with_effect(name)
    plain, labels = drawn(PLAIN, digits)
    changed, same_labels = drawn(fields, digits)
    moved = np.abs(changed - plain).max((1, 2)) > 0.02
    assert moved.mean() > (0.1 if name == "writing.serif" else 0.7)
    if not name.startswith("writing"):
        assert (labels == same_labels).all()
    again, _ = drawn(fields, digits)
    assert (changed == again).all()
    other, _ = drawn(fields, digits, seed=7)
    assert (changed != other).any()


def ones(half: float) -> Dataset:
    """Upright strokes of some width, as digits of class 1."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    across = np.abs(np.arange(SIDE) - SIDE // 2)
    image[4:24] = 255 * np.clip(half + 0.5 - across, 0, 1)
    return Dataset(jnp.asarray(image[None]), jnp.ones(1, jnp.int32))


@pytest.mark.parametrize("half", [0.5, 1.0, 2.5])
def test_the_thinnest_strokes_can_be_seen_and_are_no_wider(half: float) -> None:
    writing = Writing(shortest=1, stroke_probability=1.0, stroke=(0.0, 0.0))
    thinner, _ = drawn(replace(PLAIN, writing=writing), ones(half), count=8)
    plain, _ = drawn(PLAIN, ones(half), count=8)
    assert (thinner.max((1, 2)) > 0.4).all()
    assert ((thinner > 0.6).sum((1, 2)) <= (plain > 0.6).sum((1, 2))).all()


def test_a_flag_is_about_as_thick_as_its_stem() -> None:
    inks = {}
    for half in (1.0, 2.0):
        writing = Writing(shortest=1, serif_probability=1.0)
        flagged, _ = drawn(replace(PLAIN, writing=writing), ones(half), count=8)
        plain, _ = drawn(PLAIN, ones(half), count=8)
        inks[half] = (flagged - plain).sum()
    assert 1.4 < inks[2.0] / inks[1.0] < 2.4


# Of the others the strength is the switch.
SWITCHED = [name for name, fields in EFFECTS.items() if "probability" in "".join(fields)]


@pytest.mark.parametrize("name", SWITCHED)
def test_a_probability_of_zero_is_off(digits: Dataset, name: str) -> None:
    switch = next(field for field in EFFECTS[name] if field.endswith("probability"))
    group = name.split(".")[0]
    fields = with_effect(name)
    off = replace(fields, **{group: replace(getattr(fields, group), **{switch: 0.0})})
    assert (drawn(off, digits)[0] == drawn(PLAIN, digits)[0]).all()


def test_a_picture_is_what_an_image_can_hold(digits: Dataset) -> None:
    strings = build(Strings, everything())
    images, _ = examples(strings, digits, count=200, longest=6)
    levels = images * 255
    assert np.abs(levels - levels.round()).max() < 1e-2
    assert images.min() > -1e-6
    assert images.max() < 1 + 1e-6


def everything() -> dict[str, Any]:
    config = recipes.strings()
    found: dict[str, Any] = config.strings.to_dict()
    return found


def test_noise_has_its_sigma(digits: Dataset) -> None:
    camera = Camera(
        contrast_probability=1.0, contrast=(0.01, 0.01), noise_probability=1.0, noise=(2.0, 2.0)
    )
    images, _ = examples(Strings(112, Writing(), Page(), camera), digits, longest=0, count=100)
    inside = (images.mean((1, 2)) > 0.1) & (images.mean((1, 2)) < 0.9)  # nothing is clipped
    assert images[inside].std((1, 2)).mean() == pytest.approx(0.02, rel=0.02)


def test_repeated_strings_are_of_one_class_and_several_digits(digits: Dataset) -> None:
    fields = Strings(140, Writing(shortest=3, repeat_probability=1.0, gap=(2.0, 2.0)))
    images, labels = examples(fields, digits, longest=3)
    assert (labels[:, 0] == labels[:, 1]).all()
    assert (labels[:, 1] == labels[:, 2]).mean() > 0.9  # all that had room
    assert len(images) == len(labels)


def test_letters_are_written_and_not_read(digits: Dataset) -> None:
    fields = Strings(140, Writing(shortest=4, letter_probability=1.0, gap=(3.0, 3.0)))
    plain = replace(fields, writing=replace(fields.writing, letter_probability=0.0))
    images, labels = examples(fields, digits, count=200)
    _, without = examples(plain, digits, count=200)
    read = labels != BLANK
    assert 0.35 < read.sum() / (without != BLANK).sum() < 0.65
    assert (read == np.sort(read, axis=1)[:, ::-1]).all()  # no holes
    nothing = images[~read.any(1)]
    assert len(nothing) > 5
    assert (nothing.max((1, 2)) > 0.9).all()
    for some, all_digits in zip(labels, without, strict=True):
        left = iter(all_digits)
        assert all(digit in left for digit in some if digit != BLANK)  # in their order


def test_jpeg_is_a_cosine_transform() -> None:
    scipy_fft = pytest.importorskip("scipy.fft")
    block = np.random.RandomState(0).rand(BLOCK, BLOCK)
    matrix = cosine_matrix()
    expected = scipy_fft.dctn(block, norm="ortho")
    np.testing.assert_allclose(matrix @ block @ matrix.T, expected, atol=1e-6)


def test_elastic_fields_are_smooth_and_bounded() -> None:
    field = np.asarray(smooth_noise(seed_of(jax.random.key(0)), (20, SIDE, 112), 8))
    assert np.abs(field).max() < 1
    assert field.std() > 0.2
    assert np.abs(np.diff(field, axis=2)).max() < 0.5  # of neighbours


def test_one_example_is_what_a_batch_has(digits: Dataset) -> None:
    fields = build(Strings, everything())
    images, labels = examples(fields, digits, count=3)
    keys = [jax.random.split(jax.random.key(more), 3) for more in (0, 1)]
    one = partial(string_example, longest=LONGEST, fields=fields)
    for number in range(3):
        image, label = one(ExampleKeys(jnp.int32(number), keys[0][number], keys[1][number]), digits)
        assert (np.asarray(label) == labels[number]).all()
        # Compiled otherwise: a grey level may fall on the other side.
        np.testing.assert_allclose(np.asarray(image) * SD + MEAN, images[number], atol=1.5 / 255)


def test_what_a_recipe_never_uses_is_left_out_of_the_program(digits: Dataset) -> None:
    recipe = with_effect("camera.noise", with_effect("page.invert"))
    slim = without_unused(recipe, recipe)
    assert len(jax.tree.leaves(slim)) < len(jax.tree.leaves(recipe)) - 10
    images, labels = drawn(slim, digits, count=20)
    expected, expected_labels = examples(recipe, digits, count=20)
    assert (labels == expected_labels).all()
    np.testing.assert_allclose(images, expected, atol=1.5 / 255)


def test_suites_have_their_lengths(digits: Dataset) -> None:
    suites = ReadStrings(6).suites
    expected = {"length_5": {5}, "length_10": {10}, "blank": {0}, "noise_30": {1, 2, 3}}
    for name, lengths in (expected | {"free": {1, 2, 3, 4}}).items():
        keys = [jax.random.split(jax.random.key(seed), 20) for seed in (0, 1)]
        batch = jax.jit(jax.vmap(suites[name], (0, None)), compiler_options=COMPILE_FAST)
        images, labels = batch(ExampleKeys(jnp.arange(20), *keys), digits)
        assert set((labels != BLANK).sum(1).tolist()) <= lengths
        levels = (np.asarray(images) * SD + MEAN) * 255  # of what an image can hold
        np.testing.assert_allclose(levels, np.clip(np.round(levels), 0, 255), atol=1e-3)


def test_impossible_strengths_are_named() -> None:
    with pytest.raises(UserError, match=r"strings\.camera\.noise is .*: it must be two numbers"):
        Camera(noise=(0.5, 0.1))
    with pytest.raises(UserError, match=r"strings\.page\.lines_probability is 2"):
        Page(lines_probability=2)
