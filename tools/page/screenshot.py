"""A picture of the page as it looks on a desk and on a phone."""

import io
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from jaxmnist.page.server import Server
from tools.page.browser import PHONE, chromium, draw

DESK = {"viewport": {"width": 1_060, "height": 760}}
GAP, HEIGHT = 24, 760  # pixels
GROUND = "#9aa3b2"


def screenshot(site: Mapping[str, bytes], path: Path, digits: str = "5270") -> None:
    """Draws digits on the page, on both, and writes both pictures side by side."""
    with chromium() as browser, Server(site, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        phone = PHONE | {"device_scale_factor": 2, "color_scheme": "dark"}
        shots = [_shot(browser, server.url, digits, each) for each in (DESK, phone)]
        server.shutdown()
    shots = [shot.resize((shot.width * HEIGHT // shot.height, HEIGHT)) for shot in shots]
    width = sum(shot.width for shot in shots) + GAP * (len(shots) + 1)
    sheet = Image.new("RGB", (width, HEIGHT + 2 * GAP), GROUND)
    x = GAP
    for shot in shots:
        sheet.paste(shot, (x, GAP))
        x += shot.width + GAP
    sheet.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def _shot(browser: Any, url: str, digits: str, settings: Mapping[str, Any]) -> Image.Image:
    page = browser.new_context(**settings).new_page()
    page.goto(url)
    page.locator("html[data-state=empty]").wait_for(timeout=60_000)
    draw(page, digits)
    page.locator("#string").get_by_text(digits).wait_for(timeout=60_000)
    shot = Image.open(io.BytesIO(page.screenshot()))
    shot.load()
    page.context.close()
    return shot
