"""The page: our HTML, style and script, the library and the figures, all in one file."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmnist.config import LOCATION_FIELDS
from jaxmnist.report.runs import Run, is_number, labels_of

# Of these the table has columns of its own.
SHOWN_ELSEWHERE = {"name", "model", "epochs", "num_seeds", "data.source", "system"}
PARTS = Path(__file__).parent / "parts"


def contents(
    runs: Sequence[Run], digests: Sequence[Mapping[str, Any]], notes: Sequence[str], reload: int
) -> dict[str, Any]:
    """Returns all figures of the page.

    Args:
      runs: in the order of the page.
      digests: of each.
      notes: what to say above the table.
      reload: the seconds after which the page loads itself again; 0: never.
    """
    differing = differences(runs)
    labels = labels_of([run.folder for run in runs])
    rows = [
        {
            "run": f"{label} {run.part}".rstrip(),
            "fields": {field: show(run.fields.get(field)) for field in differing},
            **figures,
        }
        for run, label, figures in zip(runs, labels, digests, strict=True)
    ]
    made = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"made": made, "reload": reload, "notes": list(notes), "fields": differing, "runs": rows}


def differences(runs: Sequence[Run]) -> list[str]:
    """Returns the fields in which configurations differ, one that some lack among them."""
    names = {field for run in runs for field in run.fields} - SHOWN_ELSEWHERE - LOCATION_FIELDS
    return sorted(
        field for field in names if len({repr(show(run.fields.get(field))) for run in runs}) > 1
    )


def show(value: Any) -> Any:
    """Returns a field's value as a cell: a number or a text."""
    if value is None or isinstance(value, str) or (is_number(value) and math.isfinite(value)):
        return value
    return json.dumps(value)


def page(figures: Mapping[str, Any], library: str) -> str:
    """Returns the HTML."""
    # What could end the script that holds it is escaped.
    data = json.dumps(figures, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    inserted = {
        "STYLE": _part("page.css"),
        "LIBRARY": library.replace("</script", "<\\/script"),
        "DATA": data,
        "SCRIPT": "\n".join(_part(name) for name in ("table.js", "charts.js", "page.js")),
    }
    text = _part("page.html")
    for name, content in inserted.items():
        before, after = text.split(f"@{name}@")
        text = before + content + after
    return text


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding="utf-8")
