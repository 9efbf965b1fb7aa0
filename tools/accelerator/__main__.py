"""Checks an accelerator: is it right, how fast is it, what can be had of it in a few minutes.

  python -m tools.accelerator --out DIR                      all sections in nine minutes
  python -m tools.accelerator --out DIR --sections equality  one of them, with all the time
  python -m tools.accelerator --out DIR --items 'batch 1024'   what a first run had no time for
  python -m tools.accelerator --out DIR --rehearse           every line on a CPU, on tiny sizes

Every section writes DIR/SECTION.json as it goes on; DIR/index.json says how each ended. MNIST's
four files lie in $JAXMNIST_DATA; a rehearsal takes the digits that come with scikit-learn.
docs/accelerators.md has the whole command for a bare machine, and what comes back.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

from jaxmnist.files import atomic_write
from tools.accelerator.sections import SECTIONS

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Runs the sections; exit code 1 if one has failed, 2 if something has to be fixed first."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all sections together")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes, for a CPU")
    parser.add_argument("--items", default="", help="only items whose names this regex matches")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="only these, with commas")
    chosen = parser.parse_args()
    names = chosen.sections.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        parser.error(f"there is no section '{unknown[0]}': choose of {', '.join(SECTIONS)}")
    if not chosen.minutes > 0:
        parser.error(f"--minutes is {chosen.minutes:g}: it must be above 0")
    if not chosen.rehearse and not os.path.isdir(os.environ.get("JAXMNIST_DATA", "")):
        parser.error("set JAXMNIST_DATA to the folder of MNIST's four files, or give --rehearse")
    try:
        re.compile(chosen.items)
    except re.error as error:
        parser.error(f"--items is no regular expression: {error}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, stop)
    with tempfile.TemporaryDirectory(prefix="accelerator-") as cache:
        ended = run_all(names, chosen, Path(cache))
    return 1 if "failed" in ended else 0


def stop(number: int, frame: FrameType | None) -> None:
    """Ends the process by way of its `finally` blocks."""
    sys.exit(128 + number)


def run_all(names: list[str], chosen: argparse.Namespace, cache: Path) -> list[str]:
    """Runs sections one after the other and returns how each ended."""
    seconds = 60 * chosen.minutes
    began, planned, shares = time.time(), 0.0, sum(SECTIONS[name].share for name in names)
    rows: list[dict[str, Any]] = []
    for name in names:
        planned += seconds * SECTIONS[name].share / shares
        deadline = began + planned  # what the sections before have left over is its own, too
        print(
            f"{name}: {deadline - time.time():.0f} s; "
            f"{began + seconds - time.time():.0f} of {seconds:.0f} s left for all",
            flush=True,
        )
        started = time.time()
        status = run_one(name, chosen, deadline, cache)
        took = round(time.time() - started, 1)
        rows.append({"section": name, "status": status, "seconds": took, "file": f"{name}.json"})
        print(f"{name}: {status} after {took:.1f} s", flush=True)
        index = {
            "sections": rows,
            "rehearsal": chosen.rehearse,
            "items": chosen.items,
            "seconds": round(time.time() - began, 1),
            "seconds_allowed": seconds,
            "not_begun": names[len(rows) :],
        }
        atomic_write(chosen.out / "index.json", json.dumps(index, indent=1) + "\n")
    return [row["status"] for row in rows]


def run_one(name: str, chosen: argparse.Namespace, deadline: float, cache: Path) -> str:
    """Runs one section in a process of its own, which ends with its time at the latest."""
    file = chosen.out / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tools.accelerator.worker", name]
    command += ["--out", str(chosen.out.resolve()), "--deadline", str(deadline)]
    command += ["--items", chosen.items, *(["--rehearse"] if chosen.rehearse else [])]
    env: dict[str, str] = {
        "JAX_COMPILATION_CACHE_DIR": str(cache / "xla"),
        "JAX_ENABLE_COMPILATION_CACHE": str(SECTIONS[name].cached or chosen.rehearse).lower(),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # PyTorch and launch.py need memory beside it
    }
    if chosen.rehearse:  # most of it would be compiling; its figures mean nothing
        flags = os.environ.get("XLA_FLAGS", "")
        env["XLA_FLAGS"] = f"{flags} {' '.join(quickly_compiled())}".strip()
    # A session of its own: what it starts (launch.py, compilers) is killed with it.
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | env, start_new_session=True)
    try:
        process.wait(max(deadline - time.time(), 1))
        ending = f"the process ended with code {process.returncode}"
    except subprocess.TimeoutExpired:
        ending = "its time was over"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return close_report(file, name, ending)


def quickly_compiled() -> list[str]:
    """Returns the flags that make XLA compile fastest on a CPU; an unknown one ends a process."""
    old = tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11)
    emitters = "--xla_cpu_use_fusion_emitters=false"  # named so before 0.11
    return ["--xla_backend_optimization_level=0", *([emitters] if old else [])]


def close_report(file: Path, name: str, ending: str) -> str:
    """Returns how a section ended, and writes it down where the section could not."""
    report = json.loads(file.read_text()) if file.exists() else {"section": name, "items": []}
    if report.get("status", "running") == "running":
        cut = ending == "its time was over"
        report |= {"status": "cut" if cut else "failed", "ending": ending}
        atomic_write(file, json.dumps(report, indent=1) + "\n")
    return str(report["status"])


if __name__ == "__main__":
    sys.exit(main())
