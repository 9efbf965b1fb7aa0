"""The report in a real browser: its charts are drawn, its table is sorted, filtered and ticked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaxmnist.report.command import report
from tests.report.test_report import write_run
from tools.page.browser import chromium, find_chromium

api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytest.importorskip("vl_convert", reason="needs the library of the charts")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="needs Chromium")
RATES = (0.003, 0.001, 0.002)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for number, rate in enumerate(RATES):
        write_run(folder / "runs" / f"run{number}", 3, **{"schedule.learning_rate": rate})
    report([folder / "runs"], folder / "report.html")
    return folder / "report.html"


def test_charts_are_drawn_and_the_table_is_sorted_and_filtered(browser: Any, file: Path) -> None:
    said: list[str] = []
    requests: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    for chart in ("curves", "suites", "sizes"):
        page.locator(f"#{chart}").scroll_into_view_if_needed()
        page.locator(f"#{chart} canvas").wait_for()

    def order() -> list[int]:
        texts = page.locator("#runs tbody tr").all_inner_texts()
        return [next(n for n in range(len(RATES)) if f"run{n}" in text) for text in texts]

    heading = page.locator("#runs th", has_text="learning_rate")
    heading.click()
    ascending = sorted(range(len(RATES)), key=RATES.__getitem__)
    assert order() in (ascending, ascending[::-1])
    first = order()
    page.locator("#runs th", has_text="learning_rate").click()
    assert order() == first[::-1]
    page.locator("#filter").fill("run1")
    api.expect(page.locator("#runs tbody tr")).to_have_count(1)
    page.reload()  # what was chosen stands in the address
    api.expect(page.locator("#runs tbody tr")).to_have_count(1)
    assert said == []
    assert {url.partition("#")[0] for url in requests} == {file.as_uri()}
    page.close()
