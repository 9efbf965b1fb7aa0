"""Times the report page with hundreds of runs: `python -m tools.report_speed RUN --out FILE.json`.

A run is copied, as if it had been trained with many learning rates. It needs Chromium, playwright
(`pip install playwright`) and the library of the charts (`pip install 'jaxmnist[report]'`).
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from jaxmnist.files import atomic_write, user_path
from jaxmnist.report.command import report
from jaxmnist.runtime import provenance
from tools.page.browser import chromium

COPIED = ("config.json", "summary.json", "metrics.jsonl", "predictions.safetensors")


def write_copies(run: Path, folder: Path, count: int) -> None:
    """Writes copies of a run, each with a learning rate of its own."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    for number in range(count):
        copy = folder / f"run-{number:04d}"
        copy.mkdir(parents=True)
        for name in COPIED:
            if (run / name).exists():
                shutil.copy(run / name, copy / name)
        config["schedule"]["learning_rate"] = 1e-3 * 1.01**number
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
        summary = json.loads((copy / "summary.json").read_text(encoding="utf-8"))
        (copy / "summary.json").write_text(json.dumps(summary | {"config": config}))


def open_page(page: Path) -> dict[str, float]:
    """Returns the seconds until the table is there, and until the first chart is."""
    with chromium() as browser:
        tab = browser.new_page()
        began = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.locator("#runs tbody tr").first.wait_for()
        table = time.perf_counter() - began
        tab.locator("#curves canvas").wait_for()
        return {"table_seconds": table, "chart_seconds": time.perf_counter() - began}


def main() -> None:
    """Writes the copies and their page, opens it, prints and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=user_path, help="a finished run")
    parser.add_argument("--copies", type=int, default=300)
    parser.add_argument("--out", type=user_path, help="write the figures as JSON")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_copies(chosen.run, folder / "runs", chosen.copies)
        began = time.perf_counter()
        report([folder / "runs"], folder / "report.html")
        found: dict[str, Any] = {"runs": chosen.copies}
        found["write_seconds"] = time.perf_counter() - began
        found["page_bytes"] = (folder / "report.html").stat().st_size
        found |= open_page(folder / "report.html")
    for key, value in found.items():
        print(f"{key:<16} {value:.4g}")
    if chosen.out is not None:
        found |= {"load": load} | provenance()
        atomic_write(chosen.out, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
