"""The page in a real browser: written on, given pictures, heard, and kept to itself."""

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxmnist.page.build import build_site
from jaxmnist.page.command import export_site, find_networks
from jaxmnist.page.server import Server
from jaxmnist.page.weights import COARSE, quantise
from jaxmnist.reader.picture import from_image
from jaxmnist.reader.read import look_at, read_seen
from jaxmnist.shipped import find_weights
from tests.reader.drawing import noisy, page, row
from tools.page.browser import PHONE, chromium, draw, find_chromium, strokes, touch
from tools.page.pictures import pictures

api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="needs Chromium")
expect = api.expect
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def site() -> dict[str, bytes]:
    return build_site(find_networks(find_weights("reader")))


@pytest.fixture(scope="module")
def address(site: dict[str, bytes]) -> Iterator[str]:
    with Server(site, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield server.url
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Visit:
    """A page that was opened, and everything that it did without being asked."""

    def __init__(self, browser: Any, url: str, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.find("html[data-state=empty]").wait_for(timeout=60_000)

    def find(self, selector: str) -> Any:
        return self.page.locator(selector)

    def reads(self, text: str) -> None:
        expect(self.find("#string")).to_have_text(text)

    def leave(self, *others: str) -> None:
        """Asserts that it said nothing, and asked for itself alone, and for `others`."""
        assert self.said == []
        asked = [url for url in self.requests if not url.startswith("blob:")]
        assert asked[0] == self.page.url
        assert [url.removeprefix(self.page.url) for url in asked[1:]] == list(others)
        self.context.close()


def png(image: Image.Image, name: str = "x.png") -> dict[str, Any]:
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": file.getvalue()}


def photo() -> Image.Image:
    return noisy(page((480, 320), row("527", 60, 100, 90))[0], 4)


def test_writing_undoing_clearing_and_another_model(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    draw(visit.page, "527")
    visit.reads("527")
    expect(visit.find("#status")).to_contain_text("Sure to")
    expect(visit.find("#heard")).to_have_text("Read: 5 2 7. ")
    expect(visit.find("tbody tr, table > tr")).to_have_count(11)
    expect(visit.find("table tr").nth(0)).to_have_text("527")
    shares = [float(cell) for cell in visit.find("td").all_inner_texts() if cell.strip()]
    assert len(shares) == 30
    assert 270 < sum(shares) <= 301
    expect(visit.find("figure canvas")).to_have_count(1)
    visit.find("#undo").click()
    visit.reads("52")
    visit.find("#clear").click()
    expect(visit.find("#status")).to_have_text("Nothing is written yet.")
    expect(visit.find("#clear")).to_be_disabled()
    visit.page.keyboard.press("Control+z")  # clearing, too, is undone
    visit.reads("52")
    visit.find("#model").select_option("seq")
    expect(visit.find("html[data-state=read]")).to_have_count(1)
    visit.reads("52")
    visit.leave("models/seq.bin")


def test_a_model_that_is_gone_changes_nothing(browser: Any, site: dict[str, bytes]) -> None:
    with Server({"index.html": site["index.html"]}, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        visit = Visit(browser, server.url)
        visit.find("#model").select_option("seq")
        expect(visit.find("#status")).to_contain_text("seq cannot be fetched")
        expect(visit.find("#model")).to_have_value("reader")
        draw(visit.page, "27")
        visit.reads("27")
        visit.context.close()
        server.shutdown()


def test_a_finger_on_a_phone_and_a_file_without_server(
    browser: Any, site: dict[str, bytes], tmp_path: Path
) -> None:
    export_site(site, tmp_path)
    visit = Visit(browser, (tmp_path / "index.html").as_uri(), **PHONE)
    touch(visit.page, strokes(visit.page, "702"))
    visit.reads("702")
    expect(visit.find("label[for=photo]")).to_be_visible()
    expect(visit.find("#photo")).to_have_attribute("capture", "environment")
    expect(visit.find("option[value=seq]")).to_be_disabled()
    body = visit.find("body").bounding_box()
    for control in ("#undo", "#clear", "label[for=file]", "label[for=photo]", "#model"):
        box = visit.find(control).bounding_box()
        assert box["height"] >= 44  # what a finger hits
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["viewport"]["width"]  # type: ignore[index]
    assert body["width"] <= PHONE["viewport"]["width"]  # type: ignore[index]
    visit.leave()


def test_the_keyboard_writes(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    visit.page.keyboard.press("Tab")
    expect(visit.find("#pad")).to_be_focused()
    for key, times in (
        ("Shift+ArrowUp", 4), ("Shift+ArrowLeft", 2), (" ", 1), ("Shift+ArrowRight", 4),
        ("Shift+ArrowDown", 8), (" ", 1),
    ):  # fmt: skip
        for _ in range(times):
            visit.page.keyboard.press(key)
    visit.reads("7")
    for control in ("#undo", "#clear", "#file"):
        visit.page.keyboard.press("Tab")
        expect(visit.find(control)).to_be_focused()
    visit.page.keyboard.press("Delete")
    expect(visit.find("#status")).to_have_text("Nothing is written yet.")
    visit.leave()


GIVE = """([kind, name, text]) => {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "image/png" }));
  const settings = { bubbles: true, cancelable: true };
  document.body.dispatchEvent(kind === "drop"
    ? new DragEvent("drop", { dataTransfer: data, ...settings })
    : new ClipboardEvent("paste", { clipboardData: data, ...settings }));
}"""


def test_pictures_are_chosen_dropped_pasted_and_written_on(browser: Any, address: str) -> None:
    visit = Visit(browser, address, bypass_csp=True)  # for the events that the test makes
    visit.find("#file").set_input_files(png(photo()))
    visit.reads("527")
    for kind, digits in (("drop", "2703"), ("paste", "32")):
        given = png(noisy(page((900, 640), row(digits, 90, 200, 140))[0], 4))
        text = base64.b64encode(given["buffer"]).decode()
        visit.page.evaluate(GIVE, [kind, given["name"], text])
        visit.reads(digits)
    visit.find("#undo").click()
    visit.reads("2703")
    for content, words in ((b"no picture", "no picture that your browser can open"), (b"", "no")):
        file = {"name": "x.png", "mimeType": "image/png", "buffer": content}
        visit.find("#file").set_input_files(file)
        expect(visit.find("#status")).to_contain_text(words)
    expect(visit.find("#string")).to_have_text("2703")  # is what is still shown
    visit.find("#clear").click()
    draw(visit.page, "5")
    visit.reads("5")
    visit.leave()


PIXELS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, Array.from(data.filter((_, i) => i % 4 === 0))];
}"""


def test_a_browser_sees_what_python_sees(browser: Any, address: str, digits: np.ndarray) -> None:
    visit = Visit(browser, address, bypass_csp=True)
    network = quantise(next(iter(find_networks(find_weights("reader")).values())), COARSE)
    compared = 0
    for image in pictures(digits, 10):
        if image.mode != "RGB":
            continue  # browsers store colours times transparency, and round them
        seen = look_at(from_image(image))
        (reading,) = read_seen(network, [seen])
        if not reading.lines:
            continue
        visit.find("html").evaluate("(html) => { html.dataset.state = 'waiting'; }")
        visit.find("#file").set_input_files(png(image))
        visit.find("html[data-state=read]").wait_for(timeout=60_000)
        visit.reads(reading.text.replace("/", ""))
        read = {line.box for line in reading.lines}
        kept = [
            canvas.pixels
            for canvas, line in zip(seen.canvases, seen.writing.lines, strict=True)
            if tuple(edge * seen.picture.scale for edge in line.box) in read
        ]
        shown = [each.evaluate(PIXELS) for each in visit.find("figure canvas").all()]
        assert len(shown) == len(kept)
        for (width, pixels), ours in zip(shown, kept, strict=True):
            np.testing.assert_array_equal(np.reshape(pixels, (28, width)), ours)
            compared += 1
    assert compared >= 5
    visit.leave()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_heard_and_seen(browser: Any, address: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    visit = Visit(browser, address, bypass_csp=True, color_scheme=scheme)
    for digits in ("", "5270"):
        draw(visit.page, digits)
        visit.reads(digits)
        found = axe.Axe().run(visit.page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    visit.leave()
