"""One section in a process of its own: runs its items and writes each result when it is there.

The file of a section is replaced atomically after every item: being killed loses only the item
under way.
"""

import argparse
import json
import os
import re
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxmnist.files import atomic_write
from jaxmnist.runtime import configure_jax, device, git_commit, versions
from tools.accelerator.plan import REAL, REHEARSAL
from tools.accelerator.section import Context, Item, Result, Section


@dataclass
class Report:
    """The JSON of a section."""

    path: Path
    content: Result
    items: list[Result] = field(default_factory=list)
    not_run: list[Result] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    def write(self, status: str, **more: Any) -> None:
        """Writes the section as far as it has come."""
        lists = {"items": self.items, "not_run": self.not_run}
        seconds = round(time.time() - self.began, 2)
        content = self.content | {"status": status, "seconds": seconds} | more | lists
        atomic_write(self.path, json.dumps(content, indent=1, default=float) + "\n")


def run_section(name: str, section: Section, context: Context, out: Path, chosen: str = "") -> str:
    """Runs the items of a section while time is left, and returns how it ended.

    Of items only those are run whose name the regular expression `chosen` matches somewhere.

    Returns:
      `ended`, `cut` if something was left out for lack of time, or `failed` if anything was raised.
    """
    import jax

    allowed = round(context.seconds_left(), 1)
    report = Report(
        out / f"{name}.json",
        {
            "section": name,
            "rehearsal": context.plan.rehearsal,
            "seconds_allowed": allowed,
            "device": device(),
            "versions": versions(),
            "git_commit": git_commit(),
        },
    )
    on_gpu = jax.default_backend() == "gpu"
    status = "ended"
    report.write("running")
    try:
        for item in section(context):
            if not re.search(chosen, item.name):
                continue
            if item.left_out:
                report.not_run.append({"item": item.name, "reason": item.left_out})
            elif item.needs_cuda and not on_gpu:
                report.not_run.append({"item": item.name, "reason": "it needs CUDA"})
            elif context.seconds_left() <= item.seconds:
                report.not_run.append({"item": item.name, "reason": "no time was left for it"})
                status = "cut" if status == "ended" else status
            else:
                report.write("running", under_way=item.name)
                result = run_item(item)
                report.items.append(result)
                if "traceback" in result:
                    status = "failed"
                elif result.get("cut") and status == "ended":
                    status = "cut"
                left = context.seconds_left()
                print(
                    f"  {name}: {item.name}: {result['item_seconds']:.1f} s"
                    f"{', FAILED' if 'traceback' in result else ''}; {left:.0f} s left",
                    flush=True,
                )
            report.write("running")
    except Exception:  # of the section itself: likewise a finding
        report.write("failed", traceback=traceback.format_exc())
        return "failed"
    report.write(status)
    return status


def run_item(item: Item) -> Result:
    """Runs one item; whatever it raises is its result."""
    began = time.perf_counter()
    try:
        found = item.run()
    except Exception:  # on a machine nobody has seen, any failure is a finding and not the end
        found = {"traceback": traceback.format_exc()}
    return {"item": item.name, "item_seconds": round(time.perf_counter() - began, 3)} | found


def main() -> None:
    """Runs the section that the command line names."""
    from tools.accelerator.sections import SECTIONS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", choices=SECTIONS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--deadline", type=float, required=True)
    parser.add_argument("--items", default="")
    parser.add_argument("--rehearse", action="store_true")
    chosen = parser.parse_args()
    configure_jax()
    with tempfile.TemporaryDirectory(prefix=f"{chosen.section}-") as scratch:
        plan = REHEARSAL if chosen.rehearse else REAL
        context = Context(plan, Path(scratch), chosen.deadline)
        section = SECTIONS[chosen.section].load()
        run_section(chosen.section, section, context, chosen.out, chosen.items)
    # Threads that still compile what there was no time for would keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
