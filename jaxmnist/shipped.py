"""Weights by the name that they are shipped under, or from a run folder or a file."""

from pathlib import Path

from jaxmnist.errors import UserError
from jaxmnist.files import user_path

FOLDER = Path(__file__).parent / "shipped"
SUFFIX = ".safetensors"
WEIGHTS = f"weights{SUFFIX}"  # of a finished run


def shipped_names() -> list[str]:
    """Returns the names of the weights that come with this package."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def find_weights(name: str | Path) -> Path:
    """Returns the weights file that a user means: a shipped name, a run folder, or a file.

    What lies in the working directory under that name comes first.

    Raises:
      UserError: if there is none.
    """
    path = user_path(name)
    if path.is_dir():
        return path / WEIGHTS
    shipped = FOLDER / f"{name}{SUFFIX}"
    if not path.exists() and shipped.is_file():
        return shipped
    if not path.exists() and path.name == str(name) and not path.suffix:
        names = shipped_names()
        known = f"choose one of {', '.join(names)}, or" if names else "none are shipped yet:"
        raise UserError(
            f"there are no weights called '{name}': {known} name a finished run's folder or a "
            "weights file (`jaxmnist train seq` makes one in minutes)."
        )
    return path
