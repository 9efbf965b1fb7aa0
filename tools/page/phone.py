"""The page on a slow phone: from the address to the first answer, and frames while drawing.

Chromium slows the page's main thread and the network, but no worker: so what is raced for the
first answer, our forward pass and ONNX Runtime Web, runs in the main thread.
"""

import statistics
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmnist.page.server import LOOPBACK, Server
from tools.page.browser import PHONE, SHAPES, chromium, strokes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SLOWER = 4  # times, than this machine: a phone of the middle class
LATENCY, BYTES_A_SECOND = 150, 200_000  # milliseconds; 1.6 megabits: slow 4G
PATIENCE = 300_000  # milliseconds

# Reads what is drawn by code, and says when it was ready and when the answer was there.
RACE = """
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const byId = (id) => document.getElementById(id).textContent.trim();
function drawn() {
  const canvas = new OffscreenCanvas(800, 500);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, 800, 500);
  context.lineWidth = 20;
  context.lineCap = context.lineJoin = "round";
  for (const [left, points] of [[100, DIGITS[0]], [330, DIGITS[1]], [560, DIGITS[2]]]) {
    context.beginPath();
    for (const [x, y] of points) context.lineTo(left + 130 * x, 120 + 240 * y);
    context.stroke();
  }
  return context.getImageData(0, 0, 800, 500);
}
async function race(read) {
  const pixels = drawn();
  const text = await read(pixels);
  const first = performance.now();
  const times = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await read(pixels);
    times.push(performance.now() - start);
    await wait(0);
  }
  document.title = JSON.stringify({ text, first, again: times.sort((a, b) => a - b)[2] });
}
async function code() {
  const bytes = await unzip(fromBase85(byId("reader")));
  const given = ";self.ours = { look, logits, decode, unpackWeights }";
  (0, eval)(new TextDecoder().decode(bytes) + given);
}
"""
OURS = """
code().then(() => ours.unpackWeights(fromBase85(byId("weights")))).then(({ layers }) => race(
  async (pixels) => ours.look(pixels).canvases
    .map((canvas) => ours.decode(ours.logits(layers, canvas.pixels)))
    .map(({ digits }) => digits.map(({ digit }) => digit).join("")).join("/")));
"""
THEIRS = """
(async () => {
  await code();
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create("network.onnx");
  await race(async (pixels) => {
    const found = [];
    for (const { pixels: { data, width } } of ours.look(pixels).canvases) {
      const wide = Math.ceil(width / 28) * 28;
      const image = new Float32Array(28 * wide);
      for (let y = 0; y < 28; y++) {
        for (let x = 0; x < width; x++) image[y * wide + x] = data[y * width + x] / 255;
      }
      const input = new ort.Tensor("float32", image, [1, 28, wide]);
      const answer = await session.run({ [session.inputNames[0]]: input });
      const { digits } = ours.decode(answer[session.outputNames[0]].data);
      found.push(digits.map(({ digit }) => digit).join(""));
    }
    return found.join("/");
  });
})();
"""
# Notes when the page's state changes, and when frames are shown.
WATCH = """
window.seen = { states: {}, frames: [] };
new MutationObserver(() => {
  const { state } = document.documentElement.dataset;
  window.seen.states[state] ??= performance.now();
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-state"] });
const frame = (time) => { window.seen.frames.push(time); requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""


def measure(site: Mapping[str, bytes], runtime: Path | None, network: Path) -> dict[str, Any]:
    """Measures the page, and beside it ONNX Runtime Web if its folder is given."""
    with chromium() as browser:
        found: dict[str, Any] = {
            "profile": f"processor {SLOWER} times slower, {LATENCY} ms, {BYTES_A_SECOND:,} bytes/s"
        }
        with _serving(partial(Server, site, 0)) as url:
            found["page"] = _page(browser, url)
        page = site["index.html"].decode()
        files = {"index.html": _race_page(page, OURS)}
        with _serving(partial(Server, files, 0)) as url:
            found["our forward pass"] = _race(browser, url)
        if runtime:
            found["ONNX Runtime Web"] = _race_runtime(browser, page, runtime, network)
        return found


def _race_page(page: str, racer: str, head: str = "") -> bytes:
    """Returns the page with its code and weights, but with a race for what it does."""
    start = page.rindex("<script>")
    end = page.index("</script>", start)
    app = page[start + len("<script>") : end]
    helpers = app[: app.index("const INK")]  # what unpacks, which comes first
    digits = f"const DIGITS = {[[list(point) for point in SHAPES[each]] for each in '527']};"
    script = f"{head}<script>{helpers}{digits}{RACE}{racer}"
    weights = page[:start] if not head else _without_weights(page[:start])
    return (weights + script + page[end:]).encode()


def _without_weights(page: str) -> str:
    return page[: page.index('<script type="text/plain" id="weights">')]


def _race_runtime(browser: "Browser", page: str, runtime: Path, network: Path) -> dict[str, Any]:
    head = '<script src="ort.wasm.min.js"></script>'
    names = ["ort.wasm.min.js", *(f"ort-wasm-simd-threaded.{end}" for end in ("mjs", "wasm"))]
    files = {name: (runtime / name).read_bytes() for name in names}
    files |= {"index.html": _race_page(page, THEIRS, head), "network.onnx": network.read_bytes()}
    with _serving(partial(_Files, files)) as url:
        return {"bytes": {name: len(content) for name, content in files.items()}} | _race(
            browser, url
        )


class _Files(ThreadingHTTPServer):
    """Files of any type: the page's own server has only its own."""

    daemon_threads = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.files = files

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    server: _Files
    extensions_map: dict[str, str] = {  # noqa: RUF012  as the class has it
        ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript",
        ".wasm": "application/wasm", ".onnx": "application/octet-stream",
    }  # fmt: skip

    def do_GET(self) -> None:
        name = self.path.removeprefix("/") or "index.html"
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", self.extensions_map[Path(name).suffix])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Keeps the terminal quiet."""


