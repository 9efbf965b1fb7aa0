"""The steps from a picture to its reading, as pictures with the sentence that says why."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxmnist.errors import UserError
from jaxmnist.reader.read import SURE, Reading, Seen

WIDTH, BORDER = 640, 10  # of a step's picture, in pixels
TEXT = 16  # height of its letters
BLUE, RED, GREEN, ORANGE = (30, 90, 200), (200, 40, 40), (20, 130, 60), (225, 130, 0)
CANVAS_SCALE = 3


def explain(folder: Path, seen: Seen, reading: Reading) -> None:
    """Writes the steps of one picture into a folder, which is made.

    Raises:
      UserError: if that cannot be written.
    """
    steps = {
        "1_picture": _picture(seen),
        "2_ink": _ink(seen),
        "3_strokes": _strokes(seen),
        "4_canvases": _canvases(seen, reading),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, image in steps.items():
            image.save(folder / f"{name}.png")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): make that possible, or name another "
            "folder."
        ) from None


def _picture(seen: Seen) -> Image.Image:
    picture = seen.picture
    smaller = f", {picture.scale} times smaller" if picture.scale > 1 else ""
    return _step(Image.fromarray(picture.pixels), [f"The picture{smaller}.", *picture.notes])


def _ink(seen: Seen) -> Image.Image:
    writing = seen.writing
    polarity = (
        "Dark ink on light paper."
        if writing.ink_is_dark
        else "Light ink on a dark ground: inverted."
    )
    shown = Image.fromarray(255 - writing.ink.strength)
    return _step(
        shown,
        [
            polarity,
            "The share of the light that ink takes, against the paper around it: shadows are gone.",
        ],
    )


def _strokes(seen: Seen) -> Image.Image:
    writing = seen.writing
    found = writing.strokes
    shown = np.full((*found.labels.shape, 3), 255, np.uint8)
    if found.level:
        shown[writing.ink.strength > found.level] = ORANGE
    shown[found.labels > 0] = RED
    shown[np.isin(found.labels, [stroke.number for stroke in found.strokes])] = 0
    image = Image.fromarray(shown)
    draw = ImageDraw.Draw(image)
    for line in writing.lines:
        left, top, right, bottom = line.box
        draw.rectangle((left - 2, top - 2, right + 1, bottom + 1), outline=BLUE)
    lines = len(writing.lines)
    sentences = [
        f"{lines} line{'s' * (lines != 1)} of writing (blue). Red is left out: too small, too "
        "faint or too flat.",
        "Orange is taken out: ruled lines, frames, what comes in from the edge.",
        *found.notes,
    ]
    return _step(image, sentences if found.strokes else ["No ink: there is nothing to read."])


def _canvases(seen: Seen, reading: Reading) -> Image.Image:
    """Shows what the network gets, with what it reads under it."""
    rows = []
    read = {line.box: line for line in reading.lines}
    for line, canvas in zip(seen.writing.lines, seen.canvases, strict=True):
        scale = seen.picture.scale
        left, top, right, bottom = line.box
        found = read.get((left * scale, top * scale, right * scale, bottom * scale))
        rows.append((canvas.pixels, found))
    height = sum(28 * CANVAS_SCALE + 2 * TEXT for _ in rows) or TEXT
    # What is said needs room beside a single digit, too.
    width = max([WIDTH // 2 + 1, *(pixels.shape[1] * CANVAS_SCALE for pixels, _ in rows)])
    image = Image.new("RGB", (width, height), "white")
    draw, y = ImageDraw.Draw(image), 0
    for pixels, found in rows:
        big = _enlarged(pixels, CANVAS_SCALE)
        image.paste(big, (0, y))
        y += big.height
        if found is None:
            said, colour = "nothing", RED
        else:
            said = f"{found.text}   sure to {found.confidence:.0%}"
            colour = GREEN if found.confidence >= SURE else ORANGE
        draw.text((2, y + 2), said, fill=colour, font=_font())
        y += 2 * TEXT
    return _step(
        image,
        [
            "What the network gets: each line level, its digits 20 pixels high, bright on black,",
            "wide gaps cut; and what it reads. A digit that it does not know is a question mark.",
            f"What it is not sure of, to {SURE:.0%}, is orange: look at it yourself.",
        ],
    )


def _enlarged(pixels: UInt8[np.ndarray, "height width"], scale: int) -> Image.Image:
    image = Image.fromarray(pixels)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(TEXT - 3)


def _step(image: Image.Image, sentences: list[str]) -> Image.Image:
    """Puts sentences over a picture, whose width is about the same in all steps."""
    shown = image.convert("RGB")
    larger = WIDTH // max(shown.size)
    if shown.width > WIDTH:
        shown.thumbnail((WIDTH, 10_000))
    elif larger > 1:
        size = (shown.width * larger, shown.height * larger)
        shown = shown.resize(size, Image.Resampling.NEAREST)
    head = BORDER + len(sentences) * (TEXT + 4)
    page = Image.new("RGB", (WIDTH + 2 * BORDER, head + shown.height + 2 * BORDER), "white")
    draw = ImageDraw.Draw(page)
    for number, sentence in enumerate(sentences):
        draw.text((BORDER, BORDER + number * (TEXT + 4)), sentence, fill="black", font=_font())
    page.paste(shown, (BORDER, head + BORDER))
    draw.rectangle(
        (BORDER - 1, head + BORDER - 1, BORDER + shown.width, head + BORDER + shown.height),
        outline=(180, 180, 180),
    )
    return page
