"""A sheet of examples, each with what was read under it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tools.gallery.readers import see
from tools.gallery.scenes import Drawn
from tools.gallery.score import Scored

TILE, TEXT, GAP = 150, 16, 8  # pixels: side of an example, height of a line of text, space
COLUMNS = 8
GREEN, RED, GROUND = (20, 130, 60), (200, 40, 40), (246, 246, 244)


def draw_sheet(pictures: list[Drawn], scored: list[Scored]) -> Image.Image:
    """Draws pictures, each with its reading: green is right, red is wrong."""
    lines = max((each.label.count("/") for each in pictures), default=0) and 1
    step_x, step_y = TILE + GAP, TILE + GAP + (2 if lines else 1) * TEXT
    rows = -(-len(pictures) // COLUMNS)
    size = (COLUMNS * step_x + GAP, rows * step_y + GAP)
    sheet = Image.new("RGB", size, GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT - 3)
    for number, (picture, result) in enumerate(zip(pictures, scored, strict=True)):
        left, top = GAP + number % COLUMNS * step_x, GAP + number // COLUMNS * step_y
        image = Image.fromarray(np.asarray(see(picture).picture.pixels)).convert("RGB")
        image.thumbnail((TILE, TILE))
        sheet.paste(image, (left + (TILE - image.width) // 2, top + (TILE - image.height) // 2))
        is_none = result.is_right and not result.label
        words = "" if is_none else result.answer.text  # which is not sure of anything
        colour = GREEN if result.is_right else RED
        halves = _halves(words or "nothing")
        for row, half in enumerate(halves):
            place = left + TILE / 2, top + TILE + 2 + row * TEXT
            draw.text(place, half, fill=colour, font=font, anchor="ma")
    return sheet


def _halves(words: str) -> list[str]:
    """Returns words that are too wide for a tile in two rows."""
    if len(words) <= 20:
        return [words]
    cut = words.rfind("/", 0, 20) + 1 or 20
    return [words[:cut], words[cut:]]
