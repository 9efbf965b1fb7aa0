"""Reads safetensors files: named arrays behind a JSON header, and no code."""

from pathlib import Path

import numpy as np

from jaxmnist.errors import UserError

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
