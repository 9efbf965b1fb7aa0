"""A real browser, without a window: what tests and measurements of the page share."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 3,
    "has_touch": True,
    "is_mobile": True,
}
# Polylines in a box of one unit.
SHAPES = {
    "0": [(0.5, 0), (0.1, 0.2), (0, 0.5), (0.1, 0.8), (0.5, 1), (0.9, 0.8), (1, 0.5), (0.9, 0.2),
          (0.5, 0)],
    "2": [(0, 0.2), (0.4, 0), (0.9, 0.15), (0.9, 0.4), (0, 1), (1, 1)],
    "5": [(0.9, 0), (0.1, 0), (0.05, 0.45), (0.7, 0.45), (1, 0.75), (0.6, 1), (0, 0.95)],
    "7": [(0, 0), (1, 0), (0.4, 1)],
}  # fmt: skip
STEPS = 8  # of a pen between two points


def find_chromium() -> str | None:
    """Returns the path of a Chromium on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Starts Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


def strokes(page: "Page", digits: str) -> list[list[tuple[float, float]]]:
    """Returns a polyline for each digit, in a row on the page's paper."""
    box = page.locator("#pad").bounding_box()
    assert box
    step = box["width"] / (len(digits) + 0.5)
    return [
        [
            (
                box["x"] + step * (number + 0.4 + 0.6 * x),
                box["y"] + box["height"] * (0.25 + 0.5 * y),
            )
            for x, y in SHAPES[digit]
        ]
        for number, digit in enumerate(digits)
    ]


def draw(page: "Page", digits: str) -> None:
    """Draws digits with the mouse."""
    for points in strokes(page, digits):
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=STEPS)
        page.mouse.up()


def touch(page: "Page", lines: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Draws lines with a finger."""
    session = page.context.new_cdp_session(page)
    for points in lines:
        for number, (x, y) in enumerate(points):
            kind = "touchMove" if number else "touchStart"
            session.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            )
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