@contextmanager
def _serving(make: Callable[[], Any]) -> Iterator[str]:
    with make() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield server.url
        server.shutdown()


def _slow_page(browser: "Browser") -> "Page":
    page = browser.new_context(**PHONE, bypass_csp=True).new_page()  # type: ignore[arg-type]
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    speed = {"downloadThroughput": BYTES_A_SECOND, "uploadThroughput": BYTES_A_SECOND}
    session.send(
        "Network.emulateNetworkConditions", {"offline": False, "latency": LATENCY, **speed}
    )
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    return page


def _race(browser: "Browser", url: str) -> dict[str, Any]:
    """Returns milliseconds to the first answer, and for each further one."""
    page = _slow_page(browser)
    page.goto(url, timeout=PATIENCE)
    page.wait_for_function("document.title.startsWith('{')", timeout=PATIENCE)
    found: dict[str, Any] = page.evaluate("JSON.parse(document.title)")
    page.context.close()
    return found


def _page(browser: "Browser", url: str) -> dict[str, Any]:
    """Returns milliseconds until the page is ready, and the time of frames while drawing."""
    page = _slow_page(browser)
    page.add_init_script(WATCH)
    page.goto(url, timeout=PATIENCE)
    page.locator("html[data-state=empty]").wait_for(timeout=PATIENCE)
    page.evaluate("window.seen.frames.length = 0")
    for points in strokes(page, "5270"):
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=15)
        page.mouse.up()
    frames = page.evaluate("window.seen.frames")
    page.locator("html[data-state=read]").wait_for(timeout=PATIENCE)
    ready = page.evaluate("window.seen.states.empty")
    page.context.close()
    times = sorted(b - a for a, b in pairwise(frames))
    return {
        "ready": ready,
        "frames": {
            "count": len(times),
            "median": statistics.median(times),
            "95 %": times[int(0.95 * (len(times) - 1))],
            "longest": times[-1],
        },
    }
