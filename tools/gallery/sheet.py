"""A contact sheet: pictures, and what is read from each written beneath."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from tools.gallery.measure import Result

COLUMNS, COUNT = 4, 12
CELL, TEXT, GAP = (210, 150), 24, 10
RIGHT, WRONG = (20, 130, 60), (200, 40, 40)
COLOURS = 64  # of the file's palette


def chosen(results: Sequence[Result]) -> list[Result]:
    """Returns examples at even distances, from all kinds, whether right or wrong."""
    count = min(COUNT, len(results))
    return [results[(2 * i + 1) * len(results) // (2 * count)] for i in range(count)]


def draw_sheet(results: Sequence[Result]) -> Image.Image:
    """Draws pictures with our reader's text, green where it is right and red where it is not."""
    width, height = CELL[0] + GAP, CELL[1] + TEXT + GAP
    rows = -(-len(results) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, result in enumerate(results):
        x = GAP + number % COLUMNS * width
        y = GAP + number // COLUMNS * height
        sheet.paste(_thumbnail(result.picture.path), (x, y))
        text = result.answers[0].text
        is_right = text == result.picture.label
        said = (text or "nothing", x + CELL[0] / 2, RIGHT if is_right else WRONG)
        draw.text((said[1], y + CELL[1] + 3), said[0], said[2], font, anchor="ma")
    return sheet


def write_sheet(path: Path, results: Sequence[Result]) -> None:
    """Writes the sheet of some examples; a palette keeps it small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = draw_sheet(chosen(results))
    palette = sheet.quantize(COLOURS, dither=Image.Dither.NONE)
    palette.save(path, optimize=True)


def _thumbnail(path: Path) -> Image.Image:
    with Image.open(path) as image:
        flat = Image.new("RGBA", image.size, "white")
        flat.alpha_composite(image.convert("RGBA"))
    small = ImageOps.contain(flat.convert("RGB"), CELL, Image.Resampling.LANCZOS)
    cell = Image.new("RGB", CELL, (238, 238, 238))
    cell.paste(small, ((CELL[0] - small.width) // 2, (CELL[1] - small.height) // 2))
    return cell
