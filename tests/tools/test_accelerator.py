"""tools/accelerator: its rehearsal from end to end, and what happens where it is cut or fails."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT
from tools.accelerator.__main__ import close_report
from tools.accelerator.device_time import covered
from tools.accelerator.plan import REHEARSAL
from tools.accelerator.section import Context, Item
from tools.accelerator.sections import SECTIONS
from tools.accelerator.worker import run_section


def read(folder: Path, name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return report


def run(folder: Path, *items: Item, seconds: float = 60.0) -> tuple[str, dict[str, Any]]:
    def section(context: Context) -> Iterator[Item]:
        yield from items

    context = Context(REHEARSAL, folder, time.time() + seconds)
    return run_section("test", section, context, folder), read(folder, "test")


def test_an_item_that_raises_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    status, report = run(
        tmp_path, Item("bad", lambda: {"x": 1 // 0}), Item("good", lambda: {"figure": 1})
    )
    assert status == report["status"] == "failed"
    bad, good = report["items"]
    assert "ZeroDivisionError" in bad["traceback"]
    assert good["figure"] == 1


def test_what_there_is_no_time_for_is_named(tmp_path: Path) -> None:
    long = Item("long", lambda: {}, seconds=100.0)
    status, report = run(tmp_path, Item("short", dict), long)
    assert status == "cut"
    assert [item["item"] for item in report["items"]] == ["short"]
    assert report["not_run"] == [{"item": "long", "reason": "no time was left for it"}]


def test_what_needs_cuda_is_named(tmp_path: Path) -> None:
    status, report = run(tmp_path, Item("graphs", dict, needs_cuda=True))
    assert (status, report["items"]) == ("ended", [])
    assert report["not_run"] == [{"item": "graphs", "reason": "it needs CUDA"}]


def test_only_items_that_are_asked_for_are_run(tmp_path: Path) -> None:
    def section(context: Context) -> Iterator[Item]:
        yield Item("v_1, batch 64", dict)
        yield Item("v_1, batch 1024", dict)

    context = Context(REHEARSAL, tmp_path, time.time() + 60)
    assert run_section("test", section, context, tmp_path, "batch 10") == "ended"
    assert [item["item"] for item in read(tmp_path, "test")["items"]] == ["v_1, batch 1024"]


def test_a_killed_section_keeps_its_items(tmp_path: Path) -> None:
    file = tmp_path / "test.json"
    file.write_text(json.dumps({"status": "running", "items": [{"item": "done"}]}))
    assert close_report(file, "test", "its time was over") == "cut"
    assert read(tmp_path, "test")["items"] == [{"item": "done"}]
    assert (
        close_report(tmp_path / "none.json", "none", "the process ended with code -11") == "failed"
    )
    assert read(tmp_path, "none")["ending"].endswith("-11")


def test_overlapping_kernels_count_once() -> None:
    assert covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 1.6)]) == 4.0


def test_shares_add_up_to_all_of_the_time() -> None:
    assert sum(section.share for section in SECTIONS.values()) == pytest.approx(1)


def test_the_documented_command_is_short() -> None:
    text = (ROOT / "docs" / "accelerators.md").read_text(encoding="utf-8")
    (command,) = [c for c in re.findall(r"```bash\n(.*?)```", text, re.S) if "-m tools" in c]
    assert len(command) < 2000
    assert all(f"| `{name}` | {round(100 * s.share)} % |" in text for name, s in SECTIONS.items())


@pytest.mark.slow
def test_rehearsal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.accelerator", "--out", str(tmp_path)]
    command += ["--rehearse", "--minutes", "20"]  # so that a slow machine cuts nothing
    env = {k: v for k, v in os.environ.items() if k != "JAXMNIST_DATA"}
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, check=False)
    reports = {name: read(tmp_path, name) for name in SECTIONS}
    raised = [item for r in reports.values() for item in r["items"] if "traceback" in item]
    assert done.returncode == 0, (done.stdout, done.stderr, raised)
    assert not raised
    index = read(tmp_path, "index")
    assert [(row["section"], row["status"]) for row in index["sections"]] == [
        (name, "ended") for name in SECTIONS
    ]
    left_out = [each for r in reports.values() for each in r["not_run"]]
    assert {each["reason"] for each in left_out} == {
        "it needs CUDA",
        "compiling takes too long for a rehearsal",
    }

    found = {name: {i["item"]: i for i in r["items"]} for name, r in reports.items()}
    equality = found["equality"]
    for name in REHEARSAL.networks:
        network = equality[f"network {name}"]
        assert network["highest"]["as_expected"]
        assert network["default"]["as_expected"]
    assert equality["killed and resumed"]["same_bits"]
    assert equality["repeated, default kernels"]["same_bits"]  # as on every CPU
    assert equality["price of deterministic kernels"]["ratio"] > 0
    throughput = found["throughput"]
    for item in throughput.values():
        assert not item.get("failed")
        assert all(
            c["examples_per_second"]["median"] > 0 for c in item.get("contenders", {}).values()
        )
    (variants,) = [item for name, item in throughput.items() if name.startswith("variants")]
    errors = {name: each["gradients"] for name, each in variants["errors"].items()}
    assert errors["chwn, conv"] < 1e-3 < errors["nhwc, conv, bfloat16 maps"] < 0.3
    assert found["populations"]["2 seeds, one epoch"]["steps"] > 1
    assert len(found["populations"]["2 seeds, whole recipe"]["test"]["values"]) == 2
    assert list(found["time_to_accuracy"]) == list(REHEARSAL.speedruns)
    for item in (*found["published"].values(), *found["default"].values()):
        assert set(item["suites"]) >= {"clean", "inverted", "rotation", "noise"}
