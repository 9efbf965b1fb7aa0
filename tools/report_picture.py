"""Draws docs/report.png, a picture of the report page: `python -m tools.report_picture RUNS...`.

It needs Chromium, and playwright (`pip install playwright`) to open the page in it.
"""

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image

from jaxmnist.report.command import report

OUT = Path(__file__).parent.parent / "docs" / "report.png"
WIDTH, COLOURS = 1240, 48  # a page has few colours: so many make a small file
CHARTS = ("curves", "suites", "sizes", "calibration", "confusion")


def picture(page: Path, chromium: str) -> bytes:
    """Returns a PNG of a whole page, every chart drawn."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        for chart in CHARTS:
            tab.locator(f"#{chart}").scroll_into_view_if_needed()
            tab.wait_for_selector(f"#{chart} canvas")
        tab.evaluate("scrollTo(0, 0)")
        png: bytes = tab.screenshot(full_page=True)
        browser.close()
    return png


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        report(chosen.runs, page)
        png = picture(page, chosen.chromium)
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(OUT, optimize=True)
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
