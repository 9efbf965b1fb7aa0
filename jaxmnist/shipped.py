"""Weights that come with the package, by their names, each with a card."""

import json
import os
from pathlib import Path
from typing import Any

from jaxmnist.errors import UserError
from jaxmnist.files import user_path

FOLDER = Path(__file__).parent / "shipped"
SUFFIX = ".safetensors"


def shipped_names() -> list[str]:
    """Returns the names of the weights that come with this package."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def read_card(name: str) -> dict[str, Any]:
    """Returns what is known of shipped weights: training, test, calibration, limits, licence.

    `python -m tools.ship` writes it.
    """
    card: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return card


def find_weights(name: str | Path) -> Path:
    """Returns the path of weights that somebody has named: shipped ones, a file or a run folder.

    What lies there under that name comes first.

    Raises:
      UserError: as `user_path` does, and if a name without folder and suffix is that of nothing.
    """
    path = user_path(name)
    if os.path.exists(path) or path.name != str(name) or path.suffix:
        return path
    if path.name not in shipped_names():
        raise UserError(
            f"there are no weights called '{name}': choose one of {', '.join(shipped_names())}, "
            "or the path of a run folder or a weights file."
        )
    return FOLDER / f"{path.name}{SUFFIX}"
