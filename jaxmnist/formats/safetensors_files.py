"""Reads safetensors files: named arrays behind a JSON header, and no code."""

import json
from pathlib import Path

import numpy as np

from jaxmnist.errors import UserError

LONGEST = 2**24  # bytes of a list of files
LARGEST = 2**31  # bytes; the largest network, which reads 100 digits, has 1.3 billion


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns all arrays of a file, and its metadata.

    Raises:
      UserError: if the file is missing, damaged, too large, or of numbers that NumPy lacks.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder: name a file, or a finished run's folder.")
        if not path.is_file():
            path.stat()
            raise UserError(f"{path} is no file: use the weights.safetensors of a run.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} has over {LARGEST:,} bytes: use a file made by jaxmnist.")
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name a weights file or a finished run.") from None
    # The library's own, and what it and NumPy raise for a type that NumPy lacks, such as bfloat16.
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({error}): use the weights.safetensors of "
            "a run."
        ) from None


def read_shards(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a network whose `model.safetensors.index.json` says where each is.

    Raises:
      UserError: if that list or a file is damaged, missing or too large.
    """
    try:
        with path.open("rb") as file:
            listed = json.loads(file.read(LONGEST))["weight_map"]
        files = dict.fromkeys(listed.values())
        if not all(isinstance(name, str) and Path(name).name == name for name in files):
            raise ValueError("names of files")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check it.") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UserError(
            f"{path} does not say in which files beside it the weights are: fetch it again."
        ) from None
    paths = [path.parent / name for name in files]
    if sum(each.stat().st_size for each in paths if each.is_file()) > LARGEST:
        raise UserError(f"{path} names over {LARGEST:,} bytes: use a file made by jaxmnist.")
    found = {name: read_arrays(path.parent / name)[0] for name in files}
    lacking = [name for name, file in listed.items() if name not in found[file]]
    if lacking:
        raise UserError(
            f"{path} says that {lacking[0]} is in {listed[lacking[0]]}, and it is not: fetch all "
            "of its files again."
        )
    return {name: found[file][name] for name, file in listed.items()}
