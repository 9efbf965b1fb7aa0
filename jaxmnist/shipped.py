"""Weights that come with the package, by their names."""

import os
from pathlib import Path

from jaxmnist.files import user_path

FOLDER = Path(__file__).parent / "shipped"
SUFFIX = ".safetensors"


def shipped_names() -> list[str]:
    """Returns the names of the weights that come with this package."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def find_weights(name: str | Path) -> Path:
    """Returns the path of weights that somebody has named: shipped ones, a file or a run folder.

    What lies there under that name comes first.

    Raises:
      UserError: as `user_path` does.
    """
    path = user_path(name)
    shipped = FOLDER / f"{path.name}{SUFFIX}"
    is_name = path.name == str(name) and path.name in shipped_names()
    return shipped if is_name and not os.path.exists(path) else path
